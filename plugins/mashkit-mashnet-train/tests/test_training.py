"""A run learns, leaves nothing to chance, survives being killed, and refuses what would teach nothing."""

from __future__ import annotations

import contextlib
import csv
import importlib.metadata
import importlib.util
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import numpy as np
import pytest
import torch
from scipy.stats import mannwhitneyu
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from mashkit.errors import OptionError, OutputError, UsageError
from mashkit.hookspecs import StageEvent
from mashkit_mashnet_train.training import (
    Predictions,
    TrainingConfig,
    TrainingDiverged,
    TrainingError,
    TrainingResult,
    arithmetic,
    metrics,
    predict,
    train,
)
from mashkit_mashnet_train.training.averaging import averaged
from mashkit_mashnet_train.training.config import learning_rate
from mashkit_mashnet_train.training.state import STATE

HERE = Path(__file__).parent


def _toy() -> ModuleType:
    """Import toy.py, under a name that the processes of tests know it by too."""
    spec = importlib.util.spec_from_file_location("toy", HERE / "toy.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["toy"] = module
    spec.loader.exec_module(module)
    return module


toy = _toy()
ToyData, ToyNetwork = toy.ToyData, toy.ToyNetwork
NAN = float("nan")
CONFIG = TrainingConfig(
    steps=60, validation_interval=20, learning_rate=1e-2, threads=1, unlabelled="lsro", ranking=0.3, workers=0
)


def run(folder: Path, data: Any = None, config: TrainingConfig = CONFIG, **changes: Any) -> TrainingResult:
    return train(ToyNetwork(), data or ToyData(), attrs.evolve(config, **changes), folder)


def same(one: TrainingResult, other: TrainingResult) -> bool:
    return (
        one.curve == other.curve
        and one.best == other.best
        and one.steps == other.steps
        and one.weights.keys() == other.weights.keys()
        and all(torch.equal(one.weights[name], other.weights[name]) for name in one.weights)
        and np.array_equal(one.validation.margins, other.validation.margins)
    )


def logs(folder: Path) -> tuple[str, str, dict[str, list[tuple[int, float]]]]:
    board = EventAccumulator(str(folder / "tensorboard"))
    board.Reload()
    scalars = {name: [(one.step, one.value) for one in board.Scalars(name)] for name in board.Tags()["scalars"]}
    return (folder / "train.csv").read_text(), (folder / "validation.csv").read_text(), scalars


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TrainingResult]:
    """A run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, run(folder)


# -------------------------------------------------------------------------------------------------------- learning
def test_it_learns(tmp_path: Path) -> None:
    network = ToyNetwork()
    before = metrics(predict(network.eval(), ToyData().validation()))
    heard: list[StageEvent] = []
    result = train(network, ToyData(), CONFIG, tmp_path, heard.append)
    assert result.best["auc"] is not None
    assert before["auc"] is not None
    assert result.best["auc"] > max(0.9, before["auc"])
    assert result.best["loss"] < before["loss"]
    assert [event.done for event in heard if event.stage == "train"] == list(range(1, 61))
    assert [event.done for event in heard if event.stage == "validate"] == [1, 2, 3]
    # Afterwards the network is the best one, ready to be used.
    assert not network.training
    assert all(torch.equal(value, result.weights[name]) for name, value in network.state_dict().items())
    assert np.array_equal(predict(network, ToyData().validation()).margins, result.validation.margins)
    assert metrics(result.validation) == {name: result.best[name] for name in before}


def test_the_best_is_by_auc_and_ties_by_loss(whole: tuple[Path, TrainingResult]) -> None:
    _, result = whole
    assert result.best == max(result.curve, key=lambda row: (row["auc"], -row["loss"]))


def test_the_same_seed_gives_the_same_and_another_does_not(whole: tuple[Path, TrainingResult], tmp_path: Path) -> None:
    assert same(run(tmp_path / "again"), whole[1])
    assert not same(run(tmp_path / "other", seed=1), whole[1])
    assert not same(run(tmp_path / "data", ToyData(seed=1)), whole[1])


def test_workers_change_nothing(whole: tuple[Path, TrainingResult], tmp_path: Path) -> None:
    assert same(run(tmp_path, workers=2), whole[1])


def test_training_stops_early(tmp_path: Path) -> None:
    result = run(tmp_path, steps=400, validation_interval=5, patience=3, learning_rate=0.1)
    assert result.stopped == "patience"
    assert result.steps < 400
    assert [row["step"] for row in result.curve].index(result.best["step"]) == len(result.curve) - 4
    assert same(run(tmp_path, steps=400, validation_interval=5, patience=3, learning_rate=0.1), result)


def test_bfloat16_learns(tmp_path: Path) -> None:
    auc = run(tmp_path, precision="bf16-mixed").best["auc"]
    assert auc is not None
    assert auc > 0.9


def test_auto_takes_what_a_trial_found_faster_and_goes_on_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arithmetic, "has_bfloat16", lambda: True)  # it is computed here too, but slower
    seconds = {("32-true", False): 1.0, ("32-true", True): 0.9, ("bf16-mixed", False): 0.7, ("bf16-mixed", True): 0.6}
    asked = []

    def measured(config: Any, network: Any, batch: Any, *way: Any) -> float:
        asked.append(way)
        return seconds[way]

    monkeypatch.setattr(arithmetic, "_cpu_seconds", measured)
    whole = run(tmp_path / "whole", precision="auto")
    assert asked == list(seconds)
    assert (whole.record["config"]["precision"], whole.record["config"]["channels_last"]) == ("bf16-mixed", True)
    assert whole.record["trial"] == {
        "32-true": 1.0, "32-true, channels last": 0.9, "bf16-mixed": 0.7, "bf16-mixed, channels last": 0.6
    }  # fmt: skip

    # A resumed run goes on with it, whatever would be faster now, and is the whole run to the bit.
    run(tmp_path / "parts", precision="auto", steps=20)
    seconds["32-true", False] = 0.1
    parts = run(tmp_path / "parts", precision="auto")
    assert same(parts, whole)
    assert len(asked) == 2 * len(seconds)
    assert parts.record["config"] == whole.record["config"]
    assert parts.record["trial"] == whole.record["trial"]
    # What was chosen may be said, anything else may not.
    assert same(run(tmp_path / "parts", precision="bf16-mixed", channels_last=True), whole)
    with pytest.raises(TrainingError, match="precision was 'bf16-mixed', is '32-true'; channels_last was True"):
        run(tmp_path / "parts")


def test_a_small_advantage_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    times = {"32-true": 1.0, "bf16-mixed": 5.0}
    monkeypatch.setattr(arithmetic, "_cpu_seconds", lambda c, n, b, precision, last: times[precision] - 0.04 * last)
    found = run(tmp_path, precision="auto")
    assert (found.record["config"]["precision"], found.record["config"]["channels_last"]) == ("32-true", False)


def test_the_trial_itself_leaves_no_trace(tmp_path: Path) -> None:
    """The trial that is not replaced: it runs, and a run that keeps plain float32 is the run without a trial."""
    network, chance = ToyNetwork(), torch.get_rng_state()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    config, found = arithmetic.chosen(attrs.evolve(CONFIG, precision="auto"), network, ToyData().batch(0))
    assert config.precision in ("32-true", "bf16-mixed")
    assert {"32-true", "32-true, channels last"} <= found.keys()
    assert all(seconds > 0 for seconds in found.values())
    assert torch.equal(torch.get_rng_state(), chance)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(weight.grad is None for weight in network.parameters())


def test_a_state_of_before_the_trial_is_gone_on_with(whole: tuple[Path, TrainingResult], tmp_path: Path) -> None:
    run(tmp_path, steps=20)
    path = tmp_path / STATE
    state = torch.load(path, weights_only=True)
    for name in ("trial", "waited", "average", "summary"):
        del state[name]
    for name in ("channels_last", "average"):
        del state["config"][name]
    torch.save(state, path)
    assert same(run(tmp_path, precision="auto"), whole[1])


def test_the_record_says_what_was_done(whole: tuple[Path, TrainingResult]) -> None:
    record = whole[1].record
    assert record["config"]["learning_rate"] == 1e-2
    assert record["data"]["fingerprint"] == ToyData().fingerprint
    assert record["data"]["sources"] == ["made up"]
    assert record["versions"]["torch"] == importlib.metadata.version(
        "torch"
    )  # a CUDA build's __version__ adds its own part
    assert len(record["curve"]) == 3


# ---------------------------------------------------------------------------------------------------------- metrics
def test_auc_is_that_of_mann_and_whitney() -> None:
    source = np.random.default_rng(0)
    values = source.integers(-5, 5, 60).astype(float)  # whole numbers: with ties
    targets = source.choice([0.0, 1.0, NAN], 60)
    found = metrics(Predictions(values, targets, np.arange(60) // 6))
    positive, negative = values[targets == 1], values[targets == 0]
    assert found["auc"] == pytest.approx(
        mannwhitneyu(positive, negative).statistic / len(positive) / len(negative), abs=1e-12
    )
    assert found["accuracy_positive"] == np.mean(positive >= 0)
    assert found["accuracy_negative"] == np.mean(negative < 0)


def test_groups_are_compared_within_themselves() -> None:
    # The second group lies below the first altogether: only within them is the positive above.
    values = np.array([3.0, 2.0, 1.0, -1.0, -2.0, -1.0])
    found = metrics(Predictions(values, np.array([1, 0, NAN, 1, 0, NAN]), np.array([0, 0, 0, 1, 1, 1])))
    assert found["over_negative"] == 1
    assert found["over_unlabelled"] == 0.75
    assert found["auc"] == 0.75
    assert found["good_unlabelled"] == 0.5


def test_what_there_is_nothing_of_is_none() -> None:
    found = metrics(Predictions(np.array([1.0, 2.0]), np.array([1.0, 1.0]), np.array([0, 1])))
    assert found["auc"] is None
    assert found["accuracy_negative"] is None
    assert found["over_negative"] is None


# --------------------------------------------------------------------------------------------------------- resuming
KILLED = """
import json, os, signal, sys, time
from pathlib import Path
import lightning_fabric, torch.utils.tensorboard
from toy import ToyData, ToyNetwork
from mashkit_mashnet_train.training import TrainingConfig, train
from mashkit_mashnet_train.training.state import STATE

