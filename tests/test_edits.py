"""What a person confirms stays as it is; what a person changes is what the clip then has."""

from __future__ import annotations

from pathlib import Path

import attrs
import numpy as np
import pytest

import mashkit as mk
from light import Thirds
from mashkit.audio.files import save
from mashkit.catalog import Adder, MashupDB
from mashkit.catalog.edits import edited
from mashkit.catalog.songs import describe_song
from mashkit.catalog.upkeep import edit
from mashkit.interfaces import Analyzer
from mashkit.testing import signals
from mashkit.timing.beatmap import BeatsDistrusted, beat_grid
from mashkit.types import Analysis, Audio, Key

PERIODS = np.linspace(0.66, 0.54, 60)
"""Beats of a song that drifts from 91 to 111 BPM."""
DRIFTING = np.concatenate([[0.4], 0.4 + np.cumsum(PERIODS)])


def analysis_of(beats: np.ndarray = DRIFTING, bar: int = 4) -> Analysis:
    return Analysis(
        key=Key(9, "minor"),
        tempo=60.0 / float(np.median(np.diff(beats))),
        beats=beats,
        downbeats=beats[2::bar],
        confidence={"key": 0.5, "metre": 0.5},
    )


@pytest.mark.parametrize("barred", [True, False])
def test_beats_that_are_laid_anew_go_through_the_downbeat_that_was_set(barred: bool) -> None:
    beats = np.arange(0.3, 30.0, 0.5)
    analysis = attrs.evolve(analysis_of(beats), downbeats=beats[::4] if barred else None)
    laid = edited(analysis, {"tempo": 92.0, "downbeat": 12.35}, 30.0)
    assert laid.beats is not None
    assert laid.downbeats is not None
    assert np.abs(laid.downbeats - 12.35).min() < 1e-9
    np.testing.assert_allclose(np.diff(laid.beats), 60 / 92)
    np.testing.assert_allclose(np.diff(laid.downbeats), 4 * 60 / 92)
    assert laid.beats[0] < 60 / 92
    assert laid.downbeats[0] < 4 * 60 / 92


@pytest.mark.parametrize("bar", [3, 4, 7])
def test_a_confirmed_value_changes_no_beat(bar: int) -> None:
    analysis = analysis_of(bar=bar)
    assert analysis.tempo is not None
    assert analysis.downbeats is not None
    for values in (
        {"tempo": analysis.tempo},
        {"tempo": round(analysis.tempo, 1)},
        {"beats_per_bar": bar},
        {"downbeat": float(analysis.downbeats[0])},
        {"downbeat": float(analysis.downbeats[3])},
        {"tempo": analysis.tempo, "downbeat": float(analysis.downbeats[0]), "beats_per_bar": bar},
    ):
        same = edited(analysis, values, 40.0)
        np.testing.assert_array_equal(same.beats, analysis.beats)
        np.testing.assert_array_equal(same.downbeats, analysis.downbeats)


def test_irregular_bars_are_kept_where_they_are_confirmed() -> None:
    beats = np.arange(0.0, 30.0, 0.5)
    irregular = attrs.evolve(analysis_of(beats), downbeats=beats[[0, 4, 7, 11, 15]])
    same = edited(irregular, {"downbeat": 3.5, "beats_per_bar": irregular.beats_per_bar}, 30.0)
    np.testing.assert_array_equal(same.downbeats, irregular.downbeats)


@pytest.mark.parametrize("tempo", [47.5, 95.0, 190.0, 184.0, 46.0, 276.0, 100.0, 92.5])
def test_beats_have_the_tempo_that_was_set(tempo: float) -> None:
    beats = np.arange(0.3, 40.0, 60 / 92.0)
    changed = edited(analysis_of(beats), {"tempo": tempo}, 40.0)
    assert changed.beats is not None
    assert changed.tempo == tempo
    assert 60 / np.diff(changed.beats).mean() == pytest.approx(tempo, rel=0.01)


