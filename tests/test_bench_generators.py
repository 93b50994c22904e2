"""The generators' benchmark: what breaks a condition is found, and what keeps it is not."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import attrs
import pytest

from mashkit.bench.collections import Choice, RenderedSource
from mashkit.bench.generators import GeneratorTask, evenness, faults
from mashkit.bench.tasks import Input, NotProvided
from mashkit.builtin.paper import PaperGenerator
from mashkit.pipeline import Kit
from mashkit.types import Clip, Condition, MashupPlan, Role
from rows import row_of

TASK = GeneratorTask()


@pytest.fixture(scope="module")
def clips() -> dict[str, Clip]:
    return {clip.id: clip for clip in RenderedSource(2, 8).clips}


def drawn(clips: dict[str, Clip], condition: Condition, **options: Any) -> list[MashupPlan]:
    generator = Kit(options={"generator": options}).generator
    return list(generator.plan(list(clips.values()), condition=condition, count=5, seed=1))


@pytest.mark.parametrize("condition", list(Condition))
@pytest.mark.parametrize("align", ["beats", "speed"])
def test_the_papers_plans_are_valid(clips: dict[str, Clip], condition: Condition, align: str) -> None:
    for plan in drawn(clips, condition, align=align):
        assert faults(plan, clips) == []


def test_what_breaks_a_condition_is_found(clips: dict[str, Clip]) -> None:
    plan = next(plan for plan in drawn(clips, Condition.MATCHED, align="speed"))

    def changed(role: Role, **more: Any) -> MashupPlan:
        return attrs.evolve(
            plan, layers=[attrs.evolve(one, **more) if one.role is role else one for one in plan.layers]
        )  # fmt: skip

    harmonic = plan.layer(Role.HARMONIC)
    cases = [
        (changed(Role.HARMONIC, semitones=harmonic.semitones + 1), "harmonic .1 semitones off"),
        (changed(Role.HARMONIC, semitones=harmonic.semitones + 12), "shifted by"),
        (changed(Role.PERCUSSION, speed=plan.layer(Role.PERCUSSION).speed * 1.05), "percussion 5 % off tempo"),
        (changed(Role.PERCUSSION, clip_id=plan.layer(Role.VOCAL).clip_id), "own song"),
        (changed(Role.VOCAL, semitones=1.0), "vocal is altered"),
        (attrs.evolve(plan, duration_s=24.0), "lasts 24.0 s"),
        (attrs.evolve(plan, layers=plan.layers[:2]), "a role is missing"),
        (attrs.evolve(plan, condition=Condition.UNMATCHED_KEY), "fits by chance"),
        (attrs.evolve(plan, condition=Condition.UNMATCHED_TEMPO), "in time by chance"),
        (attrs.evolve(plan, condition=Condition.ORIGINAL), "stems of several clips"),
    ]
    for broken, problem in cases:
        found = faults(broken, clips)
        assert any(problem.replace(".1", sign + "1") in fault for fault in found for sign in "+-"), (problem, found)


def test_evenness_is_entropy() -> None:
    assert evenness("abcd") == pytest.approx(1)
    assert evenness("aaaa") == 0
    assert evenness("aaab") == pytest.approx(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25)) / math.log(2))


def given(condition: Condition) -> Input:
    made = Choice(name="rendered", data=None, seed=1, songs=8).to_input()
    return Input(
        name=str(condition), measure=str(condition), place=made["place"], parameters={**made["parameters"], "plans": 8}
    )


@pytest.mark.whole
def test_who_never_repeats_or_always_does_is_told_apart() -> None:
    class Fickle(PaperGenerator):
        turn = 0

        def _plan(self, clips: Any, **more: Any) -> Iterator[MashupPlan]:
            Fickle.turn += 1
            return super()._plan(clips, **{**more, "seed": Fickle.turn})

    class Stubborn(PaperGenerator):
        def _plan(self, clips: Any, **more: Any) -> Iterator[MashupPlan]:
            return super()._plan(clips, **{**more, "seed": 1})

    good, fickle, stubborn = (
        TASK.measure(one, given(Condition.MATCHED)) for one in (PaperGenerator(), Fickle(), Stubborn())
    )
    assert (good["repeats"], fickle["repeats"], stubborn["repeats"]) == (1, 0, 1)
    assert good["differs"] > 0.5 > stubborn["differs"] == 0
    assert good["valid"] == 1
    assert good["rate"] > 0
    rows = [row_of(values=good), row_of(status="unavailable")]
    assert TASK.summarize(rows)["repeats"] == 100
    assert TASK.summarize([*rows, row_of(status="failed")])["valid"] is None


def test_a_condition_that_is_not_provided_is_no_failure() -> None:
    class Narrow(PaperGenerator):
        info = attrs.evolve(PaperGenerator.info, provides={"matched"})

    with pytest.raises(NotProvided, match="no condition original"):
        TASK.measure(Narrow(), given(Condition.ORIGINAL))


def test_without_the_collection_every_condition_is_missing() -> None:
    inputs = TASK.inputs({"collection": "songs"}, None)
    assert [one.name for one in inputs] == [str(condition) for condition in Condition]
    assert all("no --data" in one.missing for one in inputs)
