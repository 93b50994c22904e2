"""Build the parser of mashkit's own commands. Each command has its own file, and imports slow modules when it runs."""

from __future__ import annotations

import argparse

from mashkit.cli import (
    analyze,
    audition,
    bench,
    completion,
    config,
    db,
    doctor,
    env,
    generate,
    listen,
    mash,
    models,
    new,
    plugins,
    render,
    score,
    separate,
    stretch,
    tag,
)
from mashkit.cli.actions import Commands, Parser
from mashkit.cli.status import EPILOG

COMMANDS = (
    *(mash, separate, analyze, stretch, generate, render, score, tag, listen, audition),
    *(new, plugins, doctor, bench, db, env, models, config, completion),
)


def build() -> tuple[argparse.ArgumentParser, Commands]:
    """Return the parser, and the object with which commands are added to it."""
    parser = Parser(
        prog="mashkit",
        description="Make, study and judge music mashups; every backend can be swapped.",
        epilog=EPILOG,
    )
    parser.add_argument("--version", action="store_true", help="print the version and leave")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for one in COMMANDS:
        one.add_parser(commands)
    return parser, commands


def own_commands() -> frozenset[str]:
    """Return the names of mashkit's own commands; a plugin's command cannot have one of them."""
    return frozenset(build()[1].choices)
