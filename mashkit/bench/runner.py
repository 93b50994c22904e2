"""Run a suite: a process for every competitor, a row for every competitor and input, nothing measured twice.

A row is plain data: ``key`` (what it depends on; results are without it), ``label``, ``component``, ``input``,
``measure``, ``input_missing``, ``status`` ("ok", "unavailable", "failed" or "timeout"), ``reason``, ``values`` (the raw
numbers), ``wall_s`` and ``cpu_s`` of the measurement, ``load_s`` (creating the component and its first use, apart from
the run), ``peak_memory_mb`` of the process so far. A row of songs that the competitor was trained on has their names as
``trained_on``: it is shown, and nothing is judged by it. Rows are appended to ``<suite>.rows.jsonl`` as they come.

A competitor that cannot even be created has one row, whose input is :data:`EVERYTHING`: it stands for all of them.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import os
import platform
import queue
import statistics
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeAlias

import attrs

from mashkit.atomicfile import require_writable_folder, write_text
from mashkit.bench.ranking import RULES, Standing, standings
from mashkit.bench.results import FORMAT, without_keys
from mashkit.bench.suite import Competitor, Suite
from mashkit.bench.tables import SuiteError
from mashkit.bench.tasks import FAILED, OK, TIMEOUT, UNAVAILABLE, Input, Row, Task, load_task
from mashkit.bench.worker import READY, WARM, Assignment
from mashkit.composite import is_composite
from mashkit.errors import MashkitError, UnknownComponent
from mashkit.hookspecs import StageEvent
from mashkit.registry import Registry
from mashkit.remote.progress import heard_by
from mashkit.rendering.output import environment
from mashkit.workers.channel import Lost, TimedOut
from mashkit.workers.interpreter import Interpreter
from mashkit.workers.pickling import pack, unpack

EVERYTHING = "all inputs"
"""Input of the one row of a competitor that could not be created."""
STARTING_S = 600.0
"""Most seconds an interpreter may take to start and to import mashkit, a second of CPU.

A suite's time-out is the competitor's and begins after that, once for creating it, once for its first use and once for
each measurement: where ten processes shared two cores, starting alone was seen to take more than 15 s by the clock.
"""
GIVE_UP_AFTER = 3
"""Processes lost in a row (killed by the time-out, or dead) after which a competitor's other inputs are not tried."""

Listener = Callable[[Row, bool, int, int], None]
"""Hears of (row, whether it was there already, inputs of all competitors so far, and in all)."""


def run(
    suite: Suite,
    folder: Path,
    *,
    data: Path | None = None,
    jobs: int = 1,
    registry: Registry | None = None,
    heard: Listener | None = None,
    notify: Callable[[StageEvent], object] = lambda _: None,
) -> dict[str, Any]:
    """Measure what of a suite is not measured yet, and return the whole result as plain data.

    Parameters
    ----------
    suite : Suite
    folder : Path
        Holds ``<suite>.rows.jsonl``; what an interrupted run left there is gone on from.
    data : Path, optional
        Folder of real recordings.
    jobs : int
        Competitors at a time. More than one disturbs the timing.
    registry : Registry, optional
    heard : callable, optional
        Told of every row, in this thread.
    notify : callable
        Hears what is done before the first row, as separating a collection, and of each measurement as it begins; in
        this thread.

    Raises
    ------
    UnknownComponent
        If a competitor's component is not installed and the suite does not say how to install it.
    OutputError
        If the folder cannot be written.
    SuiteError
        If the suite's settings make no sense to its task, or nothing of what it measures is here.
    """
    require_writable_folder(folder)
    registry = registry or Registry()
    task = load_task(suite.task)
    absent = {one.label: _why_absent(registry, task, one) for one in suite.competitors}
    with heard_by(notify):
        inputs = task.inputs({**suite.settings, "seed": suite.seed}, data)
    if not inputs:
        raise SuiteError(f"suite {suite.name!r} measures nothing", "check its settings")
    if all(given.missing for given in inputs):
        why = "; ".join(dict.fromkeys(given.missing for given in inputs))
        raise SuiteError(f"suite {suite.name!r} finds nothing to measure here: {why}", "see `mashkit bench data`")
    book = _Book(folder / f"{suite.name}.rows.jsonl")
    described: dict[str, Mapping[str, Any]] = {}
    trained_on: dict[str, Sequence[str]] = {}
    by_name = {given.name: given for given in inputs}
    rows: dict[tuple[str, str], Row] = {}
    total = len(suite.competitors) * len(inputs)
    digests = {given.name: given.digest() for given in inputs}
    known = _Known(suite.digest(), task.version, digests, book.rows, _places(data))
    matches = [_Match(suite, task, one, absent[one.label], inputs, known) for one in suite.competitors]
    done = 0
    for message in _together(matches, jobs):
        if isinstance(message, _Described):
            described[message.label] = message.description
            trained_on[message.label] = message.trained_on
            continue
        if isinstance(message, _Begun):
            item = f"{message.label}: {message.input}"
            notify(StageEvent(stage="bench", item=item, state="started", done=done, total=total))
            continue
        was_there = message["key"] in book.rows
        row = book.rows[message["key"]] if was_there else book.add(message)
        # The rows file does not keep it, because a competitor may tell more of itself the next time.
        given = by_name.get(row["input"])
        if given is not None and (songs := given.songs_among(trained_on.get(row["label"], ()))):
            row = {**row, "trained_on": songs}
        rows[row["label"], row["input"]] = row
        done += len(inputs) if row["input"] == EVERYTHING else 1
        if heard is not None:
            heard(row, was_there, done, total)
    places = [EVERYTHING, *(given.name for given in inputs)]
    ordered = [rows[one.label, place] for one in suite.competitors for place in places if (one.label, place) in rows]
    return _result(suite, task, described, inputs, ordered) | {"jobs": jobs}


