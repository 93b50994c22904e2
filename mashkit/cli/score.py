"""`mashkit score`: score plans."""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mashkit.cli.actions import SCORING_KINDS, Commands, add_collection, add_command, add_components, add_dry_run
from mashkit.cli.console import give, print_table, say, status_of
from mashkit.numbers import column_format

if TYPE_CHECKING:
    from mashkit.catalog.catalog import Catalog
    from mashkit.types import MashupPlan


def add_parser(commands: Commands) -> None:
    """Add `score` to the command line."""
    score = add_command(commands, "score", "Score mashup plans.", run)
    add_components(score, *SCORING_KINDS, "executor")
    score.add_argument(
        "plans", nargs="+", type=Path, metavar="PLAN", help="plans that `generate` wrote, or a plan.json of `mash`"
    )
    score.add_argument("--songs", nargs="+", type=Path, default=[], help="the songs from which the plans were drawn")
    score.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the scores to FILE as JSON")
    score.add_argument("--seed", type=int, help="seed of the scorer, if it has one")
    add_dry_run(score)
    add_collection(score, from_plans=True)


def run(arguments: argparse.Namespace) -> int:
    """Score mashup plans."""
    from mashkit.cli.collection import (
        catalog_of,
        failures_of,
        notes_of,
        provenance_of,
        say_what_would_be_made_of_plans,
    )
    from mashkit.cli.kits import kinds_for_songs, kinds_run, require, seeded_kit
    from mashkit.cli.outputs import require_output
    from mashkit.cli.planfile import read_plans
    from mashkit.cli.progress import ProgressListener
    from mashkit.errors import CatalogError, PlanError, said_of
    from mashkit.products import Keys
    from mashkit.rendering.output import environment
    from mashkit.types import Score

    read = read_plans(arguments.plans)
    plans = read.plans
    needed = kinds_for_songs(arguments)
    kinds = kinds_run(arguments, SCORING_KINDS)
    kit = require(seeded_kit(arguments, "scorer"), arguments, *kinds, *needed)
    keys = Keys(["scores", "failures", "notes", "components", "environment"], ["provenance"])
    require_output(arguments.output, keys, *arguments.plans, dry_run=arguments.dry_run)
    if arguments.dry_run:
        return say_what_would_be_made_of_plans(kit, plans, kinds, arguments, read.failures)
    with ProgressListener(kit.registry, quiet=arguments.quiet):
        catalog = catalog_of(kit, arguments, arguments.songs, plans)
        results = kit.score_plans(catalog, plans)
    for plan, result in zip(plans, results, strict=True):
        if isinstance(result, CatalogError | PlanError):  # other errors were printed as events during scoring
            say(said_of(f"plan {plan.id}", result))
    rows: list[dict[str, Any]] = [
        {"plan": plan.id, "condition": str(plan.condition), "titles": _titles(catalog, plan)}
        | (result.to_dict() if isinstance(result, Score) else {"error": str(result)})
        for plan, result in zip(plans, results, strict=True)
    ]
    scored = [row for row in rows if "value" in row]
    data: dict[str, Any] = {
        "scores": rows,
        "failures": [*read.failures, *failures_of(catalog)],
        "notes": notes_of(kit, catalog),
        "components": {kind: getattr(kit, kind).described() for kind in kinds},
        "provenance": provenance_of(
            catalog, [plan for plan, result in zip(plans, results, strict=True) if isinstance(result, Score)]
        ),
        "environment": environment(),
    }
    if not give(data, arguments):
        parts = sorted({part for row in scored for part in row["parts"]})
        form = column_format([row["value"] for row in scored], 4)
        forms = {part: column_format([row["parts"].get(part, 0) for row in scored], 4) for part in parts}
        print_table(
            ("plan", "condition", "songs", "score", *parts),
            [
                (row["plan"], row["condition"], " + ".join(dict.fromkeys(row["titles"].values())),
                 f"{row['value']:{form}}",
                 *(f"{row['parts'][part]:{forms[part]}}" if part in row["parts"] else "–" for part in parts))
                for row in sorted(scored, key=lambda row: -float(row["value"]))
            ],
        )  # fmt: skip
    return status_of(scored, [*data["failures"], *(row for row in rows if "error" in row)])


def _titles(catalog: Catalog, plan: MashupPlan) -> dict[str, str]:
    """Return the title of each layer's song, vocal first; a layer whose clip is missing has none."""
    from mashkit.errors import CatalogError
    from mashkit.types import Role

    titles = {}
    for layer in sorted(plan.layers, key=lambda layer: list(Role).index(layer.role)):
        with contextlib.suppress(CatalogError):
            titles[str(layer.role)] = catalog.clip(layer.clip_id).title
    return titles
