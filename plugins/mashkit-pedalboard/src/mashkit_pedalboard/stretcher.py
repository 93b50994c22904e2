"""The adapter to pedalboard's time_stretch."""

from __future__ import annotations

import math
from typing import ClassVar

import attrs
import numpy as np
import pedalboard

from mashkit.components import ComponentInfo
from mashkit.errors import ComponentFailed
from mashkit.interfaces import Stretcher
from mashkit.types import Audio
from mashkit_pedalboard import STRETCHER

LENGTH_TOLERANCE_S = 0.01
"""Largest difference between the length pedalboard returns and the one that follows from the speed, seconds."""

NOISE_FLOOR_DB = -110.0
"""Level of the noise added for the faster engine, dB relative to the peak: 9 dB below 16-bit quantisation."""

_FASTER_ENGINE_ONLY = ("transient_mode", "retain_phase_continuity")

_is_bool = attrs.validators.instance_of(bool)


@attrs.define(kw_only=True, eq=False)
class PedalboardStretcher(Stretcher):
    """Rubber Band as built into pedalboard.

    The faster engine holds on to the front edge of its window, so an onset comes out half a window early for every
    unit of slowing down, 6 ms at speed 0.8; this adapter moves the result back by that much (see the README).
    The channels are stretched together, which keeps the stereo image.

    Parameters
    ----------
    high_quality : bool
        Rubber Band's finer engine. As pedalboard drives it the tempo is off by up to 0.2 %: onsets are 115 ms late
        after 60 s at speed 0.9, 104 ms early after 60 s at −3 semitones. For short excerpts only.
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
        window = self._window(audio.sample_rate)
        # Silence around the audio: a single frame is enough then, an onset at the very start or end has a window to
        # lie in, the result can be moved, and pedalboard, which guesses which axis is time, sees it.
        margin = math.ceil(2 * window * max(speed, 1.0))
        padded = np.pad(audio.samples, ((0, 0), (margin, margin)))
        if not self.high_quality:
            # Between the partials of a sound without any noise the detector takes rounding errors for transients, and
            # the phase resets detune it: a pure tone by up to 50 cents. Recordings have noise there, renderings none.
            # The same in every channel, in proportion to its peak: mono stays mono, a silent channel silent.
            noise = np.random.default_rng(0).standard_normal(padded.shape[1], dtype=np.float32)
            peaks = np.abs(audio.samples).max(axis=1, keepdims=True)
            padded += np.float32(10 ** (NOISE_FLOOR_DB / 20)) * peaks * noise
        stretched = pedalboard.time_stretch(
            padded,
            float(audio.sample_rate),
            stretch_factor=speed,
            pitch_shift_in_semitones=semitones,
            **self.options(),
        )
        due = padded.shape[1] / speed
        if abs(stretched.shape[1] - due) > LENGTH_TOLERANCE_S * audio.sample_rate:
            raise ComponentFailed(
                f"stretcher 'pedalboard': pedalboard returned {stretched.shape[1]} frames, about {due:.0f} were due"
            )
        start = round(margin / speed - self._lead(window, speed, semitones))
        return Audio(stretched[:, start : start + frames], audio.sample_rate)

    def _window(self, sample_rate: int) -> int:
        """Return the length of the faster engine's analysis window, frames: 2048 at 44.1 and 48 kHz."""
        window = 1 << math.ceil(math.log2(2048 * sample_rate / 48_000))
        if self.use_long_fft_window is None:
            return window
        return window * 2 if self.use_long_fft_window else window // 2

    def _lead(self, window: int, speed: float, semitones: float) -> float:
        """Return how many frames too early the engine puts an onset."""
        if self.high_quality or self.transient_mode == "smooth":
            return 0.0
        # It stretches by pitch / speed and plays the result pitch times faster.
        return window / 2 * (1 / speed - 2 ** (-semitones / 12))
