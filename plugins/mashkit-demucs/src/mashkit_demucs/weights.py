"""Demucs checkpoints: found on this machine, verified, and read without running code in them.

demucs's own loader downloads missing files, unpickles without restriction, and builds any class that a file names. This
module does none of these.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import attrs
import torch
import yaml  # type: ignore[import-untyped]
from demucs.apply import BagOfModels
from demucs.demucs import Demucs
from demucs.hdemucs import HDemucs
from demucs.hf import DEFAULT_NAMESPACE, hf_repo_name, load_safetensors_model
from demucs.htdemucs import HTDemucs
from demucs.pretrained import REMOTE_ROOT
from demucs.states import load_model
from demucs.transformer import create_sin_embedding
from huggingface_hub import try_to_load_from_cache
from safetensors import SafetensorError, safe_open

from mashkit.errors import ComponentUnavailable
from mashkit.models import file_sha256, models_folder
from mashkit.networks.checkpoints import read_pickled
from mashkit.paths import path_text
from mashkit_demucs.files import FILES

ARCHITECTURES: dict[str, type[Any]] = {
    f"{one.__module__}.{one.__qualname__}": one for one in (Demucs, HDemucs, HTDemucs)
}
"""Classes that a checkpoint may name: import path → class."""


LEAST_SEGMENT_S = 0.01
"""Shortest segment, seconds (ours)."""

_OFFICIAL = {name.partition("-")[0]: name for _, names in FILES.values() for name in names}


@attrs.frozen
class Recipe:
    """The files of a model, and how they share the work.

    Parameters
    ----------
    files : tuple of Path
        One checkpoint each: .safetensors, or .th (a pickle).
    weights : sequence of sequence of float, optional
        Weight of each model in each source; by default all are equal.
    segment : float, optional
        Segment length in seconds, :data:`LEAST_SEGMENT_S` or more, in place of the models' own.
    bag : Path, optional
        The .yaml that defines the bag, unless it is demucs's own.
    """

    files: tuple[Path, ...]
    weights: Sequence[Sequence[float]] | None = None
    segment: float | None = None
    bag: Path | None = None

    def sha256(self) -> dict[str, str]:
        """Return file name → sha256 of all files."""
        bag = {} if self.bag is None else {self.bag.name: file_sha256(self.bag)}
        return self.sha256_of_checkpoints() | bag

    def sha256_of_checkpoints(self) -> dict[str, str]:
        """Return file name → sha256 of the files of weights."""
        return {path.name: file_sha256(path) for path in self.files}


# ------------------------------------------------------------------------------------------------------------- find
def find(model: str, folder: Path | None) -> Recipe:
    """Return the files of ``model``.

    Parameters
    ----------
    model : str
        A key of :data:`~mashkit_demucs.files.FILES`; with a folder also the name of a .yaml (a bag) or of a checkpoint
        in it.
    folder : Path, optional
        Folder to search for ``signature.safetensors``, ``signature-checksum.th`` or ``signature.th``, and
        ``model.yaml``. By default the folder of `mashkit models` is searched, then the caches of the Hugging Face hub
        and of torch.hub, which demucs uses.

    Raises
    ------
    ComponentUnavailable
        If a file is missing or the bag cannot be read.
    """
    if folder is not None and not folder.is_dir():
        raise ComponentUnavailable(f"{folder}: no such folder, for the weights of {model}", "check the option folder")
    local = None if folder is None or not (folder / f"{model}.yaml").is_file() else folder / f"{model}.yaml"
    if local is not None:
        bag = _read_bag(local)
    elif model in FILES:
        bag = _read_bag(REMOTE_ROOT / f"{model}.yaml")
    else:
        bag = {"models": [model]}
    found = {signature: _find_checkpoint(model, signature, folder) for signature in bag["models"]}
    missing = [_file_names(signature) for signature, path in found.items() if path is None]
    if missing:
        raise ComponentUnavailable(
            f"the weights of demucs model {model!r} are not here: looked for {'; '.join(missing)} in "
            f"{folder or _caches(model)}; mashkit downloads nothing by itself",
            f"mashkit models pull {' '.join(f'demucs/{_OFFICIAL[signature]}' for signature in bag['models'])}, or give "
            "a folder that holds them as option folder"
            if folder is None
            else "put the files there, or check the options model and folder",
        )
    # A bag may name a model twice, with a row of weights each.
    files = tuple(path for signature in bag["models"] if (path := found[signature]) is not None)
    return Recipe(files, bag.get("weights"), bag.get("segment"), local)


def _read_bag(path: Path) -> Mapping[str, Any]:
    try:
        bag = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ComponentUnavailable(f"{path}: cannot be read as a bag of models: {error}", "write it again") from error
    models = bag.get("models") if isinstance(bag, dict) else None
    if not isinstance(models, list) or not models or not all(isinstance(name, str) for name in models):
        raise ComponentUnavailable(f"{path}: names no models", 'write e.g. `models: ["955717e8"]`')
    weights, segment = bag.get("weights"), bag.get("segment")
    if weights is not None and not _is_table(weights, len(models)):
        raise ComponentUnavailable(
            f"{path}: weights are {weights!r}",
            f"write {len(models)} rows, one for each model, each of a number for each source; or leave weights out",
        )
    if segment is not None and not (_is_number(segment) and segment >= LEAST_SEGMENT_S):
        raise ComponentUnavailable(
            f"{path}: segment is {segment!r}", f"write seconds, {LEAST_SEGMENT_S:g} or more, or leave segment out"
        )
    return dict(bag)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_table(value: object, rows: int) -> bool:
    """Return whether a value is a list of so many lists of numbers."""
    return (
        isinstance(value, list)
        and len(value) == rows
        and all(isinstance(row, list) and all(map(_is_number, row)) for row in value)
    )


def _file_names(signature: str) -> str:
    return f"{signature}.safetensors or {_OFFICIAL.get(signature, f'{signature}.th')}"


def _caches(model: str) -> str:
    hub = f"the Hugging Face cache of {DEFAULT_NAMESPACE}/{hf_repo_name(model)}"
    return f"{_models()}, in {hub} and in {_torch_hub()}"


def _models() -> Path:
    return models_folder() / "demucs"


def _torch_hub() -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints"


def _find_checkpoint(model: str, signature: str, folder: Path | None) -> Path | None:
    if folder is None:
        candidates = [_models() / _OFFICIAL[signature]]
        cached = try_to_load_from_cache(f"{DEFAULT_NAMESPACE}/{hf_repo_name(model)}", f"{signature}.safetensors")
        candidates += [Path(cached)] if isinstance(cached, str) else []
        candidates.append(_torch_hub() / _OFFICIAL[signature])
    else:
        candidates = [folder / f"{signature}.safetensors"]
        candidates += sorted(path for path in folder.glob("*.th") if path.stem.rpartition("-")[0] == signature)
        candidates.append(folder / f"{signature}.th")
    return next((path for path in candidates if path.is_file()), None)


# ------------------------------------------------------------------------------------------------------------- read
def load(recipe: Recipe, trusted_sha256: Collection[str] = ()) -> BagOfModels:
    """Return the models of ``recipe`` on the CPU, in evaluation mode.

    Parameters
    ----------
    recipe : Recipe
    trusted_sha256 : collection of str
        Hashes of the .th files that may be unpickled without restriction.

    Raises
    ------
    ComponentUnavailable
        If a file differs from its name's checksum, needs code to be run, or lacks the weights of its architecture, or
        if the models do not belong together.
    """
    # A forked generator, because the models draw initial weights, and the caller's generator must not change.
    with torch.random.fork_rng(devices=[]):
        models = [_load_model(path, trusted_sha256) for path in recipe.files]
    names = path_text(recipe.bag) if recipe.bag else ", ".join(path.name for path in recipe.files)
    _check_alike(names, models, recipe.weights)
    bag = BagOfModels(models, recipe.weights, recipe.segment)  # type: ignore[arg-type]
    unheard = [name for k, name in enumerate(bag.sources) if sum(weights[k] for weights in bag.weights) <= 0]
    if unheard or bag.audio_channels != 2:
        fault = f"no model is for {unheard[0]}" if unheard else f"the models take {bag.audio_channels} channels, not 2"
        raise ComponentUnavailable(f"{names}: {fault}", "use another model")
    return bag.eval().requires_grad_(False)


def _check_alike(names: str, models: Sequence[Any], weights: Sequence[Sequence[float]] | None) -> None:
    """Refuse what a bag cannot be made of: models that differ, or rows of weights of another length."""
    for name, about in (("sources", "sources"), ("samplerate", "sample rates"), ("audio_channels", "channels")):
        first, *others = (getattr(model, name) for model in models)
        for other in others:
            if other != first:
                raise ComponentUnavailable(f"{names}: models of different {about}, {first} and {other}", "use others")
    sources = models[0].sources
    for row in weights or ():
        if len(row) != len(sources):
            raise ComponentUnavailable(
                f"{names}: weights {list(row)} are for {len(row)} sources",
                f"write one for each of {', '.join(sources)}",
            )


def _load_model(path: Path, trusted_sha256: Collection[str]) -> Any:
    package = _check_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path, trusted_sha256)
    if package["state"].get("__quantized") and find_spec("diffq") is None:
        raise ComponentUnavailable(f"{path.name} is quantized, and diffq is not installed", "pip install diffq")
    try:
        model: Any = load_safetensors_model(path) if path.suffix == ".safetensors" else load_model(package)  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        klass = package["klass"].__name__
        raise ComponentUnavailable(
            f"{path}: does not hold the weights of the {klass} it describes: {error}", "use the original file"
        ) from error
    _embed_without_chance(model)
    return model


def _embed_without_chance(model: Any) -> None:
    """Fix a transformer's position embeddings, which demucs shifts by a global random number (0 in its own models)."""
    transformer = getattr(model, "crosstransformer", None)
    if transformer is not None and transformer.emb == "sin":
        period = transformer.max_period
        transformer._get_pos_embedding = lambda length, batch, width, device: create_sin_embedding(
            length, width, device=device, max_period=period
        )


