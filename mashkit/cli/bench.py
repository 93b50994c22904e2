"""`mashkit bench`: its arguments, and what it prints. Light on import: every `mashkit --help` builds the parser."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mashkit.cli.actions import Commands, add_actions

if TYPE_CHECKING:
    from mashkit.bench.suite import Suite
    from mashkit.bench.tasks import Row

SUMMARY = "Compare components of one kind on the same inputs: a table, a page, every number behind them."


def add_parser(commands: Commands, epilog: str) -> None:
    """Add `bench` and its three subcommands to the command line."""
    action = add_actions(commands, "bench", SUMMARY, epilog)
    running = action("run", "Run a suite; what an interrupted run has measured is not measured again.")
    running.add_argument("suite", metavar="SUITE", help="name of a built-in suite, or a .toml file")
    running.add_argument("-o", "--output", type=Path, default=Path("bench"), metavar="FOLDER",
                         help="where the results go; default: %(default)s")  # fmt: skip
    running.add_argument("--data", type=Path, metavar="FOLDER", help="real recordings the suite asks for")
    running.add_argument("--add", action="append", default=[], metavar="COMPONENT[:OPTION=VALUE,…]",
                         help="let another one compete; repeatable")  # fmt: skip
    running.add_argument("--only", action="append", default=[], metavar="COMPONENT",
                         help="only this component, or the one with this label; repeatable")  # fmt: skip
    running.add_argument("--jobs", type=int, default=1, metavar="N",
                         help="competitors at a time; default: %(default)s, for times that can be trusted")  # fmt: skip
    action("list", "List suites and tasks.")
    report = action("report", "Make the page of a result again.")
    report.add_argument("result", type=Path, metavar="RESULT.json", help="what `mashkit bench run` wrote")
    report.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.html", help="the page to write")


def bench(arguments: argparse.Namespace) -> int:
    """Run, list or report benchmarks."""
    return {"run": _run, "list": _list, "report": _report}[arguments.action](arguments)


def _run(arguments: argparse.Namespace) -> int:
    from mashkit.bench.charts import require_matplotlib
    from mashkit.bench.page import publish
    from mashkit.bench.runner import run
    from mashkit.cli.commands import _print_json, _say
    from mashkit.cli.progress import ProgressListener
    from mashkit.errors import UsageError
    from mashkit.hookspecs import StageEvent
    from mashkit.registry import Registry

    require_matplotlib()
    if arguments.jobs < 1:
        raise UsageError(f"--jobs {arguments.jobs}", "give a whole number of 1 or more")
    if arguments.data is not None and not arguments.data.is_dir():
        raise UsageError(f"--data {arguments.data}: no such folder")
    suite = _suite(arguments)
    registry = Registry()

    said: set[tuple[str, str]] = set()

    def heard(row: Row, known: bool, done: int, total: int) -> None:
        # One that fails everywhere for one reason says it once.
        failed = row["status"] in ("failed", "timeout") and (row["label"], row["reason"]) not in said
        said.add((row["label"], row["reason"]))
        item = f"{row['label']}: {row['input']}"
        event = StageEvent(
            stage="bench",
            item=item,
            state="failed" if failed else "cached" if known else "done",
            done=done,
            total=total,
            message=f"{item}: {row['status']}: {row['reason']}" if failed else "",
        )
        registry.plugins.hook.mashkit_stage(event=event)

    with ProgressListener(registry, quiet=arguments.quiet):
        result = run(suite, arguments.output, data=arguments.data, jobs=arguments.jobs, registry=registry, heard=heard)
    paths = publish(result, arguments.output)
    if arguments.json:
        _print_json(result)
    else:
        _print_result(result)
    for label, reason in _unavailable(result).items():
        _say(f"unavailable: {label}: {reason}")
    _say(f"page: {paths[1]}")
    return _status(result)


def _suite(arguments: argparse.Namespace) -> Suite:
    from mashkit.bench.suite import Competitor, load_suite

    suite = load_suite(arguments.suite).extended(Competitor.parse(text) for text in arguments.add)
    return suite.only(arguments.only) if arguments.only else suite


def _print_result(result: Mapping[str, Any]) -> None:
    from mashkit.bench.page import shown_value
    from mashkit.cli.commands import _print_table

    metrics = result["metrics"]
    _print_table(
        ("rank", "competitor", "score", *(metric["name"] for metric in metrics)),
        [
            (one["rank"], one["label"], f"{one['score']:.0f}",
             *(shown_value(one["metrics"][metric["name"]], metric["digits"]) for metric in metrics))
            for one in result["competitors"]
            if one["metrics"] is not None
        ],
    )  # fmt: skip


def _unavailable(result: Mapping[str, Any]) -> dict[str, str]:
    """Return what was not there, and why: whole competitors by name, inputs together."""
    found: dict[str, str] = {}
    for row in result["rows"]:
        if row["status"] == "unavailable":
            found.setdefault(row["measure"] if row["input_missing"] else row["label"], row["reason"])
    return found


def _status(result: Mapping[str, Any]) -> int:
    from mashkit.cli.commands import DONE, FAILED, PARTLY

    statuses = [row["status"] for row in result["rows"]]
    if "ok" not in statuses:
        return FAILED
    return PARTLY if {"failed", "timeout"} & set(statuses) else DONE


def _list(arguments: argparse.Namespace) -> int:
    from mashkit.bench.suite import builtin_suites
    from mashkit.bench.tasks import TASKS, load_task
    from mashkit.cli.commands import DONE, _print_json, _print_table

    suites = [
        {"name": suite.name, "task": suite.task, "competitors": len(suite.competitors), "summary": suite.summary}
        for suite in builtin_suites().values()
    ]
    tasks = [{"name": name, "kind": (task := load_task(name)).kind, "summary": task.summary} for name in TASKS]
    if arguments.json:
        _print_json({"suites": suites, "tasks": tasks})
        return DONE
    lines = [("suite", one["name"], f"{one['competitors']} competitors", one["summary"]) for one in suites]
    lines += [("task", one["name"], f"for {one['kind']}s", one["summary"]) for one in tasks]
    _print_table(("", "name", "", "what"), lines)
    return DONE


def _report(arguments: argparse.Namespace) -> int:
    from mashkit.atomicfile import write_text
    from mashkit.bench.charts import require_matplotlib
    from mashkit.bench.page import page, read_result
    from mashkit.cli.commands import DONE

    require_matplotlib()
    write_text(arguments.output, page(read_result(arguments.result)))
    if arguments.json:
        print(json.dumps({"page": str(arguments.output)}))
    else:
        print(arguments.output)
    return DONE
