"""The executor: each actor holds the state of one work, on any machine of the cluster with free cores and GPUs."""

from __future__ import annotations

import contextlib
import math
import time
from typing import Any

import attrs
import ray
from ray import exceptions

from mashkit.components import cost_only, whole
from mashkit.errors import MashkitError, UsageError
from mashkit.interfaces.executor import Done, Executor, Job, Pool, Work, portable
from mashkit.workers.channel import Lost, TimedOut
from mashkit.workers.interpreter import START_TIMEOUT_S
from mashkit.workers.jobs import packed
from mashkit.workers.pool import KILLED_FIX, NoPlace, Process, Team, Worker, WorkerPool
from mashkit.workers.processes import thread_variables
from mashkit_ray import EXECUTOR
from mashkit_ray.actor import Actor, contents, parcel
from mashkit_ray.connection import connected

PLACE_S = 60.0
"""Seconds that an actor waits for a machine before its job may go to another worker; other users may fill a cluster."""
LOOK_S = 1.0
"""Seconds between two looks at the cluster's resources, because machines join and leave."""
IDLE_S = 10.0
"""Seconds without a job after which a worker ends if another work needs its place: by then it has held its place for
about as long as a new start of it will take."""
ROUNDING = 1e-6
"""Largest rounding error in a sum of parts of cores and GPUs; Ray counts in ten-thousandths."""

_LOST = (
    exceptions.RayActorError,
    exceptions.WorkerCrashedError,
    exceptions.NodeDiedError,
    exceptions.OutOfMemoryError,
    exceptions.ObjectLostError,
)
"""Ray's errors for a lost actor, a lost machine, or a lost result."""


@attrs.define(kw_only=True, eq=False)
class RayExecutor(Executor):
    """Workers on a Ray cluster.

    mashkit, the plugins in use and the modules of the works must be installed on the cluster's machines, and files must
    have the same paths there. If the program is already connected to Ray, that connection is kept and the options
    address, num_cpus and num_gpus have no effect.

    Parameters
    ----------
    address : str, optional
        Cluster to join: "auto" for the cluster of this machine, or "host:port". The executor does not end it. Default:
        each run starts a cluster on this machine, closed to other machines, and ends it.
    num_cpus, num_gpus : int, optional
        Cores and GPUs of a cluster that is started. Default: the number that Ray finds.
    timeout_s : float
        Seconds that an item may take; 0 sets no limit. Building the state of its work may take as long, or five
        minutes if that is longer.
    log_to_driver : bool
        Print here what workers print.
    """

    info = EXECUTOR

    address: str | None = attrs.field(
        default=None,
        validator=attrs.validators.optional(attrs.validators.instance_of(str)),
        metadata=cost_only(),
    )
    num_cpus: int | None = attrs.field(
        default=None, validator=attrs.validators.optional(whole(1)), metadata=cost_only(1)
    )
    num_gpus: int | None = attrs.field(
        default=None, validator=attrs.validators.optional(whole(0)), metadata=cost_only(0)
    )
    timeout_s: float = attrs.field(
        default=1800.0, converter=float, validator=attrs.validators.ge(0), metadata=cost_only(0)
    )
    log_to_driver: bool = attrs.field(
        default=False, validator=attrs.validators.instance_of(bool), metadata=cost_only(True)
    )

    def __attrs_post_init__(self) -> None:
        if self.address is not None and (self.num_cpus is not None or self.num_gpus is not None):
            raise ValueError("num_cpus and num_gpus are for a cluster that is started here: leave out them or address")

    def _pool(self) -> Pool:
        with contextlib.ExitStack() as connection:
            connection.enter_context(connected(self.address, self.num_cpus, self.num_gpus, log=self.log_to_driver))
            return _Actors(connection.pop_all(), self.timeout_s)


class _Process(Process):
    """One actor, from start to end."""

    def __init__(self, pool: _Actors, work: Work, cpus: float, timeout_s: float) -> None:
        self._pool = pool
        self._timeout_s = timeout_s
        # No retries by Ray, because it could not report which job failed; the pool tries again.
        options: dict[str, Any] = {"num_cpus": cpus, "max_restarts": 0, "max_task_retries": 0}
        if work.gpus:
            options["num_gpus"] = work.gpus
        self._actor: Any = ray.remote(Actor).options(**options).remote()

    def begin(self, work: Work) -> None:
        here = self._actor.here.remote()
        until = time.monotonic() + PLACE_S
        while not ray.wait([here], timeout=LOOK_S)[0]:
            if time.monotonic() > until or self._pool.is_crowded():
                raise NoPlace
        self._get(here, None)
        variables = thread_variables(max(1, int(work.cpus)))
        limit = max(self._timeout_s, START_TIMEOUT_S) if self._timeout_s else None
        problem: MashkitError | None = contents(self._get(self._actor.begin.remote(parcel(work), variables), limit))
        if problem is not None:
            raise problem

    def do(self, job: Job) -> Done:
        try:
            given = packed(job, parcel)
        except UsageError as error:
            return Done(None, error, 0.0, 0.0)
        try:
            done: Done = contents(self._get(self._actor.do.remote(given), self._timeout_s or None))
        except Lost:
            raise
        except Exception as error:  # noqa: BLE001 — Ray's own errors, such as a full store, or the result's code
            return Done(None, portable(error, f"{job.name}: its result did not arrive"), 0.0, 0.0)
        return done

    def _get(self, reference: Any, timeout_s: float | None) -> Any:
        try:
            return ray.get(reference, timeout=timeout_s)
        except exceptions.GetTimeoutError:
            raise TimedOut(timeout_s or math.inf, "allow more with the executor's option timeout_s") from None
        except _LOST as error:
            # The last line gives the reason, then guesses at causes; the lines before it name the actor.
            reason = str(error).strip().splitlines()[-1].partition(" Some common causes")[0]
            raise Lost(f"was lost: {reason}", KILLED_FIX) from None

    def kill(self) -> None:
        with contextlib.suppress(Exception):  # the actor or the cluster may have ended already
            ray.kill(self._actor)


