"""All results of a listening test: the paper's Tables 2 to 4 and Figure 4, and what a careful lab adds.

The report, the power analysis and the check of false positives all call :func:`findings`, so that all three use the
same tests.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import attrs
import numpy as np
import pandas as pd

from mashkit.errors import UsageError
from mashkit.listen.agreement import by_rater_slot, cronbach, full_slots, krippendorff
from mashkit.listen.comparisons import (
    Estimate,
    dominance,
    friedman,
    mann_whitney,
    mean_difference,
    paired_dominance,
    post_hoc,
    rank_sum,
)
from mashkit.listen.data import Answered
from mashkit.listen.mos import Score, opinion_scores
from mashkit.listen.preferences import bradley_terry
from mashkit.listen.records import BOTTOM, PREFERRED, QUESTIONS, TOP
from mashkit.listen.study import ORIGINAL
from mashkit.listen.table import clips, comparisons, kept, long_table, ratings
from mashkit.statistics import differences, holm, signed_rank


@attrs.frozen
class Procedure:
    """A test of the report.

    Parameters
    ----------
    title : str
    whose : {"paper", "ours"}
        The paper's own, or one that we add.
    said : str
        What it compares and what it takes into account, in one sentence.
    """

    title: str
    whose: Literal["paper", "ours"]
    said: str


TESTS: Mapping[str, Procedure] = {
    "groups-mann-whitney": Procedure(
        "Top against bottom, Mann-Whitney U", "paper",
        "The paper's Table 3: medians of the clips, each taken as independent of the others.",
    ),
    "groups-clustered": Procedure(
        "Top against bottom, difference of means", "ours",
        "Means within raters: a regression with an effect of each rater; variance clustered by raters and by songs.",
    ),
    "systems-mann-whitney": Procedure(
        "Reference against others, Mann-Whitney U", "paper",
        "The paper's Table 4, generation: medians of the top clips, each taken as independent of the others.",
    ),
    "systems-rank-sum": Procedure(
        "Reference against others, Wilcoxon rank-sum", "paper",
        "The paper's Table 4, retrieval: medians of the clips. It ignores that both systems answer the same vocals.",
    ),
    "systems-signed-rank": Procedure(
        "Reference against others, Wilcoxon signed-rank", "ours", "Medians of the clips, compared within each vocal.",
    ),
    "systems-clustered": Procedure(
        "Reference against others, difference of means", "ours",
        "Means within raters: a regression with an effect of each rater; variance clustered by raters and by songs.",
    ),
    "friedman": Procedure("All systems, Friedman", "ours", "Medians of the clips, ranked within each vocal."),
    "post-hoc": Procedure(
        "All pairs of systems, Conover after Friedman", "ours",
        "Ranks within each vocal.",
    ),
    "bradley-terry": Procedure(
        "Reference against others, Bradley-Terry", "ours",
        "Logarithm of the odds that the reference is preferred; variance clustered by raters and by songs.",
    ),
}  # fmt: skip


@attrs.frozen(kw_only=True)
class Finding:
    """The result of one test.

    Parameters
    ----------
    test : str
        A key of :data:`TESTS`.
    question : str
    one, other : str
        What is compared: the first better where ``difference`` is above 0.
    p : float, optional
        None where the data are too few.
    p_holm : float, optional
        Corrected by Holm over all comparisons of this test in the report, those of all questions.
    difference : Estimate, optional
        In rating points, or in log odds for preferences.
    effect : Estimate, optional
        Cliff's delta, −1 to 1.
    count : (int, int)
        Clips or vocals on both sides; of preferences, comparisons of the one with the other.
    penalised : bool
        Whether the difference is that of :class:`mashkit.listen.preferences.Strengths` with Firth's penalty.
    """

    test: str
    question: str
    one: str
    other: str
    p: float | None
    p_holm: float | None = None
    difference: Estimate | None = None
    effect: Estimate | None = None
    count: tuple[int, int] = (0, 0)
    penalised: bool = False

    @property
    def p_reported(self) -> float | None:
        """The p-value in the report: ``p`` for the paper's own tests, as in the paper, and ``p_holm`` for ours."""
        return self.p if TESTS[self.test].whose == "paper" else self.p_holm


