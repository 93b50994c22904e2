"""Read checkpoints of torch networks without running code in them.

Checkpoints of mashkit's networks are safetensors files, which hold only numbers and text. All other data are one JSON
text in the file's metadata, under the name of the package that wrote the file. :func:`read_checkpoint` recognizes a
pickled checkpoint by its first bytes and refuses it. :func:`read_pickled` is for the checkpoints of other programs.
"""

from __future__ import annotations

import hashlib
import io
import json
import pickle
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mashkit.errors import ComponentUnavailable, FileError
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


def read_pickled(
    path: Path, *, sha256: str = "", classes: Sequence[Any] = (), trusted: Collection[str] | None = None,
    fix: str = "fetch it again",
) -> Any:  # fmt: skip
    """Return the data of a checkpoint that torch pickled, on the CPU.

    Parameters
    ----------
    path : Path
    sha256 : str
        The beginning of the hash that the file must have; empty if it may have any.
    classes : sequence
        What a file may contain besides tensors and plain data, as for :func:`torch.serialization.safe_globals`.
    trusted : collection of str, optional
        The component's option ``trusted_sha256``, if it has one: hashes of files that may run code.
    fix : str
        The fix of the errors.

    Raises
    ------
    ComponentUnavailable
        If the file cannot be read, has another hash, is damaged, or contains what could run code.
    """
    import torch

    try:
        content = path.read_bytes()
    except OSError as error:
        raise ComponentUnavailable(f"{path}: cannot be read: {error.strerror}", fix) from error
    digest = hashlib.sha256(content).hexdigest()
    if not digest.startswith(sha256):
        raise ComponentUnavailable(f"{path}: has wrong content: its sha256 is {digest}, not {sha256}", fix)
    # The hashed bytes are read, not the file again, because the file might change in between.
    try:
        with torch.serialization.safe_globals([*classes]):
            return torch.load(io.BytesIO(content), map_location="cpu", weights_only=digest not in (trusted or ()))
    except (pickle.UnpicklingError, EOFError, RuntimeError) as error:
        # Of torch's long text, only the part that names the refused object.
        said = str(error).rpartition("WeightsUnpickler error: ")[2].strip() or type(error).__name__
        trust = "" if trusted is None else f'; if you trust its author, give the option trusted_sha256=["{digest}"]'
        raise ComponentUnavailable(
            f"{path}: is damaged, or holds more than weights and was not read, because that could run any code: "
            f"{said.splitlines()[0].partition(' was not an allowed')[0]}",
            fix + trust,
        ) from error
