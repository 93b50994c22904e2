"""Temperatures are found that are known, and probabilities mean afterwards what they say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.optimize
import scipy.special

from mashkit.metrics import calibration_error
from mashkit_mashnet.checkpoint import Calibration
from mashkit_mashnet_train import calibration
from mashkit_mashnet_train.calibration import CalibrationError, Isotonic, bound_of, compare, fit, probabilities, quality
from mashkit_mashnet_train.training import Predictions


def simulated(temperature: float, bias: float, count: int = 40_000, seed: int = 0) -> Predictions:
    """Margins of which the calibration of that temperature and bias is the true probability, half of them good.

    Log odds of two normal distributions of equal variance σ² = 4 and means ±2 are themselves: they are calibrated.
    """
    source = np.random.default_rng(seed)
    targets = (np.arange(count) % 2).astype(float)
    odds = source.normal((2 * targets - 1) * 2, 2)
    return Predictions((odds - bias) * temperature, targets, np.arange(count) // 4)


@pytest.mark.parametrize(("temperature", "bias"), [(1, 0), (3, 0.5), (0.2, -1), (50, 2)])
def test_a_known_calibration_is_found(temperature: float, bias: float) -> None:
    found = fit(simulated(temperature, bias))
    assert found.temperature == pytest.approx(temperature, rel=0.04)
    assert found.bias == pytest.approx(bias, abs=0.05)


def test_temperature_alone_is_found() -> None:
    found = fit(simulated(3, 0), bias=False)
    assert found.temperature == pytest.approx(3, rel=0.04)
    assert found.bias == 0


def test_it_is_the_likeliest_there_is() -> None:
    predictions = simulated(2, 0.3, count=400)
    good = predictions.targets == 1
    n = good.sum()

    def cost(parameters: Any) -> float:
        p = scipy.special.expit(predictions.margins * parameters[0] + parameters[1])
        target = np.where(good, (n + 1) / (n + 2), 1 / (n + 2))
        return -float(np.sum(target * np.log(p) + (1 - target) * np.log(1 - p)))

    # Without derivatives, by another method.
    best = scipy.optimize.minimize(cost, [1.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12}).x
    found = fit(predictions)
    assert 1 / found.temperature == pytest.approx(best[0], rel=1e-4)
    assert found.bias == pytest.approx(best[1], abs=1e-4)


def test_how_many_there_are_of_a_class_does_not_matter() -> None:
    all_ = simulated(2, 0.3)
    few = np.flatnonzero((all_.targets == 0) | (np.arange(len(all_.targets)) % 10 == 1))
    found = fit(Predictions(all_.margins[few], all_.targets[few], all_.groups[few]))
    assert found.temperature == pytest.approx(2, rel=0.06)
    assert found.bias == pytest.approx(0.3, abs=0.08)


def test_unlabelled_and_order_do_not_matter() -> None:
    one = simulated(2, 0.3, count=200)
    more = Predictions(
        np.append(one.margins[::-1], [100.0, -100.0]), np.append(one.targets[::-1], [np.nan, np.nan]), np.arange(202)
    )
    found, expected = fit(more), fit(one)
    assert found.temperature == pytest.approx(expected.temperature, rel=1e-6)
    assert found.bias == pytest.approx(expected.bias, abs=1e-6)


def test_quality_does_not_depend_on_the_order_of_the_examples() -> None:
    all_ = simulated(0.5, 0.3, count=400)
    few = np.flatnonzero((all_.targets == 0) | (np.arange(400) % 7 == 1))
    values, targets = probabilities(all_.margins[few]), all_.targets[few]
    found = quality(values, targets)
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(few))
        other = quality(values[order], targets[order])
        assert other["calibration_error"] == pytest.approx(found["calibration_error"], abs=1e-12)
        assert [one["share"] for one in other["reliability"]] == pytest.approx(
            [one["share"] for one in found["reliability"]]
        )
    # Every example of the smaller class counts as if there were as many of both.
    good = targets == 1
    repeated = np.concatenate([np.repeat(values[good], (~good).sum()), np.repeat(values[~good], good.sum())])
    labels = np.repeat([1.0, 0.0], good.sum() * (~good).sum())
    assert quality(repeated, labels)["calibration_error"] == pytest.approx(found["calibration_error"])
    assert calibration_error(repeated[labels == 1], repeated[labels == 0]) == pytest.approx(found["calibration_error"])


@pytest.mark.parametrize(
    ("margins", "said"),
    [
        ([2.0, 1.0, -1.0, -2.0], "does not score good mashups above bad ones"),
        ([-2e-9, -1e-9, 1e-9, 2e-9], "scores hardly differ"),
        ([-2.0, 1.0, -1.0, 2.0], ""),
    ],
)
def test_a_fit_that_ends_at_a_bound_is_told(margins: list[float], said: str) -> None:
    made = fit(Predictions(np.array(margins), np.array([0.0, 0, 1, 1]), np.arange(4)))
    assert bool(bound_of(made)) == bool(said)
    assert said in bound_of(made)


def test_it_mends_what_is_overconfident() -> None:
    predictions = simulated(0.25, 0.5)
    before = quality(probabilities(predictions.margins), predictions.targets)
    after = quality(probabilities(predictions.margins, fit(predictions)), predictions.targets)
    assert before["calibration_error"] > 0.03
    assert after["calibration_error"] < 0.01
    assert after["log_loss"] < before["log_loss"]
    assert after["accuracy"] > before["accuracy"]
    for one in after["reliability"]:
        assert one["low"] <= one["probability"] <= one["high"]
        assert one["positives"] == pytest.approx(one["probability"], abs=0.05)
    assert sum(one["share"] for one in after["reliability"]) == pytest.approx(1)


def test_margins_that_tell_without_fail_or_not_at_all_stay_finite() -> None:
    targets = np.array([0.0, 0, 1, 1])
    groups = np.arange(4)
    sharp = fit(Predictions(np.array([-2.0, -1, 1, 2]), targets, groups))
    assert 0.05 < sharp.temperature < 5
    for margins in ([0.0, 0, 0, 0], [2.0, 1, -1, -2]):
        dull = fit(Predictions(np.array(margins), targets, groups))
        assert np.allclose(probabilities(margins, dull), 0.5, atol=0.01)


def test_ranks_stay_what_they_are() -> None:
    predictions = simulated(3, 1, count=100)
    order = np.argsort(predictions.margins)
    assert (np.diff(probabilities(predictions.margins, fit(predictions))[order]) >= 0).all()


def test_probabilities_are_those_of_the_checkpoint() -> None:
    torch = pytest.importorskip("torch")
    logits = torch.tensor([[0.3, 1.5], [2.0, -1.0]])
    made = Calibration(temperature=2.0, bias=0.25)
    margins = (logits[:, 1] - logits[:, 0]).double().numpy()
    assert probabilities(margins, made) == pytest.approx(made.probability(logits).numpy(), abs=1e-7)


def test_isotonic_rises_and_averages() -> None:
    predictions = Predictions(np.array([1.0, 2, 3, 4]), np.array([0.0, 1, 0, 1]), np.arange(4))
    found = Isotonic.fit(predictions)
    assert found([1.0, 2, 3, 4]) == pytest.approx([0, 0.5, 0.5, 1])
    assert found([-9.0, 9.0]) == pytest.approx([0, 1])


def test_ways_are_compared_on_what_they_were_not_fitted_on() -> None:
    # Margins that mean nothing: isotonic regression, let look at what it is judged on, would seem to know something.
    source = np.random.default_rng(1)
    noise = Predictions(source.normal(size=200), np.tile([0.0, 1.0], 100), np.arange(200) // 4)
    own = quality(Isotonic.fit(noise)(noise.margins), noise.targets)
    found = compare(noise)
    assert own["log_loss"] < np.log(2) < found["isotonic"]["log_loss"]
    assert found["platt"]["log_loss"] == pytest.approx(np.log(2), abs=0.03)
    told = compare(simulated(0.25, 1))
    assert told["platt"]["log_loss"] < told["temperature"]["log_loss"] < told["none"]["log_loss"]
    assert told["isotonic"]["calibration_error"] < 0.02


@pytest.mark.parametrize(("targets", "message"), [([1.0, 1.0], "no negatives"), ([0.0, np.nan], "no positives")])
def test_one_class_is_refused(targets: list[float], message: str) -> None:
    predictions = Predictions(np.array([1.0, 2.0]), np.array(targets), np.arange(2))
    with pytest.raises(CalibrationError, match=message):
        fit(predictions)
    with pytest.raises(CalibrationError, match=message):
        calibration.compare(predictions)
