"""The database: what is put in comes out, nothing is lost, whatever goes wrong is said."""

from __future__ import annotations

import contextlib
import ctypes
import json
import multiprocessing
import os
import pickle
import shutil
import sqlite3
import subprocess
import time
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

import mashkit as mk
from light import Grid, Thirds
from mashkit.audio.files import save
from mashkit.catalog.adding import Adder, usable
from mashkit.catalog.clips import agreement
from mashkit.catalog.database import DamagedIndex, MashupDB
from mashkit.catalog.edits import edited, parsed
from mashkit.catalog.excerpts import Excerpt, ExcerptPolicy
from mashkit.catalog.filesystems import network_file_system
from mashkit.catalog.songs import Song, describe_song, find_songs, trusting
from mashkit.catalog.upkeep import content_digest, edit, prune, repair, verify
from mashkit.cli import main
from mashkit.errors import AnalysisError, CatalogError, MashkitError, OutputError, StemError, UsageError
from mashkit.interfaces import Analyzer, Separator
from mashkit.testing import signals
from mashkit.types import Analysis, Audio, Key, Role, StemSet


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three songs of 36 s, unlike one another."""
    folder = tmp_path_factory.mktemp("songs")
    for name, pitch in (("one", 220.0), ("two", 330.0), ("three", 440.0)):
        save(folder / f"{name}.flac", signals.tone(pitch, 36.0, amplitude=0.3))
    return folder


def add(
    root: Path, folder: Path, *, separator: Separator | None = None, analyzer: Analyzer | None = None, **options: Any
) -> Adder:
    """Add a folder of songs to a database in this process."""
    with MashupDB(root) as database:
        adder = Adder(database, separator or Thirds(), analyzer or Grid(), **options)
        for _ in adder.add(usable(find_songs([folder]), describe_song)):
            pass
        return adder


def test_a_database_stays_where_it_is_when_the_process_goes_elsewhere(
    songs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    add(Path("here.db"), songs)
    catalog = mk.Catalog(MashupDB("here.db", write=False))
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    for one in (catalog, pickle.loads(pickle.dumps(catalog))):  # noqa: S301 — our own bytes
        assert one.stem(one.clips[0].id, Role.VOCAL).frames > 0


@pytest.fixture
def root(songs: Path, tmp_path: Path, template: Path) -> Path:
    """A database of the three songs, of this test's own."""
    shutil.copytree(template, tmp_path / "db")
    return tmp_path / "db"


