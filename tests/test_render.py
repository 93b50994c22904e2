"""Plans become sound: in time to the last click, exact to the sample, the vocal untouched, nothing clipped."""

from __future__ import annotations

import json
import pickle
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs
import numpy as np
import pytest

from light import SteadyTurntable, Turntable
from mashkit.audio import mixing
from mashkit.audio.files import resample
from mashkit.audio.mixing import PEAK_CEILING_DB
from mashkit.errors import CatalogError, PlanError, UsageError
from mashkit.interfaces import Stretcher
from mashkit.mashup import Rendering
from mashkit.pipeline import Kit, Ranked
from mashkit.rendering.renderer import Renderer
from mashkit.synthetic.source import SyntheticSource
from mashkit.testing import signals
from mashkit.types import Analysis, Audio, Clip, Condition, Key, Layer, MashupPlan, Mixing, Role, Score

CEILING = 10 ** (PEAK_CEILING_DB / 20)


class ClickSource:
    """Clips whose every stem is a click on each beat: what a mashup's layers do to time can be read off."""

    def __init__(self, tempi: dict[str, float], seconds: float = 40.0, gain: float = 1.0) -> None:
        self.tempi = tempi
        self.seconds = seconds
        self.gain = gain

    def clip(self, clip_id: str) -> Clip:
        if clip_id not in self.tempi:
            raise CatalogError(f"no clip {clip_id!r}")
        beats = self.beats(clip_id)
        analysis = Analysis(Key(0, "major"), self.tempi[clip_id], beats, beats[::4])
        return Clip(clip_id, clip_id, clip_id, clip_id, 0.0, self.seconds, 44_100, analysis)

    def beats(self, clip_id: str) -> np.ndarray:
        first = 0.3 + 0.2 * list(self.tempi).index(clip_id)
        return signals.click_times(self.seconds, self.tempi[clip_id], first=first)

    def stem(self, clip_id: str, role: Role) -> Audio:
        clicks = signals.click_train(self.beats(clip_id), self.seconds, channels=2)
        return Audio(clicks.samples * np.float32(self.gain), clicks.sample_rate)

    def provenance(self, clip_ids: object) -> tuple[()]:
        return ()


@attrs.define(kw_only=True, eq=False)
class CountingStretcher(Stretcher):
    """Counts what it is asked for, and leaves the work to another stretcher."""

    info = SteadyTurntable.info

    inner: Stretcher
    calls: list[tuple[float, float]] = attrs.field(factory=list)

    def _stretch(self, audio: Audio, *, speed: float, semitones: float, frames: int) -> Audio:
        self.calls.append((speed, semitones))
        return self.inner.stretch(audio, speed=speed, semitones=semitones)


@pytest.fixture
def stretcher() -> CountingStretcher:
    return CountingStretcher(inner=Turntable())


def matched(source: ClickSource, *, semitones: float = 0.0) -> MashupPlan:
    """The plan of clip a's vocal over b's harmony and c's drums."""
    clips = [source.clip(name) for name in source.tempi]
    plans = Kit().generator.plan(clips, condition="matched", count=1, seed=0, vocal=clips[0].id)
    plan = next(plans)
    return attrs.evolve(
        plan,
        mixing=Mixing(),
        layers=[
            attrs.evolve(layer, semitones=semitones if layer.role is Role.HARMONIC else 0.0) for layer in plan.layers
        ],
    )


@pytest.mark.parametrize("semitones", [0.0, -3.0, 2.0])
def test_beats_of_all_layers_meet_to_the_last(stretcher: CountingStretcher, semitones: float) -> None:
    source = ClickSource({"a": 120.0, "b": 104.0, "c": 131.0})
    mashup = Renderer(source, stretcher).mashup(matched(source, semitones=semitones))
    grid = mashup.beats()
    # Clicks end half a second before their clip, which lasts up to 0.63 s of the mashup at the slowest speed.
    grid = grid[(grid > 0.2) & (grid < mashup.plan.duration_s - 0.65)]
    assert len(grid) > 50
    for role in Role:
        clicks = signals.click_positions(mashup.stems[role], grid, window=0.1)
        assert np.abs(clicks - grid).max() < 0.010, role


