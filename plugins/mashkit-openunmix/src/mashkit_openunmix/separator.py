"""The adapter: options, and the way from any mix to what the networks hear and back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import attrs
import torch

from mashkit.audiobuffer import resampled, weighted_sum
from mashkit.components import ComponentInfo
from mashkit.interfaces import Separator
from mashkit.models import optional_path
from mashkit.torch_devices import DEVICE, gpus_used, inference, known_device
from mashkit.types import Audio, StemSet
from mashkit_openunmix import SEPARATOR
from mashkit_openunmix.files import LICENCES, OFFICIAL
from mashkit_openunmix.pieces import separate
from mashkit_openunmix.weights import Recipe, find, load


@attrs.define(kw_only=True, eq=False)
class OpenUnmixSeparator(Separator):
    """Open-Unmix, with weights that are already on this machine.

    A mix of another rate is resampled to the model's (44.1 kHz) and the stems are brought back; what that loses, above
    all what lies beyond 22.05 kHz, goes into "other". A mono mix is heard as two equal channels. Beyond mix and stems,
    memory does not grow with the length, and stems of more than ten minutes lie in temporary files
    (:mod:`mashkit.audiobuffer`).

    With at least one iteration of the Wiener filter, or with the residual, the stems sum to the mix.

    Parameters
    ----------
    model : {"umxl", "umxhq", "umx"}
        umxl is the best and for non-commercial use only.
    folder : str or Path, optional
        A folder with the official files of ``model``, or with a model of your own, as openunmix's training saves it
        (``separator.json``). By default looked for where `mashkit models` and openunmix itself put what they download.
        Nothing is downloaded here.
    iterations : int
        Of the multichannel Wiener filter, ≥ 0; 0 is none: each stem has the phase of the mix.
    residual : bool
        Whether what the networks' stems leave of the mix joins in the filter, and in the end "other".
    device : str
        "cpu", "cuda", "cuda:<number>" or "mps"; "auto" is the first there is of CUDA, MPS and CPU.

    Raises
    ------
    ComponentUnavailable
        If the weights are not there.
    """

    model: Literal["umxl", "umxhq", "umx"] = attrs.field(default="umxl", validator=attrs.validators.in_(OFFICIAL))
    folder: Path | None = attrs.field(default=None, converter=optional_path)
    iterations: int = attrs.field(
        default=1, validator=[attrs.validators.instance_of(int), attrs.validators.ge(0)]
    )  # openunmix's own default
    residual: bool = attrs.field(default=False, validator=attrs.validators.instance_of(bool))
    device: str = attrs.field(default="cpu", converter=known_device, metadata=DEVICE)
    _recipe: Recipe = attrs.field(init=False, repr=False)
    _backend: Any = attrs.field(default=None, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._recipe = find(self.model, self.folder)

    @property
    def info(self) -> ComponentInfo:  # type: ignore[override]
        """The card, with the licence of these weights; of a model of your own, not known, the strictest stands."""
        own = bool(self._recipe.described_by)
        return SEPARATOR if own else attrs.evolve(SEPARATOR, weights_license=LICENCES[self.model])

    def weights(self) -> Mapping[str, str]:
        """Return the files in use and their hashes."""
        return self._recipe.sha256()

    @property
    def gpus(self) -> float:
        """One, where it computes on one."""
        return gpus_used(self.device)

    def _separate(self, mix: Audio) -> StemSet:
        recipe = self._recipe
        if self._backend is None:
            self._backend = load(recipe, iterations=self.iterations, residual=self.residual).to(self.device)
        native = resampled(mix, recipe.sample_rate)
        with inference():
            buffers = separate(
                self._backend, native, n_fft=recipe.n_fft, n_hop=recipe.n_hop, device=torch.device(self.device)
            )
        stems = {}
        for name in list(buffers):
            stem = buffers.pop(name).audio(recipe.sample_rate)
            stems[name] = resampled(stem, mix.sample_rate, frames=mix.frames)
        if native is not mix:
            heard = resampled(native, mix.sample_rate, frames=mix.frames)
            stems["other"] = weighted_sum([(1, stems["other"]), (1, mix), (-1, heard)])
        return StemSet(stems)
