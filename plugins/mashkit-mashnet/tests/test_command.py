"""`mashkit train`: from a store to a checkpoint that scores, with a report; mistakes are told."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import torch

from mashkit.cli import main
from mashkit.types import Analysis, Key, Role
from mashkit_mashnet import checkpoint, examples
from mashkit_mashnet.batches import Batch
from mashkit_mashnet.stems import ONSET_BANDS, WIDE, StemFeatures
from mashkit_mashnet.store import Record, StoreWriter
from mashkit_mashnet.training import predict


@attrs.frozen
class Spectra:
    """Stems that are good together where the same bands sound in all three."""

    seed: int = 0
    fingerprint: str = "spectra"
    summary: Mapping[str, Any] = attrs.field(
        default={"training": {"made up": {"songs": 8}}, "validation": {"made up": {"songs": 2}}}
    )

    def batch(self, step: int) -> Batch:
        return self._made(step, 4)

    def validation(self) -> Sequence[Batch]:
        return [self._made(-1, 12)]

    def _made(self, number: int, groups: int) -> Batch:
        source = torch.Generator().manual_seed(number + 1000 * self.seed + 1)
        targets = torch.tensor([1.0, 0.0, float("nan")]).repeat(groups)
        spectra = torch.rand(len(targets), 3, 128, 16, generator=source) * 0.1
        for index, target in enumerate(targets):
            bands = torch.randint(0, 12, (3,), generator=source)
            for role in range(3):
                spectra[index, role, 10 * int(bands[0 if target == 1 else role]) :][:10] += 0.9
        groups_ = torch.arange(groups).repeat_interleave(3)
        return Batch({"spectra": spectra, "lengths": torch.full((len(targets),), 16)}, targets, groups_)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    writer = StoreWriter(folder, {"recipe": "test"})
    quiet = StemFeatures(np.zeros((20, WIDE.bands), np.uint8), np.zeros((40, len(ONSET_BANDS)), np.uint8))
    beats = np.arange(0, 1, 0.5)
    analysis = Analysis(key=Key(0, "major"), tempo=120.0, beats=beats, downbeats=beats[:1])
    writer.add(Record(id="a", song="a", duration=1.0, analysis=analysis), dict.fromkeys(Role, quiet))
    writer.close()
    return folder


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch) -> None:
    def made(stores: Any, variant: str, preset: Any, protocol: str, seed: int) -> Spectra:
        assert [len(one) for one in stores] == [1]
        return Spectra(seed)

    monkeypatch.setattr(examples, "training_data", made, raising=False)


def run(*arguments: object) -> int:
    try:
        return main([str(argument) for argument in arguments])
    except SystemExit as leaving:  # argparse
        return int(leaving.code or 0)


def command(store: Path, folder: Path, *more: object) -> tuple[object, ...]:
    return (
        "train", "--data", store, "--variant", "premixnet-lsro", "-o", folder, "--steps", 20, "--validate-every", 10,
        "--device", "cpu", "--threads", 1, "--workers", 0, "--learning-rate", 1e-3, *more,
    )  # fmt: skip


@pytest.mark.usefixtures("data")
def test_it_trains_calibrates_and_reports(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*command(store, tmp_path)) == 0
    out, err = capsys.readouterr()
    path = tmp_path / "premixnet-lsro.safetensors"
    assert f"--scorer premixnet-lsro -O scorer.weights={path}" in out
    assert "train 20/20 done: loss" in err
    assert "validate 2/2 done: step 20: AUC" in err

    made = checkpoint.load(path)
    assert made.variant == "premixnet-lsro"
    assert made.preset.name == "compact"
    assert made.training["config"]["unlabelled"] == "lsro"
    assert made.training["data"]["fingerprint"] == "spectra"
    assert [row["step"] for row in made.training["curve"]] == [10, 20]

    report = json.loads((tmp_path / "report.json").read_text())
    assert made.calibration is not None
    assert report["temperature"] == made.calibration.temperature
    assert report["size"] == path.stat().st_size
    assert set(report["calibration"]["across_vocals"]) == {"none", "temperature", "platt", "isotonic"}
    # What was calibrated is what the file holds.
    (batch,) = Spectra().validation()
    margins = predict(made.network(), [batch]).margins
    known = ~np.isnan(batch.targets.numpy())
    probability = made.calibration.probability(torch.from_numpy(np.stack([-margins / 2, margins / 2], axis=1)))
    accuracy = (probability[batch.targets == 1] >= 0.5).double().mean() + (
        probability[batch.targets == 0] < 0.5
    ).double().mean()
    assert report["calibration"]["after"]["accuracy"] == pytest.approx(float(accuracy) / 2)
    assert known.sum() == 24

    # Once more: nothing is trained, the same is written.
    before = path.read_bytes()
    assert run(*command(store, tmp_path, "--json", "--quiet")) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["checkpoint"] == str(path)
    assert err == ""
    assert path.read_bytes() == before


@pytest.mark.usefixtures("data")
def test_another_run_in_the_folder_is_refused(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*command(store, tmp_path, "--steps", 1)) == 0
    assert run(*command(store, tmp_path, "--unlabelled", "pseudo")) == 1
    assert "unlabelled was 'lsro', is 'pseudo'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "status", "said"),
    [
        (("--variant", "premixnett"), 2, "no variant is called 'premixnett' (there are premixnet, "),
        (("--preset", "huge"), 2, "has no preset 'huge' (it has paper, compact)"),
        (("--data", "nowhere"), 1, "nowhere is no store of features"),
        (("--learning-rate", "-1"), 2, "learning_rate is -1.0 (give a number above 0)"),
        (("--device", "tpu"), 2, "device is 'tpu'"),
        (("--precision", "16-mixed"), 2, "give bf16-mixed"),
        (("--steps", "none"), 2, "invalid positive value: 'none'"),
    ],
)
def test_mistakes_are_told(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], status: int, said: str
) -> None:
    assert run(*command(store, tmp_path / "run", *more)) == status
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told
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
