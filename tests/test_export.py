"""Exports: the same clips come back, from whatever became of the folder meanwhile, or it is said that they do not."""

from __future__ import annotations

import hashlib
import io
import json
import os
import resource
import shutil
import subprocess
import sys
import tarfile
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import numpy as np
import pyarrow.parquet
import pytest
import soundfile

import mashkit as mk
from mashkit.audio.files import save
from mashkit.catalog import Adder, MashupDB
from mashkit.catalog.export import JOURNAL, export, features_within
from mashkit.catalog.exported import FIELDS, LAYOUTS, MANIFEST, Layout, member, read_export, read_manifest
from mashkit.catalog.songs import describe_song
from mashkit.catalog.upkeep import content_digest
from mashkit.cli import main
from mashkit.errors import CatalogError, OutputError, StemError, UsageError
from mashkit.hookspecs import StageEvent
from mashkit.interfaces import Analyzer, Separator
from mashkit.testing import signals
from mashkit.types import Analysis, Audio, Chords, Key, Melody, Role, StemSet

pytestmark = pytest.mark.whole  # of a database of 87 s of sound

SECONDS = (30.0, 26.0, 31.0)


@attrs.define(kw_only=True, eq=False)
class Opposites(Separator):
    """A real, if poor, separator, one stem of which is louder than the mix: it does not fit into FLAC as it is."""

    info = mk.ComponentInfo(
        name="opposites", target="x:X", summary="s", provides=["vocals", "drums", "other"], code_license="MIT"
    )

    def _separate(self, mix: Audio) -> StemSet:
        shares = {"vocals": 5.0, "drums": -3.5, "other": -0.5}
        return StemSet({name: Audio(mix.samples * np.float32(share), 44_100) for name, share in shares.items()})


@attrs.define(kw_only=True, eq=False)
class Steady(Analyzer):
    """Says what holds of a click track at 120 BPM."""

    info = mk.ComponentInfo(
        name="steady", target="x:X", summary="s", code_license="MIT",
        provides=["key", "tempo", "beats", "downbeats", "chords", "melody"],
    )  # fmt: skip

    def _analyze(self, mix: Audio) -> Analysis:
        beats = np.arange(0.7, mix.duration, 0.5)
        return Analysis(
            key=Key(9, "minor"), tempo=120.0, beats=beats, downbeats=beats[::4],
            confidence={"key": 0.1 + 0.2}, tempo_candidates=((120.0, 0.7), (60.0, 0.3)),
            chords=Chords([0.0, 2.0, mix.duration], ["A:min", "F:maj7/3"]),
            melody=Melody(f0=[0.0, 110.1, 110.2], confidence=[0.0, 0.9, 0.8], hop_s=0.016, start_s=9.0),
        )  # fmt: skip


def add(songs: Path, root: Path, *, backwards: bool = False, with_features: bool = True) -> MashupDB:
    database = MashupDB(root)
    found = [describe_song(path) for path in sorted(songs.glob("*.flac"), reverse=backwards)]
    adder = Adder(database, Opposites(), Steady(), with_features=with_features)
    assert all(added.error is None for added in adder.add(found))
    return database


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("songs")
    for index, seconds in enumerate(SECONDS):
        save(folder / f"Sóng {index}.flac", signals.tone(110.0 * (index + 1), seconds, amplitude=0.3))
    (folder / "Sóng 1.json").write_text('{"licence": "CC0-1.0"}')
    return folder


@pytest.fixture(scope="module")
def database(songs: Path, tmp_path_factory: pytest.TempPathFactory) -> MashupDB:
    return add(songs, tmp_path_factory.mktemp("database"))


@pytest.fixture(scope="module")
def backwards(songs: Path, tmp_path_factory: pytest.TempPathFactory) -> MashupDB:
    """The same songs, added in another order."""
    return add(songs, tmp_path_factory.mktemp("backwards"), backwards=True)


