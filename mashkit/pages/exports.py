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


def one_line(text: str) -> str:
    """Return text without line breaks, so that it cannot leave a comment."""
    return re.sub(r"[^\S\N{NO-BREAK SPACE}]+", " ", text)


def latex_text(text: str) -> str:
    """Return text on one line that LaTeX sets as it is."""
    return "".join(_LATEX.get(sign, sign) for sign in one_line(text))


def latex_table(head: Sequence[str], rows: Iterable[Sequence[str]], *, caption: str, label: str) -> str:
    """Return a table for LaTeX with package booktabs; all arguments but the label are plain text."""
    lines = [
        r"\begin{table}", r"\centering", rf"\begin{{tabular}}{{l{'c' * (len(head) - 1)}}}", r"\toprule",
        *(_row(row) + (r" \midrule" if index == 0 else "") for index, row in enumerate([head, *rows])),
        r"\bottomrule", r"\end{tabular}", rf"\caption{{{latex_text(caption)}}}", rf"\label{{tab:{label}}}",
        r"\end{table}",
    ]  # fmt: skip
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return " & ".join(latex_text(cell) for cell in cells) + r" \\"


def csv_text(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table as CSV."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([safe(cell) for cell in row] for row in rows)
    return written.getvalue()


def safe(cell: object) -> object:
    """Return a cell that no spreadsheet takes for a formula: text that begins like one gets an apostrophe before it.

    After OWASP, "CSV Injection": = + - @, tab and carriage return begin formulas. Numbers stay as they are.
    """
    if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{cell}"
    return cell
