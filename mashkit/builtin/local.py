"""The local executor: worker processes on this machine, each with the state of one work.

Ours, because what exists does less: concurrent.futures and loky take all workers down with one, and none of them ends
one that hangs without ending the rest; pebble does both, and is LGPL, which the core is not.

Each worker has a thread here that hands it jobs and waits for it. Whatever a worker does, ending its process ends the
wait; and nobody waits for anything else.
"""

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
from collections import deque
from typing import Any, BinaryIO

import attrs

from mashkit.builtin import LOCAL_EXECUTOR
from mashkit.builtin.local_worker import Channel, Message, decode
from mashkit.errors import ComponentFailed, ComponentUnavailable, MashkitError, UsageError
from mashkit.interfaces.executor import Done, Executor, Job, Outcome, Pool, Work, attempt, begin, contained, key_of
from mashkit.processes import cores, end, how_it_ended, thread_variables

LOOK_S = 1.0
"""Seconds of silence after which is looked whether a worker still lives: a program it started may hold its end of the
connection open."""
START_TIMEOUT_S = 300.0
"""Seconds a worker may take to start and to build its state, if an item may not take longer still."""
LAST_WORDS = 12
"""Lines of a worker's standard error that an error tells."""
KEPT_BYTES = 1 << 20
"""What is kept of a worker's standard error between jobs; beyond it is begun anew."""


