"""Render plans: stretch the layers, place them, apply their gains, and mix them, when the sound is first read.

The vocal is never stretched: its layer has speed 1 and no shift, so its samples are copied. Every stem has exactly the
plan's length. :mod:`mashkit.audio.mixing` mixes the layers by the options in the plan, and fades layers that begin or
end inside the mashup. No sample is ever clipped.
"""

from __future__ import annotations

import contextlib
import functools
import threading
import weakref
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import numpy as np

from mashkit.arguments import require, require_number, require_path
from mashkit.audio import mixing
from mashkit.errors import CatalogError, PlanError, UsageError
from mashkit.interfaces.stretcher import Stretcher
from mashkit.mashup import ClipSource, Mashup, Rendering, as_audio, is_source
from mashkit.products import OutputSet
from mashkit.rendering.cache import recent_audio
from mashkit.rendering.output import mashup_files, write_mashup
from mashkit.types import Audio, Layer, MashupPlan, Samples


def playable(plan: MashupPlan, stretcher: Stretcher) -> MashupPlan:
    """Return the plan as a stretcher can play it: at one speed for each layer if it follows no time maps."""
    if stretcher.follows_time_maps:
        return plan
    return plan.at_one_speed(f"the stretcher {stretcher.info.name!r} follows no time map")


_PLAN = "give a plan; a mashup has it as mashup.plan, and MashupPlan.from_json reads the text of one"
MOST_FRAMES = 1 << 30
"""Longest mashup, frames: 6.8 hours at 44.1 kHz, of which each layer takes 8 GB."""

_LOCKS: weakref.WeakKeyDictionary[Stretcher, threading.Lock] = weakref.WeakKeyDictionary()
"""A lock for each stretcher, because several renderers may share one that is not safe for threads."""