def killed(folder, config, at_step=None, after_s=None):
    # A child a kill: importing torch takes longer than training does here.
    child = os.fork()
    if child == 0:
        def notify(event):
            if event.stage == "train" and event.done == at_step:
                os.kill(os.getpid(), signal.SIGKILL)
        train(ToyNetwork(), ToyData(), config, folder, notify)
        os._exit(0)
    if after_s is not None:
        while not (folder / STATE).exists():
            if os.waitpid(child, os.WNOHANG)[0]:
                return False
            time.sleep(0.001)
        time.sleep(after_s)
        os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1] == signal.SIGKILL

for run in json.loads(sys.argv[1]):
    for kill in run["kills"]:
        assert killed(Path(run["folder"]), TrainingConfig(**run["config"]), **kill), (run["folder"], kill)
"""
AT_STEPS = (3, 13, 14, 21, 40, 59)
"""Before anything is saved, right before a save and after it, within a row of the log, at a validation, at the end."""


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of runs that were killed many times."""
    root = tmp_path_factory.mktemp("killed")
    steps = [{"at_step": step} for step in AT_STEPS]
    runs = [
        # Saving after every step, most moments lie within a save; there are so many steps that none is the last.
        ("moments", {"checkpoint_steps": 1, "steps": 6000}, [{"after_s": after} for after in (0.005, 0.02, 0.05)]),
        ("steps-0", {"checkpoint_steps": 7}, steps),
        ("steps-1", {"checkpoint_steps": 7, "workers": 1}, steps),
    ]
    told = [
        {"folder": str(root / name), "config": attrs.evolve(CONFIG, **changes).to_dict(), "kills": kills}
        for name, changes, kills in runs
    ]
    subprocess.run(
        [sys.executable, "-c", KILLED, json.dumps(told)],
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE)},
        timeout=600,
    )
    return root


