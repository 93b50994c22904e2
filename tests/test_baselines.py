"""The baseline scorers: chance, and loudness."""

from __future__ import annotations

import attrs
import numpy as np
import pytest

from mashkit.audio.levels import loudness
from mashkit.builtin.baselines import SILENCE_LUFS, LoudnessScorer, RandomScorer
from mashkit.errors import OptionError
from mashkit.registry import Registry
from mashkit.rendering.renderer import Renderer
from mashkit.synthetic.source import SyntheticSource
from mashkit.testing import ScorerContract, signals
from mashkit.testing.mashups import Unstretched
from mashkit.types import Audio, Condition, Key, Layer, MashupPlan, Role


class TestRandom(ScorerContract):
    component = "random"


class TestLoudness(ScorerContract):
    component = "loudness"


def plans(count: int) -> list[MashupPlan]:
    layer = Layer(role=Role.VOCAL, clip_id="band-0-C-major-120-4-0")
    return [
        MashupPlan(condition=Condition.ORIGINAL, layers=[layer], duration_s=1 + index / 1000, seed=0)
        for index in range(count)
    ]


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer(SyntheticSource([(Key(0, "major"), 120.0)], bars=4), Unstretched())


def test_chance_is_even_and_repeats(renderer: Renderer) -> None:
    mashups = [renderer.mashup(plan) for plan in plans(2000)]
    scores = np.array([score.value for score in RandomScorer().score(mashups)])
    # Kolmogorov and Smirnov: for 2,000 even draws the largest gap is above 0.036 in 1 % of cases.
    assert np.abs(np.sort(scores) - np.arange(0.5, 2000) / 2000).max() < 0.036
    assert scores[0] == RandomScorer().score(mashups[:1])[0].value
    assert abs(np.corrcoef(scores, [score.value for score in RandomScorer(seed=1).score(mashups)])[0, 1]) < 0.08
    with pytest.raises(OptionError, match="seed"):
        Registry().create("scorer", "random", {"seed": "x"})


def test_the_louder_the_better_by_as_much(renderer: Renderer) -> None:
    (plan,) = plans(1)
    quiet = attrs.evolve(plan, layers=[attrs.evolve(plan.layers[0], gain_db=-6.0)])
    loud, lower = LoudnessScorer().score([renderer.mashup(plan), renderer.mashup(quiet)])
    assert loud.value - lower.value == pytest.approx(6.0, abs=1e-9)
    clip = renderer.source.clip(plan.layers[0].clip_id)
    levels = [loudness(renderer.source.stem(clip.id, role)) for role in Role]
    assert loud.value == pytest.approx(levels[0], abs=1e-9)
    whole = attrs.evolve(plan, layers=[Layer(role=role, clip_id=clip.id) for role in Role])
    (all_of_it,) = LoudnessScorer().score([renderer.mashup(whole)])
    assert all_of_it.value == pytest.approx(10 * np.log10(sum(10 ** (level / 10) for level in levels)))


def test_silence_is_the_least(renderer: Renderer) -> None:
    (plan,) = plans(1)

    class Silent(SyntheticSource):
        def stem(self, clip_id: str, role: Role) -> Audio:
            return signals.silence(5.0)

    silent = Renderer(Silent([(Key(0, "major"), 120.0)], bars=4), Unstretched())
    assert LoudnessScorer().score([silent.mashup(plan)])[0].value == pytest.approx(SILENCE_LUFS)
