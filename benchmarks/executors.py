"""What executors cost and bring: seconds until the first result, overhead a job, a large result's way home, two cores.

Rounds of all measurements in turn, so that whatever else the machine does hits all of them; medians of the rounds, and
ratios of pairs within a round. What the machine has to give is measured too: two bare processes against one. Prints a
table, and with --write keeps it as benchmarks/results/executors.json and executors.md.
"""

from __future__ import annotations

import argparse
import json
import operator
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from script import RESULTS, refuse_fewer, run_script, write_results

import mashkit as mk
from mashkit.cli.actions import positive
from mashkit.rendering.output import environment
from mashkit.workers.processes import thread_variables

TRIVIAL_JOBS = 2000
LARGE_JOBS = 12
LARGE_VALUES = 7_500_000  # float32: 30 MB, about the stems of a clip
HEAVY_JOBS = 16
HEAVY = {"size": 256, "power": 1 << 120}
TARGETS = {"overhead_ms": 2.0}
EXECUTORS: dict[str, dict[str, Any]] = {
    "local": {"jobs": 2, "threads": 1},
    "ray": {"num_cpus": 2},
}
ALONE: dict[str, dict[str, Any]] = {
    "local": {"jobs": 1, "threads": 1},
    "ray": {"num_cpus": 1},
}


def executor(name: str, options: dict[str, Any]) -> mk.Executor:
    """Return the executor of that name."""
    return mk.Kit(executor=name, options={"executor": options}).executor


def trivial(name: str, options: dict[str, Any]) -> dict[str, float]:
    """Return seconds until the first result of jobs that add a number, and milliseconds a job from then on."""
    work = mk.Work(name="add", start=int, arguments=(1,), run=operator.add)
    begin = time.perf_counter()
    outcomes = executor(name, options).run(mk.Job(work, n, str(n)) for n in range(TRIVIAL_JOBS))
    next(outcomes)
    first = time.perf_counter()
    rest = sum(1 for _ in outcomes)
    return {"first_s": first - begin, "job_ms": (time.perf_counter() - first) / rest * 1e3}


def large(name: str, options: dict[str, Any]) -> float:
    """Return milliseconds that a result of 30 MB takes beside the work itself."""
    work = mk.Work(name="fill", start=np.ones, arguments=(LARGE_VALUES, np.float32), run=np.multiply)
    outcomes = executor(name, options).run(mk.Job(work, np.float32(n), str(n)) for n in range(LARGE_JOBS))
    next(outcomes)
    begin, worked = time.perf_counter(), 0.0
    for outcome in outcomes:
        worked += outcome.wall_s
    return (time.perf_counter() - begin - worked) / (LARGE_JOBS - 1) * 1e3


def heavy(name: str, options: dict[str, Any]) -> float:
    """Return seconds that jobs take which each keep one core busy, from the first result on."""
    work = mk.Work(
        name="power", start=np.eye, arguments=(HEAVY["size"],), run=np.linalg.matrix_power
    )  # the unit matrix: no power of it overflows

    def given() -> Iterator[mk.Job]:
        # The first two for the workers to start on.
        yield from (mk.Job(work, 1, f"start {n}") for n in range(2))
        yield from (mk.Job(work, HEAVY["power"], str(n)) for n in range(HEAVY_JOBS))

    outcomes = executor(name, options).run(given())
    begin = None
    for outcome in outcomes:
        if begin is None and not outcome.job.name.startswith("start"):
            begin = time.perf_counter() - outcome.wall_s
    assert begin is not None  # noqa: S101 — there were jobs
    return time.perf_counter() - begin


