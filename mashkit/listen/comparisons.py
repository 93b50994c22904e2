"""Tests and effect sizes for two systems, and for all at once: the paper's, and tests for dependent ratings (ours).

The paper's tests take each clip's median as an observation of its own. Ratings of one rater are alike, though, and so
are ratings of one song. :func:`clustered` takes both into account, and :func:`mean_difference` compares within a rater;
:func:`mashkit.statistics.signed_rank` and :func:`friedman` compare within a vocal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from mashkit.statistics import EFFECT, LEVEL, ROUNDING, Interval, Values, interval, pair_ratio, ratio, value_of


@attrs.frozen
class Estimate:
    """A number, the ends of its interval, and how often it would be as far from zero by chance.

    ``interval`` and ``p`` are None where the data are too few. ``interval`` alone is None where every cluster gives the
    same value (:func:`clustered`), because nothing then says how far chance would move it.
    """

    value: float
    interval: Interval | None
    p: float | None


# ------------------------------------------------------------------------------------------------- the paper's tests
def mann_whitney(one: npt.ArrayLike, other: npt.ArrayLike) -> float | None:
    """Return the two-sided p-value of the Mann-Whitney U test, with corrections for ties and continuity.

    Parameters
    ----------
    one, other : array_like of float
        The values of each side, shapes (n,) and (m,); those that are not finite (NaN) are left out.

    Returns
    -------
    float or None
        None if a side is empty.
    """
    from scipy import stats

    first, second = _finite(one), _finite(other)
    if not len(first) or not len(second):
        return None
    if len(np.unique(np.concatenate([first, second]))) == 1:
        return 1.0  # nothing differs
    return float(stats.mannwhitneyu(first, second, alternative="two-sided").pvalue)


def rank_sum(one: npt.ArrayLike, other: npt.ArrayLike) -> float | None:
    """Return the two-sided p-value of Wilcoxon's rank-sum test by the normal distribution, without corrections.

    It differs from :func:`mann_whitney` by the corrections only.

    Parameters
    ----------
    one, other : array_like of float
        The values of each side, shapes (n,) and (m,); those that are not finite (NaN) are left out.

    Returns
    -------
    float or None
        None if a side is empty.
    """
    from scipy import stats

    first, second = _finite(one), _finite(other)
    if not len(first) or not len(second):
        return None
    return float(stats.ranksums(first, second).pvalue)


def _finite(values: npt.ArrayLike) -> Values:
    numbers = np.asarray(values, np.float64)
    finite: Values = numbers[np.isfinite(numbers)]
    return finite


# ------------------------------------------------------------------------------------------------- ours: all systems
def friedman(blocks: npt.ArrayLike) -> float | None:
    """Return the p-value of Friedman's test of equal systems, corrected for ties.

    Parameters
    ----------
    blocks : array_like of float
        Shape (vocals, systems); a vocal with a missing system (NaN) is left out.

    Returns
    -------
    float or None
        None with fewer than three systems or two vocals.
    """
    from scipy import stats

    values = _complete(blocks)
    if values.shape[0] < 2 or values.shape[1] < 3:
        return None
    if (values == values[:, :1]).all():
        return 1.0  # nothing differs within any vocal
    return float(stats.friedmanchisquare(*values.T).pvalue)


def post_hoc(blocks: npt.ArrayLike) -> Values | None:
    """Return p-values of all pairs of systems after Friedman's test (Conover's, not corrected).

    After Conover, "Practical Nonparametric Statistics", 3rd edition, 1999, section 5.8; by scikit-posthocs. Where every
    vocal has the same order, the ranks have no variance that a difference could be measured by: systems of different
    ranks then get NaN, those of equal ranks 1.

    Parameters
    ----------
    blocks : array_like of float
        Shape (vocals, systems); a vocal with a missing system (NaN) is left out.

    Returns
    -------
    ndarray of float64 or None
        Shape (systems, systems). None where :func:`friedman` gives none.
    """
    import scikit_posthocs
    from scipy import stats

    values = _complete(blocks)
    if values.shape[0] < 2 or values.shape[1] < 3:
        return None
    if (values == values[:, :1]).all():
        return np.ones((values.shape[1], values.shape[1]))
    ranks = stats.rankdata(values, axis=1)
    if (ranks == ranks[0]).all():
        return np.where(np.equal.outer(ranks[0], ranks[0]), 1.0, np.nan)
    found: Values = np.array(scikit_posthocs.posthoc_conover_friedman(values), np.float64)
    return found


def _complete(blocks: npt.ArrayLike) -> Values:
    values = np.asarray(blocks, np.float64)
    complete: Values = values[np.isfinite(values).all(axis=1)]
    return complete


# ------------------------------------------------------------------------------------------------- ours: two systems
def clustered(influence: npt.ArrayLike, value: float, raters: Sequence[Any], songs: Sequence[Any]) -> Estimate:
    """Return an estimate with an interval and a test that let ratings of one rater, and of one song, be alike.

    The variance is that by raters plus that by songs minus that by both together (Cameron, Gelbach and Miller, "Robust
    inference with multiway clustering", Journal of Business & Economic Statistics 29(2), 2011, equation 2.11), each
    times G/(G−1) of its G clusters. It is what a bootstrap over both clusters estimates, without drawing. The
    distribution is t with one degree less than the smaller number of clusters (section 2.3 there). Where chance makes
    the sum negative, the larger of the first two is taken (ours).

    Where both of these are 0, each rater alone, and each song alone, gives the same value. There is no interval then,
    because an interval without length would say that the value is certain. The test is the sign test (Dixon and Mood,
    "The statistical sign test", Journal of the American Statistical Association 41(236), 1946) of the kind of cluster
    of which there are fewer: if the truth were 0, each of its G clusters would be on either side with a chance of one
    half, so that all are on one side with a chance of 2^(1−G). Signs of whole clusters may be tested so because the
    answers within a cluster may depend on each other in any way (Canay, Romano and Shaikh, "Randomization tests under
    an approximate symmetry assumption", Econometrica 85(3), 2017).

    Parameters
    ----------
    influence : array_like
        What each rating adds to the estimate's error, shape (ratings,); they sum to 0.
    value : float
        The estimate.
    raters, songs : sequence
        The clusters of each rating.

    Returns
    -------
    Estimate
        Without interval and p with one rater, or one song.
    """
    from scipy import stats

    found = variance_of(influence, raters, songs)
    if found is None:
        return Estimate(value, None, None)
    variance, degrees = found
    if variance <= 0:
        is_zero = abs(value) <= ROUNDING * float(np.abs(influence).sum())
        return Estimate(value, None, 1.0 if value == 0 or is_zero else 2.0**-degrees)
    error = math.sqrt(variance)
    reach = float(stats.t.ppf((1 + LEVEL) / 2, degrees)) * error
    p = 2 * float(stats.t.sf(abs(value) / error, degrees))
    return Estimate(value, Interval(value - reach, value + reach), p)


def variance_of(influence: npt.ArrayLike, raters: Sequence[Any], songs: Sequence[Any]) -> tuple[float, int] | None:
    """Return the variance of :func:`clustered` and its degrees of freedom; None with one rater, or one song."""
    errors = np.asarray(influence, np.float64)
    by_rater, rater_of = np.unique(np.asarray(raters), return_inverse=True)
    by_song, song_of = np.unique(np.asarray(songs), return_inverse=True)
    fewest = min(len(by_rater), len(by_song))
    if fewest < 2:
        return None
    variances = [_cluster_variance(errors, of) for of in (rater_of, song_of, rater_of * len(by_song) + song_of)]
    both = variances[0] + variances[1] - variances[2]
    return both if both > ROUNDING * variances[2] else max(variances[:2]), fewest - 1


def _cluster_variance(errors: Values, clusters: npt.NDArray[np.intp]) -> float:
    _, numbers = np.unique(clusters, return_inverse=True)
    sums = _without_rounding(np.bincount(numbers, weights=errors).astype(np.float64), float(np.abs(errors).sum()))
    return float(len(sums) / (len(sums) - 1) * (sums**2).sum())


def _without_rounding(values: Values, scale: float) -> Values:
    """Return the values, with 0 for those that are rounding errors of numbers as large as ``scale``."""
    return np.where(np.abs(values) > ROUNDING * scale, values, 0.0)


def mean_difference(
    ratings: npt.ArrayLike, side: npt.ArrayLike, raters: Sequence[Any], songs: Sequence[Any]
) -> Estimate | None:
    """Return the difference of the mean ratings of two sides within raters, one − other, by :func:`clustered`.

    It is the coefficient of the side in a linear regression with an effect of each rater, so that a mild rater does not
    favour a side. Such a regression is that of the ratings less their rater's mean on the side less its rater's mean
    (Frisch and Waugh, "Partial time regressions as compared with individual trends", Econometrica 1(4), 1933). The side
    must be centred, too, because a rater's mean contains a part of the difference: with centred ratings alone, the
    difference would be too near to 0. Who rated one side only tells nothing of the difference within a rater, and is
    left out.

    Parameters
    ----------
    ratings : array_like
        Shape (ratings,); those that are not finite (NaN) are left out.
    side : array_like
        1 for a rating of the one, −1 of the other, shape (ratings,).
    raters, songs : sequence

    Returns
    -------
    Estimate or None
        None if nobody rated both sides. Without interval and p if one rater did, or all that they rated is one song.
    """
    values, signs = np.asarray(ratings, np.float64), np.asarray(side)
    there = np.isfinite(values) & (signs != 0)
    by_rater, by_song = np.asarray(raters)[there], np.asarray(songs)[there]
    _, numbers = np.unique(by_rater, return_inverse=True)
    of_rater = np.bincount(numbers)

    def centred(given: Values) -> Values:
        means = np.bincount(numbers, weights=given) / of_rater
        return _without_rounding(given - means[numbers], float(np.abs(given).max(initial=0)))

    sides, within = centred(np.sign(signs[there]) / 2), centred(values[there])  # halves, so that the two are 1 apart
    both = sides != 0
    if not both.any():
        return None
    sides, within = sides[both], within[both]
    spread = float((sides**2).sum())
    difference = float((sides * within).sum()) / spread
    errors = _without_rounding(within - difference * sides, float(np.abs(within).max()))
    return clustered(sides * errors / spread, difference, by_rater[both], by_song[both])


# ------------------------------------------------------------------------------------------------------- effect sizes
def dominance(
    one: npt.ArrayLike, other: npt.ArrayLike, songs_one: Sequence[Any], songs_other: Sequence[Any]
) -> Estimate | None:
    """Return Cliff's delta, P(one > other) − P(one < other), with a bootstrap interval over songs.

    After Cliff, "Dominance statistics", Psychological Bulletin 114(3), 1993.

    Parameters
    ----------
    one, other : array_like of float
        The values of each side, shapes (n,) and (m,). No value may be NaN, because none is left out: with one, the
        result is NaN.
    songs_one, songs_other : sequence
        The song of each value, lengths n and m.

    Returns
    -------
    Estimate or None
        None if a side is empty.
    """
    first, second = np.asarray(one, np.float64), np.asarray(other, np.float64)
    if not len(first) or not len(second):
        return None
    names, numbers = np.unique(np.concatenate([np.asarray(songs_one), np.asarray(songs_other)]), return_inverse=True)
    rows, columns = numbers[: len(first)], numbers[len(first) :]
    above, pairs = np.zeros((2, len(names), len(names)))
    np.add.at(above, (rows[:, None], columns[None]), np.sign(np.subtract.outer(first, second)))
    np.add.at(pairs, (rows[:, None], columns[None]), 1.0)
    statistic = pair_ratio(above, pairs, EFFECT, 0.0)
    return Estimate(value_of(statistic), interval(statistic), None)


def paired_dominance(differences: npt.ArrayLike) -> Estimate | None:
    """Return the share of vocals where the one is better less the share where it is worse, with an interval.

    Cliff's delta within pairs (section "Paired data" of the article of :func:`dominance`); bootstrap over vocals.

    Parameters
    ----------
    differences : array_like of float
        The one less the other of each vocal, shape (vocals,); those that are not finite (NaN) are left out.

    Returns
    -------
    Estimate or None
        None if there is no difference.
    """
    signs = np.sign(_finite(differences))
    if not len(signs):
        return None
    statistic = ratio(signs, np.ones(len(signs)), EFFECT, 0.0)
    return Estimate(value_of(statistic), interval(statistic), None)
