"""Statistics and metrics of the scorers' benchmark: against scipy and scikit-learn by hand, and on known effects."""

from __future__ import annotations

import doctest
import importlib
import itertools
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mashkit.bench.comparisons import Comparison, against, every_two
from mashkit.bench.scorer_metrics import (
    Examples,
    accuracy,
    average_rank,
    beaten_by,
    calibration_error,
    mean_over,
    normalised_rank,
    preferred,
    reliability,
    roc_auc,
    tied,
)
from mashkit.errors import UsageError
from mashkit.metrics import ranks_among, top_accuracy
from mashkit.metrics import roc_auc as roc_auc_of
from mashkit.statistics import (
    EXACT_UP_TO,
    SHARE,
    Statistic,
    by_cluster,
    combined,
    differences,
    holm,
    interval,
    median,
    pair_ratio,
    paired,
    rank_biserial,
    ratio,
    resampled,
    signed_rank,
    tails,
    value_of,
)

SONGS = 6
# Coarse, so that there are ties.
scores = st.lists(st.integers(0, 8).map(lambda n: n / 8), min_size=1, max_size=30)


def examples(values: list[float] | np.ndarray, songs: np.ndarray | None = None) -> Examples:
    return Examples(values, np.arange(len(values)) % SONGS if songs is None else songs, SONGS)


def one_draw(positive: Examples, unlabelled: Examples) -> Statistic:
    return average_rank([(positive, unlabelled)])


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=9), st.integers(0, 99))
def test_a_median_of_drawn_clusters_is_numpys(values: list[float], seed: int) -> None:
    weights = resampled(len(values), resamples=5, seed=seed)
    by_hand = [np.median(np.repeat(values, row.astype(int))) for row in weights]
    assert median(values)(weights) == pytest.approx(by_hand, abs=1e-12)
    assert value_of(median(values)) == pytest.approx(np.median(values), abs=1e-12)


# ---------------------------------------------------------------------------------------------------------- metrics
@given(scores, scores)
def test_ranks_are_scipys_mid_ranks(positive: list[float], others: list[float]) -> None:
    by_hand = [stats.rankdata([-one, *(-other for other in others)])[0] for one in positive]
    assert ranks_among(positive, others) == pytest.approx(by_hand, abs=1e-9)
    assert value_of(average_rank([(examples(positive), examples(others))])) == pytest.approx(np.mean(by_hand), abs=1e-9)


@settings(deadline=None)  # the first example imports scikit-learn
@given(scores, scores)
def test_area_is_scikit_learns_and_mann_whitneys(positive: list[float], negative: list[float]) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    labels = [1] * len(positive) + [0] * len(negative)
    found = value_of(roc_auc(examples(positive), examples(negative)))
    assert found == pytest.approx(metrics.roc_auc_score(labels, positive + negative), abs=1e-9)
    u = stats.mannwhitneyu(positive, negative).statistic
    assert found == pytest.approx(u / len(positive) / len(negative), abs=1e-9)


@settings(deadline=None)  # the first example imports scikit-learn
@given(scores, scores)
def test_accuracy_is_scikit_learns_balanced_one(positive: list[float], negative: list[float]) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    labels = [1] * len(positive) + [0] * len(negative)
    said = [score >= 0.5 for score in positive + negative]
    found = value_of(accuracy(examples(positive), examples(negative)))
    assert found == pytest.approx(metrics.balanced_accuracy_score(labels, said), abs=1e-9)


@settings(deadline=None)  # the first example imports scikit-learn
@given(scores, scores)
def test_calibration_is_scikit_learns_curve_weighted(positive: list[float], negative: list[float]) -> None:
    calibration = pytest.importorskip("sklearn.calibration")
    labels = np.array([1] * len(positive) + [0] * len(negative))
    said = np.array(positive + negative)
    shares, means = calibration.calibration_curve(labels, said, n_bins=10)
    bins = reliability(examples(positive), examples(negative))
    assert [one.positives for one in bins] == pytest.approx(shares, abs=1e-9)
    assert [one.probability for one in bins] == pytest.approx(means, abs=1e-9)
    by_hand = sum(one.count * abs(share - mean) for one, share, mean in zip(bins, shares, means, strict=True))
    found = value_of(calibration_error(examples(positive), examples(negative)))
    assert found == pytest.approx(by_hand / len(labels), abs=1e-9)


