"""mashkit: make, study and judge music mashups, with every backend swappable.

The names below are imported on first use: `import mashkit` and `mashkit --help` stay fast.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mashkit.audiofile import load, save
    from mashkit.catalog import Catalog, MashupDB
    from mashkit.components import ComponentInfo
    from mashkit.generation import Mixture, Recipe
    from mashkit.hookspecs import Command, hookimpl
    from mashkit.interfaces import Analyzer, Executor, Generator, Scorer, Separator, Stretcher
    from mashkit.interfaces.executor import Job, Outcome, Pool, Work
    from mashkit.pipeline import Kit, Ranked
    from mashkit.registry import Registry
    from mashkit.render import Mashup
    from mashkit.timemap import TimeMap
    from mashkit.types import Analysis, Audio, Clip, Condition, Key, Layer, MashupPlan, Mixing, Role, Score, StemSet

_HOME = {
    "mashkit.audiofile": ("load", "save"),
    "mashkit.catalog": ("Catalog", "MashupDB"),
    "mashkit.components": ("ComponentInfo",),
    "mashkit.generation": ("Mixture", "Recipe"),
    "mashkit.hookspecs": ("Command", "hookimpl"),
    "mashkit.interfaces": ("Analyzer", "Executor", "Generator", "Scorer", "Separator", "Stretcher"),
    "mashkit.interfaces.executor": ("Job", "Outcome", "Pool", "Work"),
    "mashkit.pipeline": ("Kit", "Ranked"),
    "mashkit.registry": ("Registry",),
    "mashkit.render": ("Mashup",),
    "mashkit.timemap": ("TimeMap",),
    "mashkit.types": (
        "Analysis", "Audio", "Clip", "Condition", "Key", "Layer", "MashupPlan", "Mixing", "Role", "Score", "StemSet",
    ),
}  # fmt: skip
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "Analysis", "Analyzer", "Audio", "Catalog", "Clip", "Command", "ComponentInfo", "Condition", "Executor",
    "Generator", "Job", "Key", "Kit", "Layer", "Mashup", "MashupDB", "MashupPlan", "Mixing", "Mixture", "Outcome",
    "Pool", "Ranked", "Recipe", "Registry", "Role", "Score", "Scorer", "Separator", "StemSet", "Stretcher", "TimeMap",
    "Work", "hookimpl", "load", "save",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        return getattr(importlib.import_module(_MODULE_OF[name]), name)
    raise AttributeError(f"module 'mashkit' has no attribute {name!r}")