def test_first_downbeats_are_aligned(stretcher: CountingStretcher) -> None:
    source = ClickSource({"a": 120.0, "b": 104.0, "c": 131.0})
    mashup = Renderer(source, stretcher).mashup(matched(source))
    for role in Role:
        assert mashup.downbeats(role)[0] == pytest.approx(mashup.downbeats()[0], abs=1e-6)


@pytest.mark.parametrize("early", [0.0, 0.002, 0.015])
def test_a_beat_just_before_the_start_is_the_first(stretcher: CountingStretcher, early: float) -> None:
    source = ClickSource({"a": 120.0, "b": 104.0, "c": 131.0})
    plan = matched(source)
    first = float(plan.layer(Role.VOCAL).to_mashup(source.beats(plan.layer(Role.VOCAL).clip_id)[0]))
    layers = [attrs.evolve(layer, offset_s=layer.offset_s - first - early) for layer in plan.layers]
    mashup = Renderer(source, stretcher).mashup(attrs.evolve(plan, layers=layers))
    assert mashup.grid()[:2] == pytest.approx([0.0, 0.5 - early], abs=1e-6)
    assert mashup.downbeats()[0] == 0.0


def test_the_vocal_is_a_copy_of_the_clips(stretcher: CountingStretcher) -> None:
    source = ClickSource({"a": 120.0, "b": 104.0, "c": 131.0}, gain=0.2)
    mashup = Renderer(source, stretcher).mashup(matched(source))
    start = round(-mashup.plan.layer(Role.VOCAL).offset_s * 44_100)
    vocal = mashup.stems[Role.VOCAL]
    assert mashup.gain_db == 0
    assert np.array_equal(vocal.samples, source.stem("a", Role.VOCAL).samples[:, start : start + vocal.frames])


@pytest.mark.parametrize("gain", [0.2, 1.0, 4.0])
def test_stems_sum_to_the_mix_and_nothing_clips(stretcher: CountingStretcher, gain: float) -> None:
    source = ClickSource({"a": 120.0, "b": 104.0, "c": 131.0}, gain=gain)
    mashup = Renderer(source, stretcher).mashup(matched(source))
    total = np.sum([stem.samples for stem in mashup.stems.values()], axis=0)
    assert np.abs(total - mashup.mix.samples).max() < 1e-5
    assert max(mashup.mix.peak, *(stem.peak for stem in mashup.stems.values())) <= CEILING * 1.0001
    assert (mashup.gain_db < 0) == (gain >= 1)


def test_the_peak_guard_is_one_gain_for_all(stretcher: CountingStretcher) -> None:
    source = ClickSource({"a": 120.0, "b": 104.0, "c": 131.0})
    plan = matched(source)
    # The gain comes after the stretcher, which need not be linear to the last bit.
    quiet, loud = (
        Renderer(source, stretcher).render(
            attrs.evolve(plan, layers=[attrs.evolve(layer, gain_db=gain_db) for layer in plan.layers])
        )
        for gain_db in (-20.0, 0.0)
    )
    assert quiet.gain_db == 0
    for role in Role:
        expected = quiet.stems[role].samples * np.float32(10 * 10 ** (loud.gain_db / 20))
        np.testing.assert_allclose(loud.stems[role].samples, expected, atol=1e-6, err_msg=role)


def test_every_stem_has_the_plans_length(stretcher: CountingStretcher) -> None:
    source = ClickSource({"a": 120.0, "b": 104.0, "c": 131.0})
    plan = matched(source)
    for seconds in (plan.duration_s, 25.0, 31.23456):
        rendering = Renderer(source, stretcher).render(attrs.evolve(plan, duration_s=seconds))
        frames = round(seconds * 44_100)
        assert {stem.frames for stem in (*rendering.stems.values(), rendering.mix)} == {frames}


