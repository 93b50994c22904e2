"""From plan to sound: layers stretched, placed, gained and summed, on first touch.

A renderer never stretches the vocal (its layer has speed 1 and no shift, so its samples are copied), gives every stem
the plan's length to the sample, and mixes as the plan says: see :mod:`mashkit.mixing`. Nothing is ever clipped.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import attrs
import numpy as np

from mashkit import mixing
from mashkit.errors import PlanError
from mashkit.interfaces.stretcher import Stretcher
from mashkit.output import MASHUP_FILES, write_mashup
from mashkit.products import OutputSet
from mashkit.recent import recent_audio
from mashkit.tuning import settled
from mashkit.types import Audio, Clip, FrozenMapping, Layer, MashupPlan, Role, Samples, Times, frozen_mapping


class ClipSource(Protocol):
    """Where a renderer finds clips and their stems: a catalog, usually."""

    def clip(self, clip_id: str) -> Clip:
        """Return the clip; raise CatalogError if there is none."""

    def stem(self, clip_id: str, role: Role) -> Audio:
        """Return the clip's stem for ``role``, as cut: no stretch, no gain."""

    def provenance(self, clip_ids: Iterable[str]) -> Sequence[Mapping[str, Any]]:
        """Return which components made the stems and analyses of these clips, as :meth:`Component.describe` has it."""


@attrs.frozen(eq=False)
class Rendering:
    """The sound of one plan.

    Parameters
    ----------
    stems : mapping of Role to Audio
        Each of the plan's length, with all gains applied; they sum to ``mix``.
    mix : Audio
    gain_db : float
        The common gain, ≤ 0 dB: what the whole mix was lowered by to keep its peaks.
    limited_db : float
        The most that the limiter took off at any moment, ≥ 0 dB.
    """

    stems: Mapping[Role, Audio] = attrs.field(converter=frozen_mapping)
    mix: Audio
    gain_db: float
    limited_db: float


class Renderer:
    """Renders plans whose clips come from one source, with one stretcher.

    Parameters
    ----------
    source : ClipSource
    stretcher : Stretcher
    cache_bytes : int
        How much stretched audio to keep: a layer used by many plans is stretched once while it fits.
    """

    def __init__(self, source: ClipSource, stretcher: Stretcher, *, cache_bytes: int = 1 << 30) -> None:
        self.source = source
        self.stretcher = stretcher
        self._layers = recent_audio(cache_bytes)
        self._lock = threading.Lock()
        self._cache_bytes = cache_bytes
        self._last: tuple[MashupPlan, Rendering] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        # Without what it keeps: sound is rendered again where the renderer arrives.
        return functools.partial(Renderer, cache_bytes=self._cache_bytes), (self.source, self.stretcher)

    def mashup(self, plan: MashupPlan) -> Mashup:
        """Return the plan as a mashup, nothing rendered yet.

        Raises
        ------
        PlanError
            If the plan's clips differ in sample rate.
        CatalogError
            If the source does not hold one of the clips.
        """
        rates = {self.source.clip(layer.clip_id).sample_rate for layer in plan.layers}
        if len(rates) > 1:
            raise PlanError(f"plan {plan.id} mixes clips at {sorted(rates)} Hz", "build the catalog at one rate")
        return Mashup(plan, self)

    def render(self, plan: MashupPlan) -> Rendering:
        """Return the sound of ``plan``; the last one is kept, so that stems and mix cost one rendering.

        Several threads may render at once.
        """
        last = self._last  # read once, because another thread may replace it at any moment
        if last is not None and last[0] is plan:
            return last[1]
        rendering = self._render(plan)
        self._last = (plan, rendering)
        return rendering

    def _render(self, plan: MashupPlan) -> Rendering:
        placed = {layer.role: self.placed(layer, plan.duration_s) for layer in plan.layers}
        (rate,) = {self.source.clip(layer.clip_id).sample_rate for layer in plan.layers}
        mixed = mixing.mix(placed, rate, plan.mixing)
        stems = {role: _audio(samples, rate) for role, samples in mixed.stems.items()}
        return Rendering(stems, _audio(mixed.mix, rate), mixed.gain_db, mixed.limited_db)

    def stretched(self, layer: Layer) -> Audio:
        """Return the layer's whole stem at its speed and pitch, without gain or placing."""
        speed = 1.0 if layer.time_map is not None else layer.speed
        if layer.time_map is None and speed == 1.0 and layer.semitones == 0.0:
            return self.source.stem(layer.clip_id, layer.role)
        key = (layer.clip_id, layer.role, speed, layer.time_map, layer.semitones)

        def stretched() -> Audio:
            stem = self.source.stem(layer.clip_id, layer.role)
            with contextlib.nullcontext() if self.stretcher.info.thread_safe else self._lock:
                return self.stretcher.stretch(stem, speed=speed, semitones=layer.semitones, time_map=layer.time_map)

        return self._layers.get(key, stretched)

    def placed(self, layer: Layer, duration_s: float) -> Samples:
        """Return the layer, with its gain, on a time line: exact length, silence where the stem does not reach."""
        audio = self.stretched(layer)
        frames = round(duration_s * audio.sample_rate)
        start = round(layer.offset_s * audio.sample_rate)
        first, last = max(start, 0), min(start + audio.frames, frames)
        placed = np.zeros((audio.channels, frames), dtype=np.float32)
        if first < last:
            gain = np.float32(10 ** (layer.gain_db / 20))
            np.multiply(audio.samples[:, first - start : last - start], gain, out=placed[:, first:last])
        return placed


