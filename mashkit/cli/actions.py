"""Add commands and their common arguments to the parser, also commands with actions, such as `mashkit models pull`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from mashkit.cli.status import EPILOG

RENDERING_KINDS = ("separator", "analyzer", "stretcher")
"""Kinds of components that determine the sound of a plan."""
SCORING_KINDS = (*RENDERING_KINDS, "scorer")
"""Kinds of components that determine the score of a plan."""
MASHUP_KINDS = (*SCORING_KINDS, "generator")
"""Kinds of components that determine a mashup's sound and score."""
COMPONENT_KINDS = (*MASHUP_KINDS, "executor")
"""All kinds, as in :data:`mashkit.components.KINDS`, which would import attrs before every help text."""


class Parser(argparse.ArgumentParser):
    """A parser for which ``type=Path`` is a path as a user gives it: not empty, and with "~" for the home folder."""

    def __init__(self, *arguments: Any, **given: Any) -> None:
        super().__init__(*arguments, **given)
        self.register("type", Path, _path)


def _path(text: str) -> Path:
    from mashkit.arguments import named_path

    if not text:
        # Path("") is the current folder.
        raise argparse.ArgumentTypeError("an empty name: name a file or a folder (is a variable of the shell empty?)")
    return named_path(text)


Run = Callable[[argparse.Namespace], int]
"""The function of a command: it gets the arguments and returns the exit status."""


class Commands(Protocol):
    """The used part of the result of argparse's add_subparsers."""

    @property
    def choices(self) -> Mapping[str, Any]:
        """Name → command, for all commands."""

    def add_parser(self, name: str, **arguments: Any) -> argparse.ArgumentParser:
        """Add a command and return its parser."""


def add_command(
    commands: Commands, name: str, summary: str, run: Run | None = None, **given: Any
) -> argparse.ArgumentParser:
    """Add the command ``name`` with --json and --quiet; its function is stored in ``arguments.run``."""
    made = commands.add_parser(name, help=summary.replace("%", "%%"), description=summary, epilog=EPILOG, **given)
    add_telling(made)
    if run is not None:
        made.set_defaults(run=run)
    return made


def add_telling(made: argparse.ArgumentParser, default: bool | str = False) -> None:
    """Add --json and --quiet.

    An action of a command that has these options needs argparse.SUPPRESS as ``default``, because its own default would
    overwrite the command's options.
    """
    made.add_argument("--json", action="store_true", default=default, help="print data as JSON on standard output")
    made.add_argument("--quiet", action="store_true", default=default, help="print no progress")


def add_actions(commands: Commands, name: str, summary: str) -> Callable[[str, str, Run], argparse.ArgumentParser]:
    """Add the command ``name``; return a function that adds an action, from the action's name, help and function.

    Each action has --json and --quiet.
    """
    actions = commands.add_parser(name, help=summary, description=summary, epilog=EPILOG).add_subparsers(
        dest="action", metavar="ACTION", required=True
    )

    def action(name: str, help_: str, run: Run) -> argparse.ArgumentParser:
        return add_command(actions, name, help_, run)

    return action


