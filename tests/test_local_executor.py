"""The local executor keeps its contract, in as many processes as it is told, and in none."""

from __future__ import annotations

from mashkit.testing import ExecutorContract


class TestLocal(ExecutorContract):
    component = "local"
    options = {"jobs": 2}  # noqa: RUF012 — the contract reads it, nobody writes it
