"""The separator keeps its contract, computes what demucs computes, and needs little memory."""

import random
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from demucs.api import Separator as Reference
from demucs.apply import apply_model
from demucs.pretrained import get_model

from mashkit.audio import buffers as audiobuffer
from mashkit.bench.musdb18 import TEST, TRAINING
from mashkit.bench.tasks import Input
from mashkit.errors import OptionError
from mashkit.registry import Registry
from mashkit.testing import SeparatorContract, signals
from mashkit.types import Audio, StemSet
from mashkit_demucs.separator import DemucsSeparator

SHARES = {"drums": 0.4, "bass": 0.3, "other": 0.2, "vocals": 0.1}
"""What conftest's model ``shares`` makes of a mix."""


class TestDemucs(SeparatorContract):
    """With weights set by hand, so that the stems sum to the mix exactly if nothing on the way is wrong."""

    component = "demucs"

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _weights(cls, models: Path) -> None:
        cls.options = {"folder": models, "model": "shares"}


def create(models: Path, model: str, **options: Any) -> DemucsSeparator:
    component = Registry().create("separator", "demucs", {"folder": models, "model": model, **options})
    return cast(DemucsSeparator, component)


def band(seconds: float) -> Audio:
    return signals.mix(signals.band(bars=4)[0]).excerpt(0, seconds)


def assert_same(stems: StemSet, reference: dict[str, torch.Tensor], tolerance: float = 1e-5) -> None:
    assert set(stems.stems) == set(reference)
    for name, stem in stems.stems.items():
        truth = reference[name].numpy()
        np.testing.assert_allclose(stem.samples, truth, atol=tolerance * np.abs(truth).max(), err_msg=name)


# --------------------------------------------------------------------------------------------------------- demucs
@pytest.mark.parametrize("model", ["waveform", "lstm", "hybrid", "transformer", "six", "bag"])
@pytest.mark.parametrize("seconds", [0.3, 4.7])
def test_stems_are_those_of_demucs(models: Path, model: str, seconds: float) -> None:
    mix = band(seconds)
    reference = Reference(model, repo=models, shifts=0)  # type: ignore[no-untyped-call]
    _, truth = reference.separate_tensor(torch.from_numpy(mix.samples.copy()))
    component = create(models, model)
    if model == "six":  # a card knows the six stems of htdemucs_6s at once, of another name after loading
        assert component.info.provides == set(SHARES)
    assert_same(component.separate(mix), truth)


@pytest.mark.parametrize(("segment_s", "overlap"), [(0.5, 0.25), (1.0, 0.0), (0.8, 0.6)])
@pytest.mark.parametrize("model", ["waveform", "transformer"])
def test_segments_and_overlap_are_those_of_demucs(models: Path, model: str, segment_s: float, overlap: float) -> None:
    mix = band(3.3)
    reference = Reference(model, repo=models, shifts=0, segment=cast(int, segment_s), overlap=overlap)  # type: ignore[no-untyped-call]
    _, truth = reference.separate_tensor(torch.from_numpy(mix.samples.copy()))
    assert_same(create(models, model, segment_s=segment_s, overlap=overlap).separate(mix), truth)


@pytest.mark.parametrize("model", ["waveform", "pair"])
def test_seeded_shifts_are_those_of_demucs(models: Path, model: str) -> None:
    mix = band(2.0)
    random.seed(5)
    reference = Reference(model, repo=models, shifts=2)  # type: ignore[no-untyped-call]
    _, truth = reference.separate_tensor(torch.from_numpy(mix.samples.copy()))
    stems = create(models, model, shifts=2, seed=5).separate(mix)
    assert_same(stems, truth)
    other = create(models, model, shifts=2, seed=6).separate(mix)
    assert not np.allclose(other.stems["bass"].samples, stems.stems["bass"].samples, rtol=1e-4, atol=0)


@pytest.mark.parametrize("model", ["lstm", "transformer"])
def test_nobody_elses_chance_is_touched(models: Path, model: str) -> None:
    before = random.getstate(), torch.get_rng_state()
    create(models, model, shifts=1).separate(signals.noise(0.5))
    assert random.getstate() == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])


def test_segments_of_a_model_of_short_context_join_to_the_whole(models: Path) -> None:
    # Two layers of kernel 8 and stride 1: a sample hears 14 on either side, of segments of 44,100.
    mix = band(6.0)
    model = get_model("waveform", repo=models)  # type: ignore[no-untyped-call]
    centred = mix.samples - mix.samples.mean()
    scale = centred.mean(axis=0).std(ddof=1)
    whole = apply_model(model, torch.from_numpy(centred / scale)[None], shifts=0, split=False)[0]
    stems = create(models, "waveform").separate(mix).stems
    for name, truth in zip(model.sources, whole.numpy() * scale + mix.samples.mean(), strict=True):
        error = np.sqrt(np.mean((stems[name].samples - truth) ** 2) / np.mean(truth**2))
        assert error < 1e-3, name


def test_six_stems_have_the_names_of_mashkit(models: Path) -> None:
    component = create(models, "htdemucs_6s")
    six = {"vocals", "drums", "bass", "other", "guitar", "piano"}
    assert component.info.provides == six
    assert set(component.separate(signals.noise(0.5)).stems) == six


