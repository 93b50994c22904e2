"""Small real networks of Open-Unmix, written to disk as its training does."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from mashkit_openunmix.library import OpenUnmix

N_FFT, N_HOP, HIDDEN = 1024, 256, 16
TARGETS = ("vocals", "drums", "bass", "other")
SHARES = {"vocals": 0.1, "drums": 0.4, "bass": 0.3, "other": 0.2}


def network(**options: Any) -> Any:
    """Return an untrained network that hears 300 of 513 bins."""
    return OpenUnmix(**{"nb_bins": N_FFT // 2 + 1, "nb_channels": 2, "hidden_size": HIDDEN, "max_bin": 300, **options})


def save(folder: Path, networks: dict[str, Any]) -> Path:
    """Write a model as openunmix's training does."""
    folder.mkdir(exist_ok=True)
    common = {"sample_rate": 44100.0, "nfft": N_FFT, "nhop": N_HOP, "nb_channels": 2}
    (folder / "separator.json").write_text(json.dumps(common))
    for target, one in networks.items():
        about = {"args": {"nfft": N_FFT, "nb_channels": 2, "hidden_size": HIDDEN, "target": target}}
        (folder / f"{target}.json").write_text(json.dumps(about))
        torch.save(one.state_dict(), folder / f"{target}.pth")
    return folder


@pytest.fixture(scope="session")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose networks give what chance gave them."""
    torch.manual_seed(0)
    return save(tmp_path_factory.mktemp("untrained"), {target: network() for target in TARGETS})


@pytest.fixture(scope="session")
def shares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with some weights set by hand: each stem's mask is its share, whatever it hears."""
    networks = {}
    for target, share in SHARES.items():
        networks[target] = network()
        networks[target].output_scale.data.zero_()
        networks[target].output_mean.data.fill_(share)
    return save(tmp_path_factory.mktemp("shares"), networks)
