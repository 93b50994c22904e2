"""What a network is trained on, whatever network it is: examples in batches, drawn by number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import attrs

if TYPE_CHECKING:
    import torch


@attrs.frozen(eq=False)
class Batch:
    """Some examples.

    Parameters
    ----------
    inputs : mapping of str to Tensor
        Arguments of the network's ``forward``; the first axis of each is the examples'.
    targets : Tensor of float32, shape (examples,)
        1 for a positive (original), 0 for a negative (unmatched), NaN for an unlabelled one (matched).
    groups : Tensor of int64, shape (examples,)
        Examples of one number share the vocal: a positive among them should score above the others.
    """

    inputs: Mapping[str, torch.Tensor]
    targets: torch.Tensor
    groups: torch.Tensor

    def __len__(self) -> int:
        return len(self.targets)


class TrainingData(Protocol):
    """Where batches come from. A batch is made of its number alone: a run that is resumed sees what it would have."""

    @property
    def fingerprint(self) -> str:
        """Hex digits that change whenever any batch would."""

    @property
    def summary(self) -> Mapping[str, Any]:
        """What a model card says of it: songs, clips and hours of training and validation, sources, licences."""

    def batch(self, step: int) -> Batch:
        """Return the training batch of that number, from 0 on; positives, negatives and unlabelled in balance."""

    def validation(self) -> Sequence[Batch]:
        """Return all validation examples, of songs no training batch has; always the same."""