@pytest.mark.parametrize("name", ["steps-0", "steps-1"])
def test_killed_at_any_step_it_ends_the_same(whole: tuple[Path, TrainingResult], killed: Path, name: str) -> None:
    folder, result = whole
    assert torch.load(killed / name / STATE, weights_only=True)["step"] == 56
    assert same(run(killed / name), result)
    assert logs(killed / name) == logs(folder)
    rows = csv.DictReader((killed / name / "train.csv").read_text().splitlines())
    assert [int(row["step"]) for row in rows] == list(range(10, 61, 10))


def test_killed_at_any_moment_it_ends_the_same(killed: Path, tmp_path: Path) -> None:
    steps = 20 * math.ceil(torch.load(killed / "moments" / STATE, weights_only=True)["step"] / 20 + 1)
    assert same(run(killed / "moments", steps=steps), run(tmp_path, steps=steps))
    assert logs(killed / "moments") == logs(tmp_path)


def test_a_finished_run_is_not_trained_again(whole: tuple[Path, TrainingResult]) -> None:
    folder, result = whole
    before = logs(folder)
    assert same(run(folder, ToyData()), result)
    assert logs(folder) == before


def test_a_run_can_be_made_longer(whole: tuple[Path, TrainingResult], tmp_path: Path) -> None:
    run(tmp_path, steps=40)
    assert same(run(tmp_path), whole[1])
    run(tmp_path / "odd", steps=30)
    with pytest.raises(TrainingError, match=r"between two validations.*multiple"):
        run(tmp_path / "odd")
    with pytest.raises(TrainingError, match="60 steps, more than 20"):
        run(tmp_path, steps=20)


