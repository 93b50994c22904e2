"""Define the messages between parent and worker: JSON on a channel, audio in a scratch file, never a pickle.

The body of a message is a JSON object in UTF-8, because the two processes may have different packages. Each direction
has a scratch file without a name, which contains audio as raw float32 while a message refers to it. The system deletes
the file if either process dies. The reader copies the audio into its own memory and does not map the file, so that a
later change of the file, for example a truncation, has no effect on it.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import tempfile
from collections.abc import Mapping
from typing import Any, BinaryIO

import attrs

from mashkit import errors
from mashkit.audio.buffers import IN_MEMORY, AudioBuffer, settle
from mashkit.components import ComponentInfo
from mashkit.errors import MashkitError, OutputError
from mashkit.types import Audio, Samples
from mashkit.workers.channel import BadMessageError
from mashkit.workers.pickling import Message

PROTOCOL = 4
"""Version of the messages; raise it with every change of them."""
LONGEST = 1 << 28
"""Largest length of a message's JSON, bytes; the clips of a very large catalog need a tenth of it."""

KEPT = IN_MEMORY
"""Bytes of a scratch file that are kept from call to call, because allocating and freeing the pages for each call costs
several times as much as copying the audio."""

_AUDIO = "\x93audio"
"""The only key of a reference to audio; no other data has it, because of its first character."""
_BLOCK = 1 << 20
"""Number of samples copied at a time."""


def versions() -> dict[str, Any]:
    """Return the versions that must be equal on both sides, as plain data."""
    return {
        "protocol": PROTOCOL,
        "mashkit": importlib.metadata.version("mashkit"),
        # The card's fields are compared too, because during development they change without a new version of mashkit.
        "card": [field.name for field in attrs.fields(ComponentInfo)],
    }


class Scratch:
    """The audio of one direction: one side writes it, and the other reads it while the writer waits.

    Parameters
    ----------
    file : BinaryIO
        Unbuffered; both processes share it.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self._end = 0

    def clear(self) -> None:
        """Discard the audio in the file, and free the space beyond :data:`KEPT`."""
        self._end = 0
        if os.fstat(self.file.fileno()).st_size > KEPT:
            self.file.truncate(KEPT)

    def put(self, audio: Audio) -> dict[str, int]:
        """Append audio after the audio put since :meth:`clear`, and return the reference with which it is read.

        Raises
        ------
        OutputError
            If the folder for temporary files has no room for the audio.
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
        """Read audio; raises AudioError if it is not valid (NaN, no channel)."""
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
                raise BadMessageError("audio that is shorter than announced")
            left = left[read:]


# --------------------------------------------------------------------------------------------------------- values
def encode(message: Mapping[str, Any], scratch: Scratch) -> Message:
    """Return a message as a channel sends it: JSON, with references to its audio, which is put into the scratch file.

    Raises
    ------
    OutputError
        If there is no room for the audio.
    TypeError
        If the message contains other values than plain data and audio.
    """

    def reference(value: object) -> dict[str, Any]:
        if not isinstance(value, Audio):
            raise TypeError(f"{type(value).__name__} cannot be sent")
        return {_AUDIO: scratch.put(value)}

    return [json.dumps(message, default=reference).encode()], []


def decode(message: Message, scratch: Scratch) -> dict[str, Any]:
    """Return the message that :func:`encode` wrote.

    Raises
    ------
    BadMessageError
        If it is not a message, or its audio ends too early.
    AudioError
        If its audio is not valid.
    """

    def audio(data: dict[str, Any]) -> Any:
        return scratch.get(data[_AUDIO]) if _AUDIO in data else data

    (body,), _ = message
    try:
        content = json.loads(bytes(body), object_hook=audio)
    except ValueError as error:
        raise BadMessageError(f"a message that is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise BadMessageError("a message that is not a JSON object")
    return content


def info_to_dict(info: ComponentInfo) -> dict[str, Any]:
    """Return a card as plain data, from which ``ComponentInfo(**data)`` makes the same card."""
    return {**attrs.asdict(info), "provides": sorted(info.provides)}


def error_to_dict(error: MashkitError) -> dict[str, Any]:
    """Return an error as plain data: its arguments, and the nearest of its classes in :mod:`mashkit.errors`."""
    sent = errors.nearest(error)
    return {"type": type(sent).__name__, "args": [None if one is None else str(one) for one in sent.args]}


def error_from_dict(data: Mapping[str, Any]) -> MashkitError:
    """Return the error that :func:`error_to_dict` wrote."""
    error: MashkitError = getattr(errors, data["type"])(*data["args"])
    return error
