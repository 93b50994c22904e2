"""How long the contract suite of a plugin takes: all its contract classes in one pytest process, on one thread.

Seconds are of the process and what it starts, Python's and pytest's own start included; classes marked slow are run
apart. Prints a table, and with --write keeps it as benchmarks/results/contracts.json and contracts.md.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from pathlib import Path
from typing import Any

from script import RESULTS, circumstances, run_script, write_results

from mashkit.errors import MashkitError

ROOT = Path(__file__).parents[1]
PLUGINS = sorted(path.name for path in (ROOT / "plugins").iterdir() if path.is_dir())
TARGET_S = 60.0
PYTEST = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider"]
_LIST = """
import json, sys
import pytest

class Lister:
    def pytest_collection_finish(self, session):
        from mashkit.testing.contracts.component import ComponentContract  # after pytest has prepared its assertions
        nodes = {}
        for item in session.items:
            if item.cls is not None and issubclass(item.cls, ComponentContract):
                nodes[item.nodeid.rsplit("::", 1)[0]] = item.get_closest_marker("slow") is not None
        print("\\n" + json.dumps(nodes))

pytest.main(["--collect-only", "-qq", "-p", "no:xdist", *sys.argv[1:]], plugins=[Lister()])
"""


def contract_classes(plugin: Path) -> dict[str, bool]:
    """Return the contract classes in a plugin's tests, as pytest names them, and whether they are slow."""
    ran = subprocess.run(  # noqa: S603 — ours
        [sys.executable, "-c", _LIST, str(plugin / "tests")], cwd=ROOT, capture_output=True, text=True
    )
    lines = ran.stdout.splitlines()
    listed = next((line for line in lines if line.startswith("{")), None)
    if listed is None:
        told = [line for line in [*lines, *ran.stderr.splitlines()] if line.strip()]
        raise MashkitError(
            f"pytest cannot list the tests of {plugin.name}: {told[-1] if told else 'it said nothing'}",
            f"run pytest --collect-only {plugin / 'tests'}",
        )
    found: dict[str, bool] = json.loads(listed)
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
        **circumstances(),
    }


def page(result: dict[str, Any]) -> str:
    """Return the page made from the rows; plugins without a row are named."""
    rows = result["rows"]
    missing = [name for name in PLUGINS if name not in {row.partition(",")[0] for row in rows}]
    lines = [
        "# How long contract suites take",
        "",
        "Made by `python benchmarks/contracts.py --write`: all contract classes of a plugin in one process, on one"
        " thread, its start included. The wall clock counts what else the machine did; the load says how much that was."
        f" Each row is as old as its date. Target: under {result['target_s']:g} s.",
        "",
        "| plugin | classes | outcome | CPU, s | wall, s | cores | load | slowest check | date |",
        "|---|---|---|---|---|---|---|---|---|",
        *(
            f"| {name} | {', '.join(row['classes'])} |"
            f" {', '.join(f'{count} {outcome}' for outcome, count in row['outcomes'].items())}"
            f" | {row['cpu_s']:.0f} | {row['wall_s']:.0f} | {row['cores']} | {row['load']:.1f} | `{row['slowest']}`"
            f" | {row['date']} |"
            for name, row in rows.items()
        ),
        "",
    ]
    if missing:
        lines += [f"Not installed, not measured, or without contract classes: {', '.join(missing)}.", ""]
    return "\n".join(lines)


def write(rows: dict[str, Any]) -> None:
    """Keep the rows with those measured before, as JSON and as the page made from it."""
    path = RESULTS / "contracts.json"
    kept = json.loads(path.read_text())["rows"] if path.exists() else {}
    result = {"target_s": TARGET_S, "rows": dict(sorted((kept | rows).items()))}
    write_results(path, result, page(result))


def main() -> None:
    """Run each plugin's contract classes and print what they take."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plugins", nargs="*", metavar="PLUGIN", help="such as librosa; default: all")
    parser.add_argument("--write", action="store_true", help="keep the result in benchmarks/results")
    arguments = parser.parse_args()
    names = [f"mashkit-{name}" for name in arguments.plugins] or PLUGINS
    if unknown := [name for name in names if name not in PLUGINS]:
        parser.error(f"there is no plugin {', '.join(unknown)} in {ROOT / 'plugins'}")
    for plugin in names:
        classes = contract_classes(ROOT / "plugins" / plugin)
        for slow in sorted(set(classes.values())):
            name = f"{plugin}{', slow' if slow else ''}"
            row = run([node for node, is_slow in classes.items() if is_slow == slow])
            print(
                f"{name:<30} {row['cpu_s']:6.1f} s CPU {row['wall_s']:6.1f} s wall  {dict(row['outcomes'])}"
                f"  {row['slowest']} {row['slowest_wall_s']:.1f} s",
                flush=True,
            )
            if arguments.write and set(row["outcomes"]) != {"skipped"}:  # else the component is not installed
                write({name: row})


if __name__ == "__main__":
    run_script(main)
