"""Processes of ours: they die with the one that started them, and are ended with all they started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of linux/prctl.h


def cores() -> int:
    """Return the number of cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def thread_variables(threads: int) -> dict[str, str]:
    """Return the environment variables that tell numerical libraries how many threads to use.

    They read them once, when they are imported.
    """
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
    return dict.fromkeys(names, str(threads))


# --------------------------------------------------------------------------------------------------- in the process
def die_with_parent(parent: int) -> None:
    """Have Linux kill this process when the *thread* that started it ends: also if a backend never lets go.

    Parameters
    ----------
    parent : int
        Number of the process that started this one; if it is gone already, this one ends here.
    """
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:  # it was quicker
        end_this()


def end_this() -> None:
    """End this process at once, with the programs it started if it leads a group of its own."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


# -------------------------------------------------------------------------------------------------------- from outside
def family(pid: int) -> list[int]:
    """Return a process and all its descendants that still run; only itself where there is no Linux to ask."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            with contextlib.suppress(OSError):  # it has just ended
                found += map(int, task.read_text(encoding="ascii").split())
    return found


def cpu_seconds(pid: int) -> float:
    """Return what a process, and those it waited for, have used, user and system; 0 if it has ended, or without Linux.

    In hundredths of a second.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return 0.0
    # Fields 14 to 17 of proc_pid_stat(5), the third being the first after the name.
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


# ------------------------------------------------------------------------------------------------------- its parent
def end(process: subprocess.Popen[bytes]) -> None:
    """End a process that leads a group of its own (``start_new_session``), with all that it started."""
    # Before it is waited for: until then its number, and that of its group, are nobody else's.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def how_it_ended(status: int) -> str:
    """Return what the status of an ended process says, as the rest of a sentence that begins with the process."""
    if status < 0:
        return f"was ended by {signal.Signals(-status).name}"
    return f"ended with status {status}"
