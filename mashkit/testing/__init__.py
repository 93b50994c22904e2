"""For plugin authors: contracts every component keeps, and signals with known answers to test on.

Contracts need pytest and are imported when they are asked for: signals and synthetic songs serve without it.
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
