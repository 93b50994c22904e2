"""Find the installed plugins, check what they register, and make a component that one of them registers.

:mod:`mashkit.registry`, above this module, handles names with ":", "+" or "@".

The loop over the entry points is our own. With pluggy's loop, every command fails if one plugin cannot be imported,
misspells a hook, or raises an error in it. Here such a plugin is listed in :attr:`Discovery.broken`, and the other
plugins work.
"""

from __future__ import annotations

import contextlib
import difflib
import functools
import importlib
import importlib.metadata
import importlib.resources
import inspect
import json
import math
import numbers
import os
import re
import types
import typing
import warnings
from collections.abc import Callable, Iterable, Mapping
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

import attrs
import pluggy
from packaging.requirements import Requirement

from mashkit import hookspecs
from mashkit.arguments import require, require_all
from mashkit.components import KINDS, Availability, Component, ComponentInfo, Origin, availability
from mashkit.components.fence import plugin_code
from mashkit.errors import (
    AudioFileError,
    BrokenPlugin,
    ComponentUnavailable,
    DuplicateComponent,
    MashkitError,
    OptionError,
    PluginWarning,
    UnknownComponent,
    UsageError,
    contained,
    place_of,
    raised,
    suggestion,
    with_article,
)
from mashkit.models import WeightFile
from mashkit.numbers import python_number

T = TypeVar("T")


class _Named(Protocol):
    @property
    def name(self) -> str: ...


Named = TypeVar("Named", bound=_Named)

GROUP = "mashkit"
"""Entry-point group of plugins."""
ALLOWLIST_VARIABLE = "MASHKIT_PLUGINS"
"""Environment variable: comma-separated distributions to load; unset means all."""


@attrs.frozen
class Registered:
    """A component that a plugin registers: its kind, its card and its plugin."""

    kind: str
    info: ComponentInfo
    origin: Origin

    def availability(self) -> Availability:
        """Return whether it can be created here; nothing is imported."""
        return availability(self.info)

    def require_available(self) -> Availability:
        """Return :meth:`availability`; raise ComponentUnavailable, with the fix, if a requirement is missing."""
        available = self.availability()
        if not available.ok:
            raise ComponentUnavailable(
                f"{self.kind} {self.info.name!r} is not available: {available.reason}", available.fix
            )
        return available

    def load(self) -> type[Component]:
        """Import the component's class; raise BrokenPlugin if that fails, or it is not a component of that kind."""
        return _import_target(self)

    def make(self, options: Mapping[str, Any] | None = None) -> Component:
        """Import the component and return an instance with ``options``, in this process.

        Raises
        ------
        OptionError
            If it has no such option, or does not accept the value.
        BrokenPlugin
            If the target cannot be imported, is not a component of that kind, or has the card of another component.
        """
        kind, name = self.kind, self.info.name
        given = {option: python_number(value) for option, value in (options or {}).items()}
        cls = self.load()
        _check_options(cls, name, given)
        _check_values(cls, name, given)
        with plugin_code(f"{kind} {name!r} of {self.origin.distribution} could not be made", BrokenPlugin):
            try:
                component = cls(**given)
            except (TypeError, ValueError) as error:
                _check_converters(cls, name, given)
                raise OptionError(f"{kind} {name!r} does not take these options: {_said(error)}") from error
            _require_own_card(self, component.info)
        component.origin = self.origin
        return component


@attrs.frozen
class RegisteredCommand:
    """A command that a plugin registers, and the plugin."""

    command: hookspecs.Command
    origin: Origin


@attrs.frozen
class Broken:
    """A plugin that could not be loaded, and the reason."""

    distribution: str
    entry_point: str
    reason: str


def _allowed_by_environment() -> frozenset[str] | None:
    text = os.environ.get(ALLOWLIST_VARIABLE)
    if text is None:
        return None
    return frozenset(name.strip() for name in text.split(",") if name.strip())


