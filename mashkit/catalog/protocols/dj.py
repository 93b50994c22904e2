"""What the collections of DJ programs share: tracks in an XML file, songs that may lie elsewhere, and beat grids.

Files are read with the standard library. Document types and entities are refused, because entities that contain each
other can fill the memory, and no DJ program writes them.
"""

from __future__ import annotations

import functools
import itertools
import math
import re
from abc import abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar
from xml.parsers import expat

import attrs
import numpy as np

from mashkit.arguments import named_path
from mashkit.audio.files import probe
from mashkit.catalog.adding import Unusable, usable
from mashkit.catalog.protocols.base import Protocol, label_source
from mashkit.catalog.scanning import Found, Scan
from mashkit.catalog.songs import Song, describe_song
from mashkit.errors import AnalysisError, AudioFileError, LabelError, UsageError
from mashkit.paths import folded, is_file, is_folder, path_text
from mashkit.types import Analysis, Key


@attrs.frozen
class Track:
    """An XML element of a track: its attributes, the elements in it as (name, attributes), and its line in the file."""

    attributes: Mapping[str, str]
    inside: list[tuple[str, Mapping[str, str]]]
    line: int

    def first(self, name: str) -> Mapping[str, str]:
        """Return the attributes of the first element of that name in the track; none if there is no such element."""
        return next((attributes for found, attributes in self.inside if found == name), {})

    def every(self, name: str) -> list[Mapping[str, str]]:
        """Return the attributes of all elements of that name in the track."""
        return [attributes for found, attributes in self.inside if found == name]


@attrs.frozen
class Marker:
    """Where a grid begins: a beat, s; its tempo, BPM; the beat's place in the bar, from 1; beats a bar."""

    start: float
    tempo: float
    place: int = 1
    bar: int = 4


@attrs.frozen
class Placed:
    """A track and where its file lies.

    Parameters
    ----------
    track : Track
    stated : Path
        Where the collection says that the file lies.
    files : list of Path
        The file; several files if the track may be any of them, none if there is no such file.
    agreement : int
        Number of names, counted from the end, that are equal in the stated path and in the found one.
    """

    track: Track
    stated: Path
    files: list[Path]
    agreement: int


