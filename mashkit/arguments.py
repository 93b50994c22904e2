"""Check arguments of the public functions: read paths, and raise errors that contain the argument's name."""

from __future__ import annotations

import json
import math
import operator
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeGuard, TypeVar

import platformdirs

from mashkit.errors import UsageError
from mashkit.numbers import plain_number
from mashkit.paths import absolute, path_text

CACHE_VARIABLE = "MASHKIT_CACHE"
"""Environment variable: folder of computed stems and analyses; default is the platform's cache folder."""

T = TypeVar("T")


def named_path(text: str | Path) -> Path:
    """Return the path that a user gave in an option or environment variable: "~" at its beginning is the home folder.

    A shell replaces "~" in ``--cache ~/x``, but not in ``--cache=~/x``, in quotes, or in files of settings. "~name"
    stays as it is if no user has that name.
    """
    # Path.expanduser would raise an error if no user has the name, but a file may be called "~song.wav".
    return Path(os.path.expanduser(text))  # noqa: PTH111


def parts_of(text: str, sign: str = ",") -> list[str]:
    """Return the parts of text between commas. A comma in brackets or in quotes is inside a part.

    Parameters
    ----------
    text : str
        Spaces around a part are left out.
    sign : str
        A character other than the comma.

    Examples
    --------
    >>> from mashkit.arguments import parts_of
    >>> parts_of("amu, rank(amu,0.5*tiv)")  # composites have commas
    ['amu', 'rank(amu,0.5*tiv)']
    >>> parts_of('bands=[1, 2],mode="a,b"')  # so has JSON
    ['bands=[1, 2]', 'mode="a,b"']
    >>> parts_of("amu+0.5*(tiv+chords)", "+")
    ['amu', '0.5*(tiv+chords)']
    """
    parts, depth, quoted = [""], 0, False
    for character in text:
        if character == '"':
            quoted = not quoted
        elif not quoted:
            depth += (character in "([{") - (character in ")]}")
        if character == sign and not quoted and depth <= 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]


def default_cache() -> Path:
    """Return the folder computed results are kept in."""
    named = os.environ.get(CACHE_VARIABLE)
    return absolute(named_path(named)) if named else Path(platformdirs.user_cache_dir("mashkit"))


def named_text(path: Path, fix: str, *, encoding: str = "utf-8") -> str:
    """Return the text of a file that an argument names.

    Raises
    ------
    UsageError
        If there is no such file, it cannot be read, or is not text. The message has the path and ``fix``.
    """
    try:
        return path.read_text(encoding=encoding)
    except UnicodeDecodeError as error:
        raise UsageError(f"{path_text(path)} is not text in UTF-8: {error}", fix) from error
    except OSError as error:
        raise UsageError(f"{path_text(path)} cannot be read: {error.strerror}", fix) from error


def named_json(path: Path, fix: str) -> Any:
    """Return the data of a JSON file that an argument names.

    Raises
    ------
    UsageError
        If the file cannot be read, or is not JSON. The text has the path and ``fix``.
    """
    text = named_text(path, fix)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path_text(path)} is not JSON: {error}", fix) from error


def json_or_text(text: str) -> Any:
    """Return an option's value as JSON, or as the text itself if it is not JSON.

    Examples
    --------
    >>> from mashkit.arguments import json_or_text
    >>> json_or_text("true"), json_or_text("[1, 2]"), json_or_text("spectral")
    (True, [1, 2], 'spectral')
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # also a number of too many digits, and brackets that are too deep
        return text


def require(name: str, value: object, kind: type[T] | tuple[type[T], ...], fix: str) -> T:
    """Return an argument's value; raises UsageError with ``fix`` unless the value is a ``kind``."""
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise UsageError(f"{name} is {_told(value)}", fix)
    return value


def plain_path(value: str | os.PathLike[str]) -> Path:
    """Return a path that an argument of a public function gives: "~" at the beginning of text is the home folder.

    A Path stays as it is, because mashkit itself finds files in a folder that is called "~".
    """
    return named_path(value) if isinstance(value, str) else Path(value)


def is_path(value: object) -> TypeGuard[str | os.PathLike[str]]:
    """Return whether a value is text, or an object that names a file with text, such as a Path."""
    return isinstance(value, str | os.PathLike) and isinstance(os.fspath(value), str)


def require_path(name: str, value: object) -> Path:
    """Return an argument that is a path, as :func:`plain_path` does."""
    if not is_path(value):
        raise UsageError(f"{name} is {_told(value)}", "give a path")
    return plain_path(value)


def require_paths(name: str, value: object) -> list[Path]:
    """Return an argument that is a path or several paths, as a list; text as :func:`plain_path` reads it."""
    if is_path(value):
        return [plain_path(value)]
    if not isinstance(value, Iterable) or isinstance(value, bytes):
        raise UsageError(f"{name} is {_told(value)}", "give a path, or a list of them")
    return [require_path(f"{name}[{index}]", one) for index, one in enumerate(value)]


def require_whole(name: str, value: object) -> int:
    """Return an argument that is a whole number, also a numpy integer, as an int."""
    try:
        if not isinstance(value, bool):
            return operator.index(value)  # type: ignore[arg-type]  # raises TypeError if it is not a whole number
    except TypeError:
        pass
    raise UsageError(f"{name} is {_told(value)}", "give a whole number")


def require_number(name: str, value: object, least: float, most: float = math.inf) -> float:
    """Return an argument that is a number within limits, also a numpy number, as a float."""
    number = plain_number(value)
    if type(number) is not float or not (least <= number <= most and math.isfinite(number)):
        limits = f"from {least:g} to {most:g}" if math.isfinite(most) else f"of {least:g} or more"
        raise UsageError(f"{name} is {value!r}", f"give a number {limits}")
    return number


def require_all(name: str, values: object, kind: type[T], fix: str) -> list[T]:
    """Return the members of an argument as a list; each must be a ``kind``."""
    if not isinstance(values, Iterable) or isinstance(values, (str, bytes)):
        raise UsageError(f"{name} is {_told(values)}", f"give several: {fix}")
    return [require(f"{name}[{index}]", one, kind, fix) for index, one in enumerate(values)]


def _told(value: object) -> str:
    text = repr(value)
    return f"{text if len(text) <= 60 else text[:57] + '...'}, of type {type(value).__name__}"
