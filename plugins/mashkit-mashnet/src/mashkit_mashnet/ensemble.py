"""Several intervalnets in one checkpoint, whose log odds are averaged.

Networks that differ in their random initial weights and examples make different mistakes, so their mean makes fewer
(Hansen and Salamon, "Neural network ensembles", IEEE TPAMI 12(10), 1990).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
from torch import Tensor

from mashkit.errors import OptionError
from mashkit_mashnet.checkpoint import Calibration, Checkpoint
from mashkit_mashnet.intervalnet import IntervalPreset
from mashkit_mashnet.networks import BAD, GOOD


def joined(members: Sequence[Checkpoint]) -> Checkpoint:
    """Return a checkpoint whose network averages the log odds of several intervalnets.

    Each member's calibration becomes part of its last layer, so that all members count alike.

    Parameters
    ----------
    members : sequence of Checkpoint
        Two or more intervalnets of one preset, each a single network.

    Returns
    -------
    Checkpoint
        Its training record has those of all members, in their order (``members``), and the recordings of all.

    Raises
    ------
    OptionError
        If there are fewer than two, or they are not single intervalnets of one preset.

    Examples
    --------
    >>> from mashkit_mashnet.intervalnet import IntervalNet
    >>> tiny = IntervalPreset(name="tiny", block_filters=8, features=8, templates=3, rhythm=6, gate=0.1)
    >>> three = joined([Checkpoint.of(IntervalNet(tiny), variant="intervalnet") for _ in range(3)])
    >>> three.preset.name, three.preset.members
    ('tiny-3', 3)
    """
    if len(members) < 2:
        raise OptionError(f"an ensemble of {len(members)}", "give two checkpoints or more")
    preset = members[0].preset
    if not isinstance(preset, IntervalPreset) or preset.members > 1 or any(one.preset != preset for one in members):
        found = ", ".join(f"{one.architecture} of preset {one.preset.name!r}" for one in members)
        raise OptionError(f"an ensemble of {found}", "give single intervalnets of one preset")
    names = ["", *(f"others.{number}." for number in range(len(members) - 1))]
    recordings = {title for member in members for title in member.training.get("data", {}).get("recordings", ())}
    training: dict[str, Any] = {
        "members": [dict(member.training) for member in members],
        "data": {"recordings": sorted(recordings)},
    }
    return Checkpoint(
        variant=members[0].variant,
        architecture=members[0].architecture,
        preset=attrs.evolve(preset, name=f"{preset.name}-{len(members)}", members=len(members)),
        weights={
            name + key: weight
            for name, member in zip(names, members, strict=True)
            for key, weight in _calibrated(member).items()
        },
        calibration=Calibration(),
        training=training,
    )


def _calibrated(member: Checkpoint) -> Mapping[str, Tensor]:
    """Return weights in float32, with logits whose difference is the calibrated log odds."""
    calibration = member.calibration or Calibration()
    weights = {name: tensor.float() for name, tensor in member.weights.items()}
    bias = weights["output.bias"] / calibration.temperature
    bias[GOOD] += calibration.bias / 2
    bias[BAD] -= calibration.bias / 2
    return {**weights, "output.weight": weights["output.weight"] / calibration.temperature, "output.bias": bias}
