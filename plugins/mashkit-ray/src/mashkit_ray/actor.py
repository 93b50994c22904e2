"""The code that runs on the cluster: an actor that holds the state of one work. Ray makes it from a plain class."""

from __future__ import annotations

import os
import pickle
from typing import Any

from mashkit.errors import MashkitError
from mashkit.interfaces.executor import Done, attempt, begin, portable
from mashkit.workers.pickling import Bytes, pack, unpack

Parcel = tuple[Bytes, list[tuple[Bytes, bool]]]
"""A pickle and the arrays outside of it: the bytes of each array, and whether it is writable."""


def parcel(value: object) -> Any:
    """Return a value in a form that Ray sends without copying its arrays; it arrives as a Parcel."""
    pieces, buffers = pack(value)
    return (
        pickle.PickleBuffer(b"".join(pieces)),
        [(pickle.PickleBuffer(buffer), not buffer.readonly) for buffer in buffers],
    )


def contents(given: Parcel) -> Any:
    """Return the value of a parcel, copied, because Ray's memory is lost when Ray is disconnected."""
    pickled, buffers = given
    return unpack(pickled, [bytearray(buffer) if writable else bytes(buffer) for buffer, writable in buffers])


class Actor:
    """A worker: builds the state of a work once, then does one job after another."""

    def __init__(self) -> None:
        self._work: Any = None
        self._state: Any = None

    def here(self) -> None:
        """Return nothing; the answer shows that the actor has a machine."""

    def begin(self, work: Parcel, variables: dict[str, str]) -> Any:
        """Build the state; return the error if the state cannot be built."""
        os.environ.update(variables)  # first, because backends read them when they are imported
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
        """Return the outcome of an attempt at a job, as a parcel."""
        try:
            value = contents(item)
        except Exception as error:  # noqa: BLE001 — unpickling imports the caller's modules
            problem = portable(error, f"work {self._work.name!r}: a worker could not read an item")
            return parcel(Done(None, problem, 0.0, 0.0))
        done = attempt(self._work, self._state, value, name)
        try:
            return parcel(done)
        except Exception as error:  # noqa: BLE001 — pickling runs the result's own code
            problem = portable(error, f"{name}: the result of work {self._work.name!r} cannot be sent")
            return parcel(Done(None, problem, done.wall_s, done.cpu_s))
