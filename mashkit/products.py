"""Mark the files that mashkit writes, and replace the output of an earlier run as a set.

Every sound file that mashkit writes has :data:`MARK` as its comment. Scans for songs skip marked files, because a
mashup is not a song and a separated stem is not a true stem. Every output folder contains a list of the files written
there, so that a second run into the same folder replaces exactly the files of the first run.
"""

from __future__ import annotations

import codecs
import contextlib
import json
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Self

import attrs

from mashkit.atomicfile import (
    require_no_other_kind,
    require_possible_folder,
    require_writable_folder,
    write_json,
    writing_alone,
)
from mashkit.errors import OutputError
from mashkit.models import sha256_of
from mashkit.paths import is_file, path_text, without_links

MARK = "made by mashkit, no song"
"""Comment of the sound files that mashkit writes."""
_MARK_BYTES = (MARK.encode(), MARK.encode("utf-16-le"), MARK.encode("utf-16-be"))
_TAGS_LIE_WITHIN = 1 << 16
"""Number of bytes at a file's beginning and end that are searched for the mark."""
_TEXT_BEGINS_WITHIN = 1 << 10
"""Number of bytes at the beginning of a file by which text that mashkit wrote is recognized."""
OUR_PAGE = (
    r'<!doctype html>\s*<html lang="en">\s*<head>\s*<meta charset="utf-8">\s*'
    r"""<meta http-equiv="Content-Security-Policy" content="default-src 'none'"""
)
"""Regular expression for the beginning of the pages that mashkit writes: few other pages forbid all requests there."""
LIST = ".mashkit-files.json"
"""File in an output folder with the list of files that mashkit wrote there, and their origin."""
_LIST_FORMAT = 1
_STAGING = ".mashkit-unfinished-"


def is_product(path: Path) -> bool:
    """Return whether mashkit made a sound file, or it was converted from a file that mashkit made.

    The mark is searched as text, because programs that convert files keep it, but each in a different field.
    """
    if not is_file(path):
        return False
    try:
        with path.open("rb") as file:
            text = file.read(_TAGS_LIE_WITHIN)
            file.seek(max(file.seek(0, os.SEEK_END) - _TAGS_LIE_WITHIN, 0))
            text += file.read()
    except OSError:
        return False
    return any(mark in text for mark in _MARK_BYTES)


def require_replaceable(path: Path) -> None:
    """Raise OutputError if ``path`` is a sound file that mashkit did not make, because it would be lost."""
    if path.exists() and not is_product(path):
        raise OutputError(f"{path} exists already, and mashkit did not make it", "name another file with -o")


def _as_set(names: Iterable[str]) -> frozenset[str]:
    return frozenset(names)


@attrs.frozen
class Keys:
    """The keys of the JSON that a command writes, by which its earlier output is recognized.

    The JSON is one object, or one object a line.

    Parameters
    ----------
    required : iterable of str
        Keys that the object always has; with JSON lines, that of the first line.
    optional : iterable of str
        Keys that it may have. An object with any other key is another's.
    """

    required: frozenset[str] = attrs.field(converter=_as_set)
    optional: frozenset[str] = attrs.field(default=(), converter=_as_set)

    def are_of(self, path: Path) -> bool:
        """Return whether the JSON in a file has these keys; raises OSError if the file cannot be read."""
        with path.open("rb") as file:
            line = file.readline()
            data = _json_of(line) or _json_of(line + file.read())
        return isinstance(data, dict) and self.required <= set(data) <= self.required | self.optional


def _json_of(content: bytes) -> object:
    """Return the data of JSON, or None for anything else, such as the first of several lines of an object."""
    try:
        return json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None


def require_replaceable_text(path: Path, expected: str | Keys) -> None:
    """Raise OutputError if ``path`` holds something else than the text that mashkit writes, or is not a file.

    Parameters
    ----------
    path : Path
    expected : str or Keys
        What mashkit writes there: its keys if it is JSON, else a regular expression for its beginning, in any case.
    """
    require_no_other_kind(path)
    if not is_file(path):
        return
    beginning = r"\{" if isinstance(expected, Keys) else expected
    try:
        with path.open("rb") as file:
            start = file.read(_TEXT_BEGINS_WITHIN).removeprefix(codecs.BOM_UTF8).lstrip()
        known = b"\0" not in start and re.match(beginning.encode(), start, re.IGNORECASE) is not None
        if known and isinstance(expected, Keys):
            known = expected.are_of(path)
    except OSError as error:
        raise OutputError(f"cannot replace {path_text(path)}: {error.strerror}", "name another file with -o") from error
    if start and not known:
        raise OutputError(
            f"{path_text(path)} exists already, and holds something else than it will, so this command of mashkit did "
            "not write it",
            "name another file with -o",
        )


