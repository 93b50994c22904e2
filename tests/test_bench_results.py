"""Files of results: rows come back as they were, others are refused, committed tables and pages follow from them."""

from __future__ import annotations

import copy
import hashlib
import importlib.util
import json
import re
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import attrs
import pytest

pytest.importorskip("matplotlib", reason="needs matplotlib: pip install 'mashkit[bench]'")
pytest.importorskip("pyarrow", reason="needs pyarrow: pip install 'mashkit[bench]'")

import pyarrow.parquet

from mashkit.bench.compare import with_earlier
from mashkit.bench.comparisons import Comparison
from mashkit.bench.page import markdown, page, publish
from mashkit.bench.ranking import Metric
from mashkit.bench.records import Entry, Machine, Row
from mashkit.bench.results import ROWS_SUFFIX, Result, read_result, rows_path, write_result
from mashkit.bench.runner import recomputed
from mashkit.bench.scorers import ScorerTask
from mashkit.bench.tasks import load_task
from mashkit.cli import main
from mashkit.errors import UsageError
from mashkit.pages import MINUS
from packed import unpacked

ROOT = Path(__file__).parents[1]
COMMITTED = ROOT / "benchmarks" / "results"
MOST_BYTES = 4_000_000
"""Of all committed results together: every clone has them, and in git each new run adds its own."""
NAMES = [
    "alignment", "amu_vs_premixnet", "amu_vs_premixnet-multitracks-plan_seeds-1",
    "amu_vs_premixnet-rendered-plan_seeds-1", "analyzers", "generators", "separators", "stretchers",
]  # fmt: skip


ENTRY = {"label": "a", "component": "a"}
METRICS = {metric.name: 0.5 for metric in ScorerTask.metrics}
NOTHING = dict.fromkeys(METRICS)


def row(label: str, name: str, values: dict[str, float], **more: Any) -> dict[str, Any]:
    return {
        "label": label, "component": label, "input": name, "measure": "controlled", "input_missing": False,
        "status": "ok", "reason": "", "values": values, "wall_s": 0.1 + 0.2, "cpu_s": 1 / 3, "load_s": None,
        "peak_memory_mb": 123.456789, **more,
    }  # fmt: skip


@pytest.fixture
def result() -> Result:
    """A result with all that is hard to write: many digits, very small numbers, no numbers, any letters, no rows."""
    failed = {"status": "failed", "reason": 'died: <b> | "quoted" \\ café – ♪', "wall_s": None, "cpu_s": None}
    return Result.from_dict({
        "format": 2, "finished": "2026-01-01T00:00:00+00:00", "rules": "the rules", "jobs": 1,
        "suite": {"name": "s.1", "task": "scorers", "title": "S", "summary": "s", "timeout_s": 60, "seed": 1,
                  "settings": {"collection": "demo"}, "sha256": "a" * 64},
        "machine": {"processor": "P", "cores": 2, "memory_mb": 1000},
        "environment": {"python": "3", "packages": {}},
        "metrics": [attrs.asdict(metric) for metric in ScorerTask.metrics],
        "competitors": [], "comparisons": [], "inputs_sha256": "b" * 64,
        "inputs": {"one": {"uses": [["controlled", "positive"]], "song": "Ünder"}, "nobody's": {"song": "x"}},
        "rows": [
            row("a", "one", {"score": 0.1, "probability": -0.0}),
            row("a", "two", {"score": 5e-324, "part.harmony": 1.7976931348623157e308, "cases": 48}),
            row("b", "one", {}, **failed),
            row("b", "two", {"cases": 2.0, "score": -1e-7}, input_missing=True),
        ],
    })  # fmt: skip


def opened(text: str) -> str:
    """Return a page with its rows unpacked: another zlib may pack the same rows into other bytes."""
    return re.sub(r'(id="packed-rows">)[^<]*', lambda found: found[1] + json.dumps(unpacked(text)), text)


