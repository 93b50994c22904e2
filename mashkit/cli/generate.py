"""`mashkit generate`: mashup plans."""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mashkit.cli.actions import (
    Commands,
    add_collection,
    add_command,
    add_components,
    add_drawing,
    add_dry_run,
    positive,
)
from mashkit.cli.console import print_json, print_table, say
from mashkit.cli.status import DONE, PARTLY

if TYPE_CHECKING:
    from mashkit.generation import Mixture, Recipe, Report
    from mashkit.pipeline import Kit

PLANS = 10
"""Number of plans that `generate` draws by default."""
PARALLEL_FROM = 5000
"""Number of plans from which drawing in several processes is faster."""
PLANS_A_REPORT = 500
"""Number of plans between two reports of progress."""


def add_parser(commands: Commands) -> None:
    """Add `generate` to the command line."""
    generate = add_command(commands, "generate", "Draw mashup plans, without making any sound.", run)
    add_components(generate, "separator", "analyzer", "generator", "executor")
    generate.add_argument("songs", nargs="*", type=Path, help="sound files and folders of them; or give --db")
    generate.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="write the plans to FILE, one JSON object a line"
    )
    generate.add_argument("--list-clips", action="store_true", help="list the clips instead of drawing plans")
    add_dry_run(generate)
    add_drawing(generate, PLANS)
    generate.add_argument(
        "--list-conditions", action="store_true", help="list the conditions of the generator instead of drawing plans"
    )
    generate.set_defaults(count=None)  # None means that --count was not given, because a mixture must not have it
    mixture = generate.add_argument_group("a mixture of conditions, instead of --condition and --count")
    mixture.add_argument("--positives", type=positive, metavar="N", help="original plans")
    mixture.add_argument(
        "--negatives", type=positive, metavar="N", help="unmatched plans, a third of each of the three conditions"
    )
    mixture.add_argument("--unlabelled", type=positive, metavar="N", help="matched plans")
    mixture.add_argument(
        "--negative-shares", type=float, nargs=3, metavar=("KEY", "TEMPO", "BOTH"),
        help="shares of the negatives unmatched in key, tempo, and both; default: equal",
    )  # fmt: skip
    add_collection(generate)


def run(arguments: argparse.Namespace) -> int:
    """Draw mashup plans."""
    import attrs

    from mashkit.cli.collection import catalog_of, failures_of, notes_of, print_clips, say_what_would_be_made, vocals_of
    from mashkit.cli.kits import kinds_for_songs, kinds_run, kit_of, require, require_downbeats
    from mashkit.cli.outputs import require_output
    from mashkit.cli.progress import ProgressListener
    from mashkit.generation import Mixture
    from mashkit.paths import path_text
    from mashkit.products import Keys
    from mashkit.timing import metre
    from mashkit.types import MashupPlan, key_facts

    _require_only_listing(arguments)
    kit = kit_of(arguments)
    if arguments.list_conditions:
        require(kit, arguments, "generator")
        if arguments.json:
            print_json({"conditions": dict(kit.generator.conditions)})
        else:
            print_table(("condition", "what it means"), kit.generator.conditions.items())
        return DONE
    require(kit, arguments, *(() if arguments.list_clips else ("generator",)), *kinds_for_songs(arguments))
    recipe = _recipe(kit, arguments)
    if not arguments.list_clips:
        require_downbeats(kit, arguments, recipe.counts)
    # A plan.json of `mash` has other keys, so it is not taken for a file of plans.
    keys = Keys(["condition", "layers"], ["format", *(field.name for field in attrs.fields(MashupPlan))])
    require_output(arguments.output, keys, *arguments.songs, dry_run=arguments.dry_run)
    if arguments.dry_run:
        kinds = kinds_run(arguments, ("separator", "analyzer", "generator"))
        return say_what_would_be_made(kit, arguments.songs, kinds, recipe.total, arguments)
    with ProgressListener(kit.registry, quiet=arguments.quiet):
        catalog = catalog_of(kit, arguments, arguments.songs)
        status = PARTLY if catalog.failures else DONE
        if arguments.list_clips:
            if arguments.json:
                shown = [
                    clip.to_dict() | key_facts(clip.analysis.key) | metre.facts(clip.analysis) for clip in catalog.clips
                ]
                print_json({"clips": shown, "failures": failures_of(catalog), "notes": notes_of(kit, catalog)})
            else:
                print_clips(catalog.clips)
            return status
        mixture = Mixture(
            kit.generator,
            catalog.clips,
            recipe,
            seed=arguments.seed,
            vocal=vocals_of(catalog, arguments),
            executor=kit.executor if _in_parallel(recipe, arguments) else None,
        )
        _write_plans(kit, mixture, recipe, arguments.output)
    report = mixture.report
    if arguments.output is not None and arguments.json:
        print_json(
            {
                "plans": path_text(arguments.output),
                "seed": arguments.seed,
                "generator": kit.generator.described(),
                "report": report.to_dict(),
                "failures": failures_of(catalog),
                "notes": notes_of(kit, catalog),
            }
        )
    elif len(recipe.counts) > 1 and not arguments.quiet:
        _say_report(report)
    for condition, reason in report.exhausted.items():
        say(f"{report.drawn[condition]} of the {recipe.counts[condition]} {condition} plans asked for: {reason}")
    missing = report.failure is not None or any(report.drawn[condition] == 0 for condition in recipe.counts)
    return PARTLY if missing else status


