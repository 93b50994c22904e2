"""The analyzer keeps its contract, and computes what beat_this computes, in little memory.

The released weights could not be fetched where this was built: the networks here are small, untrained ones, and one
whose weights are set by hand to find onsets.
"""

import argparse
import importlib
import importlib.util
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import attrs
import librosa
import numpy as np
import pytest
import torch
from beat_this.model.postprocessor import Postprocessor  # type: ignore[import-untyped]

from mashkit.cli.kits import kit_of, policy_on_licences
from mashkit.errors import ComponentUnavailable, OptionError
from mashkit.licences import fits
from mashkit.models import MODELS_VARIABLE, file_sha256
from mashkit.registry import Registry
from mashkit.testing import AnalyzerContract, signals
from mashkit.types import Audio
from mashkit_beat_this import WEIGHTS, weights
from mashkit_beat_this.analyzer import BeatThisAnalyzer
from mashkit_beat_this.spectrogram import FRAME_RATE, SAMPLE_RATE, frame_count, log_mel, mel_filters

conftest = importlib.util.spec_from_file_location("beat_this_models", Path(__file__).with_name("conftest.py"))
assert conftest is not None
assert conftest.loader is not None
made = importlib.util.module_from_spec(conftest)
conftest.loader.exec_module(made)


class TestBeatThis(AnalyzerContract):
    """With the network that finds onsets."""

    component = "beat-this"
    xfail = {  # noqa: RUF012 — the contract reads it, nobody writes it
        "test_downbeats_of_a_band": "the network of the tests takes every loud onset for a downbeat",
    }

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _weights(cls, models: Path) -> None:
        cls.options = {"folder": models, "model": "onsets"}


@pytest.fixture(scope="module")
def theirs() -> Any:
    """beat_this's own inference; a stand-in satisfies its import of torchaudio where that does not load."""
    try:
        importlib.import_module("torchaudio")
    except (ImportError, OSError, RuntimeError):
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchaudio"]:
            del sys.modules[name]
        sys.modules["torchaudio"] = types.ModuleType("torchaudio")
    return importlib.import_module("beat_this.inference")


