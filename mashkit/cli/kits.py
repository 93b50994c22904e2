"""The kit, and options of its components, that a command's arguments describe."""

from __future__ import annotations

import argparse
import difflib
import json
from pathlib import Path
from typing import Any

from mashkit.atomicfile import require_writable_folder
from mashkit.catalog.excerpts import LONGEST_S, SHORTEST_S, ExcerptPolicy
from mashkit.cli.actions import COMPONENT_KINDS
from mashkit.cli.console import say
from mashkit.errors import OutputError, PlanError, UsageError
from mashkit.pipeline import Kit
from mashkit.types import Condition, Finish


def _value(text: str) -> Any:
    """Read an option's value as JSON ("true", "0.5", "[1, 2]"), else as the text it is."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def kit_of(arguments: argparse.Namespace) -> Kit:
    """Return the kit the arguments ask for; what they leave open is the library's default."""
    chosen = {kind: name for kind in COMPONENT_KINDS if (name := getattr(arguments, kind, None)) is not None}
    jobs = getattr(arguments, "jobs", None)
    options = {kind: values for kind, values in options_of(arguments).items() if kind in COMPONENT_KINDS}
    if jobs is not None:
        options["executor"] = {"jobs": jobs, **options.get("executor", {})}
    return Kit(**chosen, options=options, finish=_finish(arguments))


def _finish(arguments: argparse.Namespace) -> Finish:
    """Return what the arguments ask to be done to every plan, whatever draws it."""
    duck = getattr(arguments, "duck", None)
    try:
        return Finish(duck_db=duck, plain=getattr(arguments, "plain", False))
    except PlanError as error:
        raise UsageError(f"--duck {duck:g}", "give decibels, 0 or more") from error


def condition_of(kit: Kit, asked: str | None) -> Condition:
    """Return the condition asked for; by default matched, or the only one that the generator knows."""
    known = kit.generator.conditions
    by_default = next(iter(known)) if len(known) == 1 else Condition.MATCHED
    return kit.generator.require_condition(by_default if asked is None else asked)


def require(kit: Kit, arguments: argparse.Namespace, *kinds: str) -> Kit:
    """Find what is wrong with the components a command needs, or is told of, before it touches the first song."""
    told = {kind for kind in COMPONENT_KINDS if getattr(arguments, kind, None) is not None}
    kit.require(*kinds, *told, *(set(options_of(arguments)) & set(COMPONENT_KINDS)))
    return kit


def kinds_for_songs(arguments: argparse.Namespace) -> tuple[str, ...]:
    """Return the kinds of components that songs need, and a database does not."""
    return ("separator", "analyzer", "executor") if arguments.songs else ()


def options_of(arguments: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Return what -O sets: of components and, where the command has one, of the protocol."""
    kinds = [kind for kind in (*COMPONENT_KINDS, "protocol") if hasattr(arguments, kind)]
    options: dict[str, dict[str, Any]] = {}
    for text in arguments.options:
        target, equals, value = text.partition("=")
        kind, dot, option = target.partition(".")
        if not (equals and dot and option):
            raise UsageError(f"-O {text}", "write it like -O stretcher.cheaper=true")
        if kind not in kinds:
            near = difflib.get_close_matches(kind, kinds, n=1)
            raise UsageError(
                f"-O {text}: this command uses no {kind!r}",
                f"{f'did you mean {near[0]}.{option}? ' if near else ''}it uses: {', '.join(kinds)}",
            )
        options.setdefault(kind, {})[option] = _value(value)
    return options


def seeded_kit(arguments: argparse.Namespace, kind: str) -> Kit:
    """Return the kit with --seed given to the component of ``kind``; say so when that one leaves nothing to chance."""
    kit = require(kit_of(arguments), arguments, kind)
    if arguments.seed is None:
        return kit
    if "seed" not in getattr(kit, kind).options():
        say(f"{kind} {kit.chosen[kind]!r} leaves nothing to chance: --seed changes nothing")
        return kit
    arguments.options.append(f"{kind}.seed={arguments.seed}")
    return require(kit_of(arguments), arguments, kind)


def require_output(path: Path | None) -> None:
    """Prove that a file can be written, if one is asked for: better to know before the work than after."""
    if path is not None:
        if path.is_dir():
            raise OutputError(f"cannot write {path}: it is a folder", "name a file with -o")
        require_writable_folder(path.parent)


def policy_of(arguments: argparse.Namespace) -> ExcerptPolicy:
    """Return which parts of songs become clips."""
    try:
        return ExcerptPolicy(per_song=arguments.clips_per_song, length_s=arguments.clip_length)
    except ValueError as error:
        raise UsageError(
            f"--clip-length {arguments.clip_length}", f"give {SHORTEST_S:g} to {LONGEST_S:g} seconds"
        ) from error
