"""Progress on stderr: a bar for people, lines for logs."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Self

import rich.console
import rich.progress

from mashkit.hookspecs import StageEvent, hookimpl
from mashkit.registry import Registry

LINES = 10
"""Most lines a stage writes to a log."""


class ProgressListener:
    """A plugin that hears stage events and shows them; use it as a context manager around the work.

    Parameters
    ----------
    registry : Registry
        Whose events to hear.
    quiet : bool
        Show failures only.
    """

    def __init__(self, registry: Registry, *, quiet: bool) -> None:
        self._registry = registry
        self._quiet = quiet
        self._console = rich.console.Console(stderr=True)
        self._bars: rich.progress.Progress | None = None
        self._tasks: dict[str, rich.progress.TaskID] = {}

    def __enter__(self) -> Self:
        if self._console.is_terminal and not self._quiet:
            self._bars = rich.progress.Progress(
                rich.progress.TextColumn("{task.description:<10}"),
                rich.progress.BarColumn(),
                rich.progress.MofNCompleteColumn(),
                rich.progress.TimeElapsedColumn(),
                rich.progress.TimeRemainingColumn(),
                rich.progress.TextColumn("{task.fields[item]}", style="dim"),
                console=self._console,
            )
            self._bars.start()
        self._registry.plugins.register(self, name="mashkit progress")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._registry.plugins.unregister(self)
        if self._bars is not None:
            self._bars.stop()

    @hookimpl
    def mashkit_stage(self, event: StageEvent) -> None:
        """Show one event."""
        if event.state == "failed":
            self._say(f"{event.stage}: {event.message}")
        if self._bars is not None:
            if event.stage not in self._tasks:
                self._tasks[event.stage] = self._bars.add_task(event.stage, total=event.total, item="")
            self._bars.update(self._tasks[event.stage], completed=event.done, total=event.total, item=event.item[-60:])
        elif not self._quiet and event.state in ("done", "cached") and self._is_due(event):
            self._say(f"{event.stage} {event.done}/{event.total} {event.state}: {event.item}")

    @staticmethod
    def _is_due(event: StageEvent) -> bool:
        """Tell whether a log should hold this line: all of short work, every tenth part of long."""
        return event.total <= LINES or event.done * LINES // event.total > (event.done - 1) * LINES // event.total

    def _say(self, line: str) -> None:
        if self._bars is not None:
            self._bars.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            print(line, file=sys.stderr)
