"""Weights are found where they are, are what their names say, fit their network, and nothing in them can run."""

import hashlib
import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch

from mashkit.errors import ComponentUnavailable
from mashkit.registry import Registry
from mashkit.testing import signals
from mashkit_openunmix import weights
from mashkit_openunmix.files import OFFICIAL, RECORDS
from mashkit_openunmix.library import OpenUnmix
from mashkit_openunmix.separator import OpenUnmixSeparator


def create(**options: Any) -> OpenUnmixSeparator:
    return cast(OpenUnmixSeparator, Registry().create("separator", "openunmix", options))


def refused(**options: Any) -> ComponentUnavailable:
    """Return why a separator does not come to be, or does not separate."""
    with pytest.raises(ComponentUnavailable) as raised:
        create(**options).separate(signals.noise(0.1))
    assert raised.value.fix
    return raised.value


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """torch.hub's cache, empty, as mashkit's folder is."""
    monkeypatch.setenv("MASHKIT_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    checkpoints = tmp_path / "torch" / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True)
    return checkpoints


@pytest.fixture
def mine(untrained: Path, tmp_path: Path) -> Path:
    """A copy of a model, to spoil."""
    return Path(shutil.copytree(untrained, tmp_path / "mine"))


class Touch:
    """Its pickle writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str, str]]:
        return open, (str(self.path), "w")


# ------------------------------------------------------------------------------------------------------------- find
@pytest.mark.parametrize("model", OFFICIAL)
def test_missing_weights_are_named(cache: Path, tmp_path: Path, model: str) -> None:
    error = refused(model=model)
    assert all(name in error.problem for name in OFFICIAL[model].values())
    assert str(cache) in error.problem
    assert str(tmp_path / "models" / "openunmix") in error.problem
    assert all(f"openunmix/{name}" in str(error.fix) for name in OFFICIAL[model].values())
    assert "option folder" in str(error.fix)


def test_the_official_names_are_those_of_openunmix() -> None:
    spec = importlib.util.find_spec("openunmix")
    assert spec is not None
    assert spec.origin is not None
    source = Path(spec.origin).read_text()
    for model, files in OFFICIAL.items():
        own = source.partition(f"def {model}_spec(")[2].partition("\ndef ")[0]
        assert all(f'"{target}": "https' in own and f"/{name}" in own for target, name in files.items()), model
        assert f"hidden_size={weights._HIDDEN[model]}" in own
        assert f"records/{RECORDS[model]}/files/" in own


def test_the_released_files_are_registered() -> None:
    registered = {one.name: one for one in Registry().weights() if one.component == "separator openunmix"}
    assert set(registered) == {f"openunmix/{name}" for files in OFFICIAL.values() for name in files.values()}
    first = registered["openunmix/vocals-bccbd9aa.pth"]
    assert (first.model, first.sha256, first.licence) == ("umxl", "bccbd9aa", "CC-BY-NC-SA-4.0")
    assert first.url == "https://zenodo.org/records/5069601/files/vocals-bccbd9aa.pth"


@pytest.mark.parametrize("place", ["torch/hub/checkpoints", "models/openunmix", "folder"])
@pytest.mark.usefixtures("cache")
def test_official_weights_are_used_and_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    # Of the size and with the keys of the released files; only the numbers, and so the checksums, are others.
    where = tmp_path / place
    where.mkdir(parents=True, exist_ok=True)
    names = {}
    for target in weights.TARGETS:
        state = OpenUnmix(nb_bins=2049, nb_channels=2, hidden_size=512, max_bin=1487).state_dict()
        extra = {"sample_rate": torch.tensor(44100.0), "stft.window": torch.hann_window(4096)}
        torch.save({**state, **extra, "transform.0.window": torch.hann_window(4096)}, where / "new.pth")
        names[target] = f"{target}-{hashlib.sha256((where / 'new.pth').read_bytes()).hexdigest()[:8]}.pth"
        (where / "new.pth").rename(where / names[target])
    monkeypatch.setitem(OFFICIAL, "umxhq", names)
    options = {"model": "umxhq", "folder": where if place == "folder" else None}
    mix = signals.noise(0.5)
    separator = create(**options)
    np.testing.assert_allclose(signals.mix(separator.separate(mix)).samples, mix.samples, atol=1e-3)
    assert set(separator.weights()) == set(names.values())
    assert separator.described()["weights_license"] == "MIT"
    spoilt = where / names["bass"]
    spoilt.write_bytes(spoilt.read_bytes() + b"\0")
    assert f"not {names['bass'][5:13]}" in refused(**options).problem


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert str(tmp_path / "no") in refused(folder=tmp_path / "no").problem


def test_a_folder_without_the_weights(tmp_path: Path) -> None:
    assert str(tmp_path) in refused(folder=tmp_path).problem


@pytest.mark.parametrize("name", ["bass.pth", "bass.json"])
def test_a_file_that_is_missing_is_named(mine: Path, name: str) -> None:
    (mine / name).unlink()
    assert name in refused(folder=mine).problem


def test_two_files_for_one_stem(mine: Path) -> None:
    shutil.copy(mine / "bass.pth", mine / "bass-00000000.pth")
    assert "bass-00000000.pth, bass.pth" in refused(folder=mine).problem


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("separator.json", "{", "cannot be read"),
        ("separator.json", '{"sample_rate": 44100}', "nfft, nhop, nb_channels"),
        ("separator.json", '{"sample_rate": 0, "nfft": 1024, "nhop": 256, "nb_channels": 2}', "sample_rate is 0"),
        ("drums.json", "[]", "args"),
        ("drums.json", '{"args": {"nfft": 1024, "nb_channels": 2}}', "hidden_size is None"),
        ("drums.json", '{"args": {"nfft": 2048, "nb_channels": 2, "hidden_size": 16}}', "nfft 2048 and 2 channels"),
        ("drums.json", '{"args": {"nfft": 1024, "nb_channels": 1, "hidden_size": 16}}', "nfft 1024 and 1 channels"),
    ],
)
def test_a_description_that_is_none(mine: Path, name: str, text: str, fault: str) -> None:
    (mine / name).write_text(text)
    error = refused(folder=mine)
    assert name in error.problem
    assert fault in error.problem


# ------------------------------------------------------------------------------------------------------------- read
@pytest.mark.parametrize("fault", ["missing", "unexpected", "shape", "no input_mean", "another width"])
def test_keys_that_do_not_match_are_refused(mine: Path, fault: str) -> None:
    # openunmix's own loader takes all of these without a word but for the shapes.
    state = torch.load(mine / "vocals.pth", weights_only=True)
    key = "fc1.weight"
    if fault == "missing":
        del state[key]
    elif fault == "unexpected":
        key = "fc4.weight"
        state[key] = torch.zeros(3)
    elif fault == "shape":
        state[key] = torch.zeros(3)
    elif fault == "no input_mean":
        key = "input_mean"
        del state[key]
    else:
        about = json.loads((mine / "vocals.json").read_text())
        about["args"]["hidden_size"] = 32
        (mine / "vocals.json").write_text(json.dumps(about))
    torch.save(state, mine / "vocals.pth")
    error = refused(folder=mine)
    assert str(mine / "vocals.pth") in error.problem
    assert key in error.problem


def test_a_pickle_that_runs_code_is_refused_and_does_not_run(mine: Path) -> None:
    state = torch.load(mine / "vocals.pth", weights_only=True)
    torch.save({**state, "more": Touch(mine / "ran")}, mine / "vocals.pth")
    assert "vocals.pth" in refused(folder=mine).problem
    assert not (mine / "ran").exists()


@pytest.mark.parametrize("content", [b"", b"not at all"])
def test_what_is_no_checkpoint(mine: Path, content: bytes) -> None:
    (mine / "vocals.pth").write_bytes(content)
    assert "vocals.pth: is damaged" in refused(folder=mine).problem


def test_what_is_no_state(mine: Path) -> None:
    torch.save([1, 2], mine / "vocals.pth")
    assert "not a state_dict" in refused(folder=mine).problem


def test_other_weights_are_another_fingerprint(mine: Path) -> None:
    before = create(folder=mine).fingerprint()
    shutil.copy(mine / "bass.pth", mine / "drums.pth")
    assert create(folder=mine).fingerprint() != before


@pytest.mark.parametrize("model", ["umxl", "umx"])
def test_the_licence_of_a_model_of_ones_own_is_unknown(mine: Path, model: str) -> None:
    assert create(folder=mine, model=model).described()["weights_license"] == "unknown"


# ------------------------------------------------------------------------------------------------------- torchaudio
@pytest.mark.parametrize("loads", [False, True])
def test_torchaudio_is_not_needed_and_left_as_it_was(tmp_path: Path, *, loads: bool) -> None:
    # A torchaudio of its own for either case: what is installed may load or not.
    (tmp_path / "torchaudio.py").write_text("" if loads else "raise OSError('libcudart.so.13: cannot open')")
    program = (
        "import sys; from mashkit_openunmix import library; "
        f"assert ('torchaudio' in sys.modules) == {loads}; "
        "assert library.OpenUnmix.__module__ == 'openunmix.model'"
    )
    path = {"PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, env=path)
