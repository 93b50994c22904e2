"""Filter audio with a time-frequency mask, in blocks, so that memory does not grow with the length."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from mashkit.audio.buffers import AudioBuffer, settle
from mashkit.networks.devices import Each
from mashkit.types import Audio, Samples

WINDOW = 4096
"""Length of a frame, samples (``frame_length`` in Spleeter's configuration)."""

OVERLAP = 4
"""Number of frames that cover each sample."""

HOP = WINDOW // OVERLAP
"""Samples from frame to frame (``frame_step`` in Spleeter's configuration)."""

_WINDOW_GAIN = 1.5  # the sum of a squared periodic Hann window overlapped four times: 4 · 3/8

Mask: TypeAlias = Callable[[Tensor], Tensor]
"""Function from complex spectra, shape (channels, frames, bins), to a real mask that multiplies them."""


def apply_mask(
    audio: Audio, mask: Mask, *, block: int, context: int = 0, device: torch.device, each: Each = map
) -> Audio:
    """Return ``audio`` filtered with the mask that ``mask`` computes from its spectra.

    Frames have a periodic Hann window in analysis and in synthesis. As in Spleeter, the first frame ends where the
    samples begin. So four frames cover every sample, including the first and the last, and a mask of ones returns the
    input.

    Parameters
    ----------
    audio : Audio
    mask : callable
        Gets a block's frames and ``context`` more frames on both sides (fewer at the ends of the audio).
    block : int
        Number of frames for one call of ``mask``.
    context : int
        Frames before and after a frame that its mask depends on; with these, the blocks join without a trace.
    device : torch.device
        Device that computes the spectra and masks.
    each : callable
        Computes the blocks; by default one after the other.

    Returns
    -------
    Audio
        Same sample rate and number of channels and frames as ``audio``.
    """
    frames = math.ceil(audio.frames / HOP) + OVERLAP
    window = torch.hann_window(WINDOW, periodic=True, device=device)
    filtered = AudioBuffer(audio.channels, audio.frames)

    def heard() -> Iterator[tuple[Tensor, slice]]:
        for first in range(0, frames, block):
            last = min(first + block, frames)
            begin, end = max(first - context, 0), min(last + context, frames)
            samples = cut(audio.samples, (begin - OVERLAP) * HOP, (end - 1) * HOP)
            yield samples, slice(first - begin, last - begin)

    def masked(block: tuple[Tensor, slice]) -> Tensor:
        samples, own = block
        spectra = analysed(samples.to(device), window)
        return synthesized(mask(spectra).expand_as(spectra)[:, own] * spectra[:, own], window)

    for begin, finished in joined(each(masked, heard())):
        paste(filtered.samples, finished, begin)
        filtered.settle()
        settle(audio.samples)
    return filtered.audio(audio.sample_rate)


def analysed(samples: Tensor, window: Tensor) -> Tensor:
    """Return the spectra of samples, shape (..., frames, bins), from shape (..., samples) and a window."""
    spectra: Tensor = torch.fft.rfft(samples.unfold(-1, WINDOW, HOP) * window)
    return spectra


def synthesized(spectra: Tensor, window: Tensor) -> Tensor:
    """Return each frame's part of the sound, shape (..., frames, OVERLAP, HOP), from spectra (..., frames, bins)."""
    frames: Tensor = torch.fft.irfft(spectra, WINDOW) * (window / _WINDOW_GAIN)
    return frames.reshape(*frames.shape[:-1], OVERLAP, HOP)


def joined(blocks: Iterable[Tensor]) -> Iterator[tuple[int, Samples]]:
    """Yield the sum of overlapping frames, block by block: where it begins, and samples of shape (..., samples).

    Parameters
    ----------
    blocks : iterable of Tensor
        What :func:`synthesized` returns for one block after another.
    """
    unfinished: Tensor | None = None
    begin = -OVERLAP * HOP
    for frames in blocks:
        count = frames.shape[-3]
        # One row per hop: a frame adds to four hops in a row; the last three get more from later frames.
        hops = frames.new_zeros(*frames.shape[:-3], count + OVERLAP - 1, HOP)
        if unfinished is not None:
            hops[..., : OVERLAP - 1, :] = unfinished
        for part in range(OVERLAP):
            hops[..., part : part + count, :] += frames[..., part, :]
        unfinished = hops[..., count:, :]
        yield begin, hops[..., :count, :].flatten(-2).cpu().numpy()
        begin += count * HOP


def cut(samples: Samples, begin: int, end: int) -> Tensor:
    """Return samples ``begin`` to ``end``, with zeros outside the audio."""
    length = samples.shape[1]
    piece = np.zeros((samples.shape[0], end - begin), np.float32)
    inside = slice(min(max(begin, 0), length), min(max(end, 0), length))
    piece[:, inside.start - begin : inside.stop - begin] = samples[:, inside]
    return torch.from_numpy(piece)


def paste(target: Samples, piece: Samples, begin: int) -> None:
    """Write ``piece`` into ``target`` from ``begin`` on; parts outside of ``target`` are left out."""
    end = min(begin + piece.shape[1], target.shape[1])
    start = max(begin, 0)
    if start < end:
        target[:, start:end] = piece[:, start - begin : end - begin]
