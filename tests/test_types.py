"""The values between the stages: what they refuse, what they keep, and that they come back as they were."""

import json
import pickle
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mashkit.errors import AnalysisError, AudioError, AudioFileError, MashkitError, PlanError, StemError, TimeMapError
from mashkit.numbers import plain_number, plain_whole
from mashkit.registry import Registry
from mashkit.synthetic.source import SyntheticSource
from mashkit.testing import signals
from mashkit.testing.mashups import mashup_of
from mashkit.timing.beats import tempo_of_beats
from mashkit.types import (
    Analysis,
    Audio,
    Chords,
    Clip,
    Condition,
    Finish,
    FrozenMapping,
    Key,
    Layer,
    MashupPlan,
    Melody,
    Role,
    Score,
    StemSet,
    TimeMap,
    as_roles,
    chord_tones,
    key_facts,
)

keys = st.builds(Key, st.integers(0, 11), st.sampled_from(["major", "minor"]))
CLIP = Clip("c1", "s1", "River", "river.ogg", 32.0, 36.9, 44_100, Analysis())


# ---------------------------------------------------------------------------------------------------------- audio
def test_audio_is_a_copy_nobody_can_write_to() -> None:
    samples = np.zeros((2, 10), np.float32)
    audio = Audio(samples, 44_100)
    samples[:] = 1
    assert audio.peak == 0
    with pytest.raises(ValueError, match="read-only"):
        audio.samples[0, 0] = 1


@pytest.mark.parametrize(
    ("samples", "rate", "reason"),
    [
        (np.zeros(10, np.float32), 44_100, r"\(channels, frames\)"),
        (np.zeros((2, 10), np.int16), 44_100, "int16"),
        (np.full((1, 4), np.nan), 44_100, "4 of 4 samples are NaN"),
        (np.full((1, 4), np.inf), 44_100, "infinite"),
        (np.zeros((0, 4)), 44_100, "no channel"),
        (np.zeros((1, 4)), 0, "sample rate"),
        (np.zeros((1, 4)), 44_100.0, "sample rate"),
    ],
)
def test_audio_refuses(samples: object, rate: object, reason: str) -> None:
    with pytest.raises(AudioError, match=reason):
        Audio(samples, rate)  # type: ignore[arg-type]


def test_excerpt_is_the_part_asked_for() -> None:
    audio = signals.noise(1.0)
    part = audio.excerpt(0.25, 0.5)
    assert np.array_equal(part.samples, audio.samples[:, 11_025:33_075])
    with pytest.raises(AudioError, match="outside"):
        audio.excerpt(0.75, 0.5)


def test_a_short_part_of_surround_sound_is_sound() -> None:
    surround = Audio(np.ones((6, 50), np.float32), 44_100)
    assert surround.excerpt(0, 3 / 44_100).samples.shape == (6, 3)
    with pytest.raises(AudioError, match="more channels than frames"):
        Audio(np.ones((50, 6), np.float32), 44_100)


def test_pickled_audio_is_still_read_only() -> None:
    audio = pickle.loads(pickle.dumps(signals.noise(0.1)))  # noqa: S301 — our own bytes
    assert not audio.samples.flags.writeable


# ------------------------------------------------------------------------------------------------------------ keys
@given(keys, keys)
def test_shift_brings_a_key_to_another(one: Key, other: Key) -> None:
    shift = one.semitones_to(other)
    assert -6 <= shift <= 5
    assert one.transposed(shift).relative_major_tonic == other.relative_major_tonic


@given(keys, keys, st.integers(-24, 24))
def test_transposing_a_key_by_n_moves_the_shift_by_minus_n(one: Key, other: Key, n: int) -> None:
    assert (one.transposed(n).semitones_to(other) - (one.semitones_to(other) - n)) % 12 == 0


@given(keys)
def test_key_reads_what_it_prints(key: Key) -> None:
    assert Key.parse(str(key)) == key


