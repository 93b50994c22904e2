"""A table of clips: the columns say what the clips say, and a million rows are no million objects."""

from __future__ import annotations

import math
import pickle
import tracemalloc

import attrs
import numpy as np
import pytest

from mashkit.builtin.paper import PaperGenerator
from mashkit.cliptable import ClipTable
from mashkit.errors import CatalogError, UsageError
from mashkit.types import Analysis, Clip, Key, Role


def make_clip(index: int, key: str | None = "A minor", tempo: float | None = 100.0, **changes: object) -> Clip:
    beats = np.arange(0.2, 40.0, 60 / (tempo or 100.0))
    analysis = Analysis(None if key is None else Key.parse(key), tempo, beats, beats[::4])
    name = f"clip-{index}"
    clip = Clip(name, name, name, f"{name}.ogg", 0.0, 40.0, 44_100, analysis)
    return attrs.evolve(clip, **changes)


@pytest.fixture
def clips() -> list[Clip]:
    return [
        make_clip(0),
        make_clip(1, "C# major", 87.5, song="clip-0", activity={Role.HARMONIC: 0.25}),
        make_clip(2, None, None, duration=31.0, analysis=Analysis()),
        make_clip(3, analysis=Analysis(Key.parse("B minor"), 60.0, [1.0, 2.0], [])),
    ]


def test_columns_say_what_the_clips_say(clips: list[Clip]) -> None:
    table = ClipTable.of(clips)
    assert table.tonics.tolist() == [0, 1, -1, 2]
    assert table.minor.tolist() == [True, False, False, True]
    np.testing.assert_array_equal(table.tempi, [100.0, 87.5, math.nan, 60.0])
    assert table.downbeats.tolist() == [True, True, False, False]
    assert table.durations.tolist() == [40.0, 40.0, 31.0, 40.0]
    assert table.activity.tolist() == [[1, 1, 1], [1, 0.25, 1], [1, 1, 1], [1, 1, 1]]
    assert table.songs[0] == table.songs[1]
    assert len(set(table.songs.tolist())) == 3
    assert [table.row_of(clip.id) for clip in clips] == [0, 1, 2, 3]
    assert table.row_of("nobody") is None


def test_it_is_a_sequence(clips: list[Clip]) -> None:
    table = ClipTable.of(clips)
    assert ClipTable.of(table) is table
    assert list(table) == clips
    assert (table[-1], table[1:3]) == (clips[-1], clips[1:3])
    with pytest.raises(IndexError):
        table[4]
    assert len(ClipTable.of([])) == 0


def test_nobody_writes_to_it_and_it_travels(clips: list[Clip]) -> None:
    sent = pickle.loads(pickle.dumps(ClipTable.of(clips)))  # noqa: S301 — our own
    for table in (ClipTable.of(clips), sent):
        for column in (table.songs, table.tempi, table.activity):
            with pytest.raises(ValueError, match="read-only"):
                column[0] = 1
        assert list(table) == clips
        assert table.row_of("clip-2") == 2


def test_two_clips_of_one_id_are_refused(clips: list[Clip]) -> None:
    with pytest.raises(UsageError, match="same id"):
        PaperGenerator().plan([*clips, clips[0]], condition="original", count=1, seed=0)


@pytest.mark.parametrize(
    ("column", "values"),
    [("tonics", [0, 12, 0, 0]), ("tempi", [100.0, 0.0, 1.0, 1.0]), ("durations", [1.0, math.nan, 1.0, 1.0]),
     ("activity", [1.0, 1.0, 1.0, 1.0]), ("minor", [True])],
)  # fmt: skip
def test_columns_that_cannot_be_are_named(clips: list[Clip], column: str, values: list[float]) -> None:
    with pytest.raises(CatalogError, match=column):
        attrs.evolve(ClipTable.of(clips), **{column: values})


def test_a_million_rows_are_no_million_objects() -> None:
    count = 1_000_000
    random = np.random.default_rng(0)

    def fetch(row: int) -> Clip:
        return make_clip(row)

    tracemalloc.start()
    table = ClipTable(
        songs=np.arange(count) // 2,
        tonics=random.integers(0, 12, count, dtype=np.int8),
        minor=np.zeros(count, np.bool_),
        tempi=random.uniform(60, 180, count),
        downbeats=np.ones(count, np.bool_),
        durations=np.full(count, 48.0),
        activity=np.ones((count, 3), np.float32),
        fetch=fetch,
        row_of=lambda clip_id: int(clip_id.removeprefix("clip-")),
    )
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held < 50e6
    assert table[999_999].id == "clip-999999"
