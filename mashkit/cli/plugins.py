"""`mashkit plugins`: list the components."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mashkit.cli.actions import Commands, add_command
from mashkit.cli.console import give, print_table, say
from mashkit.cli.status import DONE

if TYPE_CHECKING:
    from mashkit.discovery import Registered
    from mashkit.registry import Registry


def add_parser(commands: Commands) -> None:
    """Add `plugins` to the command line."""
    summary = "List components, their origin and licence, and whether they can run here."
    plugins = add_command(commands, "plugins", summary, run)
    plugins.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the list to FILE as JSON")


def run(arguments: argparse.Namespace) -> int:
    """List components."""
    from mashkit.cli.outputs import require_output
    from mashkit.products import Keys
    from mashkit.registry import Registry

    require_output(arguments.output, Keys(["components", "commands", "broken"]))
    registry = Registry()
    rows = [_component_record(registry, registered) for registered in registry.components()]
    broken = [
        {"distribution": one.distribution, "entry_point": one.entry_point, "reason": one.reason}
        for one in registry.broken
    ]
    commands = [
        {
            "name": name,
            "summary": one.command.summary,
            "distribution": one.origin.distribution,
            "version": one.origin.version,
        }
        for name, entries in registry.commands().items()
        for one in entries
    ]
    data = {"components": rows, "commands": commands, "broken": broken}
    if give(data, arguments):
        return DONE
    print_table(
        ("kind", "name", "available", "from", "code", "weights", "provides"),
        [
            (row["kind"], row["name"], "yes" if row["available"] else "no", f"{row['distribution']} {row['version']}",
             row["code_license"], row["weights_license"], ", ".join(row["provides"]))
            for row in rows
        ],
    )  # fmt: skip
    if commands:
        print_table(
            ("command", "from", "summary"),
            [(one["name"], f"{one['distribution']} {one['version']}", one["summary"]) for one in commands],
        )
    for row in rows:
        if not row["available"]:
            say(f"{row['kind']} {row['name']}: {row['reason']}: {row['fix']}")
    for one in broken:
        say(f"broken: {one['distribution']} ({one['entry_point']}): {one['reason']}")
    return DONE


def _component_record(registry: Registry, registered: Registered) -> dict[str, Any]:
    info, available = registered.info, registry.availability(registered)
    return {
        "kind": registered.kind,
        "name": info.name,
        "summary": info.summary,
        "provides": sorted(info.provides),
        "distribution": registered.origin.distribution,
        "version": registered.origin.version,
        "available": available.ok,
        "reason": available.reason,
        "fix": available.fix,
        "engine": info.engine,
        "code_license": info.code_license,
        "weights_license": info.weights_license,
        "citation": info.citation,
        "thread_safe": info.thread_safe,
    }
