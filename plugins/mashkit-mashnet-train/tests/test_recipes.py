"""Recipes of training data: notes are read as they are written, played in time and in key, and the same every time."""

from __future__ import annotations

import io
import json
import operator
import os
import shutil
import sys
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

from mashkit.audio.files import load, save
from mashkit.bench.rendered import compose
from mashkit.bench.rendered import render as synthesized
from mashkit.catalog import Catalog
from mashkit.catalog.database import MashupDB
from mashkit.cli import main
from mashkit.components import ComponentInfo
from mashkit.errors import ComponentFailed, OutputError, UsageError
from mashkit.interfaces import Separator
from mashkit.registry import Registry
from mashkit.testing import signals
from mashkit.types import Audio, Key, Role, StemSet
from mashkit_mashnet.pitches import FRAME_RATE, melody, whitened
from mashkit_mashnet.stem_features import StemFeatures
from mashkit_mashnet_train.examples import Fold, parts_of, split_of
from mashkit_mashnet_train.recipes import singers, singing, sound
from mashkit_mashnet_train.recipes.database import from_database
from mashkit_mashnet_train.recipes.processes import in_processes
from mashkit_mashnet_train.recipes.processing import Processing
from mashkit_mashnet_train.recipes.production import DRY, Production, breaths, produced
from mashkit_mashnet_train.recipes.rendered import (
    RenderedOptions,
    bundled_soundfont,
    check,
    grouped,
    render,
    require_inputs,
)
from mashkit_mashnet_train.recipes.scores import Excerpt, Note, groove, pop909
from mashkit_mashnet_train.recipes.singers import SINGERS, Singer, Take, pitch_curve, take, third_above, voice
from mashkit_mashnet_train.recipes.singing import DIVISIONS, MEASURE, measures, sing
from mashkit_mashnet_train.recipes.sound import SAMPLE_RATE, Arrangement, arrange, monophonic
from mashkit_mashnet_train.store import StoreError, open_store

pretty_midi = pytest.importorskip(
    "pretty_midi", reason="needs pretty_midi: pip install 'mashkit-mashnet-train[render]'"
)

TEMPO = 96.0
BEAT = 60 / TEMPO
BARS = 24
SHORT = RenderedOptions(windows=1, seconds=12.0, seed=5, sung=0.0)
MELODY = (64, 67, 69, 67, 64, 62, 60, 62)


def midi(parts: dict[str, list[tuple[float, float, int]]], *, drums: bool = False) -> bytes:
    """A MIDI file of notes (start and end in beats, pitch), as POP909 has them."""
    made = pretty_midi.PrettyMIDI(initial_tempo=TEMPO)
    for name, notes in parts.items():
        track = pretty_midi.Instrument(0, is_drum=drums, name=name)
        track.notes = [pretty_midi.Note(90, pitch, start * BEAT, end * BEAT) for start, end, pitch in notes]
        made.instruments.append(track)
    file = io.BytesIO()
    made.write(file)
    return file.getvalue()


