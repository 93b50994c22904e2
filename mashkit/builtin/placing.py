"""How chosen stems are laid on the vocal: which bar on which, along a beat map or at one speed, and where to fade.

The time line here is the vocal clip's own, untrimmed: its layer has offset 0, and the others are laid on it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import attrs
import numpy as np

from mashkit.beatmap import BeatGrid, BeatsDistrusted, beat_grid, beat_map
from mashkit.beats import steady_beat
from mashkit.errors import TimeMapError
from mashkit.types import Clip, Layer, Role

LEAD_IN_BARS = 4
"""Bars of backing before a vocal that starts in silence: one phrase of introduction."""
SHORTEST_FADE_S = 0.02
"""Where a mashup begins or ends in the middle of a sound, this keeps it from clicking, seconds."""
MOST_BARS = 64
"""Offsets are looked for up to here, bars: more than a minute of music has."""


@attrs.frozen
class Placed:
    """A layer on the vocal clip's time line, and what a person should know of how it got there."""

    layer: Layer
    notes: tuple[str, ...]


@attrs.frozen
class Fades:
    """Lengths of the fades at the beginning and the end of a mashup, seconds."""

    in_s: float
    out_s: float


class Placer:
    """Lays clips on vocals; remembers the beat grid of every clip it has seen.

    Parameters
    ----------
    min_duration_s : float
        What has to be left of a vocal whose silent start is skipped, and of two clips that are moved bars apart.
    """

    def __init__(self, *, min_duration_s: float) -> None:
        self._min_duration_s = min_duration_s
        self._grids: dict[str, BeatGrid | BeatsDistrusted] = {}

    def _grid(self, clip: Clip) -> BeatGrid | BeatsDistrusted:
        if clip.id not in self._grids:
            try:
                self._grids[clip.id] = beat_grid(clip.analysis)
            except BeatsDistrusted as error:
                self._grids[clip.id] = error
        return self._grids[clip.id]

    def _bar_time(self, clip: Clip, bar: int) -> float:
        """Return where a bar of the clip begins, as all its beats together say, if it kept one tempo; seconds."""
        grid = self._grid(clip)
        beats, downbeats, tempo = clip.analysis.beats, clip.analysis.downbeats, clip.analysis.tempo
        assert beats is not None  # noqa: S101 — the generator's pool holds only clips that have these
        assert downbeats is not None  # noqa: S101
        assert tempo is not None  # noqa: S101
        if isinstance(grid, BeatsDistrusted):
            return steady_beat(beats, float(downbeats[0]), tempo)
        return steady_beat(beats, float(grid.time_at(grid.downbeat + bar * grid.bar)), tempo)

    def first_bar(self, vocal: Clip) -> int:
        """Return the bar of the vocal clip the others begin on: 0, or a phrase before the voice comes in."""
        grid, entry = self._grid(vocal), vocal.entry.get(Role.VOCAL, 0.0)
        if isinstance(grid, BeatsDistrusted) or grid.bar == 0:
            return 0
        # A voice that comes in on an upbeat belongs to the bar after it: half a bar of it may be heard before.
        beats = np.searchsorted(grid.times, entry) - grid.downbeat + grid.bar / 2
        bar = max(math.floor(beats / grid.bar) - LEAD_IN_BARS, 0)
        while bar > 0 and vocal.duration - self._bar_time(vocal, bar) < self._min_duration_s:
            bar -= 1
        return bar

    def offsets(self, vocal: Clip, clip: Clip, *, speed: float, phrase_bars: int) -> Sequence[int]:
        """Return by how many bars the clip may be moved on: multiples of ``phrase_bars``, the smallest first.

        A positive offset skips bars of the clip, a negative one bars of the vocal; each leaves the two at least the
        minimum duration together. Only 0 where the bars are not known.
        """
        grids = [self._grid(vocal), self._grid(clip)]
        if phrase_bars == 0 or any(isinstance(grid, BeatsDistrusted) or grid.bar == 0 for grid in grids):
            return (0,)
        first = self.first_bar(vocal)
        found = []
        for offset in sorted(range(-MOST_BARS // phrase_bars, MOST_BARS // phrase_bars + 1), key=abs):
            bars = offset * phrase_bars
            sung = self._bar_time(vocal, first + max(-bars, 0))
            played = self._bar_time(clip, max(bars, 0)) / speed
            together = min(vocal.duration - sung, clip.duration / speed - played) + min(sung, played)
            if min(vocal.duration - sung, clip.duration / speed - played) > 0 and together >= self._min_duration_s:
                found.append(bars)
        return found or (0,)

    def place(self, vocal: Clip, layer: Layer, clip: Clip, *, bars: int = 0, along_beats: bool) -> Placed:
        """Lay a clip on the vocal.

        Parameters
        ----------
        vocal : Clip
        layer : Layer
            What is known of the clip's layer: role, speed, semitones, gain.
        clip : Clip
        bars : int
            One of :meth:`offsets`.
        along_beats : bool
            Follow the beats of both clips where they can be trusted, rather than play the clip at the layer's speed.
        """
        vocal_bar, clip_bar = self.first_bar(vocal) + max(-bars, 0), max(bars, 0)
        notes: list[str] = []
        if along_beats:
            grids = {"the vocal": self._grid(vocal), "it": self._grid(clip)}
            doubts = [f"{who}: {grid.problem}" for who, grid in grids.items() if isinstance(grid, BeatsDistrusted)]
            if not doubts:
                try:
                    return self._along_beats(vocal, layer, clip, vocal_bar, clip_bar)
                except TimeMapError as error:
                    doubts = [error.problem]
            notes.append(f"{layer.role} at one speed, not along its beats ({'; '.join(doubts)})")
        offset = self._bar_time(vocal, vocal_bar) - self._bar_time(clip, clip_bar) / layer.speed
        return Placed(attrs.evolve(layer, offset_s=offset), tuple(notes))

    def _along_beats(self, vocal: Clip, layer: Layer, clip: Clip, vocal_bar: int, clip_bar: int) -> Placed:
        sung, played = self._grid(vocal), self._grid(clip)
        assert isinstance(sung, BeatGrid)  # noqa: S101 — asked by place()
        assert isinstance(played, BeatGrid)  # noqa: S101
        assert vocal.analysis.tempo is not None  # noqa: S101 — in the generator's pool
        assert clip.analysis.tempo is not None  # noqa: S101
        # The speed is the ratio of the tempi, folded by a power of two or not: that power is left over.
        folding = layer.speed * clip.analysis.tempo / vocal.analysis.tempo
        placement = beat_map(
            played,
            sung,
            candidate_s=clip.duration,
            vocal_s=vocal.duration,
            candidate_bar=clip_bar,
            vocal_bar=vocal_bar,
            beats_per_beat=2.0 ** round(math.log2(folding)),
        )
        # A map of a single speed is that speed: every stretcher can play it.
        steady = len(placement.time_map.source) == 2
        notes: tuple[str, ...] = ()
        if 0 not in (sung.bar, played.bar) and sung.bar != played.bar:
            notes = (f"{layer.role} has {played.bar} beats a bar, the vocal {sung.bar}",)
        return Placed(
            attrs.evolve(
                layer,
                speed=placement.time_map.mean_speed,
                time_map=None if steady else placement.time_map,
                offset_s=placement.offset_s,
            ),
            notes,
        )

    def fades(self, vocal: Clip, *, start_s: float, end_s: float) -> Fades:
        """Return fades on bar lines for a mashup of this part of the vocal clip, seconds.

        In until the first bar line; out from the last one that leaves a beat or more.
        """
        grid = self._grid(vocal)
        if isinstance(grid, BeatsDistrusted) or grid.bar == 0:
            return Fades(SHORTEST_FADE_S, SHORTEST_FADE_S)
        first, last = grid.positions_within(start_s, end_s)
        lines = [position for position in range(first, last + 1) if (position - grid.downbeat) % grid.bar == 0]
        before = float(grid.time_at(lines[0])) - start_s if lines else 0.0
        closing = [line for line in lines if line < last]
        after = end_s - float(grid.time_at(closing[-1])) if closing else 0.0
        return Fades(max(before, SHORTEST_FADE_S), max(after, SHORTEST_FADE_S))
