"""The records that a result is made of: the suite, a row for each competitor and input, an entry for each competitor.

Records are typed and frozen. They become plain data only where a file is read or written: JSON, JSON lines, Parquet
(:mod:`mashkit.bench.results`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NotRequired, TypedDict

import attrs

from mashkit.bench.tables import SuiteError
from mashkit.types import as_tuple

OK, UNAVAILABLE, FAILED, TIMEOUT = STATUSES = ("ok", "unavailable", "failed", "timeout")


def _metrics(given: Mapping[str, float | None] | None) -> Mapping[str, float | None]:
    return given or {}  # files have null there if nothing could be measured


def _draws(given: Mapping[str, Sequence[float]] | None) -> dict[str, tuple[float, ...]]:
    return {name: tuple(values) for name, values in (given or {}).items()}


def _intervals(given: Mapping[str, tuple[float, float]] | None) -> dict[str, tuple[float, float]]:
    return {name: as_tuple(ends) for name, ends in (given or {}).items()}


class Description(TypedDict):
    """The entries of :meth:`mashkit.components.Component.described` that a result is shown with; there are more."""

    distribution: str | None
    version: str | None
    requires: Mapping[str, Any]
    options: Mapping[str, Any]
    engine: str
    engine_version: NotRequired[str]
    code_license: str
    weights_license: str


@attrs.frozen(kw_only=True)
class Row:
    """The outcome of one competitor on one input.

    Parameters
    ----------
    label, component : str
        The competitor and its component.
    input, measure : str
        The input's name and measure.
    input_missing : bool
        The input is not here: that is not a competitor's fault.
    status : {"ok", "unavailable", "failed", "timeout"}
    reason : str
        Why the status is not "ok".
    values : mapping of str to float
        The task's raw numbers; empty unless the status is "ok".
    wall_s, cpu_s : float, optional
        Time of the measurement.
    load_s : float, optional
        Time to create the component and to use it once. It is not part of the measurement.
    peak_memory_mb : float, optional
        The most memory that the competitor's process has held so far.
    trained_on : tuple of str
        The input's songs that the competitor was trained on. Such a row is shown, but the competitor is not judged by
        it.
    facts : mapping
        The facts of the input (:class:`mashkit.bench.tasks.Input`). A result stores them once for each input.
    key : str
        Hash of all that the row depends on. Only a run that goes on needs it; results leave it out, because it would be
        43 % of their bytes (ours).
    """

    label: str
    component: str
    input: str
    measure: str
    input_missing: bool = False
    status: str = attrs.field(validator=attrs.validators.in_(STATUSES))
    reason: str = ""
    values: Mapping[str, float] = attrs.field(factory=dict)
    wall_s: float | None = None
    cpu_s: float | None = None
    load_s: float | None = None
    peak_memory_mb: float | None = None
    trained_on: tuple[str, ...] = attrs.field(default=(), converter=as_tuple)
    facts: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    key: str = attrs.field(default="", eq=False, repr=False)

    @property
    def ok(self) -> bool:
        """Whether the row has values."""
        return self.status == OK

    def to_dict(self) -> dict[str, Any]:
        """Return the row as plain data, without the facts of its input and without its key."""
        data = {name: getattr(self, name) for name in _ROW_FIELDS}
        return data | ({"trained_on": list(self.trained_on)} if self.trained_on else {})

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Row:
        """Return the row that :meth:`to_dict` wrote; TypeError or ValueError if it is none."""
        return cls(**data)


_ROW_FIELDS = [field.name for field in attrs.fields(Row) if field.name not in ("trained_on", "facts", "key")]


@attrs.frozen(kw_only=True)
class Entry:
    """A competitor in a result: what it is, where it stands, and its metrics.

    Parameters
    ----------
    label, component : str
    options : mapping
        The options that differ from the component's defaults.
    description : mapping, optional
        :meth:`mashkit.components.Component.described`; None if the component could not be created.
    reason : str
        Why there are no metrics; empty if there are.
    load_s : float, optional
        Median over the rows.
    rank : int, optional
        None without metrics.
    score : float, optional
        0–100; None also if there is nobody to compare with (:class:`mashkit.bench.ranking.Standing`).
    broken : tuple of str
        Names of the musts that the competitor does not keep.
    metrics : mapping of str to float or None
        None for a metric that could not be measured; empty if nothing could.
    intervals : mapping of str to (float, float)
        95 % intervals of some metrics.
    draws : mapping of str to tuple of float
        Some metrics in each draw of the inputs; empty if they were drawn once.
    measured : str
        When, if in an earlier run than the rest of the result.
    """

    label: str
    component: str
    options: Mapping[str, Any] = attrs.field(factory=dict)
    description: Description | None = None
    reason: str = ""
    load_s: float | None = None
    rank: int | None = None
    score: float | None = None
    broken: tuple[str, ...] = attrs.field(default=(), converter=as_tuple)
    metrics: Mapping[str, float | None] = attrs.field(factory=dict, converter=_metrics)
    intervals: Mapping[str, tuple[float, float]] = attrs.field(factory=dict, converter=_intervals)
    draws: Mapping[str, tuple[float, ...]] = attrs.field(factory=dict, converter=_draws)
    measured: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the entry as plain data for JSON; ``metrics`` are null if nothing could be measured."""
        return attrs.asdict(self) | {"metrics": self.metrics or None}


LONGEST_NAME = 200
"""Most bytes of a suite's name, because file systems allow 255 with the suffix."""


