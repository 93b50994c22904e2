"""Pitch classes of a stem, and the sung pitch class of a vocal, from a spectrum.

Conventions: a wide spectrum (:data:`mashkit_mashnet.stem_features.WIDE`) has two bands per semitone and begins at F♯1;
frames are the first axis; pitch class 0 is C.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.ndimage

from mashkit.types import Role
from mashkit_mashnet.stem_features import WIDE, Bytes, StemFeatures, powers

Floats: TypeAlias = npt.NDArray[np.float32]

FRAME_RATE = WIDE.frame_rate
"""Frames per second."""
PITCH_CHANNELS: Mapping[Role, int] = {Role.VOCAL: 4, Role.HARMONIC: 3, Role.PERCUSSION: 0}
"""Channels of each role: the vocal's melody and three registers; the harmonic's three registers."""
PITCH_CLASSES = 12
LOWEST_CLASS = 6
"""Pitch class of the lowest band of a wide spectrum: F♯."""
REACH = 7
"""Bands on each side of a band, 3.5 semitones, whose mean the band must exceed: few enough to keep a chord's notes
apart."""
HARMONICS = 8
"""Number of harmonics that are summed (ours)."""
DECAY = 0.84
"""Weight of a harmonic relative to the next lower harmonic (Hermes, JASA 1988, sub-harmonic summation)."""
SUNG_BANDS = (20, 106)
"""Range of bands for the fundamental of a sung note: E2 to B5."""
REGISTERS = ((0, 50), (50, 98), (98, 152))
"""Bands of the three registers of :func:`chroma`: below G3, G3 to G5, and above."""


def whitened(spectrum: Bytes) -> Floats:
    """Return how far each band exceeds the mean of its neighbours, shape (frames, bands), ≥ 0.

    It is computed on the square root of the magnitude, which is close to the exponent of loudness
    (:func:`mashkit.features.spectral.chromagram`). Broad sound, such as noise and residue of drums, is removed; narrow
    partials stay.
    """
    loudness = np.sqrt(np.sqrt(powers(spectrum)))
    around = scipy.ndimage.uniform_filter1d(loudness, 2 * REACH + 1, axis=1, mode="nearest")
    above: Floats = np.maximum(loudness - around, 0)
    return above


def chroma(white: Floats) -> Floats:
    """Return the strength of each pitch class in each register, shape (frames, 3, 12).

    Parameters
    ----------
    white : array of float32, shape (frames, bands)
        See :func:`whitened`.
    """
    registers = [_folded(white, first, last) for first, last in REGISTERS]
    return np.stack(registers, axis=1)


def _folded(white: Floats, first: int, last: int) -> Floats:
    """Return the bands ``first`` to ``last`` summed by pitch class; a band between semitones adds half to each."""
    halves = np.zeros((len(white), 24), np.float32)
    for octave in range(first - first % 24, last, 24):
        low, high = max(octave, first), min(octave + 24, last)
        halves[:, low - octave : high - octave] += white[:, low:high]
    between = halves[:, 1::2]
    folded = halves[:, 0::2] + (between + np.roll(between, 1, axis=1)) / 2
    return np.roll(folded, LOWEST_CLASS, axis=1)


def fundamentals(white: Floats) -> tuple[npt.NDArray[np.intp], Floats]:
    """Return the band of the most likely fundamental of each frame, and its strength, both of shape (frames,).

    Sub-harmonic summation (Hermes 1988) takes the fundamental in :data:`SUNG_BANDS` whose weighted harmonics have the
    largest sum. The strength is this sum; it is near 0 where there is no singing.
    """
    first, last = SUNG_BANDS
    sums = np.zeros((len(white), last - first), np.float32)
    for harmonic in range(1, HARMONICS + 1):
        shift = round(24 * float(np.log2(harmonic)))
        part = white[:, first + shift : last + shift]
        sums[:, : part.shape[1]] += np.float32(DECAY ** (harmonic - 1)) * part
    best = sums.argmax(axis=1)
    return best + first, sums[np.arange(len(white)), best]


def melody(white: Floats) -> Floats:
    """Return the sung pitch class of each frame, with its strength, shape (frames, 12).

    The pitch is that of :func:`fundamentals`; one between two semitones is divided between both.
    """
    bands, strength = fundamentals(white)
    frames = np.arange(len(white))
    semitone = bands / 2
    below = np.floor(semitone).astype(np.int64)
    share = (semitone - below).astype(np.float32)
    sung = np.zeros((len(white), 12), np.float32)
    np.add.at(sung, (frames, (below + LOWEST_CLASS) % 12), strength * (1 - share))
    np.add.at(sung, (frames, (below + 1 + LOWEST_CLASS) % 12), strength * share)
    return sung


def pitch_frames(features: StemFeatures, role: Role) -> Floats:
    """Return a stem's pitch classes, shape (frames, channels, 12); see :data:`PITCH_CHANNELS`."""
    if role is Role.PERCUSSION:
        return np.zeros((len(features.spectrum), 0, 12), np.float32)
    white = whitened(features.spectrum)
    registers = chroma(white)
    if role is Role.HARMONIC:
        return registers
    return np.concatenate([melody(white)[:, None], registers], axis=1)
