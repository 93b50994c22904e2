"""Place backing stems on the vocal: choose the bars that coincide, a beat map or one speed, and the fades.

Times are on the time line of the whole vocal clip. The vocal's layer has offset 0 there; backing layers are placed
relative to it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence

import attrs

from mashkit.audio.mixing import SHORTEST_FADE_S
from mashkit.errors import TimeMapError
from mashkit.rendering.cache import Recent
from mashkit.timing.beatmap import BeatGrid, BeatsDistrusted, ClipGrid, beat_map, grid_or_doubt
from mashkit.timing.beats import steady_beat
from mashkit.types import Clip, Role
from mashkit.types.timemap import TimeMap

LEAD_IN_BARS = 4
"""Bars of backing before the vocal's entry, if the vocal clip starts in silence: an introduction of one phrase."""
START_SLACK = 0.25
"""Part of a beat by which a bar line may come before the start of a mashup and still be its first (ours)."""
MOST_BARS = 64
"""Largest offset that is tried, bars: more bars than a minute of music has."""


KNOWN_CLIPS = 1 << 15
"""Number of clips whose beats are kept in memory, some 6 kB each, because a beat grid takes milliseconds to compute."""
KNOWN_STORED_CLIPS = 1 << 11
"""The same number if beat grids are stored. It is smaller because grids are then only read, and a run over a million
clips uses few clips twice."""


@attrs.frozen
class ChosenStem:
    """A clip chosen for a role, with the speed, shift and gain that fit it to the vocal, but not yet placed in time."""

    role: Role
    beats: ClipBeats
    speed: float
    semitones: float
    gain_db: float

    @property
    def clip(self) -> Clip:
        """The clip."""
        return self.beats.clip


@attrs.frozen
class Placed:
    """A clip's place on the vocal clip's time line, with notes for the user on how the clip was placed."""

    speed: float
    time_map: TimeMap | None
    offset_s: float
    notes: tuple[str, ...] = ()

    def end(self, duration_s: float) -> float:
        """Return the end of a placed clip of length ``duration_s``, seconds on the vocal clip's time line."""
        lasts = duration_s / self.speed if self.time_map is None else self.time_map.end(duration_s)
        return self.offset_s + lasts


@attrs.frozen
class Fades:
    """Lengths of the fades at the beginning and the end of a mashup, seconds."""

    in_s: float
    out_s: float


class ClipBeats:
    """The beats and bars of a clip; each value is computed when it is first used."""

    def __init__(self, clip: Clip, grid_of: Callable[[Clip], BeatGrid | BeatsDistrusted]) -> None:
        self.clip = clip
        self._grid_of = grid_of
        self._bar_times: dict[int, float] = {}
        self._first_bars: dict[float, int] = {}

    @functools.cached_property
    def grid(self) -> ClipGrid | BeatsDistrusted:
        """The clip's beat grid, or the error that tells why its beats are not reliable."""
        grid = self._grid_of(self.clip)
        return grid if isinstance(grid, BeatsDistrusted) else grid.over(self.clip.duration)

    @property
    def bar(self) -> int:
        """Beats in a bar; 0 if their number is unknown."""
        return 0 if isinstance(self.grid, BeatsDistrusted) else self.grid.grid.bar

    def bar_time(self, bar: int) -> float:
        """Return where a bar of the clip begins, seconds, estimated from all beats on the assumption of one tempo."""
        if bar not in self._bar_times:
            analysis = self.clip.analysis
            assert analysis.beats is not None  # noqa: S101 — the index has only clips whose bars and tempo are known
            assert analysis.tempo is not None  # noqa: S101
            if isinstance(self.grid, BeatsDistrusted):
                assert analysis.downbeats is not None  # noqa: S101
                at = float(analysis.downbeats[0])
            else:
                at = self.grid.time_of(self.grid.bar_line(bar))
            self._bar_times[bar] = steady_beat(analysis.beats, at, analysis.tempo)
        return self._bar_times[bar]

    def first_bar(self, min_duration_s: float) -> int:
        """Return the bar of the vocal clip at which the backing begins: 0, or one phrase before the voice's entry.

        Parameters
        ----------
        min_duration_s : float
            Least length of the clip from this bar on, seconds.
        """
        if isinstance(self.grid, BeatsDistrusted) or self.bar == 0:
            return 0
        if min_duration_s not in self._first_bars:
            grid, entry = self.grid.grid, self.clip.entry.get(Role.VOCAL, 0.0)
            # A voice that enters with an upbeat belongs to the next bar, so half a bar is added to its entry.
            beats = int(grid.times.searchsorted(entry)) - grid.downbeat + grid.bar / 2
            bar = max(math.floor(beats / grid.bar) - LEAD_IN_BARS, 0)
            while bar > 0 and self.clip.duration - self.bar_time(bar) < min_duration_s:
                bar -= 1
            self._first_bars[min_duration_s] = bar
        return self._first_bars[min_duration_s]


class BeatsOfClips:
    """The beats of clips; those of the clips used lately are kept in memory.

    Parameters
    ----------
    stored : callable, optional
        Returns a clip's stored beat grid, or the error that tells why its beats are not reliable. By default grids are
        computed.
    """

    def __init__(self, stored: Callable[[Clip], BeatGrid | BeatsDistrusted] | None = None) -> None:
        self._grid_of = stored or (lambda clip: grid_or_doubt(clip.analysis))
        self._recent: Recent[ClipBeats] = Recent(KNOWN_CLIPS if stored is None else KNOWN_STORED_CLIPS)

    def of(self, clip: Clip) -> ClipBeats:
        """Return a clip's beats; clips with the same id share the beats of the first of them."""
        return self._recent.get(clip.id, lambda: ClipBeats(clip, self._grid_of))


