"""What networks have learnt: rendered songs that none of them was trained or chosen on, as features, clean and exact.

Around each vocal: the original, three unmatched, 48 matched mashups of other songs, and twins of the original with one
thing wrong. All transposed and stretched alike (protocol "controlled"), so that nothing but the match tells them apart.
Everything is transposed, stretched and moved as features: there is no stretcher in it. On real songs, rendered mashups
and against rules that read sound, `mashkit bench run amu_vs_premixnet` says what these networks are worth.

    python benchmarks/networks.py --data STORE [--write NAME] CHECKPOINT…

Checkpoints of one variant and preset are taken for seeds of one training: the table has the mean over them, and the
least and the greatest. Intervals are of the first of them: bootstrap by song. With --write the numbers are kept under
that name in benchmarks/results/networks.json and networks.md, with those of other checkpoints there that answered the
same questions. With --split validation, songs that the checkpoints were chosen by are asked about as well.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # before anything that counts processors is imported

import attrs
import numpy as np
import torch
from script import kept_in, rounded, run_script, write_results

from mashkit.bench.scorer_metrics import (
    Examples,
    accuracy,
    calibration_error,
    mean_over,
    preferred,
    reliability,
    roc_auc,
)
from mashkit.cli.actions import positive, whole
from mashkit.conditions import UNMATCHED
from mashkit.errors import UsageError
from mashkit.metrics import ranks_among
from mashkit.metrics import roc_auc as roc_auc_of
from mashkit.models import file_sha256
from mashkit.rendering.output import environment
from mashkit.statistics import Statistic, interval, value_of
from mashkit.types import Condition, Role
from mashkit_mashnet.checkpoint import Calibration, Checkpoint, load
from mashkit_mashnet.f0chroma import harmony
from mashkit_mashnet_train.calibration import probabilities
from mashkit_mashnet_train.examples import RULES_VERSION, Clips, Drawer, Example, Split
from mashkit_mashnet_train.interval_data import Lookup
from mashkit_mashnet_train.learnt_songs import LEARNT, learnt_by, songs_by_part
from mashkit_mashnet_train.spectra_data import collated
from mashkit_mashnet_train.store import Store, open_store

HERE = Path(__file__).parent
BEATS = (36, 48)
"""An example's length, beats, as far as the clips of all its layers go."""
CANDIDATES = 48
RULE = "f0chroma"
TARGETS = {
    "within": 97.0,
    "auc": 98.0,
    "accuracy": 92.0,
    "semitone": 99.0,
    "late_50": 92.0,
    "late_25": 92.0,
    "fast_3": 97.0,
    "rank": 4.0,
}
TITLES = {
    "within": "AUC within vocals, %", "auc": "AUC, %", "accuracy": "accuracy, %", "ece": "ECE",
    "semitone": "±1 semitone, %", "late_50": "½ beat late, %", "late_25": "¼ beat late, %", "fast_3": "3 % fast, %",
    "rank": "mean rank among 48", "rank_median": "median rank",
}  # fmt: skip

Judge = Callable[[Sequence[Example]], np.ndarray[Any, np.dtype[np.float64]]]


# ------------------------------------------------------------------------------------------------------- examples
def heard_by(checkpoints: Sequence[Checkpoint], stores: Sequence[Store] = (), *, chosen: bool = True) -> set[str]:
    """Return the keys of the songs that one of some networks was trained on or, with ``chosen``, chosen by."""
    parts = LEARNT if chosen else LEARNT[:1]
    learnt = [learnt_by(checkpoint.training, stores) for checkpoint in checkpoints]
    return {key for one in learnt for part in parts for key in one[part]}


def unheard(store: Store, split: Split, checkpoints: Sequence[Checkpoint]) -> tuple[Clips, list[str]]:
    """Return the clips of a split without songs that a checkpoint was trained or chosen on, and these songs.

    From the validation split, songs that a checkpoint was chosen by are not left out, because that split is the songs
    by which checkpoints are chosen.
    """
    heard = heard_by(checkpoints, [store], chosen=split != "validation")
    songs = {song for part in songs_by_part([store]).values() for song in part}
    known = sorted(song.song for song in songs if song.keys & heard)
    own = {record.song for record in Clips([store], split).records}
    return Clips([store], split, without=known), [song for song in known if song in own]


