"""The scorer: vertical mashability of the vocal and the harmonic layer, as planned."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import attrs

from mashkit.components import ComponentInfo
from mashkit.features.spectral import StemChroma, transposed_chroma
from mashkit.interfaces import Scorer
from mashkit.mashup import Mashup
from mashkit.rendering.stems import MeasuredStems
from mashkit.types import Role, Score, Times
from mashkit_vh2015 import VH2015
from mashkit_vh2015.mashability import (
    Chroma,
    change_balance,
    change_rate,
    chroma_match,
    energies,
    tempo_closeness,
)

CHANGE_THRESHOLD = 0.09
"""Harmonic change above which a beat counts as a change (ours): half-way between the medians of separated vocals
(0.098) and harmonic stems (0.082) over the beats of 18 excerpts from nine rock and pop songs."""

TEMPO_WEIGHT = 0.2
"""Weight of tempo closeness beside a chroma match of weight 1: the bonus in the open re-implementation."""

_SHARE = attrs.validators.and_(attrs.validators.ge(0.0), attrs.validators.le(1.0))


@attrs.define(kw_only=True, eq=False)
class Vh2015Scorer(Scorer):
    """Vertical mashability, value = chroma · (1 − c + c · contrast) + tempo_weight · tempo, c = contrast_weight.

    Chroma is the similarity of vocal and harmonic layer (:func:`mashkit_vh2015.mashability.chroma_match`). Contrast is
    the balance (:func:`~mashkit_vh2015.mashability.change_balance`) of how often their harmonies change
    (:func:`~mashkit_vh2015.mashability.change_rate`). Tempo measures how near all layers are to their own tempo
    (:func:`~mashkit_vh2015.mashability.tempo_closeness`). Each is 0–1. Chroma and contrast are 0 if vocal and harmonic
    layer never sound in the same beat.

    The open re-implementation multiplies similarity by balance and adds tempo, and its weights are the defaults. The
    paper's horizontal mashability compares successive segments; a mashup here is one segment. The paper's system
    chooses the key shift; here the plan contains it. Spectral balance and rhythm, which the paper took from
    AutoMashUpper, are left to `amu`.

    Nothing is rendered: each layer maps the vocal's beats from mashup time to the time of its own clip.

    Parameters
    ----------
    contrast_weight : float
        Share of the chroma match that is multiplied by contrast, 0 (none) to 1 (all).
    tempo_weight : float
        Weight of tempo beside a chroma match of weight 1, ≥ 0.
    change_threshold : float
        Harmonic change above which a beat counts as a change, 0–1.
    """

    info: ClassVar[ComponentInfo] = VH2015
    needs: ClassVar[tuple[Role, ...]] = (Role.HARMONIC,)

    contrast_weight: float = attrs.field(default=1.0, validator=_SHARE)
    tempo_weight: float = attrs.field(
        default=TEMPO_WEIGHT, validator=[attrs.validators.ge(0.0), attrs.validators.lt(math.inf)]
    )
    change_threshold: float = attrs.field(default=CHANGE_THRESHOLD, validator=_SHARE)

    _stems: MeasuredStems[StemChroma] = attrs.field(
        factory=lambda: MeasuredStems(StemChroma.of), init=False, repr=False
    )

    def _score(self, mashups: Sequence[Mashup]) -> Sequence[Score]:
        return [self._judge(mashup) for mashup in mashups]

    def _judge(self, mashup: Mashup) -> Score:
        beats = mashup.grid()
        vocal, harmonic = (self._by_beat(mashup, role, beats) for role in (Role.VOCAL, Role.HARMONIC))
        shifts = (mashup.transposition(role) for role in (Role.VOCAL, Role.HARMONIC))
        parts = {
            "chroma": chroma_match(*map(transposed_chroma, (vocal, harmonic), shifts)),
            "contrast": self._contrast(vocal, harmonic),
            "tempo": tempo_closeness(layer.speed for layer in mashup.plan.layers),
        }
        fit = parts["chroma"] * (1 - self.contrast_weight + self.contrast_weight * parts["contrast"])
        return Score(value=fit + self.tempo_weight * parts["tempo"], scale="ordinal", parts=parts)

    def _contrast(self, vocal: Chroma, harmonic: Chroma) -> float:
        if not (energies(vocal) * energies(harmonic)).any():
            return 0.0
        return change_balance(*(change_rate(chroma, self.change_threshold) for chroma in (vocal, harmonic)))

    def _by_beat(self, mashup: Mashup, role: Role, beats: Times) -> Chroma:
        return self._stems.of(mashup, role).by_beat(mashup.plan.layer(role).to_clip(beats))
