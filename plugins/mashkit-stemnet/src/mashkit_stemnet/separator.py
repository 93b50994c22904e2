"""The separator: Spleeter's masks and the network's masks, computed in one pass over a mix's spectra."""

from __future__ import annotations

import functools
import math
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import attrs
import numpy as np
import torch
from torch import Tensor

from mashkit.audio.buffers import AudioBuffer, pieces, resampled, settle, weighted_sum
from mashkit.components import ComponentInfo, cost_only, whole
from mashkit.interfaces import Separator
from mashkit.models import file_sha256, licence_of, optional_path
from mashkit.networks.checkpoints import CheckpointError
from mashkit.networks.devices import DEVICE, Each, OnDevice, known_device, steady_inference
from mashkit.types import Audio, StemSet
from mashkit_spleeter_torch import WEIGHTS as SPLEETER
from mashkit_spleeter_torch.masking import HOP, OVERLAP, WINDOW, analysed, cut, joined, paste, synthesized
from mashkit_spleeter_torch.separator import SAMPLE_RATE, VocalMask
from mashkit_spleeter_torch.unet import FRAMES
from mashkit_spleeter_torch.weights import SHA256, networks
from mashkit_stemnet import SEPARATOR, SHIPPED, WEIGHTS
from mashkit_stemnet.checkpoint import load
from mashkit_stemnet.network import BINS, LEVEL, SOURCES, StemNet

CONTEXT = 32
"""Frames of context, 0.7 s, before and after a block in the network's input, so that blocks join without a trace."""

BLOCK = 256
"""Frames in a block, 5.9 s: the network's output at a time."""

_PACKAGED = Path(__file__).parent / "weights" / "stemnet.safetensors"


@attrs.define(kw_only=True, eq=False)
class StemNetSeparator(OnDevice, Separator):
    """Spleeter's vocals, then a network that separates drums and bass, from the mix and the vocals.

    The models work at 44.1 kHz: a mix of another rate is resampled, and vocals, drums and bass are resampled back.
    "other" is the mix minus these, so the stems sum to the mix in float32 precision at any rate. A mono mix is
    separated as two equal channels. Memory for anything but mix and stems does not grow with the length, and stems of
    more than ten minutes are in temporary files (:mod:`mashkit.audio.buffers`).

    The mix is scaled to one loudness for the network, but not for Spleeter. So drums, bass and other of a louder or
    quieter copy differ only because Spleeter's vocals differ. On the CPU, the result is the same every time, with any
    number of threads.

    Parameters
    ----------
    device : str
        "cpu", "cuda", "cuda:<number>" or "mps"; "auto" takes the first available of CUDA, MPS and CPU.
    threads : int, optional
        CPU threads that separate, ≥ 1, each a segment of 11.9 s; by default torch's own setting.
    checkpoint : path, optional
        A file that `mashkit train-separator` wrote, in place of the weights in the package.
    """

    info: ClassVar[ComponentInfo] = SEPARATOR

    device: str = attrs.field(default="cpu", converter=known_device, metadata=DEVICE)
    threads: int | None = attrs.field(
        default=None, validator=attrs.validators.optional(whole(1)), metadata=cost_only(1, 2, 3)
    )
    checkpoint: Path | None = attrs.field(default=None, converter=optional_path)

    def weights(self) -> Mapping[str, str]:
        """Return the files of weights and their hashes, which are verified before use."""
        if self.checkpoint is None:
            return {**SHA256, _PACKAGED.name: SHIPPED[1]}
        return {**SHA256, self.checkpoint.name: _sha256(self.checkpoint, "check the option checkpoint")}

    def weights_license(self) -> str:
        """Return the licence of the weights: "unknown" with a checkpoint that is not the one in this package."""
        return licence_of(self.weights(), (*SPLEETER, WEIGHTS))

    def trained_on(self) -> tuple[str, ...]:
        """Return the real songs that the checkpoint says it was trained on."""
        training = load(self.checkpoint or _PACKAGED).training
        return tuple(training.get("songs", {}).get("real", ()))

    def _separate(self, mix: Audio) -> StemSet:
        native = resampled(mix, SAMPLE_RATE)
        device = torch.device(self.device)
        network = _network(self.checkpoint, device)
        with steady_inference(self.device, self.threads) as each:
            vocal_mask = VocalMask(*networks(device), mask_extension="average")
            found = _walk(native, vocal_mask, network, device, each)
        stems = {
            name: resampled(stem, mix.sample_rate, frames=mix.frames) for name, stem in zip(SOURCES, found, strict=True)
        }
        stems["other"] = weighted_sum([(1, mix), *((-1, stem) for stem in stems.values())])
        return StemSet(stems)


def _sha256(path: Path, fix: str) -> str:
    try:
        return file_sha256(path)
    except OSError as error:
        raise CheckpointError(path, f"cannot be read: {error.strerror}", fix) from error


def _network(path: Path | None, device: torch.device) -> StemNet:
    """Return the network of a checkpoint, or the network in the package."""
    if path is not None:
        return load(path).network(device)
    return _packaged(device)


