"""Make the kit, its components' options and the excerpt policy from a command's arguments."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mashkit.arguments import json_or_text
from mashkit.catalog.excerpts import LONGEST_S, SHORTEST_S, ExcerptPolicy
from mashkit.cli import settings
from mashkit.cli.actions import COMPONENT_KINDS
from mashkit.cli.console import say
from mashkit.components import Component
from mashkit.composite import CACHED, is_composite
from mashkit.errors import MashkitError, PlanError, UsageError
from mashkit.licences import UNKNOWN, fits
from mashkit.paths import path_text
from mashkit.pipeline import Kit
from mashkit.types import Condition, Finish

PRESETS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "permissive": {
        "separator": ("stemnet",),
        "analyzer": ("key:librosa,beats:beat-this", "librosa"),
        "stretcher": ("signalsmith",),
        "scorer": ("intervalnet",),
        "generator": ("paper",),
        "executor": ("local",),
    }
}
"""Sets of components by name; a set has the name of the policy on licences that all of it keeps. Of several components
of a kind, the first that works here is taken, else the last."""


CLIP_KINDS = ("separator", "analyzer")
"""Kinds of the components that make clips of songs; a command with --db does not run them."""


def kit_of(arguments: argparse.Namespace) -> Kit:
    """Return the kit of the arguments; a missing choice is from the preset, the settings, or the built-in defaults."""
    given = {kind: name for kind in COMPONENT_KINDS if (name := getattr(arguments, kind, None)) is not None}
    preset = _of_preset(getattr(arguments, "preset", None), given)
    kept = settings.read()
    chosen = {**{kind: kept[kind] for kind in COMPONENT_KINDS if kind in kept}, **preset, **given}
    jobs = getattr(arguments, "jobs", None) or kept.get("jobs")
    options = {kind: values for kind, values in options_of(arguments).items() if kind in COMPONENT_KINDS}
    for kind, values in _kept_options(arguments).items():
        options[kind] = {**values, **options.get(kind, {})}
    kit = Kit(**chosen, options=options, finish=_finish(arguments))
    if jobs is None or not _takes_jobs(kit, given=getattr(arguments, "jobs", None)):
        return kit
    options["executor"] = {"jobs": jobs, **options.get("executor", {})}
    return Kit(**chosen, options=options, finish=_finish(arguments), registry=kit.registry)


def _takes_jobs(kit: Kit, *, given: int | None) -> bool:
    """Return whether the executor has a number of processes; raises UsageError if it has none and --jobs was given."""
    try:
        known = kit.executor.options()
    except MashkitError:
        return True  # the error is said where the executor is used
    if "jobs" not in known and given is not None:
        raise UsageError(
            f"--jobs {given}: executor {kit.chosen['executor']!r} has no option 'jobs'",
            f"leave it out, or set what it has with -O executor.OPTION=VALUE: {', '.join(known)}",
        )
    return "jobs" in known


def _kept_options(arguments: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Return the options of the settings, without those that -O gives, and of kinds whose component is given.

    An option that was set for one component is not for another.
    """
    given = options_of(arguments)
    chosen = {kind for kind in COMPONENT_KINDS if getattr(arguments, kind, None) is not None}
    chosen |= PRESETS.get(getattr(arguments, "preset", None) or "", {}).keys()
    options: dict[str, dict[str, Any]] = {}
    for name, value in settings.read().items():
        kind, dot, option = name.partition(".")
        if dot and kind not in chosen and option not in given.get(kind, {}):
            options.setdefault(kind, {})[option] = value
    return options


@contextlib.contextmanager
def naming_kept(options: Mapping[str, Mapping[str, Any]]) -> Iterator[None]:
    """Add to errors about options that were not given but kept in the settings where they are, and how to remove them.

    Parameters
    ----------
    options : mapping of kind to mapping
        The options in the settings.
    """
    try:
        yield
    except UsageError as error:
        # Two kinds may have an option of one name, and nearly every error names the kind.
        kinds = [kind for kind in COMPONENT_KINDS if kind in error.problem] or COMPONENT_KINDS
        names = [
            f"{kind}.{option}"
            for kind in kinds
            for option in options.get(kind, {})
            if re.search(rf"\b{option}\b", error.problem)
        ]
        if not names:
            raise
        removed = ", ".join(f"`mashkit config unset {name}`" for name in names)
        fixes = [error.fix, f"it is set in {path_text(settings.config_file())}; {removed} removes it"]
        raise UsageError(error.problem, "; ".join(filter(None, fixes))) from error


def _of_preset(name: str | None, given: Mapping[str, str]) -> dict[str, str]:
    """Return the component of each kind that a preset takes; a kind that the arguments give needs no search."""
    return {
        kind: names[-1] if kind in given else next((one for one in names[:-1] if _works(kind, one)), names[-1])
        for kind, names in PRESETS.get(name or "", {}).items()
    }


