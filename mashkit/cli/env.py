"""`mashkit env`: environments for components. The import must be fast, because `mashkit --help` builds the parser."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from mashkit.cli.actions import Commands, add_actions
from mashkit.cli.status import DONE

if TYPE_CHECKING:
    from mashkit.components.environments import Environment

SUMMARY = "Make, list and remove environments for components that conflict with other packages."


def add_parser(commands: Commands) -> None:
    """Add `env` and its three subcommands to the command line."""
    action = add_actions(commands, "env", SUMMARY)
    create = action("create", "Make an environment with mashkit, a plugin and its requirements.", _create)
    create.add_argument(
        "name", metavar="NAME", help="an environment that `mashkit plugins` names, a component, or a plugin"
    )
    create.add_argument(
        "--python", metavar="PYTHON", help="path or name of the interpreter; default: the one that runs mashkit"
    )
    create.add_argument("--package", action="append", default=[], metavar="REQUIREMENT",
                        help="install this too: a requirement or a path; repeatable")  # fmt: skip
    action("list", "List the environments, and whether they work.", _list)
    remove = action("remove", "Delete an environment.", _remove)
    remove.add_argument("name", metavar="NAME", help="an environment that `mashkit env list` shows")


def _create(arguments: argparse.Namespace) -> int:
    from mashkit.cli.console import printed
    from mashkit.cli.progress import ProgressListener
    from mashkit.hookspecs import StageEvent
    from mashkit.registry import Registry
    from mashkit.remote.install import create_environment

    registry = Registry()

    def notify(event: StageEvent) -> None:
        registry.plugins.hook.mashkit_stage(event=event)

    with ProgressListener(registry, quiet=arguments.quiet):
        made = create_environment(
            arguments.name, registry=registry, python=arguments.python, packages=arguments.package, notify=notify
        )
    if not printed(_row(made), arguments):
        print(made.path)
    return DONE


def _list(arguments: argparse.Namespace) -> int:
    from mashkit.cli.console import print_table, printed, say
    from mashkit.components.environments import environments, unfinished

    rows = [_row(environment) for environment in environments()]
    left = [str(path) for path in unfinished()]
    if not printed({"environments": rows, "unfinished": left}, arguments):
        print_table(
            ("name", "works", "python", "plugin", "size", "path"),
            [
                (row["name"], "no" if row["problem"] else "yes", row["python"], ", ".join(row["distributions"]),
                 f"{row['size_bytes'] / 1e6:.0f} MB", row["path"])
                for row in rows
            ],
        )  # fmt: skip
        for row in rows:
            if row["problem"]:
                say(f"{row['name']}: {row['problem']}: {row['fix']}")
        for path in left:
            say(f"unfinished: {path}: another process makes it, or else delete it with `mashkit env remove`")
    return DONE


def _row(environment: Environment) -> dict[str, Any]:
    from mashkit.components.environments import size_bytes
    from mashkit.errors import MashkitError
    from mashkit.remote.install import prove

    problem = fix = ""
    try:
        prove(environment.path, environment.components)
    except MashkitError as error:
        problem, fix = error.problem, error.fix or ""
    return {
        "name": environment.name,
        "path": str(environment.path),
        "python": environment.python,
        "mashkit": environment.mashkit,
        "distributions": list(environment.distributions),
        "components": [{"kind": kind, "name": name} for kind, name in environment.components],
        "packages": dict(environment.packages),
        "size_bytes": size_bytes(environment.path),
        "works": not problem,
        "problem": problem,
        "fix": fix,
    }


def _remove(arguments: argparse.Namespace) -> int:
    from mashkit.cli.console import printed
    from mashkit.components.environments import remove_environment

    path = remove_environment(arguments.name)
    if not printed({"removed": str(path)}, arguments):
        print(f"removed {path}")
    return DONE
