"""Run a suite: each competitor gets a process, each competitor and input a row; no row is measured twice.

Rows (:class:`mashkit.bench.records.Row`) are appended to ``<suite>.rows.jsonl`` as they come. A competitor that cannot
be created has a single row, whose input is :data:`EVERYTHING` and which stands for all inputs.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import os
import platform
import queue
import shutil
import statistics
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeAlias

import attrs

from mashkit.atomicfile import append_line, require_writable_folder
from mashkit.bench.comparisons import Comparison, against
from mashkit.bench.identity import plugins_code
from mashkit.bench.ranking import RULES, Metric, Standing, standings
from mashkit.bench.records import (
    FAILED,
    OK,
    TIMEOUT,
    UNAVAILABLE,
    Description,
    Entry,
    Machine,
    Row,
    by_label,
    counted,
    judged_by,
    shared_by,
)
from mashkit.bench.results import Result
from mashkit.bench.suite import Competitor, Suite
from mashkit.bench.tables import SuiteError
from mashkit.bench.tasks import Input, Task, digest_of_all, load_task
from mashkit.bench.worker import READY, WARM, Assignment
from mashkit.composite import is_composite
from mashkit.errors import ContractViolation, MashkitError, UnknownComponent, UsageError, suggestion
from mashkit.hookspecs import StageEvent
from mashkit.locks import held
from mashkit.paths import encodable, path_text
from mashkit.registry import Registry
from mashkit.remote.progress import listening
from mashkit.rendering.output import environment
from mashkit.workers.channel import Lost, TimedOut
from mashkit.workers.interpreter import Interpreter
from mashkit.workers.pickling import pack, unpack

EVERYTHING = "all inputs"
"""Input of the one row of a competitor that could not be created."""
STARTING_S = 600.0
"""Most seconds an interpreter may take to start and to import mashkit, which needs a second of CPU.

The time-out of a suite is for the competitor and begins after that: once for creating it, once for its first use and
once for each measurement. Starting alone took more than 15 s by the clock when ten processes shared two cores (ours).
"""
GIVE_UP_AFTER = 3
"""Processes lost in a row (killed by the time-out, or dead) after which a competitor's other inputs are not tried."""
NOT_TRIED = f"not tried: its process was lost {GIVE_UP_AFTER} times"
"""Reason of the rows of these inputs."""

OnRow = Callable[[Row, bool, int, int], None]
"""Receives (row, whether it was there already, inputs of all competitors so far, and in all)."""


def run(
    suite: Suite,
    folder: Path,
    *,
    data: Path | None = None,
    jobs: int = 1,
    registry: Registry | None = None,
    on_row: OnRow | None = None,
    notify: Callable[[StageEvent], object] = lambda _: None,
) -> Result:
    """Measure each row of a suite that has not been measured yet, and return the whole result.

    Parameters
    ----------
    suite : Suite
    folder : Path
        Holds ``<suite>.rows.jsonl``. The rows that an interrupted run left there are not measured again, except where
        an input had gone, or was not tried because the competitor's process had been lost too often.
    data : Path, optional
        Folder of real recordings.
    jobs : int
        Competitors at a time. More than one disturbs the timing.
    registry : Registry, optional
    on_row : callable, optional
        Called with every row, in this thread.
    notify : callable
        Called, in this thread, with each event of the preparation (a collection is separated) and each measurement as
        it begins.

    Raises
    ------
    UnknownComponent
        If a competitor's component is not installed and the suite does not say how to install it.
    OutputError
        If the folder cannot be written.
    MashkitError
        If another process is measuring the suite in the folder.
    SuiteError
        If the suite's settings make no sense to its task, or nothing of what it measures is here.
    ComponentFailed, ContractViolation
        If the task fails, or returns what its interface forbids.
    """
    with _alone(suite, require_writable_folder(folder)):
        return _measured(suite, folder, data, jobs, registry or Registry(), on_row, notify)


def _alone(suite: Suite, folder: Path) -> AbstractContextManager[None]:
    """Keep other processes from measuring a suite in the same folder: they would lose rows, and what they share."""
    taken = MashkitError(f"another process is measuring suite {suite.name!r} in {path_text(folder)}",
                         "wait for it, or choose another folder with -o")  # fmt: skip
    return held(_rows_path(suite, folder), taken)


