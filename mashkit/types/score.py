"""Scores of mashups."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import attrs

from mashkit.numbers import python_number
from mashkit.types.mappings import frozen_mapping


def _plain(parts: Mapping[str, Any]) -> Mapping[str, float]:
    """Return parts with numpy's numbers, and arrays of one number without dimensions, as Python's."""
    for name in parts:
        if not isinstance(name, str):
            raise ValueError(f"a part's name is {name!r}, not text")
    return frozen_mapping({name: python_number(value) for name, value in dict(parts).items()})


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
        The components of the value ("harmony", "rhythm", …).

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

    value: float = attrs.field(converter=float)
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