def _require_card(info: ComponentInfo) -> None:
    """Raise TypeError or ValueError if a card is not valid, because otherwise it would fail later, in other code."""
    texts = ("name", "target", "summary", "install", "code_license", "weights_license", "citation", "engine")
    for field in texts:
        if not isinstance(getattr(info, field), str):
            raise TypeError(f"{field} of {info.name!r} is {getattr(info, field)!r}, not text")
        if field in ("code_license", "weights_license") and not getattr(info, field).strip():
            raise ValueError(f"{field} of {info.name!r} is empty: give an SPDX identifier, 'unknown' or 'disputed'")
    for field in ("provides", "requires", "binaries", "weight_packages", "own_options"):
        if not all(isinstance(one, str) for one in getattr(info, field)):
            raise TypeError(f"{field} of {info.name!r} contains a value that is not text")
    if not re.fullmatch(r"[\w.-]+", info.name):
        raise ValueError(f"a component cannot be called {info.name!r}: use letters, digits, '-', '_' and '.'")
    if not re.fullmatch(r"[\w.]+:[\w.]+", info.target):
        raise ValueError(f'target of {info.name!r} is {info.target!r}, not "package.module:Class"')
    if not isinstance(info.api, int):
        raise TypeError(f"api of {info.name!r} is {info.api!r}, not a whole number")
    for text in (*info.requires, *info.weight_packages):
        Requirement(text)


class _Plugins(pluggy.PluginManager):
    """Contains the errors of hooks that are called during work, for all plugins.

    Parameters
    ----------
    note : callable
        Called with a note for the user if a plugin fails.
    """

    def __init__(self, note: Callable[[str], None]) -> None:
        super().__init__("mashkit")
        self._note = note

    def register(self, plugin: object, name: str | None = None) -> str | None:
        registered = super().register(plugin, name)
        for caller in self.get_hookcallers(plugin) or ():
            fence = self._fences.get(caller.name)
            for one in caller.get_hookimpls():
                if one.plugin is not plugin or fence is None:
                    continue
                _require_no_wrapper(one, f"{caller.name} of {registered}")
                # Each function has its own fence, because a wrapper around the whole call would end at the first error.
                one.function = fence(self, one.function, str(registered).partition(":")[0])  # type: ignore[misc]
        return registered

    def _listener(self, function: Callable[..., Any], owner: str) -> Callable[..., Any]:
        """Return a listener that is switched off when it raises."""
        off = False

        def fenced(event: hookspecs.StageEvent) -> None:
            nonlocal off
            if off:
                return
            what = f"plugin {owner}: its listener (mashkit_stage) failed"
            try:
                with plugin_code(what):
                    function(event=event)
            except MashkitError as error:
                off = True
                self._note(f"{contained(error.__cause__ or error, what)!s}; it gets no more events")

        return fenced

    def _loader(self, function: Callable[..., Any], owner: str) -> Callable[..., Any]:
        """Return a loader that raises AudioFileError only, and returns audio or None."""

        def fenced(path: Path) -> Any:
            from mashkit.types import Audio  # here: it brings numpy

            what = f"the loader of plugin {owner} (mashkit_load_audio) failed"
            try:
                with plugin_code(what):
                    audio = function(path=path)
            except AudioFileError:
                raise
            except MashkitError as error:
                raise AudioFileError(path, error.problem, error.fix) from error
            if audio is not None and not isinstance(audio, Audio):
                raise AudioFileError(
                    path, f"{what}: it returned {type(audio).__name__} instead of mashkit.Audio or None"
                )
            return audio

        return fenced

    def _list_of(self, function: Callable[..., Any], owner: str, *, noun: str, cls: type[Any]) -> Callable[..., Any]:
        """Return a hook that returns a list of ``cls``; an empty list, with a note, if the plugin's hook fails."""

        def fenced() -> list[Any]:
            what = f"plugin {owner}: its {noun} (mashkit_register_{noun}) are ignored"
            try:
                with plugin_code(what):
                    found = _listed(function(), f"mashkit_register_{noun}", cls)
                    for one in found:
                        if not isinstance(one.name, str):
                            raise TypeError(f"the name of {one!r} is not text")
            except MashkitError as error:
                self._note(str(error))
                return []
            return found

        return fenced

    _fences: ClassVar[Mapping[str, Callable[..., Callable[..., Any]]]] = {
        "mashkit_stage": _listener,
        "mashkit_load_audio": _loader,
        "mashkit_register_weights": functools.partial(_list_of, noun="weights", cls=WeightFile),
        "mashkit_register_tasks": functools.partial(_list_of, noun="tasks", cls=hookspecs.TaskInfo),
        "mashkit_register_collections": functools.partial(_list_of, noun="collections", cls=hookspecs.CollectionInfo),
        "mashkit_register_suites": functools.partial(_list_of, noun="suites", cls=Traversable),
    }


