"""The analyzer keeps its contract, gives SwiftF0's numbers, and hears a voice's notes."""

import subprocess
import sys

import attrs
import numpy as np
import pytest
import soxr
from swift_f0 import SwiftF0

from mashkit.bench.rendered import LEAD_S, compose, render
from mashkit.errors import OptionError
from mashkit.models import ModelError, status
from mashkit.registry import Registry
from mashkit.testing import AnalyzerContract, signals
from mashkit.types import Audio, Melody
from mashkit_swift_f0 import MODEL, analyzer
from mashkit_swift_f0.analyzer import SwiftF0Analyzer


class TestSwiftF0(AnalyzerContract):
    component = "swift-f0"


def melody_of(audio: Audio, **options: float) -> Melody:
    found = Registry().create("analyzer", "swift-f0", options).analyze(audio).melody
    assert isinstance(found, Melody)
    return found


@pytest.fixture(scope="module")
def voice() -> Audio:
    return render(compose(0, 0)).stems["vocals"]


# ------------------------------------------------------------------------------------------------------------ golden
def test_frames_are_those_of_swift_f0(voice: Audio) -> None:
    golden = SwiftF0(threads=1).detect(
        soxr.resample(voice.mono(), 44_100, 16_000, quality="VHQ").astype(np.float32), 16_000
    )
    found = SwiftF0Analyzer(threshold=0.0)._analyze(voice).melody  # without the interface's change of level
    assert found is not None
    np.testing.assert_allclose(found.times, golden.timestamps[: len(found.times)], atol=1e-9)
    np.testing.assert_allclose(found.confidence, golden.confidence[: len(found.times)], atol=2e-3)
    sure = found.confidence > 0.9
    np.testing.assert_allclose(found.f0[sure], golden.pitch_hz[: len(found.times)][sure], rtol=1e-3)


def test_pieces_are_as_the_whole(voice: Audio, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = melody_of(voice)
    monkeypatch.setattr(analyzer, "PIECE", 100)
    found = melody_of(voice)
    assert len(found.f0) == len(whole.f0)
    assert np.mean(np.abs(found.f0 - whole.f0) < 0.02) > 0.999  # a frame on the threshold may fall to either side


@pytest.mark.parametrize("frames", [1, 2, 5, 7, 20])
def test_sound_of_which_no_sample_is_left_has_no_melody(frames: int) -> None:
    sound = Audio(np.full((1, frames), 0.5, np.float32), 192_000)
    found = Registry().create("analyzer", "swift-f0").analyze(sound)
    assert found.melody is None or len(found.melody.f0) == 1


# ------------------------------------------------------------------------------------------------------------ pitches
def test_sung_notes_are_heard(voice: Audio) -> None:
    song = compose(0, 0)
    found = melody_of(voice)
    right = []
    for note in song.melody:
        start = LEAD_S + note.step * song.step_s
        inside = (found.times > start + 0.05) & (found.times < start + 0.9 * note.steps * song.step_s)
        right += list(np.abs(found.pitches[inside] - note.pitch) < 0.5)
    assert np.mean(right) > 0.95


@pytest.mark.parametrize("semitones", [-5.0, 3.5])
def test_a_higher_tone_has_a_higher_pitch(semitones: float) -> None:
    pitches = [
        np.nanmedian(melody_of(signals.tone(hertz, 2.0)).pitches) for hertz in (220.0, 220 * 2 ** (semitones / 12))
    ]
    assert pitches[1] - pitches[0] == pytest.approx(semitones, abs=0.1)


def test_noise_is_not_sung() -> None:
    found = melody_of(signals.noise(3.0))
    assert found.voiced.mean() < 0.05


def test_the_range_is_kept() -> None:
    found = melody_of(signals.tone(220.0, 2.0), low_hz=300.0, high_hz=900.0, threshold=0.0)
    assert found.f0.min() >= 299
    assert found.f0.max() <= 901


@pytest.mark.parametrize(
    "options",
    [{"threshold": 1.5}, {"low_hz": 10.0}, {"low_hz": 400.0, "high_hz": 400.0}, {"threads": 0}, {"treshold": 0.5}],
)
def test_options_that_make_no_sense(options: dict[str, object]) -> None:
    with pytest.raises(OptionError):
        Registry().create("analyzer", "swift-f0", options)


# ------------------------------------------------------------------------------------------------------------ weights
def test_the_network_is_the_one_that_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert status(MODEL) == "ok"
    assert SwiftF0Analyzer().weights() == {"model.onnx": MODEL.sha256}
    monkeypatch.setattr(analyzer, "MODEL", attrs.evolve(MODEL, sha256="0" * 64))
    with pytest.raises(ModelError, match="damaged"):
        SwiftF0Analyzer().analyze(signals.tone(220.0, 1.0))


def test_listing_the_plugin_imports_neither_onnxruntime_nor_swift_f0() -> None:
    code = (
        "import sys; from mashkit.registry import Registry; Registry(); "
        "print('onnxruntime' in sys.modules or 'swift_f0' in sys.modules)"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert finished.stdout.strip() == "False"
