"""The state of a run in its folder: a run that is killed at any moment is resumed from it.

The file holds the network, the optimizer, the state of the random generators, and the progress: the best network so far
and the rows of the logs. A batch depends on its number alone (:class:`mashkit_mashnet_train.batches.TrainingData`), so
no state of the data is saved. A run of another version is resumed if the file has the same format and the settings are
the same; otherwise it is refused.
"""

from __future__ import annotations

import hashlib
import io
import json
import random
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor, nn

from mashkit.atomicfile import replacing
from mashkit_mashnet_train.batches import TrainingData
from mashkit_mashnet_train.training.config import TrainingConfig
from mashkit_mashnet_train.training.errors import TrainingError

STATE = "state.pt"
"""The file in a run's folder from which the run is resumed."""
STATE_FORMAT = 1
"""Version of the file; a file of another version is refused."""
LONG = 40
"""Characters of a value that is shown in the message of a refused run."""
FREE = frozenset({"steps", "workers", "checkpoint_steps", "checkpoint_seconds"})
"""Settings that may change when a run is resumed, because no computed value depends on them."""


def require_unused(folder: Path, names: Iterable[str]) -> None:
    """Raise TrainingError if a new run would replace files of these names; a run with a state is resumed instead."""
    found = [name for name in names if (folder / name).exists()]
    if found and not (folder / STATE).exists():
        raise TrainingError(
            f"{folder} has {', '.join(found)}, but no {STATE} of a run that could be resumed",
            "choose another folder, or move these files away",
        )


@attrs.define(eq=False)
class Progress:
    """What a run has done so far: all of its state except the network, the optimizer and the random generators.

    Parameters
    ----------
    step : int
        Number of steps trained.
    best_step : int
        The step after which the network was best on the validation songs; 0 before the first validation.
    best : dict of str to Tensor
        State dict of that network, in CPU memory.
    average : dict of str to Tensor
        The moving average of the weights; empty if the settings have none.
    curve : list of dict
        One row for each validation.
    losses : list of list of float
        The rows of the loss log.
    recent : list of list of float
        Losses of the steps since the last row of the loss log.
    unvalidated : list of float
        Losses of the steps since the last validation.
    seconds : float
        Time that training and validation took.
    waited : float
        Part of this time in which the next batch was not ready.
    stopped : {"", "steps", "patience"}
        Why training stopped; empty while it goes on.
    """

    step: int = 0
    best_step: int = 0
    best: dict[str, Tensor] = attrs.field(factory=dict)
    average: dict[str, Tensor] = attrs.field(factory=dict)
    curve: list[dict[str, Any]] = attrs.field(factory=list)
    losses: list[list[float]] = attrs.field(factory=list)
    recent: list[list[float]] = attrs.field(factory=list)
    unvalidated: list[float] = attrs.field(factory=list)
    seconds: float = 0.0
    waited: float = 0.0
    stopped: str = ""


PRECISION = frozenset({"precision", "channels_last"})
"""Settings that a resumed run takes from its state if its precision is "auto"."""
_PARTS = {"config", "data", "network", "model", "optimizer", "precision", "random", *attrs.fields_dict(Progress)} - {
    "waited",
    "average",
}
# A state may lack "waited", "average" and "summary": it can be resumed without them.


def _random() -> dict[str, Any]:
    """Return the states of all global random generators, as plain data and tensors."""
    _, keys, *rest = np.random.get_state()  # noqa: NPY002 — a network may use it
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": [torch.from_numpy(np.asarray(keys, np.int64)), *rest],
        "python": random.getstate(),
    }