def test_a_rate_that_falls_knows_where_it_ends(tmp_path: Path) -> None:
    cosine = attrs.evolve(CONFIG, schedule="cosine", checkpoint_steps=7)
    rates = [learning_rate(cosine, step) for step in range(cosine.steps)]
    top = rates.index(max(rates))
    assert 0 < rates[0] < rates[top] == pytest.approx(cosine.learning_rate)
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert rates[-1] < cosine.learning_rate / 100
    undisturbed = run(tmp_path / "whole", config=cosine)

    def stop(event: StageEvent) -> None:
        if event.stage == "train" and event.done == 33:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(ToyNetwork(), ToyData(), cosine, tmp_path / "parts", stop)
    with pytest.raises(TrainingError, match="steps was 60, is 80"):
        run(tmp_path / "parts", config=cosine, steps=80)
    assert same(run(tmp_path / "parts", config=cosine), undisturbed)


def test_the_average_is_that_of_torch() -> None:
    torch.manual_seed(0)
    network, decay = torch.nn.BatchNorm1d(3), 0.5
    # From step 8 on, the decay is the one that is given.
    golden = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
    average: dict[str, torch.Tensor] = {}
    for step in range(8, 16):
        with torch.no_grad():
            network.weight.add_(torch.randn(3))
        network(torch.randn(5, 3))
        golden.update_parameters(network)
        average = averaged(average, network, decay, step)
    for name in ("weight", "bias", "running_mean", "running_var"):
        assert torch.allclose(average[name], golden.module.state_dict()[name]), name
    assert average["num_batches_tracked"] == 8
    assert not torch.allclose(average["weight"], network.weight)


def test_the_first_weights_are_soon_forgotten() -> None:
    network = torch.nn.Linear(1, 1)
    average = averaged({}, network, 0.99, 0)
    with torch.no_grad():
        network.weight.add_(1.0)
    before = network.weight - 1
    for step in range(1, 41):
        average = averaged(average, network, 0.99, step)
    # A constant decay would leave 0.99 ** 40, or 67 %, of them.
    assert torch.all(average["weight"] - before > 0.999)


