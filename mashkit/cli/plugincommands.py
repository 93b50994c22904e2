"""Commands that plugins add: found when the command line asks for none of mashkit's own, told apart, and kept harmless.

Light on import, like all that builds the parser; finding plugins brings attrs and pluggy, and no numpy.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mashkit.cli.actions import Commands, add_command

if TYPE_CHECKING:
    from mashkit.discovery import RegisteredCommand


def add_plugin_commands(asked: str | None, commands: Commands, epilog: str) -> RegisteredCommand | None:
    """Add the commands of plugins to the command line; return the one that is asked for, if it is one of them.

    One that has the name of a command there is already is left out: `mashkit doctor` tells of it. Only the one asked
    for is configured, so that no other can do harm.

    Raises
    ------
    DuplicateComponent
        If two distributions register the one that is asked for.
    BrokenPlugin
        If it cannot be configured.
    """
    from mashkit.errors import BrokenPlugin
    from mashkit.fence import plugin_code
    from mashkit.registry import Registry

    registry = Registry()
    own = frozenset(commands.choices)
    chosen = None
    for name, entries in registry.commands().items():
        if name in own:
            continue
        # To argparse a per cent sign begins a placeholder.
        made = add_command(commands, name, entries[0].command.summary.replace("%", "%%"), epilog)
        if name == asked:
            chosen = registry.command(name)
            what = f"command {name!r} of {chosen.origin.distribution} failed"
            with plugin_code(what, BrokenPlugin):
                chosen.command.configure(made)
    if asked is not None and chosen is None:  # argparse is about to say that there is no such command
        for one in registry.broken:
            print(f"broken plugin: {one.distribution} ({one.entry_point}): {one.reason}", file=sys.stderr)
    return chosen


def run_plugin_command(registered: RegisteredCommand, arguments: argparse.Namespace) -> int:
    """Run a plugin's command and return its exit status.

    Raises
    ------
    BrokenPlugin
        If it raises what is not meant for the user, or returns no status.
    """
    with _harmless(registered):
        return int(registered.command.run(arguments))


@contextlib.contextmanager
def _harmless(registered: RegisteredCommand) -> Iterator[None]:
    """Turn what a plugin raises, unless it is meant for the user, into an error that names plugin and place."""
    from mashkit.errors import BrokenPlugin, contained

    try:
        yield
    except BrokenPipeError:
        raise
    except Exception as error:
        what = f"command {registered.command.name!r} of {registered.origin.distribution} failed"
        raise contained(error, what, BrokenPlugin) from error
