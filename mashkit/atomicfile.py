"""Write files, and change databases, completely or not at all.

A file is written to a temporary file beside the target, synced, and then renamed.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from mashkit.errors import OutputError
from mashkit.locks import held_folder
from mashkit.paths import encodable, exists, is_file, is_folder, path_text, without_links

if TYPE_CHECKING:
    import sqlite3

# The umask can only be read by setting it. This is done once, on import, because threads may write files later.
_UMASK = os.umask(0)
os.umask(_UMASK)


@contextlib.contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Begin a transaction and yield its connection; all changes are stored if the block raises no error, else none."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield database
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:  # SQLite may have ended it by itself, for example because the disk is full
            database.execute("ROLLBACK")
        raise


@contextlib.contextmanager
def closed_on_error(database: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Yield a connection that the block prepares; it is closed if the block raises an error, and stays open if not."""
    try:
        yield database
    except BaseException:
        database.close()
        raise


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary file beside ``path``; it becomes ``path`` if the block raises no error, else it is removed.

    Parameters
    ----------
    path : Path
        The file to make or replace; its folder is made if it is missing. A link stays, and its target is replaced.

    Yields
    ------
    Path
        The temporary file, empty, with the same suffix.

    Raises
    ------
    OutputError
        If the folder or file cannot be written, the disk is full, or ``path`` is a folder, a device or a pipe. Errors
        of the block about anything else stay as they are.
    """
    require_no_other_kind(path)
    target = without_links(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".", suffix=f".part{path.suffix}", dir=target.parent)
    except OSError as error:
        raise OutputError(
            f"cannot write {path_text(path)}: {error.strerror}", "choose a folder you may write to"
        ) from error
    temporary = Path(name)
    try:
        os.close(handle)
        try:
            yield temporary
        except OSError as error:
            if not _is_about(error, temporary):
                raise
            raise _not_written(path, error) from error
        try:
            with temporary.open("rb+") as written:
                os.fsync(written.fileno())
            temporary.chmod(0o666 & ~_UMASK)  # the mode of open(), because mkstemp makes private files
            temporary.replace(target)
        except OSError as error:
            raise _not_written(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def _is_about(error: OSError, path: Path) -> bool:
    """Return whether ``path`` could not be written; the error of a full disk need not name the file."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
    return full or str(path) in map(str, (error.filename, error.filename2))


def _not_written(path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"cannot write {path_text(path)}: {error.strerror or error}", "free space or choose another folder"
    )


def require_no_other_kind(path: Path) -> None:
    """Raise OutputError if ``path`` is a folder, a device or a pipe: only a file can be replaced."""
    if is_folder(path):
        raise OutputError(f"cannot write {path_text(path)}: it is a folder", "name a file")
    if exists(path) and not is_file(path):
        raise OutputError(f"cannot write {path_text(path)}: it is a device or a pipe", "name a file")


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8; raises OutputError as :func:`replacing` does."""
    with replacing(path) as temporary:
        temporary.write_text(encodable(text), encoding="utf-8")


def as_json(data: Any) -> str:
    """Return ``data`` as indented JSON; NaN is refused, because JSON has no NaN."""
    return encodable(json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False), escape="\\\\")


def write_json(path: Path, data: Any) -> None:
    """Write ``data`` as indented JSON; NaN is refused, because JSON has no NaN."""
    write_text(path, as_json(data) + "\n")


def append_line(path: Path, line: str) -> None:
    """Add a line to a text file, as UTF-8 and whole; the file is made if it is missing.

    Parameters
    ----------
    path : Path
    line : str
        Without its end.

    Raises
    ------
    OutputError
        If the line cannot be written, for example because the disk is full. The file is as it was before then.
    """
    left = memoryview(f"{encodable(line)}\n".encode())
    try:
        with path.open("ab", buffering=0) as file:
            end = file.seek(0, os.SEEK_END)
            try:
                while left:  # a disk that gets full takes a part of the line
                    left = left[file.write(left) :]
            except OSError:
                with contextlib.suppress(OSError):  # the first error says more
                    file.truncate(end)
                raise
    except OSError as error:
        raise _not_written(path, error) from error


def allocate(file: BinaryIO, size: int) -> None:
    """Give a file its size, and reserve the room on the disk, before the file is mapped into memory and written there.

    Writing to a mapped file on a full disk ends the process without an exception. Where a system cannot reserve room,
    as macOS, the file gets only its size.

    Parameters
    ----------
    file : binary file
        Open for writing.
    size : int
        Bytes, > 0.

    Raises
    ------
    OSError
        If there is no room.
    """
    if sys.platform == "linux":
        os.posix_fallocate(file.fileno(), 0, size)
    else:
        file.truncate(size)


@contextlib.contextmanager
def writing_alone(folder: Path) -> Iterator[None]:
    """Keep other runs from writing into a folder while a block runs (:func:`mashkit.locks.held_folder`).

    A folder that does not exist is not locked, so a check before it is made can be in such a block too.

    Raises
    ------
    OutputError
        If another run is writing into the folder.
    """
    taken = OutputError(
        f"another run is writing into {path_text(folder)}", "wait until it ends, or name another folder"
    )
    with held_folder(folder, taken):
        yield


_ANOTHER = "choose another folder; on the command line with -o"


def require_possible_folder(path: Path) -> None:
    """Raise OutputError if the folder ``path`` is not there and cannot be made, or is a file; make nothing."""
    there = next(one for one in (path, *path.absolute().parents) if one.exists())
    if not there.is_dir():
        raise OutputError(f"cannot write to {path_text(path)}: {path_text(there)} is a file", _ANOTHER)
    if not os.access(there, os.W_OK | os.X_OK):
        raise OutputError(f"cannot write to {path_text(path)}: no permission", _ANOTHER)


def require_writable_folder(path: Path) -> Path:
    """Make the folder ``path`` and write a test file there, so that an error comes before an hour's work, not after.

    Raises
    ------
    OutputError
        If ``path`` is a file, or cannot be made or written to.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise OutputError(f"cannot write to {path_text(path)}: {error.strerror}", _ANOTHER) from error
    return path
