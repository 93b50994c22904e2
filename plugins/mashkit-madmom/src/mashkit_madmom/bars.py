"""Which beats begin bars, and how sure that is: asked of the beat network's probabilities at the beats found.

The networks know bars of three and four beats, and the bar model always finds some, in any music. But where bars have
five or seven beats the downbeat probability still repeats so, and where nothing repeats there are no bars to be heard.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Flags = npt.NDArray[np.bool_]

LEAST_PROBABILITY = 1e-4
"""Probabilities below this say the same: never."""
LARGEST_ODDS = 5.0
"""Bound of the logarithm of the odds of a downbeat: beyond it one beat would outweigh the others."""
SHIFT_COST = 3.0
"""What it costs to count anew, in standard deviations of the odds: a bar of another length is the exception."""
CLEARER = 0.1
"""By how much the correlation of a longer bar must be higher than that of the tracked one (ours). The bar model's are
0.25 at most in rendered songs of five and seven beats a bar, whose own are 0.36–0.94. In 54 songs and excerpts of four
beats a longer bar has 0.33 less at least, but for one of 17 s, where none is better than chance."""


def chosen(probability: Floats, number: npt.NDArray[np.intp], offered: Iterable[int]) -> tuple[Flags, float]:
    """Return which beats begin bars, and the confidence that bars have that length, 0–1.

    Parameters
    ----------
    probability : array of float, shape (n, 2)
        Of a beat that is no downbeat, and of a downbeat, at each beat.
    number : array of int, shape (n,)
        Place of each beat in its bar, from 1, as tracked.
    offered : iterable of int
        Other bar lengths, beats.
    """
    first = number == 1
    tracked = int(number.max())
    odds = standard_odds(probability)
    if odds is None:
        return first, 0.0
    best = correlation(odds, tracked)[0]
    # A bar of twice as many beats is tracked as two, which is right but for every second bar line.
    family = max(best, correlation(odds, 2 * tracked)[0])
    for length in offered:
        found, begins = correlation(odds, length)
        if found > best + CLEARER and found > by_chance(len(odds)):
            first, best, family = begins, found, max(found, correlation(odds, 2 * length)[0])
    return first, confidence(family, len(odds))


def standard_odds(probability: Floats) -> Floats | None:
    """Return the log odds of a downbeat at each beat, with mean 0 and deviation 1; None if all are alike."""
    beat, downbeat = np.maximum(probability.astype(np.float64), LEAST_PROBABILITY).T
    odds = np.clip(np.log(downbeat) - np.log(beat), -LARGEST_ODDS, LARGEST_ODDS)
    spread = odds.std()
    return (odds - odds.mean()) / spread if spread > 0 else None


def correlation(odds: Floats, length: int) -> tuple[float, Flags]:
    """Return how the odds correlate with bars of so many beats, and which beats begin these.

    Of all ways to count bars through the beats, beginning anew where that costs less than it gains, the best, by
    dynamic programming.
    """
    inside = np.full(length, -1 / length)
    inside[0] += 1  # a bar's first beat, and the others: their mean is 0
    score = inside * odds[0]
    came_from = np.empty((len(odds), length), np.intp)
    before = np.roll(np.arange(length), 1)
    for beat in range(1, len(odds)):
        best = int(score.argmax())
        goes_on = score[before] >= score[best] - SHIFT_COST
        came_from[beat] = np.where(goes_on, before, best)
        score = np.where(goes_on, score[before], score[best] - SHIFT_COST) + inside * odds[beat]
    place = int(score.argmax())
    begins = np.zeros(len(odds), np.bool_)
    for beat in range(len(odds) - 1, -1, -1):
        begins[beat] = place == 0
        place = int(came_from[beat, place]) if beat else place
    # The deviation of the bars' pattern is the root of its mean square, (1 − 1 / length) / length.
    return float(score.max() / (len(odds) * math.sqrt((1 - 1 / length) / length))), begins


def by_chance(beats: int) -> float:
    """Return a correlation that odds without any bars exceed rarely.

    Of white noise, the mean plus two to three standard deviations, for bars of three to eight beats and 16 to 200 beats
    (simulated; ours): counting anew always finds something, the more the fewer beats there are.
    """
    return min(math.sqrt(0.04 + 6 / beats), 1.0)


def confidence(found: float, beats: int) -> float:
    """Return a correlation as a confidence: 0 where it may be chance, 1 where it is 1."""
    chance = by_chance(beats)
    return 0.0 if chance == 1 else min(max((found - chance) / (1 - chance), 0.0), 1.0)
