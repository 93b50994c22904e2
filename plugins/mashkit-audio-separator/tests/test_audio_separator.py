"""Models are found and described without the backend; with it, small untrained ones are separated as it does itself.

What needs audio-separator runs only where it is installed (it is not in this project's own environment).
"""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from mashkit.errors import ComponentUnavailable, OptionError
from mashkit.licences import fits
from mashkit.registry import Registry
from mashkit.testing import SeparatorContract, signals
from mashkit.types import Audio
from mashkit_audio_separator import SEPARATOR, separator
from mashkit_audio_separator.files import Model
from mashkit_audio_separator.separator import AudioSeparator

# The backend's own: deprecated names of torch, a spectrum without a window while a RoFormer is made.
pytestmark = pytest.mark.filterwarnings(
    "ignore::FutureWarning",
    "ignore::DeprecationWarning",
    "ignore:A window was not provided",
    "ignore:stft with return_complex=False",
)
backend = pytest.mark.skipif(
    importlib.util.find_spec("audio_separator") is None, reason="audio-separator is not installed here"
)

ROFORMER: dict[str, Any] = {
    "audio": {"chunk_size": 44_100, "dim_t": 101, "hop_length": 441, "n_fft": 1024, "num_channels": 2,
              "sample_rate": 44_100, "min_mean_abs": 0.0},
    "model": {"dim": 16, "depth": 1, "stereo": True, "num_stems": 1, "time_transformer_depth": 1,
              "freq_transformer_depth": 1, "linear_transformer_depth": 0, "freqs_per_bands": (64, 128, 321),
              "dim_head": 8, "heads": 2, "attn_dropout": 0.0, "ff_dropout": 0.0, "flash_attn": True,
              "dim_freqs_in": 513, "stft_n_fft": 1024, "stft_hop_length": 441, "stft_win_length": 1024,
              "stft_normalized": False, "mask_estimator_depth": 1},
    "training": {"instruments": ["vocals", "other"], "target_instrument": "vocals", "use_amp": False},
    "inference": {"batch_size": 1, "dim_t": 101, "num_overlap": 2},
}  # fmt: skip
"""A band-split RoFormer, in the words of the released configurations, but small."""
MDX23C: dict[str, Any] = {
    "audio": {"chunk_size": 30_720, "dim_f": 256, "dim_t": 32, "hop_length": 256, "n_fft": 1024, "num_channels": 2,
              "sample_rate": 44_100, "min_mean_abs": 0.0},
    "model": {"act": "gelu", "bottleneck_factor": 2, "growth": 8, "norm": "InstanceNorm", "num_blocks_per_scale": 1,
              "num_channels": 8, "num_scales": 2, "num_subbands": 4, "scale": [2, 2]},
    "training": {"instruments": ["Vocals", "Drums", "Bass", "Other"], "target_instrument": None},
    "inference": {"batch_size": 1, "dim_t": 32, "num_overlap": 2},
}  # fmt: skip


class _Dumper(yaml.SafeDumper):
    pass


_Dumper.add_representer(tuple, lambda dumper, value: dumper.represent_sequence("tag:yaml.org,2002:python/tuple", value))


def write(folder: Path, name: str, settings: dict[str, Any], **training: Any) -> Path:
    """Write a configuration, and a checkpoint that holds nothing; return the checkpoint's path."""
    content = {**settings, "training": {**settings["training"], **training}}
    (folder / f"{name}.yaml").write_text(yaml.dump(content, Dumper=_Dumper))
    (folder / f"{name}.ckpt").write_bytes(b"nothing")
    return folder / f"{name}.ckpt"


