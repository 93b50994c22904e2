"""The scorer keeps its contract, hears wrong keys, and does not mind what should not matter."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mashkit as mk
from mashkit.errors import OptionError
from mashkit.registry import Registry
from mashkit.synthetic.source import SyntheticSource
from mashkit.testing import ScorerContract, signals
from mashkit.testing.mashups import Shelf, mashup_of, shifted
from mashkit.types import Audio, Clip, Key, Role
from mashkit.types.timemap import TimeMap
from mashkit_vh2015.scorer import Vh2015Scorer

EXAMPLES = Path(__file__).parents[3] / "examples" / "songs"


class TestVh2015(ScorerContract):
    component = "vh2015"
    needs_beats = True
    stems_read = 2


@pytest.mark.slow
class TestVh2015WithoutContrast(ScorerContract):
    component = "vh2015"
    options = {"contrast_weight": 0.0, "tempo_weight": 0.0}  # noqa: RUF012 — the contract reads it, nobody writes it
    needs_beats = True
    stems_read = 2


@pytest.fixture(scope="module")
def source() -> SyntheticSource:
    return SyntheticSource([(Key(0, "major"), 120.0), (Key(9, "minor"), 97.0), (Key(5, "major"), 120.0)], bars=8)


@pytest.fixture(scope="module")
def scorer() -> Vh2015Scorer:
    return Vh2015Scorer()


# ------------------------------------------------------------------------------------------------- what is heard wrong
@pytest.mark.parametrize("index", [0, 1, 2])
@pytest.mark.parametrize("semitones", [-6, -1, 1])
def test_an_original_beats_itself_out_of_key(
    source: SyntheticSource, scorer: Vh2015Scorer, index: int, semitones: int
) -> None:
    original, wrong = scorer.score(
        [mashup_of(source, source.clips[index], harmonic={"semitones": shift}) for shift in (0, semitones)]
    )
    assert original.value > wrong.value + 0.02
    assert original.parts["chroma"] > wrong.parts["chroma"] + 0.1
    assert original.parts["contrast"] == wrong.parts["contrast"]


def test_a_mistuning_costs_the_more_the_larger_it_is(source: SyntheticSource, scorer: Vh2015Scorer) -> None:
    plans = [mashup_of(source, source.clips[0], harmonic={"semitones": shift}) for shift in (0, 0.25, 0.5, 0.75, 1)]
    values = [score.parts["chroma"] for score in scorer.score(plans)]
    assert (np.diff(values) < -1e-3).all()


@pytest.mark.parametrize("role", ["harmonic", "percussion"])
def test_the_further_from_its_tempo_the_lower(source: SyntheticSource, scorer: Vh2015Scorer, role: str) -> None:
    clip = source.clips[0]
    plans = [mashup_of(source, clip, **{role: {"speed": speed}}) for speed in (1.0, 0.97, 1.1, 0.8, 1.5, 0.5, 3.0)]
    tempo = [score.parts["tempo"] for score in scorer.score(plans)]
    assert tempo[0] == 1
    assert tempo[:6] == sorted(tempo[:6], reverse=True)
    assert tempo[5:] == [0, 0]


def test_contrast_is_largest_where_one_layer_is_calm() -> None:
    """A melody over a held tone, over itself, and a held tone over itself."""
    stems, analysis = signals.band(Key(0, "major"), bars=8)
    melody, drums = stems.role(Role.VOCAL), stems.role(Role.PERCUSSION)
    tone = signals.tone(261.63, melody.duration)
    held = Audio(np.repeat(tone.samples, 2, axis=0), tone.sample_rate)
    shelf = Shelf()
    pairs = {"one calm": (melody, held), "both busy": (melody, melody), "both calm": (held, held)}
    plans = [
        mashup_of(
            shelf, shelf.add(name, {Role.VOCAL: vocal, Role.HARMONIC: harmonic, Role.PERCUSSION: drums}, analysis)
        )
        for name, (vocal, harmonic) in pairs.items()
    ]
    one_calm, both_busy, both_calm = (score.parts["contrast"] for score in Vh2015Scorer().score(plans))
    assert one_calm > both_busy + 0.1
    assert one_calm > both_calm + 0.5


# --------------------------------------------------------------------------------------------------- what is not heard
@pytest.mark.parametrize("semitones", [-5, 3])
def test_music_in_another_key_shifted_back_scores_alike(scorer: Vh2015Scorer, semitones: int) -> None:
    """The same chords played ``semitones`` away and shifted back: only the instruments' ranges differ."""
    home, _ = signals.band(Key(0, "major"), bars=4)
    away, analysis = signals.band(Key(semitones % 12, "major"), bars=4)
    stems = {role: home.role(role) for role in Role}
    shelf = Shelf()
    at_home = shelf.add("home", stems, analysis)
    elsewhere = shelf.add(f"{semitones} away", {**stems, Role.HARMONIC: away.role(Role.HARMONIC)}, analysis)
    original, back, left = scorer.score([
        mashup_of(shelf, at_home),
        mashup_of(shelf, elsewhere, harmonic={"semitones": -semitones}),
        mashup_of(shelf, elsewhere),
    ])  # fmt: skip
    assert back.value == pytest.approx(original.value, abs=0.01)
    assert left.value < original.value - 0.02


