"""Decide which components a licence policy allows, by the licences of their code and of their weights."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

PERMISSIVE = frozenset(
    {
        *(
            "0BSD",
            "Apache-2.0",
            "BSD-2-Clause",
            "BSD-3-Clause",
            "BSL-1.0",
            "ISC",
            "MIT",
            "PSF-2.0",
            "Unlicense",
            "Zlib",
        ),
        *("CC-BY-3.0", "CC-BY-4.0", "CC0-1.0"),
    }
)
"""SPDX identifiers of licences that allow any use, also in closed and in paid work, and need at most a credit (ours). A
licence that is not listed does not fit, so that a licence that has not been reviewed is refused."""
UNKNOWN = "unknown"
"""The licence of files about which nothing is known. Only the policy "any" allows it."""
POLICIES: Mapping[str, frozenset[str] | None] = {"any": None, "permissive": PERMISSIVE}
"""Policy → the licences it allows; None for all."""


def joined(licences: Iterable[str]) -> str:
    """Return one SPDX expression of the licences of several things that are used together; "none" without any.

    Examples
    --------
    >>> from mashkit.licences import joined
    >>> joined(["MIT", "none", "MIT", "CC-BY-4.0"]), joined(["none"])
    ('MIT AND CC-BY-4.0', 'none')
    """
    return " AND ".join(one for one in dict.fromkeys(licences) if one not in ("", "none")) or "none"


def fits(licence: str, policy: str) -> bool:
    """Return whether an SPDX expression allows a use under a policy.

    If licences are joined by AND, all must fit; if they are joined by OR, one must fit. "none", for no weights, fits.

    Parameters
    ----------
    licence : str
        As on a component's card: "ISC AND GPL-2.0-or-later". A text that is not an SPDX expression does not fit.
    policy : str
        A name in :data:`POLICIES`.
    """
    allowed = POLICIES[policy]
    if allowed is None or licence == "none":
        return True
    words = re.findall(r"[()]|[^\s()]+", licence)
    try:
        value, rest = _either(words, allowed)
    except IndexError:  # the expression is incomplete
        return False
    return value and not rest


def _either(words: list[str], allowed: frozenset[str]) -> tuple[bool, list[str]]:
    value, words = _both(words, allowed)
    while words and words[0].upper() == "OR":
        other, words = _both(words[1:], allowed)
        value = value or other
    return value, words


def _both(words: list[str], allowed: frozenset[str]) -> tuple[bool, list[str]]:
    value, words = _one(words, allowed)
    while words and words[0].upper() == "AND":
        other, words = _one(words[1:], allowed)
        value = value and other
    return value, words


def _one(words: list[str], allowed: frozenset[str]) -> tuple[bool, list[str]]:
    if words[0] == "(":
        value, rest = _either(words[1:], allowed)
        return value, rest[1:] if rest[0] == ")" else [*rest, "unclosed"]
    # SPDX identifiers are compared without regard to case (SPDX specification, annex on expressions).
    return words[0].lower() in {one.lower() for one in allowed}, words[1:]
