"""Whether there is anything to hear: how loud the loudest second is, and which seconds sound."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from mashkit.types import Audio

SILENCE_DB = -80.0
"""Level below which audio counts as silent, dB relative to full scale.

Whatever a recording's level, this is where nothing can be told from noise any more: 16 bits leave a noise of −93 dB
with dither, and music that was turned down to −80 dB has 13 dB above it. (Between −80 and −60 dB lies music that
somebody turned down, and what a microphone or a tape leaves over. They cannot be told apart by level; music is there
for its own sake, noise beside something else, where :data:`QUIETER_DB` finds it.) Analyzers answer with confidence on
either side (a key for digital silence, 738 BPM), so the line has to be drawn before they are asked.
"""
QUIETER_DB = 50.0
"""A second so far below a recording's own loudest one is silent too (ours): the noise of a tape between two pieces lies
50 to 60 dB below them, the softest passages of an orchestra 30 to 40 dB."""


def is_silent(audio: Audio, threshold_db: float = SILENCE_DB) -> bool:
    """Say whether even the loudest second of ``audio`` lies below a level.

    The loudest second, not the whole: a song with a minute of silence before its hidden track is not silent.

    Parameters
    ----------
    audio : Audio
        Any rate, channels and length. Power is averaged over the channels before the level is taken, so opposite
        phases do not cancel; ask about ``audio.mono()`` where it is the sum that will be heard.
    threshold_db : float
        Root-mean-square level, dB relative to full scale: a sine of amplitude 1 has −3 dB.

    Returns
    -------
    bool
        True for audio without a frame.
    """
    return loudest_second_db(audio) < threshold_db


def loudest_second_db(audio: Audio) -> float:
    """Return the root-mean-square level of the loudest second, dB relative to full scale; −inf for zeros or no frame.

    Power is averaged over the channels first. Of less than a second, all of it counts.
    """
    if audio.frames == 0:
        return -math.inf
    power = np.einsum("cf,cf->f", audio.samples, audio.samples, dtype=np.float64) / audio.channels
    total = np.concatenate([[0.0], np.cumsum(power)])
    window = min(audio.sample_rate, audio.frames)
    loudest = float(np.max(total[window:] - total[:-window])) / window
    return 10 * math.log10(loudest) if loudest > 0 else -math.inf


def sounding_seconds(audio: Audio) -> npt.NDArray[np.bool_]:
    """Say of each second whether something sounds in it, shape (seconds,), a last part of one included.

    Silent is what lies below :data:`SILENCE_DB`, or :data:`QUIETER_DB` below the loudest of these seconds.
    """
    edges = np.arange(0, audio.frames, audio.sample_rate)
    if len(edges) == 0:
        return np.zeros(0, np.bool_)
    power = np.einsum("cf,cf->f", audio.samples, audio.samples, dtype=np.float64) / audio.channels
    means = np.add.reduceat(power, edges) / np.diff(np.append(edges, audio.frames))
    sounds: npt.NDArray[np.bool_] = means >= max(10 ** (SILENCE_DB / 10), float(means.max()) * 10 ** (-QUIETER_DB / 10))
    return sounds
