"""Create components by name: a registered component, a composite of components, or a component in another process.

:mod:`mashkit.discovery` finds the components. It lies below this module, because composites and workers need it too.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, overload

from mashkit.arguments import require
from mashkit.components import Availability, Component, Origin
from mashkit.discovery import Discovery, Registered, published, require_kind
from mashkit.errors import DuplicateComponent, MashkitError
from mashkit.hookspecs import StageEvent

if TYPE_CHECKING:  # they import numpy, which a list of components does not need
    from mashkit.interfaces import Analyzer, Executor, Generator, Scorer, Separator, Stretcher


class Registry(Discovery):
    """Creates the components of the installed plugins by name.

    Parameters and attributes are those of :class:`mashkit.discovery.Discovery`.

    Examples
    --------
    >>> import mashkit as mk
    >>> registry = mk.Registry(allow=[])  # without plugins; Registry() has all that are installed
    >>> [one.info.name for one in registry.components("scorer")]
    ['loudness', 'random']
    >>> registry.create("scorer", "random", {"seed": 7}).options()
    {'seed': 7}
    >>> registry.create("scorer", "randon")
    Traceback (most recent call last):
        ...
    mashkit.errors.UnknownComponent: no scorer is called 'randon' (did you mean 'random'? known: loudness, random)
    """

    def availability(self, registered: Registered) -> Availability:
        """Return whether a component can be used here: whether its requirements and its weights are present.

        If weights that it registers are not in the models folder, the component is created, because it may find them
        elsewhere. Only then is it imported. A component in an environment is created too, because only its own process
        can say whether the environment fits this mashkit.
        """
        kind, name = registered.kind, registered.info.name
        available = self._by_its_name(registered)
        if not available.ok:
            return available
        if available.environment:
            return self.works(registered)
        if registered.info.own_options:  # only the component itself can say what its user has to give
            return self.works(registered)
        files = [one for one in self._registered_weights() if one.url and one.component == f"{kind} {name}"]
        if all((path := one.location()) is not None and path.is_file() for one in files):
            return available
        return self.works(registered)

    def works(self, registered: Registered) -> Availability:
        """Create a component with its default options, and compute its description; return the problem, if any."""
        available = self._by_its_name(registered)
        if available.ok:
            try:
                self.create(registered.kind, registered.info.name).described()
            except MashkitError as error:
                return Availability(ok=False, reason=error.problem, fix=error.fix or "")
        return available

    def _by_its_name(self, registered: Registered) -> Availability:
        """Return whether its requirements are present and its name is its own, without which nobody can create it."""
        kind, owner = registered.kind, registered.origin.distribution
        if self.is_ignored(registered):
            reason = f"mashkit has this {kind}; the {kind} of {owner} is ignored"
            return Availability(ok=False, reason=reason, fix=f"uninstall {owner}")
        try:
            self.find(kind, registered.info.name)
        except DuplicateComponent as error:
            return Availability(ok=False, reason=error.problem, fix=error.fix or "")
        return registered.availability()

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

        A name with ":" or "+" is a composite (:mod:`mashkit.composite`). A component that needs an environment is
        returned as a proxy (:mod:`mashkit.remote`). So is a component whose name is followed by "@" and the name of an
        environment, or by "@" alone, which is another process with this process's packages.

        Raises
        ------
        UnknownComponent, DuplicateComponent
            As :meth:`find`.
        ComponentUnavailable
            If a requirement is missing; the fix is the command that installs it.
        OptionError
            If it has no such option, or does not accept the value.
        BrokenPlugin
            If the target cannot be imported or is not a component of that kind.
        UsageError
            If there is no such kind, the name is not text, or the options are not a mapping.
        """
        require_kind(kind)
        require("name", name, str, "give a name from `mashkit plugins`")
        if options is not None:
            require("options", options, Mapping, 'give a mapping, like {"cheaper": True}')
        from mashkit import composite  # here, because it imports numpy

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

        owner = published().get(kind, {}).get(name, "mashkit")
        left_out = self._allow is not None and owner != "mashkit" and owner not in self._allow
        if left_out and (kind, name) not in self._components:
            raise self._unknown(kind, name)  # the worker would refuse it too, but a worker takes a second to start

        def notify(event: StageEvent) -> None:
            self.plugins.hook.mashkit_stage(event=event)

        component = isolated(kind, name, environment=environment, options=options, notify=notify, allow=self._allow)
        component.origin = component.session.made().origin
        return component
