"""Define the contract tests of analyzers."""

from __future__ import annotations

from typing import Any, ClassVar, cast

import numpy as np
import numpy.typing as npt
import pytest

from mashkit.components import Component
from mashkit.interfaces import Analyzer
from mashkit.interfaces.analyzer import ANALYSIS_FIELDS
from mashkit.synthetic import signals
from mashkit.testing.contracts.component import ComponentContract, sanity
from mashkit.types import Analysis, Audio, Key, Times, chord_tones


class AnalyzerContract(ComponentContract):
    """Requirements for every analyzer.

    Examples
    --------
    >>> from mashkit.testing import AnalyzerContract
    >>> class TestLibrosa(AnalyzerContract):  # in a test file: pytest runs its checks
    ...     component = "librosa"
    >>> [name for name in vars(AnalyzerContract) if name.startswith("test_")][:3]
    ['test_provides_known_fields', 'test_fills_what_it_provides', 'test_key_of_clear_chords']
    """

    kind = "analyzer"
    tempo: ClassVar[float] = 112.0

    @pytest.fixture(scope="class")
    @classmethod
    def song(cls) -> tuple[Audio, Analysis]:
        """Return a band in A major, and its exact analysis."""
        stems, analysis = signals.band(Key(9, "major"), tempo=cls.tempo, bars=12)
        return signals.mix(stems), analysis

    @pytest.fixture(scope="class")
    @classmethod
    def found(cls, subject: Analyzer, song: tuple[Audio, Analysis]) -> Analysis:
        """Return the analyzer's result for ``song``."""
        return subject.analyze(song[0])

    def _assert_beats_agree(self, one: Times, other: Times) -> None:
        """Assert that nine of ten beats of the one lie within 20 ms of a beat of the other."""
        late = np.abs(one[:, None] - other[None]).min(axis=1)
        assert np.mean(late < 0.02) > 0.9

    def _outcome(self, subject: Component) -> dict[str, npt.NDArray[np.float64]]:
        assert isinstance(subject, Analyzer)
        found = subject.analyze(signals.mix(signals.band(Key(9, "major"), tempo=self.tempo, bars=4)[0]))
        key = None if found.key is None else [12 * (found.key.mode == "minor") + found.key.tonic]
        fields = {
            "key": key,
            "tempo": found.tempo,
            "beats": found.beats,
            "downbeats": found.downbeats,
            "chords": None if found.chords is None else found.chords.times,
            "melody": None if found.melody is None else found.melody.f0,
        }
        return {name: np.atleast_1d(np.asarray(value, float)) for name, value in fields.items() if value is not None}

    def test_provides_known_fields(self, subject: Analyzer) -> None:
        assert subject.info.provides <= ANALYSIS_FIELDS

    def test_fills_what_it_provides(self, subject: Analyzer, found: Analysis) -> None:
        for field in subject.info.provides:
            assert getattr(found, field) is not None, field

    @sanity
    def test_key_of_clear_chords(self, subject: Analyzer) -> None:
        if "key" not in subject.info.provides:
            pytest.skip("provides no key")
        for tonic in (2, 7):
            assert subject.analyze(signals.chord_progression(Key(tonic, "major"))).key == Key(tonic, "major")

    @sanity
    @pytest.mark.parametrize("semitones", [-4, 1, 6])
    def test_transposing_moves_the_key(self, subject: Analyzer, semitones: int) -> None:
        if "key" not in subject.info.provides:
            pytest.skip("provides no key")
        one = Key(7, "major")
        found, moved = (
            subject.analyze(signals.chord_progression(key, seconds=6.0)).key for key in (one, one.transposed(semitones))
        )
        assert found is not None
        assert moved == found.transposed(semitones)

    @sanity
    @pytest.mark.parametrize("cents", [-45.0, 34.0])
    def test_key_and_tuning_say_what_sounds(self, subject: Analyzer, cents: float) -> None:
        if "key" not in subject.info.provides:
            pytest.skip("provides no key")
        key = Key(7, "major")
        found = subject.analyze(signals.retuned(signals.chord_progression(key, seconds=8.0), cents))
        assert found.key == key
        assert found.tuning == pytest.approx(cents, abs=5.0)

    @sanity
    @pytest.mark.parametrize("semitones", [0, 5])
    def test_chords_of_a_progression(self, subject: Analyzer, semitones: int) -> None:
        if "chords" not in subject.info.provides:
            pytest.skip("provides no chords")
        key = Key(7, "major").transposed(semitones)
        found = subject.analyze(signals.chord_progression(key, seconds=16.0)).chords
        assert found is not None
        # In the middle of each second: I, IV, V, I, a second each. Only roots and thirds have to be right.
        due = [{(key.tonic + root) % 12, (key.tonic + root + 4) % 12} for root in (0, 5, 7, 0)] * 4
        heard = found.at(np.arange(16) + 0.5)
        right = [tones <= chord_tones(label) for tones, label in zip(due, heard, strict=True)]
        assert np.mean(right) > 0.75

    @sanity
    @pytest.mark.parametrize("pitch", [52.0, 64.3, 76.0])
    def test_melody_of_a_voice(self, subject: Analyzer, pitch: float) -> None:
        if "melody" not in subject.info.provides:
            pytest.skip("provides no melody")
        hertz = 440 * 2 ** ((pitch - 69) / 12)
        parts = [signals.tone(hertz * number, 4.0, amplitude=0.4 / number).samples for number in range(1, 7)]
        voice = np.pad(np.sum(parts, axis=0, dtype=np.float32), ((0, 0), (2 * 44_100, 0)))
        found = subject.analyze(Audio(voice, 44_100)).melody
        assert found is not None
        sung = (found.times > 2.2) & (found.times < 5.8)
        assert np.mean(found.voiced[sung]) > 0.95
        assert np.nanmedian(np.abs(found.pitches[sung] - pitch)) < 0.25
        assert np.mean(found.voiced[found.times < 1.8]) < 0.05

    @sanity
    @pytest.mark.parametrize("speed", [0.85, 1.2])
    def test_faster_clicks_have_a_faster_tempo(self, subject: Analyzer, speed: float) -> None:
        if "tempo" not in subject.info.provides:
            pytest.skip("provides no tempo")
        clicks = signals.click_times(12.0, 104.0)
        tempo, faster = (
            subject.analyze(signals.click_train(clicks / rate, 12.0 / rate)).tempo for rate in (1.0, speed)
        )
        assert tempo is not None
        assert faster == pytest.approx(tempo * speed, rel=0.01)

    def test_candidates_descend(self, found: Analysis) -> None:
        strengths = [strength for _, strength in found.tempo_candidates]
        assert strengths == sorted(strengths, reverse=True)
        if found.tempo is not None and strengths:
            assert min(abs(bpm / found.tempo - 1) for bpm, _ in found.tempo_candidates) < 0.04

    @sanity
    def test_stereo_of_equal_channels_is_mono(self, subject: Analyzer) -> None:
        stereo = signals.chord_progression(Key(5, "major"), seconds=4.0)
        mono = subject.analyze(Audio(stereo.samples[:1], stereo.sample_rate))
        assert subject.analyze(stereo) == mono

    @sanity
    def test_tempo_up_to_octaves(self, subject: Analyzer, found: Analysis) -> None:
        if found.tempo is None:
            pytest.skip("provides no tempo")
        octaves = np.log2(found.tempo / self.tempo)
        assert abs(octaves - round(octaves)) < 0.03

    @sanity
    def test_beats_of_a_band(self, found: Analysis, song: tuple[Audio, Analysis]) -> None:
        if found.beats is None:
            pytest.skip("provides no beats")
        truth = cast("np.ndarray[Any, np.dtype[np.float64]]", song[1].beats)
        halves = np.sort(np.concatenate([truth, truth[:-1] + np.diff(truth) / 2]))  # a double tempo is allowed here
        distances = np.abs(found.beats[:, None] - halves[None]).min(axis=1)
        assert len(found.beats) > len(truth) / 3
        assert np.mean(distances < 0.07) > 0.9

    @sanity
    def test_beats_lie_on_beats_not_between(self, found: Analysis, song: tuple[Audio, Analysis]) -> None:
        if found.beats is None:
            pytest.skip("provides no beats")
        truth = cast("np.ndarray[Any, np.dtype[np.float64]]", song[1].beats)
        counted = len(found.beats) / len(truth)
        if any(0.8 < counted / octave < 1.25 for octave in (0.5, 2)):
            pytest.skip("counts in halves or doubles")
        distances = np.abs(found.beats[:, None] - truth[None]).min(axis=1)
        assert np.mean(distances < 0.07) > 0.9

    @sanity
    def test_downbeats_of_a_band(self, found: Analysis, song: tuple[Audio, Analysis]) -> None:
        if found.downbeats is None:
            pytest.skip("provides no downbeats")
        truth = cast("np.ndarray[Any, np.dtype[np.float64]]", song[1].downbeats)
        distances = np.abs(found.downbeats[:, None] - truth[None]).min(axis=1)
        assert len(found.downbeats) > len(truth) / 3
        assert np.mean(distances < 0.07) > 0.75

    @sanity
    @pytest.mark.parametrize("gain", [0.1, 8.0])
    def test_level_does_not_matter(
        self, subject: Analyzer, found: Analysis, song: tuple[Audio, Analysis], gain: float
    ) -> None:
        scaled = subject.analyze(Audio(song[0].samples * np.float32(gain), song[0].sample_rate))
        assert scaled.key == found.key
        if found.beats is not None:
            assert scaled.beats is not None
            self._assert_beats_agree(scaled.beats, found.beats)

    def test_an_offset_does_not_change_the_analysis(
        self, subject: Analyzer, found: Analysis, song: tuple[Audio, Analysis]
    ) -> None:
        offset = np.linspace(0.3, 0.1, song[0].channels, dtype=np.float32)[:, None]
        moved = subject.analyze(Audio(song[0].samples + offset, song[0].sample_rate))
        assert moved.key == found.key
        assert moved.tempo == (found.tempo and pytest.approx(found.tempo, rel=0.01))
        assert (moved.beats is None) == (found.beats is None)
        if moved.beats is not None and found.beats is not None:
            self._assert_beats_agree(moved.beats, found.beats)

    @sanity
    def test_silence_before_moves_the_beats(
        self, subject: Analyzer, found: Analysis, song: tuple[Audio, Analysis]
    ) -> None:
        if found.beats is None:
            pytest.skip("provides no beats")
        delay = 1.2345  # not a whole number of an analyzer's frames
        later = Audio(np.pad(song[0].samples, ((0, 0), (round(delay * song[0].sample_rate), 0))), song[0].sample_rate)
        beats = subject.analyze(later).beats
        assert beats is not None
        # The first bars are left out, because an analyzer may analyse them differently at the beginning of the audio.
        moved = found.beats[found.beats > 4] + delay
        assert np.mean(np.abs(moved[:, None] - beats[None]).min(axis=1) < 0.03) > 0.9

    def test_input_is_not_altered(self, subject: Analyzer, song: tuple[Audio, Analysis]) -> None:
        before = song[0].samples.copy()
        subject.analyze(song[0])
        assert np.array_equal(song[0].samples, before)

    def test_same_input_same_analysis(self, subject: Analyzer, found: Analysis, song: tuple[Audio, Analysis]) -> None:
        assert subject.analyze(song[0]) == found

    @pytest.mark.parametrize("offset", [0.0, 0.5])
    def test_silence_has_no_answer(self, subject: Analyzer, offset: float) -> None:
        silence = signals.silence(5.0)
        constant = Audio(silence.samples + np.float32(offset), silence.sample_rate)
        assert subject.analyze(constant) == Analysis()

    @pytest.mark.parametrize("seconds", [0.001, 0.2, 1.0])
    def test_short_audio(self, subject: Analyzer, seconds: float) -> None:
        subject.analyze(signals.noise(seconds))  # any result is allowed that is a valid analysis

    @sanity
    @pytest.mark.parametrize(("channels", "sample_rate"), [(1, 44_100), (2, 22_050), (1, 8_000), (2, 48_000)])
    def test_other_formats(self, subject: Analyzer, channels: int, sample_rate: int) -> None:
        times = signals.click_times(8.0, 120.0)
        found = subject.analyze(signals.click_train(times, 8.0, channels=channels, sample_rate=sample_rate))
        if found.tempo is not None:
            octaves = np.log2(found.tempo / 120.0)
            assert abs(octaves - round(octaves)) < 0.03

    def test_threads(self, subject: Analyzer, song: tuple[Audio, Analysis]) -> None:
        self._assert_threads_agree(subject, lambda one: one.analyze(song[0]), lambda one, other: one == other)
