"""The files of a benchmark's result: JSON that people read, and a row for every measurement in compressed Parquet.

``<suite>.json`` holds all that tables need, ``<suite>.rows.parquet`` beside it the rows, each with the facts of its
input. Nearly all of a result is rows. Results are kept in git, where every new run of a suite adds all of its bytes
again: the rows and facts of the committed results take 12.0 MB as JSON, 1.6 MB as gzipped JSON lines and 0.9 MB as
Parquet (ours). pandas, polars and DuckDB read that file as it is.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mashkit.atomicfile import replacing
from mashkit.bench.tasks import TASKS, Row
from mashkit.errors import MashkitError, UsageError, suggestion
from mashkit.models import sha256_of
from mashkit.paths import encodable

Result = Mapping[str, Any]

FORMAT = 2
"""Version of the result file. Version 1 held the rows as well."""
ROWS_INSIDE = 1
"""The version that held the rows: it is still read."""
ROWS_SUFFIX = ".rows.parquet"
SUFFIXES = (".html", ".md", ROWS_SUFFIX, ".json")
"""Ends of the names of a result's files."""

KEY = "key"
"""Field of a row that results leave out: only a run that goes on needs it. It would be 43 % of the bytes (ours)."""
_ROWS_ARE = {ROWS_INSIDE: list, FORMAT: dict}
_TEXTS = ("label", "component", "input", "measure", "status", "reason")
_FLAG = "input_missing"
_NUMBERS = ("wall_s", "cpu_s", "load_s", "peak_memory_mb")
_FACTS = "facts"
"""Column of the facts of a row's input, as JSON: null if there are none."""
_TRAINED_ON = "trained_on"
"""Column of the songs of a row that its competitor was trained on; it is there if any row has some."""
_VALUE = "values."
"""Begins the name of a column that holds one of the task's raw numbers."""
LEVEL = 22
"""The highest level of Zstandard."""


class PyarrowMissing(MashkitError):
    """The rows of results cannot be written or read here."""


def require_pyarrow() -> None:
    """Raise PyarrowMissing, saying what to type, if rows cannot be written: before anything is measured."""
    if importlib.util.find_spec("pyarrow") is None:
        raise PyarrowMissing("the rows of a benchmark's result need pyarrow", "pip install 'mashkit[bench]'")


def rows_path(path: Path) -> Path:
    """Return where the rows of the result at ``path`` lie."""
    return path.with_name(f"{path.stem}{ROWS_SUFFIX}")


def write_result(result: Result, path: Path) -> None:
    """Write a result as ``path``, and its rows beside it.

    Parameters
    ----------
    result : mapping
        With its "rows" and the facts of its "inputs".
    path : Path
        Where the JSON goes.

    Raises
    ------
    OutputError
        If the folder cannot be written.
    PyarrowMissing
        If pyarrow is not installed.
    """
    require_pyarrow()
    # Both files are complete before the first gets its name, because neither is of use without the other.
    with replacing(path) as written, replacing(rows_path(path)) as table:
        rows = result["rows"]
        _write_rows(rows, result.get("inputs", {}), table)
        whole = {**result, "format": FORMAT, "rows": {"count": len(rows), "sha256": sha256_of(table)}}
        if "inputs" in result:
            beside = {row["input"] for row in rows}
            whole["inputs"] = {name: facts for name, facts in result["inputs"].items() if name not in beside}
        written.write_text(encodable(_json(whole), escape="\\\\"), encoding="utf-8")


def _json(result: Result) -> str:
    """Return a result as JSON with an item on each line: indented, it would be twice as large and no easier to read."""

    def written(value: Any) -> str:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)

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


