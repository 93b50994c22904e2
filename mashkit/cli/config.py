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
        rows.append(
            {"name": name, "value": _plain(value), "from": origin, "meaning": settings.NAMES.get(name, "an option")}
        )
    return rows


def _plain(value: Any) -> Any:
    """Return a value of TOML as JSON has it: dates, times and infinite numbers become text."""
    import math

    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return list(map(_plain, value))
    known = isinstance(value, str | int | None) or (isinstance(value, float) and math.isfinite(value))
    return value if known else str(value)


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
    from mashkit.arguments import json_or_text, named_path
    from mashkit.cli import settings
    from mashkit.paths import absolute, path_text

    name = arguments.name
    plain = name in settings.NAMES and name not in ("jobs", "quiet")
    value = arguments.value if plain else json_or_text(arguments.value)
    settings.require(name, value)
    if name in ("cache", "db"):
        value = path_text(absolute(named_path(value)))  # because commands run in other folders, too
    with settings.held():
        before = settings.read()
        kept, removed = _without_options_of_another(name, before, {**before, name: value})
        _require_component(name, kept)
        settings.write(kept)
    path = path_text(settings.config_file())
    if not printed({"name": name, "value": value, "path": path, "removed": removed}, arguments):
        say(f"{name} = {_shown(value)} in {path}")
    _say_removed(removed)
    return DONE


def _without_options_of_another(
    kind: str, before: dict[str, Any], after: dict[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """Return the settings after a change, without a kind's options if its component changed, and the removed names."""
    from mashkit.pipeline import Kit

    built_in = Kit().chosen.get(kind)  # None if it is another setting
    if before.get(kind, built_in) == after.get(kind, built_in) or built_in is None:
        return after, []
    removed = [name for name in after if name.startswith(f"{kind}.")]
    return {name: value for name, value in after.items() if name not in removed}, removed


def _say_removed(names: list[str]) -> None:
    if names:
        say(f"removed, because they were set for another component: {', '.join(names)}")


def _require_component(changed: str, kept: dict[str, Any]) -> None:
    """Make the component that the settings choose, so that a wrong name or option is refused and not kept."""
    from mashkit.cli.actions import COMPONENT_KINDS
    from mashkit.cli.kits import naming_kept
    from mashkit.pipeline import Kit
    from mashkit.registry import Registry

    kind = changed.partition(".")[0]
    if kind not in COMPONENT_KINDS:
        return
    options = {name.partition(".")[2]: value for name, value in kept.items() if name.startswith(f"{kind}.")}
    others = {option: value for option, value in options.items() if f"{kind}.{option}" != changed}
    with naming_kept({kind: others}):
        Registry().create(kind, kept.get(kind, Kit().chosen[kind]), options).described()


def _unset(arguments: argparse.Namespace) -> int:
    from mashkit.cli import settings
    from mashkit.errors import UsageError, suggestion

    name = arguments.name
    if not settings.read_unchecked():  # no folder is made for a lock then
        raise UsageError(f"{name!r} is not set", "nothing is set")
    with settings.held():
        before = settings.read_unchecked()
        if name not in before:
            raise UsageError(f"{name!r} is not set", suggestion(name, before) if before else "nothing is set")
        left = {one: value for one, value in before.items() if one != name}
        kept, removed = _without_options_of_another(name, before, left)
        settings.write(kept)
    if arguments.json:
        print_json({"name": name, "settings": _plain(kept), "removed": removed})
    _say_removed(removed)
    return DONE


def _path(arguments: argparse.Namespace) -> int:
    from mashkit.cli import settings
    from mashkit.paths import path_text

    path = settings.config_file()
    if not printed({"path": path_text(path), "exists": path.is_file()}, arguments):
        print(path_text(path))
    return DONE
