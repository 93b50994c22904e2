"""The recipe "pipeline": songs are separated, mashups of them are really stretched and mixed, and networks learn it."""

from __future__ import annotations

import argparse
import contextlib
import inspect
import json
import shutil
from collections import Counter
from pathlib import Path

import attrs
import numpy as np
import pytest
import torch

from mashkit.atomicfile import writing_alone
from mashkit.audio.files import load, save
from mashkit.bench import rendered
from mashkit.catalog import Catalog, MashupDB
from mashkit.catalog.songs import Song
from mashkit.cli import main
from mashkit.components import ComponentInfo
from mashkit.errors import OutputError, UsageError
from mashkit.interfaces import Analyzer, Separator
from mashkit.pipeline import Kit
from mashkit.registry import Registry
from mashkit.types import Analysis, Audio, Condition, Key, Role, StemSet
from mashkit_mashnet import checkpoint
from mashkit_mashnet.frontend import FINE, LOG_FREQUENCY, MEL, FrontEnd
from mashkit_mashnet.loops import COMPACT as LOOPS
from mashkit_mashnet.networks import COMPACT, PAPER, RHYTHM
from mashkit_mashnet_train.example_batches import SPEEDS, ExampleBatches, equalised, mask
from mashkit_mashnet_train.example_store import ExampleRecord, ExampleStore, ExampleWriter, open_examples
from mashkit_mashnet_train.examples import Fold, splits
from mashkit_mashnet_train.recipes.pipeline import (
    DATABASE,
    SECONDS,
    PipelineOptions,
    _known,
    _mixed_down,
    _plans,
    _require_songs,
    find,
    pipeline,
)
from mashkit_mashnet_train.recipes.rendered import RenderedOptions, render
from mashkit_mashnet_train.store import Store, StoreError
from mashkit_mashnet_train.training import TrainingConfig, train
from mashkit_mashnet_train.training_data import training_data

FOLD = Fold(1, 4)
OPTIONS = PipelineOptions(examples=24, ranked=0, presets=("compact", "rhythm"), fold=FOLD, seed=2)


@attrs.define(kw_only=True, eq=False)
class Thirds(Separator):
    """A real, if poor, separator: a third of the mix to each stem. It counts its songs."""

    info = ComponentInfo(
        name="thirds", target="light:Thirds", summary="s", provides=["vocals", "drums", "other"], code_license="MIT"
    )
    calls: list[int] = attrs.field(factory=list, init=False)

    def _separate(self, mix: Audio) -> StemSet:
        self.calls.append(mix.frames)
        third = Audio(mix.samples / np.float32(3), mix.sample_rate)
        return StemSet(dict.fromkeys(("vocals", "drums", "other"), third))


@attrs.define(kw_only=True, eq=False)
class Varied(Analyzer):
    """Bars of four, in a key and a tempo that depend on the length of the song alone."""

    info = ComponentInfo(
        name="varied", target="light:Varied", summary="s", provides=["key", "tempo", "beats", "downbeats"],
        code_license="MIT",
    )  # fmt: skip

    def _analyze(self, mix: Audio) -> Analysis:
        chance = np.random.default_rng(mix.frames)
        tempo = float(chance.choice([100.0, 104.0, 110.0]))
        beats = np.arange(0.3, mix.duration, 60 / tempo)
        key = Key(tonic=int(chance.integers(0, 5)), mode="major")
        return Analysis(key=key, tempo=tempo, beats=beats, downbeats=beats[::4], confidence={"beats": 0.9})


