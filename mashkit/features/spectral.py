"""Compute features for scorers and reports: chroma, onset strength and band energies, per frame or per beat.

All features are computed from one :class:`Spectrum`, so that a stem needs one pass of short-time Fourier transforms::

    spectrum = spectrogram(stem)
    chroma = beat_synchronous(chromagram(spectrum), spectrum.times, beats)

Conventions: features are float32 of shape (rows, frames); frame ``n`` is centred on ``spectrum.times[n]`` seconds;
boundaries of intervals are seconds. Scaling the audio by ``g`` scales chroma by √g and energies by g², and leaves onset
strength unchanged, so the loudness of a recording has no effect on comparisons.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import attrs
import numpy as np
import numpy.typing as npt

from mashkit.audio.levels import one_signal
from mashkit.errors import UsageError
from mashkit.types import Audio, Times

Features: TypeAlias = npt.NDArray[np.float32]

WINDOW_S = 4096 / 44_100
"""Length of the window, seconds: 4,096 samples at 44.1 kHz, and as long at other rates, because a rate must not change
what is measured. One spectrum serves all features, so it is a
compromise: long enough to separate the notes of a chord from C3 up, short enough to separate sixteenths at 160 BPM."""

CHROMA_RANGE = (65.0, 2100.0)
"""Frequencies that count for chroma, Hz: C2 to C7. Below are rumble and kick drum, above hardly any fundamentals."""

KICK_BAND = (20.0, 150.0)
SNARE_BAND = (150.0, 5000.0)
"""Bands of :func:`onset_strength`, Hz: a kick drum's fundamental; a snare's body and wires, mostly below the hi-hat."""

BALANCE_EDGES = (0.0, 220.0, 1760.0, math.inf)
"""Edges of the low, middle and high band of AutoMashUpper's spectral balance, Hz (Davies et al. 2014): A3 and A6."""

TUNING_HZ = 440.0
"""The A from which tunings are measured, Hz (ISO 16)."""
_ONSET_RANGE = 1e4  # 40 dB: sound further below the audio's loudest third of an octave is not an onset


@attrs.frozen(eq=False)
class Spectrum:
    """Short-time magnitudes of the mean of an audio's channels (of their difference if their phases are opposite).

    Parameters
    ----------
    magnitudes : array of float32, shape (n_fft // 2 + 1, frames)
        Scaled so that a frame's squared magnitudes sum to the mean square of its samples, weighted by the squared
        window (Parseval).
    times : array of float64, shape (frames,)
        Centres of the frames, seconds.
    sample_rate : int
        Sample rate of the audio, Hz.
    n_fft : int
        Length of the window, samples; even.
    hop : int
        Samples from one frame to the next.
    """

    magnitudes: Features = attrs.field(repr=False)
    times: Times = attrs.field(repr=False)
    sample_rate: int
    n_fft: int
    hop: int

    @property
    def bin_hz(self) -> float:
        """Width of a bin, Hz."""
        return self.sample_rate / self.n_fft


def window_frames(seconds: float, sample_rate: int) -> int:
    """Return the length of a window at a sample rate, in samples: an even number, 16 or more."""
    return max(16, 2 * round(seconds * sample_rate / 2))


