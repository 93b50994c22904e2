"""How many beats a bar has, and whether that is to be believed.

Bar lines are the least certain of what an analyzer finds: in music of five or seven beats a bar, and in a voice alone,
trackers invent some. What is built on bars asks here first.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mashkit.types import Analysis

LEAST_CONFIDENCE = 0.23
"""Confidence in its metre (``Analysis.confidence["metre"]``) from which on an analyzer is believed (ours).

Measured with madmom's, in excerpts of 40 and 60 s. 28 of 30 excerpts of real songs of three, four or six beats a bar
reach it, and 48 of 48 rendered ones; of the two below, the tracker lost the tempo in one, and the other lasts 17 s. Of
24 rendered songs of five and seven beats none reaches it with bars of four, and 19 with their own. Of 12 voices alone
one does, in 24 s of chopped samples. Chosen anew without the song that is judged, it does nearly as well
(``benchmarks/metre.py``)."""
LEAST_REGULAR = 0.5
"""Share of the bars that must have the commonest number of beats (ours)."""


def doubt(analysis: Analysis) -> str | None:
    """Return why the metre of a piece is doubtful, in words; None if it is not, or no bars are known at all.

    What labels or a person say has no confidence, and is believed; so is an analyzer that gives none.
    """
    lengths = analysis.bar_lengths
    if lengths is None or len(lengths) == 0:
        return None
    confidence = analysis.confidence.get("metre", 1.0)
    if confidence < LEAST_CONFIDENCE:
        return f"the analyzer's confidence in {analysis.beats_per_bar} beats a bar is {confidence:.2f}"
    regular = np.count_nonzero(lengths == analysis.beats_per_bar)
    if regular < LEAST_REGULAR * len(lengths):
        return f"only {regular} of {len(lengths)} bars have {analysis.beats_per_bar} beats"
    return None


def facts(analysis: Analysis) -> dict[str, Any]:
    """Return beats a bar, and why that is doubtful, as plain data."""
    return {"beats_per_bar": analysis.beats_per_bar, "metre_doubt": doubt(analysis)}


def described(analysis: Analysis) -> str:
    """Return beats a bar for people: "4", "4?" where they are doubtful, "–" where they are not known."""
    if analysis.beats_per_bar is None:
        return "–"
    return f"{analysis.beats_per_bar}{'' if doubt(analysis) is None else '?'}"


def fit(one: int, other: int) -> bool:
    """Tell whether bars of so many beats can lie on each other: of as many, or of twice as many; 0 is not known."""
    return 0 in (one, other) or one in (other, 2 * other) or other == 2 * one
