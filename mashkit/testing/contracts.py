"""What every component of a kind must do, as test classes.

A plugin's whole contract test is::

    from mashkit.testing import StretcherContract


    class TestAcme(StretcherContract):
        component = "acme"

The component is created by name through the registry, so the entry point is tested too; where it is not available
here, its tests skip with the reason.
"""

from __future__ import annotations

import concurrent.futures
import functools
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, cast

import numpy as np
import pytest

from mashkit.components import Component
from mashkit.errors import TimeMapError, UsageError
from mashkit.interfaces import Analyzer, Generator, Scorer, Separator, Stretcher
from mashkit.interfaces.analyzer import ANALYSIS_FIELDS
from mashkit.interfaces.stretcher import mapped_frames, stretched_frames
from mashkit.registry import Registry
from mashkit.render import Mashup, Renderer
from mashkit.testing import signals
from mashkit.timemap import TimeMap
from mashkit.types import Analysis, Audio, Clip, Condition, Key, Layer, MashupPlan, Role, Score, StemSet


@functools.cache
def _registry() -> Registry:
    return Registry()


class ComponentContract:
    """What holds for every kind."""

    component: ClassVar[str]
    options: ClassVar[Mapping[str, Any]] = {}
    kind: ClassVar[str]

    @classmethod
    def create(cls) -> Component:
        """Return a new instance; skip when it is not available here."""
        available = _registry().find(cls.kind, cls.component).availability()
        if not available.ok:
            pytest.skip(f"{cls.kind} {cls.component!r} is not available: {available.reason} ({available.fix})")
        return _registry().create(cls.kind, cls.component, cls.options)

    @pytest.fixture(scope="class")
    @classmethod
    def subject(cls) -> Component:
        """One instance for all the checks of a class: heavy state is built once."""
        return cls.create()

    def test_card_is_complete(self) -> None:
        info = _registry().find(self.kind, self.component).info
        assert info.summary
        assert info.provides
        assert info.code_license
        assert info.weights_license
        assert not info.requires or info.install, "say what to type when a requirement is missing"

    def test_card_on_the_class_is_the_registered_one(self, subject: Component) -> None:
        assert subject.info == _registry().find(self.kind, self.component).info

    def test_fingerprint_is_the_same_for_equal_instances(self, subject: Component) -> None:
        assert self.create().fingerprint() == subject.fingerprint()

    def _assert_threads_agree(self, subject: Component, work: Any, same: Any) -> None:
        if not subject.info.thread_safe:
            pytest.skip("not declared thread-safe")
        alone = work()
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for future in [pool.submit(work) for _ in range(4)]:
                assert same(future.result(), alone)


class SeparatorContract(ComponentContract):
    """What every separator must do."""

    kind = "separator"

    @pytest.fixture(scope="class")
    @classmethod
    def mix(cls) -> Audio:
        """Two bars of a band."""
        return signals.mix(signals.band(bars=2)[0])

    @pytest.fixture(scope="class")
    @classmethod
    def stems(cls, subject: Separator, mix: Audio) -> StemSet:
        """The stems of ``mix``."""
        return subject.separate(mix)

    def test_stems_sum_to_about_the_mix(self, stems: StemSet, mix: Audio) -> None:
        rest = mix.samples - signals.mix(stems).samples
        assert np.sqrt(np.mean(rest**2)) < 0.1 * np.sqrt(np.mean(mix.samples**2))

    def test_input_is_not_altered(self, subject: Separator, mix: Audio) -> None:
        before = mix.samples.copy()
        subject.separate(mix)
        assert np.array_equal(mix.samples, before)

    def test_same_input_same_stems(self, subject: Separator, mix: Audio, stems: StemSet) -> None:
        again = subject.separate(mix)
        for name, stem in stems.stems.items():
            assert np.array_equal(again.stems[name].samples, stem.samples), name

    def test_silence_gives_silence(self, subject: Separator) -> None:
        for name, stem in subject.separate(signals.silence(3.0)).stems.items():
            assert stem.peak < 1e-4, name

    @pytest.mark.parametrize("seconds", [0.001, 0.1, 1.0])
    def test_short_audio(self, subject: Separator, seconds: float) -> None:
        subject.separate(signals.noise(seconds))  # the interface checks frames, rate and channels

    @pytest.mark.parametrize(("channels", "sample_rate"), [(1, 44_100), (2, 22_050), (1, 8_000), (2, 48_000)])
    def test_other_formats(self, subject: Separator, channels: int, sample_rate: int) -> None:
        noise = signals.noise(1.0, channels=channels, sample_rate=sample_rate)
        stems = subject.separate(noise)
        rest = noise.samples - signals.mix(stems).samples
        assert np.sqrt(np.mean(rest**2)) < 0.3 * np.sqrt(np.mean(noise.samples**2))

    def test_threads(self, subject: Separator) -> None:
        noise = signals.noise(1.0)

        def same(one: StemSet, other: StemSet) -> bool:
            return all(np.array_equal(one.stems[name].samples, other.stems[name].samples) for name in one.stems)

        self._assert_threads_agree(subject, lambda: subject.separate(noise), same)


