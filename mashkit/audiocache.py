"""Audio kept in memory for a while: stems and stretched layers are used by many mashups."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable

from mashkit.types import Audio


class AudioCache:
    """Least-recently-used audio, bounded by bytes (one entry is kept however large).

    Parameters
    ----------
    limit : int
        Bytes of samples to keep.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._entries: OrderedDict[Hashable, Audio] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], Audio]) -> Audio:
        """Return the audio under ``key``, made and kept on first use."""
        if key in self._entries:
            self._entries.move_to_end(key)
            return self._entries[key]
        audio = make()
        self._entries[key] = audio
        self._size += audio.samples.nbytes
        while self._size > self._limit and len(self._entries) > 1:
            _, oldest = self._entries.popitem(last=False)
            self._size -= oldest.samples.nbytes
        return audio
