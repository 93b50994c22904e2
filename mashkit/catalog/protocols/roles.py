"""Lone vocals and lone instrumentals beside whole songs: what a file is, its folder or its name says."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import attrs

from mashkit.catalog.adding import Unusable, usable
from mashkit.catalog.lone import INSTRUMENTAL, VOICE, describe_lone
from mashkit.catalog.protocols.base import Protocol, label_source
from mashkit.catalog.protocols.labels import read_notes
from mashkit.catalog.songs import Song, describe_song, find_songs
from mashkit.types import Role

NAMES: dict[str, frozenset[Role]] = {
    **dict.fromkeys(("vocal", "vocals", "voice", "acapella", "acappella", "acapellas", "acappellas"), VOICE),
    **dict.fromkeys(("instrumental", "instrumentals", "backing", "karaoke"), INSTRUMENTAL),
}
"""Names of folders, and last words of file names, that say what sounds in a file. Spaces and dashes do not count."""


@attrs.frozen(kw_only=True)
class Roles(Protocol):
    """Sound files in folders ``vocals`` and ``instrumentals``, or ``NAME.vocals.wav`` and ``NAME.instrumental.wav``.

    Others are whole songs. ``NAME.json`` beside a file says title, artist, licence, key, bpm and downbeat (seconds),
    all optional. A lone vocal is used as it is: nothing is separated, and nothing guesses its key, tempo or bars. Of an
    instrumental the drums are separated, and all the rest is harmony.
    """

    name = "roles"
    summary = "lone vocals and lone instrumentals beside whole songs, by their folders or names"

    def songs(self, paths: Sequence[Path]) -> list[Song | Unusable]:
        """Return the sound files; raises AudioFileError if there is none."""
        return usable(find_songs(paths), describe_by_name)


def holds_by_name(path: Path) -> frozenset[Role]:
    """Return the roles that a file's name, else the folder it lies in, says are in it; all, where neither says."""
    for word in (*reversed(path.stem.split(".")[1:]), path.parent.name):
        found = NAMES.get(re.sub(r"[\s_-]", "", word.lower()))
        if found is not None:
            return found
    return frozenset(Role)


def describe_by_name(path: Path) -> Song:
    """Return a file as what its name and folder say.

    Raises
    ------
    AudioFileError
        If there is no such file, or it cannot be read.
    LabelError, UsageError
        If its labels cannot be read, or say what cannot be.
    """
    holds = holds_by_name(path)
    if holds == frozenset(Role):
        return describe_song(path)
    labels = path.with_suffix(".json")
    notes = read_notes(labels)
    song = describe_lone(
        path, holds, key=None if notes.key is None else str(notes.key), tempo=notes.tempo, downbeat=notes.downbeat
    )
    title = re.sub(r"\.[^.]*$", "", song.title) if "." in path.stem else song.title
    return attrs.evolve(
        song,
        title=notes.title or title,
        licence=notes.licence or song.licence,
        source={**notes.source, **(label_source(song=labels) if labels.is_file() else {})},
    )
