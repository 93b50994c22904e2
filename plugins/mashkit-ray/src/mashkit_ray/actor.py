"""The code that runs on the cluster: an actor that holds the state of one work. Ray makes it from a plain class."""

from __future__ import annotations

import os
import pickle
from typing import Any

from mashkit.workers.jobs import JobRunner
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
    copies = [memoryview(bytearray(buffer) if writable else bytes(buffer)) for buffer, writable in buffers]
    return unpack(([pickled], copies))


class Actor:
    """A worker: builds the state of a work once, then does one job after another."""

    def __init__(self) -> None:
        self._runner = JobRunner(parcel, contents)

    def here(self) -> None:
        """Return nothing; the answer shows that the actor has a machine."""

    def begin(self, work: Parcel, variables: dict[str, str]) -> Any:
        """Build the state; return the error if the state cannot be built."""
        os.environ.update(variables)  # first, because backends read them when they are imported
        return self._runner.begin(work)

    def do(self, job: Parcel) -> Any:
        """Return the outcome of an attempt at a job, given as its item and its name, as a parcel."""
        return self._runner.do(job)
