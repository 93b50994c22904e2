"""The interface of training data for any network: batches of examples, drawn by number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import attrs

if TYPE_CHECKING:
    import torch


@attrs.frozen(eq=False)
class Batch:
    """A batch of examples.

    Parameters
    ----------
    inputs : mapping of str to Tensor
        Arguments of the network's ``forward``.
    targets : Tensor of float32, shape (examples,)
        1 for a positive (original), 0 for a negative (unmatched), NaN for an unlabelled one (matched).
    groups : Tensor of int64, shape (examples,)
        Number of the group; the examples of a group share the vocal, and its positive should score above the others.
    """

    inputs: Mapping[str, torch.Tensor]
    targets: torch.Tensor
    groups: torch.Tensor

    def __len__(self) -> int:
        return len(self.targets)


class TrainingData(Protocol):
    """A source of batches. A batch depends on its number alone, so a resumed run trains on the same batches."""

    @property
    def fingerprint(self) -> str:
        """Hex digits that change whenever any batch changes."""

    @property
    def summary(self) -> Mapping[str, Any]:
        """Facts for the model card: songs, clips and hours of training and validation, sources, licences."""

    def batch(self, step: int) -> Batch:
        """Return training batch number ``step``, from 0 on, with positives, negatives and unlabelled balanced."""

    def validation(self) -> Sequence[Batch]:
        """Return all validation examples, always the same; no training batch has their songs."""
