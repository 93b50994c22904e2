"""Exchange messages with another process through a socket: the frames of all of mashkit's workers."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Sequence

from mashkit.workers.pickling import Bytes, Message

MAGIC = b"\x93mashkit"
"""First bytes of every message; the very first byte does not occur in text that a backend would print."""
_HEAD = struct.Struct(f"<{len(MAGIC)}sI")  # MAGIC, and the number of arrays
_PART = struct.Struct("<Q?")  # number of bytes, and whether the buffer is writable
_SMALL = 1 << 16
"""Size of a message, bytes, below which joining its parts is cheaper than sending them one by one."""


class Lost(Exception):
    """A worker cannot be used any more: it died, sent no message, or was not finished in time.

    Parameters
    ----------
    reason : str
        The cause, as the end of a sentence that begins with the worker.
    fix : str
        What the user can do about it.
    """

    def __init__(self, reason: str, fix: str) -> None:
        super().__init__(reason, fix)
        self.reason = reason
        self.fix = fix


class TimedOut(Lost):
    """A worker was not finished in the time that it was allowed, seconds."""

    def __init__(self, allowed_s: float, fix: str) -> None:
        super().__init__(f"was not done after {allowed_s:g} s", fix)
        self.allowed_s = allowed_s


class BadMessageError(Lost):
    """The bytes from a worker are not a message."""

    def __init__(self, problem: str) -> None:
        super().__init__(
            f"sent no message of ours: {problem}", "have the backend write only into files that it has opened"
        )


class Channel:
    """One end of a connection between two processes.

    A message is :data:`MAGIC`, the number of its arrays, for the body and each array its size and whether it is
    writable, and then their bytes. The body is a pickle, or a text that the two sides agree on.

    Parameters
    ----------
    connection : socket
    """

    longest: int | None = None
    """Largest size of a message that is accepted, bytes, and then without arrays; None for any."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._sending = threading.Lock()  # because a backend may report progress from a thread of its own

    def patience(self) -> float | None:
        """Return the seconds to wait for the other side until :meth:`look`, None for no limit; raise to give up."""
        return None

    def look(self) -> None:
        """Raise an error if the other side is gone; called when it was silent for the time of :meth:`patience`."""

    def send(self, message: Message) -> None:
        """Send a message; raises OSError if the other side has closed the connection."""
        body, arrays = message
        header = [_HEAD.pack(MAGIC, len(arrays)), _PART.pack(sum(map(len, body)), False)]
        header += [_PART.pack(array.nbytes, not array.readonly) for array in arrays]
        parts: Sequence[Bytes] = [*header, *body, *arrays]
        if sum(map(len, parts)) < _SMALL:
            parts = [b"".join(parts)]
        with self._sending:
            for part in parts:
                self._send(memoryview(part))

    def _send(self, part: memoryview) -> None:
        while part:
            self._connection.settimeout(self.patience())
            try:
                part = part[self._connection.send(part) :]
            except TimeoutError:
                self.look()

    def receive(self) -> Message:
        """Return the next message; its arrays are writable if they were where they come from.

        Raises
        ------
        EOFError
            If the other side has closed the connection.
        BadMessageError
            If the bytes are not a message, or it is too long.
        """
        head = bytes(self._receive(_HEAD.size))
        magic, count = _HEAD.unpack(head)
        if magic != MAGIC:
            raise BadMessageError(f"{head!r} where a message should begin")
        if self.longest is not None and count:
            raise BadMessageError("a message with arrays")
        sizes = list(_PART.iter_unpack(self._receive(_PART.size * (1 + count))))
        if self.longest is not None and sizes[0][0] > self.longest:
            raise BadMessageError(f"a message of {sizes[0][0]} bytes")
        parts = [(self._receive(size), writable) for size, writable in sizes]
        body, *arrays = [part if writable else part.toreadonly() for part, writable in parts]
        return [body], arrays

    def _receive(self, size: int) -> memoryview:
        whole = memoryview(bytearray(size))
        missing = whole
        while missing:
            self._connection.settimeout(self.patience())
            try:
                received = self._connection.recv_into(missing)
            except TimeoutError:
                self.look()
                continue
            if received == 0:
                raise EOFError
            missing = missing[received:]
        return whole
