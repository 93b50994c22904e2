"""The adapter to pedalboard's time_stretch."""

from __future__ import annotations

import math
from typing import ClassVar

import attrs
import numpy as np
import numpy.typing as npt
import pedalboard

from mashkit.components import ComponentInfo
from mashkit.errors import ComponentFailed
from mashkit.interfaces import Stretcher
from mashkit.timemap import TimeMap
from mashkit.types import Audio
from mashkit_pedalboard import STRETCHER

LENGTH_TOLERANCE_S = 0.01
"""Largest difference between the length pedalboard returns and the one that follows from the speed, seconds."""

NOISE_FLOOR_DB = -110.0
"""Level of the noise added for the faster engine, dB relative to the peak: 9 dB below 16-bit quantisation."""

BLOCK_FRAMES = 1024
"""The least that pedalboard hands to the engine at a time (MINIMUM_BLOCK_SIZE of its TimeStretch.h)."""

_FASTER_ENGINE_ONLY = ("transient_mode", "retain_phase_continuity")

_is_bool = attrs.validators.instance_of(bool)


@attrs.define(kw_only=True, eq=False)
class PedalboardStretcher(Stretcher):
    """Rubber Band as built into pedalboard.

    The faster engine holds on to the front edge of its window, so an onset comes out half a window early for every
    unit of slowing down, 6 ms at speed 0.8; this adapter moves the result back by that much (see the README).
    A time map, and with the finer engine any speed, goes block by block through the engine's real-time mode.
    The channels are stretched together, which keeps the stereo image.

    Parameters
    ----------
    high_quality : bool
        Rubber Band's finer engine: better timing than the faster one, most of all along a time map, at a quarter to
        half its pace.
    transient_mode : {"crisp", "mixed", "smooth"}
        Phase resets at transients: at all frequencies, at the low and high ends only, or none.
    retain_phase_continuity : bool
        Keep neighbouring frequencies in phase; without it the sound is softer and phasier.
    use_long_fft_window : bool, optional
        Windows of twice (True) or half (False) the usual 46 ms. The finer engine has no longer one.
    preserve_formants : bool
        Keep the spectral envelope when the pitch is shifted.

    Raises
    ------
    ValueError
        If ``high_quality`` is set together with an option that only the faster engine has.
    """

    info: ClassVar[ComponentInfo] = STRETCHER

    high_quality: bool = attrs.field(default=False, validator=_is_bool)
    transient_mode: str = attrs.field(default="crisp", validator=attrs.validators.in_(("crisp", "mixed", "smooth")))
    retain_phase_continuity: bool = attrs.field(default=True, validator=_is_bool)
    use_long_fft_window: bool | None = attrs.field(default=None, validator=attrs.validators.optional(_is_bool))
    preserve_formants: bool = attrs.field(default=True, validator=_is_bool)

    def __attrs_post_init__(self) -> None:
        if not self.high_quality:
            return
        fields = attrs.fields_dict(type(self))
        ignored = [name for name in _FASTER_ENGINE_ONLY if getattr(self, name) != fields[name].default]
        if self.use_long_fft_window:
            ignored.append("use_long_fft_window")
        if ignored:
            raise ValueError(f"high_quality has no effect together with {', '.join(ignored)}: choose one")

    def _stretch(self, audio: Audio, *, speed: float, semitones: float, frames: int) -> Audio:
        return self._stretch_along(audio, TimeMap((0.0, speed), (0.0, 1.0)), semitones=semitones, frames=frames)

    def _stretch_along(self, audio: Audio, time_map: TimeMap, *, semitones: float, frames: int) -> Audio:
        rate, window = audio.sample_rate, self._window(audio.sample_rate)
        first_speed, fastest = float(time_map.speeds[0]), float(time_map.speeds.max())
        pitch = 2 ** (semitones / 12)
        # Silence around the audio: a single frame is enough then, an onset at the very start or end has a window to
        # lie in, the result can be moved, and pedalboard, which guesses which axis is time, sees it. Block by block the
        # faster engine may leave out a window and a block at the end.
        margin = max(math.ceil(2 * window * max(fastest, 1.0)), 4 * BLOCK_FRAMES)
        padded = np.pad(audio.samples, ((0, 0), (margin, margin)))
        if not self.high_quality:
            # Between the partials of a sound without any noise the detector takes rounding errors for transients, and
            # the phase resets detune it: a pure tone by up to 50 cents. Recordings have noise there, renderings none.
            # The same in every channel, in proportion to its peak: mono stays mono, a silent channel silent.
            noise = np.random.default_rng(0).standard_normal(padded.shape[1], dtype=np.float32)
            peaks = np.abs(audio.samples).max(axis=1, keepdims=True)
            padded += np.float32(10 ** (NOISE_FLOOR_DB / 20)) * peaks * noise
        end = (padded.shape[1] - margin) / rate
        due = margin / first_speed + float(time_map.to_target(end)) * rate
        block_by_block = self.high_quality or len(time_map.speeds) > 1
        delay = round((0.5 if self.high_quality else 1.25) * window * min(pitch, 1.0))
        stretched = pedalboard.time_stretch(
            padded,
            float(rate),
            stretch_factor=(
                _factors(time_map, padded.shape[1], margin + delay, rate) if block_by_block else first_speed
            ),
            pitch_shift_in_semitones=semitones,
            **self.options(),
        )
        # The finer engine returns its last windows whole, the faster one stops where its last speed would have ended.
        tolerance = LENGTH_TOLERANCE_S * rate + (margin if block_by_block else 0)
        if abs(stretched.shape[1] - due) > tolerance:
            raise ComponentFailed(
                f"stretcher 'pedalboard': pedalboard returned {stretched.shape[1]} frames, about {due:.0f} were due"
            )
        # It stretches by pitch / speed and plays the result pitch times faster.
        lead = self._hold(window, pitch, block_by_block) * (1 / first_speed - 1 / pitch)
        start = round(margin / first_speed - lead)
        return Audio(stretched[:, start : start + frames], rate)

    def _window(self, sample_rate: int) -> int:
        """Return the length of the engine's analysis window, frames: at 44.1 and 48 kHz 2048, the finer one's 4096."""
        if self.high_quality:
            # R3's Guide: the longest of its windows, or with the short option the only one.
            window = max(1 << math.ceil(math.log2(sample_rate / 32)), 1024)
            return window if self.use_long_fft_window is False else window * 2
        window = 1 << math.ceil(math.log2(2048 * sample_rate / 48_000))
        if self.use_long_fft_window is None:
            return window
        return window * 2 if self.use_long_fft_window else window // 2

    def _hold(self, window: int, pitch: float, block_by_block: bool) -> float:
        """Return how far behind the front edge of its window the engine takes an onset to be, frames."""
        if self.transient_mode == "smooth" and not block_by_block:
            return 0.0
        # Block by block, the pitch is lowered before the stretch, so a window holds less of the audio.
        return window / 2 * (min(pitch, 1.0) if self.high_quality else 1.0)


def _factors(time_map: TimeMap, frames: int, start: int, sample_rate: int) -> npt.NDArray[np.float64]:
    """Return the speed for every frame of input, with frame 0 of the map at ``start``: one a block.

    pedalboard hands the engine the audio up to the next change of the factor, but 1,024 frames at least, with the
    factor of the first of them. A knot within a block gets the mean speed of the block.
    """
    edges = np.arange(0, frames + BLOCK_FRAMES, BLOCK_FRAMES)
    due = time_map.to_target((edges - start) / sample_rate) * sample_rate
    # The engine starts a new count of rounding errors whenever its speed changes, be it by the last bit.
    speeds = np.round(BLOCK_FRAMES / np.diff(due), 9)
    factors = np.repeat(speeds, BLOCK_FRAMES)[:frames]
    # Every other frame, so that a block is no longer than need be: the finer engine corrects its rounding once a
    # block. The frames that count, at the beginning of a block, are even ones.
    factors[1::2] *= 1 + 1e-9
    return factors
