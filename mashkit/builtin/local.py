"""The local executor: worker processes on this machine, each with the state of one work.

Ours, because what exists does less: concurrent.futures and loky take all workers down with one, and none of them ends
one that hangs without ending the rest; pebble does both, and is LGPL, which the core is not.
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
from mashkit.processes import cores, end, how_it_ended, thread_variables
from mashkit.transfer import unpack
from mashkit.workerpool import START_TIMEOUT_S, Lost, Process, Team, Worker, WorkerPool

LOOK_S = 1.0
"""Seconds of silence after which is looked whether a worker still lives: a program it started may hold its end of the
connection open."""
ROUNDING = 1e-9
"""Parts of cores and GPUs add up to a whole within this."""
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
    """No workers: the caller waits while its own process does the job."""

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
        assert job is not None  # noqa: S101 — it was submitted
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
        # First where modules are found: the next message is only read when they are.
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
            # The place where the worker writes is the one where we read: both go back to the beginning.
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
        # Its end of the connection closes a moment before it can be waited for.
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
            if not self._killed:  # its number may be another's by now
                end(self._process)
            self._killed = True

    def close(self) -> None:
        self.kill()
        self._channel.connection.close()
        self._stderr.close()


# -------------------------------------------------------------------------------------------------------------- pool
class _Processes(WorkerPool):
    """Processes of this machine. An idle one keeps its state, and nothing else: its core is another's.

    Parameters
    ----------
    cpus : int
        Cores that jobs may keep busy.
    threads : int
        Threads of numerical libraries for each of them.
    devices : sequence of str
        The GPUs, as CUDA_VISIBLE_DEVICES names them.
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
        # As many again as are being worked on: whoever comes free goes on while the caller is busy with a result.
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
            awaited.add("cpus")  # everything needs some
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
        # First those in use already, if a part will do: whole ones stay whole.
        return self.add(team, tuple(sorted(free, key=lambda n: (-taken[n], n))[:count]))

    def _share(self, worker: Worker) -> float:
        """Return how much of the cores a worker keeps busy; what asks for more than there are gets all."""
        return min(worker.team.work.cpus, self._cpus)


def _visible_devices(gpus: int) -> list[str]:
    named = [one.strip() for one in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if one.strip()]
    if named and gpus > len(named):
        raise UsageError(f"{gpus} GPUs, and CUDA_VISIBLE_DEVICES names {len(named)}", "set the executor's option gpus")
    return named[:gpus] if named else [str(n) for n in range(gpus)]
