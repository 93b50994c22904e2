"""Mean opinion scores: the median of each clip's raters, then the mean over clips, as in the paper's Figure 4."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np
import pandas as pd

from mashkit.listen.records import HIGHEST, LOWEST, QUESTIONS
from mashkit.listen.study import GROUPS, ORIGINAL, UNMATCHED
from mashkit.statistics import Interval, interval, ratio, value_of


@attrs.frozen
class Score:
    """The mean opinion score of a system.

    Parameters
    ----------
    system, group, question : str
    mean : float
        1 to 5.
    interval : Interval, optional
        Bootstrap over songs; None with fewer than two songs.
    clips : int
        Number of clips.
    """

    system: str
    group: str
    question: str
    mean: float
    interval: Interval | None
    clips: int


def opinion_scores(table: pd.DataFrame, systems: Sequence[str]) -> list[Score]:
    """Return the scores of each system, group and question of a table of clips; the original first, the control last.

    Parameters
    ----------
    table : DataFrame
        From :func:`mashkit.listen.table.clips`.
    systems : sequence of str
        The order of the others.
    """
    found = []
    groups = dict(list(table.groupby(["system", "group"], sort=False)))
    order = [ORIGINAL, *systems, UNMATCHED]
    for system, group in sorted(groups, key=lambda key: (order.index(key[0]), GROUPS.index(key[1]))):
        rows = groups[system, group]
        _, songs = np.unique(rows["song"], return_inverse=True)
        for question in (name for name in QUESTIONS if name in rows):
            values = rows[question].to_numpy()
            there = np.isfinite(values)
            if not there.any():
                continue
            _, numbers = np.unique(songs[there], return_inverse=True)
            of_songs = np.bincount(numbers, weights=values[there]), np.bincount(numbers)
            statistic = ratio(*of_songs, within=(LOWEST, HIGHEST))
            mean = value_of(statistic)
            found.append(Score(system, group, question, mean, interval(statistic), int(there.sum())))
    return found
