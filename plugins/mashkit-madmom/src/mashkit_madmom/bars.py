"""The first beats of bars, and the confidence in the bar length, from the beat network's probabilities at the beats.

The networks were trained on bars of three and four beats, and the bar model always finds such bars, in any music. But
in bars of five or seven beats the downbeat probability still repeats with that length, and without any repetition the
music has no bars that can be heard.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Flags = npt.NDArray[np.bool_]

LEAST_PROBABILITY = 1e-4
"""Smallest probability that is used; smaller ones mean the same."""
LARGEST_ODDS = 5.0
"""Bound of the log odds of a downbeat, because one beat with larger odds would outweigh all others."""
SHIFT_COST = 3.0
"""Cost of starting the count again, in standard deviations of the odds: a bar of another length is an exception."""
CLEARER = 0.1
"""Difference by which the correlation of a longer bar must exceed that of the tracked bar (ours). In rendered songs of
five and seven beats per bar, the bar model's correlation is at most 0.25, and that of the true length 0.36–0.94. In 54
songs and excerpts of four beats per bar, a longer bar has at least 0.33 less, except for one song of 17 s, in which no
bar length is better than chance."""


def chosen(probability: Floats, number: npt.NDArray[np.intp], offered: Iterable[int]) -> tuple[Flags, float]:
    """Return which beats begin bars, and the confidence in their length, 0–1.

    Parameters
    ----------
    probability : array of float, shape (n, 2)
        At each beat, the probability of a beat that is not a downbeat, and of a downbeat.
    number : array of int, shape (n,)
        Tracked position of each beat in its bar, from 1.
    offered : iterable of int
        Other bar lengths to compare, beats.
    """
    first = number == 1
    tracked = int(number.max())
    odds = standard_odds(probability)
    if odds is None:
        return first, 0.0
    best = correlation(odds, tracked)[0]
    # A bar of twice the length is often tracked as two bars, and then half of the tracked bar lines are right.
    family = max(best, correlation(odds, 2 * tracked)[0])
    for length in offered:
        found, begins = correlation(odds, length)
        if found > best + CLEARER and found > by_chance(len(odds)):
            first, best, family = begins, found, max(found, correlation(odds, 2 * length)[0])
    return first, confidence(family, len(odds))


def standard_odds(probability: Floats) -> Floats | None:
    """Return the log odds of a downbeat at each beat, shape (beats,), with mean 0 and deviation 1.

    None if all are equal.

    Parameters
    ----------
    probability : ndarray of float
        As of :func:`chosen`, shape (beats, 2).
    """
    beat, downbeat = np.maximum(probability.astype(np.float64), LEAST_PROBABILITY).T
    odds = np.clip(np.log(downbeat) - np.log(beat), -LARGEST_ODDS, LARGEST_ODDS)
    spread = odds.std()
    return (odds - odds.mean()) / spread if spread > 0 else None


def correlation(odds: Floats, length: int) -> tuple[float, Flags]:
    """Return the correlation of the odds with bars of ``length`` ≥ 2 beats, and which beats begin these bars.

    Dynamic programming finds the best way to count bars through the beats; the count may start again where this gains
    more than it costs.

    Parameters
    ----------
    odds : ndarray of float
        Those of :func:`standard_odds`, shape (beats,), with at least one beat.
    length : int
        Length of a bar, beats.

    Returns
    -------
    correlation : float
        About 1 if the odds repeat the pattern of a bar exactly.
    begins : ndarray of bool
        Shape (beats,).
    """
    inside = np.full(length, -1 / length)
    inside[0] += 1  # the pattern of a bar, 1 on the first beat and 0 elsewhere, minus its mean
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
    # √((1 − 1 / length) / length) is the standard deviation of the pattern of a bar.
    return float(score.max() / (len(odds) * math.sqrt((1 - 1 / length) / length))), begins


def by_chance(beats: int) -> float:
    """Return a correlation that odds without any bars rarely exceed.

    It is the mean plus two to three standard deviations for white noise, for bars of three to eight beats and 16 to 200
    beats (simulated; ours). It grows with fewer beats, because starting the count again always gains something.
    """
    return min(math.sqrt(0.04 + 6 / beats), 1.0)


def confidence(found: float, beats: int) -> float:
    """Return a correlation as a confidence: 0 if it may be chance, 1 if the correlation is 1."""
    chance = by_chance(beats)
    return 0.0 if chance == 1 else min(max((found - chance) / (1 - chance), 0.0), 1.0)