@pytest.fixture(scope="module")
def template(songs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("template") / "db"
    report = add(root, songs, with_features=True).report
    assert (report.songs, report.clips, report.failures) == (3, 3, [])
    return root


def ids(root: Path) -> list[str]:
    with MashupDB(root, write=False) as database:
        return [clip_id for (clip_id,) in database.rows("SELECT id FROM clips ORDER BY id")]


# ---------------------------------------------------------------------------------------------------- in and out
@pytest.mark.whole
def test_clips_come_back_as_they_were_added(songs: Path, tmp_path: Path) -> None:
    with MashupDB(tmp_path / "db") as database:
        adder = Adder(database, Thirds(), Grid(), with_features=True)
        added = [record for one in adder.add(usable(find_songs([songs]), describe_song)) for record in one.records]
        table = database.table()
        assert sorted(clip.id for clip in table) == sorted(record.clip.id for record in added)
        for record in added:
            assert database.record(record.clip.id) == record
            row = table.row_of(record.clip.id)
            assert row is not None
            assert table[row] == record.clip
            assert table.tonics[row] == 0  # A minor has the notes of C major
            assert table.minor[row]
        assert table.row_of("nobody") is None
        again = pickle.loads(pickle.dumps(table))  # noqa: S301 — our own bytes
        assert [clip.id for clip in again] == [clip.id for clip in table]


def test_many_same_recordings_cost_a_table_little(tmp_path: Path) -> None:
    count = 40_000
    songs = [
        (number, f"{number:064}", *"xtl", 44_100, 2, number, 180.0, "[]", "songs", "{}", "{}")
        for number in range(count)
    ]
    clips = [
        (number, f"c-{number}", number, number, 30.0, 0, 0, 120.0, 0.0, 10, 0.9, 0.9, 0.9) for number in range(count)
    ]

    def seconds() -> float:
        took = []
        for _ in range(2):
            begun = time.perf_counter()
            database.table()
            took.append(time.perf_counter() - begun)
        return min(took)

    with MashupDB(tmp_path / "db") as database:
        for table, rows in (("songs", songs), ("clips", clips)):
            marks = ", ".join("?" * len(rows[0]))
            names = ", ".join(row[1] for row in database.rows(f"PRAGMA table_info({table})")[: len(rows[0])])
            with database.transaction() as cursor:
                cursor.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", rows)
        alone = seconds()
        assert len(set(database.table().songs.tolist())) == count
        with database.transaction() as cursor:  # each odd song is the recording of the one before
            cursor.execute(
                "UPDATE songs SET recording = (SELECT sha256 FROM songs s WHERE s.number = songs.number - 1)"
                " WHERE number % 2"
            )
        assert database.table().songs.tolist() == [number - number % 2 for number in range(count)]
        assert seconds() < 5 * alone  # with a pass over all clips for each it would be ten times


def test_clips_are_cut_on_downbeats_and_their_stems_with_them(songs: Path, template: Path) -> None:
    with MashupDB(template, write=False) as database:
        for clip in database.table():
            record = database.record(clip.id)
            # Bars of 2 s from 0.3 s on: seventeen end within 36 s, whole phrases are sixteen.
            assert clip.start == pytest.approx(0.3, abs=1 / 44_100)
            assert clip.duration == 32.0
            assert clip.analysis.downbeats is not None
            np.testing.assert_allclose(clip.analysis.downbeats, np.arange(16) * 2.0, atol=2 / 44_100)
            song = mk.load(songs / f"{clip.title}.flac")
            stem = database.objects.audio(record.stems[Role.VOCAL])
            first = round(0.3 * 44_100)
            np.testing.assert_allclose(stem.samples[0], song.samples[0, first : first + stem.frames] / 3, atol=1e-6)
            with np.load(database.objects.path(record.features, ".npz")) as features:
                assert features["vocal.chroma"].shape == (12, len(features["times"]))


@pytest.mark.whole
def test_the_order_of_adding_does_not_matter(songs: Path, template: Path, tmp_path: Path) -> None:
    for path in sorted(songs.iterdir(), reverse=True):
        add(tmp_path / "db", path, with_features=True)
    with MashupDB(tmp_path / "db") as one, MashupDB(template, write=False) as other:
        assert content_digest(one) == content_digest(other)
        assert [clip.id for clip in one.table()] == [clip.id for clip in other.table()]


def test_a_database_can_be_moved(root: Path, tmp_path: Path) -> None:
    before = ids(root)
    root.rename(tmp_path / "moved")
    with MashupDB(tmp_path / "moved", write=False) as database:
        catalog = mk.Catalog(database)
        assert sorted(clip.id for clip in catalog.clips) == before
        assert catalog.stem(before[0], Role.HARMONIC).frames == round(32.0 * 44_100)
        assert not [finding for finding in verify(database) if not finding.harmless]


# --------------------------------------------------------------------------------------------- computed only once
def test_another_analyzer_moves_the_cut_and_separates_nothing(root: Path, songs: Path) -> None:
    before = ids(root)
    separator = Thirds()
    report = add(root, songs, separator=separator, analyzer=Grid(first=0.5, tempo=100.0), with_features=True).report
    assert (separator.calls, report.songs, report.cached) == ([], 3, 0)
    assert not set(ids(root)) & set(before)
    analyzer = Grid()
    add(root, songs, separator=separator, analyzer=analyzer, with_features=True)
    assert (separator.calls, analyzer.calls, ids(root)) == ([], [], before)


def test_new_tags_are_no_new_song(root: Path, songs: Path, tmp_path: Path) -> None:
    import soundfile

    tagged = tmp_path / "tagged.flac"
    audio = mk.load(songs / "one.flac")
    with soundfile.SoundFile(tagged, "w", 44_100, audio.channels, "PCM_24", format="FLAC") as file:
        file.title = "Another Name"
        file.write(audio.samples.T)
    assert tagged.read_bytes() != (songs / "one.flac").read_bytes()
    separator, analyzer = Thirds(), Grid()
    report = add(root, tagged, separator=separator, analyzer=analyzer, with_features=True).report
    assert (separator.calls, analyzer.calls, report.cached) == ([], [], 1)
    assert any("the same sound as" in note and "one.flac" in note for note in report.notes)
    assert len(ids(root)) == 3


def test_a_copy_changes_nothing_and_a_moved_file_is_followed(songs: Path, tmp_path: Path) -> None:
    own, copy = tmp_path / "music" / "own" / "x.flac", tmp_path / "music" / "copy" / "Other Name.flac"
    for path in (own, copy):
        path.parent.mkdir(parents=True)
        shutil.copy(songs / "one.flac", path)
    add(tmp_path / "db", own)
    before = ids(tmp_path / "db")
    report = add(tmp_path / "db", copy).report
    assert (report.songs, report.cached, ids(tmp_path / "db")) == (1, 1, before)
    told = [f"{copy}: the same sound as {own}, which the database already has"]
    assert report.notes == told
    assert add(tmp_path / "db", tmp_path / "music").report.notes == told  # both: the copy comes first
    own.write_bytes((songs / "two.flac").read_bytes())  # its path is there, but holds another song
    assert add(tmp_path / "db", copy).report.notes == []
    with MashupDB(tmp_path / "db", write=False) as database:
        ((clip),) = database.table()
    assert (clip.title, clip.source) == ("Other Name", str(copy))


def test_what_labels_said_stays_when_the_plain_song_is_added(songs: Path, tmp_path: Path) -> None:
    file = tmp_path / "one.flac"
    shutil.copy(songs / "one.flac", file)
    beats = np.arange(0.8, 36, 0.5)
    labelled = Song(path=file, title="By Hand", known=Analysis(key=Key(1, "major"), beats=beats, downbeats=beats[::4]))
    with MashupDB(tmp_path / "db") as database:
        (added,) = Adder(database, Thirds(), Grid()).add([labelled], protocol="rekordbox")
    moved = file.rename(tmp_path / "renamed.flac")
    (note,) = [note for note in add(tmp_path / "db", moved).report.notes if "labels that" in note]
    assert "keeps the labels that --protocol rekordbox gave it" in note
    assert ids(tmp_path / "db") == [added.records[0].clip.id]
    with MashupDB(tmp_path / "db") as database:
        (clip,) = database.table()
        assert (clip.analysis.key, clip.source) == (Key(1, "major"), str(moved))
        again = attrs.evolve(labelled, path=moved, title="Anew", known=None)
        (added,) = Adder(database, Thirds(), Grid()).add([again], protocol="rekordbox")
        assert (added.records[0].clip.title, added.records[0].clip.analysis.key) == ("Anew", Key(9, "minor"))


def test_files_that_are_swapped_take_their_analyses_along(tmp_path: Path) -> None:
    files = [tmp_path / "a.wav", tmp_path / "b.wav"]
    stems = []
    for pitches in ((220.0, 330.0), (330.0, 220.0)):
        for file, pitch in zip(files, pitches, strict=True):
            save(file, signals.tone(pitch, 25.0, amplitude=0.3))
            os.utime(file, ns=(0, 0))
        assert files[0].stat().st_size == files[1].stat().st_size
        add(tmp_path / "db", tmp_path)
        with MashupDB(tmp_path / "db", write=False) as database:
            records = [database.record(clip.id) for clip in database.table()]
        stems.append({Path(record.clip.source): record.stems for record in records})
    assert [stems[1][file] for file in files] == [stems[0][file] for file in reversed(files)]
    assert stems[0][files[0]] != stems[0][files[1]]


def test_a_song_twice_is_used_once(songs: Path, tmp_path: Path) -> None:
    twice = tmp_path / "twice"
    twice.mkdir()
    for name in ("a", "b"):
        shutil.copy(songs / "one.flac", twice / f"{name}.flac")
    separator = Thirds()
    report = add(tmp_path / "db", twice, separator=separator).report
    assert (report.songs, report.clips, len(separator.calls)) == (1, 1, 1)
    assert report.notes == [f"{twice / 'b.flac'}: the same sound as {twice / 'a.flac'}; used once"]


@pytest.mark.whole
def test_a_song_that_vanished_keeps_its_clips(songs: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    shutil.copytree(songs, own)
    add(tmp_path / "db", own)
    (own / "two.flac").unlink()
    report = add(tmp_path / "db", own).report
    assert (report.songs, report.cached) == (2, 2)
    with MashupDB(tmp_path / "db") as database:
        assert len(database) == 3
        (finding,) = verify(database)
        assert finding.fault == "song"
        assert finding.harmless
        assert "two.flac" in finding.message
    report = add(tmp_path / "db", own / "two.flac", analyzer=Grid(first=0.5)).report
    assert "no such file" in str(report.failures[0][1])
    assert len(ids(tmp_path / "db")) == 3


def test_a_file_with_new_content_is_told_and_the_song_before_is_a_finding(songs: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.flac"
    for name in ("one", "two", "one"):  # at last the first song is back
        shutil.copy(songs / f"{name}.flac", own)
        notes = add(tmp_path / "db", own).report.notes
        told = [f"{own}: held another song before, whose 1 clips stay; `mashkit db verify` lists such"]
        assert notes == (told if name == "two" else [])
        assert add(tmp_path / "db", own).report.notes == []  # it is told once
        with MashupDB(tmp_path / "db") as database:
            findings = list(verify(database))
            assert [(one.fault, one.what) for one in findings] == [("song", str(own))] * (len(database) - 1)
            for one in findings:
                assert "holds another song now" in one.message
                assert one.harmless


def test_songs_are_found_again_from_another_folder(
    songs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "music" / "sub").mkdir(parents=True)
    (tmp_path / "link").symlink_to(songs)
    song, broken = tmp_path / "link" / "one.flac", tmp_path / "music" / "broken.flac"
    broken.write_bytes(b"rust")
    monkeypatch.chdir(tmp_path / "music" / "sub")
    with MashupDB(tmp_path / "db") as database:
        adder = Adder(database, Thirds(), Grid())
        (_, added) = adder.add(usable([Path("../broken.flac"), Path("../../link/one.flac")], describe_song))
        assert added.records[0].clip.source == str(song)  # not after its link
        assert [path for path, _ in database.failures()] == [broken]
    monkeypatch.chdir(tmp_path)
    shutil.copy(songs / "two.flac", broken)
    again = add(tmp_path / "db", tmp_path / "link").report
    assert (again.songs, again.cached, again.notes) == (3, 1, [])
    add(tmp_path / "db", Path("music"))
    with MashupDB(tmp_path / "db") as database:
        assert list(verify(database)) == []
        assert database.failures() == []
        assert all(Path(clip.source).is_absolute() for clip in database.table())


def test_failures_are_kept_until_they_are_mended(songs: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "bad.flac").write_text("no sound")
    add(tmp_path / "db", own)
    with MashupDB(tmp_path / "db", write=False) as database:
        ((path, error),) = database.failures()
    assert path == own / "bad.flac"
    assert "libsndfile does not know its format" in str(error)
    shutil.copy(songs / "one.flac", own / "bad.flac")
    add(tmp_path / "db", own)
    with MashupDB(tmp_path / "db", write=False) as database:
        assert database.failures() == []


def test_failures_of_files_that_are_gone_are_forgotten(songs: Path, tmp_path: Path) -> None:
    own, other = tmp_path / "own", tmp_path / "other"
    for folder in (own, other):
        folder.mkdir()
    root, typo, far = tmp_path / "db", own / "tpyo.flac", other / "gone.flac"
    add(root, typo)
    add(root, far)
    with MashupDB(root) as database:
        assert [path for path, _ in database.failures()] == [far, typo]
    shutil.copy(songs / "one.flac", own)
    add(root, own)  # it knows nothing of the other folder
    with MashupDB(root) as database:
        assert [path for path, _ in database.failures()] == [far]
        prune(database, dry_run=True)
        assert [path for path, _ in database.failures()] == [far]
        prune(database)
        assert database.failures() == []


# ----------------------------------------------------------------------------------------------------------- cuts
@pytest.mark.parametrize(
    ("downbeats", "duration", "expected"),
    [
        (np.arange(0.5, 60, 2.0), 60.0, (0.5, 56.5)),  # 29 bars and one that ends at 58.5: 28 are whole phrases
        (np.arange(0.5, 44, 2.6), 44.0, (0.5, 42.1)),  # sixteen, the last of which ends where the next is due
        (np.arange(0.0, 39, 3.0), 39.0, (0.0, 39.0)),  # thirteen: all there are
        (np.arange(20.0, 40, 2.0), 40.0, (0.0, 40.0)),  # 20 s of bars are too short
        (np.array([1.0]), 30.0, (0.0, 30.0)),
    ],
)
def test_where_a_clip_is_cut(downbeats: np.ndarray, duration: float, expected: tuple[float, float]) -> None:
    analysis = Analysis(beats=downbeats, downbeats=downbeats)
    assert Excerpt(0.0, duration).cut(analysis) == pytest.approx(expected)
    assert Excerpt(0.0, duration, on_downbeats=False).cut(analysis) == (0.0, duration)
    assert Excerpt(0.0, duration).cut(Analysis()) == (0.0, duration)


def test_a_policy_may_leave_excerpts_whole(songs: Path, tmp_path: Path) -> None:
    add(tmp_path / "db", songs / "one.flac", policy=ExcerptPolicy(on_downbeats=False))
    with MashupDB(tmp_path / "db", write=False) as database:
        (clip,) = database.table()
        assert (clip.start, clip.duration) == (0.0, 36.0)


# ---------------------------------------------------------------------------------------------------------- edits
def test_edits_of_an_analysis() -> None:
    beats = np.arange(0.25, 40, 0.5)
    analysis = Analysis(key=Key(0, "major"), tempo=120.0, beats=beats, downbeats=beats[1::4])
    twice = edited(analysis, {"tempo": 240.0}, 40.0)
    assert twice.beats is not None
    np.testing.assert_allclose(np.diff(twice.beats), 0.25)
    half = edited(analysis, {"tempo": 60.2}, 40.0)
    assert half.tempo == 60.2
    assert half.beats is not None
    np.testing.assert_allclose(half.beats, beats[1::2])
    for other in (twice, half):
        assert other.downbeats is not None
        assert other.downbeats[0] == beats[1]
        np.testing.assert_allclose(np.diff(other.downbeats), 4 * np.diff(other.beats)[0])
    new = edited(analysis, {"tempo": 100.0}, 40.0)
    assert new.beats is not None
    np.testing.assert_allclose(np.diff(new.beats), 0.6)
    assert np.abs(new.beats - beats[1]).min() < 1e-9
    moved = edited(analysis, {"downbeat": 10.3}, 40.0)
    assert moved.downbeats is not None
    np.testing.assert_array_equal(moved.beats, beats)
    assert 10.25 in moved.downbeats
    assert len(moved.downbeats) == len(beats) // 4
    sure = attrs.evolve(analysis, confidence={"key": 0.9, "beats": 0.8})
    keyed = edited(sure, {"key": "F# minor"}, 40.0)
    assert keyed.key == Key(6, "minor")
    assert keyed.confidence == {"beats": 0.8}
    grid = edited(Analysis(tempo=120.0), {"downbeat": 1.2}, 10.0)
    assert grid.downbeats is not None
    assert np.abs(grid.downbeats - 1.2).min() < 1e-9
    with pytest.raises(AnalysisError, match="it has neither"):
        edited(Analysis(), {"downbeat": 1.2}, 10.0)


@pytest.mark.parametrize(
    ("field", "text"), [("key", "H major"), ("tempo", "fast"), ("tempo", "0"), ("downbeat", "-1"), ("mood", "sad"),
                        ("tempo", "nan"), ("downbeat", "inf"), ("downbeat", "nan")],
)  # fmt: skip
def test_edits_that_make_no_sense(field: str, text: str) -> None:
    with pytest.raises(MashkitError):
        parsed(field, text)


def test_an_edit_is_kept_until_another_analyzer_speaks_and_a_locked_one_for_good(root: Path, songs: Path) -> None:
    first, second = ids(root)[:2]
    with MashupDB(root) as database:
        changed = edit(database, first, {"key": "E major", "downbeat": "1.3"})
        assert changed.clip.analysis.key == Key(4, "major")
        assert changed.clip.start == pytest.approx(1.3, abs=1e-4)
        assert changed.clip.edited == ("downbeat", "key")
        locked = edit(database, second, {"key": "E major"}, lock=True)
        assert locked.clip.id == second  # its cut is what it was
        assert database.record(changed.clip.id) == changed
        with pytest.raises(CatalogError, match=first):
            database.record(first)
    separator = Thirds()
    add(root, songs, separator=separator, with_features=True)  # the same analyzer: both hold
    with MashupDB(root) as database:
        assert database.record(changed.clip.id) == changed
    add(root, songs, separator=separator, analyzer=Grid(first=0.5), with_features=True)
    with MashupDB(root) as database:
        keys = sorted(str(clip.analysis.key) for clip in database.table())
        assert keys == ["A minor", "A minor", "E major"]
        (held,) = (clip for clip in database.table() if clip.edited)
        undone = edit(database, held.id, {}, undo=True)
        assert (undone.clip.analysis.key, undone.clip.edited) == (Key(9, "minor"), ())
        found = edit(database, undone.clip.id, {}, lock=True)
        assert set(found.clip.edited) == {"key", "tempo", "downbeat"}
    assert separator.calls == []
    add(root, songs, analyzer=Grid(tempo=100.0), with_features=True)
    with MashupDB(root) as database:
        assert sorted(round(clip.analysis.tempo or 0) for clip in database.table()) == [100, 100, 120]


def test_edits_of_another_cut_are_carried_over_or_told(root: Path, songs: Path) -> None:
    separator, shorter = Thirds(), ExcerptPolicy(per_song=1, length_s=25.0, whole_s=25.0)
    first = next(clip_id for clip_id in ids(root) if clip_id.startswith("one-"))
    with MashupDB(root) as database:
        edit(database, first, {"key": "E major", "tuning": "12", "beats_per_bar": "3", "tempo": "100"}, lock=True)
    notes = add(root, songs / "one.flac", policy=shorter, separator=separator).report.notes
    told = f"{songs / 'one.flac'}: the edit tempo 100.0 of its clip from 0 s no longer applies"
    assert [note.startswith(told) for note in notes if " edit tempo" in note] == [True]
    with MashupDB(root) as database:
        (clip,) = (clip for clip in database.table() if clip.title == "one")
        assert clip.edited == ("beats_per_bar", "key", "tuning")
        assert (clip.analysis.key, clip.analysis.tuning, clip.analysis.tempo) == (Key(4, "major"), 12.0, 120.0)
    notes = add(root, songs / "one.flac", policy=shorter).report.notes
    assert [note for note in notes if " edit tempo" in note] == []  # it is told once
    add(root, songs / "one.flac")  # all of them hold for the old cut
    with MashupDB(root) as database:
        (clip,) = (clip for clip in database.table() if clip.title == "one")
        assert clip.edited == ("beats_per_bar", "key", "tempo", "tuning")


def test_a_bad_edit_changes_nothing(root: Path) -> None:
    with MashupDB(root) as database:
        before = content_digest(database)
        with pytest.raises(AnalysisError):
            edit(database, ids(root)[0], {"key": "F minor", "tempo": "120"} | {"key": "no key"})
        with pytest.raises(UsageError):
            edit(database, ids(root)[0], {"tempo": "1e9"})
        for moment in ("36", "500"):  # the song lasts 36 s
            with pytest.raises(UsageError, match="from 0 s to 36 s"):
                edit(database, ids(root)[0], {"downbeat": moment})
        assert content_digest(database) == before


# -------------------------------------------------------------------------------------------- labels and true stems
def song_with_stems(folder: Path, seconds: float = 30.0) -> tuple[Song, Analysis]:
    stems, analysis = signals.band(Key(2, "major"), tempo=120.0, bars=round(seconds / 2))
    paths = {name: save(folder / f"{name}.wav", stem) for name, stem in stems.stems.items()}
    return Song(path=folder, title="band", stems=paths, known=analysis, source={"set": "mine"}), analysis


def test_true_stems_and_labels_need_no_component(tmp_path: Path) -> None:
    song, labels = song_with_stems(tmp_path / "band")
    separator, analyzer = Thirds(), Grid()
    with MashupDB(tmp_path / "db") as database:
        (added,) = Adder(database, separator, analyzer).add([trusting(song)], protocol="mine")
        (record,) = added.records
        assert (separator.calls, analyzer.calls) == ([], [])
        assert record.clip.analysis.key == labels.key
        assert database.component(record.separator)["name"] == "true stems"
        assert mk.Catalog(database).provenance([record.clip.id]) == []
        stem = database.objects.audio(record.stems[Role.PERCUSSION])
        true = mk.load(song.stems["drums"])
        first = round(record.clip.start * 44_100)
        expected = np.repeat(true.samples[:, first : first + stem.frames], 3 - true.channels, axis=0)
        np.testing.assert_allclose(stem.samples, expected, atol=2**-22)
        row = database.song(database.rows("SELECT sha256 FROM songs")[0][0])
        assert row is not None
        assert (row.protocol, row.song.source["set"], set(row.song.stems)) == ("mine", "mine", set(song.stems))
        edit(database, record.clip.id, {"key": "F major"})  # the labels are in the database


def test_one_true_stem_and_the_rest_separated(tmp_path: Path, songs: Path) -> None:
    voice = save(tmp_path / "voice.wav", signals.tone(440.0, 36.0, amplitude=0.2))
    song = Song(path=songs / "one.flac", title="sung", stems={"vocals": voice})
    separator = Thirds()
    with MashupDB(tmp_path / "db") as database:
        (added,) = Adder(database, separator, Grid()).add([song])
        (record,) = added.records
        vocal, harmonic = (database.objects.audio(record.stems[role]) for role in (Role.VOCAL, Role.HARMONIC))
    assert len(separator.calls) == 1
    assert vocal.peak == pytest.approx(0.2, abs=1e-3)
    assert harmonic.peak == pytest.approx(mk.load(songs / "one.flac").peak / 3, abs=1e-2)


def test_labels_of_another_song_are_found_out(tmp_path: Path, songs: Path) -> None:
    wrong = np.arange(0.1, 36, 0.437)
    with MashupDB(tmp_path / "db") as database:
        song = Song(path=songs / "one.flac", title="x", known=Analysis(beats=wrong, downbeats=wrong[::4]))
        (added,) = Adder(database, Thirds(), Grid()).add([song])
        assert "do not fit the audio" in str(added.error)
        for on_downbeats, what in ((False, "labels"), (True, "excerpts")):
            excerpts = (Excerpt(100.0, 30.0, "chorus", on_downbeats), Excerpt(1.0, 30.0))
            (added,) = Adder(database, Thirds(), Grid()).add(
                [Song(path=songs / "one.flac", title="x", excerpts=excerpts)]
            )
            assert f"its {what} go up to 130.0 s: the {what} do not fit the audio" in str(added.error)
        assert len(database) == 0


def test_a_song_takes_paths_as_text(tmp_path: Path, songs: Path) -> None:
    voice = save(tmp_path / "voice.wav", signals.tone(440.0, 36.0, amplitude=0.2))
    song = Song(path=str(songs / "one.flac"), title="sung", stems={"vocals": str(voice)}, excerpts=[Excerpt(1.0, 30.0)])
    assert song.files == (songs / "one.flac", voice)
    with MashupDB(tmp_path / "db") as database:
        (added,) = Adder(database, Thirds(), Grid()).add([song])
        assert (added.error, len(added.records)) == (None, 1)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"path": None}, "path is None"),
        ({"title": None}, "title is None"),
        ({"licence": 4}, "licence is 4"),
        ({"stems": None}, "stems is None"),
        ({"stems": {"vocals": 3}}, r"stems\['vocals'\] is 3"),
        ({"stems": {"vocal": "v.wav"}}, r"stems named \['vocal'\] \(use vocals, bass"),
        ({"excerpts": ((0, 30),)}, r"excerpts\[0\] is \(0, 30\)"),
        ({"excerpts": Excerpt(0.0, 30.0)}, "excerpts is Excerpt"),
        ({"excerpts": ()}, "excerpts is empty"),
        ({"known": {"tempo": 100}}, "known is {'tempo': 100}"),
        ({"source": None}, "source is None"),
        ({"source": {"number": Path("x")}}, r"source\['number'\] is"),
        ({"holds": ()}, "holds is empty"),
        ({"holds": ["drums"]}, "'drums' is not a role"),
    ],
)
def test_a_song_refuses_what_would_fail_later(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(MashkitError, match=said) as raised:
        Song(**{"path": "one.flac", "title": "one", **fields})
    assert isinstance(raised.value, (UsageError, StemError))
    assert raised.value.fix


def test_a_song_of_an_older_database_keeps_its_known_stems(tmp_path: Path, songs: Path) -> None:
    voice = save(tmp_path / "voice.wav", signals.tone(440.0, 36.0, amplitude=0.2))
    song = Song(path=songs / "one.flac", title="sung", stems={"vocals": voice})
    with MashupDB(tmp_path / "db") as database:
        assert [one.error for one in Adder(database, Thirds(), Grid()).add([song])] == [None]
        stored = json.dumps({"vocals": str(voice), "vocal": str(voice)})
        with database.transaction() as cursor:
            cursor.execute("UPDATE songs SET stems = ?", (stored,))
        row = database.song(database.rows("SELECT sha256 FROM songs")[0][0])
        assert row is not None
        assert row.song.stems == {"vocals": voice}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ((-1.0, 30.0), "start is -1.0 .*of 0 or more"),
        ((np.nan, 30.0), "start is nan"),
        (("0", 30.0), "start is '0'"),
        ((0.0, 0.0), "duration is 0"),
        ((0.0, -30.0), "duration is -30.0"),
        ((0.0, np.inf), "duration is inf"),
        ((0.0, 30.0, 3), "label is 3"),
        ((0.0, 30.0, "", 1), "on_downbeats is 1"),
    ],
)
def test_an_excerpt_that_no_song_can_have_is_refused(fields: tuple[Any, ...], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Excerpt(*fields)
    assert Excerpt(np.float64(1.5), np.int64(30)) == Excerpt(1.5, 30)


def test_too_short_excerpts_are_named(tmp_path: Path, songs: Path) -> None:
    short = Song(path=songs / "one.flac", title="x", excerpts=(Excerpt(0.0, 2.0), Excerpt(30.0, 6.0)))
    with MashupDB(tmp_path / "db") as database:
        (added,) = Adder(database, Thirds(), Grid()).add([short])
    assert str(added.error).endswith(
        "its excerpts last 6.0 s or less; a mashup needs clips of 25 s or more "
        "(give excerpts of 25 s or more, or none, for the parts that the policy chooses)"
    )


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"per_song": 0}, "per_song is 0 .*of 1 or more"),
        ({"per_song": 1.5}, "per_song is 1.5"),
        ({"per_song": "2"}, "per_song is '2'"),
        ({"length_s": 10}, "length_s is 10 .*from 25 to 60"),
        ({"length_s": float("nan")}, "length_s is nan"),
        ({"whole_s": 61}, "whole_s is 61 .*from 25 to 60"),
        ({"length_s": 30, "whole_s": 29}, "whole_s is 29, less than length_s, 30"),
        ({"whole_s": None}, "whole_s is None"),
        ({"on_downbeats": "no"}, "on_downbeats is 'no'"),
    ],
)
def test_a_policy_refuses_what_makes_no_excerpts(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        ExcerptPolicy(**fields)


def test_the_numbers_of_a_policy_may_be_numpys() -> None:
    policy = ExcerptPolicy(per_song=np.int64(3), length_s=np.float32(30), whole_s=40)
    assert policy == ExcerptPolicy(per_song=3, length_s=30.0, whole_s=40.0)
    # Keys of stored results depend on how a number is written, so a whole number stays one.
    assert json.dumps(attrs.asdict(policy)) == (
        '{"per_song": 3, "length_s": 30.0, "whole_s": 40, "on_downbeats": true}'
    )


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("database", None), ("separator", "librosa"), ("analyzer", "madmom"), ("policy", "x"), ("executor", "local"),
        ("registry", "x"),
    ],
)  # fmt: skip
def test_an_adder_refuses_what_it_cannot_use(argument: str, value: Any, tmp_path: Path) -> None:
    with MashupDB(tmp_path / "db") as database:
        parts = {"database": database, "separator": Thirds(), "analyzer": Grid(), argument: value}
        with pytest.raises(UsageError, match=f"{argument} is {value!r}"):
            Adder(**parts)


