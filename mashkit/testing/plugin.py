"""Define pytest fixtures for mashkit and its plugins."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mashkit.arguments import named_path

DATA_VARIABLE = "MASHKIT_TEST_DATA"
"""Environment variable: folder of real songs, multitracks and annotations for tests."""


@pytest.fixture(scope="session")
def shared_data(pytestconfig: pytest.Config) -> Path:
    """Return the folder with real music: $MASHKIT_TEST_DATA, or ../shared/data beside the checkout; skip if missing."""
    named = os.environ.get(DATA_VARIABLE)
    # pytest's root may be the checkout or one plugin in it.
    beside = [parent / "shared" / "data" for parent in pytestconfig.rootpath.resolve().parents]
    for folder in [named_path(named)] if named else beside:
        if folder.is_dir():
            return folder
    pytest.skip(f"no real music here: set {DATA_VARIABLE} to a folder of it")
