"""The melody of one voice: its fundamental frequency, frame by frame."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from mashkit.errors import AnalysisError
from mashkit.numbers import plain_number
from mashkit.types.arrays import as_numbers
from mashkit.types.mappings import entries
from mashkit.types.timemap import Times

_same = attrs.cmp_using(eq=np.array_equal)


def _hertz(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    return as_numbers(values, "f0 of a melody", AnalysisError, "give Hz, 0 where nothing is sung")


def _shares(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    return as_numbers(values, "confidences of a melody", AnalysisError, "give numbers from 0 to 1")


@attrs.frozen
class Melody:
    """The pitch of one voice over time.

    Parameters
    ----------
    f0 : array of float64, shape (n,)
        Fundamental frequency of each frame, Hz; 0 where nothing is sung.
    confidence : array of float64, shape (n,)
        0–1: how sure it is that the frame is sung, and at that pitch.
    hop_s : float
        Seconds from one frame to the next, > 0.
    start_s : float
        Time of the first frame, seconds, ≥ 0.

    Raises
    ------
    AnalysisError
        If the numbers break these rules, or there is no frame.

    Examples
    --------
    >>> from mashkit import Melody
    >>> melody = Melody(f0=[0.0, 440.0, 442.0], confidence=[0.1, 0.9, 0.8], hop_s=0.01)
    >>> melody.times.tolist()
    [0.0, 0.01, 0.02]
    >>> melody.pitches[1]  # MIDI numbers
    np.float64(69.0)
    """

    f0: npt.NDArray[np.float64] = attrs.field(converter=_hertz, eq=_same, hash=False, repr=False)
    confidence: npt.NDArray[np.float64] = attrs.field(converter=_shares, eq=_same, hash=False, repr=False)
    hop_s: float = attrs.field(converter=plain_number)
    start_s: float = attrs.field(default=0.0, converter=plain_number)

    def __attrs_post_init__(self) -> None:
        if self.f0.ndim != 1 or len(self.f0) == 0 or self.confidence.shape != self.f0.shape:
            raise AnalysisError(
                f"f0 of shape {self.f0.shape} and confidence of shape {self.confidence.shape}",
                "give one of each for every frame, and a frame or more",
            )
        if not (np.isfinite(self.f0).all() and (self.f0 >= 0).all()):
            raise AnalysisError("f0 are not finite Hz ≥ 0", "give 0 where nothing is sung")
        if not ((self.confidence >= 0) & (self.confidence <= 1)).all():
            raise AnalysisError("the confidence of a melody is not within 0–1")
        numbers = type(self.hop_s) is float and type(self.start_s) is float
        if not (numbers and 0 < self.hop_s < math.inf and 0 <= self.start_s < math.inf):
            raise AnalysisError(f"a melody from {self.start_s!r} s in steps of {self.hop_s!r} s")

    @property
    def times(self) -> Times:
        """Time of each frame, seconds, shape (n,)."""
        times: Times = np.asarray(self.start_s + self.hop_s * np.arange(len(self.f0)), np.float64)
        return times

    @property
    def voiced(self) -> npt.NDArray[np.bool_]:
        """Whether each frame is sung, shape (n,)."""
        return self.f0 > 0

    @property
    def pitches(self) -> npt.NDArray[np.float64]:
        """Pitch of each frame as a MIDI number with fractions, A4 = 440 Hz = 69; NaN where nothing is sung."""
        pitches = np.full(len(self.f0), np.nan)
        pitches[self.voiced] = 69 + 12 * np.log2(self.f0[self.voiced] / 440)
        return pitches

    def within(self, start: float, end: float) -> Melody | None:
        """Return the frames from ``start`` until before ``end``, seconds, with times from ``start``; None if none."""
        times = self.times
        inside = np.flatnonzero((times >= start) & (times < end))
        if len(inside) == 0:
            return None
        return Melody(self.f0[inside], self.confidence[inside], self.hop_s, float(times[inside[0]]) - start)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON; :meth:`from_dict` reads it back to an equal value."""
        return {
            "start_s": self.start_s,
            "hop_s": self.hop_s,
            "f0": self.f0.tolist(),
            "confidence": self.confidence.tolist(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Melody:
        """Return the melody that :meth:`to_dict` wrote.

        Raises
        ------
        AnalysisError
            If an entry is missing, or its value is invalid.
        """
        names = [field.name for field in attrs.fields(cls)]
        data = entries(data, names, "a melody", AnalysisError)
        return cls(**{name: data[name] for name in names})