@functools.cache
def _packaged(device: torch.device) -> StemNet:
    again = "pip install --force-reinstall --no-deps mashkit-stemnet"
    if (digest := _sha256(_PACKAGED, again)) != SHIPPED[1]:
        raise CheckpointError(_PACKAGED, f"not the weights that were shipped: sha256 is {digest}", again)
    return load(_PACKAGED).network(device)


def _walk(audio: Audio, vocal_mask: VocalMask, network: StemNet, device: torch.device, each: Each) -> list[Audio]:
    """Return vocals, drums and bass of 44.1 kHz audio, computed segment by segment."""
    level = _level(audio)
    buffers = [AudioBuffer(audio.channels, audio.frames) for _ in SOURCES]
    if level == 0:
        return [buffer.audio(audio.sample_rate) for buffer in buffers]
    window = torch.hann_window(WINDOW, periodic=True, device=device)

    def spectra_of(samples: Tensor) -> tuple[Tensor, Tensor]:
        spectra = analysed(samples.to(device), window)
        return spectra, vocal_mask(spectra) * spectra

    def sources_of(segment: tuple[Tensor, Tensor, slice]) -> Tensor:
        spectra, vocals, own = segment
        blocks = _in_blocks(network, spectra, vocals, level, own)
        return torch.cat([synthesized(block, window) for block in blocks], dim=2)

    for begin, finished in joined(each(sources_of, _with_context(each(spectra_of, _segments(audio))))):
        for buffer, piece in zip(buffers, finished, strict=True):
            paste(buffer.samples, piece, begin)
            buffer.settle()
        settle(audio.samples)
    return [buffer.audio(audio.sample_rate) for buffer in buffers]


def _level(audio: Audio) -> float:
    """Return the root mean square of the whole audio."""
    total = sum(float(np.square(piece, dtype=np.float64).sum()) for piece in pieces(audio.samples, 1 << 20))
    return math.sqrt(total / max(1, audio.samples.size))


def _segments(audio: Audio) -> Iterator[Tensor]:
    """Yield the samples of segments of Spleeter's, shape (channels, samples)."""
    frames = math.ceil(audio.frames / HOP) + OVERLAP
    for first in range(0, frames, FRAMES):
        last = min(first + FRAMES, frames)
        yield cut(audio.samples, (first - OVERLAP) * HOP, (last - 1) * HOP)


def _with_context(segments: Iterator[tuple[Tensor, Tensor]]) -> Iterator[tuple[Tensor, Tensor, slice]]:
    """Yield each segment with context on both sides, and the slice of the segment in it.

    A segment has the spectra of mix and vocals, each (channels, frames ≤ FRAMES, bins).
    """
    held: deque[tuple[Tensor, Tensor] | None] = deque([None], maxlen=3)

    def widened() -> tuple[Tensor, Tensor, slice]:
        before, here, after = held
        assert here is not None  # noqa: S101 — only before the first and after the last segment there is None
        parts = [
            *([tuple(one[:, -CONTEXT:] for one in before)] if before else []),
            here,
            *([tuple(one[:, :CONTEXT] for one in after)] if after else []),
        ]
        start = parts[0][0].shape[1] if before else 0
        spectra, vocals = (torch.cat([part[side] for part in parts], dim=1) for side in (0, 1))
        return spectra, vocals, slice(start, start + here[0].shape[1])

    for segment in segments:
        held.append(segment)
        if len(held) == 3:
            yield widened()
    held.append(None)
    if len(held) == 3:
        yield widened()


def _in_blocks(network: StemNet, spectra: Tensor, vocals: Tensor, level: float, own: slice) -> Iterator[Tensor]:
    """Yield the output of :func:`_masked` for the frames ``own``, in blocks that are computed with context.

    Blocks are small because of memory: for large blocks the system provides new pages each time, which took a third of
    the time.
    """
    for first in range(own.start, own.stop, BLOCK):
        last = min(first + BLOCK, own.stop)
        begin, end = max(first - CONTEXT, 0), min(last + CONTEXT, spectra.shape[1])
        masked = _masked(network, spectra[:, begin:end], vocals[:, begin:end], level)
        yield masked[:, :, first - begin : last - begin]


def _masked(network: StemNet, spectra: Tensor, vocals: Tensor, level: float) -> Tensor:
    """Return the spectra of the sources, shape (sources, channels, frames, bins); vocals are Spleeter's."""
    channels, frames, _ = spectra.shape
    missing = -frames % network.size.stride
    network_input = [
        torch.nn.functional.pad(one[..., :BINS] * (LEVEL / level), (0, 0, 0, missing)).expand(2, -1, -1)[None]
        for one in (spectra, vocals)
    ]
    masks = network(*network_input)[0, 1:, :, :frames]
    if channels == 1:
        masks = masks.mean(dim=1, keepdim=True)
    found = spectra.new_zeros(len(SOURCES), *spectra.shape)
    found[0] = vocals
    torch.mul(masks, spectra[None, :, :, :BINS], out=found[1:, :, :, :BINS])
    return found
