"""Metrics of scores of good and bad mashups: ranks, areas, accuracy, calibration, preference.

Conventions: a class of examples consists of scores, each with the number of its vocal's song; higher scores are better.
Equal scores are ties; :func:`tied` makes those equal that differ by rounding alone, before any metric. Every metric is
a statistic of the songs' weights (:mod:`mashkit.statistics`), so that its value, its interval and its value in each
song come from one formula. A class without examples makes the metric NaN. The functions take arrays and import nothing
else of the benchmark.

Examples
--------
>>> from mashkit.statistics import interval, value_of
>>> good = Examples(scores=[0.9, 0.8, 0.4], songs=[0, 1, 2], count=3)
>>> bad = Examples(scores=[0.5, 0.1, 0.2], songs=[0, 1, 2], count=3)
>>> area = roc_auc(good, bad)
>>> round(value_of(area), 3)  # eight of nine pairs
0.889
>>> interval(area).high
1.0
>>> value_of(accuracy(good, bad)) == (2 / 3 + 2 / 3) / 2
True
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from mashkit import metrics
from mashkit.errors import UsageError
from mashkit.metrics import CALIBRATION_BINS, Bin, calibration_bins, ranks_among
from mashkit.statistics import SHARE, Statistic, Values, combined, pair_ratio, ratio

THRESHOLD = 0.5
"""A probability at or above it counts as "good" (docs/paper.md, row 31)."""
LAST_BITS = 2.0**-48
"""Relative size, 16 units in the last place, of differences of scores that are taken for rounding (ours)."""


def _floats(values: Any) -> Values:
    return np.asarray(values, np.float64)


def _indices(values: Any) -> npt.NDArray[np.intp]:
    return np.asarray(values, np.intp)


@attrs.frozen(eq=False)
class Examples:
    """Scores of one class.

    Parameters
    ----------
    scores : array of float64, shape (n,)
        Finite.
    songs : array of int, shape (n,)
        Number of each example's song, 0 … ``count`` − 1.
    count : int
        Number of all songs, with or without examples in this class.

    Raises
    ------
    UsageError
        If the two differ in length, a score is not finite or a song is out of range.
    """

    scores: Values = attrs.field(converter=_floats)
    songs: npt.NDArray[np.intp] = attrs.field(converter=_indices)
    count: int

    def __attrs_post_init__(self) -> None:
        if self.scores.ndim != 1 or self.scores.shape != self.songs.shape:
            raise UsageError(f"scores of shape {self.scores.shape}, songs of shape {self.songs.shape}")
        if not np.isfinite(self.scores).all():
            raise UsageError("a score is NaN or infinite", "leave out what could not be scored, and say so")
        if len(self.songs) and not (self.songs.min() >= 0 and self.songs.max() < self.count):
            raise UsageError(f"songs run to {self.songs.max()}, of {self.count}")

    def sums(self, values: npt.ArrayLike) -> Values:
        """Return, for each song, the sum of one value an example."""
        return np.bincount(self.songs, np.asarray(values, np.float64), minlength=self.count).astype(np.float64)


# ------------------------------------------------------------------------------------------------------------- ties
def tied(scores: Iterable[float]) -> dict[float, float]:
    """Return what each of a competitor's scores is compared as: those that differ in their last bits alone are equal.

    The same sum in another order has other last bits. From the highest score on, each that is within :data:`LAST_BITS`
    of a higher one counts as that one. The difference is relative to the two scores, not to the spread of all.
    Otherwise small probabilities, which have all their digits, would be ties beside large ones, and one score far from
    the others would make ties of those.

    Parameters
    ----------
    scores : iterable of float
        Finite.

    Examples
    --------
    >>> tied([0.3, 0.1 + 0.2, 0.30001])
    {0.30001: 0.30001, 0.30000000000000004: 0.30000000000000004, 0.3: 0.30000000000000004}
    """
    found: dict[float, float] = {}
    for score in sorted(set(scores), reverse=True):
        higher = next(reversed(found.values()), score)
        near = math.isfinite(higher - score) and higher - score <= LAST_BITS * max(abs(higher), abs(score))
        found[score] = higher if near else score
    return found


# ------------------------------------------------------------------------------------------------------------ ranks
def mean_over(
    examples: Examples, values: npt.ArrayLike, within: tuple[float, float] = SHARE, tie: float | None = None
) -> Statistic:
    """Return the mean of one value an example; each lies within these numbers, and ``tie`` is one that decides nothing.

    See :class:`mashkit.statistics.Statistic`.
    """
    return ratio(examples.sums(values), examples.sums(np.ones(len(examples.songs))), within, tie)


def beaten_by(positive: Examples, others: Examples) -> Statistic:
    """Return the mean normalised rank of positives, (rank − 1)/n: the share of ``others`` above a positive, ties half.

    0 is best, 0.5 chance.
    """
    return normalised_rank([(positive, others)])


def normalised_rank(draws: Iterable[tuple[Examples, Examples]]) -> Statistic:
    """Return the share of the unlabelled of its draw that is above a positive, ties half, over all pairs of a draw.

    Parameters
    ----------
    draws : iterable of (positive, unlabelled)
        The two classes of each draw, one draw or more, all of the same songs.
    """
    sums = [_above(positive, unlabelled) for positive, unlabelled in draws]
    return pair_ratio(sum(above for above, _ in sums), sum(pairs for _, pairs in sums), SHARE, 0.5)


def _above(positive: Examples, others: Examples) -> tuple[Values, Values]:
    """Return by pair of songs how many of ``others`` are above positives, ties half, and how many pairs there are."""
    above, pairs = np.zeros((2, positive.count, positive.count))
    for song in np.unique(others.songs):
        own = others.scores[others.songs == song]
        above[:, song] = positive.sums(ranks_among(positive.scores, own) - 1)
        pairs[:, song] = positive.sums(np.full(len(positive.songs), len(own)))
    return above, pairs


def average_rank(draws: Sequence[tuple[Examples, Examples]]) -> Statistic:
    """Return the average rank of positives among the unlabelled of their draw (docs/paper.md, row 32); 1 is best.

    For resampled songs it is 1 + n · normalised rank, with n the number of unlabelled examples that a positive of the
    sample itself is ranked among, on average.

    Parameters
    ----------
    draws : sequence of (positive, unlabelled)
        As in :func:`normalised_rank`.

    Examples
    --------
    >>> from mashkit.statistics import value_of
    >>> good, bad = Examples([0.5], [0], count=1), Examples([0.9, 0.1], [0, 0], count=1)
    >>> value_of(average_rank([(good, bad)]))
    2.0
    >>> value_of(average_rank([(good, bad)] * 3))  # drawn three times: not a larger rank
    2.0
    """
    positives = sum(len(positive.songs) for positive, _ in draws)
    n = sum(len(positive.songs) * len(unlabelled.songs) for positive, unlabelled in draws) / max(positives, 1)
    return combined(lambda share: 1 + n * share, normalised_rank(draws))


def roc_auc(positive: Examples, negative: Examples) -> Statistic:
    """Return the area under the ROC curve: how often a positive scores above a negative, ties half."""
    return combined(lambda share: 1 - share, beaten_by(positive, negative))


# ------------------------------------------------------------------------------------------------ probabilities
def accuracy(positive: Examples, negative: Examples) -> Statistic:
    """Return the mean of the two classes' shares on their side of :data:`THRESHOLD`; a score at the threshold is good.

    With classes of equal size, as in the paper, it is the share of examples that are classified correctly.
    """
    # What answers the same to all is right in all of one class and in none of the other: half, and nothing decided.
    good = mean_over(positive, positive.scores >= THRESHOLD, tie=0.5)
    bad = mean_over(negative, negative.scores < THRESHOLD, tie=0.5)
    return combined(lambda *shares: sum(shares) / 2, good, bad)


def reliability(positive: Examples, negative: Examples, bins: int = CALIBRATION_BINS) -> list[Bin]:
    """Return the bins of a reliability diagram that hold examples; raises as :func:`mashkit.metrics.reliability`."""
    return metrics.reliability(positive.scores, negative.scores, bins)


def calibration_error(positive: Examples, negative: Examples, bins: int = CALIBRATION_BINS) -> Statistic:
    """Return the expected calibration error as a statistic of songs: see :func:`mashkit.metrics.calibration_error`.

    Raises
    ------
    UsageError
        If a score is not a probability.
    """
    excess, counts = np.zeros((bins, positive.count)), np.zeros(positive.count)
    for examples, label in ((positive, 1.0), (negative, 0.0)):
        places = calibration_bins(examples.scores, bins)
        np.add.at(excess, (places, examples.songs), examples.scores - label)
        counts += examples.sums(np.ones(len(examples.songs)))

    def statistic(weights: Values) -> Values:
        total = weights @ counts
        off = np.abs(weights @ excess.T).sum(axis=1)
        quotient: Values = np.divide(off, total, out=np.full(total.shape, np.nan), where=total > 0)
        return quotient

    return Statistic(statistic, counts > 0, SHARE)


# --------------------------------------------------------------------------------------------------------- twins
def preferred(originals: Examples, twins: Sequence[float] | Values) -> Statistic:
    """Return the share of twins in which the original scores higher, ties half; 0.5 is chance."""
    others = np.asarray(twins, np.float64)
    higher = np.where(originals.scores == others, 0.5, originals.scores > others)
    return mean_over(originals, higher, tie=0.5)
