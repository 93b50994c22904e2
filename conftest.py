"""What all tests share: a cache of their own, so that no test depends on what the user computed before.

With ``--core`` (`make check`) no plugin is loaded, and tests marked ``plugins`` or ``whole`` are left out. Every other
test must pass without plugins.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from mashkit.discovery import ALLOWLIST_VARIABLE, published
from mashkit.testing.mashups import Shelf
from mashkit.types import Analysis, Audio, Clip, Role, StemSet

NOT_OF_THE_CORE = ("plugins", "whole")
"""Marks of the tests that ``--core`` leaves out; pyproject.toml says what they mean."""


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
    """Return the names of the distributions that the core's tests install themselves: acme_…, zzz_…, mashkit_…."""
    texts = (path.read_text() for path in (Path(__file__).parent / "tests").rglob("*.py"))
    named = {name for text in texts for name in re.findall(r"\b(?:acme|mashkit|zzz)(?:[_-][a-z0-9]+)+", text)}
    return {"mashkit"} | named - {distribution for names in published().values() for distribution in names.values()}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--core``."""
    parser.addoption("--core", action="store_true", help="load no plugin, and run only the core's quick tests")


def pytest_configure(config: pytest.Config) -> None:
    """Leave all plugins out, also in the processes that tests start. What tests install themselves stays."""
    if config.getoption("--core"):
        os.environ[ALLOWLIST_VARIABLE] = ",".join(sorted(_of_tests()))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests that need plugins or the whole program."""
    if config.getoption("--core"):
        left_out = [item for item in items if any(item.get_closest_marker(mark) for mark in NOT_OF_THE_CORE)]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]
