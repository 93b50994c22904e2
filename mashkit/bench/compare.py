"""Compare two results of one suite, check limits to how much worse a metric may get, and merge many results.

Results are comparable if they are of the same task, settings and inputs; other results are refused, with the reason.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from mashkit.bench.ranking import Metric
from mashkit.bench.records import Entry, Row, by_label, unequally_missing
from mashkit.bench.results import SUFFIXES, Result, read_result
from mashkit.bench.runner import placed, places_of, ranked
from mashkit.bench.tasks import Task, load_task
from mashkit.errors import OutputError, UsageError, suggestion


class NotComparable(UsageError):
    """Two results that are not of the same task, settings and inputs."""


@attrs.frozen
class Limit:
    """The most a metric may change for the worse.

    Parameters
    ----------
    metric : str
        Its name.
    change : float
        Negative if less is worse, positive if more is worse, or if farther from the ideal value is.
    relative : bool
        Whether the change is a share of the old value, and not in the metric's unit.
    ideal : float, optional
        The metric's ideal value: the change is that of the distance from it.
    """

    metric: str
    change: float
    relative: bool
    ideal: float | None = None

    @classmethod
    def parse(cls, text: str, metrics: Sequence[Metric]) -> Limit:
        """Read ``METRIC:CHANGE``: "accuracy:-0.5%" or "average_rank:+0.1".

        A change in per cent is in points for a metric in per cent, and relative to the old value for other metrics.

        Raises
        ------
        UsageError
            If there is no such metric, or the change is no number with a sign, or its sign is that of the better.
        """
        name, _, change = text.partition(":")
        known = {metric.name: metric for metric in metrics}
        if name not in known:
            raise UsageError(f"--fail-on {text}: no metric is called {name!r}", suggestion(name, known))
        match = re.fullmatch(r"([+-]\d+(?:\.\d+)?)(%?)", change)
        if match is None:
            raise UsageError(f"--fail-on {text}: {change!r} is not a change", f"write it like {name}:-0.5")
        value = float(match[1])
        metric = known[name]
        worse = -1.0 if metric.goal == "higher" else 1.0
        if math.copysign(1.0, value) != worse:
            raise UsageError(
                f"--fail-on {text}: {metric.goal} is better",
                f"write {name}:{'-' if worse < 0 else '+'}{abs(value):g}{match[2]}",
            )
        relative = match[2] == "%" and metric.unit != "%"
        return cls(name, value / 100 if relative else value, relative, metric.ideal)

    def broken_by(self, old: float, new: float) -> bool:
        """Return whether the change from old to new is beyond the limit; a change equal to the limit is not."""
        if self.ideal is not None:
            old, new = abs(old - self.ideal), abs(new - self.ideal)
        allowed = abs(old) * self.change if self.relative else self.change
        # A change that equals the limit as printed may be beyond it in the last bit.
        beyond = (new - old - allowed) * (math.copysign(1.0, self.change))
        return beyond > 1e-9 * max(1.0, abs(old))


@attrs.frozen(kw_only=True)
class Change:
    """The change of one metric of one competitor.

    Parameters
    ----------
    label, metric : str
    old, new : float, optional
        None if the metric was not measured.
    low, high : float, optional
        95 % interval of the change, if the task has one.
    failed : str
        Why the change is a failure; empty if it is none.
    """

    label: str
    metric: str
    old: float | None
    new: float | None
    low: float | None = None
    high: float | None = None
    failed: str = ""


@attrs.frozen
class Compared:
    """The comparison of two results.

    Parameters
    ----------
    changes : tuple of Change
    only_old, only_new : tuple of str
        Labels that only one of the results has.
    notes : tuple of str
        A sentence for each competitor whose numbers are of other inputs in one result than in the other, so that its
        values here are of other inputs than in its results.
    """

    changes: tuple[Change, ...]
    only_old: tuple[str, ...]
    only_new: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def failures(self) -> list[Change]:
        """The changes beyond a limit."""
        return [change for change in self.changes if change.failed]


def compare(old: Result, new: Result, limits: Sequence[str] = ()) -> Compared:
    """Compare two results of one suite.

    Parameters
    ----------
    old, new : Result
    limits : sequence of str
        See :meth:`Limit.parse`. A metric that is no longer measured is beyond any limit, also of a competitor that the
        new result lacks.

    Raises
    ------
    NotComparable
        If they are not of the same task, settings and inputs, or have no competitor in common.
    UsageError
        If a limit makes no sense, or is of a metric that neither result has, or that another limit is of.
    """
    reason = why_not_comparable(old, new)
    if reason:
        raise NotComparable(f"these two results cannot be compared: {reason}", "run the same suite on the same data")
    before, after = ({one.label: one for one in result.competitors} for result in (old, new))
    common = [label for label in before if label in after]
    if not common:
        raise NotComparable("these two results have no competitor in common", "give two with the same labels")
    asked = _asked(limits, new.metrics, [*before.values(), *after.values()])
    changes, notes = [], []
    behind = old.counted, new.counted
    for label in common:
        sides = _Sides(old, new, label, [counted.get(label, []) for counted in behind])
        values = [before[label].metrics, after[label].metrics]
        if all(values) and sides.differ:
            notes.append(sides.note)
            values = sides.values()
        intervals = sides.intervals() if all(values) else {}
        for metric in new.metrics:
            one, other = (known.get(metric.name) for known in values)
            measured = before[label].metrics.get(metric.name) is not None
            failed = _failed(asked.get(metric.name), one, other, measured=measured)
            if one is None and other is None and not failed:
                continue
            low, high = intervals.get(metric.name, (None, None))
            changes.append(
                Change(label=label, metric=metric.name, old=one, new=other, low=low, high=high, failed=failed)
            )
    only_old = [label for label in before if label not in after]
    changes += [
        Change(label=label, metric=name, old=value, new=None, failed=_failed(limit, value, None, measured=True))
        for label in only_old
        for name, limit in asked.items()
        if (value := before[label].metrics.get(name)) is not None
    ]
    return Compared(
        tuple(changes), tuple(only_old), tuple(label for label in after if label not in before), tuple(notes)
    )


def _asked(limits: Sequence[str], metrics: Sequence[Metric], entries: Sequence[Entry]) -> dict[str, Limit]:
    """Return the limits by their metrics; raise UsageError for one that could never be exceeded, or stands twice."""
    asked: dict[str, Limit] = {}
    for text in limits:
        limit = Limit.parse(text, metrics)
        if limit.metric in asked:
            raise UsageError(f"--fail-on {text}: another limit is of {limit.metric}, too", "give one")
        if all(one.metrics.get(limit.metric) is None for one in entries):
            raise UsageError(f"--fail-on {text}: neither result has {limit.metric}", "give a metric that was measured")
        asked[limit.metric] = limit
    return asked


def _failed(limit: Limit | None, old: float | None, new: float | None, *, measured: bool) -> str:
    """Return why a change is a failure; ``measured`` states whether the old result has the metric."""
    if limit is None or not measured:
        return ""
    if old is None:
        return "no input of the metric is judged in both"
    if new is None:
        return "it is no longer measured"
    return "beyond the limit" if limit.broken_by(old, new) else ""


class _Sides:
    """The rows of one competitor in two results, of the inputs that it is judged by in both.

    ``behind`` has the rows that its numbers in each result are of.
    """

    def __init__(self, old: Result, new: Result, label: str, behind: Sequence[Sequence[Row]]) -> None:
        sides = [[row for row in result.rows if row.label == label] for result in (old, new)]
        songs = [{row.input for row in side if row.trained_on} for side in sides]
        self._lost = unequally_missing(row for side in sides for row in side)
        self._learnt = songs[0] != songs[1]
        self._task = load_task(new.suite.task)
        self._label = label
        one, other = ({row.input for row in side} for side in behind)
        self._apart = one != other
        left_out = songs[0] | songs[1] | self._lost
        own = [[row for row in side if row.input not in left_out] for side in sides]
        self._old, self._new = own if self.differ else behind

    @property
    def differ(self) -> bool:
        """Whether the competitor's numbers are of other inputs in one result than in the other."""
        return self._learnt or bool(self._lost) or self._apart

    @property
    def note(self) -> str:
        """What the values are of."""
        why = []
        if self._learnt:
            why.append("was trained on other songs")
        if self._lost:
            why.append("lacked other inputs")
        if not why:  # those beside it were trained on songs, or lacked inputs
            why.append("has numbers of other inputs")
        return (
            f"{self._label} {' and '.join(why)} in A than in B: its values and changes here are of the "
            f"{len({row.input for row in self._new})} inputs by which it is judged in both"
        )

    def values(self) -> list[Mapping[str, float | None]]:
        """Return the metrics of both sides."""
        return [self._task.summarize(side) for side in (self._old, self._new)]

    def intervals(self) -> dict[str, tuple[float | None, float | None]]:
        """Return the interval of each change for which the task computes one, new − old."""
        tests = self._task.compare({"new": self._new, "old": self._old})
        return {test.metric: (test.low, test.high) for test in tests}


