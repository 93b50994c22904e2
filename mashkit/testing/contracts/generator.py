"""Define the contract tests of generators."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import ClassVar

import attrs
import numpy as np
import numpy.typing as npt
import pytest

from mashkit.components import Component
from mashkit.conditions import BACKING, DURATION_S, key_distance, relative_tempi
from mashkit.interfaces import Generator
from mashkit.interfaces.generator import PLAN_OPTIONS
from mashkit.synthetic.source import SyntheticSource
from mashkit.testing.contracts.component import ComponentContract
from mashkit.types import Clip, Condition, Key, Layer, MashupPlan, Role, by_id

IN_TUNE = 0.25
"""Largest distance of a fitting layer from the vocal's key, semitones: a quarter of the least distance of a layer that
does not fit."""
IN_TIME = 0.01
"""Largest relative distance from the vocal's tempo of a tempo that fits; at 1 % beats are a third of a beat apart after
half a minute."""
OFF_TEMPO = 0.02
"""Least relative distance from the vocal's tempo of a tempo that does not fit."""
ON_THE_BEAT_S = 0.03
"""Largest distance of a downbeat from the vocal's, seconds; at larger distances listeners hear two sounds."""
PLAN_VALUES: Mapping[str, tuple[object, ...]] = {"align": ("beats", "speed"), "phrase_bars": (0, 4)}
"""Values that every generator with the plan option accepts."""


