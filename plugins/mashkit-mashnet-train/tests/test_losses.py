"""The losses have their golden values, and change only with what they should."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from mashkit_mashnet.loops import MARGIN
from mashkit_mashnet.networks import margins
from mashkit_mashnet_train.losses import (
    Objective,
    Unlabelled,
    class_targets,
    classification_loss,
    contrastive_loss,
    loss,
    ranking_loss,
)

NAN = float("nan")
TARGETS = torch.tensor([1.0, 0.0, NAN, 1.0, 0.0, NAN, 0.0])
GROUPS = torch.tensor([0, 0, 0, 1, 1, 2, 2])


def logits(seed: int = 0, count: int = 7) -> torch.Tensor:
    return torch.randn(count, 2, generator=torch.Generator().manual_seed(seed)) * 3


def total(values: torch.Tensor, unlabelled: Unlabelled = "lsro", ranking: float = 0.5) -> torch.Tensor:
    return loss(values, TARGETS, GROUPS, Objective(unlabelled=unlabelled, ranking=ranking)).total


def test_labelled_examples_have_torchs_cross_entropy() -> None:
    values, targets = logits(), torch.tensor([1.0, 0, 1, 1, 0, 0, 0])
    for unlabelled in ("drop", "lsro", "pseudo"):
        # Each class has the same weight: torch divides by the sum of the examples' weights.
        expected = functional.cross_entropy(values, targets.long(), weight=torch.tensor([1 / 4, 1 / 3]))
        assert classification_loss(values, targets, unlabelled=unlabelled) == pytest.approx(float(expected), abs=1e-6)


def test_lsro_has_torchs_cross_entropy_of_half_and_half() -> None:
    values = logits()
    wanted = torch.stack([1 - TARGETS, TARGETS], dim=1)
    wanted[torch.isnan(wanted)] = 0.5
    each = functional.cross_entropy(values, wanted, reduction="none")
    expected = sum(each[kind].mean() for kind in (TARGETS == 1, TARGETS == 0, torch.isnan(TARGETS))) / 3
    assert classification_loss(values, TARGETS, unlabelled="lsro") == pytest.approx(float(expected), abs=1e-6)


def test_golden_values() -> None:
    # A margin of log 3 is a probability of 3/4.
    values = torch.tensor([[0.0, math.log(3)]])
    for target, unlabelled, expected in (
        (1.0, "drop", -math.log(3 / 4)),
        (0.0, "drop", -math.log(1 / 4)),
        (NAN, "drop", 0.0),
        (NAN, "lsro", -(math.log(3 / 4) + math.log(1 / 4)) / 2),
        (NAN, "pseudo", -math.log(3 / 4)),
    ):
        found = classification_loss(values, torch.tensor([target]), unlabelled=unlabelled)  # type: ignore[arg-type]
        assert float(found) == pytest.approx(expected, abs=1e-6)
    pair = torch.tensor([[0.0, 1.0], [0.0, 3.0]])
    found = ranking_loss(pair, torch.tensor([1.0, 0.0]), torch.tensor([0, 0]))
    assert float(found) == pytest.approx(math.log(1 + math.exp(2)), abs=1e-6)


def test_contrastive_golden_values() -> None:
    def of(distance: float, target: float, unlabelled: Unlabelled = "drop") -> float:
        values = torch.tensor([[0.0, MARGIN / 2 - distance]])
        return float(contrastive_loss(values, torch.tensor([target]), unlabelled=unlabelled))

    for distance, near, far in ((0.0, 0.0, 2.0), (0.5, 0.125, 1.125), (1.0, 0.5, 0.5), (3.0, 4.5, 0.0)):
        assert of(distance, 1.0) == pytest.approx(near, abs=1e-6)
        assert of(distance, 0.0) == pytest.approx(far, abs=1e-6)
        assert of(distance, NAN, "lsro") == pytest.approx((near + far) / 2, abs=1e-6)
        assert of(distance, NAN) == 0
    # The objective chooses it, and classes weigh the same.
    values = logits()
    distances = MARGIN / 2 - margins(values)
    near, far = distances[TARGETS == 1].square() / 2, (MARGIN - distances[TARGETS == 0]).clamp(min=0).square() / 2
    found = loss(values, TARGETS, GROUPS, Objective(loss="contrastive"))
    assert float(found.total) == pytest.approx(float(near.mean() + far.mean()) / 2, rel=1e-6)


def test_lsro_pulls_towards_a_half_and_rests_there() -> None:
    for margin, sign in ((0.0, 0), (2.0, 1), (-2.0, -1)):
        values = torch.tensor([[1.0, 1.0 + margin]], requires_grad=True)
        classification_loss(values, torch.tensor([NAN]), unlabelled="lsro").backward()
        assert torch.equal(values.grad[0].sign(), torch.tensor([-float(sign), float(sign)]))


def test_pseudo_labels_push_away_from_a_half() -> None:
    values = torch.tensor([[0.0, 0.5], [0.5, 0.0], [0.0, 0.0]])
    wanted, counted = class_targets(values, torch.full((3,), NAN), "pseudo")
    assert wanted.tolist() == [1.0, 0.0, 1.0]
    assert counted.all()
    values.requires_grad_()
    wanted, _ = class_targets(values, torch.full((3,), NAN), "pseudo")
    assert not wanted.requires_grad


def test_what_is_dropped_has_no_gradient() -> None:
    values = logits().requires_grad_()
    total(values, "drop", ranking=0.0).backward()
    unknown = torch.isnan(TARGETS)
    assert (values.grad[unknown] == 0).all()
    assert (values.grad[~unknown] != 0).all()


@pytest.mark.parametrize("unlabelled", ["drop", "lsro", "pseudo"])
def test_the_order_of_a_batch_does_not_matter(unlabelled: Unlabelled) -> None:
    values, order = logits(), torch.randperm(7, generator=torch.Generator().manual_seed(1))
    objective = Objective(unlabelled=unlabelled, ranking=0.7)
    one = loss(values, TARGETS, GROUPS, objective)
    other = loss(values[order], TARGETS[order], GROUPS[order], objective)
    for name in ("total", "classification", "ranking"):
        assert getattr(one, name) == pytest.approx(float(getattr(other, name)), abs=1e-6)


def test_only_margins_count() -> None:
    values = logits()
    assert total(values) == pytest.approx(float(total(values + torch.arange(7.0)[:, None])), abs=1e-5)
    swapped = loss(values.flip(1), 1 - TARGETS, GROUPS, Objective(unlabelled="lsro"))
    assert float(swapped.total) == pytest.approx(float(total(values, ranking=0.0)), abs=1e-6)


def test_classes_weigh_the_same() -> None:
    values = logits()
    each = functional.softplus(torch.where(TARGETS == 1, -margins(values), margins(values)))
    expected = (each[TARGETS == 1].mean() + each[TARGETS == 0].mean()) / 2
    assert float(classification_loss(values, TARGETS, unlabelled="drop")) == pytest.approx(float(expected), abs=1e-6)
    # Any number of further copies of the negatives changes nothing.
    more = torch.cat([values, values[TARGETS == 0]])
    targets = torch.cat([TARGETS, TARGETS[TARGETS == 0]])
    for unlabelled in ("drop", "lsro"):
        assert float(classification_loss(more, targets, unlabelled=unlabelled)) == pytest.approx(
            float(classification_loss(values, TARGETS, unlabelled=unlabelled)), abs=1e-6
        )


def test_ranking_is_within_groups() -> None:
    values = logits()
    own = [(0, 1), (0, 2), (3, 4)]
    expected = sum(float(functional.softplus(margins(values)[j] - margins(values)[i])) for i, j in own) / 3
    assert float(ranking_loss(values, TARGETS, GROUPS)) == pytest.approx(expected, abs=1e-6)
    # A group may be scored higher or lower altogether: only what is within counts.
    moved = values + torch.stack([torch.zeros(7), 5.0 * GROUPS], dim=1)
    assert float(ranking_loss(moved, TARGETS, GROUPS)) == pytest.approx(expected, abs=1e-5)
    assert float(ranking_loss(values, TARGETS, torch.arange(7))) == 0


def test_a_batch_that_teaches_nothing_costs_nothing() -> None:
    values = logits().requires_grad_()
    found = loss(values, torch.full((7,), NAN), GROUPS, Objective(unlabelled="drop", ranking=1.0)).total
    found.backward()
    assert float(found.detach()) == 0
    assert (values.grad == 0).all()


def test_extreme_and_half_precision_logits_stay_finite() -> None:
    values = torch.tensor([[-6e4, 6e4], [6e4, -6e4]], dtype=torch.float16, requires_grad=True)
    found = loss(values, torch.tensor([0.0, 1.0]), torch.tensor([0, 0]), Objective(ranking=1.0)).total
    found.backward()
    assert found.dtype == torch.float32
    assert torch.isfinite(found)
    assert torch.isfinite(values.grad).all()


@pytest.mark.parametrize("options", [{"unlabelled": "maybe"}, {"ranking": -1.0}, {"loss": "other"}])
def test_objectives_without_sense_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        Objective(**options)  # type: ignore[arg-type]
