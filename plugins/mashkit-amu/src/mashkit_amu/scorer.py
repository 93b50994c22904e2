"""The scorers: AutoMashUpper's mashability of a planned mashup, as the mean over its pairs of stems."""

from __future__ import annotations

import functools
import itertools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal, TypeAlias

import attrs
import numpy as np

from mashkit.components import ComponentInfo
from mashkit.errors import PlanError
from mashkit.interfaces import Scorer
from mashkit.mashup import Mashup
from mashkit.models import file_sha256
from mashkit.rendering.stems import MeasuredStems
from mashkit.types import Role, Score, Times
from mashkit_amu import AMU, AMU_2021, AMU_TUNED
from mashkit_amu.mashability import (
    BALANCE_WEIGHT,
    RHYTHM_WEIGHT,
    SHIFTS,
    BeatFeatures,
    StemFeatures,
    harmonic_compatibility,
    rhythmic_compatibility,
    spectral_balance,
)

Rotation: TypeAlias = Literal["planned", "best"]

TUNED = Path(__file__).parent / "tuned.json"
"""The weights of ``amu-tuned`` and how they were fitted; ``plugins/mashkit-amu/tune.py`` writes it."""

_AS_PLANNED = int(np.flatnonzero(SHIFTS == 0)[0])
_WEIGHT = attrs.validators.and_(attrs.validators.ge(0.0), attrs.validators.lt(math.inf))


@attrs.define(kw_only=True, eq=False)
class _AutoMashUpper(Scorer):
    """Base of the scorers: compares features of the clips' own stems on the vocal's beats, in pairs.

    Nothing is rendered. AutoMashUpper compares songs by the beat before it stretches them, and so does mashkit. Each
    layer maps the vocal's beats from mashup time to the time of its own clip. There features are averaged between the
    beats, chroma are rotated by the layer's shift relative to the vocal's tuning, and energies get the layer's gain. A
    beat is compared as it is planned, even if a stem is silent on it or half a beat late.
    """

    _stems: MeasuredStems[StemFeatures] = attrs.field(
        factory=lambda: MeasuredStems(StemFeatures.of), init=False, repr=False
    )

    def _judge(
        self,
        mashup: Mashup,
        *,
        weights: Mapping[str, float],
        rotation: Rotation,
        percussion_harmony: bool,
        centred: bool = False,
    ) -> Score:
        """Return the weighted sum of the parts; each part is the mean over the pairs.

        Parameters
        ----------
        mashup : Mashup
        weights : mapping of str to float
            Weights of "harmony" and "balance", and of "rhythm" if it counts.
        rotation : {"planned", "best"}
            Which harmony counts: that of the shift in the plan, or the best over all shifts.
        percussion_harmony : bool
            Whether pairs with a percussion stem count in harmony.
        centred : bool
            Whether each beat's mean over pitch classes is taken from its chroma, so that harmony is a correlation.
        """
        if len(mashup.roles) < 2:
            raise PlanError(
                f"plan {mashup.plan.id} has one layer: {self.info.name!r} compares pairs", "give two stems or three"
            )
        beats = mashup.grid()
        features = {role: self._by_beat(mashup, role, beats) for role in mashup.roles}
        if centred:
            features = {role: own.centred() for role, own in features.items()}
        pairs = list(itertools.combinations(mashup.roles, 2))
        tonal = [pair for pair in pairs if percussion_harmony or Role.PERCUSSION not in pair]
        parts = {"harmony": _mean(_harmony(features[one], features[other], rotation) for one, other in tonal)}
        if "rhythm" in weights:
            parts["rhythm"] = _mean(
                rhythmic_compatibility(features[one].onsets, features[other].onsets)[0] for one, other in pairs
            )
        parts["balance"] = _mean(
            spectral_balance(features[one].energies, features[other].energies)[0] for one, other in pairs
        )
        return Score(value=sum(weights[name] * part for name, part in parts.items()), scale="ordinal", parts=parts)

    def _by_beat(self, mashup: Mashup, role: Role, beats: Times) -> BeatFeatures:
        layer = mashup.plan.layer(role)
        features = self._stems.of(mashup, role).by_beat(layer.to_clip(beats))
        return features.transposed(mashup.transposition(role)).amplified(layer.gain_db)


def _harmony(one: BeatFeatures, other: BeatFeatures, rotation: Rotation) -> float:
    harmony = harmonic_compatibility(one.chroma, other.chroma)[:, 0]
    return float(harmony.max() if rotation == "best" else harmony[_AS_PLANNED])


def _mean(values: Iterable[float]) -> float:
    """Return the mean; 0 for no values, because a mashup may have no pair for the harmony."""
    values = list(values)
    return float(np.mean(values)) if values else 0.0


