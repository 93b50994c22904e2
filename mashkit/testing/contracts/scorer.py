"""What every scorer must do."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest

from mashkit.interfaces import Scorer, Stretcher
from mashkit.render import Mashup, Renderer
from mashkit.testing.contracts.component import ComponentContract
from mashkit.testing.contracts.synthetic import SyntheticSource
from mashkit.types import Audio, Clip, Condition, Key, Layer, MashupPlan, Role, Score


class _Stacker(Stretcher):
    """Repeats or drops nothing: for scorer checks whose layers are not stretched."""

    def _stretch(self, audio: Audio, *, speed: float, semitones: float, frames: int) -> Audio:
        raise AssertionError("the contract's mashups are made of layers at speed 1 without shift")


def _original(source: SyntheticSource, clip: Clip) -> Mashup:
    layers = [Layer(role=role, clip_id=clip.id) for role in Role]
    plan = MashupPlan(condition=Condition.ORIGINAL, layers=layers, duration_s=clip.duration, seed=0)
    return Renderer(source, _Stacker()).mashup(plan)


def _crossed(source: SyntheticSource, vocal: Clip, backing: Clip) -> Mashup:
    layers = [Layer(role=role, clip_id=(vocal if role is Role.VOCAL else backing).id) for role in Role]
    duration = min(vocal.duration, backing.duration)
    plan = MashupPlan(condition=Condition.UNMATCHED_KEY_TEMPO, layers=layers, duration_s=duration, seed=0)
    return Renderer(source, _Stacker()).mashup(plan)


class ScorerContract(ComponentContract):
    """What every scorer must do."""

    kind = "scorer"

    @pytest.fixture(scope="class")
    @classmethod
    def mashups(cls) -> list[Mashup]:
        """Two originals and two crossings of bands in other keys and tempi."""
        source = SyntheticSource([(Key(0, "major"), 120.0), (Key(6, "major"), 97.0)], bars=8)
        one, other = source.clips
        return [
            _original(source, one), _original(source, other), _crossed(source, one, other), _crossed(source, other, one)
        ]  # fmt: skip

    @pytest.fixture(scope="class")
    @classmethod
    def scores(cls, subject: Scorer, mashups: list[Mashup]) -> list[Score]:
        """The scores of ``mashups``."""
        return subject.score(mashups)

    def test_no_mashups_no_scores(self, subject: Scorer) -> None:
        assert subject.score([]) == []

    def test_parts_are_those_it_provides(self, subject: Scorer, scores: list[Score]) -> None:
        for score in scores:
            assert set(score.parts) <= subject.info.provides
            assert all(np.isfinite(value) for value in score.parts.values())

    def test_one_scale(self, scores: list[Score]) -> None:
        assert len({score.scale for score in scores}) == 1

    def test_same_mashups_same_scores(self, subject: Scorer, mashups: list[Mashup], scores: list[Score]) -> None:
        assert [score.value for score in subject.score(mashups)] == pytest.approx([score.value for score in scores])

    def test_order_does_not_matter(self, subject: Scorer, mashups: list[Mashup], scores: list[Score]) -> None:
        backwards = subject.score(mashups[::-1])
        assert [score.value for score in backwards[::-1]] == pytest.approx([score.value for score in scores], rel=1e-5)

    def test_company_does_not_matter(self, subject: Scorer, mashups: list[Mashup], scores: list[Score]) -> None:
        alone = [subject.score([mashup])[0].value for mashup in mashups]
        assert alone == pytest.approx([score.value for score in scores], rel=1e-5)

    def test_threads(self, subject: Scorer, mashups: list[Mashup]) -> None:
        self._assert_threads_agree(
            subject,
            lambda: [score.value for score in subject.score(mashups)],
            lambda one, other: one == pytest.approx(other, rel=1e-5),
        )

    def test_a_fresh_instance_agrees(self, mashups: list[Mashup], scores: list[Score]) -> None:
        fresh = cast("Scorer", self.create()).score(mashups)
        assert [score.value for score in fresh] == pytest.approx([score.value for score in scores], rel=1e-5)
