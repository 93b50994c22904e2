"""Measure faults of a recording's level and channels, and compute the gain or signal that avoids them.

Separators and analyzers were made for published music: peaks near full scale, and channels with a useful sum. A
recording far from this is changed before it is separated or analyzed; the change is undone in the stems.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import numpy.typing as npt

from mashkit.audio.buffers import pieces
from mashkit.audio.silence import SILENCE_DB, is_silent, loudest_second_db
from mashkit.errors import AudioError
from mashkit.types import Audio, Samples

USUAL_PEAK = (0.45, 1.25)
"""Peaks that are not changed: −7 to +2 dB relative to full scale (ours).

Measured with spleeter-torch: SDR of the vocals in the 30 s with most singing of each of seven multitracks
(docs/collections.md, "Silence, levels and channels"). Between these limits it changes by 0.2 dB on average. The peaks
of a decoded loud MP3, some tenths of a dB above full scale, are not changed; at +6 dB a sparse mix loses 2.7 dB.
"""
FULL_SCALE = 1.0
"""The peak after a change of level."""
_NOTHING = 1e-9
"""A smaller peak is only the rounding of the program that wrote the file, so it is not changed."""

QUIET_DB = -60.0
"""Level of the loudest second, dB relative to full scale, below which a recording is reported as quiet (ours): at usual
levels the loudest second of the quietest music is well above −50 dB."""
CANCELLED_DB = 20.0
"""Channels cancel each other if their sum is this far below them, dB (ours): the sum of uncorrelated channels is 3 dB
lower, and that of the widest of our songs less than 6 dB."""
DEAD_DB = 60.0
"""A channel this far below the other, dB, is dead (ours): sound panned to one side reaches −40 dB or more in the
other."""
OFFSET = 0.05
"""Mean of a channel, as a share of full scale, above which it is a fault of the recording (ours)."""
LEAST_OFFSET = 0.002
"""A constant offset up to this, as a share of full scale at a usual level, is not taken off (ours), so that recordings
without an offset stay as they are. The mean of 9 songs and 7 multitracks is up to 0.0001, in 5 s of them up to 0.0005,
and that of 12 rendered songs up to 0.0015. At this limit stemnet's stems change by 0.3 to 3 % of their amplitude where
they are loud."""
CLIPPED_SHARE = 0.02
"""Share of samples at the peak, three or more in a row, above which a recording is reported as clipped (ours): the
loudest of our songs has less than a hundredth of this share."""

MOST_WEIGHTED = 5
"""Channels for which ITU-R BS.1770-4 gives weights."""
_BLOCK = 1 << 20
"""Frames measured at a time, because measuring needs several times the memory of what it measures."""


def usual_gain(peak: float) -> float:
    """Return the factor that brings a peak to full scale; 1 for a peak within :data:`USUAL_PEAK`.

    Parameters
    ----------
    peak : float
        Largest absolute sample, ≥ 0.
    """
    low, high = USUAL_PEAK
    return 1.0 if peak < _NOTHING or low <= peak <= high else FULL_SCALE / peak


def constant_offset(audio: Audio, peak: float | None = None) -> npt.NDArray[np.float64]:
    """Return the constant offset of each channel, shape (channels,); 0 for a channel without one.

    A constant offset makes no sound, but it changes peaks and what networks return. It is in every second of a
    recording: it is the mean of a channel if the mean of each whole second is beyond :data:`LEAST_OFFSET` on the same
    side of 0. The mean of the whole recording cannot tell: notes of a synthesizer may have a mean, in one song of 0.03,
    but its rests have none. Audio shorter than a second has no offset, because there a deep note may have a mean.

    Parameters
    ----------
    audio : Audio
    peak : float, optional
        Largest absolute sample of the recording from which the audio was cut; by default the audio's own peak.
    """
    seconds, none = audio.frames // audio.sample_rate, np.zeros(audio.channels)
    if seconds == 0:
        return none
    least = LEAST_OFFSET / usual_gain(audio.peak if peak is None else peak)
    total, low, high = none, np.full(audio.channels, np.inf), np.full(audio.channels, -np.inf)
    for second in pieces(audio.samples[:, : seconds * audio.sample_rate], audio.sample_rate):
        mean = second.mean(axis=1, dtype=np.float64)
        total, low, high = total + mean, np.minimum(low, mean), np.maximum(high, mean)
        constant = (low > least) | (high < -least)
        if not constant.any():  # as a rule after the first second
            return none
    return np.where(constant, total / seconds, 0.0)


def loudness(audio: Audio) -> float | None:
    """Return the integrated loudness (ITU-R BS.1770-4), LUFS; None for silence or less than one 0.4 s block.

    Raises
    ------
    AudioError
        If there are more than five channels, which the standard does not weight.
    """
    import pyloudnorm  # here: it brings scipy, which few commands need

    if audio.channels > MOST_WEIGHTED:
        raise AudioError(f"the audio has {audio.channels} channels", "downmix it: loudness is defined for up to five")
    if audio.peak == 0 or audio.frames < 0.4 * audio.sample_rate:
        return None
    value = float(pyloudnorm.Meter(audio.sample_rate).integrated_loudness(audio.samples.T.astype(np.float64)))
    return value if np.isfinite(value) else None


def channels_cancel(audio: Audio) -> bool:
    """Return whether the sum of two channels is nearly silent but the channels are not: their phases are opposite."""
    return audio.channels == 2 and _cancel(_moments(audio)[1])


def _cancel(covariance: npt.NDArray[np.float64]) -> bool:
    powers, together = float(covariance.trace()), float(covariance.sum())
    # If one channel is dead, the sum is the other channel, so its power is not below this limit.
    return powers > 0 and together < 2 * powers * 10 ** (-CANCELLED_DB / 10)


def _moments(audio: Audio) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the mean of each channel, shape (channels,), and their covariance, shape (channels, channels).

    Powers are measured about the means, because a constant offset makes no sound.
    """
    frames = max(1, audio.frames)
    means: npt.NDArray[np.float64] = np.sum(
        [part.sum(axis=1, dtype=np.float64) for part in pieces(audio.samples, _BLOCK)], axis=0
    )
    means /= frames
    covariance = np.zeros((audio.channels, audio.channels))
    for part in pieces(audio.samples, _BLOCK):
        moved = part - means[:, None].astype(np.float32)
        covariance += moved @ moved.T
    return means, covariance / frames


