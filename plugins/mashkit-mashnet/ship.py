"""Put trained checkpoints into the package, list the hashes of all that are there, and write a model card of each.

    python plugins/mashkit-mashnet/ship.py [RUN/premixnet.safetensors …]

Several checkpoints of one variant, which must be intervalnets, are joined into one. A card says what the checkpoint
records (data, training, calibration) and, where benchmarks/results has them, what was measured on songs it never saw.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mashkit.errors import MashkitError
from mashkit.models import sha256_of
from mashkit_mashnet.checkpoint import Checkpoint, licences_of, load, save
from mashkit_mashnet.ensemble import joined

HERE = Path(__file__).parent
PACKAGE = HERE / "src" / "mashkit_mashnet"
CARDS = HERE / "cards"
RESULTS = HERE.parents[1] / "benchmarks" / "results"
SUITE = "amu_vs_premixnet"
MEASURED = {
    "within": "AUC within vocals, original against unmatched, %", "auc": "… over all vocals, %",
    "accuracy": "accuracy at 0.5, %", "ece": "expected calibration error",
    "semitone": "original over its twin ±1 semitone, %", "late_50": "… percussion ½ beat late, %",
    "late_25": "… percussion ¼ beat late, %", "fast_3": "… percussion 3 % fast, %",
    "rank": "mean rank among 48 matched",
}  # fmt: skip


def card(checkpoint: Checkpoint, path: Path) -> str:
    """Return a model card, Markdown."""
    runs: Sequence[Mapping[str, Any]] = checkpoint.training.get("members", [checkpoint.training])
    members = checkpoint.preset.to_dict().get("members", 1)
    kind = "of one training, which differ in their seeds" if len(runs) > 1 else "that were trained together"
    together = [f"{members} networks {kind}; their log odds are averaged.", ""]
    lines = [
        f"# `{checkpoint.variant}`, preset `{checkpoint.preset.name}`",
        "",
        f"`{path.name}`, {path.stat().st_size:,} bytes, sha256 `{sha256_of(path)}`. Architecture: "
        f"`{checkpoint.architecture}`. Licence of the weights: MIT.",
        "",
        *(together if members > 1 else []),
        "## Data",
        "",
    ]
    data = runs[0]["data"]
    if len(runs) > 1 and len({run["config"]["seed"] for run in runs}) < len(runs):
        raise SystemExit(f"{path}: two of its networks have one seed, so they are the same: give runs of several seeds")
    if any(run["data"]["stores"] != data["stores"] for run in runs[1:]):
        raise SystemExit(f"{path}: its networks were trained on different stores, and a card names those of one")
    lines += [
        *_data(data),
        "",
        f"{_recordings(data.get('recordings', []))} Songs belong to training, validation or test by the hash of their "
        f"name.{_residue(checkpoint, data)}",
        "",
        "## Training",
        "",
    ]
    for run in runs:
        lines += [*_training(run), ""]
    return "\n".join([*lines, *_measured(path), "## Limits", "", *_limits(checkpoint, runs), ""])


def _data(data: Mapping[str, Any]) -> list[str]:
    lines = ["| part | songs | clips | hours |", "|---|---|---|---|"]
    for part in ("training", "validation"):
        for source, found in data[part].items():
            lines.append(f"| {part}, {source} | {found['songs']} | {found['clips']} | {found['hours']} |")
    for source in data["sources"]:
        made = ", ".join(f"{name} {value}" for name, value in source.items() if name not in ("licences", "recipe"))
        lines += ["", f"Recipe `{source.get('recipe')}` ({made}). {'; '.join(licences_of(source))}."]
    own = {licence for source in data["sources"] for licence in licences_of(source)}
    if more := sorted(set(data.get("licences", ())) - own):
        lines += ["", f"The weights that training began with had learnt from songs and sounds under {'; '.join(more)}."]
    return lines


def _training(run: Mapping[str, Any]) -> list[str]:
    config, data, begun = run["config"], run["data"], run.get("initial")
    averaged = f"; weights averaged with decay {config['average']:g}" if config.get("average") else ""
    best = next(look for look in run["curve"] if look["step"] == run["best_step"])
    return [
        f"Protocol `{data['protocol']}`, rules of version {data.get('rules', 1)}; {run['steps']} steps"
        f"{' with `--batches ' + data['batches'] + '`' if 'batches' in data else ''}, the best "
        f"after {run['best_step']}; Adam, learning rate {config['learning_rate']:g}, "
        f"{config.get('schedule', 'constant')}{averaged}; unlabelled examples: {config['unlabelled']}; ranking loss × "
        f"{config['ranking']:g}; seed {config['seed']}; {run['seconds'] / 60:.0f} minutes on one core of a shared "
        "CPU.",
        *([f"Training began with weights of {begun['variant']}, sha256 `{begun['sha256']}`."] if begun else []),
        "",
        "| step | training loss | validation loss | AUC |",
        "|---|---|---|---|",
        *(
            f"| {look['step']} | {look['training_loss']:.4f} | {look['loss']:.4f} | {look['auc']:.4f} |"
            for look in run["curve"]
        ),
        "",
        f"Of the step that was kept: AUC {best['auc']:.4f} on validation songs.",
    ]


def _recordings(titles: Sequence[str]) -> str:
    if not titles:
        return "No real recording was in it."
    return f"It has {len(titles)} recordings in it, which the file names (`recordings`)."


def _residue(checkpoint: Checkpoint, data: Mapping[str, Any]) -> str:
    if checkpoint.architecture != "intervalnet" or "residue" in data:
        return ""
    return (
        " One exception: half of the stems in training had residue of other stems in them, as a separator leaves it, 9 "
        "to 24 dB below their own sound, and it was drawn from all songs, those of validation and test too."
    )


def _measured(path: Path) -> list[str]:
    """Return what benchmarks/networks.py found of these weights, if it is there."""
    file = RESULTS / "networks.json"
    if not file.exists():
        return []
    collections = json.loads(file.read_text(encoding="utf-8"))["collections"].values()
    runs = itertools.chain.from_iterable(kept for one in collections for kept in one["scorers"].values())
    own = next((run for run in runs if run.get("sha256") == sha256_of(path)), None)
    if own is None:
        return []
    lines = ["## Measured on rendered songs it never saw", "", "| | value | 95 % |", "|---|---|---|"]
    for metric, title in MEASURED.items():
        found = own["metrics"].get(metric)
        if found is not None:
            digits = 3 if metric == "ece" else 1
            ends = "" if found.get("low") is None else f"{found['low']:.{digits}f}–{found['high']:.{digits}f}"
            lines.append(f"| {title} | {found['value']:.{digits}f} | {ends} |")
    return [
        *lines,
        "",
        "How, and other seeds: benchmarks/results/networks.md.",
        f"On real songs, beside other scorers: benchmarks/results/{SUITE}.md.",
        "",
    ]


def _limits(checkpoint: Checkpoint, runs: Sequence[Mapping[str, Any]]) -> list[str]:
    recipes = {source.get("recipe") for run in runs for source in run["data"]["sources"]}
    voices = (
        "one singing voice that is in tune to half a semitone"
        if recipes == {"rendered"}
        else "eight singers that were made from one voice"
    )
    said = [
        f"- Trained on rendered pop songs in 4/4 alone: instruments of two soundfonts, {voices}, melodies played by "
        "instruments.",
        "- It says whether stems fit, not whether the music is good. No person judged any of its examples.",
    ]
    if checkpoint.preset.bar_frames is not None:
        said.append(
            "- It compares two layers bar by bar, so its scores are wrong where the vocal's downbeats are wrong. Its "
            f"training was short: {runs[0]['steps']} steps of single bars; the authors trained on hip-hop loops."
        )
    elif checkpoint.architecture == "intervalnet":
        said.append(
            "- It compares along the vocal's beats and downbeats: where a tracker is wrong, it cannot tell what is "
            "late. It misses half a beat more often where the tracker found half the tempo."
        )
    else:
        best, steps = runs[0]["best_step"], runs[0]["steps"]
        rising = (
            "its learning curve was still rising"
            if best == steps
            else f"validation was best after {best} of {steps} steps"
        )
        said.append(f"- Trained on a CPU, where the paper took three days on a GPU: {rising}.")
    return said


def main() -> None:
    """Ship what is named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoints", nargs="*", type=Path)
    weights = PACKAGE / "weights"
    weights.mkdir(exist_ok=True)
    CARDS.mkdir(exist_ok=True)
    given: dict[str, list[Path]] = {}
    for path in parser.parse_args().checkpoints:
        given.setdefault(load(path).variant, []).append(path)
    with tempfile.TemporaryDirectory() as folder:
        for variant, (path, *more) in given.items():
            made = Path(folder) / f"{variant}.safetensors"
            if more:
                save(made, joined([load(one) for one in (path, *more)]))
            else:
                shutil.copyfile(path, made)
            card(load(made), made)  # a checkpoint without a card is refused before any weights are replaced
        for made in Path(folder).iterdir():
            shutil.copyfile(made, weights / made.name)
    listed: dict[str, tuple[int, str]] = {}
    for shipped in sorted(weights.glob("*.safetensors")):
        checkpoint = load(shipped)
        listed[checkpoint.variant] = (shipped.stat().st_size, sha256_of(shipped))
        (CARDS / f"{checkpoint.variant}.md").write_text(card(checkpoint, shipped), encoding="utf-8")
        print(checkpoint.variant, *listed[checkpoint.variant])
    init = PACKAGE / "__init__.py"
    rows = "".join(f'    "{name}": ({size:_}, "{digest}"),\n' for name, (size, digest) in sorted(listed.items()))
    text = re.sub(
        r"SHIPPED: dict\[str, tuple\[int, str\]\] = \{.*?\}\n",
        f"SHIPPED: dict[str, tuple[int, str]] = {{\n{rows}}}\n",
        init.read_text(encoding="utf-8"),
        flags=re.DOTALL,
    )
    init.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    try:
        main()
    except MashkitError as error:
        raise SystemExit(f"ship.py: {error}") from error
