"""Checkpoints of Beat This!: found on this machine, verified, and read without running code in them.

beat_this's own loader downloads a file that is missing, and its module imports torchaudio, which often does not load
beside a CPU build of torch. This module does neither.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import torch
from beat_this.model.beat_tracker import BeatThis  # type: ignore[import-untyped]
from beat_this.utils import replace_state_dict_key  # type: ignore[import-untyped]

from mashkit.errors import ComponentUnavailable
from mashkit.models import file_sha256, models_folder
from mashkit.networks.checkpoints import read_pickled
from mashkit_beat_this import WEIGHTS

KNOWN = {weights.model: weights for weights in WEIGHTS}
"""Released model → its file."""

_PARAMETERS = frozenset(inspect.signature(BeatThis).parameters)


@attrs.frozen
class Checkpoint:
    """The file of a model.

    Parameters
    ----------
    path : Path
    sha256 : str
        The hash that it must have; empty for a model of one's own.
    """

    path: Path
    sha256: str = ""

    def hashes(self) -> Mapping[str, str]:
        """Return file name → sha256."""
        return {self.path.name: file_sha256(self.path)}


def find(model: str, folder: Path | None) -> Checkpoint:
    """Return the file of a model.

    Parameters
    ----------
    model : str
        A released model, or with a folder any name: the file is ``<model>.ckpt``.
    folder : Path, optional
        Where the file is. By default the folder of `mashkit models` is searched, then torch.hub's cache, which
        beat_this fills.

    Raises
    ------
    ComponentUnavailable
        If the file is not there.
    """
    if folder is not None:
        path = folder / f"{model}.ckpt"
        if not path.is_file():
            raise ComponentUnavailable(f"{path}: no such file, for Beat This!", "check the options model and folder")
        return Checkpoint(path)
    if model not in KNOWN:
        raise ComponentUnavailable(
            f"{model!r} is not a model of Beat This! that mashkit supports: {', '.join(KNOWN)}",
            f"give one of these, or the folder of {model}.ckpt as option folder",
        )
    places = (
        models_folder() / KNOWN[model].name,
        Path(torch.hub.get_dir()) / "checkpoints" / f"beat_this-{model}.ckpt",
    )
    for path in places:
        if path.is_file():
            return Checkpoint(path, KNOWN[model].sha256)
    raise ComponentUnavailable(
        f"the weights of Beat This! {model} are not here: looked for {' and '.join(map(str, places))}; mashkit "
        "downloads nothing by itself",
        f"mashkit models pull {KNOWN[model].name}, or give a folder that holds {model}.ckpt as option folder",
    )


def load(checkpoint: Checkpoint) -> Any:
    """Return the network of a checkpoint, on the CPU, in evaluation mode.

    Raises
    ------
    ComponentUnavailable
        If the file has another hash than the released one, holds more than weights and settings, or does not hold the
        weights of the network that it describes.
    """
    path = checkpoint.path
    saved = read_pickled(path, sha256=checkpoint.sha256)
    if not isinstance(saved, dict) or not all(isinstance(saved.get(one), dict) for one in _PARTS):
        raise ComponentUnavailable(
            f"{path}: is not a checkpoint of Beat This!", f"save a dict of {' and '.join(_PARTS)}"
        )
    settings = {name: value for name, value in saved["hyper_parameters"].items() if name in _PARAMETERS}
    state = replace_state_dict_key(dict(saved["state_dict"]), "model.", "")
    # A forked generator, because the network draws initial weights, and the caller's generator must not change.
    with torch.random.fork_rng(devices=[]):
        try:
            network = BeatThis(**settings)
            network.load_state_dict(state, strict=True)
        except (RuntimeError, TypeError, ValueError, AssertionError, KeyError) as error:
            raise ComponentUnavailable(
                f"{path}: does not hold the weights of the network that it describes: {error}", "fetch it again"
            ) from error
    return network.eval().requires_grad_(False)


_PARTS = ("hyper_parameters", "state_dict")
