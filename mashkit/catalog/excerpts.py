"""Which parts of a song are separated and analysed, and where in them the clips are cut."""

from __future__ import annotations

import attrs
import numpy as np

from mashkit import metre
from mashkit.types import Analysis

SHORTEST_S = 25.0
"""Shortest clip, seconds: no mashup is shorter (paper, "Mashup Generation")."""
LONGEST_S = 60.0
"""Longest clip, seconds: no mashup is longer (paper, "Mashup Generation"). A song that short is one excerpt."""
FEWEST_BARS = 16
"""Bars of a clip, or more, where the song has them (paper, "Mashup Generation")."""
PHRASE_BARS = 4
"""Clips of :data:`FEWEST_BARS` or more are whole phrases of so many bars (ours)."""


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

    def excerpts(self, duration_s: float) -> list[Excerpt]:
        """Return the excerpts of a song that lasts so long, first to last; none of one below 25 s.

        They are centred at 1/(n + 1), …, n/(n + 1) of the song, where verses and choruses are, not intros and
        endings. Starts are whole milliseconds, so that they are the same from run to run.
        """
        if duration_s < SHORTEST_S:
            return []
        if duration_s <= self.whole_s:
            return [Excerpt(0.0, duration_s, on_downbeats=self.on_downbeats)]
        centres = np.arange(1, self.per_song + 1) / (self.per_song + 1) * duration_s
        starts = np.clip(centres - self.length_s / 2, 0, duration_s - self.length_s)
        return [Excerpt(round(float(start), 3), self.length_s, on_downbeats=self.on_downbeats) for start in starts]
