"""What an analyzer finds in a piece of audio: key, tempo, beats, chords, melody."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeAlias

import attrs
import numpy as np
import numpy.typing as npt

from mashkit import display
from mashkit.errors import AnalysisError
from mashkit.numbers import as_number, as_whole, plain_number, plain_whole
from mashkit.types.arrays import as_times, times_fault
from mashkit.types.chords import ROOT_NAMES, Chords
from mashkit.types.mappings import as_tuple, entries, frozen_mapping
from mashkit.types.melody import Melody
from mashkit.types.timemap import Times

TONIC_NAMES = ROOT_NAMES
"""Spelling of a key's tonic in print; index = pitch class with C = 0."""

_PITCH_CLASSES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_CAMELOT_C, _OPEN_KEY_C = 8, 1
"""Number of C major on the two wheels (Mixed In Key's Camelot, Beatport's Open Key); each fifth up adds one."""
_ACCIDENTALS = {"": 0, "#": 1, "♯": 1, "b": -1, "♭": -1}

Mode: TypeAlias = Literal["major", "minor"]


def _no_key(text: object) -> AnalysisError:
    return AnalysisError(f"{text!r} is not a key", 'write it like "A minor", "Bb major", "F#m", "8A" or "1m"')


@attrs.frozen
class Key:
    """A musical key.

    Parameters
    ----------
    tonic : int
        Pitch class, 0–11 with C = 0.
    mode : {"major", "minor"}

    Examples
    --------
    >>> import mashkit as mk
    >>> key = mk.Key.parse("F#m")
    >>> print(key, key.camelot, key.open_key)
    F# minor 11A 4m
    >>> key.semitones_to(mk.Key.parse("C major"))
    3
    >>> key.transposed(3)
    Key(tonic=9, mode='minor')
    """

    tonic: int = attrs.field(converter=plain_whole)
    mode: Mode

    def __attrs_post_init__(self) -> None:
        if type(self.tonic) is not int or self.tonic not in range(12):
            raise AnalysisError(f"tonic is {self.tonic!r}", "give a pitch class 0–11 with C = 0")
        if self.mode not in ("major", "minor"):
            raise AnalysisError(f"mode is {self.mode!r}", 'give "major" or "minor"')

    @classmethod
    def parse(cls, text: str) -> Key:
        """Read a key from its usual spellings: "A minor", "Bb major", "F#m", "C", and DJs' "8A" and "1m".

        Raises
        ------
        AnalysisError
            If the text is not a key.
        """
        if not isinstance(text, str):
            raise _no_key(text)
        place = re.fullmatch(r"\s*0?([1-9]|1[0-2])([ABabDMdm])\s*", text)
        if place is not None:
            return cls._on_wheel(int(place[1]), place[2])
        match = re.fullmatch(r"\s*([A-Ga-g])([#♯b♭]?)\s*((?i:major|maj|minor|min)|m)?\s*", text)
        if match is None:
            raise _no_key(text)
        letter, accidental, mode = match.groups()
        tonic = (_PITCH_CLASSES[letter.upper()] + _ACCIDENTALS[accidental]) % 12
        return cls(tonic, "minor" if mode and (mode == "m" or mode.lower().startswith("min")) else "major")

    @classmethod
    def _on_wheel(cls, number: int, letter: str) -> Key:
        """Return the key of a number and letter of Camelot (A, B) or Open Key (m, d), without regard to case."""
        fifths = number - (_CAMELOT_C if letter in "ABab" else _OPEN_KEY_C)
        major = cls(7 * fifths % 12, "major")
        return major if letter in "BbDd" else cls((major.tonic + 9) % 12, "minor")

    def __str__(self) -> str:
        return f"{TONIC_NAMES[self.tonic]} {self.mode}"

    @property
    def short(self) -> str:
        """The key as DJ software writes it: "Am", "Bb"."""
        return TONIC_NAMES[self.tonic] + ("m" if self.mode == "minor" else "")

    @property
    def camelot(self) -> str:
        """The key on the Camelot wheel: "8A" for A minor, "8B" for C major; neighbours are a fifth apart."""
        return f"{self._place(_CAMELOT_C)}{'A' if self.mode == 'minor' else 'B'}"

    @property
    def open_key(self) -> str:
        """The key in Open Key notation: "1m" for A minor, "1d" for C major; neighbours are a fifth apart."""
        return f"{self._place(_OPEN_KEY_C)}{'m' if self.mode == 'minor' else 'd'}"

    def _place(self, of_c: int) -> int:
        return (7 * self.relative_major_tonic + of_c - 1) % 12 + 1

    @property
    def relative_major_tonic(self) -> int:
        """Pitch class of the major key with the same notes: a minor key's tonic + 3."""
        return self.tonic if self.mode == "major" else (self.tonic + 3) % 12

    def semitones_to(self, other: Key) -> int:
        """Return the shortest shift, −6…+5 semitones, that turns this key's notes into those of ``other``.

        Minor keys count as their relative major (docs/paper.md, row 9), so A minor to C major is 0.
        """
        return (other.relative_major_tonic - self.relative_major_tonic + 6) % 12 - 6

    def transposed(self, semitones: float) -> Key:
        """Return the key ``semitones`` higher (lower if negative); raises AnalysisError if they are not whole."""
        return Key((self.tonic + as_whole(semitones, "semitones", AnalysisError)) % 12, self.mode)