def _owner(entry: importlib.metadata.EntryPoint) -> tuple[str, str, str]:
    """Return the distribution of an entry point, the entry point's name, and the distribution's version.

    A distribution that was removed only in part may have no metadata.
    """
    with contextlib.suppress(Exception):  # any error of the library about damaged metadata
        if entry.dist is not None and entry.dist.name:
            return entry.dist.name, entry.name, entry.dist.version or ""
    return entry.value, entry.name, ""


def _owned_by(pair: tuple[tuple[str, str, str], importlib.metadata.EntryPoint]) -> tuple[str, str, str]:
    return pair[0]


@functools.cache
def published() -> Mapping[str, Mapping[str, str]]:
    """Return kind → name → distribution of every component and every command of mashkit's own plugins.

    The names are read from a data file. They are used only for messages that name the plugin to install.
    """
    text = importlib.resources.files("mashkit").joinpath("published.json").read_text(encoding="utf-8")
    known: Mapping[str, Mapping[str, str]] = json.loads(text)
    return known


def how_to_install(kind: str, name: str) -> str:
    """Return the command that installs a component or command; empty if no published plugin contains it."""
    distribution = published().get(kind, {}).get(name, "mashkit")
    return "" if distribution == "mashkit" else f"pip install {distribution}"


class Discovery:
    """The components, commands, weights and benchmark parts of the installed plugins, found by kind and name.

    Parameters
    ----------
    allow : collection of str, optional
        Distributions to load besides mashkit itself; None loads all. Default: the environment's MASHKIT_PLUGINS.

    Attributes
    ----------
    broken : list of Broken
        Plugins that could not be loaded.
    notes : list of str
        Faults of plugins during work, such as a listener that was switched off; each gives a PluginWarning, too.
    """

    def __init__(self, allow: Iterable[str] | None = None) -> None:
        if allow is not None:
            allow = frozenset(require_all("allow", allow, str, "names of distributions"))
        self.notes: list[str] = []
        self.plugins = _Plugins(self.note)
        self.plugins.add_hookspecs(hookspecs)
        self.broken: list[Broken] = []
        self._components: dict[tuple[str, str], list[Registered]] = {}
        self._commands: dict[str, list[RegisteredCommand]] = {}
        self._allow = _allowed_by_environment() if allow is None else allow
        self._discover(self._allow)

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy in another process searches the installed plugins again.
        return type(self), (self._allow,)

    def note(self, text: str) -> None:
        """Add a note on a plugin for the user, and warn with it; an equal note is added only once."""
        if text not in self.notes:
            self.notes.append(text)
            warnings.warn(text, PluginWarning, stacklevel=3)

    # ------------------------------------------------------------------------------------------------- discovery
    def _discover(self, allow: frozenset[str] | None) -> None:
        found = importlib.metadata.entry_points(group=GROUP)
        # Sorted, because the order of a directory listing may differ.
        for (distribution, _, version), entry in sorted(zip(map(_owner, found), found, strict=True), key=_owned_by):
            if allow is not None and distribution != "mashkit" and distribution not in allow:
                continue
            try:
                registered, commands = self._load(entry, Origin(distribution, version))
            except MashkitError as error:  # the other plugins must work, whatever error one raises on import
                self.broken.append(Broken(distribution, entry.name, _reason(error)))
            else:
                for component in registered:
                    self._components.setdefault((component.kind, component.info.name), []).append(component)
                for one in commands:
                    self._commands.setdefault(one.command.name, []).append(one)

    def _load(
        self, entry: importlib.metadata.EntryPoint, origin: Origin
    ) -> tuple[list[Registered], list[RegisteredCommand]]:
        name = f"{origin.distribution}:{entry.name}"
        try:
            with plugin_code(f"plugin {origin.distribution}"):
                module = entry.load()
                _require_known_hooks(self.plugins, module)
                self.plugins.register(module, name=name)
                _require_marks(module)
                registered = [
                    Registered(kind, info, origin)
                    for kind in KINDS
                    for info in self._said_by(module, f"mashkit_register_{kind}s", ComponentInfo)
                ]
                for one in registered:
                    _require_card(one.info)
                commands = self._said_by(module, "mashkit_register_commands", hookspecs.Command)
        except BaseException:
            if self.plugins.has_plugin(name):
                self.plugins.unregister(name=name)
            raise
        return registered, [RegisteredCommand(command, origin) for command in commands]

    def _said_by(self, module: object, hook_name: str, cls: type[T]) -> list[T]:
        hook = getattr(self.plugins.hook, hook_name)
        said: list[T] = []
        for implementation in hook.get_hookimpls():
            if implementation.plugin is module:
                _require_no_wrapper(implementation, hook_name)
                said.extend(_listed(implementation.function(), hook_name, cls))
        return said

    # --------------------------------------------------------------------------------------------------- look-up
    def components(self, kind: str | None = None) -> list[Registered]:
        """Return the registered components, sorted by kind (in the order of the pipeline) and name.

        Raises
        ------
        UsageError
            If there is no such kind.
        """
        if kind is not None:
            require_kind(kind)
        return sorted(
            (one for entries in self._components.values() for one in entries if kind in (None, one.kind)),
            key=lambda one: (KINDS.index(one.kind), one.info.name, one.origin.distribution),
        )

    def find(self, kind: str, name: str) -> Registered:
        """Return the component of that kind and name. A name that mashkit has itself stays mashkit's.

        Raises
        ------
        UnknownComponent
            If there is none; names the nearest names, or a broken plugin that may contain it.
        DuplicateComponent
            If two plugins register it.
        UsageError
            If there is no such kind, or the name is not text.
        """
        require_kind(kind)
        require("name", name, str, "give a name from `mashkit plugins`")
        entries = self._components.get((kind, name), [])
        if not entries:
            raise self._unknown(kind, name)
        if len(entries) == 1:
            return entries[0]
        twice = _registered_twice(f"{kind} {name!r}", (one.origin.distribution for one in entries))
        own = [one for one in entries if not self.is_ignored(one)]
        if len(own) > 1:
            raise twice
        self.note(_used(twice))
        return own[0]

    def is_ignored(self, registered: Registered) -> bool:
        """Return whether mashkit itself has a component of that kind and name, which is used instead."""
        entries = self._components.get((registered.kind, registered.info.name), [])
        owners = {one.origin.distribution for one in entries}
        return "mashkit" in owners and registered.origin.distribution != "mashkit"

    def _unknown(self, kind: str, name: str) -> UnknownComponent | BrokenPlugin:
        distribution = published().get(kind, {}).get(name)
        for broken in self.broken:
            named = broken.distribution.removeprefix("mashkit-")
            if name in (named, broken.entry_point) or broken.distribution == distribution:
                return BrokenPlugin(
                    f"{kind} {name!r}: its plugin {broken.distribution} could not be loaded: {broken.reason}",
                    "see `mashkit doctor`",
                )
        install = how_to_install(kind, name)
        if install:
            if self._allow is not None and distribution not in self._allow:
                return UnknownComponent(
                    f"{kind} {name!r} is left out: {distribution} is not among the plugins to load",
                    f"add to {ALLOWLIST_VARIABLE}: {distribution}",
                )
            return UnknownComponent(f"{kind} {name!r} is not installed: {distribution} brings it", install)
        names = list(dict.fromkeys(one.info.name for one in self.components(kind)))
        near = difflib.get_close_matches(name, names, n=1)
        known = f"known: {', '.join(names) or 'none'}"
        if self.broken:
            broken_ones = ", ".join(sorted({one.distribution for one in self.broken}))
            known += f"; it may be in a plugin that cannot be loaded, see `mashkit doctor`: {broken_ones}"
        return UnknownComponent(
            f"no {kind} is called {name!r}", f"did you mean {near[0]!r}? {known}" if near else known
        )

    def commands(self) -> Mapping[str, tuple[RegisteredCommand, ...]]:
        """Return the commands that plugins add to the command line, by name; two of the same name clash."""
        return {name: tuple(entries) for name, entries in sorted(self._commands.items())}

    def command(self, name: str) -> RegisteredCommand:
        """Return the command of that name, one of :meth:`commands` or of the commands in :func:`published`.

        Raises
        ------
        DuplicateComponent
            If two distributions register it.
        UnknownComponent, BrokenPlugin
            If its plugin is not installed, is not among the plugins to load, or could not be loaded.
        """
        entries = self._commands.get(name, [])
        if not entries:
            raise self._unknown("command", name)
        if len(entries) > 1:
            raise _registered_twice(f"command {name!r}", (one.origin.distribution for one in entries))
        return entries[0]

    def weights(self) -> list[WeightFile]:
        """Return the weight files of all plugins, sorted by name.

        A name that stands for different files is mashkit's own, or left out; a note names the plugins.
        """
        found = self._registered("mashkit_register_weights")
        return list(by_name("weight file", found, self.note).values())

    def _registered_weights(self) -> list[WeightFile]:
        return [one for _, one in self._registered("mashkit_register_weights")]

    def tasks(self) -> dict[str, hookspecs.TaskInfo]:
        """Return the benchmark's tasks of all plugins by name, sorted; for equal names see :meth:`weights`."""
        return by_name("task", self._registered("mashkit_register_tasks"), self.note)

    def collections(self) -> dict[str, hookspecs.CollectionInfo]:
        """Return the benchmark's collections of all plugins by name, sorted; for equal names see :meth:`weights`."""
        return by_name("collection", self._registered("mashkit_register_collections"), self.note)

    def suites(self) -> list[tuple[str, Traversable]]:
        """Return the files of the benchmark's suites of all plugins, by their names, each with its distribution."""
        return sorted(self._registered("mashkit_register_suites"), key=lambda one: one[1].name)

    def _registered(self, hook_name: str) -> list[tuple[str, Any]]:
        """Return what every plugin registers with a hook, each with the plugin's distribution."""
        hooks = getattr(self.plugins.hook, hook_name).get_hookimpls()
        return [(hook.plugin_name.partition(":")[0], one) for hook in hooks for one in hook.function()]


