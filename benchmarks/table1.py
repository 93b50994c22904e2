"""Table 1 of the paper, in the paper's own set-up: networks that learnt from a store of `mashkit features pipeline`.

Its songs were mixed, separated and analysed, and its mashups stretched and mixed. Networks are asked about the songs of
its test split, which none of them was trained or chosen on: the accuracy at 0.5 of originals against unmatched mashups,
and the rank of each original among all matched mashups. The store keeps up to 24 s of each.

    python benchmarks/table1.py --data STORE --clips CLIPS [--write NAME] CHECKPOINT…

In such a store only originals were not stretched, so a network can win without music. With --clips, a store of clips
as features, the same networks also answer the questions of benchmarks/networks.py, under protocol "controlled", without
songs that one of them was trained on (clips and sound files of `mashkit features rendered` have the same names). With
--write the numbers are kept as benchmarks/results/table1.json and table1.md under that name, with those of other
networks that were asked about the same songs; if the questions differ, it is refused. Examples with a song that one of
the networks was trained or chosen on are left out, and counted. With --together, the networks that differ in their seed
alone are also asked as one, whose log odds are the mean of theirs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # before anything that counts processors is imported

import numpy as np
import numpy.typing as npt
import torch
from networks import (
    TITLES,
    cell,
    heard_by,
    judge_of,
    measured,
    questions,
    refuse_other,
    require_front_end,
    unheard,
    with_interval,
)
from script import kept_in, rounded, run_script, write_results

from mashkit.bench.scorer_metrics import Examples, accuracy, average_rank, roc_auc
from mashkit.conditions import UNMATCHED
from mashkit.errors import UsageError
from mashkit.models import file_sha256
from mashkit.rendering.output import environment
from mashkit.statistics import Statistic
from mashkit.types import Condition
from mashkit_mashnet.checkpoint import Calibration, Checkpoint, load
from mashkit_mashnet_train.calibration import probabilities
from mashkit_mashnet_train.example_batches import network_input
from mashkit_mashnet_train.example_store import ExampleRecord, ExampleStore, open_examples
from mashkit_mashnet_train.examples import RULES_VERSION
from mashkit_mashnet_train.interval_data import Lookup
from mashkit_mashnet_train.learnt_songs import keys_of
from mashkit_mashnet_train.store import open_store

HERE = Path(__file__).parent
PAPER = {
    "premixnet": (99.8, 1.0000), "postmixnet": (98.5, 1.0019),
    "premixnet-lsro": (98.9, 1.0024), "postmixnet-lsro": (99.3, 1.0338),
}  # fmt: skip
"""Table 1 of the paper: accuracy, %, and average rank among 26,550 matched mashups."""
TARGETS = {"accuracy": 98.0, "rank": 1.05}
INTERVALS = 2
"""Version of the rule of intervals of rank and AUC; by version 1, a song drawn twice had pairs with its copy, too."""
EQUALISED = 3
"""Version of the draws of examples (``DRAWS_VERSION``) from which on they go through equalisers and masks."""
VOCALS, SEED = 60, 0
"""Vocals of the controlled questions, at most, and the seed of their draws, as in benchmarks/results/networks.md."""
MUSIC = ("auc", "semitone", "late_50")
"""Controlled metrics that the table has."""


def odds_of(checkpoint: Checkpoint, store: ExampleStore, indices: Iterable[int]) -> npt.NDArray[np.float64]:
    """Return the calibrated log odds of each example, judged on its own and at its full length, shape (examples,)."""
    network, name = checkpoint.network("cpu"), store.name_of(checkpoint.front_end)
    mixed = checkpoint.architecture == "postmixnet"
    found = []
    with torch.inference_mode():
        for index in indices:
            spectra = torch.from_numpy(network_input(store.spectra(index, name), mixed=mixed))[None]
            logits = network(spectra=spectra, lengths=torch.tensor([spectra.shape[-1]]))[0]
            found.append(float(logits[1] - logits[0]))
    calibration = checkpoint.calibration or Calibration()
    return np.array(found) / calibration.temperature + calibration.bias


def table_1(odds: npt.NDArray[np.float64], test: Mapping[int, ExampleRecord]) -> dict[str, Any]:
    """Return accuracy, average rank and AUC of log odds of the test songs, with intervals by the vocal's song."""
    values = dict(zip(test, probabilities(odds), strict=True))
    songs = sorted({record.songs[0] for record in test.values()})

    def examples(kinds: Sequence[Condition]) -> Examples:
        own = [index for index, record in test.items() if Condition(record.kind) in kinds]
        return Examples([values[index] for index in own], [songs.index(test[index].songs[0]) for index in own],
                        len(songs))  # fmt: skip

    positive, negative = examples([Condition.ORIGINAL]), examples(UNMATCHED)
    unlabelled = examples([Condition.MATCHED])
    found: dict[str, tuple[Statistic, float]] = {
        "accuracy": (accuracy(positive, negative), 100),
        "rank": (average_rank([(positive, unlabelled)]), 1),
        "auc": (roc_auc(positive, negative), 100),
    }
    return {name: with_interval(statistic, scale) for name, (statistic, scale) in found.items()}


