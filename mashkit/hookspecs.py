"""The hooks of mashkit: what a plugin may implement. A plugin is a module named by an entry point of group "mashkit".

Its import must stay light (ComponentInfo and these hooks only): it happens on every command that lists components.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import attrs
import pluggy

from mashkit.components import ComponentInfo
from mashkit.models import WeightFile
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


@hookspec(firstresult=True)
def mashkit_load_audio(path: Path) -> Audio | None:
    """Decode a file at its own rate, or return None to let the next plugin, and at last soundfile, try."""


@hookspec
def mashkit_stage(event: StageEvent) -> None:
    """Hear of progress. Called in the main process; what it raises is not caught, so keep it harmless."""