@given(scores, st.randoms(use_true_random=False))
def test_preference_counts_ties_half(originals: list[float], random: object) -> None:
    twins = [random.choice(originals) for _ in originals]  # type: ignore[attr-defined]
    by_hand = np.mean([1.0 if a > b else 0.5 if a == b else 0.0 for a, b in zip(originals, twins, strict=True)])
    assert value_of(preferred(examples(originals), twins)) == pytest.approx(by_hand, abs=1e-9)


@given(scores, scores, st.floats(0.1, 3), st.floats(-5, 5))
def test_only_the_order_counts(positive: list[float], negative: list[float], gain: float, offset: float) -> None:
    def moved(values: list[float]) -> Examples:
        return examples(np.array(values) * gain + offset)

    for metric in (roc_auc, beaten_by):
        before = value_of(metric(examples(positive), examples(negative)))
        assert value_of(metric(moved(positive), moved(negative))) == pytest.approx(before, abs=1e-9)
    there, back = roc_auc(examples(positive), examples(negative)), roc_auc(examples(negative), examples(positive))
    assert value_of(there) + value_of(back) == pytest.approx(1)


def test_an_empty_class_tells_nothing() -> None:
    some, none = examples([0.2, 0.9]), examples([])
    for metric in (roc_auc, one_draw, accuracy):
        assert math.isnan(value_of(metric(some, none)))
        assert math.isnan(value_of(metric(none, some)))
        assert interval(metric(some, none)) is None
    assert math.isnan(value_of(calibration_error(none, none)))
    assert reliability(none, none) == []
    assert paired(roc_auc(some, none), roc_auc(some, none)) is None


@given(st.lists(st.tuples(scores, scores), min_size=1, max_size=4))
def test_positives_are_ranked_within_their_own_draw(drawn: list[tuple[list[float], list[float]]]) -> None:
    draws = [(examples(good), examples(bad)) for good, bad in drawn]
    by_hand = [rank for good, bad in drawn for rank in ranks_among(good, bad)]
    pairs = [(rank - 1, len(bad)) for good, bad in drawn for rank in ranks_among(good, bad)]
    assert value_of(average_rank(draws)) == pytest.approx(np.mean(by_hand), abs=1e-9)
    shares = sum(above for above, _ in pairs) / sum(count for _, count in pairs)
    assert value_of(normalised_rank(draws)) == pytest.approx(shares, abs=1e-9)
    # To draw the same plans more often changes no rank and no interval.
    for metric in (average_rank, normalised_rank):
        assert value_of(metric(draws * 3)) == pytest.approx(value_of(metric(draws)), abs=1e-9)
        once, thrice = (interval(metric(draws * times), resamples=50) for times in (1, 3))
        assert (once is None) == (thrice is None)
        if once is not None and thrice is not None:
            assert (thrice.low, thrice.high) == pytest.approx((once.low, once.high), abs=1e-9)


def test_what_is_no_example() -> None:
    with pytest.raises(UsageError, match="NaN"):
        examples([0.1, math.nan])
    with pytest.raises(UsageError, match="songs run to 7"):
        Examples([0.1], [7], SONGS)
    with pytest.raises(UsageError, match="shape"):
        Examples([0.1], [0, 1], SONGS)
    with pytest.raises(UsageError, match="probability is outside"):
        calibration_error(examples([1.5]), examples([0.5]))


# ---------------------------------------------------------------------------------------------------------- weights
def test_weights_are_repeated_songs() -> None:
    random = np.random.default_rng(0)
    positive, negative = (Examples(random.random(40), random.integers(SONGS, size=40), SONGS) for _ in range(2))
    weights = random.integers(0, 3, size=(20, SONGS)).astype(float)

    def repeated(one: Examples, row: np.ndarray) -> Examples:
        times = row.astype(int)[one.songs]
        return Examples(np.repeat(one.scores, times), np.repeat(one.songs, times), SONGS)

    for metric in (accuracy, calibration_error):
        found = metric(positive, negative)(weights)
        by_hand = [value_of(metric(repeated(positive, row), repeated(negative, row))) for row in weights]
        assert found == pytest.approx(by_hand, abs=1e-9, nan_ok=True)

    def area(row: np.ndarray) -> float:
        # Each copy of a song is a song: no pair is of two copies.
        right = pairs = 0.0
        for good, song in zip(positive.scores, positive.songs, strict=True):
            for bad, other in zip(negative.scores, negative.songs, strict=True):
                times = row[song] if song == other else row[song] * row[other]
                right, pairs = right + times * (good > bad), pairs + times
        return right / pairs

    assert roc_auc(positive, negative)(weights) == pytest.approx([area(row) for row in weights], abs=1e-9)
    assert beaten_by(positive, negative)(weights) == pytest.approx([1 - area(row) for row in weights], abs=1e-9)
    alone = by_cluster(mean_over(positive, positive.scores))
    assert alone == pytest.approx([positive.scores[positive.songs == song].mean() for song in range(SONGS)])


