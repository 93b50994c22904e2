"""Train a network; a run that is killed at any moment can be resumed and then gives the result of an unbroken run.

The run's folder holds the whole run. `state.pt` holds the network, the optimizer, the random states, the best network
so far and the rows of the logs; a save writes the whole file or leaves the old file. The logs are written again from
the state when a run is resumed. A batch depends on its number alone
(:class:`mashkit_mashnet_train.batches.TrainingData`), so no state of the data is saved.
Lightning Fabric handles devices, precision and processes.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import math
import os
import platform
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import attrs
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from mashkit.atomicfile import replacing, require_writable_folder
from mashkit.bench.scorer_metrics import ranks_among
from mashkit.errors import ComponentUnavailable, MashkitError, OutputError, UsageError
from mashkit.hookspecs import StageEvent
from mashkit.networks.devices import known_device
from mashkit_mashnet_train.batches import Batch, TrainingData
from mashkit_mashnet_train.losses import Objective, Unlabelled, classification_loss, loss, margins

Precision: TypeAlias = Literal["32-true", "16-mixed", "bf16-mixed"]
PRECISIONS: tuple[Precision, ...] = ("32-true", "16-mixed", "bf16-mixed")
"""Precisions, with Lightning's names: float32 throughout; float16 or bfloat16 where torch's autocast finds it safe."""

Schedule: TypeAlias = Literal["constant", "cosine"]
SCHEDULES: tuple[Schedule, ...] = ("constant", "cosine")
"""How the learning rate changes over the steps."""
RISE = 0.05
"""Share of the steps in which the rate of schedule "cosine" rises, before it falls."""

STATE = "state.pt"
"""The file in a run's folder from which the run is resumed."""
LOSS_LOG, VALIDATION_LOG, BOARD = "train.csv", "validation.csv", "tensorboard"
"""The logs in a run's folder."""
LOG_STEPS = 10
"""Number of steps in one row of the loss log; the row holds their mean losses."""
LOSS_COLUMNS = ("step", "loss", "classification", "ranking")
LOOK_AHEAD = 8
"""Number of batches that are checked for both classes before training begins."""
STATE_FORMAT = 1

Notify: TypeAlias = Callable[[StageEvent], None]
Metrics: TypeAlias = Mapping[str, float | None]
Values: TypeAlias = npt.NDArray[np.float64]


class TrainingError(MashkitError):
    """Training cannot begin or continue: the data lack songs or a class, or the state belongs to another run."""


class TrainingDiverged(TrainingError):
    """The loss or a weight is NaN or infinite."""


