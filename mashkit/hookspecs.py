"""Define mashkit's hooks, which plugins may implement. A plugin is a module named by an entry point of group "mashkit".

A plugin's import must be fast (ComponentInfo and these hooks only), because every command that lists components imports
it.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pluggy

from mashkit.components import ComponentInfo
from mashkit.models import WeightFile

if TYPE_CHECKING:  # because `mashkit --help` imports this module and must not import numpy
    from mashkit.types import Audio

hookspec = pluggy.HookspecMarker("mashkit")
hookimpl = pluggy.HookimplMarker("mashkit")
"""Marks a function of a plugin as its implementation of the hook of that name.

Examples
--------
>>> import mashkit as mk
>>> from mashkit.synthetic.source import SyntheticSource
>>> class Tell:
...     @mk.hookimpl
...     def mashkit_stage(self, event):
...         print(event.stage, event.state)
>>> kit = mk.Kit(scorer="random")
>>> kit.registry.plugins.register(Tell(), name="tell")
'tell'
>>> songs = SyntheticSource([(mk.Key(9, "minor"), 120.0)])
>>> scores = kit.score(kit.generate(songs, condition="original", count=1))
score done
"""


@attrs.frozen(kw_only=True)
class StageEvent:
    """An event of one item in a stage ("catalog", "plan", "score", "save").

    ``state`` is "started", "done", "cached" or "failed"; ``done`` of ``total`` items of the stage are finished.

    Examples
    --------
    >>> import mashkit as mk
    >>> from mashkit.synthetic.source import SyntheticSource
    >>> songs = SyntheticSource([(mk.Key(9, "minor"), 120.0)])
    >>> def tell(event):
    ...     print(event.stage, event.state, event.done, "of", event.total)
    >>> kit = mk.Kit(scorer="loudness", notify=tell)
    >>> scores = kit.score(kit.generate(songs, condition="original", count=1))
    score done 1 of 1
    """

    stage: str
    item: str
    state: str
    done: int
    total: int
    message: str = ""


@attrs.frozen(kw_only=True)
class Command:
    """A command that a plugin adds to the command line, for example `mashkit features`.

    Parameters
    ----------
    name : str
        Lower-case letters, digits and "-"; not the name of one of mashkit's own commands. Commands of several plugins
        share a name if an option follows it, as in "train --data" and "train --preferences": the option that the user
        gives chooses the command.
    summary : str
        One sentence for `mashkit --help`.
    configure : callable
        Adds the command's arguments to its parser, which has --json and --quiet already. Called only when the user
        calls the command.
    run : callable
        Does the work with the parsed arguments, and returns the exit status. Data go to stdout, progress and messages
        to stderr; an error is printed in one line.

    Examples
    --------
    >>> import argparse
    >>> import mashkit as mk
    >>> def configure(parser):
    ...     parser.add_argument("headroom", type=float, help="dB")
    >>> def run(arguments):
    ...     print(f"a factor of {10 ** (arguments.headroom / 20):.3f}")
    ...     return 0
    >>> command = mk.Command(name="factor", summary="Turn decibels into a factor.", configure=configure, run=run)
    >>> parser = argparse.ArgumentParser()
    >>> command.configure(parser)  # mashkit does this, and the next, for `mashkit factor 6`
    >>> command.run(parser.parse_args(["6"]))
    a factor of 1.995
    0
    """

    name: str
    summary: str
    configure: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.summary, str) or not callable(self.configure) or not callable(self.run):
            raise TypeError(f"command {self.name!r} needs a summary, and functions to configure and run it")
        if not re.fullmatch(r"[a-z][a-z0-9-]*( --[a-z][a-z0-9-]*)?", self.name):
            raise ValueError(f"a command cannot be called {self.name!r}: use lower-case letters, digits and '-'")

    @property
    def word(self) -> str:
        """The name without the option."""
        return self.name.partition(" ")[0]


@attrs.frozen(kw_only=True)
class TaskInfo:
    """The card of a task of `mashkit bench`: what is measured on the components of one kind.

    Parameters
    ----------
    name : str
        The name by which suites refer to the task.
    target : str
        "package.module:Class" of a :class:`mashkit.bench.tasks.Task`; imported on use.
    """

    name: str
    target: str


@attrs.frozen(kw_only=True)
class CollectionInfo:
    """The card of a collection: music on which suites of `mashkit bench` run.

    Parameters
    ----------
    name : str
        The name by which suites refer to the collection.
    title, licence : str
    where : str
        How the music lies on disk, and where it is published.
    serves : tuple of str
        Kinds of components whose suites run on it.
    folder : str
        Where the music lies below ``--data``; empty if it needs no files.
    beside : str
        A package. The folder is also looked for in the folder in which this package lies.
    clips : str
        "package.module:function" that returns a :class:`mashkit.bench.collections.Collection`, given a
        :class:`mashkit.bench.collections.Choice`; for scorers and generators. Empty if there are no clips.
    labels : str
        "package.module:function" that yields :class:`mashkit.bench.labelled.Labels`, given the path of ``folder``; for
        analyzers. Empty if there are no labels.
    songs : int
        The number of songs, if the music needs no files.
    stems : bool
        Whether the folder has a folder for each song, with a file for each true stem; for separators.
    """

    name: str
    title: str
    licence: str
    where: str
    serves: tuple[str, ...]
    folder: str = ""
    beside: str = ""
    clips: str = ""
    labels: str = ""
    songs: int = 0
    stems: bool = False


@hookspec
def mashkit_register_separators() -> Iterable[ComponentInfo]:  # type: ignore[empty-body]
    """Return this plugin's separators. Called once, when plugins are discovered."""


