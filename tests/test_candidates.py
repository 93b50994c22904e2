"""Candidates found as ranges are those that a test of every clip finds, whatever the clips and the options."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mashkit.builtin.paper import PaperGenerator
from mashkit.cliptable import ClipTable
from mashkit.conditions import TEMPO_CLASH, folded
from mashkit.errors import StemError, UsageError
from mashkit.types import Clip, Condition, Key, Role

NOTED = [72.0, 75.0, 80.0, 86.4, 90.0, 93.6, 96.0, 100.0, 115.2, 120.0, 125.0, 144.0, 150.0, 160.0, 180.0, 240.0]
"""Tempi whose ratios meet the bounds 0.8, 1.2, 0.96, 1.04 and their doubles, some exactly, some but for rounding."""

Facts = tuple[int, int, bool, float, bool, float]
"""Song, tonic, whether minor, tempo, whether downbeats are known, activity."""


def no_clip(row: int) -> Clip:
    raise AssertionError("candidates are found without touching a clip")


def no_row(clip_id: str) -> int | None:
    raise AssertionError("candidates are found without touching a clip")


def table_of(facts: list[Facts], cents: list[float] | None = None) -> ClipTable:
    tunings = np.full(len(facts), np.nan) if cents is None else np.array(cents)
    songs, tonics, minor, tempi, downbeats, activity = zip(*facts, strict=True)
    shape = (len(facts), len(Role))
    return ClipTable(
        songs=songs, tonics=tonics, minor=minor, tempi=tempi, downbeats=downbeats, durations=np.full(len(facts), 40.0),
        activity=np.broadcast_to(np.array(activity)[:, None], shape), fetch=no_clip, row_of=no_row,
        tunings=tunings,
    )  # fmt: skip


facts = st.tuples(
    st.integers(0, 6),
    st.integers(-1, 11),
    st.booleans(),
    st.one_of(st.sampled_from(NOTED), st.floats(30, 300), st.just(math.nan)),
    st.sampled_from([True, True, True, False]),
    st.sampled_from([1.0, 1.0, 0.25, 0.2]),
)
options = st.fixed_dictionaries(
    {
        "max_shift": st.integers(0, 6),
        "min_speed": st.sampled_from([0.8, 0.75, 0.96, 1.0]),
        "max_speed": st.sampled_from([1.2, 1.25, 1.0, 1.5]),
        "mismatch": st.sampled_from(["strict", "literal"]),
        "same_mode": st.booleans(),
        "fold_tempo": st.booleans(),
        "min_activity": st.sampled_from([0.25, 0.0]),
    }
)


def fits(seed: Facts, clip: Facts, role: Role, condition: Condition, chosen: dict[str, Any]) -> bool:
    """Say what docs/paper.md, rows 6–9, 11, 15 and 17, says, one clip at a time."""
    song, tonic, minor, tempo, downbeats, activity = clip
    if tonic < 0 or math.isnan(tempo) or not downbeats or activity < chosen["min_activity"] or song == seed[0]:
        return False
    strict = chosen["mismatch"] == "strict"
    ratio = seed[3] / tempo
    near = min((ratio * 2.0**fold for fold in range(-5, 6)), key=lambda value: abs(math.log2(value)))
    if condition in ("unmatched-tempo", "unmatched-key-tempo"):
        tempo_fits = abs(math.log(near)) > math.log(1 + TEMPO_CLASH) - 1e-9 or not strict
    else:
        tempo_fits = chosen["min_speed"] <= (near if chosen["fold_tempo"] else ratio) <= chosen["max_speed"]
    if role is Role.PERCUSSION:
        return tempo_fits
    shift = Key(tonic, "major").semitones_to(Key(seed[1], "major"))
    if condition in ("unmatched-key", "unmatched-key-tempo"):
        return tempo_fits and (shift != 0 or not strict)
    return tempo_fits and abs(shift) <= chosen["max_shift"] and (minor == seed[2] or not chosen["same_mode"])


@given(st.lists(facts, min_size=1, max_size=40), options, st.sampled_from(list(Condition)[1:]))
@settings(max_examples=300, deadline=None)
def test_ranges_hold_what_a_test_of_every_clip_finds(
    clips: list[Facts], chosen: dict[str, Any], condition: Condition
) -> None:
    index = PaperGenerator(**chosen).index(table_of(clips))
    for seed, clip in enumerate(clips):
        if not index.is_eligible(seed, condition):
            assert clip[1] < 0 or math.isnan(clip[3]) or not clip[4]
            continue
        for role in (Role.HARMONIC, Role.PERCUSSION):
            found = index.candidates(seed, role, condition)
            expected = [row for row, other in enumerate(clips) if fits(clip, other, role, condition, chosen)]
            assert found.rows().tolist() == expected
            assert sorted(found.row(number) for number in range(len(found))) == expected
            for row in expected:
                ratio = clip[3] / clips[row][3]
                assert index.speed(seed, row) == (folded(ratio) if chosen["fold_tempo"] else ratio)


@given(
    st.lists(st.tuples(facts, st.sampled_from([-50.0, -48.0, -34.0, -5.1, 0.0, 4.9, 12.0, 45.5, 49.9])), max_size=40),
    options,
    st.sampled_from([Condition.MATCHED, Condition.UNMATCHED_KEY]),
)
@settings(max_examples=300, deadline=None)
def test_ranges_hold_what_a_test_of_every_clip_finds_where_songs_are_off_440(
    clips: list[tuple[Facts, float]], chosen: dict[str, Any], condition: Condition
) -> None:
    if not clips:
        return
    index = PaperGenerator(**chosen).index(table_of([one for one, _ in clips], [cents for _, cents in clips]))
    for seed, (clip, cents) in enumerate(clips):
        if not index.is_eligible(seed, condition):
            continue
        found = index.candidates(seed, Role.HARMONIC, condition)
        expected = []
        for row, (other, others_cents) in enumerate(clips):
            # All but the key, which is set to fit.
            if not fits(clip, (*other[:1], clip[1] if other[1] >= 0 else -1, *other[2:]), Role.PERCUSSION,
                        Condition.MATCHED, chosen):  # fmt: skip
                continue
            tenths = (10 * clip[1] + round(cents / 10)) - (10 * other[1] + round(others_cents / 10))
            tenths = (tenths + 60) % 120 - 60
            if condition is Condition.MATCHED:
                key_fits = math.floor(abs(tenths) / 10 + 0.5) <= chosen["max_shift"]
                key_fits = key_fits and (other[2] == clip[2] or not chosen["same_mode"])
            else:
                key_fits = abs(tenths) >= 10 or chosen["mismatch"] == "literal"
            if key_fits:
                expected.append(row)
        assert found.rows().tolist() == expected
        assert sorted(found.row(number) for number in range(len(found))) == expected


def test_in_tune_clips_are_drawn_in_the_order_they_always_were() -> None:
    random = np.random.default_rng(4)
    clips = [
        (row, int(random.integers(12)), bool(random.integers(2)), float(random.uniform(80, 160)), True, 1.0)
        for row in range(200)
    ]
    for cents in (None, [0.0] * 200, random.uniform(-4.9, 4.9, 200).tolist()):
        found = PaperGenerator().index(table_of(clips, cents)).candidates(0, Role.HARMONIC, Condition.MATCHED)
        order = [found.row(number) for number in range(len(found))]
        assert order == sorted(order, key=lambda row: (clips[row][1], clips[row][3]))


def nearby(value: float) -> list[float]:
    """Return a number and the ones next to it."""
    below = math.nextafter(value, 0.0)
    above = math.nextafter(value, math.inf)
    return [math.nextafter(below, 0.0), below, value, above, math.nextafter(above, math.inf)]


@given(st.floats(40, 240), st.floats(0.5, 1.0), st.floats(1.0, 2.0), st.booleans())
@settings(max_examples=200, deadline=None)
def test_bounds_are_met_to_the_last_digit(tempo: float, slowest: float, fastest: float, folds: bool) -> None:
    edges = [tempo / speed * fold for speed in (slowest, fastest, 0.96, 1.04) for fold in (0.5, 1.0, 2.0)]
    tempi = [tempo, *(one for edge in edges for one in nearby(edge))]
    clips = [(song, 0, False, one, True, 1.0) for song, one in enumerate(tempi)]
    chosen = {"min_speed": slowest, "max_speed": fastest, "fold_tempo": folds, "mismatch": "strict", "same_mode": False,
              "max_shift": 3, "min_activity": 0.25}  # fmt: skip
    index = PaperGenerator(**chosen).index(table_of(clips))
    for condition in (Condition.MATCHED, Condition.UNMATCHED_TEMPO):
        found = index.candidates(0, Role.PERCUSSION, condition).rows().tolist()
        assert found == [
            row for row, clip in enumerate(clips) if fits(clips[0], clip, Role.PERCUSSION, condition, chosen)
        ]


@given(st.floats(0.01, 100))
def test_folding_halves_or_doubles_to_the_nearest(ratio: float) -> None:
    assert math.sqrt(0.5) <= folded(ratio) < math.sqrt(2)
    assert math.log2(folded(ratio) / ratio).is_integer()


def test_every_candidate_is_as_likely() -> None:
    # Chi-squared of 20,000 draws over 17 candidates: 16 degrees of freedom, 39.25 is passed once in a thousand times.
    random = np.random.default_rng(0)
    clips = [
        (row // 2, int(random.integers(12)), False, float(random.uniform(80, 120)), True, 1.0) for row in range(60)
    ]
    index = PaperGenerator().index(table_of(clips))
    seed = next(row for row in range(60) if len(index.candidates(row, Role.HARMONIC, Condition.MATCHED)) == 17)
    candidates = index.candidates(seed, Role.HARMONIC, Condition.MATCHED)
    drawn = Counter(candidates.row(int(random.integers(len(candidates)))) for _ in range(20_000))
    assert set(drawn) == set(candidates.rows().tolist())
    assert sum((count - 20_000 / 17) ** 2 / (20_000 / 17) for count in drawn.values()) < 39.25


def test_beyond_the_last_candidate_there_is_none() -> None:
    index = PaperGenerator().index(table_of([(0, 0, False, 100.0, True, 1.0), (1, 0, False, 100.0, True, 1.0)]))
    candidates = index.candidates(0, Role.PERCUSSION, Condition.MATCHED)
    assert (len(candidates), candidates.row(0)) == (1, 1)
    with pytest.raises(IndexError, match="candidate 1 of 1"):
        candidates.row(1)


@pytest.mark.parametrize("condition", list(Condition)[1:])
def test_strict_negatives_never_fit_by_chance(condition: Condition) -> None:
    random = np.random.default_rng(1)
    clips = [(row, int(random.integers(12)), False, float(random.choice(NOTED)), True, 1.0) for row in range(80)]
    strict, literal = (PaperGenerator(mismatch=one).index(table_of(clips)) for one in ("strict", "literal"))
    met: set[str] = set()
    for seed in range(len(clips)):
        for row in strict.candidates(seed, Role.HARMONIC, condition).rows().tolist():
            for other in strict.candidates(seed, Role.PERCUSSION, condition).rows().tolist()[:5]:
                assert strict.chance_matches(seed, row, other, condition) == ()
        for row in literal.candidates(seed, Role.HARMONIC, condition).rows().tolist():
            met.update(literal.chance_matches(seed, row, row, condition))
    assert met == {axis for axis in ("key", "tempo") if axis in condition}


def test_one_table_has_one_index() -> None:
    table = table_of([(0, 0, False, 100.0, True, 1.0)])
    assert PaperGenerator().index(table) is PaperGenerator(align="speed").index(table)
    assert PaperGenerator().index(table) is not PaperGenerator(max_shift=1).index(table)


def test_roles_and_conditions_may_be_names_and_others_are_refused() -> None:
    clips = [(song, 3 * song, False, 100.0, True, 1.0) for song in range(4)]
    index = PaperGenerator().index(table_of(clips))
    for role in (Role.HARMONIC, Role.PERCUSSION):
        for condition in list(Condition)[1:]:
            assert (
                index.candidates(0, str(role), str(condition)).rows().tolist()
                == index.candidates(0, role, condition).rows().tolist()
            )
    assert len(index.candidates(0, "percussion", "matched")) > len(index.candidates(0, "harmonic", "matched"))
    assert index.seeds("original").tolist() == [0, 1, 2, 3]
    with pytest.raises(UsageError, match=r"condition 'unmatched_key' \(did you mean 'unmatched-key'"):
        index.candidates(0, Role.HARMONIC, "unmatched_key")
    with pytest.raises(UsageError, match="condition 'original'"):
        index.candidates(0, Role.HARMONIC, Condition.ORIGINAL)
    with pytest.raises(UsageError, match="condition 'nope'"):
        index.seeds("nope")
    with pytest.raises(UsageError, match="the role vocal has no candidates"):
        index.candidates(0, Role.VOCAL, Condition.MATCHED)
    with pytest.raises(StemError, match="'drums' is not a role"):
        index.candidates(0, "drums", Condition.MATCHED)
    for row in (-1, 4):
        with pytest.raises(UsageError, match=rf"seed is {row} \(give a row from 0 to 3\)"):
            index.candidates(row, Role.HARMONIC, Condition.MATCHED)
