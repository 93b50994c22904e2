"""Run the code of plugins so that their errors, output and changes to this process do not affect other code.

A plugin is other people's code in our process. All calls of a plugin go through :func:`plugin_code`, which

- converts every error into one of mashkit's errors, also a SystemExit and a KeyboardInterrupt that the plugin raises
  itself; the user's Ctrl-C stays a KeyboardInterrupt;
- restores the settings that mashkit relies on: the current folder, the locale, filters that make warnings errors,
  numpy's error settings, the handler of Ctrl-C, standard output. Those of the whole process are restored after a call
  in the main thread, and in a command after a call in any thread. After a call in another thread of somebody's program
  they stay, because nobody can say whether the plugin changed them, or the program did meanwhile;
- in a command, sends the plugin's output to standard error, because standard output contains the command's data: see
  :func:`data_on_stdout`.

It cannot stop an endless loop, a crash in C, or ``os._exit``. Isolation can (``separator@``).
"""

from __future__ import annotations

import contextlib
import io
import locale
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, TextIO, TypeVar, cast

from mashkit.errors import (
    AudioError,
    ComponentError,
    ComponentFailed,
    ContractViolation,
    MashkitError,
    StemError,
    contained,
)

T = TypeVar("T")

_END = object()
_VALUES = "mashkit.types."
"""The package of values; it is named and not imported, because it imports numpy."""
_CHECKS = ("mashkit.arguments", "mashkit.numbers")
"""The modules whose functions check the arguments of values."""


class _Here(threading.local):
    """The state of one thread."""

    inside = False  # whether a plugin's code is running
    counted = False  # whether its call is one of those that share settings
    watching = False  # whether Ctrl-C would raise an error with the mark below


_here = _Here()
_OF_SIGNAL = "_mashkit_of_signal"
"""Attribute of a KeyboardInterrupt that a signal caused, and so the user: its number. A plugin may raise others.

It is not a class of its own, because Python ends a program as an interrupted one only for KeyboardInterrupt itself.
"""
_ENDING = ("SIGTERM", "SIGHUP")
"""Signals that end a command as Ctrl-C does. By default they end a process at once, with half-written files left."""
_data: _Data | None = None  # where a command's data are written while a command runs


# ------------------------------------------------------------------------------------------------------ errors, state
@contextlib.contextmanager
def plugin_code(what: str, cls: type[MashkitError] = ComponentFailed, *, look: bool = True) -> Iterator[None]:
    """Run a plugin's code; an error becomes ``cls`` with ``what`` in its text, and errors of mashkit's pass unchanged.

    A value that the plugin made wrongly, such as a layer of a negative speed, is a ContractViolation with ``what`` in
    its text, because the error of the value alone does not name the plugin. Without ``look``, the plugin's changes to
    folder, locale, warnings and numpy are not undone.

    Never yield within this context, because the caller's code would run as the plugin's. See :func:`plugin_items`.
    """
    with _guarded(look=look):
        try:
            yield
        except ComponentError:
            raise
        except MashkitError as error:
            if not _of_a_value(error):
                raise
            raise ContractViolation(f"{what}: {error.problem}", error.fix) from error
        except BaseException as error:
            if _by_user(error):
                raise
            raise contained(error, what, cls) from error


def _of_a_value(error: MashkitError) -> bool:
    """Return whether the constructor of one of mashkit's values raised an error, or any method of samples and stems.

    Other methods of values say what the user's data lack: a clip without beats, say.
    """
    inner: list[str] = []  # functions of values and of their checks, the innermost first
    for frame, _ in reversed(list(traceback.walk_tb(error.__traceback__))):
        module = str(frame.f_globals.get("__name__", ""))
        of_value = module.startswith(_VALUES)
        if of_value and isinstance(error, AudioError | StemError):
            return True
        # attrs writes constructors, with global names of their own.
        if not (of_value or module in _CHECKS or frame.f_code.co_filename.startswith("<attrs generated")):
            break
        inner.append(frame.f_code.co_name)
    return not {"__init__", "__attrs_post_init__"}.isdisjoint(inner)


def plugin_items(what: str, items: Callable[[], Iterable[T]]) -> Generator[T, None, None]:
    """Yield a plugin's items one after the other; each item is fetched as in :func:`plugin_code`.

    Changes to the process are undone only after the first item and at the end, because a plan takes microseconds and
    the check takes as long.
    """
    with plugin_code(what):
        iterator = iter(items())
        item = next(iterator, _END)
    try:
        while item is not _END:
            yield cast("T", item)
            with plugin_code(what, look=False):
                item = next(iterator, _END)
    finally:
        close = getattr(iterator, "close", None)
        if close is not None:
            with plugin_code(what):
                close()


