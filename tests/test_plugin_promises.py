"""What the core relies on is checked where a plugin's result comes in: it is refused, and the plugin is named."""

from __future__ import annotations

import importlib
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

import mashkit as mk
from mashkit.cliptable import ClipTable
from mashkit.components import Component, Origin
from mashkit.components.fence import plugin_code
from mashkit.composite import CachedScorer
from mashkit.errors import AnalysisError, ComponentFailed, ContractViolation, GenerationError, UsageError
from mashkit.generation import Mixture
from mashkit.interfaces.scorer import RelativeScorer
from mashkit.rendering.renderer import Renderer
from mashkit.synthetic.source import SyntheticSource
from mashkit.testing import signals
from mashkit.types import Analysis, Audio, Clip, Condition, Key, Layer, MashupPlan, Role, Score


def card(name: str, *provides: str) -> mk.ComponentInfo:
    return mk.ComponentInfo(name=name, target="acme:X", summary="s", code_license="MIT", provides=provides)


@pytest.fixture(scope="module")
def source() -> SyntheticSource:
    return SyntheticSource([(Key(9, "minor"), 120.0), (Key(0, "major"), 112.0)], bars=8)


def plan_of(clip: Clip, condition: str = "original", **vocal: Any) -> MashupPlan:
    layers = [Layer(role=role, clip_id=clip.id, **(vocal if role is Role.VOCAL else {})) for role in Role]
    return MashupPlan(condition=condition, layers=layers, duration_s=8.0, seed=0)


# ------------------------------------------------------------------------------------------------------- generators
@attrs.define(kw_only=True, eq=False)
class Told(mk.Generator):
    """Plans what it is told to."""

    info = card("told", "original", "matched")

    plans: Callable[[Sequence[Clip]], Iterator[MashupPlan]]
    seven: int = 7

    def options(self) -> dict[str, Any]:
        return {"seven": self.seven}

    def _plan(
        self, clips: Sequence[Clip], *, condition: Condition, count: int, seed: int, vocal: str | None
    ) -> Iterator[MashupPlan]:
        return self.plans(clips)


WRONG: list[tuple[str, Callable[[Sequence[Clip]], MashupPlan]]] = [
    ("has the vocal of clip", lambda clips: plan_of(clips[1])),
    ("is of condition 'matched', not 'original'", lambda clips: plan_of(clips[0], "matched")),
    ("alters its vocal", lambda clips: plan_of(clips[0], speed=1.1)),
    ("alters its vocal", lambda clips: plan_of(clips[0], semitones=1.0)),
    ("uses unknown clips", lambda clips: plan_of(attrs.evolve(clips[0], id="another"))),
    ("speed of the vocal layer is -1", lambda clips: plan_of(clips[0], speed=-1.0)),
]


@pytest.mark.parametrize(("said", "wrong"), WRONG)
def test_a_plan_that_was_not_asked_for_is_refused(
    said: str, wrong: Callable[[Sequence[Clip]], MashupPlan], source: SyntheticSource
) -> None:
    told = Told(plans=lambda clips: iter([wrong(clips)]))
    vocal = source.clips[0].id
    with pytest.raises(ContractViolation, match=f"generator 'told'.*{said}"):
        list(told.plan(source.clips, condition="original", count=1, seed=0, vocal=vocal))
    mixture = Mixture(told, ClipTable.of(source.clips), mk.Recipe({"original": 1}), seed=0, vocal=vocal)
    with pytest.raises(ContractViolation, match=f"generator 'told'.*{said}"):
        list(mixture)


def test_a_plan_names_its_generator_even_if_the_generator_does_not(source: SyntheticSource) -> None:
    told = Told(plans=lambda clips: iter([plan_of(clips[0])]))
    (plan,) = told.plan(source.clips, condition="original", count=1, seed=0)
    assert plan.generator == {"name": "told", "distribution": None, "version": None, "options": {"seven": 7}}
    (mixed,) = Mixture(told, ClipTable.of(source.clips), mk.Recipe({"original": 1}), seed=0)
    assert mixed == plan
    own = attrs.evolve(plan, generator={"name": "told", "luck": 1})
    (kept,) = Told(plans=lambda _: iter([own])).plan(source.clips, condition="original", count=1, seed=0)
    assert kept.generator == own.generator


