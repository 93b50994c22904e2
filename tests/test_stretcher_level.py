"""keep_level makes up for what an engine loses, by one gain, and for nothing else."""

import numpy as np
import pytest

from mashkit.interfaces.stretcher import keep_level
from mashkit.testing import signals
from mashkit.types import Audio
from mashkit.types.timemap import TimeMap

SAME = TimeMap((0.0, 1.0), (0.0, 1.0))


def gained(audio: Audio, factor: float) -> Audio:
    return Audio(audio.samples * np.float32(factor), audio.sample_rate)


def gain_db(before: Audio, after: Audio) -> float:
    """Return the one gain by which ``after`` differs from ``before``, dB."""
    loud = np.abs(before.samples) > 0.1 * before.peak
    gains = after.samples[loud] / before.samples[loud]
    assert np.ptp(gains) < 1e-5
    return float(20 * np.log10(gains.mean()))


@pytest.mark.parametrize(("lost_db", "made_up_db"), [(0.0, 0.0), (3.0, 3.0), (5.9, 5.9), (10.0, 6.0), (-3.0, 0.0)])
def test_a_loss_is_made_up_by_one_gain_of_at_most_6_db(lost_db: float, made_up_db: float) -> None:
    noise = signals.noise(1.0)
    uneven = Audio(noise.samples * np.array([[1.0], [0.1]], np.float32), noise.sample_rate)
    made = gained(uneven, 10 ** (-lost_db / 20))
    assert gain_db(made, keep_level(uneven, made, SAME)) == pytest.approx(made_up_db, abs=1e-4)


def test_a_constant_offset_does_not_count() -> None:
    # It passes a phase vocoder unharmed, and would hide the loss of the music.
    noise = signals.noise(1.0)
    quieter = gained(noise, 0.7)
    kept = keep_level(Audio(noise.samples + 1, noise.sample_rate), Audio(quieter.samples + 1, noise.sample_rate), SAME)
    assert np.std(kept.samples) == pytest.approx(np.std(noise.samples), rel=1e-4)


def test_parts_that_are_played_slower_count_for_longer() -> None:
    loud, quiet = signals.noise(1.0).samples, signals.noise(1.0, seed=1).samples * np.float32(0.1)
    audio = Audio(np.concatenate([loud, quiet], axis=1), signals.SAMPLE_RATE)
    faster_then_slower = TimeMap((0.0, 1.0, 2.0), (0.0, 0.5, 2.5))
    played = np.concatenate([loud[:, ::2], np.repeat(quiet, 2, axis=1)], axis=1)  # as strong, moment by moment
    made = Audio(played, signals.SAMPLE_RATE)
    assert gain_db(made, keep_level(audio, made, faster_then_slower)) == pytest.approx(0.0, abs=0.3)


@pytest.mark.parametrize("seconds", [0.0, 1 / signals.SAMPLE_RATE, 0.39])
def test_short_sounds_stay_as_they_are(seconds: float) -> None:
    # An engine spreads them over a window, most of which may lie outside the result.
    sound = signals.noise(seconds)
    made = gained(sound, 0.5)
    assert keep_level(sound, made, SAME) is made


@pytest.mark.parametrize("value", [33 / 32768, 0.1, 0.3])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_constant_is_silence(value: float, channels: int) -> None:
    # Its power about the mean may come out below zero, by rounding.
    constant = Audio(np.full((channels, 88_277), value, np.float32), signals.SAMPLE_RATE)
    for speed in (0.9, 0.93, 1.1):
        assert keep_level(constant, constant, TimeMap((0.0, speed), (0.0, 1.0))) is constant


def test_silence_is_not_made_louder() -> None:
    silence, noise = signals.silence(1.0), signals.noise(1.0)
    assert keep_level(silence, silence, SAME) is silence
    assert keep_level(noise, silence, SAME) is silence
    assert keep_level(silence, noise, SAME) is noise
