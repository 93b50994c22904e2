"""Rank competitors by their metrics: by the musts they break, then by a weighted mean of ranks.

The page prints :data:`RULES`. The functions take plain numbers and import nothing else of the benchmark.

Examples
--------
>>> quick = Metric(name="s", title="time", unit="s", explained="", resolution=0.1)
>>> exact = Metric(name="hits", title="hits", unit="%", explained="", better="higher", resolution=1, limit=50)
>>> found = standings([quick, exact], {"a": {"s": 1.0, "hits": 40}, "b": {"s": 2.0, "hits": 90}})
>>> [(label, one.rank, one.score, one.broken) for label, one in found.items()]
[('b', 1, 50.0, ()), ('a', 2, 50.0, ('hits',))]
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import attrs

RULES = (
    "First come those that keep every must, then those that break one, then two. Among them the score decides: for "
    "each metric the share of the other competitors that are worse (a tie counts half, a value that could not be "
    "measured is worst), averaged with the weights that a result’s page gives under “What was measured”. 100 is "
    "best in everything. Values are rounded to the step of their metric before they are compared; equal ones are a tie."
)


@attrs.frozen(kw_only=True)
class Metric:
    """One column of the table.

    Parameters
    ----------
    name, title, unit, explained : str
        ``explained`` is the sentence the page prints.
    better : {"lower", "higher"}
        Without a meaning if there is an ideal value.
    weight : float
        Weight in the ranking; a metric of weight 0 is only shown.
    limit : float, optional
        A must: competitors beyond the limit come after all others.
    resolution : float
        Values are rounded to steps of this size before they are ranked; equal ones are a tie.
    digits : int
        Decimals shown.
    ideal : float, optional
        The best value, if it is neither the lowest nor the highest: the nearest is best. Where it is 0, values are
        shown with their sign.

    Raises
    ------
    ValueError
        If ``better`` is neither, the weight is negative, the resolution is not positive, or a number is not finite.
    """

    name: str
    title: str
    unit: str
    explained: str
    better: Literal["lower", "higher"] = "lower"
    weight: float = 1.0
    limit: float | None = None
    resolution: float
    digits: int = 1
    ideal: float | None = None

    def __attrs_post_init__(self) -> None:
        # Otherwise a plugin's metric would fail when all is measured, or rank in the wrong order.
        if self.better not in ("lower", "higher"):
            raise ValueError(f'metric {self.name!r}: better is {self.better!r}, not "lower" or "higher"')
        if not (0 <= self.weight < math.inf and 0 < self.resolution < math.inf):
            raise ValueError(f"metric {self.name!r}: weight {self.weight}, resolution {self.resolution}")
        for what, value in (("limit", self.limit), ("ideal", self.ideal)):
            if value is not None and not math.isfinite(value):
                raise ValueError(f"metric {self.name!r}: {what} is {value}")

    def to_dict(self) -> dict[str, Any]:
        """Return the metric as plain data for JSON; a limit or an ideal value that it lacks is left out."""
        return attrs.asdict(self, filter=lambda _, value: value is not None)

    def keeps(self, value: float | None) -> bool:
        """Return whether a value is within the limit; None, which could not be measured, is not."""
        if self.limit is None:
            return True
        if value is None:
            return False
        return self.badness(value) <= self.badness(self.limit)

    def badness(self, value: float) -> float:
        """Return how bad a value is, in the metric's unit: of two values the one that is less bad is better."""
        if self.ideal is not None:
            return abs(value - self.ideal)
        return value if self.better == "lower" else -value

    @property
    def goal(self) -> str:
        """What is better, for sentences: "lower", "higher" or "nearer to 50"."""
        return self.better if self.ideal is None else f"nearer to {self.ideal:g}"


@attrs.frozen
class Standing:
    """The place of a competitor.

    Parameters
    ----------
    rank : int
        1 is best; competitors of the same score share a rank.
    score : float, optional
        0–100; None if there is nobody to compare with, or no metric that has a weight.
    broken : tuple of str
        Names of the musts that the competitor breaks.
    """

    rank: int
    score: float | None
    broken: tuple[str, ...]


def standings(metrics: Sequence[Metric], values: Mapping[str, Mapping[str, float | None]]) -> dict[str, Standing]:
    """Rank competitors by their metrics.

    Parameters
    ----------
    metrics : sequence of Metric
    values : mapping of str to mapping
        Label → metric → value, None if it could not be measured. A metric without any value is left out.

    Returns
    -------
    dict of str to Standing
        Best first.
    """
    measured = [metric for metric in metrics if any(one[metric.name] is not None for one in values.values())]
    broken = {
        label: tuple(metric.name for metric in measured if not metric.keeps(one[metric.name]))
        for label, one in values.items()
    }
    scores = dict.fromkeys(values, 0.0)
    total = sum(metric.weight for metric in measured)
    compared = len(values) > 1 and total > 0
    for metric in measured if compared else ():
        steps = {label: _steps(metric, one[metric.name]) for label, one in values.items()}
        for label, own in steps.items():
            others = [step for name, step in steps.items() if name != label]
            share = sum(1.0 if step > own else 0.5 if step == own else 0.0 for step in others) / len(others)
            scores[label] += 100 * share * metric.weight / total
    places = {label: (len(broken[label]), -round(scores[label], 6)) for label in values}
    return {
        label: Standing(
            1 + sum(place < places[label] for place in places.values()),
            scores[label] if compared else None,
            broken[label],
        )
        for label in sorted(values, key=lambda label: places[label])
    }


def _steps(metric: Metric, value: float | None) -> float:
    """Return how bad a value is, in whole steps of the metric's resolution."""
    if value is None:
        return float("inf")
    return round(metric.badness(value) / metric.resolution)
