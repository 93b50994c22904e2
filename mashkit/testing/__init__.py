"""Provide contract tests for every kind of component, and test signals with known properties, for plugin authors.

The contracts are imported on first use, because they need pytest; signals and synthetic songs do not need it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mashkit.testing.contracts import (
        AnalyzerContract,
        ExecutorContract,
        GeneratorContract,
        ScorerContract,
        SeparatorContract,
        StretcherContract,
    )

__all__ = [
    "AnalyzerContract", "ExecutorContract", "GeneratorContract", "ScorerContract", "SeparatorContract",
    "StretcherContract",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from mashkit.testing import contracts

    return getattr(contracts, name)
