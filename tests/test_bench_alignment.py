"""The alignment task measures what is there: a late stretcher is late, a drifting song drifts, a map mends it."""

from __future__ import annotations

from pathlib import Path

import attrs
import numpy as np
import pytest

from light import SteadyTurntable, Turntable
from mashkit.audio.files import save
from mashkit.bench.alignment import AlignmentTask, Settings
from mashkit.bench.generators import GeneratorTask
from mashkit.bench.multitracks import MultitrackSource, find_multitracks
from mashkit.bench.scorers import ScorerTask
from mashkit.bench.tables import SuiteError
from mashkit.bench.tasks import Input, NotProvided
from mashkit.errors import AudioFileError, CatalogError
from mashkit.interfaces import Stretcher
from mashkit.pipeline import Kit
from mashkit.testing import signals
from mashkit.types import Audio, Key, Role
from mashkit.types.timemap import TimeMap
from rows import row_of

LATE_S = 0.02


@attrs.define(kw_only=True, eq=False)
class Late(Stretcher):
    """Plays what another plays, a little later."""

    info = Turntable.info

    inner: Stretcher = attrs.field(factory=lambda: Kit().stretcher)

    def _stretch(self, audio: Audio, *, speed: float, semitones: float, frames: int) -> Audio:
        return self._later(self.inner.stretch(audio, speed=speed, semitones=semitones))

    def _stretch_along(self, audio: Audio, time_map: TimeMap, *, semitones: float, frames: int) -> Audio:
        return self._later(self.inner.stretch(audio, time_map=time_map, semitones=semitones))

    def _later(self, audio: Audio) -> Audio:
        by = round(LATE_S * audio.sample_rate)
        return Audio(np.pad(audio.samples, ((0, 0), (by, 0)))[:, : audio.frames], audio.sample_rate)


@pytest.fixture(scope="module")
def inputs() -> list[Input]:
    return AlignmentTask().inputs({"plans": 1, "seed": 10}, None)  # backing that drifts the other way


@pytest.mark.whole
def test_without_data_real_songs_are_missing_and_synthetic_ones_there(inputs: list[Input]) -> None:
    there = [given for given in inputs if not given.missing]
    assert {given.measure for given in there} == {"drifting map", "drifting speed"}
    assert {given.measure for given in inputs if given.missing} == {
        f"{collection} {name}" for collection in ("songs", "multitracks") for name in ("map", "speed")
    }


@pytest.mark.slow
@pytest.mark.plugins
def test_a_map_mends_what_one_speed_cannot(inputs: list[Input]) -> None:
    task, stretcher = AlignmentTask(), Kit().stretcher
    task.warm_up(stretcher)
    found = {given.measure: task.measure(stretcher, given) for given in inputs if not given.missing}
    assert found["drifting speed"]["p95_ms"] > 200
    assert found["drifting map"]["median_ms"] < 10
    assert found["drifting map"]["p95_ms"] < 25
    assert found["drifting map"]["mapped_layers"] >= 1
    assert found["drifting speed"]["mapped_layers"] == 0
    rows = [
        row_of(
            measure=given.measure, status="unavailable" if given.missing else "ok",
            input_missing=bool(given.missing), values=found.get(given.measure, {}),
        )
        for given in inputs
    ]  # fmt: skip
    metrics = task.summarize(rows)
    assert metrics["map_drift_ms"] == found["drifting map"]["p95_ms"]
    assert metrics["speed_drift_ms"] == found["drifting speed"]["p95_ms"]
    assert metrics["map_median_ms"] is None
    assert set(metrics) == {metric.name for metric in task.metrics}


@pytest.mark.plugins
@pytest.mark.slow
def test_a_late_stretcher_is_heard_to_be_late(inputs: list[Input]) -> None:
    given = next(one for one in inputs if one.measure == "drifting map")
    task = AlignmentTask()
    good, late = (task.measure(stretcher, given)["median_ms"] for stretcher in (Kit().stretcher, Late()))
    assert good + 1000 * LATE_S / 2 < late < good + 1000 * LATE_S * 1.5


