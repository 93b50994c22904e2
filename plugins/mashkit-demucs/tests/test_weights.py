"""Weights are found where they are, are what their names say, and nothing in them can run."""

import hashlib
import importlib.util
import json
from collections import Counter
from pathlib import Path
from typing import Any, cast

import huggingface_hub
import numpy as np
import pytest
import torch
from demucs.demucs import Demucs
from demucs.hdemucs import HDemucs

from mashkit.errors import ComponentUnavailable
from mashkit.models import sha256_of
from mashkit.registry import Registry
from mashkit.testing import signals
from mashkit.types import Audio
from mashkit_demucs import weights
from mashkit_demucs.files import FILES
from mashkit_demucs.separator import DemucsSeparator

conftest = importlib.util.spec_from_file_location("demucs_models", Path(__file__).with_name("conftest.py"))
assert conftest is not None
assert conftest.loader is not None
disk = importlib.util.module_from_spec(conftest)
conftest.loader.exec_module(disk)


def create(**options: Any) -> DemucsSeparator:
    return cast(DemucsSeparator, Registry().create("separator", "demucs", options))


def refused(**options: Any) -> ComponentUnavailable:
    """Return why a separator does not come to be, or does not separate."""
    with pytest.raises(ComponentUnavailable) as raised:
        create(**options).separate(signals.noise(0.1))
    assert raised.value.fix
    return raised.value


def assert_share(stem: Audio, share: float, mix: Audio) -> None:
    """Check that ``stem`` is what conftest's model ``shares`` makes of ``mix``; demucs gives each stem its mean."""
    mean = mix.samples.mean()
    np.testing.assert_allclose(stem.samples, share * (mix.samples - mean) + mean, atol=1e-6)


@pytest.fixture
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Empty caches of mashkit, the hub and torch.hub."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("MASHKIT_MODELS", str(tmp_path / "models"))
    checkpoints = tmp_path / "torch" / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True)
    return tmp_path


