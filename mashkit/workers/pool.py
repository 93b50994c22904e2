"""Manage workers whose processes may be lost: the common part of the executors of processes and of a cluster.

Each worker has a thread here that sends it jobs and waits for it. Ending the worker's process always ends the thread's
wait, because the thread waits only for the process.
"""

from __future__ import annotations

import math
import queue
import threading
import time
from abc import ABC, abstractmethod
from collections import deque

import attrs

from mashkit.errors import ComponentFailed, MashkitError, UsageError
from mashkit.interfaces.executor import Done, Job, Outcome, Pool, Work, Works
from mashkit.workers.channel import Lost

KILLED_FIX = "if it was killed, give it more memory, or the executor fewer jobs"
"""The fix for a worker that died."""


class Process(ABC):
    """One worker process, from start to end; one thread uses it, but any thread may call :meth:`kill`."""

    @abstractmethod
    def begin(self, work: Work) -> None:
        """Make the process build the state of a work.

        Raises
        ------
        MashkitError
            The error of :func:`mashkit.interfaces.executor.begin` in the process.
        Lost
            If the process dies or takes too long.
        NoPlace
            If no machine was found for the process for some time.
        """

    @abstractmethod
    def do(self, job: Job) -> Done:
        """Return the result of an attempt at a job; raises Lost if the process dies or takes too long."""

    @abstractmethod
    def kill(self) -> None:
        """End the process and all processes that it started, at any time; any thread may call this, also twice."""

    def last_words(self) -> str:
        """Return the process's last output before it was lost, as the end of a sentence."""
        return ""

    def close(self) -> None:
        """End the process, and free its resources."""
        self.kill()


class NoPlace(Exception):
    """There is no room for a worker now, and perhaps never, so its job is given to another worker."""


class _Stopped(Exception):
    """The worker must end, because its result is not needed any more."""


@attrs.define(eq=False)
class _Ticket:
    """A job on its way to a worker."""

    job: Job
    team: Team
    attempts: int = 0


@attrs.define(eq=False)
class Team:
    """The workers of one work."""

    work: Work
    most: float = math.inf
    """Largest number of workers; it is lowered if a worker could not begin while others exist."""
    failure: MashkitError | None = None
    """The reason why no worker can begin, if so."""


class Worker:
    """A thread of this process, and its worker process, which is started for the first job."""

    def __init__(self, pool: WorkerPool, team: Team, devices: tuple[int, ...]) -> None:
        self.team = team
        self.devices = devices
        self.busy = False
        self.idle_since = time.monotonic()
        self.tickets: queue.SimpleQueue[_Ticket | None] = queue.SimpleQueue()
        self._pool = pool
        self._process: Process | None = None
        self._used = False
        self._lock = threading.Lock()  # protects the process, because another thread may call stop()
        self._stopped = False
        # A daemon thread, so that an exiting interpreter does not wait for it; the process dies with its thread.
        self.thread = threading.Thread(target=self._serve, name=f"worker of {team.work.name}", daemon=True)
        self.thread.start()

    def stop(self) -> None:
        """End the process; the thread ends soon after."""
        with self._lock:
            self._stopped = True
            self.tickets.put(None)
            if self._process is not None:
                self._process.kill()

    def _serve(self) -> None:
        try:
            while (ticket := self.tickets.get()) is not None:
                if not self._serve_one(ticket):
                    break
                del ticket  # because its item may be large, and the next ticket may come much later
        except _Stopped:
            pass
        except BaseException as error:  # noqa: BLE001 — the caller must get the error, or it would wait for ever
            self._pool.outcomes.put(error)
        finally:
            self._drop()

    def _serve_one(self, ticket: _Ticket) -> bool:
        """Do a job, and return whether the worker can do another."""
        try:
            failure = self._begin(ticket)
        except NoPlace:
            self._drop()
            self._pool.returned(self, ticket)
            return False
        if failure is not None:
            self._pool.could_not_begin(self, ticket, failure)
            return False
        outcome = self._attempt(ticket)
        if outcome is None:
            self._pool.returned(self, ticket)
            return False
        self._pool.finished(self, outcome)
        return True

    def _begin(self, ticket: _Ticket) -> MashkitError | None:
        """Start a process with the state of the work, unless there is one; return the reason if that fails."""
        if ticket.attempts and self._used:
            self._drop()  # a job whose process was lost is tried again on a new process
        work = self.team.work
        for last in (False, True):
            if self._process is not None:
                break
            try:
                process = self._launch()
            except OSError as error:
                return ComponentFailed(f"work {work.name!r} could not begin: no process can be started: {error}")
            try:
                process.begin(work)
            except MashkitError as error:
                self._drop()
                return error  # a second try would raise the same error
            except Lost as lost:
                last_words = process.last_words()
                self._drop()
                if last:
                    problem = f"work {work.name!r} could not begin: its process {lost.reason}, twice{last_words}"
                    return ComponentFailed(problem, lost.fix)
        return None

    def _launch(self) -> Process:
        with self._lock:
            if self._stopped:
                raise _Stopped
            self._process = self._pool.launch(self)
            self._used = False
            return self._process

    def _attempt(self, ticket: _Ticket) -> Outcome | None:
        """Do a job; return None if its process was lost for the first time."""
        job, process = ticket.job, self._process
        assert process is not None  # noqa: S101 — _begin() has started it
        self._used = True
        ticket.attempts += 1
        began = time.monotonic()
        try:
            return process.do(job).outcome(job, ticket.attempts)
        except Lost as lost:
            seconds, last_words = time.monotonic() - began, process.last_words()
            self._drop()
            if ticket.attempts == 1:
                return None
            error = ComponentFailed(f"{job.name}: the process at work on it {lost.reason}, twice{last_words}", lost.fix)
            return Outcome(job=job, error=error, attempts=ticket.attempts, wall_s=seconds)

    def _drop(self) -> None:
        with self._lock:
            process, self._process = self._process, None
        if process is not None:
            process.close()