@attrs.frozen
class FileList:
    """The list of files that mashkit wrote into a folder.

    Parameters
    ----------
    made_of : str
        Name of the set: the command that made it, or the song from which it was made.
    files : mapping of str to list of str
        Path below the folder, with "/" → possible sha256 values of the file: two while one set replaces another.
    """

    made_of: str = ""
    files: Mapping[str, list[str]] = attrs.field(factory=dict)

    @classmethod
    def read(cls, folder: Path) -> FileList | None:
        """Return a folder's list; None if there is no readable list.

        A path that leads out of the folder is left out, so that no file outside is ever removed.
        """
        try:
            data = json.loads((folder / LIST).read_text(encoding="utf-8"))
            files = {str(name): [str(digest) for digest in digests] for name, digests in data["files"].items()}
            made_of, known = str(data["made_of"]), data["format"] == _LIST_FORMAT
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None
        inside = {name: digests for name, digests in files.items() if _lies_below(folder, name)}
        return cls(made_of, inside) if known else None

    def write(self, path: Path) -> None:
        """Write the list; raises OutputError if it cannot be written."""
        write_json(path, {"format": _LIST_FORMAT, "made_of": self.made_of, "files": dict(self.files)})

    def require_made_of(self, made_of: str, folder: Path) -> None:
        """Raise OutputError if files of another set than ``made_of`` are in the folder."""
        if self.made_of != made_of and any((folder / name).exists() for name in self.files):
            raise OutputError(f"{folder} holds a set of files that {self.made_of} made", "name another folder")

    def is_ours(self, folder: Path, name: str) -> bool:
        """Return whether a file exists and is unchanged since mashkit wrote it."""
        path = folder / name
        return name in self.files and path.is_file() and sha256_of(path) in self.files[name]


def _lies_below(folder: Path, name: str) -> bool:
    parts = PurePosixPath(name).parts
    if not parts or ".." in parts or PurePosixPath(name).is_absolute():
        return False
    return without_links((folder / name).parent).is_relative_to(without_links(folder))


class OutputSet:
    """The files of one run, which together replace the files of the earlier run in the same folder.

    Use it as a context manager: write into :attr:`staging`, a folder inside the output folder. If the block raises no
    error, the files are moved to their places, and files of the earlier run that this run did not write are removed. If
    the block raises an error, the folder stays as it was; if there was none, it is removed again.

    A file that mashkit did not write, or that was changed since, is never replaced or removed. While the block runs,
    the folder is locked, because of two runs at once one would remove the files of the other.

    Parameters
    ----------
    folder : Path
        Made if it is missing.
    made_of : str
        Name of the set: only a set of the same name is replaced. See :func:`folder_for`.
    names : iterable of str
        Files below the folder that will certainly be written; other files with these names are reported before the
        work starts.

    Raises
    ------
    OutputError
        If the folder cannot be written or contains another set, one of the user's files has such a name, one of
        mashkit's files was changed, or another run is writing into the folder.

    Examples
    --------
    >>> from pathlib import Path
    >>> with OutputSet(Path("made"), made_of="mashup", names=["notes.txt"]) as output:
    ...     written = (output.staging / "notes.txt").write_text("a set of one file")
    >>> Path("made/notes.txt").read_text()
    'a set of one file'
    """

    def __init__(self, folder: Path, *, made_of: str, names: Iterable[str] = ()) -> None:
        self._added = [one for one in (folder, *folder.parents) if not one.exists()]
        self.folder = require_writable_folder(folder)
        self._made_of = made_of
        self._names = tuple(names)
        self._require_room(folder, made_of, self._names)

    @classmethod
    def require_possible(cls, folder: Path, *, made_of: str, names: Iterable[str] = ()) -> None:
        """Raise OutputError where the set could not be begun; make nothing. Parameters are those of the class."""
        require_possible_folder(folder)
        cls._require_room(folder, made_of, names)

    @staticmethod
    def _require_room(folder: Path, made_of: str, names: Iterable[str]) -> None:
        """Raise OutputError if the folder holds another set, or files that the set would replace and may not."""
        known = FileList.read(folder) or FileList()
        known.require_made_of(made_of, folder)
        for name in known.files:
            if (folder / name).exists() and not known.is_ours(folder, name):
                raise _in_the_way(folder / name, "it has changed since mashkit wrote it")
        _refuse_others(folder, known, names)

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as held:
            held.enter_context(writing_alone(self.folder))
            # Another run may have ended between the first look and the lock.
            self._require_room(self.folder, self._made_of, self._names)
            _remove_abandoned(self.folder)
            prefix = f"{_STAGING}{socket.gethostname()}-{os.getpid()}-"
            try:
                self.staging = Path(tempfile.mkdtemp(prefix=prefix, dir=self.folder))
            except OSError as error:
                raise OutputError(f"cannot write to {self.folder}: {error.strerror}", "free space") from error
            self._held = held.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._held:
            self._end(failed=kind is not None)

    def _end(self, *, failed: bool) -> None:
        if failed:
            shutil.rmtree(self.staging, ignore_errors=True)
            _remove_empty(self._added)
            return
        try:
            self._commit()
        except (OSError, OutputError) as error:
            why = error.problem if isinstance(error, OutputError) else error.strerror
            # The next run removes what an ended run has left.
            raise OutputError(
                f"cannot finish {self.folder}: {why}",
                f"the new files are in {self.staging}: move them before another run",
            ) from error

    def keep(self, name: str) -> bool:
        """Copy what the earlier run wrote into a folder of this name to this run; return whether there was anything.

        For what this run could not make, so that the earlier result stays.
        """
        known = FileList.read(self.folder) or FileList()
        kept = [one for one in known.files if one.startswith(f"{name}/") and known.is_ours(self.folder, one)]
        for one in kept:
            target = self.staging / one
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                shutil.copyfile(self.folder / one, target)
            except OSError as error:
                raise OutputError(f"cannot write {target}: {error.strerror}", "free space") from error
        return bool(kept)

    def _commit(self) -> None:
        new = {
            path.relative_to(self.staging).as_posix(): sha256_of(path)
            for path in sorted(self.staging.rglob("*"))
            if path.is_file()
        }
        # The list is read again, because another run may have ended meanwhile where folders cannot be locked.
        known = FileList.read(self.folder) or FileList()
        known.require_made_of(self._made_of, self.folder)
        _refuse_others(self.folder, known, new)
        # During the change the list contains old and new files, so that after a kill here no file looks like the
        # user's.
        both = {name: list(digests) for name, digests in known.files.items()}
        for name, digest in new.items():
            both.setdefault(name, []).append(digest)
        self._list(both)
        for name in new:
            target = self.folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            (self.staging / name).replace(target)
        for name in set(known.files) - set(new):
            if known.is_ours(self.folder, name):
                self._remove(name)
        self._list({name: [digest] for name, digest in new.items()})
        shutil.rmtree(self.staging, ignore_errors=True)

    def _list(self, files: Mapping[str, list[str]]) -> None:
        # The list is written in the staging folder first, because a later run removes that folder after a kill.
        FileList(self._made_of, files).write(self.staging / LIST)
        (self.staging / LIST).replace(self.folder / LIST)

    def _remove(self, name: str) -> None:
        """Remove a file, and the folders that are then empty."""
        path = self.folder / name
        path.unlink()
        _remove_empty([self.folder / parent for parent in path.relative_to(self.folder).parents[:-1]])


