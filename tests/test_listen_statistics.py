"""The statistics of listening tests, against published examples, other libraries and counting by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import optimize, stats

from mashkit.errors import UsageError
from mashkit.listen.agreement import by_rater_slot, cronbach, full_slots, krippendorff
from mashkit.listen.comparisons import (
    Estimate,
    clustered,
    dominance,
    friedman,
    mann_whitney,
    mean_difference,
    paired_dominance,
    post_hoc,
    rank_sum,
)
from mashkit.listen.preferences import bradley_terry

NAN = math.nan
KRIPPENDORFF = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
        [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN],
    ]
).T
"""The example of Krippendorff, "Computing Krippendorff's Alpha-Reliability", 2011: four observers, twelve units."""

TEAMS = ("Milwaukee", "Detroit", "Toronto", "New York", "Boston", "Cleveland", "Baltimore")
WINS = (
    (0, 7, 9, 7, 7, 9, 11), (6, 0, 7, 5, 11, 9, 9), (4, 6, 0, 7, 7, 8, 12), (6, 8, 6, 0, 6, 7, 10),
    (6, 2, 6, 7, 0, 7, 12), (4, 4, 5, 6, 6, 0, 6), (2, 4, 1, 3, 1, 7, 0),
)  # fmt: skip
STRENGTHS = (1.58, 1.44, 1.29, 1.25, 1.11, 0.68)
"""Baseball of 1987, and the strengths above Baltimore: Agresti, "Categorical Data Analysis", 2nd edition, section
10.6."""

ROUNDING = (
    (5.40, 5.50, 5.55), (5.85, 5.70, 5.75), (5.20, 5.60, 5.50), (5.55, 5.50, 5.40), (5.90, 5.85, 5.70),
    (5.45, 5.55, 5.60), (5.40, 5.40, 5.35), (5.45, 5.50, 5.35), (5.25, 5.15, 5.00), (5.85, 5.80, 5.70),
    (5.25, 5.20, 5.10), (5.65, 5.55, 5.45), (5.60, 5.35, 5.45), (5.05, 5.00, 4.95), (5.50, 5.50, 5.40),
    (5.45, 5.55, 5.50), (5.55, 5.55, 5.35), (5.45, 5.50, 5.55), (5.50, 5.45, 5.25), (5.65, 5.60, 5.40),
    (5.70, 5.65, 5.55), (6.30, 6.30, 6.25),
)  # fmt: skip
"""Hollander and Wolfe, "Nonparametric Statistical Methods", 1973, page 140; R's friedman.test gives p = 0.003805."""


def games() -> tuple[list[str], list[str]]:
    pairs = [
        (TEAMS[row], TEAMS[column])
        for row, wins in enumerate(WINS)
        for column, count in enumerate(wins)
        for _ in range(count)
    ]
    return [one for one, _ in pairs], [other for _, other in pairs]


# ---------------------------------------------------------------------------------------------------------- agreement
def test_krippendorffs_alpha_is_that_of_the_published_example() -> None:
    assert krippendorff(KRIPPENDORFF, "ordinal") == pytest.approx(0.815, abs=5e-4)
    assert krippendorff(KRIPPENDORFF, "interval") == pytest.approx(0.849, abs=5e-4)


def test_krippendorffs_alpha_does_not_depend_on_who_is_who() -> None:
    shuffled = np.array([np.random.default_rng(row).permutation(values) for row, values in enumerate(KRIPPENDORFF)])
    assert krippendorff(shuffled) == pytest.approx(krippendorff(KRIPPENDORFF))


@pytest.mark.parametrize("table", [[[3.0, 3.0], [3.0, 3.0]], [[1.0, NAN], [NAN, 2.0]], np.empty((0, 3))])
def test_alpha_is_unknown_where_nothing_can_be_compared(table: object) -> None:
    assert math.isnan(krippendorff(table))


def test_cronbachs_alpha_is_that_of_mean_covariance() -> None:
    scores = np.random.default_rng(1).normal(size=(50, 5)) + np.random.default_rng(2).normal(size=(50, 1))
    covariance = np.cov(scores.T)
    items = len(covariance)
    between = (covariance.sum() - np.trace(covariance)) / (items * (items - 1))
    expected = items * between / (np.trace(covariance) / items + (items - 1) * between)
    assert cronbach(scores) == pytest.approx(expected)
    assert cronbach(np.vstack([scores, [1, 2, NAN, 4, 5]])) == pytest.approx(expected)