def _measured(
    suite: Suite,
    folder: Path,
    data: Path | None,
    jobs: int,
    registry: Registry,
    on_row: OnRow | None,
    notify: Callable[[StageEvent], object],
) -> Result:
    """Return the result of :func:`run`, in a folder that this process has for itself."""
    task, inputs, book, matches = _prepared(suite, folder, data, registry, notify)
    batches = task.batches(inputs)
    if sorted(given.name for part in batches for given in part) != sorted(given.name for given in inputs):
        raise ContractViolation(f"task {suite.task!r}: its parts do not have every input once", "tell its authors")
    book.mend()
    described: dict[str, Description] = {}
    trained_on: dict[str, Sequence[str]] = {}
    by_name = {given.name: given for given in inputs}
    facts = {given.name: dict(given.facts) for given in inputs}
    rows: dict[tuple[str, str], Row] = {}
    total = len(suite.competitors) * len(inputs)
    done = 0
    for message in _in_batches(matches, batches, jobs):
        if isinstance(message, _Described):
            described[message.label] = message.description
            trained_on[message.label] = message.trained_on
            continue
        if isinstance(message, _Begun):
            item = f"{message.label}: {message.input}"
            notify(StageEvent(stage="bench", item=item, state="started", done=done, total=total))
            continue
        was_there = book.rows.get(message.key) == message
        row = message if was_there else book.add(message)
        given = by_name.get(row.input)
        if given is not None:
            # The rows file has neither, because both may differ the next time.
            songs = given.songs_among(trained_on.get(row.label, ()))
            row = attrs.evolve(row, trained_on=songs, facts=facts[row.input])
        rows[row.label, row.input] = row
        done += len(inputs) if row.input == EVERYTHING else 1
        if on_row is not None:
            on_row(row, was_there, done, total)
    places = [EVERYTHING, *(given.name for given in inputs)]
    ordered = [rows[one.label, place] for one in suite.competitors for place in places if (one.label, place) in rows]
    entries = [
        Entry(
            label=one.label, component=one.component, options=dict(one.options), description=described.get(one.label)
        )
        for one in suite.competitors
    ]  # fmt: skip
    competitors, comparisons = ranked(task, entries, ordered, suite.baseline)
    return Result(
        suite=suite.record(task.version),
        finished=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        machine=machine(),
        environment=environment(),
        metrics=task.metrics,
        same_inputs=True,
        competitors=competitors,
        comparisons=comparisons,
        inputs_sha256=digest_of_all(inputs),
        inputs={name: known for name, known in facts.items() if known},
        rows=ordered,
        jobs=jobs,
    )


@attrs.frozen
class Ahead:
    """What a run has to do for one competitor.

    Parameters
    ----------
    label : str
    measured : int
        Inputs whose rows are there.
    ahead : int
        Inputs that would be measured.
    missing : int
        Inputs that are not here.
    estimated_s : float, optional
        Time that it would take, s: the mean of all rows of this competitor in the file, for each input. None if it has
        none there.
    reason : str
        Why it cannot be measured; empty if it can.
    """

    label: str
    measured: int = 0
    ahead: int = 0
    missing: int = 0
    estimated_s: float | None = None
    reason: str = ""


def what_is_ahead(
    suite: Suite,
    folder: Path,
    *,
    data: Path | None = None,
    registry: Registry | None = None,
    notify: Callable[[StageEvent], object] = lambda _: None,
) -> list[Ahead]:
    """Return what :func:`run` would do, for every competitor; nothing is measured or written to the folder.

    Parameters and errors are those of :func:`run`. Every competitor is made once in its own process, because its rows
    are known by what it says of itself. The inputs are made as in a run, so a collection whose clips were never
    measured is measured, and kept in the cache.
    """
    _, inputs, book, matches = _prepared(suite, folder, data, registry or Registry(), notify)
    return [match.ahead(inputs, book.rows.values()) for match in matches]


