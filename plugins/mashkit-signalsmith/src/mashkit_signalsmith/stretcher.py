"""The adapter to python-stretch."""

from __future__ import annotations

import math
from typing import ClassVar

import attrs
import numpy as np
import python_stretch
import soxr

from mashkit.components import ComponentInfo, whole
from mashkit.interfaces import Stretcher
from mashkit.types import Audio, Samples
from mashkit.types.timemap import TimeMap
from mashkit_signalsmith import STRETCHER

FADE_S = 0.02
"""Length of the cross-fade between two pieces of a time map, seconds. It ends at the knot. In a beat map the knot is a
beat, and the sound on the beat masks the fade."""
LAG_S = 0.004
"""Largest shift of the second piece during the fade, seconds: a period of 250 Hz. The shift brings the two pieces in
phase. At its end the second piece is in its exact place again."""
HOP_S = 0.03
"""Distance of the analysis windows, seconds: the library's preset; never more than a quarter of the window."""


@attrs.define(kw_only=True, eq=False)
class SignalsmithStretcher(Stretcher):
    """Signalsmith Stretch.

    The library's own pitch shift makes low tones wrong by up to 33 cents (110 Hz by 17). So the pitch is shifted by
    resampling, and the audio is first stretched to the length that resampling needs: the pitch is then exact and the
    sound closer to the original (see the README).

    The library stretches a whole buffer at one speed, so each piece of a time map is stretched by itself. At each knot
    the next piece is moved by up to 4 ms to the place most similar to the present sound, and cross-faded over 20 ms
    without a drop in level.

    Parameters
    ----------
    seed : int
        Seed of the library's random phases, 0 to 2⁶³ − 1; the library uses them only for speeds below about 0.5.
    window_ms : float
        Length of the analysis window, ms, 20–500. A shorter window keeps attacks sharp, a longer one keeps chords
        clear. 80 is best in the comparison of stretchers, 100 is closest to the original on chords, 120 is the
        library's preset (see the README).
    cheaper : bool
        Use the library's low-CPU preset: a window of 100 ms, and fewer windows.

    Raises
    ------
    ValueError
        If ``cheaper`` is set together with ``window_ms``, because the preset has its own window.
    """

    info: ClassVar[ComponentInfo] = STRETCHER

    seed: int = attrs.field(default=0, validator=whole(0, 2**63 - 1))
    window_ms: float = attrs.field(
        default=80.0,
        validator=[attrs.validators.instance_of((int, float)), attrs.validators.ge(20), attrs.validators.le(500)],
    )
    cheaper: bool = attrs.field(default=False, validator=attrs.validators.instance_of(bool))

    def __attrs_post_init__(self) -> None:
        if self.cheaper and self.window_ms != attrs.fields_dict(type(self))["window_ms"].default:
            raise ValueError("window_ms has no effect together with cheaper: choose one")

    def _stretch(self, audio: Audio, *, speed: float, semitones: float, frames: int) -> Audio:
        pitch = 2 ** (semitones / 12)
        stretched = self._piece(audio, 0, speed / pitch, _before_shift(frames, pitch))
        return _shifted(stretched, audio.sample_rate, pitch, frames)

    def _stretch_along(self, audio: Audio, time_map: TimeMap, *, semitones: float, frames: int) -> Audio:
        pitch = 2 ** (semitones / 12)
        longer = TimeMap(time_map.source, np.array(time_map.target) * pitch)
        stretched = self._pieces(audio, longer, _before_shift(frames, pitch))
        return _shifted(stretched, audio.sample_rate, pitch, frames)

    def _pieces(self, audio: Audio, time_map: TimeMap, frames: int) -> Samples:
        source = np.array(time_map.source) * audio.sample_rate
        target = np.round(np.array(time_map.target) * audio.sample_rate).astype(np.intp)
        # Only knots before the end of the output count; after the end of the map its last speed continues.
        inner = int(np.searchsorted(target[1:-1], frames))
        ends = [*target[1 : 1 + inner].tolist(), frames]
        speeds = time_map.speeds
        longest_fade, most_lag = round(FADE_S * audio.sample_rate), round(LAG_S * audio.sample_rate)
        stretched = np.zeros((audio.channels, frames), np.float32)
        begin = 0
        for index, end in enumerate(ends):
            speed = float(speeds[index])
            fade = min(longest_fade, begin - (ends[index - 2] if index > 1 else 0), end - begin) if index else 0
            first = begin - fade
            read = source[index] - fade * speed
            if fade > 0:
                heard = stretched[:, first:begin]
                probe = self._piece(audio, round(read - most_lag * speed), speed, fade + 2 * most_lag)
                lag = _best_lag(heard, probe)
                read += lag * speed
                # This speed brings the piece back to its exact place when it ends.
                speed = max((source[index] + (end - begin) * speed - read) / (end - first), speed / 2)
            piece = self._piece(audio, round(read), speed, end - first)
            if fade > 0:
                piece[:, :fade] = _cross_faded(heard, piece[:, :fade])
            stretched[:, first:end] = piece
            begin = end
        return stretched

    def _piece(self, audio: Audio, start: int, speed: float, frames: int) -> Samples:
        """Return ``frames`` frames that begin with frame ``start`` of the audio; outside the audio there is silence."""
        # Each call makes its own processor, because the library's object keeps state and threads must not share it.
        processor = python_stretch.Signalsmith.Stretch(self.seed)
        if self.cheaper:
            processor.preset(audio.channels, audio.sample_rate, self.cheaper)
        else:
            window = self.window_ms / 1000
            hop = min(HOP_S, window / 4)
            processor.configure(audio.channels, round(window * audio.sample_rate), round(hop * audio.sample_rate))
        processor.setTimeFactor(speed)
        # The library needs a whole window of input even for a short piece: the audio that follows, or silence.
        needed = math.ceil(frames * speed) + processor.blockSamples() + processor.intervalSamples()
        read = np.zeros((audio.channels, needed), np.float32)
        first, last = max(start, 0), min(start + needed, audio.frames)
        if first < last:
            read[:, first - start : last - start] = audio.samples[:, first:last]
        return np.asarray(processor.process(read))[:, :frames]