def why_not_comparable(one: Result, other: Result) -> str:
    """Return why two results cannot be compared; the text is empty if they can."""
    suites = one.suite, other.suite
    if suites[0].task != suites[1].task:
        return f"one is of task {suites[0].task!r}, the other of {suites[1].task!r}"
    versions = suites[0].task_version, suites[1].task_version
    if None not in versions and versions[0] != versions[1]:  # earlier results do not have it
        return f"one is of version {versions[0]} of task {suites[0].task!r}, the other of version {versions[1]}"
    if suites[0].sha256 != suites[1].sha256:
        sides = [{"seed": suite.seed, "timeout_s": suite.timeout_s, **suite.settings} for suite in suites]
        names = sorted(name for name in {*sides[0], *sides[1]} if sides[0].get(name) != sides[1].get(name))
        said = "; ".join(f"{name} {sides[0].get(name)} and {sides[1].get(name)}" for name in names)
        return f"their settings differ: {said}"
    if None in (one.inputs_sha256, other.inputs_sha256):
        return "one was made before results recorded their inputs"
    if one.inputs_sha256 != other.inputs_sha256:
        return "their inputs differ: another collection, or files in it have changed"
    if [metric.name for metric in one.metrics] != [metric.name for metric in other.metrics]:
        return "they have other metrics: one was made by another version of mashkit"
    return ""


