"""Melodies sung by Sinsy with the voice of the package pysinsy (a Japanese soprano, HTS).

The voice sings well from D4 on, in tune to half a semitone, and less in tune above E5; :mod:`.singers` makes voices of
it that are in tune. Here, a lower and broader voice is made as on tape: the melody is sung higher and faster, then
played slower, which lowers pitch, formants and tempo alike.

Conventions: notes and lengths are in quarter notes, pitches are MIDI numbers.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import scipy.signal

from mashkit.errors import UsageError
from mashkit.types import Samples
from mashkit_mashnet_train.recipes.scores import Note

LOWEST, HIGHEST = 62, 81
"""Range of pitches that the voice sings well: D4 to A5."""
DIVISIONS = 24
"""Units of time per quarter note: sixteenths and their triplets are whole numbers of units."""
MEASURE = 4 * DIVISIONS
SYLLABLES = tuple("あいうえおかきくけこさしすせそたちつてとなにぬねのはひふへほまみむめもらりるれろ")
_STEPS = ("C", "C", "D", "D", "E", "F", "F", "G", "G", "A", "A", "B")
_SHARPS = (0, 1, 0, 1, 0, 0, 1, 0, 1, 0, 1, 0)


def sing(notes: Sequence[Note], tempo: float, lower_by: int, seed: int, sample_rate: int) -> Samples | None:
    """Return a sung melody as mono samples from the first beat on; None if a note is out of the voice's range.

    Parameters
    ----------
    notes : sequence of Note
        One at a time; a note that overlaps the next is cut short.
    tempo : float
        BPM.
    lower_by : int
        Semitones by which the voice sings higher and is then played lower and slower: 0 to 9.
    seed : int
        Seed of the syllables.
    sample_rate : int
        Hz.

    Raises
    ------
    UsageError
        If pysinsy is not installed.
    """
    if any(not LOWEST <= note.pitch + lower_by <= HIGHEST for note in notes):
        return None
    ratio = 2 ** (lower_by / 12)
    random = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "melody.xml"
        path.write_text(_music_xml(measures(notes, lower_by), tempo * ratio, random), encoding="utf-8")
        voice = _voice()
        voice.loadScoreFromMusicXML(str(path))
        with _silent():
            samples, rate = voice.synthesize()
        voice.clearScore()
    # Resampled to ratio times as many samples, so that the voice plays slower and lower.
    slow = Fraction(sample_rate * ratio / rate).limit_denominator(500)
    sung = scipy.signal.resample_poly(np.asarray(samples), slow.numerator, slow.denominator)
    lead = round(4 * 60 / tempo * sample_rate)
    peak = float(np.abs(sung).max(initial=0.0))
    return (sung[lead:] / peak).astype(np.float32) if peak else None


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Drop what C code writes to standard error, because Sinsy warns of each short note, and sings it all the same."""
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def require_sinsy() -> None:
    """Raise UsageError, with the fix, if pysinsy is missing."""
    _voice()


def sing_package(name: str, tools: str) -> Any:
    """Import a package that singing needs; raise UsageError, with the fix, if it is missing."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # these packages use pkg_resources, which is deprecated
            return importlib.import_module(name)
    except ImportError as error:  # of pkg_resources too, which setuptools has up to version 81
        raise UsageError(
            f"singing needs {name} ({error})", f"pip install 'mashkit-mashnet-train[sing]' (it is built with {tools})"
        ) from error


@functools.cache
def _voice() -> Any:
    pysinsy = sing_package("pysinsy", "cmake and g++")
    voice = pysinsy.Sinsy()
    voice.setLanguages("j", pysinsy.get_default_dic_dir())
    voice.loadVoices(pysinsy.get_default_htsvoice())
    return voice


def measures(notes: Sequence[Note], shift: int) -> list[list[tuple[int | None, int, bool, bool]]]:
    """Return measures of (pitch or None for a rest, divisions, tied to the last, tied to the next), a rest first."""
    events: list[tuple[int | None, int, int]] = [(None, 0, MEASURE)]
    clock = MEASURE
    for index, note in enumerate(notes):
        start = MEASURE + round(note.start * DIVISIONS)
        end = MEASURE + round(note.end * DIVISIONS)
        if index + 1 < len(notes):
            end = min(end, MEASURE + round(notes[index + 1].start * DIVISIONS))
        start = max(start, clock)
        if end - start < DIVISIONS // 8:
            continue
        if start > clock:
            events.append((None, clock, start))
        events.append((note.pitch + shift, start, end))
        clock = end
    events.append((None, clock, (clock // MEASURE + 2) * MEASURE))  # Sinsy needs a rest at the end
    measures: list[list[tuple[int | None, int, bool, bool]]] = []
    for pitch, start, end in events:
        at = start
        while at < end:
            stop = min(end, (at // MEASURE + 1) * MEASURE)
            while len(measures) <= at // MEASURE:
                measures.append([])
            measures[at // MEASURE].append((pitch, stop - at, at > start, stop < end))
            at = stop
    return measures


def _music_xml(
    measures: Sequence[Sequence[tuple[int | None, int, bool, bool]]], tempo: float, random: np.random.Generator
) -> str:
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?><score-partwise version="2.0"><part-list><score-part id="P1">'
        '<part-name>voice</part-name></score-part></part-list><part id="P1">'
    ]
    for number, measure in enumerate(measures, 1):
        lines.append(f'<measure number="{number}">')
        if number == 1:
            lines.append(
                f"<attributes><divisions>{DIVISIONS}</divisions><key><fifths>0</fifths></key><time><beats>4</beats>"
                f'<beat-type>4</beat-type></time></attributes><direction><sound tempo="{tempo:.4f}"/></direction>'
            )
        for pitch, length, tied, ties in measure:
            if pitch is None:
                lines.append(f"<note><rest/><duration>{length}</duration></note>")
                continue
            tie = '<tie type="stop"/>' * tied + '<tie type="start"/>' * ties
            lyric = "" if tied else f"<lyric><text>{SYLLABLES[random.integers(len(SYLLABLES))]}</text></lyric>"
            lines.append(
                f"<note><pitch><step>{_STEPS[pitch % 12]}</step><alter>{_SHARPS[pitch % 12]}</alter>"
                f"<octave>{pitch // 12 - 1}</octave></pitch><duration>{length}</duration>{tie}{lyric}</note>"
            )
        lines.append("</measure>")
    return "".join([*lines, "</part></score-partwise>"])