def refuse_other(
    file: Path, earlier: Mapping[str, Any], now: Mapping[str, Any], names: Iterable[str], fix: str
) -> None:
    """Raise UsageError if results that are kept in a file are of other questions; it names what differs.

    Otherwise they would be dropped for the new ones, and a table would compare answers to several questions.
    """
    other = [name for name in names if earlier.get(name) != now.get(name)]
    parts = [
        f"{name} ({', '.join(key for key in sorted({*old, *new}) if old.get(key) != new.get(key))})"
        if isinstance(old, Mapping) and isinstance(new, Mapping) else name
        for name, old, new in ((name, earlier.get(name), now.get(name)) for name in other)
    ]  # fmt: skip
    if other:
        raise UsageError(f"the networks in {file} answered other questions: not the same {', '.join(parts)}", fix)


def require_every_seed(
    file: Path, earlier: Mapping[str, Sequence[Mapping[str, Any]]], given: Mapping[str, int]
) -> None:
    """Raise UsageError if seeds that are kept in a file would be lost to the given ones, which are fewer.

    Kept runs without the checkpoint's SHA-256 cannot be told from the given ones, so they are replaced all together.
    """
    for name, count in given.items():
        unknown = sum("sha256" not in run for run in earlier.get(name, ()))
        if count < unknown:
            raise UsageError(
                f"{file} has {unknown} seeds of {name} without SHA-256, and {count} would replace them",
                f"give the checkpoints of all {unknown} seeds together, and more if there are",
            )


def joined(
    earlier: Mapping[str, Sequence[Mapping[str, Any]]], now: Mapping[str, Sequence[Mapping[str, Any]]]
) -> dict[str, list[Mapping[str, Any]]]:
    """Return the runs of each scorer, earlier and new; a checkpoint that was measured again has the new run."""
    found = {name: list(runs) for name, runs in earlier.items()}
    for name, runs in now.items():
        known = {run["sha256"]: run for run in earlier.get(name, ()) if "sha256" in run}
        found[name] = list({**known, **{run.get("sha256"): run for run in runs}}.values())
    return dict(sorted(found.items(), key=lambda one: one[0] == RULE))


def named(checkpoint: Checkpoint) -> str:
    """Return what the table calls a checkpoint: its variant and preset, as ``premixnet-lsro rhythm``."""
    return f"{checkpoint.variant} {checkpoint.preset.name}"


@attrs.frozen
class Question:
    """A vocal's examples: kinds of :func:`questions` → example, or several."""

    song: int
    original: Example
    unmatched: tuple[Example, ...]
    matched: tuple[Example, ...]
    twins: Mapping[str, Example]


def questions(clips: Clips, vocals: int, seed: int, candidates: int = CANDIDATES) -> list[Question]:
    """Return what is asked about as many vocals, of as many songs."""
    drawer = Drawer(clips, "controlled", BEATS)
    random = np.random.default_rng(seed)
    seen: set[int] = set()
    found = []
    for clip in random.permutation(len(clips)):
        song = int(clips.songs[clip])
        if song in seen or len(found) == vocals:
            continue
        seen.add(song)
        kinds = (Condition.ORIGINAL, *UNMATCHED, *[Condition.MATCHED] * candidates)
        own = np.random.default_rng([seed, int(clip)])
        drawn = list(drawer.group(len(found), kinds, own, vocal=int(clip), twins=True))
        if not drawn:  # its clip is too short
            continue
        original = drawn[0]
        sung = original.layers[Role.VOCAL]
        beat = float(np.median(np.diff(original.grid)))
        wrong = {
            "up": {Role.HARMONIC: attrs.evolve(sung, semitones=sung.semitones + 1)},
            "down": {Role.HARMONIC: attrs.evolve(sung, semitones=sung.semitones - 1)},
            "late_50": {Role.PERCUSSION: sung.moved(beat / 2)},
            "late_25": {Role.PERCUSSION: sung.moved(beat / 4)},
            "fast_3": {Role.PERCUSSION: sung.faster(1.03)},
        }
        found.append(
            Question(
                song=song,
                original=original,
                unmatched=tuple(example for example in drawn if example.kind in UNMATCHED),
                matched=tuple(example for example in drawn if example.kind == Condition.MATCHED),
                twins={name: attrs.evolve(original, layers=original.layers | layers) for name, layers in wrong.items()},
            )
        )
    if not found:
        raise UsageError(
            f"no clip to ask about ({clips.part}): no song is left whose clips have room for 8 beats",
            "give another store, or other checkpoints",
        )
    return found


# --------------------------------------------------------------------------------------------------------- judges
def require_front_end(store: Store, checkpoint: Checkpoint) -> None:
    """Raise UsageError if a store of clips has no spectra of a checkpoint's front end."""
    if checkpoint.architecture != "intervalnet":
        store.require(checkpoint.front_end)


