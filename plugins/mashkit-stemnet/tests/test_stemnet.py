"""The separator keeps its contract, its seams leave no mark, and it beats a median filter."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from mashkit.audio.files import load as load_audio
from mashkit.audio.files import resample
from mashkit.bench.separator_metrics import sdr
from mashkit.errors import OptionError
from mashkit.interfaces import Separator
from mashkit.networks.checkpoints import CheckpointError
from mashkit.registry import Registry
from mashkit.testing import SeparatorContract, signals
from mashkit.types import Audio, Role, Samples, StemSet
from mashkit_spleeter_torch.masking import HOP, OVERLAP
from mashkit_spleeter_torch.unet import FRAMES
from mashkit_stemnet import SHIPPED, separator
from mashkit_stemnet.checkpoint import load, save
from mashkit_stemnet.network import Size, StemNet
from mashkit_stemnet.separator import CONTEXT, StemNetSeparator


class TestStemNet(SeparatorContract):
    component = "stemnet"


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


@pytest.mark.slow
@pytest.mark.parametrize("numbers", [(2,), (3, 4, 6)])
def test_the_number_of_threads_changes_nothing(numbers: tuple[int, ...], parts: dict[str, Samples]) -> None:
    """Two of Spleeter's segments and three blocks of the network, the last ones short."""
    mix = Audio(np.tile(parts["drums"] + parts["other"], 4)[:, : round(12.4 * 44_100)], 44_100)
    assert FRAMES < mix.frames / HOP + OVERLAP < FRAMES + CONTEXT
    due = StemNetSeparator(threads=1).separate(mix)
    before = torch.get_num_threads()
    try:
        for threads in numbers:
            torch.set_num_threads(threads)  # as the local executor does for its processes
            found = StemNetSeparator().separate(mix)
            assert torch.get_num_threads() == threads
            for name, stem in due.stems.items():
                assert np.array_equal(stem.samples, found.stems[name].samples), (threads, name)
            for role in (Role.VOCAL, Role.HARMONIC, Role.PERCUSSION):
                assert np.array_equal(due.role(role).samples, found.role(role).samples), (threads, role)
    finally:
        torch.set_num_threads(before)


def test_a_softer_copy_gives_softer_drums(parts: dict[str, Samples], separate: Separator) -> None:
    loud = Audio(parts["drums"] + parts["other"], 44_100)
    soft = Audio(loud.samples / 8, 44_100)
    one, other = (separate.separate(mix).stems["drums"].samples for mix in (loud, soft))
    assert sdr(one, 8 * other) > 15  # what Spleeter hears depends on level, and the network hears Spleeter


def test_drums_and_chords_are_told_apart(parts: dict[str, Samples], separate: Separator) -> None:
    found = separate.separate(Audio(parts["drums"] + parts["other"], 44_100))
    assert sdr(parts["drums"], found.role(Role.PERCUSSION).samples) > 8


LEFT, RIGHT = np.array([[1], [0]], np.float32), np.array([[0], [1]], np.float32)


def separated(parts: dict[str, Samples], separate: Separator, rate: int = 44_100) -> tuple[Audio, StemSet]:
    """Return the mix of these parts and its stems, which sum to it."""
    mix = Audio(np.sum(list(parts.values()), axis=0, dtype=np.float32), rate)
    found = separate.separate(mix)
    assert sdr(mix.samples, np.sum([stem.samples for stem in found.stems.values()], axis=0)) > 60
    return mix, found


def test_mono(parts: dict[str, Samples], separate: Separator) -> None:
    mono = {name: samples.mean(axis=0, keepdims=True) for name, samples in parts.items()}
    _, found = separated(mono, separate)
    assert sdr(mono["drums"], found.stems["drums"].samples) > 15


