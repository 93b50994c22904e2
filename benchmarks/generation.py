"""What drawing plans costs: from a thousand clips held in memory, and from tables of up to a million.

The clips are synthetic: tempi about 118 BPM that swing by up to 2 %, beats as a tracker hears them, keys at random,
three clips a song. A table's clips are made when they are fetched, each from its row, with beats of its own; their beat
grids are stored, as a database stores them, or computed when first used. CPU seconds of one process, one thread.

Prints tables; with --write keeps them as benchmarks/results/generation.json and generation.md. --before FOLDER also
measures an older mashkit, whose checkout is there.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import gc
import itertools
import json
import math
import platform
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mashkit.builtin.paper import PaperGenerator
from mashkit.types import Analysis, Clip, Condition, Key, Role

HERE = Path(__file__).parent
SIZES = (1_000, 100_000, 1_000_000)
WARM_UP, COUNTED, KEPT = 1_500, 2_000, 5_000
TARGETS = {"plans per second": 2000, "query, ms": 20}
SECONDS = 48.0


def beats_of(row: int, tempo: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the beats of a clip as they are played, and as a tracker hears them."""
    random = np.random.default_rng(row)
    depth, every, phase, first = random.random(4)
    count = np.arange(int(SECONDS * tempo / 60) - 2)
    swing = 0.02 * depth * np.sin(2 * np.pi * count / (20 + 60 * every) + 6 * phase)
    played = 0.1 + first + (60 / tempo) * np.cumsum(1 / (1 + swing))
    return played, np.round((played + random.laplace(0, 0.004, len(played))) * 100) / 100


def make_clip(row: int, tonic: int, minor: bool, tempo: float) -> Clip:
    """Return the clip of a row: always the same."""
    _, heard = beats_of(row, tempo)
    key = Key((tonic - 3) % 12 if minor else tonic, "minor" if minor else "major")
    return Clip(
        f"clip-{row}", f"song-{row // 3}", f"clip {row}", f"{row // 3}.flac", 0.0, SECONDS, 44_100,
        Analysis(key, tempo, heard, heard[::4]), "CC0-1.0",
        {Role.VOCAL: -20.0, Role.HARMONIC: -18.0 - row % 7, Role.PERCUSSION: -22.0 + row % 5},
        dict.fromkeys(Role, 1.0), {Role.VOCAL: float(row % 12)},
    )  # fmt: skip


class Columns:
    """The facts of so many synthetic clips."""

    def __init__(self, count: int) -> None:
        random = np.random.default_rng(count)
        self.tonics = random.integers(0, 12, count, dtype=np.int8)
        self.minor = random.random(count) < 0.4
        self.tempi = np.clip(random.normal(118, 24, count), 60, 200).round(2)
        self.activity = (random.random((count, 3)) < [0.8, 0.98, 0.95]).astype(np.float32)

    def clip(self, row: int) -> Clip:
        """Return a row's clip."""
        return make_clip(row, int(self.tonics[row]), bool(self.minor[row]), float(self.tempi[row]))


def clips_in_memory(count: int) -> list[Clip]:
    """Return so many clips, as a catalog holds them."""
    columns = Columns(count)
    return [columns.clip(row) for row in range(count)]


def table_of(count: int, *, stored: bool) -> Any:
    """Return a table of so many clips, whose grids are stored or not."""
    from mashkit.beatmap import BeatGrid
    from mashkit.cliptable import ClipTable

    columns = Columns(count)

    def grid_of(clip: Clip) -> BeatGrid:
        played, _ = beats_of(int(clip.id[5:]), float(clip.analysis.tempo or 0))
        return BeatGrid(played, 4, 0, 0.004)

    return ClipTable(
        songs=np.arange(count) // 3, tonics=columns.tonics, minor=columns.minor, tempi=columns.tempi,
        downbeats=np.ones(count, np.bool_), durations=np.full(count, SECONDS), activity=columns.activity,
        fetch=columns.clip, row_of=lambda clip_id: int(clip_id[5:]), grid_of=grid_of if stored else None,
    )  # fmt: skip


def speed(
    clips: Sequence[Clip], condition: str, *, warm_up: int = WARM_UP, count: int = COUNTED, **options: Any
) -> float:
    """Return plans per CPU second, after some that are not counted."""
    plans = PaperGenerator(**options).plan(clips, condition=condition, count=10**7, seed=1)
    drawn = sum(1 for _ in itertools.islice(plans, warm_up))
    start = time.process_time()
    drawn = sum(1 for _ in itertools.islice(plans, count))
    return drawn / (time.process_time() - start)


def first_plans(clips: Sequence[Clip], count: int) -> float:
    """Return matched plans per CPU second from the first on, nothing known."""
    return speed(clips, "matched", warm_up=0, count=count)


