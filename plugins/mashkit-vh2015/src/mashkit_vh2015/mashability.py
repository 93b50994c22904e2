"""The terms of vertical mashability: pure functions on chroma by the beat.

Conventions: chroma have shape (12, N), C = 0, N beats, any scale ≥ 0. Silence matches nothing and has no changes; gains
do not change the terms.

After Lee, Lin, Yao, Lee and Wu, "Automatic Mashup Creation by Considering both Vertical and Horizontal Mashabilities",
ISMIR 2015. We had only the abstract and the introduction of the paper, and its formulas only as in an open
re-implementation. Each function states which parts come from these and which are ours.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from mashkit.features.spectral import weighted_mean

Chroma: TypeAlias = npt.NDArray[Any]
Values: TypeAlias = npt.NDArray[np.float64]

_CIRCLES = ((7, 1.0), (9, 1.0), (4, 0.5))  # fifths, minor thirds, major thirds: (twelfths of a turn a semitone, radius)
_AXES = np.stack(
    [radius * axis(2 * np.pi * steps * np.arange(12) / 12) for steps, radius in _CIRCLES for axis in (np.sin, np.cos)]
)

LARGEST_CHANGE = math.sqrt(8)
"""Distance of the tonal centroids of two tones a tritone apart: they are opposite on two circles of radius 1, and equal
on the third. It is the largest distance of any two centroids, because all centroids lie in the convex hull of the
twelve tones' centroids."""


def chroma_match(one: Chroma, other: Chroma) -> float:
    """Return the similarity of two chroma: the mean of the beats' cosines, weighted by both energies; 0–1.

    C = Σ_j e_j · cos(one_j, other_j), e_j ∝ Σ_p one[p, j] · Σ_p other[p, j]; 0 if the two never sound in one beat.

    The mean cosine by the beat is the harmonic similarity of the open re-implementation. The weights are our reading of
    the paper's "volume weight": a beat in which the vocal is silent does not show how well it fits.
    """
    together = energies(one) * energies(other)
    products = np.einsum("pj,pj->j", one, other, dtype=np.float64)
    norms = np.sqrt(np.prod([np.sum(each.astype(np.float64) ** 2, axis=0) for each in (one, other)], axis=0))
    cosines = np.divide(products, norms, out=np.zeros_like(products), where=norms > 0)
    return weighted_mean(cosines, together)


def energies(chroma: Chroma) -> Values:
    """Return the sum of each beat's chroma, shape (N,); 0 for silence."""
    sums: Values = chroma.sum(axis=0, dtype=np.float64)
    return sums


def tonal_centroids(chroma: Chroma) -> Values:
    """Return each beat's position on the circles of fifths, minor and major thirds, shape (6, N); 0 for silence.

    ζ = Φ·c / Σc with Φ from Harte, Sandler and Gasser, "Detecting Harmonic Change in Musical Audio" (AMCMM 2006): sine
    and cosine on each circle, of radii 1, 1 and 0.5.
    """
    sums = energies(chroma)
    placed = _AXES @ chroma
    return np.divide(placed, sums, out=np.zeros_like(placed), where=sums > 0)


def harmonic_change(chroma: Chroma) -> Values:
    """Return the change of harmony around each inner beat, shape (max(N - 2, 0),), 0–1.

    ξ_n = ‖ζ_{n−1} − ζ_{n+1}‖ / √8, the harmonic change detection function of Harte et al. 2006, with beats as frames
    (the mean over a beat replaces their smoothing), divided by its largest value.
    """
    centroids = tonal_centroids(chroma)
    changes: Values = np.linalg.norm(centroids[:, 2:] - centroids[:, :-2], axis=0) / LARGEST_CHANGE
    return changes


def change_rate(chroma: Chroma, threshold: float) -> float:
    """Return the share of beats in which the harmony changes by more than ``threshold``, 0–1.

    A beat has the product of its neighbours' energies as weight, so a voice that falls silent is not a change.

    The paper compares how often the harmonies of two tracks change. Harte's function as the
    measure, the threshold and the weights are ours; the open re-implementation uses the cosine of successive chroma and
    a sigmoid.
    """
    sums = energies(chroma)
    changed = (harmonic_change(chroma) > threshold).astype(np.float64)
    return weighted_mean(changed, sums[:-2] * sums[2:])


def change_balance(one: float, other: float) -> float:
    """Return B = 1 − |b₁ + b₂ − 1|, 0–1, of two change rates: 1 if one changes as often as the other stays.

    This is the paper's harmonic change balance, in the form of the open re-implementation. Two tracks that both change
    often disturb each other; two tracks that hardly change are dull.
    """
    return 1 - abs(one + other - 1)


def tempo_closeness(speeds: Iterable[float]) -> float:
    """Return max(0, 1 − |log₂ s|) of the layer furthest from its own tempo, 0–1.

    It is 1 at speed 1, and 0 at half speed or slower and at double speed or faster.

    The paper scores close tempi higher; the open re-implementation gives a fixed bonus within 30 %. The gradual fall
    and the choice of the worst layer are ours, because a mashup sounds only as natural as its most stretched layer.
    """
    return max(0.0, 1 - max(abs(math.log2(speed)) for speed in speeds))
