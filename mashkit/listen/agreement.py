"""How far raters, or questions, agree: Cronbach's alpha (the paper's) and Krippendorff's alpha (ours)."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import numpy.typing as npt

from mashkit.statistics import Values


def cronbach(scores: npt.ArrayLike) -> float:
    """Return Cronbach's alpha: k/(k−1) · (1 − Σ variances of the items / variance of their sum).

    After Cronbach, "Coefficient alpha and the internal structure of tests", Psychometrika 16(3), 1951.

    Parameters
    ----------
    scores : array_like
        Shape (cases, items); a case with a missing item (NaN) is left out.

    Returns
    -------
    float
        At most 1; NaN with fewer than two items or cases, or if all sums are equal.
    """
    values = np.asarray(scores, np.float64)
    values = values[np.isfinite(values).all(axis=1)]
    cases, items = values.shape
    if cases < 2 or items < 2:
        return math.nan
    whole = float(values.sum(axis=1).var(ddof=1))
    if whole == 0:
        return math.nan
    parts = float(values.var(axis=0, ddof=1).sum())
    return float(items / (items - 1) * (1 - parts / whole))


def by_rater_slot(groups: npt.ArrayLike, values: npt.ArrayLike) -> Values:
    """Return values as rows of groups.

    The raters of a page are other people than those of the next page, so a column stands for no person. This is the
    usual layout for Cronbach's alpha over raters who are drawn anew for each clip.

    Parameters
    ----------
    groups : array_like
        The group of each value, numbers or texts, shape (values,).
    values : array_like of float
        Shape (values,).

    Returns
    -------
    ndarray of float64
        Shape (groups, most values of one), NaN where a group has fewer. The groups are sorted, and the values of each
        are in the order in which they are given.
    """
    _, numbers = np.unique(np.asarray(groups), return_inverse=True)
    order = np.argsort(numbers, kind="stable")
    counts = np.bincount(numbers)
    slots = np.arange(len(numbers)) - np.repeat(np.cumsum(counts) - counts, counts)
    table = np.full((len(counts), int(counts.max(initial=0))), np.nan)
    table[numbers[order], slots] = np.asarray(values, np.float64)[order]
    return table


def full_slots(table: npt.ArrayLike) -> Values:
    """Return a table of :func:`by_rater_slot` without a missing value: some first columns, and the rows that have them.

    Cronbach's alpha needs the same number of raters for each group. With all columns, only the few groups with the
    most raters would be left, such as 2 of 200 samples with a fourth rater. So the number of columns, two or more, is
    the one that keeps the most values (ours). If all groups have the same number of raters, the whole table is kept.

    Parameters
    ----------
    table : array_like of float
        Shape (groups, raters), NaN where a value is missing.

    Returns
    -------
    ndarray of float64
        Shape (groups that are kept, columns that are kept); no group with fewer than two columns.
    """
    values = np.asarray(table, np.float64)
    full = np.logical_and.accumulate(np.isfinite(values), axis=1)
    left = full.sum(axis=0) * np.arange(1, values.shape[1] + 1)
    if len(left) < 2:
        return np.empty((0, len(left)))
    columns = int(np.flatnonzero(left[1:] == left[1:].max())[-1]) + 2
    found: Values = values[full[:, columns - 1], :columns]
    return found


def krippendorff(table: npt.ArrayLike, level: Literal["ordinal", "interval"] = "ordinal") -> float:
    """Return Krippendorff's alpha: 1 − observed / expected disagreement.

    After Krippendorff, "Computing Krippendorff's Alpha-Reliability", 2011, section C and the metrics of section D.

    Parameters
    ----------
    table : array_like
        Shape (units, raters), NaN where a rater did not judge a unit; units with fewer than two values are left out.
        The order of the values in a row has no effect.
    level : {"ordinal", "interval"}

    Returns
    -------
    float
        1 for perfect agreement, 0 for none beyond chance; NaN if no unit has two values or all values are equal.
    """
    values = np.asarray(table, np.float64)
    there = np.isfinite(values)
    several = there.sum(axis=1) >= 2
    values, there = values[several], there[several]
    if not len(values):
        return math.nan
    categories = np.unique(values[there])
    counts = np.stack([(values == category).sum(axis=1) for category in categories], axis=1).astype(np.float64)
    raters = counts.sum(axis=1)
    coincidences = np.einsum("uc,uk,u->ck", counts, counts, 1 / (raters - 1))
    coincidences -= np.diag((counts / (raters - 1)[:, None]).sum(axis=0))
    marginals = coincidences.sum(axis=1)
    if level == "interval":
        differences = np.subtract.outer(categories, categories) ** 2
    else:
        upto = np.cumsum(marginals) - marginals / 2
        differences = np.subtract.outer(upto, upto) ** 2
    expected = float((np.outer(marginals, marginals) * differences).sum() / (marginals.sum() - 1))
    if not expected > 0:
        return math.nan
    return 1 - float((coincidences * differences).sum()) / expected
