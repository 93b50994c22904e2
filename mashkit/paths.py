"""Convert paths to text that can be printed, stored and read back, also if a file's name is not valid text.

On Linux a name is bytes, not text: Python represents bytes that are not UTF-8 as lone surrogates, which cannot be
encoded, and a name may contain line feeds and commands to a terminal. All code uses :func:`path_text` to convert a path
to text, for people, JSON and the database, and :func:`path_of` to convert it back.
"""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path

_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, line and paragraph separators, characters that change the direction of text, and surrogates."""
_SURROGATES = re.compile("[\ud800-\udfff]")
_ESCAPE = re.compile(r"\\(x[0-9a-f]{2}|u[0-9a-f]{4})")


def printable(text: str, *, keep: str = "") -> str:
    r"""Return text without surrogates and control characters, which are written as in Python, ``\x1b``.

    The result can be encoded, and contains no commands to a terminal.

    Parameters
    ----------
    text : str
    keep : str
        Control characters that stay as they are.
    """
    return _UNPRINTABLE.sub(lambda found: found[0] if found[0] in keep else _escaped(ord(found[0])), text)


def encodable(text: str, *, escape: str = "\\") -> str:
    """Return text in which surrogates, which UTF-8 cannot encode, are written as by :func:`printable`."""
    return _SURROGATES.sub(lambda found: escape + _escaped(ord(found[0]))[1:], text)


def _escaped(code: int) -> str:
    if 0xDC80 <= code <= 0xDCFF:  # os.fsdecode returns these for bytes that are not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}"


def path_text(path: Path | str) -> str:
    r"""Return a path as text without control characters: ``caf\xe9.wav`` for a name whose last letter is Latin-1.

    Ordinary names stay as they are. Bytes that are not UTF-8 and control characters are written as in Python
    (``\xe9``, ``\x0a``, ``\u202e``); in such a name, and in a name that contains text of this form, a backslash is
    written as ``\x5c``.

    Parameters
    ----------
    path : Path or str

    Returns
    -------
    str
        Text from which :func:`path_of` returns the same path.
    """
    text = os.fspath(path)
    shown = printable(text)
    if shown == text and not _ESCAPE.search(text):
        return text
    return "\\x5c".join(map(printable, text.split("\\")))


def is_file(path: Path | str) -> bool:
    """Return whether a path is a file; False for a path that cannot be examined.

    Path.is_file raises an OSError for a name that is too long, and in a folder that may not be entered. So would one
    such path end the work on all others. The same holds for :func:`is_folder` and :func:`exists`.
    """
    return os.path.isfile(path)  # noqa: PTH113


def is_folder(path: Path | str) -> bool:
    """Return whether a path is a folder; False for a path that cannot be examined (see :func:`is_file`)."""
    return os.path.isdir(path)  # noqa: PTH112


def exists(path: Path | str) -> bool:
    """Return whether there is a file or folder; False for a path that cannot be examined (see :func:`is_file`)."""
    return os.path.exists(path)  # noqa: PTH110


def folded(text: str) -> str:
    """Return text for comparisons in which the case of letters, and the form in which accents are stored, do not count.

    macOS stores an accent as a character of its own, other systems as part of its letter.
    """
    return unicodedata.normalize("NFC", text.casefold())


def absolute(path: Path | str) -> Path:
    """Return the absolute path, with its links. It is what is stored, because a later run may begin in another folder.

    Path.absolute is not used, because it keeps ".." and the folders before it.
    """
    return Path(os.path.abspath(path))  # noqa: PTH100


def without_links(path: Path) -> Path:
    """Return a path after following its links; a circle of links is followed as far as possible.

    Path.resolve is not used, because up to Python 3.12 it raises a RuntimeError for such a link.
    """
    return Path(os.path.realpath(path))


def path_of(text: str) -> Path:
    """Return the path that :func:`path_text` wrote."""
    return Path(_ESCAPE.sub(_unescaped, text))


def _unescaped(found: re.Match[str]) -> str:
    code = int(found[1][1:], 16)
    return chr(0xDC00 + code if found[1][0] == "x" and code >= 0x80 else code)
