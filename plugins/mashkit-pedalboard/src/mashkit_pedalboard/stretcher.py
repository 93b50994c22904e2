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
from mashkit.interfaces.stretcher import keep_level
from mashkit.types import Audio
from mashkit.types.timemap import TimeMap
from mashkit_pedalboard import STRETCHER

LENGTH_TOLERANCE_S = 0.01
"""Largest difference between the length that pedalboard returns and the length due at that speed, seconds."""

NOISE_FLOOR_DB = -110.0
"""Level of the noise added for the faster engine, dB relative to the peak: 9 dB below 16-bit quantisation."""

BLOCK_FRAMES = 1024
"""Smallest number of frames that pedalboard passes to the engine at a time (MINIMUM_BLOCK_SIZE, TimeStretch.h)."""

_FASTER_ENGINE_ONLY = ("transient_mode", "retain_phase_continuity")

_is_bool = attrs.validators.instance_of(bool)


@attrs.define(kw_only=True, eq=False)
class PedalboardStretcher(Stretcher):
    """Rubber Band as built into pedalboard.

    The faster engine places an onset at the front edge of its window, so an onset is early by half a window for each
    unit of slowing down: 6 ms at speed 0.8. This adapter moves the result back by that much (see the README). A time
    map, and any speed with the finer engine, uses the engine's real-time mode, block by block. The channels are
    stretched together, which keeps the stereo image; if the two sides have nothing in common, each leaks to the other,
    at up to its own level (see the README).

    The faster engine makes music about 2 dB quieter, because not all phases agree where its windows lie over each
    other; the finer engine loses less than half a decibel. The result gets one gain that makes up for it, of at most
    6 dB (:func:`mashkit.interfaces.stretcher.keep_level`).

    The place of onsets was measured and corrected for speeds of 0.8 to 1.25 and shifts of up to 3 semitones. Beyond
    about 0.7 to 1.5 and 5 semitones the faster engine holds onsets elsewhere, and the result is early or late by up to
    46 ms at speed 0.25; the finer engine is early by up to 21 ms there (see the README).

    Parameters
    ----------
    high_quality : bool
        Use Rubber Band's finer engine: its timing is better, most of all along a time map, and it needs two to four
        times as long.
    transient_mode : {"crisp", "mixed", "smooth"}
        Where phases are reset at transients: at all frequencies, only at low and high frequencies, or nowhere.
    retain_phase_continuity : bool
        Keep neighbouring frequencies in phase; without it the sound is softer and more phasey.
    use_long_fft_window : bool, optional
        Windows of twice (True) or half (False) the default 46 ms. The finer engine has no window of twice the length.
    preserve_formants : bool
        Keep the spectral envelope when the pitch is shifted. The engine makes tonal sound quieter by it: a tone of
        440 Hz by 6.9 dB at +5 semitones and by 4.7 dB at −5, and by up to 1 dB without. The gain for the level makes up
        for it in the sound as a whole, and not between its parts.

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
    preserve_formants: bool = attrs.field(default=False, validator=_is_bool)

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
        # Silence is added around the audio for four reasons: audio of one frame is then long enough, an onset at the
        # start or end lies inside a window, the result can be moved, and pedalboard, which guesses the time axis, finds
        # it. In block-by-block mode the faster engine may drop a window and a block at the end.
        margin = max(math.ceil(2 * window * max(fastest, 1.0)), 4 * BLOCK_FRAMES)
        padded = np.pad(audio.samples, ((0, 0), (margin, margin)))
        if not self.high_quality:
            # Without noise, the detector takes rounding errors between the partials for transients, and the phase
            # resets detune the sound: a pure tone by up to 50 cents. Recordings contain such noise, synthetic sound
            # does not. Each channel gets the same noise in proportion to its peak: mono and silence stay as they are.
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
        # The finer engine returns whole last windows; the faster one stops where its last speed would have ended.
        tolerance = LENGTH_TOLERANCE_S * rate + (margin if block_by_block else 0)
        if abs(stretched.shape[1] - due) > tolerance:
            raise ComponentFailed(
                f"stretcher 'pedalboard': pedalboard returned {stretched.shape[1]} frames instead of about {due:.0f}"
            )
        # The engine stretches by pitch / speed and plays the result pitch times faster.
        lead = self._hold(window, pitch, block_by_block) * (1 / first_speed - 1 / pitch)
        start = round(margin / first_speed - lead)
        return keep_level(audio, Audio(stretched[:, start : start + frames], rate), time_map)

    def _window(self, sample_rate: int) -> int:
        """Return the length of the engine's analysis window, frames: 2048 at 44.1 and 48 kHz, the finer one's 4096."""
        if self.high_quality:
            # From R3's Guide: its longest window, or its only window with the short option.
            window = max(1 << math.ceil(math.log2(sample_rate / 32)), 1024)
            return window if self.use_long_fft_window is False else window * 2
        window = 1 << math.ceil(math.log2(2048 * sample_rate / 48_000))
        if self.use_long_fft_window is None:
            return window
        return window * 2 if self.use_long_fft_window else window // 2

    def _hold(self, window: int, pitch: float, block_by_block: bool) -> float:
        """Return the distance from a window's front edge to the place where the engine assumes an onset, frames."""
        if self.transient_mode == "smooth" and not block_by_block:
            return 0.0
        # In block-by-block mode a lower pitch is made before the stretch, so a window spans less of the audio.
        return window / 2 * (min(pitch, 1.0) if self.high_quality else 1.0)


def _factors(time_map: TimeMap, frames: int, start: int, sample_rate: int) -> npt.NDArray[np.float64]:
    """Return the speed for every input frame, one speed per block; frame 0 of the map is at ``start``.

    pedalboard passes the audio up to the next change of the factor, but at least 1,024 frames, with the factor of their
    first frame. A block with a knot gets its mean speed.
    """
    edges = np.arange(0, frames + BLOCK_FRAMES, BLOCK_FRAMES)
    due = time_map.to_target((edges - start) / sample_rate) * sample_rate
    # Rounded, because the engine restarts its count of rounding errors at any change of speed, however small.
    speeds = np.round(BLOCK_FRAMES / np.diff(due), 9)
    factors = np.repeat(speeds, BLOCK_FRAMES)[:frames]
    # Every second frame differs slightly, so that no block is longer than 1,024 frames: the finer engine corrects its
    # rounding once per block. The first frame of a block is even, and only its factor counts.
    factors[1::2] *= 1 + 1e-9
    return factors
