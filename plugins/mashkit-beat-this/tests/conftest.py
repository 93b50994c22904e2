"""Small real networks of Beat This!, written to disk as its training keeps them."""

from pathlib import Path
from typing import Any

import pytest
import torch
from beat_this.model.beat_tracker import BeatThis  # type: ignore[import-untyped]

SMALL: dict[str, Any] = {"transformer_dim": 8, "n_layers": 1, "head_dim": 8, "stem_dim": 8, "ff_mult": 1}
QUIETEST, DOWNBEAT = 0.15, 0.45
"""Mean rise of all bands that the network ``onsets`` takes for a beat, and for a downbeat."""


def random_network(**settings: Any) -> BeatThis:
    torch.manual_seed(0)
    return BeatThis(**SMALL, **settings)


def onset_network() -> BeatThis:
    """Return a network with weights set by hand: beats are where the spectrum rises.

    The first layer takes the rise of each band from one spectrum to the next, the convolutions after it add up bands,
    and the transformer passes everything on. Its last layer divides by the length of (rise, ½), so the logit grows
    with the rise.
    """
    network = random_network(partial_transformers=False)
    for name, weights in network.named_parameters():
        if weights.ndim > 1 or name.endswith("bias"):
            weights.data.zero_()
    stem = network.frontend.stem.conv2d.weight.data  # (out, in, bands, time)
    stem[0, 0, :, 0], stem[0, 0, :, 1] = -0.25, 0.25
    for block in network.frontend.blocks:
        block.conv2d.weight.data[0, 0, :, 1] = 0.5
    linear = network.frontend.linear
    linear.weight.data[0, :4] = 0.25  # the four remaining bands of the first channel
    linear.bias.data[1] = 0.5
    heads = network.task_heads.beat_downbeat_lin

    def normalised(rise: float) -> float:
        return float(8**0.5 * rise / (rise**2 + 0.25) ** 0.5)

    heads.weight.data[:, 0] = 20.0
    heads.bias.data[1] = -20.0 * normalised(DOWNBEAT)
    heads.bias.data[0] = -40.0 * normalised(QUIETEST) - heads.bias.data[1]
    return network


def save(path: Path, network: BeatThis, **settings: Any) -> None:
    """Write a checkpoint as Lightning does for beat_this, without the optimizer."""
    torch.save(
        {
            "epoch": 3,
            "state_dict": {f"model.{name}": value for name, value in network.state_dict().items()},
            "hyper_parameters": {**SMALL, "lr": 0.0008, "dropout": {"frontend": 0.1, "transformer": 0.2}, **settings},
        },
        path,
    )


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of checkpoints."""
    folder = tmp_path_factory.mktemp("models")
    save(folder / "onsets.ckpt", onset_network(), partial_transformers=False)
    save(folder / "random.ckpt", random_network())
    return folder
