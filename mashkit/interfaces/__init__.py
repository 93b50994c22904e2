"""The six interfaces that a plugin can implement. Public methods check; a plugin implements the underscored methods."""

from mashkit.interfaces.analyzer import Analyzer
from mashkit.interfaces.executor import Executor
from mashkit.interfaces.generator import Generator
from mashkit.interfaces.scorer import Scorer
from mashkit.interfaces.separator import Separator
from mashkit.interfaces.stretcher import Stretcher

INTERFACES = {cls.kind: cls for cls in (Separator, Analyzer, Stretcher, Scorer, Generator, Executor)}
"""Kind → its abstract base class."""

__all__ = ["INTERFACES", "Analyzer", "Executor", "Generator", "Scorer", "Separator", "Stretcher"]