@pytest.fixture
def own(database: MashupDB, tmp_path: Path) -> Iterator[MashupDB]:
    """A copy of the database, for a test that changes it."""
    shutil.copytree(database.root, tmp_path / "database")
    with MashupDB(tmp_path / "database") as copy:
        yield copy


@pytest.fixture(scope="module")
def exports(database: MashupDB, tmp_path_factory: pytest.TempPathFactory) -> dict[Layout, Path]:
    folders = {layout: tmp_path_factory.mktemp("export") / layout for layout in LAYOUTS}
    for layout, folder in folders.items():
        export(database, folder, layout=layout, shard_clips=2)
    return folders


def files(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


# ------------------------------------------------------------------------------------------------------- there and back
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_same_clips_come_back(layout: Layout, database: MashupDB, exports: dict[Layout, Path]) -> None:
    found = list(read_export(exports[layout]))
    records = [database.record(one.clip.id) for one in found]
    assert len(found) == len(database) == len({one.clip.id for one in found}) == len(SECONDS)
    assert {one.clip.duration for one in found} == {28.0, 26.0, 30.0}  # cut on downbeats where that leaves 25 s
    for one, record in zip(found, records, strict=True):
        assert one.clip == record.clip
        assert record.clip.analysis.chords is not None
        assert record.clip.analysis.chords.labels == ("A:min", "F:maj7/3")
        assert record.clip.analysis.melody is not None
        assert record.clip.analysis.melody.f0.tolist() == [0.0, 110.1, 110.2]
        assert (one.separator, one.analyzer) == (record.separator, record.analyzer)
        for role in Role:
            expected = database.objects.audio(record.stems[role])
            assert np.array_equal(one.stem(role).samples, expected.samples)
            assert one.stem(role).sample_rate == expected.sample_rate
        assert one.stem(Role.VOCAL).peak > 1
    assert {one.halvings[Role.VOCAL] for one in found} == {1}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_features_are_those_of_the_clip(layout: Layout, database: MashupDB, exports: dict[Layout, Path]) -> None:
    for one in read_export(exports[layout]):
        record = database.record(one.clip.id)
        whole, cut = database.objects.arrays(record.features), one.features()
        assert set(cut) == set(whole) == {"times", *(f"{role}.{name}" for role in Role for name in NAMES)}
        assert 0 <= cut["times"][0] < 0.012
        assert one.clip.duration - 0.012 < cut["times"][-1] < one.clip.duration
        first = int(np.argmin(np.abs(whole["times"] - record.stems[Role.VOCAL].first / 44_100 - cut["times"][0])))
        for name in set(cut) - {"times"}:
            frames = cut[name].shape[-1]
            assert frames == len(cut["times"])
            assert np.array_equal(cut[name], whole[name][..., first : first + frames])


NAMES = ("chroma", "onsets", "bands")


def test_features_of_a_whole_excerpt_are_all_of_them(database: MashupDB) -> None:
    records = [database.record_of(number) for (number,) in database.rows("SELECT number FROM clips")]
    (whole,) = [record for record in records if record.stems[Role.VOCAL].first == 0]
    arrays = database.objects.arrays(whole.features)
    within = features_within(arrays, whole)
    for name, values in arrays.items():
        # A frame lies on the very end: it is half of what comes after.
        assert np.array_equal(within[name], values[..., : within[name].shape[-1]])
        assert values.shape[-1] - within[name].shape[-1] <= 1


def test_the_manifest_says_what_there_is(database: MashupDB, exports: dict[Layout, Path]) -> None:
    for layout, folder in exports.items():
        manifest = read_manifest(folder)
        assert (manifest.layout, manifest.fields, manifest.clips, manifest.songs) == (layout, FIELDS, 3, 3)
        assert dict(manifest.licences) == {"CC0-1.0": 1, "unknown": 2}
        assert manifest.duration_s == 84.0
        assert manifest.content_sha256 == content_digest(database)
        assert {one["name"] for one in manifest.components.values()} == {"opposites", "steady"}
        sums = files(folder)
        assert {shard.path: shard.sha256 for shard in manifest.shards} == {
            path: digest for path, digest in sums.items() if path != MANIFEST
        }
        assert {one.clip.licence for one in read_export(folder)} == {"CC0-1.0", "unknown"}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_same_bytes_whenever_and_in_whatever_order(
    layout: Layout, backwards: MashupDB, exports: dict[Layout, Path], tmp_path: Path
) -> None:
    export(backwards, tmp_path / "again", layout=layout, shard_clips=2)
    assert files(tmp_path / "again") == files(exports[layout])


# ----------------------------------------------------------------------------------------------- others' readers
def test_one_clip_is_read_without_the_rest(database: MashupDB, exports: dict[Layout, Path]) -> None:
    folder = exports["parquet"]
    for number, index in enumerate(sorted((folder / "index").iterdir())):
        for row in pyarrow.parquet.read_table(index).to_pylist():
            record = database.record(row["id"])
            assert (row["key"], row["tempo"], row["licence"]) == ("A minor", 120.0, record.clip.licence)
            assert row["beats"] == record.clip.analysis.beats.tolist()
            for role in Role:
                with (folder / role / f"{number:06}.tar").open("rb") as tar:
                    tar.seek(row[role]["offset"])
                    sound, _ = soundfile.read(io.BytesIO(tar.read(row[role]["bytes"])), dtype="float32")
                expected = database.objects.audio(record.stems[role]).samples.T
                assert np.array_equal(sound * 2 ** row[role]["halvings"], expected)


def test_webdataset_reads_it(exports: dict[Layout, Path]) -> None:
    pytest.importorskip("webdataset")
    script = """
        import hashlib, json, sys, webdataset

        for sample in webdataset.WebDataset(sys.argv[1:], shardshuffle=False):
            print(json.dumps({name: hashlib.sha256(data).hexdigest() if isinstance(data, bytes) else data
                              for name, data in sample.items()}))
    """
    # In a process of its own: it leaves files open.
    urls = sorted(map(str, (exports["webdataset"] / "clips").iterdir()))
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *urls], check=True, capture_output=True, timeout=120
    )
    samples = {sample["__key__"]: sample for sample in map(json.loads, ran.stdout.splitlines())}
    clips = list(read_export(exports["webdataset"]))
    assert len(samples) == len(clips)
    for one in clips:
        sample = samples[one.clip.id]
        assert {name for name in sample if not name.startswith("__")} == {
            "json", "features.npz", *(f"{role}.flac" for role in Role)
        }  # fmt: skip
        for field, data in one.members.items():
            assert sample[member(field)[1:]] == hashlib.sha256(data).hexdigest()


