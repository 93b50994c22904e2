"""The backup of a study's answers: a copy that never replaces answers that are nowhere else, nor another file."""

from __future__ import annotations

import contextlib
import shlex
import sqlite3
from collections.abc import Mapping
from pathlib import Path

import attrs

from mashkit.atomicfile import require_no_other_kind, require_writable_folder
from mashkit.errors import OutputError
from mashkit.listen.study import Study, StudyError
from mashkit.paths import absolute, exists, path_text, without_links

BACKUP = "backup.sqlite"
_BESIDE = ("", "-wal", "-shm", "-journal")
"""Endings of the files that SQLite keeps for one database."""


@attrs.frozen
class _Content:
    """What a database of answers holds: the hash of its study, its raters and links, and which pages were answered."""

    study: str = ""
    raters: frozenset[str] = frozenset()
    links: Mapping[str, str | None] = attrs.field(factory=dict)
    withdrawn: frozenset[str] = frozenset()
    pages: frozenset[tuple[str, str]] = frozenset()

    @classmethod
    def of(cls, path: Path, *, finished: bool) -> _Content:
        """Read a file; empty if it is missing, or is a database in which no study was written yet.

        Parameters
        ----------
        path : Path
        finished : bool
            Whether nobody writes the file any more. It is then read without SQLite's own files beside it.
        """
        if not exists(path):
            return cls()
        # A database in use is opened for writing, because SQLite may first have to bring it up to date.
        how = "mode=ro&immutable=1" if finished else "mode=rw"
        name = f"{absolute(path).as_uri()}?{how}"
        with contextlib.closing(sqlite3.connect(name, uri=True, isolation_level=None)) as opened:
            opened.execute("BEGIN")  # all is read as it is at one moment
            if opened.execute("SELECT 1 FROM sqlite_master WHERE name = 'about'").fetchone() is None:
                return cls()
            study = opened.execute("SELECT value FROM about WHERE name = 'study'").fetchone()
            if study is None:
                return cls()
            links = opened.execute("SELECT id, rater, withdrawn FROM links").fetchall()
            return cls(
                str(study[0]),
                frozenset(rater for (rater,) in opened.execute("SELECT id FROM raters")),
                {link: rater for link, rater, _ in links},
                frozenset(link for link, _, withdrawn in links if withdrawn),
                frozenset(opened.execute("SELECT rater, page FROM submissions")),
            )

    def lacks(self, other: _Content) -> int:
        """Return how many raters have answers in the other but not here; those who withdrew here do not count."""
        withdrawn = {rater for link, rater in other.links.items() if link in self.withdrawn}
        more = (other.raters - self.raters) | {rater for rater, _ in other.pages - self.pages}
        return len(more - withdrawn)


def require_usable(study: Study, database: Path, path: Path) -> None:
    """Check, before a study is served, that its backup may be written and would replace nothing that is nowhere else.

    Parameters
    ----------
    study : Study
    database : Path
        The answers; the file may be missing.
    path : Path
        The backup.

    Raises
    ------
    OutputError
        If the backup is a file of another kind, or cannot be written.
    StudyError
        If the backup has answers that the database lacks, as when the database is lost.
    """
    fix = "name another file with --backup"
    require_no_other_kind(path)
    if without_links(path) in [without_links(database.with_name(database.name + one)) for one in _BESIDE]:
        raise OutputError(f"cannot write the backup {path_text(path)}: the answers themselves are there", fix)
    try:
        held = _Content.of(path, finished=True)
    except sqlite3.Error:
        held = _Content()
    if exists(path) and held.study != study.hash:
        raise OutputError(f"{path_text(path)} exists already, and is no copy of this study's answers", fix)
    try:
        have = _Content.of(database, finished=False)
    except sqlite3.Error as error:
        raise StudyError(f"{path_text(database)} cannot be used: {error}", _restoring(database, path)) from error
    # Answers to another study are refused where the database is opened.
    if have.study in ("", study.hash) and (lost := have.lacks(held)):
        what = "lacks answers" if exists(database) else "is missing, and with it the answers"
        raise StudyError(
            f"{path_text(database)} {what} of {lost} raters that {path_text(path)} has",
            f"{_restoring(database, path)}; or move the backup away to begin without them",
        )
    try:
        require_writable_folder(path.absolute().parent)
    except OutputError as error:
        raise OutputError(error.problem, fix) from error


def _restoring(database: Path, path: Path) -> str:
    if not exists(path):
        return "restore it from a copy"
    name = shlex.quote(path_text(database))
    # SQLite would write what is in an old log of changes over the copy.
    return f"restore it: rm -f {name}-wal {name}-shm; cp {shlex.quote(path_text(path))} {name}"


def copy(study: Study, database: Path, path: Path) -> None:
    """Copy a database while it is in use; the copy gets its name when it is whole. One call at a time may do this.

    Raises
    ------
    StudyError
        If the earlier copy cannot be read, or has answers that the database lacks; it then stays.
    sqlite3.Error, OSError
        If the copy cannot be written.
    """
    place = without_links(path)
    temporary = place.with_name(f".{place.name}.part")
    place.parent.mkdir(parents=True, exist_ok=True)
    fix = "move it away, and see what it holds"
    try:
        held = _Content.of(place, finished=True)
    except sqlite3.Error as error:
        raise StudyError(f"the backup {path_text(path)} cannot be read: {error}", fix) from error
    if held.study not in ("", study.hash):
        raise StudyError(f"the backup {path_text(path)} has answers to another study", fix)
    if lost := _Content.of(database, finished=False).lacks(held):
        raise StudyError(
            f"the backup {path_text(path)} has answers of {lost} raters that {path_text(database)} lacks", fix
        )
    try:
        _remove(temporary)  # of a server that was killed
        with (
            contextlib.closing(sqlite3.connect(database)) as source,
            contextlib.closing(sqlite3.connect(temporary)) as target,
        ):
            source.backup(target)
        temporary.replace(place)
    finally:
        _remove(temporary)


def _remove(path: Path) -> None:
    for ending in _BESIDE:
        path.with_name(path.name + ending).unlink(missing_ok=True)
