"""Create components by name: one that a plugin registers, one made of others, one in another process.

Finding them is below, in :mod:`mashkit.discovery`: composites and the workers of other processes need it as well.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, overload

from mashkit.arguments import require
from mashkit.components import Availability, Component, Origin
from mashkit.discovery import Discovery, Registered, require_kind
from mashkit.errors import MashkitError
from mashkit.hookspecs import StageEvent

if TYPE_CHECKING:  # they bring numpy, which listing needs not
    from mashkit.interfaces import Analyzer, Executor, Generator, Scorer, Separator, Stretcher


class Registry(Discovery):
    """Every component that the installed plugins bring, created by name.

    Parameters and attributes are those of :class:`mashkit.discovery.Discovery`.
    """

    def availability(self, registered: Registered) -> Availability:
        """Look whether a component could be used here as it is: what it requires, and its weights.

        Where weights it registers are not in the models folder it is asked itself: it may find them elsewhere. That
        imports it; nothing else does.
        """
        available = registered.availability()
        if not available.ok or available.environment:
            return available
        kind, name = registered.kind, registered.info.name
        if registered.info.own_options:  # only the component itself can say what its user has to give
            return self.works(registered)
        files = [one for one in self._registered_weights() if one.url and one.component == f"{kind} {name}"]
        if all((path := one.location()) is not None and path.is_file() for one in files):
            return available
        return self.works(registered)

    def works(self, registered: Registered) -> Availability:
        """Make a component with its default options and have it describe itself; say what is wrong, if anything is."""
        available = registered.availability()
        if available.ok:
            try:
                self.create(registered.kind, registered.info.name).described()
            except MashkitError as error:
                return Availability(ok=False, reason=error.problem, fix=error.fix or "")
        return available

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
        require_kind(kind)
        require("name", name, str, "give a name from `mashkit plugins`")
        if options is not None:
            require("options", options, Mapping, 'give a mapping, like {"cheaper": True}')
        from mashkit import composite  # here: it brings numpy, which listing needs not

        if composite.is_composite(name):
            made = composite.create(self.create, kind, name, options)
            made.origin = Origin("mashkit", importlib.metadata.version("mashkit"))
            return made
        plain, at, environment = name.partition("@")
        if at:
            return self._isolated(kind, plain, environment, options)
        registered = self.find(kind, name)
        available = registered.require_available()
        if available.environment:
            return self._isolated(kind, name, available.environment, options)
        return registered.make(options)

    def _isolated(self, kind: str, name: str, environment: str, options: Mapping[str, Any] | None) -> Component:
        from mashkit.remote.proxies import isolated

        def notify(event: StageEvent) -> None:
            self.plugins.hook.mashkit_stage(event=event)

        component = isolated(kind, name, environment=environment, options=options, notify=notify)
        component.origin = component.session.made().origin
        return component
