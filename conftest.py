"""What all tests share: a cache of their own, so that no test depends on what the user computed before.

With ``--core`` (`make check`) no plugin is loaded, and a test is passed over that fails after it asked for a plugin's
component, or that names one. A test that needs plugins otherwise says so: ``@pytest.mark.plugins``.
"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from mashkit.components import KINDS
from mashkit.discovery import ALLOWLIST_VARIABLE, published
from mashkit.registry import Registry
from mashkit.testing.mashups import Shelf
from mashkit.types import Analysis, Audio, Clip, Role, StemSet

LEFT_OUT = "is not among the plugins to load"
"""What the registry says of a plugin's component when ``MASHKIT_PLUGINS`` leaves the plugin out."""


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One cache for the session, all its processes: the demo songs are separated and analysed once."""
    folder = tmp_path_factory.mktemp("cache")
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = tmp_path_factory.getbasetemp().parent / "cache"
        folder.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MASHKIT_CACHE", str(folder))
        patch.setenv("MASHKIT_CONFIG", str(folder / "no-settings.toml"))  # the user's own change no test
        yield folder


@pytest.fixture(scope="module", params=["Hendrix", "Reggae"])
def multitrack(request: pytest.FixtureRequest, shared_data: Path) -> tuple[Shelf, Clip]:
    """Return a real song as true stems, with beats annotated by hand."""
    folder = shared_data / "multitracks" / f"MusicDelta - {request.param}"
    if not folder.is_dir():
        pytest.skip(f"no {folder.name} among the real music")
    stems = {}
    for name in ("vocals", "bass", "other", "drums"):
        samples, rate = soundfile.read(folder / f"{name}.flac", dtype="float32", always_2d=True)
        stems[name] = Audio(samples.T, rate)
    stem_set = StemSet(stems)
    beats = np.loadtxt(folder / "mixture.beats")[:, 0]
    shelf = Shelf()
    return shelf, shelf.add(request.param, {role: stem_set.role(role) for role in Role}, Analysis(beats=beats))


def _of_tests() -> set[str]:
    """Return the names in the core's tests that may be those of plugins they install, without ours."""
    texts = (path.read_text() for path in (Path(__file__).parent / "tests").rglob("*.py"))
    named = {name for text in texts for name in re.findall(r"\b(?:acme|mashkit)(?:[_-][a-z0-9]+)+", text)}
    return {"mashkit"} | named - {distribution for names in published().values() for distribution in names.values()}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--core``."""
    parser.addoption("--core", action="store_true", help="load no plugin, and pass over the tests that need one")


def pytest_configure(config: pytest.Config) -> None:
    """Leave all plugins out, in the processes that tests start too."""
    if config.getoption("--core"):
        os.environ[ALLOWLIST_VARIABLE] = ",".join(sorted(_of_tests()))
        config.pluginmanager.register(_PassOver())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip the tests that say they need plugins."""
    if config.getoption("--core"):
        for item in items:
            if item.get_closest_marker("plugins"):
                item.add_marker(pytest.mark.skip(reason="needs plugins"))


def _names_a_plugin(item: pytest.Item) -> bool:
    """Tell whether the code of a test names a component of a plugin."""
    known = {name: distribution for kind in KINDS for name, distribution in published()[kind].items()}
    names = {name for name, distribution in known.items() if distribution != "mashkit"} | {"mashnet"}
    function = getattr(item, "function", None)
    code = "" if function is None else inspect.getsource(function)
    return re.search(rf"\b(?:{'|'.join(map(re.escape, sorted(names)))})\b", code) is not None


class _PassOver:
    """Makes failures of tests that asked for a component which is left out skips."""

    def __init__(self) -> None:
        self._asked = False
        self._blamed: list[BaseException] = []  # a shared fixture's error is raised again for each of its tests
        unknown = Registry._unknown

        def _unknown(registry: Registry, kind: str, name: str) -> Exception:
            error = unknown(registry, kind, name)
            self._asked = self._asked or LEFT_OUT in str(error)
            return error

        Registry._unknown = _unknown  # type: ignore[method-assign, assignment]

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(self, collector: pytest.Collector) -> Iterator[None]:
        report = yield
        if report.failed and LEFT_OUT in report.longreprtext:  # a module that makes a component as it is imported
            report.outcome = "skipped"
            report.longrepr = (str(collector.path), 0, "Skipped: needs a plugin's component")
        return report

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self) -> Iterator[None]:
        self._asked = False
        return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
        report = yield
        if report.failed and call.excinfo is not None:
            error = call.excinfo.value
            said = f"{report.longreprtext}{report.caplog}{report.capstdout}{report.capstderr}"
            if self._asked or LEFT_OUT in said or _names_a_plugin(item):
                self._blamed.append(error)
            if any(error is one for one in self._blamed):
                report.outcome = "skipped"
                report.longrepr = (str(item.path), item.reportinfo()[1] or 0, "Skipped: needs a plugin's component")
        return report
