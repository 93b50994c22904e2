"""Build mashups for tests of scorers: from any clips, with changes to single layers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from mashkit.components import ComponentInfo
from mashkit.errors import UsageError
from mashkit.interfaces import Stretcher
from mashkit.mashup import ClipSource, Mashup
from mashkit.rendering.renderer import Renderer
from mashkit.types import Analysis, Audio, Clip, Condition, Layer, MashupPlan, Role


class Unstretched(Stretcher):
    """A stretcher that cannot stretch, for mashups that are not rendered or whose layers need no stretching."""

    info = ComponentInfo(
        name="unstretched",
        target="mashkit.testing.mashups:Unstretched",
        summary="Stretches nothing",
        code_license="MIT",
        provides=(),
    )

    def _stretch(self, audio: Audio, *, speed: float, semitones: float, frames: int) -> Audio:
        raise AssertionError("a mashup that is not to be stretched was rendered")


class Shelf:
    """A clip source for tests: clips and stems by name, and the number of calls of :meth:`stem` in ``asked``.

    Examples
    --------
    >>> import mashkit as mk
    >>> from mashkit.testing import signals
    >>> from mashkit.testing.mashups import Shelf
    >>> shelf = Shelf()
    >>> stems, found = signals.band(mk.Key(9, "minor"), bars=2)
    >>> clip = shelf.add("band", {role: stems.role(role) for role in mk.Role}, found)
    >>> shelf.stem("band", mk.Role.VOCAL).duration == clip.duration, shelf.asked
    (True, 1)
    """

    def __init__(self) -> None:
        self.clips: dict[str, Clip] = {}
        self.stems: dict[tuple[str, Role], Audio] = {}
        self.asked = 0

    def add(self, name: str, stems: Mapping[Role, Audio], analysis: Analysis) -> Clip:
        """Store stems of equal length and rate, and return their clip."""
        (duration,) = {stem.duration for stem in stems.values()}
        (rate,) = {stem.sample_rate for stem in stems.values()}
        self.clips[name] = Clip(name, name, name, f"{name}.wav", 0.0, duration, rate, analysis)
        self.stems |= {(name, role): stem for role, stem in stems.items()}
        return self.clips[name]

    def clip(self, clip_id: str) -> Clip:
        """Return the clip of that name."""
        return self.clips[clip_id]

    def stem(self, clip_id: str, role: Role) -> Audio:
        """Return the clip's stem of a role."""
        self.asked += 1
        return self.stems[clip_id, role]

    def provenance(self, clip_ids: Iterable[str]) -> Sequence[Mapping[str, Any]]:
        """Return an empty sequence, because no component separated or analysed these clips."""
        return ()


def mashup_of(
    source: ClipSource,
    clip: Clip,
    *,
    condition: Condition = Condition.ORIGINAL,
    duration_s: float | None = None,
    **changes: Mapping[str, Any] | None,
) -> Mashup:
    """Return the mashup of a clip's own stems, not stretched or shifted, except for ``changes`` to some layers.

    Parameters
    ----------
    source : ClipSource
    clip : Clip
    condition : Condition
        The plan's condition.
    duration_s : float, optional
        Length of the mashup, seconds; by default the clip's.
    **changes : mapping or None
        Role ("harmonic") → changed fields of its layer (``{"semitones": 2}``); None leaves the layer out.

    Raises
    ------
    UsageError
        If a change is of no role.

    Examples
    --------
    >>> import mashkit as mk
    >>> from mashkit.synthetic.source import SyntheticSource
    >>> from mashkit.testing.mashups import mashup_of
    >>> songs = SyntheticSource([(mk.Key(9, "minor"), 120.0)], bars=2)
    >>> mashup = mashup_of(songs, songs.clips[0], harmonic={"semitones": 1}, percussion=None)
    >>> mashup.roles, mashup.plan.layer(mk.Role.HARMONIC).semitones
    ((<Role.VOCAL: 'vocal'>, <Role.HARMONIC: 'harmonic'>), 1.0)
    """
    for name in changes:
        if name not in {role.value for role in Role}:
            raise UsageError(f"{name!r} is not a role", f"give {', '.join(Role)}")
    layers = [
        Layer(**{"role": role, "clip_id": clip.id, **(changes.get(role.value) or {})})
        for role in Role
        if changes.get(role.value, {}) is not None
    ]
    plan = MashupPlan(condition=condition, layers=layers, duration_s=duration_s or clip.duration, seed=0)
    return Renderer(source, Unstretched()).mashup(plan)


def shifted(mashup: Mashup, semitones: float) -> Mashup:
    """Return the same plan with the harmonic layer ``semitones`` higher.

    Examples
    --------
    >>> import mashkit as mk
    >>> from mashkit.synthetic.source import SyntheticSource
    >>> from mashkit.testing.mashups import mashup_of, shifted
    >>> songs = SyntheticSource([(mk.Key(9, "minor"), 120.0)], bars=2)
    >>> off = shifted(mashup_of(songs, songs.clips[0]), 1)
    >>> off.plan.layer(mk.Role.HARMONIC).semitones, off.plan.layer(mk.Role.VOCAL).semitones
    (1.0, 0.0)
    """
    layers = [
        attrs.evolve(layer, semitones=layer.semitones + semitones) if layer.role is Role.HARMONIC else layer
        for layer in mashup.plan.layers
    ]
    return mashup.renderer.mashup(attrs.evolve(mashup.plan, layers=layers))
