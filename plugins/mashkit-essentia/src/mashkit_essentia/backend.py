"""The import of essentia, and calls to it without log messages; this is the only module that imports essentia.

Each algorithm is built once per process and never deleted: when an algorithm that runs a network of others is deleted,
essentia writes a warning to stderr for every frame that the other algorithms analyse. All threads share the algorithms
and the log's switch, so only one thread at a time uses them. This costs no time, because essentia's calls hold the
interpreter's lock from beginning to end.
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
    """Wait until no other thread uses essentia, and switch its progress messages off inside the block."""
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
    """Return the process's only algorithm with that name and these parameters; use it only within :func:`quiet`."""
    return getattr(standard, name)(**parameters)
