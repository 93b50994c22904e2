"""A trained network in one safetensors file: its weights in half precision, its size, and its training record."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import torch
from torch import Tensor

from mashkit.networks.checkpoints import CheckpointError, is_finite, read_checkpoint, write_checkpoint
from mashkit_stemnet.network import Size, StemNet, fused

FORMAT = 1
_KEY = "mashkit-stemnet"
_FIX = "give a checkpoint that `mashkit train-separator` wrote"


@attrs.frozen(kw_only=True, eq=False)
class Checkpoint:
    """A trained network's size, weights (float32) and the record of its training."""

    size: Size
    weights: Mapping[str, Tensor] = attrs.field(repr=False)
    training: Mapping[str, Any] = attrs.field(factory=dict, repr=False)

    def network(self, device: str | torch.device = "cpu") -> StemNet:
        """Return the network in evaluation mode, with fused layers; it cannot be trained further."""
        with torch.device("meta"):
            network = StemNet(self.size)
        network.to_empty(device=device).load_state_dict(dict(self.weights))
        return fused(network.eval())


def save(path: Path, network: StemNet, training: Mapping[str, Any]) -> None:
    """Write a network; weights become float16, the statistics of batch normalisation stay float32.

    Raises
    ------
    OptionError
        If weights are not finite, or beyond the range of float16.
    OutputError
        If the file cannot be written, or the disk is full.
    """
    described = {"format": FORMAT, "size": attrs.asdict(network.size), "training": dict(training)}
    weights = {name: tensor.detach().cpu() for name, tensor in network.state_dict().items()}
    write_checkpoint(path, _KEY, described, weights)


def load(path: Path) -> Checkpoint:
    """Read a checkpoint and check that a network can be made from it.

    Raises
    ------
    CheckpointError
        If the file is missing, is pickled (which could run code), is damaged, is not from mashkit-stemnet, or has a
        newer format.
    """
    described, weights = read_checkpoint(path, _KEY, _FIX)
    try:
        if described["format"] > FORMAT:
            raise CheckpointError(path, f"has format {described['format']}", "pip install -U mashkit-stemnet")
        size = Size(**described["size"])
        with torch.device("meta"):
            due = {name: value.shape for name, value in StemNet(size).state_dict().items()}
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(path, f"is damaged, or is not a checkpoint: {error}", _FIX) from error
    if due != {name: value.shape for name, value in weights.items()}:
        raise CheckpointError(path, "its weights do not fit the network that it describes", _FIX)
    floats = {name: value.float() if value.is_floating_point() else value for name, value in weights.items()}
    if not all(map(is_finite, floats.values())):
        raise CheckpointError(path, "has weights that are not finite", _FIX)
    return Checkpoint(size=size, weights=floats, training=described["training"])
