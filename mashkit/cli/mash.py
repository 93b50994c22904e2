"""`mashkit mash`: make the best mashups of some songs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mashkit.cli.actions import (
    COMPONENT_KINDS,
    MASHUP_KINDS,
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
from mashkit.numbers import column_format

if TYPE_CHECKING:
    from mashkit.errors import MashkitError
    from mashkit.mashup import Mashup
    from mashkit.pipeline import Kit

SUMMARY = "Make the best mashups of some songs, and a page that plays them."
TOP = 3
"""Number of mashups that `mash` keeps by default."""
MADE_OF = "mashkit mash"
"""Name of the set of files in the output folder."""


def add_parser(commands: Commands) -> None:
    """Add `mash` to the command line."""
    mash = add_command(commands, "mash", SUMMARY, run)
    add_components(mash, *COMPONENT_KINDS)
    mash.add_argument("songs", nargs="*", type=Path, help="sound files and folders of them; or give --db")
    mash.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER", help="folder for the mashups")
    mash.add_argument(
        "--top",
        type=positive,
        metavar="N",
        help="number of mashups to write, the best ones; default: 3, or --count if less",
    )
    mash.add_argument(
        "--per-vocal",
        type=positive,
        metavar="N",
        help="at most N mashups with a vocal of the same song; default: 1, or all with --vocal FILE",
    )
    mash.add_argument(
        "--align",
        choices=("beats", "speed"),
        help="make the backing follow each beat of the vocal (beats), or play it at one speed as the paper does "
        "(speed); default: the generator's, beats for paper",
    )
    mash.add_argument(
        "--phrase-bars",
        type=positive,
        metavar="N",
        help="also try the backing moved by multiples of N bars, and keep the offsets that score best",
    )
    mash.add_argument(
        "--duck", type=float, metavar="DB", help="lower the harmonic layer by DB decibels while the vocal sounds"
    )
    mash.add_argument(
        "--plain", action="store_true", help="unit gains, no fades, no limiter: as the paper mixes, for benchmarks"
    )
    mash.add_argument(
        "--clicks", action="store_true", help="also write clicks.flac: the mix with a click on every beat of the vocal"
    )
    add_dry_run(mash)
    add_drawing(mash, 50)
    add_collection(mash)


def run(arguments: argparse.Namespace) -> int:
    """Make the best mashups of some songs."""
    from mashkit.atomicfile import write_json, write_text
    from mashkit.cli.collection import catalog_of, failures_of, generated, is_file, notes_of, provenance_of
    from mashkit.cli.kits import condition_of, kinds_run, require_downbeats
    from mashkit.cli.progress import ProgressListener
    from mashkit.cli.saving import page_of, save_mashups, saved_files
    from mashkit.errors import UsageError
    from mashkit.products import OutputSet
    from mashkit.rendering.output import environment
    from mashkit.types import Role

    if arguments.top is None:
        arguments.top = min(TOP, arguments.count)
    if arguments.top > arguments.count:
        raise UsageError(
            f"--top {arguments.top} is more than --count {arguments.count}", "give at least as many plans as mashups"
        )
    names = ["index.html", "scores.json", *saved_files(arguments.top, clicks=arguments.clicks)]
    if arguments.dry_run:
        OutputSet.require_possible(arguments.output, made_of=MADE_OF, names=names)
        return _dry_run(arguments)
    arguments.options = [*_plan_options(arguments), *arguments.options]
    kit = _required(arguments)
    condition = condition_of(kit, arguments.condition)
    require_downbeats(kit, arguments, [condition])
    output = OutputSet(arguments.output, made_of=MADE_OF, names=names)
    unscored: list[dict[str, str]] = []

    def failed(mashup: Mashup, error: MashkitError) -> None:
        unscored.append({"plan": mashup.plan.id, "error": str(error)})

    with ProgressListener(kit.registry, quiet=arguments.quiet), output:
        catalog = catalog_of(kit, arguments, arguments.songs)
        mashups = generated(kit, catalog, condition, arguments)
        if arguments.phrase_bars:
            mashups = kit.best_variants(mashups)
        alone = arguments.vocal is not None and is_file(arguments.vocal)
        per_vocal = arguments.per_vocal or (None if alone else 1)
        best = kit.rank(mashups, top=arguments.top, per_vocal=per_vocal, failed=failed)
        saved = save_mashups(kit, best, output, clicks=arguments.clicks)
        failures = [*failures_of(catalog), *unscored, *saved.failures]
        short = _shortfall(arguments, mashups, len(best), per_vocal)
        notes = [*notes_of(kit, catalog), *short]
        components = {kind: getattr(kit, kind).described() for kind in kinds_run(arguments, MASHUP_KINDS)}
        result = {
            "mashups": saved.records,
            "drawn": len(mashups),
            "failures": failures,
            "notes": notes,
            "components": components,
            "provenance": provenance_of(catalog, [one.mashup.plan for one in saved.ranked]),
            "environment": environment(),
        }
        write_json(output.staging / "scores.json", result)
        write_text(output.staging / "index.html", page_of(saved, failures, notes, components, arguments))
    if arguments.json:
        print_json(result)
    else:
        form = column_format([one.score.value for one in saved.ranked], 3)
        print_table(
            ("rank", "score", "vocal", "harmonic", "percussion", "seconds", "folder"),
            [
                (one.rank, f"{one.score.value:{form}}", *(one.mashup.clips[role].title for role in Role),
                 f"{one.mashup.plan.duration_s:.1f}", record["folder"])
                for one, record in zip(saved.ranked, saved.records, strict=True)
            ],
        )  # fmt: skip
        say(f"listen: {arguments.output / 'index.html'}")
    for note in short:
        say(note)
    return PARTLY if failures else DONE


def _shortfall(arguments: argparse.Namespace, mashups: Sequence[Mashup], kept: int, per_vocal: int | None) -> list[str]:
    """Return notes on plans and mashups that were asked for and do not exist."""
    notes = []
    if len(mashups) < arguments.count:
        notes.append(f"{len(mashups)} of the {arguments.count} plans asked for were drawn: no more were found")
    if kept < arguments.top:
        left_out = len({one.plan.id for one in mashups}) - kept
        more = "--per-vocal" if per_vocal is not None and left_out else "more songs"
        why = (
            f"; {left_out} more were drawn, but their vocals are of the same songs, or they could not be scored"
            if left_out
            else ""
        )
        notes.append(f"only {kept} of the {arguments.top} mashups asked for exist{why}; {more} would give more")
    return notes


def _dry_run(arguments: argparse.Namespace) -> int:
    """Check the arguments and components, and print the songs."""
    from mashkit.cli.collection import say_what_would_be_made
    from mashkit.cli.kits import condition_of, kinds_run, require_downbeats

    arguments.options = [*_plan_options(arguments), *arguments.options]
    kit = _required(arguments)
    require_downbeats(kit, arguments, [condition_of(kit, arguments.condition)])
    kinds = kinds_run(arguments, MASHUP_KINDS)
    return say_what_would_be_made(kit, arguments.songs, kinds, arguments.count, arguments)


def _required(arguments: argparse.Namespace) -> Kit:
    """Return the kit, after a check of the components that run."""
    from mashkit.cli.kits import kinds_for_songs, kinds_run, kit_of, require

    kinds = (*kinds_run(arguments, MASHUP_KINDS), *kinds_for_songs(arguments))
    return require(kit_of(arguments), arguments, *kinds)


def _plan_options(arguments: argparse.Namespace) -> list[str]:
    """Return the flags that are plan options in the form of -O; a -O of the same name overrides a flag.

    Raises
    ------
    UsageError
        If the generator has no such option; the fix lists the options that it has.
    """
    from mashkit.cli.kits import kit_of, require
    from mashkit.errors import UsageError
    from mashkit.interfaces.generator import PLAN_OPTIONS

    asked = {name: value for name in PLAN_OPTIONS if (value := getattr(arguments, name)) is not None}
    if asked:
        generator = require(kit_of(arguments), arguments, "generator").generator
        flags = {name: f"--{name.replace('_', '-')}" for name in PLAN_OPTIONS}
        for name, value in asked.items():
            if name not in generator.plan_options:
                taken = [flags[one] for one in generator.plan_options] or [f"none of {', '.join(flags.values())}"]
                raise UsageError(
                    f"{flags[name]} {value}: generator {generator.info.name!r} has no such option",
                    f"it has {' and '.join(taken)}; leave it out, or choose another generator",
                )
    return [f"generator.{name}={value}" for name, value in asked.items()]
