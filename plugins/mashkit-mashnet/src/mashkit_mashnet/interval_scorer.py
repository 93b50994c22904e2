"""The scorer of intervalnet: each stem is measured once, then its features are read for every plan."""

from __future__ import annotations

import itertools
from typing import ClassVar

import attrs
import numpy as np
import torch

from mashkit.components import ComponentInfo
from mashkit.mashup import Mashup
from mashkit.rendering.cache import Recent
from mashkit.types import Role, Score, Times
from mashkit_mashnet import INTERVALNET
from mashkit_mashnet.intervals import (
    ONSET_CHANNELS,
    ONSET_PARTS,
    PITCH_PARTS,
    StemIntervals,
    measured_layer,
    positions,
)
from mashkit_mashnet.pitches import PITCH_CHANNELS, PITCH_CLASSES, Floats
from mashkit_mashnet.scorer import Judge, NetworkScorer
from mashkit_mashnet.spectra import too_short
from mashkit_mashnet.stem_features import ROLES

FEWEST_BEATS = 8
"""Two bars of four (docs/paper.md, row 27)."""
_CACHED_STEMS = 512  # about 120 MB for the pitch classes and onsets of stems of 40 s


@attrs.define(kw_only=True, eq=False)
class IntervalNetScorer(NetworkScorer):
    """intervalnet: the probability that three stems belong together, from their pitch classes and onsets on the beats.

    Nothing is rendered, because a plan gives the time and the transposition of each moment of a clip. Gains, fades and
    the stretcher do not change the score. The parts are the scores of each two roles alone. A role without a layer is
    left out.
    """

    info: ClassVar[ComponentInfo] = INTERVALNET

    _stems: Recent[StemIntervals] = attrs.field(factory=lambda: Recent(_CACHED_STEMS), init=False, repr=False)

    def _judge(self, mashup: Mashup, judge: Judge) -> Score:
        grid = mashup.grid()
        if len(grid) <= FEWEST_BEATS:
            raise too_short(mashup, self.info.name, f"{FEWEST_BEATS} beats or more")
        stems = [self._on(mashup, role, grid) for role in ROLES]
        pairs = list(itertools.combinations(mashup.roles, 2))
        shown = torch.tensor([[role in roles for role in ROLES] for roles in (mashup.roles, *pairs)])
        pitches, onsets = (np.concatenate(parts) for parts in zip(*stems, strict=True))
        inputs = [
            torch.as_tensor(part, device=self.device)[None]
            for part in (pitches, onsets, positions(grid, mashup.known_downbeats()))
        ]
        return judge.score(judge.network(*inputs, shown.to(self.device)), pairs)

    def _on(self, mashup: Mashup, role: Role, grid: Times) -> tuple[Floats, Floats]:
        """Return a role's pitches and onsets on the mashup's grid; zeros if the role has no layer."""
        if role not in mashup.roles:
            beats = len(grid) - 1
            return (
                np.zeros((PITCH_CHANNELS[role], PITCH_CLASSES, PITCH_PARTS * beats), np.float32),
                np.zeros((ONSET_CHANNELS, ONSET_PARTS * beats), np.float32),
            )
        return measured_layer(mashup, role, self._stems, grid)
