"""The input of Beat This!: log-mel spectra, 50 a second, of any part of long sound.

The same numbers as beat_this's ``LogMelSpect``, which computes them by torchaudio for the whole sound at once.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from mashkit.types import Samples

SAMPLE_RATE = 22_050
"""Hz; this and the other constants are those of beat_this's ``preprocessing.LogMelSpect``."""
WINDOW = 1024
HOP = 441
FRAME_RATE = SAMPLE_RATE / HOP
"""Frames per second: 50."""
BANDS = 128
LOW_HZ, HIGH_HZ = 30.0, 11_000.0
LOG_FACTOR = 1000.0

_LINEAR_HZ = 200 / 3
"""Slaney's mel scale [1]_ has a mel for so many Hz up to 1 kHz, and is logarithmic above: 27 mels for a factor of 6.4.

.. [1] Slaney, M.: Auditory toolbox, version 2, Interval Research technical report 1998-010.
"""
_BEND_HZ = 1000.0
_LOG_STEP = np.log(6.4) / 27


def frame_count(frames: int) -> int:
    """Return the number of spectra of sound of that many samples."""
    return 1 + frames // HOP


def log_mel(samples: Samples, first: int, last: int) -> torch.Tensor:
    """Return the spectra ``first`` until before ``last``, shape (last − first, 128).

    Parameters
    ----------
    samples : array of float32, shape (channels, frames)
        At 22,050 Hz; more than half a window. Only the part that is needed is read.
    first, last : int
        Spectrum ``n`` is centred on sample 441 · n; at its ends the sound is mirrored.
    """
    begin, end = first * HOP - WINDOW // 2, (last - 1) * HOP + WINDOW // 2
    total = samples.shape[1]
    left, right = max(-begin, 0), max(end - total, 0)
    # The mirror reaches half a window, less than the sound is long.
    part = samples[:, max(begin, 0) : min(end, total)].mean(axis=0)
    before, after = samples[:, 1 : left + 1], samples[:, total - 1 - right : total - 1]
    mirrored = np.concatenate([before.mean(axis=0)[::-1], part, after.mean(axis=0)[::-1]])
    spectrum = torch.stft(
        torch.from_numpy(np.ascontiguousarray(mirrored, np.float32)), WINDOW, HOP, window=torch.hann_window(WINDOW),
        center=False, normalized=True, return_complex=True,
    ).abs()  # fmt: skip
    mel: torch.Tensor = torch.log1p(LOG_FACTOR * (spectrum.T @ torch.from_numpy(mel_filters())))
    return mel


@functools.cache
def mel_filters() -> npt.NDArray[np.float32]:
    """Return the weight of each frequency bin in each mel band, shape (513, 128): triangles of height 1."""
    bins = np.linspace(0, SAMPLE_RATE // 2, WINDOW // 2 + 1)
    edges = _hertz(np.linspace(_mel(LOW_HZ), _mel(HIGH_HZ), BANDS + 2))
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    rise = (bins[:, None] - low) / (centre - low)
    fall = (high - bins[:, None]) / (high - centre)
    triangles: npt.NDArray[np.float32] = np.maximum(np.minimum(rise, fall), 0).astype(np.float32)
    return triangles


def _mel(hertz: float) -> float:
    if hertz < _BEND_HZ:
        return hertz / _LINEAR_HZ
    return float(_BEND_HZ / _LINEAR_HZ + np.log(hertz / _BEND_HZ) / _LOG_STEP)


def _hertz(mel: npt.NDArray[np.float64]) -> Any:
    bend = _BEND_HZ / _LINEAR_HZ
    return np.where(mel < bend, _LINEAR_HZ * mel, _BEND_HZ * np.exp(_LOG_STEP * (np.maximum(mel, bend) - bend)))
