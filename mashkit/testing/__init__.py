"""For plugin authors: contracts every component keeps, and signals with known answers to test on."""

from mashkit.testing.contracts import (
    AnalyzerContract,
    GeneratorContract,
    ScorerContract,
    SeparatorContract,
    StretcherContract,
)

__all__ = ["AnalyzerContract", "GeneratorContract", "ScorerContract", "SeparatorContract", "StretcherContract"]
