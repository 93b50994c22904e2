"""Paths as text that can be printed, stored and read back, whatever bytes a file is called by.

On Linux a name is bytes, not text: Python shows those that are no UTF-8 as lone surrogates, which no encoder takes, and
a name may hold line feeds and the commands of a terminal. :func:`path_text` is the one way a path becomes text, for
people, JSON and the database alike, and :func:`path_of` the way back.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, line and paragraph separators, what turns the direction of text round, and surrogates."""
_SURROGATES = re.compile("[\ud800-\udfff]")
_ESCAPE = re.compile(r"\\(x[0-9a-f]{2}|u[0-9a-f]{4})")


def printable(text: str, *, keep: str = "") -> str:
    r"""Return text that every encoder takes and no terminal obeys: the rest is written as in Python, ``\x1b``.

    Parameters
    ----------
    text : str
    keep : str
        Control characters to leave as they are.
    """
    return _UNPRINTABLE.sub(lambda found: found[0] if found[0] in keep else _escaped(ord(found[0])), text)


def encodable(text: str, *, escape: str = "\\") -> str:
    """Return text with nothing changed but what UTF-8 cannot hold, which is written as :func:`printable` does."""
    return _SURROGATES.sub(lambda found: escape + _escaped(ord(found[0]))[1:], text)


def _escaped(code: int) -> str:
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is no UTF-8, as os.fsdecode has it
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}"


def path_text(path: Path | str) -> str:
    r"""Return a path as text without control characters: ``caf\xe9.wav`` for a name whose last letter is Latin-1.

    Ordinary names stay as they are. Bytes that are no UTF-8 and control characters are written as in Python
    (``\xe9``, ``\x0a``, ``\u202e``); a backslash is ``\x5c`` where it could be taken for one of those.

    Parameters
    ----------
    path : Path or str

    Returns
    -------
    str
        What :func:`path_of` makes the same path of.
    """
    text = os.fspath(path)
    shown = printable(text)
    if shown == text and not _ESCAPE.search(text):
        return text
    return "\\x5c".join(map(printable, text.split("\\")))


def without_links(path: Path) -> Path:
    """Return a path with its links followed; one that leads round in circles as far as it goes.

    Path.resolve raises a RuntimeError of such a link up to Python 3.12.
    """
    return Path(os.path.realpath(path))


def path_of(text: str) -> Path:
    """Return the path that :func:`path_text` wrote."""
    return Path(_ESCAPE.sub(_unescaped, text))


def _unescaped(found: re.Match[str]) -> str:
    code = int(found[1][1:], 16)
    return chr(0xDC00 + code if found[1][0] == "x" and code >= 0x80 else code)