def _listed(given: object, hook_name: str, cls: type[T]) -> list[T]:
    """Return what a hook returned as a list; raise TypeError if it is not a list of ``cls``."""
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise TypeError(f"{hook_name} returned {given!r}, not a list of {cls.__name__}")
    found = list(given)
    for one in found:
        if not isinstance(one, cls):
            raise TypeError(f"{hook_name} returned {one!r}, not a {cls.__name__}")
    return found


def _require_known_hooks(plugins: pluggy.PluginManager, module: object) -> None:
    """Raise TypeError if a function is marked as a hook, and there is no such hook, or the hook gives no such argument.

    pluggy finds this too, but its text does not say which hook may be meant, and has the path of the module.
    """
    for name in dir(module):
        marked = plugins.parse_hookimpl_opts(module, name)
        if marked is None or marked["optionalhook"]:
            continue
        hook = marked["specname"] or name
        if hook not in _HOOKS:
            near = difflib.get_close_matches(hook, _HOOKS, n=1)
            meant = f"did you mean {near[0]}?" if near else "see mashkit.hookspecs"
            raise TypeError(f"no hook is called {hook}: {meant}")
        given = inspect.signature(getattr(hookspecs, hook)).parameters
        for argument in inspect.signature(getattr(module, name)).parameters.values():
            needed = argument.default is argument.empty and argument.kind is argument.POSITIONAL_OR_KEYWORD
            if needed and argument.name not in given:
                has = ", ".join(given) or "none"
                raise TypeError(f"{name} has an argument {argument.name!r}: the hook has {has}")


