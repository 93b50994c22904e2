"""Executor: the interface of components that distribute work over processes or machines."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import pickle
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, ClassVar

import attrs

from mashkit.arguments import require
from mashkit.components import Component
from mashkit.components.fence import plugin_code
from mashkit.errors import ContractViolation, MashkitError, UsageError, contained, nearest
from mashkit.numbers import plain_number
from mashkit.types import as_tuple

PROVIDES = frozenset({"threads", "processes", "cluster"})
"""Kinds of workers that the ``provides`` of an executor may name. A thread that crashes or hangs affects this whole
process; a process or a machine of a cluster that crashes or hangs affects only its own job."""


def _text(instance: object, attribute: attrs.Attribute[str], value: object) -> None:
    require(f"{type(instance).__name__}.{attribute.name}", value, str, "give text for the user")


def _callable(work: Work, attribute: attrs.Attribute[Any], value: object) -> None:
    if not callable(value):
        raise UsageError(f"work {work.name!r}: {attribute.name} is {value!r}", "give a function of a module")


def _by_reference(work: Work, attribute: attrs.Attribute[Any], value: object) -> None:
    try:
        pickle.dumps(value)
    except Exception as error:  # pickling runs the code of the caller's objects, which may raise anything
        raise UsageError(
            f"work {work.name!r}: {attribute.name} cannot be sent to another process: {error}",
            "give a function of a module, not one made inside another function",
        ) from error


@attrs.frozen(kw_only=True, eq=False)
class Work:
    """A kind of work: a function that makes the state of a worker, and a function that is called for each item.

    It contains only functions of modules and plain data, because it is sent to other processes, perhaps on other
    machines.

    Parameters
    ----------
    name : str
        Name for users, such as "separate".
    start : callable
        A module's function. Each process calls it once with ``arguments``; it returns the state, such as a loaded
        backend.
    arguments : tuple
        Arguments of ``start``; they can be pickled.
    run : callable
        A module's function of the state and an item; it returns the result, which can be pickled.
    cpus : float
        Number of cores that an item uses, > 0.
    gpus : float
        Number of GPUs that an item needs: a part of one GPU, or a whole number.

    Raises
    ------
    UsageError
        If a value is of another type or out of its range, or a function or the arguments cannot be sent to another
        process.

    Examples
    --------
    >>> import operator
    >>> import mashkit as mk
    >>> work = mk.Work(name="double", start=float, arguments=(2,), run=operator.mul)
    >>> state = work.start(*work.arguments)  # a worker does this once
    >>> [work.run(state, item) for item in (1, 2, 3)]
    [2.0, 4.0, 6.0]
    >>> try:
    ...     mk.Work(name="square", start=float, run=lambda state, item: item**2)
    ... except mk.UsageError as error:
    ...     print(error.fix)
    give a function of a module, not one made inside another function
    """

    name: str = attrs.field(validator=_text)
    start: Callable[..., Any] = attrs.field(validator=[_callable, _by_reference])
    arguments: tuple[Any, ...] = attrs.field(default=(), converter=as_tuple, validator=_by_reference)
    run: Callable[[Any, Any], Any] = attrs.field(validator=[_callable, _by_reference])
    cpus: float = attrs.field(default=1.0, converter=plain_number)
    gpus: float = attrs.field(default=0.0, converter=plain_number)

    @cpus.validator
    def _some(self, _: attrs.Attribute[float], value: object) -> None:
        if type(value) is not float or not 0 < value < math.inf:
            raise UsageError(f"work {self.name!r} needs {value!r} cores", "give a number above 0")

    @gpus.validator
    def _whole_or_part(self, _: attrs.Attribute[float], value: object) -> None:
        if type(value) is not float or not 0 <= value < math.inf or (value > 1 and not value.is_integer()):
            raise UsageError(f"work {self.name!r} needs {value!r} GPUs", "give a part of one GPU, or a whole number")


@attrs.frozen(eq=False)
class Job:
    """One item of a work.

    Parameters
    ----------
    work : Work
    item : object
        Any value that can be pickled.
    name : str
        Name for users, such as the song's path.

    Raises
    ------
    UsageError
        If ``work`` is not a Work, or ``name`` is not text.

    Examples
    --------
    >>> import operator
    >>> import mashkit as mk
    >>> work = mk.Work(name="double", start=float, arguments=(2,), run=operator.mul)
    >>> job = mk.Job(work, 21, "the answer")
    >>> job.name, job.work.run(2.0, job.item)
    ('the answer', 42.0)
    """

    work: Work = attrs.field()
    item: Any = attrs.field(repr=False)
    name: str = attrs.field(validator=_text)

    @work.validator
    def _is_work(self, _: attrs.Attribute[Work], value: object) -> None:
        require("Job.work", value, Work, "give Work(name=…, start=…, run=…)")


@attrs.frozen(kw_only=True, eq=False)
class Outcome:
    """The outcome of a job: its result or its error.

    Parameters
    ----------
    job : Job
        The same object that was given to the executor.
    result : object
        Return value of ``run``; None if there is an error.
    error : MashkitError, optional
        The reason why there is no result. If the exception is not one of mashkit's, its traceback is a note.
    attempts : int
        Number of attempts: 2 if a worker was lost in the first, 0 if the state could not be made.
    wall_s : float
        Length of the last attempt, seconds, without waiting and without making the state.
    cpu_s : float, optional
        CPU time of the last attempt, seconds, with the programs that it ran; None if the worker was lost, because the
        measurement was lost too.

    Examples
    --------
    >>> import operator
    >>> import mashkit as mk
    >>> work = mk.Work(name="pick", start=list, arguments=("abc",), run=operator.getitem)
    >>> executor = mk.Registry().create("executor", "local", {"jobs": 0})
    >>> good, bad = executor.run([mk.Job(work, 2, "third"), mk.Job(work, 9, "tenth")])
    >>> good.result, good.attempts
    ('c', 1)
    >>> print(bad.error.problem)
    tenth: work 'pick' failed: IndexError: list index out of range
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
    """The outcome of one attempt, which a worker sends to the executor."""

    result: Any
    error: MashkitError | None
    wall_s: float
    cpu_s: float

    def outcome(self, job: Job, attempts: int = 1) -> Outcome:
        """Return the outcome of the job for this attempt."""
        return Outcome(
            job=job, result=self.result, error=self.error, attempts=attempts, wall_s=self.wall_s, cpu_s=self.cpu_s
        )


