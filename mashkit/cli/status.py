"""Define the exit statuses of `mashkit` and their meanings, in this place only. The import is fast, as the parser's.

The help of every command prints :data:`EPILOG`; the README has the same words about statuses.
"""

from __future__ import annotations

from collections.abc import Mapping

DONE = 0
FAILED = 1
WRONG_USAGE = 2
PARTLY = 3
NOT_IN_ORDER = 4
"""A command that checks (`bench compare`, `db verify`, `doctor`) found a problem. The command did its work, so this is
not FAILED: a script can distinguish "the result is worse" from "the comparison was not possible"."""
INTERRUPTED = 130
"""The status that shells report for a program ended by Ctrl-C: 128 plus the signal's number."""

MEANINGS: Mapping[int, str] = {
    DONE: "done",
    FAILED: "failed, but what was finished before stays",
    WRONG_USAGE: "wrong usage, or what it needs is not there",
    PARTLY: "part of the work failed and is listed, the rest was done",
    NOT_IN_ORDER: "checked, and something is not in order",
    INTERRUPTED: "interrupted",
}
STATUSES = f"exit status: {'; '.join(f'{status} {meaning}' for status, meaning in MEANINGS.items())}"
EPILOG = f"{STATUSES}. What `mashkit config` has set comes before the defaults named here."
