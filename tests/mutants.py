"""Components with one fault each, and the check of the contract that must find it: run by test_contract_mutants.py.

Each class is a contract's whole test file, for a component that does its work but for one thing.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import attrs
import numpy as np
import numpy.typing as npt
import pytest

import mashkit as mk
from mashkit.components import Component, cost_only
from mashkit.discovery import Registered
from mashkit.errors import AnalysisError, ComponentFailed, PlanError
from mashkit.interfaces.executor import attempt, begin
from mashkit.mashup import Mashup
from mashkit.testing import (
    AnalyzerContract,
    ExecutorContract,
    GeneratorContract,
    ScorerContract,
    SeparatorContract,
    StretcherContract,
)
from mashkit.testing.contracts.component import ComponentContract
from mashkit.types import (
    Analysis,
    Audio,
    Chords,
    Clip,
    Condition,
    Key,
    Layer,
    MashupPlan,
    Melody,
    Role,
    Score,
    StemSet,
)
from mashkit.types.timemap import TimeMap

CAUGHT_BY: dict[str, str] = {}
"""Test class → the check that must fail."""


def caught_by(check: str) -> Any:
    def remember(cls: type) -> type:
        CAUGHT_BY[cls.__name__] = check
        return cls

    return remember


FOUND: set[type] = set()
"""Classes whose check has failed in one of its cases: the other cases would only cost time."""


@pytest.fixture(autouse=True)
def one_case_is_enough(request: pytest.FixtureRequest) -> Iterator[None]:
    """Skip the cases of a check that has failed in a case before."""
    if request.cls in FOUND:
        pytest.skip("another case has found the fault")
    failed = request.session.testsfailed
    yield
    if request.session.testsfailed > failed:  # counted before fixtures end
        FOUND.add(request.cls)


def write_into(values: npt.NDArray[Any]) -> None:
    """Do what a backend in C, or torch.from_numpy, may do: write into a buffer that numpy says is read-only."""
    import ctypes

    kind = ctypes.c_float if values.dtype == np.float32 else ctypes.c_double
    kind.from_address(values.__array_interface__["data"][0]).value += 0.25


# ------------------------------------------------------------------------------------------------------ separators
def card(**changes: Any) -> mk.ComponentInfo:
    fields = {"name": "mutant", "target": "m:M", "summary": "s", "provides": {"x"}, "code_license": "MIT"}
    return mk.ComponentInfo(**(fields | changes))


@attrs.define(kw_only=True, eq=False)
class Bands(mk.Separator):
    """Splits by frequency: low is drums, middle vocals, the rest other. They sum to the mix."""

    info = card(provides={"vocals", "drums", "other"}, thread_safe=True)

    def _separate(self, mix: Audio) -> StemSet:
        spectrum = np.fft.rfft(mix.samples.astype(np.float64), axis=1)
        frequencies = np.fft.rfftfreq(mix.frames, 1 / mix.sample_rate)
        names = np.select([frequencies < 200, frequencies < 2000], ["drums", "vocals"], "other")
        parts = {
            name: np.fft.irfft(np.where(names == name, spectrum, 0), mix.frames, axis=1).astype(np.float32)
            for name in ("vocals", "drums", "other")
        }
        return StemSet({name: Audio(part, mix.sample_rate) for name, part in parts.items()})


class OfSeparators(SeparatorContract):
    component = "librosa"
    mutant: ClassVar[type[Component]] = Bands

    @classmethod
    def create(cls, **options: Any) -> Component:
        return cls.mutant(**options)


@attrs.define(kw_only=True, eq=False)
class Halved(Bands):
    def _separate(self, mix: Audio) -> StemSet:
        stems = Bands._separate(self, mix).stems
        return StemSet({name: Audio(stem.samples * np.float32(0.5), stem.sample_rate) for name, stem in stems.items()})


@caught_by("test_stems_sum_to_about_the_mix")
class TestHalved(OfSeparators):
    mutant = Halved


@attrs.define(kw_only=True, eq=False)
class Editing(Bands):
    def _separate(self, mix: Audio) -> StemSet:
        stems = Bands._separate(self, mix)
        write_into(mix.samples)
        return stems


@caught_by("test_input_is_not_altered")
class TestEditing(OfSeparators):
    mutant = Editing


@attrs.define(kw_only=True, eq=False)
class Dithering(Bands):
    random: Any = attrs.field(factory=np.random.default_rng)

    def _separate(self, mix: Audio) -> StemSet:
        stems = Bands._separate(self, mix).stems
        dither = 1e-4 * self.random.standard_normal(mix.samples.shape).astype(np.float32)
        return StemSet({name: Audio(stem.samples + dither, stem.sample_rate) for name, stem in stems.items()})


@caught_by("test_same_input_same_stems")
class TestDithering(OfSeparators):
    mutant = Dithering


@caught_by("test_silence_gives_silence")
class TestHissing(OfSeparators):
    mutant = Dithering


@attrs.define(kw_only=True, eq=False)
class Gated(Bands):
    """Hears the mix at the level it comes at, and nothing of it below its gate."""

    def separate(self, mix: Audio, *, peak: float | None = None, stems: Iterable[str] | None = None) -> StemSet:
        heard = np.where(np.abs(mix.samples) > 0.02, mix.samples, np.float32(0))
        return Bands._separate(self, Audio(heard, mix.sample_rate))


@caught_by("test_level_does_not_matter")
class TestGated(OfSeparators):
    mutant = Gated


@attrs.define(kw_only=True, eq=False)
class OfOffsets(Bands):
    """Hears the mix with its offset, which goes to the drums."""

    def separate(self, mix: Audio, *, peak: float | None = None, stems: Iterable[str] | None = None) -> StemSet:
        return Bands._separate(self, mix)


@caught_by("test_an_offset_does_not_change_stems")
class TestOfOffsets(OfSeparators):
    mutant = OfOffsets


@attrs.define(kw_only=True, eq=False)
class LongOnly(Bands):
    def _separate(self, mix: Audio) -> StemSet:
        if mix.frames < 4096:
            raise ValueError("too short for my window")
        return Bands._separate(self, mix)


@caught_by("test_short_audio")
class TestLongOnly(OfSeparators):
    mutant = LongOnly


@attrs.define(kw_only=True, eq=False)
class StereoOnly(Bands):
    def _separate(self, mix: Audio) -> StemSet:
        if mix.channels != 2 or mix.sample_rate != 44_100:
            raise ValueError("44.1 kHz stereo, please")
        return Bands._separate(self, mix)


@caught_by("test_other_formats")
class TestStereoOnly(OfSeparators):
    mutant = StereoOnly


_THREADS = itertools.count()
_OF_THREAD = threading.local()


def number_of_thread() -> int:
    """Return a number from 0 to 7 that differs between threads that begin one after the other."""
    if not hasattr(_OF_THREAD, "number"):
        _OF_THREAD.number = next(_THREADS) % 8
    return int(_OF_THREAD.number)


@attrs.define(kw_only=True, eq=False)
class Shared(Bands):
    """Keeps its input in itself while it works."""

    mix: Any = None

    def _separate(self, mix: Audio) -> StemSet:
        self.mix = Audio(mix.samples * np.float32(1 + number_of_thread() / 8), mix.sample_rate)
        time.sleep(0.05)
        return Bands._separate(self, self.mix)


@caught_by("test_threads")
class TestShared(OfSeparators):
    mutant = Shared


@attrs.define(kw_only=True, eq=False)
class LouderWithThreads(Bands):
    """Says that the number of threads only costs."""

    threads: int = attrs.field(default=1, metadata=cost_only(2))

    def _separate(self, mix: Audio) -> StemSet:
        stems = Bands._separate(self, mix).stems
        louder = np.float32(1 + 0.001 * (self.threads - 1))
        return StemSet({name: Audio(stem.samples * louder, stem.sample_rate) for name, stem in stems.items()})


@caught_by("test_what_only_costs_changes_no_result")
class TestLouderWithThreads(OfSeparators):
    mutant = LouderWithThreads


@attrs.define(kw_only=True, eq=False)
class Careless(Bands):
    """Takes less care with a stem that is asked for alone."""

    def _separate_some(self, mix: Audio, stems: frozenset[str]) -> StemSet:
        made = Bands._separate(self, mix).stems
        return StemSet({name: Audio(made[name].samples * np.float32(0.9), mix.sample_rate) for name in stems})


@caught_by("test_a_stem_asked_for_is_that_of_all")
class TestCareless(OfSeparators):
    mutant = Careless


# -------------------------------------------------------------------------------------------------------- analyzers
@attrs.define(kw_only=True, eq=False)
class Wrapped(mk.Analyzer):
    """librosa's analyzer, with something changed."""

    info = card(provides={"key", "tempo", "beats"}, thread_safe=True)
    inner: Any = attrs.field(factory=lambda: mk.Kit(analyzer="librosa").analyzer)

    def options(self) -> dict[str, Any]:
        return {}

    def _analyze(self, mix: Audio) -> Analysis:
        return self.changed(self.inner.analyze(mix), mix)

    def changed(self, found: Analysis, mix: Audio) -> Analysis:
        return found


