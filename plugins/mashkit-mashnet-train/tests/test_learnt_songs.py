"""Which songs a checkpoint learnt from: named in its record, or, in earlier ones, told by the rule that parts songs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

from mashkit.cli import main
from mashkit_mashnet import SHIPPED, checkpoint
from mashkit_mashnet.ensemble import joined
from mashkit_mashnet.frontend import LOG_FREQUENCY
from mashkit_mashnet.scorer import shipped
from mashkit_mashnet_train.example_store import ExampleRecord, ExampleWriter
from mashkit_mashnet_train.examples import Fold, split_of, splits
from mashkit_mashnet_train.interval_data import IntervalData
from mashkit_mashnet_train.learnt_songs import (
    DIGITS,
    POP909,
    Song,
    keys_of,
    learnt_by,
    licences,
    named,
    songs_by_part,
)
from mashkit_mashnet_train.recipes.rendered import clip_id
from mashkit_mashnet_train.recipes.scores import Excerpt
from mashkit_mashnet_train.store import Store, open_store
from mashkit_mashnet_train.train_command import new_network


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw few examples: the songs matter, not the training."""
    monkeypatch.setitem(IntervalData.__init__.__kwdefaults__, "groups", 2)
    monkeypatch.setitem(IntervalData.__init__.__kwdefaults__, "validation_groups", 12)


def renamed(store: Store, folder: Path, **source: Any) -> Store:
    """Return a copy of a store whose songs have names of POP909, in the same parts, and another source."""
    shutil.copytree(store.folder, folder)
    index = json.loads((folder / "index.json").read_text())
    free = {part: [song for song in POP909 if split_of(song) == part] for part in ("training", "validation", "test")}
    for clip in index["clips"]:
        clip["song"] = free[split_of(clip["song"])].pop(0)
    index["source"] = {"recipe": "rendered-3", **source}
    (folder / "index.json").write_text(json.dumps(index))
    return open_store(folder)


