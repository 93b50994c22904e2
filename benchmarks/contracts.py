"""How long the contract suite of each plugin takes: all its contract classes in one pytest process, on one thread.

Seconds are of the process and what it starts, Python's and pytest's own start included; classes marked slow are run
apart. Prints a table, and with --write keeps it as benchmarks/results/contracts.json and contracts.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from pathlib import Path
from typing import Any

from script import RESULTS, run_script, write_results

from mashkit.rendering.output import environment

ROOT = Path(__file__).parents[1]
TARGET_S = 60.0
PYTEST = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider"]
_LIST = """
import json, sys
import pytest

class Lister:
    def pytest_collection_finish(self, session):
        from mashkit.testing.contracts import ComponentContract  # after pytest has prepared its assertions
        nodes = {}
        for item in session.items:
            if item.cls is not None and issubclass(item.cls, ComponentContract):
                nodes[item.nodeid.rsplit("::", 1)[0]] = item.get_closest_marker("slow") is not None
        print("\\n" + json.dumps(nodes))

pytest.main(["--collect-only", "-qq", "-p", "no:xdist", *sys.argv[1:]], plugins=[Lister()])
"""


def contract_classes(plugin: Path) -> dict[str, bool]:
    """Return the contract classes in a plugin's tests, as pytest names them, and whether they are slow."""
    said = subprocess.run(  # noqa: S603 — ours
        [sys.executable, "-c", _LIST, str(plugin / "tests")], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    found: dict[str, bool] = json.loads(next(line for line in said.splitlines() if line.startswith("{")))
    return found


def run(nodes: list[str]) -> dict[str, Any]:
    """Run contract classes in one process and return what it took and what came out."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        variables = {**os.environ, "OMP_NUM_THREADS": "1", "MASHKIT_CACHE": folder}
        subprocess.run(  # noqa: S603 — ours
            [*PYTEST, f"--junitxml={report}", *nodes], cwd=ROOT, env=variables, capture_output=True, check=False
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cases = list(ElementTree.parse(report).iter("testcase"))  # noqa: S314 — pytest wrote it just now
    outcomes: defaultdict[str, int] = defaultdict(int)
    slowest: defaultdict[str, float] = defaultdict(float)
    for case in cases:
        kind = next((child.get("type") or child.tag for child in case if child.tag not in ("properties",)), "passed")
        outcomes["xfailed" if kind == "pytest.xfail" else "skipped" if kind == "pytest.skip" else kind] += 1
        slowest[case.attrib["name"].partition("[")[0]] += float(case.attrib["time"])
    name, seconds = max(slowest.items(), key=lambda pair: pair[1])
    return {
        "classes": [node.rpartition("::")[2] for node in nodes],
        "outcomes": dict(outcomes),
        "cpu_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "wall_s": time.perf_counter() - start,
        "slowest": name,
        "slowest_wall_s": seconds,
        "load": os.getloadavg()[0],
    }


def write(rows: dict[str, Any]) -> None:
    """Keep the rows with those measured before, as JSON and as the page made from it."""
    path = RESULTS / "contracts.json"
    rows = dict(sorted(((json.loads(path.read_text())["rows"] if path.exists() else {}) | rows).items()))
    result = {
        "target_s": TARGET_S,
        "rows": rows,
        "machine": {"cores": os.cpu_count(), "processor": platform.processor() or platform.machine()},
        "environment": environment(),
    }
    lines = [
        "# The contract suite of each plugin",
        "",
        f"Made by `python benchmarks/contracts.py --write` on {os.cpu_count()} cores: all contract classes of a plugin"
        " in one process, on one thread, its start included. The wall clock counts what else the machine did; the load"
        f" says how much that was. Target: under {TARGET_S:g} s.",
        "",
        "| plugin | classes | outcome | CPU, s | wall, s | load | slowest check |",
        "|---|---|---|---|---|---|---|",
        *(
            f"| {name} | {', '.join(row['classes'])} |"
            f" {', '.join(f'{count} {outcome}' for outcome, count in row['outcomes'].items())}"
            f" | {row['cpu_s']:.0f} | {row['wall_s']:.0f} | {row['load']:.1f} | `{row['slowest']}` |"
            for name, row in rows.items()
        ),
        "",
    ]
    write_results(path, result, "\n".join(lines), indent=2)


def main() -> None:
    """Run each plugin's contract classes and print what they take."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plugins", nargs="*", metavar="PLUGIN", help="such as librosa; default: all")
    parser.add_argument("--write", action="store_true", help="keep the result in benchmarks/results")
    arguments = parser.parse_args()
    for plugin in sorted((ROOT / "plugins").iterdir()):
        if arguments.plugins and plugin.name.removeprefix("mashkit-") not in arguments.plugins:
            continue
        classes = contract_classes(plugin)
        for slow in sorted(set(classes.values())):
            name = f"{plugin.name}{', slow' if slow else ''}"
            row = run([node for node, is_slow in classes.items() if is_slow == slow])
            print(
                f"{name:<30} {row['cpu_s']:6.1f} s CPU {row['wall_s']:6.1f} s wall  {dict(row['outcomes'])}"
                f"  {row['slowest']} {row['slowest_wall_s']:.1f} s",
                flush=True,
            )
            if arguments.write:
                write({name: row})


if __name__ == "__main__":
    run_script(main)
