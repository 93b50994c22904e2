"""Work on many excerpts in several processes."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
from collections.abc import Callable, Iterator, Sequence

from mashkit_mashnet_train.recipes.scores import Excerpt


def in_processes(work: Callable[[Excerpt], None], excerpts: Sequence[Excerpt], jobs: int) -> Iterator[Excerpt]:
    """Call ``work`` for each excerpt, ``jobs`` at a time, and yield each excerpt when it is done.

    The first error ends the work: excerpts that wait are not begun, because what one lacks, such as a package, the
    others lack too.

    Parameters
    ----------
    work : callable
        A function of a module, or a ``functools.partial`` of one: each process gets a copy of it once.
    excerpts : sequence of Excerpt
    jobs : int
        Number of processes.
    """
    pool = concurrent.futures.ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), _prepare, (work,))
    try:
        begun = {pool.submit(_call, excerpt): excerpt for excerpt in excerpts}
        for future in concurrent.futures.as_completed(begun):
            future.result()
            yield begun[future]
    finally:
        pool.shutdown(cancel_futures=True)


_works: list[Callable[[Excerpt], None]] = []


def _prepare(work: Callable[[Excerpt], None]) -> None:
    _works.append(work)


def _call(excerpt: Excerpt) -> None:
    _works[-1](excerpt)