@pytest.mark.parametrize(
    ("key", "short", "camelot", "open_key"),
    [("C major", "C", "8B", "1d"), ("A minor", "Am", "8A", "1m"), ("G major", "G", "9B", "2d"),
     ("E minor", "Em", "9A", "2m"), ("F major", "F", "7B", "12d"), ("B major", "B", "1B", "6d"),
     ("Ab minor", "Abm", "1A", "6m"), ("Eb minor", "Ebm", "2A", "7m"), ("Db major", "C#", "3B", "8d")],
)  # fmt: skip
def test_key_on_the_wheels_of_djs(key: str, short: str, camelot: str, open_key: str) -> None:
    found = Key.parse(key)
    assert (found.short, found.camelot, found.open_key) == (short, camelot, open_key)
    assert {Key.parse(text) for text in (short, camelot, open_key, camelot.lower(), f"0{camelot}"[-3:])} == {found}
    assert key_facts(found) == {"camelot": camelot, "open_key": open_key}


def test_every_key_has_its_place_on_each_wheel() -> None:
    keys = [Key(tonic, mode) for tonic in range(12) for mode in ("major", "minor")]
    for name in ("camelot", "open_key"):
        assert [Key.parse(getattr(key, name)) for key in keys] == keys
        fifth = [Key.parse(getattr(key.transposed(7), name)) for key in keys]
        assert fifth == [key.transposed(7) for key in keys]
    for text in ("0A", "13A", "8C", "A8", "1"):
        with pytest.raises(AnalysisError, match="is not a key"):
            Key.parse(text)
    assert key_facts(None) == {"camelot": None, "open_key": None}


@pytest.mark.parametrize(
    ("text", "key"), [("F#m", Key(6, "minor")), ("bb Major", Key(10, "major")), ("C", Key(0, "major"))]
)
def test_key_spellings(text: str, key: Key) -> None:
    assert Key.parse(text) == key


def test_relative_keys_are_no_distance_apart() -> None:
    assert Key.parse("A minor").semitones_to(Key.parse("C major")) == 0


def test_not_a_key() -> None:
    with pytest.raises(AnalysisError, match="H major"):
        Key.parse("H major")


# -------------------------------------------------------------------------------------------------------- analysis
@pytest.mark.parametrize(
    "fields",
    [
        {"tempo": 0.0},
        {"tempo": float("nan")},
        {"beats": [1.0, 1.0]},
        {"beats": [2.0, 1.0]},
        {"beats": [-0.1, 1.0]},
        {"beats": [0.5, float("nan")]},
        {"beats": [0.5, 1.0], "downbeats": [0.7]},
        {"downbeats": [0.5]},
    ],
)
def test_analysis_refuses(fields: dict[str, object]) -> None:
    with pytest.raises(AnalysisError):
        Analysis(**fields)  # type: ignore[arg-type]


def test_analysis_comes_back_equal() -> None:
    analysis = Analysis(Key(9, "minor"), 97.5, [0.5, 1.0, 1.5], [0.5], {"key": 0.8}, ((97.5, 0.9), (195.0, 0.1)))
    assert Analysis.from_dict(analysis.to_dict()) == analysis
    assert pickle.loads(pickle.dumps(analysis)) == analysis  # noqa: S301 — our own bytes
    assert Analysis.from_dict(Analysis().to_dict()) == Analysis()


# ----------------------------------------------------------------------------------------------------------- stems
def test_harmonic_is_everything_but_vocals_and_drums() -> None:
    stems = signals.band(bars=1)[0]
    parts = stems.stems["bass"].samples + stems.stems["other"].samples
    assert np.array_equal(stems.role(Role.HARMONIC).samples, parts)
    assert stems.role(Role.VOCAL) is stems.stems["vocals"]


def test_stemset_refuses() -> None:
    with pytest.raises(StemError, match="kazoo"):
        StemSet({"kazoo": signals.noise(0.1)})
    with pytest.raises(StemError, match="differ"):
        StemSet({"vocals": signals.noise(0.1), "drums": signals.noise(0.2)})
    with pytest.raises(StemError, match="no stem for the role percussion"):
        StemSet({"vocals": signals.noise(0.1)}).role(Role.PERCUSSION)


