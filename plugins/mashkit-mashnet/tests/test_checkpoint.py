"""A checkpoint comes back as it was, says what it is, and is refused when it is anything else."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import safetensors
import safetensors.torch
import torch

from mashkit.errors import OptionError, OutputError, UsageError
from mashkit.networks.checkpoints import CheckpointError
from mashkit_mashnet import checkpoint as module
from mashkit_mashnet.checkpoint import ARCHITECTURES, VARIANTS, Calibration, Checkpoint, load, save
from mashkit_mashnet.frontend import FrontEnd
from mashkit_mashnet.networks import COMPACT, MixNet, MixPreset, PreMixNet

TINY = MixPreset(
    name="tiny",
    filters=(2, 2, 3, 3),
    block_filters=5,
    features=4,
    stride=2,
    front_end=FrontEnd(bands=12, high_hz=65.406 * 2 ** (11 / 24)),
)
RECORD = {"seed": 7, "metrics": {"auc": 0.9}, "curve": [0.7, 0.6], "data": {"fingerprint": "abc"}}


@pytest.fixture
def made() -> MixNet:
    torch.manual_seed(0)
    made = PreMixNet(TINY)
    made(torch.rand(4, 3, 12, 40), torch.full((4,), 40))  # statistics that are not the initial ones
    return made.eval()


@pytest.fixture
def checkpoint(made: MixNet) -> Checkpoint:
    return Checkpoint.of(
        made, variant="premixnet-lsro", calibration=Calibration(temperature=1.7, bias=-0.2), training=RECORD
    )


@pytest.fixture
def path(tmp_path: Path, checkpoint: Checkpoint) -> Path:
    save(tmp_path / "good.safetensors", checkpoint)
    return tmp_path / "good.safetensors"


def logits(network: torch.nn.Module) -> torch.Tensor:
    x = torch.rand(2, 3, 12, 40, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        found: torch.Tensor = network(x, torch.full((2,), 40))
    return found


def rewritten(path: Path, change: Any = None, tensors: Any = None) -> Path:
    """The same file with another description, or other tensors."""
    with safetensors.safe_open(path, "pt") as file:
        described = json.loads(file.metadata()["mashkit-mashnet"])
        kept = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if change is not None:
        change(described)
    if tensors is not None:
        tensors(kept)
    safetensors.torch.save_file(kept, path, {"mashkit-mashnet": json.dumps(described)})
    return path


# ---------------------------------------------------------------------------------------------------- comes back as is
def test_a_path_may_be_text(tmp_path: Path, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save("text.safetensors", checkpoint)
    assert load("text.safetensors").variant == checkpoint.variant
    for call in (lambda path: save(path, checkpoint), load):
        with pytest.raises(UsageError, match="path is 3, of type int"):
            call(3)  # type: ignore[no-untyped-call]


def test_in_single_precision_it_comes_back_to_the_bit(tmp_path: Path, checkpoint: Checkpoint, made: MixNet) -> None:
    save(tmp_path / "one.safetensors", checkpoint, half=False)
    back = load(tmp_path / "one.safetensors")
    for field in ("variant", "architecture", "preset", "calibration", "training"):
        assert getattr(back, field) == getattr(checkpoint, field)
    assert back.weights.keys() == checkpoint.weights.keys()
    assert all(torch.equal(back.weights[name], tensor) for name, tensor in checkpoint.weights.items())
    assert torch.equal(logits(back.network()), logits(made))


def test_half_precision_costs_half_a_thousandth(path: Path, checkpoint: Checkpoint, made: MixNet) -> None:
    back = load(path)
    for name, tensor in back.weights.items():
        assert tensor.dtype == (
            torch.float16 if name.endswith((".weight", ".bias")) else checkpoint.weights[name].dtype
        )
        torch.testing.assert_close(tensor.float(), checkpoint.weights[name].float(), rtol=2**-11, atol=2**-24)
    network = back.network()
    assert not network.training
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
    torch.testing.assert_close(logits(network), logits(made), atol=5e-3, rtol=5e-3)


def test_what_is_measured_before_saving_is_what_is_loaded(path: Path, checkpoint: Checkpoint) -> None:
    assert torch.equal(logits(checkpoint.halved().network()), logits(load(path).network()))


def test_the_same_checkpoint_is_the_same_bytes(tmp_path: Path, path: Path, checkpoint: Checkpoint) -> None:
    save(tmp_path / "again.safetensors", checkpoint)
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()
    save(tmp_path / "third.safetensors", load(path))
    assert (tmp_path / "third.safetensors").read_bytes() == path.read_bytes()


def test_a_checkpoint_keeps_its_weights_while_training_goes_on(made: MixNet, checkpoint: Checkpoint) -> None:
    before = logits(checkpoint.network())
    with torch.no_grad():
        made.output.bias.add_(3.0)
    assert torch.equal(logits(checkpoint.network()), before)


def test_loading_draws_nothing_from_the_callers_random_generator(path: Path) -> None:
    torch.manual_seed(5)
    due = torch.rand(3)
    torch.manual_seed(5)
    load(path).network()
    assert torch.equal(torch.rand(3), due)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_has_an_architecture_of_that_name(variant: str) -> None:
    kind = module.architecture(VARIANTS[variant])
    assert kind.architecture == VARIANTS[variant]
    assert VARIANTS[variant] in ARCHITECTURES


@pytest.mark.parametrize("variant", ["premixnet", "postmixnet"])
def test_compact_is_small_on_disk(tmp_path: Path, variant: str) -> None:
    with torch.device("cpu"):
        network = module.architecture(VARIANTS[variant])(COMPACT)
    save(tmp_path / "compact.safetensors", Checkpoint.of(network, variant=variant))
    assert (tmp_path / "compact.safetensors").stat().st_size < 8_000_000


# --------------------------------------------------------------------------------------------------------- calibration
def test_calibration_is_the_formula() -> None:
    found = Calibration(temperature=2.0, bias=0.5).probability(torch.tensor([[1.0, 4.0], [0.0, 0.0], [3.0, -5.0]]))
    torch.testing.assert_close(found, torch.sigmoid(torch.tensor([2.0, 0.5, -3.5], dtype=torch.float64)))


def test_uncalibrated_is_the_softmax_of_the_paper() -> None:
    some = torch.randn(20, 2, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(Calibration().probability(some).float(), some.softmax(1)[:, 1])


@pytest.mark.parametrize("wrong", [{"temperature": 0}, {"temperature": -1}, {"temperature": "nan"}, {"bias": "inf"}])
def test_calibrations_that_are_none(wrong: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match="calibration"):
        Calibration(**wrong)


# ------------------------------------------------------------------------------------------------------------- refused
def assert_refused(path: Path, problem: str) -> None:
    with pytest.raises(CheckpointError, match=problem) as caught:
        load(path)
    assert caught.value.path == path
    assert str(path) in str(caught.value)
    assert caught.value.fix
    assert pickle.loads(pickle.dumps(caught.value)).problem == caught.value.problem  # noqa: S301 — our own


def test_missing(tmp_path: Path) -> None:
    assert_refused(tmp_path / "none.safetensors", "cannot be read: No such file")
    assert_refused(tmp_path, "cannot be read: Is a directory")


class Trap:
    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("a pickle was read",))


def test_pickled_is_not_read(tmp_path: Path) -> None:
    for protocol in range(2, 6):
        (tmp_path / "model.ckpt").write_bytes(pickle.dumps(Trap(), protocol))
        assert_refused(tmp_path / "model.ckpt", "pickled")
    torch.save({"state_dict": {"x": torch.zeros(1)}}, tmp_path / "model.pt")
    assert_refused(tmp_path / "model.pt", "pickled")
    (tmp_path / "model.safetensors").write_bytes((tmp_path / "model.pt").read_bytes())
    assert_refused(tmp_path / "model.safetensors", "pickled")
    (tmp_path / "old.ckpt").write_bytes(pickle.dumps(Trap(), 0))
    assert_refused(tmp_path / "old.ckpt", "not a safetensors file")


@pytest.mark.parametrize("content", [b"", b"RIFF....WAVE", b"{}", b"\xff" * 100])
def test_no_safetensors(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.safetensors").write_bytes(content)
    assert_refused(tmp_path / "x.safetensors", "not a safetensors file")


@pytest.mark.parametrize("share", [0.01, 0.3, 0.999])
def test_cut_short(path: Path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert_refused(path, "is damaged, or is not a safetensors file")


def test_a_file_of_before_strides_in_time_is_read(path: Path, checkpoint: Checkpoint) -> None:
    def older(described: dict[str, Any]) -> None:
        described["format"] = 1
        del described["preset"]["time_stride"]

    found = load(rewritten(path, older))
    assert found.preset == checkpoint.preset
    assert found.preset.strides == (2, 2)
    found.network()


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}])
def test_of_somebody_else(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    safetensors.torch.save_file({"x": torch.zeros(2)}, tmp_path / "theirs.safetensors", metadata)
    assert_refused(tmp_path / "theirs.safetensors", "not of mashkit-mashnet")


@pytest.mark.parametrize("text", ["[1]", "{", "null"])
def test_a_description_that_is_none(path: Path, text: str) -> None:
    safetensors.torch.save_file({"x": torch.zeros(2)}, path, {"mashkit-mashnet": text})
    assert_refused(path, "damaged")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"format": 3}, "format 3; this version reads up to 2"),
        ({"format": None}, "format None"),
        ({"architecture": "transformer"}, "no architecture 'transformer'"),
        ({"architecture": "postmixnet"}, "not the weights of a postmixnet"),
        ({"scaling": {"range_db": 60.0, "loud_percentile": 95.0}}, "scales spectra"),
        ({"scaling": None}, "scales spectra"),
        ({"calibration": {"temperature": 0.0, "bias": 0.0}}, "temperature 0.0"),
        ({"calibration": {"scale": 2}}, "cannot be read: TypeError"),
        ({"preset": {"name": "tiny"}}, "cannot be read: KeyError"),
        ({"preset": 3}, "cannot be read: TypeError"),
    ],
)
def test_another_description(path: Path, change: dict[str, Any], problem: str) -> None:
    assert_refused(rewritten(path, lambda described: described.update(change)), problem)


@pytest.mark.parametrize("field", ["variant", "architecture", "preset", "calibration", "training"])
def test_a_description_with_a_hole(path: Path, field: str) -> None:
    assert_refused(rewritten(path, lambda described: described.pop(field)), f"KeyError: '{field}'")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"bands": 14}, r"block.conv1.weight is \(5, 9, 6, 3\), due is \(5, 9, 7, 3\)"),
        ({"scale": "bark"}, "cannot be read: ValueError"),
        ({"dither": 1}, "cannot be read: TypeError"),
        ({"low_hz": 0.0}, "a logarithmic scale from 0 Hz"),
    ],
)
def test_a_front_end_the_network_was_not_built_for(path: Path, change: dict[str, Any], problem: str) -> None:
    assert_refused(rewritten(path, lambda described: described["preset"]["front_end"].update(change)), problem)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers(tmp_path: Path, path: Path, made: MixNet, number: float) -> None:
    assert_refused(
        rewritten(path, tensors=lambda kept: kept["hidden.bias"].fill_(number)), "hidden.bias are not finite"
    )
    with torch.no_grad():
        made.hidden.bias.fill_(number)
    with pytest.raises(OptionError, match=r"hidden\.bias are not finite"):
        save(tmp_path / "nan.safetensors", Checkpoint.of(made, variant="premixnet"))
    assert not (tmp_path / "nan.safetensors").exists()


@pytest.mark.parametrize(
    ("tensors", "problem"),
    [
        (lambda kept: kept.pop("output.bias"), "output.bias is missing"),
        (lambda kept: kept.update(extra=torch.zeros(1)), r"extra is \(1,\), due is nothing"),
        (lambda kept: kept.update({"output.bias": torch.zeros(3)}), r"output.bias is \(3,\), due is \(2,\)"),
    ],
)
def test_other_weights(path: Path, tensors: Any, problem: str) -> None:
    assert_refused(rewritten(path, tensors=tensors), problem)


def test_weights_too_large_for_half_precision(tmp_path: Path, made: MixNet) -> None:
    with torch.no_grad():
        made.hidden.bias.fill_(1e5)
    checkpoint = Checkpoint.of(made, variant="premixnet")
    with pytest.raises(OptionError, match="beyond the range of float16"):
        save(tmp_path / "large.safetensors", checkpoint)
    save(tmp_path / "large.safetensors", checkpoint, half=False)
    assert torch.equal(load(tmp_path / "large.safetensors").weights["hidden.bias"], checkpoint.weights["hidden.bias"])


@pytest.mark.parametrize("record", [{"loss": float("nan")}, {"path": Path("/")}])
def test_records_that_are_no_data(tmp_path: Path, made: MixNet, record: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="not data for JSON"):
        save(tmp_path / "x.safetensors", Checkpoint.of(made, variant="premixnet", training=record))
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_the_old_file(path: Path, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match="No space left"):
        save(path, checkpoint, half=False)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]