class AnalyzerContract(ComponentContract):
    """What every analyzer must do."""

    kind = "analyzer"
    tempo: ClassVar[float] = 112.0

    @pytest.fixture(scope="class")
    @classmethod
    def song(cls) -> tuple[Audio, Analysis]:
        """A band in A major, and its exact analysis."""
        stems, analysis = signals.band(Key(9, "major"), tempo=cls.tempo, bars=12)
        return signals.mix(stems), analysis

    @pytest.fixture(scope="class")
    @classmethod
    def found(cls, subject: Analyzer, song: tuple[Audio, Analysis]) -> Analysis:
        """What the analyzer says of ``song``."""
        return subject.analyze(song[0])

    def test_provides_known_fields(self, subject: Analyzer) -> None:
        assert subject.info.provides <= ANALYSIS_FIELDS

    def test_fills_what_it_provides(self, subject: Analyzer, found: Analysis) -> None:
        for field in subject.info.provides:
            assert getattr(found, field) is not None, field

    def test_key_of_clear_chords(self, subject: Analyzer) -> None:
        if "key" not in subject.info.provides:
            pytest.skip("provides no key")
        for tonic in (2, 7):
            assert subject.analyze(signals.chord_progression(Key(tonic, "major"))).key == Key(tonic, "major")

    def test_tempo_up_to_octaves(self, subject: Analyzer, found: Analysis) -> None:
        if found.tempo is None:
            pytest.skip("provides no tempo")
        octaves = np.log2(found.tempo / self.tempo)
        assert abs(octaves - round(octaves)) < 0.03

    def test_beats_of_a_band(self, found: Analysis, song: tuple[Audio, Analysis]) -> None:
        if found.beats is None:
            pytest.skip("provides no beats")
        truth = cast("np.ndarray[Any, np.dtype[np.float64]]", song[1].beats)
        halves = np.sort(np.concatenate([truth, truth[:-1] + np.diff(truth) / 2]))  # an octave up is not the phase
        distances = np.abs(found.beats[:, None] - halves[None]).min(axis=1)
        assert np.mean(distances < 0.07) > 0.9

    def test_input_is_not_altered(self, subject: Analyzer, song: tuple[Audio, Analysis]) -> None:
        before = song[0].samples.copy()
        subject.analyze(song[0])
        assert np.array_equal(song[0].samples, before)

    def test_same_input_same_analysis(self, subject: Analyzer, found: Analysis, song: tuple[Audio, Analysis]) -> None:
        assert subject.analyze(song[0]) == found

    def test_silence_has_no_answer(self, subject: Analyzer) -> None:
        analysis = subject.analyze(signals.silence(5.0))
        assert analysis.key is None
        assert analysis.tempo is None
        assert analysis.beats is None or len(analysis.beats) == 0

    @pytest.mark.parametrize("seconds", [0.001, 0.2, 1.0])
    def test_short_audio(self, subject: Analyzer, seconds: float) -> None:
        subject.analyze(signals.noise(seconds))  # whatever it finds must be a valid analysis

    @pytest.mark.parametrize(("channels", "sample_rate"), [(1, 44_100), (2, 22_050), (1, 8_000), (2, 48_000)])
    def test_other_formats(self, subject: Analyzer, channels: int, sample_rate: int) -> None:
        times = signals.click_times(8.0, 120.0)
        found = subject.analyze(signals.click_train(times, 8.0, channels=channels, sample_rate=sample_rate))
        if found.tempo is not None:
            octaves = np.log2(found.tempo / 120.0)
            assert abs(octaves - round(octaves)) < 0.03

    def test_threads(self, subject: Analyzer, song: tuple[Audio, Analysis]) -> None:
        self._assert_threads_agree(subject, lambda: subject.analyze(song[0]), lambda one, other: one == other)