# ----------------------------------------------------------------------------------------------------------- plans
finite = st.floats(-100, 100)
layers = st.builds(
    Layer, role=st.just(Role.VOCAL), clip_id=st.text(), speed=st.floats(0.25, 4), semitones=finite, offset_s=finite,
    gain_db=finite,
)  # fmt: skip
plans = st.builds(
    MashupPlan, condition=st.sampled_from(Condition), layers=st.lists(layers, min_size=1, max_size=1),
    duration_s=st.floats(0.1, 100), seed=st.integers(0, 2**63),
)  # fmt: skip


@given(plans)
def test_plan_comes_back_equal(plan: MashupPlan) -> None:
    again = MashupPlan.from_json(plan.to_json())
    assert again == plan
    assert again.id == plan.id


@given(plans, st.integers(0, 1000))
def test_plan_id_is_about_what_sounds(plan: MashupPlan, seed: int) -> None:
    renamed = MashupPlan(
        condition="original", layers=plan.layers, duration_s=plan.duration_s, seed=seed, generator={"name": "other"}
    )
    longer = MashupPlan(condition=plan.condition, layers=plan.layers, duration_s=plan.duration_s + 1, seed=plan.seed)
    assert renamed.id == plan.id
    assert longer.id != plan.id


@given(layers, st.lists(finite))
def test_time_goes_to_the_mashup_and_back(layer: Layer, times: list[float]) -> None:
    assert layer.to_clip(layer.to_mashup(times)) == pytest.approx(times, abs=1e-9)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "not JSON"),
        ("[]", "not a mashup plan"),
        ('{"format": 3}', "the plan has format 3"),
        ('{"format": 1}', "malformed"),
        ('{"format": 1, "condition": "", "layers": [], "duration_s": 1, "seed": 0, "generator": {}}', "not the name"),
        ('{"format": 1, "condition": 5, "layers": [], "duration_s": 1, "seed": 0, "generator": {}}', "not the name"),
        ('{"format": 1, "condition": "matched", "layers": [], "duration_s": 1, "seed": 0, "generator": {}}', "vocal"),
        (
            '{"format": 1, "condition": "matched", "layers": ["vocal"], "duration_s": 1, "seed": 0, "generator": {}}',
            "malformed: 'vocal' is not a layer",
        ),
        (
            '{"format": 2, "condition": "matched", "layers": [{"role": "vocal", "clip_id": "a"}], "duration_s": 1, '
            '"seed": 0, "generator": {}, "notes": 5}',
            "malformed: 5 given for several",
        ),
    ],
)
def test_plan_refuses(text: str, reason: str) -> None:
    with pytest.raises(PlanError, match=reason):
        MashupPlan.from_json(text)


@pytest.mark.parametrize("kind", [Analysis, Chords, Clip, Layer, MashupPlan, Melody, TimeMap])
@pytest.mark.parametrize(
    "data",
    [
        *(None, 5, "x", [1], {}, {"role": "vocal"}, {"times": 1, "labels": 2}, {"source": 3, "target": 4}),
        {"role": "vocal", "clip_id": "c1", "time_map": {}},
        {"start_s": {}, "hop_s": [], "f0": {}, "confidence": "x"},
        {"key": 3, "tempo": "x", "beats": 3, "downbeats": {}, "confidence": 3, "tempo_candidates": 3},
        {**Analysis().to_dict(), "melody": 3},
        {**Analysis().to_dict(), "chords": []},
        {**CLIP.to_dict(), "activity": 3, "role": 3},
        {**CLIP.to_dict(), "loudness_lufs": {"guitar": 3}, "role": 3},
        {**CLIP.to_dict(), "lacks": ["guitar"], "role": 3},
    ],
)
def test_data_of_something_else_are_refused(kind: Any, data: Any) -> None:
    with pytest.raises(MashkitError) as refused:
        kind.from_dict(data)
    assert refused.value.fix


