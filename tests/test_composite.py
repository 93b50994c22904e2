"""Components made of others: each field from whom it should come, sums that are sums, results computed once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

import mashkit as mk
from light import Grid, Turntable
from mashkit.catalog.adding import spec_of
from mashkit.cli import main
from mashkit.components import ComponentInfo
from mashkit.composite import (
    CachedAnalyzer,
    CachedScorer,
    EnsembleScorer,
    EnsembleSeparator,
    StandingScorer,
    create,
    ranks,
    z_scores,
)
from mashkit.errors import OptionError, PluginWarning, UnknownComponent, UsageError
from mashkit.interfaces import Separator
from mashkit.mashup import Mashup
from mashkit.pipeline import SCORE_BATCH
from mashkit.registry import Registry
from mashkit.rendering.renderer import Renderer
from mashkit.synthetic.source import SyntheticSource
from mashkit.testing import AnalyzerContract, ScorerContract, SeparatorContract, signals
from mashkit.types import Audio, Clip, Key, Score, StemSet


@pytest.mark.plugins
@pytest.mark.slow
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


@pytest.mark.plugins
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


@pytest.mark.plugins
@pytest.mark.slow
class TestStandingScorer(ScorerContract):
    component = "amu"

    @classmethod
    def create(cls) -> mk.Scorer:
        scorer = Registry().create("scorer", "rank(amu,amu-2021)")
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
    kit = mk.Kit(stretcher=Turntable())
    return kit.mashups(source, kit.generator.plan(source.clips, condition="matched", count=3, seed=0))


@pytest.mark.plugins
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


@pytest.mark.plugins
def test_an_analyzer_named_twice_works_once(song: Audio) -> None:
    analyzer = Registry().create("analyzer", "key:librosa,tempo:librosa")
    assert len(analyzer.members()) == 1  # type: ignore[attr-defined]
    assert analyzer.analyze(song).beats is None  # type: ignore[attr-defined]


@pytest.mark.plugins
def test_a_composite_can_be_made_again_in_another_process() -> None:
    analyzer = Registry().create("analyzer", "key:essentia,beats:madmom", {"essentia.profile": "edma"})
    spec = spec_of(analyzer)
    assert spec is not None
    again = Registry().create("analyzer", *spec)
    assert again.fingerprint() == analyzer.fingerprint()
    plain = Registry().create("analyzer", "key:essentia,beats:madmom")
    assert plain.fingerprint() != analyzer.fingerprint()


@pytest.mark.plugins
@pytest.mark.parametrize(
    ("kind", "name", "options", "error", "said"),
    [
        ("analyzer", "key:nobody,beats:madmom", {}, UnknownComponent, "nobody"),
        ("analyzer", "mood:madmom", {}, UsageError, "mood"),
        ("analyzer", "downbeats:essentia,beats:madmom", {}, UsageError, "downbeats"),
        ("analyzer", "beats:librosa,downbeats:madmom", {}, UsageError, "not among the beats"),
        ("analyzer", "key:", {}, UsageError, "is composed in this way"),
        ("scorer", "amu+", {}, UsageError, "is composed in this way"),
        ("scorer", "0*amu+amu-2021", {}, UsageError, "above 0"),
        ("stretcher", "cached:signalsmith", {}, UsageError, "is composed in this way"),
        ("scorer", "amu+amu-2021", {"tiv.x": 1}, OptionError, "does not name which of amu, amu-2021"),
        ("scorer", "amu+amu-2021", {"amu.nothing": 1}, OptionError, "nothing"),
        ("scorer", "rank()", {}, UsageError, "is composed in this way"),
        ("scorer", "rank(amu,z(tiv))", {}, UsageError, "is composed in this way"),
        ("scorer", "rank(amu)+tiv", {}, UsageError, "is composed in this way"),
        ("scorer", "median(amu,tiv)", {}, UsageError, "is composed in this way"),
        ("scorer", "rank(0*amu,tiv)", {}, UsageError, "above 0"),
        ("scorer", "z(amu,nobody)", {}, UnknownComponent, "nobody"),
        ("scorer", "z(amu,tiv)", {"amu.nothing": 1}, OptionError, "nothing"),
        ("scorer", "cached:rank(amu,tiv)", {}, UsageError, "cannot be cached"),
        ("analyzer", "rank(madmom,librosa)", {}, UsageError, "is composed in this way"),
    ],
)
def test_what_makes_no_composite(kind: str, name: str, options: dict, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        Registry().create(kind, name, options)


@pytest.mark.parametrize(
    ("kind", "name", "twice"),
    [
        ("analyzer", "key:librosa,beats:librosa,key:essentia", "key"),
        ("scorer", "random+2*random", "random"),
        ("scorer", "rank(random,loudness,0.5*random)", "random"),
        ("scorer", "z(loudness,loudness)", "loudness"),
        ("separator", "mean(librosa,2*librosa)", "librosa"),
        ("separator", "mean(librosa,demucs;vocals=1:1;vocals=0:1)", "vocals"),
    ],
)
def test_a_part_that_is_named_twice_is_refused_and_named(kind: str, name: str, twice: str) -> None:
    with pytest.raises(UsageError) as raised:
        Registry().create(kind, name)
    assert f"names {twice!r} twice" in raised.value.problem


@pytest.mark.plugins
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

    def trained_on(self) -> tuple[str, ...]:
        return ("Both", f"Song {self.value}")

    def _score(self, mashups: Sequence[Mashup]) -> list[Score]:
        self.seen += [mashup.plan.id for mashup in mashups]
        return [Score(self.value, "probability") for _ in mashups]


def test_probabilities_stay_probabilities(mashups: list[Mashup]) -> None:
    parts = {"a": Half(value=1.0), "b": Half(value=0.2)}
    scorer = EnsembleScorer(name="a+3*b", parts=parts, weights_of={"a": 1.0, "b": 3.0})
    assert {(score.scale, round(score.value, 9)) for score in scorer.score(mashups)} == {("probability", 0.4)}
    assert scorer.trained_on() == ("Both", "Song 1.0", "Song 0.2")


# ------------------------------------------------------------------------------------------------- ranks and z-scores
@attrs.define(kw_only=True, eq=False)
class Column(mk.Scorer):
    """Gives each plan the value it is told; fails at those it knows nothing of."""

    info = mk.ComponentInfo(name="column", target="x:X", summary="s", provides=["x"], code_license="MIT")
    values: dict[str, float] = attrs.field(factory=dict)

    def _score(self, mashups: Sequence[Mashup]) -> list[Score]:
        return [Score(self.values[mashup.plan.id]) for mashup in mashups]


@pytest.fixture(scope="module")
def many() -> list[Mashup]:
    """More than Kit.score hands to a scorer at once."""
    source = SyntheticSource([(Key(0, "major"), 120.0)], bars=8)
    layers = [mk.Layer(role=role, clip_id=source.clips[0].id) for role in mk.Role]
    about = {"condition": mk.Condition.ORIGINAL, "layers": layers, "seed": 0}
    return mk.Kit(stretcher=Turntable()).mashups(
        source, [mk.MashupPlan(duration_s=8 + n / 10, **about) for n in range(20)]
    )


def columns(many: list[Mashup]) -> tuple[dict[str, float], dict[str, float]]:
    """A part of wide spread, and one of narrow spread with another opinion."""
    draw = np.random.default_rng(5)
    plans = [mashup.plan.id for mashup in many]
    wide, narrow = draw.normal(0, 100, len(plans)), draw.normal(0.5, 0.01, len(plans))
    return dict(zip(plans, wide.tolist(), strict=True)), dict(zip(plans, narrow.tolist(), strict=True))


def standing(how: str, **parts: dict[str, float]) -> StandingScorer:
    scorers = {name: Column(values=values) for name, values in parts.items()}
    return StandingScorer(name=f"{how}(…)", how=how, parts=scorers, weights_of=dict.fromkeys(parts, 1.0))


def values(scorer: mk.Scorer, mashups: list[Mashup]) -> list[float]:
    results = mk.Kit(scorer=scorer).score(mashups)
    assert all(isinstance(one, Score) for one in results)
    return [one.value for one in results if isinstance(one, Score)]


def order(scores: Sequence[float]) -> list[int]:
    return np.argsort(scores, kind="stable").tolist()


def test_a_sum_is_its_widest_part_and_ranks_hear_both(many: list[Mashup]) -> None:
    wide, narrow = columns(many)
    alone = values(Column(values=wide), many)
    total = EnsembleScorer(
        name="w+n", parts={"w": Column(values=wide), "n": Column(values=narrow)}, weights_of={"w": 1.0, "n": 1.0}
    )
    assert order(values(total, many)) == order(alone)
    for how in ("rank", "z"):
        both = values(standing(how, w=wide, n=narrow), many)
        # Either part has its say, and none more than the other.
        by_wide, by_narrow = (np.corrcoef(both, list(part.values()))[0, 1] for part in (wide, narrow))
        assert by_wide > 0.4
        assert abs(by_wide - by_narrow) < 0.15


def test_rescaling_a_part_changes_nothing(many: list[Mashup]) -> None:
    wide, narrow = columns(many)
    ranks, z = values(standing("rank", w=wide, n=narrow), many), values(standing("z", w=wide, n=narrow), many)
    grown = {plan: float(np.exp(value / 50)) for plan, value in wide.items()}
    assert values(standing("rank", w=grown, n=narrow), many) == ranks
    for scale, offset in ((1e-9, 0.0), (1e6, -3e7), (0.3, 1e4)):
        affine = {plan: scale * value + offset for plan, value in narrow.items()}
        assert values(standing("z", w=wide, n=affine), many) == pytest.approx(z, abs=1e-6)
    # A fall is no rise.
    falling = {plan: -value for plan, value in narrow.items()}
    assert values(standing("rank", n=falling), many) == pytest.approx(
        [1 - one for one in values(standing("rank", n=narrow), many)]
    )


@pytest.mark.parametrize("how", ["rank", "z"])
def test_batches_and_order_do_not_matter(how: str, many: list[Mashup]) -> None:
    wide, narrow = columns(many)
    scorer = standing(how, w=wide, n=narrow)
    assert len(many) > SCORE_BATCH
    at_once = [score.value for score in scorer.score(many)]
    assert values(scorer, many) == at_once
    assert values(scorer, many[::-1])[::-1] == at_once
    shuffled = np.random.default_rng(0).permutation(len(many)).tolist()
    assert [values(scorer, [many[n] for n in shuffled])[shuffled.index(n)] for n in range(len(many))] == at_once


def test_what_stands_alone_or_among_equals(many: list[Mashup]) -> None:
    wide, _ = columns(many)
    same = dict.fromkeys(wide, 0.1 + 0.2)
    assert values(standing("rank", w=wide), many[:1]) == [0.5]
    assert values(standing("z", w=wide), many[:1]) == [0.0]
    assert set(values(standing("rank", w=same), many)) == {0.5}
    assert set(values(standing("z", w=same), many)) == {0.0}
    assert ranks([3.0, 1.0, 1.0, 2.0]) == pytest.approx([1.0, 1 / 6, 1 / 6, 2 / 3])
    assert z_scores([1.0, 3.0]) == pytest.approx([-1.0, 1.0])
    assert z_scores([1e300, -1e300]) == pytest.approx([1.0, -1.0])


def test_one_that_cannot_be_measured_is_left_out_of_the_comparison(many: list[Mashup]) -> None:
    wide, narrow = columns(many)
    lost = many[7].plan.id
    scorer = standing("rank", w={plan: value for plan, value in wide.items() if plan != lost}, n=narrow)
    results = mk.Kit(scorer=scorer).score(many)
    assert [number for number, one in enumerate(results) if not isinstance(one, Score)] == [7]
    rest = values(standing("rank", w=wide, n=narrow), [*many[:7], *many[8:]])
    assert [one.value for one in results if isinstance(one, Score)] == rest


@pytest.mark.plugins
def test_standings_by_name(mashups: list[Mashup]) -> None:
    registry = Registry()
    both = registry.create("scorer", "rank(amu, 3*amu-2021)")
    first, second = (registry.create("scorer", name) for name in ("amu", "amu-2021"))
    one, other = ([score.value for score in part.score(mashups)] for part in (first, second))  # type: ignore[attr-defined]
    due = [(a + 3 * b) / 4 for a, b in zip(ranks(one), ranks(other), strict=True)]
    scores = both.score(mashups)  # type: ignore[attr-defined]
    assert [score.value for score in scores] == pytest.approx(due)
    assert [score.parts["amu"] for score in scores] == one
    assert all(set(score.parts) <= both.info.provides for score in scores)
    assert registry.create("scorer", *spec_of(both)).fingerprint() == both.fingerprint()  # type: ignore[misc]
    kept = registry.create("scorer", "z(cached:amu,tiv)")
    assert {part["name"] for part in kept.describe()["parts"]} == {"cached:amu", "tiv"}


def test_a_corrected_analysis_is_scored_again(mashups: list[Mashup], tmp_path: Path) -> None:
    inner = Half()
    scorer = CachedScorer(name="cached:half", inner=inner, folder=tmp_path)
    source, mashup = mashups[0].renderer.source, mashups[0]

    class Corrected:
        def clip(self, clip_id: str) -> Clip:
            clip = source.clip(clip_id)
            return attrs.evolve(clip, analysis=attrs.evolve(clip.analysis, tuning=40.0))

        def __getattr__(self, name: str) -> Any:
            return getattr(source, name)

    for of in (source, Corrected(), Corrected(), source):
        scorer.score([Renderer(of, mashup.renderer.stretcher).mashup(mashup.plan)])
    assert len(inner.seen) == 2


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


def test_analyses_are_computed_once(song: Audio, tmp_path: Path) -> None:
    grid = Grid()
    first = CachedAnalyzer(name="cached:grid", inner=grid, folder=tmp_path).analyze(song)
    again = CachedAnalyzer(name="cached:grid", inner=grid, folder=tmp_path)
    assert again.analyze(song) == first
    assert len(grid.calls) == 1
    again.analyze(Audio(song.samples * np.float32(0.5), song.sample_rate))
    assert len(grid.calls) == 2


def test_a_kept_file_of_another_form_is_computed_and_written_anew(
    song: Audio, mashups: list[Mashup], tmp_path: Path
) -> None:
    analyzer, scorer = Grid(), Half()
    kept = CachedAnalyzer(name="cached:grid", inner=analyzer, folder=tmp_path / "analyses")
    scored = CachedScorer(name="cached:half", inner=scorer, folder=tmp_path / "scores")
    analysis, score = kept.analyze(song), scored.score(mashups[:1])
    for text in ("[]", "7", '"key"', '{"value": "high"}', '{"valu": 1}', '{"beats": 3}', "null", "{}"):
        for path in tmp_path.rglob("*.json"):
            path.write_text(text)
        assert scored.score(mashups[:1]) == score
        if text != "{}":  # which is an analysis without any field
            assert kept.analyze(song) == analysis
    computed = len(scorer.seen)
    assert scored.score(mashups[:1]) == score
    assert len(scorer.seen) == computed


def test_results_that_cannot_be_kept_are_given_with_one_note(
    song: Audio, mashups: list[Mashup], tmp_path: Path
) -> None:
    folder = tmp_path / "file" / "results"
    folder.parent.write_text("no folder")
    with pytest.warns(PluginWarning, match=r"results of scorer 'half' are not kept: cannot write .*file") as noted:
        scores = CachedScorer(name="cached:half", inner=Half(), folder=folder).score(mashups)
    assert [score.value for score in scores] == [0.5] * len(mashups)
    assert len(noted) == 1
    with pytest.warns(PluginWarning, match="analyzer"):
        assert CachedAnalyzer(name="cached:grid", inner=Grid(), folder=folder).analyze(song).tempo is not None


def test_a_cache_uses_the_options_that_its_component_has_now(mashups: list[Mashup], tmp_path: Path) -> None:
    inner = Half(value=0.5)
    scorer = CachedScorer(name="cached:half", inner=inner, folder=tmp_path)
    found = []
    for value in (0.5, 0.25, 0.5):
        inner.value = value
        found += [score.value for score in scorer.score(mashups[:1])]
    assert found == [0.5, 0.25, 0.5]
    assert len(inner.seen) == 2


def test_stems_that_no_component_made_are_told_apart_by_their_sound(tmp_path: Path) -> None:
    class OneSong:
        """Has a clip of one name and one analysis, whatever it sounds like."""

        def __init__(self, seed: int) -> None:
            self.stems, self.found = signals.band(Key(9, "minor"), bars=2, seed=seed)

        def clip(self, clip_id: str) -> Clip:
            return Clip("c1", "s1", "Song", "song.wav", 0.0, 4.0, 44_100, analysis)

        def stem(self, clip_id: str, role: mk.Role) -> Audio:
            return self.stems.role(role)

        def provenance(self, ids: object) -> tuple[()]:
            return ()

    analysis = OneSong(0).found
    layers = [mk.Layer(role=role, clip_id="c1") for role in mk.Role]
    plan = mk.MashupPlan(condition="original", layers=layers, duration_s=4, seed=0)
    inner = Half()
    scorer = CachedScorer(name="cached:half", inner=inner, folder=tmp_path)
    for seed, computed in ((0, 1), (5, 2), (0, 2)):
        scorer.score([Renderer(OneSong(seed), Turntable()).mashup(plan)])
        assert len(inner.seen) == computed


@pytest.mark.parametrize(
    ("kind", "name", "members"),
    [
        ("scorer", "random+cached:loudness", ["random", "cached:loudness"]),
        ("scorer", "cached:random + 2*loudness", ["random + 2*loudness"]),
        ("scorer", "(cached:random)+2*loudness", ["cached:random", "loudness"]),
        ("scorer", "cached:(random+loudness)", ["random+loudness"]),
        ("scorer", "rank(random,0.5*(loudness+2*random))", ["random", "loudness+2*random"]),
        ("scorer", "rank(cached:random, cached:(random+loudness))", ["cached:random", "cached:(random+loudness)"]),
        ("scorer", "rank(random+loudness,random)", ["random+loudness", "random"]),
        ("analyzer", "key:cached:grid,beats:grid", ["cached:grid", "grid"]),
        ("analyzer", "key:cached:(key:grid,beats:grid),beats:(grid)", ["cached:(key:grid,beats:grid)", "grid"]),
        ("analyzer", "cached:key:grid,beats:grid", ["key:grid,beats:grid"]),
        ("separator", "mean(one,2*(mean(one,two;vocals=1:0)))", ["one", "mean(one,two;vocals=1:0)"]),
    ],
)
def test_composites_in_composites(kind: str, name: str, members: list[str]) -> None:
    one, two = sharing("one", vocals=0.5, other=0.5), sharing("two", vocals=0.1, other=0.9)
    plain = {"grid": Grid(), "one": one, "two": two, "random": Half(), "loudness": Half(value=0.2)}

    def make(kind: str, name: str, options: Any = None) -> mk.components.Component:
        return plain[name] if name in plain else create(make, kind, name, options)

    named = {id(part): name for name, part in plain.items()}
    made = create(make, kind, name)
    assert [named.get(id(one), one.info.name) for one in made.members()] == members


def test_options_of_a_part_of_a_part() -> None:
    name = "random+2*(loudness+cached:random)"
    made = Registry().create("scorer", name, {"random.seed": 1, "loudness+cached:random.cached:random.seed": 7})
    outer, inner = made.members()
    assert outer.options() == {"seed": 1}
    assert inner.members()[1].members()[0].options() == {"seed": 7}
    assert Registry().create("scorer", *spec_of(made)).fingerprint() == made.fingerprint()  # type: ignore[misc]


@pytest.mark.parametrize(
    "name", ["(rank(random,loudness))+random", "rank((z(random,loudness)),random)", "(random", "random)+(loudness",
             "()", "random+()", "rank(random)+(loudness)", "key:random", "random:loudness", "2*cached:2*random"],
)  # fmt: skip
def test_what_makes_no_nested_composite(name: str) -> None:
    with pytest.raises(UsageError):
        Registry().create("scorer", name)


@pytest.mark.plugins
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


# --------------------------------------------------------------------------------------------------------- separators
@pytest.mark.plugins
class TestEnsembleSeparator(SeparatorContract):
    component = "librosa"

    @classmethod
    def create(cls) -> mk.Separator:
        separator = Registry().create("separator", "mean(librosa,3*spleeter-torch)")
        assert isinstance(separator, mk.Separator)
        return separator

    @classmethod
    def registered(cls):  # type: ignore[no-untyped-def]
        return attrs.evolve(super().registered(), info=cls.create().info)


@attrs.define(kw_only=True, eq=False)
class Sharing(Separator):
    """Gives each stem a share of the mix, and notes which stems it was asked for."""

    info: ComponentInfo = attrs.field()  # type: ignore[assignment]
    shares: dict[str, float]
    asked: list[frozenset[str]] = attrs.field(factory=list)

    def _separate(self, mix: Audio) -> StemSet:
        return self._separate_some(mix, frozenset(self.shares))

    def _separate_some(self, mix: Audio, stems: frozenset[str]) -> StemSet:
        self.asked.append(stems)
        return StemSet({name: Audio(mix.samples * np.float32(self.shares[name]), mix.sample_rate) for name in stems})


def sharing(name: str, **shares: float) -> Sharing:
    card = ComponentInfo(name=name, target="nowhere:Sharing", summary="x", provides=shares, code_license="MIT")
    return Sharing(info=card, shares=shares)


def ensemble(name: str, *parts: Sharing) -> EnsembleSeparator:
    made = {part.info.name: part for part in parts}
    separator = create(lambda kind, one, options: made[one], "separator", name)
    assert isinstance(separator, EnsembleSeparator)
    return separator


def share(stems: StemSet, name: str, mix: Audio) -> float:
    return float(np.vdot(stems.stems[name].samples, mix.samples) / np.vdot(mix.samples, mix.samples))


def test_a_mean_of_separators() -> None:
    mix = signals.noise(0.2)
    two, four = sharing("two", vocals=0.5, other=0.5), sharing("four", vocals=0.2, drums=0.3, bass=0.1, other=0.4)
    stems = ensemble("mean(two,3*four)", two, four).separate(mix)
    assert set(stems.stems) == {"vocals", "other"}
    assert share(stems, "vocals", mix) == pytest.approx((0.5 + 3 * 0.2) / 4, abs=1e-6)
    assert share(stems, "other", mix) == pytest.approx((0.5 + 3 * 0.8) / 4, abs=1e-6)  # with drums and bass


def test_weights_by_stem_and_what_is_not_computed() -> None:
    mix = signals.noise(0.2)
    one, other = sharing("one", vocals=0.6, drums=0.2, other=0.2), sharing("other", vocals=0.2, drums=0.4, other=0.4)
    separator = ensemble("mean(one,other; vocals=1:0; drums=1:3)", one, other)
    stems = separator.separate(mix)
    assert share(stems, "vocals", mix) == pytest.approx(0.6, abs=1e-6)
    assert share(stems, "drums", mix) == pytest.approx(0.35, abs=1e-6)
    assert other.asked == [frozenset({"drums", "other"})]
    one.asked.clear(), other.asked.clear()
    assert set(separator.separate(mix, stems=["vocals"]).stems) == {"vocals"}
    assert (one.asked, other.asked) == ([frozenset({"vocals"})], [])


def test_a_quiet_part_of_a_loud_song_keeps_its_level_in_all_parts() -> None:
    heard: list[float] = []

    class Listening(Sharing):
        def _separate_some(self, mix: Audio, stems: frozenset[str]) -> StemSet:
            heard.append(mix.peak)
            return Sharing._separate_some(self, mix, stems)

    card = sharing("one", vocals=0.5, other=0.5).info
    quiet = Audio(signals.noise(0.2).samples * np.float32(1e-3), 44_100)
    ensemble("mean(one)", Listening(info=card, shares={"vocals": 0.5, "other": 0.5})).separate(quiet, peak=0.9)
    assert heard == [quiet.peak]


@pytest.mark.plugins
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mean(librosa,spleeter-torch;bass=1:1)", "stem 'bass'"),
        ("mean(librosa,spleeter-torch;vocals=1)", "give 2 numbers"),
        ("mean(librosa,spleeter-torch;vocals=0:0)", "not all 0"),
        ("mean(librosa,spleeter-torch;vocals=x)", "write them like"),
        ("mean(librosa,0*spleeter-torch)", "above 0"),
        ("mean()", "no separator is composed in this way"),
        ("librosa+spleeter-torch", "no separator is composed in this way"),
    ],
)
def test_what_makes_no_mean(name: str, said: str) -> None:
    with pytest.raises(UsageError) as raised:
        Registry().create("separator", name)
    assert said in str(raised.value)


def test_separators_with_nothing_in_common() -> None:
    with pytest.raises(UsageError, match="take separators that give the same stems"):
        ensemble("mean(one,two)", sharing("one", vocals=1.0, drums=0.0), sharing("two", vocals=0.5, other=0.5))


@pytest.mark.plugins
def test_only_some_stems_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mk.save(tmp_path / "song.wav", signals.mix(signals.band(bars=1)[0]))
    arguments = ["separate", str(tmp_path / "song.wav"), "--separator", "spleeter-torch", "-o", str(tmp_path / "stems")]
    assert main([*arguments, "--stems", "vocals"]) == 0
    assert [path.name for path in (tmp_path / "stems").rglob("*.flac")] == ["vocals.flac"]
    capsys.readouterr()
    assert main([*arguments, "--stems", "vocals,piano"]) != 0
    assert "has no stem 'piano'" in capsys.readouterr().err
    assert main([*arguments, "--stems", "vocals", "--roles"]) != 0
    assert "give one of them" in capsys.readouterr().err
