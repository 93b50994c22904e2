"""Spectra are what other libraries say they are, move with the pitch, and do not know how loud a stem was."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import pytest
from scipy.signal import ShortTimeFFT
from scipy.signal.windows import hann

from mashkit.errors import OptionError
from mashkit.testing import signals
from mashkit.types import Audio
from mashkit_mashnet.frontend import LOG_FREQUENCY, MEL, RANGE_DB, Bands, FrontEnd, filters, scaled, unscaled

FRONT_ENDS = {"log-frequency": LOG_FREQUENCY, "mel": MEL}
RATE = LOG_FREQUENCY.sample_rate


def centre(front_end: FrontEnd, band: float) -> float:
    """Hertz of a band of a log-frequency scale, which may lie between two."""
    return front_end.low_hz * 2 ** (band / (12 * front_end.bands_a_semitone))


def notes(frequencies: list[float], seconds: float = 1.0) -> Audio:
    """Tones of falling strength, one after another and each faded, as a melody."""
    time = np.arange(round(seconds * RATE)) / RATE
    fade = np.sin(np.pi * time / seconds) ** 2
    parts = [0.5 * 0.7**index * fade * np.sin(2 * np.pi * hertz * time) for index, hertz in enumerate(frequencies)]
    return Audio(np.concatenate(parts)[None].astype(np.float32), RATE)


# -------------------------------------------------------------------------------------------------------- golden values
def test_mel_filters_are_librosas_but_for_their_sum() -> None:
    librosa = pytest.importorskip("librosa")
    due = librosa.filters.mel(
        sr=MEL.sample_rate, n_fft=MEL.n_fft, n_mels=MEL.bands, fmin=0.0, fmax=11_025.0, htk=True, norm=None
    )
    np.testing.assert_allclose(filters(MEL), due / due.sum(axis=1, keepdims=True), atol=1e-6)


def test_power_is_that_of_scipys_short_time_transform() -> None:
    audio = signals.noise(2.0, channels=1, sample_rate=RATE)
    transform = ShortTimeFFT(hann(MEL.n_fft, sym=False), MEL.hop, RATE)
    frames = 1 + audio.frames // MEL.hop
    due = filters(MEL) @ transform.spectrogram(audio.mono().astype(np.float64), p0=0, p1=frames, padding="even")
    found = MEL.power(audio)
    assert found.shape == due.shape
    np.testing.assert_allclose(found / found.mean(), due / due.mean(), rtol=2e-3)


@pytest.mark.parametrize("name", FRONT_ENDS)
def test_white_noise_is_flat(name: str) -> None:
    """Filters sum to one: a band's power is the mean of its bins, however many they are."""
    mean = FRONT_ENDS[name].power(signals.noise(20.0, channels=1, sample_rate=RATE)).mean(axis=1)[1:-1]
    assert 10 * np.log10(mean.max() / mean.min()) < 2.5


# -------------------------------------------------------------------------------------------------------- log-frequency
def test_two_bands_a_semitone() -> None:
    assert LOG_FREQUENCY.bands_a_semitone == pytest.approx(2.0)
    assert LOG_FREQUENCY.frame_rate == pytest.approx(21.53, abs=0.01)


@pytest.mark.parametrize("band", range(36, 128, 7))
def test_a_tone_at_a_bands_centre_peaks_there(band: int) -> None:
    """From where bands are further apart than bins of the transform: 36 is 185 Hz."""
    spectrum = LOG_FREQUENCY.spectrum(signals.tone(centre(LOG_FREQUENCY, band), 1.0, sample_rate=RATE))
    assert set(spectrum[:, 3:-3].argmax(axis=0)) == {band}


@pytest.mark.parametrize("band", range(0, 36, 5))
def test_a_low_tone_peaks_within_a_bin_of_its_band(band: int) -> None:
    hertz = centre(LOG_FREQUENCY, band)
    power = LOG_FREQUENCY.power(signals.tone(hertz, 2.0, sample_rate=RATE)).mean(axis=1)
    assert abs(centre(LOG_FREQUENCY, int(power.argmax())) - hertz) <= LOG_FREQUENCY.sample_rate / LOG_FREQUENCY.n_fft


MELODY = [440.0, 523.25, 659.26, 880.0, 493.88]


@pytest.mark.parametrize("semitones", [-3, -2, -1, 1, 2, 3])
def test_a_transposition_is_a_shift_by_two_bands_a_semitone(semitones: int) -> None:
    wide = LOG_FREQUENCY.widened(3)
    original = notes(MELODY)
    moved = notes([hertz * 2 ** (semitones / 12) for hertz in MELODY])
    start = 6 - 2 * semitones
    shifted = wide.power(original)[start : start + LOG_FREQUENCY.bands]
    found = LOG_FREQUENCY.power(moved)
    assert (found.argmax(axis=0) == shifted.argmax(axis=0)).mean() > 0.98
    assert np.corrcoef(scaled(shifted).ravel(), scaled(found).ravel())[0, 1] > 0.97
    for band_off in (-1, 1):
        assert (found.argmax(axis=0) == shifted.argmax(axis=0) + band_off).mean() < 0.02


