"""What a component says of itself: all of it as data, and in its fingerprint what its results depend on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest

import mashkit as mk
from mashkit.components import cost_only, without_costs
from mashkit.composite import CachedScorer, EnsembleScorer
from mashkit.registry import Registry
from mashkit.types import Score


@attrs.define(kw_only=True, eq=False)
class Weighing(mk.Scorer):
    """A scorer with one option of each sort."""

    info = mk.ComponentInfo(name="weighing", target="m:W", summary="s", provides={"x"}, code_license="MIT")
    weight: float = 1.0
    folder: Path = Path("here")
    threads: int = attrs.field(default=1, metadata=cost_only(2))

    def _score(self, mashups: Any) -> list[Score]:
        return [Score(self.weight) for _ in mashups]


def test_what_only_costs_is_recorded_and_changes_no_fingerprint() -> None:
    one, other = Weighing(), Weighing(threads=2)
    assert one.fingerprint() == other.fingerprint() != Weighing(weight=2.0).fingerprint()
    assert other.describe()["options"]["threads"] == 2
    assert other.describe()["cost_only"] == ["threads"]
    assert Weighing.cost_options() == {"threads": (2,)}


def test_options_that_are_paths_are_data_too() -> None:
    described = json.loads(json.dumps(Weighing(folder=Path("there")).describe()))
    assert described["options"]["folder"] == "there"


def test_composites_do_not_mind_what_only_costs_their_parts() -> None:
    def ensemble(threads: int, weight: float = 1.0) -> EnsembleScorer:
        part = Weighing(threads=threads, weight=weight)
        given = {"weighing.threads": threads, "weighing.weight": weight}
        return EnsembleScorer(
            name="weighing+weighing", parts={"weighing": part}, weights_of={"weighing": 1.0}, given=given
        )

    assert ensemble(1).fingerprint() == ensemble(2).fingerprint() != ensemble(1, 2.0).fingerprint()
    cached = [CachedScorer(name="cached:weighing", inner=Weighing(threads=threads)) for threads in (1, 2)]
    assert cached[0].fingerprint() == cached[1].fingerprint()


@pytest.mark.plugins
def test_the_default_separators_threads_empty_no_cache() -> None:
    one, other = (Registry().create("separator", "spleeter-torch", {"threads": threads}) for threads in (1, 2))
    assert one.describe() != other.describe()
    assert one.fingerprint() == other.fingerprint()
    assert without_costs(one.describe()) == without_costs(other.describe())
    faithful = Registry().create("separator", "spleeter-torch", {"mask_extension": "zeros"})
    assert faithful.fingerprint() != one.fingerprint()
