"""What the network separator gains over a median filter, song by song, judged by networks that never had the song.

    python benchmarks/stemnet.py --data DATA [--run RUN] [--write]

RUN is what `mashkit train-separator` wrote: of a song that was trained on, the network of the fold that left it out is
measured; of all others the one that ships. Without such a network for each song that was trained on, nothing is
measured. Excerpts, roles and measures are those of the suite `separators`
(mashkit/bench/separators.py); old and new get the same excerpt, one after the other. Beside it: what leaks into
percussion in a passage of the song without drums, and whether the stems sum to the mix. CPU seconds are for a
minute of sound, one thread, after both separators have separated a short excerpt that is not timed. An excerpt shorter
than ``--excerpt`` is not timed, because networks work on segments, and a segment that is half empty costs as much.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from script import RESULTS, existing_folder, refuse_fewer, rounded, run_script, write_results

from mashkit.bench.pieces import RENDERED
from mashkit.bench.separators import (
    SeparatorTask,
    cut_stems,
    distortions,
    excerpt_of,
    leakage,
    silent_start,
    true_stems,
    unexplained,
)
from mashkit.bench.tasks import Input
from mashkit.cli.actions import positive
from mashkit.errors import UsageError
from mashkit.rendering.output import environment
from mashkit.statistics import interval, median
from mashkit.synthetic import signals
from mashkit.types import Role, StemSet
from mashkit_spleeter_torch.separator import SpleeterTorchSeparator
from mashkit_stemnet.checkpoint import load
from mashkit_stemnet.separator import StemNetSeparator

OLD, NEW = "spleeter-torch", "stemnet"
SHORTER_S = 0.1
"""An excerpt that is shorter by so much than others is not timed; less is rounding to samples."""
TARGETS = {("real", "percussion"): 8.5, ("real", "harmonic"): 5.5, ("rendered", "percussion"): 10.0}


def measured(separator: Any, true: StemSet, excerpt_s: float) -> dict[str, float]:
    """Return the suite's measures of an excerpt, what is left of the mix, dB, and CPU seconds a minute.

    An excerpt that is shorter than ``excerpt_s`` has no CPU seconds.
    """
    mix = signals.mix(true)
    began = time.process_time()
    found = separator.separate(mix)
    spent = time.process_time() - began
    roles = [role for role in Role if role in true.roles]
    sides = [{str(role): stems.role(role) for role in roles} for stems in (true, found)]
    values = distortions(sides[0], sides[1])
    for name in sides[0]:
        sound = [one.samples.astype(np.float64) for one in (sides[0][name], sides[1][name], mix)]
        if (leak := leakage(sound[0], sound[1], sound[2], mix.sample_rate)) is not None:
            values[f"{name}_leak"] = leak
    values["sum"] = unexplained(found, mix)
    if mix.duration > excerpt_s - SHORTER_S:
        values["cpu_s"] = 60 * spent / mix.duration
    return values


def networks_of(run: Path | None, inputs: Sequence[Input]) -> dict[str, Path | None]:
    """Return the file of the network that judges each input, by the input's name; None for the one that ships.

    Raises
    ------
    UsageError
        If songs would be judged by a network that was trained on them.
    """
    folds = sorted(run.glob("fold-*.safetensors")) if run is not None else []
    trained: dict[Path | None, tuple[str, ...]] = {}
    found: dict[str, Path | None] = {}
    wrong = []
    for given in inputs:
        own = [path for path in folds if given.songs_among([path.stem.removeprefix("fold-")])]
        file = found[given.name] = own[0] if own else None
        if file not in trained:
            trained[file] = StemNetSeparator(checkpoint=file).trained_on()
        wrong += given.songs_among(trained[file])
    if wrong:
        raise UsageError(
            f"no network here was trained without {', '.join(wrong)}",
            "give --run the folder of `mashkit train-separator` that has fold-<song>.safetensors of each",
        )
    return found


def main() -> None:
    """Measure, print, and write if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=existing_folder, required=True)
    parser.add_argument("--run", type=existing_folder, help="what `mashkit train-separator` wrote")
    parser.add_argument("--songs", type=positive, default=4, help="rendered songs")
    parser.add_argument("--excerpt", type=float, default=12.0)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    path = RESULTS / "stemnet.json"
    if arguments.write:
        refuse_fewer(
            parser, path, "songs", arguments.songs,
            lambda kept: len({row["input"] for row in kept["rows"] if row["kind"] == RENDERED}),
        )  # fmt: skip
    torch.set_num_threads(1)
    task = SeparatorTask()
    inputs = task.inputs(
        {
            "collections": ("stempeg", "multitracks", "rendered"), "songs": arguments.songs, "seed": 1,
            "excerpt_s": arguments.excerpt,
        },
        arguments.data,
    )  # fmt: skip
    networks = networks_of(arguments.run, [given for given in inputs if not given.missing])
    training: dict[str, Any] = {}
    if arguments.run is not None:  # read before the work, because a file may be missing
        training["folds"] = {path.name: load(path).training for path in sorted(arguments.run.glob("*.safetensors"))}
        curve = (arguments.run / "curves.jsonl").read_text(encoding="utf-8").splitlines()
        training["curves"] = [json.loads(line) for line in curve]
    for separator in (SpleeterTorchSeparator(threads=1), StemNetSeparator(threads=1)):
        task.warm_up(separator)  # networks are loaded once for all songs, so no song's time has that
    rows = []
    for given in inputs:
        if given.missing:
            print(given.name, given.missing)
            continue
        stems = true_stems(given)
        excerpts = {"loudest": excerpt_of(stems, arguments.excerpt)}
        quiet = None if given.measure == RENDERED else silent_start(stems, Role.PERCUSSION, arguments.excerpt)
        if quiet is not None:
            excerpts["without drums"] = cut_stems(stems, quiet, arguments.excerpt)
        file = networks[given.name]
        for which, excerpt in excerpts.items():
            for name, separator in (
                (OLD, SpleeterTorchSeparator(threads=1)), (NEW, StemNetSeparator(threads=1, checkpoint=file)),
            ):  # fmt: skip
                if which == "loudest":
                    values = measured(separator, excerpt, arguments.excerpt)
                else:
                    mix = signals.mix(excerpt)
                    found = separator.separate(mix)
                    sounds = (excerpt.role(Role.PERCUSSION), found.role(Role.PERCUSSION), mix)
                    sound = [one.samples.astype(np.float64) for one in sounds]
                    leak = leakage(sound[0], sound[1], sound[2], mix.sample_rate)
                    values = {} if leak is None else {"percussion_leak": leak}
                kind = "rendered" if given.measure == RENDERED else "real"
                row = {
                    "input": given.name, "kind": kind, "excerpt": which, "separator": name,
                    "network": (file.stem if file else "ships") if name == NEW else None, "values": values,
                }  # fmt: skip
                rows.append(row)
                print(json.dumps(row), flush=True)
    told = {
        "environment": environment(), "excerpt_s": arguments.excerpt, "warmed_up": True, "rows": rows,
        "summary": summary(rows), **training,
    }  # fmt: skip
    text = markdown(told)
    print(text)
    if arguments.write:
        write_results(path, rounded(told, 5), text)