_ROUNDING = 1e-6
"""How far a mean of float32 probabilities may lie beyond 0 and 1."""


def _confidence(values: Mapping[str, Any]) -> Mapping[str, float]:
    if not isinstance(values, Mapping) or not all(isinstance(name, str) for name in values):
        raise AnalysisError(f"confidence is {values!r}", "give a mapping of fields to numbers from 0 to 1")
    found = {name: as_number(value, f"confidence of {name}", AnalysisError) for name, value in values.items()}
    for name, value in found.items():
        if not -_ROUNDING <= value <= 1 + _ROUNDING:
            raise AnalysisError(f"confidence of {name} is {value:g}", "give a number from 0 to 1")
    return frozen_mapping(found)


def _candidates(values: Iterable[Iterable[Any]]) -> tuple[tuple[float, float], ...]:
    pairs = [
        tuple(as_number(one, "an entry of tempo_candidates", AnalysisError) for one in as_tuple(pair))
        for pair in as_tuple(values)
    ]
    if any(len(pair) != 2 for pair in pairs):
        raise AnalysisError(f"tempo_candidates are {pairs}", "give pairs of BPM and strength")
    for pair in pairs:
        if not (0 < pair[0] < math.inf and math.isfinite(pair[1])):
            raise AnalysisError(f"an entry of tempo_candidates is {pair}", "give a positive BPM and a finite strength")
    return tuple((pair[0], pair[1]) for pair in pairs)


def _times(values: npt.ArrayLike | None) -> Times | None:
    return None if values is None else as_times(values, "the times of an analysis", AnalysisError)


def _among(some: Times, increasing: Times) -> bool:
    """Return whether ``increasing`` contains all times of ``some``."""
    if len(some) == 0 or len(increasing) == 0:
        return len(some) == 0
    places = increasing.searchsorted(some)
    return bool(places[-1] < len(increasing) and (increasing[places] == some).all())


_HALF_FRAME_S = 1.2e-5
"""Largest distance, seconds, from a beat to a cut made on it, because cuts are made on whole frames: half a frame at
44.1 kHz is 11.34 µs."""

_same_times = attrs.cmp_using(eq=np.array_equal)