# ------------------------------------------------------------------------------------------------------ round trips
def test_rows_come_back_to_the_bit(result: Result, tmp_path: Path) -> None:
    before = copy.deepcopy(result)
    path, *_ = publish(result, tmp_path)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["s.1.html", "s.1.json", "s.1.md", "s.1.rows.parquet"]
    again = read_result(path)
    assert again == result == before
    assert str(again.rows[0].values["probability"]) == "-0.0"
    assert page(again) == page(result)
    written = json.loads(path.read_text())
    assert written["rows"].keys() == {"count", "sha256"}
    assert written["inputs"] == {"nobody's": {"song": "x"}}  # the others' facts are beside their rows
    # Anybody's table: a column for each number, under its own name.
    table = pyarrow.parquet.read_table(rows_path(path))
    assert table.column("values.score").to_pylist() == [0.1, 5e-324, None, -1e-7]


def test_songs_a_competitor_was_trained_on_come_back(result: Result, tmp_path: Path) -> None:
    songs = ["Ünder", "Band - Tune"]
    rows = [attrs.evolve(row, trained_on=songs if number == 1 else ()) for number, row in enumerate(result.rows)]
    path = tmp_path / "s.1.json"
    write_result(attrs.evolve(result, rows=rows), path)
    assert list(read_result(path).rows) == rows


def test_results_without_rows_inputs_or_numbers_come_back(result: Result, tmp_path: Path) -> None:
    bare = {name: value for name, value in result.to_dict().items() if name not in ("inputs", "comparisons")}
    for number, rows in enumerate(([], [row("a", "one", {}, status="unavailable", reason="not here")])):
        made = Result.from_dict({**bare, "rows": rows})
        write_result(made, tmp_path / f"{number}.json")
        assert read_result(tmp_path / f"{number}.json") == made


def test_a_result_of_before_is_read_and_converted(
    result: Result, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"key": f"{number:064}", **one.to_dict()} for number, one in enumerate(result.rows)]
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({**result.to_dict(), "format": 1, "rows": rows}))
    assert read_result(path) == attrs.evolve(result, format=1)
    assert main(["bench", "report", str(path)]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'mine.html'}\n"
    assert read_result(path) == result
    files = {one.name: one.read_bytes() for one in tmp_path.iterdir()}
    assert set(files) == {"mine.html", "mine.json", "mine.md", "mine.rows.parquet"}
    assert files["mine.html"].decode() == page(result)
    assert main(["bench", "report", str(path)]) == 0
    assert {one.name: one.read_bytes() for one in tmp_path.iterdir()} == files


def test_a_title_on_two_lines_makes_no_result_that_the_next_run_refuses(result: Result, tmp_path: Path) -> None:
    two = attrs.evolve(result, suite=attrs.evolve(result.suite, title="A title\n\nin two lines"))
    publish(two, tmp_path)
    assert (tmp_path / "s.1.md").read_text().startswith("# A title in two lines\n\n")
    publish(two, tmp_path)


# --------------------------------------------------------------------------------------------------------- refusals
def test_rows_that_are_not_its_own_are_refused(result: Result, tmp_path: Path) -> None:
    path, other = tmp_path / "one.json", tmp_path / "other.json"
    write_result(result, path)
    write_result(attrs.evolve(result, rows=result.rows[:2]), other)
    shutil.copy(rows_path(other), rows_path(path))
    with pytest.raises(UsageError, match=r"one\.rows\.parquet does not hold the rows of .*one\.json") as error:
        read_result(path)
    assert "one.json and one.rows.parquet belong together" in str(error.value)
    rows_path(path).unlink()
    with pytest.raises(UsageError, match=r"one\.json cannot be read without its rows in .*one\.rows\.parquet: No such"):
        read_result(path)

    written = json.loads(other.read_text())
    rows_path(other).write_bytes(b"no table at all")
    broken = {**written["rows"], "sha256": hashlib.sha256(b"no table at all").hexdigest()}
    other.write_text(json.dumps({**written, "rows": broken}))
    with pytest.raises(UsageError, match=r"other\.rows\.parquet cannot be read as Parquet"):
        read_result(other)


