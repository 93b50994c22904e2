"""Provide test classes with the requirements for components of each kind.

A plugin's whole contract test is::

    from mashkit.testing import StretcherContract


    class TestAcme(StretcherContract):
        component = "acme"

The component is created by name through the registry, so the entry point is tested too; if the component is not
available, its tests are skipped with the reason. Checks cannot be overridden. Checks of the quality of the results
("sanity") may be excused, and are then expected to fail::

    class TestAcme(StretcherContract):
        component = "acme"
        xfail = {"test_channels_do_not_leak": "stretches mid and side"}
"""

from mashkit.synthetic.source import SyntheticSource
from mashkit.testing.contracts.analyzer import AnalyzerContract
from mashkit.testing.contracts.component import ComponentContract
from mashkit.testing.contracts.executor import ExecutorContract
from mashkit.testing.contracts.generator import GeneratorContract
from mashkit.testing.contracts.scorer import ScorerContract
from mashkit.testing.contracts.separator import SeparatorContract
from mashkit.testing.contracts.stretcher import StretcherContract

__all__ = [
    "AnalyzerContract", "ComponentContract", "ExecutorContract", "GeneratorContract", "ScorerContract",
    "SeparatorContract", "StretcherContract", "SyntheticSource",
]  # fmt: skip
