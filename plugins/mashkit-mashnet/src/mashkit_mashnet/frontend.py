"""The networks' input: the power of a stem in 128 frequency bands over time, on a logarithmic scale.

Conventions: a spectrum is float32 of shape (bands, frames) in [0, 1]. The level of the stem's own loud frames is 1;
louder values are 1 too. 0 is :data:`RANGE_DB` below that level or quieter. The scale does not depend on the stem's
level, because the loudness of a stem in the mix must not separate good from bad.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import attrs
import numpy as np
import numpy.typing as npt
import scipy.signal

from mashkit.audio.levels import one_signal
from mashkit.errors import OptionError
from mashkit.features.spectral import spectrogram
from mashkit.types import Audio

Bands: TypeAlias = npt.NDArray[np.float32]
Scale: TypeAlias = Literal["log-frequency", "mel"]

RANGE_DB = 80.0
"""Dynamic range of a spectrum, dB."""
LOUD_PERCENTILE = 95.0
"""Percentile of frame powers that is a stem's level: a loud frame, but not the loudest, which may be a click."""


@attrs.frozen(kw_only=True)
class FrontEnd:
    """How sound becomes a spectrum; part of every checkpoint, because weights fit only the front end of their training.

    Parameters
    ----------
    scale : {"log-frequency", "mel"}
        "mel" as in the paper, which leaves rate, window and hop open (docs/paper.md, row 22). With "log-frequency", two
        bands per semitone, a transposition is a shift by whole bands.
    sample_rate : int
        Hz; audio of another rate is resampled.
    n_fft, hop : int
        Window length and distance of frames, samples at that rate.
    bands : int
    low_hz, high_hz : float
        Centres of the lowest and the highest band, Hz; on a mel scale, the lower edge of the lowest and the upper edge
        of the highest band.
    """

    scale: Scale = attrs.field(default="log-frequency", validator=attrs.validators.in_(("log-frequency", "mel")))
    sample_rate: int = 22_050
    n_fft: int = 4096
    hop: int = 1024
    bands: int = 128
    low_hz: float = 65.406
    high_hz: float = 65.406 * 2 ** (127 / 24)

    def __attrs_post_init__(self) -> None:
        if not 0 <= self.low_hz < self.high_hz <= self.sample_rate / 2 or self.bands < 2:
            raise OptionError(
                f"{self.bands} bands from {self.low_hz:g} to {self.high_hz:g} Hz at {self.sample_rate} Hz",
                "give two or more, increasing, up to half the sample rate",
            )
        if self.scale == "log-frequency" and self.low_hz == 0:
            raise OptionError("a logarithmic scale from 0 Hz", "give a low_hz above 0")

    @property
    def frame_rate(self) -> float:
        """Frames per second."""
        return self.sample_rate / self.hop

    @property
    def bands_a_semitone(self) -> float:
        """Bands by which a spectrum moves when its sound is a semitone higher; for a log-frequency scale."""
        return (self.bands - 1) / (12 * math.log2(self.high_hz / self.low_hz))

    def widened(self, semitones: int) -> FrontEnd:
        """Return a front end with ``semitones`` more at either end; the other bands stay the same.

        A wide spectrum can be shifted: the extra bands supply the values that move in over the edge.
        """
        more = semitones * self.bands_a_semitone if self.scale == "log-frequency" else math.nan
        if math.isnan(more) or not math.isclose(more, round(more), abs_tol=1e-6):
            raise OptionError("a front end can be widened by whole bands of a log-frequency scale")
        ratio = 2 ** (semitones / 12)
        return attrs.evolve(
            self, bands=self.bands + 2 * round(more), low_hz=self.low_hz / ratio, high_hz=self.high_hz * ratio
        )

    def tuned(self, cents: float) -> FrontEnd:
        """Return a front end with all bands ``cents`` higher, for music that is tuned off A = 440 Hz."""
        ratio = 2 ** (cents / 1200)
        return attrs.evolve(self, low_hz=self.low_hz * ratio, high_hz=self.high_hz * ratio) if cents else self

    def power(self, audio: Audio) -> Bands:
        """Return the power in each band, shape (bands, frames): the mean over its bins, one frame every hop from 0."""
        audio = resampled(audio, self.sample_rate)
        spectrum = spectrogram(audio, n_fft=self.n_fft, hop=self.hop)
        power: Bands = filters(self) @ np.square(spectrum.magnitudes)
        return power

    def spectrum(self, audio: Audio) -> Bands:
        """Return the spectrum of a sound with any rate and number of channels, shape (bands, frames), in [0, 1]."""
        return scaled(self.power(audio))

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return attrs.asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> FrontEnd:
        """Read the output of :meth:`to_dict`."""
        return cls(**data)


