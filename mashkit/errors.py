"""The errors mashkit raises: each names what it speaks of and what to do about it.

Everything derives from :class:`MashkitError`, so that a pipeline over a thousand songs can catch one class,
list the item and go on, while programming mistakes still surface as what they are.
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
        What is wrong, naming the file, component or argument.
    fix : str, optional
        What the user can do about it.
    """

    def __init__(self, problem: str, fix: str | None = None) -> None:
        super().__init__(problem, fix)
        # A file's name may hold what no encoder takes, or commands to a terminal.
        self.problem = printable(problem, keep="\n\t")
        self.fix = fix if fix is None else printable(fix, keep="\n\t")

    def __str__(self) -> str:
        return f"{self.problem} ({self.fix})" if self.fix else self.problem


class UsageError(MashkitError):
    """An argument that makes no sense, whatever the data: the caller's mistake, not the input's."""


class AudioError(MashkitError):
    """Samples that are not audio as mashkit understands it: wrong shape, not finite, no rate."""


class AudioFileError(MashkitError):
    """A sound file that cannot be read or written as it is.

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
        # Exception pickles as type(self)(*self.args): keep the arguments of *this* class, or an error
        # raised in a worker process cannot travel home.
        self.args = (path, problem, fix)
        self.path = Path(path)


class LabelError(MashkitError):
    """A label file that cannot be read as what it should be.

    Parameters
    ----------
    path : Path or str
        The file.
    line : int or None
        Which line is wrong, counted from 1; None if it is the whole file.
    problem : str
        What is wrong with it.
    fix : str, optional
        What to do about it.
    """

    def __init__(self, path: Path | str, line: int | None, problem: str, fix: str | None = None) -> None:
        super().__init__(f"{path_text(path)}{'' if line is None else f', line {line}'}: {problem}", fix)
        self.args = (path, line, problem, fix)  # as in AudioFileError
        self.path = Path(path)
        self.line = line


class OutputError(MashkitError):
    """An output folder or file that cannot be written."""


class StemError(MashkitError):
    """A stem or role that the stems at hand do not have."""


class AnalysisError(MashkitError):
    """An analysis that is inconsistent, or lacks what the next stage needs."""


class PlanError(MashkitError):
    """A mashup plan that is malformed or does not fit the clips at hand."""


class TimeMapError(MashkitError):
    """A time map whose knots make no map, or that asks for speeds no stretcher follows."""


class GenerationError(MashkitError):
    """No mashup can be generated from these clips under these conditions."""


class CatalogError(MashkitError):
    """A catalog that cannot be opened, or a clip it does not hold."""


class ComponentError(MashkitError):
    """Base of the errors about one component (a separator, analyzer, stretcher, scorer, generator or executor)."""


class UnknownComponent(ComponentError, UsageError):
    """No plugin registers a component of that kind and name."""


class DuplicateComponent(ComponentError):
    """Two distributions register the same kind and name; neither can be picked silently."""


class BrokenPlugin(ComponentError):
    """The component's plugin is installed but could not be loaded."""


class ComponentUnavailable(ComponentError):
    """The component is registered, but something it requires is not installed, or not what it should be."""


class OptionError(ComponentError, UsageError):
    """An option the component does not have, or a value it does not take."""


class ComponentFailed(ComponentError):
    """The backend raised; ``__cause__`` holds its own exception."""


class ContractViolation(ComponentError):
    """The component returned something its interface forbids."""


class Unforeseen(MashkitError):
    """Anything else that was raised over one song, plan or mashup; ``__cause__`` holds it.

    A fault of mashkit's, or of what it is built on. It is listed like any other failure, because the rest is not to
    suffer for it.
    """


class PluginWarning(UserWarning):
    """A plugin did what it must not, and is done without: its hook, or part of what it brings."""


def contained(error: BaseException, what: str, cls: type[MashkitError] = ComponentFailed) -> MashkitError:
    """Return any error as one of mashkit's: it names what failed, what was raised, and where in the code.

    mashkit's own errors come back as they are.

    Parameters
    ----------
    error : BaseException
    what : str
        What failed: "separator 'acme' failed to separate".
    cls : type
        Which of mashkit's errors to make; it takes a problem and a fix.

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
    """Return what an error says, naming the item it is about: the file door names its file, a component does not."""
    said = str(error)
    return said if str(item) in said else f"{item}: {said}"


def raised(error: BaseException) -> str:
    """Return type and message of an error in one line, whatever its own code makes of that."""
    try:
        said = " ".join(str(error).split())
    except Exception:  # noqa: BLE001 — the error may be a plugin's: its text is made by code, which may fail too
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
    """Return the nearest known name, and all of them, as an error's fix."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    return (f"did you mean {near[0]!r}? " if near else "") + f"known: {', '.join(names) or 'none'}"
