"""Print a command's results: data as JSON or as a table on standard output, messages on standard error."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from mashkit.cli.status import DONE, FAILED, PARTLY


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
    """Print rows under headings."""
    import rich.console
    import rich.markup
    import rich.table

    from mashkit.paths import printable

    table = rich.table.Table(*headings, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(rich.markup.escape(printable(str(cell))) for cell in row))
    # A pipe has no width, and a program that reads it expects one line per row, so nothing is cut or wrapped.
    console = rich.console.Console(width=None if sys.stdout.isatty() else sys.maxsize)
    console.print(table, highlight=False)


def say(text: str) -> None:
    """Print a message to standard error."""
    from mashkit.paths import printable

    print(printable(text, keep="\n\t"), file=sys.stderr)
