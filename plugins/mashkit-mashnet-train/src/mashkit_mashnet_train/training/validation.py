"""A network's output for the validation examples, and measures of how good it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import attrs
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mashkit.metrics import Values, roc_auc
from mashkit_mashnet.networks import margins
from mashkit_mashnet_train.batches import Batch
from mashkit_mashnet_train.losses import classification_loss
from mashkit_mashnet_train.training.loading import moved

Metrics: TypeAlias = Mapping[str, float | None]


@attrs.frozen(eq=False)
class Predictions:
    """A network's output for validation examples.

    Parameters
    ----------
    margins : array of float64, shape (examples,)
        Log odds of good.
    targets : array of float64, shape (examples,)
        1, 0, or NaN for unlabelled.
    groups : array of int64, shape (examples,)
        Number of the group; the examples of a group share the vocal.
    """

    margins: Values
    targets: Values
    groups: npt.NDArray[np.int64]

    def labelled(self) -> Predictions:
        """Return the predictions of positives and negatives only."""
        known = ~np.isnan(self.targets)
        return Predictions(self.margins[known], self.targets[known], self.groups[known])


def predict(
    forward: Callable[..., Tensor], batches: Sequence[Batch], device: torch.device | str = "cpu"
) -> Predictions:
    """Return the outputs of a network in evaluation mode for all examples of the batches, in order."""
    with torch.inference_mode():
        found = [margins(forward(**moved(batch.inputs, device))).cpu() for batch in batches]
    return Predictions(
        torch.cat(found).double().numpy(),
        torch.cat([batch.targets for batch in batches]).double().numpy(),
        torch.cat([batch.groups for batch in batches]).numpy(),
    )


def metrics(predictions: Predictions) -> dict[str, float | None]:
    """Return measures of how good predictions are; a measure without examples is None.

    - "loss": cross entropy of positives and negatives in nats; both classes have the same weight;
    - "auc": share of pairs in which the positive scores above the negative; a tie counts half;
    - "accuracy_positive", "accuracy_negative": share on the right side of probability 0.5; exactly 0.5 counts as good;
    - "over_negative", "over_unlabelled": share of pairs in which a positive scores above a negative, or above an
      unlabelled example, of its own group; a tie counts half;
    - "good_unlabelled": share of the unlabelled examples with probability 0.5 or above.
    """
    values, targets, groups = predictions.margins, predictions.targets, predictions.groups
    positive, negative, unlabelled = targets == 1, targets == 0, np.isnan(targets)
    logits = torch.from_numpy(np.stack([-values / 2, values / 2], axis=1))

    def mean(of: npt.NDArray[np.bool_]) -> float | None:
        return float(of.mean()) if of.size else None

    def over(others: npt.NDArray[np.bool_]) -> float | None:
        gaps = [
            (values[positive & own][:, None] - values[others & own][None]).ravel()
            for own in (groups == group for group in np.unique(groups[positive]))
        ]
        gap = np.concatenate([np.empty(0), *gaps])
        return float(np.mean((gap > 0) + (gap == 0) / 2)) if gap.size else None

    both = positive.any() and negative.any()
    return {
        "loss": float(classification_loss(logits, torch.from_numpy(targets), unlabelled="drop")),
        "auc": roc_auc(values[positive], values[negative]) if both else None,
        "accuracy_positive": mean(values[positive] >= 0),
        "accuracy_negative": mean(values[negative] < 0),
        "over_negative": over(negative),
        "over_unlabelled": over(unlabelled),
        "good_unlabelled": mean(values[unlabelled] >= 0),
    }
