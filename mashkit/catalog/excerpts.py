"""Which parts of a song are separated and analysed, and where in them the clips are cut."""

from __future__ import annotations

import math
from collections.abc import Sequence

import attrs
import numpy as np
import numpy.typing as npt

from mashkit import metre
from mashkit.types import Analysis

SAMPLE_RATE = 44_100
"""Rate of clips, Hz: what nearly all songs have, and what the separation models were trained at."""
SHORTEST_S = 25.0
"""Shortest clip, seconds: no mashup is shorter (docs/paper.md, row 19)."""
LONGEST_S = 60.0
"""Longest clip, seconds: no mashup is longer (docs/paper.md, row 19). A song that short is one excerpt."""
FEWEST_BARS = 16
"""Bars of a clip, or more, where the song has them (docs/paper.md, row 2)."""
PHRASE_BARS = 4
"""Clips of :data:`FEWEST_BARS` or more are whole phrases of so many bars (ours)."""
LEAST_SOUND = 0.5
"""Share of an excerpt's seconds in which something must sound for it to stay where it is (ours)."""
WORTH_S = 15.0
"""Seconds of sound that no other excerpt has, for which a silent one is moved there (ours): half the shortest clip and
a little."""

Spans = Sequence[tuple[float, float]]
"""Stretches of silence, from … to, seconds of the song, ascending."""


@attrs.frozen
class Excerpt:
    """A part of a song that is separated and analysed as one; its clip is all of it, or what is cut out of it.

    What is separated does not depend on the analysis: another analyzer, or a downbeat set by hand, moves the cut and
    separates nothing again.

    Parameters
    ----------
    start, duration : float
        Where in the song, seconds.
    label : str
        Which part of the song it is, where somebody said.
    on_downbeats : bool
        Whether the clip is cut on downbeats; one that somebody cut already is left as it is.
    """

    start: float
    duration: float
    label: str = ""
    on_downbeats: bool = True

    def ends_within(self, duration_s: float) -> bool:
        """Tell whether a song of that length holds it, start and length rounded to frames as they are cut."""
        return round(self.start * SAMPLE_RATE) + round(self.duration * SAMPLE_RATE) <= round(duration_s * SAMPLE_RATE)

    def cut(self, analysis: Analysis) -> tuple[float, float]:
        """Return where the clip begins and ends, seconds from the excerpt's start.

        It begins on the first downbeat and ends on one: sixteen bars later or more, in whole phrases of four, else
        after all the bars there are; the last may end where the next downbeat is due. If that leaves less than 25 s, or
        the downbeats are not known or doubtful, it is the whole excerpt.

        Parameters
        ----------
        analysis : Analysis
            Of the excerpt, times from its start.
        """
        if not self.on_downbeats or analysis.downbeats is None or len(analysis.downbeats) < 2:
            return 0.0, self.duration
        if metre.doubt(analysis) is not None:  # a cut on a line nobody hears is no better than any
            return 0.0, self.duration
        due = analysis.downbeats[-1] + np.median(np.diff(analysis.downbeats))
        lines = np.append(analysis.downbeats, [due] if due <= self.duration else [])
        bars = len(lines) - 1
        if bars >= FEWEST_BARS:
            bars -= bars % PHRASE_BARS
        start, end = float(lines[0]), float(lines[bars])
        return (start, end) if end - start >= SHORTEST_S else (0.0, self.duration)