class GeneratorContract(ComponentContract):
    """Requirements for every generator.

    The clips are synthetic, so their keys, tempi and downbeats are exact, and the promises of a condition
    (:class:`mashkit.conditions.Promise`) are checked in the plans.

    Examples
    --------
    >>> from mashkit.testing import GeneratorContract
    >>> class TestPaper(GeneratorContract):  # in a test file: pytest runs its checks
    ...     component = "paper"
    >>> [name for name in vars(GeneratorContract) if name.startswith("test_")][:3]
    ['test_conditions_are_described', 'test_keys_are_as_promised', 'test_tempi_are_as_promised']
    """

    kind = "generator"
    duration_s: ClassVar[tuple[float, float]] = DURATION_S
    """Shortest and longest mashup it may plan, seconds (docs/paper.md, row 19)."""

    @pytest.fixture(scope="class")
    @classmethod
    def clips(cls) -> list[Clip]:
        """Return seven clips, the first and last of one song; several of them fit each other."""
        bands = [(Key(0, "major"), 120.0), (Key(2, "major"), 110.0), (Key(9, "minor"), 126.0),
                 (Key(5, "major"), 100.0), (Key(7, "minor"), 96.0), (Key(11, "major"), 104.0),
                 (Key(0, "major"), 118.0)]  # fmt: skip
        *others, last = SyntheticSource(bands, bars=16).clips
        return [*others, attrs.evolve(last, song=others[0].song)]

    @pytest.fixture(scope="class")
    @classmethod
    def conditions(cls, subject: Generator) -> list[str]:
        """Return the conditions of the generator."""
        return sorted(subject.info.provides)

    def _outcome(self, subject: Component) -> dict[str, npt.NDArray[np.float64]]:
        assert isinstance(subject, Generator)
        clips = SyntheticSource([(Key(0, "major"), 120.0), (Key(2, "major"), 110.0)], bars=16).clips
        return {
            plan.id: np.array([[layer.speed, layer.semitones, layer.offset_s, layer.gain_db] for layer in plan.layers])
            for condition in subject.info.provides
            for plan in subject.plan(clips, condition=condition, count=2, seed=1)
        }

    @pytest.fixture(scope="class")
    @classmethod
    def drawn(cls, subject: Generator, clips: list[Clip], conditions: list[str]) -> list[MashupPlan]:
        """Return plans of every condition."""
        return [
            plan for one in conditions for plan in subject.plan(clips, condition=one, count=12, seed=11)
        ]  # fmt: skip

    def test_conditions_are_described(self, subject: Generator, conditions: list[str]) -> None:
        assert all(subject.conditions[name] for name in conditions), "say in promises what each condition means"
        assert not set(subject.promises) & set(Condition), "the paper's conditions mean what the paper says"

    def test_keys_are_as_promised(self, subject: Generator, clips: list[Clip], drawn: list[MashupPlan]) -> None:
        for plan in drawn:
            apart = key_distance(plan, by_id(clips))
            assert apart is not None
            promised = subject.promise(plan.condition).key
            if promised == "matched":
                assert abs(apart) < IN_TUNE, (plan.condition, plan.layers)
            elif promised == "unmatched":
                assert abs(apart) > 1 - IN_TUNE, (plan.condition, plan.layers)

    def test_tempi_are_as_promised(self, subject: Generator, clips: list[Clip], drawn: list[MashupPlan]) -> None:
        for plan in drawn:
            promised = subject.promise(plan.condition).tempo
            for _, ratio in relative_tempi(plan, by_id(clips)):
                assert ratio is not None
                apart = max(ratio, 1 / ratio) - 1
                if promised == "matched":
                    assert apart < IN_TIME, (plan.condition, plan.layers)
                elif promised == "unmatched":
                    assert apart > OFF_TEMPO, (plan.condition, plan.layers)

    def test_downbeats_meet_where_promised(
        self, subject: Generator, clips: list[Clip], drawn: list[MashupPlan]
    ) -> None:
        for plan in drawn:
            if subject.promise(plan.condition).downbeats:
                for role in BACKING:
                    assert _downbeats_apart(plan, role, clips) < ON_THE_BEAT_S, (plan.condition, plan.layers)

    def test_songs_are_as_promised(self, subject: Generator, clips: list[Clip], drawn: list[MashupPlan]) -> None:
        for plan in drawn:
            used = {layer.role: clip for layer, clip in _layers(plan, clips, *Role)}
            promised = subject.promise(plan.condition).songs
            if promised == "one":
                assert len({clip.id for clip in used.values()}) == 1, (plan.condition, plan.layers)
            elif promised == "several":
                backing = [used[role].song for role in BACKING if role in used]
                assert used[Role.VOCAL].song not in backing, (plan.condition, plan.layers)

    def test_lasts_as_long_as_a_mashup_may(self, drawn: list[MashupPlan]) -> None:
        shortest, longest = self.duration_s
        for plan in drawn:
            assert shortest - 1e-6 <= plan.duration_s <= longest + 1e-6, (plan.condition, plan.duration_s)

    def test_every_layer_sounds_all_along(self, clips: list[Clip], drawn: list[MashupPlan]) -> None:
        known = by_id(clips)
        for plan in drawn:
            for layer in plan.layers:
                begin, end = layer.to_mashup([0.0, known[layer.clip_id].duration])
                assert begin < ON_THE_BEAT_S, (plan.condition, layer)
                assert end > plan.duration_s - ON_THE_BEAT_S, (plan.condition, layer)

    def test_plan_options_mean_what_they_mean_elsewhere(
        self, subject: Generator, clips: list[Clip], conditions: list[str]
    ) -> None:
        assert set(PLAN_VALUES) == set(PLAN_OPTIONS)
        for name in subject.plan_options:
            for value in PLAN_VALUES[name]:
                other = self.create(**{name: value})
                assert isinstance(other, Generator)
                assert other.options()[name] == value
                plan = next(other.plan(clips, condition=conditions[0], count=1, seed=1))
                assert value != "speed" or all(layer.time_map is None for layer in plan.layers)

    def test_count_and_condition(self, subject: Generator, clips: list[Clip], conditions: list[str]) -> None:
        for condition in conditions:
            plans = list(subject.plan(clips, condition=condition, count=4, seed=1))
            assert 1 <= len(plans) <= 4
            assert {str(plan.condition) for plan in plans} == {condition}

    def test_input_is_not_altered(self, subject: Generator, clips: list[Clip], conditions: list[str]) -> None:
        given = copy.deepcopy(clips)
        for condition in conditions:
            plan = next(subject.plan(given, condition=condition, count=1, seed=1))
            subject.variants(plan, by_id(given))
        assert given == clips

    def test_same_seed_same_plans(self, subject: Generator, clips: list[Clip], conditions: list[str]) -> None:
        for condition in conditions:
            first, second = (list(subject.plan(clips, condition=condition, count=4, seed=7)) for _ in range(2))
            assert first == second

    def test_fewer_plans_are_a_prefix(self, subject: Generator, clips: list[Clip], conditions: list[str]) -> None:
        for condition in conditions:
            many = list(subject.plan(clips, condition=condition, count=4, seed=3))
            assert list(subject.plan(clips, condition=condition, count=2, seed=3)) == many[:2]

    def test_given_vocal_is_used(self, subject: Generator, clips: list[Clip], conditions: list[str]) -> None:
        for condition in conditions:
            for plan in subject.plan(clips, condition=condition, count=3, seed=1, vocal=clips[0].id):
                assert plan.layer(Role.VOCAL).clip_id == clips[0].id

    def test_the_vocal_is_never_altered(self, subject: Generator, clips: list[Clip], conditions: list[str]) -> None:
        for condition in conditions:
            for plan in subject.plan(clips, condition=condition, count=4, seed=5):
                vocal = plan.layer(Role.VOCAL)
                assert (vocal.speed, vocal.semitones, vocal.time_map) == (1.0, 0.0, None)

    def test_variants_combine_the_same_stems(
        self, subject: Generator, clips: list[Clip], conditions: list[str]
    ) -> None:
        known = by_id(clips)
        for condition in conditions:
            plan = next(subject.plan(clips, condition=condition, count=1, seed=2))
            assert subject.variants(plan, known)  # the interface checks what they combine

    def test_threads(self, subject: Generator, clips: list[Clip], conditions: list[str]) -> None:
        self._assert_threads_agree(
            subject,
            lambda one: list(one.plan(clips, condition=conditions[0], count=4, seed=9)),
            lambda one, other: one == other,
        )


def _layers(plan: MashupPlan, clips: list[Clip], *roles: Role) -> Iterator[tuple[Layer, Clip]]:
    """Return the plan's layers of the given roles, with their clips."""
    known = by_id(clips)
    return ((layer, known[layer.clip_id]) for layer in plan.layers if layer.role in roles)


def _downbeats_apart(plan: MashupPlan, role: Role, clips: list[Clip]) -> float:
    """Return the largest distance, seconds, of a placed layer's downbeat from the vocal's nearest downbeat.

    At half or double tempo one of the two has more bars; then the distances are measured from the one with fewer.
    """
    carried = []
    for layer, clip in _layers(plan, clips, Role.VOCAL, role):
        assert clip.analysis.downbeats is not None
        placed = layer.to_mashup(clip.analysis.downbeats)
        carried.append(placed[(placed > -ON_THE_BEAT_S) & (placed < plan.duration_s + ON_THE_BEAT_S)])
    fewer, more = sorted(carried, key=len)
    assert len(fewer) > 1, "no bar of it sounds"
    # Downbeats outside the other's first and last downbeat are left out, because no downbeat is near them.
    bar = float(np.median(np.diff(more)))
    within = fewer[(fewer > more[0] - bar / 2) & (fewer < more[-1] + bar / 2)]
    return float(np.abs(within[:, None] - more[None]).min(axis=1).max())
