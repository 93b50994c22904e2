"""The separator: median filtering finds the drums; the parts of the rest that do not repeat are the vocals."""

from __future__ import annotations

import itertools
import math
from typing import ClassVar

import attrs
import librosa
import numpy as np
import numpy.typing as npt

from mashkit.audio.buffers import AudioBuffer, settle, weighted_sum
from mashkit.components import ComponentInfo
from mashkit.interfaces import Separator
from mashkit.types import Audio, Samples, StemSet
from mashkit_librosa import SEPARATOR

WINDOW_S = 2048 / 22_050
"""Length of the analysis window, seconds: librosa's default, for which its filter lengths were chosen."""

OVERLAP_S = 2.0
"""Length of the cross-fade between segments, seconds."""

NEIGHBOUR_GAP_S = 2.0
"""Smallest distance of two frames that count as a repetition, seconds, because a held note is similar to itself
(librosa's gallery, "Vocal separation"; Rafii and Pardo [2]_ use 1 s)."""

LOWEST_VOICE_HZ = 100.0
"""Lowest frequency of the vocals, Hz (Rafii and Pardo [2]_)."""

MEDIAN_LENGTH = 31
"""Frames, and bins, over which the medians are taken that tell harmonic from percussive (librosa's default)."""

ROWS_AT_ONCE = 16
"""Rows of a spectrogram whose windows are sorted at once: 31 times as many numbers, a few MB."""

_MIN_FRAMES = 5
"""Smallest number of frames in a spectrogram in which repetitions are searched."""


