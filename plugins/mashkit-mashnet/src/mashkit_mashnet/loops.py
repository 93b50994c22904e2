"""The two networks of Neural Loop Combiner, on the bars of a mashup: a CNN on the mix of two, and a Siamese network.

Chen, Smith, Yang: "Neural Loop Combiner: Neural Network Models for Assessing the Compatibility of Loops", ISMIR 2020
(arXiv 2008.02011). Layers and constants are those of the authors' repository, mir-aidj/neural-loop-combiner:

- both convolutions, both hidden layers, the embedding, dropout, norms, initial weights: ``models/models.py``;
- the CNN's last layers (norm, PReLU, one output): ``models/models.py``, class ``CNN``;
- the distance of two embeddings, the constant under its root: ``models/losses.py``; the margin: ``config/settings.py``;
- a loop is one bar, stretched to 2 s, and the CNN gets the mean of two loops: ``dataset/pipeline/refintor.py``,
  ``config/settings.py``, ``models/datasets.py``;
- a spectrum of a bar has 128 bands and 173 frames: ``utils/features.py`` and the first linear layer.

Ours, because a mashup is three layers of many bars, and because stores hold spectra, not sound:

- a mashup's score is the mean over its pairs of layers and over its bars, of log odds or of distances;
- a bar is that of the vocal, and its frames are the nearest ones of a spectrum, so no stretcher changes the input;
- spectra are those of :mod:`mashkit_mashnet.frontend`, log-frequency and in dB, as the plugin's other networks have
  them; theirs are mel spectra, of linear power, each frame divided by its maximum;
- the mix of two layers is the mean of their powers, each relative to its own level, so gains do not count;
- the log odds of the Siamese network are half the margin minus the distance: both terms of the contrastive loss are
  equal there.

Conventions are those of :mod:`mashkit_mashnet.networks`, but the frames of an example are bars, one after the other.
"""

from __future__ import annotations

import itertools
from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import attrs
import numpy as np
import torch
from torch import Tensor, nn

from mashkit.errors import UsageError
from mashkit.types import Times
from mashkit_mashnet.frontend import FINE, LOG_FREQUENCY, RANGE_DB
from mashkit_mashnet.networks import Loss, Network, Preset

MARGIN = 2.0
"""Distance from which two embeddings count as apart."""
DROPOUT = 0.1
BEATS_A_BAR = 4
"""Beats in a bar if the downbeats are unknown (ours; their loops are bars of four beats)."""
_UNDER_ROOT = 1e-9


@attrs.frozen(kw_only=True)
class LoopPreset(Preset):
    """The size of a network of loops; ``block_filters`` are those of the second convolution.

    Parameters
    ----------
    filters : int
        Filters of the first convolution.
    bottleneck : int
        Width of the second hidden layer; ``features`` is that of the first.
    embedding : int
        Number of values that stand for a bar.
    bar_frames : int
        Frames of a bar.
    """

    block_filters: int = 4
    filters: int = 16
    bottleneck: int
    embedding: int = 16
    bar_frames: int


PAPER = LoopPreset(name="paper", features=256, bottleneck=128, bar_frames=173, front_end=FINE)
"""The published sizes: 22.7 million parameters, nearly all of them in the first linear layer."""
COMPACT = LoopPreset(name="compact", features=64, bottleneck=32, bar_frames=44, front_end=LOG_FREQUENCY)
"""Ours: the same layers, the hidden ones a quarter as wide, and as many frames as the front end has in 2 s. The first
linear layer, and so the file, is a sixteenth as large."""
PRESETS: Mapping[str, LoopPreset] = {preset.name: preset for preset in (PAPER, COMPACT)}