def judge_of(checkpoint: Checkpoint, clips: Clips, lookup: Lookup) -> Judge:
    """Return what gives log odds of examples, each judged on its own and at its full length."""
    network = checkpoint.network("cpu")

    def intervals(example: Example) -> dict[str, torch.Tensor]:
        pitches, onsets, positions = lookup.example(clips, example, len(example.grid) - 1, None)
        parts = {"pitches": pitches, "onsets": onsets, "positions": positions}
        return {name: torch.from_numpy(part)[None] for name, part in parts.items()} | {
            "roles": torch.ones(1, 3, dtype=torch.bool)
        }

    def spectra(example: Example) -> Mapping[str, torch.Tensor]:
        mixed = checkpoint.architecture == "postmixnet"
        front_end, bars = checkpoint.front_end, checkpoint.preset.bar_frames
        return collated(
            clips, [example], None, frames=1 << 20, mixed=mixed, front_end=front_end, bar_frames=bars
        ).inputs

    inputs = intervals if checkpoint.architecture == "intervalnet" else spectra

    def judge(examples: Sequence[Example]) -> np.ndarray[Any, np.dtype[np.float64]]:
        with torch.inference_mode():
            logits = [network(**inputs(example))[0] for example in examples]
        return np.array([float(logit[1] - logit[0]) for logit in logits])

    return judge


def rule(clips: Clips, lookup: Lookup) -> Judge:
    """Return the rule f0chroma on the same examples."""

    def one(example: Example) -> float:
        pitches, _, _ = lookup.example(clips, example, len(example.grid) - 1, None)
        return harmony(pitches[0], pitches[4:].sum(axis=0))

    return lambda examples: np.array([one(example) for example in examples])


# -------------------------------------------------------------------------------------------------------- measures
def measured(judge: Judge, asked: Sequence[Question], calibration: Calibration | None) -> dict[str, Any]:
    """Return the metrics of one judge, with intervals by song, and its reliability curve."""
    songs = np.arange(len(asked))  # one vocal a song
    started = time.process_time()
    original = judge([question.original for question in asked])
    unmatched = [judge(question.unmatched) for question in asked]
    matched = [judge(question.matched) for question in asked]
    twins = {name: judge([question.twins[name] for question in asked]) for name in asked[0].twins}
    scored = time.process_time() - started

    def read(odds: Any) -> Any:
        return np.asarray(odds) if calibration is None else probabilities(odds, calibration)

    owners = np.repeat(songs, [len(values) for values in unmatched])
    positive = Examples(read(original), songs, len(asked))
    negative = Examples(read(np.concatenate(unmatched)), owners, len(asked))
    ranks = np.array([ranks_among([own], others)[0] for own, others in zip(original, matched, strict=True)])
    within = [roc_auc_of([own], odds) for own, odds in zip(original, unmatched, strict=True)]
    both = Examples(np.tile(read(original), 2), np.tile(songs, 2), len(asked))
    found: dict[str, Statistic] = {
        "within": mean_over(positive, within),
        "auc": roc_auc(positive, negative),
        "semitone": preferred(both, read(np.concatenate([twins["up"], twins["down"]]))),
        **{name: preferred(positive, read(twins[name])) for name in ("late_50", "late_25", "fast_3")},
        "rank": mean_over(positive, ranks, (1.0, 1.0 + max(map(len, matched)))),
    }
    if calibration is not None:
        found |= {"accuracy": accuracy(positive, negative), "ece": calibration_error(positive, negative)}
    values: dict[str, Any] = {"rank_median": {"value": float(np.median(ranks))}}
    for name, statistic in found.items():
        values[name] = with_interval(statistic, 1 if name in ("rank", "ece") else 100)
    curve = [] if calibration is None else [attrs.asdict(bin_) for bin_ in reliability(positive, negative)]
    examples = sum(1 + len(q.unmatched) + len(q.matched) + len(q.twins) for q in asked)
    return {"metrics": values, "reliability": curve, "cpu_ms_an_example": 1000 * scored / examples}


def with_interval(statistic: Statistic, scale: float) -> dict[str, float | None]:
    """Return a statistic and the ends of its 95 % interval, multiplied by ``scale``."""
    ends = interval(statistic)
    low, high = (None, None) if ends is None else (scale * ends.low, scale * ends.high)
    return {"value": scale * value_of(statistic), "low": low, "high": high}


