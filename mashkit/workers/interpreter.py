"""Start a Python process that works for this one: its channel, its time limit, its last words and its end."""

from __future__ import annotations

import contextlib
import math
import os
import queue
import socket
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from mashkit.workers.channel import Channel, Lost, TimedOut
from mashkit.workers.pickling import Message
from mashkit.workers.processes import die_with_parent, end, end_this, how_it_ended

START_TIMEOUT_S = 300.0
"""Time limit for starting a worker, for building its state or making its component, and for the component's
description, seconds; hashing weights takes some of it. A longer limit of the executor's option timeout_s counts."""
LOOK_S = 1.0
"""Seconds without a message after which the worker's process is looked for. The connection alone does not show that it
is alive, because a program that the worker started may keep it open."""
CLOSING_S = 10.0
"""Seconds that a process that has closed its connection may take to end; one with much memory takes some."""
LAST_LINES = 12
"""Number of last lines of a worker's output that an error contains."""
LAST_BYTES = 8192
"""Largest part of a worker's output that is searched for its last lines, bytes."""
KEPT_BYTES = 1 << 20
"""Largest size of the file of a worker's output between two requests, bytes; a larger file is emptied."""


def unnamed_file() -> BinaryIO:
    """Return a new unbuffered file without a name; the system deletes it, whichever process ends first."""
    return tempfile.TemporaryFile(prefix="mashkit-", buffering=0)


class Interpreter(Channel):
    """A Python process, and this process's end of the channel to it.

    The process ends with this one, when no reference to this object is left, or with :meth:`kill`, always together with
    the programs that it started. Its standard input is empty; what it writes is kept for :meth:`last_words`. One thread
    uses this object, but any thread may call :meth:`kill`. A fork of this process cannot use it, because the two would
    read each other's messages: see :attr:`is_ours`.

    Parameters
    ----------
    module : str
        The module to run; it makes a :class:`Parent`.
    python : Path, optional
        The interpreter to start; by default the one of this process.
    isolated : bool
        Whether it ignores this process's PYTHONPATH and the user's packages, as another environment's Python must.
    variables : mapping, optional
        Its environment variables; by default those of this process.
    files : sequence of BinaryIO
        Open files that it shares; they are closed with this object.
    with_thread : bool
        Whether Linux also ends the process when the thread that starts it ends.

    Raises
    ------
    OSError
        If the process cannot be started.
    """

    late_fix = ""
    """What the user can do about a worker that was not finished in time."""
    killed_fix = ""
    """What the user can do about a worker that died."""

    def __init__(
        self,
        module: str,
        *,
        python: Path | None = None,
        isolated: bool = False,
        variables: Mapping[str, str] | None = None,
        files: Sequence[BinaryIO] = (),
        with_thread: bool = True,
    ) -> None:
        self._allowed_s = self._deadline = math.inf
        self._owner = os.getpid()
        with contextlib.ExitStack() as opened:
            for file in files:
                opened.enter_context(file)
            self._output = opened.enter_context(unnamed_file())
            ours, theirs = socket.socketpair()
            super().__init__(opened.enter_context(ours))
            shared = [theirs.fileno(), *(file.fileno() for file in files)]
            # -P: the current folder is not a library.
            command = [str(python or sys.executable), "-I" if isolated else "-P", "-m", module]
            with theirs:
                self.process = subprocess.Popen(  # noqa: S603 — an interpreter, and arguments of ours
                    [*command, *map(str, (os.getpid() if with_thread else 0, *shared))],
                    stdin=subprocess.DEVNULL,
                    stdout=self._output,
                    stderr=self._output,
                    pass_fds=shared,
                    env=variables,
                    start_new_session=True,
                )
            self._end = weakref.finalize(self, _end, self._owner, self.process)
            self._close = weakref.finalize(self, opened.pop_all().close)

    @property
    def is_ours(self) -> bool:
        """Whether this process started the worker; a fork of the process that did has only a copy of this object."""
        return os.getpid() == self._owner

    def _require_ours(self) -> None:
        if not self.is_ours:
            raise Lost("belongs to the process from which this one was forked", "start another worker in this process")

    def allow(self, seconds: float) -> None:
        """Set the time limit of all that is sent and received from now on, and forget old output if it is long."""
        self._allowed_s = seconds
        self._deadline = time.monotonic() + seconds
        if self.is_ours and os.fstat(self._output.fileno()).st_size > KEPT_BYTES:
            # Both processes share the file's position, so that the worker then writes from the beginning too.
            self._output.seek(0)
            self._output.truncate()

    def patience(self) -> float:
        """Return the seconds until the next look at the process; raises TimedOut after the time limit."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimedOut(self._allowed_s, self.late_fix)
        return min(left, LOOK_S)

    def look(self) -> None:
        """Raise Lost if the process has ended."""
        if self.process.poll() is not None:
            raise self._lost()

    def send(self, message: Message) -> None:
        """Send a message; raises Lost if the worker is lost or not ours, or the time is over."""
        self._require_ours()
        try:
            super().send(message)
        except OSError:
            raise self._lost() from None

    def receive(self) -> Message:
        """Return the next message; raises Lost if the worker is lost or not ours, or the time is over."""
        self._require_ours()
        try:
            return super().receive()
        except (OSError, EOFError):
            raise self._lost() from None

    def _lost(self) -> Lost:
        # The connection of a dying process closes a moment before its exit status is available.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=CLOSING_S)
        status = self.process.returncode
        return Lost("closed its connection" if status is None else how_it_ended(status), self.killed_fix)

    def last_lines(self, count: int = LAST_LINES) -> list[str]:
        """Return the last lines that the process wrote and that are not blank; none after :meth:`close`."""
        if self._output.closed:
            return []
        descriptor = self._output.fileno()
        size = os.fstat(descriptor).st_size
        text = os.pread(descriptor, LAST_BYTES, max(0, size - LAST_BYTES)).decode(errors="replace")
        return [line.rstrip() for line in text.splitlines() if line.strip()][-count:]

    def last_words(self) -> str:
        """Return :meth:`last_lines` as the end of a sentence."""
        lines = self.last_lines()
        return "\n  ".join(["; its last words:", *lines]) if lines else ""

    def kill(self) -> None:
        """End the process and all processes that it started."""
        self._end()

    def close(self) -> None:
        """End the process, and close the channel and the files."""
        self._end()
        self._close()


def _end(owner: int, process: subprocess.Popen[bytes]) -> None:
    if os.getpid() == owner:  # a fork of the worker's owner must not end the worker
        end(process)


class Parent(Channel):
    """The end of the channel in a process that :class:`Interpreter` started.

    This process ends at once when the parent ends or closes the channel, also during work. A program makes this object
    first, because until then it does not notice that the parent has ended.
    """

    def __init__(self) -> None:
        parent, connection, *self.files = map(int, sys.argv[1:])
        for descriptor in (connection, *self.files):
            os.set_inheritable(descriptor, False)
        if parent:
            die_with_parent(parent)
        # What a backend prints must be in the file when it crashes.
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # it is the interpreter's own
        super().__init__(socket.socket(fileno=connection))
        self._messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        try:
            while True:
                self._messages.put(super().receive())
        finally:
            end_this()

    def receive(self) -> Message:
        """Return the parent's next message."""
        return self._messages.get()
