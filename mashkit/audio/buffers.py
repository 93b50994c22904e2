"""Compute with long sound piece by piece: buffers outside memory, joins, resampling, sums.

An hour in stereo is 1.27 GB per signal, a mix with four stems 6.3 GB. A buffer larger than :data:`IN_MEMORY` is a
temporary file without a name, mapped into memory: the system can free its pages at any time, and the disk space is
free as soon as the samples are no longer used.
"""

from __future__ import annotations

import mmap
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import soxr

from mashkit.atomicfile import allocate
from mashkit.errors import OutputError, UsageError
from mashkit.types import Audio, Samples
from mashkit.types.stems import REST

IN_MEMORY = 10 * 60 * 44_100 * 2 * 4
"""Largest buffer kept in memory, bytes: ten minutes of stereo at 44.1 kHz (212 MB)."""

_BLOCK = 1 << 20
"""Frames processed at a time (24 s at 44.1 kHz)."""


class AudioBuffer:
    """Samples that are zero at first and are written piece by piece.

    Parameters
    ----------
    channels, frames : int
        ≥ 1 and ≥ 0.

    Attributes
    ----------
    samples : array of float32, shape (channels, frames)
        Writable until :meth:`audio` is called.

    Raises
    ------
    OutputError
        If a temporary file is needed and the folder for temporary files has no room for it.
    """

    def __init__(self, channels: int, frames: int) -> None:
        size = channels * frames * np.dtype(np.float32).itemsize
        self.samples: Samples = (
            np.zeros((channels, frames), np.float32)
            if size <= IN_MEMORY
            else np.frombuffer(_nameless_file(size), np.float32).reshape(channels, frames)
        )

    def settle(self) -> None:
        """Free the memory of written samples: :func:`settle`."""
        settle(self.samples)

    def audio(self, sample_rate: int) -> Audio:
        """Return the samples as audio without a copy; from then on they are read-only.

        Raises
        ------
        AudioError
            If samples are NaN or infinite.
        """
        self.samples.flags.writeable = False
        audio = Audio(self.samples, sample_rate)
        self.settle()  # the check for NaN has read all samples into memory
        return audio


class _NamelessFile(mmap.mmap):
    """A mapping that this module made; other mappings may have written pages that are not in the file."""


def settle(samples: Samples) -> None:
    """Free the memory of samples that are in a file; on the next access they are read from the file again.

    Code that walks through long sound calls this now and then. For samples in memory, or not from an
    :class:`AudioBuffer`, it has no effect.
    """
    owner: object = samples
    while isinstance(owner, np.ndarray | memoryview):
        owner = owner.base if isinstance(owner, np.ndarray) else owner.obj
    if isinstance(owner, _NamelessFile) and sys.platform == "linux":
        # For a shared mapping this frees only this process's pages; their content stays in the file.
        owner.madvise(mmap.MADV_DONTNEED)


def pieces(samples: Samples, frames: int, *, overlap: int = 0) -> Iterator[Samples]:
    """Yield samples piece by piece, and free the memory of each piece afterwards (:func:`settle`).

    Parameters
    ----------
    samples : array of float32, shape (channels, frames)
    frames : int
        New frames of each piece, ≥ 1; the last piece may have fewer.
    overlap : int
        Frames, ≥ 0, of the next piece that a piece contains as well.

    Examples
    --------
    >>> [piece.shape for piece in pieces(np.zeros((2, 5), np.float32), 2, overlap=1)]
    [(2, 3), (2, 3)]
    """
    for start in range(0, max(1, samples.shape[1] - overlap), frames):
        yield samples[:, start : start + frames + overlap]
        settle(samples)


def _nameless_file(size: int) -> _NamelessFile:
    folder = tempfile.gettempdir()
    try:
        with tempfile.TemporaryFile(prefix="mashkit-") as file:
            allocate(file, size)
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
        The i-th piece begins at frame i · ``stride``; n ≤ ``len(weight)``, and less only at the end of the sound.
    weight : array of float32, shape (length,)
        Weight of each frame of a piece, > 0.
    stride : int
        Frames from one piece's beginning to the next's, 1 … length.

    Yields
    ------
    array of float32, shape (..., m)
        Parts of the result in order, without gaps; m is ``stride`` except for the last part.
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
    """Return ``audio`` at another rate, like :func:`mashkit.audio.files.resample`, but in an :class:`AudioBuffer`.

    Parameters
    ----------
    audio : Audio
    sample_rate : int
        Hz, > 0.
    frames : int, optional
        Length of the result, which is cut or filled with zeros. Give it when resampling back, because the length may
        otherwise differ by a frame or two. By default ``audio.frames · sample_rate / audio.sample_rate``, rounded.
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


def stems_of(mix: Audio, native: Audio, buffers: dict[str, AudioBuffer]) -> dict[str, Audio]:
    """Return separated stems at the mix's rate and length; the sound that resampling lost is added to :data:`REST`.

    Parameters
    ----------
    mix : Audio
    native : Audio
        The mix as it was separated: :func:`resampled`.
    buffers : dict of str to AudioBuffer
        Stems at the rate of ``native``. The dict is emptied stem by stem, so that memory is free early.
    """
    stems = {}
    for name in list(buffers):
        stems[name] = resampled(buffers.pop(name).audio(native.sample_rate), mix.sample_rate, frames=mix.frames)
    if native is not mix and REST in stems:
        heard = resampled(native, mix.sample_rate, frames=mix.frames)
        stems[REST] = weighted_sum([(1, stems[REST]), (1, mix), (-1, heard)])
    return stems


def joined(parts: Sequence[Audio]) -> Audio:
    """Return sounds joined one after the other, in an :class:`AudioBuffer`.

    Raises
    ------
    UsageError
        If there is no sound, or the sounds differ in rate or channels.
    """
    formats = {(audio.sample_rate, audio.channels) for audio in parts}
    if len(formats) != 1:
        raise UsageError(
            f"the sounds to join have the formats {sorted(formats)}",
            "give sounds of one rate and one number of channels",
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


def shifted(audio: Audio, by: npt.NDArray[np.float64]) -> Audio:
    """Return audio with a constant added to each channel, in an :class:`AudioBuffer`; ``audio`` itself for zeros.

    Parameters
    ----------
    audio : Audio
    by : array of float64, shape (channels,)
    """
    if not by.any():
        return audio
    buffer = AudioBuffer(audio.channels, audio.frames)
    constants = by[:, None].astype(np.float32)
    for start in range(0, audio.frames, _BLOCK):
        buffer.samples[:, start : start + _BLOCK] = audio.samples[:, start : start + _BLOCK] + constants
        settle(audio.samples)
        buffer.settle()
    return buffer.audio(audio.sample_rate)


def weighted_sum(parts: Sequence[tuple[float, Audio]]) -> Audio:
    """Return the sum of ``parts``, each times its factor, in an :class:`AudioBuffer`.

    Raises
    ------
    UsageError
        If there is no part, or the parts differ in rate, channels or frames.
    """
    formats = {(audio.sample_rate, *audio.samples.shape) for _, audio in parts}
    if len(formats) != 1:
        raise UsageError(f"the sounds to add have the formats {sorted(formats)}", "give sounds of one rate and shape")
    ((sample_rate, channels, frames),) = formats
    buffer = AudioBuffer(channels, frames)
    for start in range(0, frames, _BLOCK):
        for factor, audio in parts:
            buffer.samples[:, start : start + _BLOCK] += np.float32(factor) * audio.samples[:, start : start + _BLOCK]
            settle(audio.samples)
        buffer.settle()
    return buffer.audio(sample_rate)
