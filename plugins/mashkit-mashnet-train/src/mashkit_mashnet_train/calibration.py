"""Calibration: maps from log odds to probabilities, fitted on validation songs.

Positives and negatives have the same total weight everywhere, as in training and in the paper's accuracy. So
probability 0.5 means good and bad are equally likely if both are equally frequent. Unlabelled examples are not used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
import scipy.optimize
import scipy.special

from mashkit.errors import MashkitError
from mashkit.metrics import CALIBRATION_BINS, Values, calibration_bins
from mashkit_mashnet.checkpoint import Calibration
from mashkit_mashnet_train.training import Predictions

SLOPES = (1e-3, 1e3)
"""Bounds of 1 / temperature; useless margins would give 0, and margins that are always wrong a negative value."""
FOLDS = 5
"""Number of parts of the vocals for the comparison of calibration methods."""


class CalibrationError(MashkitError):
    """Predictions that lack positives or negatives, so that no calibration can be fitted."""


def fit(predictions: Predictions, *, bias: bool = True) -> Calibration:
    """Return the calibration with the largest likelihood for the labelled examples.

    p(good) = sigmoid(margin / temperature + bias), fitted by maximum likelihood with Platt's targets: (n + 1)/(n + 2)
    for positives and 1/(n + 2) for negatives, with n the number of each. These targets keep the fit finite even where a
    margin separates both classes perfectly (Platt, "Probabilistic outputs for support vector machines", 1999, section
    2.2).

    Parameters
    ----------
    predictions : Predictions
        Predictions for songs that the network was not trained on.
    bias : bool
        False fits temperature scaling: Guo et al., "On calibration of modern neural networks", ICML 2017, equation 9.

    Raises
    ------
    CalibrationError
        If there are no positives or no negatives.
    """
    margins, labels = _labelled(predictions)
    good = labels == 1
    targets = np.where(good, (good.sum() + 1) / (good.sum() + 2), 1 / ((~good).sum() + 2))
    weights = _balanced(labels)

    def cost(parameters: Values) -> tuple[float, Values]:
        odds = parameters[0] * margins + parameters[1]
        excess = weights * (scipy.special.expit(odds) - targets)
        value = np.sum(weights * (np.logaddexp(0, odds) - targets * odds))
        return float(value), np.array([excess @ margins, excess.sum()])

    # Margins may have any scale, so the search starts at the slope that gives them a standard deviation of 1.
    begin = np.array([np.clip(1 / max(float(np.std(margins)), 1e-9), *SLOPES), 0.0])
    bounds = [SLOPES, (None, None) if bias else (0.0, 0.0)]
    found = scipy.optimize.minimize(
        cost, begin, jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-15, "gtol": 1e-10, "maxiter": 1000}
    )
    return Calibration(temperature=1 / found.x[0], bias=found.x[1])


def bound_of(calibration: Calibration) -> str:
    """Return what a fit that ended at a bound means; empty for others."""
    slope = 1 / calibration.temperature
    if slope <= SLOPES[0] * (1 + 1e-6):
        return (
            f"the fit ended at its bound, a temperature of {calibration.temperature:g}: on the validation songs, the "
            "network does not score good mashups above bad ones, so its probabilities say nothing"
        )
    if slope >= SLOPES[1] * (1 - 1e-6):
        return (
            f"the fit ended at its bound, a temperature of {calibration.temperature:g}: the network's scores hardly "
            "differ, so small errors of arithmetic change its probabilities"
        )
    return ""


def probabilities(margins: npt.ArrayLike, calibration: Calibration | None = None) -> Values:
    """Return p(good), shape (examples,); without a calibration it is the softmax of the logits."""
    odds = np.asarray(margins, np.float64)
    if calibration is not None:
        odds = odds / calibration.temperature + calibration.bias
    found: Values = scipy.special.expit(odds)
    return found


@attrs.frozen(eq=False)
class Isotonic:
    """The likeliest probabilities that rise with the margin, without the shape of a sigmoid.

    Zadrozny and Elkan, "Transforming classifier scores into accurate multiclass probability estimates", KDD 2002. It is
    for comparison only: it also fits the chance errors of a validation set, and its flat steps cannot rank examples.

    Parameters
    ----------
    margins, values : array of float64, shape (n,)
        Straight lines connect these points; beyond them, the outermost value holds.
    """

    margins: Values
    values: Values

    @classmethod
    def fit(cls, predictions: Predictions) -> Isotonic:
        """Return the fit to the labelled examples; raises as :func:`fit` does."""
        margins, labels = _labelled(predictions)
        places, where = np.unique(margins, return_inverse=True)
        weights = _balanced(labels)
        totals = np.bincount(where, weights)
        means = np.bincount(where, weights * labels) / totals
        return cls(places, scipy.optimize.isotonic_regression(means, weights=totals).x)

    def __call__(self, margins: npt.ArrayLike) -> Values:
        """Return p(good), shape (examples,)."""
        return np.interp(np.asarray(margins, np.float64), self.margins, self.values)


def quality(probability: npt.ArrayLike, targets: npt.ArrayLike) -> dict[str, Any]:
    """Return measures of how well probabilities are calibrated; both classes have the same total weight.

    - "log_loss": in nats;
    - "calibration_error": expected calibration error (:func:`mashkit.metrics.calibration_error`), each example with the
      weight of its class, so that the order of the examples does not matter;
    - "accuracy": mean over both classes of the share on the right side of 0.5; exactly 0.5 counts as good;
    - "reliability": the bins of a reliability diagram, with the share of each class's examples in the bin.
    """
    values, wanted = np.asarray(probability, np.float64), np.asarray(targets, np.float64)
    known = ~np.isnan(wanted)
    values, wanted = values[known], wanted[known]
    good, weights = wanted == 1, _balanced(wanted)
    tiny = np.finfo(np.float64).tiny
    losses = -np.log(np.maximum(np.where(good, values, 1 - values), tiny))
    places = calibration_bins(values)
    bins = [_bin(int(place), values[own], good[own], weights[own])
            for place, own in ((place, places == place) for place in np.unique(places))]  # fmt: skip
    return {
        "log_loss": float(losses @ weights),
        "calibration_error": sum(one["share"] * abs(one["probability"] - one["positives"]) for one in bins),
        "accuracy": float(((values[good] >= 0.5).mean() + (values[~good] < 0.5).mean()) / 2),
        "reliability": bins,
    }


def compare(predictions: Predictions, folds: int = FOLDS) -> dict[str, dict[str, Any]]:
    """Return the :func:`quality` of each calibration method on vocals that it was not fitted on.

    The methods are "none", "temperature", "platt" (temperature and bias) and "isotonic". Vocals are divided into folds
    in the order of their groups.

    Raises
    ------
    CalibrationError
        If there are no positives or no negatives outside of some fold.
    """
    known = predictions.labelled()
    _labelled(known)
    ways: Mapping[str, Callable[[Predictions], Callable[[Values], Values]]] = {
        "none": lambda seen: probabilities,
        "temperature": lambda seen: _sigmoid(fit(seen, bias=False)),
        "platt": lambda seen: _sigmoid(fit(seen)),
        "isotonic": Isotonic.fit,
    }
    _, places = np.unique(known.groups, return_inverse=True)
    found = {}
    for name, way in ways.items():
        made = np.empty(len(known.margins))
        for fold in np.unique(places % folds):
            held = places % folds == fold
            seen = Predictions(known.margins[~held], known.targets[~held], known.groups[~held])
            made[held] = way(seen)(known.margins[held])
        found[name] = quality(made, known.targets)
    return found


def _sigmoid(calibration: Calibration) -> Callable[[Values], Values]:
    return lambda margins: probabilities(margins, calibration)


def _bin(place: int, values: Values, good: npt.NDArray[np.bool_], weights: Values) -> dict[str, float]:
    """Return a bin of a reliability diagram; all means are weighted."""
    share = float(weights.sum())
    return {
        "low": place / CALIBRATION_BINS,
        "high": (place + 1) / CALIBRATION_BINS,
        "share": share,
        "probability": float(weights @ values) / share,
        "positives": float(weights @ good) / share,
    }


def _labelled(predictions: Predictions) -> tuple[Values, Values]:
    known = predictions.labelled()
    for name, value in (("positives", 1), ("negatives", 0)):
        if not (known.targets == value).any():
            raise CalibrationError(f"there are no {name} to calibrate on", "validate on songs with both classes")
    return known.margins, known.targets


def _balanced(labels: Values) -> Values:
    """Return weights that sum to 1, one half for each class."""
    good = labels == 1
    weights: Values = np.where(good, 0.5 / max(good.sum(), 1), 0.5 / max((~good).sum(), 1))
    return weights