class Works:
    """Gives numbers to works. Equal works have the same number, so that a worker makes their state only once."""

    def __init__(self) -> None:
        self._names: dict[bytes, int] = {}
        self._met: dict[int, tuple[Work, int]] = {}

    def number(self, work: Work) -> int:
        """Return the number of a work. The same object is pickled for comparison only once."""
        met = self._met.get(id(work))
        if met is not None:
            return met[1]
        known = len(self._names)
        number = self._names.setdefault(hashlib.sha256(pickle.dumps(work)).digest(), known)
        if number == known:  # a reference to the work is kept, so that no other object can get its id
            self._met[id(work)] = work, number
        return number


def begin(work: Work) -> Any:
    """Return the state of a work.

    Raises
    ------
    MashkitError
        The error of the work's ``start`` if it is one of mashkit's; ComponentFailed for any other exception.
    """
    what = f"work {work.name!r} could not begin"
    try:
        with plugin_code(what):
            return work.start(*work.arguments)
    except MashkitError as error:
        raise portable(error, what) from error


def attempt(work: Work, state: Any, item: Any, name: str) -> Done:
    """Do a job's work, and return its result or error. Only a KeyboardInterrupt of the user is raised."""
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
    """Return an error as one of mashkit's errors that can be sent between processes.

    mashkit's own errors keep problem and fix. They also keep their type if it can be unpickled; otherwise
    :func:`mashkit.errors.nearest` chooses the class. Any other exception becomes an error by
    :func:`mashkit.errors.contained`, with ``what`` as the problem.
    """
    if not isinstance(error, MashkitError):
        return contained(error, what)
    # The class may be defined by a plugin, whose code runs in unpickling and may raise anything.
    with contextlib.suppress(Exception):
        if type(pickle.loads(pickle.dumps(error))) is type(error):  # noqa: S301 — our own bytes
            return error
    return nearest(error)


def _cpu_seconds() -> float:
    # The operating system measures the CPU time of ended children in hundredths of a second.
    times = os.times()
    return time.process_time() + times.children_user + times.children_system


