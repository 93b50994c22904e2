"""Read music with labels of key, tempo or beats: songs rendered here, and published annotations.

Each reader reads one dataset layout, given the folder of the collection. A label that a data set lacks is None, and no
metric is computed from it. A piece whose labels cannot be read or cannot be true has a problem instead, so that it
costs no other piece.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from mashkit.audio.files import AUDIO_SUFFIXES
from mashkit.bench.multitracks import find_multitracks, stem_files
from mashkit.errors import AnalysisError, MashkitError
from mashkit.numbers import plain_number
from mashkit.types import TONIC_NAMES, Analysis, Chords, Key, as_tuple


@attrs.frozen(kw_only=True)
class Labels:
    """The labels of a piece of music.

    Parameters
    ----------
    collection, name : str
    files : tuple of Path
        Sound files whose sum is the piece.
    key : str, optional
        In the form that :meth:`mashkit.types.Key.parse` reads.
    tempo : float, optional
        BPM.
    grid : float, optional
        BPM of a grid for syllables, which may be unrelated to the beat.
    beats, downbeats : tuple of float, optional
        Seconds.
    chords : tuple of (float, str), optional
        Second at which each begins, and its label as :class:`mashkit.types.Chords` has it; the last is only an end.
    problem : str
        Why the labels cannot be read; empty if they can.
    """

    collection: str
    name: str
    files: tuple[Path, ...] = attrs.field(converter=as_tuple)
    key: str | None = None
    tempo: float | None = None
    grid: float | None = None
    beats: tuple[float, ...] | None = None
    downbeats: tuple[float, ...] | None = None
    chords: tuple[tuple[float, str], ...] | None = None
    problem: str = ""

    def fault(self) -> str:
        """Return why the labels cannot be used; empty if they can.

        It is ``problem``, or what cannot be true: a tempo or grid that is not a positive number, or times that do not
        increase. A wrong label that is found only while competitors are measured would count as their fault.
        """
        if self.problem:
            return self.problem
        if self.grid is not None and not (_is_number(self.grid) and 0 < self.grid < math.inf):
            return f"the grid is {self.grid!r}"
        try:
            true_analysis(self.to_dict())
        except AnalysisError as error:
            return error.problem
        return ""

    def to_dict(self) -> dict[str, Any]:
        """Return the labels without name and files, as plain data."""
        return {
            "collection": self.collection,
            "key": self.key,
            "tempo": self.tempo,
            "grid": self.grid,
            "beats": None if self.beats is None else list(self.beats),
            "downbeats": None if self.downbeats is None else list(self.downbeats),
            # Only where they are known, so that other pieces stay the same inputs.
            **({} if self.chords is None else {"chords": [list(chord) for chord in self.chords]}),
        }


def true_analysis(labels: Mapping[str, Any]) -> Analysis:
    """Return the labels of :meth:`Labels.to_dict` as the analysis with which those of analyzers are compared.

    Raises
    ------
    AnalysisError
        If the labels break the rules of an analysis, or the key is not text.
    """
    chords = labels.get("chords")
    return Analysis(
        key=known_key(labels["key"]),
        tempo=labels["tempo"],
        beats=labels["beats"],
        downbeats=_among(labels["downbeats"], labels["beats"]),
        chords=None if chords is None else Chords([one[0] for one in chords], [one[1] for one in chords[:-1]]),
    )


def _among(downbeats: Sequence[float] | None, beats: Sequence[float] | None) -> Sequence[float] | None:
    """Return the downbeats that are also beats, exactly, because an analysis allows no others."""
    if downbeats is None or beats is None:
        return None
    known = set(beats)
    return [time for time in downbeats if time in known]


def _is_number(value: object) -> bool:
    return type(plain_number(value)) is float


def _labelled(
    collection: str, name: str, files: Sequence[Path], readers: Mapping[Path, Callable[[Path], Mapping[str, Any]]]
) -> Labels:
    """Return a piece with the labels of every file in ``readers`` that is there, or with the problem of one."""
    piece = Labels(collection=collection, name=name, files=files)
    for path, read in readers.items():
        try:
            piece = attrs.evolve(piece, **(read(path) if path.exists() else {}))
            why = piece.fault()
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError, MashkitError) as error:
            why = error.problem if isinstance(error, MashkitError) else repr(error)
        if why:
            # Not the whole path, because reasons are kept with results, which are passed on.
            place = f"{path.parent.name}/{path.name}"
            problem = f"the labels in {place} cannot be read: {why}; correct or remove the file"
            return Labels(collection=collection, name=name, files=files, problem=problem)
    return piece


def read_demo(folder: Path) -> Iterable[Labels]:
    """Yield mashkit's demo songs: all labels exact."""
    for path in sorted(folder.glob("*.ogg")):
        yield _labelled("demo", path.stem, [path], {path.with_suffix(".json"): _demo})


