"""Songs become clips: once, in any number of processes, and one bad song harms no other."""

from __future__ import annotations

import codecs
import json
import shutil
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

import mashkit as mk
from installing import install
from light import Grid, Thirds
from mashkit.audio.files import save
from mashkit.audio.levels import loudness
from mashkit.builtin.local import LocalExecutor
from mashkit.catalog import Catalog
from mashkit.catalog.database import MashupDB
from mashkit.catalog.excerpts import ExcerptPolicy
from mashkit.catalog.ingest import activity, sounding
from mashkit.catalog.objects import ObjectStore, encode
from mashkit.catalog.songs import describe_song, find_songs
from mashkit.catalog.upkeep import content_digest
from mashkit.errors import AudioFileError, CatalogError, OutputError
from mashkit.hookspecs import StageEvent
from mashkit.interfaces import Analyzer
from mashkit.interfaces.executor import Job, Outcome
from mashkit.testing import signals
from mashkit.types import Analysis, Audio, Key, Role


# ------------------------------------------------------------------------------------------------------- excerpts
@given(st.floats(0, 3600), st.integers(1, 10), st.floats(25, 60))
def test_excerpts_lie_in_the_song_in_order(duration: float, per_song: int, length: float) -> None:
    excerpts = ExcerptPolicy(per_song=per_song, length_s=length).excerpts(duration)
    assert len(excerpts) == (0 if duration < 25 else 1 if duration <= 60 else per_song)
    assert all(one.start >= 0 and one.start + one.duration <= duration + 1e-3 for one in excerpts)
    assert all(25 <= one.duration <= 60 for one in excerpts)
    assert excerpts == sorted(excerpts, key=lambda one: one.start)


# ---------------------------------------------------------------------------------------------------------- songs
def test_find_songs(tmp_path: Path) -> None:
    for name in ("b.ogg", "a.WAV", "deep/er/c.mp3", ".hidden.wav", "notes.txt", "d.m4a"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    found = [path.relative_to(tmp_path).as_posix() for path in find_songs([tmp_path, tmp_path / "notes.txt"])]
    assert found == ["a.WAV", "b.ogg", "d.m4a", "deep/er/c.mp3", "notes.txt"]
    (tmp_path / "bare").mkdir()
    with pytest.raises(AudioFileError, match="holds no sound file"):
        find_songs([tmp_path / "bare"])


def test_title_and_licence(tmp_path: Path) -> None:
    folder = tmp_path / "Band - Tune"
    folder.mkdir()
    for name in ("audio.mp3", "other.ogg"):
        (folder / name).write_bytes(name.encode())
    assert describe_song(folder / "audio.mp3").title == "Band - Tune"
    assert describe_song(folder / "other.ogg").title == "other"
    assert describe_song(folder / "other.ogg").licence == "unknown"
    (folder / "license.txt").write_text("***\n see http://creativecommons.org/licenses/by-nc/3.0/ \n")
    assert describe_song(folder / "other.ogg").licence == "CC-BY-NC-3.0"
    (folder / "license.txt").write_text("***\n All mine, hands off \n")
    assert describe_song(folder / "other.ogg").licence == "All mine, hands off"
    (folder / "other.json").write_text(json.dumps({"licence": "CC0-1.0"}))
    assert describe_song(folder / "other.ogg").licence == "CC0-1.0"
    for name in ("license.txt", "other.json"):  # editors of Windows begin a file with a byte order mark
        (folder / name).write_bytes(codecs.BOM_UTF8 + (folder / name).read_bytes())
    assert describe_song(folder / "other.ogg").licence == "CC0-1.0"
    (folder / "other.json").unlink()
    (folder / "license.txt").write_bytes(codecs.BOM_UTF8 + b"CC0-1.0\r\n")
    assert describe_song(folder / "other.ogg").licence == "CC0-1.0"


# ---------------------------------------------------------------------------------------------------------- store
@pytest.mark.parametrize("amplitude", [0.5, 1.0, 1.7, 5.0])
def test_stems_come_back_whatever_their_peak(tmp_path: Path, amplitude: float) -> None:
    store = ObjectStore(tmp_path)
    audio = signals.tone(440, 0.5, amplitude=amplitude)
    ref, data = encode(audio)
    for _ in range(2):
        store.put(ref.sha256, data)
    np.testing.assert_allclose(store.audio(ref).samples, audio.samples, atol=2**-22 * max(1, amplitude))
    assert encode(audio)[0] == ref
    assert len(list(tmp_path.rglob("*.flac"))) == 1
    part = store.audio(attrs.evolve(ref, first=100, frames=200))
    assert np.array_equal(part.samples, store.audio(ref).samples[:, 100:300])


def test_a_stem_that_has_gone_is_named(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path)
    ref, data = encode(signals.noise(0.1))
    store.put(ref.sha256, data)
    with pytest.raises(CatalogError, match="5 frames are missing at its end"):
        store.audio(attrs.evolve(ref, first=10, frames=len(signals.noise(0.1).samples[0]) - 5))
    store.path(ref.sha256).write_bytes(b"rust")
    with pytest.raises(CatalogError, match=ref.sha256):
        store.audio(ref)


def test_a_cache_of_tomorrow_or_of_rubbish_is_refused(tmp_path: Path) -> None:
    MashupDB(tmp_path / "new").close()
    with sqlite3.connect(tmp_path / "new" / "index.sqlite") as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(CatalogError, match="schema 99"):
        MashupDB(tmp_path / "new")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "index.sqlite").write_bytes(b"not a database" * 100)
    with pytest.raises(CatalogError, match=r"index\.sqlite"):
        MashupDB(tmp_path / "bad")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot write"):
        MashupDB(tmp_path / "file")


