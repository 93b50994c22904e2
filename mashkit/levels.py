"""What a recording's level and channels do to what hears it, and how that is undone.

Separators and analyzers were made of music as it is published: peaks near full scale, channels that add up. What lies
far from that is brought there before they hear it, and brought back after.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from mashkit.silence import SILENCE_DB, loudest_second_db
from mashkit.types import Audio, Samples

USUAL_PEAK = (0.45, 1.25)
"""Peaks that are left as they are: −7 to +2 dB relative to full scale (ours).

Measured with spleeter-torch, SDR of the vocals in the 30 s that sing most of seven multitracks (docs/collections.md,
"Levels"): between them it changes by 0.2 dB on the average. What decoders make of a loud MP3, some tenths of a dB above
full scale, stays as it is; at +6 dB a sparse mix loses 2.7 dB.
"""
FULL_SCALE = 1.0
"""Peak that others are brought to."""
_NOTHING = 1e-9
"""A peak below it is the rounding of whoever made the file: it is left alone."""

QUIET_DB = -60.0
"""Level of the loudest second, dB relative to full scale, below which a recording is said to be quiet: the loudest
second of the quietest music at a usual level is well above −50 dB (ours)."""
CANCELLED_DB = 20.0
"""The sum of two channels that lies so far below them has lost the music: channels that know nothing of each other lose
3 dB, the widest of our songs lose less than 6 (ours)."""
DEAD_DB = 60.0
"""A channel so far below the other is dead (ours): panned to one side is heard in the other at −40 dB and more."""
OFFSET = 0.05
"""Mean of a channel, as a share of full scale, from which on it is a fault of whoever recorded it (ours)."""
CLIPPED_SHARE = 0.02
"""Share of samples that stand at the peak, three and more in a row, from which on a recording is said to be clipped
(ours): the loudest of our songs has less than a hundredth of that."""


def usual_gain(peak: float) -> float:
    """Return the factor that brings a peak to full scale; 1 for one in :data:`USUAL_PEAK`.

    Parameters
    ----------
    peak : float
        Largest absolute sample, ≥ 0.
    """
    low, high = USUAL_PEAK
    return 1.0 if peak < _NOTHING or low <= peak <= high else FULL_SCALE / peak


def loudness(audio: Audio) -> float | None:
    """Return the integrated loudness (ITU-R BS.1770-4), LUFS; None for silence or less than one 0.4 s block."""
    import pyloudnorm  # here: it brings scipy, which few commands need

    if audio.peak == 0 or audio.duration <= 0.4:
        return None
    value = float(pyloudnorm.Meter(audio.sample_rate).integrated_loudness(audio.samples.T.astype(np.float64)))
    return value if np.isfinite(value) else None


def channels_cancel(audio: Audio) -> bool:
    """Tell whether the sum of two channels is nearly silent while they are not: their phases are opposite."""
    if audio.channels != 2:
        return False
    left, right = audio.samples
    powers = [float(np.dot(one, one)) for one in (left, right)]
    together = sum(powers) + 2 * float(np.dot(left, right))
    # A hundredth of a dead channel's power is no cancelling: the sum is then the other channel.
    return sum(powers) > 0 and together < 2 * sum(powers) * 10 ** (-CANCELLED_DB / 10)


def one_signal(audio: Audio) -> Samples:
    """Return the music of all channels as one signal, shape (frames,): their mean, or half their difference.

    The difference, where the phases of two channels are opposite (:func:`channels_cancel`): the mean holds next to
    nothing then, and the difference all that it lost.
    """
    if not channels_cancel(audio):
        return audio.mono()
    side: Samples = (audio.samples[0] - audio.samples[1]) * np.float32(0.5)
    return side


def complaints(audio: Audio) -> list[str]:
    """Return what is wrong with how a recording was made, in words: what a person should know of it; mostly nothing.

    Parameters
    ----------
    audio : Audio
        Any rate and channels; one frame at least.
    """
    found = []
    level = loudest_second_db(audio)
    if level < SILENCE_DB:
        return [f"is silent: even its loudest second has {_db(level)}"]
    if level < QUIET_DB:
        found.append(f"is very quiet: even its loudest second has {_db(level)}; it was made louder to be heard")
    if audio.channels == 2:
        left, right = (float(np.mean(np.square(one, dtype=np.float64))) for one in audio.samples)
        for name, power, other in (("left", left, right), ("right", right, left)):
            if power < other * 10 ** (-DEAD_DB / 10):
                found.append(f"has no sound in its {name} channel")
    if channels_cancel(audio):
        found.append(
            "has channels of opposite phase: together they are next to silent, so what they differ in was heard; "
            "turn one of them over"
        )
    offset = float(np.max(np.abs(np.mean(audio.samples, axis=1, dtype=np.float64))))
    if offset > OFFSET:
        found.append(f"has an offset of {100 * offset:.0f} % of full scale; a high-pass filter removes it")
    clipped = _clipped_share(audio)
    if clipped > CLIPPED_SHARE:
        found.append(f"is clipped: {100 * clipped:.1f} % of its samples stand at its peak")
    if _in_steps(audio, 128):
        found.append("has 8 bits: its noise is heard, and is taken for music where that is quiet")
    return found


def _db(level: float) -> str:
    return "no sample but zero" if level == -math.inf else f"{level:.0f} dB relative to full scale"


def _clipped_share(audio: Audio) -> float:
    """Return the share of samples that stand at the peak with their two neighbours."""
    peak = audio.peak
    if peak == 0 or audio.frames < 3:
        return 0.0
    at_top: npt.NDArray[np.bool_] = np.abs(audio.samples) >= np.float32(0.999 * peak)
    return float(np.mean(at_top[:, 2:] & at_top[:, 1:-1] & at_top[:, :-2]))


def _in_steps(audio: Audio, steps: int) -> bool:
    """Tell whether every sample is a multiple of 1/steps; not of silence, nor of what has hardly a level."""
    few = audio.samples[:, : 10 * audio.sample_rate]
    if len(np.unique(few[:, ::7])) < 8:
        return False
    # A little first: nearly every recording is told by it.
    return all(bool((part * steps == np.round(part * steps)).all()) for part in (few[:, :1000], few, audio.samples))