@attrs.define(kw_only=True, eq=False)
class LibrosaSeparator(Separator):
    """Harmonic-percussive separation [1]_, then REPET-SIM [2]_ on the harmonic part.

    Drums are sound that is broad in frequency and short in time. In the rest, sound that repeats in similar moments at
    least two seconds away is accompaniment ("other", bass included), and sound that does not repeat is vocals. So a mix
    shorter than about four seconds has few moments to compare, and its vocals mean little. "other" is the mix minus
    drums and vocals, so the stems sum to the mix.

    Both masks are made from the mean magnitude of the channels, so the stereo image of a stem is that of the mix.

    Parameters
    ----------
    vocal_margin : float
        How many times stronger than the repeating part a moment must be for a vocal share of one half, ≥ 1. A higher
        value leaves less accompaniment in the vocals and more of the vocals in "other". librosa's gallery uses 10; 4
        separates vocals better in six of seven songs (see the README).
    segment_s : float
        Longest part that is separated at once, seconds, 10–600; longer mixes are divided into such parts, which are
        cross-faded. It limits memory: about 8 MB per second of stereo at 44.1 kHz. Stems of more than ten minutes are
        in temporary files (:mod:`mashkit.audio.buffers`). A longer part has more repetitions.

    References
    ----------
    .. [1] FitzGerald, D.: Harmonic/percussive separation using median filtering, DAFx 2010.
    .. [2] Rafii, Z., Pardo, B.: Music/voice separation using the similarity matrix, ISMIR 2012.
    """

    info: ClassVar[ComponentInfo] = SEPARATOR

    vocal_margin: float = attrs.field(
        default=4.0, validator=[attrs.validators.instance_of((int, float)), attrs.validators.ge(1)]
    )
    segment_s: float = attrs.field(
        default=60.0,
        validator=[attrs.validators.instance_of((int, float)), attrs.validators.ge(10), attrs.validators.le(600)],
    )

    def _separate(self, mix: Audio) -> StemSet:
        buffers = {name: AudioBuffer(mix.channels, mix.frames) for name in ("drums", "vocals")}
        overlap = round(OVERLAP_S * mix.sample_rate)
        for start, stop in _segments(mix.frames, round(self.segment_s * mix.sample_rate), overlap):
            weight = np.ones(stop - start, np.float32)
            if start > 0:
                weight[:overlap] = np.linspace(0, 1, overlap, dtype=np.float32)
            if stop < mix.frames:
                weight[-overlap:] = np.linspace(1, 0, overlap, dtype=np.float32)
            for buffer, part in zip(buffers.values(), self._parts(mix, start, stop), strict=True):
                buffer.samples[:, start:stop] += weight * part
                buffer.settle()
            settle(mix.samples)
        stems = {name: buffer.audio(mix.sample_rate) for name, buffer in buffers.items()}
        rest = weighted_sum([(1, mix), *((-1, stem) for stem in stems.values())])
        return StemSet({**stems, "other": rest})

    def _parts(self, mix: Audio, start: int, stop: int) -> tuple[Samples, Samples]:
        """Return the drums and the vocals of one segment."""
        n_fft = 2 ** round(math.log2(WINDOW_S * mix.sample_rate))
        hop_length = n_fft // 4
        samples = mix.samples[:, start:stop]
        # Padded, because librosa warns about audio shorter than a window.
        padded = np.pad(samples, ((0, 0), (0, max(n_fft - samples.shape[1], 0))))
        spectrum = librosa.stft(padded, n_fft=n_fft, hop_length=hop_length, pad_mode="constant")
        magnitude = np.abs(spectrum).mean(axis=0)
        harmonic_mask, percussive_mask = harmonic_and_percussive_masks(magnitude)

        gap = round(NEIGHBOUR_GAP_S * mix.sample_rate / hop_length)
        vocal_mask = self._vocal_mask(harmonic_mask * magnitude, gap)
        vocal_mask[librosa.fft_frequencies(sr=mix.sample_rate, n_fft=n_fft) < LOWEST_VOICE_HZ] = 0

        drums, vocals = (
            librosa.istft(mask * spectrum, hop_length=hop_length, n_fft=n_fft, length=stop - start)
            for mask in (percussive_mask, vocal_mask * harmonic_mask)
        )
        return drums, vocals

    def _vocal_mask(self, magnitude: Samples, gap: int) -> npt.NDArray[np.float32]:
        """Return the share of each bin that does not repeat ``gap`` or more frames away."""
        frames = magnitude.shape[1]
        if frames < _MIN_FRAMES:
            return np.zeros_like(magnitude)
        repeating = librosa.decompose.nn_filter(
            magnitude, aggregate=median, metric="cosine", width=min(gap, (frames - 1) // 2 - 1)
        )
        # The repeating part is limited to the bin itself, because the median of its neighbours may be larger.
        repeating = np.minimum(magnitude, repeating)
        mask: npt.NDArray[np.float32] = librosa.util.softmask(
            magnitude - repeating, self.vocal_margin * repeating, power=2
        )
        return mask


def median(values: Samples, axis: int) -> Samples:
    """Return the median along ``axis``, bit for bit as :func:`numpy.median` does, in an eighth of the time.

    numpy.median selects, which is slow along an axis that is not the last; sorting whole rows is vectorised.
    """
    rows = np.sort(np.ascontiguousarray(np.moveaxis(values, axis, -1)), axis=-1)
    half = rows.shape[-1] // 2
    middle: Samples = rows[..., half] if rows.shape[-1] % 2 else np.mean(rows[..., half - 1 : half + 1], axis=-1)
    return middle


def running_median(values: Samples, axis: int) -> Samples:
    """Return the median of each value and the 15 on both sides of it along ``axis``, mirrored at the ends.

    Bit for bit what :func:`scipy.ndimage.median_filter` returns of a size of 31 along one of two axes; it is slower.
    """
    rows = np.moveaxis(values, axis, -1)
    half = MEDIAN_LENGTH // 2
    padded = np.pad(rows, ((0, 0), (half, half)), mode="symmetric")
    result = np.empty_like(values)
    medians = np.moveaxis(result, axis, -1)
    for first in range(0, len(rows), ROWS_AT_ONCE):
        part = slice(first, first + ROWS_AT_ONCE)
        windows = np.lib.stride_tricks.sliding_window_view(padded[part], MEDIAN_LENGTH, axis=1)
        medians[part] = np.sort(windows, axis=-1)[..., half]
    return result


def harmonic_and_percussive_masks(magnitude: Samples) -> tuple[Samples, Samples]:
    """Return the masks of :func:`librosa.decompose.hpss`, whose median filter takes most of its time."""
    harmonic, percussive = running_median(magnitude, axis=1), running_median(magnitude, axis=0)
    return (
        librosa.util.softmask(harmonic, percussive, power=2.0, split_zeros=True),
        librosa.util.softmask(percussive, harmonic, power=2.0, split_zeros=True),
    )


def _segments(frames: int, longest: int, overlap: int) -> list[tuple[int, int]]:
    """Return starts and stops of segments of equal length, at most ``longest``; neighbours share ``overlap`` frames."""
    if frames <= longest:
        return [(0, frames)]
    count = math.ceil((frames - overlap) / (longest - overlap))
    starts = np.linspace(0, frames - overlap, count + 1).round().astype(int)
    return [(int(start), int(end) + overlap) for start, end in itertools.pairwise(starts)]
