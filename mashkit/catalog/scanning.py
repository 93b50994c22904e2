"""Look through folders for sound: what is taken, what is passed over and why.

:data:`FOLDER_RULES` and :data:`FILE_RULES` are the one place that says what is passed over.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import attrs

from mashkit.audiofile import AUDIO_SUFFIXES, UNREADABLE_SUFFIXES, as_path
from mashkit.catalog.schema import INDEX
from mashkit.errors import UsageError
from mashkit.paths import path_text, printable
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
"""Folders that systems keep their own things in: copies, thumbnails, what was thrown away. In lower case."""

BESIDE_MUSIC = frozenset(
    {
        *(".txt", ".md", ".json", ".jsonl", ".csv", ".tsv", ".xml", ".html", ".htm", ".pdf", ".nfo", ".log", ".yaml"),
        *(".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".svg", ".ini", ".db", ".url", ".sqlite"),
        *(".m3u", ".m3u8", ".pls", ".xspf", ".cue", ".lrc", ".sfv", ".md5", ".ffp", ".beats", ".key", ".bpm", ".lab"),
        *(".py", ".sh", "license", "licence", "readme", "copying", "notice", "credits"),
    }
)
"""Suffixes, and names without one, of what lies beside music everywhere: passed over without a word."""

_TOLD = 3
"""Examples of what was passed over that a note names."""


@attrs.frozen
class Rule:
    """A reason to pass over what a scan meets.

    Parameters
    ----------
    one, many : str
        What it is called in a note: "1 hidden folder", "2 hidden folders".
    meets : callable
        Tells of a path whether the rule is about it.
    """

    one: str
    many: str
    meets: Callable[[Path], bool]


def _is_hidden(path: Path) -> bool:
    return path.name.startswith(".")


def _is_database(path: Path) -> bool:
    return (path / INDEX).is_file()


FOLDER_RULES: tuple[Rule, ...] = (
    Rule("hidden folder", "hidden folders", _is_hidden),
    Rule("system folder", "system folders", lambda path: path.name.lower() in SYSTEM_FOLDERS),
    Rule("database of clips", "databases of clips", _is_database),
)
"""Folders that are not looked into; the first rule that meets one is what is said of it."""

FILE_RULES: tuple[Rule, ...] = (
    Rule("hidden file", "hidden files", _is_hidden),
    Rule("file that mashkit made", "files that mashkit made", is_product),
)
"""Sound files that are not taken."""

_SEEN_FOLDER = Rule("link to a folder seen already", "links to folders seen already", lambda _: False)
_SEEN_FILE = Rule("link to a file seen already", "links to files seen already", lambda _: False)
_OTHER_FILE = Rule("other file", "other files", lambda _: False)


class Found(list[T]):
    """What a scan found, and what the user should know of it.

    Parameters
    ----------
    items : iterable
    notes : iterable of str
        What was passed over, a line for each folder named.
    """

    def __init__(self, items: Iterable[T] = (), notes: Iterable[str] = ()) -> None:
        super().__init__(items)
        self.notes = tuple(notes)


def given_paths(paths: Iterable[Path | str] | Path | str) -> list[Path]:
    """Return what names files and folders as paths; raises UsageError if it does not."""
    if isinstance(paths, str | os.PathLike):
        return [as_path(paths)]
    if not isinstance(paths, Iterable):
        raise UsageError(f"songs are named by {paths!r}, a {type(paths).__name__}", "give paths of files and folders")
    return [as_path(path) for path in paths]


class Scan:
    """A walk through folders, each of which is looked into once, whatever links lead to it.

    Attributes
    ----------
    files : list of Path
        Sound files, sorted within a folder that was named, and what looks like them: pipes, broken links. A folder that
        cannot be read stands here too, so that whoever opens it says why.
    folders : list of Path
        The folders looked into, sorted likewise.
    notes : list of str
        What was passed over, a line for each folder that was named.
    """

    def __init__(self) -> None:
        self.files: list[Path] = []
        self.folders: list[Path] = []
        self.notes: list[str] = []
        self._seen: set[tuple[int, int]] = set()

    def look(self, root: Path) -> None:
        """Look through a folder and those below; links are followed after everything else."""
        folders, links = [root], list[Path]()
        looked, files, file_links = list[Path](), list[Path](), list[Path]()
        passed: dict[Rule, list[Path]] = {}

        def pass_over(rule: Rule, path: Path) -> None:
            passed.setdefault(rule, []).append(path)

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
        """Return what is in a folder: path, whether it is a folder, whether it is a link; None if it was seen."""
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
    """Tell by its suffix whether a file is music, readable or not."""
    return path.suffix.lower() in AUDIO_SUFFIXES | UNREADABLE_SUFFIXES


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
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
