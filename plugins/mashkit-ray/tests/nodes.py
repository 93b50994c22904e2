"""A program for test_ray.py: a cluster of two nodes, of which one is killed while jobs run on both.

Not in the process of the tests: Ray looks for its token mode when it is imported. Prints what became of each job, or of
a database.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

os.environ["RAY_AUTH_MODE"] = "token"

import ray

import mashkit as mk
from mashkit.catalog.upkeep import content_digest
from mashkit.hookspecs import StageEvent
from mashkit.testing.contracts.executor import run, start
from mashkit.workers.processes import family

JOBS, KILLED_AFTER = 24, 6


@contextlib.contextmanager
def node(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A node of one core."""
    command = [
        Path(sys.executable).with_name("ray"), "start", *arguments, "--num-cpus=1", "--block", "--disable-usage-stats",
        "--object-store-memory=100000000",
    ]  # fmt: skip
    with (folder / "nodes.log").open("a") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield process
    finally:
        kill(process)


def kill(node: subprocess.Popen[bytes]) -> None:
    """Kill a node with all its processes, as if its machine had lost power."""
    for process in family(node.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    node.wait()


def port_open(address: tuple[str, int]) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(address, timeout=1):
        return True
    return False


@contextlib.contextmanager
def two_nodes(folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A cluster of two nodes; gives its address and the second node. It must still be there at the end."""
    ip = ray.util.get_node_ip_address()
    with socket.socket() as free:
        free.bind((ip, 0))
        port = free.getsockname()[1]
    address = f"{ip}:{port}"
    # The sockets in Ray's folder must have names of 107 bytes at most.
    with (
        tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as short,
        node(folder, "--head", "--include-dashboard=false", f"--port={port}", f"--temp-dir={short}") as head,
    ):
        while not port_open((ip, port)):
            assert head.poll() is None, (folder / "nodes.log").read_text()
            time.sleep(0.2)
        with node(folder, f"--address={address}") as second:
            ray.init(address, logging_level="ERROR", log_to_driver=False)
            while len(alive()) < 2:
                assert second.poll() is None, (folder / "nodes.log").read_text()
                time.sleep(0.2)
            ray.shutdown()
            yield address, second
            ray.init(address, logging_level="ERROR", log_to_driver=False)  # nobody shut it down
            print(json.dumps({"nodes": len(alive())}))
            ray.shutdown()


def jobs(folder: Path) -> None:
    """Run jobs of two works; print what became of each."""
    with two_nodes(folder) as (address, second):
        executor = mk.Kit(executor="ray", options={"executor": {"address": address}}).executor
        work = mk.Work(name="work", start=start, arguments=(1000, str(folder)), run=run)
        slow = mk.Work(name="slow", start=start, arguments=(2000, str(folder)), run=run)
        given = [mk.Job(work if n % 2 else slow, ("add slowly", n), str(n)) for n in range(JOBS)]
        begin = time.monotonic()
        for done, outcome in enumerate(executor.run(given), 1):
            told = {
                "name": outcome.job.name,
                "result": outcome.result,
                "attempts": outcome.attempts,
                "error": str(outcome.error),
                "at": time.monotonic() - begin,
            }
            print(json.dumps(told), flush=True)
            if done == KILLED_AFTER:
                kill(second)


def database(folder: Path, songs: str, separator: str, analyzer: str) -> None:
    """Add songs to a database in the folder; print its content. The second node goes when the second song is done."""
    with two_nodes(folder) as (address, second), mk.MashupDB(folder / "db") as made:
        kit = mk.Kit(separator=separator, analyzer=analyzer, executor="ray", options={"executor": {"address": address}})

        class Killer:
            @mk.hookimpl
            def mashkit_stage(self, event: StageEvent) -> None:
                print(f"{event.state} {event.done}/{event.total} {event.item} {event.message}", file=sys.stderr)
                if event.state == "done" and event.done == 2:
                    kill(second)

        kit.registry.plugins.register(Killer())
        report = kit.add(made, songs)
        failures = [str(error) for _, error in report.failures]
        print(json.dumps({"songs": report.songs, "failures": failures, "content": content_digest(made)}))


def alive() -> list[object]:
    return [one for one in ray.nodes() if one["Alive"]]


if __name__ == "__main__":
    {"jobs": jobs, "database": database}[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])
