"""Commands that take their clips from a database: they run no separator and no analyzer, and name those that did."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

import mashkit as mk
from installing import install
from light import Grid, Thirds
from mashkit.catalog import MashupDB
from mashkit.catalog.excerpts import ExcerptPolicy
from mashkit.cli import main
from mashkit.pipeline import Kit
from mashkit.synthetic import signals
from mashkit.types import Audio, Key, Role

pytestmark = [pytest.mark.plugins, pytest.mark.usefixtures("in_this_process")]


class ClosedGrid(Grid):
    """The analyzer of two of the songs, whose licence is not permissive."""

    info = attrs.evolve(Grid.info, name="closed-grid", code_license="GPL-3.0-only")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Songs of two clips: "closed-0" and "closed-1" with the closed analyzer, and "free", all in A minor, 120 BPM."""
    folder = tmp_path_factory.mktemp("collection")
    policy = ExcerptPolicy(per_song=2, length_s=25.0)
    with MashupDB(folder / "db") as made:
        for number, name in enumerate(("closed-0", "closed-1", "free")):
            stems, _ = signals.band(
                Key(9, "minor"), tempo=120.0, bars=30, first_downbeat=0.3, seed=number, sample_rate=22_050
            )
            mix = signals.mix(stems)
            song = mk.save(folder / f"{name}.flac", Audio(np.float32(0.5) * mix.samples, mix.sample_rate))
            kit = Kit(separator=Thirds(), analyzer=Grid() if name == "free" else ClosedGrid())
            kit.add(made, song, policy=policy, with_features=False)
    return folder / "db"


def told(capsys: pytest.CaptureFixture[str], *words: object, status: int = 0) -> Any:
    capsys.readouterr()
    assert main([*map(str, words), "--json", "--quiet"]) == status
    return json.loads(capsys.readouterr().out)


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    capsys.readouterr()
    assert main([*map(str, words)]) == 2
    return capsys.readouterr().err


def plans(capsys: pytest.CaptureFixture[str], database: Path, path: Path, *words: object) -> Path:
    """Return a file of a plan of the database's clips."""
    told(capsys, "generate", "--db", database, "--count", 1, "-o", path, *words)
    return path


def test_what_made_the_clips_is_named_and_nothing_else_is_needed(
    database: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MASHKIT_PLUGINS", "mashkit-signalsmith")  # the default separator and analyzer are not there
    command = ("mash", "--db", database, "--count", 10, "--condition", "original", "--top", 1, "--scorer", "random")
    dry = told(capsys, *command, "-o", tmp_path / "out", "--dry-run")
    assert dry["components"] == {"stretcher": "signalsmith", "scorer": "random", "generator": "paper"}
    made = told(capsys, *command, "-o", tmp_path / "out", "--vocal", "closed-1")
    assert set(made["components"]) == {"stretcher", "scorer", "generator"}
    assert [one["name"] for one in made["provenance"]] == ["thirds", "closed-grid"]
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "closed-grid" in page
    assert "GPL-3.0-only" in page
    for other in ("stemnet", "madmom"):
        assert other not in page
    # All notes are on the page.
    assert any("2 of the 10 plans asked for were drawn" in note for note in made["notes"])
    assert all(note in page for note in made["notes"])
    plan = tmp_path / "out" / "mashup-1" / "plan.json"
    scored = told(capsys, "score", plan, "--db", database, "--scorer", "random")
    assert set(scored["components"]) == {"stretcher", "scorer"}
    assert [one["name"] for one in scored["provenance"]] == ["thirds", "closed-grid"]
    dry = told(capsys, "score", plan, "--db", database, "--scorer", "random", "--dry-run")
    assert dry["components"] == {"stretcher": "signalsmith", "scorer": "random"}


@pytest.mark.parametrize("words", [
    ("--separator", "librosa"), ("--analyzer", "librosa"), ("-O", "analyzer.x=1"), ("--clips-per-song", "2"),
    ("--clip-length", "30.0"), ("--same-recording", "once"), ("--cache", "elsewhere"),
])  # fmt: skip
def test_a_choice_that_would_have_no_effect_is_refused(
    database: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    plan = plans(capsys, database, tmp_path / "plans.jsonl")
    for command in (("mash", "-o", tmp_path / "o"), ("generate",), ("score", plan), ("render", plan, "-o", tmp_path)):
        said = refused(capsys, *command, "--db", database, *words)
        assert f"{' '.join(words)} with a database, whose clips are separated and analyzed already" in said
    monkeypatch.setenv("MASHKIT_DB", str(database))
    assert "with a database" in refused(capsys, "generate", *words)
    monkeypatch.delenv("MASHKIT_DB")
    if words[0] != "-O":
        assert "no songs are named" in refused(capsys, "generate", *words)


def test_settings_that_are_for_other_commands_too_stay_without_effect(
    database: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MASHKIT_CACHE", str(tmp_path / "cache"))
    assert told(capsys, "generate", "--db", database, "--count", 1)["layers"]


def test_the_licences_of_what_made_the_clips_are_checked(
    database: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    closed = plans(capsys, database, tmp_path / "closed", "--condition", "original", "--vocal", "closed-0")
    free = plans(capsys, database, tmp_path / "free", "--condition", "original", "--vocal", "free")
    policy = ("--db", database, "--licences", "permissive")
    for command in (
        ("mash", "-o", tmp_path / "out", "--scorer", "random"),
        ("mash", "-o", tmp_path / "out", "--scorer", "random", "--dry-run"),
        ("generate",),
        ("score", closed, "--scorer", "random"),
        ("render", closed, "-o", tmp_path / "out"),
        ("render", closed, "-o", tmp_path / "out", "--dry-run"),
    ):
        said = refused(capsys, *command, *policy)
        assert "were made with analyzer 'closed-grid': code is under GPL-3.0-only, which --licences permissive" in said
        assert "madmom" not in said
        assert "mashkit db add SONGS --db FOLDER --preset permissive" in said
        assert not (tmp_path / "out").exists()
    assert told(capsys, "score", free, "--scorer", "random", *policy)["provenance"][1]["name"] == "grid"
    told(capsys, "render", free, "-o", tmp_path / "out", *policy, "--dry-run")


def test_all_clips_of_a_vocals_song_are_used(
    database: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for count, condition in ((9, "matched"), (2, "original")):
        path = tmp_path / condition
        told(capsys, "generate", "--db", database, "--vocal", "free", "--count", count, "--condition", condition,
             "-o", path)  # fmt: skip
        sung = [mk.MashupPlan.from_json(line).layer(Role.VOCAL).clip_id for line in path.read_text().splitlines()]
        assert len(sung) == count
        assert len(set(sung)) == 2
        assert all(one != other for one, other in itertools.pairwise(sung))  # in turn


TWICE = """
import mashkit as mk

@mk.hookimpl
def mashkit_register_generators():
    return [mk.ComponentInfo(name="paper", target="twice:X", summary="s", provides=["x"], code_license="MIT")]
"""


def test_notes_on_plugins_are_in_the_data(
    database: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(install(tmp_path / "installed", "twice", TWICE))
    path = tmp_path / "plans.jsonl"
    drawn = told(capsys, "generate", "--db", database, "--count", 1, "-o", path)
    assert any("twice" in note for note in drawn["notes"])
    words = ("listen", "new", "--task", "generation", "--systems", "random", "--count", 2, "--each", 1)
    made = told(capsys, *words, "--db", database, "-o", tmp_path / "study")
    assert any("twice" in note for note in made["notes"])