def test_the_value_of_a_song_is_its_pseudo_value() -> None:
    random = np.random.default_rng(3)
    positive, negative = (Examples(random.random(30), random.integers(SONGS, size=30), SONGS) for _ in range(2))
    found = by_cluster(roc_auc(positive, negative))
    for song in range(SONGS):
        good, bad = (one.scores[one.songs != song] for one in (positive, negative))
        whole = roc_auc_of(positive.scores, negative.scores)
        assert found[song] == pytest.approx(SONGS * whole - (SONGS - 1) * roc_auc_of(good, bad))


def test_one_song_in_all_pairs_leaves_no_test_by_songs() -> None:
    good, songs = Examples([0.9, 0.2], [0, 0], 8), np.arange(1, 8)
    one, other = (roc_auc(good, Examples(values, songs, 8)) for values in (np.full(7, 0.5), np.linspace(0.1, 0.7, 7)))
    assert np.isnan(by_cluster(one)).all()  # without song 0 there is no pair
    test = paired(one, other)
    assert test is not None
    assert (test.clusters, test.p_signed_rank, test.effect) == (8, None, None)


def test_scorers_that_are_alike_seldom_differ_in_an_area() -> None:
    random = np.random.default_rng(4)
    found = 0
    for _ in range(200):
        alike = []
        for _ in range(2):
            levels, songs = random.normal(size=9), np.repeat(np.arange(9), 2)
            good, bad = (Examples(levels[songs] + gap + random.normal(size=18), songs, 9) for gap in (1.0, 0.0))
            alike.append(by_cluster(roc_auc(good, bad)))
        found += (signed_rank(differences(*alike)) or 0.0) < 0.05
    assert found / 200 <= 0.08  # one odd song was the vote of all, .25, with the pairs of each song with all


def of_levels(songs: int, gap: float) -> tuple[Examples, Examples]:
    """Return a positive and a negative for each song; songs differ by more than the two of a song do."""
    base = 10.0 * np.arange(songs)
    return Examples(base + gap, np.arange(songs), songs), Examples(base, np.arange(songs), songs)


def test_an_area_between_songs_is_drawn_around_its_value() -> None:
    area = roc_auc(*of_levels(24, 1.0))
    assert value_of(area) == pytest.approx(0.5 + 1 / 48)
    # A song that is drawn twice has no pairs with itself: they would be right, and the mean .53.
    assert area(resampled(24)).mean() == pytest.approx(value_of(area), abs=0.002)


def test_tests_of_areas_are_of_the_difference_that_is_shown() -> None:
    good, bad = Examples(np.ones(10), np.arange(10), 10), Examples(np.zeros(10), np.arange(10), 10)
    perfect, levels = roc_auc(good, bad), roc_auc(*of_levels(10, 1.0))
    test = paired(perfect, levels)
    assert test is not None
    assert test.difference == pytest.approx(0.45)
    assert (test.differing, test.effect) == (10, 1.0)  # none, if both were judged by each song alone
    assert test.p_signed_rank == pytest.approx(2**-9)


def test_intervals_are_scipys_of_the_same_level() -> None:
    random = np.random.default_rng(1)
    values = random.normal(size=15)
    low, high = tails(15)
    by_hand = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, confidence_level=high - low, method="percentile", rng=random
    ).confidence_interval
    found = interval(ratio(values, np.ones(15)), resamples=20_000)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((by_hand.low, by_hand.high), abs=0.02)
    # With many clusters nothing is left to expand.
    assert tails(100_000) == pytest.approx((0.025, 0.975), abs=1e-4)


def clustered(random: np.random.Generator, songs: int, each: int, effect: float) -> np.ndarray:
    """Return values whose spread is mostly between songs, shape (songs, each)."""
    return effect + random.normal(size=(songs, 1)) + 0.5 * random.normal(size=(songs, each))


