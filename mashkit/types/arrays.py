"""Arrays that a value can hold: float64, and not to be written to."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from mashkit.errors import MashkitError
from mashkit.numbers import is_number


def read_only(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return numbers as a read-only array of float64; an array that is one already is not copied.

    Raises
    ------
    TypeError, ValueError, OverflowError
        If a value is not a number (:func:`mashkit.numbers.is_number`), or the values do not make an array.
    """
    if isinstance(values, np.ndarray) and values.dtype == np.float64 and not values.flags.writeable:
        return values
    array = np.array(values, dtype=np.float64)
    _require_numbers(values)
    array.flags.writeable = False
    return array


def _require_numbers(values: npt.ArrayLike) -> None:
    """Raise TypeError if values that numpy has converted were text or truth values."""
    given = values if isinstance(values, (list, tuple)) else np.asarray(values)
    if isinstance(given, np.ndarray):
        if given.dtype.kind in "iuf":
            return
        given = given.ravel().tolist()
    # One value of each type is enough, because there may be thousands; an inner list is looked at whole.
    for value in {type(one): one for one in given}.values():
        if isinstance(value, (list, tuple, np.ndarray)):
            for inner in given:
                _require_numbers(inner)
            return
        if value is not None and not is_number(value):
            raise TypeError(f"{value!r} is not a number")


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