@hookspec
def mashkit_register_analyzers() -> Iterable[ComponentInfo]:  # type: ignore[empty-body]
    """Return this plugin's analyzers. Called once, when plugins are discovered."""


@hookspec
def mashkit_register_stretchers() -> Iterable[ComponentInfo]:  # type: ignore[empty-body]
    """Return this plugin's stretchers. Called once, when plugins are discovered."""


@hookspec
def mashkit_register_scorers() -> Iterable[ComponentInfo]:  # type: ignore[empty-body]
    """Return this plugin's scorers. Called once, when plugins are discovered."""


@hookspec
def mashkit_register_generators() -> Iterable[ComponentInfo]:  # type: ignore[empty-body]
    """Return this plugin's generators. Called once, when plugins are discovered."""


@hookspec
def mashkit_register_executors() -> Iterable[ComponentInfo]:  # type: ignore[empty-body]
    """Return this plugin's executors. Called once, when plugins are discovered."""


@hookspec
def mashkit_register_weights() -> Iterable[WeightFile]:  # type: ignore[empty-body]
    """Return the weight files of this plugin's components. Called when a list of them is needed: `mashkit models`."""


@hookspec
def mashkit_register_tasks() -> Iterable[TaskInfo]:  # type: ignore[empty-body]
    """Return this plugin's tasks for the benchmark. Called when a list of them is needed: `mashkit bench`."""


@hookspec
def mashkit_register_collections() -> Iterable[CollectionInfo]:  # type: ignore[empty-body]
    """Return this plugin's collections for the benchmark. Called when a list of them is needed: `mashkit bench`."""


@hookspec
def mashkit_register_suites() -> Iterable[Traversable]:  # type: ignore[empty-body]
    """Return the TOML files of this plugin's suites, as paths or resources of a package (``importlib.resources``).

    Called when a list of suites is needed: `mashkit bench`.
    """


@hookspec
def mashkit_register_commands() -> Iterable[Command]:  # type: ignore[empty-body]
    """Return this plugin's commands for the command line. Called once, when plugins are discovered."""


@hookspec(firstresult=True)
def mashkit_load_audio(path: Path) -> Audio | None:
    """Decode a file at its own sample rate, or return None; then the next plugin, and at last soundfile, decodes it.

    Any other result or an error is reported as the failure of this file only.
    """


@hookspec
def mashkit_stage(event: StageEvent) -> None:
    """Receive an event of progress. Called in the main process.

    If this hook raises an error, the error is reported and the hook is not called again.
    """