def read_result(path: Path, *, with_rows: bool = True) -> dict[str, Any]:
    """Read what :func:`write_result` wrote, or a result of an earlier version, which has its rows inside.

    Parameters
    ----------
    path : Path
        The JSON.
    with_rows : bool
        Read the rows too. A table needs none. Without them the result has no "rows" and no "inputs".

    Raises
    ------
    UsageError
        If it is not the result of a benchmark that this version knows, or its rows are missing or another result's.
    PyarrowMissing
        If reading the rows needs pyarrow, which is not installed.
    """
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UsageError(f"{path} cannot be read as JSON: {error}", "give what `mashkit bench run` wrote") from error
    known = isinstance(result, dict) and result.get("format") in (ROWS_INSIDE, FORMAT)
    if not known or "suite" not in result or not isinstance(result.get("rows"), _ROWS_ARE[result["format"]]):
        raise UsageError(
            f"{path} is no benchmark result of format {FORMAT}", "give the .json that `mashkit bench run` wrote"
        )
    if result["suite"]["task"] not in TASKS:
        task = result["suite"]["task"]
        raise UsageError(f"{path} is of task {task!r}, which is not known here", suggestion(task, TASKS))
    if not with_rows:
        return {name: value for name, value in result.items() if name not in ("rows", "inputs")}
    if result["format"] == ROWS_INSIDE:
        return {**result, "rows": without_keys(result["rows"])}
    rows, facts = _own_rows(path, result["rows"].get("sha256"))
    return {**result, "rows": rows} | ({"inputs": {**facts, **result["inputs"]}} if "inputs" in result else {})


def without_keys(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return rows as a result has them."""
    return [{name: value for name, value in row.items() if name != KEY} for row in rows]


def _own_rows(path: Path, expected: object) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the rows of the result at ``path``, in a file of the SHA-256 that is expected, and the facts of inputs."""
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
    return list(dict.fromkeys(name for row in rows for name in row["values"]))


def _write_rows(rows: Sequence[Row], inputs: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Write rows as a table with a column for each field, and for each raw number that any of them has."""
    import pyarrow
    import pyarrow.parquet

    columns = {name: pyarrow.array([row[name] for row in rows], pyarrow.string()) for name in _TEXTS}
    facts = {name: json.dumps(one, ensure_ascii=False) for name, one in inputs.items()}
    columns[_FACTS] = pyarrow.array([facts.get(row["input"]) for row in rows], pyarrow.string())
    columns[_FLAG] = pyarrow.array([row[_FLAG] for row in rows], pyarrow.bool_())
    if any(row.get(_TRAINED_ON) for row in rows):
        songs = [row.get(_TRAINED_ON) for row in rows]
        columns[_TRAINED_ON] = pyarrow.array(songs, pyarrow.list_(pyarrow.string()))
    numbers = {name: [row[name] for row in rows] for name in _NUMBERS}
    numbers |= {f"{_VALUE}{name}": [row["values"].get(name) for row in rows] for name in value_names(rows)}
    columns |= {name: pyarrow.array(values, pyarrow.float64()) for name, values in numbers.items()}
    pyarrow.parquet.write_table(
        pyarrow.table(columns),
        path,
        compression="zstd",
        compression_level=LEVEL,
        # Texts repeat, and the first bytes of numbers are alike: like this, files are a quarter smaller (ours).
        use_dictionary=[*_TEXTS, _FACTS],
        use_byte_stream_split=list(numbers),
        write_statistics=False,
        store_schema=False,
    )


def _read_rows(path: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return rows, and the facts of their inputs by name."""
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(path, partitioning=None)
    values = {
        name.removeprefix(_VALUE): table.column(name).to_pylist()
        for name in table.column_names
        if name.startswith(_VALUE)
    }
    rows = [
        {**row, "values": {name: column[index] for name, column in values.items() if column[index] is not None}}
        for index, row in enumerate(table.select([*_TEXTS, _FLAG, *_NUMBERS]).to_pylist())
    ]
    if _TRAINED_ON in table.column_names:
        songs = table.column(_TRAINED_ON).to_pylist()
        rows = [row | ({_TRAINED_ON: names} if names else {}) for row, names in zip(rows, songs, strict=True)]
    facts = dict(zip(table.column("input").to_pylist(), table.column(_FACTS).to_pylist(), strict=True))
    return rows, {name: json.loads(text) for name, text in facts.items() if text is not None}
