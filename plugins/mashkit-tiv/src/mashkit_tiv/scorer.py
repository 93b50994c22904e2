"""The scorer: small-scale harmonic compatibility of the vocal and the harmonic layer, as planned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal, TypeAlias

import attrs

from mashkit.components import ComponentInfo
from mashkit.features.spectral import StemChroma
from mashkit.interfaces import Scorer
from mashkit.mashup import Mashup
from mashkit.rendering.stems import MeasuredStems
from mashkit.types import Role, Score, Times
from mashkit_tiv import TIV
from mashkit_tiv.space import TonalIntervals, Values, dissonance, distance

By: TypeAlias = Literal["beat", "whole"]


@attrs.define(kw_only=True, eq=False)
class TivScorer(Scorer):
    """Harmonic compatibility, value = 1 − Σ_j e_j · R_j · D_j over the beats j of the vocal, 0–1.

    R_j is the distance of the tonal interval vectors of vocal and harmonic layer (:func:`mashkit_tiv.space.distance`),
    and D_j the dissonance of their mix (:func:`mashkit_tiv.space.dissonance`). They are perceptual relatedness and
    dissonance of Bernardes, Davies and Guedes, "A Hierarchical Harmonic Mixing Method" (CMMR 2017), also used by Maçãs
    et al., "MixMash" (IJACDT 8(2), 2019). Their product, with these divisors, is the small-scale compatibility of the
    open implementation https://github.com/migperfer/harmonic_compatibility, where low is good. The parts are
    relatedness = 1 − Σ e_j·R_j and consonance = 1 − Σ e_j·D_j.

    Three things are ours. The weights of the beats are e_j ∝ E_vocal[j] · E_harmonic[j], where E is the sum of the
    chroma, so that a beat counts only if both layers sound (the literature takes the plain mean). The value is one
    minus the sum, so that high is good. Value and parts are 0 if the two never sound in the same beat. mashkit's chroma
    are proportional to the square root of magnitude, and so is E.

    Nothing is rendered: each layer maps the vocal's beats from mashup time to the time of its own clip, and the layer's
    shift rotates the phases of the vectors. Gains and percussion do not change the score.

    Parameters
    ----------
    by : {"beat", "whole"}
        "beat" compares vectors beat by beat; "whole" compares two vectors of the whole mashup's chroma, which measures
        a common key but not common chords.
    """

    info: ClassVar[ComponentInfo] = TIV
    needs: ClassVar[tuple[Role, ...]] = (Role.HARMONIC,)

    by: By = attrs.field(default="beat", validator=attrs.validators.in_(("beat", "whole")))

    _stems: MeasuredStems[StemChroma] = attrs.field(
        factory=lambda: MeasuredStems(StemChroma.of), init=False, repr=False
    )

    def _score(self, mashups: Sequence[Mashup]) -> Sequence[Score]:
        return [self._judge(mashup) for mashup in mashups]

    def _judge(self, mashup: Mashup) -> Score:
        beats = mashup.grid()
        vocal, harmonic = (self._by_beat(mashup, role, beats) for role in (Role.VOCAL, Role.HARMONIC))
        if self.by == "whole":
            vocal, harmonic = vocal.whole(), harmonic.whole()
        share = _shares(vocal.energies * harmonic.energies)
        apart, rough = distance(vocal, harmonic), dissonance(vocal, harmonic)
        heard = float(share.sum())  # 1, or 0 when the two never sound together
        return Score(
            value=heard - float(share @ (apart * rough)),
            scale="ordinal",
            parts={"relatedness": heard - float(share @ apart), "consonance": heard - float(share @ rough)},
        )

    def _by_beat(self, mashup: Mashup, role: Role, beats: Times) -> TonalIntervals:
        chroma = self._stems.of(mashup, role).by_beat(mashup.plan.layer(role).to_clip(beats))
        return TonalIntervals.of(chroma).transposed(mashup.transposition(role))


def _shares(weights: Values) -> Values:
    """Return ``weights`` ≥ 0 divided by their sum; zeros if all weights are 0."""
    total = weights.sum()
    return weights / total if total > 0 else weights
