"""Read Ayumix: studio vocals with their original songs, the queries of the paper's retrieval experiment."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import attrs

from mashkit.audio.files import probe
from mashkit.catalog.adding import Unusable, usable
from mashkit.catalog.excerpts import LONGEST_S, SHORTEST_S, Excerpt
from mashkit.catalog.ingest import LABELS_BEYOND_S
from mashkit.catalog.protocols.base import Protocol, label_source
from mashkit.catalog.protocols.labels import Section, read_sections, read_song_notes
from mashkit.catalog.protocols.multitrack import known_of, only_file, song_folders
from mashkit.catalog.protocols.sections import section_excerpts
from mashkit.catalog.songs import Song, licence_beside
from mashkit.errors import AudioFileError, LabelError

VOCAL_NAMES = ("vocal", "vocals")
ORIGINAL_NAMES = ("original",)
CHORUS = "chorus.txt"


@attrs.frozen(kw_only=True)
class Ayumix(Protocol):
    """Folders with a studio ``vocal`` and its ``original`` song, as sound files that begin together.

    ``chorus.txt`` lists the starts and ends of choruses. Harmony and percussion are separated from the original, and
    the original is analysed for key and tempo. ``song.json`` and a ``.beats`` file are read as for ``multitrack``. This
    layout is ours, because the layout of the data set was never published.
    """

    name = "ayumix"
    summary = "studio vocals with their originals; the clips are the labelled choruses"

    def songs(self, paths: Sequence[Path]) -> list[Song | Unusable]:
        """Return the folders with a vocal or an original, at any depth; a folder without one of them is an error.

        Raises
        ------
        AudioFileError
            If there is no such folder.
        """
        folders = song_folders(paths, lambda file: file.stem in (*VOCAL_NAMES, *ORIGINAL_NAMES))
        if not folders:
            raise AudioFileError(
                ", ".join(map(str, paths)),
                "holds no folder with a vocal or an original",
                f"make a folder for each song, with vocal.wav, original.wav and {CHORUS}",
            )
        return usable(folders, describe_ayumix)


def describe_ayumix(folder: Path) -> Song:
    """Return a :class:`Song` for a folder with a vocal and its original.

    Raises
    ------
    AudioFileError
        If the vocal or the original is missing or has two files.
    LabelError
        If labels are missing or cannot be read, or no chorus has room for a clip.
    """
    vocal, original = only_file(folder, VOCAL_NAMES), only_file(folder, ORIGINAL_NAMES)
    if vocal is None or original is None:
        raise AudioFileError(
            folder, f"has no {'vocal' if vocal is None else 'original'}", "put both there: vocal.wav and original.wav"
        )
    chorus = folder / CHORUS
    sections = read_sections(chorus, known=frozenset({"chorus"}))
    notes = read_song_notes(folder)
    known, labels = known_of(folder, notes)
    downbeats = None if known is None else known.downbeats
    if downbeats is None:
        duration = _duration(original)
        excerpts = [_excerpt(one, duration) for one in sections]
    else:
        excerpts = section_excerpts(sections, downbeats)
    if not excerpts:
        raise LabelError(chorus, None, "no chorus is long enough for a clip of 25 s", "check chorus and beats")
    return Song(
        path=original,
        title=notes.title or folder.name,
        licence=notes.licence or licence_beside(original),
        stems={"vocals": vocal},
        excerpts=tuple(excerpts),
        known=known,
        source={**notes.source, **labels, **label_source(chorus=chorus)},
    )


def _excerpt(section: Section, duration_s: float) -> Excerpt:
    """Return a chorus as an excerpt with the labelled times, extended to 25 s or shortened to 60 s if needed (ours).

    The excerpt begins earlier if the song ends before the 25 s are over.
    """
    length = min(max(section.end - section.start, SHORTEST_S), LONGEST_S)
    fits = section.end <= duration_s + LABELS_BEYOND_S  # else keep the start: adding the song gives the error
    latest = duration_s - (length if section.end <= duration_s else SHORTEST_S)
    start = max(0.0, min(section.start, latest)) if fits else section.start
    return Excerpt(start, length, section.label, on_downbeats=False)


def _duration(path: Path) -> float:
    try:
        return probe(path).duration
    except AudioFileError:
        return math.inf  # a plugin may be able to decode it; otherwise the error comes when the song is added
