"""What all tests share: a cache of their own, so that no test depends on what the user computed before."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One cache for the session, all its processes: the demo songs are separated and analysed once."""
    folder = tmp_path_factory.mktemp("cache")
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = tmp_path_factory.getbasetemp().parent / "cache"
        folder.mkdir(exist_ok=True)
    before = os.environ.get("MASHKIT_CACHE")
    os.environ["MASHKIT_CACHE"] = str(folder)
    yield folder
    if before is None:
        del os.environ["MASHKIT_CACHE"]
    else:
        os.environ["MASHKIT_CACHE"] = before
