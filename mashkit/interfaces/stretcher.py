"""Stretcher: changes speed and pitch independently."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import ClassVar

import attrs

from mashkit.components import Component
from mashkit.errors import ContractViolation, TimeMapError, UsageError
from mashkit.timemap import MAP_SPEED_RANGE, TimeMap
from mashkit.types import Audio, require_audio

SPEED_RANGE = (0.25, 4.0)
"""Speeds accepted. Far beyond what a mashup uses (0.8–1.25); outside it is a mistake, not music."""
SEMITONES_RANGE = (-24.0, 24.0)
"""Shifts accepted, semitones: two octaves each way."""
TIME_MAP = "time_map"
"""What the ``provides`` of a stretcher holds that can follow a time map."""


def stretched_frames(frames: int, speed: float) -> int:
    """Return the exact number of frames that ``frames`` played at ``speed`` become: frames / speed, half rounds up."""
    return math.floor(frames / speed + 0.5)


def mapped_frames(frames: int, time_map: TimeMap, sample_rate: int) -> int:
    """Return the exact number of frames that ``frames`` become along a time map: its end's target, half rounds up."""
    return math.floor(float(time_map.to_target(frames / sample_rate)) * sample_rate + 0.5)


@attrs.define(kw_only=True, eq=False)
class Stretcher(Component):
    """Plays audio faster or slower, higher or lower, with a length known in advance to the sample.

    ``info.provides`` names what it can: "speed", "semitones", and "time_map" if the speed may change along the way.
    """

    kind: ClassVar[str] = "stretcher"

    @property
    def follows_time_maps(self) -> bool:
        """Whether the speed may change along the way."""
        return TIME_MAP in self.info.provides

    def stretch(
        self, audio: Audio, *, speed: float = 1.0, semitones: float = 0.0, time_map: TimeMap | None = None
    ) -> Audio:
        """Return ``audio`` at another speed and pitch.

        Parameters
        ----------
        audio : Audio
            Any rate and number of channels; not altered. Empty audio comes back empty.
        speed : float
            Playing speed, 0.25–4: 1.25 is a quarter faster and a fifth shorter.
        semitones : float
            Pitch shift, −24…24; the duration does not change with it.
        time_map : TimeMap, optional
            Instead of a speed: where each moment of the audio comes to lie, at speeds of 0.5–2. One of a single speed
            every stretcher follows.

        Returns
        -------
        Audio
            ``stretched_frames(audio.frames, speed)`` or ``mapped_frames(audio.frames, time_map, rate)`` frames, same
            rate and channels. With speed 1 and 0 semitones it is ``audio`` itself: nothing is resynthesised that need
            not be.

        Raises
        ------
        UsageError
            If speed or semitones are out of range or not numbers, both a speed and a map are given, or a map to a
            stretcher that follows none.
        TimeMapError
            If the map asks for speeds outside 0.5–2.
        ComponentFailed
            If the backend raises.
        ContractViolation
            If the backend returns another length, rate or channel count.
        """
        require_audio(audio)
        for name, value, (low, high) in (("speed", speed, SPEED_RANGE), ("semitones", semitones, SEMITONES_RANGE)):
            if not low <= value <= high:
                raise UsageError(f"{name} is {value}", f"give a number from {low:g} to {high:g}")
        frames = stretched_frames(audio.frames, speed)
        if time_map is not None:
            if speed != 1.0:
                raise UsageError(f"both a time map and a speed of {speed}", "give the one or the other")
            frames = mapped_frames(audio.frames, time_map, audio.sample_rate)
            speed, time_map = self._one_speed(time_map)
        if time_map is None and speed == 1.0 and semitones == 0.0:
            return audio
        if frames == 0:
            return Audio(audio.samples[:, :0], audio.sample_rate)
        with self.backend_call("stretch"):
            if time_map is None:
                result = self._stretch(audio, speed=float(speed), semitones=float(semitones), frames=frames)
            else:
                result = self._stretch_along(audio, time_map, semitones=float(semitones), frames=frames)
        self.require_result(result, Audio, "stretch")
        if (result.sample_rate, result.channels, result.frames) != (audio.sample_rate, audio.channels, frames):
            raise ContractViolation(
                f"stretcher {self.info.name!r} returned {result.samples.shape} at {result.sample_rate} Hz, "
                f"({audio.channels}, {frames}) at {audio.sample_rate} Hz was due"
            )
        return result

    def _one_speed(self, time_map: TimeMap) -> tuple[float, TimeMap | None]:
        """Return a map's only speed and no map, or 1.0 and the map."""
        slowest, fastest = float(time_map.speeds.min()), float(time_map.speeds.max())
        low, high = MAP_SPEED_RANGE
        if not low <= slowest <= fastest <= high:
            raise TimeMapError(
                f"a time map of speeds from {slowest:.3f} to {fastest:.3f}",
                f"stay within {low:g} and {high:g}: check the beats it was made from",
            )
        # Knots are rounded; over a piece of a second or more that alone changes a speed by less than this.
        if fastest - slowest < 1e-5:
            return time_map.mean_speed, None
        if not self.follows_time_maps:
            raise UsageError(
                f"stretcher {self.info.name!r} follows no time map",
                'choose one whose `mashkit plugins` line says "time_map", or align with one speed',
            )
        return 1.0, time_map

    @abstractmethod
    def _stretch(self, audio: Audio, *, speed: float, semitones: float, frames: int) -> Audio:
        """Stretch non-empty audio to exactly ``frames`` frames; never called with speed 1 and 0 semitones."""

    def _stretch_along(self, audio: Audio, time_map: TimeMap, *, semitones: float, frames: int) -> Audio:
        """Stretch non-empty audio along a map of two or more speeds to exactly ``frames`` frames.

        Called only if ``info.provides`` holds "time_map".
        """
        raise NotImplementedError(f"{type(self).__name__} says it follows time maps, and has no _stretch_along")