# ------------------------------------------------------------------------------------------------ without the backend
def test_what_a_configuration_says(tmp_path: Path) -> None:
    single = Model.of(write(tmp_path, "single", ROFORMER), None)
    assert single.settings["model"]["freqs_per_bands"] == (64, 128, 321)
    assert (single.chunk, single.sample_rate) == (44_100, 44_100)
    assert set(single.hashes()) == {"single.ckpt", "single.yaml"}
    four = AudioSeparator(model=write(tmp_path, "four", MDX23C))
    assert four.info.provides == {"vocals", "drums", "bass", "other"}
    alone = AudioSeparator(model=write(tmp_path, "alone", ROFORMER, instruments=["vocals"]))
    assert alone.info.provides == {"vocals", "other"}
    backing = AudioSeparator(model=write(tmp_path, "backing", ROFORMER, instruments=["Vocals", "Instrumental"]))
    assert backing.info.provides == {"vocals", "other"}


@pytest.mark.parametrize(
    ("instruments", "target", "provides"),
    [
        (["vocals", "drums", "bass", "other"], "vocals", {"vocals", "other"}),
        (["drums", "bass", "other", "vocals"], "vocals", {"vocals", "other"}),
        (["Vocals", "Instrumental"], "Instrumental", {"vocals", "other"}),
        (["vocals", "drums", "bass", "other"], "other", {"other"}),
        (["other"], "other", {"other"}),
    ],
)
def test_a_target_is_the_one_stem_and_the_rest_has_a_name_where_there_is_one(
    tmp_path: Path, instruments: list[str], target: str, provides: set[str]
) -> None:
    path = write(tmp_path, "own", ROFORMER, instruments=instruments, target_instrument=target)
    assert AudioSeparator(model=path).info.provides == provides


@pytest.mark.parametrize(
    ("section", "entry", "value", "said"),
    [
        ("inference", "dim_t", None, "inference.dim_t is None"),
        ("inference", "dim_t", ..., "has no inference.dim_t"),
        ("inference", "dim_t", 1, "inference.dim_t is 1"),
        ("audio", "sample_rate", None, "audio.sample_rate is None"),
        ("audio", "sample_rate", "44.1k", "audio.sample_rate is '44.1k'"),
        ("model", "stft_hop_length", -1, "model.stft_hop_length is -1"),
        ("training", "target_instrument", "dry", "stems dry are unknown to mashkit"),
    ],
)
def test_an_entry_that_is_missing_or_wrong_is_named(
    tmp_path: Path, section: str, entry: str, value: Any, said: str
) -> None:
    changed = {name: one for name, one in {**ROFORMER[section], entry: value}.items() if one is not ...}
    with pytest.raises(ComponentUnavailable, match=f"own.yaml: {said}"):
        AudioSeparator(model=write(tmp_path, "own", {**ROFORMER, section: changed}))


def test_no_policy_on_licences_lets_it_in() -> None:
    assert SEPARATOR.weights_license == "unknown"
    assert not fits(SEPARATOR.weights_license, "permissive")


@pytest.mark.parametrize(
    ("training", "said"),
    [
        ({"instruments": ["dry", "other"]}, "stems dry are unknown to mashkit"),
        ({"instruments": ["other", "instrumental"]}, "its stems are"),
        ({"instruments": []}, "not named"),
    ],
)
def test_stems_that_are_none(tmp_path: Path, training: dict[str, Any], said: str) -> None:
    with pytest.raises(ComponentUnavailable, match=said):
        AudioSeparator(model=write(tmp_path, "own", ROFORMER, **training))


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ComponentUnavailable, match="no model is named"):
        AudioSeparator()
    with pytest.raises(ComponentUnavailable, match="no such file"):
        AudioSeparator(model=tmp_path / "own.ckpt")
    path = write(tmp_path, "own", ROFORMER)
    path.with_suffix(".yaml").write_text("!!python/object/apply:os.system ['true']")
    with pytest.raises(ComponentUnavailable, match="cannot be read"):
        AudioSeparator(model=path)
    path.with_suffix(".yaml").write_text("audio: {}")
    with pytest.raises(ComponentUnavailable, match="is not a configuration"):
        AudioSeparator(model=path)


def test_without_its_environment_it_says_what_to_type() -> None:
    available = Registry().find("separator", "audio-separator").availability()
    if not available.ok:
        assert "mashkit env create audio-separator" in available.fix


