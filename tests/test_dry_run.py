"""`--dry-run`: arguments and components are checked, songs are counted, and nothing is computed or written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

import mashkit as mk
from mashkit.cli import main
from mashkit.synthetic import signals

CHEAP = ("--separator", "thirds", "--analyzer", "grid", "--stretcher", "librosa", "--scorer", "random", "--dry-run")

pytestmark = pytest.mark.plugins


@pytest.fixture
def songs(tmp_path: Path, light: None) -> Path:
    mk.save(tmp_path / "songs" / "one.wav", signals.tone(220.0, 3.0))
    (tmp_path / "songs" / "two.wav").write_bytes(b"no sound")
    return tmp_path / "songs"


def test_mash_says_what_it_would_do(songs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cache = tmp_path / "cache"
    command = ["mash", str(songs), "-o", str(tmp_path / "out"), "--cache", str(cache), *CHEAP]
    assert main([*command, "--json"]) == 3  # one of the files is no song
    told = json.loads(capsys.readouterr().out)
    assert [(Path(one["path"]).name, one["duration_s"]) for one in told["songs"]] == [("one.wav", 3.0)]
    assert [Path(one["path"]).name for one in told["failures"]] == ["two.wav"]
    assert told["components"]["separator"] == "thirds"
    assert told["plans"] == 50
    assert not (tmp_path / "out").exists()
    assert not cache.exists()
    assert main(command) == 3
    assert "dry run: 1 songs, 0.1 minutes, 50 plans, with separator thirds, analyzer grid" in capsys.readouterr().err


def test_a_folder_in_the_place_of_a_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "folder").mkdir()
    assert main(["listen", "simulate", "--task", "generation", "-o", str(tmp_path / "folder")]) == 1
    assert f"cannot write {tmp_path / 'folder'}: it is a folder (name a file)" in capsys.readouterr().err


def test_an_output_that_cannot_be_is_found(songs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    for output in (tmp_path / "file", tmp_path / "file" / "in it"):
        for command in (["mash", str(songs), *CHEAP], ["separate", str(songs), "--separator", "thirds", "--dry-run"]):
            assert main([*command, "-o", str(output)]) == 1
            assert f"cannot write to {output}: {tmp_path / 'file'} is a file" in capsys.readouterr().err
        assert main(["bench", "run", "smoke", "--dry-run", "-o", str(output)]) == 1
        assert "is a file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "status"),
    [(("--scorer", "lodness"), 2), (("--condition", "macthed"), 2), (("-O", "generator.max_shft=2"), 2),
     (("--clip-length", "2"), 2), (("--top", "60"), 2)],
)  # fmt: skip
def test_what_is_wrong_is_found(
    songs: Path, tmp_path: Path, words: tuple[str, ...], status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["mash", str(songs), "-o", str(tmp_path / "out"), *CHEAP, *words]) == status
    assert capsys.readouterr().err


def test_what_the_run_would_refuse_is_found(songs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wide = np.zeros((48_000, 6), np.float32)
    soundfile.write(songs / "six.wav", wide, 16_000)
    whole = (songs / "one.wav").read_bytes()
    (songs / "cut.wav").write_bytes(whole[: len(whole) // 2])
    voice = mk.save(tmp_path / "voice.wav", signals.tone(330.0, 2.0))
    command = ["mash", str(songs), "-o", str(tmp_path / "out"), *CHEAP, "--json"]
    assert main([*command, "--vocal", str(voice)]) == 3
    told = json.loads(capsys.readouterr().out)
    assert [Path(one["path"]).name for one in told["songs"]] == ["one.wav", "voice.wav"]
    reasons = {Path(one["path"]).name: one["error"] for one in told["failures"]}
    assert set(reasons) == {"cut.wav", "six.wav", "two.wav"}
    assert "is cut short" in reasons["cut.wav"]
    assert "has 6 channels" in reasons["six.wav"]
    assert main([*command, "--db", str(tmp_path / "db")]) == 2
    assert "are both given" in capsys.readouterr().err
    assert main([*command, "--vocal", str(voice), "--vocal-downbeat", "0.5"]) == 2
    assert "without --vocal-bpm" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "component"),
    [(("separate", "-o", "out/stems", "--separator", "thirds"), "separator thirds"),
     (("analyze", "-o", "out/facts.json", "--analyzer", "grid"), "analyzer grid")],
)  # fmt: skip
def test_separate_and_analyze_read_headers_only(
    songs: Path, tmp_path: Path, words: tuple[str, ...], component: str, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main([*words, str(songs), "--dry-run"]) == 3
    said = capsys.readouterr()
    assert "one.wav" in said.out
    assert f"dry run: 1 songs, 0.1 minutes, with {component}" in said.err
    assert not (tmp_path / "out").exists()


def test_plans_are_counted(songs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plans, out = tmp_path / "plans.jsonl", tmp_path / "out"
    layer = mk.Layer(clip_id="one", role=mk.Role.VOCAL)
    plan = mk.MashupPlan(condition=mk.Condition.ORIGINAL, layers=[layer], duration_s=2.0, seed=0)
    plans.write_text(f"{plan.to_json()}\n")
    light = ["--separator", "thirds", "--analyzer", "grid"]
    for command in (
        ["generate", str(songs), "--count", "7", "-o", str(out / "plans"), *light],
        ["render", str(plans), "--songs", str(songs), "-o", str(out), "--stretcher", "librosa", *light],
        ["score", str(plans), "--songs", str(songs), "-o", str(out / "scores"), "--scorer", "random",
         "--stretcher", "librosa", *light],
    ):  # fmt: skip
        assert main([*command, "--dry-run"]) == 3
        said = capsys.readouterr()
        counted = 7 if command[0] == "generate" else 1
        assert f"dry run: 1 songs, 0.1 minutes, {counted} plans, with " in said.err
        assert "one.wav" in said.out
    assert main(["render", str(plans), "--db", str(tmp_path / "db"), "-o", str(out), "--dry-run"]) == 1
    assert "is not a database" in capsys.readouterr().err
    command = ["render", str(plans), "--songs", str(songs), "-o", str(plans), "--stretcher", "librosa", *light]
    assert main([*command, "--dry-run"]) == 1
    assert f"cannot write to {plans}: {plans} is a file" in capsys.readouterr().err
    assert not out.exists()


def test_plans_whose_clips_a_database_lacks_are_named(
    light: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mk.save(tmp_path / "songs" / "one.wav", signals.tone(220.0, 40.0))
    database = ["--db", str(tmp_path / "db")]
    light_ones = ["--separator", "thirds", "--analyzer", "grid"]
    assert main(["db", "add", str(tmp_path / "songs"), *database, *light_ones, "--json"]) == 0
    capsys.readouterr()
    assert main(["db", "list", *database, "--json"]) == 0
    clip = json.loads(capsys.readouterr().out)["clips"][0]["id"]
    there, lacking = (
        mk.MashupPlan(
            condition=mk.Condition.ORIGINAL, layers=[mk.Layer(clip_id=name, role=mk.Role.VOCAL)], duration_s=2.0, seed=0
        )
        for name in (clip, "not-there")
    )
    plans, out = tmp_path / "plans.jsonl", tmp_path / "out"
    scorer = ["--scorer", "random", "--stretcher", "librosa"]
    for command in (
        ["render", "-o", str(out), "--stretcher", "librosa"],
        ["score", "-o", str(out / "s.json"), *scorer],
    ):
        for found, status in (((there,), 0), ((there, lacking), 3), ((lacking,), 1)):
            plans.write_text("".join(f"{plan.to_json()}\n" for plan in found))
            assert main([*command, str(plans), *database, "--dry-run", "--json"]) == status
            said = capsys.readouterr()
            told = json.loads(said.out)
            assert told["plans"] == (there in found)
            assert [one["plan"] for one in told["failures"]] == [lacking.id] * (lacking in found)
            assert ("not-there" in said.err) == (lacking in found)
            assert not out.exists()


def test_files_in_the_way_are_named(songs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    layer = mk.Layer(clip_id="one", role=mk.Role.VOCAL)
    plan = mk.MashupPlan(condition=mk.Condition.ORIGINAL, layers=[layer], duration_s=2.0, seed=0)
    plans, out = tmp_path / "plans.jsonl", tmp_path / "out"
    plans.write_text(plan.to_json())
    render = ["render", str(plans), "--songs", str(songs), *CHEAP[:6]]
    for file, command in (
        ("mashup-1/stems/harmonic.flac", ["mash", str(songs), *CHEAP[:-1]]),
        ("mashup-2/clicks.flac", ["mash", str(songs), *CHEAP[:-1], "--clicks"]),
        (f"{plan.id}/stems/vocal.flac", render),
        (f"{plan.id}/clicks.flac", [*render, "--clicks"]),
    ):
        mine = out / file
        mine.parent.mkdir(parents=True)
        mine.write_text("mine")
        for also in ([], ["--dry-run"]):
            assert main([*command, "-o", str(out), *also]) == 1
            said = capsys.readouterr().err
            assert f"{mine} is in the way" in said
            assert "one.wav" not in said  # no song was read
        shutil.rmtree(out)


def test_db_add_makes_no_database(songs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["db", "add", str(songs), "--db", str(tmp_path / "db"), "--separator", "thirds", "--analyzer", "grid"]
    assert main([*command, "--dry-run", "--json"]) == 3
    assert [Path(one["path"]).name for one in json.loads(capsys.readouterr().out)["songs"]] == ["one.wav"]
    assert not (tmp_path / "db").exists()


def test_db_add_of_nothing_usable_makes_no_database(
    light: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    database = tmp_path / "db"
    command = ["db", "add", "--db", str(database), "--separator", "thirds", "--analyzer", "grid"]
    assert main([*command, str(tmp_path / "nofolder")]) == 1
    assert "nofolder: no such file or folder" in capsys.readouterr().err
    assert main([*command, str(tmp_path / "nofolder"), str(tmp_path / "b.wav")]) == 1
    said = capsys.readouterr().err
    assert "b.wav: no such file or folder" in said
    assert "none of the 2 songs can be used, so no database is made" in said
    assert not database.exists()


def test_db_add_of_files_that_cannot_be_decoded_makes_no_database(
    songs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    database = tmp_path / "db"
    command = ["db", "add", "--db", str(database), "--separator", "thirds", "--analyzer", "grid"]
    cut = songs / "cut.wav"
    cut.write_bytes((songs / "one.wav").read_bytes()[:-100])
    flac = mk.save(songs / "cut.flac", signals.tone(220.0, 3.0))
    flac.write_bytes(flac.read_bytes()[:-100])
    for name, said in (
        ("two.wav", "cannot be decoded"),
        ("cut.wav", "is cut short"),
        ("cut.flac", "cannot be decoded"),
    ):
        assert main([*command, str(songs / name)]) == 1
        assert f"{name}: {said}" in capsys.readouterr().err
    assert main([*command, str(songs / "two.wav"), str(cut)]) == 1
    assert "none of the 2 songs can be used, so no database is made" in capsys.readouterr().err
    assert not database.exists()


@pytest.mark.parametrize("words", [("--dry-run",), ("--dry-run", "--trust-labels"), ("--trust-labels",)])
def test_what_is_passed_over_is_noted(
    songs: Path, tmp_path: Path, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    (songs / "@eaDir").mkdir()
    command = ["db", "add", str(songs), "--db", str(tmp_path / "db"), "--separator", "thirds", "--analyzer", "grid"]
    assert main([*command, *words, "--json", "--quiet"]) != 0  # the songs are too short, and one is none
    told = capsys.readouterr()
    note = f"{songs}: passed over 1 system folder (@eaDir)"
    assert note in told.err
    assert note in json.loads(told.out)["notes"]