# -------------------------------------------------------------------------------------------------------- cut off
class Stop(Exception):
    """What ends a run at a certain event."""


def stopping(at: int) -> tuple[Callable[[StageEvent], None], list[StageEvent]]:
    events: list[StageEvent] = []

    def notify(event: StageEvent) -> None:
        events.append(event)
        if len(events) == at:
            raise Stop

    return notify, events


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_run_goes_on_where_it_was(
    layout: Layout, database: MashupDB, exports: dict[Layout, Path], tmp_path: Path
) -> None:
    with pytest.raises(Stop):
        export(database, tmp_path, layout=layout, shard_clips=2, notify=stopping(1)[0])
    with pytest.raises(CatalogError, match="no finished export"):
        read_manifest(tmp_path)
    with (tmp_path / JOURNAL).open("a") as journal:
        journal.write('{"path": "clips/00')  # the line that was being written
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*0.*")}
    assert times
    notify, events = stopping(99)
    export(database, tmp_path, layout=layout, shard_clips=2, notify=notify)
    assert [event.state for event in events] == ["cached", "done"]
    assert [(event.done, event.total) for event in events] == [(1, 2), (2, 2)]
    assert all(path.stat().st_mtime_ns == time for path, time in times.items())
    assert files(tmp_path) == files(exports[layout])


