"""What drawing plans costs: from a thousand clips held in memory, and from tables of up to a million.

The clips are synthetic: tempi about 118 BPM that swing by up to 2 %, beats as a tracker finds them, keys at random,
three clips a song. A table's clips are made when they are fetched, of some thousand analyses, so that it is the
generator that is measured; their beat grids are stored, as a database stores them, or computed when first used. CPU
seconds of one process, one thread.

Prints tables; with --write keeps them as benchmarks/results/generation.json and generation.md. --before FOLDER also
measures an older mashkit, whose checkout is there; without it, a comparison that is kept stays, with its date.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import datetime
import functools
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
from script import RESULTS, existing_folder, run_script, write_results

from mashkit.builtin.paper import PaperGenerator
from mashkit.errors import MashkitError
from mashkit.types import Analysis, Clip, Condition, Key, Role

HERE = Path(__file__).parent
SIZES = (1_000, 100_000, 1_000_000)
POOL = 4_096
WARM_UP, COUNTED, KEPT = 800, 1_500, 5_000
TARGETS = {"plans per second": 2000, "query, ms": 20}
SECONDS = 48.0


def beats_of(row: int, tempo: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the beats of a clip as they are played, and as a tracker finds them."""
    random = np.random.default_rng(row)
    depth, every, phase, first = random.random(4)
    count = np.arange(int(SECONDS * tempo / 60) - 2)
    swing = 0.02 * depth * np.sin(2 * np.pi * count / (20 + 60 * every) + 6 * phase)
    played = 0.1 + first + (60 / tempo) * np.cumsum(1 / (1 + swing))
    found = np.round((played + random.laplace(0, 0.004, len(played))) * 100) / 100
    for times in (played, found):
        times.flags.writeable = False  # as what is read from a database
    return played, found


def make_clip(row: int, tonic: int, minor: bool, tempo: float, found: np.ndarray) -> Clip:
    """Return the clip of a row."""
    key = Key((tonic - 3) % 12 if minor else tonic, "minor" if minor else "major")
    return Clip(
        f"clip-{row}", f"song-{row // 3}", f"clip {row}", f"{row // 3}.flac", 0.0, SECONDS, 44_100,
        Analysis(key, tempo, found, found[::4]), "CC0-1.0",
        {Role.VOCAL: -20.0, Role.HARMONIC: -18.0 - row % 7, Role.PERCUSSION: -22.0 + row % 5},
        dict.fromkeys(Role, 1.0), {Role.VOCAL: float(row % 12)},
    )  # fmt: skip