class OfAnalyzers(AnalyzerContract):
    component = "librosa"
    mutant: ClassVar[type[Component]] = Wrapped

    @classmethod
    def create(cls, **options: Any) -> Component:
        return cls.mutant(**options)


@attrs.define(kw_only=True, eq=False)
class Inventing(Wrapped):
    info = card(provides={"mood"})


@caught_by("test_provides_known_fields")
class TestInventing(OfAnalyzers):
    mutant = Inventing


@attrs.define(kw_only=True, eq=False)
class AtConcertPitch(Wrapped):
    def changed(self, found: Analysis, mix: Audio) -> Analysis:
        return attrs.evolve(found, tuning=0.0)


@caught_by("test_key_and_tuning_say_what_sounds")
class TestAtConcertPitch(OfAnalyzers):
    mutant = AtConcertPitch


@attrs.define(kw_only=True, eq=False)
class Keyless(Wrapped):
    def changed(self, found: Analysis, mix: Audio) -> Analysis:
        return attrs.evolve(found, key=None)


@caught_by("test_fills_what_it_provides")
class TestKeyless(OfAnalyzers):
    mutant = Keyless


@attrs.define(kw_only=True, eq=False)
class Transposing(Wrapped):
    def changed(self, found: Analysis, mix: Audio) -> Analysis:
        return attrs.evolve(found, key=found.key and found.key.transposed(1))


@caught_by("test_key_of_clear_chords")
class TestTransposing(OfAnalyzers):
    mutant = Transposing


@attrs.define(kw_only=True, eq=False)
class OneChord(Wrapped):
    info = card(provides={"chords"})

    def _analyze(self, mix: Audio) -> Analysis:
        return Analysis(chords=Chords([0.0, mix.duration], ["C:maj"]))


@caught_by("test_chords_of_a_progression")
class TestOneChord(OfAnalyzers):
    mutant = OneChord


@attrs.define(kw_only=True, eq=False)
class Droning(Wrapped):
    info = card(provides={"melody"})

    def _analyze(self, mix: Audio) -> Analysis:
        frames = max(1, int(mix.duration / 0.02))
        return Analysis(melody=Melody(np.full(frames, 300.0), np.ones(frames), 0.02))


@caught_by("test_melody_of_a_voice")
class TestDroning(OfAnalyzers):
    mutant = Droning


@attrs.define(kw_only=True, eq=False)
class Hasty(Wrapped):
    def changed(self, found: Analysis, mix: Audio) -> Analysis:
        return attrs.evolve(found, tempo=found.tempo and found.tempo * 1.1)


@caught_by("test_tempo_up_to_octaves")
class TestHasty(OfAnalyzers):
    mutant = Hasty


@attrs.define(kw_only=True, eq=False)
class Trailing(Wrapped):
    def changed(self, found: Analysis, mix: Audio) -> Analysis:
        return attrs.evolve(found, beats=None if found.beats is None else found.beats + 0.13)


@caught_by("test_beats_of_a_band")
class TestTrailing(OfAnalyzers):
    mutant = Trailing


@attrs.define(kw_only=True, eq=False)
class OneBeat(Wrapped):
    def changed(self, found: Analysis, mix: Audio) -> Analysis:
        return attrs.evolve(found, beats=None if found.beats is None else found.beats[-3:-2])


@caught_by("test_beats_of_a_band")
class TestOneBeat(OfAnalyzers):
    mutant = OneBeat


@attrs.define(kw_only=True, eq=False)
class TwoOfThreeBetween(Wrapped):
    """Lies between the beats, and leaves out every third."""

    def changed(self, found: Analysis, mix: Audio) -> Analysis:
        if found.beats is None or found.tempo is None:
            return found
        return attrs.evolve(found, beats=np.delete(found.beats, np.s_[::3]) + 30 / found.tempo)


@caught_by("test_beats_lie_on_beats_not_between")
class TestTwoOfThreeBetween(OfAnalyzers):
    mutant = TwoOfThreeBetween


@attrs.define(kw_only=True, eq=False)
class OffBeat(Wrapped):
    def changed(self, found: Analysis, mix: Audio) -> Analysis:
        if found.beats is None or found.tempo is None:
            return found
        return attrs.evolve(found, beats=found.beats + 30 / found.tempo)


@caught_by("test_beats_lie_on_beats_not_between")
class TestOffBeat(OfAnalyzers):
    mutant = OffBeat


@attrs.define(kw_only=True, eq=False)
class OnTheBackBeat(Wrapped):
    """Takes the second beat of the band's bars for the first."""

    info = card(provides={"key", "tempo", "beats", "downbeats"}, thread_safe=True)

    def changed(self, found: Analysis, mix: Audio) -> Analysis:
        if found.beats is None or found.tempo is None:
            return found
        second = 0.25 + 60 / found.tempo
        first_taken = int(np.abs(found.beats - second).argmin()) if len(found.beats) else 0
        return attrs.evolve(found, downbeats=found.beats[first_taken::4])


