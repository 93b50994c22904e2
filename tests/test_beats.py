"""The tempo of beats and the distance between beats: invariances over generated beats, and golden values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mashkit.errors import AnalysisError
from mashkit.timing.beats import MIN_BEATS, beat_error, partner_error, steady_beat, tempo_of_beats
from mashkit.types import Times

TEMPI = st.floats(50.0, 220.0)
COUNTS = st.integers(8, 120)
SEEDS = st.integers(0, 2**32 - 1)


def steady(tempo: float, count: int, first: float = 0.3) -> Times:
    return np.asarray(first + 60.0 / tempo * np.arange(count), dtype=np.float64)


def human(tempo: float, count: int, seed: int, spread: float = 0.03) -> Times:
    """Beats displaced independently, by ``spread`` of a beat at one standard deviation and three at most."""
    displacement = np.clip(np.random.default_rng(seed).standard_normal(count), -3, 3) * spread * 60.0 / tempo
    return steady(tempo, count) + displacement


def known_tempo(beats: Times) -> float:
    tempo = tempo_of_beats(beats)
    assert tempo is not None
    return tempo


@given(tempo=TEMPI, count=st.integers(MIN_BEATS, 300), first=st.floats(0.0, 1e4))
def test_steady_beats_have_their_tempo(tempo: float, count: int, first: float) -> None:
    assert known_tempo(steady(tempo, count, first)) == pytest.approx(tempo, rel=1e-6)


@given(tempo=TEMPI, count=COUNTS, seed=SEEDS, delay=st.floats(0.0, 1e3))
def test_a_delay_changes_no_tempo(tempo: float, count: int, seed: int, delay: float) -> None:
    beats = human(tempo, count, seed)
    assert known_tempo(beats + delay) == pytest.approx(known_tempo(beats), rel=1e-6)


@given(tempo=TEMPI, count=COUNTS, seed=SEEDS, ratio=st.floats(0.25, 4.0))
def test_slower_playing_divides_the_tempo(tempo: float, count: int, seed: int, ratio: float) -> None:
    beats = human(tempo, count, seed)
    assert known_tempo(ratio * beats) == pytest.approx(known_tempo(beats) / ratio, rel=1e-6)


@given(tempo=TEMPI, count=COUNTS, seed=SEEDS)
def test_backwards_is_as_fast(tempo: float, count: int, seed: int) -> None:
    beats = human(tempo, count, seed)
    assert known_tempo(beats[-1] - beats[::-1]) == pytest.approx(known_tempo(beats), rel=1e-6)


@given(tempo=TEMPI, count=COUNTS, seed=SEEDS)
def test_jitter_averages_out(tempo: float, count: int, seed: int) -> None:
    # The standard error of the slope by least squares is spread · sqrt(12 / n³) beats; six of them, and as much again
    # because a rare interval beyond three deviations divides the count in two, which is less exact than one.
    allowed = 12 * 0.03 * np.sqrt(12 / count**3)
    assert known_tempo(human(tempo, count, seed)) == pytest.approx(tempo, rel=allowed)


@given(tempo=TEMPI, count=COUNTS, data=st.data())
def test_a_dropped_beat_changes_nothing(tempo: float, count: int, data: st.DataObject) -> None:
    dropped = data.draw(st.integers(0, count - 1))
    assert known_tempo(np.delete(steady(tempo, count), dropped)) == pytest.approx(tempo, rel=1e-6)


@given(tempo=TEMPI, count=st.integers(16, 120), where=st.floats(0.1, 0.9), data=st.data())
def test_an_extra_beat_changes_little(tempo: float, count: int, where: float, data: st.DataObject) -> None:
    after = data.draw(st.integers(0, count - 2))
    beats = steady(tempo, count)
    extra = (1 - where) * beats[after] + where * beats[after + 1]
    assert known_tempo(np.sort(np.append(beats, extra))) == pytest.approx(tempo, rel=1e-3)


@given(tempo=TEMPI, count=st.integers(16, 120), by=st.floats(-0.45, 0.45), data=st.data())
def test_a_displaced_beat_changes_little(tempo: float, count: int, by: float, data: st.DataObject) -> None:
    displaced = data.draw(st.integers(0, count - 1))
    beats = steady(tempo, count)
    beats[displaced] += by * 60.0 / tempo
    assert known_tempo(beats) == pytest.approx(tempo, rel=1e-3)


@given(tempo=TEMPI, count=st.integers(8, 60), data=st.data())
def test_a_slip_to_the_off_beat_changes_nothing(tempo: float, count: int, data: st.DataObject) -> None:
    slip = data.draw(st.integers(2, count - 2))
    beats = steady(tempo, count)
    beats[slip:] += 30.0 / tempo
    assert known_tempo(beats) == pytest.approx(tempo, rel=1e-6)


@given(tempo=TEMPI, count=st.integers(24, 120), over=st.integers(1, 6), late=st.booleans(), data=st.data())
def test_a_slide_to_the_off_beat_changes_nothing(
    tempo: float, count: int, over: int, late: bool, data: st.DataObject
) -> None:
    first = data.draw(st.integers(2, count - over - 2))
    intervals = np.full(count - 1, 60.0 / tempo)
    intervals[first : first + over] *= 1 + (0.5 if late else -0.5) / over
    assert known_tempo(np.concatenate([[0.0], np.cumsum(intervals)])) == pytest.approx(tempo, rel=1e-6)


def test_frames_of_ten_milliseconds_do_not_round_the_tempo() -> None:
    beats = np.round(steady(123.7, 60), 2)
    by_median = 60.0 / np.median(np.diff(beats))
    assert abs(by_median - 123.7) > 0.5
    assert abs(known_tempo(beats) - 123.7) < 0.02


@pytest.mark.parametrize("tempo", [112.0, 184.0, 214.0])
def test_frames_of_twenty_milliseconds_do_not_round_the_tempo(tempo: float) -> None:
    beats = np.round(steady(tempo * 2, 60) / 0.02) * 0.02
    assert tempo_of_beats(beats, frame_s=0.02) == pytest.approx(tempo * 2, rel=2e-3)


def test_without_outliers_it_is_as_good_as_theil_sen_on_the_count() -> None:
    beats = human(97.0, 80, seed=5)
    golden = 60.0 / float(stats.theilslopes(beats, np.arange(80)).slope)
    assert known_tempo(beats) == pytest.approx(golden, rel=3e-4)


def test_a_drifting_tempo_gives_one_in_the_middle() -> None:
    intervals = 60.0 / np.linspace(116.0, 124.0, 100)
    assert known_tempo(np.concatenate([[0.0], np.cumsum(intervals)])) == pytest.approx(120.0, abs=0.5)


def test_more_beats_than_are_paired_at_every_lag() -> None:
    beats = human(131.3, 5000, seed=2)
    assert known_tempo(beats) == pytest.approx(131.3, rel=1e-5)


@pytest.mark.parametrize("count", range(MIN_BEATS))
def test_too_few_beats_have_no_tempo(count: int) -> None:
    assert tempo_of_beats(steady(120.0, count)) is None


def test_beats_without_a_pulse_have_no_tempo() -> None:
    assert tempo_of_beats([0.0, 1.0, 1.45, 2.05, 3.5, 3.9, 5.4, 6.0]) is None


@pytest.mark.parametrize("beats", [[0.0, 0.0, 1.0, 2.0], [3.0, 2.0, 1.0, 0.0], [0.0, 1.0, np.nan, 3.0], [[0.0, 1.0]]])
def test_what_are_no_beats_is_an_error(beats: list[float]) -> None:
    with pytest.raises(AnalysisError, match="strictly increasing"):
        tempo_of_beats(beats)
    with pytest.raises(AnalysisError, match="reference beats"):
        beat_error(beats, [0.0, 1.0])
    with pytest.raises(AnalysisError, match="estimated beats"):
        beat_error([0.0, 1.0], beats)


def test_beat_error_golden() -> None:
    error = beat_error([0.0, 1.0, 2.0, 3.0], [0.1, 0.95, 2.5, 2.9])
    assert error == pytest.approx([0.1, -0.05, 0.5, -0.1])


def test_beat_error_of_two_equally_near_beats_is_the_earlier() -> None:
    assert beat_error([1.0], [0.5, 1.5]) == pytest.approx([-0.5])


def test_beat_error_against_one_beat() -> None:
    assert beat_error([0.0, 2.0], [1.0]) == pytest.approx([1.0, -1.0])


def test_beat_error_without_reference_is_empty() -> None:
    assert beat_error([], [1.0]).shape == (0,)


def test_beat_error_without_estimate_is_an_error() -> None:
    with pytest.raises(AnalysisError, match="no estimated beat"):
        beat_error([1.0], [])


@given(count=COUNTS, tempo=TEMPI, seed=SEEDS, late=st.floats(-0.02, 0.02))
def test_beat_error_finds_a_constant_lag(count: int, tempo: float, seed: int, late: float) -> None:
    beats = human(tempo, count, seed)
    assert beat_error(beats, beats + late) == pytest.approx(np.full(count, late), abs=1e-9)


@given(reference=st.sets(st.integers(0, 10_000), min_size=1), estimate=st.sets(st.integers(0, 10_000), min_size=1))
def test_beat_error_is_the_smallest_distance(reference: set[int], estimate: set[int]) -> None:
    expected, found = (np.array(sorted(times)) / 100 for times in (reference, estimate))
    smallest = np.abs(expected[:, None] - found[None]).min(axis=1)
    assert np.abs(beat_error(expected, found)) == pytest.approx(smallest)


def test_inputs_are_not_altered() -> None:
    beats = human(100.0, 20, seed=1)
    before = beats.copy()
    tempo_of_beats(beats)
    beat_error(beats, beats)
    assert np.array_equal(beats, before)


@given(st.floats(60, 200), st.floats(0, 5), st.integers(0, 40))
def test_a_steady_beat_of_a_steady_grid_is_itself(tempo: float, first: float, index: int) -> None:
    beats = first + np.arange(64) * 60 / tempo
    assert steady_beat(beats, float(beats[index]), tempo) == pytest.approx(beats[index], abs=1e-6)


@given(st.floats(-0.02, 0.02), st.integers(0, 60))
def test_one_displaced_beat_is_put_back(error: float, index: int) -> None:
    beats = 0.5 + np.arange(64) * 0.5
    beats[index] += error
    assert steady_beat(beats, float(beats[index]), 120.0) == pytest.approx(0.5 + index * 0.5, abs=1e-6)


def test_a_steady_beat_is_nearer_the_truth_than_a_detected_one() -> None:
    random = np.random.default_rng(3)
    truth = 0.3 + np.arange(80) * 0.5
    errors = []
    for _ in range(50):
        beats = truth + random.normal(0, 0.01, len(truth))
        errors.append((abs(beats[0] - truth[0]), abs(steady_beat(beats, float(beats[0]), 120.0) - truth[0])))
    detected, steady = np.mean(errors, axis=0)
    assert steady < 0.3 * detected


@given(tempo=TEMPI, count=COUNTS, seed=SEEDS)
def test_partners_lie_within_half_a_beat_and_are_the_nearest(tempo: float, count: int, seed: int) -> None:
    beats, late = steady(tempo, count), human(tempo, count, seed)
    kept = late[np.random.default_rng(seed).random(count) < 0.7]
    if len(kept) == 0:
        return
    errors, nearest = partner_error(beats, kept), beat_error(beats, kept)
    near = np.abs(nearest) <= 30.0 / tempo
    np.testing.assert_array_equal(errors[near], nearest[near])
    assert np.isnan(errors[~near]).all()
