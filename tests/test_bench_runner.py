"""The benchmark runner: a row for everything, whatever comes of it, and nothing measured twice."""

from __future__ import annotations

import functools
import importlib.util
import json
import re
import resource
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal
from unittest import mock

import attrs
import numpy as np
import pytest

from installing import install
from mashkit.bench import records, results, runner
from mashkit.bench.page import markdown, page, publish
from mashkit.bench.ranking import Metric, standings
from mashkit.bench.records import Row, collect, shared_by
from mashkit.bench.results import Result, read_result, write_result
from mashkit.bench.runner import EVERYTHING, run
from mashkit.bench.scorers import Settings
from mashkit.bench.suite import Competitor, Suite, known_suites, load_suite
from mashkit.bench.tables import SuiteError, from_table
from mashkit.bench.tasks import Input, Task, load_task, stopwatch
from mashkit.bench.worker import READY, Assignment
from mashkit.cli import main
from mashkit.errors import ComponentUnavailable, MashkitError, OutputError, UnknownComponent
from mashkit.pages import number
from mashkit.registry import Registry
from mashkit.workers.channel import Lost
from mashkit.workers.pickling import pack, unpack
from rows import row_of

PLUGIN = '''
import os, sys, time
import attrs
import numpy as np
from mashkit import Audio, ComponentInfo, Stretcher, hookimpl

def info(name, **more):
    return ComponentInfo(name=name, target=f"acme_bench:{name.title().replace('-', '')}", summary=name,
                         provides=["speed", "semitones"], code_license="MIT", **more)

INFOS = [info("acme-tape"), info("acme-broken"), info("acme-hanging"), info("acme-dying"), info("acme-stillborn"),
         info("acme-needy", requires=["no-such-dist>=2"], install="pip install no-such-dist")]

@hookimpl
def mashkit_register_stretchers():
    return INFOS

class Tape(Stretcher):
    """Plays the tape faster or slower: right in length and time, wrong in pitch; and quick."""
    def _stretch(self, audio, *, speed, semitones, frames):
        at = np.linspace(0, audio.frames - 1, frames)
        return Audio(np.stack([np.interp(at, np.arange(audio.frames), channel) for channel in audio.samples]),
                     audio.sample_rate)

@attrs.define(kw_only=True, eq=False)
class AcmeTape(Tape):
    info = INFOS[0]
    wow: float = 0.0

@attrs.define(kw_only=True, eq=False)
class AcmeBroken(Tape):
    info = INFOS[1]
    wow: float = 0.0
    def _stretch(self, audio, **more):
        if audio.channels == 2 and 1 < audio.duration < 10:
            raise ValueError("one ear only <b>")
        return super()._stretch(audio, **more)

class AcmeHanging(Tape):
    info = INFOS[2]
    def _stretch(self, audio, *, semitones, **more):
        if audio.duration > 50 and semitones == 0:
            time.sleep(600)
        return super()._stretch(audio, semitones=semitones, **more)

class AcmeDying(Tape):
    info = INFOS[3]
    def _stretch(self, audio, *, semitones, **more):
        if audio.duration > 50 and semitones == 0:
            print("out of cheese", file=sys.stderr, flush=True)
            os._exit(7)
        stretched = super()._stretch(audio, semitones=semitones, **more)
        silent = audio.channels == 2 and 1 < audio.duration < 10
        return Audio(0 * stretched.samples, audio.sample_rate) if silent else stretched

class AcmeStillborn(Tape):
    info = INFOS[4]
    def _stretch(self, audio, **more):
        os._exit(9)
'''

