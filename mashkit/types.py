"""Define the values that stages pass to each other: frozen, checked on construction, without I/O.

Conventions everywhere in mashkit: audio is float32 of shape (channels, frames) with its sample rate; times are
seconds, tempo is BPM, pitch is semitones, gain is dB, loudness is LUFS.
"""

from __future__ import annotations

import enum
import hashlib
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, TypeAlias, TypeVar

import attrs
import numpy as np
import numpy.typing as npt

from mashkit.errors import AnalysisError, AudioError, PlanError, StemError, UsageError
from mashkit.timemap import TimeMap
from mashkit.timemap import Times as Times

Samples: TypeAlias = npt.NDArray[np.float32]

K = TypeVar("K")
V = TypeVar("V", covariant=True)

TONIC_NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
"""Spelling of a key's tonic in print; index = pitch class with C = 0."""

_PITCH_CLASSES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_ACCIDENTALS = {"": 0, "#": 1, "♯": 1, "b": -1, "♭": -1}


class FrozenMapping(Mapping[K, V]):
    """A read-only mapping that can be sent to other processes (a MappingProxyType cannot)."""

    __slots__ = ("_data",)

    def __init__(self, data: Mapping[K, V]) -> None:
        self._data = dict(data)

    def __getitem__(self, key: K) -> V:
        return self._data[key]

    def __iter__(self) -> Iterator[K]:
        return iter(self._data)

    def __len__(self) -> int:
        return len(self._data)

    def __repr__(self) -> str:
        return repr(self._data)


def frozen_mapping(value: Mapping[Any, Any]) -> FrozenMapping[Any, Any]:
    """Convert an attrs field; callers see the type of the field's own annotation."""
    # A frozen mapping is shared, not copied, because thousands of plans have the same record of their generator.
    return value if isinstance(value, FrozenMapping) else FrozenMapping(value)


def as_tuple(values: Iterable[Any]) -> tuple[Any, ...]:
    """Convert an attrs field; callers see the type of the field's own annotation."""
    return tuple(values)


def _finite(instance: object, attribute: attrs.Attribute[float], value: float) -> None:
    if not math.isfinite(value):
        raise PlanError(f"{type(instance).__name__}.{attribute.name} is {value}, not a finite number")


# ---------------------------------------------------------------------------------------------------------- audio
def _read_only(samples: npt.ArrayLike) -> Samples:
    """Return read-only float32 samples; copy them unless they are read-only, float32 and contiguous already."""
    try:
        array = np.asarray(samples)
    except (TypeError, ValueError) as error:  # for example rows of different lengths
        raise AudioError(f"samples are no array: {error}", "give (channels, frames); mono is (1, frames)") from error
    if array.dtype.kind != "f":
        raise AudioError(
            f"samples are {array.dtype}, not floating point", "scale integers to [-1, 1] first, e.g. x / 32768"
        )
    if array.ndim != 2:
        raise AudioError(f"samples have shape {array.shape}", "give (channels, frames); mono is (1, frames)")
    if array.dtype != np.float32 or array.flags.writeable or not array.flags.c_contiguous:
        array = np.array(array, dtype=np.float32, order="C")
        array.flags.writeable = False
    return array


