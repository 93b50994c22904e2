"""Values on their way between processes: pickled, and what is large in them sent from where it lies."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Sequence
from types import SimpleNamespace
from typing import Any

Bytes = bytes | bytearray | memoryview


def pack(value: object) -> tuple[list[Bytes], list[memoryview]]:
    """Return the pickle of a value in pieces, large bytes among them uncopied, and the arrays that are not in it.

    Raises
    ------
    Exception
        Whatever pickling does: it runs the value's own code.
    """
    pieces: list[Bytes] = []
    buffers: list[pickle.PickleBuffer] = []
    # A pickler that writes to a file hands it large bytes as they are.
    file = SimpleNamespace(write=pieces.append)
    pickle.Pickler(file, protocol=5, buffer_callback=buffers.append).dump(value)
    return pieces, [buffer.raw() for buffer in buffers]


def unpack(pickled: Bytes, buffers: Iterable[Bytes] | Sequence[Bytes] = ()) -> Any:
    """Return the value of a whole pickle; its arrays live in ``buffers``, and may be written to if those may.

    For what our own processes send each other: unpickling runs code.
    """
    return pickle.loads(pickled, buffers=buffers)  # noqa: S301 — see above
