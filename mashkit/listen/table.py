"""A listening test as a long table, one row a rating, and the table of its clips, one row each.

Tables are pandas data frames (extra ``mashkit[listen]``).
"""

from __future__ import annotations

import attrs
import pandas as pd

from mashkit.listen.data import ORIGINAL, StudyData
from mashkit.listen.exclusions import NOT_A_RESULT, REPEAT, RESULTS, Exclusion, exclusions
from mashkit.listen.records import HEARD, PREFERRED, QUESTIONS

CODEBOOK = {
    "rater": "pseudonym of the rater",
    "page": "id of the page",
    "kind": "kind of the page: training, headphones, level, rating or preference",
    "order": "place of the page in the rater's sequence, from 0",
    "seconds": "time from the page's first display to its submission, s; 0 if it was not logged",
    "heard": "1 if the rater has heard the vocal melody before, 0 if not; empty if not asked",
    "sample": "id of the sample",
    "place": "place of the sample on the page, from 0",
    "system": 'scorer that chose the sample; "original" or "unmatched"',
    "group": '"top" or "bottom" of the system\'s ranking; for an original, of the mashup beside it; empty if none',
    "rank": "place in the system's ranking, from 1; 0 for an original or a control",
    "vocal": "id of the vocal's clip",
    "song": "the vocal's song",
    "beside": "system of the other sample on the page",
    "question": "harmony, rhythm, timbre, innovation or overall (1 awful to 5 excellent), or preferred (1 or 0)",
    "value": "the answer",
    "excluded": "rule by which the answer is left out; empty if it is kept",
}
"""The columns of the long table and what they mean."""


@attrs.frozen
class LongTable:
    """The long table, and the exclusions that it marks."""

    rows: pd.DataFrame
    exclusions: list[Exclusion]

    @property
    def kept(self) -> pd.DataFrame:
        """The rows that are results."""
        return self.rows[self.rows["excluded"] == ""]


def long_table(study: StudyData) -> LongTable:
    """Return one row for each answer about a sample; the study's rules mark what is left out.

    Returns
    -------
    LongTable
        Rows with the columns of :data:`CODEBOOK`, in the order of the answers.
    """
    samples = {one.id: one for one in study.samples}
    pages = {one.id: one for one in study.pages}
    heard = {(one.rater, one.page): one.value for one in study.answers if one.question == HEARD}
    found = exclusions(study.pages, study.answers, study.rules)
    marks: dict[tuple[str, str], str] = {}
    for one in found:
        marks.setdefault((one.rater, one.page), one.rule)
    rows = []
    for answer in study.answers:
        if answer.sample not in samples:
            continue
        page, sample = pages[answer.page], samples[answer.sample]
        if page.kind not in RESULTS:
            mark = NOT_A_RESULT
        elif page.repeats:
            mark = REPEAT
        else:
            mark = marks.get((answer.rater, "")) or marks.get((answer.rater, answer.page), "")
        beside = next((samples[name] for name in page.samples if name != sample.id), None)
        group = sample.group or (beside.group if sample.system == ORIGINAL and beside is not None else "")
        rows.append(
            (
                answer.rater, page.id, str(page.kind), answer.order, answer.seconds,
                heard.get((answer.rater, answer.page)), sample.id, page.samples.index(sample.id), sample.system, group,
                sample.rank, sample.vocal, sample.song, "" if beside is None else beside.system, answer.question,
                answer.value, mark,
            )
        )  # fmt: skip
    return LongTable(pd.DataFrame(rows, columns=list(CODEBOOK)), found)


def ratings(table: LongTable) -> pd.DataFrame:
    """Return one row for each rater and sample of a page, with a column for each question that was rated."""
    rows = table.kept
    rows = rows[rows["question"].isin(QUESTIONS)]
    keys = ["rater", "page", "sample", "system", "group", "vocal", "song"]
    # An ordered pivot is quicker than pivot_table, and no key is missing.
    wide = rows.set_index([*keys, "question"])["value"].unstack("question")
    return wide.reindex(columns=[name for name in QUESTIONS if name in wide]).astype(float).reset_index()


def clips(rated: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each clip: the median of its raters for each question, as in the paper.

    An original is a clip of its own in each group, because each page asks for it anew.
    """
    questions = [name for name in QUESTIONS if name in rated]
    keys = ["system", "group", "sample", "vocal", "song"]
    grouped = rated.groupby(keys, sort=False)[questions]
    return grouped.median().reset_index()


def comparisons(table: LongTable) -> pd.DataFrame:
    """Return one row for each page and rater of a preference test: who won.

    Returns
    -------
    DataFrame
        Columns rater, page, song, one, other (systems), won: 1 if the one is preferred, 0 if the other, 0.5 in a tie.
    """
    rows = table.kept
    rows = rows[rows["question"] == PREFERRED]
    found = []
    for (rater, page), pair in rows.groupby(["rater", "page"], sort=False):
        if len(pair) == 2:  # a page whose second answer is missing says nothing
            (one, other), (first, second) = pair["system"], pair["value"]
            found.append((rater, page, pair["song"].iloc[0], one, other, (1 + first - second) / 2))
    return pd.DataFrame(found, columns=["rater", "page", "song", "one", "other", "won"])