# --------------------------------------------------------------------------------------------------- with the backend
@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of small untrained models, saved as their training saves them."""
    import torch
    from audio_separator.separator.uvr_lib_v5.roformer.bs_roformer import BSRoformer
    from audio_separator.separator.uvr_lib_v5.tfc_tdf_v3 import TFC_TDF_net
    from ml_collections import ConfigDict

    folder = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    torch.save(BSRoformer(**ROFORMER["model"]).state_dict(), write(folder, "roformer", ROFORMER))
    torch.save(TFC_TDF_net(ConfigDict(MDX23C), device="cpu").state_dict(), write(folder, "mdx23c", MDX23C))
    return folder


def band(seconds: float) -> Audio:
    mix = signals.mix(signals.band(bars=4)[0])
    return mix.excerpt(0, seconds)


@backend
class TestRoFormer(SeparatorContract):
    """An untrained network of one stem: the other is the rest, so the stems sum to the mix."""

    component = "audio-separator"

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _model(cls, models: Path) -> None:
        cls.options = {"model": models / "roformer.ckpt"}


@backend
@pytest.mark.parametrize("model", ["roformer", "mdx23c"])
def test_stems_are_those_of_audio_separator(models: Path, model: str) -> None:
    mix = band(4.0)
    component = AudioSeparator(model=models / f"{model}.ckpt")
    theirs = separator.load(component._files, "cpu", None)
    golden = theirs.demix(mix=mix.samples.copy(), override_model_segment_size=False)
    stems = component._separate(mix).stems
    for name, samples in golden.items():
        np.testing.assert_allclose(stems[component._files.names[name]].samples, samples, atol=1e-5)


@backend
@pytest.mark.parametrize(
    ("instruments", "target"),
    [(["drums", "bass", "other", "vocals"], "vocals"), (["Vocals", "Instrumental"], "vocals")],
)
def test_the_target_is_what_the_network_gives(
    models: Path, tmp_path: Path, instruments: list[str], target: str
) -> None:
    mix = band(4.0)
    path = write(tmp_path, "own", ROFORMER, instruments=instruments, target_instrument=target)
    path.write_bytes((models / "roformer.ckpt").read_bytes())
    due = AudioSeparator(model=models / "roformer.ckpt").separate(mix).stems
    found = AudioSeparator(model=path).separate(mix).stems
    assert set(found) == {"vocals", "other"}
    for name, stem in due.items():
        np.testing.assert_allclose(found[name].samples, stem.samples, atol=1e-6)


@backend
def test_pieces_are_nearly_as_the_whole(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mix = band(7.0)
    component = AudioSeparator(model=models / "roformer.ckpt")
    whole = component.separate(mix).stems["vocals"].samples
    monkeypatch.setattr(separator, "PIECE_S", 4.0)
    monkeypatch.setattr(separator, "OVERLAP_S", 2.0)
    found = component.separate(mix).stems["vocals"].samples
    assert found.shape == whole.shape
    assert np.sqrt(np.mean((found - whole) ** 2)) < 0.1 * np.sqrt(np.mean(whole**2))


@backend
def test_a_checkpoint_of_another_network(models: Path, tmp_path: Path) -> None:
    path = write(tmp_path, "own", {**ROFORMER, "model": {**ROFORMER["model"], "dim": 24}})
    path.write_bytes((models / "roformer.ckpt").read_bytes())
    with pytest.raises(ComponentUnavailable, match="does not hold the weights"):
        AudioSeparator(model=path).separate(band(1.0))


@backend
def test_a_file_that_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(ComponentUnavailable, match="does not hold the weights"):
        AudioSeparator(model=write(tmp_path, "own", MDX23C)).separate(band(1.0))


@backend
def test_nothing_is_printed(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    AudioSeparator(model=models / "roformer.ckpt").separate(band(1.0))
    printed = capsys.readouterr()
    assert printed.out == printed.err == ""


@backend
def test_options_that_make_no_sense(models: Path) -> None:
    with pytest.raises(OptionError):
        Registry().create("separator", "audio-separator", {"model": models / "roformer.ckpt", "overlap": 0})
