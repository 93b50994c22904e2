"""Define the contract tests of executors."""

from __future__ import annotations

import collections
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, cast

import attrs
import numpy as np
import numpy.typing as npt
import pytest

from mashkit.components import Component
from mashkit.errors import AudioFileError, ComponentFailed, ComponentUnavailable, MashkitError
from mashkit.interfaces import Executor
from mashkit.interfaces.executor import PROVIDES, Job, Outcome, Work
from mashkit.testing.contracts.component import ComponentContract, registry
from mashkit.workers.processes import cores

TIMEOUT_S = 1.0
"""Time limit of an item in the check of the time limit, seconds."""
HANGS_S = 6.0
"""Duration of the hanging item in that check, seconds; finite, so that the check ends if the executor fails it."""
AHEAD = 64
"""Largest number of jobs taken in advance, in addition to four per core; with more, an executor does not wait for free
workers."""


# ------------------------------------------------------------------------------------------- functions of the workers
@attrs.frozen
class State:
    """The state of the works in these tests: a number, and the folder with a mark for each time it was built."""

    number: int
    marks: Path


def start(number: int, marks: str) -> State:
    """Build the state, and write a mark."""
    _leave_mark(Path(marks), f"start-{number}")
    return State(number, Path(marks))


def cannot_start() -> State:
    """Raise the error of a work whose weights are missing."""
    raise ComponentUnavailable("the weights are not here", "mashkit models pull weights")


def run(state: State, item: tuple[str, Any]) -> Any:
    """Do an item's task."""
    task, argument = item
    return _TASKS[task](state, argument)


def _leave_mark(folder: Path, name: str) -> int:
    """Write a mark of this process, and return the number of marks of that name."""
    handle, _ = tempfile.mkstemp(prefix=f"{name}.{os.getpid()}-{threading.get_ident()}.", dir=folder)
    os.close(handle)
    return len(list(folder.glob(f"{name}.*")))


def _fail(state: State, argument: Any) -> None:
    _leave_mark(state.marks, "fail")
    raise AudioFileError("song.wav", "has no header", "record it again")


def _break(state: State, argument: Any) -> None:
    _leave_mark(state.marks, "break")
    raise ZeroDivisionError("a fault of the backend")


def _die(state: State, times: int) -> str:
    """End the process in the first ``times`` attempts."""
    if _leave_mark(state.marks, f"die-{times}") <= times:
        os.kill(os.getpid(), signal.SIGKILL)
    return "alive"


def _hang(state: State, seconds: float) -> str:
    time.sleep(seconds)
    return "done at last"


def _add_slowly(state: State, n: int) -> int:
    time.sleep(0.3)
    return state.number + n


def _device(state: State, seconds: float) -> str | None:
    time.sleep(seconds)
    return os.environ.get("CUDA_VISIBLE_DEVICES")


def _sound(state: State, seed: int) -> dict[str, Any]:
    """Return 30 MB of noise, as large as the stems of a clip."""
    random = np.random.default_rng(seed)
    samples = random.standard_normal((2, 3_000_000), np.float32)
    return {"samples": samples, "encoded": random.bytes(6_000_000)}


_TASKS: Mapping[str, Any] = {
    "add": lambda state, n: state.number + n,
    "process": lambda state, _: os.getpid(),
    "fail": _fail,
    "break": _break,
    "die": _die,
    "hang": _hang,
    "add slowly": _add_slowly,
    "device": _device,
    "sound": _sound,
    "echo": lambda state, value: value,
}


def serve_until_killed(executor: Executor) -> None:
    """Print the numbers of the workers' processes in an endless loop: the program of a parent that is killed."""
    with tempfile.TemporaryDirectory() as marks:
        work = Work(name="work", start=start, arguments=(0, marks), run=run)
        for outcome in executor.run(Job(work, ("process", None), str(n)) for n in itertools.count()):
            print(json.dumps(outcome.result), flush=True)


