"""Arrays that a value can hold: float64, and not to be written to."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from mashkit.errors import MashkitError


def read_only(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return values as a read-only array of float64; an array that is one already is not copied."""
    if isinstance(values, np.ndarray) and values.dtype == np.float64 and not values.flags.writeable:
        return values
    array = np.array(values, dtype=np.float64)
    array.flags.writeable = False
    return array


def times_fault(times: npt.ArrayLike, *, least: float = -math.inf) -> str:
    """Return what is wrong with times that must be finite, at least ``least`` and strictly increasing; "" if nothing.

    Examples
    --------
    >>> from mashkit.types.arrays import times_fault
    >>> times_fault([[0.5], [1.0]])
    'their shape is (2, 1), not (n,)'
    >>> times_fault([0.5, 1.0, 0.75])
    'number 2 is 0.75, and the one before it 1.0'
    """
    array = np.asarray(times, dtype=np.float64)
    if array.ndim != 1:
        return f"their shape is {array.shape}, not (n,)"
    before = -math.inf
    for number, time in enumerate(array.tolist()):
        if not math.isfinite(time) or time < least:
            return f"number {number} is {time}"
        if time <= before:
            return f"number {number} is {time}, and the one before it {before}"
        before = time
    return ""


def as_numbers(values: npt.ArrayLike, what: str, error: type[MashkitError], fix: str) -> npt.NDArray[np.float64]:
    """Return values as :func:`read_only` does; raises ``error`` with ``what`` and ``fix`` if they are not numbers."""
    try:
        return read_only(values)
    except (TypeError, ValueError, OverflowError) as wrong:
        raise error(f"{what} are not numbers: {wrong}", fix) from wrong


def as_times(values: npt.ArrayLike, what: str, error: type[MashkitError]) -> npt.NDArray[np.float64]:
    """Return times, seconds, as :func:`as_numbers` does."""
    return as_numbers(values, what, error, "give seconds")
