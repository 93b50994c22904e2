"""A listening test as a long table, one row a rating, and the table of its clips, one row each.

Tables are pandas data frames (extra ``mashkit[listen]``).
"""

from __future__ import annotations

import pandas as pd

from mashkit.listen.data import Answered
from mashkit.listen.records import HEARD, PREFERRED, QUESTIONS
from mashkit.listen.study import ORIGINAL

NOT_A_RESULT, REPEAT, CONTROL = "not a result", "repeat", "control"
"""Marks of answers that are no results: of training pages and checks; of the second showing of a page, which checks the
rater; of pages with a negative control and its original, which check the rater too."""

CODEBOOK = {
    "rater": "pseudonym of the rater",
    "page": "id of the page",
    "kind": "kind of the page: training, headphones, level, rating or preference",
    "order": "place of the page in the rater's sequence, from 0",
    "seconds": "time from the page's first display to its submission, s; 0 if it was not logged",
    "heard": "1 if the rater has heard the vocal melody before, 0 if not; empty if not asked",
    "sample": "id of the sample",
    "place": "place of the sample on the page as the rater saw it, 0 or 1; -1 if not known",
    "system": 'scorer that chose the sample; "original" or "unmatched"',
    "group": '"top" or "bottom" of the system\'s ranking; for an original, of the mashup beside it; empty if none',
    "rank": "place in the system's ranking, from 1; 0 for an original or a control",
    "vocal": "id of the vocal's clip",
    "song": "the vocal's song",
    "beside": "system of the other sample on the page",
    "question": "harmony, rhythm, timbre, innovation or overall (1 awful to 5 excellent), or preferred (1 or 0)",
    "value": "the answer",
    "excluded": "not a result, repeat, control, or the rule that left out the rater; empty if it is a result",
}
"""The columns of the long table and what they mean."""


def long_table(data: Answered) -> pd.DataFrame:
    """Return one row for each answer about a sample, with the columns of :data:`CODEBOOK`.

    Column "excluded" says which rows are no results, and why; :func:`kept` leaves them out.
    """
    study = data.study
    results, controls = ({page.id for page in pages} for pages in (study.results, study.negatives))
    heard = {(one.rater, one.page): one.value for one in data.answers if one.question == HEARD}
    rules = {rater: next(iter(broken)) for rater, broken in data.exclusions.items() if broken}
    rows = []
    for answer in data.answers:
        sample = study.sample.get(answer.sample)
        if sample is None:
            continue
        page = study.page[answer.page]
        if page.id in results:
            mark = rules.get(answer.rater, "")
        elif page.repeats:
            mark = REPEAT
        else:
            mark = CONTROL if page.id in controls else NOT_A_RESULT
        beside = next((study.sample[name] for name in page.samples if name != sample.id), None)
        group = sample.group or (beside.group if sample.system == ORIGINAL and beside is not None else "")
        rows.append(
            (
                answer.rater, page.id, str(page.kind), answer.order, answer.seconds,
                heard.get((answer.rater, answer.page)), sample.id, answer.position, sample.system, group, sample.rank,
                sample.vocal, sample.song, "" if beside is None else beside.system, answer.question, answer.value, mark,
            )
        )  # fmt: skip
    return pd.DataFrame(rows, columns=list(CODEBOOK))


def kept(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that are results."""
    return table[table["excluded"] == ""]


def ratings(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each rater and sample of a page, with a column for each question that was rated."""
    rows = kept(table)
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


def comparisons(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each page and rater of a preference test: who won.

    Returns
    -------
    DataFrame
        Columns rater, page, song, one, other (systems), won: 1 if the one is preferred, 0 if the other, 0.5 in a tie.
    """
    rows = kept(table)
    rows = rows[rows["question"] == PREFERRED]
    pairs: dict[tuple[str, str], list[tuple[str, str, int]]] = {}
    # Not by groupby: its many small tables would take most of the time of a simulated study.
    columns = (rows[name].tolist() for name in ("rater", "page", "song", "system", "value"))
    for rater, page, song, system, value in zip(*columns, strict=True):
        pairs.setdefault((rater, page), []).append((song, system, value))
    found = [
        (*key, song, one, other, (1 + first - second) / 2)
        for key, pair in pairs.items()
        if len(pair) == 2  # a page whose second answer is missing says nothing
        for (song, one, first), (_, other, second) in [pair]
    ]
    return pd.DataFrame(found, columns=["rater", "page", "song", "one", "other", "won"])