def _demo(path: Path) -> dict[str, Any]:
    said = json.loads(path.read_text(encoding="utf-8"))
    return {
        "key": said["key"],
        "tempo": said["tempo"],
        "beats": tuple(said["beats"]),
        "downbeats": tuple(said["downbeats"]),
        "chords": (*((start, _harte(chord)) for start, _, chord in said["chords"]), (said["chords"][-1][1], "N")),
    }


def _harte(chord: str) -> str:
    """Return a chord as it stands over a staff ("Gm7", "F/A") in the syntax of labels, without its bass."""
    found = re.fullmatch(r"([A-G][b#]?)([^/]*)(/[A-G][b#]?)?", chord)
    if found is None or found[2] not in _QUALITIES:
        raise AnalysisError(f"{chord!r} is not a chord of the demo songs", f"there are: {', '.join(_QUALITIES)}")
    return f"{found[1]}:{_QUALITIES[found[2]]}"


_QUALITIES = {"": "maj", "m": "min", "m7": "min7", "maj7": "maj7", "7": "7"}


def read_multitracks(folder: Path) -> Iterable[Labels]:
    """Yield multitracks with ``bpm`` and ``key`` in song.json, or mixture.beats (seconds, number in the bar)."""
    for song in find_multitracks(folder):
        files = list(stem_files(song).values())
        readers = {song / "song.json": _song_facts, song / "mixture.beats": _beats}
        yield _labelled("multitracks", song.name, files, readers)


def _song_facts(path: Path) -> dict[str, Any]:
    said = json.loads(path.read_text(encoding="utf-8"))
    return {"key": said.get("key"), "tempo": _bpm(said.get("bpm"))}


def _bpm(value: Any) -> float | None:
    """Return a tempo as a file gives it; 0 stands for a piece without a tempo."""
    if value is not None and not _is_number(value):
        raise AnalysisError(f"the tempo is {value!r}", "give a number of BPM")
    return value or None


def read_ultrastar(folder: Path) -> Iterable[Labels]:
    """Yield songs with UltraStar's song.txt: its grid, four lines to a beat."""
    for text in sorted(folder.glob("*/song.txt")):
        sounds = sorted(path for path in text.parent.iterdir() if path.suffix.lower() in AUDIO_SUFFIXES)
        if sounds:
            yield _labelled("ultrastar", text.parent.name, sounds[:1], {text: _ultrastar})


def _ultrastar(path: Path) -> dict[str, Any]:
    heads = dict(
        line[1:].strip().split(":", 1)
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines()
        if line.startswith("#") and ":" in line
    )
    return {"grid": float(heads["BPM"].replace(",", ".")) / 4}


def read_giantsteps_key(folder: Path) -> Iterable[Labels]:
    """Yield GiantSteps Key: audio/<id>.mp3, annotations/key/<id>.key ("D minor")."""
    for path in sorted((folder / "annotations" / "key").glob("*.key")):
        sound = folder / "audio" / f"{path.stem}.mp3"
        if sound.exists():
            yield _labelled("giantsteps-key", path.stem, [sound], {path: _key})


