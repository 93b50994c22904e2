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

    Examples
    --------
    >>> from mashkit.metrics import ranks_among
    >>> ranks_among([0.9, 0.5, 0.1], [0.8, 0.5, 0.4]).tolist()
    [1.0, 2.5, 4.0]
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

    Examples
    --------
    >>> from mashkit.metrics import reliability
    >>> (one,) = reliability(positive=[0.75], negative=[0.75], bins=2)
    >>> one
    Bin(low=0.5, high=1.0, count=2, probability=0.75, positives=0.5)
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

    Examples
    --------
    >>> import numpy as np
    >>> from mashkit.metrics import calibration_bins
    >>> calibration_bins(np.array([0.0, 0.19, 0.2, 1.0]), bins=5).tolist()
    [0, 0, 1, 4]
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

    Examples
    --------
    >>> from mashkit.metrics import reliability
    >>> for one in reliability(positive=[0.9, 0.7, 0.6], negative=[0.1, 0.3, 0.8], bins=2):
    ...     print(one.low, one.high, one.count, round(one.probability, 2), round(one.positives, 2))
    0.0 0.5 2 0.2 0.0
    0.5 1.0 4 0.75 0.75
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

    Examples
    --------
    >>> from mashkit.metrics import calibration_error
    >>> calibration_error([0.75, 0.75, 0.75], [0.75])  # of what got 0.75, three quarters are good
    0.0
    >>> calibration_error([1.0, 1.0], [1.0, 1.0])
    0.5
    """
    excess, count = np.zeros(bins), 0
    for values, label in ((np.asarray(positive, np.float64), 1.0), (np.asarray(negative, np.float64), 0.0)):
        np.add.at(excess, calibration_bins(values, bins), values - label)
        count += len(values)
    return float(np.abs(excess).sum() / count) if count else float("nan")
