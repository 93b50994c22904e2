"""intervalnet, our own: a network that is given intervals and beats, and learns which of them fit.

A convolution over concatenated spectra learns rhythm and hardly harmony (no interval between two of its channels is
the same feature at another pitch). Here vocal and harmonic stem are pitch classes; what is compared is one rotated
against the other, all twelve ways: a transposition of both changes nothing, one of either shifts the rotations.
Rhythm is looked at on the vocal's beats, and from stem to stem over lags.

Conventions: inputs are those of :mod:`mashkit_mashnet.intervals`, with the examples' axis first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import attrs
import torch
from torch import Tensor, nn
from torch.nn import functional

from mashkit_mashnet.frontend import FrontEnd
from mashkit_mashnet.intervals import BAR, ONSET_CHANNELS, ONSET_PARTS
from mashkit_mashnet.networks import Network, Preset
from mashkit_mashnet.pitches import PITCH_CLASSES
from mashkit_mashnet.stems import WIDE

LAGS = 6
"""Parts of a beat that onsets are compared across, to either side: half a beat."""
PAIRS = ((0, 1), (0, 2), (1, 2))
"""Roles that are compared: vocal and harmonic, vocal and percussion, harmonic and percussion."""


@attrs.frozen(kw_only=True)
class IntervalPreset(Preset):
    """The size of an intervalnet.

    Parameters
    ----------
    templates : int
        Ways in which the pitch classes of both stems are read before they are compared.
    rhythm : int
        Features of a beat, of each stem.
    """

    front_end: FrontEnd = WIDE
    templates: int
    rhythm: int


COMPACT = IntervalPreset(name="compact", block_filters=96, features=96, templates=16, rhythm=48)


class IntervalNet(Network):
    """Judges pitches and onsets of three stems on the vocal's beats.

    Parameters
    ----------
    preset : IntervalPreset
    """

    architecture: ClassVar[str] = "intervalnet"
    preset_type: ClassVar[type[Preset]] = IntervalPreset
    preset: IntervalPreset

    def __init__(self, preset: IntervalPreset) -> None:
        super().__init__(preset)
        templates, width, rhythm = preset.templates, preset.block_filters, preset.rhythm
        # As high as the circle of pitch classes: a template may put any interval together.
        self.vocal = nn.Conv2d(4, templates, (PITCH_CLASSES, 3), padding=(0, 1))
        self.harmonic = nn.Conv2d(3, templates, (PITCH_CLASSES, 3), padding=(0, 1))
        self.harmony = nn.Sequential(
            nn.Conv1d(2 * templates * PITCH_CLASSES, width, 1),
            nn.ReLU(),
            nn.Conv1d(width, width, 5, padding=2),
            nn.ReLU(),
        )
        self.key = nn.Sequential(nn.Linear(templates * PITCH_CLASSES, width), nn.ReLU())
        self.beats = nn.ModuleList(nn.Conv1d(ONSET_CHANNELS * ONSET_PARTS + BAR, rhythm, 1) for _ in range(3))
        self.bars = nn.ModuleList(
            nn.Sequential(nn.Conv1d(3 * rhythm, width, 1), nn.ReLU(), nn.Conv1d(width, width, 5, padding=2), nn.ReLU())
            for _ in PAIRS
        )
        self.onsets = nn.ModuleList(nn.Conv1d(ONSET_CHANNELS, 4, 5, padding=2) for _ in range(3))
        self.lags = nn.ModuleList(nn.Sequential(nn.Conv1d(4 * (2 * LAGS + 1), width, 1), nn.ReLU()) for _ in PAIRS)
        self.dropout = nn.Dropout(0.2)
        self.hidden = nn.Linear(2 * width + width + len(PAIRS) * 4 * width + 3, preset.features)
        self.output = nn.Linear(preset.features, 2)

    def forward(self, pitches: Tensor, onsets: Tensor, positions: Tensor, roles: Tensor) -> Tensor:
        """Return logits of shape (examples, 2), the class of good ones last.

        Parameters
        ----------
        pitches : Tensor of float32, shape (examples, 7, 12, 2 beats)
        onsets : Tensor of float32, shape (examples, 9, 12 beats)
        positions : Tensor of float32, shape (examples, 4, beats)
            Where in its bar each beat lies; zeros where nobody knows.
        roles : Tensor of bool, shape (examples, 3)
            Which stems count.
        """
        count = len(pitches)
        both = (roles[:, 0] & roles[:, 1])[:, None].to(pitches)
        found = [both * part for part in self._harmony(pitches)]
        stems = onsets.view(count, 3, ONSET_CHANNELS, -1)
        beats = [
            torch.relu(net(torch.cat([_by_beat(stems[:, role]), positions], dim=1))) * roles[:, role, None, None]
            for role, net in enumerate(self.beats)
        ]
        smooth = [torch.relu(net(stems[:, role])) for role, net in enumerate(self.onsets)]
        for (one, other), bars, lags in zip(PAIRS, self.bars, self.lags, strict=True):
            present = (roles[:, one] & roles[:, other])[:, None].to(pitches)
            x = bars(torch.cat([beats[one], beats[other], beats[one] * beats[other]], dim=1))
            y = lags(_lagged(smooth[one], smooth[other]))
            found += [present * part for part in (*_pooled(x), *_pooled(y))]
        x = torch.cat([*found, roles.to(pitches)], dim=1)
        logits: Tensor = self.output(torch.relu(self.hidden(self.dropout(x))))
        return logits

    def _harmony(self, pitches: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        vocal = torch.relu(self.vocal(_around(pitches[:, :4])))
        harmonic = torch.relu(self.harmonic(_around(pitches[:, 4:])))
        moment = _rotations(vocal, harmonic)
        # What all rotations have in common says how much sounds, what sets them apart says what fits.
        mean = moment.mean(dim=2, keepdim=True)
        relative = (moment - mean) / (mean + 0.1)
        bar = functional.avg_pool1d(relative.flatten(1, 2), 2 * BAR + 1, 1, BAR, count_include_pad=False)
        x = self.harmony(torch.cat([relative.flatten(1, 2), bar], dim=1))
        whole = _rotations(vocal.mean(dim=3, keepdim=True), harmonic.mean(dim=3, keepdim=True))[..., 0]
        level = whole.mean(dim=2, keepdim=True)
        key = self.key(((whole - level) / (level + 0.1)).flatten(1))
        return (*_pooled(x), key)


def _around(pitches: Tensor) -> Tensor:
    """Return pitches with the circle of pitch classes continued, so that a kernel of 12 gives 12."""
    return torch.cat([pitches, pitches[:, :, : PITCH_CLASSES - 1]], dim=2)


def _rotations(vocal: Tensor, harmonic: Tensor) -> Tensor:
    """Return how well each template agrees at each rotation, shape (examples, templates, 12, time)."""
    rolled = torch.stack([harmonic.roll(-lag, dims=2) for lag in range(PITCH_CLASSES)], dim=2)
    return (vocal[:, :, None] * rolled).mean(dim=3)


def _by_beat(onsets: Tensor) -> Tensor:
    """Return onsets as one vector a beat, shape (examples, channels · 12, beats)."""
    count, channels, parts = onsets.shape
    return onsets.view(count, channels, parts // ONSET_PARTS, ONSET_PARTS).permute(0, 1, 3, 2).flatten(1, 2)


def _lagged(one: Tensor, other: Tensor) -> Tensor:
    """Return how well onsets agree over lags, shape (examples, channels · lags, bars), a bar at a time."""
    padded = functional.pad(other, (LAGS, LAGS))
    parts = one.shape[-1]
    products = [one * padded[..., lag : lag + parts] for lag in range(2 * LAGS + 1)]
    span = min(BAR * ONSET_PARTS, parts)
    means = [functional.avg_pool1d(product, span, max(1, span // 2)) for product in products]
    x = torch.stack(means, dim=2)
    level = x.mean(dim=2, keepdim=True)
    return ((x - level) / (level + 0.1)).flatten(1, 2)


def _pooled(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and maximum over time, each of shape (examples, channels)."""
    return x.mean(dim=2), x.amax(dim=2)


PRESETS: Mapping[str, IntervalPreset] = {COMPACT.name: COMPACT}
