"""Define proxies: components with the usual interfaces that call a component in a worker process.

The checks of the interface run in this process too, because a worker's results may be as wrong as any backend's.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self

import attrs

from mashkit.cliptable import ClipTable
from mashkit.components import Component, ComponentInfo
from mashkit.conditions import Promise
from mashkit.errors import ComponentUnavailable, UsageError
from mashkit.hookspecs import StageEvent
from mashkit.interfaces import INTERFACES, Analyzer, Generator, Separator, Stretcher
from mashkit.remote.session import Session
from mashkit.types import Analysis, Audio, Clip, Condition, MashupPlan, StemSet
from mashkit.types.timemap import TimeMap


@attrs.define(kw_only=True, eq=False)
class RemoteComponent(Component):
    """A component in a worker process; as a context manager it ends the worker at the end of the block.

    Otherwise the worker ends with the last reference to this object, or with the interpreter. A pickled copy starts a
    worker of its own when it is used, and has no listener.

    Parameters
    ----------
    session : Session
    """

    session: Session = attrs.field(repr=False)

    @property
    def info(self) -> ComponentInfo:  # type: ignore[override]  # each instance has the card of its own component
        """The card of the component in the worker; "@" and the environment's name are added to the component's name.

        They are not added if the component can run only in that environment.
        """
        info = self.session.made().info
        if info.environment and info.environment == self.session.environment:
            return info
        return attrs.evolve(info, name=f"{info.name}@{self.session.environment}")

    def options(self) -> dict[str, Any]:
        """Return the options of the component in the worker, including defaults."""
        return copy.deepcopy(dict(self.session.made().options))

    def weights(self) -> Mapping[str, str]:
        """Return a mapping from file name to sha256 for every weight file of the component in the worker."""
        weights: dict[str, str] = self.session.describe()["weights"]
        return weights

    def weights_license(self) -> str:
        """Return the licence of the weights in use of the component in the worker."""
        licence: str = self.session.describe()["weights_license"]
        return licence

    def trained_on(self) -> tuple[str, ...]:
        """Return the recordings that the weights of the component in the worker were trained on."""
        return self.session.made().trained_on

    def describe(self) -> dict[str, Any]:
        """Return the description of the component in the worker, with the name of its environment."""
        return self.session.describe()

    def _made_in_code(self) -> dict[str, Any]:
        return {}  # a registry has made it, in the worker

    @property
    def code_elsewhere(self) -> str:
        """A sha256 of the component's code, which the worker reports when it has imported it."""
        return self.session.made().code

    def close(self) -> None:
        """End the worker; a later call starts another worker."""
        self.session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, action: str, duration_s: float = 0.0, **arguments: Any) -> Any:
        return self.session.ask(action, allowed_s=self.session.allowed_s(duration_s), **arguments)


@attrs.define(kw_only=True, eq=False)
class RemoteSeparator(RemoteComponent, Separator):
    """A separator in a worker process."""

    def _separate(self, mix: Audio) -> StemSet:
        return StemSet(self._ask("separate", mix.duration, mix=mix))


@attrs.define(kw_only=True, eq=False)
class RemoteAnalyzer(RemoteComponent, Analyzer):
    """An analyzer in a worker process."""

    def _analyze(self, mix: Audio) -> Analysis:
        return Analysis.from_dict(self._ask("analyze", mix.duration, mix=mix))


@attrs.define(kw_only=True, eq=False)
class RemoteStretcher(RemoteComponent, Stretcher):
    """A stretcher in a worker process."""

    def _stretch(self, audio: Audio, *, speed: float, semitones: float, frames: int) -> Audio:
        how = {"time_map": None, "speed": speed, "semitones": semitones, "frames": frames}
        stretched: Audio = self._ask("stretch", audio.duration, audio=audio, **how)
        return stretched

    def _stretch_along(self, audio: Audio, time_map: TimeMap, *, semitones: float, frames: int) -> Audio:
        how = {"time_map": time_map.to_dict(), "semitones": semitones, "frames": frames}
        stretched: Audio = self._ask("stretch", audio.duration, audio=audio, **how)
        return stretched


