"""For plugin authors: contracts every component keeps, and signals with known answers to test on.

Contracts need pytest and are imported when they are asked for: the signals, which are those of
:mod:`mashkit.synthetic`, serve without it.
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
