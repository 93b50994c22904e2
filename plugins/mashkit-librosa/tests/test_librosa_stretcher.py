"""The phase vocoder keeps its contract, its beat and its pitch, for as long as the audio lasts."""

from collections.abc import Mapping
from typing import Any

import librosa
import numpy as np
import pytest

from mashkit.errors import OptionError
from mashkit.registry import Registry
from mashkit.testing import StretcherContract, signals
from mashkit.types import Audio
from mashkit_librosa.stretcher import LibrosaStretcher


class TestLibrosaStretcher(StretcherContract):
    component = "librosa"


def purity(samples: Any, frequency: float) -> float:
    """Return how far above everything else a sine of ``frequency`` is, dB."""
    time = np.arange(len(samples)) / signals.SAMPLE_RATE
    basis = np.stack([np.cos(2 * np.pi * frequency * time), np.sin(2 * np.pi * frequency * time)], axis=1)
    sine = basis @ np.linalg.lstsq(basis, samples, rcond=None)[0]
    return float(10 * np.log10(np.var(sine) / np.var(samples - sine)))


def test_high_tones_stay_pure_for_a_minute() -> None:
    # With phases added up in float32 it falls from 33 dB to −14.
    stretched = LibrosaStretcher().stretch(signals.tone(3000.0, 60.0), speed=0.9).samples[0]
    assert purity(stretched[44_100:88_200], 3000.0) > 35
    assert purity(stretched[-88_200:-44_100], 3000.0) > 35


def test_a_longer_window_keeps_the_bass_purer() -> None:
    bass = signals.tone(55.0, 4.0)
    usual, long = (
        purity(stretcher.stretch(bass, speed=0.9).samples[0, 44_100:-44_100], 55.0)
        for stretcher in (LibrosaStretcher(), LibrosaStretcher(window_ms=46))
    )
    assert long > usual + 10


@pytest.mark.parametrize("semitones", [3.0, -5.0])
def test_there_and_back_in_pitch(semitones: float) -> None:
    tone, stretcher = signals.tone(330.0, 4.0), LibrosaStretcher()
    shifted = stretcher.stretch(tone, semitones=semitones)
    assert signals.cents_off(shifted, 330.0 * 2 ** (semitones / 12)) == pytest.approx(0, abs=1)
    assert signals.cents_off(stretcher.stretch(shifted, semitones=-semitones), 330.0) == pytest.approx(0, abs=1)


@pytest.mark.parametrize("gain", [2.0**-10, 4.0])
def test_linear_in_powers_of_two_to_the_bit(gain: float) -> None:
    # For other gains only in level: the last bit of the input decides which way a phase wraps.
    audio, stretcher = signals.chord_progression(seconds=2.0), LibrosaStretcher()
    scaled = stretcher.stretch(Audio(audio.samples * np.float32(gain), audio.sample_rate), speed=0.9, semitones=2)
    plain = stretcher.stretch(audio, speed=0.9, semitones=2)
    assert np.array_equal(scaled.samples, plain.samples * np.float32(gain))


@pytest.mark.parametrize("speed", [0.6, 0.9, 1.0, 1.25, 2.3])
def test_one_channel_is_that_of_librosa(speed: float) -> None:
    audio = signals.noise(1.0, channels=1)
    stretched = LibrosaStretcher().stretch(audio, speed=speed).samples[0]
    padded = np.pad(audio.samples[0].astype(np.float64), (0, 2048))
    theirs = librosa.effects.time_stretch(padded, rate=speed, n_fft=1024)[: len(stretched)]
    gain = np.std(stretched) / np.std(theirs)  # librosa's is 3 dB too quiet
    assert np.abs(stretched - gain * theirs).max() < 1e-6


@pytest.mark.parametrize("name", ["vocals", "drums", "bass", "other"])
@pytest.mark.parametrize(("speed", "semitones"), [(0.8, 0.0), (1.0, -5.0), (1.0, 3.0), (1.25, 0.0)])
def test_stems_keep_their_level(name: str, speed: float, semitones: float) -> None:
    # The vocoder alone makes them up to 4 dB quieter: each by another amount.
    stem = signals.band(bars=2)[0].stems[name]
    stretched = LibrosaStretcher().stretch(stem, speed=speed, semitones=semitones)
    assert 20 * np.log10(np.std(stretched.samples) / np.std(stem.samples)) == pytest.approx(0.0, abs=0.1)


@pytest.mark.parametrize(("frames", "speed"), [(15_616, 1.15), (33_280, 1.15)])
def test_steps_that_end_on_the_last_frame_by_rounding(frames: int, speed: float) -> None:
    # The sound has 70 frames of spectra, and 60 × 1.15 is 69, their last frame, which has no next one. np.arange tests
    # its end in floating point, and gives that step, too.
    audio = Audio(signals.noise(3.0, channels=1).samples[:, :frames], signals.SAMPLE_RATE)
    assert LibrosaStretcher().stretch(audio, speed=speed).frames == round(frames / speed)


@pytest.mark.parametrize("side", [0.0, 0.1, 0.5])
@pytest.mark.parametrize(("speed", "semitones"), [(0.9, 0.0), (1.25, 0.0), (1.0, 2.0)])
def test_the_stereo_image_is_kept(side: float, speed: float, semitones: float) -> None:
    # With phases that advance in each channel by themselves, the side is 2 dB below the mid, whatever it was.
    centre, difference = signals.noise(3.0).samples
    audio = Audio(np.stack([centre + side * difference, centre - side * difference]), signals.SAMPLE_RATE)
    left, right = LibrosaStretcher().stretch(audio, speed=speed, semitones=semitones).samples
    assert np.std(left - right) / np.std(left + right) == pytest.approx(side, rel=0.15, abs=1e-6)


@pytest.mark.parametrize("options", [{"window_ms": 1}, {"window_ms": "long"}, {"window": 46}], ids=str)
def test_wrong_options_are_refused(options: Mapping[str, Any]) -> None:
    with pytest.raises(OptionError, match="librosa"):
        Registry().create("stretcher", "librosa", options)
