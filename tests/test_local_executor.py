"""The local executor keeps its contract, shares cores and GPUs, and says why a worker was lost."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import mashkit as mk
from mashkit.errors import (
    AnalysisError,
    ComponentFailed,
    ComponentUnavailable,
    ContractViolation,
    MashkitError,
    OptionError,
    UsageError,
)
from mashkit.registry import Registry
from mashkit.testing import ExecutorContract
from mashkit.testing.contracts import executor as tasks

# What workers do here is in a module of its own, for workers find it by name.
MODULE = '''
import os, signal, subprocess, sys, time
from pathlib import Path
from mashkit.errors import AnalysisError

class Strange(AnalysisError):
    """One of a plugin's errors that does not come back from a pickle."""
    def __init__(self, song, *, beat):
        super().__init__(f"{song}: beat {beat} is strange", "listen to it")

def start(*arguments): return arguments
def variables(state, names): return {name: os.environ.get(name) for name in names}
def interval(state, seconds):
    begin = time.monotonic()
    time.sleep(seconds)
    return begin, time.monotonic(), os.environ.get("CUDA_VISIBLE_DEVICES"), os.getpid()
def interval_after(state, note):
    end = time.monotonic() + 60
    while not Path(note).exists() and time.monotonic() < end:
        time.sleep(0.01)
    return interval(state, 0)
def chatter(state, megabytes):
    for _ in range(megabytes):
        print("nothing " * (1 << 17), flush=True)
    if megabytes == 0:
        print("out of cheese", file=sys.stderr, flush=True)
        os._exit(7)
def program(state, note):
    Path(note).write_text(str(subprocess.Popen(["sleep", "60"]).pid))
    time.sleep(60)
def orphan(state, note):
    if os.fork() == 0:  # holds on to all that this process had open
        os.setsid()
        Path(note).write_text(str(os.getpid()))
        time.sleep(20)
    os._exit(3)
def strange(state, item): raise Strange("song.wav", beat=3)
def unsendable(state, item): return lambda: item
def same(state, item): return item

def dies(): os.kill(os.getpid(), signal.SIGKILL)
def only_one(folder):
    """Begin in one process, and in no other until that has."""
    try:
        Path(folder, "first").touch(exist_ok=False)
    except FileExistsError:
        raise AnalysisError("there is one already")