@attrs.frozen(kw_only=True)
class DJCollection(Protocol):
    """A collection of a DJ program, with the beats, bars and keys of each song.

    Parameters
    ----------
    music : str
        Folder in which to look for a file by its name if it is not where the collection says, for example because the
        collection comes from another computer.
    """

    suffix: ClassVar[str]
    element: ClassVar[str]
    """Name of the XML element of a track."""
    advice: ClassVar[str]
    """How to make the file in the program."""
    grid_reaches_back: ClassVar[bool]
    """Whether the first grid holds before its marker, too."""

    music: str = attrs.field(default="", validator=attrs.validators.instance_of(str))

    @abstractmethod
    def is_track(self, track: Track) -> bool:
        """Return whether the element is a track; else it is an entry of a playlist, which names a track."""

    @abstractmethod
    def places(self, track: Track) -> list[str]:
        """Return the paths at which the track's file may lie; none if the track is streamed and has no file."""

    @abstractmethod
    def names(self, track: Track) -> tuple[str, str, str]:
        """Return artist, title and key of a track as they are written."""

    @abstractmethod
    def grid(self, track: Track, collection: Path) -> tuple[list[Marker], float]:
        """Return the markers of the track's grid, and the track's length, s.

        Raises
        ------
        LabelError
            If a number is missing or not valid.
        """

    def songs(self, paths: Sequence[Path]) -> list[Song | Unusable]:
        """Return the songs of collections.

        Raises
        ------
        UsageError
            If a path is a folder or has another suffix, or ``music`` is not a folder.
        LabelError
            If a file is not a collection, or has no track.
        """
        for path in paths:
            if is_folder(path) or path.suffix.lower() != self.suffix:
                raise UsageError(f"{path} is not a {self.suffix} file", f"name the file of {self.name}: {self.advice}")
        elsewhere = self._elsewhere()
        found: Found[Song | Unusable] = Found()
        for path in paths:
            tracks = [track for track in read_tracks(path, {self.element}) if self.is_track(track)]
            placed = [_placed(track, places, elsewhere) for track in tracks if (places := self.places(track))]
            if not placed:
                raise LabelError(path, None, "holds no track with a file", self.advice)
            if len(tracks) > len(placed):
                found.notes += (f"{path_text(path)}: {len(tracks) - len(placed)} streamed tracks passed over",)
            owners = _owners(placed)
            for one in placed:
                described = functools.partial(self._describe, one=one, owners=owners, collection=path)
                found.extend(usable([one.stated], described))
        return found

    def _elsewhere(self) -> dict[str, list[Path]]:
        """Return the sound files in the folder ``music`` by name, in any case and any form of accents."""
        if not self.music:
            return {}
        folder = named_path(self.music)
        if not is_folder(folder):
            raise UsageError(f"protocol.music={self.music} is not a folder", "name the folder of the songs")
        scan = Scan()
        scan.look(folder)
        files: dict[str, list[Path]] = {}
        for path in scan.files:
            files.setdefault(folded(path.name), []).append(path)
        return files

    def _describe(self, _: Path, *, one: Placed, owners: Mapping[Path, Placed], collection: Path) -> Song:
        track = one.track
        if not one.files:
            raise AudioFileError(
                one.stated,
                "does not exist, but the collection names it",
                "name the folder of the songs: -O protocol.music=FOLDER",
            )
        if len(one.files) > 1:
            raise AudioFileError(
                one.stated,
                f"may be any of {len(one.files)} files: {', '.join(map(path_text, one.files[:3]))}",
                "name a folder of the songs in which only one fits: -O protocol.music=FOLDER",
            )
        (file,) = one.files
        if (owner := owners[file]) is not one:
            raise AudioFileError(
                one.stated,
                f"is {path_text(file)} as far as is known, but that is the file of another track, in line "
                f"{owner.track.line} of the collection",
                "keep one of the two tracks, or name the folder of the songs that has both files",
            )
        song = describe_song(file)
        artist, title, written = self.names(track)
        try:
            key = Key.parse(written)
        except AnalysisError:
            key = None  # empty, or a note of the user's own: the analyzer finds the key then
        markers, stated_s = self.grid(track, collection)
        length = min(stated_s, _length(file)) if markers else stated_s
        beats = beats_of(markers, length, LabelError(collection, track.line, "its tempi are not in the order of time",
                                                     self.advice), self.grid_reaches_back)  # fmt: skip
        known = attrs.evolve(beats, key=key)
        return attrs.evolve(
            song,
            title=" - ".join(part for part in (artist, title) if part) or song.title,
            known=None if known == Analysis() else known,
            source={"collection": self.name, **label_source(labels=collection)},
        )

    def number(self, attributes: Mapping[str, str], name: str, track: Track, collection: Path) -> float:
        """Return an attribute as a number.

        Raises
        ------
        LabelError
            If it is missing or no number.
        """
        try:
            return float(attributes[name])
        except (KeyError, ValueError) as error:
            raise LabelError(collection, track.line, f"{name} is {attributes.get(name, '')!r}", self.advice) from error

    def marker(self, start: float, tempo: float, track: Track, collection: Path) -> Marker:
        """Return a marker on the first beat of a bar of four.

        Raises
        ------
        LabelError
            If the moment is before the beginning, or the tempo is not between 10 and 1,000 BPM.
        """
        if not 0 <= start < math.inf or not 10 <= tempo <= 1000:
            raise LabelError(collection, track.line, f"a tempo of {tempo:g} BPM from {start:g} s", self.advice)
        return Marker(start, tempo)


