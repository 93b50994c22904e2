"""mashkit: make, study and judge music mashups, with every backend swappable.

The names below are imported on first use, so that `import mashkit` and `mashkit --help` stay fast.

Examples
--------
>>> import mashkit as mk
>>> mk.__version__.count(".")
2
>>> mk.Key.parse("8A").semitones_to(mk.Key.parse("C# minor"))
4
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mashkit import errors
    from mashkit.audio.files import load, save
    from mashkit.catalog import Catalog, MashupDB
    from mashkit.catalog.excerpts import Excerpt, ExcerptPolicy
    from mashkit.catalog.songs import Song
    from mashkit.components import ComponentInfo
    from mashkit.conditions import Promise
    from mashkit.errors import (
        AnalysisError,
        AudioError,
        AudioFileError,
        BrokenPlugin,
        CatalogError,
        ComponentError,
        ComponentFailed,
        ComponentUnavailable,
        ContractViolation,
        DuplicateComponent,
        FileError,
        GenerationError,
        LabelError,
        MashkitError,
        OptionError,
        OutputError,
        PlanError,
        PluginWarning,
        StemError,
        TimeMapError,
        Unforeseen,
        UnknownComponent,
        UsageError,
    )
    from mashkit.generation import Mixture, Recipe
    from mashkit.hookspecs import Command, StageEvent, hookimpl
    from mashkit.interfaces import Analyzer, Executor, Generator, Scorer, Separator, Stretcher
    from mashkit.interfaces.executor import Job, Outcome, Pool, Work
    from mashkit.mashup import ClipSource, Mashup
    from mashkit.pipeline import Kit, Ranked
    from mashkit.registry import Registry
    from mashkit.rendering.renderer import Renderer
    from mashkit.types import (
        Analysis,
        Audio,
        Chords,
        Clip,
        Condition,
        Finish,
        Key,
        Layer,
        MashupPlan,
        Melody,
        Mixing,
        Role,
        Score,
        StemSet,
    )
    from mashkit.types.timemap import TimeMap

    __version__: str

_HOME = {
    "mashkit.audio.files": ("load", "save"),
    "mashkit.catalog": ("Catalog", "MashupDB"),
    "mashkit.catalog.excerpts": ("Excerpt", "ExcerptPolicy"),
    "mashkit.catalog.songs": ("Song",),
    "mashkit.components": ("ComponentInfo",),
    "mashkit.conditions": ("Promise",),
    "mashkit.errors": (
        "AnalysisError", "AudioError", "AudioFileError", "BrokenPlugin", "CatalogError", "ComponentError",
        "ComponentFailed", "ComponentUnavailable", "ContractViolation", "DuplicateComponent", "FileError",
        "GenerationError", "LabelError", "MashkitError", "OptionError", "OutputError", "PlanError", "PluginWarning",
        "StemError", "TimeMapError", "Unforeseen", "UnknownComponent", "UsageError",
    ),
    "mashkit.generation": ("Mixture", "Recipe"),
    "mashkit.hookspecs": ("Command", "StageEvent", "hookimpl"),
    "mashkit.interfaces": ("Analyzer", "Executor", "Generator", "Scorer", "Separator", "Stretcher"),
    "mashkit.interfaces.executor": ("Job", "Outcome", "Pool", "Work"),
    "mashkit.mashup": ("ClipSource", "Mashup"),
    "mashkit.pipeline": ("Kit", "Ranked"),
    "mashkit.registry": ("Registry",),
    "mashkit.rendering.renderer": ("Renderer",),
    "mashkit.types.timemap": ("TimeMap",),
    "mashkit.types": (
        "Analysis", "Audio", "Chords", "Clip", "Condition", "Finish", "Key", "Layer", "MashupPlan", "Melody", "Mixing",
        "Role", "Score", "StemSet",
    ),
}  # fmt: skip
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "Analysis",
    "AnalysisError",
    "Analyzer",
    "Audio",
    "AudioError",
    "AudioFileError",
    "BrokenPlugin",
    "Catalog",
    "CatalogError",
    "Chords",
    "Clip",
    "ClipSource",
    "Command",
    "ComponentError",
    "ComponentFailed",
    "ComponentInfo",
    "ComponentUnavailable",
    "Condition",
    "ContractViolation",
    "DuplicateComponent",
    "Excerpt",
    "ExcerptPolicy",
    "Executor",
    "FileError",
    "Finish",
    "GenerationError",
    "Generator",
    "Job",
    "Key",
    "Kit",
    "LabelError",
    "Layer",
    "MashkitError",
    "Mashup",
    "MashupDB",
    "MashupPlan",
    "Melody",
    "Mixing",
    "Mixture",
    "OptionError",
    "Outcome",
    "OutputError",
    "PlanError",
    "PluginWarning",
    "Pool",
    "Promise",
    "Ranked",
    "Recipe",
    "Registry",
    "Renderer",
    "Role",
    "Score",
    "Scorer",
    "Separator",
    "Song",
    "StageEvent",
    "StemError",
    "StemSet",
    "Stretcher",
    "TimeMap",
    "TimeMapError",
    "Unforeseen",
    "UnknownComponent",
    "UsageError",
    "Work",
    "__version__",
    "errors",
    "hookimpl",
    "load",
    "save",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        return getattr(importlib.import_module(_MODULE_OF[name]), name)
    if name == "errors":
        return importlib.import_module("mashkit.errors")
    if name == "__version__":
        from importlib.metadata import version

        return version("mashkit")
    raise AttributeError(f"module 'mashkit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
