"""Convert numbers to Python's own: arguments and fields take numpy's too, because data for JSON must not contain these.

numpy is not imported here, because the command line reads its arguments without it.
"""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Iterable
from typing import Any

from mashkit.errors import MashkitError


def is_number(value: object) -> bool:
    """Return whether a value is a number. Text and truth values are none, though :class:`float` converts them.

    Examples
    --------
    >>> import numpy as np
    >>> from mashkit.numbers import is_number
    >>> [is_number(value) for value in (2, np.float32(0.5), "0.5", True, np.bool_(True), None)]
    [True, True, False, False, False, False]
    """
    kind = type(_own(value))
    return kind is not bool and (hasattr(kind, "__float__") or hasattr(kind, "__index__"))


def _own(value: Any) -> Any:
    """Return the one value of a scalar or an array, of numpy's or another's, as Python's own, else the value itself.

    Of numpy's masked value, None: it stands for a missing number, and its item is 0.
    """
    if type(value) in (float, int, str, bool):  # nearly all values are of these
        return value
    numpy = sys.modules.get("numpy")
    if numpy is not None and value is numpy.ma.masked:
        return None
    item = getattr(value, "item", None)
    try:
        return item() if callable(item) else value
    except (TypeError, ValueError, RuntimeError):  # an array of several values; torch raises the last
        return value


def python_number(value: Any) -> Any:
    """Return numpy's scalar, or its array of one value without dimensions, as Python's, and any other value as it is.

    Examples
    --------
    >>> import numpy as np
    >>> python_number(np.int64(3)), python_number(np.array(0.5)), python_number("text")
    (3, 0.5, 'text')
    """
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, (numpy.generic, numpy.ndarray)) and value.ndim == 0:
        return value.item()
    return value


def plain_number(value: Any) -> Any:
    """Convert an attrs field: return a number as a float, and anything else as it is, for the validator to refuse.

    Text, booleans, and whole numbers larger than any float are not numbers. −0.0 becomes 0.0, because the two are equal
    and written otherwise.

    Examples
    --------
    >>> import numpy as np
    >>> plain_number(np.float32(0.5)), plain_number(-0.0), plain_number("loud")
    (0.5, 0.0, 'loud')
    """
    if type(value) is float:
        return value + 0.0
    try:
        return float(_own(value)) + 0.0 if is_number(value) else value
    except (TypeError, ValueError, OverflowError):
        return value


def plain_whole(value: Any) -> Any:
    """Convert an attrs field: return a whole number, such as 2 or 2.0, as an int, and anything else as it is.

    Examples
    --------
    >>> import numpy as np
    >>> plain_whole(np.int64(3)), plain_whole(2.0), plain_whole(2.43)
    (3, 2, 2.43)
    """
    if type(value) is int or not is_number(value):
        return value
    try:
        return operator.index(_own(value))
    except TypeError:
        number = plain_number(value)
        return int(number) if type(number) is float and number.is_integer() else value


def shown(value: object) -> str:
    """Return a value as in :func:`repr`; of a whole number of so many digits that Python refuses to, its size.

    Examples
    --------
    >>> shown("high"), shown(10**5000)
    ("'high'", 'a number of 16,610 bits, of too many digits to be shown')
    """
    try:
        return repr(value)
    except ValueError:
        bits = f" of {value.bit_length():,} bits" if isinstance(value, int) else ""
        return f"a number{bits}, of too many digits to be shown"


def number_of(count: int, noun: str) -> str:
    """Return a number of things in words; the plural ends in s.

    Examples
    --------
    >>> number_of(1, "song"), number_of(2, "song"), number_of(0, "song")
    ('1 song', '2 songs', '0 songs')
    """
    return f"{count} {noun}{'s' * (count != 1)}"


def column_format(values: Iterable[float], decimals: int) -> str:
    """Return the format of numbers in one column: ``decimals`` digits after the point.

    Where the largest number has fewer than two significant digits so, or a million or more, the format is scientific,
    because scores of a plugin may be of any size.

    Examples
    --------
    >>> column_format([0.25, 12.0], 3), column_format([2e-5, 3e-6], 3), column_format([1e300], 3)
    ('.3f', '.3e', '.3e')
    """
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    fixed = largest == 0 or 10.0 ** (1 - decimals) <= largest < 1e6
    return f".{decimals}{'f' if fixed else 'e'}"


def as_number(value: Any, name: str, error: type[MashkitError]) -> float:
    """Return a number as a float; raises ``error`` with ``name`` for anything else.

    Examples
    --------
    >>> from mashkit.errors import AnalysisError
    >>> as_number("high", "confidence of key", AnalysisError)
    Traceback (most recent call last):
        ...
    mashkit.errors.AnalysisError: confidence of key is 'high' (give a number)
    """
    number = plain_number(value)
    if type(number) is not float:
        raise error(f"{name} is {shown(value)}", "give a number")
    return number


def as_whole(value: Any, name: str, error: type[MashkitError]) -> int:
    """Return a whole number as an int; raises ``error`` with ``name`` for anything else.

    Examples
    --------
    >>> from mashkit.errors import AnalysisError
    >>> as_whole(2.43, "semitones", AnalysisError)
    Traceback (most recent call last):
        ...
    mashkit.errors.AnalysisError: semitones is 2.43 (give a whole number)
    """
    number = plain_whole(value)
    if type(number) is not int:
        raise error(f"{name} is {shown(value)}", "give a whole number")
    return number