@attrs.define(kw_only=True, eq=False)
class AmuScorer(_AutoMashUpper):
    """AutoMashUpper for stems, value = harmony + rhythm_weight · rhythm + balance_weight · balance.

    Each part is 0–1 and the mean over the pairs vocal–harmonic, vocal–percussion and harmonic–percussion. Without
    ``percussion_harmony``, harmony is the value of the pair vocal–harmonic alone.

    Parameters
    ----------
    rhythm_weight, balance_weight : float
        Weights beside a harmony of weight 1, ≥ 0.
    rotation : {"planned", "best"}
        Which harmony counts: that of the shift in the plan, or the best over all shifts. AutoMashUpper chooses the
        shift itself, so it returns the best. A plan already has its shift, and a plan in a wrong key must score low.
    percussion_harmony : bool
        Whether pairs with a percussion stem count in harmony. Published AutoMashUpper compares whole songs. The chroma
        of a drum kit alone are almost flat, so their cosine with any flat chroma is high and does not depend on keys.
    """

    info: ClassVar[ComponentInfo] = AMU

    rhythm_weight: float = attrs.field(default=RHYTHM_WEIGHT, validator=_WEIGHT)
    balance_weight: float = attrs.field(default=BALANCE_WEIGHT, validator=_WEIGHT)
    rotation: Rotation = attrs.field(default="planned", validator=attrs.validators.in_(("planned", "best")))
    percussion_harmony: bool = attrs.field(default=False, validator=attrs.validators.instance_of(bool))

    def _score(self, mashups: Sequence[Mashup]) -> Sequence[Score]:
        return [
            self._judge(
                mashup,
                weights={"harmony": 1.0, "rhythm": self.rhythm_weight, "balance": self.balance_weight},
                rotation=self.rotation,
                percussion_harmony=self.percussion_harmony,
            )
            for mashup in mashups
        ]


@attrs.define(kw_only=True, eq=False)
class Amu2021Scorer(_AutoMashUpper):
    """The baseline of Huang et al. (AAAI 2021) in our reading, value = harmony + balance_weight · balance.

    Huang et al. used an open tool that implements AutoMashUpper without its rhythmic term, and took the mean of the
    three pairs, percussion included. The tool's errors are not reproduced: it uses shifts of 7 to 11 semitones as
    downward shifts of the wrong size, reads the beats of one term backwards, and divides by the norm of the whole
    candidate; its balance is the deviation over beats, not over bands.

    Parameters
    ----------
    balance_weight : float
        Weight beside a harmony of weight 1, ≥ 0.
    rotation : {"best", "planned"}
        Which harmony counts: the best over all shifts for each pair, as in the tool, or that of the shift in the plan.
    """

    info: ClassVar[ComponentInfo] = AMU_2021

    balance_weight: float = attrs.field(default=BALANCE_WEIGHT, validator=_WEIGHT)
    rotation: Rotation = attrs.field(default="best", validator=attrs.validators.in_(("planned", "best")))

    def _score(self, mashups: Sequence[Mashup]) -> Sequence[Score]:
        return [
            self._judge(
                mashup,
                weights={"harmony": 1.0, "balance": self.balance_weight},
                rotation=self.rotation,
                percussion_harmony=True,
            )
            for mashup in mashups
        ]


@functools.cache
def tuned_weights() -> dict[str, float]:
    """Return the weight of each part, and the bias, of ``amu-tuned``."""
    found: dict[str, float] = json.loads(TUNED.read_text(encoding="utf-8"))["weights"]
    return found


@attrs.define(kw_only=True, eq=False)
class AmuTunedScorer(_AutoMashUpper):
    """AutoMashUpper with centred chroma and fitted weights: the probability that the stems fit together.

    p = 1 / (1 + exp(−(bias + w_h · harmony + w_r · rhythm + w_b · balance))). The parts are those of ``amu``, but each
    beat's mean over pitch classes is taken from its chroma first, so that harmony is a correlation, −1 to 1. The
    weights were fitted on songs that are rendered from a seed (:data:`TUNED`), so that a comparison with a trained
    network is one of two trained scorers. Centring and fitting are ours.
    """

    info: ClassVar[ComponentInfo] = AMU_TUNED

    def weights(self) -> Mapping[str, str]:
        """Return the file of the weights and its hash."""
        return {TUNED.name: file_sha256(TUNED)}

    def _score(self, mashups: Sequence[Mashup]) -> Sequence[Score]:
        return [self._probability(mashup, tuned_weights()) for mashup in mashups]

    def _probability(self, mashup: Mashup, fitted: Mapping[str, float]) -> Score:
        parts = {name: weight for name, weight in fitted.items() if name != "bias"}
        judged = self._judge(mashup, weights=parts, rotation="planned", percussion_harmony=False, centred=True)
        value = 1 / (1 + math.exp(-(judged.value + fitted["bias"])))
        return Score(value=value, scale="probability", parts=judged.parts)