class Touch:
    """Its pickle writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str, str]]:
        return open, (str(self.path), "w")


# ------------------------------------------------------------------------------------------------------------- find
@pytest.mark.parametrize("model", FILES)
def test_missing_weights_are_named_for_every_model(caches: Path, model: str) -> None:
    error = refused(model=model)
    for name in FILES[model][1]:
        assert f"{name[:8]}.safetensors or {name}" in error.problem
        assert f"demucs/{name}" in str(error.fix)
    assert str(caches / "torch") in error.problem
    assert str(caches / "models" / "demucs") in error.problem
    assert "option folder" in str(error.fix)


def test_the_released_files_are_those_demucs_knows() -> None:
    listed = (weights.REMOTE_ROOT / "files.txt").read_text()
    for model, (folder, names) in FILES.items():
        part = listed.partition(f"root: {folder}/")[2].partition("root:")[0]
        assert set(names) <= set(part.split())
        bag = weights._read_bag(weights.REMOTE_ROOT / f"{model}.yaml")
        assert [name.partition("-")[0] for name in names] == bag["models"]


def test_the_released_files_are_registered() -> None:
    registered = {one.name: one for one in Registry().weights() if one.component == "separator demucs"}
    assert set(registered) == {f"demucs/{name}" for _, names in FILES.values() for name in names}
    first = registered["demucs/955717e8-8726e21a.th"]
    assert (first.model, first.sha256) == ("htdemucs", "8726e21a")
    assert first.url == "https://dl.fbaipublicfiles.com/demucs/hybrid_transformer/955717e8-8726e21a.th"


def test_weights_in_the_hubs_cache_are_used(caches: Path) -> None:
    snapshot = caches / "hub" / "models--adefossez--HTDemucs" / "snapshots" / "c0ffee"
    (snapshot.parents[1] / "refs").mkdir(parents=True)
    (snapshot.parents[1] / "refs" / "main").write_text("c0ffee")
    snapshot.mkdir(parents=True)
    path = disk.save_safetensors(snapshot, "955717e8", disk.sharing_model())
    mix = signals.noise(0.5)
    separator = create()
    assert_share(separator.separate(mix).stems["drums"], 0.4, mix)
    assert separator.weights() == {"955717e8.safetensors": hashlib.sha256(path.read_bytes()).hexdigest()}


@pytest.mark.parametrize("cache", ["torch/hub/checkpoints", "models/demucs"])
def test_weights_in_a_cache_are_used_and_verified(caches: Path, monkeypatch: pytest.MonkeyPatch, cache: str) -> None:
    (caches / cache).mkdir(parents=True, exist_ok=True)
    path = disk.save_th(caches / cache, "955717e8", disk.package(disk.sharing_model()))
    monkeypatch.setitem(weights._OFFICIAL, "955717e8", path.name)
    mix = signals.noise(0.5)
    assert_share(create().separate(mix).stems["bass"], 0.3, mix)
    path.write_bytes(path.read_bytes() + b"\0")
    error = refused()
    assert f"not {path.stem[-8:]}" in error.problem
    assert str(path) in error.problem


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert str(tmp_path / "no") in refused(folder=tmp_path / "no").problem


def test_a_folder_without_the_weights(tmp_path: Path) -> None:
    error = refused(folder=tmp_path, model="mine")
    assert "mine.safetensors or mine.th" in error.problem
    assert str(tmp_path) in error.problem


@pytest.mark.parametrize(
    "text",
    [
        "models: [",
        "[1, 2]",
        "models: []",
        "models: [1]",
        "models: mine",
        "models: [mine]\nweights: abc",
        "models: [mine]\nweights: [1, 1, 1, 1]",
        "models: [mine]\nweights: [[1, 1, 1, 1], [1, 1, 1, 1]]",
        "models: [mine]\nweights: [[1, 1, 1, one]]",
        "models: [mine]\nweights: [[1, 1, 1, .nan]]",
        "models: [mine]\nsegment: long",
        "models: [mine]\nsegment: 0",
        "models: [mine]\nsegment: .inf",
    ],
)
def test_a_bag_that_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(ComponentUnavailable, match=r"mine\.yaml") as raised:
        create(folder=tmp_path, model="mine")
    assert raised.value.fix


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("models: [shares]\nweights: [[1, 1]]", "weights [1, 1] are for 2 sources"),
        ("models: [shares, six]", "different sources"),
        ("models: [shares, slow]", "different sample rates, 44100 and 22050"),
    ],
)
def test_a_bag_that_its_models_do_not_fit(models: Path, tmp_path: Path, text: str, said: str) -> None:
    for path in [*models.glob("shares-*.th"), *models.glob("six-*.th")]:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    disk.save_th(tmp_path, "slow", disk.package(Demucs(disk.SOURCES, channels=8, depth=1, samplerate=22_050)))
    (tmp_path / "mine.yaml").write_text(text)
    problem = refused(folder=tmp_path, model="mine").problem
    assert "mine.yaml" in problem
    assert said in problem


def test_a_bag_may_name_a_model_twice(models: Path, tmp_path: Path) -> None:
    for path in models.glob("shares-*.th"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "mine.yaml").write_text("models: [shares, shares]\nweights: [[1, 0, 1, 1], [1, 1, 1, 0]]\n")
    mix = signals.noise(0.2)
    assert_share(create(folder=tmp_path, model="mine").separate(mix).stems["bass"], 0.3, mix)


# ------------------------------------------------------------------------------------------------------------- read
def test_the_licence_of_a_checkpoint_of_ones_own_is_unknown(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk.save_safetensors(tmp_path, "mine", disk.tiny_models()["waveform"])
    assert create(folder=tmp_path, model="mine").described()["weights_license"] == "unknown"
    name = f"955717e8-{sha256_of(tmp_path / 'mine.safetensors')[:8]}.th"
    monkeypatch.setitem(FILES, "htdemucs", ("hybrid_transformer", (name,)))
    (tmp_path / "bag.yaml").write_text('models: ["mine"]')
    for model in ("mine", "bag"):  # a bag has no weights of its own
        assert create(folder=tmp_path, model=model).described()["weights_license"] == "MIT"


@pytest.mark.parametrize("signature", ["waveform", "lstm", "hybrid", "transformer", "six"])
def test_safetensors_and_pickles_hold_the_same(models: Path, tmp_path: Path, signature: str) -> None:
    disk.save_safetensors(tmp_path, signature, disk.tiny_models()[signature])
    mix = signals.noise(0.5)
    there, here = (create(folder=folder, model=signature).separate(mix).stems for folder in (models, tmp_path))
    for name in here:
        np.testing.assert_array_equal(here[name].samples, there[name].samples)


def test_a_pickle_that_runs_code_is_refused_and_does_not_run(tmp_path: Path) -> None:
    path = disk.save_th(tmp_path, "mine", {**disk.package(disk.sharing_model()), "more": Touch(tmp_path / "ran")})
    error = refused(folder=tmp_path, model="mine")
    assert str(path) in error.problem
    assert hashlib.sha256(path.read_bytes()).hexdigest() in str(error.fix)
    assert not (tmp_path / "ran").exists()


def test_a_pickle_is_trusted_by_its_hash_alone(tmp_path: Path) -> None:
    path = disk.save_th(tmp_path, "mine", {**disk.package(disk.sharing_model()), "training_args": Path("conf")})
    mix = signals.noise(0.2)
    assert "PosixPath" in refused(folder=tmp_path, model="mine", trusted_sha256=["0" * 64]).problem
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    stems = create(folder=tmp_path, model="mine", trusted_sha256=digest).separate(mix).stems
    assert_share(stems["vocals"], 0.1, mix)


def test_a_file_that_is_not_what_its_name_says(tmp_path: Path) -> None:
    path = disk.save_th(tmp_path, "mine", disk.package(disk.sharing_model()))
    path.rename(tmp_path / "mine-00000000.th")
    assert "not 00000000" in refused(folder=tmp_path, model="mine").problem


def test_what_is_no_checkpoint(tmp_path: Path) -> None:
    disk.save_th(tmp_path, "mine", {"state": {}})
    assert "not a checkpoint of demucs" in refused(folder=tmp_path, model="mine").problem
    (tmp_path / "other.safetensors").write_bytes(b"not at all")
    assert "other.safetensors" in refused(folder=tmp_path, model="other").problem


def test_what_is_cut_short(tmp_path: Path) -> None:
    whole = disk.save_th(tmp_path, "whole", disk.package(disk.sharing_model())).read_bytes()
    (tmp_path / "mine.th").write_bytes(whole[: len(whole) // 2])
    assert "mine.th: is damaged" in refused(folder=tmp_path, model="mine").problem
    (tmp_path / "empty.th").touch()
    assert "empty.th: is damaged" in refused(folder=tmp_path, model="empty").problem
    (tmp_path / "third.th").write_bytes(b"not at all")
    assert "Unsupported operand" in refused(folder=tmp_path, model="third").problem


@pytest.mark.parametrize("klass", ["os.system", "demucs.apply.BagOfModels", "torch.nn.modules.linear.Linear"])
def test_a_safetensors_cannot_name_what_is_called(tmp_path: Path, klass: str) -> None:
    disk.save_safetensors(tmp_path, "mine", disk.sharing_model(), klass=klass, args='["touch ran"]', kwargs="{}")
    assert f"class {klass}" in refused(folder=tmp_path, model="mine").problem
    structure = json.dumps({"_dict": [["__quantized", True], ["state", {"_list": [{"_class": klass}]}]]})
    disk.save_safetensors(tmp_path, "mine", disk.sharing_model(), structure=structure)
    assert f"names {klass}" in refused(folder=tmp_path, model="mine").problem


def test_another_class_is_refused_though_its_file_is_trusted(tmp_path: Path) -> None:
    content = {"klass": Counter, "args": (), "kwargs": {}, "state": {}}
    path = disk.save_th(tmp_path, "mine", content)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert "collections.Counter" in refused(folder=tmp_path, model="mine", trusted_sha256=digest).problem


def test_quantized_weights_need_diffq(tmp_path: Path) -> None:
    if importlib.util.find_spec("diffq") is not None:
        pytest.skip("diffq is installed")
    package = disk.package(disk.sharing_model())
    disk.save_th(tmp_path, "mine", {**package, "state": {**package["state"], "__quantized": True}})
    assert "pip install diffq" in str(refused(folder=tmp_path, model="mine").fix)


@pytest.mark.parametrize("fault", ["missing", "unexpected", "shape"])
def test_keys_that_do_not_match_are_refused(tmp_path: Path, fault: str) -> None:
    package = disk.package(disk.sharing_model())
    state = dict(package["state"])
    if fault == "missing":
        del state["encoder.0.0.bias"]
    elif fault == "unexpected":
        state["encoder.0.0.bias2"] = torch.zeros(16)
    else:
        state["encoder.0.0.bias"] = torch.zeros(17)
    disk.save_th(tmp_path, "mine", {**package, "state": state})
    error = refused(folder=tmp_path, model="mine")
    assert "encoder.0.0.bias" in error.problem
    assert "Demucs" in error.problem


def test_a_bag_in_which_nobody_is_for_a_source(models: Path, tmp_path: Path) -> None:
    for path in models.glob("hybrid-*.th"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "mine.yaml").write_text("models: [hybrid]\nweights: [[1, 0, 1, 1]]\n")
    assert "no model is for bass" in refused(folder=tmp_path, model="mine").problem


def test_a_model_of_one_channel(tmp_path: Path) -> None:
    disk.save_th(tmp_path, "mine", disk.package(HDemucs(["vocals", "other"], channels=8, audio_channels=1)))
    assert "1 channels" in refused(folder=tmp_path, model="mine").problem


def test_stems_mashkit_has_no_name_for(tmp_path: Path) -> None:
    disk.save_th(tmp_path, "mine", disk.package(Demucs(["vocals", "kazoo"], channels=8, depth=1, dconv_mode=0)))
    assert "kazoo" in refused(folder=tmp_path, model="mine").problem


def test_other_weights_are_another_fingerprint(models: Path, tmp_path: Path) -> None:
    disk.save_th(tmp_path, "mine", disk.package(disk.sharing_model()))
    before = create(folder=tmp_path, model="mine")
    fingerprint = before.fingerprint()
    next(tmp_path.glob("mine-*.th")).unlink()
    disk.save_th(tmp_path, "mine", disk.package(disk.tiny_models()["waveform"]))
    assert create(folder=tmp_path, model="mine").fingerprint() != fingerprint


def test_another_bag_of_the_same_weights_is_another_fingerprint(models: Path, tmp_path: Path) -> None:
    for path in models.glob("hybrid-*.th"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    fingerprints = set()
    for segment in (1, 2):
        (tmp_path / "mine.yaml").write_text(f"models: [hybrid]\nsegment: {segment}\n")
        fingerprints.add(create(folder=tmp_path, model="mine").fingerprint())
    assert len(fingerprints) == 2


def test_loading_leaves_no_trace(models: Path) -> None:
    allowed, drawn = torch.serialization.get_safe_globals(), torch.get_rng_state()
    weights.load(weights.find("bag", models))
    assert set(torch.serialization.get_safe_globals()) == set(allowed)  # torch lists a set
    assert torch.equal(torch.get_rng_state(), drawn)
