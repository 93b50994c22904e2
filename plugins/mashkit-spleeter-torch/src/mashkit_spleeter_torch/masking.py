"""Filter audio with a time-frequency mask, in blocks, so that memory does not grow with the length."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from mashkit.audio.buffers import AudioBuffer, settle
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


def apply_mask(audio: Audio, mask: Mask, *, block: int, context: int = 0, device: torch.device) -> Audio:
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

    Returns
    -------
    Audio
        Same sample rate and number of channels and frames as ``audio``.
    """
    channels = audio.channels
    frames = math.ceil(audio.frames / HOP) + OVERLAP
    window = torch.hann_window(WINDOW, periodic=True, device=device)
    filtered = AudioBuffer(channels, audio.frames)
    unfinished = torch.zeros(channels, OVERLAP - 1, HOP, device=device)
    for first in range(0, frames, block):
        last = min(first + block, frames)
        begin, end = max(first - context, 0), min(last + context, frames)
        own = slice(first - begin, last - begin)
        heard = cut(audio.samples, (begin - OVERLAP) * HOP, (end - 1) * HOP).to(device)
        spectra = torch.fft.rfft(heard.unfold(1, WINDOW, HOP) * window)
        masked = mask(spectra).expand_as(spectra)[:, own] * spectra[:, own]
        pieces = (torch.fft.irfft(masked, WINDOW) * (window / _WINDOW_GAIN)).unflatten(2, (OVERLAP, HOP))
        # One column per hop: a frame adds to four hops in a row; the last three get more from later frames.
        hops = torch.zeros(channels, last - first + OVERLAP - 1, HOP, device=device)
        hops[:, : OVERLAP - 1] = unfinished
        for part in range(OVERLAP):
            hops[:, part : part + last - first] += pieces[:, :, part]
        unfinished = hops[:, last - first :]
        finished = hops[:, : last - first].flatten(1).cpu().numpy()
        paste(filtered.samples, finished, (first - OVERLAP) * HOP)
        filtered.settle()
        settle(audio.samples)
    return filtered.audio(audio.sample_rate)


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
