"""Define mashkit's errors: each contains the file, component or argument that is wrong, and a fix.

All errors derive from :class:`MashkitError`, so that a pipeline over a thousand songs can catch one class, list the
item and go on, and a programming mistake keeps its own class.

Examples
--------
>>> import mashkit as mk
>>> issubclass(mk.errors.UnknownComponent, mk.ComponentError)
True
>>> try:
...     mk.Key.parse("H minor")
... except mk.MashkitError as error:
...     print(error.problem, "|", error.fix)
'H minor' is not a key | write it like "A minor", "Bb major", "F#m", "8A" or "1m"
"""

from __future__ import annotations

import difflib
import errno
import importlib.util
import os
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

    Examples
    --------
    >>> import mashkit as mk
    >>> from pathlib import Path
    >>> for name in ("a.flac", "b.flac"):
    ...     try:
    ...         mk.load(name)
    ...     except mk.MashkitError as error:  # one bad song does not stop the others
    ...         print(error.problem, "|", error.fix)
    a.flac: no such file or folder | check the spelling
    b.flac: no such file or folder | check the spelling
    """

    def __init__(self, problem: str, fix: str | None = None) -> None:
        super().__init__(problem, fix)
        # A file's name may contain characters that cannot be encoded, or commands to a terminal.
        self.problem = printable(problem, keep="\n\t")
        self.fix = fix if fix is None else printable(fix, keep="\n\t")

    def __str__(self) -> str:
        return f"{self.problem} ({self.fix})" if self.fix else self.problem


class UsageError(MashkitError):
    """An argument that is wrong for any data: a mistake of the caller, not of the input.

    Examples
    --------
    >>> import mashkit as mk
    >>> mk.Recipe({"matched": -1})
    Traceback (most recent call last):
        ...
    mashkit.errors.UsageError: the number of matched plans is -1 (give 0 or more)
    """


class AudioError(MashkitError):
    """Samples that are not valid audio: wrong shape, not finite, no sample rate.

    Examples
    --------
    >>> import mashkit as mk
    >>> import numpy as np
    >>> mk.Audio(np.zeros(100, np.float32), 44_100)
    Traceback (most recent call last):
        ...
    mashkit.errors.AudioError: samples have shape (100,) (give (channels, frames); mono is (1, frames))
    """


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

    Examples
    --------
    >>> import mashkit as mk
    >>> error = mk.FileError("songs/a.flac", "holds no sound", "export it again")
    >>> error.path.name, error.fix
    ('a.flac', 'export it again')
    >>> str(error)
    'songs/a.flac: holds no sound (export it again)'
    """

    def __init__(self, path: Path | str, problem: str, fix: str | None = None) -> None:
        super().__init__(f"{path_text(path)}: {problem}", fix)
        # pickle makes an exception again as type(self)(*self.args). So args must be the arguments of *this* class, or
        # an error of a worker process could not be sent back.
        self.args = (path, problem, fix)
        self.path = Path(path)


class AudioFileError(FileError):
    """A sound file that cannot be read or written as it is.

    Examples
    --------
    >>> from pathlib import Path
    >>> import mashkit as mk
    >>> Path("notes.wav").write_text("no sound")
    8
    >>> mk.load("notes.wav")
    Traceback (most recent call last):
        ...
    mashkit.errors.AudioFileError: notes.wav: cannot be decoded: libsndfile does not know its format
    (check that it is a sound file, or export it again)
    """


class LabelError(MashkitError):
    r"""A label file that cannot be read in its format.

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

    Examples
    --------
    >>> from pathlib import Path
    >>> from mashkit.catalog.protocols.labels import read_beats
    >>> Path("song.beats").write_text("0.50 1\n1.00 two\n")
    16
    >>> read_beats(Path("song.beats"))
    Traceback (most recent call last):
        ...
    mashkit.errors.LabelError: song.beats, line 2: 'two' is not a position in a bar (count the beats of a bar from 1)
    """

    def __init__(self, path: Path | str, line: int | None, problem: str, fix: str | None = None) -> None:
        super().__init__(f"{path_text(path)}{'' if line is None else f', line {line}'}: {problem}", fix)
        self.args = (path, line, problem, fix)  # as in FileError
        self.path = Path(path)
        self.line = line


