"""The cards of the weights that ship are those that ship.py writes today."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import attrs
import pytest

from mashkit_mashnet import SHIPPED
from mashkit_mashnet.checkpoint import Checkpoint, load, save
from mashkit_mashnet.intervalnet import IntervalNet, IntervalPreset
from mashkit_mashnet.scorer import shipped

PLUGIN = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    if not (PLUGIN / "ship.py").exists():
        pytest.skip("no clone of the repository: ship.py and the cards are not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(PLUGIN)
        return importlib.import_module("ship")


@pytest.mark.parametrize("variant", sorted(SHIPPED))
def test_a_card_is_that_of_the_weights(script: ModuleType, variant: str) -> None:
    path = shipped(variant)
    card = (PLUGIN / "cards" / f"{variant}.md").read_text(encoding="utf-8")
    assert card == script.card(load(path), path)
    assert "## Measured on rendered songs it never saw" in card


def test_a_card_names_the_licences_of_all_songs(script: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "premixnet.safetensors"
    made = load(shipped("premixnet"))
    source = {"recipe": "database", "licences": ["CC BY 4.0", "CC BY-NC 4.0"]}
    data = {
        **made.training["data"],
        "sources": [source],
        "stores": [],
        "licences": [*source["licences"], "POP909: MIT"],
    }
    record = {**made.training, "data": data, "initial": {"variant": "premixnet", "sha256": "0", "data": {}}}
    save(path, attrs.evolve(made, training=record))
    card = script.card(load(path), path)
    assert "Recipe `database` (). CC BY 4.0; CC BY-NC 4.0." in card
    assert "The weights that training began with had learnt from songs and sounds under POP909: MIT." in card


def test_weights_without_a_card_replace_nothing(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "PACKAGE", tmp_path / "package")
    monkeypatch.setattr(script, "CARDS", tmp_path / "cards")
    weights = tmp_path / "package" / "weights"
    weights.mkdir(parents=True)
    (weights / "intervalnet.safetensors").write_bytes(b"kept")
    network = IntervalNet(IntervalPreset(name="tiny", block_filters=8, features=8, templates=3, rhythm=6, gate=0.1))
    runs = [tmp_path / "1.safetensors", tmp_path / "2.safetensors"]
    for run in runs:
        training = {"config": {"seed": 1}, "data": {"stores": []}}
        save(run, Checkpoint.of(network, variant="intervalnet", training=training))
    monkeypatch.setattr(sys, "argv", ["ship.py", *map(str, runs)])
    with pytest.raises(SystemExit, match="two of its networks have one seed"):
        script.main()
    assert (weights / "intervalnet.safetensors").read_bytes() == b"kept"
