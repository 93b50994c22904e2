"""A tuner: how far a piece of audio is off A = 440 Hz, measured. What follows of it is in :mod:`mashkit.tuning`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from mashkit.features import TUNING_HZ, Peaks, chromagram, spectral_peaks, spectrogram
from mashkit.tuning import IN_TUNE_CENTS, NAMED_SAFELY, Tuning, wrapped
from mashkit.types import Audio

Values: TypeAlias = npt.NDArray[np.float64]

WINDOW_S = 0.186
"""Length of the window, seconds: 8,192 samples at 44.1 kHz, twice that of chroma, for bins of 5 Hz."""
RANGE_HZ = (100.0, 1760.0)
"""Where peaks count, Hz: below, a bin is as wide as a semitone; above lie hardly any fundamentals, and the overtones of
stiff strings (piano, guitar) are sharp."""
STEADY = (-2.0, -1.1)
"""Curvatures (:class:`mashkit.features.Peaks`) that count as a steady tone (ours). Through a Hann window one has −1.61
to −1.39, wherever it lies between bins (from the window's transform); noise, attacks and glides have any."""
FLOOR = 0.03
"""Peaks below this share of their frame's highest do not count: −30 dB."""
PART_S = 5.0
FEWEST_PARTS = 8
"""Parts that must agree with the whole: of about 5 s, and 8 at least."""
NEAR_CENTS = 15
"""What lies so near the tuning is in tune with it, for the confidence; of noise, 0.3 of all does."""
LEAST_CONFIDENCE = 0.16
"""Below this confidence a tuning is unknown (ours). Measured over 40 s of 15 songs and seven multitracks: songs have
0.26 to 0.81, stems without drums and voice 0.23 to 0.50, drums, noise and voices 0.00 to 0.14, but for one sampled
voice."""
SHORTEST_S = 1.0
"""Shorter audio has no tuning: it may be one note of a glide."""
_SMOOTHING_CENTS = 8.0
_WITHIN_CENTS = 10.0


def tuning_of(audio: Audio) -> Tuning:
    """Estimate the tuning of ``audio``: of its steady tones, where the most of them lie within their semitone.

    Peaks of the spectrum (:func:`mashkit.features.spectral_peaks`) that have the shape of a steady tone count with the
    square root of their magnitude; the fullest place of the circular histogram of their deviations, smoothed, is the
    tuning (as librosa.estimate_tuning, which takes the fullest bin), refined by the mean of what lies around it. Drums,
    breaths and glides have no such peaks; vibrato spreads evenly to both sides; overtones off equal temperament (the
    fifth is 14 cents flat) are fewer than those on it.

    What is found in each part of the audio must agree with the whole: a singer who drifts has no tuning.

    Parameters
    ----------
    audio : Audio
        Any rate and number of channels; best without drums and voice.

    Returns
    -------
    Tuning
        Without cents for silence, noise, drums, and what is shorter than a second.
    """
    if audio.duration < SHORTEST_S:
        return Tuning()
    n_fft = max(16, 2 ** round(math.log2(WINDOW_S * audio.sample_rate)))
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
    cents = round(wrapped(cents), 2)  # a hundredth of a cent: what no rounding of another machine moves
    cents = -50.0 if cents == 50 else cents
    if confidence < LEAST_CONFIDENCE:
        return Tuning(confidence=confidence)
    chroma: Sequence[float] = ()
    if abs(cents) > NAMED_SAFELY:
        chroma = chromagram(spectrum, tuning=cents).mean(axis=1, dtype=np.float64).tolist()
    return Tuning(cents, confidence, tuple(chroma))


def retuned(audio: Audio, cents: float) -> Audio:
    """Return ``audio`` played like a record at another speed: ``cents`` higher, and shorter by as much."""
    import soxr

    played = soxr.resample(audio.samples.T, audio.sample_rate, audio.sample_rate * 2 ** (-cents / 1200), "VHQ")
    return Audio(np.ascontiguousarray(played.T), audio.sample_rate)


def at_concert_pitch(audio: Audio) -> Audio:
    """Return ``audio`` played at A = 440 Hz, for an analyzer that names keys there; as it is where it is in tune.

    Beyond half a semitone an analyzer names the neighbour, and long before it takes a song for one a fifth away.
    Times in what is returned are not those of ``audio``: it is up to 3 % faster or slower.
    """
    cents = tuning_of(audio).cents
    return audio if cents is None or abs(cents) < IN_TUNE_CENTS else retuned(audio, -cents)


def _steady(peaks: Peaks, frames: int) -> Peaks:
    """Return the peaks of steady tones that are not far below their frame's highest."""
    highest = np.zeros(frames)
    np.maximum.at(highest, peaks.frames, peaks.heights)
    low, high = STEADY
    tall = peaks.heights > FLOOR * highest[peaks.frames]
    kept = (peaks.curvatures > low) & (peaks.curvatures < high) & tall
    return Peaks(peaks.frequencies[kept], peaks.heights[kept], peaks.frames[kept], peaks.curvatures[kept])


def _around(deviations: Values, cents: float) -> Values:
    """Return how far deviations lie from a tuning, whatever their semitone: −50 to 50 cents."""
    around: Values = (deviations - cents + 50) % 100 - 50
    return around


def _fullest(deviations: Values, weights: Values) -> float:
    """Return where the histogram of deviations within their semitone, a bin a cent, is fullest after smoothing."""
    histogram = np.bincount(np.round(deviations).astype(np.int64) % 100, weights, minlength=100)
    distance = np.minimum(np.arange(100), 100 - np.arange(100))
    kernel = np.exp(-0.5 * (distance / _SMOOTHING_CENTS) ** 2)
    smooth = np.fft.irfft(np.fft.rfft(histogram) * np.fft.rfft(kernel), 100)
    return float(smooth.argmax())


def _refined(deviations: Values, weights: Values, cents: float) -> float:
    """Return the mean of what lies around a tuning: mean shift with a Gaussian of 10 cents."""
    for _ in range(5):
        around = _around(deviations, cents)
        near = weights * np.exp(-0.5 * (around / _WITHIN_CENTS) ** 2)
        cents += float((near * around).sum() / near.sum())
    return cents


def _strength(deviations: Values, weights: Values, cents: float) -> float:
    """Return how much more of the sound lies near a tuning than of noise would, 0–1."""
    near = np.abs(_around(deviations, cents)) <= NEAR_CENTS
    chance = 2 * NEAR_CENTS / 100
    return max(0.0, float(weights[near].sum() / weights.sum() - chance) / (1 - chance))


def _steadiness(deviations: Values, weights: Values, parts: npt.NDArray[np.intp], cents: float) -> float:
    """Return the mean cosine of the tunings of all parts to that of the whole, 0–1."""
    found = [_fullest(deviations[parts == part], weights[parts == part]) for part in np.unique(parts)]
    return max(0.0, float(np.mean(np.cos(2 * np.pi * (np.array(found) - cents) / 100))))
