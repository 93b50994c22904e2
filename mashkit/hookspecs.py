"""The hooks of mashkit: what a plugin may implement. A plugin is a module named by an entry point of group "mashkit".

Its import must stay light (ComponentInfo and these hooks only): it happens on every command that lists components.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pluggy

from mashkit.components import ComponentInfo
from mashkit.models import WeightFile

if TYPE_CHECKING:  # `mashkit --help` imports plugins, and no numpy
    from mashkit.types import Audio

hookspec = pluggy.HookspecMarker("mashkit")
hookimpl = pluggy.HookimplMarker("mashkit")


@attrs.frozen(kw_only=True)
class StageEvent:
    """Something happened to one item of a stage ("catalog", "plan", "score", "save").

    ``state`` is "started", "done", "cached" or "failed"; ``done`` of ``total`` items of the stage are finished.
    """

    stage: str
    item: str
    state: str
    done: int
    total: int
    message: str = ""


@attrs.frozen(kw_only=True)
class Command:
    """A command a plugin adds to the command line: `mashkit train`.

    Parameters
    ----------
    name : str
        Lower-case letters, digits and "-"; no command of mashkit's own.
    summary : str
        One sentence for `mashkit --help`.
    configure : callable
        Adds the command's arguments to its parser, which has --json and --quiet already. Called when the command is
        asked for.
    run : callable
        Does the work, given the parsed arguments, and returns the exit status. Data go to stdout, progress and messages
        to stderr; what it raises is told in one line.
    """

    name: str
    summary: str
    configure: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.summary, str) or not callable(self.configure) or not callable(self.run):
            raise TypeError(f"command {self.name!r} needs a summary, and functions to configure and run it")
        if not re.fullmatch(r"[a-z][a-z0-9-]*", self.name):
            raise ValueError(f"a command cannot be called {self.name!r}: use lower-case letters, digits and '-'")


@hookspec
def mashkit_register_separators() -> Iterable[ComponentInfo]:  # type: ignore[empty-body]
    """Return the separators this plugin brings. Called once, when plugins are discovered."""


@hookspec
def mashkit_register_analyzers() -> Iterable[ComponentInfo]:  # type: ignore[empty-body]
    """Return the analyzers this plugin brings. Called once, when plugins are discovered."""


@hookspec
def mashkit_register_stretchers() -> Iterable[ComponentInfo]:  # type: ignore[empty-body]
    """Return the stretchers this plugin brings. Called once, when plugins are discovered."""


@hookspec
def mashkit_register_scorers() -> Iterable[ComponentInfo]:  # type: ignore[empty-body]
    """Return the scorers this plugin brings. Called once, when plugins are discovered."""


@hookspec
def mashkit_register_generators() -> Iterable[ComponentInfo]:  # type: ignore[empty-body]
    """Return the generators this plugin brings. Called once, when plugins are discovered."""


@hookspec
def mashkit_register_executors() -> Iterable[ComponentInfo]:  # type: ignore[empty-body]
    """Return the executors this plugin brings. Called once, when plugins are discovered."""


@hookspec
def mashkit_register_weights() -> Iterable[WeightFile]:  # type: ignore[empty-body]
    """Return the weight files this plugin's components use. Called when somebody asks for them: `mashkit models`."""


@hookspec
def mashkit_register_commands() -> Iterable[Command]:  # type: ignore[empty-body]
    """Return the commands this plugin adds to the command line. Called once, when plugins are discovered."""


@hookspec(firstresult=True)
def mashkit_load_audio(path: Path) -> Audio | None:
    """Decode a file at its own rate, or return None to let the next plugin, and at last soundfile, try.

    Whatever else it returns or raises is that file's failure, and of no other.
    """


@hookspec
def mashkit_stage(event: StageEvent) -> None:
    """Hear of progress. Called in the main process; once it has raised, it is told of, and hears no more."""
