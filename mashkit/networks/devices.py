"""Choose the device and the settings of torch for components that use it.

torch is imported on first use, because the core does not need it.
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
    """Convert an attrs field: return the device if torch has it; "auto" becomes a device.

    Parameters
    ----------
    value : str
        "cpu", "cuda", "cuda:<number>", "mps", or "auto": the first available of CUDA, MPS and CPU.

    Raises
    ------
    OptionError
        If the value is not a device, or the device is not available.
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
    """Run torch in inference mode with the same result every time, at the precision of float32.

    Without these settings, convolutions on recent GPUs round their factors to ten bits (TF32), and choose their
    algorithm by measured time.

    Parameters
    ----------
    threads : int, optional
        Number of torch's CPU threads in the block; by default torch's own setting.
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
    """Return the number of GPUs that a component on that device uses: the value for :attr:`Component.gpus`."""
    return 0.0 if device.partition(":")[0] == "cpu" else 1.0
