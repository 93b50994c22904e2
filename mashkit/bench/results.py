"""The files of a benchmark's result: JSON that people read, and a row for every measurement in compressed Parquet.

``<suite>.json`` contains all that tables need, ``<suite>.rows.parquet`` beside it the rows, each with the facts of its
input. Rows are nearly all of a result's bytes, and git keeps the bytes of every run of a suite. The rows and facts of
the committed results take 12.0 MB as JSON, 1.6 MB as gzipped JSON lines and 0.9 MB as Parquet (ours). pandas, polars
and DuckDB read that file as it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from mashkit.arguments import named_json, require_path
from mashkit.atomicfile import replacing
from mashkit.bench.comparisons import Comparison
from mashkit.bench.ranking import RULES, Metric
from mashkit.bench.records import Entry, Machine, Row, SuiteRecord, counted, judged_alone
from mashkit.bench.registered import tasks
from mashkit.bench.tables import from_table
from mashkit.errors import MashkitError, UsageError, require_packages, suggestion
from mashkit.models import sha256_of
from mashkit.paths import encodable
from mashkit.rendering.output import Environment
from mashkit.types import as_tuple

FORMAT = 2
"""Version of the result file. Version 1 held the rows as well."""
ROWS_INSIDE = 1
"""The version that contained the rows; it is still read."""
ROWS_SUFFIX = ".rows.parquet"
SUFFIXES = (".html", ".md", ROWS_SUFFIX, ".json")
"""Suffixes of a result's files."""

_ROWS_ARE = {ROWS_INSIDE: list, FORMAT: dict}
_TEXTS = ("label", "component", "input", "measure", "status", "reason")
_FLAG = "input_missing"
_NUMBERS = ("wall_s", "cpu_s", "load_s", "peak_memory_mb")
_FACTS = "facts"
"""Column of the facts of a row's input, as JSON: null if there are none."""
_TRAINED_ON = "trained_on"
"""Column of the songs of a row that its competitor was trained on; it exists if a row has such songs."""
_VALUE = "values."
"""Prefix of the columns of the task's raw numbers."""
LEVEL = 22
"""The highest level of Zstandard."""


@attrs.frozen(kw_only=True)
class Result:
    """All that a run has measured, and what follows from it.

    Parameters
    ----------
    format : int
        Version of the file that the result was read from.
    suite : SuiteRecord
    finished : str
        Date and time, ISO 8601, UTC.
    machine : Machine
    environment : mapping
        :func:`mashkit.rendering.output.environment`.
    metrics : tuple of Metric
    rules : str
        How the order of the competitors comes about.
    same_inputs : bool
        Metrics, intervals, draws and tests are of the inputs that all competitors are judged by
        (:func:`mashkit.bench.records.counted`). In results of earlier versions only the order is.
    competitors : tuple of Entry
        Best first.
    comparisons : tuple of Comparison
    inputs_sha256 : str, optional
        Hash of all inputs: results can be compared if they have the same. Early results have none.
    inputs : mapping of str to mapping
        The facts of each input that has some, by name; each row has those of its own input as well.
    rows : tuple of Row
        Empty if the rows were not read.
    jobs : int
        Competitors measured at a time.
    kept : tuple of str
        Labels of competitors that an earlier run measured.
    """

    format: int = FORMAT
    suite: SuiteRecord
    finished: str
    machine: Machine
    environment: Environment
    metrics: tuple[Metric, ...] = attrs.field(converter=as_tuple)
    rules: str = RULES
    same_inputs: bool = False
    competitors: tuple[Entry, ...] = attrs.field(converter=as_tuple)
    comparisons: tuple[Comparison, ...] = attrs.field(default=(), converter=as_tuple)
    inputs_sha256: str | None = None
    inputs: Mapping[str, Mapping[str, Any]] = attrs.field(factory=dict)
    rows: tuple[Row, ...] = attrs.field(converter=as_tuple)
    jobs: int
    kept: tuple[str, ...] = attrs.field(default=(), converter=as_tuple)

    @property
    def measured(self) -> list[Entry]:
        """The competitors that have metrics, best first."""
        return [one for one in self.competitors if one.metrics]

    @property
    def counted(self) -> dict[str, list[Row]]:
        """The rows that the numbers of each competitor that has metrics are of."""
        labels = [one.label for one in self.measured]
        return counted(labels, self.rows) if self.same_inputs else judged_alone(labels, self.rows)

    def to_dict(self) -> dict[str, Any]:
        """Return the result as plain data for JSON, rows included."""
        parts = {field.name: getattr(self, field.name) for field in attrs.fields(Result)}
        for name in ("suite", "machine"):
            parts[name] = attrs.asdict(parts[name])
        parts["metrics"] = [one.to_dict() for one in self.metrics]
        parts["comparisons"] = [attrs.asdict(one) for one in self.comparisons]
        for name in ("competitors", "rows"):
            parts[name] = [one.to_dict() for one in parts[name]]
        return {**parts, "kept": list(self.kept)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], where: str = "result") -> Result:
        """Return the result that :meth:`to_dict` wrote; ``where`` names it in errors.

        Raises
        ------
        UsageError
            If a field is unknown or missing, a value does not fit, or a competitor with metrics lacks one or its rank.
        """
        facts = data.get("inputs", {})
        if not isinstance(facts, Mapping):
            raise UsageError(f"{where}: inputs is not a table", "give what `mashkit bench run` wrote")

        def record(kind: type[Any], name: str) -> Any:
            return from_table(kind, data.get(name), f"{where}: {name}")

        def records(kind: type[Any], name: str) -> list[Any]:
            given = data.get(name, [])
            if not isinstance(given, list):
                raise UsageError(f"{where}: {name} is not a list", "give what `mashkit bench run` wrote")
            return [from_table(kind, one, f"{where}: {name}") for one in given]

        known = {
            "suite": record(SuiteRecord, "suite"),
            "machine": record(Machine, "machine"),
            "metrics": records(Metric, "metrics"),
            "competitors": records(Entry, "competitors"),
            "comparisons": records(Comparison, "comparisons"),
            "rows": [attrs.evolve(row, facts=facts.get(row.input, {})) for row in records(Row, "rows")],
        }
        found: Result = from_table(cls, {**data, **known}, where)
        for one in found.measured:
            lacking = [metric.name for metric in found.metrics if metric.name not in one.metrics]
            if lacking or one.rank is None:
                what = f"metric {lacking[0]!r}" if lacking else "rank"
                raise UsageError(f"{where}: competitor {one.label!r} has no {what}", "run the suite again")
        return found


