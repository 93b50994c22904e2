"""Workers that may be lost: what an executor of processes and one of a cluster have in common.

Each worker has a thread here that hands it jobs and waits for it. Whatever a worker does, ending it ends the wait; and
nobody waits for anything else.
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

START_TIMEOUT_S = 300.0
"""Seconds a worker may take to build its state, if a job may not take longer still."""
KILLED_FIX = "if it was killed, give it more memory, or the executor fewer jobs"
"""What to do about a worker that died."""


class Lost(Exception):
    """A worker is of no use any more: it died, or was not done in time.

    Parameters
    ----------
    reason : str
        What it did, as the end of a sentence that begins with the worker.
    fix : str
        What to do about it.
    """

    def __init__(self, reason: str, fix: str = KILLED_FIX) -> None:
        super().__init__(reason, fix)
        self.reason = reason
        self.fix = fix


class Process(ABC):
    """One process that works, from start to end; used by one thread, but for :meth:`kill`."""

    @abstractmethod
    def begin(self, work: Work) -> None:
        """Have it build the state of a work.

        Raises
        ------
        MashkitError
            If it cannot: whatever :func:`mashkit.interfaces.executor.begin` raised there.
        Lost
            If it dies, or takes too long.
        NoPlace
            If it has found no machine to run on for some time.
        """

    @abstractmethod
    def do(self, job: Job) -> Done:
        """Return how an attempt at a job ended; raises Lost if it dies or takes too long."""

    @abstractmethod
    def kill(self) -> None:
        """End it with all it started, whatever it is at; from any thread, and perhaps again."""

    def last_words(self) -> str:
        """Return the last it said before it was lost, as the end of a sentence."""
        return ""

    def close(self) -> None:
        """End it, and let go of what it held."""
        self.kill()


class NoPlace(Exception):
    """There is no room for a worker just now, and perhaps never: its job had better go to another."""


class _Stopped(Exception):
    """The worker is to end: nobody wants its answer."""


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
    """Workers to have at most: fewer once one could not begin where others may have."""
    failure: MashkitError | None = None
    """Why no worker can begin."""


class Worker:
    """A thread here, and the process it talks to, which is started when the first job comes."""

    def __init__(self, pool: WorkerPool, team: Team, devices: tuple[int, ...]) -> None:
        self.team = team
        self.devices = devices
        self.busy = False
        self.idle_since = time.monotonic()
        self.tickets: queue.SimpleQueue[_Ticket | None] = queue.SimpleQueue()
        self._pool = pool
        self._process: Process | None = None
        self._used = False
        self._lock = threading.Lock()  # of the process: stop() comes from another thread
        self._stopped = False
        # A daemon: an interpreter that exits need not wait for it, and the process dies with its thread.
        self.thread = threading.Thread(target=self._serve, name=f"worker of {team.work.name}", daemon=True)
        self.thread.start()

    def stop(self) -> None:
        """End the process, and soon the thread."""
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
                del ticket  # its item may be large, and the next be long in coming
        except _Stopped:
            pass
        except BaseException as error:  # noqa: BLE001 — a fault of ours must not leave the caller waiting
            self._pool.outcomes.put(error)
        finally:
            self._drop()

    def _serve_one(self, ticket: _Ticket) -> bool:
        """See to a job, and return whether there can be another."""
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
        """Have a process with the state of the work; return why there can be none."""
        if ticket.attempts and self._used:
            self._drop()  # what was lost once is tried on a fresh one
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
                return error  # it would come again
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
        """Do a job; None if its process was lost the first time."""
        job, process = ticket.job, self._process
        assert process is not None  # noqa: S101 — it was begun
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
    """Workers, the jobs that wait for them, and who gets which: what a subclass decides is where workers may be."""

    look_s: float | None = None
    """Seconds after which to look again for room while nothing ends; None where room is only made by what ends."""

    def __init__(self) -> None:
        self.outcomes: queue.SimpleQueue[Outcome | BaseException] = queue.SimpleQueue()
        self.workers: list[Worker] = []
        self.lock = threading.Lock()  # of the workers and everything below
        self._works = Works()
        self._teams: dict[int, Team] = {}
        self._pending: deque[_Ticket] = deque()
        self._threads: list[threading.Thread] = []  # also of workers that are no more
        self._closed = False

    # ---------------------------------------------------------------------------------------------- for a subclass
    @abstractmethod
    def launch(self, worker: Worker) -> Process:
        """Start a worker's process, without waiting for it; raises OSError if it cannot."""

    @abstractmethod
    def check(self, work: Work) -> None:
        """Raise UsageError if a work asks for what no worker can have."""

    @abstractmethod
    def find(self, team: Team, awaited: set[str]) -> Worker | None:
        """Return a worker that can take one more job now, an idle one or one just added; the lock is held.

        Asked for one waiting job after the other, first come first. Where there is no room, it adds what is missing
        ("cpus", "gpus") to ``awaited``, and nobody who comes later gets that: or what needs many cores would never
        have them.
        """

    def add(self, team: Team, devices: tuple[int, ...] = ()) -> Worker | None:
        """Return a new worker, or None if its work is to have no more; the lock is held."""
        if sum(worker.team is team for worker in self.workers) >= team.most:
            return None
        worker = Worker(self, team, devices)
        self.workers.append(worker)
        self._threads = [worker.thread, *(thread for thread in self._threads if thread.is_alive())]
        return worker

    def awaited_teams(self) -> set[Team]:
        """Return the teams that jobs wait for; the lock is held."""
        return {ticket.team for ticket in self._pending}

    # -------------------------------------------------------------------------------------------------------- pool
    def submit(self, job: Job) -> None:
        """Take a job; raises UsageError if no worker can ever do it."""
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
        """Wait for a job to end, and return what became of it."""
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
        """End all workers, whatever they are at."""
        with self.lock:
            self._closed = True
            workers, threads = list(self.workers), list(self._threads)
        for worker in workers:
            worker.stop()
        for thread in threads:
            thread.join()

    # ------------------------------------------------------------------------------------- from the workers' threads
    def finished(self, worker: Worker, outcome: Outcome) -> None:
        """Give what became of a worker's job to the caller, and the worker another."""
        with self.lock:
            worker.busy = False
            worker.idle_since = time.monotonic()
            self._dispatch()
        self.outcomes.put(outcome)

    def returned(self, worker: Worker, ticket: _Ticket) -> None:
        """Do without a worker; its job is the next in turn."""
        with self.lock:
            self.workers.remove(worker)
            self._pending.appendleft(ticket)
            self._dispatch()

    def could_not_begin(self, worker: Worker, ticket: _Ticket, failure: MashkitError) -> None:
        """Do without a worker; without any, none of the work's jobs can be done."""
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
        """Give out what can be done now."""
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
