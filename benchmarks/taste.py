"""How many answers does a taste need, and how much better than intervalnet does it then predict somebody's answers?

    python benchmarks/taste.py [--raters 4] [--write]

Mashups are matched plans of songs that are rendered from seeds, in groups that share no song. The scorers judge each
plan once; their values are kept in the cache. **Raters are simulated**: each likes what is known, and chooses between
two mashups of one vocal by Bradley and Terry's model. A taste is fitted on answers about one half of the groups and
tested on the other half, whose songs it has never met. Prints the tables, and with --write keeps them as
benchmarks/results/taste.json and taste.md.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import attrs
import numpy as np
import numpy.typing as npt
from script import RESULTS, refuse_fewer, run_script, write_results

from mashkit.arguments import default_cache
from mashkit.atomicfile import write_json
from mashkit.bench import rendered
from mashkit.bench.collections import Choice
from mashkit.bench.identity import identity_of
from mashkit.cli.actions import positive
from mashkit.models import file_sha256
from mashkit.pipeline import Kit
from mashkit.registry import Registry
from mashkit.rendering.output import environment
from mashkit.statistics import interval, ratio, value_of
from mashkit.types import Role
from mashkit_taste.command import SCORERS
from mashkit_taste.features import Chosen, measured
from mashkit_taste.head import Scale, choose, held_out, subsets
from mashkit_taste.learning import right

Values: TypeAlias = npt.NDArray[np.float64]

GROUPS, SONGS, PLANS = 4, 10, 150
SHARPNESS = 2.5
"""Log odds of an answer for each standard deviation by which a rater likes one mashup better."""
COUNTS = (10, 20, 30, 40, 60, 100, 200)
TARGET = 60
BASE = "intervalnet"
TASTES: Mapping[str, Mapping[str, float]] = {
    "rhythm": {"amu.rhythm": 1.0},
    "consonance": {"tiv.consonance": 1.0},
    "spectral balance": {"amu.balance": 1.0},
    "steady harmony": {"vh2015.contrast": 1.0, "vh2015.chroma": 0.5},
    "a mixture": {BASE: 0.5, "amu.balance": 1.0, "amu.rhythm": 0.7},
}
"""What raters like, in standard deviations of scores: none of it is what intervalnet judges."""
CONTROLS: Mapping[str, Mapping[str, float]] = {"intervalnet itself": {BASE: 1.0}, "nothing (answers at random)": {}}
"""Raters of whom nothing is to be gained."""


@attrs.frozen(eq=False)
class Plans:
    """The plans of one group: their features, shape (plans, features), and the song and clip of each vocal."""

    features: Values
    vocals: Sequence[str]

    @property
    def pairs(self) -> npt.NDArray[np.int64]:
        """All pairs of plans of one vocal, shape (pairs, 2)."""
        by_vocal: dict[str, list[int]] = {}
        for place, vocal in enumerate(self.vocals):
            by_vocal.setdefault(vocal, []).append(place)
        pairs = [pair for places in by_vocal.values() for pair in itertools.combinations(places, 2)]
        return np.array(pairs, np.int64)


def measure(group: int) -> tuple[dict[str, bool], Plans]:
    """Return a group's features, each with whether it is a probability, and its plans; from the cache if kept there."""
    registry = Registry()
    chosen = [Chosen(name) for name in SCORERS.split(",")]
    kit = Kit(registry=registry)
    parts = [kit.generator, kit.stretcher, *(one.create(registry) for one in chosen)]
    songs = file_sha256(Path(rendered.__file__))
    depends = ["with probabilities", group, SONGS, PLANS, songs, *(identity_of(part) for part in parts)]
    key = hashlib.sha256(json.dumps(depends).encode()).hexdigest()
    path = default_cache() / "bench" / f"taste-{key}.json"
    if not path.is_file():
        began = time.monotonic()
        source: Any = Choice(name="rendered", data=None, seed=1_000 + group, songs=SONGS).open().source
        mashups = kit.generate(source, count=PLANS, seed=group)
        found = measured(chosen, source, [one.plan for one in mashups], registry, print)
        kept = [one for one in mashups if one.plan.id in found.features]
        rows = [{"vocal": one.clips[Role.VOCAL].song, "features": found.features[one.plan.id]} for one in kept]
        write_json(path, {"probabilities": sorted(found.probabilities), "rows": rows})
        print(f"group {group}: {len(rows)} plans in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    data = json.loads(path.read_text(encoding="utf-8"))
    rows = data["rows"]
    names = sorted({name for row in rows for name in row["features"]})
    values = np.array([[row["features"].get(name, np.nan) for name in names] for row in rows])
    return {name: name in data["probabilities"] for name in names}, Plans(values, [row["vocal"] for row in rows])


# ----------------------------------------------------------------------------------------------------------- raters
class Raters:
    """Simulated raters of one taste, over the plans of all groups."""

    def __init__(self, names: Mapping[str, bool], groups: Sequence[Plans], likes: Mapping[str, float]) -> None:
        self.names, self.groups = list(names), groups
        self.log_odds = np.array(list(names.values()))
        rows = np.concatenate([one.features for one in groups])
        scaled = Scale.of(rows, self.log_odds).apply(rows)
        liked = sum((weight * scaled[:, self.names.index(name)] for name, weight in likes.items()), np.zeros(len(rows)))
        spread = liked.std() or 1.0
        ends = np.cumsum([len(one.features) for one in groups])[:-1]
        self.utilities = np.split(liked / spread, ends)

    def chances(self, group: int) -> Values:
        """Return the chance that the first of each pair of a group is preferred, shape (pairs,)."""
        first, second = self.utilities[group][self.groups[group].pairs].T
        found: Values = 1 / (1 + np.exp(SHARPNESS * (second - first)))
        return found

    def sides(self, groups: Sequence[int]) -> tuple[Values, Values, Values, list[str]]:
        """Return of all pairs of these groups the features of both, the chance of the first, and the song."""
        of = [self.groups[group] for group in groups]
        first, second = (np.concatenate([one.features[one.pairs[:, side]] for one in of]) for side in (0, 1))
        songs = [one.vocals[place] for one in of for place in one.pairs[:, 0].tolist()]
        return first, second, np.concatenate([self.chances(group) for group in groups]), songs

    def run(self, train: Sequence[int], test: Sequence[int], count: int, seed: int) -> dict[str, float]:
        """Fit a taste on some answers about some groups, and return how well it and the scorers predict the others."""
        chance = np.random.default_rng([seed, count])
        first, second, chances, songs = self.sides(train)
        asked = chance.choice(len(first), count, replace=False)
        wins = (chance.random(count) < chances[asked])[:, None]
        better, worse = np.where(wins, first[asked], second[asked]), np.where(wins, second[asked], first[asked])
        scale = Scale.of(np.unique(np.concatenate([better, worse]), axis=0), self.log_odds)
        differences, strengths = scale.apply(better) - scale.apply(worse), np.ones(count)
        about = [(songs[place], songs[place]) for place in asked.tolist()]
        sets = subsets(self.names, SCORERS.split(","))
        weights = choose(differences, strengths, about, sets, seed).fit(differences, strengths)
        first, second, chances, _ = self.sides(test)
        margins = (scale.apply(first) - scale.apply(second)) @ weights

        def expected(margin: Values) -> float:
            share = right(margin)
            return float(np.mean(share * chances + (1 - share) * (1 - chances)))

        told = {"taste_accuracy": expected(margins), "possible": float(np.mean(np.maximum(chances, 1 - chances)))}
        told["confidence"] = float(np.mean(1 / (1 + np.exp(-np.abs(margins)))))
        for name in SCORERS.split(","):
            column = self.names.index(name)
            told[name] = expected(first[:, column] - second[:, column])
        if count == TARGET:
            told["left out"] = float(np.mean(right(held_out(differences, strengths, about, sets, seed))))
        return told


def simulated(raters: int) -> list[dict[str, Any]]:
    """Return one row for each simulated rater: taste, number of answers, split, and accuracies on unseen songs."""
    measured_groups = [measure(group) for group in range(GROUPS)]
    shared = sorted(set.intersection(*(set(names) for names, _ in measured_groups)))
    names = {name: measured_groups[0][0][name] for name in shared}
    groups = [
        Plans(plans.features[:, [list(known).index(name) for name in names]], plans.vocals)
        for known, plans in measured_groups
    ]
    splits = list(itertools.combinations(range(GROUPS), GROUPS // 2))
    rows = []
    for taste, likes in {**TASTES, **CONTROLS}.items():
        of = Raters(names, groups, likes)
        for count in COUNTS:
            for split, train in enumerate(splits):
                test = [group for group in range(GROUPS) if group not in train]
                for rater in range(raters):
                    found = of.run(train, test, count, 1_000 * split + rater)
                    rows.append({"name": taste, "count": count, "split": split, **found})
        print(taste, file=sys.stderr, flush=True)
    return rows


# ------------------------------------------------------------------------------------------------------------ tables
def mean_of(rows: Sequence[Mapping[str, Any]], value: Any) -> dict[str, float]:
    """Return the mean of a value of the rows with its 95 % interval over the splits of the songs.

    The interval is too narrow, because splits share groups of songs and the bootstrap takes them for independent.
    """
    clusters = max(row["split"] for row in rows) + 1
    sums, counts = np.zeros(clusters), np.zeros(clusters)
    for row in rows:
        sums[row["split"]] += value(row)
        counts[row["split"]] += 1
    statistic = ratio(sums, counts)
    ends = interval(statistic)
    assert ends is not None  # noqa: S101 — there are six splits
    return {"value": value_of(statistic), "low": ends.low, "high": ends.high}


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the figures of the tables."""
    scorers = SCORERS.split(",")

    def those(count: int, tastes: Sequence[str]) -> list[Mapping[str, Any]]:
        return [row for row in rows if row["count"] == count and row["name"] in tastes]

    by_count = []
    for count in COUNTS:
        some = those(count, list(TASTES))
        by_count.append(
            {
                "count": count,
                "taste": mean_of(some, lambda row: row["taste_accuracy"]),
                "gain": mean_of(some, lambda row: row["taste_accuracy"] - row[BASE]),
                "beats_base": mean_of(some, lambda row: row["taste_accuracy"] > row[BASE]),
                "beats_best": mean_of(some, lambda row: row["taste_accuracy"] > max(row[one] for one in scorers)),
                "possible": mean_of(some, lambda row: row["possible"]),
                "confidence": mean_of(some, lambda row: row["confidence"]),
            }
        )
    by_taste = []
    for taste in [*TASTES, *CONTROLS]:
        some = those(TARGET, [taste])
        by_taste.append(
            {
                "taste": taste,
                "accuracy": mean_of(some, lambda row: row["taste_accuracy"]),
                "gain": mean_of(some, lambda row: row["taste_accuracy"] - row[BASE]),
                "possible": mean_of(some, lambda row: row["possible"]),
                "left_out": mean_of(some, lambda row: row["left out"]),
                **{one: mean_of(some, lambda row, one=one: row[one]) for one in scorers},
            }
        )
    return {"by_count": by_count, "by_taste": by_taste}


def shown(one: Mapping[str, float], *, ends: bool = True) -> str:
    """Return a share as per cent."""
    text = f"{100 * one['value']:.1f}"
    return f"{text} ({100 * one['low']:.1f} to {100 * one['high']:.1f})" if ends else text


def page(result: Mapping[str, Any]) -> str:
    """Return the tables as Markdown."""
    scorers = SCORERS.split(",")
    lines = [
        "# How many answers does a taste need?",
        "",
        f"Made by `python benchmarks/taste.py --write`. **All answers are simulated.** {GROUPS} groups of {SONGS} "
        f"rendered songs each, {result['plans']} matched plans within them; a taste is fitted on answers about two "
        "groups and tested on all pairs of the other two, whose songs it has never met: 6 splits, "
        f"{result['raters']} raters each. "
        f"A rater chooses by Bradley and Terry's model, with log odds of {SHARPNESS:g} for each standard deviation of "
        "what they like, so nobody's answers can be predicted wholly: the column *possible* is what a perfect model "
        "reaches. Per cent of answers; intervals are 95 %, over the splits. The splits are of the same "
        f"{GROUPS} groups and taken for independent, so the intervals are too narrow for songs of other groups.",
        "",
        f"## {TARGET} answers",
        "",
        "*Left out* is what `mashkit train --preferences` reports: accuracy by leaving out one song at a time.",
        "",
        f"| the rater likes | taste | better than {BASE} by | possible | left out | {' | '.join(scorers)} |",
        "|" + "---|" * (5 + len(scorers)),
    ]
    for row in result["by_taste"]:
        cells = [shown(row["accuracy"]), shown(row["gain"]), shown(row["possible"], ends=False),
                 shown(row["left_out"], ends=False), *(shown(row[one], ends=False) for one in scorers)]  # fmt: skip
        lines.append(f"| {row['taste']} | {' | '.join(cells)} |")
    lines += [
        "",
        "## By the number of answers",
        "",
        f"The mean of the first {len(TASTES)} raters of the table above.",
        "",
        f"| answers | taste | better than {BASE} by | possible | raters for whom it is better than {BASE} "
        "| than the best of the scorers | its own confidence |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in result["by_count"]:
        cells = [shown(row["taste"]), shown(row["gain"]), shown(row["possible"], ends=False),
                 shown(row["beats_base"], ends=False), shown(row["beats_best"], ends=False),
                 shown(row["confidence"], ends=False)]  # fmt: skip
        lines.append(f"| {row['count']} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def main() -> None:
    """Simulate, print, and keep on demand."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raters", type=positive, default=4, help="of each taste and split; default: %(default)s")
    parser.add_argument("--write", action="store_true", help="keep the result in benchmarks/results")
    arguments = parser.parse_args()
    path = RESULTS / "taste.json"
    if arguments.write:
        refuse_fewer(parser, path, "raters", arguments.raters)
    rows = simulated(arguments.raters)
    plans = sum(len(measure(group)[1].vocals) for group in range(GROUPS))
    result = {"simulated": True, "raters": arguments.raters, "plans": plans, "sharpness": SHARPNESS,
              "tastes": {**TASTES, **CONTROLS}, **summary(rows), "environment": environment()}  # fmt: skip
    print(page(result))
    if arguments.write:
        write_results(path, result, page(result), indent=2)


if __name__ == "__main__":
    run_script(main)
