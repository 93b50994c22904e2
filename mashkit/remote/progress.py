"""Progress from inside a worker: what a component reports there is heard where it is used."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from mashkit.hookspecs import StageEvent

_listeners: list[Callable[[StageEvent], object]] = []


def report(event: StageEvent) -> None:
    """Tell whoever uses this component how far it is; where nobody listens, nothing happens."""
    for listener in _listeners:
        listener(event)


def listen(listener: Callable[[StageEvent], object]) -> None:
    """Let ``listener`` hear what is reported in this process from now on."""
    _listeners.append(listener)


@contextlib.contextmanager
def heard_by(listener: Callable[[StageEvent], object]) -> Iterator[None]:
    """Let ``listener`` hear what is reported in this process while the block runs."""
    listen(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)
