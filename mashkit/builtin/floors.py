"""Scorers that hear nothing of what makes a mashup good: what they reach, anybody reaches.

A benchmark in which they do well measures something else than it says.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import ClassVar

import attrs

from mashkit.builtin import LOUDNESS, RANDOM
from mashkit.catalog.ingest import loudness
from mashkit.components import ComponentInfo
from mashkit.interfaces import Scorer
from mashkit.render import Mashup
from mashkit.types import Score

SILENCE_LUFS = -70.0
"""Below it nothing counts as sound (the absolute gate of ITU-R BS.1770-4)."""


@attrs.define(kw_only=True, eq=False)
class RandomScorer(Scorer):
    """Draws a probability, evenly from 0 to 1, by the plan's id: the same plan always gets the same.

    Parameters
    ----------
    seed : int
        Another seed, other draws.
    """

    info: ClassVar[ComponentInfo] = RANDOM

    seed: int = attrs.field(default=0, validator=attrs.validators.instance_of(int))

    def _score(self, mashups: Sequence[Mashup]) -> Sequence[Score]:
        draws = (self._draw(mashup.plan.id) for mashup in mashups)
        return [Score(draw, "probability", {"draw": draw}) for draw in draws]

    def _draw(self, plan_id: str) -> float:
        digest = hashlib.sha256(f"{self.seed} {plan_id}".encode()).digest()
        # 53 bits: as many as a float holds.
        return (int.from_bytes(digest[:8]) >> 11) / (1 << 53)


@attrs.define(kw_only=True, eq=False)
class LoudnessScorer(Scorer):
    """The louder, the better: integrated loudness of the rendered mix (ITU-R BS.1770-4), LUFS; −70 for silence."""

    info: ClassVar[ComponentInfo] = LOUDNESS

    def _score(self, mashups: Sequence[Mashup]) -> Sequence[Score]:
        levels = (loudness(mashup.mix) for mashup in mashups)
        heard = (SILENCE_LUFS if level is None else level for level in levels)
        return [Score(level, parts={"loudness": level}) for level in heard]
