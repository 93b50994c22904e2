"""Songs off A = 440 Hz: their tuning is found, their key keeps its name, what is made of them is in tune."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mashkit as mk
from mashkit.audio.files import load, resample, save
from mashkit.builtin.paper import PaperGenerator
from mashkit.catalog.adding import Adder
from mashkit.catalog.database import MashupDB
from mashkit.catalog.edits import edited, parsed
from mashkit.catalog.exported import row_of_record, schema
from mashkit.catalog.songs import describe_song
from mashkit.catalog.upkeep import edit
from mashkit.cli import main
from mashkit.errors import AnalysisError, UsageError
from mashkit.features.spectral import chromagram, spectrogram
from mashkit.features.tuner import tuning_of
from mashkit.features.tuning import (
    IN_TUNE_CENTS,
    Tuning,
    named,
    semitones_between,
    settled,
    sounding_distance,
    tuned,
    wrapped,
)
from mashkit.interfaces import Analyzer, Separator
from mashkit.rendering.output import key_distance
from mashkit.rendering.renderer import Renderer
from mashkit.testing import signals
from mashkit.testing.mashups import Shelf, mashup_of
from mashkit.types import Analysis, Audio, Clip, Condition, Key, MashupPlan, Role, StemSet
from real_inputs import tune as made
from real_inputs.older import as_version_2

A_MAJOR = Key(9, "major")


def apart(one: float, other: float) -> float:
    """Return how far two tunings lie apart, cents: −50 and 50 are one."""
    return abs(wrapped(one - other))


# ------------------------------------------------------------------------------------------------------ the estimate
@pytest.fixture(scope="module")
def in_tune() -> Audio:
    """Ten bars of a band at 440 Hz, without drums and voice."""
    stems, _ = signals.band(A_MAJOR, tempo=112.0, bars=10)
    return stems.role(Role.HARMONIC)


@pytest.mark.parametrize("make", made.TUNED, ids=lambda make: make.__name__)
def test_the_tuning_of_a_song_is_found(make: Callable[[Path], Path], tmp_path: Path) -> None:
    found = tuning_of(load(make(tmp_path)))
    assert found.cents is not None
    assert apart(found.cents, made.TUNED[make]) < 3
    assert 0.16 <= found.confidence <= 1


@pytest.mark.parametrize("make", made.UNTUNED, ids=lambda make: make.__name__)
def test_what_has_no_tuning_gets_none(make: Callable[[Path], Path], tmp_path: Path) -> None:
    assert tuning_of(load(make(tmp_path))).cents is None


@pytest.mark.parametrize("cents", [-50, -34, -10, 3, 20, 45])
def test_the_tuning_moves_with_the_record(in_tune: Audio, cents: float) -> None:
    one, other = tuning_of(in_tune).cents, tuning_of(signals.retuned(in_tune, cents)).cents
    assert one is not None
    assert other is not None
    assert apart(one, 0) < 1.5
    assert apart(other, one + cents) < 1


@pytest.mark.parametrize("gain", [1e-3, 5.0])
def test_neither_level_nor_channels_nor_rate_matter(in_tune: Audio, gain: float) -> None:
    flat = signals.retuned(in_tune, -37)
    cents = tuning_of(flat).cents
    assert cents is not None
    for other in (
        Audio(flat.samples * np.float32(gain), flat.sample_rate),
        Audio(flat.mono()[None], flat.sample_rate),
        resample(flat, 22_050),
        resample(flat, 96_000),
    ):
        again = tuning_of(other).cents
        assert again is not None
        assert apart(again, cents) < 0.5


def test_silence_and_a_moment_have_no_tuning() -> None:
    for audio in (signals.silence(5.0), signals.silence(0.0), signals.tone(453.0, 0.5), signals.noise(20.0)):
        assert tuning_of(audio).cents is None


def test_opposite_phases_have_the_tuning_of_one_channel() -> None:
    tone = signals.tone(440.0 * 2 ** (20 / 1200), 3.0).samples
    both = tuning_of(Audio(np.concatenate([tone, -tone]), signals.SAMPLE_RATE))
    assert both.cents == tuning_of(Audio(tone, signals.SAMPLE_RATE)).cents == pytest.approx(20, abs=1)


def test_vibrato_does_not_move_the_tuning() -> None:
    time = np.arange(20 * signals.SAMPLE_RATE) / signals.SAMPLE_RATE
    notes = 440 * 2 ** ((np.array([0, 2, 4, 5, 7])[(time // 1).astype(int) % 5] - 0.33) / 12)
    phase = 2 * np.pi * np.cumsum(notes * 2 ** (0.15 / 12 * np.sin(2 * np.pi * 5 * time))) / signals.SAMPLE_RATE
    voice = sum(np.sin(partial * phase) / partial for partial in range(1, 6))
    found = tuning_of(Audio(0.2 * voice[None], signals.SAMPLE_RATE)).cents
    assert found is not None
    assert apart(found, -33) < 5


def test_it_is_what_librosa_finds(demo_songs: Path) -> None:
    librosa = pytest.importorskip("librosa")
    for path in sorted(demo_songs.glob("*.ogg"))[:3]:
        audio = resample(load(path).excerpt(10.0, 20.0), 22_050)
        for heard in (audio, signals.retuned(audio, -45)):
            theirs = 100 * float(librosa.estimate_tuning(y=heard.mono(), sr=22_050, n_fft=8192))
            ours = tuning_of(heard).cents
            assert ours is not None
            assert apart(ours, theirs) < 6


# ------------------------------------------------------------------------------------------------- what a key is named
@pytest.mark.parametrize("cents", [-48, -30, 30, 48])
@pytest.mark.parametrize("key", [A_MAJOR, Key(4, "minor")])
def test_of_two_names_the_right_one_is_taken(key: Key, cents: float) -> None:
    heard = signals.retuned(signals.chord_progression(key, seconds=10.0), cents)
    found = tuning_of(heard)
    # An analyzer at 440 Hz names the pitch class above or below what sounds.
    for wrong in (key, key.transposed(1 if cents > 0 else -1)):
        analysis = tuned(Analysis(key=wrong), found)
        assert analysis.key == key
        assert analysis.tuning == found.cents
    # Chords of another analyzer than the key's are named by themselves.
    scale = mk.Chords([0.0, 5.0, 10.0], ["A:maj", "E:maj"] if key == A_MAJOR else ["E:min", "A:min"])
    for chords in (scale, scale.transposed(1 if cents > 0 else -1)):
        assert tuned(Analysis(chords=chords), found).chords == scale


def test_a_key_stays_where_its_name_is_safe() -> None:
    assert named(A_MAJOR, Tuning(-12.0, 0.5)) == A_MAJOR
    assert tuned(Analysis(key=A_MAJOR), Tuning(None, 0.05)) == Analysis(key=A_MAJOR)


@attrs.define(kw_only=True, eq=False)
class Deaf(Analyzer):
    """Says A major whatever it hears: as an analyzer at 440 Hz does of a song 45 cents flat of Bb."""

    info = mk.ComponentInfo(
        name="deaf", target="x:X", summary="s", provides=["key", "tempo", "beats", "downbeats"], code_license="MIT"
    )

    def _analyze(self, mix: Audio) -> Analysis:
        beats = np.arange(0.25, mix.duration, 60 / 112)
        return Analysis(key=A_MAJOR, tempo=112.0, beats=beats, downbeats=beats[::4])


def test_every_analyzer_tells_the_tuning_and_the_key_that_goes_with_it() -> None:
    heard = signals.retuned(signals.chord_progression(Key(10, "major"), seconds=10.0), -45)
    analysis = Deaf().analyze(heard)
    assert analysis.key == Key(10, "major")
    assert analysis.tuning == pytest.approx(-45, abs=1.5)
    assert analysis.confidence["tuning"] > 0.3
    assert Deaf().analyze(signals.silence(5.0)).tuning is None


# ------------------------------------------------------------------------------------------------------------- facts
def test_an_analysis_keeps_its_tuning() -> None:
    analysis = Analysis(key=A_MAJOR, tuning=-45.25, confidence={"tuning": 0.7})
    assert Analysis.from_dict(json.loads(json.dumps(analysis.to_dict()))) == analysis
    assert analysis.within(1.0, 2.0).tuning == -45.25
    older = {name: value for name, value in analysis.to_dict().items() if name != "tuning"}
    assert Analysis.from_dict(older).tuning is None


@pytest.mark.parametrize("cents", [50, -50.5, float("nan"), float("inf")])
def test_a_tuning_beyond_half_a_semitone_is_refused(cents: float) -> None:
    with pytest.raises(AnalysisError, match="next key"):
        Analysis(tuning=cents)


def test_a_tuning_can_be_set() -> None:
    assert parsed("tuning", "-45") == -45
    for wrong in ("50", "-51", "flat", "nan"):
        with pytest.raises(UsageError, match="cents"):
            parsed("tuning", wrong)
    found = edited(Analysis(key=A_MAJOR, tuning=3.0, confidence={"tuning": 0.2, "key": 0.9}), {"tuning": -45.0}, 30.0)
    assert (found.tuning, dict(found.confidence)) == (-45.0, {"key": 0.9})


# ---------------------------------------------------------------------------------------------------------- distances
tonics, tunings = st.integers(0, 11), st.floats(-50, 49.99)


@given(tonics, tunings, tonics, tunings)
def test_the_shortest_shift_brings_one_sound_to_the_other(one: int, cents: float, other: int, goal: float) -> None:
    shift = semitones_between(one, cents, other, goal)
    assert -6 <= shift <= 6
    off = ((one + cents / 100 + shift) - (other + goal / 100) + 6) % 12 - 6
    assert abs(off) * 100 <= IN_TUNE_CENTS
    if abs(off) > 1e-4:
        assert shift.is_integer()  # nothing is shifted for what nobody hears


@given(tonics, tonics, st.floats(-50, 49.99))
def test_songs_of_one_tuning_are_shifted_as_ever(one: int, other: int, cents: float) -> None:
    due = Key(one, "major").semitones_to(Key(other, "major"))
    assert semitones_between(one, cents, other, cents) == due
    assert semitones_between(one, 0.0, other, 0.0) == due


def test_two_names_of_one_sound_are_no_distance_apart() -> None:
    assert semitones_between(0, 48.0, 1, -48.0) == 0
    assert semitones_between(0, 44.0, 1, -48.0) == pytest.approx(0.08)
    assert semitones_between(1, -48.0, 0, 44.0) == pytest.approx(-0.08)
    assert semitones_between(9, -45.0, 0, 0.0) == pytest.approx(3.45)
    assert semitones_between(11, 30.0, 0, 0.0) == pytest.approx(0.7)
    assert settled(-2.96) == -3
    assert settled(-2.94) == -2.94


def test_a_distance_needs_keys() -> None:
    assert sounding_distance(Analysis(key=A_MAJOR), Analysis()) is None
    assert sounding_distance(Analysis(key=Key(0, "minor"), tuning=-20), Analysis(key=Key(3, "major"))) == pytest.approx(
        0.2
    )


# -------------------------------------------------------------------------------------------------------------- plans
def clip(name: str, key: Key, cents: float | None, tempo: float = 120.0) -> Clip:
    beats = np.arange(0.25, 40.0, 60 / tempo)
    analysis = Analysis(key=key, tempo=tempo, beats=beats, downbeats=beats[::4], tuning=cents)
    return Clip(name, name, name, f"{name}.wav", 0.0, 40.0, 44_100, analysis)


def plan_of(condition: Condition, seed: Clip, *others: Clip, **options: Any) -> MashupPlan:
    generator = PaperGenerator(**options)
    return next(generator.plan([seed, *others], condition=condition, count=1, seed=3, vocal=seed.id))


@pytest.mark.parametrize(
    ("key", "cents", "goal", "due"),
    [
        (Key(0, "major"), -45.0, 0.0, -2.55),
        (Key(0, "major"), 12.0, None, -3.12),
        (A_MAJOR, 3.0, -1.5, 0.0),
        (A_MAJOR, None, 45.0, 0.45),
        (Key(10, "major"), -48.0, 48.0, 0.0),
    ],
)
def test_a_matched_plan_shifts_by_semitones_and_cents(
    key: Key, cents: float | None, goal: float | None, due: float
) -> None:
    seed, other = clip("seed", A_MAJOR, goal), clip("other", key, cents)
    layer = plan_of(Condition.MATCHED, seed, other, max_shift=6).layer(Role.HARMONIC)
    distance = sounding_distance(other.analysis, seed.analysis)
    assert layer.semitones == distance
    assert layer.semitones == pytest.approx(due)
    assert key_distance(layer, other, seed) == 0


@pytest.mark.parametrize("more", [-12.0, 12.0])
def test_the_distance_of_a_shifted_key_lies_on_the_circle_of_keys(more: float) -> None:
    seed, other = clip("seed", A_MAJOR, None), clip("other", Key(4, "major"), None)
    layer = plan_of(Condition.MATCHED, seed, other, max_shift=6).layer(Role.HARMONIC)
    assert key_distance(attrs.evolve(layer, semitones=layer.semitones + more), other, seed) == 0
    assert key_distance(attrs.evolve(layer, semitones=layer.semitones + more + 1), other, seed) == -1


@pytest.mark.parametrize("sung", [-2.0, 0.0, 2.0, 12.0])
def test_the_distance_of_a_key_is_from_what_is_sung(sung: float) -> None:
    seed, other = clip("seed", A_MAJOR, None), clip("other", Key(4, "major"), None)
    layer = plan_of(Condition.MATCHED, seed, other, max_shift=6).layer(Role.HARMONIC)
    assert key_distance(attrs.evolve(layer, semitones=layer.semitones + sung), other, seed, sung) == 0
    assert key_distance(layer, other, seed, sung) == (sung + 6) % 12 - 6


def test_plans_of_songs_in_tune_are_what_they_were() -> None:
    def plans(cents: float | None) -> list[str]:
        keys = [(number, Key(5 * number % 12, "major")) for number in range(12)]
        clips = [clip(f"c{number}", key, cents, 100.0 + 8 * (number % 3)) for number, key in keys]
        return [
            plan.to_json()
            for condition in list(Condition)[1:]
            for plan in PaperGenerator().plan(clips, condition=condition, count=20, seed=1)
        ]

    assert plans(None) == plans(0.0) == plans(2.0) == plans(-1.4)


def test_a_plan_says_what_it_retunes() -> None:
    seed, other = clip("seed", A_MAJOR, -2.0), clip("other", Key(0, "major"), -45.0)
    plan = plan_of(Condition.MATCHED, seed, other)
    assert plan.generator["tuning"] == {"vocal": -2.0, "harmonic": -45.0, "cents": 43.0}
    assert any("+43.0 cents" in note for note in plan.notes)
    assert MashupPlan.from_json(plan.to_json()) == plan
    steady = plan_of(Condition.MATCHED, seed, clip("other", Key(0, "major"), -4.0))
    assert "tuning" not in steady.generator
    assert steady.notes == ()


def test_percussion_and_vocal_are_never_retuned() -> None:
    plan = plan_of(Condition.MATCHED, clip("seed", A_MAJOR, 30.0), clip("other", A_MAJOR, -10.0))
    assert plan.layer(Role.VOCAL).semitones == plan.layer(Role.PERCUSSION).semitones == 0
    assert plan.layer(Role.HARMONIC).semitones == pytest.approx(0.4)


def test_unmatched_keys_clash_as_they_sound() -> None:
    seed = clip("seed", A_MAJOR, 48.0)
    same = clip("same sound, other name", Key(10, "major"), -48.0)
    clashing = clip("a semitone higher", Key(10, "major"), 48.0)
    index = PaperGenerator().index([seed, same, clashing])
    assert index.candidates(0, Role.HARMONIC, Condition.UNMATCHED_KEY).rows().tolist() == [2]
    assert index.candidates(0, Role.HARMONIC, Condition.MATCHED).rows().tolist() == [1, 2]
    layer = plan_of(Condition.UNMATCHED_KEY, seed, same, clashing).layer(Role.HARMONIC)
    assert layer.semitones == 0


# ------------------------------------------------------------------------------------------------------ chroma, scores
def test_chroma_is_centred_on_the_tuning(in_tune: Audio) -> None:
    def mean(audio: Audio, cents: float) -> np.ndarray[Any, Any]:
        found = chromagram(spectrogram(audio), tuning=cents).mean(axis=1)
        return found / np.linalg.norm(found)

    straight, flat = mean(in_tune, 0.0), signals.retuned(in_tune, -45)
    assert straight @ mean(flat, -45.0) > 0.999
    assert straight @ mean(flat, 0.0) < 0.99


def test_chroma_at_440_is_what_it_was(in_tune: Audio) -> None:
    spectrum = spectrogram(in_tune)
    assert np.array_equal(chromagram(spectrum), chromagram(spectrum, tuning=0.0))


@pytest.fixture(scope="module")
def shelf() -> Shelf:
    """Songs as they are, and the same played 45 cents flat: "low" says so, "unsaid" does not."""
    shelf = Shelf()
    for name, cents, key, seed in (("a", 0, A_MAJOR, 0), ("b", 0, A_MAJOR, 5), ("b low", -45, A_MAJOR, 5)):
        stems, analysis = signals.band(key, tempo=112.0, bars=12, seed=seed)
        roles = {role: signals.retuned(stems.role(role), cents) if cents else stems.role(role) for role in Role}
        later = 2 ** (-cents / 1200)
        assert analysis.beats is not None
        beats = analysis.beats * later
        analysis = attrs.evolve(analysis, beats=beats, downbeats=beats[::4], tuning=float(cents))
        shelf.add(name, roles, analysis)
    shelf.add(
        "b unsaid",
        {role: shelf.stems["b low", role] for role in Role},
        attrs.evolve(shelf.clips["b low"].analysis, tuning=None),
    )
    return shelf


def mashup_over(shelf: Shelf, name: str, semitones: float) -> mk.Mashup:
    speed = shelf.clips[name].duration / shelf.clips["a"].duration
    layer = {"clip_id": name, "semitones": semitones, "speed": speed}
    return mashup_of(shelf, shelf.clips["a"], harmonic=layer, condition=Condition.MATCHED)


SCORERS: Mapping[str, str] = {"amu": "harmony", "tiv": "relatedness", "vh2015": "chroma", "f0chroma": "harmony"}


@pytest.mark.parametrize("scorer", SCORERS)
def test_a_scorer_hears_a_retuned_song_as_the_song_in_tune(shelf: Shelf, scorer: str) -> None:
    judge = mk.Kit(scorer=scorer).scorer
    mashups = [
        mashup_over(shelf, "b", 0.0),
        mashup_over(shelf, "b low", 0.45),
        mashup_over(shelf, "b low", 0.0),
        mashup_over(shelf, "b unsaid", 0.0),
    ]
    straight, retuned, flat, unsaid = (score.parts[SCORERS[scorer]] for score in judge.score(mashups))
    spread = abs(straight - flat)
    assert abs(retuned - straight) < 0.25 * spread + 0.01
    # Half a semitone off is half a semitone off, whether its tuning is known or not.
    assert flat < straight
    assert unsaid < straight


@pytest.mark.parametrize("scorer", [*SCORERS, "intervalnet", "amu-2021"])
def test_scores_of_songs_in_tune_are_what_they_were(shelf: Shelf, scorer: str) -> None:
    judge = mk.Kit(scorer=scorer).scorer
    unsaid = Shelf()
    for name in ("a", "b"):
        analysis = attrs.evolve(shelf.clips[name].analysis, tuning=None)
        unsaid.add(name, {role: shelf.stems[name, role] for role in Role}, analysis)
    said, not_said = (judge.score([mashup_over(one, "b", 2.0)])[0] for one in (shelf, unsaid))
    assert said == not_said


# ----------------------------------------------------------------------------------------------------------- database
@attrs.define(kw_only=True, eq=False)
class Whole(Separator):
    """All of the mix is harmony, but for a whisper."""

    info = mk.ComponentInfo(
        name="whole", target="x:X", summary="s", provides=["vocals", "drums", "other"], code_license="MIT"
    )

    def _separate(self, mix: Audio) -> StemSet:
        little = Audio(mix.samples * np.float32(0.3), mix.sample_rate)
        return StemSet({"vocals": little, "drums": little, "other": mix})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A song of Bb major, 45 cents flat, which an analyzer takes for A major; and one in A at 440 Hz."""
    folder = tmp_path_factory.mktemp("songs")
    for name, key, cents in (("flat", Key(10, "major"), -45.0), ("straight", A_MAJOR, 0.0)):
        stems, _ = signals.band(key, tempo=112.0, bars=16)
        harmony = Audio(stems.role(Role.HARMONIC).samples, stems.role(Role.HARMONIC).sample_rate)
        save(folder / f"{name}.flac", signals.retuned(harmony, cents))
    return folder


