"""Run a worker process of the local executor: build the state of one work, then do one job after another.

The parent starts it as ``python -m mashkit.builtin.local_worker``. Only backends write to standard output and standard
error. The parent stores this text, and puts its last lines into the error if the process dies.
"""

from __future__ import annotations

import argparse
import os
import queue
import socket
import struct
import sys
import threading
from collections.abc import Callable, Sequence

from mashkit.errors import MashkitError
from mashkit.workers.pickling import pack, unpack
from mashkit.workers.processes import die_with_parent, end_this

Message = tuple[memoryview, list[memoryview]]
"""A received message: a pickle, and its arrays, which are sent beside it."""

_COUNT = struct.Struct("<I")
_PART = struct.Struct("<Q?")  # number of bytes, and whether the buffer is writable
_SMALL = 1 << 16
"""Size of a message, bytes, below which joining its parts is cheaper than sending them one by one."""


class Channel:
    """One end of a connection between two processes of mashkit, which trust each other's pickles.

    Parameters
    ----------
    connection : socket
    patience : callable
        Returns the seconds to wait for the other side before ``patience`` is called again, None for no limit; it raises
        an exception to give up.
    """

    def __init__(self, connection: socket.socket, patience: Callable[[], float | None] = lambda: None) -> None:
        self.connection = connection
        self.patience = patience

    def send(self, value: object) -> None:
        """Send a value that can be pickled; an exception of pickling is raised before any byte is sent."""
        pieces, buffers = pack(value)
        header = [_COUNT.pack(len(buffers)), _PART.pack(sum(map(len, pieces)), False)]
        header += [_PART.pack(buffer.nbytes, not buffer.readonly) for buffer in buffers]
        parts = [*header, *pieces, *buffers]
        small = sum(map(len, parts)) < _SMALL
        for part in [b"".join(parts)] if small else parts:
            self._send(memoryview(part))

    def _send(self, part: memoryview) -> None:
        while part:
            self.connection.settimeout(self.patience())
            try:
                part = part[self.connection.send(part) :]
            except TimeoutError:
                continue

    def receive(self) -> Message:
        """Return the next message, still packed.

        Raises
        ------
        EOFError
            If the other side has closed the connection.
        """
        (count,) = _COUNT.unpack(self._receive(_COUNT.size))
        head = self._receive(_PART.size * (1 + count))
        parts = [(self._receive(size), writable) for size, writable in _PART.iter_unpack(head)]
        pickled, *buffers = [part if writable else part.toreadonly() for part, writable in parts]
        return pickled, buffers

    def _receive(self, size: int) -> memoryview:
        whole = memoryview(bytearray(size))
        missing = whole
        while missing:
            self.connection.settimeout(self.patience())
            try:
                received = self.connection.recv_into(missing)
            except TimeoutError:
                continue
            if received == 0:
                raise EOFError
            missing = missing[received:]
        return whole


def main(argv: Sequence[str] | None = None) -> None:
    """Do jobs until the parent closes the connection."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--socket", type=int, required=True, help="descriptor of our end of the connection")
    parser.add_argument("--parent", type=int, required=True, help="process to die with")
    arguments = parser.parse_args(argv)
    die_with_parent(arguments.parent)
    os.set_inheritable(arguments.socket, False)
    channel = Channel(socket.socket(fileno=arguments.socket))
    messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(channel, messages), daemon=True).start()
    sys.path[:] = unpack(*messages.get())
    _serve(channel, messages)


def _read(channel: Channel, messages: queue.SimpleQueue[Message]) -> None:
    """Queue messages; when the parent closes its end or dies, end this process at once, even during a job."""
    try:
        while True:
            messages.put(channel.receive())
    finally:
        end_this()


def _serve(channel: Channel, messages: queue.SimpleQueue[Message]) -> None:
    from mashkit.interfaces.executor import Done, attempt, begin, portable

    # The work comes in one message, which may be large.
    message = messages.get()
    try:
        work = unpack(*message)
    except Exception as error:  # noqa: BLE001 — unpickling imports the caller's modules
        channel.send(portable(error, "a worker could not read its work"))
        return
    try:
        state = begin(work)
    except MashkitError as error:
        channel.send(error)
        return
    channel.send(None)
    while True:
        message = messages.get()
        try:
            item, name = unpack(*message)
        except Exception as error:  # noqa: BLE001 — as above
            done = Done(None, portable(error, f"work {work.name!r}: a worker could not read an item"), 0.0, 0.0)
        else:
            done = attempt(work, state, item, name)
            del item
        del message
        try:
            channel.send(done)
        except Exception as error:  # noqa: BLE001 — pickling runs the result's own code
            problem = portable(error, f"{name}: the result of work {work.name!r} cannot be sent")
            channel.send(Done(None, problem, done.wall_s, done.cpu_s))
        del done


if __name__ == "__main__":
    main()
