"""The local executor: worker processes on this machine, each with the state of one work.

It is our own, because other libraries do less. In concurrent.futures and loky, all workers end if one worker dies, and
a worker that hangs cannot be ended alone. pebble can do both, but its license is the LGPL, and the core's is not.
"""

from __future__ import annotations

import contextlib
import math
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from typing import Any, BinaryIO

import attrs

from mashkit.builtin import LOCAL_EXECUTOR
from mashkit.builtin.local_worker import Channel, Message
from mashkit.components import cost_only
from mashkit.errors import ComponentUnavailable, MashkitError, UsageError
from mashkit.interfaces.executor import Done, Executor, Job, Outcome, Pool, Work, Works, attempt, begin, portable
from mashkit.workers.pickling import unpack
from mashkit.workers.pool import START_TIMEOUT_S, Lost, Process, Team, Worker, WorkerPool
from mashkit.workers.processes import cores, end, how_it_ended, thread_variables

LOOK_S = 1.0
"""Seconds without a message after which the executor checks that a worker is alive. The connection alone does not show
it, because a program that the worker started may keep it open."""
ROUNDING = 1e-9
"""Tolerance for sums of parts of cores and GPUs, because floats are rounded."""
LAST_WORDS = 12
"""Number of lines of a worker's standard error in an error message."""
KEPT_BYTES = 1 << 20
"""Largest size of the file of a worker's standard error between jobs, bytes; a larger file is emptied."""