def require_pyarrow() -> None:
    """Raise MashkitError if rows cannot be written; called before anything is measured."""
    require_packages("the rows of a benchmark's result need", ["pyarrow"], "pip install 'mashkit[bench]'", MashkitError)


def rows_path(path: Path) -> Path:
    """Return the path of the rows of the result at ``path``."""
    return path.with_name(f"{path.stem}{ROWS_SUFFIX}")


def write_result(result: Result, path: Path | str) -> None:
    """Write a result as ``path``, and its rows beside it.

    Parameters
    ----------
    result : Result
    path : Path or str
        Where the JSON goes.

    Raises
    ------
    UsageError
        If ``path`` is not a path.
    OutputError
        If the folder cannot be written.
    MashkitError
        If pyarrow is not installed.
    """
    path = require_path("path", path)
    require_pyarrow()
    # Both files are complete before the first gets its name, because neither is of use without the other.
    with replacing(path) as written, replacing(rows_path(path)) as table:
        _write_rows(result.rows, table)
        beside = {row.input for row in result.rows}
        whole = attrs.evolve(result, format=FORMAT, rows=()).to_dict() | {
            "inputs": {name: facts for name, facts in result.inputs.items() if name not in beside},
            "rows": {"count": len(result.rows), "sha256": sha256_of(table)},
        }
        written.write_text(encodable(_json(whole), escape="\\\\"), encoding="utf-8")


def _json(result: Mapping[str, Any]) -> str:
    """Return plain data as JSON with an item on each line, because indented JSON would be twice as large.

    Within a line there are no spaces, which were 7 to 8 % of it (ours).
    """

    def written(value: Any) -> str:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))

    parts = []
    for name, value in result.items():
        if isinstance(value, list):
            text = "[\n" + ",\n".join(written(one) for one in value) + "\n]"
        elif isinstance(value, dict):
            text = "{\n" + ",\n".join(f"{written(key)}: {written(one)}" for key, one in value.items()) + "\n}"
        else:
            text = written(value)
        parts.append(f"{written(name)}: {text}")
    return "{" + ",\n".join(parts) + "}\n"


