"""Mashups built by hand, for tests of scorers: any clips, layers changed one at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from mashkit.interfaces import Stretcher
from mashkit.mashup import ClipSource, Mashup
from mashkit.render import Renderer
from mashkit.types import Analysis, Audio, Clip, Condition, Layer, MashupPlan, Role


class Unstretched(Stretcher):
    """Stretches nothing: for mashups that are not rendered, or whose layers need no stretching."""

    def _stretch(self, audio: Audio, *, speed: float, semitones: float, frames: int) -> Audio:
        raise AssertionError("a mashup that is not to be stretched was rendered")


class Shelf:
    """Clips and stems by name: a clip source for tests, which counts how often a stem is asked for."""

    def __init__(self) -> None:
        self.clips: dict[str, Clip] = {}
        self.stems: dict[tuple[str, Role], Audio] = {}
        self.asked = 0

    def add(self, name: str, stems: Mapping[Role, Audio], analysis: Analysis) -> Clip:
        """Keep stems of one length and rate, and return the clip they make."""
        (duration,) = {stem.duration for stem in stems.values()}
        (rate,) = {stem.sample_rate for stem in stems.values()}
        self.clips[name] = Clip(name, name, name, f"{name}.wav", 0.0, duration, rate, analysis)
        self.stems |= {(name, role): stem for role, stem in stems.items()}
        return self.clips[name]

    def clip(self, clip_id: str) -> Clip:
        """Return the clip of that name."""
        return self.clips[clip_id]

    def stem(self, clip_id: str, role: Role) -> Audio:
        """Return one of its stems."""
        self.asked += 1
        return self.stems[clip_id, role]

    def provenance(self, clip_ids: Iterable[str]) -> Sequence[Mapping[str, Any]]:
        """Nothing separated or analysed these."""
        return ()


def mashup_of(
    source: ClipSource,
    clip: Clip,
    *,
    condition: Condition = Condition.ORIGINAL,
    duration_s: float | None = None,
    **changes: Mapping[str, Any] | None,
) -> Mashup:
    """Return the mashup of a clip's own stems, nothing stretched or shifted, but for ``changes`` to some layers.

    Parameters
    ----------
    source : ClipSource
    clip : Clip
    condition : Condition
        What the plan calls itself.
    duration_s : float, optional
        By default the clip's.
    **changes : mapping or None
        Role ("harmonic") → fields of its layer that are to be otherwise (``{"semitones": 2}``); None leaves it out.
    """
    layers = [
        Layer(**{"role": role, "clip_id": clip.id, **(changes.get(role.value) or {})})
        for role in Role
        if changes.get(role.value, {}) is not None
    ]
    plan = MashupPlan(condition=condition, layers=layers, duration_s=duration_s or clip.duration, seed=0)
    return Renderer(source, Unstretched()).mashup(plan)


def shifted(mashup: Mashup, semitones: float) -> Mashup:
    """Return the same plan with the harmonic layer ``semitones`` higher."""
    layers = [
        attrs.evolve(layer, semitones=layer.semitones + semitones) if layer.role is Role.HARMONIC else layer
        for layer in mashup.plan.layers
    ]
    return mashup.renderer.mashup(attrs.evolve(mashup.plan, layers=layers))
