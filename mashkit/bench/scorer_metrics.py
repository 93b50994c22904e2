"""How well scores tell good mashups from bad: ranks, areas, accuracy, calibration, preference.

Conventions: a class of examples is its scores, each with the number of its vocal's song; higher scores are better.
Every metric comes as a statistic of the songs' weights (:mod:`mashkit.bench.statistics`), so that its value, its
interval and its value in each song are those of one formula. A class without examples makes it NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from mashkit import metrics
from mashkit.bench.statistics import Statistic, Values, pair_ratio, ratio
from mashkit.errors import UsageError
from mashkit.metrics import CALIBRATION_BINS, Bin, calibration_bins, ranks_among

THRESHOLD = 0.5
"""At and above it a probability says "good" (docs/paper.md, row 31)."""


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
        Number of each one's song, 0 … ``count`` − 1.
    count : int
        Songs in all, with or without examples here.

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
        """Return one sum a song of one value an example."""
        return np.bincount(self.songs, np.asarray(values, np.float64), minlength=self.count).astype(np.float64)


# ------------------------------------------------------------------------------------------------------------ ranks
def mean_over(examples: Examples, values: npt.ArrayLike) -> Statistic:
    """Return the mean of one value an example."""
    return ratio(examples.sums(values), examples.sums(np.ones(len(examples.songs))))


def beaten_by(positive: Examples, others: Examples) -> Statistic:
    """Return the share of ``others`` that a positive lies below, ties half: its normalised rank, (rank − 1)/n, mean.

    0 is best, 0.5 chance.
    """
    above, pairs = np.zeros((positive.count, positive.count)), np.zeros((positive.count, positive.count))
    for song in np.unique(others.songs):
        own = others.scores[others.songs == song]
        above[:, song] = positive.sums(ranks_among(positive.scores, own) - 1)
        pairs[:, song] = positive.sums(np.full(len(positive.songs), len(own)))
    return pair_ratio(above, pairs)


def average_rank(positive: Examples, unlabelled: Examples) -> Statistic:
    """Return the average rank of positives among the unlabelled (docs/paper.md, row 32); 1 is best.

    Of resampled songs, as among as many unlabelled as there are: 1 + n · normalised rank.
    """
    share, n = beaten_by(positive, unlabelled), len(unlabelled.songs)
    return lambda weights: 1 + n * share(weights)


def roc_auc(positive: Examples, negative: Examples) -> Statistic:
    """Return the area under the ROC curve: how often a positive scores above a negative, ties half."""
    share = beaten_by(positive, negative)
    return lambda weights: 1 - share(weights)


# ------------------------------------------------------------------------------------------------ probabilities
def accuracy(positive: Examples, negative: Examples, threshold: float = THRESHOLD) -> Statistic:
    """Return the mean of the two classes' shares on their side of the threshold; at it counts as good.

    With classes of one size, as in the paper, it is the share of examples classified rightly.
    """
    good = mean_over(positive, positive.scores >= threshold)
    bad = mean_over(negative, negative.scores < threshold)
    return lambda weights: (good(weights) + bad(weights)) / 2


def reliability(positive: Examples, negative: Examples, bins: int = CALIBRATION_BINS) -> list[Bin]:
    """Return the bins of a reliability diagram that hold examples; raises as :func:`mashkit.metrics.reliability`."""
    return metrics.reliability(positive.scores, negative.scores, bins)


def calibration_error(positive: Examples, negative: Examples, bins: int = CALIBRATION_BINS) -> Statistic:
    """Return the expected calibration error as a statistic of songs: see :func:`mashkit.metrics.calibration_error`.

    Raises
    ------
    UsageError
        If a score is no probability.
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

    return statistic


# --------------------------------------------------------------------------------------------------------- twins
def preferred(originals: Examples, twins: Sequence[float] | Values) -> Statistic:
    """Return the share of twins in which the original scores higher, ties half; 0.5 is chance."""
    gap = originals.scores - np.asarray(twins, np.float64)
    return mean_over(originals, (gap > 0) + (gap == 0) / 2)