def _skip_without_time_map(subject: Stretcher) -> None:
    if not subject.follows_time_maps:
        pytest.skip("follows no time map")


class StretcherContract(ComponentContract):
    """What every stretcher must do."""

    kind = "stretcher"
    drift_s: ClassVar[float] = 0.02
    """Largest error allowed of a click in a minute, seconds; a stretcher that drifts more cannot hold a beat."""

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

    @pytest.mark.parametrize(("speed", "semitones"), [(0.8, 0), (0.9, 0), (1.1, 0), (1.25, 0), (1.1, -3), (1.0, 3)])
    def test_clicks_stay_in_time_for_a_minute(self, subject: Stretcher, speed: float, semitones: float) -> None:
        times = signals.click_times(60.0, 120.0)
        stretched = subject.stretch(signals.click_train(times, 60.0), speed=speed, semitones=semitones)
        errors = signals.click_positions(stretched, times / speed) - times / speed
        assert np.abs(errors).max() < self.drift_s

    @pytest.mark.parametrize("semitones", [-3.0, -0.5, 2.0, 7.0])
    def test_pitch(self, subject: Stretcher, semitones: float) -> None:
        stretched = subject.stretch(signals.tone(440.0, 4.0), speed=1.1, semitones=semitones)
        middle = stretched.mono()[stretched.frames // 4 : -stretched.frames // 4]
        spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle)), 1 << 20))
        peak = float(np.argmax(spectrum)) * stretched.sample_rate / (1 << 20)
        assert abs(1200 * np.log2(peak / (440.0 * 2 ** (semitones / 12)))) < 15  # cents; a listener notices about 20

    def test_peaks_above_one_survive(self, subject: Stretcher) -> None:
        loud = signals.tone(440.0, 1.0, amplitude=3.0)
        assert subject.stretch(loud, speed=1.1).peak > 2.0

    def test_input_is_not_altered(self, subject: Stretcher) -> None:
        audio = signals.noise(1.0)
        before = audio.samples.copy()
        subject.stretch(audio, speed=0.9, semitones=1.0)
        assert np.array_equal(audio.samples, before)

    def test_silence_gives_silence(self, subject: Stretcher) -> None:
        assert subject.stretch(signals.silence(1.0), speed=0.9, semitones=1.0).peak < 1e-4

    @pytest.mark.parametrize("semitones", [0.0, 2.0])
    def test_clicks_follow_a_time_map(self, subject: Stretcher, semitones: float) -> None:
        _skip_without_time_map(subject)
        times, time_map = signals.drift()
        stretched = subject.stretch(signals.click_train(times, 60.0), time_map=time_map, semitones=semitones)
        due = time_map.to_target(times)
        errors = signals.click_positions(stretched, due, window=0.1) - due
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

    @pytest.mark.parametrize("semitones", [-3.0, 0.0, 3.0])
    def test_no_click_at_the_knots_of_a_time_map(self, subject: Stretcher, semitones: float) -> None:
        _skip_without_time_map(subject)
        audio = signals.chord_progression(seconds=12.0)
        time_map = TimeMap((0, 2.13, 4.77, 7.9, 12), (0, 2.6625, 4.7745, 8.687, 12.016))  # 0.8, 1.25, 0.8, 1.232
        stretched = subject.stretch(audio, time_map=time_map, semitones=semitones).samples
        # Higher pitch is steeper; what remains is room for partials that come to add up.
        steepest = 1.3 * 2 ** (max(semitones, 0) / 12) * np.abs(np.diff(audio.samples)).max()
        for knot in time_map.target[1:-1]:
            near = round(knot * audio.sample_rate)
            assert np.abs(np.diff(stretched[:, near - 4410 : near + 4410])).max() < steepest

    def test_a_time_map_keeps_the_pitch(self, subject: Stretcher) -> None:
        _skip_without_time_map(subject)
        _, time_map = signals.drift()
        stretched = subject.stretch(signals.tone(440.0, 60.0), time_map=time_map, semitones=-2.0)
        middle = stretched.mono()[5 * stretched.sample_rate : -5 * stretched.sample_rate]
        spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle)), 1 << 22))
        peak = float(np.argmax(spectrum)) * stretched.sample_rate / (1 << 22)
        assert abs(1200 * np.log2(peak / (440.0 * 2 ** (-2 / 12)))) < 15

    def test_a_time_map_without_time_map_is_refused(self, subject: Stretcher) -> None:
        if subject.follows_time_maps:
            pytest.skip("follows time maps")
        with pytest.raises(UsageError, match="time map"):
            subject.stretch(signals.noise(1.0), time_map=TimeMap((0, 0.5, 1), (0, 0.4, 1)))

    def test_a_time_map_beyond_half_and_double_is_refused(self, subject: Stretcher) -> None:
        for steep in (TimeMap((0, 0.5, 1), (0, 1.1, 1.6)), TimeMap((0, 0.5, 1), (0, 0.2, 0.7))):
            with pytest.raises(TimeMapError, match="speeds"):
                subject.stretch(signals.noise(1.0), time_map=steep)

    def test_channels_do_not_leak(self, subject: Stretcher) -> None:
        left = signals.noise(1.0, channels=1).samples
        one_sided = Audio(np.concatenate([left, np.zeros_like(left)]), signals.SAMPLE_RATE)
        stretched = subject.stretch(one_sided, speed=1.1, semitones=1.0)
        assert np.abs(stretched.samples[1]).max() < 1e-3
        assert stretched.samples[0].std() > 0.02

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
            lambda: subject.stretch(audio, speed=0.93, semitones=-2.0),
            lambda one, other: np.array_equal(one.samples, other.samples),
        )