def archive(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:xz") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def song(number: str) -> dict[str, bytes]:
    beats = 4 * BARS
    notes = {
        "MELODY": [(beat, beat + 0.9, MELODY[beat % 8]) for beat in range(beats)],
        "PIANO": [(beat, beat + 1, pitch) for beat in range(0, beats, 2) for pitch in (48, 52, 55)],
    }
    lines = [f"{beat * BEAT} 1.0 {float(beat % 4 == 0)}" for beat in range(beats + 1)]
    chords = [
        f"{bar * 4 * BEAT}\t{(bar + 1) * 4 * BEAT}\t{'C:maj' if bar % 2 == 0 else 'A:min7/b3'}" for bar in range(BARS)
    ]
    texts = {"beat_midi.txt": lines, "chord_midi.txt": chords, "key_audio.txt": ["0.0\t60.0\tC:maj"]}
    made = {f"POP909/{number}/{name}": "\n".join(rows).encode() for name, rows in texts.items()}
    return made | {f"POP909/{number}/{number}.mid": midi(notes)}


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    files = {name: data for number in ("001", "002", "007") for name, data in song(number).items()}
    return archive(tmp_path_factory.mktemp("midi") / "pop909.tar.xz", files)


@pytest.fixture(scope="module")
def drums(tmp_path_factory: pytest.TempPathFactory) -> Path:
    header = "drummer,session,id,style,bpm,beat_type,time_signature,midi_filename,audio_filename,duration,split"
    rows = [
        f"drummer1,s,d1/{name},rock,{TEMPO:g},{kind},{metre},d1/{name}.mid,,{32 * BEAT},train"
        for name, kind, metre in (("beat", "beat", "4-4"), ("fill", "fill", "4-4"), ("waltz", "beat", "3-4"))
    ]
    hits = [(beat, beat + 0.2, 36 if beat % 2 == 0 else 38) for beat in range(32)]
    played = midi({"drums": hits}, drums=True)
    files = {f"groove/d1/{name}.mid": played for name in ("beat", "fill", "waltz")}
    return archive(
        tmp_path_factory.mktemp("drums") / "groove.tar.xz",
        files | {"groove/info.csv": "\n".join([header, *rows]).encode()},
    )


# ---------------------------------------------------------------------------------------------------------- scores
def test_excerpts_are_read_in_beats(songs: Path) -> None:
    excerpts = list(pop909(songs, windows=2, seconds=20.0, seed=0))
    assert [(one.song, one.number) for one in excerpts][:2] == [("pop909/001", 0), ("pop909/001", 1)]
    assert len({one.song for one in excerpts}) == 3
    first = excerpts[0]
    assert first.bars == 8
    assert first.tempo == pytest.approx(TEMPO, rel=1e-3)
    assert first.key == Key(0, "major")
    np.testing.assert_allclose([note.start for note in first.melody], np.arange(32), atol=0.02)
    # Any bar may be the first, and the melody is two bars long.
    assert tuple(note.pitch for note in first.melody[:8]) in (MELODY, MELODY[4:] + MELODY[:4])
    assert {(chord.root, chord.bass, chord.tones) for chord in first.chords} == {
        (0, 0, (0, 4, 7)),
        (9, 0, (0, 3, 7, 10)),
    }


def test_other_archives_are_refused(drums: Path, songs: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no song of POP909"):
        list(pop909(drums, 1, 20.0, 0))
    with pytest.raises(UsageError, match=r"no info\.csv"):
        groove(songs)
    (tmp_path / "junk.tar.xz").write_bytes(b"junk")
    with pytest.raises(UsageError, match="cannot read"):
        list(pop909(tmp_path / "junk.tar.xz", 1, 20.0, 0))
    for whole, read in ((songs, lambda path: list(pop909(path, 1, 20.0, 0))), (drums, groove)):
        part = tmp_path / whole.name
        part.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
        with pytest.raises(UsageError, match=f"cannot read .*{part.name}.*give the tar file"):
            read(part)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"sung": 35}, "sung is 35.*from 0 to 1"),
        ({"sung": float("nan")}, "sung is nan"),
        ({"seconds": 0.0}, "seconds is 0"),
        ({"seconds": float("nan")}, "seconds is nan"),
    ],
)
def test_numbers_without_sense_are_refused(options: dict[str, float], said: str, drums: Path, songs: Path) -> None:
    with pytest.raises(UsageError, match=said):
        require_inputs(songs, drums, [songs], **options)


def test_only_beats_in_four_are_drummed(drums: Path) -> None:
    (found,) = groove(drums)
    assert found.id == "d1/beat"
    np.testing.assert_allclose([hit.start for hit in found.hits], np.arange(32), atol=0.02)


# --------------------------------------------------------------------------------------------------------- singing
def test_measures_are_full_and_hold_every_note() -> None:
    notes = [Note(0.5, 1.5, 64), Note(1.5, 6.25, 66), Note(6.0, 7.0, 67)]
    made = measures(notes, 2)
    assert all(sum(length for _, length, _, _ in measure) == MEASURE for measure in made)
    events = [event for measure in made for event in measure]
    sung: dict[int, int] = {}
    for pitch, length, _, _ in events:
        if pitch is not None:
            sung[pitch] = sung.get(pitch, 0) + length
    # The second is cut short where the third begins.
    assert sung == {66: DIVISIONS, 68: round(4.5 * DIVISIONS), 69: DIVISIONS}
    assert all(pitch is None for pitch, *_ in made[0])
    assert events[-1][0] is None
    crossing = [event for event in events if event[0] == 68]
    assert [(tied, ties) for _, _, tied, ties in crossing] == [(False, True), (True, False)]


def test_one_note_at_a_time() -> None:
    kept = monophonic([Note(0, 2, 60), Note(0.01, 2, 64), Note(1, 3, 62), Note(2.5, 3, 65)])
    assert [(note.start, note.end, note.pitch) for note in kept] == [(0, 1, 60), (1, 2.5, 62), (2.5, 3, 65)]


# ------------------------------------------------------------------------------------------------------- rendering
@pytest.fixture(scope="module")
def soundfont() -> Path:
    pytest.importorskip("tinysoundfont", reason="needs tinysoundfont: pip install --no-deps tinysoundfont")
    return bundled_soundfont()


@pytest.fixture(scope="module")
def excerpt(songs: Path) -> Excerpt:
    return next(pop909(songs, 1, 20.0, 0))