def _restore_random(data: Mapping[str, Any]) -> None:
    torch.set_rng_state(data["torch"])
    if data["cuda"]:
        torch.cuda.set_rng_state_all(data["cuda"])
    keys, *rest = data["numpy"]
    np.random.set_state(("MT19937", keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    random.setstate(data["python"])


def _signature(network: nn.Module) -> str:
    """Return a hash of the names, shapes and types of a network's weights."""
    told = [f"{name} {tuple(value.shape)} {value.dtype}" for name, value in network.state_dict().items()]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()


def write(
    folder: Path,
    progress: Progress,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    precision: Mapping[str, Any],
    config: TrainingConfig,
    data: TrainingData,
    trial: Mapping[str, Any],
) -> None:
    """Write the state of a run into its folder: the whole file, or none of it.

    Parameters
    ----------
    folder : Path
    progress : Progress
    network : Module
    optimizer : Optimizer
    precision : mapping
        The state of Fabric's precision plugin, such as the scale of float16's gradients.
    config : TrainingConfig
    data : TrainingData
    trial : mapping
        What the trial of the arithmetic measured; empty without a trial.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    made = io.BytesIO()  # in memory first, because torch.save reports a full disk only as a failed write
    torch.save(
        {
            "format": STATE_FORMAT,
            "config": config.to_dict(),
            "data": data.fingerprint,
            "summary": json.dumps(dict(data.summary)),
            "network": _signature(network),
            "model": network.state_dict(),
            "optimizer": optimizer.state_dict(),
            "precision": precision,
            "random": _random(),
            "trial": dict(trial),
            **{field.name: getattr(progress, field.name) for field in attrs.fields(Progress)},
        },
        made,
    )
    with replacing(folder / STATE) as temporary:
        temporary.write_bytes(made.getbuffer())


def read(folder: Path) -> dict[str, Any] | None:
    """Return the state of the run in a folder, to be given to :func:`restore`; None if the folder holds no run.

    Raises
    ------
    TrainingError
        If the file is damaged, or this version cannot resume it.
    """
    path, fix = folder / STATE, "remove it, or choose another folder"
    if not path.is_file():
        return None
    try:
        found: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged zip file or another pickle can raise any exception
        raise TrainingError(f"{path} is not the state of a training run: {type(error).__name__}", fix) from error
    if not isinstance(found, dict) or found.get("format") != STATE_FORMAT or not found.keys() >= _PARTS:
        raise TrainingError(f"{path} is not a state that this version can resume", fix)
    return found


def restore(found: Mapping[str, Any], network: nn.Module, optimizer: torch.optim.Optimizer, precision: Any) -> Progress:
    """Give network, optimizer, precision plugin and random generators the state that was read; return the progress."""
    network.load_state_dict(found["model"])
    optimizer.load_state_dict(found["optimizer"])
    precision.load_state_dict(found["precision"])
    _restore_random(found["random"])
    return Progress(**{field.name: found[field.name] for field in attrs.fields(Progress) if field.name in found})


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return what sets two summaries of data apart: names of settings with their values, or names alone if long."""
    if not before:
        return []
    named = {name: (before.get(name), now.get(name)) for name in [*now, *(name for name in before if name not in now)]}
    return [
        f"other {name}" if any(isinstance(one, Mapping) or len(str(one)) > LONG for one in both)
        else f"{name} was {both[0]!r}, is {both[1]!r}"
        for name, both in named.items()
        if both[0] != both[1]
    ]  # fmt: skip


def require_same(
    folder: Path, found: Mapping[str, Any], config: TrainingConfig, data: TrainingData, network: nn.Module
) -> None:
    """Raise TrainingError if the settings, the data or the network differ from those of the run in the folder."""
    before, now = found["config"], config.to_dict()
    free = FREE if config.schedule == "constant" else FREE - {"steps"}  # a cosine rate depends on the number of steps
    # A setting that a state does not name has its default.
    before = {**TrainingConfig().to_dict(), **before}
    told = [
        f"{name} was {before[name]!r}, is {value!r}"
        for name, value in now.items()
        if name not in free and before[name] != value
    ]
    fix = "give what the run was begun with, or choose another folder"
    if told:
        raise TrainingError(f"{folder} holds a run of another configuration: {'; '.join(told)}", fix)
    if found["data"] != data.fingerprint:
        told = _differences(json.loads(found.get("summary", "{}")), json.loads(json.dumps(dict(data.summary))))
        what = f": {'; '.join(told)}" if told else ""
        raise TrainingError(f"{folder} holds a run on other data, or on examples drawn by other rules{what}", fix)
    if found["network"] != _signature(network):
        raise TrainingError(f"{folder} holds a run of another network", fix)
    if config.steps == found["step"] and not found["stopped"]:
        raise TrainingError(
            f"{folder} holds a run that was interrupted after step {found['step']}, before it was validated there",
            f"give more steps, such as the {before['steps']} that it was begun with",
        )
    if config.steps < found["step"]:
        raise TrainingError(f"{folder} holds a run of {found['step']} steps, more than {config.steps}", fix)
    if config.steps > before["steps"] == found["step"] and before["steps"] % config.validation_interval:
        # The saved run was validated at a step where a longer run is not validated.
        raise TrainingError(
            f"{folder} holds a run that ended after {found['step']} steps, between two validations",
            "only one that ends on a multiple of the validation interval can be made longer; choose another folder",
        )
