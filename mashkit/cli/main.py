"""Entry point and arguments of `mashkit`.

Data go to stdout, progress and messages to stderr. What the exit status says is in :mod:`mashkit.cli.status`.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mashkit.cli import bench, db, env, models
from mashkit.cli.actions import (
    Commands,
    add_cache,
    add_command,
    add_components,
    add_database,
    add_excerpts,
    positive,
    whole,
)
from mashkit.cli.plugincommands import add_plugin_commands, run_plugin_command
from mashkit.cli.status import EPILOG, FAILED, INTERRUPTED, WRONG_USAGE

KINDS = ("separator", "analyzer", "stretcher", "scorer", "generator")
"""Kinds of components that a mashup's sound and score come from."""
COMPONENT_KINDS = (*KINDS, "executor")

DEBUG_VARIABLE = "MASHKIT_DEBUG"
"""Environment variable: set to anything, what mashkit did not foresee ends with its traceback."""


def _parser() -> tuple[argparse.ArgumentParser, Commands]:
    """Return the parser, and what adds commands to it."""
    parser = argparse.ArgumentParser(
        prog="mashkit",
        description="Make, study and judge music mashups; every backend can be swapped.",
        epilog=EPILOG,
    )
    parser.add_argument("--version", action="store_true", help="print the version and leave")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    def command(name: str, help_: str, *kinds: str) -> argparse.ArgumentParser:
        made = add_command(commands, name, help_, EPILOG)
        if kinds:
            add_components(made, *kinds)
        return made

    def collection(made: argparse.ArgumentParser, *, from_plans: bool = False) -> None:
        add_database(made)
        add_excerpts(made, from_plans=from_plans)
        add_cache(made)

    def drawing(made: argparse.ArgumentParser, count: int) -> None:
        made.add_argument(
            "--condition", metavar="NAME",
            help="how stems are chosen; default: matched, or the only one the generator knows; "
            "see generate --list-conditions",
        )  # fmt: skip
        made.add_argument("--count", type=positive, default=count, metavar="N", help=f"plans to draw; default: {count}")
        made.add_argument("--seed", type=whole, default=0, help="seed of the draw; default: %(default)s")
        made.add_argument(
            "--vocal",
            metavar="CLIP|FILE",
            help="draw for this vocal only: a clip's (ids: generate --list-clips), or a sound file of a voice alone",
        )
        told = made.add_argument_group("what is known of the voice in --vocal FILE; nothing guesses it")
        told.add_argument("--vocal-key", metavar="KEY", help='"A minor"')
        told.add_argument("--vocal-bpm", metavar="BPM", help="its tempo, the same from beginning to end")
        told.add_argument("--vocal-downbeat", metavar="SECONDS", help="where a bar begins, from its start")

    mash = command("mash", "Make the best mashups of some songs, and a page that plays them.", *COMPONENT_KINDS)
    mash.add_argument("songs", nargs="*", type=Path, help="sound files and folders of them; or give --db")
    mash.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER", help="where the mashups go")
    mash.add_argument("--top", type=positive, metavar="N", help="mashups to keep; default: 3, or what --count draws")
    mash.add_argument(
        "--per-vocal",
        type=positive,
        metavar="N",
        help="at most N that sing of the same song; default: 1, with --vocal FILE all",
    )
    mash.add_argument(
        "--align",
        choices=("beats", "speed"),
        help="let the backing follow the vocal's beats all along (beats), or play it at one speed as the paper does "
        "(speed); default: the generator's, beats for paper",
    )
    mash.add_argument(
        "--phrase-bars",
        type=positive,
        metavar="N",
        help="also try the backing moved by multiples of N bars, and keep the offsets that score best",
    )
    mash.add_argument(
        "--duck", type=float, metavar="DB", help="let the harmonic layer give way to the vocal by so much"
    )
    mash.add_argument(
        "--plain", action="store_true", help="unit gains, no fades, no limiter: as the paper mixes, for benchmarks"
    )
    mash.add_argument(
        "--clicks", action="store_true", help="also write clicks.flac: the mix with a click on every beat of the vocal"
    )
    drawing(mash, 50)
    collection(mash)

    separate = command("separate", "Split songs into stems.", "separator")
    separate.add_argument("songs", nargs="+", type=Path, help="sound files and folders of them")
    separate.add_argument(
        "-o", "--output", type=Path, required=True, metavar="FOLDER", help="one folder a song is made in it"
    )
    separate.add_argument("--roles", action="store_true", help="write vocal, harmonic, percussion instead of the stems")
    separate.add_argument("--seed", type=int, help="seed of the separator, if it has one")

    analyze = command("analyze", "Find key, tuning, tempo, beats and downbeats.", "analyzer")
    analyze.add_argument("songs", nargs="+", type=Path, help="sound files and folders of them")
    analyze.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the analyses there as JSON")
    analyze.add_argument("--seed", type=int, help="seed of the analyzer, if it has one")

    stretch = command("stretch", "Change speed and pitch of a sound file.", "stretcher")
    stretch.add_argument("song", type=Path, help="a sound file")
    stretch.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help=".flac, .wav, .ogg or .mp3")
    stretch.add_argument("--speed", type=float, default=1.0, help="1.25 is a quarter faster; default: %(default)s")
    stretch.add_argument("--semitones", type=float, default=0.0, help="pitch shift; default: %(default)s")
    stretch.add_argument(
        "--time-map",
        type=Path,
        metavar="FILE",
        help='instead of a speed: JSON {"source": [0, …], "target": [0, …]}, which second comes to lie where',
    )
    stretch.add_argument("--seed", type=int, help="seed of the stretcher, if it has one")

    generate = command(
        "generate", "Draw mashup plans, without making any sound.", "separator", "analyzer", "generator", "executor"
    )
    generate.add_argument("songs", nargs="*", type=Path, help="sound files and folders of them; or give --db")
    generate.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the plans there, one JSON a line")
    generate.add_argument("--list-clips", action="store_true", help="list the clips instead of drawing plans")
    drawing(generate, 10)
    generate.add_argument(
        "--list-conditions", action="store_true", help="list what the generator can draw instead of drawing it"
    )
    generate.set_defaults(count=None)  # "not given" is told from the default: a mixture has none
    mixture = generate.add_argument_group("a mixture of conditions, instead of --condition and --count")
    mixture.add_argument("--positives", type=positive, metavar="N", help="original plans")
    mixture.add_argument("--negatives", type=positive, metavar="N", help="unmatched plans, equal thirds of the three")
    mixture.add_argument("--unlabelled", type=positive, metavar="N", help="matched plans")
    mixture.add_argument(
        "--negative-shares", type=float, nargs=3, metavar=("KEY", "TEMPO", "BOTH"),
        help="shares of the negatives unmatched in key, tempo, and both; default: equal",
    )  # fmt: skip
    collection(generate)

    render = command("render", "Make mashups of plans: their mix, stems and record.", *KINDS[:3], "executor")
    render.add_argument(
        "plans", nargs="+", type=Path, metavar="PLAN", help="what `generate` wrote, or a plan.json of `mash`"
    )
    render.add_argument("--songs", nargs="+", type=Path, default=[], help="the songs the plans were drawn from")
    render.add_argument(
        "-o", "--output", type=Path, required=True, metavar="FOLDER", help="one folder a plan is made in it"
    )
    render.add_argument("--clicks", action="store_true", help="also write clicks.flac, as `mash` does")
    render.add_argument("--seed", type=int, help="seed of the stretcher, if it has one")
    collection(render, from_plans=True)

    score = command("score", "Score mashup plans.", *KINDS[:4], "executor")
    score.add_argument("plans", type=Path, help="what `mashkit generate` wrote, or a plan.json of `mashkit mash`")
    score.add_argument("--songs", nargs="+", type=Path, default=[], help="the songs the plans were drawn from")
    score.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the scores there as JSON")
    score.add_argument("--seed", type=int, help="seed of the scorer, if it has one")
    collection(score, from_plans=True)

    new = command("new", "Write a new plugin: a whole distribution with a working example and its contract test.")
    new.add_argument("kind", choices=COMPONENT_KINDS)
    new.add_argument("name", help="of the component: acme makes mashkit-acme")
    new.add_argument(
        "-o", "--output", type=Path, default=Path(), metavar="FOLDER", help="where; default: the current folder"
    )

    listing = "List components: what they are, where from, under which licence, whether they can run here."
    plugins = command("plugins", listing)
    doctor = command("doctor", "Check that everything works here, and say what to do where it does not.")
    doctor.add_argument("--cache", type=Path, metavar="FOLDER", help="cache folder to check")
    for made in (plugins, doctor):
        made.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the list there as JSON")
    bench.add_parser(commands, EPILOG)
    db.add_parser(commands, EPILOG)
    env.add_parser(commands, EPILOG)
    models.add_parser(commands, EPILOG)
    return parser, commands


