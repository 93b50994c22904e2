"""Work on many excerpts in several processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from mashkit.builtin.local import LocalExecutor
from mashkit.interfaces.executor import Job, Work
from mashkit_mashnet_train.recipes.scores import Excerpt


def in_processes(work: Callable[[Excerpt], None], excerpts: Iterable[Excerpt], jobs: int) -> Iterator[Excerpt]:
    """Call ``work`` for each excerpt, ``jobs`` at a time, and yield each excerpt when it is done.

    The first error ends the work: excerpts that wait are not begun, because what one lacks, such as a package, the
    others lack too. The processes end with this one, also if this one is killed.

    Parameters
    ----------
    work : callable
        A function of a module, or a ``functools.partial`` of one: each process gets a copy of it once.
    excerpts : iterable of Excerpt
    jobs : int
        Number of processes.

    Raises
    ------
    MashkitError
        The error of an excerpt; ComponentFailed if it is not one of mashkit's.
    """
    rendering = Work(name="render", start=_given, arguments=(work,), run=_call)
    tasks = (Job(rendering, excerpt, f"{excerpt.song}, excerpt {excerpt.number}") for excerpt in excerpts)
    for outcome in LocalExecutor(jobs=jobs).run(tasks):
        if outcome.error is not None:
            raise outcome.error
        yield outcome.job.item


def _given(work: Callable[[Excerpt], None]) -> Callable[[Excerpt], None]:
    return work


def _call(work: Callable[[Excerpt], None], excerpt: Excerpt) -> None:
    work(excerpt)
