"""Mixtures: each condition's own run, interleaved, the same from any number of processes, and accounted for."""

from __future__ import annotations

import itertools
import json
import tracemalloc
from collections import Counter
from collections.abc import Iterator

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mashkit as mk
from mashkit import conditions
from mashkit.builtin.paper import PaperGenerator
from mashkit.cliptable import ClipTable
from mashkit.compactset import CompactSet
from mashkit.conditions import UNMATCHED
from mashkit.errors import ContractViolation, GenerationError, UsageError
from mashkit.generation import Mixture, Recipe
from mashkit.interfaces import Executor
from mashkit.interfaces.generator import Draw, Tally, distinct
from mashkit.registry import Registry
from mashkit.types import Analysis, Clip, Condition, Key, Role


def make_clip(index: int, tonic: int, tempo: float) -> Clip:
    beats = np.arange(0.2, 40.0, 60 / tempo)
    name = f"clip-{index}"
    return Clip(name, name, name, f"{name}.ogg", 0.0, 40.0, 44_100,
                Analysis(Key(tonic, "major"), tempo, beats, beats[::4]))  # fmt: skip


@pytest.fixture(scope="module")
def clips() -> ClipTable:
    random = np.random.default_rng(2)
    return ClipTable.of(
        [make_clip(index, int(random.integers(12)), float(random.uniform(85, 130))) for index in range(30)]
    )


def generator(**options: object) -> PaperGenerator:
    made = Registry().create("generator", "paper", options)
    assert isinstance(made, PaperGenerator)
    return made


def local(jobs: int) -> Executor:
    made = Registry().create("executor", "local", {"jobs": jobs})
    assert isinstance(made, Executor)
    return made


# ------------------------------------------------------------------------------------------------------------ recipes
@given(st.integers(0, 500), st.lists(st.floats(0, 10), min_size=3, max_size=3).filter(lambda shares: sum(shares) > 0.1))
def test_shares_add_up_and_are_met_to_a_plan(negatives: int, shares: list[float]) -> None:
    given_shares = dict(zip(UNMATCHED, shares, strict=True))
    recipe = Recipe.for_training(positives=1, negatives=negatives, shares=given_shares)
    assert recipe.total == 1 + negatives
    for condition, share in given_shares.items():
        assert abs(recipe.counts.get(condition, 0) - negatives * share / sum(shares)) < 1 + 1e-9


def test_thirds_are_equal() -> None:
    counts = Recipe.for_training(negatives=11).counts
    assert dict(counts) == {"unmatched-key": 4, "unmatched-tempo": 4, "unmatched-key-tempo": 3}