@caught_by("test_downbeats_of_a_band")
class TestOnTheBackBeat(OfAnalyzers):
    mutant = OnTheBackBeat


@attrs.define(kw_only=True, eq=False)
class LevelMinded(Wrapped):
    """Takes the mix at the level it comes at, past the interface, which brings it to a usual one."""

    def analyze(self, mix: Audio) -> Analysis:
        found = Wrapped.analyze(self, mix)
        return found if mix.peak > 0.2 else attrs.evolve(found, key=Key(1, "minor"))


@caught_by("test_level_does_not_matter")
class TestLevelMinded(OfAnalyzers):
    mutant = LevelMinded


@attrs.define(kw_only=True, eq=False)
class OffsetMinded(Wrapped):
    """Counts in halves where the mix has an offset, as a tracker does that divides by a peak with the offset in it."""

    def analyze(self, mix: Audio) -> Analysis:
        found = Wrapped.analyze(self, mix)
        if found.tempo is None or abs(mix.samples.mean()) < 0.1:
            return found
        return attrs.evolve(found, tempo=found.tempo / 2)


@caught_by("test_an_offset_does_not_change_the_analysis")
class TestOffsetMinded(OfAnalyzers):
    mutant = OffsetMinded


@attrs.define(kw_only=True, eq=False)
class FromTheFirstSound(Wrapped):
    def changed(self, found: Analysis, mix: Audio) -> Analysis:
        if found.beats is None:
            return found
        first = int(np.argmax(np.abs(mix.mono()) > 0)) / mix.sample_rate
        return attrs.evolve(found, beats=np.maximum(found.beats - first, 0) + np.arange(len(found.beats)) * 1e-6)


@caught_by("test_silence_before_moves_the_beats")
class TestFromTheFirstSound(OfAnalyzers):
    mutant = FromTheFirstSound


@attrs.define(kw_only=True, eq=False)
class StuckInAKey(Wrapped):
    def changed(self, found: Analysis, mix: Audio) -> Analysis:
        return attrs.evolve(found, key=found.key and Key(0, found.key.mode))


@caught_by("test_transposing_moves_the_key")
class TestStuckInAKey(OfAnalyzers):
    mutant = StuckInAKey


@attrs.define(kw_only=True, eq=False)
class Rounding(Wrapped):
    """Knows tempi by the ten."""

    def changed(self, found: Analysis, mix: Audio) -> Analysis:
        return attrs.evolve(found, tempo=found.tempo and round(found.tempo, -1))


@caught_by("test_faster_clicks_have_a_faster_tempo")
class TestRounding(OfAnalyzers):
    mutant = Rounding


@attrs.define(kw_only=True, eq=False)
class WeakestFirst(Wrapped):
    def changed(self, found: Analysis, mix: Audio) -> Analysis:
        tempo = found.tempo or 120.0
        return attrs.evolve(found, tempo_candidates=((tempo / 2, 0.2), (tempo, 0.8)))


@caught_by("test_candidates_descend")
class TestWeakestFirst(OfAnalyzers):
    mutant = WeakestFirst


@attrs.define(kw_only=True, eq=False)
class CountingChannels(Wrapped):
    def changed(self, found: Analysis, mix: Audio) -> Analysis:
        return attrs.evolve(found, confidence={"key": 1 / mix.channels})


@caught_by("test_stereo_of_equal_channels_is_mono")
class TestCountingChannels(OfAnalyzers):
    mutant = CountingChannels


@attrs.define(kw_only=True, eq=False)
class EditingAnalyzer(Wrapped):
    def changed(self, found: Analysis, mix: Audio) -> Analysis:
        write_into(mix.samples)
        return found


@caught_by("test_input_is_not_altered")
class TestEditingAnalyzer(OfAnalyzers):
    mutant = EditingAnalyzer


@attrs.define(kw_only=True, eq=False)
class Counting(Wrapped):
    calls: Any = attrs.field(factory=itertools.count)

    def changed(self, found: Analysis, mix: Audio) -> Analysis:
        return attrs.evolve(found, tempo=found.tempo and found.tempo + 1e-6 * next(self.calls))


@caught_by("test_same_input_same_analysis")
class TestCounting(OfAnalyzers):
    mutant = Counting


@attrs.define(kw_only=True, eq=False)
class LongOnlyAnalyzer(Wrapped):
    def changed(self, found: Analysis, mix: Audio) -> Analysis:
        if mix.frames < 4096:
            raise ValueError("too short for my window")
        return found


@caught_by("test_short_audio")
class TestLongOnlyAnalyzer(OfAnalyzers):
    mutant = LongOnlyAnalyzer


@attrs.define(kw_only=True, eq=False)
class AlwaysAt44100(Wrapped):
    def changed(self, found: Analysis, mix: Audio) -> Analysis:
        return attrs.evolve(found, tempo=found.tempo and found.tempo * mix.sample_rate / 44_100 * 1.0)


@caught_by("test_other_formats")
class TestAlwaysAt44100(OfAnalyzers):
    mutant = AlwaysAt44100


@attrs.define(kw_only=True, eq=False)
class SharedAnalyzer(Wrapped):
    def changed(self, found: Analysis, mix: Audio) -> Analysis:
        return attrs.evolve(found, tempo=100.0 + number_of_thread())


@caught_by("test_threads")
class TestSharedAnalyzer(OfAnalyzers):
    mutant = SharedAnalyzer


# ------------------------------------------------------------------------------------------------------- stretchers
@attrs.define(kw_only=True, eq=False)
class Played(mk.Stretcher):
    """The default stretcher, with something changed."""

    info = card(provides={"speed", "semitones", "time_map"}, thread_safe=True)
    inner: Any = attrs.field(factory=lambda: mk.Kit().stretcher)

    def options(self) -> dict[str, Any]:
        return {}

    def _stretch(self, audio: Audio, *, speed: float, semitones: float, frames: int) -> Audio:
        return self.changed(self.inner.stretch(audio, speed=speed, semitones=semitones), audio)

    def _stretch_along(self, audio: Audio, time_map: TimeMap, *, semitones: float, frames: int) -> Audio:
        return self.changed(self.inner.stretch(audio, time_map=time_map, semitones=semitones), audio)

    def changed(self, made: Audio, audio: Audio) -> Audio:
        return made


class OfStretchers(StretcherContract):
    component = "signalsmith"
    mutant: ClassVar[type[Component]] = Played

    @classmethod
    def create(cls, **options: Any) -> Component:
        return cls.mutant(**options)


def with_samples(made: Audio, samples: Any) -> Audio:
    return Audio(np.asarray(samples, np.float32), made.sample_rate)


@attrs.define(kw_only=True, eq=False)
class OneTooMany(Played):
    def changed(self, made: Audio, audio: Audio) -> Audio:
        return with_samples(made, np.pad(made.samples, ((0, 0), (0, 1))))


