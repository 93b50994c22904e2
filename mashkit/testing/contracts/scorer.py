"""Define the contract tests of scorers."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pytest

from mashkit.components import Component
from mashkit.interfaces import Scorer
from mashkit.interfaces.scorer import RelativeScorer
from mashkit.mashup import Mashup
from mashkit.synthetic.source import SyntheticSource
from mashkit.testing.contracts.component import ComponentContract
from mashkit.testing.mashups import mashup_of
from mashkit.types import Condition, Key, Score


class ScorerContract(ComponentContract):
    """Requirements for every scorer."""

    kind = "scorer"

    @pytest.fixture(scope="class")
    @classmethod
    def mashups(cls) -> list[Mashup]:
        """Return two original mashups and two that combine bands of different keys and tempi."""
        source = SyntheticSource([(Key(0, "major"), 120.0), (Key(6, "major"), 97.0)], bars=8)
        one, other = source.clips
        crossed: dict[str, Any] = {
            "condition": Condition.UNMATCHED_KEY_TEMPO,
            "duration_s": min(one.duration, other.duration),
        }
        return [
            mashup_of(source, one),
            mashup_of(source, other),
            *(
                mashup_of(
                    source, vocal, harmonic={"clip_id": backing.id}, percussion={"clip_id": backing.id}, **crossed
                )
                for vocal, backing in ((one, other), (other, one))
            ),
        ]

    @pytest.fixture(scope="class")
    @classmethod
    def scores(cls, subject: Scorer, mashups: list[Mashup]) -> list[Score]:
        """Return the scores of ``mashups``."""
        return subject.score(mashups)

    def _outcome(self, subject: Component) -> dict[str, npt.NDArray[np.float64]]:
        assert isinstance(subject, Scorer)
        source = SyntheticSource([(Key(0, "major"), 120.0), (Key(6, "major"), 97.0)], bars=8)
        scores = subject.score([mashup_of(source, clip) for clip in source.clips])
        return {"scores": np.array([score.value for score in scores])}

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
        if isinstance(subject, RelativeScorer):  # its scores depend on the other mashups, its measurements do not
            measured = [subject.measure([mashup])[0] for mashup in mashups]
            scores = subject.compare(measured[::-1])[::-1]
            assert [one.value for one in subject.score(mashups)] == pytest.approx([one.value for one in scores])
            return
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