def test_agreement_forgives_the_tracker() -> None:
    beats = np.arange(0.0, 40, 0.5)
    for found in (beats, beats[::2], beats + 0.25, np.arange(0.0, 40, 0.75), np.arange(0, 40, 2 / 3)):
        assert agreement(beats, found) > 0.95
    assert abs(agreement(np.arange(0.1, 40, 0.437), beats)) < 0.25
    assert agreement(beats[:1], beats) == 0.0


# ------------------------------------------------------------------------------------------------------ corruption
def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)


def _stem_path(root: Path, clip_id: str) -> Path:
    with MashupDB(root, write=False) as database:
        record = database.record(clip_id)
        return database.objects.path(record.stems[Role.VOCAL].sha256)


def _execute(root: Path, statement: str, clip_id: str) -> None:
    with contextlib.closing(sqlite3.connect(root / "index.sqlite")) as database, database:
        database.execute(statement, (clip_id,))


_ITS_NUMBER = "number = (SELECT number FROM clips WHERE id = ?)"
CORRUPTIONS = {
    "damaged": lambda root, clip: _flip(_stem_path(root, clip)),
    "truncated": lambda root, clip: os.truncate(_stem_path(root, clip), 1000),
    "missing": lambda root, clip: _stem_path(root, clip).unlink(),
    "rust": lambda root, clip: _stem_path(root, clip).write_bytes(b"rust"),
    "half a blob": lambda root, clip: _execute(root, f"UPDATE details SET beats = x'00' WHERE {_ITS_NUMBER}", clip),
    "no stems": lambda root, clip: _execute(root, f"DELETE FROM stems WHERE {_ITS_NUMBER}", clip),
    "no details": lambda root, clip: _execute(root, f"DELETE FROM details WHERE {_ITS_NUMBER}", clip),
    "another length": lambda root, clip: _execute(root, "UPDATE clips SET duration_s = 7 WHERE id = ?", clip),
    "no text": lambda root, clip: _execute(
        root, f"UPDATE details SET label = CAST(x'ff' AS TEXT) WHERE {_ITS_NUMBER}", clip
    ),
}


