"""Pickle values for other processes without copying their large arrays."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

Bytes = bytes | bytearray | memoryview
Message = tuple[Sequence[Bytes], Sequence[memoryview]]
"""A value on its way: the pieces of a pickle or of a text, and the arrays that are not in the pickle."""


def pack(value: object) -> Message:
    """Return the pickle of a value in pieces (large bytes are not copied), and the arrays that are not in the pickle.

    Raises
    ------
    Exception
        Any error, because pickling runs the value's own code.
    """
    pieces: list[Bytes] = []
    buffers: list[pickle.PickleBuffer] = []
    # A pickler passes large bytes to its file without a copy.
    file = SimpleNamespace(write=pieces.append)
    pickle.Pickler(file, protocol=5, buffer_callback=buffers.append).dump(value)
    return pieces, [buffer.raw() for buffer in buffers]


def unpack(message: Message) -> Any:
    """Return the value of a message that was received, whose pickle is in one piece; its arrays are not copied.

    Use it only for data from mashkit's own processes, because unpickling runs code.
    """
    (pickled,), buffers = message
    return pickle.loads(pickled, buffers=buffers)  # noqa: S301 — see above