# -------------------------------------------------------------------------------------------------------- figures
def test_loudness_follows_gain() -> None:
    audio = signals.chord_progression(seconds=4.0)
    half = Audio(audio.samples * np.float32(0.5), audio.sample_rate)
    whole, halved = loudness(audio), loudness(half)
    assert whole is not None
    assert halved == pytest.approx(whole - 20 * np.log10(2), abs=0.01)
    assert loudness(signals.silence(1.0)) is None
    assert loudness(signals.noise(0.1)) is None
    assert loudness(signals.noise(0.4)) is not None  # one block


def test_activity_is_the_share_that_sounds() -> None:
    mix = signals.noise(10.0)
    samples = mix.samples.copy()
    samples[:, : 3 * 44_100] *= np.float32(0.001)
    assert activity(sounding(Audio(samples, 44_100), mix)) == pytest.approx(0.7, abs=0.02)
    assert activity(sounding(mix, mix)) == 1.0
    assert activity(sounding(signals.silence(10.0), mix)) == 0.0


# ------------------------------------------------------------------------------------------------------- building
@attrs.define(kw_only=True, eq=False)
class Constant(Analyzer):
    """Says what it is told to; counts its work."""

    info = mk.ComponentInfo(name="constant", target="x:X", summary="s", provides=["key", "tempo"], code_license="MIT")
    tempo: float = 100.0
    calls: list[int] = attrs.field(factory=list, init=False)

    def _analyze(self, mix: Audio) -> Analysis:
        self.calls.append(mix.frames)
        return Analysis(key=Key(0, "major"), tempo=self.tempo)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two good songs among everything that can be wrong with one."""
    folder = tmp_path_factory.mktemp("songs")
    band = signals.mix(signals.band(bars=14)[0])
    song = Audio(band.samples * np.float32(0.5), band.sample_rate)
    save(folder / "good.flac", song)
    another = signals.mix(signals.band(Key(2, "minor"), tempo=104.0, bars=14, seed=7)[0])
    mono = Audio(another.samples[:1, ::4] * np.float32(0.5), 11_025)
    save(folder / "-mono ünï.wav", mono)
    shutil.copy(folder / "good.flac", folder / "same.flac")
    save(folder / "short.wav", signals.noise(0.2))
    save(folder / "silent.wav", signals.silence(30))
    (folder / "cut.flac").write_bytes((folder / "good.flac").read_bytes()[:100_000])
    (folder / "empty.wav").touch()
    (folder / "text.mp3").write_text("no sound " * 99)
    soundfile.write(folder / "surround.wav", np.zeros((44_100, 6)), 44_100)
    soundfile.write(folder / "nan.wav", np.full((44_100, 2), np.nan), 44_100, subtype="FLOAT")
    return folder


def build(folder: Path, cache: Path, **arguments: Any) -> tuple[Catalog, list[StageEvent]]:
    events: list[StageEvent] = []
    arguments = {"separator": Thirds(), "analyzer": Constant(), **arguments}
    return Catalog.build([folder], cache=cache, notify=events.append, **arguments), events


@pytest.fixture(scope="module")
def built_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("built")


@pytest.fixture(scope="module")
def built(folder: Path, built_in: Path) -> tuple[Catalog, list[StageEvent]]:
    """A catalog of the folder, for tests that do not change it."""
    return build(folder, built_in)


def test_good_songs_go_through_and_bad_ones_are_listed(built: tuple[Catalog, list[StageEvent]]) -> None:
    catalog, events = built
    assert {clip.title for clip in catalog.clips} == {"good", "-mono ünï"}
    reasons = {failure.path.name: str(failure.error) for failure in catalog.failures}
    for name, reason in {
        "short.wav": "lasts 0.2 s",
        "silent.wav": "silent from beginning to end",
        "cut.flac": "cannot be decoded",
        "empty.wav": "empty",
        "text.mp3": "libsndfile does not know its format",
        "surround.wav": "6 channels",
        "nan.wav": "NaN",
    }.items():
        assert reason in reasons[name]
        assert name in reasons[name]
    assert len(reasons) == 7
    notes = "\n".join(catalog.notes)
    assert "11025 Hz" in notes
    assert "same.flac: the same sound as" in notes
    for stage in ("soundprint", "catalog"):
        done = [event.done for event in events if event.state != "started" and event.stage == stage]
        assert done == sorted(done)
        assert done


def test_clips_are_stereo_at_one_rate_and_their_stems_are_the_separators(
    folder: Path, built: tuple[Catalog, list[StageEvent]]
) -> None:
    catalog, _ = built
    for clip in catalog.clips:
        for role in Role:
            stem = catalog.stem(clip.id, role)
            assert (stem.channels, stem.sample_rate) == (2, 44_100)
            assert stem.duration == clip.duration
    good = next(clip for clip in catalog.clips if clip.title == "good")
    song = mk.load(folder / "good.flac")
    np.testing.assert_allclose(catalog.stem(good.id, Role.VOCAL).samples, song.samples / 3, atol=1e-6)


def test_nothing_is_computed_twice_and_only_what_changed(
    folder: Path, built: tuple[Catalog, list[StageEvent]], built_in: Path, tmp_path: Path
) -> None:
    first, _ = built
    shutil.copytree(built_in, tmp_path, dirs_exist_ok=True)
    separator, analyzer = Thirds(), Constant()
    again, events = build(folder, tmp_path, separator=separator, analyzer=analyzer)
    assert (separator.calls, analyzer.calls) == ([], [])
    assert again.clips == first.clips
    cached = {Path(event.item).name for event in events if event.state == "cached"}
    assert cached == {Path(clip.source).name for clip in first.clips} | {"same.flac"}
    other, _ = build(folder, tmp_path, separator=separator, analyzer=(faster := Constant(tempo=120.0)))
    assert separator.calls == []
    assert len(faster.calls) == 2
    assert {clip.analysis.tempo for clip in other.clips} == {120.0}
    assert [clip.id for clip in other.clips] == [clip.id for clip in first.clips]


@pytest.mark.whole
def test_clips_are_the_same_from_another_folder(
    folder: Path, built: tuple[Catalog, list[StageEvent]], tmp_path: Path
) -> None:
    shutil.copytree(folder, tmp_path / "moved")
    one, _ = built
    other, _ = build(tmp_path / "moved", tmp_path / "other")
    assert [clip.id for clip in one.clips] == [clip.id for clip in other.clips]


def test_notes_on_a_moved_file_name_it_where_it_is(tmp_path: Path) -> None:
    one, other = tmp_path / "one" / "low.wav", tmp_path / "other" / "moved.wav"
    mk.save(one, signals.noise(30.0, sample_rate=11_025))
    first, _ = build(one.parent, tmp_path / "cache")
    other.parent.mkdir()
    one.rename(other)
    again, _ = build(other.parent, tmp_path / "cache")
    for catalog, path in ((first, one), (again, other)):
        assert [note.partition(": ")[0] for note in catalog.notes if "11025 Hz" in note] == [str(path)]


def test_an_unknown_clip(built: tuple[Catalog, list[StageEvent]]) -> None:
    catalog, _ = built
    with pytest.raises(CatalogError, match="'nobody'"):
        catalog.stem("nobody", Role.VOCAL)


KILLER = """
import os, signal, attrs
from mashkit import ComponentInfo, Separator, StemSet, hookimpl
INFO = ComponentInfo(name="killer", target="mashkit_killer:Killer", summary="dies on loud songs",
                     provides=["vocals", "drums", "other"], code_license="MIT")

