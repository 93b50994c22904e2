"""What arguments cannot mean is refused by the parser, or before the work begins."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import pytest

import mashkit as mk
from mashkit.arguments import json_or_text
from mashkit.catalog import MashupDB
from mashkit.cli import main
from mashkit.errors import OptionError, PlanError
from mashkit.synthetic.source import SyntheticSource
from mashkit.testing.mashups import mashup_of


def status(*words: object) -> int:
    """Return the exit status of a command, also if the parser ends it."""
    try:
        return main([str(word) for word in words])
    except SystemExit as error:
        return int(error.code or 0)


@pytest.mark.parametrize(
    "words",
    [
        ("db", "add", "song.wav", "--db", ""),
        ("db", "list", "--db", ""),
        ("separate", "song.wav", "-o", ""),
        ("analyze", ""),
        ("mash", "", "-o", "out", "--dry-run"),
        ("mash", "song.wav", "-o", ""),
        ("bench", "report", ""),
    ],
)
def test_an_empty_name_is_not_the_current_folder(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert status(*words) == 2
    assert "an empty name" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words",
    [
        ("db", "list", "--db", "DB", "--key", "H"),
        ("db", "edit", "clip", "--db", "DB", "--key", "H"),
        ("mash", "DB", "-o", "OUT", "--vocal", "a.wav", "--vocal-key", "H"),
    ],
)
def test_a_key_that_is_none_is_wrong_usage(
    words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    MashupDB(tmp_path / "db").close()
    places = {"DB": tmp_path / "db", "OUT": tmp_path / "out"}
    assert status(*(places.get(word, word) for word in words)) == 2
    assert "'H'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--failures", "foo"), "--failures with words"),
        (("--failures", "--key", "A minor", "--limit", "3"), "--failures with --key, --limit"),
        (("--same-recordings", "--tempo", "90-100"), "--same-recordings with --tempo"),
        (("--failures", "--same-recordings"), "are two lists"),
        (("--limit", "-5"), "-5 is not a whole number"),
    ],
)
def test_filters_that_would_not_count_are_refused(
    words: tuple[str, ...], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    MashupDB(tmp_path / "db").close()
    assert status("db", "list", "--db", tmp_path / "db", *words) == 2
    assert said in capsys.readouterr().err


def test_a_dry_run_needs_the_database_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "music").mkdir()
    command = ("generate", "--db", tmp_path / "music", "--count", 1)
    assert status(*command, "--dry-run") == status(*command) == 1
    assert capsys.readouterr().err.count("holds no database") == 2  # as the run says


@pytest.mark.parametrize(
    "words", [("edit", "x", "--key", "8A"), ("prune",), ("prune", "--dry-run"), ("verify", "--repair"), ("verify",)]
)
def test_what_adds_nothing_makes_no_database(
    words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status("db", *words, "--db", tmp_path / "mistyped") == 1
    assert "holds no database (make one: mashkit db add FOLDER --db" in capsys.readouterr().err
    assert not (tmp_path / "mistyped").exists()


def test_a_mistake_in_a_plan_is_named_where_it_is(tmp_path: Path) -> None:
    from mashkit.cli.planfile import read_plans

    songs = SyntheticSource([(mk.Key(9, "minor"), 120.0)], bars=4)
    plan = mashup_of(songs, songs.clips[0]).plan
    whole = json.dumps(plan.to_dict(), indent=2)
    lines = whole.splitlines()
    at = next(number for number, line in enumerate(lines) if '"speed"' in line)
    lines[at] += ","
    (tmp_path / "plan.json").write_text("\n".join(lines))
    with pytest.raises(PlanError, match=rf"plan\.json, line {at + 1}: a plan is not JSON: .*, column"):
        read_plans([tmp_path / "plan.json"])
    (tmp_path / "plans.jsonl").write_text("{\n" + plan.to_json() + "\n")
    found = read_plans([tmp_path / "plans.jsonl"])
    assert found.plans == (plan,)
    assert [one["line"] for one in found.failures] == [f"{tmp_path / 'plans.jsonl'}, line 1"]


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "9" * 5000, f'{{"format": {"9" * 5000}}}'], ids=["deep", "many digits", "in an object"]
)
def test_json_that_python_does_not_read_is_no_fault_of_mashkit(text: str, tmp_path: Path) -> None:
    from mashkit.cli.planfile import read_plans

    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(PlanError, match=r"plan\.json.*: a plan is not JSON"):
        read_plans([tmp_path / "plan.json"])
    assert json_or_text(text) == text


def test_a_line_of_a_plan_ends_where_json_says(tmp_path: Path) -> None:
    from mashkit.cli.planfile import PlanFile, read_plans

    songs = SyntheticSource([(mk.Key(9, "minor"), 120.0)], bars=4)
    plan = mashup_of(songs, songs.clips[0]).plan
    layers = [attrs.evolve(layer, clip_id=f"{layer.clip_id}\u2028\x85") for layer in plan.layers]
    plan = attrs.evolve(plan, layers=layers)
    line = json.dumps(plan.to_dict(), ensure_ascii=False)  # as other programs write JSON
    (tmp_path / "plans.jsonl").write_bytes(f"{line}\r\n{line}\n".encode())
    assert read_plans([tmp_path / "plans.jsonl"]) == PlanFile((plan, plan), ())


def test_infinity_is_an_option_only_where_the_component_uses_it() -> None:
    registry = mk.Registry()
    with pytest.raises(OptionError, match=r"'limit_db' is inf.*give a finite number"):
        registry.create("generator", "paper", {"limit_db": float("inf")})
    with pytest.raises(OptionError, match=r"'limit_db' is nan.*give a number"):
        registry.create("generator", "paper", {"limit_db": float("nan")})
