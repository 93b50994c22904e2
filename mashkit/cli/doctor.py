"""`mashkit doctor`: check whether plugins, components, commands and the cache work."""

from __future__ import annotations

import argparse
import importlib.metadata
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from mashkit.cli.actions import Commands, add_command
from mashkit.cli.console import give, print_table
from mashkit.cli.status import DONE, NOT_IN_ORDER


def add_parser(commands: Commands) -> None:
    """Add `doctor` to the command line."""
    summary = "Check that everything works here, and name the fix for what does not."
    doctor = add_command(commands, "doctor", summary, run)
    doctor.add_argument("--cache", type=Path, metavar="FOLDER", help="cache folder to check")
    doctor.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the list to FILE as JSON")
    doctor.set_defaults(own=commands.choices)


def run(arguments: argparse.Namespace) -> int:
    """Create every available component, and check plugins, commands, the default components and the cache."""
    from mashkit.arguments import default_cache
    from mashkit.atomicfile import require_writable_folder
    from mashkit.cli.outputs import require_output
    from mashkit.discovery import how_to_install
    from mashkit.errors import MashkitError
    from mashkit.pipeline import Kit
    from mashkit.products import Keys
    from mashkit.registry import Registry
    from mashkit.rendering.output import environment

    require_output(arguments.output, Keys(["checks", "environment"]))
    registry = Registry()
    checks: list[dict[str, Any]] = []

    def check(what: str, problem: str = "", fix: str = "", *, needed: bool = True) -> None:
        checks.append({"check": what, "ok": not problem, "needed": needed, "problem": problem, "fix": fix})

    for one in registry.broken:
        check(f"plugin {one.distribution}", one.reason, f"tell its authors, or remove {one.distribution}", needed=False)
    components = registry.components()
    for distribution, problem, fix in installed_badly(one.origin.distribution for one in components):
        check(f"plugin {distribution}", problem, fix, needed=False)
    own = frozenset(arguments.own)
    for name, entries in registry.commands().items():
        owners = " and ".join(one.origin.distribution for one in entries)
        if entries[0].command.word in own:
            check(
                f"command {name}",
                f"mashkit has this command; the command of {owners} is ignored",
                f"uninstall {owners}",
                needed=False,
            )
        elif len(entries) > 1:
            check(f"command {name}", f"it is registered by {owners}", "uninstall one of them", needed=False)
        else:
            check(f"command {name}", needed=False)
    defaults = set(Kit(registry=registry).chosen.items())
    for registered in components:
        needed = (registered.kind, registered.info.name) in defaults and not registry.is_ignored(registered)
        works = registry.works(registered)
        check(f"{registered.kind} {registered.info.name}", works.reason, works.fix, needed=needed)
    known = {(one.kind, one.info.name) for one in components}
    for kind, name in sorted(defaults - known):
        check(f"{kind} {name}", "not installed", how_to_install(kind, name))
    cache = arguments.cache or default_cache()
    try:
        require_writable_folder(cache)
        free = shutil.disk_usage(cache).free
        check(
            f"cache {cache}", "" if free > 1 << 30 else f"{free >> 20} MiB free", "free space, or name another --cache"
        )
    except MashkitError as error:
        check(f"cache {cache}", error.problem, "name another with --cache")
    data = {"checks": checks, "environment": environment()}
    if not give(data, arguments):
        print_table(
            ("", "check", "problem", "what to do"),
            [
                ("ok" if one["ok"] else "FAIL" if one["needed"] else "no", one["check"], one["problem"],
                 "" if one["ok"] else one["fix"])
                for one in checks
            ],
        )  # fmt: skip
    return NOT_IN_ORDER if any(one["needed"] and not one["ok"] for one in checks) else DONE


def installed_badly(distributions: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    """Yield distributions of plugins that do not fit what is installed: name, problem, and fix.

    A distribution of mashkit's own needs the version of mashkit, because all are released together (docs/releasing.md).
    Every distribution needs the distributions it names, in the versions it names; pip installs others without being
    asked if a later install asks for them.
    """
    from packaging.requirements import Requirement

    from mashkit.discovery import published

    ours = {name for names in published().values() for name in names.values()}
    version = importlib.metadata.version("mashkit")
    for distribution in sorted(set(distributions) - {"mashkit"}):
        try:
            installed = importlib.metadata.distribution(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue  # registered by a program, not installed
        if distribution in ours and installed.version != version:
            yield (
                distribution,
                f"version {installed.version}, and mashkit is {version}",
                (f"pip install {distribution}=={version}"),
            )
        for text in installed.requires or ():
            needed = Requirement(text)
            if needed.marker is not None and not needed.marker.evaluate({"extra": ""}):
                continue
            try:
                there = importlib.metadata.version(needed.name)
            except importlib.metadata.PackageNotFoundError:
                yield distribution, f"{needed.name} is not installed", f"pip install {distribution}"
                continue
            if not needed.specifier.contains(there, prereleases=True):
                asked = f"{needed.name}{needed.specifier}"
                yield distribution, f"{needed.name} is {there}, and {asked} is needed", f"pip install '{asked}'"
