"""What the networks cost on a CPU: preset compact on 30 s of three stems, and 180 candidates of one vocal.

One thread. The candidates are the combinations of 14 harmonic and 13 percussion layers, rendered songs stretched to the
vocal and placed by the generator's rules, each mashup ending where its stems let it. Stretching is done before and
counted for nobody; in the time are the layers' placing, their spectra, the networks, and the judgements. Both sides
score the same mashups with the same network: "layer by layer" is one scorer, whose cache begins empty; "independent"
is a new cache for each mashup. They run in turn. `intervalnet` is what ships; the weights of the others are random,
because they cost what trained ones cost.

Prints a table, and with --write keeps it as benchmarks/results/networks_speed.json and networks_speed.md.

With --training STORE it measures training instead: the CPU time of a step, before (each vocal with layers of its own,
plain float32) and after (batches of families, each layer computed once, and the arithmetic that the trial of a run
chooses on this machine), and either change alone. All ways run in turn, and the preparation of batches counts. The
result is kept as benchmarks/results/networks_training.json and networks_training.md.
"""

from __future__ import annotations

import argparse
import itertools
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import torch
from script import RESULTS, refuse_fewer, run_script, write_results

from mashkit.bench.collections import RenderedSource
from mashkit.cli.actions import positive
from mashkit.mashup import Mashup
from mashkit.pipeline import Kit
from mashkit.rendering.output import environment
from mashkit.rendering.renderer import Renderer
from mashkit.types import Condition, Layer, MashupPlan, Role
from mashkit_mashnet.checkpoint import Checkpoint, load, save
from mashkit_mashnet.interval_scorer import IntervalNetScorer
from mashkit_mashnet.networks import COMPACT, PAPER, RHYTHM, MixPreset, PostMixNet, PreMixNet
from mashkit_mashnet.scorer import NetworkScorer, PreMixNetScorer, shipped
from mashkit_mashnet_train.losses import loss
from mashkit_mashnet_train.spectra_data import Drawn, SpectraData
from mashkit_mashnet_train.store import Store, open_store
from mashkit_mashnet_train.training import TrainingConfig, train
from mashkit_mashnet_train.training.arithmetic import chosen, has_bfloat16, put_channels_last

SECONDS = 30.0
HARMONIC, PERCUSSION, CANDIDATES = 14, 13, 180
MEASURED, TRAINED = RESULTS / "networks_speed.json", RESULTS / "networks_training.json"
TRAINING_TARGET = 4.0
"""Times the steps in a core-hour, compact PreMixNet."""
TARGETS = {"compact, 30 s, CPU ms": 60.0, "180 candidates, ratio": 10.0}


def cpu_ms(work: Callable[[], object], runs: int) -> float:
    """Return the median CPU milliseconds of ``work``: CPU time, for others use this machine too."""
    times = []
    for _ in range(runs):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return 1000 * statistics.median(times)


def forward(preset: MixPreset, runs: int) -> dict[str, float]:
    """Return what the networks of a preset cost on spectra of 30 s, CPU ms."""
    pre, post = (kind(preset).eval() for kind in (PreMixNet, PostMixNet))
    frames = 1 + int(SECONDS * preset.front_end.frame_rate)
    stems, lengths = torch.rand(1, 3, preset.front_end.bands, frames), torch.tensor([frames])
    with torch.inference_mode():
        layer = pre.layer(0, stems[:, 0], lengths)
        return {
            "premixnet": cpu_ms(lambda: pre(stems, lengths), runs),
            "postmixnet": cpu_ms(lambda: post(stems[:, :1], lengths), runs),
            "one layer": cpu_ms(lambda: pre.layer(0, stems[:, 0], lengths), runs),
            "judgement of three layers": cpu_ms(lambda: pre.judge([layer] * 3, lengths), runs),
        }


