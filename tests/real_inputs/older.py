"""Databases as older versions of mashkit left them."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

_NEW_IN_3 = {"clips": ("tuning", "bar", "doubtful"), "songs": ("holds", "sound", "recording")}


def as_version_2(root: Path) -> None:
    """Take from a database what schema 3 brought."""
    with contextlib.closing(sqlite3.connect(root / "index.sqlite")) as database, database:
        database.execute("PRAGMA foreign_keys = OFF")
        database.execute("DROP TABLE prints")
        for table, columns in _NEW_IN_3.items():
            for column in columns:
                database.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        database.execute("DELETE FROM results WHERE kind = 'tuning'")
        database.execute("PRAGMA user_version = 2")
