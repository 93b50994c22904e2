"""Search folders for sound files, skip some files and folders, and report the reason.

:data:`FOLDER_RULES` and :data:`FILE_RULES` are the only list of folders and sound files that a scan skips.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import attrs

from mashkit.audio.files import AUDIO_SUFFIXES, UNREADABLE_SUFFIXES, as_path
from mashkit.catalog.schema import INDEX, OBJECTS
from mashkit.errors import UsageError
from mashkit.paths import is_file, path_text, printable
from mashkit.products import is_product

T = TypeVar("T")

SYSTEM_FOLDERS = frozenset(
    {
        *("@eadir", "#recycle", "#snapshot", "@tmp", "@recycle", "@recently-snapshot", "@sharebin"),  # file servers
        *("__macosx", "network trash folder", "temporary items"),  # macOS
        *("$recycle.bin", "recycler", "system volume information", "found.000"),  # Windows
        *("lost+found", "lost.dir", "~snapshot"),
    }
)
"""Names, in lower case, of folders that systems use for themselves: copies, thumbnails, deleted files."""

BESIDE_MUSIC = frozenset(
    {
        *(".txt", ".md", ".json", ".jsonl", ".csv", ".tsv", ".xml", ".html", ".htm", ".pdf", ".nfo", ".log", ".yaml"),
        *(".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".svg", ".ini", ".db", ".url"),
        *(".sqlite", ".sqlite-shm", ".sqlite-wal"),
        *(".m3u", ".m3u8", ".pls", ".xspf", ".cue", ".lrc", ".sfv", ".md5", ".ffp", ".beats", ".key", ".bpm", ".lab"),
        *(".py", ".sh", "license", "licence", "readme", "copying", "notice", "credits"),
    }
)
"""Suffixes, and names without a suffix, of files that often lie beside music. They are skipped without a note."""

_TOLD = 3
"""Number of skipped files or folders that a note names as examples."""


@attrs.frozen
class Rule:
    """A reason to skip a file or folder in a scan.

    Parameters
    ----------
    one, many : str
        Words for the skipped paths in a note, singular and plural: "1 hidden folder", "2 hidden folders".
    meets : callable
        Returns whether the rule applies to a path.
    also_named : bool
        Whether the rule applies also to a folder that the user names.
    """

    one: str
    many: str
    meets: Callable[[Path], bool]
    also_named: bool = False


def _is_hidden(path: Path) -> bool:
    return path.name.startswith(".")


def _is_store(path: Path) -> bool:
    return path.name == OBJECTS and is_file(path.parent / INDEX)


FOLDER_RULES: tuple[Rule, ...] = (
    Rule("hidden folder", "hidden folders", _is_hidden),
    Rule("system folder", "system folders", lambda path: path.name.lower() in SYSTEM_FOLDERS),
    Rule("folder of a database's stems", "folders of a database's stems", _is_store, also_named=True),
)
"""Rules for folders that are skipped; the note about a folder names the first rule that applies."""

FILE_RULES: tuple[Rule, ...] = (
    Rule("hidden file", "hidden files", _is_hidden),
    Rule("file that mashkit made", "files that mashkit made", is_product),
)
"""Rules for sound files that are skipped."""

_SEEN_FOLDER = Rule("link to a folder seen already", "links to folders seen already", lambda _: False)
_SEEN_FILE = Rule("link to a file seen already", "links to files seen already", lambda _: False)
_OTHER_FILE = Rule("other file", "other files", lambda _: False)


class Found(list[T]):
    """A list of the items that a scan found, with notes for the user.

    Parameters
    ----------
    items : iterable
    notes : iterable of str
        Notes on skipped files and folders, a line for each folder that the user named.
    """

    def __init__(self, items: Iterable[T] = (), notes: Iterable[str] = ()) -> None:
        super().__init__(items)
        self.notes = tuple(notes)


def given_paths(paths: Iterable[Path | str] | Path | str) -> list[Path]:
    """Return a list of paths for one path or several; raises UsageError if the argument is neither."""
    if isinstance(paths, str | os.PathLike):
        return [as_path(paths)]
    if not isinstance(paths, Iterable):
        raise UsageError(f"songs are named by {paths!r}, a {type(paths).__name__}", "give paths of files and folders")
    return [as_path(path) for path in paths]


class Scan:
    """A walk through folders. It visits each folder once, even if several links lead to the folder.

    Attributes
    ----------
    files : list of Path
        Files with the suffix of a sound file, pipes and broken links included, sorted within each folder that the user
        named. The list also contains folders that cannot be read, so that opening them later gives the error.
    folders : list of Path
        The visited folders, sorted in the same way.
    notes : list of str
        Notes on skipped files and folders, a line for each folder that the user named.
    """

    def __init__(self) -> None:
        self.files: list[Path] = []
        self.folders: list[Path] = []
        self.notes: list[str] = []
        self._seen: set[tuple[int, int]] = set()

    def look(self, root: Path) -> None:
        """Search a folder and its subfolders; links to folders are followed last."""
        folders, links = list[Path](), list[Path]()
        looked, files, file_links = list[Path](), list[Path](), list[Path]()
        passed: dict[Rule, list[Path]] = {}

        def pass_over(rule: Rule, path: Path) -> None:
            passed.setdefault(rule, []).append(path)

        named = root.absolute()  # "." has no name
        if (rule := next((one for one in FOLDER_RULES if one.also_named and one.meets(named)), None)) is not None:
            pass_over(rule, named)
        else:
            folders.append(root)
        while folders or links:
            by_link = not folders
            folder = links.pop(0) if by_link else folders.pop()
            entries = self._entries(folder)
            if entries is None:
                if by_link:
                    pass_over(_SEEN_FOLDER, folder)
                continue
            if isinstance(entries, OSError):
                files.append(folder)
                continue
            looked.append(folder)
            for path, is_folder, is_link in entries:
                rule = next((one for one in (FOLDER_RULES if is_folder else FILE_RULES) if one.meets(path)), None)
                if is_folder:
                    if rule is not None:
                        pass_over(rule, path)
                    else:
                        (links if is_link else folders).append(path)
                elif is_sound(path):
                    if rule is not None:
                        pass_over(rule, path)
                    else:
                        (file_links if is_link else files).append(path)
                elif rule is None and (path.suffix or path.name).lower() not in BESIDE_MUSIC:
                    pass_over(_OTHER_FILE, path)
        there = {_identity(path) for path in files} if file_links else set()
        for path in sorted(file_links):
            identity = _identity(path)
            if identity is not None and identity in there:
                pass_over(_SEEN_FILE, path)
            else:
                files.append(path)
                there.add(identity)
        self.files += sorted(files)
        self.folders += sorted(looked)
        if passed:
            self.notes.append(f"{path_text(root)}: passed over {', '.join(_counts(passed))}")

    def _entries(self, folder: Path) -> list[tuple[Path, bool, bool]] | OSError | None:
        """Return the folder's entries as (path, is a folder, is a link); None if the folder was visited before."""
        try:
            state = folder.stat()
            if (state.st_dev, state.st_ino) in self._seen:
                return None
            self._seen.add((state.st_dev, state.st_ino))
            with os.scandir(folder) as entries:
                return sorted((folder / entry.name, _is_folder(entry), entry.is_symlink()) for entry in entries)
        except OSError as error:
            return error


def is_sound(path: Path) -> bool:
    """Return whether the suffix is that of a sound file, of a readable format or not."""
    return path.suffix.lower() in AUDIO_SUFFIXES | UNREADABLE_SUFFIXES


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # for example a link to itself
        return False


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_dev, state.st_ino


def _counts(passed: dict[Rule, list[Path]]) -> Iterator[str]:
    for rule in (*FOLDER_RULES, _SEEN_FOLDER, *FILE_RULES, _SEEN_FILE, _OTHER_FILE):
        paths = passed.get(rule, [])
        if not paths:
            continue
        by_suffix = rule is _OTHER_FILE
        names = dict.fromkeys(
            (path.suffix.lower() or path.name) if by_suffix else path.name
            for path in sorted(paths, key=lambda path: path.name.lower())
        )
        told = ", ".join(printable(name) for name in list(names)[:_TOLD]) + ", …" * (len(names) > _TOLD)
        yield f"{len(paths)} {rule.one if len(paths) == 1 else rule.many} ({told})"
