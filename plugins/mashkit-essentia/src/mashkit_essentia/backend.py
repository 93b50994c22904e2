"""essentia, imported and called without its log: the one module that imports it.

Its algorithms are built once a process and never dropped: when one that runs a network of others is dropped, essentia
writes a warning to stderr for every frame that the remaining ones analyse. Its calls hold the interpreter's lock from
beginning to end, so that taking turns costs threads nothing, and what is shared by all threads (the algorithms, the
log's switch) is only touched in turn.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Iterator
from typing import Any

import essentia  # type: ignore[import-untyped]

_turn = threading.RLock()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Wait for one's turn with essentia, and switch its progress messages off until done."""
    with _turn:
        shown = essentia.log.infoActive
        essentia.log.infoActive = False
        try:
            yield
        finally:
            essentia.log.infoActive = shown


with quiet():
    from essentia import standard


@functools.cache
def algorithm(name: str, **parameters: Any) -> Any:
    """Return the process's one algorithm of that name and parameters; call it only within :func:`quiet`."""
    return getattr(standard, name)(**parameters)
