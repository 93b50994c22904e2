"""The command line as its users meet it: what it writes, what it says, and its exit status."""

from __future__ import annotations

import argparse
import errno
import io
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

import mashkit as mk
from installing import install
from light import QUICKEST
from mashkit.audio import mixing
from mashkit.catalog.scanning import Found
from mashkit.cli import main
from mashkit.cli.console import print_json, print_table
from mashkit.cli.eachfile import of_each
from mashkit.cli.kits import seeded_kit
from mashkit.cli.parser import build
from mashkit.errors import OutputError, UsageError
from mashkit.testing import signals
from mashkit.timing.beats import beat_error
from mashkit.types import Audio, Key, Role

pytestmark = [pytest.mark.plugins, pytest.mark.usefixtures("in_this_process")]  # the default components are plugins

PAIR = ("slow-river.ogg", "mango-season.ogg")
"""Two demo songs that fit each other: B flat major and C major, at 92 and 102 BPM."""
UNJUDGED = ("--count", 2, "--scorer", "random")
"""For tests of anything but scores: two plans, and the scorer that renders neither."""
PARTS = {"vocal-harmonic", "vocal-percussion", "harmonic-percussion"}
"""Parts of the default scorer."""


def run(*arguments: object) -> int:
    try:
        return main([str(argument) for argument in arguments])
    except SystemExit as leaving:  # argparse
        return int(leaving.code or 0)


def leaves(parser: argparse.ArgumentParser, words: str = "") -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Yield every command that has no actions of its own, and its words."""
    parts = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not parts:
        yield words, parser
    for part in parts:
        for name, inner in part.choices.items():
            yield from leaves(inner, f"{words} {name}".strip())


@pytest.fixture(scope="module")
def pair(demo_songs: Path) -> list[Path]:
    return [demo_songs / name for name in PAIR]


@pytest.fixture(scope="module")
def mashed(pair: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `mashkit mash` makes of the pair."""
    output = tmp_path_factory.mktemp("mashed")
    command = ("mash", *pair, *QUICKEST, "-o", output, "--top", 2, "--seed", 3, "--quiet")
    assert run(*command, "-O", "executor.jobs=0") == 0  # other processes would import everything
    return output


def test_mash_writes_mixes_stems_and_plans(mashed: Path) -> None:
    for folder in (mashed / "mashup-1", mashed / "mashup-2"):
        plan = json.loads((folder / "plan.json").read_text())
        mix = mk.load(folder / "mix.flac")
        stems = [mk.load(folder / "stems" / f"{role}.flac") for role in Role]
        assert 25 <= mix.duration <= 60
        assert {mix.frames, *(stem.frames for stem in stems)} == {plan["frames"]}
        assert np.abs(sum(stem.samples for stem in stems) - mix.samples).max() < 1e-4
        assert mix.peak <= 10 ** (-1 / 20) + 1e-4
        assert len({clip["song"] for clip in plan["clips"].values()}) == 2


def test_mash_records_what_made_it(mashed: Path) -> None:
    plan = json.loads((mashed / "mashup-1" / "plan.json").read_text())
    assert plan["plan"]["seed"] == 3
    assert {one["kind"] for one in plan["components"]} == {"separator", "analyzer", "stretcher"}
    separator = next(one for one in plan["components"] if one["kind"] == "separator")
    assert all(len(digest) == 64 for digest in separator["weights"].values())
    assert separator["weights"]
    assert plan["environment"]["packages"]["mashkit"] == separator["version"]
    kinds = {one["kind"] for one in plan["licences"]}
    assert kinds == {"recording", "code", "weights"}
    assert any("CC0-1.0" in one["licence"] for one in plan["licences"])
    assert "CC-BY-NC-SA-4.0" in {one["licence"] for one in plan["licences"]}  # madmom's models
    scores = json.loads((mashed / "scores.json").read_text())
    assert [one["rank"] for one in scores["mashups"]] == [1, 2]
    assert scores["mashups"][0]["score"]["value"] >= scores["mashups"][1]["score"]["value"]
    assert scores["mashups"][0]["score"]["scale"] == "probability"
    assert set(scores["mashups"][0]["score"]["parts"]) == PARTS
    assert all(len(digest) == 64 for digest in scores["components"]["scorer"]["weights"].values())


def test_mashups_are_in_time_and_in_key(mashed: Path) -> None:
    # Measured on the rendered stems, not on the plan: the analyzer hears the percussion where the vocal's beats are.
    analyzer = mk.Kit().analyzer
    for folder in (mashed / "mashup-1", mashed / "mashup-2"):
        plan = json.loads((folder / "plan.json").read_text())
        layer = mk.MashupPlan.from_dict(plan["plan"]).layer(Role.VOCAL)
        beats = layer.to_mashup(plan["clips"]["vocal"]["analysis"]["beats"])
        grid = beats[(beats > 0.5) & (beats < plan["plan"]["duration_s"] - 0.5)]
        heard = analyzer.analyze(mk.load(folder / "stems" / "percussion.flac")).beats
        assert heard is not None
        assert np.median(np.abs(beat_error(grid, heard))) < 0.02
        assert plan["key_distance"]["harmonic"] == 0