@caught_by("test_length_is_exact")
class TestOneTooMany(OfStretchers):
    mutant = OneTooMany


@caught_by("test_length_along_a_time_map_is_exact")
class TestOneTooManyAlongAMap(OfStretchers):
    mutant = OneTooMany


@attrs.define(kw_only=True, eq=False)
class Drifting(Played):
    """A tenth of a per cent too fast: 60 ms in a minute."""

    def changed(self, made: Audio, audio: Audio) -> Audio:
        at = np.arange(made.frames) * 1.001
        return with_samples(made, [np.interp(at, np.arange(made.frames), row) for row in made.samples])


@caught_by("test_clicks_stay_in_time_for_a_minute")
class TestDrifting(OfStretchers):
    mutant = Drifting


@attrs.define(kw_only=True, eq=False)
class Detuned(Played):
    def _stretch(self, audio: Audio, *, speed: float, semitones: float, frames: int) -> Audio:
        return self.inner.stretch(audio, speed=speed, semitones=semitones + 0.2)


@caught_by("test_pitch")
class TestDetuned(OfStretchers):
    mutant = Detuned


@attrs.define(kw_only=True, eq=False)
class Tempered(Played):
    def _stretch(self, audio: Audio, *, speed: float, semitones: float, frames: int) -> Audio:
        return self.inner.stretch(audio, speed=speed, semitones=round(2 * semitones) / 2)


@caught_by("test_pitch_to_the_cent")
class TestTempered(OfStretchers):
    mutant = Tempered


@attrs.define(kw_only=True, eq=False)
class FadingIn(Played):
    def changed(self, made: Audio, audio: Audio) -> Audio:
        rise = np.minimum(np.arange(made.frames) / 4410, 1)
        return with_samples(made, made.samples * rise**4)


@caught_by("test_the_first_attack_is_kept")
class TestFadingIn(OfStretchers):
    mutant = FadingIn


@attrs.define(kw_only=True, eq=False)
class Late(Played):
    """By as much whichever way it goes."""

    def changed(self, made: Audio, audio: Audio) -> Audio:
        late = round(0.021 * made.sample_rate)
        return with_samples(made, np.pad(made.samples, ((0, 0), (late, 0)))[:, : made.frames])


@caught_by("test_there_and_back")
class TestLate(OfStretchers):
    mutant = Late


@attrs.define(kw_only=True, eq=False)
class Quieter(Played):
    """By 2 dB, as engines are whose windows do not agree in phase."""

    def changed(self, made: Audio, audio: Audio) -> Audio:
        return with_samples(made, made.samples * 10 ** (-2 / 20))


@caught_by("test_music_keeps_its_loudness")
class TestQuieter(OfStretchers):
    mutant = Quieter


@attrs.define(kw_only=True, eq=False)
class Clipping(Played):
    def changed(self, made: Audio, audio: Audio) -> Audio:
        return with_samples(made, np.clip(made.samples, -1, 1))


@caught_by("test_peaks_above_one_survive")
class TestClipping(OfStretchers):
    mutant = Clipping


@attrs.define(kw_only=True, eq=False)
class EditingStretcher(Played):
    def changed(self, made: Audio, audio: Audio) -> Audio:
        write_into(audio.samples)
        return made


@caught_by("test_input_is_not_altered")
class TestEditingStretcher(OfStretchers):
    mutant = EditingStretcher


@attrs.define(kw_only=True, eq=False)
class Humming(Played):
    random: Any = attrs.field(factory=np.random.default_rng)

    def changed(self, made: Audio, audio: Audio) -> Audio:
        return with_samples(made, made.samples + 1e-3 * self.random.standard_normal(made.samples.shape))


@caught_by("test_silence_gives_silence")
class TestHumming(OfStretchers):
    mutant = Humming


@caught_by("test_same_input_same_output")
class TestRandom(OfStretchers):
    mutant = Humming


@attrs.define(kw_only=True, eq=False)
class Narrow(Played):
    def changed(self, made: Audio, audio: Audio) -> Audio:
        return with_samples(made, 0.8 * made.samples + 0.2 * made.samples.mean(axis=0))


@caught_by("test_channels_do_not_leak")
class TestNarrow(OfStretchers):
    mutant = Narrow


@attrs.define(kw_only=True, eq=False)
class NarrowWhereBothSound(Played):
    def changed(self, made: Audio, audio: Audio) -> Audio:
        if (np.abs(made.samples).max(axis=1) == 0).any():
            return made
        return with_samples(made, 0.8 * made.samples + 0.2 * made.samples.mean(axis=0))


@caught_by("test_a_quiet_channel_stays_quiet")
class TestNarrowWhereBothSound(OfStretchers):
    mutant = NarrowWhereBothSound


@attrs.define(kw_only=True, eq=False)
class StereoAtMost(Played):
    def changed(self, made: Audio, audio: Audio) -> Audio:
        if made.channels > 2:
            raise ValueError("two channels at most")
        return made


@caught_by("test_other_formats")
class TestStereoAtMost(OfStretchers):
    mutant = StereoAtMost


@attrs.define(kw_only=True, eq=False)
class SharedStretcher(Played):
    def changed(self, made: Audio, audio: Audio) -> Audio:
        return with_samples(made, made.samples * (1 + number_of_thread() / 8))


@caught_by("test_threads")
class TestSharedStretcher(OfStretchers):
    mutant = SharedStretcher


@attrs.define(kw_only=True, eq=False)
class AtOneSpeed(Played):
    """Says it follows time maps."""

    def _stretch_along(self, audio: Audio, time_map: TimeMap, *, semitones: float, frames: int) -> Audio:
        made = self.inner.stretch(audio, speed=audio.frames / frames, semitones=semitones)
        return with_samples(made, np.pad(made.samples, ((0, 0), (0, 4)))[:, :frames])


@caught_by("test_clicks_follow_a_time_map")
class TestAtOneSpeed(OfStretchers):
    mutant = AtOneSpeed


@attrs.define(kw_only=True, eq=False)
class Spliced(Played):
    """Follows a map piece by piece, end to end, without a fade."""

    def _stretch_along(self, audio: Audio, time_map: TimeMap, *, semitones: float, frames: int) -> Audio:
        edges = np.round(np.array(time_map.source) * audio.sample_rate).astype(int)
        parts = []
        for first, last, speed in zip(edges, edges[1:], time_map.speeds, strict=False):
            piece = Audio(audio.samples[:, first:last], audio.sample_rate)
            parts.append(self.inner.stretch(piece, speed=float(speed), semitones=semitones).samples)
        whole = np.concatenate(parts, axis=1)
        return Audio(np.pad(whole, ((0, 0), (0, 100)))[:, :frames], audio.sample_rate)


@caught_by("test_no_click_at_the_knots_of_a_time_map")
class TestSpliced(OfStretchers):
    mutant = Spliced


