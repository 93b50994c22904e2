"""What a database costs: a million rows, songs going in, memory, and a clip's bytes and core-seconds by component.

Sections, each measured apart: ``rows`` (1,000,000 synthetic clips written straight through the schema, no audio),
``ingest`` (`db add` against decoding, separating, analyzing and writing by hand, in turn), ``costs`` (of each
component), ``memory`` (100 clips going in), ``workers`` (one worker process and two). Prints, and with --write keeps
the section in benchmarks/results/database.json and makes database.md from all that are there.
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
import os
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
from script import RESULTS, circumstances, run_script, write_results

import mashkit as mk
from mashkit.audio.files import save
from mashkit.builtin.paper import PaperGenerator
from mashkit.catalog import Adder, MashupDB
from mashkit.catalog.database import INDEX, _place, _stored_grid
from mashkit.catalog.songs import describe_song
from mashkit.catalog.upkeep import content_digest
from mashkit.cli.actions import positive
from mashkit.interfaces import Analyzer, Separator
from mashkit.report.statistics import statistics as statistics_of
from mashkit.synthetic import signals
from mashkit.types import Analysis, Audio, Condition, Key, Role, StemSet

HERE = Path(__file__).parent
SONGS = HERE.parent.parent / "shared" / "data" / "songs"
PATH = RESULTS / "database.json"
SONG_COUNT = 3
SEED = 1
RHYTHMS = 2_000
"""Beats that synthetic clips share."""
CLIPS, LEAST = 1_000_000, 3_000
"""Clips of the database that is made, and the least of them."""
PLANS = 1_000
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
@attrs.frozen
class Rhythm:
    """Beats of a clip, as the database stores them: shared by many synthetic clips, for a grid takes 15 ms."""

    tempo: float
    frames: int
    bars: int
    beats: bytes
    downbeats: bytes
    grid: bytes | None
    grid_facts: str

    @classmethod
    def at(cls, tempo: float) -> Rhythm:
        """Return as many phrases of 16 beats as fit into a minute, a little unsteady."""
        period = 60 / tempo
        bars = max(16, int(58 / (4 * period)) // 4 * 4)
        beats = np.arange(4 * bars) * period + np.sin(np.arange(4 * bars)) * 0.004 + 0.01
        grid, facts = _stored_grid(Analysis(tempo=tempo, beats=beats, downbeats=beats[::4]))
        frames = round(4 * bars * period * 44_100)
        return cls(tempo, frames, bars, beats.tobytes(), beats[::4].tobytes(), grid, json.dumps(facts, sort_keys=True))


def synthesize(root: Path, count: int, *, with_results: bool) -> None:
    """Write so many clips of half as many songs: keys, tempi, beats and activity as songs have them, no sound."""
    draw = np.random.default_rng(SEED)
    tempi = np.clip(np.exp(draw.normal(math.log(118), 0.22, RHYTHMS)), 60, 210).round(3).tolist()
    maker = _RowMaker([Rhythm.at(tempo) for tempo in tempi], draw, with_results=with_results)
    with MashupDB(root) as database:
        database._database.execute("PRAGMA synchronous = OFF")
        database._database.execute("PRAGMA cache_size = -500000")
        with database.transaction() as cursor:
            for kind in ("separator", "analyzer"):
                cursor.execute("INSERT INTO components VALUES (?, ?, ?)", (kind * 7, kind, f'{{"name": "{kind}"}}'))
        for first in range(1, count + 1, 20_000):
            made = maker.rows(range(first, min(first + 20_000, count + 1)))
            with database.transaction() as cursor:
                for table, values in made.items():
                    if values:
                        names = ", ".join(values[0])
                        marks = ", ".join(f":{name}" for name in values[0])
                        cursor.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", values)  # noqa: S608


class _RowMaker:
    """Makes the rows of synthetic clips."""

    def __init__(self, rhythms: list[Rhythm], draw: np.random.Generator, *, with_results: bool) -> None:
        self._rhythms = rhythms
        self._draw = draw
        self._digits = random.Random(SEED)  # noqa: S311 — names, no secrets
        self._with_results = with_results

    def _digest(self, bits: int = 256) -> str:
        return f"{self._digits.getrandbits(bits):0{bits // 4}x}"

    def rows(self, numbers: range) -> dict[str, list[dict[str, Any]]]:
        """Return the rows of these clips, by table."""
        made: dict[str, list[dict[str, Any]]] = {
            name: [] for name in ("songs", "objects", "clips", "details", "stems", "results")
        }
        draw, count = self._draw, len(numbers)
        tonics = np.where(draw.random(count) < 0.01, -1, draw.integers(0, 12, count)).tolist()
        minor = (draw.random(count) < 0.4).tolist()
        active = [draw.beta(a, b, count).round(4).tolist() for a, b in ((3, 2), (8, 1), (6, 1.5))]
        rhythms = draw.integers(0, len(self._rhythms), count).tolist()
        for at, number in enumerate(numbers):
            song, part = (number + 1) // 2, (number + 1) % 2
            if part == 0:
                made["songs"].append(self._song(song))
            rhythm = self._rhythms[rhythms[at]]
            clip_id = f"artist-{song // 12}-track-{song}-{self._digest(48)}"
            made["clips"].append(
                {"number": number, "id": clip_id, "place": _place(clip_id), "song": song,
                 "duration_s": rhythm.frames / 44_100, "tonic": tonics[at], "minor": minor[at] and tonics[at] >= 0,
                 "tempo": rhythm.tempo, "downbeats": rhythm.bars,
                 **{str(role): active[index][at] for index, role in enumerate(Role)}}
            )  # fmt: skip
            made["details"].append(_details(number, 40.0 + 70 * part, rhythm))
            for role in Role:
                sha256 = self._digest()
                made["objects"].append({"sha256": sha256, "suffix": ".flac", "bytes": 5_000_000})
                made["stems"].append(
                    {"number": number, "role": str(role), "object": sha256, "halvings": 0, "first": 57_330,
                     "frames": rhythm.frames}
                )  # fmt: skip
            if self._with_results:
                made["results"] += self._results(made["songs"][-1]["sha256"], rhythm)
        return made

    def _song(self, song: int) -> dict[str, Any]:
        return {
            "number": song, "sha256": self._digest(), "path": f"/music/artist-{song // 12}/track-{song}.flac",
            "title": f"Artist {song // 12} - Track {song}", "licence": "CC-BY-4.0", "sample_rate": 44_100,
            "channels": 2, "frames": 9_000_000 + song, "duration_s": 204.0 + song / 44_100, "notes": "[]",
            "protocol": "songs", "source": "{}", "stems": "{}",
        }  # fmt: skip

    def _results(self, song: str, rhythm: Rhythm) -> list[dict[str, Any]]:
        times = {name: np.frombuffer(getattr(rhythm, name)).tolist() for name in ("beats", "downbeats")}
        analysis = {"key": "C major", "tempo": rhythm.tempo, **times, **_REST}
        stem = {"halvings": 0, "loudness": -17.0, "sounding": "01" * 300}
        figures = {str(role): {"sha256": self._digest(), **stem} for role in Role}
        return [
            {"key": self._digest(), "song": song, "kind": kind, "value": json.dumps(value)}
            for kind, value in (("analysis", analysis), ("stems", figures))
        ]


_REST = {"confidence": {"key": 0.71}, "tempo_candidates": [[118.0, 0.6], [59.0, 0.3]]}


def _details(number: int, start: float, rhythm: Rhythm) -> dict[str, Any]:
    loudness = {"harmonic": -17.2, "percussion": -19.4, "vocal": -16.1}
    rest = {**_REST, "entry": {"harmonic": 0.0, "percussion": 0.1, "vocal": 3.2}, "loudness": loudness}
    return {
        "number": number, "start_s": start + 1.3, "excerpt_start_s": start, "excerpt_s": 60.0, "on_downbeats": 1,
        "sample_rate": 44_100, "label": "", "beats": rhythm.beats, "downbeats": rhythm.downbeats, "grid": rhythm.grid,
        "grid_facts": rhythm.grid_facts, "rest": json.dumps(rest, sort_keys=True), "edited": "[]", "features": None,
        "separator": "separator" * 7, "analyzer": "analyzer" * 7,
    }  # fmt: skip


def rows(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure a database of many clips."""
    root = arguments.root or Path(tempfile.mkdtemp(dir=arguments.tmp))
    written = None
    if not (root / INDEX).exists():
        written = timed(lambda: synthesize(root, arguments.clips or CLIPS, with_results=False), time.process_time)
    small = Path(tempfile.mkdtemp(dir=arguments.tmp))
    synthesize(small, 20_000, with_results=True)
    with MashupDB(small, write=False) as database:
        pages = database.rows("SELECT name, sum(pgsize) FROM dbstat GROUP BY name")
        by_table = {name: size / 20_000 for name, size in pages}
    found: dict[str, Any] = {
        "clips": clips_in(root),
        "index_bytes": (root / INDEX).stat().st_size,
        "bytes_a_clip_by_table": by_table,
        "written_cpu_s": written,
    }
    # Each in a process of its own: memory that another gave back would be used again.
    for name in ("open", "table", "query", "fetch", "plans", "statistics", "digest"):
        command = [sys.executable, __file__, f"rows:{name}", "--root", str(root)]
        ran = subprocess.run(command, check=True, stdout=subprocess.PIPE)  # noqa: S603 — this very file
        found[name] = json.loads(ran.stdout)
        print(name, found[name], file=sys.stderr, flush=True)
    return found


