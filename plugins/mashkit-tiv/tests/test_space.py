"""The tonal interval space is the weighted Fourier transform of chroma, and turns as music is transposed."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mashkit.errors import UsageError
from mashkit_tiv.space import LARGEST_NORM, WEIGHTS, TonalIntervals, dissonance, distance

strengths = st.floats(0, 100, width=32, allow_subnormal=False)  # chroma are float32
chroma = hnp.arrays(np.float64, st.tuples(st.just(12), st.integers(1, 6)), elements=strengths)
MAJOR, MINOR = (0, 4, 7), (0, 3, 7)


def of_tones(*pitch_classes: int) -> TonalIntervals:
    column = np.zeros((12, 1))
    column[list(pitch_classes)] = 1
    return TonalIntervals.of(column)


def consonance(*pitch_classes: int) -> float:
    return float(np.linalg.norm(of_tones(*pitch_classes).vectors)) / LARGEST_NORM


@given(chroma)
def test_it_is_numpys_transform(values: npt.NDArray[np.float64]) -> None:
    sums = values.sum(axis=0)
    expected = np.fft.fft(values, axis=0)[1:7] * np.array([3, 8, 11.5, 15, 14.5, 7.5])[:, None]
    found = TonalIntervals.of(values)
    np.testing.assert_allclose(found.vectors * sums, expected, atol=1e-9 * (1 + sums.max()))
    np.testing.assert_allclose(found.energies, sums)


@pytest.mark.parametrize("pitch_class", range(12))
def test_a_single_tone_lies_on_the_rim(pitch_class: int) -> None:
    """|T(k)| = w(k), at an angle of −2π·k·p/12."""
    vector = of_tones(pitch_class).vectors[:, 0]
    np.testing.assert_allclose(np.abs(vector), [3, 8, 11.5, 15, 14.5, 7.5])
    turned = vector * np.exp(2j * np.pi * np.arange(1, 7) * pitch_class / 12)
    np.testing.assert_allclose(turned, WEIGHTS, atol=1e-12)
    assert np.linalg.norm(vector) == pytest.approx(np.sqrt(696.75))


def test_the_major_triad_by_hand() -> None:
    """Three unit vectors at 0, 4 and 7 twelfths of k turns back."""
    less, more = (1 - np.sqrt(3)) / 2, (1 + np.sqrt(3)) / 2
    sums = np.array([less * (1 + 1j), 1, 2 + 1j, -1j * np.sqrt(3), more * (1 + 1j), 1])
    np.testing.assert_allclose(of_tones(*MAJOR).vectors[:, 0], WEIGHTS * sums / 3, atol=1e-12)


def test_consonance_falls_where_ears_say_it_does() -> None:
    """A tone alone, a fifth, a semitone; a triad, and a cluster of as many tones."""
    assert consonance(0) == pytest.approx(1)
    assert consonance(0) > consonance(0, 7) > consonance(0, 2) > consonance(0, 1)
    assert consonance(*MAJOR) == pytest.approx(consonance(*MINOR))
    assert consonance(*MAJOR) > consonance(0, 4, 8) > consonance(0, 1, 2)
    assert consonance(*range(12)) == pytest.approx(0, abs=1e-12)


def test_a_fifth_is_nearer_than_a_semitone_or_a_tritone() -> None:
    tone = of_tones(0)
    fifth, second, tritone = (float(distance(tone, of_tones(other))[0]) for other in (7, 1, 6))
    assert fifth < tritone
    assert fifth < second


@given(chroma, st.integers(-12, 12))
def test_rolled_chroma_are_turned_vectors(values: npt.NDArray[np.float64], semitones: int) -> None:
    rolled = TonalIntervals.of(np.roll(values, semitones, axis=0))
    np.testing.assert_allclose(rolled.vectors, TonalIntervals.of(values).transposed(semitones).vectors, atol=1e-9)


@given(chroma, st.floats(-12, 12), st.floats(-12, 12))
def test_shifts_add_up(values: npt.NDArray[np.float64], first: float, second: float) -> None:
    start = TonalIntervals.of(values)
    np.testing.assert_allclose(
        start.transposed(first).transposed(second).vectors, start.transposed(first + second).vectors, atol=1e-9
    )


@given(chroma, chroma, st.floats(-6, 6))
def test_distance_and_dissonance_are_bounded_symmetric_and_know_no_key(
    one: npt.NDArray[np.float64], other: npt.NDArray[np.float64], semitones: float
) -> None:
    beats = min(one.shape[1], other.shape[1])
    first, second = TonalIntervals.of(one[:, :beats]), TonalIntervals.of(other[:, :beats])
    for measure in (distance, dissonance):
        values = measure(first, second)
        assert values.shape == (beats,)
        assert (values > -1e-12).all()
        assert (values < 1 + 1e-12).all()
        np.testing.assert_allclose(measure(second, first), values)
        np.testing.assert_allclose(
            measure(first.transposed(semitones), second.transposed(semitones)), values, atol=1e-9
        )


@given(chroma)
def test_the_whole_is_the_vector_of_the_sum(values: npt.NDArray[np.float64]) -> None:
    whole = TonalIntervals.of(values).whole()
    of_sum = TonalIntervals.of(values.sum(axis=1, keepdims=True))
    np.testing.assert_allclose(whole.vectors * whole.energies, of_sum.vectors * of_sum.energies, atol=1e-6)
    np.testing.assert_allclose(whole.energies, of_sum.energies)


def test_silence_is_the_centre() -> None:
    silent = TonalIntervals.of(np.zeros((12, 3)))
    assert not silent.vectors.any()
    assert not silent.whole().vectors.any()


def test_what_is_no_chroma_is_named() -> None:
    with pytest.raises(UsageError, match="12, N"):
        TonalIntervals.of(np.zeros((11, 4)))
    with pytest.raises(UsageError, match="energies"):
        TonalIntervals(np.zeros((6, 3), np.complex128), np.zeros(2))