def _works(kind: str, name: str) -> bool:
    chosen: dict[str, Any] = {kind: name}
    try:
        Kit(**chosen).require(kind)
    except MashkitError:
        return False
    return True


def _finish(arguments: argparse.Namespace) -> Finish:
    """Return the changes that the arguments request for every plan of any generator."""
    duck = getattr(arguments, "duck", None)
    try:
        return Finish(duck_db=duck, plain=getattr(arguments, "plain", False))
    except PlanError as error:
        raise UsageError(f"--duck {duck:g}", "give decibels, 0 or more") from error


def condition_of(kit: Kit, asked: str | None) -> Condition:
    """Return the requested condition; by default matched, or the generator's only condition if it has just one."""
    known = kit.generator.conditions
    by_default = next(iter(known)) if len(known) == 1 else Condition.MATCHED
    return kit.generator.require_condition(by_default if asked is None else asked)


def require(kit: Kit, arguments: argparse.Namespace, *kinds: str) -> Kit:
    """Check the components that a command needs or that the user named, before the command reads the first song."""
    told = {kind for kind in COMPONENT_KINDS if getattr(arguments, kind, None) is not None}
    needed = {*kinds, *told, *(options_of(arguments).keys() & set(COMPONENT_KINDS))}
    with naming_kept(_kept_options(arguments)):
        kit.require(*needed)
    require_licences(kit, arguments, {kind: f"--{kind}" for kind in COMPONENT_KINDS if kind in needed})
    return kit


def policy_on_licences(arguments: argparse.Namespace) -> str:
    """Return the policy of --licences, of --preset (whose name is a policy's), or of the settings; "any" by default."""
    given = getattr(arguments, "licences", None) or getattr(arguments, "preset", None)
    return str(given or settings.read().get("licences", "any"))


def require_licences(kit: Kit, arguments: argparse.Namespace, options: Mapping[str, str]) -> None:
    """Check the licences of components against the policy of the arguments.

    The cards of components that are not to be used are not looked at.

    Parameters
    ----------
    kit : Kit
    arguments : Namespace
    options : mapping of str to str
        Kinds of the components to check → the option that chooses another one, such as "--scorer".

    Raises
    ------
    UsageError
        If a component's code or weights have a licence that the policy does not allow. The fix names the components
        that may be used in its place.
    """
    policy = policy_on_licences(arguments)
    if policy == "any":
        return
    problems, fixes = [], []
    for kind, option in options.items():
        problem = _not_allowed(getattr(kit, kind).described(), policy)
        if not problem:
            continue
        problems.append(problem)
        # An analyzer stands in for another only if it finds as much; downbeats are few analyzers' own.
        needed = getattr(kit, kind).info.provides - {"downbeats"} if kind == "analyzer" else frozenset()
        instead = sorted(
            one.info.name
            for one in kit.registry.components()
            if one.kind == kind
            and fits(one.info.code_license, policy)
            and fits(one.info.weights_license, policy)
            and one.info.provides >= needed
            and one.availability().ok
        )
        fixes.append(f"{option} {' or '.join(instead)}" if instead else f"no installed {kind} is allowed")
    if problems:
        raise UsageError(f"{'; '.join(problems)}, which --licences {policy} does not allow", "; ".join(fixes))


def require_licences_of_clips(components: Iterable[Mapping[str, Any]], arguments: argparse.Namespace) -> None:
    """Check the licences of the components that made a database's clips against the policy of the arguments.

    Parameters
    ----------
    components : iterable of mapping
        Their descriptions (:meth:`Component.describe`).
    arguments : Namespace

    Raises
    ------
    UsageError
        If the code or the weights of one have a licence that the policy does not allow.
    """
    policy = policy_on_licences(arguments)
    problems = dict.fromkeys(filter(None, (_not_allowed(one, policy) for one in components)))
    if problems:
        raise UsageError(
            f"clips of the database were made with {'; '.join(problems)}, which --licences {policy} does not allow",
            f"make clips with other components in another database: mashkit db add SONGS --db FOLDER --preset {policy}",
        )


def _not_allowed(described: Mapping[str, Any], policy: str) -> str:
    """Return which licences of a component a policy does not allow; "" if it allows all.

    Labels and true stems, which are in a database too, have no licences of a component.
    """
    code, weights = (described.get(field, "none") for field in ("code_license", "weights_license"))
    wrong = [] if fits(code, policy) else [f"code is under {code}"]
    if not fits(weights, policy):
        # Named if nobody has stated a licence, because it may be a file of the user's own.
        files = described.get("weights", ()) if UNKNOWN in weights.split() else ()
        wrong.append(f"weights {', '.join(files)} are under {weights}" if files else f"weights are under {weights}")
    return f"{described['kind']} {described['name']!r}: {' and '.join(wrong)}" if wrong else ""


