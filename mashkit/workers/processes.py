"""Start and end mashkit's own processes: they end with their parent, together with all processes that they started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of linux/prctl.h


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def thread_variables(threads: int) -> dict[str, str]:
    """Return the environment variables that set the number of threads of numerical libraries.

    The libraries read them once, when they are imported.
    """
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
    return dict.fromkeys(names, str(threads))


# --------------------------------------------------------------------------------------------------- in the process
def die_with_parent(parent: int) -> None:
    """Make Linux kill this process when the *thread* that started it ends, also if a backend never returns.

    Parameters
    ----------
    parent : int
        Number of the process that started this one; if it is gone already, this one ends here.
    """
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:  # the parent ended before the call above
        end_this()


def end_this() -> None:
    """End this process at once; if it leads a process group, also the programs that it started."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


# -------------------------------------------------------------------------------------------------------- from outside
def family(pid: int) -> list[int]:
    """Return a process and all its running descendants; without Linux's /proc, only the process."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            with contextlib.suppress(OSError):  # the process has just ended
                found += map(int, task.read_text(encoding="ascii").split())
    return found


def cpu_seconds(pid: int) -> float:
    """Return the CPU seconds, user and system, of a process and of the children that it waited for.

    The resolution is a hundredth of a second. The result is 0 if the process has ended, or without Linux.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return 0.0
    # Fields 14 to 17 of proc_pid_stat(5); the first field after the name is field 3.
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


# ------------------------------------------------------------------------------------------------------- its parent
def end(process: subprocess.Popen[bytes]) -> None:
    """End a process that leads its own group (``start_new_session``), with all processes that it started."""
    # The kill comes before the wait, because until then no other process can have its number or its group's.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def how_it_ended(status: int) -> str:
    """Return the meaning of an ended process's status, as the end of a sentence that begins with the process."""
    if status < 0:
        try:
            return f"was ended by {signal.Signals(-status).name}"
        except ValueError:  # most real-time signals have no name
            return f"was ended by signal {-status}"
    return f"ended with status {status}"
