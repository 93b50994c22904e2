"""Read Traktor collections: the songs of collection.nml, with the beat grids and keys that DJs put right.

Traktor keeps its collection as XML, in *Documents/Native Instruments/Traktor …/collection.nml*. Native Instruments
publishes no description; this module reads what Traktor 2 and 3 write. Each ENTRY names its file in LOCATION (VOLUME,
DIR with "/:" between folders, FILE), its length in INFO (PLAYTIME_FLOAT or PLAYTIME, seconds), its tempo in TEMPO
(BPM) and its key in MUSICAL_KEY (VALUE: 0 to 11 are C major to B major, 12 to 23 C minor to B minor). Grid markers are
CUE_V2 elements of TYPE 4 (START, milliseconds); the tempo of a marker may stand in a GRID element inside it.

Traktor stores no bars. Its beat counter counts bars of four from the marker, and so does this module. The grid of the
first marker holds before the marker, too.
"""

from __future__ import annotations

import re
from pathlib import Path

import attrs

from mashkit.catalog.protocols.dj import DJCollection, Marker, Track
from mashkit.types import Key

GRID_MARKER = "4"
"""TYPE of a CUE_V2 element that is a grid marker."""


@attrs.frozen(kw_only=True)
class Traktor(DJCollection):
    """A Traktor collection, with the beats, bars and keys of each song.

    Parameters
    ----------
    music : str
        Folder in which to look for a file by its name if it is not where the collection says, for example because the
        collection comes from another computer.
    """

    name = "traktor"
    summary = "a Traktor collection, collection.nml: beats, bars and keys from there"
    suffix = ".nml"
    element = "ENTRY"
    advice = "collection.nml in Traktor's folder, or one that Traktor exported"
    grid_reaches_back = True

    def is_track(self, track: Track) -> bool:
        """Return whether the element has a location; an entry of a playlist only names an entry of the collection."""
        return bool(track.first("LOCATION").get("FILE"))

    def places(self, track: Track) -> list[str]:
        """Return where the file may lie: on the system's own volume, on a volume of macOS, or on a drive of Windows."""
        location = track.first("LOCATION")
        path = location.get("DIR", "").replace("/:", "/") + location["FILE"]
        volume = location.get("VOLUME", "")
        return [path, f"/Volumes/{volume}{path}"] if not re.fullmatch("[A-Za-z]:", volume) else [f"{volume}{path}"]

    def names(self, track: Track) -> tuple[str, str, str]:
        """Return artist, title and key of a track; the key that Traktor found before the one somebody wrote."""
        number = track.first("MUSICAL_KEY").get("VALUE", "")
        key = track.first("INFO").get("KEY", "").strip()
        if number.isdecimal() and int(number) < 24:
            key = str(Key(int(number) % 12, "major" if int(number) < 12 else "minor"))
        return track.attributes.get("ARTIST", "").strip(), track.attributes.get("TITLE", "").strip(), key

    def grid(self, track: Track, collection: Path) -> tuple[list[Marker], float]:
        """Return the grid markers of a track, and the track's length, s.

        Raises
        ------
        LabelError
            If a number is missing or not valid.
        """
        markers: list[Marker] = []
        in_marker = False
        for name, attributes in track.inside:
            if name == "CUE_V2":
                in_marker = attributes.get("TYPE") == GRID_MARKER
            if name == "CUE_V2" and in_marker:
                start = self.number(attributes, "START", track, collection) / 1000
                tempo = self.number(track.first("TEMPO"), "BPM", track, collection)
                markers.append(self.marker(start, tempo, track, collection))
            elif name == "GRID" and in_marker:
                tempo = self.number(attributes, "BPM", track, collection)
                markers[-1] = self.marker(markers[-1].start, tempo, track, collection)
        if not markers:
            return [], 0.0
        info = track.first("INFO")
        length = "PLAYTIME_FLOAT" if "PLAYTIME_FLOAT" in info else "PLAYTIME"
        return markers, self.number(info, length, track, collection)
