"""Chords as labels over time, in the syntax of Harte, Sandler, Abdallah and Gómez (ISMIR 2005), as in mir_eval."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from mashkit.errors import AnalysisError
from mashkit.numbers import as_whole
from mashkit.types.arrays import as_times, times_fault
from mashkit.types.mappings import as_tuple, entries
from mashkit.types.timemap import Times

NO_CHORD = "N"
"""Label of a time without any chord."""
UNKNOWN_CHORD = "X"
"""Label of a chord that the syntax cannot express, or that is not known."""
ROOT_NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
"""Spelling of a root in labels that mashkit writes; index = pitch class with C = 0."""

_NATURALS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_DEGREES = (0, 2, 4, 5, 7, 9, 11)
"""Semitones of the degrees of a major scale, by which the syntax counts all intervals."""
_LABEL = re.compile(
    r"(?P<root>[A-G][b#]*)(:(?P<quality>(?=[a-z0-9(])[a-z0-9]*)(\((?P<degrees>[^()]*)\))?)?(/(?P<bass>[b#]*\d+))?"
)
_QUALITIES = {
    "maj": (0, 4, 7), "min": (0, 3, 7), "dim": (0, 3, 6), "aug": (0, 4, 8), "sus2": (0, 2, 7), "sus4": (0, 5, 7),
    "maj7": (0, 4, 7, 11), "min7": (0, 3, 7, 10), "7": (0, 4, 7, 10), "minmaj7": (0, 3, 7, 11),
    "dim7": (0, 3, 6, 9), "hdim7": (0, 3, 6, 10), "maj6": (0, 4, 7, 9), "min6": (0, 3, 7, 9),
    "9": (0, 2, 4, 7, 10), "maj9": (0, 2, 4, 7, 11), "min9": (0, 2, 3, 7, 10),
    "11": (0, 2, 4, 5, 7, 10), "maj11": (0, 2, 4, 5, 7, 11), "min11": (0, 2, 3, 5, 7, 10),
    "13": (0, 2, 4, 5, 7, 9, 10), "maj13": (0, 2, 4, 5, 7, 9, 11), "min13": (0, 2, 3, 5, 7, 9, 10),
    "5": (0, 7), "1": (0,), "": (0,),
}  # fmt: skip
"""Shorthand → semitones above the root (mir_eval's list; an empty one stands before a list of degrees)."""


def _pitch_class(note: str) -> int:
    return (_NATURALS[note[0]] + note.count("#") - note.count("b")) % 12


def _semitones(degree: str) -> int:
    number = int(degree.lstrip("b#"))
    return (_DEGREES[(number - 1) % 7] + degree.count("#") - degree.count("b")) % 12


def _no_chord(label: object) -> AnalysisError:
    return AnalysisError(
        f"{label!r} is not a chord", 'write it like "A:min", "Bb:maj7", "C:maj/3", or "N" for no chord'
    )


@functools.lru_cache(maxsize=4096)
def chord_tones(label: str) -> frozenset[int]:
    """Return the pitch classes of a chord, C = 0, with its bass note; empty for no chord and for an unknown one.

    Parameters
    ----------
    label : str
        "C", "A:min7", "Bb:maj/3", "E:(1,b3)", "N", "X".

    Raises
    ------
    AnalysisError
        If the text is not a chord in this syntax.

    Examples
    --------
    >>> sorted(chord_tones("A:min"))
    [0, 4, 9]
    """
    if label in (NO_CHORD, UNKNOWN_CHORD):
        return frozenset()
    match = _LABEL.fullmatch(label) if isinstance(label, str) else None
    quality = "maj" if match is None or match["quality"] is None else match["quality"]
    if match is None or quality not in _QUALITIES:
        raise _no_chord(label)
    tones = set(_QUALITIES[quality])
    for degree in (match["degrees"] or "").replace(" ", "").split(","):
        if not re.fullmatch(r"\*?[b#]*[1-9]\d?", degree):
            if degree or match["degrees"] is not None:
                raise AnalysisError(f"{label!r} is not a chord: {degree!r} is not a degree", 'write degrees like "b3"')
            continue
        tone = _semitones(degree.lstrip("*"))
        if degree.startswith("*"):
            tones.discard(tone)
        else:
            tones.add(tone)
    if match["bass"]:
        tones.add(_semitones(match["bass"]))
    root = _pitch_class(match["root"])
    return frozenset((root + tone) % 12 for tone in tones)


def transposed_chord(label: str, semitones: float) -> str:
    """Return the label of a chord ``semitones`` higher (lower if negative).

    Raises
    ------
    AnalysisError
        If the semitones are not whole.

    Examples
    --------
    >>> transposed_chord("A:min/b3", 3)
    'C:min/b3'
    """
    steps = as_whole(semitones, "semitones", AnalysisError)
    match = _LABEL.fullmatch(label)
    if match is None:
        return label
    return ROOT_NAMES[(_pitch_class(match["root"]) + steps) % 12] + label[len(match["root"]) :]


def _times(values: npt.ArrayLike) -> Times:
    return as_times(values, "the times of chords", AnalysisError)


@attrs.frozen
class Chords:
    """The chords of a piece, one after the other without gaps.

    Parameters
    ----------
    times : array of float64, shape (n + 1,)
        Where each chord begins, and where the last one ends: seconds, ≥ 0, strictly increasing.
    labels : tuple of str, n
        What :func:`chord_tones` reads; "N" where there is no chord.

    Raises
    ------
    AnalysisError
        If the times do not increase or are not one more than the labels, or a label is not a chord.

    Examples
    --------
    >>> from mashkit import Chords
    >>> chords = Chords(times=[0.0, 2.0, 4.0], labels=["C:maj", "A:min"])
    >>> chords.transposed(-2).labels
    ('Bb:maj', 'G:min')
    >>> chords.at([1.0, 3.0, 9.0])
    ('C:maj', 'A:min', 'N')
    """

    times: Times = attrs.field(converter=_times, eq=attrs.cmp_using(eq=np.array_equal), hash=False)
    labels: tuple[str, ...] = attrs.field(converter=as_tuple)

    def __attrs_post_init__(self) -> None:
        if len(self.labels) == 0 or self.times.shape != (len(self.labels) + 1,):
            raise _uneven(self.labels, self.times)
        if not (self.times[0] >= 0 and np.isfinite(self.times).all() and (np.diff(self.times) > 0).all()):
            raise AnalysisError(
                "the times of chords are not finite, non-negative, strictly increasing seconds: "
                + times_fault(self.times, least=0)
            )
        for label in self.labels:
            if not isinstance(label, str):
                raise _no_chord(label)
        for label in set(self.labels):
            chord_tones(label)

    @classmethod
    def joined(cls, times: npt.ArrayLike, labels: Sequence[str]) -> Chords:
        """Return chords in which equal neighbours are one chord; parameters as for the class."""
        boundaries, labels = _times(times), as_tuple(labels)
        if len(labels) == 0 or boundaries.shape != (len(labels) + 1,):
            raise _uneven(labels, boundaries)
        new = [index for index, label in enumerate(labels) if index == 0 or label != labels[index - 1]]
        return cls([*boundaries[new], boundaries[-1]], [labels[index] for index in new])

    @property
    def intervals(self) -> npt.NDArray[np.float64]:
        """Beginning and end of each chord, seconds, shape (n, 2), as mir_eval takes them."""
        return np.stack([self.times[:-1], self.times[1:]], axis=1)

    def at(self, times: npt.ArrayLike) -> tuple[str, ...]:
        """Return the label at each time, seconds; "N" before the first chord and from the end of the last on.

        For one time it is a tuple of one label.
        """
        places = np.searchsorted(self.times, np.atleast_1d(np.asarray(times, np.float64)), side="right") - 1
        return tuple(self.labels[place] if 0 <= place < len(self.labels) else NO_CHORD for place in places.tolist())

    def transposed(self, semitones: float) -> Chords:
        """Return the chords ``semitones`` higher (lower if negative); raises AnalysisError if they are not whole."""
        return Chords(self.times, [transposed_chord(label, semitones) for label in self.labels])

    def within(self, start: float, end: float) -> Chords | None:
        """Return the part from ``start`` to ``end``, seconds, with times from ``start``; None if no chord is there."""
        inside = np.flatnonzero((self.times[1:] > start) & (self.times[:-1] < end))
        if start >= end or len(inside) == 0:
            return None
        first, last = int(inside[0]), int(inside[-1])
        times = np.clip(self.times[first : last + 2], start, end) - start
        return Chords(times, self.labels[first : last + 1])

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON; :meth:`from_dict` reads it back to an equal value."""
        return {"times": self.times.tolist(), "labels": list(self.labels)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Chords:
        """Return the chords that :meth:`to_dict` wrote.

        Raises
        ------
        AnalysisError
            If an entry is missing, or its value is invalid.
        """
        data = entries(data, ["times", "labels"], "data of chords", AnalysisError)
        return cls(data["times"], data["labels"])


def _uneven(labels: Sequence[str], times: Times) -> AnalysisError:
    return AnalysisError(
        f"{len(labels)} chords and times of shape {times.shape}",
        "give a chord or more, the beginning of each, and the end of the last",
    )
