"""Mark functions and names that will go: they work as before, and warn at the caller's line. See docs/stability.md."""

from __future__ import annotations

import functools
import importlib
import warnings
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class DeprecatedUse(DeprecationWarning):
    """A use of what will go from mashkit. The contract tests of plugins make it an error."""


def _warn(what: str, *, since: str, until: str, instead: str) -> None:
    # Level 3 is the line that called what called this function.
    message = f"{what} is deprecated since mashkit {since} and will be gone in {until}: use {instead}"
    warnings.warn(message, DeprecatedUse, stacklevel=3)


def deprecated(*, since: str, until: str, instead: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Return a decorator for a function or method that will go.

    Parameters
    ----------
    since, until : str
        The version of mashkit that deprecates it, and the first version that will not have it.
    instead : str
        What to use instead: the fix in the warning.

    Examples
    --------
    >>> @deprecated(since="0.2", until="0.4", instead="mashkit.load")
    ... def open_song(path): ...
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(function)
        def warning(*arguments: P.args, **named: P.kwargs) -> T:
            _warn(f"{function.__module__}.{function.__qualname__}", since=since, until=until, instead=instead)
            return function(*arguments, **named)

        return warning

    return decorate


def moved(module: str, names: Mapping[str, str], *, since: str, until: str) -> Callable[[str], Any]:
    """Return the ``__getattr__`` of a module whose names are elsewhere now.

    Parameters
    ----------
    module : str
        Its ``__name__``.
    names : mapping of str to str
        Old name → "package.module:name" of the new place, which is imported on first use.
    since, until : str
        As :func:`deprecated` has them.

    Returns
    -------
    callable
        It raises AttributeError for other names, as modules do.
    """

    def found(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        home, _, there = names[name].partition(":")
        _warn(f"{module}.{name}", since=since, until=until, instead=f"{home}.{there}")
        return getattr(importlib.import_module(home), there)

    return found