def bare(processes: int) -> float:
    """Return seconds that the same powers take in processes that share nothing, divided among them."""
    code = (
        "import sys, numpy as np\n"
        f"state = np.eye({HEAVY['size']})\n"
        "print(flush=True); sys.stdin.readline()\n"
        f"for _ in range({HEAVY_JOBS // processes}): np.linalg.matrix_power(state, {HEAVY['power']})\n"
    )
    variables = {**os.environ, **thread_variables(1)}
    started = [
        subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=variables)  # noqa: S603
        for _ in range(processes)
    ]
    for process in started:
        process.stdout.readline()  # type: ignore[union-attr]
    begin = time.perf_counter()
    for process in started:
        process.communicate(b"\n")
    return time.perf_counter() - begin


def importing() -> float:
    """Return seconds that an interpreter takes to import what a worker does."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import mashkit.interfaces.executor"], check=True)
    return time.perf_counter() - begin


def measure(names: list[str]) -> dict[str, Any]:
    """Return one round of everything."""
    found: dict[str, Any] = {"load_average": os.getloadavg()[0], "import_s": importing(), "bare": bare(1) / bare(2)}
    for name in names:
        alone, both = heavy(name, ALONE[name]), heavy(name, EXECUTORS[name])
        found[name] = {
            **trivial(name, EXECUTORS[name]),
            "large_ms": large(name, EXECUTORS[name]),
            "two_cores": alone / both,
        }
    return found


def main() -> None:
    """Run everything and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=positive, default=5)
    parser.add_argument("--only", nargs="+", choices=list(EXECUTORS), default=list(EXECUTORS))
    parser.add_argument("--write", action="store_true", help="keep the result in benchmarks/results")
    arguments = parser.parse_args()
    path = RESULTS / "executors.json"
    kept = json.loads(path.read_text())["rows"] if arguments.write and path.exists() else {}
    if missing := [name for name in kept if name not in arguments.only]:
        # All rows of a result are of the same rounds, so the old rows cannot stand beside the new.
        parser.error(f"{path.name} has {', '.join(missing)} too: --write needs --only {' '.join(kept)}, or no --only")
    if arguments.write:
        refuse_fewer(parser, path, "rounds", arguments.rounds, lambda kept: len(kept["rounds"]))
    rounds = [measure(arguments.only) for _ in range(arguments.rounds)]
    rows = {
        name: {key: statistics.median(one[name][key] for one in rounds) for key in rounds[0][name]}
        for name in arguments.only
    }
    result = {
        "rows": rows,
        "import_s": statistics.median(one["import_s"] for one in rounds),
        "bare": statistics.median(one["bare"] for one in rounds),
        "rounds": rounds,
        "targets": TARGETS,
        "machine": {"cores": os.cpu_count(), "processor": platform.processor() or platform.machine()},
        "environment": environment(),
    }
    print(page(result))
    if arguments.write:
        write_results(path, result, page(result), indent=2)


def page(result: dict[str, Any]) -> str:
    """Return the table."""
    loads = [one["load_average"] for one in result["rounds"]]
    busy = statistics.median(loads) > result["machine"]["cores"]
    lines = [
        "# What executors cost and bring",
        "",
        f"Made by `python benchmarks/executors.py --write` on {result['machine']['cores']} cores that did"
        f" other work too (load average {min(loads):.0f} to {max(loads):.0f}); medians of {len(loads)} rounds.",
        "",
        "| executor | first result, s | overhead a job, ms | 30 MB home, ms | two workers against one |",
        "|---|---|---|---|---|",
        *(
            f"| {name} | {row['first_s']:.2f} | {row['job_ms']:.2f} | {row['large_ms']:.0f} | {row['two_cores']:.2f}× |"
            for name, row in result["rows"].items()
        ),
        "",
        f"An interpreter takes {result['import_s']:.2f} s to import what a worker does. Two bare processes against"
        f" one did {result['bare']:.2f}× in the same rounds"
        + (": the machine had no second core to give, and the last column says little." if busy else "."),
        "",
        f"Target: overhead of a trivial job with `local` under {result['targets']['overhead_ms']:g} ms.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    run_script(main)
