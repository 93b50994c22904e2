"""The terms of vertical mashability are what the formulas say, against loops and constructions by hand."""

import itertools
import math

import numpy as np
import numpy.typing as npt
import pytest
import scipy.spatial.distance
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mashkit_vh2015.mashability import (
    LARGEST_CHANGE,
    change_balance,
    change_rate,
    chroma_match,
    harmonic_change,
    tempo_closeness,
    tonal_centroids,
)

strengths = st.floats(0, 100, width=32, allow_subnormal=False)  # chroma are float32
chroma = hnp.arrays(np.float64, st.tuples(st.just(12), st.integers(1, 8)), elements=strengths)
rates = st.floats(0, 1)
C, F, G = (0, 4, 7), (5, 9, 0), (7, 11, 2)


def chords(*each: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Return chroma of chords, one a beat; an empty one is a rest."""
    columns = np.zeros((12, len(each)))
    for beat, chord in enumerate(each):
        columns[list(chord), beat] = 1
    return columns


def test_the_match_is_the_weighted_mean_of_scipys_cosines() -> None:
    generator = np.random.default_rng(0)
    one, other = generator.random((12, 9)), generator.random((12, 9))
    cosines = [1 - scipy.spatial.distance.cosine(one[:, beat], other[:, beat]) for beat in range(9)]
    weights = [one[:, beat].sum() * other[:, beat].sum() for beat in range(9)]
    assert chroma_match(one, other) == pytest.approx(np.average(cosines, weights=weights))


def test_a_beat_in_which_one_rests_counts_nothing() -> None:
    assert chroma_match(chords(C, F, ()), chords(C, (), G)) == pytest.approx(1)
    assert chroma_match(chords(C, ()), chords((), C)) == 0


@given(chroma, st.floats(0.01, 100), st.integers(0, 11))
def test_the_match_knows_no_gain_and_no_key(values: npt.NDArray[np.float64], gain: float, semitones: int) -> None:
    other = np.roll(values, 7, axis=0)
    match = chroma_match(values, other)
    assert -1e-12 <= match <= 1 + 1e-12
    assert chroma_match(gain * values, other) == pytest.approx(match, abs=1e-9)
    rolled = (np.roll(each, semitones, axis=0) for each in (values, other))
    assert chroma_match(*rolled) == pytest.approx(match, abs=1e-9)


def test_centroids_lie_on_the_circles() -> None:
    """Harte's angles are 7π/6, 3π/2 and 2π/3 a semitone: five of them for F."""
    expected = [
        radius * axis(angle * 5)
        for angle, radius in ((7 * math.pi / 6, 1.0), (3 * math.pi / 2, 1.0), (2 * math.pi / 3, 0.5))
        for axis in (math.sin, math.cos)
    ]
    np.testing.assert_allclose(tonal_centroids(chords((5,)))[:, 0], expected, atol=1e-12)
    triad = tonal_centroids(chords(C))[:, 0]
    np.testing.assert_allclose(triad, tonal_centroids(chords((0,), (4,), (7,))).mean(axis=1), atol=1e-12)


def test_no_two_tones_are_further_apart_than_a_tritone() -> None:
    tones = tonal_centroids(np.eye(12)).T
    apart = {
        (one - other) % 12: float(np.linalg.norm(tones[one] - tones[other]))
        for one, other in itertools.permutations(range(12), 2)
    }
    assert max(apart.values()) == pytest.approx(apart[6]) == pytest.approx(LARGEST_CHANGE)
    assert min(apart, key=apart.__getitem__) in (5, 7)


def test_harmony_changes_where_chords_do() -> None:
    change = harmonic_change(chords(C, C, C, C, F, F, F))
    np.testing.assert_allclose(change[[0, 1, 4]], 0, atol=1e-12)
    assert (change[[2, 3]] > 0.2).all()
    assert harmonic_change(chords(C, F)).shape == (0,)


@given(chroma, st.integers(0, 11))
def test_change_knows_no_key(values: npt.NDArray[np.float64], semitones: int) -> None:
    change = harmonic_change(values)
    assert (change >= 0).all()
    assert (change <= 1 + 1e-9).all()
    np.testing.assert_allclose(harmonic_change(np.roll(values, semitones, axis=0)), change, atol=1e-9)


def test_the_rate_of_change_is_a_share_of_beats() -> None:
    assert change_rate(chords(C, C, C, C, C, C), 0.1) == 0
    assert change_rate(chords(C, F, G, C, F, G), 0.1) == 1
    assert change_rate(chords(C, C, C, C, F, F), 0.1) == pytest.approx(0.5)
    assert change_rate(chords(C, C, C, C, F, F), 1.0) == 0


def test_falling_silent_is_no_change() -> None:
    assert change_rate(chords(C, C, C, (), (), F, F, F), 0.1) == 0
    assert change_rate(chords((), (), ()), 0.1) == 0
    assert change_rate(chords(C, F), 0.1) == 0


@given(rates, rates)
def test_balance_is_best_where_the_one_is_as_busy_as_the_other_is_calm(one: float, other: float) -> None:
    balance = change_balance(one, other)
    assert 0 <= balance <= 1
    assert balance == change_balance(other, one)
    assert balance <= change_balance(one, 1 - one) == pytest.approx(1)


def test_tempo_is_that_of_the_layer_furthest_from_its_own() -> None:
    assert tempo_closeness([1.0, 1.0]) == 1
    assert tempo_closeness([1.0, 1.2, 0.9]) == pytest.approx(1 - math.log2(1.2))
    assert tempo_closeness([1.25]) == pytest.approx(tempo_closeness([0.8]))
    assert tempo_closeness([2.0]) == tempo_closeness([0.3]) == 0
