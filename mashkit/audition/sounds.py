"""Make the sound of plans for the page: at first some seconds around a position, then the whole.

The seconds are those of the whole rendering, because the layers are cut before they are stretched and keep their place;
only the level may differ, as the gain that keeps a mix below its peaks depends on the peaks of what is rendered.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import io
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import soundfile

from mashkit.errors import MashkitError
from mashkit.interfaces import Stretcher
from mashkit.mashup import ClipSource
from mashkit.rendering.cache import Recent
from mashkit.rendering.renderer import Renderer
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
KEPT_BYTES = 200_000_000
"""Encoded sound that is kept in memory, bytes (ours): some six whole mashups."""


@attrs.frozen
class Span:
    """A part of a mashup, seconds."""

    start: float
    end: float


class Cuts:
    """A source of pieces of clips, each under an id of its own (a ``ClipSource``).

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

    def clip(self, clip_id: str) -> Clip:
        """Return the clip of a piece."""
        return self._source.clip(self._pieces[clip_id][0])

    def stem(self, clip_id: str, role: Role) -> Audio:
        """Return the stem of a piece."""
        whole, start, end = self._pieces[clip_id]
        return self._source.stem(whole, role).excerpt(start, end - start)

    def provenance(self, clip_ids: Iterable[str]) -> Sequence[Mapping[str, Any]]:
        """Return the components that made the stems and analyses of the pieces' clips."""
        return self._source.provenance([self._pieces[one][0] for one in clip_ids])

    def part(self, plan: MashupPlan, span: Span) -> MashupPlan:
        """Return a plan of a part of a mashup, whose layers are cut to what sounds there.

        Raises
        ------
        CatalogError
            If the source lacks a clip or stem.
        """
        layers = []
        for layer in plan.layers:
            cut = _cut(layer, span, self._source.stem(layer.clip_id, layer.role))
            layers.append(attrs.evolve(_from(layer, cut, span.start), clip_id=self.piece(layer.clip_id, *cut)))
        mixing = attrs.evolve(
            plan.mixing,
            fade_in_s=plan.mixing.fade_in_s if span.start == 0 else 0.0,
            fade_out_s=plan.mixing.fade_out_s if span.end == plan.duration_s else 0.0,
        )
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


class Sounds:
    """Renders plans for the page; several threads may use it.

    Excerpts and whole mashups have a stretcher and a lock each, so that an excerpt does not wait for the whole of the
    plan before it.

    Parameters
    ----------
    source : ClipSource
    quick, thorough : Stretcher
        Two instances of the same stretcher: of excerpts, and of whole mashups.
    """

    def __init__(self, source: ClipSource, quick: Stretcher, thorough: Stretcher) -> None:
        self._source, self._cuts = source, Cuts(source)
        self._quick = Renderer(self._cuts, quick, cache_bytes=LAYER_BYTES)
        self._whole = Renderer(source, thorough, cache_bytes=LAYER_BYTES)
        self._quick_lock, self._whole_lock = threading.Lock(), threading.Lock()
        self._kept: Recent[Mapping[Role, bytes]] = Recent(KEPT_BYTES, lambda of: sum(map(len, of.values())))

    def warm(self, plan: MashupPlan) -> None:
        """Read the stems of a plan into the source's memory in the background, so that a first change is heard soon."""

        def read() -> None:
            for layer in plan.layers:
                with contextlib.suppress(MashkitError):  # the page is told when the layer is to be heard
                    self._source.stem(layer.clip_id, layer.role)

        threading.Thread(target=read, name="warm", daemon=True).start()

    def part(self, plan: MashupPlan, span: Span) -> Mapping[Role, bytes]:
        """Return the stems of a part of a mashup as WAV, by role.

        Raises
        ------
        MashkitError
            If a clip is missing or broken, or the stretcher fails.
        """
        with self._quick_lock:  # so the requests of all layers wait for one rendering
            return self._kept.get((plan.id, span), lambda: self._rendered_part(plan, span))

    def _rendered_part(self, plan: MashupPlan, span: Span) -> Mapping[Role, bytes]:
        part = self._cuts.part(plan, span)
        with concurrent.futures.ThreadPoolExecutor(len(part.layers)) as pool:  # the renderer keeps what they stretch
            list(pool.map(self._quick.stretched, part.layers))
        rendering = self._quick.render(part)
        return {role: wav(stem) for role, stem in rendering.stems.items()}

    def whole(self, plan: MashupPlan) -> Mapping[Role, bytes]:
        """Return the stems of a whole mashup as WAV, by role; raises as :meth:`part` does."""
        with self._whole_lock:
            return self._kept.get(plan.id, lambda: self._rendered(plan))

    def _rendered(self, plan: MashupPlan) -> Mapping[Role, bytes]:
        rendering = self._whole.mashup(plan).renderer.render(plan)
        return {role: wav(stem) for role, stem in rendering.stems.items()}