@pytest.mark.whole
@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_every_planted_corruption_is_found_and_mended(root: Path, songs: Path, corruption: str) -> None:
    with MashupDB(root) as database:
        assert list(verify(database)) == []
        before = content_digest(database)
    victim = ids(root)[1]
    CORRUPTIONS[corruption](root, victim)
    with MashupDB(root) as database:
        findings = [finding for finding in verify(database) if not finding.harmless]
        assert findings
        assert {clip for finding in findings for clip in finding.clips} >= {victim}
        lost = repair(database, findings)
        assert victim in lost
        assert not [finding for finding in verify(database) if not finding.harmless]
    add(root, songs, with_features=True)
    with MashupDB(root) as database:
        assert list(verify(database)) == []
        assert content_digest(database) == before


def test_a_damaged_page_of_the_index_is_found(root: Path) -> None:
    with contextlib.closing(sqlite3.connect(root / "index.sqlite")) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page,) = database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'results'").fetchone()
        (size,) = database.execute("PRAGMA page_size").fetchone()
    with (root / "index.sqlite").open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(os.urandom(size))
    with MashupDB(root) as database:
        findings = list(verify(database))
        assert {finding.fault for finding in findings} == {"index"}
        with pytest.raises(CatalogError, match="damaged"):
            repair(database, findings)
        with pytest.raises(CatalogError, match=r"index\.sqlite"):
            database.rows("SELECT * FROM results")


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("ALTER TABLE edits RENAME TO edict", "has no table edits"),
        ("ALTER TABLE clips RENAME COLUMN bar TO tar", "has no column clips.bar"),
    ],
)
def test_an_index_without_one_of_its_tables_or_columns_is_damaged(root: Path, statement: str, said: str) -> None:
    with contextlib.closing(sqlite3.connect(root / "index.sqlite")) as database, database:
        database.execute(statement)
    with MashupDB(root) as database:
        assert [(finding.fault, finding.message) for finding in verify(database)] == [("index", said)]