@pytest.mark.parametrize("side", [LEFT, RIGHT], ids=["left", "right"])
def test_drums_on_one_side_stay_there(side: Samples, parts: dict[str, Samples], separate: Separator) -> None:
    panned = {"drums": parts["drums"] * side, "other": parts["other"]}
    _, found = separated(panned, separate)
    assert sdr(panned["drums"], found.stems["drums"].samples) > 15
    power = np.square(found.stems["drums"].samples, dtype=np.float64).sum(axis=1)
    assert power @ side[:, 0] > 30 * (power @ (1 - side[:, 0]))


def test_a_song_without_drums(parts: dict[str, Samples], separate: Separator) -> None:
    mix, found = separated({"other": parts["other"]}, separate)
    assert sdr(mix.samples, mix.samples - found.role(Role.PERCUSSION).samples) > 30  # below −30 dB of the mix


def test_a_song_of_drums_alone(parts: dict[str, Samples], separate: Separator) -> None:
    _, found = separated({"drums": parts["drums"]}, separate)
    assert sdr(parts["drums"], found.role(Role.PERCUSSION).samples) > 25


def test_8_khz(parts: dict[str, Samples], separate: Separator) -> None:
    low = {name: resample(Audio(samples, 44_100), 8_000).samples for name, samples in parts.items()}
    _, found = separated(low, separate, 8_000)
    assert sdr(low["drums"], found.stems["drums"].samples) > 15


def test_less_than_a_frame_of_the_spectrum(parts: dict[str, Samples], separate: Separator) -> None:
    mix, found = separated({name: samples[:, :700] for name, samples in parts.items()}, separate)
    assert {stem.samples.shape for stem in found.stems.values()} == {mix.samples.shape}


def test_the_stems_of_a_song_sum_to_it(separate: Separator) -> None:
    song = load_audio(Path(__file__).parents[3] / "examples" / "songs" / "mango-season.ogg").excerpt(10, 8)
    for mix in (song, resample(song, 48_000)):
        found = separate.separate(mix)
        assert sdr(mix.samples, np.sum([stem.samples for stem in found.stems.values()], axis=0)) > 60


def test_silence_gives_exact_silence(separate: Separator) -> None:
    for stem in separate.separate(signals.silence(1.0, sample_rate=48_000)).stems.values():
        assert stem.peak == 0.0


# ------------------------------------------------------------------------------------------------------ checkpoints
def test_what_ships_is_small_and_known() -> None:
    path = Path(separator.__file__).parent / "weights" / "stemnet.safetensors"
    assert path.stat().st_size == SHIPPED[0] <= 20_000_000
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


def test_the_licence_is_that_of_the_file_and_not_of_its_name(tmp_path: Path) -> None:
    mine = tmp_path / "stemnet.safetensors"
    save(mine, StemNet(Size(channels=8, growth=4, scales=3)).eval(), {"phase": "test"})
    assert StemNetSeparator().described()["weights_license"] == "MIT"
    assert StemNetSeparator(checkpoint=mine).described()["weights_license"] == "unknown"
    shipped = Path(separator.__file__).parent / "weights" / "stemnet.safetensors"
    (tmp_path / "copy").write_bytes(shipped.read_bytes())
    assert StemNetSeparator(checkpoint=tmp_path / "copy").described()["weights_license"] == "MIT"


def test_a_checkpoint_may_lie_below_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Registry().create("separator", "stemnet", {"checkpoint": "~/x"}).checkpoint == tmp_path / "x"  # type: ignore[attr-defined]


@pytest.mark.parametrize("content", [b"PK\x03\x04pickled", b"\x80\x02pickled", b"nothing", b""])
def test_no_checkpoint_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"x\.safetensors"):
        load(path)
    with pytest.raises(CheckpointError, match=r"missing\.safetensors"):
        load(tmp_path / "missing.safetensors")


def test_a_checkpoint_that_is_not_there_is_named_with_the_option(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"gone: cannot be read.*check the option checkpoint"):
        StemNetSeparator(checkpoint=tmp_path / "gone").weights()


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
