"""Run one component in a worker process: send one request at a time, and replace the worker if it fails."""

from __future__ import annotations

import copy
import json
import os
import re
import sys
import threading
import weakref
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from mashkit.components import ComponentInfo, Origin
from mashkit.components.environments import create_command, find_environment, interpreter
from mashkit.conditions import Promise
from mashkit.discovery import ALLOWLIST_VARIABLE
from mashkit.errors import ComponentFailed, ComponentUnavailable, OptionError, UsageError
from mashkit.hookspecs import StageEvent
from mashkit.remote.messages import LONGEST, PROTOCOL, Scratch, decode, encode, error_from_dict, versions
from mashkit.workers.channel import Lost
from mashkit.workers.interpreter import START_TIMEOUT_S, Interpreter, unnamed_file

TIMEOUT_VARIABLE = "MASHKIT_WORKER_TIMEOUT"
"""Environment variable: time limit of every call, seconds, for any kind and length of the audio."""
TIMEOUTS_S: Mapping[str, tuple[float, float]] = {
    "separator": (600.0, 30.0),
    "analyzer": (300.0, 15.0),
    "stretcher": (120.0, 10.0),
    "generator": (600.0, 0.0),
}
"""Kind → time limit of a call, seconds, and additional seconds per second of audio. The first part is for loading
models in the first call; the second is ten times the time of the slowest known backends on one core."""

_OF_EARLIER = re.compile(r"^usage: worker\.py|No module named '?mashkit\.", re.MULTILINE)
"""Last words of the worker in an environment whose mashkit is older than this way of starting workers: it took named
arguments, or its module had another name."""


class _Worker(Interpreter):
    """One worker process, from start to end.

    Parameters
    ----------
    environment : str
        Name of the environment; empty for this interpreter's own.
    python : Path
        The interpreter to start.
    allow : collection of str, optional
        Distributions whose plugins it loads besides mashkit itself; None loads those that this process would load.
    """

    late_fix = f"allow more with {TIMEOUT_VARIABLE}=<seconds>, or give shorter audio"
    killed_fix = "if it was killed, give shorter audio or more memory"
    longest = LONGEST
    owes_answer = False
    """Whether it was given a request whose answer was not read to its end."""

    def __init__(self, environment: str, python: Path, allow: Collection[str] | None) -> None:
        files = unnamed_file(), unnamed_file()
        self.inbox, self.outbox = map(Scratch, files)
        super().__init__(
            "mashkit.remote.worker",
            python=python,
            isolated=bool(environment),
            variables=_variables(environment, python, allow),
            files=files,
            # Only the main thread, because any other may end before the component.
            with_thread=threading.current_thread() is threading.main_thread(),
        )


