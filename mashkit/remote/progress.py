"""Report progress from a component; the events of a component in a worker reach the process that uses it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from mashkit.hookspecs import StageEvent

_listeners: list[Callable[[StageEvent], object]] = []


def report(event: StageEvent) -> None:
    """Send an event of progress to all listeners of this process; without listeners it has no effect."""
    for listener in _listeners:
        listener(event)


def listen(listener: Callable[[StageEvent], object]) -> None:
    """Call ``listener`` with each event that is reported in this process from now on."""
    _listeners.append(listener)


@contextlib.contextmanager
def listening(listener: Callable[[StageEvent], object]) -> Iterator[None]:
    """Call ``listener`` with each event that is reported in this process while the block runs."""
    listen(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)
