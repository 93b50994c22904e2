"""The code that a component's results come from, as a hash: a plugin's version stays the same while it is written."""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Iterable
from pathlib import Path

from mashkit.components.component import Component


def code_sha256(component: Component) -> str:
    """Return a sha256 that changes with the code of a component, and of the components that it is made of.

    A plugin's code is every Python file of its package. Of mashkit's own components only the file of the class counts,
    because the rest of mashkit is what all results have in common.

    Examples
    --------
    >>> import mashkit as mk
    >>> from mashkit.components.code import code_sha256
    >>> def code_of(name, **options):
    ...     return code_sha256(mk.Registry().create("scorer", name, options))
    >>> code_of("random") == code_of("random", seed=1)
    True
    >>> code_of("random") == code_of("loudness+random")
    False
    """
    digest = hashlib.sha256()
    for path in _files(type(component)):
        digest.update(f"{path.name}\n".encode() + path.read_bytes())
    for member in component.members():
        digest.update(code_sha256(member).encode())
    return digest.hexdigest()


def _files(cls: type) -> Iterable[Path]:
    package, mashkit = (name.partition(".")[0] for name in (cls.__module__, __name__))
    places = getattr(sys.modules.get(package), "__path__", None)
    if places is None or package == mashkit:
        return [Path(inspect.getfile(cls))]
    return sorted(path for place in places for path in Path(place).rglob("*.py"))
