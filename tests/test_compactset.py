"""The compact set is a set."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mashkit.compactset import CompactSet

numbers = st.one_of(st.integers(0, 40), st.integers(0, 2**64 - 60), st.integers(2**64 - 80, 2**64 - 60))


@given(st.lists(numbers), st.lists(numbers))
def test_it_holds_what_was_added(added: list[int], others: list[int]) -> None:
    compact, plain = CompactSet(), set[int]()
    for number in added:
        assert (number in compact) == (number in plain)
        compact.add(number)
        plain.add(number)
        assert number in compact
        assert len(compact) == len(plain)
    assert [number in compact for number in others] == [number in plain for number in others]


def test_many_numbers_that_follow_each_other_or_are_large_or_negative() -> None:
    random = np.random.default_rng(0)
    chance = [int(one) for one in random.integers(-(2**63), 2**63, 20_000)]
    some = [*range(20_000), *(one * 10**12 for one in range(20_000)), *chance, *(10**21 + one for one in range(20_000))]
    compact = CompactSet()
    for number in some:
        compact.add(number)
    assert len(compact) == len(set(some))
    assert all(number in compact for number in some)
    assert not any(number in compact for number in range(20_000, 40_000))
    assert "a" not in compact


@pytest.mark.whole
def test_a_number_takes_few_bytes() -> None:
    random = np.random.default_rng(0)
    tracemalloc.start()
    compact = CompactSet()
    for number in random.integers(0, 2**63, 100_000).tolist():
        compact.add(number)
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held < 2.5e6