def add(root: Path, folder: Path) -> None:
    songs = [describe_song(path) for path in sorted(folder.glob("*.flac"))]
    with MashupDB(root) as database:
        adder = Adder(database, Whole(), Deaf())
        for added in adder.add(songs):
            assert added.error is None


def clips_in(root: Path) -> dict[str, Clip]:
    with MashupDB(root, write=False) as database:
        return {clip.title: clip for clip in database.table()}


def test_a_database_knows_tunings(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "db"
    add(root, folder)
    clips = clips_in(root)
    flat, straight = clips["flat"].analysis, clips["straight"].analysis
    assert flat.tuning == pytest.approx(-45, abs=1.5)
    assert flat.key == Key(10, "major")
    assert straight.tuning == pytest.approx(0, abs=1.5)
    assert straight.key == A_MAJOR
    with MashupDB(root, write=False) as database:
        table = database.table()
        assert table.tunings.tolist() == [one.analysis.tuning for one in table]
        (plan,) = PaperGenerator().plan(table, condition="matched", count=1, seed=0, vocal=clips["straight"].id)
        assert plan.layer(Role.HARMONIC).semitones == pytest.approx(-0.55, abs=0.03)
    assert main(["db", "list", "--db", str(root)]) == 0
    assert "-45 cents" in capsys.readouterr().out
    assert main(["db", "edit", clips["flat"].id, "--tuning=-30", "--db", str(root), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["clip"]["analysis"]["tuning"] == -30
    add(root, folder)  # what a person said holds
    kept = clips_in(root)["flat"]
    assert (kept.analysis.tuning, kept.edited) == (-30, ("tuning",))
    with MashupDB(root) as database:
        undone = edit(database, kept.id, {}, undo=True)
    assert undone.clip == clips["flat"]


def test_an_older_database_learns_tunings_when_songs_are_next_added(folder: Path, tmp_path: Path) -> None:
    root = tmp_path / "db"
    add(root, folder)
    known = clips_in(root)
    database = sqlite3.connect(root / "index.sqlite")
    with database:  # as version 2 had it
        for key, value in database.execute("SELECT key, value FROM results WHERE kind = 'analysis'").fetchall():
            older = {**json.loads(value), "tuning": None, "key": "A major", "confidence": {}}
            database.execute("UPDATE results SET value = ? WHERE key = ?", (json.dumps(older), key))
    database.close()
    as_version_2(root)
    MashupDB(root).close()  # brought up to date; nothing is computed
    assert {one.analysis.tuning for one in clips_in(root).values()} == {None}
    assert {one.id for one in clips_in(root).values()} == {one.id for one in known.values()}
    add(root, folder)
    for title, one in clips_in(root).items():
        assert one.analysis.key == known[title].analysis.key
        assert one.analysis.tuning == pytest.approx(known[title].analysis.tuning, abs=0.02)
        assert one.id == known[title].id


def test_an_exported_clip_keeps_its_tuning() -> None:
    one = clip("one", A_MAJOR, -12.5)
    record = one.to_dict()
    assert Clip.from_dict(record) == one
    row = row_of_record({**record, "halvings": {}}, {})
    assert row["tuning"] == -12.5
    pyarrow = pytest.importorskip("pyarrow")
    assert schema(()).field("tuning").type == pyarrow.float64()


# -------------------------------------------------------------------------------------------------------------- sound
def test_a_rendered_mashup_is_in_tune(shelf: Shelf) -> None:
    kit = mk.Kit()
    seed, other = shelf.clips["a"], shelf.clips["b low"]
    plan = plan_of(Condition.MATCHED, seed, other, min_duration_s=10.0, min_activity=0.0)
    assert plan.layer(Role.HARMONIC).semitones == pytest.approx(0.45)
    heard = tuning_of(Renderer(shelf, kit.stretcher).mashup(plan).layer_audio(Role.HARMONIC)).cents
    goal = tuning_of(shelf.stem("a", Role.HARMONIC)).cents
    assert heard is not None
    assert goal is not None
    assert apart(heard, goal) < 3


def test_analyze_prints_the_tuning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made.flat_by_45_cents(tmp_path)
    assert main(["analyze", str(tmp_path), "--analyzer", "librosa", "--quiet"]) == 0
    assert "-45 cents" in capsys.readouterr().out.replace("\n", " ")


@settings(max_examples=20)
@given(st.floats(-1e6, 1e6))
def test_wrapping_keeps_within_half_a_semitone(cents: float) -> None:
    assert -50 <= wrapped(cents) < 50
