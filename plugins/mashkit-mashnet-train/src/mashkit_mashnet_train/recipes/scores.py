"""Excerpts of songs as notes: POP909's melody, accompaniment and chords, and human drumming of the Groove data set.

Conventions: positions and lengths are in quarter notes from the excerpt's first downbeat, pitches are MIDI numbers,
velocities 1–127. All notes are moved to a steady beat, so the beats of the rendered sound are exact.
"""

from __future__ import annotations

import contextlib
import csv
import io
import lzma
import re
import tarfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from mashkit.errors import UsageError
from mashkit.types import Key

QUALITIES: Mapping[str, tuple[int, ...]] = {
    "maj": (0, 4, 7), "min": (0, 3, 7), "dim": (0, 3, 6), "aug": (0, 4, 8), "sus2": (0, 2, 7), "sus4": (0, 5, 7),
    "7": (0, 4, 7, 10), "maj7": (0, 4, 7, 11), "min7": (0, 3, 7, 10), "maj6": (0, 4, 7, 9), "min6": (0, 3, 7, 9),
    "dim7": (0, 3, 6, 9), "hdim7": (0, 3, 6, 10), "minmaj7": (0, 3, 7, 11),
}  # fmt: skip
"""Chord qualities of POP909's annotation → semitones above the root."""
DEGREES = {"b2": 1, "2": 2, "b3": 3, "3": 4, "4": 5, "b5": 6, "5": 7, "#5": 8, "6": 9, "b7": 10, "7": 11}


@attrs.frozen
class Note:
    """One note."""

    start: float
    end: float
    pitch: int
    velocity: int = 90


@attrs.frozen
class Chord:
    """A chord: its start and end, its root and bass (pitch classes), and its tones above the root."""

    start: float
    end: float
    root: int
    bass: int
    tones: tuple[int, ...]


def transposed(notes: Iterable[Note], semitones: int) -> list[Note]:
    """Return notes moved by semitones."""
    return [attrs.evolve(note, pitch=note.pitch + semitones) for note in notes]


def chord_at(chords: Iterable[Chord], time: float) -> Chord | None:
    """Return the chord that sounds at a time; None if there is none."""
    return next((chord for chord in chords if chord.start <= time < chord.end), None)


@attrs.frozen(kw_only=True)
class Excerpt:
    """Some bars of a song.

    Parameters
    ----------
    song : str
    number : int
        Index of the excerpt in its song, from 0 on.
    bars : int
        Number of bars, of four quarters each.
    tempo : float
        BPM at which the song was played.
    key : Key, optional
    melody, bridge, piano : tuple of Note
    chords : tuple of Chord
    """

    song: str
    number: int
    bars: int
    tempo: float
    key: Key | None
    melody: tuple[Note, ...] = attrs.field(repr=False)
    bridge: tuple[Note, ...] = attrs.field(repr=False)
    piano: tuple[Note, ...] = attrs.field(repr=False)
    chords: tuple[Chord, ...] = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class Drumming:
    """A drummer's notes, positions in quarters; ``drummer`` and ``style`` as in Groove's info.csv."""

    id: str
    drummer: str
    style: str
    tempo: float
    hits: tuple[Note, ...] = attrs.field(repr=False)