def arranged(excerpt: Excerpt, drums: Path, soundfont: Path, seed: int) -> Arrangement:
    return arrange(excerpt, groove(drums), [soundfont], seed, sung=0.0)


def test_a_seed_makes_the_same_sound(excerpt: Excerpt, drums: Path, soundfont: Path) -> None:
    one, other, again = (arranged(excerpt, drums, soundfont, seed) for seed in (3, 4, 3))
    for role in Role:
        np.testing.assert_array_equal(one.stems[role], again.stems[role])
    assert any(
        one.stems[role].shape != other.stems[role].shape or (one.stems[role] != other.stems[role]).any()
        for role in Role
    )


def test_a_clip_after_another_clip_is_the_clip_alone(excerpt: Excerpt, drums: Path, soundfont: Path) -> None:
    def played(transposed: int) -> Arrangement:
        long = [Note(0.0, 4.0 * excerpt.bars, pitch + transposed) for pitch in (60, 64, 67)]
        held = attrs.evolve(excerpt, melody=long[:1], piano=long, bridge=())
        return arrange(held, groove(drums), [soundfont], 5, sung=0.0, production=DRY)

    sound.load_soundfont.cache_clear()
    alone = played(0)
    played(1)
    after = played(0)
    for role in Role:
        np.testing.assert_array_equal(after.stems[role], alone.stems[role])


def test_a_melody_is_sung_in_time_and_to_a_semitone() -> None:
    pytest.importorskip("pysinsy", reason="needs pysinsy", exc_type=ImportError)
    notes = [Note(beat, beat + 0.9, MELODY[beat % 8]) for beat in range(24)]
    samples = sing(notes, TEMPO, 3, seed=1, sample_rate=SAMPLE_RATE)
    assert samples is not None
    heard = melody(whitened(StemFeatures.of(Audio(samples[None], SAMPLE_RATE)).spectrum))
    frames = [round((beat + 0.5) * BEAT * FRAME_RATE) for beat in range(24)]
    errors = [(int(heard[frame].argmax()) - note.pitch + 6) % 12 - 6 for frame, note in zip(frames, notes, strict=True)]
    # The voice is not in tune to better than half a semitone.
    assert np.mean(np.abs(errors) <= 1) > 0.85
    assert sing([Note(0, 1, 90)], TEMPO, 3, seed=1, sample_rate=SAMPLE_RATE) is None


# --------------------------------------------------------------------------------------------------------- singers
@pytest.fixture(scope="module")
def line() -> list[Note]:
    """Two bars, a rest, two bars."""
    return [Note(beat, beat + 0.9, MELODY[beat % 8]) for beat in (*range(8), *range(10, 18))]


@pytest.fixture(scope="module")
def taken(line: list[Note]) -> Take:
    pytest.importorskip("pysinsy", reason="needs pysinsy", exc_type=ImportError)
    pytest.importorskip("pyworld", reason="needs pyworld", exc_type=ImportError)
    made = take(line, TEMPO, seed=1)
    assert made is not None
    return made