def test_mash_can_mix_as_the_paper_does(pair: list[Path], tmp_path: Path) -> None:
    assert (
        run("mash", *pair, *QUICKEST, *UNJUDGED, "-o", tmp_path, "--top", 1, "--plain", "--align", "speed", "--quiet")
        == 0
    )
    plan = mk.MashupPlan.from_dict(json.loads((tmp_path / "mashup-1" / "plan.json").read_text())["plan"])
    assert plan.mixing == mk.Mixing()
    assert all((layer.gain_db, layer.time_map) == (0, None) for layer in plan.layers)


def test_mash_with_phrases_ducking_and_clicks(
    pair: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("mash", *pair, *QUICKEST, "-o", tmp_path, "--top", 1, "--count", 2, "--quiet")
    assert run(*command, "--phrase-bars", 4, "--duck", 4, "--clicks", "-O", "generator.min_duration_s=20") == 0
    plan = mk.MashupPlan.from_dict(json.loads((tmp_path / "mashup-1" / "plan.json").read_text())["plan"])
    assert plan.mixing.duck_db == 4
    assert plan.generator["options"]["phrase_bars"] == 4
    mix, clicks = (mk.load(tmp_path / "mashup-1" / name) for name in ("mix.flac", "clicks.flac"))
    added = np.abs(clicks.samples - 0.5 * mix.samples).max(axis=0)
    heard = np.flatnonzero((added > 0.05) & (np.roll(added, 1) <= 0.05)) / mix.sample_rate
    record = json.loads((tmp_path / "mashup-1" / "plan.json").read_text())
    beats = plan.layer(Role.VOCAL).to_mashup(record["clips"]["vocal"]["analysis"]["beats"])
    beats = beats[(beats >= 0) & (beats < plan.duration_s - 0.05)]
    assert np.abs(beats[:, None] - heard[None]).min(axis=1).max() < 0.003


@pytest.mark.slow
def test_a_second_run_replaces_the_first_as_a_set(
    pair: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    mixed = []
    monkeypatch.setattr("mashkit.audio.mixing.mix", lambda *given, mix=mixing.mix: mixed.append(given) or mix(*given))
    command = ("mash", *pair, *QUICKEST, "--scorer", "random", "-o", tmp_path, "--count", 4, "--quiet")
    assert run(*command, "--top", 2, "--clicks", "--seed", 3) == 0
    assert len(mixed) == 2  # the page and the files cost one rendering each
    (tmp_path / "mashup-2" / "liner notes.txt").write_text("mine")
    assert run(*command, "--top", 1, "--seed", 4) == 0
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("[!.]*") if path.is_file())
    stems = [f"mashup-1/stems/{role}.flac" for role in sorted(Role)]
    expected = ["index.html", "mashup-1/mix.flac", "mashup-1/plan.json", *stems, "mashup-2/liner notes.txt"]
    assert left == [*expected, "scores.json"]
    assert json.loads((tmp_path / "mashup-1" / "plan.json").read_text())["plan"]["seed"] == 4
    (tmp_path / "scores.json").write_text("mine now")
    capsys.readouterr()
    assert run(*command, "--top", 1, "--seed", 5) == 1
    assert "scores.json is in the way: it has changed since mashkit wrote it" in capsys.readouterr().err
    assert (tmp_path / "scores.json").read_text() == "mine now"


def test_a_plan_is_rendered_again_as_it_was(
    mashed: Path, pair: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plans = [mashed / f"mashup-{number}" / "plan.json" for number in (1, 2)]
    stray = json.loads(plans[0].read_text())["plan"]
    stray["layers"][0]["clip_id"] = "of another folder"
    capsys.readouterr()
    (tmp_path / "cut.jsonl").write_text(f"{json.dumps(stray)}\n{json.dumps(stray)[:90]}\n")
    command = ("render", *plans, tmp_path / "cut.jsonl", "--songs", *pair, *QUICKEST, "--json", "--quiet")
    assert run(*command, "-o", tmp_path / "out") == 3
    told = json.loads(capsys.readouterr().out)
    assert told["failures"][0]["line"].endswith("cut.jsonl, line 2")
    assert "of another folder" in told["failures"][1]["error"]
    for plan, again in zip(plans, told["mashups"], strict=True):
        for name in ("mix.flac", "stems/vocal.flac", "stems/harmonic.flac"):
            one, other = (mk.load(folder / name) for folder in (plan.parent, Path(again["folder"])))
            np.testing.assert_array_equal(one.samples, other.samples)
        assert json.loads((Path(again["folder"]) / "plan.json").read_text()) == json.loads(plan.read_text())


def test_what_is_odd_about_an_edited_plan_is_told(
    mashed: Path, pair: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = mk.MashupPlan.from_json((mashed / "mashup-1" / "plan.json").read_text())
    away = [attrs.evolve(layer, offset_s=500.0) if layer.role is Role.HARMONIC else layer for layer in plan.layers]
    (tmp_path / "edited.json").write_text(attrs.evolve(plan, layers=away).to_json())
    command = ("render", tmp_path / "edited.json", "--songs", *pair, *QUICKEST, "--quiet", "--json")
    assert run(*command, "-o", tmp_path / "out") == 0
    told = capsys.readouterr()
    (made,) = json.loads(told.out)["mashups"]
    (note,) = made["notes"]
    assert note.startswith("the harmonic layer is silent: it plays from 500.0 s")
    assert f"plan {made['plan']['id']}: {note}" in told.err


def test_page_is_self_contained(mashed: Path) -> None:
    page = (mashed / "index.html").read_text()
    assert "slow-river" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert (mashed / "index.html").stat().st_size < 15_000_000


@pytest.mark.slow
def test_mash_twice_gives_the_same_audio(mashed: Path, pair: list[Path], tmp_path: Path) -> None:
    assert run("mash", *pair, *QUICKEST, "-o", tmp_path, "--top", 1, "--seed", 3, "--quiet") == 0
    for name in ("mix.flac", "stems/vocal.flac"):
        one, other = (mk.load(folder / "mashup-1" / name) for folder in (mashed, tmp_path))
        assert np.array_equal(one.samples, other.samples)


@pytest.mark.usefixtures("mashed")  # so that the songs are in the cache, in whatever order tests run
def test_json_goes_to_stdout_and_the_rest_to_stderr(pair: list[Path], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import sys; from mashkit.cli import main; sys.exit(main())", "mash", *map(str, pair),
         *QUICKEST, *map(str, UNJUDGED), "-o", str(tmp_path), "--top", "1", "--json"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    data = json.loads(done.stdout)
    assert data["mashups"][0]["folder"] == str(tmp_path / "mashup-1")
    assert "catalog 2/2 cached" in done.stderr


def test_a_folder_with_bad_songs_still_makes_mashups(
    pair: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    songs = tmp_path / "songs"
    songs.mkdir()
    for path in pair:
        (songs / path.name).symlink_to(path)
    (songs / "-empty.wav").touch()
    (songs / "düdel.mp3").write_text("text")
    command = ("mash", songs, tmp_path / "missing.ogg", *QUICKEST, *UNJUDGED, "-o", tmp_path / "out", "--top", 1)
    assert run(*command, "--json") == 3
    streams = capsys.readouterr()
    failures = json.loads(streams.out)["failures"]
    assert {Path(one["path"]).name for one in failures} == {"-empty.wav", "düdel.mp3", "missing.ogg"}
    for name in ("-empty.wav", "düdel.mp3", "missing.ogg"):
        assert sum(name in line for line in streams.err.splitlines()) == 1
    assert (tmp_path / "out" / "mashup-1" / "mix.flac").exists()
    assert "missing.ogg" in (tmp_path / "out" / "index.html").read_text()


def test_no_two_compatible_songs(pair: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unshifted = ("-O", "generator.max_shift=0")  # they are two semitones apart
    assert run("mash", *pair, *QUICKEST, *unshifted, "-o", tmp_path, "--quiet") == 1
    said = capsys.readouterr().err
    assert "no matched mashup among 2 clips" in said
    assert "slow-river: Bb major" in said
    assert "widen" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["mash", "SONGS", "-o", "FILE/out"], 1, "cannot write"),
        (["mash", "SONGS"], 2, "-o"),
        (["mash", "SONGS", "-o", "OUT", "--condition", "odd"], 2, "odd"),
        (["mash", "SONGS", "-o", "OUT", "--scorer", "amv"], 2, "did you mean 'amu'"),
        (["mash", "SONGS", "-o", "OUT", "-O", "scorer=1"], 2, "-O stretcher.cheaper=true"),
        (["mash", "SONGS", "-o", "OUT", "-O", "stretcher.chaeper=true"], 2, "did you mean 'cheaper'"),
        (["mash", "SONGS", "-o", "OUT", "--clip-length", "5"], 2, "25 to 60"),
        (["mash", "SONGS", "-o", "OUT", "--vocal", "nobody"], 2, "--list-clips"),
        (["mash", "EMPTY", "-o", "OUT"], 1, "holds no sound file"),
        (["mash", "NOWHERE", "-o", "OUT"], 1, "no such file"),
        (["mash", "TEXT", "-o", "OUT"], 1, "libsndfile does not know its format"),
        (["analyze", "TEXT"], 1, "libsndfile does not know its format"),
        (["separate", "TEXT", "-o", "OUT"], 1, "libsndfile does not know its format"),
        (["stretch", "TEXT", "-o", "OUT/x.flac"], 1, "libsndfile does not know its format"),
        (["stretch", "SONG", "-o", "OUT/x.flac", "--speed", "9"], 2, "0.25 to 4"),
        (["stretch", "SONG", "-o", "OUT/x.xyz"], 1, "unknown suffix"),
        (["score", "TEXT", "--songs", "SONGS"], 1, "line 1: a plan is not JSON"),
        (["score", "NOWHERE", "--songs", "SONGS"], 2, "nowhere cannot be read: No such file or directory ("),
        (["render", "EMPTY", "--songs", "SONGS", "-o", "OUT"], 2, "empty cannot be read: Is a directory ("),
        (["stretch", "SONG", "--time-map", "NOWHERE", "-o", "OUT/x.flac"], 2, "nowhere cannot be read"),
        (["stretch", "SONG", "--time-map", "TEXT", "-o", "OUT/x.flac"], 2, "text.mp3 is not JSON"),
        (["audition", "NOWHERE"], 2, "is no folder"),
        (["unknown"], 2, "invalid choice"),
        (["generate", "SONG", "--list-clips", "-o", "OUT"], 2, "--list-clips with --output"),
        (["generate", "--list-conditions", "-o", "OUT"], 2, "--list-conditions with --output"),
        (["generate", "SONG", "--list-clips", "--count", "2"], 2, "--list-clips with --count"),
        (["generate", "SONG", "--list-clips", "--negative-shares", "1", "0", "0"], 2, "with --negative-shares"),
        (["generate", "SONG", "--list-clips", "--list-conditions"], 2, "--list-clips with --list-conditions"),
        (["analyze", "SONG", "--nope"], 2, "mashkit analyze: error: unrecognized arguments: --nope"),
        ([], 2, "usage"),
    ],
)
def test_mistakes_get_one_clear_line(
    arguments: list[str], status: int, said: str, pair: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "text.mp3").write_text("dear diary")
    places = {
        "SONGS": [*map(str, pair), *QUICKEST], "SONG": [str(pair[0])], "EMPTY": [str(tmp_path / "empty")],
        "NOWHERE": [str(tmp_path / "nowhere")], "TEXT": [str(tmp_path / "text.mp3")],
        "FILE/out": [str(tmp_path / "file" / "out")], "OUT": [str(tmp_path / "out")],
        "OUT/x.flac": [str(tmp_path / "out" / "x.flac")], "OUT/x.xyz": [str(tmp_path / "out" / "x.xyz")],
    }  # fmt: skip
    assert run(*(part for argument in arguments for part in places.get(argument, [argument]))) == status
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error
    assert not (tmp_path / "out").exists()


WRITERS_OF_DATA = (
    *(("analyze", "SONG"), ("tag", "SONG"), ("plugins",), ("doctor",), ("generate", "SONG"), ("score", "PLANS")),
    ("db", "stats", "--db", "nowhere"),
    *(("bench", "report", "x.json"), ("bench", "leaderboard", "."), ("listen", "simulate", "--task", "retrieval")),
)


def test_every_command_that_writes_a_file_of_data_is_tried() -> None:
    tried = {" ".join(command) for command in WRITERS_OF_DATA}
    for words, parser in leaves(build()[0]):
        for action in parser._actions:
            if "-o" in action.option_strings and str(action.metavar).startswith(("FILE", "PAGE")):
                assert words == "stretch" or any(f"{one} ".startswith(f"{words} ") for one in tried), words


@pytest.mark.parametrize("command", WRITERS_OF_DATA, ids=" ".join)
def test_data_replace_no_file_of_a_person(
    command: tuple[str, ...], pair: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine, plans = tmp_path / "mine", tmp_path / "plans.jsonl"
    mine.write_text("Dear diary")
    layer = mk.Layer(clip_id="one", role=Role.VOCAL)
    plan = mk.MashupPlan(condition="original", layers=[layer], duration_s=2.0, seed=0)
    plans.write_text(f"{plan.to_json()}\n")
    places = {"SONG": str(pair[0]), "PLANS": str(plans)}
    assert run(*(places.get(word, word) for word in command), "-o", mine) == 1
    assert "mashkit did not write it (name another file with -o)" in capsys.readouterr().err
    assert mine.read_text() == "Dear diary"
    if command[0] == "score":
        before = plans.read_text()
        assert run("score", plans, "--songs", pair[0], "-o", plans) == 1
        assert "the command reads it" in capsys.readouterr().err
        assert plans.read_text() == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder(pair: list[Path], tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert run("mash", *pair, *QUICKEST, "-o", tmp_path / "out") == 1


def test_separate_stems_and_roles(pair: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    song = mk.load(pair[0]).excerpt(5, 4)
    mk.save(tmp_path / "songs" / "-part.flac", song)
    for options, names in ((["--roles"], {str(role) for role in Role}), ([], {"vocals", "drums", "other"})):
        output = tmp_path / f"out{len(options)}"
        assert (
            run("separate", tmp_path / "songs", "-o", output, "--separator", "librosa", "--quiet", "--json", *options)
            == 0
        )
        (result,) = json.loads(capsys.readouterr().out)["results"]
        assert set(result["stems"]) == names
        stems = [mk.load(path) for path in result["stems"].values()]
        total = sum(stem.samples for stem in stems) * 10 ** (-result["gain_db"] / 20)
        assert np.abs(total - song.samples).max() < 0.02


@pytest.mark.parametrize(
    ("cause", "tried"),
    [(errno.ENOSPC, 2), (errno.EDQUOT, 2), (errno.EROFS, 2), (errno.EACCES, 4), (errno.ENAMETOOLONG, 4), (None, 4)],
)
def test_only_a_disk_that_takes_nothing_more_ends_the_work_on_other_files(
    cause: int | None, tried: int, capsys: pytest.CaptureFixture[str]
) -> None:
    files = Found([Path(name) for name in "abcd"])

    def work(file: Path) -> dict[str, Any]:
        if file.name == "b":
            raise OutputError("cannot write b") from (None if cause is None else OSError(cause, "refused"))
        return {"path": file.name, "notes": []}

    data = of_each(mk.Kit(), "test", "analyzer", files, work, quiet=True)
    assert [one["path"] for one in data["results"]] == ["a", "c", "d"][: tried - 1]
    assert [one["path"] for one in data["failures"]] == ["b"]
    assert ("the last 2 files were not tried" in " ".join(data["notes"])) == (tried < 4)


def test_one_song_whose_stems_cannot_be_written_costs_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in "ab":
        mk.save(tmp_path / "songs" / f"{name}.wav", signals.tone(440.0, 0.5))
    command = ("separate", tmp_path / "songs", "-o", tmp_path / "out", "--separator", "librosa", "--quiet", "--json")
    assert run(*command) == 0
    (tmp_path / "out" / "a" / "vocals.flac").write_bytes(b"a person's own")
    capsys.readouterr()
    assert run(*command) == 3
    told = capsys.readouterr()
    assert "has changed since mashkit wrote it" in told.err
    assert [Path(one["path"]).name for one in json.loads(told.out)["results"]] == ["b.wav"]


def test_separate_names_folders_apart(tmp_path: Path) -> None:
    for index, folder in enumerate(("one", "two")):
        mk.save(tmp_path / folder / "audio.wav", signals.tone(440.0 + index, 0.5))
    assert run("separate", tmp_path, "-o", tmp_path / "out", "--separator", "librosa", "--quiet") == 0
    assert len(list((tmp_path / "out").rglob("vocals.flac"))) == 2


def test_analyze(pair: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "analysis.json"
    assert run("analyze", *pair, tmp_path / "missing.ogg", "--analyzer", "essentia", "-o", report, "--quiet") == 3
    streams = capsys.readouterr()
    data = json.loads(report.read_text())
    assert [one["key"] for one in data["results"]] == ["Bb major", "C major"]
    assert "Bb major" in streams.out
    assert "missing.ogg" in streams.err
    assert data["analyzer"]["name"] == "essentia"


def test_stretch(pair: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "in.wav"
    mk.save(source, mk.load(pair[0]).excerpt(0, 4))
    output = tmp_path / "out.flac"
    assert run("stretch", source, "--speed", 1.25, "--semitones", 2, "-o", output, "--json") == 0
    assert json.loads(capsys.readouterr().out)["frames"] == mk.load(output).frames == round(4 * 44_100 / 1.25)


def test_stretch_along_a_time_map(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    song, drawn = tmp_path / "song.wav", tmp_path / "map.json"
    beats, time_map = signals.drift(20.0)
    mk.save(song, signals.click_train(beats, 20.0))
    drawn.write_text(json.dumps(time_map.to_dict()))
    assert run("stretch", song, "--time-map", drawn, "-o", tmp_path / "steady.wav", "--json") == 0
    assert json.loads(capsys.readouterr().out)["time_map"] == time_map.to_dict()
    steady = mk.load(tmp_path / "steady.wav")
    due = time_map.to_target(beats)
    assert np.abs(signals.click_positions(steady, due, window=0.1) - due).max() < 0.01


@pytest.mark.parametrize(
    ("text", "status", "said"),
    [
        ("no JSON", 2, "map.json is not JSON"),
        ("[1, 2]", 1, "not a time map"),
        ('{"source": [0, 1]}', 1, "not a time map"),
        ('{"source": [0, 2, 1], "target": [0, 1, 2]}', 1, "increasing"),
        ('{"source": [0, 1, 2], "target": [0, 3, 4]}', 1, "go from 0.333"),
    ],
)
def test_time_maps_that_are_none(
    text: str, status: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    song, drawn = tmp_path / "song.wav", tmp_path / "map.json"
    mk.save(song, signals.noise(2.0))
    drawn.write_text(text)
    assert run("stretch", song, "--time-map", drawn, "-o", tmp_path / "out.wav") == status
    assert said in capsys.readouterr().err
    assert run("stretch", song, "--time-map", tmp_path / "none.json", "-o", tmp_path / "out.wav") == 2
    assert "none.json" in capsys.readouterr().err
    assert not (tmp_path / "out.wav").exists()


def test_stretch_lowers_what_would_clip_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "in.wav"
    mk.save(source, signals.tone(440, 1.0, amplitude=2.0))
    assert run("stretch", source, "--speed", 1.1, "-o", tmp_path / "out.flac") == 0
    assert mk.load(tmp_path / "out.flac").peak <= 0.9
    assert "lowered by" in capsys.readouterr().err
    assert run("stretch", source, "--speed", 1.1, "-o", tmp_path / "out.wav") == 0
    assert mk.load(tmp_path / "out.wav").peak > 1.5


def test_generate_and_score(pair: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plans = tmp_path / "plans.jsonl"
    assert run("generate", *pair, *QUICKEST, "--condition", "original", "--count", 5, "-o", plans, "--quiet") == 0
    assert "2 of the 5 original plans" in capsys.readouterr().err
    assert run("generate", *pair, *QUICKEST, "--count", 2, "--seed", 1, "--json", "--quiet") == 0
    matched = capsys.readouterr().out
    plans.write_text(plans.read_text() + matched)
    scores = tmp_path / "scores.json"
    assert run("score", plans, "--songs", *pair, *QUICKEST, "--json", "-o", scores, "--quiet") == 0
    data: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert data == json.loads(scores.read_text())
    assert [one["condition"] for one in data["scores"]] == ["original", "original", "matched", "matched"]
    assert all(set(one["parts"]) == PARTS for one in data["scores"])
    assert {title for one in data["scores"] for title in one["titles"].values()} == {path.stem for path in pair}
    assert all(list(one["titles"]) == ["vocal", "harmonic", "percussion"] for one in data["scores"])
    (tmp_path / "one.json").write_text(plans.read_text().splitlines()[0])
    both = (plans, tmp_path / "one.json")
    assert run("score", *both, "--songs", *pair, *QUICKEST, "--scorer", "amu", "--json", "--quiet") == 0
    other = json.loads(capsys.readouterr().out)
    assert [one["condition"] for one in other["scores"]] == ["original", "original", "matched", "matched", "original"]
    assert all({"harmony", "rhythm", "balance"} == set(one["parts"]) for one in other["scores"])


def test_generate_a_mixture(pair: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plans = tmp_path / "plans.jsonl"
    mixture = ("--positives", 2, "--negatives", 3, "--unlabelled", 1, "--negative-shares", 1, 0, 0)
    assert run("generate", *pair, *QUICKEST, *mixture, "-o", plans, "--json", "--quiet") in (0, 3)
    streams = capsys.readouterr()
    data = json.loads(streams.out)
    drawn = [mk.MashupPlan.from_json(line).condition for line in plans.read_text().splitlines()]
    conditions = data["report"]["conditions"]
    assert {name: one["drawn"] for name, one in conditions.items() if one["drawn"]} == Counter(drawn)
    assert {name: one["asked"] for name, one in conditions.items()} == {"original": 2, "unmatched-key": 3, "matched": 1}
    assert "of the 3 unmatched-key plans asked for" in streams.err
    assert data["report"]["chance_share_of_negatives"] == 0
    assert list(tmp_path.iterdir()) == [plans]
    before = plans.read_text()
    assert run("generate", *pair, *QUICKEST, "--vocal", "nobody", "-o", plans, "--quiet") == 2
    assert plans.read_text() == before
    assert run("generate", *pair, *QUICKEST, *mixture, "--condition", "matched", "--quiet") == 2
    assert "give only one of the two" in capsys.readouterr().err
    assert run("generate", *pair, *QUICKEST, "--positives", 2, "--negative-shares", 1, 1, 2, "--quiet") == 2
    assert "--negative-shares without --negatives" in capsys.readouterr().err


def test_generate_in_two_processes(pair: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    lines = []
    for jobs in (1, 2):
        assert run("generate", *pair, *QUICKEST, "--positives", 2, "--unlabelled", 2, "--jobs", jobs, "--quiet") == 0
        lines.append(capsys.readouterr().out)
    assert lines[0] == lines[1]
    assert len(lines[0].splitlines()) == 4


def test_score_reads_a_mashups_own_plan(mashed: Path, pair: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("score", mashed / "mashup-1" / "plan.json", "--songs", *pair, *QUICKEST, "--json", "--quiet") == 0
    (again,) = json.loads(capsys.readouterr().out)["scores"]
    first = json.loads((mashed / "scores.json").read_text())["mashups"][0]
    assert again["plan"] == first["plan"]["id"]
    assert again["value"] == pytest.approx(first["score"]["value"])


def test_list_clips_and_one_vocal(pair: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("generate", *pair, *QUICKEST, "--list-clips", "--json", "--quiet") == 0
    clips = json.loads(capsys.readouterr().out)["clips"]
    assert [clip["title"] for clip in clips] == ["slow-river", "mango-season"]
    assert run("generate", *pair, *QUICKEST, "--vocal", clips[1]["id"], "--json", "--quiet") == 0
    for line in capsys.readouterr().out.splitlines():
        assert mk.MashupPlan.from_json(line).layer(Role.VOCAL).clip_id == clips[1]["id"]


@pytest.mark.parametrize("named", ["title", "file"])
def test_the_vocal_of_a_song_is_named_by_its_title_or_file(
    pair: list[Path], capsys: pytest.CaptureFixture[str], named: str
) -> None:
    vocal = "Mango-Season" if named == "title" else pair[1]
    assert run("generate", *pair, *QUICKEST, "--vocal", vocal, "--json", "--quiet") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines
    assert all("mango-season" in mk.MashupPlan.from_json(line).layer(Role.VOCAL).clip_id for line in lines)


def test_the_vocal_of_a_song_in_a_database_is_named_by_its_file(
    tmp_path: Path, light: None, capsys: pytest.CaptureFixture[str]
) -> None:
    songs, database = tmp_path / "songs", tmp_path / "db"
    for number in (1, 2):
        stems, _ = signals.band(Key(9, "minor"), tempo=120.0, bars=20, seed=number)
        mixed = np.sum([stem.samples for stem in stems.stems.values()], axis=0)
        mk.save(songs / f"{number}.wav", Audio(mixed, signals.SAMPLE_RATE))
    cheap = ("--separator", "thirds", "--analyzer", "grid")
    assert run("db", "add", songs, "--db", database, *cheap, "--quiet") == 0
    capsys.readouterr()
    command = ("generate", "--db", database, "--count", 2, "--quiet", "--json", "--vocal")
    assert run(*command, songs / "2.wav") == 0
    lines = capsys.readouterr().out.splitlines()
    sung = {mk.MashupPlan.from_json(line).layer(Role.VOCAL).clip_id for line in lines}
    assert run("db", "list", "--db", database, "2", "--json") == 0
    assert sung <= {clip["id"] for clip in json.loads(capsys.readouterr().out)["clips"]}
    stray = mk.save(tmp_path / "stray.wav", signals.tone(220.0, 3.0))
    assert run(*command, stray) == 2
    assert "no clip of the database is of this file" in capsys.readouterr().err
    assert run(*command, songs / "2.wav", "--vocal-key", "A minor") == 2
    assert "a voice in a file cannot be combined with a database" in capsys.readouterr().err
    assert run("db", "list", "--db", database, "--tempo", "141-90") == 2
    assert "write the lower tempo first" in capsys.readouterr().err


def test_a_file_that_is_no_plan_is_named(pair: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "scores.json"
    path.write_text('{"mashups": []}')
    assert run("score", path, "--songs", *pair, *QUICKEST) == 1
    assert f"{path}: " in capsys.readouterr().err


def test_plugins(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("plugins", "--json") == 0
    data = json.loads(capsys.readouterr().out)
    assert mk.Kit().chosen.items() <= {(one["kind"], one["name"]) for one in data["components"]}
    assert all(one["code_license"] and one["weights_license"] for one in data["components"])
    assert run("plugins") == 0
    assert "CC-BY-NC-SA-4.0" in capsys.readouterr().out


def test_doctor(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("doctor", "--json") == 0
    checks = json.loads(capsys.readouterr().out)["checks"]
    assert all(one["ok"] for one in checks if one["needed"])


def test_a_broken_plugin_stops_no_command(
    pair: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = install(tmp_path, "mashkit_broken", "raise RuntimeError('out of order')", name="broken")
    monkeypatch.syspath_prepend(broken)
    commands: list[list[object]] = [
        ["mash", *pair, *QUICKEST, *UNJUDGED, "-o", tmp_path / "out", "--top", 1],
        ["separate", tmp_path / "part.flac", "-o", tmp_path / "stems", "--separator", "librosa"],
        ["analyze", tmp_path / "part.flac", "--analyzer", "essentia"],
        ["stretch", tmp_path / "part.flac", "--speed", 1.1, "-o", tmp_path / "fast.flac"],
        ["generate", *pair, *QUICKEST, "--count", 1, "-o", tmp_path / "plans.jsonl"],
        ["score", tmp_path / "plans.jsonl", "--songs", *pair, *QUICKEST],
        ["plugins"],
        ["doctor"],
    ]
    mk.save(tmp_path / "part.flac", mk.load(pair[0]).excerpt(0, 3))
    for command in commands:
        assert run(*command) == 0, command
    assert "out of order" in capsys.readouterr().err


def test_seed_is_used_where_there_is_chance_and_noted_where_there_is_none(
    pair: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mk.save(tmp_path / "part.flac", mk.load(pair[0]).excerpt(0, 3))
    output = tmp_path / "out.flac"
    assert run("stretch", tmp_path / "part.flac", "--speed", 1.1, "--seed", 7, "-o", output, "--json") == 0
    assert json.loads(capsys.readouterr().out)["stretcher"]["options"]["seed"] == 7
    assert run("analyze", tmp_path / "part.flac", "--analyzer", "essentia", "--seed", 7) == 0
    assert "uses no random numbers" in capsys.readouterr().err


def test_the_parts_of_a_composite_get_the_seed(capsys: pytest.CaptureFixture[str]) -> None:
    parser, _ = build()

    def scorer(name: str, *more: str) -> dict[str, Any]:
        given = parser.parse_args(["score", "x", "--songs", "x", "--scorer", name, "--seed", "5", *more])
        return seeded_kit(given, "scorer").scorer.options()

    assert scorer("loudness+random") == {"random.seed": 5}
    assert scorer("cached:random") == {"seed": 5}
    assert scorer("rank(loudness,2*(loudness+cached:random))") == {"loudness+cached:random.cached:random.seed": 5}
    assert capsys.readouterr().err == ""
    with pytest.raises(UsageError, match=r"--seed 5 with -O scorer\.seed=3"):
        scorer("random", "-O", "scorer.seed=3")
    with pytest.raises(UsageError, match=r"--seed 5 with -O scorer\.random\.seed=3"):
        scorer("loudness+random", "-O", "scorer.random.seed=3")
    assert scorer("random", "-O", "scorer.seed=5") == {"seed": 5}
    assert scorer("cached:loudness") == {}
    assert "uses no random numbers" in capsys.readouterr().err


def test_lists_can_be_written(tmp_path: Path) -> None:
    for command in ("plugins", "doctor"):
        assert run(command, "-o", tmp_path / f"{command}.json") == 0
    assert json.loads((tmp_path / "plugins.json").read_text())["components"]
    assert json.loads((tmp_path / "doctor.json").read_text())["checks"]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8", "UTF8"])
def test_json_is_json_in_every_encoding(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    stdout = io.TextIOWrapper(written, encoding, "backslashreplace", write_through=True)
    with monkeypatch.context() as patched:
        patched.setattr("sys.stdout", stdout)
        print_json({"path": "café-😀.ogg", "bytes": "\udce9"})
    text = written.getvalue().decode(encoding)
    assert json.loads(text) == {"path": "café-😀.ogg", "bytes": "\\xe9"}
    assert ("é" in text) == (encoding[:3].lower() == "utf")


def test_a_table_in_a_pipe_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    paths = [f"/{'long/' * 100}{number}.flac" for number in range(2)]
    print_table(("path", "what"), [(path, "w " * 200 + "end") for path in paths])
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["path", "what"]
    assert [(line.split()[0], line.split()[-1]) for line in lines] == [(path, "end") for path in paths]


@pytest.mark.parametrize("columns", [3, 40, 80, 120])
def test_a_table_in_a_terminal_cuts_nothing(columns: int) -> None:
    pty, termios = pytest.importorskip("pty"), pytest.importorskip("termios")
    headings = ("clip", "title", "BPM", "what to do")
    row = (
        "glass-elevator-d6ce9b90ef8e",
        "Glass 鏡 [b]",
        "",
        f"mashkit models pull demucs/955717e8.th /home/anna/.cache {'w ' * 40}",
    )
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, columns))
    code = f"from mashkit.cli.console import print_table; print_table({headings!r}, [{row!r}])"
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"} | {"TERM": "xterm"}
    streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
    with os.fdopen(ours, "rb", 0) as terminal:
        subprocess.run([sys.executable, "-c", code], **streams, env=environment, check=True)
        lines = re.sub(r"\x1b\[[0-9;]*m", "", terminal.read(1 << 16).decode()).splitlines()
        os.close(theirs)
    assert all(len(line) <= columns or len(line.split()) == 1 for line in lines)
    words = " ".join(lines).split()
    assert set(" ".join(row).split()) <= set(words)
    assert words.count("w") == 40
    table = columns > 40
    assert ("BPM" in words) == table  # a row on lines of its own says nothing of an empty cell
    assert ("title:" in words) == (not table)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out.startswith("mashkit 0.")


def test_mono_narrow_band_song_is_used_and_noted(
    pair: list[Path], tmp_path: Path, light: None, capsys: pytest.CaptureFixture[str]
) -> None:
    song = mk.load(pair[0], sample_rate=8000).excerpt(4.0, 26.0)
    mk.save(tmp_path / "phone.wav", Audio(song.samples[:1], 8000))
    arguments = ("generate", tmp_path / "phone.wav", "--list-clips", "--separator", "thirds", "--analyzer", "grid")
    assert run(*arguments, "--quiet") == 0
    assert "phone.wav: 8000 Hz, so nothing above 4000 Hz" in capsys.readouterr().err