def test_cronbachs_alpha_of_equal_items_is_one() -> None:
    assert cronbach([[1, 1, 1], [4, 4, 4], [2, 2, 2]]) == pytest.approx(1.0)
    assert math.isnan(cronbach([[1], [2]]))
    assert math.isnan(cronbach([[2, 2], [2, 2]]))


def test_ratings_of_a_clip_share_a_row() -> None:
    table = by_rater_slot(["b", "a", "b", "b"], [1, 2, 3, 4])
    np.testing.assert_array_equal(table, [[2, NAN, NAN], [1, 3, 4]])


def test_samples_with_more_raters_than_most_do_not_decide_cronbachs_alpha() -> None:
    chance = np.random.default_rng(0)
    samples = np.repeat(np.arange(200), 3)
    values = chance.normal(3, 1, 200)[samples] + chance.normal(0, 0.3, 600)
    slots = by_rater_slot(samples, values)
    np.testing.assert_array_equal(full_slots(slots), slots)
    more = by_rater_slot([*samples, 0, 1], [*values, 3.0, 5.0])
    np.testing.assert_array_equal(full_slots(more), slots)
    fewer = by_rater_slot(samples[:-2], values[:-2])
    np.testing.assert_array_equal(full_slots(fewer), slots[:-1])
    assert cronbach(full_slots(fewer)) == pytest.approx(cronbach(slots), abs=0.01)
    # One rater has no alpha, however many samples have one rater only.
    assert full_slots([[1, NAN], [2, NAN], [3, NAN], [4, 5]]).tolist() == [[4, 5]]
    for none in ([[1.0], [2.0]], np.empty((0, 0)), [[1, NAN]]):
        assert math.isnan(cronbach(full_slots(none)))


# -------------------------------------------------------------------------------------------------- the paper's tests
def test_mann_whitney_is_about_that_of_all_permutations() -> None:
    chance = np.random.default_rng(3)
    one, other = chance.integers(1, 6, 20), chance.integers(2, 6, 20)

    def rank_total(first: np.ndarray, second: np.ndarray, axis: int) -> np.ndarray:
        ranks = stats.rankdata(np.concatenate([first, second], axis=axis), axis=axis)
        return np.take(ranks, range(first.shape[axis]), axis=axis).sum(axis=axis)

    exact = stats.permutation_test((one, other), rank_total, n_resamples=20_000, rng=chance).pvalue
    assert mann_whitney(one, other) == pytest.approx(exact, abs=0.015)
    assert mann_whitney(one, one) == pytest.approx(1.0)
    assert mann_whitney([3, 3, 3], [3, 3]) == 1.0
    assert mann_whitney([3.0, NAN], []) is None


def test_rank_sum_has_no_corrections() -> None:
    one, other = np.array([1, 2, 2, 4, 5]), np.array([3, 3, 4, 5, 5, 5])
    total = stats.rankdata(np.concatenate([one, other]))[:5].sum()
    z = (total - 5 * 12 / 2) / math.sqrt(5 * 6 * 12 / 12)
    assert rank_sum(one, other) == pytest.approx(2 * stats.norm.sf(abs(z)))
    assert rank_sum([], other) is None


# ---------------------------------------------------------------------------------------------------------------- ours
def test_friedman_is_that_of_the_published_example() -> None:
    assert friedman(ROUNDING) == pytest.approx(0.003805, abs=1e-6)
    assert friedman([*ROUNDING, (5.0, NAN, 5.1)]) == pytest.approx(0.003805, abs=1e-6)
    assert friedman([[1, 2], [2, 1]]) is None
    assert friedman([[3, 3, 3], [4, 4, 4]]) == 1.0


def test_pairs_after_friedman_are_conovers() -> None:
    import scikit_posthocs

    found = post_hoc(ROUNDING)
    assert found is not None
    np.testing.assert_allclose(found, scikit_posthocs.posthoc_conover_friedman(np.array(ROUNDING)), rtol=1e-9)
    assert found[0, 2] < 0.01 < found[0, 1]