@attrs.define(kw_only=True, eq=False)
class RemoteGenerator(RemoteComponent, Generator):
    """A generator in a worker process: all plans of a call are drawn before the first is yielded."""

    @property
    def promises(self) -> Mapping[str, Promise]:  # type: ignore[override]  # each instance has its own
        """The definitions of the conditions of the generator in the worker."""
        return self.session.made().promises

    def _plan(
        self, clips: ClipTable, *, condition: Condition, count: int, seed: int, vocal: str | None
    ) -> Iterator[MashupPlan]:
        plans = self._ask(
            "plan",
            clips=[clip.to_dict() for clip in clips],
            condition=str(condition),
            count=count,
            seed=seed,
            vocal=vocal,
        )
        yield from map(MashupPlan.from_dict, plans)

    def _variants(self, plan: MashupPlan, clips: Mapping[str, Clip]) -> Iterable[MashupPlan]:
        known = {name: clip.to_dict() for name, clip in clips.items()}
        return list(map(MashupPlan.from_dict, self._ask("vary a plan", plan=plan.to_dict(), clips=known)))


PROXIES: Mapping[str, type[RemoteComponent]] = {
    cls.kind: cls for cls in (RemoteSeparator, RemoteAnalyzer, RemoteStretcher, RemoteGenerator)
}
"""Kind → proxy class. There is none for scorers, because a scorer reads audio while it works, and most of that is not
rendered before. There is none for executors, because they start processes of their own."""


def isolated(
    kind: str,
    name: str,
    *,
    environment: str = "",
    options: Mapping[str, Any] | None = None,
    timeout_s: float | None = None,
    notify: Callable[[StageEvent], object] | None = None,
    allow: Collection[str] | None = None,
) -> RemoteComponent:
    """Return a component that runs in its own process, in another environment or in this one.

    Parameters
    ----------
    kind : {"separator", "analyzer", "stretcher", "generator"}
    name : str
        Name in the list of `mashkit plugins` in the environment; it may be unknown to this interpreter.
    environment : str
        Name of an environment that `mashkit env create` made; empty: this interpreter's own packages.
    options : mapping, optional
        The component's options.
    timeout_s : float, optional
        Seconds after which the worker is ended if a call has not ended. Default: the environment variable
        MASHKIT_WORKER_TIMEOUT; else by kind and length of the audio, see :data:`mashkit.remote.session.TIMEOUTS_S`.
    notify : callable, optional
        Called with the events that the component reports with :func:`mashkit.remote.progress.report`.
    allow : collection of str, optional
        Distributions whose plugins the worker loads besides mashkit itself. Default: the environment variable
        MASHKIT_PLUGINS; else all.

    Returns
    -------
    RemoteComponent
        A Separator, Analyzer, Stretcher or Generator like any other; its worker is running.

    Raises
    ------
    ComponentUnavailable
        If the environment does not exist, its worker does not start, the component cannot be made there or is a scorer
        or executor, or the system is Windows.
    UnknownComponent, OptionError, …
        The errors of the registry in the worker; an OptionError also if an option cannot be sent to it.
    UsageError
        If there is no such kind, or the time-out is not a positive number.
    """
    if kind not in INTERFACES:
        raise UsageError(f"there is no kind {kind!r}", f"the kinds are {', '.join(INTERFACES)}")
    if kind not in PROXIES:
        why = {"scorer": "it reads sound while it works", "executor": "it starts processes itself"}
        raise ComponentUnavailable(
            f"{kind} {name!r} cannot be isolated: {why[kind]}",
            f"install its plugin here; {', '.join(PROXIES)} can be isolated",
        )
    if os.name != "posix":
        raise ComponentUnavailable(f"{kind} {name!r} cannot be isolated on {os.name}", "use Linux or macOS")
    session = Session(
        kind, name, environment=environment, options=options, timeout_s=timeout_s, notify=notify, allow=allow
    )
    component = PROXIES[kind](session=session)
    session.made()
    return component