@attrs.frozen(eq=False)
class Audio:
    """Sound: a read-only float32 buffer and its sample rate.

    Two objects are equal only if they are the same object (``eq=False``); compare buffers with numpy.

    Parameters
    ----------
    samples : array of float, shape (channels, frames)
        Finite samples, nominally in [-1, 1]; larger peaks are allowed and never clipped. Copied unless the array
        is already float32, contiguous and read-only.
    sample_rate : int
        Frames per second, > 0.

    Raises
    ------
    AudioError
        If the samples are not a finite floating-point matrix with at least one channel, have more channels than
        frames, or the rate is not positive.
    """

    samples: Samples = attrs.field(converter=_read_only, repr=False)
    sample_rate: int

    def __attrs_post_init__(self) -> None:
        if self.samples.shape[0] < 1:
            raise AudioError("samples have no channel", "give (channels, frames); mono is (1, frames)")
        if self.channels > max(self.frames, 2) and self.frames > 0:
            # soundfile and most other libraries use (frames, channels): each frame would become a channel here.
            raise AudioError(
                f"samples of shape {self.samples.shape} have more channels than frames",
                "give (channels, frames): samples.T",
            )
        if isinstance(self.sample_rate, bool) or not isinstance(self.sample_rate, int) or self.sample_rate <= 0:
            raise AudioError(f"sample rate is {self.sample_rate!r}", "give a positive whole number of Hz")
        # The sum is finite only if all samples are: finite float32 values cannot overflow a sum in double precision.
        # The sum needs one number; a mask of an hour of samples would need 300 MB.
        with np.errstate(invalid="ignore"):
            total = float(np.sum(self.samples, dtype=np.float64))
        if not math.isfinite(total):
            bad = int(np.count_nonzero(~np.isfinite(self.samples)))
            raise AudioError(f"{bad} of {self.samples.size} samples are NaN or infinite", "repair or drop them first")

    def __reduce__(self) -> tuple[type[Audio], tuple[Samples, int]]:
        # The constructor makes the array read-only again, because pickle returns a writable array.
        return Audio, (self.samples, self.sample_rate)

    @property
    def channels(self) -> int:
        """Number of channels."""
        return int(self.samples.shape[0])

    @property
    def frames(self) -> int:
        """Number of frames (samples per channel)."""
        return int(self.samples.shape[1])

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.frames / self.sample_rate

    @property
    def peak(self) -> float:
        """Largest absolute sample; 0.0 for empty audio."""
        # Maximum and minimum are taken separately, because |samples| would be a copy of the whole sound.
        return float(max(np.max(self.samples, initial=0.0), -np.min(self.samples, initial=0.0)))

    def mono(self) -> Samples:
        """Return the mean of the channels, shape (frames,), float32."""
        mono: Samples = self.samples[0] if self.channels == 1 else self.samples.mean(axis=0, dtype=np.float32)
        return mono

    def excerpt(self, start: float, duration: float) -> Audio:
        """Return the part from ``start`` for ``duration`` seconds (both rounded to frames).

        If both are rounded up and the part would end one frame after the audio for that reason, it starts one frame
        earlier.

        Raises
        ------
        AudioError
            If the part does not lie within the audio.
        """
        first = round(start * self.sample_rate)
        last = first + round(duration * self.sample_rate)
        if first > 0 and last == self.frames + 1 and (start + duration) * self.sample_rate <= self.frames + 0.51:
            first, last = first - 1, last - 1
        if not 0 <= first <= last <= self.frames:
            raise AudioError(
                f"excerpt {start:.3f} s + {duration:.3f} s is outside the audio's {self.duration:.3f} s: "
                f"{last - self.frames} frames too long"
                if last > self.frames
                else f"excerpt {start:.3f} s + {duration:.3f} s is outside the audio's {self.duration:.3f} s"
            )
        part = np.ascontiguousarray(self.samples[:, first:last])
        part.flags.writeable = False
        return Audio(part, self.sample_rate)


def require_audio(audio: Any) -> None:
    """Raise UsageError unless ``audio`` is :class:`Audio`."""
    if not isinstance(audio, Audio):
        raise UsageError(
            f"{type(audio).__name__} given as sound", "give Audio(samples, sample_rate), samples of (channels, frames)"
        )


# ------------------------------------------------------------------------------------------------------ music facts
Mode: TypeAlias = Literal["major", "minor"]


