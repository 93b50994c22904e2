"""What a database costs: a million rows, songs going in, memory, and a clip's bytes and core-seconds by component.

Sections, each measured apart (the machine may be shared): ``rows`` (1,000,000 synthetic clips written straight through
the schema, no audio), ``ingest`` (`db add` against decoding, separating, analyzing and writing by hand, in turn), ``costs``
(of each default component), ``memory`` (100 clips going in), ``workers`` (one worker process and two). Prints, and with
--write keeps the section in benchmarks/results/database.json and makes database.md from all that are there.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import soundfile

import mashkit as mk
from mashkit.audiofile import save
from mashkit.builtin.paper import PaperGenerator
from mashkit.catalog import Adder, MashupDB
from mashkit.catalog.database import INDEX, _place
from mashkit.catalog.songs import describe_song
from mashkit.catalog.statistics import statistics as statistics_of
from mashkit.catalog.upkeep import content_digest
from mashkit.interfaces import Analyzer, Separator
from mashkit.output import environment
from mashkit.testing import signals
from mashkit.types import Analysis, Audio, Condition, Key, Role, StemSet

HERE = Path(__file__).parent
SONGS = HERE.parent.parent / "shared" / "data" / "songs"
SEED = 1
PLANS = 200
"""Plans of each condition: most of their clips are touched for the first time, as in a collection this large."""
TARGETS = {
    "open_s": 0.5,
    "query_median_ms": 20.0,
    "plans_per_s": 2000.0,
    "ingest_overhead": 1.10,
    "two_workers": 1.7,
}


def resident_mb() -> float:
    """Return how much memory this process holds, MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def spread_ms(seconds: list[float]) -> dict[str, float]:
    """Return median, 95th percentile and largest, milliseconds."""
    values = 1000 * np.array(seconds)
    return {
        "median_ms": float(np.median(values)),
        "p95_ms": float(np.percentile(values, 95)),
        "max_ms": float(values.max()),
    }


