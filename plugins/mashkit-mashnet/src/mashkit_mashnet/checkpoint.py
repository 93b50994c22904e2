"""A trained network in one file: its weights, architecture, front end, calibration and training record.

The file is a safetensors file: it holds numbers and text, and reading it runs no code. Pickled checkpoints are
recognised by their first bytes and refused, without unpickling. Everything but the weights is one JSON text in the
file's metadata.
"""

from __future__ import annotations

import math
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import torch
from torch import Tensor

from mashkit.arguments import require_path
from mashkit.errors import MashkitError, OptionError
from mashkit.networks.checkpoints import (
    CheckpointError,
    halved,
    read_checkpoint,
    require_finite,
    write_checkpoint,
)
from mashkit_mashnet import frontend
from mashkit_mashnet.frontend import FrontEnd
from mashkit_mashnet.networks import BAD, GOOD, Network, Preset

FORMAT = 2
"""Version of the files that :func:`save` writes; it increases when older versions of mashkit-mashnet would misread.
From version 2 on, a preset may have another stride in time than in frequency; files of version 1 are read."""

ARCHITECTURES: dict[str, str] = {
    "premixnet": "mashkit_mashnet.networks:PreMixNet",
    "postmixnet": "mashkit_mashnet.networks:PostMixNet",
    "intervalnet": "mashkit_mashnet.intervalnet:IntervalNet",
    "nlc-cnn": "mashkit_mashnet.loops:LoopCNN",
    "nlc-snn": "mashkit_mashnet.loops:LoopSNN",
}
"""Name of an architecture → import path of its class, a :class:`Network` that is made from its ``preset_type``."""

VARIANTS: dict[str, str] = {
    "premixnet": "premixnet",
    "premixnet-lsro": "premixnet",
    "postmixnet": "postmixnet",
    "postmixnet-lsro": "postmixnet",
    "intervalnet": "intervalnet",
    "nlc-cnn": "nlc-cnn",
    "nlc-snn": "nlc-snn",
}
"""Variant → its architecture. Variants differ in how they were trained; a scorer has the name of its variant."""

_KEY = "mashkit-mashnet"
_NOT_OURS = "give a checkpoint that `mashkit train` wrote"


@attrs.frozen(kw_only=True)
class Calibration:
    """Map from logits to a calibrated probability (Platt scaling; with bias 0, temperature scaling).

    p(good) = sigmoid((logit_good − logit_bad) / temperature + bias); Platt, "Probabilistic outputs for support vector
    machines", 1999; Guo et al., "On calibration of modern neural networks", ICML 2017.

    Parameters
    ----------
    temperature : float
        Above 0.
    bias : float
    """

    temperature: float = attrs.field(default=1.0, converter=float)
    bias: float = attrs.field(default=0.0, converter=float)

    def __attrs_post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature > 0 and math.isfinite(self.bias)):
            raise OptionError(
                f"a calibration of temperature {self.temperature} and bias {self.bias}",
                "give a finite bias and a finite temperature above 0",
            )

    def probability(self, logits: Tensor) -> Tensor:
        """Return p(good), float64 of shape (examples,), for logits of shape (examples, 2)."""
        exact = logits.double()
        return torch.sigmoid((exact[:, GOOD] - exact[:, BAD]) / self.temperature + self.bias)


@attrs.frozen(kw_only=True, eq=False)
class Checkpoint:
    """A trained network.

    Parameters
    ----------
    variant : str
        Variant, such as "premixnet-lsro": how the network was trained.
    architecture : str
        A name in :data:`ARCHITECTURES`.
    preset : Preset
        Size and front end of the network.
    weights : mapping of str to Tensor
        The network's ``state_dict``, on the CPU.
    calibration : Calibration, optional
        None if the network is not calibrated: p(good) is then the softmax of the logits, as in the paper.
    training : mapping
        The training record, data for JSON: configuration, data (fingerprint, summary), versions, metrics, learning
        curve, seed.
    """

    variant: str
    architecture: str
    preset: Preset
    weights: Mapping[str, Tensor] = attrs.field(repr=False)
    calibration: Calibration | None = None
    training: Mapping[str, Any] = attrs.field(factory=dict, repr=False)

    @classmethod
    def of(
        cls,
        network: Network,
        *,
        variant: str,
        calibration: Calibration | None = None,
        training: Mapping[str, Any] | None = None,
    ) -> Checkpoint:
        """Return the checkpoint of a network in its present state; the weights are copied."""
        return cls(
            variant=variant,
            architecture=network.architecture,
            preset=network.preset,
            weights={name: tensor.detach().cpu().clone() for name, tensor in network.state_dict().items()},
            calibration=calibration,
            training=training or {},
        )

    @property
    def front_end(self) -> FrontEnd:
        """The front end that makes the network's input."""
        return self.preset.front_end

    def halved(self) -> Checkpoint:
        """Return the checkpoint that :func:`save` writes in half precision; calibrate and measure this one.

        Raises
        ------
        OptionError
            If a weight is beyond float16's range, ±65,504.
        """
        return attrs.evolve(self, weights=halved(self.weights))

    def network(self, device: str | torch.device = "cpu") -> Network:
        """Return the network, in float32 and in evaluation mode.

        Raises
        ------
        OptionError
            If the weights do not fit the architecture and preset.
        """
        network = self._fitting().to_empty(device=device)
        network.load_state_dict(dict(self.weights))  # copies values, so float16 weights become float32
        return network.eval()

    def _fitting(self) -> Network:
        """Return the network without weights; raise OptionError if the weights do not fit it."""
        # The meta device holds shapes only, because initial weights would use the caller's random generator.
        with torch.device("meta"):
            network = architecture(self.architecture)(self.preset)
        due = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
        found = {name: tuple(tensor.shape) for name, tensor in self.weights.items()}
        if due != found:
            name = min(name for name in due.keys() | found.keys() if due.get(name) != found.get(name))
            raise OptionError(
                f"these are not the weights of a {self.architecture} of preset {self.preset.name!r}: {name} is "
                f"{found.get(name, 'missing')}, due is {due.get(name, 'nothing of that name')}"
            )
        return network


