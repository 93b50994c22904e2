"""Where torch computes: devices that are here, and conditions that are put back."""

from __future__ import annotations

import subprocess
import sys

import pytest

from mashkit.errors import OptionError

torch = pytest.importorskip("torch")

from mashkit.networks.devices import inference, known_device  # noqa: E402 — only with torch


def test_the_core_imports_no_torch() -> None:
    code = "import sys, mashkit.networks.devices; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_auto_is_what_there_is() -> None:
    assert known_device("cpu") == "cpu"
    due = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    assert known_device("auto") == due


@pytest.mark.parametrize("name", ["gpu", "cpu:1", "cuda:first", None, "", "mps:0"])
def test_what_is_no_device(name: object) -> None:
    with pytest.raises(OptionError, match="device is"):
        known_device(name)


def test_a_device_that_is_not_here() -> None:
    with pytest.raises(OptionError, match="finds") as raised:
        known_device(f"cuda:{torch.cuda.device_count()}")
    assert raised.value.fix is not None
    assert '"cpu"' in raised.value.fix


def test_inference_puts_everything_back() -> None:
    before = torch.get_num_threads(), torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark
    with inference(before[0] + 1):
        assert torch.is_inference_mode_enabled()
        assert torch.get_num_threads() == before[0] + 1
        assert not torch.backends.cudnn.allow_tf32
    assert (torch.get_num_threads(), torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark) == before
    assert not torch.is_inference_mode_enabled()
