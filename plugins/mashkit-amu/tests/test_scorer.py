"""The scorers keep their contract and hear what is wrong with a plan, from the plan and the clips' stems alone."""

import json
from typing import Any

import attrs
import numpy as np
import pytest

from mashkit.errors import OptionError, PlanError
from mashkit.interfaces import Scorer
from mashkit.models import sha256_of
from mashkit.registry import Registry
from mashkit.synthetic.source import SyntheticSource
from mashkit.testing import ScorerContract
from mashkit.testing.mashups import Shelf, mashup_of
from mashkit.types import Audio, Clip, Key, Role
from mashkit_amu.mashability import SHIFTS, BeatFeatures, harmonic_compatibility
from mashkit_amu.scorer import TUNED, Amu2021Scorer, AmuScorer, AmuTunedScorer


class TestAmu(ScorerContract):
    component = "amu"
    needs_beats = True
    stems_read = 3


@pytest.mark.slow
class TestAmuLikePublished(ScorerContract):
    component = "amu"
    options = {"rotation": "best", "percussion_harmony": True}  # noqa: RUF012 — the contract reads it, nobody writes it
    needs_beats = True
    stems_read = 3


@pytest.mark.slow
class TestAmuTuned(ScorerContract):
    component = "amu-tuned"
    needs_beats = True
    stems_read = 3


class TestAmu2021(ScorerContract):
    component = "amu-2021"
    needs_beats = True
    stems_read = 3


@pytest.fixture(scope="module")
def source() -> SyntheticSource:
    return SyntheticSource([(Key(0, "major"), 120.0), (Key(9, "minor"), 97.0), (Key(5, "major"), 120.0)], bars=8)


@pytest.fixture(scope="module", params=[AmuScorer, Amu2021Scorer])
def scorer(request: pytest.FixtureRequest) -> Scorer:
    return request.param()


def half_a_beat(clip: Clip) -> float:
    assert clip.analysis.tempo is not None
    return 30 / clip.analysis.tempo


def test_shifting_all_layers_by_the_same_fraction_changes_no_score(source: SyntheticSource) -> None:
    mashup = mashup_of(source, source.clips[0])
    layers = [attrs.evolve(layer, semitones=layer.semitones + 0.5) for layer in mashup.plan.layers]
    higher = mashup.renderer.mashup(attrs.evolve(mashup.plan, layers=layers))
    before, after = (AmuScorer().score([one])[0] for one in (mashup, higher))
    assert after.value == pytest.approx(before.value)


# ------------------------------------------------------------------------------------------------- what is heard wrong
@pytest.mark.parametrize("index", [0, 1, 2])
@pytest.mark.parametrize("semitones", [-6, -2, -1, 1, 2])
def test_an_original_beats_itself_out_of_key(source: SyntheticSource, index: int, semitones: int) -> None:
    clip = source.clips[index]
    scorer = AmuScorer()
    original, shifted = scorer.score(
        [mashup_of(source, clip), mashup_of(source, clip, harmonic={"semitones": semitones})]
    )
    assert original.value > shifted.value + 0.05
    assert original.parts["harmony"] > shifted.parts["harmony"]
    assert original.parts["rhythm"] == shifted.parts["rhythm"]


@pytest.mark.parametrize("index", [0, 1, 2])
@pytest.mark.parametrize("late", [("percussion",), ("harmonic",), ("percussion", "harmonic")])
def test_an_original_beats_itself_half_a_beat_late(source: SyntheticSource, index: int, late: tuple[str, ...]) -> None:
    clip = source.clips[index]
    changes = {role: {"offset_s": half_a_beat(clip)} for role in late}
    original, shifted = AmuScorer().score([mashup_of(source, clip), mashup_of(source, clip, **changes)])
    assert original.value > shifted.value + 0.03
    assert original.parts["rhythm"] > shifted.parts["rhythm"] + 0.1


def test_stems_in_time_beat_stems_at_their_own_tempo(source: SyntheticSource) -> None:
    vocal, drums = source.clips[0], source.clips[1]
    assert vocal.analysis.tempo is not None
    assert drums.analysis.tempo is not None
    speed = vocal.analysis.tempo / drums.analysis.tempo
    first = [float(clip.analysis.beats[0]) for clip in (vocal, drums) if clip.analysis.beats is not None]
    matched = {"clip_id": drums.id, "speed": speed, "offset_s": first[0] - first[1] / speed}
    unmatched = {"clip_id": drums.id, "offset_s": first[0] - first[1]}
    in_time, out_of_time = AmuScorer().score([mashup_of(source, vocal, percussion=by) for by in (matched, unmatched)])
    assert in_time.parts["rhythm"] > out_of_time.parts["rhythm"] + 0.1


