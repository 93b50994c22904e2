"""Cache recent values: stems, stretched layers and their features, because many mashups use the same ones."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

from mashkit.types import Audio

V = TypeVar("V")


def _one(value: object) -> int:
    return 1


def _bytes_of(audio: Audio) -> int:
    return audio.samples.nbytes


class Recent(Generic[V]):
    """A cache of the most recently used values, limited by their total size; safe for several threads.

    A copy in another process begins empty.

    Parameters
    ----------
    limit : int
        Largest sum of the sizes; a single value is kept at any size.
    size : callable
        Returns a value's size; by default each value counts 1.
    """

    def __init__(self, limit: int, size: Callable[[V], int] = _one) -> None:
        self._limit = limit
        self._size_of = size
        self._size = 0
        self._entries: OrderedDict[Hashable, V] = OrderedDict()
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._limit, self._size_of)

    def __contains__(self, key: Hashable) -> bool:
        with self._lock:
            return key in self._entries

    def get(self, key: Hashable, make: Callable[[], V]) -> V:
        """Return the value under ``key``; on first use it is made and stored."""
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
                return self._entries[key]
        # The value is made outside the lock: two threads may make the same value, but no thread waits for another.
        value = make()
        with self._lock:
            if key not in self._entries:
                self._entries[key] = value
                self._size += self._size_of(value)
            while self._size > self._limit and len(self._entries) > 1:
                _, oldest = self._entries.popitem(last=False)
                self._size -= self._size_of(oldest)
        return value


def recent_audio(limit: int) -> Recent[Audio]:
    """Return a cache of audio that keeps up to ``limit`` bytes of samples."""
    return Recent(limit, _bytes_of)