def require_downbeats(kit: Kit, arguments: argparse.Namespace, conditions: Iterable[Condition]) -> None:
    """Raise UsageError if the analyzer finds no downbeats, and a condition promises that downbeats of songs meet.

    The stems of one song need none, because they stay as they are. Nor is the analyzer looked at where clips are of a
    database, because its songs may have labels of downbeats.
    """
    if not arguments.songs or "downbeats" in kit.analyzer.info.provides:
        return
    promises = ((one, kit.generator.promise(one)) for one in conditions)
    needed = next((one for one, promise in promises if promise.downbeats and promise.songs != "one"), None)
    if needed is None:
        return
    preset = getattr(arguments, "preset", None)
    before, after = (f"--preset {preset}: ", f" --preset {preset}") if preset else ("", "")
    raise UsageError(
        f"{before}analyzer {kit.chosen['analyzer']!r} finds no downbeats, which {needed!s} mashups need",
        "draw from a database whose songs have labels of beats "
        f"(`mashkit db add --protocol rekordbox --trust-labels{after}`, then --db), "
        "or name an analyzer that finds them",
    )


def kinds_for_songs(arguments: argparse.Namespace) -> tuple[str, ...]:
    """Return the kinds of components that are needed for songs but not for a database.

    Raises
    ------
    UsageError
        If the clips are of a database, and an option is about how clips are made, because its clips were made before,
        perhaps with others.
    """
    if arguments.songs:
        return (*CLIP_KINDS, "executor")
    of_database = arguments.db is not None or settings.default("db") is not None
    if of_database and (given := _given_for_clips(arguments)):
        raise UsageError(
            f"{' and '.join(given)} with a database, whose clips are separated and analyzed already",
            "leave it out; or name songs, or make other clips with `mashkit db add`",
        )
    return ()


def _given_for_clips(arguments: argparse.Namespace) -> list[str]:
    """Return the options, as written, that say how clips are made of songs, and are not as they are by default."""
    values = {name: getattr(arguments, name, None) for name in (*CLIP_KINDS, "clips_per_song", "clip_length", "cache")}
    if values["cache"] is not None and str(values["cache"]) == settings.default("cache"):
        values["cache"] = None  # the user's setting is for other commands, too
    if getattr(arguments, "same_recording", None) == "once":  # the other choice is a default
        values["same_recording"] = "once"
    given = [f"--{name.replace('_', '-')} {value}" for name, value in values.items() if value is not None]
    return given + [f"-O {text}" for text in arguments.options if text.partition(".")[0] in CLIP_KINDS]


def kinds_run(arguments: argparse.Namespace, kinds: Iterable[str]) -> tuple[str, ...]:
    """Return those of the kinds whose components a command runs: separator and analyzer only for songs."""
    needed = kinds_for_songs(arguments)
    return tuple(kind for kind in kinds if kind in needed or kind not in CLIP_KINDS)


def options_of(arguments: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Return the options set with -O: for components and, if the command has one, for the dataset layout."""
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
        options.setdefault(kind, {})[option] = json_or_text(value)
    return options


def seeded_kit(arguments: argparse.Namespace, kind: str) -> Kit:
    """Return the kit with --seed as an option of the component of ``kind``, of a composite's parts that have one.

    A message says if there is no seed.

    Raises
    ------
    UsageError
        If -O gives another seed.
    """
    kit = require(kit_of(arguments), arguments, kind)
    if arguments.seed is None:
        return kit
    names = _seeds(getattr(kit, kind))
    if not names:
        say(f"{kind} {kit.chosen[kind]!r} uses no random numbers, so --seed has no effect")
        return kit
    given = options_of(arguments).get(kind, {})
    for name in names:
        if given.get(name, arguments.seed) != arguments.seed:
            raise UsageError(f"--seed {arguments.seed} with -O {kind}.{name}={given[name]}", "give one of the two")
        # Another list, because the one without any -O belongs to the parser.
        arguments.options = [*arguments.options, f"{kind}.{name}={arguments.seed}"]
    return require(kit_of(arguments), arguments, kind)


def _seeds(component: Component) -> list[str]:
    """Return the names of a component's options for seeds: "seed", or those of a composite's parts ("random.seed")."""
    name = component.info.name
    if not is_composite(name):
        return ["seed"] if "seed" in component.options() else []
    # What "cached:" stores takes its options as they are.
    found = ((part.info.name, seed) for part in component.members() for seed in _seeds(part))
    return [seed if name.startswith(CACHED) else f"{part}.{seed}" for part, seed in found]


def policy_of(arguments: argparse.Namespace) -> ExcerptPolicy:
    """Return the policy for the parts of songs that become clips."""
    given = {"per_song": arguments.clips_per_song, "length_s": arguments.clip_length}
    try:
        return ExcerptPolicy(**{name: value for name, value in given.items() if value is not None})
    except UsageError as error:
        raise UsageError(
            f"--clip-length {arguments.clip_length}", f"give {SHORTEST_S:g} to {LONGEST_S:g} seconds"
        ) from error
