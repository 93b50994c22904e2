"""Define the paper's conditions: which stems fit a vocal, which clash with it, and what all plans of a condition keep.

These definitions stand here once. The generator draws by them, the benchmark and the contract tests judge plans by
them, and networks are trained on examples that are drawn by them.

Conventions: a distance is that of a harmonic stem's key from the vocal's key, semitones, from −6 to 6; relative keys
are equal. A ratio is vocal's tempo / stem's tempo, which is the speed that gives the stem the vocal's tempo
(docs/paper.md, row 8).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, TypeAlias

import attrs
import numpy as np
import numpy.typing as npt
from attrs import validators

from mashkit.types import Clip, Condition, FrozenMapping, MashupPlan, Role

MAX_SHIFT = 3
"""Largest distance of a matched harmonic stem, semitones (docs/paper.md, row 6)."""
SPEEDS = (0.8, 1.2)
"""Least and largest ratio of matched stems, both included (docs/paper.md, row 7)."""
TEMPO_CLASH = 0.04
"""Least relative difference of the tempi of unmatched stems: the faster tempo is at least 4 % above the slower one
(docs/paper.md, row 11). At 4 %, beats are half a beat apart after 13 beats."""
LEAST_CLASH = (1 + TEMPO_CLASH) * (1 - 1e-9)
"""Least ratio of the faster to the slower tempo that clashes. It is a billionth below 1.04, so that rounding errors do
not decide whether 104 and 100 BPM clash."""
FIFTH = 5
"""Distance of keys a fifth apart, semitones (docs/paper.md, row 12)."""
MAX_OFFSET_S = 1.0
"""Largest delay of a downbeat where the tempo is unmatched, seconds (docs/paper.md, row 14)."""
LEAST_ACTIVITY = 0.25
"""Least share of a clip in which a stem that is drawn must sound (docs/paper.md, row 17)."""
DURATION_S = (25.0, 60.0)
"""Least and largest length of a mashup, seconds (docs/paper.md, row 19)."""
BACKING = (Role.HARMONIC, Role.PERCUSSION)
"""The roles whose stems are chosen to go with a vocal."""

SEMITONE, OCTAVE = 10, 120
"""A semitone and an octave, in tenths of a semitone: so finely the conditions compare where keys sound."""

Fit: TypeAlias = Literal["", "matched", "unmatched"]
"""Whether the backing fits the vocal in key or tempo, clashes with it, or may do either ("")."""

FOLDED = (math.sqrt(0.5), math.nextafter(math.sqrt(2.0), 0.0))
"""Least and largest ratio that halving or doubling brings a ratio to."""


@attrs.frozen(kw_only=True)
class Promise:
    """The meaning of a condition: properties of all its plans. The contract tests and the benchmark check them.

    Parameters
    ----------
    description : str
        One line for users.
    key : {"matched", "unmatched", ""}
        The harmonic layer, after its shift, is in the vocal's key, is not, or may be. Relative keys count as equal.
    tempo : {"matched", "unmatched", ""}
        The tempi of both backing layers, at their speeds, are the vocal's tempo, are not, or may be. Half and double
        tempo count as equal.
    downbeats : bool
        Downbeats of the backing layers lie on downbeats of the vocal.
    songs : {"one", "several", ""}
        All stems are from one clip, no backing stem is from the vocal's song, or either may be the case.

    Examples
    --------
    >>> import mashkit as mk
    >>> from mashkit.conditions import PROMISES
    >>> mk.Promise(description="one song, half as fast", songs="one")
    Promise(description='one song, half as fast', key='', tempo='', downbeats=False, songs='one')
    >>> PROMISES["unmatched-key"].key, PROMISES["unmatched-key"].tempo
    ('unmatched', 'matched')
    """

    description: str
    key: Fit = attrs.field(default="", validator=validators.in_(("", "matched", "unmatched")))
    tempo: Fit = attrs.field(default="", validator=validators.in_(("", "matched", "unmatched")))
    downbeats: bool = attrs.field(default=False, validator=validators.instance_of(bool))
    songs: Literal["", "one", "several"] = attrs.field(default="", validator=validators.in_(("", "one", "several")))


PROMISES: Mapping[str, Promise] = FrozenMapping(
    {
        Condition.ORIGINAL: Promise(
            description="all stems of one clip, unchanged",
            key="matched", tempo="matched", downbeats=True, songs="one",
        ),
        Condition.MATCHED: Promise(
            description="backing of other songs in the vocal's key and tempo, downbeats on downbeats",
            key="matched", tempo="matched", downbeats=True, songs="several",
        ),
        Condition.UNMATCHED_KEY: Promise(
            description="as matched, but in another key", key="unmatched", tempo="matched", downbeats=True,
            songs="several",
        ),
        Condition.UNMATCHED_TEMPO: Promise(
            description="as matched, but in another tempo", key="matched", tempo="unmatched", songs="several"
        ),
        Condition.UNMATCHED_KEY_TEMPO: Promise(
            description="backing of other songs in another key and tempo", key="unmatched", tempo="unmatched",
            songs="several",
        ),
    }
)  # fmt: skip
"""Meaning of the paper's conditions (docs/paper.md, rows 5–9, 11, 15 and 19), in every generator."""

