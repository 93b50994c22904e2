"""The interface of a task: what a benchmark measures on the components of one kind.

A task is a class of four methods and a list of metrics; :mod:`mashkit.bench.stretchers` is an example. A plugin brings
a task with the hook ``mashkit_register_tasks``. The runner, the ranking and the page use nothing but this interface.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import inspect
import json
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import attrs

from mashkit.bench.charts import Chart, RowChart
from mashkit.bench.ranking import Metric
from mashkit.bench.records import Entry, Row
from mashkit.bench.registered import tasks
from mashkit.bench.statistics import Comparison
from mashkit.bench.tables import SuiteError
from mashkit.components import Component
from mashkit.discovery import imported
from mashkit.errors import BrokenPlugin, MashkitError, suggestion
from mashkit.types import Audio, as_tuple, frozen_mapping
from mashkit.workers.processes import cpu_seconds, family


class NotProvided(MashkitError):
    """The competitor does not have the ability an input asks for: its row says so, and that is no failure."""


class InputLost(MashkitError):
    """What an input is made from is no longer there: no competitor's fault, and the others' rows will say the same."""


@attrs.frozen(kw_only=True)
class Input:
    """One thing every competitor is measured on.

    Parameters
    ----------
    name : str
        Unique in the suite.
    measure : str
        Which of the task's measures it is for; metrics select rows by it.
    parameters : mapping
        All that defines it, as plain data: it is made from these (and the files) where it is measured.
    files : tuple of Path
        Files it is made from; their content is part of its hash.
    missing : str
        Why it is not there; empty when it is. It then is an "unavailable" row of every competitor.
    alone : bool
        Measure it in a fresh process: for peak memory.
    place : mapping
        Where it is found here, as plain data: no part of what it is, nor of its hash.
    facts : mapping
        What metrics need to know of it, as plain data: it is kept with the result, and every row of
        :meth:`Task.summarize` has it under "facts". Nothing is measured again when it changes.
    songs : tuple of str
        The recordings it is made of, each as "artist - title" or the title alone: a competitor that was trained on one
        is not judged by it. Empty for what is made from a seed.
    """

    name: str
    measure: str
    parameters: Mapping[str, Any] = attrs.field(factory=dict, converter=frozen_mapping)
    files: tuple[Path, ...] = attrs.field(default=(), converter=as_tuple)
    missing: str = ""
    alone: bool = False
    place: Mapping[str, Any] = attrs.field(factory=dict, converter=frozen_mapping)
    facts: Mapping[str, Any] = attrs.field(factory=dict, converter=frozen_mapping)
    songs: tuple[str, ...] = attrs.field(default=(), converter=as_tuple)

    def songs_among(self, names: Iterable[str]) -> list[str]:
        """Return which of its songs are among those of these names."""
        named = list(names)
        return [song for song in self.songs if any(same_song(song, name) for name in named)]

    def digest(self) -> str:
        """Return a sha256 of everything that defines this input."""
        whole = hashlib.sha256()
        # Why it is not there is another thing in every place; that it is not is what results must agree in.
        missing = "missing" if self.missing else ""
        whole.update(json.dumps([self.name, self.measure, dict(self.parameters), missing]).encode())
        for path in self.files:
            whole.update(digest_of(path).encode())
        return whole.hexdigest()


def digest_of_all(inputs: Iterable[Input]) -> str:
    """Return a sha256 of all inputs of a suite, in whatever order: two results can be compared if it is the same."""
    return hashlib.sha256("".join(sorted(given.digest() for given in inputs)).encode()).hexdigest()


def same_song(one: str, other: str) -> bool:
    """Tell whether two names are of one song, each "artist - title" or the title alone.

    Only letters and digits count, in either case: folders are named "MusicDelta - Hendrix" and "Music Delta - Hendrix".
    Where one of the names has no artist the titles decide, because it is worse to judge a network by what it has
    learnt than to leave a song out.
    """
    names = [[_plain(part) for part in name.rpartition(" - ")[::2]] for name in (one, other)]
    (artist, title), (other_artist, other_title) = names
    return title == other_title and (artist == other_artist or not artist or not other_artist)


def _plain(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def digest_of(path: Path) -> str:
    """Return the sha256 of a file's content; it is read once while it stays as it is."""
    status = path.stat()
    return _digest(path, status.st_size, status.st_mtime_ns)


