"""Silence is judged by the loudest second."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mashkit.audio import levels
from mashkit.audio.silence import SILENCE_DB, is_silent, loudest_second_db, sounding_seconds
from mashkit.testing import signals
from mashkit.types import Audio


def at_level(level_db: float, seconds: float = 2.0, sample_rate: int = 8_000, channels: int = 1) -> Audio:
    """A square wave, whose root mean square is its amplitude."""
    wave = np.where(np.arange(round(seconds * sample_rate)) % 40 < 20, 1.0, -1.0)
    return Audio(10 ** (level_db / 20) * np.tile(wave, (channels, 1)), sample_rate)


@pytest.mark.parametrize("seconds", [0.0, 0.001, 0.5, 3.0])
def test_zeros_are_silent(seconds: float) -> None:
    assert is_silent(signals.silence(seconds))


@given(threshold=st.floats(-90.0, -20.0), above=st.floats(0.01, 20.0), channels=st.integers(1, 2))
def test_the_threshold_divides(threshold: float, above: float, channels: int) -> None:
    assert not is_silent(at_level(threshold + above, channels=channels), threshold)
    assert is_silent(at_level(threshold - above, channels=channels), threshold)


@given(start=st.floats(0.0, 8.0), length=st.sampled_from([0.1, 1.0, 1.9]))
def test_the_loudest_second_decides_wherever_it_lies(start: float, length: float) -> None:
    burst = at_level(-40.0, length).samples
    samples = np.zeros((1, 80_000), np.float32)
    first = round(start * 8_000)
    samples[:, first : first + burst.shape[1]] = burst
    level = -40.0 + 10 * np.log10(min(length, 1.0))
    assert not is_silent(Audio(samples, 8_000), level - 0.1)
    assert is_silent(Audio(samples, 8_000), level + 0.1)


@given(offset=st.floats(-0.9, 0.9), level=st.floats(-70.0, -20.0), channels=st.integers(1, 2))
def test_an_offset_of_each_channel_makes_no_sound(offset: float, level: float, channels: int) -> None:
    offsets = np.linspace(offset, -offset / 2, channels)[:, None]
    wave = at_level(level, channels=channels)
    moved = Audio(wave.samples + offsets, wave.sample_rate)
    assert loudest_second_db(moved) == pytest.approx(level, abs=0.02)  # samples are float32
    only = Audio(np.broadcast_to(offsets, wave.samples.shape), wave.sample_rate)
    assert loudest_second_db(only) == -math.inf
    pause = Audio(np.concatenate([only.samples, moved.samples], axis=1), wave.sample_rate)
    assert sounding_seconds(pause).tolist() == [False, False, True, True]


@pytest.mark.parametrize("frames", [0, 1, 7_999, 8_000, 20_500])
def test_seconds_that_sound_are_judged_one_by_one(frames: int) -> None:
    audio = signals.noise(3.0, sample_rate=8_000).excerpt(0, frames / 8_000)
    assert sounding_seconds(audio).shape == (math.ceil(frames / 8_000),)
    assert sounding_seconds(audio).all() or frames == 1  # one sample is no sound


def test_less_than_a_second_is_judged_whole() -> None:
    assert not is_silent(at_level(SILENCE_DB + 1, seconds=0.05))
    assert is_silent(at_level(SILENCE_DB - 1, seconds=0.05))


def test_opposite_phases_are_not_silent_but_their_sum_is() -> None:
    wave = at_level(-10.0).samples
    opposed = Audio(np.concatenate([wave, -wave]), 8_000)
    assert not is_silent(opposed)
    assert is_silent(Audio(opposed.mono()[None], opposed.sample_rate))


def test_the_input_is_not_altered() -> None:
    audio = signals.noise(1.5)
    before = audio.samples.copy()
    is_silent(audio)
    assert np.array_equal(audio.samples, before)


@pytest.mark.parametrize("frames", [1, 2, 3, 500, 8_000, 8_001, 20_000])
@pytest.mark.parametrize("block", [1_000, 7_999, 8_000])
def test_long_audio_is_measured_in_pieces_to_the_same_end(
    frames: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(frames)
    samples = random.normal(0, 0.3, (2, frames)).astype(np.float32).clip(-0.5, 0.5)
    samples[1] *= np.float32(1e-4)
    samples += np.float32(0.1)
    audio = Audio(samples, 8_000)
    whole = loudest_second_db(audio), levels.complaints(audio)
    monkeypatch.setattr("mashkit.audio.silence._BLOCK", block)
    monkeypatch.setattr("mashkit.audio.levels._BLOCK", block)
    assert loudest_second_db(audio) == pytest.approx(whole[0], rel=1e-9)
    assert levels.complaints(audio) == whole[1]
