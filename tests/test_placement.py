"""Plans are what they were: the same clips, chosen the same, are placed the same to the last digit.

data/placement.json holds the analyses of the demo songs and of eight clips whose tempo drifts, and plans made of them
before the generator was made fast.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mashkit.builtin.paper import PaperGenerator
from mashkit.types import Analysis, Clip, MashupPlan

GOLDEN = json.loads((Path(__file__).parent / "data" / "placement.json").read_text(encoding="utf-8"))
CLIPS = {
    clip["id"]: Clip(**{**clip, "analysis": Analysis.from_dict(clip["analysis"])})  # type: ignore[arg-type]
    for clip in GOLDEN["clips"]
}


def stems(plan: dict[str, Any]) -> tuple[str, ...]:
    return tuple(layer["clip_id"] for layer in plan["layers"])


def drawn(case: dict[str, Any]) -> dict[str, Any]:
    """Return the plan that is now drawn of a case's clips."""
    vocal, *backing = stems(case["plan"])
    clips = [CLIPS[name] for name in dict.fromkeys((vocal, *backing))]
    found = PaperGenerator(**case["options"]).plan(
        clips, condition=case["plan"]["condition"], count=9, seed=0, vocal=vocal
    )
    return next(plan.to_dict() for plan in found if stems(plan.to_dict()) == stems(case["plan"]))


def assert_same(now: Any, then: Any, where: str = "plan") -> None:
    if isinstance(then, dict):
        assert now.keys() == then.keys(), where
        for name in then:
            assert_same(now[name], then[name], f"{where}.{name}")
    elif isinstance(then, list):
        assert len(now) == len(then), where
        for number, (one, other) in enumerate(zip(now, then, strict=True)):
            assert_same(one, other, f"{where}[{number}]")
    elif isinstance(then, float):
        assert now == pytest.approx(then, rel=0, abs=1e-12), where
    else:
        assert now == then, where


def without_run(plan: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in plan.items() if name not in ("seed", "generator")}


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: "-".join(stems(case["plan"])))
def test_plans_are_what_they_were(case: dict[str, Any]) -> None:
    assert_same(without_run(drawn(case)), case["plan"])


def test_the_cases_hold_maps_single_speeds_and_folded_tempi() -> None:
    layers = [layer for case in GOLDEN["cases"] for layer in case["plan"]["layers"][1:]]
    assert sum("time_map" in layer for layer in layers) > 30
    assert sum("time_map" not in layer for layer in layers) > 30
    assert any(case["options"].get("fold_tempo") for case in GOLDEN["cases"])


@pytest.mark.parametrize("case", GOLDEN["variants"], ids=lambda case: "-".join(stems(case["plan"])))
def test_variants_are_what_they_were(case: dict[str, Any]) -> None:
    plan = MashupPlan.from_dict(case["plan"])
    clips = {layer.clip_id: CLIPS[layer.clip_id] for layer in plan.layers}
    now = PaperGenerator(phrase_bars=8, min_duration_s=20.0).variants(plan, clips)
    assert_same([without_run(variant.to_dict()) for variant in now], case["variants"], "variants")