@pytest.mark.parametrize("semitones", [1, 5])
def test_widened_has_the_same_bands_between_more(semitones: int) -> None:
    wide, audio = LOG_FREQUENCY.widened(semitones), signals.noise(1.0, sample_rate=RATE)
    assert wide.bands == 128 + 4 * semitones
    assert wide.bands_a_semitone == pytest.approx(2.0)
    inner = wide.power(audio)[2 * semitones : -2 * semitones]
    np.testing.assert_allclose(inner, LOG_FREQUENCY.power(audio), rtol=1e-4)


# ------------------------------------------------------------------------------------------------- what does not matter
@pytest.fixture(scope="module")
def music() -> Audio:
    stems, _ = signals.band(bars=3)
    return stems.stems["other"]


@pytest.mark.parametrize("name", FRONT_ENDS)
@pytest.mark.parametrize("gain", [1e-3, 0.3, 4.0])
def test_gain(music: Audio, name: str, gain: float) -> None:
    louder = Audio(music.samples * np.float32(gain), music.sample_rate)
    np.testing.assert_allclose(FRONT_ENDS[name].spectrum(louder), FRONT_ENDS[name].spectrum(music), atol=2e-5)


@pytest.mark.parametrize("name", FRONT_ENDS)
def test_channels(music: Audio, name: str) -> None:
    mono = Audio(music.mono()[None], music.sample_rate)
    np.testing.assert_allclose(FRONT_ENDS[name].spectrum(mono), FRONT_ENDS[name].spectrum(music), atol=2e-5)


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
def test_sample_rate(rate: int) -> None:
    found, due = (
        LOG_FREQUENCY.spectrum(signals.tone(700.0, 2.0, sample_rate=at, amplitude=0.3)) for at in (rate, RATE)
    )
    assert found.shape == due.shape
    inside, loud = slice(4, -4), due > 0.3
    assert np.abs(found - due)[:, inside][loud[:, inside]].max() < 0.01


@pytest.mark.parametrize("name", FRONT_ENDS)
def test_silence_is_nothing(name: str) -> None:
    front_end = FRONT_ENDS[name]
    spectrum = front_end.spectrum(signals.silence(1.0, sample_rate=RATE))
    assert spectrum.shape == (128, 1 + RATE // front_end.hop)
    assert not spectrum.any()


def test_one_click_in_silence_is_heard() -> None:
    """Its frames are fewer than the percentile leaves out: the loudest is its level then."""
    samples = np.zeros((1, 10 * RATE), np.float32)
    samples[0, 5 * RATE] = 0.5
    spectrum = LOG_FREQUENCY.spectrum(Audio(samples, RATE))
    assert spectrum.max() > 0.7
    assert not spectrum[:, :50].any()


# ------------------------------------------------------------------------------------------------------------ the scale
def test_it_is_decibels_over_the_level() -> None:
    powers = np.ones((4, 100), np.float32)
    powers[0, :50] *= np.float32(1e-2)
    powers[1] *= np.float32(1e-6)
    powers[2] *= np.float32(1e-12)
    spectrum = scaled(powers)
    assert spectrum.dtype == np.float32
    level = 10 * np.log10(2 + 1e-6)  # the 95th percentile of the totals
    assert spectrum[0, 0] == pytest.approx(1 + (-20 - level) / RANGE_DB, abs=1e-4)
    assert spectrum[1, 0] == pytest.approx(1 + (-60 - level) / RANGE_DB, abs=1e-4)
    assert spectrum[2, 0] == 0.0
    assert ((spectrum >= 0) & (spectrum <= 1)).all()


def test_unscaled_undoes_scaled(music: Audio) -> None:
    power = LOG_FREQUENCY.power(music)
    back: Bands = unscaled(scaled(power))
    kept = (scaled(power) > 0) & (scaled(power) < 1)
    ratio = back[kept] / power[kept]
    assert ratio.max() / ratio.min() == pytest.approx(1.0, abs=1e-3)
    assert not back[scaled(power) == 0].any()


def test_the_input_is_left_as_it_is(music: Audio) -> None:
    before = music.samples.copy()
    LOG_FREQUENCY.spectrum(music)
    assert np.array_equal(music.samples, before)


# -------------------------------------------------------------------------------------------------------------- options
@pytest.mark.parametrize(
    "change",
    [
        {"bands": 1},
        {"low_hz": 3000.0},
        {"high_hz": 12_000.0},
        {"low_hz": -1.0},
        {"low_hz": 0.0},
        {"low_hz": float("nan")},
    ],
)
def test_front_ends_that_are_none(change: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        attrs.evolve(LOG_FREQUENCY, **change)


def test_mel_cannot_be_widened() -> None:
    with pytest.raises(OptionError, match="widened"):
        MEL.widened(1)


@pytest.mark.parametrize("name", FRONT_ENDS)
def test_front_ends_are_data(name: str) -> None:
    assert FrontEnd.from_dict(FRONT_ENDS[name].to_dict()) == FRONT_ENDS[name]
