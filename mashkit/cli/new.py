"""`mashkit new`: write the files of a new plugin."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from mashkit.cli.actions import COMPONENT_KINDS, Commands, add_command
from mashkit.cli.console import printed, say
from mashkit.cli.status import DONE


def add_parser(commands: Commands) -> None:
    """Add `new` to the command line."""
    new = add_command(
        commands, "new", "Write a new plugin: a whole distribution with a working example and its contract test.", run
    )
    new.add_argument("kind", choices=COMPONENT_KINDS)
    new.add_argument("name", help="name of the component; acme makes mashkit-acme")
    new.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path(),
        metavar="FOLDER",
        help="folder in which it is made; default: the current folder",
    )


def run(arguments: argparse.Namespace) -> int:
    """Write a new plugin."""
    from mashkit.paths import path_text
    from mashkit.scaffold import new_plugin

    folder = new_plugin(arguments.kind, arguments.name, arguments.output)
    written = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    if not printed({"folder": path_text(folder), "files": written}, arguments):
        print("\n".join(str(folder / name) for name in written))
        say(f"next: pip install -e {shlex.quote(f'{folder}[dev]')} && python -m pytest {shlex.quote(str(folder))}")
    return DONE