def _prepared(
    suite: Suite, folder: Path, data: Path | None, registry: Registry, notify: Callable[[StageEvent], object]
) -> tuple[Task, list[Input], _Book, list[_Match]]:
    """Return a suite's task and inputs, the rows in the folder, and the matches; errors are those of :func:`run`."""
    task = load_task(suite.task)
    absent = {one.label: _why_absent(registry, task, one) for one in suite.competitors}
    with listening(notify):
        inputs = task.inputs(suite.record(task.version).inputs, data)
    if not inputs:
        raise SuiteError(f"suite {suite.name!r} measures nothing", "check its settings")
    if all(given.missing for given in inputs):
        why = "; ".join(dict.fromkeys(given.missing for given in inputs))
        raise SuiteError(f"suite {suite.name!r} finds nothing to measure here: {why}", "see `mashkit bench data`")
    book = _Book(_rows_path(suite, folder))
    whole: list[str | int] = [suite.digest(), task.version, *plugins_code(type(task))]
    known = _Known(whole, {given.name: [given.digest(), *given.made_by] for given in inputs}, book.rows, _places(data))
    # Nobody shares anything with a single competitor.
    scratch = folder / f"{suite.name}.scratch" if len(suite.competitors) > 1 else None
    matches = [_Match(suite, task, registry, one, absent[one.label], known, scratch) for one in suite.competitors]
    return task, inputs, book, matches


def _why_absent(registry: Registry, task: Task, competitor: Competitor) -> str:
    """Return why a competitor cannot be created here; the text is empty if it can."""
    if is_composite(competitor.component):
        return ""  # because its parts are looked for when it is made
    try:
        available = registry.find(task.kind, competitor.component.partition("@")[0]).availability()
    except UnknownComponent:
        if not competitor.install:
            raise
        return f"{task.kind} {competitor.component!r} is not installed ({competitor.install})"
    return "" if available.ok else f"{available.reason} ({available.fix or competitor.install})"


def _rows_path(suite: Suite, folder: Path) -> Path:
    return folder / f"{suite.name}.rows.jsonl"


class _Book:
    """The file of rows: it is read once, and then rows are only appended."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.rows: dict[str, Row] = {}
        self._whole_bytes = 0
        if not path.exists():
            return
        # As bytes, of which only "\n" ends a line: text has more characters at which it would be split.
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):  # the run was cut off while it wrote
                    break
                try:
                    row = Row.from_dict(json.loads(line))
                except (ValueError, TypeError) as error:
                    raise MashkitError(f"{path}, line {number}, is not a row: {error}", "remove that line") from error
                self.rows[row.key] = row
                self._whole_bytes += len(line)

    def mend(self) -> None:
        """Remove a last line that was cut off."""
        if self._path.exists():
            os.truncate(self._path, self._whole_bytes)

    def add(self, row: Row) -> Row:
        self.rows[row.key] = row
        # In ASCII, because a name of a file may hold what UTF-8 cannot encode.
        append_line(self._path, json.dumps({"key": row.key, **row.to_dict()}, allow_nan=False))
        return row


# ------------------------------------------------------------------------------------------------------- processes
@attrs.frozen
class _Described:
    label: str
    description: Description
    trained_on: Sequence[str]


@attrs.frozen
class _Begun:
    label: str
    input: str


_Message: TypeAlias = Row | _Described | _Begun


def _in_batches(matches: Sequence[_Match], batches: Sequence[Sequence[Input]], jobs: int) -> Iterator[_Message]:
    """Play matches on one part of the inputs after the other; what they share is removed after each."""
    scratch = matches[0].scratch
    for batch in batches:
        yield from _together(matches, batch, jobs)
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)


def _together(matches: Sequence[_Match], inputs: Sequence[Input], jobs: int) -> Iterator[_Message]:
    """Play matches in threads, ``jobs`` at a time, and yield what they say in this one."""
    said: queue.Queue[_Message | None] = queue.Queue()
    stop = threading.Event()

    def play(match: _Match) -> None:
        try:
            for message in match.play(inputs, stop):
                said.put(message)
        finally:
            said.put(None)

    with ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(play, match) for match in matches]
        try:
            for _ in matches:
                while (message := said.get()) is not None:
                    yield message
            for future in futures:
                future.result()
        finally:
            stop.set()
            for future in futures:
                future.cancel()
            for match in matches:
                match.kill()


class _Lost(MashkitError):
    """The competitor's process is gone; ``status`` is that of the row it was working on."""

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@attrs.frozen
class _Known:
    """What rows depend on besides the competitor, the rows there are, and the folders that readers do not need."""

    whole: Sequence[str | int]
    """What all rows depend on."""
    inputs: Mapping[str, Sequence[str]]
    """What the rows of each input depend on."""
    rows: Mapping[str, Row]
    places: Mapping[str, str]

    def outcome(self, key: str) -> Row | None:
        """Return the row of this key, unless it says nothing of the competitor: the input had gone or was not tried."""
        row = self.rows.get(key)
        return None if row is None or row.input_missing or row.reason == NOT_TRIED else row

    def passed_on(self, reason: str) -> str:
        """Return a reason without this machine's folders, as text for files: results are passed on, and committed."""
        for place, name in self.places.items():
            reason = reason.replace(place, name)
        return encodable(reason)


