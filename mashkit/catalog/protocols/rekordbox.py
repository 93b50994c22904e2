"""Read rekordbox collections: the songs of an exported XML file, with the beat grids and keys that DJs put right.

rekordbox writes the file with *File › Export Collection in xml format*; Pioneer DJ publishes the format as "rekordbox
XML format list". Each TRACK names its file as a URL, and has TEMPO elements: a beat (Inizio, seconds), the tempo from
there on (Bpm), the metre (Metro) and the beat's place in the bar (Battito, from 1).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path, PureWindowsPath
from urllib.parse import unquote, urlsplit

import attrs

from mashkit.catalog.protocols.dj import DJCollection, Marker, Track
from mashkit.errors import LabelError


@attrs.frozen(kw_only=True)
class Rekordbox(DJCollection):
    """A rekordbox collection exported as XML, with the beats, bars and keys of each song.

    Parameters
    ----------
    music : str
        Folder in which to look for a file by its name if it is not where the collection says, for example because the
        collection comes from another computer.
    """

    name = "rekordbox"
    summary = "a rekordbox collection exported as XML: beats, bars and keys from there"
    suffix = ".xml"
    element = "TRACK"
    advice = "File › Export Collection in xml format"
    grid_reaches_back = False

    def is_track(self, track: Track) -> bool:
        """Return whether the element has a location; a track of a playlist only names a track of the collection."""
        return "Location" in track.attributes

    def places(self, track: Track) -> list[str]:
        """Return the path in the URL of the track's file; none for a streamed track, whose URL has no path."""
        location = track.attributes["Location"]
        try:
            named = unquote(urlsplit(location).path)
        except ValueError:  # no URL, for example "file://[x/a.wav": listed as a file that does not exist
            return [location]
        if not named:
            return []
        return [str(PureWindowsPath(named[1:])) if re.match(r"/[A-Za-z]:/", named) else named]

    def names(self, track: Track) -> tuple[str, str, str]:
        """Return artist, title and key of a track as they are written."""
        artist, title, key = (track.attributes.get(name, "").strip() for name in ("Artist", "Name", "Tonality"))
        return artist, title, key

    def grid(self, track: Track, collection: Path) -> tuple[list[Marker], float]:
        """Return the markers of the track's TEMPO elements, and the track's length, s.

        Raises
        ------
        LabelError
            If a number is missing or not valid.
        """
        tempi = track.every("TEMPO")
        if not tempi:
            return [], 0.0
        markers = [self._marker(one, track, collection) for one in tempi]
        return markers, self.number(track.attributes, "TotalTime", track, collection)

    def _marker(self, attributes: Mapping[str, str], track: Track, collection: Path) -> Marker:
        start, tempo = (self.number(attributes, name, track, collection) for name in ("Inizio", "Bpm"))
        metre = re.fullmatch(r"(\d{1,2})/\d{1,2}", attributes.get("Metro", "4/4"))
        place = attributes.get("Battito", "1")
        marker = self.marker(start, tempo, track, collection)
        if metre is None or int(metre[1]) < 1 or not place.isdecimal() or not 1 <= int(place) <= int(metre[1]):
            raise LabelError(collection, track.line, f"beat {place} of a bar of {attributes.get('Metro')}", self.advice)
        return attrs.evolve(marker, place=int(place), bar=int(metre[1]))
