"""The adapter to pyrubberband, which runs the rubberband program."""

from __future__ import annotations

import functools
import math
import re
import shutil
import subprocess
from typing import Any, ClassVar

import attrs
import numpy as np
import numpy.typing as npt
import pyrubberband  # type: ignore[import-untyped]

from mashkit.components import ComponentInfo, whole
from mashkit.errors import ComponentFailed, ComponentUnavailable
from mashkit.interfaces import Stretcher
from mashkit.interfaces.stretcher import keep_level
from mashkit.types import Audio, Samples
from mashkit.types.timemap import TimeMap
from mashkit_rubberband import STRETCHER

LENGTH_TOLERANCE_S = 0.01
"""Largest difference between the length that the program returns and the length due at that speed, seconds."""

FULL_SCALE = 1.0 - 2**-15
"""Largest sample that a 16-bit file can hold; a result that reaches it was clipped."""

DEFAULT_CRISPNESS = 5
"""The program's own default (manual of rubberband)."""

# Effects of the levels of crispness, from `rubberband --full-help`.
_LONG_WINDOW = (0, 1)
_SHORT_WINDOW = (6,)
_NO_TRANSIENTS = (0, 2, 3)

BLOCK_FRAMES = 1024
"""Frames that the program reads at a time (its main.cpp). R3 looks up the next key of a map once per block, and its
windows end at the ends of blocks."""

R3_LATE_FRAMES = 128
"""Mean delay of R3's changes of speed, frames: half a hop, which is about 256 frames (its calculateHop)."""

_is_bool = attrs.validators.instance_of(bool)


