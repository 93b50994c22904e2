"""Long sound, made piece by piece: buffers that memory need not hold, joins, resampling, sums.

An hour in stereo is 1.27 GB a signal, a mix with four stems 6.3 GB. What is longer than :data:`IN_MEMORY` lies in a
temporary file without a name, mapped into memory: the system takes its pages back when it needs them, and the space
is free as soon as nobody uses the samples.
"""

from __future__ import annotations

import mmap
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import soxr

from mashkit.errors import OutputError, UsageError
from mashkit.types import Audio, Samples

IN_MEMORY = 10 * 60 * 44_100 * 2 * 4
"""Largest buffer kept in memory, bytes: ten minutes of stereo at 44.1 kHz (212 MB)."""

_BLOCK = 1 << 20
"""Frames worked on at a time (24 s at 44.1 kHz)."""


class AudioBuffer:
    """Samples to be written piece by piece, zero at first.

    Parameters
    ----------
    channels, frames : int
        ≥ 1 and ≥ 0.

    Attributes
    ----------
    samples : array of float32, shape (channels, frames)
        To write to, until :meth:`audio` is called.

    Raises
    ------
    OutputError
        If a temporary file is needed and the folder for them has no room for it.
    """

    def __init__(self, channels: int, frames: int) -> None:
        size = channels * frames * np.dtype(np.float32).itemsize
        self.samples: Samples = (
            np.zeros((channels, frames), np.float32)
            if size <= IN_MEMORY
            else np.frombuffer(_nameless_file(size), np.float32).reshape(channels, frames)
        )

    def settle(self) -> None:
        """Let go of the memory behind what was written: :func:`settle`."""
        settle(self.samples)

    def audio(self, sample_rate: int) -> Audio:
        """Return the samples as audio, without copying them; from here on nobody can write to them.

        Raises
        ------
        AudioError
            If samples are NaN or infinite.
        """
        self.samples.flags.writeable = False
        audio = Audio(self.samples, sample_rate)
        self.settle()  # looking for NaN read all of it
        return audio


class _NamelessFile(mmap.mmap):
    """A mapping made here: of anybody else's, pages that were written to might not be in the file."""


def settle(samples: Samples) -> None:
    """Let go of the memory behind samples that lie in a file; touched again, they are read back from there.

    To be called now and then by who walks through long sound. Of samples not made by an :class:`AudioBuffer`, or in
    memory, nothing happens.
    """
    owner: object = samples
    while isinstance(owner, np.ndarray | memoryview):
        owner = owner.base if isinstance(owner, np.ndarray) else owner.obj
    if isinstance(owner, _NamelessFile) and sys.platform == "linux":
        # Of a shared mapping this drops this process's pages only; the file keeps what they held.
        owner.madvise(mmap.MADV_DONTNEED)


def _nameless_file(size: int) -> _NamelessFile:
    folder = tempfile.gettempdir()
    try:
        with tempfile.TemporaryFile(prefix="mashkit-") as file:
            # Reserved now: a mapped file that grows into a full disk ends the process, without an exception.
            if sys.platform == "linux":
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                file.truncate(size)
            return _NamelessFile(file.fileno(), size)
    except OSError as error:
        raise OutputError(
            f"{folder}: no temporary file of {size / 1e9:.1f} GB for long audio: {error.strerror}",
            "make room there, or set TMPDIR to a folder with room",
        ) from error


