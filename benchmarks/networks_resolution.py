"""How well wrong rhythm is detected, against the time between the values in which the stems first meet.

A rule shows what can be detected: it compares the rises of the stems' spectra (the percussion's with the harmonic
stem's and the vocal's), after averaging them over the time between two values. The rule is not trained, so it is tested
on all songs.

With --runs, networks learn it too. The same narrow network is trained four times, with the same number of steps, seed,
songs and examples; only its front end and its stride in time differ. It learns originals against their twins: the
backing 1 to 6 semitones off, the percussion late, or the percussion 1.5 to 6 % off tempo. Twins teach faster than the
paper's unmatched mashups, so this measures what a layout can detect, not what a network of the paper's regime has
learnt. Half and quarter of a beat are then tested on songs that it was not trained on.

    python benchmarks/networks_resolution.py --data STORE [--runs FOLDER [--steps N]] [--write]

An interrupted run continues. With --write the result is kept as benchmarks/results/networks_resolution.json and .md;
without --runs, the trained networks that are kept there stay.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

os.environ["OMP_NUM_THREADS"] = "1"  # before anything that counts processors is imported

import attrs
import numpy as np
import numpy.typing as npt
import torch
from networks import Example, Judge, Question, cell, measured, questions, refuse_other, with_interval
from script import RESULTS, refuse_fewer, run_script, write_results

from mashkit.bench.scorer_metrics import Examples, preferred
from mashkit.cli.actions import positive
from mashkit.rendering.output import environment
from mashkit.types import Condition
from mashkit_mashnet.checkpoint import Calibration
from mashkit_mashnet.frontend import FINE, LOG_FREQUENCY
from mashkit_mashnet.networks import MixPreset, PreMixNet
from mashkit_mashnet_train.examples import TWINS, Clips
from mashkit_mashnet_train.spectra_data import SpectraData, collated
from mashkit_mashnet_train.store import Store, open_store
from mashkit_mashnet_train.training import TrainingConfig, train

Floats: TypeAlias = npt.NDArray[np.float32]

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
POOLED = (2, 4, 8, 16)
"""Frames of ``FINE`` that the rule averages over: 46, 93, 186 and 372 ms."""
RHYTHM_TWINS = ("late_50", "late_25", "fast_3")
ASKED = ("semitone", "late_50", "late_25", "fast_3")
TRAINED = ("command", "steps", "vocals", "songs", "network", "layouts")
"""Parts of a result that are of trained networks."""
TITLES = {"semitone": "±1 semitone", "late_50": "½ beat late", "late_25": "¼ beat late", "fast_3": "3 % fast"}


class Twins(SpectraData):
    """Each vocal's original, and its three twins with one thing wrong."""

    held_kinds = (Condition.ORIGINAL, *TWINS)

    def _kinds(self, step: int, number: int, random: np.random.Generator) -> Sequence[str]:
        return self.held_kinds


# ------------------------------------------------------------------------------------------------------------ rule
def agreement(spectra: Floats, pooled: int) -> float:
    """Return how well the rises of an example's percussion agree with those of its other stems (ours).

    Parameters
    ----------
    spectra : array of float32, shape (3, bands, frames)
        Vocal, harmonic, percussion.
    pooled : int
        Frames that are averaged before rises are taken.
    """
    count = spectra.shape[-1] // pooled
    means = spectra[..., : count * pooled].reshape(*spectra.shape[:-1], count, pooled).mean(axis=-1)
    rises = np.maximum(np.diff(means, axis=-1), 0).mean(axis=1)
    rises -= rises.mean(axis=-1, keepdims=True)
    rises /= np.linalg.norm(rises, axis=-1, keepdims=True) + 1e-9
    vocal, harmonic, percussion = rises
    return float(percussion @ (vocal + harmonic))


def by_rule(clips: Clips, asked: Sequence[Question]) -> dict[str, Any]:
    """Return, for each time between values in ms, how often the original agrees better than its twin, %."""

    def values(example: Example) -> list[float]:
        batch = collated(clips, [example], None, frames=1 << 20, mixed=False, front_end=FINE)
        return [agreement(batch.inputs["spectra"][0].numpy(), pooled) for pooled in POOLED]

    original = np.array([values(question.original) for question in asked])
    found: dict[str, dict[str, Any]] = {f"{1000 * pooled / FINE.frame_rate:.0f}": {} for pooled in POOLED}
    for name in RHYTHM_TWINS:
        twin = np.array([values(question.twins[name]) for question in asked])
        for place, of in enumerate(found.values()):
            songs = np.arange(len(asked))  # one vocal a song
            share = preferred(Examples(original[:, place], songs, len(asked)), twin[:, place])
            of[name] = with_interval(share, 100)
    return found


