"""Define the contract tests of scorers."""

from __future__ import annotations

from typing import Any, ClassVar, cast

import numpy as np
import numpy.typing as npt
import pytest

from mashkit.components import Component
from mashkit.errors import AnalysisError, MashkitError, PlanError
from mashkit.interfaces import Scorer
from mashkit.interfaces.scorer import RelativeScorer
from mashkit.mashup import Mashup
from mashkit.synthetic.source import SyntheticSource
from mashkit.testing.contracts.component import ComponentContract
from mashkit.testing.mashups import Shelf, mashup_of
from mashkit.types import Analysis, Audio, Clip, Condition, Key, Role, Score


class ScorerContract(ComponentContract):
    """Requirements for every scorer.

    Examples
    --------
    >>> from mashkit.testing import ScorerContract
    >>> class TestLoudness(ScorerContract):  # in a test file: pytest runs its checks
    ...     component = "loudness"
    >>> [name for name in vars(ScorerContract) if name.startswith("test_")][:3]
    ['test_no_mashups_no_scores', 'test_parts_are_those_it_provides', 'test_one_scale']
    """

    kind = "scorer"
    needs_beats: ClassVar[bool] = False
    """Whether the scorer cannot score a mashup whose clips have no beats."""
    stems_read: ClassVar[int | None] = None
    """The number of stems that the scorer reads to score any number of mashups of one clip, if it caches its
    measurements of stems."""

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

    def test_one_scale(self, subject: Scorer, mashups: list[Mashup], scores: list[Score]) -> None:
        # The scores of one call are on one scale, or score() raises an error. Here, calls are compared.
        assert {score.scale for mashup in mashups for score in subject.score([mashup])} == {scores[0].scale}

    def test_input_is_not_altered(self, subject: Scorer, mashups: list[Mashup]) -> None:
        mashup = mashup_of(*_shelf(mashups[0], "song", mashups[0].clips[Role.VOCAL].analysis))
        sounds = [mashup.mix, *mashup.stems.values(), *map(mashup.source_stem, mashup.roles)]
        before = [audio.samples.copy() for audio in sounds]
        subject.score([mashup])
        after = [mashup.mix, *mashup.stems.values(), *map(mashup.source_stem, mashup.roles)]
        for audio, again, samples in zip(sounds, after, before, strict=True):
            assert np.array_equal(audio.samples, samples)
            assert np.array_equal(again.samples, samples)

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
            lambda one: [score.value for score in one.score(mashups)],
            lambda one, other: one == pytest.approx(other, rel=1e-5),
        )

    def test_a_fresh_instance_agrees(self, mashups: list[Mashup], scores: list[Score]) -> None:
        fresh = cast("Scorer", self.create()).score(mashups)
        assert [score.value for score in fresh] == pytest.approx([score.value for score in scores], rel=1e-5)

    @pytest.mark.parametrize("role", list(Role))
    def test_a_plan_without_a_role_it_needs_is_named(self, subject: Scorer, mashups: list[Mashup], role: Role) -> None:
        if role is Role.VOCAL:
            pytest.skip("every plan has a vocal")
        if role not in subject.needs:
            pytest.skip(f"needs no {role}")
        lacking = _lone(mashups[0], {role.value: None})
        with pytest.raises(PlanError, match=lacking.plan.id):
            subject.score([lacking])

    @pytest.mark.parametrize("seconds", [0.1, 0.3, 0.9, 1.5])
    def test_short_mashups_have_a_score_or_are_named(
        self, subject: Scorer, mashups: list[Mashup], seconds: float
    ) -> None:
        short = _lone(mashups[0], {}, seconds)
        _scored_or_named(subject, short, short.plan.id)

    def test_a_clip_without_beats_has_a_score_or_is_named(self, subject: Scorer, mashups: list[Mashup]) -> None:
        shelf, clip = _shelf(mashups[0], "rubato", Analysis())
        if self.needs_beats:
            with pytest.raises(AnalysisError, match="rubato"):
                subject.score([mashup_of(shelf, clip)])
        else:
            _scored_or_named(subject, mashup_of(shelf, clip), "rubato")

    def test_stems_of_another_source_with_the_same_name_are_scored_anew(self, mashups: list[Mashup]) -> None:
        shelf, clip = _shelf(mashups[0], "song", mashups[0].clips[Role.VOCAL].analysis)
        other = Shelf()
        backwards = {role: Audio(shelf.stem("song", role).samples[:, ::-1], clip.sample_rate) for role in Role}
        again = mashup_of(other, other.add("song", backwards, clip.analysis))
        scorer, fresh = (cast("Scorer", self.create()) for _ in range(2))
        scorer.score([mashup_of(shelf, clip)])
        (found,), (expected,) = scorer.score([again]), fresh.score([again])
        assert found.value == pytest.approx(expected.value, rel=1e-5)

    def test_each_stem_is_read_once(self, mashups: list[Mashup]) -> None:
        if self.stems_read is None:
            pytest.skip("keeps nothing of the stems")
        shelf, clip = _shelf(mashups[0], "song", mashups[0].clips[Role.VOCAL].analysis)
        scorer = cast("Scorer", self.create())
        scorer.score([mashup_of(shelf, clip, harmonic={"semitones": shift}) for shift in range(5)])
        scorer.score([mashup_of(shelf, clip)])
        assert shelf.asked == self.stems_read


def _shelf(mashup: Mashup, name: str, analysis: Analysis) -> tuple[Shelf, Clip]:
    """Return a source of one clip, which has the stems of the mashup's vocal clip and another analysis."""
    clip, source = mashup.clips[Role.VOCAL], mashup.renderer.source
    shelf = Shelf()
    return shelf, shelf.add(name, {role: source.stem(clip.id, role) for role in Role}, analysis)


def _lone(mashup: Mashup, changes: dict[str, Any], seconds: float | None = None) -> Mashup:
    """Return the mashup of the vocal clip's own stems, without some layers or of another length."""
    return mashup_of(mashup.renderer.source, mashup.clips[Role.VOCAL], duration_s=seconds, **changes)


def _scored_or_named(subject: Scorer, mashup: Mashup, name: str) -> None:
    """Require a finite score, or an error of mashkit that contains ``name``."""
    try:
        (score,) = subject.score([mashup])
    except MashkitError as error:
        outcome = str(error)
    else:
        outcome = name if np.isfinite(score.value) else repr(score)
    assert name in outcome
