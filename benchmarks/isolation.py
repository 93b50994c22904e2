"""What isolation costs: a component in a worker process against the same component in this one, on 30 s of stereo.

Both sides run in turn, A B A B …, after an uncounted call of each that starts the worker and loads models; which one
begins changes from pair to pair. CPU seconds are those of this process and of the worker (/proc/<pid>/stat), on one
thread each: they depend less on what else the machine does than the wall clock. The ratio is the median of the pairs'
ratios. What handing the sound over takes is measured by itself as well, both directions, both sides: calls of a second
or two differ from each other by more. Linux only. Prints a table, and with --write keeps it as
benchmarks/results/isolation.json and .md.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # before anything that counts processors is imported

import attrs
from script import RESULTS, refuse_fewer, run_script, write_results

import mashkit as mk
from mashkit.cli.actions import positive
from mashkit.registry import Registry
from mashkit.remote.messages import Scratch
from mashkit.remote.proxies import RemoteComponent, isolated
from mashkit.rendering.output import environment
from mashkit.workers.processes import cpu_seconds

HERE = Path(__file__).parent
SONG = HERE.parent / "examples" / "songs" / "mango-season.ogg"
TARGET = 1.05


@attrs.frozen
class Case:
    """A component and what is asked of it."""

    kind: str
    name: str
    work: Callable[[Any, mk.Audio], object]
    options: dict[str, Any] = attrs.field(factory=dict)


CASES = (
    Case("separator", "spleeter-torch", lambda separator, audio: separator.separate(audio), {"threads": 1}),
    Case("analyzer", "madmom", lambda analyzer, audio: analyzer.analyze(audio)),
    Case("stretcher", "signalsmith", lambda stretcher, audio: stretcher.stretch(audio, speed=1.07, semitones=2.0)),
)


def timed(work: Callable[[], object], pids: list[int]) -> tuple[float, float]:
    """Return the CPU seconds of some processes and the wall seconds while ``work`` is done."""
    before, start = sum(map(cpu_seconds, pids)), time.perf_counter()
    work()
    return sum(map(cpu_seconds, pids)) - before, time.perf_counter() - start


def sounds(result: object) -> list[mk.Audio]:
    """Return the audio in what a component gave."""
    if isinstance(result, mk.StemSet):
        return list(result.stems.values())
    return [result] if isinstance(result, mk.Audio) else []


def handing_over_s(audio: mk.Audio, results: list[mk.Audio]) -> float:
    """Return the CPU seconds that a call's sound costs on its way: written and read, there and back.

    It is the median of eleven, after one to warm up.
    """
    taken = []
    with tempfile.TemporaryFile(buffering=0) as one, tempfile.TemporaryFile(buffering=0) as other:
        inbox, outbox = Scratch(one), Scratch(other)
        for _ in range(12):
            start = time.process_time()
            inbox.get(inbox.put(audio))
            for reference in [outbox.put(result) for result in results]:
                outbox.get(reference)
            inbox.clear()
            outbox.clear()
            taken.append(time.process_time() - start)
    return statistics.median(taken[1:])


def compare(case: Case, audio: mk.Audio, pairs: int) -> dict[str, Any]:
    """Measure one case."""
    here = Registry().create(case.kind, case.name, case.options)
    with isolated(case.kind, case.name, options=case.options) as there:
        pids = [os.getpid(), worker_of(there)]
        sides = {"here": lambda: case.work(here, audio), "there": lambda: case.work(there, audio)}
        results, _ = (sounds(work()) for work in sides.values())
        taken: dict[str, list[tuple[float, float]]] = {"here": [], "there": []}
        for pair in range(pairs):
            for side in sorted(sides, reverse=bool(pair % 2)):
                taken[side].append(timed(sides[side], pids))
    row: dict[str, Any] = {"kind": case.kind, "name": case.name, "options": case.options, "pairs": pairs}
    for index, unit in enumerate(("cpu", "wall")):
        ours, theirs = ([one[index] for one in taken[side]] for side in ("here", "there"))
        ratios = sorted(there / here for here, there in zip(ours, theirs, strict=True))
        row |= {
            f"{unit}_here_s": statistics.median(ours),
            f"{unit}_there_s": statistics.median(theirs),
            f"{unit}_ratio": statistics.median(ratios),
            f"{unit}_ratio_quartiles": [ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4]],
        }
    return row | {"handing_over_s": handing_over_s(audio, results), "load": os.getloadavg()[0]}


def worker_of(component: RemoteComponent) -> int:
    """Return the process of a component's worker."""
    worker: Any = component.session._worker
    return int(worker.process.pid)


def write(rows: list[dict[str, Any]], seconds: float) -> None:
    """Keep the result as JSON and as the page made from it."""
    result = {
        "target": TARGET,
        "audio_s": seconds,
        "rows": rows,
        "machine": {"cores": os.cpu_count(), "processor": platform.processor() or platform.machine()},
        "environment": environment(),
    }
    lines = [
        "# What isolation costs",
        "",
        f"Made by `python benchmarks/isolation.py --write` on {os.cpu_count()} cores: {seconds:.0f} s of stereo, calls"
        " in this process and in a worker in turn, starts and first calls not counted. CPU seconds are those of both"
        " processes; ratios are medians over pairs, with the quartiles.",
        "",
        "| component | pairs | CPU here, s | CPU isolated, s | ratio of CPU | handing over, CPU ms | of CPU here, % |"
        " ratio of wall clock | load |",
        "|---|---|---|---|---|---|---|---|---|",
        *(
            f"| {row['kind']} `{row['name']}` | {row['pairs']} | {row['cpu_here_s']:.2f} | {row['cpu_there_s']:.2f} |"
            f" {ratio(row, 'cpu')} | {1e3 * row['handing_over_s']:.0f}"
            f" | {100 * row['handing_over_s'] / row['cpu_here_s']:.1f} | {ratio(row, 'wall')} | {row['load']:.1f} |"
            for row in rows
        ),
        "",
        f"Target: at most {TARGET:.2f} for a separation. The load is the machine's when the row was done: above its"
        " number of cores, the wall clock shows the work of others, which the scheduler shares out by session, and the"
        " worker has one of its own.",
        "",
    ]
    write_results(RESULTS / "isolation.json", result, "\n".join(lines), indent=2)


def ratio(row: dict[str, Any], unit: str) -> str:
    """Return a ratio and its quartiles, as text."""
    low, high = row[f"{unit}_ratio_quartiles"]
    return f"{row[f'{unit}_ratio']:.3f} ({low:.3f}–{high:.3f})"


def main() -> None:
    """Measure every case and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=positive, default=11)
    parser.add_argument("--write", action="store_true", help="keep the result in benchmarks/results")
    arguments = parser.parse_args()
    if arguments.write:
        refuse_fewer(
            parser, RESULTS / "isolation.json", "pairs", arguments.pairs,
            lambda kept: max(row["pairs"] for row in kept["rows"]),
        )  # fmt: skip
    audio = mk.load(SONG).excerpt(2, 30)
    rows = []
    for case in CASES:
        rows.append(compare(case, audio, arguments.pairs))
        row = rows[-1]
        print(
            f"{case.kind} {case.name:<15} CPU {row['cpu_here_s']:.2f} s, isolated {row['cpu_there_s']:.2f} s, ratio"
            f" {ratio(row, 'cpu')}, handing over {1e3 * row['handing_over_s']:.0f} ms; wall clock ratio"
            f" {ratio(row, 'wall')}; load {row['load']:.1f}",
            flush=True,
        )
    if arguments.write:
        write(rows, audio.duration)


if __name__ == "__main__":
    run_script(main)
