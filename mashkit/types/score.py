"""Scores of mashups."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from typing import Any, Literal

import attrs

from mashkit.numbers import is_number, plain_number, python_number, shown
from mashkit.types.mappings import frozen_mapping


def _plain(parts: Mapping[str, Any]) -> Mapping[str, float]:
    """Return parts with numpy's numbers, and arrays of one number without dimensions, as Python's."""
    if not isinstance(parts, Mapping):
        raise ValueError(f"the parts of a score are {parts!r}, not a mapping of names to numbers")
    plain = {name: python_number(value) for name, value in parts.items()}
    for name, value in plain.items():
        if not isinstance(name, str):
            raise ValueError(f"a part's name is {name!r}, not text")
        # Compared and not converted, because no float holds a whole number of 400 digits.
        if not (is_number(value) and isinstance(value, (int, float)) and abs(value) <= sys.float_info.max):
            raise ValueError(f"part {name!r} of a score is {shown(value)}, not a finite number")
    return frozen_mapping(plain)


def _number(value: Any) -> float:
    number = plain_number(value)
    if type(number) is not float:
        raise ValueError(f"a score is {shown(value)}, not a number")
    return number


@attrs.frozen
class Score:
    """A scorer's rating of a mashup: higher is better.

    Parameters
    ----------
    value : float
        Finite; within [0, 1] on the probability scale.
    scale : {"probability", "ordinal"}
        "probability" if the value itself can be interpreted, "ordinal" if only the order of values can.
    parts : mapping of str to float
        The components of the value ("harmony", "rhythm", …), finite.

    Raises
    ------
    ValueError
        If the value or a part is not such a number. A scorer's ``score`` turns it into ComponentFailed, with the line
        of the scorer's code.

    Examples
    --------
    >>> import mashkit as mk
    >>> score = mk.Score(0.83, "probability", {"harmony": 0.9, "rhythm": 0.7})
    >>> score.value, score.parts["rhythm"]
    (0.83, 0.7)
    >>> mk.Score(1.2, "probability")
    Traceback (most recent call last):
        ...
    ValueError: a score of 1.2 on the probability scale
    """

    value: float = attrs.field(converter=_number)
    scale: Literal["probability", "ordinal"] = "ordinal"
    parts: Mapping[str, float] = attrs.field(factory=dict, converter=_plain)

    def __attrs_post_init__(self) -> None:
        if self.scale not in ("probability", "ordinal"):
            raise ValueError(f'scale is {self.scale!r}, not "probability" or "ordinal"')
        if not math.isfinite(self.value) or (self.scale == "probability" and not 0 <= self.value <= 1):
            raise ValueError(f"a score of {self.value} on the {self.scale} scale")

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {"value": self.value, "scale": self.scale, "parts": dict(self.parts)}