def _audio(samples: Samples, sample_rate: int) -> Audio:
    samples.flags.writeable = False  # ours alone: handing it over as it is saves a copy
    return Audio(samples, sample_rate)


@attrs.frozen(eq=False)
class Mashup:
    """A plan and the renderer that can make it sound.

    ``stems`` and ``mix`` render on first touch; a scorer that reads only ``plan``, ``clips`` and ``source_stem``
    pays for no stretching.
    """

    plan: MashupPlan
    renderer: Renderer = attrs.field(repr=False)

    @property
    def roles(self) -> tuple[Role, ...]:
        """The roles of its layers, vocal first."""
        return tuple(sorted((layer.role for layer in self.plan.layers), key=list(Role).index))

    @property
    def clips(self) -> Mapping[Role, Clip]:
        """The clip behind each layer."""
        return FrozenMapping({layer.role: self.renderer.source.clip(layer.clip_id) for layer in self.plan.layers})

    def tuning(self, role: Role = Role.VOCAL) -> float:
        """Return the tuning of ``role``'s clip, cents from A = 440 Hz; 0 where it is unknown.

        The vocal is never shifted: its tuning is that of the mashup, on which chroma of what is rendered is centred.
        Chroma of a clip's own stem is centred on that clip's, and goes up by :meth:`transposition`.
        """
        return self.clips[role].analysis.tuning or 0.0

    def transposition(self, role: Role) -> float:
        """Return by how many semitones ``role``'s layer goes up, seen from its clip's tuning in the vocal's.

        A clip at −43 cents, shifted by +2.43 semitones to a vocal at 0, is two semitones higher: whole where the layer
        is in tune with the vocal (:func:`mashkit.tuning.settled`). With equal or unknown tunings, the layer's shift.
        """
        semitones, off = self.plan.layer(role).semitones, self.tuning(role) - self.tuning()
        return settled(semitones + off / 100) if off else semitones

    def provenance(self) -> Sequence[Mapping[str, Any]]:
        """Return which components made the stems and analyses of its clips, as :meth:`Component.describe` has it."""
        return self.renderer.source.provenance([layer.clip_id for layer in self.plan.layers])

    @property
    def sample_rate(self) -> int:
        """Rate of stems and mix, Hz."""
        return self.clips[Role.VOCAL].sample_rate

    def source_stem(self, role: Role) -> Audio:
        """Return the clip's own stem for ``role``: the whole clip, before stretching, placing and gain."""
        return self.renderer.source.stem(self.plan.layer(role).clip_id, role)

    def beats(self, role: Role = Role.VOCAL) -> Times:
        """Return where the beats of ``role``'s clip sound in the mashup, seconds; the vocal's are its grid.

        Raises
        ------
        AnalysisError
            If the clip's analysis has no beats.
        """
        return self._carried(role, "beats")

    def grid(self) -> Times:
        """Return the times between which to compare its stems: the vocal's beats, or its ends if there are not two.

        Raises
        ------
        AnalysisError
            If the vocal's analysis has no beats.
        """
        beats = self.beats()
        return beats if len(beats) >= 2 else np.array([0.0, self.plan.duration_s])

    def downbeats(self, role: Role = Role.VOCAL) -> Times:
        """Return where the downbeats of ``role``'s clip sound in the mashup, seconds; see :meth:`beats`."""
        return self._carried(role, "downbeats")

    def _carried(self, role: Role, field: str) -> Times:
        clip = self.clips[role]
        clip.require(field)
        times = self.plan.layer(role).to_mashup(getattr(clip.analysis, field))
        inside: Times = times[(times >= 0) & (times < self.plan.duration_s)]
        return inside

    def layer_audio(self, role: Role) -> Audio:
        """Return ``role``'s layer as it goes into the mixing: stretched, placed, with its own gain, and no more.

        What mixing does, fades, ducking and the peak guard, depends on all layers; this depends on the one. It is
        placed anew at every call.

        Raises
        ------
        PlanError
            If the plan has no such layer.
        """
        return _audio(self.renderer.placed(self.plan.layer(role), self.plan.duration_s), self.clips[role].sample_rate)

    @property
    def stems(self) -> Mapping[Role, Audio]:
        """The rendered stems; they sum to :attr:`mix`."""
        return self.renderer.render(self.plan).stems

    @property
    def mix(self) -> Audio:
        """The rendered mix; peaks at −1 dBFS at most."""
        return self.renderer.render(self.plan).mix

    @property
    def gain_db(self) -> float:
        """What the whole mix was lowered by to keep its peaks, ≤ 0 dB."""
        return self.renderer.render(self.plan).gain_db

    @property
    def limited_db(self) -> float:
        """The most that the limiter took off at any moment, ≥ 0 dB."""
        return self.renderer.render(self.plan).limited_db

    def save(self, folder: Path | str) -> Path:
        """Write the mix, the stems and the record of what made them; see :func:`mashkit.output.write_mashup`.

        They replace, as a set, what an earlier ``save`` left in the folder.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        OutputError
            If the folder cannot be written, or holds files of the same names that are not mashkit's.
        """
        with OutputSet(Path(folder), made_of="Mashup.save", names=MASHUP_FILES) as output:
            write_mashup(self, output.staging)
        return Path(folder)