@pytest.mark.parametrize("semitones", [-3, 4, 12])
def test_shifting_all_layers_alike_changes_nothing(
    source: SyntheticSource, scorer: Vh2015Scorer, semitones: int
) -> None:
    clip = source.clips[1]
    changes = {role.value: {"semitones": semitones} for role in Role}
    before, after = scorer.score([mashup_of(source, clip), mashup_of(source, clip, **changes)])
    assert after.value == pytest.approx(before.value, rel=1e-6)


@pytest.mark.parametrize("role", ["vocal", "harmonic", "percussion"])
def test_no_gain_matters(source: SyntheticSource, scorer: Vh2015Scorer, role: str) -> None:
    clip = source.clips[0]
    before, after = scorer.score([mashup_of(source, clip), mashup_of(source, clip, **{role: {"gain_db": -9.0}})])
    assert after == before


def test_a_quieter_recording_scores_alike(source: SyntheticSource, scorer: Vh2015Scorer) -> None:
    clip = source.clips[0]
    shelf = Shelf()
    stems = {role: source.stem(clip.id, role) for role in Role}
    quiet = Audio(stems[Role.VOCAL].samples * np.float32(0.1), clip.sample_rate)
    shelf.add("quiet", {**stems, Role.VOCAL: quiet}, clip.analysis)
    quieter, original = scorer.score([mashup_of(shelf, shelf.clips["quiet"]), mashup_of(source, clip)])
    assert quieter.value == pytest.approx(original.value, rel=1e-4)


def test_a_time_map_of_one_speed_is_that_speed(source: SyntheticSource, scorer: Vh2015Scorer) -> None:
    clip = source.clips[2]
    ends = np.array([0.0, clip.duration])
    time_map = TimeMap(source=ends, target=ends / 1.2)
    plans = [mashup_of(source, clip, harmonic=change) for change in ({"speed": 1.2}, {"time_map": time_map})]
    constant, mapped = scorer.score(plans)
    assert mapped.value == pytest.approx(constant.value, abs=1e-9)


def test_a_slower_backing_is_compared_where_it_will_sound() -> None:
    """The same chords at 100 BPM, played a fifth faster and placed on the vocal's downbeat, are the same chords."""
    shelf = Shelf()
    band, beats = signals.band(Key(0, "major"), bars=4, tempo=120)
    slow_band, slow_beats = signals.band(Key(0, "major"), bars=4, tempo=100, first_downbeat=0.75)
    vocal = shelf.add("vocal", {role: band.role(role) for role in Role}, beats)
    backing = shelf.add("backing", {role: slow_band.role(role) for role in Role}, slow_beats)
    in_time = {"clip_id": backing.id, "speed": 1.2, "offset_s": 0.25 - 0.75 / 1.2}
    original, matched = Vh2015Scorer().score([mashup_of(shelf, vocal), mashup_of(shelf, vocal, harmonic=in_time)])
    assert matched.parts["chroma"] == pytest.approx(original.parts["chroma"], abs=0.02)
    assert matched.parts["contrast"] == pytest.approx(original.parts["contrast"], abs=0.1)