@attrs.define(kw_only=True, eq=False)
class LocalExecutor(Executor):
    """Worker processes on this machine.

    Parameters
    ----------
    jobs : int, optional
        Largest number of busy worker processes, for works that use one core each; a work that uses two cores counts
        double. By default the number of cores. 0: all items run in this process, one at a time. This saves the start of
        another process, but an item that crashes or hangs also crashes or hangs this process.
    timeout_s : float
        Longest time for an item, seconds; 0 for no limit. Building the state of its work may take this long, or five
        minutes if that is longer.
    threads : int, optional
        Threads of numerical libraries in a worker, for each core of its work. By default cores divided by jobs.
    gpus : int
        Number of GPUs that works may use. The default, 1, is also for machines without a GPU: works that use a GPU run
        one at a time, and their backend looks for the GPU itself. With more than one GPU, each worker sees only its own
        GPUs (CUDA_VISIBLE_DEVICES).
    """

    info = LOCAL_EXECUTOR

    jobs: int | None = attrs.field(
        default=None,
        validator=attrs.validators.optional([attrs.validators.instance_of(int), attrs.validators.ge(0)]),
        metadata=cost_only(0, 1),
    )
    timeout_s: float = attrs.field(
        default=1800.0, converter=float, validator=attrs.validators.ge(0), metadata=cost_only(0)
    )
    threads: int | None = attrs.field(
        default=None,
        validator=attrs.validators.optional([attrs.validators.instance_of(int), attrs.validators.ge(1)]),
        metadata=cost_only(2),
    )
    gpus: int = attrs.field(
        default=1,
        validator=[attrs.validators.instance_of(int), attrs.validators.ge(0)],
        metadata=cost_only(0),
    )

    def _pool(self) -> Pool:
        if self.jobs == 0:
            return _ThisProcess()
        if os.name != "posix":
            raise ComponentUnavailable(
                f"executor 'local' starts no processes on {os.name}", "set its option jobs=0, or use Linux or macOS"
            )
        jobs = self.jobs or cores()
        threads = self.threads or max(1, cores() // jobs)
        return _Processes(jobs, threads, _visible_devices(self.gpus), self.timeout_s or math.inf)


class _ThisProcess(Pool):
    """A pool without workers: the caller's own process does the job while the caller waits."""

    def __init__(self) -> None:
        self._job: Job | None = None
        self._works = Works()
        self._states: dict[int, Any] = {}
        self._failures: dict[int, MashkitError] = {}

    @property
    def capacity(self) -> int:
        return 1

    def submit(self, job: Job) -> None:
        self._job = job

    def wait(self) -> Outcome:
        job = self._job
        assert job is not None  # noqa: S101 — wait() is called after submit() only
        work = self._works.number(job.work)
        if work not in self._states and work not in self._failures:
            try:
                self._states[work] = begin(job.work)
            except MashkitError as error:
                self._failures[work] = error
        if work in self._failures:
            return Outcome(job=job, error=self._failures[work], attempts=0)
        return attempt(job.work, self._states[work], job.item, job.name).outcome(job)

    def close(self) -> None:
        self._states.clear()


# ----------------------------------------------------------------------------------------------------------- workers
def _unnamed_file() -> BinaryIO:
    # The operating system deletes the file, whichever process ends first.
    return tempfile.TemporaryFile(prefix="mashkit-", buffering=0)


def _start(theirs: socket.socket, stderr: BinaryIO, variables: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 — our own interpreter, and arguments of ours
        # -P keeps the current folder out of the module path; the worker gets the module path in its first message.
        [sys.executable, "-P", "-m", "mashkit.builtin.local_worker",
         "--socket", str(theirs.fileno()), "--parent", str(os.getpid())],
        stdin=subprocess.DEVNULL,
        stdout=stderr,
        stderr=stderr,
        pass_fds=[theirs.fileno()],
        env={**os.environ, **variables},
        start_new_session=True,
    )  # fmt: skip


class _Process(Process):
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
        self._allow(max(self.timeout_s, START_TIMEOUT_S))
        # The module path is sent first, because reading the next message imports modules.
        self._send(sys.path)
        self._send(work)
        problem: MashkitError | None = unpack(*self._receive())
        if problem is not None:
            raise problem

    def do(self, job: Job) -> Done:
        self._allow(self.timeout_s)
        try:
            self._send((job.item, job.name))
        except Lost:
            raise
        except Exception as error:  # noqa: BLE001 — pickling runs the item's own code
            problem: MashkitError = UsageError(f"{job.name}: its item cannot be sent to another process: {error}")
            return Done(None, problem, 0.0, 0.0)
        message = self._receive()
        if os.fstat(self._stderr.fileno()).st_size > KEPT_BYTES:
            # Worker and parent share the file's position, so that the worker then writes from the beginning too.
            self._stderr.seek(0)
            self._stderr.truncate()
        try:
            done: Done = unpack(*message)
        except Exception as error:  # noqa: BLE001 — unpickling runs the result's own code
            problem = portable(error, f"{job.name}: its result cannot be read")
            return Done(None, problem, 0.0, 0.0)
        return done

    def _allow(self, seconds: float) -> None:
        self._allowed_s = seconds
        self._deadline = time.monotonic() + seconds

    def _patience(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise Lost(f"was not done after {self._allowed_s:g} s", "allow more with the executor's option timeout_s")
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

    def _ended(self) -> Lost:
        # The connection of a dying process closes a moment before its exit status is available.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=LOOK_S)
        status = self._process.returncode
        how = "closed its connection" if status is None else how_it_ended(status)
        return Lost(how)

    def last_words(self) -> str:
        size = os.fstat(self._stderr.fileno()).st_size
        tail = os.pread(self._stderr.fileno(), 8192, max(0, size - 8192)).decode(errors="replace")
        lines = [line for line in tail.splitlines() if line.strip()][-LAST_WORDS:]
        return "; its last words:\n  " + "\n  ".join(lines) if lines else ""

    def kill(self) -> None:
        with self._lock:
            if not self._killed:  # the process id may belong to another process after the first kill
                end(self._process)
            self._killed = True

    def close(self) -> None:
        self.kill()
        self._channel.connection.close()
        self._stderr.close()


# -------------------------------------------------------------------------------------------------------------- pool
class _Processes(WorkerPool):
    """Worker processes of this machine. An idle worker keeps its state, but its cores are free for other workers.

    Parameters
    ----------
    cpus : int
        Number of cores that jobs may use.
    threads : int
        Threads of numerical libraries for each core.
    devices : sequence of str
        Names of the GPUs, as in CUDA_VISIBLE_DEVICES.
    timeout_s : float
    """

    def __init__(self, cpus: int, threads: int, devices: Sequence[str], timeout_s: float) -> None:
        super().__init__()
        self._cpus = cpus
        self._threads_per_core = threads
        self._devices = devices
        self._timeout_s = timeout_s
        self._smallest = 1.0

    @property
    def capacity(self) -> int:
        # Twice the number of running jobs, so that a free worker finds a job while the caller processes a result.
        return 2 * math.ceil(self._cpus / self._smallest) + 2

    def check(self, work: Work) -> None:
        if work.gpus > len(self._devices):
            raise UsageError(
                f"work {work.name!r} needs {work.gpus:g} GPUs, and the executor has {len(self._devices)}",
                "say how many there are with its option gpus",
            )
        self._smallest = min(self._smallest, work.cpus)

    def launch(self, worker: Worker) -> Process:
        variables = thread_variables(max(1, int(self._threads_per_core * worker.team.work.cpus)))
        if worker.devices and len(self._devices) > 1:
            variables["CUDA_VISIBLE_DEVICES"] = ",".join(self._devices[one] for one in worker.devices)
        return _Process(variables, self._timeout_s)

    def find(self, team: Team, awaited: set[str]) -> Worker | None:
        work = team.work
        busy = [worker for worker in self.workers if worker.busy]
        if sum(map(self._share, busy)) + min(work.cpus, self._cpus) > self._cpus + ROUNDING:
            awaited.add("cpus")  # every work needs cores
        if "cpus" in awaited or ("gpus" in awaited and work.gpus):
            return None
        taken = [0.0] * len(self._devices)
        for worker in busy:
            for device in worker.devices:
                taken[device] += min(worker.team.work.gpus, 1.0)
        free = {n for n, part in enumerate(taken) if part + min(work.gpus, 1.0) <= 1.0 + ROUNDING}
        for worker in self.workers:
            if worker.team is team and not worker.busy and free.issuperset(worker.devices):
                return worker
        count = math.ceil(work.gpus)
        if len(free) < count:
            awaited.add("gpus")
            return None
        # GPUs that are partly used come first, so that unused GPUs stay free for works that need a whole GPU.
        return self.add(team, tuple(sorted(free, key=lambda n: (-taken[n], n))[:count]))

    def _share(self, worker: Worker) -> float:
        """Return the number of cores that a worker uses; a work that needs more cores than there are gets all."""
        return min(worker.team.work.cpus, self._cpus)


def _visible_devices(gpus: int) -> list[str]:
    named = [one.strip() for one in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if one.strip()]
    if named and gpus > len(named):
        raise UsageError(f"{gpus} GPUs, and CUDA_VISIBLE_DEVICES names {len(named)}", "set the executor's option gpus")
    return named[:gpus] if named else [str(n) for n in range(gpus)]