class SyntheticSource:
    """Clips of synthetic bands, held in memory: a clip source for tests.

    Parameters
    ----------
    bands : sequence of (Key, tempo)
        One clip each; its id tells all of them apart, whatever source they are in.
    bars : int
    drift : float
        How far each clip's tempo is below its own at the beginning and above it at the end, as a share; every second
        clip the other way round.
    """

    def __init__(self, bands: Sequence[tuple[Key, float]], *, bars: int = 16, drift: float = 0.0) -> None:
        self._stems: dict[str, StemSet] = {}
        self.clips: list[Clip] = []
        for index, (key, tempo) in enumerate(bands):
            stems, analysis = signals.band(
                key, tempo=tempo, bars=bars, seed=index, first_downbeat=0.2 + 0.1 * index, drift=drift * (-1) ** index
            )
            name = f"band-{index}-{key}-{tempo:g}-{bars}-{drift:g}".replace(" ", "-")
            self._stems[name] = stems
            duration = stems.stems["vocals"].duration
            self.clips.append(
                Clip(name, name, name, f"{name}.wav", 0.0, duration, signals.SAMPLE_RATE, analysis, "CC0-1.0",
                     dict.fromkeys(Role, -20.0), dict.fromkeys(Role, 1.0))
            )  # fmt: skip

    def clip(self, clip_id: str) -> Clip:
        """Return the clip called ``clip_id``."""
        return next(clip for clip in self.clips if clip.id == clip_id)

    def stem(self, clip_id: str, role: Role) -> Audio:
        """Return its true stem."""
        return self._stems[clip_id].role(role)

    def provenance(self) -> Mapping[str, Any]:
        """Nothing separated or analysed these: they are exact."""
        return {}


class _Stacker(Stretcher):
    """Repeats or drops nothing: for scorer checks whose layers are not stretched."""

    def _stretch(self, audio: Audio, *, speed: float, semitones: float, frames: int) -> Audio:
        raise AssertionError("the contract's mashups are made of layers at speed 1 without shift")


def _original(source: SyntheticSource, clip: Clip) -> Mashup:
    layers = [Layer(role=role, clip_id=clip.id) for role in Role]
    plan = MashupPlan(condition=Condition.ORIGINAL, layers=layers, duration_s=clip.duration, seed=0)
    return Renderer(source, _Stacker()).mashup(plan)


def _crossed(source: SyntheticSource, vocal: Clip, backing: Clip) -> Mashup:
    layers = [Layer(role=role, clip_id=(vocal if role is Role.VOCAL else backing).id) for role in Role]
    duration = min(vocal.duration, backing.duration)
    plan = MashupPlan(condition=Condition.UNMATCHED_KEY_TEMPO, layers=layers, duration_s=duration, seed=0)
    return Renderer(source, _Stacker()).mashup(plan)


