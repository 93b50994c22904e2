"""The small world of toy.py, importable by that name here and in the processes tests start."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

HERE = Path(__file__).parent

_spec = importlib.util.spec_from_file_location("toy", HERE / "toy.py")
assert _spec is not None
assert _spec.loader is not None
_module = importlib.util.module_from_spec(_spec)
sys.modules["toy"] = _module
_spec.loader.exec_module(_module)