def timed(work: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    """Return the seconds ``work`` takes."""
    start = clock()
    work()
    return clock() - start


# ------------------------------------------------------------------------------------------------- a million rows
def synthesize(root: Path, count: int, *, with_results: bool) -> None:
    """Write so many clips of half as many songs: keys, tempi, beats and activity as songs have them, no sound."""
    chance = random.Random(SEED)
    draw = np.random.default_rng(SEED)
    tempi = np.clip(np.exp(draw.normal(math.log(118), 0.22, count)), 60, 210).round(3).tolist()
    tonics, minor = draw.integers(0, 12, count).tolist(), (draw.random(count) < 0.4).tolist()
    active = [draw.beta(a, b, count).round(4).tolist() for a, b in ((3, 2), (8, 1), (6, 1.5))]
    unknown = (draw.random(count) < 0.01).tolist()
    with MashupDB(root) as database:
        connection = database._database
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA cache_size = -500000")
        with database.transaction() as cursor:
            for kind in ("separator", "analyzer"):
                cursor.execute("INSERT INTO components VALUES (?, ?, ?)", (kind * 7, kind, f'{{"name": "{kind}"}}'))
        for first in range(0, count, 20_000):
            rows: dict[str, list[tuple[Any, ...]]] = {
                name: [] for name in ("songs", "objects", "clips", "details", "stems", "results")
            }
            for number in range(first + 1, min(first + 20_000, count) + 1):
                _synthetic(number, rows, chance, tempi, tonics, minor, active, unknown, with_results)
            with database.transaction() as cursor:
                for table, values in rows.items():
                    if values:
                        marks = ", ".join("?" * len(values[0]))
                        cursor.executemany(f"INSERT INTO {table} VALUES ({marks})", values)  # noqa: S608 — tables of ours


def _synthetic(number: int, rows: Any, chance: random.Random, tempi: Any, tonics: Any, minor: Any, active: Any,
               unknown: Any, with_results: bool) -> None:  # fmt: skip
    def digest() -> str:
        return f"{chance.getrandbits(256):064x}"

    at = number - 1
    song, part = at // 2 + 1, at % 2
    if part == 0:
        rows["songs"].append((song, digest(), f"/music/artist-{song // 12}/track-{song}.flac", f"Artist {song // 12} - Track {song}",
                              "CC-BY-4.0", 44_100, 2, 9_000_000 + song, 204.0 + song / 44_100, "[]", "songs", "{}", "{}", None, None))  # fmt: skip
    tempo = tempi[at]
    period = 60 / tempo
    bars = max(16, int(58 / (4 * period)) // 4 * 4)
    beats = np.arange(4 * bars) * period + np.sin(np.arange(4 * bars)) * 0.004 + 0.01
    duration = round(4 * bars * period * 44_100) / 44_100
    clip_id = f"artist-{song // 12}-track-{song}-{chance.getrandbits(48):012x}"
    rows["clips"].append((number, clip_id, _place(clip_id), song, duration, -1 if unknown[at] else tonics[at],
                          bool(minor[at] and not unknown[at]), tempo, bars, *(one[at] for one in active)))  # fmt: skip
    rest = {
        "confidence": {"key": 0.71}, "entry": {"harmonic": 0.0, "percussion": 0.1, "vocal": 3.2},
        "loudness": {"harmonic": -17.2, "percussion": -19.4, "vocal": -16.1},
        "tempo_candidates": [[tempo, 0.6], [tempo / 2, 0.3]],
    }  # fmt: skip
    start = 40.0 + 70 * part
    rows["details"].append((number, start + 1.3, start, 60.0, 1, 44_100, "", beats.tobytes(), beats[::4].tobytes(),
                            json.dumps(rest, sort_keys=True), "[]", None, "separator" * 7, "analyzer" * 7))  # fmt: skip
    first = round(1.3 * 44_100)
    for role in Role:
        sha256 = digest()
        rows["objects"].append((sha256, ".flac", 5_000_000))
        rows["stems"].append((number, str(role), sha256, 0, first, round(duration * 44_100)))
    if with_results:
        value = {"key": "C major", "tempo": tempo, "beats": beats.tolist(), "downbeats": beats[::4].tolist(),
                 "confidence": rest["confidence"], "tempo_candidates": rest["tempo_candidates"]}  # fmt: skip
        figures = {
            str(role): {"sha256": digest(), "halvings": 0, "loudness": -17.0, "sounding": "01" * 300} for role in Role
        }
        sha256 = rows["songs"][-1][1]
        rows["results"] += [
            (digest(), sha256, "analysis", json.dumps(value)),
            (digest(), sha256, "stems", json.dumps(figures)),
        ]


def rows(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure a database of many clips."""
    root = arguments.root or Path(tempfile.mkdtemp(dir=arguments.tmp))
    written = None
    if not (root / INDEX).exists():
        written = timed(lambda: synthesize(root, arguments.clips, with_results=False), time.process_time)
    small = Path(tempfile.mkdtemp(dir=arguments.tmp))
    synthesize(small, 20_000, with_results=True)
    with MashupDB(small, write=False) as database:
        pages = database.rows("SELECT name, sum(pgsize) FROM dbstat GROUP BY name")
        by_table = {name: size / 20_000 for name, size in pages}
    found: dict[str, Any] = {
        "clips": arguments.clips,
        "index_bytes": (root / INDEX).stat().st_size,
        "bytes_a_clip_by_table": by_table,
        "written_cpu_s": written,
    }
    # Each in a process of its own: memory that another gave back would be used again.
    for name in ("open", "table", "query", "fetch", "plans", "statistics", "digest"):
        ran = subprocess.run(
            [sys.executable, __file__, f"rows:{name}", "--root", str(root)], check=True, stdout=subprocess.PIPE
        )
        found[name] = json.loads(ran.stdout)
        print(name, found[name], file=sys.stderr, flush=True)
    return found


def rows_open(root: Path) -> dict[str, Any]:
    """Open, count, close; then open and read the first clip."""

    def look() -> None:
        with MashupDB(root, write=False) as database:
            database.record_of(1)

    return {"median_s": statistics.median(timed(look) for _ in range(11)), "first_s": timed(look)}


def rows_table(root: Path) -> dict[str, Any]:
    """Load the table, then make the index of candidates."""
    with MashupDB(root, write=False) as database:
        before = resident_mb()
        start, cpu = time.perf_counter(), time.process_time()
        table = database.table()
        loaded = {
            "wall_s": time.perf_counter() - start,
            "cpu_s": time.process_time() - cpu,
            "mb": resident_mb() - before,
        }
        before = resident_mb()
        indexed = {"cpu_s": timed(lambda: PaperGenerator().index(table), time.process_time)}
        indexed["mb"] = resident_mb() - before
    return {"table": loaded, "index": indexed, "peak_mb": _peak_mb()}


def _peak_mb() -> float:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def rows_query(root: Path) -> dict[str, Any]:
    """Ask for the matched candidates of single vocals: how many, one drawn, and all of them as a list."""
    with MashupDB(root, write=False) as database:
        index = PaperGenerator().index(database.table())
        seeds = np.random.default_rng(SEED).choice(index.seeds(Condition.MATCHED), 1000, replace=False).tolist()
        found: dict[str, list[float]] = {"count": [], "draw": [], "list": []}
        counts = []
        for seed in seeds:

            def one(seed: int = seed) -> int:
                return len(index.candidates(seed, Role.HARMONIC, Condition.MATCHED))

            found["count"].append(timed(one))
            found["draw"].append(
                timed(lambda seed=seed: index.candidates(seed, Role.HARMONIC, Condition.MATCHED).row(0))
            )
            found["list"].append(
                timed(lambda seed=seed: index.candidates(seed, Role.HARMONIC, Condition.MATCHED).rows())
            )
            counts.append(one())
    return {name: spread_ms(values) for name, values in found.items()} | {
        "candidates": {"least": min(counts), "median": statistics.median(counts), "most": max(counts)}
    }


def rows_fetch(root: Path) -> dict[str, Any]:
    """Fetch clips nobody touched before, by row and by id."""
    with MashupDB(root, write=False) as database:
        table = database.table()
        chosen = np.random.default_rng(SEED).choice(len(table), 2000, replace=False).tolist()
        by_row = [timed(lambda row=row: table.fetch(row)) for row in chosen[:1000]]
        ids = [table.fetch(row).id for row in chosen[1000:]]
        by_id = [timed(lambda clip_id=clip_id: table.row_of(clip_id)) for clip_id in ids]
    return {"clip": spread_ms(by_row), "row_of_id": spread_ms(by_id)}


def rows_plans(root: Path) -> dict[str, Any]:
    """Draw plans of each condition; of matched ones 5,000, and what they leave in memory."""
    found: dict[str, Any] = {}
    with MashupDB(root, write=False) as database:
        table, generator = database.table(), PaperGenerator()
        generator.index(table)
        for condition in Condition:
            plans = generator.plan(table, condition=condition, count=PLANS, seed=SEED)
            next(plans)  # what is made once a run
            found[str(condition)] = {
                "plans_per_cpu_s": (PLANS - 1) / timed(lambda plans=plans: [None for _ in plans], time.process_time)
            }
        marks = []
        start = time.process_time()
        for number, _ in enumerate(generator.plan(table, condition="matched", count=5000, seed=SEED + 1), 1):
            if number % 500 == 0:
                marks.append(resident_mb())
        found["5,000 matched"] = {
            "plans_per_cpu_s": 5000 / (time.process_time() - start),
            "mb_after_each_500": [round(mark, 1) for mark in marks],
        }
    return found


def rows_statistics(root: Path) -> dict[str, Any]:
    """Collect what the page shows."""
    with MashupDB(root, write=False) as database:
        return {"cpu_s": timed(lambda: statistics_of(database), time.process_time), "peak_mb": _peak_mb()}


def rows_digest(root: Path) -> dict[str, Any]:
    """Digest all of the content, as an export does twice."""
    with MashupDB(root, write=False) as database:
        return {"cpu_s": timed(lambda: content_digest(database), time.process_time), "peak_mb": _peak_mb()}


# ----------------------------------------------------------------------------------------------------------- ingest
def excerpts(folder: Path, count: int, seconds: float) -> list[Path]:
    """Cut the middle out of so many real songs."""
    found = []
    for path in sorted(SONGS.glob("*/audio.*"))[:count] or sorted(SONGS.rglob("*.mp3"))[:count]:
        audio = mk.load(path)
        found.append(
            save(folder / f"{path.parent.name}.flac", audio.excerpt(audio.duration / 2 - seconds / 2, seconds))
        )
    if len(found) < count:
        sys.exit(f"{SONGS} holds fewer than {count} songs")
    return found


def ingest(arguments: argparse.Namespace) -> dict[str, Any]:
    """Add songs to a database, and do by hand what it cannot do without: CPU seconds of both, in turn."""
    kit = mk.Kit()
    separator, analyzer = kit.separator, kit.analyzer
    number = iter(range(10_000))
    with tempfile.TemporaryDirectory(dir=arguments.tmp) as temporary:
        folder = Path(temporary)
        songs = excerpts(folder, arguments.songs, 60.0)

        def ours(path: Path, *, with_features: bool) -> None:
            with MashupDB(folder / f"database-{next(number)}") as database:
                adder = Adder(database, separator, analyzer, with_features=with_features)
                (added,) = adder.add([describe_song(path)])
                assert added.error is None, added.error

        def by_hand(path: Path) -> None:
            samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
            mix = Audio(samples.T, rate)
            stems, _ = separator._separate(mix), analyzer._analyze(mix)
            for role in Role:
                soundfile.write(folder / f"{role}.flac", stems.role(role).samples.T, rate, subtype="PCM_24")

        ours(songs[0], with_features=True)
        by_hand(songs[0])
        runs = []
        for turn in range(arguments.runs):
            for path in songs:
                bare = timed(lambda path=path: by_hand(path), time.process_time)
                plain = timed(lambda path=path: ours(path, with_features=False), time.process_time)
                full = timed(lambda path=path: ours(path, with_features=True), time.process_time)
                runs.append(
                    {
                        "song": path.stem,
                        "turn": turn,
                        "by_hand_cpu_s": bare,
                        "db_cpu_s": plain,
                        "db_with_features_cpu_s": full,
                    }
                )
                print(runs[-1], file=sys.stderr, flush=True)
    return {
        "excerpt_s": 60.0,
        "runs": runs,
        "ratio": statistics.median(run["db_cpu_s"] / run["by_hand_cpu_s"] for run in runs),
        "ratio_with_features": statistics.median(run["db_with_features_cpu_s"] / run["by_hand_cpu_s"] for run in runs),
        "by_hand_cpu_s": statistics.median(run["by_hand_cpu_s"] for run in runs),
    }


def costs(arguments: argparse.Namespace) -> dict[str, Any]:
    """Time each part of making a clip of 60 s, one thread, and count its bytes."""
    from mashkit.catalog.ingest import _features, loudness, sounding
    from mashkit.catalog.objects import encode

    kit = mk.Kit()
    parts: dict[str, list[float]] = {}
    sizes: dict[str, list[int]] = {}
    with tempfile.TemporaryDirectory(dir=arguments.tmp) as temporary:
        folder = Path(temporary)
        for turn, path in enumerate(excerpts(folder, arguments.songs, 60.0) * 2):
            kept: dict[str, Any] = {}

            def take(name: str, work: Callable[[], Any], turn: int = turn, kept: dict[str, Any] = kept) -> Any:
                seconds = timed(lambda: kept.update({name: work()}), time.process_time)
                if turn:  # the first loads models
                    parts.setdefault(name, []).append(seconds)
                return kept[name]

            mix = take("decode FLAC", lambda path=path: mk.load(path))
            stems = take(f"separate, {kit.separator.info.name}", lambda mix=mix: kit.separator.separate(mix))
            take(f"analyze, {kit.analyzer.info.name}", lambda mix=mix: kit.analyzer.analyze(mix))
            roles = take("sum stems to roles", lambda stems=stems: {role: stems.role(role) for role in Role})
            encoded = take("encode 3 stems as FLAC", lambda roles=roles: [encode(stem) for stem in roles.values()])
            take("loudness", lambda roles=roles: [loudness(stem) for stem in roles.values()])
            take("activity", lambda roles=roles, mix=mix: [sounding(stem, mix) for stem in roles.values()])
            objects: dict[tuple[str, str], bytes] = {}
            take("features", lambda roles=roles, objects=objects: _features(roles, objects))
            sizes.setdefault("stems", []).append(sum(len(data) for _, data in encoded))
            sizes.setdefault("features", []).append(sum(map(len, objects.values())))
    return {
        "excerpt_s": 60.0,
        "cpu_s": {name: statistics.median(values) for name, values in parts.items()},
        "bytes": {name: statistics.median(values) for name, values in sizes.items()},
    }


@attrs.define(kw_only=True, eq=False)
class Thirds(Separator):
    """A third of the mix to each stem: what is measured is what is around it."""

    info = mk.ComponentInfo(
        name="thirds", target="x:X", summary="s", provides=["vocals", "drums", "other"], code_license="MIT"
    )

    def _separate(self, mix: Audio) -> StemSet:
        return StemSet(dict.fromkeys(("vocals", "drums", "other"), Audio(mix.samples / np.float32(3), mix.sample_rate)))


@attrs.define(kw_only=True, eq=False)
class Constant(Analyzer):
    """Always the same."""

    info = mk.ComponentInfo(name="constant", target="x:X", summary="s", provides=["key", "tempo"], code_license="MIT")

    def _analyze(self, mix: Audio) -> Analysis:
        return Analysis(key=Key(0, "major"), tempo=100.0)


def memory(arguments: argparse.Namespace) -> dict[str, Any]:
    """Add 100 songs of 26 s, one clip each, and watch what the process holds."""
    with tempfile.TemporaryDirectory(dir=arguments.tmp) as temporary:
        folder = Path(temporary)
        songs = [save(folder / f"{number:03}.flac", signals.tone(80.0 + number, 26.0)) for number in range(100)]
        with MashupDB(folder / "database") as database:
            adder = Adder(database, Thirds(), Constant(), with_features=True)
            marks = []
            for number, added in enumerate(adder.add([describe_song(path) for path in songs]), 1):
                assert added.error is None, added.error
                if number % 10 == 0:
                    marks.append(round(resident_mb(), 1))
    return {"clips": 100, "mb_after_each_10": marks, "growth_mb_from_20_to_100": marks[-1] - marks[1]}


def workers(arguments: argparse.Namespace) -> dict[str, Any]:
    """Add the same songs with one worker process and with two, in turn; wall time, models loaded in both."""
    runs = []
    with tempfile.TemporaryDirectory(dir=arguments.tmp) as temporary:
        folder = Path(temporary)
        songs = [describe_song(path) for path in excerpts(folder, 8, 60.0)]
        for turn in range(arguments.runs):
            run: dict[str, Any] = {"load_average": os.getloadavg()[0]}
            for jobs in (1, 2):
                kit = mk.Kit()
                database = MashupDB(folder / f"database-{turn}-{jobs}")
                adder = Adder(database, kit.separator, kit.analyzer, executor=_local(jobs))
                run[f"wall_s_of_{jobs}"] = timed(lambda adder=adder: [None for _ in adder.add(songs)])
                run[f"content_{jobs}"] = content_digest(database)
                assert not adder.report.failures, adder.report.failures
                database.close()
            run["ratio"] = run["wall_s_of_1"] / run["wall_s_of_2"]
            run["same_content"] = run.pop("content_1") == run.pop("content_2")
            runs.append(run)
            print(run, file=sys.stderr, flush=True)
    return {"songs": len(songs), "runs": runs, "ratio": statistics.median(run["ratio"] for run in runs)}


def _local(jobs: int) -> Any:
    from mashkit.registry import Registry

    # One thread each: with one job alone, numerical libraries would take the second core too.
    return Registry().create("executor", "local", {"jobs": jobs, "threads": 1})


# ------------------------------------------------------------------------------------------------------------- output
SECTIONS: Mapping[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "rows": rows, "ingest": ingest, "costs": costs, "memory": memory, "workers": workers,
}  # fmt: skip
LOOKS = {
    f"rows:{one.__name__.removeprefix('rows_')}": one
    for one in (rows_open, rows_table, rows_query, rows_fetch, rows_plans, rows_statistics, rows_digest)
}


def markdown(found: Mapping[str, Any]) -> str:
    """Return what was measured as a page."""
    lines = ["# What a database costs", "", "Made by `python benchmarks/database.py SECTION --write` on "
             f"{found['machine']['cores']} cores; CPU seconds where it says so, for the machine was shared."]  # fmt: skip
    for name in SECTIONS:
        if name in found:
            lines += ["", *_PAGES[name](found[name])]
    return "\n".join([*lines, ""])


def _verdict(holds: bool) -> str:
    return "kept" if holds else "**missed**"


def _rows_page(found: Mapping[str, Any]) -> Iterator[str]:
    query, plans = found["query"], found["plans"]
    yield f"## {found['clips']:,} clips, no audio"
    yield ""
    yield "| what | measured | target |"
    yield "|---|---|---|"
    yield f"| index.sqlite | {found['index_bytes'] / 1e9:.2f} GB, {found['index_bytes'] / found['clips']:.0f} B a clip, results not counted | – |"
    opened = found["open"]["median_s"]
    yield f"| open, and read one clip | {1000 * opened:.1f} ms | under {1000 * TARGETS['open_s']:.0f} ms: {_verdict(opened < TARGETS['open_s'])} |"
    table = found["table"]["table"]
    yield f"| `table()` | {table['cpu_s']:.1f} s CPU, {table['mb']:.0f} MB | – |"
    index = found["table"]["index"]
    yield f"| index of candidates | {index['cpu_s']:.1f} s CPU, {index['mb']:.0f} MB; once a table | – |"
    for name, said in (("count", "how many"), ("draw", "one drawn"), ("list", "all as a list")):
        one = query[name]
        kept = _verdict(one["median_ms"] < TARGETS["query_median_ms"])
        yield (f"| matched harmonic candidates of a vocal, {said} | median {one['median_ms']:.3f} ms, 95 % under "
               f"{one['p95_ms']:.3f} ms | median under {TARGETS['query_median_ms']:.0f} ms: {kept} |")  # fmt: skip
    fetch = found["fetch"]["clip"]
    yield f"| fetch a clip nobody touched | median {fetch['median_ms']:.3f} ms, 95 % under {fetch['p95_ms']:.3f} ms | – |"
    for name, one in plans.items():
        speed = one["plans_per_cpu_s"]
        kept = f"{TARGETS['plans_per_s']:.0f} or more: {_verdict(speed >= TARGETS['plans_per_s'])}"
        yield f"| plans a CPU second, {name} | {speed:.0f} | {kept} |"
    marks = plans["5,000 matched"]["mb_after_each_500"]
    yield f"| memory after 500, 2,500, 5,000 plans | {marks[0]:.0f}, {marks[4]:.0f}, {marks[-1]:.0f} MB | flat |"
    yield f"| statistics | {found['statistics']['cpu_s']:.1f} s CPU | – |"
    yield f"| content digest | {found['digest']['cpu_s']:.1f} s CPU, peak {found['digest']['peak_mb']:.0f} MB | – |"
    yield ""
    yield f"{query['candidates']['median']:,.0f} candidates in the median. With results, the index has in bytes a clip:"
    yield ""
    yield "| table or index | bytes a clip |"
    yield "|---|---|"
    for name, size in sorted(found["bytes_a_clip_by_table"].items(), key=lambda pair: -pair[1]):
        if size >= 1:
            yield f"| {name} | {size:.0f} |"


def _ingest_page(found: Mapping[str, Any]) -> Iterator[str]:
    yield "## Songs going in, against the bare backends"
    yield ""
    yield "| song | by hand, CPU s | `db add` | ratio | with features | ratio |"
    yield "|---|---|---|---|---|---|"
    for run in found["runs"]:
        bare, plain, full = run["by_hand_cpu_s"], run["db_cpu_s"], run["db_with_features_cpu_s"]
        yield f"| {run['song']} | {bare:.2f} | {plain:.2f} | {plain / bare:.3f} | {full:.2f} | {full / bare:.3f} |"
    yield ""
    kept = _verdict(found["ratio"] <= TARGETS["ingest_overhead"])
    yield (f"Excerpts of {found['excerpt_s']:.0f} s. By hand: decode, separate, analyze, write three FLAC files. Median ratio "
           f"{found['ratio']:.3f} (target {TARGETS['ingest_overhead']:.2f}: {kept}); with features, which by hand nobody "
           f"computed, {found['ratio_with_features']:.3f}.")  # fmt: skip


def _costs_page(found: Mapping[str, Any]) -> Iterator[str]:
    yield f"## A clip of {found['excerpt_s']:.0f} s"
    yield ""
    yield "| part | core-seconds |"
    yield "|---|---|"
    for name, seconds in found["cpu_s"].items():
        yield f"| {name} | {seconds:.2f} |"
    yield f"| **sum** | {sum(found['cpu_s'].values()):.2f} |"
    yield ""
    yield "; ".join(f"{name}: {size / 1e6:.2f} MB" for name, size in found["bytes"].items()) + "."


def _memory_page(found: Mapping[str, Any]) -> Iterator[str]:
    yield "## Memory while clips go in"
    yield ""
    marks = ", ".join(f"{mark:.0f}" for mark in found["mb_after_each_10"])
    yield f"{found['clips']} songs of 26 s, light components, features kept: {marks} MB after each ten."


def _workers_page(found: Mapping[str, Any]) -> Iterator[str]:
    yield "## One worker process and two"
    yield ""
    yield "| load average before | one, s | two, s | ratio | same content |"
    yield "|---|---|---|---|---|"
    for run in found["runs"]:
        yield (f"| {run['load_average']:.1f} | {run['wall_s_of_1']:.1f} | {run['wall_s_of_2']:.1f} | {run['ratio']:.2f} | "
               f"{'yes' if run['same_content'] else '**no**'} |")  # fmt: skip
    yield ""
    kept = _verdict(found["ratio"] >= TARGETS["two_workers"])
    yield f"{found['songs']} excerpts of 60 s, default components. Target {TARGETS['two_workers']}: {kept}."


_PAGES: Mapping[str, Callable[[Mapping[str, Any]], Iterator[str]]] = {
    "rows": _rows_page, "ingest": _ingest_page, "costs": _costs_page, "memory": _memory_page, "workers": _workers_page,
}  # fmt: skip


def main() -> None:
    """Measure one section."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("section", choices=[*SECTIONS, *LOOKS])
    parser.add_argument("--clips", type=int, default=1_000_000)
    parser.add_argument("--songs", type=int, default=3, help="real songs that go in")
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--root", type=Path, help="folder of the synthetic database: made there if it is not, and kept")
    parser.add_argument("--tmp", type=Path, help="where temporary files go: rows take 4 GB")
    parser.add_argument("--write", action="store_true", help="keep the result in benchmarks/results")
    arguments = parser.parse_args()
    if arguments.section in LOOKS:
        print(json.dumps(LOOKS[arguments.section](arguments.root)))
        return
    found = SECTIONS[arguments.section](arguments)
    print(json.dumps(found, indent=2))
    if arguments.write:
        path = HERE / "results" / "database.json"
        kept = json.loads(path.read_text()) if path.exists() else {}
        machine = {"cores": os.cpu_count(), "processor": platform.processor() or platform.machine()}
        kept |= {arguments.section: found, "targets": TARGETS, "machine": machine, "environment": environment()}
        path.write_text(json.dumps(kept, indent=2) + "\n")
        path.with_suffix(".md").write_text(markdown(kept))


if __name__ == "__main__":
    main()