def _places(data: Path | None) -> dict[str, str]:
    """Return folders, the innermost first, and what stands for each in reasons."""
    named = {Path.home(): "~", Path.cwd(): "."} | ({} if data is None else {data.resolve(): "DATA"})
    inner = sorted(named.items(), key=lambda one: -len(one[0].parts))
    return {f"{place}{os.sep}": f"{name}{os.sep}" for place, name in inner if len(place.parts) > 1}


@attrs.define
class _Match:
    """One competitor against all inputs, a part of them at a time."""

    suite: Suite
    task: Task
    registry: Registry
    competitor: Competitor
    absent: str
    known: _Known
    scratch: Path | None
    _process: Interpreter | None = None
    _identity: str | None = None
    """Of the component; empty if there is none to measure, None before the first part."""
    _lost_in_a_row: int = 0

    def play(self, inputs: Sequence[Input], stop: threading.Event) -> Iterator[_Message]:
        """Yield a row for every input, and at first a description; one row alone if there is nobody to measure."""
        try:
            if self._identity is None:
                yield from self._introduced()
            if self._identity:
                yield from self._rows(self._identity, inputs, stop)
        finally:
            self.kill()

    def ahead(self, inputs: Sequence[Input], rows: Iterable[Row]) -> Ahead:
        """Return what :meth:`play` would do; ``rows`` are those in the file, of all competitors."""
        try:
            said = list(self._introduced())
        finally:
            self.kill()
        if not self._identity:
            return Ahead(self.competitor.label, reason="".join(one.reason for one in said if isinstance(one, Row)))
        here = [given for given in inputs if not given.missing]
        ahead = [given for given in here if self.known.outcome(self._row(self._identity, given, OK, "").key) is None]
        took = [row.wall_s for row in rows if row.label == self.competitor.label and row.wall_s is not None]
        return Ahead(
            self.competitor.label, measured=len(here) - len(ahead), ahead=len(ahead), missing=len(inputs) - len(here),
            estimated_s=len(ahead) * statistics.fmean(took) if took else None,
        )  # fmt: skip

    def _introduced(self) -> Iterator[_Message]:
        """Start the process, and yield what it says of the component, or the row of one that cannot be measured."""
        self._identity = ""
        everything = Input(name=EVERYTHING, measure="")
        if self.absent:
            yield self._row("", everything, UNAVAILABLE, self.absent)
            return
        try:
            answer = self._start()
        except _Lost as lost:
            yield self._row("", everything, lost.status, f"loading: {lost.problem}")
            return
        if answer["status"] != OK:
            yield self._row("", everything, answer["status"], answer["reason"])
            return
        self._identity = answer["identity"]
        yield _Described(self.competitor.label, answer["described"], answer["trained_on"])

    def _rows(self, identity: str, inputs: Sequence[Input], stop: threading.Event) -> Iterator[_Message]:
        used = False
        for given in inputs:
            row = self._row(identity, given, UNAVAILABLE, given.missing)
            known = row if given.missing else self.known.outcome(row.key)
            if known is not None:
                yield known
                continue
            if stop.is_set():
                return
            if self._lost_in_a_row == GIVE_UP_AFTER:
                yield attrs.evolve(row, status=FAILED, reason=NOT_TRIED)
                continue
            yield _Begun(self.competitor.label, given.name)
            try:
                if self._process is None or (given.alone and used):
                    self.kill()
                    self._start()
                self._send(given)
                outcome = self._receive(self.suite.timeout_s)
                if outcome["status"] == WARM:
                    outcome = self._receive(self.suite.timeout_s)
                row = attrs.evolve(row, **outcome | {"reason": self.known.passed_on(outcome["reason"])})
                self._lost_in_a_row, used = 0, True
            except _Lost as lost:
                if stop.is_set():
                    return
                row = attrs.evolve(row, status=lost.status, reason=self.known.passed_on(lost.problem))
                self._lost_in_a_row += 1
            yield row

    def _row(self, identity: str, given: Input, status: str, reason: str) -> Row:
        reason, known = self.known.passed_on(reason), self.known
        parts = [*known.whole, self.competitor.label, *known.inputs.get(given.name, [EVERYTHING])]
        # Without a component, or an input, to tell it apart, what is known is only why there is none.
        parts.append(identity if identity and not given.missing else f"{status}: {reason}")
        return Row(
            key=hashlib.sha256(json.dumps(parts).encode()).hexdigest(),
            label=self.competitor.label,
            component=self.competitor.component,
            input=given.name,
            measure=given.measure,
            input_missing=bool(given.missing),
            status=status,
            reason=reason,
        )

    def _start(self) -> dict[str, Any]:
        self._process = Interpreter("mashkit.bench.worker")
        self._send(sys.path)
        competitor, options = self.competitor, dict(self.competitor.options)
        self._send(
            Assignment(self.registry, self.suite.task, self.task.kind, competitor.component, options, self.scratch)
        )
        ready = self._receive(STARTING_S)
        assert ready["status"] == READY  # noqa: S101 — our own protocol
        return self._receive(self.suite.timeout_s)

    def _send(self, message: object) -> None:
        """Send the process a message; raises _Lost if it is gone."""
        with self._in_use() as process:
            process.allow(self.suite.timeout_s)
            process.send(pack(message))

    def _receive(self, timeout_s: float) -> dict[str, Any]:
        """Return the process's answer; raises _Lost if none comes in time."""
        with self._in_use() as process:
            process.allow(timeout_s)
            answer: dict[str, Any] = unpack(process.receive())
            return answer

    @contextlib.contextmanager
    def _in_use(self) -> Iterator[Interpreter]:
        """Yield the process; if it is lost, end it and raise _Lost with what its row says."""
        process = self._process  # when all is stopped, another thread takes it away
        if process is None:
            raise _Lost(FAILED, "its process was stopped")
        try:
            yield process
        except TimedOut as late:
            self.kill()
            raise _Lost(TIMEOUT, f"took longer than {late.allowed_s:g} s and was stopped") from None
        except Lost as lost:
            self.kill()
            status = process.process.returncode
            how = f"died with exit status {status}" if status is not None and status >= 0 else lost.reason
            raise _Lost(FAILED, ": ".join([f"its process {how}", *map(str.strip, process.last_lines(1))])) from None

    def kill(self) -> None:
        """End the process, whatever it is doing."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()


# --------------------------------------------------------------------------------------------------------- result
def machine() -> Machine:
    """Return the processor's name, the cores that this process may use, and the memory."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        names = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")]
    except OSError:
        names = []
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e6
    return Machine(processor=names[0] if names else platform.processor(), cores=cores, memory_mb=round(memory))