def _key(path: Path) -> dict[str, Any]:
    return {"key": path.read_text(encoding="utf-8").strip()}


def read_giantsteps_tempo(folder: Path) -> Iterable[Labels]:
    """Yield GiantSteps Tempo: audio/<id>.mp3, annotations_v2/tempo/<id>.bpm."""
    for path in sorted((folder / "annotations_v2" / "tempo").glob("*.bpm")):
        sound = folder / "audio" / f"{path.stem}.mp3"
        if sound.exists():
            labels = _labelled("giantsteps-tempo", path.stem, [sound], {path: _tempo})
            if labels.problem or labels.tempo is not None:
                yield labels


def _tempo(path: Path) -> dict[str, Any]:
    return {"tempo": _bpm(float(path.read_text(encoding="utf-8").split()[0]))}


def read_ballroom(folder: Path) -> Iterable[Labels]:
    """Yield Ballroom: <id>.beats (seconds, number in the bar), and beside the folder BallroomData/<dance>/<id>.wav."""
    sounds = {path.stem: path for path in sorted((folder.parent / "BallroomData").glob("*/*.wav"))}
    for path in sorted(folder.glob("*.beats")):
        if path.stem in sounds:
            yield _labelled("ballroom", path.stem, [sounds[path.stem]], {path: _beats})


def read_gtzan(folder: Path) -> Iterable[Labels]:
    """Yield GTZAN: <genre>/<genre>.<number>.{wav,au} with the labels of two repositories, which are beside gtzan_genre.

    Keys are those of gtzan_key (gtzan_key/genres/<genre>/<genre>.<number>.lerch.txt: 0–11 major and 12–23 minor keys
    from A up, −1 none), tempi and beats those of gtzan_tempo_beat (tempo/gtzan_<genre>_<number>.bpm, and beats/….beats,
    whose second column, where there is one, is the number in the bar).
    """
    data = folder.parents[1]
    for sound in sorted(folder.glob("*/*.*")):
        if sound.suffix.lower() not in (".wav", ".au"):
            continue
        genre, _, number = sound.stem.partition(".")
        key = data / "gtzan_key" / "gtzan_key" / "genres" / genre / f"{sound.stem}.lerch.txt"
        tempo, beats = (
            data / "gtzan_tempo_beat" / kind / f"gtzan_{genre}_{number}{suffix}"
            for kind, suffix in (("tempo", ".bpm"), ("beats", ".beats"))
        )
        labels = _labelled("gtzan", sound.stem, [sound], {key: _gtzan_key, tempo: _tempo, beats: _beats})
        if labels.problem or labels.key is not None or labels.tempo is not None or labels.beats is not None:
            yield labels


def _gtzan_key(path: Path) -> dict[str, Any]:
    number = int(path.read_text(encoding="utf-8").split()[0])
    # Counted from A, nine semitones above C.
    known = 0 <= number < 24
    return {"key": f"{TONIC_NAMES[(number + 9) % 12]} {'major' if number < 12 else 'minor'}" if known else None}


def _beats(path: Path) -> dict[str, Any]:
    lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    # Without a second column there are no downbeats.
    return {
        "beats": tuple(float(line[0]) for line in lines) or None,
        "downbeats": tuple(float(line[0]) for line in lines if len(line) > 1 and int(float(line[1])) == 1) or None,
    }


def known_key(text: str | None) -> Key | None:
    """Return the key of a data set's text; None if the text is not a single key ("-", "D minor | F major").

    Raises
    ------
    AnalysisError
        If it is not text.
    """
    if text is not None and not isinstance(text, str):
        raise AnalysisError(f"the key is {text!r}", 'give text, such as "A minor"')
    try:
        return None if text is None else Key.parse(text)
    except AnalysisError:
        return None