KEY_FREE = frozenset(one for one in Condition if PROMISES[one].key == "unmatched")
"""The conditions whose harmonic stem is not shifted, and clashes with the vocal in key."""
TEMPO_FREE = frozenset(one for one in Condition if PROMISES[one].tempo == "unmatched")
"""The conditions whose backing is not stretched, and clashes with the vocal in tempo."""
UNMATCHED = tuple(one for one in Condition if one in KEY_FREE | TEMPO_FREE)
"""The conditions of negatives (docs/paper.md, row 13)."""


# ------------------------------------------------------------------------------------------------------- predicates
def folded(ratio: float) -> float:
    """Return a tempo ratio after halving or doubling it until it lies within √½…√2."""
    mantissa, _ = math.frexp(ratio)
    return 2 * mantissa if mantissa < FOLDED[0] else mantissa


def tenths(cents: npt.ArrayLike) -> npt.NDArray[np.int16]:
    """Return cents in tenths of a semitone, rounded."""
    return np.rint(np.asarray(cents) / (100 / SEMITONE)).astype(np.int16)


def distance(position: int, seed_position: int) -> float:
    """Return the distance from a position to the seed's position, both in tenths of a semitone: semitones, −6…5.9."""
    return ((seed_position - position + OCTAVE // 2) % OCTAVE - OCTAVE // 2) / SEMITONE


def keys_clash(distance: float) -> bool:
    """Return whether keys are a semitone or more apart, as they sound (docs/paper.md, row 11).

    Keys that are closer because of their songs' tunings do not clash, even if their names differ.
    """
    return abs(distance) >= 1


def tempi_clash(ratio: float) -> bool:
    """Return whether tempi differ by :data:`TEMPO_CLASH` or more, also from half and from double tempo.

    The result is the same for a ratio and for its inverse, because two songs clash in the same way whichever of them
    gives the vocal. Half and double tempo do not clash, because their beats coincide. The paper gives no such limit: it
    only does not match the tempi, and stems that fit by chance stay (docs/paper.md, row 11). The limit is ours.
    """
    near = folded(ratio)
    return max(near, 1 / near) >= LEAST_CLASH


def fifth_apart(distance: float) -> bool:
    """Return whether keys are a fifth apart, to the nearest semitone (docs/paper.md, row 12)."""
    return whole_semitones(distance) == FIFTH


def whole_semitones(distance: float) -> int:
    """Return a distance of keys without its sign and without its cents: to the nearest semitone, halves up, 0–6.

    Limits such as ``max_shift`` count these semitones (docs/paper.md, row 10): a stem at 3.3 semitones is 3 away. Two
    songs are as far apart whichever of them gives the vocal.
    """
    return math.floor(abs(distance) + 0.5)


@attrs.frozen(kw_only=True)
class Rules:
    """Rules that decide which stems a condition accepts for a vocal.

    All but ``fifths`` are options of :class:`~mashkit.builtin.paper.PaperGenerator`, and are explained there.

    Parameters
    ----------
    max_shift, min_speed, max_speed, mismatch, same_mode, fold_tempo, min_activity, doubtful_metre, mixed_metres
    fifths : bool
        Whether a key a fifth away counts as unmatched under "strict". Training turns it off, because such keys share
        six of seven notes (docs/paper.md, row 12).
    """

    max_shift: int = MAX_SHIFT
    min_speed: float = SPEEDS[0]
    max_speed: float = SPEEDS[1]
    mismatch: Literal["strict", "literal"] = "strict"
    same_mode: bool = False
    fold_tempo: bool = False
    min_activity: float = LEAST_ACTIVITY
    doubtful_metre: bool = False
    mixed_metres: bool = False
    fifths: bool = True

    def speed(self, ratio: float) -> float:
        """Return the speed at which a stem has the vocal's tempo; with ``fold_tempo``, half or double of it."""
        return folded(ratio) if self.fold_tempo else ratio

    def key_fits(self, distance: float, condition: Condition) -> bool:
        """Return whether a condition accepts the key of a harmonic stem.

        If the keys must match, their distance, rounded to whole semitones, is at most ``max_shift``; cents are added to
        the shift afterwards. If they must clash, the stem is not shifted.
        """
        if condition not in KEY_FREE:
            return whole_semitones(distance) <= self.max_shift
        return self.mismatch == "literal" or (keys_clash(distance) and (self.fifths or not fifth_apart(distance)))

    def modes_fit(self, minor: bool, seed_minor: bool, condition: Condition) -> bool:
        """Return whether a condition accepts the mode of a harmonic stem, minor or major, for the vocal's mode."""
        return not self.same_mode or condition in KEY_FREE or minor == seed_minor

    def tempo_fits(self, ratio: float, condition: Condition) -> bool:
        """Return whether a condition accepts the tempo of a backing stem."""
        if condition not in TEMPO_FREE:
            return self.min_speed <= self.speed(ratio) <= self.max_speed
        return self.mismatch == "literal" or tempi_clash(ratio)


def delays(random: np.random.Generator, max_offset_s: float = MAX_OFFSET_S) -> dict[Role, float]:
    """Return the delay of each stem's downbeat where the tempo is unmatched, seconds.

    One stem of the three, at random, is moved by a time that is uniform within ±``max_offset_s``
    (docs/paper.md, row 14).
    """
    delay = float(random.uniform(-max_offset_s, max_offset_s))
    moved = tuple(Role)[int(random.integers(len(Role)))]
    return dict.fromkeys(Role, 0.0) | {moved: delay}


# ---------------------------------------------------------------------------------------------- what plans do to stems
def key_distance(plan: MashupPlan, clips: Mapping[str, Clip]) -> float | None:
    """Return the distance of the harmonic layer's key, as the plan plays it; None if a key is not known.

    Sounding pitches are compared; an unknown tuning counts as A = 440 Hz (docs/paper.md, row 10).
    """
    sounding = _sounding_keys(plan, clips)
    if sounding is None:
        return None
    harmonic, vocal = (tonic + tuning / 100 + shift for tonic, tuning, shift in sounding)
    return (harmonic - vocal + 6) % 12 - 6


def _sounding_keys(plan: MashupPlan, clips: Mapping[str, Clip]) -> list[tuple[int, float, float]] | None:
    """Return tonic, tuning in cents and shift in semitones of harmonic and vocal; None if a key is not known."""
    sounding = []
    for role in (Role.HARMONIC, Role.VOCAL):
        layer = plan.layer(role)
        analysis = clips[layer.clip_id].analysis
        if analysis.key is None:
            return None
        sounding.append((analysis.key.relative_major_tonic, analysis.tuning or 0.0, layer.semitones))
    return sounding


def relative_tempi(plan: MashupPlan, clips: Mapping[str, Clip]) -> Iterator[tuple[Role, float | None]]:
    """Yield each backing role of a plan, and its tempo, as the plan plays it, as a multiple of the vocal's, folded.

    The multiple is None if a tempo is not known. A layer along a beat map counts with its mean speed.
    """
    layers = {layer.role: layer for layer in plan.layers}
    sung = clips[layers[Role.VOCAL].clip_id].analysis.tempo
    for role in BACKING:
        if (layer := layers.get(role)) is not None:
            own = clips[layer.clip_id].analysis.tempo
            yield role, None if own is None or sung is None else folded(own * layer.speed / sung)


def axes_that_fit(condition: str, distance: float | None, ratios: Iterable[float]) -> tuple[str, ...]:
    """Return the axes ("key", "tempo") in which stems fit although a condition says that they do not.

    These are the axes in which `strict` would not draw the stems, because the keys, or the tempi of a stem and the
    vocal, do not clash.

    Parameters
    ----------
    condition : Condition
    distance : float, optional
        That of the harmonic stem's key, to a tenth of a semitone; None if it is not known.
    ratios : iterable of float
        Those of the backing stems whose tempi are known.
    """
    key = condition in KEY_FREE and distance is not None and not keys_clash(distance)
    tempo = condition in TEMPO_FREE and not all(map(tempi_clash, ratios))
    return tuple(axis for axis, fits in (("key", key), ("tempo", tempo)) if fits)


def fits_by_chance(plan: MashupPlan, clips: Mapping[str, Clip]) -> tuple[str, ...]:
    """Return the axes ("key", "tempo") in which a plan's stems fit although its condition says that they do not.

    Keys are compared as the generator compares them, to a tenth of a semitone. An axis of which nothing is known is not
    one of them (:func:`axes_that_fit`).
    """
    apart = None
    if plan.condition in KEY_FREE and (sounding := _sounding_keys(plan, clips)) is not None:
        harmonic, vocal = (
            SEMITONE * tonic + int(tenths(tuning)) + int(tenths(100 * shift)) for tonic, tuning, shift in sounding
        )
        apart = distance(harmonic, vocal)
    return axes_that_fit(
        plan.condition, apart, (ratio for _, ratio in relative_tempi(plan, clips) if ratio is not None)
    )