def together(
    runs: Sequence[Mapping[str, Any]], odds: Sequence[npt.NDArray[np.float64]], test: Mapping[int, ExampleRecord]
) -> list[dict[str, Any]]:
    """Return a run for each two or more runs that differ in their seed alone; its log odds are the mean of theirs."""
    alike: dict[str, dict[str, int]] = {}
    for number, run in enumerate(runs):
        kind = {name: run[name] for name in ("variant", "note", "preset", "protocol", "training")}
        alike.setdefault(json.dumps(kind, sort_keys=True), {})[run["sha256"]] = number
    made = []
    for members in alike.values():
        if len(members) > 1:
            first = next(iter(members.values()))
            made.append({
                **{name: value for name, value in runs[first].items() if name != "controlled"},
                "sha256": hashlib.sha256("".join(sorted(members)).encode()).hexdigest(),
                "members": sorted(members),
                "note": f"{runs[first]['note']}, {len(members)} seeds together",
                "steps": max(runs[number]["steps"] for number in members.values()),
                "table_1": rounded(table_1(np.mean([odds[number] for number in members.values()], axis=0), test), 3),
            })  # fmt: skip
    return made


def note(record: Mapping[str, Any]) -> str:
    """Return what sets a training apart from the paper's, for the first column of the table."""
    told = ["pseudo-labels"] if record["config"]["unlabelled"] == "pseudo" else []
    if record["data"]["protocol"] != "paper":
        told.append(f"learnt under protocol {record['data']['protocol']} alone")
    if any(source.get("mismatch") == "literal" for source in record["data"].get("sources", ())):
        told.append("unmatched taken literally")
    if "initial" in record:
        told.append(f"began with weights of protocol {record['initial']['data']['protocol']}")
    if record["config"].get("average"):  # settings of before there was an average lack it
        told.append("averaged weights")
    if record["data"].get("draws", 0) >= EQUALISED:
        told.append("equalised and masked examples")
    return "".join(f", {text}" for text in told)


