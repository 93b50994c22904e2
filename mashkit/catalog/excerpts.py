"""Choose the parts of a song that are separated and analysed (excerpts), and the place of the clip in each excerpt."""

from __future__ import annotations

import math
from collections.abc import Sequence

import attrs
import numpy as np
import numpy.typing as npt

from mashkit.arguments import require, require_number
from mashkit.conditions import DURATION_S
from mashkit.errors import UsageError
from mashkit.numbers import as_whole, python_number
from mashkit.timing import metre
from mashkit.types import Analysis

SAMPLE_RATE = 44_100
"""Sample rate of clips, Hz: nearly all songs have this rate, and the separation models were trained at it."""
SHORTEST_S, LONGEST_S = DURATION_S
"""Shortest and longest clip, seconds, because no mashup is shorter or longer (docs/paper.md, row 19). By default, a
song of the longest length or shorter is one excerpt."""
FEWEST_BARS = 16
"""Smallest number of bars of a clip where the song has so many (docs/paper.md, row 2)."""
PHRASE_BARS = 4
"""Bars of a phrase. A clip of :data:`FEWEST_BARS` bars or more consists of whole phrases (ours)."""
LEAST_SOUND = 0.5
"""Share of an excerpt's seconds that must not be silent; an excerpt with a smaller share is moved (ours)."""
WORTH_S = 15.0
"""Least number of seconds with sound, outside all other excerpts, that a moved excerpt must contain (ours): a little
more than half of the shortest clip. An excerpt that would contain less is left out, unless it is the only one."""

Spans = Sequence[tuple[float, float]]
"""Silent parts of a song: start and end of each, seconds from the song's start, ascending."""


@attrs.frozen
class Excerpt:
    """A part of a song that is separated and analysed in one piece. Its clip is the whole excerpt or a part of it.

    The excerpt does not depend on the analysis. Another analyzer, or a downbeat set by hand, moves the cut of the clip
    only, so that the excerpt need not be separated again.

    Parameters
    ----------
    start, duration : float
        Place in the song, seconds.
    label : str
        Name of this part of the song ("chorus") where labels give one, else empty.
    on_downbeats : bool
        Whether the clip is cut on downbeats. False for an excerpt that was cut by labels already.

    Raises
    ------
    UsageError
        If a value is of another type, the start is before the song, or the duration is not more than 0.

    Examples
    --------
    >>> import mashkit as mk
    >>> from mashkit.testing import signals
    >>> _, found = signals.band(tempo=120.0, bars=18, first_downbeat=0.25)
    >>> excerpt = mk.Excerpt(start=30.0, duration=40.0)
    >>> excerpt.cut(found)  # 16 bars of 2 s, from the first downbeat
    (0.25, 32.25)
    >>> excerpt.cut(mk.Analysis())
    (0.0, 40.0)
    """

    # A whole number of seconds stays an int: the keys of stored results depend on how the number is written.
    start: float = attrs.field(converter=python_number)
    duration: float = attrs.field(converter=python_number)
    label: str = ""
    on_downbeats: bool = attrs.field(default=True, converter=python_number)

    def __attrs_post_init__(self) -> None:
        require_number("start", self.start, 0)
        if require_number("duration", self.duration, 0) == 0:
            raise UsageError("duration is 0", "give the seconds that the excerpt lasts")
        require("label", self.label, str, "give text")
        require("on_downbeats", self.on_downbeats, bool, "give True or False")

    def ends_within(self, duration_s: float) -> bool:
        """Return whether the excerpt lies inside a song of that length; start and length are rounded to frames."""
        return round(self.start * SAMPLE_RATE) + round(self.duration * SAMPLE_RATE) <= round(duration_s * SAMPLE_RATE)

    def cut(self, analysis: Analysis) -> tuple[float, float]:
        """Return where the clip begins and ends, seconds from the excerpt's start.

        The clip begins on the first downbeat and ends on a downbeat. It has all bars of the excerpt; where these are
        sixteen or more, their number is rounded down to whole phrases of four. The last bar may end where the next
        downbeat is expected. The clip is the whole excerpt if this cut would leave less than 25 s, or if the downbeats
        are unknown or doubtful.

        Parameters
        ----------
        analysis : Analysis
            Analysis of the excerpt, times from the excerpt's start.
        """
        if not self.on_downbeats or analysis.downbeats is None or len(analysis.downbeats) < 2:
            return 0.0, self.duration
        if metre.doubt(analysis) is not None:  # a cut on a doubtful downbeat is no better than any other cut
            return 0.0, self.duration
        due = analysis.downbeats[-1] + np.median(np.diff(analysis.downbeats))
        lines = np.append(analysis.downbeats, [due] if due <= self.duration else [])
        bars = len(lines) - 1
        if bars >= FEWEST_BARS:
            bars -= bars % PHRASE_BARS
        start, end = float(lines[0]), float(lines[bars])
        return (start, end) if end - start >= SHORTEST_S else (0.0, self.duration)


