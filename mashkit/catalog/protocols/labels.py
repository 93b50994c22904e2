"""Read label files: beats, sections, tables, and notes on a song such as its title.

All files are text in UTF-8. Files of beats and sections have an entry on each line, with columns separated by spaces or
tabs; empty lines are skipped. Errors name the file and the line.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from mashkit.errors import AnalysisError, LabelError
from mashkit.numbers import plain_number
from mashkit.paths import is_file
from mashkit.types import Analysis, Key


@attrs.frozen
class Section:
    """A part of a song, as labelled.

    Parameters
    ----------
    start, end : float
        Seconds; the end is infinite if the labels do not give it.
    label : str
    """

    start: float
    end: float
    label: str


def read_beats(path: Path, *, columns: int = 2) -> Analysis:
    """Read beats: time in seconds, place in the bar from 1, and further columns, which are not used.

    Parameters
    ----------
    path : Path
    columns : int
        Number of columns, ≥ 2.

    Returns
    -------
    Analysis
        The beats; those at place 1 of a bar are the downbeats.

    Raises
    ------
    LabelError
        If the file is missing, a line has another number of columns, times do not increase, or fewer than two bars
        begin.
    """
    beats: list[float] = []
    downbeats: list[float] = []
    for number, line in lines_of(path):
        words = line.split()
        if len(words) != columns:
            raise LabelError(
                path, number, f"{len(words)} columns, not {columns}", "write the time and the position in the bar"
            )
        moment = _increasing(path, number, words[0], beats[-1] if beats else None)
        if not words[1].isdecimal() or int(words[1]) < 1:
            raise LabelError(
                path, number, f"{words[1]!r} is not a position in a bar", "count the beats of a bar from 1"
            )
        beats.append(moment)
        if int(words[1]) == 1:
            downbeats.append(moment)
    if len(downbeats) < 2:
        raise LabelError(path, None, f"{len(downbeats)} bars begin in it", "number the first beat of each bar 1")
    return Analysis(beats=beats, downbeats=downbeats)


def read_segments(path: Path) -> list[Section]:
    """Read the segments of a song: the start in seconds and the name; each segment ends where the next begins.

    Raises
    ------
    LabelError
        If the file is missing or empty, a name is missing, or times do not increase.
    """
    starts: list[float] = []
    names: list[str] = []
    for number, line in lines_of(path):
        words = line.split(maxsplit=1)
        if len(words) != 2:
            raise LabelError(path, number, f"{line!r} has no name", "write time and name")
        starts.append(_increasing(path, number, words[0], starts[-1] if starts else None))
        names.append(words[1].strip())
    ends = [*starts[1:], math.inf]
    return [Section(*section) for section in zip(starts, ends, names, strict=True)]


def read_sections(path: Path, *, known: frozenset[str]) -> list[Section]:
    """Read parts of a song, as Audacity exports labels: start and end in seconds, and the name.

    Parameters
    ----------
    path : Path
    known : frozenset of str
        Names that are accepted.

    Raises
    ------
    LabelError
        If the file is missing or empty, a line has another number of columns or another name, a part ends before it
        begins, or the parts are out of order.
    """
    sections: list[Section] = []
    for number, line in lines_of(path):
        words = line.split()
        if len(words) != 3:
            raise LabelError(path, number, f"{len(words)} columns, not 3", "write start, end and name")
        start = _increasing(path, number, words[0], sections[-1].start if sections else None)
        end = _increasing(path, number, words[1], start)
        if words[2].lower() not in known:
            raise LabelError(path, number, f"{words[2]!r} is not a known part", f"use {' or '.join(sorted(known))}")
        sections.append(Section(start, end, words[2].lower()))
    return sections


def read_table(path: Path, columns: tuple[str, ...]) -> list[tuple[int, dict[str, str]]]:
    """Read a CSV file with a heading; return the line number and the row of each entry.

    Raises
    ------
    LabelError
        If the file is missing or is not a CSV file, or one of ``columns`` is missing in the heading or empty in a row.
    """
    # Not splitlines(), which ends a line also at characters that may be in a title.
    reader = csv.DictReader(io.StringIO(_text(path), newline=""))
    missing = [name for name in columns if name not in (reader.fieldnames or ())]
    if missing:
        raise LabelError(path, 1, f"there is no column {', '.join(missing)}", f"begin with a line {','.join(columns)}")
    rows = []
    try:
        for row in reader:
            if any(not row[name] for name in columns):
                raise LabelError(path, reader.line_num, "a column is empty", f"fill in {', '.join(columns)}")
            rows.append((reader.line_num, row))
    except csv.Error as error:
        raise LabelError(path, reader.line_num, f"is not CSV: {error}", "export it again") from error
    return rows


@attrs.frozen
class SongNotes:
    """The content of ``song.json`` in a song's folder; missing entries are empty.

    Parameters
    ----------
    title : str
        Artist and title.
    licence : str
        Licence of the recording.
    key : Key, optional
    tempo : float, optional
        BPM.
    downbeat : float, optional
        Time at which a bar begins, seconds.
    source : mapping of str to str
        Origin of the song ("source"), and of its key and tempo ("labels").
    """

    title: str = ""
    licence: str = ""
    key: Key | None = None
    tempo: float | None = None
    downbeat: float | None = None
    source: Mapping[str, str] = attrs.field(factory=dict)


def read_song_notes(folder: Path) -> SongNotes:
    """Read ``song.json`` in a folder: "title", "artist", "licence", "key", "bpm", "source", "labels", all optional.

    Raises
    ------
    LabelError
        If the file is not a JSON object, or key or tempo are not valid.
    """
    return read_notes(folder / "song.json")


def read_notes(path: Path) -> SongNotes:
    """Read a file like the ``song.json`` of :func:`read_song_notes`; it may also contain a "downbeat" in seconds.

    Raises
    ------
    LabelError
        If the file is not a JSON object, or key, tempo or downbeat are not valid.
    """
    if not is_file(path):
        return SongNotes()
    try:
        data: Any = json.loads(_text(path))
    except (ValueError, RecursionError) as error:
        raise LabelError(
            path, getattr(error, "lineno", None), f"is not JSON: {error}", "check commas and quotes"
        ) from None
    if not isinstance(data, dict):
        raise LabelError(path, None, "holds no JSON object", 'write {"title": …, "licence": …}')
    words = {name: str(data[name]) for name in ("title", "artist", "licence", "source", "labels") if name in data}
    tempo = data.get("bpm")
    if tempo is not None and (isinstance(tempo, bool) or not isinstance(tempo, int | float) or not 20 <= tempo <= 400):
        raise LabelError(path, None, f"bpm is {tempo!r}", "give a number from 20 to 400")
    downbeat = plain_number(data.get("downbeat"))
    if downbeat is not None and not (type(downbeat) is float and 0 <= downbeat < math.inf):
        raise LabelError(path, None, f"downbeat is {downbeat!r}", "give seconds from the song's start")
    try:
        key = None if data.get("key") is None else Key.parse(str(data["key"]))
    except AnalysisError as error:
        raise LabelError(path, None, error.problem, error.fix) from error
    return SongNotes(
        title=" - ".join(words[name] for name in ("artist", "title") if words.get(name)),
        licence=words.get("licence", ""),
        key=key,
        tempo=None if tempo is None else float(tempo),
        downbeat=None if downbeat is None else float(downbeat),
        source={name: words[name] for name in ("source", "labels") if name in words},
    )


def lines_of(path: Path) -> Iterator[tuple[int, str]]:
    """Yield number and text of each line that is not empty; raises LabelError for a missing or empty file."""
    lines = [(number, line.strip()) for number, line in enumerate(_text(path).splitlines(), 1) if line.strip()]
    if not lines:
        raise LabelError(path, None, "is empty", "fetch it again")
    yield from lines


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")  # spreadsheets begin their CSV files with a byte order mark
    except FileNotFoundError as error:
        raise LabelError(path, None, "does not exist", "put the file there") from error
    except OSError as error:
        raise LabelError(path, None, f"cannot be read: {error.strerror}", "check its permissions") from error
    except UnicodeDecodeError as error:
        raise LabelError(path, None, "is not text in UTF-8", "save it as UTF-8") from error


def _increasing(path: Path, number: int, word: str, before: float | None) -> float:
    """Return a time from its text; it must be later than the time ``before``."""
    try:
        moment = float(word)
    except ValueError as error:
        raise LabelError(path, number, f"{word!r} is not a time", "write seconds, like 12.345") from error
    if not (np.isfinite(moment) and moment >= 0):
        raise LabelError(path, number, f"{word!r} is not a time in a song", "write seconds, 0 or more")
    if before is not None and moment <= before:
        raise LabelError(path, number, f"{moment} s does not come after {before} s", "sort the lines by time")
    return moment
