"""`mashkit completion`: a script that completes mashkit's commands and options in a shell."""

from __future__ import annotations

import argparse

from mashkit.cli.actions import Commands, add_command
from mashkit.cli.status import DONE

SHELLS = ("bash", "zsh")


def add_parser(commands: Commands) -> None:
    """Add `completion` to the command line."""
    completion = add_command(
        commands,
        "completion",
        'Print the code by which a shell completes commands, options and files: eval "$(mashkit completion bash)".',
        run,
    )
    completion.add_argument("shell", choices=SHELLS)


def run(arguments: argparse.Namespace) -> int:
    """Print the script."""
    from mashkit.cli.console import print_json
    from mashkit.cli.parser import build
    from mashkit.cli.plugincommands import add_all_plugin_commands
    from mashkit.errors import ComponentUnavailable

    try:
        import shtab
    except ImportError as error:
        raise ComponentUnavailable(
            "shtab, which writes the completion, is not installed", "pip install 'mashkit[completion]'"
        ) from error
    parser, commands = build()
    add_all_plugin_commands(commands)
    script = shtab.complete(parser, shell=arguments.shell)
    if arguments.json:
        print_json({"shell": arguments.shell, "script": script})
    else:
        print(script)
    return DONE
