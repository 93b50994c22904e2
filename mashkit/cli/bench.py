"""The arguments and the output of `mashkit bench`. The import is quick, because every `mashkit --help` needs it."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mashkit.cli.actions import Commands, add_actions, add_dry_run, positive
from mashkit.cli.status import DONE, FAILED, NOT_IN_ORDER, PARTLY
from mashkit.paths import path_text

if TYPE_CHECKING:
    from mashkit.bench.records import Row
    from mashkit.bench.results import Result
    from mashkit.bench.runner import Ahead
    from mashkit.bench.suite import Suite
    from mashkit.registry import Registry

SUMMARY = "Compare components of one kind on the same inputs: a table, a page, every number behind them."


LOST = ("failed", "timeout")
"""Statuses of rows in which a competitor failed."""


def add_parser(commands: Commands) -> None:
    """Add `bench` and its subcommands to the command line."""
    action = add_actions(commands, "bench", SUMMARY)
    running = action("run", "Run a suite; an interrupted run continues, and measures nothing twice.", _run)
    running.add_argument("suite", metavar="SUITE", help="name of a suite (`mashkit bench list`), or a .toml file")
    running.add_argument("-o", "--output", type=Path, default=Path("bench"), metavar="FOLDER",
                         help="where the results go; default: %(default)s")  # fmt: skip
    running.add_argument(
        "--data", type=Path, metavar="FOLDER", help="folder of the real recordings that the suite needs"
    )
    running.add_argument("--add", action="append", default=[], metavar="COMPONENT[:OPTION=VALUE,…]",
                         help="also measure this component, with or without --only; repeatable")  # fmt: skip
    running.add_argument("--only", action="append", default=[], metavar="COMPONENT",
                         help="measure only this component of the suite, by name or label; repeatable; the result "
                         "keeps the others' measurements of an earlier run")  # fmt: skip
    running.add_argument("--jobs", type=positive, default=1, metavar="N",
                         help="competitors at a time; default: %(default)s, for times that can be trusted")  # fmt: skip
    running.add_argument(
        "--collection", metavar="NAME", help="run on this collection instead: see `mashkit bench data`"
    )
    running.add_argument("--set", action="append", default=[], metavar="SETTING=VALUE", dest="settings",
                         help="change a setting, to try a suite in little: vocals=2; repeatable")  # fmt: skip
    add_dry_run(running, "say what is measured already and how long the rest would take")
    _add_audio(running)
    action("list", "List suites and tasks.", _list)
    music = action("data", "List the collections of music for suites: present, computed, or to be downloaded.", _data)
    music.add_argument("--data", type=Path, metavar="FOLDER", help="where to look for recordings")
    report = action("report", "Make the pages of results again.", _report)
    report.add_argument(
        "results", type=Path, nargs="+", metavar="RESULT.json", help="results that `mashkit bench run` wrote"
    )
    report.add_argument("-o", "--output", type=Path, metavar="FILE.html",
                        help="the page to write, of one result; a result of an earlier mashkit, with its rows inside, "
                        "is converted without it; default: the page and the table beside each result")  # fmt: skip
    report.add_argument("--recompute", action="store_true",
                        help="compute metrics, intervals, tests and order from the rows by this version’s rules, and "
                        "write the result again, too")  # fmt: skip
    report.add_argument("--baseline", metavar="COMPETITOR",
                        help="with --recompute: compare everybody with this one, not with the suite’s")  # fmt: skip
    report.add_argument("--data", type=Path, metavar="FOLDER", help="the recordings it was made from, for --audio")
    _add_audio(report)
    exporting = action("export", "Write a result's tables and raw scores for other programs.", _export)
    exporting.add_argument("result", type=Path, metavar="RESULT.json", help="what `mashkit bench run` wrote")
    exporting.add_argument("--format", choices=("csv", "latex", "parquet"), default="csv",
                           help="csv and parquet: the table, the tests and every row; latex: the table and the tests; "
                           "default: %(default)s")  # fmt: skip
    exporting.add_argument("--metric", action="append", default=[], metavar="NAME", dest="metrics",
                           help="for latex: show this metric; repeatable; without it those of the ranking")  # fmt: skip
    exporting.add_argument("-o", "--output", type=Path, default=Path(), metavar="FOLDER",
                           help="where the files go; default: %(default)s")  # fmt: skip
    comparing = action("compare", "Compare two results of one suite; with --fail-on, fail if one got worse.", _compare)
    comparing.add_argument("old", type=Path, metavar="A.json", help="the result to compare with")
    comparing.add_argument("new", type=Path, metavar="B.json", help="the new result")
    comparing.add_argument(
        "--fail-on", action="append", default=[], metavar="METRIC:CHANGE",
        help=f"exit with {NOT_IN_ORDER} if it changes by more: accuracy:-0.5%%; repeatable",
    )  # fmt: skip
    board = action(
        "leaderboard",
        "Make one page of all results in a folder; competitors of comparable results share a table.",
        _leaderboard,
    )
    board.add_argument("folder", type=Path, metavar="FOLDER", help="folder of results (.json)")
    board.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.html", help="the page to write")


def _add_audio(parser: argparse.ArgumentParser) -> None:
    said = "add the sounds that competitors picked to the page; publish it only if their licences allow that"
    parser.add_argument("--audio", action="store_true", help=said)


def _run(arguments: argparse.Namespace) -> int:
    from mashkit.atomicfile import require_possible_folder
    from mashkit.bench.charts import require_matplotlib
    from mashkit.bench.compare import with_earlier
    from mashkit.bench.page import judged_apart, publish, require_replaceable_files
    from mashkit.bench.results import require_pyarrow
    from mashkit.bench.runner import run, what_is_ahead
    from mashkit.cli.console import print_json, say
    from mashkit.cli.progress import ProgressListener
    from mashkit.hookspecs import StageEvent
    from mashkit.registry import Registry

    require_matplotlib()
    require_pyarrow()
    _require_data(arguments)
    suite = _suite(arguments)
    registry = Registry()
    _require_added(suite, arguments.add, registry)
    require_replaceable_files(arguments.output, suite.name)

    said: set[tuple[str, str]] = set()

    def on_row(row: Row, known: bool, done: int, total: int) -> None:
        # A competitor that fails on many inputs for one reason is reported once.
        failed = row.status in LOST and (row.label, row.reason) not in said
        said.add((row.label, row.reason))
        item = f"{row.label}: {row.input}"
        event = StageEvent(
            stage="bench",
            item=item,
            state="failed" if failed else "cached" if known else "done",
            done=done,
            total=total,
            message=f"{item}: {row.status}: {row.reason}" if failed else "",
        )
        registry.plugins.hook.mashkit_stage(event=event)

    def notify(event: StageEvent) -> None:
        registry.plugins.hook.mashkit_stage(event=event)

    if arguments.dry_run:
        require_possible_folder(arguments.output)
        with ProgressListener(registry, quiet=arguments.quiet):
            ahead = what_is_ahead(suite, arguments.output, data=arguments.data, registry=registry, notify=notify)
        return _say_what_is_ahead(ahead, arguments, _named(arguments, suite))
    with ProgressListener(registry, quiet=arguments.quiet):
        measured = run(
            suite, arguments.output, data=arguments.data, jobs=arguments.jobs, registry=registry, on_row=on_row,
            notify=notify,
        )  # fmt: skip
    result, notes = with_earlier(measured, arguments.output)
    paths = publish(result, arguments.output, _sounds(arguments, result))
    apart, unavailable = judged_apart(result), _unavailable(measured)
    if arguments.json:
        missing = [{"name": name, "reason": reason} for name, reason in unavailable.items()]
        print_json(result.to_dict() | {"notes": notes, "unavailable": missing, "judged_apart": apart})
    else:
        _print_result(result)
    for label, reason in unavailable.items():
        say(f"unavailable: {label}: {reason}")
    for note in (*notes, *apart):
        say(note)
    say(f"page: {paths[1]}")
    return _status(measured, _named(arguments, suite))


def _say_what_is_ahead(found: Sequence[Ahead], arguments: argparse.Namespace, named: frozenset[str]) -> int:
    """Print what a run would do; the exit status is that of such a run if it measures all that it can."""
    import attrs

    from mashkit.cli.console import print_json, print_table, say

    missing = [one.label for one in found if one.reason]
    status = FAILED if len(missing) == len(found) else PARTLY if named & set(missing) else DONE
    if arguments.json:
        print_json({"dry_run": True, "competitors": [attrs.asdict(one) for one in found]})
        return status
    print_table(
        ("competitor", "measured", "to measure", "not here", "about", ""),
        [
            (one.label, one.measured, one.ahead, one.missing,
             "–" if one.estimated_s is None else f"{one.estimated_s:.0f} s", one.reason)
            for one in found
        ],
    )  # fmt: skip
    known = [one for one in found if one.estimated_s is not None]
    unknown = sum(one.ahead for one in found if one.estimated_s is None)
    seconds = sum(one.estimated_s or 0.0 for one in known)
    parts = [f"{sum(one.ahead for one in known)} to measure in about {seconds:.0f} s"] if known or not unknown else []
    parts += [f"{unknown} to measure by competitors without a row, which could tell how long"] if unknown else []
    say(f"dry run: {', '.join(parts)}; nothing was measured or written")
    return status


def _require_data(arguments: argparse.Namespace) -> None:
    from mashkit.errors import UsageError

    if arguments.data is not None and not arguments.data.is_dir():
        raise UsageError(f"--data {arguments.data}: no such folder", "see `mashkit bench data`")


def _named(arguments: argparse.Namespace, suite: Suite) -> frozenset[str]:
    """Return the labels of the competitors that the command line names; other competitors may be missing."""
    from mashkit.bench.suite import Competitor

    added = {Competitor.parse(text).label for text in arguments.add}
    return frozenset(one.label for one in suite.competitors if {one.label, one.component} & {*added, *arguments.only})


def _require_added(suite: Suite, added: Sequence[str], registry: Registry) -> None:
    """Raise UnknownComponent or OptionError for an impossible competitor, before any competitor is measured."""
    from mashkit.bench.suite import Competitor
    from mashkit.bench.tasks import load_task
    from mashkit.errors import MashkitError, UsageError

    for one in map(Competitor.parse, added):
        if "@" in one.component:
            continue  # it would have to be made where it runs
        kind = load_task(suite.task).kind
        try:
            if one.options or not one.component.replace("-", "").isalnum():
                registry.create(kind, one.component, one.options)
            else:
                registry.find(kind, one.component)  # imports nothing: what it does then is measured in its own process
        except UsageError:
            raise
        except MashkitError:
            continue  # a missing component becomes a row like any other


def _sounds(arguments: argparse.Namespace, result: Result) -> dict[str, str] | None:
    from mashkit.bench.audition import sounds

    return sounds(result, arguments.data) if arguments.audio else None


def _suite(arguments: argparse.Namespace) -> Suite:
    from mashkit.bench.suite import Competitor, load_suite

    added = [Competitor.parse(text) for text in arguments.add]
    suite = load_suite(arguments.suite).extended(added)
    if arguments.collection:
        suite = suite.on(arguments.collection)
    if arguments.settings:
        suite = suite.trying(arguments.settings)
    return suite.only(arguments.only, besides=[one.label for one in added]) if arguments.only else suite


def _print_result(result: Result) -> None:
    from mashkit.bench.page import measured_metrics, shown_value
    from mashkit.cli.console import print_table
    from mashkit.pages import number

    # The terminal shows only the metrics of the ranking that have values, because it is narrow; the page shows all.
    measured = measured_metrics(result)
    metrics = [metric for metric in measured if metric.weight] or measured
    print_table(
        ("rank", "competitor", "score", *(metric.name for metric in metrics)),
        [
            (one.rank, one.label, number(one.score, 0),
             *(shown_value(metric, one.metrics[metric.name]) for metric in metrics))
            for one in result.measured
        ],
    )  # fmt: skip
    # The reasons have a table of their own, because they are longer than the numbers.
    without = [(one.label, one.reason) for one in result.competitors if not one.metrics]
    if without:
        print_table(("not measured", "why"), without)
    failed = [
        (one.label, f"{len(rows)} of its inputs: {rows[0].reason}")
        for one in result.measured
        if (rows := [row for row in result.rows if row.label == one.label and row.status in LOST])
    ]
    if failed:
        print_table(("failed in part", "why"), failed)


def _unavailable(result: Result) -> dict[str, str]:
    """Return the missing competitors by label and the missing inputs by measure, with the reasons."""
    found: dict[str, str] = {}
    for row in result.rows:
        if row.status == "unavailable":
            found.setdefault(row.measure if row.input_missing else row.label, row.reason)
    return found


def _status(result: Result, named: frozenset[str]) -> int:
    """Return the exit status of a run: PARTLY if a row failed, or a competitor that was named is missing."""
    statuses = [row.status for row in result.rows]
    if "ok" not in statuses:
        return FAILED
    missing = any(one.label in named and not one.metrics for one in result.competitors)
    return PARTLY if missing or set(LOST) & set(statuses) else DONE


def _list(arguments: argparse.Namespace) -> int:
    from mashkit.bench.registered import tasks as known_tasks
    from mashkit.bench.suite import known_suites
    from mashkit.bench.tasks import load_task
    from mashkit.cli.console import print_json, print_table, say
    from mashkit.errors import MashkitError

    suites = [
        {"name": suite.name, "task": suite.task, "competitors": len(suite.competitors), "summary": suite.summary}
        for suite in known_suites().values()
    ]
    tasks = []
    for name in known_tasks():
        try:
            task = load_task(name)
        except MashkitError as error:  # the other tasks can be used
            say(f"left out: {error}")
            continue
        tasks.append({"name": name, "kind": task.kind, "summary": task.summary})
    if arguments.json:
        print_json({"suites": suites, "tasks": tasks})
        return DONE
    lines = [("suite", one["name"], f"{one['competitors']} competitors", one["summary"]) for one in suites]
    lines += [("task", one["name"], f"for {one['kind']}s", one["summary"]) for one in tasks]
    print_table(("", "name", "", "what"), lines)
    return DONE


def _report(arguments: argparse.Namespace) -> int:
    from mashkit.bench.charts import require_matplotlib
    from mashkit.cli.console import print_json, say
    from mashkit.cli.outputs import require_output
    from mashkit.errors import OutputError, UsageError
    from mashkit.products import OUR_PAGE

    require_output(arguments.output, OUR_PAGE, *arguments.results)
    require_matplotlib()
    _require_data(arguments)
    if arguments.baseline is not None and not arguments.recompute:
        raise UsageError(f"--baseline {arguments.baseline} changes only what is computed", "add --recompute")
    many = len(arguments.results) > 1
    if many and arguments.output is not None:
        raise UsageError(f"-o {arguments.output}: one page for {len(arguments.results)} results", "give one, or no -o")
    pages, refused = [], {}
    for path in arguments.results:
        try:
            pages.append(_make_again(arguments, path))
        except (UsageError, OutputError) as error:
            if not many:
                raise
            refused[path] = str(error)
            say(f"not made: {error}")
    if arguments.json and arguments.output is None:
        print_json({"pages": [path_text(path) for path in pages], "refused": _with_reasons(refused)})
    elif arguments.json:
        print_json({"page": path_text(arguments.output)})
    else:
        for path in pages:
            print(path)
    if len(pages) == len(arguments.results):
        return DONE
    return PARTLY if pages else FAILED


def _make_again(arguments: argparse.Namespace, path: Path) -> Path:
    """Make the page of the result at ``path``, without --output also its table, and return the page's path."""
    from mashkit.atomicfile import write_text
    from mashkit.bench.page import page, write_pages
    from mashkit.bench.results import FORMAT, read_result, write_result
    from mashkit.bench.runner import recomputed

    result = read_result(path)
    if arguments.recompute:
        result = recomputed(result, arguments.baseline or "")
    sounds = _sounds(arguments, result)
    if arguments.output is not None:
        output: Path = arguments.output
        write_text(output, page(result, sounds))
        return output
    if result.format != FORMAT or arguments.recompute:
        write_result(result, path)
    return write_pages(result, path, sounds)[0]


