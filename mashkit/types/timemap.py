"""Time maps: where each moment of a recording comes to lie when its speed changes along the way.

Conventions: times are seconds; a speed is source seconds per target second, 1.25 being a quarter faster.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import attrs
import numpy as np
import numpy.typing as npt

from mashkit.errors import TimeMapError
from mashkit.numbers import plain_number, shown
from mashkit.types.arrays import times_fault
from mashkit.types.mappings import entries

Times: TypeAlias = npt.NDArray[np.float64]
"""Moments, seconds, shape (n,)."""

RESOLUTION_S = 1e-6
"""Knots are rounded to this, far below a frame: a plan written by one machine has the same id on another."""

MAP_SPEED_RANGE = (0.5, 2.0)
"""Speeds that a stretcher follows along a time map. A beat map beyond them has lost count of the beats."""

_DIGITS = round(-math.log10(RESOLUTION_S))
_SHORT = 16
"""Knots up to which the farthest is found sooner without numpy."""


def _knots(values: Iterable[float]) -> tuple[float, ...]:
    fix = "give two lists of seconds"
    try:
        knots = tuple(map(plain_number, values))
    except TypeError as error:
        raise TimeMapError(f"the knots of a time map are not numbers: {error}", fix) from error
    for knot in knots:
        if type(knot) is not float:
            raise TimeMapError(f"the knots of a time map are not numbers: one is {shown(knot)}", fix)
    return knots


def _increase(times: Times) -> bool:
    return bool((times[1:] > times[:-1]).all())


def _needed(source: Times, target: Times, tolerance_s: float) -> tuple[list[float], list[float]]:
    """Return the source and the target of knots, without those whose target would move by no more than a tolerance.

    From either end's chord on, the knot farthest from it is put back until all are near enough (Douglas and Peucker,
    Cartographica 10 (2), 1973).
    """
    xs, ys = source.tolist(), target.tolist()
    kept = [0, len(xs) - 1]
    spans = [(0, len(xs) - 1)]
    while spans:
        first, last = spans.pop()
        if last - first < 2:
            continue
        slope = (ys[last] - ys[first]) / (xs[last] - xs[first])
        chord = ys[first] - slope * xs[first]
        # How far each knot lies above the line through 0 that is parallel to the chord.
        if last - first <= _SHORT:
            high = [b - slope * a for a, b in zip(xs[first + 1 : last], ys[first + 1 : last], strict=True)]
            above, below = max(high), min(high)
        else:
            heights = target[first + 1 : last] - slope * source[first + 1 : last]
            highest, lowest = int(heights.argmax()), int(heights.argmin())
            above, below = float(heights[highest]), float(heights[lowest])
        if above - chord > tolerance_s or chord - below > tolerance_s:
            upwards = above - chord >= chord - below
            if last - first <= _SHORT:
                place = high.index(above if upwards else below)
            else:
                place = highest if upwards else lowest
            farthest = first + 1 + place
            kept.append(farthest)
            spans += [(first, farthest), (farthest, last)]
    kept.sort()
    return [xs[index] for index in kept], [ys[index] for index in kept]


@attrs.frozen
class TimeMap:
    """A piecewise linear map from the time of a recording to its time after stretching, both beginning at 0.

    Before the first knot and beyond the last, the first and the last speed go on.

    Parameters
    ----------
    source : sequence of float
        Moments of the recording, seconds: 0 first, strictly increasing, two or more.
    target : sequence of float
        Where they come to lie, seconds: as many, 0 first, strictly increasing.

    Raises
    ------
    TimeMapError
        If the knots break these rules.

    Examples
    --------
    >>> import mashkit as mk
    >>> time_map = mk.TimeMap(source=[0, 4, 10], target=[0, 4, 9])
    >>> time_map.speeds.tolist()
    [1.0, 1.2]
    >>> time_map.to_target([2, 7]).tolist()
    [2.0, 6.5]
    >>> time_map.to_source([6.5]).tolist()
    [7.0]
    >>> beats, due = [0.5, 1.02, 1.49, 2.0], [0.5, 1.0, 1.5, 2.0]
    >>> steady, offset = mk.TimeMap.through(beats, due, duration_s=2.5)
    >>> (steady.to_target(beats) + offset).round(6).tolist()
    [0.5, 1.0, 1.5, 2.0]
    """

    source: tuple[float, ...] = attrs.field(converter=_knots)
    target: tuple[float, ...] = attrs.field(converter=_knots)

    def __attrs_post_init__(self) -> None:
        if len(self.source) != len(self.target) or len(self.source) < 2:
            raise TimeMapError(
                f"a time map has {len(self.source)} source knots and {len(self.target)} target knots",
                "give the same number of both, two or more",
            )
        for name, knots in (("source", self.source), ("target", self.target)):
            if knots[0] != 0:
                raise TimeMapError(f"the {name} of a time map begins at {knots[0]} s, not at 0")
            # Not by numpy: there are a dozen knots, and a map is made for every layer of every plan.
            if not all(map(math.isfinite, knots)) or not all(map(operator.lt, knots, knots[1:])):
                raise TimeMapError(
                    f"the {name} of a time map is not finite, strictly increasing seconds: {times_fault(knots)}"
                )

    @classmethod
    def through(
        cls, source: npt.ArrayLike, target: npt.ArrayLike, *, duration_s: float, tolerance_s: float | None = None
    ) -> tuple[TimeMap, float]:
        """Return the map that carries ``source`` onto ``target``, and where it lays the recording's beginning.

        Parameters
        ----------
        source, target : array of float, shape (n,)
            Moments of the recording, 0 to ``duration_s``, and of the time line it is laid on; strictly increasing,
            two or more.
        duration_s : float
            Length of the recording, > 0. The speeds at either end go on to its beginning and its end.
        tolerance_s : float, optional
            Seconds, ≥ 0. Knots are left out as long as no left-out knot's target moves by more: a steady tempo becomes
            a single piece. Default: all knots stay.

        Returns
        -------
        time_map : TimeMap
            From 0 to ``duration_s`` of the recording, rounded to :data:`RESOLUTION_S`.
        offset_s : float
            The moment of the time line at which the recording's first frame lies.

        Raises
        ------
        TimeMapError
            If the moments do not increase, or lie outside the recording.
        """
        given, due = np.asarray(source, dtype=np.float64), np.asarray(target, dtype=np.float64)
        if len(given) != len(due) or len(given) < 2 or not (_increase(given) and _increase(due)):
            raise TimeMapError("moments to map are not two or more pairs of strictly increasing seconds")
        if given[0] < 0 or given[-1] > duration_s:
            raise TimeMapError(f"moments to map lie outside the recording's {duration_s:.3f} s")
        first, last = (due[1] - due[0]) / (given[1] - given[0]), (due[-1] - due[-2]) / (given[-1] - given[-2])
        offset = float(due[0] - given[0] * first)
        end = float(due[-1] + (duration_s - given[-1]) * last)
        inner = slice(given.searchsorted(RESOLUTION_S, "right"), given.searchsorted(duration_s - RESOLUTION_S))
        knots, laid = np.empty((2, inner.stop - inner.start + 2))
        knots[0], knots[1:-1], knots[-1] = 0.0, given[inner], duration_s
        laid[0], laid[1:-1], laid[-1] = offset, due[inner], end
        laid -= offset
        knots, laid = knots.round(_DIGITS), laid.round(_DIGITS)
        if tolerance_s is None:
            return cls(knots.tolist(), laid.tolist()), offset
        return cls(*_needed(knots, laid, tolerance_s)), offset

    @property
    def speeds(self) -> Times:
        """Playing speed of each piece, shape (knots − 1,)."""
        speeds: Times = np.diff(self.source) / np.diff(self.target)
        return speeds

    def require_playable(self) -> None:
        """Raise TimeMapError if a speed lies outside :data:`MAP_SPEED_RANGE`."""
        slowest, fastest = float(self.speeds.min()), float(self.speeds.max())
        low, high = MAP_SPEED_RANGE
        if not low <= slowest <= fastest <= high:
            raise TimeMapError(
                f"the speeds of the time map go from {slowest:.3f} to {fastest:.3f}",
                f"stay within {low:g} and {high:g}: check the beats from which it was made",
            )

    @property
    def mean_speed(self) -> float:
        """Playing speed of the whole: source seconds over target seconds between the first knot and the last."""
        return self.source[-1] / self.target[-1]

    def to_target(self, times: npt.ArrayLike) -> Times:
        """Carry times of the recording to where they lie after stretching."""
        return _interpolated(times, self.source, self.target)

    def end(self, duration_s: float) -> float:
        """Return where the end of a recording of that length comes to lie: :meth:`to_target` of that one moment."""
        if duration_s < self.source[-2]:
            return float(self.to_target(duration_s))
        slope = (self.target[-1] - self.target[-2]) / (self.source[-1] - self.source[-2])
        return self.target[-2] + (duration_s - self.source[-2]) * slope

    def to_source(self, times: npt.ArrayLike) -> Times:
        """Carry times after stretching back into the recording: the inverse of :meth:`to_target`."""
        return _interpolated(times, self.target, self.source)

    def to_dict(self) -> dict[str, list[float]]:
        """Return plain data for JSON; :meth:`from_dict` reads it back to an equal map."""
        return {"source": list(self.source), "target": list(self.target)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TimeMap:
        """Return the time map that :meth:`to_dict` wrote.

        Raises
        ------
        TimeMapError
            If an entry is missing, or its value is invalid.
        """
        data = entries(data, ["source", "target"], "a time map", TimeMapError)
        return cls(data["source"], data["target"])


def _interpolated(times: npt.ArrayLike, knots: tuple[float, ...], values: tuple[float, ...]) -> Times:
    """Interpolate linearly between knots, and go on with the slope of the nearest piece outside them."""
    at, x, y = np.asarray(times, dtype=np.float64), np.array(knots), np.array(values)
    piece = np.clip(np.searchsorted(x, at, side="right") - 1, 0, len(x) - 2)
    slopes = np.diff(y) / np.diff(x)
    result: Times = y[piece] + (at - x[piece]) * slopes[piece]
    return result