def test_pairs_have_no_p_where_every_vocal_has_the_same_order() -> None:
    for blocks in ([[1, 2, 3], [1, 2, 3]], [[1, 2, 3], [2, 3, 9], [0.1, 0.2, 0.3]]):
        found = post_hoc(blocks)
        assert found is not None
        np.testing.assert_array_equal(found, np.where(np.eye(3), 1, NAN))
    equal = post_hoc([[3, 3, 4]] * 6)
    assert equal is not None
    np.testing.assert_array_equal(equal, [[1, 1, NAN], [1, 1, NAN], [NAN, NAN, 1]])
    again = post_hoc([[3, 3, 4]] * 6 + [[3, 3, 2]])  # one vocal of another order is enough
    assert again is not None
    assert (again[0, 1], np.isfinite(again).all()) == (1, True)


def test_the_difference_of_means_is_that_of_statsmodels_with_an_effect_of_each_rater() -> None:
    import statsmodels.api as sm

    chance = np.random.default_rng(4)
    raters, songs = chance.integers(0, 12, 300), chance.integers(0, 30, 300)
    side = np.where(chance.random(300) < 0.4, 1, -1)
    values = (
        3 + 0.3 * side + chance.normal(0, 0.6, 12)[raters] + chance.normal(0, 0.6, 30)[songs] + chance.normal(size=300)
    )
    found = mean_difference(values, side, raters, songs)
    design = np.column_stack([side > 0, np.equal.outer(raters, np.arange(12))]).astype(float)
    fitted = sm.OLS(values, design).fit(
        cov_type="cluster", cov_kwds={"groups": np.stack([raters, songs], axis=1), "use_correction": True}
    )
    assert found is not None
    assert found.value == pytest.approx(fitted.params[0], abs=1e-10)
    assert found.interval is not None
    error = (found.interval.high - found.value) / stats.t.ppf(0.975, 11)
    # statsmodels also multiplies the variance by (n − 1)/(n − k), for its k = 13 coefficients.
    assert error * math.sqrt(299 / (300 - 13)) == pytest.approx(fitted.bse[0], abs=1e-10)
    assert found.p == pytest.approx(2 * stats.t.sf(found.value / error, 11))
    # Who rated one side only changes nothing, nor does a rating that is missing.
    more = mean_difference([*values, 5, 5, NAN], [*side, 1, 1, -1], [*raters, 99, 99, 0], [*songs, 98, 99, 0])
    assert more == found


@pytest.mark.parametrize("each", [2, 4, 10, 20])
def test_the_difference_of_means_is_not_drawn_towards_zero(each: int) -> None:
    """Each rater hears the sides as often as chance has it, so that the rater's mean contains the difference."""
    chance = np.random.default_rng(each)
    raters, songs = np.repeat(np.arange(40), each), np.arange(40 * each)
    side = np.where(chance.random(40 * each) < 0.5, 1, -1)
    found = mean_difference(chance.normal(3, 1, 40)[raters] + side, side, raters, songs)
    assert found is not None
    assert found.value == pytest.approx(2.0, abs=1e-10)


@pytest.mark.whole
def test_the_difference_of_means_is_right_on_average_and_its_interval_covers_it() -> None:
    values, covered, false = [], [], []
    for seed in range(400):
        chance = np.random.default_rng(seed)
        raters, songs = np.repeat(np.arange(24), 6), chance.integers(0, 24, 144)
        side = np.where(chance.random(144) < 0.5, 1, -1)
        noise = chance.normal(0, 0.8, 24)[raters] + chance.normal(0, 0.3, 24)[songs] + chance.normal(0, 0.7, 144)
        found, null = (mean_difference(noise + half * side, side, raters, songs) for half in (0.25, 0.0))
        assert found is not None and found.interval is not None  # noqa: PT018
        assert null is not None and null.p is not None  # noqa: PT018
        values.append(found.value)
        covered.append(found.interval.low <= 0.5 <= found.interval.high)
        false.append(null.p < 0.05)
    assert np.mean(values) == pytest.approx(0.5, abs=3 * np.std(values) / 20)
    assert np.mean(covered) == pytest.approx(0.95, abs=0.035)
    assert np.mean(false) == pytest.approx(0.05, abs=0.035)