class OutputError(MashkitError):
    """An output folder or file that cannot be written.

    Examples
    --------
    >>> from pathlib import Path
    >>> import mashkit as mk
    >>> Path("out").write_text("a file, not a folder")
    20
    >>> mk.MashupDB("out/songs.mashdb")
    Traceback (most recent call last):
        ...
    mashkit.errors.OutputError: cannot write to out/songs.mashdb: Not a directory
    (name another folder with --db or --cache)
    """


class StemError(MashkitError):
    """A stem or role that is not among the given stems.

    Examples
    --------
    >>> import mashkit as mk
    >>> from mashkit.testing import signals
    >>> mk.StemSet({"singing": signals.tone(440, 1.0)})
    Traceback (most recent call last):
        ...
    mashkit.errors.StemError: stems named ['singing'] (use vocals, bass, other, guitar, piano, drums)
    """


class AnalysisError(MashkitError):
    """An analysis that is inconsistent, or lacks a field that the next stage needs.

    Examples
    --------
    >>> import mashkit as mk
    >>> mk.Analysis(tempo=-120.0)
    Traceback (most recent call last):
        ...
    mashkit.errors.AnalysisError: tempo is -120.0 (give a positive BPM, or None when unknown)
    """


class PlanError(MashkitError):
    """A mashup plan that is malformed or does not fit the given clips.

    Examples
    --------
    >>> import mashkit as mk
    >>> drums = mk.Layer(role="percussion", clip_id="c1")
    >>> mk.MashupPlan(condition="matched", layers=[drums], duration_s=30, seed=1)
    Traceback (most recent call last):
        ...
    mashkit.errors.PlanError: a plan needs a vocal and at most one layer of each role, not ['percussion']
    """


class TimeMapError(MashkitError):
    """A time map with invalid knots, or with speeds that no stretcher can follow.

    Examples
    --------
    >>> import mashkit as mk
    >>> mk.TimeMap(source=[0, 4, 3], target=[0, 4, 9])
    Traceback (most recent call last):
        ...
    mashkit.errors.TimeMapError: the source of a time map is not finite, strictly increasing seconds: number 2 is 3.0,
    and the one before it 4.0
    """


class GenerationError(MashkitError):
    """No mashup can be generated from these clips under these conditions.

    Examples
    --------
    >>> import mashkit as mk
    >>> from mashkit.synthetic.source import SyntheticSource
    >>> far_apart = SyntheticSource([(mk.Key(0, "major"), 120.0), (mk.Key(6, "major"), 80.0)])
    >>> generator = mk.Registry().create("generator", "paper")
    >>> list(generator.plan(far_apart.clips, condition="matched", count=1, seed=1))
    Traceback (most recent call last):
        ...
    mashkit.errors.GenerationError: no matched mashup among 2 clips: no harmonic stem of another song fits the drawn
    vocal: of 2 pairs 2 are too far apart in tempo, 2 in key [band-0-C-major-120-16-0: C major, 120.0 BPM;
    band-1-F#-major-80-16-0: F# major, 80.0 BPM]
    (add songs of other tempi, or widen min_speed/max_speed (now 0.8–1.2))
    """


class CatalogError(MashkitError):
    """A catalog that cannot be opened, or a clip that it does not contain.

    Examples
    --------
    >>> import mashkit as mk
    >>> mk.MashupDB("nowhere", write=False)
    Traceback (most recent call last):
        ...
    mashkit.errors.CatalogError: nowhere holds no database (make one: mashkit db add FOLDER --db nowhere)
    """