@pytest.mark.parametrize(
    ("counts", "problem"),
    [
        ({}, "no plans"),
        ({"matched": 0}, "no plans"),
        ({"matched": -1}, "-1"),
        ({"odd ": 1}, "odd"),
        ({"matched": 2.5}, "2.5"),
        (["matched"], "'matched'. given for a mapping"),
        (5, "5 given for a mapping"),
    ],
)
def test_recipes_that_make_no_sense(counts: dict[Condition, int], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        Recipe(counts)


@pytest.mark.parametrize(
    "shares",
    [
        {"matched": 1.0},
        {"unmatched-key": -1.0},
        {"unmatched-key": 0.0},
        {"unmatched-key": float("nan")},
        {"unmatched-key": "1"},
    ],
)
def test_shares_that_make_no_sense(shares: dict[Condition, float]) -> None:
    with pytest.raises(UsageError, match="shares of negatives"):
        Recipe.for_training(negatives=3, shares=shares)


def test_numbers_of_plans_that_make_no_sense() -> None:
    for wrong in ({"negatives": -1}, {"negatives": -2}, {"positives": -1}, {"unlabelled": -1}):
        with pytest.raises(UsageError, match=str(*wrong.values())):
            Recipe.for_training(**{"positives": 3, **wrong})
    with pytest.raises(UsageError, match=r"shares is \[1, 1, 2\], of type list \(give {condition: share"):
        Recipe.for_training(negatives=3, shares=[1, 1, 2])  # type: ignore[arg-type]


# ----------------------------------------------------------------------------------------------------------- mixtures
MIXED = Recipe.for_training(positives=20, negatives=60, unlabelled=40)


def test_a_mixture_is_its_conditions_own_runs(clips: ClipTable) -> None:
    drawn = list(Mixture(generator(), clips, MIXED, seed=4))
    assert Counter(plan.condition for plan in drawn) == dict(MIXED.counts)
    for condition, count in MIXED.counts.items():
        run = list(generator().plan(clips, condition=condition, count=count, seed=4))
        assert [plan for plan in drawn if plan.condition == condition] == run


def test_conditions_keep_their_proportions_at_any_moment(clips: ClipTable) -> None:
    drawn: Counter[Condition] = Counter()
    for plan in Mixture(generator(), clips, MIXED, seed=4):
        drawn[plan.condition] += 1
        for condition, count in MIXED.counts.items():
            assert abs(drawn[condition] - drawn.total() * count / MIXED.total) < 1.5


def test_no_plan_sounds_like_another(clips: ClipTable) -> None:
    # Under "literal" a negative may be the very matched mashup: in key, and its tempo fits. Every matched one is drawn.
    recipe = Recipe({"matched": 3000, "unmatched-key": 3000})
    few = ClipTable.of(list(clips)[:9])
    mixture = Mixture(generator(mismatch="literal"), few, recipe, seed=0)
    drawn = list(mixture)
    assert len({plan.id for plan in drawn}) == len(drawn)
    alone = [
        plan
        for name in recipe.counts
        for plan in generator(mismatch="literal").plan(few, condition=name, count=3000, seed=0)
    ]
    assert len(drawn) == len({plan.id for plan in alone}) < len(alone)
    assert set(mixture.report.exhausted) == set(recipe.counts)


@pytest.mark.whole
@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_any_number_of_processes_draws_the_same(clips: ClipTable, jobs: int) -> None:
    here = Mixture(generator(mismatch="literal"), clips, MIXED, seed=7)
    there = Mixture(generator(mismatch="literal"), clips, MIXED, seed=7, executor=local(jobs))
    assert [plan.to_json() for plan in there] == [plan.to_json() for plan in here]
    assert there.report == here.report
    assert here.report.tallies["original"].repeated > 0  # so that what is dropped is decided the same, too


@pytest.mark.whole
def test_processes_come_to_the_same_end(clips: ClipTable) -> None:
    few = ClipTable.of(list(clips)[:6])
    recipe = Recipe({"original": 9, "matched": 500})
    here, there = (
        Mixture(generator(), few, recipe, seed=0),
        Mixture(generator(), few, recipe, seed=0, executor=local(2)),
    )
    assert list(there) == list(here)
    assert there.report == here.report
    assert set(here.report.exhausted) == {"original", "matched"}


def test_every_draw_is_accounted_for(clips: ClipTable) -> None:
    mixture = Mixture(generator(min_duration_s=38.0), clips, MIXED, seed=1)
    drawn = Counter(plan.condition for plan in mixture)
    report = mixture.report
    for condition, tally in report.tallies.items():
        assert tally.draws == drawn[condition] + tally.repeated + tally.rejected.total()
        assert report.drawn[condition] == drawn[condition]
    reasons = {reason for tally in report.tallies.values() for reason in tally.rejected}
    assert "the stems overlap for too short or too long a time" in reasons


def test_redrawn_seeds_are_counted() -> None:
    # Nothing fits the last clip: whenever it is drawn as seed, another is.
    alone = ClipTable.of([*(make_clip(index, 0, 100.0) for index in range(4)), make_clip(4, 0, 170.0)])
    mixture = Mixture(generator(), alone, Recipe({"matched": 12}), seed=0)
    assert all(plan.layer(Role.VOCAL).clip_id != "clip-4" for plan in mixture)
    assert mixture.report.tallies["matched"].rejected["no harmonic stem of another song fits the drawn vocal"] > 0


def test_chance_matches_are_counted(clips: ClipTable) -> None:
    known = {clip.id: clip for clip in clips}
    recipe = Recipe.for_training(negatives=150)
    assert next(iter(Mixture(generator(), clips, recipe, seed=3))) is not None
    for mismatch in ("strict", "literal"):
        mixture = Mixture(generator(mismatch=mismatch), clips, recipe, seed=3)
        fit = Counter(plan.condition for plan in mixture if fits_by_chance(plan, known))
        assert {name: count["any"] for name, count in mixture.report.chance.items() if count} == fit
        assert mixture.report.chance_share == fit.total() / 150
        assert (mixture.report.chance_share == 0) == (mismatch == "strict")


@pytest.mark.parametrize("mismatch", ["strict", "literal"])
def test_who_reports_no_draws_is_charged_with_the_same_chance_matches(mismatch: str) -> None:
    random = np.random.default_rng(7)
    table = ClipTable.of(
        [
            attrs.evolve(clip, analysis=attrs.evolve(clip.analysis, tuning=float(random.integers(-12, 13))))
            for clip in (
                make_clip(index, int(random.integers(4)), float(random.uniform(95, 105))) for index in range(9)
            )
        ]
    )
    known = {clip.id: clip for clip in table}
    mixture = Mixture(generator(mismatch=mismatch), table, Recipe.for_training(negatives=90), seed=1)
    alike = {condition: Counter[str]() for condition in UNMATCHED}
    for plan in mixture:
        axes = conditions.fits_by_chance(plan, known)
        alike[plan.condition].update([*axes, "any"] if axes else [])
    assert alike == dict(mixture.report.chance)


def fits_by_chance(plan: mk.MashupPlan, known: dict[str, Clip]) -> bool:
    vocal, harmonic, percussion = (known[plan.layer(role).clip_id].analysis for role in Role)
    assert vocal.key is not None
    assert harmonic.key is not None
    in_key = "key" in plan.condition and harmonic.key.semitones_to(vocal.key) == 0
    ratios = [float(vocal.tempo) / float(other.tempo) for other in (harmonic, percussion)]  # type: ignore[arg-type]
    return in_key or ("tempo" in plan.condition and any(max(ratio, 1 / ratio) < 1.04 for ratio in ratios))


def test_one_vocal(clips: ClipTable) -> None:
    plans = list(Mixture(generator(), clips, Recipe({"matched": 30}), seed=0, vocal="clip-3"))
    assert {plan.layer(Role.VOCAL).clip_id for plan in plans} == {"clip-3"}


@pytest.mark.parametrize("jobs", [None, 2])
def test_several_vocals_are_drawn_in_turn(clips: ClipTable, jobs: int | None) -> None:
    recipe = Recipe({"matched": 11, "unmatched-key": 9})
    executor = None if jobs is None else local(jobs)
    mixture = Mixture(generator(), clips, recipe, seed=0, vocal=["clip-3", "clip-5"], executor=executor)
    plans = list(mixture)
    for condition in recipe.counts:
        drawn = [plan for plan in plans if plan.condition == condition]
        assert [plan.layer(Role.VOCAL).clip_id for plan in drawn] == (["clip-3", "clip-5"] * 6)[: len(drawn)]
        assert len(drawn) == recipe.counts[condition]
        for vocal in ("clip-3", "clip-5"):
            own = [plan for plan in drawn if plan.layer(Role.VOCAL).clip_id == vocal]
            alone = generator().plan(clips, condition=condition, count=len(own), seed=0, vocal=vocal)
            assert list(alone) == own


@pytest.mark.parametrize("jobs", [None, 2])
def test_a_vocal_that_has_no_more_plans_does_not_stop_the_others(jobs: int | None) -> None:
    table = ClipTable.of([make_clip(0, 6, 160.0), *(make_clip(index, 0, 98.0 + index) for index in range(1, 7))])

    def counted(recipe: dict[str, int], vocal: list[str]) -> tuple[Counter[str], Mixture]:
        executor = None if jobs is None else local(jobs)
        mixture = Mixture(generator(), table, Recipe(recipe), seed=0, vocal=vocal, executor=executor)
        return Counter(plan.layer(Role.VOCAL).clip_id for plan in mixture), mixture

    sung, mixture = counted({"matched": 8}, ["clip-0", "clip-1"])
    assert sung == {"clip-1": 8}
    assert mixture.report.exhausted == {}
    sung, mixture = counted({"original": 8}, ["clip-0", "clip-1"])
    assert sung == {"clip-0": 1, "clip-1": 1}
    assert mixture.report.exhausted == {"original": "no more were found"}
    with pytest.raises(GenerationError, match="no matched mashup"):
        counted({"matched": 2}, ["clip-0"])
    with pytest.raises(UsageError, match="vocal names no clip"):
        counted({"matched": 2}, [])


def test_a_condition_that_has_none_does_not_stop_the_others() -> None:
    two = ClipTable.of([make_clip(0, 0, 100.0), make_clip(1, 6, 160.0)])
    mixture = Mixture(generator(), two, Recipe({"original": 2, "matched": 4}), seed=0)
    assert [plan.condition for plan in mixture] == ["original"] * 2
    assert "no matched mashup among 2 clips" in mixture.report.exhausted["matched"]
    with pytest.raises(GenerationError, match="no matched mashup"):
        list(Mixture(generator(), two, Recipe({"matched": 4, "unmatched-tempo": 1}), seed=0, executor=local(1)))


def test_wrong_arguments_are_said_before_anything_is_drawn(clips: ClipTable) -> None:
    right = {"generator": generator(), "clips": clips, "recipe": MIXED, "seed": 0}
    wrong = {"vocal": "nobody", "seed": "1", "generator": "paper", "clips": ["x"], "recipe": {"matched": 1}}
    wrong["executor"] = "local"
    for name, value in wrong.items():
        with pytest.raises(UsageError, match="no clip has the id" if name == "vocal" else name):
            Mixture(**{**right, name: value})
    with pytest.raises(UsageError, match="seed is -1"):
        Mixture(**{**right, "seed": -1})
    with pytest.raises(UsageError, match=r"negatives is 2\.5"):
        Recipe.for_training(negatives=2.5)  # type: ignore[arg-type]


def test_a_mixture_is_drawn_once(clips: ClipTable) -> None:
    mixture = Mixture(generator(), clips, Recipe({"matched": np.int64(3)}), seed=np.int64(1))
    plans = list(mixture)
    assert [mk.MashupPlan.from_json(plan.to_json()) for plan in plans] == plans
    with pytest.raises(UsageError, match="drawn already"):
        list(mixture)
    assert json.loads(json.dumps(mixture.report.to_dict()))["conditions"]["matched"]["drawn"] == 3


@attrs.define(kw_only=True, eq=False)
class Plain(mk.Generator):
    """A generator that does not tell its draws."""

    info = PaperGenerator.info
    stranger: bool = False
    mismatch: str = "strict"
    asked: list[int] = attrs.field(factory=list, init=False)

    def _plan(
        self, clips: ClipTable, *, condition: Condition, count: int, seed: int, vocal: str | None
    ) -> Iterator[mk.MashupPlan]:
        self.asked.append(count)
        paper = PaperGenerator(mismatch=self.mismatch)
        for plan in paper.plan(clips, condition=condition, count=count, seed=seed, vocal=vocal):
            layers = [attrs.evolve(layer, clip_id="who") if self.stranger else layer for layer in plan.layers]
            yield attrs.evolve(plan, layers=layers)


def test_generators_that_tell_nothing_of_their_draws_mix_too(clips: ClipTable) -> None:
    plain, telling = (
        list(Mixture(one, clips, MIXED, seed=4, executor=local(2))) for one in (Plain(), PaperGenerator())
    )
    assert plain == telling
    recipe = Recipe.for_training(negatives=90)
    mixtures = [Mixture(kind(mismatch="literal"), clips, recipe, seed=3) for kind in (Plain, PaperGenerator)]
    assert list(mixtures[0]) == list(mixtures[1])
    assert mixtures[0].report.chance_share == mixtures[1].report.chance_share > 0
    with pytest.raises(ContractViolation, match="unknown clips"):
        list(Mixture(Plain(stranger=True), clips, MIXED, seed=4))


def test_no_more_plans_are_requested_than_are_needed(clips: ClipTable) -> None:
    plain = Plain()
    assert len(list(Mixture(plain, clips, Recipe({"matched": 30, "unmatched-key": 2}), seed=4))) == 32
    assert sorted(plain.asked) == [2, 30]
    # As many as there are: the rest is looked for once.
    few = Plain()
    three = ClipTable.of([make_clip(index, 0, 100.0) for index in range(3)])
    assert 0 < len(list(Mixture(few, three, Recipe({"matched": 500}), seed=4))) < 500
    assert few.asked == [500]


# -------------------------------------------------------------------------------------------------------------- draws
def test_draws_do_not_depend_on_each_other(clips: ClipTable) -> None:
    for condition in Condition:
        one, other = (
            generator(phrase_bars=4, min_duration_s=15.0).drawer(clips, condition=condition, seed=5, vocal=None)
            for _ in range(2)
        )
        forwards = [one.draw(number, ()) for number in range(40)]
        assert [other.draw(number, ()) for number in reversed(range(40))] == forwards[::-1]


def test_seeds_and_conditions_draw_differently(clips: ClipTable) -> None:
    def vocals(condition: str, seed: int) -> list[str]:
        return [
            plan.layer(Role.VOCAL).clip_id for plan in generator().plan(clips, condition=condition, count=20, seed=seed)
        ]

    assert len({tuple(vocals(*one)) for one in itertools.product(("matched", "unmatched-key"), (0, 1, 2**70))}) == 6


def test_runs_end_when_nothing_new_is_drawn_for_long() -> None:
    plan = next(iter(PaperGenerator().plan([make_clip(0, 0, 100.0)], condition="original", count=1, seed=0)))
    draws = (
        Draw(number=number, choice=7, plan=plan) if number == 10 else Draw(number=number, rejected="why")
        for number in itertools.count()
    )
    tally = Tally()
    assert [draw.number for draw in distinct(draws, CompactSet(), tally)] == [10]
    assert (tally.draws, tally.rejected["why"]) == (1011, 1010)


@pytest.mark.whole
def test_memory_does_not_grow_with_the_plans(clips: ClipTable) -> None:
    stream = generator(align="speed").plan(clips, condition="unmatched-key", count=100_000, seed=0)
    for _ in itertools.islice(stream, 500):
        pass
    tracemalloc.start()
    try:
        for _ in itertools.islice(stream, 2000):
            pass
        grown = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    # Two numbers a plan, against repetition, in sets that double their size from time to time.
    assert grown < 2000 * 50