@hookimpl
def mashkit_register_separators():
    return [INFO]

@attrs.define(kw_only=True, eq=False)
class Killer(Separator):
    info = INFO
    def _separate(self, mix):
        if mix.peak > 0.9:
            os.kill(os.getpid(), signal.SIGKILL)
        return StemSet(dict.fromkeys(("vocals", "drums", "other"), mix))
"""


def plugin(folder: Path, module: str, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install a plugin of one module, for other processes too."""
    monkeypatch.syspath_prepend(install(folder, module, code))


@pytest.mark.whole
def test_a_process_that_dies_takes_its_own_song_only(
    tmp_path: Path, light: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin(tmp_path / "plugin", "mashkit_killer", KILLER, monkeypatch)
    songs = tmp_path / "songs"
    for index in range(3):
        audio = signals.tone(220.0 * (index + 1), 26.0, amplitude=0.95 if index == 1 else 0.5)
        save(songs / f"{index}.flac", audio)
    kit = mk.Kit(separator="killer", analyzer="grid", options={"executor": {"jobs": 2}})
    catalog = kit.catalog(songs, cache=tmp_path / "cache")
    assert {clip.title for clip in catalog.clips} == {"0", "2"}
    (failure,) = catalog.failures
    assert failure.path.name == "1.flac"
    assert "SIGKILL, twice" in str(failure.error)


SPLIT = """
import attrs, os
from mashkit import ComponentInfo, Separator, StemSet, hookimpl
INFO = ComponentInfo(name="on-gpu", target="mashkit_on_gpu:OnGpu", summary="says that it needs a GPU",
                     provides=["vocals", "drums", "other"], code_license="MIT")

@hookimpl
def mashkit_register_separators():
    return [INFO]

@attrs.define(kw_only=True, eq=False)
class OnGpu(Separator):
    info = INFO
    needs: float = 0.0
    @property
    def gpus(self):
        return self.needs
    def _separate(self, mix):
        return StemSet(dict.fromkeys(("vocals", "drums", "other"), mix))
"""


@pytest.mark.whole
@pytest.mark.slow
def test_separation_on_a_gpu_and_analysis_beside_it_give_the_same(
    tmp_path: Path, light: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin(tmp_path / "plugin", "mashkit_on_gpu", SPLIT, monkeypatch)
    songs = tmp_path / "songs"
    for index in range(2):
        save(songs / f"{index}.flac", signals.tone(220.0 * (index + 1), 26.0, amplitude=0.5))
    (songs / "bad.flac").write_text("no sound")
    works: list[tuple[str, float]] = []

    class Recording(LocalExecutor):
        def run(self, jobs: Iterable[Job | None]) -> Iterator[Outcome]:
            def recorded() -> Iterator[Job | None]:
                for job in jobs:
                    if job is not None:
                        works.append((job.work.name, job.work.gpus))
                    yield job

            return super().run(recorded())

    catalogs = []
    for needs in (0.0, 1.0):
        works.clear()
        kit = mk.Kit(separator="on-gpu", analyzer="grid", executor=Recording(jobs=2),
                     options={"separator": {"needs": needs}})  # fmt: skip
        catalogs.append(kit.catalog(songs, cache=tmp_path / str(needs)))
        assert [failure.path.name for failure in catalogs[-1].failures] == ["bad.flac"]
    assert set(works) == {("soundprint", 0.0), ("analyze", 0.0), ("separate", 1.0)}
    assert len([work for work in works if work[0] != "soundprint"]) == 4  # the third song is damaged
    one, other = catalogs
    # An option is part of what made a clip, so its id tells it; everything else is alike.
    assert [attrs.evolve(clip, id="") for clip in one.clips] == [attrs.evolve(clip, id="") for clip in other.clips]


@pytest.mark.slow
@pytest.mark.whole
def test_one_process_and_two_give_the_same(short_songs: Path, light: None, tmp_path: Path) -> None:
    songs = tmp_path / "songs"
    songs.mkdir()
    for name in ("slow-river", "mango-season"):
        shutil.copy(short_songs / f"{name}.ogg", songs)
    none, one, two = (
        mk.Kit(separator="thirds", analyzer="grid", options={"executor": {"jobs": jobs}}).catalog(
            songs, cache=tmp_path / str(jobs)
        )
        for jobs in (0, 1, 2)
    )
    contents = {content_digest(MashupDB(tmp_path / str(jobs), write=False)) for jobs in (0, 1, 2)}
    assert len(contents) == 1
    assert none.clips == one.clips
    assert not one.failures
    assert one.clips == two.clips
    for clip in one.clips:
        for role in Role:
            assert np.array_equal(one.stem(clip.id, role).samples, two.stem(clip.id, role).samples)


@pytest.mark.whole
def test_what_a_scan_passes_over_is_noted(tmp_path: Path) -> None:
    songs = tmp_path / "songs"
    for pitch, folder in ((220.0, songs), (330.0, songs / ".Trash-1000"), (440.0, tmp_path)):
        save(folder / f"{pitch:.0f}.flac", signals.tone(pitch, 26.0, amplitude=0.3))
    song = describe_song(tmp_path / "440.flac")
    for described in ([], [song]):
        catalog = Catalog.build(
            [songs], separator=Thirds(), analyzer=Grid(), cache=tmp_path / str(len(described)), described=described
        )
        assert len({clip.source for clip in catalog.clips}) == 1 + len(described)
        assert any("passed over" in note and "folder" in note for note in catalog.notes), catalog.notes
