"""What parent and worker say to each other: JSON messages on pipes, audio in a scratch file, never a pickle.

A message is :data:`MAGIC`, its length as four bytes (little endian), and a JSON object in UTF-8. Each direction has a
scratch file without a name: audio lies there as raw float32 while a message refers to it, and whatever dies, nothing
is left on the disk. It is read into memory of the reader's own, never mapped: what a worker does to its file
afterwards, cutting it short included, reaches nobody.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import struct
import tempfile
from collections.abc import Mapping
from typing import IO, Any, BinaryIO

import attrs

from mashkit import errors
from mashkit.audiobuffer import IN_MEMORY, AudioBuffer, settle
from mashkit.components import ComponentInfo
from mashkit.errors import MashkitError, OutputError
from mashkit.types import Audio, Samples

PROTOCOL = 2
"""Counts up with every change of what is said here."""
MAGIC = b"\x93mashkit"
"""Begins every message; its first byte is no text in any encoding a backend would print."""
LONGEST = 1 << 28
"""Bytes of JSON a message may have: the clips of a very large catalog need a tenth of it."""

KEPT = IN_MEMORY
"""Bytes of a scratch file that stay from call to call: to be given pages and to give them back, call after call, costs
the system several times what copying the audio does."""

_BLOCK = 1 << 20
"""Samples handed over at a time."""

_LENGTH = struct.Struct("<I")


def versions() -> dict[str, Any]:
    """Return what both sides must have alike to understand each other, as plain data."""
    return {
        "protocol": PROTOCOL,
        "mashkit": importlib.metadata.version("mashkit"),
        # While mashkit is worked on, its version does not tell what a card holds.
        "card": [field.name for field in attrs.fields(ComponentInfo)],
    }


class BadMessageError(ValueError):
    """What came through the pipe is no message."""


def write_message(stream: IO[bytes], message: Mapping[str, Any]) -> None:
    """Write one message and flush."""
    body = json.dumps(message).encode()
    stream.write(MAGIC + _LENGTH.pack(len(body)) + body)
    stream.flush()


def read_message(stream: IO[bytes]) -> dict[str, Any] | None:
    """Return the next message, or None at the end of the stream.

    Raises
    ------
    BadMessageError
        If something else comes, or the stream ends within a message.
    """
    head = stream.read(len(MAGIC) + _LENGTH.size)
    if not head:
        return None
    if not head.startswith(MAGIC):
        raise BadMessageError(f"{head!r} where a message should begin")
    (length,) = _LENGTH.unpack(head[len(MAGIC) :].ljust(_LENGTH.size, b"\xff"))
    body = stream.read(length) if length <= LONGEST else b""
    if len(body) != length:
        raise BadMessageError("a message that ends too early")
    message = json.loads(body)
    if not isinstance(message, dict):
        raise BadMessageError("a message that is no JSON object")
    return message


class Scratch:
    """One direction's audio: written by one side, read by the other while the writer waits.

    Parameters
    ----------
    file : BinaryIO
        Unbuffered; shared by both processes.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self._end = 0

    def clear(self) -> None:
        """Let go of the audio in it, and of the space beyond :data:`KEPT`."""
        self._end = 0
        if os.fstat(self.file.fileno()).st_size > KEPT:
            self.file.truncate(KEPT)

    def put(self, audio: Audio) -> dict[str, int]:
        """Add audio to what was put since it was cleared, and return what the other side needs to read it.

        Raises
        ------
        OutputError
            If the folder for temporary files has no room for it.
        """
        offset = self.file.seek(self._end)
        try:
            for channel in audio.samples:
                for start in range(0, audio.frames, _BLOCK):
                    self._pour(channel[start : start + _BLOCK])
                    settle(audio.samples)
        except OSError as error:
            raise OutputError(
                f"{tempfile.gettempdir()}: no room for {audio.samples.nbytes / 1e9:.2f} GB of audio on its way between"
                f" processes: {error.strerror}",
                "make room there, or set TMPDIR to a folder with room",
            ) from error
        self._end += audio.samples.nbytes
        return {"offset": offset, "channels": audio.channels, "frames": audio.frames, "sample_rate": audio.sample_rate}

    def get(self, reference: Mapping[str, int]) -> Audio:
        """Read audio; raises AudioError if it is none (NaN, no channel)."""
        self.file.seek(reference["offset"])
        buffer = AudioBuffer(reference["channels"], reference["frames"])
        for channel in buffer.samples:
            for start in range(0, reference["frames"], _BLOCK):
                self._fill(channel[start : start + _BLOCK])
                buffer.settle()
        return buffer.audio(reference["sample_rate"])

    def _pour(self, samples: Samples) -> None:
        left = samples.data.cast("B")
        while left:
            left = left[self.file.write(left) :]

    def _fill(self, samples: Samples) -> None:
        left = samples.data.cast("B")
        while left:
            read = self.file.readinto(left)  # type: ignore[attr-defined]  # raw files have it
            if not read:
                raise BadMessageError("audio that ends too early")
            left = left[read:]


# --------------------------------------------------------------------------------------------------------- values
def info_to_dict(info: ComponentInfo) -> dict[str, Any]:
    """Return a card as plain data; ``ComponentInfo(**data)`` reads it back."""
    return {**attrs.asdict(info), "provides": sorted(info.provides)}


def error_to_dict(error: MashkitError) -> dict[str, Any]:
    """Return an error as plain data: its class, or the nearest one that mashkit has, and what it says."""
    for cls in type(error).__mro__:
        if getattr(errors, cls.__name__, None) is cls:
            own = cls is type(error)
            arguments = error.args if own else (error.problem, error.fix)
            return {"type": cls.__name__, "args": [None if one is None else str(one) for one in arguments]}
    raise TypeError(f"{error!r} is none of mashkit's errors")  # pragma: no cover — every MashkitError has it as base


def error_from_dict(data: Mapping[str, Any]) -> MashkitError:
    """Read what :func:`error_to_dict` wrote."""
    error: MashkitError = getattr(errors, data["type"])(*data["args"])
    return error
