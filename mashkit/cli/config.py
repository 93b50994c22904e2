"""`mashkit config`: defaults for the command line. The import must be fast, because `--help` builds the parser."""

from __future__ import annotations

import argparse
from typing import Any

from mashkit.cli.actions import Commands, add_actions
from mashkit.cli.console import print_json, print_table, printed, say
from mashkit.cli.status import DONE

SUMMARY = "Show and change the defaults of the command line: components, their options, folders."


def add_parser(commands: Commands) -> None:
    """Add `config` and its subcommands to the command line."""
    action = add_actions(commands, "config", SUMMARY)
    action("list", "List all settings, and where each value comes from.", _list)
    get = action("get", "Print a setting.", _get)
    get.add_argument("name", metavar="NAME", help="like separator, jobs, stretcher.cheaper")
    change = action("set", "Change a setting, after checking that it works.", _set)
    change.add_argument("name", metavar="NAME", help="like separator, jobs, stretcher.cheaper")
    change.add_argument("value", metavar="VALUE", help="a component's name, a folder, a number, true or false")
    forget = action("unset", "Remove a setting, so that the built-in value applies again.", _unset)
    forget.add_argument("name", metavar="NAME")
    action("path", "Print the path of the file of settings, whether it exists or not.", _path)


def _rows() -> list[dict[str, Any]]:
    """Return name, value and origin of every setting."""
    import os

    from mashkit.arguments import default_cache
    from mashkit.cli import settings
    from mashkit.paths import path_text
    from mashkit.pipeline import Kit

    kept, file = settings.read(), path_text(settings.config_file())
    built_in = {**Kit().chosen, "jobs": None, "cache": path_text(default_cache()), "db": None, "quiet": False,
                "licences": "any"}  # fmt: skip
    rows = []
    value: Any
    for name in [*settings.NAMES, *sorted(name for name in kept if "." in name)]:
        variable = settings.VARIABLES.get(name, "")
        if os.environ.get(variable):
            value, origin = os.environ[variable], f"environment {variable}"
        elif name in kept:
            value, origin = kept[name], file
        else:
            value, origin = built_in.get(name), "built in"
        rows.append({"name": name, "value": value, "from": origin, "meaning": settings.NAMES.get(name, "an option")})
    return rows


def _list(arguments: argparse.Namespace) -> int:
    rows = _rows()
    if not printed({"settings": rows}, arguments):
        print_table(
            ("setting", "value", "from", "what it is"),
            [(row["name"], _shown(row["value"]), row["from"], row["meaning"]) for row in rows],
        )
    return DONE


def _shown(value: Any) -> str:
    import json

    return "–" if value is None else value if isinstance(value, str) else json.dumps(value)


def _get(arguments: argparse.Namespace) -> int:
    from mashkit.errors import UsageError, suggestion

    rows = {row["name"]: row for row in _rows()}
    if arguments.name not in rows:
        raise UsageError(f"there is no setting {arguments.name!r}", suggestion(arguments.name, rows))
    if not printed(rows[arguments.name], arguments):
        print(_shown(rows[arguments.name]["value"]))
    return DONE


def _set(arguments: argparse.Namespace) -> int:
    from mashkit.cli import settings
    from mashkit.cli.kits import value_of
    from mashkit.paths import path_text

    name = arguments.name
    plain = name in settings.NAMES and name not in ("jobs", "quiet")
    value = arguments.value if plain else value_of(arguments.value)
    settings.require(name, value)
    kept = {**settings.read(), name: value}
    _require_component(name.partition(".")[0], kept)
    settings.write(kept)
    if not printed({"name": name, "value": value, "path": path_text(settings.config_file())}, arguments):
        say(f"{name} = {_shown(value)} in {path_text(settings.config_file())}")
    return DONE


def _require_component(kind: str, kept: dict[str, Any]) -> None:
    """Make the component that the settings choose, so that a wrong name or option is refused and not kept."""
    from mashkit.cli.actions import COMPONENT_KINDS
    from mashkit.pipeline import Kit
    from mashkit.registry import Registry

    if kind not in COMPONENT_KINDS:
        return
    options = {name.partition(".")[2]: value for name, value in kept.items() if name.startswith(f"{kind}.")}
    Registry().create(kind, kept.get(kind, Kit().chosen[kind]), options).described()


def _unset(arguments: argparse.Namespace) -> int:
    from mashkit.cli import settings
    from mashkit.errors import UsageError, suggestion

    kept = settings.read_unchecked()
    if arguments.name not in kept:
        raise UsageError(
            f"{arguments.name!r} is not set", suggestion(arguments.name, kept) if kept else "nothing is set"
        )
    del kept[arguments.name]
    settings.write(kept)
    if arguments.json:
        print_json({"name": arguments.name, "settings": kept})
    return DONE


def _path(arguments: argparse.Namespace) -> int:
    from mashkit.cli import settings
    from mashkit.paths import path_text

    path = settings.config_file()
    if not printed({"path": path_text(path), "exists": path.is_file()}, arguments):
        print(path_text(path))
    return DONE
