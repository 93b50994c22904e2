"""The rule from which intervalnet was developed: it checks whether the sung pitches are among the played pitches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import attrs
import numpy as np

from mashkit.components import ComponentInfo
from mashkit.interfaces import Scorer
from mashkit.mashup import Mashup
from mashkit.rendering.cache import Recent
from mashkit.types import Role, Score
from mashkit_mashnet import F0CHROMA
from mashkit_mashnet.intervals import StemIntervals, measured_layer
from mashkit_mashnet.pitches import PITCH_CLASSES, Floats

_CACHED_STEMS = 512  # about 150 MB for the pitch classes of stems of 40 s


@attrs.define(kw_only=True, eq=False)
class F0ChromaScorer(Scorer):
    """Agreement of the sung pitch class with the chroma of the harmonic layer, relative to agreement by chance.

    V_p(t) is the vocal's fundamental as one pitch class, and H_p(t) the harmonic layer's whitened chroma, on the
    vocal's half beats. For each of the twelve rotations k, c_k = Σ_t Σ_p V_p(t) · H_{p+k}(t). The score is
    (c_0 − mean c_k) / mean c_k: 0 is chance; below 0, the mean of all rotations fits better. The rule needs no training
    and no rendering, and ignores percussion.

    The rule is ours. The fundamental is found by sub-harmonic summation (Hermes, JASA 83, 1988); whitening subtracts
    the mean of neighbouring bands (:mod:`mashkit_mashnet.pitches`).
    """

    info: ClassVar[ComponentInfo] = F0CHROMA
    needs: ClassVar[tuple[Role, ...]] = (Role.HARMONIC,)

    _stems: Recent[StemIntervals] = attrs.field(factory=lambda: Recent(_CACHED_STEMS), init=False, repr=False)

    def _score(self, mashups: Sequence[Mashup]) -> Sequence[Score]:
        return [self._judge(mashup) for mashup in mashups]

    def _judge(self, mashup: Mashup) -> Score:
        grid = mashup.grid()
        vocal, harmonic = (measured_layer(mashup, role, self._stems, grid)[0] for role in (Role.VOCAL, Role.HARMONIC))
        value = harmony(vocal[0], harmonic.sum(axis=0))
        return Score(value=value, scale="ordinal", parts={"harmony": value})


def harmony(vocal: Floats, harmonic: Floats) -> float:
    """Return the score of the rule; 0 if a layer is silent. Parameters are those of :func:`rotations`."""
    agreement = rotations(vocal, harmonic)
    mean = float(agreement.mean())
    return float(agreement[0]) / mean - 1 if mean > 0 else 0.0


def rotations(vocal: Floats, harmonic: Floats) -> Floats:
    """Return the agreement at each rotation, shape (12,); in rotation k, ``harmonic`` is k semitones lower.

    Parameters
    ----------
    vocal, harmonic : array of float32, shape (12, time)
    """
    return np.array([(vocal * np.roll(harmonic, -k, axis=0)).sum() for k in range(PITCH_CLASSES)], np.float32)
