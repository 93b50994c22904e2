"""What a component says of itself: all of it as data, and in its fingerprint what its results depend on."""

from __future__ import annotations

import copy
import hashlib
import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import numpy as np
import pytest

import mashkit as mk
from mashkit.components import Component, Origin, cost_only, without_costs
from mashkit.components.code import class_sha256, code_sha256
from mashkit.composite import CachedScorer, CombinedAnalyzer, EnsembleScorer, StandingScorer
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


class Unstated(Weighing):
    """The same scorer with weights of its user's own."""

    def weights_license(self) -> str:
        return "unknown"


def test_the_licence_of_the_weights_in_use_changes_no_fingerprint() -> None:
    one, other = Weighing(), Unstated()
    one.origin = other.origin = Origin("acme", "1.0")  # of a component without one, the class counts
    assert other.describe()["weights_license"] == "unknown"
    assert one.describe()["weights_license"] == "none"
    assert one.fingerprint() == other.fingerprint()


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


# ------------------------------------------------------------------------------------------------------------ copies
class Undecorated(Weighing):
    """A class without attrs, whose attributes are no fields."""

    extra = 1

    @cached_property
    def loaded(self) -> Callable[[], float]:
        return lambda: self.weight  # which cannot be pickled, as a model often cannot


@attrs.define(kw_only=True, eq=False)
class Again(Undecorated):
    """A class with attrs below one without."""

    more: int = 0
    _own: list[int] = attrs.field(factory=list, init=False)


@attrs.frozen(kw_only=True, eq=False)
class Frozen(mk.Scorer):
    """A class whose fields cannot be set."""

    info = Weighing.info
    level: float = 1.0

    def _score(self, mashups: Any) -> list[Score]:
        return [Score(self.level) for _ in mashups]


class Stateful(Undecorated):
    """A class that says itself what a copy has."""

    def __getstate__(self) -> dict[str, Any]:
        return {"weight": self.weight * 2}