def test_an_average_is_kept_instead_of_the_last_weights(whole: tuple[Path, TrainingResult], tmp_path: Path) -> None:
    seen: list[dict[str, torch.Tensor]] = []
    network, config = ToyNetwork(), attrs.evolve(CONFIG, average=0.8, checkpoint_steps=7)

    def see(event: StageEvent) -> None:
        if event.stage == "train":
            seen.append({name: value.clone() for name, value in network.state_dict().items()})

    result = train(network, ToyData(), config, tmp_path / "whole", see)
    # Training itself is the same, step by step.
    assert logs(tmp_path / "whole")[0] == logs(whole[0])[0]
    average: dict[str, torch.Tensor] = {}
    for step, weights in enumerate(seen[: int(result.best["step"] or 0)], 1):
        now = ToyNetwork()
        now.load_state_dict(weights)
        average = averaged(average, now, 0.8, step)
    assert all(torch.equal(average[name], result.weights[name]) for name in average)
    assert not all(torch.equal(seen[-1][name], average[name]) for name in average)

    def stop(event: StageEvent) -> None:
        if event.stage == "train" and event.done == 33:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(ToyNetwork(), ToyData(), config, tmp_path / "parts", stop)
    with pytest.raises(TrainingError, match=r"average was 0\.8, is 0\.9"):
        run(tmp_path / "parts", config=config, average=0.9)
    assert same(run(tmp_path / "parts", config=config), result)


def test_an_interrupted_run_is_not_cut_short(tmp_path: Path) -> None:
    def stop(event: StageEvent) -> None:
        if event.stage == "train" and event.done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(ToyNetwork(), ToyData(), attrs.evolve(CONFIG, checkpoint_steps=5), tmp_path, stop)
    state = (tmp_path / STATE).read_bytes()
    with pytest.raises(TrainingError, match=r"interrupted after step 5.*more steps, such as the 60"):
        run(tmp_path, steps=5)
    assert (tmp_path / STATE).read_bytes() == state
    assert run(tmp_path, steps=6).steps == 6


def test_another_run_is_not_resumed(tmp_path: Path) -> None:
    run(tmp_path, steps=20)
    state = (tmp_path / STATE).read_bytes()
    with pytest.raises(TrainingError, match=r"learning_rate was 0.01, is 0.1.*another folder"):
        run(tmp_path, learning_rate=0.1)
    with pytest.raises(TrainingError, match="other data"):
        run(tmp_path, ToyData(seed=5))
    with pytest.raises(
        TrainingError, match=r"other rules: other training; other validation; fold was None, is '1/5' \("
    ):
        run(tmp_path, ToyData(songs=12, fold="1/5"))
    with pytest.raises(TrainingError, match="another network"):
        train(ToyNetwork(width=9), ToyData(), CONFIG, tmp_path)
    assert (tmp_path / STATE).read_bytes() == state


@pytest.mark.parametrize("content", [b"", b"not a state", b"\x80\x04cos\nsystem\n"])
def test_a_foreign_state_is_refused_and_left(tmp_path: Path, content: bytes) -> None:
    (tmp_path / STATE).write_bytes(content)
    with pytest.raises(TrainingError, match=r"state\.pt is not the state of a training run.*remove it"):
        run(tmp_path)
    assert (tmp_path / STATE).read_bytes() == content


@pytest.mark.parametrize("change", [{"format": 2}, {"recent": None}])
def test_a_state_of_another_version_is_refused_and_left(tmp_path: Path, change: dict[str, Any]) -> None:
    run(tmp_path, steps=20)
    state = torch.load(tmp_path / STATE, weights_only=True) | change
    torch.save({name: value for name, value in state.items() if value is not None}, tmp_path / STATE)
    content = (tmp_path / STATE).read_bytes()
    with pytest.raises(TrainingError, match=r"state\.pt is not a state that this version can resume.*remove it"):
        run(tmp_path)
    assert (tmp_path / STATE).read_bytes() == content


def test_a_pickle_runs_nothing(tmp_path: Path) -> None:
    class Malicious:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "owned"),)

    torch.save({"format": 1, "step": Malicious()}, tmp_path / STATE)
    with pytest.raises(TrainingError, match="not the state of a training run"):
        run(tmp_path)
    assert not (tmp_path / "owned").exists()


def test_two_do_not_train_in_one_folder(tmp_path: Path) -> None:
    said = []

    def second(event: StageEvent) -> None:
        child = os.fork()
        if child == 0:
            try:
                run(tmp_path, steps=1)
            except TrainingError as error:
                os._exit(42 if "another process is training" in str(error) else 1)
            os._exit(0)
        said.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

    train(ToyNetwork(), ToyData(), attrs.evolve(CONFIG, steps=1), tmp_path, second)
    assert said == [42, 42]


