"""A time map carries there and back, keeps its ends, and says what is wrong with it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from light import Turntable
from mashkit.errors import PlanError, TimeMapError, UsageError
from mashkit.interfaces.stretcher import mapped_frames, stretched_frames
from mashkit.testing import signals
from mashkit.types import Layer, MashupPlan, Mixing, Role
from mashkit.types.timemap import TimeMap

pieces = st.lists(st.tuples(st.floats(0.05, 5), st.floats(0.5, 2)), min_size=1, max_size=20)


def made_of(parts: list[tuple[float, float]]) -> TimeMap:
    """Return the map of (source seconds, speed) pieces."""
    source = np.concatenate([[0], np.cumsum([length for length, _ in parts])])
    target = np.concatenate([[0], np.cumsum([length / speed for length, speed in parts])])
    return TimeMap(source, target)


@given(pieces, st.lists(st.floats(-5, 100), min_size=1))
def test_there_and_back(parts: list[tuple[float, float]], times: list[float]) -> None:
    time_map = made_of(parts)
    np.testing.assert_allclose(time_map.to_source(time_map.to_target(times)), times, atol=1e-9)


@given(pieces)
def test_pieces_have_their_speeds(parts: list[tuple[float, float]]) -> None:
    time_map = made_of(parts)
    np.testing.assert_allclose(time_map.speeds, [speed for _, speed in parts], rtol=1e-6)
    assert time_map.mean_speed == pytest.approx(time_map.source[-1] / time_map.target[-1])


@given(pieces, st.floats(0, 0.1))
def test_a_simplified_map_stays_within_its_tolerance(parts: list[tuple[float, float]], tolerance: float) -> None:
    made = made_of(parts)
    knots = {"source": made.source, "target": made.target, "duration_s": made.source[-1]}
    time_map, _ = TimeMap.through(**knots)
    simple, _ = TimeMap.through(**knots, tolerance_s=tolerance)
    assert (simple.source[0], simple.source[-1]) == (time_map.source[0], time_map.source[-1])
    assert set(simple.source) <= set(time_map.source)
    off = np.abs(simple.to_target(time_map.source) - time_map.target)
    assert off.max() <= tolerance + 1e-9


def test_a_steady_map_is_a_single_piece() -> None:
    steady, _ = TimeMap.through(np.arange(50), np.arange(50) / 1.1, duration_s=49.0, tolerance_s=1e-6)
    assert len(steady.source) == 2


@given(pieces)
def test_the_json_form_reads_back(parts: list[tuple[float, float]]) -> None:
    time_map = made_of(parts)
    layer = Layer(role=Role.HARMONIC, clip_id="a", time_map=time_map, semitones=1, offset_s=-0.5)
    plan = MashupPlan(
        condition="matched",
        layers=[Layer(role=Role.VOCAL, clip_id="b"), layer],
        duration_s=30,
        seed=1,
        mixing=Mixing(fade_in_s=1, limit_db=3),
        notes=["a note"],
    )
    assert MashupPlan.from_json(plan.to_json()) == plan
    assert MashupPlan.from_json(plan.to_json()).id == plan.id
    assert hash(layer) == hash(Layer.from_dict(layer.to_dict()))


def test_through_meets_its_moments_and_both_ends() -> None:
    source, target = np.array([1.0, 2.0, 3.0, 5.0]), np.array([10.0, 11.1, 12.0, 14.5])
    time_map, offset = TimeMap.through(source, target, duration_s=8.0)
    np.testing.assert_allclose(offset + time_map.to_target(source), target, atol=2e-6)
    assert time_map.source[-1] == 8.0
    assert time_map.speeds[0] == pytest.approx(1 / 1.1, rel=1e-5)
    assert time_map.speeds[-1] == pytest.approx(2 / 2.5, rel=1e-5)


@pytest.mark.parametrize(
    ("source", "target", "problem"),
    [
        ((0,), (0,), "1 source"),
        ((0, 1), (0, 1, 2), "2 source knots and 3 target knots"),
        ((0.5, 1), (0, 1), "begins at 0.5"),
        ((0, 1), (0.1, 1), "begins at 0.1"),
        ((0, 2, 1), (0, 1, 2), "increasing"),
        ((0, 1, 2), (0, 1, 1), "increasing"),
        ((0, float("nan")), (0, 1), "finite"),
    ],
)
def test_knots_that_make_no_map(source: tuple[float, ...], target: tuple[float, ...], problem: str) -> None:
    with pytest.raises(TimeMapError, match=problem):
        TimeMap(source, target)


@pytest.mark.parametrize(
    ("source", "target", "problem"),
    [
        ([1.0], [1.0], "two or more"),
        ([2.0, 1.0], [1.0, 2.0], "increasing"),
        ([1.0, 2.0], [2.0, 1.0], "increasing"),
        ([1.0, 9.0], [1.0, 2.0], "outside"),
        ([-1.0, 2.0], [1.0, 2.0], "outside"),
    ],
)
def test_moments_that_make_no_map(source: list[float], target: list[float], problem: str) -> None:
    with pytest.raises(TimeMapError, match=problem):
        TimeMap.through(source, target, duration_s=8.0)


def test_lengths_of_a_map_and_of_its_only_speed_agree() -> None:
    for speed in (0.8, 0.97, 1.25):
        for frames in (1, 44_100, 1_000_001):
            one = TimeMap((0, 30), (0, 30 / speed))
            assert abs(mapped_frames(frames, one, 44_100) - stretched_frames(frames, speed)) <= 1


def test_a_speed_and_a_map_are_too_much() -> None:
    with pytest.raises(UsageError, match="both"):
        Turntable().stretch(signals.noise(1.0), speed=1.1, time_map=TimeMap((0, 1), (0, 1.2)))


def test_a_layer_moves_with_its_map() -> None:
    beats, time_map = signals.drift(30.0)
    layer = Layer(role=Role.HARMONIC, clip_id="a", time_map=time_map, offset_s=3.0)
    np.testing.assert_allclose(np.diff(layer.to_mashup(beats)), 0.5, atol=1e-5)
    np.testing.assert_allclose(layer.to_clip(layer.to_mashup(beats)), beats, atol=1e-9)
    assert layer.speed == time_map.mean_speed


def test_a_layers_speed_may_not_contradict_its_map() -> None:
    with pytest.raises(PlanError, match="mean"):
        Layer(role=Role.HARMONIC, clip_id="a", time_map=TimeMap((0, 1), (0, 2)), speed=1.0)


def test_at_one_speed_lies_as_near_as_one_speed_can() -> None:
    beats, time_map = signals.drift(60.0)
    layer = Layer(role=Role.HARMONIC, clip_id="a", time_map=time_map, offset_s=3.0)
    one = layer.at_one_speed()
    late = one.to_mashup(beats) - layer.to_mashup(beats)
    assert one.time_map is None
    assert abs(np.median(late)) < 0.01
    assert 0.02 < np.abs(late).max() < 0.1  # what a global stretch leaves of a swing of ± 3 %


def test_a_plan_without_maps_is_its_own_one_speed_plan() -> None:
    plan = MashupPlan(condition="original", layers=[Layer(role=Role.VOCAL, clip_id="a")], duration_s=30, seed=0)
    assert plan.at_one_speed("no reason") is plan
    _, time_map = signals.drift(60.0)
    mapped = MashupPlan(
        condition="matched",
        layers=[*plan.layers, Layer(role=Role.HARMONIC, clip_id="b", time_map=time_map)],
        duration_s=30,
        seed=0,
    )
    assert mapped.at_one_speed("the reason").notes == ("one speed, not a beat map: the reason",)


def test_a_plan_of_format_1_is_still_read() -> None:
    old = (
        '{"condition": "matched", "duration_s": 30.0, "format": 1, "generator": {}, "layers": [{"clip_id": "a", '
        '"gain_db": 0.0, "offset_s": -1.0, "role": "vocal", "semitones": 0.0, "speed": 1.0}], "seed": 3}'
    )
    plan = MashupPlan.from_json(old)
    assert (plan.mixing, plan.notes, plan.layers[0].time_map) == (Mixing(), (), None)


@pytest.mark.parametrize("fault", ['"time_map": [1, 2]', '"time_map": {"source": [0, 1]}', '"tempo": 3'])
def test_a_malformed_layer_is_said_to_be(fault: str) -> None:
    text = (
        '{"condition": "matched", "duration_s": 30.0, "format": 2, "generator": {}, "seed": 3, '
        '"layers": [{"clip_id": "a", "role": "vocal", %s}]}'
    )
    with pytest.raises(PlanError, match="malformed"):
        MashupPlan.from_json(text % fault)


@pytest.mark.parametrize("name", ["fade_in_s", "fade_out_s", "duck_db", "limit_db"])
@pytest.mark.parametrize("value", [-1.0, float("nan")])
def test_mixing_takes_no_negative_numbers(name: str, value: float) -> None:
    with pytest.raises(PlanError, match=name):
        Mixing(**{name: value})
