"""Run the steps of many requests in one thread, and commit together those that wait, before any is acknowledged."""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from mashkit.listen.answers import NotSaved, Store

T = TypeVar("T")
AT_ONCE = 64
"""Most steps of one commit (ours). A commit waits for the disk; so steps that arrive meanwhile share the next one."""

_Job = tuple[Callable[[], Any], "asyncio.Future[Any]", asyncio.AbstractEventLoop]


class Writer:
    """The only thread that uses a store.

    Parameters
    ----------
    store : Store
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="answers", daemon=True)
        self._thread.start()

    async def run(self, step: Callable[[], T]) -> T:
        """Run a step of a transaction and return its result, after what it wrote is safe on the disk.

        Raises
        ------
        NotSaved
            If the transaction could not be committed; nothing of the step is in the database then.
        Exception
            The error of the step; the steps of other requests are saved all the same.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._jobs.put((step, future, loop))
        return await future

    def close(self) -> None:
        """Finish what waits, and end the thread."""
        self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (first := self._jobs.get()) is not None:
            batch, last = [first], False
            while len(batch) < AT_ONCE and not self._jobs.empty():
                job = self._jobs.get()
                if job is None:
                    last = True
                    break
                batch.append(job)
            results = self._together([step for step, _, _ in batch])
            for (_, future, loop), result in zip(batch, results, strict=True):
                loop.call_soon_threadsafe(_settle, future, result)
            if last:
                return

    def _together(self, steps: list[Callable[[], Any]]) -> list[Any]:
        results: list[Any] = []
        try:
            with self._store.transaction():
                for step in steps:
                    try:
                        with self._store.step():
                            results.append(step())
                    except sqlite3.Error:
                        raise  # the transaction is in doubt
                    except Exception as error:  # noqa: BLE001 — this step was rolled back; the others go on
                        results.append(error)
        except NotSaved as error:
            return [error] * len(steps)
        except Exception as error:  # noqa: BLE001 — the thread must go on, or no later request would be answered
            return [error] * len(steps)
        return results


def _settle(future: asyncio.Future[Any], result: Any) -> None:
    if future.cancelled():  # the browser has gone; what it sent is saved all the same
        return
    if isinstance(result, BaseException):
        future.set_exception(result)
    else:
        future.set_result(result)
