"""The Ray executor keeps its contract, ends what it started and nothing else, and lives through the loss of a node."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import mashkit as mk
from mashkit.catalog.upkeep import content_digest
from mashkit.errors import OptionError, UsageError
from mashkit.registry import Registry
from mashkit.testing import ExecutorContract, signals
from mashkit.testing.contracts.executor import all_gone, run, start

ray = pytest.importorskip("ray")


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    """One cluster for the module: an executor uses the connection that a program has."""
    from mashkit_ray.connection import connected

    with connected(None, 2, 2, log=False):
        yield
    assert not ray.is_initialized()


@pytest.mark.slow  # every test starts actors, and an actor is a process that imports Ray: a quarter of `make test`
class TestRay(ExecutorContract):
    component = "ray"
    options = {"num_cpus": 2}  # noqa: RUF012 — the contract reads it, nobody writes it


def jobs(work: mk.Work, *items: object) -> list[mk.Job]:
    return [mk.Job(work, item, f"{work.name} {n}") for n, item in enumerate(items)]


def test_the_programs_connection_is_left_alone(tmp_path: Path) -> None:
    work = mk.Work(name="work", start=start, arguments=(1, str(tmp_path)), run=run)
    assert [one.result for one in mk.Kit(executor="ray").executor.run(jobs(work, ("add", 1)))] == [2]
    assert ray.is_initialized()


@pytest.mark.slow
def test_works_give_way_to_each_other(tmp_path: Path) -> None:
    """Three works that each would have the whole machine: an idle worker keeps its cores only as long as none waits."""
    works = [
        mk.Work(name=str(n), start=start, arguments=(n, str(tmp_path)), run=run, cpus=cpus)
        for n, cpus in ((100, 2), (200, 2), (300, 64))  # more than there are: all there are
    ]
    given = [job for work in works for job in jobs(work, ("add", 1), ("add", 2))]
    outcomes = [*mk.Kit(executor="ray").executor.run(given)]
    assert sorted(one.result for one in outcomes) == [101, 102, 201, 202, 301, 302]
    assert len(list(tmp_path.glob("start-*"))) == 3


@pytest.mark.slow
def test_gpus(tmp_path: Path) -> None:
    here = {"start": start, "arguments": (1, str(tmp_path))}
    work = mk.Work(name="work", run=run, gpus=1, cpus=0.5, **here)
    # Each builds its state with a GPU of its own in sight.
    outcomes = [*mk.Kit(executor="ray").executor.run(jobs(work, *[("device", 0.2)] * 4))]
    assert {one.result for one in outcomes} == {"0", "1"}
    greedy = mk.Work(name="greedy", run=run, gpus=3, **here)
    with pytest.raises(UsageError, match="no machine of the cluster has more than 2"):
        list(mk.Kit(executor="ray").executor.run(jobs(greedy, ("add", 1))))


def test_options_that_contradict() -> None:
    with pytest.raises(OptionError, match="leave out them or address"):
        Registry().create("executor", "ray", {"address": "auto", "num_cpus": 2})


PROGRAM = """
import json, shutil, subprocess, sys
import mashkit as mk
from mashkit.errors import ComponentUnavailable
from mashkit.testing.contracts.executor import run, start

work = mk.Work(name="work", start=start, arguments=(1, sys.argv[1]), run=run)
try:
    list(mk.Kit(executor="ray", options={"executor": {"address": "127.0.0.1:1"}}).executor.run([]))
except ComponentUnavailable as error:
    told = str(error)
executor = mk.Kit(executor="ray", options={"executor": {"num_cpus": 1}}).executor
found = {}
for outcome in executor.run([mk.Job(work, ("process", None), "one"), mk.Job(work, ("die", 99), "two")]):
    import ray
    found[outcome.job.name] = outcome.result
    hosts = [node["NodeManagerAddress"] for node in ray.nodes()]
    if shutil.which("ss"):
        listening = subprocess.run(["ss", "-ltnpH"], capture_output=True, text=True).stdout.splitlines()
        hosts += [line.split()[3].rpartition(":")[0] for line in listening if "ray" in line or "gcs" in line]
print(json.dumps({"told": told, "process": found["one"], "hosts": hosts, "left": ray.is_initialized()}))
"""


@pytest.mark.slow
def test_a_cluster_of_ones_own(tmp_path: Path) -> None:
    """It is started for the run, heard by nobody else, says nothing, and is gone afterwards."""
    before = set(Path("/tmp").glob("ray-*"))  # noqa: S108 — where it must not be
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    told = json.loads(done.stdout)
    assert "no cluster at '127.0.0.1:1'" in told["told"]
    assert not told["left"]
    assert all_gone([told["process"]], 20.0)
    assert told["hosts"]
    assert all("127.0.0.1" in host for host in told["hosts"]), told["hosts"]
    assert set(Path("/tmp").glob("ray-*")) <= before  # noqa: S108


@pytest.mark.slow
def test_a_node_is_killed(tmp_path: Path) -> None:
    """Two nodes, real processes; one loses power while both work: what it was at is done by the other."""
    program = Path(__file__).with_name("nodes.py")
    done = subprocess.run(
        [sys.executable, str(program), "jobs", str(tmp_path)], capture_output=True, text=True, check=False, timeout=280
    )
    assert done.returncode == 0, done.stderr[-3000:]
    *outcomes, nodes = map(json.loads, done.stdout.splitlines())
    work, slow = (
        mk.Work(name=name, start=start, arguments=(base, str(tmp_path)), run=run)
        for name, base in (("work", 1000), ("slow", 2000))
    )
    given = [mk.Job(work if n % 2 else slow, ("add", n), str(n)) for n in range(24)]
    here = {one.job.name: one.result for one in mk.Kit().executor.run(given)}
    assert {one["name"]: one["result"] for one in outcomes} == here
    assert len(outcomes) == 24
    assert max(one["attempts"] for one in outcomes) == 2
    assert nodes == {"nodes": 1}


@pytest.mark.slow
def test_a_database_survives_the_loss_of_a_node(tmp_path: Path) -> None:
    """The same songs by ray, losing one of two nodes on the way, and by this process: one content."""
    songs = tmp_path / "songs"
    for index in range(6):
        mk.save(songs / f"{index}.flac", signals.tone(220.0 + 20 * index, 26.0, amplitude=0.3))
    program = Path(__file__).with_name("nodes.py")
    done = subprocess.run(
        [sys.executable, str(program), "database", str(tmp_path), str(songs), "librosa", "essentia"],
        capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    told, nodes = map(json.loads, done.stdout.splitlines())
    assert nodes == {"nodes": 1}
    assert told["failures"] == []
    kit = mk.Kit(separator="librosa", analyzer="essentia", options={"executor": {"jobs": 0}})
    with mk.MashupDB(tmp_path / "here") as database:
        assert kit.add(database, songs).songs == told["songs"] == 6
        assert content_digest(database) == told["content"]