def _why_absent(registry: Registry, task: Task, competitor: Competitor) -> str:
    """Return why a competitor cannot be created here; empty if it may."""
    if is_composite(competitor.component):
        return ""  # its parts are looked for when it is made
    try:
        available = registry.find(task.kind, competitor.component.partition("@")[0]).availability()
    except UnknownComponent:
        if not competitor.install:
            raise
        return f"{task.kind} {competitor.component!r} is not installed ({competitor.install})"
    return "" if available.ok else f"{available.reason} ({available.fix or competitor.install})"


class _Book:
    """The rows file: read once, then only ever appended to."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.rows: dict[str, Row] = {}
        if not path.exists():
            return
        lines = path.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                if number == len(lines):  # the run was cut off while it wrote
                    continue
                raise MashkitError(f"{path}, line {number}, is not JSON: {error}", "remove that line") from error
            self.rows[row["key"]] = row
        write_text(path, "".join(f"{_line(row)}\n" for row in self.rows.values()))

    def add(self, row: Row) -> Row:
        self.rows[row["key"]] = row
        with self._path.open("a", encoding="utf-8") as file:
            file.write(f"{_line(row)}\n")
        return row


def _line(row: Row) -> str:
    return json.dumps(row, ensure_ascii=False, allow_nan=False)


# ------------------------------------------------------------------------------------------------------- processes
@attrs.frozen
class _Described:
    label: str
    description: Mapping[str, Any]
    trained_on: Sequence[str]


@attrs.frozen
class _Begun:
    label: str
    input: str


_Message: TypeAlias = Row | _Described | _Begun


def _together(matches: Sequence[_Match], jobs: int) -> Iterator[_Message]:
    """Play matches in threads, ``jobs`` at a time, and yield what they say in this one."""
    said: queue.Queue[_Message | None] = queue.Queue()
    stop = threading.Event()

    def play(match: _Match) -> None:
        try:
            for message in match.play(stop):
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
    """What all rows depend on, the rows there are, and the folders that are no reader's business."""

    suite: str
    version: int
    digests: Mapping[str, str]
    rows: Mapping[str, Row]
    places: Mapping[str, str]

    def passed_on(self, reason: str) -> str:
        """Return a reason without this machine's folders: results are passed on, and committed."""
        for place, name in self.places.items():
            reason = reason.replace(place, name)
        return reason


def _places(data: Path | None) -> dict[str, str]:
    """Return folders, the innermost first, and what stands for each in reasons."""
    named = {Path.home(): "~", Path.cwd(): "."} | ({} if data is None else {data.resolve(): "DATA"})
    inner = sorted(named.items(), key=lambda one: -len(one[0].parts))
    return {f"{place}{os.sep}": f"{name}{os.sep}" for place, name in inner if len(place.parts) > 1}