@attrs.frozen
class Key:
    """A musical key.

    Parameters
    ----------
    tonic : int
        Pitch class, 0–11 with C = 0.
    mode : {"major", "minor"}
    """

    tonic: int
    mode: Mode

    def __attrs_post_init__(self) -> None:
        if self.tonic not in range(12):
            raise AnalysisError(f"tonic is {self.tonic!r}", "give a pitch class 0–11 with C = 0")
        if self.mode not in ("major", "minor"):
            raise AnalysisError(f"mode is {self.mode!r}", 'give "major" or "minor"')

    @classmethod
    def parse(cls, text: str) -> Key:
        """Read a key from its usual spellings: "A minor", "Bb major", "F#m", "C".

        Raises
        ------
        AnalysisError
            If the text is not a key.
        """
        match = re.fullmatch(r"\s*([A-Ga-g])([#♯b♭]?)\s*((?i:major|maj|minor|min)|m)?\s*", text)
        if match is None:
            raise AnalysisError(f"{text!r} is not a key", 'write it like "A minor", "Bb major" or "F#m"')
        letter, accidental, mode = match.groups()
        tonic = (_PITCH_CLASSES[letter.upper()] + _ACCIDENTALS[accidental]) % 12
        return cls(tonic, "minor" if mode and (mode == "m" or mode.lower().startswith("min")) else "major")

    def __str__(self) -> str:
        return f"{TONIC_NAMES[self.tonic]} {self.mode}"

    @property
    def relative_major_tonic(self) -> int:
        """Pitch class of the major key with the same notes: a minor key's tonic + 3."""
        return self.tonic if self.mode == "major" else (self.tonic + 3) % 12

    def semitones_to(self, other: Key) -> int:
        """Return the shortest shift, −6…+5 semitones, that turns this key's notes into those of ``other``.

        Minor keys count as their relative major (docs/paper.md, row 9), so A minor to C major is 0.
        """
        return (other.relative_major_tonic - self.relative_major_tonic + 6) % 12 - 6

    def transposed(self, semitones: int) -> Key:
        """Return the key ``semitones`` higher (lower if negative)."""
        return Key((self.tonic + semitones) % 12, self.mode)