@functools.cache
def _digest(path: Path, size: int, modified: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@attrs.frozen(kw_only=True)
class Pick:
    """An input worth hearing, of one competitor.

    Parameters
    ----------
    group : str
        Heading it stands under.
    input : str
        The input's name.
    said : str
        What the competitor made of it.
    label : str
        Whose output is heard; empty: the input itself, or what is true of it.
    part : str
        Which of several sounds (:meth:`Task.parts`); empty: the one that :meth:`Task.sound` gives.
    """

    group: str
    input: str
    said: str
    label: str = ""
    part: str = ""

    @property
    def sound(self) -> str:
        """Name of what is heard; picks of one name are heard as one sound."""
        return json.dumps([self.input, self.part, self.label]) if self.part else self.input


@attrs.frozen
class Cell:
    """A cell of a :class:`Table`: its number, a second one that stands small below it, and whether they count."""

    value: float | None
    below: float | None = None
    counts: bool = True


@attrs.frozen(kw_only=True)
class Table:
    """Numbers that stand behind the metrics, such as those of single songs.

    Parameters
    ----------
    title, caption : str
    heads : tuple of str
    rows : tuple of (str, tuple of Cell)
        What a row is of, and its cells.
    digits : int
        Decimals shown.
    """

    title: str
    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]
    digits: int = 1


@attrs.frozen(kw_only=True)
class Literature:
    """Numbers others have published, to stand beside ours, marked as theirs.

    Parameters
    ----------
    title, source : str
    heads : tuple of str
    rows : tuple of tuple of str
    """

    title: str
    source: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class Task(ABC):
    """What is measured on competitors of one kind."""

    kind: ClassVar[str]
    summary: ClassVar[str]
    version: ClassVar[int]
    """Raised when the same input is measured in another way: rows of another version are measured again."""
    metrics: ClassVar[Sequence[Metric]]
    literature: ClassVar[Literature | None] = None
    heard: ClassVar[tuple[str, str]] = (
        "What they picked", "The beginnings of the mashups each likes best and least.",
    )  # fmt: skip
    """Heading and sentence over what can be heard."""

    @abstractmethod
    def inputs(self, settings: Mapping[str, Any], data: Path | None) -> list[Input]:
        """Return what every competitor is measured on, before the first is.

        Parameters
        ----------
        settings : mapping
            The suite's ``[settings]``, and its ``seed``.
        data : Path, optional
            Folder of real recordings. What it does not hold is returned with ``missing`` set.

        Raises
        ------
        SuiteError
            If the settings make no sense; :func:`mashkit.bench.tables.from_table` finds out.
        """

    @abstractmethod
    def warm_up(self, component: Component) -> None:
        """Use a component for the first time, so that what it loads then counts as loading."""

    @abstractmethod
    def measure(self, component: Component, given: Input) -> dict[str, float]:
        """Return the raw numbers of one competitor on one input; called in the competitor's process.

        One that is not finite makes the row "failed".

        Raises
        ------
        NotProvided
            If the component lacks the ability.
        InputLost
            If what the input is made from has gone.
        MashkitError
            If it fails.
        """

    @abstractmethod
    def summarize(self, rows: Sequence[Row]) -> dict[str, float | None]:
        """Return each metric from one competitor's rows; None where they do not tell."""

    def intervals(self, rows: Sequence[Row]) -> dict[str, tuple[float, float]]:
        """Return the 95 % intervals of those metrics that have one, from one competitor's rows."""
        return {}

    def compare(self, rows: Mapping[str, Sequence[Row]]) -> list[Comparison]:
        """Return paired tests between competitors, given each one's rows by label."""
        return []

    def picks(self, rows: Sequence[Row]) -> list[Pick]:
        """Return what is worth hearing of one competitor's rows; nothing where inputs are not to be heard."""
        return []

    def sound(self, given: Input, longest_s: float) -> Audio:
        """Return how an input that :meth:`picks` names begins, so many seconds at most.

        Raises
        ------
        InputLost
            If what it is made from has gone.
        """
        raise InputLost(f"task {type(self).__name__} has nothing to hear")

    def auditions(self, rows: Mapping[str, Sequence[Row]]) -> dict[str, list[Pick]]:
        """Return what is worth hearing under each heading, given each competitor's rows by label.

        By default the headings are the labels, and under each stands what :meth:`picks` returns.
        """
        return {label: self.picks(own) for label, own in rows.items()}

    def parts(self, component: Component | None, given: Input, longest_s: float) -> Mapping[str, Audio]:
        """Return the sounds a component makes of an input, by part; without a component, what is true of it.

        Raises
        ------
        InputLost
            If what it is made from has gone.
        MashkitError
            If the component fails.
        """
        raise InputLost(f"task {type(self).__name__} has nothing to hear")

    @abstractmethod
    def charts(self, competitors: Sequence[Entry], rows: Sequence[Row]) -> list[Chart]:
        """Return what the page draws.

        Parameters
        ----------
        competitors : sequence of Entry
            Those that have metrics, best first.
        rows : sequence of Row
            The rows by which competitors are judged.
        """

    def tables(self, competitors: Sequence[Entry], rows: Sequence[Row]) -> list[Table]:
        """Return the tables that stand behind the metrics; by default none.

        The parameters are those of :meth:`charts`, but ``rows`` contain the songs that a competitor was trained on as
        well, marked by ``trained_on``.
        """
        return []


