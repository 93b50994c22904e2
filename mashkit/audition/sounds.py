"""Make the sound of plans for the page: at first some seconds around a position, then the whole.

The seconds are those of the whole rendering, because the layers are cut before they are stretched and keep their place;
only the level may differ, as the gain that keeps a mix below its peaks depends on the peaks of what is rendered, and
the gain of ducking on the loud passages of the vocal that is rendered.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import io
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import soundfile

from mashkit.audio.mixing import SHORTEST_FADE_S, fades
from mashkit.errors import MashkitError
from mashkit.interfaces import Stretcher
from mashkit.mashup import ClipSource
from mashkit.rendering.cache import Recent
from mashkit.rendering.renderer import Renderer, playable
from mashkit.types import Audio, Clip, Layer, MashupPlan, Role
from mashkit.types.timemap import TimeMap

EXCERPT_S = 10.0
"""Length of what is rendered first, seconds (ours): rendering a minute takes about four times as long, and the whole
is there before these seconds have played."""
BEFORE_S = 2.0
"""How much of it lies before the position, seconds, so that a person can go back a little."""
MARGIN_S = 0.3
"""How much more of each layer is stretched on both sides, seconds: stretchers fade in over some 100 ms (ours)."""
SHORTEST_S = 0.5
"""Shortest piece of a layer that is stretched, seconds."""
LAYER_BYTES = 1 << 28
"""Stretched layers that are kept in memory, bytes (ours): some ten of a minute."""
PLANS_WANTED = 3
"""How many plans are rendered at a time (ours): those on A and B, and a part."""
WARM_AFTER_S = 1.0
"""How long a mashup has to be open before its layers are stretched, seconds (ours): not while leafing through."""
KEPT_BYTES = 200_000_000
"""Encoded sound that is kept in memory, bytes (ours): some six whole mashups."""


@attrs.frozen
class Span:
    """A part of a mashup, seconds."""

    start: float
    end: float


class Cuts:
    """A source of clips and of pieces of them, each piece under an id of its own (a ``ClipSource``).

    Pieces have ids because a renderer keeps stretched layers by the clip's id: a layer that a change does not touch is
    stretched once for all changes heard at the same position.

    Parameters
    ----------
    source : ClipSource
    """

    def __init__(self, source: ClipSource) -> None:
        self._source = source
        self._pieces: dict[str, tuple[str, float, float]] = {}

    def piece(self, clip_id: str, start: float, end: float) -> str:
        """Return the id of the part of a clip from ``start`` to ``end``, seconds."""
        name = f"{clip_id} {start:.6f} {end:.6f}"
        self._pieces[name] = (clip_id, start, end)
        return name

    def _clip_of(self, name: str) -> str:
        return self._pieces[name][0] if name in self._pieces else name

    def clip(self, clip_id: str) -> Clip:
        """Return the clip, also of a piece."""
        return self._source.clip(self._clip_of(clip_id))

    def stem(self, clip_id: str, role: Role) -> Audio:
        """Return the stem of a clip or a piece."""
        if clip_id not in self._pieces:
            return self._source.stem(clip_id, role)
        whole, start, end = self._pieces[clip_id]
        return self._source.stem(whole, role).excerpt(start, end - start)

    def provenance(self, clip_ids: Iterable[str]) -> Sequence[Mapping[str, Any]]:
        """Return the components that made the stems and analyses of the clips."""
        return self._source.provenance([self._clip_of(one) for one in clip_ids])

    def part(self, plan: MashupPlan, span: Span, *, stretched: Callable[[Layer], bool] = lambda _: False) -> MashupPlan:
        """Return a plan of a part of a mashup, without fades, whose layers are cut to what sounds there.

        Parameters
        ----------
        plan : MashupPlan
        span : Span
        stretched : callable
            Returns whether the whole of a layer is stretched already; then it is not cut, because that is quicker.

        Raises
        ------
        CatalogError
            If the source lacks a clip or stem.
        """
        layers = []
        for layer in plan.layers:
            if stretched(layer):
                layers.append(attrs.evolve(layer, offset_s=layer.offset_s - span.start))
                continue
            cut = _cut(layer, span, self._source.stem(layer.clip_id, layer.role))
            layers.append(attrs.evolve(_from(layer, cut, span.start), clip_id=self.piece(layer.clip_id, *cut)))
        mixing = attrs.evolve(plan.mixing, fade_in_s=0.0, fade_out_s=0.0)
        return attrs.evolve(plan, layers=layers, duration_s=span.end - span.start, mixing=mixing)


def span_around(position: float, duration_s: float) -> Span:
    """Return the part of a mashup that is rendered first for a position."""
    start = min(max(position - BEFORE_S, 0.0), max(duration_s - EXCERPT_S, 0.0))
    return Span(start, min(start + EXCERPT_S, duration_s))


def _cut(layer: Layer, span: Span, stem: Audio) -> tuple[float, float]:
    """Return the part of a layer's stem that sounds in a span, in seconds that are whole frames."""
    wanted = layer.to_clip([span.start - MARGIN_S, span.end + MARGIN_S])
    # A layer that does not sound in the span gets a short piece, which is placed outside it.
    start = float(np.clip(wanted[0], 0.0, max(stem.duration - SHORTEST_S, 0.0)))
    end = float(np.clip(wanted[1], min(start + SHORTEST_S, stem.duration), stem.duration))
    rate = stem.sample_rate
    return int(start * rate) / rate, round(end * rate) / rate


