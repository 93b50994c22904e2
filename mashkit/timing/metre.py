"""Decide whether an analysis' number of beats per bar is reliable.

Bar lines are the least certain result of an analyzer: in music with five or seven beats per bar, and in a voice alone,
trackers return wrong ones. Code that uses bars calls :func:`doubt` first.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mashkit.types import Analysis

LEAST_CONFIDENCE = 0.23
"""Least confidence in the metre (``Analysis.confidence["metre"]``) at which the metre is not doubtful (ours).

Measured with madmom's analyzer on excerpts of 40 and 60 s. It is reached by 28 of 30 excerpts of real songs with three,
four or six beats per bar, and by 48 of 48 rendered ones; of the two others, the tracker lost the tempo in one, and the
other lasts 17 s. Of 24 rendered songs with five or seven beats per bar, none reaches it with bars of four beats, and 19
with their own bars. Of 12 voices alone one reaches it, in 24 s of chopped samples. A threshold that is chosen without
the song that is judged does nearly as well (``benchmarks/metre.py``)."""
LEAST_REGULAR = 0.5
"""Least share of the bars with the commonest number of beats (ours)."""


def doubt(analysis: Analysis) -> str | None:
    """Return why the metre of a piece is doubtful, in words; None if it is not doubtful, or no bars are known.

    Values from labels, from a user or from an analyzer without a confidence have no entry for it, so only the share of
    regular bars can make them doubtful.
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
    """Return the beats per bar, and the reason why they are doubtful (or None), as plain data."""
    return {"beats_per_bar": analysis.beats_per_bar, "metre_doubt": doubt(analysis)}


def described(analysis: Analysis) -> str:
    """Return the beats per bar as text: "4", "4?" if they are doubtful, "–" if they are unknown."""
    if analysis.beats_per_bar is None:
        return "–"
    return f"{analysis.beats_per_bar}{'' if doubt(analysis) is None else '?'}"


def fit(one: int, other: int) -> bool:
    """Return whether bars of ``one`` and ``other`` beats can be laid on each other.

    They can if the numbers are equal, if one is twice the other, or if one is unknown (0).
    """
    return 0 in (one, other) or one in (other, 2 * other) or other == 2 * one
