"""The scorer keeps its contract, hears chords that do not fit, and says which clip has none."""

import attrs
import numpy as np
import pytest

from mashkit.errors import AnalysisError
from mashkit.synthetic.source import SyntheticSource
from mashkit.testing import ScorerContract, signals
from mashkit.testing.mashups import Shelf, mashup_of
from mashkit.types import Audio, Chords, Key, Role
from mashkit_chords.scorer import ChordsScorer


class TestChords(ScorerContract):
    component = "chords"
    needs_beats = True
    stems_read = 1


@pytest.fixture(scope="module")
def source() -> SyntheticSource:
    return SyntheticSource([(Key(0, "major"), 120.0), (Key(9, "minor"), 97.0)], bars=8)


def shelf_of(chords: Chords | None, sung: list[int], bars: int = 2) -> tuple[Shelf, str]:
    """Return a clip whose vocal sings a MIDI number a beat over given chords, at 120 BPM."""
    stems, truth = signals.band(bars=bars)
    notes = [signals.tone(440 * 2 ** ((pitch - 69) / 12), 0.5).samples for pitch in sung]
    frames = stems.stems["vocals"].frames
    voice = np.pad(np.concatenate(notes, axis=1), ((0, 0), (round(0.25 * 44_100), frames)))[:, :frames]
    shelf = Shelf()
    roles = {role: stems.role(role) for role in Role} | {Role.VOCAL: Audio(np.repeat(voice, 2, axis=0), 44_100)}
    shelf.add("song", roles, attrs.evolve(truth, chords=chords))
    return shelf, "song"


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize("semitones", [-6, -1, 1, 3])
def test_an_original_beats_itself_out_of_key(source: SyntheticSource, index: int, semitones: int) -> None:
    original, wrong = ChordsScorer().score(
        [mashup_of(source, source.clips[index], harmonic={"semitones": shift}) for shift in (0, semitones)]
    )
    assert original.parts["agreement"] == 1.0
    assert wrong.parts["agreement"] < 0.5
    assert original.parts["tones"] > wrong.parts["tones"]
    assert original.value > wrong.value + 0.2


def test_a_bar_late_the_chords_are_other_ones(source: SyntheticSource) -> None:
    clip = source.clips[0]
    original, late = ChordsScorer().score(
        [mashup_of(source, clip), mashup_of(source, clip, harmonic={"offset_s": 2.0})]
    )
    assert late.parts["agreement"] < 0.7
    assert late.value < original.value


def test_both_parts_by_hand() -> None:
    """C, E, G and D over C major; C, E and G over A minor, which has two of them. (The last beat has no end.)"""
    chords = Chords([0.0, 2.25, 4.25], ["C:maj", "A:min"])
    shelf, name = shelf_of(chords, [72, 76, 79, 74, 72, 76, 79, 79])
    score = ChordsScorer().score([mashup_of(shelf, shelf.clips[name])])[0]
    assert score.parts["agreement"] == 1.0
    assert score.parts["tones"] == pytest.approx(5 / 7, abs=0.02)
    moved = ChordsScorer().score([mashup_of(shelf, shelf.clips[name], harmonic={"semitones": 2})])[0]
    assert moved.parts["agreement"] == 0.0  # D major under C major, B minor under A minor: no common tone


def test_the_value_is_of_both_parts_in_their_shares(source: SyntheticSource) -> None:
    wrong = mashup_of(source, source.clips[0], harmonic={"semitones": 3})
    for share in (0.0, 0.25, 1.0):
        score = ChordsScorer(agreement=share).score([wrong])[0]
        due = (1 - share) * score.parts["tones"] + share * score.parts["agreement"]
        assert score.value == pytest.approx(due)


def test_beats_without_a_chord_do_not_count() -> None:
    sung = [72, 76, 79, 72, 74, 74, 74, 74]
    with_rest, name = shelf_of(Chords([0.0, 2.25, 4.25], ["C:maj", "N"]), sung)
    score = ChordsScorer().score([mashup_of(with_rest, with_rest.clips[name])])[0]
    assert score.parts["tones"] > 0.9
    silent, name = shelf_of(Chords([0.0, 4.25], ["N"]), sung)
    assert ChordsScorer().score([mashup_of(silent, silent.clips[name])])[0].value == 0.0


def test_shifting_all_layers_alike_changes_nothing(source: SyntheticSource) -> None:
    clip = source.clips[1]
    changes = {role.value: {"semitones": 4.0} for role in Role}
    before, after = ChordsScorer().score([mashup_of(source, clip), mashup_of(source, clip, **changes)])
    assert after.value == pytest.approx(before.value, abs=1e-9)


def test_gains_and_percussion_do_not_matter(source: SyntheticSource) -> None:
    clip = source.clips[0]
    first, *others = ChordsScorer().score([
        mashup_of(source, clip),
        mashup_of(source, clip, harmonic={"gain_db": -9.0}),
        mashup_of(source, clip, percussion=None),
    ])  # fmt: skip
    assert others == [first, first]


def test_a_clip_without_chords_is_named() -> None:
    shelf, name = shelf_of(None, [72] * 8)
    with pytest.raises(AnalysisError, match=r"song\.wav: clip song has no chords") as raised:
        ChordsScorer().score([mashup_of(shelf, shelf.clips[name])])
    assert "analyzer that provides chords" in str(raised.value.fix)
