"""The scorers: AutoMashUpper's mashability of a mashup as planned, mean over its pairs of stems."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, Literal, TypeAlias

import attrs
import numpy as np

from mashkit.components import ComponentInfo
from mashkit.errors import PlanError
from mashkit.interfaces import Scorer
from mashkit.mashup import Mashup
from mashkit.recent import Recent
from mashkit.types import Role, Score, Times
from mashkit_amu import AMU, AMU_2021
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

_CACHED_STEMS = 1024  # about 250 MB of features of stems of 40 s

_AS_PLANNED = int(np.flatnonzero(SHIFTS == 0)[0])


def _weight(instance: object, attribute: attrs.Attribute[float], value: object) -> None:
    if not isinstance(value, (int, float)) or not 0 <= value < math.inf:
        raise ValueError(f"{attribute.name} is {value!r}: give a number from 0 on")


@attrs.define(kw_only=True, eq=False)
class _AutoMashUpper(Scorer):
    """What both scorers do: features of the clips' own stems, carried onto the vocal's beats, compared in pairs.

    Nothing is rendered. AutoMashUpper compares songs before it stretches them, by the beat; so do we: the vocal's
    beats on the mashup's time line are carried back into each clip by its layer, features are averaged between them
    there, chroma are rotated by the layer's shift, seen from the vocal's tuning, and energies get its gain. A beat that
    a stem does not reach, or reaches half a beat late, is compared as just that.
    """

    _stems: Recent[StemFeatures] = attrs.field(factory=lambda: Recent(_CACHED_STEMS), init=False, repr=False)

    def _judge(
        self, mashup: Mashup, *, weights: Mapping[str, float], rotation: Rotation, percussion_harmony: bool
    ) -> Score:
        """Return the weighted sum of the parts in ``weights``, each the mean over the pairs."""
        if len(mashup.roles) < 2:
            raise PlanError(
                f"plan {mashup.plan.id} has one layer: {self.info.name!r} compares pairs", "give two stems or three"
            )
        beats = mashup.grid()
        features = {role: self._by_beat(mashup, role, beats) for role in mashup.roles}
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
        tuning = mashup.tuning(role)
        stem = self._stems.get(
            (layer.clip_id, role, tuning), lambda: StemFeatures.of(mashup.source_stem(role), tuning=tuning)
        )
        return stem.by_beat(layer.to_clip(beats)).transposed(mashup.transposition(role)).amplified(layer.gain_db)


def _harmony(one: BeatFeatures, other: BeatFeatures, rotation: Rotation) -> float:
    harmony = harmonic_compatibility(one.chroma, other.chroma)[:, 0]
    return float(harmony.max() if rotation == "best" else harmony[_AS_PLANNED])


def _mean(values: Iterable[float]) -> float:
    """Return the mean; 0 of nothing, for a mashup without a pair that has a harmony."""
    values = list(values)
    return float(np.mean(values)) if values else 0.0


@attrs.define(kw_only=True, eq=False)
class AmuScorer(_AutoMashUpper):
    """AutoMashUpper for stems, value = harmony + rhythm_weight · rhythm + balance_weight · balance.

    Each part is 0–1 and the mean over the pairs vocal–harmonic, vocal–percussion and harmonic–percussion, except that
    harmony is that of vocal and harmonic alone unless ``percussion_harmony``.

    Parameters
    ----------
    rhythm_weight, balance_weight : float
        Weights beside a harmony of weight 1, ≥ 0.
    rotation : {"planned", "best"}
        Which harmony counts: that of the stems shifted as the plan says, or the best over all shifts. AutoMashUpper
        chooses the shift itself, so it reports the best; a plan has its shift already, and one in a wrong key has to
        sound wrong.
    percussion_harmony : bool
        Whether pairs with a percussion stem count in harmony. Published AutoMashUpper compares whole songs; of a drum
        kit alone the chroma is near flat, so that the cosine is high with whatever is as flat, and says nothing of
        keys.
    """

    info: ClassVar[ComponentInfo] = AMU

    rhythm_weight: float = attrs.field(default=RHYTHM_WEIGHT, validator=_weight)
    balance_weight: float = attrs.field(default=BALANCE_WEIGHT, validator=_weight)
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
    """The baseline of Huang et al. (AAAI 2021) as we read it, value = harmony + balance_weight · balance.

    They used an open tool that implements AutoMashUpper without its rhythmic term, and took the mean of the three
    pairs, percussion included. The tool's slips are not reproduced: it takes shifts of 7 to 11 semitones for downward
    ones of the wrong size, reads the beats of one term backwards, divides by the norm of the whole candidate, and its
    balance is the spread over beats, not over bands.

    Parameters
    ----------
    balance_weight : float
        Weight beside a harmony of weight 1, ≥ 0.
    rotation : {"best", "planned"}
        Which harmony counts: the best over all shifts, as the tool reports it, pair by pair; or that of the plan.
    """

    info: ClassVar[ComponentInfo] = AMU_2021

    balance_weight: float = attrs.field(default=BALANCE_WEIGHT, validator=_weight)
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