class ScorerContract(ComponentContract):
    """What every scorer must do."""

    kind = "scorer"

    @pytest.fixture(scope="class")
    @classmethod
    def mashups(cls) -> list[Mashup]:
        """Two originals and two crossings of bands in other keys and tempi."""
        source = SyntheticSource([(Key(0, "major"), 120.0), (Key(6, "major"), 97.0)], bars=8)
        one, other = source.clips
        return [
            _original(source, one), _original(source, other), _crossed(source, one, other), _crossed(source, other, one)
        ]  # fmt: skip

    @pytest.fixture(scope="class")
    @classmethod
    def scores(cls, subject: Scorer, mashups: list[Mashup]) -> list[Score]:
        """The scores of ``mashups``."""
        return subject.score(mashups)

    def test_no_mashups_no_scores(self, subject: Scorer) -> None:
        assert subject.score([]) == []

    def test_parts_are_those_it_provides(self, subject: Scorer, scores: list[Score]) -> None:
        for score in scores:
            assert set(score.parts) <= subject.info.provides
            assert all(np.isfinite(value) for value in score.parts.values())

    def test_one_scale(self, scores: list[Score]) -> None:
        assert len({score.scale for score in scores}) == 1

    def test_same_mashups_same_scores(self, subject: Scorer, mashups: list[Mashup], scores: list[Score]) -> None:
        assert [score.value for score in subject.score(mashups)] == pytest.approx([score.value for score in scores])

    def test_order_does_not_matter(self, subject: Scorer, mashups: list[Mashup], scores: list[Score]) -> None:
        backwards = subject.score(mashups[::-1])
        assert [score.value for score in backwards[::-1]] == pytest.approx([score.value for score in scores], rel=1e-5)

    def test_company_does_not_matter(self, subject: Scorer, mashups: list[Mashup], scores: list[Score]) -> None:
        alone = [subject.score([mashup])[0].value for mashup in mashups]
        assert alone == pytest.approx([score.value for score in scores], rel=1e-5)

    def test_threads(self, subject: Scorer, mashups: list[Mashup]) -> None:
        self._assert_threads_agree(
            subject,
            lambda: [score.value for score in subject.score(mashups)],
            lambda one, other: one == pytest.approx(other, rel=1e-5),
        )

    def test_a_fresh_instance_agrees(self, mashups: list[Mashup], scores: list[Score]) -> None:
        fresh = cast("Scorer", self.create()).score(mashups)
        assert [score.value for score in fresh] == pytest.approx([score.value for score in scores], rel=1e-5)


class GeneratorContract(ComponentContract):
    """What every generator must do."""

    kind = "generator"

    @pytest.fixture(scope="class")
    @classmethod
    def clips(cls) -> list[Clip]:
        """Six clips, several of which fit each other."""
        bands = [(Key(0, "major"), 120.0), (Key(2, "major"), 110.0), (Key(9, "minor"), 126.0),
                 (Key(5, "major"), 100.0), (Key(7, "minor"), 96.0), (Key(11, "major"), 104.0)]  # fmt: skip
        return SyntheticSource(bands, bars=16).clips

    @pytest.fixture(scope="class")
    @classmethod
    def conditions(cls, subject: Generator) -> list[str]:
        """The conditions it knows."""
        return sorted(subject.info.provides)

    def test_conditions_are_known(self, conditions: list[str]) -> None:
        assert set(conditions) <= {str(condition) for condition in Condition}

    def test_count_and_condition(self, subject: Generator, clips: list[Clip], conditions: list[str]) -> None:
        for condition in conditions:
            plans = list(subject.plan(clips, condition=condition, count=4, seed=1))
            assert 1 <= len(plans) <= 4
            assert {str(plan.condition) for plan in plans} == {condition}

    def test_same_seed_same_plans(self, subject: Generator, clips: list[Clip], conditions: list[str]) -> None:
        for condition in conditions:
            first, second = (list(subject.plan(clips, condition=condition, count=4, seed=7)) for _ in range(2))
            assert first == second

    def test_fewer_plans_are_a_prefix(self, subject: Generator, clips: list[Clip], conditions: list[str]) -> None:
        for condition in conditions:
            many = list(subject.plan(clips, condition=condition, count=4, seed=3))
            assert list(subject.plan(clips, condition=condition, count=2, seed=3)) == many[:2]

    def test_given_vocal_is_used(self, subject: Generator, clips: list[Clip], conditions: list[str]) -> None:
        for condition in conditions:
            for plan in subject.plan(clips, condition=condition, count=3, seed=1, vocal=clips[0].id):
                assert plan.layer(Role.VOCAL).clip_id == clips[0].id

    def test_the_vocal_is_never_altered(self, subject: Generator, clips: list[Clip], conditions: list[str]) -> None:
        for condition in conditions:
            for plan in subject.plan(clips, condition=condition, count=4, seed=5):
                vocal = plan.layer(Role.VOCAL)
                assert (vocal.speed, vocal.semitones) == (1.0, 0.0)