@pytest.mark.parametrize("length", [1000, None])
def test_a_damaged_file_is_replaced_when_its_bytes_are_stored_again(root: Path, length: int | None) -> None:
    with MashupDB(root) as database:
        path = next(database.objects.files())
        data = path.read_bytes()
        path.write_bytes(data[:length] if length else data[:-1] + bytes([data[-1] ^ 1]))
        database.objects.put(path.stem, data, path.suffix)
        assert path.read_bytes() == data
        written = path.stat().st_ino
        database.objects.put(path.stem, data, path.suffix)
        assert path.stat().st_ino == written


def test_an_index_made_again_takes_no_damaged_files_over(root: Path, songs: Path) -> None:
    with MashupDB(root) as database:
        before = content_digest(database)
        paths = list(database.objects.files())
    for path in root.glob("index.sqlite*"):
        path.unlink()
    for path in paths:
        os.truncate(path, 1000)
    add(root, songs, with_features=True)
    with MashupDB(root) as database:
        assert list(verify(database)) == []
        assert content_digest(database) == before


@pytest.mark.parametrize(
    ("suffix", "damage"),
    [
        (".flac", Path.unlink),
        (".npz", lambda path: os.truncate(path, 1000)),
        pytest.param(".flac", lambda path: os.truncate(path, 1000), marks=pytest.mark.slow),
        pytest.param(".npz", Path.unlink, marks=pytest.mark.slow),
    ],
)
def test_files_that_are_lost_are_made_again(
    root: Path, songs: Path, suffix: str, damage: Callable[[Path], object]
) -> None:
    with MashupDB(root) as database:
        before = content_digest(database)
        for path in database.objects.files():
            if path.suffix == suffix:
                damage(path)
    assert add(root, songs, with_features=True).report.cached == 0
    with MashupDB(root) as database:
        assert list(verify(database)) == []
        assert content_digest(database) == before
    assert add(root, songs, with_features=True).report.cached == 3