def clips_in(root: Path) -> int:
    """Return the number of clips of a database."""
    with MashupDB(root, write=False) as database:
        return len(database)


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
    # Not getrusage: its peak is also that of the process which started this one.
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1000


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
    for path in sorted(SONGS.glob("*/audio.*"))[:count]:
        audio = mk.load(path)
        part = audio.excerpt(audio.duration / 2 - seconds / 2, seconds)
        # At half its level: what was lossy peaks above 1, and does not fit into FLAC.
        half = Audio(part.samples * np.float32(0.5), part.sample_rate)
        found.append(save(folder / f"{path.parent.name}.flac", half))
    if len(found) < count:
        sys.exit(f"{SONGS} holds fewer than {count} songs")
    return found


def ingest(arguments: argparse.Namespace) -> dict[str, Any]:
    """Add songs to a database, and do by hand what it cannot do without: CPU seconds of both, in turn."""
    kit = mk.Kit(separator=arguments.separator)
    separator, analyzer = kit.separator, kit.analyzer
    number = iter(range(10_000))
    with tempfile.TemporaryDirectory(dir=arguments.tmp) as temporary:
        folder = Path(temporary)
        songs = excerpts(folder, arguments.songs, 60.0)

        def ours(path: Path, *, with_features: bool) -> None:
            with MashupDB(folder / f"database-{next(number)}") as database:
                adder = Adder(database, separator, analyzer, with_features=with_features)
                (added,) = adder.add([describe_song(path)])
                if added.error is not None:
                    sys.exit(str(added.error))

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
        "components": _components(kit),
        "runs": runs,
        "songs": len(songs),
        "ratio": statistics.median(run["db_cpu_s"] / run["by_hand_cpu_s"] for run in runs),
        "ratio_with_features": statistics.median(run["db_with_features_cpu_s"] / run["by_hand_cpu_s"] for run in runs),
        "by_hand_cpu_s": statistics.median(run["by_hand_cpu_s"] for run in runs),
    }


