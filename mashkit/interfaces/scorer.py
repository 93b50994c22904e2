"""Scorer: the interface of components that estimate how good a mashup is."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import attrs

from mashkit.arguments import require_all
from mashkit.components import Component
from mashkit.errors import ContractViolation, PlanError
from mashkit.mashup import Mashup
from mashkit.types import Role, Score

_ONE_EACH = "return a list, one Score for each mashup"


@attrs.define(kw_only=True, eq=False)
class Scorer(Component):
    """Scores mashups. ``info.provides`` names the parts of its scores.

    A score may lack a part, because a mashup may lack the layer that the part compares. It has no other parts.

    Examples
    --------
    >>> import mashkit as mk
    >>> from mashkit.synthetic.source import SyntheticSource
    >>> from mashkit.testing.mashups import mashup_of
    >>> class Steady(mk.Scorer):
    ...     # Prefers backings that are played at their own speed. It reads plans, so nothing is rendered.
    ...     info = mk.ComponentInfo(
    ...         name="steady", target="steady:Steady", summary="Own speed", code_license="MIT", provides={"change"}
    ...     )
    ...     needs = (mk.Role.HARMONIC,)
    ...     def _score(self, mashups):
    ...         changes = [abs(mashup.plan.layer(mk.Role.HARMONIC).speed - 1) for mashup in mashups]
    ...         return [mk.Score(-change, parts={"change": change}) for change in changes]
    >>> songs = SyntheticSource([(mk.Key(9, "minor"), 120.0)], bars=2)
    >>> fast = mashup_of(songs, songs.clips[0], harmonic={"speed": 1.25})
    >>> [score.value for score in Steady().score([fast, mashup_of(songs, songs.clips[0])])]
    [-0.25, 0.0]
    """

    kind: ClassVar[str] = "scorer"
    needs: ClassVar[tuple[Role, ...]] = ()
    """The roles of which a mashup must have a layer. Without them :meth:`score` raises PlanError."""

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        needs: object = cls.needs
        if not isinstance(needs, tuple) or not set(needs) <= set(Role):
            raise TypeError(f"needs of {cls.__name__} is {needs!r}: give a tuple of {', '.join(Role)}")

    def score(self, mashups: Sequence[Mashup]) -> list[Score]:
        """Return one score for each mashup, in the same order.

        Parameters
        ----------
        mashups : sequence of Mashup
            Their stems and mix are rendered on first use. A scorer that reads only plans, clips or the clips' own stems
            causes no rendering.

        Returns
        -------
        list of Score
            As long as ``mashups``; higher is better. A score does not depend on the other mashups in the batch, except
            for a :class:`RelativeScorer`.

        Raises
        ------
        UsageError
            If ``mashups`` are not mashups.
        PlanError
            If a mashup has no layer of a role that the scorer needs.
        ComponentFailed
            If the backend raises, or gives a value that is not a score (NaN, a probability outside 0–1).
        ContractViolation
            If the number of scores differs from the number of mashups, or a score has a part that is not in
            ``info.provides``.
        """
        mashups = require_all("mashups", mashups, Mashup, "give mashups, such as those of kit.generate(catalog)")
        self._require_roles(mashups)
        with self.backend_call("score"):
            scores = list(self.required_items(self._score(mashups), "score", _ONE_EACH)) if mashups else []
        return self._checked(scores, len(mashups))

    def _require_roles(self, mashups: Sequence[Mashup]) -> None:
        for mashup in mashups:
            for role in self.needs:
                if role not in mashup.roles:
                    raise PlanError(
                        f"plan {mashup.plan.id} has no {role} layer, which {self.info.name!r} compares",
                        f"give a plan with a {role} stem",
                    )

    def _checked(self, scores: list[Score], count: int) -> list[Score]:
        if len(scores) != count:
            raise ContractViolation(f"scorer {self.info.name!r} returned {len(scores)} scores for {count} mashups")
        for score in scores:
            self.require_result(score, Score, "score")
            if undeclared := sorted(set(score.parts) - self.info.provides):
                raise ContractViolation(
                    f"scorer {self.info.name!r} returned the part {undeclared[0]!r}, which it does not provide",
                    f"it provides {', '.join(sorted(self.info.provides)) or 'no parts'}",
                )
        scales = sorted({score.scale for score in scores})
        if len(scales) > 1:
            raise ContractViolation(
                f"scorer {self.info.name!r} returned scores on {' and '.join(scales)} scales",
                "give all on one scale, because they are ranked together",
            )
        return scores

    @abstractmethod
    def _score(self, mashups: Sequence[Mashup]) -> Sequence[Score]:
        """Score at least one mashup."""


@attrs.define(kw_only=True, eq=False)
class RelativeScorer(Scorer):
    """Scores each mashup relative to all mashups that are scored with it. A mashup alone has no useful score.

    A relative scorer works in two steps. First it measures each mashup independently of the others, so that mashups can
    be measured in batches, and an error of one mashup does not affect the others. Then it compares the measurements. A
    caller must therefore give all mashups that are to be compared at once, as :meth:`mashkit.Kit.score` does with all
    mashups of the run.

    Examples
    --------
    >>> import mashkit as mk
    >>> from mashkit.interfaces.scorer import RelativeScorer
    >>> from mashkit.synthetic.source import SyntheticSource
    >>> from mashkit.testing.mashups import mashup_of
    >>> class Middle(RelativeScorer):
    ...     # Prefers mashups whose length is that of the others.
    ...     info = mk.ComponentInfo(name="middle", target="middle:Middle", summary="s", code_license="MIT", provides=())
    ...     def _measure(self, mashups):
    ...         return [mashup.plan.duration_s for mashup in mashups]
    ...     def _compare(self, measured):
    ...         mean = sum(measured) / len(measured)
    ...         return [mk.Score(-abs(length - mean)) for length in measured]
    >>> songs = SyntheticSource([(mk.Key(9, "minor"), 120.0)], bars=8)
    >>> mashups = [mashup_of(songs, songs.clips[0], duration_s=length) for length in (4, 6, 14)]
    >>> [score.value for score in Middle().score(mashups)]
    [-4.0, -2.0, -6.0]
    """

    def measure(self, mashups: Sequence[Mashup]) -> list[Any]:
        """Return one measurement for each mashup, each independent of the other mashups.

        Raises
        ------
        PlanError
            If a mashup has no layer of a role that the scorer needs.
        ComponentFailed
            If the backend raises.
        ContractViolation
            If the number of measurements differs from the number of mashups.
        """
        self._require_roles(mashups)
        with self.backend_call("score"):
            due = "return a list, one measurement for each mashup"
            measured = list(self.required_items(self._measure(mashups), "score", due)) if mashups else []
        if len(measured) != len(mashups):
            raise ContractViolation(f"scorer {self.info.name!r} measured {len(measured)} of {len(mashups)} mashups")
        return measured

    def compare(self, measured: Sequence[Any]) -> list[Score]:
        """Return the score of each measurement relative to all of them; raises as :meth:`score` does.

        The order of the measurements does not affect the scores. A single measurement has a score too, without a
        comparison.
        """
        with self.backend_call("compare"):
            scores = list(self.required_items(self._compare(measured), "compare", _ONE_EACH)) if measured else []
        return self._checked(scores, len(measured))

    def _score(self, mashups: Sequence[Mashup]) -> Sequence[Score]:
        return self.compare(self.measure(mashups))

    @abstractmethod
    def _measure(self, mashups: Sequence[Mashup]) -> Sequence[Any]:
        """Measure at least one mashup."""

    @abstractmethod
    def _compare(self, measured: Sequence[Any]) -> Sequence[Score]:
        """Score at least one measurement."""
