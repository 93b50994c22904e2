"""Read collections of lone vocals, lone instrumentals and whole songs, distinguished by names of files or folders."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import attrs

from mashkit.catalog.adding import Unusable, usable
from mashkit.catalog.lone import INSTRUMENTAL, VOICE, describe_lone
from mashkit.catalog.protocols.base import Protocol, label_source
from mashkit.catalog.protocols.labels import read_notes
from mashkit.catalog.songs import Song, describe_song, find_songs, title_of
from mashkit.paths import is_file
from mashkit.types import Role

NAMES: dict[str, frozenset[Role]] = {
    **dict.fromkeys(("vocal", "vocals", "voice", "acapella", "acappella", "acapellas", "acappellas"), VOICE),
    **dict.fromkeys(("instrumental", "instrumentals", "backing", "karaoke"), INSTRUMENTAL),
}
"""Names of folders, and last words of file names (:func:`split_name`), with the roles that sound in the file. Spaces,
dashes and underscores in the names are ignored."""


@attrs.frozen(kw_only=True)
class Roles(Protocol):
    """Sound files in folders ``vocals`` and ``instrumentals``, or ``NAME.vocals.wav`` and ``NAME.instrumental.wav``.

    All other files are whole songs. ``NAME.json`` beside a lone vocal or instrumental may contain title, artist,
    licence, key, bpm and downbeat (seconds). A lone vocal is neither separated nor analysed, because an analyzer could
    only guess its key, tempo and bars. An instrumental is separated into percussion (the drums) and harmony (the rest).
    """

    name = "roles"
    summary = "lone vocals and lone instrumentals beside whole songs, by their folders or names"

    def songs(self, paths: Sequence[Path]) -> list[Song | Unusable]:
        """Return the songs; raises AudioFileError if there is no sound file."""
        return usable(find_songs(paths), describe_by_name)


def holds_by_name(path: Path) -> frozenset[Role]:
    """Return the roles that sound in a file by its name, else by its folder's name; all roles if neither is known."""
    return split_name(path.stem)[1] or _roles_of(path.parent.name) or frozenset(Role)


def split_name(stem: str) -> tuple[str, frozenset[Role] | None]:
    """Return the name and the roles of a file called NAME.vocals or NAME.instrumental; else its whole name, and None.

    "05.Voice" and "feat. Karaoke" are titles, because their first part is a track number, or a space follows the dot.
    """
    name, _, word = stem.rpartition(".")
    if word.startswith(" ") or re.fullmatch(r"[\d\s_-]*", name):
        return stem, None
    roles = _roles_of(word)
    return (stem if roles is None else name), roles


def _roles_of(word: str) -> frozenset[Role] | None:
    return NAMES.get(re.sub(r"[\s_-]", "", word.lower()))


def describe_by_name(path: Path) -> Song:
    """Return a :class:`Song` for a file, with the roles that its name or folder states.

    Raises
    ------
    AudioFileError
        If the file does not exist or cannot be read.
    LabelError, UsageError
        If the labels cannot be read or are not valid.
    """
    holds = holds_by_name(path)
    if holds == frozenset(Role):
        return describe_song(path)
    labels = path.with_suffix(".json")
    notes = read_notes(labels)
    song = describe_lone(
        path, holds, key=None if notes.key is None else str(notes.key), tempo=notes.tempo, downbeat=notes.downbeat
    )
    name, _ = split_name(path.stem)
    return attrs.evolve(
        song,
        title=notes.title or title_of(path.with_name(f"{name}{path.suffix}")),
        licence=notes.licence or song.licence,
        source={**notes.source, **(label_source(song=labels) if is_file(labels) else {})},
    )