def test_a_damaged_shard_is_made_anew(database: MashupDB, exports: dict[Layout, Path], tmp_path: Path) -> None:
    shutil.copytree(exports["parquet"], tmp_path / "export")
    (tmp_path / "export" / "harmonic" / "000001.tar").write_bytes(b"rust")
    (tmp_path / "export" / "index" / "000000.parquet").unlink()
    notify, events = stopping(99)
    export(database, tmp_path / "export", layout="parquet", shard_clips=2, notify=notify)
    assert [event.state for event in events] == ["done", "done"]
    assert files(tmp_path / "export") == files(exports["parquet"])


def test_a_kill_leaves_nothing_half(database: MashupDB, exports: dict[Layout, Path], tmp_path: Path) -> None:
    script = """
        import os, signal, sys
        from mashkit.catalog import MashupDB
        from mashkit.catalog import export as exporting

        def dying(*arguments, cut=exporting._data):
            dying.calls += 1
            if dying.calls == 10:  # the second shard is open: killed in the middle of it
                os.kill(os.getpid(), signal.SIGKILL)
            return cut(*arguments)

        dying.calls, exporting._data = 0, dying
        exporting.export(MashupDB(sys.argv[1], write=False), sys.argv[2], layout="webdataset", shard_clips=2)
    """
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(script), database.root, tmp_path], timeout=120)
    assert ended.returncode == -9
    there = {path.name for path in (tmp_path / "clips").iterdir() if not path.name.startswith(".")}
    assert there == {"000000.tar"}
    notify, events = stopping(99)
    export(database, tmp_path, layout="webdataset", shard_clips=2, notify=notify)
    assert [event.state for event in events] == ["cached", "done"]
    assert {one.clip.id for one in read_export(tmp_path)} == {clip.id for clip in database.table()}


