"""`mashkit train --preferences`: learns a taste. It imports little at first, because `mashkit --help` imports it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mashkit.hookspecs import Command

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mashkit.catalog import Catalog
    from mashkit.pipeline import Kit
    from mashkit.preferences import Preference
    from mashkit.types import MashupPlan
    from mashkit_taste.features import Chosen
    from mashkit_taste.learning import Answer
    from mashkit_taste.model import Taste

DONE, PARTLY = 0, 3
SUMMARY = "Learn what somebody likes from answers of listening tests and auditions, for the scorer taste."
SCORERS = "amu,tiv,vh2015,intervalnet"
"""Scorers that render nothing, so that sixty answers take seconds (ours)."""
MOST_SHOWN = 5
"""Number of weights that are printed; the file has all."""


def _configure(made: argparse.ArgumentParser) -> None:
    from mashkit.cli.actions import add_collection, add_components, whole

    made.add_argument("--preferences", nargs="+", action="extend", type=Path, required=True, metavar="FILE",
                      help="what `mashkit listen export --preferences` or `mashkit audition` wrote")  # fmt: skip
    made.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="the taste, JSON")
    made.add_argument("--scorers", default=SCORERS, metavar="NAME,NAME",
                      help="whose values and parts to learn on; default: %(default)s")  # fmt: skip
    made.add_argument("--scorer-option", action="append", default=[], metavar="NAME.OPTION=VALUE",
                      help="set an option of one of them; repeatable")  # fmt: skip
    made.add_argument("--seed", type=whole, default=0, help="of folds and intervals; default: %(default)s")
    made.add_argument("--songs", nargs="+", type=Path, default=[], help="the songs the plans were drawn from; or --db")
    add_components(made, "separator", "analyzer", "executor")
    add_collection(made, from_plans=True)


def _run(arguments: argparse.Namespace) -> int:
    from mashkit.cli.console import print_json, say
    from mashkit.cli.outputs import require_output
    from mashkit.preferences import read_preferences
    from mashkit_taste.learning import learn

    require_output(arguments.output, r'\{\s*"kind": "mashkit taste"', *arguments.preferences)
    chosen = _chosen(arguments)
    preferences = [one for path in arguments.preferences for one in read_preferences(path)]
    left_out: list[str] = []

    def leave_out(text: str) -> None:
        left_out.append(text)
        say(text)

    answers, described, probabilities = _answers(arguments, preferences, chosen, leave_out)
    taste = learn(answers, chosen, described, probabilities=probabilities, seed=arguments.seed)
    taste.save(arguments.output)
    for warning in taste.record["warnings"]:
        say(f"warning: {warning}")
    if arguments.json:
        print_json(_facts(taste, arguments.output) | {"left_out": left_out})
    else:
        _print(taste, arguments.output)
    return PARTLY if left_out else DONE


def _chosen(arguments: argparse.Namespace) -> list[Chosen]:
    from mashkit.arguments import json_or_text, parts_of
    from mashkit.errors import UsageError
    from mashkit_taste.features import Chosen

    names = parts_of(arguments.scorers)
    if len(set(names)) < len(names) or not all(names):
        raise UsageError(f"--scorers {arguments.scorers}", "name one or more scorers, each once")
    options: dict[str, dict[str, Any]] = {name: {} for name in names}
    for text in arguments.scorer_option:
        target, equals, value = text.partition("=")
        name, dot, option = target.rpartition(".")
        if not (equals and dot and option) or name not in options:
            raise UsageError(f"--scorer-option {text}", f"write NAME.OPTION=VALUE; the names are {', '.join(names)}")
        options[name][option] = json_or_text(value)
    return [Chosen(name, options[name]) for name in names]


def _answers(
    arguments: argparse.Namespace, preferences: Sequence[Preference], chosen: Sequence[Chosen], leave_out: Any
) -> tuple[list[Answer], dict[str, Mapping[str, Any]], frozenset[str]]:
    """Return the answers whose features are given or could be measured, what the scorers are, and the probabilities."""
    from mashkit.cli.collection import catalog_of
    from mashkit.cli.kits import kinds_for_songs, kit_of, require
    from mashkit.cli.progress import ProgressListener
    from mashkit_taste.features import Measured, given, measured
    from mashkit_taste.learning import Answer

    kit: Kit = require(kit_of(arguments), arguments, *kinds_for_songs(arguments))
    described: dict[str, Mapping[str, Any]] = {one.name: one.create(kit.registry).described() for one in chosen}
    missing = [one for one in preferences if given(one, chosen) is None]
    known = Measured({}, frozenset())
    catalog: Catalog | None = None
    if missing:
        with ProgressListener(kit.registry, quiet=arguments.quiet):
            catalog = catalog_of(kit, arguments, arguments.songs)
            plans = [plan for one in missing for plan in (one.better, one.worse)]
            known = measured(chosen, catalog, plans, kit.registry, leave_out)
    songs = _songs(preferences) | ({} if catalog is None else {clip.id: clip.song for clip in catalog.clips})
    answers = []
    for one in preferences:
        sides = given(one, chosen)
        if sides is None:
            if one.better.id not in known.features or one.worse.id not in known.features:
                continue
            sides = {"better": known.features[one.better.id], "worse": known.features[one.worse.id]}
        about = songs[_vocal(one.better)], songs[_vocal(one.worse)]
        answers.append(Answer(one, sides["better"], sides["worse"], about))
    return answers, described, known.probabilities


def _songs(preferences: Sequence[Preference]) -> dict[str, str]:
    """Return vocal → its song, as far as the answers name it, else the vocal itself."""
    found: dict[str, str] = {}
    for one in preferences:
        for vocal, song in ((_vocal(one.better), one.song), (_vocal(one.worse), one.worse_song)):
            found[vocal] = song or found.get(vocal) or vocal
    return found


def _vocal(plan: MashupPlan) -> str:
    from mashkit.types import Role

    return plan.layer(Role.VOCAL).clip_id


def _facts(taste: Taste, path: Path) -> dict[str, Any]:
    from mashkit.models import file_sha256
    from mashkit.paths import path_text

    weights = dict(zip(taste.names, taste.weights.tolist(), strict=True))
    shown = {name: value for name, value in taste.record.items() if name not in ("components", "environment")}
    return {"model": path_text(path), "sha256": file_sha256(path), **shown, "weights": weights}


def _print(taste: Taste, path: Path) -> None:
    from mashkit.cli.console import print_table
    from mashkit.paths import path_text

    facts = taste.record["answers"]
    mark = "SIMULATED: " if taste.record["simulated"] else ""
    print(f"{mark}{facts['count']} answers of {facts['raters']} raters about {facts['songs']} songs")

    def ends(of: Mapping[str, Any], unit: str = " %") -> str:
        return "–" if of["low"] is None else f"{100 * of['low']:.0f} to {100 * of['high']:.0f}{unit}"

    print_table(
        ("scorer", "predicts", "95 % interval", "taste is better by"),
        [
            (name, f"{100 * one['value']:.1f} %", ends(one),
             "" if "taste_better_by" not in one else
             f"{100 * one['taste_better_by']['value']:.1f} points ({ends(one['taste_better_by'], '')})")
            for name, one in taste.record["accuracy"].items()
        ],
    )  # fmt: skip
    print("each answer was predicted without the answers about its songs")
    heaviest = sorted(zip(taste.names, taste.weights.tolist(), strict=True), key=lambda one: -abs(one[1]))
    print("what counts: " + ", ".join(f"{name} {weight:+.2f}" for name, weight in heaviest[:MOST_SHOWN]))
    print(path_text(path))
    print(f"use it: mashkit mash SONGS -o OUT --scorer taste -O scorer.model={path_text(path)}")


COMMAND = Command(name="train --preferences", summary=SUMMARY, configure=_configure, run=_run)
