"""A new plugin: a whole distribution, ready to install, whose example does its work and keeps its contract."""

from __future__ import annotations

import contextlib
import keyword
import re
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from string import Template

from mashkit.atomicfile import write_text
from mashkit.errors import OutputError, UsageError
from mashkit.interfaces import INTERFACES


def new_plugin(kind: str, name: str, parent: Path) -> Path:
    """Write a distribution ``mashkit-<name>`` with one component into ``parent``; return its folder.

    Parameters
    ----------
    kind : str
        "separator", "analyzer", "stretcher", "scorer", "generator" or "executor".
    name : str
        Name of the component: lower-case letters, digits and dashes, a letter first.
    parent : Path
        Folder; made if it is not there.

    Raises
    ------
    UsageError
        If there is no such kind, or the name cannot be a component's and a module's.
    OutputError
        If the folder exists already or cannot be written.
    """
    if kind not in INTERFACES:
        raise UsageError(f"there is no kind {kind!r} of component", f"the kinds are {', '.join(INTERFACES)}")
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) or keyword.iskeyword(name):
        raise UsageError(f"{name!r} is not a name for a component", "use lower-case letters, digits and dashes: acme-2")
    with contextlib.suppress(PackageNotFoundError):
        installed = version(f"mashkit-{name}")
        raise UsageError(f"mashkit-{name} {installed} is installed already", "choose another name")
    folder = parent / f"mashkit-{name}"
    if folder.exists():
        raise OutputError(
            f"{folder} exists already", "choose another name, or another folder; on the command line with -o"
        )
    module = f"mashkit_{name.replace('-', '_')}"
    words = {
        "kind": kind,
        "name": name,
        "module": module,
        "Class": "".join(part.capitalize() for part in name.split("-")) + kind.capitalize(),
        "Kind": kind.capitalize(),
        "CONSTANT": kind.upper(),
        "mashkit": version("mashkit"),
    }
    templates = files("mashkit.scaffold").joinpath("templates")
    whole = {
        "pyproject.toml": "pyproject.toml",
        "README.md": "README.md",
        "LICENSE": "LICENSE",
        f"src/{module}/__init__.py": f"{kind}_card.py",
        f"src/{module}/{kind}.py": f"{kind}.py",
        f"tests/test_{module}.py": "test.py",
    }
    requires = {"stretcher": '"python-stretch>=0.3.1"'}.get(kind, "")
    for target, template in whole.items():
        text = Template(templates.joinpath(f"{template}.txt").read_text(encoding="utf-8"))
        write_text(folder / target, text.substitute(words, requires=f", {requires}" if requires else ""))
    write_text(folder / "src" / module / "py.typed", "")
    return folder
