"""Median filters and nearest neighbours: the stems sum to the mix, and each is nearer to its truth than the mix is."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import pytest
import soundfile
from scipy.ndimage import median_filter

from mashkit.errors import OptionError
from mashkit.registry import Registry
from mashkit.testing import SeparatorContract, signals
from mashkit.types import Audio
from mashkit_librosa.separator import LibrosaSeparator, harmonic_and_percussive_masks, median, running_median

RATE = 16_000


class TestLibrosaSeparator(SeparatorContract):
    component = "librosa"


def distortion(truth: Any, estimate: Any) -> float:
    """Return the signal-to-distortion ratio, dB."""
    return float(10 * np.log10(np.sum(np.broadcast_to(truth, estimate.shape) ** 2) / np.sum((truth - estimate) ** 2)))


def power(audio: Audio) -> float:
    return float(np.mean(audio.samples**2))


@pytest.mark.parametrize("seconds", [0.05, 0.3, 2.0, 13.0])
def test_stems_sum_to_the_mix_exactly(seconds: float) -> None:
    mix = signals.noise(seconds, channels=1, sample_rate=RATE)
    total = signals.mix(LibrosaSeparator(segment_s=10).separate(mix))
    assert np.abs(total.samples - mix.samples).max() < 1e-6


@pytest.mark.parametrize("shape", [(257, 5), (257, 14), (129, 31), (129, 80)])
def test_the_fast_medians_are_those_of_numpy_and_scipy(shape: tuple[int, int]) -> None:
    values = np.asfortranarray(np.random.default_rng(0).random(shape, dtype=np.float32) ** 3)
    for axis, size in ((0, (31, 1)), (1, (1, 31))):
        found = running_median(values, axis)
        assert np.array_equal(found, median_filter(values, size, mode="reflect"))
        assert found.strides == values.strides  # sums over it round alike
        assert np.array_equal(median(values, axis), np.median(values, axis=axis))
    for found, due in zip(
        harmonic_and_percussive_masks(values), librosa.decompose.hpss(values, mask=True), strict=True
    ):
        np.testing.assert_allclose(found, due, rtol=1e-6)


def test_clicks_are_drums_and_chords_are_not() -> None:
    clicks = signals.click_train(signals.click_times(4.0, 120.0), 4.0, sample_rate=RATE)
    assert power(LibrosaSeparator().separate(clicks).stems["drums"]) > 0.9 * power(clicks)
    chords = signals.chord_progression(seconds=4.0, sample_rate=RATE)
    assert power(LibrosaSeparator().separate(chords).stems["drums"]) < 0.1 * power(chords)


def test_what_repeats_is_accompaniment_and_what_does_not_is_vocals() -> None:
    chords = signals.chord_progression(seconds=16.0, sample_rate=RATE).samples
    time = np.arange(2 * RATE) / RATE
    vibrato = 7 * np.sin(2 * np.pi * 5 * time) / 5  # radians: 740 Hz up and down by 7 Hz, five times a second
    note = 0.1 * np.sin(2 * np.pi * 740 * time + vibrato) * np.minimum(1, 20 * np.minimum(time, 2 - time))
    sung = slice(7 * RATE, 9 * RATE)
    mix = chords.copy()
    mix[:, sung] += note.astype(np.float32)
    vocals = LibrosaSeparator().separate(Audio(mix, RATE)).stems["vocals"].samples
    assert distortion(note, vocals[:, sung]) > 20
    outside = np.delete(vocals, np.s_[6 * RATE : 10 * RATE], axis=1)
    assert np.mean(outside**2) < 0.01 * np.mean(chords**2)


@pytest.mark.parametrize("gain", [0.01, 20.0])
def test_stems_follow_the_gain(gain: float) -> None:
    mix = signals.mix(signals.band(bars=2, sample_rate=RATE)[0])
    louder = LibrosaSeparator().separate(Audio(mix.samples * np.float32(gain), mix.sample_rate)).stems
    for name, stem in LibrosaSeparator().separate(mix).stems.items():
        assert np.abs(louder[name].samples / np.float32(gain) - stem.samples).max() < 1e-3, name


def test_stems_keep_the_stereo_image() -> None:
    mono = signals.mix(signals.band(bars=2, sample_rate=RATE)[0]).samples[:1]
    panned = Audio(np.concatenate([mono, np.float32(0.25) * mono]), RATE)
    for name, stem in LibrosaSeparator().separate(panned).stems.items():
        assert np.abs(stem.samples[1] - 0.25 * stem.samples[0]).max() < 1e-5, name


@pytest.mark.slow
def test_segments_hide_their_seams() -> None:
    mix = signals.mix(signals.band(bars=12, sample_rate=8_000)[0])  # 24 s: three segments
    whole, cut = (LibrosaSeparator(segment_s=seconds).separate(mix).stems for seconds in (60, 10))
    # The drums' filters see less than a second; the vocals' comparison, rightly, sees another set of moments.
    assert distortion(whole["drums"].samples, cut["drums"].samples) > 20
    largest_step = np.abs(np.diff(mix.samples)).max()
    for name, stem in cut.items():
        assert np.abs(np.diff(stem.samples)).max() < 1.5 * largest_step, name


def test_a_larger_margin_leaves_less_in_the_vocals() -> None:
    mix = signals.mix(signals.band(bars=6, sample_rate=8_000)[0])
    little, much = (power(LibrosaSeparator(vocal_margin=margin).separate(mix).stems["vocals"]) for margin in (1, 20))
    assert much < 0.6 * little


@pytest.mark.parametrize("song", ["MusicDelta - Hendrix", "MusicDelta - Reggae"])
def test_real_stems_are_nearer_than_the_mix(shared_data: Path, song: str) -> None:
    folder = shared_data / "multitracks" / song
    stems = {
        name: soundfile.read(folder / f"{name}.flac", dtype="float32", frames=8 * 44_100)[0].T
        for name in ("vocals", "drums", "bass", "other")
    }
    truth = {"vocals": stems["vocals"], "drums": stems["drums"], "other": stems["bass"] + stems["other"]}
    mix = np.sum(list(truth.values()), axis=0)
    found = LibrosaSeparator().separate(Audio(mix, 44_100)).stems
    gains = {name: distortion(truth[name], found[name].samples) - distortion(truth[name], mix) for name in truth}
    assert min(gains.values()) > 3, json.dumps(gains)


@pytest.mark.parametrize("options", [{"vocal_margin": 0.5}, {"segment_s": 1}, {"segment": 30}], ids=str)
def test_wrong_options_are_refused(options: Mapping[str, Any]) -> None:
    with pytest.raises(OptionError, match="librosa"):
        Registry().create("separator", "librosa", options)
