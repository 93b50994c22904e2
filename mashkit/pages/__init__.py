"""The kit of all HTML pages that mashkit writes: safe text, tables, styles, and the document around them.

A page is one file, and its document forbids requests. Functions that return HTML take HTML for the content of cells
and items, which the caller makes with :func:`text` or :func:`name`; all other arguments are plain text.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Mapping
from importlib.resources import files
from string import Template
from typing import Any

MINUS = "\N{MINUS SIGN}"
NONE = "\N{EN DASH}"
"""Stands for a value that is missing."""


# -------------------------------------------------------------------------------------------------------------- text
def text(value: object) -> str:
    """Return text for HTML content and quoted attributes; bytes of a file name that are not UTF-8 become "?"."""
    return html.escape(str(value).encode("utf-8", "replace").decode("utf-8"))


def name(value: object) -> str:
    """Return a name for HTML content, isolated so that right-to-left text does not reorder the text around it."""
    return f"<bdi>{text(value)}</bdi>"


def number(value: float | None, digits: int = 0) -> str:
    """Return a number as people read it, and a dash for none."""
    # Adding zero removes the sign of a value that rounds to zero.
    return NONE if value is None else f"{round(value, digits) + 0.0:,.{digits}f}".replace("-", MINUS)


def score(value: float, form: str) -> str:
    """Return a score as people read it, in a format of :func:`mashkit.numbers.column_format`."""
    # A negative value that rounds to zero has no sign.
    return f"{value:z,{form}}".replace("-", MINUS)


def sentence(text: str) -> str:
    """Return text that ends as a sentence does, so that another can follow it.

    A full stop is added, unless the text ends with ".", "!", "?" or "…".

    Examples
    --------
    >>> sentence("Scorers on rendered songs"), sentence("Which scorer is best?")
    ('Scorers on rendered songs.', 'Which scorer is best?')
    """
    text = text.rstrip()
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."


def clock(seconds: float) -> str:
    """Return a time as minutes and seconds: 75.3 is "1:15.3"."""
    minutes, tenths = divmod(round(seconds * 10), 600)  # rounded first, because 59.97 is "1:00.0"
    return f"{minutes}:{tenths / 10:04.1f}"


def script_json(data: Any) -> str:
    """Return JSON that cannot end the script element that contains it."""
    return json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


# ------------------------------------------------------------------------------------------------------------- parts
def pairs(values: Mapping[str, Any]) -> str:
    """Return names and values, those that are known."""
    known = [(key, value) for key, value in values.items() if key and value is not None]
    return " ".join(
        f'<span class="pair"><span class="what">{text(key)}</span> {text(value)}</span>' for key, value in known
    )


def items(content: Iterable[str]) -> str:
    """Return a list."""
    return f"<ul>{''.join(f'<li>{one}</li>' for one in content)}</ul>"


def section(key: str, heading: str, *content: str) -> str:
    """Return a section under its heading; ``key`` is the heading's id."""
    return f'<section aria-labelledby="{key}">\n<h2 id="{key}">{text(heading)}</h2>\n{"".join(content)}\n</section>'


def cell(content: str, kind: str = "") -> str:
    """Return a cell of a table; ``kind`` is its class."""
    return f"<td{_class(kind)}>{content}</td>"


def row(first: str, *cells: str) -> str:
    """Return a row of a table: its heading, and cells."""
    return f'<tr><th scope="row">{first}</th>{"".join(cells)}</tr>'


def table(heads: Iterable[str], rows: Iterable[str], *, said: int | None = None, caption: str = "") -> str:
    """Return a table that can be scrolled sideways; empty if it has no rows.

    Parameters
    ----------
    heads : iterable of str
        Headings of the columns, as text.
    rows : iterable of str
        Results of :func:`row`.
    said : int, optional
        Number of first columns whose headings are aligned as text; default: all.
    caption : str
    """
    body = "".join(rows)
    if not body:
        return ""
    titles = list(heads)
    kinds = ["said" if said is None or column < said else "" for column in range(len(titles))]
    head = "".join(f'<th scope="col"{_class(kind)}>{text(one)}</th>' for one, kind in zip(titles, kinds, strict=True))
    named = f"<caption>{text(caption)}</caption>" if caption else ""
    return f'<div class="wide"><table>{named}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def text_rows(rows: Iterable[Iterable[object]]) -> list[str]:
    """Return rows of a table that consist of plain text; the first cell of each is its heading."""
    return [row(first, *map(cell, cells)) for first, *cells in (map(text, one) for one in rows)]


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""


# ---------------------------------------------------------------------------------------------------------- document
def resource(package: str, file: str) -> str:
    """Return the text of a file that lies in a package."""
    return files(package).joinpath(file).read_text(encoding="utf-8").strip()


def filled(package: str, file: str, **parts: str) -> str:
    """Return a file of a package in which each ``$name`` is replaced by the part of that name."""
    return Template(resource(package, file)).substitute(parts)


def document(title: str, *, top: str, main: str, styles: Iterable[str], scripts: str = "", sources: str = "") -> str:
    """Return a whole page.

    Parameters
    ----------
    title : str
    top, main : str
        HTML below the title, and of the body.
    styles : iterable of str
        Style sheets that follow the kit's ``base.css``.
    scripts : str
        HTML after the body.
    sources : str
        What the page may load besides styles, as directives of a Content-Security-Policy: "media-src data:".
    """
    allowed = "; ".join(filter(None, ("default-src 'none'", sources, "style-src 'unsafe-inline'")))
    return filled(
        __name__,
        "document.html",
        title=text(title),
        policy=allowed + ("; script-src 'unsafe-inline'" if scripts else ""),
        style="\n".join([resource(__name__, "base.css"), *styles]),
        top=top,
        main=main,
        scripts=scripts,
    )


def sheet() -> str:
    """Return the style of pages that consist of tables of numbers and of charts."""
    return resource(__name__, "sheet.css")
