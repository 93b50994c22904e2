"""How a network is trained: the settings of a run, and the learning rate that they give to each step."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import attrs
import torch

from mashkit.errors import UsageError
from mashkit.networks.devices import known_device
from mashkit_mashnet.networks import Loss
from mashkit_mashnet_train.losses import Objective, Unlabelled

Precision: TypeAlias = Literal["auto", "32-true", "16-mixed", "bf16-mixed"]
PRECISIONS: tuple[Precision, ...] = ("auto", "32-true", "16-mixed", "bf16-mixed")
"""Precisions, with Lightning's names: float32 throughout; float16 or bfloat16 where torch's autocast finds it safe.
With "auto", a short trial at the start of a run chooses (:mod:`mashkit_mashnet_train.training.arithmetic`)."""

Schedule: TypeAlias = Literal["constant", "cosine"]
SCHEDULES: tuple[Schedule, ...] = ("constant", "cosine")
"""How the learning rate changes over the steps."""
RISE = 0.05
"""Share of the steps in which the rate of schedule "cosine" rises, before it falls."""


MOST_SEEDS = 2**32
"""numpy's generator, which Lightning seeds too, takes no greater seed."""


def _whole(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if type(value) is not int or value < 1:
        raise UsageError(f"{attribute.name} is {value!r}", "give a whole number of 1 or more")


def _not_negative(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if type(value) is not int or value < 0:
        raise UsageError(f"{attribute.name} is {value!r}", "give a whole number of 0 or more")


def _seed(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if type(value) is not int or not 0 <= value < MOST_SEEDS:
        raise UsageError(f"{attribute.name} is {value!r}", f"give a whole number from 0 to {MOST_SEEDS - 1}")


def _above_zero(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not (isinstance(value, (int, float)) and math.isfinite(value) and value > 0):
        raise UsageError(f"{attribute.name} is {value!r}", "give a number above 0")


def _one_of(*known: str) -> Callable[[object, attrs.Attribute[Any], Any], None]:
    def check(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
        if value not in known:
            raise UsageError(f"{attribute.name} is {value!r}", f"give one of {', '.join(known)}")

    return check


def _devices_of(device: str) -> float:
    """Return how many devices of a name this machine has; no limit for the CPU, because several processes share it."""
    if device == "cpu":
        return math.inf
    return torch.cuda.device_count() if device == "cuda" else 1


@attrs.frozen(kw_only=True)
class TrainingConfig:
    """How a network is trained.

    Parameters
    ----------
    variant, preset : str
        Names of what is trained; they are only recorded.
    initial : str, optional
        SHA-256 of the checkpoint whose weights the network has at the start; it is only recorded. None if the weights
        are random.
    steps : int
        Largest number of batches to train on.
    learning_rate : float
        Learning rate of Adam; 1e-4 in the paper.
    schedule : {"constant", "cosine"}
        With "constant" the rate stays the same, as in the paper. With "cosine" the rate rises over the first twentieth
        of the steps and then falls to 0 at the last step along half a cosine: a short run ends with better weights.
    average : float
        Decay of an exponential moving average of the weights, at least 0 and below 1. The average is validated and kept
        instead of the weights of the last step; 0, as in the paper, keeps these.
    unlabelled, ranking, loss
        As in :class:`mashkit_mashnet_train.losses.Objective`.
    validation_interval : int
        Steps between two validations; there is also a validation after the last step.
    patience : int, optional
        Training stops early after this number of validations without a new best; None never stops early.
    precision : {"auto", "32-true", "16-mixed", "bf16-mixed"}
        With "auto", a run on a CPU begins with a trial of a few steps, and takes what is faster; a resumed run goes on
        with what it began with. The record of the run has the choice, never "auto".
    channels_last : bool
        Keep the channels of images last in memory, which is faster on many CPUs; sums may then be rounded otherwise.
        With precision "auto", the trial decides.
    device : str
        "cpu", "cuda", "mps" or "auto".
    devices : int
        Number of devices, at most as many as the machine has of this name. Each device trains on its own batches, so
        one step uses this many times the examples.
    seed : int
        Seed of the random numbers that the network uses in training, 0 to 2³² − 1. The caller chooses the initial
        weights.
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
    initial: str | None = None
    steps: int = attrs.field(default=10_000, validator=_whole)
    learning_rate: float = attrs.field(default=1e-4, validator=_above_zero)
    schedule: Schedule = attrs.field(default="constant", validator=_one_of(*SCHEDULES))
    average: float = 0.0
    unlabelled: Unlabelled = attrs.field(default="drop", validator=_one_of("drop", "lsro", "pseudo"))
    ranking: float = 0.0
    loss: Loss = attrs.field(default="cross-entropy", validator=_one_of("cross-entropy", "contrastive"))
    validation_interval: int = attrs.field(default=200, validator=_whole)
    patience: int | None = attrs.field(default=None, validator=attrs.validators.optional(_whole))
    precision: Precision = attrs.field(default="32-true", validator=_one_of(*PRECISIONS))
    channels_last: bool = False
    device: str = attrs.field(default="cpu", converter=known_device)
    devices: int = attrs.field(default=1, validator=_whole)
    seed: int = attrs.field(default=0, validator=_seed)
    threads: int | None = attrs.field(default=None, validator=attrs.validators.optional(_whole))
    workers: int = attrs.field(default=1, validator=_not_negative)
    checkpoint_steps: int = attrs.field(default=1000, validator=_whole)
    checkpoint_seconds: float = attrs.field(default=60.0, validator=_above_zero)

    def __attrs_post_init__(self) -> None:
        if not (math.isfinite(self.ranking) and self.ranking >= 0):
            raise UsageError(f"ranking is {self.ranking!r}", "give a weight of 0 or more")
        if not 0 <= self.average < 1:
            raise UsageError(f"average is {self.average!r}", "give a decay from 0 to below 1, such as 0.99")
        if self.precision == "16-mixed" and self.device == "cpu":
            raise UsageError("precision 16-mixed on a CPU, where it is not available", "give bf16-mixed")
        there = _devices_of(self.device)
        if self.devices > there:
            raise UsageError(f"{self.devices} devices, but of {self.device} there is {there} here", "give fewer")

    @property
    def objective(self) -> Objective:
        """The loss that the network is trained with."""
        return Objective(unlabelled=self.unlabelled, ranking=self.ranking, loss=self.loss)

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
