"""The scorers of Neural Loop Combiner's networks, which compare layers two by two, bar by bar."""

from __future__ import annotations

import itertools
from operator import attrgetter
from typing import ClassVar, cast

import attrs
import numpy as np
import torch

from mashkit.components import ComponentInfo
from mashkit.errors import PlanError
from mashkit.mashup import Mashup
from mashkit.rendering.cache import Recent
from mashkit.types import Role, Score
from mashkit_mashnet import NLC_CNN, NLC_SNN
from mashkit_mashnet.frontend import Bands
from mashkit_mashnet.loops import LoopNet, bar_edges, bar_moments, logits
from mashkit_mashnet.scorer import Judge, NetworkScorer
from mashkit_mashnet.spectra import Stage, too_short
from mashkit_mashnet.stem_features import ROLES

_CACHED_BYTES = 1 << 27  # spectra of 400 layers of 30 s of preset compact


@attrs.define(kw_only=True, eq=False)
class LoopScorer(NetworkScorer):
    """Scores layers before they are mixed, two by two, on the vocal's bars; gains, fades and ducking do not count.

    The parts are the scores of the pairs; the value is the probability for the mean of their log odds. An incomplete
    bar at an end of the mashup is not used. A layer's spectrum is cached, for other mashups with this layer.
    """

    _spectra: Recent[Bands] = attrs.field(
        factory=lambda: Recent(_CACHED_BYTES, attrgetter("nbytes")), init=False, repr=False
    )

    def _judge(self, mashup: Mashup, judge: Judge) -> Score:
        roles, network = [role for role in ROLES if role in mashup.roles], cast("LoopNet", judge.network)
        if len(roles) < 2:
            raise PlanError(
                f"plan {mashup.plan.id} has one layer: {self.info.name!r} compares two or more",
                "give a plan of two roles",
            )
        edges = bar_edges(mashup.grid(), mashup.known_downbeats())
        if len(edges) < 2:
            raise too_short(mashup, self.info.name, "a whole bar or more")
        stage = Stage.of(mashup)
        moments = bar_moments(edges, network.preset.bar_frames) + stage.start_s
        frames = np.rint(moments * judge.front_end.frame_rate).astype(np.int64)
        spectra = np.stack([self._spectrum(stage, role, judge).take(frames, axis=1, mode="clip") for role in roles])
        pairs = list(itertools.combinations(roles, 2))
        margins = network.pairs(self._tensor(spectra)[None], torch.tensor([len(frames)]))[0]
        return judge.score(logits(torch.cat([margins.mean(0, keepdim=True), margins])), pairs)

    def _spectrum(self, stage: Stage, role: Role, judge: Judge) -> Bands:
        return self._spectra.get(stage.key(role), lambda: stage.spectrum(role, judge.front_end))


class LoopCnnScorer(LoopScorer):
    """Neural Loop Combiner's CNN on the mix of two layers."""

    info: ClassVar[ComponentInfo] = NLC_CNN


class LoopSnnScorer(LoopScorer):
    """Neural Loop Combiner's Siamese network."""

    info: ClassVar[ComponentInfo] = NLC_SNN
