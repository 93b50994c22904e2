"""Songs spread over processes; one that dies takes its own song with it and no other."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, cast

import attrs

from mashkit.catalog.excerpts import ExcerptPolicy
from mashkit.catalog.ingest import Ingested, Ingestor
from mashkit.catalog.songs import SongFile
from mashkit.catalog.store import ObjectStore
from mashkit.components import Component
from mashkit.errors import ComponentFailed, MashkitError
from mashkit.interfaces import Analyzer, Separator

Task = tuple[SongFile, Mapping[str, Any]]


@attrs.frozen
class WorkerSpec:
    """What a worker process needs to build an ingestor of its own: names, not live objects."""

    separator: tuple[str, Mapping[str, Any]]
    analyzer: tuple[str, Mapping[str, Any]]
    objects: Path
    policy: ExcerptPolicy
    sample_rate: int
    threads: int


def spec_of(component: Component) -> tuple[str, Mapping[str, Any]] | None:
    """Return (name, options) from which the registry makes an equal component; None for one made by hand."""
    return None if component.origin is None else (component.info.name, component.options())


_ingestor: Ingestor | None = None


def _start(spec: WorkerSpec) -> None:
    # Before any backend is imported: numerical libraries read this once. Processes are the parallelism here.
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = str(spec.threads)
    from mashkit.registry import Registry

    global _ingestor
    registry = Registry()
    _ingestor = Ingestor(
        cast("Separator", registry.create("separator", *spec.separator)),
        cast("Analyzer", registry.create("analyzer", *spec.analyzer)),
        ObjectStore(spec.objects),
        policy=spec.policy,
        sample_rate=spec.sample_rate,
        loader=registry.plugins.hook.mashkit_load_audio,
    )


def _ingest(task: Task) -> Ingested:
    assert _ingestor is not None  # noqa: S101 — _start ran in this process
    return _ingestor.ingest(*task)


def ingest_all(
    spec: WorkerSpec, tasks: Iterable[Task], jobs: int
) -> Iterator[tuple[SongFile, Ingested | MashkitError]]:
    """Ingest songs in ``jobs`` processes and yield each as it ends, in any order.

    A process that dies (killed, out of memory, crashed backend) breaks the pool: its songs are then tried again one at
    a time, and the one that kills its process again is yielded as an error.
    """
    unfinished: list[Task] = []
    with _pool(spec, jobs) as pool:
        futures = {pool.submit(_ingest, task): task for task in tasks}
        for future in concurrent.futures.as_completed(futures):
            task = futures[future]
            try:
                yield task[0], future.result()
            except BrokenProcessPool:
                unfinished.append(task)
            except MashkitError as error:
                yield task[0], error
    for task in unfinished:
        with _pool(spec, 1) as pool:
            try:
                yield task[0], pool.submit(_ingest, task).result()
            except BrokenProcessPool:
                yield (
                    task[0],
                    ComponentFailed(f"{task[0].path}: the process working on it died twice (killed, or out of memory)"),
                )
            except MashkitError as error:
                yield task[0], error


def _pool(spec: WorkerSpec, jobs: int) -> concurrent.futures.ProcessPoolExecutor:
    # spawn: a fork of a process that has started threads (torch, BLAS) may hang.
    context = multiprocessing.get_context("spawn")
    return concurrent.futures.ProcessPoolExecutor(jobs, mp_context=context, initializer=_start, initargs=(spec,))
