"""The paper's conditions: the predicates say what they should, and the generator's plans satisfy them."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mashkit.builtin.paper import PaperGenerator
from mashkit.conditions import (
    BACKING,
    KEY_FREE,
    MAX_OFFSET_S,
    MAX_SHIFT,
    SPEEDS,
    TEMPO_CLASH,
    TEMPO_FREE,
    UNMATCHED,
    Rules,
    delays,
    fifth_apart,
    folded,
    key_distance,
    keys_clash,
    relative_tempi,
    tempi_clash,
)
from mashkit.errors import GenerationError
from mashkit.types import Analysis, Clip, Condition, Key, Role, by_id

ORIGINAL, MATCHED, KEY, TEMPO, BOTH = Condition

Facts = tuple[int, Key, int, float]
"""Song, key, tuning in cents, tempo in BPM."""

facts = st.tuples(
    st.integers(0, 9),
    st.builds(Key, st.integers(0, 11), st.sampled_from(["major", "minor"])),
    # Whole tenths of a semitone, because the generator measures distances in tenths.
    st.sampled_from([0, 0, 0, -50, -30, 20, 40]),
    st.one_of(st.floats(60, 180), st.sampled_from([80.0, 96.0, 100.0, 104.0, 120.0, 125.0, 160.0])),
)
options = st.fixed_dictionaries(
    {
        "mismatch": st.sampled_from(["strict", "strict", "literal"]),
        "max_shift": st.integers(0, 6),
        "fold_tempo": st.booleans(),
        "align": st.sampled_from(["beats", "speed"]),
    }
)


def clip_of(number: int, fact: Facts) -> Clip:
    """Return a clip of 40 s, long enough for a mashup with any other."""
    song, key, tuning, tempo = fact
    beats = np.arange(0.2, 40, 60 / tempo)
    analysis = Analysis(key, tempo, beats, beats[::4], tuning=float(tuning))
    return Clip(f"clip-{number}", f"song-{song}", "", "", 0.0, 40.0, 44_100, analysis)


def fits(rules: Rules, vocal: Clip, other: Clip, role: Role, condition: Condition) -> bool:
    """Return whether the predicates accept a stem for a vocal."""
    keys = [clip.analysis.key for clip in (vocal, other)]
    assert keys[0] is not None
    assert keys[1] is not None
    assert vocal.analysis.tempo is not None
    assert other.analysis.tempo is not None
    cents = (vocal.analysis.tuning or 0.0) - (other.analysis.tuning or 0.0)
    distance = (round(10 * (keys[1].semitones_to(keys[0]) + cents / 100)) + 60) % 120 - 60
    return (
        vocal.song != other.song
        and rules.tempo_fits(vocal.analysis.tempo / other.analysis.tempo, condition)
        and (role is Role.PERCUSSION or rules.key_fits(distance / 10, condition))
    )


@pytest.mark.whole
@given(st.lists(facts, min_size=2, max_size=9), options, st.sampled_from(list(Condition)), st.integers(0, 99))
@settings(max_examples=80, deadline=None)
def test_every_plan_satisfies_its_condition_and_none_is_missing(
    given_facts: list[Facts], chosen: dict[str, object], condition: Condition, seed: int
) -> None:
    clips = [clip_of(number, fact) for number, fact in enumerate(given_facts)]
    known, generator = by_id(clips), PaperGenerator(**chosen)
    rules = generator.rules
    try:
        plans = list(generator.plan(clips, condition=condition, count=6, seed=seed))
    except GenerationError:
        assert condition is not ORIGINAL
        assert not any(
            all(any(fits(rules, vocal, other, role, condition) for other in clips) for role in BACKING)
            for vocal in clips
        )
        return
    for plan in plans:
        used = {layer.role: known[layer.clip_id] for layer in plan.layers}
        if condition is ORIGINAL:
            assert len({layer.clip_id for layer in plan.layers}) == 1
        else:
            assert all(fits(rules, used[Role.VOCAL], used[role], role, condition) for role in BACKING)
        distance = key_distance(plan, known)
        assert distance is not None
        if condition not in KEY_FREE:
            assert abs(distance) <= 0.05  # less than five cents are not shifted
        elif rules.mismatch == "strict":
            assert keys_clash(round(distance, 6))
        for _, tempo in relative_tempi(plan, known):
            assert tempo is not None
            if condition not in TEMPO_FREE:
                assert tempo == pytest.approx(1, abs=0.01)
            elif rules.mismatch == "strict":
                assert abs(math.log(folded(tempo))) > math.log(1 + TEMPO_CLASH) - 1e-8


def test_the_conditions_of_negatives() -> None:
    assert UNMATCHED == (KEY, TEMPO, BOTH)
    assert {KEY, BOTH} == KEY_FREE
    assert {TEMPO, BOTH} == TEMPO_FREE


def test_the_defaults_of_rules_are_those_of_the_generator() -> None:
    assert PaperGenerator().rules == Rules()
    assert PaperGenerator(max_shift=1, mismatch="literal").rules == Rules(max_shift=1, mismatch="literal")


@pytest.mark.parametrize(
    ("distance", "matched", "unmatched", "without_fifths"),
    [
        (0, True, False, False), (0.9, True, False, False), (1, True, True, True), (-1, True, True, True),
        (MAX_SHIFT, True, True, True), (3.4, True, True, True), (3.5, False, True, True), (4, False, True, True),
        (-3.5, False, True, True), (-4.5, False, True, False), (5, False, True, False),
        (-5, False, True, False), (-4.6, False, True, False), (-6, False, True, True),
    ],
)  # fmt: skip
def test_keys(distance: float, matched: bool, unmatched: bool, without_fifths: bool) -> None:
    rules = Rules()
    assert rules.key_fits(distance, MATCHED) is rules.key_fits(distance, TEMPO) is matched
    assert rules.key_fits(distance, KEY) is rules.key_fits(distance, BOTH) is unmatched is keys_clash(distance)
    assert Rules(fifths=False).key_fits(distance, KEY) is without_fifths
    assert fifth_apart(distance) is (unmatched and not without_fifths)
    assert Rules(mismatch="literal").key_fits(distance, KEY)


@pytest.mark.parametrize(
    ("ratio", "matched", "unmatched"),
    [
        (1, True, False), (1.039, True, False), (1.04, True, True), (1.041, True, True), (1 / 1.039, True, False),
        (1 / 1.04, True, True), (0.961, True, True), (SPEEDS[0], True, True), (SPEEDS[1], True, True),
        (0.79, False, True), (1.21, False, True), (0.5, False, False), (2, False, False), (1.93, False, False),
        (2.1, False, True), (4, False, False),
    ],
)  # fmt: skip
def test_tempi(ratio: float, matched: bool, unmatched: bool) -> None:
    rules = Rules()
    assert rules.tempo_fits(ratio, MATCHED) is rules.tempo_fits(ratio, KEY) is matched
    assert rules.tempo_fits(ratio, TEMPO) is rules.tempo_fits(ratio, BOTH) is unmatched is tempi_clash(ratio)
    assert Rules(fold_tempo=True).tempo_fits(ratio, MATCHED) is (SPEEDS[0] <= folded(ratio) <= SPEEDS[1])
    assert Rules(mismatch="literal").tempo_fits(ratio, TEMPO)
    assert unmatched is (abs(math.log(folded(ratio))) > math.log(1 + TEMPO_CLASH) - 1e-8)


@given(
    st.one_of(st.floats(20, 400), st.sampled_from([96.0, 100.0, 104.0, 208.0, 250.0])),
    st.one_of(st.floats(0.25, 4), st.floats(0.95, 1.05), st.sampled_from([0.96, 1.04, 1 / 1.04, 1 / 0.96, 2.08])),
)
def test_two_tempi_clash_whichever_of_them_is_the_vocals(tempo: float, ratio: float) -> None:
    other = tempo * ratio
    there, back = tempo / other, other / tempo
    assert tempi_clash(there) is tempi_clash(back)
    assert Rules().tempo_fits(there, TEMPO) is Rules().tempo_fits(back, TEMPO)
    assert tempi_clash(there) is (abs(math.log2(there) - round(math.log2(there))) > math.log2(1.04) - 1e-8)


def test_one_stem_of_three_is_delayed() -> None:
    random = np.random.default_rng(0)
    drawn = [delays(random) for _ in range(600)]
    assert all(list(late) == list(Role) for late in drawn)
    moved = [[role for role, by in late.items() if by] for late in drawn]
    assert all(len(roles) == 1 for roles in moved)
    for role in Role:
        assert moved.count([role]) == pytest.approx(200, abs=50)  # 4.3 standard deviations
    times = list(itertools.chain.from_iterable(late.values() for late in drawn))
    assert max(map(abs, times)) <= MAX_OFFSET_S
    assert max(map(abs, (delays(random, 0.5)[role] for role in Role for _ in range(50)))) <= 0.5
