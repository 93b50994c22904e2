"""Choose the device and the settings of torch for components that use it.

torch is imported on first use, because the core does not need it.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

from mashkit.components import cost_only
from mashkit.errors import OptionError

DEVICE = cost_only("cpu", "cuda", "mps")
"""Metadata of an option ``device``: ``attrs.field(default="cpu", converter=known_device, metadata=DEVICE)``."""

MOST_BLOCKS = 4
"""Largest number of blocks that :func:`steady_inference` computes at once, because each needs memory: 0.25 GB in the
separator stemnet (ours)."""

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Each(Protocol):
    """Call a function with each item; yield the results in the order of the items, as ``map`` does."""

    def __call__(self, function: Callable[[_Item], _Result], items: Iterable[_Item], /) -> Iterator[_Result]:
        """Yield ``function(item)`` for each item."""


def known_device(value: object) -> str:
    """Convert an attrs field: return the device if torch has it; "auto" becomes a device.

    Parameters
    ----------
    value : str
        "cpu", "cuda", "cuda:<number>", "mps", or "auto": the first available of CUDA, MPS and CPU.

    Raises
    ------
    OptionError
        If the value is not a device, or the device is not available.
    """
    import torch

    name, _, index = str(value).partition(":")
    if name not in ("auto", "cpu", "cuda", "mps") or (index and not (name == "cuda" and index.isdecimal())):
        raise OptionError(f"device is {value!r}", 'give "auto", "cpu", "cuda", "cuda:<number>" or "mps"')
    has_mps = torch.backends.mps.is_available()
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "mps" if has_mps else "cpu"
    if name == "cuda" and torch.cuda.device_count() <= int(index or 0):
        raise OptionError(
            f"device is {value!r}, but torch {torch.__version__} finds {torch.cuda.device_count()} CUDA devices here",
            'use "cpu" or "auto", or install a build of torch for this machine\'s CUDA',
        )
    if name == "mps" and not has_mps:
        raise OptionError(f"device is 'mps', but torch {torch.__version__} finds none here", 'use "cpu" or "auto"')
    return str(value)


@contextlib.contextmanager
def inference(threads: int | None = None) -> Iterator[None]:
    """Run torch in inference mode with the same result every time, at the precision of float32.

    Without these settings, convolutions on recent GPUs round their factors to ten bits (TF32), and choose their
    algorithm by measured time.

    Parameters
    ----------
    threads : int, optional
        Number of torch's CPU threads in the block; by default torch's own setting.
    """
    import torch

    before: Any = torch.get_num_threads()
    with (
        torch.inference_mode(),
        torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False),
    ):
        if threads is None:
            yield
            return
        torch.set_num_threads(threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)


@contextlib.contextmanager
def steady_inference(device: str, threads: int | None = None) -> Iterator[Each]:
    """Run torch as :func:`inference` does, with a result that does not depend on the number of CPU threads.

    Convolutions on several CPU threads choose other algorithms and sum in another order than on one, so their results
    differ in the last bits. Here each block is computed on one thread, and several blocks at once. On a GPU, blocks are
    computed one after the other.

    Parameters
    ----------
    device : str
        Where torch computes, as :func:`known_device` returns it.
    threads : int, optional
        Number of CPU threads; by default torch's own setting. At most :data:`MOST_BLOCKS` are used for blocks.

    Yields
    ------
    Each
        Calls a function with each of several blocks, in other threads unless torch has only one. It takes blocks from
        its input only a few ahead of what it yields, so memory does not grow with their number. The input and what
        consumes the output run in the caller's thread, where torch keeps its number of threads. Outputs of one call may
        be the inputs of another.
    """
    if device.partition(":")[0] != "cpu":
        with inference(threads):
            yield map
        return
    import torch

    if (threads or 1) == 1 == torch.get_num_threads():
        # As in a process of its own on one core. In another thread than the main one, memory costs a tenth more time
        # (spleeter-torch, glibc; ours).
        with inference():
            yield map
        return
    pool, count = _single_threads(threads)
    try:
        with inference():
            yield functools.partial(_ahead, pool, count)
    finally:
        pool.shutdown(cancel_futures=True)


_STARTING = threading.Lock()


def _single_threads(threads: int | None) -> tuple[ThreadPoolExecutor, int]:
    """Return a pool in which torch computes each task on one CPU thread, and the number of tasks at once."""
    import torch

    # Setting torch's number of threads sets it for this thread, and for each thread that uses torch for the first time
    # after that. So all threads of the pool set it at once, and then the setting for others is put back.
    with _STARTING:
        before: Any = torch.get_num_threads()
        count = min(threads or before, MOST_BLOCKS)
        all_here = threading.Barrier(count)

        def begin() -> None:
            all_here.wait()
            torch.get_num_threads()  # the first use, after which no other thread changes the setting of this one
            torch.set_num_threads(1)

        pool = ThreadPoolExecutor(count, "mashkit-block")
        for started in [pool.submit(begin) for _ in range(count)]:
            started.result()
        torch.set_num_threads(before)
    return pool, count


def _ahead(
    pool: ThreadPoolExecutor, count: int, function: Callable[[_Item], _Result], items: Iterable[_Item], /
) -> Iterator[_Result]:
    """Yield the results in order; at most ``count`` of them are computed, or wait for the caller, at once."""
    import torch

    def computed(item: _Item) -> _Result:
        with torch.inference_mode():  # torch has this setting for each thread
            return function(item)

    pending: deque[Future[_Result]] = deque()
    for item in items:
        pending.append(pool.submit(computed, item))
        if len(pending) == count:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


class OnDevice:
    """Base of a component with the option ``device``."""

    __slots__ = ()

    device: str

    @property
    def gpus(self) -> float:
        """1 if the networks run on a GPU, otherwise 0."""
        return 0.0 if self.device.partition(":")[0] == "cpu" else 1.0