def test_the_card_is_that_of_what_was_loaded(models: Path, tmp_path: Path) -> None:
    (tmp_path / "htdemucs_6s.yaml").write_text("models: ['hybrid']\n")
    for checkpoint in models.glob("hybrid-*.th"):
        (tmp_path / checkpoint.name).write_bytes(checkpoint.read_bytes())
    component = create(tmp_path, "htdemucs_6s")
    assert set(component.separate(signals.noise(0.5)).stems) == component.info.provides == set(SHARES)


# ------------------------------------------------------------------------------------------------ formats and length
@pytest.mark.parametrize(("channels", "sample_rate"), [(1, 44_100), (2, 44_100), (1, 8_000), (2, 48_000), (1, 96_000)])
@pytest.mark.parametrize("mapped", [False, True])
def test_every_format_gets_its_shares(
    models: Path, monkeypatch: pytest.MonkeyPatch, channels: int, sample_rate: int, *, mapped: bool
) -> None:
    if mapped:
        monkeypatch.setattr(audiobuffer, "IN_MEMORY", 0)
    tone = signals.tone(440.0, 3.0, sample_rate=sample_rate).samples
    mix = Audio(np.concatenate([tone, -0.5 * tone])[:channels], sample_rate)
    before = mix.samples.copy()
    for name, stem in create(models, "shares").separate(mix).stems.items():
        steady = slice(sample_rate // 10, -sample_rate // 10)  # resampling rings where a tone is cut off
        np.testing.assert_allclose(
            stem.samples[:, steady], SHARES[name] * mix.samples[:, steady], atol=1e-3, err_msg=name
        )
    np.testing.assert_array_equal(mix.samples, before)


@pytest.mark.parametrize("model", ["hybrid", "transformer", "lstm"])
@pytest.mark.parametrize("frames", [1, 50, 4_000])
def test_short_sound(models: Path, model: str, frames: int) -> None:
    stems = create(models, model).separate(Audio(signals.noise(1.0).samples[:, :frames], 44_100)).stems
    assert {stem.samples.shape for stem in stems.values()} == {(2, frames)}


def test_the_same_stems_every_time_and_in_every_instance(models: Path) -> None:
    mix = band(2.0)
    one, other = (create(models, "transformer", shifts=1).separate(mix).stems for _ in range(2))
    for name in one:
        np.testing.assert_array_equal(one[name].samples, other[name].samples)


# --------------------------------------------------------------------------------------------------------- options
@pytest.mark.parametrize(
    "options",
    [
        {"device": "gpu"},
        {"device": "cpu:1"},
        {"shifts": -1},
        {"shifts": 0.5},
        {"overlap": 1.0},
        {"overlap": -0.1},
        {"segment_s": 0},
        {"segment_s": float("inf")},
        {"trusted_sha256": "abc"},
        {"model": 3},
    ],
)
def test_senseless_options_are_refused(models: Path, options: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        create(models, **{"model": "shares", **options})


def test_an_unknown_model_is_refused() -> None:
    with pytest.raises(OptionError, match="htdemucs_fit") as raised:
        Registry().create("separator", "demucs", {"model": "htdemucs_fit"})
    assert "htdemucs_ft" in str(raised.value.fix)


def test_a_segment_longer_than_a_transformer_takes_is_refused(models: Path) -> None:
    with pytest.raises(OptionError, match=r"segment_s is 2, but the model was trained on 1.5 s"):
        create(models, "transformer", segment_s=2).separate(signals.noise(0.1))


@pytest.mark.parametrize("device", [f"cuda:{torch.cuda.device_count()}", "mps"])
def test_a_device_that_is_not_there_is_refused(models: Path, device: str) -> None:
    if device == "mps" and torch.backends.mps.is_available():
        pytest.skip("there is one")
    with pytest.raises(OptionError, match=device) as raised:
        create(models, "shares", device=device)
    assert '"cpu"' in str(raised.value.fix)


def test_auto_is_recorded_as_the_device_it_stands_for(models: Path) -> None:
    assert create(models, "shares", device="auto").options()["device"] in ("cuda", "mps", "cpu")


# ---------------------------------------------------------------------------------------------------------- its songs
@pytest.mark.parametrize(
    ("name", "songs"),
    [
        ("955717e8.safetensors", TRAINING), ("75fc33f5-1941ce65.th", TRAINING),
        ("e51eebcc-c1b80bdd.th", TRAINING + TEST), ("464b36d7-e5a9386e.th", TRAINING + TEST), ("mine.th", ()),
    ],
)  # fmt: skip
def test_released_weights_know_songs_of_musdb18(name: str, songs: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / name).touch()  # nothing is loaded: the name of a released file says which it is
    component = create(tmp_path, name.partition("-")[0].partition(".")[0])
    assert component.trained_on() == songs


def test_the_shared_multitracks_that_others_have_too_are_recognised() -> None:
    assert (len(set(TRAINING)), len(set(TEST)), len({*TRAINING, *TEST})) == (100, 50, 150)
    given = Input(name="x", measure="x", songs=("MusicDelta - Hendrix", "Software-Entwicklungskit - Caesium"))
    assert given.songs_among(TRAINING) == ["MusicDelta - Hendrix"]
