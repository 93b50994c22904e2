"""The separator: Spleeter's U-Nets for the vocals, median filtering for the drums, and the rest as "other"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import attrs
import torch
from torch import Tensor
from torch.nn import functional

from mashkit.audio.buffers import resampled, weighted_sum
from mashkit.components import ComponentInfo, cost_only, whole
from mashkit.interfaces import Separator
from mashkit.networks.devices import DEVICE, OnDevice, known_device, steady_inference
from mashkit.types import Audio, StemSet
from mashkit_spleeter_torch import SEPARATOR
from mashkit_spleeter_torch.masking import apply_mask
from mashkit_spleeter_torch.percussion import CONTEXT, percussion_mask
from mashkit_spleeter_torch.unet import BINS, FRAMES, UNet
from mashkit_spleeter_torch.weights import SHA256, networks

SAMPLE_RATE = 44_100
"""Sample rate at which Spleeter was trained, Hz."""

_EPSILON = 1e-10  # Spleeter's value; each of its two instruments gets half


@attrs.define(kw_only=True, eq=False)
class SpleeterTorchSeparator(OnDevice, Separator):
    """Spleeter's 2-stem model, then a percussion/harmonic split of the accompaniment.

    The model works at 44.1 kHz: a mix of another rate is resampled, and vocals and drums are resampled back. "other" is
    the mix minus these two, so the stems sum to the mix in float32 precision at any rate, and sound above 22.05 kHz is
    in "other". A mono mix is separated as two equal channels. Memory for anything but mix and stems does not grow
    with the length, and stems of more than ten minutes are in temporary files (:mod:`mashkit.audio.buffers`).

    As in Spleeter, each segment of 512 frames (11.9 s) is separated by itself. On the CPU, the result is the same every
    time, with any number of threads.

    Parameters
    ----------
    device : str
        "cpu", "cuda", "cuda:<number>" or "mps"; "auto" takes the first available of CUDA, MPS and CPU.
    threads : int, optional
        CPU threads that separate, ≥ 1, each a segment; by default torch's own setting.
    mask_extension : {"average", "zeros"}
        Mask of the vocals above the network's 11,025 Hz: the mean of the frame's mask below ("average"), or 0 as in
        Spleeter's released 2-stem configuration ("zeros").
    """

    info: ClassVar[ComponentInfo] = SEPARATOR

    device: str = attrs.field(default="cpu", converter=known_device, metadata=DEVICE)
    threads: int | None = attrs.field(
        default=None, validator=attrs.validators.optional(whole(1)), metadata=cost_only(1, 2, 3)
    )
    mask_extension: Literal["average", "zeros"] = attrs.field(
        default="average", validator=attrs.validators.in_(("average", "zeros"))
    )

    def weights(self) -> Mapping[str, str]:
        """Return the checkpoints and their hashes, which are verified before use."""
        return dict(SHA256)

    def _separate(self, mix: Audio) -> StemSet:
        return self._separate_some(mix, frozenset(SEPARATOR.provides))

    def _separate_some(self, mix: Audio, stems: frozenset[str]) -> StemSet:
        """Separate; for the vocals alone the split of the accompaniment is left out."""
        native = resampled(mix, SAMPLE_RATE)
        device = torch.device(self.device)
        with steady_inference(self.device, self.threads) as each:
            vocal_mask = VocalMask(*networks(device), mask_extension=self.mask_extension)
            vocals = apply_mask(native, vocal_mask, block=FRAMES, device=device, each=each)
            if stems == {"vocals"}:
                return StemSet({"vocals": resampled(vocals, mix.sample_rate, frames=mix.frames)})
            accompaniment = weighted_sum([(1, native), (-1, vocals)])
            drums = apply_mask(accompaniment, percussion_mask, block=FRAMES, context=CONTEXT, device=device, each=each)
        vocals, drums = (resampled(stem, mix.sample_rate, frames=mix.frames) for stem in (vocals, drums))
        other = weighted_sum([(1, mix), (-1, vocals), (-1, drums)])
        made = {"vocals": vocals, "drums": drums, "other": other}
        return StemSet({name: stem for name, stem in made.items() if name in stems})


@attrs.frozen
class VocalMask:
    """The share of the vocals in each bin, from the two networks' estimates of vocals and accompaniment.

    Parameters
    ----------
    vocals, accompaniment : UNet
    mask_extension : {"average", "zeros"}
    """

    vocals: UNet
    accompaniment: UNet
    mask_extension: Literal["average", "zeros"] = attrs.field(kw_only=True)

    def __call__(self, spectra: Tensor) -> Tensor:
        """Return the mask of a segment's ``spectra``, shape (channels, frames ≤ FRAMES, bins), in the same shape."""
        channels, frames, bins = spectra.shape
        magnitudes = functional.pad(spectra[..., :BINS].abs(), (0, 0, 0, FRAMES - frames)).expand(2, -1, -1)[None]
        mask = self._share(magnitudes)[0, :, :frames]
        if channels == 1:
            mask = mask.mean(dim=0, keepdim=True)
        return self._extended(mask, bins)

    def of_batch(self, spectra: Tensor) -> Tensor:
        """Return the masks of many stereo ``spectra`` at once, shape (items, 2, frames, bins), in the same shape.

        The number of frames must be a multiple of the networks' stride, 64. Under autocast the masks are float32.
        """
        return self._extended(self._share(spectra[..., :BINS].abs()), spectra.shape[-1])

    def _share(self, magnitudes: Tensor) -> Tensor:
        """Return the vocals' share of the power in each of the networks' bins, shape (items, 2, frames, BINS)."""
        vocals, accompaniment = (network(magnitudes).float().square() for network in (self.vocals, self.accompaniment))
        # The ratio of powers; Spleeter calls it separation exponent 2.
        share: Tensor = (vocals + _EPSILON / 2) / (vocals + accompaniment + _EPSILON)
        return share

    def _extended(self, mask: Tensor, bins: int) -> Tensor:
        """Return a mask that continues above the networks' bins."""
        beyond = mask.mean(dim=-1, keepdim=True) if self.mask_extension == "average" else mask.new_zeros(1)
        return torch.cat([mask, beyond.expand(*mask.shape[:-1], bins - BINS)], dim=-1)