def _placed(track: Track, places: Sequence[str], elsewhere: Mapping[str, Sequence[Path]]) -> Placed:
    """Find a track's file: where the collection says, else the file of that name with the most equal folders."""
    names = _names(places[0])
    for place in places:
        if is_file(place):
            return Placed(track, Path(place), [Path(place)], len(names))
    agreements = {file: _agreement(names, _names(str(file))) for file in elsewhere.get(names[0], ())}
    most = max(agreements.values(), default=0)
    return Placed(track, Path(places[0]), [file for file, agreement in agreements.items() if agreement == most], most)


def _length(file: Path) -> float:
    """Return a recording's length, s; infinite if the header cannot be read, because decoding gives the error then.

    DJ programs state lengths in whole seconds, some of them rounded up.
    """
    try:
        return probe(file).duration
    except AudioFileError:
        return math.inf


def _owners(placed: Iterable[Placed]) -> dict[Path, Placed]:
    """Return the track of each file; of several tracks, the one whose stated path agrees most with the file's."""
    owners: dict[Path, Placed] = {}
    for one in placed:
        if len(one.files) == 1 and (one.files[0] not in owners or one.agreement > owners[one.files[0]].agreement):
            owners[one.files[0]] = one
    return owners


def _names(path: str) -> list[str]:
    """Return the names in a path of any system, the last one first, as they are compared."""
    return [folded(name) for name in reversed(re.split(r"[/\\]", path))]


def _agreement(one: Sequence[str], other: Sequence[str]) -> int:
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def read_tracks(path: Path, elements: Collection[str]) -> list[Track]:
    """Return the elements of an XML file that have one of these names, with all elements inside each.

    Raises
    ------
    LabelError
        If the file is missing, no XML, or has a document type.
    """
    parser = expat.ParserCreate()
    tracks: list[Track] = []
    depth = 0  # in a track: elements that have begun and not ended

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        if depth:
            tracks[-1].inside.append((name, attributes))
            depth += 1
        elif name in elements:
            tracks.append(Track(attributes, [], parser.CurrentLineNumber))
            depth = 1

    def end(_: str) -> None:
        nonlocal depth
        depth = max(depth - 1, 0)

    def refuse(*_: object) -> None:
        raise LabelError(
            path,
            parser.CurrentLineNumber,
            "has a document type declaration, which is not read",
            "export the collection again",
        )

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    try:
        parser.Parse(path.read_bytes(), True)
    except OSError as error:
        raise LabelError(path, None, f"cannot be read: {error.strerror}", "check name and permissions") from error
    except expat.ExpatError as error:
        raise LabelError(path, error.lineno, f"is not XML: {error}", "export it again") from error
    return tracks


def beats_of(markers: Sequence[Marker], length: float, disorder: LabelError, back: bool) -> Analysis:
    """Return tempo, beats and downbeats of a grid; each marker holds until the next one.

    The last marker is a beat even if it lies beyond the end, because then the grid belongs to another recording.

    Parameters
    ----------
    markers : sequence of Marker
        In the order of time.
    length : float
        Of the song, s.
    disorder : LabelError
        What is raised if the markers are not in the order of time.
    back : bool
        Whether the first marker holds before its beat, too.

    Raises
    ------
    LabelError
        If the markers are not in the order of time.
    """
    beats: list[float] = []
    downbeats: list[float] = []
    for number, marker in enumerate(markers):
        last = number + 1 == len(markers)
        end = length if last else markers[number + 1].start
        if not last and end <= marker.start:
            raise disorder
        period = 60 / marker.tempo
        # The next grid begins on a beat of its own: a beat of this one that is nearly there is the same beat.
        count = max(math.ceil((end - marker.start) / period - (0 if last else 0.5)), int(last))
        before = math.floor(marker.start / period) if back and number == 0 else 0
        index = np.arange(-before, count)
        times = marker.start + period * index
        beats += times.tolist()
        downbeats += times[(index + marker.place - 1) % marker.bar == 0].tolist()
    if len(downbeats) < 2:
        return Analysis()
    starts = [marker.start for marker in markers]
    spans = np.diff([*starts, max(length, starts[-1])])
    return Analysis(tempo=markers[int(np.argmax(spans))].tempo, beats=beats, downbeats=downbeats)