class Placer:
    """Places clips on vocals.

    Parameters
    ----------
    min_duration_s : float
        Least length, seconds, of a vocal after its silent start is skipped, and of the overlap of vocal and clip after
        the clip is moved by bars.
    """

    def __init__(self, *, min_duration_s: float) -> None:
        self._min_duration_s = min_duration_s

    def offsets(self, vocal: ClipBeats, stem: ChosenStem, *, phrase_bars: int) -> Sequence[int]:
        """Return the allowed offsets of the clip in bars: multiples of ``phrase_bars``, the smallest first.

        A positive offset skips bars of the clip, a negative offset skips bars of the vocal. Each allowed offset leaves
        an overlap of at least the minimum duration. If the bars are unknown, 0 is the only offset.
        """
        if phrase_bars == 0 or 0 in (vocal.bar, stem.beats.bar):
            return (0,)
        first, length = vocal.first_bar(self._min_duration_s), stem.clip.duration / stem.speed
        found = []
        most = MOST_BARS // phrase_bars
        for offset in sorted(range(-most, most + 1), key=abs):
            bars = offset * phrase_bars
            sung = vocal.bar_time(first + max(-bars, 0))
            played = stem.beats.bar_time(max(bars, 0)) / stem.speed
            left = min(vocal.clip.duration - sung, length - played)
            if left > 0 and left + min(sung, played) >= self._min_duration_s:
                found.append(bars)
        return found or (0,)

    def place(self, vocal: ClipBeats, stem: ChosenStem, *, bars: int = 0, along_beats: bool) -> Placed:
        """Place a clip on the vocal.

        Parameters
        ----------
        vocal : ClipBeats
        stem : ChosenStem
        bars : int
            An offset from :meth:`offsets`.
        along_beats : bool
            Whether to follow the beats of both clips if they are reliable. Otherwise the clip is played at the speed of
            ``stem``.
        """
        vocal_bar, clip_bar = vocal.first_bar(self._min_duration_s) + max(-bars, 0), max(bars, 0)
        notes: tuple[str, ...] = ()
        if along_beats:
            grids = (("the vocal", vocal.grid), ("it", stem.beats.grid))
            doubts = [f"{who}: {grid.problem}" for who, grid in grids if isinstance(grid, BeatsDistrusted)]
            if not doubts:
                try:
                    return _along_beats(vocal, stem, vocal_bar, clip_bar)
                except TimeMapError as error:
                    doubts = [error.problem]
            notes = (f"{stem.role} at one speed, not along its beats ({'; '.join(doubts)})",)
        return Placed(stem.speed, None, vocal.bar_time(vocal_bar) - stem.beats.bar_time(clip_bar) / stem.speed, notes)

    def fades(self, vocal: ClipBeats, *, start_s: float, end_s: float) -> Fades:
        """Return fades that end or begin on bar lines, for a mashup of this part of the vocal clip, seconds.

        The fade-in ends on the first bar line. The fade-out begins on the last bar line that is a beat or more before
        the end. A bar line that is up to :data:`START_SLACK` before the start counts as the start, because clips are
        cut on detected downbeats, and the grid's bar lines are some milliseconds off these.
        """
        if isinstance(vocal.grid, BeatsDistrusted) or vocal.bar == 0:
            return Fades(SHORTEST_FADE_S, SHORTEST_FADE_S)
        grid = vocal.grid.grid
        first, last = grid.positions_within(start_s, end_s)
        earlier, later = (vocal.grid.time_of(position) for position in (first - 1, first))
        if start_s - earlier <= START_SLACK * (later - earlier):
            first -= 1
        opening = first + (grid.downbeat - first) % grid.bar
        closing = last - 1 - (last - 1 - grid.downbeat) % grid.bar
        before = vocal.grid.time_of(opening) - start_s if opening <= last else 0.0
        after = end_s - vocal.grid.time_of(closing) if closing >= first else 0.0
        return Fades(max(before, SHORTEST_FADE_S), max(after, SHORTEST_FADE_S))


def _along_beats(vocal: ClipBeats, stem: ChosenStem, vocal_bar: int, clip_bar: int) -> Placed:
    sung, played = vocal.grid, stem.beats.grid
    sung_tempo, played_tempo = vocal.clip.analysis.tempo, stem.clip.analysis.tempo
    assert isinstance(sung, ClipGrid)  # noqa: S101 — place() has checked it
    assert isinstance(played, ClipGrid)  # noqa: S101
    assert sung_tempo is not None  # noqa: S101 — the generator's index contains clips with a tempo only
    assert played_tempo is not None  # noqa: S101
    # The speed is the ratio of the tempi times a power of two (1 if it was not folded); this computes the exponent.
    folding = round(math.log2(stem.speed * played_tempo / sung_tempo))
    placement = beat_map(played, sung, candidate_bar=clip_bar, vocal_bar=vocal_bar, beats_per_beat=2.0**folding)
    time_map = placement.time_map
    # A map of a single speed is replaced by the speed, because every stretcher can play a speed.
    steady = len(time_map.source) == 2
    bars = sung.grid.bar, played.grid.bar
    notes: tuple[str, ...] = ()
    if 0 not in bars and bars[0] != bars[1]:
        notes = (f"{stem.role} has {bars[1]} beats a bar, the vocal {bars[0]}",)
    return Placed(time_map.mean_speed, None if steady else time_map, placement.offset_s, notes)
