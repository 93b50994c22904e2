"""Training of a network; a run that is killed at any moment can be resumed and gives the result of an unbroken run.

The run's folder holds the whole run: its state, and its logs, which are written again from the state when the run is
resumed. Lightning Fabric handles devices, precision and processes.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeAlias

import attrs
import numpy as np
import torch
from torch import Tensor, nn

from mashkit.atomicfile import require_possible_folder, require_writable_folder
from mashkit.errors import ComponentUnavailable
from mashkit.hookspecs import StageEvent
from mashkit_mashnet_train.batches import Batch, TrainingData
from mashkit_mashnet_train.losses import loss
from mashkit_mashnet_train.training import state
from mashkit_mashnet_train.training.arithmetic import chosen, put_channels_last
from mashkit_mashnet_train.training.averaging import averaged, holding
from mashkit_mashnet_train.training.config import TrainingConfig, learning_rate
from mashkit_mashnet_train.training.data_check import check_data
from mashkit_mashnet_train.training.errors import TrainingDiverged
from mashkit_mashnet_train.training.loading import batches, moved
from mashkit_mashnet_train.training.lock import LOCK, locked
from mashkit_mashnet_train.training.logs import LOG_STEPS, LOGS, Logs
from mashkit_mashnet_train.training.state import Progress
from mashkit_mashnet_train.training.validation import Metrics, Predictions, metrics, predict

Notify: TypeAlias = Callable[[StageEvent], None]


@attrs.frozen(eq=False)
class TrainingResult:
    """The result of training.

    Parameters
    ----------
    weights : mapping of str to Tensor
        State dict of the network that was best on the validation songs, in CPU memory.
    best : mapping of str to float
        The row of ``curve`` for these weights.
    curve : tuple of mappings
        One row for each validation: the values of :func:`metrics`, "step", and "training_loss", which is the mean loss
        since the row before.
    steps : int
        Number of steps trained.
    stopped : {"steps", "patience"}
        Why training stopped.
    seconds : float
        Time that training and validation took, over all parts of a resumed run.
    validation : Predictions
        Predictions of the best network.
    record : mapping
        Record for the checkpoint, as plain data: config, data, versions, curve.
    """

    weights: Mapping[str, Tensor]
    best: Metrics
    curve: tuple[Metrics, ...]
    steps: int
    stopped: str
    seconds: float
    validation: Predictions
    record: Mapping[str, Any]


def train(
    network: nn.Module,
    data: TrainingData,
    config: TrainingConfig,
    folder: Path,
    notify: Notify | None = None,
) -> TrainingResult:
    """Train a network or resume its training; then it has its best weights, on the CPU, in evaluation mode.

    The same network, data and config give the same result, in one run or in any number of parts. On one CPU the results
    are equal to the bit; on GPUs they are as equal as torch's deterministic algorithms make them. The global random
    generators of torch, numpy and Python are seeded again.

    Parameters
    ----------
    network : Module
        Its ``forward(**batch.inputs)`` returns logits, shape (examples, 2); class 1 is good. A new run starts from its
        weights.
    data : TrainingData
    config : TrainingConfig
    folder : Path
        Folder of this run alone; holds its state and logs. If the folder already holds a run, that run is resumed.
    notify : callable, optional
        Called after every step (stage "train") and every validation (stage "validate").

    Raises
    ------
    TrainingError
        If the data have one class or one song, if the folder holds a run of another configuration, data or network, or
        files of these names that no run wrote, or if another process is training in the folder.
    TrainingDiverged
        If the loss or a weight is not finite; the last saved state is older and finite.
    OutputError
        If the folder cannot be written; the last saved state is complete.
    ComponentUnavailable
        If Lightning Fabric or TensorBoard is not installed.
    """
    try:
        import lightning_fabric
        import torch.utils.tensorboard  # noqa: F401 — a missing package should fail before training, not after an hour
    except ImportError as error:
        raise ComponentUnavailable(
            f"training needs {error.name}, which is not installed", "pip install mashkit-mashnet-train"
        ) from error
    if in_first_process():
        require_writable_folder(folder)
        _require_own(folder)
    with _alone(folder), _deterministic(config):
        found = state.read(folder)
        config, trial = _decided(config, network, data, found)
        validation = functools.cache(data.validation)
        if in_first_process():  # before the others begin, because each of them would tell the error again
            _require_possible(network, data, config, folder, found, validation)
        precision: Any = config.precision  # "auto" was decided
        kind, _, number = config.device.partition(":")
        fabric = lightning_fabric.Fabric(
            accelerator=kind, devices=[int(number)] if number else config.devices, precision=precision
        )
        fabric.launch()
        run = _Run(fabric, network, data, validation(), config, folder, notify or (lambda event: None), found, trial)
        return run.finish()


def check(network: nn.Module, data: TrainingData, config: TrainingConfig, folder: Path) -> None:
    """Raise the errors that :func:`train` would raise before its first step; nothing is written."""
    require_possible_folder(folder)
    _require_own(folder)
    found = state.read(folder)
    if found is not None:
        config, _ = _decided(config, network, data, found)
    _require_possible(network, data, config, folder, found, data.validation)


def _require_possible(
    network: nn.Module, data: TrainingData, config: TrainingConfig, folder: Path, found: Mapping[str, Any] | None,
    validation: Callable[[], Sequence[Batch]],
) -> None:  # fmt: skip
    """Raise TrainingError if a new run lacks data, or if the run whose state was found cannot go on with these."""
    if found is None:
        check_data(data, validation(), config.steps)
    else:
        state.require_same(folder, found, config, data, network)


def _require_own(folder: Path) -> None:
    """Raise TrainingError if the logs in a folder are of something else: no run was begun there."""
    if not (folder / LOCK).exists():
        state.require_unused(folder, LOGS)


def in_first_process() -> bool:
    """Return whether this is the process that was started; with several devices, Lightning starts one more for each.

    Only the first process locks the folder and writes there.

    Examples
    --------
    >>> in_first_process()
    True
    """
    return os.environ.get("LOCAL_RANK", "0") == "0"


def _alone(folder: Path) -> AbstractContextManager[None]:
    return locked(folder) if in_first_process() else contextlib.nullcontext()


def _decided(
    config: TrainingConfig, network: nn.Module, data: TrainingData, found: Mapping[str, Any] | None
) -> tuple[TrainingConfig, Mapping[str, Any]]:
    """Return the config with the arithmetic of the run in the folder, or of a trial, for "auto"; and the trial."""
    if config.precision != "auto":
        return config, (found or {}).get("trial", {})
    if found is None:
        return chosen(config, network, data.batch(0))
    begun = {name: found["config"].get(name, False) for name in state.PRECISION}
    return attrs.evolve(config, **begun), found.get("trial", {})


@contextlib.contextmanager
def _deterministic(config: TrainingConfig) -> Iterator[None]:
    threads, algorithms = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS needs it to be deterministic; read at start
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
            yield
    finally:
        torch.use_deterministic_algorithms(algorithms, warn_only=warn_only)
        torch.set_num_threads(threads)


class _Run:
    """One run: it starts from the saved state if there is one."""

    def __init__(
        self, fabric: Any, network: nn.Module, data: TrainingData, validation: Sequence[Batch], config: TrainingConfig,
        folder: Path, notify: Notify, found: Mapping[str, Any] | None, trial: Mapping[str, Any],
    ) -> None:  # fmt: skip
        self.fabric = fabric
        self.network = network
        self.data = data
        self.validation = validation
        self.config = config
        self.folder = folder
        self.notify = notify if fabric.is_global_zero else (lambda event: None)
        self.progress = Progress()
        self.loss = math.nan
        self.logs = Logs(folder)
        self.trial = trial
        fabric.seed_everything(config.seed, workers=False, verbose=False)
        if config.channels_last:
            put_channels_last(network)
        weights = [weight for weight in network.parameters() if weight.requires_grad]
        # Fused, because that takes a ninth of the time on a CPU.
        adam = torch.optim.Adam(weights, lr=config.learning_rate, fused=True)
        self.module, self.optimizer = fabric.setup(network, adam)
        if found is not None:
            self.progress = state.restore(found, network, self.optimizer, fabric.strategy.precision)
            if self.progress.stopped == "steps" and config.steps > self.progress.step:
                self.progress.stopped = ""

    def _save(self) -> None:
        if not all(torch.isfinite(weight).all() for weight in self.network.parameters()):
            raise self._diverged("a weight")
        if self.fabric.is_global_zero:
            precision = self.fabric.strategy.precision.state_dict()
            state.write(
                self.folder, self.progress, self.network, self.optimizer, precision, self.config, self.data, self.trial
            )

    def _diverged(self, what: str) -> TrainingDiverged:
        return TrainingDiverged(
            f"{what} is not finite after step {self.progress.step} (of {self.config.steps})",
            f"{self.folder} keeps the last good state; train in another folder with a lower learning rate"
            + ("" if self.config.precision == "32-true" else " or with precision 32-true"),
        )

    def finish(self) -> TrainingResult:
        """Train the remaining steps of the run, and return the result."""
        progress, config = self.progress, self.config
        if self.fabric.is_global_zero:
            self.logs.begin(progress)
        try:
            if not progress.stopped:
                self._train()
        finally:
            self.logs.close()
        self.network.load_state_dict(progress.best)
        validation = predict(self.network.eval(), self.validation, self.fabric.device)
        self.network.to("cpu")
        return TrainingResult(
            weights=progress.best,
            best=next(row for row in progress.curve if row["step"] == progress.best_step),
            curve=tuple(progress.curve),
            steps=progress.step,
            stopped=progress.stopped,
            seconds=progress.seconds,
            validation=validation,
            record={
                "config": config.to_dict(),
                "data": {"fingerprint": self.data.fingerprint, **self.data.summary},
                "versions": versions(),
                "steps": progress.step,
                "stopped": progress.stopped,
                "seconds": progress.seconds,
                "waited": progress.waited,
                "threads": torch.get_num_threads(),
                "trial": dict(self.trial),
                "best_step": progress.best_step,
                "curve": progress.curve,
            },
        )

    def _train(self) -> None:
        progress, config = self.progress, self.config
        began, before, saved = time.monotonic(), progress.seconds, time.monotonic()
        # With several devices, each device takes every world-th batch, so that no two train on the same batch.
        world = self.fabric.world_size
        numbers = range(progress.step * world + self.fabric.global_rank, config.steps * world, world)
        self.module.train()
        asked = time.monotonic()
        for batch in batches(self.data, numbers, config.workers):
            progress.waited += time.monotonic() - asked
            self._step(batch)
            if progress.step % config.validation_interval == 0 or progress.step == config.steps:
                self._validate()
            progress.seconds = before + time.monotonic() - began
            due = progress.step % config.checkpoint_steps == 0 or time.monotonic() - saved >= config.checkpoint_seconds
            if due or progress.stopped:
                self._save()
                saved = time.monotonic()
            self._tell("train", f"loss {self.loss:.4f}", progress.step, config.steps)
            if progress.stopped:
                break
            asked = time.monotonic()

    def _step(self, batch: Batch) -> None:
        device, progress = self.fabric.device, self.progress
        logits = self.module(**moved(batch.inputs, device))
        found = loss(logits, batch.targets.to(device), batch.groups.to(device), self.config.objective)
        values = torch.stack([found.total, found.classification, found.ranking]).detach().tolist()
        if not math.isfinite(values[0]):
            raise self._diverged(f"the loss of batch {progress.step}")
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.config, progress.step)
        self.optimizer.zero_grad()
        self.fabric.backward(found.total)
        self.optimizer.step()
        progress.step += 1
        if self.config.average:
            progress.average = averaged(progress.average, self.network, self.config.average, progress.step)
        progress.recent.append(values)
        progress.unvalidated.append(values[0])
        self.loss = values[0]
        if len(progress.recent) == LOG_STEPS:
            row = [progress.step, *np.mean(progress.recent, axis=0).tolist()]
            progress.losses.append(row)
            progress.recent = []
            if self.fabric.is_global_zero:
                self.logs.losses(row)

    def _validate(self) -> None:
        """Validate the weights, or their average if the settings have one."""
        average = self.progress.average
        with holding(self.network, average) if average else contextlib.nullcontext():
            self._validate_weights()

    def _validate_weights(self) -> None:
        progress, config = self.progress, self.config
        self.module.eval()
        found = metrics(predict(self.module, self.validation, self.fabric.device))
        self.module.train()
        if not math.isfinite(found["loss"] or 0):
            raise self._diverged("the validation loss")
        row: dict[str, Any] = {"step": progress.step, "training_loss": float(np.mean(progress.unvalidated)), **found}
        progress.unvalidated = []
        progress.curve.append(row)
        best = next((one for one in progress.curve if one["step"] == progress.best_step), None)
        if best is None or (row["auc"], -row["loss"]) > (best["auc"], -best["loss"]):
            progress.best_step, progress.best = progress.step, _copied(self.network)
        since = sum(one["step"] > progress.best_step for one in progress.curve)
        if config.patience is not None and since >= config.patience:
            progress.stopped = "patience"
        elif progress.step == config.steps:
            progress.stopped = "steps"
        if self.fabric.is_global_zero:
            self.logs.curve(row)
        validations = math.ceil(config.steps / config.validation_interval)
        item = f"step {progress.step}: AUC {row['auc']:.4f}, loss {row['loss']:.4f}"
        self._tell("validate", item, len(progress.curve), validations)

    def _tell(self, stage: str, item: str, done: int, total: int) -> None:
        self.notify(StageEvent(stage=stage, item=item, state="done", done=done, total=total))


def _copied(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().to("cpu", copy=True) for name, value in network.state_dict().items()}


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that training depends on."""
    import importlib.metadata

    named = ("mashkit", "mashkit-mashnet", "mashkit-mashnet-train", "torch", "numpy", "scipy", "lightning-fabric")
    return {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in named}}
