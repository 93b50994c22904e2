"""A small world to train in: two numbers an example, the first of which tells good from bad."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import torch
from torch import nn

from mashkit_mashnet_train.batches import Batch


@attrs.frozen(kw_only=True)
class ToyData:
    """Thirds of positives, negatives and unlabelled; three of a group."""

    seed: int = 0
    groups: int = 8
    songs: int = 10
    targets: tuple[float, float, float] = (1.0, 0.0, float("nan"))
    broken_at: int | None = None
    fold: str | None = None

    @property
    def fingerprint(self) -> str:
        return f"{zlib.crc32(repr(self).encode()):08x}"

    @property
    def summary(self) -> Mapping[str, Any]:
        parts = {"training": {"songs": self.songs}, "validation": {"songs": self.songs}, "sources": ["made up"]}
        return parts if self.fold is None else {**parts, "fold": self.fold}

    def batch(self, step: int) -> Batch:
        return self._made(step, self.groups)

    def validation(self) -> Sequence[Batch]:
        return [self._made(number, 3 * self.groups) for number in (-1, -2)]

    def _made(self, number: int, groups: int) -> Batch:
        source = torch.Generator().manual_seed(1000 * self.seed + number + 10)
        targets = torch.tensor(self.targets).repeat(groups)
        good = torch.where(torch.isnan(targets), torch.rand(len(targets), generator=source) * 2 - 1, 2 * targets - 1)
        values = torch.randn(len(targets), 2, generator=source)
        values[:, 0] += 1.2 * good
        if number == self.broken_at:
            values[0] = torch.nan
        return Batch({"values": values}, targets, torch.arange(groups).repeat_interleave(3))


class ToyNetwork(nn.Module):
    """With batch normalisation and dropout, whose statistics and chance a state must hold."""

    def __init__(self, width: int = 8, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.layers = nn.Sequential(
            nn.Linear(2, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(0.2), nn.Linear(width, 2)
        )

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return self.layers(values)