COPIES: dict[str, Callable[[Any], Any]] = {
    "pickle": lambda one: pickle.loads(pickle.dumps(one)),  # noqa: S301 — our own bytes
    "oldest pickle": lambda one: pickle.loads(pickle.dumps(one, protocol=0)),  # noqa: S301 — our own bytes
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


@pytest.mark.parametrize("how", COPIES)
def test_a_copy_has_everything_but_what_is_computed_again(how: str) -> None:
    for cls in (Undecorated, Again):
        one = cls(weight=3.0)
        one.extra, one.never_declared = 5, "here"  # type: ignore[attr-defined]
        assert one.loaded() == 3.0
        other = COPIES[how](one)
        assert (other.weight, other.extra, other.never_declared) == (3.0, 5, "here")
        assert other.loaded() == 3.0
        assert other.fingerprint() == one.fingerprint()
    again = Again(more=4)
    again._own.append(7)
    assert (COPIES[how](again).more, COPIES[how](again)._own) == (4, [7])
    assert COPIES[how](Frozen(level=0.5)).level == 0.5
    assert COPIES[how](Stateful(weight=2.0)).weight == 4.0


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize(
    "name", ["loudness", "loudness+0.5*random", "rank(loudness,random)", "cached:random", "z(cached:random,loudness)"]
)
def test_a_copy_of_a_scorer_is_the_same_scorer(how: str, name: str) -> None:
    one = Registry().create("scorer", name)
    other = COPIES[how](one)
    assert other.describe() == one.describe()
    assert (other.info, other.origin, other.fingerprint()) == (one.info, one.origin, one.fingerprint())


# ------------------------------------------------------------------------------------------ what no registry has made
def ensembles() -> dict[str, Component]:
    """Composites of one name that differ in how they are made."""
    one, other = Weighing(), Weighing(weight=2.0)
    parts, about = {"a": one, "b": other}, {"name": "mine"}
    hears = mk.Registry().create("analyzer", "librosa")
    return {
        "sum": EnsembleScorer(parts=parts, weights_of={"a": 1.0, "b": 1.0}, **about),
        "weights": EnsembleScorer(parts=parts, weights_of={"a": 1.0, "b": 2.0}, **about),
        "swapped": EnsembleScorer(parts={"a": other, "b": one}, weights_of={"a": 1.0, "b": 2.0}, **about),
        "ranks": StandingScorer(parts=parts, weights_of={"a": 1.0, "b": 1.0}, how="rank", **about),
        "z": StandingScorer(parts=parts, weights_of={"a": 1.0, "b": 1.0}, how="z", **about),
        "key": CombinedAnalyzer(parts={"key": hears}, **about),
        "tempo": CombinedAnalyzer(parts={"tempo": hears}, **about),
    }


@pytest.mark.plugins
def test_composites_that_are_made_in_other_ways_have_other_fingerprints() -> None:
    first, again = ({name: one.fingerprint() for name, one in ensembles().items()} for _ in range(2))
    assert first == again
    assert len(set(first.values())) == len(first)


def test_every_element_of_an_array_counts() -> None:
    @attrs.define(kw_only=True, eq=False)
    class Profiled(Weighing):
        profile: Any = None

    for size in (3, 1001, 5000):
        flat = np.zeros(size)
        bent = flat.copy()
        bent[size // 2] = 1e-12
        assert Profiled(profile=flat).fingerprint() == Profiled(profile=flat.copy()).fingerprint()
        assert Profiled(profile=flat).fingerprint() != Profiled(profile=bent).fingerprint()
        json.dumps(Profiled(profile=flat).described(), allow_nan=False)
    assert Profiled(profile=np.int64(3)).fingerprint() == Profiled(profile=3).fingerprint()
    assert Profiled(profile={"b", "a"}).described()["options"]["profile"] == ["a", "b"]


PROGRAM = """
import attrs
import mashkit as mk

FACTOR = {factor}
TABLE = {{"a": [1, {table}]}}

def helped(mashups):
    return [{value} * FACTOR * TABLE["a"][1] for _ in mashups]

@attrs.define(kw_only=True, eq=False)
class Made(mk.Scorer):
    # {remark}
    info = mk.ComponentInfo(name="made", target="made:Made", summary="s", code_license="MIT", provides=())
    seen = 0

    def _score(self, mashups):
        return [mk.Score(value) for value in helped(mashups)]
"""


def made_by_program(module: str = "typed", **changes: object) -> Component:
    """Return a component whose source cannot be read, as in a notebook."""
    space = ModuleType(module)
    values = {"factor": 1, "table": 2, "value": 0.5, "remark": "as it was"}
    exec(PROGRAM.format(**values | changes), vars(space))  # noqa: S102 — as a notebook does
    made: Component = space.Made()
    return made


def test_a_component_of_a_program_is_told_by_its_class_and_code() -> None:
    first = made_by_program()
    assert made_by_program().fingerprint() == first.fingerprint()
    assert made_by_program(remark="another line").fingerprint() == first.fingerprint()
    changed: list[dict[str, Any]] = [{"factor": 3}, {"table": 5}, {"value": 0.25}, {"module": "other"}]
    prints = {made_by_program(**one).fingerprint() for one in changed}
    assert len(prints) == len(changed)
    assert first.fingerprint() not in prints
    assert type(first).__annotations__ == {}  # a class has this attribute only after it was read
    assert code_sha256(first) == code_sha256(made_by_program())
    assert code_sha256(first) != code_sha256(made_by_program(value=0.25))
    assert class_sha256(Weighing) != class_sha256(Undecorated)

    def weighed(factor: float) -> type:
        return type("Weighed", (mk.Scorer,), {"_score": lambda self, mashups: [mk.Score(factor) for _ in mashups]})

    assert class_sha256(weighed(0.5)) == class_sha256(weighed(0.5))
    assert class_sha256(weighed(0.5)) != class_sha256(weighed(2.0))


def test_the_same_program_has_the_same_fingerprint_in_each_run() -> None:
    program = PROGRAM.format(factor=1, table=2, value=0.5, remark="") + (
        "    names = frozenset(map(str, range(30)))\n"
        "    def known(self, name): return name in {'a', 'b', 'c', 'd', 'e'}\n"
        "print(Made().fingerprint())\n"
        "from mashkit.composite import CachedScorer\n"
        "from mashkit.components.code import code_sha256\n"
        "print(code_sha256(CachedScorer(name='cached:made', inner=Made())))\n"
    )
    for arguments, given in ((["-c", program], ""), (["-"], program)):
        runs = {
            subprocess.run(
                [sys.executable, *arguments], input=given, capture_output=True, text=True, check=True, timeout=120
            ).stdout
            for _ in range(2)
        }
        assert len(runs) == 1
        assert len(runs.pop().split()) == 2


def test_components_that_a_registry_makes_keep_the_fingerprints_that_databases_have() -> None:
    one = Registry().create("scorer", "random", {"seed": 7})
    described = one.describe()
    due = hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()
    assert one.fingerprint() == due


@pytest.mark.parametrize("seed", [np.int64(7), np.uint8(7), np.int32(7)])
def test_numbers_of_numpy_are_numbers(seed: Any) -> None:
    one = Registry().create("scorer", "random", {"seed": seed})
    assert type(one.options()["seed"]) is int
    assert one.fingerprint() == Registry().create("scorer", "random", {"seed": 7}).fingerprint()