@pytest.mark.parametrize("songs", [2, 3, 5])
def test_intervals_of_few_songs_cover_the_truth(songs: int) -> None:
    random = np.random.default_rng(4)
    covered, found = 0, [ratio(random.normal(size=songs), np.ones(songs)) for _ in range(200)]
    for statistic in found:
        ends = interval(statistic, resamples=200)
        assert ends is not None
        covered += ends.low <= 0 <= ends.high
    assert covered / 200 >= 0.91  # .50, .75 and .91 when no interval went beyond the songs
    share = interval(ratio([0.2, 0.9], [1, 1], SHARE))
    assert share is not None
    assert (share.low, share.high) == SHARE


@pytest.mark.whole
@pytest.mark.parametrize("songs", [8, 30])
def test_intervals_cover_the_truth_as_often_as_they_say(songs: int) -> None:
    random = np.random.default_rng(2)
    covered = naive = 0
    runs, each, effect = 500, 6, 0.7
    for run in range(runs):
        values = clustered(random, songs, each, effect)
        found = interval(ratio(values.sum(axis=1), np.full(songs, each)), resamples=400, seed=run)
        assert found is not None
        covered += found.low <= effect <= found.high
        if run % 5 == 0:
            flat = interval(ratio(values.ravel(), np.ones(values.size)), resamples=200, seed=run)
            assert flat is not None
            naive += flat.low <= effect <= flat.high
    # 95 % of 500 is 475 ± 5; what takes every mashup for an observation of its own is far too sure.
    assert 0.92 <= covered / runs <= 0.98
    assert naive / (runs / 5) < 0.75


def with_empty(values: np.ndarray, more: int) -> Statistic:
    """Return the mean of one number a song, among so many songs without data."""
    return ratio(np.r_[values, np.zeros(more)], np.r_[np.ones(len(values)), np.zeros(more)])


@pytest.mark.parametrize("more", [1, 15])
def test_songs_without_data_change_no_interval_and_no_test(more: int) -> None:
    random = np.random.default_rng(5)
    one, other = random.integers(-9, 9, size=(2, 7)).astype(float)  # sums of whole numbers are exact
    squares, pairs = (np.pad(sums, (0, more)) for sums in (random.integers(9, size=(7, 7)), np.ones((7, 7))))
    for bare, whole in (
        (with_empty(one, 0), with_empty(one, more)),
        (pair_ratio(squares[:7, :7], pairs[:7, :7]), pair_ratio(squares, pairs)),
        (combined(np.negative, with_empty(one, 0)), combined(np.negative, with_empty(one, more))),
    ):
        assert interval(whole) == interval(bare)
    assert paired(with_empty(one, more), with_empty(other, more)) == paired(with_empty(one, 0), with_empty(other, 0))
    # A class counts the songs of either side; every metric of scores passes on which they are.
    songs = np.array([0, 0, 2, 2])
    good, bad = Examples([0.9, 0.4, 0.8, 0.6], songs, 3 + more), Examples([0.5, 0.1, 0.7, 0.2], songs, 3 + more)
    for metric in (roc_auc, one_draw, accuracy, calibration_error):
        assert list(np.flatnonzero(metric(good, bad).carrying)) == [0, 2]
    # One song with data is one observation, however many have none.
    assert interval(with_empty(one[:1], more)) is None
    lone = paired(with_empty(one[:1], more), with_empty(other[:1], more))
    assert lone is not None
    assert (lone.interval, lone.p_bootstrap, lone.clusters) == (None, None, 1)


def test_coverage_does_not_fall_with_songs_without_data() -> None:
    random = np.random.default_rng(6)
    covered = 0
    for run in range(200):
        found = interval(with_empty(random.normal(size=5), 15), resamples=300, seed=run)
        assert found is not None
        covered += found.low <= 0 <= found.high
    assert covered / 200 >= 0.88  # it was .75 when all twenty songs were counted


@pytest.mark.parametrize("songs", [9, 24])
@pytest.mark.parametrize("share", [0.8, 0.9, 0.98])
def test_intervals_of_shares_cover_the_truth_near_the_end(songs: int, share: float) -> None:
    random = np.random.default_rng(songs)
    runs, covered = 100, 0
    for run in range(runs):
        right = ratio(random.binomial(1, share, songs), np.ones(songs), SHARE)
        found = interval(right, resamples=200, seed=run)
        assert found is not None
        covered += found.low <= share <= found.high
    assert covered / runs >= 0.9  # .18 to .97 when songs that agree gave intervals of length 0


