"""Stores: clips as features, written in any order and by interrupted runs, and what is refused."""

import json
import resource
from collections.abc import Mapping
from pathlib import Path

import attrs
import numpy as np
import pytest

from mashkit.errors import OutputError
from mashkit.types import Analysis, Audio, Key, Role, Samples
from mashkit_mashnet.stem_features import Bytes, StemFeatures
from mashkit_mashnet_train.store import Record, StoreError, StoreWriter, open_store

RATE = 22_050


def stem(samples: Samples) -> StemFeatures:
    return StemFeatures.of(Audio(samples[None], RATE))


def noise(seconds: float, seed: int = 0) -> Samples:
    return (0.1 * np.random.default_rng(seed).standard_normal(round(seconds * RATE))).astype(np.float32)


def record(number: int) -> Record:
    beats = np.arange(0, 4, 0.5)
    return Record(
        id=f"song-{number}-0",
        song=f"song-{number}",
        duration=4.0,
        analysis=Analysis(key=Key(number % 12, "minor"), tempo=120.0, beats=beats, downbeats=beats[::4]),
        facts={"voice": "none"},
    )


def stems(number: int, seconds: float = 4.0) -> dict[Role, StemFeatures]:
    return {role: stem(noise(seconds, 10 * number + place)) for place, role in enumerate(Role)}


def test_a_store_gives_back_what_was_put_in(tmp_path: Path) -> None:
    writer = StoreWriter(tmp_path / "store", {"recipe": "test"})
    for number in (2, 0, 1):
        writer.add(record(number), stems(number, 4.0 + number))
    assert writer.has("song-2-0")
    assert not writer.has("song-3-0")
    store = writer.close()
    assert [one.id for one in store.records] == ["song-0-0", "song-1-0", "song-2-0"]
    for number in range(3):
        want = stems(number, 4.0 + number)
        for role in Role:
            np.testing.assert_array_equal(store.stem(number, role).spectrum, want[role].spectrum)
            np.testing.assert_array_equal(store.stem(number, role).onsets, want[role].onsets)
    assert store.records[1] == record(1)
    assert open_store(tmp_path / "store").fingerprint == store.fingerprint


def test_the_order_of_writing_is_of_no_matter(tmp_path: Path) -> None:
    for name, order in (("a", (0, 1)), ("b", (1, 0))):
        writer = StoreWriter(tmp_path / name, {})
        for number in order:
            writer.add(record(number), stems(number))
        writer.close()
    assert open_store(tmp_path / "a").fingerprint == open_store(tmp_path / "b").fingerprint


def test_an_unfinished_store_goes_on_only_with_the_same_source(tmp_path: Path) -> None:
    source = {"recipe": "test", "seed": 0, "ranges": (1, 2)}
    StoreWriter(tmp_path / "store", {**source, "seed": 2})  # nothing was made with it
    StoreWriter(tmp_path / "store", source).add(record(0), stems(0))
    with pytest.raises(StoreError, match="not the same ranges, seed") as caught:
        StoreWriter(tmp_path / "store", {**source, "seed": 1, "ranges": (1, 3)})
    assert "another folder" in caught.value.fix
    writer = StoreWriter(tmp_path / "store", source)
    assert writer.has("song-0-0")
    writer.add(record(1), stems(1))
    assert [one.id for one in writer.close().records] == ["song-0-0", "song-1-0"]


def test_a_store_that_was_begun_with_files_by_name_goes_on(tmp_path: Path) -> None:
    """As it was before two files could have one name."""
    StoreWriter(tmp_path, {"files": {"b.tar": "1", "a.sf2": "2"}}).add(record(0), stems(0))
    files = [{"name": "b.tar", "sha256": "1"}, {"name": "a.sf2", "sha256": "2"}]
    assert StoreWriter(tmp_path, {"files": files}).has("song-0-0")
    with pytest.raises(StoreError, match="not the same files"):
        StoreWriter(tmp_path, {"files": files[::-1]})