def test_a_full_disk_leaves_nothing_half(database: MashupDB, exports: dict[Layout, Path], tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    smallest = min(path.stat().st_size for path in (exports["webdataset"] / "clips").iterdir())
    resource.setrlimit(resource.RLIMIT_FSIZE, (smallest // 2, hard))  # a write beyond it fails, as on a full disk
    try:
        with pytest.raises(OutputError, match=r"000000\.tar"):
            export(database, tmp_path, layout="webdataset", shard_clips=2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list((tmp_path / "clips").iterdir()) == []
    export(database, tmp_path, layout="webdataset", shard_clips=2)
    assert files(tmp_path) == files(exports["webdataset"])


# -------------------------------------------------------------------------------------------------------- bad input
def test_what_makes_no_sense_is_refused(database: MashupDB, exports: dict[Layout, Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'zip'"):
        export(database, tmp_path, layout="zip")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="no field guitar"):
        export(database, tmp_path, fields=["vocal", "guitar"])
    with pytest.raises(UsageError, match="no field is named"):
        export(database, tmp_path, fields=[])
    with pytest.raises(UsageError, match="shard_clips is 0"):
        export(database, tmp_path, shard_clips=0)
    with pytest.raises(UsageError, match="another kind or content"):
        export(database, exports["parquet"], shard_clips=3)
    with MashupDB(tmp_path / "empty") as empty, pytest.raises(CatalogError, match="holds no clips"):
        export(empty, tmp_path / "out")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot write"):
        export(database, tmp_path / "file")
    assert not (tmp_path / "out").exists()


def test_a_new_disk_is_empty(database: MashupDB, tmp_path: Path) -> None:
    (tmp_path / "lost+found").mkdir()
    (tmp_path / ".Trash-0").mkdir()
    assert export(database, tmp_path, fields=["vocal"]).shards


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["clips/000000.tar", "vocal/000000.tar", "notes.txt"])
def test_no_file_of_the_users_is_replaced(layout: Layout, name: str, database: MashupDB, tmp_path: Path) -> None:
    theirs = tmp_path / name
    theirs.parent.mkdir(exist_ok=True)
    theirs.write_text("the user's own")
    with pytest.raises(UsageError, match=r"is not empty.*name another folder"):
        export(database, tmp_path, layout=layout)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [theirs]
    assert theirs.read_text() == "the user's own"


def test_a_run_goes_on_after_a_kill_at_any_file(
    database: MashupDB, exports: dict[Layout, Path], tmp_path: Path
) -> None:
    (tmp_path / ".x1.part.jsonl").write_text("{")  # killed while the journal was written
    with pytest.raises(Stop):
        export(database, tmp_path, layout="webdataset", shard_clips=2, notify=stopping(1)[0])
    # Killed after a shard got its name, and before its line was written.
    journal = tmp_path / JOURNAL
    journal.write_text(journal.read_text().splitlines(keepends=True)[0])
    (tmp_path / ".x1.part.jsonl").unlink()
    export(database, tmp_path, layout="webdataset", shard_clips=2)
    assert files(tmp_path) == files(exports["webdataset"])


def test_only_what_is_asked_for(songs: Path, tmp_path: Path) -> None:
    with add(songs, tmp_path / "database", with_features=False) as database:
        assert export(database, tmp_path / "all").fields == tuple(Role)
        with pytest.raises(CatalogError, match=r"3 clips of .* have no features"):
            export(database, tmp_path / "features", fields=["features"])
        export(database, tmp_path / "vocal", fields=[Role.VOCAL])
        assert {path.name for path in (tmp_path / "vocal").iterdir()} == {"index", "vocal", MANIFEST}
        one = next(iter(read_export(tmp_path / "vocal")))
        assert one.stem(Role.VOCAL).frames
        with pytest.raises(StemError, match=r"percussion stem .* was not exported"):
            one.stem(Role.PERCUSSION)
        with pytest.raises(CatalogError, match=r"features .* were not exported"):
            one.features()


def test_a_database_that_changes_is_noticed(own: MashupDB, tmp_path: Path) -> None:
    def meddle(_: StageEvent) -> None:
        with own.transaction() as cursor:
            cursor.execute("UPDATE clips SET tempo = 121")

    with pytest.raises(CatalogError, match="changed while it was exported"):
        export(own, tmp_path / "export", notify=meddle)
    assert not (tmp_path / "export" / MANIFEST).exists()


def test_a_damaged_stem_is_named(own: MashupDB, tmp_path: Path) -> None:
    path = next(own.objects.root.rglob("*.flac"))
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CatalogError, match=path.name):
        export(own, tmp_path / "export")
    assert not list((tmp_path / "export").rglob("*.part*"))


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _manifest(change: Callable[[dict], object]) -> Callable[[Path], None]:  # type: ignore[type-arg]
    def apply(folder: Path) -> None:
        data = json.loads((folder / MANIFEST).read_text())
        change(data)
        (folder / MANIFEST).write_text(json.dumps(data))

    return apply


def _leave(folder: Path) -> None:
    outside = folder.parent / "outside.tar"
    shutil.move(folder / "clips" / "000000.tar", outside)
    (folder / "clips" / "000000.tar").symlink_to(outside)


def _hostile(name: str, kind: bytes = tarfile.REGTYPE) -> Callable[[Path], None]:
    """Put a member into a tar whose hash is right: the manifest comes from the same hand."""

    def apply(folder: Path) -> None:
        shard = folder / "clips" / "000001.tar"
        with tarfile.open(shard) as tar:
            members = [(info, tar.extractfile(info).read()) for info in tar]  # type: ignore[union-attr]
        members[1][0].name, members[1][0].type = name, kind
        members[1][0].linkname = "/etc/passwd"
        with tarfile.open(shard, "w", format=tarfile.USTAR_FORMAT) as tar:
            for info, data in members:
                tar.addfile(info, io.BytesIO(data))
        digest, size = hashlib.sha256(shard.read_bytes()).hexdigest(), shard.stat().st_size
        _manifest(lambda data: data["shards"][1].update(sha256=digest, bytes=size))(folder)

    return apply


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: _flip(folder / "clips" / "000001.tar"), r"000001\.tar is damaged"),
        (lambda folder: (folder / "clips" / "000000.tar").unlink(), r"000000\.tar: cannot be read"),
        (lambda folder: (folder / MANIFEST).write_text('{"format": 1, "la'), "manifest.json cannot be read"),
        (lambda folder: (folder / MANIFEST).write_bytes(b"\xff\xfe\x00"), "manifest.json cannot be read"),
        (lambda folder: (folder / MANIFEST).unlink(), "no finished export"),
        (_manifest(lambda data: data.update(format=2)), "format 2, but this mashkit reads format 1"),
        (_manifest(lambda data: data.pop("licences")), "manifest.json cannot be read"),
        (_manifest(lambda data: data.update(layout="zip")), "layout 'zip'"),
        (_manifest(lambda data: data.update(clips=5)), "its shards do not fit 5 clips"),
        (_manifest(lambda data: data.update(clips=4)), "holds 1 clips, not 2"),
        (_manifest(lambda data: data["shards"][0].update(path="../clips/000000.tar")), "its shards do not fit"),
        (_manifest(lambda data: data.update(shards=["clips/000000.tar"])), "manifest.json cannot be read"),
        (_leave, "is outside of the export"),
        (_hostile("../../evil.flac"), r"'\.\./\.\./evil\.flac' where"),
        (_hostile("/etc/cron.d/evil"), "'/etc/cron.d/evil' where"),
        (_hostile("x.vocal.flac", tarfile.SYMTYPE), r"'x\.vocal\.flac' where"),
    ],
)  # fmt: skip
def test_damage_is_found(
    damage: Callable[[Path], object], message: str, exports: dict[Layout, Path], tmp_path: Path
) -> None:
    shutil.copytree(exports["webdataset"], tmp_path / "export")
    damage(tmp_path / "export")
    before = files(tmp_path)
    with pytest.raises(CatalogError, match=message):
        list(read_export(tmp_path / "export"))
    assert files(tmp_path) == before