def _count(per_song: int) -> int:
    """Convert the field ``per_song``; raises UsageError for what is not a whole number of 1 or more."""
    count = as_whole(per_song, "per_song", UsageError)
    if count < 1:
        raise UsageError(f"per_song is {count}", "give a whole number of 1 or more")
    return count


@attrs.frozen(kw_only=True)
class ExcerptPolicy:
    """Options: the number of excerpts of a song, their length, and whether clips are cut on downbeats.

    Parameters
    ----------
    per_song : int
        Number of excerpts, ≥ 1, of a song longer than ``whole_s``; they are spread evenly over the song.
    length_s : float
        Length of an excerpt, 25–60 s. In 60 s, sixteen bars of four beats fit at 69 BPM or faster, wherever in the
        excerpt the first bar begins.
    whole_s : float
        Seconds, from ``length_s`` to 60. A song of this length or shorter is one excerpt.
    on_downbeats : bool
        Cut clips on downbeats.

    Raises
    ------
    UsageError
        If a value is of another type, or outside its limits.

    Examples
    --------
    >>> import mashkit as mk
    >>> [(one.start, one.duration) for one in mk.ExcerptPolicy().excerpts(240.0)]
    [(50.0, 60.0), (130.0, 60.0)]
    >>> mk.ExcerptPolicy(per_song=1, length_s=30, whole_s=30).excerpts(240.0)
    [Excerpt(start=105.0, duration=30, label='', on_downbeats=True)]
    >>> mk.ExcerptPolicy().excerpts(20.0)
    []
    """

    per_song: int = attrs.field(default=2, converter=_count)
    # A whole number of seconds stays an int: the keys of stored results depend on how the number is written.
    length_s: float = attrs.field(default=LONGEST_S, converter=python_number)
    whole_s: float = attrs.field(default=LONGEST_S, converter=python_number)
    on_downbeats: bool = attrs.field(default=True, converter=python_number)

    def __attrs_post_init__(self) -> None:
        require_number("length_s", self.length_s, SHORTEST_S, LONGEST_S)
        require_number("whole_s", self.whole_s, SHORTEST_S, LONGEST_S)
        if self.whole_s < self.length_s:
            raise UsageError(
                f"whole_s is {self.whole_s}, less than length_s, {self.length_s}",
                "make whole_s longer or length_s shorter",
            )
        require("on_downbeats", self.on_downbeats, bool, "give True or False")

    def excerpts(self, duration_s: float, silent: Spans = ()) -> list[Excerpt]:
        """Return the excerpts of a song, first to last. A song shorter than 25 s has no excerpts.

        The centres of the excerpts are at 1/(n + 1), …, n/(n + 1) of the song, because verses and choruses are there,
        and intros and endings are not. Starts are whole milliseconds, so that they are the same from run to run; a
        start is rounded down where rounding up would put the excerpt's end beyond the song's end. An excerpt that is
        mostly silent is moved to the place with the most sound outside all other excerpts, and shortened to that sound.
        It is left out where less than 15 s of such sound remain, unless it is the only excerpt.

        Parameters
        ----------
        duration_s : float
            Length of the song, seconds: whole frames of the clips' sample rate.
        silent : sequence of (float, float)
            Silent parts of the song.
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


def as_policy(policy: ExcerptPolicy | None) -> ExcerptPolicy:
    """Return a policy that an argument gives, by default that of no options; raises UsageError for anything else."""
    return ExcerptPolicy() if policy is None else require("policy", policy, ExcerptPolicy, "give an ExcerptPolicy")


def _where_it_sounds(excerpts: list[Excerpt], duration_s: float, silent: Spans) -> list[Excerpt]:
    """Return the excerpts; those that are mostly silent are moved or left out."""
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
    """Return the seconds of the song that the excerpt covers, rounded to whole seconds."""
    return slice(round(excerpt.start), max(round(excerpt.start + excerpt.duration), round(excerpt.start) + 1))


def _moved(excerpt: Excerpt, sounds: npt.NDArray[np.bool_], duration_s: float) -> Excerpt:
    """Return the excerpt moved to the nearest place with the largest number of sounding seconds, cut to the sound."""
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
    if end - first < SHORTEST_S:  # less than 25 s sound: the clip includes silence after the sound, then before it
        end = min(first + SHORTEST_S, duration_s)
        first = max(math.floor(end - SHORTEST_S), 0) if end - first < SHORTEST_S else first
    return attrs.evolve(excerpt, start=float(first), duration=float(min(end - first, excerpt.duration)))
