"""The separator keeps its contract, its seams leave no mark, and it beats a median filter."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from mashkit.errors import OptionError
from mashkit.interfaces import Separator
from mashkit.registry import Registry
from mashkit.testing import SeparatorContract, signals
from mashkit.types import Audio, Role, Samples
from mashkit_stemnet import SHIPPED, separator
from mashkit_stemnet.checkpoint import CheckpointError, load, save
from mashkit_stemnet.network import Size, StemNet
from mashkit_stemnet.separator import StemNetSeparator


class TestStemNet(SeparatorContract):
    component = "stemnet"


def sdr(truth: Samples, estimate: Samples) -> float:
    """Return 10 log10 |s|² / |s − ŝ|², dB."""
    error = truth.astype(np.float64) - estimate
    return float(10 * np.log10(np.sum(truth.astype(np.float64) ** 2) / max(float(np.sum(error**2)), 1e-20)))


@pytest.fixture(scope="module")
def separate() -> Separator:
    component = Registry().create("separator", "stemnet", {})
    assert isinstance(component, Separator)
    return component


@pytest.fixture(scope="module")
def parts() -> dict[str, Samples]:
    """Chords and drum hits, 4 s."""
    time = np.arange(4 * 44_100) / 44_100
    hits = np.exp(-(time % 0.5) / 0.05) * np.sin(
        2 * np.pi * 50 * (time % 0.5 + 0.03 * (1 - np.exp(-(time % 0.5) * 40)))
    )
    noise = np.random.default_rng(0).standard_normal((2, len(time))) * np.exp(-((time + 0.25) % 0.5) / 0.03)
    chord = sum(np.sin(2 * np.pi * hertz * n * time) / n for hertz in (220.0, 277.2, 329.6) for n in (1, 2, 3))
    return {
        "drums": (0.4 * hits + 0.15 * noise).astype(np.float32),
        "other": np.broadcast_to(0.08 * chord, (2, len(time))).astype(np.float32),
    }


# -------------------------------------------------------------------------------------------------------- invariants
def test_blocks_leave_no_seam(parts: dict[str, Samples], separate: Separator, monkeypatch: pytest.MonkeyPatch) -> None:
    mix = Audio(parts["drums"] + parts["other"], 44_100)
    whole = separate.separate(mix).stems
    monkeypatch.setattr(separator, "BLOCK", 64)
    pieces = separate.separate(mix).stems
    for name in ("drums", "other"):
        assert sdr(whole[name].samples, pieces[name].samples) > 30, name


def test_a_softer_copy_gives_softer_drums(parts: dict[str, Samples], separate: Separator) -> None:
    loud = Audio(parts["drums"] + parts["other"], 44_100)
    soft = Audio(loud.samples / 8, 44_100)
    one, other = (separate.separate(mix).stems["drums"].samples for mix in (loud, soft))
    assert sdr(one, 8 * other) > 15  # what Spleeter hears depends on level, and the network hears Spleeter


def test_drums_and_chords_are_told_apart(parts: dict[str, Samples], separate: Separator) -> None:
    found = separate.separate(Audio(parts["drums"] + parts["other"], 44_100))
    assert sdr(parts["drums"], found.role(Role.PERCUSSION).samples) > 8


@pytest.mark.parametrize("case", ["mono", "left", "none", "only", "8 kHz", "short"])
def test_odd_input(case: str, parts: dict[str, Samples], separate: Separator) -> None:
    drums, other = parts["drums"], parts["other"]
    rate = 44_100
    if case == "mono":
        mix = (drums + other)[:1]
    elif case == "left":
        mix = drums * np.array([[1], [0]], np.float32) + other
    elif case == "none":
        mix = other
    elif case == "only":
        mix = drums
    elif case == "8 kHz":
        mix, rate = (drums + other)[:, ::5].copy(), 8_820
    else:
        mix = (drums + other)[:, :700]
    found = separate.separate(Audio(np.ascontiguousarray(mix), rate))
    np.testing.assert_allclose(sum(stem.samples for stem in found.stems.values()), mix, atol=1e-6)
    energy = {role: float(np.square(found.role(role).samples, dtype=np.float64).sum()) for role in Role}
    if case == "none":
        assert 10 * np.log10(energy[Role.PERCUSSION] / sum(energy.values())) < -20
    if case == "only":
        assert energy[Role.PERCUSSION] > 20 * energy[Role.HARMONIC]
    if case == "left":
        left, right = np.square(found.stems["drums"].samples, dtype=np.float64).sum(axis=1)
        assert left > 30 * right


def test_silence_gives_exact_silence(separate: Separator) -> None:
    for stem in separate.separate(signals.silence(1.0, sample_rate=48_000)).stems.values():
        assert stem.peak == 0.0


# ------------------------------------------------------------------------------------------------------ checkpoints
def test_what_ships_is_small_and_known() -> None:
    path = Path(separator.__file__).parent / "weights" / "stemnet.safetensors"
    assert path.stat().st_size == SHIPPED[0] < 20e6
    assert StemNetSeparator().weights()["stemnet.safetensors"] == SHIPPED[1]
    assert load(path).training["songs"]["real"]


def test_what_ships_says_which_songs_it_was_trained_on(tmp_path: Path) -> None:
    assert StemNetSeparator().trained_on() == ("Caesium", "Francium", "Hydrogen", "Lithium", "Potassium")
    given = tmp_path / "fold.safetensors"
    network = StemNet(Size(channels=8, growth=4, scales=3)).eval()
    for training, songs in (({"songs": {"real": ["Band - Tune"]}}, ("Band - Tune",)), ({"phase": "test"}, ())):
        save(given, network, training)
        assert StemNetSeparator(checkpoint=str(given)).trained_on() == songs
    with pytest.raises(CheckpointError, match="missing"):
        StemNetSeparator(checkpoint=str(tmp_path / "missing.safetensors")).trained_on()


def test_a_checkpoint_comes_back(tmp_path: Path) -> None:
    network = StemNet(Size(channels=8, growth=4, scales=3)).eval()
    save(tmp_path / "x.safetensors", network, {"phase": "test"})
    again = load(tmp_path / "x.safetensors")
    assert again.size == network.size
    assert again.training == {"phase": "test"}
    mix = signals.noise(1.0, sample_rate=44_100)
    found = StemNetSeparator(checkpoint=str(tmp_path / "x.safetensors")).separate(mix)
    assert found.stems["drums"].peak == 0.0  # an untrained network masks nothing


@pytest.mark.parametrize("content", [b"PK\x03\x04pickled", b"\x80\x02pickled", b"nothing", b""])
def test_no_checkpoint_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"x\.safetensors"):
        load(path)
    with pytest.raises(CheckpointError, match=r"missing\.safetensors"):
        load(tmp_path / "missing.safetensors")


@pytest.mark.parametrize("options", [{"device": "gpu"}, {"threads": 0}, {"checkpoint": 3}])
def test_senseless_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        Registry().create("separator", "stemnet", options)


# ------------------------------------------------------------------------------------------------------- real music
def test_real_drums_are_cleaner_than_by_median_filter(shared_data: Path, separate: Separator) -> None:
    """A song that no network was trained on (CC BY-NC-SA)."""
    truth: dict[str, Samples] = {}
    for path in sorted((shared_data / "multitracks" / "MusicDelta - Hendrix").glob("*.flac")):
        if path.stem != "mixture":
            samples, rate = soundfile.read(path, 11 * 44_100, dtype="float32", always_2d=True)
            truth[path.stem] = samples.T
    mix = Audio(np.sum(list(truth.values()), axis=0), rate)
    old = Registry().create("separator", "spleeter-torch", {})
    assert isinstance(old, Separator)
    before, after = (sdr(truth["drums"], one.separate(mix).stems["drums"].samples) for one in (old, separate))
    assert after > before + 1