class _Actors(WorkerPool):
    """Actors of a cluster. An idle actor keeps its cores and GPUs, as Ray requires, until another work needs them.

    Parameters
    ----------
    connection : ExitStack
        Connection to Ray, closed with the pool.
    timeout_s : float
        Seconds that an item may take; 0 sets no limit.
    """

    look_s = LOOK_S

    def __init__(self, connection: contextlib.ExitStack, timeout_s: float) -> None:
        super().__init__()
        self._connection = connection
        self._timeout_s = timeout_s
        self._machines: list[dict[str, float]] = []
        self._looked = -math.inf
        self._smallest = 1.0

    def close(self) -> None:
        """End all workers, then the connection."""
        with self._connection:
            super().close()

    @property
    def capacity(self) -> int:
        """Jobs to hold: twice as many as can run, so that a free worker has a job while the caller handles a result."""
        return 2 * math.ceil(max(1.0, self._total("CPU")) / self._smallest) + 2

    def check(self, work: Work) -> None:
        """Raise UsageError if a work needs more GPUs than any machine has."""
        most = max((machine.get("GPU", 0.0) for machine in self._cluster()), default=0.0)
        if work.gpus > most:
            raise UsageError(
                f"work {work.name!r} needs {work.gpus:g} GPUs, and no machine of the cluster has more than {most:g}",
                "join a cluster with larger machines, or run the work without GPUs",
            )
        self._smallest = min(self._smallest, work.cpus)

    def launch(self, worker: Worker) -> Process:
        """Start an actor; Ray chooses a machine with room."""
        work = worker.team.work
        return _Process(self, work, self._cpus(work), self._timeout_s)

    def find(self, team: Team, awaited: set[str]) -> Worker | None:
        """Return an idle worker of the team, or a new one; idle workers of other teams may have to end for it."""
        own = [worker for worker in self.workers if worker.team is team]
        for worker in own:
            if not worker.busy:
                return worker
        needs = {"cpus": self._cpus(team.work), **({"gpus": team.work.gpus} if team.work.gpus else {})}
        if awaited & set(needs):
            return None
        if not self._lacking(needs):
            return self.add(team)
        wanted = self.awaited_teams()
        for worker in [worker for worker in self.workers if not worker.busy]:
            patient = own or worker.team in wanted
            if not patient or (worker.team not in wanted and time.monotonic() - worker.idle_since > IDLE_S):
                worker.stop()
                self.workers.remove(worker)
                if not self._lacking(needs):
                    return self.add(team)
        awaited |= self._lacking(needs)
        return None

    def is_crowded(self) -> bool:
        """Return whether workers hold or wait for more than the cluster has, as after the loss of a machine."""
        with self.lock:
            return bool(self._lacking({"cpus": 0.0, "gpus": 0.0}))

    def _lacking(self, needs: dict[str, float]) -> set[str]:
        held = {
            "cpus": sum(self._cpus(worker.team.work) for worker in self.workers),
            "gpus": sum(worker.team.work.gpus for worker in self.workers),
        }
        total = {"cpus": self._total("CPU"), "gpus": self._total("GPU")}
        return {name for name, need in needs.items() if held[name] + need > total[name] + ROUNDING}

    def _cpus(self, work: Work) -> float:
        """Return the cores that an actor reserves: at most all cores of the largest machine."""
        return min(work.cpus, max((machine.get("CPU", 0.0) for machine in self._cluster()), default=work.cpus))

    def _total(self, resource: str) -> float:
        return sum(machine.get(resource, 0.0) for machine in self._cluster())

    def _cluster(self) -> list[dict[str, float]]:
        """Return the resources of the live machines, read again after LOOK_S seconds."""
        if time.monotonic() - self._looked > LOOK_S:
            nodes: Any = ray.nodes()  # type: ignore[no-untyped-call]
            self._machines = [node["Resources"] for node in nodes if node["Alive"]]
            self._looked = time.monotonic()
        return self._machines