def test_a_difference_needs_raters_of_both_sides_and_two_clusters() -> None:
    assert mean_difference([1, 2], [1, 1], ["a", "b"], ["x", "y"]) is None
    assert mean_difference([], [], [], []) is None
    # Each rater heard one side, so that the difference may be that of the raters.
    assert mean_difference([5, 1], [1, -1], ["a", "b"], ["s", "t"]) is None
    one_song = mean_difference([2, 5, 1, 3], [1, -1, 1, -1], ["a", "a", "b", "b"], ["x"] * 4)
    assert one_song == Estimate(-2.5, None, None)
    one_rater = mean_difference([1, 2, 5, 4], [1, 1, -1, 1], ["a", "b", "a", "b"], ["x", "y", "y", "x"])
    assert one_rater == Estimate(-4.0, None, None)
    # One rating against twenty.
    single = mean_difference([5, *[1, 2] * 10], [1, *[-1] * 20], [0, *np.arange(20) % 4], np.arange(21))
    assert single is not None
    assert (single.interval, single.p) == (None, None)


def test_where_every_cluster_gives_the_same_difference_the_signs_are_tested() -> None:
    raters, songs = np.arange(40) % 5, np.arange(40) // 4
    side = np.repeat([1, -1], 20)
    # Five raters are fewer than ten songs.
    assert mean_difference(2 * side, side, raters, songs) == Estimate(4.0, None, 2 * 0.5**5)
    # A tenth is no number of a float: what is left of equal numbers after rounding is no variance.
    mild = np.array([0.1, 0.7, 1.3, 2.9, 3.1])[raters]
    again = mean_difference(mild + 0.1 * side, side, raters, songs)
    assert again is not None
    assert again.value == pytest.approx(0.2)
    assert (again.interval, again.p) == (None, 2 * 0.5**5)
    # Ratings differ, but not the differences within raters or within songs.
    assert mean_difference(
        [5, 3, 4, 2] * 2, [1, -1] * 4, list("aaaabbbb"), list("ssttsstt")
    ) == Estimate(2.0, None, 0.5)  # fmt: skip
    assert mean_difference(mild, side, raters, songs) == Estimate(0.0, None, 1.0)
    assert clustered([0.0, 0.0], 0.0, ["a", "b"], ["x", "y"]) == Estimate(0.0, None, 1.0)


def test_strengths_that_every_cluster_gives_have_the_sign_test_and_no_interval() -> None:
    raters, songs = np.repeat(np.arange(4), 4), np.tile(np.arange(4), 4)
    won = (raters != songs).astype(float)  # each rater, and each song, has three wins and one loss
    found = bradley_terry(["a"] * 16, ["b"] * 16, won, raters, songs, reference="b")
    assert not found.penalised
    assert found.of["a"].value == pytest.approx(math.log(3))
    assert (found.of["a"].interval, found.of["a"].p) == (None, 2 * 0.5**4)


def test_dominance_counts_pairs() -> None:
    one, other = [5, 4, 4, 2], [1, 4, 3]
    expected = np.sign(np.subtract.outer(one, other)).mean()
    found = dominance(one, other, list("abca"), list("abd"))
    assert found is not None
    assert found.value == pytest.approx(expected)
    assert found.interval is not None
    assert found.interval.low <= expected <= found.interval.high
    assert dominance([], other, [], list("abd")) is None


def test_dominance_within_pairs_counts_signs() -> None:
    found = paired_dominance([1, 2, 0, -1, NAN, 3])
    assert found is not None
    assert found.value == pytest.approx((3 - 1) / 5)
    assert paired_dominance([NAN]) is None
    # Six vocals that agree do not prove that all do.
    certain = paired_dominance([1, 1, 2, 3, 1, 1])
    assert certain is not None
    assert certain.interval is not None
    assert (certain.value, certain.interval.high) == (1.0, 1.0)
    assert certain.interval.low == pytest.approx(2 * 0.025 ** (1 / 6) - 1)


# ------------------------------------------------------------------------------------------------------- Bradley-Terry
def test_strengths_are_those_of_the_published_example() -> None:
    one, other = games()
    each = list(range(len(one)))
    found = bradley_terry(one, other, np.ones(len(one)), each, each, reference="Baltimore")
    assert not found.penalised
    assert [round(found.of[team].value, 2) for team in TEAMS[:-1]] == list(STRENGTHS)


