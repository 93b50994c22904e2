"""What the benchmark itself costs: a run of `amu_vs_premixnet` on rendered songs, its CPU seconds by what they are for.

Only rules compete, a few milliseconds a score: with slower scorers every share but the first is smaller. CPU seconds
are those of this process and of the competitors' (getrusage), one thread each: they hardly depend on what else the
machine does. What is rendered and measured of the songs is in the cache before the run, as it is for every run but the
first. Prints a table, and with --write keeps it as benchmarks/results/harness.json and .md.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # before anything that counts processors is imported

import attrs
from script import RESULTS, refuse_fewer, run_script, write_results

from mashkit.bench import runner
from mashkit.bench.comparisons import Comparison
from mashkit.bench.page import publish
from mashkit.bench.records import Row
from mashkit.bench.scorers import ScorerTask
from mashkit.bench.suite import load_suite
from mashkit.bench.tasks import Input
from mashkit.cli.actions import positive
from mashkit.rendering.output import environment

SCORERS = ("amu", "amu-2021", "tiv", "vh2015", "loudness", "random")
TARGET = 0.03
TITLES = {
    "component": "the scorers themselves",
    "preparing": "preparing their inputs: rendering songs, reading plans",
    "loading": "their processes: interpreter, imports, creation, first use",
    "planning": "planning what is measured",
    "setup": "finding plugins, and who is available",
    "rows": "the runner: sending, receiving, hashing, writing rows",
    "metrics": "metrics, intervals, tests",
    "page": "page, charts, table, JSON",
}
AROUND = ("setup", "planning", "metrics", "page")


class Watched(ScorerTask):
    """The task, with a clock beside it."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}

    @contextmanager
    def _clock(self, name: str) -> Iterator[None]:
        start = time.process_time()
        yield
        self.spent[name] = self.spent.get(name, 0.0) + time.process_time() - start

    def inputs(self, settings: Mapping[str, Any], data: Path | None) -> list[Input]:
        """Plan, and count the time."""
        with self._clock("planning"):
            return super().inputs(settings, data)

    def summarize(self, rows: Sequence[Row]) -> dict[str, float | None]:
        """Make metrics, and count the time."""
        with self._clock("metrics"):
            return super().summarize(rows)

    def intervals(self, rows: Sequence[Row]) -> dict[str, tuple[float, float]]:
        """Make intervals, and count the time."""
        with self._clock("metrics"):
            return super().intervals(rows)

    def compare(self, rows: Mapping[str, Sequence[Row]]) -> list[Comparison]:
        """Test, and count the time."""
        with self._clock("metrics"):
            return super().compare(rows)


def children_s() -> float:
    """Return the CPU seconds of all processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measured(vocals: int) -> dict[str, Any]:
    """Run the suite and return CPU seconds by what they were for, and what there was to do."""
    suite = load_suite("amu_vs_premixnet").on("rendered").only(SCORERS)
    suite = attrs.evolve(suite, settings={**suite.settings, "vocals": vocals, "other_separator": ""})
    task = Watched()
    task.inputs({**suite.settings, "seed": suite.seed}, None)  # renders and measures what is not in the cache
    task.spent.clear()
    runner.load_task = lambda name: task
    measured: list[float] = []
    before, started = children_s(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        result = runner.run(suite, Path(folder), on_row=lambda *_: measured.append(time.process_time()))
        ended = time.process_time()
        publish(result, Path(folder))
        page_s = time.process_time() - ended
    rows = [row for row in result.rows if row.ok]
    scored = sum(row.values["score_cpu_s"] for row in rows)
    whole = sum(row.cpu_s for row in rows if row.cpu_s is not None)
    spent = {
        "component": scored,
        "preparing": whole - scored,
        "loading": children_s() - before - whole,
        "planning": task.spent["planning"],
        "setup": measured[0] - started - task.spent["planning"],
        "rows": ended - measured[0] - task.spent["metrics"],
        "metrics": task.spent["metrics"],
        "page": page_s,
    }
    return {
        "cpu_s": spent, "rows": len(rows), "competitors": len(SCORERS), "vocals": vocals,
        "machine": attrs.asdict(result.machine), "environment": environment(),
    }  # fmt: skip


def table(result: Mapping[str, Any]) -> str:
    """Return the result as Markdown."""
    spent, total = result["cpu_s"], sum(result["cpu_s"].values())
    lines = [
        "# What the benchmark itself costs",
        "",
        f"Made by `python benchmarks/harness.py --write` on {result['machine']['cores']} cores: "
        f"{result['rows']:,} scores of {result['competitors']} rules, {result['vocals']} vocals of rendered songs.",
        "",
        "| CPU seconds | share | for |",
        "|---|---|---|",
    ]
    lines += [f"| {spent[name]:.2f} | {100 * spent[name] / total:.1f} % | {title} |" for name, title in TITLES.items()]
    around, row_ms = sum(spent[name] for name in AROUND), 1000 * spent["rows"] / result["rows"]
    lines += [
        "",
        f"The runner takes {100 * spent['rows'] / total:.1f} % of this run, {row_ms:.2f} ms a row; the target is "
        f"{100 * TARGET:.0f} %. What is done once a run ({', '.join(AROUND)}) takes {around:.1f} s: within the target "
        f"together with the runner where the rest takes {(around + spent['rows']) * (1 / TARGET - 1) / 60:.0f} minutes "
        "or more.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure, print, and keep on demand."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vocals", type=positive, default=12, help="default: %(default)s")
    parser.add_argument("--write", action="store_true", help="keep the result in benchmarks/results")
    arguments = parser.parse_args()
    path = RESULTS / "harness.json"
    if arguments.write:
        refuse_fewer(parser, path, "vocals", arguments.vocals)
    result = measured(arguments.vocals)
    print(table(result))
    if arguments.write:
        write_results(path, result, table(result), indent=1)


if __name__ == "__main__":
    run_script(main)
