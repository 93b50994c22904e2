"""Read checkpoints of torch networks from safetensors files, which hold only numbers and text and cannot run code.

All other data are one JSON text in the file's metadata, under the name of the package that wrote the file. Pickled
checkpoints are recognized by their first bytes and refused without being read.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mashkit.errors import FileError
from mashkit.models import ModelError

if TYPE_CHECKING:
    from torch import Tensor

_PICKLED = (b"PK\x03\x04", *(b"\x80" + bytes([protocol]) for protocol in range(2, 6)))


class CheckpointError(FileError, ModelError):
    """A checkpoint that cannot be used."""


def read_checkpoint(path: Path, package: str, fix: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return a checkpoint's data from the metadata, and its tensors, on the CPU.

    Parameters
    ----------
    path : Path
    package : str
        The package that wrote it: "mashkit-mashnet".
    fix : str
        The fix of the error for a file that is not such a checkpoint.

    Raises
    ------
    CheckpointError
        If it is missing, pickled, damaged, not a safetensors file, or not of that package.
    """
    import safetensors

    try:
        with path.open("rb") as file:
            start = file.read(4)
    except OSError as error:
        raise CheckpointError(path, f"cannot be read: {error.strerror}", "name the file of a checkpoint") from error
    if start.startswith(_PICKLED):
        raise CheckpointError(path, "is a pickled checkpoint, which was not opened because it could run any code", fix)
    try:
        with safetensors.safe_open(path, "pt") as file:
            text = (file.metadata() or {}).get(package)
            if text is None:
                raise CheckpointError(path, f"is a safetensors file, but not of {package}", fix)
            described = json.loads(text)
            if not isinstance(described, dict):
                raise ValueError(f"its metadata is {type(described).__name__}, not an object")
            return described, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 — no dict
    except (safetensors.SafetensorError, ValueError) as error:
        raise CheckpointError(path, f"is damaged, or is not a safetensors file: {error}", fix) from error