# ---------------------------------------------------------------------------------------------------- the interface
class Pool(ABC):
    """The workers of one :meth:`Executor.run`. A plugin with an executor implements this class.

    All methods are called from one thread. :meth:`Executor.run` describes how a pool must treat a job whose worker dies
    or hangs.

    Examples
    --------
    >>> import operator
    >>> import mashkit as mk
    >>> from mashkit.interfaces.executor import attempt, begin
    >>> class Here(mk.Pool):
    ...     # Does each job in this process.
    ...     capacity = 1
    ...     def submit(self, job):
    ...         self.job = job
    ...     def wait(self):
    ...         return attempt(self.job.work, begin(self.job.work), self.job.item, self.job.name).outcome(self.job)
    ...     def close(self):
    ...         pass
    >>> class HereExecutor(mk.Executor):
    ...     info = mk.ComponentInfo(name="here", target="h:Here", summary="s", code_license="MIT", provides={"threads"})
    ...     def _pool(self):
    ...         return Here()
    >>> work = mk.Work(name="double", start=float, arguments=(2,), run=operator.mul)
    >>> [outcome.result for outcome in HereExecutor().run(mk.Job(work, number, str(number)) for number in (1, 2, 3))]
    [2.0, 4.0, 6.0]
    """

    @property
    @abstractmethod
    def capacity(self) -> int:
        """Largest number of jobs under way at once, ≥ 1: the jobs in the workers, and a few that wait for a worker."""

    @abstractmethod
    def submit(self, job: Job) -> None:
        """Take a job and return without waiting for it; raises UsageError if no worker can ever do the job."""

    @abstractmethod
    def wait(self) -> Outcome:
        """Wait until any job ends, and return its outcome. Called only while jobs are under way."""

    @abstractmethod
    def close(self) -> None:
        """End all workers, even during their jobs, and return when they have ended."""


@attrs.define(kw_only=True, eq=False)
class Executor(Component):
    """Runs jobs in workers. ``info.provides`` names their kind: "threads", "processes" or "cluster".

    Examples
    --------
    >>> import operator
    >>> import mashkit as mk
    >>> executor = mk.Registry().create("executor", "local", {"jobs": 0})  # in this process; without jobs: one a core
    >>> work = mk.Work(name="double", start=float, arguments=(2,), run=operator.mul)
    >>> jobs = (mk.Job(work, number, f"number {number}") for number in (1, 2, "a"))
    >>> for outcome in executor.run(jobs):
    ...     print(outcome.job.name, outcome.result, outcome.error and outcome.error.problem)
    number 1 2.0 None
    number 2 4.0 None
    number a None number a: work 'double' failed: TypeError: can't multiply sequence by non-int of type 'float'
    """

    kind: ClassVar[str] = "executor"
    abilities: ClassVar[frozenset[str] | None] = PROVIDES

    def run(self, jobs: Iterable[Job | None]) -> Generator[Outcome, None, None]:
        """Yield one outcome for each job when the job ends, in any order.

        Jobs are taken from the iterable when workers are free, only a few ahead, so that a million jobs need little
        memory. If new jobs depend on outcomes, the iterable gives None while it has no job; it is called again after
        the next outcome. The jobs may belong to several works. Each job runs when its cores and GPUs are free.

        If the work raises one of mashkit's errors, this is the job's error. Any other exception becomes
        ComponentFailed. The job is not repeated in these cases, because the error would come again. A worker that dies
        (killed, out of memory, a crash in C) or exceeds its time is ended, and its job is repeated once in a new
        worker. If the new worker is lost too, the job's error is ComponentFailed. Jobs in other workers are not
        affected.

        If the state of a work cannot be made, each job of this work has the error that is the reason.

        The workers end with the iterator: when it is exhausted, closed or deleted, when the caller raises, and when the
        caller's process dies for any reason.

        Parameters
        ----------
        jobs : iterable of Job or None
            The jobs; the iterable runs in the thread that iterates over the outcomes.

        Yields
        ------
        Outcome

        Raises
        ------
        UsageError
            If ``jobs`` cannot be iterated, gives something other than a job, or gives None while no job is under way;
            if a job needs more cores or GPUs than any worker has.
        ComponentFailed
            If the executor itself fails.
        ContractViolation
            If an outcome belongs to no given job, or a job has two outcomes.
        """
        require("jobs", jobs, Iterable, "give several jobs, such as a list of them")
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
                        raise UsageError("the jobs wait for an outcome, but no job is running", "end the jobs")
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
                    f"executor {self.info.name!r} returned an outcome of {outcome.job.name!r}, which is not running"
                )
            under_way[key] -= 1
            if not under_way[key]:
                del under_way[key]
            yield outcome

    @abstractmethod
    def _pool(self) -> Pool:
        """Return a new pool for one run; it may start its workers later, when jobs come."""