@attrs.frozen(kw_only=True)
class Results:
    """All results of a study.

    Parameters
    ----------
    subjects : mapping
        The paper's Table 2 and what we add.
    scores : list of Score
        Figure 4.
    findings : list of Finding
    table : DataFrame
        The long table.
    """

    subjects: Mapping[str, Any]
    scores: list[Score]
    findings: list[Finding]
    table: pd.DataFrame


def analyse(data: Answered) -> Results:
    """Return all results of a study.

    Raises
    ------
    UsageError
        If no answer is left after the exclusions.
    """
    table = long_table(data)
    found = findings(data, table)
    rated = ratings(table)
    return Results(
        subjects=_subjects(data, table, rated),
        scores=opinion_scores(clips(rated), data.systems) if len(rated) else [],
        findings=found,
        table=table,
    )


def findings(
    data: Answered, table: pd.DataFrame, *, questions: Sequence[str] = QUESTIONS, effects: bool = True
) -> list[Finding]:
    """Return the results of all tests for the study's task.

    Parameters
    ----------
    data : Answered
    table : DataFrame
        Its long table.
    questions : sequence of str
        The aspects to test.
    effects : bool
        Whether to compute effect sizes, whose intervals are drawn and take most of the time.

    Raises
    ------
    UsageError
        If no answer is left after the exclusions.
    """
    if not len(kept(table)):
        raise UsageError(
            "no answer of the study is left",
            "wait for more raters, or look at the exclusions: `mashkit listen export` lists them",
        )
    reference = data.reference
    if data.task == "preference":
        return _corrected(_preferences(data, table))
    rated = ratings(table)
    asked = [name for name in questions if name in rated]
    view = _View(clips(rated), rated, asked, effects)
    others = [name for name in data.systems if name != reference]
    found: list[Finding] = []
    if data.task == "generation":
        for system in (ORIGINAL, *data.systems):
            found += view.unpaired("groups", (system, TOP), (system, BOTTOM), mann_whitney, "mann-whitney")
        for other in others:
            found += view.unpaired("systems", (reference, TOP), (other, TOP), mann_whitney, "mann-whitney")
        return _corrected(found)
    for other in others:
        found += view.unpaired("systems", (reference, ""), (other, ""), rank_sum, "rank-sum")
        found += view.paired(reference, other)
    found += view.all_systems(data.systems)
    return _corrected(found)


@attrs.define
class _View:
    """The clips and ratings of a study, as the tests need them."""

    clips: pd.DataFrame
    ratings: pd.DataFrame
    questions: list[str]
    effects: bool
    _clips: dict[Any, pd.DataFrame] = attrs.field(init=False)
    _rows: dict[Any, pd.DataFrame] = attrs.field(init=False)
    _blocks: dict[str, pd.DataFrame] = attrs.field(init=False)
    """Question → one row a vocal and one column a system."""

    def __attrs_post_init__(self) -> None:
        self._clips = dict(list(self.clips.groupby(["system", "group"], sort=False)))
        self._rows = dict(list(self.ratings.groupby(["system", "group"], sort=False)))
        means = self.clips.groupby(["vocal", "system"], sort=False)[self.questions].mean().unstack("system")
        self._blocks = {question: means[question] for question in self.questions}

    def unpaired(
        self, what: str, one: tuple[str, str], other: tuple[str, str], test: Any, name: str
    ) -> Iterator[Finding]:
        """Give the paper's test and the clustered one, for each question."""
        if one not in self._clips or other not in self._clips:
            return
        first, second = self._clips[one], self._clips[other]
        rows = pd.concat([self._rows[one], self._rows[other]])
        side = np.repeat([1, -1], [len(self._rows[one]), len(self._rows[other])])
        against = other[0] if what == "systems" else ""
        count = (len(first), len(second))
        for question in self.questions:
            effect = None
            if self.effects:
                effect = dominance(first[question], second[question], first["song"], second["song"])
            p = test(first[question], second[question])
            yield Finding(
                test=f"{what}-{name}", question=question, one=one[0], other=against, p=p, effect=effect, count=count
            )
            found = mean_difference(rows[question], side, rows["rater"], rows["song"])
            p = None if found is None else found.p
            yield Finding(
                test=f"{what}-clustered",
                question=question,
                one=one[0],
                other=against,
                p=p,
                difference=found,
                count=count,
            )

    def paired(self, one: str, other: str) -> Iterator[Finding]:
        """Give the signed-rank test within vocals, for each question."""
        for question, blocks in self._blocks.items():
            if one in blocks and other in blocks:
                both = blocks[[one, other]].dropna()
                gaps = differences(both[one], both[other])
                effect = paired_dominance(gaps) if self.effects else None
                p = signed_rank(gaps)
                yield Finding(test="systems-signed-rank", question=question, one=one, other=other, p=p, effect=effect,
                              count=(len(gaps), len(gaps)))  # fmt: skip

    def all_systems(self, systems: Sequence[str]) -> Iterator[Finding]:
        """Give Friedman's test and all pairs, for each question."""
        for question, blocks in self._blocks.items():
            there = [name for name in systems if name in blocks]
            values = blocks[there].dropna().to_numpy()
            count = (len(values), len(values))
            yield Finding(test="friedman", question=question, one="all", other="", p=friedman(values), count=count)
            pairs = post_hoc(values)
            for row, column in zip(*np.triu_indices(len(there), 1), strict=True):
                p = None if pairs is None or np.isnan(pairs[row, column]) else float(pairs[row, column])
                yield Finding(test="post-hoc", question=question, one=there[row], other=there[column], p=p, count=count)


