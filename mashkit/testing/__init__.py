"""For plugin authors: contracts every component keeps, and signals with known answers to test on."""

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