def metric_chart(competitors: Sequence[Entry], names: Mapping[str, str], **drawn: Any) -> RowChart:
    """Return a chart of metrics with their intervals.

    Parameters
    ----------
    competitors : sequence of Entry
        The rows.
    names : mapping of str to str
        Title of each series → name of its metric.
    **drawn
        The chart's other fields: title, caption, x_label, …
    """
    return RowChart(
        labels=[one.label for one in competitors],
        series={title: [one.metrics[name] for one in competitors] for title, name in names.items()},
        intervals={title: [one.intervals.get(name) for one in competitors] for title, name in names.items()},
        **drawn,
    )


def load_task(name: str) -> Task:
    """Import a task by its name.

    Raises
    ------
    SuiteError
        If no plugin brings a task of this name.
    BrokenPlugin
        If the task cannot be imported, or is no whole task.
    """
    known = tasks()
    if name not in known:
        raise SuiteError(f"no task is called {name!r}", suggestion(name, known))
    target = known[name].target
    what = f"task {name!r}: {target} cannot be used"
    cls = imported(target, what)
    if not (isinstance(cls, type) and issubclass(cls, Task)) or inspect.isabstract(cls):
        raise BrokenPlugin(f"{what}: it is no whole task", "tell its authors")
    return cls()


@attrs.define
class Elapsed:
    """Time spent in a block: wall clock, and CPU of this process and of the programs it ran and waited for."""

    wall_s: float = 0.0
    cpu_s: float = 0.0


@contextlib.contextmanager
def stopwatch() -> Iterator[Elapsed]:
    """Measure the time a block takes; the numbers are there when it has ended, well or not."""
    elapsed = Elapsed()
    others = _others_cpu_s()
    wall, own = time.perf_counter(), time.process_time()
    try:
        yield elapsed
    finally:
        # Asking for the others takes longer than a quick scorer does: it lies outside of both.
        elapsed.wall_s = time.perf_counter() - wall
        own = time.process_time() - own
        elapsed.cpu_s = own + _others_cpu_s() - others


def _others_cpu_s() -> float:
    # os.times() counts in hundredths, and knows of programs that have ended; a worker of an isolated component goes on.
    times = os.times()
    living = sum(cpu_seconds(process) for process in family(os.getpid())[1:])
    return times.children_user + times.children_system + living