def test_songs_that_agree_have_an_exact_interval() -> None:
    def told(
        value: float, songs: int, within: tuple[float, float] | None = SHARE, tie: float | None = 0.5
    ) -> tuple[float, float]:
        found = interval(ratio(np.full(songs, value), np.ones(songs), within, tie), resamples=50)
        assert found is not None
        return found.low, found.high

    for songs in (2, 9, 24):
        exact = stats.binomtest(songs, songs).proportion_ci(method="exact")
        assert told(1.0, songs) == pytest.approx((exact.low, 1.0), rel=1e-9)
        assert told(0.0, songs) == pytest.approx((0.0, 1 - exact.low), rel=1e-9)
        assert told(0.75, songs) == pytest.approx((0.75 * exact.low, 1 - 0.25 * exact.low), rel=1e-9)
        assert told(1.0, songs, (1.0, 21.0)) == pytest.approx((1.0, 21 - 20 * exact.low), rel=1e-9)
        # Without ends nothing is known, and who never decides is no sample of those who do.
        assert told(1.0, songs, None) == (1.0, 1.0)
        assert told(0.5, songs) == (0.5, 0.5)
        # Half may also be a value like any other, as 3 is of opinions from 1 to 5.
        assert told(0.5, songs, tie=None) == pytest.approx((0.5 * exact.low, 1 - 0.5 * exact.low), rel=1e-9)
    # Every metric of scores passes its ends on.
    good, bad = Examples(np.ones(9), np.arange(9), 9), Examples(np.zeros(9), np.arange(9), 9)
    low = 0.025 ** (1 / 9)
    for metric, ends in (
        (roc_auc(good, bad), (low, 1)), (accuracy(good, bad), (low, 1)), (preferred(good, bad.scores), (low, 1)),
        (one_draw(good, bad), (1, 1 + 9 * (1 - low))), (calibration_error(good, bad), (0, 1 - low)),
    ):  # fmt: skip
        found = interval(metric, resamples=50)
        assert found is not None
        assert (found.low, found.high) == pytest.approx(ends, rel=1e-9)


@pytest.mark.parametrize("songs", [2, 5, 6, 12])
@pytest.mark.parametrize(("one", "other"), [(1.0, 0.0), (0.0, 1.0), (1.0, 0.5), (0.5, 1.0), (0.7, 0.7)])
def test_a_difference_in_which_all_songs_agree_is_tested_by_their_number(songs: int, one: float, other: float) -> None:
    sides = (ratio(np.full(songs, value), np.ones(songs), SHARE) for value in (one, other))
    test = paired(*sides, resamples=50)
    assert test is not None
    assert test.interval is not None
    assert test.effect_interval is not None
    assert test.p_bootstrap is not None
    least = 0.025 ** (1 / songs)
    sign = np.sign(one - other)
    reach = (1 - least) * abs(sign)
    ends = test.difference * (1 - reach) - reach, test.difference * (1 - reach) + reach
    assert (test.interval.low, test.interval.high) == pytest.approx(ends, abs=1e-9)
    excluded = test.interval.low > 0 or test.interval.high < 0
    assert (test.p_bootstrap < 0.05) == excluded
    effects = sorted([sign, sign * (2 * least - 1)])
    assert (test.effect_interval.low, test.effect_interval.high) == pytest.approx(effects, abs=1e-9)
    if abs(one - other) == 1:
        assert test.p_bootstrap == pytest.approx(test.p_signed_rank)  # the sign test, both


def test_songs_that_do_not_differ_make_no_effect_surer() -> None:
    more = paired(ratio(np.repeat([1, 0], 12), np.ones(24)), ratio(np.zeros(24), np.ones(24)))
    assert more is not None
    assert more.effect_interval is not None
    assert (more.effect_interval.low, more.effect_interval.high) == pytest.approx((2 * 0.025 ** (1 / 12) - 1, 1))


