"""The store of an audition: a person's decisions in one SQLite file, each on the disk before it is acknowledged.

Each change has an operation id, which the page makes. So a change that is sent twice, because the response was lost, is
made once.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from mashkit.atomicfile import closed_on_error, transaction
from mashkit.errors import OutputError
from mashkit.listen.answers import NotSaved, Refused
from mashkit.paths import path_text
from mashkit.types import Score

DATABASE = "audition.sqlite"
FORMAT = 1
"""Version of the tables; a newer one is refused."""
VERDICTS = ("", "keep", "reject")
MOST_STARS = 5
NOTE_LENGTH = 4000
"""Longest note, characters (ours): two printed pages."""
PATIENCE_S = 5.0
"""Longest wait for another window's server that writes at the same moment, seconds."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS candidates (plan TEXT PRIMARY KEY, data TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS decisions (
    plan TEXT PRIMARY KEY, verdict TEXT NOT NULL, stars INTEGER NOT NULL, note TEXT NOT NULL, at TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS history (
    number INTEGER PRIMARY KEY AUTOINCREMENT, operation TEXT UNIQUE NOT NULL, plan TEXT NOT NULL, before TEXT NOT NULL,
    undoes INTEGER, undone INTEGER NOT NULL DEFAULT 0, at TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS scores (
    plan TEXT NOT NULL, scorer TEXT NOT NULL, version TEXT NOT NULL, score TEXT NOT NULL, PRIMARY KEY (plan, scorer)
) STRICT;
"""
_LAST_CHANGE = """
SELECT number, plan, before, undoes FROM history WHERE undoes IS NULL AND NOT undone ORDER BY number DESC LIMIT 1
"""
_LAST_UNDO = """
SELECT number, plan, before, undoes FROM history
WHERE NOT undone AND undoes IN (SELECT number FROM history WHERE undoes IS NULL)
AND number > (SELECT max(number) FROM history WHERE undoes IS NULL) ORDER BY number DESC LIMIT 1
"""


@attrs.frozen(kw_only=True)
class Decision:
    """What a person decided on a candidate.

    Parameters
    ----------
    verdict : str
        "keep", "reject", or "" for none.
    stars : int
        1 to 5; 0 for none.
    note : str
    at : str
        Time of the last change, ISO 8601, UTC; "" for no decision.
    """

    verdict: str = ""
    stars: int = 0
    note: str = ""
    at: str = ""

    @property
    def value(self) -> dict[str, Any]:
        """The decision without its time, as plain data."""
        return {"verdict": self.verdict, "stars": self.stars, "note": self.note}


def checked(change: Mapping[str, Any]) -> dict[str, Any]:
    """Return a change of a decision: any of "verdict", "stars" and "note".

    Raises
    ------
    Refused
        If it has another entry or a value out of range, or is empty.
    """
    unknown = set(change) - {"verdict", "stars", "note"}
    if unknown or not change:
        raise Refused("invalid", "a change of verdict, stars or note is needed")
    if "verdict" in change and change["verdict"] not in VERDICTS:
        raise Refused("invalid", f"verdict: one of {', '.join(map(repr, VERDICTS))} is needed")
    stars, note = change.get("stars", 0), change.get("note", "")
    if not isinstance(stars, int) or isinstance(stars, bool) or not 0 <= stars <= MOST_STARS:
        raise Refused("invalid", f"stars: a whole number from 0 to {MOST_STARS} is needed")
    if not isinstance(note, str) or len(note) > NOTE_LENGTH:
        raise Refused("invalid", f"note: a text of at most {NOTE_LENGTH} characters is needed")
    # A lone half of a surrogate pair is a character that no file of UTF-8 can contain.
    return {**change, **({"note": note.encode(errors="replace").decode()} if "note" in change else {})}


class Store:
    """The decisions, candidates and scores of one folder; threads may share it.

    Parameters
    ----------
    folder : Path, optional
        The folder of `mashkit mash -o`, or of a database; None for an empty store in memory.
    now : callable, optional
        Returns the time, for tests.

    Raises
    ------
    OutputError
        If the file cannot be opened, is no store, or is of a newer mashkit.
    """

    def __init__(
        self, folder: Path | None, *, now: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC)
    ) -> None:
        self.path = Path(":memory:") if folder is None else folder / DATABASE
        self._now = now
        self._lock = threading.RLock()
        try:
            opened = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=PATIENCE_S)
            with closed_on_error(opened) as self._db:
                # One file that can be copied, and a commit that a power cut does not lose; there are few commits.
                self._db.execute("PRAGMA journal_mode = DELETE")
                self._db.execute("PRAGMA synchronous = FULL")
                (version,) = self._db.execute("PRAGMA user_version").fetchone()
                if version > FORMAT:
                    raise OutputError(
                        f"{path_text(self.path)} is of format {version}, this mashkit reads {FORMAT}", "update mashkit"
                    )
                self._db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {FORMAT}; COMMIT;")
        except sqlite3.Error as error:
            raise OutputError(
                f"decisions cannot be saved in {path_text(self.path)}: {error}",
                "copy the folder to where you may write, or move a damaged file away",
            ) from error

        # An open connection keeps the file open, so it is closed at the latest when this object is deleted.
        self._closed = weakref.finalize(self, self._db.close)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._closed()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                with transaction(self._db) as database:
                    yield database
            except sqlite3.Error as error:
                raise NotSaved(f"{path_text(self.path)} cannot be written: {error}", "make room on the disk") from error

    def _rows(self, query: str, values: tuple[Any, ...] = ()) -> list[Any]:
        with self._lock:
            try:
                return self._db.execute(query, values).fetchall()
            except sqlite3.Error as error:
                raise NotSaved(f"{path_text(self.path)} cannot be read: {error}") from error

    # ------------------------------------------------------------------------------------------------ decisions
    def decision(self, plan: str) -> Decision:
        """Return the decision on a plan."""
        return self.decisions().get(plan, Decision())

    def decisions(self) -> dict[str, Decision]:
        """Return the decisions by the plan's id; plans that were never judged are left out."""
        rows = self._rows("SELECT plan, verdict, stars, note, at FROM decisions ORDER BY rowid")
        return {
            plan: Decision(verdict=verdict, stars=stars, note=note, at=at) for plan, verdict, stars, note, at in rows
        }

    def revision(self) -> int:
        """Return a number that rises with every change, in whichever window it was made."""
        ((number,),) = self._rows("SELECT coalesce(max(number), 0) FROM history")
        return int(number)

    def decide(self, operation: str, plan: str, change: Mapping[str, Any], *, data: Mapping[str, Any]) -> Decision:
        """Change the decision on a plan, and return it.

        Parameters
        ----------
        operation : str
            Id of the change: the same change sent again does nothing.
        plan : str
        change : mapping
            See :func:`checked`.
        data : mapping
            The candidate as plain data, so that it can be shown and exported without the folder that it came from.

        Raises
        ------
        Refused
            If the change is not valid.
        NotSaved
            If the file cannot be written; nothing is changed then.
        """
        values = checked(change)
        with self._transaction() as database:
            before = self.decision(plan)
            if self._is_done(operation):
                return before
            at = self._now().isoformat(timespec="seconds")
            after = attrs.evolve(before, **values, at=at)
            database.execute(
                "INSERT INTO history (operation, plan, before, at) VALUES (?, ?, ?, ?)",
                (operation, plan, json.dumps(attrs.asdict(before)), at),
            )
            self._keep_candidate(database, plan, data)
            self._set(database, plan, after)
        return after

    def undo(self, operation: str) -> str | None:
        """Take the last change back that was not taken back yet; return its plan, or None if there is none.

        Raises
        ------
        NotSaved
            If the file cannot be written.
        """
        return self._take_back(operation, _LAST_CHANGE)

    def redo(self, operation: str) -> str | None:
        """Take the last :meth:`undo` back after which nothing was decided; return and raise as that does."""
        return self._take_back(operation, _LAST_UNDO)

    def _take_back(self, operation: str, last: str) -> str | None:
        with self._transaction() as database:
            if done := self._is_done(operation):
                return done
            row = database.execute(last).fetchone()
            if row is None:
                return None
            number, plan, before, undoes = row
            database.execute("UPDATE history SET undone = 1 WHERE number = ?", (number,))
            # The change that was made again can be taken back again.
            database.execute("UPDATE history SET undone = 0 WHERE number = ?", (undoes,))
            database.execute(
                "INSERT INTO history (operation, plan, before, undoes, at) VALUES (?, ?, ?, ?, ?)",
                (operation, plan, json.dumps(attrs.asdict(self.decision(plan))), number,
                 self._now().isoformat(timespec="seconds")),
            )  # fmt: skip
            self._set(database, plan, Decision(**json.loads(before)))
        return str(plan)

    def can_undo(self) -> bool:
        """Return whether there is a change to take back."""
        return bool(self._rows(_LAST_CHANGE))

    def can_redo(self) -> bool:
        """Return whether there is a change to make again."""
        return bool(self._rows(_LAST_UNDO))

    def _is_done(self, operation: str) -> str:
        rows = self._rows("SELECT plan FROM history WHERE operation = ?", (operation,))
        return str(rows[0][0]) if rows else ""

    @staticmethod
    def _set(database: sqlite3.Connection, plan: str, decision: Decision) -> None:
        if not decision.at:
            database.execute("DELETE FROM decisions WHERE plan = ?", (plan,))
            return
        database.execute(
            "INSERT INTO decisions VALUES (?, ?, ?, ?, ?) ON CONFLICT (plan) DO UPDATE SET verdict = excluded.verdict,"
            " stars = excluded.stars, note = excluded.note, at = excluded.at",
            (plan, decision.verdict, decision.stars, decision.note, decision.at),
        )

    # ----------------------------------------------------------------------------------------------- candidates
    @staticmethod
    def _keep_candidate(database: sqlite3.Connection, plan: str, data: Mapping[str, Any]) -> None:
        text = json.dumps(data, sort_keys=True)
        database.execute("INSERT OR IGNORE INTO candidates VALUES (?, ?)", (plan, text))

    def candidates(self) -> list[dict[str, Any]]:
        """Return the candidates that were judged, as plain data."""
        return [json.loads(data) for (data,) in self._rows("SELECT data FROM candidates ORDER BY rowid")]

    # --------------------------------------------------------------------------------------------------- scores
    def save_scores(self, scorer: str, version: str, scores: Mapping[str, Score]) -> None:
        """Save scores by the plan's id; raises NotSaved if the file cannot be written."""
        with self._transaction() as database:
            database.executemany(
                "INSERT OR REPLACE INTO scores VALUES (?, ?, ?, ?)",
                [(plan, scorer, version, json.dumps(score.to_dict())) for plan, score in scores.items()],
            )

    def scores(self) -> dict[str, dict[str, Score]]:
        """Return the scores: scorer → plan's id → score."""
        found: dict[str, dict[str, Score]] = {}
        for plan, scorer, score in self._rows("SELECT plan, scorer, score FROM scores"):
            found.setdefault(scorer, {})[plan] = Score(**json.loads(score))
        return found

    def scorers(self) -> list[str]:
        """Return the names of the scorers that have scores, sorted."""
        return [name for (name,) in self._rows("SELECT DISTINCT scorer FROM scores ORDER BY scorer")]

    def scored_by(self, scorer: str, version: str) -> frozenset[str]:
        """Return the plans that this version of a scorer has scored."""
        rows = self._rows("SELECT plan FROM scores WHERE scorer = ? AND version = ?", (scorer, version))
        return frozenset(plan for (plan,) in rows)
