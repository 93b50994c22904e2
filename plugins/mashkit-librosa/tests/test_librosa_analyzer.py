"""Profile correlation and dynamic programming: keys turn with the music, beats lie on the clicks."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mir_eval
import numpy as np
import pytest
import soundfile

from mashkit.errors import OptionError
from mashkit.registry import Registry
from mashkit.testing import AnalyzerContract, signals
from mashkit.types import Audio, Key
from mashkit_librosa.analyzer import PROFILES, LibrosaAnalyzer, key_of_chroma


class TestLibrosaAnalyzer(AnalyzerContract):
    component = "librosa"


@pytest.mark.parametrize("offset", [-0.003, 0.0005, 0.05])
def test_a_constant_offset_has_no_key_and_no_beats(offset: float) -> None:
    dithered = signals.noise(4.0).samples * np.float32(1e-5) + np.float32(offset)
    analysis = LibrosaAnalyzer().analyze(Audio(dithered, 44_100))
    assert (analysis.key, analysis.tempo, analysis.beats) == (None, None, None)


@pytest.mark.parametrize("mode", ["major", "minor"])
@pytest.mark.parametrize("tonic", range(12))
def test_a_profile_is_its_own_key(tonic: int, mode: Any) -> None:
    key, correlation = key_of_chroma(3.0 * np.roll(PROFILES[mode], tonic) + 1.0)
    assert key == Key(tonic, mode)
    assert correlation == pytest.approx(1.0)


def test_transposed_chroma_transpose_the_key() -> None:
    generator = np.random.default_rng(0)
    for _ in range(20):
        chroma = generator.random(12)
        key, correlation = key_of_chroma(chroma)
        for semitones in range(12):
            assert key_of_chroma(np.roll(chroma, semitones)) == (
                key.transposed(semitones),
                pytest.approx(correlation),
            )


def test_correlation_is_pearsons() -> None:
    chroma = np.random.default_rng(1).random(12)
    everything = [np.corrcoef(chroma, np.roll(PROFILES[mode], tonic))[0, 1] for mode in PROFILES for tonic in range(12)]
    assert key_of_chroma(chroma)[1] == pytest.approx(max(everything))


@pytest.mark.parametrize("key", [Key(4, "minor"), Key(10, "major")], ids=str)
def test_key_of_chords(key: Key) -> None:
    found = LibrosaAnalyzer().analyze(signals.chord_progression(key, seconds=8.0))
    assert found.key == key
    assert found.confidence["key"] > 0.7


def test_an_octave_up_is_the_same_key() -> None:
    chords = signals.chord_progression(Key(2, "major"), seconds=8.0)
    faster = Audio(chords.samples, 2 * chords.sample_rate)
    assert LibrosaAnalyzer().analyze(faster).key == Key(2, "major")


@pytest.mark.parametrize("tempo", [93.0, 120.0, 137.5])
def test_beats_lie_on_the_clicks(tempo: float) -> None:
    times = signals.click_times(20.0, tempo)
    found = LibrosaAnalyzer().analyze(signals.click_train(times, 20.0))
    assert found.tempo == pytest.approx(tempo, rel=0.003)
    assert found.beats is not None
    errors = found.beats - times[np.abs(found.beats[:, None] - times).argmin(axis=1)]
    assert np.abs(errors).max() < 0.02
    assert abs(np.median(errors)) < 0.01


def test_start_bpm_decides_the_octave() -> None:
    clicks = signals.click_train(signals.click_times(16.0, 120.0), 16.0)
    slow, fast = (LibrosaAnalyzer(start_bpm=bpm).analyze(clicks).tempo for bpm in (60.0, 240.0))
    assert slow is not None
    assert fast is not None
    assert fast > 1.5 * slow


def test_opposite_channels_are_heard_as_one() -> None:
    tone = signals.tone(440.0, 4.0).samples
    opposite, one = (LibrosaAnalyzer().analyze(Audio(both, 44_100)) for both in (np.concatenate([tone, -tone]), tone))
    assert opposite == one


@pytest.mark.parametrize("song", ["MusicDelta - Hendrix", "MusicDelta - Reggae"])
def test_beats_of_real_songs(shared_data: Path, song: str) -> None:
    folder = shared_data / "multitracks" / song
    samples, rate = soundfile.read(folder / "mixture.flac", dtype="float32", always_2d=True)
    found = LibrosaAnalyzer().analyze(Audio(np.ascontiguousarray(samples.T), rate))
    truth = np.loadtxt(folder / "mixture.beats")[:, 0]
    assert mir_eval.beat.f_measure(truth, found.beats) > 0.9
    assert found.tempo == pytest.approx(60 / np.median(np.diff(truth)), rel=0.02)


@pytest.mark.parametrize("options", [{"start_bpm": 5}, {"tightness": 0}, {"bpm": 100}], ids=str)
def test_wrong_options_are_refused(options: Mapping[str, Any]) -> None:
    with pytest.raises(OptionError, match="librosa"):
        Registry().create("analyzer", "librosa", options)