_HOOKS = frozenset(name for name in vars(hookspecs) if name.startswith("mashkit_"))


def _require_marks(module: object) -> None:
    """Raise TypeError if a function is named as one of the hooks, but is not marked as one: nobody would call it."""
    for name in sorted(_HOOKS.intersection(vars(module))):
        if not hasattr(getattr(module, name), "mashkit_impl"):
            raise TypeError(f"{name} is not marked with @mashkit.hookimpl, so it is never called")


def _require_no_wrapper(implementation: pluggy.HookImpl, what: str) -> None:
    """Raise TypeError if a plugin's hook would run around the hooks of other plugins."""
    if implementation.hookwrapper or implementation.wrapper:
        raise TypeError(f"{what} wraps other plugins' hooks, which is not allowed")


def _registered_twice(what: str, distributions: Iterable[str]) -> DuplicateComponent:
    """Return the error for a name of several plugins, or one plugin's name that it registers again."""
    owners = list(dict.fromkeys(distributions))
    if len(owners) == 1:
        return DuplicateComponent(f"{what} is registered twice by {owners[0]}", "tell its authors")
    others = [owner for owner in owners if owner != "mashkit"]
    fix = "uninstall one of them" if len(others) == len(owners) else f"uninstall {' and '.join(others)}"
    return DuplicateComponent(f"{what} is registered by {' and '.join(owners)}", fix)