def _export(arguments: argparse.Namespace) -> int:
    from mashkit.bench.export import export
    from mashkit.bench.results import read_result
    from mashkit.cli.console import print_json
    from mashkit.errors import UsageError

    if arguments.metrics and arguments.format != "latex":
        raise UsageError(f"--metric {arguments.metrics[0]}: {arguments.format} has all metrics", "leave out --metric")
    paths = export(read_result(arguments.result), arguments.output, arguments.format, arguments.metrics)
    if arguments.json:
        print_json({"files": [str(path) for path in paths]})
    else:
        for path in paths:
            print(path)
    return DONE


def _compare(arguments: argparse.Namespace) -> int:
    import attrs

    from mashkit.bench.compare import compare
    from mashkit.bench.results import read_result
    from mashkit.cli.console import print_json, print_table, say
    from mashkit.pages import number

    compared = compare(read_result(arguments.old), read_result(arguments.new), arguments.fail_on)
    if arguments.json:
        print_json(attrs.asdict(compared) | {"failures": [attrs.asdict(one) for one in compared.failures]})
    else:
        print_table(
            ("competitor", "metric", "A", "B", "change", "95 % interval", ""),
            [
                (
                    one.label, one.metric, number(one.old, 3), number(one.new, 3),
                    number(None if one.old is None or one.new is None else one.new - one.old, 3),
                    "" if one.low is None else f"{number(one.low, 3)} … {number(one.high, 3)}", one.failed,
                )
                for one in compared.changes
                if one.old != one.new or one.failed
            ],
        )  # fmt: skip
        if not any(one.old != one.new or one.failed for one in compared.changes):
            say("no metric changed")
    for labels, where in ((compared.only_old, arguments.old), (compared.only_new, arguments.new)):
        if labels:
            say(f"only in {where}: {', '.join(labels)}")
    for note in compared.notes:
        say(note)
    for one in compared.failures:
        say(f"failed: {one.label}: {one.metric} from {number(one.old, 3)} to {number(one.new, 3)}")
    return NOT_IN_ORDER if compared.failures else DONE


