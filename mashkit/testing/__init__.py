"""Provide contract tests for every kind of component, and test signals with known properties, for plugin authors.

The contracts are imported on first use, because they need pytest; the signals, which are those of
:mod:`mashkit.synthetic`, do not need it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mashkit.synthetic import signals
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
    "StretcherContract", "signals",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "signals":
        from mashkit.synthetic import signals

        return signals
    from mashkit.testing import contracts

    return getattr(contracts, name)