def _used(twice: DuplicateComponent) -> str:
    """Return the note on a name that plugins register, and mashkit itself, which keeps it."""
    return f"{twice.problem}; that of mashkit is used ({twice.fix})"


def _reason(error: MashkitError) -> str:
    """Return why a plugin cannot be loaded, with the line of its code."""
    cause = error.__cause__ or error
    place = place_of(cause)
    return f"{raised(cause)}, in {place}" if place else raised(cause)


def by_name(noun: str, owned: Iterable[tuple[str, Named]], note: Callable[[str], None]) -> dict[str, Named]:
    """Return values by name, sorted. Of different values of one name, mashkit's own is returned, or none.

    Parameters
    ----------
    noun : str
        What the values are, for notes: "task".
    owned : iterable of (str, value)
        Each value with the distribution that brings it.
    note : callable
        Called with a note for every name that stands for different values.
    """
    entries: dict[str, list[tuple[str, Named]]] = {}
    for owner, one in owned:
        entries.setdefault(one.name, []).append((owner, one))
    chosen: dict[str, Named] = {}
    for name, some in sorted(entries.items()):
        own = [one for owner, one in some if owner == "mashkit"]
        differ = any(one != some[0][1] for _, one in some)
        if differ:
            twice = _registered_twice(f"{noun} {name!r}", (owner for owner, _ in some))
            note(_used(twice) if own else f"{twice.problem}; it is left out ({twice.fix})")
        if own or not differ:
            chosen[name] = own[0] if own else some[0][1]
    return chosen


def require_kind(kind: object) -> None:
    """Raise UsageError, which names the nearest kind, if there is no such kind of components."""
    if not isinstance(kind, str) or kind not in KINDS:
        raise UsageError(f"there is no kind {kind!r}", suggestion(str(kind), KINDS))


def imported(target: str, what: str, fix: str = "") -> Any:
    """Import and return a plugin's "package.module:name"; on failure raise BrokenPlugin, beginning with ``what``."""
    module, _, name = target.partition(":")
    try:
        with plugin_code(what):
            return getattr(importlib.import_module(module), name)
    except MashkitError as error:  # importing a backend runs its code, which may raise any error
        raise BrokenPlugin(f"{what}: {raised(error.__cause__ or error)}", fix or error.fix) from error


def _import_target(registered: Registered) -> type[Component]:
    from mashkit.interfaces import INTERFACES  # here: they bring numpy, which listing needs not

    info = registered.info
    what = f"{registered.kind} {info.name!r}: importing {info.target} of {registered.origin.distribution} failed"
    cls = imported(info.target, what, info.install)
    if not (isinstance(cls, type) and issubclass(cls, INTERFACES[registered.kind])):
        raise BrokenPlugin(f"{info.target} of {registered.origin.distribution} is not {with_article(registered.kind)}")
    has_card = isinstance(inspect.getattr_static(cls, "info", None), _CARDS)
    if inspect.isabstract(cls) or not has_card:
        lacking = [*(() if has_card else ("info",)), *sorted(cls.__abstractmethods__)]
        raise BrokenPlugin(
            f"{info.target} of {registered.origin.distribution} is not a complete {registered.kind}",
            f"tell its authors: it lacks {', '.join(lacking)}",
        )
    card = inspect.getattr_static(cls, "info")
    if isinstance(card, ComponentInfo):  # a property needs an instance: Registered.make() asks it
        _require_own_card(registered, card)
    component: type[Component] = cls
    if component.abilities is not None and (unknown := sorted(info.provides - component.abilities)):
        raise BrokenPlugin(
            f"{registered.kind} {info.name!r} of {registered.origin.distribution} provides {unknown[0]!r}",
            suggestion(unknown[0], component.abilities),
        )
    for ability, method in sorted(component.ability_methods.items()):
        if ability in info.provides and getattr(component, method) is getattr(INTERFACES[registered.kind], method):
            raise BrokenPlugin(
                f"{registered.kind} {info.name!r} of {registered.origin.distribution} provides {ability!r}, "
                f"but {info.target} has no {method}",
                f"tell its authors: write {method}, or leave {ability!r} out of provides",
            )
    return component


