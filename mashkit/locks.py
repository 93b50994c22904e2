"""Lock a file or a folder, so that only one process at a time does the work for which it stands.

A lock ends with its process, however the process ends. A locked file stays, because another process may have opened it
already, and would then lock a file that has no name any more.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from mashkit.errors import MashkitError, OutputError
from mashkit.paths import path_text


@contextlib.contextmanager
def held(path: Path, taken: MashkitError, *, forks: bool = True) -> Iterator[None]:
    """Hold a lock while a block runs. Parameters are those of :func:`lock`.

    Raises
    ------
    OutputError
        If the file cannot be opened or locked.
    MashkitError
        As for :func:`lock`.
    """
    try:
        file = lock(path, taken, forks=forks)
    except OSError as error:
        raise OutputError(f"{path_text(path)} cannot be opened: {error.strerror}", "check its permissions") from error
    with file:
        yield


@contextlib.contextmanager
def held_folder(folder: Path, taken: MashkitError, *, wait_s: float = 0.0) -> Iterator[None]:
    """Lock a folder while a block runs. No lock file is made in it.

    Where folders cannot be locked, as on Windows and on some network drives, the block runs without a lock.

    Parameters
    ----------
    folder : Path
    taken : MashkitError
        Raised if another process, or another block of this one, holds the lock.
    wait_s : float
        Seconds to wait until the lock is free.

    Raises
    ------
    MashkitError
        ``taken``.
    """
    with contextlib.ExitStack() as until_the_end:
        try:
            import fcntl

            opened = os.open(folder, os.O_RDONLY)
            until_the_end.callback(os.close, opened)
            latest = time.monotonic() + wait_s
            while True:
                try:
                    fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() >= latest:
                        raise taken from None
                time.sleep(0.05)
            # Closing alone would leave the lock to a process that was forked meanwhile.
            until_the_end.callback(fcntl.flock, opened, fcntl.LOCK_UN)
        except (ImportError, OSError):
            pass
        yield


def lock(path: Path, taken: MashkitError, *, forks: bool = True) -> BinaryIO:
    """Lock a file without waiting, and return it open; closing it ends the lock.

    Parameters
    ----------
    path : Path
        The file; it is made if it is missing, and its content is neither read nor changed.
    taken : MashkitError
        Raised if another process holds the lock.
    forks : bool
        Whether a forked process keeps the lock as long as it has the file open, and a second lock of this process is
        refused. If not, the lock belongs to this process alone.

    Raises
    ------
    OSError
        If the file cannot be opened or locked.
    MashkitError
        ``taken``, or that this system has no such locks.
    """
    try:
        import fcntl
    except ImportError:  # on Windows
        raise MashkitError(f"{path_text(path)} cannot be locked on {sys.platform}", "use Linux or macOS") from None
    file = path.open("ab", buffering=0)
    try:
        (fcntl.flock if forks else fcntl.lockf)(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        file.close()
        raise taken from None
    except BaseException:
        file.close()
        raise
    return file
