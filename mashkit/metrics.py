"""Compute measures of scores and probabilities from arrays.

The benchmark adds intervals over songs (:mod:`mashkit.bench.scorer_metrics`); the training of networks uses the plain
values.
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

    Raises
    ------
    UsageError
        If a score is NaN, which has no place in an order.

    Examples
    --------
    >>> from mashkit.metrics import ranks_among
    >>> ranks_among([0.9, 0.5, 0.1], [0.8, 0.5, 0.4]).tolist()
    [1.0, 2.5, 4.0]
    """
    values, ordered = _ordered(scores), np.sort(_ordered(others))
    above = len(ordered) - np.searchsorted(ordered, values, side="right")
    equal = len(ordered) - np.searchsorted(ordered, values, side="left") - above
    ranks: Values = 1 + above + equal / 2
    return ranks


def _ordered(scores: npt.ArrayLike) -> Values:
    values = np.asarray(scores, np.float64)
    if np.isnan(values).any():
        raise UsageError("a score is NaN", "leave out what has no score")
    return values


def roc_auc(positive: npt.ArrayLike, negative: npt.ArrayLike) -> float:
    """Return the area under the ROC curve: the share of pairs in which the positive is higher, ties half.

    Parameters
    ----------
    positive, negative : array-like of float, shape (n,) and (m,)

    Returns
    -------
    float
        0–1; 0.5 is chance; NaN if one of the classes is empty.

    Raises
    ------
    UsageError
        If a score is NaN, which has no place in an order.

    Examples
    --------
    >>> from mashkit.metrics import roc_auc
    >>> roc_auc([0.9, 0.4], [0.5, 0.1])
    0.75
    """
    good, bad = _ordered(positive), _ordered(negative)
    if not (len(good) and len(bad)):
        return float("nan")
    return float(1 - np.mean(ranks_among(good, bad) - 1) / len(bad))


def top_accuracy(positive: npt.ArrayLike, negative: npt.ArrayLike) -> float:
    """Return the accuracy if as many of the highest scores are called good as there are positives.

    It needs no threshold, so the scores need not be probabilities. Of scores that are equal at the border
    each counts in part. The definition is ours.

    Parameters
    ----------
    positive, negative : array-like of float, shape (n,) and (m,)

    Returns
    -------
    float
        Mean of the share of positives that are called good and the share of negatives that are not, 0–1; 0.5 is
        chance; NaN if one of the classes is empty.

    Raises
    ------
    UsageError
        If a score is NaN, which has no place in an order.

    Examples
    --------
    >>> from mashkit.metrics import top_accuracy
    >>> top_accuracy([0.9], [0.5, 0.1])
    1.0
    >>> top_accuracy([0.4], [0.5, 0.1])  # no positive, and one of two negatives
    0.25
    """
    good, bad = _ordered(positive), _ordered(negative)
    if not (len(good) and len(bad)):
        return float("nan")
    scores = np.concatenate([good, bad])
    border = np.sort(scores)[len(bad)]
    part = (len(good) - np.sum(scores > border)) / np.sum(scores == border)
    right = np.sum(good > border) + part * np.sum(good == border)
    return float((right / len(good) + 1 - (len(good) - right) / len(bad)) / 2)


@attrs.frozen
class Bin:
    """The examples with a probability in [low, high); the last bin contains probability 1, too.

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
        raise UsageError("a probability is outside 0–1", "give probabilities: only they can be calibrated")
    return np.minimum((probabilities * bins).astype(np.intp), bins - 1)


def reliability(positive: npt.ArrayLike, negative: npt.ArrayLike, bins: int = CALIBRATION_BINS) -> list[Bin]:
    """Return the bins of a reliability diagram that contain examples.

    Parameters
    ----------
    positive, negative : array-like of float, shape (n,) and (m,)
        The probabilities of the class good that a model gave to the positives and to the negatives, 0–1.
    bins : int

    Raises
    ------
    UsageError
        If a value is not between 0 and 1.

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
    """Return the expected calibration error, 0–1; 0 is best; NaN if there are no examples.

    It is the mean of ``|mean probability − share of positives|`` over the bins, weighted by their numbers of examples:
    Guo et al. 2017, equation 3. It depends on the ratio of positives to negatives.

    Parameters
    ----------
    positive, negative : array-like of float, shape (n,) and (m,)
        The probabilities of the class good that a model gave to the positives and to the negatives, 0–1.
    bins : int

    Raises
    ------
    UsageError
        If a value is not between 0 and 1.

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