def _from(layer: Layer, cut: tuple[float, float], origin: float) -> Layer:
    """Return the layer of a cut stem on a time line that begins at ``origin``."""
    start, end = cut
    offset = float(layer.to_mashup(start)) - origin
    if layer.time_map is None:
        return attrs.evolve(layer, offset_s=offset)
    inner = [(s, t) for s, t in zip(layer.time_map.source, layer.time_map.target, strict=True) if start < s < end]
    begins, ends = layer.time_map.to_target([start, end]).tolist()
    source = [0.0, *(s - start for s, _ in inner), end - start]
    target = [0.0, *(t - begins for _, t in inner), ends - begins]
    time_map = TimeMap(source, target)
    return attrs.evolve(layer, time_map=time_map, speed=time_map.mean_speed, offset_s=offset)


def wav(audio: Audio) -> bytes:
    """Return 16-bit WAV: each browser decodes it, and encoding it takes a few milliseconds."""
    file = io.BytesIO()
    soundfile.write(file, audio.samples.T, audio.sample_rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


class Superseded(MashkitError):
    """A mashup that is not rendered any more, because others were asked for meanwhile."""


class Sounds:
    """Renders plans for the page; several threads may use it.

    A part does not wait for a whole mashup that is being rendered. Stretched layers are kept, so what a change does not
    stretch anew is heard at once.

    Parameters
    ----------
    source : ClipSource
    stretcher : Stretcher
    """

    def __init__(self, source: ClipSource, stretcher: Stretcher) -> None:
        self._cuts = Cuts(source)
        self._renderer = Renderer(self._cuts, stretcher, cache_bytes=LAYER_BYTES)
        self._part_lock, self._whole_lock = threading.Lock(), threading.Lock()
        self._kept: Recent[Mapping[Role, bytes]] = Recent(KEPT_BYTES, lambda of: sum(map(len, of.values())))
        self._wanted: deque[str] = deque(maxlen=PLANS_WANTED)
        self._opened = ""

    def warm(self, plan: MashupPlan) -> None:
        """Stretch the layers of a plan in the background if it stays the one that was opened last for a moment."""
        self._opened = plan.id

        def stretch() -> None:
            for layer in self._playable(plan).layers:
                with contextlib.suppress(MashkitError):  # the page is told when the layer is to be heard
                    if self._opened == plan.id:
                        self._renderer.stretched(layer)

        timer = threading.Timer(WARM_AFTER_S, stretch)
        timer.daemon = True
        timer.start()

    def part(self, plan: MashupPlan, span: Span) -> Mapping[Role, bytes]:
        """Return the stems of a part of a mashup as WAV, by role.

        Raises
        ------
        MashkitError
            If a clip is missing or broken, or the stretcher fails.
        """
        self._want(plan)
        self._opened = ""  # what is to be heard now goes before what may be heard later
        with self._part_lock:  # so the requests of all layers wait for one rendering
            return self._kept.get((plan.id, span), lambda: self._rendered_part(plan, span))

    def _rendered_part(self, plan: MashupPlan, span: Span) -> Mapping[Role, bytes]:
        # The fade of a layer that begins just before the span, or ends just after it, reaches into the span. It is
        # twice as wide, because a fade takes at most half of the part of a layer that sounds.
        wide = Span(max(span.start - 2 * SHORTEST_FADE_S, 0.0), min(span.end + 2 * SHORTEST_FADE_S, plan.duration_s))
        part = self._cuts.part(self._playable(plan), wide, stretched=self._renderer.has_stretched)
        with concurrent.futures.ThreadPoolExecutor(len(part.layers)) as pool:  # the renderer keeps what they stretch
            list(pool.map(self._renderer.stretched, part.layers))
        return _encoded(_faded(self._renderer.render(part).stems, plan, wide, span))

    def whole(self, plan: MashupPlan) -> Mapping[Role, bytes]:
        """Return the stems of a whole mashup as WAV, by role; raises as :meth:`part` does.

        Raises
        ------
        Superseded
            If it had to wait, and other plans were asked for meanwhile.
        """
        self._want(plan)
        with self._whole_lock:
            if plan.id not in self._wanted:
                raise Superseded(f"plan {plan.id} is not rendered any more", "open it again")
            return self._kept.get(plan.id, lambda: self._rendered_whole(self._playable(plan)))

    def _rendered_whole(self, plan: MashupPlan) -> Mapping[Role, bytes]:
        return _encoded(self._renderer.mashup(plan).renderer.render(plan).stems)

    def _playable(self, plan: MashupPlan) -> MashupPlan:
        return playable(plan, self._renderer.stretcher)

    def _want(self, plan: MashupPlan) -> None:
        if plan.id not in self._wanted:
            self._wanted.append(plan.id)


def _faded(stems: Mapping[Role, Audio], plan: MashupPlan, rendered: Span, span: Span) -> dict[Role, Audio]:
    """Return what sounds in a span, cut from the stems of a part around it, with the fades of the whole."""
    faded = {}
    for role, stem in stems.items():
        rate = stem.sample_rate
        whole = fades(round(plan.duration_s * rate), rate, plan.mixing)
        frames = round((span.end - span.start) * rate)
        # Rounding may make the span a frame longer than what is left of the part or of the whole.
        skipped = min(round((span.start - rendered.start) * rate), stem.frames - frames)
        first = min(round(span.start * rate), len(whole) - frames)
        samples = stem.samples[:, skipped : skipped + frames] * whole[first : first + frames]
        faded[role] = Audio(samples, rate)
    return faded


def _encoded(stems: Mapping[Role, Audio]) -> Mapping[Role, bytes]:
    return {role: wav(stem) for role, stem in stems.items()}
