"""Stretcher: the interface of components that change speed and pitch independently."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import attrs
import numpy as np
import numpy.typing as npt

from mashkit.arguments import require, require_number
from mashkit.components import Component
from mashkit.errors import ContractViolation, UsageError
from mashkit.types import Audio, Samples, require_audio
from mashkit.types.audio import RATES_HZ
from mashkit.types.timemap import TimeMap

SPEED_RANGE = (0.25, 4.0)
"""Accepted speeds. Mashups use much less (0.8–1.25); a speed outside the range is a mistake."""
SEMITONES_RANGE = (-24.0, 24.0)
"""Accepted pitch shifts, semitones: two octaves up or down."""
TIME_MAP = "time_map"
"""Entry in the ``provides`` of a stretcher that can follow a time map."""

MOST_MADE_UP_DB = 6.0
"""Largest gain that :func:`keep_level` applies, dB. Phase vocoders lose 2 to 4 dB of music; a greater difference is of
sounds with few attacks, which lie farther apart when the sound is slower, or that end within one window."""
SHORTEST_LEVEL_S = 0.4
"""Shortest sound of which :func:`keep_level` measures a level, seconds: one block of ITU-R BS.1770."""
_ROUNDING = 1e-9
"""Share of a channel's mean square below which its power about the mean is taken for a rounding error of float32."""
_LEVEL_BLOCK = 4096
"""Frames that are measured at a time, because a whole song in double precision would need much memory."""


def stretched_frames(frames: int, speed: float) -> int:
    """Return the exact number of frames after ``frames`` are played at ``speed``: frames / speed, half rounds up."""
    return math.floor(frames / speed + 0.5)


def mapped_frames(frames: int, time_map: TimeMap, sample_rate: int) -> int:
    """Return the exact number of frames after ``frames`` follow a time map: the target of their end, half rounds up."""
    return math.floor(float(time_map.to_target(frames / sample_rate)) * sample_rate + 0.5)