def key_name(text: str) -> str:
    """Return the name of a key as it was given (argparse's ``type``)."""
    from mashkit.errors import AnalysisError
    from mashkit.types import Key

    try:
        Key.parse(text)
    except AnalysisError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def positive(text: str) -> int:
    """Read a whole number of 1 or more (argparse's ``type``)."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number of 1 or more")
    return value


def whole(text: str) -> int:
    """Read a whole number of 0 or more (argparse's ``type``)."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number of 0 or more")
    return value


def port(text: str) -> int:
    """Read the number of a port; 0 is any that is free (argparse's ``type``)."""
    value = whole(text)
    if value > 65_535:
        raise argparse.ArgumentTypeError(f"{text} is not a port: they go from 0 to 65535")
    return value


def add_components(made: argparse.ArgumentParser, *kinds: str) -> None:
    """Let a command choose components of these kinds, and their options."""
    for kind in kinds:
        made.add_argument(f"--{kind}", metavar="NAME", help=f"{kind} to use; see `mashkit plugins`")
    made.add_argument(
        "-O", dest="options", action="append", default=[], metavar="KIND.OPTION=VALUE",
        help="set an option of a component, e.g. -O stretcher.cheaper=true; repeatable",
    )  # fmt: skip
    made.add_argument(
        "--licences", choices=("any", "permissive"),
        help="refuse components whose code or weights do not allow any use, and name others that do; default: any",
    )  # fmt: skip
    made.add_argument(
        "--preset",
        choices=("permissive",),
        help="use the components of this set unless you name others, and its --licences",
    )


def add_excerpts(made: argparse.ArgumentParser, *, from_plans: bool = False) -> None:
    """Let a command choose which parts of songs become clips, and how many processes make them.

    Parameters
    ----------
    made : ArgumentParser
    from_plans : bool
        Whether the command takes plans. A plan names its songs, so both files of one recording must stay songs.
    """
    made.add_argument("--clips-per-song", type=positive, metavar="N", help="default: 2")
    made.add_argument(
        "--clip-length", type=float, metavar="SECONDS",
        help="length of the excerpt from which a clip is cut, on downbeats; default: 60.0",
    )  # fmt: skip
    made.add_argument("--jobs", type=positive, metavar="N", help="number of processes; default: one for each core")
    made.add_argument(
        "--same-recording", choices=("once", "separate"), default="separate" if from_plans else None,
        help="songs that are one recording in two files: use one of them (once), or use each as a separate song "
        "(separate); default: " + ("separate" if from_plans else "once, or the choice that the database has stored"),
    )  # fmt: skip


def add_cache(made: argparse.ArgumentParser) -> None:
    """Let a command choose the folder of computed stems and analyses."""
    made.add_argument("--cache", type=Path, metavar="FOLDER", help="folder for computed stems and analyses")


def add_dry_run(made: argparse.ArgumentParser, listed: str = "list the songs that would be read") -> None:
    """Add --dry-run, for commands that run long; ``listed`` is what the command then prints."""
    made.add_argument("--dry-run", action="store_true", help=f"check everything, {listed}, and do nothing")


DB_VARIABLE = "MASHKIT_DB"
"""Environment variable: the database to use if --db is not given."""


def add_database(made: argparse.ArgumentParser) -> None:
    """Let a command name a database of clips."""
    made.add_argument(
        "--db", type=Path, metavar="FOLDER", help=f"a database of clips; default: environment {DB_VARIABLE}"
    )


def add_collection(made: argparse.ArgumentParser, *, from_plans: bool = False) -> None:
    """Let a command get its clips from songs or from a database; ``from_plans`` as in :func:`add_excerpts`."""
    add_database(made)
    add_excerpts(made, from_plans=from_plans)
    add_cache(made)


def add_drawing(made: argparse.ArgumentParser, count: int) -> None:
    """Let a command choose how plans are drawn; by default ``count`` plans."""
    made.add_argument(
        "--condition", metavar="NAME",
        help="how stems are chosen; default: matched, or the generator's only condition; "
        "see generate --list-conditions",
    )  # fmt: skip
    made.add_argument("--count", type=positive, default=count, metavar="N", help=f"plans to draw; default: {count}")
    made.add_argument("--seed", type=whole, default=0, help="seed of the draw; default: %(default)s")
    made.add_argument(
        "--vocal",
        metavar="CLIP|FILE",
        help="draw for this vocal only: of a clip (ids: generate --list-clips), of all clips of a song (its title or "
        "file), or a sound file of a voice alone",
    )
    told = made.add_argument_group(
        "facts about the voice in --vocal FILE, because they cannot be found from a voice alone"
    )
    told.add_argument("--vocal-key", type=key_name, metavar="KEY", help='"A minor"')
    told.add_argument("--vocal-bpm", metavar="BPM", help="its tempo, which must be constant")
    told.add_argument(
        "--vocal-downbeat", metavar="SECONDS", help="a time at which a bar begins, from the start of the file"
    )
