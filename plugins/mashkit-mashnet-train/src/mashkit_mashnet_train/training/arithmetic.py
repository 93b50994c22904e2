"""The choice of arithmetic for a run: float32 or bfloat16, and the order of numbers in memory, by a short trial."""

from __future__ import annotations

import contextlib
import copy
import time
from typing import Any

import attrs
import torch
from torch import nn

from mashkit.errors import UsageError
from mashkit_mashnet_train.batches import Batch
from mashkit_mashnet_train.losses import loss
from mashkit_mashnet_train.training.config import Precision, TrainingConfig

TRIAL_STEPS = 3
"""Steps that are timed for each way; the fastest counts, because other work on the machine only ever slows one down."""
ADVANTAGE = 1.05
"""A way other than plain float32 is chosen if it is at least this many times as fast: the measurement is not exact."""


def has_bfloat16() -> bool:
    """Return whether this processor multiplies bfloat16 numbers itself (AVX512-BF16 or AMX).

    Without it, torch computes the same results by conversion to float32, which is slower than float32.
    """
    checks = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return any(check is not None and check() for check in checks)


def require_bfloat16(config: TrainingConfig) -> None:
    """Raise UsageError if a config has bfloat16 on a processor that does not have it: training would be slow."""
    if config.precision == "bf16-mixed" and config.device == "cpu" and not has_bfloat16():
        raise UsageError(
            "precision bf16-mixed on a processor without bfloat16 arithmetic (AVX512-BF16 or AMX), where it is slower "
            "than float32",
            "give precision auto or 32-true",
        )


def ways(device: str) -> list[tuple[Precision, bool]]:
    """Return the (precision, channels last) that are tried, plain float32 first."""
    precisions: list[Precision] = ["32-true"]
    if device == "cpu" and has_bfloat16():
        precisions.append("bf16-mixed")
    return [(precision, last) for precision in precisions for last in (False, True)]


def chosen(config: TrainingConfig, network: nn.Module, batch: Batch) -> tuple[TrainingConfig, dict[str, Any]]:
    """Return a config with the fastest arithmetic instead of "auto", and the CPU seconds a step of each way took.

    Only one CPU is tried. On other devices the arithmetic is plain float32, and on several, because their processes
    could choose differently. The network and the global random generators stay as they are.

    Parameters
    ----------
    config : TrainingConfig
        Its precision is "auto".
    network : Module
    batch : Batch
        Batch that is tried.
    """
    plain = attrs.evolve(config, precision="32-true", channels_last=False)
    if config.device != "cpu" or config.devices > 1:
        return plain, {}
    with torch.random.fork_rng(devices=[]):
        times = {way: _cpu_seconds(config, network, batch, *way) for way in ways(config.device)}
    record = {_name(*way): round(seconds, 4) for way, seconds in times.items()}
    best = min(times, key=times.__getitem__)
    if times[best] * ADVANTAGE > times["32-true", False]:
        return plain, record
    return attrs.evolve(config, precision=best[0], channels_last=best[1]), record


def put_channels_last(network: nn.Module) -> None:
    """Order a network's weights so that its convolutions return images with the channels last in memory."""
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _cpu_seconds(config: TrainingConfig, network: nn.Module, batch: Batch, precision: Precision, last: bool) -> float:
    tried = copy.deepcopy(network).train()
    if last:
        put_channels_last(tried)
    times = []
    for _ in range(1 + TRIAL_STEPS):  # the first is not counted, because it sets things up
        start = time.process_time()
        half = precision == "bf16-mixed"
        with torch.autocast("cpu", dtype=torch.bfloat16) if half else contextlib.nullcontext():
            logits = tried(**batch.inputs)
        loss(logits, batch.targets, batch.groups, config.objective).total.backward()  # type: ignore[no-untyped-call]
        times.append(time.process_time() - start)
        tried.zero_grad()
    return min(times[1:])


def _name(precision: Precision, last: bool) -> str:
    return f"{precision}, channels last" if last else precision
