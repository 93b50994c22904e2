"""Features that replace a stem's sound: a spectrum wide enough to be transposed, and the onset strength.

The input of every network is made from these two features, with or without rendering.
"""

from __future__ import annotations

import functools
from typing import TypeAlias

import attrs
import numpy as np
import numpy.typing as npt

from mashkit.features.spectral import onset_strength, spectrogram
from mashkit.types import Audio, Role
from mashkit_mashnet.frontend import FINE, LOG_FREQUENCY, Bands, FrontEnd, resampled, scaled, unscaled

Bytes: TypeAlias = npt.NDArray[np.uint8]

ROLES = (Role.VOCAL, Role.HARMONIC, Role.PERCUSSION)
"""The order of stems, in stores and in the networks' input."""
MARGIN_SEMITONES = 6
"""Largest transposition of a stem: any key can be reached with at most 6 semitones up or down."""
WIDE: FrontEnd = LOG_FREQUENCY.widened(MARGIN_SEMITONES)
WIDE_FINE: FrontEnd = FINE.widened(MARGIN_SEMITONES)
MARGIN = (WIDE.bands - LOG_FREQUENCY.bands) // 2
"""Number of bands of a wide spectrum beyond either end of the networks' spectrum."""
ONSET_N_FFT, ONSET_HOP = 1024, 512
"""46 ms and 23 ms at 22,050 Hz; 46 ms is half a sixteenth note at 160 BPM."""
ONSET_BANDS = ((20.0, 150.0), (150.0, 2500.0), (2500.0, 10_000.0))
"""Bands of kick, of snare and voice, and of cymbals and consonants, Hz."""
ONSET_RATE = LOG_FREQUENCY.sample_rate / ONSET_HOP
"""Onset frames per second."""
_QUANTA = 255


@attrs.frozen(eq=False)
class StemFeatures:
    """A stem, as features.

    Parameters
    ----------
    spectrum : array of uint8, shape (frames, bands)
        Spectrum of :data:`WIDE`; 255 stands for 1.
    onsets : array of uint8, shape (onset frames, 3)
        Onset strength in :data:`ONSET_BANDS` (:func:`mashkit.features.spectral.onset_strength`); 255 stands for
        :data:`STRONGEST`.
    fine : array of uint8, shape (fine frames, bands), optional
        Spectrum of :data:`WIDE_FINE`, for networks with the front end ``FINE``.
    """

    spectrum: Bytes = attrs.field(repr=False)
    onsets: Bytes = attrs.field(repr=False)
    fine: Bytes | None = attrs.field(default=None, repr=False)

    @classmethod
    def of(cls, audio: Audio, *, tuning: float = 0.0, fine: bool = False) -> StemFeatures:
        """Return the features of a stem with any rate and number of channels.

        Parameters
        ----------
        audio : Audio
        tuning : float
            The stem's tuning in cents from A = 440 Hz; the bands are centred on it.
        fine : bool
            True if the fine spectrum is wanted too.
        """
        audio = resampled(audio, WIDE.sample_rate)
        onsets = onset_strength(spectrogram(audio, n_fft=ONSET_N_FFT, hop=ONSET_HOP), ONSET_BANDS)
        return cls(
            _wide(WIDE, audio, tuning),
            np.rint(np.clip(onsets.T / np.float32(STRONGEST), 0, 1) * np.float32(_QUANTA)).astype(np.uint8),
            _wide(WIDE_FINE, audio, tuning) if fine else None,
        )


def _wide(front_end: FrontEnd, audio: Audio, tuning: float) -> Bytes:
    spectrum = scaled(front_end.tuned(tuning).power(audio), MARGIN)
    quantised: Bytes = np.rint(spectrum.T * np.float32(_QUANTA)).astype(np.uint8)
    return quantised


STRONGEST = 2.0
"""Largest onset strength that is not clipped, a mean rise in powers of ten; drums after silence reach about 1.5."""


def powers(spectrum: Bytes) -> Bands:
    """Return the power that a spectrum's bytes stand for, relative to the stem's level, in the same shape."""
    return _powers()[spectrum]


@functools.cache
def _powers() -> Bands:
    return unscaled((np.arange(_QUANTA + 1) / _QUANTA).astype(np.float32))