def sound(seconds: float) -> Audio:
    """A band at the network's sample rate, again and again."""
    mix = signals.mix(signals.band(bars=8, sample_rate=SAMPLE_RATE)[0]).samples
    frames = round(seconds * SAMPLE_RATE)
    return Audio(np.tile(mix, (1, frames // mix.shape[1] + 1))[:, :frames], SAMPLE_RATE)


# ---------------------------------------------------------------------------------------------------- spectrogram
def test_mel_filters_are_slaneys() -> None:
    golden = librosa.filters.mel(sr=22_050, n_fft=1024, n_mels=128, fmin=30, fmax=11_000, htk=False, norm=None)
    np.testing.assert_allclose(mel_filters(), golden.T, atol=2e-6)


def test_spectra_of_parts_are_those_of_the_whole() -> None:
    samples = sound(3.0).samples
    total = frame_count(samples.shape[1])
    spectrum = torch.stft(
        torch.from_numpy(samples.mean(axis=0)), 1024, 441, window=torch.hann_window(1024), pad_mode="reflect",
        normalized=True, return_complex=True,
    ).abs()  # fmt: skip
    golden = torch.log1p(1000 * spectrum.T @ torch.from_numpy(mel_filters()))
    assert len(golden) == total
    parts = [log_mel(samples, first, min(first + 40, total)) for first in range(0, total, 40)]
    torch.testing.assert_close(torch.cat(parts), golden, atol=1e-4, rtol=1e-4)


# -------------------------------------------------------------------------------------------------------- network
@pytest.mark.parametrize("seconds", [2.5, 29.7, 29.8, 31.0, 70.0])
def test_logits_are_those_of_beat_this(models: Path, theirs: Any, seconds: float) -> None:
    samples = sound(seconds).samples
    network = theirs.load_model(str(models / "random.ckpt"))
    with torch.inference_mode():
        golden = theirs.split_predict_aggregate(
            log_mel(samples, 0, frame_count(samples.shape[1])), 1500, 6, "keep_first", network
        )
    beat, downbeat = BeatThisAnalyzer(folder=models, model="random")._logits(samples)
    torch.testing.assert_close(beat, golden["beat"], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(downbeat, golden["downbeat"], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("decoder", ["peaks", "dbn"])
def test_beats_are_those_of_beat_this(models: Path, decoder: str) -> None:
    mix = sound(12.0)
    options: dict[str, Any] = {"folder": models, "model": "onsets", "decoder": decoder}
    analyzer = BeatThisAnalyzer(**options)
    golden = Postprocessor("dbn" if decoder == "dbn" else "minimal")(*analyzer._logits(mix.samples))
    found = analyzer.analyze(mix)
    assert found.beats is not None
    assert found.downbeats is not None
    np.testing.assert_array_equal(found.beats, golden[0])
    np.testing.assert_array_equal(found.downbeats, golden[1])
    assert set(found.confidence) >= {"beats", "downbeats"}
    assert all(0 <= value <= 1 for value in found.confidence.values())


def test_the_bayesian_network_keeps_a_tempo_through_a_rest(models: Path) -> None:
    clicks = signals.click_times(20.0, 120.0)
    audio = signals.click_train(clicks[(clicks < 8) | (clicks > 11)], 20.0)
    longest = {}
    for decoder in ("peaks", "dbn"):
        options: dict[str, Any] = {"folder": models, "model": "onsets", "decoder": decoder}
        beats = BeatThisAnalyzer(**options).analyze(audio).beats
        assert beats is not None
        longest[decoder] = float(np.diff(beats).max())
    assert longest["peaks"] > 3
    assert longest["dbn"] < 0.7


def test_clicks_are_found_where_they_are(models: Path) -> None:
    clicks = signals.click_times(12.0, 97.3)
    found = BeatThisAnalyzer(folder=models, model="onsets").analyze(signals.click_train(clicks, 12.0))
    assert found.beats is not None
    assert len(found.beats) == len(clicks)
    # Half a window before the click its spectrum begins to rise; frames are 20 ms apart.
    assert np.abs(found.beats - clicks).max() < 0.5 * 1024 / SAMPLE_RATE + 1 / FRAME_RATE


def test_listing_the_plugin_does_not_import_torch() -> None:
    code = "import sys; from mashkit.registry import Registry; Registry(); print('torch' in sys.modules)"
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert finished.stdout.strip() == "False"


# -------------------------------------------------------------------------------------------------------- weights
def test_the_licence_of_a_model_of_ones_own_is_unknown(models: Path) -> None:
    assert BeatThisAnalyzer(folder=models, model="onsets").described()["weights_license"] == "unknown"


def test_released_models_are_the_only_ones_without_a_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(ComponentUnavailable, match="mashkit models pull beat-this/final0"):
        BeatThisAnalyzer()
    with pytest.raises(ComponentUnavailable, match="final0, small0"):
        BeatThisAnalyzer(model="final1")
    assert {one.url.rpartition("/")[2] for one in WEIGHTS} == {"final0.ckpt", "small0.ckpt"}


def test_a_released_model_must_have_its_hash(models: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path))
    (tmp_path / "beat-this").mkdir()
    (tmp_path / "beat-this" / "small0.ckpt").write_bytes((models / "random.ckpt").read_bytes())
    with pytest.raises(ComponentUnavailable, match="sha256 is"):
        BeatThisAnalyzer(model="small0").analyze(sound(3.0))


def test_settings_of_the_training_are_passed_over(models: Path) -> None:
    checkpoint = weights.find("random", models)
    network = weights.load(checkpoint)
    for name, value in made.random_network().state_dict().items():
        torch.testing.assert_close(network.state_dict()[name], value)
    assert list(checkpoint.hashes()) == ["random.ckpt"]


def test_loading_leaves_the_random_numbers_alone(models: Path) -> None:
    torch.manual_seed(3)
    due = torch.rand(1)
    torch.manual_seed(3)
    weights.load(weights.find("random", models))
    assert torch.rand(1) == due


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"not a checkpoint", "damaged"),
        ({"state_dict": {}}, "is not a checkpoint of Beat This"),
        ({"state_dict": {}, "hyper_parameters": {"transformer_dim": 8, "head_dim": 8}}, "does not hold the weights"),
        ({"state_dict": {}, "hyper_parameters": {"transformer_dim": "x"}}, "does not hold the weights"),
        ({"state_dict": {}, "hyper_parameters": {}, "code": Path("x")}, "holds more than weights"),
    ],
)
def test_files_that_are_no_checkpoint(tmp_path: Path, content: Any, message: str) -> None:
    path = tmp_path / "own.ckpt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(ComponentUnavailable, match=message) as raised:
        BeatThisAnalyzer(folder=tmp_path, model="own").analyze(sound(3.0))
    assert str(path) in str(raised.value)


def test_weights_of_another_network(tmp_path: Path) -> None:
    made.save(tmp_path / "own.ckpt", made.random_network(), n_layers=2)
    with pytest.raises(ComponentUnavailable, match="does not hold the weights"):
        weights.load(weights.find("own", tmp_path))


@pytest.mark.parametrize(
    "options", [{"decoder": "viterbi"}, {"model": "../final0"}, {"device": "tpu"}, {"modell": "final0"}]
)
def test_options_that_make_no_sense(models: Path, options: dict[str, object]) -> None:
    with pytest.raises(OptionError):
        Registry().create("analyzer", "beat-this", {"folder": models, **options})


def test_the_permissive_preset_takes_it_once_its_weights_are_here(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = argparse.Namespace(preset="permissive", options=[])
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    assert kit_of(arguments).chosen["analyzer"] == "librosa"
    path = tmp_path / weights.KNOWN["final0"].name
    path.parent.mkdir()
    path.write_bytes((models / "onsets.ckpt").read_bytes())
    due = attrs.evolve(weights.KNOWN["final0"], sha256=file_sha256(path))
    monkeypatch.setitem(weights.KNOWN, "final0", due)
    kit = kit_of(arguments)
    assert kit.chosen["analyzer"] == "key:librosa,beats:beat-this"
    assert {"key", "tempo", "beats", "downbeats"} <= kit.analyzer.info.provides
    kept = policy_on_licences(arguments)
    assert all(fits(kit.analyzer.described()[field], kept) for field in ("code_license", "weights_license"))