def test_a_layer_alone_is_what_goes_into_the_mixing(stretcher: CountingStretcher) -> None:
    source = ClickSource({"a": 120.0, "b": 111.0, "c": 96.0})
    plan = matched(source, semitones=-2.0)
    plan = attrs.evolve(plan, layers=[attrs.evolve(layer, gain_db=-9.0) for layer in plan.layers])
    mashup = Renderer(source, stretcher).mashup(plan)
    assert mashup.gain_db == 0.0
    for role in mashup.roles:
        assert np.array_equal(mashup.layer_audio(role).samples, mashup.stems[role].samples)
    faded = Renderer(source, stretcher).mashup(attrs.evolve(plan, mixing=Mixing(fade_in_s=2.0)))
    assert np.array_equal(faded.layer_audio(Role.HARMONIC).samples, mashup.layer_audio(Role.HARMONIC).samples)
    two = attrs.evolve(plan, layers=[layer for layer in plan.layers if layer.role is not Role.HARMONIC])
    with pytest.raises(PlanError, match="no harmonic layer"):
        Renderer(source, stretcher).mashup(two).layer_audio(Role.HARMONIC)


def test_gains_and_offsets_are_the_layers(stretcher: CountingStretcher) -> None:
    source = ClickSource({"a": 120.0}, gain=0.1)
    layers = [
        Layer(role=Role.VOCAL, clip_id="a"),
        Layer(role=Role.PERCUSSION, clip_id="a", gain_db=6.0, offset_s=0.5),
    ]
    plan = MashupPlan(condition=Condition.ORIGINAL, layers=layers, duration_s=30.0, seed=0)
    stems = Renderer(source, stretcher).mashup(plan).stems
    later = round(0.5 * 44_100)
    expected = stems[Role.VOCAL].samples[:, :-later] * np.float32(10 ** (6 / 20))
    np.testing.assert_allclose(stems[Role.PERCUSSION].samples[:, later:], expected, atol=1e-6)
    assert np.abs(stems[Role.PERCUSSION].samples[:, :later]).max() == 0


class Tone(ClickSource):
    """Clips whose every stem is a tone from the first frame to the last."""

    def stem(self, clip_id: str, role: Role) -> Audio:
        time = np.arange(round(self.seconds * 44_100)) / 44_100
        return Audio((self.gain * np.cos(2 * np.pi * 220 * time)).astype(np.float32)[None], 44_100)


@pytest.mark.parametrize(("offset_s", "begins", "ends"), [(2.5, 2.5, 12.5), (-4.0, 0.0, 6.0), (11.99, 11.99, 15.0)])
def test_a_layer_that_begins_or_ends_inside_the_mashup_does_not_click(
    stretcher: CountingStretcher, offset_s: float, begins: float, ends: float
) -> None:
    source = Tone({"a": 120.0}, seconds=10.0, gain=0.2)
    layers = [Layer(role=Role.VOCAL, clip_id="a"), Layer(role=Role.HARMONIC, clip_id="a", offset_s=offset_s)]
    plan = MashupPlan(condition="original", layers=layers, duration_s=15.0, seed=0)
    mashup = Renderer(source, stretcher).mashup(plan)
    heard, hard = mashup.stems[Role.HARMONIC].samples[0], mashup.layer_audio(Role.HARMONIC).samples[0]
    first, last = round(begins * 44_100), round(ends * 44_100)
    fade = round(mixing.SHORTEST_FADE_S * 44_100)
    inner = slice(first + fade * (first > 0), last - fade * (last < len(heard)))
    assert np.array_equal(heard[inner], hard[inner])
    assert np.abs(heard[:first]).max(initial=0) == np.abs(heard[last:]).max(initial=0) == 0
    wave = 0.2 * 2 * np.pi * 220 / 44_100  # the largest step of the tone itself
    assert np.abs(np.diff(heard)).max() < 1.1 * wave < 0.1 < np.abs(np.diff(hard)).max()


@pytest.mark.parametrize("condition", list(Condition))
def test_no_edge_of_a_drawn_plan_lies_inside_the_mashup(condition: Condition) -> None:
    source = SyntheticSource([(Key(0, "major"), 118.0), (Key(2, "major"), 127.0), (Key(6, "major"), 93.0)], bars=16)
    for plan in Kit().generator.plan(source.clips, condition=condition, count=3, seed=1):
        layers = [attrs.evolve(layer, gain_db=-30.0) for layer in plan.layers]  # so that nothing lowers the mix
        mashup = Renderer(source, Turntable()).mashup(attrs.evolve(plan, layers=layers, mixing=Mixing()))
        for role in mashup.roles:
            assert np.array_equal(mashup.stems[role].samples, mashup.layer_audio(role).samples)


