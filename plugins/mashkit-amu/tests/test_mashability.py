"""Mashability is what the formulas say, finds what fits where it fits, and does not mind what should not matter."""

import itertools

import numpy as np
import pytest
import scipy.spatial.distance
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mashkit.errors import UsageError
from mashkit.testing import signals
from mashkit.types import Audio, Key
from mashkit_amu.mashability import (
    POSITIONS,
    SHIFTS,
    BeatFeatures,
    StemFeatures,
    best_match,
    harmonic_compatibility,
    mashability,
    rhythmic_compatibility,
    spectral_balance,
)

seeds = st.integers(0, 2**32 - 1)
lengths = st.integers(1, 12)


def sounding(beats: int, seed: int = 0) -> BeatFeatures:
    """Features of no particular music: each beat unlike any other."""
    generator = np.random.default_rng(seed)
    return BeatFeatures(
        generator.random((12, beats)), generator.random((2, POSITIONS * beats)) ** 4, generator.random((3, beats))
    )


def part(features: BeatFeatures, first: int, beats: int) -> BeatFeatures:
    last = first + beats
    return BeatFeatures(
        features.chroma[:, first:last],
        features.onsets[:, POSITIONS * first : POSITIONS * last],
        features.energies[:, first:last],
    )


def joined(*parts: BeatFeatures) -> BeatFeatures:
    rows = (("chroma", 1), ("onsets", 1), ("energies", 1))
    return BeatFeatures(*(np.concatenate([getattr(one, name) for one in parts], axis=axis) for name, axis in rows))


def rotation_between(first: int, second: int) -> int:
    return (first - second + 6) % 12 - 6


# ------------------------------------------------------------------------------------------------------- golden values
@given(seed=seeds, beats=st.integers(1, 4), more=st.integers(0, 4))
def test_harmony_is_the_triple_loop(seed: int, beats: int, more: int) -> None:
    target, candidate = sounding(beats, seed).chroma, sounding(beats + more, seed + 1).chroma
    found = harmonic_compatibility(target, candidate)
    assert found.shape == (12, more + 1)
    for row, shift in enumerate(SHIFTS):
        for offset in range(more + 1):
            product = target_square = candidate_square = 0.0
            for pitch in range(12):
                for beat in range(beats):
                    shifted = candidate[(pitch - shift) % 12, offset + beat]
                    product += target[pitch, beat] * shifted
                    target_square += target[pitch, beat] ** 2
                    candidate_square += shifted**2
            assert found[row, offset] == pytest.approx(product / (target_square * candidate_square) ** 0.5)


def test_harmony_is_scipys_cosine() -> None:
    target, candidate = sounding(5, 1).chroma, sounding(5, 2).chroma
    shifted = np.roll(candidate, 2, axis=0)  # up by two semitones
    expected = 1 - scipy.spatial.distance.cosine(target.ravel(), shifted.ravel())
    assert harmonic_compatibility(target, candidate)[list(SHIFTS).index(2), 0] == pytest.approx(expected)


def test_rhythm_is_the_mean_of_two_of_scipys_cosines() -> None:
    target, candidate = sounding(3, 1).onsets, sounding(5, 2).onsets
    found = rhythmic_compatibility(target, candidate)
    for offset in range(3):
        window = candidate[:, 12 * offset : 12 * (offset + 3)]
        kick, snare = (1 - scipy.spatial.distance.cosine(target[band], window[band]) for band in (0, 1))
        assert found[offset] == pytest.approx((kick + snare) / 2)


def test_balance_by_hand() -> None:
    target = np.array([[1.0, 3.0], [0.0, 0.0], [0.0, 0.0]])
    candidate = np.array([[0.0, 0.0, 0.0], [2.0, 2.0, 0.0], [0.0, 4.0, 0.0]])
    # Sums (4, 4, 4), (4, 2, 4), of which the shares are (1/3, 1/3, 1/3), (0.4, 0.2, 0.4).
    assert spectral_balance(target, candidate) == pytest.approx([1.0, 1 - np.std([0.4, 0.2, 0.4])])


def test_balance_of_one_band_is_the_least() -> None:
    low = np.array([[1.0], [0.0], [0.0]])
    assert spectral_balance(low, low) == pytest.approx([1 - 2**0.5 / 3])


