"""The rule a network of intervals grew from: is what is sung among what is played?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import attrs
import numpy as np

from mashkit.components import ComponentInfo
from mashkit.errors import PlanError
from mashkit.interfaces import Scorer
from mashkit.mashup import Mashup
from mashkit.recent import Recent
from mashkit.types import Role, Score
from mashkit_mashnet import F0CHROMA
from mashkit_mashnet.intervals import StemIntervals, heard
from mashkit_mashnet.pitches import PITCH_CLASSES, Floats

_CACHED_STEMS = 512  # about 150 MB of pitch classes of stems of 40 s


@attrs.define(kw_only=True, eq=False)
class F0ChromaScorer(Scorer):
    """Agreement of the sung pitch class with the chroma of the harmonic layer, against how they would agree by chance.

    With the vocal's fundamental as one pitch class V_p(t) and the harmonic layer's whitened chroma H_p(t) on the
    vocal's half beats, c_k = Σ_t Σ_p V_p(t) · H_{p+k}(t) for each of the twelve rotations k, and the score is
    (c_0 − mean c_k) / mean c_k: 0 is chance, below it something else would fit better. It needs no training, renders
    nothing, and does not hear percussion.

    Ours; the fundamental is found by sub-harmonic summation (Hermes, JASA 83, 1988), the whitening is a difference to
    the mean of neighbouring bands (:mod:`mashkit_mashnet.pitches`).
    """

    info: ClassVar[ComponentInfo] = F0CHROMA

    _stems: Recent[StemIntervals] = attrs.field(factory=lambda: Recent(_CACHED_STEMS), init=False, repr=False)

    def _score(self, mashups: Sequence[Mashup]) -> Sequence[Score]:
        return [self._judge(mashup) for mashup in mashups]

    def _judge(self, mashup: Mashup) -> Score:
        if Role.HARMONIC not in mashup.roles:
            raise PlanError(
                f"plan {mashup.plan.id} has no harmonic layer: {self.info.name!r} compares it with the vocal",
                "give a plan with a harmonic stem",
            )
        grid = mashup.grid()
        vocal, harmonic = (heard(mashup, role, self._stems, grid)[0] for role in (Role.VOCAL, Role.HARMONIC))
        agreement = rotations(vocal[0], harmonic.sum(axis=0))
        mean = float(agreement.mean())
        value = float(agreement[0]) / mean - 1 if mean > 0 else 0.0
        return Score(value=value, scale="ordinal", parts={"harmony": value})


def rotations(vocal: Floats, harmonic: Floats) -> Floats:
    """Return how well they agree at each rotation, shape (12,): number k is with ``harmonic`` k semitones lower.

    Parameters
    ----------
    vocal, harmonic : array of float32, shape (12, time)
    """
    return np.array([(vocal * np.roll(harmonic, -k, axis=0)).sum() for k in range(PITCH_CLASSES)], np.float32)
