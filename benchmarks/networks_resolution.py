"""What PreMixNet can learn of wrong harmony and rhythm, against the time between its values where the stems first meet.

The same narrow network is trained four times, with the same number of steps, seed, songs and examples; only its front
end and its stride in time differ. It learns originals against their twins: the backing 1 to 6 semitones off, the
percussion late, or the percussion 1.5 to 6 % off tempo. Twins teach faster than the paper's unmatched mashups, so this
measures what a layout can hear, not what a network of the paper's regime has learnt. Half and quarter of a beat are
then asked of songs that it was not trained on.

    python benchmarks/networks_resolution.py --data STORE --runs FOLDER [--steps N] [--write]

An interrupted run continues. With --write the result is kept as benchmarks/results/networks_resolution.json and .md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # before anything that counts processors is imported

import attrs
import numpy as np
import torch
from networks import Example, Judge, measured, questions

from mashkit.rendering.output import environment
from mashkit.types import Condition
from mashkit_mashnet.checkpoint import Calibration
from mashkit_mashnet.frontend import FINE, LOG_FREQUENCY
from mashkit_mashnet.networks import MixPreset, PreMixNet
from mashkit_mashnet_train.batches import Batch
from mashkit_mashnet_train.examples import TWINS, Clips
from mashkit_mashnet_train.spectra_data import SpectraData, collated
from mashkit_mashnet_train.store import Store, open_store
from mashkit_mashnet_train.training import TrainingConfig, train

HERE = Path(__file__).parent
NARROW: dict[str, Any] = {"filters": (6, 6, 12, 12), "block_filters": 32, "features": 64, "stride": 2}
LAYOUTS = {
    preset.name: preset
    for preset in (
        MixPreset(name="compact: window 186 ms, stride 2", front_end=LOG_FREQUENCY, **NARROW),
        MixPreset(name="window 186 ms, stride 1", front_end=LOG_FREQUENCY, time_stride=1, **NARROW),
        MixPreset(name="window 93 ms, stride 2", front_end=FINE, **NARROW),
        MixPreset(name="rhythm: window 93 ms, stride 1", front_end=FINE, time_stride=1, **NARROW),
    )
}
ASKED = ("semitone", "late_50", "late_25", "fast_3")
TITLES = {"semitone": "±1 semitone", "late_50": "½ beat late", "late_25": "¼ beat late", "fast_3": "3 % fast"}


class Twins(SpectraData):
    """Each vocal's original, and its three twins with one thing wrong."""

    def _kinds(self, step: int, number: int, random: np.random.Generator) -> Sequence[str]:
        return (Condition.ORIGINAL, *TWINS)

    def validation(self) -> list[Batch]:
        """Return originals and twins of validation songs, always the same."""
        batches = []
        for start in range(0, self.validation_groups, self.groups):
            random = np.random.default_rng([start, 77])
            examples = [
                example
                for number in range(start, start + self.groups)
                for example in self._held.group(number, (Condition.ORIGINAL, *TWINS), random)
            ]
            batches.append(self._validation_batch(examples, random))
        return batches


def judge_of(network: PreMixNet, clips: Clips) -> Judge:
    """Return what gives log odds of examples, each heard alone and whole."""
    front_end = network.preset.front_end

    def judge(examples: Sequence[Example]) -> np.ndarray[Any, np.dtype[np.float64]]:
        with torch.inference_mode():
            logits = [
                network(**collated(clips, [one], None, frames=1 << 20, mixed=False, front_end=front_end).inputs)[0]
                for one in examples
            ]
        return np.array([float(logit[1] - logit[0]) for logit in logits])

    return judge


def learnt(store: Store, preset: MixPreset, arguments: argparse.Namespace, asked: Sequence[Any]) -> dict[str, Any]:
    """Train one layout, and measure it on test songs."""
    data = Twins(
        [store], "controlled", 0, mixed=False, unlabelled=False, front_end=preset.front_end, validation_groups=24
    )
    config = TrainingConfig(
        variant="premixnet", preset=preset.name, steps=arguments.steps, learning_rate=1e-3, schedule="cosine",
        ranking=1.0, validation_interval=max(1, arguments.steps // 4), threads=1, workers=0,
    )  # fmt: skip
    torch.manual_seed(0)
    network = PreMixNet(preset)
    folder = arguments.runs / f"{preset.front_end.hop}-{preset.strides[1]}"

    def told(event: Any) -> None:
        if event.stage == "validate" or event.done % 25 == 0:
            print(preset.name, event.stage, event.item, f"{event.done}/{event.total}", flush=True)

    result = train(network, data, config, folder, told)
    found = measured(judge_of(network, Clips([store], "test")), asked, Calibration())
    return {
        "resolution_ms": 1000 * preset.resolution_s,
        "steps": result.steps,
        "best_step": result.best["step"],
        "seconds": result.seconds,
        "curve": [dict(row) for row in result.curve],
        "twins": {name: found["metrics"][name] for name in ASKED},
        "training": data.summary["training"],
    }


def page(results: Mapping[str, Any]) -> str:
    """Return the Markdown made of the numbers."""
    filters = ", ".join(str(number) for number in NARROW["filters"])
    lines = [
        "# What a PreMixNet can hear, against its time resolution",
        "",
        f"Made by `{results['command']}`, on rendered songs.",
        "",
        f"One narrow network (filters {filters}) trained {results['steps']} steps of 24 examples on originals and "
        f"their twins, of {results['songs']} training songs; asked of {results['vocals']} vocals of as many other "
        "songs: does the original score above its twin? One seed. 95 % intervals by song. 50 is chance.",
        "",
        "| layout | values apart, ms | " + " | ".join(f"{TITLES[name]}, %" for name in ASKED) + " |",
        "|---|---|" + "---|" * len(ASKED),
    ]
    for name, one in results["layouts"].items():
        cells = [
            f"{value['value']:.0f} ({value['low']:.0f}–{value['high']:.0f})"
            for value in (one["twins"][metric] for metric in ASKED)
        ]
        lines.append(f"| {name} | {one['resolution_ms']:.0f} | " + " | ".join(cells) + " |")
    lines += ["", "A quarter of a beat at 120 BPM is 125 ms, half a beat 250 ms.", ""]
    return "\n".join(lines)


def main() -> None:
    """Train, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="a store of features with fine spectra")
    parser.add_argument("--runs", type=Path, required=True, help="folder of the runs, which are continued")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--vocals", type=int, default=60)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    store = open_store(arguments.data)
    asked = questions(Clips([store], "test"), arguments.vocals, 0, candidates=1)
    layouts = {name: learnt(store, preset, arguments, asked) for name, preset in LAYOUTS.items()}
    results = {
        "command": f"python benchmarks/networks_resolution.py --data STORE --runs FOLDER --steps {arguments.steps} "
        f"--vocals {arguments.vocals} --write",
        "steps": arguments.steps,
        "vocals": len(asked),
        "songs": sum(one["songs"] for one in next(iter(layouts.values()))["training"].values()),
        "store": {"fingerprint": store.fingerprint, **store.source},
        "network": attrs.asdict(next(iter(LAYOUTS.values()))),
        "machine": {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()},
        "environment": environment(),
        "layouts": layouts,
    }
    text = page(results)
    print(text)
    if arguments.write:
        folder = HERE / "results"
        (folder / "networks_resolution.json").write_text(
            json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        (folder / "networks_resolution.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
