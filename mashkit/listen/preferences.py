"""Strengths of systems from pairwise preferences, after Bradley and Terry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from mashkit.errors import UsageError
from mashkit.listen.comparisons import Estimate, clustered

Values: TypeAlias = npt.NDArray[np.float64]

STEPS = 100
"""Largest number of Newton steps; ten are enough wherever the strengths exist."""
PRECISION = 1e-10
"""Largest last step, in units of strength."""


def bradley_terry(
    one: Sequence[str],
    other: Sequence[str],
    won: npt.ArrayLike,
    raters: Sequence[Any],
    songs: Sequence[Any],
    *,
    reference: str,
) -> dict[str, Estimate] | None:
    """Return each system's strength above the reference's: P(a beats b) = 1 / (1 + exp(strength b − strength a)).

    After Bradley and Terry, "Rank analysis of incomplete block designs", Biometrika 39, 1952; maximum likelihood; a tie
    counts as half a win of each. Intervals and tests let answers of one rater, and of one song, be alike
    (:func:`mashkit.listen.comparisons.clustered`).

    Parameters
    ----------
    one, other : sequence of str
        The systems of each comparison.
    won : array_like
        1 if the one won, 0 if the other, 0.5 in a tie.
    raters, songs : sequence
        Of each comparison.
    reference : str
        Its strength is 0.

    Returns
    -------
    dict of str to Estimate, or None
        Every other system, in the order of first appearance. None if no finite strengths fit the answers: if the
        systems fall into two parts of which one never won against the other (Ford, "Solution of a ranking problem from
        binary comparisons", American Mathematical Monthly 64(8), 1957).

    Raises
    ------
    UsageError
        If the reference is in no comparison.
    """
    names = list(dict.fromkeys([*one, *other]))
    if reference not in names:
        raise UsageError(f"no comparison has the reference {reference!r}", f"use one of {', '.join(names)}")
    outcome = np.asarray(won, np.float64)
    first, second = (np.array([names.index(name) for name in side]) for side in (one, other))
    if not _connected(first, second, outcome, len(names)):
        return None
    rows = np.arange(len(outcome))
    design = np.zeros((len(outcome), len(names)))
    design[rows, first] += 1.0
    design[rows, second] -= 1.0
    free = [index for index, name in enumerate(names) if name != reference]
    design = design[:, free]
    strengths = np.zeros(len(free))
    for _ in range(STEPS):
        chance = 1 / (1 + np.exp(-design @ strengths))
        information = (design * (chance * (1 - chance))[:, None]).T @ design
        step = np.linalg.solve(information, design.T @ (outcome - chance))
        strengths += step
        if np.abs(step).max() < PRECISION:
            break
    chance = 1 / (1 + np.exp(-design @ strengths))
    information = (design * (chance * (1 - chance))[:, None]).T @ design
    influence = (design * (outcome - chance)[:, None]) @ np.linalg.inv(information)
    return {
        names[index]: clustered(influence[:, place], float(strengths[place]), raters, songs)
        for place, index in enumerate(free)
    }


def _connected(first: npt.NDArray[np.int64], second: npt.NDArray[np.int64], won: Values, systems: int) -> bool:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    beaten = coo_array(
        (np.concatenate([won, 1 - won]), (np.concatenate([first, second]), np.concatenate([second, first]))),
        shape=(systems, systems),
    ).tocsr()
    beaten.eliminate_zeros()
    parts, _ = connected_components(beaten, directed=True, connection="strong")
    return bool(parts == 1)