def costs(arguments: argparse.Namespace) -> dict[str, Any]:
    """Time each part of making a clip of 60 s, one thread, and count its bytes."""
    from mashkit.audio.levels import loudness
    from mashkit.catalog.ingest import _features, sounding
    from mashkit.catalog.objects import encode

    kit = mk.Kit(separator=arguments.separator)
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
        "songs": arguments.songs,
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
                if added.error is not None:
                    sys.exit(str(added.error))
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
                kit = mk.Kit(separator=arguments.separator)
                database = MashupDB(folder / f"database-{turn}-{jobs}")
                adder = Adder(database, kit.separator, kit.analyzer, executor=_local(jobs))
                run[f"wall_s_of_{jobs}"] = timed(lambda adder=adder: [None for _ in adder.add(songs)])
                run[f"content_{jobs}"] = content_digest(database)
                if adder.report.failures:
                    sys.exit(str(adder.report.failures))
                database.close()
            run["ratio"] = run["wall_s_of_1"] / run["wall_s_of_2"]
            run["same_content"] = run.pop("content_1") == run.pop("content_2")
            runs.append(run)
            print(run, file=sys.stderr, flush=True)
    return {
        "songs": len(songs),
        "components": _components(kit),
        "runs": runs,
        "ratio": statistics.median(run["ratio"] for run in runs),
    }