class ComponentError(MashkitError):
    """Base of the errors about one component (a separator, analyzer, stretcher, scorer, generator or executor).

    Examples
    --------
    >>> import mashkit as mk
    >>> try:
    ...     mk.Kit(scorer="louder").scorer
    ... except mk.ComponentError as error:  # unknown, unavailable, broken, wrong options …
    ...     print(type(error).__name__)
    UnknownComponent
    """


class UnknownComponent(ComponentError, UsageError):
    """No plugin registers a component of that kind and name.

    Examples
    --------
    >>> import mashkit as mk
    >>> mk.Registry(allow=[]).create("generator", "papr")
    Traceback (most recent call last):
        ...
    mashkit.errors.UnknownComponent: no generator is called 'papr' (did you mean 'paper'? known: paper)
    """


class DuplicateComponent(ComponentError):
    """Two distributions register the same kind and name, and mashkit does not choose one silently.

    Examples
    --------
    >>> import mashkit as mk
    >>> raise mk.DuplicateComponent("scorer 'acme' is registered by acme-one and acme-two", "uninstall one of them")
    Traceback (most recent call last):
        ...
    mashkit.errors.DuplicateComponent: scorer 'acme' is registered by acme-one and acme-two (uninstall one of them)
    """


class BrokenPlugin(ComponentError):
    """The component's plugin is installed but could not be loaded.

    Examples
    --------
    >>> import mashkit as mk
    >>> from mashkit.components import Origin
    >>> from mashkit.discovery import Registered
    >>> card = mk.ComponentInfo(name="acme", target="acme_gone:Acme", summary="s", code_license="MIT", provides=())
    >>> try:
    ...     Registered("scorer", card, Origin("mashkit-acme", "1.0")).make()
    ... except mk.BrokenPlugin as error:
    ...     print(error.problem)
    scorer 'acme': importing acme_gone:Acme of mashkit-acme failed: ModuleNotFoundError: No module named 'acme_gone'
    """


class ComponentUnavailable(ComponentError):
    """The component is registered, but one of its requirements is not installed, or is wrong (version, content).

    Examples
    --------
    >>> import mashkit as mk
    >>> from mashkit.components import Origin
    >>> from mashkit.discovery import Registered
    >>> card = mk.ComponentInfo(
    ...     name="acme", target="acme:Acme", summary="s", code_license="MIT", provides=(),
    ...     requires=["acme-dsp>=2"], install="pip install 'acme-dsp>=2'",
    ... )
    >>> Registered("scorer", card, Origin("mashkit-acme", "1.0")).require_available()
    Traceback (most recent call last):
        ...
    mashkit.errors.ComponentUnavailable: scorer 'acme' is not available: acme-dsp>=2 is not installed
    (pip install 'acme-dsp>=2')
    """


class OptionError(ComponentError, UsageError):
    """An option that the component does not have, or a value that it does not accept.

    Examples
    --------
    >>> import mashkit as mk
    >>> mk.Registry().create("generator", "paper", {"max_shift": "far"})
    Traceback (most recent call last):
        ...
    mashkit.errors.OptionError: generator 'paper': its option 'max_shift' is 'far' (give a whole number)
    """


class ComponentFailed(ComponentError):
    """The backend raised an error; ``__cause__`` is its exception.

    Examples
    --------
    >>> import mashkit as mk
    >>> from mashkit.testing import signals
    >>> class Fragile(mk.Analyzer):
    ...     info = mk.ComponentInfo(name="fragile", target="f:F", summary="s", code_license="MIT", provides={"tempo"})
    ...     def _analyze(self, mix):
    ...         return mk.Analysis(tempo=60 / 0)
    >>> try:
    ...     Fragile().analyze(signals.noise(1.0))
    ... except mk.ComponentFailed as error:
    ...     print(error.problem)
    analyzer 'fragile' failed to analyze: ZeroDivisionError: division by zero
    """


