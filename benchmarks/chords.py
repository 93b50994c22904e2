"""How well chords are named, and at what cost: analyzers that provide chords, on songs whose chords are known.

    python benchmarks/chords.py [--analyzer madmom-chords] [--rendered 12] [--output benchmarks/results/chords.json]

The songs are those in examples/songs, whose labels are the score's, and songs of :mod:`mashkit.bench.rendered`.
Measured as mir_eval.chord does (Raffel et al., ISMIR 2014): the share of the time in which root, third and fifth are
right ("majmin", where a diminished chord is left out), and the root alone; "%" of the time that counts. Sevenths and
basses of the labels are left out by these measures.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import mir_eval
import numpy as np

from mashkit.audio.files import load
from mashkit.bench.rendered import LEAD_S, STEPS, compose, render
from mashkit.interfaces import Analyzer
from mashkit.registry import Registry
from mashkit.synthetic import signals
from mashkit.types import Analysis, Audio, Chords
from mashkit.types.chords import NO_CHORD

HERE = Path(__file__).parent
SONGS = HERE.parent / "examples" / "songs"
QUALITIES = {"": "maj", "m": "min", "m7": "min7", "maj7": "maj7", "7": "7", "sus4": "sus4", "m7b5": "hdim7"}
MEASURES = {"majmin": mir_eval.chord.majmin, "root": mir_eval.chord.root}


def harte(label: str) -> str:
    """Return a chord as it stands over a staff ("Gm7", "F/A") in mir_eval's syntax, without its bass."""
    found = re.fullmatch(r"([A-G][b#]?)([^/]*)(/[A-G][b#]?)?", label)
    if found is None:
        raise ValueError(f"{label!r} is no chord")
    return f"{found[1]}:{QUALITIES[found[2]]}"


def demo_songs() -> Iterator[tuple[str, Audio, Chords]]:
    """Yield name, sound and chords of each demo song."""
    for path in sorted(SONGS.glob("*.json")):
        labels = json.loads(path.read_text(encoding="utf-8"))["chords"]
        times = [start for start, _, _ in labels] + [labels[-1][1]]
        yield path.stem, load(path.with_suffix(".ogg")), Chords(times, [harte(label) for _, _, label in labels])


def rendered_songs(count: int) -> Iterator[tuple[str, Audio, Chords]]:
    """Yield name, sound and chords of rendered songs."""
    for number in range(count):
        song = compose(7, number)
        bars = LEAD_S + np.arange(song.bars + 1) * STEPS * song.step_s
        yield f"rendered {number}", signals.mix(render(song)), Chords(bars, song.harmony)


def scores(found: Analysis, true: Chords) -> dict[str, float]:
    """Return each measure over the labelled time, 0–1."""
    chords = found.chords or Chords([0.0, float(true.times[-1])], [NO_CHORD])
    intervals, labels = mir_eval.util.adjust_intervals(
        chords.intervals, list(chords.labels), true.times[0], true.times[-1], NO_CHORD, NO_CHORD
    )
    spans, due, heard = mir_eval.util.merge_labeled_intervals(true.intervals, list(true.labels), intervals, labels)
    lengths = mir_eval.util.intervals_to_durations(spans)
    return {name: float(mir_eval.chord.weighted_accuracy(of(due, heard), lengths)) for name, of in MEASURES.items()}


def judged(analyzer: Analyzer, songs: Iterator[tuple[str, Audio, Chords]]) -> tuple[list[dict[str, object]], float]:
    """Return a row for each song, and the CPU seconds for 30 s of sound."""
    rows, cost, length = list[dict[str, object]](), 0.0, 0.0
    for name, sound, true in songs:
        begin = time.process_time()
        found = analyzer.analyze(sound)
        cost, length = cost + time.process_time() - begin, length + sound.duration
        rows.append({"song": name, **{key: round(100 * value, 1) for key, value in scores(found, true).items()}})
    return rows, round(30 * cost / length, 2)


def mean(rows: Sequence[dict[str, object]]) -> dict[str, float]:
    """Return the mean of each measure over songs."""
    return {name: round(float(np.mean([row[name] for row in rows])), 1) for name in MEASURES}


def main() -> None:
    """Print a table and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--analyzer", default="madmom-chords")
    parser.add_argument("--rendered", type=int, default=12)
    parser.add_argument("--output", type=Path, default=HERE / "results" / "chords.json")
    arguments = parser.parse_args()
    analyzer = Registry().create("analyzer", arguments.analyzer)
    analyzer.analyze(signals.chord_progression(seconds=4.0))  # imports and loads
    results = {"analyzer": arguments.analyzer}
    for kind, songs in (("demo songs", demo_songs()), ("rendered", rendered_songs(arguments.rendered))):
        rows, cost = judged(analyzer, songs)
        results[kind] = {"mean": mean(rows), "CPU s for 30 s": cost, "songs": rows}
        print(kind, results[kind])
    arguments.output.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
