"""Separate sound of any length with Open-Unmix, in pieces, so that memory does not grow with the length."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from mashkit.audio.buffers import AudioBuffer, overlap_add, settle
from mashkit.types import Audio, Samples
from mashkit_openunmix.weights import WIENER_FRAMES

PIECE_WINDOWS = 5
"""Number of Wiener windows in a piece; the last window is also the first of the next piece. A piece is 35 s at 44.1 kHz
and a hop of 1024.

Pieces begin at the start of a window, so each window is filtered as in the whole mix. Only the LSTMs, which depend on
all frames of their input, get a shorter input. The number is ours: a quarter more computation, under a gigabyte.
"""


def separate(separator: Any, mix: Audio, *, n_fft: int, n_hop: int, device: torch.device) -> dict[str, AudioBuffer]:
    """Return the stems of ``mix``; the library's residual becomes part of "other".

    Parameters
    ----------
    separator : openunmix.model.Separator
        In evaluation mode, on ``device``.
    mix : Audio
        At the separator's sample rate, at least one frame. Mono is separated as two equal channels; each stem is then
        the mean of its two channels.
    n_fft, n_hop : int
        Frame length and hop of the separator's spectrograms, samples.
    device : torch.device
    """
    names = list(separator.target_models)
    buffers = {name: AudioBuffer(mix.channels, mix.frames) for name in names}
    if separator.residual:
        names.append("other")
    window = WIENER_FRAMES * n_hop
    stride = (PIECE_WINDOWS - 1) * window
    estimates = _estimates(separator, mix, stride, window, n_fft, device)
    begin = 0
    for piece in overlap_add(estimates, _crossfade(stride + window, window), stride):
        end = begin + piece.shape[-1]
        for name, stem in zip(names, piece, strict=True):
            buffers[name].samples[:, begin:end] += stem.mean(axis=0, keepdims=True) if mix.channels == 1 else stem
        for buffer in buffers.values():
            buffer.settle()
        begin = end
    return buffers


def _estimates(
    separator: Any, mix: Audio, stride: int, overlap: int, n_fft: int, device: torch.device
) -> Iterator[Samples]:
    """Yield the stems of each piece, shape (stems, 2, n)."""
    # No piece starts in the last ``overlap`` frames of the mix, because the piece before covers them already.
    for begin in range(0, max(mix.frames - overlap, 1), stride):
        own = mix.samples[:, begin : begin + stride + overlap]
        # Padded to n_fft, because spectrograms reflect half a frame at both ends.
        heard = np.zeros((2, max(own.shape[1], n_fft)), np.float32)
        heard[:, : own.shape[1]] = own
        settle(mix.samples)
        stems = separator(torch.from_numpy(heard)[None].to(device))[0]
        yield stems[..., : own.shape[1]].cpu().numpy()


def _crossfade(length: int, overlap: int) -> Samples:
    """Return the weight of each frame of a piece, which fades in and out where pieces overlap."""
    weight = np.ones(length, np.float32)
    weight[:overlap] = np.arange(1, overlap + 1) / (overlap + 1)
    weight[-overlap:] = weight[:overlap][::-1]
    return weight
