"""Find songs on disk, and what lies beside them: a title and a licence."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path

import attrs

from mashkit.audiofile import AUDIO_SUFFIXES, UNREADABLE_SUFFIXES, require_file
from mashkit.errors import AudioFileError

_GENERIC_NAMES = frozenset({"audio", "mix", "mixture", "song", "track"})
"""File names that say nothing: the folder's name is the title then."""

_LICENCE_FILES = ("license.txt", "licence.txt", "LICENSE", "LICENCE", "LICENSE.txt")


@attrs.frozen
class SongFile:
    """A sound file to make clips of.

    Parameters
    ----------
    path : Path
    title : str
        For people.
    licence : str
        What a file beside it says, else "unknown".
    sha256 : str
        Of the file's bytes: the song's identity.
    """

    path: Path
    title: str
    licence: str
    sha256: str


def find_songs(paths: Iterable[Path | str]) -> list[Path]:
    """Return the sound files named, and those found in the folders named, sorted within a folder.

    A file that is named is taken whatever its suffix; in folders, hidden files and other suffixes are passed over.

    Raises
    ------
    AudioFileError
        If there is nothing to look at: folders only, and none holds a sound file.
    """
    named = [Path(path) for path in paths]
    found: list[Path] = []
    for path in named:
        if path.is_dir():
            suffixes = AUDIO_SUFFIXES | UNREADABLE_SUFFIXES
            found += sorted(
                file
                for file in path.rglob("*")
                if file.suffix.lower() in suffixes and file.is_file() and not file.name.startswith(".")
            )
        else:
            found.append(path)  # also when it does not exist: that is said where its turn comes, and the rest goes on
    if not found:
        raise AudioFileError(
            ", ".join(map(str, named)), "holds no sound file", f"put songs there: {', '.join(sorted(AUDIO_SUFFIXES))}"
        )
    return list(dict.fromkeys(found))


def describe_song(path: Path) -> SongFile:
    """Read a file's identity and what lies beside it.

    Raises
    ------
    AudioFileError
        If the file cannot be read.
    """
    require_file(path)
    try:
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise AudioFileError(path, f"cannot be read: {error.strerror}", "check its permissions") from error
    title = path.parent.name if path.stem.lower() in _GENERIC_NAMES and path.parent.name else path.stem
    return SongFile(path, title, _licence_beside(path), sha256)


def _licence_beside(path: Path) -> str:
    """Return the licence a label file (`song.json` beside `song.ogg`) or a licence file in the folder states."""
    labels = path.with_suffix(".json")
    if labels.is_file():
        try:
            data = json.loads(labels.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            data = None  # some other program's file: it says nothing to us
        if isinstance(data, dict) and isinstance(data.get("licence"), str):
            return str(data["licence"])
    for name in _LICENCE_FILES:
        file = path.parent / name
        if file.is_file():
            return _licence_of(file.read_text(encoding="utf-8", errors="replace"))
    return "unknown"


def _licence_of(text: str) -> str:
    """Return the Creative Commons licence a text links to, else its first line of words."""
    link = re.search(r"creativecommons\.org/licenses/([a-z-]+)/([\d.]+\d)", text)
    if link:
        return f"CC-{link[1].upper()}-{link[2]}"
    if "creativecommons.org/publicdomain/zero" in text:
        return "CC0-1.0"
    lines = (line.strip() for line in text.splitlines())
    return next((line[:120] for line in lines if re.search(r"\w{3}", line)), "unknown")
