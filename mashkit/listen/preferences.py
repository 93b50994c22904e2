"""Strengths of systems from pairwise preferences, after Bradley and Terry."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from mashkit.errors import UsageError
from mashkit.listen.comparisons import Estimate, clustered, variance_of
from mashkit.statistics import LEVEL, Interval, Values

STEPS = 200
"""Largest number of steps of the fit; ten are enough wherever systems win and lose."""
PRECISION = 1e-10
"""Largest last step, in units of strength."""
LONGEST_STEP = 2.0
"""Longest step, in units of strength, so that the fit cannot jump to where no strength changes a chance any more."""
FARTHEST = 60.0
"""Units of strength from an estimate within which the ends of its interval are searched."""


@attrs.frozen
class Strengths:
    """Strengths of systems above that of a reference.

    Parameters
    ----------
    of : mapping of str to Estimate
        Every other system that comparisons link with the reference, directly or through others.
    penalised : bool
        Whether Firth's penalty was needed, because no finite strengths fit the answers best.

    Examples
    --------
    >>> from mashkit.listen.preferences import bradley_terry
    >>> found = bradley_terry(["a"] * 4, ["b"] * 4, [1, 1, 1, 1], [1, 2, 1, 2], [1, 1, 2, 2], reference="b")
    >>> found.penalised, round(found.of["a"].value, 3)  # 4 wins, 0 losses: log(4.5 / 0.5)
    (True, 2.197)
    """

    of: Mapping[str, Estimate]
    penalised: bool


def bradley_terry(
    one: Sequence[str],
    other: Sequence[str],
    won: npt.ArrayLike,
    raters: Sequence[Any],
    songs: Sequence[Any],
    *,
    reference: str,
) -> Strengths:
    """Return each system's strength above the reference's: P(a beats b) = 1 / (1 + exp(strength b − strength a)).

    After Bradley and Terry, "Rank analysis of incomplete block designs", Biometrika 39, 1952; maximum likelihood; a tie
    counts as half a win of each. Intervals and tests let answers of one rater, and of one song, be alike
    (:func:`mashkit.listen.comparisons.clustered`).

    If the systems fall into two parts of which one never won against the other, the likelihood has no maximum (Ford,
    "Solution of a ranking problem from binary comparisons", American Mathematical Monthly 64(8), 1957). The strengths
    then are those of Firth, "Bias reduction of maximum likelihood estimates", Biometrika 80(1), 1993, which are always
    finite. Tests and intervals then are of the penalised likelihood ratio (Heinze and Schemper, "A solution to the
    problem of separation in logistic regression", Statistics in Medicine 21(16), 2002). The ratio is divided by how
    much clusters raise the variance, if they do, and compared with t, squared, of :func:`clustered` (ours).

    Parameters
    ----------
    one, other : sequence of str
        The systems of each comparison.
    won : array_like of float
        1 if the one won, 0 if the other, 0.5 in a tie; shape (comparisons,).
    raters, songs : sequence
        Of each comparison.
    reference : str
        Its strength is 0.

    Returns
    -------
    Strengths
        In the order of first appearance.

    Raises
    ------
    UsageError
        If the reference is in no comparison.

    Examples
    --------
    >>> from mashkit.listen.preferences import bradley_terry
    >>> found = bradley_terry(["a"] * 4, ["b"] * 4, [1, 1, 1, 0], [1, 2, 1, 2], [1, 1, 2, 2], reference="b")
    >>> found.penalised, round(found.of["a"].value, 3)  # 3 wins, 1 loss: log(3 / 1)
    (False, 1.099)
    """
    names = list(dict.fromkeys([*one, *other]))
    if reference not in names:
        raise UsageError(f"no comparison has the reference {reference!r}", f"use one of {', '.join(names)}")
    outcome = np.asarray(won, np.float64)
    first, second = (np.array([names.index(name) for name in side]) for side in (one, other))
    linked = _parts(first, second, np.ones(len(outcome)), len(names), "weak")
    there = linked[first] == linked[names.index(reference)]
    outcome, first, second = outcome[there], first[there], second[there]
    beaten = _parts(
        np.concatenate([first, second]), np.concatenate([second, first]), np.concatenate([outcome, 1 - outcome]),
        len(names), "strong",
    )  # fmt: skip
    penalised = bool((beaten[first] != beaten[second]).any())
    rows = np.arange(len(outcome))
    design = np.zeros((len(outcome), len(names)))
    design[rows, first] += 1.0
    design[rows, second] -= 1.0
    here = linked == linked[names.index(reference)]
    free = [index for index, name in enumerate(names) if name != reference and here[index]]
    if not free:
        return Strengths({}, False)  # the reference was only compared with itself
    design = design[:, free]
    of_rater, of_song = ([name for name, kept in zip(of, there, strict=True) if kept] for of in (raters, songs))
    fit = _Fit(design, outcome, penalised)
    strengths = fit.maximum()
    chance, covariance = fit.at(strengths)
    influence = (design * (outcome - chance)[:, None]) @ covariance
    found = {}
    for place, index in enumerate(free):
        if penalised:
            found[names[index]] = _by_ratio(fit, strengths, place, variance_of(influence[:, place], of_rater, of_song))
        else:
            found[names[index]] = clustered(influence[:, place], float(strengths[place]), of_rater, of_song)
    return Strengths(found, penalised)


@attrs.frozen
class _Fit:
    """The likelihood of strengths, with Firth's penalty or without."""

    design: Values
    outcome: Values
    penalised: bool

    def at(self, strengths: Values) -> tuple[Values, Values]:
        """Return the chance that the first wins each comparison, and the inverse of the Fisher information."""
        chance = 1 / (1 + np.exp(-self.design @ strengths))
        return chance, np.asarray(np.linalg.inv(self._information(chance)), np.float64)

    def _information(self, chance: Values) -> Values:
        found: Values = (self.design * (chance * (1 - chance))[:, None]).T @ self.design
        return found

    def value(self, strengths: Values) -> float:
        """Return the logarithm of the penalised likelihood."""
        odds = self.design @ strengths
        likelihood = float((self.outcome * odds - np.logaddexp(0, odds)).sum())
        return likelihood + 0.5 * float(np.linalg.slogdet(self._information(1 / (1 + np.exp(-odds))))[1])

    def maximum(self, fixed: int | None = None, at: float = 0.0) -> Values:
        """Return the strengths at the maximum, by Fisher's scoring; the one that is fixed stays where it is."""
        strengths = np.zeros(self.design.shape[1])
        free = np.array([place for place in range(len(strengths)) if place != fixed], np.intp)
        if fixed is not None:
            strengths[fixed] = at
        for _ in range(STEPS if len(free) else 0):
            chance, covariance = self.at(strengths)
            weight = chance * (1 - chance)
            residual = self.outcome - chance
            if self.penalised:
                residual += weight * ((self.design @ covariance) * self.design).sum(axis=1) * (0.5 - chance)
            columns = self.design[:, free]
            step = np.linalg.solve((columns * weight[:, None]).T @ columns, columns.T @ residual)
            longest = float(np.abs(step).max())
            strengths[free] += step * min(1.0, LONGEST_STEP / max(longest, PRECISION))
            if longest < PRECISION:
                break
        return strengths


def _by_ratio(fit: _Fit, strengths: Values, place: int, clusters: tuple[float, int] | None) -> Estimate:
    """Return one strength with the interval and the test of the penalised likelihood ratio."""
    from scipy import optimize, stats

    value = float(strengths[place])
    if clusters is None:
        return Estimate(value, None, None)
    variance, degrees = clusters
    raised = max(1.0, variance / float(fit.at(strengths)[1][place, place]))
    top = fit.value(strengths)

    def reach(at: float) -> float:
        """Return how far a strength is from the estimate, in units of the error: the t of its test."""
        return math.sqrt(max(0.0, 2 * (top - fit.value(fit.maximum(place, at))) / raised))

    limit = float(stats.t.ppf((1 + LEVEL) / 2, degrees))
    ends = []
    for side in (-1, 1):
        far = 1.0
        while reach(value + side * far) < limit and far < FARTHEST:
            far *= 2
        inside = reach(value + side * far) < limit
        ends.append(
            side * math.inf if inside
            else float(optimize.brentq(lambda at: reach(at) - limit, value, value + side * far, xtol=1e-6))
        )  # fmt: skip
    return Estimate(value, Interval(*ends), 2 * float(stats.t.sf(reach(0.0), degrees)))


def _parts(
    start: npt.NDArray[np.int64], end: npt.NDArray[np.int64], weight: Values, systems: int, kind: str
) -> npt.NDArray[np.int32]:
    """Return for each system the number of the connected part that it is in."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = coo_array((weight, (start, end)), shape=(systems, systems)).tocsr()
    links.eliminate_zeros()
    _, parts = connected_components(links, directed=True, connection=kind)
    found: npt.NDArray[np.int32] = parts
    return found
