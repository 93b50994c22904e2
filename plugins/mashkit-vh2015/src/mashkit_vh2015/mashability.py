"""The terms of vertical mashability: pure functions on chroma by the beat.

Conventions: chroma have shape (12, N), C = 0, N beats, any scale ≥ 0. What is silent matches nothing and does not
change; gains are of no matter.

After Lee, Lin, Yao, Lee and Wu, "Automatic Mashup Creation by Considering both Vertical and Horizontal Mashabilities",
ISMIR 2015. Of the paper we had the abstract and the introduction, of its formulas only what an open re-implementation
makes of them: each function says what is theirs and what is ours.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Chroma: TypeAlias = npt.NDArray[Any]
Values: TypeAlias = npt.NDArray[np.float64]

_CIRCLES = ((7, 1.0), (9, 1.0), (4, 0.5))  # fifths, minor thirds, major thirds: (steps a semitone of 12, radius)
_AXES = np.stack(
    [radius * axis(2 * np.pi * steps * np.arange(12) / 12) for steps, radius in _CIRCLES for axis in (np.sin, np.cos)]
)

LARGEST_CHANGE = math.sqrt(8)
"""Distance of the tonal centroids of two tones a tritone apart: opposite on two circles of radius 1, alike on the
third. No two centroids are further apart: all lie in the hull of the twelve tones', whose largest distance that is."""


def transposed(chroma: Chroma, semitones: float) -> Chroma:
    """Return the chroma of the same music ``semitones`` higher; between two rotations, their mix."""
    whole = math.floor(semitones)
    part = np.float32(semitones - whole)
    rotated = np.roll(chroma, whole, axis=0)
    return rotated if part == 0 else (1 - part) * rotated + part * np.roll(rotated, 1, axis=0)


def chroma_match(one: Chroma, other: Chroma) -> float:
    """Return how alike the chroma are: the mean of the beats' cosines, weighted by how much both sound; 0–1.

    C = Σ_j e_j · cos(one_j, other_j), e_j ∝ Σ_p one[p, j] · Σ_p other[p, j]; 0 where no beat has both.

    The mean cosine by the beat is the harmonic similarity of the open re-implementation. The weights are how we read
    the paper's "volume weight": a beat in which the vocal rests says nothing of how it fits.
    """
    together = energies(one) * energies(other)
    products = np.einsum("pj,pj->j", one, other, dtype=np.float64)
    norms = np.sqrt(np.prod([np.sum(each.astype(np.float64) ** 2, axis=0) for each in (one, other)], axis=0))
    cosines = np.divide(products, norms, out=np.zeros_like(products), where=norms > 0)
    return _mean(cosines, together)


def energies(chroma: Chroma) -> Values:
    """Return the sum of each beat's chroma, shape (N,): 0 where there is silence."""
    sums: Values = chroma.sum(axis=0, dtype=np.float64)
    return sums


def tonal_centroids(chroma: Chroma) -> Values:
    """Return each beat's place on the circles of fifths, minor and major thirds, shape (6, N); 0 for silence.

    ζ = Φ·c / Σc with Φ as Harte, Sandler and Gasser, "Detecting Harmonic Change in Musical Audio" (AMCMM 2006) have it:
    sine and cosine on each circle, of radii 1, 1 and 0.5.
    """
    sums = energies(chroma)
    placed = _AXES @ chroma
    return np.divide(placed, sums, out=np.zeros_like(placed), where=sums > 0)


def harmonic_change(chroma: Chroma) -> Values:
    """Return how far the harmony moves around each inner beat, shape (max(N - 2, 0),), 0–1.

    ξ_n = ‖ζ_{n−1} − ζ_{n+1}‖ / √8, the harmonic change detection function of Harte et al. 2006 with beats for frames
    (the mean over a beat in place of their smoothing), divided by its largest value.
    """
    centroids = tonal_centroids(chroma)
    changes: Values = np.linalg.norm(centroids[:, 2:] - centroids[:, :-2], axis=0) / LARGEST_CHANGE
    return changes


def change_rate(chroma: Chroma, threshold: float) -> float:
    """Return in what share of its beats the harmony changes by more than ``threshold``, 0–1: how busy it is.

    A beat counts as far as both its neighbours sound, so that a voice that falls silent has not changed its harmony.

    The paper compares how often the harmonies of two tracks change. Measuring that by Harte's function, the threshold
    and the weights are ours; the open re-implementation we know takes the cosine of successive chroma, and a sigmoid.
    """
    sums = energies(chroma)
    changed = (harmonic_change(chroma) > threshold).astype(np.float64)
    return _mean(changed, sums[:-2] * sums[2:])


def change_balance(one: float, other: float) -> float:
    """Return B = 1 − |b₁ + b₂ − 1|, 0–1, of two change rates: 1 where the one is as busy as the other is calm.

    The paper's harmonic change balance, in the form of the open re-implementation. Two busy tracks get in each other's
    way; two that stand still are dull.
    """
    return 1 - abs(one + other - 1)


def tempo_closeness(speeds: Iterable[float]) -> float:
    """Return max(0, 1 − |log₂ s|) of the layer that is furthest from its own tempo, 0–1: 1 at speed 1, 0 from half or
    twice on.

    That closeness of tempo counts is the paper's; as far as the open re-implementation shows, it gives a fixed bonus
    within 30 %. That it falls gradually, and that the worst layer counts, is ours: a mashup sounds as natural as the
    layer that was stretched most.
    """
    return max(0.0, 1 - max(abs(math.log2(speed)) for speed in speeds))


def _mean(values: Values, weights: Values) -> float:
    """Return the weighted mean; 0 without weight."""
    total = float(weights.sum())
    return float(values @ weights) / total if total > 0 else 0.0