def _components(kit: mk.Kit) -> str:
    return f"`{kit.chosen['separator']}` and `{kit.chosen['analyzer']}`"


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
    lines = [
        "# What a database costs",
        "",
        "Made by `python benchmarks/database.py SECTION --write` on a machine that others used too: CPU seconds where "
        "it says so.",
    ]
    for name in SECTIONS:
        if name in found:
            lines += ["", *_PAGES[name](found[name]), "", _measured(found[name])]
    return "\n".join([*lines, ""])


def _measured(found: Mapping[str, Any]) -> str:
    """Return the sentence that says when a section was measured, and what of it was measured again later."""
    again = [f", {name} on {one['date']}" for name, one in found.items() if isinstance(one, Mapping) and "date" in one]
    return f"Measured on {found['date']}{''.join(again)}, on {found['cores']} cores."


def _verdict(holds: bool) -> str:
    return "kept" if holds else "**missed**"


def _rows_page(found: Mapping[str, Any]) -> Iterator[str]:
    query, plans, opened = found["query"], found["plans"], found["open"]["median_s"]
    table, index, fetch = found["table"]["table"], found["table"]["index"], found["fetch"]["clip"]
    size, marks = found["index_bytes"], plans["5,000 matched"]["mb_after_each_500"]
    digest = found["digest"]
    lines = [
        ("index.sqlite", f"{size / 1e9:.2f} GB, {size / found['clips']:.0f} B a clip, results not counted", None),
        ("open, and read one clip", f"{1000 * opened:.1f} ms", (opened < TARGETS["open_s"], "under 500 ms")),
        ("`table()`", f"{table['cpu_s']:.1f} s CPU, {table['mb']:.0f} MB", None),
        ("index of candidates, once a table", f"{index['cpu_s']:.1f} s CPU, {index['mb']:.0f} MB", None),
    ]
    for name, said in (("count", "how many"), ("draw", "one drawn"), ("list", "all as a list")):
        kept = (query[name]["median_ms"] < TARGETS["query_median_ms"], "median under 20 ms")
        lines.append((f"matched harmonic candidates of a vocal, {said}", _spread(query[name]), kept))
    lines.append(("fetch a clip nobody touched", _spread(fetch), None))
    for name, one in plans.items():
        speed = one["plans_per_cpu_s"]
        kept = (speed >= TARGETS["plans_per_s"], "2,000 or more")
        lines.append((f"plans a CPU second, {name}", f"{speed:.0f}", kept))
    held = ", ".join(f"{mark:.0f}" for mark in marks[1::2])
    lines += [
        ("memory after each 1,000 plans", f"{held} MB", None),
        ("statistics", f"{found['statistics']['cpu_s']:.1f} s CPU", None),
        ("content digest", f"{digest['cpu_s']:.1f} s CPU, peak {digest['peak_mb']:.0f} MB", None),
    ]
    yield f"## {found['clips']:,} clips, no audio"
    yield ""
    yield "| what | measured | target |"
    yield "|---|---|---|"
    for what, measured, target in lines:
        yield f"| {what} | {measured} | {'–' if target is None else f'{target[1]}: {_verdict(target[0])}'} |"
    yield ""
    yield f"{query['candidates']['median']:,.0f} candidates in the median. With results, the index has in bytes a clip:"
    yield ""
    yield "| table or index | bytes a clip |"
    yield "|---|---|"
    for name, bytes_ in sorted(found["bytes_a_clip_by_table"].items(), key=lambda pair: -pair[1]):
        if bytes_ >= 1:
            yield f"| {name} | {bytes_:.0f} |"