def test_what_differs_by_the_rounding_of_floats_is_equal() -> None:
    thirds, right = np.full(4, 3.0), np.array([[3, 1, 2, 1], [2, 0, 3, 2]])
    test = paired(ratio(right[0], thirds), ratio(right[1], thirds))
    exact = right[0] - right[1]
    assert test is not None
    assert (test.p_signed_rank, test.effect) == (signed_rank(exact), rank_biserial(exact)) == (1.0, 0.0)
    random = np.random.default_rng(0)
    for count in (6, 12, 24):
        one, other = random.integers(0, 8, (2, count))
        sevenths = np.full(count, 7.0)
        test = paired(ratio(one, sevenths), ratio(other, sevenths), resamples=20)
        assert test is not None
        assert test.p_signed_rank == signed_rank(one - other)
        assert test.effect == pytest.approx(rank_biserial(one - other))
    assert differences([0.1 + 0.2, 5.0, math.nan], [0.3, 2.5, 1.0])[:2].tolist() == [0, 2.5]
    assert differences([0.0], [0.0]).tolist() == [0]


def test_scores_that_differ_in_their_last_bits_are_equal() -> None:
    third = 0.1 + 0.2
    # Whatever the other scores, two are a tie or not by themselves: one far away, small probabilities, a common offset.
    found = tied([third, 0.3, 1e-9, 1e-40, 2e-40, 0.0, 1e15, -1e308, 1e308])
    assert {score: other for score, other in found.items() if score != other} == {0.3: third}
    offset = [1e12 + place / 100 for place in range(100)]
    assert tied(offset) == dict(zip(offset, offset, strict=True))
    assert list(tied([-third, -0.3]).values()) == [-0.3, -0.3]
    assert tied([]) == {}


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=30))
def test_ties_keep_the_order_and_are_there_once(values: list[float]) -> None:
    found = tied(values)
    for one, other in itertools.pairwise(sorted(values)):
        assert found[one] <= found[other]
    assert all(found[other] == other for other in found.values())


def test_intervals_of_an_area_cover_it_too() -> None:
    # Song effects shift positives and negatives alike; the true area is that of two normals, a distance of 1 apart.
    random = np.random.default_rng(3)
    songs, each, runs = 20, 5, 200
    truth = float(stats.norm.cdf(1 / math.sqrt(2 * (1 + 0.5**2))))
    covered = 0
    for run in range(runs):
        effects = random.normal(scale=0.5, size=(songs, 1))
        values = [shift + effects + random.normal(size=(songs, each)) for shift in (1.0, 0.0)]
        classes = [Examples(one.ravel(), np.repeat(np.arange(songs), each), songs) for one in values]
        found = interval(roc_auc(*classes), resamples=300, seed=run)
        assert found is not None
        covered += found.low <= truth <= found.high
    assert 0.9 <= covered / runs <= 0.99


@pytest.mark.whole
def test_paired_tests_find_effects_and_nothing_else() -> None:
    random = np.random.default_rng(4)
    songs, each, runs = 12, 4, 150
    false, found = np.zeros(2), np.zeros(2)
    for run in range(runs):
        # What is hard is hard for both: only a paired test sees through that.
        common = 2 * random.normal(size=(songs, 1))
        one, same, better = (
            ratio((common + shift + 0.5 * random.normal(size=(songs, each))).sum(axis=1), np.full(songs, each))
            for shift in (0.0, 0.0, 0.5)
        )
        for other, count in ((same, false), (better, found)):
            test = paired(other, one, resamples=200, seed=run)
            assert test is not None
            assert test.p_bootstrap is not None
            assert test.p_signed_rank is not None
            count += np.array([test.p_bootstrap, test.p_signed_rank]) < 0.05
    assert (false / runs < 0.09).all()
    assert (found / runs > 0.9).all()


def test_signed_rank_is_scipys() -> None:
    values = np.array([0.3, -0.1, 0.7, 0.25, 0.05, -0.2, 0.9, 0.45])
    assert signed_rank(values) == pytest.approx(stats.wilcoxon(values, method="exact").pvalue, abs=1e-9)
    assert signed_rank([*values, math.nan, 0.0]) == signed_rank(values)
    assert signed_rank([0.0, 0.0]) == 1.0
    assert signed_rank([math.nan]) is None
    # Ties: all 2⁵ assignments of signs by hand.
    tied = np.array([1.0, 1.0, 2.0, 2.0, -1.0])
    ranks = stats.rankdata(np.abs(tied))
    sums = np.array([np.dot(ranks, signs) for signs in itertools.product((0, 1), repeat=5)])
    own = ranks[tied > 0].sum()
    both = np.mean(sums >= own - 1e-9), np.mean(sums <= own + 1e-9)
    assert signed_rank(tied) == pytest.approx(min(1.0, 2 * min(both)), abs=1e-9)


