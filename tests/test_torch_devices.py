"""Where torch computes: devices that are here, and conditions that are put back."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from mashkit.errors import OptionError
from mashkit.networks.devices import MOST_BLOCKS, inference, known_device, steady_inference

pytestmark = pytest.mark.plugins  # they bring torch


@pytest.fixture(scope="module", autouse=True)
def torch() -> Any:
    """torch, imported only where one of these tests runs."""
    return pytest.importorskip("torch")


def test_the_core_imports_no_torch() -> None:
    code = "import sys, mashkit.networks.devices; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_auto_is_what_there_is(torch: Any) -> None:
    assert known_device("cpu") == "cpu"
    due = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    assert known_device("auto") == due


@pytest.mark.parametrize("name", ["gpu", "cpu:1", "cuda:first", None, "", "mps:0"])
def test_what_is_no_device(name: object) -> None:
    with pytest.raises(OptionError, match="device is"):
        known_device(name)


def test_a_device_that_is_not_here(torch: Any) -> None:
    with pytest.raises(OptionError, match="finds") as raised:
        known_device(f"cuda:{torch.cuda.device_count()}")
    assert raised.value.fix is not None
    assert '"cpu"' in raised.value.fix


def test_inference_puts_everything_back(torch: Any) -> None:
    before = torch.get_num_threads(), torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark
    with inference(before[0] + 1):
        assert torch.is_inference_mode_enabled()
        assert torch.get_num_threads() == before[0] + 1
        assert not torch.backends.cudnn.allow_tf32
    assert (torch.get_num_threads(), torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark) == before
    assert not torch.is_inference_mode_enabled()


# -------------------------------------------------------------------------------------------------- steady inference
@pytest.mark.parametrize("threads", [1, 2, 3, 4, 6])
def test_each_gives_results_in_order_and_hears_only_a_little_ahead(threads: int, torch: Any) -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(40):
            taken.append(number)
            yield number

    def squared(number: int) -> int:
        assert torch.is_inference_mode_enabled()
        assert torch.get_num_threads() == 1
        return number * number

    before = torch.get_num_threads()
    with steady_inference("cpu", threads) as each:
        for number, found in enumerate(each(int, each(squared, items()))):
            assert found == number * number
            assert len(taken) <= number + 1 + 2 * MOST_BLOCKS
    assert len(taken) == 40
    assert torch.get_num_threads() == before


def test_as_many_blocks_at_once_as_threads_allow(torch: Any) -> None:
    together = threading.Barrier(3)  # each block waits for two others, so fewer at once would not end
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with steady_inference("cpu") as each:
            assert sorted(each(lambda _: together.wait(60), range(6))) == [0, 0, 1, 1, 2, 2]
    finally:
        torch.set_num_threads(before)


def test_a_convolution_is_the_same_for_any_number_of_threads(torch: Any) -> None:
    # Spleeter's last encoder step: on three threads it sums in another order than on one.
    generator = torch.Generator().manual_seed(0)
    layer = torch.nn.Conv2d(256, 512, kernel_size=5, stride=2)
    blocks = [torch.randn(1, 256, 19, 35, generator=generator) for _ in range(3)]
    found = []
    for threads in (1, 2, 3):
        with steady_inference("cpu", threads) as each:
            found.append(torch.cat(list(each(layer, blocks))))
    assert all(torch.equal(found[0], other) for other in found[1:])


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_in_a_block_is_the_callers_and_everything_is_put_back(threads: int, torch: Any) -> None:
    before = torch.get_num_threads()

    def failing(number: int) -> int:
        if number == 5:
            raise OptionError("block 5")
        return number

    found = []
    with pytest.raises(OptionError, match="block 5"), steady_inference("cpu", threads) as each:
        found.extend(each(failing, range(100)))
    assert torch.get_num_threads() == before
    assert not torch.is_inference_mode_enabled()


def test_nobody_outside_a_block_sees_its_number_of_threads(torch: Any) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    inside, leave = threading.Event(), threading.Event()
    seen = []

    def second() -> None:
        with steady_inference("cpu") as each:
            seen.append(torch.get_num_threads())
            inside.set()
            leave.wait(60)
            seen.extend(each(lambda _: torch.get_num_threads(), range(8)))

    other = threading.Thread(target=second)
    try:
        with steady_inference("cpu") as each:
            assert list(each(lambda _: torch.get_num_threads(), range(8))) == [1] * 8
            assert torch.get_num_threads() == 3
            other.start()
            assert inside.wait(60)
        leave.set()  # the first has left, and the second computes its blocks now
        other.join()
        assert seen == [3] + [1] * 8
        with steady_inference("cpu", 1) as each:
            assert list(each(lambda _: torch.get_num_threads(), range(3))) == [1] * 3
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