def _spread(one: Mapping[str, float]) -> str:
    return f"median {one['median_ms']:.3f} ms, 95 % under {one['p95_ms']:.3f} ms"


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
    yield (f"Excerpts of {found['excerpt_s']:.0f} s, {found['components']}. By hand: decode, separate, analyze, write "
           "three FLAC files. "
           f"Median ratio {found['ratio']:.3f} (target {TARGETS['ingest_overhead']:.2f}: {kept}); with features, which "
           f"by hand nobody computed, {found['ratio_with_features']:.3f}.")  # fmt: skip


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
        walls = f"{run['wall_s_of_1']:.1f} | {run['wall_s_of_2']:.1f} | {run['ratio']:.2f}"
        yield f"| {run['load_average']:.1f} | {walls} | {'yes' if run['same_content'] else '**no**'} |"
    yield ""
    kept = _verdict(found["ratio"] >= TARGETS["two_workers"])
    yield f"{found['songs']} excerpts of 60 s, {found['components']}. Target {TARGETS['two_workers']}: {kept}."


_PAGES: Mapping[str, Callable[[Mapping[str, Any]], Iterator[str]]] = {
    "rows": _rows_page, "ingest": _ingest_page, "costs": _costs_page, "memory": _memory_page, "workers": _workers_page,
}  # fmt: skip


def main() -> None:
    """Measure one section."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("section", choices=[*SECTIONS, *LOOKS])
    parser.add_argument("--clips", type=positive, help=f"of a database that is made; default: {CLIPS:,}")
    parser.add_argument(
        "--songs", type=positive, default=SONG_COUNT, help="real songs that go in; default: %(default)s"
    )
    parser.add_argument("--runs", type=positive, default=2)
    parser.add_argument(
        "--separator", metavar="NAME", default=mk.Kit().chosen["separator"], help="default: %(default)s"
    )
    parser.add_argument("--root", type=Path, help="folder of the synthetic database: made there if it is not, and kept")
    parser.add_argument("--tmp", type=Path, help="where temporary files go: rows take 4 GB")
    parser.add_argument("--write", action="store_true", help="keep the result in benchmarks/results")
    arguments = parser.parse_args()
    if problem := _problem(arguments):
        parser.error(problem)
    if arguments.section in LOOKS:
        look = LOOKS[arguments.section](arguments.root)
        print(json.dumps(look))
        if arguments.write:
            _keep("rows", {arguments.section.removeprefix("rows:"): {**look, "date": f"{datetime.date.today()}"}})
        return
    found = SECTIONS[arguments.section](arguments)
    print(json.dumps(found, indent=2))
    if arguments.write:
        _keep(arguments.section, {**found, **circumstances()})


def _problem(arguments: argparse.Namespace) -> str | None:
    """Return what is wrong with the arguments, or None: results of fewer clips must not replace those of more."""
    section = arguments.section.partition(":")[0]
    there = None if arguments.root is None or not (arguments.root / INDEX).exists() else clips_in(arguments.root)
    if arguments.section in LOOKS and there is None:
        return f"{arguments.section} needs --root, the folder of a database that `rows` made"
    if section == "rows" and there is not None and arguments.clips not in (None, there):
        return f"the database in {arguments.root} has {there:,} clips, not {arguments.clips:,}: leave out --clips"
    if arguments.section == "rows" and (there or arguments.clips or CLIPS) < LEAST:
        return f"rows need {LEAST:,} clips or more, because clips that nobody touched are fetched"
    if not arguments.write or not PATH.exists():
        return None
    kept = json.loads(PATH.read_text()).get(section, {})
    if section == "rows":
        clips, had = there or arguments.clips or CLIPS, kept.get("clips", 0)
        if clips < had or (arguments.section in LOOKS and clips != had):
            return f"{PATH.name} has rows of {had:,} clips, and these are {clips:,}: --write needs as many"
    # A section that takes a run for each song tells which turn it was.
    runs = len({run.get("turn", number) for number, run in enumerate(kept.get("runs", ()))})
    if arguments.runs < runs:
        return f"{PATH.name} has {section} of {runs} runs: --write needs --runs {runs} or more"
    had = kept.get("songs", SONG_COUNT)
    if section in ("ingest", "costs") and kept and arguments.songs < had:
        return f"{PATH.name} has {section} of {had} songs: --write needs --songs {had} or more"
    return None


def _keep(section: str, found: Mapping[str, Any]) -> None:
    """Keep what was measured of a section beside the rest, and make the page anew."""
    kept = json.loads(PATH.read_text()) if PATH.exists() else {}
    kept["targets"] = TARGETS
    kept[section] = {**kept.get(section, {}), **found}
    write_results(PATH, kept, markdown(kept), indent=2)


if __name__ == "__main__":
    run_script(main)
