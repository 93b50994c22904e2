"""Baseline scorers: chance and loudness. They use nothing that makes a mashup good.

A benchmark in which a baseline does well does not measure the quality of mashups.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import ClassVar

import attrs

from mashkit.audio.levels import loudness
from mashkit.builtin import LOUDNESS, RANDOM
from mashkit.components import ComponentInfo
from mashkit.interfaces import Scorer
from mashkit.mashup import Mashup
from mashkit.rendering.cache import Recent
from mashkit.types import Role, Score

SILENCE_LUFS = -70.0
"""Level below which nothing counts as sound (the absolute gate of ITU-R BS.1770-4)."""
_KEPT = 4096  # loudness values of stems kept in memory


@attrs.define(kw_only=True, eq=False)
class RandomScorer(Scorer):
    """Draws a probability, uniformly from 0 to 1, from a hash of the plan's id. A plan always gets the same score.

    Parameters
    ----------
    seed : int
        Another seed gives other draws.
    """

    info: ClassVar[ComponentInfo] = RANDOM

    seed: int = attrs.field(default=0, validator=attrs.validators.instance_of(int))

    def _score(self, mashups: Sequence[Mashup]) -> Sequence[Score]:
        draws = (self._draw(mashup.plan.id) for mashup in mashups)
        return [Score(draw, "probability", {"draw": draw}) for draw in draws]

    def _draw(self, plan_id: str) -> float:
        digest = hashlib.sha256(f"{self.seed} {plan_id}".encode()).digest()
        # A float has a precision of 53 bits.
        return (int.from_bytes(digest[:8]) >> 11) / (1 << 53)


@attrs.define(kw_only=True, eq=False)
class LoudnessScorer(Scorer):
    """Scores by loudness: integrated loudness (ITU-R BS.1770-4) of the clips' stems with their gains, LUFS.

    The powers of the stems are added as for uncorrelated signals. Nothing is rendered, because a baseline has to be
    cheap, and because the changes of loudness by rendering do not make a mashup good. Silence counts as −70 LUFS.
    """

    info: ClassVar[ComponentInfo] = LOUDNESS

    _stems: Recent[float] = attrs.field(factory=lambda: Recent(_KEPT), init=False, repr=False)

    def _score(self, mashups: Sequence[Mashup]) -> Sequence[Score]:
        levels = [self._level(mashup) for mashup in mashups]
        return [Score(level, parts={"loudness": level}) for level in levels]

    def _level(self, mashup: Mashup) -> float:
        power = sum(10 ** ((self._stem(mashup, layer.role) + layer.gain_db) / 10) for layer in mashup.plan.layers)
        return 10 * math.log10(power)

    def _stem(self, mashup: Mashup, role: Role) -> float:
        def measure() -> float:
            level = loudness(mashup.source_stem(role))
            return SILENCE_LUFS if level is None else level

        return self._stems.get(mashup.stem_key(role), measure)
