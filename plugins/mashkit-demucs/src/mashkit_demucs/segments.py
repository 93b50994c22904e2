"""Separate sound of any length with a bag of Demucs models, in segments, so that memory does not grow with the length.

The arithmetic is that of ``demucs.apply.apply_model`` and ``demucs.api.Separator.separate_tensor``. These hold the
whole song in memory several times, and draw their random shifts from Python's global generator.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from demucs.apply import BagOfModels
from demucs.htdemucs import HTDemucs

from mashkit.audio.buffers import AudioBuffer, overlap_add, settle
from mashkit.errors import OptionError
from mashkit.types import Audio, Samples

MAX_SHIFT_S = 0.5
"""Longest random shift, seconds (``apply_model``)."""

_BLOCK = 1 << 20
"""Number of frames whose mean is computed at a time."""


def separate(
    bag: BagOfModels,
    mix: Audio,
    *,
    shifts: int,
    seed: int,
    segment_s: float | None,
    overlap: float,
    device: torch.device,
) -> dict[str, AudioBuffer]:
    """Return the stems of ``mix``, with the bag's names.

    Parameters
    ----------
    bag : BagOfModels
        In evaluation mode, on ``device``.
    mix : Audio
        At the bag's sample rate, at least one frame. Mono is separated as two equal channels; each stem is then the
        mean of its two channels.
    shifts : int
        Number of passes over the mix, each shifted by up to half a second; the result is the mean of the passes. 0 is
        one pass without shift.
    seed : int
        Seed of the shifts.
    segment_s : float, optional
        Length of a segment, seconds; by default each model's own.
    overlap : float
        Share of a segment, 0 … 1, that the next segment also covers.
    device : torch.device

    Raises
    ------
    OptionError
        If a segment is longer than a model accepts.
    """
    normalised = _Normalised(mix)
    buffers = {name: AudioBuffer(mix.channels, mix.frames) for name in bag.sources}
    totals = np.sum(bag.weights, axis=0)
    generator = random.Random(seed)  # noqa: S311  (shifts in time, nothing secret)
    max_shift = int(MAX_SHIFT_S * bag.samplerate)
    for model, weights in zip(bag.models, bag.weights, strict=True):
        segment = int(bag.samplerate * _segment_seconds(model, segment_s))
        stride = max(int((1 - overlap) * segment), 1)
        shares = {name: np.float32(weights[k] / totals[k] / max(shifts, 1)) for k, name in enumerate(bag.sources)}
        for _ in range(max(shifts, 1)):
            at = -(max_shift - generator.randint(0, max_shift)) if shifts else 0
            estimates = _estimates(model, normalised, at, segment, stride, device)
            for piece in overlap_add(estimates, _triangle(segment), stride):
                inside = piece[..., max(-at, 0) :]
                begin = max(at, 0)
                for own, (name, buffer) in zip(inside, buffers.items(), strict=True):
                    if shares[name]:
                        stem = own.mean(axis=0, keepdims=True) if mix.channels == 1 else own
                        buffer.samples[:, begin : begin + own.shape[1]] += shares[name] * normalised.undo(stem)
                        buffer.settle()
                at += piece.shape[-1]
    return buffers


def _segment_seconds(model: Any, segment_s: float | None) -> float | Fraction:
    if segment_s is None:
        own: float | Fraction = model.segment
        return own
    if isinstance(model, HTDemucs) and segment_s > model.segment:
        raise OptionError(
            f"segment_s is {segment_s:g}, but the model was trained on {float(model.segment):g} s",
            "give no more than that, or leave it out",
        )
    return segment_s


def _estimates(
    model: Any, mix: _Normalised, first: int, segment: int, stride: int, device: torch.device
) -> Iterator[Samples]:
    """Yield the model's output for each segment, shape (sources, channels, n), from frame ``first`` on."""
    for begin in range(first, mix.frames, stride):
        length = min(segment, mix.frames - begin)
        # The segment is extended to a length the model accepts with the mix around it, then with zeros.
        taken = segment if isinstance(model, HTDemucs) else _valid_length(model, length)
        lead = (taken - length) // 2
        heard = mix.cut(begin - lead, begin - lead + taken)
        yield model(torch.from_numpy(heard)[None].to(device))[0, ..., lead : lead + length].cpu().numpy()


def _valid_length(model: Any, length: int) -> int:
    return int(model.valid_length(length)) if hasattr(model, "valid_length") else length


def _triangle(length: int) -> Samples:
    """Return the weight of each frame of a segment; the middle has the largest."""
    weight = torch.cat([torch.arange(1, length // 2 + 1), torch.arange(length - length // 2, 0, -1)])
    samples: Samples = (weight / weight.max()).numpy()
    return samples


class _Normalised:
    """A mix scaled to the mean and deviation of the models' training, with zeros before its start and after its end."""

    def __init__(self, mix: Audio) -> None:
        self._samples = mix.samples
        self.frames = mix.frames
        total = sum(float(mono.sum()) for mono in self._mono())
        mean = total / mix.frames
        square = sum(float(np.sum((mono - mean) ** 2)) for mono in self._mono())
        self._mean = np.float32(mean)
        # max(…, 1), because demucs returns NaN for one frame; demucs's 1e-8 prevents a division by 0 for silence.
        self._scale = np.float32((square / max(mix.frames - 1, 1)) ** 0.5 + 1e-8)

    def _mono(self) -> Iterator[np.ndarray[Any, np.dtype[np.float64]]]:
        for start in range(0, self.frames, _BLOCK):
            yield self._samples[:, start : start + _BLOCK].mean(axis=0, dtype=np.float64)
            settle(self._samples)

    def cut(self, begin: int, end: int) -> Samples:
        """Return frames ``begin`` to ``end`` of the scaled mix in stereo, shape (2, end − begin)."""
        piece = np.zeros((2, end - begin), np.float32)
        inside = self._samples[:, max(begin, 0) : max(end, 0)]
        first = max(-begin, 0)
        piece[:, first : first + inside.shape[1]] = (inside - self._mean) / self._scale
        settle(self._samples)
        return piece

    def undo(self, piece: Samples) -> Samples:
        """Return a stem of the scaled mix, scaled back to the mix's level."""
        restored: Samples = piece * self._scale + self._mean
        return restored