def candidates() -> tuple[list[Mashup], dict[str, int]]:
    """Return mashups of one vocal, every layer stretched, and how many songs, layers and lengths they have."""
    source = RenderedSource(0, HARMONIC + 1)
    # The longest clip sings: the others then decide where each mashup ends.
    *others, vocal = sorted(source.clips, key=lambda clip: clip.duration)
    renderer = Renderer(source, Kit().stretcher)
    layers = [
        [_fitted(source, vocal.id, clip.id, role) for clip in others[:count]]
        for role, count in ((Role.HARMONIC, HARMONIC), (Role.PERCUSSION, PERCUSSION))
    ]
    mashups = [renderer.mashup(_trimmed(source, vocal.id, pair)) for pair in itertools.product(*layers)][:CANDIDATES]
    for layer in itertools.chain(*layers):
        renderer.stretched(layer)
    distinct = {(layer.role, layer.clip_id) for mashup in mashups for layer in mashup.plan.layers}
    lengths = {mashup.plan.duration_s for mashup in mashups}
    return mashups, {"mashups": len(mashups), "layers": len(distinct), "lengths": len(lengths)}


def _fitted(source: RenderedSource, vocal: str, clip: str, role: Role) -> Layer:
    """Return a clip's layer at the vocal's tempo, first downbeat on first downbeat (docs/paper.md, rows 8 and 18)."""
    sung, played = source.clip(vocal), source.clip(clip)
    for one in (sung, played):
        one.require("tempo")
        one.require("downbeats")
    speed = sung.analysis.tempo / played.analysis.tempo
    offset = sung.analysis.downbeats[0] - played.analysis.downbeats[0] / speed
    return Layer(role=role, clip_id=clip, speed=speed, semitones=2.0 * (role is Role.HARMONIC), offset_s=float(offset))


def _trimmed(source: RenderedSource, vocal: str, backing: tuple[Layer, ...]) -> MashupPlan:
    """Return the plan of these layers, trimmed to where all sound."""
    layers = [Layer(role=Role.VOCAL, clip_id=vocal), *backing]
    start = max(layer.offset_s for layer in layers)
    end = min(float(layer.to_mashup(source.clip(layer.clip_id).duration)) for layer in layers)
    moved = [attrs.evolve(layer, offset_s=layer.offset_s - start) for layer in layers]
    return MashupPlan(condition=Condition.MATCHED, layers=moved, duration_s=end - start, seed=0)


def compare(made: type[NetworkScorer], checkpoint: Path, mashups: list[Mashup], runs: int) -> dict[str, float]:
    """Return CPU seconds for all of ``mashups`` by either way, and their ratio: medians of ``runs`` in turn."""

    def layer_by_layer() -> list[float]:
        return [score.value for score in made(checkpoint=checkpoint, threads=1).score(mashups)]

    loaded = made(checkpoint=checkpoint, threads=1)
    loaded.score(mashups[:1])

    def independent() -> list[float]:
        values = []
        for mashup in mashups:
            scorer = made(checkpoint=checkpoint, threads=1)
            scorer._loaded = loaded._loaded  # reading the file is not part of a call
            values.append(scorer.score([mashup])[0].value)
        return values

    pairs = []
    for _ in range(runs):
        times, values = [], []
        for way in (layer_by_layer, independent):
            start = time.process_time()
            values.append(way())
            times.append(time.process_time() - start)
        if values[0] != values[1]:
            raise SystemExit("the two ways do not give the same scores")
        pairs.append(times)
    ours, alone = (statistics.median(column) for column in zip(*pairs, strict=True))
    return {
        "layer by layer": ours,
        "independent": alone,
        "ratio": statistics.median(independent / layered for layered, independent in pairs),
    }