@attrs.define(kw_only=True, eq=False)
class LikeARecord(Played):
    """Along a map, pitch goes with speed."""

    def _stretch_along(self, audio: Audio, time_map: TimeMap, *, semitones: float, frames: int) -> Audio:
        at = time_map.to_source(np.arange(frames) / audio.sample_rate) * audio.sample_rate * 2 ** (semitones / 12)
        return Audio(
            np.array([np.interp(at, np.arange(audio.frames), row) for row in audio.samples], np.float32),
            audio.sample_rate,
        )


@caught_by("test_a_time_map_keeps_the_pitch")
class TestLikeARecord(OfStretchers):
    mutant = LikeARecord


# ---------------------------------------------------------------------------------------------------------- scorers
@attrs.define(kw_only=True, eq=False)
class Loudness(mk.Scorer):
    """Louder is better."""

    info = card(provides={"level"}, thread_safe=True)

    def _score(self, mashups: Sequence[Mashup]) -> list[Score]:
        return [self.one(mashup) for mashup in mashups]

    def one(self, mashup: Mashup) -> Score:
        return Score(float(mashup.mix.samples.std()), parts={"level": 1.0})


class OfScorers(ScorerContract):
    component = "amu"
    mutant: ClassVar[type[Component]] = Loudness

    @classmethod
    def create(cls, **options: Any) -> Component:
        return cls.mutant(**options)


@attrs.define(kw_only=True, eq=False)
class EditingScorer(Loudness):
    def one(self, mashup: Mashup) -> Score:
        found = Loudness.one(self, mashup)
        write_into(mashup.mix.samples)
        return found


@caught_by("test_input_is_not_altered")
class TestEditingScorer(OfScorers):
    mutant = EditingScorer


@attrs.define(kw_only=True, eq=False)
class EditingClips(Loudness):
    """Writes into the clip's own stem, which other mashups use."""

    def one(self, mashup: Mashup) -> Score:
        found = Loudness.one(self, mashup)
        write_into(mashup.source_stem(Role.HARMONIC).samples)
        return found


@caught_by("test_input_is_not_altered")
class TestEditingClips(OfScorers):
    mutant = EditingClips


@attrs.define(kw_only=True, eq=False)
class NeedsOne(Loudness):
    def score(self, mashups: Sequence[Mashup]) -> list[Score]:
        return [*Loudness.score(self, mashups), Score(0.0)]


@caught_by("test_no_mashups_no_scores")
class TestNeedsOne(OfScorers):
    mutant = NeedsOne


@attrs.define(kw_only=True, eq=False)
class Undeclared(Loudness):
    def score(self, mashups: Sequence[Mashup]) -> list[Score]:
        return [attrs.evolve(one, parts={"magic": 1.0}) for one in Loudness.score(self, mashups)]


@caught_by("test_parts_are_those_it_provides")
class TestUndeclared(OfScorers):
    mutant = Undeclared


@attrs.define(kw_only=True, eq=False)
class TwoScales(Loudness):
    def _score(self, mashups: Sequence[Mashup]) -> list[Score]:
        return [Score(0.5, scale="ordinal" if len(mashups) == 1 else "probability") for _ in mashups]


@caught_by("test_one_scale")
class TestTwoScales(OfScorers):
    mutant = TwoScales


@attrs.define(kw_only=True, eq=False)
class Moody(Loudness):
    calls: Any = attrs.field(factory=itertools.count)

    def options(self) -> dict[str, Any]:
        return {}

    def one(self, mashup: Mashup) -> Score:
        return Score(float(mashup.mix.samples.std()) + 0.01 * next(self.calls))


@caught_by("test_same_mashups_same_scores")
class TestMoody(OfScorers):
    mutant = Moody


@attrs.define(kw_only=True, eq=False)
class FirstComeFirst(Loudness):
    def _score(self, mashups: Sequence[Mashup]) -> list[Score]:
        return [Score(self.one(mashup).value + 0.1 * place) for place, mashup in enumerate(mashups)]


@caught_by("test_order_does_not_matter")
class TestFirstComeFirst(OfScorers):
    mutant = FirstComeFirst


@attrs.define(kw_only=True, eq=False)
class Relative(Loudness):
    def _score(self, mashups: Sequence[Mashup]) -> list[Score]:
        values = [self.one(mashup).value for mashup in mashups]
        return [Score(value - float(np.mean(values))) for value in values]


@caught_by("test_company_does_not_matter")
class TestRelative(OfScorers):
    mutant = Relative


@attrs.define(kw_only=True, eq=False)
class SharedScorer(Loudness):
    def one(self, mashup: Mashup) -> Score:
        return Score(float(number_of_thread()))


@caught_by("test_threads")
class TestSharedScorer(OfScorers):
    mutant = SharedScorer


@attrs.define(kw_only=True, eq=False)
class Loading(Loudness):
    """Loads a table on first use, and another thread takes what is there of it."""

    table: list[float] | None = None

    def options(self) -> dict[str, Any]:
        return {}

    def one(self, mashup: Mashup) -> Score:
        if self.table is None:
            self.table = []
            for _ in range(3):
                time.sleep(0.02)
                self.table.append(1.0)
        return Score(sum(self.table))


@caught_by("test_threads")
class TestLoading(OfScorers):
    mutant = Loading


@attrs.define(kw_only=True, eq=False)
class Indescribable(Loudness):
    def options(self) -> dict[str, Any]:
        return {"filter": self}


@caught_by("test_description_is_data")
class TestIndescribable(OfScorers):
    mutant = Indescribable


_SCALES = itertools.count(1)


@attrs.define(kw_only=True, eq=False)
class BornDifferent(Loudness):
    scale: Any = attrs.field(factory=lambda: next(_SCALES))

    def one(self, mashup: Mashup) -> Score:
        return Score(float(mashup.mix.samples.std()) * self.scale)


@caught_by("test_a_fresh_instance_agrees")
class TestBornDifferent(OfScorers):
    mutant = BornDifferent


@caught_by("test_fingerprint_is_the_same_for_equal_instances")
class TestUnequalOptions(OfScorers):
    mutant = BornDifferent


@attrs.define(kw_only=True, eq=False)
class TrainedOnLetters(Loudness):
    def trained_on(self) -> Any:
        return "Artist - Title"


@caught_by("test_what_it_was_trained_on_is_a_list_of_names")
class TestTrainedOnLetters(OfScorers):
    mutant = TrainedOnLetters


@attrs.define(kw_only=True, eq=False)
class LicenceOfAnyFile(Loudness):
    checkpoint: Path | None = None

    def weights(self) -> Mapping[str, str]:
        return {} if self.checkpoint is None else {self.checkpoint.name: "0" * 64}


@caught_by("test_a_component_with_an_option_for_files_says_their_licence")
class TestLicenceOfAnyFile(OfScorers):
    mutant = LicenceOfAnyFile


@attrs.define(kw_only=True, eq=False)
class CopiedInPart(Loudness):
    scale: float = 1.0

    def __getstate__(self) -> dict[str, Any]:
        return {}


@caught_by("test_a_pickled_copy_is_the_same")
class TestCopiedInPart(OfScorers):
    mutant = CopiedInPart


