"""Stems as features: what is heard in them, and what transposing and stretching them does."""

import numpy as np
import pytest

from mashkit.types import Audio, Role, Samples
from mashkit_mashnet.intervals import StemIntervals, divided, positions
from mashkit_mashnet.pitches import chroma, melody, whitened
from mashkit_mashnet.running_sum import RunningSum
from mashkit_mashnet.stem_features import MARGIN, WIDE, StemFeatures

RATE = 22_050


def tones(pitches: list[int], seconds: float = 2.0, partials: int = 8) -> Samples:
    """Notes one after the other, with harmonics as a voice has."""
    time = np.arange(round(seconds * RATE)) / RATE
    notes = []
    for pitch in pitches:
        hertz = 440 * 2 ** ((pitch - 69) / 12)
        notes.append(sum(np.sin(2 * np.pi * hertz * n * time) / n for n in range(1, partials + 1)))
    return (0.2 * np.concatenate(notes)).astype(np.float32)


def stem(samples: Samples) -> StemFeatures:
    return StemFeatures.of(Audio(samples[None], RATE))


def noise(seconds: float, seed: int = 0) -> Samples:
    return (0.1 * np.random.default_rng(seed).standard_normal(round(seconds * RATE))).astype(np.float32)


# --------------------------------------------------------------------------------------------------------- pitches
@pytest.mark.parametrize("pitch", [52, 57, 60, 64, 69, 74])
def test_the_sung_pitch_class_is_found(pitch: int) -> None:
    sung = melody(whitened(stem(tones([pitch])).spectrum))[5:-5].sum(axis=0)
    assert sung.argmax() == pitch % 12
    assert sung[pitch % 12] > 0.9 * sum(sung)


def test_a_transposed_stem_is_a_shifted_spectrum() -> None:
    low, high = (stem(tones([60 + shift])).spectrum[10].astype(float) for shift in (0, 3))
    shifted = round(3 * WIDE.bands_a_semitone)
    assert np.corrcoef(low[MARGIN:-MARGIN], high[MARGIN + shifted : len(high) - MARGIN + shifted])[0, 1] > 0.98


def test_chroma_of_a_chord_holds_its_notes() -> None:
    chord = tones([48], partials=4) + tones([52], partials=4) + tones([55], partials=4)
    heard = chroma(whitened(stem(chord.astype(np.float32)).spectrum))[10].sum(axis=0)
    assert set(np.argsort(heard)[-3:]) == {0, 4, 7}


def test_noise_has_no_pitch_to_speak_of() -> None:
    voiced, unvoiced = (melody(whitened(stem(x).spectrum)).sum(axis=1).mean() for x in (tones([60]), noise(2)))
    assert voiced > 3 * unvoiced


def test_silence_is_nothing() -> None:
    silent = stem(np.zeros(RATE, np.float32))
    assert not silent.spectrum.any()
    assert not silent.onsets.any()


@pytest.mark.parametrize("gain", [0.01, 0.5])
def test_the_level_of_a_stem_is_of_no_matter(gain: float) -> None:
    sound = tones([60, 64]) + noise(4)
    quiet, loud = stem((gain * sound).astype(np.float32)), stem(sound)
    assert np.abs(quiet.spectrum.astype(int) - loud.spectrum).max() <= 1
    assert np.abs(quiet.onsets.astype(int) - loud.onsets).max() <= 1


# ---------------------------------------------------------------------------------------------------- running sums
def test_means_are_those_of_the_frames_between() -> None:
    values = np.random.default_rng(0).random((50, 3))
    sums = RunningSum.of(values, rate=10.0)
    # Frame k stands for (k − ½)/10 to (k + ½)/10.
    boundaries = np.array([-0.05, 0.45, 0.95, 4.95])
    want = [values[0:5].mean(axis=0), values[5:10].mean(axis=0), values[10:50].mean(axis=0)]
    np.testing.assert_allclose(sums.means(boundaries), want, rtol=1e-6)


def test_a_mean_over_parts_is_the_mean_of_the_whole() -> None:
    sums = RunningSum.of(np.random.default_rng(1).random((80, 2)), rate=21.5)
    parts = np.linspace(0.2, 2.9, 28)
    np.testing.assert_allclose(sums.means(parts).mean(axis=0), sums.means(parts[[0, -1]])[0], rtol=1e-5)


def test_nothing_sounds_beyond_the_ends() -> None:
    sums = RunningSum.of(np.ones((10, 1)), rate=10.0)
    assert sums.means(np.array([-2.0, -1.0, 5.0, 6.0]))[[0, 2]].tolist() == [[0.0], [0.0]]


# ------------------------------------------------------------------------------------------------------- intervals
def test_transposing_a_layer_rotates_its_pitches() -> None:
    features = StemIntervals.of(stem(tones([60, 64, 67, 71])), Role.VOCAL)
    grid = np.arange(0, 8.1, 0.5)
    plain, _ = features.on(grid, lambda times: times, 0.0)
    for semitones in (-5, 2, 12):
        moved, _ = features.on(grid, lambda times: times, semitones)
        np.testing.assert_allclose(moved, np.roll(plain, semitones, axis=1), atol=1e-6)


@pytest.mark.parametrize("speed", [0.8, 1.25])
def test_a_stretched_clip_looks_the_same_on_its_stretched_beats(speed: float) -> None:
    features = StemIntervals.of(stem(tones([60, 67, 64, 71], 1.0)), Role.HARMONIC)
    grid = np.arange(0, 4.01, 0.5)
    plain = features.on(grid, lambda times: times, 0.0)
    faster = features.on(grid / speed, lambda times: times * speed, 0.0)
    for one, other in zip(plain, faster, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_beats_are_divided_evenly() -> None:
    np.testing.assert_allclose(divided(np.array([0.0, 1.0, 3.0]), 2), [0, 0.5, 1, 2, 3])


def test_positions_count_from_each_downbeat() -> None:
    grid = np.arange(0, 7.5, 0.5)
    places = positions(grid, np.array([1.01, 2.99])).argmax(axis=0)
    assert places.tolist() == [2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3]
    assert not positions(grid, np.zeros(0)).any()


@pytest.mark.parametrize(("bar", "due"), [(3, [1, 2, 0, 1, 2, 0, 1, 2]), (6, [0, 1, 0, 1, 2, 3, 0, 1])])
def test_positions_before_the_first_downbeat_are_of_bars_as_long_as_the_others(bar: int, due: list[int]) -> None:
    grid = np.arange(25) * 0.5
    assert positions(grid, grid[2::bar]).argmax(axis=0)[:8].tolist() == due


@pytest.mark.parametrize("bar", [3, 4, 6])
def test_a_part_of_a_grid_has_the_positions_of_the_whole(bar: int) -> None:
    grid = np.arange(65) * 0.5
    downbeats = grid[2::bar]
    whole = positions(grid, downbeats)
    for first, last in ((0, 10), (0, 24), (20, 32), (8, 64)):
        part = positions(grid[first : last + 1], downbeats)
        # The first bar of a part may be cut, so the beats of it are counted backwards from the next downbeat.
        begin = next(beat for beat in range(2, 64, bar) if beat >= first) - first
        assert np.array_equal(part[:, begin:], whole[:, first + begin : last])
        assert np.array_equal(part, positions(grid[first : last + 1], downbeats[downbeats >= grid[first]]))
    assert not positions(grid[:3], grid[8::bar]).any()
