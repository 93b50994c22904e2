"""For components that run on torch: where it computes, and under which conditions.

The core needs no torch: it is imported on use.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from mashkit.components import cost_only
from mashkit.errors import OptionError

DEVICE = cost_only("cpu", "cuda", "mps")
"""Metadata of an option ``device``: ``attrs.field(default="cpu", converter=known_device, metadata=DEVICE)``."""


def known_device(value: object) -> str:
    """Convert an option (attrs): return the device, "auto" resolved, if torch has it.

    Parameters
    ----------
    value : str
        "cpu", "cuda", "cuda:<number>", "mps", or "auto": the first there is of CUDA, MPS and CPU.

    Raises
    ------
    OptionError
        If it is no device, or one that is not here.
    """
    import torch

    name, _, index = str(value).partition(":")
    if name not in ("auto", "cpu", "cuda", "mps") or (index and not (name == "cuda" and index.isdecimal())):
        raise OptionError(f"device is {value!r}", 'give "auto", "cpu", "cuda", "cuda:<number>" or "mps"')
    has_mps = torch.backends.mps.is_available()
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "mps" if has_mps else "cpu"
    if name == "cuda" and torch.cuda.device_count() <= int(index or 0):
        raise OptionError(
            f"device is {value!r}, but torch {torch.__version__} finds {torch.cuda.device_count()} CUDA devices here",
            'use "cpu" or "auto", or install a build of torch for this machine\'s CUDA',
        )
    if name == "mps" and not has_mps:
        raise OptionError(f"device is 'mps', but torch {torch.__version__} finds none here", 'use "cpu" or "auto"')
    return str(value)


@contextlib.contextmanager
def inference(threads: int | None = None) -> Iterator[None]:
    """Let torch infer, not train, and give the same result every time, rounded as float32 is.

    Without this, convolutions on recent GPUs round their factors to ten bits (TF32), and pick their algorithm by how
    long each took just now.

    Parameters
    ----------
    threads : int, optional
        CPU threads torch may use meanwhile; by default its own setting.
    """
    import torch

    before: Any = torch.get_num_threads()
    with (
        torch.inference_mode(),
        torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False),
    ):
        if threads is None:
            yield
            return
        torch.set_num_threads(threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def gpus_used(device: str) -> float:
    """Return how many GPUs a component on that device keeps busy: what :attr:`Component.gpus` is to say."""
    return 0.0 if device.partition(":")[0] == "cpu" else 1.0
