"""What runs on the cluster: an actor with the state of one work. Imports no Ray: Ray makes an actor of the class."""

from __future__ import annotations

import os
import pickle
from typing import Any

from mashkit.errors import MashkitError
from mashkit.interfaces.executor import Done, attempt, begin, portable
from mashkit.transfer import Bytes, pack, unpack

Parcel = tuple[Bytes, list[tuple[Bytes, bool]]]
"""A pickle, and the arrays that are not in it: their bytes, and whether they may be written to."""


def parcel(value: object) -> Any:
    """Return a value as Ray may carry it, its arrays uncopied: a Parcel, when it arrives."""
    pieces, buffers = pack(value)
    return (
        pickle.PickleBuffer(b"".join(pieces)),
        [(pickle.PickleBuffer(buffer), not buffer.readonly) for buffer in buffers],
    )


def contents(given: Parcel) -> Any:
    """Return the value of a parcel, in memory of this process: Ray's own is gone when it is disconnected."""
    pickled, buffers = given
    return unpack(pickled, [bytearray(buffer) if writable else bytes(buffer) for buffer, writable in buffers])


class Actor:
    """A worker: builds the state of a work once, then does one job after the other."""

    def __init__(self) -> None:
        self._work: Any = None
        self._state: Any = None

    def here(self) -> None:
        """Answer: it has a place."""

    def begin(self, work: Parcel, variables: dict[str, str]) -> Any:
        """Build the state; return the error if it cannot be built."""
        os.environ.update(variables)  # before a backend is imported
        try:
            self._work = contents(work)
        except Exception as error:  # noqa: BLE001 — unpickling imports the caller's modules
            return parcel(portable(error, "a worker could not read its work"))
        try:
            self._state = begin(self._work)
        except MashkitError as error:
            return parcel(error)
        return parcel(None)

    def do(self, item: Parcel, name: str) -> Any:
        """Return how an attempt at a job ended, as a parcel."""
        try:
            value = contents(item)
        except Exception as error:  # noqa: BLE001 — as above
            problem = portable(error, f"work {self._work.name!r}: a worker could not read an item")
            return parcel(Done(None, problem, 0.0, 0.0))
        done = attempt(self._work, self._state, value, name)
        try:
            return parcel(done)
        except Exception as error:  # noqa: BLE001 — pickling runs the result's own code
            problem = portable(error, f"{name}: the result of work {self._work.name!r} cannot be sent")
            return parcel(Done(None, problem, done.wall_s, done.cpu_s))