@given(plans, st.sampled_from(["plan", "layer", "mixing"]), st.text())
def test_a_plan_with_an_entry_that_has_no_effect_is_refused(plan: MashupPlan, where: str, name: str) -> None:
    data = plan.to_dict()
    place = {"plan": data, "layer": data["layers"][0], "mixing": data["mixing"]}[where]
    assume(name not in place and name not in ("id", "time_map"))
    place[name] = 0
    with pytest.raises(PlanError, match=f"malformed: (it|its {plan.layers[0].role} layer|its mixing) has no"):
        MashupPlan.from_dict(data)


def test_a_misspelt_entry_of_a_plan_is_corrected() -> None:
    layers = [{"role": "vocal", "clip_id": "one", "semitons": 2.0}]
    data = {"format": 2, "condition": "matched", "layers": layers, "duration_s": 1, "seed": 0, "generator": {}}
    with pytest.raises(PlanError, match=r"malformed: its vocal layer has no 'semitons' \(did you mean 'semitones'\?\)"):
        MashupPlan.from_dict(data)


def test_a_plan_has_one_layer_a_role() -> None:
    layer = Layer(role=Role.VOCAL, clip_id="a")
    with pytest.raises(PlanError, match="one layer of each role"):
        MashupPlan(condition="matched", layers=[layer, layer], duration_s=1, seed=0)
    with pytest.raises(PlanError, match="speed"):
        Layer(role=Role.VOCAL, clip_id="a", speed=0)


VOCAL = Layer(role="vocal", clip_id="a")


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: Layer(role="drums", clip_id="a"), "'drums' is not a role .give vocal, harmonic or percussion"),
        (lambda: Layer(role="vocal", clip_id="a", gain_db="loud"), "Layer.gain_db is 'loud'"),
        (lambda: Layer(role="vocal", clip_id="a", semitones=True), "Layer.semitones is True"),
        (lambda: Finish(duck_db="much"), "Finish.duck_db is 'much'"),
        (lambda: MashupPlan(condition="matched", layers=[{}], duration_s=1, seed=0), "{} is not a layer"),
        (lambda: MashupPlan(condition="matched", layers=[VOCAL], duration_s="1", seed=0), "duration_s is '1'"),
        (lambda: MashupPlan(condition="matched", layers=[VOCAL], duration_s=1, seed="x"), "seed is 'x'"),
        (lambda: MashupPlan(condition="matched", layers=[VOCAL], duration_s=1, seed=0, mixing={}), "mixing is a dict"),
        (lambda: MashupPlan(condition="matched", layers=[VOCAL], duration_s=1, seed=0, notes="one"), "'one' given for"),
        (lambda: Analysis(key="A minor"), "key is 'A minor'"),
        (lambda: Analysis(tempo="120"), "tempo is '120'"),
        (lambda: Analysis(tuning="low"), "tuning is 'low'"),
        (lambda: Analysis(confidence={"key": 7}), "confidence of key is 7"),
        (lambda: Analysis(confidence={"key": "high"}), "confidence of key is 'high'"),
        (lambda: Analysis(tempo_candidates=[(120, 1, 2)]), "pairs"),
        (lambda: Analysis(tempo_candidates=[(float("nan"), 1)]), "entry of tempo_candidates is .nan"),
        (lambda: Analysis(tempo_candidates=[(-4, 1)]), "entry of tempo_candidates is .-4"),
        (lambda: Analysis(tempo_candidates=[(120, float("inf"))]), "entry of tempo_candidates is .120.0, inf"),
        (lambda: Analysis(confidence=None), "confidence is None"),
        (lambda: Analysis(confidence={5: 0.5}), "confidence is {5: 0.5}"),
        (lambda: Analysis(chords="C:maj"), "chords are 'C:maj' .give Chords"),
        (lambda: Analysis(melody=[440.0]), r"melody is \[440.0\] .give Melody"),
        (lambda: Key(0, "major").transposed(2.43), "semitones is 2.43"),
        (lambda: Key(True, "minor"), "tonic is True"),
        (lambda: Chords([0, 1], ["C"]).transposed(0.5), "semitones is 0.5"),
        (lambda: Chords.joined([0, 1], ["A:min", "C", "D"]), "3 chords"),
        (lambda: Chords([0, 1], [5]), "5 is not a chord"),
        (lambda: Chords([0, 1], [["C"]]), r"\['C'\] is not a chord"),
        (lambda: chord_tones(5), "5 is not a chord"),
        (lambda: Chords.joined([0, 1], 5), "5 given for several"),
        (lambda: Chords([0, 10**400], ["C"]), "times of chords are not numbers: int too large"),
        (lambda: Melody([1.0], [1.0], hop_s="fast"), "'fast'"),
        (lambda: Melody(["a"], [0.5], 0.01), "f0 of a melody are not numbers: .*'a' .give Hz"),
        (lambda: Melody([1.0], [None, {}], 0.01), "confidences of a melody are not numbers: .*give numbers from 0"),
        (lambda: StemSet({"vocals": np.zeros((1, 9), np.float32)}), "stem vocals is a ndarray"),
        (lambda: as_roles("vocal"), "'vocal' given for several"),
        (lambda: signals.tone(440, 1.0).excerpt(float("nan"), 1.0), "excerpt nan"),
        (lambda: Layer(role=Role.VOCAL, clip_id=None), "Layer.clip_id is None"),
        (lambda: Layer(role=Role.VOCAL, clip_id=5), "Layer.clip_id is 5"),
        (lambda: Layer(role=Role.VOCAL, clip_id=float("nan")), "Layer.clip_id is nan"),
        (lambda: Layer(role=Role.VOCAL, clip_id="a", time_map=5), "Layer.time_map is 5"),
        (lambda: MashupPlan(condition="matched", layers=[VOCAL], duration_s=3, seed=1, notes=[5]), "note .* is 5"),
        (lambda: MashupPlan(condition="matched", layers=[VOCAL], duration_s=3, seed=1, generator=5), "generator is 5"),
    ],
)
def test_what_would_break_later_is_refused_at_once(make: Callable[[], object], reason: str) -> None:
    with pytest.raises(MashkitError, match=reason):
        make()


