"""The local executor: worker processes on this machine, each with the state of one work.

It is our own, because other libraries do less. In concurrent.futures and loky, all workers end if one worker dies, and
a worker that hangs cannot be ended alone. pebble can do both, but its license is the LGPL, and the core's is not.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Sequence
from typing import Any

import attrs

from mashkit.builtin import LOCAL_EXECUTOR
from mashkit.components import cost_only, whole
from mashkit.errors import ComponentUnavailable, MashkitError, UsageError
from mashkit.interfaces.executor import Done, Executor, Job, Outcome, Pool, Work, Works, attempt, begin, portable
from mashkit.workers.interpreter import START_TIMEOUT_S, Interpreter
from mashkit.workers.jobs import packed
from mashkit.workers.pickling import pack, unpack
from mashkit.workers.pool import KILLED_FIX, Process, Team, Worker, WorkerPool
from mashkit.workers.processes import cores, thread_variables

ROUNDING = 1e-9
"""Tolerance for sums of parts of cores and GPUs, because floats are rounded."""


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
        default=None, validator=attrs.validators.optional(whole(0)), metadata=cost_only(0, 1)
    )
    timeout_s: float = attrs.field(
        default=1800.0, converter=float, validator=attrs.validators.ge(0), metadata=cost_only(0)
    )
    threads: int | None = attrs.field(
        default=None, validator=attrs.validators.optional(whole(1)), metadata=cost_only(2)
    )
    gpus: int = attrs.field(default=1, validator=whole(0), metadata=cost_only(0))

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
class _Process(Interpreter, Process):
    """One worker process, from start to end."""

    late_fix = "allow more with the executor's option timeout_s"
    killed_fix = KILLED_FIX

    def __init__(self, variables: dict[str, str], timeout_s: float) -> None:
        super().__init__("mashkit.builtin.local_worker", variables={**os.environ, **variables})
        self._timeout_s = timeout_s

    def begin(self, work: Work) -> None:
        self.allow(max(self._timeout_s, START_TIMEOUT_S))
        self.send(pack(sys.path))
        self.send(pack(work))
        problem: MashkitError | None = unpack(self.receive())
        if problem is not None:
            raise problem

    def do(self, job: Job) -> Done:
        self.allow(self._timeout_s)
        try:
            message = packed(job, pack)
        except UsageError as error:
            return Done(None, error, 0.0, 0.0)
        self.send(message)
        del message  # because the item may be large
        message = self.receive()
        try:
            done: Done = unpack(message)
        except Exception as error:  # noqa: BLE001 — unpickling runs the result's own code
            return Done(None, portable(error, f"{job.name}: its result cannot be read"), 0.0, 0.0)
        return done


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
                "set its option gpus to the number of GPUs",
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