def test_percussion_matters_to_tempo_alone(source: SyntheticSource, scorer: Vh2015Scorer) -> None:
    clip, other = source.clips[0], source.clips[1]
    plans = [
        mashup_of(source, clip),
        mashup_of(source, clip, percussion=None),
        mashup_of(source, clip, percussion={"clip_id": other.id, "semitones": 3}),
        mashup_of(source, clip, percussion={"speed": 1.2}),
    ]
    first, without, another, faster = scorer.score(plans)
    assert without == another == first
    assert faster.parts["tempo"] < first.parts["tempo"]
    assert {**faster.parts, "tempo": 1.0} == dict(first.parts)


# -------------------------------------------------------------------------------------------------------- odd mashups
@pytest.mark.parametrize("role", [Role.VOCAL, Role.HARMONIC])
def test_what_is_silent_matches_nothing(source: SyntheticSource, scorer: Vh2015Scorer, role: Role) -> None:
    clip = source.clips[0]
    stems = {each: source.stem(clip.id, each) for each in Role}
    shelf = Shelf()
    silent = Audio(np.zeros_like(stems[role].samples), clip.sample_rate)
    mute = shelf.add(f"mute {role}", {**stems, role: silent}, clip.analysis)
    (score,) = scorer.score([mashup_of(shelf, mute)])
    assert dict(score.parts) == {"chroma": 0, "contrast": 0, "tempo": 1}
    assert score.value == pytest.approx(0.2)


@pytest.mark.parametrize(("contrast_weight", "tempo_weight"), [(1.0, 0.2), (0.3, 0.0), (0.0, 1.5)])
def test_the_value_is_made_of_the_parts(source: SyntheticSource, contrast_weight: float, tempo_weight: float) -> None:
    plan = mashup_of(source, source.clips[0], harmonic={"speed": 1.1})
    (score,) = Vh2015Scorer(contrast_weight=contrast_weight, tempo_weight=tempo_weight).score([plan])
    chroma, contrast, tempo = (score.parts[name] for name in ("chroma", "contrast", "tempo"))
    expected = chroma * (1 - contrast_weight + contrast_weight * contrast) + tempo_weight * tempo
    assert score.value == pytest.approx(expected)


@pytest.mark.parametrize("seconds", [0.1, 0.3, 0.9, 1.5])
def test_mashups_of_less_than_four_beats(source: SyntheticSource, scorer: Vh2015Scorer, seconds: float) -> None:
    (score,) = scorer.score([mashup_of(source, source.clips[0], duration_s=seconds)])
    assert all(0 <= part <= 1 for part in score.parts.values())


# ------------------------------------------------------------------------------------------------ options and machinery
@pytest.mark.parametrize(
    "options",
    [{"contrast_weight": 1.1}, {"tempo_weight": -0.1}, {"tempo_weight": float("inf")}, {"change_threshold": "low"}],
)
def test_options_that_make_no_sense_are_named(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=next(iter(options))):
        Registry().create("scorer", "vh2015", options)


# --------------------------------------------------------------------------------------------------------- real songs
@pytest.mark.slow
def test_matched_mashups_of_demo_songs_beat_themselves_out_of_key(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Separated and analysed, not true stems; of the plans of sixty seeds all do (README)."""
    pair = [EXAMPLES / name for name in ("slow-river.ogg", "mango-season.ogg")]
    if not all(song.is_file() for song in pair):
        pytest.skip("no demo songs beside this plugin")
    # The quickest trained separator, and no other process, which would import everything.
    kit = mk.Kit(separator="spleeter-torch", scorer="vh2015", options={"executor": {"jobs": 0}})
    # The tests of all packages, run together, separate the songs once.
    catalog = kit.catalog(pair, cache=os.environ.get("MASHKIT_CACHE") or tmp_path_factory.mktemp("cache"))
    matched = kit.generate(catalog, condition="matched", count=10, seed=1)
    assert matched
    for original in matched:
        right, wrong = kit.scorer.score([original, shifted(original, 1)])
        assert right.value > wrong.value


@pytest.mark.songs
def test_a_real_original_beats_itself_out_of_key(multitrack: tuple[Shelf, Clip], scorer: Vh2015Scorer) -> None:
    source, clip = multitrack
    original, *wrong = (
        score.value
        for score in scorer.score([mashup_of(source, clip, harmonic={"semitones": shift}) for shift in (0, -6, 1)])
    )
    assert original > max(wrong)
