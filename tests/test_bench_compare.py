"""Results side by side: what got worse fails, what is not of the same thing is refused, many make one table."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest

from mashkit.bench.compare import Limit, NotComparable, boards, compare
from mashkit.bench.page import judged_apart, leaderboard
from mashkit.bench.results import Result
from mashkit.bench.runner import recomputed
from mashkit.bench.scorers import ScorerTask
from mashkit.cli import main
from mashkit.errors import UsageError

METRICS = {metric.name: metric for metric in ScorerTask.metrics}


def competitor(label: str, auc: float | None, rank: float, *, version: str = "1.0") -> dict[str, Any]:
    metrics = dict.fromkeys(METRICS, None) | {"auc": auc, "average_rank": rank}
    return {
        "label": label, "component": label, "options": {}, "reason": "", "load_s": 1.0, "rank": 1, "score": 50.0,
        "broken": [], "metrics": metrics, "intervals": {},
        "description": {"distribution": label, "version": version, "requires": {}, "engine": "", "options": {},
                        "code_license": "MIT", "weights_license": "none"},
    }  # fmt: skip


def row(label: str, name: str, score: float) -> dict[str, Any]:
    return {
        "key": f"{label} {name}", "label": label, "component": label, "input": name, "measure": "controlled",
        "input_missing": False, "status": "ok", "reason": "", "wall_s": 0.1, "cpu_s": 0.1, "load_s": 1.0,
        "peak_memory_mb": 100.0,
        "values": {"score": score, "probability": 0.0, "score_cpu_s": 0.1, "score_wall_s": 0.1},
    }  # fmt: skip


@pytest.fixture
def result() -> dict[str, Any]:
    """Data of a result of four songs, whose positives always score higher."""
    import attrs

    inputs = {
        f"{part} {song}": {"uses": [["controlled", part]], "song": f"song {song}", "vocal": f"v{song}",
                           "condition": "original", "plan": f"{part} {song}"}
        for part in ("positive", "negative", "unlabelled") for song in range(4)
    }  # fmt: skip
    return {
        "format": 1, "finished": "2026-01-01T00:00:00+00:00", "jobs": 1, "rules": "the rules",
        "suite": {"name": "s", "task": "scorers", "title": "S <s>", "summary": "s", "timeout_s": 60, "seed": 1,
                  "settings": {"collection": "demo", "vocals": 4}, "sha256": "a" * 64},
        "machine": {"processor": "P", "cores": 2, "memory_mb": 1000},
        "environment": {"python": "3", "packages": {}},
        "metrics": [attrs.asdict(metric) for metric in ScorerTask.metrics],
        "competitors": [competitor("amu", 90.0, 2.0), competitor("tiv", 80.0, 4.0)],
        "comparisons": [], "inputs": inputs, "inputs_sha256": "b" * 64,
        "rows": [row(label, name, 1.0 if name.startswith("positive") else 0.0)
                 for label in ("amu", "tiv") for name in inputs],
    }  # fmt: skip


def changed(result: dict[str, Any], **metrics: Any) -> dict[str, Any]:
    other = copy.deepcopy(result)
    other["competitors"][0]["metrics"] |= metrics
    return other


# ----------------------------------------------------------------------------------------------------------- limits
def test_a_limit_is_of_the_metrics_unit_or_relative() -> None:
    metrics = list(METRICS.values())
    assert Limit.parse("auc:-0.5%", metrics) == Limit("auc", -0.5, relative=False)
    assert Limit.parse("auc:-0.5", metrics) == Limit("auc", -0.5, relative=False)
    assert Limit.parse("average_rank:+10%", metrics) == Limit("average_rank", 0.1, relative=True)
    assert Limit.parse("average_rank:+0", metrics) == Limit("average_rank", 0.0, relative=False)
    assert Limit.parse("control:+3", metrics) == Limit("control", 3.0, relative=False, ideal=50.0)


def test_a_limit_of_a_metric_with_an_ideal_is_how_much_farther_from_it_a_value_may_be() -> None:
    limit = Limit.parse("control:+3", list(METRICS.values()))
    assert limit.broken_by(52.0, 56.0)
    assert limit.broken_by(48.0, 44.0)
    assert not limit.broken_by(40.0, 55.0)  # nearer, from the other side
    assert not limit.broken_by(48.0, 45.0)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("acuracy:-1", "did you mean 'accuracy'"),
        ("auc", "'' is not a change"),
        ("auc:0.5", r"'0.5' is not a change \(write it like auc:-0.5\)"),
        ("auc:+0", r"higher is better \(write auc:-0\)"),
        ("average_rank:-0", r"lower is better \(write average_rank:\+0\)"),
        ("auc:+0.5%", r"higher is better \(write auc:-0.5%\)"),
        ("average_rank:-1", r"lower is better \(write average_rank:\+1\)"),
        ("control:-3", r"nearer to 50 is better \(write control:\+3\)"),
    ],
)
def test_a_limit_that_makes_no_sense(text: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        Limit.parse(text, list(METRICS.values()))


@pytest.mark.parametrize(
    ("limit", "metrics", "fails"),
    [
        ("auc:-0.5%", {"auc": 89.5}, False),  # at the limit
        ("auc:-0.5%", {"auc": 89.4}, True),
        ("auc:-0.5%", {"auc": 99.0}, False),
        ("auc:-0.5%", {"auc": None}, True),
        ("auc:-0", {"auc": 90.0}, False),
        ("average_rank:+10%", {"average_rank": 2.2}, False),
        ("average_rank:+10%", {"average_rank": 2.21}, True),
        ("average_rank:+0.1", {"average_rank": 1.0}, False),
        ("accuracy:-1", {"accuracy": 3.0}, False),  # it was not measured before
    ],
)
def test_what_got_worse_fails(result: dict[str, Any], limit: str, metrics: dict[str, Any], fails: bool) -> None:
    compared = compare(Result.from_dict(result), Result.from_dict(changed(result, **metrics)), [limit])
    assert [one.label for one in compared.failures] == (["amu"] if fails else [])


@pytest.mark.parametrize(
    ("limits", "problem"),
    [
        (["accuracy:-1"], "neither result has accuracy"),
        (["auc:-1", "auc:-2"], "another limit is of auc, too"),
    ],
)
def test_a_limit_that_checks_nothing_is_wrong_usage(
    limits: list[str], problem: str, result: dict[str, Any], tmp_path: Path
) -> None:
    made = Result.from_dict(result)
    with pytest.raises(UsageError, match=problem):
        compare(made, made, limits)
    (tmp_path / "a.json").write_text(json.dumps(result))
    asked = [part for limit in limits for part in ("--fail-on", limit)]
    assert main(["bench", "compare", str(tmp_path / "a.json"), str(tmp_path / "a.json"), *asked]) == 2


def test_a_competitor_that_is_gone_fails(result: dict[str, Any], tmp_path: Path) -> None:
    less = {**result, "competitors": result["competitors"][:1]}
    compared = compare(Result.from_dict(result), Result.from_dict(less), ["auc:-5%"])
    (gone,) = compared.failures
    assert (gone.label, gone.metric, gone.old, gone.new) == ("tiv", "auc", 80.0, None)
    assert gone.failed == "it is no longer measured"
    assert compared.only_old == ("tiv",)
    assert compare(Result.from_dict(result), Result.from_dict(less)).failures == []
    for name, made in {"a": result, "b": less}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(made))
    command = ["bench", "compare", str(tmp_path / "a.json"), str(tmp_path / "b.json")]
    assert main(command) == 0
    assert main([*command, "--fail-on", "auc:-5%"]) == 4


# ------------------------------------------------------------------------------------------- songs it was trained on
def learnt(result: dict[str, Any], label: str, *songs: int, **scores: float) -> dict[str, Any]:
    """Return the result with a competitor that was trained on songs, and with other scores of positives."""
    made = copy.deepcopy(result)
    for one in made["rows"]:
        number = one["input"].split()[1]
        if one["label"] == label:
            one["trained_on"] = [f"song {number}"] if int(number) in songs else []
            if one["input"].startswith("positive"):
                one["values"]["score"] = scores.get(f"s{number}", one["values"]["score"])
    task = ScorerTask()
    for entry in made["competitors"]:
        rows = [one for one in Result.from_dict(made).rows if one.label == entry["label"] and not one.trained_on]
        entry["metrics"] = task.summarize(rows)
    return made


def test_changes_are_of_the_songs_that_both_results_judge(
    result: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The scores are the same. Song 0 is hard, and the new version was trained on it: nothing has become better.
    old, new = learnt(result, "amu", s0=-1.0), learnt(result, "amu", 0, s0=-1.0)
    assert old["competitors"][0]["metrics"]["auc"] == 75
    assert new["competitors"][0]["metrics"]["auc"] == 100
    compared = compare(Result.from_dict(old), Result.from_dict(new))
    found = {(one.label, one.metric): one for one in compared.changes}
    one = found["amu", "auc"]
    assert (one.old, one.new, one.low, one.high) == (100, 100, 0, 0)
    assert compared.notes == (
        "amu was trained on other songs in A than in B: its values and changes here are of the 9 inputs by which it is "
        "judged in both",
    )
    assert compare(Result.from_dict(new), Result.from_dict(new)).notes == ()
    for name, made in {"a": old, "b": new}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(made))
    assert main(["bench", "compare", str(tmp_path / "a.json"), str(tmp_path / "b.json")]) == 0
    assert "amu was trained on other songs" in capsys.readouterr().err
    # Where no song is judged in both, a limit cannot be kept.
    half = Result.from_dict(learnt(result, "amu", 0, 1)), Result.from_dict(learnt(result, "amu", 2, 3))
    (failed,) = compare(*half, ["auc:-5%"]).failures
    assert failed.failed == "no input of the metric is judged in both"


def test_changes_are_of_the_same_songs_where_another_competitor_leaves_some_out(result: dict[str, Any]) -> None:
    # In B, "tiv" was trained on song 0, which is hard for "amu": what is shown of "amu" there is of the other songs.
    old = recomputed(Result.from_dict(learnt(result, "amu", s0=-1.0)))
    new = recomputed(Result.from_dict(learnt(learnt(result, "amu", s0=-1.0), "tiv", 0)))
    assert [one.metrics["auc"] for side in (old, new) for one in side.competitors if one.label == "amu"] == [75, 100]
    compared = compare(old, new)
    (change,) = [one for one in compared.changes if (one.label, one.metric) == ("amu", "auc")]
    assert (change.old, change.new) == (75, 75)
    assert (
        "amu has numbers of other inputs in A than in B: its values and changes here are of the 12 inputs by which it "
        "is judged in both"
    ) in compared.notes
    (change,) = [one for one in compare(new, new).changes if (one.label, one.metric) == ("amu", "auc")]
    assert (change.old, change.new, change.low) == (100, 100, 0)


def test_a_lost_input_changes_nothing(result: dict[str, Any]) -> None:
    # The scores are the same. Song 0 is hard, and in B it had gone.
    old, new = learnt(result, "amu", s0=-1.0), learnt(result, "amu", s0=-1.0)
    lost = next(one for one in new["rows"] if (one["label"], one["input"]) == ("amu", "positive 0"))
    lost |= {"status": "unavailable", "reason": "gone", "input_missing": True, "values": {}}
    entry, _ = new["competitors"]
    entry["metrics"] = ScorerTask().summarize([row for row in Result.from_dict(new).rows if row.label == "amu"])
    assert entry["metrics"]["auc"] == 100 > old["competitors"][0]["metrics"]["auc"]
    compared = compare(Result.from_dict(old), Result.from_dict(new))
    one = next(one for one in compared.changes if (one.label, one.metric) == ("amu", "auc"))
    assert (one.old, one.new) == (100, 100)
    assert compared.notes == (
        "amu lacked other inputs in A than in B: its values and changes here are of the 11 inputs by which it is "
        "judged in both",
    )
    assert judged_apart(Result.from_dict(new)) == [
        "amu lacked 1 input, which had gone when it was measured.",
        "Rank and score are of the inputs that all of them had.",
    ]


def test_a_leaderboard_ranks_by_the_songs_that_nobody_was_trained_on(result: dict[str, Any], tmp_path: Path) -> None:
    # "net" knows songs 0 and 1, where everybody fails; on the others, "amu" is perfect and "net" is not.
    ours = learnt({**result, "competitors": result["competitors"][:1]}, "amu", s0=-1.0, s1=-1.0)
    theirs = json.loads(json.dumps(result).replace('"tiv"', '"net"').replace('"tiv ', '"net '))
    theirs["competitors"] = theirs["competitors"][1:]
    theirs["rows"] = [one for one in theirs["rows"] if one["label"] == "net"]
    theirs = {**learnt(theirs, "net", 0, 1, s0=-1.0, s1=-1.0, s2=-0.5), "finished": "2026-02-01T00:00:00+00:00"}
    assert ours["competitors"][0]["metrics"]["auc"] <= theirs["competitors"][0]["metrics"]["auc"] == 50
    (tmp_path / "ours.json").write_text(json.dumps(ours))
    (tmp_path / "theirs.json").write_text(json.dumps(theirs))
    (board,), refused = boards(tmp_path)
    assert [(one.label, one.rank) for one in board.result.competitors] == [("amu", 1), ("net", 2)]
    # The numbers are of these songs, too, and say the same.
    assert board.result.competitors[0].metrics["auc"] == 100
    assert board.result.competitors[1].metrics["auc"] == theirs["competitors"][0]["metrics"]["auc"]
    made = leaderboard([(board.result, board.files)], refused)
    assert "net was trained on song 0, song 1: what it does with these is shown" in made
    assert "Numbers, rank and score are of the 6 of 12 inputs that nobody was trained on." in made
    # A result alone keeps the order that it was published with.
    (tmp_path / "theirs.json").unlink()
    ours["competitors"] = [competitor("tiv", 1.0, 9.0), competitor("amu", 90.0, 2.0)]
    (tmp_path / "ours.json").write_text(json.dumps(ours))
    (board,), _ = boards(tmp_path)
    assert board.result == Result.from_dict(ours)
    # Where everybody was trained on something else, the page does not promise a fair order.
    (tmp_path / "ours.json").write_text(json.dumps(learnt(learnt(result, "amu", 0, 1), "tiv", 2, 3)))
    (board,), _ = boards(tmp_path)
    assert "No song is new to everybody" in leaderboard([(board.result, board.files)], {})


def test_changes_have_intervals_where_rows_tell(result: dict[str, Any]) -> None:
    other = changed(result)
    for one in other["rows"]:
        if one["label"] == "amu" and one["input"] == "positive 0":
            one["values"]["score"] = -1.0
    found = {(one.label, one.metric): one for one in compare(Result.from_dict(result), Result.from_dict(other)).changes}
    assert found["amu", "auc"].low is not None
    assert found["amu", "auc"].low < 0 <= found["amu", "auc"].high
    assert (found["tiv", "auc"].low, found["tiv", "auc"].high) == (0, 0)


# ---------------------------------------------------------------------------------------------------------- refusals
def test_what_is_not_of_the_same_thing_is_refused(result: dict[str, Any]) -> None:
    def other(**suite: Any) -> dict[str, Any]:
        made = copy.deepcopy(result)
        made["suite"] |= {"sha256": "c" * 64, **suite}
        return made

    cases = [
        (other(settings={"collection": "songs", "vocals": 4}), "settings differ: collection demo and songs$"),
        (other(seed=2), "settings differ: seed 1 and 2"),
        (other(task="stretchers"), "'scorers', the other of 'stretchers'"),
        ({**result, "inputs_sha256": "d" * 64}, "another collection, or files in it have changed"),
        ({name: value for name, value in result.items() if name != "inputs_sha256"}, "before results recorded"),
        ({**result, "metrics": result["metrics"][1:]}, "other metrics"),
        ({**result, "competitors": [competitor("xyz", 1.0, 1.0)]}, "no competitor in common"),
    ]
    for made, problem in cases:
        with pytest.raises(NotComparable) as error:
            compare(Result.from_dict(result), Result.from_dict(made))
        assert re.search(problem, error.value.problem), error.value.problem


def test_results_of_two_versions_of_a_task_are_not_compared_or_merged(result: dict[str, Any], tmp_path: Path) -> None:
    def version(number: int) -> dict[str, Any]:
        return {**result, "suite": {**result["suite"], "task_version": number}}

    with pytest.raises(NotComparable, match="version 2 of task 'scorers', the other of version 3"):
        compare(Result.from_dict(version(2)), Result.from_dict(version(3)))
    compare(Result.from_dict(version(2)), Result.from_dict(version(2)))
    # A result of an earlier mashkit does not tell, and is compared as before; it joins no two that differ.
    compare(Result.from_dict(result), Result.from_dict(version(3)))
    for name, made in {"a": result, "b": version(2), "c": version(3)}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(made))
    assert [[path.stem for path in one.files] for one in boards(tmp_path)[0]] == [["a", "b"], ["c"]]


def test_the_command_line_says_it_with_its_exit_status(
    result: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = {}
    for name, made in {
        "a": result, "b": changed(result, auc=85.0), "c": {**result, "inputs_sha256": "d" * 64}
    }.items():  # fmt: skip
        paths[name] = tmp_path / f"{name}.json"
        paths[name].write_text(json.dumps(made))

    def run(*arguments: object) -> int:
        return main(["bench", "compare", *map(str, arguments)])

    assert run(paths["a"], paths["a"], "--fail-on", "auc:-0.5%") == 0
    assert "no metric changed" in capsys.readouterr().err
    assert run(paths["a"], paths["b"]) == 0
    assert run(paths["a"], paths["b"], "--fail-on", "auc:-5%") == 0
    capsys.readouterr()
    assert run(paths["a"], paths["b"], "--fail-on", "auc:-0.5%", "--json") == 4
    said = capsys.readouterr()
    assert json.loads(said.out)["failures"][0]["label"] == "amu"
    assert "failed: amu: auc from 90.000 to 85.000" in said.err
    assert run(paths["a"], paths["c"]) == 2
    assert "inputs differ" in capsys.readouterr().err
    assert run(paths["a"], tmp_path / "nowhere.json") == 2


# -------------------------------------------------------------------------------------------------------- leaderboard
def test_a_leaderboard_ranks_all_comparable_entries_anew(
    result: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = {**copy.deepcopy(result), "finished": "2026-02-01T00:00:00+00:00"}
    theirs["competitors"] = [
        competitor("acme <net>", 95.0, 1.0), competitor("amu", 91.0, 2.0), competitor("tiv", 70.0, 5.0, version="0.9"),
    ]  # fmt: skip
    (tmp_path / "ours.json").write_text(json.dumps(result))
    (tmp_path / "theirs.json").write_text(json.dumps(theirs))
    (tmp_path / "elsewhere.json").write_text(json.dumps({**result, "inputs_sha256": "d" * 64}))
    (tmp_path / "notes.json").write_text("{}")
    found, refused = boards(tmp_path)
    assert [len(one.files) for one in found] == [1, 2]
    assert set(refused) == {tmp_path / "notes.json"}
    places = {one.label: one for one in found[1].result.competitors}
    # The same component at the same version twice: the newer counts. At two versions, both do.
    assert list(places) == ["acme <net>", "amu", "tiv (ours)", "tiv (theirs)"]
    assert places["amu"].metrics["auc"] == 91.0
    assert [one.rank for one in places.values()] == [1, 2, 3, 4]
    text = leaderboard([(one.result, one.files) for one in found], refused)
    assert "acme &lt;net&gt;" in text
    assert "S &lt;s&gt;" in text
    assert "<s>" not in text
    assert "notes.json" in text
    assert not re.search(r'(src|href)="(?!#)', text)
    command = ["bench", "leaderboard", str(tmp_path), "-o", str(tmp_path / "board.html")]
    assert main(command) == 3  # the notes are no result
    assert (tmp_path / "board.html").read_text() == text
    capsys.readouterr()
    assert main([*command, "--json"]) == 3
    told = json.loads(capsys.readouterr().out)
    assert told["page"] == str(tmp_path / "board.html")
    assert [one["path"] for one in told["refused"]] == [str(tmp_path / "notes.json")]
    assert told["refused"][0]["reason"] in refused.values()
    (tmp_path / "notes.json").unlink()
    assert main(command) == 0
    assert "notes.json" not in (tmp_path / "board.html").read_text()


def test_a_leaderboard_takes_what_was_measured_last(result: dict[str, Any], tmp_path: Path) -> None:
    kept, anew = (changed(result, auc=value) for value in (11.0, 22.0))
    kept["competitors"][0]["measured"] = "2026-01-01T00:00:00+00:00"
    for name, made, finished in (("a", kept, "2026-03-01"), ("b", anew, "2026-02-01")):
        (tmp_path / f"{name}.json").write_text(json.dumps({**made, "finished": f"{finished}T00:00:00+00:00"}))
    ((board,), _) = boards(tmp_path)
    assert {one.label: one.metrics["auc"] for one in board.result.competitors} == {"amu": 22.0, "tiv": 80.0}


def test_a_folder_without_results_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no result of a benchmark"):
        boards(tmp_path)
    assert main(["bench", "leaderboard", str(tmp_path), "-o", str(tmp_path / "b.html")]) == 2
    assert main(["bench", "leaderboard", str(tmp_path / "x"), "-o", str(tmp_path / "b.html")]) == 2


def test_where_every_file_is_refused_there_is_no_board(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.json").write_text("{}")
    (tmp_path / "cut.json").write_text('{"format": 2, "sui')
    assert main(["bench", "leaderboard", str(tmp_path), "-o", str(tmp_path / "b.html")]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert [line.partition(".json")[0] for line in said.err.splitlines()] == [
        f"not shown: {tmp_path / name}" for name in ("cut", "notes")
    ]
    assert main(["bench", "leaderboard", str(tmp_path), "-o", str(tmp_path / "b.html"), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["page"] is None
    assert [Path(one["path"]).name for one in told["refused"]] == ["cut.json", "notes.json"]
    assert all(one["reason"] for one in told["refused"])
    assert not (tmp_path / "b.html").exists()
