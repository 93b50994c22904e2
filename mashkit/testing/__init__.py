"""Provide contract tests for every kind of component, and test signals with known properties, for plugin authors.

Each contract is imported on first use, because it needs pytest, and a worker process that runs functions of one
contract does not wait for the imports of the others. The signals, which are those of :mod:`mashkit.synthetic`, do not
need pytest.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mashkit.synthetic import signals
    from mashkit.testing.contracts.analyzer import AnalyzerContract
    from mashkit.testing.contracts.executor import ExecutorContract
    from mashkit.testing.contracts.generator import GeneratorContract
    from mashkit.testing.contracts.scorer import ScorerContract
    from mashkit.testing.contracts.separator import SeparatorContract
    from mashkit.testing.contracts.stretcher import StretcherContract

__all__ = [
    "AnalyzerContract", "ExecutorContract", "GeneratorContract", "ScorerContract", "SeparatorContract",
    "StretcherContract", "signals",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "signals":
        from mashkit.synthetic import signals

        return signals
    kind = name.removesuffix("Contract").lower()
    return getattr(importlib.import_module(f"mashkit.testing.contracts.{kind}"), name)