@attrs.define(kw_only=True, eq=False)
class LocalExecutor(Executor):
    """Worker processes on this machine.

    Parameters
    ----------
    jobs : int, optional
        Worker processes at a time, for works that keep one core busy each; a work that asks for two counts double.
        Default: one a core. 0: everything in this process, one item at a time, which saves starting another, and
        contains nothing: what dies or hangs takes this process along.
    timeout_s : float
        Seconds an item may take; 0 for any time. Building the state of its work may take as long, or five minutes.
    threads : int, optional
        Threads of numerical libraries in a worker, for each core its work asks for. Default: cores divided by jobs.
    gpus : int
        GPUs that works may use. The default is the machine's one, whether it has one or not: works that ask for a GPU
        run one at a time, and their backend looks for itself. With more, each worker sees only its own
        (CUDA_VISIBLE_DEVICES).
    """

    info = LOCAL_EXECUTOR

    jobs: int | None = attrs.field(
        default=None,
        validator=attrs.validators.optional([attrs.validators.instance_of(int), attrs.validators.ge(0)]),
    )
    timeout_s: float = attrs.field(default=1800.0, converter=float, validator=attrs.validators.ge(0))
    threads: int | None = attrs.field(
        default=None,
        validator=attrs.validators.optional([attrs.validators.instance_of(int), attrs.validators.ge(1)]),
    )
    gpus: int = attrs.field(default=1, validator=[attrs.validators.instance_of(int), attrs.validators.ge(0)])

    def _pool(self) -> Pool:
        if self.jobs == 0:
            return _ThisProcess()
        if os.name != "posix":
            raise ComponentUnavailable(
                f"executor 'local' starts no processes on {os.name}", "set its option jobs=0, or use Linux or macOS"
            )
        jobs = self.jobs or cores()
        threads = self.threads or max(1, cores() // jobs)
        return _Processes(jobs, threads, self.gpus, self.timeout_s or math.inf)


class _ThisProcess(Pool):
    """No workers: the caller waits while its own process does the job."""

    def __init__(self) -> None:
        self._job: Job | None = None
        self._states: dict[bytes, Any] = {}
        self._failures: dict[bytes, MashkitError] = {}

    @property
    def capacity(self) -> int:
        return 1

    def submit(self, job: Job) -> None:
        self._job = job

    def wait(self) -> Outcome:
        job = self._job
        assert job is not None  # noqa: S101 — it was submitted
        key = key_of(job.work)
        if key not in self._states and key not in self._failures:
            try:
                self._states[key] = begin(job.work)
            except MashkitError as error:
                self._failures[key] = error
        if key in self._failures:
            return Outcome(job=job, error=self._failures[key], attempts=0)
        return attempt(job.work, self._states[key], job.item, job.name).outcome(job)

    def close(self) -> None:
        self._states.clear()


# ----------------------------------------------------------------------------------------------------------- workers
class _Lost(Exception):
    """The worker's process is of no use any more; says what it did, and what to do about it."""

    def __init__(self, reason: str, fix: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.fix = fix


class _Stopped(Exception):
    """The pool is closing: nobody wants the answer."""


def _unnamed_file() -> BinaryIO:
    # Whoever dies, the system takes it back.
    return tempfile.TemporaryFile(prefix="mashkit-", buffering=0)


def _start(theirs: socket.socket, stderr: BinaryIO, variables: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 — our own interpreter, and arguments of ours
        # The current folder is nobody's library; the worker is told where modules are found.
        [sys.executable, "-P", "-m", "mashkit.builtin.local_worker",
         "--socket", str(theirs.fileno()), "--parent", str(os.getpid())],
        stdin=subprocess.DEVNULL,
        stdout=stderr,
        stderr=stderr,
        pass_fds=[theirs.fileno()],
        env={**os.environ, **variables},
        start_new_session=True,
    )  # fmt: skip


class _Process:
    """One worker process, from start to end."""

    def __init__(self, variables: dict[str, str], timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self._allowed_s = self._deadline = math.inf
        self._lock = threading.Lock()
        self._killed = False
        self._stderr = _unnamed_file()
        try:
            ours, theirs = socket.socketpair()
            self._channel = Channel(ours, self._patience)
            with theirs:
                self._process = _start(theirs, self._stderr, variables)
        except OSError:
            self._stderr.close()
            raise

    def begin(self, work: Work) -> None:
        """Have it build the state of a work; raises MashkitError if it cannot."""
        self._allow(max(self.timeout_s, START_TIMEOUT_S))
        # First where modules are found: the next message is only read when they are.
        self._send(sys.path)
        self._send(work)
        problem: MashkitError | None = decode(self._receive())
        if problem is not None:
            raise problem

    def do(self, job: Job) -> Done:
        """Return how an attempt at a job ended."""
        self._allow(self.timeout_s)
        try:
            self._send((job.item, job.name))
        except _Lost:
            raise
        except Exception as error:  # noqa: BLE001 — pickling runs the item's own code
            problem: MashkitError = UsageError(f"{job.name}: its item cannot be sent to another process: {error}")
            return Done(None, problem, 0.0, 0.0)
        message = self._receive()
        if os.fstat(self._stderr.fileno()).st_size > KEPT_BYTES:
            # The place where the worker writes is the one where we read: both go back to the beginning.
            self._stderr.seek(0)
            self._stderr.truncate()
        try:
            done: Done = decode(message)
        except Exception as error:  # noqa: BLE001 — unpickling runs the result's own code
            problem = contained(error, f"{job.name}: its result cannot be read")
            return Done(None, problem, 0.0, 0.0)
        return done

    def _allow(self, seconds: float) -> None:
        self._allowed_s = seconds
        self._deadline = time.monotonic() + seconds

    def _patience(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise _Lost(f"was not done after {self._allowed_s:g} s", "allow more with the executor's option timeout_s")
        if self._process.poll() is not None:
            raise self._ended()
        return min(left, LOOK_S)

    def _send(self, value: object) -> None:
        try:
            self._channel.send(value)
        except OSError:
            raise self._ended() from None

    def _receive(self) -> Message:
        try:
            return self._channel.receive()
        except (OSError, EOFError):
            raise self._ended() from None

    def _ended(self) -> _Lost:
        # Its end of the connection closes a moment before it can be waited for.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=LOOK_S)
        status = self._process.returncode
        how = "closed its connection" if status is None else how_it_ended(status)
        return _Lost(how, "if it was killed, give it more memory, or the executor fewer jobs")

    def last_words(self) -> str:
        """Return the last it wrote on standard error, as the end of a sentence."""
        size = os.fstat(self._stderr.fileno()).st_size
        tail = os.pread(self._stderr.fileno(), 8192, max(0, size - 8192)).decode(errors="replace")
        lines = [line for line in tail.splitlines() if line.strip()][-LAST_WORDS:]
        return "; its last words:\n  " + "\n  ".join(lines) if lines else ""

    def kill(self) -> None:
        """End it, with all it started; may be called from any thread, and again."""
        with self._lock:
            if not self._killed:  # its number may be another's by now
                end(self._process)
            self._killed = True

    def close(self) -> None:
        """End it, and let go of what it held; only the thread that talks to it may."""
        self.kill()
        self._channel.connection.close()
        self._stderr.close()


@attrs.define(eq=False)
class _Ticket:
    """A job on its way to a worker."""

    job: Job
    team: _Team
    attempts: int = 0


@attrs.define(eq=False)
class _Team:
    """The workers of one work."""

    work: Work
    cpus: float
    workers: list[_Worker] = attrs.field(factory=list)
    most: float = math.inf
    """Workers to have at most: fewer once one could not begin where others may have."""
    failure: MashkitError | None = None
    """Why no worker can begin."""


class _Worker:
    """A thread here, and the process it talks to: started when the first job comes, and again when it was lost."""

    def __init__(self, pool: _Processes, team: _Team, devices: tuple[int, ...]) -> None:
        self.team = team
        self.devices = devices
        self.busy = False
        self.tickets: queue.SimpleQueue[_Ticket | None] = queue.SimpleQueue()
        self._pool = pool
        self._process: _Process | None = None
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
                outcome = None
                while outcome is None:
                    failure = self._begin()
                    if failure is not None:
                        self._pool.could_not_begin(self, ticket, failure)
                        return
                    outcome = self._attempt(ticket)
                self._pool.finished(self, outcome)
                del ticket, outcome  # what they hold may be large, and the next be long in coming
        except _Stopped:
            pass
        except BaseException as error:  # noqa: BLE001 — a fault of ours must not leave the caller waiting
            self._pool.outcomes.put(error)
        finally:
            self._drop()

    def _begin(self) -> MashkitError | None:
        """Have a process with the state of the work; return why there can be none."""
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
            except _Lost as lost:
                last_words = process.last_words()
                self._drop()
                if last:
                    problem = f"work {work.name!r} could not begin: its process {lost.reason}, twice{last_words}"
                    return ComponentFailed(problem, lost.fix)
        return None

    def _launch(self) -> _Process:
        with self._lock:
            if self._stopped:
                raise _Stopped
            self._process = _Process(self._pool.variables(self), self._pool.timeout_s)
            return self._process

    def _attempt(self, ticket: _Ticket) -> Outcome | None:
        """Do a job; None if its process was lost the first time."""
        job, process = ticket.job, self._process
        assert process is not None  # noqa: S101 — it was begun
        ticket.attempts += 1
        began = time.monotonic()
        try:
            return process.do(job).outcome(job, ticket.attempts)
        except _Lost as lost:
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


# -------------------------------------------------------------------------------------------------------------- pool
class _Processes(Pool):
    """Workers, and the cores and GPUs they share.

    Parameters
    ----------
    cpus : int
        Cores that jobs may keep busy.
    threads : int
        Threads of numerical libraries for each of them.
    gpus : int
    timeout_s : float
    """

    def __init__(self, cpus: int, threads: int, gpus: int, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self.outcomes: queue.SimpleQueue[Outcome | BaseException] = queue.SimpleQueue()
        self._cpus = cpus
        self._threads = threads
        self._devices = _visible_devices(gpus)
        self._lock = threading.Lock()  # of everything below
        self._free_cpus = float(cpus)
        self._free_gpus = [1.0] * gpus
        self._teams: dict[bytes, _Team] = {}
        self._pending: deque[_Ticket] = deque()
        self._closed = False

    @property
    def capacity(self) -> int:
        # As many again as are being worked on: whoever comes free goes on while the caller is busy with a result.
        share = min((team.cpus for team in self._teams.values()), default=1.0)
        return 2 * math.ceil(self._cpus / min(share, 1.0)) + 2

    def variables(self, worker: _Worker) -> dict[str, str]:
        """Return what a worker's process has in its environment beside ours."""
        variables = thread_variables(max(1, int(self._threads * worker.team.work.cpus)))
        if worker.devices and len(self._devices) > 1:
            variables["CUDA_VISIBLE_DEVICES"] = ",".join(self._devices[one] for one in worker.devices)
        return variables

    def submit(self, job: Job) -> None:
        work = job.work
        if "__main__" in (work.start.__module__, work.run.__module__):
            raise UsageError(
                f"work {work.name!r} has functions of the program itself, which workers do not run",
                "put them into a module that can be imported",
            )
        if work.gpus > len(self._devices):
            raise UsageError(
                f"work {work.name!r} needs {work.gpus:g} GPUs, and the executor has {len(self._devices)}",
                "say how many there are with its option gpus",
            )
        key = key_of(work)
        with self._lock:
            if key not in self._teams:
                self._teams[key] = _Team(work, min(work.cpus, self._cpus))
            self._pending.append(_Ticket(job, self._teams[key]))
            self._dispatch()

    def wait(self) -> Outcome:
        outcome = self.outcomes.get()
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def close(self) -> None:
        with self._lock:
            self._closed = True
            workers = [worker for team in self._teams.values() for worker in team.workers]
        for worker in workers:
            worker.stop()
        for worker in workers:
            worker.thread.join()

    # ------------------------------------------------------------------------------------- from the workers' threads
    def finished(self, worker: _Worker, outcome: Outcome) -> None:
        """Give what became of a worker's job to the caller, and the worker another."""
        with self._lock:
            self._release(worker)
            self._dispatch()
        self.outcomes.put(outcome)

    def could_not_begin(self, worker: _Worker, ticket: _Ticket, failure: MashkitError) -> None:
        """Do without a worker; without any, none of the work's jobs can be done."""
        team = worker.team
        with self._lock:
            self._release(worker)
            team.workers.remove(worker)
            if team.workers:
                team.most = len(team.workers)
            else:
                team.failure = failure
            self._pending.appendleft(ticket)
            self._dispatch()

    def _release(self, worker: _Worker) -> None:
        worker.busy = False
        self._free_cpus += worker.team.cpus
        for device in worker.devices:
            self._free_gpus[device] += _share(worker.team.work)

    def _dispatch(self) -> None:
        """Give out what can be done now, first come, first served.

        What waits for cores holds up everything behind it, or a work that needs many would never get them; what waits
        for a GPU, or for a worker of its own, holds up its like only.
        """
        if self._closed:
            return
        gpus_awaited = False
        waiting: deque[_Ticket] = deque()
        cores_awaited = False
        for ticket in self._pending:
            team = ticket.team
            if team.failure is not None:
                self.outcomes.put(Outcome(job=ticket.job, error=team.failure, attempts=ticket.attempts))
                continue
            cores_awaited = cores_awaited or team.cpus > self._free_cpus + 1e-9
            worker = None
            if not cores_awaited and not (gpus_awaited and team.work.gpus):
                worker = self._worker(team)
                gpus_awaited = gpus_awaited or (worker is None and team.work.gpus > 0)
            if worker is None:
                waiting.append(ticket)
                continue
            worker.busy = True
            self._free_cpus -= team.cpus
            for device in worker.devices:
                self._free_gpus[device] -= _share(team.work)
            worker.tickets.put(ticket)
        self._pending = waiting

    def _worker(self, team: _Team) -> _Worker | None:
        """Return a worker that can begin now, a new one if need be."""
        free = {n for n, left in enumerate(self._free_gpus) if left + 1e-9 >= _share(team.work)}
        for worker in team.workers:
            if not worker.busy and free.issuperset(worker.devices):
                return worker
        count = math.ceil(team.work.gpus)
        if len(team.workers) >= team.most or len(free) < count:
            return None
        # Those that are used already, if a part will do: whole ones stay whole.
        devices = tuple(sorted(free, key=lambda n: (self._free_gpus[n], n))[:count])
        worker = _Worker(self, team, devices)
        team.workers.append(worker)
        return worker


def _share(work: Work) -> float:
    """Return how much of each of its GPUs a work needs."""
    return min(work.gpus, 1.0)


def _visible_devices(gpus: int) -> list[str]:
    named = [one.strip() for one in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if one.strip()]
    if named and gpus > len(named):
        raise UsageError(f"{gpus} GPUs, and CUDA_VISIBLE_DEVICES names {len(named)}", "set the executor's option gpus")
    return named[:gpus] if named else [str(n) for n in range(gpus)]