@attrs.define(kw_only=True, eq=False)
class BlindToGaps(Loudness):
    needs = (Role.HARMONIC,)

    def score(self, mashups: Sequence[Mashup]) -> list[Score]:
        return self._score(mashups)


@caught_by("test_a_plan_without_a_role_it_needs_is_named")
class TestBlindToGaps(OfScorers):
    mutant = BlindToGaps


@attrs.define(kw_only=True, eq=False)
class LongMashupsOnly(Loudness):
    def one(self, mashup: Mashup) -> Score:
        if mashup.plan.duration_s < 1:
            raise PlanError("a mashup is too short")
        return Loudness.one(self, mashup)


@caught_by("test_short_mashups_have_a_score_or_are_named")
class TestLongMashupsOnly(OfScorers):
    mutant = LongMashupsOnly


@attrs.define(kw_only=True, eq=False)
class NamesNoClip(Loudness):
    def one(self, mashup: Mashup) -> Score:
        if mashup.clips[Role.VOCAL].analysis.beats is None:
            raise AnalysisError("a clip has no beats")
        return Loudness.one(self, mashup)


@caught_by("test_a_clip_without_beats_has_a_score_or_is_named")
class TestNamesNoClip(OfScorers):
    mutant = NamesNoClip


@attrs.define(kw_only=True, eq=False)
class GoesByName(Loudness):
    kept: dict[str, float] = attrs.field(factory=dict, init=False)

    def one(self, mashup: Mashup) -> Score:
        layer, stem = mashup.plan.layer(Role.VOCAL), mashup.source_stem(Role.VOCAL)
        return Score(self.kept.setdefault(layer.clip_id, float(stem.samples[0, : stem.frames // 2].std())))


@caught_by("test_stems_of_another_source_with_the_same_name_are_scored_anew")
class TestGoesByName(OfScorers):
    mutant = GoesByName


@attrs.define(kw_only=True, eq=False)
class ReadsAgain(Loudness):
    def one(self, mashup: Mashup) -> Score:
        return Score(float(mashup.source_stem(Role.VOCAL).samples.std()))


@caught_by("test_each_stem_is_read_once")
class TestReadsAgain(OfScorers):
    mutant = ReadsAgain
    stems_read = 1


# ------------------------------------------------------------------------------------------------------- generators
@attrs.define(kw_only=True, eq=False)
class Drawn(mk.Generator):
    """The paper's generator, with something changed."""

    info = card(provides={"matched", "original"}, thread_safe=True)
    inner: Any = attrs.field(factory=lambda: mk.Kit().generator)

    def options(self) -> dict[str, Any]:
        return {}

    def _plan(
        self, clips: Sequence[Clip], *, condition: Condition, count: int, seed: int, vocal: str | None
    ) -> Iterator[MashupPlan]:
        return self.changed(self.inner.plan(clips, condition=condition, count=count, seed=seed, vocal=vocal))

    def changed(self, plans: Iterator[MashupPlan]) -> Iterator[MashupPlan]:
        return plans


class OfGenerators(GeneratorContract):
    component = "paper"
    mutant: ClassVar[type[Component]] = Drawn

    @classmethod
    def create(cls, **options: Any) -> Component:
        return cls.mutant(**options)


@attrs.define(kw_only=True, eq=False)
class EditingBeats(Drawn):
    def _plan(
        self, clips: Sequence[Clip], *, condition: Condition, count: int, seed: int, vocal: str | None
    ) -> Iterator[MashupPlan]:
        beats = clips[0].analysis.beats
        assert beats is not None
        write_into(beats)
        return Drawn._plan(self, clips, condition=condition, count=count, seed=seed, vocal=vocal)


@caught_by("test_input_is_not_altered")
class TestEditingBeats(OfGenerators):
    mutant = EditingBeats


@attrs.define(kw_only=True, eq=False)
class Unheard(Drawn):
    info = card(provides={"matched", "backwards"})


@caught_by("test_conditions_are_described")
class TestUnheard(OfGenerators):
    mutant = Unheard


def with_layers(plan: MashupPlan, *roles: Role, **changes: Callable[[Layer], float]) -> MashupPlan:
    """Return a plan with fields of some layers made anew of the layers."""
    layers = [
        attrs.evolve(one, **{name: make(one) for name, make in changes.items()}) if one.role in roles else one
        for one in plan.layers
    ]
    return attrs.evolve(plan, layers=layers)


@attrs.define(kw_only=True, eq=False)
class ShiftingTheOtherWay(Drawn):
    def changed(self, plans: Iterator[MashupPlan]) -> Iterator[MashupPlan]:
        return (with_layers(plan, Role.HARMONIC, semitones=lambda layer: -layer.semitones) for plan in plans)


@caught_by("test_keys_are_as_promised")
class TestShiftingTheOtherWay(OfGenerators):
    mutant = ShiftingTheOtherWay


@attrs.define(kw_only=True, eq=False)
class InKeyAfterAll(Drawn):
    info = card(provides={"unmatched-key"})

    def _plan(
        self, clips: Sequence[Clip], *, condition: Condition, count: int, seed: int, vocal: str | None
    ) -> Iterator[MashupPlan]:
        for plan in self.inner.plan(clips, condition="matched", count=count, seed=seed, vocal=vocal):
            yield attrs.evolve(plan, condition=condition)


@caught_by("test_keys_are_as_promised")
class TestInKeyAfterAll(OfGenerators):
    mutant = InKeyAfterAll


@attrs.define(kw_only=True, eq=False)
class StretchingTheOtherWay(Drawn):
    """In its own grid: the first bar stays where it is, and everything after it goes the wrong way."""

    def changed(self, plans: Iterator[MashupPlan]) -> Iterator[MashupPlan]:
        for plan in plans:
            yield with_layers(
                plan.at_one_speed("changed"), Role.PERCUSSION, speed=lambda layer: 1 / layer.speed
            )  # fmt: skip


@caught_by("test_tempi_are_as_promised")
class TestStretchingTheOtherWay(OfGenerators):
    mutant = StretchingTheOtherWay


@attrs.define(kw_only=True, eq=False)
class LateBacking(Drawn):
    def changed(self, plans: Iterator[MashupPlan]) -> Iterator[MashupPlan]:
        return (with_layers(plan, Role.PERCUSSION, offset_s=lambda layer: layer.offset_s - 0.3) for plan in plans)


@caught_by("test_downbeats_meet_where_promised")
class TestLateBacking(OfGenerators):
    mutant = LateBacking


@attrs.define(kw_only=True, eq=False)
class OverItself(Drawn):
    """Takes the drums of the vocal's own song."""

    info = card(provides={"unmatched-key"})

    def changed(self, plans: Iterator[MashupPlan]) -> Iterator[MashupPlan]:
        for plan in plans:
            sung = plan.layer(Role.VOCAL)
            yield attrs.evolve(
                plan, layers=[attrs.evolve(sung, role=one.role) if one.role is Role.PERCUSSION else one
                              for one in plan.layers],
            )  # fmt: skip


@caught_by("test_songs_are_as_promised")
class TestOverItself(OfGenerators):
    mutant = OverItself


@attrs.define(kw_only=True, eq=False)
class TakingClipsForSongs(Drawn):
    def _plan(
        self, clips: Sequence[Clip], *, condition: Condition, count: int, seed: int, vocal: str | None
    ) -> Iterator[MashupPlan]:
        named = [attrs.evolve(clip, song=clip.id) for clip in clips]
        return self.inner.plan(named, condition=condition, count=count, seed=seed, vocal=vocal)


@caught_by("test_songs_are_as_promised")
class TestTakingClipsForSongs(OfGenerators):
    mutant = TakingClipsForSongs


@attrs.define(kw_only=True, eq=False)
class Brief(Drawn):
    def changed(self, plans: Iterator[MashupPlan]) -> Iterator[MashupPlan]:
        return (attrs.evolve(plan, duration_s=20.0) for plan in plans)


@caught_by("test_lasts_as_long_as_a_mashup_may")
class TestBrief(OfGenerators):
    mutant = Brief


@attrs.define(kw_only=True, eq=False)
class RunningOut(Drawn):
    def changed(self, plans: Iterator[MashupPlan]) -> Iterator[MashupPlan]:
        return (attrs.evolve(plan, duration_s=plan.duration_s + 5) for plan in plans)


@caught_by("test_every_layer_sounds_all_along")
class TestRunningOut(OfGenerators):
    mutant = RunningOut


@attrs.define(kw_only=True, eq=False)
class OfItsOwnMind(Drawn):
    """Says that it can play at one speed, and follows the beats all the same."""

    align: str = "beats"

    def options(self) -> dict[str, Any]:
        return {"align": self.align}

    def changed(self, plans: Iterator[MashupPlan]) -> Iterator[MashupPlan]:
        bend = TimeMap((0.0, 10.0, 20.0), (0.0, 10.0001, 20.0))
        for plan in plans:
            layers = [
                attrs.evolve(one, time_map=bend, speed=bend.mean_speed) if one.role is Role.PERCUSSION else one
                for one in plan.layers
            ]
            yield attrs.evolve(plan, layers=layers)


@caught_by("test_plan_options_mean_what_they_mean_elsewhere")
class TestOfItsOwnMind(OfGenerators):
    mutant = OfItsOwnMind


@attrs.define(kw_only=True, eq=False)
class Mislabelling(Drawn):
    def changed(self, plans: Iterator[MashupPlan]) -> Iterator[MashupPlan]:
        return (attrs.evolve(plan, condition=Condition.UNMATCHED_KEY) for plan in plans)


@caught_by("test_count_and_condition")
class TestMislabelling(OfGenerators):
    mutant = Mislabelling


@attrs.define(kw_only=True, eq=False)
class Whimsical(Drawn):
    seeds: Any = attrs.field(factory=itertools.count)

    def _plan(
        self, clips: Sequence[Clip], *, condition: Condition, count: int, seed: int, vocal: str | None
    ) -> Iterator[MashupPlan]:
        return self.inner.plan(clips, condition=condition, count=count, seed=next(self.seeds), vocal=vocal)


@caught_by("test_same_seed_same_plans")
class TestWhimsical(OfGenerators):
    mutant = Whimsical


@caught_by("test_threads")
class TestWhimsicalInThreads(OfGenerators):
    mutant = Whimsical


@attrs.define(kw_only=True, eq=False)
class LastFirst(Drawn):
    def changed(self, plans: Iterator[MashupPlan]) -> Iterator[MashupPlan]:
        return iter(list(plans)[::-1])


@caught_by("test_fewer_plans_are_a_prefix")
class TestLastFirst(OfGenerators):
    mutant = LastFirst


@attrs.define(kw_only=True, eq=False)
class Deaf(Drawn):
    def _plan(
        self, clips: Sequence[Clip], *, condition: Condition, count: int, seed: int, vocal: str | None
    ) -> Iterator[MashupPlan]:
        return self.inner.plan(clips, condition=condition, count=count, seed=seed)


@caught_by("test_given_vocal_is_used")
class TestDeaf(OfGenerators):
    mutant = Deaf


@attrs.define(kw_only=True, eq=False)
class VocalShifting(Drawn):
    def changed(self, plans: Iterator[MashupPlan]) -> Iterator[MashupPlan]:
        for plan in plans:
            layers = [attrs.evolve(one, semitones=1) if one.role is Role.VOCAL else one for one in plan.layers]
            yield attrs.evolve(plan, layers=layers)


@caught_by("test_the_vocal_is_never_altered")
class TestVocalShifting(OfGenerators):
    mutant = VocalShifting


@attrs.define(kw_only=True, eq=False)
class StemSwapping(Drawn):
    def _variants(self, plan: MashupPlan, clips: Mapping[str, Clip]) -> list[MashupPlan]:
        other = next(name for name in clips if name != plan.layers[0].clip_id)
        return [attrs.evolve(plan, layers=[attrs.evolve(plan.layers[0], clip_id=other), *plan.layers[1:]])]


@caught_by("test_variants_combine_the_same_stems")
class TestStemSwapping(OfGenerators):
    mutant = StemSwapping


# -------------------------------------------------------------------------------------------------------- executors
class Changed(mk.Pool):
    """The local executor's workers, with something changed."""

    def __init__(self, inner: mk.Pool) -> None:
        self.inner = inner

    @property
    def capacity(self) -> int:
        return self.inner.capacity

    def submit(self, job: mk.Job) -> None:
        self.inner.submit(job)

    def wait(self) -> mk.Outcome:
        return self.changed(self.inner.wait())

    def changed(self, outcome: mk.Outcome) -> mk.Outcome:
        return outcome

    def close(self) -> None:
        self.inner.close()


@attrs.define(kw_only=True, eq=False)
class Spread(mk.Executor):
    """The local executor, with other pools."""

    info = card(provides={"processes"}, thread_safe=True)
    pool: ClassVar[type[Changed]] = Changed
    timeout_s: float = 60.0

    def _pool(self) -> mk.Pool:
        options = {"executor": {"jobs": 2, "timeout_s": self.timeout_s}}
        return self.pool(mk.Kit(options=options).executor._pool())


class OfExecutors(ExecutorContract):
    component = "local"
    mutant: ClassVar[type[mk.Executor]] = Spread
    gone_s = 1.0

    @classmethod
    def create(cls, **options: Any) -> Component:
        return cls.mutant(**options)

    @classmethod
    def hasty(cls) -> mk.Executor:
        return cls.mutant(timeout_s=1.0)  # type: ignore[call-arg]


def spread(changed: type[Changed]) -> type[Spread]:
    return type(f"Spread{changed.__name__}", (Spread,), {"pool": changed})


@attrs.define(kw_only=True, eq=False)
class OnTheMoon(Spread):
    info = card(provides={"processes", "moon"})


@caught_by("test_provides_known_places")
class TestOnTheMoon(OfExecutors):
    mutant = OnTheMoon


@attrs.define(kw_only=True, eq=False)
class Generous(Spread):
    def run(self, jobs: Iterable[mk.Job | None]) -> Iterator[mk.Outcome]:
        yield from mk.Executor.run(self, jobs)
        yield mk.Outcome(job=mk.Job(mk.Work(name="w", start=dict, run=max), None, "a present"))


@caught_by("test_no_jobs_no_outcomes")
class TestGenerous(OfExecutors):
    mutant = Generous


class Stuck(Changed):
    first: Any = None

    def changed(self, outcome: mk.Outcome) -> mk.Outcome:
        self.first = outcome.result if self.first is None else self.first
        return attrs.evolve(outcome, result=self.first)


@caught_by("test_results_do_not_depend_on_the_order")
class TestStuck(OfExecutors):
    mutant = spread(Stuck)


class Stuttering(Changed):
    last: mk.Outcome | None = None

    def wait(self) -> mk.Outcome:
        outcome, self.last = self.last, None
        if outcome is None:
            outcome = self.last = self.inner.wait()
        return outcome


@caught_by("test_every_job_once")
class TestStuttering(OfExecutors):
    mutant = spread(Stuttering)


class Free(Changed):
    def changed(self, outcome: mk.Outcome) -> mk.Outcome:
        return attrs.evolve(outcome, wall_s=0.0)


@caught_by("test_costs_are_told")
class TestFree(OfExecutors):
    mutant = spread(Free)


class Greedy(Changed):
    capacity = 1000  # type: ignore[assignment]


@caught_by("test_jobs_are_taken_as_workers_come_free")
class TestGreedy(OfExecutors):
    mutant = spread(Greedy)


@attrs.define(kw_only=True, eq=False)
class OfLittlePatience(Spread):
    def run(self, jobs: Iterable[mk.Job | None]) -> Iterator[mk.Outcome]:
        return mk.Executor.run(self, itertools.takewhile(lambda job: job is not None, jobs))


@caught_by("test_outcomes_may_bring_jobs")
class TestOfLittlePatience(OfExecutors):
    mutant = OfLittlePatience


class OneTrack(Changed):
    """Does everything with the first work."""

    def __init__(self, inner: mk.Pool) -> None:
        super().__init__(inner)
        self.work: mk.Work | None = None
        self.given: dict[int, mk.Job] = {}

    def submit(self, job: mk.Job) -> None:
        self.work = self.work or job.work
        mine = attrs.evolve(job, work=self.work)
        self.given[id(mine)] = job
        self.inner.submit(mine)

    def changed(self, outcome: mk.Outcome) -> mk.Outcome:
        return attrs.evolve(outcome, job=self.given[id(outcome.job)])


@caught_by("test_works_may_mix")
class TestOneTrack(OfExecutors):
    mutant = spread(OneTrack)


class Forgetful(Changed):
    """Builds the state for every job."""

    def __init__(self, inner: mk.Pool) -> None:
        super().__init__(inner)
        self.jobs: list[mk.Job] = []

    def submit(self, job: mk.Job) -> None:
        self.jobs.append(job)

    def wait(self) -> mk.Outcome:
        job = self.jobs.pop()
        return attempt(job.work, begin(job.work), job.item, job.name).outcome(job)


@caught_by("test_state_is_built_once_a_worker")
class TestForgetful(OfExecutors):
    mutant = spread(Forgetful)


@caught_by("test_a_work_that_cannot_begin")
class TestForgetfulOfErrors(OfExecutors):
    mutant = spread(Forgetful)


class Flattening(Changed):
    def changed(self, outcome: mk.Outcome) -> mk.Outcome:
        return attrs.evolve(outcome, error=outcome.error and ComponentFailed(str(outcome.error)))


@caught_by("test_an_error_of_ours_keeps_its_type_and_fix")
class TestFlattening(OfExecutors):
    mutant = spread(Flattening)


class Fragile(Changed):
    def changed(self, outcome: mk.Outcome) -> mk.Outcome:
        if outcome.error is not None:
            raise outcome.error
        return outcome


@caught_by("test_any_other_error_is_contained")
class TestFragile(OfExecutors):
    mutant = spread(Fragile)


class Lossy(Changed):
    def changed(self, outcome: mk.Outcome) -> mk.Outcome:
        sound = outcome.result
        return attrs.evolve(outcome, result={**sound, "samples": sound["samples"].astype(np.float16)})


@caught_by("test_large_results_arrive_unharmed")
class TestLossy(OfExecutors):
    mutant = spread(Lossy)


@caught_by("test_large_items_arrive_unharmed")
class TestLossyOfItems(OfExecutors):
    mutant = spread(Lossy)


class GivingUp(Changed):
    """Tries nothing again."""

    def changed(self, outcome: mk.Outcome) -> mk.Outcome:
        if outcome.attempts < 2:
            return outcome
        return mk.Outcome(job=outcome.job, error=ComponentFailed(f"{outcome.job.name}: lost"))


@caught_by("test_a_crash_is_tried_again_then_listed")
class TestGivingUp(OfExecutors):
    mutant = spread(GivingUp)


@attrs.define(kw_only=True, eq=False)
class Timeless(Spread):
    timeout_s: float = attrs.field(default=60.0, converter=lambda _: 60.0)


@caught_by("test_what_hangs_is_ended_and_listed")
class TestTimeless(OfExecutors):
    mutant = Timeless


class Leaving(Changed):
    def close(self) -> None:
        pass


@caught_by("test_no_process_is_left")
class TestLeaving(OfExecutors):
    mutant = spread(Leaving)


class Detached(Changed):
    """Its workers are nobody's children."""

    def changed(self, outcome: mk.Outcome) -> mk.Outcome:
        command = [sys.executable, "-c", "import time; time.sleep(5)"]
        return attrs.evolve(outcome, result=subprocess.Popen(command, start_new_session=True).pid)


SpreadDetached = spread(Detached)


@caught_by("test_workers_die_with_their_parent")
class TestDetached(OfExecutors):
    mutant = SpreadDetached

    @classmethod
    def program(cls) -> str:
        return f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n" + (
            "import mutants; executor = mutants.SpreadDetached()\n"
        )


# ------------------------------------------------------------------------------------------------------------ cards
class OfCards(OfScorers):
    summary: ClassVar[str] = ""

    @classmethod
    def registered(cls) -> Registered:
        found = super().registered()
        return attrs.evolve(found, info=attrs.evolve(found.info, summary=cls.summary))


@caught_by("test_card_is_complete")
class TestWithoutSummary(OfCards):
    pass


@caught_by("test_card_on_the_class_is_the_registered_one")
class TestAnotherCard(OfCards):
    summary = "not what the class says"


CONTRACTS: Sequence[type[ComponentContract]] = (
    SeparatorContract, AnalyzerContract, StretcherContract, ScorerContract, GeneratorContract,
    ExecutorContract,
)  # fmt: skip
