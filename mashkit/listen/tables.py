"""The tables of a report, as text cells, from which the page and the LaTeX file are made."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import attrs

from mashkit import pages
from mashkit.listen.analysis import TESTS, Finding, Results
from mashkit.listen.comparisons import Estimate
from mashkit.listen.data import Answered
from mashkit.listen.records import OVERALL, PREFERRED, QUESTIONS
from mashkit.statistics import Interval

LEVELS = (0.001, 0.01, 0.05)
"""The paper's levels of significance."""
NOT_SIGNIFICANT, NO_BREAK = "\N{MULTIPLICATION SIGN}", "\N{NO-BREAK SPACE}"
UNKNOWN = pages.NONE
ORDER = (OVERALL, "harmony", "rhythm", "timbre", "innovation")
"""The paper's order of columns: O, H, R, T, I."""
PAPER_TABLE_2 = (
    ("raters", "28", "12"),
    ("seconds_per_page", "95 s", "108 s"),
    ("never_heard", "68 %", "75 %"),
    ("cronbach_questions", "0.79", "0.73"),
)
"""Rows of the paper's Table 2: name in ``Results.subjects``, generation, retrieval."""

_TOO_FEW = "Where there is no p, fewer than two raters rated both, or all that they rated is one song."
MISSING = {
    "groups-clustered": _TOO_FEW,
    "systems-clustered": _TOO_FEW,
    "systems-signed-rank": "Where there is no p, no vocal has ratings of both systems.",
    "friedman": "Where there is no p, fewer than three systems or two vocals have all their ratings.",
    "post-hoc": "Where there is no p, fewer than three systems or two vocals have all their ratings, or every vocal "
    "has the same order, so that nothing says how far chance would move it.",
    "bradley-terry": "Where there is no p, no comparisons link the two systems, or there are fewer than two raters or "
    "two songs.",
}
"""Why a test of ours gives no p-value."""


@attrs.frozen(kw_only=True)
class Table:
    """A table of text cells.

    Parameters
    ----------
    name : str
        Short and without spaces: a label in LaTeX.
    title : str
    whose : {"paper", "ours"}
        Whether the paper has this table, or we add it.
    caption : str
    head : sequence of str
    rows : sequence of sequence of str
        The first cell of each names the row.
    """

    name: str
    title: str
    whose: Literal["paper", "ours"]
    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


def tables(data: Answered, results: Results) -> list[Table]:
    """Return all tables of a report, the paper's before those that we add."""
    found = [_subjects(data, results)]
    if results.scores:
        found += [_agreement(results), _scores(results)]
    for test, about in TESTS.items():
        rows = [one for one in results.findings if one.test == test]
        if rows:
            found.append(_levels(test, rows) if about.whose == "paper" else _estimates(test, rows))
    return sorted(found, key=lambda table: table.whose != "paper")


# ------------------------------------------------------------------------------------------------- cells
def number(value: float, digits: int = 2) -> str:
    """Return a number as text, with a minus sign; a dash for NaN."""
    return pages.number(None if math.isnan(value) else float(value), digits)


def probability(p: float | None) -> str:
    """Return a p-value as text, three digits after the point."""
    if p is None:
        return UNKNOWN
    return "<0.001" if p < 0.0005 else f"{p:.3f}"


def level(p: float | None) -> str:
    """Return the paper's cell of a p-value: the smallest level that it is below, or a cross."""
    if p is None:
        return UNKNOWN
    return next((f"{limit:g}"[1:] for limit in LEVELS if p < limit), NOT_SIGNIFICANT)


def ends(interval: Interval | None) -> str:
    """Return an interval as text; empty if there is none."""
    return "" if interval is None else f" [{number(interval.low)}, {number(interval.high)}]"


def _estimate(found: Estimate | None) -> str:
    return UNKNOWN if found is None else number(found.value) + ends(found.interval)


# ------------------------------------------------------------------------------------------------ tables
def _subjects(data: Answered, results: Results) -> Table:
    facts = results.subjects
    cells: dict[str, tuple[str, str]] = {
        "raters": ("Number of subjects", f"{facts['raters']} of {facts['raters_asked']}"),
        "seconds_per_page": ("Time spent per page", f"{number(facts['seconds_per_page'], 0)} s"),
        "never_heard": ('Report vocal "never heard"', f"{number(100 * facts['never_heard'], 0)} %"),
        "cronbach_questions": ("Cronbach's alpha", number(facts.get("cronbach_questions", math.nan))),
    }
    rows = [(*cells[name], generation, retrieval) for name, generation, retrieval in PAPER_TABLE_2]
    rows.append(("Page ratings", str(facts["page_ratings"]), UNKNOWN, UNKNOWN))
    return Table(
        name="subjects",
        title="Statistics of subjects (Table 2)",
        whose="paper",
        caption="Subjects are those whose answers are kept, of all who answered. Cronbach's alpha has the five "
        "questions as items and each rating of a sample as a case; the paper does not say what its items are.",
        head=("", "this study", "paper, generation", "paper, retrieval"),
        rows=rows,
    )


