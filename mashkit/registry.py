"""Discover plugins, check what they say, create components by name.

Our own loop over the entry points, not pluggy's: there one plugin that fails to import, misspells a hook or raises in
it takes every command down. Here it lands in :attr:`Registry.broken` and the rest work.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.metadata
import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

import attrs
import pluggy

from mashkit import hookspecs
from mashkit.arguments import require, require_all
from mashkit.components import KINDS, Availability, Component, ComponentInfo, Origin, availability
from mashkit.errors import (
    BrokenPlugin,
    ComponentUnavailable,
    DuplicateComponent,
    OptionError,
    UnknownComponent,
    UsageError,
    suggestion,
)
from mashkit.models import WeightFile

if TYPE_CHECKING:  # they bring numpy, which listing needs not
    from mashkit.interfaces import Analyzer, Executor, Generator, Scorer, Separator, Stretcher

T = TypeVar("T")

GROUP = "mashkit"
"""Entry-point group of plugins."""
ALLOWLIST_VARIABLE = "MASHKIT_PLUGINS"
"""Environment variable: comma-separated distributions to load; unset means all."""


@attrs.frozen
class Registered:
    """One component as a plugin registered it."""

    kind: str
    info: ComponentInfo
    origin: Origin

    def availability(self) -> Availability:
        """Look whether it could be created here, importing nothing."""
        return availability(self.info)


@attrs.frozen
class RegisteredCommand:
    """One command as a plugin registered it."""

    command: hookspecs.Command
    origin: Origin


@attrs.frozen
class Broken:
    """A plugin that could not be loaded, and why."""

    distribution: str
    entry_point: str
    reason: str


def _allowed_by_environment() -> frozenset[str] | None:
    text = os.environ.get(ALLOWLIST_VARIABLE)
    if text is None:
        return None
    return frozenset(name.strip() for name in text.split(",") if name.strip())


class Registry:
    """Every component that the installed plugins bring.

    Parameters
    ----------
    allow : collection of str, optional
        Distributions to load besides mashkit itself; None loads all. Default: the environment's MASHKIT_PLUGINS.
    """

    def __init__(self, allow: Iterable[str] | None = None) -> None:
        if allow is not None:
            allow = frozenset(require_all("allow", allow, str, "names of distributions"))
        self._allow = allow
        self.plugins = pluggy.PluginManager("mashkit")
        self.plugins.add_hookspecs(hookspecs)
        self.broken: list[Broken] = []
        self._components: dict[tuple[str, str], list[Registered]] = {}
        self._commands: dict[str, list[RegisteredCommand]] = {}
        self._discover(_allowed_by_environment() if allow is None else allow)

    def __reduce__(self) -> tuple[Any, ...]:
        # What is installed is found anew, in whatever process.
        return Registry, (self._allow,)

    # ------------------------------------------------------------------------------------------------- discovery
    def _discover(self, allow: frozenset[str] | None) -> None:
        found = importlib.metadata.entry_points(group=GROUP)
        # Sorted, so that nothing depends on the order of a directory listing.
        for entry in sorted(found, key=lambda entry: (entry.dist.name if entry.dist else "", entry.name)):
            distribution = entry.dist.name if entry.dist else entry.value
            version = entry.dist.version if entry.dist else ""
            if allow is not None and distribution != "mashkit" and distribution not in allow:
                continue
            try:
                registered, commands = self._load(entry, Origin(distribution, version))
            except (Exception, SystemExit) as error:  # noqa: BLE001 — a plugin may do anything on import; it must not stop the rest
                self.broken.append(Broken(distribution, entry.name, f"{type(error).__name__}: {error}"))
            else:
                for component in registered:
                    self._components.setdefault((component.kind, component.info.name), []).append(component)
                for one in commands:
                    self._commands.setdefault(one.command.name, []).append(one)

    def _load(
        self, entry: importlib.metadata.EntryPoint, origin: Origin
    ) -> tuple[list[Registered], list[RegisteredCommand]]:
        module = entry.load()
        name = f"{origin.distribution}:{entry.name}"
        try:
            self.plugins.register(module, name=name)
            self.plugins.check_pending()
            registered = [
                Registered(kind, info, origin)
                for kind in KINDS
                for info in self._said_by(module, f"mashkit_register_{kind}s", ComponentInfo)
            ]
            commands = self._said_by(module, "mashkit_register_commands", hookspecs.Command)
            return registered, [RegisteredCommand(command, origin) for command in commands]
        except BaseException:
            if self.plugins.has_plugin(name):
                self.plugins.unregister(name=name)
            raise

    def _said_by(self, module: object, hook_name: str, cls: type[T]) -> list[T]:
        hook = getattr(self.plugins.hook, hook_name)
        said: list[T] = []
        for implementation in hook.get_hookimpls():
            if implementation.plugin is module:
                said.extend(implementation.function())
        for one in said:
            if not isinstance(one, cls):
                raise TypeError(f"{hook_name} returned {one!r}, not a {cls.__name__}")
        return said

    # --------------------------------------------------------------------------------------------------- look-up
    def components(self, kind: str | None = None) -> list[Registered]:
        """Return what is registered, sorted by kind (in the order of the pipeline) and name.

        Raises
        ------
        UsageError
            If there is no such kind.
        """
        if kind is not None:
            _require_kind(kind)
        return sorted(
            (one for entries in self._components.values() for one in entries if kind in (None, one.kind)),
            key=lambda one: (KINDS.index(one.kind), one.info.name, one.origin.distribution),
        )

    def find(self, kind: str, name: str) -> Registered:
        """Return the component of that kind and name.

        Raises
        ------
        UnknownComponent
            With the nearest names, or the broken plugin that may have brought it.
        DuplicateComponent
            If two distributions register it.
        UsageError
            If there is no such kind, or the name is no text.
        """
        _require_kind(kind)
        require("name", name, str, "give a name from `mashkit plugins`")
        entries = self._components.get((kind, name), [])
        if len(entries) > 1:
            owners = " and ".join(one.origin.distribution for one in entries)
            raise DuplicateComponent(f"{kind} {name!r} is registered by {owners}", "uninstall one of them")
        if not entries:
            raise self._unknown(kind, name)
        return entries[0]

    def _unknown(self, kind: str, name: str) -> UnknownComponent | BrokenPlugin:
        for broken in self.broken:
            if name in broken.distribution or name == broken.entry_point:
                return BrokenPlugin(
                    f"{kind} {name!r}: its plugin {broken.distribution} could not be loaded: {broken.reason}",
                    "see `mashkit doctor`",
                )
        names = [one.info.name for one in self.components(kind)]
        near = difflib.get_close_matches(name, names, n=1)
        known = f"known: {', '.join(names) or 'none; install a plugin'}"
        return UnknownComponent(
            f"no {kind} is called {name!r}", f"did you mean {near[0]!r}? {known}" if near else known
        )

    def commands(self) -> Mapping[str, tuple[RegisteredCommand, ...]]:
        """Return the commands that plugins add to the command line, by name; more than one clash."""
        return {name: tuple(entries) for name, entries in sorted(self._commands.items())}

    def command(self, name: str) -> RegisteredCommand:
        """Return the command of that name, which is one of :meth:`commands`.

        Raises
        ------
        DuplicateComponent
            If two distributions register it.
        """
        entries = self._commands[name]
        if len(entries) > 1:
            owners = " and ".join(one.origin.distribution for one in entries)
            raise DuplicateComponent(f"command {name!r} is registered by {owners}", "uninstall one of them")
        return entries[0]

    def weights(self) -> list[WeightFile]:
        """Return the weight files of all plugins, sorted by name.

        Raises
        ------
        DuplicateComponent
            If two plugins register a file of the same name.
        """
        found: dict[str, WeightFile] = {}
        for files in self.plugins.hook.mashkit_register_weights():
            for one in files:
                if found.setdefault(one.name, one) != one:
                    raise DuplicateComponent(
                        f"weights {one.name!r} are registered twice", "uninstall one of the plugins"
                    )
        return sorted(found.values(), key=lambda one: one.name)

    # -------------------------------------------------------------------------------------------------- creation
    @overload
    def create(self, kind: Literal["separator"], name: str, options: Mapping[str, Any] | None = None) -> Separator: ...
    @overload
    def create(self, kind: Literal["analyzer"], name: str, options: Mapping[str, Any] | None = None) -> Analyzer: ...
    @overload
    def create(self, kind: Literal["stretcher"], name: str, options: Mapping[str, Any] | None = None) -> Stretcher: ...
    @overload
    def create(self, kind: Literal["scorer"], name: str, options: Mapping[str, Any] | None = None) -> Scorer: ...
    @overload
    def create(self, kind: Literal["generator"], name: str, options: Mapping[str, Any] | None = None) -> Generator: ...
    @overload
    def create(self, kind: Literal["executor"], name: str, options: Mapping[str, Any] | None = None) -> Executor: ...
    @overload
    def create(self, kind: str, name: str, options: Mapping[str, Any] | None = None) -> Component: ...
    def create(self, kind: str, name: str, options: Mapping[str, Any] | None = None) -> Component:
        """Import the component and return an instance with ``options``.

        A name with ":" or "+" in it is made of others (:mod:`mashkit.composite`). One that needs an environment of its
        own comes back as its proxy (:mod:`mashkit.remote`); so does one whose name is followed by "@" and the name of
        an environment, or by "@" alone for another process of this one.

        Raises
        ------
        UnknownComponent, DuplicateComponent
            As :meth:`find`.
        ComponentUnavailable
            If something it requires is missing; says what to type.
        OptionError
            If it has no such option, or does not take the value.
        BrokenPlugin
            If the target cannot be imported or is no component of that kind.
        UsageError
            If there is no such kind, the name is no text, or the options are no mapping.
        """
        _require_kind(kind)
        require("name", name, str, "give a name from `mashkit plugins`")
        if options is not None:
            require("options", options, Mapping, 'give a mapping, like {"cheaper": True}')
        from mashkit import composite  # here: composites know catalog and renderer, the registry need not

        if composite.is_composite(name):
            made = composite.create(self, kind, name, options)
            made.origin = Origin("mashkit", importlib.metadata.version("mashkit"))
            return made
        plain, at, environment = name.partition("@")
        if at:
            return self._isolated(kind, plain, environment, options)
        registered = self.find(kind, name)
        available = registered.availability()
        if not available.ok:
            raise ComponentUnavailable(f"{kind} {name!r} is not available: {available.reason}", available.fix)
        if available.environment:
            return self._isolated(kind, name, available.environment, options)
        cls = _import_target(registered)
        _check_options(cls, name, options or {})
        try:
            component = cls(**(options or {}))
        except (TypeError, ValueError) as error:
            # attrs puts the attribute, type and value behind the message: the message alone is for people.
            raise OptionError(f"{kind} {name!r} does not take these options: {error.args[0]}") from error
        component.origin = registered.origin
        return component

    def _isolated(self, kind: str, name: str, environment: str, options: Mapping[str, Any] | None) -> Component:
        from mashkit.remote.proxies import isolated

        def notify(event: hookspecs.StageEvent) -> None:
            self.plugins.hook.mashkit_stage(event=event)

        component = isolated(kind, name, environment=environment, options=options, notify=notify)
        component.origin = component.session.made().origin
        return component


def _require_kind(kind: object) -> None:
    if not isinstance(kind, str) or kind not in KINDS:
        raise UsageError(f"there is no kind {kind!r}", suggestion(str(kind), KINDS))


def _import_target(registered: Registered) -> type[Component]:
    from mashkit.interfaces import INTERFACES  # here: they bring numpy, which listing needs not

    info = registered.info
    module_name, _, class_name = info.target.partition(":")
    try:
        cls = getattr(importlib.import_module(module_name), class_name)
    except Exception as error:  # importing a backend runs its code: anything may come out
        raise BrokenPlugin(
            f"{registered.kind} {info.name!r}: importing {info.target} of {registered.origin.distribution} failed: "
            f"{type(error).__name__}: {error}",
            info.install or None,
        ) from error
    if not (isinstance(cls, type) and issubclass(cls, INTERFACES[registered.kind])):
        raise BrokenPlugin(f"{info.target} of {registered.origin.distribution} is not a {registered.kind}")
    return cls


def _check_options(cls: type[Component], name: str, options: Mapping[str, Any]) -> None:
    known = [field.alias or field.name for field in attrs.fields(cls) if field.init]
    for option in options:
        if option not in known:
            near = difflib.get_close_matches(option, known, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise OptionError(
                f"{cls.kind} {name!r} has no option {option!r}", f"{hint}it has: {', '.join(known) or 'none'}"
            )
