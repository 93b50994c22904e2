"""Write checkpoints of torch networks, and read them without running code in them.

Checkpoints of mashkit's networks are safetensors files, which hold only numbers and text. All other data are one JSON
text in the file's metadata, under the name of the package that wrote the file. :func:`write_checkpoint` writes such a
file, with the weights in half precision. :func:`read_checkpoint` recognizes a pickled checkpoint by its first bytes and
refuses it. :func:`read_pickled` is for the checkpoints of other programs.
"""

from __future__ import annotations

import hashlib
import io
import json
import pickle
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mashkit.atomicfile import replacing
from mashkit.errors import ComponentUnavailable, FileError, OptionError, UsageError
from mashkit.models import ModelError

if TYPE_CHECKING:
    from torch import Tensor

_PICKLED = (b"PK\x03\x04", *(b"\x80" + bytes([protocol]) for protocol in range(2, 6)))
_HALVES = (".weight", ".bias")
"""Ends of the names of tensors that are written in half precision; batch normalisation's statistics stay in float32."""


class CheckpointError(FileError, ModelError):
    """A checkpoint that cannot be used."""


def halved(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights and biases in float16, and the other tensors, such as statistics, as they are.

    Raises
    ------
    OptionError
        If a weight is beyond float16's range, ±65,504.
    """
    made = {name: _half(name, tensor) for name, tensor in weights.items()}
    for name, tensor in made.items():
        if not is_finite(tensor) and is_finite(weights[name]):
            raise OptionError(f"weights {name} are beyond the range of float16", "save in single precision")
    return made


def is_finite(tensor: Tensor) -> bool:
    """Return whether a tensor has no NaN and no infinite number."""
    import torch

    return not tensor.is_floating_point() or bool(torch.isfinite(tensor).all())


def require_finite(weights: Mapping[str, Tensor]) -> None:
    """Raise OptionError if a weight is NaN or infinite."""
    for name, tensor in weights.items():
        if not is_finite(tensor):
            raise OptionError(f"weights {name} are not finite", "train anew, from before the loss became NaN")


def _half(name: str, tensor: Tensor) -> Tensor:
    return tensor.half() if name.endswith(_HALVES) and tensor.is_floating_point() else tensor


def write_checkpoint(
    path: Path, package: str, described: Mapping[str, Any], weights: Mapping[str, Tensor], *, half: bool = True
) -> None:
    """Write a checkpoint that :func:`read_checkpoint` reads: the whole file, or none of it.

    Parameters
    ----------
    path : Path
    package : str
        The package that writes it: "mashkit-mashnet".
    described : mapping
        All data but the weights, as data for JSON.
    weights : mapping of str to Tensor
        On the CPU.
    half : bool
        Write the weights as :func:`halved` makes them.

    Raises
    ------
    OutputError
        If the file cannot be written, or the disk is full.
    OptionError
        If weights are NaN, infinite, or, in half precision, too large.
    UsageError
        If ``described`` is not data for JSON (JSON has no NaN).
    """
    import safetensors.torch

    require_finite(weights)
    tensors = {name: tensor.contiguous() for name, tensor in (halved(weights) if half else weights).items()}
    try:
        text = json.dumps(described, allow_nan=False, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise UsageError(f"a training record that is not data for JSON: {error}") from error
    # One key, because safetensors does not keep the order of keys, and equal files are wanted.
    content = safetensors.torch.save(tensors, {package: text})
    with replacing(path) as temporary:
        temporary.write_bytes(content)


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
