"""Training batches, prepared by processes in the background, and their way to the device."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mashkit.errors import MashkitError
from mashkit_mashnet_train.batches import Batch, TrainingData


class _Numbered(Dataset[Batch | MashkitError]):
    """Batches by index, for the workers of a DataLoader: index ``k`` gives batch ``numbers[k]``."""

    def __init__(self, data: TrainingData, numbers: range) -> None:
        self._data = data
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: int) -> Batch | MashkitError:
        try:
            return self._data.batch(self._numbers[index])
        except MashkitError as error:  # returned, because a worker that raises it sends a traceback as text
            return error


def batches(data: TrainingData, numbers: range, workers: int) -> Iterator[Batch]:
    """Yield batches in the order of their numbers; ``workers`` processes prepare them ahead of use."""
    loader = DataLoader(
        _Numbered(data, numbers),
        batch_size=None,
        num_workers=workers,
        # A generator of its own, because starting workers draws a random number and must not change the network's.
        generator=torch.Generator(),
    )
    for made in loader:
        if isinstance(made, MashkitError):
            raise made
        yield made


def moved(inputs: Mapping[str, Tensor], device: torch.device | str) -> dict[str, Tensor]:
    """Return the arguments of a network's ``forward`` on its device."""
    return {name: value.to(device, non_blocking=True) for name, value in inputs.items()}
