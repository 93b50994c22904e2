"""Tests of a benchmark's metrics between every two competitors, or between each and a baseline.

The tests themselves are in :mod:`mashkit.statistics`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence

import attrs

from mashkit.statistics import PairedTest, holm


@attrs.frozen(kw_only=True)
class Comparison:
    """A paired test between two competitors.

    Parameters
    ----------
    metric : str
        Name of the metric.
    one, other : str
        Labels; ``difference`` is that of ``one`` − that of ``other``, in the metric's unit.
    low, high : float, optional
        95 % interval of the difference.
    p_bootstrap, p_signed_rank : float, optional
        See :class:`mashkit.statistics.PairedTest`.
    p_holm : float, optional
        ``p_signed_rank`` adjusted for all comparisons of the metric.
    effect, effect_low, effect_high : float, optional
        :func:`mashkit.statistics.rank_biserial` and its 95 % interval; None in results of earlier versions.
    songs : int, optional
        Number of clusters in which both have a value.
    differing : int, optional
        Number of those whose values differ; None in results of earlier versions.
    """

    metric: str
    one: str
    other: str
    difference: float
    low: float | None
    high: float | None
    p_bootstrap: float | None
    p_signed_rank: float | None
    p_holm: float | None
    effect: float | None = None
    effect_low: float | None = None
    effect_high: float | None = None
    songs: int | None = None
    differing: int | None = None

    def reversed(self) -> Comparison:
        """Return the same test, other − one."""

        def negative(value: float | None) -> float | None:
            return None if value is None else 0.0 - value  # because −value of 0.0 would be −0.0

        return attrs.evolve(
            self, one=self.other, other=self.one, difference=0.0 - self.difference,
            low=negative(self.high), high=negative(self.low), effect=negative(self.effect),
            effect_low=negative(self.effect_high), effect_high=negative(self.effect_low),
        )  # fmt: skip


def against(comparisons: Iterable[Comparison], baseline: str) -> list[Comparison]:
    """Return the tests between a baseline and each other label, with Holm's correction for these alone, by metric.

    Parameters
    ----------
    comparisons : iterable of Comparison
        Of every two labels.
    baseline : str
        Label that becomes ``other`` of every test: a positive difference is that of a label above the baseline.
    """
    own = [one if one.other == baseline else one.reversed() for one in comparisons if baseline in (one.one, one.other)]
    found: dict[str, list[Comparison]] = {}
    for one in own:
        found.setdefault(one.metric, []).append(one)
    return [
        attrs.evolve(one, p_holm=raised)
        for tests in found.values()
        for one, raised in zip(tests, _raised([one.p_signed_rank for one in tests]), strict=True)
    ]


def _raised(p_values: Sequence[float | None]) -> list[float | None]:
    """Return :func:`holm` of the values; None stays None and is not counted."""
    raised = iter(holm([value for value in p_values if value is not None]))
    return [None if value is None else next(raised) for value in p_values]


def every_two(
    metric: str, labels: Iterable[str], test: Callable[[str, str], PairedTest | None], unit: float = 1.0
) -> list[Comparison]:
    """Return the tests of one metric between every two labels for which ``test`` returns one."""
    found = {(one, other): test(one, other) for one, other in itertools.combinations(labels, 2)}
    return comparisons(metric, {pair: one for pair, one in found.items() if one is not None}, unit)


def comparisons(metric: str, tests: Mapping[tuple[str, str], PairedTest], unit: float = 1.0) -> list[Comparison]:
    """Return the tests of one metric, given by their labels, with Holm's correction; ``unit`` is 100 for per cent."""
    raised = _raised([test.p_signed_rank for test in tests.values()])
    return [
        Comparison(
            metric=metric,
            one=one,
            other=other,
            difference=unit * test.difference,
            low=None if test.interval is None else unit * test.interval.low,
            high=None if test.interval is None else unit * test.interval.high,
            p_bootstrap=test.p_bootstrap,
            p_signed_rank=test.p_signed_rank,
            p_holm=p_holm,
            effect=test.effect,
            effect_low=None if test.effect_interval is None else test.effect_interval.low,
            effect_high=None if test.effect_interval is None else test.effect_interval.high,
            songs=test.clusters,
            differing=test.differing,
        )
        for ((one, other), test), p_holm in zip(tests.items(), raised, strict=True)
    ]
