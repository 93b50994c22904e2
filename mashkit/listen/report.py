"""The report of a listening test: one self-contained page, the figure as SVG, and the tables for LaTeX."""

from __future__ import annotations

from pathlib import Path

from mashkit.atomicfile import write_text
from mashkit.listen.analysis import Results
from mashkit.listen.data import Answered
from mashkit.listen.figures import SIMULATED, figure4
from mashkit.listen.tables import Table, details, tables
from mashkit.pages import filled, resource, text, text_rows
from mashkit.pages.exports import latex_table, one_line
from mashkit.products import OUR_PAGE, require_replaceable_text

PAGE, FIGURE, LATEX = "report.html", "figure4.svg", "tables.tex"
_BEGINNINGS = {
    PAGE: OUR_PAGE,
    FIGURE: '<svg xmlns="http://www.w3.org/2000/svg" [^>]* aria-label="Mean opinion scores',
    LATEX: "% .*; study [0-9a-f]{64}",
}
"""File → regular expression by which an earlier report is recognized."""
WHOSE = {"paper": "the paper's", "ours": "ours"}


def require_replaceable_report(folder: Path) -> None:
    """Raise OutputError if a file that mashkit did not write has the name of one of the report's files."""
    for name, beginning in _BEGINNINGS.items():
        require_replaceable_text(folder / name, beginning)


def write_report(data: Answered, results: Results, folder: Path) -> list[Path]:
    """Write ``report.html``, ``tables.tex`` and, if there are ratings, ``figure4.svg``; return their paths.

    Raises
    ------
    OutputError
        If a file cannot be written, or one of these names is a file that mashkit did not write.
    """
    require_replaceable_report(folder)
    made = {PAGE: page(data, results), LATEX: latex(data, results)}
    if results.scores:
        made[FIGURE] = figure4(results.scores, simulated=data.simulated) + "\n"
    for name, content in made.items():
        write_text(folder / name, content)
    return [folder / name for name in made]


def page(data: Answered, results: Results) -> str:
    """Return the report as an HTML document that requests nothing."""
    study, facts = data.study, results.subjects
    figure = ""
    if results.scores:
        drawn = figure4(results.scores, simulated=data.simulated)
        figure = f"<section><h2>Figure 4</h2><figure>{drawn}</figure></section>"
    rows = [(rater, rule, reason) for rater, broken in data.exclusions.items() for rule, reason in broken.items()]
    left_out = Table(name="exclusions", title="Raters left out", whose="ours", head=("rater", "rule", "reason"),
                     rows=rows, caption="The rules were frozen with the study, before the first rating.")  # fmt: skip
    return filled(
        "mashkit.listen",
        "report_page.html",
        title=text(study.title or "Listening test"),
        mark=f'<p class="simulated" role="note">{SIMULATED}</p>' if data.simulated else "",
        marked=" (simulated)" if data.simulated else "",
        style=resource("mashkit.pages", "base.css"),
        facts=text(
            f"Task {study.task}; {facts['raters']} of {facts['raters_asked']} raters, {facts['page_ratings']} page "
            f"ratings; compared with {data.reference}; study {study.hash}."
        ),
        figure=figure,
        tables="".join(_html(table) for table in tables(data, results)),
        exclusions=_html(left_out) if rows else "<section><h2>Raters left out</h2><p>None.</p></section>",
        details=_html(details(results)),
    )


def _html(table: Table) -> str:
    head = "".join(f'<th scope="col">{text(cell)}</th>' for cell in table.head)
    body = "".join(text_rows(table.rows))
    return (
        f'<section><h2>{text(table.title)} <span class="{table.whose}">{WHOSE[table.whose]}</span></h2>'
        f'<div class="wide" tabindex="0"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
        f'<p class="caption">{text(table.caption)}</p></section>'
    )


def latex(data: Answered, results: Results) -> str:
    """Return all tables for LaTeX; they need package booktabs only."""
    mark = f" {SIMULATED}." if data.simulated else ""
    parts = [f"% {one_line(data.study.title)}; study {data.study.hash}.{mark}"]
    for table in tables(data, results):
        caption = f"{table.title} ({WHOSE[table.whose]}).{mark} {table.caption}"
        # Reports of several studies may stand in one document.
        label = f"{data.study.task}-{data.study.hash[:6]}:{table.name}"
        parts.append(latex_table(table.head, table.rows, caption=caption, label=label))
    return "\n\n".join(parts) + "\n"