def _refuse_others(folder: Path, known: FileList, names: Iterable[str]) -> None:
    """Raise OutputError if mashkit did not write what has one of the names below the folder."""
    for name in names:
        path = folder / name
        for above in (folder / one for one in path.relative_to(folder).parents[:-1]):
            if (above.exists() or above.is_symlink()) and not above.is_dir():
                raise _in_the_way(above, "it is not a folder")
        if not _lies_below(folder, name):
            raise _in_the_way(path.parent, "it is a link that leads out of the folder")
        if path.is_dir():
            raise _in_the_way(path, "it is a folder")
        if (path.exists() or path.is_symlink()) and not known.is_ours(folder, name):
            raise _in_the_way(path, "mashkit did not write it")


def _remove_empty(folders: Iterable[Path]) -> None:
    """Remove folders, each inside the next, up to the first that is not empty."""
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:
            return


def _in_the_way(path: Path, why: str) -> OutputError:
    return OutputError(f"{path} is in the way: {why}", "move it elsewhere, or name another folder")


def _remove_abandoned(folder: Path) -> None:
    """Remove the staging folders of runs that were killed on this machine."""
    ours = f"{_STAGING}{socket.gethostname()}-"
    for path in folder.glob(f"{_STAGING}*"):
        if path.name.startswith(ours) and not _is_running(path.name.removeprefix(ours).partition("-")[0]):
            shutil.rmtree(path, ignore_errors=True)


def _is_running(process: str) -> bool:
    if not process.isdecimal():
        return True
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


NAME_BYTES = 200
"""Longest name of a folder that is named after a song, bytes; most file systems allow 255."""


def folder_for(parent: Path, name: str, made_of: str) -> Path:
    """Return the folder below ``parent`` for the files made from one song: ``name``, or ``name`` with a number.

    A folder is used again if an earlier run made it from the same song; a folder of another song or of the user is not
    used.

    Parameters
    ----------
    parent : Path
    name : str
    made_of : str
        Identity of the song: its path.
    """
    while len(os.fsencode(name)) > NAME_BYTES:
        name = name[:-1]
    name = name if name.strip(".") else "song"  # "." and ".." would be this folder and its parent
    number = 1
    while True:
        folder = parent / (name if number == 1 else f"{name} {number}")
        known = FileList.read(folder)
        if known is not None and known.made_of == made_of:
            return folder
        if known is None and (not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))):
            return folder
        number += 1