def _one_and_an_invalid_one(clips: Sequence[Clip]) -> Iterator[MashupPlan]:
    yield plan_of(clips[0])
    yield attrs.evolve(plan_of(clips[1]), duration_s=-1.0)


def _one_and_no_more(clips: Sequence[Clip]) -> Iterator[MashupPlan]:
    yield plan_of(clips[0])
    raise GenerationError("no more songs")


@pytest.mark.plugins
@pytest.mark.parametrize("plans", [_one_and_an_invalid_one, _one_and_no_more])
def test_plans_drawn_before_a_failure_are_kept(
    plans: Callable[[Sequence[Clip]], Iterator[MashupPlan]], demo_songs: Path, tmp_path: Path, light: None
) -> None:
    kit = mk.Kit(separator="thirds", analyzer="grid", generator=Told(plans=plans))
    catalog = kit.catalog([demo_songs / "slow-river.ogg", demo_songs / "mango-season.ogg"], cache=tmp_path)
    with pytest.warns(mk.PluginWarning, match="drawing ended after 1 of 3 plans"):
        assert len(kit.generate(catalog, condition="original", count=3)) == 1


# ------------------------------------------------------------------------------------------------------- stretchers
@attrs.define(kw_only=True, eq=False)
class Tape(mk.Stretcher):
    info = card("tape", "speed")

    gain: float = 1.0

    def _stretch(self, audio: Audio, *, speed: float, semitones: float, frames: int) -> Audio:
        places = np.minimum(np.arange(frames) * speed, audio.frames - 1).astype(int)
        return Audio(np.float32(self.gain) * audio.samples[:, places], audio.sample_rate)


def test_a_stretcher_is_asked_for_no_more_than_it_provides() -> None:
    tone = signals.tone(440.0, 1.0)
    assert Tape().stretch(tone, speed=2.0).duration == 0.5
    with pytest.raises(UsageError, match=r"'tape' shifts no pitch.*\"semitones\""):
        Tape().stretch(tone, semitones=1.0)

    class Shifter(Tape):
        info = card("shifter", "semitones")

    assert Shifter().stretch(tone, semitones=1.0).frames == tone.frames
    with pytest.raises(UsageError, match=r"'shifter' changes no speed.*\"speed\""):
        Shifter().stretch(tone, speed=1.1)
    assert Shifter().stretch(tone) is tone


def test_components_are_compared_by_identity_whatever_attrs_would_do(source: SyntheticSource) -> None:
    @attrs.define(kw_only=True)
    class ByValue(Tape):
        loud: bool = False

    one, other = ByValue(), ByValue()
    assert one != other
    assert len({one, other}) == 2
    layers = [Layer(role=role, clip_id=source.clips[0].id, speed=1.1) for role in Role]
    plan = MashupPlan(condition="original", layers=layers, duration_s=4.0, seed=0)
    assert Renderer(source, one).mashup(plan).mix.duration == 4.0


# ----------------------------------------------------------------------------------------------------- fingerprints
class Plain(mk.Analyzer):
    """A class without attrs, with a constructor of its own."""

    info = card("plain", "tempo")

    def __init__(self, bpm: float = 120.0) -> None:
        super().__init__()
        self.bpm = bpm
        self.table = np.zeros(3)

    @cached_property
    def model(self) -> list[float]:
        return [self.bpm]

    def _analyze(self, mix: Audio) -> Analysis:
        return Analysis(tempo=self.model[0])


def test_settings_of_a_class_without_attrs_are_in_its_fingerprint() -> None:
    one, same, other = Plain(100.0), Plain(100.0), Plain(140.0)
    before = one.fingerprint()
    assert before == same.fingerprint() != other.fingerprint()
    assert one.analyze(signals.tone(440.0, 4.0)).tempo == 100.0
    assert one.fingerprint() == before  # what is computed on first use is no setting
    one.table[1] = 1.0
    assert one.fingerprint() != before


@attrs.define(kw_only=True, eq=False)
class Heard(mk.Scorer):
    info = card("heard", "level")

    def _score(self, mashups: Sequence[mk.Mashup]) -> list[Score]:
        return [Score(mashup.stems[Role.HARMONIC].peak) for mashup in mashups]


