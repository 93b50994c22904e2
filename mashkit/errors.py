"""Define mashkit's errors: each contains the file, component or argument that is wrong, and a fix.

All errors derive from :class:`MashkitError`, so that a pipeline over a thousand songs can catch one class, list the
item and go on, and a programming mistake keeps its own class.
"""

from __future__ import annotations

import difflib
import errno
import traceback
from collections.abc import Iterable
from pathlib import Path

from mashkit.paths import path_text, printable


class MashkitError(Exception):
    """Base of every error that mashkit raises on purpose.

    Parameters
    ----------
    problem : str
        A description of what is wrong, with the name of the file, component or argument.
    fix : str, optional
        What the user can do about it.
    """

    def __init__(self, problem: str, fix: str | None = None) -> None:
        super().__init__(problem, fix)
        # A file's name may contain characters that cannot be encoded, or commands to a terminal.
        self.problem = printable(problem, keep="\n\t")
        self.fix = fix if fix is None else printable(fix, keep="\n\t")

    def __str__(self) -> str:
        return f"{self.problem} ({self.fix})" if self.fix else self.problem


class UsageError(MashkitError):
    """An argument that is wrong for any data: a mistake of the caller, not of the input."""


class AudioError(MashkitError):
    """Samples that are not valid audio: wrong shape, not finite, no sample rate."""


class FileError(MashkitError):
    """A file that cannot be used as it is.

    Parameters
    ----------
    path : Path or str
        The file.
    problem : str
        What is wrong with it.
    fix : str, optional
        What to do about it.
    """

    def __init__(self, path: Path | str, problem: str, fix: str | None = None) -> None:
        super().__init__(f"{path_text(path)}: {problem}", fix)
        # pickle makes an exception again as type(self)(*self.args). So args must be the arguments of *this* class, or
        # an error of a worker process could not be sent back.
        self.args = (path, problem, fix)
        self.path = Path(path)


class AudioFileError(FileError):
    """A sound file that cannot be read or written as it is."""


class LabelError(MashkitError):
    """A label file that cannot be read in its format.

    Parameters
    ----------
    path : Path or str
        The file.
    line : int or None
        Number of the wrong line, from 1; None if the whole file is wrong.
    problem : str
        What is wrong with it.
    fix : str, optional
        What to do about it.
    """

    def __init__(self, path: Path | str, line: int | None, problem: str, fix: str | None = None) -> None:
        super().__init__(f"{path_text(path)}{'' if line is None else f', line {line}'}: {problem}", fix)
        self.args = (path, line, problem, fix)  # as in FileError
        self.path = Path(path)
        self.line = line


class OutputError(MashkitError):
    """An output folder or file that cannot be written."""


class StemError(MashkitError):
    """A stem or role that is not among the given stems."""


class AnalysisError(MashkitError):
    """An analysis that is inconsistent, or lacks a field that the next stage needs."""


class PlanError(MashkitError):
    """A mashup plan that is malformed or does not fit the given clips."""


class TimeMapError(MashkitError):
    """A time map with invalid knots, or with speeds that no stretcher can follow."""


class GenerationError(MashkitError):
    """No mashup can be generated from these clips under these conditions."""


class CatalogError(MashkitError):
    """A catalog that cannot be opened, or a clip that it does not contain."""


class ComponentError(MashkitError):
    """Base of the errors about one component (a separator, analyzer, stretcher, scorer, generator or executor)."""


class UnknownComponent(ComponentError, UsageError):
    """No plugin registers a component of that kind and name."""


class DuplicateComponent(ComponentError):
    """Two distributions register the same kind and name, and mashkit does not choose one silently."""


class BrokenPlugin(ComponentError):
    """The component's plugin is installed but could not be loaded."""


class ComponentUnavailable(ComponentError):
    """The component is registered, but one of its requirements is not installed, or is wrong (version, content)."""


class OptionError(ComponentError, UsageError):
    """An option that the component does not have, or a value that it does not accept."""


class ComponentFailed(ComponentError):
    """The backend raised an error; ``__cause__`` is its exception."""


class ContractViolation(ComponentError):
    """The component returned a value that its interface forbids."""


class Unforeseen(MashkitError):
    """Any other error during the work on one song, plan or mashup; ``__cause__`` is the original exception.

    It is a fault of mashkit or of a library. It is listed like any other failure, because the other items must still be
    finished.
    """


class PluginWarning(UserWarning):
    """A plugin broke a rule, so its hook, or a part of the things that it registers, is ignored."""


def contained(error: BaseException, what: str, cls: type[MashkitError] = ComponentFailed) -> MashkitError:
    """Return any error as a mashkit error that contains what failed, the original error, and its place in the code.

    mashkit's own errors are returned unchanged.

    Parameters
    ----------
    error : BaseException
    what : str
        The action that failed: "separator 'acme' failed to separate".
    cls : type
        The class of the new error; its arguments are a problem and a fix.

    Returns
    -------
    MashkitError
        With the traceback as a note.
    """
    if isinstance(error, MashkitError):
        return error
    made = cls(f"{what}: {raised(error)}", _remedy(error, cls))
    made.add_note("".join(traceback.format_exception(error)))
    return made


def said_of(item: Path | str, error: BaseException) -> str:
    """Return an error's text, with the item in front unless the text contains it.

    Errors of :mod:`mashkit.audio.files` contain the file's name, those of a component do not.
    """
    said = str(error)
    return said if str(item) in said else f"{item}: {said}"


def raised(error: BaseException) -> str:
    """Return type and message of an error in one line, also if the error's own code cannot make its text."""
    try:
        said = " ".join(str(error).split())
    except Exception:  # noqa: BLE001 — a plugin's error may make its text with code of its own, which may fail too
        said = ""
    return f"{type(error).__name__}: {said or 'no message'}"


def _remedy(error: BaseException, cls: type[MashkitError]) -> str:
    frames = list(traceback.walk_tb(error.__traceback__))
    place = f"{frames[-1][0].f_code.co_filename}, line {frames[-1][1]}" if frames else "an unknown place"
    if isinstance(error, MemoryError):
        return f"give it shorter songs or more memory, or the executor fewer jobs; raised in {place}"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"make room on the disk, or set TMPDIR to a folder with room; raised in {place}"
    return f"{'a fault of mashkit: report it' if cls is Unforeseen else 'tell its authors'}: {place}"


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return the nearest known name and a list of all known names, as an error's fix."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    return (f"did you mean {near[0]!r}? " if near else "") + f"known: {', '.join(names) or 'none'}"