def keep_level(audio: Audio, stretched: Audio, time_map: TimeMap) -> Audio:
    """Return ``stretched`` with one gain, so that it is as strong as the audio it was made of.

    For adapters of engines that lose level. Where a phase vocoder puts windows over each other whose phases do not
    agree, they add up in power and not in amplitude. A pure tone loses nothing by this, noise 3 dB, music 2 to 4 dB, so
    the loss has to be measured for each sound. The gain is that of the root mean square about the mean of each channel,
    over the whole sound: the same for all channels and moments, so neither image nor dynamics change. It is 0 to
    ``MOST_MADE_UP_DB``, and 0 for silence and for sounds shorter than ``SHORTEST_LEVEL_S``: a stretched sound that is
    stronger is not turned down, because it has its attacks closer together, and each is as strong as before.

    Parameters
    ----------
    audio : Audio
        The audio before it was stretched.
    stretched : Audio
        The result of the engine.
    time_map : TimeMap
        What it was stretched by: parts of the audio that are played slower count for longer.

    Returns
    -------
    Audio
        ``stretched``, or louder.
    """
    if min(audio.duration, stretched.duration) < SHORTEST_LEVEL_S:
        return stretched
    edges = np.append(np.arange(0, audio.frames, _LEVEL_BLOCK), audio.frames)
    before = _power(audio.samples, np.diff(time_map.to_target(edges / audio.sample_rate)) / np.diff(edges))
    after = _power(stretched.samples, np.ones(-(-stretched.frames // _LEVEL_BLOCK)))
    if before <= 0.0 or after <= 0.0:
        return stretched
    gain = min(math.sqrt(before / after), 10 ** (MOST_MADE_UP_DB / 20))
    return Audio(stretched.samples * np.float32(gain), stretched.sample_rate) if gain > 1.0 else stretched


def _power(samples: Samples, weights: npt.NDArray[np.float64]) -> float:
    """Return the mean power about each channel's mean; a frame counts by the weight of its block."""
    sums, squares, total = np.zeros(len(samples)), np.zeros(len(samples)), 0.0
    for index, weight in enumerate(weights):
        block = samples[:, index * _LEVEL_BLOCK : (index + 1) * _LEVEL_BLOCK].astype(np.float64)
        sums += weight * block.sum(axis=1)
        squares += weight * (block * block).sum(axis=1)
        total += weight * block.shape[1]
    powers = squares / total - (sums / total) ** 2
    # The power of a constant is 0, but for rounding errors of either sign.
    return float(np.sum(powers, where=powers > _ROUNDING * squares / total))


@attrs.define(kw_only=True, eq=False)
class Stretcher(Component):
    """Changes the speed and the pitch of audio. The exact length of the result is known in advance.

    ``info.provides`` names its abilities: "speed", "semitones", and "time_map" if the speed can vary over time.

    Examples
    --------
    >>> import mashkit as mk
    >>> import numpy as np
    >>> from mashkit.testing import signals
    >>> class Repeat(mk.Stretcher):
    ...     # Repeats and drops samples: speed and pitch change together, as of a record.
    ...     info = mk.ComponentInfo(
    ...         name="repeat", target="repeat:Repeat", summary="As a record", code_license="MIT", provides={"speed"}
    ...     )
    ...     def _stretch(self, audio, *, speed, semitones, frames):
    ...         places = np.minimum(np.arange(frames) * speed, audio.frames - 1).astype(int)
    ...         return mk.Audio(audio.samples[:, places], audio.sample_rate)
    >>> tone = signals.tone(440, 3.0)
    >>> Repeat().stretch(tone, speed=1.5).duration
    2.0
    >>> Repeat().stretch(tone) is tone
    True
    >>> Repeat().stretch(tone, speed=40)
    Traceback (most recent call last):
        ...
    mashkit.errors.UsageError: speed is 40 (give a number from 0.25 to 4)
    """

    kind: ClassVar[str] = "stretcher"
    abilities: ClassVar[frozenset[str] | None] = frozenset({"speed", "semitones", TIME_MAP})
    ability_methods: ClassVar[Mapping[str, str]] = {TIME_MAP: "_stretch_along"}

    @property
    def follows_time_maps(self) -> bool:
        """Whether the speed can vary over time."""
        return TIME_MAP in self.info.provides

    def stretch(
        self, audio: Audio, *, speed: float = 1.0, semitones: float = 0.0, time_map: TimeMap | None = None
    ) -> Audio:
        """Return ``audio`` at another speed and pitch.

        Parameters
        ----------
        audio : Audio
            Of 1,000 to 768,000 Hz, and any number of channels; not altered. Empty audio gives empty audio.
        speed : float
            Playing speed, 0.25–4: at 1.25 the audio is a quarter faster and a fifth shorter.
        semitones : float
            Pitch shift, −24…24; it does not change the duration.
        time_map : TimeMap, optional
            Used instead of a speed: the time in the result for each time in the audio, at speeds of 0.5–2. Every
            stretcher follows a map of a single speed.

        Returns
        -------
        Audio
            ``stretched_frames(audio.frames, speed)`` or ``mapped_frames(audio.frames, time_map, rate)`` frames, same
            sample rate and channels. With speed 1 and 0 semitones the result is ``audio`` itself, because resynthesis
            would only harm the sound.

        Raises
        ------
        UsageError
            If speed, semitones or sample rate are out of range or not numbers, if both a speed and a map are given, or
            if the stretcher does not provide what is asked for: another speed, another pitch, or a map.
        TimeMapError
            If the map contains speeds outside 0.5–2.
        ComponentFailed
            If the backend raises.
        ContractViolation
            If the backend returns another length, rate or channel count.
        """
        require_audio(audio)
        if not RATES_HZ[0] <= audio.sample_rate <= RATES_HZ[1]:
            # At a few Hz a window of analysis is shorter than a frame, and a backend may never end.
            raise UsageError(
                f"the audio has a sample rate of {audio.sample_rate:,} Hz",
                f"resample it: {RATES_HZ[0]:,} to {RATES_HZ[1]:,} Hz are stretched",
            )
        speed = require_number("speed", speed, *SPEED_RANGE)
        semitones = require_number("semitones", semitones, *SEMITONES_RANGE)
        frames = stretched_frames(audio.frames, speed)
        if time_map is not None:
            require("time_map", time_map, TimeMap, "give TimeMap(source, target)")
            if speed != 1.0:
                raise UsageError(f"a time map and a speed of {speed} are both given", "give only one of them")
            frames = mapped_frames(audio.frames, time_map, audio.sample_rate)
            speed, time_map = self._one_speed(time_map)
        if time_map is None and speed == 1.0 and semitones == 0.0:
            return audio
        self._require_ability("speed", "changes no speed", wanted=time_map is not None or speed != 1.0)
        self._require_ability("semitones", "shifts no pitch", wanted=semitones != 0.0)
        if frames == 0:
            return Audio(audio.samples[:, :0], audio.sample_rate)
        with self.backend_call("stretch"):
            if time_map is None:
                result = self._stretch(audio, speed=speed, semitones=semitones, frames=frames)
            else:
                result = self._stretch_along(audio, time_map, semitones=semitones, frames=frames)
        self.require_result(result, Audio, "stretch")
        if (result.sample_rate, result.channels, result.frames) != (audio.sample_rate, audio.channels, frames):
            raise ContractViolation(
                f"stretcher {self.info.name!r} returned {result.samples.shape} at {result.sample_rate} Hz "
                f"instead of ({audio.channels}, {frames}) at {audio.sample_rate} Hz"
            )
        return result

    def _require_ability(self, ability: str, lack: str, *, wanted: bool) -> None:
        if wanted and ability not in self.info.provides:
            raise UsageError(
                f"stretcher {self.info.name!r} {lack}",
                f'choose a stretcher with "{ability}" in its line of `mashkit plugins`',
            )

    def _one_speed(self, time_map: TimeMap) -> tuple[float, TimeMap | None]:
        """Return (speed, None) for a map of a single speed, else (1.0, map)."""
        time_map.require_playable()
        slowest, fastest = float(time_map.speeds.min()), float(time_map.speeds.max())
        # Rounding of the map's points changes the speed of a piece of a second or more by less than this.
        if fastest - slowest < 1e-5:
            return time_map.mean_speed, None
        if not self.follows_time_maps:
            raise UsageError(
                f"stretcher {self.info.name!r} follows no time map",
                f'choose a stretcher with "{TIME_MAP}" in its line of `mashkit plugins`, or align with one speed',
            )
        return 1.0, time_map

    @abstractmethod
    def _stretch(self, audio: Audio, *, speed: float, semitones: float, frames: int) -> Audio:
        """Stretch non-empty audio to exactly ``frames`` frames; never called with speed 1 and 0 semitones."""

    def _stretch_along(self, audio: Audio, time_map: TimeMap, *, semitones: float, frames: int) -> Audio:
        """Stretch non-empty audio along a map of two or more speeds to exactly ``frames`` frames.

        Called only if ``info.provides`` contains "time_map".
        """
        raise NotImplementedError(
            f"{type(self).__name__} declares that it follows time maps, but has no _stretch_along"
        )