def test_stems_that_a_cleaner_took_from_the_cache_are_made_again(songs: Path, tmp_path: Path) -> None:
    def stems() -> list[int]:
        catalog = mk.Catalog.build(songs / "one.flac", separator=Thirds(), analyzer=Grid(), cache=tmp_path / "cache")
        return [catalog.stem(catalog.clips[0].id, role).frames for role in Role]

    before = stems()
    for path in (tmp_path / "cache" / "objects").glob("*/*.flac"):
        path.unlink()
    assert stems() == before


def test_a_stem_or_features_that_cannot_be_read_say_why(root: Path) -> None:
    with MashupDB(root) as database:
        record = database.record(ids(root)[0])
        stem, features = record.stems[Role.VOCAL], record.features
        paths = database.objects.path(stem.sha256), database.objects.path(features, ".npz")
        reads = (lambda: database.objects.audio(stem)), (lambda: database.objects.arrays(features))
        for path, read in zip(paths, reads, strict=True):
            path.write_bytes(b"rust")
            with pytest.raises(
                CatalogError, match=rf"cannot be read: .*`mashkit db verify --db {root}` lists"
            ) as raised:
                read()
            assert "--repair" not in str(raised.value)
            assert str(raised.value).count(path.name) == 1
            path.unlink()
            with pytest.raises(
                CatalogError, match=rf"{path.name}: a .* is missing \(give its song to `mashkit db add`"
            ):
                read()


@contextlib.contextmanager
def permissions_count() -> Iterator[None]:
    """Let the permissions of files hold for root too, by giving up its two privileges that override them."""
    if os.geteuid() != 0:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # version 3 of the interface, this thread
    had, without = (ctypes.c_uint32 * 6)(), (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; twice 32 bits
    if libc.capget(header, had) != 0:
        pytest.skip("root keeps its privileges here")
    without[:] = had[:]
    without[0] &= ~0b110  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH
    assert libc.capset(header, without) == 0
    try:
        yield
    finally:
        assert libc.capset(header, had) == 0


@contextlib.contextmanager
def mode(path: Path, bits: int) -> Iterator[None]:
    """Give a file or folder other permissions for a while."""
    before = path.stat().st_mode
    path.chmod(bits)
    try:
        with permissions_count():
            yield
    finally:
        path.chmod(before)


def test_a_file_that_may_not_be_read_is_not_repaired(root: Path, run: Callable[..., Done]) -> None:
    clips = ids(root)
    path = _stem_path(root, clips[1])
    with mode(path, 0):
        for options in ([], ["--repair"]):
            told = run("db", "verify", "--db", root, "--json", *options, check=4)
            (finding,) = json.loads(told.stdout)["findings"]
            assert (finding["fault"], finding["message"]) == ("unreadable", "Permission denied")
            assert json.loads(told.stdout)["forgotten"] == []
            assert "--repair leaves what is unreadable" in told.stderr
            assert "deletes damaged clips" not in told.stderr
        os.truncate(_stem_path(root, clips[0]), 1000)
        told = run("db", "verify", "--db", root, "--json", "--repair", check=4)
        assert clips[0] in json.loads(told.stdout)["forgotten"]
        assert "--repair leaves what is unreadable" in told.stderr
    assert path.stat().st_size > 0
    assert clips[1] in ids(root)
    run("db", "verify", "--db", root)


@pytest.mark.parametrize("lost", ["folder", "link", "files"])
def test_a_disk_that_is_not_mounted_costs_nothing(root: Path, songs: Path, tmp_path: Path, lost: str) -> None:
    before = ids(root)
    objects, away = root / "objects", tmp_path / "disk" / "objects"
    away.parent.mkdir()
    objects.rename(away)
    if lost == "link":
        objects.symlink_to(tmp_path / "another" / "objects")
    elif lost == "files":
        objects.mkdir()
    with MashupDB(root) as database:
        findings = list(verify(database))
        assert [(finding.fault, finding.what) for finding in findings] == [("unreadable", str(objects))]
        assert sorted(findings[0].clips) == before
        assert repair(database, findings) == []
    if lost == "link":
        with pytest.raises(OutputError, match="mount its disk"):
            add(root, songs)
        assert not (tmp_path / "another").exists()
        objects.unlink()
        objects.symlink_to(away)
        with MashupDB(root) as database:
            assert list(verify(database)) == []
    assert ids(root) == before


@pytest.mark.parametrize("bits", [0, 0o100, 0o400])
def test_a_folder_of_files_that_may_not_be_read_is_said(root: Path, bits: int, run: Callable[..., Done]) -> None:
    folder = _stem_path(root, ids(root)[0]).parent
    with mode(folder, bits):
        for options in ([], ["--repair"]):
            findings = json.loads(run("db", "verify", "--db", root, "--json", *options, check=4).stdout)["findings"]
            assert {finding["fault"] for finding in findings} == {"unreadable"}
            assert any(finding["what"].startswith(str(folder)) for finding in findings)
        if bits != 0o400:
            said = run("db", "prune", "--db", root, check=1).stderr
            assert f"{folder}: Permission denied (check its permissions and its disk)" in said
    run("db", "verify", "--db", root)


def test_a_file_that_may_not_be_deleted_is_said(root: Path, run: Callable[..., Done]) -> None:
    before = ids(root)
    path = _stem_path(root, before[0])
    stray = path.with_name(f"{'0' * 64}.flac")
    stray.write_bytes(b"12345")
    os.truncate(path, 1000)
    with mode(path.parent, 0o500):
        said = run("db", "prune", "--db", root, check=1).stderr
        assert f"{stray}: Permission denied (check its permissions and its disk)" in said
        said = run("db", "verify", "--repair", "--db", root, check=1).stderr
        assert f"{path}: Permission denied (check its permissions and its disk)" in said
    assert ids(root) == before
    run("db", "prune", "--db", root)
    run("db", "verify", "--repair", "--db", root)
    assert not stray.exists()
    assert not path.exists()


def test_a_database_in_a_folder_that_may_not_be_entered_is_said(root: Path, run: Callable[..., Done]) -> None:
    with mode(root, 0):
        for action in ("list", "verify", "prune"):
            said = run("db", action, "--db", root, check=1).stderr
            assert f"{root} cannot be read: Permission denied (check its permissions and its disk)" in said


@pytest.mark.whole
def test_what_nothing_refers_to_is_found_and_pruned_and_nothing_else(root: Path, songs: Path, tmp_path: Path) -> None:
    with MashupDB(root) as database:
        before = content_digest(database)
        objects = sorted(path for path in database.objects.files())
        assert prune(database).files == 0
        stray = database.objects.root / "00" / f"{'0' * 64}.flac"
        cut_off = database.objects.root / "ab" / ".x1y2.part.flac"
        for path in (stray, cut_off):
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"12345")
        foreign = objects[0].parent / "@eaDir"
        foreign.mkdir()
        assert {finding.fault for finding in verify(database)} == {"orphan", "unfinished"}
        assert prune(database, dry_run=True).files == 2
        assert stray.exists()
        assert prune(database).bytes == 10
        assert sorted(database.objects.files()) == objects
        assert content_digest(database) == before
        assert foreign.is_dir()
    add(root, songs, separator=Halves(), with_features=True)
    with MashupDB(root) as database:
        pruned = prune(database)
        assert pruned.results == 9  # stems, features and tunings of three songs by the old separator
        assert pruned.files > 0
        assert not list(verify(database))
        catalog = mk.Catalog(database)
        for clip in catalog.clips:
            for role in Role:
                assert catalog.stem(clip.id, role).frames
    separator = Halves()
    add(root, songs, separator=separator, with_features=True)
    assert separator.calls == []