def off_the_score(samples: np.ndarray, notes: list[Note]) -> np.ndarray:
    """Cents by which the loudest partial near each note's second one is above it, in the note's middle."""
    size, padded = 6144, 1 << 18
    hertz = np.fft.rfftfreq(padded, 1 / SAMPLE_RATE)
    found = []
    for note in notes:
        middle = round((note.start + note.end) / 2 * BEAT * SAMPLE_RATE)
        piece = samples[middle - size // 2 : middle + size // 2] * np.hanning(size)
        cents = 1200 * np.log2(np.maximum(hertz, 1) / (2 * 440 * 2 ** ((note.pitch - 69) / 12)))
        near = np.abs(cents) < 150
        found.append(cents[near][np.abs(np.fft.rfft(piece, padded))[near].argmax()])
    return np.array(found)


@pytest.mark.parametrize(("name", "octave"), [("soprano", 0), ("breathy tenor", -12), ("bass", -12)])
def test_singers_are_in_tune(taken: Take, line: list[Note], name: str, octave: int) -> None:
    singer = next(one for one in SINGERS if one.name == name)
    notes = [Note(note.start, note.end, note.pitch + octave) for note in line]
    one, again, other = (
        voice(taken, pitch_curve(len(taken.voiced), notes, TEMPO, singer, np.random.default_rng(seed)), singer, 22_050)
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()
    assert one.dtype == np.float32
    # The last note is followed by a rest.
    assert line[-1].end * BEAT < len(one) / SAMPLE_RATE < line[-1].end * BEAT + 10
    errors = np.abs(off_the_score(one, notes))
    assert np.median(errors) < 12
    assert errors.max() < 40


@pytest.mark.parametrize("singer", SINGERS, ids=lambda singer: singer.name)
def test_singers_have_formants_of_their_own(singer: Singer) -> None:
    pytest.importorskip("pyworld", reason="needs pyworld", exc_type=ImportError)
    hertz = np.linspace(0, 16_000, 257)
    formant = Take(np.ones(200, bool), np.tile(1e-8 + np.exp(-(((hertz - 3000) / 300) ** 2)), (200, 1)))
    sung = voice(formant, np.full(200, 43.0), singer, SAMPLE_RATE)
    power = np.abs(np.fft.rfft(sung)) ** 2
    centre = (np.fft.rfftfreq(len(sung), 1 / SAMPLE_RATE) * power).sum() / power.sum()
    assert centre == pytest.approx(3000 * singer.formants, rel=0.02)
    assert len({one.formants for one in SINGERS}) == len(SINGERS) >= 6


def test_warnings_about_short_notes_are_not_shown(capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pysinsy", reason="needs pysinsy", exc_type=ImportError)
    notes = [Note(number / 8, (number + 1) / 8, 70) for number in range(16)]
    assert sing(notes, 140.0, 3, seed=1, sample_rate=SAMPLE_RATE) is not None
    os.write(2, b"shown again")
    assert capfd.readouterr().err == "shown again"


def test_a_melody_that_nobody_can_sing() -> None:
    pytest.importorskip("pyworld", reason="needs pyworld", exc_type=ImportError)
    assert take([Note(0, 1, 50), Note(1, 2, 80)], TEMPO, 0) is None
    assert take([], TEMPO, 0) is None


@pytest.mark.parametrize(("package", "found"), [("pysinsy", singing._voice), ("pyworld", singers._world)])
def test_what_singing_lacks_is_named_before_work_begins(
    package: str, found: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pysinsy", reason="needs pysinsy", exc_type=ImportError)
    # Missing inputs are named first, so there are some; they are not read before the package is missed.
    inputs = [tmp_path / name for name in ("songs.tar", "drums.tar", "sound.sf2")]
    for path in inputs:
        path.touch()
    monkeypatch.setitem(sys.modules, package, None)
    found.cache_clear()
    with pytest.raises(UsageError, match=rf"singing needs {package}.*mashkit-mashnet-train\[sing\]"):
        render(tmp_path / "store", inputs[0], inputs[1], inputs[2:])
    assert not (tmp_path / "store").exists()


def test_thirds_are_those_of_the_key() -> None:
    up = third_above([Note(0, 1, pitch) for pitch in (60, 62, 64, 65, 67, 69, 71)], Key(0, "major"))
    assert [note.pitch for note in up] == [64, 65, 67, 69, 71, 72, 74]
    up = third_above([Note(0, 1, pitch) for pitch in (69, 71, 72, 74)], Key(9, "minor"))
    assert [note.pitch for note in up] == [72, 74, 76, 77]


# ------------------------------------------------------------------------------------------------------ production
EFFECTS = {"echoes": "echoes", "rooms": "room", "mastering": "mastering"}


@pytest.mark.parametrize("effect", EFFECTS)
def test_an_effect_is_drawn_by_the_seed_and_keeps_length_and_input(effect: str) -> None:
    dry = np.random.default_rng(0).normal(0, 0.1, 2 * SAMPLE_RATE).astype(np.float32)
    dry.flags.writeable = False

    def made(seed: int, production: Production) -> tuple[np.ndarray, dict[str, Any]]:
        return produced(dry, Role.VOCAL, BEAT, SAMPLE_RATE, production, seed)

    alone = attrs.evolve(DRY, **{effect: 1.0})
    (one, facts), (again, _), (other, others) = (made(seed, alone) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert (one.shape, one.dtype) == (dry.shape, dry.dtype)
    assert np.isfinite(one).all()
    assert (one != dry).mean() > 0.5
    assert (one != other).any()
    assert facts != others
    assert list(facts) == [EFFECTS[effect]]
    json.dumps(facts)
    # No effect changes the draws of another.
    assert made(1, Production(echoes=1, rooms=1, mastering=1))[1].items() >= facts.items()
    assert made(1, DRY)[0] is dry


def test_a_share_beyond_one_is_no_share() -> None:
    with pytest.raises(ValueError, match="rooms"):
        Production(rooms=1.5)


def test_breaths_come_before_phrases(line: list[Note]) -> None:
    sound = breaths(line, BEAT, round(18 * BEAT * SAMPLE_RATE), SAMPLE_RATE, np.random.default_rng(1))
    (sounding,) = np.nonzero(sound)
    first, last = sounding[[0, -1]] / SAMPLE_RATE / BEAT
    assert 7.9 < first < last < 10


def test_sung_clips_have_what_their_facts_say(excerpt: Excerpt, drums: Path, soundfont: Path) -> None:
    pytest.importorskip("pysinsy", reason="needs pysinsy", exc_type=ImportError)
    pytest.importorskip("pyworld", reason="needs pyworld", exc_type=ImportError)
    drummings = groove(drums)
    excerpt = attrs.evolve(excerpt, bars=3, melody=tuple(note for note in excerpt.melody if note.start < 11))
    everything = Production(breaths=1, backing=1, echoes=1, rooms=1, mastering=1)
    dry, full, again = (
        arrange(excerpt, drummings, [soundfont], 3, sung=1.0, production=production)
        for production in (DRY, everything, everything)
    )
    assert dry.voice in {singer.name for singer in SINGERS}
    assert (dry.voice, dry.drums, dry.tempo) == (full.voice, full.drums, full.tempo)
    assert dry.production == {role: {} for role in Role}
    assert set(full.production[Role.VOCAL]) == {"backing", "breaths", "echoes", "room", "mastering"}
    assert set(full.production[Role.PERCUSSION]) == {"room", "mastering"}
    # Stems have nothing in common but notes and beats.
    assert full.production[Role.HARMONIC]["mastering"] != full.production[Role.PERCUSSION]["mastering"]
    for role in Role:
        np.testing.assert_array_equal(full.stems[role], again.stems[role])
        assert full.stems[role].shape == dry.stems[role].shape
        assert (full.stems[role] != dry.stems[role]).any()
        assert np.sqrt(np.mean(dry.stems[role] ** 2)) == pytest.approx(0.1, rel=1e-3)


def test_drums_are_on_the_beats(excerpt: Excerpt, drums: Path, soundfont: Path) -> None:
    made = next(
        made for made in (arranged(excerpt, drums, soundfont, seed) for seed in range(9)) if made.drums != "machine"
    )
    beat = 60 / made.tempo * SAMPLE_RATE
    energy = np.square(made.stems[Role.PERCUSSION])
    for number in range(4, 28):
        at = round(number * beat)
        before, after = energy[at - 600 : at - 60].mean(), energy[at : at + 540].mean()
        assert after > 3 * before


@pytest.mark.slow
def test_a_store_is_rendered_and_gone_on_with(songs: Path, drums: Path, soundfont: Path, tmp_path: Path) -> None:
    whole = render(tmp_path / "a", songs, drums, [soundfont], SHORT)
    assert [record.id for record in whole.records] == ["pop909-001-0", "pop909-002-0", "pop909-007-0"]
    assert whole.source["recipe"] == "rendered-3"  # the first recipes are "rendered" and "rendered-2"
    for record in whole.records:
        assert set(record.facts["production"]) == set(Role)
        assert record.analysis.tempo is not None
        assert record.analysis.beats is not None
        np.testing.assert_allclose(np.diff(record.analysis.beats), 60 / record.analysis.tempo)

    told: list[int] = []

    def stop(done: int, total: int) -> None:
        with pytest.raises(OutputError, match="another run is writing into"):
            render(tmp_path / "b", songs, drums, [soundfont], SHORT)
        told.append(done)
        if len(told) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        render(
            tmp_path / "b",
            songs,
            drums,
            [soundfont],
            SHORT,
            progress=stop,
        )
    resumed = render(tmp_path / "b", songs, drums, [soundfont], SHORT)
    assert resumed.fingerprint == whole.fingerprint == open_store(tmp_path / "b").fingerprint
    assert whole.source["licences"] == {"POP909": "MIT", "Groove MIDI Dataset": "CC BY 4.0"}  # and no singer's
    other = render(tmp_path / "c", songs, drums, [soundfont], attrs.evolve(SHORT, seed=6))
    assert other.fingerprint != whole.fingerprint


class Whole(Separator):
    """Returns the mix as each stem."""

    info = ComponentInfo(
        name="whole", target="t:Whole", summary="s", provides=["vocals", "drums", "other"], code_license="MIT"
    )

    def _separate(self, mix: Audio) -> StemSet:
        return StemSet(dict.fromkeys(("vocals", "drums", "other"), mix))


def excerpts_of(songs: Iterable[str], windows: int) -> list[Excerpt]:
    return [
        Excerpt(song=song, number=number, bars=8, tempo=120.0, key=None, melody=(), bridge=(), piano=(), chords=())
        for song in songs
        for number in range(windows)
    ]


@pytest.mark.parametrize("count", [1, 7, 40])
def test_stems_are_mixed_with_those_of_other_songs_of_their_part(count: int) -> None:
    excerpts = excerpts_of((f"song {number}" for number in range(count)), 2)
    groups = grouped(excerpts, Processing(separator=Whole()))
    together = [(one.song, one.number) for group in groups for one in group]
    assert len(together) == len(set(together))
    for group in groups:
        assert 3 <= len(group) <= 5
        assert len({one.song for one in group}) == len(group)
        assert len({split_of(one.song) for one in group}) == len({one.number for one in group}) == 1
    left = [one for one in excerpts if (one.song, one.number) not in together]
    assert max(Counter((one.number, split_of(one.song)) for one in left).values(), default=0) < 3
    assert [one for (one,) in grouped(excerpts, Processing())] == sorted(
        excerpts, key=lambda one: (one.number, one.song)
    )


def test_each_stem_is_separated_from_a_mix_of_three_songs() -> None:
    random = np.random.default_rng(0)
    songs = [{role: random.normal(0, 0.1, 900 + 10 * song).astype(np.float32) for role in Role} for song in range(4)]
    before = [{role: samples.copy() for role, samples in stems.items()} for stems in songs]
    made = Processing(separator=Whole()).of(songs, SAMPLE_RATE, random)
    for song, stems in enumerate(made):
        for place, role in enumerate(Role):
            mixed = {other: songs[(song - place + at) % 4][other] for at, other in enumerate(Role)}
            assert mixed[role] is songs[song][role]
            want = np.sum([samples[:900] for samples in mixed.values()], axis=0)
            found = stems[role][:900]
            assert len(stems[role]) == len(songs[song][role])
            assert np.corrcoef(found, want)[0, 1] > 0.9999
    for stems, kept in zip(songs, before, strict=True):
        for role in Role:
            np.testing.assert_array_equal(stems[role], kept[role])


def test_about_half_of_the_stems_are_stretched_there_and_back() -> None:
    songs = [
        {role: signals.tone(220.0 + 40 * song, 2.0, sample_rate=SAMPLE_RATE).samples[0] for role in Role}
        for song in range(10)
    ]
    processing = Processing(stretcher=Registry().create("stretcher", "librosa"))
    made = processing.of(songs, SAMPLE_RATE, np.random.default_rng(0))
    changed = [
        not np.array_equal(stems[role], own[role]) for stems, own in zip(made, songs, strict=True) for role in Role
    ]
    assert 8 <= sum(changed) <= 22
    for stems, own in zip(made, songs, strict=True):
        for role in Role:
            assert stems[role].dtype == np.float32
            assert stems[role].shape == own[role].shape
            power = [np.abs(np.fft.rfft(samples[8000:-8000])) for samples in (stems[role], own[role])]
            assert abs(int(power[0].argmax()) - int(power[1].argmax())) <= 1  # back at its pitch
    again = processing.of(songs, SAMPLE_RATE, np.random.default_rng(0))
    np.testing.assert_array_equal(again[3][Role.VOCAL], made[3][Role.VOCAL])


@pytest.mark.slow
def test_a_store_of_separated_stems(tmp_path_factory: pytest.TempPathFactory, drums: Path, soundfont: Path) -> None:
    folder = tmp_path_factory.mktemp("separated")
    numbers = [f"{number:03}" for number in range(1, 60)]
    training = [number for number in numbers if split_of(f"pop909/{number}") == "training"][:3]
    held = [number for number in numbers if split_of(f"pop909/{number}") != "training"][:2]
    midis = archive(
        folder / "pop909.tar.xz", {name: data for number in [*training, *held] for name, data in song(number).items()}
    )
    options = attrs.evolve(SHORT, processing=Processing(separator=Registry().create("separator", "librosa")))
    store = render(folder / "a", midis, drums, [soundfont], options)
    names = [f"pop909/{number}" for number in training]
    assert [record.song for record in store.records] == names  # the others are too few for a mix
    assert store.source["recipe"] == "rendered-3-processed"
    assert store.source["separator"]["name"] == "librosa"
    for record in store.records:
        assert sorted([record.song, *record.facts["mixed_with"]]) == names

    def stop(done: int, total: int) -> None:
        assert total == 3
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        render(folder / "b", midis, drums, [soundfont], options, progress=stop)
    next((folder / "b" / "parts").glob("*.npz")).unlink()  # killed amid a group
    resumed = render(folder / "b", midis, drums, [soundfont], options)
    assert resumed.fingerprint == store.fingerprint
    # A fold would put songs whose residue is in each other's stems into several parts.
    assert set(parts_of([store]).values()) == {"training"}
    with pytest.raises(UsageError, match=r"stems of .* were separated from mixes with .*give no --fold"):
        parts_of([store], Fold(1, 3))
    with pytest.raises(UsageError, match="fewer than 3 songs of one part"):
        render(folder / "c", midis, drums, [soundfont], attrs.evolve(options, songs=2))


def test_a_dry_run_counts_what_is_rendered(
    songs: Path, drums: Path, soundfont: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = render(tmp_path / "a", songs, drums, [soundfont], SHORT)
    command = ["features", "rendered", "--midi", songs, "--drums", drums, "--soundfont", soundfont, "--windows", 1]
    command += ["--seconds", 12, "--seed", 5, "--sung", 0, "-o", tmp_path / "dry", "--dry-run", "--json"]
    capsys.readouterr()
    assert main([str(word) for word in command]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["dry_run"], told["clips"], told["songs"]) == (True, len(store), 3)
    # A clip is rendered at a tempo near the song's own, so the length is known about.
    assert told["hours"] == pytest.approx(sum(record.duration for record in store.records) / 3600, rel=0.35)
    (tmp_path / "file").touch()
    for old, new, status, said in (
        (drums, tmp_path / "none.tar", 2, "none.tar: there is no such file"),
        (drums, songs, 2, "pop909.tar.xz holds no info.csv (give groove.tar.xz)"),
        (soundfont, drums, 2, "groove.tar.xz is not a soundfont (give an .sf2 or .sf3 file)"),
        (12, 100_000, 2, "has no song in 4/4 whose melody sounds for 100000 seconds"),
        (tmp_path / "dry", tmp_path / "a", 1, "a holds a finished store"),
        (tmp_path / "dry", tmp_path / "file", 1, "file is a file"),
    ):
        mistaken = [new if word == old else word for word in command]
        for words in (mistaken, [word for word in mistaken if word != "--dry-run"]):
            assert main([str(word) for word in words]) == status
            assert said in capsys.readouterr().err
    assert not (tmp_path / "dry").exists()


def test_two_soundfonts_of_one_name_and_their_order_are_told_apart(
    songs: Path, drums: Path, soundfont: Path, tmp_path: Path
) -> None:
    other = tmp_path / soundfont.name
    other.write_bytes(soundfont.read_bytes() + b"0")

    def source(*soundfonts: Path) -> dict[str, Any]:
        options = attrs.evolve(SHORT, production=DRY)
        return check(tmp_path / "store", songs, drums, soundfonts, options)[1]

    both = source(soundfont, other)
    assert [one["name"] for one in both["files"]] == [songs.name, drums.name, soundfont.name, soundfont.name]
    assert len({str(one["files"]) for one in (both, source(other, soundfont), source(other), source(soundfont))}) == 4


def test_no_soundfont_is_refused(songs: Path, drums: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="soundfont"):
        render(tmp_path / "store", songs, drums, [])


def test_rendered_songs_are_written_as_sound_too(songs: Path, drums: Path, soundfont: Path, tmp_path: Path) -> None:
    options = attrs.evolve(SHORT, songs=1, sound=tmp_path / "mixes")
    store = render(tmp_path / "a", songs, drums, [soundfont], options)
    (record,) = store.records
    mix = load(tmp_path / "mixes" / f"{record.id}.flac")
    assert mix.duration == pytest.approx(record.duration, abs=1e-3)
    assert 0.05 < mix.peak <= 1
    # It is the sound of which the features are.
    own = StemFeatures.of(mix).spectrum.astype(float)
    loudest = np.max([store.stem(0, role).spectrum for role in Role], axis=0).astype(float)[: len(own)]

    def alike(moved: np.ndarray) -> float:
        return float(np.corrcoef(own.ravel(), moved.ravel())[0, 1])

    elsewhere = max(alike(np.roll(loudest, 21, axis=0)), alike(np.roll(loudest, 6, axis=1)))
    assert alike(loudest) > max(0.7, elsewhere + 0.05)


# ---------------------------------------------------------------------------------------------------------- database
@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of the true stems of one song."""
    folder = tmp_path_factory.mktemp("database")
    stems = synthesized(compose(3, 0)).stems
    (folder / "songs" / "One").mkdir(parents=True)
    for name in ("vocals", "drums", "other"):
        save(folder / "songs" / "One" / f"{name}.wav", stems[name].excerpt(0.0, 30.0))
    command = ["db", "add", str(folder / "songs"), "--db", str(folder / "db"), "--protocol", "multitrack"]
    assert main([*command, "--analyzer", "librosa", "-O", "executor.jobs=0", "--quiet"]) == 0
    return folder / "db"


def test_a_store_of_a_database(database: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["features", "db", str(database), "-o", str(tmp_path / "store"), "--dry-run"]) == 0
    assert capsys.readouterr().out.startswith("dry run: 1 clip of 1 song, 0.0")
    (tmp_path / "file").touch()
    assert main(["features", "db", str(database), "-o", str(tmp_path / "file"), "--dry-run"]) == 1
    assert "file is a file" in capsys.readouterr().err
    assert not (tmp_path / "store").exists()
    # Options of the command go before the recipe or after it.
    assert main(["features", "--json", "db", str(database), "-o", str(tmp_path / "store"), "--quiet"]) == 0
    streams = capsys.readouterr()
    told = json.loads(streams.out)
    assert (told["clips"], told["songs"], told["left_out"], streams.err) == (1, 1, [], "")
    store = open_store(tmp_path / "store")
    with MashupDB(database, write=False) as opened:
        catalog = Catalog(opened)
        (clip,) = catalog.clips
        want = StemFeatures.of(catalog.stem(clip.id, Role.VOCAL), tuning=clip.analysis.tuning or 0.0)
    (record,) = store.records
    assert (record.id, record.song, record.duration) == (clip.id, clip.song, clip.duration)
    np.testing.assert_array_equal(record.analysis.beats, clip.analysis.beats)
    np.testing.assert_array_equal(store.stem(0, Role.VOCAL).spectrum, want.spectrum)
    # What made the stems and analyses is known of whatever is trained on them.
    (analyzer,) = store.source["components"]
    assert (analyzer["name"], analyzer["kind"]) == ("librosa", "analyzer")
    # The song's title as well, because a benchmark has to know what a network was trained on.
    assert store.source["titles"] == {clip.song: "One"}
    assert store.source["licences"] == {"One": "unknown"}


def test_a_clip_that_was_corrected_since_is_made_again(database: Path, tmp_path: Path) -> None:
    edited = Path(shutil.copytree(database, tmp_path / "db"))
    songs = tmp_path / "songs" / "Two"
    songs.mkdir(parents=True)
    stems = synthesized(compose(3, 1)).stems
    for name in ("vocals", "drums", "other"):
        save(songs / f"{name}.wav", stems[name].excerpt(0.0, 30.0))
    command = ["db", "add", str(songs.parent), "--db", str(edited), "--protocol", "multitrack", "--analyzer", "librosa"]
    assert main([*command, "-O", "executor.jobs=0", "--quiet"]) == 0
    done: list[str] = []

    def stop(clip: str, number: int, total: int) -> None:
        done.append(clip)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        from_database(tmp_path / "store", edited, progress=stop)
    assert len(list((tmp_path / "store" / "parts").glob("*.npz"))) == 1
    assert main(["db", "edit", done[0], "--db", str(edited), "--tempo", "104.5", "--quiet"]) == 0
    store = from_database(tmp_path / "store", edited)
    with MashupDB(edited, write=False) as opened:
        due = {clip.id: clip.analysis.tempo for clip in Catalog(opened).clips}
    assert {record.id: record.analysis.tempo for record in store.records} == due
    assert due[done[0]] == pytest.approx(104.5)


def test_two_runs_do_not_write_one_store(database: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["features", "db", str(database), "-o", str(tmp_path / "store"), "--quiet"]

    def meanwhile(clip: str, done: int, total: int) -> None:
        for words in (command, [*command, "--dry-run"]):
            assert main(words) == 1
            assert "another run is writing into" in capsys.readouterr().err

    assert len(from_database(tmp_path / "store", database, progress=meanwhile)) == 1


def test_a_clip_that_is_left_out_counts_as_done(database: Path, tmp_path: Path) -> None:
    damaged = Path(shutil.copytree(database, tmp_path / "db"))
    for path in damaged.rglob("*.flac"):
        path.write_bytes(b"")
    calls: list[tuple[int, ...]] = []
    left_out: list[str] = []
    with pytest.raises(StoreError):  # because no clip is left
        from_database(
            tmp_path / "store", damaged, progress=lambda clip, *counts: calls.append(counts), failed=left_out.append
        )
    assert len(left_out) == 1
    assert calls == [(1, 1)]


def test_no_database_is_named(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="nowhere"):
        from_database(tmp_path / "store", tmp_path / "nowhere")


def test_the_first_error_ends_the_work_in_processes() -> None:
    asked: list[int] = []

    def excerpts(count: int) -> Iterator[Excerpt]:
        for number in range(count):
            asked.append(number)
            yield Excerpt(
                song="a song", number=number, bars=8, tempo=120.0, key=None, melody=(), bridge=(), piano=(), chords=()
            )

    assert [one.number for one in in_processes(operator.attrgetter("song"), excerpts(3), jobs=1)] == [0, 1, 2]
    assert {one.number for one in in_processes(operator.attrgetter("song"), excerpts(5), jobs=2)} == set(range(5))
    asked.clear()
    with pytest.raises(ComponentFailed, match=r"a song, excerpt 0.*no attribute 'nothing'"):
        list(in_processes(operator.attrgetter("nothing"), excerpts(5000), jobs=1))
    assert len(asked) < 10
