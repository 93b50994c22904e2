"""Rows of a benchmark for tests."""

from __future__ import annotations

from typing import Any

from mashkit.bench.records import Row


def row_of(**fields: Any) -> Row:
    """Return a row of status "ok" with these fields."""
    return Row(**({"label": "a", "component": "a", "input": "x", "measure": "m", "status": "ok"} | fields))
