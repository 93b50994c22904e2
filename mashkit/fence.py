"""Around the code of plugins: what they print, raise and change of this process reaches nobody else.

A plugin is other people's code in our process. Everything that runs it goes through :func:`plugin_code`, which

- turns whatever it raises into one of mashkit's errors: an attempt to leave (SystemExit) and a KeyboardInterrupt of
  its own included, while the user's Ctrl-C stays what it is;
- puts back what it changes and we rely on: the current folder, the locale, filters that make warnings errors, numpy's
  error settings, the handler of Ctrl-C, standard output;
- in a command, sends what it prints to standard error, because standard output holds our data: see
  :func:`data_on_stdout`.

What it cannot stop: an endless loop, a crash in C, and ``os._exit``. Isolation does (``separator@``).
"""

from __future__ import annotations

import contextlib
import io
import locale
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, TextIO, TypeVar, cast

from mashkit.errors import ComponentFailed, MashkitError, contained

T = TypeVar("T")

_END = object()


class Interrupted(KeyboardInterrupt):
    """The user's own Ctrl-C, told from a KeyboardInterrupt that a plugin raises: a signal came."""


class _Here(threading.local):
    """What one thread is at."""

    inside = False  # whether a plugin's code runs
    watching = False  # whether Ctrl-C would raise Interrupted


_here = _Here()
_data: _Data | None = None  # where a command's data go, while one runs


# ------------------------------------------------------------------------------------------------------ errors, state
@contextlib.contextmanager
def plugin_code(what: str, cls: type[MashkitError] = ComponentFailed, *, look: bool = True) -> Iterator[None]:
    """Run a plugin's code; what it raises becomes ``cls``, saying ``what`` failed, and mashkit's own errors pass.

    Without ``look``, what it changes of the process is not put back.

    Never yield within it: the caller's code would run as the plugin's. See :func:`plugin_items`.
    """
    with _guarded(look=look):
        try:
            yield
        except MashkitError:
            raise
        except BaseException as error:
            if _by_user(error):
                raise
            raise contained(error, what, cls) from error


def plugin_items(what: str, items: Callable[[], Iterable[T]]) -> Generator[T, None, None]:
    """Yield what a plugin's code gives one after the other; each is fetched as in :func:`plugin_code`.

    Only the first is followed by a look at what was changed: a plan takes microseconds, and so does looking.
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
    """Tell whether an error is the user's Ctrl-C, and not one that a plugin raised itself."""
    if not isinstance(error, KeyboardInterrupt):
        return False
    if not _here.watching:
        # Signals are handled in the main thread, and not at all where they are ignored, as in a job in the background
        # of a script. With a handler of somebody else's there, nobody can tell.
        handled = signal.getsignal(signal.SIGINT) not in (signal.SIG_IGN, signal.SIG_DFL)
        return handled and threading.current_thread() is threading.main_thread()
    found: BaseException | None = error
    while found is not None and not isinstance(found, Interrupted):
        found = found.__cause__ or found.__context__
    return found is not None


@contextlib.contextmanager
def _guarded(*, look: bool) -> Iterator[None]:
    """Put back at the end what a plugin may have changed; within another plugin's code that one's fence does."""
    if _here.inside:
        yield
        return
    _here.inside = True
    restore = [_divert_output(), _watch_interrupts()]
    if look:
        restore += [_keep_folder(), _keep_locale(), _keep_warnings(), _keep_numpy()]
    try:
        yield
    finally:
        _here.inside = False
        for back in reversed(restore):
            back()


def _interrupted(number: int, frame: object) -> None:
    raise Interrupted


def _watch_interrupts() -> Callable[[], object]:
    """Let Ctrl-C raise what can be told from a plugin's own KeyboardInterrupt, where nobody else sees to it."""
    if threading.current_thread() is not threading.main_thread():
        return lambda: None
    if _here.watching:  # for the whole command
        return lambda: signal.getsignal(signal.SIGINT) is _interrupted or signal.signal(signal.SIGINT, _interrupted)
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return lambda: None
    signal.signal(signal.SIGINT, _interrupted)
    _here.watching = True

    def back() -> None:
        _here.watching = False
        signal.signal(signal.SIGINT, signal.default_int_handler)

    return back


def _folder() -> str | None:
    try:
        return os.getcwd()  # noqa: PTH109 — called often, and a string will do
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
    """Take back filters that make warnings errors: they would raise in our code, and in other plugins'."""
    before = list(warnings.filters)

    def back() -> None:
        if any(one[0] == "error" and one not in before for one in warnings.filters):
            cast("list[Any]", warnings.filters)[:] = [
                one for one in warnings.filters if one[0] != "error" or one in before
            ]

    return back


def _keep_numpy() -> Callable[[], object]:
    """Take back settings that make numpy raise where it would give infinity or NaN."""
    numpy = sys.modules.get("numpy")
    # While numpy is being imported it is there, and has nothing yet.
    get = getattr(numpy, "geterr", None)
    before = None if get is None else get()

    def back() -> None:
        import numpy as np

        if np.geterr() != (before or np.geterr()):
            np.seterr(**before)  # type: ignore[arg-type]  # what geterr gave

    return back if before is not None else lambda: None


# ------------------------------------------------------------------------------------------------------------- output
def _divert_output() -> Callable[[], object]:
    """Put standard output and error back; in a command, let what is printed go to standard error."""
    before = sys.stdout, sys.stderr
    if _data is not None:
        if threading.get_ident() != _data.thread:  # the stream itself knows where what it prints belongs
            return lambda: None
        sys.stdout = sys.stderr

    def back() -> None:
        sys.stdout, sys.stderr = before

    return back


class _Data:
    """Standard output while a command runs: what other threads print is no data of ours."""

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
    """Keep standard output for what a command prints itself, outside of :func:`plugin_code`.

    The process's file descriptor becomes standard error's, so that what C code and other programs print goes there too.
    The user's Ctrl-C is watched for all along.

    Parameters
    ----------
    for_good : bool
        Whether it stays so afterwards: plugins may print when the interpreter exits.
    """
    global _data
    if _data is not None:  # a command within a command
        yield
        return
    original = sys.stdout
    with contextlib.suppress(Exception):  # whatever stands for a stream here
        original.flush()
    saved = _moved_aside()
    own = saved is not None and _descriptor(original) == 1
    stream = original
    if own:
        assert saved is not None  # noqa: S101 — as said
        stream = io.TextIOWrapper(
            os.fdopen(os.dup(saved), "wb"),
            encoding=original.encoding,
            errors=original.errors,
            line_buffering=os.isatty(saved),
        )
    _data = _Data(stream)
    sys.stdout = cast("TextIO", _data)
    unwatch = _watch_interrupts()
    try:
        yield
        stream.flush()
    finally:
        unwatch()
        _data = None
        sys.stdout = sys.stderr if for_good and own else original
        if own:
            with contextlib.suppress(OSError, ValueError):  # whoever read it has left: said above, if anybody cares
                stream.close()
        if saved is not None:
            if not for_good:
                os.dup2(saved, 1)
            os.close(saved)


def _descriptor(stream: TextIO) -> int | None:
    try:
        return stream.fileno()
    except (AttributeError, OSError, ValueError):  # no file: a notebook's, a test's
        return None


def _moved_aside() -> int | None:
    """Let descriptor 1 be standard error, and return what it was; None where there is no such thing."""
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
