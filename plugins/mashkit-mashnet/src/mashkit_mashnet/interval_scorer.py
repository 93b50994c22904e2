"""The scorer of intervalnet: stems are measured once, and looked up for every plan."""

from __future__ import annotations

import itertools
from typing import ClassVar

import attrs
import numpy as np
import torch

from mashkit.components import ComponentInfo
from mashkit.recent import Recent
from mashkit.render import Mashup
from mashkit.types import Role, Score
from mashkit_mashnet import INTERVALNET
from mashkit_mashnet.intervals import ONSET_CHANNELS, ONSET_PARTS, PITCH_CHANNELS, PITCH_PARTS, Floats, StemIntervals
from mashkit_mashnet.scorer import Judge, NetworkScorer
from mashkit_mashnet.spectra import too_short
from mashkit_mashnet.stems import StemFeatures
from mashkit_mashnet.store import ROLES

FEWEST_BEATS = 8
"""Two bars (SPEC.md, reading 6)."""
_CACHED_STEMS = 512  # about 300 MB of pitch classes and onsets of stems of 40 s


class IntervalNetScorer(NetworkScorer):
    """intervalnet: the probability that three stems belong together, from their pitch classes and onsets on the beats.

    Nothing is rendered: a plan says when each moment of a clip sounds, and how high. Gains, fades, and which stretcher
    is used, are of no matter. The parts are what two of the roles would score alone. A role without a layer is left
    out.
    """

    info: ClassVar[ComponentInfo] = INTERVALNET

    _stems: Recent[StemIntervals] = attrs.field(factory=lambda: Recent(_CACHED_STEMS), init=False, repr=False)

    def _judge(self, mashup: Mashup, judge: Judge) -> Score:
        grid = mashup.grid()
        if len(grid) <= FEWEST_BEATS:
            raise too_short(mashup, self.info.name, f"{FEWEST_BEATS} beats or more")
        heard = [self._on(mashup, role) for role in ROLES]
        pairs = list(itertools.combinations(mashup.roles, 2))
        shown = torch.tensor([[role in roles for role in ROLES] for roles in (mashup.roles, *pairs)])
        pitches, onsets = (
            torch.as_tensor(np.concatenate(parts), device=self.device).expand(len(shown), *[-1] * parts[0].ndim)
            for parts in zip(*heard, strict=True)
        )
        logits = judge.network(pitches, onsets, shown.to(self.device))
        value, *parts = judge.calibration.probability(logits).tolist()
        named = {f"{one}-{other}": part for (one, other), part in zip(pairs, parts, strict=True)}
        return Score(value=value, scale="probability", parts=named)

    def _on(self, mashup: Mashup, role: Role) -> tuple[Floats, Floats]:
        """Return a role's pitches and onsets on the mashup's grid; zeros if it has no layer."""
        grid = mashup.grid()
        if role not in mashup.roles:
            beats = len(grid) - 1
            return (
                np.zeros((PITCH_CHANNELS[role], 12, PITCH_PARTS * beats), np.float32),
                np.zeros((ONSET_CHANNELS, ONSET_PARTS * beats), np.float32),
            )
        layer = mashup.plan.layer(role)
        stem = self._stems.get(
            (layer.clip_id, role), lambda: StemIntervals.of(StemFeatures.of(mashup.source_stem(role)), role)
        )
        return stem.on(grid, layer.to_clip, layer.semitones)