def test_numbers_of_numpy_are_numbers() -> None:
    layers = [Layer(role="vocal", clip_id="a", offset_s=np.float32(0.5), gain_db=np.array(-3))]
    plan = MashupPlan(condition="matched", layers=layers, duration_s=np.int64(3), seed=np.uint8(4))
    assert MashupPlan.from_json(plan.to_json()) == plan
    found = Analysis(
        tempo=np.float32(120),
        tuning=np.int8(3),
        confidence={"key": np.float16(1)},
        tempo_candidates=[[np.int32(120), 1]],
        beats=[1],
        melody=Melody([1.0], [1.0], np.float32(0.5)),
    )
    assert Analysis.from_dict(json.loads(json.dumps(found.to_dict()))) == found
    assert type(Audio(np.zeros((1, 9)), np.int32(44_100)).sample_rate) is int
    assert str(Key(np.int64(9), "minor").transposed(np.float64(-3.0))) == "F# minor"
    assert Chords([0, 1], ["C"]).transposed(2.0).labels == ("D",)
    assert Score(0, parts={"p": np.array(0.5)}).to_dict() == {"value": 0.0, "scale": "ordinal", "parts": {"p": 0.5}}


def test_a_role_may_be_its_name() -> None:
    plan = MashupPlan(condition="matched", layers=[VOCAL], duration_s=1, seed=0)
    assert plan.layer("vocal") is plan.layer(Role.VOCAL)
    stems, _ = signals.band(bars=1)
    assert stems.role("harmonic").frames == stems.role(Role.HARMONIC).frames
    with pytest.raises(StemError, match="'drums' is not a role"):
        stems.role("drums")


def test_equal_plans_have_one_id_and_can_be_keys() -> None:
    drums = Layer(role="percussion", clip_id="b", semitones=-0.0, time_map=TimeMap([0, 1], [0, 2]))
    one, other = (
        MashupPlan(condition="matched", layers=layers, duration_s=1, seed=0, generator={"options": {"a": [1]}})
        for layers in ([VOCAL, drums], [attrs.evolve(drums, semitones=0.0), VOCAL])
    )
    assert one == other
    assert one.id == other.id
    assert len({one, other, attrs.evolve(one, seed=1)}) == 2
    beats = [Analysis(beats=[0, 1], key=Key(0, "major"), chords=Chords([0, 1], ["C"])) for _ in range(2)]
    assert len(set(beats)) == 1