def test_surface_is_the_weighted_sum_of_the_formulas() -> None:
    target, candidate = sounding(4, 1), sounding(9, 2)
    found = mashability(target, candidate, rhythm_weight=0.3, balance_weight=0.5)
    assert np.array_equal(found.harmony, harmonic_compatibility(target.chroma, candidate.chroma))
    assert np.array_equal(found.rhythm, rhythmic_compatibility(target.onsets, candidate.onsets))
    assert np.array_equal(found.balance, spectral_balance(target.energies, candidate.energies))
    assert found.surface == pytest.approx(found.harmony + 0.3 * found.rhythm + 0.5 * found.balance)


# ------------------------------------------------------------------------------------------------------ what must hold
features_of_any_level = hnp.arrays(np.float64, (12, 4), elements=st.floats(0, 1e6, allow_subnormal=False))


@given(target=features_of_any_level, candidate=features_of_any_level)
def test_compatibilities_lie_between_0_and_1(target: np.ndarray, candidate: np.ndarray) -> None:
    for values in (
        harmonic_compatibility(target, candidate),
        rhythmic_compatibility(target[:2].repeat(3, axis=1), candidate[:2].repeat(3, axis=1)),
        spectral_balance(target[:3], candidate[:3]),
    ):
        assert np.isfinite(values).all()
        assert values.min() >= 0
        assert values.max() <= 1 + 1e-9


@given(seed=seeds, beats=lengths)
def test_music_fits_itself_perfectly(seed: int, beats: int) -> None:
    music = sounding(beats, seed)
    match = best_match(music, music)
    assert (match.semitones, match.offset_beats) == (0, 0)
    assert match.parts["harmony"] == pytest.approx(1)
    assert match.parts["rhythm"] == pytest.approx(1)


@given(seed=seeds, beats=lengths, semitones=st.integers(-24, 24))
def test_transposing_the_candidate_moves_the_shift_back(seed: int, beats: int, semitones: int) -> None:
    target, candidate = sounding(beats, seed), sounding(beats + 3, seed + 1)
    before, after = best_match(target, candidate), best_match(target, candidate.transposed(semitones))
    assert after.semitones == rotation_between(before.semitones, semitones)
    assert after.offset_beats == before.offset_beats
    assert after.value == pytest.approx(before.value)


@given(seed=seeds, beats=lengths, before=lengths, after=lengths, semitones=st.integers(-6, 5))
def test_an_embedded_phrase_is_found_where_it_is(
    seed: int, beats: int, before: int, after: int, semitones: int
) -> None:
    phrase = sounding(beats, seed)
    song = joined(sounding(before, seed + 1), phrase, sounding(after, seed + 2)).transposed(-semitones)
    match = best_match(phrase, song)
    assert (match.semitones, match.offset_beats) == (semitones, before)


@given(seed=seeds, beats=lengths, before=lengths, after=lengths)
def test_a_longer_candidate_is_not_penalised(seed: int, beats: int, before: int, after: int) -> None:
    target, candidate = sounding(beats, seed), sounding(beats + 2, seed + 1)
    longer = joined(sounding(before, seed + 2), candidate, sounding(after, seed + 3))
    inside = slice(before, before + 3)
    short, long = mashability(target, candidate), mashability(target, longer)
    assert long.surface[:, inside] == pytest.approx(short.surface)
    assert best_match(target, longer).value >= best_match(target, candidate).value - 1e-12


@given(seed=seeds, beats=lengths, semitones=st.integers(-12, 12))
def test_shifting_both_alike_changes_no_harmony(seed: int, beats: int, semitones: int) -> None:
    one, other = sounding(beats, seed), sounding(beats, seed + 1)
    before = harmonic_compatibility(one.chroma, other.chroma)
    after = harmonic_compatibility(one.transposed(semitones).chroma, other.transposed(semitones).chroma)
    assert after == pytest.approx(before)


@given(seed=seeds, gain_db=st.floats(-40, 40))
def test_what_the_gain_of_one_changes_is_balance_alone(seed: int, gain_db: float) -> None:
    one, other = sounding(4, seed), sounding(6, seed + 1)
    before, after = mashability(one, other), mashability(one, other.amplified(gain_db))
    assert after.harmony == pytest.approx(before.harmony)
    assert after.rhythm == pytest.approx(before.rhythm)
    both = mashability(one.amplified(gain_db), other.amplified(gain_db))
    assert both.balance == pytest.approx(before.balance)


def test_gain_is_power() -> None:
    music = sounding(4)
    assert music.amplified(20).energies == pytest.approx(100 * music.energies)


