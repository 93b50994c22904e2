"""Do the jobs of one work in a worker process, and make every error one that can be sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mashkit.errors import MashkitError, UsageError
from mashkit.interfaces.executor import Done, Job, Work, attempt, begin, portable


def packed(job: Job, pack: Callable[[object], Any]) -> Any:
    """Return the message with a job's item and name, which :meth:`JobRunner.do` reads.

    Parameters
    ----------
    job : Job
    pack : callable
        As of :class:`JobRunner`.

    Raises
    ------
    UsageError
        If the item cannot be packed.
    """
    try:
        return pack((job.item, job.name))
    except Exception as error:
        raise UsageError(f"{job.name}: its item cannot be sent to another process: {error}") from error


class JobRunner:
    """Builds the state of one work in a worker process, and does jobs with it.

    Parameters
    ----------
    pack : callable
        Makes a message of a value; it may raise any error, because pickling runs the value's own code.
    unpack : callable
        Makes the value of a message; it may raise any error, because unpickling imports the caller's modules.
    """

    _work: Work
    _state: Any = None

    def __init__(self, pack: Callable[[object], Any], unpack: Callable[[Any], Any]) -> None:
        self._pack = pack
        self._unpack = unpack

    def begin(self, message: Any) -> Any:
        """Build the state of the work in a message; return a message with the error, or None without one."""
        try:
            self._work = self._unpack(message)
        except Exception as error:  # noqa: BLE001 — see unpack
            return self._pack(portable(error, "a worker could not read its work"))
        try:
            self._state = begin(self._work)
        except MashkitError as error:
            return self._pack(error)
        return self._pack(None)

    def do(self, message: Any) -> Any:
        """Do the job whose item and name are in a message; return a message with its Done."""
        work = self._work
        try:
            item, name = self._unpack(message)
        except Exception as error:  # noqa: BLE001 — see unpack
            problem = portable(error, f"work {work.name!r}: a worker could not read an item")
            return self._pack(Done(None, problem, 0.0, 0.0))
        done = attempt(work, self._state, item, name)
        del item  # because it may be large
        try:
            return self._pack(done)
        except Exception as error:  # noqa: BLE001 — see pack
            problem = portable(error, f"{name}: the result of work {work.name!r} cannot be sent")
            return self._pack(Done(None, problem, done.wall_s, done.cpu_s))
