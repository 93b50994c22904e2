"""The adapter to openunmix: its options, and the conversion of any mix to the networks' format and back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import attrs
import torch

from mashkit.audio.buffers import resampled, stems_of
from mashkit.bench.musdb18 import TRAINING
from mashkit.components import ComponentInfo, whole
from mashkit.interfaces import Separator
from mashkit.models import licence_of, optional_path
from mashkit.networks.devices import DEVICE, OnDevice, inference, known_device
from mashkit.types import Audio, StemSet
from mashkit_openunmix import SEPARATOR
from mashkit_openunmix.files import OFFICIAL, TRAINED_ON_MUSDB18, weight_files
from mashkit_openunmix.pieces import separate
from mashkit_openunmix.weights import Recipe, find, load


@attrs.define(kw_only=True, eq=False)
class OpenUnmixSeparator(OnDevice, Separator):
    """Open-Unmix, with weights that are on this machine already.

    A mix of another sample rate is resampled to the model's (44.1 kHz), and the stems are resampled back; sound that
    this loses, above all sound above 22.05 kHz, is added to "other". A mono mix is separated as two equal channels.
    Memory for anything but mix and stems does not grow with the length, and stems of more than ten minutes are in
    temporary files (:mod:`mashkit.audio.buffers`).

    The stems sum to the mix with at least one iteration of the Wiener filter, or with the residual.

    Parameters
    ----------
    model : {"umxl", "umxhq", "umx"}
        umxl is the best; its licence allows only non-commercial use.
    folder : str or Path, optional
        A folder with the official files of ``model``, or with your own model as openunmix's training saves it
        (``separator.json``). By default the download folders of `mashkit models` and of openunmix are searched. Nothing
        is downloaded here.
    iterations : int
        Iterations of the multichannel Wiener filter, ≥ 0; with 0 there is no filter and each stem has the mix's phase.
    residual : bool
        True makes the rest of the mix, without the networks' stems, a source in the filter, and adds it to "other".
    device : str
        "cpu", "cuda", "cuda:<number>" or "mps"; "auto" takes the first available of CUDA, MPS and CPU.

    Raises
    ------
    ComponentUnavailable
        If the weights are not on this machine.
    """

    info: ClassVar[ComponentInfo] = SEPARATOR

    model: Literal["umxl", "umxhq", "umx"] = attrs.field(default="umxl", validator=attrs.validators.in_(OFFICIAL))
    folder: Path | None = attrs.field(default=None, converter=optional_path)
    iterations: int = attrs.field(default=1, validator=whole(0))  # openunmix's own default
    residual: bool = attrs.field(default=False, validator=attrs.validators.instance_of(bool))
    device: str = attrs.field(default="cpu", converter=known_device, metadata=DEVICE)
    _recipe: Recipe = attrs.field(init=False, repr=False)
    _backend: Any = attrs.field(default=None, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._recipe = find(self.model, self.folder)

    def weights(self) -> Mapping[str, str]:
        """Return the files in use and their hashes."""
        return self._recipe.sha256()

    def weights_license(self) -> str:
        """Return the licence of these weights: "unknown" for your own model."""
        return licence_of(self.weights(), weight_files())

    def trained_on(self) -> tuple[str, ...]:
        """Return the songs of MUSDB18 that umxhq and umx were trained on; empty for umxl and for your own model.

        Which songs umxl was trained on was not published.
        """
        own = bool(self._recipe.described_by)
        return TRAINING if self.model in TRAINED_ON_MUSDB18 and not own else ()

    def _separate(self, mix: Audio) -> StemSet:
        recipe = self._recipe
        if self._backend is None:
            self._backend = load(recipe, iterations=self.iterations, residual=self.residual).to(self.device)
        native = resampled(mix, recipe.sample_rate)
        with inference():
            buffers = separate(
                self._backend, native, n_fft=recipe.n_fft, n_hop=recipe.n_hop, device=torch.device(self.device)
            )
        return StemSet(stems_of(mix, native, buffers))
