"""`mashkit train`: from a store to a checkpoint that scores, with a report; mistakes are told."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import attrs
import numpy as np
import pytest
import torch

import mashkit as mk
from mashkit.cli import main
from mashkit.errors import UsageError
from mashkit_mashnet import checkpoint
from mashkit_mashnet.ensemble import joined
from mashkit_mashnet_train import store as stores
from mashkit_mashnet_train.examples import Fold, splits
from mashkit_mashnet_train.interval_data import IntervalData
from mashkit_mashnet_train.store import Store
from mashkit_mashnet_train.train_command import first_network, initial_file, new_network
from mashkit_mashnet_train.training import TrainingConfig, arithmetic, predict
from mashkit_mashnet_train.training.state import STATE


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw few examples: what is tested is what becomes of them."""
    monkeypatch.setitem(IntervalData.__init__.__kwdefaults__, "groups", 2)
    monkeypatch.setitem(IntervalData.__init__.__kwdefaults__, "validation_groups", 12)


def run(*arguments: object) -> int:
    try:
        return main([str(argument) for argument in arguments])
    except SystemExit as leaving:  # argparse
        return int(leaving.code or 0)


def command(store: Store, folder: Path, *more: object) -> tuple[object, ...]:
    return (
        "train", "--data", store.folder, "--variant", "intervalnet", "-o", folder, "--steps", 10, "--validate-every", 5,
        "--unlabelled", "lsro", "--device", "cpu", "--threads", 1, "--workers", 0, "--learning-rate", 1e-3, *more,
    )  # fmt: skip


def test_it_trains_calibrates_and_reports(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*command(store, tmp_path)) == 0
    out, err = capsys.readouterr()
    path = tmp_path / "intervalnet.safetensors"
    assert f"--scorer intervalnet -O scorer.checkpoint={path}" in out
    assert "train 10/10 done: loss" in err
    assert "validate 2/2 done: step 10: AUC" in err

    made = checkpoint.load(path)
    assert made.variant == "intervalnet"
    assert made.preset.name == "compact"
    assert made.training["config"]["unlabelled"] == "lsro"
    data = IntervalData([store], "controlled", 0)
    assert made.training["data"]["fingerprint"] == data.fingerprint
    assert made.training["data"]["training"]["test"]["songs"] == 6
    assert made.training["data"]["sources"] == [{"recipe": "test"}]
    assert [row["step"] for row in made.training["curve"]] == [5, 10]

    report = json.loads((tmp_path / "report.json").read_text())
    assert made.calibration is not None
    assert report["temperature"] == made.calibration.temperature
    assert report["size"] == path.stat().st_size
    assert set(report["calibration"]["across_vocals"]) == {"none", "temperature", "platt", "isotonic"}
    # What was calibrated is what the file holds.
    found = predict(made.network(), data.validation())
    logits = torch.from_numpy(np.stack([-found.margins / 2, found.margins / 2], axis=1))
    good = made.calibration.probability(logits).numpy() >= 0.5
    accuracy = (good[found.targets == 1].mean() + (~good)[found.targets == 0].mean()) / 2
    assert report["calibration"]["after"]["accuracy"] == pytest.approx(accuracy)

    # Once more: nothing is trained, the same is written.
    before = path.read_bytes()
    assert run(*command(store, tmp_path, "--json", "--quiet")) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["checkpoint"] == str(path)
    assert err == ""
    assert path.read_bytes() == before

    # Another run has no place there.
    assert run(*command(store, tmp_path, "--unlabelled", "pseudo")) == 1
    assert "unlabelled was 'lsro', is 'pseudo'" in capsys.readouterr().err


