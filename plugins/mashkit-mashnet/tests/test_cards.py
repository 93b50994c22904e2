"""The cards of the weights that ship are those that ship.py writes today."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from mashkit_mashnet import SHIPPED
from mashkit_mashnet.checkpoint import load
from mashkit_mashnet.scorer import shipped

PLUGIN = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    if not (PLUGIN / "ship.py").exists():
        pytest.skip("no clone of the repository: ship.py and the cards are not installed")
    spec = importlib.util.spec_from_file_location("ship", PLUGIN / "ship.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["ship"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("variant", sorted(SHIPPED))
def test_a_card_is_that_of_the_weights(script: ModuleType, variant: str) -> None:
    path = shipped(variant)
    card = (PLUGIN / "cards" / f"{variant}.md").read_text(encoding="utf-8")
    assert card == script.card(load(path), path)
    assert "## Measured on rendered songs it never saw" in card
