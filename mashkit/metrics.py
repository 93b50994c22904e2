"""Measures of scores and probabilities, computed from arrays alone.

The benchmark uses them with intervals over songs (:mod:`mashkit.bench.scorer_metrics`), and the training of networks
uses them as they are.
"""

from __future__ import annotations

from typing import TypeAlias

import attrs
import numpy as np
import numpy.typing as npt

from mashkit.errors import UsageError

Values: TypeAlias = npt.NDArray[np.float64]

CALIBRATION_BINS = 10
"""Number of bins, of equal width, as in Guo et al., "On Calibration of Modern Neural Networks", ICML 2017."""


def ranks_among(scores: npt.ArrayLike, others: npt.ArrayLike) -> Values:
    """Return the rank of each score among other scores; 1 is best (docs/paper.md, row 32).

    Parameters
    ----------
    scores : array-like of float, shape (n,)
    others : array-like of float, shape (m,)

    Returns
    -------
    array of float64, shape (n,)
        1 + the number of others that are higher + half the number of others that are equal.
    """
    values, ordered = np.asarray(scores, np.float64), np.sort(np.asarray(others, np.float64))
    above = len(ordered) - np.searchsorted(ordered, values, side="right")
    equal = len(ordered) - np.searchsorted(ordered, values, side="left") - above
    ranks: Values = 1 + above + equal / 2
    return ranks


@attrs.frozen
class Bin:
    """The examples whose probability lies in [low, high); the last bin holds probability 1, too.

    Parameters
    ----------
    low, high : float
    count : int
        Number of these examples.
    probability : float
        Their mean probability.
    positives : float
        The share of positives among them.
    """

    low: float
    high: float
    count: int
    probability: float
    positives: float


def calibration_bins(probabilities: Values, bins: int = CALIBRATION_BINS) -> npt.NDArray[np.intp]:
    """Return the number of each probability's bin, from 0 on, shape (n,).

    Raises
    ------
    UsageError
        If a value is not between 0 and 1.
    """
    if len(probabilities) and not (probabilities.min() >= 0 and probabilities.max() <= 1):
        raise UsageError("a probability outside 0–1", "calibration is of probabilities")
    return np.minimum((probabilities * bins).astype(np.intp), bins - 1)


def reliability(positive: npt.ArrayLike, negative: npt.ArrayLike, bins: int = CALIBRATION_BINS) -> list[Bin]:
    """Return the bins of a reliability diagram that hold examples.

    Parameters
    ----------
    positive, negative : array-like of float, shape (n,) and (m,)
        The probabilities of good that the positives and the negatives were given, 0–1.
    bins : int

    Raises
    ------
    UsageError
        If a value is no probability.
    """
    good, bad = np.asarray(positive, np.float64), np.asarray(negative, np.float64)
    scores, labels = np.concatenate([good, bad]), np.concatenate([np.ones(len(good)), np.zeros(len(bad))])
    places = calibration_bins(scores, bins)
    return [
        Bin(
            place / bins,
            (place + 1) / bins,
            int(np.sum(places == place)),
            float(scores[places == place].mean()),
            float(labels[places == place].mean()),
        )
        for place in sorted({int(place) for place in places})
    ]


def calibration_error(positive: npt.ArrayLike, negative: npt.ArrayLike, bins: int = CALIBRATION_BINS) -> float:
    """Return the expected calibration error, 0–1; 0 is best; NaN without examples.

    It is the mean of ``|mean probability − share of positives|`` over the bins, weighted by their numbers of examples:
    Guo et al. 2017, equation 3. It depends on how many positives there are to how many negatives.

    Parameters
    ----------
    positive, negative : array-like of float, shape (n,) and (m,)
        The probabilities of good that the positives and the negatives were given, 0–1.
    bins : int

    Raises
    ------
    UsageError
        If a value is no probability.
    """
    excess, count = np.zeros(bins), 0
    for values, label in ((np.asarray(positive, np.float64), 1.0), (np.asarray(negative, np.float64), 0.0)):
        np.add.at(excess, calibration_bins(values, bins), values - label)
        count += len(values)
    return float(np.abs(excess).sum() / count) if count else float("nan")