def own_commands() -> frozenset[str]:
    """Return the names of mashkit's own commands, which no plugin's can have."""
    return frozenset(_parser()[1].choices)


def _expand_homes(arguments: argparse.Namespace) -> None:
    """Put the home folder in the place of "~" at the beginning of every path, of whatever command."""
    from mashkit.arguments import named_path

    for name, value in vars(arguments).items():
        if isinstance(value, Path):
            setattr(arguments, name, named_path(value))
        elif isinstance(value, list):
            setattr(arguments, name, [named_path(one) if isinstance(one, Path) else one for one in value])


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    Standard output is for data, whatever plugins print: see :func:`mashkit.fence.data_on_stdout`.
    """
    from mashkit.errors import ComponentUnavailable, MashkitError, Unforeseen, UsageError, contained
    from mashkit.fence import data_on_stdout

    given = sys.argv[1:] if argv is None else argv
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal that cannot show a character ends no command
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
    except KeyboardInterrupt:
        print(f"mashkit {asked}: interrupted; what was finished is kept", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has left: nobody is there to be told
        return FAILED
    except Exception as error:
        if os.environ.get(DEBUG_VARIABLE):
            raise
        print(f"mashkit {asked}: {contained(error, 'it failed', Unforeseen)}", file=sys.stderr)
        return FAILED


@contextlib.contextmanager
def _told(asked: str | None) -> Iterator[None]:
    """Tell what is noted of plugins in a line of its own, without the place in mashkit's code."""
    from mashkit.errors import PluginWarning

    with warnings.catch_warnings():
        shown = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *rest: Any) -> None:
            if issubclass(category, PluginWarning):
                print(f"mashkit {asked}: {message}", file=sys.stderr)
            else:
                shown(message, category, *rest)

        warnings.showwarning = show  # type: ignore[assignment]  # the rest is passed on
        warnings.simplefilter("always", PluginWarning)
        yield


def _run(given: Sequence[str], asked: str | None) -> int:
    parser, commands = _parser()
    added = None
    if asked not in commands.choices and "--version" not in given:
        added = add_plugin_commands(asked, commands, EPILOG)
    arguments = parser.parse_args(given)
    _expand_homes(arguments)
    if arguments.version:
        import importlib.metadata

        print(f"mashkit {importlib.metadata.version('mashkit')}")
        return 0
    if arguments.command is None:
        parser.print_help(sys.stderr)
        return WRONG_USAGE
    if added is not None:
        return run_plugin_command(added, arguments)
    from mashkit.cli import commands as handlers

    return int(getattr(handlers, arguments.command)(arguments))