def test_nothing_is_stretched_before_it_is_heard_and_then_once(stretcher: CountingStretcher) -> None:
    source = ClickSource({"a": 120.0, "b": 104.0, "c": 131.0})
    renderer = Renderer(source, stretcher)
    plan = matched(source)
    mashups = [renderer.mashup(plan), renderer.mashup(attrs.evolve(plan, duration_s=26.0))]
    assert all(len(mashup.beats()) and mashup.clips and mashup.source_stem(Role.VOCAL) for mashup in mashups)
    assert stretcher.calls == []
    for mashup in mashups:
        assert mashup.mix.frames
        assert len(mashup.stems) == 3
    assert len(stretcher.calls) == 2  # harmonic and percussion, shared by both; the vocal needs none


def plans_that_differ(source: ClickSource) -> list[MashupPlan]:
    """Two plans over the same clip, two seconds long and unstretched, that sound at different levels."""
    return [
        MashupPlan(
            condition="original",
            layers=[Layer(role=role, clip_id=next(iter(source.tempi)), gain_db=gain) for role in Role],
            duration_s=2.0,
            seed=0,
        )
        for gain in (0.0, -14.0)
    ]


def test_each_plan_has_its_own_sound(stretcher: CountingStretcher) -> None:
    source = ClickSource({"a": 120.0}, seconds=2.0, gain=0.2)
    plans = plans_that_differ(source)
    alone = [Renderer(source, stretcher).render(plan) for plan in plans]
    assert not np.array_equal(alone[0].mix.samples, alone[1].mix.samples)
    renderer = Renderer(source, stretcher)
    for index in (0, 1, 1, 0, 0, 1):
        together = renderer.render(plans[index])
        np.testing.assert_array_equal(together.mix.samples, alone[index].mix.samples)
        for role, stem in together.stems.items():
            np.testing.assert_array_equal(stem.samples, alone[index].stems[role].samples)