@pytest.mark.whole
def test_who_follows_no_map_is_not_measured_along_one(inputs: list[Input]) -> None:
    given = next(one for one in inputs if one.measure == "drifting map")
    with pytest.raises(NotProvided, match="steady-turntable"):
        AlignmentTask().measure(SteadyTurntable(), given)


@pytest.mark.parametrize("settings", [{"plans": 0}, {"plans": "many"}, {"songs": 3}])
def test_settings_that_make_no_sense(settings: dict[str, object]) -> None:
    with pytest.raises(SuiteError):
        AlignmentTask().inputs(settings, None)
    assert Settings().plans > 0


# ------------------------------------------------------------------------------------------------------ multitracks
@pytest.fixture(scope="module")
def multitracks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("multitracks")
    for number, (key, tempo) in enumerate([(Key(0, "major"), 120.0), (Key(2, "major"), 110.0)]):
        stems, _ = signals.band(key, tempo=tempo, bars=16, seed=number)
        song = folder / f"Song {number}"
        song.mkdir()
        for name, stem in stems.stems.items():
            mono = Audio(stem.samples[:1], stem.sample_rate) if name == "bass" else stem
            save(song / f"{name}.flac", mono)
        (song / "notes.txt").write_text("not a stem")
    (folder / "no song").mkdir()
    return folder


@pytest.mark.plugins
def test_multitracks_become_clips_with_true_stems(multitracks: Path) -> None:
    songs = find_multitracks(multitracks)
    assert [song.name for song in songs] == ["Song 0", "Song 1"]
    source = MultitrackSource(songs)
    source.analyse(Kit(analyzer="librosa").analyzer)
    stems, _ = signals.band(Key(0, "major"), tempo=120.0, bars=16, seed=0)
    clip = source.clips[0]
    assert clip.analysis.tempo == pytest.approx(120, rel=0.02)
    assert clip.activity[Role.PERCUSSION] > 0.5
    for role in Role:
        stem = source.stem(clip.id, role)
        assert (stem.channels, stem.sample_rate) == (2, 44_100)
    np.testing.assert_allclose(
        source.stem(clip.id, Role.PERCUSSION).samples, stems.stems["drums"].samples[:, : stem.frames], atol=1e-6
    )


def test_multitracks_know_what_they_are_told_and_nothing_else(multitracks: Path) -> None:
    source = MultitrackSource(find_multitracks(multitracks))
    _, analysis = signals.band(tempo=120.0, bars=4)
    source.take([attrs.evolve(source.clips[0], analysis=analysis)])
    assert source.clips[0].analysis == analysis
    assert source.clips[1].analysis.beats is None
    with pytest.raises(CatalogError, match="'none'"):
        source.stem("none", Role.VOCAL)
    assert find_multitracks(multitracks / "nowhere") == []


@pytest.mark.plugins
def test_a_song_that_is_too_short_for_a_clip_is_named(
    multitracks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    song = tmp_path / "multitracks" / "Interlude"
    song.mkdir(parents=True)
    for name in ("vocals", "drums", "other"):
        save(song / f"{name}.flac", signals.noise(12.0))
    assert MultitrackSource(find_multitracks(multitracks)).problems == []
    monkeypatch.setenv("MASHKIT_CACHE", str(tmp_path / "cache"))
    reason = "Interlude lasts 12.0 s, and a clip needs 25 s"
    inputs = ScorerTask().inputs({"collection": "multitracks"}, tmp_path)
    assert [one.missing for one in inputs] == ["there are no clips in collection 'multitracks'", reason]
    for task, settings in ((GeneratorTask(), {"collection": "multitracks"}), (AlignmentTask(), {"plans": 1})):
        assert reason in [one.missing for one in task.inputs(settings, tmp_path)]


def test_a_stem_that_ends_early_is_named(multitracks: Path, tmp_path: Path) -> None:
    song = tmp_path / "Song"
    song.mkdir()
    for name, seconds in (("vocals", 30.0), ("drums", 30.0), ("other", 30.0)):
        save(song / f"{name}.flac", signals.noise(seconds))
    source = MultitrackSource([song])
    save(song / "drums.flac", signals.noise(20.0))
    with pytest.raises(AudioFileError, match="drums"):
        source.stem(source.clips[0].id, Role.VOCAL)
