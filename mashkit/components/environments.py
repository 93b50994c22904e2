"""Find, list and remove virtual environments for components that cannot be installed beside the others."""

from __future__ import annotations

import difflib
import importlib.metadata
import json
import os
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import platformdirs

from mashkit.arguments import named_path
from mashkit.errors import ComponentUnavailable, MashkitError, UsageError

ROOT_VARIABLE = "MASHKIT_ENVIRONMENTS"
"""Environment variable: folder of the environments; default is the platform's folder for a user's data."""
RECORD = "mashkit-environment.json"
"""File written into an environment when it is complete; an environment without this file is never used."""
WEIGHTS = "weights"
"""Folder in an environment for distributions of which only the files are used."""


class EnvironmentFailed(MashkitError):
    """An environment that could not be made or removed."""


def root() -> Path:
    """Return the folder of the environments; it may not exist."""
    named = os.environ.get(ROOT_VARIABLE)
    return named_path(named) if named else Path(platformdirs.user_data_dir("mashkit")) / "environments"


def environment_path(name: str) -> Path:
    """Return the path of the environment of that name, existing or not.

    Raises
    ------
    UsageError
        If the name is not valid: letters, digits, "-", "_" and ".", beginning with a letter or digit.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise UsageError(f"{name!r} is not the name of an environment", "use letters, digits, - and _")
    return root() / name


def interpreter(path: Path) -> Path:
    """Return the Python of the environment in ``path``."""
    return path / "bin" / "python"


@attrs.frozen(kw_only=True)
class Environment:
    """A complete environment, with the data of its record.

    Parameters
    ----------
    name : str
    path : Path
    python : str
        Version of its Python.
    mashkit : str
        Version of its mashkit.
    components : tuple of (kind, name)
        The components for which it was made.
    distributions : tuple of str
        Distributions that contain these components.
    packages : mapping of str to str
        All packages installed in it, with versions.
    """

    name: str
    path: Path
    python: str
    mashkit: str
    components: tuple[tuple[str, str], ...]
    distributions: tuple[str, ...]
    packages: Mapping[str, str]

    def to_record(self) -> dict[str, Any]:
        """Return plain data for the record, without the path, because the record is in the environment's folder."""
        data = attrs.asdict(self, filter=attrs.filters.exclude("path"))
        return {**data, "packages": dict(self.packages)}


def read_environment(path: Path) -> Environment | None:
    """Return the environment in ``path``, or None if there is no complete one."""
    try:
        data = json.loads((path / RECORD).read_text(encoding="utf-8"))
        return Environment(
            name=data["name"],
            path=path,
            python=data["python"],
            mashkit=data["mashkit"],
            components=tuple((kind, name) for kind, name in data["components"]),
            distributions=tuple(data["distributions"]),
            packages=data["packages"],
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def environments() -> list[Environment]:
    """Return the complete environments, by name."""
    if not root().is_dir():
        return []
    found = (read_environment(path) for path in sorted(root().iterdir()))
    return [environment for environment in found if environment is not None]


def unfinished() -> list[Path]:
    """Return the folders of environments that are being made or were never completed."""
    if not root().is_dir():
        return []
    return [
        path
        for path in sorted(root().iterdir())
        if path.is_dir() and (path / "pyvenv.cfg").exists() and read_environment(path) is None
    ]


def find_environment(name: str) -> Environment:
    """Return the complete environment of that name.

    Raises
    ------
    ComponentUnavailable
        If there is none; the fix is the command that makes it.
    UsageError
        If the name is not valid.
    """
    environment = read_environment(environment_path(name))
    if environment is None:
        near = difflib.get_close_matches(name, [one.name for one in environments()], n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ComponentUnavailable(f"there is no environment {name!r} in {root()}{hint}", create_command(name))
    return environment


def create_command(name: str, *, again: bool = False) -> str:
    """Return the command that makes the environment.

    Parameters
    ----------
    name : str
    again : bool
        Begin with the command that removes the existing environment, and name the Python that it was made with if that
        is not the version of this process.
    """
    command = f"mashkit env create {name}"
    if not again:
        return command
    made = read_environment(environment_path(name))
    version = "" if made is None else ".".join(made.python.split(".")[:2])
    other = version and version != f"{sys.version_info.major}.{sys.version_info.minor}"
    return f"mashkit env remove {name}; {command}" + (f" --python python{version}" if other else "")


def weight_package(name: str, environment: str = "") -> importlib.metadata.Distribution | None:
    """Return a distribution with weights, from the weights folder of this process's environment or from its packages.

    Parameters
    ----------
    name : str
        Name from a card's ``weight_packages``, without the version.
    environment : str
        Also search the environment of that name, if it exists.
    """
    path = [str(Path(sys.prefix) / WEIGHTS), *sys.path]
    if environment:
        path.append(str(environment_path(environment) / WEIGHTS))
    return next(iter(importlib.metadata.distributions(name=name, path=path)), None)


def size_bytes(path: Path) -> int:
    """Return the total size of the files in ``path``, bytes; links are not followed."""
    return sum((Path(folder) / name).lstat().st_size for folder, _, names in os.walk(path) for name in names)


def remove_environment(name: str) -> Path:
    """Delete an environment, complete or not, and return its path.

    No file outside :func:`root` is deleted: a link is removed but not its target, and a folder that is not a virtual
    environment is not touched.

    Raises
    ------
    UsageError
        If the name is not valid, or there is no such environment.
    EnvironmentFailed
        If the folder is not a virtual environment, or cannot be deleted.
    """
    path = environment_path(name)
    if not path.exists() and not path.is_symlink():
        names = ", ".join(one.name for one in environments()) or "none"
        raise UsageError(f"there is no environment {name!r} in {root()}", f"there are: {names}")
    try:
        if path.is_symlink():
            path.unlink()
        elif not (path / "pyvenv.cfg").is_file():
            raise EnvironmentFailed(
                f"{path} is not a virtual environment", "check what it contains, and remove it yourself"
            )
        else:
            # The record is deleted first, so that the environment is not used if the rest takes long or fails.
            (path / RECORD).unlink(missing_ok=True)
            shutil.rmtree(path)
    except OSError as error:
        raise EnvironmentFailed(f"{path} cannot be removed: {error.strerror}", "remove it yourself") from error
    return path
