"""A result's tables and raw scores for other programs: CSV, LaTeX and Parquet."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import attrs

from mashkit.atomicfile import replacing, require_no_other_kind, write_text
from mashkit.bench.page import shown_value
from mashkit.bench.ranking import Metric
from mashkit.bench.records import Entry
from mashkit.bench.results import Result, require_pyarrow, value_names
from mashkit.errors import OutputError, UsageError, suggestion
from mashkit.pages import number, sentence
from mashkit.pages.exports import csv_text, latex_table, one_line
from mashkit.paths import is_file, path_text
from mashkit.products import require_replaceable_text

Format: TypeAlias = Literal["csv", "latex", "parquet"]
FORMATS: tuple[Format, ...] = ("csv", "latex", "parquet")
_KNOWN_BY = 3
"""Number of columns by which an earlier export is recognized; the later ones depend on the metrics."""
TABLE, TESTS, SCORES = "table", "tests", "scores"
"""Parts of the files' names: competitors by metrics, tests between competitors, and all rows."""


@attrs.frozen
class Columns:
    """A table: heads, and rows of texts, numbers, whether something is so, or nothing."""

    heads: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


def export(result: Result, folder: Path, kind: Format, names: Sequence[str] = ()) -> list[Path]:
    """Write a result's tables into a folder, and return the paths.

    CSV and Parquet: ``<suite>.table`` (a row for each competitor), ``<suite>.tests`` and ``<suite>.scores`` (every row,
    all digits). LaTeX: one ``<suite>.tex`` with the first two; raw scores are nothing to typeset.

    Parameters
    ----------
    result : Result
        With its rows.
    folder : Path
    kind : {"csv", "latex", "parquet"}
    names : sequence of str
        Names of the metrics that LaTeX shows, in this order; default: those that the order is made of.

    Raises
    ------
    UsageError
        If there is no metric of a name.
    OutputError
        If a file cannot be written, or one of these names is a file that mashkit did not write.
    MashkitError
        If Parquet needs pyarrow, which is not installed.
    """
    known = {metric.name: metric for metric in result.metrics}
    for name in names:
        if name not in known:
            raise UsageError(f"no metric is called {name!r}", suggestion(name, known))
    if kind == "latex":
        path = folder / f"{result.suite.name}.tex"
        require_replaceable_text(path, "% .*; suite .*, finished ")
        write_text(path, latex(result, [known[name] for name in names]))
        return [path]
    write, require, suffix = _WRITERS[kind]
    tables = {TABLE: table_of(result), TESTS: tests_of(result), SCORES: scores_of(result)}
    made = {folder / f"{result.suite.name}.{name}{suffix}": columns for name, columns in tables.items()}
    for path, columns in made.items():
        require(path, columns.heads[:_KNOWN_BY])
    for path, columns in made.items():
        write(columns, path)
    return list(made)


# ----------------------------------------------------------------------------------------------------------- columns
def table_of(result: Result) -> Columns:
    """Return competitors, best first, by metrics; each metric has its interval and its range over draws if any has."""
    heads = ["competitor", "component", "options", "rank", "score", "reason"]
    rows: list[list[Any]] = [
        [one.label, one.component, json.dumps(dict(one.options)), one.rank, one.score, one.reason]
        for one in result.competitors
    ]
    for metric in result.metrics:
        name = metric.name
        columns = {name: [one.metrics.get(name) for one in result.competitors]}
        ends = [one.intervals.get(name) for one in result.competitors]
        drawn = [one.draws.get(name) for one in result.competitors]
        if any(ends):
            columns[f"{name}.low"] = [None if pair is None else pair[0] for pair in ends]
            columns[f"{name}.high"] = [None if pair is None else pair[1] for pair in ends]
        if any(drawn):
            columns[f"{name}.draws_low"] = [min(values) if values else None for values in drawn]
            columns[f"{name}.draws_high"] = [max(values) if values else None for values in drawn]
        heads += columns
        for place, row in enumerate(rows):
            row += [column[place] for column in columns.values()]
    return Columns(tuple(heads), tuple(map(tuple, rows)))


def tests_of(result: Result) -> Columns:
    """Return the tests between competitors, as :class:`mashkit.bench.comparisons.Comparison` has them."""
    from mashkit.bench.comparisons import Comparison

    heads = tuple(field.name for field in attrs.fields(Comparison))
    return Columns(heads, tuple(attrs.astuple(one, recurse=False) for one in result.comparisons))


