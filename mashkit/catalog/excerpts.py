"""Which parts of a song become clips."""

from __future__ import annotations

import attrs
import numpy as np

SHORTEST_S = 25.0
"""Shortest clip, seconds: no mashup is shorter (paper, "Mashup Generation")."""
LONGEST_S = 60.0
"""Longest clip, seconds: no mashup is longer (paper, "Mashup Generation"). A song that short is one clip."""


@attrs.frozen(kw_only=True)
class ExcerptPolicy:
    """How many clips a song gives, and how long they are.

    Parameters
    ----------
    per_song : int
        Clips of a song longer than a minute, ≥ 1, spread evenly over it.
    length_s : float
        Their length, 25–60 s. 48 s are 16 bars of four at 80 BPM: the paper's clips have 16 bars or more.
    """

    per_song: int = attrs.field(default=2, validator=attrs.validators.ge(1))
    length_s: float = attrs.field(
        default=48.0, validator=[attrs.validators.ge(SHORTEST_S), attrs.validators.le(LONGEST_S)]
    )

    def excerpts(self, duration_s: float) -> list[tuple[float, float]]:
        """Return (start, duration) in seconds of each clip of a song; empty for one below 25 s.

        The clips are centred at 1/(n + 1), …, n/(n + 1) of the song, where verses and choruses are, not intros and
        endings. Starts are whole milliseconds, so that they are the same from run to run.
        """
        if duration_s < SHORTEST_S:
            return []
        if duration_s <= LONGEST_S:
            return [(0.0, duration_s)]
        centres = np.arange(1, self.per_song + 1) / (self.per_song + 1) * duration_s
        starts = np.clip(centres - self.length_s / 2, 0, duration_s - self.length_s)
        return [(round(float(start), 3), self.length_s) for start in starts]
