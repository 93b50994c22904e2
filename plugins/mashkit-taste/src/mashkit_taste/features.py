"""Features of plans: what scorers say of them, value and parts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import attrs

from mashkit.catalog import Catalog
from mashkit.errors import said_of
from mashkit.interfaces import Scorer
from mashkit.interfaces.scorer import RelativeScorer
from mashkit.pipeline import Kit
from mashkit.preferences import SIDES, Preference
from mashkit.registry import Registry
from mashkit.types import MashupPlan, Score
from mashkit_taste.errors import TasteError

Named: TypeAlias = Mapping[str, float]


@attrs.frozen
class Chosen:
    """A scorer by name, with its options."""

    name: str
    options: Mapping[str, Any] = attrs.field(factory=dict)

    def create(self, registry: Registry) -> Scorer:
        """Return the scorer.

        Raises
        ------
        TasteError
            If it is a taste itself, or scores mashups relative to each other.
        MashkitError
            As of :meth:`mashkit.Registry.create`.
        """
        made = registry.create("scorer", self.name, self.options)
        if isinstance(made, RelativeScorer) or made.info.name == "taste":
            raise TasteError(f"scorer {self.name!r} cannot be learnt from", "name scorers that judge one mashup alone")
        return made


@attrs.frozen
class Measured:
    """What scorers say of plans.

    Parameters
    ----------
    features : mapping of str to mapping
        Plan id → features.
    probabilities : frozenset of str
        The features that are probabilities: values of scorers that say so. Of parts of scores nobody says it.
    """

    features: Mapping[str, Named]
    probabilities: frozenset[str]


def named(scorer: str, score: Score) -> dict[str, float]:
    """Return the features of a score: "amu" is its value, "amu.harmony" a part."""
    return {scorer: score.value, **{f"{scorer}.{part}": value for part, value in score.parts.items()}}


def measured(
    chosen: Sequence[Chosen],
    catalog: Catalog,
    plans: Iterable[MashupPlan],
    registry: Registry,
    left_out: Callable[[str], object] = str,
) -> Measured:
    """Return the features of plans by all scorers; a plan that one of them cannot judge is left out and told.

    Parameters
    ----------
    chosen : sequence of Chosen
    catalog : Catalog
        With the plans' clips.
    plans : iterable of MashupPlan
    registry : Registry
    left_out : callable
        Called with a text for each plan that is left out.
    """
    wanted = {one.id: one for one in plans}
    found: dict[str, dict[str, float]] = {name: {} for name in wanted}
    scales: dict[str, set[str]] = {}
    for one in chosen:
        kit = Kit(scorer=one.create(registry), registry=registry)
        for name, result in zip(wanted, kit.score_plans(catalog, list(wanted.values())), strict=True):
            if name not in found:
                continue
            if isinstance(result, Score):
                found[name] |= named(one.name, result)
                scales.setdefault(one.name, set()).add(result.scale)
            else:
                left_out(said_of(f"plan {name}", result))
                del found[name]
    return Measured(found, frozenset(name for name, of in scales.items() if of == {"probability"}))


def given(preference: Preference, chosen: Sequence[Chosen]) -> dict[str, Named] | None:
    """Return the features that came with a preference, by side; None if a scorer's are not among them."""
    sides: dict[str, Named] = {}
    for side in SIDES:
        values = preference.features.get(side, {})
        if any(one.name not in values for one in chosen):
            return None
        sides[side] = {
            name: float(value) for name, value in values.items()
            if any(name == one.name or name.startswith(f"{one.name}.") for one in chosen)
        }  # fmt: skip
    return sides