def ranked(
    task: Task, entries: Sequence[Entry], rows: Sequence[Row], baseline: str = ""
) -> tuple[list[Entry], list[Comparison]]:
    """Return the entries with their places, metrics and intervals, best first, and the tests between them.

    All of these are of the inputs that every competitor is judged by (:func:`mashkit.bench.records.counted`).

    Parameters
    ----------
    task : Task
    entries : sequence of Entry
        A competitor each: label, component, options, description.
    rows : sequence of Row
        All rows of all of them.
    baseline : str
        Label with which every other one is compared. If it is empty or was not measured, every two are compared.
    """
    of = by_label(rows, [one.label for one in entries])
    judged = counted([label for label, own in of.items() if any(row.ok for row in judged_by(own))], rows)
    metrics = {label: task.summarize(own) for label, own in judged.items()}
    places = places_of(task, task.metrics, metrics, rows)
    found = []
    for one in entries:
        own = of[one.label]
        loads = [row.load_s for row in own if row.load_s is not None]
        found.append(
            Entry(
                label=one.label,
                component=one.component,
                options=one.options,
                description=one.description,
                measured=one.measured,
                load_s=statistics.median(loads) if loads else None,
                reason="" if one.label in judged else _why_not_measured(own),
                metrics=metrics.get(one.label),
                intervals=task.intervals(judged[one.label]) if one.label in judged else {},
                draws=task.draws(judged[one.label]) if one.label in judged else {},
            )
        )
    comparisons = task.compare({label: judged[label] for label in places})
    return placed(found, places), against(comparisons, baseline) if baseline in places else comparisons