def summary(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return, by kind, role and measure, the medians of old and new over songs, with their 95 % intervals."""
    found: dict[str, dict[str, Any]] = {}
    for kind in ("real", "rendered"):
        for field in [f"{role}_{measure}" for role in Role for measure in ("bss", "si", "leak")] + ["sum", "cpu_s"]:
            for name in (OLD, NEW):
                values = by_song([row for row in rows if row["kind"] == kind and row["separator"] == name], field)
                if values:
                    ends = interval(median(values))
                    found.setdefault(f"{kind} {field}", {})[name] = {
                        "median": statistics.median(values), "n": len(values),
                        "low": None if ends is None else ends.low, "high": None if ends is None else ends.high,
                    }  # fmt: skip
    return found


def by_song(rows: list[dict[str, Any]], field: str) -> list[float]:
    """Return one value a song: of its passage without drums if that has the value, else of its loudest excerpt.

    In a passage without drums only the leakage into percussion is measured. It goes before that in a part of the
    loudest excerpt, because there the whole excerpt is without drums.
    """
    values = {}
    for which in ("loudest", "without drums"):
        values |= {row["input"]: row["values"][field] for row in rows
                   if row["excerpt"] == which and field in row["values"]}  # fmt: skip
    return list(values.values())


def markdown(told: dict[str, Any]) -> str:
    """Return the results as a page."""
    lines = [
        "# stemnet against spleeter-torch, song by song",
        "",
        "Excerpts of "
        + f"{told['excerpt_s']:g} s as in the suite `separators`, old and new in one run; a real song that "
        "was trained on is judged by the network of the fold that left it out. Medians over songs [95 % interval]. "
        "Leakage into percussion is that in a song's passage without drums; of a song that has none, that in the part "
        "of the excerpt without drums. " + timed(told),
        "",
        f"| | {OLD} | {NEW} | songs | target |",
        "|---|---|---|---|---|",
    ]
    for field, found in told["summary"].items():
        kind, _, measure = field.partition(" ")
        role = measure.partition("_")[0]
        target = TARGETS.get((kind, role)) if measure.endswith("_bss") else None
        cells = []
        for name in (OLD, NEW):
            one = found.get(name)
            ends = "" if one is None or one["low"] is None else f" [{one['low']:.1f}, {one['high']:.1f}]"
            cells.append("–" if one is None else f"{one['median']:.1f}{ends}")
        met = "" if target is None else f"{target:g}: {'met' if found[NEW]['median'] >= target else 'missed'}"
        lines.append(f"| {kind}, {title(measure)} | {' | '.join(cells)} | {found[NEW]['n']} | {met} |")
    lines += [
        "", "## Songs", "", "SDR (BSSEval v4), dB, old → new.", "",
        "| song | judged by | vocal | harmonic | percussion | percussion where there is none |",
        "|---|---|---|---|---|---|",
    ]  # fmt: skip
    for name in dict.fromkeys(row["input"] for row in told["rows"]):
        there = {(row["separator"], row["excerpt"]): row for row in told["rows"] if row["input"] == name}
        cells = []
        for field in ("vocal_bss", "harmonic_bss", "percussion_bss"):
            pair = [there[one, "loudest"]["values"].get(field) for one in (OLD, NEW)]
            cells.append(" → ".join("–" if value is None else f"{value:.1f}" for value in pair))
        quiet = [there.get((one, "without drums"), {}).get("values", {}).get("percussion_leak") for one in (OLD, NEW)]
        cells.append(" → ".join("–" if value is None else f"{value:.1f}" for value in quiet))
        lines.append(f"| {name} | {there[NEW, 'loudest']['network']} | {' | '.join(cells)} |")
    lines += ["", "![A passage of Francium: percussion and harmonic role, true, before and after](stemnet.png)"]
    return "\n".join([*lines, ""])


def timed(told: dict[str, Any]) -> str:
    """Return how the CPU seconds were measured."""
    if told.get("warmed_up"):
        return f"CPU seconds are of one thread, of excerpts of {told['excerpt_s']:g} s, measured after warming up."
    return (
        "CPU seconds are of one thread, measured without warming up: those of the first song include the loading of "
        "networks, and those of an excerpt that is shorter than the others are scaled to a minute all the same."
    )


def title(measure: str) -> str:
    """Return what a measure is called."""
    role, _, kind = measure.rpartition("_")
    names = {"bss": "SDR, dB", "si": "SI-SDR, dB", "leak": "leakage where it is silent, dB"}
    return {"sum": "mix minus stems, dB", "cpu_s": "CPU for a minute, s"}.get(measure) or f"{role}, {names[kind]}"


if __name__ == "__main__":
    run_script(main)