def require_same_questions(file: Path, name: str, earlier: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise UsageError if earlier results under a name are of other questions; it names what differs.

    The controlled questions are compared only where both have some: without --clips, the networks get no answers there.
    """
    asked = ["store", "test", "intervals", *(["controlled"] if earlier["controlled"] and now["controlled"] else [])]
    refuse_other(file, earlier, now, asked, f"keep the new ones under another --write than {name!r}")


def joined(earlier: Mapping[str, Any], result: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a result with the runs, and the controlled answers, of an earlier one that it does not have."""
    runs = {run["sha256"]: run for run in earlier["runs"]}
    for run in result["runs"]:
        runs[run["sha256"]] = {**runs.get(run["sha256"], {}), **run}
    controlled = result["controlled"] or earlier["controlled"]
    return {**result, "controlled": controlled, "runs": in_order(runs.values())}


def judged(store: ExampleStore, checkpoints: Sequence[Checkpoint]) -> tuple[dict[int, ExampleRecord], int]:
    """Return the test examples by index, without those with a song that a checkpoint had, and how many these are.

    Raises
    ------
    UsageError
        If no original or no mashup of a kind is left.
    """
    heard = heard_by(checkpoints)
    every = {index: record for index, record in enumerate(store.records) if record.split == "test"}
    test = {
        index: record for index, record in every.items() if heard.isdisjoint(keys_of(*record.songs, *record.titles))
    }
    kinds = {Condition(record.kind) for record in test.values()}
    if not (Condition.ORIGINAL in kinds and Condition.MATCHED in kinds and kinds.intersection(UNMATCHED)):
        left = f": of {len(every)}, {len(every) - len(test)} are of songs that the checkpoints had" if every else ""
        raise UsageError(
            f"{store.folder} has no originals, matched and unmatched mashups for a test{left}",
            "give networks that never had these songs" if left else "make it with test songs, or with --test-only",
        )
    return test, len(every) - len(test)


def in_order(runs: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return runs in the order of the table's rows."""
    order = list(PAPER)
    return sorted(runs, key=lambda run: (run["note"], order.index(run["variant"]), run["preset"]))


def songs_of(training: Mapping[str, Any]) -> int:
    """Return the number of songs of a training; under protocol controlled the stores are counted one by one."""
    counted = training.get("songs")
    return counted if isinstance(counted, int) else sum(store["songs"] for store in training.values())


def asked_by(controlled: Mapping[str, Any] | None) -> str:
    """Return the sentence that says how many controlled questions there are, and by which rules; empty if none."""
    if controlled is None:
        return ""
    if "rules" in controlled:
        return f" Controlled questions: {controlled['vocals']} songs, rules of version {controlled['rules']}."
    return (
        f" Controlled questions: {controlled['vocals']} songs, rules before version 6. By these, a stem that is late, "
        "or in another tempo, could begin or end in silence, which originals never do, so half a beat may be too high."
    )


def interval_rule(collection: Mapping[str, Any]) -> str:
    """Return the sentence about intervals by an earlier rule; empty if they are by that of today."""
    if collection.get("intervals") == INTERVALS:
        return ""
    return (
        " Intervals of rank and AUC are by an earlier rule: a song that is drawn twice has pairs with its copy, too, "
        "so that pairs within songs count too often."
    )


def page(collections: Mapping[str, Any]) -> str:
    """Return the Markdown made of the numbers."""
    music = " | ".join(f"controlled: {TITLES[name]}" for name in MUSIC)
    lines = [
        "# Table 1, in the paper's own set-up",
        "",
        "Made by `python benchmarks/table1.py --data STORE --clips CLIPS --write NAME CHECKPOINT…`. Songs are mixed, "
        "separated (by the separator named below), analysed, combined and stretched (`mashkit features pipeline`); "
        "the networks learnt from the training songs, and are asked about test songs. In brackets: 95 % intervals, "
        "bootstrapped by song. In the columns *controlled*, the same networks judge rendered songs that none of them "
        "was trained on, as features. There, originals, too, are transposed and stretched, so only music tells them "
        "apart. Chance is 50 %. A network that began with weights of protocol controlled went on learning from a "
        "network that ships (`mashkit train --initial`), which had learnt from rendered stems; the test songs are in "
        "neither training. *Songs* is the number of songs that a network learnt from.",
    ]
    for name, one in collections.items():
        counts = one["test"]
        left = counts.get("left_out")
        left_out = f"; {left} mashups of songs that one of the networks had are left out" if left else ""
        lines += [
            "",
            f"## {name}",
            "",
            f"Test: {counts['songs']} songs, {counts['original']} originals, {counts['unmatched']} unmatched "
            f"and {counts['matched']} matched mashups{left_out}. Separator {one['separator']}; unmatched: "
            f"{one['mismatch']}.{asked_by(one['controlled'])}{interval_rule(one)}",
            "",
            "| network | size | songs | steps | accuracy, % | average rank | AUC, % | paper: accuracy, % | paper: rank "
            f"| {music} |",
            "|---|---|---|---|---|---|---|---|---|" + "---|" * len(MUSIC),
        ]
        for run in one["runs"]:
            own = run["table_1"]
            published = PAPER.get(run["variant"], ("–", "–"))
            controlled = [cell(run["controlled"][key], 1) if run.get("controlled") else "–" for key in MUSIC]
            lines.append(
                f"| `{run['variant']}`{run['note']} | `{run['preset']}` | {songs_of(run['training'])} | {run['steps']} "
                f"| {cell(own['accuracy'], 1)} | {cell(own['rank'], 2)} | {cell(own['auc'], 1)} | {published[0]} "
                f"| {published[1]} | {' | '.join(controlled)} |"
            )
    lines += ["", f"Targets: accuracy ≥ {TARGETS['accuracy']:g} %, average rank ≤ {TARGETS['rank']:g}."]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoints", nargs="+", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="a store of `mashkit features pipeline`")
    parser.add_argument("--clips", type=Path, help="a store of clips, for the controlled questions")
    parser.add_argument("--write", metavar="NAME", help="keep the numbers under this name")
    parser.add_argument("--together", action="store_true", help="ask networks of several seeds as one, too")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    store = open_examples(arguments.data)
    checkpoints = [load(path) for path in arguments.checkpoints]
    for checkpoint in checkpoints:
        store.name_of(checkpoint.front_end)
    test, left_out = judged(store, checkpoints)
    asked, clips, lookup, controlled = [], None, None, None
    if arguments.clips is not None:
        clip_store = open_store(arguments.clips)
        for checkpoint in checkpoints:
            require_front_end(clip_store, checkpoint)
        clips, _ = unheard(clip_store, "test", checkpoints)
        asked = questions(clips, VOCALS, SEED)
        names = hashlib.sha256(json.dumps([record.id for record in clips.records]).encode()).hexdigest()
        controlled = {
            "store": clip_store.fingerprint, "clips": len(clips), "clips_sha256": names, "vocals": len(asked),
            "seed": SEED, "rules": RULES_VERSION,
        }  # fmt: skip
        lookup = Lookup([clip_store])
    # Titles name the songs; their ids would only make the file longer.
    source = {name: value for name, value in store.source.items() if name != "songs"}
    kinds = [Condition(record.kind) for record in test.values()]
    about = {
        "test": {
            "songs": len({song for record in test.values() for song in record.songs}),
            "original": kinds.count(Condition.ORIGINAL),
            "matched": kinds.count(Condition.MATCHED),
            "unmatched": sum(kind in UNMATCHED for kind in kinds),
            **({"left_out": left_out} if left_out else {}),
        },
        "store": {"fingerprint": store.fingerprint, **source},
        "controlled": controlled,
        "intervals": INTERVALS,
    }
    file = HERE / "results" / "table1.json"
    kept = kept_in(file)
    earlier = kept["collections"].get(arguments.write)
    if earlier is not None:
        require_same_questions(file, arguments.write, earlier, about)
    runs, odds = [], []
    for path, checkpoint in zip(arguments.checkpoints, checkpoints, strict=True):
        record = checkpoint.training
        odds.append(odds_of(checkpoint, store, test))
        run = {
            "sha256": file_sha256(path),
            "variant": checkpoint.variant,
            "note": note(record),
            "preset": record["config"]["preset"],
            "steps": record["best_step"],
            "protocol": record["data"]["protocol"],
            "training": record["data"]["training"],
            "table_1": rounded(table_1(odds[-1], test), 3),
        }
        if clips is not None and lookup is not None:
            found = measured(judge_of(checkpoint, clips, lookup), asked, checkpoint.calibration or Calibration())
            run["controlled"] = rounded(found["metrics"], 3)
        runs.append(run)
        print(run["variant"], run["note"], json.dumps(run["table_1"]), flush=True)
    if arguments.together:
        for run in together(runs, odds, test):
            print(run["variant"], run["note"], json.dumps(run["table_1"]), flush=True)
            runs.append(run)
    result = {
        **about,
        "separator": ", ".join(one["name"] for one in store.source["components"] if one["kind"] == "separator"),
        "mismatch": store.source["mismatch"],
        "runs": in_order(runs),
    }
    if arguments.write:
        kept["collections"][arguments.write] = result if earlier is None else joined(earlier, result)
        kept["environment"] = environment()
        # Without spaces, because each clone has it.
        write_results(file, kept, page(kept["collections"]))


if __name__ == "__main__":
    run_script(main)