TAPE = """
import numpy as np
import mashkit as mk

class Tape(mk.Stretcher):
    info = mk.ComponentInfo(name="tape", target="acme_tape:Tape", summary="s", code_license="MIT", provides=["speed"])

    def _stretch(self, audio, *, speed, semitones, frames):
        places = np.minimum(np.arange(frames) * speed, audio.frames - 1).astype(int)
        return mk.Audio(np.float32({gain}) * audio.samples[:, places], audio.sample_rate)
"""


def test_a_kept_score_is_not_that_of_a_stretcher_with_other_code(
    source: SyntheticSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    speeds = {Role.VOCAL: 1.0, Role.HARMONIC: 1.1, Role.PERCUSSION: 1.1}
    layers = [
        Layer(role=role, clip_id=source.clips[0].id, speed=speed, gain_db=-20.0) for role, speed in speeds.items()
    ]
    plan = MashupPlan(condition="original", layers=layers, duration_s=4.0, seed=0)
    values = []
    for name, gain in {"old": 1.0, "new": 0.25, "again": 1.0}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "acme_tape.py").write_text(TAPE.format(gain=gain))
        monkeypatch.syspath_prepend(tmp_path / name)
        monkeypatch.delitem(sys.modules, "acme_tape", raising=False)
        stretcher = importlib.import_module("acme_tape").Tape()
        stretcher.origin = Origin("acme-tape", "1.0")  # as of a plugin whose version stays the same while it is written
        cached = CachedScorer(name="cached:heard", inner=Heard(), folder=tmp_path / "scores")
        values.append(cached.score([Renderer(source, stretcher).mashup(plan)])[0].value)
    assert values[1] == pytest.approx(values[0] / 4)
    assert values[2] == values[0]
    assert len([path for path in (tmp_path / "scores").rglob("*") if path.is_file()]) == 2


# ------------------------------------------------------------------------------------------------ results and errors
@pytest.mark.parametrize("said", ["Artist - Title", None, [1], 3])
def test_one_text_is_no_list_of_recordings(said: Any) -> None:
    class Forgetful(Heard):
        def trained_on(self) -> Any:
            return said

    with pytest.raises(ContractViolation, match="scorer 'heard' failed to say what it was trained on"):
        Forgetful().recordings()


def test_recordings_are_named_and_errors_are_the_components() -> None:
    class Honest(Heard):
        def trained_on(self) -> Any:
            return ["Artist - Title"]

    class Raising(Heard):
        def trained_on(self) -> Any:
            raise KeyError("songs")

    assert Honest().recordings() == ("Artist - Title",)
    assert Heard().recordings() == ()
    with pytest.raises(ComponentFailed, match="'heard' failed to say what it was trained on: KeyError"):
        Raising().recordings()


def test_a_part_has_a_name_that_is_text(source: SyntheticSource) -> None:
    class Numbered(Heard):
        def _score(self, mashups: Sequence[mk.Mashup]) -> list[Score]:
            return [Score(0.5, parts={1: 0.5}) for _ in mashups]  # type: ignore[dict-item]

    mashup = Renderer(source, Tape()).mashup(plan_of(source.clips[0]))
    with pytest.raises(ComponentFailed, match=r"scorer 'heard' failed to score.*name is 1, not text"):
        Numbered().score([mashup])


def test_a_scores_parts_are_those_that_the_scorer_provides(source: SyntheticSource) -> None:
    parts: dict[str, float] = {}

    class Parted(Heard):
        def _score(self, mashups: Sequence[mk.Mashup]) -> list[Score]:
            return [Score(0.5, parts=parts) for _ in mashups]

    mashup = Renderer(source, Tape()).mashup(plan_of(source.clips[0]))
    assert Parted().score([mashup]) == [Score(0.5)]  # a mashup may lack what a part compares
    parts |= {"level": 0.1, "magic": 0.5}
    said = r"scorer 'heard' returned the part 'magic', which it does not provide \(it provides level\)"
    with pytest.raises(ContractViolation, match=said):
        Parted().score([mashup])


