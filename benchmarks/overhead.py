"""What the framework costs: each stage through mashkit against the same library calls made by hand, on one 30 s clip.

Both sides run in turn, A B A B …, in one process with models loaded; the ratio is of medians. madmom's networks are
evaluated by mashkit-madmom's own code on both sides, because madmom's is several times slower: the framework is
measured, not that code. Prints a table, and with --write keeps its rows in benchmarks/results/overhead.json and
overhead.md, beside other rows that are there.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from script import RESULTS, circumstances, refuse_fewer, run_script, write_results

import mashkit as mk
from mashkit.audio.files import save
from mashkit.audio.mixing import PEAK_CEILING_DB
from mashkit.catalog import Catalog
from mashkit.cli.actions import positive
from mashkit.rendering.renderer import Renderer
from mashkit.synthetic.source import SyntheticSource
from mashkit.types import Key, MashupPlan, Role

HERE = Path(__file__).parent
SONG = HERE.parent / "examples" / "songs" / "mango-season.ogg"
SPEED, SEMITONES = 1.07, 2.0
TARGETS = {"overhead": 1.10, "render seconds": 1.5}


def timed(work: Callable[[], object]) -> float:
    """Return the wall seconds ``work`` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def compare(ours: Callable[[], object], by_hand: Callable[[], object], runs: int) -> dict[str, Any]:
    """Time both in turn, after one uncounted run of each."""
    ours()
    by_hand()
    pairs = [(timed(ours), timed(by_hand)) for _ in range(runs)]
    a, b = (statistics.median(column) for column in zip(*pairs, strict=True))
    return {"mashkit_s": a, "by_hand_s": b, "ratio": a / b, "runs": runs, **circumstances()}


def stretchers(audio: mk.Audio) -> dict[str, tuple[Callable[[], object], Callable[[], object]]]:
    """Return, by name, the stretcher's stretch and the bare library's, of the same samples."""
    import pedalboard
    import python_stretch

    samples = np.array(audio.samples)

    def signalsmith() -> object:
        processor = python_stretch.Signalsmith.Stretch(0)
        processor.preset(2, audio.sample_rate)
        processor.setTimeFactor(SPEED)
        processor.setTransposeSemitones(SEMITONES)
        return processor.process(samples)

    def pedal() -> object:
        return pedalboard.time_stretch(samples, audio.sample_rate, SPEED, SEMITONES, high_quality=False)

    by_hand = {"signalsmith": signalsmith, "pedalboard": pedal}
    return {
        name: (lambda name=name: stretcher(name).stretch(audio, speed=SPEED, semitones=SEMITONES), bare)
        for name, bare in by_hand.items()
    }


def stretcher(name: str) -> mk.Stretcher:
    """Return the stretcher of that name, one instance for all calls."""
    if name not in _STRETCHERS:
        _STRETCHERS[name] = mk.Kit(stretcher=name).stretcher
    return _STRETCHERS[name]


_STRETCHERS: dict[str, mk.Stretcher] = {}


def analyzers(audio: mk.Audio) -> dict[str, tuple[Callable[[], object], Callable[[], object]]]:
    """Return, by name, the analyzer's analyze and the bare library's calls for the same facts."""
    import essentia.standard as es

    from mashkit_madmom import backend, networks

    key, beat = networks.key_network(), networks.beat_network()
    dbn = backend.DBNDownBeatTrackingProcessor(beats_per_bar=[3, 4], fps=100)
    histogram = backend.CombFilterTempoHistogramProcessor(fps=100)
    tempi = backend.TempoEstimationProcessor(method=None, histogram_processor=histogram, fps=100, interpolate=True)
    mono = np.array(audio.mono())
    integers = np.round(mono / np.abs(mono).max() * 32_767).astype(np.int16)
    key_extractor, percival = es.KeyExtractor(profileType="bgate"), es.PercivalBpmEstimator()
    trackers = [es.RhythmExtractor2013(method=method) for method in ("multifeature", "degara")]

    def by_madmom() -> object:
        signal = backend.Signal(integers, audio.sample_rate)
        probability = beat(signal)
        return key(signal), dbn(probability), tempi(probability.sum(axis=1))

    def by_essentia() -> object:
        # The two further opinions are where the plugin's tempo candidates come from.
        percival.reset()  # or it repeats its first answer
        return key_extractor(mono), [tracker(mono) for tracker in trackers], percival(mono)

    ours = {name: mk.Kit(analyzer=name).analyzer for name in ("madmom", "essentia")}
    return {
        "madmom": (lambda: ours["madmom"].analyze(audio), by_madmom),
        "essentia": (lambda: ours["essentia"].analyze(audio), by_essentia),
    }


def ingest(audio: mk.Audio, folder: Path, kit: mk.Kit) -> tuple[Callable[[], object], Callable[[], object]]:
    """Return song to clips by the catalog, and the same by hand: decode, separate, analyze, write three stems."""
    song = save(folder / "song.flac", audio)
    separator, analyzer = kit.separator, kit.analyzer
    number = iter(range(10_000))

    def ours() -> object:
        return Catalog.build([song], separator=separator, analyzer=analyzer, cache=folder / f"cache-{next(number)}")

    def by_hand() -> object:
        samples, rate = soundfile.read(song, dtype="float32", always_2d=True)
        mix = mk.Audio(samples.T, rate)
        stems, _ = separator._separate(mix), analyzer._analyze(mix)
        for role in Role:
            soundfile.write(folder / f"{role}.flac", stems.role(role).samples.T, rate, subtype="PCM_24")
        return stems

    return ours, by_hand


