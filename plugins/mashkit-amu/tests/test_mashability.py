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
    BALANCE_WEIGHT,
    POSITIONS,
    RHYTHM_WEIGHT,
    SHIFTS,
    BeatFeatures,
    StemFeatures,
    harmonic_compatibility,
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


def surface(target: BeatFeatures, candidate: BeatFeatures) -> np.ndarray:
    """Return the weighted sum of all terms at each shift and offset, shape (12, offsets)."""
    harmony = harmonic_compatibility(target.chroma, candidate.chroma)
    rhythm = rhythmic_compatibility(target.onsets, candidate.onsets)
    balance = spectral_balance(target.energies, candidate.energies)
    return harmony + RHYTHM_WEIGHT * rhythm + BALANCE_WEIGHT * balance


def best_place(target: BeatFeatures, candidate: BeatFeatures) -> tuple[int, int]:
    """Return the shift, semitones, and the offset, beats, at which the candidate fits the target best."""
    values = surface(target, candidate)
    row, offset = np.unravel_index(np.argmax(values), values.shape)
    return int(SHIFTS[row]), int(offset)


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
    assert best_place(music, music) == (0, 0)
    assert harmonic_compatibility(music.chroma, music.chroma)[list(SHIFTS).index(0), 0] == pytest.approx(1)
    assert rhythmic_compatibility(music.onsets, music.onsets)[0] == pytest.approx(1)


@given(seed=seeds, beats=lengths, semitones=st.integers(-24, 24))
def test_transposing_the_candidate_moves_the_shift_back(seed: int, beats: int, semitones: int) -> None:
    target, candidate = sounding(beats, seed), sounding(beats + 3, seed + 1)
    higher = candidate.transposed(semitones)
    (shift, offset), (shift_of_higher, offset_of_higher) = best_place(target, candidate), best_place(target, higher)
    assert shift_of_higher == rotation_between(shift, semitones)
    assert offset_of_higher == offset
    assert surface(target, higher).max() == pytest.approx(surface(target, candidate).max())


@given(seed=seeds, beats=lengths, before=lengths, after=lengths, semitones=st.integers(-6, 5))
def test_an_embedded_phrase_is_found_where_it_is(
    seed: int, beats: int, before: int, after: int, semitones: int
) -> None:
    phrase = sounding(beats, seed)
    song = joined(sounding(before, seed + 1), phrase, sounding(after, seed + 2)).transposed(-semitones)
    assert best_place(phrase, song) == (semitones, before)


@given(seed=seeds, beats=lengths, before=lengths, after=lengths)
def test_a_longer_candidate_is_not_penalised(seed: int, beats: int, before: int, after: int) -> None:
    target, candidate = sounding(beats, seed), sounding(beats + 2, seed + 1)
    longer = joined(sounding(before, seed + 2), candidate, sounding(after, seed + 3))
    inside = slice(before, before + 3)
    short, long = surface(target, candidate), surface(target, longer)
    assert long[:, inside] == pytest.approx(short)
    assert long.max() >= short.max() - 1e-12


@given(seed=seeds, beats=lengths, semitones=st.integers(-12, 12))
def test_shifting_both_alike_changes_no_harmony(seed: int, beats: int, semitones: int) -> None:
    one, other = sounding(beats, seed), sounding(beats, seed + 1)
    before = harmonic_compatibility(one.chroma, other.chroma)
    after = harmonic_compatibility(one.transposed(semitones).chroma, other.transposed(semitones).chroma)
    assert after == pytest.approx(before)


@given(seed=seeds, gain_db=st.floats(-40, 40))
def test_what_the_gain_of_one_changes_is_balance_alone(seed: int, gain_db: float) -> None:
    one, other = sounding(4, seed), sounding(6, seed + 1)
    louder = other.amplified(gain_db)
    assert harmonic_compatibility(one.chroma, louder.chroma) == pytest.approx(
        harmonic_compatibility(one.chroma, other.chroma)
    )
    assert rhythmic_compatibility(one.onsets, louder.onsets) == pytest.approx(
        rhythmic_compatibility(one.onsets, other.onsets)
    )
    both = spectral_balance(one.amplified(gain_db).energies, louder.energies)
    assert both == pytest.approx(spectral_balance(one.energies, other.energies))


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


def test_silence_fits_nothing() -> None:
    silent, music = BeatFeatures(np.zeros((12, 6)), np.zeros((2, 72)), np.zeros((3, 6))), sounding(4)
    assert not surface(silent, silent).any()
    assert not harmonic_compatibility(music.chroma, silent.chroma).any()
    assert not rhythmic_compatibility(music.onsets, silent.onsets).any()
    assert spectral_balance(music.energies, silent.energies).all()  # the one that sounds is balanced in itself


@pytest.mark.parametrize("beats", [0, 5])
def test_targets_that_do_not_fit_in(beats: int) -> None:
    target, candidate = sounding(beats), sounding(4)
    with pytest.raises(UsageError, match="at least as long"):
        harmonic_compatibility(target.chroma, candidate.chroma)
    with pytest.raises(UsageError, match="at least as long"):
        rhythmic_compatibility(target.onsets, candidate.onsets)
    with pytest.raises(UsageError, match="at least as long"):
        spectral_balance(target.energies, candidate.energies)


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
    assert best_place(target, StemFeatures.of(higher).by_beat(beats)) == (4, first)


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