class WorkerPool(Pool):
    """Workers, waiting jobs, and their assignment; a subclass decides where workers can run."""

    look_s: float | None = None
    """Seconds after which the pool looks for room again if no job ends; None if only ended jobs make room."""

    def __init__(self) -> None:
        self.outcomes: queue.SimpleQueue[Outcome | BaseException] = queue.SimpleQueue()
        self.workers: list[Worker] = []
        self.lock = threading.Lock()  # protects the workers and all attributes below
        self._works = Works()
        self._teams: dict[int, Team] = {}
        self._pending: deque[_Ticket] = deque()
        self._threads: list[threading.Thread] = []  # also threads of removed workers
        self._closed = False

    # ---------------------------------------------------------------------------------------------- for a subclass
    @abstractmethod
    def launch(self, worker: Worker) -> Process:
        """Start a worker's process without waiting for it; raises OSError if it cannot be started."""

    @abstractmethod
    def check(self, work: Work) -> None:
        """Raise UsageError if a work needs more than any worker can have."""

    @abstractmethod
    def find(self, team: Team, awaited: set[str]) -> Worker | None:
        """Return a worker that can take one more job now, an idle one or a new one; the caller holds the lock.

        It is called for each waiting job, the oldest first. If there is no room, it adds the missing resource ("cpus",
        "gpus") to ``awaited``, and later jobs do not get this resource, because otherwise a work that needs many cores
        would never get them.
        """

    def add(self, team: Team, devices: tuple[int, ...] = ()) -> Worker | None:
        """Return a new worker, or None if its work has its largest number; the caller holds the lock."""
        if sum(worker.team is team for worker in self.workers) >= team.most:
            return None
        worker = Worker(self, team, devices)
        self.workers.append(worker)
        self._threads = [worker.thread, *(thread for thread in self._threads if thread.is_alive())]
        return worker

    def awaited_teams(self) -> set[Team]:
        """Return the teams of the waiting jobs; the caller holds the lock."""
        return {ticket.team for ticket in self._pending}

    # -------------------------------------------------------------------------------------------------------- pool
    def submit(self, job: Job) -> None:
        """Accept a job; raises UsageError if no worker can ever do it."""
        work = job.work
        if "__main__" in (work.start.__module__, work.run.__module__):
            raise UsageError(
                f"work {work.name!r} has functions of the program itself, which workers do not run",
                "put them into a module that can be imported",
            )
        self.check(work)
        number = self._works.number(work)
        with self.lock:
            team = self._teams.setdefault(number, Team(work))
            self._pending.append(_Ticket(job, team))
            self._dispatch()

    def wait(self) -> Outcome:
        """Wait until a job ends, and return its outcome."""
        while True:
            try:
                outcome = self.outcomes.get(timeout=self.look_s)
            except queue.Empty:
                with self.lock:
                    self._dispatch()
                continue
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome

    def close(self) -> None:
        """End all workers, also if they are working."""
        with self.lock:
            self._closed = True
            workers, threads = list(self.workers), list(self._threads)
        for worker in workers:
            worker.stop()
        for thread in threads:
            thread.join()

    # ------------------------------------------------------------------------------------- from the workers' threads
    def finished(self, worker: Worker, outcome: Outcome) -> None:
        """Give the outcome of a worker's job to the caller, and give out the next jobs."""
        with self.lock:
            worker.busy = False
            worker.idle_since = time.monotonic()
            self._dispatch()
        self.outcomes.put(outcome)

    def returned(self, worker: Worker, ticket: _Ticket) -> None:
        """Remove a worker, and put its job first in the queue."""
        with self.lock:
            self.workers.remove(worker)
            self._pending.appendleft(ticket)
            self._dispatch()

    def could_not_begin(self, worker: Worker, ticket: _Ticket, failure: MashkitError) -> None:
        """Remove a worker that could not begin; if its work has no other worker, the work's jobs fail."""
        team = worker.team
        with self.lock:
            self.workers.remove(worker)
            left = sum(one.team is team for one in self.workers)
            if left:
                team.most = left
            else:
                team.failure = failure
            self._pending.appendleft(ticket)
            self._dispatch()

    def _dispatch(self) -> None:
        """Give waiting jobs to workers that can take them now."""
        if self._closed:
            return
        awaited: set[str] = set()
        waiting: deque[_Ticket] = deque()
        for ticket in self._pending:
            team = ticket.team
            if team.failure is not None:
                self.outcomes.put(Outcome(job=ticket.job, error=team.failure, attempts=ticket.attempts))
                continue
            worker = self.find(team, awaited)
            if worker is None:
                waiting.append(ticket)
                continue
            worker.busy = True
            worker.tickets.put(ticket)
        self._pending = waiting