@attrs.define(kw_only=True, eq=False)
class Halves(Thirds):
    """Another separator."""

    info = attrs.evolve(Thirds.info, name="halves")

    def _separate(self, mix: Audio) -> StemSet:
        self.calls.append(mix.frames)
        half = Audio(mix.samples / np.float32(2), mix.sample_rate)
        return StemSet({"vocals": half, "drums": half, "other": Audio(mix.samples * 0, mix.sample_rate)})


# --------------------------------------------------------------------------------------------- files, disks, processes
def test_version_1_becomes_2(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "index.sqlite")) as database, database:
        database.execute("CREATE TABLE results (key TEXT PRIMARY KEY, song TEXT, kind TEXT, value TEXT) WITHOUT ROWID")
        database.execute("CREATE INDEX results_of_song ON results (song)")
        database.execute("INSERT INTO results VALUES ('k', 's', 'stems', '{}')")
        database.execute("PRAGMA user_version = 1")
    with pytest.raises(CatalogError, match="schema 1"):
        MashupDB(tmp_path, write=False)
    with MashupDB(tmp_path) as database:
        assert len(database) == 0
        assert list(verify(database)) == []


def test_no_database_to_read(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="mashkit db add"):
        MashupDB(tmp_path, write=False)
    assert list(tmp_path.iterdir()) == []
    MashupDB(tmp_path / "new").close()
    with (
        MashupDB(tmp_path / "new", write=False) as database,
        pytest.raises(OutputError, match="opened only for reading"),
    ):
        prune(database)


def test_a_closed_database_is_said_to_be_closed(root: Path) -> None:
    with MashupDB(root) as database:
        catalog = mk.Catalog(database)
        (clip_id, *_) = ids(root)
    uses: list[Callable[[], object]] = [
        lambda: catalog.clip(clip_id),
        lambda: catalog.stem(clip_id, Role.VOCAL),
        lambda: catalog.clips[0],
        lambda: mk.Catalog(database),
        lambda: len(database),
        lambda: list(database.stream("SELECT id FROM clips")),
        lambda: edit(database, clip_id, {"key": "F major"}),
        lambda: list(Adder(database, Thirds(), Grid()).add([])),
        lambda: mk.Kit(generator="paper").generate(catalog, count=1),
    ]
    for use in uses:
        with pytest.raises(CatalogError, match=r"db is closed .*open it again") as raised:
            use()
        assert not isinstance(raised.value, DamagedIndex)


def test_a_wrong_call_is_not_called_damage(root: Path) -> None:
    with MashupDB(root, write=False) as database, pytest.raises(MashkitError, match="a fault of mashkit") as raised:
        database.rows("SELECT id FROM clips WHERE id = ?", ([1],))
    assert not isinstance(raised.value, DamagedIndex)
    verify_it = rf"`mashkit db verify --db {root}` says whether it is damaged"
    with MashupDB(root, write=False) as database, pytest.raises(MashkitError, match=verify_it) as raised:
        database.rows("SELECT id FROM claps")
    assert not isinstance(raised.value, DamagedIndex)


@contextlib.contextmanager
def no_file_may_grow() -> Iterator[None]:
    """Let no file of this process grow, as on a full disk or beyond a quota."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_without_space_is_not_called_damage(root: Path, run: Callable[..., Done]) -> None:
    (clip_id, *_) = ids(root)
    commands = (["list"], ["verify"], ["verify", "--repair"], ["edit", clip_id, "--tempo", "100"], ["prune"])
    for command in commands:
        with no_file_may_grow():
            done = run("db", *command, "--db", root, check=1)
        assert "free space" in done.stderr
        assert "restore" not in done.stderr
        assert "damaged" not in done.stdout + done.stderr
    with MashupDB(root) as database:
        assert list(verify(database)) == []


@pytest.mark.parametrize("clip_id", [[1], None, 7])
def test_a_clip_is_named_by_its_id(root: Path, clip_id: Any) -> None:
    with MashupDB(root, write=False) as database:
        whole = mk.Catalog(database)
        some = mk.Catalog(database, [database.record(one) for one in ids(root)])
        uses = (database.record, database.grid, whole.clip, some.clip, whole.clips.row_of)  # type: ignore[attr-defined]
        for named in (clip_id, whole.clips[0]):
            for use in uses:
                with pytest.raises(UsageError, match=r"clip_id is .* \(give the id of a clip: clip.id\)"):
                    use(named)
        for use in uses[:4]:
            with pytest.raises(CatalogError, match="no clip"):
                use("\ud800")  # SQLite has no such text
        with pytest.raises(StemError, match=r"\['vocal'\] is not a role"):
            whole.stem(ids(root)[0], ["vocal"])  # type: ignore[arg-type]


MOUNTS = """\
22 1 0:21 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:25 / /home rw,relatime shared:7 - nfs4 server:/home rw,vers=4.2
31 30 0:26 / /home/me/local\\040disk rw - xfs /dev/sdb1 rw
a line that is none
"""


def test_network_file_systems_are_told(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)
    assert network_file_system(Path("/home/me/music"), mounts) == "nfs4"
    assert network_file_system(Path("/home/me/local disk/db"), mounts) == ""
    assert network_file_system(Path("/srv/db"), mounts) == ""
    assert network_file_system(tmp_path, tmp_path / "no such file") == ""
    for name in ("Müsik", "音楽", "a b", "a\\b", "\udcff", "\u00a0"):
        escaped = os.fsencode(f"/mnt/{name}").replace(b"\\", b"\\134").replace(b" ", b"\\040")
        mounts.write_bytes(b"20 1 8:1 / / rw - ext4 /dev/sda rw\n30 20 0:40 / %s rw - nfs4 server:/x rw\n" % escaped)
        assert network_file_system(Path(f"/mnt/{name}/db"), mounts) == "nfs4"


def test_on_a_network_file_system_one_process_works(
    songs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"22 1 0:21 / {tmp_path.resolve()} rw - nfs4 server:/x rw\n")
    monkeypatch.setattr("mashkit.catalog.filesystems.MOUNTS", mounts)
    monkeypatch.setattr("mashkit.catalog.database.PATIENCE_S", 0.2)
    with MashupDB(tmp_path / "db") as database:
        assert "network file system (nfs4)" in database.notes[0]
        for _ in Adder(database, Thirds(), Grid()).add(usable([songs / "one.flac"], describe_song)):
            pass
        assert len(database) == 1
        assert not (tmp_path / "db" / "index.sqlite-wal").exists()
        with pytest.raises(CatalogError, match="another process is writing"):
            MashupDB(tmp_path / "db")


@contextlib.contextmanager
def mounted(folder: Path, *options: str) -> Iterator[Path]:
    """Mount something on a folder; the test is skipped where that is not allowed."""
    folder.mkdir(exist_ok=True)
    try:
        subprocess.run(["mount", *options, str(folder)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no file system can be mounted here: that takes root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.whole
def test_a_full_disk_loses_nothing(songs: Path, tmp_path: Path) -> None:
    loud = tmp_path / "loud"  # noise is what FLAC cannot make small
    shutil.copytree(songs, loud)
    for name in ("two", "three"):
        noise = signals.noise(36.0, seed=len(name))
        save(loud / f"{name}.flac", Audio(noise.samples * np.float32(0.3), noise.sample_rate))
    with mounted(tmp_path / "small", "-t", "tmpfs", "-o", "size=6m", "tmpfs") as disk:
        add(disk / "db", loud / "one.flac")
        with MashupDB(disk / "db") as database:
            before = content_digest(database)
        with pytest.raises(OutputError, match="free space"):
            add(disk / "db", loud)
        with MashupDB(disk / "db", write=False) as database:
            assert content_digest(database) == before
            assert not [finding for finding in verify(database) if not finding.harmless]
        subprocess.run(["mount", "-o", "remount,size=200m", str(disk)], check=True)
        report = add(disk / "db", loud).report
        assert (report.songs, report.cached) == (3, 1)


def test_a_folder_that_cannot_be_written_is_read(root: Path, songs: Path, tmp_path: Path) -> None:
    with mounted(tmp_path / "fixed", "--bind", str(root)) as fixed:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(fixed)], check=True)
        with MashupDB(fixed, write=False) as database:
            assert len(database.table()) == 3
            assert list(verify(database)) == []
        with pytest.raises(OutputError, match=r"permissions|cannot write"):
            add(fixed, songs)


def test_unfinished_changes_in_a_folder_that_cannot_be_written_are_said(root: Path, tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(root / "index.sqlite")) as writer, writer:
        writer.execute("UPDATE songs SET title = 'changed'")
        writer.commit()
        shutil.copytree(root, tmp_path / "copy")  # as it is if the writer is killed
    (tmp_path / "copy" / "index.sqlite-shm").unlink()
    with mounted(tmp_path / "fixed", "--bind", str(tmp_path / "copy")) as fixed:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(fixed)], check=True)
        with pytest.raises(OutputError, match=r"index\.sqlite-wal holds changes .* \(copy the whole folder"):
            MashupDB(fixed, write=False)
    with MashupDB(tmp_path / "copy", write=False) as database:
        assert {clip.title for clip in database.table()} == {"changed"}


def _add_in_a_process(root: Path, folder: Path) -> None:
    add(root, folder, with_features=True)


@pytest.mark.whole
def test_two_writers_at_once(songs: Path, template: Path, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_add_in_a_process, args=(tmp_path / "db", songs)) for _ in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
        assert writer.exitcode == 0
    with MashupDB(tmp_path / "db") as one, MashupDB(template, write=False) as other:
        assert list(verify(one)) == []
        assert content_digest(one) == content_digest(other)


# ------------------------------------------------------------------------------------------------------ command line
@attrs.frozen
class Done:
    """What a command printed."""

    stdout: str
    stderr: str


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Run a command and check its exit status."""

    def call(*arguments: object, check: int = 0) -> Done:
        status = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        assert status == check, captured.err
        return Done(captured.out, captured.err)

    return call