def _check_safetensors(path: Path) -> dict[str, Any]:
    """Return the facts in a .safetensors file's header, after a check that demucs may safely use them."""
    try:
        with safe_open(str(path), framework="pt") as file:
            about = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise ComponentUnavailable(f"{path}: cannot be read: {error}", "fetch or export it again") from error
    klass = _architecture(path, about.get("klass"))
    if not {"args", "kwargs"} <= about.keys():
        raise _no_checkpoint(path)
    structure = json.loads(about.get("structure", "{}"))
    # Checked, because quantized states name classes that demucs would import and call.
    for named in _named_classes(structure):
        if named not in ARCHITECTURES and not named.startswith("diffq."):
            raise ComponentUnavailable(f"{path}: names {named}, which does not belong to a model", "use another file")
    return {"klass": klass, "state": {"__quantized": bool(structure)}}


def _named_classes(node: Any) -> set[str]:
    if isinstance(node, dict):
        own = {node["_class"]} if isinstance(node.get("_class"), str) else set()
        return own.union(*map(_named_classes, node.values()))
    return set().union(*map(_named_classes, node)) if isinstance(node, list) else set()


def _read_pickle(path: Path, trusted_sha256: Collection[str]) -> dict[str, Any]:
    checksum = path.stem.rpartition("-")[2] if "-" in path.stem else ""
    classes = [*ARCHITECTURES.values(), Fraction]
    package = read_pickled(path, sha256=checksum, classes=classes, trusted=trusted_sha256)
    if not isinstance(package, dict) or not {"klass", "args", "kwargs", "state"} <= package.keys():
        raise _no_checkpoint(path)
    klass = package["klass"]
    _architecture(path, f"{klass.__module__}.{klass.__qualname__}" if isinstance(klass, type) else None)
    return dict(package)


def _architecture(path: Path, name: str | None) -> type[Any]:
    if name is None:
        raise _no_checkpoint(path)
    if name not in ARCHITECTURES:
        raise ComponentUnavailable(
            f"{path}: is of the class {name}, which is not a model of demucs", f"use one of {', '.join(ARCHITECTURES)}"
        )
    return ARCHITECTURES[name]


def _no_checkpoint(path: Path) -> ComponentUnavailable:
    return ComponentUnavailable(f"{path}: is not a checkpoint of demucs", "use a file that demucs wrote")
