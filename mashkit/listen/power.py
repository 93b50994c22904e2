"""How often a study finds an effect of a known size: by simulated studies, through the analysis that reports real ones.

With an effect of zero it is the rate of false positives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import attrs
import pandas as pd

from mashkit.errors import UsageError
from mashkit.listen.analysis import TESTS, Finding, findings
from mashkit.listen.data import Answered
from mashkit.listen.records import OVERALL, PREFERRED, TOP
from mashkit.listen.simulate import Effect, World, simulate
from mashkit.listen.study import Study
from mashkit.listen.table import kept, long_table
from mashkit.statistics import Interval

ALPHA = 0.05


@attrs.frozen
class Rate:
    """How often a test was significant in simulated studies.

    Parameters
    ----------
    test : str
        A key of :data:`mashkit.listen.analysis.TESTS`.
    found, of : int
        Significant comparisons, and all comparisons. Of "post-hoc", studies with a significant pair, and all studies.
    studies : int
    without : int
        How many of ``of`` had no p-value, because their data were too few. They count as not found.

    Examples
    --------
    >>> from mashkit.listen.power import Rate
    >>> Rate("friedman", 30, 40, 40).share
    0.75
    """

    test: str
    found: int
    of: int
    studies: int
    without: int = 0

    @property
    def share(self) -> float:
        """From 0 to 1."""
        return self.found / self.of

    @property
    def interval(self) -> Interval:
        """The 95 % interval of the share, after Wilson (1927).

        It takes each study, not each comparison, as an observation, because the comparisons of a study share their
        reference and their raters. So it is rather too wide than too narrow.
        """
        from scipy import stats

        rounded = round(self.share * self.studies)
        ends = stats.binomtest(rounded, self.studies).proportion_ci(method="wilson")
        return Interval(float(ends.low), float(ends.high))


def planted(study: Study, points: float, reference: str) -> dict[Effect, float]:
    """Return the effects of a reference that is so many rating points better than all others, and than its bottom."""
    grouped = any(one.group for one in study.samples)
    return {(reference, TOP if grouped else "", ""): points}


def studies(
    made: Callable[[int], Study],
    world: World,
    count: int,
    *,
    seed: int = 0,
    raters: int | None = None,
    reference: str | None = None,
) -> Iterator[Answered]:
    """Yield simulated studies, each of a design, mashups and raters of its own.

    Parameters
    ----------
    made : callable
        Returns the design of a number, so that a frozen study can be used again and again.
    world : World
    count : int
    seed : int
    raters, reference
        As of :func:`mashkit.listen.simulate.simulate`.
    """
    for number in range(count):
        yield simulate(made(seed + number), world, raters=raters, seed=seed + number, reference=reference)


def rates(
    made: Iterator[Answered],
    *,
    reported: bool = False,
    counts: Callable[[Answered, Finding], bool] = lambda data, one: True,
) -> list[Rate]:
    """Return for each test how many of its comparisons of overall ratings were significant at :data:`ALPHA`.

    For "post-hoc", which compares many pairs, a study counts once: if any pair is significant.

    Parameters
    ----------
    made : iterator of Answered
    reported : bool
        Whether to judge as the report does: the paper's own tests by p-values as they are, ours by p-values that are
        corrected over all questions. Else no test is corrected, but the pairs of "post-hoc" are, for their number.
    counts : callable
        Whether a finding of a study counts.

    Raises
    ------
    UsageError
        If the rules leave out all raters of all studies.
    """
    found: dict[str, list[int]] = {}
    number = empty = 0
    for data in made:
        number += 1
        table = long_table(data)
        if not len(kept(table)):
            empty += 1
            continue
        any_pair: list[float | None] = []
        for one, p in _judged(data, table, reported=reported):
            if not counts(data, one):
                continue
            if one.test == "post-hoc":
                any_pair.append(p)
            else:
                _count(found, one.test, p)
        if any_pair:
            _count(found, "post-hoc", min((p for p in any_pair if p is not None), default=None))
    if number and number == empty:
        raise UsageError("no answer is left in any simulated study", "give more raters, or pages for each rater")
    rated = []
    for test in (one for one in TESTS if one in found):
        significant, tried, without = found[test]
        # A study whose raters are all left out has as many comparisons as the others, and no result.
        lost = round(tried * empty / (number - empty))
        rated.append(Rate(test, significant, tried + lost, number, without + lost))
    return rated


def _judged(data: Answered, table: pd.DataFrame, *, reported: bool) -> Iterator[tuple[Finding, float | None]]:
    """Yield the findings on overall ratings, or on preferences, each with the p-value by which it is judged."""
    if reported:
        # All questions, because the report corrects over all.
        every = findings(data, table, effects=False)
        yield from ((one, one.p_reported) for one in every if one.question in (OVERALL, PREFERRED))
        return
    every = findings(data, table, questions=(OVERALL,), effects=False)
    # Of one question alone, the correction over the whole table is that over its pairs.
    yield from ((one, one.p_holm if one.test == "post-hoc" else one.p) for one in every)


def _count(found: dict[str, list[int]], test: str, p: float | None) -> None:
    """Add one result to the numbers of significant ones, of all, and of those without a p-value."""
    numbers = found.setdefault(test, [0, 0, 0])
    numbers[0] += p is not None and p < ALPHA
    numbers[1] += 1
    numbers[2] += p is None


def power(
    made: Callable[[int], Study],
    points: Sequence[float],
    *,
    world: World,
    count: int = 200,
    seed: int = 0,
    raters: int | None = None,
    reference: str | None = None,
) -> dict[float, list[Rate]]:
    """Return, for each effect, how often each test finds it, judged as in the report: comparisons of the reference.

    Parameters
    ----------
    made : callable
        As of :func:`studies`.
    points : sequence of float
        How much better the reference is than every other system, rating points of question "overall".
    world : World
        Its effects are replaced.
    count : int
        Studies for each effect.
    seed, raters
        As of :func:`studies`.
    reference : str, optional
        The system that is better, and that the others are compared with; by default the first system of the study.

    Raises
    ------
    UsageError
        If there is no study to simulate, or it has no such reference.
    """
    if count < 1:
        raise UsageError(f"{count} simulated studies", "give one or more")
    first = made(seed)
    best = Answered(study=first, answers=()).compared_with(reference).reference
    return {
        effect: rates(
            studies(
                made, attrs.evolve(world, effects=planted(first, effect, best)), count, seed=seed, raters=raters,
                reference=best,
            ),
            reported=True,
            counts=lambda data, one: best in (one.one, one.other) or one.test == "friedman",
        )
        for effect in points
    }  # fmt: skip