def test_transposing_the_whole_backing_back_restores_the_harmony(source: SyntheticSource) -> None:
    """F major's stems, five semitones down, are C major's."""
    vocal, backing = source.clips[0], source.clips[2]
    late = {"offset_s": -0.2, "clip_id": backing.id}  # its first downbeat is 0.2 s later
    scorer = AmuScorer()
    in_key = scorer.score([mashup_of(source, vocal, harmonic={**late, "semitones": -5})])[0]
    assert in_key.parts["harmony"] == pytest.approx(
        scorer.score([mashup_of(source, vocal)])[0].parts["harmony"], rel=0.05
    )


def test_2021_takes_the_best_shift_whatever_the_plan_says(source: SyntheticSource) -> None:
    clip = source.clips[0]
    plans = [mashup_of(source, clip, harmonic={"semitones": semitones}) for semitones in range(-6, 6)]
    values = [score.value for score in Amu2021Scorer().score(plans)]
    assert values == pytest.approx([values[0]] * 12)
    assert max(score.value for score in Amu2021Scorer(rotation="planned").score(plans)) <= values[0] + 1e-12


# --------------------------------------------------------------------------------------------------- what is not heard
@pytest.mark.parametrize("gain_db", [-12.0, 6.0])
def test_the_gain_of_a_layer_changes_balance_alone(source: SyntheticSource, scorer: Scorer, gain_db: float) -> None:
    clip = source.clips[0]
    before, after = scorer.score([mashup_of(source, clip), mashup_of(source, clip, vocal={"gain_db": gain_db})])
    for name in before.parts.keys() - {"balance"}:
        assert after.parts[name] == before.parts[name]
    assert after.parts["balance"] != before.parts["balance"]


def test_a_quieter_recording_scores_as_one_turned_down(source: SyntheticSource, scorer: Scorer) -> None:
    clip = source.clips[0]
    shelf = Shelf()
    stems = {role: source.stem(clip.id, role) for role in Role}
    quiet = Audio(stems[Role.HARMONIC].samples * np.float32(0.1), clip.sample_rate)
    shelf.add("quiet", {**stems, Role.HARMONIC: quiet}, clip.analysis)
    recorded = scorer.score([mashup_of(shelf, shelf.clips["quiet"])])[0]
    planned = scorer.score([mashup_of(source, clip, harmonic={"gain_db": -20.0})])[0]
    assert dict(recorded.parts) == pytest.approx(dict(planned.parts), rel=1e-3)


@pytest.mark.parametrize("semitones", [-3, 4])
def test_shifting_all_stems_alike_changes_nothing(source: SyntheticSource, scorer: Scorer, semitones: int) -> None:
    clip = source.clips[0]
    changes = {role.value: {"semitones": semitones} for role in Role}
    before, after = scorer.score([mashup_of(source, clip), mashup_of(source, clip, **changes)])
    assert after.value == pytest.approx(before.value)


def test_shifting_drums_is_harmony_only_where_drums_have_one(source: SyntheticSource) -> None:
    clip = source.clips[0]
    plans = [mashup_of(source, clip), mashup_of(source, clip, percussion={"semitones": 3})]
    without, with_percussion = AmuScorer(), AmuScorer(percussion_harmony=True)
    assert without.score(plans)[0] == without.score(plans)[1]
    before, after = with_percussion.score(plans)
    assert before.parts["harmony"] != after.parts["harmony"]


# -------------------------------------------------------------------------------------------------------- odd mashups
def test_the_value_is_the_weighted_sum_of_the_parts(source: SyntheticSource) -> None:
    plan = mashup_of(source, source.clips[0])
    (full,) = AmuScorer(rhythm_weight=0.5, balance_weight=0.1).score([plan])
    assert full.value == pytest.approx(full.parts["harmony"] + 0.5 * full.parts["rhythm"] + 0.1 * full.parts["balance"])
    (baseline,) = Amu2021Scorer().score([plan])
    assert baseline.value == pytest.approx(baseline.parts["harmony"] + 0.2 * baseline.parts["balance"])
    assert set(baseline.parts) == {"harmony", "balance"}


@pytest.mark.parametrize("seconds", [0.1, 0.3, 0.9, 1.5])
def test_mashups_of_less_than_four_beats(source: SyntheticSource, scorer: Scorer, seconds: float) -> None:
    clip = source.clips[0]
    (score,) = scorer.score([mashup_of(source, clip, duration_s=seconds)])
    assert np.isfinite(score.value)
    assert all(0 <= part <= 1 + 1e-9 for part in score.parts.values())


