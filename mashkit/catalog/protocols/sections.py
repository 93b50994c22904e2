"""Choose the bars of a labelled section that become its clip."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from mashkit.catalog.excerpts import FEWEST_BARS, LONGEST_S, PHRASE_BARS, SHORTEST_S, Excerpt
from mashkit.catalog.protocols.labels import Section
from mashkit.types import Times

LATE_IN_BAR = 0.6
"""Share of a bar after which the start of a section counts as an upbeat to the next bar (ours). A section that starts
in the middle of a bar begins with this bar. In the Harmonix Set, three in four sections start on a downbeat, and more
than half of the others on the last beat of a bar."""
ROUNDED_LONGEST_S = LONGEST_S + 1e-9
"""Longest excerpt, with room for rounding, because ten bars of six seconds may be a little longer than a minute."""


def section_excerpts(sections: Iterable[Section], downbeats: Times, *, music_ends: float = np.inf) -> list[Excerpt]:
    """Return an excerpt of whole bars for each section with room for an excerpt.

    The excerpt begins with the section's first bar. Most sections are too short for a mashup: in the Harmonix Set,
    65 % of verses and choruses last less than the paper's 25 s, and 76 % have fewer than its 16 bars. The excerpt
    therefore continues over the following bars until it has both, and begins earlier if the song ends before that. An
    excerpt longer than 60 s ends after as many bars as fit, in whole phrases of four if sixteen or more fit (all ours).
    Excerpts of neighbouring sections may overlap.

    Parameters
    ----------
    sections : iterable of Section
    downbeats : array of float64
        Times at which bars begin, seconds, strictly increasing.
    music_ends : float
        Latest time at which the last bar may end, seconds.
    """
    bars = downbeats[downbeats <= music_ends + 1e-3]
    found: dict[float, Excerpt] = {}
    for section in sections:
        if len(bars) < 2 or section.start >= bars[-1]:
            continue
        first = min(_bar_at(bars, section.start), len(bars) - 2)  # no whole bar follows the last downbeat
        last = _bar_at(bars, min(section.end, float(bars[-1])))
        first, last = _long_enough(bars, first, max(last, first + 1))
        last = _short_enough(bars, first, last)
        if bars[last] - bars[first] >= SHORTEST_S:
            start = float(bars[first])
            found.setdefault(start, Excerpt(start, float(bars[last]) - start, section.label, on_downbeats=False))
    return [found[start] for start in sorted(found)]


def _bar_at(bars: Times, moment: float) -> int:
    """Return the bar with which a section begins."""
    at = int(np.clip(np.searchsorted(bars, moment + 1e-3, side="right") - 1, 0, len(bars) - 1))
    if at + 1 < len(bars) and (moment - bars[at]) / (bars[at + 1] - bars[at]) > LATE_IN_BAR:
        return at + 1
    return at


def _long_enough(bars: Times, first: int, last: int) -> tuple[int, int]:
    def short() -> bool:
        return last - first < FEWEST_BARS or bool(bars[last] - bars[first] < SHORTEST_S)

    while short() and last + 1 < len(bars) and bars[last + 1] - bars[first] <= ROUNDED_LONGEST_S:
        last += 1
    while short() and first > 0 and bars[last] - bars[first - 1] <= ROUNDED_LONGEST_S:
        first -= 1
    return first, last


def _short_enough(bars: Times, first: int, last: int) -> int:
    if bars[last] - bars[first] <= ROUNDED_LONGEST_S:
        return last
    fitting = int(np.searchsorted(bars, bars[first] + ROUNDED_LONGEST_S, side="right")) - 1 - first
    return first + (fitting - fitting % PHRASE_BARS if fitting >= FEWEST_BARS else fitting)