def spectrogram(audio: Audio, *, n_fft: int | None = None, hop: int | None = None) -> Spectrum:
    """Return the short-time spectrum that all features share.

    It has a Hann window and 1 + frames // hop frames, centred every ``hop`` samples from the first sample. The audio is
    mirrored at its ends, because a clip is cut out of music, and zeros outside would be an onset at every clip's start.

    Parameters
    ----------
    audio : Audio
        Any sample rate and number of channels.
    n_fft : int, optional
        Length of the window in samples, even and ≥ 16; default: the even number nearest to :data:`WINDOW_S`.
    hop : int, optional
        Samples from frame to frame, ≥ 1; default: an eighth of the window (11.6 ms at 44.1 kHz, a third of a
        twelfth of a beat at 140 BPM).

    Returns
    -------
    Spectrum

    Raises
    ------
    UsageError
        If ``n_fft`` or ``hop`` is out of range.
    """
    n_fft = window_frames(WINDOW_S, audio.sample_rate) if n_fft is None else n_fft
    hop = n_fft // 8 if hop is None else hop
    if n_fft < 16 or n_fft % 2 or hop < 1:
        raise UsageError(
            f"a window of {n_fft} samples every {hop}", "give an even window of 16 or more and a hop of 1 or more"
        )
    import scipy.fft  # here: mashkit is imported faster without scipy

    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)).astype(np.float32)
    # The spectrum is one-sided: every bin except the first and the last counts twice.
    scale = np.full(n_fft // 2 + 1, math.sqrt(2 / (n_fft * float(np.sum(window.astype(np.float64) ** 2)))), np.float32)
    scale[[0, -1]] /= np.float32(math.sqrt(2))
    mono = one_signal(audio)
    padded = np.pad(mono, n_fft // 2, mode="reflect" if len(mono) else "constant")
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop]
    magnitudes = np.empty((n_fft // 2 + 1, len(frames)), np.float32)
    for start in range(0, len(frames), 512):  # in blocks, because overlapping frames need eight times the memory
        block = scipy.fft.rfft(frames[start : start + 512] * window, axis=1)
        magnitudes[:, start : start + 512] = (np.abs(block) * scale).T
    times = np.arange(len(frames), dtype=np.float64) * (hop / audio.sample_rate)
    return Spectrum(magnitudes, times, audio.sample_rate, n_fft, hop)


@attrs.frozen(eq=False)
class Peaks:
    """The peaks of a spectrum, between its bins.

    Parameters
    ----------
    frequencies : array of float64, shape (n,)
        Hz.
    heights : array of float64, shape (n,)
        Magnitudes.
    frames : array of int, shape (n,)
        Number of each peak's frame.
    curvatures : array of float64, shape (n,)
        Sum of the log ratios of both neighbouring bins to the peak's bin, < 0. This shape distinguishes a steady tone
        from noise (:mod:`mashkit.features.tuner`).
    """

    frequencies: npt.NDArray[np.float64] = attrs.field(repr=False)
    heights: npt.NDArray[np.float64] = attrs.field(repr=False)
    frames: npt.NDArray[np.intp] = attrs.field(repr=False)
    curvatures: npt.NDArray[np.float64] = attrs.field(repr=False)


def spectral_peaks(spectrum: Spectrum, low_hz: float, high_hz: float) -> Peaks:
    """Return the peaks of every frame that lie in a range of frequencies.

    A peak's frequency is the vertex of the parabola through the three log magnitudes around it (Smith and Serra,
    PARSHL, 1987).

    Raises
    ------
    UsageError
        If the window is too short: the range contains too few bins.
    """
    first, last = math.floor(low_hz / spectrum.bin_hz), math.ceil(high_hz / spectrum.bin_hz)
    last = min(last, len(spectrum.magnitudes) - 2)
    if first < 1 or first >= last:
        raise UsageError(
            f"a window of {spectrum.n_fft} samples is too short to separate pitches", "give a longer window"
        )
    around = spectrum.magnitudes[first - 1 : last + 2]
    below, centre, above = around[:-2], around[1:-1], around[2:]
    bins, frames = np.nonzero((centre > below) & (centre >= above))
    # A neighbour of exactly zero is replaced by a millionth of the peak, far below its value with a Hann window.
    peak = centre[bins, frames].astype(np.float64)
    left, right = (np.log(np.maximum(side[bins, frames], 1e-6 * peak) / peak) for side in (below, above))
    offset = (left - right) / (2 * (left + right))  # the parabola's vertex; its top is 0, so left + right < 0
    height = peak * np.exp((right - left) * offset / 4)
    frequency = (bins + first + offset) * spectrum.bin_hz
    inside = (frequency >= low_hz) & (frequency <= high_hz)
    return Peaks(frequency[inside], height[inside], frames[inside], (left + right)[inside])


def chromagram(spectrum: Spectrum, *, tuning: float = 0.0) -> Features:
    """Return the strength of each pitch class, shape (12, frames), C = 0, in equal temperament.

    This is the harmonic pitch class profile (Gómez, Tonal Description of Music Audio Signals, PhD thesis, 2006, ch. 3):
    only the peaks of the spectrum within :data:`CHROMA_RANGE` count (:func:`spectral_peaks`), and each peak is divided
    between the two nearest pitch classes with weights cos²(π·d/2), where d < 1 is the distance in semitones. Peaks are
    used, because at 65 Hz a semitone is 4 Hz and a bin 11 Hz: a bin is too wide to find a pitch there, but the peak
    between bins is exact enough.

    A peak is weighted by the square root of its magnitude, near the exponent of perceived loudness (0.6; Stevens 1957),
    so that a chord's bass does not hide its third. Unlike log(1 + γx), this needs no reference level: a frame's chroma
    depends only on that frame, and the gain only scales it. Frames are not normalised, so that silence has less weight
    than sound in the mean of a beat.

    Parameters
    ----------
    spectrum : Spectrum
    tuning : float
        Distance of the music's own A from 440 Hz, cents (:attr:`mashkit.types.Analysis.tuning`): the pitch classes are
        centred on it. Otherwise each note of a song half a semitone off would be spread over two classes.

    Raises
    ------
    UsageError
        If the window is too short: the range contains too few bins.
    """
    peaks = spectral_peaks(spectrum, *CHROMA_RANGE)
    height, frames = np.sqrt(peaks.heights), peaks.frames
    pitch = 12 * np.log2(peaks.frequencies / TUNING_HZ) + 9 - tuning / 100  # A is pitch class 9
    lower = np.floor(pitch)
    share = np.cos(np.pi / 2 * (pitch - lower)) ** 2
    count = spectrum.magnitudes.shape[1]
    chroma = np.zeros(12 * count)
    for pitch_class, weight in ((lower, share), (lower + 1, 1 - share)):
        cells = (pitch_class.astype(np.int64) % 12) * count + frames
        chroma += np.bincount(cells, weight * height, minlength=12 * count)
    return chroma.reshape(12, count).astype(np.float32)


def onset_strength(spectrum: Spectrum, bands: Sequence[tuple[float, float]] = (KICK_BAND, SNARE_BAND)) -> Features:
    """Return the strength of onsets in each band, shape (len(bands), frames), ≥ 0.

    This is log-energy flux per band: P is the power in triangular thirds of an octave, L = log₁₀(1 + γ·P / max P) with
    γ = 10⁴, and the increase of each third, max(0, L[n] − L[n − lag]), is averaged over the band (spectral flux: Dixon,
    "Onset detection revisited", DAFx 2006; logarithmic filters and the lag: Böck, Krebs and Schedl, "Evaluating the
    online capabilities of onset detection methods", ISMIR 2012). The lag is a quarter of the window, where a Hann
    window has fallen to a half. The reference max P is the loudest third of the whole audio. Because of the logarithm,
    L rises as soon as the edge of the window reaches an onset; so the result is delayed by an eighth of the window,
    which brings the peaks of drums to within 10 ms of their hits.

    Parameters
    ----------
    spectrum : Spectrum
    bands : sequence of (low, high)
        Hz; default: kick and snare. Frequencies above half the sample rate are left out.

    Raises
    ------
    UsageError
        If a band contains no bin of the spectrum.
    """
    filters = [_thirds(spectrum, low, high) for low, high in bands]
    top = max(bank.shape[1] for bank in filters)
    power = np.square(spectrum.magnitudes[:top])
    levels = [bank @ power[: bank.shape[1]] for bank in filters]
    loudest = max(float(level.max(initial=0.0)) for level in levels)
    if loudest == 0.0:
        return np.zeros((len(levels), len(spectrum.times)), np.float32)
    lag = max(1, round(spectrum.n_fft / 4 / spectrum.hop))
    delay = round(spectrum.n_fft / 8 / spectrum.hop)
    frames = len(spectrum.times)
    strength = []
    for level in levels:
        logs = np.log10(1 + level * np.float32(_ONSET_RANGE / loudest))
        # Sound at the very beginning of the audio is not an onset, because it may have started earlier.
        logs = np.pad(logs, ((0, 0), (lag + delay, 0)), mode="edge")
        rise = logs[:, lag : lag + frames] - logs[:, :frames]
        strength.append(np.maximum(rise, 0).mean(axis=0))
    return np.stack(strength)


def _thirds(spectrum: Spectrum, low: float, high: float) -> Features:
    """Return triangular filters a third of an octave apart, shape (filters, bins), on the bins from 0 to ``high``.

    If a third is narrower than a bin, there is one filter per bin, as in Böck, Krebs and Schedl 2012.
    """
    last = min(math.floor(high / spectrum.bin_hz), len(spectrum.magnitudes) - 1)
    thirds = math.floor(3 * math.log2(high / low))
    centres = np.round(low * 2 ** (np.arange(thirds + 1) / 3) / spectrum.bin_hz).astype(np.int64)
    centres = np.unique(centres[(centres >= 1) & (centres <= last)])
    if len(centres) == 0:
        raise UsageError(
            f"no bin from {low:g} to {high:g} Hz at {spectrum.sample_rate} Hz, window {spectrum.n_fft}",
            "give a wider band or a longer window",
        )
    # A filter rises from its left neighbour's centre and falls to its right neighbour's; an outermost side is one bin.
    corners = np.concatenate([[centres[0] - 1], centres, [centres[-1] + 1]]).astype(np.float64)
    bins = np.arange(last + 1)
    rising = (bins - corners[:-2, None]) / (corners[1:-1] - corners[:-2])[:, None]
    falling = (corners[2:, None] - bins) / (corners[2:] - corners[1:-1])[:, None]
    return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)


def band_energies(spectrum: Spectrum, edges: Sequence[float] = BALANCE_EDGES) -> Features:
    """Return the power between successive edges, shape (len(edges) - 1, frames): mean squares of the samples.

    A sine of amplitude a adds a²/2 to its band; with edges (0, …, inf) the bands sum to the frame's mean square.

    Parameters
    ----------
    spectrum : Spectrum
    edges : sequence of float
        Hz, increasing; a band includes its lower edge. Default: AutoMashUpper's three bands.

    Raises
    ------
    UsageError
        If there are fewer than two edges or they do not increase.
    """
    if len(edges) < 2 or any(low >= high for low, high in itertools.pairwise(edges)):
        raise UsageError(f"the band edges are {tuple(edges)}", "give two or more, in Hz, ascending")
    count = len(spectrum.magnitudes)
    bins = [min(count, max(0, math.ceil(edge / spectrum.bin_hz))) if edge < math.inf else count for edge in edges]
    bands = [spectrum.magnitudes[low:high] for low, high in itertools.pairwise(bins)]
    return np.stack([np.einsum("bf,bf->f", band, band) for band in bands])


def beat_synchronous(
    features: npt.NDArray[Any],
    times: npt.ArrayLike,
    boundaries: npt.ArrayLike,
    *,
    reduce: Literal["mean", "median"] = "mean",
) -> npt.NDArray[Any]:
    """Return one value per row for each interval between consecutive boundaries: beats, or parts of beats.

    An interval [b, b′) contains the frames whose centres lie in it. An interval without a frame gets the nearest frame
    if that is within half a hop of its middle; an interval outside the frames is zero, because there is no sound.

    Parameters
    ----------
    features : array of float, shape (rows, frames)
    times : array of float, shape (frames,)
        Centres of the frames, seconds, evenly spaced.
    boundaries : array of float, shape (intervals + 1,)
        Seconds, not decreasing; may lie before or after the frames.
    reduce : {"mean", "median"}

    Returns
    -------
    array of float, shape (rows, intervals)
        In the features' dtype.

    Raises
    ------
    UsageError
        If the boundaries decrease or are fewer than two, there is no frame, or ``features`` and ``times`` differ in
        their number of frames.
    """
    times, boundaries = np.asarray(times, np.float64), np.asarray(boundaries, np.float64)
    if features.ndim != 2 or times.shape != features.shape[1:] or len(times) == 0:
        raise UsageError(f"features of shape {features.shape} for {times.size} frame times")
    if boundaries.ndim != 1 or len(boundaries) < 2 or not (np.diff(boundaries) >= 0).all():
        raise UsageError(
            "the boundaries of intervals are fewer than two, or decrease", "give two or more, in seconds, ascending"
        )
    edges = np.searchsorted(times, boundaries)
    starts, counts = edges[:-1], np.diff(edges)
    filled, empty = np.flatnonzero(counts), np.flatnonzero(counts == 0)
    result = np.zeros((len(features), len(counts)), features.dtype)
    if reduce == "mean" and len(filled):
        # Each interval is summed alone (the next begins where it ends), because differences of a running sum would add
        # the rounding errors of loud intervals to silent ones.
        sums = np.add.reduceat(features[:, : edges[-1]], starts[filled], axis=1)
        result[:, filled] = sums / counts[filled].astype(features.dtype)
    elif reduce == "median":
        for index in filled:
            result[:, index] = np.median(features[:, starts[index] : edges[index + 1]], axis=1)
    if len(empty):
        middles = (boundaries[empty] + boundaries[empty + 1]) / 2
        right = np.clip(starts[empty], 0, len(times) - 1)
        left = np.maximum(right - 1, 0)
        nearest = np.where(middles - times[left] < times[right] - middles, left, right)
        reach = (times[1] - times[0]) / 2 if len(times) > 1 else 0.0
        result[:, empty] = np.where(np.abs(times[nearest] - middles) <= reach, features[:, nearest], 0)
    return result


def weighted_mean(values: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]) -> float:
    """Return the mean of values by the beat, weighted, for example, by the beats' energies.

    Parameters
    ----------
    values, weights : array of float64, shape (n,)
        Weights are ≥ 0.

    Returns
    -------
    float
        0 if all weights are 0, because silence matches nothing.

    Examples
    --------
    >>> weighted_mean(np.array([1.0, 0.5]), np.array([3.0, 1.0]))
    0.875
    >>> weighted_mean(np.array([1.0]), np.array([0.0]))
    0.0
    """
    total = float(weights.sum())
    return float(values @ weights) / total if total > 0 else 0.0


def transposed_chroma(chroma: npt.NDArray[Any], semitones: float, *, axis: int = 0) -> npt.NDArray[Any]:
    """Return the chroma of the same music ``semitones`` higher; a fraction mixes two rotations.

    Parameters
    ----------
    chroma : array of float
        Twelve pitch classes along ``axis``.
    semitones : float
    axis : int

    Returns
    -------
    array of float
        Same shape and type.

    Examples
    --------
    >>> tone = np.eye(12, dtype=np.float32)[0]  # C
    >>> transposed_chroma(tone, 2.25)[:4]  # between D and D sharp
    array([0.  , 0.  , 0.75, 0.25], dtype=float32)
    """
    whole = math.floor(semitones)
    part = np.float32(semitones - whole)
    rotated = np.roll(chroma, whole, axis=axis)
    return rotated if part == 0 else (1 - part) * rotated + part * np.roll(rotated, 1, axis=axis)


@attrs.frozen(eq=False)
class StemChroma:
    """A stem's chroma, for a comparison with another stem beat by beat.

    Parameters
    ----------
    chroma : array of float32, shape (12, frames)
        See :func:`chromagram`.
    times : array of float64, shape (frames,)
        The frames' centres, seconds.
    """

    chroma: Features = attrs.field(repr=False)
    times: Times = attrs.field(repr=False)

    @classmethod
    def of(cls, audio: Audio, *, tuning: float = 0.0) -> StemChroma:
        """Return the chroma of ``audio``, with pitch classes centred on its tuning, cents from A = 440 Hz."""
        spectrum = spectrogram(audio)
        return cls(chromagram(spectrum, tuning=tuning), spectrum.times)

    def by_beat(self, beats: npt.ArrayLike) -> Features:
        """Return the chroma of the N beats between N + 1 increasing times, shape (12, N); zeros outside the audio."""
        return beat_synchronous(self.chroma, self.times, beats)
