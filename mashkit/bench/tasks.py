"""The interface of a task: what a benchmark measures on the components of one kind.

A task is a class of five methods and a list of metrics; :mod:`mashkit.bench.stretchers` is an example. A plugin brings
a task with the hook ``mashkit_register_tasks``. The runner, the ranking and the page use nothing but this interface.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import json
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import attrs

from mashkit.bench.charts import Chart, RowChart
from mashkit.bench.comparisons import Comparison
from mashkit.bench.ranking import Metric
from mashkit.bench.records import Entry, Row
from mashkit.bench.registered import tasks
from mashkit.bench.tables import SuiteError
from mashkit.components import KINDS, Component
from mashkit.components.fence import plugin_code
from mashkit.discovery import imported
from mashkit.errors import BrokenPlugin, MashkitError, suggestion
from mashkit.models import file_sha256
from mashkit.paths import encodable, folded
from mashkit.types import Audio, as_tuple, frozen_mapping
from mashkit.workers.processes import cpu_seconds, family


class NotProvided(MashkitError):
    """The competitor lacks the ability that an input needs: its row is "unavailable", which is not a failure."""


class InputLost(MashkitError):
    """The sources of an input are no longer there, which is not a competitor's fault."""


def _encodable(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(map(encodable, as_tuple(names)))


@attrs.frozen(kw_only=True)
class Input:
    """One input on which every competitor is measured.

    Parameters
    ----------
    name : str
        Unique in the suite. Here and in songs, what UTF-8 cannot encode is written in ASCII, as in :func:`repr`.
    measure : str
        The task's measure that the input is for; metrics select rows by it.
    parameters : mapping
        All that defines the input, as plain data: the competitor's process makes it from these and the files.
    files : tuple of Path
        Files from which the input is made; their content is part of its hash.
    missing : str
        Why the input is not there; empty if it is. A missing input is an "unavailable" row of every competitor.
    alone : bool
        Whether to measure in a fresh process, for peak memory.
    place : mapping
        Where its files are on this machine, as plain data; no part of its hash.
    facts : mapping
        What metrics need of the input, as plain data: a result stores it, and every row has it. No row is measured
        again because of other facts.
    songs : tuple of str
        The recordings in the input, each as "artist - title" or the title alone: a competitor that was trained on one
        of them is not judged by the input. Empty for an input that is made from a seed.
    made_by : tuple of str
        Hashes of the components and the code that make the input's sound (:mod:`mashkit.bench.identity`). A row is
        measured again if they change. They are not part of the input's hash, so that results of different versions can
        be compared.
    """

    name: str = attrs.field(converter=encodable)
    measure: str
    parameters: Mapping[str, Any] = attrs.field(factory=dict, converter=frozen_mapping)
    files: tuple[Path, ...] = attrs.field(default=(), converter=as_tuple)
    missing: str = ""
    alone: bool = False
    place: Mapping[str, Any] = attrs.field(factory=dict, converter=frozen_mapping)
    facts: Mapping[str, Any] = attrs.field(factory=dict, converter=frozen_mapping)
    songs: tuple[str, ...] = attrs.field(default=(), converter=_encodable)
    made_by: tuple[str, ...] = attrs.field(default=(), converter=as_tuple)

    def songs_among(self, names: Iterable[str]) -> list[str]:
        """Return those songs of the input that are among the songs of these names."""
        named = list(names)
        return [song for song in self.songs if any(same_song(song, name) for name in named)]

    def digest(self) -> str:
        """Return a sha256 of all that defines the input."""
        whole = hashlib.sha256()
        # The reason differs between machines; results have to agree only in whether the input is missing.
        missing = "missing" if self.missing else ""
        whole.update(json.dumps([self.name, self.measure, dict(self.parameters), missing]).encode())
        for path in self.files:
            whole.update(file_sha256(path).encode())
        return whole.hexdigest()


def digest_of_all(inputs: Iterable[Input]) -> str:
    """Return a sha256 of all inputs of a suite, in whatever order: two results can be compared if it is the same."""
    return hashlib.sha256("".join(sorted(given.digest() for given in inputs)).encode()).hexdigest()


def same_song(one: str, other: str) -> bool:
    """Return whether two names are of one song, each "artist - title" or the title alone.

    Only letters and digits count, in either case and in either form of accents: folders are named "MusicDelta -
    Hendrix" and "Music Delta - Hendrix". Of a name without any, such as "!!!", all signs count. If one of the names has
    no artist, the titles decide, because it is worse to judge a network by a song of its training than to leave a song
    out.
    """
    names = [[_plain(part) for part in name.rpartition(" - ")[::2]] for name in (one, other)]
    (artist, title), (other_artist, other_title) = names
    return title == other_title and (artist == other_artist or not artist or not other_artist)


def _plain(name: str) -> str:
    plain = folded(name).strip()
    return "".join(letter for letter in plain if letter.isalnum()) or plain


@attrs.frozen(kw_only=True)
class Pick:
    """An input of which a page plays the sound.

    Parameters
    ----------
    group : str
        The heading above it.
    input : str
        The input's name.
    said : str
        The competitor's outcome, in words.
    label : str
        The competitor whose output is played; empty for the input itself, or its truth.
    part : str
        Name of one of several sounds (:meth:`Task.parts`); empty for the sound of :meth:`Task.sound`.
    """

    group: str
    input: str
    said: str
    label: str = ""
    part: str = ""

    @property
    def sound(self) -> str:
        """Name of the sound; picks of one name share a sound."""
        return json.dumps([self.input, self.part, self.label]) if self.part else self.input


@attrs.frozen
class Cell:
    """A cell of a :class:`Table`: its number, a second number in small print below it, and whether they count."""

    value: float | None
    below: float | None = None
    counts: bool = True


@attrs.frozen(kw_only=True)
class Table:
    """Numbers behind the metrics, such as those of single songs.

    Parameters
    ----------
    title, caption : str
    heads : tuple of str
    rows : tuple of (str, tuple of Cell)
        The heading and the cells of each row.
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
    """Published numbers of others, which the page shows beside ours and marks as theirs.

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
    """A task: its inputs, its measures and its metrics for components of one kind."""

    kind: ClassVar[str]
    summary: ClassVar[str]
    version: ClassVar[int]
    """To be raised when an input is measured in another way: rows of another version are measured again.

    Rows of a plugin's task are also measured again when the code of its package changes.
    """
    metrics: ClassVar[Sequence[Metric]]
    literature: ClassVar[Literature | None] = None
    picks_heading: ClassVar[tuple[str, str]] = ("Sounds", "")
    """Heading and sentence above the picks; the sentence may be empty."""
    scratch: Path | None = None
    """Folder in which a measurement may leave what those of other competitors need as well; set in their processes.

    It need not exist. What is in it is removed after each part of the inputs (:meth:`batches`). An interrupted run
    leaves it for the next.
    """

    @abstractmethod
    def inputs(self, settings: Mapping[str, Any], data: Path | None) -> list[Input]:
        """Return the inputs; called once, before any competitor is measured.

        Parameters
        ----------
        settings : mapping
            The suite's ``[settings]``, and its ``seed``.
        data : Path, optional
            Folder of real recordings. Inputs that it lacks are returned with ``missing`` set.

        Raises
        ------
        SuiteError
            If the settings do not fit: use :func:`mashkit.bench.tables.from_table`.
        """

    def batches(self, inputs: Sequence[Input]) -> Sequence[Sequence[Input]]:
        """Return the inputs in parts; every competitor is measured on one part before any is on the next.

        By default all are one part. A task that uses :attr:`scratch` bounds by this how much is in it. Each part costs
        a new process for each competitor.
        """
        return [inputs]

    @abstractmethod
    def warm_up(self, component: Component) -> None:
        """Use a component for the first time, so that the time in which it loads its weights counts as loading."""

    @abstractmethod
    def measure(self, component: Component, given: Input) -> dict[str, float]:
        """Return the raw numbers of one competitor on one input; called in the competitor's process.

        A number that is not finite makes the row "failed".

        Raises
        ------
        NotProvided
            If the component lacks the ability.
        InputLost
            If the sources of the input have gone.
        MashkitError
            If the component fails.
        """

    @abstractmethod
    def summarize(self, rows: Sequence[Row]) -> dict[str, float | None]:
        """Return each metric from one competitor's rows; None if the rows do not suffice."""

    def intervals(self, rows: Sequence[Row]) -> dict[str, tuple[float, float]]:
        """Return the 95 % intervals of the metrics that have one, from one competitor's rows."""
        return {}

    def draws(self, rows: Sequence[Row]) -> dict[str, list[float]]:
        """Return metrics of each draw alone, from one competitor's rows; empty if the inputs were drawn once.

        How they spread shows how much a metric depends on the seed of its inputs.
        """
        return {}

    def compare(self, rows: Mapping[str, Sequence[Row]]) -> list[Comparison]:
        """Return paired tests between competitors, given their rows by label."""
        return []

    def picks(self, rows: Sequence[Row]) -> list[Pick]:
        """Return the picks of one competitor's rows; empty if the task has no sound."""
        return []

    def sound(self, given: Input, longest_s: float) -> Audio:
        """Return the beginning of an input that :meth:`picks` names, at most ``longest_s`` seconds.

        Raises
        ------
        InputLost
            If the sources of the input have gone.
        """
        raise InputLost(f"task {type(self).__name__} has nothing to hear")

    def auditions(self, rows: Mapping[str, Sequence[Row]]) -> dict[str, list[Pick]]:
        """Return the picks under each heading, given the competitors' rows by label.

        By default the headings are the labels, with the result of :meth:`picks` under each.
        """
        return {label: self.picks(own) for label, own in rows.items()}

    def parts(self, component: Component | None, given: Input, longest_s: float) -> Mapping[str, Audio]:
        """Return the sounds that a component makes of an input, by part; without a component, the true sounds.

        Raises
        ------
        InputLost
            If the sources of the input have gone.
        MashkitError
            If the component fails.
        """
        raise InputLost(f"task {type(self).__name__} has nothing to hear")

    @abstractmethod
    def charts(self, competitors: Sequence[Entry], rows: Sequence[Row]) -> list[Chart]:
        """Return the charts of the page.

        Parameters
        ----------
        competitors : sequence of Entry
            Those that have metrics, best first.
        rows : sequence of Row
            Those that the metrics are of: of these competitors, and of the inputs by which all of them are judged.
        """

    def lead(
        self, competitors: Sequence[Entry], rows: Sequence[Row], comparisons: Sequence[Comparison], baseline: str
    ) -> list[str]:
        """Return sentences that stand above all: what was compared, on what, who won by how much, what is not known.

        By default there are none.

        Parameters
        ----------
        competitors : sequence of Entry
            Those that have metrics, best first.
        rows : sequence of Row
            Those that the metrics are of.
        comparisons : sequence of Comparison
        baseline : str
            Label with which every other one is compared; empty if every two are.
        """
        return []

    def tables(self, competitors: Sequence[Entry], rows: Sequence[Row]) -> list[Table]:
        """Return the tables that stand behind the metrics; by default none.

        The parameters are those of :meth:`charts`, but ``rows`` are all rows: those of songs that a competitor was
        trained on, too, marked by ``trained_on``.
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
        # A result of an earlier version may lack a metric.
        series={title: [one.metrics.get(name) for one in competitors] for title, name in names.items()},
        intervals={title: [one.intervals.get(name) for one in competitors] for title, name in names.items()},
        **drawn,
    )


def load_task(name: str) -> Task:
    """Import a task by its name.

    Returns
    -------
    Task
        Any error of its methods is an error of mashkit that names the task: see :mod:`mashkit.bench.fenced`.

    Raises
    ------
    SuiteError
        If no plugin brings a task of this name.
    BrokenPlugin
        If the task cannot be imported or made, or is not a whole task.
    """
    from mashkit.bench.fenced import fenced  # here, because it needs this module

    known = tasks()
    if name not in known:
        raise SuiteError(f"no task is called {name!r}", suggestion(name, known))
    target = known[name].target
    what = f"task {name!r}: {target} cannot be used"
    cls = imported(target, what)
    if not (isinstance(cls, type) and issubclass(cls, Task)) or inspect.isabstract(cls):
        raise BrokenPlugin(f"{what}: it is not a whole task", "tell its authors")
    for attribute, right in _ATTRIBUTES.items():
        value = getattr(cls, attribute, None)
        if not right(value):
            raise BrokenPlugin(f"{what}: it is not a whole task: its {attribute} is {value!r}", "tell its authors")
    with plugin_code(what, BrokenPlugin):
        return fenced(name, cls)()


_ATTRIBUTES: Mapping[str, Callable[[Any], bool]] = {
    "kind": lambda value: value in KINDS,
    "summary": lambda value: isinstance(value, str),
    "version": lambda value: isinstance(value, int),
    "metrics": lambda value: isinstance(value, Sequence) and all(isinstance(one, Metric) for one in value),
}
"""Attribute of a task's class → whether its value is right."""


@attrs.define
class Elapsed:
    """Time spent in a block: by the clock, and CPU of this process and of the programs that it ran."""

    wall_s: float = 0.0
    cpu_s: float = 0.0


@contextlib.contextmanager
def stopwatch() -> Iterator[Elapsed]:
    """Measure the time of a block; the numbers are there when the block has ended, also by an error."""
    elapsed = Elapsed()
    others = _others_cpu_s()
    wall, own = time.perf_counter(), time.process_time()
    try:
        yield elapsed
    finally:
        # To read the CPU time of other processes takes longer than a quick scorer: it is outside of both times.
        elapsed.wall_s = time.perf_counter() - wall
        own = time.process_time() - own
        elapsed.cpu_s = own + _others_cpu_s() - others


def _others_cpu_s() -> float:
    # os.times() counts in hundredths and only programs that have ended; an isolated component's worker still runs.
    times = os.times()
    living = sum(cpu_seconds(process) for process in family(os.getpid())[1:])
    return times.children_user + times.children_system + living
