"""Define the contract tests of stretchers."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pytest

from mashkit.audio.levels import loudness
from mashkit.components import Component
from mashkit.errors import TimeMapError, UsageError
from mashkit.interfaces import Stretcher
from mashkit.interfaces.stretcher import mapped_frames, stretched_frames
from mashkit.synthetic import signals
from mashkit.testing.contracts.component import ComponentContract, sanity
from mashkit.types import Audio, Times
from mashkit.types.timemap import TimeMap


def map_errors(
    stretcher: Stretcher,
    times: Times,
    time_map: TimeMap,
    *,
    semitones: float = 0.0,
    sample_rate: int = signals.SAMPLE_RATE,
) -> Times:
    """Return how late each click of a train sounds after it is stretched along a time map, seconds."""
    clicks = signals.click_train(times, time_map.source[-1], sample_rate=sample_rate)
    due = time_map.to_target(times)
    stretched = stretcher.stretch(clicks, time_map=time_map, semitones=semitones)
    return signals.click_positions(stretched, due, window=0.1) - due


def _skip_without_time_map(subject: Stretcher) -> None:
    if not subject.follows_time_maps:
        pytest.skip("follows no time map")


class StretcherContract(ComponentContract):
    """Requirements for every stretcher.

    Examples
    --------
    >>> from mashkit.testing import StretcherContract
    >>> class TestSignalsmith(StretcherContract):  # in a test file: pytest runs its checks
    ...     component = "signalsmith"
    >>> [name for name in vars(StretcherContract) if name.startswith("test_")][:3]
    ['test_length_is_exact', 'test_empty_stays_empty', 'test_nothing_to_do_does_nothing']
    """

    kind = "stretcher"
    drift_s: ClassVar[float] = 0.02
    """Largest allowed error of a click within a minute, seconds; with more drift a stretcher cannot keep the beat."""
    level_db: ClassVar[float] = 1.2
    """Largest allowed change of the loudness of music, dB."""

    def _outcome(self, subject: Component) -> dict[str, npt.NDArray[np.float64]]:
        assert isinstance(subject, Stretcher)
        stretched = subject.stretch(signals.chord_progression(seconds=2.0), speed=0.93, semitones=-2.0)
        return {"stretched": stretched.samples.astype(np.float64)}

    @pytest.mark.parametrize("speed", [0.8, 0.95, 1.0, 1.07, 1.25, 2.0])
    @pytest.mark.parametrize("semitones", [-3.0, 0.0, 1.5])
    @pytest.mark.parametrize("frames", [1, 100, 12_345])
    def test_length_is_exact(self, subject: Stretcher, speed: float, semitones: float, frames: int) -> None:
        audio = Audio(signals.noise(1.0).samples[:, :frames], signals.SAMPLE_RATE)
        assert subject.stretch(audio, speed=speed, semitones=semitones).frames == stretched_frames(frames, speed)

    def test_empty_stays_empty(self, subject: Stretcher) -> None:
        assert subject.stretch(signals.silence(0.0), speed=1.1, semitones=1).frames == 0

    def test_nothing_to_do_does_nothing(self, subject: Stretcher) -> None:
        audio = signals.noise(0.5)
        assert subject.stretch(audio) is audio

    @sanity
    @pytest.mark.parametrize(("speed", "semitones"), [(0.8, 0), (0.9, 0), (1.1, 0), (1.25, 0), (1.1, -3), (1.0, 3)])
    def test_clicks_stay_in_time_for_a_minute(self, subject: Stretcher, speed: float, semitones: float) -> None:
        times = signals.click_times(60.0, 120.0)
        stretched = subject.stretch(signals.click_train(times, 60.0), speed=speed, semitones=semitones)
        errors = signals.click_positions(stretched, times / speed) - times / speed
        assert np.abs(errors).max() < self.drift_s

    @sanity
    @pytest.mark.parametrize("frequency", [110.0, 440.0, 2_000.0])
    @pytest.mark.parametrize("semitones", [-3.0, -0.5, 2.0, 7.0])
    def test_pitch(self, subject: Stretcher, semitones: float, frequency: float) -> None:
        stretched = subject.stretch(signals.tone(frequency, 4.0), speed=1.1, semitones=semitones)
        # Listeners notice about 20 cents.
        assert abs(signals.cents_off(stretched, frequency * 2 ** (semitones / 12))) < 15

    @sanity
    @pytest.mark.parametrize("frequency", [220.0, 880.0])
    @pytest.mark.parametrize("semitones", [-2.57, 0.43])
    def test_pitch_to_the_cent(self, subject: Stretcher, semitones: float, frequency: float) -> None:
        # Songs that are not at A = 440 Hz are shifted by cents to be in tune.
        stretched = subject.stretch(signals.tone(frequency, 4.0), semitones=semitones)
        assert abs(signals.cents_off(stretched, frequency * 2 ** (semitones / 12))) < 5

    @sanity
    @pytest.mark.parametrize("speed", [0.8, 1.25])
    def test_the_first_attack_is_kept(self, subject: Stretcher, speed: float) -> None:
        stretched = subject.stretch(signals.click_train([0.0, 1.0], 2.0), speed=speed)
        beginning, whole = np.abs(stretched.samples[:, :1_000]).max(), stretched.peak
        assert beginning > 0.25 * whole

    @sanity
    @pytest.mark.parametrize("speed", [0.83, 1.2])
    def test_there_and_back(self, subject: Stretcher, speed: float) -> None:
        times = np.arange(0.0, 8.0, 0.5)
        clicks = signals.click_train(times, 8.0)
        back = subject.stretch(subject.stretch(clicks, speed=speed), speed=1 / speed)
        assert abs(back.frames - clicks.frames) <= 1
        # A delay in each direction counts twice.
        errors = signals.click_positions(back, times) - times
        assert np.abs(errors).max() < 2 * self.drift_s
        # The first click begins in the first frame.
        assert np.abs(back.samples[:, :1_000]).max() > 0.25 * back.peak

    @sanity
    @pytest.mark.parametrize(("speed", "semitones"), [(0.8, 0), (1.25, 0), (1, -5), (1, -2), (1, 3), (0.9, 3)])
    def test_music_keeps_its_loudness(self, subject: Stretcher, speed: float, semitones: float) -> None:
        # A stem that is stretched and one that is not would be out of balance in a mashup.
        music = signals.mix(signals.band(bars=3)[0])
        before, after = (loudness(audio) for audio in (music, subject.stretch(music, speed=speed, semitones=semitones)))
        assert before is not None
        assert after is not None
        assert abs(after - before) < self.level_db

    def test_peaks_above_one_survive(self, subject: Stretcher) -> None:
        loud = signals.tone(440.0, 1.0, amplitude=3.0)
        assert subject.stretch(loud, speed=1.1).peak > 2.0

    def test_input_is_not_altered(self, subject: Stretcher) -> None:
        audio = signals.noise(1.0)
        before = audio.samples.copy()
        subject.stretch(audio, speed=0.9, semitones=1.0)
        if subject.follows_time_maps:
            subject.stretch(audio, time_map=TimeMap((0, 0.5, 1), (0, 0.4, 1)))
        assert np.array_equal(audio.samples, before)

    def test_silence_gives_silence(self, subject: Stretcher) -> None:
        assert subject.stretch(signals.silence(1.0), speed=0.9, semitones=1.0).peak < 1e-4

    @sanity
    @pytest.mark.parametrize("semitones", [0.0, 2.0])
    def test_clicks_follow_a_time_map(self, subject: Stretcher, semitones: float) -> None:
        _skip_without_time_map(subject)
        errors = map_errors(subject, *signals.drift(), semitones=semitones)
        assert np.abs(errors).max() < self.drift_s

    @pytest.mark.parametrize("frames", [1, 100, 12_345, 100_000])
    def test_length_along_a_time_map_is_exact(self, subject: Stretcher, frames: int) -> None:
        _skip_without_time_map(subject)
        audio = Audio(signals.noise(3.0).samples[:, :frames], signals.SAMPLE_RATE)
        for time_map in (TimeMap((0, 0.01, 0.5, 2.0), (0, 0.012, 0.45, 2.2)), TimeMap((0, 1, 60), (0, 0.8, 70))):
            due = mapped_frames(frames, time_map, audio.sample_rate)
            assert subject.stretch(audio, time_map=time_map).frames == due

    def test_a_time_map_of_one_speed_is_that_speed(self, subject: Stretcher) -> None:
        audio = signals.chord_progression(seconds=3.0)
        mapped = subject.stretch(audio, time_map=TimeMap((0, 1, 3), (0, 0.8, 2.4)), semitones=1.0)
        np.testing.assert_array_equal(mapped.samples, subject.stretch(audio, speed=1.25, semitones=1.0).samples)

    @sanity
    @pytest.mark.parametrize("semitones", [-3.0, 0.0, 3.0])
    def test_no_click_at_the_knots_of_a_time_map(self, subject: Stretcher, semitones: float) -> None:
        _skip_without_time_map(subject)
        audio = signals.chord_progression(seconds=6.0)
        time_map = TimeMap((0, 1.13, 2.38, 3.95, 6), (0, 1.4125, 2.4125, 4.375, 6.039))  # 0.8, 1.25, 0.8, 1.232
        stretched = subject.stretch(audio, time_map=time_map, semitones=semitones).samples
        # A higher pitch has steeper slopes; the factor 1.3 allows for partials that add up.
        steepest = 1.3 * 2 ** (max(semitones, 0) / 12) * np.abs(np.diff(audio.samples)).max()
        for knot in time_map.target[1:-1]:
            near = round(knot * audio.sample_rate)
            assert np.abs(np.diff(stretched[:, near - 4410 : near + 4410])).max() < steepest

    @sanity
    def test_a_time_map_keeps_the_pitch(self, subject: Stretcher) -> None:
        _skip_without_time_map(subject)
        _, time_map = signals.drift(30.0)  # the speed swings three times
        stretched = subject.stretch(signals.tone(440.0, 30.0), time_map=time_map, semitones=-2.0)
        assert abs(signals.cents_off(stretched, 440.0 * 2 ** (-2 / 12))) < 15

    def test_a_time_map_without_time_map_is_refused(self, subject: Stretcher) -> None:
        if subject.follows_time_maps:
            pytest.skip("follows time maps")
        with pytest.raises(UsageError, match="time map"):
            subject.stretch(signals.noise(1.0), time_map=TimeMap((0, 0.5, 1), (0, 0.4, 1)))

    def test_a_time_map_beyond_half_and_double_is_refused(self, subject: Stretcher) -> None:
        for steep in (TimeMap((0, 0.5, 1), (0, 1.1, 1.6)), TimeMap((0, 0.5, 1), (0, 0.2, 0.7))):
            with pytest.raises(TimeMapError, match="speeds"):
                subject.stretch(signals.noise(1.0), time_map=steep)

    @sanity
    def test_channels_do_not_leak(self, subject: Stretcher) -> None:
        left = signals.noise(1.0, channels=1).samples
        one_sided = Audio(np.concatenate([left, np.zeros_like(left)]), signals.SAMPLE_RATE)
        stretched = subject.stretch(one_sided, speed=1.1, semitones=1.0)
        assert np.abs(stretched.samples[1]).max() < 1e-3
        assert stretched.samples[0].std() > 0.02

    @sanity
    def test_a_quiet_channel_stays_quiet(self, subject: Stretcher) -> None:
        # An engine that processes mid and side passes the check above, because it does not change true silence.
        noise = signals.noise(2.0)
        uneven = Audio(noise.samples * np.array([[1.0], [1e-4]], np.float32), signals.SAMPLE_RATE)
        left, right = subject.stretch(uneven, speed=1.1, semitones=1.0).samples
        assert right.std() < 0.01 * left.std()

    @pytest.mark.parametrize(("channels", "sample_rate"), [(1, 8_000), (2, 48_000), (6, 44_100)])
    def test_other_formats(self, subject: Stretcher, channels: int, sample_rate: int) -> None:
        noise = signals.noise(0.5, channels=channels, sample_rate=sample_rate)
        assert subject.stretch(noise, speed=1.1).samples.std() > 0.02

    def test_same_input_same_output(self, subject: Stretcher) -> None:
        audio = signals.chord_progression(seconds=2.0)
        first, second = (subject.stretch(audio, speed=0.93, semitones=-2.0) for _ in range(2))
        assert np.array_equal(first.samples, second.samples)

    def test_threads(self, subject: Stretcher) -> None:
        audio = signals.chord_progression(seconds=2.0)
        self._assert_threads_agree(
            subject,
            lambda one: one.stretch(audio, speed=0.93, semitones=-2.0),
            lambda one, other: np.array_equal(one.samples, other.samples),
        )