def is_gone(process: int) -> bool:
    """Return whether a process has ended; a zombie has ended too."""
    try:
        os.kill(process, 0)
        # The state follows the last ")", because the program's name before it may contain any character.
        status = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2]
    except ProcessLookupError:
        return True
    except FileNotFoundError:
        return Path("/proc/self").exists()
    return status.split()[0] in "ZX"


def all_gone(processes: Iterable[int], seconds: float) -> bool:
    """Return whether all processes end within ``seconds``."""
    deadline = time.monotonic() + seconds
    left = set(processes)
    while left and time.monotonic() < deadline:
        left = {process for process in left if not is_gone(process)}
        time.sleep(0.02)
    return not left


# ------------------------------------------------------------------------------------------------------- contract
class ExecutorContract(ComponentContract):
    """Requirements for every executor; those with threads of this process as workers cannot contain a crash.

    Examples
    --------
    >>> from mashkit.testing import ExecutorContract
    >>> class TestLocal(ExecutorContract):  # in a test file: pytest runs its checks
    ...     component = "local"
    >>> [name for name in vars(ExecutorContract) if name.startswith("test_")][:3]
    ['test_provides_known_places', 'test_no_jobs_no_outcomes', 'test_results_do_not_depend_on_the_order']
    """

    kind = "executor"
    gone_s: ClassVar[float] = 20.0
    """Seconds within which an ended process must be gone."""

    @classmethod
    def program(cls) -> str:
        """Return code that makes a new instance, named ``executor``, in another process."""
        options = json.dumps(dict(cls.options))
        return (
            "import json; from mashkit.registry import Registry\n"
            f"executor = Registry().create({cls.kind!r}, {cls.component!r}, json.loads({options!r}))\n"
        )

    @classmethod
    def hasty(cls) -> Executor:
        """Return a new instance with a time limit of one second per item, with the option ``timeout_s``."""
        options = {**cls.options, "timeout_s": TIMEOUT_S}
        return cast("Executor", registry().create(cls.kind, cls.component, options))

    @pytest.fixture
    @classmethod
    def work(cls, tmp_path: Path) -> Work:
        """Return a work that writes its marks into ``tmp_path``."""
        return Work(name="work", start=start, arguments=(1000, str(tmp_path)), run=run)

    @pytest.fixture
    @classmethod
    def contained(cls, subject: Executor) -> Executor:
        """Return the executor if it survives the death of a worker, else skip the test."""
        if not subject.info.provides & {"processes", "cluster"}:
            pytest.skip("its workers are threads of this process")
        return subject

    def test_provides_known_places(self, subject: Executor) -> None:
        assert subject.info.provides <= PROVIDES

    def test_no_jobs_no_outcomes(self, subject: Executor) -> None:
        assert list(subject.run([])) == []

    def test_results_do_not_depend_on_the_order(self, subject: Executor, work: Work) -> None:
        jobs = [Job(work, ("add", n), str(n)) for n in range(12)]
        for given in (jobs, jobs[::-1]):
            found = {outcome.job.name: outcome.result for outcome in subject.run(given)}
            assert found == {str(n): 1000 + n for n in range(12)}

    def test_every_job_once(self, subject: Executor, work: Work) -> None:
        jobs = [Job(work, ("add", n), str(n)) for n in range(8)]
        given = [*jobs, jobs[0]]  # the same job may be given again
        outcomes = list(subject.run(given))
        assert collections.Counter(id(one.job) for one in outcomes) == collections.Counter(map(id, given))
        assert {one.attempts for one in outcomes} == {1}

    def test_costs_are_told(self, subject: Executor, work: Work) -> None:
        (outcome,) = subject.run([Job(work, ("hang", 0.1), "brief")])
        assert 0.1 <= outcome.wall_s < 60
        assert outcome.cpu_s is not None
        assert 0 <= outcome.cpu_s < 60

    def test_jobs_are_taken_as_workers_come_free(self, subject: Executor, work: Work) -> None:
        taken = itertools.count()
        endless = (Job(work, ("add", n), str(n)) for n in taken)
        outcomes = subject.run(endless)
        for received in range(1, 6):
            next(outcomes)
            assert next(taken) - received <= 4 * cores() + AHEAD
        outcomes.close()

    def test_outcomes_may_bring_jobs(self, subject: Executor, work: Work) -> None:
        to_do = collections.deque([Job(work, ("add", 0), "0")])
        finished = threading.Event()

        def jobs() -> Iterator[Job | None]:
            while not finished.is_set():
                yield to_do.popleft() if to_do else None

        found = []
        for outcome in subject.run(jobs()):
            found.append(outcome.result)
            if len(found) == 4:
                finished.set()
            else:
                to_do.append(Job(work, ("add", outcome.result), str(outcome.result)))
        assert found == [1000, 2000, 3000, 4000]

    def test_works_may_mix(self, subject: Executor, work: Work, tmp_path: Path) -> None:
        other = Work(name="other", start=start, arguments=(5000, str(tmp_path)), run=run, cpus=0.5)
        jobs = [Job(one, ("add", n), f"{one.name} {n}") for n in range(4) for one in (work, other)]
        found = {outcome.job.name: outcome.result for outcome in subject.run(jobs)}
        assert found == {f"{name} {n}": base + n for n in range(4) for name, base in (("work", 1000), ("other", 5000))}

    def test_state_is_built_once_a_worker(self, subject: Executor, work: Work, tmp_path: Path) -> None:
        again = Work(name=work.name, start=start, arguments=work.arguments, run=run)  # an equal but different object
        most = max(2, cores())
        outcomes = list(subject.run(Job([work, again][n % 2], ("add", n), str(n)) for n in range(6 * most)))
        assert len(outcomes) == 6 * most
        marks = [path.name.split(".")[1] for path in tmp_path.glob("start-*")]
        assert len(marks) == len(set(marks)) <= most

    def test_an_error_of_ours_keeps_its_type_and_fix(self, subject: Executor, work: Work, tmp_path: Path) -> None:
        outcomes = self._by_name(subject.run(self._among_others(work, ("fail", None))))
        error = outcomes["one"].error
        assert isinstance(error, AudioFileError)
        assert (str(error.path), error.fix) == ("song.wav", "record it again")
        assert "has no header" in error.problem
        # The job is not tried again, because the same error would be raised again.
        assert outcomes["one"].attempts == len(list(tmp_path.glob("fail.*"))) == 1
        self._others_are_done(outcomes)

    def test_any_other_error_is_contained(self, subject: Executor, work: Work, tmp_path: Path) -> None:
        outcomes = self._by_name(subject.run(self._among_others(work, ("break", None))))
        assert isinstance(outcomes["one"].error, ComponentFailed)
        assert "ZeroDivisionError: a fault of the backend" in str(outcomes["one"].error)
        assert outcomes["one"].attempts == len(list(tmp_path.glob("break.*"))) == 1
        self._others_are_done(outcomes)

    def test_a_work_that_cannot_begin(self, subject: Executor, work: Work) -> None:
        broken = Work(name="broken", start=cannot_start, run=run)
        jobs = [Job(broken, ("add", n), f"broken {n}") for n in range(3)]
        outcomes = self._by_name(subject.run([*jobs, *self._among_others(work, ("add", 0))]))
        for job in jobs:
            error = outcomes[job.name].error
            assert isinstance(error, ComponentUnavailable)
            assert error.fix == "mashkit models pull weights"
        self._others_are_done(outcomes)

    def test_large_results_arrive_unharmed(self, subject: Executor, work: Work) -> None:
        for outcome in subject.run(Job(work, ("sound", n), str(n)) for n in range(3)):
            expected = _sound(State(0, Path()), int(outcome.job.name))
            assert np.array_equal(outcome.result["samples"], expected["samples"])
            assert outcome.result["encoded"] == expected["encoded"]

    def test_large_items_arrive_unharmed(self, subject: Executor, work: Work) -> None:
        sounds = [_sound(State(0, Path()), n) for n in range(2)]
        for outcome in subject.run(Job(work, ("echo", sound), str(n)) for n, sound in enumerate(sounds)):
            expected = sounds[int(outcome.job.name)]
            assert np.array_equal(outcome.result["samples"], expected["samples"])
            assert outcome.result["encoded"] == expected["encoded"]

    def test_a_crash_is_tried_again_then_listed(self, contained: Executor, work: Work, tmp_path: Path) -> None:
        outcomes = self._by_name(contained.run([*self._among_others(work, ("die", 99)), Job(work, ("die", 1), "once")]))
        assert isinstance(outcomes["one"].error, ComponentFailed)
        assert "one" in outcomes["one"].error.problem
        assert outcomes["one"].attempts == len(list(tmp_path.glob("die-99.*"))) == 2
        assert (outcomes["once"].result, outcomes["once"].attempts) == ("alive", 2)
        self._others_are_done(outcomes)

    def test_what_hangs_is_ended_and_listed(self, contained: Executor, work: Work) -> None:
        outcomes = self._by_name(self.hasty().run(self._among_others(work, ("hang", HANGS_S))))
        assert isinstance(outcomes["one"].error, ComponentFailed)
        assert outcomes["one"].attempts == 2
        self._others_are_done(outcomes)

    @pytest.mark.parametrize("end", ["exhausted", "closed", "raised"])
    def test_no_process_is_left(self, contained: Executor, work: Work, end: str) -> None:
        processes: set[int] = set()

        def use() -> None:
            number = itertools.count() if end != "exhausted" else range(4)
            outcomes = contained.run(Job(work, ("process", None), str(n)) for n in number)
            for outcome in outcomes:
                processes.add(outcome.result)
                if end == "closed" and int(outcome.job.name) > 3:
                    outcomes.close()
                if end == "raised" and int(outcome.job.name) > 3:
                    raise KeyboardInterrupt

        try:
            use()
        except KeyboardInterrupt:
            assert end == "raised"
        assert processes
        assert os.getpid() not in processes
        assert all_gone(processes, self.gone_s)

    def test_workers_die_with_their_parent(self, contained: Executor) -> None:
        program = f"{self.program()}from mashkit.testing.contracts.executor import serve_until_killed\n"
        command = [sys.executable, "-c", f"{program}serve_until_killed(executor)"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:  # noqa: S603 — our own program
            assert parent.stdout is not None
            processes = {int(line) for line in itertools.islice(parent.stdout, 20)}
            assert processes
            parent.kill()
        assert all_gone(processes, self.gone_s)

    # ---------------------------------------------------------------------------------------------------- helpers
    def _outcome(self, subject: Component) -> dict[str, npt.NDArray[np.float64]]:
        with tempfile.TemporaryDirectory() as marks:
            work = Work(name="work", start=start, arguments=(1000, marks), run=run)
            outcomes = cast("Executor", subject).run(Job(work, ("add", n), str(n)) for n in range(4))
            return {one.job.name: np.array([one.result], np.float64) for one in outcomes}

    def _among_others(self, work: Work, item: tuple[str, Any]) -> list[Job]:
        others = [Job(work, ("add", n), f"other {n}") for n in range(6)]
        return [*others[:3], Job(work, item, "one"), *others[3:]]

    def _by_name(self, outcomes: Iterable[Outcome]) -> dict[str, Outcome]:
        found: dict[str, Outcome] = {}
        for outcome in outcomes:
            assert outcome.job.name not in found
            assert outcome.error is None or isinstance(outcome.error, MashkitError)
            found[outcome.job.name] = outcome
        return found

    def _others_are_done(self, outcomes: Mapping[str, Outcome]) -> None:
        others = [outcomes[f"other {n}"] for n in range(6)]
        assert [(one.result, one.attempts) for one in others] == [(1000 + n, 1) for n in range(6)]