def test_nobody_changes_the_generator_of_a_plan() -> None:
    record = {"name": "mine", "options": {"max_shift": 3}}
    plan = MashupPlan(condition="matched", layers=[VOCAL], duration_s=1, seed=0, generator=record)
    record["options"]["max_shift"] = 4
    plan.to_dict()["generator"]["options"]["max_shift"] = 5
    assert plan.generator["options"]["max_shift"] == 3
    with pytest.raises(TypeError, match="does not support item assignment"):
        plan.generator["options"]["max_shift"] = 99
    lists = attrs.evolve(plan, generator={"options": {"bands": [[1, 2], [3, 4]]}})
    assert lists.generator["options"]["bands"] == ((1, 2), (3, 4))


def test_plans_of_a_run_share_their_record_and_cannot_change_it() -> None:
    songs = SyntheticSource([(Key(9, "minor"), 120.0), (Key(0, "major"), 112.0)], bars=16)
    one, other = Registry().create("generator", "paper").plan(songs.clips, condition="original", count=2, seed=1)
    assert one.generator is other.generator
    with pytest.raises(AttributeError, match="update"):
        one.generator["options"].update(max_shift=99)


@pytest.mark.parametrize(
    "record",
    [
        {"bands": (1, 2), "none": None, "deep": [{"a": ()}, [True]]},
        {"share": np.float32(0.1), "count": np.int64(3), "yes": np.bool_(True), "array": np.arange(6.0).reshape(2, 3)},
        {"role": Role.VOCAL, "empty": {}, "gains": FrozenMapping({"vocals": [-3.0]})},
    ],
)
def test_the_record_of_a_plan_comes_back_equal(record: dict[str, object]) -> None:
    plan = MashupPlan(condition="matched", layers=[VOCAL], duration_s=1, seed=0, generator=record)
    again = MashupPlan.from_json(plan.to_json())
    assert again == plan
    assert again.to_json() == plan.to_json()
    assert pickle.loads(pickle.dumps(plan)) == plan  # noqa: S301 — our own bytes


def test_a_record_is_equal_to_what_gives_the_same_json() -> None:
    record = {"name": "mine", "options": {"bands": [[1, 2], [3]], "gains": {"vocals": -3.0}}}
    plan = MashupPlan(condition="matched", layers=[VOCAL], duration_s=1, seed=0, generator=record)
    assert plan.generator == record == plan.generator.plain()
    assert plan.generator["options"] == record["options"]
    assert plan.generator != {**record, "name": "other"}
    assert plan.generator != 5


def test_a_plan_with_nan_in_its_record_is_read() -> None:
    record = {"name": "mine", "options": {"speeds": [1.0, "at most"]}}
    plan = MashupPlan(condition="matched", layers=[VOCAL], duration_s=1, seed=0, generator=record)
    again = MashupPlan.from_json(plan.to_json().replace('"at most"', "Infinity").replace('"mine"', "NaN"))
    assert again.generator == {"name": "NaN", "options": {"speeds": [1.0, "Infinity"]}}


def test_a_plan_file_is_written_as_before() -> None:
    record = {"name": "é", "options": {"b": [1, 2.5, None, True], "a": {"z": "y"}}}
    plan = MashupPlan(condition="matched", layers=[VOCAL], duration_s=1, seed=0, generator=record)
    written = r'"generator": {"name": "\u00e9", "options": {"a": {"z": "y"}, "b": [1, 2.5, null, true]}}'
    assert written in plan.to_json()
    assert json.dumps(plan.to_dict()["generator"]) == json.dumps(record)


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"options": {"path": Path("a")}}, "'path' is PosixPath"),
        ({"options": {"speeds": [1.0, float("nan")]}}, "'speeds' is nan"),
        ({"options": {"count": 10**5000}}, "'count' is a number of 16,610 bits"),
        ({"options": {5: 1}}, "a name is 5"),
        ({"options": np.complex64(1)}, r"'options' is \(1\+0j\)"),
    ],
)
def test_a_record_that_json_cannot_give_back_is_refused(record: dict[str, object], said: str) -> None:
    with pytest.raises(PlanError, match=rf"MashupPlan\.generator: {said}"):
        MashupPlan(condition="matched", layers=[VOCAL], duration_s=1, seed=0, generator=record)