class Columns:
    """The facts of so many synthetic clips, which share a few thousand different analyses."""

    def __init__(self, count: int) -> None:
        random = np.random.default_rng(count)
        self.pool = np.clip(random.normal(118, 24, min(count, POOL)), 60, 200).round(2)
        self.analyses = random.integers(0, len(self.pool), count) if count > POOL else np.arange(count)
        self.tempi = self.pool[self.analyses]
        self.tonics = random.integers(0, 12, count, dtype=np.int8)
        self.minor = random.random(count) < 0.4
        self.activity = (random.random((count, 3)) < [0.8, 0.98, 0.95]).astype(np.float32)

    @functools.cached_property
    def beats(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Beats as played and as found, of each analysis."""
        return [beats_of(number, tempo) for number, tempo in enumerate(self.pool.tolist())]

    def clip(self, row: int) -> Clip:
        """Return a row's clip, made anew."""
        _, found = self.beats[self.analyses[row]]
        return make_clip(row, int(self.tonics[row]), bool(self.minor[row]), float(self.tempi[row]), found)


def clips_in_memory(count: int) -> list[Clip]:
    """Return so many clips, as a catalog holds them."""
    columns = Columns(count)
    return [columns.clip(row) for row in range(count)]


def table_of(count: int, *, stored: bool) -> Any:
    """Return a table of so many clips, whose grids are stored or not."""
    from mashkit.cliptable import ClipTable
    from mashkit.timing.beatmap import BeatGrid

    columns = Columns(count)

    def grid_of(clip: Clip) -> BeatGrid:
        played, _ = columns.beats[columns.analyses[int(clip.id[5:])]]
        return BeatGrid(played, 4, 0, 0.004)

    return ClipTable(
        songs=np.arange(count) // 3, tonics=columns.tonics, minor=columns.minor, tempi=columns.tempi,
        downbeats=np.ones(count, np.bool_), durations=np.full(count, SECONDS), activity=columns.activity,
        fetch=columns.clip, row_of=lambda clip_id: int(clip_id[5:]), grid_of=grid_of if stored else None,
    )  # fmt: skip


def speed(
    clips: Sequence[Clip], condition: str, *, warm_up: int = WARM_UP, count: int = COUNTED, **options: Any
) -> tuple[float, float]:
    """Return plans per CPU second: of the first ones, when nothing is known yet, and from then on.

    The latter is the best of five parts: what else the machine is at makes the others slower.
    """
    plans = PaperGenerator(**options).plan(clips, condition=condition, count=10**7, seed=1)
    found = []
    for part in (warm_up, *(5 * [count // 5])):
        start = time.process_time()
        drawn = sum(1 for _ in itertools.islice(plans, part))
        found.append(drawn / (time.process_time() - start))
    print(f"{len(clips):,} {condition} {options or ''}: {found[0]:,.0f}, then {found[1:]}", file=sys.stderr)
    return found[0], max(found[1:])


def before(folder: Path) -> dict[str, float]:
    """Measure an older version, on the thousand clips in memory."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(HERE)])}
    command = [sys.executable, "-P", str(Path(__file__).resolve()), "--child"]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True)  # noqa: S603 — this very script
    if ran.returncode:
        said = (ran.stderr.strip() or "it said nothing").splitlines()[-1]
        raise MashkitError(
            f"the mashkit in {folder} cannot be measured: {said}", "give the checkout of another version"
        )
    measured: dict[str, float] = json.loads(ran.stdout)
    return measured


def checkout(text: str) -> Path:
    """Read the path of a folder with a mashkit (argparse's ``type``): without one, this mashkit would be measured."""
    folder = existing_folder(text)
    if not (folder / "mashkit" / "builtin" / "paper.py").is_file():
        raise argparse.ArgumentTypeError(f"{text} is not a checkout of mashkit")
    return folder


def version_of(folder: Path) -> str:
    """Return the commit of a checkout; of a folder without git, its name."""
    command = ["git", "-C", str(folder), "rev-parse", "--show-toplevel", "--short", "HEAD"]
    said = subprocess.run(command, capture_output=True, text=True).stdout.split("\n")  # noqa: S603 — fixed words
    # A folder without a repository of its own may lie inside of another one.
    return f"commit {said[1]}" if Path(said[0]) == folder.resolve() else folder.resolve().name


def in_memory() -> dict[str, float]:
    """Measure what old and new versions can: a thousand clips in memory."""
    clips = clips_in_memory(SIZES[0])
    # After so many plans every clip's grid is known.
    first, later = speed(clips, "matched", warm_up=3000)
    return {
        "matched, the first 3,000 plans, beat grids made on the way": first,
        "matched, from then on": later,
        "matched at one speed, from then on": speed(clips, "matched", warm_up=3000, align="speed")[1],
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
        held = size == SIZES[0]
        clips = clips_in_memory(size) if held else table_of(size, stored=True)
        for condition in Condition:
            # A thousand clips have as many originals; with the other conditions, until every grid is known.
            warm_up, count = (3000, COUNTED) if held else (WARM_UP, COUNTED)
            if held and condition is Condition.ORIGINAL:
                warm_up, count = 300, 300
            yield size, str(condition), speed(clips, condition, warm_up=warm_up, count=count)[1]
        one_speed = speed(clips, "matched", warm_up=3000 if held else WARM_UP, align="speed")[1]
        yield size, "matched at one speed", one_speed
    computed = speed(table_of(SIZES[-1], stored=False), "matched", warm_up=20, count=150)[1]
    yield SIZES[-1], "matched, beat grids computed", computed


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
    parser.add_argument("--before", type=checkout, metavar="FOLDER", help="checkout of a version to compare with")
    arguments = parser.parse_args()
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
        sides = {"before": before(arguments.before), "after": in_memory()}
        result["compared"] = {"with": version_of(arguments.before), "date": f"{datetime.date.today()}"}
        result["before"] = {what: {side: found[what] for side, found in sides.items()} for what in sides["after"]}
    page = text_of(result)
    print(page)
    if arguments.write:
        kept = RESULTS / "generation.json"
        if "before" not in result and kept.exists():
            earlier = json.loads(kept.read_text())
            result |= {name: earlier[name] for name in ("compared", "before") if name in earlier}
        write_results(kept, result, text_of(result), indent=2)


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
        f" dozen knots. 1,000 are held in memory; of more, each is made anew when it is fetched, of {POOL:,} analyses,"
        " and its beat grid is stored unless the row says otherwise. The best of five parts each;"
        " originals in memory make each clip's grid on the way.",
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
            f"*Before* is {result['compared']['with']} (`--before`); both columns were measured on"
            f" {result['compared']['date']}, one after the other.",
            "",
        ]
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:,.0f}"


if __name__ == "__main__":
    if sys.argv[1:] == ["--child"]:
        # An older mashkit may lack what run_script imports.
        print(json.dumps(in_memory()))
        sys.exit()
    run_script(main)
