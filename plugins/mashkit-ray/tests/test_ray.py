"""The Ray executor keeps its contract on a cluster that it joins, and on one that it starts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mashkit.testing import ExecutorContract


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    """One cluster for the module: an executor uses the connection that a program has."""
    ray = pytest.importorskip("ray")
    from mashkit_ray.connection import connected

    with connected(None, 2, 0, log=False):
        yield
    assert not ray.is_initialized()


class TestRay(ExecutorContract):
    component = "ray"
    options = {"num_cpus": 2}  # noqa: RUF012 — the contract reads it, nobody writes it
