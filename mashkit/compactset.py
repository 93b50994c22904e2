"""Define a set of whole numbers for millions of them: Python's own set would need 70 bytes or more per number."""

from __future__ import annotations

from array import array

_PRIME = 2**64 - 59
"""The largest prime below 2⁶⁴: numbers from 0 to just below it are stored as they are, others as their remainder."""
_GOLDEN = 0x9E3779B97F4A7C15
"""2⁶⁴ divided by the golden ratio: multiplying by it spreads consecutive numbers (Knuth, The Art of Computer
Programming 3, 6.4)."""
_WORD = 2**64 - 1


class CompactSet:
    """A growing set of whole numbers, 12 to 24 bytes each.

    Numbers from 0 to 2⁶⁴ − 60 are stored exactly. Other numbers are stored modulo the prime 2⁶⁴ − 59: among 10 million
    random numbers, two count as equal with a probability of 3 in a million.
    """

    def __init__(self) -> None:
        self._count = 0
        self._bits = 10
        self._slots = array("Q", bytes(8 << self._bits))

    def __len__(self) -> int:
        return self._count

    def __contains__(self, number: object) -> bool:
        return isinstance(number, int) and self._slots[self._slot(number % _PRIME + 1)] != 0

    def add(self, number: int) -> None:
        """Add a number; the set may contain it already."""
        kept = number % _PRIME + 1  # 0 is a free slot
        slot = self._slot(kept)
        if self._slots[slot]:
            return
        self._slots[slot] = kept
        self._count += 1
        if 3 * self._count > 2 << self._bits:
            self._grow()

    def _slot(self, kept: int) -> int:
        """Return the slot of a number, or the free slot for it."""
        slots, mask = self._slots, (1 << self._bits) - 1
        slot = (kept * _GOLDEN & _WORD) >> (64 - self._bits)
        while slots[slot] not in (0, kept):
            slot = (slot + 1) & mask
        return slot

    def _grow(self) -> None:
        old, self._bits = self._slots, self._bits + 1
        self._slots = array("Q", bytes(8 << self._bits))
        for kept in old:
            if kept:
                self._slots[self._slot(kept)] = kept
