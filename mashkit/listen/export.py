"""Export a listening test: the long table as CSV, a codebook, the exclusions, and all records as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from mashkit.atomicfile import write_text
from mashkit.listen.data import KEYS, Answered, write_data
from mashkit.listen.table import CODEBOOK
from mashkit.pages.exports import csv_text
from mashkit.products import Keys, require_replaceable_text

ANSWERS, CODES, EXCLUSIONS, RECORDS = "answers.csv", "codebook.csv", "exclusions.csv", "records.json"
STUDY_COLUMNS = {
    "study": "hash of the frozen study: SHA-256 of its protocol, rules, texts, pages and sounds",
    "simulated": "1 if a program made the answer up, 0 if a person gave it",
}
"""Columns that every row of every table begins with."""


def write_export(data: Answered, table: pd.DataFrame, folder: Path) -> list[Path]:
    """Write the four files and return their paths.

    Parameters
    ----------
    data : Answered
    table : DataFrame
        Its long table; the rows that are left out stay, and their column "excluded" says why.
    folder : Path

    Raises
    ------
    OutputError
        If a file cannot be written, or one of these names is a file that mashkit did not write.
    """
    first = (data.study.hash, int(data.simulated))
    # pandas reads an empty cell as NaN, and whole numbers beside it become fractions: both are undone.
    values = table.astype({"heard": "Int64"}).astype(object).where(table.notna(), "")
    rows = (row[1:] for row in values.itertuples())
    rules = ((rater, rule, reason) for rater, broken in data.exclusions.items() for rule, reason in broken.items())
    made = {
        ANSWERS: _csv(list(CODEBOOK), rows, first),
        CODES: _csv(["column", "meaning"], {**STUDY_COLUMNS, **CODEBOOK}.items(), first),
        EXCLUSIONS: _csv(["rater", "rule", "reason"], rules, first),
    }
    for name in made:
        require_replaceable_text(folder / name, ",".join(STUDY_COLUMNS))
    require_replaceable_text(folder / RECORDS, Keys(KEYS))
    for name, text in made.items():
        write_text(folder / name, text)
    write_data(data, folder / RECORDS)
    return [folder / name for name in (*made, RECORDS)]


def _csv(head: Sequence[str], rows: Iterable[Sequence[object]], first: Sequence[object]) -> str:
    return csv_text([*STUDY_COLUMNS, *head], ([*first, *row] for row in rows))