def test_a_record_of_too_many_levels_is_refused() -> None:
    record: dict[str, object] = {}
    record["itself"] = record
    with pytest.raises(PlanError, match=r"MashupPlan\.generator has too many levels"):
        MashupPlan(condition="matched", layers=[VOCAL], duration_s=1, seed=0, generator=record)


def test_a_number_larger_than_any_float_is_refused() -> None:
    plan = MashupPlan(condition="matched", layers=[VOCAL], duration_s=1, seed=0).to_dict()
    with pytest.raises(PlanError, match="duration"):
        MashupPlan.from_dict(plan | {"duration_s": 10**400})


# ---------------------------------------------------------------------------------------------------------- scores
def test_score_refuses() -> None:
    for value, scale in ((float("nan"), "ordinal"), (1.5, "probability"), (0.5, "percent")):
        with pytest.raises(ValueError, match=r"score|scale"):
            Score(value, scale)  # type: ignore[arg-type]
    numpys = Score(np.float32(0.5), parts={"p": np.float32(0.25), "n": 2})
    assert {name: type(value) for name, value in numpys.parts.items()} == {"p": float, "n": int}
    assert (numpys.value, numpys.parts["p"]) == (0.5, 0.25)


def test_errors_travel_between_processes() -> None:
    for error in (AudioFileError("a.wav", "is empty", "export it"), MashkitError("no", "yes"), PlanError("bad")):
        again = pickle.loads(pickle.dumps(error))  # noqa: S301 — our own bytes
        assert str(again) == str(error)
        assert type(again) is type(error)


# -------------------------------------------------------------------------------------------------- wrong arguments
def test_times_that_are_wrong_are_named() -> None:
    for cls, times in ((Analysis, "beats"), (Chords, "times")):
        more = {} if cls is Analysis else {"labels": ["C", "F"]}
        with pytest.raises(
            AnalysisError, match=r"strictly increasing seconds: number 2 is 0.5, and the one before it 1.0$"
        ):
            cls(**{times: [0.25, 1.0, 0.5], **more})
        with pytest.raises(AnalysisError, match=r"non-negative.*: number 0 is -1.0$"):
            cls(**{times: [-1.0, 1.0, 2.0], **more})
        with pytest.raises(AnalysisError, match=r": number 1 is nan$"):
            cls(**{times: [0.0, float("nan"), 2.0], **more})
        with pytest.raises(AnalysisError, match=r"are not numbers: .*'a' \(give seconds\)"):
            cls(**{times: ["a"], **more})
    with pytest.raises(AnalysisError, match=r"beats are not .*: their shape is \(3, 1\), not \(n,\)$"):
        Analysis(beats=np.zeros((3, 1)))
    with pytest.raises(AnalysisError, match=r"their shape is \(3, 1\)"):
        tempo_of_beats(np.zeros((3, 1)))
    with pytest.raises(TimeMapError, match=r"the source of a time map .*: number 2 is 3.0, and the one before it 4.0$"):
        TimeMap([0, 4, 3], [0, 4, 9])
    with pytest.raises(TimeMapError, match="knots of a time map are not numbers"):
        TimeMap(5, 5)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", [5, None, b"C"])