def joined(result: Result, earlier: Result) -> Result:
    """Return a result with the competitors of an earlier result that it lacks, all ranked together.

    Parameters
    ----------
    result, earlier : Result
        Of one suite and the same inputs: :func:`why_not_comparable` returns an empty text.
    """
    present = {one.label for one in result.competitors}
    kept = [
        attrs.evolve(one, measured=one.measured or earlier.finished)
        for one in earlier.competitors
        if one.label not in present
    ]
    if not kept:
        return result
    labels = {one.label for one in kept}
    facts = {**earlier.inputs, **result.inputs}
    # The facts of one input may have changed: the newer ones count.
    theirs = [attrs.evolve(row, facts=facts.get(row.input, {})) for row in earlier.rows if row.label in labels]
    rows = [*result.rows, *theirs]
    competitors, comparisons = ranked(
        load_task(result.suite.task), [*result.competitors, *kept], rows, result.suite.baseline
    )
    return attrs.evolve(
        result,
        same_inputs=True,
        competitors=competitors,
        comparisons=comparisons,
        inputs=facts,
        rows=rows,
        kept=sorted(labels),
    )


def with_earlier(result: Result, folder: Path) -> tuple[Result, list[str]]:
    """Return a result with the other competitors of the folder's earlier result of the suite.

    Competitors that were not measured now, as with ``--only``, are kept. An earlier result that cannot be compared or
    read is renamed, so that no file is written over it.

    Returns
    -------
    result : Result
    notes : list of str
        Sentences about what was kept.

    Raises
    ------
    OutputError
        If a file cannot be renamed.
    """
    name = result.suite.name
    path = folder / f"{name}.json"
    if not path.exists():
        return result, []
    try:
        earlier = read_result(path)
        reason = why_not_comparable(earlier, result)
    except UsageError as error:
        reason = error.problem
    if reason:
        kept = _set_aside(folder, name)
        return result, [f"an earlier result is kept as {kept}: {reason}"]
    whole = joined(result, earlier)
    return whole, [f"kept from the earlier result in {path}: {', '.join(whole.kept)}"] if whole.kept else []


