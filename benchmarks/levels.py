"""Does a separator depend on the level of a file, and does bringing the mix to a usual level undo that?

    python benchmarks/levels.py MULTITRACKS [--separator NAME] [--peaks DB …] [--write]

Of each multitrack (a folder with vocals, drums, bass and other as sound files) the 30 s in which the voice has most
energy are summed and brought to each peak. They are separated as they are, by the backend itself, and through
:meth:`mashkit.interfaces.Separator.separate`, which brings them to a usual level first (:mod:`mashkit.audio.levels`).
The figure is the SDR of the vocals over the whole excerpt. With --write, benchmarks/results/levels.json and levels.md.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from script import RESULTS, existing_folder, run_script, write_results

from mashkit.audio.buffers import weighted_sum
from mashkit.audio.files import load, resample
from mashkit.audio.levels import usual_gain
from mashkit.bench.multitracks import find_multitracks, stem_files
from mashkit.bench.separator_metrics import sdr
from mashkit.interfaces import Separator
from mashkit.pipeline import Kit
from mashkit.rendering.output import environment
from mashkit.types import Audio

RATE = 44_100
EXCERPT_S = 30.0
STEP_S = 0.1
PEAKS_DB = (0, -6, -18, -30)


def loudest_voice(folder: Path) -> tuple[Audio, Audio]:
    """Return mix and vocals of the 30 s in which the voice has most energy."""
    stems = {name: resample(load(path), RATE) for name, path in stem_files(folder).items()}
    frames = max(stem.frames for stem in stems.values())
    padded = {name: np.zeros((2, frames), np.float32) for name in stems}
    for name, stem in stems.items():
        padded[name][:, : stem.frames] = stem.samples  # mono goes to both channels
    length = min(round(EXCERPT_S * RATE), frames)
    summed = np.concatenate([[0.0], np.cumsum(np.square(padded["vocals"]).sum(axis=0), dtype=np.float64)])
    step = round(STEP_S * RATE)
    start = int(np.argmax((summed[length:] - summed[: len(summed) - length])[::step])) * step
    cut = {name: samples[:, start : start + length] for name, samples in padded.items()}
    mix = np.sum(list(cut.values()), axis=0, dtype=np.float32)
    return Audio(mix, RATE), Audio(cut["vocals"], RATE)


def measured(separator: Separator, folder: Path, peaks_db: Sequence[float]) -> list[dict[str, Any]]:
    """Return the SDR of one song's vocals at each peak, as it is and at a usual level."""
    mix, vocals = loudest_voice(folder)
    true = vocals.samples.astype(np.float64)
    rows = []
    for peak_db in peaks_db:
        gain = 10 ** (peak_db / 20) / mix.peak
        given = weighted_sum([(gain, mix)])
        found = {"as it is": separator._separate(given)}  # past what brings it to a usual level
        # Where the peak is a usual one, both are the same call.
        same = usual_gain(given.peak) == 1
        found["at a usual level"] = found["as it is"] if same else separator.separate(given)
        for way, stems in found.items():
            found = stems.stems["vocals"].samples.astype(np.float64) / gain
            rows.append({"song": folder.name, "peak_db": peak_db, "way": way, "sdr": sdr(true, found)})
        print(folder.name, f"{peak_db:+g} dB", *(f"{row['way']} {row['sdr']:.2f}" for row in rows[-2:]), flush=True)
    return rows


def page(result: Mapping[str, Any]) -> str:
    """Return the results as Markdown."""
    rows, peaks = result["rows"], result["peaks_db"]
    songs = list(dict.fromkeys(row["song"] for row in rows))
    lines = [
        f"# The separator {result['separator']} and the level of a file", "",
        "Made by `python benchmarks/levels.py MULTITRACKS --write`: SDR of the vocals in dB "
        "by the peak of the mix, over the 30 s in which the voice has most energy.", "",
    ]  # fmt: skip
    heading = [
        "| song | way | " + " | ".join(f"{peak:+g} dB" for peak in peaks) + " |",
        "|---" * (len(peaks) + 2) + "|",
    ]
    lines += heading
    for song in [*songs, None]:
        for way in dict.fromkeys(row["way"] for row in rows):
            means = [
                np.mean([row["sdr"] for row in rows if (row["peak_db"], row["way"]) == (peak, way)
                         and song in (None, row["song"])])
                for peak in peaks
            ]  # fmt: skip
            name = f"**mean of {len(songs)}**" if song is None else song
            lines.append(f"| {name} | {way} | " + " | ".join(f"{mean:.2f}" for mean in means) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print, and write with ``--write``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("multitracks", type=existing_folder, metavar="MULTITRACKS")
    parser.add_argument("--separator", metavar="NAME", default=Kit().chosen["separator"], help="default: %(default)s")
    parser.add_argument("--peaks", type=float, nargs="+", default=list(PEAKS_DB), metavar="DB")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    path = RESULTS / "levels.json"
    songs = find_multitracks(arguments.multitracks)
    if not songs:
        parser.error(f"{arguments.multitracks} has no folder with vocals, drums and other as sound files")
    if arguments.write and path.exists():
        kept = json.loads(path.read_text(encoding="utf-8"))
        lost = sorted({row["song"] for row in kept["rows"]} - {song.name for song in songs})
        lost += [f"{peak:+g} dB" for peak in kept["peaks_db"] if peak not in arguments.peaks]
        if lost:
            parser.error(f"{path.name} would lose {', '.join(lost)}: give a folder with all songs, and all --peaks")
    separator = Kit(separator=arguments.separator).separator
    rows = [row for song in songs for row in measured(separator, song, arguments.peaks)]
    result = {
        "separator": separator.info.name, "peaks_db": arguments.peaks, "rows": rows, "environment": environment(),
    }  # fmt: skip
    print(page(result))
    if arguments.write:
        write_results(path, result, page(result), indent=1)


if __name__ == "__main__":
    run_script(main)