# ---------------------------------------------------------------------------------------------------------- POP909
def pop909(archive: Path, windows: int, seconds: float, seed: int, songs: int | None = None) -> Iterator[Excerpt]:
    """Yield excerpts of the 4/4 songs of POP909 (Wang et al., ISMIR 2020); a song's excerpts follow each other.

    Parameters
    ----------
    archive : Path
        POP909 as a tar file: a folder for each song with its MIDI, beats, chords and key.
    windows : int
        Largest number of excerpts of a song. They do not overlap, and the melody sounds in at least half of each.
    seconds : float
        Approximate length of an excerpt at the song's own tempo.
    seed : int
    songs : int, optional
        Largest number of songs; by default all.

    Raises
    ------
    UsageError
        If the archive cannot be read or holds no song of POP909, or pretty_midi is not installed.
    """
    found = 0
    for name, files in _songs(archive):
        if found == songs:
            return
        beats = np.array([[float(cell) for cell in line.split()] for line in files["beat_midi.txt"].splitlines()])
        downs = np.flatnonzero(beats[:, 2] == 1)
        if len(downs) < 3 or Counter(np.diff(downs)).most_common(1)[0][0] != 4:
            continue
        parts = _parts(files["mid"])
        if not {"MELODY", "PIANO"} <= set(parts):
            continue
        times = beats[:, 0]
        beat_s = float(np.median(np.diff(times)))
        bars = max(8, 2 * round(seconds / (8 * beat_s)))
        melody = parts["MELODY"]
        number = 0
        random = np.random.default_rng([seed, int(name)])
        for index in _turns(downs, bars, len(times), random):
            if number == windows:
                break
            window = times[index : index + 4 * bars + 1]
            if float(np.ptp(np.diff(window))) > 0.1 * beat_s or _sounding(melody, window[0], window[-1]) < 0.5:
                continue
            yield Excerpt(
                song=f"pop909/{name}", number=number, bars=bars, tempo=60 / float(np.mean(np.diff(window))),
                key=_key(files["key_audio.txt"]), melody=_within(melody, window),
                bridge=_within(parts.get("BRIDGE", []), window), piano=_within(parts["PIANO"], window),
                chords=_chords(files["chord_midi.txt"], window),
            )  # fmt: skip
            number += 1
        found += number > 0