def architecture(name: str) -> type[Network]:
    """Return the class of an architecture, imported on first use; raise OptionError if the name is unknown."""
    if name not in ARCHITECTURES:
        raise OptionError(
            f"no architecture {name!r}: there are {', '.join(ARCHITECTURES)}", "pip install -U mashkit-mashnet"
        )
    found: type[Network] = pkgutil.resolve_name(ARCHITECTURES[name])
    return found


def licences_of(source: Mapping[str, Any]) -> list[str]:
    """Return the licences that a source in a training record names, with what each is of, where the source says it.

    Examples
    --------
    >>> licences_of({"licences": {"POP909": "MIT"}}), licences_of({"licences": ["CC BY 4.0"]}), licences_of({})
    (['POP909: MIT'], ['CC BY 4.0'], [])
    """
    given = source.get("licences", {})
    if isinstance(given, Mapping):
        return [f"{name}: {licence}" for name, licence in given.items() if licence]
    return [licence for licence in given if licence]


def save(path: Path | str, checkpoint: Checkpoint, *, half: bool = True) -> None:
    """Write the whole checkpoint, or leave the file as it was.

    Parameters
    ----------
    path : Path or str
        Should end in ".safetensors".
    checkpoint : Checkpoint
    half : bool
        Write the weights in float16, half the size; the statistics of batch normalisation stay in float32.

    Raises
    ------
    OutputError
        If the file cannot be written, or the disk is full.
    OptionError
        If weights are NaN, infinite, or, in half precision, too large.
    UsageError
        If the training record is not data for JSON (JSON has no NaN), or ``path`` is not a path.
    """
    path = require_path("path", path)
    described = {
        "format": FORMAT,
        "variant": checkpoint.variant,
        "architecture": checkpoint.architecture,
        "preset": checkpoint.preset.to_dict(),
        "scaling": _scaling(),
        "calibration": None if checkpoint.calibration is None else attrs.asdict(checkpoint.calibration),
        "training": dict(checkpoint.training),
    }
    write_checkpoint(path, _KEY, described, checkpoint.weights, half=half)


def load(path: Path | str) -> Checkpoint:
    """Read a checkpoint and check that a network can be made from it.

    Raises
    ------
    UsageError
        If ``path`` is not a path.
    CheckpointError
        If the file is missing, is pickled, is not a safetensors file of mashkit-mashnet, has a newer format, names an
        architecture, preset or front end that this version does not have, or has weights of another shape or NaN.
    """
    path = require_path("path", path)
    described, weights = read_checkpoint(path, _KEY, _NOT_OURS)
    version = described.get("format")
    if type(version) is not int or version > FORMAT:
        raise CheckpointError(
            path,
            f"a checkpoint of format {version}; this version reads up to {FORMAT}",
            "pip install -U mashkit-mashnet",
        )
    if (scaling := described.get("scaling")) != _scaling():
        raise CheckpointError(
            path, f"its front end scales spectra by {scaling}, this version by {_scaling()}", "train it anew"
        )
    try:
        calibration = described["calibration"]
        checkpoint = Checkpoint(
            variant=described["variant"],
            architecture=described["architecture"],
            preset=architecture(described["architecture"]).preset_type.from_dict(described["preset"]),
            weights=weights,
            calibration=None if calibration is None else Calibration(**calibration),
            training=described["training"],
        )
        require_finite(weights)
        checkpoint._fitting()
    except MashkitError as error:
        raise CheckpointError(path, error.problem, error.fix or _NOT_OURS) from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(
            path, f"its description cannot be read: {type(error).__name__}: {error}", _NOT_OURS
        ) from error
    return checkpoint


def _scaling() -> dict[str, float]:
    """Return constants of :mod:`mashkit_mashnet.frontend` that a :class:`FrontEnd` lacks but weights depend on."""
    return {"range_db": frontend.RANGE_DB, "loud_percentile": frontend.LOUD_PERCENTILE}
