"""Synthesise sounds at any speed and pitch, as the truth to which a stretcher's results are compared.

All times of a sound scale with 1 / speed and all its frequencies with the pitch; the spectrum falls by a power law,
which keeping formants or not changes by a gain only, and distances ignore gain.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import attrs
import numpy as np
import numpy.typing as npt

from mashkit.features.spectral import Spectrum, spectrogram
from mashkit.synthetic import signals
from mashkit.types import Audio, Times

FLOOR_DB = -60.0
"""Spectral bins that are this much below the loudest of the reference, in both sounds, are left out, dB."""
QUIETEST_DB = -100.0
"""Smallest ratio, dB: 4 dB below the range of 16 bits."""
BAND_HZ = (50.0, 16_000.0)
"""Band of distances, Hz: below it recordings have rumble, above it codecs leave out sound."""
SPAN_S = 0.02
"""Length of the times just before and just after an attack, seconds."""


@attrs.frozen
class Case:
    """One speed and pitch shift."""

    speed: float
    semitones: float

    @property
    def pitch(self) -> float:
        """Ratio of frequencies."""
        return float(2 ** (self.semitones / 12))

    def __str__(self) -> str:
        if self.semitones == 0:
            return f"speed {self.speed:g}"
        shift = f"{self.semitones:+g} semitones".replace("-", "\N{MINUS SIGN}")
        return shift if self.speed == 1 else f"speed {self.speed:g} {shift}"


AS_IS = Case(1.0, 0.0)


def decibels(power: float) -> float:
    """Return a ratio of powers in dB, at least :data:`QUIETEST_DB`."""
    return max(QUIETEST_DB, 10 * math.log10(power)) if power > 0 else QUIETEST_DB


# ----------------------------------------------------------------------------------------------------------- attacks
def _click(case: Case) -> npt.NDArray[np.float64]:
    time = np.arange(round(0.02 / case.speed * signals.SAMPLE_RATE)) / signals.SAMPLE_RATE
    burst: npt.NDArray[np.float64] = 0.8 * np.cos(2 * np.pi * 2000 * case.pitch * time)
    return burst * np.exp(-time * case.speed / 0.003)


def _kick(case: Case) -> npt.NDArray[np.float64]:
    """Return a drum whose pitch falls from 110 to 50 Hz, like the kick of :func:`mashkit.synthetic.signals.band`."""
    time = np.arange(round(0.2 / case.speed * signals.SAMPLE_RATE)) / signals.SAMPLE_RATE
    own = time * case.speed
    frequency = case.pitch * (50 + 60 * np.exp(-own * 40))
    phase = 2 * np.pi * np.cumsum(frequency) / signals.SAMPLE_RATE
    drum: npt.NDArray[np.float64] = 0.6 * np.sin(phase) * np.exp(-own * 18)
    return drum


HITS: Mapping[str, Callable[[Case], npt.NDArray[np.float64]]] = {"clicks": _click, "kicks": _kick}


def hits(sound: str, times: Times, seconds: float, case: Case = AS_IS) -> Audio:
    """Return mono hits of one of :data:`HITS` at ``times``."""
    samples = np.zeros((1, round(seconds * signals.SAMPLE_RATE)))
    hit = HITS[sound](case)
    for moment in times:
        start = round(float(moment) * signals.SAMPLE_RATE)
        stop = min(start + len(hit), samples.shape[1])
        samples[0, start:stop] += hit[: stop - start]
    return Audio(samples, signals.SAMPLE_RATE)


def pre_echo_db(audio: Audio, onsets: Times) -> npt.NDArray[np.float64]:
    """Return the energy of the 20 ms before each onset relative to the 20 ms after, dB."""
    power = np.square(audio.mono(), dtype=np.float64)
    span = round(SPAN_S * audio.sample_rate)
    starts = np.round(onsets * audio.sample_rate).astype(np.intp)
    before = [float(power[max(start - span, 0) : start].sum()) for start in starts]
    after = [float(power[start : start + span].sum()) for start in starts]
    return np.array([decibels(early / late) if late > 0 else 0.0 for early, late in zip(before, after, strict=True)])


def _analytic(samples: npt.NDArray[np.float64]) -> npt.NDArray[np.complex128]:
    from scipy.signal import hilbert  # here: it takes a second to be imported

    analytic: npt.NDArray[np.complex128] = hilbert(samples)
    return analytic


def attack_times(audio: Audio, onsets: Times) -> npt.NDArray[np.float64]:
    """Return the rise times of the envelope from 10 to 90 % of its peak near each onset, seconds.

    The envelope is that of the analytic signal, smoothed over 4 ms; the peak is looked for within 60 ms.
    """
    window = np.hanning(round(0.004 * audio.sample_rate))
    envelope = np.convolve(np.abs(_analytic(audio.mono().astype(np.float64))), window / window.sum(), "same")
    reach = round(0.06 * audio.sample_rate)
    found = []
    for onset in onsets:
        centre = round(float(onset) * audio.sample_rate)
        near = envelope[max(centre - reach, 0) : centre + reach]
        peak = int(np.argmax(near))
        low = np.flatnonzero(near[: peak + 1] < 0.1 * near[peak])
        begin = int(low[-1]) if len(low) else 0
        high = np.flatnonzero(near[begin : peak + 1] >= 0.9 * near[peak])
        found.append(int(high[0]) / audio.sample_rate)
    return np.array(found)


# ------------------------------------------------------------------------------------------------------------- pitch
def frequency_of(audio: Audio, *, near: float | None = None) -> float:
    """Return the frequency of the strongest partial, Hz: the peak of a parabola through a long spectrum.

    With ``near``, only partials within a semitone of it are searched, because a stretcher that keeps formants may lower
    a high pure tone by 40 dB, so that another sound is louder.

    The parabola is fitted to the logarithm of the spectrum (Hann window, eightfold zero padding). The error is below
    0.1 cents for a second of tone from 110 Hz on. The outer eighths, where a stretcher starts and ends, are left out.
    """
    mono = audio.mono().astype(np.float64)
    middle = mono[len(mono) // 8 : len(mono) - len(mono) // 8]
    size = 1 << (8 * len(middle) - 1).bit_length()
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle)), size))
    low, high = 1, len(spectrum) - 1
    if near is not None:
        low, high = (round(near * 2 ** (sign / 12) * size / audio.sample_rate) for sign in (-1, 1))
    peak = low + int(np.argmax(spectrum[low:high]))
    left, centre, right = np.log(np.maximum(spectrum[peak - 1 : peak + 2], 1e-30))
    curve = left - 2 * centre + right
    offset = (left - right) / (2 * curve) if curve < 0 else 0.0
    return float((peak + offset) * audio.sample_rate / size)


# ------------------------------------------------------------------------------------------------------------- sound
PARTIALS = 12
SECONDS = 8.0


def _partials(frequency: npt.NDArray[np.float64], generator: np.random.Generator) -> npt.NDArray[np.float64]:
    """Return harmonics of a fundamental of changing frequency, their amplitudes falling by 9 dB an octave."""
    phase = 2 * np.pi * np.cumsum(frequency) / signals.SAMPLE_RATE
    starts = generator.uniform(0, 2 * np.pi, PARTIALS)
    sound = np.zeros_like(phase)
    for number, start in enumerate(starts, 1):
        sound += np.sin(number * phase + start) / number**1.5
    return sound


def _faded(sound: npt.NDArray[np.float64], case: Case) -> npt.NDArray[np.float64]:
    fade = round(0.05 / case.speed * signals.SAMPLE_RATE)
    ramp = np.minimum(1, np.arange(len(sound)) / fade)
    faded: npt.NDArray[np.float64] = sound * ramp * ramp[::-1]
    return faded


# The chords are in just intonation, because in other tunings nearly equal partials of two notes beat, and a slower
# recording has slower beats, while a slower performance does not. So all partials of a chord are multiples of half its
# root, 65 Hz or more apart.
_ROOTS_HZ = (130.8, 130.8 * 4 / 3, 130.8 * 3 / 2, 130.8)
_CHORD = (1.0, 5 / 2, 3.0)


def chords(case: Case, seed: int) -> Audio:
    """Return I–IV–V–I in C, steady chords of three notes, two seconds each before the stretch."""
    generator = np.random.default_rng(seed)
    parts = []
    for root in _ROOTS_HZ:
        frames = math.floor(SECONDS / 4 * signals.SAMPLE_RATE / case.speed + 0.5)
        notes = [_partials(np.full(frames, root * ratio * case.pitch), generator) for ratio in _CHORD]
        parts.append(_faded(np.sum(notes, axis=0), case))
    return Audio(0.08 * np.concatenate(parts)[None], signals.SAMPLE_RATE)


def voice(case: Case, seed: int) -> Audio:
    """Return a sung-like line: four notes glided between, with a vibrato of 5.5 Hz and half a semitone."""
    generator = np.random.default_rng(seed)
    frames = math.floor(SECONDS * signals.SAMPLE_RATE / case.speed + 0.5)
    own = np.arange(frames) * case.speed / signals.SAMPLE_RATE
    line = np.interp(own, [0, 1.8, 2.0, 3.8, 4.0, 5.8, 6.0, 8.0], [60, 60, 64, 64, 67, 67, 62, 62])
    line = line + 0.5 * np.sin(2 * np.pi * 5.5 * own)
    frequency = 440 * 2 ** ((line - 69) / 12) * case.pitch
    return Audio(0.2 * _faded(_partials(frequency, generator), case)[None], signals.SAMPLE_RATE)


TRUTHS: Mapping[str, Callable[[Case, int], Audio]] = {"chords": chords, "voice": voice}


def log_spectral_distance(reference: Audio, other: Audio) -> float:
    """Return the distance of two sounds' short-time spectra, dB; their gains have no effect.

    The root mean square over frequency of the difference of the log spectra (Gray and Markel, "Distance measures for
    speech processing", IEEE Trans. ASSP 24 (5), 1976), averaged over time. Bins from 50 Hz to 16 kHz count where at
    least one sound is within :data:`FLOOR_DB` of the reference's loudest bin; levels below are taken for that.

    Parameters
    ----------
    reference, other : Audio
        Same rate, same length to a few frames; channels are averaged.
    """
    spectra = [spectrogram(audio) for audio in (reference, other)]
    count = min(len(spectrum.times) for spectrum in spectra)
    one, two = (_power(spectrum, count) for spectrum in spectra)
    total = float(two.sum())
    two = two * (float(one.sum()) / total if total > 0 else 0.0)
    floor = float(one.max()) * 10 ** (FLOOR_DB / 10)
    difference = 10 * np.log10(np.maximum(one, floor) / np.maximum(two, floor))
    audible = np.maximum(one, two) > floor
    bins = audible.sum(axis=0)
    square = (difference**2).sum(axis=0)[bins > 0] / bins[bins > 0]
    return float(np.sqrt(square).mean()) if len(square) else 0.0


def _power(spectrum: Spectrum, count: int) -> npt.NDArray[np.float64]:
    low, high = (round(edge / spectrum.bin_hz) for edge in BAND_HZ)
    return np.square(spectrum.magnitudes[low:high, :count], dtype=np.float64)


# ------------------------------------------------------------------------------------------------------------ stereo
def panned(seed: int) -> Audio:
    """Return chords and noise on the left, silence on the right."""
    left = chords(AS_IS, seed).samples[0] + 0.2 * signals.noise(SECONDS, seed=seed, channels=1).samples[0]
    return Audio(np.stack([left, np.zeros_like(left)]), signals.SAMPLE_RATE)


def wide(seed: int) -> Audio:
    """Return chords and noise of which each partial is 60° apart in the two channels, so that they correlate by 0.5."""
    left = panned(seed).samples[0].astype(np.float64)
    right = np.real(_analytic(left) * np.exp(-1j * np.pi / 3))
    return Audio(np.stack([left, right]), signals.SAMPLE_RATE)