# ----------------------------------------------------------------------------------------------------------- pages
def page(collections: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the Markdown made of the numbers of each collection of songs."""
    bounds = [f"{TITLES[name]} {'≤' if name == 'rank' else '≥'} {value:g}" for name, value in TARGETS.items()]
    lines = [
        "# What networks have learnt, on rendered songs",
        "",
        f"Each vocal is asked about as features, clean, up to {BEATS[1]} beats long, as far as the clips go, with "
        f"three unmatched and {CANDIDATES} matched mashups of other songs, and five twins with one thing wrong. "
        "Everything is transposed and stretched alike. Where there are several seeds, the value is their mean, "
        "followed by the least and the greatest; in brackets is the 95 % interval of the first seed, bootstrapped by "
        "song. A preset with a number at its end has so many networks, whose log odds are averaged.",
        "",
        "Chance is 50 % (both AUC, accuracy, twins) and a rank of 25. Targets for the best of ours: "
        + "; ".join(bounds)
        + ".",
        "",
        f"`{RULE}` is a rule without training, and ignores percussion.",
    ]
    for name, results in collections.items():
        lines += ["", f"## {name}", "", *_table(results)]
    return "\n".join(lines) + "\n"


def _table(results: Mapping[str, Any]) -> list[str]:
    left_out = len(results["left_out"])
    without = f" {left_out} songs that one of the networks was trained on are left out." if left_out else ""
    return [
        f"Made by `{results['command']}`: {results['vocals']} vocals of as many songs, of the {results['clips']} "
        f"rendered clips of the {results['split']} split.{without}",
        "",
        "| scorer and preset | seeds | " + " | ".join(TITLES.values()) + " |",
        "|---|---|" + "---|" * len(TITLES),
        *(
            f"| `{name}` | {len(runs)} | " + " | ".join(_cell(runs, metric) for metric in TITLES) + " |"
            for name, runs in results["scorers"].items()
        ),
    ]


def _cell(runs: Sequence[Mapping[str, Any]], metric: str) -> str:
    found = [run["metrics"][metric] for run in runs if metric in run["metrics"]]
    if not found:
        return "–"
    digits = 3 if metric == "ece" else 1
    values = [one["value"] for one in found]
    text = cell({**found[0], "value": statistics.fmean(values)}, digits)
    return text if len(values) == 1 else f"{text}; {min(values):.{digits}f}–{max(values):.{digits}f}"


def cell(one: Mapping[str, Any], digits: int) -> str:
    """Return a value with its interval, as pages show it."""
    text = f"{one['value']:.{digits}f}"
    return text if one.get("low") is None else f"{text} ({one['low']:.{digits}f}–{one['high']:.{digits}f})"


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoints", nargs="*", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="a store of features")
    parser.add_argument("--split", choices=("test", "validation"), default="test")
    parser.add_argument("--vocals", type=positive, default=120)
    parser.add_argument("--seed", type=whole, default=0)
    parser.add_argument("--write", metavar="NAME", help="keep the numbers under this name in benchmarks/results/")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    store: Store = open_store(arguments.data)
    checkpoints = [load(path) for path in arguments.checkpoints]
    for checkpoint in checkpoints:
        require_front_end(store, checkpoint)
    clips, left_out = unheard(store, arguments.split, checkpoints)
    asked = questions(clips, arguments.vocals, arguments.seed)
    about = {
        "command": f"python benchmarks/networks.py --data STORE --split {arguments.split} "
        f"--vocals {arguments.vocals} --seed {arguments.seed} --write NAME CHECKPOINT…",
        "rules": RULES_VERSION,
        "store": {"fingerprint": store.fingerprint, **store.source},
        "songs": sorted({clips.records[question.original.layers[Role.VOCAL].clip].song for question in asked}),
    }
    path = HERE / "results" / "networks.json"
    kept = kept_in(path)
    earlier = kept["collections"].get(arguments.write, {})
    if earlier:
        fix = f"keep the new ones under another --write than {arguments.write!r}"
        refuse_other(path, earlier, about, about, fix)
        require_every_seed(path, earlier["scorers"], Counter(map(named, checkpoints)))
    lookup = Lookup([store])
    runs: dict[str, list[Any]] = {}
    for path_, checkpoint in zip(arguments.checkpoints, checkpoints, strict=True):
        found = measured(judge_of(checkpoint, clips, lookup), asked, checkpoint.calibration or Calibration())
        runs.setdefault(named(checkpoint), []).append({"checkpoint": path_.name, "sha256": file_sha256(path_), **found})
        print(named(checkpoint), {name: round(one["value"], 2) for name, one in found["metrics"].items()}, flush=True)
    runs[RULE] = [measured(rule(clips, lookup), asked, None)]
    results = {
        **about,
        "split": arguments.split,
        "vocals": len(asked),
        "clips": len(clips),
        "left_out": left_out,
        "machine": {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()},
        "environment": environment(),
        "scorers": joined(earlier.get("scorers", {}), rounded(runs, 5)),
    }
    print("\n".join(_table(results)))
    if arguments.write:
        kept["collections"][arguments.write] = results
        write_results(path, kept, page(kept["collections"]))


if __name__ == "__main__":
    run_script(main)