class Renderer:
    """Renders plans whose clips come from one source, with one stretcher.

    Parameters
    ----------
    source : ClipSource
    stretcher : Stretcher
    cache_bytes : int
        Size of the cache of stretched audio, bytes, ≥ 0. While a layer is in it, further plans need not stretch it
        again.

    Raises
    ------
    UsageError
        If an argument has another type, or the size is negative.

    Examples
    --------
    >>> import mashkit as mk
    >>> from mashkit.synthetic.source import SyntheticSource
    >>> songs = SyntheticSource([(mk.Key(9, "minor"), 120.0)], bars=4)
    >>> layers = [mk.Layer(role=role, clip_id=songs.clips[0].id) for role in mk.Role]
    >>> plan = mk.MashupPlan(condition="original", layers=layers, duration_s=6, seed=0, mixing=mk.Mixing(fade_out_s=1))
    >>> class Tape(mk.Stretcher):
    ...     info = mk.ComponentInfo(name="tape", target="tape:Tape", summary="s", code_license="MIT", provides=())
    ...     def _stretch(self, audio, *, speed, semitones, frames):
    ...         raise NotImplementedError("no layer of this plan is stretched")
    >>> mashup = mk.Renderer(songs, Tape()).mashup(plan)
    >>> mashup.mix.duration, round(mashup.mix.peak, 3)
    (6.0, 0.891)
    """

    def __init__(self, source: ClipSource, stretcher: Stretcher, *, cache_bytes: int = 1 << 30) -> None:
        if not is_source(source):
            raise UsageError(f"source is {source!r}", "give a catalog, or another source of clips and stems")
        self.source = source
        self.stretcher = require("stretcher", stretcher, Stretcher, "give a stretcher, such as kit.stretcher")
        self._cache_bytes = int(require_number("cache_bytes", cache_bytes, 0))
        self._layers = recent_audio(self._cache_bytes)
        self._lock = _LOCKS.setdefault(stretcher, threading.Lock())
        self._last: tuple[MashupPlan, Rendering] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        # The cached sound is not pickled; the process that gets the renderer renders again.
        return functools.partial(Renderer, cache_bytes=self._cache_bytes), (self.source, self.stretcher)

    def mashup(self, plan: MashupPlan) -> Mashup:
        """Return the plan as a mashup; nothing is rendered yet.

        Raises
        ------
        PlanError
            If the plan's clips differ in sample rate, or the plan is shorter than a frame or too long to be rendered.
        CatalogError
            If one of the clips is not in the source.
        UsageError
            If ``plan`` is not a plan.
        """
        require("plan", plan, MashupPlan, _PLAN)
        rates = {self.source.clip(layer.clip_id).sample_rate for layer in plan.layers}
        if len(rates) > 1:
            raise PlanError(f"plan {plan.id} mixes clips at {sorted(rates)} Hz", "build the catalog at one rate")
        (rate,) = rates
        if not 1 <= round(plan.duration_s * rate) <= MOST_FRAMES:
            raise PlanError(
                f"plan {plan.id} lasts {plan.duration_s:g} s",
                f"give a frame or more, and up to {MOST_FRAMES / rate:,.0f} s",
            )
        return Mashup(plan, self)

    def render(self, plan: MashupPlan) -> Rendering:
        """Return the sound of ``plan``.

        The last result is stored, so that reading stems and mix needs only one rendering. Several threads may render
        at once.

        Raises
        ------
        UsageError
            If ``plan`` is not a plan.
        """
        require("plan", plan, MashupPlan, _PLAN)
        last = self._last  # read once, because another thread may replace it at any moment
        if last is not None and last[0] is plan:
            return last[1]
        rendering = self._render(plan)
        self._last = (plan, rendering)
        return rendering

    def _render(self, plan: MashupPlan) -> Rendering:
        (rate,) = {self.source.clip(layer.clip_id).sample_rate for layer in plan.layers}
        placed = {}
        for layer in plan.layers:
            placed[layer.role], first, last = self._place(layer, plan.duration_s)
            mixing.soften_edges(placed[layer.role], first, last, rate)
        mixed = mixing.mix(placed, rate, plan.mixing)
        stems = {role: as_audio(samples, rate) for role, samples in mixed.stems.items()}
        return Rendering(stems, as_audio(mixed.mix, rate), mixed.gain_db, mixed.limited_db)

    def stretched(self, layer: Layer) -> Audio:
        """Return the layer's whole stem at its speed and pitch, without gain, and not placed.

        Raises
        ------
        UsageError
            If ``layer`` is not a layer.
        """
        require("layer", layer, Layer, "give a layer of a plan, such as plan.layer(role)")
        key = _stretching(layer)
        if key is None:
            return self._stem(layer)
        return self._layers.get(key, lambda: self._stretch(self._stem(layer), layer, _speed(layer)))

    def _stem(self, layer: Layer) -> Audio:
        """Return a layer's stem as the source has it; raises CatalogError if it has another sample rate than its clip.

        The frames of all layers are counted at the rate of the clips.
        """
        stem, rate = self.source.stem(layer.clip_id, layer.role), self.source.clip(layer.clip_id).sample_rate
        if stem.sample_rate != rate:
            raise CatalogError(
                f"the {layer.role} stem of clip {layer.clip_id} has {stem.sample_rate:,} Hz, and its clip {rate:,} Hz",
                "let the source of the clips resample it",
            )
        return stem

    def _stretch(self, stem: Audio, layer: Layer, speed: float) -> Audio:
        """Return a layer's whole stem at a speed, or along the layer's time map, and at the layer's pitch."""
        with contextlib.nullcontext() if self.stretcher.info.thread_safe else self._lock:
            return self.stretcher.stretch(stem, speed=speed, semitones=layer.semitones, time_map=layer.time_map)

    def has_stretched(self, layer: Layer) -> bool:
        """Return whether :meth:`stretched` has nothing to stretch: the layer is in the cache, or played as it is."""
        key = _stretching(layer)
        return key is None or key in self._layers

    def placed(self, layer: Layer, duration_s: float) -> Samples:
        """Return the layer, with its gain, on a time line of ``duration_s`` seconds, with silence around the stem.

        The stem begins and ends there as it is: mixing fades the edges inside the mashup.
        """
        return self._place(layer, duration_s)[0]

    def _place(self, layer: Layer, duration_s: float) -> tuple[Samples, int, int]:
        """Return the layer as :meth:`placed` does, and the frames from which and before which the stem sounds."""
        audio = self.stretched(layer)
        frames = round(duration_s * audio.sample_rate)
        start = round(layer.offset_s * audio.sample_rate)
        first, last = max(start, 0), min(start + audio.frames, frames)
        placed = np.zeros((audio.channels, frames), dtype=np.float32)
        if first < last:
            gain = np.float32(10 ** (layer.gain_db / 20))
            np.multiply(audio.samples[:, first - start : last - start], gain, out=placed[:, first:last])
        return placed, first, last

    def save(self, mashup: Mashup, folder: Path | str) -> None:
        """Write mix, stems and record: see :meth:`Mashup.save`, whose errors are raised."""
        with OutputSet(
            require_path("folder", folder), made_of="Mashup.save", names=mashup_files(mashup.roles)
        ) as output:
            write_mashup(mashup, output.staging)


def _speed(layer: Layer) -> float:
    """Return the speed to stretch a layer by: a time map has its own."""
    return 1.0 if layer.time_map is not None else layer.speed


def _stretching(layer: Layer) -> tuple[Hashable, ...] | None:
    """Return what a layer's stretched stem depends on; None if the stem is played as it is."""
    if layer.time_map is None and layer.speed == 1.0 and layer.semitones == 0.0:
        return None
    return (layer.clip_id, layer.role, _speed(layer), layer.time_map, layer.semitones)