def kit(separator: Separator | None = None, *, jobs: int | None = None) -> Kit:
    executor = {} if jobs is None else {"executor": {"jobs": jobs}}
    return Kit(separator=separator or Thirds(), analyzer=Varied(), options=executor)


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten short songs of different lengths; of two of them there are the stems only."""
    folder = tmp_path_factory.mktemp("songs")
    (folder / "files").mkdir()
    for number in range(10):
        stems = rendered.render(rendered.compose(5, number))
        parts = {
            name: Audio(stem.excerpt(0.0, 26.0 + number / 10).samples / np.float32(2), stem.sample_rate)
            for name, stem in stems.stems.items()
        }
        if number < 8:
            mix = sum(part.samples for part in parts.values())
            rate = parts["vocals"].sample_rate
            save(folder / "files" / f"song-{number}.flac", Audio((mix / 2).astype(np.float32), rate))
            continue
        (folder / "stems" / f"song-{number}").mkdir(parents=True)
        for name, part in parts.items():
            save(folder / "stems" / f"song-{number}" / f"{name}.flac", part)
    return folder


class Stop(Exception):
    """What interrupts the run."""


@pytest.fixture(scope="module")
def separator() -> Thirds:
    return Thirds()


@pytest.fixture(scope="module")
def made(songs: Path, separator: Thirds, tmp_path_factory: pytest.TempPathFactory) -> ExampleStore:
    """A store whose run was interrupted after three examples."""
    where = tmp_path_factory.mktemp("pipeline") / "store", [songs / "files"], [songs / "stems"]

    def stop(item: str, done: int, total: int) -> None:
        if done == 3:
            raise Stop

    with pytest.raises(Stop):
        pipeline(*where, OPTIONS, kit=kit(separator), progress=stop)
    parts = where[0] / "parts"
    written = {path.name: path.stat().st_mtime_ns for path in parts.glob("*.npz")}
    assert len(written) == 3
    with writing_alone(where[0]), pytest.raises(OutputError, match="another run is writing into"):
        pipeline(*where, OPTIONS, kit=kit(separator))
    with pytest.raises(StoreError, match="not the same seed"):
        pipeline(*where, attrs.evolve(OPTIONS, seed=3), kit=kit(separator))
    kept: dict[str, int] = {}

    def look(item: str, done: int, total: int) -> None:
        if done == total:
            kept.update({name: (parts / name).stat().st_mtime_ns for name in written})

    store = pipeline(*where, OPTIONS, kit=kit(separator), progress=look)
    assert kept == written
    return store


def test_an_interrupted_run_goes_on_and_separates_nothing_twice(made: ExampleStore, separator: Thirds) -> None:
    assert len(separator.calls) == 10
    assert not (made.folder / "parts").exists()


def test_examples_are_of_all_classes_and_no_song_is_in_two_splits(made: ExampleStore) -> None:
    of: dict[str, set[str]] = {}
    for record in made.records:
        for song in record.songs:
            of.setdefault(song, set()).add(record.split)
        assert (record.kind == Condition.ORIGINAL) == (len(set(record.songs)) == 1)
    assert all(len(split) == 1 for split in of.values())
    due = splits(made.source["songs"], FOLD)
    assert Counter(due.values()) == {"training": 5, "validation": 2, "test": 3}
    assert {split for own in of.values() for split in own} == set(due.values())
    assert all(due[song] == record.split for record in made.records for song in record.songs)
    kinds = {record.kind for record in made.records if record.split == "training"}
    assert {Condition.ORIGINAL, Condition.MATCHED, Condition.UNMATCHED_TEMPO} <= kinds


@pytest.mark.slow
def test_any_number_of_processes_makes_the_same_store(made: ExampleStore, songs: Path, tmp_path: Path) -> None:
    for name in (DATABASE, "mixes"):
        shutil.copytree(made.folder / name, tmp_path / name)
    store = pipeline(tmp_path, [songs / "files"], [songs / "stems"], OPTIONS, kit=kit(jobs=0))
    assert store.fingerprint == made.fingerprint
    assert [record.id for record in store.records] == [record.id for record in made.records]


def test_what_is_stored_is_the_sound_of_the_plan(made: ExampleStore) -> None:
    """An original: its layers are what the separator gave, and its mix is what a scorer would hear."""
    index = next(number for number, record in enumerate(made.records) if record.kind == Condition.ORIGINAL)
    with MashupDB(made.folder / DATABASE, write=False) as database:
        catalog = Catalog(database)
        stem = catalog.stem(made.records[index].vocal, Role.VOCAL)
        mix = sum(catalog.stem(made.records[index].vocal, role).samples for role in Role)
    for name, front_end in (("compact", LOG_FREQUENCY), ("rhythm", FINE)):
        spectra = made.spectra(index, name).astype(np.float32) / 255
        assert spectra.shape == (round(SECONDS * front_end.frame_rate), 4, 128)
        for place, sound in ((0, stem), (3, Audio(mix, stem.sample_rate))):
            due = front_end.spectrum(sound)[:, : len(spectra)].T
            assert np.abs(spectra[:, place] - due).mean() < 0.01


def test_it_says_what_made_it(made: ExampleStore) -> None:
    kinds = {component["kind"]: component["name"] for component in made.source["components"]}
    assert kinds == {"separator": "thirds", "analyzer": "varied"}
    assert made.source["stretcher"]["name"] == "signalsmith"
    generator = made.source["generator"]
    assert (generator["name"], generator["options"]["mismatch"]) == ("paper", "strict")
    assert generator["version"]
    assert (made.source["mismatch"], made.source["fold"], len(made.source["songs"])) == ("strict", "1/4", 10)
    assert {"song-0", "song-9"} <= set(made.source["titles"])
    assert made.source["licences"] == dict.fromkeys(made.source["titles"], "unknown")


@pytest.mark.parametrize(
    ("variant", "preset", "shape"),
    [
        ("premixnet", COMPACT, (3, 128, 224)),
        ("premixnet-lsro", RHYTHM, (3, 128, 448)),
        ("postmixnet-lsro", COMPACT, (1, 128, 224)),
    ],
)
def test_networks_are_trained_on_it(
    made: ExampleStore, tmp_path: Path, variant: str, preset: object, shape: tuple[int, ...]
) -> None:
    unlabelled = variant.endswith("-lsro")
    data = training_data([made], variant, preset, "paper", 0, unlabelled=unlabelled)
    batch = data.batch(1)
    assert batch.inputs["spectra"].shape[1:] == shape
    assert torch.equal(data.batch(1).inputs["spectra"], batch.inputs["spectra"])
    targets = batch.targets
    assert (targets == 1).any()
    assert (targets == 0).any()
    assert bool(torch.isnan(targets).any()) == unlabelled
    network = checkpoint.architecture(checkpoint.VARIANTS[variant])(preset)
    rule = "lsro" if unlabelled else "drop"
    config = TrainingConfig(steps=2, validation_interval=2, unlabelled=rule, threads=1, workers=0)
    assert train(network, data, config, tmp_path).steps == 2


@pytest.mark.parametrize("front_end", [LOG_FREQUENCY, MEL])
def test_a_training_example_is_moved_as_a_whole(tmp_path: Path, front_end: FrontEnd) -> None:
    # Each layer and the mix hold the same line, a band that rises by one with every frame.
    frames = np.arange(100)
    spectra = np.zeros((100, 4, front_end.bands), np.uint8)
    spectra[frames, :, 14 + frames] = 128
    writer = ExampleWriter(tmp_path, {"recipe": "test"})
    for split in ("training", "validation"):
        for kind in ("original", "unmatched_key"):
            record = ExampleRecord(
                id=f"{split}-{kind}", split=split, kind=kind, vocal=split, songs=(split,) * 3, titles=(split,) * 3
            )
            writer.add(record, {"one": spectra})
    data = ExampleBatches(
        [writer.close({"one": front_end})], 0, mixed=False, unlabelled=False, front_end=front_end, groups=1
    )
    held = data.validation()[0].inputs["spectra"].numpy()
    assert np.array_equal(held[0, 0], spectra[:, 0].T / np.float32(255))
    slopes, offsets, different = [], [], 0
    for step in range(40):
        for layers in data.batch(step).inputs["spectra"].numpy():
            assert layers.shape == (3, front_end.bands, 90)
            # Levels differ, because each layer has an equaliser of its own; masks and movement do not.
            assert np.array_equal(layers[0] > 0, layers[1] > 0)
            assert np.array_equal(layers[0] > 0, layers[2] > 0)
            different += not np.array_equal(layers[0], layers[1])
            heard = np.flatnonzero(layers[0].any(axis=0))
            slope, offset = np.polyfit(heard, layers[0].argmax(axis=0)[heard], 1)
            slopes.append(slope)
            offsets.append(offset)
    assert different > 70
    assert SPEEDS[0] - 0.01 < min(slopes) < 0.93
    assert 1.07 < max(slopes) < SPEEDS[1] + 0.01
    # Without transposition, no crop begins below band 14, where the line begins.
    assert (min(offsets) < 13) == (front_end is LOG_FREQUENCY)


def test_an_equaliser_moves_each_band_alike_at_all_times() -> None:
    random = np.random.default_rng(5)
    spectrum = random.uniform(0.4, 0.6, (128, 50)).astype(np.float32)
    spectrum[:, 7] = 0
    spectrum[3, 9] = 1
    gains = []
    for _ in range(200):
        made = equalised(spectrum, random)
        assert made.dtype == np.float32
        assert made.min() >= 0
        assert made.max() <= 1
        assert not made[:, 7].any()  # silence stays silent
        moved = np.delete(made - spectrum, [7, 9], axis=1)
        assert np.ptp(moved, axis=1).max() < 1e-6
        gains.append(moved[:, 0] * 80)
    assert np.abs(np.mean(gains, axis=0)).max() < 2  # no band is louder or quieter on average
    assert 3 < np.std(gains) < 8
    assert np.abs(np.diff(gains, axis=1)).max() < 4  # neighbouring bands change alike


def test_masks_are_of_whole_bands_and_moments_of_all_sources() -> None:
    random = np.random.default_rng(5)
    shares = []
    for _ in range(200):
        spectra = np.ones((3, 128, 90), np.float32)
        mask(spectra, random, bands=20, frames=45)
        assert np.array_equal(spectra[0], spectra[1])
        bands, frames = ~spectra[0].any(axis=1), ~spectra[0].any(axis=0)
        assert np.array_equal(spectra[0] == 0, bands[:, None] | frames[None])
        assert bands.sum() <= 2 * 19
        assert frames.sum() <= 2 * 44
        shares.append((bands.mean(), frames.mean()))
    assert np.mean(shares, axis=0) == pytest.approx([2 * 9.5 / 128, 2 * 22 / 90], rel=0.2)


Rows = list[tuple[str, str, tuple[str, ...]]]
"""Vocal, which is its song too, split, and kinds of examples."""


def example_store(folder: Path, rows: Rows, value: int = 50) -> ExampleStore:
    """Return a store of examples that all sound alike."""
    writer = ExampleWriter(folder, {"recipe": folder.name})
    for song, split, kinds in rows:
        for kind in kinds:
            record = ExampleRecord(
                id=f"{song}-{kind}",
                split=split,
                kind=kind,
                vocal=song,
                songs=(song,) * 3,
                titles=(f"Band - {song}",) * 3,
            )
            writer.add(record, {"one": np.full((60, 4, LOG_FREQUENCY.bands), value, np.uint8)})
    return writer.close({"one": LOG_FREQUENCY})


BOTH = ("original", "unmatched-key")


def test_vocals_are_of_each_store_as_often_as_its_share_says(tmp_path: Path) -> None:
    stores = [
        example_store(
            tmp_path / name,
            [(f"{name}-{split}-{n}", split, BOTH) for n in range(vocals) for split in ("training", "validation")],
            200 if name == "few" else 50,
        )
        for name, vocals in (("many", 30), ("few", 3))
    ]
    for groups in (2, 12):
        drawn = {}
        for shares in (None, (1, 1), (1, 9)):
            data = training_data(
                stores, "postmixnet", COMPACT, "paper", 0, unlabelled=False, shares=shares, groups=groups
            )
            sounds = [data.batch(step).inputs["spectra"].amax(dim=(1, 2, 3)) for step in range(100)]
            assert len(sounds[0]) == 2 * groups
            drawn[shares] = float((torch.cat(sounds) > 0.5).float().mean())
        assert drawn[None] == pytest.approx(3 / 33, abs=0.06)
        assert drawn[1, 1] == pytest.approx(0.5, abs=0.08)
        assert drawn[1, 9] == pytest.approx(0.9, abs=0.06)
    with pytest.raises(UsageError, match="3 shares for 2 stores"):
        training_data(stores, "postmixnet", COMPACT, "paper", 0, unlabelled=False, shares=(1, 1, 1))


@pytest.mark.parametrize("unlabelled", [False, True])
@pytest.mark.parametrize("groups", [1, 2, 12])
def test_every_batch_has_both_classes(tmp_path: Path, groups: int, unlabelled: bool) -> None:
    kinds = [BOTH, ("original",), ("original", "matched"), ("matched",), ("unmatched-key",)]
    rows = [(f"song-{n}", "training", kinds[n % 5]) for n in range(25)]
    store = example_store(tmp_path / "store", [*rows, ("held", "validation", BOTH), ("other", "validation", BOTH)])
    data = training_data([store], "postmixnet", COMPACT, "paper", 0, unlabelled=unlabelled, groups=groups)
    batches = [data.batch(step) for step in range(60)]
    assert all({0.0, 1.0} <= set(batch.targets.tolist()) for batch in batches)
    # Originals without a negative are drawn all the same, where others of the batch have one.
    originals = {int(group) for batch in batches for group in batch.groups[batch.targets == 1]}
    assert len(originals) == (5 if groups == 1 else 15)


def test_a_store_without_originals_is_refused(tmp_path: Path) -> None:
    rows: Rows = [("one", "training", ("unmatched-key", "matched")), ("two", "validation", BOTH)]
    with pytest.raises(UsageError, match="has no original of a training song"):
        training_data([example_store(tmp_path, rows)], "postmixnet", COMPACT, "paper", 0, unlabelled=False)


def test_validation_examples_are_the_same_for_any_number_of_vocals_in_a_batch(tmp_path: Path) -> None:
    rows: Rows = [(f"song-{n}", "validation" if n % 2 else "training", BOTH) for n in range(60)]
    store = example_store(tmp_path, rows)
    few, many = (
        training_data([store], "postmixnet", COMPACT, "paper", 0, unlabelled=False, groups=groups).validation()
        for groups in (1, 20)
    )
    assert len(few) == len(many) == 2
    assert all(torch.equal(one.groups, other.groups) for one, other in zip(few, many, strict=True))


def test_stores_that_part_their_songs_in_two_ways_are_refused(tmp_path: Path) -> None:
    def made(name: str, **of: str) -> ExampleStore:
        return example_store(tmp_path / name, [(song, split, BOTH) for song, split in of.items()])

    def joined(*stores: ExampleStore) -> object:
        return training_data(stores, "postmixnet", COMPACT, "paper", 0, unlabelled=False)

    first = made("first", one="training", two="validation", three="test")
    joined(first, made("alike", one="training", two="validation", four="training"))
    for name, song, split, said in (
        ("second", "one", "validation", "'Band - one' is for training in .*first and for validation in .*second"),
        ("third", "three", "training", "'Band - three' is for test in .*first and for training in .*third"),
    ):
        with pytest.raises(UsageError, match=said):
            joined(first, made(name, **{song: split, "four": "training", "five": "validation"}))
    # As one title of two songs.
    titled = attrs.evolve(
        first, records=[attrs.evolve(one, songs=("x",) * 3) if one.split == "test" else one for one in first.records]
    )
    joined(titled)
    retitled = [attrs.evolve(one, titles=("Band - one",) * 3) if one.split == "test" else one for one in first.records]
    with pytest.raises(UsageError, match=r"'Band - one' is for training in .*first and for test in .*first"):
        joined(attrs.evolve(first, records=retitled))
    with pytest.raises(UsageError, match="first is given twice"):
        joined(first, first)


def test_a_checkpoint_names_its_training_songs(made: ExampleStore, tmp_path: Path) -> None:
    command = ["train", "--data", str(made.folder), "--variant", "postmixnet", "--protocol", "paper", "--steps", "2"]
    assert main([*command, "--workers", "0", "--threads", "1", "--device", "cpu", "-o", str(tmp_path), "--quiet"]) == 0
    record = checkpoint.load(tmp_path / "postmixnet.safetensors").training
    # Of two vocals, one alone may have no negatives to compare calibrations on; that costs no trained network.
    calibration = record["calibration"]
    assert bool(calibration["across_vocals"]) != ("across_vocals_missing" in calibration)
    scorer = Kit(options={"scorer": {"checkpoint": tmp_path / "postmixnet.safetensors"}}, scorer="postmixnet").scorer
    heard = [record for record in made.records if record.split != "test"]
    assert set(scorer.trained_on()) == {title for record in heard for title in record.titles}
    assert all(splits(made.source["songs"], FOLD)[song] != "test" for one in heard for song in one.songs)


def test_mistakes_are_told(
    made: ExampleStore, store: Store, songs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError, match=r"has spectra of presets compact, rhythm, none of the mel front end of hop"):
        made.name_of(MEL)
    for variant, preset, protocol, said in (
        ("premixnet", PAPER, "paper", "none of the mel front end"),
        ("premixnet", COMPACT, "controlled", "examples of protocol paper"),
        ("intervalnet", COMPACT, "paper", "no beats and pitches for intervalnet"),
        ("nlc-cnn", LOOPS, "paper", "no beats and pitches for nlc-cnn"),
    ):
        with pytest.raises(UsageError, match=said):
            training_data([made], variant, preset, protocol, 0, unlabelled=False)
    with pytest.raises(UsageError, match="train on stores of one kind"):
        training_data([made, store], "premixnet", COMPACT, "paper", 0, unlabelled=False)
    # Two songs, one of them left out: there is none to mix the other with.
    few = [songs / "files" / f"song-{number}.flac" for number in range(2)]
    with pytest.raises(StoreError, match="the training songs give no original and no unmatched mashup"):
        pipeline(tmp_path / "few", few, options=attrs.evolve(OPTIONS, fold=Fold(1, 2)), kit=kit())
    assert main(["features", "pipeline", "-o", str(tmp_path / "none")]) == 2
    assert "no songs" in capsys.readouterr().err
    for text in ("5/4", "0/3", "1/1", "first"):
        assert main(["features", "pipeline", str(songs), "-o", str(tmp_path / "none"), "--fold", text]) == 2
        assert f"fold {text}" in capsys.readouterr().err.replace("'", "")


def test_a_dry_run_counts_songs_and_makes_nothing(
    songs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["features", "pipeline", str(songs / "files"), "--stems", str(songs / "stems"), "-o", str(tmp_path / "s")]
    chosen = ["--separator", "librosa", "--analyzer", "librosa", "--dry-run"]
    assert main([*command, *chosen, "--examples", "90"]) == 0
    assert "dry run: 90 examples asked for, of at most 10 songs; nothing was made" in capsys.readouterr().out
    assert main([*command, *chosen, "--preset", "grand"]) == 2
    assert "no preset 'grand'" in capsys.readouterr().err
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("finished", [True, False])
def test_a_store_that_cannot_be_made_is_refused_before_anything_is_separated(
    songs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], finished: bool
) -> None:
    folder, said = tmp_path / "store", "holds a finished store" if finished else "not the same examples, fold"
    if finished:
        example_store(folder, [("one", "training", BOTH)])
    else:
        kept = {"compact": np.zeros((60, 4, 128), np.uint8)}
        record = ExampleRecord(id="a", split="training", kind="original", vocal="a", songs=("a",), titles=("a",))
        ExampleWriter(folder, _known(attrs.evolve(OPTIONS, fold=None, examples=3), kit())).add(record, kept)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    separator = Thirds()
    with pytest.raises(StoreError, match=said):
        pipeline(folder, [songs / "files"], [], OPTIONS, kit=kit(separator))
    assert not separator.calls
    chosen = ["--separator", "librosa", "--analyzer", "librosa", "--fold", "1/4", "--examples", "24", "--dry-run"]
    assert main(["features", "pipeline", str(songs / "files"), "-o", str(folder), *chosen]) == 1
    assert (said if finished else "fold") in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_another_separator_is_refused_before_anything_is_separated(songs: Path, tmp_path: Path) -> None:
    components = [{"kind": "separator", "name": "stemnet"}, {"kind": "analyzer", "name": "varied"}]
    record = ExampleRecord(id="a", split="training", kind="original", vocal="a", songs=("a",), titles=("a",))
    writer = ExampleWriter(tmp_path, {**_known(OPTIONS, kit()), "components": components})
    writer.add(record, {"compact": np.zeros((60, 4, 128), np.uint8)})
    separator = Thirds()
    with pytest.raises(StoreError, match=r"made with separator stemnet, not thirds \(give --separator stemnet"):
        pipeline(tmp_path, [songs / "files"], [], OPTIONS, kit=kit(separator))
    assert not separator.calls
    assert not (tmp_path / DATABASE).exists()


def test_more_folds_than_songs_are_refused_before_anything_is_separated(songs: Path, tmp_path: Path) -> None:
    separator = Thirds()
    with pytest.raises(UsageError, match="fold 1/9 of 8 songs"):
        pipeline(tmp_path / "store", [songs / "files"], [], attrs.evolve(OPTIONS, fold=Fold(1, 9)), kit=kit(separator))
    assert not separator.calls
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("titles", "fold", "test_only", "said"),
    [
        ("a", None, False, "^1 song for .*, but training and validation need 2 each"),
        ("abc", None, False, "^3 songs for .*, but training and validation need 2 each"),
        ("a", None, True, "^1 song for .*, but test need 2 each"),
        ("abcd", Fold(1, 4), False, "training songs give no unmatched mashup"),
        ("abc", Fold(1, 3), False, "training songs give no original and no unmatched mashup"),
        ("aabb", Fold(1, 2), False, "training songs give no original and no unmatched mashup"),
        ("abcd", None, False, ""),
        ("ab", None, True, ""),
        ("abcde", Fold(1, 5), False, ""),
        ("aabcd", Fold(1, 4), False, ""),  # if the two songs of a title are for training
    ],
)
def test_too_few_songs_are_refused_before_anything_is_separated(
    titles: str, fold: Fold | None, test_only: bool, said: str, tmp_path: Path
) -> None:
    options = attrs.evolve(OPTIONS, fold=fold, test_only=test_only)
    with pytest.raises(StoreError, match=said) if said else contextlib.nullcontext():
        _require_songs(tmp_path, list(titles), options)


def test_a_dry_run_refuses_a_song_alone(songs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["features", "pipeline", str(songs / "files" / "song-0.flac"), "-o", str(tmp_path / "store")]
    command += ["--separator", "librosa", "--analyzer", "librosa"]
    for words in (command, [*command, "--dry-run"]):
        assert main(words) == 1
        assert "1 song for" in capsys.readouterr().err
    assert not (tmp_path / "store").exists()


def test_it_says_where_there_are_fewer_mashups_than_asked_for(made: ExampleStore) -> None:
    said: list[str] = []
    with MashupDB(made.folder / DATABASE, write=False) as database:
        planned = _plans(Catalog(database).clips, attrs.evolve(OPTIONS, ranked=2000), said.append)
    found = sum(split == "test" and plan.condition == Condition.MATCHED for split, plan in planned)
    assert 0 < found < 2000
    assert f"test, matched: {found} mashups and not 2000, because no more of 3 clips fit" in said


def test_the_command_and_the_function_have_the_same_defaults() -> None:
    parser = argparse.ArgumentParser()
    Registry().commands()["features"][0].command.configure(parser)
    words = {
        "pipeline": ["pipeline", "-o", "s"],
        "rendered": ["rendered", "--midi", "m", "--drums", "d", "-o", "s"],
    }
    given = {recipe: vars(parser.parse_args(line)) for recipe, line in words.items()}
    own = {
        "pipeline": attrs.asdict(PipelineOptions()),
        "rendered": {
            **{name: one.default for name, one in inspect.signature(render).parameters.items()},
            **{one.name: one.default for one in attrs.fields(RenderedOptions)},
        },
    }
    compared = 0
    for recipe, values in own.items():
        for name in ("examples", "ranked", "mismatch", "test_only", "fold", "windows", "songs", "seconds", "sung",
                     "sound", "seed", "jobs"):  # fmt: skip
            if name in values:
                assert given[recipe][name] == values[name], f"{recipe} {name}"
                compared += 1
    assert compared == 13


@pytest.mark.slow
def test_all_songs_for_the_test(songs: Path, tmp_path: Path) -> None:
    few = [songs / "files" / f"song-{number}.flac" for number in range(4)]
    options = PipelineOptions(examples=6, ranked=5, test_only=True)
    store = pipeline(tmp_path / "store", few, options=options, kit=kit(jobs=0))
    assert {record.split for record in store.records} == {"test"}
    assert sum(record.kind == Condition.MATCHED for record in store.records) == 5
    with pytest.raises(UsageError, match="no training songs"):
        training_data([store], "premixnet", COMPACT, "paper", 0, unlabelled=False)
    with pytest.raises(UsageError, match="give one of the two"):
        PipelineOptions(test_only=True, fold=FOLD)


def test_a_song_whose_stems_cannot_be_mixed_costs_no_other(songs: Path, tmp_path: Path) -> None:
    shutil.copytree(songs / "stems", tmp_path / "stems")
    save(tmp_path / "stems" / "song-9" / "drums.flac", Audio(np.zeros((1, 22050), np.float32), 22050))
    failures: list[str] = []
    whole = attrs.evolve(OPTIONS, fold=None, test_only=True)
    with pytest.raises(StoreError, match="no unmatched mashup"):
        pipeline(tmp_path / "store", [], [tmp_path / "stems"], whole, kit=kit(), failed=failures.append)
    assert any("song-9" in text and "22050" in text for text in failures)
    assert len(list((tmp_path / "store" / "mixes").glob("*/song-8.flac"))) == 1


def test_songs_of_one_name_and_replaced_stems_have_mixes_of_their_own(songs: Path, tmp_path: Path) -> None:
    parts = sorted((songs / "stems").iterdir())[:2]
    for folder, part in zip("ab", parts, strict=True):
        shutil.copytree(part, tmp_path / folder / "01 Song")

    def mixes() -> list[tuple[Path, bytes]]:
        found = [_mixed_down(song, tmp_path / "mixes") for song in find([], [tmp_path / "a", tmp_path / "b"])]
        return [(song.path, song.path.read_bytes()) for song in found if isinstance(song, Song)]

    first = mixes()
    assert [path.name for path, _ in first] == ["01 Song.flac"] * 2
    assert len({data for _, data in first}) == len({path for path, _ in first}) == 2
    assert mixes() == first
    shutil.copy(next((tmp_path / "b" / "01 Song").glob("drums*")), next((tmp_path / "a" / "01 Song").glob("drums*")))
    again = mixes()
    assert (again[0] != first[0], again[1] == first[1]) == (True, True)


def test_stems_are_mixed_down_and_not_used(made: ExampleStore, songs: Path) -> None:
    (path,) = (made.folder / "mixes").glob("*/song-9.flac")
    mix = load(path).samples
    stems = sum(load(path).samples for path in sorted((songs / "stems" / "song-9").iterdir()))
    peak = max(1.0, float(np.abs(stems).max()))
    np.testing.assert_allclose(mix, stems / peak, atol=1e-3)
    assert json.loads((made.folder / "examples.json").read_text())["source"]["recipe"] == "pipeline"
    assert len(open_examples(made.folder)) == len(made)