@attrs.frozen(kw_only=True)
class ExcerptPolicy:
    """How many excerpts a song gives, how long they are, and whether clips are cut on downbeats.

    Parameters
    ----------
    per_song : int
        Excerpts of a song longer than ``whole_s``, ≥ 1, spread evenly over it.
    length_s : float
        Their length, 25–60 s. Sixteen bars of four at 69 BPM or faster fit into 60 s, wherever the first one begins.
    whole_s : float
        A song that lasts so long at most, seconds, is one excerpt, whole; from ``length_s`` to 60.
    on_downbeats : bool
        Cut clips on downbeats.
    """

    per_song: int = attrs.field(default=2, validator=attrs.validators.ge(1))
    length_s: float = attrs.field(
        default=LONGEST_S, validator=[attrs.validators.ge(SHORTEST_S), attrs.validators.le(LONGEST_S)]
    )
    whole_s: float = attrs.field(default=LONGEST_S, validator=attrs.validators.le(LONGEST_S))
    on_downbeats: bool = True

    def __attrs_post_init__(self) -> None:
        if self.whole_s < self.length_s:
            raise ValueError(f"whole_s is {self.whole_s}, less than length_s, {self.length_s}")

    def excerpts(self, duration_s: float, silent: Spans = ()) -> list[Excerpt]:
        """Return the excerpts of a song that lasts so long, first to last; none of one below 25 s.

        They are centred at 1/(n + 1), …, n/(n + 1) of the song, where verses and choruses are, not intros and
        endings. Starts are whole milliseconds, so that they are the same from run to run; one that rounding puts beyond
        the end is rounded down. An excerpt that is mostly silent is moved to where most sounds that no other one has,
        and cut to it; where there is no more, it is left out.

        Parameters
        ----------
        duration_s : float
            Of the song, seconds: whole frames of the clips' rate.
        silent : sequence of (float, float)
            Where nothing sounds.
        """
        if duration_s < SHORTEST_S:
            return []
        if duration_s <= self.whole_s:
            return [Excerpt(0.0, duration_s, on_downbeats=self.on_downbeats)]
        centres = np.arange(1, self.per_song + 1) / (self.per_song + 1) * duration_s
        starts = np.clip(centres - self.length_s / 2, 0, duration_s - self.length_s)
        found = [self._at(float(start), duration_s) for start in starts]
        return _where_it_sounds(found, duration_s, silent) if silent else found

    def _at(self, start: float, duration_s: float) -> Excerpt:
        rounded = Excerpt(round(start, 3), self.length_s, on_downbeats=self.on_downbeats)
        thousandths = math.floor(start * 1000)
        while not rounded.ends_within(duration_s):
            rounded = attrs.evolve(rounded, start=thousandths / 1000)
            thousandths -= 1
        return rounded


def _where_it_sounds(excerpts: list[Excerpt], duration_s: float, silent: Spans) -> list[Excerpt]:
    """Return excerpts with those that are mostly silent moved, or left out."""
    sounds = np.ones(math.ceil(duration_s), np.bool_)
    for start, end in silent:
        sounds[math.ceil(start) : math.ceil(end) if end >= duration_s else math.floor(end)] = False
    kept = [one for one in excerpts if np.mean(sounds[_seconds(one)]) >= LEAST_SOUND]
    for one in excerpts:
        if one in kept:
            continue
        new = sounds.copy()
        for other in kept:
            new[_seconds(other)] = False
        moved = _moved(one, new, duration_s)
        if not kept or np.count_nonzero(new[_seconds(moved)]) >= WORTH_S:
            kept.append(moved)
    return sorted(dict.fromkeys(kept), key=lambda one: one.start)


def _seconds(excerpt: Excerpt) -> slice:
    """Return the whole seconds that an excerpt touches most of."""
    return slice(round(excerpt.start), max(round(excerpt.start + excerpt.duration), round(excerpt.start) + 1))


def _moved(excerpt: Excerpt, sounds: npt.NDArray[np.bool_], duration_s: float) -> Excerpt:
    """Return an excerpt where most of these seconds sound, the nearest such place, cut to what sounds."""
    length = math.ceil(excerpt.duration)
    last = max(math.floor(duration_s - excerpt.duration), 0)
    total = np.concatenate([[0], np.cumsum(sounds)])
    counts = np.array([total[min(start + length, len(sounds))] - total[start] for start in range(last + 1)])
    best = np.flatnonzero(counts == counts.max())
    start = int(best[np.argmin(np.abs(best - excerpt.start))])
    inside = np.flatnonzero(sounds[start : start + length])
    if len(inside) == 0:
        return attrs.evolve(excerpt, start=float(start))
    first, end = start + int(inside[0]), min(start + int(inside[-1]) + 1, duration_s)
    if end - first < SHORTEST_S:  # sound is short: the silence after it belongs to the clip, or that before it
        end = min(first + SHORTEST_S, duration_s)
        first = max(math.floor(end - SHORTEST_S), 0) if end - first < SHORTEST_S else first
    return attrs.evolve(excerpt, start=float(first), duration=float(min(end - first, excerpt.duration)))
