"""Stretcher: changes speed and pitch independently."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import ClassVar

import attrs

from mashkit.components import Component
from mashkit.errors import ContractViolation, UsageError
from mashkit.types import Audio

SPEED_RANGE = (0.25, 4.0)
"""Speeds accepted. Far beyond what a mashup uses (0.8–1.25); outside it is a mistake, not music."""
SEMITONES_RANGE = (-24.0, 24.0)
"""Shifts accepted, semitones: two octaves each way."""


def stretched_frames(frames: int, speed: float) -> int:
    """Return the exact number of frames that ``frames`` played at ``speed`` become: frames / speed, half rounds up."""
    return math.floor(frames / speed + 0.5)


@attrs.define(kw_only=True, eq=False)
class Stretcher(Component):
    """Plays audio faster or slower, higher or lower, with a length known in advance to the sample."""

    kind: ClassVar[str] = "stretcher"

    def stretch(self, audio: Audio, *, speed: float = 1.0, semitones: float = 0.0) -> Audio:
        """Return ``audio`` at another speed and pitch.

        Parameters
        ----------
        audio : Audio
            Any rate and number of channels; not altered. Empty audio comes back empty.
        speed : float
            Playing speed, 0.25–4: 1.25 is a quarter faster and a fifth shorter.
        semitones : float
            Pitch shift, −24…24; the duration does not change with it.

        Returns
        -------
        Audio
            ``stretched_frames(audio.frames, speed)`` frames, same rate and channels. With speed 1 and 0 semitones
            it is ``audio`` itself: nothing is resynthesised that need not be.

        Raises
        ------
        UsageError
            If speed or semitones are out of range or not numbers.
        ComponentFailed
            If the backend raises.
        ContractViolation
            If the backend returns another length, rate or channel count.
        """
        for name, value, (low, high) in (("speed", speed, SPEED_RANGE), ("semitones", semitones, SEMITONES_RANGE)):
            if not low <= value <= high:
                raise UsageError(f"{name} is {value}", f"give a number from {low:g} to {high:g}")
        frames = stretched_frames(audio.frames, speed)
        if speed == 1.0 and semitones == 0.0:
            return audio
        if frames == 0:
            return Audio(audio.samples[:, :0], audio.sample_rate)
        with self.backend_call("stretch"):
            result = self._stretch(audio, speed=float(speed), semitones=float(semitones), frames=frames)
        if (result.sample_rate, result.channels, result.frames) != (audio.sample_rate, audio.channels, frames):
            raise ContractViolation(
                f"stretcher {self.info.name!r} returned {result.samples.shape} at {result.sample_rate} Hz, "
                f"({audio.channels}, {frames}) at {audio.sample_rate} Hz was due"
            )
        return result

    @abstractmethod
    def _stretch(self, audio: Audio, *, speed: float, semitones: float, frames: int) -> Audio:
        """Stretch non-empty audio to exactly ``frames`` frames; never called with speed 1 and 0 semitones."""