def _agreement(results: Results) -> Table:
    measures = {
        "cronbach_raters": "Cronbach's alpha, a page's raters as items",
        "krippendorff_ordinal": "Krippendorff's alpha, ordinal",
        "krippendorff_interval": "Krippendorff's alpha, interval",
    }
    asked = [name for name in ORDER if name in results.subjects["cronbach_raters"]]
    of = results.subjects["cronbach_raters_of"][asked[0]]
    return Table(
        name="agreement",
        title="Agreement of raters",
        whose="ours",
        caption="1 is perfect agreement; 0 is what chance gives. Cronbach's alpha is of the "
        f"{of['samples']} samples with {of['raters']} raters or more, {of['raters']} of each.",
        head=("", *asked),
        rows=[(said, *(number(results.subjects[name][one]) for one in asked)) for name, said in measures.items()],
    )


def _scores(results: Results) -> Table:
    known = {(one.system, one.group, one.question): one for one in results.scores}
    asked = [name for name in ORDER if any(one.question == name for one in results.scores)]
    rows = []
    for system, group in dict.fromkeys((one.system, one.group) for one in results.scores):
        cells = [known.get((system, group, question)) for question in asked]
        texts = [UNKNOWN if cell is None else number(cell.mean) + ends(cell.interval) for cell in cells]
        rows.append((f"{system} {group}".strip(), *texts))
    return Table(
        name="mos",
        title="Mean opinion scores (Figure 4)",
        whose="paper",
        caption="Median of the raters of each clip, then the mean over clips. The intervals are ours: 95 %, bootstrap "
        "over songs.",
        head=("", *asked),
        rows=rows,
    )


def _levels(test: str, found: Sequence[Finding]) -> Table:
    said = f"Levels of significance as in the paper, not corrected for many tests; {NOT_SIGNIFICANT}: none."
    return _grid(test, found, lambda one: level(one.p), said)


def _estimates(test: str, found: Sequence[Finding]) -> Table:
    def cell(one: Finding) -> str:
        shown = one.difference or one.effect
        p = "" if one.p_holm is None else f"p = {probability(one.p_holm)}".replace("= <", "< ").replace(" ", NO_BREAK)
        return ", ".join(filter(None, [_estimate(shown) if shown else "", p])) or UNKNOWN

    what = ""
    if any(one.difference is not None for one in found):
        unit = "log odds" if test == "bradley-terry" else "rating points"
        what = f"Difference in {unit} with its 95 % interval. "
    elif any(one.effect is not None for one in found):
        what = "Share of vocals where the first is better less the share where it is worse, with its 95 % interval. "
    said = what + "p is corrected by Holm over all comparisons of this table."
    if any(one.penalised for one in found):
        said += (
            " Some systems always won or always lost, so that no finite log odds fit the answers best: all are "
            "estimated with Firth's penalty (Biometrika 80, 1993), which keeps them finite; their p and intervals "
            "are of the penalised likelihood ratio."
        )
    if any(one.difference and one.difference.interval is None and one.p is not None for one in found):
        said += (
            " Where there is a p and no interval, each rater alone, and each song alone, gives the same difference, so "
            "that nothing says how far chance would move it; p is that of the sign test of the raters or of the songs, "
            "whichever are fewer."
        )
    if any(one.p_holm is None for one in found):
        said += f" {MISSING[test]}"
    return _grid(test, found, cell, said)


def _grid(test: str, found: Sequence[Finding], cell: Callable[[Finding], str], said: str) -> Table:
    about = TESTS[test]
    asked = [name for name in (*ORDER, PREFERRED) if any(one.question == name for one in found)]
    known = {(one.one, one.other, one.question): one for one in found}
    rows = []
    for one, other in dict.fromkeys((finding.one, finding.other) for finding in found):
        cells = [known.get((one, other, question)) for question in asked]
        rows.append(
            (f"{one} \N{MINUS SIGN} {other}" if other else one, *(cell(this) if this else UNKNOWN for this in cells))
        )
    return Table(
        name=test, title=about.title, whose=about.whose, caption=f"{about.said} {said}", head=("", *asked), rows=rows
    )


def details(results: Results) -> Table:
    """Return one row for each finding, with all that is known of it."""
    order = {name: place for place, name in enumerate((*QUESTIONS, PREFERRED))}
    rows = [
        (
            TESTS[one.test].title, one.question, one.one, one.other, f"{one.count[0]}, {one.count[1]}",
            probability(one.p), probability(one.p_holm), _estimate(one.difference), _estimate(one.effect),
        )
        for one in sorted(results.findings, key=lambda one: (list(TESTS).index(one.test), order[one.question]))
    ]  # fmt: skip
    return Table(
        name="details",
        title="All comparisons",
        whose="ours",
        caption="Cliff's delta is from \N{MINUS SIGN}1 to 1; both intervals are 95 %.",
        head=("test", "question", "one", "other", "n", "p", "p (Holm)", "difference", "Cliff's delta"),
        rows=rows,
    )
