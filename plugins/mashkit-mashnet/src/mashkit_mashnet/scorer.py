"""The scorers: the calibrated probability, computed by a trained network, that the stems of a mashup fit together."""

from __future__ import annotations

import itertools
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import ClassVar, cast

import attrs
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mashkit.components import ComponentInfo, cost_only, whole
from mashkit.errors import ComponentUnavailable
from mashkit.interfaces import Scorer
from mashkit.mashup import Mashup
from mashkit.models import file_sha256, licence_of, optional_path
from mashkit.networks.checkpoints import CheckpointError
from mashkit.networks.devices import DEVICE, OnDevice, inference, known_device
from mashkit.rendering.cache import Recent
from mashkit.types import Role, Score
from mashkit_mashnet import POSTMIXNET, POSTMIXNET_LSRO, PREMIXNET, PREMIXNET_LSRO, WEIGHTS
from mashkit_mashnet.checkpoint import VARIANTS, Calibration, load
from mashkit_mashnet.frontend import FrontEnd
from mashkit_mashnet.networks import MixNet, Network
from mashkit_mashnet.spectra import Stage, require_two_bars, too_short
from mashkit_mashnet.stem_features import ROLES

WEIGHTS_FOLDER = Path(__file__).parent / "weights"
"""Folder of the checkpoints in this package; each file has the name of its scorer."""

_CACHED_BYTES = 1 << 28  # room for 8,000 layers of 30 s of preset compact, or 800 of preset paper


def shipped(scorer: str) -> Path:
    """Return where the checkpoint of a scorer is in this package, if it ships."""
    return WEIGHTS_FOLDER / f"{scorer}.safetensors"


@attrs.frozen(eq=False)
class Judge:
    """A loaded network, and the calibration that turns its logits into probabilities."""

    network: Network
    calibration: Calibration

    def score(self, logits: Tensor, pairs: Sequence[tuple[Role, Role]]) -> Score:
        """Return the score of some logits: the first row is of all roles together, each next row is of one pair."""
        value, *parts = self.calibration.probability(logits).tolist()
        named = {f"{one}-{other}": part for (one, other), part in zip(pairs, parts, strict=True)}
        return Score(value=value, scale="probability", parts=named)

    @property
    def front_end(self) -> FrontEnd:
        """The front end that makes the network's input."""
        return self.network.preset.front_end