# ------------------------------------------------------------------------------------------------------- training
class Stepper:
    """A training run whose steps are timed one by one.

    Parameters
    ----------
    store : Store
    preset : MixPreset
    unlabelled : bool
        Train with LSRO, so that matched examples are drawn too.
    drawn : {"vocals", "families"}
    config : TrainingConfig
        Its arithmetic is decided.
    """

    def __init__(
        self, store: Store, preset: MixPreset, *, unlabelled: bool, drawn: Drawn, config: TrainingConfig
    ) -> None:
        self.data = SpectraData(
            [store], "controlled", 0, mixed=False, unlabelled=unlabelled, front_end=preset.front_end, drawn=drawn
        )
        torch.manual_seed(0)
        self.network = PreMixNet(preset).train()
        if config.channels_last:
            put_channels_last(self.network)
        self.config = config
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=1e-4, fused=True)
        self.number = 0

    def step(self) -> tuple[float, float, int]:
        """Train one step; return the CPU seconds of the batch's preparation and of the step, and its examples."""
        start = time.process_time()
        batch = self.data.batch(self.number)
        ready = time.process_time()
        self.number += 1
        self.optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.config.precision == "bf16-mixed"):
            logits = self.network(**batch.inputs)
        loss(logits, batch.targets, batch.groups, self.config.objective).total.backward()
        self.optimizer.step()
        return ready - start, time.process_time() - ready, len(batch)


def training(store: Store, preset: MixPreset, *, unlabelled: bool, steps: int) -> dict[str, Any]:
    """Return what a step costs by each way, medians over steps that are taken in turn."""
    asked = TrainingConfig(precision="auto", unlabelled="lsro" if unlabelled else "drop", threads=1)
    plain = attrs.evolve(asked, precision="32-true")
    families = SpectraData([store], mixed=False, unlabelled=unlabelled, front_end=preset.front_end, drawn="families")
    auto, trial = chosen(asked, PreMixNet(preset), families.batch(0))
    ways: dict[str, tuple[Drawn, TrainingConfig]] = {
        "before": ("vocals", plain),
        "arithmetic alone": ("vocals", auto),
        "shared layers alone": ("families", plain),
        "after": ("families", auto),
    }
    runs = {
        name: Stepper(store, preset, unlabelled=unlabelled, drawn=drawn, config=config)
        for name, (drawn, config) in ways.items()
    }
    for run in runs.values():
        run.step()  # the first step sets things up
    taken = [{name: run.step() for name, run in runs.items()} for _ in range(steps)]
    found: dict[str, Any] = {"trial": trial, "precision": auto.precision, "channels_last": auto.channels_last}
    for name in ways:
        prepared, trained = (statistics.median(one[name][part] for one in taken) for part in (0, 1))
        ratio = statistics.median(sum(one["before"][:2]) / sum(one[name][:2]) for one in taken)
        found[name] = {
            "batch_s": prepared, "step_s": trained, "examples": taken[0][name][2],
            "steps_a_core_hour": 3600 / (prepared + trained), "ratio": ratio,
        }  # fmt: skip
    return found


def waited(store: Store, steps: int) -> dict[str, float]:
    """Return the seconds that a real run takes with one process preparing batches, and those in which it waited."""
    data = SpectraData([store], mixed=False, unlabelled=False, drawn="families", validation_groups=6)
    config = TrainingConfig(steps=steps, validation_interval=steps, precision="auto", threads=1, workers=1)
    with tempfile.TemporaryDirectory() as folder:
        record = train(PreMixNet(COMPACT), data, config, Path(folder) / "run").record
    return {"steps": steps, "seconds": record["seconds"], "waited": record["waited"]}


