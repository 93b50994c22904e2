"""Open-Unmix's weights: found on this machine, verified, read without running code, and matched key by key.

openunmix's own loader downloads missing files, and ignores missing or additional keys: with weights of another
architecture its output would be random.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import torch
from torch import Tensor

from mashkit.errors import ComponentUnavailable
from mashkit.models import file_sha256, models_folder
from mashkit.networks.checkpoints import read_pickled
from mashkit_openunmix.files import OFFICIAL
from mashkit_openunmix.library import OpenUnmix, Separator

TARGETS = ("vocals", "drums", "bass", "other")

_HIDDEN = {"umxl": 1024, "umxhq": 512, "umx": 512}  # openunmix 1.3.0, ``umxl_spec`` and others

WIENER_FRAMES = 300
"""Number of frames that are Wiener-filtered at a time (``wiener_win_len``, openunmix's default)."""

# Buffers of openunmix 1.0, whose networks contained the spectrogram; the released files still contain them.
_OUTSIDE_THE_NETWORK = {"sample_rate", "stft.window", "transform.0.window"}


@attrs.frozen(kw_only=True)
class Recipe:
    """The files of a model, and the settings that the weights do not contain.

    Parameters
    ----------
    files : mapping of str to Path
        Stem → weights.
    described_by : tuple of Path
        Files that contain these settings.
    sample_rate : int
        Hz.
    n_fft, n_hop : int
        Frame length and hop of the spectrograms, samples.
    hidden : mapping of str to int
        Stem → width of the stem's network.
    """

    files: Mapping[str, Path]
    described_by: tuple[Path, ...] = ()
    sample_rate: int = 44_100
    n_fft: int = 4096
    n_hop: int = 1024
    hidden: Mapping[str, int]

    def sha256(self) -> dict[str, str]:
        """Return file name → sha256 of all files."""
        return {path.name: file_sha256(path) for path in (*self.files.values(), *self.described_by)}


# ------------------------------------------------------------------------------------------------------------- find
def find(model: str, folder: Path | None) -> Recipe:
    """Return the files of a model.

    Parameters
    ----------
    model : str
        A key of :data:`~mashkit_openunmix.files.OFFICIAL`.
    folder : Path, optional
        Folder with the official files of ``model``; or, if it has a ``separator.json``, with a model that openunmix's
        training saved: ``<stem>.json`` and ``<stem>.pth`` (or ``<stem>-checksum.pth``). By default the folder of
        `mashkit models` is searched, then torch.hub's cache, which openunmix uses.

    Raises
    ------
    ComponentUnavailable
        If a file is missing, or a .json lacks a required entry.
    """
    if folder is not None and not folder.is_dir():
        raise ComponentUnavailable(
            f"{folder}: no such folder, for the weights of Open-Unmix", "check the option folder"
        )
    if folder is not None and (folder / "separator.json").is_file():
        return _described(folder)
    places = (
        [folder] if folder is not None else [models_folder() / "openunmix", Path(torch.hub.get_dir()) / "checkpoints"]
    )
    files = {}
    for target, name in OFFICIAL[model].items():
        files[target] = next((place / name for place in places if (place / name).is_file()), places[0] / name)
    missing = [path.name for path in files.values() if not path.is_file()]
    if missing:
        raise ComponentUnavailable(
            f"the weights of Open-Unmix {model} are not here: looked for {', '.join(missing)} in "
            f"{' and in '.join(map(str, places))}; mashkit downloads nothing by itself",
            f"mashkit models pull {' '.join(f'openunmix/{name}' for name in missing)}, or give a folder that holds "
            "them as option folder"
            if folder is None
            else "put the files there, or a model of your own with its separator.json",
        )
    return Recipe(files=files, hidden=dict.fromkeys(TARGETS, _HIDDEN[model]))


def _described(folder: Path) -> Recipe:
    common = _read_json(folder / "separator.json", "sample_rate", "nfft", "nhop", "nb_channels")
    hidden = {}
    for target in TARGETS:
        path = folder / f"{target}.json"
        about = _read_json(path, "args")["args"]
        hidden[target] = _integers(path, about, "nfft", "nb_channels", "hidden_size")["hidden_size"]
        if (about["nfft"], about["nb_channels"]) != (common["nfft"], 2):
            raise ComponentUnavailable(
                f"{path}: the network is for nfft {about['nfft']} and {about['nb_channels']} channels, "
                f"not {common['nfft']} and 2",
                "use networks of one spectrogram, in stereo",
            )
    numbers = _integers(folder / "separator.json", common, "sample_rate", "nfft", "nhop")
    return Recipe(
        files={target: _weights_file(folder, target) for target in TARGETS},
        described_by=tuple(folder / f"{name}.json" for name in ("separator", *TARGETS)),
        sample_rate=numbers["sample_rate"],
        n_fft=numbers["nfft"],
        n_hop=numbers["nhop"],
        hidden=hidden,
    )


def _read_json(path: Path, *keys: str) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ComponentUnavailable(f"{path}: cannot be read: {error}", "openunmix's training writes it") from error
    missing = [key for key in keys if not isinstance(data, dict) or key not in data]
    if missing:
        raise ComponentUnavailable(f"{path}: has no {', '.join(missing)}", "openunmix's training writes it")
    return dict(data)


def _integers(path: Path, data: Any, *keys: str) -> dict[str, int]:
    numbers = {key: data.get(key) if isinstance(data, dict) else None for key in keys}
    for key, value in numbers.items():
        # Floats are accepted, because openunmix writes rates as floats: 44100.0.
        if not isinstance(value, int | float) or value < 1 or value != int(value):
            raise ComponentUnavailable(f"{path}: {key} is {value!r}", "give a positive whole number")
    return {key: int(value) for key, value in numbers.items() if value is not None}


def _weights_file(folder: Path, target: str) -> Path:
    found = sorted({*folder.glob(f"{target}.pth"), *folder.glob(f"{target}-*.pth")})
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or f"neither {target}.pth nor {target}-*.pth"
        raise ComponentUnavailable(
            f"{folder}: {names} for the stem {target}", "leave one file a stem there" if found else "put it there"
        )
    return found[0]


# ------------------------------------------------------------------------------------------------------------- read
def load(recipe: Recipe, *, iterations: int, residual: bool) -> Any:
    """Return openunmix's separator with the weights of ``recipe``, on the CPU.

    Raises
    ------
    ComponentUnavailable
        If a file differs from its name's checksum, holds more than tensors, or not the tensors of its network.
    """
    # A forked generator, because the networks draw initial weights, and the caller's generator must not change.
    with torch.random.fork_rng(devices=[]):
        networks = {target: _network(recipe, target) for target in recipe.files}
        separator = Separator(
            target_models=networks,
            niter=iterations,
            residual=residual,
            sample_rate=float(recipe.sample_rate),
            n_fft=recipe.n_fft,
            n_hop=recipe.n_hop,
            nb_channels=2,
            wiener_win_len=WIENER_FRAMES,
        )
    return separator.eval().requires_grad_(False)


def _network(recipe: Recipe, target: str) -> Any:
    path = recipe.files[target]
    state = {key: value for key, value in _read(path).items() if key not in _OUTSIDE_THE_NETWORK}
    # Only the file contains the number of frequency bins that the network uses.
    heard = state.get("input_mean", torch.empty(0))
    bins = recipe.n_fft // 2 + 1
    network = OpenUnmix(
        nb_bins=bins,
        nb_channels=2,
        hidden_size=recipe.hidden[target],
        max_bin=heard.shape[0] if heard.ndim == 1 and 0 < heard.shape[0] <= bins else None,
    )
    try:
        network.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise ComponentUnavailable(
            f"{path}: does not hold the weights of an Open-Unmix network of width {recipe.hidden[target]}: {error}",
            "use the original file" if recipe.described_by else "fetch it again",
        ) from error
    return network


def _read(path: Path) -> dict[str, Tensor]:
    fix = "fetch it again, or save only the network's state_dict: torch.save(network.state_dict(), path)"
    state = read_pickled(path, sha256=path.stem.partition("-")[2], fix=fix)
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ComponentUnavailable(f"{path}: is not a state_dict", fix)
    return dict(state)