def _by_user(error: BaseException) -> bool:
    """Return whether an error is the user's Ctrl-C, and not a KeyboardInterrupt that a plugin raised itself."""
    if not isinstance(error, KeyboardInterrupt):
        return False
    if _signal_of(error) is not None:
        return True
    if not _here.watching:
        # Signals are handled in the main thread only, and not at all if they are ignored, as in a background job of a
        # script. If other code has set a handler, the two cannot be distinguished, and it counts as the user's.
        handled = signal.getsignal(signal.SIGINT) not in (signal.SIG_IGN, signal.SIG_DFL)
        return handled and _in_main_thread()
    return False


def _signal_of(error: BaseException) -> int | None:
    """Return the signal that caused an error, or one of the errors before it; None if none has the mark."""
    found: BaseException | None = error
    seen: set[int] = set()  # an error that is raised again has itself among its causes
    while found is not None and id(found) not in seen:
        number: int | None = getattr(found, _OF_SIGNAL, None)
        if number is not None:
            return number
        seen.add(id(found))
        found = found.__cause__ or found.__context__
    return None


def ending_signal(interrupt: KeyboardInterrupt) -> int:
    """Return the number of the signal that caused an interrupt: SIGINT if none has left its mark."""
    return _signal_of(interrupt) or signal.SIGINT


@contextlib.contextmanager
def _guarded(*, look: bool) -> Iterator[None]:
    """Undo a plugin's changes at the end; within another plugin's code do nothing, because the outer guard does it."""
    if _here.inside:
        yield
        return
    _here.inside = True
    restore = [_divert_output(), _watch_interrupts()]
    if look:
        restore += [_keep_settings(), _keep_numpy()]
    try:
        yield
    finally:
        _here.inside = False
        for back in reversed(restore):
            back()


def _interrupted(number: int, frame: object) -> None:
    error = KeyboardInterrupt()
    setattr(error, _OF_SIGNAL, number)
    raise error


