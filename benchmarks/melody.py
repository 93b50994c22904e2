"""How well the pitch of a voice is found, and at what cost: the analyzer swift-f0 against sub-harmonic summation.

The suite `analyzers` ranks analyzers of melody; this compares one with a method that is not an analyzer, at three
levels of residue.

    python benchmarks/melody.py [--songs 12] [--write]

The voices are those of :mod:`mashkit.bench.rendered`, whose notes are known, alone and with what a separator leaves of
the accompaniment: the true accompaniment, 20 and 10 dB below the voice. Measured as mir_eval.melody measures (Salamon
et al.: Melody extraction from polyphonic music signals, IEEE Signal Processing Magazine 31 (2), 2014), from the frames
of swift-f0. Sub-harmonic summation is what mashkit's scorers use (``mashkit_mashnet.pitches.melody``): 24 steps an
octave and no decision whether anything is sung, so it is compared by raw pitch and raw chroma accuracy alone. With
--write the figures are kept as benchmarks/results/melody.json.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence

import mir_eval
import numpy as np
import numpy.typing as npt
from script import RESULTS, refuse_fewer, run_script

from mashkit.atomicfile import write_json
from mashkit.bench.rendered import Composition, compose, render, voice_left
from mashkit.cli.actions import positive
from mashkit.types import Audio, Times
from mashkit_mashnet.pitches import FRAME_RATE, fundamentals, whitened
from mashkit_mashnet.stem_features import StemFeatures
from mashkit_swift_f0.analyzer import SwiftF0Analyzer

Hertz = npt.NDArray[np.float64]
RESIDUES_DB = (None, -20.0, -10.0)
LOWEST_HZ = 440 * 2 ** ((30 - 69) / 12)
"""The lowest band of a wide spectrum: F♯1."""


def swift_f0(voice: Audio) -> tuple[Times, Hertz]:
    """Return frames and their pitch, 0 where swift-f0 finds no voice."""
    melody = SwiftF0Analyzer().analyze(voice).melody
    return (np.zeros(0), np.zeros(0)) if melody is None else (melody.times, melody.f0)


def summation(voice: Audio) -> tuple[Times, Hertz]:
    """Return frames and their pitch; it always finds one."""
    bands, _ = fundamentals(whitened(StemFeatures.of(voice).spectrum))
    return np.arange(len(bands)) / FRAME_RATE, LOWEST_HZ * 2 ** (bands / 24)


WAYS: dict[str, Callable[[Audio], tuple[Times, Hertz]]] = {"swift-f0": swift_f0, "summation": summation}


def voice_with_residue(song: Composition, residue_db: float | None) -> Audio:
    """Return the voice, with the accompaniment that far below it."""
    stems = render(song)
    return stems.stems["vocals"] if residue_db is None else voice_left(stems, residue_db)


def measured(way: str, songs: Sequence[Composition], residue_db: float | None) -> dict[str, float]:
    """Return the mean of each metric over songs, %, the median error in cents, and the CPU seconds for 30 s of sound.

    The error is that of frames of the right pitch: less than half a semitone off.
    """
    rows, errors, cost, length = [], [], 0.0, 0.0
    for song in songs:
        voice = voice_with_residue(song, residue_db)
        begin = time.process_time()
        times, hertz = WAYS[way](voice)
        cost, length = cost + time.process_time() - begin, length + voice.duration
        true = song.sung_hz(times)
        scores = mir_eval.melody.evaluate(times, true, times, hertz)
        rows.append([scores[name] for name in METRICS])
        both = (true > 0) & (hertz > 0)
        cents = 1200 * np.abs(np.log2(hertz[both] / true[both]))
        errors.append(float(np.median(cents[cents < 50])))
    means = dict(zip(METRICS, 100 * np.mean(rows, axis=0), strict=True))
    return {
        **{name: round(float(value), 1) for name, value in means.items()},
        "median error, cents": round(float(np.mean(errors)), 1),
        "CPU s for 30 s": round(30 * cost / length, 2),
    }


METRICS = ("Raw Pitch Accuracy", "Raw Chroma Accuracy", "Voicing Recall", "Voicing False Alarm", "Overall Accuracy")


def main() -> None:
    """Print a table, and keep the figures with ``--write``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--songs", type=positive, default=12)
    parser.add_argument("--write", action="store_true", help="keep the result in benchmarks/results")
    arguments = parser.parse_args()
    path = RESULTS / "melody.json"
    if arguments.write:
        refuse_fewer(parser, path, "songs", arguments.songs)
    songs = [compose(7, number) for number in range(arguments.songs)]
    warm = voice_with_residue(songs[0], None)
    for find in WAYS.values():
        find(warm)  # imports and loads
    results = [
        {"way": way, "residue_db": residue, **measured(way, songs, residue)} for residue in RESIDUES_DB for way in WAYS
    ]
    for row in results:
        print(row)
    if arguments.write:
        write_json(path, {"songs": arguments.songs, "seed": 7, "rows": results})


if __name__ == "__main__":
    run_script(main)