def render(source: SyntheticSource, plan: MashupPlan, name: str) -> tuple[Callable[[], object], Callable[[], object]]:
    """Return the renderer's work on a plan, nothing cached, and the same by hand: two stretches, placing, summing."""

    def ours() -> object:
        return Renderer(source, stretcher(name)).render(plan)

    def by_hand() -> object:
        parts = []
        for layer in plan.layers:
            samples = source.stem(layer.clip_id, layer.role).samples
            if layer.speed != 1 or layer.semitones:
                audio = mk.Audio(samples, 44_100)
                samples = (
                    stretcher(name)
                    ._stretch(
                        audio,
                        speed=layer.speed,
                        semitones=layer.semitones,
                        frames=round(samples.shape[1] / layer.speed),
                    )
                    .samples
                )
            start = round(-layer.offset_s * 44_100)
            parts.append(samples[:, start : start + round(plan.duration_s * 44_100) - 1])
        mix = np.sum(parts, axis=0)
        return mix * min(1, 10 ** (PEAK_CEILING_DB / 20) / np.abs(mix).max())

    return ours, by_hand


def matched_30s() -> tuple[SyntheticSource, MashupPlan]:
    """Return a matched plan of 30 s in which the harmonic stem is stretched and shifted, the percussion stretched."""
    source = SyntheticSource([(Key(0, "major"), 112.0), (Key(10, "major"), 104.0), (Key(2, "major"), 120.0)], bars=14)
    plans = mk.Kit().generator.plan(source.clips, condition="matched", count=50, seed=0, vocal=source.clips[0].id)
    return source, next(
        plan
        for plan in plans
        if plan.layer(Role.HARMONIC).semitones != 0 and len({layer.clip_id for layer in plan.layers}) == 3
    )


def main() -> None:
    """Run everything and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=positive, default=5)
    parser.add_argument("--only", metavar="WORD", default="", help="only rows with this in their name")
    parser.add_argument(
        "--separator", metavar="NAME", default=mk.Kit().chosen["separator"], help="default: %(default)s"
    )
    parser.add_argument("--write", action="store_true", help="keep the result in benchmarks/results")
    arguments = parser.parse_args()
    path = RESULTS / "overhead.json"
    if arguments.write:
        # Of the rows that would be replaced: the others stay.
        refuse_fewer(
            parser, path, "runs", arguments.runs,
            lambda kept: max((row["runs"] for name, row in kept["rows"].items() if arguments.only in name), default=0),
        )  # fmt: skip
    kit = mk.Kit(separator=arguments.separator)
    audio = mk.load(SONG).excerpt(2, 30)
    source, plan = matched_30s()
    rows: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        pairs = {
            **{f"analyze, {name}": pair for name, pair in analyzers(audio).items()},
            **{f"stretch, {name}": pair for name, pair in stretchers(audio).items()},
            f"song to clips, {kit.separator.info.name} + {kit.analyzer.info.name}": ingest(audio, Path(folder), kit),
            **{f"render, {name}": render(source, plan, name) for name in ("signalsmith", "pedalboard")},
        }
        chosen = {name: pair for name, pair in pairs.items() if arguments.only in name}
        if not chosen:
            parser.error(f"no row has {arguments.only!r} in its name: {'; '.join(pairs)}")
        for name, (ours, by_hand) in chosen.items():
            rows[name] = compare(ours, by_hand, arguments.runs)
            row = rows[name]
            print(
                f"{name:<42} {row['mashkit_s']:7.3f} s  by hand {row['by_hand_s']:7.3f} s  ratio {row['ratio']:.3f}",
                flush=True,
            )
    if arguments.write:
        kept = json.loads(path.read_text())["rows"] if path.exists() else {}
        result = {"rows": kept | rows, "clip_s": audio.duration, "mashup_s": plan.duration_s, "targets": TARGETS}
        write_results(path, result, page(result), indent=2)


def page(result: dict[str, Any]) -> str:
    """Return the page made from the rows."""
    lines = [
        "# What the framework costs",
        "",
        "Made by `python benchmarks/overhead.py --write`; medians of runs in turn, wall clock. One clip of"
        f" {result['clip_s']:.0f} s; the mashup is {result['mashup_s']:.1f} s long.",
        "",
        "| stage | mashkit, s | by hand, s | ratio | runs | date | cores |",
        "|---|---|---|---|---|---|---|",
        *(
            f"| {name} | {row['mashkit_s']:.3f} | {row['by_hand_s']:.3f} | {row['ratio']:.3f} | {row['runs']}"
            f" | {row['date']} | {row['cores']} |"
            for name, row in result["rows"].items()
        ),
        "",
        "madmom's networks are evaluated by the plugin's own code on both sides; madmom's is several times slower. What"
        " mashkit's analyzer adds to the library's answers (tuning, exact places of beats, bars longer than four beats,"
        " confidences) counts as its overhead.",
        "",
        f"Targets: ratio at most {TARGETS['overhead']:.2f}; a matched mashup of 30 s rendered from cached stems in at"
        f" most {TARGETS['render seconds']} s with an in-process stretcher.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    run_script(main)