@pytest.mark.parametrize("word", ["ÄRGER", "ärger", "straße", "STRASSE", unicodedata.normalize("NFD", "ärger"), "ONE"])
def test_clips_are_listed_by_words_in_any_case(root: Path, word: str, run: Callable[..., Done]) -> None:
    with MashupDB(root) as database, database.transaction() as cursor:
        cursor.execute("UPDATE songs SET title = ? WHERE title = 'one'", ("one: Ärger in der Straße",))
    (clip,) = json.loads(run("db", "list", word, "--db", root, "--json").stdout)["clips"]
    assert clip["title"] == "one: Ärger in der Straße"


@pytest.mark.parametrize("at", [0, 30])
def test_an_index_with_a_damaged_header_is_a_finding(root: Path, at: int, run: Callable[..., Done]) -> None:
    with (root / "index.sqlite").open("r+b") as file:
        file.seek(at)
        file.write(bytes(range(100, 150)))
    for options in ([], ["--repair"]):
        told = run("db", "verify", "--db", root, "--json", *options, check=4)
        assert [finding["fault"] for finding in json.loads(told.stdout)["findings"]] == ["index"]
        assert "restore the file" in told.stderr
        assert "move index.sqlite and the files index.sqlite-* beside it to another folder" in told.stderr
    said = run("db", "list", "--db", root, check=1).stderr
    assert "restore the file" in said
    assert "db verify" not in said


def test_the_commands(root: Path, run: Callable[..., Done]) -> None:
    listed = json.loads(run("db", "list", "--db", root, "--json").stdout)["clips"]
    assert [clip["title"] for clip in listed] == ["one", "three", "two"]
    assert json.loads(run("db", "list", "t", "wo", "--db", root, "--json").stdout)["clips"][0]["title"] == "two"
    for arguments, count in (
        (["--key", "C major"], 3), (["--key", "C minor"], 0), (["--tempo", "110-130"], 3), (["--tempo", "1-2"], 0),
        (["--label", "chorus"], 0), (["--limit", "2"], 2),
    ):  # fmt: skip
        assert len(json.loads(run("db", "list", *arguments, "--db", root, "--json").stdout)["clips"]) == count
    run("db", "list", "--tempo", "fast", "--db", root, check=2)
    shown = json.loads(run("db", "show", listed[0]["id"], "--db", root, "--json").stdout)["clips"][0]
    assert shown["separator"]["name"] == "thirds"
    assert Path(shown["stems"]["vocal"]).is_file()
    assert "thirds" in run("db", "show", listed[0]["id"], "--db", root).stdout
    changed = json.loads(run("db", "edit", listed[0]["id"], "--downbeat", "0.8", "--db", root, "--json").stdout)
    assert changed["clip"]["edited"] == ["downbeat"]
    run("db", "edit", changed["clip"]["id"], "--db", root, check=2)
    run("db", "show", "nobody", "--db", root, check=1)
    run("db", "list", check=2)
    assert json.loads(run("db", "prune", "--db", root, "--json").stdout)["files"] == 0
    assert json.loads(run("db", "verify", "--db", root, "--json").stdout)["findings"] == []
    _flip(_stem_path(root, changed["clip"]["id"]))
    damage = json.loads(run("db", "verify", "--db", root, "--json", check=4).stdout)["findings"]
    assert [finding["fault"] for finding in damage] == ["damaged"]
    mended = run("db", "verify", "--repair", "--db", root)
    assert "deleted 1 clips" in mended.stderr


@pytest.mark.whole
def test_add_from_the_shell(songs: Path, tmp_path: Path, light: None, run: Callable[..., Done]) -> None:
    arguments = ["db", "add", songs / "one.flac", "--db", tmp_path / "db", "--separator", "thirds", "--analyzer",
                 "grid", "--no-features", "--json"]  # fmt: skip
    first = run(*arguments)
    assert json.loads(first.stdout)["clips"] == 1
    assert "catalog 1/1 done" in first.stderr
    (tmp_path / "bad.wav").write_text("x")
    partly = run(*arguments[:3], tmp_path / "bad.wav", *arguments[3:], check=3)
    report = json.loads(partly.stdout)
    assert report["cached"] == 1
    assert report["failures"][0]["path"] == str(tmp_path / "bad.wav")
    assert report["content_sha256"] == json.loads(first.stdout)["content_sha256"]
    assert "bad.wav" in run("db", "list", "--failures", "--db", tmp_path / "db").stdout
