"""Scorer: how good a mashup is."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import attrs

from mashkit.components import Component
from mashkit.errors import ContractViolation
from mashkit.types import Score

if TYPE_CHECKING:
    from mashkit.render import Mashup


@attrs.define(kw_only=True, eq=False)
class Scorer(Component):
    """Judges mashups; ``info.provides`` names the parts its scores are made of."""

    kind: ClassVar[str] = "scorer"

    def score(self, mashups: Sequence[Mashup]) -> list[Score]:
        """Return one score a mashup, in the same order.

        Parameters
        ----------
        mashups : sequence of Mashup
            Their stems and mix render on first touch; a scorer that reads only plans, clips or the clips' own stems
            pays for no rendering.

        Returns
        -------
        list of Score
            As long as ``mashups``; higher is better; each independent of what else is in the batch.

        Raises
        ------
        ComponentFailed
            If the backend raises, or gives a value that is not a score (NaN, a probability outside 0–1).
        ContractViolation
            If the number of scores differs from the number of mashups.
        """
        with self.backend_call("score"):
            scores = list(self._score(mashups)) if mashups else []
        if len(scores) != len(mashups):
            raise ContractViolation(f"scorer {self.info.name!r} gave {len(scores)} scores for {len(mashups)} mashups")
        return scores

    @abstractmethod
    def _score(self, mashups: Sequence[Mashup]) -> Sequence[Score]:
        """Score at least one mashup."""
