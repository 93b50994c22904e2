"""The adapter to audio-separator."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from mashkit.audio.buffers import AudioBuffer, overlap_add, resampled, settle, stems_of
from mashkit.components import ComponentInfo, whole
from mashkit.errors import ComponentUnavailable
from mashkit.interfaces import Separator
from mashkit.models import optional_path
from mashkit.networks.devices import DEVICE, OnDevice, inference, known_device
from mashkit.types import Audio, Samples, StemSet
from mashkit_audio_separator import SEPARATOR
from mashkit_audio_separator.files import Model

PIECE_S, OVERLAP_S = 120.0, 20.0
"""Seconds of a piece, and of its overlap with the next: two or more of what the networks process at once (ours),
because audio-separator holds all that it is given several times over."""


@attrs.define(kw_only=True, eq=False)
class AudioSeparator(OnDevice, Separator):
    """A RoFormer (band-split or mel-band) or MDX23C model that is on this machine already.

    A mix of another sample rate is resampled to the model's, and the stems are resampled back; what that loses, above
    all sound above 22.05 kHz, is added to "other". A mono mix is separated as two equal channels. Sound of more than
    two minutes is separated in pieces that are cross-faded, so memory for anything but mix and stems does not grow with
    the length.

    Parameters
    ----------
    model : str or Path
        The checkpoint: a .ckpt of weights alone.
    config : str or Path, optional
        Its configuration; by default the .yaml beside it.
    overlap : int, optional
        Overlapping windows of the network at each moment, ≥ 1; by default the configuration's, or 8.
    device : str
        "cpu", "cuda", "cuda:<number>" or "mps"; "auto" takes the first available of CUDA, MPS and CPU.

    Raises
    ------
    ComponentUnavailable
        If a file is missing, or describes no model of this kind.
    """

    model: Path | None = attrs.field(default=None, converter=optional_path)
    config: Path | None = attrs.field(default=None, converter=optional_path)
    overlap: int | None = attrs.field(default=None, validator=attrs.validators.optional(whole(1)))
    device: str = attrs.field(default="cpu", converter=known_device, metadata=DEVICE)
    _files: Model = attrs.field(init=False, repr=False)
    _backend: Any = attrs.field(default=None, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._files = Model.of(self.model, self.config)

    @property
    def info(self) -> ComponentInfo:  # type: ignore[override]  # what it provides depends on the model
        """The registered card, with the stems of the model."""
        rest = self._files.rest
        return attrs.evolve(SEPARATOR, provides={*self._files.given, *([rest] if rest else [])})

    def weights(self) -> Mapping[str, str]:
        """Return checkpoint and configuration with their hashes."""
        return self._files.hashes()

    def _separate(self, mix: Audio) -> StemSet:
        if self._backend is None:
            self._backend = load(self._files, self.device, self.overlap)
        native = resampled(mix, self._files.sample_rate)
        names = sorted(self.info.provides)
        buffers = {name: AudioBuffer(mix.channels, native.frames) for name in names}
        stride = round((PIECE_S - OVERLAP_S) * native.sample_rate)
        end = 0
        with inference():
            for part in overlap_add(self._pieces(native, names), _weight(native.sample_rate), stride):
                for name, samples in zip(names, part, strict=True):
                    buffers[name].samples[:, end : end + part.shape[-1]] = samples
                    buffers[name].settle()
                end += part.shape[-1]
        return StemSet(stems_of(mix, native, buffers))

    def _pieces(self, native: Audio, names: list[str]) -> Iterator[Samples]:
        """Yield the stems of piece after piece, shape (stems, channels, frames)."""
        length = round(PIECE_S * native.sample_rate)
        stride = round((PIECE_S - OVERLAP_S) * native.sample_rate)
        for start in range(0, max(1, native.frames - (length - stride)), stride):
            piece = native.samples[:, start : start + length]
            frames = piece.shape[1]
            heard = np.repeat(piece, 2 // native.channels, axis=0)
            heard = np.pad(heard, ((0, 0), (0, max(0, self._files.chunk - frames))))
            settle(native.samples)
            found = self._demixed(heard)
            stems = np.stack([found[name][:, :frames] for name in names])
            yield stems if native.channels == 2 else stems.mean(axis=1, keepdims=True)

    def _demixed(self, heard: Samples) -> dict[str, Samples]:
        """Return mashkit's name → the stem of a piece, shape (2, frames)."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of calls of torch that will change
            made = self._backend.demix(mix=heard, override_model_segment_size=False)
        names, given, rest = self._files.names, self._files.given, self._files.rest
        if len(given) == 1:
            # One stem is returned bare, or first and under the name of an instrument that need not be the target.
            made = {given[0]: next(iter(made.values())) if isinstance(made, dict) else made}
            names = {given[0]: given[0]}
        stems = {names[name]: np.asarray(stem, np.float32) for name, stem in made.items()}
        if rest:
            stems[rest] = heard - sum(stems.values())
        return stems


def _weight(sample_rate: int) -> Samples:
    """Return the weight of each frame of a piece, > 0: it rises and falls where pieces overlap."""
    ramp = (np.arange(round(OVERLAP_S * sample_rate), dtype=np.float32) + 1) / round(OVERLAP_S * sample_rate)
    weight = np.ones(round(PIECE_S * sample_rate), np.float32)
    weight[: len(ramp)], weight[-len(ramp) :] = ramp, ramp[::-1]
    return weight


def load(files: Model, device: str, overlap: int | None) -> Any:
    """Return audio-separator's own separator of a model, which would otherwise look for the model in online lists.

    Raises
    ------
    ComponentUnavailable
        If the checkpoint holds more than weights, or not the weights of the network that its configuration describes.
    """
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its old rotary-embedding-torch uses names that torch has renamed
        from audio_separator.separator.architectures import mdxc_separator  # type: ignore[import-not-found]

    mdxc_separator.tqdm = iter  # in place of a progress bar on the terminal
    log = logging.getLogger("mashkit_audio_separator")
    log.addHandler(logging.NullHandler())
    log.propagate = False
    common = {
        "logger": log,
        "log_level": logging.CRITICAL,
        "torch_device": torch.device(device),
        "torch_device_cpu": torch.device("cpu"),
        "model_name": files.checkpoint.stem,
        "model_path": str(files.checkpoint),
        "model_data": {**files.settings},
        "sample_rate": files.sample_rate,
    }
    # A forked generator, because the network draws initial weights, and the caller's generator must not change.
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the network measures a spectrum without a window when it is made
        try:
            return mdxc_separator.MDXCSeparator(common, {"overlap": overlap})
        # It ends the process when a file cannot be read, and raises whatever a wrong setting leads to.
        except (SystemExit, Exception) as error:
            raise ComponentUnavailable(
                f"{files.checkpoint}: does not hold the weights of the network that {files.configuration.name} "
                f"describes, or more than weights: {type(error).__name__}: {error}",
                "check that the two files belong together, or fetch them again",
            ) from error
