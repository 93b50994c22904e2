"""Add and run the commands of plugins. Plugins are searched only if the command is not one of mashkit's own.

The import must be fast, because the parser needs it; the search for plugins imports attrs and pluggy, but not numpy.
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


def add_plugin_commands(asked: str | None, commands: Commands, *, configured: bool = False) -> RegisteredCommand | None:
    """Add the commands of plugins to the command line; return the requested command if it is a plugin's, else None.

    A plugin's command with the name of an existing command is left out, and `mashkit doctor` reports it. Only the
    requested command is configured, so that an error in another one has no effect. With ``configured`` all commands of
    one distribution each are, except those that raise an error.

    Raises
    ------
    DuplicateComponent
        If two distributions register the requested command.
    UnknownComponent
        If the requested command is not installed, and a plugin of mashkit's own brings it.
    BrokenPlugin
        If the requested command cannot be configured, or the plugin of mashkit's own that brings it cannot be loaded.
    """
    from mashkit.components.fence import plugin_code
    from mashkit.discovery import how_to_install
    from mashkit.errors import BrokenPlugin
    from mashkit.registry import Registry

    registry = Registry()
    own = frozenset(commands.choices)
    chosen = None
    for name, entries in registry.commands().items():
        if name in own:
            continue
        # argparse reads "%" as the beginning of a placeholder, so it is doubled.
        made = add_command(commands, name, entries[0].command.summary.replace("%", "%%"))
        if name == asked:
            chosen = registry.command(name)
            what = f"command {name!r} of {chosen.origin.distribution} failed"
            with plugin_code(what, BrokenPlugin):
                chosen.command.configure(made)
        elif configured and len(entries) == 1:
            with contextlib.suppress(BrokenPlugin), plugin_code(f"command {name!r} failed", BrokenPlugin):
                entries[0].command.configure(made)
    if asked is not None and chosen is None:  # argparse will report an unknown command; a broken plugin may have it
        if how_to_install("command", asked):
            registry.command(asked)  # it raises the error that says what to install
        for one in registry.broken:
            print(f"broken plugin: {one.distribution} ({one.entry_point}): {one.reason}", file=sys.stderr)
    return chosen


def run_plugin_command(registered: RegisteredCommand, arguments: argparse.Namespace) -> int:
    """Run a plugin's command and return its exit status.

    Raises
    ------
    BrokenPlugin
        If the command raises an error that is not for the user, or does not return a status.
    """
    with _harmless(registered):
        return int(registered.command.run(arguments))


@contextlib.contextmanager
def _harmless(registered: RegisteredCommand) -> Iterator[None]:
    """Convert an error of a plugin, unless it is for the user, into an error with the plugin's name and the place."""
    from mashkit.errors import BrokenPlugin, contained

    try:
        yield
    except BrokenPipeError:
        raise
    except Exception as error:
        what = f"command {registered.command.name!r} of {registered.origin.distribution} failed"
        raise contained(error, what, BrokenPlugin) from error
