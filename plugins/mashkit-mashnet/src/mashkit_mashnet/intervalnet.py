"""intervalnet (ours): a network that scores the intervals and the rhythm of three stems on the vocal's beats.

A convolution over concatenated spectra learns rhythm but hardly harmony, because an interval between two of its
channels is a different feature at every pitch. Here vocal and harmonic stem are pitch classes, and the vocal is
compared with all twelve rotations of the harmonic stem. A transposition of both changes nothing; a transposition of one
shifts the rotations. Rhythm is compared on the vocal's beats, and between stems over lags. A moment counts as far as
both of two compared stems sound, because silence says nothing about whether they fit.

Conventions: inputs are as in :mod:`mashkit_mashnet.intervals`; the axis of examples comes first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import attrs
import torch
from torch import Tensor, nn
from torch.nn import functional

from mashkit.errors import OptionError
from mashkit_mashnet.frontend import FrontEnd
from mashkit_mashnet.intervals import BAR, ONSET_CHANNELS, ONSET_PARTS
from mashkit_mashnet.networks import Network, Preset, positive
from mashkit_mashnet.pitches import PITCH_CLASSES
from mashkit_mashnet.stem_features import WIDE

LAGS = 6
"""Largest lag at which onsets are compared, to either side, in parts of a beat: half a beat."""
PAIRS = ((0, 1), (0, 2), (1, 2))
"""Pairs of roles that are compared: vocal and harmonic, vocal and percussion, harmonic and percussion."""
_LITTLE = 0.1
"""Added to a mean before division, so that silence gives small differences (ours)."""
MOST_MEMBERS = 64
"""A file that claims more is refused before they are made, because each takes time and memory."""


def _few(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    positive(instance, attribute, value)
    if value > MOST_MEMBERS:
        raise OptionError(f"a network of {value} {attribute.name}", f"give {MOST_MEMBERS} at most")


@attrs.frozen(kw_only=True)
class IntervalPreset(Preset):
    """The size of an intervalnet.

    Parameters
    ----------
    templates : int
        Number of learnt filters that read the pitch classes of each stem before they are compared.
    rhythm : int
        Number of features of each beat of each stem.
    gate : float
        Level, relative to the stem's own, at which a moment counts half.
    members : int
        Number of networks of this size whose logits are averaged (:func:`joined`), 1 to 64.
    """

    front_end: FrontEnd = WIDE
    templates: int
    rhythm: int
    gate: float
    members: int = attrs.field(default=1, validator=_few)


COMPACT = IntervalPreset(name="compact", block_filters=96, features=96, templates=16, rhythm=48, gate=0.1)
PRESETS: Mapping[str, IntervalPreset] = {COMPACT.name: COMPACT}


class IntervalNet(Network):
    """Scores the pitches and onsets of three stems on the vocal's beats.

    With several members, the logits are the mean over as many networks. Those after the first are in ``others``, so
    that the weights of a single network have the same names as before.

    Parameters
    ----------
    preset : IntervalPreset
    """

    architecture: ClassVar[str] = "intervalnet"
    preset_type: ClassVar[type[Preset]] = IntervalPreset
    presets: ClassVar[Mapping[str, Preset]] = PRESETS
    preset: IntervalPreset

    def __init__(self, preset: IntervalPreset) -> None:
        super().__init__(preset)
        templates, width, rhythm = preset.templates, preset.block_filters, preset.rhythm
        # The kernel spans all pitch classes, so a template can respond to any interval.
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
        alone = attrs.evolve(preset, members=1)
        self.others = nn.ModuleList(IntervalNet(alone) for _ in range(preset.members - 1))

    def forward(self, pitches: Tensor, onsets: Tensor, positions: Tensor, roles: Tensor) -> Tensor:
        """Return logits of shape (examples, 2); class 1 is good.

        One example's pitches, onsets and positions may be given with several rows of roles; they are then computed once
        for all rows.

        Parameters
        ----------
        pitches : Tensor of float32, shape (examples, 7, 12, 2 beats)
        onsets : Tensor of float32, shape (examples, 9, 12 beats)
        positions : Tensor of float32, shape (examples, 4, beats)
            Position of each beat in its bar, one-hot; zeros if the downbeats are unknown.
        roles : Tensor of bool, shape (examples, 3)
            True for each stem that counts.
        """
        own = self._logits(pitches, onsets, positions, roles)
        return torch.stack([own, *(other(pitches, onsets, positions, roles) for other in self.others)]).mean(dim=0)

    def _logits(self, pitches: Tensor, onsets: Tensor, positions: Tensor, roles: Tensor) -> Tensor:
        count = len(pitches)
        both = (roles[:, 0] & roles[:, 1])[:, None].to(pitches)
        found = [both * part for part in self._harmony(pitches)]
        stems = onsets.view(count, 3, ONSET_CHANNELS, -1)
        sounding = [self._sounding(_by_beat(stems[:, role]).square().mean(dim=1, keepdim=True)) for role in range(3)]
        beats = [
            torch.relu(net(torch.cat([_by_beat(stems[:, role]), positions], dim=1)))
            for role, net in enumerate(self.beats)
        ]
        smooth = [
            torch.relu(net(stems[:, role])) * sounding[role].repeat_interleave(ONSET_PARTS, dim=2)
            for role, net in enumerate(self.onsets)
        ]
        for (one, other), bars, lags in zip(PAIRS, self.bars, self.lags, strict=True):
            present = (roles[:, one] & roles[:, other])[:, None].to(pitches)
            together = sounding[one] * sounding[other]
            x = bars(torch.cat([beats[one], beats[other], beats[one] * beats[other]], dim=1) * together)
            y = lags(_lagged(smooth[one], smooth[other]))
            by_bar = _bars(together.repeat_interleave(ONSET_PARTS, dim=2))
            found += [present * part for part in (*_pooled(x, together), *_pooled(y, by_bar))]
        x = torch.cat([*found, roles.to(pitches)], dim=1)
        logits: Tensor = self.output(torch.relu(self.hidden(self.dropout(x))))
        return logits

    def _harmony(self, pitches: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        stems = pitches[:, :4], pitches[:, 4:]
        sung, played = (self._sounding(stem.square().sum(dim=2).mean(dim=1, keepdim=True)) for stem in stems)
        vocal = torch.relu(self.vocal(_around(stems[0]))) * sung[:, None]
        harmonic = torch.relu(self.harmonic(_around(stems[1]))) * played[:, None]
        together = sung * played
        moment = _rotations(vocal, harmonic)
        # The mean over rotations depends on loudness only; the differences from the mean show which rotation fits.
        mean = moment.mean(dim=2, keepdim=True)
        relative = ((moment - mean) / (mean + _LITTLE)).flatten(1, 2) * together
        bar = functional.avg_pool1d(relative, 2 * BAR + 1, 1, BAR, count_include_pad=False)
        x = self.harmony(torch.cat([relative, bar], dim=1))
        whole = _rotations(_mean(vocal, sung[:, None]), _mean(harmonic, played[:, None]))[..., 0]
        level = whole.mean(dim=2, keepdim=True)
        key = self.key(((whole - level) / (level + _LITTLE)).flatten(1))
        return (*_pooled(x, together), key)

    def _sounding(self, level: Tensor) -> Tensor:
        """Return how far a stem sounds at each moment, from 0 to 1; its level is about 1 where it sounds."""
        return level / (level + self.preset.gate)


def _around(pitches: Tensor) -> Tensor:
    """Return pitches with the circle of pitch classes continued, so that a kernel of height 12 gives 12 outputs."""
    return torch.cat([pitches, pitches[:, :, : PITCH_CLASSES - 1]], dim=2)


def _rotations(vocal: Tensor, harmonic: Tensor) -> Tensor:
    """Return the agreement of vocal and harmonic per template and rotation, shape (examples, templates, 12, time)."""
    rolled = torch.stack([harmonic.roll(-lag, dims=2) for lag in range(PITCH_CLASSES)], dim=2)
    return (vocal[:, :, None] * rolled).mean(dim=3)


def _by_beat(onsets: Tensor) -> Tensor:
    """Return onsets as one vector per beat, shape (examples, channels · 12, beats)."""
    count, channels, parts = onsets.shape
    return onsets.view(count, channels, parts // ONSET_PARTS, ONSET_PARTS).permute(0, 1, 3, 2).flatten(1, 2)


def _lagged(one: Tensor, other: Tensor) -> Tensor:
    """Return the agreement of onsets at each lag, shape (examples, channels · lags, bars): means over one bar each."""
    padded = functional.pad(other, (LAGS, LAGS))
    parts = one.shape[-1]
    means = [_bars(one * padded[..., lag : lag + parts]) for lag in range(2 * LAGS + 1)]
    x = torch.stack(means, dim=2)
    level = x.mean(dim=2, keepdim=True)
    return ((x - level) / (level + _LITTLE)).flatten(1, 2)


def _bars(x: Tensor) -> Tensor:
    """Return means over one bar each, half a bar apart, from values at parts of beats, along the last axis."""
    span = min(BAR * ONSET_PARTS, x.shape[-1])
    return functional.avg_pool1d(x, span, max(1, span // 2))


def _mean(x: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted mean along the last axis, which stays as an axis of length 1; 0 for silence."""
    return (x * weights).sum(dim=-1, keepdim=True) / weights.sum(dim=-1, keepdim=True).clamp(min=1e-3)


def _pooled(x: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Return weighted mean and maximum over time, each of shape (examples, channels)."""
    return _mean(x, weights)[..., 0], (x * weights).amax(dim=-1)
