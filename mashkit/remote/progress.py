"""Progress from inside a worker: what a component reports there is heard where it is used."""

from __future__ import annotations

from collections.abc import Callable

from mashkit.hookspecs import StageEvent

_listeners: list[Callable[[StageEvent], object]] = []


def report(event: StageEvent) -> None:
    """Tell whoever uses this component how far it is; outside a worker nobody listens, and nothing happens."""
    for listener in _listeners:
        listener(event)


def listen(listener: Callable[[StageEvent], object]) -> None:
    """Let ``listener`` hear what is reported in this process from now on."""
    _listeners.append(listener)