@pytest.fixture(scope="module")
def rendered(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("renamed") / "store"
    return renamed(store, folder, licences={"POP909": "MIT", "Drums": "CC BY 4.0"})


def train(folder: Path, store: Store, *more: object) -> int:
    words = (
        "train", "--data", store.folder, "--variant", "intervalnet", "-o", folder, "--steps", 1, "--validate-every", 1,
        "--device", "cpu", "--threads", 1, "--workers", 0, "--precision", "32-true", *more,
    )  # fmt: skip
    return main([str(word) for word in words])


def with_record(path: Path, record: dict[str, Any]) -> Path:
    network = new_network("intervalnet", "compact", 0)
    checkpoint.save(path, checkpoint.Checkpoint.of(network, variant="intervalnet", training=record))
    return path


@pytest.mark.parametrize("variant", sorted(SHIPPED))
def test_what_ships_had_all_songs_of_pop909_but_those_of_the_test(variant: str) -> None:
    learnt = learnt_by(checkpoint.load(shipped(variant)).training)
    for part in ("training", "validation"):
        assert learnt[part] == keys_of(*(song for song in POP909 if split_of(song) == part))


def test_weights_that_ship_are_told_where_a_fold_leaves_their_songs_out(
    rendered: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fold = splits({record.song: None for record in rendered.records}, Fold(1, 3))
    had = [song for song, part in fold.items() if part == "test" and split_of(song) != "test"]
    assert had
    assert train(tmp_path / "run", rendered, "--fold", "1/3", "--initial", "intervalnet", "--dry-run") == 0
    assert f"and {len(had)} songs of the test, such as 'pop909/" in capsys.readouterr().err
    assert train(tmp_path / "run", rendered, "--initial", "intervalnet", "--dry-run") == 0
    assert "of the test" not in capsys.readouterr().err


def test_a_run_names_its_songs_and_another_fold_tells_them(
    rendered: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, same = (tmp_path / name for name in ("first", "second", "same"))
    assert train(first, rendered, "--fold", "1/3") == 0
    path = first / "intervalnet.safetensors"
    parts = {number: splits({one.song: None for one in rendered.records}, Fold(number, 3)) for number in (1, 2)}
    data = checkpoint.load(path).training["data"]
    for part in ("training", "validation"):
        assert data["songs"][part] == sorted(keys_of(*(song for song, own in parts[1].items() if own == part)))
    assert data["licences"] == ["Drums: CC BY 4.0", "POP909: MIT"]
    report = json.loads((first / "report.json").read_text())
    assert "songs" not in report["data"]
    assert report["data"]["licences"] == data["licences"]

    capsys.readouterr()
    assert train(same, rendered, "--fold", "1/3", "--initial", path, "--dry-run") == 0
    assert "of the test" not in capsys.readouterr().err
    assert train(second, rendered, "--fold", "2/3", "--initial", path) == 0
    had = sorted(song for song, part in parts[2].items() if part == "test" and parts[1][song] != "test")
    assert f"{len(had)} songs of the test, such as {had[0]!r}" in capsys.readouterr().err
    record = checkpoint.load(second / "intervalnet.safetensors").training
    assert record["initial"]["heard"]["test"] == had
    # It names the songs of both, once.
    assert set().union(*record["data"]["songs"].values()) == keys_of(*parts[1])
    assert "songs" not in record["initial"]["data"]


def test_what_goes_on_from_weights_that_ship_names_their_songs_and_licences(store: Store, tmp_path: Path) -> None:
    begun = checkpoint.load(shipped("intervalnet"))
    path = with_record(tmp_path / "begun.safetensors", dict(begun.training["members"][0]))
    own = renamed(store, tmp_path / "store", licences=["CC BY-NC 4.0"])
    assert train(tmp_path / "run", own, "--initial", path) == 0
    file = tmp_path / "run" / "intervalnet.safetensors"
    record = checkpoint.load(file).training
    assert learnt_by(record)["training"] >= learnt_by(begun.training)["training"]
    assert {"CC BY-NC 4.0", "POP909: MIT"} < set(record["data"]["licences"])
    assert len(json.dumps(record["data"]["songs"])) < 40_000


def test_an_ensemble_had_the_songs_of_each_member() -> None:
    members = [
        checkpoint.Checkpoint.of(
            new_network("intervalnet", "compact", seed),
            variant="intervalnet",
            training={
                "data": {"songs": {"training": [f"{seed}a"], "validation": [f"{seed}b"]}, "licences": [f"{seed}"]}
            },
        )
        for seed in (1, 2)
    ]
    training = joined(members).training
    assert learnt_by(training) == {"training": {"1a", "2a"}, "validation": {"1b", "2b"}}
    assert licences(training) == {"1", "2"}


def test_earlier_records_are_completed_by_the_stores_and_by_their_beginning(store: Store, rendered: Store) -> None:
    # By the titles of recordings, and where the store is at hand, by its parts.
    titled = {"data": {"recordings": ["Band - One"], "sources": ["made up"]}}
    assert learnt_by(titled) == {"training": set(keys_of("Band - One")), "validation": set()}
    data = {"stores": [store.fingerprint], "fold": "1/3", "sources": [{"recipe": "test"}]}
    assert learnt_by({"data": data}) == {"training": set(), "validation": set()}
    found = learnt_by({"data": data}, [store])
    for part in ("training", "validation"):
        of_part = [one for one, own in splits([one.song for one in store.records], Fold(1, 3)).items() if own == part]
        assert found[part] == keys_of(*of_part)
    # Under a fold, another store says nothing, so any song of POP909 may have been in training.
    folded = {"data": {"stores": ["another"], "fold": "1/3", "sources": [{"recipe": "rendered"}]}}
    assert learnt_by(folded, [rendered])["training"] == keys_of(*POP909)
    # The weights that training began with are of the record as well, unless it names the songs of both.
    begun = {"data": {"sources": [{"recipe": "rendered-2"}]}}
    assert learnt_by({"data": {}, "initial": {"data": {}, "members": [begun["data"]]}}) == learnt_by(begun)
    assert learnt_by({"data": {}, "initial": begun}) == learnt_by(begun)
    assert learnt_by({"data": {"songs": {"training": ["a"]}}, "initial": begun})["training"] == {"a"}


def test_files_of_rendered_sound_are_known_by_their_song(tmp_path: Path) -> None:
    excerpt = Excerpt(
        song=POP909[6], number=12, bars=8, tempo=100.0, key=None, melody=(), bridge=(), piano=(), chords=()
    )
    assert keys_of(clip_id(excerpt)) == keys_of(POP909[6])
    assert keys_of("Blink-182") != keys_of("Blink")
    assert {len(key) for key in keys_of("a", None, "", "b")} == {DIGITS}

    writer = ExampleWriter(tmp_path / "store", {"recipe": "pipeline", "licences": ["CC BY 4.0"]})
    for split, title in (("training", "pop909-001-0"), ("test", "pop909-002-0")):
        for kind in ("original", "unmatched-key"):
            record = ExampleRecord(
                id=f"{split}-{kind}", split=split, kind=kind, vocal=title, songs=(f"hash of {title}",) * 3,
                titles=(title,) * 3,
            )  # fmt: skip
            writer.add(record, {"compact": np.zeros((40, 4, LOG_FREQUENCY.bands), np.uint8)})
    made = writer.close({"compact": LOG_FREQUENCY})
    songs = songs_by_part([made])
    assert songs == {
        "training": {Song("hash of pop909-001-0", "pop909-001-0")},
        "validation": set(),
        "test": {Song("hash of pop909-002-0", "pop909-002-0")},
    }
    assert keys_of("pop909/001") < set(named(songs, {})["training"])


def test_songs_that_give_no_example_are_named_as_well(store: Store) -> None:
    titles = {record.song: f"Band - {record.song}" for record in store.records}
    fold = Fold(3, len(titles))
    songs = songs_by_part([attrs.evolve(store, source={**store.source, "titles": titles})], fold)
    (left_out,) = (song for song, part in splits(titles, fold).items() if part == "test")
    assert songs["test"] == {Song(left_out, titles[left_out])}
    without_key = [attrs.evolve(record, analysis=attrs.evolve(record.analysis, key=None)) for record in store.records]
    assert songs_by_part([attrs.evolve(store, records=tuple(without_key))]) == songs_by_part([store])
    assert next(iter(songs["test"])).name == titles[left_out]
