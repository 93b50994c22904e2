"""The import of openunmix's model classes, with or without torchaudio.

openunmix always imports torchaudio, but needs it only to read and resample files in training, not to separate. With a
torch without CUDA, PyPI's torchaudio does not load. Then an empty module replaces torchaudio while openunmix is
imported, and is removed afterwards.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
import types
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def torchaudio_or_nothing() -> Iterator[None]:
    """Let ``import torchaudio`` succeed inside the block: with the real module if it loads, else with an empty one."""
    before = set(sys.modules)
    try:
        importlib.import_module("torchaudio")
    except (ImportError, OSError, RuntimeError):  # not installed, its library does not load, or made for another torch
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchaudio" and name not in before]:
            del sys.modules[name]
    else:
        yield
        return
    stand_in = sys.modules["torchaudio"] = types.ModuleType("torchaudio")
    try:
        yield
    finally:
        if sys.modules.get("torchaudio") is stand_in:
            del sys.modules["torchaudio"]


def _model() -> Any:
    if "openunmix.model" in sys.modules:
        return sys.modules["openunmix.model"]
    with torchaudio_or_nothing():
        return importlib.import_module("openunmix.model")


_model_module = _model()
OpenUnmix: Any = _model_module.OpenUnmix
Separator: Any = _model_module.Separator