class LoopNet(Network):
    """Base of the two networks: bars of layers, compared two by two.

    Parameters
    ----------
    preset : LoopPreset
    """

    preset_type: ClassVar[type[Preset]] = LoopPreset
    presets: ClassVar[Mapping[str, Preset]] = PRESETS
    preset: LoopPreset

    def __init__(self, preset: LoopPreset) -> None:
        super().__init__(preset)
        flat = preset.block_filters * preset.front_end.bands * preset.bar_frames
        self.tower = nn.Sequential(
            *_convolution(1, preset.filters),
            *_convolution(preset.filters, preset.block_filters),
            nn.Flatten(),
            *_hidden(flat, preset.features),
            *_hidden(preset.features, preset.bottleneck),
            nn.Linear(preset.bottleneck, preset.embedding),
        )

    @property
    def shortest(self) -> int:
        """Frames of one bar."""
        return self.preset.bar_frames

    def forward(self, spectra: Tensor, lengths: Tensor) -> Tensor:
        """Return logits of shape (examples, 2), class :data:`mashkit_mashnet.networks.GOOD` last.

        Parameters
        ----------
        spectra : Tensor of float32, shape (examples, layers, bands, bars · bar_frames)
            Spectra of two layers or more, in any order.
        lengths : Tensor of int64, shape (examples,)
            Real frames of each example, a bar or more; an incomplete last bar is not used.

        Raises
        ------
        UsageError
            If there are fewer than two layers, another number of bands, or a length is out of range.
        """
        return logits(self.pairs(spectra, lengths).mean(dim=1))

    def pairs(self, spectra: Tensor, lengths: Tensor) -> Tensor:
        """Return the log odds of each pair of layers, shape (examples, pairs), pairs as of itertools.combinations.

        Parameters and errors are those of :meth:`forward`.
        """
        examples, layers, bands, frames = spectra.shape
        due = self.preset.front_end.bands
        if layers < 2 or bands != due:
            raise UsageError(f"{layers} spectra of {bands} bands", f"give two or more, of {due} bands")
        own = lengths.to(spectra.device) // self.shortest
        if int(own.min()) < 1 or int(lengths.max()) > frames:
            raise UsageError(
                f"examples of {int(lengths.min())} to {int(lengths.max())} frames in spectra of {frames}",
                f"give {self.shortest} frames, a bar, or more, and no more than there are",
            )
        count = frames // self.shortest
        whole = spectra[..., : count * self.shortest]
        bars = whole.reshape(examples, layers, bands, count, self.shortest).transpose(2, 3)
        values = self._compared(bars, list(itertools.combinations(range(layers), 2)))
        inside = torch.arange(count, device=own.device) < own[:, None]
        means: Tensor = (values * inside[:, None]).sum(dim=2) / own[:, None]
        return means

    @abstractmethod
    def _compared(self, bars: Tensor, pairs: list[tuple[int, int]]) -> Tensor:
        """Return log odds, shape (examples, pairs, bars), of bars of shape (examples, layers, bars, bands, frames)."""

    def _embedded(self, bars: Tensor) -> Tensor:
        """Return what stands for each bar, shape (…, embedding), for bars of shape (…, bands, frames)."""
        found: Tensor = self.tower(bars.flatten(0, 2)[:, None])
        return found.view(*bars.shape[:3], -1)


class LoopCNN(LoopNet):
    """Scores the mix of two bars."""

    architecture: ClassVar[str] = "nlc-cnn"

    def __init__(self, preset: LoopPreset) -> None:
        super().__init__(preset)
        self.head = nn.Sequential(nn.BatchNorm1d(preset.embedding), nn.PReLU(), nn.Linear(preset.embedding, 1))
        self.apply(_begin)

    def _compared(self, bars: Tensor, pairs: list[tuple[int, int]]) -> Tensor:
        powers = _power(bars)
        mixes = torch.stack([_level((powers[:, one] + powers[:, other]) / 2) for one, other in pairs], dim=1)
        found: Tensor = self.head(self._embedded(mixes).flatten(0, 2))
        return found.view(mixes.shape[:3])


class LoopSNN(LoopNet):
    """Embeds each bar with the same weights, and scores the distance of two; their order does not matter."""

    architecture: ClassVar[str] = "nlc-snn"
    loss: ClassVar[Loss] = "contrastive"

    def __init__(self, preset: LoopPreset) -> None:
        super().__init__(preset)
        self.apply(_begin)

    def _compared(self, bars: Tensor, pairs: list[tuple[int, int]]) -> Tensor:
        found = self._embedded(bars)
        squared = torch.stack([(found[:, one] - found[:, other]).square().sum(dim=2) for one, other in pairs], dim=1)
        return MARGIN / 2 - (squared + _UNDER_ROOT).sqrt()


def logits(margins: Tensor) -> Tensor:
    """Return the logits of log odds, shape (…, 2), class :data:`mashkit_mashnet.networks.GOOD` last."""
    return torch.stack([-margins / 2, margins / 2], dim=-1)


def bar_edges(grid: Times, downbeats: Times) -> Times:
    """Return the times at which bars begin and end: the downbeats, or every fourth beat if there are fewer than two."""
    return downbeats if len(downbeats) >= 2 else grid[::BEATS_A_BAR]


def bar_moments(edges: Times, frames: int) -> Times:
    """Return the times of the frames of bars, shape ((edges − 1) · frames,), so that each bar has as many frames."""
    moments: Times = (edges[:-1, None] + np.diff(edges)[:, None] * (np.arange(frames) / frames)).ravel()
    return moments


def _convolution(channels: int, filters: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(channels, filters, 3, padding=1), nn.Dropout(DROPOUT), nn.BatchNorm2d(filters), nn.PReLU()


def _hidden(width: int, features: int) -> tuple[nn.Module, ...]:
    return nn.Linear(width, features), nn.BatchNorm1d(features), nn.PReLU()


def _begin(module: nn.Module) -> None:
    """Draw the published initial weights of a module."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.xavier_normal_(module.weight)
        assert module.bias is not None  # noqa: S101 — all of these layers have one
        nn.init.normal_(module.bias)
    elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
        nn.init.normal_(module.weight, mean=1.0, std=0.02)
        nn.init.zeros_(module.bias)


def _power(spectra: Tensor) -> Tensor:
    """Return the power of spectra, relative to each layer's level, as :func:`mashkit_mashnet.frontend.unscaled`."""
    return torch.where(spectra > 0, 10 ** ((spectra - 1) * (RANGE_DB / 10)), 0.0)


def _level(power: Tensor) -> Tensor:
    """Return the spectra of powers up to 1; 0 is :data:`RANGE_DB` below 1 or quieter."""
    return 1 + power.clamp(min=10 ** (-RANGE_DB / 10)).log10() * (10 / RANGE_DB)