@pytest.mark.parametrize("role", list(Role))
def test_a_silent_role(source: SyntheticSource, scorer: Scorer, role: Role) -> None:
    clip = source.clips[0]
    stems = {each: source.stem(clip.id, each) for each in Role}
    shelf = Shelf()
    silent = Audio(np.zeros_like(stems[role].samples), clip.sample_rate)
    shelf.add(f"without {role}", {**stems, role: silent}, clip.analysis)
    (score,) = scorer.score([mashup_of(shelf, shelf.clips[f"without {role}"])])
    (original,) = scorer.score([mashup_of(source, clip)])
    assert np.isfinite(score.value)
    assert score.value < original.value or (role is Role.PERCUSSION and isinstance(scorer, Amu2021Scorer))


def test_two_layers_are_one_pair(source: SyntheticSource) -> None:
    clip = source.clips[0]
    (score,) = AmuScorer().score([mashup_of(source, clip, percussion=None)])  # type: ignore[arg-type]
    (three,) = AmuScorer().score([mashup_of(source, clip)])
    assert score.parts["harmony"] == three.parts["harmony"]  # the one pair that has a harmony
    (no_harmony,) = AmuScorer().score([mashup_of(source, clip, harmonic=None)])  # type: ignore[arg-type]
    assert no_harmony.parts["harmony"] == 0.0


def test_one_layer_is_no_pair(source: SyntheticSource, scorer: Scorer) -> None:
    lone = mashup_of(source, source.clips[0], harmonic=None, percussion=None)  # type: ignore[arg-type]
    with pytest.raises(PlanError, match=lone.plan.id):
        scorer.score([lone])


# ------------------------------------------------------------------------------------------------ options and machinery
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("amu", {"rhythm_weight": -0.1}),
        ("amu", {"balance_weight": float("inf")}),
        ("amu", {"rotation": "any"}),
        ("amu", {"percussion_harmony": 1}),
        ("amu-2021", {"balance_weight": "much"}),
        ("amu-2021", {"rhythm_weight": 0.2}),
    ],
)
def test_options_that_make_no_sense_are_named(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=next(iter(options))):
        Registry().create("scorer", name, options)


def test_the_fingerprint_depends_on_options_alone(source: SyntheticSource) -> None:
    fresh, used = AmuScorer(), AmuScorer()
    used.score([mashup_of(source, source.clips[0])])
    assert fresh.fingerprint() == used.fingerprint()
    assert fresh.fingerprint() != attrs.evolve(fresh, rotation="best").fingerprint()


# --------------------------------------------------------------------------------------------------------- real songs
@pytest.mark.songs
def test_a_real_original_beats_itself_out_of_key(multitrack: tuple[Shelf, Clip]) -> None:
    source, clip = multitrack
    plans = [mashup_of(source, clip, harmonic={"semitones": shift}) for shift in (0, -2, -1, 1, 2)]
    original, *shifted = (score.parts["harmony"] for score in AmuScorer().score(plans))
    assert original > np.mean(shifted) + 0.01
    assert original > shifted[2]  # a semitone up, the clash of clashes


# ----------------------------------------------------------------------------------------------------------- amu-tuned
def test_the_probability_is_that_of_the_fitted_weights(source: SyntheticSource) -> None:
    clip = source.clips[0]
    weights = json.loads(TUNED.read_text(encoding="utf-8"))["weights"]
    assert set(weights) == {"harmony", "rhythm", "balance", "bias"}
    scorer = AmuTunedScorer()
    good, bad = scorer.score([mashup_of(source, clip), mashup_of(source, clip, harmonic={"semitones": 1})])
    for score in (good, bad):
        logit = weights["bias"] + sum(weights[name] * part for name, part in score.parts.items())
        assert score.value == pytest.approx(1 / (1 + np.exp(-logit)))
        assert score.scale == "probability"
    assert good.value > 0.5 > bad.value
    assert scorer.weights() == {"tuned.json": sha256_of(TUNED)}
    # Only harmony differs from that of `amu`: it is a correlation, and tells keys apart by more.
    plain = AmuScorer().score([mashup_of(source, clip), mashup_of(source, clip, harmonic={"semitones": 1})])
    for name in ("rhythm", "balance"):
        assert good.parts[name] == plain[0].parts[name]
    assert good.parts["harmony"] < plain[0].parts["harmony"]
    assert good.parts["harmony"] - bad.parts["harmony"] > plain[0].parts["harmony"] - plain[1].parts["harmony"]


def test_centred_chroma_are_correlated_as_numpy_has_it() -> None:
    random = np.random.default_rng(3)
    one, other = (
        BeatFeatures(random.random((12, 5)), np.zeros((2, 60)), np.zeros((3, 5))).centred().chroma for _ in range(2)
    )
    found = harmonic_compatibility(one, other)[int(np.flatnonzero(SHIFTS == 0)[0]), 0]
    assert found == pytest.approx(np.corrcoef(one.ravel(), other.ravel())[0, 1])
    silent = BeatFeatures(np.zeros((12, 5)), np.zeros((2, 60)), np.zeros((3, 5))).centred().chroma
    assert not harmonic_compatibility(one, silent).any()