@pytest.mark.parametrize("pickup", range(8))
@pytest.mark.parametrize("factor", [2.0, 3.0, 0.5, 1.5])
def test_no_bar_before_the_first_downbeat_is_lost(factor: float, pickup: int) -> None:
    beats = np.arange(0.0, 30.0, 1.0)
    analysis = attrs.evolve(analysis_of(beats), downbeats=beats[pickup::4])
    changed = edited(analysis, {"tempo": 60.0 * factor}, 30.0)
    assert changed.beats is not None
    assert changed.downbeats is not None
    first = np.searchsorted(changed.beats, changed.downbeats[0])
    assert first < 4
    np.testing.assert_array_equal(changed.downbeats, changed.beats[first::4])
    if factor > 1 and factor.is_integer():
        assert set(beats[pickup::4]) <= set(changed.downbeats)


@pytest.mark.parametrize(
    ("values", "vouched"),
    [
        ({"key": "D major"}, {"key"}),
        ({"tuning": 5.0}, {"tuning"}),
        ({"tempo": 120.0}, {"tempo"}),
        ({"tempo": 60.0}, {"tempo"}),
        ({"tempo": 90.0}, {"tempo", "beats", "downbeats", "metre"}),
        ({"downbeat": 0.75}, {"downbeats", "metre"}),
        ({"downbeat": 0.25}, {"downbeats", "metre"}),
        ({"beats_per_bar": 3}, {"downbeats", "metre"}),
        ({"beats_per_bar": 4}, {"metre"}),
    ],
)
def test_the_analyzer_is_not_asked_about_what_a_person_set(values: dict[str, object], vouched: set[str]) -> None:
    beats = np.arange(0.25, 30.0, 0.5)
    names = ("key", "tuning", "tempo", "beats", "downbeats", "metre")
    doubted = attrs.evolve(analysis_of(beats), downbeats=beats[::4], confidence=dict.fromkeys(names, 0.04))
    with pytest.raises(BeatsDistrusted):
        beat_grid(doubted)
    found = edited(doubted, values, 30.0)
    assert set(names) - set(found.confidence) == vouched
    if "beats" in vouched:
        beat_grid(found)


def test_beats_that_are_placed_by_a_downbeat_are_vouched_for() -> None:
    bare = Analysis(tempo=120.0, confidence={"tempo": 0.5, "beats": 0.04, "metre": 0.1})
    assert dict(edited(bare, {"downbeat": 0.5}, 30.0).confidence) == {"tempo": 0.5}
    assert dict(edited(bare, {"tempo": 90.0}, 30.0).confidence) == {"beats": 0.04, "metre": 0.1}


@attrs.define(kw_only=True, eq=False)
class Listener(Analyzer):
    """Finds the beats of the drifting song."""

    info = mk.ComponentInfo(
        name="listener", target="x:X", summary="s", provides=["key", "tempo", "beats", "downbeats"], code_license="MIT"
    )

    def _analyze(self, mix: Audio) -> Analysis:
        return analysis_of(DRIFTING[mix.duration > DRIFTING])


@pytest.fixture
def database(tmp_path: Path) -> MashupDB:
    save(tmp_path / "song.flac", signals.tone(220.0, 36.0, amplitude=0.3))
    database = MashupDB(tmp_path / "db")
    (added,) = Adder(database, Thirds(), Listener()).add([describe_song(tmp_path / "song.flac")])
    assert added.error is None
    return database


def test_a_lock_changes_nothing_else(database: MashupDB) -> None:
    (clip,) = database.table()
    locked = edit(database, clip.id, {}, lock=True).clip
    assert locked.id == clip.id
    assert locked.edited == ("downbeat", "key", "tempo")
    np.testing.assert_array_equal(locked.analysis.beats, clip.analysis.beats)
    np.testing.assert_array_equal(locked.analysis.downbeats, clip.analysis.downbeats)


def test_an_undo_with_a_lock_locks_what_is_left(database: MashupDB) -> None:
    (clip,) = database.table()
    keyed = edit(database, clip.id, {"key": "E major", "tempo": "70"}).clip
    assert keyed.analysis.key == Key(4, "major")
    locked = edit(database, keyed.id, {}, lock=True, undo=True).clip
    assert locked.id == clip.id
    assert locked.analysis.key == clip.analysis.key
    assert locked.edited == ("downbeat", "key", "tempo")
    np.testing.assert_array_equal(locked.analysis.beats, clip.analysis.beats)
