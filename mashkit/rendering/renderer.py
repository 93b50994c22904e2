"""From plan to sound: layers stretched, placed, gained and summed, on first touch.

A renderer never stretches the vocal (its layer has speed 1 and no shift, so its samples are copied), gives every stem
the plan's length to the sample, and mixes as the plan says: see :mod:`mashkit.audio.mixing`. Nothing is ever clipped.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import numpy as np

from mashkit.audio import mixing
from mashkit.errors import PlanError
from mashkit.interfaces.stretcher import Stretcher
from mashkit.mashup import ClipSource, Mashup, Rendering, as_audio
from mashkit.products import OutputSet
from mashkit.rendering.cache import recent_audio
from mashkit.rendering.output import MASHUP_FILES, write_mashup
from mashkit.types import Audio, Layer, MashupPlan, Samples


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
        stems = {role: as_audio(samples, rate) for role, samples in mixed.stems.items()}
        return Rendering(stems, as_audio(mixed.mix, rate), mixed.gain_db, mixed.limited_db)

    def stretched(self, layer: Layer) -> Audio:
        """Return the layer's whole stem at its speed and pitch, without gain or placing."""
        speed = 1.0 if layer.time_map is not None else layer.speed
        if layer.time_map is None and speed == 1.0 and layer.semitones == 0.0:
            return self.source.stem(layer.clip_id, layer.role)

        def stretched() -> Audio:
            stem = self.source.stem(layer.clip_id, layer.role)
            with contextlib.nullcontext() if self.stretcher.info.thread_safe else self._lock:
                return self.stretcher.stretch(stem, speed=speed, semitones=layer.semitones, time_map=layer.time_map)

        return self._layers.get(_stretching(layer), stretched)

    def has_stretched(self, layer: Layer) -> bool:
        """Return whether :meth:`stretched` has nothing to stretch for this layer: it is kept, or played as it is."""
        unchanged = layer.time_map is None and layer.speed == 1.0 and layer.semitones == 0.0
        return unchanged or _stretching(layer) in self._layers

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

    def save(self, mashup: Mashup, folder: Path) -> None:
        """Write mix, stems and record: see :meth:`Mashup.save`."""
        with OutputSet(folder, made_of="Mashup.save", names=MASHUP_FILES) as output:
            write_mashup(mashup, output.staging)


def _stretching(layer: Layer) -> tuple[Hashable, ...]:
    """Return what a layer's stretched stem depends on; the speed of a time map is in the map."""
    speed = 1.0 if layer.time_map is not None else layer.speed
    return (layer.clip_id, layer.role, speed, layer.time_map, layer.semitones)
