"""Executor: spreads work over processes or machines."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, ClassVar

import attrs

from mashkit import errors
from mashkit.components import Component
from mashkit.errors import ContractViolation, MashkitError, UsageError, contained
from mashkit.fence import plugin_code

PROVIDES = frozenset({"threads", "processes", "cluster"})
"""What the ``provides`` of an executor may name: where its workers are. Threads share this process, and its fate;
processes and machines of a cluster may die or hang without harm to anything but what they were at."""


def _by_reference(work: Work, attribute: attrs.Attribute[Any], value: object) -> None:
    try:
        pickle.dumps(value)
    except Exception as error:  # whatever an object of the caller's does when it is pickled
        raise UsageError(
            f"work {work.name!r}: {attribute.name} cannot be sent to another process: {error}",
            "give a function of a module, not one made inside another function",
        ) from error


@attrs.frozen(kw_only=True, eq=False)
class Work:
    """What is done with every item of one sort: how to begin, and what to do with an item.

    It travels to other processes, perhaps on other machines, so it holds names of functions and plain data.

    Parameters
    ----------
    name : str
        For people: "separate".
    start : callable
        A module's function. Called once in each process with ``arguments``; it returns the heavy state (a loaded
        backend).
    arguments : tuple
        What ``start`` is given; can be pickled.
    run : callable
        A module's function of the state and an item; it returns the result, which can be pickled.
    cpus : float
        Cores an item keeps busy, > 0.
    gpus : float
        GPUs it needs: a part of one, or whole ones.

    Raises
    ------
    UsageError
        If a function or the arguments cannot be sent to another process.
    """

    name: str
    start: Callable[..., Any] = attrs.field(validator=_by_reference)
    arguments: tuple[Any, ...] = attrs.field(default=(), validator=_by_reference)
    run: Callable[[Any, Any], Any] = attrs.field(validator=_by_reference)
    cpus: float = attrs.field(default=1.0, converter=float, validator=attrs.validators.gt(0))
    gpus: float = attrs.field(default=0.0, converter=float, validator=attrs.validators.ge(0))

    @gpus.validator
    def _whole_or_part(self, _: attrs.Attribute[float], value: float) -> None:
        if value > 1 and not value.is_integer():
            raise UsageError(f"work {self.name!r} needs {value} GPUs", "ask for a part of one, or for whole ones")


@attrs.frozen(eq=False)
class Job:
    """One item of a work.

    Parameters
    ----------
    work : Work
    item : object
        Can be pickled.
    name : str
        For people: the song's path.
    """

    work: Work
    item: Any = attrs.field(repr=False)
    name: str


@attrs.frozen(kw_only=True, eq=False)
class Outcome:
    """What became of a job.

    Parameters
    ----------
    job : Job
        The very object that was given.
    result : object
        What ``run`` returned; None beside an error.
    error : MashkitError, optional
        Why there is no result. An error that mashkit did not raise itself carries its traceback as a note.
    attempts : int
        How often it was begun: 2 if a worker was lost over it, 0 if its work could not begin.
    wall_s : float
        Seconds the last attempt took; waiting, and building the state, not counted.
    cpu_s : float, optional
        CPU seconds of it, with those of programs it ran; None where the worker was lost, which took the count with it.
    """

    job: Job
    result: Any = attrs.field(default=None, repr=False)
    error: MashkitError | None = None
    attempts: int = 1
    wall_s: float = 0.0
    cpu_s: float | None = None

    def __attrs_post_init__(self) -> None:
        if self.error is not None and self.result is not None:
            raise ValueError(f"{self.job.name} has both a result and an error")


# ------------------------------------------------------------------------------------------------- in the workers
@attrs.frozen
class Done:
    """How one attempt ended, where it was made; travels home."""

    result: Any
    error: MashkitError | None
    wall_s: float
    cpu_s: float

    def outcome(self, job: Job, attempts: int = 1) -> Outcome:
        """Return what became of the job by it."""
        return Outcome(
            job=job, result=self.result, error=self.error, attempts=attempts, wall_s=self.wall_s, cpu_s=self.cpu_s
        )


class Works:
    """Tells works apart: one made twice of the same is one, and has one state a worker."""

    def __init__(self) -> None:
        self._names: dict[bytes, int] = {}
        self._met: dict[int, tuple[Work, int]] = {}

    def number(self, work: Work) -> int:
        """Return the number of a work, the same for equal ones; one met before is looked at no more."""
        met = self._met.get(id(work))
        if met is not None:
            return met[1]
        known = len(self._names)
        number = self._names.setdefault(hashlib.sha256(pickle.dumps(work)).digest(), known)
        if number == known:  # it is kept: nothing else can have its id
            self._met[id(work)] = work, number
        return number


def begin(work: Work) -> Any:
    """Return the state of a work.

    Raises
    ------
    MashkitError
        Whatever the work's ``start`` raises of mashkit's errors; ComponentFailed for anything else.
    """
    what = f"work {work.name!r} could not begin"
    try:
        with plugin_code(what):
            return work.start(*work.arguments)
    except MashkitError as error:
        raise portable(error, what) from error


def attempt(work: Work, state: Any, item: Any, name: str) -> Done:
    """Do a job's work, and return its result or error; raises nothing but the user's Ctrl-C."""
    wall, cpu = time.perf_counter(), _cpu_seconds()
    result, failure = None, None
    what = f"{name}: work {work.name!r} failed"
    try:
        with plugin_code(what):
            result = work.run(state, item)
    except MashkitError as error:
        failure = portable(error, what)
    return Done(result, failure, time.perf_counter() - wall, _cpu_seconds() - cpu)


def portable(error: BaseException, what: str) -> MashkitError:
    """Return an error as one of mashkit's that can travel between processes.

    mashkit's own errors keep type, problem and fix, or have the nearest type that comes back from a pickle; any other
    is :func:`mashkit.errors.contained`, saying ``what`` went wrong.
    """
    if not isinstance(error, MashkitError):
        return contained(error, what)
    # The class may be a plugin's: unpickling runs its code, and anything may come out.
    with contextlib.suppress(Exception):
        if type(pickle.loads(pickle.dumps(error))) is type(error):  # noqa: S301 — our own bytes
            return error
    # AudioFileError is made of other arguments; its base is not.
    nearest = next(
        cls
        for cls in type(error).__mro__
        if getattr(errors, cls.__name__, None) is cls and cls.__init__ is MashkitError.__init__
    )
    plain: MashkitError = nearest(error.problem, error.fix)
    return plain


def _cpu_seconds() -> float:
    # The system counts those of ended children in hundredths.
    times = os.times()
    return time.process_time() + times.children_user + times.children_system


# ---------------------------------------------------------------------------------------------------- the interface
class Pool(ABC):
    """The workers of one :meth:`Executor.run`: what an executor's plugin writes.

    Everything is called from one thread. What happens to a job whose worker dies or hangs is in :meth:`Executor.run`.
    """

    @property
    @abstractmethod
    def capacity(self) -> int:
        """Number of jobs to have under way at once, ≥ 1: those being worked on, and a few that wait their turn."""

    @abstractmethod
    def submit(self, job: Job) -> None:
        """Take a job. Does not wait for it; raises UsageError if no worker can ever do it."""

    @abstractmethod
    def wait(self) -> Outcome:
        """Wait for a job to end, whichever, and return what became of it. Called only with jobs under way."""

    @abstractmethod
    def close(self) -> None:
        """End all workers, whatever they are at, and return when they have ended."""


@attrs.define(kw_only=True, eq=False)
class Executor(Component):
    """Runs jobs in workers; ``info.provides`` says where those are: "threads", "processes" or "cluster"."""

    kind: ClassVar[str] = "executor"

    def run(self, jobs: Iterable[Job | None]) -> Generator[Outcome, None, None]:
        """Yield what becomes of each job, as it ends: one outcome a job, in any order.

        Jobs are taken from the iterable as workers come free, a few ahead: a million of them need no memory. Where jobs
        come of outcomes, the iterable gives None while it has none: it is asked again after the next outcome. Jobs of
        several works may mix; each runs where there are the cores and GPUs it asks for.

        An error of mashkit's that the work raises is the job's error. Anything else it raises is ComponentFailed.
        Neither is tried again: it would come again. A worker that dies (killed, out of memory, a crash in C) or is not
        done in time is ended, and its job is tried once more on a fresh one; if that is lost too, the job's error is
        ComponentFailed. Jobs on other workers know nothing of it.

        If a work cannot begin, each of its jobs has the error that says why.

        The workers end with the iterator: when it is exhausted, closed, or deleted, when the caller raises, and when
        the caller's process dies in whatever way.

        Parameters
        ----------
        jobs : iterable of Job or None
            Asked in the thread that iterates.

        Yields
        ------
        Outcome

        Raises
        ------
        UsageError
            If the iterable gives something that is no job, or None with no outcome to come; if a job asks for what no
            worker has.
        ComponentFailed
            If the executor itself breaks down.
        ContractViolation
            If an outcome is of no job that was given, or comes twice.
        """
        with self.backend_call("start workers"):
            pool = self._pool()
        self.require_result(pool, Pool, "start workers")
        try:
            yield from self._outcomes(pool, iter(jobs))
        finally:
            with self.backend_call("end workers"):
                pool.close()

    def _outcomes(self, pool: Pool, jobs: Iterator[Job | None]) -> Generator[Outcome, None, None]:
        under_way: Counter[int] = Counter()
        exhausted = False
        while True:
            while not exhausted and under_way.total() < pool.capacity:
                try:
                    job = next(jobs)
                except StopIteration:
                    exhausted = True
                    break
                if job is None:
                    if not under_way:
                        raise UsageError("no job is given, and no outcome to come can bring one", "end the jobs")
                    break
                if not isinstance(job, Job):
                    raise UsageError(f"{job!r} is not a job", "give mashkit.Job objects")
                with self.backend_call(f"take {job.name}"):
                    pool.submit(job)
                under_way[id(job)] += 1
            if not under_way:
                return
            with self.backend_call("run jobs"):
                outcome = pool.wait()
            self.require_result(outcome, Outcome, "run jobs")
            key = id(outcome.job)
            if under_way[key] < 1:
                raise ContractViolation(
                    f"executor {self.info.name!r} gave an outcome of {outcome.job.name!r}, which is not under way"
                )
            under_way[key] -= 1
            if not under_way[key]:
                del under_way[key]
            yield outcome

    @abstractmethod
    def _pool(self) -> Pool:
        """Return new workers for one run, or what will start them when jobs come."""