def _before_shift(frames: int, pitch: float) -> int:
    """Return the number of frames needed before resampling, including some for the end of its filter."""
    return frames if pitch == 1.0 else math.ceil(frames * pitch) + 64


def _shifted(stretched: Samples, sample_rate: int, pitch: float, frames: int) -> Audio:
    """Return the stretched audio played ``pitch`` times faster, resampled to the same sample rate."""
    if pitch == 1.0:
        return Audio(stretched, sample_rate)
    resampled = soxr.resample(stretched.T, sample_rate * pitch, sample_rate, quality="HQ").T
    return Audio(resampled[:, :frames], sample_rate)


def _best_lag(heard: Samples, probe: Samples) -> int:
    """Return the number of frames by which to read the next piece later, so that it is most similar to the present.

    ``probe`` is the next piece, longer than ``heard`` by the same amount on both sides; for silence the lag is 0.
    """
    spare = (probe.shape[1] - heard.shape[1]) // 2
    products = np.sum([np.correlate(new, old, "valid") for new, old in zip(probe, heard, strict=True)], axis=0)
    energy = np.concatenate([[0.0], np.cumsum(np.sum(np.square(probe, dtype=np.float64), axis=0))])
    sizes = np.sqrt(energy[heard.shape[1] :] - energy[: -heard.shape[1]])
    likeness = products / np.maximum(sizes, 1e-6)
    lags = np.arange(-spare, spare + 1)
    best = np.flatnonzero(likeness >= likeness.max())
    return int(lags[best[np.argmin(np.abs(lags[best]))]])


def _cross_faded(old: Samples, new: Samples) -> Samples:
    """Fade from ``old`` to ``new``, both (channels, frames), at constant power for the correlation of the two."""
    size = math.sqrt(float(np.sum(np.square(old, dtype=np.float64)) * np.sum(np.square(new, dtype=np.float64))))
    correlation = max(float(np.sum(old.astype(np.float64) * new)) / size, 0.0) if size > 0 else 0.0
    rise = (np.arange(old.shape[1], dtype=np.float64) + 0.5) / old.shape[1]
    power = rise**2 + (1 - rise) ** 2 + 2 * correlation * rise * (1 - rise)
    faded: Samples = ((old * (1 - rise) + new * rise) / np.sqrt(power)).astype(np.float32)
    return faded