def test_training_begins_with_the_weights_of_a_checkpoint(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*command(store, tmp_path / "first", "--unlabelled", "drop")) == 0
    path = tmp_path / "first" / "intervalnet.safetensors"
    first = checkpoint.load(path)
    heard = {**first.training, "data": {**first.training["data"], "recordings": ["Band - One"]}}
    checkpoint.save(path, attrs.evolve(first, training=heard))

    # One step at hardly any rate: from these weights nearly the old loss, from random weights another.
    options = ("--steps", 1, "--validate-every", 1, "--learning-rate", 1e-9)
    assert run(*command(store, tmp_path / "second", *options, "--initial", path)) == 0
    assert run(*command(store, tmp_path / "random", *options)) == 0
    second, random = (checkpoint.load(tmp_path / name / "intervalnet.safetensors") for name in ("second", "random"))
    learnt, begun, chance = (one.training["validation"]["loss"] for one in (first, second, random))
    assert abs(begun - learnt) < abs(chance - learnt) / 2

    assert second.training["config"]["initial"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert second.training["initial"]["variant"] == "intervalnet"
    assert second.training["data"]["recordings"] == ["Band - One"]
    assert random.training["config"]["initial"] is None
    assert "initial" not in random.training

    # A run goes on only with what it was begun with.
    capsys.readouterr()
    assert run(*command(store, tmp_path / "second", *options)) == 1
    assert "initial was" in capsys.readouterr().err


def test_weights_of_another_network_are_no_beginning(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "premixnet.safetensors"
    checkpoint.save(other, checkpoint.Checkpoint.of(new_network("premixnet", "compact", 0), variant="premixnet"))
    assert run(*command(store, tmp_path / "run", "--initial", other)) == 2
    assert "holds premixnet of preset compact, not intervalnet" in capsys.readouterr().err
    assert run(*command(store, tmp_path / "run", "--initial", "intervalnet", "--preset", "large")) == 2
    assert "intervalnet has no preset 'large'" in capsys.readouterr().err
    assert run(*command(store, tmp_path / "run", "--initial", tmp_path / "none")) != 0
    assert str(tmp_path / "none") in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_weights_that_ship_are_called_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    network, begun = first_network("premixnet-lsro", None, 0, initial_file(Path("premixnet-lsro")))
    assert begun is not None
    assert network.preset.name == "rhythm"
    shipped = mk.Registry().create("scorer", "premixnet-lsro")
    assert hashlib.sha256(initial_file(Path("premixnet-lsro")).read_bytes()).hexdigest() in shipped.weights().values()
    for name, weight in network.state_dict().items():
        torch.testing.assert_close(weight, begun.weights[name], check_dtype=False, atol=0, rtol=0)
    # A file of that name is meant first.
    Path("premixnet-lsro").write_bytes(b"mine")
    assert initial_file(Path("premixnet-lsro")) == Path("premixnet-lsro")


def test_an_ensemble_may_be_the_beginning(tmp_path: Path) -> None:
    members = [
        checkpoint.Checkpoint.of(new_network("intervalnet", "compact", seed), variant="intervalnet") for seed in (0, 1)
    ]
    pair = joined(members)
    checkpoint.save(tmp_path / "pair.safetensors", pair, half=False)
    network, begun = first_network("intervalnet", None, 0, tmp_path / "pair.safetensors")
    assert begun is not None
    assert network.preset.name == begun.preset.name == "compact-2"
    for name, weight in network.state_dict().items():
        assert torch.equal(weight, pair.weights[name])


def test_a_dry_run_trains_nothing(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*command(store, tmp_path / "run", "--dry-run", "--json")) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["steps"] == 10
    assert told["parameters"] > 10_000
    assert told["data"]["training"]["test"]["songs"] == 6
    assert run(*command(store, tmp_path / "run", "--dry-run")) == 0
    assert "dry run: 10 steps of intervalnet" in capsys.readouterr().out
    assert not (tmp_path / "run").exists()


def test_a_dry_run_writes_nothing_into_the_store(store: Store, tmp_path: Path) -> None:
    own = Path(shutil.copytree(store.folder, tmp_path / "store", ignore=shutil.ignore_patterns("pitches-*")))
    before = {path.name for path in own.iterdir()}
    words = ("--data", own, *command(store, tmp_path / "run", "--dry-run")[3:])
    assert run("train", *words) == 0
    assert {path.name for path in own.iterdir()} == before
    assert run("train", *(word for word in words if word != "--dry-run")) == 0
    assert {path.name for path in own.iterdir()} > before


def test_more_devices_than_there_are_are_refused(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    for device in ("cuda", "cuda:0"):
        for words in ((), ("--dry-run",)):
            assert run(*command(store, tmp_path / "run", "--device", device, "--devices", 2, *words)) == 2
            assert f"2 devices, but of {device} there is 1 here (give fewer)" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_dry_run_refuses_what_a_run_refuses(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    assert run(*command(store, tmp_path / "run")) == 0
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")}
    for folder, more, said in (
        (tmp_path / "file", (), "cannot write to"),
        (tmp_path / "run", ("--ranking", 1), "ranking was 0.0, is 1.0"),
        (tmp_path / "run", ("--groups", 3), "groups was 2, is 3"),
        (tmp_path / "run", ("--fold", "1/3"), "fold was None, is '1/3'"),
        (tmp_path / "run", ("--shares", "2"), "shares was None, is [2.0]"),
        (tmp_path / "run", ("--protocol", "paper"), "protocol was 'controlled', is 'paper'"),
    ):
        for words in (("--dry-run",), ()):
            assert run(*command(store, folder, *more, *words)) == 1
            assert said in capsys.readouterr().err
    assert run(*command(store, tmp_path / "run", "--dry-run")) == 0
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")} == before
    monkeypatch.setattr(IntervalData, "held_kinds", ("original",))
    for words in (("--dry-run",), ()):
        assert run(*command(store, tmp_path / "other", *words)) == 1
        assert "the validation examples have no negative one" in capsys.readouterr().err


def test_the_record_has_every_setting_of_the_draws(store: Store, tmp_path: Path) -> None:
    assert run(*command(store, tmp_path, "--groups", 3)) == 0
    made = checkpoint.load(tmp_path / "intervalnet.safetensors").training
    report = json.loads((tmp_path / "report.json").read_text())
    for record in (made, report):
        assert record["data"]["groups"] == 3
        assert record["data"]["seed"] == 0
        assert record["data"]["stores"] == [store.fingerprint]
        assert record["threads"] == 1
    assert run(*command(store, tmp_path / "own", "--steps", 1)) == 0
    assert json.loads((tmp_path / "own" / "report.json").read_text())["threads"] >= 1


def test_weights_that_had_the_songs_of_validation_or_test_are_told(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    titles = {record.song: f"Band - {record.song}" for record in store.records}
    monkeypatch.setattr(
        stores, "open_store", lambda folder, write: attrs.evolve(store, source={**store.source, "titles": titles})
    )
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    more = ("--fold", "1/3", "--steps", 1)
    assert run(*command(store, first, *more)) == 0
    assert "had learnt from" not in capsys.readouterr().err
    parts = {number: splits(titles, Fold(number, 3)) for number in (1, 2)}
    heard = {song for song, split in parts[1].items() if split != "test"}
    for folder, words in ((second, ()), (third, ("--dry-run",))):
        again = ("--fold", "2/3", "--steps", 1, "--initial", first / "intervalnet.safetensors")
        assert run(*command(store, folder, *again, *words)) == 0
        said = capsys.readouterr().err
        assert "of the validation, such as 'Band - song-" in said
        assert "songs of the test, such as 'Band - song-" in said
    due = {part: sorted(titles[song] for song in heard if parts[2][song] == part) for part in ("validation", "test")}
    assert checkpoint.load(second / "intervalnet.safetensors").training["initial"]["heard"] == due
    assert json.loads((second / "report.json").read_text())["initial"]["heard"] == due


@pytest.mark.parametrize(
    ("more", "status", "said"),
    [
        (("--variant", "intervalnett"), 2, "no variant is called 'intervalnett' (there are premixnet, "),
        (("--preset", "huge"), 2, "has no preset 'huge' (it has compact)"),
        (("--data", "nowhere"), 1, "nowhere is no store of features"),
        (("--learning-rate", "-1"), 2, "argument --learning-rate: -1 is not a number above 0"),
        (("--save-every", "0"), 2, "argument --save-every: 0 is not a number above 0"),
        (("--average", "1"), 2, "argument --average: 1 is not a number from 0, below 1"),
        (("--ranking", "nan"), 2, "argument --ranking: nan is not a number from 0"),
        (("--fold", "9/100"), 2, "fold 9/100 of 12 songs"),
        (("--device", "tpu"), 2, "device is 'tpu'"),
        (("--precision", "16-mixed"), 2, "give bf16-mixed"),
        (("--fold", "4/3"), 2, "fold 4/3 (give one of two folds or more"),
        (("--shares", "7:3"), 2, "--shares 7:3 (give a number for each --data, such as 7,3)"),
        (("--shares", "7,3"), 2, "2 shares for 1 stores"),
        (("--batches", "families"), 2, "batches of families for intervalnet"),
        (("--variant", "premixnet", "--preset", "rhythm"), 2, "has no spectra of the log-frequency front end of hop"),
        (("--variant", "premixnet", "--preset", "paper"), 2, "has no spectra of the mel front end of hop 512"),
        (("--steps", "none"), 2, "invalid positive value: 'none'"),
    ],
)
def test_mistakes_are_told(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], status: int, said: str
) -> None:
    assert run(*command(store, tmp_path / "run", *more)) == status
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told
    assert not (tmp_path / "run").exists()


def test_bfloat16_without_a_processor_for_it_is_refused(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arithmetic, "has_bfloat16", lambda: False)
    assert run(*command(store, tmp_path / "run", "--precision", "bf16-mixed")) == 2
    assert "a processor without bfloat16 arithmetic" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_help_tells_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("train", "--help") == 0
    told = capsys.readouterr().out
    for option in (
        "--data",
        "--variant",
        "--preset",
        "--seed",
        "--unlabelled",
        "--ranking",
        "--patience",
        "--precision",
    ):
        assert option in told


@pytest.mark.parametrize(
    ("name", "more"), [("train.csv", ()), ("tensorboard", ("--dry-run",)), ("intervalnet.safetensors", ("--dry-run",))]
)
def test_files_of_no_run_are_not_replaced(
    name: str, more: tuple[str, ...], store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_text("mine")
    assert run(*command(store, tmp_path, *more)) == 1
    assert f"{tmp_path} has {name}, but no state.pt of a run that could be resumed" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_results_of_a_run_whose_state_was_deleted_are_kept(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in (".lock", "train.csv"):  # as a run that was killed before its first state
        (tmp_path / file).write_text("")
    assert run(*command(store, tmp_path)) == 0
    (tmp_path / STATE).unlink()
    before = (tmp_path / "intervalnet.safetensors").read_bytes()
    assert run(*command(store, tmp_path)) == 1
    assert "has report.json, intervalnet.safetensors, but no state.pt" in capsys.readouterr().err
    assert (tmp_path / "intervalnet.safetensors").read_bytes() == before


@pytest.mark.parametrize("seed", [2**32, 10**30])
def test_a_seed_that_no_generator_takes_is_refused(
    seed: int, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*command(store, tmp_path, "--seed", seed, "--dry-run")) == 2
    assert f"{seed} is not a whole number from 0 to 4294967295" in capsys.readouterr().err
    with pytest.raises(UsageError, match="seed is 4294967296"):
        TrainingConfig(seed=2**32)


@pytest.mark.parametrize("damage", [b"", None])
def test_measured_intervals_that_are_damaged_are_measured_again(
    damage: bytes | None, store: Store, tmp_path: Path
) -> None:
    own = stores.open_store(Path(shutil.copytree(store.folder, tmp_path / "store")))
    for path in own.folder.glob("pitches-*.npy"):
        path.unlink()
    data = IntervalData([own], "controlled", 0)
    expected = data.batch(0)
    measured = sorted(own.folder.glob("pitches-*.npy"))
    assert measured
    for path in measured:
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2] if damage is None else damage)
    found = IntervalData([own], "controlled", 0).batch(0)
    assert all(torch.equal(part, found.inputs[name]) for name, part in expected.inputs.items())


def test_what_goes_on_from_several_networks_names_the_data_of_each(store: Store, tmp_path: Path) -> None:
    record = {"config": {}, "best_step": 1, "curve": []}
    members = [
        checkpoint.Checkpoint.of(
            new_network("intervalnet", "compact", seed),
            variant="intervalnet",
            training={**record, "data": {"fingerprint": str(seed)}},
        )
        for seed in (1, 2)
    ]
    checkpoint.save(tmp_path / "two.safetensors", joined(members))
    out = tmp_path / "run"
    assert run(*command(store, out, "--initial", tmp_path / "two.safetensors", "--steps", 1)) == 0
    told = json.loads((out / "report.json").read_text())
    assert told["initial"]["members"] == [{"fingerprint": "1"}, {"fingerprint": "2"}]


@pytest.mark.slow
def test_two_processes_train_one_network(store: Store, tmp_path: Path) -> None:
    words = command(store, tmp_path, "--devices", 2, "--groups", 2, "--steps", 2, "--json", "--quiet")
    done = subprocess.run(
        [sys.executable, "-m", "mashkit", *map(str, words)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["steps"] == 2  # one document, because the first process alone writes
    again = subprocess.run(
        [sys.executable, "-m", "mashkit", *map(str, words), "--ranking", "1"],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert again.returncode == 1
    assert again.stderr.count("a run of another configuration: ranking was 0.0, is 1.0") == 1
    assert checkpoint.load(tmp_path / "intervalnet.safetensors").training["config"]["devices"] == 2
