"""Add and run the commands of plugins. Plugins are searched only if the command is not one of mashkit's own.

The import must be fast, because the parser needs it; the search for plugins imports attrs and pluggy, but not numpy.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from mashkit.cli.actions import Commands, add_command

if TYPE_CHECKING:
    from mashkit.discovery import RegisteredCommand
    from mashkit.hookspecs import Command


def add_plugin_commands(asked: str | None, given: Sequence[str], commands: Commands) -> RegisteredCommand | None:
    """Add the commands of plugins to the command line; return the requested command if it is a plugin's, else None.

    A plugin's command with the name of an existing command is left out, and `mashkit doctor` reports it. Only the
    requested command is configured, so that an error in another one has no effect.

    Parameters
    ----------
    asked : str or None
        The word after `mashkit`.
    given : sequence of str
        All arguments. Their options choose the command if several share the word.
    commands : Commands

    Raises
    ------
    UsageError
        If several commands share the word, and not exactly one of their options is given.
    DuplicateComponent
        If two distributions register the requested command.
    UnknownComponent
        If the requested command is not installed, and a plugin of mashkit's own brings it.
    BrokenPlugin
        If the requested command cannot be configured, or the plugin of mashkit's own that brings it cannot be loaded.
    SystemExit
        After the help of all commands that share the word.
    """
    from mashkit.discovery import how_to_install
    from mashkit.registry import Registry

    registry = Registry()
    own = frozenset(commands.choices)
    entries = [one for some in registry.commands().values() for one in some[:1] if one.command.word not in own]
    if asked is None:
        chosen = None
    else:
        sharing = [one for one in entries if one.command.name.startswith(f"{asked} ")]
        name = _name(asked, given, [one.command for one in sharing])
        if name == asked and sharing:  # help is asked for
            print("\n".join(_configured(one, commands).format_help() for one in sharing))
            raise SystemExit(0)
        # It raises the error that says what to install. argparse reports an unknown name.
        known = name in registry.commands() or how_to_install("command", name)
        chosen = registry.command(name) if known else None
    for one in entries:
        if chosen is None or one.command.name != chosen.command.name:
            add_command(commands, one.command.name, one.command.summary)
    if chosen is not None:
        _configured(chosen, commands, chosen.command.word)
    elif asked is not None:  # a broken plugin may have it
        for broken in registry.broken:
            print(f"broken plugin: {broken.distribution} ({broken.entry_point}): {broken.reason}", file=sys.stderr)
    return chosen


def add_all_plugin_commands(commands: Commands) -> None:
    """Add every command of one distribution, configured, except those that raise an error.

    Commands that share a word become one, with the options of all of them.
    """
    from mashkit.components.fence import plugin_code
    from mashkit.errors import BrokenPlugin
    from mashkit.registry import Registry

    own = frozenset(commands.choices)
    for name, entries in Registry().commands().items():
        word = entries[0].command.word
        if word in own or len(entries) > 1:
            continue
        made = commands.choices.get(word) or add_command(
            commands, word, entries[0].command.summary, conflict_handler="resolve"
        )
        with contextlib.suppress(BrokenPlugin), plugin_code(f"command {name!r} failed", BrokenPlugin):
            entries[0].command.configure(made)


def _name(asked: str, given: Sequence[str], sharing: Sequence[Command]) -> str:
    """Return the name of the requested command: the word, with an option if several commands share the word.

    It is the word alone, too, if help on all of them is asked for.
    """
    from mashkit.discovery import published
    from mashkit.errors import UsageError

    names = {one.name: f" to {one.summary[:1].lower()}{one.summary[1:].rstrip('.')}" for one in sharing}
    names = dict.fromkeys((one for one in published()["command"] if one.startswith(f"{asked} ")), "") | names
    options = {name.partition(" ")[2]: said for name, said in names.items()}
    chosen = [option for option in options if any(one.partition("=")[0] == option for one in given)]
    if len(chosen) == 1:
        return f"{asked} {chosen[0]}"
    if not options or (not chosen and {"-h", "--help"} & set(given)):
        return asked
    raise UsageError(
        f"{' and '.join(chosen)} are given" if chosen else f"neither {' nor '.join(options)} is given",
        f"give one: {', or '.join(option + said for option, said in options.items())}",
    )


def _configured(one: RegisteredCommand, commands: Commands, name: str = "") -> argparse.ArgumentParser:
    """Add a command with its arguments, under its own or another name, and return its parser."""
    from mashkit.components.fence import plugin_code
    from mashkit.errors import BrokenPlugin

    command = one.command
    made = add_command(commands, name or command.name, command.summary, prog=f"mashkit {command.word}")
    with plugin_code(f"command {command.name!r} of {one.origin.distribution} failed", BrokenPlugin):
        command.configure(made)
    return made


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