def test_an_index_that_is_wrong_about_a_place_is_found(exports: dict[Layout, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(exports["parquet"], tmp_path / "export")
    index = folder / "index" / "000000.parquet"
    table = pyarrow.parquet.read_table(index)
    rows = table.to_pylist()
    rows[1]["vocal"]["offset"] -= 512
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows, table.schema), index)
    digest, size = hashlib.sha256(index.read_bytes()).hexdigest(), index.stat().st_size
    _manifest(lambda data: data["shards"][0].update(sha256=digest, bytes=size))(folder)
    with pytest.raises(CatalogError, match=r"clip 2 cannot be read.*is not at the place that the index gives"):
        list(read_export(folder))
    index.write_bytes(b"PAR1 and nothing else")
    _manifest(
        lambda data: data["shards"][0].update(sha256=hashlib.sha256(index.read_bytes()).hexdigest(), bytes=21)
    )(folder)  # fmt: skip
    with pytest.raises(CatalogError, match=r"000000\.parquet"):
        list(read_export(folder))


def test_nothing_is_unpickled(exports: dict[Layout, Path]) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return os.mkdir, ("trapped",)

    one = next(iter(read_export(exports["webdataset"])))
    file = io.BytesIO()
    np.savez(file, times=np.array([Trap()], dtype=object))
    with pytest.raises(CatalogError, match="features of clip"):
        attrs.evolve(one, members={**one.members, "features": file.getvalue()}).features()
    bomb = io.BytesIO()
    np.savez_compressed(bomb, times=np.zeros(10_000))
    with pytest.raises(CatalogError, match="compressed"):
        attrs.evolve(one, members={**one.members, "features": bomb.getvalue()}).features()


def test_the_command(database: MashupDB, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["db", "export", "--db", str(database.root), "-o", str(tmp_path / "out"), "--field", "vocal"]
    assert main([*arguments, "--format", "webdataset", "--shard-clips", "2", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["clips"], said["fields"], len(said["shards"])) == (3, ["vocal"], 2)
    assert len(list(read_export(tmp_path / "out"))) == 3
    assert main(arguments) == 2
    assert "another kind or content" in capsys.readouterr().err