# -------------------------------------------------------------------------------------------------------- networks
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
    lines = [
        "# How well rhythm is detected, against time resolution",
        "",
        f"Made by `{results['command']}`, on rendered songs. How often an original is preferred to its twin, %; 95 % "
        "intervals by song; 50 is chance. A quarter of a beat at 120 BPM is 125 ms, half a beat 250 ms. Where the "
        "stems first meet, `compact` has a value each 372 ms, `rhythm` and the paper's preset one each 93 ms.",
        "",
        f"A rule without training, {results['rule_vocals']} vocals of as many songs: do the rises of the percussion "
        "agree with those of the other stems, after averaging over the time between values?",
        "",
        "| values apart, ms | " + " | ".join(TITLES[name] for name in RHYTHM_TWINS) + " |",
        "|---|" + "---|" * len(RHYTHM_TWINS),
        *(
            f"| {apart} | " + " | ".join(cell(of[name], 0) for name in RHYTHM_TWINS) + " |"
            for apart, of in results["rule"].items()
        ),
    ]
    if results["layouts"]:
        filters = ", ".join(str(number) for number in NARROW["filters"])
        lines += [
            "",
            f"One narrow network (filters {filters}) trained {results['steps']} steps of 24 examples on originals and "
            f"their twins, of {results['songs']} training songs; asked of {results['vocals']} vocals of as many other "
            "songs. One seed.",
            "",
            "| layout | values apart, ms | " + " | ".join(TITLES[name] for name in ASKED) + " |",
            "|---|---|" + "---|" * len(ASKED),
            *(
                f"| {name} | {one['resolution_ms']:.0f} | "
                + " | ".join(cell(one["twins"][metric], 0) for metric in ASKED)
                + " |"
                for name, one in results["layouts"].items()
            ),
        ]
    return "\n".join([*lines, ""])


def main() -> None:
    """Ask the rule, train if asked to, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="a store of features with fine spectra")
    parser.add_argument("--runs", type=Path, help="train networks too: the folder of their runs, which are continued")
    parser.add_argument("--steps", type=positive, default=200)
    parser.add_argument("--vocals", type=positive, default=60, help="of test songs, asked of the networks")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    store = open_store(arguments.data)
    source = {"fingerprint": store.fingerprint, **store.source}
    path = RESULTS / "networks_resolution.json"
    kept: dict[str, Any] = {}
    if arguments.write and arguments.runs:
        # Results without networks do not tell it.
        for name, given in (("steps", arguments.steps), ("vocals", arguments.vocals)):
            refuse_fewer(parser, path, name, given, lambda earlier, name=name: earlier.get(name, 0))
    if arguments.write and not arguments.runs and path.exists():
        earlier = json.loads(path.read_text(encoding="utf-8"))
        if earlier["layouts"]:
            refuse_other(path, earlier, {"store": source}, ["store"], "train them again too: give --runs")
            kept = {name: earlier[name] for name in TRAINED}
    clips = Clips([store], None)
    everyone = questions(clips, len(clips), 0, candidates=1)
    results: dict[str, Any] = {
        "command": "python benchmarks/networks_resolution.py --data STORE "
        + (f"--runs FOLDER --steps {arguments.steps} --vocals {arguments.vocals} " if arguments.runs else "")
        + "--write",
        "rule": by_rule(clips, everyone),
        "rule_vocals": len(everyone),
        "store": source,
        "machine": {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()},
        "environment": environment(),
        "layouts": {},
        **kept,
    }
    if arguments.runs:
        asked = questions(Clips([store], "test"), arguments.vocals, 0, candidates=1)
        layouts = {name: learnt(store, preset, arguments, asked) for name, preset in LAYOUTS.items()}
        results |= {
            "steps": arguments.steps,
            "vocals": len(asked),
            "songs": sum(one["songs"] for one in next(iter(layouts.values()))["training"].values()),
            "network": attrs.asdict(next(iter(LAYOUTS.values()))),
            "layouts": layouts,
        }
    text = page(results)
    print(text)
    if arguments.write:
        write_results(path, results, text)


if __name__ == "__main__":
    run_script(main)