def scores_of(result: Result) -> Columns:
    """Return every row with its numbers and the facts of its input; facts that are not text or number are JSON."""
    names = value_names(result.rows)
    facts = list(dict.fromkeys(name for row in result.rows for name in row.facts))
    fields = ("label", "component", "input", "measure", "status", "reason", "wall_s", "cpu_s")
    heads = (*fields, "trained_on", *(f"facts.{name}" for name in facts), *(f"values.{name}" for name in names))
    rows = [
        (*(getattr(row, field) for field in fields), "; ".join(row.trained_on),
         *(_plain(row.facts.get(name)) for name in facts), *(row.values.get(name) for name in names))
        for row in result.rows
    ]  # fmt: skip
    return Columns(heads, tuple(rows))


def _plain(fact: Any) -> Any:
    return fact if fact is None or isinstance(fact, str | int | float) else json.dumps(fact, ensure_ascii=False)


# ------------------------------------------------------------------------------------------------------------- files
def _write_csv(columns: Columns, path: Path) -> None:
    # Floats are written with all digits (repr), and an empty cell is nothing.
    write_text(path, csv_text(columns.heads, columns.rows))


def _require_replaceable_csv(path: Path, heads: Sequence[str]) -> None:
    require_replaceable_text(path, ",".join(heads))


def _write_parquet(columns: Columns, path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    # A column of nothing is one of numbers; every other has texts or numbers alone.
    arrays = [pyarrow.array([row[place] for row in columns.rows]) for place in range(len(columns.heads))]
    arrays = [one.cast(pyarrow.float64()) if pyarrow.types.is_null(one.type) else one for one in arrays]
    with replacing(path) as written:
        pyarrow.parquet.write_table(pyarrow.table(arrays, names=list(columns.heads)), written)


def _require_replaceable_parquet(path: Path, heads: Sequence[str]) -> None:
    require_pyarrow()
    import pyarrow
    import pyarrow.parquet

    require_no_other_kind(path)
    if not is_file(path):
        return
    try:
        found = pyarrow.parquet.read_schema(path).names
    except (OSError, pyarrow.ArrowException):
        found = []
    if tuple(found[: len(heads)]) != tuple(heads):
        raise OutputError(
            f"{path_text(path)} exists already, and mashkit did not write it", "name another folder with -o"
        )


_WRITERS: Mapping[str, tuple[Callable[[Columns, Path], None], Callable[[Path, Sequence[str]], None], str]] = {
    "csv": (_write_csv, _require_replaceable_csv, ".csv"),
    "parquet": (_write_parquet, _require_replaceable_parquet, ".parquet"),
}
"""Format → what writes a table, what refuses to replace another file, and the suffix."""


def latex(result: Result, metrics: Sequence[Metric] = ()) -> str:
    """Return the table and the tests for LaTeX; they need package booktabs only.

    Parameters
    ----------
    result : Result
    metrics : sequence of Metric
        Default: those that the order is made of.
    """
    shown = list(metrics) or [metric for metric in result.metrics if metric.weight]
    shown = [metric for metric in shown if any(one.metrics.get(metric.name) is not None for one in result.measured)]
    head = ["", *(", ".join(filter(None, (metric.title, metric.unit))) for metric in shown)]
    rows = [[one.label, *(_figure(one, metric) for metric in shown)] for one in result.measured]
    suite = result.suite
    parts = [
        f"% {one_line(suite.title)}; suite {one_line(suite.name)}, finished {result.finished}",
        latex_table(
            head, rows, label=suite.name,
            caption=f"{sentence(suite.title)} In brackets: 95 % intervals, over songs where there are songs.",
        ),
    ]  # fmt: skip
    titles = {metric.name: metric for metric in result.metrics}
    for name in dict.fromkeys(one.metric for one in result.comparisons):
        if metrics and name not in {metric.name for metric in metrics}:
            continue
        digits = max(titles[name].digits, 1)
        own = [one for one in result.comparisons if one.metric == name]
        tests = [
            [one.one, one.other, _with_ends(number(one.difference, digits), one.low, one.high, digits),
             _with_ends(number(one.effect, 2), one.effect_low, one.effect_high, 2), number(one.p_holm, 3)]
            for one in own
        ]  # fmt: skip
        heads = ["", "against", "difference", "effect", "p, Holm"]
        caption = (
            f"{titles[name].title}: differences by song. Effect: rank-biserial correlation of the songs that differ. "
            "In brackets: 95 % intervals."
        )
        parts.append(latex_table(heads, tests, caption=caption, label=f"{suite.name}:{name}", keys=2))
    return "\n\n".join(parts) + "\n"


def _figure(one: Entry, metric: Metric) -> str:
    low, high = one.intervals.get(metric.name, (None, None))
    return _with_ends(shown_value(metric, one.metrics.get(metric.name)), low, high, metric.digits)


def _with_ends(value: str, low: float | None, high: float | None, digits: int) -> str:
    # In one cell, because a table that becomes several could put an interval into another one than its value.
    return value if low is None else f"{value} [{number(low, digits)}, {number(high, digits)}]"
