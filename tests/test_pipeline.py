"""The kit: parts chosen by name or instance, created when needed, and one bad item harms no other."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest

import mashkit as mk
from light import Grid, SteadyTurntable, Thirds, Turntable
from mashkit.errors import ComponentFailed, GenerationError, UnknownComponent, UsageError
from mashkit.hookspecs import StageEvent, hookimpl
from mashkit.mashup import Mashup
from mashkit.synthetic.source import SyntheticSource
from mashkit.testing import signals
from mashkit.testing.mashups import mashup_of
from mashkit.types import Key, Role, Score


@attrs.define(kw_only=True, eq=False)
class ByDuration(mk.Scorer):
    """Longer is better; refuses the plans it is told to."""

    info = mk.ComponentInfo(name="by-duration", target="x:X", summary="s", provides=["length"], code_license="MIT")
    refuses: frozenset[str] = frozenset()

    def _score(self, mashups: Sequence[Mashup]) -> list[Score]:
        for mashup in mashups:
            if mashup.plan.id in self.refuses:
                raise RuntimeError(f"I do not like {mashup.plan.id}")
        return [Score(mashup.plan.duration_s) for mashup in mashups]


@pytest.fixture(scope="module")
def source() -> SyntheticSource:
    bands = [(Key(0, "major"), 120.0), (Key(2, "major"), 110.0), (Key(9, "minor"), 126.0), (Key(10, "major"), 104.0)]
    return SyntheticSource(bands, bars=16)


def mashups(kit: mk.Kit, source: SyntheticSource, **arguments: Any) -> list[Mashup]:
    arguments = {"condition": "matched", "count": 40, "seed": 0, **arguments}
    return kit.mashups(source, kit.generator.plan(source.clips, **arguments))


def test_ranked_best_first_with_ties_in_order(source: SyntheticSource) -> None:
    kit = mk.Kit(stretcher=Turntable(), scorer=ByDuration())
    drawn = mashups(kit, source)
    ranked = kit.rank(drawn)
    assert [one.rank for one in ranked] == list(range(1, len(drawn) + 1))
    expected = sorted(drawn, key=lambda mashup: -mashup.plan.duration_s)
    assert [one.mashup.plan for one in ranked] == [mashup.plan for mashup in expected]
    assert [one.mashup.plan for one in kit.rank(drawn, top=3)] == [mashup.plan for mashup in expected[:3]]


def test_a_catalog_without_clips_says_why(tmp_path: Path) -> None:
    kit = mk.Kit(separator=Thirds(), analyzer=Grid(), stretcher=Turntable())
    nowhere = [str(tmp_path / "nope"), str(tmp_path / "neither.wav")]
    catalog = kit.catalog(nowhere[0], cache=tmp_path / "cache")
    assert [str(one.path) for one in catalog.failures] == nowhere[:1]
    with pytest.raises(
        GenerationError, match=r"no clip, because its song cannot be used: .*nope: no such file or folder"
    ):
        kit.generate(catalog)
    catalog = kit.catalog(nowhere, cache=tmp_path / "cache")
    with pytest.raises(
        GenerationError, match=r"because none of its 2 songs can be used: .*nope: no such file"
    ) as raised:
        kit.generate(catalog)
    assert raised.value.fix == "check the spelling"
    with (
        mk.MashupDB(tmp_path / "empty.mashdb") as database,
        pytest.raises(GenerationError, match=r"no clip \(add songs"),
    ):
        kit.generate(mk.Catalog(database))


def test_per_vocal_counts_songs(source: SyntheticSource) -> None:
    kit = mk.Kit(stretcher=Turntable(), scorer=ByDuration())
    drawn = mashups(kit, source)
    for limit in (1, 2):
        uses = Counter(one.mashup.clips[Role.VOCAL].song for one in kit.rank(drawn, per_vocal=limit))
        assert max(uses.values()) == limit
        assert len(uses) == 4


def test_one_mashup_that_cannot_be_scored_stops_no_other(source: SyntheticSource) -> None:
    drawn = mashups(mk.Kit(stretcher=Turntable()), source)
    bad = drawn[3].plan.id
    kit = mk.Kit(scorer=ByDuration(refuses=frozenset({bad})))
    results = kit.score(drawn)
    assert [isinstance(result, ComponentFailed) for result in results] == [mashup.plan.id == bad for mashup in drawn]
    assert bad in str(results[3])
    assert len(kit.rank(drawn)) == len(drawn) - 1
    with pytest.raises(ComponentFailed, match="do not like"):
        kit.rank([drawn[3]])


@pytest.mark.parametrize("activity", [1.0, 0.0])
def test_a_silent_layer_is_noted_once(activity: float) -> None:
    shelf = SyntheticSource([(Key(0, "major"), 120.0)], bars=4)
    clip = attrs.evolve(shelf.clips[0], activity={**shelf.clips[0].activity, Role.VOCAL: activity})
    shelf.clips = [clip]
    kit = mk.Kit(stretcher=Turntable(), scorer=ByDuration())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mk.errors.PluginWarning)
        assert all(isinstance(score, Score) for score in kit.score([mashup_of(shelf, clip)] * 2))
    expected = [f"clip {clip.id} ({clip.title}): its vocal is silent, so scores with it say little"]
    assert [note for note in kit.registry.notes if "silent" in note] == (expected if activity == 0 else [])


def test_stages_are_heard(source: SyntheticSource) -> None:
    class Listener:
        def __init__(self) -> None:
            self.events: list[StageEvent] = []

        @hookimpl
        def mashkit_stage(self, event: StageEvent) -> None:
            self.events.append(event)

    drawn = mashups(mk.Kit(stretcher=Turntable()), source)
    kit = mk.Kit(scorer=ByDuration(refuses=frozenset({drawn[0].plan.id})))
    listener = Listener()
    kit.registry.plugins.register(listener)
    kit.score(drawn)
    assert [event.done for event in listener.events] == list(range(1, len(drawn) + 1))
    assert {event.total for event in listener.events} == {len(drawn)}
    assert [event.state for event in listener.events] == ["failed"] + ["done"] * (len(drawn) - 1)


@pytest.mark.plugins
def test_amu_prefers_originals_to_what_clashes(source: SyntheticSource) -> None:
    kit = mk.Kit()
    values = {
        condition: [one.score.value for one in kit.rank(mashups(kit, source, condition=condition))]
        for condition in ("original", "unmatched-key-tempo")
    }
    assert min(values["original"]) > max(values["unmatched-key-tempo"])


@pytest.mark.plugins
def test_options_reach_the_component() -> None:
    kit = mk.Kit(options={"stretcher": {"cheaper": True}, "generator": {"max_shift": 1}})
    assert kit.stretcher.options()["cheaper"] is True
    assert kit.generator.options()["max_shift"] == 1


@pytest.mark.usefixtures("light")
def test_wrong_choices_are_named() -> None:
    with pytest.raises(UsageError, match="strecher"):
        mk.Kit(options={"strecher": {}})
    with pytest.raises(UsageError, match="is not a stretcher"):
        _ = mk.Kit(stretcher=ByDuration()).stretcher  # type: ignore[arg-type]
    with pytest.raises(UnknownComponent, match="did you mean 'grid'"):
        _ = mk.Kit(analyzer="gird").analyzer
    assert mk.Kit(analyzer="gird").chosen["analyzer"] == "gird"  # nothing is created before it is needed


CLIP = SyntheticSource([(Key(0, "major"), 120.0)], bars=2)
TONE = signals.tone(440, 1.0)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda kit: kit.stretcher.stretch(TONE, speed="1.1"), "speed is '1.1'"),
        (lambda kit: kit.stretcher.stretch(TONE, semitones=None), "semitones is None"),
        (lambda kit: kit.stretcher.stretch(TONE, speed=float("nan")), "speed is nan"),
        (lambda kit: kit.stretcher.stretch(TONE, time_map={0: 0}), "time_map is {0: 0}"),
        (lambda kit: kit.separator.separate(TONE, peak=float("nan")), "peak is nan"),
        (lambda kit: kit.separator.separate(TONE, peak=float("inf")), "peak is inf"),
        (lambda kit: kit.separator.separate(TONE, peak=-1), "peak is -1"),
        (lambda kit: kit.separator.separate(TONE, stems="vocals"), "stems is 'vocals'"),
        (lambda kit: kit.scorer.score(mashup_of(CLIP, CLIP.clips[0])), "mashups is Mashup"),
        (lambda kit: kit.scorer.score([mashup_of(CLIP, CLIP.clips[0]).plan]), r"mashups\[0\] is MashupPlan"),
        (lambda kit: kit.generator.variants(mashup_of(CLIP, CLIP.clips[0]).plan, CLIP.clips), "clips is"),
        (lambda kit: kit.generator.variants(mashup_of(CLIP, CLIP.clips[0]).plan, {}), "clips lack"),
        (lambda kit: kit.generator.variants("plan", {}), "plan is 'plan'"),
        (lambda kit: kit.score_plans(CLIP, ["x"]), r"plans\[0\] is 'x'"),
        (lambda kit: kit.score_plans("songs", []), "catalog"),
        (lambda kit: kit.catalog("songs", described="x"), "described is 'x'"),
        (lambda kit: kit.catalog("songs", described=["x.wav"]), r"described\[0\] is 'x.wav'"),
        (lambda kit: kit.catalog("songs", cache=7), "cache is 7"),
        (lambda kit: kit.catalog([]), "no songs are named"),
        (lambda kit: kit.catalog("songs", policy="x"), "policy is 'x'"),
        (lambda kit: kit.adder(None), "database is None"),
        (lambda kit: kit.add(None, "songs"), "database is None"),
        (lambda kit: kit.add(None, "songs", policy="x", protocol="preview"), "policy is 'x'"),
        (lambda kit: kit.require("scorers"), "there is no kind 'scorers' .*did you mean 'scorer'"),
        (lambda kit: kit.require(["scorer"]), r"there is no kind \['scorer'\]"),
        (lambda kit: kit.require(None), "there is no kind None"),
        (lambda kit: mk.Renderer(CLIP, "signalsmith"), "stretcher is 'signalsmith'"),
        (lambda kit: mashup_of(CLIP, CLIP.clips[0]).save(None), "folder is None"),
        (lambda kit: mk.Kit(finish={"duck_db": 3}), "finish is {'duck_db': 3}"),
        (lambda kit: mk.Kit(scorer=ByDuration(), options={"scorer": {"seed": 7}}), "given as an instance"),
    ],
)
def test_a_mistake_of_the_caller_is_named_as_one(call: Callable[[mk.Kit], object], named: str) -> None:
    kit = mk.Kit(separator=Thirds(), analyzer=Grid(), stretcher=SteadyTurntable(), scorer=ByDuration())
    with pytest.raises(UsageError, match=named):
        call(kit)


def test_described_songs_need_no_path_beside_them(tmp_path: Path) -> None:
    kit = mk.Kit(separator=Thirds(), analyzer=Grid())
    path = mk.save(tmp_path / "one.flac", signals.tone(220.0, 36.0, amplitude=0.3))
    for paths in ([], [path]):
        catalog = kit.catalog(paths, described=[mk.Song(path=path, title="One")], cache=str(tmp_path / "cache"))
        assert [clip.title for clip in catalog.clips] == ["One"]


# ----------------------------------------------------------------------------------------------------- time and phrases
@pytest.fixture(scope="module")
def drifting() -> SyntheticSource:
    return SyntheticSource([(Key(0, "major"), 120.0), (Key(2, "major"), 112.0)], bars=16, drift=0.03)


def test_a_stretcher_without_time_maps_plays_at_one_speed_and_says_so(drifting: SyntheticSource) -> None:
    (along, *_), (steady, *_) = (
        mashups(mk.Kit(stretcher=one), drifting, count=1) for one in (Turntable(), SteadyTurntable())
    )
    assert along.plan.layer(Role.HARMONIC).time_map is not None
    assert along.plan.notes == ()
    assert steady.plan.layer(Role.HARMONIC).time_map is None
    assert steady.plan.notes == ("one speed, not a beat map: the stretcher 'steady-turntable' follows no time map",)
    assert steady.plan.layer(Role.HARMONIC).speed == along.plan.layer(Role.HARMONIC).speed


def test_the_best_variant_is_the_one_the_scorer_likes(source: SyntheticSource) -> None:
    kit = mk.Kit(
        stretcher=Turntable(), scorer=ByDuration(), options={"generator": {"phrase_bars": 1, "min_duration_s": 20.0}}
    )
    drawn = mashups(kit, source, count=5)
    best = kit.best_variants(drawn)
    assert len(best) == len(drawn)
    for mashup, chosen in zip(drawn, best, strict=True):
        clips = {clip.id: clip for clip in source.clips}
        variants = kit.generator.variants(mashup.plan, clips)
        assert len(variants) > 4
        assert chosen.plan.duration_s == max(plan.duration_s for plan in variants)
        assert {(one.role, one.clip_id) for one in chosen.plan.layers} == {
            (one.role, one.clip_id) for one in mashup.plan.layers
        }


def test_without_phrases_there_is_one_variant(source: SyntheticSource) -> None:
    kit = mk.Kit(stretcher=Turntable(), scorer=ByDuration())
    drawn = mashups(kit, source, count=5)
    assert [one.plan for one in kit.best_variants(drawn)] == [one.plan for one in drawn]