def _watch_ending() -> Callable[[], object]:
    """Make the signals of :data:`_ENDING` interrupt this process; return a function that undoes this.

    The first such signal interrupts the process; a second one of the same number ends it at once. A signal that is
    ignored (nohup), or that other code handles, stays as it is. A forked process ends at once.
    """
    numbers = [getattr(signal, name) for name in _ENDING if hasattr(signal, name)]
    watched = [one for one in numbers if _in_main_thread() and signal.getsignal(one) is signal.SIG_DFL]
    own = os.getpid()

    def end(number: int, frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        if os.getpid() != own:
            signal.raise_signal(number)
        _interrupted(number, frame)

    def back() -> None:
        for number in watched:
            if signal.getsignal(number) is end:
                signal.signal(number, signal.SIG_DFL)

    for number in watched:
        signal.signal(number, end)
    return back


def _watch_interrupts() -> Callable[[], object]:
    """Make Ctrl-C raise an error with a mark, unless other code handles it; return a function that undoes this."""
    if not _in_main_thread():
        return _nothing
    if _here.watching:  # data_on_stdout() watches for the whole command
        return lambda: signal.getsignal(signal.SIGINT) is _interrupted or signal.signal(signal.SIGINT, _interrupted)
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return _nothing
    signal.signal(signal.SIGINT, _interrupted)
    _here.watching = True

    def back() -> None:
        _here.watching = False
        signal.signal(signal.SIGINT, signal.default_int_handler)

    return back


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _nothing() -> None:
    pass


def _keep_settings() -> Callable[[], object]:
    """Restore the settings of the whole process at the end, where it is known that a plugin changed them."""
    if _data is not None:
        return _overlapping.begin()
    return _kept() if _in_main_thread() else _nothing


def _kept() -> Callable[[], None]:
    restore = [_keep_folder(), _keep_locale(), _keep_warnings()]

    def back() -> None:
        for one in reversed(restore):
            one()

    return back


class _Overlapping:
    """The calls of plugins that run at once in several threads of a command.

    They share the settings from before the first of them, because one that begins later may find what another has
    changed. They are restored when the last call ends, so that no call restores them under another; and when a call in
    the main thread ends, because the command's own code, which writes files, runs there next.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running = 0
        self._back: Callable[[], None] = _nothing

    def begin(self) -> Callable[[], object]:
        with self._lock:
            if self._running == 0:
                self._back = _kept()
            self._running += 1
            _here.counted = True
        return self._end

    def _end(self) -> None:
        with self._lock:
            self._running -= 1
            _here.counted = False
            if self._running == 0 or _in_main_thread():
                self._back()

    def forked(self) -> None:
        """Forget the calls of other threads, which do not exist in this forked process."""
        self._lock = threading.Lock()
        self._running = int(_here.counted)


_overlapping = _Overlapping()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_overlapping.forked)


def _folder() -> str | None:
    try:
        return os.getcwd()  # noqa: PTH109 — called often, and a string is enough
    except OSError:  # it was deleted
        return None


def _keep_folder() -> Callable[[], object]:
    before = _folder()

    def back() -> None:
        if before is not None and _folder() != before:
            with contextlib.suppress(OSError):
                os.chdir(before)

    return back


def _keep_locale() -> Callable[[], object]:
    before = locale.setlocale(locale.LC_ALL)

    def back() -> None:
        if locale.setlocale(locale.LC_ALL) != before:
            with contextlib.suppress(locale.Error):
                locale.setlocale(locale.LC_ALL, before)

    return back


def _keep_warnings() -> Callable[[], object]:
    """Remove filters that make warnings errors, because they would raise in our code and in other plugins."""
    before = list(warnings.filters)

    def back() -> None:
        if any(one[0] == "error" and one not in before for one in warnings.filters):
            cast("list[Any]", warnings.filters)[:] = [
                one for one in warnings.filters if one[0] != "error" or one in before
            ]

    return back


def _keep_numpy() -> Callable[[], object]:
    """Restore numpy's error settings, because others can make numpy raise where it would return infinity or NaN."""
    numpy = sys.modules.get("numpy")
    # During numpy's import the module exists, but has no geterr yet.
    get = getattr(numpy, "geterr", None)
    before = None if get is None else get()

    def back() -> None:
        import numpy as np

        if np.geterr() != (before or np.geterr()):
            np.seterr(**before)  # type: ignore[arg-type]  # the settings that geterr returned

    return back if before is not None else _nothing


# ------------------------------------------------------------------------------------------------------------- output
def _divert_output() -> Callable[[], object]:
    """Restore standard output and error at the end; in a command, send printed text to standard error until then."""
    before = sys.stdout, sys.stderr
    if _data is not None:
        if threading.get_ident() != _data.thread:  # _Data.write() sends this thread's output to standard error
            return _nothing
        sys.stdout = sys.stderr
    elif not _in_main_thread():  # the program may redirect its output meanwhile, or end doing so
        return _nothing

    def back() -> None:
        sys.stdout, sys.stderr = before

    return back


class _Data:
    """Standard output while a command runs; the output of other threads goes to standard error, as it is not data."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.thread = threading.get_ident()

    def write(self, text: str) -> int:
        return (self.stream if threading.get_ident() == self.thread else sys.stderr).write(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextlib.contextmanager
def data_on_stdout(*, for_good: bool) -> Iterator[None]:
    """Reserve standard output for the command's own data, which it prints outside of :func:`plugin_code`.

    File descriptor 1 becomes standard error, so that the output of C code and other programs goes there too. The user's
    Ctrl-C is watched during the whole command.

    Parameters
    ----------
    for_good : bool
        Whether the command is the whole program. Standard output then stays redirected afterwards, because plugins may
        print when the interpreter exits, and other signals that end a program interrupt the command as Ctrl-C does.
    """
    global _data
    if _data is not None:  # a command within a command
        yield
        return
    original = sys.stdout
    with contextlib.suppress(Exception):  # sys.stdout may be any object here
        original.flush()
    saved = _moved_aside()
    own = saved is not None and _descriptor(original) == 1
    stream = original
    if own:
        assert saved is not None  # noqa: S101 — own is true only then
        stream = io.TextIOWrapper(
            os.fdopen(os.dup(saved), "wb"),
            encoding=original.encoding,
            errors=original.errors,
            line_buffering=os.isatty(saved),
        )
    _data = _Data(stream)
    sys.stdout = cast("TextIO", _data)
    unwatch = [_watch_interrupts(), _watch_ending() if for_good else _nothing]
    try:
        yield
        stream.flush()
    finally:
        for back in unwatch:
            back()
        _data = None
        sys.stdout = sys.stderr if for_good and own else original
        if own:
            with contextlib.suppress(OSError, ValueError):  # flush() above has raised it if the reader closed the pipe
                stream.close()
        if saved is not None:
            if not for_good:
                os.dup2(saved, 1)
            os.close(saved)


def _descriptor(stream: TextIO) -> int | None:
    try:
        return stream.fileno()
    except (AttributeError, OSError, ValueError):  # not a file, as in a notebook or a test
        return None


def _moved_aside() -> int | None:
    """Make file descriptor 1 standard error, and return a copy of the old one; None if either does not exist."""
    try:
        saved = os.dup(1)
    except OSError:
        return None
    try:
        os.dup2(2, 1)
    except OSError:
        os.close(saved)
        return None
    return saved
