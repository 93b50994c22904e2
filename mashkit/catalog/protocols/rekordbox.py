"""Read rekordbox collections: the songs of an exported XML file, with the beat grids and keys that DJs put right.

rekordbox writes the file with *File › Export Collection in xml format*; Pioneer DJ publishes the format as "rekordbox
XML format list". Each TRACK names its file as a URL, and has TEMPO elements: a beat (Inizio, seconds), the tempo from
there on (Bpm), the metre (Metro) and the beat's place in the bar (Battito, from 1).

The file is read with the standard library. Document types and entities are refused, because entities that contain each
other can fill the memory, and rekordbox writes none.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PureWindowsPath
from urllib.parse import unquote, urlsplit
from xml.parsers import expat

import attrs
import numpy as np

from mashkit.catalog.adding import Unusable, usable
from mashkit.catalog.protocols.base import Protocol, label_source
from mashkit.catalog.scanning import Found
from mashkit.catalog.songs import Song, describe_song
from mashkit.errors import AnalysisError, AudioFileError, LabelError, UsageError
from mashkit.types import Analysis, Key


@attrs.frozen
class Track:
    """A TRACK element: its attributes, those of its TEMPO elements, and the line it begins in."""

    attributes: Mapping[str, str]
    tempi: list[Mapping[str, str]]
    line: int


@attrs.frozen(kw_only=True)
class Rekordbox(Protocol):
    """A rekordbox collection exported as XML, with the beats, bars and keys of each song.

    Parameters
    ----------
    music : str
        Folder in which to look for a file by its name if it is not where the collection says, for example because the
        collection comes from another computer.
    """

    name = "rekordbox"
    summary = "a rekordbox collection exported as XML: beats, bars and keys from there"

    music: str = attrs.field(default="", validator=attrs.validators.instance_of(str))

    def songs(self, paths: Sequence[Path]) -> list[Song | Unusable]:
        """Return the songs of XML files.

        Raises
        ------
        UsageError
            If a path is a folder or no XML file, or ``music`` is no folder.
        LabelError
            If a file is no collection of rekordbox, or has no track.
        """
        for path in paths:
            if path.is_dir() or path.suffix.lower() != ".xml":
                raise UsageError(f"{path} is not an XML file", "name the file that rekordbox exported: collection.xml")
        elsewhere = self._elsewhere()
        found: Found[Song | Unusable] = Found()
        for path in paths:
            tracks = read_tracks(path)
            files = [self._file(track, elsewhere) for track in tracks]
            by_file = dict(zip(files, tracks, strict=True))

            def described(file: Path, path: Path = path, by_file: Mapping[Path, Track] = by_file) -> Song:
                return describe_track(file, by_file[file], path)

            found.extend(usable(dict.fromkeys(files), described))
        return found

    def _elsewhere(self) -> dict[str, Path]:
        if not self.music:
            return {}
        folder = Path(self.music).expanduser()
        if not folder.is_dir():
            raise UsageError(f"protocol.music={self.music} is no folder", "name the folder of the songs")
        return {path.name: path for path in sorted(folder.rglob("*")) if path.is_file()}

    @staticmethod
    def _file(track: Track, elsewhere: Mapping[str, Path]) -> Path:
        named = unquote(urlsplit(track.attributes.get("Location", "")).path)
        if re.match(r"/[A-Za-z]:/", named):
            named = str(PureWindowsPath(named[1:]))
        path = Path(named)
        return path if path.is_file() else elsewhere.get(re.split(r"[/\\]", named)[-1], path)


def read_tracks(path: Path) -> list[Track]:
    """Return the tracks of a collection that name a file.

    Raises
    ------
    LabelError
        If the file is missing, no XML, has a document type, or holds no track.
    """
    parser = expat.ParserCreate()
    tracks: list[Track] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        if name == "TRACK" and "Location" in attributes:
            tracks.append(Track(attributes, [], parser.CurrentLineNumber))
        elif name == "TEMPO" and tracks:
            tracks[-1].tempi.append(attributes)

    def refuse(*_: object) -> None:
        raise LabelError(
            path,
            parser.CurrentLineNumber,
            "has a document type declaration, which is not read",
            "export the collection again",
        )

    parser.StartElementHandler = start
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    try:
        parser.Parse(path.read_bytes(), True)
    except OSError as error:
        raise LabelError(path, None, f"cannot be read: {error.strerror}", "check name and permissions") from error
    except expat.ExpatError as error:
        raise LabelError(path, error.lineno, f"is not XML: {error}", "export it again") from error
    if not tracks:
        raise LabelError(path, None, "holds no track with a file", "export the collection from rekordbox as XML")
    return tracks


def describe_track(file: Path, track: Track, collection: Path) -> Song:
    """Return a :class:`Song` with the track's title, key and beats.

    Raises
    ------
    AudioFileError
        If the file does not exist.
    LabelError
        If a tempo is not valid.
    """
    if not file.is_file():
        raise AudioFileError(
            file, "does not exist, but the collection names it", "name a folder of the songs: -O protocol.music=FOLDER"
        )
    song = describe_song(file)
    artist, title = (track.attributes.get(name, "").strip() for name in ("Artist", "Name"))
    try:
        key = Key.parse(track.attributes.get("Tonality", ""))
    except AnalysisError:
        key = None  # empty, or a note of the user's own: the analyzer finds the key then
    known = attrs.evolve(beats_of(track, collection), key=key)
    return attrs.evolve(
        song,
        title=" - ".join(part for part in (artist, title) if part) or song.title,
        known=None if known == Analysis() else known,
        source={"collection": "rekordbox", **label_source(labels=collection)},
    )


def beats_of(track: Track, collection: Path) -> Analysis:
    """Return tempo, beats and downbeats of a track's TEMPO elements; each holds until the next begins.

    Raises
    ------
    LabelError
        If a number is missing or not valid, or the elements are not in the order of time.
    """
    if not track.tempi:
        return Analysis()
    starts, tempi, places, bars = zip(*(_tempo(one, track.line, collection) for one in track.tempi), strict=True)
    length = _number(track.attributes, "TotalTime", track.line, collection)
    beats: list[float] = []
    downbeats: list[float] = []
    for number, (start, tempo, place, bar) in enumerate(zip(starts, tempi, places, bars, strict=True)):
        last = number + 1 == len(starts)
        end = length if last else starts[number + 1]
        if not last and end <= start:
            raise LabelError(collection, track.line, "its tempi are not in the order of time", "export it again")
        period = 60 / tempo
        # The next grid begins on a beat of its own: a beat of this one that is nearly there is the same beat.
        count = max(math.ceil((end - start) / period - (0 if last else 0.5)), 0)
        times = start + period * np.arange(count)
        beats += times.tolist()
        downbeats += times[(np.arange(count) + place - 1) % bar == 0].tolist()
    if len(downbeats) < 2:
        return Analysis()
    spans = np.diff([*starts, max(length, starts[-1])])
    return Analysis(tempo=tempi[int(np.argmax(spans))], beats=beats, downbeats=downbeats)


def _tempo(attributes: Mapping[str, str], line: int, path: Path) -> tuple[float, float, int, int]:
    """Return start, BPM, place in the bar and beats a bar of a TEMPO element."""
    start, tempo = (_number(attributes, name, line, path) for name in ("Inizio", "Bpm"))
    metre = re.fullmatch(r"(\d{1,2})/\d{1,2}", attributes.get("Metro", "4/4"))
    place = attributes.get("Battito", "1")
    if not 0 <= start < math.inf or not 10 <= tempo <= 1000:
        raise LabelError(path, line, f"a tempo of {tempo:g} BPM from {start:g} s", "export the collection again")
    if metre is None or int(metre[1]) < 1 or not place.isdecimal() or not 1 <= int(place) <= int(metre[1]):
        raise LabelError(path, line, f"beat {place} of a bar of {attributes.get('Metro')}", "export it again")
    return start, tempo, int(place), int(metre[1])


def _number(attributes: Mapping[str, str], name: str, line: int, path: Path) -> float:
    try:
        return float(attributes[name])
    except (KeyError, ValueError) as error:
        raise LabelError(
            path, line, f"{name} is {attributes.get(name, '')!r}", "export the collection again"
        ) from error
