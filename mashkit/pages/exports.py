"""Tables for other programs: text that LaTeX sets as it is, and cells that no spreadsheet takes for formulas."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence

_LATEX = {
    **{sign: rf"\{sign}" for sign in "&%$#_{}"},
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": "$<$", ">": "$>$",
    "\N{MULTIPLICATION SIGN}": r"$\times$", "\N{MINUS SIGN}": "$-$", "\N{EN DASH}": "--", "\N{NO-BREAK SPACE}": "~",
    "\N{GREEK SMALL LETTER RHO}": r"$\rho$",
}  # fmt: skip

_PAGE_PT = 345
"""Width of the text in LaTeX's class article, points."""
_SIGN_PT = 3.9
"""Mean width of a sign in ``\\footnotesize``, points (ours: of tables that mashkit wrote)."""


def one_line(text: str) -> str:
    """Return text without line breaks, so that it cannot leave a comment."""
    return re.sub(r"[^\S\N{NO-BREAK SPACE}]+", " ", text)


def latex_text(text: str) -> str:
    """Return text on one line that LaTeX sets as it is."""
    return "".join(_LATEX.get(sign, sign) for sign in one_line(text))


def latex_table(head: Sequence[str], rows: Iterable[Sequence[str]], *, caption: str, label: str, keys: int = 1) -> str:
    """Return a table for LaTeX with package booktabs; all texts are plain.

    A table that is wider than a page becomes several.

    Parameters
    ----------
    head : sequence of str
    rows : iterable of sequence of str
    caption : str
    label : str
        Whatever in it is no letter of English, digit, colon, full stop or hyphen becomes a hyphen, because LaTeX takes
        some signs for commands.
    keys : int
        How many of the first columns say what a row is about. Each table has all of them, because its rows could not be
        told apart otherwise.
    """
    label = re.sub(r"[^A-Za-z0-9:.-]+", "-", label)
    table = [head, *rows]
    parts = _parts(table, keys)
    made = []
    for number, columns in enumerate(parts, 1):
        of = "" if len(parts) == 1 else f" (Part {number} of {len(parts)}.)"
        lines = [_row([*row[:keys], *(row[column] for column in columns)]) for row in table]
        made += [
            r"\begin{table}", r"\centering\footnotesize\setlength{\tabcolsep}{4pt}",
            rf"\begin{{tabular}}{{{'l' * keys}{'c' * len(columns)}}}", r"\toprule", lines[0] + r" \midrule", *lines[1:],
            r"\bottomrule", r"\end{tabular}", rf"\caption{{{latex_text(caption + of)}}}",
            rf"\label{{tab:{label}{'' if number == 1 else f'-{number}'}}}", r"\end{table}",
        ]  # fmt: skip
    return "\n".join(made)


def _parts(table: Sequence[Sequence[str]], keys: int) -> list[range]:
    """Return which columns after the keys go into each table so that none is wider than a page, about equally many."""
    widths = [8 + _SIGN_PT * max(len(row[column]) for row in table) for column in range(len(table[0]))]
    columns = range(keys, len(widths))
    for count in range(1, len(columns) + 1):
        each = -(-len(columns) // count)
        parts = [columns[first : first + each] for first in range(0, len(columns), each)]
        if all(sum(widths[:keys]) + sum(widths[column] for column in part) <= _PAGE_PT for part in parts):
            return parts
    return [range(column, column + 1) for column in columns] or [range(0)]


def _row(cells: Sequence[str]) -> str:
    return " & ".join(latex_text(cell) for cell in cells) + r" \\"


def csv_text(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table as CSV."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow([safe(cell) for cell in head])
    writer.writerows([safe(cell) for cell in row] for row in rows)
    return written.getvalue()


def safe(cell: object) -> object:
    """Return a cell that no spreadsheet takes for a formula: text that begins like one gets an apostrophe before it.

    After OWASP, "CSV Injection": = + - @, tab and carriage return begin formulas. Numbers stay as they are.
    """
    if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{cell}"
    return cell
