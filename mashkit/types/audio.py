"""Audio: a float32 buffer and its sample rate."""

from __future__ import annotations

import math
import operator
from typing import Any, TypeAlias

import attrs
import numpy as np
import numpy.typing as npt

from mashkit import display, pages
from mashkit.errors import AudioError, UsageError
from mashkit.numbers import is_number

Samples: TypeAlias = npt.NDArray[np.float32]

RATES_HZ = (1_000, 768_000)
"""Accepted sample rates of files, and of audio to be stretched: from below the telephone's to the highest of converters
(ours). A header with another rate is damaged; sound of 1 Hz would become 44,100 times as long."""

MOST_CHANNELS = 8
"""Channels that sound may have even if it has fewer frames, as short parts of surround sound do."""


def _read_only(samples: npt.ArrayLike) -> Samples:
    """Return read-only float32 samples; copy them unless they are read-only, float32 and contiguous already."""
    try:
        array = np.asarray(samples)
    except (TypeError, ValueError) as error:  # for example rows of different lengths
        raise AudioError(
            f"samples are not an array: {error}", "give (channels, frames); mono is (1, frames)"
        ) from error
    if array.dtype.kind != "f":
        raise AudioError(
            f"samples are {array.dtype}, not floating point", "scale integers to [-1, 1] first, e.g. x / 32768"
        )
    if array.ndim != 2:
        raise AudioError(f"samples have shape {array.shape}", "give (channels, frames); mono is (1, frames)")
    if array.dtype != np.float32 or array.flags.writeable or not array.flags.c_contiguous:
        array = np.array(array, dtype=np.float32, order="C")
        array.flags.writeable = False
    return array


def _rate(value: Any) -> int:
    """Return a sample rate, also of a numpy integer, as an int."""
    try:
        rate = operator.index(value) if is_number(value) else 0
    except TypeError:
        rate = 0
    if rate <= 0:
        raise AudioError(f"sample rate is {value!r}", "give a positive whole number of Hz")
    return rate


@attrs.frozen(eq=False)
class Audio:
    """Sound: a read-only float32 buffer and its sample rate.

    Two objects are equal only if they are the same object (``eq=False``); compare buffers with numpy.

    Parameters
    ----------
    samples : array of float, shape (channels, frames)
        Finite samples, nominally in [-1, 1]; larger peaks are allowed and never clipped. Copied unless the array
        is already float32, contiguous and read-only.
    sample_rate : int
        Frames per second, > 0.

    Raises
    ------
    AudioError
        If the samples are not a finite floating-point matrix with at least one channel, have more channels than
        frames and more than eight, or the rate is not positive.

    Examples
    --------
    >>> import mashkit as mk
    >>> import numpy as np
    >>> noise = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 44_100)).astype(np.float32)
    >>> audio = mk.Audio(noise, 44_100)
    >>> audio
    Audio(sample_rate=44100)
    >>> audio.channels, audio.frames, audio.duration
    (2, 44100, 1.0)
    >>> audio.excerpt(0.25, 0.5).duration
    0.5
    >>> audio.mono().shape
    (44100,)
    >>> mk.Audio(noise.T, 44_100)
    Traceback (most recent call last):
        ...
    mashkit.errors.AudioError: samples of shape (44100, 2) have more channels than frames
    (give (channels, frames): samples.T)
    """

    samples: Samples = attrs.field(converter=_read_only, repr=False)
    sample_rate: int = attrs.field(converter=_rate)

    def __attrs_post_init__(self) -> None:
        if self.samples.shape[0] < 1:
            raise AudioError("samples have no channels", "give (channels, frames); mono is (1, frames)")
        if self.channels > max(self.frames, MOST_CHANNELS) and self.frames > 0:
            # soundfile and most other libraries use (frames, channels): each frame would become a channel here.
            raise AudioError(
                f"samples of shape {self.samples.shape} have more channels than frames",
                "give (channels, frames): samples.T",
            )
        # The sum is finite only if all samples are: finite float32 values cannot overflow a sum in double precision.
        # The sum needs one number; a mask of an hour of samples would need 300 MB.
        with np.errstate(invalid="ignore"):
            total = float(np.sum(self.samples, dtype=np.float64))
        if not math.isfinite(total):
            bad = int(np.count_nonzero(~np.isfinite(self.samples)))
            raise AudioError(f"{bad} of {self.samples.size} samples are NaN or infinite", "repair or remove them first")

    def __reduce__(self) -> tuple[type[Audio], tuple[Samples, int]]:
        # The constructor makes the array read-only again, because pickle returns a writable array.
        return Audio, (self.samples, self.sample_rate)

    @property
    def channels(self) -> int:
        """Number of channels."""
        return int(self.samples.shape[0])

    @property
    def frames(self) -> int:
        """Number of frames (samples per channel)."""
        return int(self.samples.shape[1])

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.frames / self.sample_rate

    @property
    def peak(self) -> float:
        """Largest absolute sample; 0.0 for empty audio."""
        # Maximum and minimum are taken separately, because |samples| would be a copy of the whole sound.
        return float(max(np.max(self.samples, initial=0.0), -np.min(self.samples, initial=0.0)))

    def mono(self) -> Samples:
        """Return the mean of the channels, shape (frames,), float32."""
        mono: Samples = self.samples[0] if self.channels == 1 else self.samples.mean(axis=0, dtype=np.float32)
        return mono

    def excerpt(self, start: float, duration: float) -> Audio:
        """Return the part from ``start`` for ``duration`` seconds (both rounded to frames).

        If both are rounded up and the part would end one frame after the audio for that reason, it starts one frame
        earlier.

        Raises
        ------
        AudioError
            If the part does not lie within the audio, or a number is not finite.
        """
        if not (math.isfinite(start) and math.isfinite(duration)):
            raise AudioError(f"excerpt {start} s + {duration} s", "give finite seconds")
        first = round(start * self.sample_rate)
        last = first + round(duration * self.sample_rate)
        if first > 0 and last == self.frames + 1 and (start + duration) * self.sample_rate <= self.frames + 0.51:
            first, last = first - 1, last - 1
        if not 0 <= first <= last <= self.frames:
            raise AudioError(
                f"excerpt {start:.3f} s + {duration:.3f} s is outside the audio's {self.duration:.3f} s: "
                f"{last - self.frames} frames too long"
                if last > self.frames
                else f"excerpt {start:.3f} s + {duration:.3f} s is outside the audio's {self.duration:.3f} s"
            )
        part = np.ascontiguousarray(self.samples[:, first:last])
        part.flags.writeable = False
        return Audio(part, self.sample_rate)

    def _repr_html_(self) -> str:
        """Return a player, for notebooks."""
        kind = {1: "mono", 2: "stereo"}.get(self.channels, f"{self.channels} channels")
        told = {"Audio": f"{pages.clock(self.duration)}, {self.sample_rate} Hz, {kind}", "peak": f"{self.peak:.3f}"}
        return display.facts(told) + (display.player(self.samples, self.sample_rate) if self.frames else "")


def require_audio(audio: Any) -> None:
    """Raise UsageError unless ``audio`` is :class:`Audio`.

    Examples
    --------
    >>> import numpy as np
    >>> from mashkit.types import require_audio
    >>> require_audio(np.zeros((2, 100), np.float32))
    Traceback (most recent call last):
        ...
    mashkit.errors.UsageError: ndarray given as sound
    (give Audio(samples, sample_rate), samples of (channels, frames))
    """
    if not isinstance(audio, Audio):
        raise UsageError(
            f"{type(audio).__name__} given as sound", "give Audio(samples, sample_rate), samples of (channels, frames)"
        )