def overlap_add(pieces: Iterable[Samples], weight: Samples, stride: int) -> Iterator[Samples]:
    """Yield the weighted mean of overlapping pieces, each part as soon as no later piece can reach it.

    Parameters
    ----------
    pieces : iterable of float32 arrays, shape (..., n)
        The i-th begins at frame i · ``stride``; n ≤ ``len(weight)``, and less than that only where the sound ends.
    weight : array of float32, shape (length,)
        Of each frame of a piece, > 0.
    stride : int
        From piece to piece, 1 … length.

    Yields
    ------
    array of float32, shape (..., m)
        One after the other, without gaps; m is ``stride`` but for the last.
    """
    if not 1 <= stride <= len(weight):
        raise UsageError(f"stride is {stride}", f"give 1 to {len(weight)}, the length of a piece")
    total = np.zeros(len(weight), np.float32)
    unfinished: Samples | None = None
    reached = 0
    for piece in pieces:
        if unfinished is None:
            unfinished = np.zeros((*piece.shape[:-1], len(weight)), np.float32)
        else:
            yield unfinished[..., :stride] / total[:stride]
            for array in (unfinished, total):
                array[..., :-stride] = array[..., stride:].copy()
                array[..., -stride:] = 0
            reached -= stride
        length = piece.shape[-1]
        unfinished[..., :length] += weight[:length] * piece
        total[:length] += weight[:length]
        reached = max(reached, length)
    if unfinished is not None:
        yield unfinished[..., :reached] / total[:reached]


def resampled(audio: Audio, sample_rate: int, *, frames: int | None = None) -> Audio:
    """Return ``audio`` at another rate: what :func:`mashkit.audiofile.resample` gives, in an :class:`AudioBuffer`.

    Parameters
    ----------
    audio : Audio
    sample_rate : int
        Hz, > 0.
    frames : int, optional
        Length of the result: cut, or filled up with zeros. There and back may be a frame or two off. By default
        ``audio.frames · sample_rate / audio.sample_rate``, rounded.
    """
    if sample_rate <= 0:
        raise UsageError(f"sample rate is {sample_rate}", "give a positive whole number of Hz")
    if frames is None:
        frames = round(audio.frames * sample_rate / audio.sample_rate)
    if (audio.sample_rate, audio.frames) == (sample_rate, frames):
        return audio
    stream = soxr.ResampleStream(audio.sample_rate, sample_rate, audio.channels, dtype="float32", quality="VHQ")
    buffer = AudioBuffer(audio.channels, frames)
    end = 0
    for start in range(0, audio.frames, _BLOCK):
        block = np.ascontiguousarray(audio.samples[:, start : start + _BLOCK].T)
        made = stream.resample_chunk(block, last=start + _BLOCK >= audio.frames)[: frames - end]
        buffer.samples[:, end : end + len(made)] = made.T
        end += len(made)
        settle(audio.samples)
        buffer.settle()
    return buffer.audio(sample_rate)


def joined(parts: Sequence[Audio]) -> Audio:
    """Return sounds one after the other, in an :class:`AudioBuffer`.

    Raises
    ------
    UsageError
        If there are none, or they differ in rate or channels.
    """
    formats = {(audio.sample_rate, audio.channels) for audio in parts}
    if len(formats) != 1:
        raise UsageError(
            f"sounds to be joined are of {sorted(formats)}", "give sounds of one rate, of as many channels"
        )
    ((sample_rate, channels),) = formats
    buffer = AudioBuffer(channels, sum(audio.frames for audio in parts))
    end = 0
    for audio in parts:
        for start in range(0, audio.frames, _BLOCK):
            block = audio.samples[:, start : start + _BLOCK]
            buffer.samples[:, end : end + block.shape[1]] = block
            end += block.shape[1]
            settle(audio.samples)
            buffer.settle()
    return buffer.audio(sample_rate)


def weighted_sum(parts: Sequence[tuple[float, Audio]]) -> Audio:
    """Return the sum of ``parts``, each times its factor, in an :class:`AudioBuffer`.

    Raises
    ------
    UsageError
        If there are none, or they differ in rate, channels or frames.
    """
    formats = {(audio.sample_rate, *audio.samples.shape) for _, audio in parts}
    if len(formats) != 1:
        raise UsageError(f"parts of a sum are of {sorted(formats)}", "give sounds of one rate and shape")
    ((sample_rate, channels, frames),) = formats
    buffer = AudioBuffer(channels, frames)
    for start in range(0, frames, _BLOCK):
        for factor, audio in parts:
            buffer.samples[:, start : start + _BLOCK] += np.float32(factor) * audio.samples[:, start : start + _BLOCK]
            settle(audio.samples)
        buffer.settle()
    return buffer.audio(sample_rate)