def _variables(environment: str, python: Path, allow: Collection[str] | None) -> dict[str, str]:
    given = dict(os.environ) if allow is None else {**os.environ, ALLOWLIST_VARIABLE: ",".join(sorted(allow))}
    if not environment:
        return given
    kept = {name: value for name, value in given.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    # The environment's programs come first on PATH, because a backend must find the programs installed with it.
    return {**kept, "PATH": os.pathsep.join([str(python.parent), os.environ.get("PATH", os.defpath)])}


@attrs.frozen
class Made:
    """The facts that the worker reports about its component."""

    info: ComponentInfo
    options: Mapping[str, Any]
    origin: Origin
    promises: Mapping[str, Promise]
    """For a generator, the definitions of its conditions."""
    trained_on: tuple[str, ...]
    """Recordings its weights were trained on."""
    code: str
    """A sha256 of its code."""


class Session:
    """One component in a worker process; a lost worker is replaced by the next call.

    A fork of this process starts a worker of its own with its next call, and leaves this one's alone.

    Parameters
    ----------
    kind, name : str
        The component's kind and name in the worker's registry.
    environment : str
        Name of the worker's environment; empty: this interpreter's own packages, in another process.
    options : mapping
    timeout_s : float, optional
        Time limit of a call, seconds; default: :data:`TIMEOUT_VARIABLE`, else :data:`TIMEOUTS_S`.
    notify : callable, optional
        Called with the events that the component reports while it works.
    python : Path, optional
        Interpreter to start, for an environment that is not complete yet.
    allow : collection of str, optional
        Distributions whose plugins the worker loads; None loads those that this process would load.

    Raises
    ------
    OptionError
        If an option cannot be sent to another process.
    """

    def __init__(
        self,
        kind: str,
        name: str,
        *,
        environment: str = "",
        options: Mapping[str, Any] | None = None,
        timeout_s: float | None = None,
        notify: Callable[[StageEvent], object] | None = None,
        python: Path | None = None,
        allow: Collection[str] | None = None,
    ) -> None:
        self.kind = kind
        self.name = name
        self.environment = environment
        self._options = _sendable(f"{kind} {name!r}", options or {})
        self._allow = allow
        self._timeout_s = _timeout(timeout_s)
        self._notify = notify
        self._asked_python = python
        self._python = python or (
            interpreter(find_environment(environment).path) if environment else Path(sys.executable)
        )
        self._lock = threading.RLock()
        self._worker: _Worker | None = None
        self._made: Made | None = None
        self._described: dict[str, Any] | None = None
        _SESSIONS.add(self)

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy starts a worker of its own. It has no listener, because the listener may live in this process only.
        asked = {
            "environment": self.environment,
            "options": self._options,
            "timeout_s": self._timeout_s,
            "python": self._asked_python,
            "allow": self._allow,
        }
        return _opened, (self.kind, self.name, asked)

    def _forked(self) -> None:
        """Drop the parent's worker in a forked process; the lock is new, because a parent's thread may hold the old."""
        self._lock = threading.RLock()
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.close()  # it closes the copies of the files, and does not end the worker

    @property
    def _process(self) -> str:
        where = f" in environment {self.environment!r}" if self.environment else ""
        return f"{self.kind} {self.name!r}: its worker process{where}"

    def made(self) -> Made:
        """Return the facts about the component; the worker is started if it was never started."""
        with self._lock:
            if self._made is None:
                self._started()
            assert self._made is not None  # noqa: S101 — set on start
            return self._made

    def prove(self) -> None:
        """Start a worker, make the component there once, and end the worker; errors are those of :meth:`made`.

        A component that needs options of its user's (``own_options`` of its card) is imported and not made.
        """

        def proven(worker: _Worker) -> None:
            self._require_same_mashkit(worker)
            self._exchange(worker, "prove", {"kind": self.kind, "name": self.name}, START_TIMEOUT_S)

        with self._lock:
            self._started(proven)
            self.close()

    def describe(self) -> dict[str, Any]:
        """Return the component's description and its environment, a new copy; the worker computes it once."""
        with self._lock:
            if self._described is None:
                self._described = self.ask("describe itself", allowed_s=START_TIMEOUT_S)
            return {**copy.deepcopy(self._described), "environment": self.environment}

    def allowed_s(self, duration_s: float = 0.0) -> float:
        """Return the time limit, seconds, of a call with audio of ``duration_s`` seconds."""
        base, factor = TIMEOUTS_S[self.kind]
        return self._timeout_s if self._timeout_s is not None else base + factor * duration_s

    def ask(self, action: str, *, allowed_s: float, **arguments: Any) -> Any:
        """Return the worker's answer to one request.

        Parameters
        ----------
        action : str
            One of :data:`mashkit.remote.worker.ACTIONS`; errors contain it.
        allowed_s : float
            Seconds after which the worker is ended.
        **arguments
            Plain data and audio.

        Raises
        ------
        ComponentFailed
            If the worker dies, sends invalid messages or exceeds the limit.
        UsageError
            If a listener of the component's events calls it before the answer is there.
        MashkitError
            The error that the component raised.

        Notes
        -----
        After any error before the answer was read, also one of a listener, the next call starts another worker.
        """
        with self._lock:
            worker = self._idle()
            try:
                return self._exchange(worker, action, arguments, allowed_s)
            except Lost as lost:
                problem = f"{self._process}, which was to {action}, {lost.reason}{worker.last_words()}"
                raise ComponentFailed(problem, lost.fix) from None
            finally:
                if self._worker is not worker:  # a listener has closed it, or has forked this process
                    pass
                elif worker.owes_answer:
                    # The worker is ended, because its answer to this request must not be read as the next one's.
                    self.close()
                else:
                    worker.inbox.clear()
                    worker.outbox.clear()

    def _idle(self) -> _Worker:
        worker = self._started()
        if worker.owes_answer:  # the lock does not keep out the thread that holds it
            raise UsageError(
                f"{self.kind} {self.name!r} was called by a listener of its own events, while it works",
                "call it when its work is done",
            )
        return worker

    def _started(self, begin: Callable[[_Worker], Made | None] | None = None) -> _Worker:
        if self._worker is None:
            try:
                self._worker = _Worker(self.environment, self._python, self._allow)
            except OSError as error:
                problem = f"{self._process} did not start: {self._python}: {error.strerror}"
                raise ComponentUnavailable(problem, self._remedy("")) from None
            try:
                self._made = (begin or self._make)(self._worker)
            except Lost as lost:
                problem = f"{self._process} did not start: it {lost.reason}{self._worker.last_words()}"
                self.close()
                raise ComponentUnavailable(problem, self._remedy(lost.fix)) from None
            except BaseException:
                self.close()
                raise
        return self._worker

    def _make(self, worker: _Worker) -> Made:
        self._require_same_mashkit(worker)
        component = {"kind": self.kind, "name": self.name, "options": self._options}
        made = self._exchange(worker, "create", component, START_TIMEOUT_S)
        promises = {name: Promise(**promise) for name, promise in made["promises"].items()}
        info, origin = ComponentInfo(**made["info"]), Origin(**made["origin"])
        return Made(info, made["options"], origin, promises, tuple(made["trained_on"]), made["code"])

    def _require_same_mashkit(self, worker: _Worker) -> None:
        """Read the worker's first message; raise ComponentUnavailable if its mashkit is not this one."""
        worker.allow(START_TIMEOUT_S)
        try:
            hello = decode(worker.receive(), worker.outbox)
        except Lost:
            if self.environment and _OF_EARLIER.search("\n".join(worker.last_lines())):
                raise self._made_by("an earlier mashkit, which starts its workers in another way") from None
            raise
        ours = versions()
        theirs = {key: hello.get(key) for key in ours if hello.get(key) != ours[key]}
        if theirs and self.environment:
            which = "an earlier" if (theirs.get("protocol") or PROTOCOL) < PROTOCOL else "another"
            raise self._made_by(f"{which} mashkit: {theirs}, not { {key: ours[key] for key in theirs} }")
        if theirs:
            raise ComponentUnavailable(
                f"{self._process} has another mashkit: {theirs}, not { {key: ours[key] for key in theirs} }"
            )

    def _made_by(self, which: str) -> ComponentUnavailable:
        problem = f"{self.kind} {self.name!r}: environment {self.environment!r} was made by {which}"
        return ComponentUnavailable(problem, self._remedy(""))

    def _exchange(self, worker: _Worker, action: str, arguments: Mapping[str, Any], allowed_s: float) -> Any:
        request = encode({"action": action, "arguments": arguments}, worker.inbox)
        worker.allow(allowed_s)
        worker.owes_answer = True
        worker.send(request)
        while "event" in (message := decode(worker.receive(), worker.outbox)):
            if self._notify is not None:
                self._notify(StageEvent(**message["event"]))
        worker.owes_answer = False
        if "error" in message:
            raise error_from_dict(message["error"])
        return message["result"]

    def _remedy(self, otherwise: str) -> str:
        if not self.environment:
            return otherwise
        return create_command(self.environment, again=True)

    def close(self) -> None:
        """End the worker; the next call starts another worker."""
        with self._lock:
            if self._worker is not None:
                self._worker.close()
            self._worker = None


def _opened(kind: str, name: str, asked: Mapping[str, Any]) -> Session:
    return Session(kind, name, **asked)


def _sendable(component: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return a component's options as JSON data; numbers and arrays of numpy, and paths, are converted."""
    return {option: _sent(component, option, value) for option, value in options.items()}


def _sent(component: str, option: str, value: object) -> Any:
    def plain(part: object) -> Any:
        if isinstance(part, np.generic | np.ndarray):
            return part.tolist()
        if isinstance(part, os.PathLike):
            return os.fspath(part)
        raise TypeError(f"{type(part).__name__} is not plain data")

    try:
        return json.loads(json.dumps(value, default=plain))
    except (TypeError, ValueError, RecursionError) as error:
        raise OptionError(
            f"{component}: its option {option!r} cannot be sent to another process: {error}",
            "give numbers, text, or lists and mappings of these",
        ) from None


_SESSIONS: weakref.WeakSet[Session] = weakref.WeakSet()


def _after_fork() -> None:
    for session in list(_SESSIONS):
        session._forked()


if hasattr(os, "register_at_fork"):
    # At once and not with the next call, because until then no other thread can be in the way.
    os.register_at_fork(after_in_child=_after_fork)


def _timeout(given: float | None) -> float | None:
    """Return the time limit from the argument or the environment variable, seconds; None if neither is set."""
    text = os.environ.get(TIMEOUT_VARIABLE)
    try:
        seconds = given if given is not None else float(text) if text else None
    except ValueError:
        raise UsageError(f"{TIMEOUT_VARIABLE} is {text!r}", "give it a number of seconds") from None
    if seconds is not None and not 0 < seconds < threading.TIMEOUT_MAX:
        raise UsageError(f"a worker's time-out is {seconds} s", "give it a positive number of seconds")
    return seconds
