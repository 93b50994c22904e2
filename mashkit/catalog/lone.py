"""Describe recordings that hold some roles only: a lone vocal or an instrumental.

No analyzer estimates key, tempo or bars of a lone vocal, because such estimates are guesses. A clip of a lone vocal has
these values only if a person gives them.
"""

from __future__ import annotations

from pathlib import Path

import attrs

from mashkit.audio.files import as_path, load, probe
from mashkit.catalog.edits import edited, parsed
from mashkit.catalog.songs import Song, describe_song
from mashkit.errors import AudioFileError, UsageError
from mashkit.paths import path_text
from mashkit.types import Analysis, Role

VOICE = frozenset({Role.VOCAL})
INSTRUMENTAL = frozenset({Role.HARMONIC, Role.PERCUSSION})


def describe_lone(
    path: Path | str,
    holds: frozenset[Role],
    *,
    key: str | None = None,
    tempo: float | str | None = None,
    downbeat: float | str | None = None,
) -> Song:
    """Return a :class:`Song` for a sound file that holds some roles only.

    Parameters
    ----------
    path : Path or str
    holds : frozenset of Role
        :data:`VOICE` or :data:`INSTRUMENTAL`.
    key : str, optional
        "A minor".
    tempo : float or str, optional
        BPM, 20–400; constant over the whole file.
    downbeat : float or str, optional
        Time at which a bar begins, seconds from the file's start. Tempo and downbeat together give all beats, four to
        a bar.

    Raises
    ------
    UsageError
        If a value or the path is not valid, a downbeat comes without a tempo, or the downbeat is after the file's end.
    AudioFileError
        If the file cannot be read.
    """
    path = as_path(path)
    song = attrs.evolve(describe_song(path), holds=holds)
    said = {
        name: parsed(name, str(value))
        for name, value in (("key", key), ("tempo", tempo), ("downbeat", downbeat))
        if value is not None
    }
    if not said:
        return song
    if "downbeat" in said and "tempo" not in said:
        raise UsageError(f"{path_text(path)}: a downbeat places bars only together with a tempo", "give the tempo too")
    duration = _duration(path)
    if said.get("downbeat", 0.0) >= duration:
        raise UsageError(
            f"{path_text(path)}: the downbeat is at {said['downbeat']} s, but the file lasts {duration:.1f} s",
            "give a time within the file",
        )
    return attrs.evolve(song, known=edited(Analysis(), said, duration))


def _duration(path: Path) -> float:
    try:
        return probe(path).duration
    except AudioFileError:  # the headers of some files give no length, so the file must be decoded
        return load(path).duration
