"""Ayumix: studio vocals with the songs they are from; the paper's retrieval queries."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import attrs

from mashkit.audiofile import probe
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
    """Folders with a studio ``vocal`` and the ``original`` it is from, as sound files that begin together.

    ``chorus.txt`` says where choruses begin and end. Harmony and percussion are separated from the original; key and
    tempo are found in it. ``song.json`` and a ``.beats`` file are read as for ``multitrack``. How the data set itself
    is laid out was never published: this layout is ours.
    """

    name = "ayumix"
    summary = "studio vocals with their originals; the clips are the labelled choruses"

    def songs(self, paths: Sequence[Path]) -> list[Song | Unusable]:
        """Return the folders that hold a vocal and an original, at any depth.

        Raises
        ------
        AudioFileError
            If there is none.
        """
        folders = song_folders(paths, lambda file: file.stem in (*VOCAL_NAMES, *ORIGINAL_NAMES))
        if not folders:
            raise AudioFileError(
                ", ".join(map(str, paths)),
                "holds no folder with a vocal or an original",
                f"make a folder a song, with vocal.wav, original.wav and {CHORUS}",
            )
        return usable(folders, describe_ayumix)


def describe_ayumix(folder: Path) -> Song:
    """Return a folder with a vocal and its original as a song.

    Raises
    ------
    AudioFileError
        If one of the two is missing or there twice.
    LabelError
        If labels are missing or cannot be read, or no chorus can be a clip.
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
        raise LabelError(chorus, None, "no chorus has room for a clip of 25 s", "check chorus and beats")
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
    """Return a chorus as it was cut; a short one goes on to 25 s, of a long one 60 s are taken (ours).

    Where the song ends before 25 s, it begins earlier.
    """
    length = min(max(section.end - section.start, SHORTEST_S), LONGEST_S)
    fits = section.end <= duration_s + LABELS_BEYOND_S  # if not, it stays: the labels are of another recording
    latest = duration_s - (length if section.end <= duration_s else SHORTEST_S)
    start = max(0.0, min(section.start, latest)) if fits else section.start
    return Excerpt(start, length, section.label, on_downbeats=False)


def _duration(path: Path) -> float:
    try:
        return probe(path).duration
    except AudioFileError:
        return math.inf  # a plugin may decode it; if none does, that is said when its turn comes
