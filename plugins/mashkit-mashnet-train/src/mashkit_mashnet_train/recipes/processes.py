"""Work on many excerpts in several processes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from mashkit.builtin.local import LocalExecutor
from mashkit.interfaces.executor import Job, Work
from mashkit_mashnet_train.recipes.scores import Excerpt

T = TypeVar("T", Excerpt, Sequence[Excerpt])


def in_processes(work: Callable[[T], None], excerpts: Iterable[T], jobs: int) -> Iterator[T]:
    """Call ``work`` for each excerpt, or group of excerpts, ``jobs`` at a time, and yield each when it is done.

    The first error ends the work: excerpts that wait are not begun, because what one lacks, such as a package, the
    others lack too. The processes end with this one, also if this one is killed.

    Parameters
    ----------
    work : callable
        A function of a module, or a ``functools.partial`` of one: each process gets a copy of it once.
    excerpts : iterable of Excerpt, or of sequences of Excerpt
    jobs : int
        Number of processes.

    Raises
    ------
    MashkitError
        The error of an excerpt; ComponentFailed if it is not one of mashkit's.
    """
    rendering = Work(name="render", start=_given, arguments=(work,), run=_call)
    tasks = (Job(rendering, one, _named(one)) for one in excerpts)
    for outcome in LocalExecutor(jobs=jobs).run(tasks):
        if outcome.error is not None:
            raise outcome.error
        yield outcome.job.item


def seed_of(seed: int, name: str) -> int:
    """Return the seed of one excerpt's own draws, so that it is made the same in any order and by any process."""
    return int.from_bytes(hashlib.sha256(json.dumps([seed, name]).encode()).digest()[:4])


def _named(item: Excerpt | Sequence[Excerpt]) -> str:
    first = item if isinstance(item, Excerpt) else item[0]
    return f"{first.song}, excerpt {first.number}"


def _given(work: Callable[[T], None]) -> Callable[[T], None]:
    return work


def _call(work: Callable[[T], None], item: T) -> None:
    work(item)