def _set_aside(folder: Path, name: str) -> Path:
    """Rename the files of a result to names that no file has; return the new .json."""
    number = 1
    while any((folder / f"{name}.before-{number}{suffix}").exists() for suffix in SUFFIXES):
        number += 1
    try:
        for suffix in SUFFIXES:
            with contextlib.suppress(FileNotFoundError):
                (folder / f"{name}{suffix}").rename(folder / f"{name}.before-{number}{suffix}")
    except OSError as error:
        raise OutputError(f"{folder}: an earlier result cannot be renamed: {error.strerror}") from error
    return folder / f"{name}.before-{number}.json"


# ------------------------------------------------------------------------------------------------------ leaderboard
@attrs.frozen
class Board:
    """Comparable results merged into one, and the files that it is made of."""

    result: Result
    files: tuple[Path, ...]


def boards(folder: Path) -> tuple[list[Board], dict[Path, str]]:
    """Merge the comparable results of a folder, and rank the competitors of several anew.

    A single result keeps its order. In several, as in a run, numbers, rank and score are of the inputs that none of the
    competitors was trained on.

    Of two entries with one label and the same component, options and versions the newer counts; other entries with one
    label get the name of their file in their label.

    Returns
    -------
    boards : list of Board
        One for each suite and inputs, by name; empty if every file is refused.
    refused : dict of Path to str
        Files that are not results, or have lost their rows, and the reasons.

    Raises
    ------
    UsageError
        If the folder holds no .json at all.
    MashkitError
        If reading rows needs pyarrow, which is not installed.
    """
    groups: list[list[tuple[Path, Result]]] = []
    refused: dict[Path, str] = {}
    for path in sorted(folder.glob("*.json")):
        try:
            result = read_result(path)
        except UsageError as error:
            refused[path] = error.problem.removeprefix(f"{path} ")
            continue
        for group in groups:
            # With all of the group, because a result without its task's version fits two that differ.
            if not any(why_not_comparable(other, result) for _, other in group):
                group.append((path, result))
                break
        else:
            groups.append([(path, result)])
    if not groups and not refused:
        raise UsageError(f"no result of a benchmark in {folder}", "give the folder that holds .json results")
    return [_merged(group) for group in groups], refused


def _merged(group: Sequence[tuple[Path, Result]]) -> Board:
    newest = sorted(group, key=lambda one: one[1].finished)
    files = tuple(path for path, _ in newest)
    last = newest[-1][1]
    if len(newest) == 1:
        return Board(last, files)
    entries: dict[tuple[str, str], tuple[Path, Entry]] = {}
    own: dict[Path, dict[str, list[Row]]] = {path: by_label(result.rows) for path, result in newest}
    behind = {path: result.counted for path, result in newest}
    measured = [(one.measured or result.finished, path, one) for path, result in newest for one in result.competitors]
    # By when each was measured, because the newest file may have kept an entry that another file has anew.
    for _, path, one in sorted(measured, key=lambda found: found[0]):
        entries[one.label, repr(one.description)] = (path, one)
    labels = [label for label, _ in entries]
    competitors, rows = [], []
    inputs: dict[str, set[str]] = {}
    for path, one in entries.values():
        label = one.label if labels.count(one.label) == 1 else f"{one.label} ({path.stem})"
        competitors.append(attrs.evolve(one, label=label))
        rows += [attrs.evolve(row, label=label) for row in own[path].get(one.label, ())]
        inputs[label] = {row.input for row in behind[path].get(one.label, ())}
    merged = attrs.evolve(last, competitors=competitors, rows=rows, comparisons=(), same_inputs=True)
    task = load_task(last.suite.task)
    counted = merged.counted
    # An entry keeps the numbers that it was published with, unless they are of other inputs than those that count here.
    competitors = [
        _of(one, task, last.metrics, counted[one.label])
        if one.label in counted and {row.input for row in counted[one.label]} != inputs[one.label]
        else one
        for one in competitors
    ]
    metrics = {one.label: one.metrics for one in competitors if one.metrics}
    places = places_of(task, last.metrics, metrics, rows)
    return Board(attrs.evolve(merged, competitors=placed(competitors, places)), files)


def _of(one: Entry, task: Task, metrics: Sequence[Metric], rows: Sequence[Row]) -> Entry:
    """Return an entry with its numbers computed from these rows."""
    values = task.summarize(rows)
    return attrs.evolve(
        one, metrics={metric.name: values.get(metric.name) for metric in metrics}, intervals=task.intervals(rows),
        draws=task.draws(rows),
    )  # fmt: skip
