"""What a command prints: data as JSON or as a table on standard output, what it tells on standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any

from mashkit.cli.status import DONE, FAILED, PARTLY


def status_of(results: Sequence[object], failures: Sequence[object]) -> int:
    """Return the exit status of a command that has so many results and failures."""
    if not failures:
        return DONE
    return PARTLY if results else FAILED


def print_json(data: Any) -> None:
    """Print data as JSON."""
    from mashkit.atomicfile import as_json

    print(as_json(data))


def print_table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows under headings."""
    import rich.console
    import rich.markup
    import rich.table

    from mashkit.paths import printable

    table = rich.table.Table(*headings, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(rich.markup.escape(printable(str(cell))) for cell in row))
    # A pipe has no width, and a program that reads it takes a line for a row.
    console = rich.console.Console(width=None if sys.stdout.isatty() else 240)
    console.print(table, highlight=False)


def say(text: str) -> None:
    """Tell the user something on standard error."""
    from mashkit.paths import printable

    print(printable(text, keep="\n\t"), file=sys.stderr)
