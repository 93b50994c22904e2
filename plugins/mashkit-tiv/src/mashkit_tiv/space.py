"""The tonal interval space: pure functions on chroma, and on vectors computed from chroma.

Conventions: chroma have shape (12, N), C = 0, any scale ≥ 0; vectors are complex128 of shape (6, N), row k − 1 holds
T(k). The vector of a silent chroma is 0: the centre of the space, where no pitch dominates.

Formulas after Bernardes, Cocharro, Caetano, Guedes and Davies, "A multi-level tonal interval space for modelling pitch
relatedness and musical consonance", Journal of New Music Research 45(4), 2016.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import attrs
import numpy as np
import numpy.typing as npt

from mashkit.errors import UsageError

Vectors: TypeAlias = npt.NDArray[np.complex128]
Values: TypeAlias = npt.NDArray[np.float64]

WEIGHTS = np.array([3.0, 8.0, 11.5, 15.0, 14.5, 7.5])
"""w(1) … w(6) for chroma of audio, from the open implementations (TIVlib, and that of the listening test in the
README). T(5) is large if the pitches form fifths, T(4) for minor thirds, T(3) for major thirds."""

LARGEST_NORM = float(np.linalg.norm(WEIGHTS))
"""Norm of the vector of a single pitch class, √Σw² = 26.4: the largest norm of any chroma ≥ 0."""

_ORDERS = np.arange(1, 7)
_TRANSFORM = WEIGHTS[:, None] * np.exp(-2j * np.pi * np.outer(_ORDERS, np.arange(12)) / 12)


@attrs.frozen(eq=False)
class TonalIntervals:
    """Tonal interval vectors, and the energy of each.

    Parameters
    ----------
    vectors : array of complex128, shape (6, N)
    energies : array of float64, shape (N,)
        Sum of the chroma, T(0); 0 for silence.

    Raises
    ------
    UsageError
        If vectors and energies have different N.
    """

    vectors: Vectors = attrs.field(repr=False)
    energies: Values = attrs.field(repr=False)

    def __attrs_post_init__(self) -> None:
        if self.vectors.shape != (len(_ORDERS), len(self.energies)):
            raise UsageError(
                f"vectors of shape {self.vectors.shape} for {len(self.energies)} energies", "give (6, N) and (N,)"
            )

    @classmethod
    def of(cls, chroma: npt.NDArray[Any]) -> TonalIntervals:
        """Return the vectors T(k) = w(k) · Σ_p c[p] · exp(−2πi·k·p/12) / Σ_p c[p], k = 1 … 6, of each column.

        Raises
        ------
        UsageError
            If the chroma do not have twelve rows.
        """
        if chroma.ndim != 2 or len(chroma) != 12:
            raise UsageError(f"chroma of shape {chroma.shape}", "give (12, N)")
        energies = chroma.sum(axis=0, dtype=np.float64)
        shares = np.divide(chroma, energies, out=np.zeros(chroma.shape), where=energies > 0)
        return cls(_TRANSFORM @ shares, energies)

    def transposed(self, semitones: float) -> TonalIntervals:
        """Return the vectors of the same music ``semitones`` higher: a phase rotation, exact for any fraction."""
        return attrs.evolve(self, vectors=self.vectors * np.exp(-2j * np.pi * _ORDERS * semitones / 12)[:, None])

    def whole(self) -> TonalIntervals:
        """Return one vector for all the music, that of the summed chroma: the mean weighted by energy."""
        total = self.energies.sum()
        summed = self.vectors @ self.energies
        mean = summed / total if total > 0 else summed
        return TonalIntervals(mean[:, None], np.array([total]))


def distance(one: TonalIntervals, other: TonalIntervals) -> Values:
    """Return R = ‖T₁ − T₂‖ / (2·√Σw²), shape (N,), 0–1: the Euclidean distance, 0 for equal chroma.

    It measures the perceptual relatedness of Bernardes et al. 2016: the smaller the distance, the more related. The
    divisor 2·√Σw² is the diameter of the space, the largest distance of two vectors.
    """
    norms: Values = np.linalg.norm(one.vectors - other.vectors, axis=0) / (2 * LARGEST_NORM)
    return norms


def dissonance(one: TonalIntervals, other: TonalIntervals) -> Values:
    """Return D = 1 − ‖(T₁ + T₂)/2‖ / √Σw², shape (N,), 0–1: the dissonance of both, mixed at equal strength.

    In Bernardes et al. 2016, vectors further from the centre are more consonant. The mix is at equal strength, not by
    energy, so that gains do not change it, as in the open implementation behind the listening test (see the README).
    """
    norms: Values = 1 - np.linalg.norm((one.vectors + other.vectors) / 2, axis=0) / LARGEST_NORM
    return norms
