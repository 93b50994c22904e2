"""The adapter to pyrubberband and, behind it, the rubberband program."""

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

from mashkit.components import ComponentInfo
from mashkit.errors import ComponentFailed, ComponentUnavailable
from mashkit.interfaces import Stretcher
from mashkit.types import Audio, Samples
from mashkit_rubberband import STRETCHER

LENGTH_TOLERANCE_S = 0.01
"""Largest difference between the length the program returns and the one that follows from the speed, seconds."""

FULL_SCALE = 1.0 - 2**-15
"""Largest sample a 16-bit file can hold: a result that reaches it was clipped."""

DEFAULT_CRISPNESS = 5
"""The program's own default (its manual)."""

# What the levels of crispness stand for: `rubberband --full-help`.
_LONG_WINDOW = (0, 1)
_SHORT_WINDOW = (6,)
_NO_TRANSIENTS = (0, 2, 3)

_is_bool = attrs.validators.instance_of(bool)


@functools.cache
def _version_of(program: str) -> str:
    command = [program, "--version"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)  # noqa: S603 — no shell
    # Version 3 prints it on stdout, older ones on stderr, and some add text around it.
    found = re.search(r"\d+(\.\d+)+", shown.stdout + shown.stderr)
    return found.group() if found else (shown.stdout + shown.stderr).strip()


def program_version() -> str:
    """Return the version of the rubberband program on PATH, "3.1.2".

    Raises
    ------
    ComponentUnavailable
        If there is no such program.
    """
    program = shutil.which("rubberband")
    if program is None:
        raise ComponentUnavailable("no program 'rubberband' on PATH", STRETCHER.install)
    return _version_of(program)


@attrs.define(kw_only=True, eq=False)
class RubberbandStretcher(Stretcher):
    """The rubberband program, one run a call.

    pyrubberband hands the audio over in 16-bit files. To lose as little as possible it is brought to a peak between
    a quarter and a half of full scale by a power of two, and back after, so peaks above 1 survive; the noise of the
    two quantisations lies some 85 dB below the peak (see the README).

    Parameters
    ----------
    fine : bool
        The finer engine (R3), of Rubber Band 3 or later; without it the faster one (R2). R2 holds on to the front
        edge of its window, so an onset comes out half a window early for every unit of slowing down, 6 ms at speed
        0.8; this adapter moves the result back by that much.
    crispness : int
        R2 only: 0 (smooth) … 6 (crisp, for drums); 5 is the program's default.
    formant : bool
        Keep the spectral envelope when the pitch is shifted.

    Raises
    ------
    ValueError
        If ``crispness`` is given for the finer engine, which has none.
    ComponentUnavailable
        If the program is missing, or too old for the finer engine.
    """

    info: ClassVar[ComponentInfo] = STRETCHER

    fine: bool = attrs.field(default=True, validator=_is_bool)
    crispness: int = attrs.field(
        default=DEFAULT_CRISPNESS,
        validator=[attrs.validators.instance_of(int), attrs.validators.ge(0), attrs.validators.le(6)],
    )
    formant: bool = attrs.field(default=False, validator=_is_bool)

    def __attrs_post_init__(self) -> None:
        if self.fine and self.crispness != DEFAULT_CRISPNESS:
            raise ValueError("crispness has no effect on the finer engine: give fine=false with it")
        if self.fine and int(program_version().partition(".")[0]) < 3:
            raise ComponentUnavailable(
                f"rubberband {program_version()} has no finer engine", "install Rubber Band 3 or give fine=false"
            )

    def describe(self) -> dict[str, Any]:
        """Return what every component records, and the version of the program."""
        return super().describe() | {"engine_version": f"Rubber Band {program_version()}"}

    def _stretch(self, audio: Audio, *, speed: float, semitones: float, frames: int) -> Audio:
        window = self._window(audio.sample_rate)
        # Silence around the audio: an onset at the very start or end has a window to lie in, and the result can be
        # moved.
        margin = math.ceil(2 * window * max(speed, 1.0))
        padded = np.pad(audio.samples, ((0, 0), (margin, margin)))
        stretched = self._in_files(padded, audio.sample_rate, speed, semitones)
        due = padded.shape[1] / speed
        if abs(stretched.shape[1] - due) > LENGTH_TOLERANCE_S * audio.sample_rate:
            raise ComponentFailed(
                f"stretcher 'rubberband': the program returned {stretched.shape[1]} frames, about {due:.0f} were due"
            )
        start = round(margin / speed - self._lead(window, speed, semitones))
        return Audio(stretched[:, start : start + frames], audio.sample_rate)

    def _in_files(self, samples: Samples, sample_rate: int, speed: float, semitones: float) -> Samples:
        """Run the program on ``samples`` with all the headroom its result needs."""
        peak = float(np.max(np.abs(samples)))
        if peak == 0.0:
            return np.zeros((len(samples), round(samples.shape[1] / speed)), np.float32)
        # Such that peak · 2**exponent is in [1/4, 1/2); below 2**-100 it is no sound but float32 would overflow.
        exponent = min(-1 - math.frexp(peak)[1], 99)
        while True:
            gain = 2.0**exponent
            stretched = self._run(samples.T * np.float32(gain), sample_rate, speed, semitones)
            if np.max(np.abs(stretched)) < FULL_SCALE:
                return np.ascontiguousarray(stretched.T) / np.float32(gain)
            exponent -= 1

    def _run(
        self, samples: npt.NDArray[np.float32], sample_rate: int, speed: float, semitones: float
    ) -> npt.NDArray[np.float32]:
        """Return what the program makes of ``samples``, both of shape (frames, channels)."""
        # Left to itself the program would turn its output down when it clips, and tell only stderr.
        # A new dictionary a call: pyrubberband writes into it.
        arguments: dict[str, object] = {"--ignore-clipping": "", "--tempo": speed}
        if self.fine:
            arguments["--fine"] = ""
        else:
            arguments["--crisp"] = self.crispness
        if self.formant:
            arguments["--formant"] = ""
        result: npt.NDArray[np.float32]
        if semitones:
            result = pyrubberband.pitch_shift(samples, sample_rate, semitones, rbargs=arguments)
        else:
            result = pyrubberband.time_stretch(samples, sample_rate, speed, rbargs=arguments)
        return result

    def _window(self, sample_rate: int) -> int:
        """Return the length of R2's analysis window, frames: 2048 at 44.1 and 48 kHz with the default crispness."""
        window = 1 << math.ceil(math.log2(2048 * sample_rate / 48_000))
        if self.crispness in _LONG_WINDOW:
            return window * 2
        return window // 2 if self.crispness in _SHORT_WINDOW else window

    def _lead(self, window: int, speed: float, semitones: float) -> float:
        """Return how many frames too early the engine puts an onset."""
        if self.fine or self.crispness in _NO_TRANSIENTS:
            return 0.0
        # It stretches by pitch / speed and plays the result pitch times faster.
        return window / 2 * (1 / speed - 2 ** (-semitones / 12))
