"""Small real models of demucs, written to disk as demucs keeps them."""

import hashlib
import io
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from demucs.demucs import Demucs
from demucs.hdemucs import HDemucs
from demucs.htdemucs import HTDemucs
from safetensors.torch import save_file

SOURCES = ["drums", "bass", "other", "vocals"]
SHARES = (0.4, 0.3, 0.2, 0.1)


def sharing_model() -> Demucs:
    """Return a waveform model with weights set by hand: each source is its share of the mix, to the sample.

    Four samples of two channels make eight values, passed through a ReLU as positive and negative parts.
    """
    model = Demucs(
        SOURCES, channels=16, depth=1, rewrite=False, gelu=False, glu=False, dconv_mode=0, normalize=False,
        resample=False, rescale=0, kernel_size=4, stride=4, segment=1,
    )  # fmt: skip
    taps = torch.eye(8).reshape(8, 2, 4)
    into, out = model.encoder[0][0], model.decoder[0][0]
    into.weight.data, into.bias.data = torch.cat([taps, -taps]), torch.zeros(16)
    # Halved, because the only layer's own output is added to it as a skip connection.
    shares = torch.cat([share / 2 * taps for share in SHARES], dim=1)
    out.weight.data, out.bias.data = torch.cat([shares, -shares]), torch.zeros(8)
    return model


def tiny_models() -> dict[str, Any]:
    """Return untrained models of every architecture, by signature."""
    torch.manual_seed(0)
    small: dict[str, Any] = {"channels": 8, "audio_channels": 2}
    return {
        "waveform": Demucs(SOURCES, **small, depth=2, norm_starts=9, dconv_mode=0, normalize=False, resample=False,
                           stride=1, segment=1),
        "lstm": Demucs(SOURCES, **small, depth=3, lstm_layers=1, segment=2),
        "hybrid": HDemucs(SOURCES, **small, segment=2),
        "transformer": HTDemucs(SOURCES, **small, t_layers=1, t_heads=2, segment=Fraction(3, 2)),
        "six": HTDemucs([*SOURCES, "guitar", "piano"], **small, t_layers=1, t_heads=2, segment=1),
    }  # fmt: skip


def package(model: Any) -> dict[str, Any]:
    """Return what demucs saves of a model."""
    args, kwargs = model._init_args_kwargs
    return {"klass": type(model), "args": args, "kwargs": kwargs, "state": model.state_dict()}


def save_th(folder: Path, signature: str, content: Any) -> Path:
    """Write a .th named by its checksum, as demucs does."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    path = folder / f"{signature}-{hashlib.sha256(buffer.getvalue()).hexdigest()[:8]}.th"
    path.write_bytes(buffer.getvalue())
    return path


def save_safetensors(folder: Path, signature: str, model: Any, **about: str) -> Path:
    """Write a .safetensors that describes its model, as demucs's own on the hub."""
    args, kwargs = model._init_args_kwargs
    metadata = {
        "klass": f"{type(model).__module__}.{type(model).__qualname__}",
        "args": json.dumps(list(args)),
        "kwargs": json.dumps(
            kwargs,
            default=lambda one: {"_type": "fraction", "numerator": one.numerator, "denominator": one.denominator},
        ),
    }
    path = folder / f"{signature}.safetensors"
    save_file({key: value.contiguous() for key, value in model.state_dict().items()}, path, {**metadata, **about})
    return path


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as `demucs --repo` takes it: .th checkpoints, and bags of them."""
    folder = tmp_path_factory.mktemp("models")
    save_th(folder, "shares", package(sharing_model()))
    tiny = tiny_models()
    for signature, model in tiny.items():
        save_th(folder, signature, package(model))
    (folder / "bag.yaml").write_text(
        "models: ['hybrid', 'transformer']\nsegment: 1\nweights: [[1., 0., 1., 1.], [0., 1., 3., 1.]]\n"
    )
    (folder / "pair.yaml").write_text("models: ['waveform', 'hybrid']\n")
    (folder / "htdemucs_6s.yaml").write_text("models: ['six']\n")
    return folder