def before(folder: Path) -> dict[str, float]:
    """Measure an older version, on the thousand clips in memory."""
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    command = [sys.executable, "-P", str(Path(__file__).resolve()), "--child"]
    output = subprocess.run(  # noqa: S603 — this very script
        command, env=environment, check=True, capture_output=True, text=True
    ).stdout
    measured: dict[str, float] = json.loads(output)
    return measured


def in_memory() -> dict[str, float]:
    """Measure what old and new versions can: a thousand clips in memory."""
    clips = clips_in_memory(SIZES[0])
    return {
        "matched, the first 1,000 plans": first_plans(clips, 1000),
        # So many that every clip's grid is known.
        "matched": speed(clips, "matched", warm_up=4000),
        "matched, one speed": speed(clips, "matched", align="speed"),
        "unmatched-key": speed(clips, "unmatched-key", warm_up=4000),
    }


def query(size: int) -> dict[str, float]:
    """Measure the matched candidates of one seed: both roles, counted and one of each drawn, wall milliseconds."""
    table = table_of(size, stored=True)
    generator = PaperGenerator()
    start = time.process_time()
    index = generator.index(table)
    built = time.process_time() - start
    random = np.random.default_rng(0)
    seeds = random.choice(index.seeds(Condition.MATCHED), min(size, 3000)).tolist()
    taken, counts = [], []
    for seed in seeds:
        start = time.perf_counter()
        for role in (Role.HARMONIC, Role.PERCUSSION):
            candidates = index.candidates(seed, role, Condition.MATCHED)
            if len(candidates):
                candidates.row(len(candidates) // 2)
            counts.append(len(candidates))
        taken.append(1000 * (time.perf_counter() - start))
    start = time.perf_counter()
    index.candidates(seeds[0], Role.HARMONIC, Condition.MATCHED).rows()
    return {
        "index, CPU s": built,
        "median, ms": statistics.median(taken),
        "p95, ms": float(np.percentile(taken, 95)),
        "candidates a role, median": statistics.median(counts),
        "all of one seed listed, ms": 1000 * (time.perf_counter() - start),
    }


def resident() -> int:
    """Return the bytes of memory this process holds (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def memory(size: int) -> dict[str, float]:
    """Measure what 5,000 more plans leave behind: bytes allocated, and of the process."""
    table = table_of(size, stored=True)
    plans = PaperGenerator().plan(table, condition="matched", count=10**7, seed=1)
    sum(1 for _ in itertools.islice(plans, KEPT))
    gc.collect()
    held = resident()
    sum(1 for _ in itertools.islice(plans, KEPT))
    gc.collect()
    grown = resident() - held
    tracemalloc.start()
    sum(1 for _ in itertools.islice(plans, KEPT // 2))
    gc.collect()
    traced = tracemalloc.get_traced_memory()[0]
    sum(1 for _ in itertools.islice(plans, KEPT))
    gc.collect()
    traced = tracemalloc.get_traced_memory()[0] - traced
    tracemalloc.stop()
    columns = sum(
        getattr(table, name).nbytes
        for name in ("songs", "tonics", "minor", "tempi", "downbeats", "durations", "activity")
    )
    return {
        "table, MB": columns / 1e6,
        "resident growth, MB": grown / 1e6,
        "allocated growth, bytes a plan": traced / KEPT,
    }


def rows() -> Iterator[tuple[int, str, float]]:
    """Yield plans per CPU second by number of clips and condition, grids stored."""
    for size in SIZES:
        clips = clips_in_memory(size) if size == SIZES[0] else table_of(size, stored=True)
        for condition in Condition:
            count = 300 if condition is Condition.ORIGINAL and size == SIZES[0] else COUNTED
            warm_up = 300 if count == 300 else 4000 if size == SIZES[0] else WARM_UP
            yield size, str(condition), speed(clips, condition, warm_up=warm_up, count=count)
        yield size, "matched, one speed", speed(clips, "matched", align="speed")
    yield (
        SIZES[-1],
        "matched, grids computed",
        speed(table_of(SIZES[-1], stored=False), "matched", warm_up=20, count=150),
    )


def written(size: int) -> float:
    """Return matched plans per CPU second when each is also turned into its line of JSON."""
    plans = PaperGenerator().plan(table_of(size, stored=True), condition="matched", count=10**7, seed=1)
    sum(1 for _ in itertools.islice(plans, WARM_UP))
    start = time.process_time()
    sum(len(plan.to_json()) for plan in itertools.islice(plans, COUNTED))
    return COUNTED / (time.process_time() - start)


def fetching(size: int) -> float:
    """Return the microseconds of a plan that go into making its three clips and their grids: not the generator's."""
    table = table_of(size, stored=True)
    random = np.random.default_rng(3)
    start = time.process_time()
    for row in random.integers(0, size, 3 * COUNTED).tolist():
        table.grid_of(table.fetch(row))
    return 1e6 * (time.process_time() - start) / COUNTED


def main() -> None:
    """Measure, print, and keep the result if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="keep the result in benchmarks/results")
    parser.add_argument("--before", type=Path, metavar="FOLDER", help="checkout of a version to compare with")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(in_memory()))
        return
    result: dict[str, Any] = {
        "machine": {"python": platform.python_version(), "numpy": np.__version__, "processor": processor()},
        "targets": TARGETS,
        "plans_per_second": [{"clips": size, "what": what, "value": value} for size, what, value in rows()],
        "written_plans_per_second": written(SIZES[-1]),
        "fetching_us_a_plan": fetching(SIZES[-1]),
        "query": {str(size): query(size) for size in SIZES},
        "memory": memory(SIZES[-1]),
    }
    if arguments.before is not None:
        # In turn, so that both meet the machine in the same mood.
        pairs = [(before(arguments.before), in_memory()) for _ in range(3)]
        result["before"] = {
            what: {
                side: statistics.median(pair[number][what] for pair in pairs)
                for number, side in enumerate(("before", "after"))
            }
            for what in pairs[0][0]
        }
    page = text_of(result)
    print(page)
    if arguments.write:
        folder = HERE / "results"
        kept = folder / "generation.json"
        if "before" not in result and kept.exists():
            result["before"] = json.loads(kept.read_text()).get("before")
        kept.write_text(json.dumps(result, indent=2) + "\n")
        (folder / "generation.md").write_text(text_of(result))


def processor() -> str:
    """Return the name of the processor, where the system says it."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def text_of(result: dict[str, Any]) -> str:
    """Return the page made from a result."""
    values = {(row["clips"], row["what"]): row["value"] for row in result["plans_per_second"]}
    whats = list(dict.fromkeys(what for _, what in values))
    lines = [
        "# What drawing plans costs",
        "",
        "Made by `python benchmarks/generation.py --write`; CPU seconds of one process with one thread, on"
        f" {result['machine']['processor']}. The clips are synthetic, with tempi that swing, so that beat maps have a"
        " dozen knots; 1,000 are held in memory, of more each is made when it is fetched, with beats of its own, and"
        " its beat grid is stored unless the row says otherwise.",
        "",
        f"| plans per second | {' | '.join(f'{size:,} clips' for size in SIZES)} |",
        "|---|" + "---|" * len(SIZES),
        *(f"| {what} | {' | '.join(_number(values.get((size, what))) for size in SIZES)} |" for what in whats),
        "",
        f"Target: {TARGETS['plans per second']:,} matched plans per second. Of a plan from the largest table,"
        f" {result['fetching_us_a_plan']:.0f} µs go into making its clips and grids, which is the table's cost and not"
        f" the generator's. With each plan written as JSON: {result['written_plans_per_second']:,.0f} a second.",
        "",
        "| matched candidates of one seed | index, CPU s | median, ms | p95, ms | candidates a role, median | all of"
        " one seed listed, ms |",
        "|---|---|---|---|---|---|",
        *(
            f"| {int(size):,} clips | {row['index, CPU s']:.2f} | {row['median, ms']:.3f} | {row['p95, ms']:.3f} |"
            f" {row['candidates a role, median']:,.0f} | {row['all of one seed listed, ms']:.2f} |"
            for size, row in result["query"].items()
        ),
        "",
        f"Target: under {TARGETS['query, ms']} ms at a million.",
        "",
        f"Memory at {SIZES[-1]:,} clips: the table's columns {result['memory']['table, MB']:.0f} MB;"
        f" {KEPT:,} plans more leave {result['memory']['allocated growth, bytes a plan']:.0f} bytes a plan allocated"
        " (what was drawn, so that it does not come twice), and the process"
        f" {result['memory']['resident growth, MB']:+.1f} MB.",
        "",
    ]
    if result.get("before"):
        lines += [
            "| plans per second, 1,000 clips in memory | before | after | ratio |",
            "|---|---|---|---|",
            *(
                f"| {what} | {row['before']:,.0f} | {row['after']:,.0f} | {row['after'] / row['before']:.1f} |"
                for what, row in result["before"].items()
            ),
            "",
            "*Before* is the version that tested every clip in every draw (`--before` a checkout of commit 92e62b0);"
            " medians of three runs in turn.",
            "",
        ]
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:,.0f}"


if __name__ == "__main__":
    main()