def _whole(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if type(value) is not int or value < 1:
        raise UsageError(f"{attribute.name} is {value!r}", "give a whole number of 1 or more")


def _above_zero(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not (isinstance(value, (int, float)) and math.isfinite(value) and value > 0):
        raise UsageError(f"{attribute.name} is {value!r}", "give a number above 0")


def _one_of(*known: str) -> Callable[[object, attrs.Attribute[Any], Any], None]:
    def check(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
        if value not in known:
            raise UsageError(f"{attribute.name} is {value!r}", f"give one of {', '.join(known)}")

    return check


@attrs.frozen(kw_only=True)
class TrainingConfig:
    """How a network is trained.

    Parameters
    ----------
    variant, preset : str
        Names of what is trained; they are only recorded.
    steps : int
        Largest number of batches to train on.
    learning_rate : float
        Learning rate of Adam; 1e-4 in the paper.
    schedule : {"constant", "cosine"}
        With "constant" the rate stays the same, as in the paper. With "cosine" the rate rises over the first twentieth
        of the steps and then falls to 0 at the last step along half a cosine: a short run ends with better weights.
    unlabelled, ranking, balance
        As in :class:`mashkit_mashnet_train.losses.Objective`.
    validation_interval : int
        Steps between two validations; there is also a validation after the last step.
    patience : int, optional
        Training stops early after this number of validations without a new best; None never stops early.
    precision : {"32-true", "16-mixed", "bf16-mixed"}
    device : str
        "cpu", "cuda", "mps" or "auto".
    devices : int
        Number of devices. Each device trains on its own batches, so one step uses this many times the examples.
    seed : int
        Seed of the random numbers that the network uses in training. The caller chooses the initial weights.
    threads : int, optional
        CPU threads; by default torch's own setting. Another number of threads rounds sums differently.
    workers : int
        Processes that prepare batches in the background; with 0 the batches are prepared between the steps.
    checkpoint_steps : int
        The state is saved every this many steps.
    checkpoint_seconds : float
        The state is also saved when this many seconds have passed since the last save. A kill loses at most the work
        since the last save.
    """

    variant: str = ""
    preset: str = ""
    steps: int = attrs.field(default=10_000, validator=_whole)
    learning_rate: float = attrs.field(default=1e-4, validator=_above_zero)
    schedule: Schedule = attrs.field(default="constant", validator=_one_of(*SCHEDULES))
    unlabelled: Unlabelled = attrs.field(default="drop", validator=_one_of("drop", "lsro", "pseudo"))
    ranking: float = 0.0
    balance: bool = True
    validation_interval: int = attrs.field(default=200, validator=_whole)
    patience: int | None = attrs.field(default=None, validator=attrs.validators.optional(_whole))
    precision: Precision = attrs.field(default="32-true", validator=_one_of(*PRECISIONS))
    device: str = attrs.field(default="cpu", converter=known_device)
    devices: int = attrs.field(default=1, validator=_whole)
    seed: int = 0
    threads: int | None = attrs.field(default=None, validator=attrs.validators.optional(_whole))
    workers: int = attrs.field(default=1, validator=attrs.validators.ge(0))
    checkpoint_steps: int = attrs.field(default=1000, validator=_whole)
    checkpoint_seconds: float = attrs.field(default=60.0, validator=_above_zero)

    def __attrs_post_init__(self) -> None:
        if not (math.isfinite(self.ranking) and self.ranking >= 0):
            raise UsageError(f"ranking is {self.ranking!r}", "give a weight of 0 or more")
        if self.precision == "16-mixed" and self.device == "cpu":
            raise UsageError("precision 16-mixed on a CPU, which float16 has no autocast on", "give bf16-mixed")

    @property
    def objective(self) -> Objective:
        """The loss that the network is trained with."""
        return Objective(unlabelled=self.unlabelled, ranking=self.ranking, balance=self.balance)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return attrs.asdict(self)


def learning_rate(config: TrainingConfig, step: int) -> float:
    """Return the learning rate of step number ``step``; the first step is 0."""
    if config.schedule == "constant":
        return config.learning_rate
    rising = RISE * config.steps
    if step < rising:
        return config.learning_rate * (step + 1) / (rising + 1)
    done = (step - rising) / max(1.0, config.steps - rising)
    return config.learning_rate * (1 + math.cos(math.pi * done)) / 2


FREE = frozenset({"steps", "workers", "checkpoint_steps", "checkpoint_seconds"})
"""Settings that may change when a run is resumed, because no computed value depends on them."""


@attrs.frozen(eq=False)
class Predictions:
    """A network's output for validation examples.

    Parameters
    ----------
    margins : array of float64, shape (examples,)
        Log odds of good.
    targets : array of float64, shape (examples,)
        1, 0, or NaN for unlabelled.
    groups : array of int64, shape (examples,)
        Number of the group; the examples of a group share the vocal.
    """

    margins: Values
    targets: Values
    groups: npt.NDArray[np.int64]

    def labelled(self) -> Predictions:
        """Return the predictions of positives and negatives only."""
        known = ~np.isnan(self.targets)
        return Predictions(self.margins[known], self.targets[known], self.groups[known])


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


# ------------------------------------------------------------------------------------------------------- validation
def predict(
    forward: Callable[..., Tensor], batches: Sequence[Batch], device: torch.device | str = "cpu"
) -> Predictions:
    """Return the outputs of a network in evaluation mode for all examples of the batches, in order."""
    with torch.inference_mode():
        found = [margins(forward(**_moved(batch.inputs, device))).cpu() for batch in batches]
    return Predictions(
        torch.cat(found).double().numpy(),
        torch.cat([batch.targets for batch in batches]).double().numpy(),
        torch.cat([batch.groups for batch in batches]).numpy(),
    )


def metrics(predictions: Predictions) -> dict[str, float | None]:
    """Return measures of how good predictions are; a measure without examples is None.

    - "loss": cross entropy of positives and negatives in nats; both classes have the same weight;
    - "auc": share of pairs in which the positive scores above the negative; a tie counts half;
    - "accuracy_positive", "accuracy_negative": share on the right side of probability 0.5; exactly 0.5 counts as good;
    - "over_negative", "over_unlabelled": share of pairs in which a positive scores above a negative, or above an
      unlabelled example, of its own group; a tie counts half;
    - "good_unlabelled": share of the unlabelled examples with probability 0.5 or above.
    """
    values, targets, groups = predictions.margins, predictions.targets, predictions.groups
    positive, negative, unlabelled = targets == 1, targets == 0, np.isnan(targets)
    logits = torch.from_numpy(np.stack([-values / 2, values / 2], axis=1))

    def mean(of: npt.NDArray[np.bool_]) -> float | None:
        return float(of.mean()) if of.size else None

    def over(others: npt.NDArray[np.bool_]) -> float | None:
        gaps = [
            (values[positive & own][:, None] - values[others & own][None]).ravel()
            for own in (groups == group for group in np.unique(groups[positive]))
        ]
        gap = np.concatenate([np.empty(0), *gaps])
        return float(np.mean((gap > 0) + (gap == 0) / 2)) if gap.size else None

    auc = None
    if positive.any() and negative.any():
        auc = float(1 - np.mean(ranks_among(values[positive], values[negative]) - 1) / negative.sum())
    return {
        "loss": float(classification_loss(logits, torch.from_numpy(targets), unlabelled="drop", balance=True)),
        "auc": auc,
        "accuracy_positive": mean(values[positive] >= 0),
        "accuracy_negative": mean(values[negative] < 0),
        "over_negative": over(negative),
        "over_unlabelled": over(unlabelled),
        "good_unlabelled": mean(values[unlabelled] >= 0),
    }


# ------------------------------------------------------------------------------------------------------------- data
class _Numbered(Dataset[Batch | MashkitError]):
    """Batches by index, for the workers of a DataLoader: index ``k`` gives batch ``numbers[k]``."""

    def __init__(self, data: TrainingData, numbers: range) -> None:
        self._data = data
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: int) -> Batch | MashkitError:
        try:
            return self._data.batch(self._numbers[index])
        except MashkitError as error:  # returned, because a worker that raises it sends a traceback as text
            return error


def _batches(data: TrainingData, numbers: range, workers: int) -> Iterator[Batch]:
    """Yield batches in the order of their numbers; ``workers`` processes prepare them ahead of use."""
    loader = DataLoader(
        _Numbered(data, numbers),
        batch_size=None,
        num_workers=workers,
        # A generator of its own, because starting workers draws a random number and must not change the network's.
        generator=torch.Generator(),
    )
    for made in loader:
        if isinstance(made, MashkitError):
            raise made
        yield made


def _moved(inputs: Mapping[str, Tensor], device: torch.device | str) -> dict[str, Tensor]:
    return {name: value.to(device, non_blocking=True) for name, value in inputs.items()}


def _check(data: TrainingData, validation: Sequence[Batch], numbers: range) -> None:
    """Raise TrainingError if the data have too few songs, no validation examples, or only one class."""
    for part in ("training", "validation"):
        songs = _songs(data.summary.get(part))
        if songs is not None and songs < 2:
            raise TrainingError(
                f"the {part} part of the data has {songs} song{'s' * (songs != 1)}",
                "add songs: what is learnt of one is that song",
            )
    if not validation or not sum(len(batch) for batch in validation):
        raise TrainingError("the data have no validation examples", "add songs")
    for part, batches in (("validation", iter(validation)), ("training", (data.batch(number) for number in numbers))):
        missing = {1.0: "positive", 0.0: "negative"}
        while missing and (batch := next(batches, None)) is not None:
            missing = {value: name for value, name in missing.items() if not (batch.targets == value).any()}
        if missing:
            raise TrainingError(
                f"the {part} examples have no {' and no '.join(missing.values())} one",
                "train on data with both classes",
            )


def _songs(about: Any) -> int | None:
    """Return the number of songs in a summary, over all its sources; None if the summary does not contain it."""
    if not isinstance(about, Mapping):
        return None
    if isinstance(about.get("songs"), int):
        return int(about["songs"])
    found = [_songs(source) for source in about.values()]
    return None if None in found else sum(songs for songs in found if songs is not None)


# ------------------------------------------------------------------------------------------------------------ state
@attrs.define(eq=False)
class _State:
    """The progress of a run, without the network's weights."""

    step: int = 0
    best_step: int = 0
    best: dict[str, Tensor] = attrs.field(factory=dict)
    curve: list[dict[str, Any]] = attrs.field(factory=list)
    losses: list[list[float]] = attrs.field(factory=list)
    recent: list[list[float]] = attrs.field(factory=list)
    unvalidated: list[float] = attrs.field(factory=list)
    seconds: float = 0.0
    stopped: str = ""


def _copied(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().to("cpu", copy=True) for name, value in tensors.items()}


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


def _read(path: Path) -> dict[str, Any]:
    try:
        read: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged zip file or another pickle can raise any exception
        raise TrainingError(
            f"{path} is no state of a training run: {type(error).__name__}", "remove it, or choose another folder"
        ) from error
    if not isinstance(read, dict) or read.get("format") != STATE_FORMAT:
        raise TrainingError(f"{path} is no state this version can resume", "remove it, or choose another folder")
    return read


def _check_same(
    path: Path, read: Mapping[str, Any], config: TrainingConfig, data: TrainingData, network: nn.Module
) -> None:
    """Refuse to resume with settings, data or a network that differ from those of the saved run."""
    before, now = read["config"], config.to_dict()
    free = FREE if config.schedule == "constant" else FREE - {"steps"}  # a cosine rate depends on the number of steps
    told = [f"{name} was {before.get(name)!r}, is {value!r}" for name, value in now.items()
            if name not in free and before.get(name) != value]  # fmt: skip
    fix = "give what the run was begun with, or choose another folder"
    if told:
        raise TrainingError(f"{path.parent} holds a run of another configuration: {'; '.join(told)}", fix)
    if read["data"] != data.fingerprint:
        raise TrainingError(f"{path.parent} holds a run on other data", fix)
    if read["network"] != _signature(network):
        raise TrainingError(f"{path.parent} holds a run of another network", fix)
    if config.steps < read["step"]:
        raise TrainingError(f"{path.parent} holds a run of {read['step']} steps, more than {config.steps}", fix)
    if config.steps > before["steps"] == read["step"] and before["steps"] % config.validation_interval:
        # The saved run was validated at a step where a longer run is not validated.
        raise TrainingError(
            f"{path.parent} holds a run that ended after {read['step']} steps, between two validations",
            "only one that ends on a multiple of the validation interval can be made longer; choose another folder",
        )


# ------------------------------------------------------------------------------------------------------------- logs
class _Logs:
    """CSV and TensorBoard logs; a resumed run first writes them again from the rows in the state."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer: Any = None
        self._curve_columns: list[str] = []

    def begin(self, state: _State) -> None:
        """Write the rows that the state already holds."""
        from torch.utils.tensorboard import SummaryWriter

        board = self._folder / BOARD
        for old in board.glob("events.out.tfevents.*") if board.is_dir() else ():
            old.unlink()
        self._write(LOSS_LOG, LOSS_COLUMNS, state.losses)
        self._curve_columns = list(state.curve[0]) if state.curve else []
        self._write(VALIDATION_LOG, self._curve_columns, [list(row.values()) for row in state.curve])
        self._writer = SummaryWriter(str(board))
        for row in state.losses:
            self._board_losses(row)
        for look in state.curve:
            self._board_curve(look)

    def losses(self, row: list[float]) -> None:
        """Add a row of losses."""
        self._append(LOSS_LOG, row)
        self._board_losses(row)

    def curve(self, look: Metrics) -> None:
        """Add the row of a validation."""
        if not self._curve_columns:
            self._curve_columns = list(look)
            self._append(VALIDATION_LOG, self._curve_columns)
        self._append(VALIDATION_LOG, list(look.values()))
        self._board_curve(look)

    def close(self) -> None:
        """Close the TensorBoard file."""
        if self._writer is not None:
            self._writer.close()

    def _write(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        with replacing(self._folder / name) as temporary, temporary.open("w", newline="") as handle:
            csv.writer(handle).writerows([columns, *rows] if columns else [])

    def _append(self, name: str, row: Sequence[Any]) -> None:
        try:
            with (self._folder / name).open("a", newline="") as handle:
                csv.writer(handle).writerow(row)
        except OSError as error:
            raise OutputError(
                f"cannot write {self._folder / name}: {error.strerror}", "free space, then resume"
            ) from error

    def _board_losses(self, row: list[float]) -> None:
        for name, value in zip(LOSS_COLUMNS[1:], row[1:], strict=True):
            self._writer.add_scalar(f"training/{name}", value, int(row[0]))

    def _board_curve(self, look: Metrics) -> None:
        for name, value in look.items():
            if name != "step" and value is not None:
                self._writer.add_scalar(f"validation/{name}", value, int(look["step"] or 0))


@contextlib.contextmanager
def _claimed(folder: Path) -> Iterator[None]:
    """Keep other processes from training in the same folder at the same time."""
    import fcntl

    lock = os.open(folder / ".lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        try:
            # lockf locks for this process alone, so its workers do not keep the lock if they live some seconds longer.
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise TrainingError(
                f"another process is training in {folder}", "wait for it, or choose another folder"
            ) from error
        yield
    finally:
        os.close(lock)


# --------------------------------------------------------------------------------------------------------- training
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
        if another process is training in the folder.
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
            f"training needs {error.name}, which is not installed", "pip install 'mashkit-mashnet-train'"
        ) from error
    require_writable_folder(folder)
    with _claimed(folder), _deterministic(config):
        fabric = lightning_fabric.Fabric(
            accelerator=config.device.partition(":")[0], devices=config.devices, precision=config.precision
        )
        fabric.launch()
        return _Run(fabric, network, data, config, folder, notify or (lambda event: None)).finish()


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
        self, fabric: Any, network: nn.Module, data: TrainingData, config: TrainingConfig, folder: Path, notify: Notify
    ) -> None:
        self.fabric = fabric
        self.network = network
        self.data = data
        self.config = config
        self.folder = folder
        self.notify = notify if fabric.is_global_zero else (lambda event: None)
        self.state = _State()
        self.loss = math.nan
        self.logs = _Logs(folder)
        path = folder / STATE
        read = _read(path) if path.is_file() else None
        if read is not None:
            _check_same(path, read, config, data, network)
        self.validation = data.validation()
        if read is None:
            _check(data, self.validation, range(min(LOOK_AHEAD, config.steps)))
        self.signature = _signature(network)
        fabric.seed_everything(config.seed, workers=False, verbose=False)
        weights = [weight for weight in network.parameters() if weight.requires_grad]
        self.module, self.optimizer = fabric.setup(network, torch.optim.Adam(weights, lr=config.learning_rate))
        if read is not None:
            self._resume(read)

    # ------------------------------------------------------------------------------------------------------- state
    def _resume(self, read: Mapping[str, Any]) -> None:
        self.network.load_state_dict(read["model"])
        self.optimizer.load_state_dict(read["optimizer"])
        self.fabric.strategy.precision.load_state_dict(read["precision"])
        _restore_random(read["random"])
        self.state = _State(**{field.name: read[field.name] for field in attrs.fields(_State)})
        if self.state.stopped == "steps" and self.config.steps > self.state.step:
            self.state.stopped = ""

    def _save(self) -> None:
        if not all(torch.isfinite(weight).all() for weight in self.network.parameters()):
            raise self._diverged("a weight")
        if not self.fabric.is_global_zero:
            return
        made = io.BytesIO()  # in memory first, because torch.save reports a full disk only as a failed write
        torch.save(
            {
                "format": STATE_FORMAT,
                "config": self.config.to_dict(),
                "data": self.data.fingerprint,
                "network": self.signature,
                "model": self.network.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "precision": self.fabric.strategy.precision.state_dict(),
                "random": _random(),
                **{field.name: getattr(self.state, field.name) for field in attrs.fields(_State)},
            },
            made,
        )
        with replacing(self.folder / STATE) as temporary:
            temporary.write_bytes(made.getbuffer())

    def _diverged(self, what: str) -> TrainingDiverged:
        return TrainingDiverged(
            f"{what} is not finite after step {self.state.step} (of {self.config.steps})",
            f"{self.folder} keeps the last good state; train in another folder with a lower learning rate"
            + ("" if self.config.precision == "32-true" else " or with precision 32-true"),
        )

    # ------------------------------------------------------------------------------------------------------- steps
    def finish(self) -> TrainingResult:
        """Train the remaining steps of the run, and return the result."""
        state, config = self.state, self.config
        if self.fabric.is_global_zero:
            self.logs.begin(state)
        try:
            if not state.stopped:
                self._train()
        finally:
            self.logs.close()
        self.network.load_state_dict(state.best)
        validation = predict(self.network.eval(), self.validation, self.fabric.device)
        self.network.to("cpu")
        return TrainingResult(
            weights=state.best,
            best=next(row for row in state.curve if row["step"] == state.best_step),
            curve=tuple(state.curve),
            steps=state.step,
            stopped=state.stopped,
            seconds=state.seconds,
            validation=validation,
            record={
                "config": config.to_dict(),
                "data": {"fingerprint": self.data.fingerprint, **self.data.summary},
                "versions": versions(),
                "steps": state.step,
                "stopped": state.stopped,
                "seconds": state.seconds,
                "best_step": state.best_step,
                "curve": state.curve,
            },
        )

    def _train(self) -> None:
        state, config = self.state, self.config
        began, before, saved = time.monotonic(), state.seconds, time.monotonic()
        # With several devices, each device takes every world-th batch, so that no two train on the same batch.
        world = self.fabric.world_size
        numbers = range(state.step * world + self.fabric.global_rank, config.steps * world, world)
        batches = _batches(self.data, numbers, config.workers)
        self.module.train()
        for batch in batches:
            self._step(batch)
            if state.step % config.validation_interval == 0 or state.step == config.steps:
                self._validate()
            state.seconds = before + time.monotonic() - began
            due = state.step % config.checkpoint_steps == 0 or time.monotonic() - saved >= config.checkpoint_seconds
            if due or state.stopped:
                self._save()
                saved = time.monotonic()
            self._tell("train", f"loss {self.loss:.4f}", state.step, config.steps)
            if state.stopped:
                break

    def _step(self, batch: Batch) -> None:
        device, state = self.fabric.device, self.state
        logits = self.module(**_moved(batch.inputs, device))
        found = loss(logits, batch.targets.to(device), batch.groups.to(device), self.config.objective)
        values = torch.stack([found.total, found.classification, found.ranking]).detach().tolist()
        if not math.isfinite(values[0]):
            raise self._diverged(f"the loss of batch {state.step}")
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.config, state.step)
        self.optimizer.zero_grad()
        self.fabric.backward(found.total)
        self.optimizer.step()
        state.step += 1
        state.recent.append(values)
        state.unvalidated.append(values[0])
        self.loss = values[0]
        if len(state.recent) == LOG_STEPS:
            row = [state.step, *np.mean(state.recent, axis=0).tolist()]
            state.losses.append(row)
            state.recent = []
            if self.fabric.is_global_zero:
                self.logs.losses(row)

    def _validate(self) -> None:
        state, config = self.state, self.config
        self.module.eval()
        found = metrics(predict(self.module, self.validation, self.fabric.device))
        self.module.train()
        if not math.isfinite(found["loss"] or 0):
            raise self._diverged("the validation loss")
        row: dict[str, Any] = {"step": state.step, "training_loss": float(np.mean(state.unvalidated)), **found}
        state.unvalidated = []
        state.curve.append(row)
        best = next((look for look in state.curve if look["step"] == state.best_step), None)
        if best is None or (row["auc"], -row["loss"]) > (best["auc"], -best["loss"]):
            state.best_step, state.best = state.step, _copied(self.network.state_dict())
        since = sum(look["step"] > state.best_step for look in state.curve)
        if config.patience is not None and since >= config.patience:
            state.stopped = "patience"
        elif state.step == config.steps:
            state.stopped = "steps"
        if self.fabric.is_global_zero:
            self.logs.curve(row)
        looks = math.ceil(config.steps / config.validation_interval)
        item = f"step {state.step}: AUC {row['auc']:.4f}, loss {row['loss']:.4f}"
        self._tell("validate", item, len(state.curve), looks)

    def _tell(self, stage: str, item: str, done: int, total: int) -> None:
        self.notify(StageEvent(stage=stage, item=item, state="done", done=done, total=total))


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that training depends on."""
    import importlib.metadata

    named = ("mashkit", "mashkit-mashnet", "torch", "numpy", "scipy", "lightning-fabric")
    return {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in named}}