@attrs.define
class _Match:
    """One competitor against all inputs."""

    suite: Suite
    task: Task
    competitor: Competitor
    absent: str
    inputs: Sequence[Input]
    known: _Known
    _process: Interpreter | None = None

    def play(self, stop: threading.Event) -> Iterator[_Message]:
        """Yield a description and a row for every input; one row alone if there is nobody to measure."""
        try:
            yield from self._rows(stop)
        finally:
            self.kill()

    def _rows(self, stop: threading.Event) -> Iterator[_Message]:
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
        yield _Described(self.competitor.label, answer["described"], answer["trained_on"])
        identity, lost_in_a_row, used = answer["identity"], 0, False
        for given in self.inputs:
            row = self._row(identity, given, UNAVAILABLE, given.missing)
            if given.missing or row["key"] in self.known.rows:
                yield row
                continue
            if stop.is_set():
                return
            if lost_in_a_row == GIVE_UP_AFTER:
                yield row | {"status": FAILED, "reason": f"not tried: its process was lost {GIVE_UP_AFTER} times"}
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
                row |= outcome
                row["reason"] = self.known.passed_on(row["reason"])
                lost_in_a_row, used = 0, True
            except _Lost as lost:
                if stop.is_set():
                    return
                row |= {"status": lost.status, "reason": self.known.passed_on(lost.problem)}
                lost_in_a_row += 1
            yield row

    def _row(self, identity: str, given: Input, status: str, reason: str) -> dict[str, Any]:
        reason, known = self.known.passed_on(reason), self.known
        parts = [known.suite, known.version, self.competitor.label, known.digests.get(given.name, EVERYTHING)]
        # Without a component, or an input, to tell it apart, what is known is only why there is none.
        parts.append(identity if identity and not given.missing else f"{status}: {reason}")
        return {
            "key": hashlib.sha256(json.dumps(parts).encode()).hexdigest(),
            "label": self.competitor.label,
            "component": self.competitor.component,
            "input": given.name,
            "measure": given.measure,
            "input_missing": bool(given.missing),
            "status": status,
            "reason": reason,
            "values": {},
            "wall_s": None,
            "cpu_s": None,
            "load_s": None,
            "peak_memory_mb": None,
        }

    def _start(self) -> dict[str, Any]:
        self._process = Interpreter("mashkit.bench.worker")
        self._send(sys.path)
        competitor = self.competitor
        self._send(Assignment(self.suite.task, self.task.kind, competitor.component, dict(competitor.options)))
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
def machine() -> dict[str, Any]:
    """Return the processor's name, the cores this process may use, and the memory in MB (of 10⁶ bytes)."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        names = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")]
    except OSError:
        names = []
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e6
    return {"processor": names[0] if names else platform.processor(), "cores": cores, "memory_mb": round(memory)}


def with_facts(rows: Sequence[Row], inputs: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """Return rows with the facts of their inputs, which a result holds once, under "inputs"."""
    return [{**row, "facts": inputs.get(row["input"], {})} for row in rows]


def _result(
    suite: Suite,
    task: Task,
    described: Mapping[str, Mapping[str, Any]],
    inputs: Sequence[Input],
    rows: Sequence[Row],
) -> dict[str, Any]:
    facts = {given.name: dict(given.facts) for given in inputs if given.facts}
    entries = [
        {"label": one.label, "component": one.component, "options": dict(one.options),
         "description": described.get(one.label)}
        for one in suite.competitors
    ]  # fmt: skip
    return {
        "format": FORMAT,
        "suite": suite.to_dict(),
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "environment": environment(),
        "metrics": [attrs.asdict(metric) for metric in task.metrics],
        "rules": RULES,
        **ranked(task, entries, with_facts(rows, facts)),
        # Two results can be compared if they are of the same inputs.
        "inputs_sha256": hashlib.sha256("".join(sorted(given.digest() for given in inputs)).encode()).hexdigest(),
        "inputs": facts,
        "rows": without_keys(rows),
    }


def judged_by(rows: Sequence[Row]) -> list[Row]:
    """Return the rows that tell how good their competitor is: those of songs it was not trained on."""
    return [row for row in rows if not row.get("trained_on")]


def ranked(task: Task, entries: Sequence[Mapping[str, Any]], rows: Sequence[Row]) -> dict[str, Any]:
    """Return what a result says of its competitors, best first, and of each two of them.

    Parameters
    ----------
    task : Task
    entries : sequence of mapping
        A competitor each: "label", "component", "options", "description".
    rows : sequence of Row
        All of theirs, with facts.
    """
    of = {one["label"]: [row for row in rows if row["label"] == one["label"]] for one in entries}
    fair = {label: judged_by(own) for label, own in of.items()}
    some = {label: own for label, own in fair.items() if any(row["status"] == OK for row in own)}
    measured = {label: task.summarize(own) for label, own in some.items()}
    # Numbers of different songs cannot be ranked: the order is that of the songs that nobody was trained on.
    known = {row["input"] for label in some for row in of[label] if row.get("trained_on")}
    shared = {label: [row for row in own if row["input"] not in known] for label, own in some.items()}
    if known and all(any(row["status"] == OK for row in own) for own in shared.values()):
        places = standings(task.metrics, {label: task.summarize(own) for label, own in shared.items()})
    else:
        places = standings(task.metrics, measured)
    order = [*places, *(label for label in of if label not in places)]
    return {
        "competitors": [
            _competitor(one, of[label], measured.get(label), places.get(label))
            | {"intervals": task.intervals(some[label]) if label in some else {}}
            for label in order
            for one in entries
            if one["label"] == label
        ],
        "comparisons": [attrs.asdict(one) for one in task.compare({label: some[label] for label in places})],
    }


def _competitor(
    entry: Mapping[str, Any],
    rows: Sequence[Row],
    metrics: Mapping[str, float | None] | None,
    standing: Standing | None,
) -> dict[str, Any]:
    loads = [row["load_s"] for row in rows if row["load_s"] is not None]
    reason = ""
    if not metrics:
        # One that cannot run here has one reason, and all its rows say it, but those of inputs that are not there.
        reason = next((row for row in rows if not row["input_missing"]), rows[0])["reason"]
        reason = reason or "it was trained on every song there is to judge it by"
    return {
        **{name: entry[name] for name in ("label", "component", "options", "description")},
        "reason": reason,
        "load_s": statistics.median(loads) if loads else None,
        "rank": standing.rank if standing else None,
        "score": standing.score if standing else None,
        "broken": list(standing.broken) if standing else [],
        "metrics": metrics,
    }