def places_of(
    task: Task, metrics: Sequence[Metric], values: Mapping[str, Mapping[str, float | None]], rows: Sequence[Row]
) -> dict[str, Standing]:
    """Return the places of competitors, best first, by the inputs of :func:`mashkit.bench.records.shared_by`.

    Numbers of different songs cannot be ranked. If no input is shared, the places are those of the values.

    Parameters
    ----------
    task : Task
    metrics : sequence of Metric
        Those to rank by.
    values : mapping of str to mapping
        Label → metric → value, as shown.
    rows : sequence of Row
        All rows of these competitors; those of others do no harm.
    """
    shared = shared_by(values, rows)
    if shared is None:
        return standings(metrics, values)
    names = [metric.name for metric in metrics]
    summaries = {label: task.summarize(own) for label, own in shared.items()}
    return standings(metrics, {label: {name: own.get(name) for name in names} for label, own in summaries.items()})


def recomputed(result: Result, baseline: str = "") -> Result:
    """Return a result with metrics, intervals, order and tests computed from its rows by this version's rules.

    Parameters
    ----------
    result : Result
        With its rows.
    baseline : str
        Label with which every other one is compared; empty for that of the suite.

    Raises
    ------
    UsageError
        If no competitor has that label, or rows and competitors are not of the same labels.
    """
    labels = [one.label for one in result.competitors]
    if apart := {row.label for row in result.rows} ^ set(labels):
        raise UsageError(
            f"{', '.join(sorted(apart))}: rows without a competitor, or a competitor without rows",
            "give the .json and its rows as `mashkit bench run` wrote them",
        )
    if baseline and baseline not in labels:
        raise UsageError(f"baseline {baseline!r} is not a competitor of this result", suggestion(baseline, labels))
    suite = attrs.evolve(result.suite, baseline=baseline or result.suite.baseline)
    task = load_task(suite.task)
    # In the order of the rows, which is that of the suite: places of equal scores are then those of the first time.
    places = list(by_label(result.rows))
    entries = sorted(result.competitors, key=lambda one: places.index(one.label))
    competitors, comparisons = ranked(task, entries, result.rows, suite.baseline)
    return attrs.evolve(
        result, suite=suite, metrics=task.metrics, rules=RULES, same_inputs=True, competitors=competitors,
        comparisons=comparisons,
    )  # fmt: skip


def _why_not_measured(rows: Sequence[Row]) -> str:
    # A competitor that cannot run here has one reason, in all its rows but those of missing inputs.
    reason = next((row for row in rows if not row.input_missing), rows[0]).reason
    return reason or "it was trained on every song there is to judge it by"


def placed(entries: Sequence[Entry], places: Mapping[str, Standing]) -> list[Entry]:
    """Return entries at their places, best first; entries without a place come last."""
    by_name = {one.label: one for one in entries}
    first = [
        attrs.evolve(by_name[label], rank=place.rank, score=place.score, broken=place.broken)
        for label, place in places.items()
    ]
    return [*first, *(one for one in entries if one.label not in places)]
