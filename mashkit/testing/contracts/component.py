"""Define the checks for components of every kind, and the way to excuse a sanity check."""

from __future__ import annotations

import concurrent.futures
import functools
import json
import os
import pickle
import threading
import typing
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeVar

import attrs
import numpy as np
import numpy.typing as npt
import pytest

from mashkit.components import Component
from mashkit.discovery import Registered, option_types
from mashkit.errors import OptionError
from mashkit.licences import UNKNOWN
from mashkit.registry import Registry

ROUNDING = 1e-4
"""Largest RMS difference, relative to the result, of two results that differ only by rounding: −80 dB."""

Check = TypeVar("Check", bound=Callable[..., None])


def sanity(check: Check) -> Check:
    """Mark a check of the quality of a component's results, which callers do not rely on.

    A component that fails such a check by its nature may list it in ``xfail`` with the reason; other checks cannot be
    excused.
    """
    check.sanity = True  # type: ignore[attr-defined]
    return check


def _expected_to_fail(check: Any, reason: str) -> Any:
    @functools.wraps(check)
    def run(*arguments: Any, **keywords: Any) -> None:
        check(*arguments, **keywords)

    return pytest.mark.xfail(reason=reason, strict=True)(run)


def _options_for_paths(cls: type[Component]) -> list[str]:
    """Return the options whose type has a path in it."""
    types = option_types(cls)
    return [field.name for field in attrs.fields(cls) if field.init and _has_path(types.get(field.name))]


def _has_path(hint: Any) -> bool:
    if isinstance(hint, type) and issubclass(hint, os.PathLike):
        return True
    return any(map(_has_path, typing.get_args(hint)))


@functools.cache
def registry() -> Registry:
    """Return the registry that all checks use, so that the plugins are found once."""
    return Registry()


class ComponentContract:
    """Checks for components of every kind."""

    pytestmark = pytest.mark.filterwarnings("error::mashkit.deprecation.DeprecatedUse")

    component: ClassVar[str]
    options: ClassVar[Mapping[str, Any]] = {}
    xfail: ClassVar[Mapping[str, str]] = {}
    """Sanity check → the reason why this component fails it; the check is then expected to fail in all its cases."""
    kind: ClassVar[str]

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        for name in vars(cls):
            if name.startswith("test_") and any(name in vars(base) for base in cls.__mro__[1:]):
                raise TypeError(f"{cls.__name__}.{name} overrides a check of its contract; a sanity check may be xfail")
        for name, reason in cls.xfail.items():
            check = getattr(cls, name, None)
            if not getattr(check, "sanity", False):
                raise TypeError(f"{cls.__name__}.xfail: {name!r} is not a sanity check")
            setattr(cls, name, _expected_to_fail(check, reason))

    @classmethod
    def registered(cls) -> Registered:
        """Return the plugin's registration of this kind and name."""
        return registry().find(cls.kind, cls.component)

    @classmethod
    def create(cls, **options: Any) -> Component:
        """Return a new instance with the class's options and ``options``; skip the test if it is not available."""
        available = cls.registered().availability()
        if not available.ok:
            pytest.skip(f"{cls.kind} {cls.component!r} is not available: {available.reason} ({available.fix})")
        return registry().create(cls.kind, cls.component, {**cls.options, **options})

    @pytest.fixture(scope="class")
    @classmethod
    def subject(cls) -> Component:
        """Return one instance for all checks of a class, so that models are loaded once."""
        return cls.create()

    def test_card_is_complete(self) -> None:
        info = self.registered().info
        assert info.summary
        assert info.provides
        assert info.code_license
        assert info.weights_license
        assert not info.requires or info.install, "say what to type when a requirement is missing"

    def test_card_on_the_class_is_the_registered_one(self, subject: Component) -> None:
        assert subject.info == self.registered().info

    def test_fingerprint_is_the_same_for_equal_instances(self, subject: Component) -> None:
        assert self.create().fingerprint() == subject.fingerprint()

    def test_a_pickled_copy_is_the_same(self) -> None:
        made = self.create()
        copied = pickle.loads(pickle.dumps(made))  # noqa: S301 — because executors and a Kit send components
        assert (copied.described(), copied.fingerprint()) == (made.described(), made.fingerprint())

    def test_what_it_was_trained_on_is_a_list_of_names(self, subject: Component) -> None:
        assert all(subject.recordings())

    def test_a_component_with_an_option_for_files_says_their_licence(self, subject: Component) -> None:
        if not _options_for_paths(type(subject)) or self.registered().info.weights_license == UNKNOWN:
            pytest.skip("has no option that names files, or no known licence of its own weights")
        assert type(subject).weights_license is not Component.weights_license, (
            "override weights_license, because a file of its user's is not under the licence of the plugin's weights"
        )

    def test_description_is_data(self, subject: Component) -> None:
        json.dumps(subject.describe(), allow_nan=False)  # because it is written to plan.json

    def test_what_only_costs_changes_no_result(self, subject: Component) -> None:
        if not subject.cost_options():
            pytest.skip("has no option that is cost_only")
        due = self._outcome(subject)
        for option, values in subject.cost_options().items():
            for value in values:
                try:
                    other = self.create(**{option: value})
                except OptionError:  # for example a missing device
                    continue
                assert other.fingerprint() == subject.fingerprint()
                found = self._outcome(other)
                assert found.keys() == due.keys(), (option, value)
                for name, array in due.items():
                    error = np.sqrt(np.mean((found[name] - array) ** 2)) if array.size else 0.0
                    assert error <= ROUNDING * np.sqrt(np.mean(array**2)), (option, value, name)

    @abstractmethod
    def _outcome(self, subject: Component) -> dict[str, npt.NDArray[np.float64]]:
        """Return the component's results for a fixed input, as numbers."""

    def _assert_threads_agree(self, subject: Component, work: Callable[[Any], Any], same: Any) -> None:
        """Check that two threads with one new instance get what ``subject`` alone gets, from its first use on."""
        if not subject.info.thread_safe:
            pytest.skip("not declared thread-safe")
        alone = work(subject)
        fresh = self.create()  # because what is loaded on first use is loaded once
        both = threading.Barrier(2)

        def together() -> Any:
            both.wait(timeout=60)
            return work(fresh)

        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for future in [pool.submit(together) for _ in range(4)]:
                assert same(future.result(), alone)