def _require_only_listing(arguments: argparse.Namespace) -> None:
    """Raise UsageError if a list is asked for with an option that only drawing plans uses."""
    from mashkit.errors import UsageError

    listing = next((one for one in ("list_clips", "list_conditions") if getattr(arguments, one)), None)
    drawing = ("output", "count", "positives", "negatives", "unlabelled", "negative_shares", "list_conditions")
    for name in drawing:
        if listing is not None and name != listing and getattr(arguments, name) not in (None, False):
            option, other = (f"--{one.replace('_', '-')}" for one in (listing, name))
            raise UsageError(f"{option} with {other}", f"leave out one: {option} prints a list, and draws nothing")


def _recipe(kit: Kit, arguments: argparse.Namespace) -> Recipe:
    """Return the recipe of the arguments, one condition or a mixture, after checking that the generator has them."""
    from mashkit.cli.kits import condition_of
    from mashkit.conditions import UNMATCHED
    from mashkit.errors import UsageError
    from mashkit.generation import Recipe

    mixed = {name: getattr(arguments, name) or 0 for name in ("positives", "negatives", "unlabelled")}
    if arguments.negative_shares is not None and not mixed["negatives"]:
        raise UsageError("--negative-shares without --negatives", "say how many negatives to draw: --negatives N")
    if not any(mixed.values()):
        return Recipe({condition_of(kit, arguments.condition): arguments.count or PLANS})
    if arguments.condition or arguments.count:
        raise UsageError(
            "--condition and --count do not go with --positives, --negatives or --unlabelled",
            "give only one of the two",
        )
    shares = arguments.negative_shares
    recipe = Recipe.for_training(**mixed, shares=None if shares is None else dict(zip(UNMATCHED, shares, strict=True)))
    for condition in recipe.counts:
        kit.generator.require_condition(condition)
    return recipe


def _in_parallel(recipe: Recipe, arguments: argparse.Namespace) -> bool:
    """Return whether to draw in several processes; the plans are the same in any case."""
    return recipe.total >= PARALLEL_FROM if arguments.jobs is None else arguments.jobs > 1


def _write_plans(kit: Kit, mixture: Mixture, recipe: Recipe, output: Path | None) -> None:
    """Write plans while they are drawn: to standard output, or to a file that appears when it is complete."""
    from mashkit.atomicfile import replacing
    from mashkit.hookspecs import StageEvent

    with contextlib.ExitStack() as stack:
        file = sys.stdout
        if output is not None:
            file = stack.enter_context(stack.enter_context(replacing(output)).open("w", encoding="utf-8"))
        for done, plan in enumerate(mixture, 1):
            file.write(f"{plan.to_json()}\n")
            if output is not None and (done % PLANS_A_REPORT == 0 or done == recipe.total):
                event = StageEvent(stage="generate", item=str(output), state="done", done=done, total=recipe.total)
                kit.registry.plugins.hook.mashkit_stage(event=event)


def _say_report(report: Report) -> None:
    for condition, tally in report.tallies.items():
        why = [f"{count} {reason}" for reason, count in [("repeated", tally.repeated), *tally.rejected.most_common()]]
        say(f"{condition}: {report.drawn[condition]} plans of {tally.draws} draws ({'; '.join(why)})")
        for reason, count in report.left_out.get(condition, {}).items():
            say(f"{condition}: {count} clips left out: {reason}")
    if report.chance_share is not None:
        say(f"{100 * report.chance_share:.1f} % of the negatives fit by chance")