def _times(values: npt.ArrayLike | None) -> Times | None:
    if values is None:
        return None
    if isinstance(values, np.ndarray) and values.dtype == np.float64 and not values.flags.writeable:
        return values  # a read-only array is not copied
    array = np.array(values, dtype=np.float64)
    array.flags.writeable = False
    return array


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
        a bar (:func:`mashkit.metre.doubt`).
    tempo_candidates : tuple of (BPM, strength), optional
        Strongest first; the second is often half or double the first.
    tuning : float, optional
        Distance of the music's A from 440 Hz, cents, −50 to below 50; the tonic sounds higher than the pitch it is
        named for by the same distance (:mod:`mashkit.tuning`).

    Raises
    ------
    AnalysisError
        If the times, the tempo or the tuning break these rules.
    """

    key: Key | None = None
    tempo: float | None = None
    beats: Times | None = attrs.field(default=None, converter=_times, eq=_same_times)
    downbeats: Times | None = attrs.field(default=None, converter=_times, eq=_same_times)
    confidence: Mapping[str, float] = attrs.field(factory=dict, converter=frozen_mapping)
    tempo_candidates: tuple[tuple[float, float], ...] = ()
    tuning: float | None = None

    def __attrs_post_init__(self) -> None:
        if self.tuning is not None and not -50 <= self.tuning < 50:
            raise AnalysisError(
                f"tuning is {self.tuning} cents",
                "give −50 to below 50, or None when unknown; beyond, name the next key",
            )
        if self.tempo is not None and not (math.isfinite(self.tempo) and self.tempo > 0):
            raise AnalysisError(f"tempo is {self.tempo}", "give a positive BPM, or None when unknown")
        for name in ("beats", "downbeats"):
            times = getattr(self, name)
            if times is None:
                continue
            # The times increase, so checking the first and the last is enough; a NaN fails the check of increase.
            if times.ndim != 1 or (
                len(times) and not (times[0] >= 0 and times[-1] < math.inf and (times[1:] > times[:-1]).all())
            ):
                raise AnalysisError(f"{name} are not finite, non-negative, strictly increasing seconds")
        if self.downbeats is not None and (self.beats is None or not _among(self.downbeats, self.beats)):
            raise AnalysisError("a downbeat is not among the beats")

    def __reduce__(self) -> tuple[Any, tuple[dict[str, Any]]]:
        return Analysis.from_dict, (self.to_dict(),)

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

        return attrs.evolve(self, beats=cut(self.beats), downbeats=cut(self.downbeats))

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON; :meth:`from_dict` reads it back to an equal value."""
        return {
            "key": None if self.key is None else str(self.key),
            "tempo": self.tempo,
            "beats": None if self.beats is None else self.beats.tolist(),
            "downbeats": None if self.downbeats is None else self.downbeats.tolist(),
            "confidence": dict(self.confidence),
            "tempo_candidates": [list(pair) for pair in self.tempo_candidates],
            "tuning": self.tuning,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Analysis:
        """Return the analysis that :meth:`to_dict` wrote."""
        return cls(
            key=None if data["key"] is None else Key.parse(data["key"]),
            tempo=data["tempo"],
            beats=data["beats"],
            downbeats=data["downbeats"],
            confidence=data["confidence"],
            tempo_candidates=tuple((float(bpm), float(strength)) for bpm, strength in data["tempo_candidates"]),
            tuning=data.get("tuning"),  # older versions of mashkit did not write it
        )


# ------------------------------------------------------------------------------------------------- stems and clips
class Role(enum.StrEnum):
    """The part that a stem plays in a mashup (docs/paper.md, row 1)."""

    VOCAL = "vocal"
    HARMONIC = "harmonic"
    PERCUSSION = "percussion"


def as_roles(roles: Iterable[Role]) -> frozenset[Role]:
    """Convert an attrs field."""
    return frozenset(roles)


ROLE_STEMS: Mapping[Role, tuple[str, ...]] = FrozenMapping(
    {
        Role.VOCAL: ("vocals",),
        Role.HARMONIC: ("bass", "other", "guitar", "piano"),
        Role.PERCUSSION: ("drums",),
    }
)
"""The stems of each role. The paper's HARMONIC is bass + other; models of five and six stems split "other" further."""

STEM_NAMES = tuple(name for names in ROLE_STEMS.values() for name in names)


@attrs.frozen(eq=False)
class StemSet:
    """The stems of one mix, by name.

    Parameters
    ----------
    stems : mapping of str to Audio
        Names from :data:`STEM_NAMES`; all of the same rate, channels and frames.

    Raises
    ------
    StemError
        If there is no stem, a name is not known, or the stems differ in rate, channels or frames.
    """

    stems: Mapping[str, Audio] = attrs.field(converter=frozen_mapping)

    def __attrs_post_init__(self) -> None:
        unknown = sorted(set(self.stems) - set(STEM_NAMES))
        if unknown or not self.stems:
            raise StemError(f"stems named {unknown}" if unknown else "no stems", f"use {', '.join(STEM_NAMES)}")
        formats = {(stem.sample_rate, *stem.samples.shape) for stem in self.stems.values()}
        if len(formats) > 1:
            raise StemError(f"stems differ in (rate, channels, frames): {sorted(formats)}")

    @property
    def roles(self) -> frozenset[Role]:
        """The roles of which this set contains at least one stem."""
        return frozenset(role for role, names in ROLE_STEMS.items() if any(name in self.stems for name in names))

    def role(self, role: Role) -> Audio:
        """Return the sum of the stems of ``role``.

        Raises
        ------
        StemError
            If the set contains no stem of that role.
        """
        parts = [self.stems[name] for name in ROLE_STEMS[role] if name in self.stems]
        if not parts:
            raise StemError(
                f"no stem for the role {role} among {', '.join(sorted(self.stems))}",
                f"use a separator that gives {' or '.join(ROLE_STEMS[role])}",
            )
        if len(parts) == 1:
            return parts[0]
        total = parts[0].samples + parts[1].samples
        for part in parts[2:]:
            total += part.samples
        total.flags.writeable = False  # no other code has this array, so Audio need not copy it
        return Audio(total, parts[0].sample_rate)


LABELS_TRUSTED = "labels"
"""An entry of :attr:`Clip.edited`: a user trusted the song's labels, so they were not compared with the sound."""


@attrs.frozen
class Clip:
    """One excerpt of a song as the MashupDB records it: plain data; the catalog returns its stems.

    Parameters
    ----------
    id : str
        Unique among all catalogs: it depends on the audio, the excerpt and the separator.
    song : str
        Identity of the excerpt's song; all clips of a song have the same.
    title : str
        The song's title, to be shown.
    source : str
        File the clip was cut from, as the user named it.
    start, duration : float
        Position of the clip in the file, and its length, seconds.
    sample_rate : int
        Sample rate of its stems, Hz.
    analysis : Analysis
        Times relative to the clip's start.
    licence : str
        Licence of the recording; "unknown" if none was given.
    loudness : mapping of Role to float
        Integrated loudness of each role's stem, LUFS; −inf for silence.
    activity : mapping of Role to float
        Share of the clip's time, 0–1, in which the role's stem sounds.
    entry : mapping of Role to float
        Time at which each role's stem first sounds, seconds; a role that is silent has no entry.
    label : str
        The part of the song ("verse", "chorus"), if it was given; else empty.
    edited : tuple of str
        Fields of the analysis that a user set; :data:`LABELS_TRUSTED` if labels were used without a check.
    lacks : frozenset of Role
        Roles of which the clip has no sound and no stem: an a cappella lacks harmony and percussion.
    """

    id: str
    song: str
    title: str
    source: str
    start: float
    duration: float
    sample_rate: int
    analysis: Analysis
    licence: str = "unknown"
    loudness: Mapping[Role, float] = attrs.field(factory=dict, converter=frozen_mapping)
    activity: Mapping[Role, float] = attrs.field(factory=dict, converter=frozen_mapping)
    entry: Mapping[Role, float] = attrs.field(factory=dict, converter=frozen_mapping)
    label: str = ""
    edited: tuple[str, ...] = attrs.field(default=(), converter=as_tuple)
    lacks: frozenset[Role] = attrs.field(default=frozenset(), converter=as_roles)

    @property
    def roles(self) -> tuple[Role, ...]:
        """The roles of which the clip has a stem."""
        return tuple(role for role in Role if role not in self.lacks)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON; :meth:`from_dict` reads it back to an equal value. Silence is null, not −∞."""
        loudness = {str(role): value if math.isfinite(value) else None for role, value in self.loudness.items()}
        return {
            "id": self.id,
            "song": self.song,
            "title": self.title,
            "source": self.source,
            "start_s": self.start,
            "duration_s": self.duration,
            "sample_rate": self.sample_rate,
            "licence": self.licence,
            "analysis": self.analysis.to_dict(),
            "loudness_lufs": loudness,
            "activity": {str(role): value for role, value in self.activity.items()},
            "entry_s": {str(role): value for role, value in self.entry.items()},
            "label": self.label,
            "edited": list(self.edited),
            **({"lacks": sorted(self.lacks)} if self.lacks else {}),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Clip:
        """Return the clip that :meth:`to_dict` wrote.

        Raises
        ------
        KeyError, TypeError, ValueError, AnalysisError
            If the data is not the data of a clip.
        """
        loudness = {role: -math.inf if value is None else value for role, value in data["loudness_lufs"].items()}
        return cls(
            id=data["id"],
            song=data["song"],
            title=data["title"],
            source=data["source"],
            start=data["start_s"],
            duration=data["duration_s"],
            sample_rate=data["sample_rate"],
            licence=data["licence"],
            analysis=Analysis.from_dict(data["analysis"]),
            loudness={Role(role): value for role, value in loudness.items()},
            activity={Role(role): value for role, value in data["activity"].items()},
            entry={Role(role): value for role, value in data["entry_s"].items()},
            label=data["label"],
            edited=data["edited"],
            lacks=frozenset(map(Role, data.get("lacks", ()))),
        )

    def require(self, *fields: str) -> None:
        """Raise AnalysisError unless the analysis has each of ``fields`` ("key", "tempo", "downbeats"…)."""
        for field in fields:
            value = getattr(self.analysis, field)
            if value is None or (field in ("beats", "downbeats") and len(value) == 0):
                alone = self.lacks >= {Role.HARMONIC, Role.PERCUSSION}
                raise AnalysisError(
                    f"{self.source}: clip {self.id} has no {field}",
                    "say it with --vocal-key, --vocal-bpm and --vocal-downbeat: nothing guesses it of a voice alone"
                    if alone
                    else f"use an analyzer that provides {field} (`mashkit plugins`), or set it with `mashkit db edit`",
                )


# --------------------------------------------------------------------------------------------------- mashup plans
class Condition(enum.StrEnum):
    """The rule by which a mashup's stems were chosen: an open set of names.

    The paper's five conditions ("Mashup Generation") are constants, and iterating yields these five. A generator may
    define its own conditions: ``Condition("slow-jam")`` returns the same object each time, which equals its name only.

    Raises
    ------
    ValueError
        If a name is not text, is empty, or has blanks at its ends or characters that cannot be printed.
    """

    ORIGINAL = "original"
    MATCHED = "matched"
    UNMATCHED_KEY = "unmatched-key"
    UNMATCHED_TEMPO = "unmatched-tempo"
    UNMATCHED_KEY_TEMPO = "unmatched-key-tempo"

    @classmethod
    def _missing_(cls, value: object) -> Condition:
        if not isinstance(value, str) or not value or value != value.strip() or not value.isprintable():
            raise ValueError(f"{value!r} is no name of a condition")
        made = str.__new__(cls, value)
        made._name_, made._value_ = value, value
        # Each name has one object, as the constants do, because conditions are compared with "is".
        found = cls._value2member_map_.setdefault(value, made)
        assert isinstance(found, cls)  # noqa: S101 — the map holds nothing else
        return found


@attrs.frozen(kw_only=True)
class Layer:
    """One role of a mashup: the clip whose stem plays it, and how that stem is changed.

    The time ``t`` of the clip sounds at ``offset_s + t / speed`` of the mashup; with a time map, at
    ``offset_s + time_map.to_target(t)``.

    Parameters
    ----------
    role : Role
    clip_id : str
    speed : float
        Playing speed, > 0: at 1.25 the stem is a quarter faster and a fifth shorter. With a time map the speed only
        records the map's mean speed: leave it out, or give exactly that value.
    time_map : TimeMap, optional
        Maps the clip's times to times after stretching, counted from its first frame. Without it the speed is constant.
    semitones : float
        Pitch shift, semitones.
    offset_s : float
        Time of the stem's first frame in the mashup, seconds; negative if the beginning of the stem is cut off.
    gain_db : float
        Gain before mixing, dB.
    """

    role: Role = attrs.field(converter=Role)
    clip_id: str
    time_map: TimeMap | None = None
    speed: float = attrs.field(converter=float, validator=_finite)
    semitones: float = attrs.field(default=0.0, converter=float, validator=_finite)
    offset_s: float = attrs.field(default=0.0, converter=float, validator=_finite)
    gain_db: float = attrs.field(default=0.0, converter=float, validator=_finite)

    @speed.default
    def _mean_speed(self) -> float:
        return 1.0 if self.time_map is None else self.time_map.mean_speed

    def __attrs_post_init__(self) -> None:
        if self.speed <= 0:
            raise PlanError(f"speed of the {self.role} layer is {self.speed}", "give a positive number")
        if self.time_map is not None and not math.isclose(self.speed, self.time_map.mean_speed, rel_tol=1e-9):
            raise PlanError(
                f"speed of the {self.role} layer is {self.speed}, its time map's mean is {self.time_map.mean_speed}",
                "leave out the one or the other",
            )

    def to_mashup(self, times: npt.ArrayLike) -> Times:
        """Convert times of the clip to times of the mashup, seconds."""
        at = np.asarray(times, dtype=np.float64)
        carried: Times = self.offset_s + (at / self.speed if self.time_map is None else self.time_map.to_target(at))
        return carried

    def to_clip(self, times: npt.ArrayLike) -> Times:
        """Convert times of the mashup to times of the clip, seconds: the inverse of :meth:`to_mashup`."""
        at = np.asarray(times, dtype=np.float64) - self.offset_s
        carried: Times = at * self.speed if self.time_map is None else self.time_map.to_source(at)
        return carried

    def at_one_speed(self) -> Layer:
        """Return the layer without its time map, at the map's mean speed and with the offset closest to its knots.

        Closest means: the median distance of the knots is 0. This is for stretchers that cannot follow a time map, and
        to compare a time map with one speed.
        """
        if self.time_map is None:
            return self
        late = np.array(self.time_map.target) - np.array(self.time_map.source) / self.speed
        return attrs.evolve(self, time_map=None, offset_s=self.offset_s + float(np.median(late)))

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON; a layer without a time map has no such entry."""
        data: dict[str, Any] = {
            "role": str(self.role),
            "clip_id": self.clip_id,
            "speed": self.speed,
            "semitones": self.semitones,
            "offset_s": self.offset_s,
            "gain_db": self.gain_db,
        }
        return data if self.time_map is None else {**data, "time_map": self.time_map.to_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Layer:
        """Return the layer that :meth:`to_dict` wrote."""
        fields = {**data}
        if fields.get("time_map") is not None:
            fields["time_map"] = TimeMap.from_dict(fields["time_map"])
        return cls(**fields)


def _at_least_zero(instance: object, attribute: attrs.Attribute[float], value: float) -> None:
    if not (math.isfinite(value) and value >= 0):
        raise PlanError(f"{type(instance).__name__}.{attribute.name} is {value}", "give 0 (off) or more")


@attrs.frozen(kw_only=True)
class Mixing:
    """Processing of all layers together, after their gains; none by default, as in the paper.

    Parameters
    ----------
    fade_in_s, fade_out_s : float
        Length of the fades at the mashup's beginning and end, seconds, ≥ 0.
    duck_db : float
        Attenuation of the harmonic layer while the vocal sounds, dB, ≥ 0.
    limit_db : float
        Largest attenuation of single peaks by the limiter, dB, ≥ 0. If a peak needs more, the whole mix is lowered by
        the rest.
    """

    fade_in_s: float = attrs.field(default=0.0, converter=float, validator=_at_least_zero)
    fade_out_s: float = attrs.field(default=0.0, converter=float, validator=_at_least_zero)
    duck_db: float = attrs.field(default=0.0, converter=float, validator=_at_least_zero)
    limit_db: float = attrs.field(default=0.0, converter=float, validator=_at_least_zero)


def _condition(value: Condition | str) -> Condition:
    try:
        return Condition(value)
    except ValueError as error:
        raise PlanError(str(error), "give a word or two, like slow-jam") from error


PLAN_FORMAT = 2
"""Version of the JSON form of a plan; a reader refuses newer versions than its own. Format 1 had no time maps, mixing
or notes, and is read as a plan without them."""


@attrs.frozen(kw_only=True)
class MashupPlan:
    """A mashup before it is rendered: plain data that is written to JSON and read back equal.

    A plan contains no audio. So the same plans can be rendered by two stretchers, or scored by two scorers, which makes
    the comparison fair.

    Parameters
    ----------
    condition : Condition or str
        One of the paper's conditions, or the name of one of the generator's own.
    layers : sequence of Layer
        At most one layer for each role; a vocal layer is required.
    duration_s : float
        Length of the mashup, seconds, > 0.
    seed : int
        Seed of the generator run that drew the plan.
    generator : mapping
        Name, version and options of the generator that drew the plan.
    mixing : Mixing
    notes : sequence of str
        Remarks for the user, for example why a layer is played at one speed.
    """

    condition: Condition = attrs.field(converter=_condition)
    layers: tuple[Layer, ...] = attrs.field(converter=as_tuple)
    duration_s: float = attrs.field(converter=float, validator=_finite)
    seed: int
    generator: Mapping[str, Any] = attrs.field(factory=dict, converter=frozen_mapping)
    mixing: Mixing = attrs.field(factory=Mixing)
    notes: tuple[str, ...] = attrs.field(default=(), converter=as_tuple)

    def __attrs_post_init__(self) -> None:
        roles = [layer.role for layer in self.layers]
        if Role.VOCAL not in roles or len(set(roles)) != len(roles):
            raise PlanError(f"a plan has one layer a role and a vocal among them, not {[str(r) for r in roles]}")
        if self.duration_s <= 0:
            raise PlanError(f"a plan's duration is {self.duration_s} s", "give a positive length")

    @property
    def id(self) -> str:
        """Twelve hex digits that depend on layers, mixing and length, because they decide the sound; not on the seed
        or the generator.
        """
        heard = {name: value for name, value in self.to_dict().items() if name in ("layers", "mixing", "duration_s")}
        return hashlib.sha256(json.dumps(heard, sort_keys=True).encode()).hexdigest()[:12]

    def at_one_speed(self, reason: str) -> MashupPlan:
        """Return the plan with each layer played at one speed (:meth:`Layer.at_one_speed`) and a note of the reason."""
        if all(layer.time_map is None for layer in self.layers):
            return self
        layers = [layer.at_one_speed() for layer in self.layers]
        return attrs.evolve(self, layers=layers, notes=(*self.notes, f"one speed, not a beat map: {reason}"))

    def layer(self, role: Role) -> Layer:
        """Return the layer of ``role``; raise PlanError if there is none."""
        for layer in self.layers:
            if layer.role is role:
                return layer
        raise PlanError(f"plan {self.id} has no {role} layer")

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "format": PLAN_FORMAT,
            "condition": str(self.condition),
            "seed": self.seed,
            "duration_s": self.duration_s,
            "layers": [layer.to_dict() for layer in self.layers],
            "mixing": attrs.asdict(self.mixing),
            "generator": dict(self.generator),
            "notes": list(self.notes),
        }

    def to_json(self) -> str:
        """Return one line of JSON; :meth:`from_json` reads an equal plan from it."""
        return json.dumps(self.to_dict(), sort_keys=True)

    @classmethod
    def from_dict(cls, data: Any) -> MashupPlan:
        """Return the plan that :meth:`to_dict` wrote, or that a mashup's `plan.json` contains under "plan".

        Raises
        ------
        PlanError
            If the data is not a plan, or is a plan of a newer format.
        """
        if isinstance(data, Mapping) and "format" not in data and "plan" in data:
            data = data["plan"]
        if not isinstance(data, Mapping) or "format" not in data:
            raise PlanError("this is not a mashup plan", "give what `mashkit generate` wrote")
        if data["format"] not in range(1, PLAN_FORMAT + 1):
            raise PlanError(f"plan format {data['format']!r}, this mashkit reads {PLAN_FORMAT}", "update mashkit")
        try:
            return cls(
                condition=data["condition"],
                layers=[Layer.from_dict(layer) for layer in data["layers"]],
                duration_s=data["duration_s"],
                seed=data["seed"],
                generator=data["generator"],
                mixing=Mixing(**data.get("mixing", {})),
                notes=data.get("notes", ()),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise PlanError(f"malformed plan: {error!r}", "give what `mashkit generate` wrote") from error

    @classmethod
    def from_json(cls, text: str) -> MashupPlan:
        """Return the plan of the text of :meth:`to_json` or of a `plan.json`; raises PlanError as :meth:`from_dict`."""
        try:
            data = json.loads(text)
        except (TypeError, ValueError) as error:
            raise PlanError(f"a plan is not JSON: {error}", "give what `mashkit generate` wrote") from error
        return cls.from_dict(data)


@attrs.frozen(kw_only=True)
class Finish:
    """Changes to plans after they are drawn, the same for every generator.

    Parameters
    ----------
    duck_db : float, optional
        Attenuation of the harmonic layer while the vocal sounds, dB, ≥ 0; None keeps the plan's own value.
    plain : bool
        Use unit gains, no fades and no limiter, as the paper does.
    """

    duck_db: float | None = attrs.field(
        default=None, converter=attrs.converters.optional(float), validator=attrs.validators.optional(_at_least_zero)
    )
    plain: bool = False

    def of(self, plan: MashupPlan) -> MashupPlan:
        """Return the plan with these changes; a second call makes no further change."""
        if self == Finish():
            return plan
        layers, mixing = plan.layers, plan.mixing
        if self.plain:
            layers = tuple(attrs.evolve(layer, gain_db=0.0) for layer in layers)
            mixing = Mixing(duck_db=mixing.duck_db)
        if self.duck_db is not None:
            mixing = attrs.evolve(mixing, duck_db=self.duck_db)
        return attrs.evolve(plan, layers=layers, mixing=mixing)


# ---------------------------------------------------------------------------------------------------------- scores
@attrs.frozen
class Score:
    """A scorer's rating of a mashup: higher is better.

    Parameters
    ----------
    value : float
        Finite; within [0, 1] on the probability scale.
    scale : {"probability", "ordinal"}
        "probability" if the value itself can be interpreted, "ordinal" if only the order of values can.
    parts : mapping of str to float
        The components of the value ("harmony", "rhythm", …).
    """

    value: float = attrs.field(converter=float)
    scale: Literal["probability", "ordinal"] = "ordinal"
    parts: Mapping[str, float] = attrs.field(factory=dict, converter=frozen_mapping)

    def __attrs_post_init__(self) -> None:
        if self.scale not in ("probability", "ordinal"):
            raise ValueError(f'scale is {self.scale!r}, not "probability" or "ordinal"')
        if not math.isfinite(self.value) or (self.scale == "probability" and not 0 <= self.value <= 1):
            raise ValueError(f"a score of {self.value} on the {self.scale} scale")

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {"value": self.value, "scale": self.scale, "parts": dict(self.parts)}


def by_id(clips: Sequence[Clip]) -> dict[str, Clip]:
    """Return a mapping from id to clip."""
    return {clip.id: clip for clip in clips}