'''


@pytest.mark.whole
class TestLocal(ExecutorContract):
    component = "local"
    options = {"jobs": 2}  # noqa: RUF012 — the contract reads it, nobody writes it


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    (tmp_path / "tasks_of_workers.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    import tasks_of_workers  # type: ignore[import-not-found]

    yield tasks_of_workers
    del sys.modules["tasks_of_workers"]


def local(**options: Any) -> mk.Executor:
    return mk.Kit(options={"executor": options}).executor


def jobs(work: mk.Work, *items: Any) -> list[mk.Job]:
    return [mk.Job(work, item, f"{work.name} {n}") for n, item in enumerate(items)]


# ----------------------------------------------------------------------------------------------------- this process
def test_no_worker_is_this_process(tmp_path: Path) -> None:
    work = mk.Work(name="work", start=tasks.start, arguments=(1000, str(tmp_path)), run=tasks.run)
    broken = mk.Work(name="broken", start=tasks.cannot_start, run=tasks.run)
    item = object()
    given = [
        *jobs(work, ("process", None), ("add", 1), ("fail", None), ("break", None), ("echo", item)),
        *jobs(broken, 1, 2),
    ]
    process, added, failed, broke, echoed, *unbegun = local(jobs=0).run(given)
    assert process.result == os.getpid()
    assert added.result == 1001
    assert failed.error is not None
    assert failed.error.fix == "record it again"
    assert "ZeroDivisionError" in str(broke.error)
    assert "in _break" in "".join(broke.error.__notes__)  # type: ignore[union-attr]  # where it happened
    assert echoed.result is item  # nothing is copied
    assert [type(one.error) for one in unbegun] == [ComponentUnavailable] * 2
    assert len(list(tmp_path.glob("start-*"))) == 1


# --------------------------------------------------------------------------------------------------- cores and GPUs
@pytest.mark.whole
def test_threads_of_numerical_libraries(module: ModuleType) -> None:
    names = ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"]
    for cpus, threads in ((1, "3"), (2, "6"), (0.25, "1")):
        work = mk.Work(name="work", start=module.start, run=module.variables, cpus=cpus)
        (outcome,) = local(jobs=2, threads=3).run(jobs(work, names))
        assert outcome.result == dict.fromkeys(names, threads)


def overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[1] and other[0] < one[1]


@pytest.mark.whole
def test_a_work_of_two_cores_has_them_to_itself(module: ModuleType) -> None:
    small = mk.Work(name="small", start=module.start, run=module.interval)
    large = mk.Work(name="large", start=module.start, run=module.interval, cpus=2)
    given = itertools.chain(*itertools.zip_longest(jobs(small, *[0.1] * 6), jobs(large, *[0.1] * 2)))
    outcomes = [*local(jobs=2).run(job for job in given if job is not None)]
    assert len(outcomes) == 8
    for one, other in itertools.combinations(outcomes, 2):
        if "large" in one.job.name + other.job.name:
            assert not overlap(one.result, other.result)


@pytest.mark.whole
def test_each_gpu_has_its_jobs(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    whole = mk.Work(name="whole", start=module.start, run=module.interval, gpus=1, cpus=0.5)
    half = mk.Work(name="half", start=module.start, run=module.interval, gpus=0.5, cpus=0.5)
    both = mk.Work(name="both", start=module.start, run=module.interval, gpus=2, cpus=0.5)
    given = [*jobs(half, *[0.1] * 8), *jobs(whole, *[0.1] * 4), *jobs(both, 0.1)]
    outcomes = [*local(jobs=4, gpus=2).run(given)]
    assert {one.result[2] for one in outcomes} == {"0", "1", "0,1"}
    for device in "01":
        here = [one for one in outcomes if device in one.result[2]]
        for one in here:
            used = sum(
                min(other.job.work.gpus, 1) for other in here if other.result[0] <= one.result[0] < other.result[1]
            )
            assert used <= 1, [(other.job.name, other.result) for other in here]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4, 6")
    outcomes = [*local(jobs=2, gpus=2).run(jobs(whole, *[0.1] * 4))]
    assert {one.result[2] for one in outcomes} == {"4", "6"}
    with pytest.raises(UsageError, match="CUDA_VISIBLE_DEVICES names 2"):
        list(local(gpus=3).run(jobs(whole, 0.1)))


@pytest.mark.whole
def test_what_waits_for_the_gpu_holds_nobody_up(module: ModuleType, tmp_path: Path) -> None:
    note = tmp_path / "both jobs on the CPU are done"
    on_gpu = mk.Work(name="on gpu", start=module.start, run=module.interval_after, gpus=1)
    on_cpu = mk.Work(name="on cpu", start=module.start, run=module.interval)
    outcomes = local(jobs=2).run([*jobs(on_gpu, *[str(note)] * 3), *jobs(on_cpu, 0.01, 0.01)])
    first = [next(outcomes), next(outcomes)]
    note.touch()
    rest = [*outcomes]
    assert [one.job.name for one in first] == ["on cpu 0", "on cpu 1"]
    assert [one.job.name for one in rest] == ["on gpu 0", "on gpu 1", "on gpu 2"]
    assert len({one.result[3] for one in [*first, *rest]}) == 2
    with pytest.raises(UsageError, match="needs 1 GPUs, and the executor has 0"):
        list(local(jobs=2, gpus=0).run(jobs(on_gpu, 0.1)))


@pytest.mark.whole
def test_workers_go_on_while_the_caller_is_busy(module: ModuleType) -> None:
    work = mk.Work(name="work", start=module.start, run=module.interval)
    outcomes = local(jobs=1).run(jobs(work, *[0.2] * 3))
    next(outcomes)
    time.sleep(1.0)
    back = time.monotonic()
    assert all(one.result[1] < back for one in outcomes)


# ----------------------------------------------------------------------------------------------- workers that end
@pytest.mark.whole
def test_a_lost_worker_leaves_its_last_words(module: ModuleType) -> None:
    work = mk.Work(name="work", start=module.start, run=module.chatter)
    *chatty, lost = local(jobs=1).run(jobs(work, 3, 3, 0))
    assert [one.error for one in chatty] == [None, None]
    assert isinstance(lost.error, ComponentFailed)
    assert "work 2: the process at work on it ended with status 7, twice" in lost.error.problem
    assert lost.error.problem.endswith("out of cheese")
    assert len(lost.error.problem) < 10_000


@pytest.mark.whole
def test_what_a_worker_started_ends_with_it(module: ModuleType, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    work = mk.Work(name="work", start=module.start, run=module.program)
    (outcome,) = local(jobs=1, timeout_s=0.5).run(jobs(work, str(note)))
    assert "was not done after 0.5 s, twice" in str(outcome.error)
    assert tasks.all_gone([int(note.read_text())], 20.0)


@pytest.mark.whole
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_dead_worker_is_seen_though_its_child_holds_the_line(module: ModuleType, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    work = mk.Work(name="work", start=module.start, run=module.orphan)
    begin = time.monotonic()
    (outcome,) = local(jobs=1).run(jobs(work, str(note)))
    assert "ended with status 3" in str(outcome.error)
    assert time.monotonic() - begin < 15
    os.kill(int(note.read_text()), 9)


@pytest.mark.whole
def test_a_start_that_dies(module: ModuleType) -> None:
    work = mk.Work(name="work", start=module.dies, run=module.same)
    outcomes = [*local(jobs=2).run(jobs(work, *range(5)))]
    assert {one.job.item for one in outcomes} == set(range(5))
    assert {one.attempts for one in outcomes} == {0}
    assert all("could not begin: its process was ended by SIGKILL, twice" in str(one.error) for one in outcomes)


@pytest.mark.whole
def test_where_one_cannot_begin_the_others_do_its_work(module: ModuleType, tmp_path: Path) -> None:
    work = mk.Work(name="work", start=module.only_one, arguments=(str(tmp_path),), run=module.interval)
    outcomes = [*local(jobs=2).run(jobs(work, *[0.2] * 8))]
    assert [one.error for one in outcomes] == [None] * 8
    assert len({one.result[3] for one in outcomes}) == 1


@pytest.mark.whole
def test_an_error_that_cannot_travel_becomes_its_nearest(module: ModuleType) -> None:
    work = mk.Work(name="work", start=module.start, run=module.strange)
    (outcome,) = local(jobs=1).run(jobs(work, 0))
    assert type(outcome.error) is AnalysisError
    assert (outcome.error.problem, outcome.error.fix) == ("song.wav: beat 3 is strange", "listen to it")


@pytest.mark.whole
def test_what_cannot_be_sent_is_its_jobs_error(module: ModuleType) -> None:
    unsendable = mk.Work(name="unsendable", start=module.start, run=module.unsendable)
    work = mk.Work(name="work", start=module.start, run=module.same)
    given = [*jobs(unsendable, 0), *jobs(work, lambda: 0, 1)]
    outcomes = {one.job.name: one for one in local(jobs=1).run(given)}
    assert "the result of work 'unsendable' cannot be sent" in str(outcomes["unsendable 0"].error)
    assert isinstance(outcomes["work 0"].error, UsageError)
    assert "its item cannot be sent" in str(outcomes["work 0"].error)
    assert outcomes["work 1"].result == 1


# --------------------------------------------------------------------------------------------------------- programs
@pytest.mark.whole
def test_a_program_needs_no_guard(tmp_path: Path) -> None:
    """Workers do not run the caller's program: it need not be written for it; and its own functions they have not."""
    program = tmp_path / "program.py"
    program.write_text(
        "import mashkit as mk\n"
        "from mashkit.errors import UsageError\n"
        "from mashkit.testing.contracts.executor import run, start\n"
        "executor = mk.Kit(options={'executor': {'jobs': 2}}).executor\n"
        f"work = mk.Work(name='work', start=start, arguments=(1, {str(tmp_path)!r}), run=run)\n"
        "print(sorted(one.result for one in executor.run(mk.Job(work, ('add', n), str(n)) for n in range(4))))\n"
        "def own(state, item): return item\n"
        "try:\n"
        "    list(executor.run([mk.Job(mk.Work(name='mine', start=dict, run=own), 1, 'one')]))\n"
        "except UsageError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("[1, 2, 3, 4]\nwork 'mine' has functions of the program itself")
    assert done.stderr == ""


# ----------------------------------------------------------------------------------------------------- the interface
def test_works_that_cannot_travel() -> None:
    with pytest.raises(UsageError, match=r"work 'w': run cannot be sent.*function of a module"):
        mk.Work(name="w", start=dict, run=lambda state, item: item)
    with pytest.raises(UsageError, match="work 'w': arguments cannot be sent"):
        mk.Work(name="w", start=dict, arguments=(iter([1]).__next__, lambda: 1), run=max)
    with pytest.raises(UsageError, match=r"1\.5 GPUs"):
        mk.Work(name="w", start=dict, run=max, gpus=1.5)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"name": 5}, r"Work\.name is 5"),
        ({"start": 5}, "work 'w': start is 5 .give a function"),
        ({"run": "max"}, "work 'w': run is 'max'"),
        ({"arguments": 2}, "2 given for several"),
        ({"arguments": "ab"}, "'ab' given for several"),
        ({"cpus": 0}, r"work 'w' needs 0\.0 cores .give a number above 0"),
        ({"cpus": "two"}, "work 'w' needs 'two' cores"),
        ({"cpus": float("nan")}, "needs nan cores"),
        ({"gpus": -1}, r"work 'w' needs -1\.0 GPUs"),
        ({"gpus": None}, "needs None GPUs"),
    ],
)
def test_works_that_are_wrong(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        mk.Work(**{"name": "w", "start": dict, "run": max, **wrong})


def test_what_is_no_job() -> None:
    with pytest.raises(UsageError, match=r"'song\.wav' is not a job"):
        list(local(jobs=1).run(["song.wav"]))  # type: ignore[list-item]
    work = mk.Work(name="w", start=dict, arguments=[{"a": 1}], run=max)  # type: ignore[arg-type]
    assert work.arguments == ({"a": 1},)
    with pytest.raises(UsageError, match=r"Job\.work is 'x', of type str .give Work"):
        mk.Job("x", 1, "a")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"Job\.name is None"):
        mk.Job(work, 1, None)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"jobs is Job\(.*of type Job .give several jobs"):
        list(local(jobs=1).run(mk.Job(work, 1, "a")))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="wait for an outcome, but no job is running"):
        list(local(jobs=1).run([None]))


@pytest.mark.whole
def test_an_error_of_the_jobs_is_the_callers(module: ModuleType) -> None:
    def given() -> Iterator[mk.Job]:
        yield from jobs(mk.Work(name="work", start=module.start, run=module.same), 1)
        raise FileNotFoundError("no more songs")

    with pytest.raises(FileNotFoundError, match="no more songs"):
        list(local(jobs=1).run(given()))


def test_an_outcome_of_no_job_is_found_out(module: ModuleType) -> None:
    work = mk.Work(name="work", start=module.start, run=module.same)

    class Inventive(mk.Pool):
        capacity = 1

        def submit(self, job: mk.Job) -> None:
            pass

        def wait(self) -> mk.Outcome:
            return mk.Outcome(job=jobs(work, 2)[0], result=2)

        def close(self) -> None:
            pass

    class Invented(mk.Executor):
        info = mk.ComponentInfo(name="invented", target="m:I", summary="s", provides={"threads"}, code_license="MIT")

        def _pool(self) -> mk.Pool:
            return Inventive()

    with pytest.raises(ContractViolation, match="which is not running"):
        list(Invented().run(jobs(work, 1)))


def test_options_and_names_that_are_none() -> None:
    registry = Registry()
    for options in ({"jobs": -1}, {"jobs": "two"}, {"timeout_s": -1}, {"threads": 0}, {"gpus": 0.5}):
        with pytest.raises(OptionError):
            registry.create("executor", "local", options)
    with pytest.raises(ComponentUnavailable, match="starts processes itself"):
        registry.create("executor", "local@")
    with pytest.raises(UsageError, match="no executor is called 'local\\+local'"):
        registry.create("executor", "local+local")
    assert mk.Kit().chosen["executor"] == "local"
    with pytest.raises(UsageError, match="is not an executor"):
        mk.Kit(executor=mk.Kit().generator).executor  # type: ignore[arg-type]  # noqa: B018
    with pytest.raises(ValueError, match="both"):
        mk.Outcome(job=mk.Job(mk.Work(name="w", start=dict, run=max), 1, "x"), result=1, error=MashkitError("no"))