def _leaderboard(arguments: argparse.Namespace) -> int:
    from mashkit.atomicfile import write_text
    from mashkit.bench.compare import boards
    from mashkit.bench.page import LEADERBOARD_BEGINS, leaderboard
    from mashkit.cli.console import printed, say
    from mashkit.cli.outputs import require_output
    from mashkit.errors import UsageError

    require_output(arguments.output, LEADERBOARD_BEGINS)
    if not arguments.folder.is_dir():
        raise UsageError(f"{arguments.folder}: no such folder")
    found, refused = boards(arguments.folder)
    for path, reason in refused.items():
        say(f"not shown: {path}: {reason}")
    if found:
        write_text(arguments.output, leaderboard([(one.result, one.files) for one in found], refused))
    page = path_text(arguments.output) if found else None
    if not printed({"page": page, "refused": _with_reasons(refused)}, arguments) and found:
        print(arguments.output)
    return FAILED if not found else PARTLY if refused else DONE


def _with_reasons(refused: Mapping[Path, str]) -> list[dict[str, str]]:
    """Return the files that were refused, and why, as data for JSON."""
    return [{"path": path_text(path), "reason": reason} for path, reason in refused.items()]


def _data(arguments: argparse.Namespace) -> int:
    from mashkit.bench.collections import look_for
    from mashkit.cli.console import print_json, print_table

    _require_data(arguments)
    found = look_for(arguments.data)
    if arguments.json:
        print_json(
            [
                {"name": one.card.name, "here": one.here, "folder": None if one.folder is None else str(one.folder),
                 "songs": one.songs, "title": one.card.title, "licence": one.card.licence,
                 "where": one.card.where, "serves": list(one.card.serves)}
                for one in found
            ]
        )  # fmt: skip
        return DONE
    print_table(
        ("collection", "songs", "what", "licence", "where"),
        [
            (one.card.name, one.songs or "–", one.card.title, one.card.licence, one.folder or one.card.where)
            for one in found
        ],
    )  # fmt: skip
    return DONE