def _preferences(data: Answered, table: pd.DataFrame) -> Iterator[Finding]:
    reference = data.reference
    rows = comparisons(table)
    sides = (rows["one"].tolist(), rows["other"].tolist())
    if reference not in (*sides[0], *sides[1]):
        return
    strengths = bradley_terry(*sides, rows["won"], rows["rater"], rows["song"], reference=reference)
    for other in data.systems:
        if other == reference:
            continue
        met = sum({one, two} == {reference, other} for one, two in zip(*sides, strict=True))
        above = None
        if other in strengths.of:
            found = strengths.of[other]
            ends = found.interval and attrs.evolve(found.interval, low=-found.interval.high, high=-found.interval.low)
            above = Estimate(-found.value, ends, found.p)
        yield Finding(test="bradley-terry", question=PREFERRED, one=reference, other=other, difference=above,
                      p=None if above is None else above.p, count=(met, met),
                      penalised=strengths.penalised)  # fmt: skip


def _corrected(found: Iterable[Finding]) -> list[Finding]:
    """Add Holm's correction over all comparisons of a test, of all questions."""
    rows = list(found)
    for test in dict.fromkeys(one.test for one in rows):
        places = [index for index, one in enumerate(rows) if one.test == test and one.p is not None]
        for index, p in zip(places, holm([rows[index].p or 0.0 for index in places]), strict=True):
            rows[index] = attrs.evolve(rows[index], p_holm=p)
    return rows


# -------------------------------------------------------------------------------------------------- the paper's Table 2
def _subjects(data: Answered, table: pd.DataFrame, rated: pd.DataFrame) -> dict[str, Any]:
    results = kept(table)
    pages = results.drop_duplicates(["rater", "page"])
    heard = pages["heard"].dropna()
    found: dict[str, Any] = {
        "raters": int(results["rater"].nunique()),
        "raters_asked": len({one.rater for one in data.answers}),
        "page_ratings": len(pages),
        "seconds_per_page": float(pages["seconds"].mean()) if len(pages) else math.nan,
        "never_heard": float(1 - heard.mean()) if len(heard) else math.nan,
    }
    if len(rated):
        asked = [name for name in QUESTIONS if name in rated]
        units = rated["page"] + "/" + rated["sample"]
        slots = {name: by_rater_slot(units, rated[name]) for name in asked}
        found["cronbach_questions"] = cronbach(rated[asked])
        full = {name: full_slots(slot) for name, slot in slots.items()}
        found["cronbach_raters"] = {name: cronbach(slot) for name, slot in full.items()}
        found["cronbach_raters_of"] = {
            name: dict(zip(("samples", "raters"), slot.shape, strict=True)) for name, slot in full.items()
        }
        found["krippendorff_ordinal"] = {name: krippendorff(slot) for name, slot in slots.items()}
        found["krippendorff_interval"] = {name: krippendorff(slot, "interval") for name, slot in slots.items()}
    return found
