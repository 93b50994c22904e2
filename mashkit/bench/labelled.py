"""Music whose key, tempo or beats somebody has written down: songs rendered here, and published annotations.

A reader looks at one layout and returns what it finds; what a data set does not say is None: no metric is made of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs

import mashkit
from mashkit.audiofile import AUDIO_SUFFIXES
from mashkit.bench.multitracks import find_multitracks, stem_files
from mashkit.errors import AnalysisError
from mashkit.types import Key, as_tuple


@attrs.frozen(kw_only=True)
class Labels:
    """What is known of a piece of music.

    Parameters
    ----------
    collection, name : str
    files : tuple of Path
        Sound files whose sum it is.
    key : str, optional
        As :meth:`mashkit.types.Key.parse` reads it.
    tempo : float, optional
        BPM.
    octave : bool
        Whether the tempo's octave is known; if not, only accuracy 2 is measured.
    beats, downbeats : tuple of float, optional
        Seconds.
    """

    collection: str
    name: str
    files: tuple[Path, ...] = attrs.field(converter=as_tuple)
    key: str | None = None
    tempo: float | None = None
    octave: bool = True
    beats: tuple[float, ...] | None = None
    downbeats: tuple[float, ...] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the labels alone, as plain data."""
        return {
            "collection": self.collection,
            "key": self.key,
            "tempo": self.tempo,
            "octave": self.octave,
            "beats": None if self.beats is None else list(self.beats),
            "downbeats": None if self.downbeats is None else list(self.downbeats),
        }


def read_demo(data: Path | None) -> Iterable[Labels]:
    """Yield mashkit's demo songs, from a clone or from ``data``/examples/songs: all labels exact."""
    places = [] if data is None else [data / "examples" / "songs"]
    places.append(Path(mashkit.__file__).parents[1] / "examples" / "songs")
    folder = next((place for place in places if place.is_dir()), None)
    for path in sorted(folder.glob("*.ogg")) if folder else ():
        said = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        yield Labels(
            collection="demo", name=path.stem, files=[path], key=said["key"], tempo=said["tempo"],
            beats=tuple(said["beats"]), downbeats=tuple(said["downbeats"]),
        )  # fmt: skip


def read_multitracks(data: Path | None) -> Iterable[Labels]:
    """Yield multitracks with ``bpm`` and ``key`` in song.json, or mixture.beats (seconds, number in the bar)."""
    for song in find_multitracks(data / "multitracks") if data else ():
        facts, beats = song / "song.json", song / "mixture.beats"
        said = json.loads(facts.read_text(encoding="utf-8")) if facts.exists() else {}
        times = _beats(beats) if beats.exists() else []
        yield Labels(
            collection="multitracks", name=song.name, files=list(stem_files(song).values()), key=said.get("key"),
            tempo=said.get("bpm"), beats=tuple(time for time, _ in times) or None,
            downbeats=tuple(time for time, number in times if number == 1) or None,
        )  # fmt: skip


def read_ultrastar(data: Path | None) -> Iterable[Labels]:
    """Yield songs with UltraStar's song.txt: its grid, four lines to a beat, whose octave says nothing."""
    for text in sorted((data / "songs").glob("*/song.txt")) if data else ():
        heads = dict(
            line[1:].strip().split(":", 1)
            for line in text.read_text(encoding="utf-8", errors="replace").splitlines()
            if line.startswith("#") and ":" in line
        )
        sounds = sorted(path for path in text.parent.iterdir() if path.suffix.lower() in AUDIO_SUFFIXES)
        if sounds and "BPM" in heads:
            tempo = float(heads["BPM"].replace(",", ".")) / 4
            yield Labels(
                collection="ultrastar", name=text.parent.name, files=sounds[:1], tempo=tempo, octave=False
            )  # fmt: skip


def read_giantsteps_key(data: Path | None) -> Iterable[Labels]:
    """Yield GiantSteps Key: audio/<id>.mp3, annotations/key/<id>.key ("D minor")."""
    folder = data / "giantsteps-key-dataset" if data else None
    for path in sorted((folder / "annotations" / "key").glob("*.key")) if folder else ():
        sound = folder / "audio" / f"{path.stem}.mp3" if folder else path
        if sound.exists():
            yield Labels(
                collection="giantsteps-key", name=path.stem, files=[sound], key=path.read_text(encoding="utf-8").strip()
            )


def read_giantsteps_tempo(data: Path | None) -> Iterable[Labels]:
    """Yield GiantSteps Tempo: audio/<id>.mp3, annotations_v2/tempo/<id>.bpm."""
    folder = data / "giantsteps-tempo-dataset" if data else None
    for path in sorted((folder / "annotations_v2" / "tempo").glob("*.bpm")) if folder else ():
        sound = folder / "audio" / f"{path.stem}.mp3" if folder else path
        tempo = float(path.read_text(encoding="utf-8").split()[0])
        if sound.exists() and tempo > 0:  # 0 stands for a piece without a tempo
            yield Labels(collection="giantsteps-tempo", name=path.stem, files=[sound], tempo=tempo)


def read_ballroom(data: Path | None) -> Iterable[Labels]:
    """Yield Ballroom: BallroomData/<dance>/<id>.wav, BallroomAnnotations/<id>.beats (seconds, number in the bar)."""
    folder = data / "BallroomAnnotations" if data else None
    sounds = {path.stem: path for path in sorted((data / "BallroomData").glob("*/*.wav"))} if data else {}
    for path in sorted(folder.glob("*.beats")) if folder else ():
        if path.stem in sounds:
            times = _beats(path)
            yield Labels(
                collection="ballroom", name=path.stem, files=[sounds[path.stem]],
                beats=tuple(time for time, _ in times), downbeats=tuple(time for time, number in times if number == 1),
            )  # fmt: skip


def _beats(path: Path) -> list[tuple[float, int]]:
    lines = (line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    return [(float(line[0]), int(line[1])) for line in lines]


READERS: Mapping[str, Callable[[Path | None], Iterable[Labels]]] = {
    "demo": read_demo,
    "multitracks": read_multitracks,
    "ultrastar": read_ultrastar,
    "giantsteps-key": read_giantsteps_key,
    "giantsteps-tempo": read_giantsteps_tempo,
    "ballroom": read_ballroom,
}
"""Readers by the name a suite gives them."""


def known_key(text: str | None) -> Key | None:
    """Return a key that a data set names, None for what is no single key ("-", "D minor | F major")."""
    try:
        return None if text is None else Key.parse(text)
    except AnalysisError:
        return None