@attrs.frozen
class _Course:
    """A time map in frames of the padded audio; the margin plays at the first speed.

    Parameters
    ----------
    time_map : TimeMap
    margin : int
        Frames of silence before the audio.
    sample_rate : int
    """

    time_map: TimeMap
    margin: int
    sample_rate: int

    @property
    def first_speed(self) -> float:
        """Speed of the margin."""
        return float(self.time_map.speeds[0])

    @property
    def knots(self) -> npt.NDArray[np.float64]:
        """Frames at which a new speed begins; the end is left out."""
        return np.array(self.time_map.source[:-1]) * self.sample_rate + self.margin

    def due(self, at: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the output frames that correspond to frames ``at`` of the padded audio."""
        times = (np.asarray(at, dtype=np.float64) - self.margin) / self.sample_rate
        return self.time_map.to_target(times) * self.sample_rate + self.margin / self.first_speed


@attrs.frozen
class _Job:
    """One task for the program: the length due, the semitones, and either arguments or the keys of a map."""

    frames: int
    arguments: dict[str, object]
    semitones: float
    keys: list[tuple[int, int]] = attrs.field(factory=list)


@functools.cache
def _version_of(program: str) -> str:
    command = [program, "--version"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)  # noqa: S603 — no shell
    # Version 3 prints its version on stdout, older versions print on stderr, and some add text around it.
    found = re.search(r"\d+(\.\d+)+", shown.stdout + shown.stderr)
    return found.group() if found else (shown.stdout + shown.stderr).strip()


def program_version() -> str:
    """Return the version of the rubberband program on PATH, such as "3.1.2".

    Raises
    ------
    ComponentUnavailable
        If the program is missing.
    """
    program = shutil.which("rubberband")
    if program is None:
        raise ComponentUnavailable("no program 'rubberband' on PATH", STRETCHER.install)
    return _version_of(program)


@attrs.define(kw_only=True, eq=False)
class RubberbandStretcher(Stretcher):
    """The rubberband program; each call runs it once.

    pyrubberband passes the audio in 16-bit files. To lose little precision, the audio is scaled by a power of two to a
    peak between a quarter and a half of full scale, and the result is scaled back, so peaks above 1 are kept. The noise
    of the two quantisations is about 85 dB below the peak (see the README).

    Parameters
    ----------
    fine : bool
        Use the finer engine (R3), of Rubber Band 3 or later; False uses the faster engine (R2). R2 places an onset at
        the front edge of its window, so an onset is early by half a window for each unit of slowing down: 6 ms at speed
        0.8. This adapter moves the result back by that much, also along a time map. R2 makes music 1 to 2 dB quieter,
        because where its windows lie over each other not all phases agree; the result gets one gain that makes up for
        it, of at most 6 dB (:func:`mashkit.interfaces.stretcher.keep_level`). R3 keeps the level.
    crispness : int
        For R2 only: 0 (smooth) … 6 (crisp, for drums); 5 is the program's default.
    formant : bool
        Keep the spectral envelope when the pitch is shifted.
    centre_focus : bool
        Keep what both channels share in the centre of the stereo image; without it, it spreads to the sides. With R2
        the channels are then stretched as mid and side: if the two have nothing in common, each leaks to the other, at
        up to its own level (see the README).

    Raises
    ------
    ValueError
        If ``crispness`` is given for the finer engine, which does not use it.
    ComponentUnavailable
        If the program is missing, or too old for the finer engine.
    """

    info: ClassVar[ComponentInfo] = STRETCHER

    fine: bool = attrs.field(default=True, validator=_is_bool)
    crispness: int = attrs.field(default=DEFAULT_CRISPNESS, validator=whole(0, 6))
    formant: bool = attrs.field(default=False, validator=_is_bool)
    centre_focus: bool = attrs.field(default=True, validator=_is_bool)

    def __attrs_post_init__(self) -> None:
        if self.fine and self.crispness != DEFAULT_CRISPNESS:
            raise ValueError("crispness has no effect on the finer engine: give fine=false with it")
        if self.fine and int(program_version().partition(".")[0]) < 3:
            raise ComponentUnavailable(
                f"rubberband {program_version()} has no finer engine", "install Rubber Band 3 or give fine=false"
            )

    def describe(self) -> dict[str, Any]:
        """Return the record of every component, and the program's version."""
        return super().describe() | {"engine_version": f"Rubber Band {program_version()}"}

    def _stretch(self, audio: Audio, *, speed: float, semitones: float, frames: int) -> Audio:
        return self._stretch_along(audio, TimeMap((0.0, speed), (0.0, 1.0)), semitones=semitones, frames=frames)

    def _stretch_along(self, audio: Audio, time_map: TimeMap, *, semitones: float, frames: int) -> Audio:
        speeds = time_map.speeds
        window = self._window(audio.sample_rate)
        # Silence is added around the audio, so that an onset at its start or end lies inside a window, the result can
        # be moved, and the first key of a map is some blocks after the start.
        margin = max(math.ceil(2 * window * max(float(speeds.max()), 1.0)), 4 * BLOCK_FRAMES)
        padded = np.pad(audio.samples, ((0, 0), (margin, margin)))
        course = _Course(time_map, margin, audio.sample_rate)
        due = round(float(course.due(padded.shape[1])))
        if len(speeds) == 1:
            job = _Job(due, {"--tempo": float(speeds[0])}, semitones)
        else:
            job = _Job(due, {}, semitones, self._keys(course, padded.shape[1], window, semitones))
        stretched = self._in_files(padded, audio.sample_rate, job)
        if abs(stretched.shape[1] - due) > LENGTH_TOLERANCE_S * audio.sample_rate:
            raise ComponentFailed(
                f"stretcher 'rubberband': the program returned {stretched.shape[1]} frames instead of about {due}"
            )
        first_speed = float(speeds[0])
        start = round(margin / first_speed - self._hold(window) * (1 / first_speed - 2 ** (-semitones / 12)))
        made = Audio(stretched[:, start : start + frames], audio.sample_rate)
        return made if self.fine else keep_level(audio, made, time_map)

    def _keys(self, course: _Course, frames: int, window: int, semitones: float) -> list[tuple[int, int]]:
        """Return the map in the program's form: (input frame, output frame), increasing; the last key is the end.

        The engines change their speed only at certain frames. The keys are the two such frames around each knot of the
        map, with their exact output frames, so the speed between these two is the mean of the speeds around the knot.
        """
        end = float(course.due(frames))
        if self.fine:
            step, ahead, scale = BLOCK_FRAMES, R3_LATE_FRAMES, 1.0
        else:
            # R2 resamples its result to shift the pitch, and its keys count output frames before this resampling.
            scale = 2 ** (semitones / 12)
            step, ahead = _hop(window, end / frames * scale), self._hold(window)
        # The end of the audio gets keys too, because R2 takes the end of the padded audio as that of its last window.
        before = np.floor((np.append(course.knots, frames - course.margin) - ahead) / step)
        at = np.unique(np.concatenate([before, before + 1])) * step
        at = at[(at > 0) & (at < frames)]
        due = np.append(course.due(at + ahead) - ahead / course.first_speed, end)
        return list(zip([*at.astype(int).tolist(), frames], np.rint(due * scale).astype(int).tolist(), strict=True))

    def _in_files(self, samples: Samples, sample_rate: int, job: _Job) -> Samples:
        """Run the program on ``samples``, with a lower gain each time the result clips."""
        peak = float(np.max(np.abs(samples)))
        if peak == 0.0:
            return np.zeros((len(samples), job.frames), np.float32)
        # peak · 2**exponent is in [1/4, 1/2); below a peak of 2**-100 the gain is limited, or float32 would overflow.
        exponent = min(-1 - math.frexp(peak)[1], 99)
        while True:
            gain = 2.0**exponent
            stretched = self._run(samples.T * np.float32(gain), sample_rate, job)
            if np.max(np.abs(stretched)) < FULL_SCALE:
                return np.ascontiguousarray(stretched.T) / np.float32(gain)
            exponent -= 1

    def _run(self, samples: npt.NDArray[np.float32], sample_rate: int, job: _Job) -> npt.NDArray[np.float32]:
        """Return the program's output for ``samples``, both of shape (frames, channels)."""
        # --ignore-clipping, because otherwise the program lowers the level of a clipped output and reports it on stderr
        # only. The dictionary is new in each call, because pyrubberband writes into it.
        arguments: dict[str, object] = {"--ignore-clipping": "", **job.arguments}
        if self.fine:
            arguments["--fine"] = ""
        else:
            arguments["--crisp"] = self.crispness
        if self.formant:
            arguments["--formant"] = ""
        if self.centre_focus:
            arguments["--centre-focus"] = ""
        result: npt.NDArray[np.float32]
        if job.keys:
            # pyrubberband passes no pitch for a map, and it would compute the time ratio from the last key.
            arguments |= {"--time": job.frames / len(samples), "--pitch": job.semitones}
            result = pyrubberband.timemap_stretch(samples, sample_rate, job.keys, rbargs=arguments)
        elif job.semitones:
            result = pyrubberband.pitch_shift(samples, sample_rate, job.semitones, rbargs=arguments)
        else:
            result = pyrubberband.time_stretch(samples, sample_rate, job.arguments["--tempo"], rbargs=arguments)
        return result

    def _window(self, sample_rate: int) -> int:
        """Return the length of R2's analysis window, frames: 2048 at 44.1 and 48 kHz with the default crispness."""
        window = 1 << math.ceil(math.log2(2048 * sample_rate / 48_000))
        if self.crispness in _LONG_WINDOW:
            return window * 2
        return window // 2 if self.crispness in _SHORT_WINDOW else window

    def _hold(self, window: int) -> int:
        """Return the distance from the front edge of a window to the place where the engine assumes an onset, frames.

        The engine stretches by pitch / speed and plays the result pitch times faster, so an onset is early by
        hold · (1 / speed − 1 / pitch).
        """
        return 0 if self.fine or self.crispness in _NO_TRANSIENTS else window // 2


def _hop(window: int, ratio: float) -> int:
    """Return the number of frames that R2 advances per window, offline, when it stretches by ``ratio``.

    The program prints this number at debug level 1 ("input increment").
    """
    if ratio < 1:
        return min(window // 4, 256)
    hop = window // 6
    while hop > 1024:
        hop //= 2
    return int(hop / ratio)