@pytest.mark.parametrize("returned", [None, Score(0.5), {"a": Score(0.5)}, "scores", 3])
def test_what_is_not_a_list_of_scores_is_the_scorers_failure(returned: Any, source: SyntheticSource) -> None:
    class Wrong(Heard):
        def _score(self, mashups: Sequence[mk.Mashup]) -> Any:
            return returned

    class WronglyRelative(RelativeScorer):
        info = card("relative")

        def _measure(self, mashups: Sequence[mk.Mashup]) -> Any:
            return returned

        def _compare(self, measured: Sequence[Any]) -> Any:
            return returned

    mashup = Renderer(source, Tape()).mashup(plan_of(source.clips[0]))
    kind = type(returned).__name__
    said = rf"failed to score: it returned {kind} \(return a list, one Score for each mashup\)"
    with pytest.raises(ContractViolation, match=f"scorer 'heard' {said}"):
        Wrong().score([mashup])
    with pytest.raises(
        ContractViolation, match=rf"'relative' failed to score: it returned {kind} \(return a list, one"
    ):
        WronglyRelative().score([mashup])
    with pytest.raises(ContractViolation, match=rf"'relative' failed to compare: it returned {kind} "):
        WronglyRelative().compare([1.0])


def test_what_is_not_plans_is_the_generators_failure(source: SyntheticSource) -> None:
    class Unvaried(Told):
        def _variants(self, plan: MashupPlan, clips: Any) -> Any:
            return plan

    for returned in (None, plan_of(source.clips[0])):
        told = Told(plans=lambda _, returned=returned: returned)  # type: ignore[misc]
        said = rf"generator 'told' failed to plan: it returned {type(returned).__name__} \(yield plans\)"
        with pytest.raises(ContractViolation, match=said):
            list(told.plan(source.clips, condition="original", count=1, seed=0))
    with pytest.raises(ContractViolation, match=r"failed to vary a plan: it returned MashupPlan \(yield plans\)"):
        Unvaried(plans=lambda _: iter(())).variants(plan_of(source.clips[0]), {clip.id: clip for clip in source.clips})


def test_one_stem_of_what_is_not_stems_is_the_separators_failure() -> None:
    class Mapped(mk.Separator):
        info = card("mapped", "vocals", "other")

        def _separate(self, mix: Audio) -> Any:
            return {"vocals": mix, "other": mix}

    for stems in (None, ["vocals"]):
        with pytest.raises(ContractViolation, match="'mapped' failed to separate: it returned dict instead of StemSet"):
            Mapped().separate(signals.noise(0.1), stems=stems)


@pytest.mark.parametrize(
    "make", [lambda: Layer(role=Role.VOCAL, clip_id="a", speed=-1.0), lambda: mk.Mixing(fade_out_s="long")]
)
def test_a_value_that_a_plugin_makes_wrongly_is_the_plugins_failure(make: Callable[[], object]) -> None:
    with (
        pytest.raises(ContractViolation, match="plugin acme failed to plan: "),
        plugin_code("plugin acme failed to plan"),
    ):
        make()
    with pytest.raises(UsageError, match="my option"), plugin_code("plugin acme failed to plan"):
        raise UsageError("my option is bad")


def test_what_the_users_data_lack_is_not_the_plugins_failure(source: SyntheticSource) -> None:
    clip = source.clips[0]
    bare = attrs.evolve(clip, analysis=attrs.evolve(clip.analysis, beats=None, downbeats=None))
    with pytest.raises(AnalysisError, match="has no beats"), plugin_code("plugin acme failed to score"):
        bare.require("beats")
    with (
        pytest.raises(ContractViolation, match="plugin acme failed to separate"),
        plugin_code("plugin acme failed to separate"),
    ):
        Audio(np.zeros(3, np.float32), 44_100)


def test_an_interrupt_that_a_plugin_keeps_and_raises_again_ends() -> None:
    kept = KeyboardInterrupt()

    def twice() -> None:
        try:
            with plugin_code("plugin acme failed"):
                raise kept
        finally:
            with plugin_code("plugin acme failed"):
                raise kept

    def too_late(number: int, frame: object) -> None:
        raise TimeoutError("it went round in a circle")

    before = signal.signal(signal.SIGALRM, too_late)
    signal.alarm(20)
    try:
        with pytest.raises(ComponentFailed, match="plugin acme failed: KeyboardInterrupt"):
            twice()
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def test_hashes_of_components_are_left_alone_where_they_work() -> None:
    class Own(Heard):
        def __hash__(self) -> int:
            return 7

    assert hash(Own()) == 7
    assert isinstance(Own(), Component)