@given(seed=seeds, semitones=st.floats(-12, 12))
def test_a_fractional_shift_lies_between_its_neighbours(seed: int, semitones: float) -> None:
    music = sounding(3, seed)
    lower = int(np.floor(semitones))
    near, far = np.roll(music.chroma, lower, axis=0), np.roll(music.chroma, lower + 1, axis=0)
    share = semitones - lower
    assert music.transposed(semitones).chroma == pytest.approx((1 - share) * near + share * far)


def test_silence_fits_nothing_and_is_left_where_it_is() -> None:
    silent = BeatFeatures(np.zeros((12, 6)), np.zeros((2, 72)), np.zeros((3, 6)))
    match = best_match(silent, silent)
    assert (match.semitones, match.offset_beats, match.value) == (0, 0, 0.0)
    beside = mashability(sounding(4), silent)
    assert not beside.harmony.any()
    assert not beside.rhythm.any()
    assert beside.balance.all()  # the one that sounds is balanced in itself


@pytest.mark.parametrize("beats", [0, 5])
def test_targets_that_do_not_fit_in(beats: int) -> None:
    with pytest.raises(UsageError, match="at least as long"):
        mashability(sounding(beats), sounding(4))


def test_features_of_different_lengths_are_refused() -> None:
    with pytest.raises(UsageError, match=r"\(3, N\)"):
        BeatFeatures(np.zeros((12, 4)), np.zeros((2, 48)), np.zeros((3, 5)))


# --------------------------------------------------------------------------------------------------------- from sound
def test_kicks_on_the_beat_fall_on_its_first_position() -> None:
    stems, analysis = signals.band(bars=4)
    assert analysis.beats is not None
    beats = StemFeatures.of(stems.stems["drums"]).by_beat(analysis.beats)
    kicks = beats.onsets[0].reshape(beats.beats, POSITIONS)
    assert kicks[::2].argmax(axis=1).tolist() == [0] * 8
    assert kicks[::2, 0].min() > 2 * kicks[1::2].max()


def test_a_phrase_cut_out_of_a_song_is_found_in_the_song_sung_higher() -> None:
    beats = 0.25 + 0.5 * np.arange(33)
    song = signals.mix(signals.band(Key(0, "major"), bars=8, seed=3)[0])
    # A minor sixth up: another major third, and the octave is full.
    higher = signals.mix(signals.band(Key(8, "major"), bars=8, seed=3)[0])
    first = 9
    phrase = Audio(song.samples[:, round(beats[first] * song.sample_rate) :], song.sample_rate)
    target = StemFeatures.of(phrase).by_beat(beats[first : first + 17] - beats[first])
    match = best_match(target, StemFeatures.of(higher).by_beat(beats))
    assert (match.semitones, match.offset_beats) == (4, first)


def test_beats_outside_the_audio_are_silent() -> None:
    features = StemFeatures.of(signals.noise(2.0)).by_beat([-1.0, -0.5, 0.5, 1.0, 3.0, 4.0])
    for rows in (features.chroma, features.energies, features.onsets[:, 6:].reshape(2, -1, 6)[:, :1].repeat(5, 1)):
        assert np.isfinite(rows).all()
    assert features.energies.any(axis=0).tolist() == [False, True, True, True, False]
    assert features.chroma.any(axis=0).tolist() == [False, True, True, True, False]


@given(times=st.lists(st.floats(0.05, 1.0), min_size=1, max_size=20))
def test_positions_divide_beats_of_any_length(times: list[float]) -> None:
    """A ramp of 'onset strength' reads back the times of the positions, whatever the tempo does."""
    beats = np.concatenate([[1.0], 1.0 + np.cumsum(times)])
    frames = np.arange(0, beats[-1] + 1, 0.001)
    ramp = np.stack([frames, frames]).astype(np.float32)
    stem = StemFeatures(frames, np.ones((12, len(frames)), np.float32), ramp, np.ones((3, len(frames)), np.float32))
    due = np.concatenate([start + np.arange(12) / 12 * (stop - start) for start, stop in itertools.pairwise(beats)])
    steps = np.repeat(np.diff(beats), 12) / 12
    # Where the tempo changes, the position on the beat reaches half an old step back and half a new one on.
    assert np.abs(stem.by_beat(beats).onsets[0] - due).max() < 0.002 + steps.max() / 2
