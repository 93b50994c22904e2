"""Print a command's results: data as JSON or as a table on standard output, messages on standard error."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from mashkit.cli.status import DONE, FAILED, PARTLY

_GAP = 2
"""Spaces between two cells of a table."""


def status_of(results: Sequence[object], failures: Sequence[object]) -> int:
    """Return the exit status of a command with these results and failures."""
    if not failures:
        return DONE
    return PARTLY if results else FAILED


def print_json(data: Any) -> None:
    """Print data as JSON, which is only ASCII where standard output is not UTF-8."""
    import codecs
    import json

    from mashkit.atomicfile import as_json

    text = as_json(data)
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    print(text if codecs.lookup(encoding).name == "utf-8" else json.dumps(json.loads(text), indent=2))


def give(data: Any, arguments: argparse.Namespace) -> bool:
    """Write data to --output and print them with --json, where these were given; return whether they were printed."""
    from mashkit.atomicfile import write_json

    if arguments.output is not None:
        write_json(arguments.output, data)
    return printed(data, arguments)


def printed(data: Any, arguments: argparse.Namespace) -> bool:
    """Print data as JSON if --json was given; return whether they were printed."""
    if arguments.json:
        print_json(data)
    return bool(arguments.json)


def print_table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows under headings, each row on lines of its own where the terminal is too narrow for a table.

    No cell is cut and no word broken, because it may be an id or a part of a command to type.
    """
    import rich.console
    import rich.markup
    import rich.table

    from mashkit.paths import printable

    cells = [[printable(str(cell)) for cell in row] for row in rows]
    # A pipe has no width, and a program that reads it expects one line per row.
    console = rich.console.Console(width=None if sys.stdout.isatty() else sys.maxsize)
    widths = _widths([headings, *cells], console.width)
    if widths is None:
        for row in cells:
            print("\n    ".join(_record(headings, row, max(console.width - 4, 1))))
        return
    columns = [rich.table.Column(heading, width=width) for heading, width in zip(headings, widths, strict=True)]
    table = rich.table.Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in cells:
        table.add_row(*map(rich.markup.escape, row))
    console.print(table, highlight=False)


def _widths(rows: Sequence[Sequence[str]], width: int) -> list[int] | None:
    """Return a width for each column, in which every word is whole; None if the columns together are too wide."""
    from rich.cells import cell_len

    columns = list(zip(*rows, strict=True))
    room = width - _GAP * (len(columns) - 1)
    least = [max(cell_len(word) for cell in column for word in cell.split() or [""]) for column in columns]
    most = [max(map(cell_len, column)) for column in columns]
    if sum(most) <= room:
        return most
    # The widest columns are narrowed first, so that the short ones stay on one line.
    for limit in range(max(most), 0, -1):
        widths = [max(low, min(high, limit)) for low, high in zip(least, most, strict=True)]
        if sum(widths) <= room:
            return widths
    return None


def _record(headings: Sequence[str], row: Sequence[str], width: int) -> list[str]:
    """Return the lines of a row: its first cell, then the others with their headings, and none for an empty cell."""
    import textwrap

    first, *others = row
    parts = [
        first,
        *(f"{name}: {cell}" if name else cell for name, cell in zip(headings[1:], others, strict=True) if cell),
    ]
    lines = [""]
    for part in parts:
        joined = f"{lines[-1]}{' ' * _GAP}{part}" if lines[-1] else part
        if len(joined) <= width:
            lines[-1] = joined
        else:
            lines += textwrap.wrap(part, width, break_long_words=False, break_on_hyphens=False)
    return lines if lines[0] else lines[1:]


def say(text: str) -> None:
    """Print a message to standard error."""
    from mashkit.paths import printable

    print(printable(text, keep="\n\t"), file=sys.stderr)