def measure_training(folder: Path, steps: int, write: bool) -> int:
    """Measure training on a store, print, and write when asked to."""
    store = open_store(folder)
    result: dict[str, Any] = {
        "target": TRAINING_TARGET,
        "bfloat16": has_bfloat16(),
        "compact": training(store, COMPACT, unlabelled=False, steps=steps),
        "compact, LSRO": training(store, COMPACT, unlabelled=True, steps=steps),
        "rhythm": training(store, RHYTHM, unlabelled=False, steps=max(2, steps // 3)),
        "loader": waited(store, 4 * steps),
        "scoring_cpu_ms": {
            name: forward(preset, 5)["premixnet"] for name, preset in (("compact", COMPACT), ("rhythm", RHYTHM))
        },
        "steps": steps,
        "store": {"fingerprint": store.fingerprint, "clips": len(store), "recipe": store.source.get("recipe")},
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "torch": torch.__version__,
        "environment": environment(),
    }
    text = training_table(result)
    print(text)
    if write:
        write_results(TRAINED, result, text, indent=2)
    return int(result["compact"]["after"]["ratio"] < TRAINING_TARGET)


def training_table(result: dict[str, Any]) -> str:
    """Return the result of :func:`measure_training` as a page."""
    loader, scoring = result["loader"], result["scoring_cpu_ms"]
    lines = [
        "# What a step of training costs",
        "",
        f"Made by `python benchmarks/networks_speed.py --training STORE --steps {result['steps']} --write`: CPU "
        f"time, one thread, torch {result['torch']} ({result['machine']}), a processor "
        f"{'with' if result['bfloat16'] else 'without'} bfloat16. PreMixNet on crops of 10.4 s; all ways of a network "
        "in turn, medians; the ratio is the median of ratios step by step. The preparation of batches is in the time.",
        "",
        "| network | way | examples a step | batch, ms | step, ms | steps a core-hour | × before |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in ("compact", "compact, LSRO", "rhythm"):
        for way in ("before", "arithmetic alone", "shared layers alone", "after"):
            one = result[name][way]
            lines.append(
                f"| {name} | {way} | {one['examples']} | {1000 * one['batch_s']:.0f} | {1000 * one['step_s']:.0f} | "
                f"{one['steps_a_core_hour']:.0f} | {one['ratio']:.2f} |"
            )
    chosen_ways = {
        name: f"{result[name]['precision']}{', channels last' * result[name]['channels_last']}"
        for name in ("compact", "compact, LSRO", "rhythm")
    }
    ratio = result["compact"]["after"]["ratio"]
    lines += [
        "",
        "Before: each vocal has layers of its own, plain float32. After: batches of families (`--batches families`), "
        "and the arithmetic that the trial chose: "
        + "; ".join(f"{name}: {way}" for name, way in chosen_ways.items())
        + ".",
        "",
        f"Target: compact at least {result['target']:.0f} times the steps a core-hour: "
        f"{'met' if ratio >= result['target'] else 'missed'}, {ratio:.2f}.",
        "",
        f"A run of {loader['steps']} steps with one process that prepares batches took {loader['seconds']:.1f} s; it "
        f"waited {loader['waited']:.1f} s for a batch ({loader['waited'] / loader['seconds']:.0%}).",
        "",
        f"Scoring 30 s of three stems: compact {scoring['compact']:.0f} ms, rhythm {scoring['rhythm']:.0f} ms (at most "
        "120 wanted).",
        "",
    ]
    return "\n".join(lines)


def main() -> int:
    """Measure, print, and write when asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=positive, default=3)
    parser.add_argument("--training", type=Path, metavar="STORE", help="measure training, on this store of features")
    parser.add_argument("--steps", type=positive, default=9, help="with --training: steps of each way")
    parser.add_argument("--write", action="store_true", help="keep the result in benchmarks/results/")
    arguments = parser.parse_args()
    if arguments.write and arguments.training is None:
        refuse_fewer(parser, MEASURED, "runs", arguments.runs)
    elif arguments.write:
        refuse_fewer(parser, TRAINED, "steps", arguments.steps)
    torch.set_num_threads(1)
    if arguments.training is not None:
        return measure_training(arguments.training, arguments.steps, arguments.write)
    torch.manual_seed(0)
    networks = {preset.name: forward(preset, 9 if preset is COMPACT else 1) for preset in (COMPACT, PAPER)}
    mashups, counts = candidates()
    network = PreMixNet(COMPACT).eval()
    audio = mashups[0].layer_audio(Role.HARMONIC)
    spectrum_ms = cpu_ms(lambda: COMPACT.front_end.spectrum(audio), 5)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "compact.safetensors"
        save(path, Checkpoint.of(network, variant="premixnet"))
        load(path)
        size = path.stat().st_size
        found = compare(PreMixNetScorer, path, mashups, arguments.runs)
    ours = shipped("intervalnet")
    intervals = compare(IntervalNetScorer, ours, mashups, arguments.runs)
    scorer = IntervalNetScorer(checkpoint=ours, threads=1)
    intervals["cached_ms"] = cpu_ms(lambda: scorer.score(mashups[:1]), 9)
    intervals["seconds"] = mashups[0].plan.duration_s
    result: dict[str, Any] = {
        "targets": TARGETS,
        "networks_cpu_ms": networks,
        "spectrum_cpu_ms": spectrum_ms,
        "spectrum_of_s": audio.duration,
        "candidates": counts | found,
        "intervalnet": intervals,
        "checkpoint_bytes": size,
        "runs": arguments.runs,
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "torch": torch.__version__,
        "environment": environment(),
    }
    text = table(result)
    print(text)
    if arguments.write:
        write_results(MEASURED, result, text, indent=2)
    return int(not all(one for found in kept(result) for one in found.values()))


def kept(result: dict[str, Any]) -> tuple[dict[str, bool], dict[str, bool]]:
    """Return which network scores 30 s in time, and which scores candidates faster by the target's ratio."""
    intervals = result["intervalnet"]
    times = {
        "compact PreMixNet": result["networks_cpu_ms"]["compact"]["premixnet"],
        "`intervalnet`": intervals["cached_ms"],
    }
    ratios = {"compact PreMixNet": result["candidates"]["ratio"], "`intervalnet`": intervals["ratio"]}
    return (
        {name: ms <= TARGETS["compact, 30 s, CPU ms"] for name, ms in times.items()},
        {name: ratio >= TARGETS["180 candidates, ratio"] for name, ratio in ratios.items()},
    )


def _verdict(found: dict[str, bool]) -> str:
    return ", ".join(f"{name} {'met' if holds else '**missed**'}" for name, holds in found.items())


def table(result: dict[str, Any]) -> str:
    """Return the result as a page."""
    networks, found = result["networks_cpu_ms"], result["candidates"]
    in_time, faster = kept(result)
    lines = [
        "# What the networks cost on a CPU",
        "",
        f"Made by `python benchmarks/networks_speed.py --write`: CPU time, one thread, torch {result['torch']} "
        f"({result['machine']}), random weights except those of `intervalnet`. Spectra of {SECONDS:.0f} s are given.",
        "",
        "| CPU ms | compact | paper |",
        "|---|---|---|",
        *(
            f"| {name} | {networks['compact'][name]:.1f} | {networks['paper'][name]:.0f} |"
            for name in networks["paper"]
        ),
        "",
        f"The spectrum of a stem of {result['spectrum_of_s']:.0f} s costs {result['spectrum_cpu_ms']:.0f} ms more, "
        f"once; a checkpoint of compact PreMixNet has {result['checkpoint_bytes'] / 1e6:.1f} MB.",
        "",
        f"{found['mashups']} candidates of one vocal, {found['layers']} layers in all, {found['lengths']} different "
        "lengths; stretched before, which is in neither time:",
        "",
        "| compact PreMixNet, with parts | CPU s | a mashup, ms |",
        "|---|---|---|",
        *(
            f"| {name} | {found[name]:.2f} | {1000 * found[name] / found['mashups']:.1f} |"
            for name in ("layer by layer", "independent")
        ),
        "",
        f"Ratio: {found['ratio']:.1f}, median of {result['runs']} runs of both in turn; the scores are the same to the "
        "bit.",
        "",
        f"`intervalnet` as it ships, which renders nothing: {result['intervalnet']['cached_ms']:.1f} ms for a mashup "
        f"of {result['intervalnet']['seconds']:.0f} s with its three parts, its stems measured before. The candidates: "
        f"{result['intervalnet']['layer by layer']:.2f} s in one call, "
        f"{result['intervalnet']['independent']:.2f} s one by one, measuring every stem anew; ratio "
        f"{result['intervalnet']['ratio']:.1f}.",
        "",
        f"Targets: 30 s of three stems in at most {TARGETS['compact, 30 s, CPU ms']:g} ms: {_verdict(in_time)}; "
        f"candidates at least {TARGETS['180 candidates, ratio']:g} times faster layer by layer: {_verdict(faster)}.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    run_script(main)
