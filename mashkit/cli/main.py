"""Run the command line: parse the arguments, run the command, and convert errors to messages and exit statuses.

Data go to stdout, progress and messages to stderr. :mod:`mashkit.cli.status` has the exit statuses.
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import io
import os
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mashkit.cli.parser import build
from mashkit.cli.plugincommands import add_plugin_commands, run_plugin_command
from mashkit.cli.status import FAILED, WRONG_USAGE

DEBUG_VARIABLE = "MASHKIT_DEBUG"
"""Environment variable: if it is set to any value, an unforeseen error ends the program with its traceback."""


def _add_settings(arguments: argparse.Namespace) -> None:
    """Take cache and quiet from the user's settings if they are not arguments; kits.py reads the other settings."""
    from mashkit.cli import settings

    if getattr(arguments, "cache", "") is None and (cache := settings.default("cache")) is not None:
        arguments.cache = Path(cache)
    if getattr(arguments, "quiet", True) is False:
        arguments.quiet = bool(settings.default("quiet"))


def _end_by(numbers: Sequence[int]) -> None:
    """End the program by the signal that ended the command, if any, so that whoever sent it sees this."""
    for number in numbers:
        signal.raise_signal(number)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    Standard output is only for data; the output of plugins goes to standard error: see
    :func:`mashkit.components.fence.data_on_stdout`.
    """
    from mashkit.components.fence import data_on_stdout, ending_signal
    from mashkit.errors import ComponentUnavailable, MashkitError, Unforeseen, UsageError, contained

    given = sys.argv[1:] if argv is None else argv
    ended_by: list[int] = []
    if argv is None:
        # Registered first, it is called last, after all that plugins and mashkit do when the interpreter exits.
        atexit.register(_end_by, ended_by)
    if isinstance(sys.stdout, io.TextIOWrapper):  # a character that the terminal cannot show must not end the command
        sys.stdout.reconfigure(errors="backslashreplace")
    asked = next((one for one in given if not one.startswith("-")), None)
    try:
        with data_on_stdout(for_good=argv is None), _told(asked):
            return _run(given, asked)
    except (UsageError, ComponentUnavailable) as error:
        print(f"mashkit {asked}: {error}", file=sys.stderr)
        return WRONG_USAGE
    except MashkitError as error:
        print(f"mashkit {asked}: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt as error:
        number = ending_signal(error)
        if number != signal.SIGINT and argv is not None:
            raise  # a command within a command: the outer one ends by the signal
        how = "interrupted" if number == signal.SIGINT else f"ended by {signal.Signals(number).name}"
        with contextlib.suppress(OSError):  # the terminal may be gone
            print(f"mashkit {asked}: {how}; finished results are kept", file=sys.stderr, flush=True)
        if number != signal.SIGINT:
            ended_by.append(number)
        return 128 + number  # INTERRUPTED for Ctrl-C: the status that shells report
    except BrokenPipeError:
        sys.stderr.close()  # the reader of the output has closed it, so no message is printed
        return FAILED
    except Exception as error:
        if os.environ.get(DEBUG_VARIABLE):
            raise
        print(f"mashkit {asked}: {contained(error, 'it failed', Unforeseen)}", file=sys.stderr)
        return FAILED


@contextlib.contextmanager
def _told(asked: str | None) -> Iterator[None]:
    """Print each warning about a plugin in one line, without the place in mashkit's code."""
    from mashkit.errors import PluginWarning

    with warnings.catch_warnings():
        shown = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *rest: Any) -> None:
            if issubclass(category, PluginWarning):
                print(f"mashkit {asked}: {message}", file=sys.stderr)
            else:
                shown(message, category, *rest)

        warnings.showwarning = show  # type: ignore[assignment]  # show() passes all arguments on
        warnings.simplefilter("always", PluginWarning)
        yield


def _run(given: Sequence[str], asked: str | None) -> int:
    parser, commands = build()
    added = None
    if asked not in commands.choices and "--version" not in given:
        added = add_plugin_commands(asked, given, commands)
    arguments, left = parser.parse_known_args(given)
    if left:
        # The command's own parser says it, so that the usage that is printed is the command's.
        commands.choices.get(arguments.command or "", parser).error(f"unrecognized arguments: {' '.join(left)}")
    if arguments.command != "config":
        _add_settings(arguments)
    if arguments.version:
        import importlib.metadata

        print(f"mashkit {importlib.metadata.version('mashkit')}")
        return 0
    if arguments.command is None:
        parser.print_help(sys.stderr)
        return WRONG_USAGE
    if added is not None:
        return run_plugin_command(added, arguments)
    return int(arguments.run(arguments))