# --------------------------------------------------------------------------------------------------------- bad input
def test_nan_stops_with_the_last_good_state(tmp_path: Path) -> None:
    with pytest.raises(TrainingDiverged, match=r"batch 33 is not finite after step 33.*lower learning rate"):
        run(tmp_path, ToyData(broken_at=33), checkpoint_steps=10)
    state = torch.load(tmp_path / STATE, weights_only=True)
    assert state["step"] == 30
    assert all(torch.isfinite(value).all() for value in state["model"].values())


def test_weights_that_are_no_numbers_are_not_saved(tmp_path: Path) -> None:
    network = ToyNetwork()
    # A gradient that is not finite although the loss is: the square root of something that is 0.
    network.layers[0].weight.register_hook(lambda gradient: gradient * NAN)
    with pytest.raises(TrainingDiverged, match="not finite"):
        train(network, ToyData(), attrs.evolve(CONFIG, checkpoint_steps=1), tmp_path)
    assert not (tmp_path / STATE).exists()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (ToyData(targets=(0.0, 0.0, NAN)), "validation examples have no positive one"),
        (ToyData(targets=(1.0, 1.0, NAN)), "validation examples have no negative one"),
        (ToyData(targets=(NAN, NAN, NAN)), "validation examples have no positive and no negative one"),
        (
            ToyData(targets=(1.0, 1.0, NAN), fold="2/5"),
            r"validation examples of fold 2/5 have no negative.*fewer folds",
        ),
        (ToyData(songs=1), "training part of the data has 1 song"),
    ],
)
def test_data_that_teach_nothing_are_refused(tmp_path: Path, data: Any, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        run(tmp_path, data)
    assert not (tmp_path / STATE).exists()


def test_data_with_one_class_in_training_are_refused(tmp_path: Path) -> None:
    class OneClass(ToyData):
        def batch(self, step: int) -> Any:
            return attrs.evolve(super().batch(step), targets=torch.ones(24))

    with pytest.raises(TrainingError, match="training examples have no negative one"):
        run(tmp_path, OneClass())


def test_errors_of_the_data_come_home_from_workers(tmp_path: Path) -> None:
    class Lost(ToyData):
        def batch(self, step: int) -> Any:
            if step == 12:
                raise OptionError("clip 7 is gone", "add it again")
            return super().batch(step)

    with pytest.raises(OptionError, match=r"^clip 7 is gone \(add it again\)$"):
        run(tmp_path, Lost(), workers=1)


def fill_up(path: Path) -> None:
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as handle:
        while True:
            handle.write(bytes(4096))


def test_a_full_disk_loses_nothing(whole: tuple[Path, TrainingResult], tmp_path: Path) -> None:
    disk = tmp_path / "small"
    disk.mkdir()
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no file system can be mounted here: that takes root")
    try:

        def fill(event: StageEvent) -> None:
            if event.stage == "train" and event.done == 15:
                fill_up(disk / "other")

        config = attrs.evolve(CONFIG, checkpoint_steps=10)
        with pytest.raises(OutputError, match="free space"):
            train(ToyNetwork(), ToyData(), config, disk, fill)
        assert torch.load(disk / STATE, weights_only=True)["step"] == 10
        (disk / "other").unlink()
        assert same(run(disk), whole[1])
        assert logs(disk) == logs(whole[0])
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(OutputError, match="run"):
        run(tmp_path / "run")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps is 0"),
        ({"learning_rate": NAN}, "learning_rate is nan"),
        ({"unlabelled": "guess"}, "give one of drop, lsro, pseudo"),
        ({"ranking": -1.0}, "ranking is -1.0"),
        ({"average": 1.0}, "average is 1.0"),
        ({"average": NAN}, "from 0 to below 1"),
        ({"patience": 0}, "patience is 0"),
        ({"workers": -1}, "workers is -1"),
        ({"seed": -1}, "seed is -1"),
        ({"precision": "16-mixed"}, "give bf16-mixed"),
        ({"precision": "8"}, "give one of auto"),
    ],
)
def test_a_configuration_without_sense_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        TrainingConfig(**options)
