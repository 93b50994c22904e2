"""Songs as people have them: silent stretches, odd levels and channels, voices alone; and lengths that round badly."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mashkit as mk
from mashkit.audio.files import load, save
from mashkit.audio.levels import (
    FULL_SCALE,
    LEAST_OFFSET,
    USUAL_PEAK,
    complaints,
    constant_offset,
    loudness,
    one_signal,
    usual_gain,
)
from mashkit.audio.silence import SILENCE_DB, sounding_seconds
from mashkit.catalog import Catalog
from mashkit.catalog.database import MashupDB
from mashkit.catalog.excerpts import SAMPLE_RATE, SHORTEST_S, Excerpt, ExcerptPolicy
from mashkit.catalog.ingest import FIGURES, Keys, SongFacts, entry, is_voice_alone, sounding
from mashkit.catalog.lone import INSTRUMENTAL, VOICE, describe_lone
from mashkit.catalog.protocols import create_protocol
from mashkit.catalog.protocols.roles import describe_by_name, holds_by_name
from mashkit.catalog.songs import Song
from mashkit.cli import main
from mashkit.errors import AudioError, CatalogError, GenerationError, UsageError
from mashkit.features.soundprint import soundprint
from mashkit.interfaces import Analyzer, Separator
from mashkit.pipeline import Kit
from mashkit.testing import signals
from mashkit.types import ROLE_STEMS, Analysis, Audio, Clip, Condition, Key, Role, StemSet
from real_inputs import vocal as inputs
from real_inputs.older import as_version_2


@attrs.define(kw_only=True, eq=False)
class Shares(Separator):
    """Gives each stem a share of the mix; remembers the peaks it heard."""

    info = mk.ComponentInfo(
        name="shares", target="x:X", summary="s", provides=["vocals", "drums", "other"], code_license="MIT"
    )
    shares: ClassVar[dict[str, float]] = {"vocals": 0.5, "drums": 0.2, "other": 0.3}
    heard: list[float] = attrs.field(factory=list, init=False)

    def _separate(self, mix: Audio) -> StemSet:
        self.heard.append(mix.peak)
        return StemSet({
            name: Audio(mix.samples * np.float32(share), mix.sample_rate) for name, share in self.shares.items()
        })  # fmt: skip


@attrs.define(kw_only=True, eq=False)
class VoiceOnly(Shares):
    """Takes whatever it hears for a voice, but for a residue."""

    shares = {"vocals": 0.98, "drums": 0.01, "other": 0.01}  # noqa: RUF012 — attrs takes an annotation for a field


@attrs.define(kw_only=True, eq=False)
class Grid(Analyzer):
    """Hears C major and 120 BPM in anything that is loud enough; remembers what it heard."""

    info = mk.ComponentInfo(
        name="grid", target="x:X", summary="s", provides=["key", "tempo", "beats", "downbeats"], code_license="MIT"
    )
    heard: list[Audio] = attrs.field(factory=list, init=False)

    def _analyze(self, mix: Audio) -> Analysis:
        self.heard.append(mix)
        if float(np.sqrt(np.mean(mix.mono() ** 2))) < 0.01:
            return Analysis()
        beats = np.arange(0.25, mix.duration, 0.5)
        return Analysis(key=Key(0, "major"), tempo=120.0, beats=beats, downbeats=beats[::4])


def catalog_of(folder: Path, *paths: Path, described: tuple[Song, ...] = (), **parts: Any) -> Catalog:
    return Catalog.build(
        paths, separator=parts.get("separator", Shares()), analyzer=parts.get("analyzer", Grid()),
        cache=folder / "cache", described=described, policy=parts.get("policy"),
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------- lengths that round
RATES = (8_000, 11_025, 22_050, 32_000, 44_100, 48_000, 88_200, 96_000)


@settings(max_examples=400)
@given(
    rate=st.sampled_from(RATES),
    seconds=st.floats(0.0, 600.0),
    extra=st.integers(0, 3),
    per_song=st.integers(1, 6),
    length=st.one_of(st.sampled_from([25.0, 30.0, 60.0]), st.floats(25.0, 60.0)),
)
def test_excerpts_end_within_the_song(rate: int, seconds: float, extra: int, per_song: int, length: float) -> None:
    # soxr gives the nearest whole number of frames, or one more or less.
    frames = max(round(round(seconds * rate) * SAMPLE_RATE / rate) + extra - 1, 0)
    duration = frames / SAMPLE_RATE
    found = ExcerptPolicy(per_song=per_song, length_s=length).excerpts(duration)
    assert bool(found) == (duration >= SHORTEST_S)
    for one in found:
        first = round(one.start * SAMPLE_RATE)
        assert first >= 0
        assert first + round(one.duration * SAMPLE_RATE) <= frames
        assert one.start == round(one.start, 3)


@pytest.mark.parametrize("duration", [79.516667, 60.0002, 60.0, 61.0, 90.0, 200.0])
def test_starts_that_were_fine_stay(duration: float) -> None:
    frames = round(duration * SAMPLE_RATE)
    duration = frames / SAMPLE_RATE
    centres = np.array([1, 2]) / 3 * duration
    before = [round(float(one), 3) for one in np.clip(centres - 30, 0, duration - 60)]
    if duration > 60:
        for was, now in zip(before, ExcerptPolicy().excerpts(duration), strict=True):
            fine = round(was * SAMPLE_RATE) + 60 * SAMPLE_RATE <= frames
            assert now.start == was if fine else was - 0.0021 < now.start < was


@settings(max_examples=300)
@given(rate=st.sampled_from(RATES), frames=st.integers(1, 4000), share=st.floats(0, 1))
def test_what_is_left_of_a_sound_can_be_cut(rate: int, frames: int, share: float) -> None:
    audio = signals.silence(0.001).excerpt(0, 0) if frames == 0 else Audio(np.zeros((1, frames), np.float32), rate)
    start = share * audio.duration
    assert audio.excerpt(start, audio.duration - start).frames in (
        round((audio.duration - start) * rate), round((audio.duration - start) * rate) + 1,
    )  # fmt: skip
    with pytest.raises(AudioError, match="too long"):
        audio.excerpt(start, audio.duration - start + 2 / rate)


def test_a_clip_keeps_the_downbeat_it_was_cut_on() -> None:
    for beat in np.arange(200) * 0.1 / SAMPLE_RATE + 1.0:  # every place between two frames
        start = round(beat * SAMPLE_RATE) / SAMPLE_RATE
        cut = Analysis(beats=[beat, beat + 0.5], downbeats=[beat]).within(start, start + 2)
        assert cut.downbeats is not None
        assert len(cut.downbeats) == 1


def test_a_song_between_60_and_90_s_is_used(tmp_path: Path) -> None:
    path = inputs.rounded_past_the_end(tmp_path)
    duration = load(path).duration
    assert round(duration - 60, 3) > duration - 60  # as reported
    catalog = catalog_of(tmp_path, path)
    assert catalog.failures == []
    assert len(catalog.clips) == 2


# ----------------------------------------------------------------------------------------------------------- silence
@pytest.mark.parametrize(
    ("make", "parts"),
    [
        (inputs.silent_second_half, [(0.0, 40.0)]),
        (inputs.noise_for_silence, [(0.0, 40.0)]),
        (inputs.silent_first_half, [(150.0, 190.0)]),
        (inputs.silent_middle, [(0.0, 60.0), (180.0, 240.0)]),
        (inputs.a_burst_alone, [(0.0, 25.0)]),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_excerpts_lie_where_it_sounds(
    make: Callable[[Path], Path], parts: list[tuple[float, float]], tmp_path: Path
) -> None:
    path = make(tmp_path)
    catalog = catalog_of(tmp_path, path)
    assert catalog.failures == []
    records = [catalog.record(clip.id) for clip in catalog.clips]
    found = [(one.excerpt.start, one.excerpt.start + one.excerpt.duration) for one in records]
    assert np.array(found) == pytest.approx(np.array(parts))
    assert len(catalog_of(tmp_path, path).clips) == len(parts)  # from the cache


def test_songs_without_silence_keep_their_excerpts() -> None:
    for duration in (61.0, 95.5, 240.0):
        policy = ExcerptPolicy()
        assert policy.excerpts(duration, ()) == policy.excerpts(duration)
        assert policy.excerpts(duration, [(0.0, 8.0)]) == policy.excerpts(duration)


def test_hiss_is_no_song(tmp_path: Path) -> None:
    catalog = catalog_of(tmp_path, inputs.nothing_but_hiss(tmp_path))
    assert not catalog.clips
    (failure,) = catalog.failures
    assert "nothing-but-hiss.flac" in str(failure.error)
    assert "silent" in str(failure.error)


def test_nothing_sounds_in_nothing() -> None:
    for seconds in (0.0, 0.05, 3.0):
        audio = signals.silence(seconds)
        heard = sounding(audio, audio)
        assert not heard.any()
        assert entry(heard) is None
        assert loudness(audio) is None
        assert not sounding_seconds(audio).any()
    assert entry(np.zeros(3, np.bool_)) is None


@given(level=st.floats(-75.0, 0.0))
@settings(max_examples=20)
def test_quiet_music_is_no_silence(level: float) -> None:
    loud = np.random.default_rng(0).normal(0, 1, (1, 8_000 * 4)).astype(np.float32)
    loud[:, 16_000:] *= np.float32(0.001)  # 60 dB less: silent beside the rest
    heard = sounding_seconds(Audio(loud * np.float32(10 ** (level / 20)), 8_000))
    assert heard.tolist() == [True, True, False, False]
    assert SILENCE_DB < -75


def test_a_database_of_schema_2_is_looked_into_once_and_separated_never(tmp_path: Path) -> None:
    save(tmp_path / "song.flac", signals.tone(220.0, 30.0, amplitude=0.6))
    before = catalog_of(tmp_path, tmp_path / "song.flac").clips
    as_version_2(tmp_path / "cache")
    separator = Shares()
    after = catalog_of(tmp_path, tmp_path / "song.flac", separator=separator).clips
    assert [one.id for one in after] == [one.id for one in before]
    for one, other in zip(after, before, strict=True):
        # The tuning is measured of the kept stem, which has 24 bits.
        assert one.analysis.tuning == pytest.approx(other.analysis.tuning, abs=0.1)
        facts = {"tuning": None, "confidence": {}}
        plain = [attrs.evolve(clip, analysis=attrs.evolve(clip.analysis, **facts)) for clip in (one, other)]
        assert plain[0] == plain[1]
    assert separator.heard == []
    with MashupDB(tmp_path / "cache", write=False) as opened:
        ((sound,),) = opened.rows("SELECT sound FROM songs")
    assert json.loads(sound)["peak"] == pytest.approx(0.6, abs=1e-3)


def test_stems_of_an_unusual_level_have_keys_of_their_own() -> None:
    keys, song = Keys("separator", "analyzer"), Song(path=Path("a.wav"), title="a")
    old, usual, quiet = (SongFacts("f", 44_100, 2, 1, 30.0, peak=peak) for peak in (None, 0.9, 0.01))
    excerpt = Excerpt(0.0, 30.0)
    assert keys.stems(song, old, excerpt) == keys.stems(song, usual, excerpt) != keys.stems(song, quiet, excerpt)
    whole = ["stems", "f", 44_100, 0.0, 30.0, FIGURES, "separator", []]  # as it was before levels counted
    assert keys.stems(song, usual, excerpt) == hashlib.sha256(json.dumps(whole).encode()).hexdigest()


# ------------------------------------------------------------------------------------------------ levels and channels
@pytest.mark.parametrize("peak", [1e-7, 1e-3, 0.06, 0.44, 1.3, 8.0, 1e4])
def test_a_separator_hears_a_usual_level_and_its_stems_have_the_mixs(peak: float) -> None:
    noise = signals.noise(1.0)
    mix = Audio(noise.samples * np.float32(peak / noise.peak), noise.sample_rate)
    separator = Shares()
    stems = separator.separate(mix)
    assert separator.heard == pytest.approx([FULL_SCALE])
    rest = signals.mix(stems).samples - mix.samples
    assert np.abs(rest).max() < 1e-5 * peak


@given(peak=st.floats(*USUAL_PEAK))
def test_a_usual_level_is_left_alone(peak: float) -> None:
    assert usual_gain(peak) == 1.0


def test_a_quiet_part_of_a_loud_song_is_left_as_it_is() -> None:
    separator = Shares()
    quiet = Audio(signals.noise(1.0).samples * np.float32(0.01), 44_100)
    separator.separate(quiet, peak=0.9)
    separator.separate(quiet, peak=0.01)
    assert separator.heard[0] == pytest.approx(quiet.peak)
    assert separator.heard[1] == pytest.approx(100 * quiet.peak)


@given(offset=st.floats(-0.9, 0.9), other=st.floats(-0.9, 0.9), gain=st.sampled_from([1.0, 0.01]))
def test_a_constant_offset_is_found_in_each_channel_alone(offset: float, other: float, gain: float) -> None:
    noise = signals.noise(2.5, sample_rate=8_000)
    offsets = np.array([offset, other])
    moved = Audio((noise.samples + offsets[:, None]) * np.float32(gain), noise.sample_rate)
    found = constant_offset(moved, peak=gain * noise.peak) / gain
    assert np.abs(found - offsets).max() < LEAST_OFFSET + 0.005  # the noise itself has a mean in each second
    assert not constant_offset(noise).any()


def test_an_offset_that_rests_have_not_belongs_to_the_notes() -> None:
    note = signals.noise(4.0, sample_rate=8_000).samples + np.float32(0.1)
    rest = np.zeros((2, 8_000), np.float32)
    assert constant_offset(Audio(note, 8_000)) == pytest.approx([0.1, 0.1], abs=0.005)
    assert not constant_offset(Audio(np.concatenate([note, rest], axis=1), 8_000)).any()
    assert not constant_offset(Audio(note[:, :7_999], 8_000)).any()


def test_a_separator_hears_no_offset_and_the_rest_has_it_back() -> None:
    separator, noise = Shares(), signals.noise(2.0)
    assert np.array_equal(separator.separate(noise).stems["other"].samples, noise.samples * np.float32(0.3))
    moved = Audio(noise.samples + np.float32([[0.4], [-0.2]]), noise.sample_rate)
    for peak in (None, moved.peak):
        stems = separator.separate(moved, peak=peak)
        assert separator.heard[-1] == pytest.approx(separator.heard[0], abs=0.005)
        assert np.abs(stems.stems["vocals"].samples.mean(axis=1)).max() < 1e-6
        assert np.abs(signals.mix(stems).samples - moved.samples).max() < 1e-6
        assert np.abs(separator.separate(moved, stems=["drums"]).stems["drums"].samples.mean(axis=1)).max() < 1e-6


def test_a_song_with_an_offset_gives_the_clip_of_one_without(tmp_path: Path) -> None:
    mix = signals.mix(signals.band(bars=16)[0])
    clips = []
    for name, offset in (("plain", 0.0), ("moved", 0.3)):
        sound = Audio(mix.samples * np.float32(0.5) + np.float32(offset), mix.sample_rate)
        path = save(tmp_path / f"{name}.wav", sound)
        catalog = catalog_of(tmp_path, path)
        assert len(catalog.notes) == bool(offset)
        (clip,) = catalog.clips
        clips.append(clip)
        for role in Role:
            assert np.abs(catalog.stem(clip.id, role).samples.mean()) < LEAST_OFFSET
    assert clips[0].activity == clips[1].activity


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (inputs.opposite_phases, "opposite phase"), (inputs.nearly_opposite_phases, "opposite phase"),
        (inputs.very_quiet, "very quiet"), (inputs.one_channel_dead, "right channel"),
        (inputs.with_an_offset, "offset of 10 %"), (inputs.clipped, "clipped"), (inputs.of_eight_bits, "8 bits"),
        (inputs.far_above_full_scale, ""), (inputs.one_channel_late, ""), (inputs.rounded_past_the_end, ""),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)  # fmt: skip
def test_what_is_odd_is_analysed_and_told(make: Callable[[Path], Path], words: str, tmp_path: Path) -> None:
    path, analyzer = make(tmp_path), Grid()
    catalog = catalog_of(tmp_path, path, analyzer=analyzer)
    assert catalog.failures == []
    assert all(clip.analysis.key == Key(0, "major") for clip in catalog.clips)
    assert all(0.05 < heard.peak <= 1.25 for heard in analyzer.heard)
    assert len(catalog.notes) == bool(words)
    for note in catalog.notes:
        assert note.startswith(f"{path}: ")
        assert words in note


def test_nothing_is_said_of_the_demo_songs(demo_songs: Path) -> None:
    assert [complaints(load(path)) for path in sorted(demo_songs.glob("*.ogg"))[:3]] == [[]] * 3


def test_one_signal_is_the_mean_unless_that_is_lost() -> None:
    noise = signals.noise(1.0)
    assert np.array_equal(one_signal(noise), noise.mono())
    left = noise.samples[:1]
    assert np.allclose(one_signal(Audio(np.concatenate([left, -left]), 44_100)), left[0], atol=1e-6)
    dead = Audio(np.concatenate([left, 0 * left]), 44_100)
    assert np.array_equal(one_signal(dead), dead.mono())


@pytest.mark.parametrize("offset", [0.0, 0.01, 0.3, -0.3])
def test_an_offset_makes_no_sound(offset: float) -> None:
    left = np.float32(0.02) * signals.noise(2.0).samples[:1]
    opposed = Audio(np.concatenate([left + offset, offset - left]), 44_100)
    assert any("opposite phase" in text for text in complaints(opposed))
    assert np.allclose(one_signal(opposed), left[0], atol=1e-6)
    alike = Audio(np.concatenate([left + offset, left - offset]), 44_100)
    assert not any("opposite phase" in text for text in complaints(alike))
    assert np.allclose(one_signal(alike), left[0], atol=1e-6)
    dead = Audio(np.concatenate([left, np.full_like(left, offset)]), 44_100)
    assert any("no sound in its right channel" in text for text in complaints(dead))
    assert np.array_equal(soundprint(opposed).values, soundprint(alike).values)


def test_analyze_says_why_there_is_no_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # librosa answers to what sounds, however it sounds.
    paths = [inputs.opposite_phases(tmp_path), inputs.very_quiet(tmp_path)]
    assert main(["analyze", "--analyzer", "librosa", "--json", *map(str, paths)]) == 0
    streams = capsys.readouterr()
    for result in json.loads(streams.out)["results"]:
        assert result["key"] is not None
        assert result["beats"]
        assert len(result["notes"]) == 1
    assert "opposite phase" in streams.err
    assert "very quiet" in streams.err
    save(tmp_path / "nothing.wav", signals.silence(5.0))
    main(["analyze", "--analyzer", "librosa", str(tmp_path / "nothing.wav")])
    assert "nothing.wav: is silent" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------------------- causes
def _plans(clips: list[mk.Clip], **options: Any) -> list[mk.MashupPlan]:
    vocal = options.pop("vocal", None)
    generator = Kit(options={"generator": options}).generator
    return list(generator.plan(clips, condition="matched", count=3, seed=0, vocal=vocal))


def _clip(number: int, key: str | None = "C major", tempo: float | None = 120.0, **changes: Any) -> mk.Clip:
    beats = None if tempo is None else np.arange(0.25, 40.0, 60 / tempo)
    analysis = Analysis(
        key=None if key is None else Key.parse(key), tempo=tempo, beats=beats,
        downbeats=None if beats is None or changes.pop("no_downbeats", False) else beats[::4],
    )  # fmt: skip
    fields = {
        "id": f"clip-{number}", "song": f"song-{number}", "title": f"Song {number}", "source": f"{number}.flac",
        "start": 0.0, "duration": 40.0, "sample_rate": 44_100, "analysis": analysis,
        "activity": dict.fromkeys(Role, 1.0), "loudness": dict.fromkeys(Role, -20.0),
    }  # fmt: skip
    return mk.Clip(**{**fields, **changes})


@pytest.mark.parametrize(
    ("clips", "problem", "fix", "not_fix"),
    [
        ([{"no_downbeats": True}, {"no_downbeats": True}], "no downbeats in 2", "madmom", "max_shift"),
        ([{"activity": {Role.VOCAL: 0.1}}, {"activity": {Role.VOCAL: 0.0}}], "most: 10%", "min_activity", "max_shift"),
        ([{"key": None}, {"key": None}], "no key in 2", "--analyzer", "widen"),
        ([{}, {"song": "song-0"}], "of one song", "another song", "widen"),
        ([{}, {"key": "F# major"}], "semitones apart", "max_shift (now 3; 6 would do)", "min_speed"),
        ([{}, {"tempo": 70.0}], "too far apart in tempo", "min_speed/max_speed", "max_shift"),
        ([{"duration": 20.0}, {"duration": 20.0}], "20.0 s at most", "--clip-length", "widen"),
        ([{"lacks": {Role.HARMONIC, Role.PERCUSSION}}] * 2, "has a harmonic stem that sounds", "with harmony", "widen"),
    ],
)
def test_the_way_out_follows_from_the_cause(clips: list[dict[str, Any]], problem: str, fix: str, not_fix: str) -> None:
    made = [_clip(number, **changes) for number, changes in enumerate(clips)]
    with pytest.raises(GenerationError) as caught:
        _plans(made)
    assert problem in caught.value.problem
    assert caught.value.fix is not None
    assert fix in caught.value.fix
    assert not_fix not in caught.value.fix


def test_stems_that_are_too_quiet_are_told_and_their_fix_comes_first_if_they_fit() -> None:
    def refused(**quiet: Any) -> GenerationError:
        activity = {Role.VOCAL: 1.0, Role.PERCUSSION: 1.0, Role.HARMONIC: 0.157}
        clips = [_clip(0), _clip(1, tempo=65.0), _clip(2, **{"activity": activity, **quiet})]
        with pytest.raises(GenerationError) as caught:
            _plans(clips, vocal="clip-0")
        return caught.value

    fitting = refused()
    left_out = "left out because they sound for less than 25% of the time: 1 of 3 harmonic stems"
    assert f"; {left_out}, of which 1 would fit [" in fitting.problem
    assert str(fitting.fix).startswith("lower generator.min_activity (now 0.25; 0.15 would do), or add songs")
    other = refused(tempo=65.0)
    assert f"; {left_out} [" in other.problem
    assert str(other.fix).startswith("add songs of other tempi")
    assert str(other.fix).endswith(", or lower generator.min_activity")
    assert "left out" not in refused(lacks={Role.HARMONIC}).problem
    alone = [_clip(0), _clip(1, key=None), _clip(2, activity={Role.VOCAL: 1.0, Role.HARMONIC: 0.1})]
    with pytest.raises(GenerationError, match=r"only the vocal's own song .* of which 1 would fit") as own:
        _plans(alone, vocal="clip-0", min_activity=0.3)
    assert str(own.value.fix).startswith("lower generator.min_activity (now 0.3; 0.1 would do)")


@pytest.mark.parametrize(
    ("key", "cents", "shift", "needed"),
    [
        ("D# major", 30.0, -3.3, 3), ("A major", -30.0, 3.3, 3), ("E major", -40.0, -3.6, 4),
        ("E major", 30.0, -4.3, 4), ("G# major", -20.0, 4.2, 4),
    ],
)  # fmt: skip
def test_the_limit_of_shifts_counts_whole_semitones(key: str, cents: float, shift: float, needed: int) -> None:
    def clips(tempo: float) -> list[mk.Clip]:
        made = [_clip(0), _clip(1, key, tempo)]
        return [made[0], attrs.evolve(made[1], analysis=attrs.evolve(made[1].analysis, tuning=cents))]

    (plan,) = _plans(clips(120.0), vocal="clip-0", max_shift=needed)  # the cents are added to the shift
    assert plan.layer(Role.HARMONIC).semitones == pytest.approx(shift)
    with pytest.raises(GenerationError) as caught:
        _plans(clips(120.0), vocal="clip-0", max_shift=needed - 1)
    assert f"max_shift (now {needed - 1}; {needed} would do)" in str(caught.value.fix)
    with pytest.raises(GenerationError, match="1 are too far apart in tempo, 0 in key"):
        _plans(clips(70.0), vocal="clip-0", max_shift=needed)


# ------------------------------------------------------------------------------------------------------- voices alone
def test_a_voice_alone_is_recognised_and_used_as_it_is(tmp_path: Path) -> None:
    path = inputs.voice_alone(tmp_path)
    catalog = catalog_of(tmp_path, path, separator=VoiceOnly())
    (clip,) = catalog.clips
    assert clip.lacks == {Role.HARMONIC, Role.PERCUSSION}
    assert clip.analysis == Analysis()  # what was guessed of a voice is no fact
    assert np.abs(catalog.stem(clip.id, Role.VOCAL).samples - load(path).samples).max() < 1e-6
    with pytest.raises(CatalogError, match="no harmonic"):
        catalog.stem(clip.id, Role.HARMONIC)
    (note,) = catalog.notes
    assert "a voice alone" in note
    for option in ("--vocal-key", "--vocal-bpm", "--vocal-downbeat"):
        assert option in note
    assert Clip.from_dict(json.loads(json.dumps(clip.to_dict()))) == clip
    assert catalog_of(tmp_path, path, separator=VoiceOnly()).clips == catalog.clips  # from the cache
    with MashupDB(tmp_path / "cache", write=False) as database:
        assert database.record(clip.id).clip == clip
        assert database.table().activity[0].tolist() == pytest.approx([clip.activity[Role.VOCAL], -1, -1])


@pytest.mark.parametrize(
    ("rest_db", "pauses", "goes_on", "alone"),
    [
        (-30.0, False, False, True), (-30.0, True, False, True), (-12.0, True, False, True),
        (-12.0, False, False, False), (-12.0, True, True, False), (-5.0, True, False, False), (-5.0, True, True, False),
    ],
)  # fmt: skip
def test_a_voice_is_alone_when_the_rest_is_far_below_or_falls_silent_with_it(
    rest_db: float, pauses: bool, goes_on: bool, alone: bool
) -> None:
    noise = signals.noise(8.0).samples
    sings = np.ones(noise.shape[1], np.float32)
    if pauses:
        sings[3 * 44_100 : 5 * 44_100] = 0
    plays = np.ones_like(sings) if goes_on else sings
    voice = Audio(noise * sings, 44_100)
    # Two stems that are together so far below the voice.
    rest = Audio(noise * plays * np.float32(10 ** (rest_db / 20) / 2), 44_100)
    stems = {Role.VOCAL: voice, Role.HARMONIC: rest, Role.PERCUSSION: rest}
    mix = Audio(voice.samples + 2 * rest.samples, 44_100)
    assert is_voice_alone(stems, mix) == alone


def test_silence_is_no_voice() -> None:
    silent = signals.silence(1.0)
    assert not is_voice_alone(dict.fromkeys(Role, silent), silent)


def test_a_given_vocal_is_not_separated_and_what_is_said_of_it_holds(tmp_path: Path) -> None:
    path = inputs.voice_alone(tmp_path)
    separator, analyzer = Shares(), Grid()
    song = describe_lone(path, VOICE, key="A minor", tempo=100, downbeat="0.25")
    catalog = catalog_of(tmp_path, path, described=(song,), separator=separator, analyzer=analyzer)
    assert (separator.heard, analyzer.heard) == ([], [])
    (clip,) = catalog.clips
    assert (clip.analysis.key, clip.analysis.tempo) == (Key(9, "minor"), 100.0)
    assert clip.analysis.downbeats is not None
    assert np.allclose(np.diff(clip.analysis.downbeats), 2.4)
    assert (clip.start - 0.25) % 2.4 == pytest.approx(0.0, abs=1e-4)
    assert catalog.notes == []


@pytest.mark.parametrize("said", [{"downbeat": 1.0}, {"tempo": 5}, {"tempo": 100, "downbeat": 1e5}])
def test_what_cannot_be_said_of_a_vocal_is_refused(said: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        describe_lone(inputs.voice_alone(tmp_path), VOICE, **said)


def test_what_is_no_voice_in_an_instrumental_is_harmony(tmp_path: Path) -> None:
    path = tmp_path / "instrumentals" / "tune.flac"
    mix = signals.mix(signals.band(bars=14)[0])
    save(path, Audio(mix.samples * np.float32(0.8), mix.sample_rate))
    (song,) = create_protocol("roles").songs([tmp_path])
    assert isinstance(song, Song)
    assert song.holds == INSTRUMENTAL
    catalog = catalog_of(tmp_path, tmp_path, described=(song,))
    (clip,) = catalog.clips
    assert clip.lacks == {Role.VOCAL}
    stems = [catalog.stem(clip.id, role).samples for role in (Role.HARMONIC, Role.PERCUSSION)]
    first = round(clip.start * SAMPLE_RATE)
    whole = load(path).samples[:, first : first + stems[0].shape[1]]
    assert np.abs(sum(stems) - whole).max() < 1e-4
    with pytest.raises(GenerationError, match="has no vocal"):
        _plans([clip, _clip(1)], vocal=clip.id)


@pytest.mark.parametrize(
    ("path", "holds"),
    [
        ("vocals/a.wav", VOICE), ("A-Capella/a.wav", VOICE), ("a.vocals.wav", VOICE), ("Acapellas/x.flac", VOICE),
        ("instrumentals/a.wav", INSTRUMENTAL), ("vocals/a.instrumental.ogg", INSTRUMENTAL),
        ("b/my karaoke.mp3", frozenset(Role)), ("songs/feat. vocals.mp3", frozenset(Role)),
        ("songs/a.wav", frozenset(Role)),
        ("album/05. Voice.wav", frozenset(Role)), ("album/07.Karaoke.wav", frozenset(Role)),
        ("album/Mr. Jones.a_capella.wav", VOICE), ("vocals/05. Voice.wav", VOICE),
    ],
)  # fmt: skip
def test_names_say_what_a_file_holds(path: str, holds: frozenset[Role]) -> None:
    assert holds_by_name(Path(path)) == holds


@pytest.mark.parametrize(
    ("path", "title"),
    [
        ("vocals/01. Hello World.wav", "01. Hello World"), ("vocals/Mr. Jones.wav", "Mr. Jones"),
        ("a/Mr. Jones.vocals.wav", "Mr. Jones"), ("vocals/tune.wav", "tune"), ("Tune/mix.instrumental.wav", "Tune"),
    ],
)  # fmt: skip
def test_only_the_word_for_a_role_is_no_part_of_the_title(path: str, title: str, tmp_path: Path) -> None:
    save(tmp_path / path, signals.tone(440, 0.1))
    assert describe_by_name(tmp_path / path).title == title


@pytest.mark.slow
def test_a_mashup_of_a_voice_alone(tmp_path: Path, light: None, capsys: pytest.CaptureFixture[str]) -> None:
    voice = inputs.voice_alone(tmp_path / "mine")
    songs = tmp_path / "songs"
    for number in range(2):
        save(songs / f"{number}.wav", signals.mix(signals.band(bars=12, tempo=100.0, seed=number)[0]))
    common = [
        "mash", "--vocal", str(voice), str(songs), "-o", str(tmp_path / "out"), "--separator", "thirds", "--analyzer",
        "grid", "-O", "analyzer.tempo=100.0", "--scorer", "loudness", "--count", "4", "-O",
        "generator.min_duration_s=15", "-O", "executor.jobs=0", "--json",
    ]  # fmt: skip
    assert main(common) == 1
    said = capsys.readouterr().err
    assert "--vocal-key, --vocal-bpm, --vocal-downbeat" in said
    assert main([*common, "--vocal-key", "A minor", "--vocal-bpm", "100", "--vocal-downbeat", "0.25"]) == 0
    found = json.loads(capsys.readouterr().out)["mashups"]
    assert len(found) > 1
    assert {one["titles"]["vocal"] for one in found} == {"voice-alone"}
    assert (tmp_path / "out" / "index.html").exists()
    assert main([*common[:1], *common[3:], "--vocal-key", "C major"]) == 2
    assert "without --vocal FILE" in capsys.readouterr().err


def test_a_lone_vocal_gets_the_balance_of_the_other_song() -> None:
    voice = _clip(0, lacks={Role.HARMONIC, Role.PERCUSSION}, loudness={Role.VOCAL: -14.0})
    band = _clip(1, loudness={Role.VOCAL: -20.0, Role.HARMONIC: -24.0, Role.PERCUSSION: -26.0})
    (plan,) = _plans([voice, band], vocal=voice.id)
    assert [plan.layer(role).gain_db for role in (Role.HARMONIC, Role.PERCUSSION)] == pytest.approx([6.0, 6.0])


def test_roles_of_stems_and_of_songs_agree() -> None:
    assert set(itertools.chain(VOICE, INSTRUMENTAL)) == set(ROLE_STEMS) == set(Role)
    assert Excerpt(0.0, 30.0).ends_within(30.0)
    assert Condition.MATCHED in Kit().generator.info.provides
