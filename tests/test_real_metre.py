"""Bars nobody hears are not built on, metres are not mixed up, and labels are compared with what sounds."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mashkit as mk
from mashkit.builtin.paper import PaperGenerator
from mashkit.catalog.edits import edited
from mashkit.catalog.excerpts import Excerpt
from mashkit.cli import main
from mashkit.errors import AnalysisError, GenerationError
from mashkit.generation import Mixture, Recipe
from mashkit.timing import metre
from mashkit.timing.beatmap import beat_grid
from mashkit.types import LABELS_TRUSTED, Analysis, Clip, Condition, Key, Role
from real_inputs import metre as make
from real_inputs.older import as_version_2


def in_bars(of: int, *, tempo: float = 120.0, sure: float | None = None, first: float = 0.2) -> Analysis:
    beats = np.arange(first, 40.0, 60 / tempo)
    return Analysis(
        Key(0, "major"), tempo, beats, beats[::of], confidence={} if sure is None else {"metre": sure, "beats": 0.9}
    )


def clip(name: str, analysis: Analysis) -> Clip:
    return Clip(
        name, name, name, f"{name}.ogg", 0.0, 40.0, 44_100, analysis, "CC0-1.0", dict.fromkeys(Role, -20.0),
        dict.fromkeys(Role, 1.0),
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------------- what is heard
@pytest.mark.slow
@pytest.mark.parametrize(("song", "beats"), [("five_four", 5), ("seven_four", 7), ("three_four", 3), ("four_four", 4)])
def test_the_metre_of_a_song_is_told(tmp_path: Path, song: str, beats: int) -> None:
    path = getattr(make, song)(tmp_path)
    found = mk.Kit(analyzer="madmom").analyzer.analyze(mk.load(path))
    assert (found.beats_per_bar, metre.doubt(found)) == (beats, None)
    assert found.downbeats is not None
    true = make.in_metre(beats, tempo=150.0 if beats == 7 else 120.0)[1]
    assert np.abs(found.downbeats[1:-1, None] - true[None]).min(axis=1).max() < 0.07


@pytest.mark.slow
def test_where_nothing_repeats_bars_are_doubtful(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = make.no_metre(tmp_path)
    assert main(["analyze", str(path), "--analyzer", "madmom", "--json"]) == 0
    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert result["beats_per_bar"] in (3, 4)
    assert "confidence" in result["metre_doubt"]
    assert main(["analyze", str(path), "--analyzer", "madmom"]) == 0
    assert "doubtful bars" in capsys.readouterr().err


# ---------------------------------------------------------------------------------------------------------- the rule
@given(st.integers(1, 12), st.integers(0, 11), st.integers(3, 30))
def test_beats_a_bar_are_counted(of: int, skipped: int, bars: int) -> None:
    beats = np.arange(bars * of + skipped + 1) * 0.5
    analysis = Analysis(beats=beats, downbeats=beats[skipped::of])
    assert analysis.beats_per_bar == of
    assert analysis.within(1.0, beats[-1]).beats_per_bar in (of, None)
    assert metre.doubt(analysis) is None  # who gives no confidence is believed
    for sure, doubtful in ((0.0, True), (metre.LEAST_CONFIDENCE, False), (1.0, False)):
        assert (metre.doubt(attrs.evolve(analysis, confidence={"metre": sure})) is not None) == doubtful


def test_no_bars_are_not_doubtful_and_irregular_ones_are() -> None:
    beats = np.arange(60) * 0.5
    for known in (Analysis(), Analysis(beats=beats), Analysis(beats=beats, downbeats=beats[3:4])):
        assert (known.beats_per_bar, metre.doubt(known)) == (None, None)
        assert metre.described(known) == "–"
    every = Analysis(beats=beats, downbeats=beats[np.cumsum([0, 3, 5, 4, 7, 2, 6, 3, 5, 8, 4])])
    assert "bars" in str(metre.doubt(every))
    assert metre.described(every).endswith("?")
    once = Analysis(beats=beats, downbeats=beats[np.cumsum([0, 4, 4, 4, 2, 4, 4, 4])])
    assert (once.beats_per_bar, metre.doubt(once)) == (4, None)


def test_doubtful_bars_are_no_grid_and_no_cut() -> None:
    sure, doubtful = in_bars(4, sure=0.9), in_bars(4, sure=0.05)
    assert beat_grid(sure).bar == 4
    assert beat_grid(doubtful).bar == 0
    np.testing.assert_array_equal(beat_grid(doubtful).times, beat_grid(sure).times)
    excerpt = Excerpt(10.0, 40.0)
    assert excerpt.cut(doubtful) == (0.0, 40.0)
    start, end = excerpt.cut(sure)
    assert start == pytest.approx(0.2)
    assert (end - start) / 2 == pytest.approx(round((end - start) / 2))


def test_a_person_makes_bars_sure() -> None:
    doubtful = in_bars(4, sure=0.05)
    assert doubtful.beats is not None
    five = edited(doubtful, {"beats_per_bar": 5}, 40.0)
    assert (five.beats_per_bar, metre.doubt(five)) == (5, None)
    assert five.downbeats is not None
    assert five.downbeats[0] == doubtful.beats[0]
    moved = edited(doubtful, {"beats_per_bar": 5, "downbeat": float(doubtful.beats[7]) + 0.04}, 40.0)
    assert moved.downbeats is not None
    assert moved.downbeats[1] == doubtful.beats[7]
    assert metre.doubt(edited(doubtful, {"downbeat": 0.7}, 40.0)) is None
    assert metre.doubt(edited(doubtful, {"key": "A minor"}, 40.0)) is not None
    with pytest.raises(AnalysisError, match="needs beats"):
        edited(Analysis(tempo=120.0), {"beats_per_bar": 5}, 40.0)


# --------------------------------------------------------------------------------------------------------- the plans
@pytest.fixture
def fours() -> list[Clip]:
    return [clip(f"four-{number}", in_bars(4, tempo=110 + 3 * number, first=0.1 * number)) for number in range(4)]


def drawn(clips: list[Clip], condition: str, **options: object) -> list[mk.MashupPlan]:
    return list(PaperGenerator(**options).plan(clips, condition=condition, count=500, seed=1))


@pytest.mark.parametrize("condition", ["matched", "unmatched-key", "unmatched-tempo", "unmatched-key-tempo"])
def test_clips_of_doubtful_metre_are_left_out_and_counted(fours: list[Clip], condition: str) -> None:
    clips = [*fours, clip("doubtful", in_bars(4, sure=0.1)), clip("voice", in_bars(3, sure=0.0))]
    options = {"mismatch": "literal"}
    plain = drawn(fours, condition, **options)
    with_doubts = drawn(clips, condition, **options)
    assert {layer.clip_id for plan in with_doubts for layer in plan.layers} == {one.id for one in fours}
    # What is drawn of the sure ones has not changed.
    assert {plan.id for plan in with_doubts} == {plan.id for plan in plain} or condition == "unmatched-tempo"
    used = drawn(clips, condition, **options, doubtful_metre=True)
    assert {"doubtful", "voice"} <= {layer.clip_id for plan in used for layer in plan.layers}
    for plan in used:
        doubts = {layer.role for layer in plan.layers if layer.clip_id in ("doubtful", "voice")}
        assert {role for role in Role for note in plan.notes if "doubtful bars" in note and role in note} == doubts
    mixture = Mixture(PaperGenerator(**options), clips, Recipe({condition: 3}), seed=1)
    assert len(list(mixture)) == 3
    assert mixture.report.to_dict()["conditions"][condition]["clips_left_out"] == {"metre is doubtful": 2}


def test_originals_are_made_of_all_clips(fours: list[Clip]) -> None:
    clips = [*fours, clip("doubtful", in_bars(4, sure=0.1))]
    plans = {plan.layers[0].clip_id: plan for plan in drawn(clips, "original")}
    assert set(plans) == {one.id for one in clips}
    assert [note for note in plans["doubtful"].notes if "doubtful bars" in note]
    assert not plans["four-0"].notes


def test_metres_are_not_mixed(fours: list[Clip]) -> None:
    threes = [clip(f"three-{number}", in_bars(3, tempo=112 + 3 * number)) for number in range(3)]
    six = clip("six", in_bars(6, tempo=115.0))
    clips = [*fours, *threes, six]
    pairs = {tuple(sorted({layer.clip_id.split("-")[0] for layer in plan.layers})) for plan in drawn(clips, "matched")}
    assert pairs == {("four",), ("three",), ("six", "three")}
    mixed = drawn(clips, "matched", mixed_metres=True)
    assert any(len({layer.clip_id.split("-")[0] for layer in plan.layers}) == 3 for plan in mixed)
    alone = [fours[0], *threes[:1]]
    with pytest.raises(GenerationError, match="and its bars") as caught:
        drawn(alone, "matched")
    assert "mixed_metres=true" in str(caught.value)


def test_a_vocal_of_doubtful_metre_is_refused_with_its_cause(fours: list[Clip]) -> None:
    clips = [*fours, clip("doubtful", in_bars(4, sure=0.1))]
    with pytest.raises(GenerationError, match="metre is doubtful") as caught:
        list(PaperGenerator().plan(clips, condition="matched", count=3, seed=0, vocal="doubtful"))
    assert str(caught.value).count("doubtful_metre=true") == 1


def test_where_every_metre_is_doubtful_the_error_says_so() -> None:
    clips = [clip(f"doubtful-{number}", in_bars(4, sure=0.1)) for number in range(3)]
    with pytest.raises(GenerationError, match="the metre of all 3 clips with a vocal is doubtful") as caught:
        drawn(clips, "matched")
    assert str(caught.value).count("doubtful_metre=true") == 1
    without_key = attrs.evolve(clips[0], analysis=attrs.evolve(clips[0].analysis, key=None))
    with pytest.raises(GenerationError, match="none can be used: no key in 1, doubtful bars in 2"):
        drawn([without_key, *clips[1:]], "matched")


@given(st.integers(1, 12), st.integers(1, 12))
def test_what_bars_fit(one: int, other: int) -> None:
    assert metre.fit(one, other) == metre.fit(other, one)
    assert metre.fit(one, one)
    assert metre.fit(one, 2 * one)
    assert metre.fit(0, one)
    assert not (metre.fit(one, other) and one / other not in (0.5, 1, 2))


# ------------------------------------------------------------------------------------------------------------- labels
def added(root: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, object]:
    command = ["db", "add", *arguments, "--protocol", "multitrack", "--db", str(root), "--json"]
    main([*command, "--analyzer", "librosa", "--no-features", "-O", "executor.jobs=0"])
    data: dict[str, object] = json.loads(capsys.readouterr().out)
    return data


@pytest.mark.slow
def test_labels_that_do_not_fit_are_refused_and_those_that_do_are_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "songs"
    bad = list(make.misfits(folder))
    good = [make.labels_that_fit(folder), make.labels_30_ms_late(folder)]
    data = added(tmp_path / "db", capsys, str(folder))
    failures = data["failures"]
    assert isinstance(failures, list)
    assert {Path(one["path"]).name for one in failures} == {path.name for path in bad}
    assert data["songs"] == len(good)
    why = {Path(one["path"]).name: one["error"] for one in failures}
    assert "agreement" in why["grid of 124"] or "but their beats give" in why["grid of 124"]
    assert "but their beats give" in why["contradicts"]
    assert "milliseconds: write seconds" in why["milliseconds"]
    assert "118.0 BPM" in why["bpm of 118"]
    assert all("--trust-labels" in text for name, text in why.items() if name != "milliseconds")


def test_trusting_labels_is_said_aloud(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make.labels_at_another_tempo(tmp_path / "songs")
    data = added(tmp_path / "db", capsys, str(folder), "--trust-labels")
    assert (data["songs"], data["failures"]) == (1, [])
    assert [note for note in data["notes"] if "trusted" in note]  # type: ignore[attr-defined]
    with mk.MashupDB(tmp_path / "db", write=False) as database:
        (one,) = database.table()
        assert LABELS_TRUSTED in one.edited
        assert one.analysis.tempo == pytest.approx(124)
        ((source,),) = database.rows("SELECT source FROM songs")
        (plan,) = PaperGenerator().plan([one], condition=Condition.ORIGINAL, count=1, seed=0)
    assert json.loads(source)["labels_trusted"]
    assert [note for note in plan.notes if "labels trusted" in note]
    # Without the word they are compared again.
    assert added(tmp_path / "db", capsys, str(folder))["songs"] == 0


@pytest.mark.parametrize("factor", [2, pytest.param(0.5, marks=pytest.mark.slow)])
def test_a_tempo_counted_in_halves_is_a_convention(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], factor: float
) -> None:
    folder = make.labels_that_fit(tmp_path / "songs")
    (folder / "song.json").write_text(json.dumps({"title": "x", "key": "A minor", "bpm": 140 * factor}))
    data = added(tmp_path / "db", capsys, str(folder))
    assert data["songs"] == 1
    assert [note for note in data["notes"] if "the beats are used" in note]  # type: ignore[attr-defined]


def test_a_database_of_version_2_learns_its_metres(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_folder: Callable[[Path], Path] = make.labels_that_fit
    added(tmp_path / "db", capsys, str(make_folder(tmp_path / "songs")))
    with mk.MashupDB(tmp_path / "db") as database:
        before = database.table().bars.tolist()
    as_version_2(tmp_path / "db")
    with mk.MashupDB(tmp_path / "db") as database:
        assert database.table().bars.tolist() == before == [4]
    assert main(["db", "list", "--db", str(tmp_path / "db"), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["clips"]
    assert (row["beats_per_bar"], row["metre_doubt"]) == (4, None)
    assert main(["db", "edit", row["id"], "--beats-per-bar", "5", "--db", str(tmp_path / "db"), "--json"]) == 0
    (shown,) = [json.loads(capsys.readouterr().out)["clip"]]
    assert np.diff(np.searchsorted(shown["analysis"]["beats"], shown["analysis"]["downbeats"])).tolist()[0] == 5


def test_makers_make_what_they_say(tmp_path: Path) -> None:
    folders = list(itertools.chain(make.misfits(tmp_path), [make.labels_that_fit(tmp_path)]))
    assert len({path.name for path in folders}) == len(folders) == 7
