"""Show progress on standard error: a bar in a terminal, lines in a log."""

from __future__ import annotations

import datetime
import sys
import time
from types import TracebackType
from typing import Self

import rich.console
import rich.markup
import rich.progress

from mashkit.hookspecs import StageEvent, hookimpl
from mashkit.paths import printable
from mashkit.registry import Registry

LINES = 10
"""Largest number of a stage's lines in a log, without the lines after :data:`SILENCE_S`."""
SILENCE_S = 30.0
"""Seconds without a line after which a log also gets a line for an item that is started."""


class _Pace:
    """The speed of a stage, and its number of failures."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._worked = 0
        self._failed = 0

    def count(self, event: StageEvent) -> None:
        self._worked += event.state == "done"
        self._failed += event.state == "failed"

    def text(self, event: StageEvent) -> str:
        """Return rate, time left and failures as text; cached items do not count for the rate."""
        told = []
        elapsed = time.monotonic() - self._began
        if self._worked and elapsed >= 1:
            told.append(f"{60 * self._worked / elapsed:.1f} a minute")
            left = round((event.total - event.done) * elapsed / self._worked)
            if left:
                told.append(f"{datetime.timedelta(seconds=left)} left")
        if self._failed:
            told.append(f"{self._failed} failed")
        return ", ".join(told)


class ProgressListener:
    """A plugin that receives stage events and shows them; use it as a context manager around the work.

    Parameters
    ----------
    registry : Registry
        The registry whose events are shown.
    quiet : bool
        Show only failures.
    """

    def __init__(self, registry: Registry, *, quiet: bool) -> None:
        self._registry = registry
        self._quiet = quiet
        self._console = rich.console.Console(stderr=True)
        self._bars: rich.progress.Progress | None = None
        self._tasks: dict[str, rich.progress.TaskID] = {}
        self._paces: dict[str, _Pace] = {}
        self._said_at = time.monotonic()

    def __enter__(self) -> Self:
        if self._console.is_terminal and not self._quiet:
            self._bars = rich.progress.Progress(
                rich.progress.TextColumn("{task.description:<10}"),
                rich.progress.BarColumn(),
                rich.progress.MofNCompleteColumn(),
                rich.progress.TimeElapsedColumn(),
                rich.progress.TextColumn("{task.fields[pace]}"),
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
        pace = self._paces.setdefault(event.stage, _Pace())
        pace.count(event)
        if event.state == "failed":
            self._say(f"{event.stage}: {event.message}")
        if self._bars is not None:
            if event.stage not in self._tasks:
                self._tasks[event.stage] = self._bars.add_task(event.stage, total=event.total, item="", pace="")
            self._bars.update(
                self._tasks[event.stage],
                completed=event.done,
                total=event.total,
                item=rich.markup.escape(printable(event.item)[-60:]),
                pace=pace.text(event),
            )
        elif not self._quiet and event.state in ("done", "cached") and self._is_due(event):
            told = pace.text(event)
            item = f": {event.item}" if event.item else ""
            self._say(f"{event.stage} {event.done}/{event.total} {event.state}{item}{f' ({told})' if told else ''}")
        elif not self._quiet and event.state == "started" and time.monotonic() - self._said_at > SILENCE_S:
            self._say(f"{event.stage} {event.done}/{event.total}, at work on {event.item}")

    @staticmethod
    def _is_due(event: StageEvent) -> bool:
        """Return whether a log gets this line: every item of a short stage, every tenth part of a long one."""
        return event.total <= LINES or event.done * LINES // event.total > (event.done - 1) * LINES // event.total

    def _say(self, line: str) -> None:
        self._said_at = time.monotonic()
        line = printable(line, keep="\n\t")
        if self._bars is not None:
            self._bars.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            print(line, file=sys.stderr)
