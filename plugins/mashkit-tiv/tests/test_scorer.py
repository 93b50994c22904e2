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
from mashkit_tiv.scorer import TivScorer

EXAMPLES = Path(__file__).parents[3] / "examples" / "songs"


class TestTiv(ScorerContract):
    component = "tiv"
    needs_beats = True
    stems_read = 2


@pytest.mark.slow
class TestTivOfTheWhole(ScorerContract):
    component = "tiv"
    options = {"by": "whole"}  # noqa: RUF012 — the contract reads it, nobody writes it
    needs_beats = True
    stems_read = 2


@pytest.fixture(scope="module")
def source() -> SyntheticSource:
    return SyntheticSource([(Key(0, "major"), 120.0), (Key(9, "minor"), 97.0), (Key(5, "major"), 120.0)], bars=8)


@pytest.fixture(scope="module", params=["beat", "whole"])
def scorer(request: pytest.FixtureRequest) -> TivScorer:
    return TivScorer(by=request.param)


# ------------------------------------------------------------------------------------------------- what is heard wrong
@pytest.mark.parametrize("index", [0, 1, 2])
@pytest.mark.parametrize("semitones", [-6, -1, 1])
def test_an_original_beats_itself_out_of_key(
    source: SyntheticSource, scorer: TivScorer, index: int, semitones: int
) -> None:
    original, wrong = scorer.score(
        [mashup_of(source, source.clips[index], harmonic={"semitones": shift}) for shift in (0, semitones)]
    )
    assert original.value > wrong.value + 0.02
    for part in ("relatedness", "consonance"):
        assert original.parts[part] > wrong.parts[part]


def test_a_mistuning_costs_the_more_the_larger_it_is(source: SyntheticSource, scorer: TivScorer) -> None:
    plans = [mashup_of(source, source.clips[0], harmonic={"semitones": shift}) for shift in (0, 0.25, 0.5, 0.75, 1)]
    values = [score.value for score in scorer.score(plans)]
    assert (np.diff(values) < -1e-3).all()


def test_other_chords_of_the_same_key_are_heard_beat_by_beat_only(source: SyntheticSource) -> None:
    """A bar late the chords are other ones, of the same key."""
    clip = source.clips[0]
    plans = [mashup_of(source, clip), mashup_of(source, clip, harmonic={"offset_s": 2.0})]
    by_beat, whole = ([score.value for score in TivScorer(by=by).score(plans)] for by in ("beat", "whole"))
    assert by_beat[0] > by_beat[1] + 0.02
    assert abs(whole[0] - whole[1]) < 0.005


# --------------------------------------------------------------------------------------------------- what is not heard
@pytest.mark.parametrize("semitones", [-5, 3])
def test_music_in_another_key_shifted_back_scores_alike(scorer: TivScorer, semitones: int) -> None:
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


@pytest.mark.parametrize("semitones", [-3.0, 0.37, 4.0, 12.0])
def test_shifting_all_layers_alike_changes_nothing(
    source: SyntheticSource, scorer: TivScorer, semitones: float
) -> None:
    clip = source.clips[1]
    changes = {role.value: {"semitones": semitones} for role in Role}
    before, after = scorer.score([mashup_of(source, clip), mashup_of(source, clip, **changes)])
    assert after.value == pytest.approx(before.value, abs=1e-12)


@pytest.mark.parametrize("role", ["vocal", "harmonic", "percussion"])
def test_no_gain_matters(source: SyntheticSource, scorer: TivScorer, role: str) -> None:
    clip = source.clips[0]
    before, after = scorer.score([mashup_of(source, clip), mashup_of(source, clip, **{role: {"gain_db": -9.0}})])
    assert after == before


def test_a_quieter_recording_scores_alike(source: SyntheticSource, scorer: TivScorer) -> None:
    clip = source.clips[0]
    shelf = Shelf()
    stems = {role: source.stem(clip.id, role) for role in Role}
    quiet = Audio(stems[Role.VOCAL].samples * np.float32(0.1), clip.sample_rate)
    shelf.add("quiet", {**stems, Role.VOCAL: quiet}, clip.analysis)
    quieter, original = scorer.score([mashup_of(shelf, shelf.clips["quiet"]), mashup_of(source, clip)])
    assert quieter.value == pytest.approx(original.value, rel=1e-4)


