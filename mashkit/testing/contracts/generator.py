"""What every generator must do."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from mashkit.components import Component
from mashkit.interfaces import Generator
from mashkit.testing.contracts.component import ComponentContract
from mashkit.testing.synthetic import SyntheticSource
from mashkit.types import Clip, Condition, Key, Role


class GeneratorContract(ComponentContract):
    """What every generator must do."""

    kind = "generator"

    @pytest.fixture(scope="class")
    @classmethod
    def clips(cls) -> list[Clip]:
        """Six clips, several of which fit each other."""
        bands = [(Key(0, "major"), 120.0), (Key(2, "major"), 110.0), (Key(9, "minor"), 126.0),
                 (Key(5, "major"), 100.0), (Key(7, "minor"), 96.0), (Key(11, "major"), 104.0)]  # fmt: skip
        return SyntheticSource(bands, bars=16).clips

    @pytest.fixture(scope="class")
    @classmethod
    def conditions(cls, subject: Generator) -> list[str]:
        """The conditions it knows."""
        return sorted(subject.info.provides)

    def _outcome(self, subject: Component) -> dict[str, npt.NDArray[np.float64]]:
        assert isinstance(subject, Generator)
        clips = SyntheticSource([(Key(0, "major"), 120.0), (Key(2, "major"), 110.0)], bars=16).clips
        return {
            plan.id: np.array([[layer.speed, layer.semitones, layer.offset_s, layer.gain_db] for layer in plan.layers])
            for condition in subject.info.provides
            for plan in subject.plan(clips, condition=condition, count=2, seed=1)
        }

    def test_conditions_are_known(self, conditions: list[str]) -> None:
        assert set(conditions) <= {str(condition) for condition in Condition}

    def test_count_and_condition(self, subject: Generator, clips: list[Clip], conditions: list[str]) -> None:
        for condition in conditions:
            plans = list(subject.plan(clips, condition=condition, count=4, seed=1))
            assert 1 <= len(plans) <= 4
            assert {str(plan.condition) for plan in plans} == {condition}

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
                assert (vocal.speed, vocal.semitones) == (1.0, 0.0)

    def test_variants_combine_the_same_stems(
        self, subject: Generator, clips: list[Clip], conditions: list[str]
    ) -> None:
        known = {clip.id: clip for clip in clips}
        for condition in conditions:
            plan = next(subject.plan(clips, condition=condition, count=1, seed=2))
            assert subject.variants(plan, known)  # the interface checks what they combine

    def test_threads(self, subject: Generator, clips: list[Clip], conditions: list[str]) -> None:
        self._assert_threads_agree(
            subject,
            lambda: list(subject.plan(clips, condition=conditions[0], count=4, seed=9)),
            lambda one, other: one == other,
        )
