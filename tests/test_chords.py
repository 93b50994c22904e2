"""Chords and melody: what they refuse, what they mean, and that they come back as they were."""

import json
import pickle

import mir_eval
import numpy as np
import pytest

from mashkit.errors import AnalysisError
from mashkit.features.tuning import Tuning, tuned
from mashkit.types import Analysis, Chords, Key, Melody, chord_tones

LABELS = [
    "C", "C:maj", "F#:min", "Bb:maj7/3", "Eb:7", "A:min7/b3", "Abb:hdim7", "D:sus4(b7)", "G:9", "E:min(*5)", "B:dim7",
    "Db:maj6", "A:(1,b3)", "C:aug/5", "F:minmaj7", "G#:maj9", "N", "X",
]  # fmt: skip


@pytest.mark.parametrize("label", LABELS)
def test_chord_tones_are_those_of_mir_eval(label: str) -> None:
    root, relative, bass = mir_eval.chord.encode(label, reduce_extended_chords=True)
    due = frozenset() if root < 0 else {(root + tone) % 12 for tone in [*np.flatnonzero(relative > 0), bass]}
    assert chord_tones(label) == due


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("semitones", [-7, 0, 5, 12])
def test_transposing_a_chord_moves_its_tones(label: str, semitones: int) -> None:
    chords = Chords([0.0, 1.0], [label]).transposed(semitones)
    assert chord_tones(chords.labels[0]) == {(tone + semitones) % 12 for tone in chord_tones(label)}


@pytest.mark.parametrize(
    "label", ["", "H", "C:", "C:foo", "C:maj/", "C:maj(2", "c:maj", "C maj", "C:(x)", "C:()", "N:maj"]
)
def test_what_is_no_chord(label: str) -> None:
    with pytest.raises(AnalysisError):
        Chords([0.0, 1.0], [label])


@pytest.mark.parametrize(
    ("times", "labels"),
    [([0.0], []), ([0.0, 1.0], []), ([1.0, 0.0], ["C"]), ([-1.0, 0.0], ["C"]), ([0.0, np.nan], ["C"])],
)
def test_chords_that_do_not_increase(times: list[float], labels: list[str]) -> None:
    with pytest.raises(AnalysisError):
        Chords(times, labels)


def test_chords_between_their_times() -> None:
    chords = Chords.joined([0.5, 1.0, 2.0, 3.0], ["C:maj", "C:maj", "G:7"])
    assert chords == Chords([0.5, 2.0, 3.0], ["C:maj", "G:7"])
    assert chords.at([0.0, 0.5, 1.99, 2.0, 3.0]) == ("N", "C:maj", "C:maj", "G:7", "N")
    assert chords.within(1.5, 2.5) == Chords([0.0, 0.5, 1.0], ["C:maj", "G:7"])
    assert chords.within(0.0, 1.0) == Chords([0.5, 1.0], ["C:maj"])
    assert chords.within(3.0, 4.0) is None
    assert chords.within(1.0, 1.0) is None
    assert chords.within(2.5, 1.5) is None
    assert chords.intervals.tolist() == [[0.5, 2.0], [2.0, 3.0]]


def test_melody_in_time() -> None:
    melody = Melody(f0=[0.0, 220.0, 440.0], confidence=[0.0, 0.5, 1.0], hop_s=0.5, start_s=0.25)
    assert melody.times.tolist() == [0.25, 0.75, 1.25]
    assert melody.voiced.tolist() == [False, True, True]
    np.testing.assert_allclose(melody.pitches, [np.nan, 57.0, 69.0])
    assert melody.within(0.5, 1.0) == Melody(f0=[220.0], confidence=[0.5], hop_s=0.5, start_s=0.25)
    assert melody.within(2.0, 3.0) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"f0": [], "confidence": []},
        {"f0": [np.nan]},
        {"f0": [-1.0]},
        {"confidence": [1.5]},
        {"confidence": [0.5, 0.5]},
        {"hop_s": 0.0},
        {"start_s": -1.0},
    ],
)
def test_what_is_no_melody(wrong: dict[str, object]) -> None:
    with pytest.raises(AnalysisError):
        Melody(**{"f0": [440.0], "confidence": [0.5], "hop_s": 0.1, **wrong})


def test_an_analysis_with_chords_and_melody() -> None:
    chords = Chords([0.0, 2.0, 4.0], ["C:maj", "A:min"])
    melody = Melody(f0=[0.0, 220.5], confidence=[0.25, 0.75], hop_s=1.5)
    analysis = Analysis(key=Key(0, "major"), chords=chords, melody=melody)
    assert Analysis.from_dict(json.loads(json.dumps(analysis.to_dict()))) == analysis
    assert pickle.loads(pickle.dumps(analysis)) == analysis  # noqa: S301 — our own
    assert not {"chords", "melody"} & Analysis().to_dict().keys()
    part = analysis.within(1.0, 3.0)
    assert part.chords == chords.within(1.0, 3.0)
    assert part.melody == melody.within(1.0, 3.0)
    assert "C:maj A:min" in analysis._repr_html_()


def test_chords_are_renamed_with_the_key() -> None:
    # All of the sound is of C major, a semitone below what the analyzer named.
    scale = tuple(1.0 if tone in {0, 2, 4, 5, 7, 9, 11} else 0.0 for tone in range(12))
    analysis = Analysis(key=Key(1, "major"), chords=Chords([0.0, 1.0], ["C#:maj"]))
    moved = tuned(analysis, Tuning(45.0, 0.9, scale))
    assert moved.key == Key(0, "major")
    assert moved.chords == Chords([0.0, 1.0], ["C:maj"])