def test_stems_and_mix_of_a_mashup_cost_one_rendering(
    stretcher: CountingStretcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    mixed = []
    monkeypatch.setattr("mashkit.audio.mixing.mix", lambda *given, mix=mixing.mix: mixed.append(given) or mix(*given))
    source = ClickSource({"a": 120.0}, seconds=2.0)
    mashup = Renderer(source, stretcher).mashup(plans_that_differ(source)[0])
    assert mashup.mix.frames
    assert len(mashup.stems) == 3
    assert mashup.gain_db <= 0
    assert len(mixed) == 1


def test_two_threads_get_each_its_own_plan(stretcher: CountingStretcher) -> None:
    source = ClickSource({"a": 120.0}, seconds=2.0, gain=0.2)
    plans = plans_that_differ(source)
    alone = [Renderer(source, stretcher).render(plan).mix.peak for plan in plans]
    both_stored = threading.Barrier(2, timeout=60)

    class Interleaved(Renderer):
        """Both threads have stored what they rendered before either of them returns."""

        @property
        def _last(self) -> tuple[MashupPlan, Rendering] | None:
            return self.stored

        @_last.setter
        def _last(self, value: tuple[MashupPlan, Rendering] | None) -> None:
            self.stored = value
            if value is not None:
                both_stored.wait()

    renderer = Interleaved(source, stretcher)
    with ThreadPoolExecutor(2) as pool:
        for _ in range(10):
            peaks = [rendering.mix.peak for rendering in pool.map(renderer.render, plans)]
            assert peaks == alone
            renderer._last = None


def test_a_stretcher_for_one_thread_is_asked_by_one_at_a_time() -> None:
    source = ClickSource({"a": 120.0}, seconds=2.0)
    inside, most = 0, 0

    class Alone(Stretcher):
        info = attrs.evolve(CountingStretcher.info, thread_safe=False)

        def _stretch(self, audio: Audio, *, speed: float, semitones: float, frames: int) -> Audio:
            nonlocal inside, most
            inside += 1
            most = max(most, inside)
            time.sleep(0.05)
            inside -= 1
            return Audio(np.zeros((audio.channels, frames), np.float32), audio.sample_rate)

    stretcher = Alone()
    renderers = [Renderer(source, stretcher) for _ in range(4)]
    plan = plans_that_differ(source)[0]
    plans = [
        attrs.evolve(plan, layers=[attrs.evolve(plan.layer(Role.VOCAL), semitones=shift)])
        for shift in (1.0, 2.0, 3.0, 4.0)
    ]
    with ThreadPoolExecutor(4) as pool:
        assert len(list(pool.map(Renderer.render, renderers, plans))) == 4
    assert most == 1


def test_mashups_travel_and_sound_the_same(stretcher: CountingStretcher) -> None:
    source = ClickSource({"a": 120.0}, seconds=2.0)
    renderer = Renderer(source, stretcher.inner, cache_bytes=1 << 20)
    ranked = Ranked(renderer.mashup(plans_that_differ(source)[1]), Score(0.5), 1)
    arrived = pickle.loads(pickle.dumps(ranked))  # noqa: S301 — our own bytes
    assert arrived.mashup.plan == ranked.mashup.plan
    assert (arrived.rank, arrived.score) == (1, ranked.score)
    np.testing.assert_array_equal(arrived.mashup.mix.samples, ranked.mashup.mix.samples)
    assert arrived.mashup.renderer._cache_bytes == 1 << 20


def test_an_original_is_the_song_itself(stretcher: CountingStretcher) -> None:
    source = SyntheticSource([(Key(0, "major"), 120.0)], bars=16)
    (plan,) = Kit().generator.plan(source.clips, condition="original", count=1, seed=0)
    mashup = Renderer(source, stretcher).mashup(attrs.evolve(plan, mixing=Mixing()))
    total = sum(source.stem(source.clips[0].id, role).samples for role in Role)
    np.testing.assert_allclose(mashup.mix.samples, total * 10 ** (mashup.gain_db / 20), atol=1e-5)
    assert stretcher.calls == []


def test_what_is_odd_about_an_edited_plan_is_in_its_record(stretcher: CountingStretcher, tmp_path: Path) -> None:
    source = Tone({"a": 120.0}, seconds=10.0, gain=0.2)

    def notes(duration_s: float = 10.0, **harmonic: float) -> list[str]:
        layers = [Layer(role=Role.VOCAL, clip_id="a"), Layer(role=Role.HARMONIC, clip_id="a", **harmonic)]
        plan = MashupPlan(condition="original", layers=layers, duration_s=duration_s, seed=0)
        folder = Renderer(source, stretcher).mashup(plan).save(tmp_path / "made")
        record = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
        assert MashupPlan.from_dict(record) == plan
        return record["notes"]

    assert notes() == notes(offset_s=-9.0, gain_db=-20.0) == notes(duration_s=12.0, offset_s=2.0) == []
    silent = "the harmonic layer is silent: it plays from {} of a mashup of 10.0 s, with a gain of {} dB"
    assert notes(offset_s=500.0) == [silent.format("500.0 s to 510.0 s", "+0.0")]
    assert notes(offset_s=-11.0) == [silent.format("-11.0 s to -1.0 s", "+0.0")]
    assert notes(gain_db=-90.0) == [silent.format("0.0 s to 10.0 s", "-90.0")]
    assert notes(duration_s=300.0) == ["the mashup lasts 300.0 s, but its last layer ends at 10.0 s"]
    for gain_db in (60.0, 90.0):  # the vocal is lowered too, but is not the silent one
        (lowered,) = notes(gain_db=gain_db)
        assert re.fullmatch(
            rf"the whole mix is lowered by \d\d\.\d dB .*: lower the harmonic layer \(gain \+{gain_db:.0f}\.0 dB\)",
            lowered,
        )


@pytest.mark.parametrize("seconds", [1e-6, 1e9])
def test_a_plan_that_is_no_length_is_refused(stretcher: CountingStretcher, seconds: float) -> None:
    source = ClickSource({"a": 120.0}, seconds=2.0)
    layers = [Layer(role=Role.VOCAL, clip_id="a")]
    plan = MashupPlan(condition="original", layers=layers, duration_s=seconds, seed=0, mixing=Mixing(duck_db=3))
    with pytest.raises(PlanError, match=f"plan {plan.id} lasts"):
        Renderer(source, stretcher).mashup(plan)


def test_a_plan_of_another_catalog(stretcher: CountingStretcher) -> None:
    source = ClickSource({"a": 120.0})
    plan = MashupPlan(condition="original", layers=[Layer(role=Role.VOCAL, clip_id="z")], duration_s=30.0, seed=0)
    with pytest.raises(CatalogError, match="'z'"):
        Renderer(source, stretcher).mashup(plan)


@pytest.mark.parametrize("speed", [1.0, 1.1])
def test_stems_of_another_rate_than_their_clip_are_refused(stretcher: CountingStretcher, speed: float) -> None:
    class Resampled(ClickSource):
        def stem(self, clip_id: str, role: Role) -> Audio:
            return resample(super().stem(clip_id, role), 48_000 if role is Role.HARMONIC else 44_100)

    layers = [Layer(role=Role.VOCAL, clip_id="a"), Layer(role=Role.HARMONIC, clip_id="a", speed=speed)]
    plan = MashupPlan(condition="matched", layers=layers, duration_s=4.0, seed=0)
    mashup = Renderer(Resampled({"a": 120.0}, seconds=5.0), stretcher).mashup(plan)
    for read in (lambda: mashup.mix, lambda: mashup.layer_audio(Role.HARMONIC)):
        with pytest.raises(CatalogError, match=r"harmonic stem of clip a has 48,000 Hz, and its clip 44,100 Hz"):
            read()


def test_renderers_refuse_what_they_cannot_use(stretcher: CountingStretcher) -> None:
    source = ClickSource({"a": 120.0})
    layers = [Layer(role=Role.VOCAL, clip_id="a")]
    plan = MashupPlan(condition="original", layers=layers, duration_s=4.0, seed=0)
    renderer = Renderer(source, stretcher, cache_bytes=np.int64(1 << 20))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"source is None \(give a catalog"):
        Renderer(None, stretcher)  # type: ignore[arg-type]
    for size in ("1GB", -1):
        with pytest.raises(UsageError, match=f"cache_bytes is {size!r} .give a number of 0 or more"):
            Renderer(source, stretcher, cache_bytes=size)  # type: ignore[arg-type]
    for wrong in (None, renderer.mashup(plan), plan.to_json()):
        for asked in (renderer.mashup, renderer.render):
            with pytest.raises(UsageError, match=r"plan is .*\(give a plan; a mashup has it as mashup\.plan"):
                asked(wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="layer is 'vocal'"):
        renderer.stretched("vocal")  # type: ignore[arg-type]


