"""`mashkit render`: render plans to mashups."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mashkit.cli.actions import RENDERING_KINDS, Commands, add_collection, add_command, add_components, add_dry_run
from mashkit.cli.console import print_json, say, status_of

if TYPE_CHECKING:
    from mashkit.types import MashupPlan

MADE_OF = "mashkit render"
"""Name of the set of files in the output folder."""


def add_parser(commands: Commands) -> None:
    """Add `render` to the command line."""
    render = add_command(commands, "render", "Make mashups of plans: their mix, stems and record.", run)
    add_components(render, *RENDERING_KINDS, "executor")
    render.add_argument(
        "plans", nargs="+", type=Path, metavar="PLAN", help="plans that `generate` wrote, or a plan.json of `mash`"
    )
    render.add_argument("--songs", nargs="+", type=Path, default=[], help="the songs from which the plans were drawn")
    render.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="folder for the mashups; each plan gets a folder in it",
    )
    render.add_argument("--clicks", action="store_true", help="also write clicks.flac, as `mash` does")
    render.add_argument("--seed", type=int, help="seed of the stretcher, if it has one")
    add_dry_run(render)
    add_collection(render, from_plans=True)


def run(arguments: argparse.Namespace) -> int:
    """Render plans to mashups."""
    import attrs

    from mashkit.cli.collection import catalog_of, failures_of, notes_of, say_what_would_be_made_of_plans
    from mashkit.cli.kits import kinds_for_songs, kinds_run, require, seeded_kit
    from mashkit.cli.planfile import read_plans
    from mashkit.cli.progress import ProgressListener
    from mashkit.cli.saving import failure_of
    from mashkit.errors import PlanError, said_of
    from mashkit.hookspecs import StageEvent
    from mashkit.paths import path_text
    from mashkit.products import OutputSet
    from mashkit.rendering.output import environment, mashup_files, write_mashup

    read = read_plans(arguments.plans)
    plans = {plan.id: plan for plan in read.plans}
    needed = kinds_for_songs(arguments)
    kit = require(seeded_kit(arguments, "stretcher"), arguments, *needed)
    names = [
        f"{plan.id}/{name}"
        for plan in plans.values()
        for name in mashup_files([layer.role for layer in plan.layers], clicks=arguments.clicks)
    ]
    if arguments.dry_run:
        OutputSet.require_possible(arguments.output, made_of=MADE_OF, names=names)
        kinds = kinds_run(arguments, RENDERING_KINDS)
        return say_what_would_be_made_of_plans(kit, list(plans.values()), kinds, arguments, read.failures)
    output = OutputSet(arguments.output, made_of=MADE_OF, names=names)
    rendered: list[dict[str, Any]] = []
    failures: list[dict[str, str]] = []
    with ProgressListener(kit.registry, quiet=arguments.quiet), output:
        catalog = catalog_of(kit, arguments, arguments.songs, read.plans)
        for done, plan in enumerate(plans.values(), 1):
            event = StageEvent(stage="render", item=plan.id, state="done", done=done, total=len(plans))

            def write(plan: MashupPlan = plan) -> None:
                (mashup,) = kit.mashups(catalog, [plan])
                record = write_mashup(mashup, output.staging / plan.id, clicks=arguments.clicks)
                rendered.append({"folder": path_text(arguments.output / plan.id), **record})
                for note in record["notes"]:
                    say(f"plan {plan.id}: {note}")

            error = failure_of(write, output.staging / plan.id)
            if error is not None:
                failures.append({"plan": plan.id, "error": str(error)})
                event = attrs.evolve(event, state="failed", message=said_of(f"plan {plan.id}", error))
            kit.registry.plugins.hook.mashkit_stage(event=event)
        if not rendered:
            raise PlanError(f"none of the {len(plans)} plans could be rendered", "the reasons are above")
    failures = [*read.failures, *failures_of(catalog), *failures]
    if arguments.json:
        print_json(
            {"mashups": rendered, "failures": failures, "notes": notes_of(kit, catalog), "environment": environment()}
        )
    else:
        print("\n".join(one["folder"] for one in rendered))
    return status_of(rendered, failures)