@pytest.mark.parametrize("count", [14, 25, 47])
def test_signed_rank_is_exact_for_many_songs(count: int) -> None:
    random = np.random.default_rng(count)
    for shift in (0.0, 0.5, 1.0, 9.0):
        values = random.normal(size=count) + shift
        expected = stats.wilcoxon(values, method="exact").pvalue
        assert signed_rank(values) == pytest.approx(expected, rel=1e-9)
        assert signed_rank(-values) == pytest.approx(expected, rel=1e-9)
    assert signed_rank(np.arange(1, count + 1)) == pytest.approx(2.0 ** (1 - count), rel=1e-9)


@given(st.lists(st.integers(-4, 4), min_size=2, max_size=12).filter(lambda values: sum(map(bool, values)) > 1))
def test_signed_rank_with_ties_is_the_count_of_all_signs(values: list[int]) -> None:
    kept = np.array([value for value in values if value])
    ranks = stats.rankdata(np.abs(kept))
    sums = np.array(list(itertools.product((0, 1), repeat=len(kept)))) @ ranks
    own = ranks[kept > 0].sum()
    both = np.mean(sums >= own - 1e-9), np.mean(sums <= own + 1e-9)
    assert signed_rank(values) == pytest.approx(min(1.0, 2 * min(both)), rel=1e-9)


def test_signed_rank_of_very_many_is_scipys_approximation_and_goes_on_smoothly() -> None:
    random = np.random.default_rng(7)
    values = np.round(random.normal(size=1000) + 0.07, 2)
    known = stats.wilcoxon(values, method="approx", correction=False).pvalue
    assert signed_rank(values) == pytest.approx(known, rel=1e-9)
    border = random.normal(size=EXACT_UP_TO) + 0.15
    assert signed_rank(border) == pytest.approx(stats.wilcoxon(border, method="approx").pvalue, rel=0.02)


