"""Decide whether audio is silent, and which seconds of it are not.

Levels are those of what is heard: of each channel about its own mean, because a constant offset makes no sound.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from mashkit.audio.buffers import pieces
from mashkit.types import Audio

SILENCE_DB = -80.0
"""Level below which audio counts as silent, dB relative to full scale.

Below this level, music cannot be distinguished from noise: 16-bit samples with dither have noise at −93 dB, and music
turned down to −80 dB is only 13 dB above it. (Between −80 and −60 dB there is turned-down music, and the noise of a
microphone or a tape. The level cannot distinguish them; but noise occurs beside louder sound, where
:data:`QUIETER_DB` finds it.) Analyzers return results for silence too (a key, 738 BPM for digital silence), so silence
must be found before they are called.
"""
QUIETER_DB = 50.0
"""A second this far below a recording's loudest second, dB, is silent too (ours): the noise of a tape between two
pieces is 50 to 60 dB below them, the softest passages of an orchestra 30 to 40 dB."""

_BLOCK = 1 << 20
"""Frames measured at a time, 24 s at 44.1 kHz, because sums in float64 need many times the memory of the samples."""


def is_silent(audio: Audio, threshold_db: float = SILENCE_DB) -> bool:
    """Return whether the loudest second of ``audio`` is below a level.

    The loudest second counts and not the mean, because a song with a minute of silence before its hidden track is not
    silent.

    Parameters
    ----------
    audio : Audio
        Any sample rate, channels and length. Power is averaged over the channels before the level is computed, so
        opposite phases do not cancel; pass the mean of the channels if only their mean will be used.
    threshold_db : float
        Root-mean-square level, dB relative to full scale: a sine of amplitude 1 has −3 dB.

    Returns
    -------
    bool
        True for audio without a frame.
    """
    enough = 10 ** (threshold_db / 10)
    # Seconds side by side are measured first, because one that is loud enough answers for most recordings, and to
    # find the loudest second takes many times longer.
    if any(power >= enough for power in _powers(audio, whole=True)):
        return False
    return loudest_second_db(audio) < threshold_db


def loudest_second_db(audio: Audio) -> float:
    """Return the root-mean-square level of the loudest second, dB relative to full scale; −inf if no sample differs.

    The mean of each channel in that second is subtracted, then power is averaged over the channels. If the audio is
    shorter than a second, the whole audio is measured.
    """
    if audio.frames == 0:
        return -math.inf
    window = min(audio.sample_rate, audio.frames)
    loudest = 0.0
    for part in pieces(audio.samples, _BLOCK, overlap=window - 1):  # so every second lies whole in a piece
        power = sum(_running_variance(channel, window) for channel in part) / audio.channels
        loudest = max(loudest, float(np.max(power)))
    return 10 * math.log10(loudest) if loudest > 0 else -math.inf


def _running_variance(channel: npt.NDArray[np.float32], window: int) -> npt.NDArray[np.float64]:
    """Return the variance of each run of ``window`` frames."""
    moved = channel - np.float64(channel[0])  # so that sums of a constant are exactly 0
    sums, squares = (np.concatenate([[0.0], np.cumsum(values)]) for values in (moved, np.square(moved)))
    mean = (sums[window:] - sums[:-window]) / window
    variance: npt.NDArray[np.float64] = (squares[window:] - squares[:-window]) / window - np.square(mean)
    return variance


def _powers(audio: Audio, *, whole: bool = False) -> Iterator[float]:
    """Yield the power of each second, side by side; with ``whole``, not of a last one that is shorter."""
    for part in pieces(audio.samples, audio.sample_rate):
        if not whole or part.shape[1] == audio.sample_rate:
            yield float(part.var(axis=1, dtype=np.float64).mean())


def sounding_seconds(audio: Audio) -> npt.NDArray[np.bool_]:
    """Return for each second whether it is not silent, shape (seconds,); the last second may be shorter.

    A second is silent if it is below :data:`SILENCE_DB`, or more than :data:`QUIETER_DB` below the loudest second.
    """
    if audio.frames == 0:
        return np.zeros(0, np.bool_)
    power = np.array(list(_powers(audio)))
    sounds: npt.NDArray[np.bool_] = power >= max(10 ** (SILENCE_DB / 10), float(power.max()) * 10 ** (-QUIETER_DB / 10))
    return sounds
