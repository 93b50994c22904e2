"""Chroma, onset strength and band energies say what is in the sound, and aggregating them over beats loses nothing."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mashkit.errors import UsageError
from mashkit.features.spectral import (
    WINDOW_S,
    Spectrum,
    band_energies,
    beat_synchronous,
    chromagram,
    onset_strength,
    spectrogram,
    transposed_chroma,
    weighted_mean,
)
from mashkit.testing import signals
from mashkit.types import Audio, Key


def scaled(audio: Audio, gain: float) -> Audio:
    return Audio(audio.samples * np.float32(gain), audio.sample_rate)


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def kick(frequency: float = 55.0) -> np.ndarray:
    time = np.arange(round(0.2 * signals.SAMPLE_RATE)) / signals.SAMPLE_RATE
    return np.sin(2 * np.pi * frequency * time) * np.exp(-18 * time) * np.minimum(1, time / 0.002)


def hits(sound: np.ndarray, times: list[float], seconds: float) -> Audio:
    samples = np.zeros((1, round(seconds * signals.SAMPLE_RATE)))
    for moment in times:
        start = round(moment * signals.SAMPLE_RATE)
        samples[0, start : start + len(sound)] += sound
    return Audio(samples, signals.SAMPLE_RATE)


# --------------------------------------------------------------------------------------------------------- spectrum
@pytest.mark.parametrize("sample_rate", [8_000, 22_050, 44_100, 48_000, 96_000])
def test_window_lasts_as_long_at_every_rate(sample_rate: int) -> None:
    spectrum = spectrogram(signals.noise(1.0, sample_rate=sample_rate))
    assert spectrum.n_fft / sample_rate == pytest.approx(WINDOW_S, abs=1 / sample_rate)
    assert spectrum.magnitudes.dtype == np.float32
    assert spectrum.magnitudes.shape == (spectrum.n_fft // 2 + 1, len(spectrum.times))
    assert spectrum.times[-1] <= 1.0 < spectrum.times[-1] + spectrum.hop / sample_rate


@pytest.mark.plugins
def test_magnitudes_are_those_of_librosa() -> None:
    librosa = pytest.importorskip("librosa", reason="the golden values are librosa's")
    audio = signals.mix(signals.band(bars=1)[0])
    spectrum = spectrogram(audio)
    settings = {"n_fft": spectrum.n_fft, "hop_length": spectrum.hop, "pad_mode": "reflect"}
    theirs = np.abs(librosa.stft(audio.mono(), **settings))
    ours = spectrum.magnitudes[1:-1]  # the first and the last bin are scaled on their own: they stand for one
    assert ours.shape == theirs[1:-1].shape
    assert np.allclose(ours / ours.max(), theirs[1:-1] / theirs[1:-1].max(), atol=1e-5)


@pytest.mark.parametrize("audio", [signals.silence(0.0), signals.noise(0.001), signals.silence(1.0)])
def test_the_shortest_and_the_silent_have_features(audio: Audio) -> None:
    spectrum = spectrogram(audio)
    for features in (chromagram(spectrum), onset_strength(spectrum), band_energies(spectrum)):
        assert features.shape[1] == len(spectrum.times) >= 1
        assert np.isfinite(features).all()
        assert audio.peak > 0 or not features.any()


@pytest.mark.parametrize(("n_fft", "hop"), [(8, 1), (1025, 256), (1024, 0)])
def test_impossible_windows(n_fft: int, hop: int) -> None:
    with pytest.raises(UsageError, match=str(n_fft)):
        spectrogram(signals.noise(0.1), n_fft=n_fft, hop=hop)


# ----------------------------------------------------------------------------------------------------------- chroma
@pytest.mark.parametrize("midi", range(36, 96, 5))
def test_a_tone_lights_its_pitch_class(midi: int) -> None:
    spectrum = spectrogram(signals.tone(440 * 2 ** ((midi - 69) / 12), 1.0))
    chroma = chromagram(spectrum)[:, 10:-10].mean(axis=1)
    assert chroma.argmax() == midi % 12
    assert chroma.max() > 0.95 * chroma.sum()


def test_a_quarter_tone_is_shared_by_its_neighbours() -> None:
    chroma = chromagram(spectrogram(signals.tone(440 * 2 ** (0.5 / 12), 1.0)))[:, 10:-10].mean(axis=1)
    assert chroma[9] == pytest.approx(chroma[10], rel=0.05)
    assert chroma[9] + chroma[10] > 0.95 * chroma.sum()


@pytest.mark.parametrize("semitones", range(1, 12))
def test_transposing_rotates_chroma(semitones: int) -> None:
    original, transposed = (
        chromagram(spectrogram(signals.chord_progression(Key(tonic, "major"), seconds=8.0))) for tonic in (0, semitones)
    )
    fits = [correlation(np.roll(original, shift, axis=0), transposed) for shift in range(12)]
    assert np.argmax(fits) == semitones
    assert max(fits) > 0.95
    assert sorted(fits)[-2] < 0.5


@pytest.mark.parametrize("sample_rate", [22_050, 48_000])
def test_chroma_does_not_depend_on_the_sample_rate(sample_rate: int) -> None:
    beats = np.arange(17) * 0.5
    at_44, at_other = (spectrogram(signals.chord_progression(sample_rate=rate)) for rate in (44_100, sample_rate))
    by_beat = [beat_synchronous(chromagram(spectrum), spectrum.times, beats) for spectrum in (at_44, at_other)]
    assert correlation(*by_beat) > 0.999


@pytest.mark.plugins
def test_golden_chroma() -> None:
    """Two other mappings, one on a constant-Q transform, see the same chords (theirs are normalised by frame)."""
    librosa = pytest.importorskip("librosa", reason="the golden values are librosa's")
    audio = signals.chord_progression()
    spectrum = spectrogram(audio)
    ours = chromagram(spectrum)
    ours = ours / ours.max(axis=0)
    settings = {"y": audio.mono(), "sr": audio.sample_rate, "hop_length": spectrum.hop, "tuning": 0}
    assert correlation(ours, librosa.feature.chroma_cqt(**settings)) > 0.9
    beats = np.arange(33) * 0.5
    theirs = librosa.feature.chroma_stft(n_fft=8192, **settings)
    by_beat = [beat_synchronous(chroma, spectrum.times, beats) for chroma in (ours, theirs)]
    assert correlation(*by_beat) > 0.9


def test_a_window_too_short_for_pitches() -> None:
    with pytest.raises(UsageError, match="64 samples"):
        chromagram(spectrogram(signals.noise(0.1), n_fft=64))


# ------------------------------------------------------------------------------------------------------------- gain
@pytest.mark.parametrize("gain", [1e-3, 0.1, 4.0])
def test_gain_scales_features_as_promised(gain: float) -> None:
    song = signals.mix(signals.band(bars=2)[0])
    before, after = spectrogram(song), spectrogram(scaled(song, gain))
    assert np.allclose(chromagram(after), chromagram(before) * math.sqrt(gain), rtol=1e-2, atol=1e-4 * math.sqrt(gain))
    assert np.allclose(onset_strength(after), onset_strength(before), rtol=1e-3, atol=1e-5)
    assert np.allclose(band_energies(after), band_energies(before) * gain**2, rtol=1e-3)


# ----------------------------------------------------------------------------------------------------------- onsets
def peaks(strength: np.ndarray, spectrum: Spectrum) -> np.ndarray:
    high = (strength[1:-1] > strength[:-2]) & (strength[1:-1] >= strength[2:]) & (strength[1:-1] > strength.max() / 3)
    return spectrum.times[np.flatnonzero(high) + 1]


def test_a_kick_train_lights_the_kick_band_when_it_sounds() -> None:
    times = [0.5, 1.0, 1.5, 2.25, 3.0]
    spectrum = spectrogram(hits(kick(), times, 4.0))
    low, high = onset_strength(spectrum)
    assert peaks(low, spectrum) == pytest.approx(times, abs=0.02)
    assert low.max() > 3 * high.max()


def test_a_snare_train_lights_the_snare_band_when_it_sounds() -> None:
    times = [0.5, 1.0, 1.5, 2.25, 3.0]
    noise = np.random.default_rng(0).standard_normal(8000)
    burst = np.diff(noise) * np.exp(-np.arange(7999) / 2000)  # differentiated: next to nothing below 150 Hz
    spectrum = spectrogram(hits(burst, times, 4.0))
    low, high = onset_strength(spectrum)
    assert peaks(high, spectrum) == pytest.approx(times, abs=0.02)
    assert high.max() > 3 * low.max()


def test_drums_of_a_band_start_on_its_beats() -> None:
    stems, analysis = signals.band(bars=4)
    spectrum = spectrogram(stems.stems["drums"])
    kicks, snares = onset_strength(spectrum)
    assert analysis.beats is not None
    assert peaks(kicks, spectrum) == pytest.approx(analysis.beats[::2], abs=0.02)
    assert peaks(snares, spectrum) == pytest.approx(analysis.beats, abs=0.02)  # a kick's beater counts too


def test_a_held_tone_starts_once() -> None:
    spectrum = spectrogram(signals.tone(440.0, 3.0))
    strength = onset_strength(spectrum)[1]
    assert strength[spectrum.times > 0.1][:-20].max() < 0.01 * strength.max()


def test_a_band_without_a_bin() -> None:
    with pytest.raises(UsageError, match="3 to 5 Hz"):
        onset_strength(spectrogram(signals.noise(0.1)), [(3.0, 5.0)])


# --------------------------------------------------------------------------------------------------------- energies
@pytest.mark.parametrize(("frequency", "band"), [(110.0, 0), (440.0, 1), (5000.0, 2)])
def test_a_sine_counts_half_its_squared_amplitude_in_its_band(frequency: float, band: int) -> None:
    energies = band_energies(spectrogram(signals.tone(frequency, 1.0, amplitude=0.5)))[:, 10:-10].mean(axis=1)
    assert energies[band] == pytest.approx(0.125, rel=1e-3)
    assert np.delete(energies, band).max() < 1e-5


def test_bands_sum_to_the_power() -> None:
    audio = signals.noise(4.0, channels=1)
    energies = band_energies(spectrogram(audio))
    assert energies[:, 10:-10].sum(axis=0).mean() == pytest.approx(np.mean(audio.samples**2), rel=0.02)


def test_bands_sum_to_the_band_around_them() -> None:
    spectrum = spectrogram(signals.mix(signals.band(bars=1)[0]))
    parts = band_energies(spectrum, [0, 100, 500, 2000, math.inf])
    assert np.allclose(parts.sum(axis=0), band_energies(spectrum, [0, math.inf])[0], rtol=1e-4)


@pytest.mark.parametrize("edges", [[], [100.0], [0.0, 200.0, 200.0], [300.0, 100.0]])
def test_edges_must_increase(edges: list[float]) -> None:
    with pytest.raises(UsageError, match="the band edges are"):
        band_energies(spectrogram(signals.noise(0.1)), edges)


# ------------------------------------------------------------------------------------------------- beat-synchronous
HOP = 0.01
matrices = hnp.arrays(
    np.float64, st.tuples(st.integers(1, 4), st.integers(2, 60)), elements=st.floats(0, 1e3, allow_subnormal=False)
)
boundary_lists = st.lists(st.floats(-0.5, 1.5), min_size=2, max_size=12).map(sorted)


def frame_times(features: np.ndarray) -> np.ndarray:
    return np.arange(features.shape[1]) * HOP


def naive(features: np.ndarray, times: np.ndarray, start: float, stop: float, reduce: str) -> np.ndarray:
    inside = [index for index, time in enumerate(times) if start <= time < stop]
    if not inside:
        middle = (start + stop) / 2
        nearest = min(range(len(times)), key=lambda index: abs(times[index] - middle))
        inside = [nearest]
        if abs(times[nearest] - middle) > HOP / 2:
            return np.zeros(len(features))
    return getattr(np, reduce)(features[:, inside], axis=1)


@pytest.mark.parametrize("reduce", ["mean", "median"])
@given(features=matrices, boundaries=boundary_lists)
def test_as_a_plain_loop_has_it(reduce: str, features: np.ndarray, boundaries: list[float]) -> None:
    times = frame_times(features)
    result = beat_synchronous(features, times, boundaries, reduce=reduce)
    for index in range(len(boundaries) - 1):
        start, stop = boundaries[index : index + 2]
        expected = naive(features, times, start, stop, reduce)
        if not np.allclose(result[:, index], expected):
            # Half way between two frames, or half a frame outside, rounding decides.
            assert not any(start <= time < stop for time in times)
            middle = (start + stop) / 2
            assert (middle / HOP) % 1 == pytest.approx(0.5, abs=1e-6)


@given(value=st.floats(0, 1e6), boundaries=st.lists(st.floats(0, 0.59), min_size=2, max_size=12).map(sorted))
@pytest.mark.parametrize("reduce", ["mean", "median"])
def test_a_constant_stays_what_it_is(reduce: str, value: float, boundaries: list[float]) -> None:
    features = np.full((2, 60), value)
    assert beat_synchronous(features, frame_times(features), boundaries, reduce=reduce) == pytest.approx(value)


@given(features=matrices, boundaries=boundary_lists)
def test_joining_intervals_is_the_mean_weighted_by_their_frames(features: np.ndarray, boundaries: list[float]) -> None:
    times = frame_times(features)
    counts = np.diff(np.searchsorted(times, boundaries))
    joined = beat_synchronous(features, times, [boundaries[0], boundaries[-1]])[:, 0]
    if counts.sum() > 0:
        parts = beat_synchronous(features, times, boundaries)
        assert joined == pytest.approx(parts @ counts / counts.sum(), abs=1e-6)


@given(features=matrices, boundaries=boundary_lists, data=st.data())
def test_rows_are_independent(features: np.ndarray, boundaries: list[float], data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(features))))
    result = beat_synchronous(features, frame_times(features), boundaries)
    assert np.array_equal(beat_synchronous(features[order], frame_times(features), boundaries), result[order])


@given(features=matrices, seed=st.integers(0, 100))
def test_the_order_of_frames_within_an_interval_does_not_matter(features: np.ndarray, seed: int) -> None:
    times = frame_times(features)
    middle = len(times) // 2
    generator = np.random.default_rng(seed)
    order = np.concatenate([generator.permutation(middle), middle + generator.permutation(len(times) - middle)])
    boundaries = [0, times[middle], times[-1] + HOP]
    for reduce in ("mean", "median"):
        one, other = (
            beat_synchronous(part, times, boundaries, reduce=reduce) for part in (features, features[:, order])
        )
        assert one == pytest.approx(other)


def test_silence_after_a_loud_beat_is_exactly_silent() -> None:
    features = np.array([[1e8] * 10 + [0.0] * 10 + [1e-6] * 10], np.float32)
    result = beat_synchronous(features, frame_times(features), [0, 0.0999, 0.1999, 0.3])
    assert result[0].tolist() == pytest.approx([1e8, 0.0, 1e-6], rel=1e-6, abs=0)


def test_features_are_not_altered() -> None:
    features = np.ones((2, 30), np.float32)
    features.flags.writeable = False
    assert beat_synchronous(features, frame_times(features), [0.0, 0.1]).dtype == np.float32


@pytest.mark.parametrize(
    ("shape", "frames", "boundaries"),
    [((2, 10), 9, [0, 1]), ((10,), 10, [0, 1]), ((2, 0), 0, [0, 1]), ((2, 10), 10, [0]), ((2, 10), 10, [1, 0])],
)
def test_what_cannot_be_aggregated(shape: tuple[int, ...], frames: int, boundaries: list[float]) -> None:
    with pytest.raises(UsageError):
        beat_synchronous(np.zeros(shape), np.arange(frames) * HOP, boundaries)


def test_a_beat_without_weight_does_not_count() -> None:
    values, weights = np.array([1.0, 0.25, 0.75]), np.array([0.0, 1.0, 3.0])
    assert weighted_mean(values, weights) == weighted_mean(values[1:], weights[1:]) == 0.625
    assert weighted_mean(values, np.zeros(3)) == weighted_mean(np.zeros(0), np.zeros(0)) == 0.0


@pytest.mark.parametrize(
    ("semitones", "expected"),
    [(0, {0: 1.0}), (5, {5: 1.0}), (-13, {11: 1.0}), (0.25, {0: 0.75, 1: 0.25}), (-0.25, {0: 0.75, 11: 0.25})],
)
def test_a_transposed_tone(semitones: float, expected: dict[int, float]) -> None:
    tone, column = np.zeros((2, 12))
    tone[0] = 1
    column[list(expected)] = list(expected.values())
    np.testing.assert_allclose(transposed_chroma(tone, semitones), column)
    stems = np.stack([tone, tone])[:, :, None].astype(np.float32)
    moved = transposed_chroma(stems, semitones, axis=1)
    assert moved.dtype == np.float32
    np.testing.assert_allclose(moved[1, :, 0], column, rtol=1e-6)
