"""Components made of others: each field from whom it should come, sums that are sums, results computed once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import attrs
import numpy as np
import pytest

import mashkit as mk
from mashkit.catalog.adding import spec_of
from mashkit.cli import main
from mashkit.composite import CachedAnalyzer, CachedScorer, EnsembleScorer
from mashkit.errors import OptionError, UnknownComponent, UsageError
from mashkit.registry import Registry
from mashkit.render import Mashup
from mashkit.testing import AnalyzerContract, ScorerContract, signals
from mashkit.testing.synthetic import SyntheticSource
from mashkit.types import Analysis, Audio, Key, Score


class TestCombinedAnalyzer(AnalyzerContract):
    component = "librosa"

    @classmethod
    def create(cls) -> mk.Analyzer:
        analyzer = Registry().create("analyzer", "key:essentia,beats:librosa")
        assert isinstance(analyzer, mk.Analyzer)
        return analyzer

    @classmethod
    def registered(cls):  # type: ignore[no-untyped-def]
        return attrs.evolve(super().registered(), info=cls.create().info)


class TestEnsembleScorer(ScorerContract):
    component = "amu"

    @classmethod
    def create(cls) -> mk.Scorer:
        scorer = Registry().create("scorer", "amu+0.5*amu-2021")
        assert isinstance(scorer, mk.Scorer)
        return scorer

    @classmethod
    def registered(cls):  # type: ignore[no-untyped-def]
        return attrs.evolve(super().registered(), info=cls.create().info)


@pytest.fixture(scope="module")
def song() -> Audio:
    return signals.mix(signals.band(Key(4, "minor"), tempo=116.0, bars=8)[0])


@pytest.fixture(scope="module")
def mashups() -> list[Mashup]:
    source = SyntheticSource([(Key(0, "major"), 120.0), (Key(2, "major"), 110.0)], bars=16)
    kit = mk.Kit()
    return kit.mashups(source, kit.generator.plan(source.clips, condition="matched", count=3, seed=0))


def test_each_field_comes_from_whom_it_should(song: Audio) -> None:
    registry = Registry()
    both = registry.create("analyzer", "key:essentia,beats:librosa")
    essentia, librosa = (registry.create("analyzer", name).analyze(song) for name in ("essentia", "librosa"))  # type: ignore[attr-defined]
    found = both.analyze(song)  # type: ignore[attr-defined]
    assert found.key == essentia.key
    assert found.tempo == librosa.tempo
    np.testing.assert_array_equal(found.beats, librosa.beats)
    assert found.confidence["key"] == essentia.confidence["key"]
    assert both.info.provides == {"key", "beats", "tempo"}
    assert both.info.code_license == "AGPL-3.0-only AND ISC"
    assert [part["name"] for part in both.describe()["parts"]] == ["essentia", "librosa"]


def test_an_analyzer_named_twice_works_once(song: Audio) -> None:
    analyzer = Registry().create("analyzer", "key:librosa,tempo:librosa")
    assert len(analyzer.members()) == 1  # type: ignore[attr-defined]
    assert analyzer.analyze(song).beats is None  # type: ignore[attr-defined]


def test_a_composite_can_be_made_again_in_another_process() -> None:
    analyzer = Registry().create("analyzer", "key:essentia,beats:madmom", {"essentia.profile": "edma"})
    spec = spec_of(analyzer)
    assert spec is not None
    again = Registry().create("analyzer", *spec)
    assert again.fingerprint() == analyzer.fingerprint()
    plain = Registry().create("analyzer", "key:essentia,beats:madmom")
    assert plain.fingerprint() != analyzer.fingerprint()


@pytest.mark.parametrize(
    ("kind", "name", "options", "error", "said"),
    [
        ("analyzer", "key:nobody,beats:madmom", {}, UnknownComponent, "nobody"),
        ("analyzer", "mood:madmom", {}, UsageError, "mood"),
        ("analyzer", "downbeats:essentia,beats:madmom", {}, UsageError, "downbeats"),
        ("analyzer", "beats:librosa,downbeats:madmom", {}, UsageError, "none of them"),
        ("analyzer", "key:", {}, UsageError, "made of others"),
        ("scorer", "amu+", {}, UsageError, "made of others"),
        ("scorer", "0*amu+amu-2021", {}, UsageError, "above 0"),
        ("stretcher", "cached:signalsmith", {}, UsageError, "made of others"),
        ("scorer", "amu+amu-2021", {"tiv.x": 1}, OptionError, "none of amu, amu-2021"),
        ("scorer", "amu+amu-2021", {"amu.nothing": 1}, OptionError, "nothing"),
    ],
)
def test_what_makes_no_composite(kind: str, name: str, options: dict, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        Registry().create(kind, name, options)


def test_a_sum_is_a_sum(mashups: list[Mashup]) -> None:
    registry = Registry()
    one, other, both = (registry.create("scorer", name) for name in ("amu", "amu-2021", "amu+0.5*amu-2021"))
    for alone, second, score in zip(one.score(mashups), other.score(mashups), both.score(mashups), strict=True):  # type: ignore[attr-defined]
        assert score.value == pytest.approx(alone.value + 0.5 * second.value)
        assert score.parts["amu"] == alone.value
        assert score.parts["amu-2021.harmony"] == second.parts["harmony"]


@attrs.define(kw_only=True, eq=False)
class Half(mk.Scorer):
    """A probability of one half; counts its calls."""

    info = mk.ComponentInfo(name="half", target="x:X", summary="s", provides=["x"], code_license="MIT")
    value: float = 0.5
    seen: list[str] = attrs.field(factory=list)

    def options(self) -> dict[str, object]:
        return {"value": self.value}

    def _score(self, mashups: Sequence[Mashup]) -> list[Score]:
        self.seen += [mashup.plan.id for mashup in mashups]
        return [Score(self.value, "probability") for _ in mashups]


def test_probabilities_stay_probabilities(mashups: list[Mashup]) -> None:
    parts = {"a": Half(value=1.0), "b": Half(value=0.2)}
    scorer = EnsembleScorer(name="a+3*b", parts=parts, weights_of={"a": 1.0, "b": 3.0})
    assert {(score.scale, round(score.value, 9)) for score in scorer.score(mashups)} == {("probability", 0.4)}


def test_scores_are_computed_once(mashups: list[Mashup], tmp_path: Path) -> None:
    inner = Half()
    first = CachedScorer(name="cached:half", inner=inner, folder=tmp_path).score(mashups)
    again = CachedScorer(name="cached:half", inner=inner, folder=tmp_path)
    assert again.score(mashups[::-1]) == first[::-1]
    assert len(inner.seen) == len(mashups)
    damaged = next(tmp_path.rglob("*.json"))
    damaged.write_text("{")
    assert again.score(mashups) == first
    assert json.loads(damaged.read_text())["scale"] == "probability"
    other = Half(value=0.25)
    assert CachedScorer(name="cached:half", inner=other, folder=tmp_path).score(mashups[:1])[0].value == 0.25


def test_analyses_are_computed_once(song: Audio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    librosa = mk.Kit(analyzer="librosa").analyzer
    first = CachedAnalyzer(name="cached:librosa", inner=librosa, folder=tmp_path).analyze(song)
    again = CachedAnalyzer(name="cached:librosa", inner=librosa, folder=tmp_path)
    monkeypatch.setattr(type(librosa), "_analyze", lambda self, mix: Analysis())
    assert again.analyze(song) == first
    louder = Audio(song.samples * np.float32(0.5), song.sample_rate)
    assert again.analyze(louder) == Analysis()


def test_from_the_command_line(demo_songs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    song = demo_songs / "slow-river.ogg"
    assert main(["analyze", str(song), "--analyzer", "key:essentia,beats:librosa", "--json", "--quiet"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["results"][0]["key"] is not None
    assert len(data["results"][0]["beats"]) > 50
    assert [part["name"] for part in data["analyzer"]["parts"]] == ["essentia", "librosa"]
    command = ["analyze", str(song), "--analyzer", "cached:librosa", "-O", "analyzer.nothing=1", "--quiet"]
    assert main(command) == 2
    assert "nothing" in capsys.readouterr().err