def test_a_key_is_read_of_text_only(text: object) -> None:
    with pytest.raises(AnalysisError, match="is not a key"):
        Key.parse(text)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Score("a"), "a score is 'a', not a number"),
        (lambda: Score(None), "a score is None, not a number"),
        (lambda: Score(10**400), "a score is 10{400}, not a number"),
        (lambda: Score(1, parts=5), "parts of a score are 5, not a mapping"),
        (lambda: Score(1, parts={"a": "x"}), "part 'a' of a score is 'x', not a finite number"),
        (lambda: Score(1, parts={"a": float("nan")}), "part 'a' of a score is nan"),
        (lambda: Score(1, parts={"a": None}), "part 'a' of a score is None"),
        (lambda: Score("0.5"), "a score is '0.5', not a number"),
        (lambda: Score(np.ma.masked), "a score is masked, not a number"),
        (lambda: Score(b"1"), "a score is b'1', not a number"),
        (lambda: Score(True), "a score is True, not a number"),
        (lambda: Score(np.bool_(True)), "a score is np.True_, not a number"),
        (lambda: Score(np.array("0.5")), "a score is array.*, not a number"),
        (lambda: Score(1, parts={"a": True}), "part 'a' of a score is True, not a finite number"),
        (lambda: Score(1, parts={"a": np.bool_(True)}), "part 'a' of a score is True, not a finite number"),
    ],
)
def test_a_score_that_is_none_names_what_is_wrong(make: Callable[[], object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()


NO_NUMBERS = (["0", "1"], [False, True], [0.0, "1"], [0.0, True], np.array(["0", "1"]), np.array([False, True]))


@pytest.mark.parametrize("values", NO_NUMBERS, ids=repr)
@pytest.mark.parametrize(
    "make",
    [
        lambda values: Analysis(beats=values),
        lambda values: Analysis(beats=[0, 1], downbeats=values),
        lambda values: Analysis(tempo=values[1]),
        lambda values: Analysis(tempo=np.array(values[1])),
        lambda values: Analysis(tempo_candidates=[(120, values[1])]),
        lambda values: Analysis(tuning=values[1]),
        lambda values: Analysis(confidence={"key": values[1]}),
        lambda values: Chords(times=values, labels=["C:maj"]),
        lambda values: Melody(f0=values, confidence=[0, 1], hop_s=0.1),
        lambda values: Melody(f0=[0, 1], confidence=values, hop_s=0.1),
        lambda values: Melody(f0=[0, 1], confidence=[0, 1], hop_s=values[1]),
        lambda values: TimeMap(values, [0, 1]),
        lambda values: TimeMap([0, 1], values),
        lambda values: Audio(np.zeros((1, 4), np.float32), values[1]),
        lambda values: Audio(np.zeros((1, 4), np.float32), np.array(values[1])),
        lambda values: Key(np.array(values[1]), "major"),
        lambda values: attrs.evolve(VOCAL, speed=values[1]),
    ],
)
def test_text_and_truth_values_are_no_numbers(make: Callable[[Any], object], values: Any) -> None:
    with pytest.raises((AnalysisError, AudioError, PlanError, TimeMapError)):
        make(values)


def test_numbers_of_other_libraries_are_numbers() -> None:
    for two in (2, 2.0, np.float32(2), np.int64(2), np.array(2.0), np.array([2.0]), Fraction(2), Decimal(2)):
        assert plain_number(two) == 2
        assert type(plain_number(two)) is float
        assert plain_whole(two) == 2
        assert type(plain_whole(two)) is int
        assert Score(two).value == 2
        found = Analysis(tempo=two, tempo_candidates=[(two, two)])
        assert (found.tempo, found.tempo_candidates) == (2, ((2, 2),))
    assert Analysis(beats=[0, Fraction(2), np.float32(4)]).beats.tolist() == [0, 2, 4]
    assert TimeMap([0, Fraction(2)], np.array([0, 2])).target == (0.0, 2.0)
    assert Audio(np.zeros((1, 4), np.float32), np.int32(8000)).sample_rate == 8000


def test_a_stem_that_a_mashup_has_not_is_named_with_those_it_has() -> None:
    songs = SyntheticSource([(Key(9, "minor"), 120.0)], bars=2)
    stems = mashup_of(songs, songs.clips[0], percussion=None).stems
    assert "drums" not in stems
    assert stems.get(Role.PERCUSSION) is None
    with pytest.raises(KeyError, match="the mashup has no stem 'drums': it has vocal, harmonic"):
        stems["drums"]  # type: ignore[index]
    assert pickle.loads(pickle.dumps(stems))["vocal"].frames == stems[Role.VOCAL].frames  # noqa: S301 — our own bytes