@pytest.mark.parametrize("sung", [0.0, 2.0, 0.5, -1.3])
def test_layers_that_are_shifted_alike_stay_as_far_apart(stretcher: CountingStretcher, sung: float) -> None:
    source = ClickSource({"a": 120.0, "b": 120.0})
    layers = [
        Layer(role=Role.VOCAL, clip_id="a", semitones=sung),
        Layer(role=Role.HARMONIC, clip_id="b", semitones=sung - 2),
    ]
    plan = MashupPlan(condition="matched", layers=layers, duration_s=4.0, seed=0)
    mashup = Renderer(source, stretcher).mashup(plan)
    # Pitch classes are those of the vocal's tuning as it is played, so each transposition is whole.
    assert mashup.transposition(Role.VOCAL) == round(sung)
    assert mashup.transposition(Role.HARMONIC) == round(sung) - 2
    assert mashup.played_tuning == pytest.approx(100 * (sung - round(sung)))


def test_a_layer_that_a_mashup_has_not_is_named(stretcher: CountingStretcher) -> None:
    layers = [Layer(role=Role.VOCAL, clip_id="a")]
    plan = MashupPlan(condition="original", layers=layers, duration_s=4.0, seed=0)
    mashup = Renderer(ClickSource({"a": 120.0}), stretcher).mashup(plan)
    assert np.array_equal(mashup.beats("vocal"), mashup.beats())  # type: ignore[arg-type]
    reads = (
        mashup.beats, mashup.downbeats, mashup.tuning, mashup.transposition, mashup.source_stem, mashup.stem_key,
        mashup.layer_audio,
    )  # fmt: skip
    for read in reads:
        with pytest.raises(PlanError, match=f"plan {plan.id} has no harmonic layer"):
            read(Role.HARMONIC)