SUITE = Suite(
    name="acme",
    task="stretchers",
    title="Acme's <stretchers>",
    summary="all of Acme's",
    competitors=[
        Competitor(component="acme-tape"),
        Competitor(component="acme-broken", options={"wow": 0.5}, label="broken & wow"),
        Competitor(component="acme-hanging"),
        Competitor(component="acme-dying"),
        Competitor(component="acme-stillborn"),
        Competitor(component="acme-needy"),
        Competitor(component="acme-elsewhere", install="pip install acme-elsewhere"),
        Competitor(component="acme-tape", options={"wov": 1}),
    ],
    timeout_s=8.0,
    settings={
        "speeds": [0.9], "shifts": [3], "excerpt_s": 2, "songs": ["Nobody's"], "stems": ["drums"],
    },
)  # fmt: skip
TAPE = attrs.evolve(SUITE, competitors=SUITE.competitors[:1])
TAPE_DESCRIBED = {
    "distribution": "acme", "version": "1", "requires": {}, "options": {}, "engine": "", "code_license": "MIT",
    "weights_license": "none",
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def acme(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Install Acme's stretchers, for this process and those it spawns."""
    folder = tmp_path_factory.mktemp("acme")
    install(folder, "acme_bench", PLUGIN, name="acme")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield
    sys.modules.pop("acme_bench", None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bench")


@pytest.fixture(scope="module")
def result(folder: Path) -> Result:
    """Acme's result, made while this process holds 600 MB."""
    ballast = np.ones(75_000_000)
    made = run(SUITE, folder, jobs=2)
    assert ballast.nbytes == 6e8
    return made


def statuses(result: Result, label: str) -> dict[str, str]:
    return {row.input: row.status for row in result.rows if row.label == label}


def reasons(result: Result, label: str, status: str) -> set[str]:
    return {row.reason for row in result.rows if (row.label, row.status) == (label, status)}


# ------------------------------------------------------------------------------------------------------------- rows
ABSENT = ("acme-needy", "acme-elsewhere", "acme-tape wov=1")


@pytest.mark.whole
def test_a_row_for_every_competitor_and_input(result: Result) -> None:
    names = [row.input for row in result.rows if row.label == "acme-tape"]
    assert len(names) > 8
    for one in SUITE.competitors:
        # Who is not there at all is so for one reason, and says it once.
        assert list(statuses(result, one.label)) == ([EVERYTHING] if one.label in ABSENT else names)


def test_all_inputs_are_counted(tmp_path: Path) -> None:
    counts: list[tuple[int, int]] = []
    suite = SUITE.only(["acme-needy", "acme-elsewhere"])
    made = run(suite, tmp_path, on_row=lambda row, known, done, total: counts.append((done, total)))
    inputs = len(load_task("stretchers").inputs({**SUITE.settings, "seed": 0}, None))
    assert counts == [(inputs, 2 * inputs), (2 * inputs, 2 * inputs)]
    assert [row.input for row in made.rows] == [EVERYTHING] * 2


def test_reasons_name_no_folder_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, home = tmp_path / "music", tmp_path / "home"
    for folder in (data, home):
        folder.mkdir()
    monkeypatch.setenv("HOME", str(home))
    weights = home / "models" / "net.pt"
    lost = f"no {weights}, see {data / 'songs'} and {Path.cwd() / 'here'}"
    absent = Competitor(component="acme-elsewhere", install=lost)
    (row,) = run(attrs.evolve(SUITE, competitors=[absent]), tmp_path, data=data).rows
    assert "(no ~/models/net.pt, see DATA/songs and ./here)" in row.reason
    task = load_task("stretchers")
    digests = [[one.digest() for one in task.inputs(SUITE.settings, folder)] for folder in (data, home)]
    assert digests[0] == digests[1]  # what is missing here and there is the same input


@pytest.mark.whole
def test_what_is_missing_is_unavailable_and_says_why(result: Result) -> None:
    assert "--data" in next(row.reason for row in result.rows if row.input_missing)
    assert reasons(result, "acme-needy", "unavailable") == {
        "no-such-dist>=2 is not installed (pip install no-such-dist)"
    }
    assert "pip install acme-elsewhere" in reasons(result, "acme-elsewhere", "unavailable").pop()
    assert any("follows no time map" in reason for reason in reasons(result, "acme-tape", "unavailable"))
    assert set(statuses(result, "acme-tape").values()) == {"ok", "unavailable"}


@pytest.mark.whole
def test_a_failing_one_fails_where_it_fails_and_nowhere_else(result: Result) -> None:
    failed = {name for name, status in statuses(result, "broken & wow").items() if status == "failed"}
    assert failed == {name for name in statuses(result, "broken & wow") if name.startswith("stereo")}
    (reason,) = reasons(result, "broken & wow", "failed")
    assert "ValueError: one ear only <b>" in reason


@pytest.mark.whole
def test_a_hanging_one_is_stopped_and_goes_on(result: Result) -> None:
    (late,) = [name for name, status in statuses(result, "acme-hanging").items() if status == "timeout"]
    assert late == "clicks, speed 0.9"
    assert reasons(result, "acme-hanging", "timeout") == {f"took longer than {SUITE.timeout_s:g} s and was stopped"}
    assert statuses(result, "acme-hanging")["pitch, speed 0.9"] == "ok"


@pytest.mark.whole
def test_a_dying_one_leaves_its_last_words(result: Result) -> None:
    assert "its process died with exit status 7: out of cheese" in reasons(result, "acme-dying", "failed")
    assert statuses(result, "acme-dying")["pitch, speed 0.9"] == "ok"


@pytest.mark.whole
def test_silence_is_no_measurement(result: Result) -> None:
    assert {"measured no number: leak_db is nan", "measured no number: correlation_error is nan"} <= reasons(
        result, "acme-dying", "failed"
    )


@pytest.mark.whole
def test_one_that_always_dies_is_given_up(result: Result) -> None:
    assert "ok" not in statuses(result, "acme-stillborn").values()
    said = reasons(result, "acme-stillborn", "failed")
    assert said == {"its process died with exit status 9", "not tried: its process was lost 3 times"}


@pytest.mark.whole
def test_a_wrong_option_is_said(result: Result) -> None:
    (reason,) = reasons(result, "acme-tape wov=1", "failed")
    assert "did you mean 'wow'" in reason


@pytest.mark.whole
def test_what_is_recorded(result: Result) -> None:
    assert result.suite.seed == SUITE.seed
    assert result.machine.cores >= 1
    assert result.environment["packages"]["numpy"] == np.__version__
    described = {one.label: one.description for one in result.competitors}
    assert described["broken & wow"]["options"] == {"wow": 0.5}
    assert described["acme-needy"] is None
    for row in result.rows:
        if row.status == "ok":
            assert 0 < row.cpu_s < 60
            assert 0 < row.load_s < 60
            # Its own memory, not that of the process which started it.
            assert 10 < row.peak_memory_mb < 600


@pytest.mark.whole
def test_those_that_could_not_be_measured_have_no_rank(result: Result) -> None:
    ranks = {one.label: one.rank for one in result.competitors}
    assert None not in (ranks["acme-tape"], ranks["broken & wow"], ranks["acme-hanging"])
    assert ranks["acme-stillborn"] is ranks["acme-needy"] is ranks["acme-elsewhere"] is None
    metrics = {one.label: one.metrics for one in result.competitors}
    assert metrics["acme-hanging"]["click_ms"] is None  # the clicks it did in time do not stand for all
    assert metrics["acme-hanging"]["inexact_lengths"] == 0


# ----------------------------------------------------------------------------------------------------------- resume
def counted(suite: Suite, folder: Path) -> tuple[Result, list[str]]:
    """Run and return the result and the inputs that were not known yet."""
    fresh: list[str] = []

    def on_row(row: Row, known: bool, done: int, total: int) -> None:
        fresh.extend([] if known else [row.input])

    return run(suite, folder, on_row=on_row), fresh


@pytest.mark.whole
def test_a_finished_suite_is_not_measured_again(result: Result, folder: Path) -> None:
    before = (folder / "acme.rows.jsonl").read_bytes()
    some = SUITE.only(["acme-tape", "acme-hanging", "acme-needy"])
    again, fresh = counted(some, folder)
    assert fresh == []
    assert (folder / "acme.rows.jsonl").read_bytes() == before
    labels = {one.label for one in some.competitors}
    assert list(again.rows) == [row for row in result.rows if row.label in labels]


@pytest.mark.whole
def test_an_interrupted_run_goes_on(result: Result, folder: Path, tmp_path: Path) -> None:
    lines = [line for line in (folder / "acme.rows.jsonl").read_text().splitlines() if '"label": "acme-tape",' in line]
    missing = [json.loads(line)["input"] for line in lines[-3:]]
    # Cut off in the middle of a line, as a power failure leaves it.
    (tmp_path / "acme.rows.jsonl").write_text("\n".join([*lines[:-3], lines[-3][:40]]))
    again, fresh = counted(TAPE, tmp_path)
    assert fresh == missing
    assert len((tmp_path / "acme.rows.jsonl").read_text().splitlines()) == len(lines)
    assert [row.status for row in again.rows] == list(statuses(result, "acme-tape").values())


class Counting(Task):
    """Measures nothing: its inputs are named like what becomes of them."""

    kind, summary, version = "stretcher", "counts", 1
    names: Sequence[str] = ("gone", "a", "b", "c", "d")
    metrics = (Metric(name="n", title="n", unit="", explained="", resolution=1),)

    def inputs(self, settings: Any, data: Path | None) -> list[Input]:
        return [Input(name=name, measure="m", songs=[name], facts={"song": name}) for name in self.names]

    def warm_up(self, component: Any) -> None: ...

    def measure(self, component: Any, given: Input) -> dict[str, float]:
        return {"n": 1.0}

    def summarize(self, rows: Any) -> dict[str, float | None]:
        return {"n": None}

    def charts(self, competitors: Any, rows: Any) -> list[Any]:
        return []


class Troubled:
    """Stands in for a competitor's process; while a file exists, an input has gone, and on others it dies."""

    process = mock.Mock(returncode=7)

    def __init__(self, trouble: Path, module: str) -> None:
        self._trouble, self._answers = trouble, [{"status": READY}]

    def allow(self, seconds: float) -> None: ...

    def kill(self) -> None: ...

    def last_lines(self, count: int) -> list[str]:
        return []

    def send(self, message: Any) -> None:
        given = unpack(message)
        if isinstance(given, Assignment):
            self._answers.append({"status": "ok", "described": TAPE_DESCRIBED, "trained_on": [], "identity": "tape"})
        if not isinstance(given, Input):
            return
        lost = self._trouble.exists() and given.name == "gone"
        if self._trouble.exists() and not lost:
            raise Lost("is gone", "")
        outcome = {"reason": "it has gone" if lost else "", "input_missing": lost, "values": {} if lost else {"n": 1.0}}
        self._answers.append({"status": "unavailable" if lost else "ok", "wall_s": 1.0, **outcome})

    def receive(self) -> Any:
        return pack(self._answers.pop(0))


def test_what_was_not_tried_or_had_gone_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trouble = tmp_path / "trouble"
    monkeypatch.setattr(runner, "load_task", lambda name: Counting())
    monkeypatch.setattr(runner, "Interpreter", functools.partial(Troubled, trouble))
    trouble.touch()
    first, fresh = counted(TAPE, tmp_path)
    assert fresh == ["gone", "a", "b", "c", "d"]
    died = "its process died with exit status 7"
    assert [row.reason for row in first.rows] == ["it has gone", died, died, died, runner.NOT_TRIED]
    trouble.unlink()
    assert [(one.measured, one.ahead) for one in runner.what_is_ahead(TAPE, tmp_path)] == [(3, 2)]
    second, fresh = counted(TAPE, tmp_path)
    assert fresh == ["gone", "d"]
    assert [row.status for row in second.rows] == ["ok", "failed", "failed", "failed", "ok"]
    assert counted(TAPE, tmp_path) == (attrs.evolve(second, finished=mock.ANY), [])


@pytest.fixture
def count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> type[Counting]:
    """The task of suite TAPE, without a process."""
    monkeypatch.setattr(runner, "load_task", lambda name: Counting())
    monkeypatch.setattr(results, "tasks", lambda: {SUITE.task: None})
    monkeypatch.setattr(runner, "Interpreter", functools.partial(Troubled, tmp_path / "no trouble"))
    monkeypatch.setattr(Counting, "names", Counting.names)
    return Counting


def test_names_of_files_break_no_run(count: type[Counting], tmp_path: Path) -> None:
    """A Latin-1 name, which UTF-8 cannot encode, and characters at which Python splits lines."""
    count.names = ["caf\udce9", "line\u2028separator", "next\x85line", "form\x0cfeed"]
    first, fresh = counted(TAPE, tmp_path)
    names = ["caf\\xe9", *count.names[1:]]
    assert [row.input for row in first.rows] == fresh == names
    assert counted(TAPE, tmp_path) == (attrs.evolve(first, finished=mock.ANY), [])
    write_result(first, tmp_path / "acme.json")
    again = read_result(tmp_path / "acme.json")
    assert [row.input for row in again.rows] == [row.facts["song"] for row in again.rows] == names


def test_rows_of_before_are_read_as_they_were_written(count: type[Counting], tmp_path: Path) -> None:
    count.names = ["line\u2028separator", "\u00fc"]
    counted(TAPE, tmp_path)
    path = tmp_path / "acme.rows.jsonl"
    data = [json.loads(line) for line in path.read_text().splitlines()]
    written = "".join(f"{json.dumps(one, ensure_ascii=False)}\n" for one in data)
    path.write_bytes(written.encode())
    assert counted(TAPE, tmp_path)[1] == []
    path.write_bytes(written.encode()[: written.encode().rindex("\u00fc".encode()) + 1])  # within the letter
    assert counted(TAPE, tmp_path)[1] == ["\u00fc"]
    path.write_text("no row\n" + written, encoding="utf-8")
    with pytest.raises(MashkitError, match="line 1, is not a row"):
        counted(TAPE, tmp_path)


def test_two_runs_do_not_measure_a_suite_in_one_folder(count: type[Counting], tmp_path: Path) -> None:
    def meanwhile(row: Row, known: bool, done: int, total: int) -> None:
        with pytest.raises(MashkitError, match=re.escape(f"another process is measuring suite 'acme' in {tmp_path}")):
            run(TAPE, tmp_path)
        run(attrs.evolve(TAPE, name="other"), tmp_path)

    run(TAPE, tmp_path, on_row=meanwhile)
    assert counted(TAPE, tmp_path)[1] == []


def test_a_row_that_another_wrote_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "x.rows.jsonl"
    one = runner._Book(path)
    one.add(row_of(key="1"))
    other = runner._Book(path)
    with path.open("ab") as file:
        file.write(b'{"key": "cut')
    runner._Book(path).mend()
    one.add(row_of(key="2"))
    assert list(other.rows) == ["1"]
    assert list(runner._Book(path).rows) == ["1", "2"]


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.rows.jsonl"
    book = runner._Book(path)
    book.add(row_of(key="1"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 20, hard))
    try:
        with pytest.raises(OutputError, match=r"cannot write .*x\.rows\.jsonl: File too large"):
            book.add(row_of(key="2"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(runner._Book(path).rows) == ["1"]


@pytest.mark.whole
def test_other_settings_are_measured_anew(result: Result, folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "acme.rows.jsonl"
    path.write_bytes((folder / "acme.rows.jsonl").read_bytes())
    fresh: list[str] = []

    def on_row(row: Row, known: bool, done: int, total: int) -> None:
        assert not known
        fresh.append(row.input)
        if len(fresh) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(attrs.evolve(TAPE, seed=5), tmp_path, on_row=on_row)
    assert fresh == list(statuses(result, "acme-tape"))[:3]
    kept = path.read_text().splitlines()
    assert [json.loads(line)["input"] for line in kept[-3:]] == fresh
    assert len(kept) == len((folder / "acme.rows.jsonl").read_text().splitlines()) + 3


# ------------------------------------------------------------------------------------------------------------- page
@pytest.mark.whole
def test_the_page_shows_every_competitor(result: Result) -> None:
    text = page(result)
    for label in ("acme-tape", "broken &amp; wow", "acme-hanging", "acme-stillborn", "acme-needy"):
        assert f'<th scope="row">{label}</th>' in text
    assert "Acme&#x27;s &lt;stretchers&gt;" in text
    assert "one ear only &lt;b&gt;" in text
    assert "one ear only <b>" not in text
    # Nothing of Acme's goes there and back, for want of recordings: one chart says that there is nothing to draw.
    assert (text.count("<svg"), text.count("Nothing was measured.")) == (3, 1)
    assert not re.search(r'(src|href)="(?!#)', text)  # nothing is fetched
    assert page(result) == text


def test_numbers_as_people_read_them() -> None:
    assert [number(value, 1) for value in (None, -0.04, -2.06, 1234.5)] == ["–", "0.0", "−2.1", "1,234.5"]


@pytest.mark.whole
def test_the_table_for_a_readme(result: Result) -> None:
    lines = [line for line in markdown(result).splitlines() if line.startswith("|")]
    assert len(lines) == 2 + len(SUITE.competitors)
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1


# ---------------------------------------------------------------------------------------------------------- ranking
def metric(name: str, **more: Any) -> Metric:
    return Metric(**({"name": name, "title": name, "unit": "", "explained": "", "resolution": 0.1} | more))


def test_musts_come_before_scores() -> None:
    metrics = [metric("must", limit=10, weight=0), metric("sound", weight=3), metric("speed", better="higher")]
    ranked = standings(
        metrics,
        {
            "lovely but late": {"must": 11, "sound": 0.1, "speed": 90},
            "plain": {"must": 10, "sound": 2, "speed": 10},
            "good": {"must": 0, "sound": 1, "speed": 9},
        },
    )
    assert list(ranked) == ["good", "plain", "lovely but late"]
    assert [one.rank for one in ranked.values()] == [1, 2, 3]
    assert ranked["lovely but late"].broken == ("must",)
    assert ranked["lovely but late"].score == 100
    # Better than one of two in sound (weight 3), than none in speed (weight 1).
    assert ranked["good"].score == pytest.approx(100 * (3 * 0.5 + 1 * 0) / 4)


def test_inaudible_differences_tie_and_what_is_missing_is_worst() -> None:
    ranked = standings(
        [metric("ms", resolution=0.5), metric("nobody's")],
        {"a": {"ms": 1.1, "nobody's": None}, "b": {"ms": 0.9, "nobody's": None}, "c": {"ms": None, "nobody's": None}},
    )
    assert ranked["a"].score == ranked["b"].score == 75
    assert (ranked["a"].rank, ranked["b"].rank, ranked["c"].rank) == (1, 1, 3)
    assert ranked["c"].score == 0


def test_the_nearest_to_an_ideal_value_is_best() -> None:
    near = metric("near", resolution=1, ideal=50, better="higher", limit=45)
    values = {"far": 90.0, "below": 47.0, "above": 53.2, "missed": 44.0}
    ranked = standings([near], {label: {"near": value} for label, value in values.items()})
    assert [(label, one.rank, one.broken) for label, one in ranked.items()] == [
        ("below", 1, ()), ("above", 1, ()), ("missed", 3, ("near",)), ("far", 4, ("near",)),
    ]  # fmt: skip
    assert Metric(**near.to_dict()) == near
    assert "ideal" not in metric("plain").to_dict()  # as in results of earlier versions


def test_a_competitor_alone_has_no_score() -> None:
    alone = standings([metric("ms", limit=1)], {"a": {"ms": 2.0}})["a"]
    assert (alone.rank, alone.score, alone.broken) == (1, None, ("ms",))
    unranked = standings([metric("ms", weight=0)], {"a": {"ms": 2.0}, "b": {"ms": 1.0}})
    assert [one.score for one in unranked.values()] == [None, None]


@pytest.mark.parametrize(
    "more",
    [{"resolution": 0}, {"weight": -1}, {"weight": np.nan}, {"better": "more"}, {"limit": np.inf}, {"ideal": np.nan}],
)
def test_a_metric_that_cannot_be_ranked_by_is_refused(more: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="metric 'x'"):
        metric("x", **more)


def of_six(label: str, **more: dict[str, Any]) -> list[Row]:
    """Return a competitor's rows of the inputs a to f; ``more`` has fields of some of them."""
    return [attrs.evolve(row_of(label=label, input=name, values={"x": 1.0}), **more.get(name, {})) for name in "abcdef"]


def inputs_of(rows: Mapping[str, Sequence[Row]] | None, label: str) -> str:
    assert rows is not None
    return "".join(row.input for row in rows[label])


def test_one_competitor_does_not_take_the_numbers_of_all() -> None:
    lost, failed = {"input_missing": True, "status": "unavailable", "values": {}}, {"status": "failed", "values": {}}
    learnt = {"trained_on": ("song",)}
    for field in (lost, learnt):
        few = [*of_six("one"), *of_six("two", a=field, b=field)]
        assert inputs_of(records.counted(["one", "two"], few), "one") == "cdef"
        most = [*of_six("one"), *of_six("two", **dict.fromkeys("abcde", field))]
        assert inputs_of(records.counted(["one", "two"], most), "one") == "abcdef"
        assert inputs_of(shared_by(["one", "two"], most), "one") == "f"  # by which they are ranked
    # "three" has no result among the inputs that all have: that changes nothing for the others.
    three = of_six("three", **dict.fromkeys("bcdef", failed))
    rows = [*of_six("one"), *of_six("two", a=learnt), *three]
    assert [inputs_of(shared_by(["one", "two", "three"], rows), label) for label in ("one", "two")] == ["bcdef"] * 2
    assert shared_by(["one", "two"], [*of_six("one"), *of_six("two")]) is None


def test_one_failed_row_spoils_its_metric() -> None:
    rows = [row_of(values={"x": value}) for value in (1.0, 2.0)]
    absent = row_of(input_missing=True, status="unavailable")
    assert collect([*rows, absent], "x", "m") == [1.0, 2.0]
    assert collect([*rows, attrs.evolve(absent, input_missing=False)], "x", "m") is None
    assert collect([absent], "x", "m") is None


@pytest.mark.whole
def test_programs_that_are_run_count() -> None:
    burn = "import time\nwhile time.process_time() < 0.4: pass"
    with stopwatch() as elapsed:
        subprocess.run([sys.executable, "-c", burn], check=True)
    assert elapsed.cpu_s > 0.3
    assert elapsed.wall_s > 0.3


@pytest.mark.whole
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_programs_that_go_on_running_count() -> None:
    burn = "while True:\n input()\n for _ in range(4_000_000): pass\n print(flush=True)"
    with subprocess.Popen([sys.executable, "-c", burn], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        spent = []
        for turns in (1, 4):
            with stopwatch() as elapsed:
                for _ in range(turns):
                    worker.stdin.write(b"\n")
                    worker.stdin.flush()
                    worker.stdout.readline()
            spent.append(elapsed.cpu_s)
        with stopwatch() as elapsed:  # what it used before is not counted again when it has ended
            worker.kill()
            worker.wait()
    assert spent[0] > 0.02
    assert spent[1] > 2 * spent[0]
    assert elapsed.cpu_s < spent[0]


# ----------------------------------------------------------------------------------------------------------- suites
@pytest.mark.parametrize("name", sorted(known_suites()))
def test_known_suites_name_what_there_is(name: str) -> None:
    suite, registry = load_suite(name), Registry()
    kind = load_task(suite.task).kind
    names = {one.info.name for one in registry.components(kind)}
    for one in suite.competitors:
        assert one.install
        if one.component not in names:
            continue  # a plugin that is not installed, or not written yet: a row that says so
        if registry.find(kind, one.component).availability().ok:
            try:
                registry.create(kind, one.component, one.options)
            except ComponentUnavailable as error:
                # An older program lacks the finer engine; weights are nowhere but with their users.
                assert any(reason in str(error) for reason in ("rubberband", "weights"))  # noqa: PT017


TOML = 'name = "x"\ntask = "stretchers"\ntitle = "X"\n[[competitors]]\ncomponent = "acme-tape"\n'


@attrs.frozen
class Fields:
    """Fields of many types."""

    some: Sequence[float] = ()
    pairs: Mapping[str, tuple[float, float]] = attrs.field(factory=dict)
    word: Literal["now", "then"] = "now"
    number: float | None = None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (TOML.replace("title", "tittle"), "unknown key 'tittle'.*did you mean 'title'"),
        (TOML.replace('"stretchers"', '"strechers"'), "no task is called 'strechers'.*did you mean 'stretchers'"),
        (TOML.replace("component =", "compnent ="), "competitor 1: unknown key 'compnent'.*did you mean 'component'"),
        (TOML + '[[competitors]]\ncomponent = "acme-tape"\n', "two competitors"),
        (TOML.partition("[[")[0], "has no competitors"),
        ("timeout_s = 0\n" + TOML, "timeout_s is 0"),
        ("timeout_s = inf\n" + TOML, r"timeout_s is inf \(give seconds"),
        ("timeout_s = nan\n" + TOML, "timeout_s is nan"),
        ("timeout_s = true\n" + TOML, "timeout_s is True"),
        (f"timeout_s = 1{'0' * 400}\n" + TOML, "timeout_s is 10000"),
        (f"timeout_s = 1{'0' * 5000}\n" + TOML, r"x\.toml cannot be read as TOML"),
        (TOML + "options = {wow = nan}\n", r"competitor 1: options\.wow is nan \(give a finite number"),
        (TOML + "options = {since = 2020-01-01}\n", r"options\.since is 2020-01-01 \(give text, a number"),
        (TOML + "[settings]\nsince = 2020-01-01\n", r"x\.toml: suite 'x': settings\.since is 2020-01-01"),
        (TOML + "[settings]\nspeeds = [0.9, inf]\n", r"settings\.speeds\[1\] is inf \(give a finite number"),
        (TOML + "[settings.a]\nb = -inf\n", r"settings\.a\.b is -inf"),
        ('timeout_s = "long"\n' + TOML, "timeout_s.*must be"),
        ("=", r"x\.toml cannot be read as TOML.*correct that line"),
        ("seed = -1\n" + TOML, r"x\.toml: suite 'x': seed is -1 \(give a whole number, 0 or more"),
        ("seed = true\n" + TOML, "seed is True"),
        ("seed = 1.5\n" + TOML, "seed is 1.5"),
        (TOML + "[settings]\nseed = 3\n", r"seed is not a setting \(write seed = 1 above \[settings\]"),
        (TOML.replace('"x"', '"a/b"'), r"x\.toml: a suite cannot be called 'a/b' \(the files"),
        (TOML.replace('"x"', '"a\\\\b"'), "cannot be called"),
        (TOML.replace('"x"', '"a\\u0007b"'), "cannot be called"),
        (TOML.replace('"x"', '".."'), "cannot be called"),
        (TOML.replace('"x"', "7"), "cannot be called 7"),
        (TOML.replace('"x"', f'"{"x" * 201}"'), r"name has 201 bytes.*give 200 bytes or fewer"),
        (TOML.replace('"X"', "5"), r"x\.toml: a value that does not fit: title is 5, not text \(it takes name"),
        (TOML.replace('"X"', f'"{"é" * 251}"'), r"x\.toml: suite 'x' has a title of 502 bytes \(give 500 or fewer"),
        ("summary = [1]\n" + TOML, r"summary is \[1\], not text"),
        (TOML + "label = 5\n", r"competitor 1: a value that does not fit: label is 5, not text"),
        (TOML + "install = true\n", r"competitor 1: a value that does not fit: install is True, not text"),
        (TOML + "options = 5\n", r"competitor 1: a value that does not fit: options is 5, not a table"),
        ('baseline = "acme-tap"\n' + TOML, "baseline 'acme-tap' is not a competitor.*did you mean 'acme-tape'"),
    ],
)
def test_a_wrong_suite_is_named(text: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text(text)
    with pytest.raises(SuiteError, match=problem):
        load_suite(str(tmp_path / "x.toml"))


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"some": [1, "a"]}, r"some\[1\] is 'a', not a number"),
        ({"pairs": {"a": [1, 2, 3]}}, r"pairs\.a is \[1, 2, 3\], not 2 values"),
        ({"pairs": {"a": [1, None]}}, r"pairs\.a\[1\] is None, not a number"),
        ({"pairs": [1]}, r"pairs is \[1\], not a table"),
        ({"word": "later"}, "word is 'later', not 'now' or 'then'"),
        ({"number": 10**400}, "number is 1000.*, not a number"),
        ({"number": True}, "number is True, not a number"),
    ],
)
def test_values_of_tables_are_compared_with_the_types_of_fields(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(SuiteError, match=problem):
        from_table(Fields, given, "x")


def test_what_fits_the_types_of_fields_is_taken_as_it_is() -> None:
    given = {"some": (1, np.float32(0.5)), "pairs": {"a": [1, 2.5]}, "word": "then", "number": None}
    assert from_table(Fields, given, "x") == Fields(**given)


def test_unknown_names_get_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match="did you mean 'stretchers'"):
        load_suite("strechers")
    with pytest.raises(SuiteError, match="did you mean 'acme-tape'"):
        SUITE.only(["acme-tap"])
    with pytest.raises(UnknownComponent, match="did you mean 'acme-tape'"):
        run(attrs.evolve(SUITE, competitors=[Competitor(component="acme-tap")]), tmp_path)


def test_competitors_of_the_command_line() -> None:
    one = Competitor.parse("acme:wow=0.5,mode=smooth,deep=true")
    assert dict(one.options) == {"wow": 0.5, "mode": "smooth", "deep": True}
    assert one.label == "acme wow=0.5 mode=smooth deep=true"
    assert Competitor.parse("acme") == Competitor(component="acme")
    with pytest.raises(SuiteError, match="'deep'"):
        Competitor.parse("acme:wow=1,deep")


@pytest.mark.parametrize(
    ("text", "component", "options"),
    [
        ("key:essentia,beats:madmom", "key:essentia,beats:madmom", {}),
        ("key:essentia,beats:madmom:madmom.fps=50", "key:essentia,beats:madmom", {"madmom.fps": 50}),
        ("cached:amu", "cached:amu", {}),
        ("cached:amu:weights=[1,2,3]", "cached:amu", {"weights": [1, 2, 3]}),
        ("amu:weights=[1,2,3],name=x", "amu", {"weights": [1, 2, 3], "name": "x"}),
        ('amu:parts={"a": [1, 2], "b": 3},said="a,b]"', "amu", {"parts": {"a": [1, 2], "b": 3}, "said": "a,b]"}),
        ("rank(amu,0.5*tiv)", "rank(amu,0.5*tiv)", {}),
        ("mean(demucs,openunmix;vocals=3:1)", "mean(demucs,openunmix;vocals=3:1)", {}),
        ("amu+0.5*tiv:tiv.norm=true", "amu+0.5*tiv", {"tiv.norm": True}),
        ("demucs@elsewhere:shifts=2", "demucs@elsewhere", {"shifts": 2}),
    ],
)
def test_composites_of_the_command_line(text: str, component: str, options: dict[str, Any]) -> None:
    found = Competitor.parse(text)
    assert (found.component, dict(found.options)) == (component, options)


@pytest.mark.plugins
def test_a_composite_is_added_and_a_wrong_one_is_wrong_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dry = ["run", "smoke", "-o", tmp_path / "out", "--dry-run", "--only", "random", "--set", "vocals=1", "--json"]
    assert command(*dry, "--add", "cached:random", "--set", "songs=2", "--set", "seed=4") == 0
    labels = [one["label"] for one in json.loads(capsys.readouterr().out)["competitors"]]
    assert labels == ["random", "cached:random"]
    assert command(*dry, "--add", "key:random") == 2
    assert "no scorer is called 'key:random'" in capsys.readouterr().err


def test_a_suite_in_little_is_another_suite() -> None:
    suite = load_suite("amu_vs_premixnet")
    small = suite.on("rendered").trying(["vocals=2", 'groups=["controlled", "wrong song"]'])
    assert small.name == "amu_vs_premixnet-rendered-vocals-2-groups-controlled-wrong-song"
    assert small.settings == {**suite.settings, "collection": "rendered", "vocals": 2,
                              "groups": ["controlled", "wrong song"]}  # fmt: skip
    assert small.digest() != suite.on("rendered").digest()
    named = suite.trying(["groups=controlled, wrong song,controlled"]).settings
    assert from_table(Settings, named, "settings").groups == ("controlled", "wrong song")
    seeded = suite.trying(["seed=9"])
    assert (seeded.seed, seeded.name, seeded.settings) == (9, f"{suite.name}-seed-9", suite.settings)
    assert seeded.record(1).inputs["seed"] == 9
    assert seeded.digest() != suite.digest()
    for wrong in ("abc", "-1", "true", "1.5"):
        with pytest.raises(SuiteError, match=r"seed is .*give a whole number, 0 or more"):
            suite.trying([f"seed={wrong}"])
    with pytest.raises(SuiteError, match=r"settings\.vocals is inf"):
        suite.trying(["vocals=Infinity"])
    with pytest.raises(SuiteError, match=r"options\.wow is nan"):
        Competitor.parse("acme:wow=NaN")
    with pytest.raises(SuiteError, match="--set: 'vocals'"):
        suite.trying(["vocals"])
    with pytest.raises(SuiteError, match="did you mean 'vocals'"):
        load_task(suite.task).inputs(dict(suite.trying(["vocal=2"]).settings), None)
    with pytest.raises(SuiteError, match="vocals is 'abc', not a whole number"):
        load_task(suite.task).inputs(dict(suite.trying(["vocals=abc"]).settings), None)


# ----------------------------------------------------------------------------------------------------- command line
def command(*arguments: object) -> int:
    return main(["bench", *(str(argument) for argument in arguments)])


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    """A suite of two, one of which is not there."""
    settings = "\n".join(f"{name} = {json.dumps(value)}" for name, value in SUITE.settings.items())
    more = '[[competitors]]\ncomponent = "acme-needy"\n'
    path = tmp_path / "acme.toml"
    path.write_text(
        f"timeout_s = {SUITE.timeout_s}\n" + TOML.replace('"x"', '"acme"') + more + "[settings]\n" + settings
    )
    return path


@pytest.mark.whole
def test_run_and_report(
    toml: Path, result: Result, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # What Acme's suite has measured above is the same by any other way.
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "acme.rows.jsonl").write_bytes((folder / "acme.rows.jsonl").read_bytes())
    assert command("run", toml, "-o", tmp_path / "out", "--json") == 0
    captured = capsys.readouterr()
    told = json.loads(captured.out)
    assert told.pop("notes") == []
    unavailable = [f"unavailable: {one['name']}: {one['reason']}" for one in told.pop("unavailable")]
    assert [line for line in captured.err.splitlines() if line.startswith("unavailable")] == unavailable
    assert all(one in captured.err.splitlines() for one in told.pop("judged_apart"))
    assert told["competitors"][0]["label"] == "acme-tape"
    assert "unavailable: acme-needy" in captured.err
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "acme.html", "acme.json", "acme.md", "acme.rows.jsonl", "acme.rows.parquet"
    ]  # fmt: skip
    assert command("report", tmp_path / "out" / "acme.json", "-o", tmp_path / "again.html") == 0
    assert (tmp_path / "again.html").read_text() == (tmp_path / "out" / "acme.html").read_text()
    assert read_result(tmp_path / "out" / "acme.json").rows == Result.from_dict(told).rows
    capsys.readouterr()

    # What is measured is kept; a competitor that fails in part is the third exit status, nobody at all the first.
    assert command("run", toml, "-o", tmp_path / "out", "--add", "acme-stillborn", "--quiet") == 3
    captured = capsys.readouterr()
    assert captured.err.count("not tried: its process was lost 3 times") == 1  # of all the inputs it befell
    assert "acme-tape" in captured.out
    assert command("run", toml, "-o", tmp_path / "out", "--only", "acme-needy", "--quiet") == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [("acme.json", '{"name": "acme"}'), ("acme.html", "My notes"), ("acme.md", "# My notes\n\nAcme is fine.\n")],
)
def test_a_file_of_the_users_is_not_replaced(
    name: str, text: str, toml: Path, result: Result, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_text(text)
    assert command("run", toml, "-o", out, "--quiet") == 1
    assert f"{name} exists already, and holds something else" in capsys.readouterr().err
    assert [path.name for path in out.iterdir()] == [name]  # nothing was measured
    with pytest.raises(OutputError, match="mashkit did not write it"):
        publish(result, out)
    assert [path.name for path in out.iterdir()] == [name]


def test_wrong_usage(toml: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("run", "strechers", "-o", tmp_path / "out") == 2
    assert "did you mean 'stretchers'" in capsys.readouterr().err
    assert command("run", toml, "-o", tmp_path / "out", "--data", tmp_path / "nowhere") == 2
    with pytest.raises(SystemExit, match="2"):
        command("run", toml, "-o", tmp_path / "out", "--jobs", 0)
    assert command("report", toml, "-o", tmp_path / "x.html") == 2
    assert not (tmp_path / "out").exists()
    capsys.readouterr()
    assert command("run", tmp_path / "nope.toml", "-o", tmp_path / "out") == 2
    said = capsys.readouterr().err
    assert "nope.toml cannot be read: No such file or directory (give the name of a suite" in said
    assert "Errno" not in said
    toml.write_text(toml.read_text().replace('"acme"', '"a/b"'))
    assert command("run", toml, "-o", tmp_path / "out", "--dry-run") == 2
    assert command("run", "smoke", "-o", tmp_path / "out", "--dry-run", "--set", "stretcher=nope") == 2
    assert "nope" in capsys.readouterr().err


def test_a_dry_run_says_what_is_measured_and_how_long_the_rest_takes(
    toml: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert command("run", toml, "-o", out, "--dry-run", "--json") == 0
    tape, needy = json.loads(capsys.readouterr().out)["competitors"]
    assert (tape["label"], tape["measured"], tape["missing"], tape["estimated_s"]) == ("acme-tape", 0, 2, None)
    assert tape["ahead"] > 8
    assert (needy["ahead"], "no-such-dist" in needy["reason"]) == (0, True)
    assert not out.exists()

    run(load_suite(str(toml)).only(["acme-tape"]), out)
    rows = out / "acme.rows.jsonl"
    lines = [line for line in rows.read_text().splitlines() if '"input_missing": false' in line]
    rows.write_text("\n".join([*lines[:-2], lines[-2][:40]]))  # cut off, as a power failure leaves it
    before = rows.read_bytes()
    assert command("run", toml, "-o", out, "--dry-run", "--json") == 0
    tape, _ = json.loads(capsys.readouterr().out)["competitors"]
    assert (tape["measured"], tape["ahead"]) == (len(lines) - 2, 2)
    took = [json.loads(line)["wall_s"] for line in lines[:-2]]
    assert tape["estimated_s"] == pytest.approx(2 * sum(took) / len(took))
    assert rows.read_bytes() == before
    assert [path.name for path in out.iterdir()] == [rows.name]

    assert command("run", toml, "-o", out, "--dry-run") == 0
    said = capsys.readouterr()
    assert "acme-tape" in said.out
    assert re.search(r"dry run: 2 to measure in about \d+ s; nothing", said.err)
    assert command("run", toml, "-o", out, "--dry-run", "--only", "acme-needy", "--quiet") == 1


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert command("list") == 0
    assert "stretchers" in capsys.readouterr().out
    assert command("list", "--json") == 0
    listed = json.loads(capsys.readouterr().out)
    assert {one["name"] for one in listed["suites"]} == set(known_suites())


def test_without_matplotlib_nothing_is_measured(
    toml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "matplotlib" else find(name))
    assert command("run", toml, "-o", tmp_path / "out") == 1
    assert "pip install 'mashkit[bench]'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.whole
def test_running_imports_no_matplotlib_and_listing_no_backend() -> None:
    code = "from mashkit.cli import main\nmain(['bench', 'list'])\nimport sys\nprint(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stderr.split()}
    assert not loaded & {"matplotlib", "pedalboard", "python_stretch", "librosa", "torch"}
