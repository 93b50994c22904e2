"""Read multitrack collections: songs with true stems, so that no separation is needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import attrs

from mashkit.catalog.adding import Unusable, usable
from mashkit.catalog.protocols.base import Protocol, label_source
from mashkit.catalog.protocols.labels import SongNotes, read_beats, read_song_notes
from mashkit.catalog.scanning import FILE_RULES, Found, Scan, is_sound
from mashkit.catalog.songs import Song, licence_beside
from mashkit.errors import AudioFileError
from mashkit.paths import is_file, is_folder
from mashkit.types import ROLE_STEMS, STEM_NAMES, Analysis

MIX_NAMES = ("mixture", "mix")
"""File names of the mix."""
SUMS = frozenset({"accompaniment", "linear_mixture"})
"""File names of sums of stems, which MUSDB18's tools write beside the stems. These files are skipped."""


@attrs.frozen(kw_only=True)
class Multitrack(Protocol):
    """Folders of true stems: ``vocals``, ``drums``, ``bass``, ``other`` (``guitar``, ``piano``) as sound files.

    A file ``mixture`` beside them is the mix; without it, the mix is the sum of the stems. ``song.json`` may contain
    title, licence, key and tempo; a ``.beats`` file may contain beats and downbeats. MUSDB18-HQ has this layout.
    """

    name = "multitrack"
    summary = "folders of true stems (MUSDB18-HQ and the like); nothing is separated"

    def songs(self, paths: Sequence[Path]) -> list[Song | Unusable]:
        """Return the folders with stems, at any depth.

        Raises
        ------
        AudioFileError
            If there is no such folder.
        """
        folders = song_folders(paths, lambda file: file.stem in STEM_NAMES)
        if not folders:
            raise AudioFileError(
                ", ".join(map(str, paths)),
                "holds no folder of stems",
                "make a folder for each song, with vocals, drums, bass and other as sound files",
            )
        return usable(folders, describe_multitrack)


def song_folders(paths: Sequence[Path], is_part: Callable[[Path], bool]) -> Found[Path]:
    """Return the given folders and subfolders with a sound file for which ``is_part`` is true; sorted.

    The list also contains folders that cannot be read, so that opening them later gives the error.
    """
    scan = Scan()
    for path in paths:
        if is_folder(path):
            scan.look(path)
    found = [folder for folder in scan.folders if any(map(is_part, sound_files(folder)))]
    return Found([*found, *(path for path in scan.files if is_folder(path))], scan.notes)


def sound_files(folder: Path) -> list[Path]:
    """Return the sound files in a folder, sorted, without those that :data:`mashkit.catalog.scanning.FILE_RULES` skip.

    Raises
    ------
    AudioFileError
        If the folder cannot be read.
    """
    try:
        files = sorted(folder.iterdir())
    except OSError as error:
        raise AudioFileError(folder, f"cannot be read: {error.strerror}", "check its permissions") from error
    return [path for path in files if is_sound(path) and not any(rule.meets(path) for rule in FILE_RULES)]


def only_file(folder: Path, names: Sequence[str]) -> Path | None:
    """Return the sound file with one of these names; None if there is no such file.

    Raises
    ------
    AudioFileError
        If there are several such files.
    """
    found = [path for path in sound_files(folder) if path.stem in names]
    if len(found) > 1:
        raise AudioFileError(folder, f"holds {' and '.join(path.name for path in found)}", "leave one of them there")
    return found[0] if found else None


def describe_multitrack(folder: Path) -> Song:
    """Return a :class:`Song` for a folder of stems.

    Raises
    ------
    AudioFileError
        If a role has no stem, a stem has two files, or there are sound files of other names.
    LabelError
        If the labels cannot be read.
    """
    stems = {name: path for name in STEM_NAMES if (path := only_file(folder, (name,))) is not None}
    lacking = [" or ".join(names) for names in ROLE_STEMS.values() if not stems.keys() & set(names)]
    if lacking:
        raise AudioFileError(folder, f"has no {', no '.join(lacking)}", "add a stem for each role")
    unknown = [path.name for path in sound_files(folder) if path.stem not in {*STEM_NAMES, *MIX_NAMES, *SUMS}]
    if unknown:  # without these files the sum of the stems would not be the song
        raise AudioFileError(folder, f"{', '.join(unknown)}: not the name of a stem", f"use {', '.join(STEM_NAMES)}")
    notes = read_song_notes(folder)
    known, labels = known_of(folder, notes)
    return Song(
        path=only_file(folder, MIX_NAMES) or folder,
        title=notes.title or folder.name,
        licence=notes.licence or licence_beside(next(iter(stems.values()))),
        stems=stems,
        known=known,
        source={**notes.source, **labels},
    )


def known_of(folder: Path, notes: SongNotes) -> tuple[Analysis | None, dict[str, str]]:
    """Return the labels from ``song.json`` and a ``.beats`` file in a song's folder, and the record of these files.

    Raises
    ------
    LabelError
        If the beats cannot be read.
    AudioFileError
        If there are several ``.beats`` files.
    """
    record = label_source(song=folder / "song.json") if is_file(folder / "song.json") else {}
    files = sorted(folder.glob("*.beats"))
    if len(files) > 1:
        raise AudioFileError(folder, f"holds {' and '.join(path.name for path in files)}", "leave one of them there")
    known = Analysis(key=notes.key, tempo=notes.tempo)
    if files:
        beats = read_beats(files[0])
        known = attrs.evolve(known, beats=beats.beats, downbeats=beats.downbeats)
        record |= label_source(beats=files[0])
    return (None if known == Analysis() else known), record