def names_files(instance: object, attribute: attrs.Attribute[str], value: str) -> None:
    """Raise SuiteError unless a suite's name can be that of files: a validator of attrs."""
    fix = "the files of its result are called by the name: write it without / and \\, on one line"
    if not isinstance(value, str) or not value.isprintable() or value in ("", ".", "..") or set(value) & set("/\\"):
        raise SuiteError(f"a suite cannot be called {value!r}", fix)
    if len(value.encode()) > LONGEST_NAME:
        raise SuiteError(
            f"a suite's name has {len(value.encode())} bytes, and begins with {value[:20]!r}",
            f"the files of its result are called by the name: give {LONGEST_NAME} bytes or fewer",
        )


@attrs.frozen(kw_only=True)
class SuiteRecord:
    """A suite as its result records it: see :class:`mashkit.bench.suite.Suite`.

    ``sha256`` is its digest, ``task_version`` the version of the task that measured the rows; None in results of
    earlier versions.
    """

    name: str = attrs.field(validator=names_files)
    task: str
    title: str
    summary: str = ""
    timeout_s: float
    seed: int
    settings: Mapping[str, Any] = attrs.field(factory=dict)
    sha256: str
    baseline: str = ""
    task_version: int | None = None

    @property
    def inputs(self) -> dict[str, Any]:
        """The settings with the seed: the task makes its inputs from them."""
        return {**self.settings, "seed": self.seed}


@attrs.frozen(kw_only=True)
class Machine:
    """The machine of a run: the processor's name, the cores a process may use, and the memory, MB of 10⁶ bytes."""

    processor: str
    cores: int | None
    memory_mb: int

    @property
    def title(self) -> str:
        """The processor and, where they are known, its cores: "Intel Xeon, 2 cores"."""
        if self.cores is None:
            return self.processor
        return f"{self.processor}, {self.cores} core{'' if self.cores == 1 else 's'}"


# ------------------------------------------------------------------------------------------------------ rows of tasks
def by_label(rows: Iterable[Row], labels: Iterable[str] = ()) -> dict[str, list[Row]]:
    """Return the rows of each competitor; ``labels`` come first, also those without rows."""
    found: dict[str, list[Row]] = {label: [] for label in labels}
    for row in rows:
        found.setdefault(row.label, []).append(row)
    return found


def judged_by(rows: Iterable[Row]) -> list[Row]:
    """Return the rows by which competitors are judged: those of songs that the competitor was not trained on."""
    return [row for row in rows if not row.trained_on]


def judged_alone(labels: Iterable[str], rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Return the rows of :func:`judged_by` of each competitor."""
    wanted = list(labels)
    of = by_label(rows, wanted)
    return {label: judged_by(of[label]) for label in wanted}


def shared_by(labels: Iterable[str], rows: Iterable[Row]) -> dict[str, list[Row]] | None:
    """Return each competitor's rows of the inputs that none of them was trained on, and that none of them alone lacked.

    An input that went while the suite ran is missing for some competitors only. A competitor that was measured on none
    of the inputs that remain keeps the rows by which it is judged. The result is None if no input is left out, or none
    remains.
    """
    wanted = list(labels)
    of = by_label(rows, wanted)
    own_rows = [row for label in wanted for row in of[label]]
    left_out = {row.input for row in own_rows if row.trained_on} | unequally_missing(own_rows)
    shared = {label: [row for row in of[label] if row.input not in left_out] for label in wanted}
    measured = {label for label, own in shared.items() if any(row.ok for row in own)}
    if not left_out or not measured:
        return None
    return {label: own if label in measured else judged_by(of[label]) for label, own in shared.items()}


LEAST_SHARED = 0.5
"""Least share of the inputs that must be shared if numbers are to be of them alone. Otherwise one competitor that was
trained on most songs, or lacked them, would leave all the others with the numbers of a few."""


def counted(labels: Iterable[str], rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Return the rows that the numbers of each competitor are computed from.

    They are those of :func:`shared_by`, because numbers of different songs cannot stand beside each other. If all
    inputs are shared, or too few (:data:`LEAST_SHARED`), they are those by which each competitor is judged.
    """
    wanted, known = list(labels), list(rows)
    shared = shared_by(wanted, known)
    if shared is not None and shares_most(shared, known):
        return shared
    return judged_alone(wanted, known)


def shares_most(shared: Mapping[str, Iterable[Row]], rows: Iterable[Row]) -> bool:
    """Return whether the inputs of :func:`shared_by` are enough for numbers of them alone."""
    remain, there = (
        {row.input for row in some if row.ok} for some in (itertools.chain.from_iterable(shared.values()), rows)
    )
    return len(remain) >= LEAST_SHARED * len(there)


def unequally_missing(rows: Iterable[Row]) -> set[str]:
    """Return the inputs that are missing in some of these rows and not in others.

    Values with such an input and without it cannot be compared. A row that failed is not missing: it spoils its metric.
    """
    missing: dict[str, set[bool]] = {}
    for row in rows:
        missing.setdefault(row.input, set()).add(row.input_missing)
    return {name for name, seen in missing.items() if len(seen) > 1}


def collect(rows: Iterable[Row], field: str, *measures: str) -> list[float] | None:
    """Return one raw number from each row of these measures, for a metric.

    Rows of missing inputs are left out. The result is None if any other row has no values, because the best of a
    competitor's cases would be no fair measure of it.
    """
    chosen = [row for row in rows if row.measure in measures and not row.input_missing]
    return [row.values[field] for row in chosen] if chosen and all(row.ok for row in chosen) else None
