"""Means of features between any two times, computed from a running sum with two look-ups each."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import numpy.typing as npt


@attrs.frozen(eq=False)
class RunningSum:
    """The sum of a feature from its beginning up to any time.

    Parameters
    ----------
    sums : array of float64, shape (frames + 1, ...)
        Sum before frame 0, sum after frame 0, sum after frame 1, and so on.
    rate : float
        Frames per second; frame k covers the time from (k − ½) / rate to (k + ½) / rate.
    """

    sums: npt.NDArray[np.float64] = attrs.field(repr=False)
    rate: float

    @classmethod
    def of(cls, features: npt.NDArray[Any], rate: float) -> RunningSum:
        """Return the running sum of features, shape (frames, ...)."""
        sums = np.zeros((len(features) + 1, *features.shape[1:]))
        np.cumsum(features, axis=0, out=sums[1:])
        return cls(sums, rate)

    def means(self, boundaries: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
        """Return the mean between each two neighbouring boundaries, shape (boundaries − 1, ...); zero beyond the ends.

        Parameters
        ----------
        boundaries : array of float64, shape (n,)
            Seconds, in ascending order. An interval inside one frame has that frame's value; one of no length has 0.
        """
        places = np.clip(boundaries * self.rate + 0.5, 0, len(self.sums) - 1)
        lower = np.minimum(places.astype(np.int64), len(self.sums) - 2)
        share = (places - lower).reshape(-1, *[1] * (self.sums.ndim - 1))
        sums = self.sums[lower] * (1 - share) + self.sums[lower + 1] * share
        lengths = np.maximum(np.diff(boundaries) * self.rate, 1e-9).reshape(share[1:].shape)
        means: npt.NDArray[np.float32] = (np.diff(sums, axis=0) / lengths).astype(np.float32)
        return means