def test_strengths_and_errors_are_those_of_statsmodels() -> None:
    import statsmodels.api as sm

    one, other = games()
    chance = np.random.default_rng(5)
    raters, songs = chance.integers(0, 9, len(one)), chance.integers(0, 14, len(one))
    won = np.where(chance.random(len(one)) < 0.1, 0.5, 1.0)
    found = bradley_terry(one, other, won, raters, songs, reference="Baltimore")
    design = np.array(
        [[(a == team) - (b == team) for team in TEAMS[:-1]] for a, b in zip(one, other, strict=True)], float
    )
    fitted = sm.GLM(won, design, family=sm.families.Binomial()).fit(
        cov_type="cluster", cov_kwds={"groups": np.stack([raters, songs], axis=1)}
    )
    n, k = design.shape
    for place, team in enumerate(TEAMS[:-1]):
        assert found.of[team].value == pytest.approx(fitted.params[place], abs=1e-6)
        interval = found.of[team].interval
        assert interval is not None
        error = (interval.high - found.of[team].value) / stats.t.ppf(0.975, 8)
        # statsmodels also multiplies the variance by (n − 1)/(n − k), for its k coefficients.
        assert error**2 * (n - 1) / (n - k) == pytest.approx(fitted.cov_params()[place, place], rel=1e-5)


def test_a_system_that_always_wins_has_firths_strength() -> None:
    one, other, won = list("aaaabbbc"), list("bbcccacb"), np.array([1, 1, 1, 1, 1, 0, 1, 1.0])
    raters, songs = [0, 1, 2, 0, 1, 2, 0, 1], [0, 0, 1, 1, 2, 2, 3, 3]
    found = bradley_terry(one, other, won, raters, songs, reference="c")
    assert found.penalised
    design = np.array([[(x == name) - (y == name) for name in "ab"] for x, y in zip(one, other, strict=True)], float)

    def penalised(strengths: np.ndarray) -> float:
        odds = design @ strengths
        weight = stats.logistic.pdf(odds)
        information = design.T @ (weight[:, None] * design)
        likelihood = (won * stats.logistic.logcdf(odds) + (1 - won) * stats.logistic.logsf(odds)).sum()
        return float(likelihood + 0.5 * np.log(np.linalg.det(information)))

    fitted = optimize.minimize(lambda strengths: -penalised(strengths), [0.0, 0.0], method="Nelder-Mead",
                               options={"xatol": 1e-9, "fatol": 1e-12})  # fmt: skip
    assert [found.of["a"].value, found.of["b"].value] == pytest.approx(fitted.x, abs=1e-5)
    # The test and the ends of the interval are those of the ratio of penalised likelihoods.
    without = optimize.minimize_scalar(lambda b: -penalised(np.array([0.0, b])))
    t = math.sqrt(2 * (without.fun - fitted.fun))
    assert found.of["a"].p == pytest.approx(2 * stats.t.sf(t, 2), rel=1e-4)
    interval = found.of["a"].interval
    assert interval is not None
    assert interval.low < 0 < found.of["a"].value < interval.high
    end = optimize.minimize_scalar(lambda b: -penalised(np.array([interval.low, b])))
    assert math.sqrt(2 * (end.fun - fitted.fun)) == pytest.approx(stats.t.ppf(0.975, 2), rel=1e-4)


def test_the_more_a_system_always_wins_the_surer_it_is() -> None:
    seen = []
    for count in (3, 5, 10, 30, 100):
        each = list(range(count))
        found = bradley_terry(["a"] * count, ["b"] * count, [1.0] * count, each, each, reference="b").of["a"]
        assert found.value == pytest.approx(math.log(2 * count + 1))
        assert found.p is not None
        assert found.p > 2 * 0.5**count  # not surer than the exact test of independent answers
        seen.append(found.p)
    assert seen == sorted(seen, reverse=True)
    assert seen[2] < 0.01


def test_only_systems_that_comparisons_link_have_strengths() -> None:
    found = bradley_terry(list("aac"), list("bbd"), [1, 0, 1], [0, 1, 2], [0, 1, 2], reference="b")
    assert list(found.of) == ["a"]
    assert bradley_terry(["b"], ["b"], [1], [0], [0], reference="b").of == {}
    with pytest.raises(UsageError, match="no comparison has the reference 'e'"):
        bradley_terry(list("aac"), list("bbd"), [1, 0, 1], [0, 1, 2], [0, 1, 2], reference="e")