def _require_own_card(registered: Registered, card: ComponentInfo) -> None:
    """Raise BrokenPlugin if a component's card is that of another one, because its results would count as the other's.

    The name is in :meth:`Component.fingerprint`, and so in every cache key.
    """
    name, target = registered.info.name, registered.info.target
    if card.name != name:
        raise BrokenPlugin(
            f"{registered.kind} {name!r} of {registered.origin.distribution}: info of {target} is the card of "
            f"{card.name!r}",
            f"tell its authors: set it to the card of {name!r}",
        )


_CARDS = (ComponentInfo, property, functools.cached_property)
"""Possible types of the attribute ``info`` of a component's class."""


def _check_options(cls: type[Component], name: str, options: Mapping[str, Any]) -> None:
    known = [field.alias or field.name for field in attrs.fields(cls) if field.init]
    for option in options:
        if option not in known:
            near = difflib.get_close_matches(option, known, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise OptionError(
                f"{cls.kind} {name!r} has no option {option!r}", f"{hint}it has: {', '.join(known) or 'none'}"
            )


def _check_values(cls: type[Component], component: str, options: Mapping[str, Any]) -> None:
    """Raise OptionError if an option's value does not have the declared type, because a class need not check this.

    Only numbers, text and choices are checked, and only options that the class does not convert.
    """
    hints = option_types(cls)
    for field in attrs.fields(cls):
        name = field.alias or field.name
        if name not in options or field.name not in hints:
            continue
        value = options[name]
        # Infinity is a value only where the component itself uses it.
        no_number = isinstance(value, float) and not math.isfinite(value) and value != field.default
        if no_number or (field.converter is None and not _is_a(value, hints[field.name])):
            due = ("a number" if math.isnan(value) else "a finite number") if no_number else _named(hints[field.name])
            raise OptionError(f"{cls.kind} {component!r}: its option {name!r} is {value!r}", f"give {due}")


def _check_converters(cls: type[Component], component: str, options: Mapping[str, Any]) -> None:
    """Raise OptionError for the first option that its converter refuses, because the converter's error names none."""
    hints = option_types(cls)
    for field in attrs.fields(cls):
        name = field.alias or field.name
        if name not in options or not callable(field.converter) or isinstance(field.converter, attrs.Converter):
            continue
        try:
            field.converter(options[name])
        except (TypeError, ValueError) as error:
            hint = hints.get(field.name)
            raise OptionError(
                f"{cls.kind} {component!r}: its option {name!r} is {options[name]!r}: {_said(error)}",
                f"give {_named(hint)}" if _has_words(hint) else None,
            ) from error


def _said(error: Exception) -> str:
    """Return the message of an error; attrs appends attribute, type and value to it, which users do not need."""
    return str(error.args[0]) if error.args else type(error).__name__


def option_types(cls: type[Component]) -> Mapping[str, Any]:
    """Return the types of a component's fields by name; empty if one names what exists only for type checkers."""
    try:
        return typing.get_type_hints(cls)
    except Exception:  # noqa: BLE001 — annotations are a plugin's code
        return {}


def _is_a(value: object, hint: Any) -> bool:
    """Return whether a value is of a type; True for types other than numbers, text and choices."""
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_is_a(value, one) for one in typing.get_args(hint))
    if origin is typing.Literal:
        return value in typing.get_args(hint)
    if hint is None or hint is type(None):
        return value is None
    if hint is bool:
        return isinstance(value, bool)
    if hint is int:
        return isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if hint is float:
        return isinstance(value, numbers.Real) and not isinstance(value, bool)
    if hint is str:
        return isinstance(value, str)
    return True


def _named(hint: Any) -> str:
    """Return a type in words, for a fix."""
    if typing.get_origin(hint) is typing.Literal:
        return " or ".join(map(repr, typing.get_args(hint)))
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return " or ".join(_named(one) for one in typing.get_args(hint))
    return _WORDS.get(hint, getattr(hint, "__name__", str(hint)))


def _has_words(hint: Any) -> bool:
    """Return whether :func:`_named` returns words that a user knows, and not the name of a class."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return all(map(_has_words, typing.get_args(hint)))
    return typing.get_origin(hint) is typing.Literal or hint in _WORDS


_WORDS: Mapping[Any, str] = {
    bool: "true or false", int: "a whole number", float: "a number", str: "text", type(None): "null",
}  # fmt: skip