@pytest.mark.parametrize(
    "change", [{"format": 3}, {"format": 2, "rows": []}, {"format": 1, "rows": {}}, {"format": [2]}, {"rows": None}]
)
def test_what_is_no_result_is_refused(change: dict[str, Any], result: Result, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(json.dumps({**result.to_dict(), **change}))
    with pytest.raises(UsageError, match="not a benchmark result of format 2"):
        read_result(tmp_path / "x.json")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"suite": {"name": "s"}}, "x.json: suite: no 'task'"),
        ({"metrics": [{"nmae": "auc"}]}, "x.json: metrics: unknown key 'nmae'"),
        ({"competitors": {"a": 1}}, "x.json: competitors is not a list"),
        ({"inputs": [1]}, "x.json: inputs is not a table"),
        ({"machine": None}, "x.json: machine is not a table"),
        ({"jbos": 1}, "x.json: unknown key 'jbos'"),
        ({"competitors": [{**ENTRY, "rank": "first"}]}, "competitors: .*: rank is 'first', not a whole number"),
        ({"competitors": [{**ENTRY, "intervals": {"auc": [1]}}]}, r"intervals\.auc is \(1,\), not 2 values"),
        ({"competitors": [{**ENTRY, "metrics": {"auc": "x"}}]}, r"metrics\.auc is 'x', not a number"),
        ({"competitors": [{**ENTRY, "metrics": {"auc": 1.0}, "rank": 1}]}, "competitor 'a' has no metric 'within_auc'"),
        ({"competitors": [{**ENTRY, "metrics": METRICS}]}, "competitor 'a' has no rank"),
        ({"competitors": [{**ENTRY, "description": {"version": "1"}}]}, "description has no 'distribution'"),
        ({"environment": {}}, "environment has no 'python'"),
        ({"environment": {"python": "3", "packages": None}}, r"environment\.packages is None, not a table"),
        ({"finished": 5}, "x.json: a value that does not fit: finished is 5, not text"),
    ],
)
def test_a_damaged_result_is_named(change: dict[str, Any], problem: str, result: Result, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(json.dumps({**result.to_dict(), "rows": {}, **change}))
    with pytest.raises(UsageError, match=problem):
        read_result(tmp_path / "x.json")


def test_a_result_whose_rows_are_of_other_competitors_is_not_computed_anew(result: Result) -> None:
    with pytest.raises(UsageError, match="a, b: rows without a competitor"):
        recomputed(result)


def test_a_result_that_lost_its_rows_is_set_aside_with_its_files(result: Result, tmp_path: Path) -> None:
    path, *_ = publish(result, tmp_path)
    rows_path(path).write_bytes(b"of another run")
    whole, notes = with_earlier(result, tmp_path)
    assert whole == result
    assert "s.1.before-1.json: " in notes[0]
    assert "does not hold the rows" in notes[0]
    assert sorted(one.name for one in tmp_path.iterdir()) == [
        "s.1.before-1.html", "s.1.before-1.json", "s.1.before-1.md", "s.1.before-1.rows.parquet"
    ]  # fmt: skip


def test_many_reports_go_past_what_is_no_result(
    result: Result, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(result, tmp_path)
    (tmp_path / "s.1.html").unlink()
    (tmp_path / "notes.json").write_text("{}")
    both = [str(tmp_path / name) for name in ("notes.json", "s.1.json")]
    assert main(["bench", "report", *both]) == 3
    said = capsys.readouterr()
    assert said.out == f"{tmp_path / 's.1.html'}\n"
    assert "notes.json is not a benchmark result" in said.err
    assert (tmp_path / "s.1.html").read_text() == page(result)
    assert main(["bench", "report", both[0], both[0]]) == 1
    assert main(["bench", "report", both[0]]) == 2
    assert main(["bench", "report", *both, "-o", str(tmp_path / "x.html")]) == 2
    assert "one page for 2 results" in capsys.readouterr().err
    assert not (tmp_path / "x.html").exists()


def test_without_pyarrow_it_says_what_to_install(
    result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path, *_ = publish(result, tmp_path)
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "pyarrow" else find(name))
    assert main(["bench", "report", str(path)]) == 1
    assert "pip install 'mashkit[bench]'" in capsys.readouterr().err
    assert main(["bench", "run", "smoke", "-o", str(tmp_path / "out")]) == 1  # before anything is measured
    assert not (tmp_path / "out").exists()
    assert main(["bench", "leaderboard", str(tmp_path), "-o", str(tmp_path / "board.html")]) == 1


# ------------------------------------------------------------------------------------------------------------- page
def test_the_page_has_every_row_as_it_is_shown(result: Result) -> None:
    lost = [row("c", f"input {number}", {}, status="unavailable", reason="not here") for number in range(300)]
    data = unpacked(page(attrs.evolve(result, rows=[*result.rows, *map(Row.from_dict, lost)])))

    def texts(name: str) -> list[str]:
        return [data[name]["texts"][number] for number in data[name]["which"]]

    assert texts("label") == ["a", "a", "b", "b", "c"]
    assert texts("input") == ["one", "two", "one", "two", "300 inputs"]  # of one reason: one line
    assert texts("status") == ["ok", "ok", "failed", "ok", "unavailable"]
    assert texts("reason")[2] == result.rows[2].reason
    assert data["wall_s"] == ["0.30", "0.30", "", "0.30", "0.30"]
    assert data["values"]["score"] == ["0.1", f"4.941e{MINUS}324", "", f"{MINUS}1e{MINUS}07", ""]
    assert list(data["values"]) == ["score", "probability", "part.harmony", "cases"]


def test_a_page_of_one_competitor_says_why_it_has_no_score(result: Result) -> None:
    one = Entry(label="a", component="a", rank=1, metrics=METRICS)
    alone = attrs.evolve(result, competitors=[one], rows=[])
    said = "There is no score, because it compares competitors, and only a was measured."
    assert said in markdown(alone)
    assert said in page(alone)
    assert "| 1 | a | – |" in markdown(alone)
    two = [attrs.evolve(one, score=50.0), attrs.evolve(one, label="b", score=50.0)]
    assert "no score" not in markdown(attrs.evolve(alone, competitors=two))


def test_the_page_underlines_the_nearest_to_an_ideal_value(result: Result) -> None:
    change = Metric(name="change", title="change", unit="points", explained="", resolution=1, ideal=0, better="higher")
    values = {"a": -0.04, "b": 42.94, "c": 0.02, "d": -3.0, "e": None}
    entries = [
        Entry(label=name, component=name, rank=1, metrics={**NOTHING, "change": one}) for name, one in values.items()
    ]
    made = attrs.evolve(result, metrics=[change], competitors=entries, comparisons=(), rows=())
    cells = re.findall(r'<td( class="best")? data-value="[^"]*">([+−]?\d+\.\d|–)</td>', page(made))
    best = ' class="best"'
    assert [cell for cell in cells if "." in cell[1]] == [(best, "0.0"), ("", "+42.9"), (best, "0.0"), ("", "−3.0")]
    assert "nearer to 0 is better" in page(made)
    assert "| 1 | b | – | +42.9 |" in markdown(made)
    assert Result.from_dict(made.to_dict()).metrics == (change,)


def test_the_page_says_why_a_number_may_lie_outside_its_draws(result: Result) -> None:
    one = Entry(label="a", component="a", rank=1, metrics=METRICS | {"auc": 97.4})
    drawn = attrs.evolve(one, draws={"auc": (97.6, 97.6)})
    said = "a mashup that came in several draws counts once, and mashups of different draws are compared"
    assert said in page(attrs.evolve(result, competitors=[drawn], rows=()))
    assert said not in page(attrs.evolve(result, competitors=[one], rows=()))


def test_the_page_says_who_lacks_metrics_that_others_are_ranked_by(result: Result) -> None:
    metrics = [Metric(name=name, title=name, unit="", explained="", resolution=1, weight=weight)
               for name, weight in (("key", 1), ("beats", 1), ("melody", 1), ("time", 0))]  # fmt: skip
    has = {"a": ("key", "beats", "time"), "b": ("key", "beats"), "c": ("melody",), "d": ("melody",)}
    entries = [
        Entry(label=label, component=label, rank=1,
              metrics={**NOTHING, **{one.name: 1.0 if one.name in own else None for one in metrics}})
        for label, own in has.items()
    ]  # fmt: skip
    made = attrs.evolve(result, metrics=metrics, competitors=entries, comparisons=(), rows=())
    said = "compare only ranks of competitors that have the same metrics. With fewer: a, b 2; c, d 1."
    assert said in page(made)
    whole = [attrs.evolve(one, metrics=NOTHING | {metric.name: 1.0 for metric in metrics}) for one in entries]
    assert "compare only ranks" not in page(attrs.evolve(made, competitors=whole))


def test_the_page_says_in_how_many_songs_two_differ(result: Result) -> None:
    tied = Comparison(
        metric="auc", one="a", other="b", difference=5.0, low=0.0, high=9.0, p_bootstrap=0.1, p_signed_rank=0.5,
        p_holm=0.5, effect=1.0, effect_low=1.0, effect_high=1.0, songs=12, differing=2,
    )  # fmt: skip
    made = page(attrs.evolve(result, comparisons=[tied]))
    assert "1 if one is better in every song in which they differ" in made
    assert "<td>2 of 12</td>" in made
    assert "<td>12</td>" in page(attrs.evolve(result, comparisons=[attrs.evolve(tied, differing=None)]))


BROWSER = shutil.which("chromium")


@pytest.mark.whole
@pytest.mark.skipif(BROWSER is None, reason="no chromium on PATH")
def test_a_browser_unpacks_the_rows(result: Result, tmp_path: Path) -> None:
    (tmp_path / "p.html").write_text(page(result).replace("</body>", "<script>everyRow.open = true</script></body>"))
    done = subprocess.run(
        [str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=5000",
         "--dump-dom", (tmp_path / "p.html").as_uri()],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    section = done.stdout[done.stdout.index("<details id=") :]
    body = re.findall(r"<tr>(.*?)</tr>", section)
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", one) for one in body]
    assert cells[0] == ["competitor", "input", "status", "numbers", "wall s", "CPU s"]
    assert cells[1] == ["a", "one", "ok", f"score 0.1, probability {MINUS}0", "0.30", "0.33"]
    assert cells[3] == ["b", "one", "failed", 'died: &lt;b&gt; | "quoted" \\ café – ♪', "–", "–"]
    assert len(cells) == 5
    assert 'id="packed-rows"' not in section


# -------------------------------------------------------------------------------------------------------- committed
@pytest.fixture(scope="module")
def committed(request: pytest.FixtureRequest) -> Result:
    return read_result(COMMITTED / f"{request.param}.json")


@pytest.mark.parametrize(("cores", "title"), [(1, "P, 1 core"), (2, "P, 2 cores"), (None, "P")])
def test_a_machine_is_named(cores: int | None, title: str) -> None:
    assert Machine(processor="P", cores=cores, memory_mb=1000).title == title


def test_committed_results_are_small_and_none_has_its_rows_inside() -> None:
    assert sum(path.stat().st_size for path in COMMITTED.rglob("*") if path.is_file()) <= MOST_BYTES
    found = {}
    for path in COMMITTED.glob("*.json"):
        data = json.loads(path.read_text())
        if isinstance(data, dict) and "suite" in data:
            found[path.stem] = data["format"]
    assert found == dict.fromkeys(NAMES, 2)
    assert {path.name.removesuffix(ROWS_SUFFIX) for path in COMMITTED.glob(f"*{ROWS_SUFFIX}")} == set(NAMES)


@pytest.mark.whole
@pytest.mark.parametrize("committed", NAMES, indirect=True)
def test_a_committed_page_is_what_report_makes(committed: Result) -> None:
    path = COMMITTED / f"{committed.suite.name}.json"
    assert path.with_suffix(".md").read_text() == markdown(committed)
    drawn_with = f"matplotlib=={version('matplotlib')}\n"
    if drawn_with not in (ROOT / "constraints.txt").read_text():
        pytest.skip(f"{drawn_with.strip()} may draw otherwise than that of constraints.txt")
    made = path.with_suffix(".html").read_text()
    assert opened(page(committed)) == opened(made), f"make it again: mashkit bench report {path}"


@pytest.mark.parametrize("committed", NAMES, indirect=True)
def test_committed_tables_follow_from_their_rows(committed: Result) -> None:
    task = load_task(committed.suite.task)
    compared = 0
    assert committed.same_inputs
    for one in committed.measured:
        found = task.summarize(committed.counted[one.label])
        assert found.keys() >= one.metrics.keys()  # those measured since are for the next run
        for name, value in one.metrics.items():
            assert found[name] == (None if value is None else pytest.approx(value, rel=1e-12)), (one.label, name)
            compared += value is not None
    assert compared > 10
