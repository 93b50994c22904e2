"""Exit statuses of `mashkit`: what each one means stands here and nowhere else. Light on import, as the parser is.

The help of every command prints :data:`EPILOG`; the README and benchmarks/README.md have the same words.
"""

from __future__ import annotations

from collections.abc import Mapping

DONE = 0
FAILED = 1
WRONG_USAGE = 2
PARTLY = 3
NOT_IN_ORDER = 4
"""A command that checks (`bench compare`, `db verify`, `doctor`) found what it looks for. It did its work, so this is
no failure: a script can tell "it got worse" from "it could not be compared"."""
INTERRUPTED = 130
"""What shells report of a program that Ctrl-C ended: 128 and the signal's number."""

MEANINGS: Mapping[int, str] = {
    DONE: "done",
    FAILED: "failed, nothing was made",
    WRONG_USAGE: "wrong usage, or what it needs is not there",
    PARTLY: "part of the work failed and is listed, the rest was done",
    NOT_IN_ORDER: "checked, and something is not in order",
    INTERRUPTED: "interrupted",
}
EPILOG = f"exit status: {'; '.join(f'{status} {meaning}' for status, meaning in MEANINGS.items())}"