def _songs(archive: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the number and the files of each song."""
    found: dict[str, dict[str, Any]] = {}
    with _opened(archive) as tar:
        for member in tar:
            match = re.fullmatch(r"POP909/(\d{3})/(?:\1\.(mid)|((?:beat_midi|chord_midi|key_audio)\.txt))", member.name)
            if match is None or not member.isfile():
                continue
            file = tar.extractfile(member)
            assert file is not None  # noqa: S101 — a regular file
            data = file.read()
            found.setdefault(match[1], {})[match[2] or match[3]] = data if match[2] else data.decode()
    if not found:
        raise UsageError(f"{archive} holds no song of POP909", "give pop909.tar.xz")
    for name in sorted(found):
        if len(found[name]) == 4:
            yield name, found[name]


@contextlib.contextmanager
def _opened(archive: Path) -> Iterator[tarfile.TarFile]:
    """Open an archive for the block, which only reads it."""
    try:
        with tarfile.open(archive) as tar:
            yield tar
    except (OSError, EOFError, tarfile.TarError, lzma.LZMAError, zlib.error) as error:
        raise UsageError(f"cannot read {archive}: {error}", "give the tar file of the data set") from error


def _parts(data: bytes) -> dict[str, list[tuple[float, float, int, int]]]:
    """Return notes (start, end, pitch, velocity) of each track, in seconds, by the track's name."""
    midi = _midi(data)
    return {
        track.name: [(note.start, note.end, note.pitch, note.velocity) for note in track.notes]
        for track in midi.instruments
    }


def _midi(data: bytes) -> Any:
    try:
        import pretty_midi
    except ImportError as error:
        raise UsageError("reading MIDI needs pretty_midi", 'pip install "mashkit-mashnet-train[render]"') from error
    return pretty_midi.PrettyMIDI(io.BytesIO(data))


def _turns(downs: npt.NDArray[np.int64], bars: int, beats: int, random: np.random.Generator) -> Iterator[int]:
    """Yield the first downbeats of windows that do not overlap, in random order."""
    starts = [int(down) for down in downs if down + 4 * bars < beats]
    taken: list[int] = []
    for index in random.permutation(len(starts)):
        start = starts[index]
        if all(abs(start - other) >= 4 * bars for other in taken):
            yield start
            taken.append(start)


def _sounding(notes: Sequence[tuple[float, float, int, int]], start: float, end: float) -> float:
    """Return the share of the time in which notes sound, at most 1."""
    total = sum(max(0.0, min(end, stop) - max(start, begin)) for begin, stop, _, _ in notes)
    return float(min(1.0, total / (end - start)))


def _within(notes: Sequence[tuple[float, float, int, int]], window: npt.NDArray[np.float64]) -> tuple[Note, ...]:
    places = np.arange(len(window))
    found = []
    for begin, stop, pitch, velocity in sorted(notes):
        if stop <= window[0] or begin >= window[-1] - 0.02:
            continue
        start, end = np.interp([max(begin, window[0]), min(stop, window[-1])], window, places)
        if end > start:
            found.append(Note(float(start), float(end), int(pitch), int(velocity)))
    return tuple(found)


def _chords(text: str, window: npt.NDArray[np.float64]) -> tuple[Chord, ...]:
    places = np.arange(len(window))
    found = []
    for line in text.splitlines():
        begin, stop, name = line.split()
        if name == "N" or float(stop) <= window[0] or float(begin) >= window[-1]:
            continue
        start, end = np.interp([float(begin), float(stop)], window, places)
        root, bass, tones = _chord(name)
        found.append(Chord(round(float(start)), round(float(end)), root, bass, tones))
    return tuple(chord for chord in found if chord.end > chord.start)


def _chord(name: str) -> tuple[int, int, tuple[int, ...]]:
    """Return root, bass and tones of a chord in POP909's notation, such as "Bb:min7/b3"."""
    root_name, _, rest = name.partition(":")
    quality, _, degree = rest.partition("/")
    root = Key.parse(root_name).tonic
    tones = QUALITIES.get(re.sub(r"\(.*\)", "", quality), QUALITIES["min" if quality.startswith("min") else "maj"])
    return root, (root + DEGREES.get(degree, 0)) % 12, tones


def _key(text: str) -> Key | None:
    lines = text.split()
    if len(lines) < 3:
        return None
    root, _, mode = lines[2].partition(":")
    return Key.parse(f"{root} {mode}")


# ---------------------------------------------------------------------------------------------------------- Groove
def require_groove(archive: Path) -> None:
    """Raise UsageError if a file is not the Groove MIDI Dataset as a tar file; it is read up to its info.csv."""
    with _opened(archive) as tar:
        if not any(member.name.removeprefix("./").removeprefix("groove/") == "info.csv" for member in tar):
            raise _no_groove(archive)


def _no_groove(archive: Path) -> UsageError:
    return UsageError(f"{archive} holds no info.csv", "give groove.tar.xz")


def groove(archive: Path) -> list[Drumming]:
    """Return the beats in 4/4 of the Groove MIDI Dataset (Gillick et al., ICML 2019) that last at least 16 quarters.

    Parameters
    ----------
    archive : Path
        The data set as a tar file with its info.csv.

    Raises
    ------
    UsageError
        If the archive cannot be read or holds no info.csv, or pretty_midi is not installed.
    """
    files: dict[str, bytes] = {}
    with _opened(archive) as tar:
        for member in tar:
            if member.isfile() and member.name.endswith((".mid", "info.csv")):
                file = tar.extractfile(member)
                assert file is not None  # noqa: S101 — a regular file
                files[member.name.removeprefix("./").removeprefix("groove/")] = file.read()
    if "info.csv" not in files:
        raise _no_groove(archive)
    found = []
    for row in csv.DictReader(io.StringIO(files["info.csv"].decode())):
        tempo = float(row["bpm"])
        long_enough = float(row["duration"]) * tempo / 60 >= 16
        if row["beat_type"] != "beat" or row["time_signature"] != "4-4" or not long_enough:
            continue
        hits = [
            Note(note.start * tempo / 60, note.end * tempo / 60, note.pitch, note.velocity)
            for track in _midi(files[row["midi_filename"]]).instruments
            for note in track.notes
        ]
        found.append(
            Drumming(
                id=row["id"], drummer=row["drummer"], style=row["style"].split("/")[0], tempo=tempo, hits=tuple(hits)
            )
        )
    return sorted(found, key=lambda drumming: drumming.id)