LOG_FREQUENCY = FrontEnd()
"""Two bands per semitone from C2 to 2.6 kHz, 21.5 frames per second: the front end of the compact networks."""
FINE = FrontEnd(n_fft=2048, hop=512)
"""The same bands with windows half as long, 43.1 frames per second: the front end of preset ``rhythm``."""
MEL = FrontEnd(scale="mel", n_fft=2048, hop=512, low_hz=0.0, high_hz=11_025.0)
"""The paper's front end, in the reading of docs/paper.md, row 22."""


def scaled(power: Bands, margin: int = 0) -> Bands:
    """Return power in dB relative to the stem's level, from −RANGE_DB to 0, mapped to [0, 1]; silence is 0.

    Parameters
    ----------
    power : array of float32, shape (bands, frames)
    margin : int
        Bands at either end that do not count for the level: the bands that a front end was widened by.
    """
    totals = power[margin : len(power) - margin].sum(axis=0, dtype=np.float64)
    level = float(np.percentile(totals, LOUD_PERCENTILE)) if totals.size else 0.0
    level = level or float(totals.max(initial=0.0))
    if level == 0:
        return np.zeros_like(power)
    floor = 10 ** (-RANGE_DB / 10)
    decibels = 10 * np.log10(np.maximum(power / np.float32(level), np.float32(floor)))
    values: Bands = np.clip(decibels / np.float32(RANGE_DB) + 1, 0, 1).astype(np.float32)
    return values


def unscaled(spectrum: Bands) -> Bands:
    """Return the power, relative to the stem's level, of a spectrum that :func:`scaled` made; 0 becomes no power."""
    power: Bands = np.where(spectrum > 0, 10 ** ((spectrum - 1) * np.float32(RANGE_DB / 10)), 0).astype(np.float32)
    return power


def resampled(audio: Audio, sample_rate: int) -> Audio:
    """Return mono audio at ``sample_rate`` by polyphase resampling (scipy), in float32 precision."""
    mono = one_signal(audio)
    if audio.sample_rate != sample_rate:
        common = math.gcd(audio.sample_rate, sample_rate)
        mono = scipy.signal.resample_poly(mono, sample_rate // common, audio.sample_rate // common).astype(np.float32)
    return Audio(mono[None], sample_rate)


@functools.lru_cache(maxsize=16)
def filters(front_end: FrontEnd) -> Bands:
    """Return triangular filters, shape (bands, n_fft // 2 + 1); each filter sums to 1.

    A filter reaches from the next lower centre to the next higher centre, and at least one bin to each side. Low bands
    on a logarithmic scale are closer together than bins; their filters interpolate between bins.
    """
    if front_end.scale == "mel":
        top, bottom = _mel(front_end.high_hz), _mel(front_end.low_hz)
        edges = _hertz(np.linspace(bottom, top, front_end.bands + 2))
    else:
        step = (front_end.high_hz / front_end.low_hz) ** (1 / (front_end.bands - 1))
        edges = front_end.low_hz * step ** np.arange(-1, front_end.bands + 1)
    centres = edges[1:-1, None]
    bin_hz = front_end.sample_rate / front_end.n_fft
    bins = np.arange(front_end.n_fft // 2 + 1) * bin_hz
    below = np.maximum(centres - edges[:-2, None], bin_hz)
    above = np.maximum(edges[2:, None] - centres, bin_hz)
    shape = np.maximum(0, np.minimum((bins - centres) / below, (centres - bins) / above) + 1)
    normalised: Bands = (shape / shape.sum(axis=1, keepdims=True)).astype(np.float32)
    return normalised


def _mel(hertz: float) -> float:
    """Return mel (O'Shaughnessy, Speech Communication, 1987, in HTK's form)."""
    return 2595 * math.log10(1 + hertz / 700)


def _hertz(mel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return 700 * (10 ** (mel / 2595) - 1)