def test_holm_by_hand() -> None:
    # Sorted .01, .02, .03, .04: times 4, 3, 2, 1, and none below one before it.
    assert holm([0.03, 0.01, 0.04, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.9, 0.5]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_lies_between_nothing_and_bonferroni(values: list[float]) -> None:
    for own, adjusted in zip(values, holm(values), strict=True):
        assert own <= adjusted <= min(1.0, len(values) * own) + 1e-12


def test_rank_biserial_by_hand_and_between_its_ends() -> None:
    # Absolute values 1, 2, 3, 4 without the zero: 2 and 4 are for, 1 and 3 against.
    assert rank_biserial([-0.1, 0.2, 0.0, -0.3, 0.4]) == pytest.approx((2 + 4 - 1 - 3) / 10)
    assert rank_biserial([0.5, 0.5, -0.5]) == pytest.approx(1 / 3)  # ties share their ranks
    assert (rank_biserial([3.0, 1.0]), rank_biserial([-2.0, 0.0]), rank_biserial([0.0])) == (1, -1, 0)
    random = np.random.default_rng(1)
    for shift, sign in ((0.0, None), (1.0, True)):
        held = 0
        for seed in range(40):
            songs = random.normal(size=12) + shift
            test = paired(ratio(songs, np.ones(12)), ratio(np.zeros(12), np.ones(12)), resamples=200, seed=seed)
            assert test is not None
            assert test.effect_interval is not None
            assert (test.clusters, test.differing) == (12, 12)
            assert test.effect == pytest.approx(rank_biserial(songs))
            assert -1 <= test.effect_interval.low <= test.effect_interval.high <= 1
            held += (test.effect_interval.low > 0) if sign else test.effect_interval.low < 0 < test.effect_interval.high
        assert held >= 30


def test_songs_without_a_difference_are_counted_apart() -> None:
    test = paired(ratio([3.0, 2.0, 1.0, 0.0], [4, 4, 4, 0]), ratio([1.0, 2.0, 0.0, 0.0], [4, 4, 4, 0]))
    assert test is not None
    assert (test.effect, test.differing, test.clusters) == (1.0, 2, 3)


def test_a_baseline_is_compared_with_everybody_and_corrected_for_these_tests_alone() -> None:
    random = np.random.default_rng(2)
    values = {label: ratio(random.normal(size=10) + shift, np.ones(10)) for shift, label in enumerate("abcd")}
    whole = every_two("auc", values, lambda one, other: paired(values[one], values[other], resamples=100))
    assert len(whole) == 6
    own = against(whole, "b")
    assert [(one.one, one.other) for one in own] == [("a", "b"), ("c", "b"), ("d", "b")]
    assert own[0].difference < 0 < own[1].difference < own[2].difference
    assert own[2].low is not None
    assert own[2].effect is not None
    assert own[2].low > 0
    assert own[2].effect > 0
    assert own[2].reversed().reversed() == own[2]
    p_values = [one.p_signed_rank for one in own]
    assert [one.p_holm for one in own] == holm([one for one in p_values if one is not None])
    assert all(
        one.p_holm <= other.p_holm for one in own for other in whole if {one.one, one.other} == {other.one, other.other}
    )
    unmeasured = Comparison(
        metric="auc", one="e", other="b", difference=0.0, low=None, high=None, p_bootstrap=None, p_signed_rank=None,
        p_holm=None,
    )  # fmt: skip
    assert against([*whole, unmeasured], "b")[:3] == own  # what has no p-value is no test


def test_one_cluster_has_no_interval() -> None:
    assert interval(ratio([3.0], [2.0])) is None
    test = paired(ratio([3.0], [2.0]), ratio([1.0], [2.0]))
    assert test is not None
    assert (test.difference, test.interval, test.p_bootstrap) == (1.0, None, None)
    assert math.isnan(value_of(pair_ratio([[0.0]], [[0.0]])))
    with pytest.raises(UsageError):
        resampled(0)


# ------------------------------------------------------------------------------------------------------- bare arrays
@given(st.lists(st.integers(0, 4), min_size=1, max_size=6), st.lists(st.integers(0, 4), min_size=1, max_size=6))
def test_measures_of_one_vocal_by_hand(good: list[int], bad: list[int]) -> None:
    pairs = [(one > other) + (one == other) / 2 for one, other in itertools.product(good, bad)]
    assert roc_auc_of(good, bad) == pytest.approx(np.mean(pairs))
    assert roc_auc_of(good, bad) == pytest.approx(
        value_of(roc_auc(Examples(good, [0] * len(good), 1), Examples(bad, [0] * len(bad), 1)))
    )
    # Equal scores at the border: the mean over all orders in which they could stand.
    labelled = [(score, True) for score in good] + [(score, False) for score in bad]
    found = []
    for _ in range(400):
        order = np.random.default_rng(len(found)).permutation(len(labelled))
        ranked = sorted((labelled[index] for index in order), key=lambda one: -one[0])
        right = sum(label for _, label in ranked[: len(good)])
        found.append((right / len(good) + 1 - (len(good) - right) / len(bad)) / 2)
    assert top_accuracy(good, bad) == pytest.approx(np.mean(found), abs=0.13)
    assert math.isnan(roc_auc_of(good, []))
    assert math.isnan(top_accuracy([], bad))


@pytest.mark.parametrize(
    ("good", "bad", "expected"),
    [([9], [1, 2, 3], 1), ([2.5], [1, 2, 3], 1 / 3), ([1, 1], [1, 1], 0.5), ([3, 1], [2, 2, 1], (1 / 2 + 2 / 3) / 2)],
)
def test_as_many_are_called_good_as_there_are(good: list[float], bad: list[float], expected: float) -> None:
    assert top_accuracy(good, bad) == pytest.approx(expected)


MODULES = (
    "mashkit.bench.scorer_metrics",
    "mashkit.bench.separator_metrics",
    "mashkit.bench.ranking",
    "mashkit.statistics",
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_the_docstrings_hold(name: str) -> None:
    found = doctest.testmod(importlib.import_module(name))
    assert found.attempted >= 2
    assert found.failed == 0


def test_metrics_and_statistics_need_nothing_of_the_runner() -> None:
    code = f"import sys, {', '.join(MODULES)}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert {name for name in loaded if name.startswith("mashkit.bench.")} == {*MODULES} - {"mashkit.statistics"}
    assert not loaded & {"mashkit.components", "mashkit.discovery", "mashkit.pipeline", "mashkit.workers", "soundfile"}
