"""Score the candidates of an audition in the background, with any installed scorer."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any

import attrs

from mashkit.audition.store import Store
from mashkit.catalog import Catalog
from mashkit.errors import MashkitError, Unforeseen, contained
from mashkit.interfaces.scorer import RelativeScorer
from mashkit.listen.answers import Refused
from mashkit.pipeline import Kit
from mashkit.types import MashupPlan, Score

AT_ONCE = 8
"""Plans that are scored between two reports of progress (ours): enough for a network's batch."""


@attrs.define
class Job:
    """Scoring all candidates with one scorer.

    Attributes
    ----------
    scorer : str
    state : str
        "waiting", "running", "done" or "failed".
    done, total : int
        Candidates.
    problem : str
        Why the job failed.
    problems : dict of str to str
        Why single candidates have no score, by the plan's id.
    """

    scorer: str
    state: str = "waiting"
    done: int = 0
    total: int = 0
    problem: str = ""
    problems: dict[str, str] = attrs.field(factory=dict)


class Scoring:
    """Scores candidates in a thread of its own, one scorer after the other.

    Parameters
    ----------
    kit : callable
        Returns a kit with the scorer of that name; the scoring thread alone uses it.
    catalog : Catalog
        Where clips and stems come from.
    store : Store
    plans : callable
        Returns the plans of all candidates.
    """

    def __init__(
        self,
        kit: Callable[[str], Kit],
        catalog: Catalog,
        store: Store,
        plans: Callable[[], Sequence[MashupPlan]],
    ) -> None:
        self._kit, self._catalog, self._store, self._plans = kit, catalog, store, plans
        self._jobs: dict[str, Job] = {}
        self._waiting: queue.SimpleQueue[tuple[Job, Kit] | None] = queue.SimpleQueue()
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        threading.Thread(target=self._work, name="scoring", daemon=True).start()

    def close(self) -> None:
        """End after the plans that are being scored; the others stay without a score."""
        self._stopped.set()
        self._waiting.put(None)

    def start(self, name: str) -> None:
        """Score all candidates that have no score of this scorer yet.

        The scorer is made here, so that an unknown name or missing weights are found before any work.

        Raises
        ------
        Refused
            If the scorer cannot be used.
        """
        with self._lock:
            known = self._jobs.get(name)
            if known is not None and known.state in ("waiting", "running"):
                return
            try:
                kit = self._kit(name)
                kit.require("scorer")
            except MashkitError as error:
                raise Refused("scorer", str(error)) from error
            job = self._jobs[name] = Job(name)
        self._waiting.put((job, kit))

    def jobs(self) -> list[dict[str, Any]]:
        """Return the jobs as plain data."""
        return [attrs.asdict(job) for job in list(self._jobs.values())]

    def _work(self) -> None:
        while not self._stopped.is_set() and (found := self._waiting.get()) is not None:
            job, kit = found
            job.state = "running"
            try:
                self._score(job, kit)
            except Exception as error:  # noqa: BLE001 — the page shows the error, and other scorers go on
                job.problem = str(contained(error, f"scoring with {job.scorer}", Unforeseen))
            job.state = "failed" if job.problem else "done"

    def _score(self, job: Job, kit: Kit) -> None:
        version = kit.scorer.fingerprint()
        plans = list(self._plans())
        relative = isinstance(kit.scorer, RelativeScorer)
        # A relative scorer compares all plans; so one new plan changes the scores of all.
        known = self._store.scored_by(job.scorer, version)
        new = [plan for plan in plans if plan.id not in known]
        todo = plans if relative and new else new
        job.total = len(todo)
        for start in range(0, len(todo), len(todo) if relative else AT_ONCE):
            if self._stopped.is_set():
                return
            some = todo[start : start + (len(todo) if relative else AT_ONCE)]
            results = kit.score_plans(self._catalog, some)
            scored = {plan.id: one for plan, one in zip(some, results, strict=True) if isinstance(one, Score)}
            self._store.save_scores(job.scorer, version, scored)
            for plan, one in zip(some, results, strict=True):
                if isinstance(one, MashkitError):
                    job.problems[plan.id] = str(one)
            job.done = start + len(some)
