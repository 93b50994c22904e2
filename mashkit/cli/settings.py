"""The user's defaults for the command line: a TOML file in the platform's folder for configuration.

A value is taken from the command's option, else an environment variable, else the file, else the built-in defaults.
Only the command line reads the file: a program in Python does the same on every machine.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import platformdirs

from mashkit.arguments import CACHE_VARIABLE, named_path
from mashkit.cli.actions import COMPONENT_KINDS, DB_VARIABLE
from mashkit.errors import UsageError, suggestion
from mashkit.licences import POLICIES
from mashkit.paths import encodable, path_text

CONFIG_VARIABLE = "MASHKIT_CONFIG"
"""Environment variable: the file of settings, in place of the platform's."""

WAIT_S = 60.0
"""Seconds that a command waits for another one that changes the file. A change imports a component to check it."""

NAMES: Mapping[str, str] = {
    **{kind: f"the {kind} to use, where no --{kind} is given" for kind in COMPONENT_KINDS},
    "jobs": "number of processes, where no --jobs is given",
    "cache": "folder of computed stems and analyses, where no --cache is given",
    "db": "database of clips, where no --db is given",
    "licences": "which licences of components are allowed: any, or permissive",
    "quiet": "true: no progress",
}
"""Name of a setting → its meaning. Options of components are settings, too: stretcher.cheaper."""
VARIABLES: Mapping[str, str] = {"cache": CACHE_VARIABLE, "db": DB_VARIABLE}
"""The settings that have an environment variable of their own."""


def config_file() -> Path:
    """Return the path of the file of settings, whether it exists or not."""
    named = os.environ.get(CONFIG_VARIABLE)
    return named_path(named) if named else Path(platformdirs.user_config_dir("mashkit")) / "config.toml"


def read() -> dict[str, Any]:
    """Return the settings in the file, by name; empty without a file.

    Raises
    ------
    UsageError
        If the file is not TOML, or has an unknown name, or a value of another type; names file and fix.
    """
    settings = read_unchecked()
    for name, value in settings.items():
        try:
            require(name, value)
        except UsageError as error:
            raise UsageError(
                f"{path_text(config_file())}: {error.problem}", f"{error.fix}; `mashkit config unset {name}` removes it"
            ) from error
    return settings


def read_unchecked() -> dict[str, Any]:
    """Return what :func:`read` returns, also with names and values that are wrong, so that they can be removed."""
    path = config_file()
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UsageError(f"{path_text(path)}: {error}", "correct it, or delete it") from error
    settings: dict[str, Any] = {}
    for name, value in data.items():
        if name in COMPONENT_KINDS and isinstance(value, dict):
            settings.update({f"{name}.{option}": setting for option, setting in value.items() if option != "name"})
            if "name" in value:
                settings[name] = value["name"]
        else:
            settings[name] = value
    return settings


def require(name: str, value: Any) -> None:
    """Raise UsageError unless a setting of that name may have that value."""
    kind, dot, option = name.partition(".")
    if dot:
        if kind not in COMPONENT_KINDS or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", option):
            raise UsageError(f"there is no setting {name!r}", f"an option is like {COMPONENT_KINDS[2]}.cheaper")
        return
    if name not in NAMES:
        raise UsageError(f"there is no setting {name!r}", suggestion(name, [*NAMES, "stretcher.cheaper"]))
    if name == "jobs" and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise UsageError(f"jobs is {value!r}", "give a whole number of 1 or more")
    if name == "quiet" and not isinstance(value, bool):
        raise UsageError(f"quiet is {value!r}", "give true or false")
    if name == "licences" and value not in POLICIES:
        raise UsageError(f"licences is {value!r}", f"give {' or '.join(POLICIES)}")
    if name not in ("jobs", "quiet") and not (isinstance(value, str) and value):
        raise UsageError(f"{name} is {value!r}", "give a name" if name in COMPONENT_KINDS else "give a folder")


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Let no other command change the file while a block reads it and writes it back.

    Raises
    ------
    OutputError
        If another command holds the file for longer than :data:`WAIT_S`.
    """
    from mashkit.errors import OutputError
    from mashkit.locks import held_folder

    folder = config_file().parent
    with contextlib.suppress(OSError):  # what is wrong with the folder is an error of writing the file
        folder.mkdir(parents=True, exist_ok=True)
    taken = OutputError(f"another command is changing {path_text(config_file())}", "try again when it has ended")
    with held_folder(folder, taken, wait_s=WAIT_S):
        yield


def write(settings: Mapping[str, Any]) -> None:
    """Replace the file by one with these settings, also with unknown ones.

    Raises
    ------
    UsageError
        If TOML cannot hold a value.
    OutputError
        If the file cannot be written.
    """
    from mashkit.atomicfile import write_text

    plain: dict[str, Any] = {}
    tables: dict[str, dict[str, Any]] = {kind: {} for kind in COMPONENT_KINDS}
    for name, value in settings.items():
        kind, dot, option = name.partition(".")
        if kind in tables:
            tables[kind][option if dot else "name"] = value
        else:
            plain[name] = value
    lines = [f"{_key(name)} = {_toml(value)}" for name, value in sorted(plain.items())]
    for kind, table in tables.items():
        if table:
            lines += ["", f"[{kind}]", *(f"{_key(name)} = {_toml(value)}" for name, value in table.items())]
    text = encodable("\n".join(["# Written by `mashkit config`; to be edited at will.", *lines, ""]))
    try:
        tomllib.loads(text)
    except ValueError as error:
        raise UsageError(f"this cannot be kept as a setting: {error}", "give a number, a text or a list") from error
    write_text(config_file(), text)


def _toml(value: Any) -> str:
    """Return a value that TOML has; raises UsageError for any other, such as null."""
    if isinstance(value, bool | str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")  # JSON's texts are TOML as well
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_key(name)} = {_toml(one)}' for name, one in value.items())}}}"
    raise UsageError(f"{value!r} cannot be kept as a setting", "give a number, a text or a list")


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _toml(name)


def default(name: str) -> Any:
    """Return the setting of that name from its environment variable or from the file; None if neither has it.

    A folder's "~" is the home folder.
    """
    variable = VARIABLES.get(name)
    given = os.environ.get(variable) if variable is not None else None
    value = given or read().get(name)
    return str(named_path(value)) if variable is not None and value is not None else value
