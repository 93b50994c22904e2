"""Whether the singers of rendered training data are in tune and can be told apart, and what a clip costs.

    python benchmarks/singers.py --midi pop909.tar.xz --drums groove.tar.xz --write

Melodies of POP909, 12 s each, are sung dry by every singer. Their pitch is found by SwiftF0, which has nothing to do
with the vocoder. Frames count that SwiftF0 takes for voiced, from 80 ms after a note's start to 40 ms before its end,
because a voice slides between notes; vibrato counts as an error. *Sinsy* is the voice that all singers are made of, as
it sings by itself, in the key that it sings best.

Singers are told apart by MFCC 2 to 20 of windows of 3 s, means over loud frames, by linear discriminant analysis: half
of the melodies teach it, the others are judged.

A clip of 23 s costs what arranging it and its features cost, in CPU seconds on one core. ``--cost-only`` measures this
alone, with the recipe of any version; ``--before SUNG PLAYED`` gives the table the numbers of another.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from script import RESULTS, refuse_fewer, run_script, write_results

from mashkit.cli.actions import positive
from mashkit.errors import UsageError
from mashkit.types import Audio
from mashkit_mashnet.stem_features import StemFeatures
from mashkit_mashnet_train.recipes.rendered import RECIPE, bundled_soundfont
from mashkit_mashnet_train.recipes.scores import Excerpt, Note, groove, pop909
from mashkit_mashnet_train.recipes.sound import SAMPLE_RATE, SUNG, arrange, monophonic

Floats = npt.NDArray[np.float64]
WINDOW_S = 3.0
FEWEST = 2
"""Fewest melodies: one that teaches who sings, and one that is judged."""


def melodies_of(midi: Path, count: int) -> list[tuple[list[Note], float]]:
    """Return so many melodies that every singer can sing, with their tempi; raise UsageError if there are too few."""
    found = [
        (notes, excerpt.tempo)
        for excerpt in pop909(midi, 1, 12.0, 2, 3 * count)
        if (notes := monophonic(excerpt.melody)) and np.ptp([note.pitch for note in notes]) <= 13
    ][:count]
    if len(found) < FEWEST:
        raise UsageError(f"{midi} has {len(found)} melodies that can be sung", f"give a file with {FEWEST} or more")
    return found


def moved(notes: Sequence[Note], semitones: int) -> list[Note]:
    """Return notes, transposed."""
    return [Note(note.start, note.end, note.pitch + semitones, note.velocity) for note in notes]


def off(samples: Floats, notes: Sequence[Note], tempo: float) -> Floats:
    """Return how many cents each voiced frame of a note is above the score."""
    from mashkit_swift_f0.analyzer import SwiftF0Analyzer

    audio = Audio((samples / np.abs(samples).max())[None].astype(np.float32), SAMPLE_RATE)
    melody = SwiftF0Analyzer().analyze(audio).melody
    if melody is None:
        return np.zeros(0)
    found = []
    for note in notes:
        start, end = note.start * 60 / tempo + 0.08, note.end * 60 / tempo - 0.04
        inside = (melody.times >= start) & (melody.times < end) & (melody.f0 > 0)
        found.append(1200 * np.log2(melody.f0[inside] / (440 * 2 ** ((note.pitch - 69) / 12))))
    return np.concatenate(found)


def timbres(samples: Floats) -> Floats:
    """Return the mean MFCC 2 to 20 of each window's loud frames, shape (windows, 19)."""
    import librosa

    mfcc = librosa.feature.mfcc(y=samples / np.abs(samples).max(), sr=SAMPLE_RATE, n_mfcc=20)
    loud = mfcc[0] > np.percentile(mfcc[0], 95) - 200
    size = round(WINDOW_S * SAMPLE_RATE / 512)
    windows = [slice(first, first + size) for first in range(0, mfcc.shape[1] - size + 1, size)]
    return np.array([mfcc[1:, one][:, loud[one]].mean(axis=1) for one in windows if loud[one].sum() > size // 4])


def told_apart(teaching: dict[str, Floats], judged: dict[str, Floats]) -> dict[str, dict[str, int]]:
    """Return how many windows of each singer are taken for whom."""
    means = np.array([windows.mean(axis=0) for windows in teaching.values()])
    within = np.concatenate([windows - windows.mean(axis=0) for windows in teaching.values()])
    # A tenth of the variances is added to the diagonal, because windows are few.
    covariance = np.cov(within.T)
    scale = np.linalg.inv(covariance + 0.1 * np.diag(np.diag(covariance)))
    names = list(teaching)
    table = {}
    for name, windows in judged.items():
        apart = windows[:, None] - means
        nearest = np.einsum("wsi,ij,wsj->ws", apart, scale, apart).argmin(axis=1)
        table[name] = {other: int((nearest == index).sum()) for index, other in enumerate(names)}
    return table


def sung(melodies: Sequence[tuple[list[Note], float]]) -> dict[str, Any]:
    """Return tuning and confusions of all singers."""
    from mashkit_mashnet_train.recipes.singers import SINGERS, pitch_curve, take, voice
    from mashkit_mashnet_train.recipes.singing import LOWEST, sing

    cents: dict[str, list[Floats]] = {name: [] for name in ("Sinsy", *(singer.name for singer in SINGERS))}
    windows: dict[str, list[Floats]] = {singer.name: [] for singer in SINGERS}
    for number, (notes, tempo) in enumerate(melodies):
        low, high = min(note.pitch for note in notes), max(note.pitch for note in notes)
        own = moved(notes, LOWEST - low)
        alone = sing(own, tempo, 0, number, SAMPLE_RATE)
        taken = take(notes, tempo, number)
        if alone is None or taken is None:
            raise SystemExit(f"melody {number} cannot be sung")
        cents["Sinsy"].append(off(alone.astype(np.float64), own, tempo))
        for singer in SINGERS:
            octaves = [
                12 * k for k in range(-3, 3) if singer.lowest <= low + 12 * k and high + 12 * k <= singer.highest
            ]
            part = moved(notes, octaves[number % len(octaves)])
            random = np.random.default_rng(number)
            pitch = pitch_curve(len(taken.voiced), part, tempo, singer, random)
            samples = voice(taken, pitch, singer, SAMPLE_RATE).astype(np.float64)
            cents[singer.name].append(off(samples, part, tempo))
            windows[singer.name].append(timbres(samples))
        print(f"{number + 1}/{len(melodies)}", flush=True)
    half = len(melodies) // 2
    tuning = {}
    for name, parts in cents.items():
        frames = np.concatenate(parts)
        tuning[name] = {
            "frames": len(frames),
            "offset": round(float(np.median(frames)), 1),
            "median": round(float(np.median(np.abs(frames))), 1),
            "p95": round(float(np.percentile(np.abs(frames), 95)), 1),
            "beyond_50": round(100 * float(np.mean(np.abs(frames) > 50)), 1),
        }
    teaching, judged = (
        {name: np.concatenate(parts[chosen]) for name, parts in windows.items()}
        for chosen in (slice(0, half), slice(half, None))
    )
    return {"tuning": tuning, "told_apart": told_apart(teaching, judged)}


def cost(excerpts: Sequence[Excerpt], drums: Path) -> dict[str, float]:
    """Return the CPU seconds of a clip that is sung, and of one that is played."""
    drummings, fonts = groove(drums), [bundled_soundfont()]
    arrange(excerpts[0], drummings, fonts, 0, sung=1.0)  # imports and loads
    seconds = {}
    for name, share in (("sung", 1.0), ("played", 0.0)):
        begin = time.process_time()
        for seed, excerpt in enumerate(excerpts):
            made = arrange(excerpt, drummings, fonts, seed, sung=share)
            for samples in made.stems.values():
                StemFeatures.of(Audio(samples[None], SAMPLE_RATE), fine=True)
        seconds[name] = round((time.process_time() - begin) / len(excerpts), 2)
    return seconds


def clips_per_minute(seconds: dict[str, float]) -> float:
    """Return the speed at the share of sung melodies that the recipe has."""
    return 60 / (SUNG * seconds["sung"] + (1 - SUNG) * seconds["played"])


def markdown(result: dict[str, Any]) -> str:
    """Return the page of a result."""
    table = result["told_apart"]
    hits, windows = (
        sum(row[name] for name, row in table.items()),
        sum(sum(row.values()) for row in table.values()),
    )
    lines = [
        "# Singers of rendered training data", "",
        "Made by `python benchmarks/singers.py --midi pop909.tar.xz --drums groove.tar.xz --write`.", "",
        f"{result['melodies']} melodies of POP909, 12 s each. Cents from the score, over voiced frames of notes, found "
        "by SwiftF0; vibrato counts as an error. *Right* is how many windows of 3 s of melodies that the classifier "
        "never heard are taken for their own singer.", "",
        "| singer | frames | median | median of the distance | 95 % within | beyond 50 cents, % | right |",
        "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for name, one in result["tuning"].items():
        row = table.get(name)
        right = "" if row is None else f"{row[name]} of {sum(row.values())}"
        numbers = " | ".join(str(one[key]) for key in ("frames", "offset", "median", "p95", "beyond_50"))
        lines.append(f"| {name} | {numbers} | {right} |")
    lines += ["", f"All singers: {hits} of {windows} windows right ({100 * hits / windows:.0f} %); chance is "
              f"{100 / len(table):.0f} %.", "", "| taken for | " + " | ".join(table) + " |",
              "|---" * (len(table) + 1) + "|"]  # fmt: skip
    lines += [f"| {name} | " + " | ".join(str(count) for count in row.values()) + " |" for name, row in table.items()]
    lines += ["", f"CPU seconds for a clip of 23 s on one core, mean of {result['clips']} clips; of the recipe's clips "
              f"{100 * SUNG:.0f} % are sung:", "",
              "| recipe | sung | played | clips a minute |", "|---|---|---|---|"]  # fmt: skip
    for name, seconds in result["cost"].items():
        lines.append(f"| {name} | {seconds['sung']} | {seconds['played']} | {clips_per_minute(seconds):.0f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Print the figures, and write them with ``--write``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--midi", type=Path, required=True, metavar="TAR", help="POP909 as a tar file")
    parser.add_argument("--drums", type=Path, required=True, metavar="TAR", help="Groove MIDI Dataset as a tar file")
    parser.add_argument("--melodies", type=positive, default=6, help=f"{FEWEST} or more; default: %(default)s")
    parser.add_argument("--clips", type=positive, default=3)
    parser.add_argument("--cost-only", action="store_true")
    parser.add_argument("--before", type=float, nargs=2, metavar=("SUNG", "PLAYED"))
    parser.add_argument("--write", action="store_true", help="write results/singers.json and .md")
    arguments = parser.parse_args()
    if arguments.melodies < FEWEST and not arguments.cost_only:
        parser.error(f"--melodies is {arguments.melodies}: give {FEWEST} or more")
    path = RESULTS / "singers.json"
    if arguments.write and not arguments.cost_only:
        refuse_fewer(parser, path, "melodies", arguments.melodies)
        refuse_fewer(parser, path, "clips", arguments.clips)
    warnings.simplefilter("ignore")
    melodies = [] if arguments.cost_only else melodies_of(arguments.midi, arguments.melodies)
    costs = {RECIPE: cost(list(pop909(arguments.midi, 1, 23.0, 0, arguments.clips)), arguments.drums)}
    if arguments.cost_only:
        print(costs[RECIPE])
        return
    if arguments.before:
        costs = {"rendered": dict(zip(("sung", "played"), arguments.before, strict=True)), **costs}
    result = {"melodies": len(melodies), "clips": arguments.clips, **sung(melodies), "cost": costs}
    page = markdown(result)
    print(page)
    if arguments.write:
        write_results(path, result, page, indent=2)


if __name__ == "__main__":
    run_script(main)