def test_it_is_known_before_the_work_that_a_store_cannot_be_made(tmp_path: Path) -> None:
    source = {"seed": 0, "songs": ["a"]}
    folder = tmp_path / "store"
    StoreWriter.require_possible(folder, source, whole=True)
    assert not folder.exists()
    writer = StoreWriter(folder, source)
    writer.add(record(0), stems(0))
    StoreWriter.require_possible(folder, {"seed": 0}, whole=False)
    for known, whole in (({"seed": 0}, True), ({"seed": 1}, False)):
        with pytest.raises(StoreError, match="made otherwise"):
            StoreWriter.require_possible(folder, known, whole=whole)
    writer.close()
    with pytest.raises(StoreError, match="finished store"):
        StoreWriter.require_possible(folder, {}, whole=False)
    with pytest.raises(OutputError, match="is a file"):
        StoreWriter.require_possible(folder / "index.json", {}, whole=False)


def test_clips_of_an_unknown_source_are_not_gone_on_with(tmp_path: Path) -> None:
    StoreWriter(tmp_path / "store", {}).add(record(0), stems(0))
    (tmp_path / "store" / "parts" / "source.json").unlink()
    with pytest.raises(StoreError, match="missing or damaged"):
        StoreWriter(tmp_path / "store", {})


def test_stores_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no store"):
        open_store(tmp_path / "nowhere")
    writer = StoreWriter(tmp_path / "store", {})
    with pytest.raises(StoreError, match="got no clip"):
        writer.close()
    writer.add(record(0), stems(0))
    with pytest.raises(StoreError, match="unfinished"):
        open_store(tmp_path / "store")
    writer.close()
    with pytest.raises(StoreError, match="finished"):
        StoreWriter(tmp_path / "store", {})
    index = tmp_path / "store" / "index.json"
    whole = json.loads(index.read_text())
    index.write_text(json.dumps(whole | {"how": {}}))
    with pytest.raises(StoreError, match="another way"):
        open_store(tmp_path / "store")
    index.write_text(json.dumps(whole | {"starts": [[0, 0], [1, 1]]}))
    with pytest.raises(StoreError, match="damaged"):
        open_store(tmp_path / "store")
    index.write_text("{")
    with pytest.raises(StoreError, match="damaged"):
        open_store(tmp_path / "store")


def test_what_was_corrected_or_is_gone_is_not_kept(tmp_path: Path) -> None:
    source = {"recipe": "test", "licences": {"song": "unknown"}}
    writer = StoreWriter(tmp_path, source)
    for number in range(4):
        writer.add(record(number), stems(number))
    # What the licences are said to be changes no clip.
    writer = StoreWriter(tmp_path, {**source, "licences": {"song": "CC0-1.0"}})
    corrected = attrs.evolve(record(1), analysis=attrs.evolve(record(1).analysis, tempo=104.5))
    wanted = {one.id: one.to_dict() for one in (record(0), corrected)}
    writer.keep({**wanted, record(2).id: None})
    assert [writer.has(record(number).id) for number in range(4)] == [True, False, True, False]
    writer.add(corrected, stems(1))
    store = writer.close()
    assert [one.analysis.tempo for one in store.records] == [120.0, 104.5, 120.0]
    assert store.source["licences"] == {"song": "CC0-1.0"}


def test_a_finished_store_is_not_joined_anew(tmp_path: Path) -> None:
    """Where folders cannot be locked, two runs may have begun a store."""
    slow, fast = (StoreWriter(tmp_path, {}) for _ in range(2))
    for number in range(2):
        fast.add(record(number), stems(number))
    fingerprint = fast.close().fingerprint
    slow.add(record(0), stems(0))
    with pytest.raises(StoreError, match="holds a finished store"):
        slow.close()
    assert open_store(tmp_path).fingerprint == fingerprint


def test_room_for_the_arrays_is_reserved_before_they_are_written(tmp_path: Path) -> None:
    """Writing to a mapped file on a full disk would end the process without a message."""
    writer = StoreWriter(tmp_path, {})
    writer.add(record(0), stems(0))

    def fill(arrays: Mapping[str, Bytes]) -> None:
        status = (tmp_path / "parts" / "big.npy").stat()
        assert status.st_blocks * 512 >= status.st_size >= 1_000_000

    writer._join({"big.npy": (1000, 1000)}, fill, {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["big.npy", "index.json"]


def test_a_disk_without_room_for_the_arrays_is_named(tmp_path: Path) -> None:
    writer = StoreWriter(tmp_path, {})
    writer.add(record(0), stems(0))
    (tmp_path / "spectra.npy").write_bytes(b"left by a run that was interrupted")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(OutputError, match=r"which needs \d+ MB more: File too large"):
            writer.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert sorted(path.name for path in tmp_path.rglob("*.np*")) == ["song-0-0.npz"]
    assert len(writer.close()) == 1
