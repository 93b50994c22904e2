"""Measure the tuning of audio: its distance from A = 440 Hz. :mod:`mashkit.features.tuning` uses the result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from mashkit.features.spectral import TUNING_HZ, Peaks, chromagram, spectral_peaks, spectrogram, window_frames
from mashkit.features.tuning import IN_TUNE_CENTS, NAMED_SAFELY, Tuning, wrapped
from mashkit.types import Audio

Values: TypeAlias = npt.NDArray[np.float64]

WINDOW_S = 8192 / 44_100
"""Length of the window, seconds: 8,192 samples at 44.1 kHz, twice the window of chroma, so that a bin is 5 Hz wide."""
RANGE_HZ = (100.0, 1760.0)
"""Range of the peaks that count, Hz. Below it a bin is as wide as a semitone; above it there are hardly any
fundamentals, and the overtones of stiff strings (piano, guitar) are sharp."""
STEADY = (-2.0, -1.1)
"""Curvatures (:class:`mashkit.features.spectral.Peaks`) of a steady tone (ours). With a Hann
window a steady tone has −1.61 to −1.39, at any place between bins (from the window's transform); noise, attacks and
glides can have any curvature."""
FLOOR = 0.03
"""Peaks below this share of the highest peak of their frame, −30 dB, do not count."""
PART_S = 5.0
FEWEST_PARTS = 8
"""Parts whose tunings are compared with the tuning of the whole: each about 5 s long, at least 8 parts."""
NEAR_CENTS = 15
"""Tones within this distance of the tuning count as in tune for the confidence; for noise, 0.3 of all peaks do."""
LEAST_CONFIDENCE = 0.16
"""Below this confidence the tuning is unknown (ours). Measured over 40 s of 15 songs and seven multitracks: songs have
0.26 to 0.81, stems without drums and voice 0.23 to 0.50, and drums, noise and voices 0.00 to 0.14, except for one
sampled voice."""
SHORTEST_S = 1.0
"""Audio shorter than this, seconds, has no tuning, because it may be one note of a glide."""
_SMOOTHING_CENTS = 8.0
_WITHIN_CENTS = 10.0


def tuning_of(audio: Audio) -> Tuning:
    """Estimate the tuning of ``audio``: the commonest deviation of its steady tones from equal temperament.
    Peaks of the spectrum (:func:`mashkit.features.spectral.spectral_peaks`) with the shape of a steady tone are
    weighted by the square root of their magnitude. The maximum of the smoothed circular histogram of their deviations
    (librosa's estimate_tuning uses the fullest bin), refined by the mean of the deviations around it, is the tuning.
    Drums, breaths and glides have no such peaks; vibrato spreads evenly to both sides; fewer overtones lie off equal
    temperament (the fifth partial is 14 cents flat) than on it.

    The tunings of the parts of the audio must agree with the tuning of the whole: a singer who drifts has no tuning.

    Parameters
    ----------
    audio : Audio
        Any sample rate and number of channels; best without drums and voice.

    Returns
    -------
    Tuning
        Without cents for silence, noise, drums, and audio shorter than a second.
    """
    if audio.duration < SHORTEST_S:
        return Tuning()
    n_fft = window_frames(WINDOW_S, audio.sample_rate)
    spectrum = spectrogram(audio, n_fft=n_fft, hop=n_fft // 4)
    low, high = RANGE_HZ
    peaks = _steady(spectral_peaks(spectrum, low, min(high, audio.sample_rate / 2)), len(spectrum.times))
    if len(peaks.frames) == 0:
        return Tuning()
    deviations = 1200 * np.log2(peaks.frequencies / TUNING_HZ)
    weights = np.sqrt(peaks.heights)
    cents = _refined(deviations, weights, _fullest(deviations, weights))
    confidence = _strength(deviations, weights, cents)
    if confidence > 0:
        parts = max(FEWEST_PARTS, round(audio.duration / PART_S))
        confidence *= _steadiness(deviations, weights, peaks.frames * parts // len(spectrum.times), cents)
    cents = round(wrapped(cents), 2)  # to a hundredth of a cent, so that machines with other rounding errors agree
    cents = -50.0 if cents == 50 else cents
    if confidence < LEAST_CONFIDENCE:
        return Tuning(confidence=confidence)
    chroma: Sequence[float] = ()
    if abs(cents) > NAMED_SAFELY:
        chroma = chromagram(spectrum, tuning=cents).mean(axis=1, dtype=np.float64).tolist()
    return Tuning(cents, confidence, tuple(chroma))


def retuned(audio: Audio, cents: float) -> Audio:
    """Return ``audio`` resampled like a record played faster: ``cents`` higher, and shorter by the same factor."""
    import soxr

    played = soxr.resample(audio.samples.T, audio.sample_rate, audio.sample_rate * 2 ** (-cents / 1200), "VHQ")
    return Audio(np.ascontiguousarray(played.T), audio.sample_rate)


def at_concert_pitch(audio: Audio) -> Audio:
    """Return ``audio`` resampled to A = 440 Hz, for an analyzer that assumes it; ``audio`` itself if it is in tune.

    Beyond half a semitone an analyzer returns the key a semitone away, and at much smaller deviations it may return a
    key a fifth away. The result is up to 3 % faster or slower: a time in it, multiplied by the ratio of the durations,
    ``audio.duration / result.duration``, is the time in ``audio``.
    """
    cents = tuning_of(audio).cents
    return audio if cents is None or abs(cents) < IN_TUNE_CENTS else retuned(audio, -cents)


def _steady(peaks: Peaks, frames: int) -> Peaks:
    """Return the peaks of steady tones that are at least :data:`FLOOR` times the highest peak of their frame."""
    highest = np.zeros(frames)
    np.maximum.at(highest, peaks.frames, peaks.heights)
    low, high = STEADY
    tall = peaks.heights > FLOOR * highest[peaks.frames]
    kept = (peaks.curvatures > low) & (peaks.curvatures < high) & tall
    return Peaks(peaks.frequencies[kept], peaks.heights[kept], peaks.frames[kept], peaks.curvatures[kept])


def _around(deviations: Values, cents: float) -> Values:
    """Return the distances of deviations from a tuning, modulo a semitone: −50 to 50 cents."""
    around: Values = (deviations - cents + 50) % 100 - 50
    return around


def _fullest(deviations: Values, weights: Values) -> float:
    """Return the maximum, in cents, of the smoothed histogram of deviations modulo a semitone, with bins of a cent."""
    histogram = np.bincount(np.round(deviations).astype(np.int64) % 100, weights, minlength=100)
    distance = np.minimum(np.arange(100), 100 - np.arange(100))
    kernel = np.exp(-0.5 * (distance / _SMOOTHING_CENTS) ** 2)
    smooth = np.fft.irfft(np.fft.rfft(histogram) * np.fft.rfft(kernel), 100)
    return float(smooth.argmax())


def _refined(deviations: Values, weights: Values, cents: float) -> float:
    """Return the mean of the deviations around a tuning, cents: mean shift with a Gaussian of 10 cents."""
    for _ in range(5):
        around = _around(deviations, cents)
        near = weights * np.exp(-0.5 * (around / _WITHIN_CENTS) ** 2)
        cents += float((near * around).sum() / near.sum())
    return cents


def _strength(deviations: Values, weights: Values, cents: float) -> float:
    """Return how much more of the sound lies near a tuning than of noise, 0–1."""
    near = np.abs(_around(deviations, cents)) <= NEAR_CENTS
    chance = 2 * NEAR_CENTS / 100
    return max(0.0, float(weights[near].sum() / weights.sum() - chance) / (1 - chance))


def _steadiness(deviations: Values, weights: Values, parts: npt.NDArray[np.intp], cents: float) -> float:
    """Return the mean cosine of the tunings of all parts to that of the whole, 0–1."""
    found = [_fullest(deviations[parts == part], weights[parts == part]) for part in np.unique(parts)]
    return max(0.0, float(np.mean(np.cos(2 * np.pi * (np.array(found) - cents) / 100))))