class ContractViolation(ComponentError):
    """The component returned a value that its interface forbids.

    Examples
    --------
    >>> import mashkit as mk
    >>> from mashkit.testing import signals
    >>> class Overeager(mk.Analyzer):
    ...     info = mk.ComponentInfo(name="overeager", target="o:O", summary="s", code_license="MIT", provides={"tempo"})
    ...     def _analyze(self, mix):
    ...         return mk.Analysis(tempo=120.0, key=mk.Key(0, "major"))
    >>> Overeager().analyze(signals.noise(1.0))
    Traceback (most recent call last):
        ...
    mashkit.errors.ContractViolation: analyzer 'overeager' set key, which it does not provide
    """


class Unforeseen(MashkitError):
    """Any other error during the work on one song, plan or mashup; ``__cause__`` is the original exception.

    It is a fault of mashkit or of a library. It is listed like any other failure, because the other items must still be
    finished.

    Examples
    --------
    >>> import mashkit as mk
    >>> from mashkit.errors import contained
    >>> try:
    ...     [][0]
    ... except IndexError as found:
    ...     error = contained(found, "plan 3f2a", mk.Unforeseen)
    >>> error.problem
    'plan 3f2a: IndexError: list index out of range'
    >>> error.fix.startswith("a fault of mashkit: report it")
    True
    """


