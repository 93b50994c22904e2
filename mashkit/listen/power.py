"""How often a study finds an effect of a known size: by simulated studies, through the analysis that reports real ones.

With an effect of zero it is the rate of false positives.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import attrs

from mashkit.bench.statistics import Interval
from mashkit.errors import UsageError
from mashkit.listen.analysis import TESTS, TOP, Finding, findings
from mashkit.listen.data import Answered
from mashkit.listen.simulate import World, simulate
from mashkit.listen.study import Study
from mashkit.listen.table import long_table

ALPHA = 0.05


@attrs.frozen
class Rate:
    """How many comparisons of a test were significant, of all in all studies."""

    test: str
    found: int
    of: int
    studies: int

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


def planted(study: Study, points: float, reference: str) -> dict[str, float]:
    """Return the effects of a reference that is so many rating points better than all others, and than its bottom."""
    grouped = any(one.group for one in study.samples)
    return {f"{reference}/{TOP}" if grouped else reference: points}


def studies(
    made: Callable[[int], Study], world: World, count: int, *, seed: int = 0, raters: int | None = None
) -> Iterator[Answered]:
    """Yield simulated studies, each of a design, mashups and raters of its own.

    Parameters
    ----------
    made : callable
        Returns the design of a number, so that a frozen study can be used again and again.
    world : World
    count : int
    seed : int
    raters : int, optional
        As of :func:`mashkit.listen.simulate.simulate`.
    """
    for number in range(count):
        yield simulate(made(seed + number), world, raters=raters, seed=seed + number)


def rates(
    made: Iterator[Answered],
    *,
    corrected: bool = False,
    counts: Callable[[Answered, Finding], bool] = lambda data, one: True,
) -> list[Rate]:
    """Return for each test how many of its comparisons of overall ratings were significant at :data:`ALPHA`.

    For "post-hoc", whose correction makes one test of all its pairs, a study counts once: if any pair is significant.

    Parameters
    ----------
    made : iterator of Answered
    corrected : bool
        Whether p-values are corrected by Holm.
    counts : callable
        Whether a finding of a study counts.
    """
    found: Counter[str] = Counter()
    tried: Counter[str] = Counter()
    number = 0
    for data in made:
        number += 1
        any_pair: dict[str, bool] = {}
        for one in findings(data, long_table(data), questions=("overall",), effects=False):
            p = one.p_holm if corrected else one.p
            if p is None or not counts(data, one):
                continue
            if one.test == "post-hoc":
                any_pair[one.test] = any_pair.get(one.test, False) or p < ALPHA
                continue
            tried[one.test] += 1
            found[one.test] += p < ALPHA
        tried.update(list(any_pair))
        found.update(test for test, significant in any_pair.items() if significant)
    return [Rate(test, found[test], tried[test], number) for test in TESTS if tried[test]]


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
    """Return, for each effect, how often each test finds it: comparisons of the reference, corrected by Holm.

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
        By default the first system of the study.

    Raises
    ------
    UsageError
        If there is no study to simulate.
    """
    if count < 1:
        raise UsageError(f"{count} simulated studies", "give one or more")
    first = made(seed)
    best = reference or Answered(study=first, answers=()).reference
    return {
        effect: rates(
            studies(made, attrs.evolve(world, effects=planted(first, effect, best)), count, seed=seed, raters=raters),
            corrected=True,
            counts=lambda data, one: best in (one.one, one.other) or one.test == "friedman",
        )
        for effect in points
    }