def test_percussion_does_not_matter(source: SyntheticSource, scorer: TivScorer) -> None:
    clip, other = source.clips[0], source.clips[1]
    plans = [
        mashup_of(source, clip),
        mashup_of(source, clip, percussion=None),
        mashup_of(source, clip, percussion={"clip_id": other.id, "semitones": 3, "speed": 1.2}),
    ]
    first, *others = scorer.score(plans)
    assert others == [first, first]


def test_a_time_map_of_one_speed_is_that_speed(source: SyntheticSource, scorer: TivScorer) -> None:
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
    original, matched = TivScorer().score([mashup_of(shelf, vocal), mashup_of(shelf, vocal, harmonic=in_time)])
    assert matched.value == pytest.approx(original.value, abs=0.01)


# -------------------------------------------------------------------------------------------------------- odd mashups
@pytest.mark.parametrize("role", [Role.VOCAL, Role.HARMONIC])
def test_what_is_silent_is_compatible_with_nothing(source: SyntheticSource, scorer: TivScorer, role: Role) -> None:
    clip = source.clips[0]
    stems = {each: source.stem(clip.id, each) for each in Role}
    shelf = Shelf()
    silent = Audio(np.zeros_like(stems[role].samples), clip.sample_rate)
    mute = shelf.add(f"mute {role}", {**stems, role: silent}, clip.analysis)
    (score,) = scorer.score([mashup_of(shelf, mute)])
    assert score.value == 0
    assert dict(score.parts) == {"relatedness": 0, "consonance": 0}


def test_the_value_of_the_whole_is_made_of_its_parts(source: SyntheticSource) -> None:
    for score in TivScorer(by="whole").score([mashup_of(source, clip) for clip in source.clips]):
        apart, rough = 1 - score.parts["relatedness"], 1 - score.parts["consonance"]
        assert score.value == pytest.approx(1 - apart * rough)


@pytest.mark.parametrize("seconds", [0.1, 0.3, 0.9, 1.5])
def test_mashups_of_less_than_four_beats(source: SyntheticSource, scorer: TivScorer, seconds: float) -> None:
    (score,) = scorer.score([mashup_of(source, source.clips[0], duration_s=seconds)])
    assert all(0 <= value <= 1 for value in (score.value, *score.parts.values()))


# ------------------------------------------------------------------------------------------------ options and machinery
@pytest.mark.parametrize("options", [{"by": "bar"}, {"weights": 1}])
def test_options_that_make_no_sense_are_named(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=next(iter(options))):
        Registry().create("scorer", "tiv", options)


# --------------------------------------------------------------------------------------------------------- real songs
@pytest.mark.slow
def test_matched_mashups_of_demo_songs_beat_themselves_out_of_key(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Separated and analysed, not true stems; of the plans of sixty seeds all do (README)."""
    pair = [EXAMPLES / name for name in ("slow-river.ogg", "mango-season.ogg")]
    if not all(song.is_file() for song in pair):
        pytest.skip("no demo songs beside this plugin")
    # The quickest trained separator, and no other process, which would import everything.
    kit = mk.Kit(separator="spleeter-torch", scorer="tiv", options={"executor": {"jobs": 0}})
    # The tests of all packages, run together, separate the songs once.
    catalog = kit.catalog(pair, cache=os.environ.get("MASHKIT_CACHE") or tmp_path_factory.mktemp("cache"))
    matched = kit.generate(catalog, condition="matched", count=10, seed=1)
    assert matched
    for original in matched:
        right, wrong = kit.scorer.score([original, shifted(original, 1)])
        assert right.value > wrong.value


@pytest.mark.songs
def test_a_real_original_beats_itself_out_of_key(multitrack: tuple[Shelf, Clip], scorer: TivScorer) -> None:
    source, clip = multitrack
    original, *wrong = (
        score.value
        for score in scorer.score([mashup_of(source, clip, harmonic={"semitones": shift}) for shift in (0, -6, 1)])
    )
    assert original > max(wrong)