class PluginWarning(UserWarning):
    """A plugin broke a rule, so its hook, or a part of the things that it registers, is ignored;
    or the results of a component cannot be kept.

    Examples
    --------
    >>> import warnings
    >>> import mashkit as mk
    >>> from mashkit.synthetic.source import SyntheticSource
    >>> def tell(event):
    ...     raise ValueError("no window to draw in")
    >>> songs = SyntheticSource([(mk.Key(9, "minor"), 120.0)], bars=16)
    >>> kit = mk.Kit(scorer="random", notify=tell)
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     scores = kit.score(kit.generate(songs, condition="original", count=1))  # the work goes on
    >>> caught[0].category.__name__, len(scores)
    ('PluginWarning', 1)
    """


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

    Examples
    --------
    >>> from mashkit.errors import contained
    >>> try:
    ...     {}["chroma"]
    ... except KeyError as found:
    ...     error = contained(found, "scorer 'acme' failed to score")
    >>> type(error).__name__, error.problem
    ('ComponentFailed', "scorer 'acme' failed to score: KeyError: 'chroma'")
    >>> contained(error, "score plan 3f2a") is error
    True
    """
    if isinstance(error, MashkitError):
        return error
    made = cls(f"{what}: {raised(error)}", _remedy(error, cls))
    made.add_note("".join(traceback.format_exception(error)))
    return made


def nearest(error: MashkitError) -> MashkitError:
    """Return an error as one of the nearest class of this module, which every process can import.

    Parameters
    ----------
    error : MashkitError
        Of any class, also of a plugin's.

    Returns
    -------
    MashkitError
        With the same arguments if the class takes the same, as the class of a checkpoint's errors and its base
        FileError do; otherwise of the nearest class that takes a problem and a fix, with those.

    Examples
    --------
    >>> from mashkit.errors import FileError, nearest
    >>> class WeightsError(FileError):
    ...     pass
    >>> found = nearest(WeightsError("net.safetensors", "is cut short", "download it again"))
    >>> type(found).__name__, found.path.name, found.fix
    ('FileError', 'net.safetensors', 'download it again')
    """
    ours = [cls for cls in type(error).__mro__ if globals().get(cls.__name__) is cls]
    for cls in ours:
        if cls.__init__ is type(error).__init__:
            alike: MashkitError = cls(*error.args)
            return alike
    plain: MashkitError = next(cls for cls in ours if cls.__init__ is MashkitError.__init__)(error.problem, error.fix)
    return plain


def require_packages(
    purpose: str, packages: Iterable[str], fix: str, error: type[MashkitError] = ComponentUnavailable
) -> None:
    """Raise ``error`` if some packages are not installed. None of them is imported.

    Examples
    --------
    >>> from mashkit.errors import require_packages
    >>> require_packages("a page needs", ["json", "markup9"], "pip install markup9")
    Traceback (most recent call last):
        ...
    mashkit.errors.ComponentUnavailable: a page needs markup9 (pip install markup9)
    """
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise error(f"{purpose} {', '.join(missing)}", fix)


def said_of(item: Path | str, error: BaseException) -> str:
    """Return an error's text, with the item in front unless the text contains it.

    Errors of :mod:`mashkit.audio.files` contain the file's name, those of a component do not.

    Examples
    --------
    >>> from mashkit.errors import MashkitError, said_of
    >>> said_of("a.flac", MashkitError("it has no beats"))
    'a.flac: it has no beats'
    >>> said_of("a.flac", MashkitError("a.flac: holds no sound"))
    'a.flac: holds no sound'
    """
    said = str(error)
    return said if str(item) in said else f"{item}: {said}"


def raised(error: BaseException) -> str:
    r"""Return type and message of an error in one line, also if the error's own code cannot make its text.

    Examples
    --------
    >>> from mashkit.errors import raised
    >>> raised(ValueError("two\nlines"))
    'ValueError: two lines'
    >>> raised(KeyError())
    'KeyError: no message'
    """
    try:
        said = " ".join(str(error).split())
    except Exception:  # noqa: BLE001 — a plugin's error may make its text with code of its own, which may fail too
        said = ""
    return f"{type(error).__name__}: {said or 'no message'}"


def place_of(error: BaseException, *, of_mashkit: bool = False) -> str:
    """Return the file and line of a plugin's code from which an error came, or no text.

    A plugin calls mashkit, whose values refuse what is wrong: so the last line of the plugin counts, and not that of
    mashkit or of an import. Only for mashkit's own plugins it is a line of mashkit.

    Parameters
    ----------
    error : BaseException
    of_mashkit : bool
        Return the last line of any code: the error is a fault of mashkit.

    Examples
    --------
    >>> from mashkit.errors import place_of
    >>> place_of(ValueError("never raised"))
    ''
    """
    own = f"{Path(__file__).parent}{os.sep}"
    plugins, everything, inside = [], [], []
    for frame, line in traceback.walk_tb(error.__traceback__):
        file = frame.f_code.co_filename
        if file.startswith(("<frozen", "<attrs")) or f"{os.sep}importlib{os.sep}" in file:
            continue
        everything.append(f"{file}, line {line}")
        if not file.startswith(own):
            plugins.append(everything[-1])
        elif file.startswith(f"{own}builtin{os.sep}"):
            inside.append(everything[-1])
    found = everything if of_mashkit else plugins or inside
    return found[-1] if found else ""


def _remedy(error: BaseException, cls: type[MashkitError]) -> str:
    place = place_of(error, of_mashkit=cls is Unforeseen)
    raised_in = f"; raised in {place}" if place else ""
    if isinstance(error, MemoryError):
        return f"give it shorter songs or more memory, or the executor fewer jobs{raised_in}"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"make room on the disk, or set TMPDIR to a folder with room{raised_in}"
    fix = "a fault of mashkit: report it" if cls is Unforeseen else "tell its authors"
    return f"{fix}: {place}" if place else fix


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return the nearest known name and a list of all known names, as an error's fix.

    Examples
    --------
    >>> from mashkit.errors import suggestion
    >>> suggestion("amuu", ["amu", "tiv"])
    "did you mean 'amu'? known: amu, tiv"
    >>> suggestion("x", [])
    'known: none'
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    return (f"did you mean {near[0]!r}? " if near else "") + f"known: {', '.join(names) or 'none'}"


def with_article(noun: str) -> str:
    """Return a noun, such as a kind of component, after "a" or "an".

    Examples
    --------
    >>> from mashkit.errors import with_article
    >>> with_article("scorer"), with_article("executor")
    ('a scorer', 'an executor')
    """
    return f"{'an' if noun[:1] in 'aeiou' else 'a'} {noun}"