def one_signal(audio: Audio) -> Samples:
    """Return the music of all channels as one signal, shape (frames,): their mean, or half their difference.

    If two channels have opposite phases (:func:`channels_cancel`), half their difference is returned, because their
    mean is nearly silent and the difference contains the music.
    """
    if not channels_cancel(audio):
        return audio.mono()
    side: Samples = (audio.samples[0] - audio.samples[1]) * np.float32(0.5)
    return side


def complaints(audio: Audio) -> list[str]:
    """Return the faults of a recording as texts for the user; an empty list for most recordings.

    Parameters
    ----------
    audio : Audio
        Any sample rate and number of channels; at least one frame.
    """
    found = []
    if is_silent(audio, QUIET_DB):
        level = loudest_second_db(audio)
        if level < SILENCE_DB:
            return [f"is silent: even its loudest second has {_db(level)}"]
        found.append(f"is very quiet: even its loudest second has {_db(level)}; it was made louder for the analysis")
    means, covariance = _moments(audio)
    if audio.channels == 2:
        left, right = covariance.diagonal()
        for name, own, other in (("left", left, right), ("right", right, left)):
            if own < other * 10 ** (-DEAD_DB / 10):
                found.append(f"has no sound in its {name} channel")
    if audio.channels == 2 and _cancel(covariance):
        found.append(
            "has channels of opposite phase: their sum is almost silent, so their difference was analysed; "
            "invert one of them"
        )
    offset = float(np.abs(means).max())
    if offset > OFFSET:
        found.append(f"has an offset of {100 * offset:.0f} % of full scale; a high-pass filter removes it")
    clipped = _clipped_share(audio)
    if clipped > CLIPPED_SHARE:
        found.append(f"is clipped: {100 * clipped:.1f} % of its samples are at its peak")
    if _in_steps(audio, 128):
        found.append("has 8 bits: its noise is audible, and counts as music in quiet parts")
    return found


def _db(level: float) -> str:
    return "one value only" if level == -math.inf else f"{level:.0f} dB relative to full scale"


def _clipped_share(audio: Audio) -> float:
    """Return the share of samples that are at the peak together with both neighbours."""
    peak = audio.peak
    if peak == 0 or audio.frames < 3:
        return 0.0
    count = 0
    for part in pieces(audio.samples, _BLOCK, overlap=2):
        at_top: npt.NDArray[np.bool_] = np.abs(part) >= np.float32(0.999 * peak)
        count += int(np.count_nonzero(at_top[:, 2:] & at_top[:, 1:-1] & at_top[:, :-2]))
    return count / (audio.channels * (audio.frames - 2))


def _in_steps(audio: Audio, steps: int) -> bool:
    """Return whether every sample is a multiple of 1/steps; False for silence and for fewer than 8 distinct values."""
    few = audio.samples[:, : 10 * audio.sample_rate]
    if len(np.unique(few[:, ::7])) < 8:
        return False
    # A short part is checked first, because it decides for nearly every recording.
    parts = itertools.chain((few[:, :1000], few), pieces(audio.samples, _BLOCK))
    return all(bool((part * steps == np.round(part * steps)).all()) for part in parts)