@attrs.frozen
class Analysis:
    """The results of an analyzer for a piece of audio; a field is None when the analyzer has no result for it.

    Parameters
    ----------
    key : Key, optional
    tempo : float, optional
        BPM, > 0.
    beats, downbeats : array of float64, shape (n,), optional
        Seconds from the start of the audio, ≥ 0, strictly increasing; every downbeat is one of the beats (exactly).
    confidence : mapping of str to float
        Field name → 0…1, for the fields for which the analyzer returns a confidence; "metre" for the number of beats
        a bar (:func:`mashkit.timing.metre.doubt`).
    tempo_candidates : tuple of (BPM, strength), optional
        Strongest first; the second is often half or double the first.
    tuning : float, optional
        Distance of the music's A from 440 Hz, cents, −50 to below 50; the tonic sounds higher than the pitch it is
        named for by the same distance (:mod:`mashkit.features.tuning`).
    chords : Chords, optional
        Chords over time, named at the tuning as the key is.
    melody : Melody, optional
        Pitch of the voice; of a mix it is that of whatever sounds loudest, so analyse the vocal stem.

    Raises
    ------
    AnalysisError
        If a value breaks these rules, or is of another type.

    Examples
    --------
    >>> import mashkit as mk
    >>> beats = [0.5, 1.0, 1.5, 2.0, 2.5, 3.0]
    >>> found = mk.Analysis(key=mk.Key(9, "minor"), tempo=120.0, beats=beats, downbeats=[0.5, 2.5])
    >>> found.beats_per_bar
    4
    >>> found.within(1.0, 2.6).downbeats.tolist()
    [1.5]
    >>> mk.Analysis.from_dict(found.to_dict()) == found
    True
    """

    key: Key | None = None
    tempo: float | None = attrs.field(default=None, converter=plain_number)
    beats: Times | None = attrs.field(default=None, converter=_times, eq=_same_times, hash=False)
    downbeats: Times | None = attrs.field(default=None, converter=_times, eq=_same_times, hash=False)
    confidence: Mapping[str, float] = attrs.field(factory=dict, converter=_confidence)
    tempo_candidates: tuple[tuple[float, float], ...] = attrs.field(default=(), converter=_candidates)
    tuning: float | None = attrs.field(default=None, converter=plain_number)
    chords: Chords | None = None
    melody: Melody | None = None

    def __attrs_post_init__(self) -> None:
        if self.key is not None and not isinstance(self.key, Key):
            raise AnalysisError(f"key is {self.key!r}", 'give a Key, such as Key.parse("A minor")')
        if self.chords is not None and not isinstance(self.chords, Chords):
            raise AnalysisError(f"chords are {self.chords!r}", "give Chords(times, labels)")
        if self.melody is not None and not isinstance(self.melody, Melody):
            raise AnalysisError(f"melody is {self.melody!r}", "give Melody(f0, confidence, hop_s)")
        if self.tuning is not None and (type(self.tuning) is not float or not -50 <= self.tuning < 50):
            raise AnalysisError(
                f"tuning is {self.tuning!r} cents",
                "give −50 to below 50, or None when unknown; beyond, name the next key",
            )
        if self.tempo is not None and (type(self.tempo) is not float or not 0 < self.tempo < math.inf):
            raise AnalysisError(f"tempo is {self.tempo!r}", "give a positive BPM, or None when unknown")
        for name in ("beats", "downbeats"):
            times = getattr(self, name)
            if times is None:
                continue
            # The times increase, so checking the first and the last is enough; a NaN fails the check of increase.
            if times.ndim != 1 or (
                len(times) and not (times[0] >= 0 and times[-1] < math.inf and (times[1:] > times[:-1]).all())
            ):
                raise AnalysisError(
                    f"{name} are not finite, non-negative, strictly increasing seconds: {times_fault(times, least=0)}"
                )
        if self.downbeats is not None and (self.beats is None or not _among(self.downbeats, self.beats)):
            raise AnalysisError("a downbeat is not among the beats")

    def __reduce__(self) -> tuple[Any, tuple[dict[str, Any]]]:
        return Analysis.from_dict, (self.to_dict(),)

    def has(self, field: str) -> bool:
        """Return whether a field has a value.

        An empty array, shape (0,), does not count as a value, because an excerpt may have no beats.

        Parameters
        ----------
        field : str
            ``"key"``, ``"tempo"``, ``"downbeats"``…

        Examples
        --------
        >>> import mashkit as mk
        >>> found = mk.Analysis(beats=[0.5, 1.0, 1.5], downbeats=[0.5])
        >>> found.has("downbeats"), found.within(0.8, 2.0).has("downbeats"), found.has("key")
        (True, False, False)
        """
        value = getattr(self, field)
        return value is not None and not (isinstance(value, np.ndarray) and len(value) == 0)

    @property
    def bar_lengths(self) -> npt.NDArray[np.intp] | None:
        """Number of beats from each downbeat to the next; None if beats or downbeats are unknown."""
        if self.beats is None or self.downbeats is None:
            return None
        return np.diff(self.beats.searchsorted(self.downbeats))

    @property
    def beats_per_bar(self) -> int | None:
        """The commonest number of beats from one downbeat to the next; of equally common numbers, the smallest.

        None with fewer than two downbeats.
        """
        lengths = self.bar_lengths
        return None if lengths is None or len(lengths) == 0 else int(np.bincount(lengths).argmax())

    def within(self, start: float, end: float) -> Analysis:
        """Return the analysis of the part from ``start`` until before ``end``, seconds, with times from ``start``.

        Key, tempo, tuning and confidence stay. A beat up to half a frame before ``start`` counts as a beat at
        ``start``, because cuts are made on whole frames and beats are not.
        """

        def cut(times: Times | None) -> Times | None:
            if times is None:
                return None
            inside = times[(times >= start - _HALF_FRAME_S) & (times < end - _HALF_FRAME_S)]
            return np.maximum(inside - start, 0.0)

        return attrs.evolve(
            self,
            beats=cut(self.beats),
            downbeats=cut(self.downbeats),
            chords=self.chords and self.chords.within(start, end),
            melody=self.melody and self.melody.within(start, end),
        )

    def _repr_html_(self) -> str:
        """Return key, tempo and a picture of the beats, for notebooks."""
        told = {
            "key": self.key or "unknown",
            "tempo": "unknown" if self.tempo is None else f"{self.tempo:.2f} BPM",
            "tuning": None if self.tuning is None else f"{self.tuning:+.0f} cents",
            "beats a bar": self.beats_per_bar,
            "chords": self.chords and " ".join(self.chords.labels),
        }
        if self.beats is None or len(self.beats) == 0:
            return display.facts(told)
        downbeats = () if self.downbeats is None else self.downbeats
        return display.facts(told) + display.beat_grid({"beats": (self.beats, downbeats)}, float(self.beats[-1]) + 0.5)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON; :meth:`from_dict` reads it back to an equal value.

        Chords and melody are there only if they are known, because few analyses have them.
        """
        return {
            "key": None if self.key is None else str(self.key),
            "tempo": self.tempo,
            "beats": None if self.beats is None else self.beats.tolist(),
            "downbeats": None if self.downbeats is None else self.downbeats.tolist(),
            "confidence": dict(self.confidence),
            "tempo_candidates": [list(pair) for pair in self.tempo_candidates],
            "tuning": self.tuning,
            **({} if self.chords is None else {"chords": self.chords.to_dict()}),
            **({} if self.melody is None else {"melody": self.melody.to_dict()}),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Analysis:
        """Return the analysis that :meth:`to_dict` wrote.

        Raises
        ------
        AnalysisError
            If an entry is missing, or its value is invalid.
        """
        needed = ["key", "tempo", "beats", "downbeats", "confidence", "tempo_candidates"]
        data = entries(data, needed, "an analysis", AnalysisError)
        return cls(
            key=None if data["key"] is None else Key.parse(data["key"]),
            tempo=data["tempo"],
            beats=data["beats"],
            downbeats=data["downbeats"],
            confidence=data["confidence"],
            tempo_candidates=data["tempo_candidates"],
            tuning=data.get("tuning"),  # older versions of mashkit did not write it
            chords=None if data.get("chords") is None else Chords.from_dict(data["chords"]),
            melody=None if data.get("melody") is None else Melody.from_dict(data["melody"]),
        )


def key_facts(key: Key | None) -> dict[str, str | None]:
    """Return the key's names on the Camelot wheel and in Open Key notation as plain data; None where it is unknown.

    Examples
    --------
    >>> from mashkit.types import Key, key_facts
    >>> key_facts(Key.parse("A minor"))
    {'camelot': '8A', 'open_key': '1m'}
    >>> key_facts(None)
    {'camelot': None, 'open_key': None}
    """
    return {"camelot": None if key is None else key.camelot, "open_key": None if key is None else key.open_key}