def read_result(path: Path | str) -> Result:
    """Read what :func:`write_result` wrote, or a result of an earlier version, which has its rows inside.

    Parameters
    ----------
    path : Path or str
        The JSON.

    Raises
    ------
    UsageError
        If the file is not a result of a benchmark, its rows are missing or those of another result, or ``path`` is not
        a path.
    MashkitError
        If reading the rows needs pyarrow, which is not installed.
    """
    fix = "give the .json that `mashkit bench run` wrote"
    path = require_path("path", path)
    data = named_json(path, fix)
    known = isinstance(data, dict) and data.get("format") in (ROWS_INSIDE, FORMAT)
    if not known or "suite" not in data or not isinstance(data.get("rows"), _ROWS_ARE[data["format"]]):
        raise UsageError(f"{path} is not a benchmark result of format {FORMAT}", fix)
    inside = data["format"] == ROWS_INSIDE
    result = Result.from_dict({**data, "rows": data["rows"] if inside else []}, str(path))
    task = result.suite.task
    if task not in tasks():
        raise UsageError(f"{path} is of task {task!r}, which no plugin here brings", suggestion(task, tasks()))
    if inside:
        return result
    rows = _own_rows(path, data["rows"].get("sha256"))
    facts = {row.input: row.facts for row in rows if row.facts}
    return attrs.evolve(result, rows=rows, inputs=facts | dict(result.inputs))


def _own_rows(path: Path, expected: object) -> list[Row]:
    """Return the rows of the result at ``path``, whose file has the SHA-256 that is expected."""
    require_pyarrow()
    import pyarrow

    table = rows_path(path)
    fix = f"{path.name} and {table.name} belong together: copy both from where they were made, or run the suite again"
    try:
        if sha256_of(table) != expected:
            raise UsageError(f"{table} does not hold the rows of {path}: its SHA-256 is another", fix)
        return _read_rows(table)
    except OSError as error:
        raise UsageError(f"{path} cannot be read without its rows in {table}: {error.strerror}", fix) from error
    except pyarrow.ArrowException as error:
        raise UsageError(f"{table} cannot be read as Parquet: {error}", fix) from error


# ---------------------------------------------------------------------------------------------------------- Parquet
def value_names(rows: Sequence[Row]) -> list[str]:
    """Return the names of the raw numbers that rows have, in the order in which they first appear."""
    return list(dict.fromkeys(name for row in rows for name in row.values))


def _write_rows(rows: Sequence[Row], path: Path) -> None:
    """Write rows as a table with a column for each field, and for each raw number that any of them has."""
    import pyarrow
    import pyarrow.parquet

    def column(name: str, kind: pyarrow.DataType) -> pyarrow.Array:
        return pyarrow.array([getattr(row, name) for row in rows], kind)

    facts = {row.input: _fact_text(row.facts) for row in rows if row.facts}
    columns = {name: column(name, pyarrow.string()) for name in _TEXTS}
    columns[_FACTS] = pyarrow.array([facts.get(row.input) for row in rows], pyarrow.string())
    columns[_FLAG] = column(_FLAG, pyarrow.bool_())
    if any(row.trained_on for row in rows):
        songs = [row.trained_on or None for row in rows]
        columns[_TRAINED_ON] = pyarrow.array(songs, pyarrow.list_(pyarrow.string()))
    columns |= {name: column(name, pyarrow.float64()) for name in _NUMBERS}
    values = {f"{_VALUE}{name}": [row.values.get(name) for row in rows] for name in value_names(rows)}
    columns |= {name: pyarrow.array(numbers, pyarrow.float64()) for name, numbers in values.items()}
    pyarrow.parquet.write_table(
        pyarrow.table(columns),
        path,
        compression="zstd",
        compression_level=LEVEL,
        # Texts repeat, and the first bytes of numbers are alike: like this, files are a quarter smaller (ours).
        use_dictionary=[*_TEXTS, _FACTS],
        use_byte_stream_split=[*_NUMBERS, *values],
        write_statistics=False,
        store_schema=False,
    )


def _fact_text(facts: Mapping[str, Any]) -> str:
    """Return facts as JSON; what UTF-8 cannot encode, in the name of a file, is written as in the result's JSON."""
    return encodable(json.dumps(facts, ensure_ascii=False), escape="\\\\")


def _read_rows(path: Path) -> list[Row]:
    import pyarrow.parquet

    columns = pyarrow.parquet.read_table(path, partitioning=None).to_pydict()
    values = {name.removeprefix(_VALUE): columns[name] for name in columns if name.startswith(_VALUE)}
    songs = columns.get(_TRAINED_ON, [None] * len(columns[_FLAG]))
    facts = {text: json.loads(text or "{}") for text in columns[_FACTS]}  # rows of one input share them
    return [
        Row(
            **{name: columns[name][index] for name in (*_TEXTS, _FLAG, *_NUMBERS)},
            values={name: column[index] for name, column in values.items() if column[index] is not None},
            trained_on=songs[index] or (),
            facts=facts[columns[_FACTS][index]],
        )
        for index in range(len(songs))
    ]
