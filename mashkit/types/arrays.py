"""Arrays that a value can hold: float64, and not to be written to."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def read_only(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return values as a read-only array of float64; an array that is one already is not copied."""
    if isinstance(values, np.ndarray) and values.dtype == np.float64 and not values.flags.writeable:
        return values
    array = np.array(values, dtype=np.float64)
    array.flags.writeable = False
    return array