@attrs.define(kw_only=True, eq=False)
class NetworkScorer(OnDevice, Scorer):
    """Base of the scorers: a checkpoint, and the device that computes it.

    The value is the calibrated probability that the stems belong together: p(good | vocal, harmonic, percussion).

    Parameters
    ----------
    checkpoint : str or Path, optional
        A file that `mashkit train` wrote, with the scorer's architecture; by default the file for this scorer in this
        package.
    device : str
        "cpu", "cuda", "cuda:<number>" or "mps"; "auto" takes the first available of CUDA, MPS and CPU.
    threads : int, optional
        CPU threads that torch may use while it scores, ≥ 1; by default torch's own setting.

    Raises
    ------
    ComponentUnavailable
        If this package has no weights for the scorer, and no checkpoint is given.
    CheckpointError
        If the file is missing; on first use, if the file is not a usable checkpoint.
    """

    checkpoint: Path | None = attrs.field(default=None, converter=optional_path)
    device: str = attrs.field(default="cpu", converter=known_device, metadata=DEVICE)
    threads: int | None = attrs.field(
        default=None, validator=attrs.validators.optional(whole(1)), metadata=cost_only(2)
    )

    _loaded: Judge | None = attrs.field(default=None, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        if self.checkpoint is None and not self._path.is_file():
            raise ComponentUnavailable(
                f"no weights of {self.info.name!r} come with this version of mashkit-mashnet",
                "give a file of your own as option checkpoint: `mashkit train` makes one",
            )
        if not self._path.is_file():
            raise CheckpointError(self._path, "no such file", "check the option checkpoint")

    @property
    def _path(self) -> Path:
        return self.checkpoint or shipped(self.info.name)

    def weights(self) -> Mapping[str, str]:
        """Return the checkpoint and its hash."""
        return {self._path.name: file_sha256(self._path)}

    def weights_license(self) -> str:
        """Return the licence of the checkpoint: "unknown" if it is not one of those in this package."""
        return licence_of(self.weights(), WEIGHTS)

    def trained_on(self) -> tuple[str, ...]:
        """Return the recordings that the checkpoint says it was trained and validated on."""
        return tuple(load(self._path).training.get("data", {}).get("recordings", ()))

    def _score(self, mashups: Sequence[Mashup]) -> Sequence[Score]:
        with inference(self.threads):
            # One mashup at a time, because a batch could change the last bits of a score.
            return [self._judged(mashup) for mashup in mashups]

    def _judged(self, mashup: Mashup) -> Score:
        require_two_bars(mashup, self.info.name)
        if self._loaded is None:
            self._loaded = self._load()
        return self._judge(mashup, self._loaded)

    def _load(self) -> Judge:
        checkpoint = load(self._path)
        due = VARIANTS[self.info.name]
        if checkpoint.architecture != due:
            raise CheckpointError(
                self._path,
                f"its architecture is {checkpoint.architecture}, not {due}",
                f"use scorer {checkpoint.architecture!r}",
            )
        network = checkpoint.network(self.device)
        return Judge(network, checkpoint.calibration or Calibration())

    @abstractmethod
    def _judge(self, mashup: Mashup, judge: Judge) -> Score:
        """Score one mashup that is long enough."""

    def _tensor(self, spectrum: npt.NDArray[np.float32]) -> Tensor:
        return torch.as_tensor(spectrum, device=self.device)


@attrs.define(kw_only=True, eq=False)
class LayerScorer(NetworkScorer):
    """Scores layers before they are mixed, so gains, fades and ducking do not change the score.

    A layer's spectrum covers the vocal's whole clip (:class:`mashkit_mashnet.spectra.Stage`), and the network's output
    for the layer is cached: for another mashup of this vocal with this layer, only the last part of the network runs.
    Only the frames inside the mashup are scored; they depend on up to a second of sound on either side.

    The parts are the scores of each two roles alone. A role without a layer adds nothing.
    """

    _layers: Recent[Tensor] = attrs.field(
        factory=lambda: Recent(_CACHED_BYTES, attrgetter("nbytes")), init=False, repr=False
    )

    def _judge(self, mashup: Mashup, judge: Judge) -> Score:
        stage, network = Stage.of(mashup), cast("MixNet", judge.network)
        layers = {role: self._layer(stage, role, judge) for role in ROLES if role in mashup.roles}
        (count,) = {layer.shape[-1] for layer in layers.values()}
        inside = stage.frames(judge.front_end.frame_rate / network.reduction, count)
        pairs = list(itertools.combinations(layers, 2))
        judged = [tuple(layers), *pairs]
        summed = torch.stack([torch.stack([layers[role] for role in roles]).sum(0) for roles in judged])[..., inside]
        frames = summed.shape[-1] * network.reduction
        if frames < network.shortest:
            raise too_short(mashup, self.info.name, f"{network.shortest / judge.front_end.frame_rate:.1f} s or more")
        return judge.score(network.judge([summed], torch.full((len(judged),), frames)), pairs)

    def _layer(self, stage: Stage, role: Role, judge: Judge) -> Tensor:
        """Return the network's output for a layer, shape (block_filters, frames), from the cache if it is there."""

        def made() -> Tensor:
            spectrum = self._tensor(stage.spectrum(role, judge.front_end))
            network = cast("MixNet", judge.network)
            return network.layer(ROLES.index(role), spectrum[None], torch.tensor([spectrum.shape[-1]]))[0]

        return self._layers.get(stage.key(role), made)


@attrs.define(kw_only=True, eq=False)
class MixScorer(NetworkScorer):
    """Scores the rendered mix; every mashup has to be rendered and pass the whole network."""

    def _judge(self, mashup: Mashup, judge: Judge) -> Score:
        spectrum = self._tensor(judge.front_end.spectrum(mashup.mix))
        frames = spectrum.shape[-1]
        if frames < judge.network.shortest:
            least = f"{judge.network.shortest / judge.front_end.frame_rate:.1f} s or more"
            raise too_short(mashup, self.info.name, least)
        logits = judge.network(spectrum[None, None], torch.tensor([frames]))
        (value,) = judge.calibration.probability(logits).tolist()
        return Score(value=value, scale="probability", parts={"mix": value})


class PreMixNetScorer(LayerScorer):
    """PreMixNet, trained on positives and negatives."""

    info: ClassVar[ComponentInfo] = PREMIXNET


class PreMixNetLsroScorer(LayerScorer):
    """PreMixNet, trained with label smoothing regularisation for unlabelled examples (LSRO)."""

    info: ClassVar[ComponentInfo] = PREMIXNET_LSRO


class PostMixNetScorer(MixScorer):
    """PostMixNet, trained on positives and negatives."""

    info: ClassVar[ComponentInfo] = POSTMIXNET


class PostMixNetLsroScorer(MixScorer):
    """PostMixNet, trained with label smoothing regularisation for unlabelled examples (LSRO)."""

    info: ClassVar[ComponentInfo] = POSTMIXNET_LSRO
