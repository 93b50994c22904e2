"""Find the clips that fit a vocal, among a million in microseconds, and draw from them without making a list of them.

An array contains the clips whose stem may be drawn, sorted by metre, key and tempo. The clips that a condition accepts
are then a few ranges of this array: for each metre whose bars can lie on the vocal's bars, the ranges of at most seven
keys and of one range of tempi, or of the tempi outside that range. The few clips of the vocal's own song are left out
one by one.

Distances of keys are measured between sounding pitches, to a tenth of a semitone: a clip's position is its tonic plus
its tuning (:mod:`mashkit.features.tuning`). If not all clips are in tune, the array contains them a second time, sorted
by position. If only a part of a key's positions fits, the ranges of these positions are used.

Conventions: a row is a clip's number in the table; the seed is the row of the vocal; speed is seed tempo / candidate
tempo (docs/paper.md, row 8); a position is a number of tenths of a semitone above C, 0–119.
"""

from __future__ import annotations

import functools
import itertools
import math
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias, TypeVar

import attrs
import numpy as np
import numpy.typing as npt

from mashkit.arguments import require_whole
from mashkit.cliptable import LACKING, ClipTable
from mashkit.conditions import (
    BACKING,
    FOLDED,
    LEAST_CLASH,
    OCTAVE,
    SEMITONE,
    TEMPO_FREE,
    Rules,
    axes_that_fit,
    distance,
    tempi_clash,
    tenths,
)
from mashkit.errors import UsageError, suggestion
from mashkit.features.tuning import semitones_between
from mashkit.timing import metre
from mashkit.types import Condition, Role, as_role

Rows: TypeAlias = npt.NDArray[np.intp]
Interval: TypeAlias = tuple[float, float]
"""Lowest and highest tempo of a range, both included, BPM."""
Span: TypeAlias = tuple[int, int]
"""First index of a range of a sorted array, and the index after its last."""

_KEYS, _POSITIONS = 2 * 12, 2 * OCTAVE
"""Numbers of tonics and of positions, each in two modes."""
_Number = TypeVar("_Number", int, npt.NDArray[np.int32])

_EVERY_TEMPO = ((0.0, math.inf),)
_CONDITIONS = tuple(Condition)
_DRAWN = tuple(condition for condition in Condition if condition is not Condition.ORIGINAL)
"""The conditions whose stems come from other songs than the vocal."""


def _known_condition(condition: object, *, known: Sequence[Condition]) -> Condition:
    """Return a condition that may be its name; raises UsageError if it is not among those known."""
    for one in known:
        if one == condition:
            return one
    raise UsageError(
        f"no stems are chosen by the condition {str(condition)!r}", suggestion(str(condition), map(str, known))
    )


class Candidates:
    """The rows that fit a vocal in one role, represented by ranges of an array, so that no list of them is made.

    Parameters
    ----------
    rows : array of int, shape (n,)
        The sorted array.
    spans : sequence of Span
        The ranges of the array that fit, without overlap.
    left_out : sequence of int
        Indices of the array that do not count, because they are clips of the vocal's own song.
    """

    def __init__(self, rows: npt.NDArray[np.int32], spans: Sequence[Span], left_out: Sequence[int]) -> None:
        self._rows = rows
        self._spans = spans
        self._skipped = []
        before = 0
        for first, last in spans:
            self._skipped += [before + place - first for place in left_out if first <= place < last]
            before += last - first
        self._skipped.sort()
        self._count = before - len(self._skipped)

    def __len__(self) -> int:
        return self._count

    def row(self, index: int) -> int:
        """Return candidate number ``index``, from 0, in the order of the array; raises IndexError after the last."""
        if not 0 <= index < self._count:
            raise IndexError(f"candidate {index} of {self._count}")
        for skipped in self._skipped:
            index += skipped <= index
        for first, last in self._spans:
            if index < last - first:
                return int(self._rows[first + index])
            index -= last - first
        raise AssertionError("the spans hold as many as were counted")

    def rows(self) -> Rows:
        """Return the rows of all candidates, ascending."""
        found = np.concatenate([np.empty(0, np.int32), *(self._rows[first:last] for first, last in self._spans)])
        found = np.delete(found, np.array(self._skipped, dtype=np.intp))
        # An array of flags gives the order in a tenth of the time that sorting takes for 300,000 rows.
        inside = np.zeros(int(found.max(initial=-1)) + 1, dtype=np.bool_)
        inside[found] = True
        return np.flatnonzero(inside)


@attrs.frozen
class _Groups:
    """Numbers the groups of harmonic stems: those of a metre and a key, and after them those of a metre and a position.

    Parameters
    ----------
    metres : int
        Number of classes of metres.
    modes : tuple of int
        The modes that have groups of their own: 0 for major, 1 for minor, or 0 for both.
    """

    _metres: int
    modes: tuple[int, ...]

    @property
    def of_keys(self) -> range:
        """The numbers of all groups of keys."""
        return range(_KEYS * self._metres)

    @property
    def of_positions(self) -> range:
        """The numbers of all groups of positions."""
        first = self.of_keys.stop
        return range(first, first + _POSITIONS * self._metres)

    def key(self, metre: _Number, tonic: _Number, mode: _Number) -> _Number:
        """Return the group of a class of metres, a tonic and a mode."""
        return _KEYS * metre + 2 * tonic + mode

    def position(self, metre: _Number, position: _Number, mode: _Number) -> _Number:
        """Return the group of a class of metres, a position and a mode."""
        return self.of_positions.start + _POSITIONS * metre + 2 * position + mode


class _Sorted:
    """Rows sorted by group and by tempo within a group, once for each way of grouping them.

    Parameters
    ----------
    rows : array of intp
    groupings : sequence of (array of uint16, range)
        The group of each row of the table, and the numbers that groups have. Each grouping begins with the number after
        the last of the grouping before it. Numbers of 16 bits are sorted several times as fast as longer ones.
    tempi : array of float64
        The tempo of each row of the table, BPM.
    """

    def __init__(
        self, rows: Rows, groupings: Sequence[tuple[npt.NDArray[np.uint16], range]], tempi: npt.NDArray[np.float64]
    ) -> None:
        self._groups: list[tuple[int, npt.NDArray[np.float64]]] = []
        self._places = np.full((len(groupings), len(tempi)), -1, dtype=np.int32)
        arrays = []
        for level, (groups, numbers) in enumerate(groupings):
            order = rows[np.lexsort((tempi[rows], groups[rows]))].astype(np.int32)
            sorted_tempi, before = tempi[order], level * len(rows)
            starts = np.searchsorted(groups[order], np.arange(numbers.start, numbers.stop + 1)).tolist()
            self._groups += [(before + first, sorted_tempi[first:last]) for first, last in itertools.pairwise(starts)]
            self._places[level, order] = np.arange(before, before + len(rows), dtype=np.int32)
            arrays.append(order)
        self.rows = np.concatenate(arrays)

    def find(self, groups: Sequence[int], intervals: Sequence[Interval], left_out: Sequence[int]) -> Candidates:
        """Return the candidates in some groups, which must have no row in common."""
        spans = []
        for group in groups:
            start, tempi = self._groups[group]
            if len(tempi) == 0:
                continue
            for low, high in intervals:
                first, last = int(tempi.searchsorted(low)), int(tempi.searchsorted(high, "right"))
                if first < last:
                    spans.append((start + first, start + last))
        return Candidates(self.rows, spans, self._places[:, left_out].ravel().tolist())


class _RowsOfSongs:
    """The rows of each song."""

    def __init__(self, songs: npt.NDArray[np.int64]) -> None:
        self._by_song = np.argsort(songs, kind="stable").astype(np.int32)
        ordered = songs[self._by_song]
        starts = np.flatnonzero(np.diff(ordered, prepend=ordered[:1] - 1))
        ends = np.append(starts, len(ordered))[1:]  # empty if there are no clips
        # For each row, the first index of its song's rows in _by_song, and the index after the last.
        self._starts, self._ends = (np.empty(len(songs), np.int32) for _ in range(2))
        self._starts[self._by_song] = np.repeat(starts, ends - starts)
        self._ends[self._by_song] = np.repeat(ends, ends - starts)

    def of(self, row: int) -> list[int]:
        """Return the rows of a row's song, ascending."""
        found: list[int] = self._by_song[self._starts[row] : self._ends[row]].tolist()
        return found


class CandidateIndex:
    """An index of a table's clips that finds the candidates of each vocal.

    Parameters
    ----------
    table : ClipTable
        Only its columns are read; no clip is fetched.
    rules : Rules
    """

    def __init__(self, table: ClipTable, rules: Rules) -> None:
        # No reference to the table is kept, because index_of() keeps the index only as long as the table exists.
        self.rules = rules
        self._tonics, self._minor, self._tempi = table.tonics, table.minor, table.tempi
        # Unknown tunings are set to A = 440 Hz, which is the most likely tuning.
        self._tunings = np.nan_to_num(table.tunings)
        self._positions = (SEMITONE * table.tonics.astype(np.int16) + tenths(self._tunings)) % OCTAVE
        self._complete = (table.tonics >= 0) & np.isfinite(table.tempi) & table.downbeats
        self._known = self._complete & (~table.doubtful | rules.doubtful_metre)
        self._whole: npt.NDArray[np.bool_] = (table.activity != LACKING).all(axis=1)
        self._known_vocals: npt.NDArray[np.bool_] = self._known & (table.activity_of(Role.VOCAL) != LACKING)
        self._active_vocals = _active(table, Role.VOCAL, rules)
        # A doubtful metre counts as unknown: such clips, if the options accept them, are aligned by beats alone.
        self._bars = np.where(table.doubtful | rules.mixed_metres, 0, table.bars).astype(np.int8)
        self._metres, metres = np.unique(self._bars, return_inverse=True)
        harmonic, percussion = (np.flatnonzero(self._known & _active(table, role, rules)) for role in BACKING)
        self._in_tune = bool((self._positions[harmonic] % SEMITONE == 0).all())
        self._groups = _Groups(len(self._metres), modes=(0, 1) if rules.same_mode else (0,))
        self._harmonic = _Sorted(harmonic, self._harmonic_groupings(metres.astype(np.int32)), table.tempi)
        self._percussion = _Sorted(percussion, [(metres.astype(np.uint16), range(len(self._metres)))], table.tempi)
        self._fitting: dict[tuple[int, int, int, Condition], tuple[int, ...]] = {}
        self._songs = _RowsOfSongs(table.songs)
        known_tempi = table.tempi[self._known]
        self._tempo_range = (float(known_tempi.min()), float(known_tempi.max())) if len(known_tempi) else (1.0, 1.0)

    def _harmonic_groupings(self, metres: npt.NDArray[np.int32]) -> list[tuple[npt.NDArray[np.uint16], range]]:
        """Return the group of each row by key and, if not all clips are in tune, its group by position too."""
        groups = self._groups
        positions = self._positions.astype(np.int32)
        modes = self._minor * np.int32(self.rules.same_mode)
        nearest = (positions + SEMITONE // 2) // SEMITONE % 12
        found = [(groups.key(metres, nearest, modes).astype(np.uint16), groups.of_keys)]
        if not self._in_tune:
            found.append((groups.position(metres, positions, modes).astype(np.uint16), groups.of_positions))
        return found

    def seeds(self, condition: Condition | str) -> Rows:
        """Return the rows whose vocal may be drawn: those that are eligible and have an active vocal.

        Raises
        ------
        UsageError
            If the condition is not one of the paper's.
        """
        condition = _known_condition(condition, known=_CONDITIONS)
        return np.flatnonzero(self._eligible(condition) & self._active_vocals)

    def is_eligible(self, row: int, condition: Condition) -> bool:
        """Return whether the row has a vocal and the facts that the condition needs: key, tempo and a downbeat.

        An original needs only all of its stems.
        """
        return bool(self._eligible(condition)[row])

    def _eligible(self, condition: Condition) -> npt.NDArray[np.bool_]:
        return self._whole if condition is Condition.ORIGINAL else self._known_vocals

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """For each row, whether key, tempo and a downbeat are known, and the metre is accepted."""
        return self._known

    def shift(self, seed: int, row: int) -> float:
        """Return the semitones, −6 to below 6, that shift the row's sounding pitch to the seed's key and tuning.

        They are whole semitones if the two clips are in tune with each other (:func:`mashkit.features.tuning.settled`).
        """
        return semitones_between(
            int(self._tonics[row]),
            float(self._tunings[row]),
            int(self._tonics[seed]),
            float(self._tunings[seed]),
        )

    def key_distance(self, seed: int, row: int) -> float:
        """Return the distance that the rules compare: :meth:`shift` to a tenth of a semitone, −6…5.9."""
        return distance(int(self._positions[row]), int(self._positions[seed]))

    def modes_fit(self, seed: int, row: int, condition: Condition) -> bool:
        """Return whether the condition accepts the row's mode for the seed's vocal."""
        return self.rules.modes_fit(bool(self._minor[row]), bool(self._minor[seed]), condition)

    def doubtful(self, row: int) -> bool:
        """Return whether a row is excluded from :attr:`known` only because its metre is doubtful."""
        return bool(self._complete[row] and not self._known[row])

    def left_out(self) -> int:
        """Return the number of rows that are excluded from :attr:`known` only because their metre is doubtful."""
        return int((self._complete & ~self._known).sum())

    def in_other_metres(self, seed: int, role: Role, condition: Condition) -> int:
        """Return the number of rows that only their metre keeps from being :meth:`candidates`."""
        fitting = self._fitting_metres(seed)
        others = [place for place in range(len(self._metres)) if place not in fitting]
        return len(self._found(seed, role, condition, others))

    def speed(self, seed: int, row: int) -> float:
        """Return the speed at which the row has the seed's tempo; with ``fold_tempo``, half or double of it."""
        return self.rules.speed(self.ratio(seed, row))

    def ratio(self, seed: int, row: int) -> float:
        """Return the seed's tempo / the row's tempo."""
        return float(self._tempi[seed]) / float(self._tempi[row])

    def candidates(self, seed: int, role: Role | str, condition: Condition | str) -> Candidates:
        """Return the rows whose stem of a role the condition accepts for the seed's vocal.

        Parameters
        ----------
        seed : int
            A row whose key, tempo and downbeats are known.
        role : Role
            HARMONIC or PERCUSSION.
        condition : Condition
            Any of the paper's conditions except *original*, which has no candidates.

        Raises
        ------
        UsageError
            If there is no such row, or the role or the condition has no candidates.
        StemError
            If there is no such role.
        """
        role, seed = as_role(role), require_whole("seed", seed)
        if role not in BACKING:
            raise UsageError(f"the role {role} has no candidates", f"give {' or '.join(BACKING)}")
        condition = _known_condition(condition, known=_DRAWN)
        if not 0 <= seed < len(self._tempi):
            raise UsageError(f"seed is {seed}", f"give a row from 0 to {len(self._tempi) - 1}")
        return self._found(seed, role, condition, self._fitting_metres(seed))

    def _found(self, seed: int, role: Role, condition: Condition, metres: Sequence[int]) -> Candidates:
        """Return the candidates of some classes of metres."""
        tempi, own_song = self._tempi_for(seed, condition), self._songs.of(seed)
        if role is Role.PERCUSSION:
            return self._percussion.find(metres, tempi, own_song)
        position, mode = int(self._positions[seed]), int(self._minor[seed])
        groups = [group for one in metres for group in self._groups_for(one, position, mode, condition)]
        return self._harmonic.find(groups, tempi, own_song)

    def chance_matches(self, seed: int, harmonic: int, percussion: int, condition: Condition) -> tuple[str, ...]:
        """Return the axes ("key", "tempo") in which stems of an unmatched condition fit the vocal by chance.

        These are the axes in which `strict` would not draw the stems, because the keys, or the tempi of a stem and the
        vocal, do not clash (:func:`mashkit.conditions.keys_clash`, :func:`mashkit.conditions.tempi_clash`). Under
        `strict` the result is empty.
        """
        ratios = (self.ratio(seed, row) for row in (harmonic, percussion))
        return axes_that_fit(condition, self.key_distance(seed, harmonic), ratios)

    def _groups_for(self, metre_class: int, position: int, mode: int, condition: Condition) -> tuple[int, ...]:
        """Return the groups of harmonic rows of a class of metres that fit a seed's position and mode.

        These are groups of keys, and groups of positions where only a part of a key fits.
        """
        asked = (metre_class, position, mode, condition)
        if asked not in self._fitting:
            self._fitting[asked] = tuple(self._fitting_groups(*asked))
        return self._fitting[asked]

    def _fitting_groups(self, metre_class: int, position: int, mode: int, condition: Condition) -> Iterator[int]:
        rules, groups = self.rules, self._groups
        modes = [one for one in groups.modes if rules.modes_fit(bool(one), bool(mode), condition)]
        for tonic in range(12):
            middle = SEMITONE * tonic
            around = range(middle, middle + 1) if self._in_tune else range(middle - 5, middle + 5)
            fitting = [at % OCTAVE for at in around if rules.key_fits(distance(at, position), condition)]
            if len(fitting) == len(around):
                yield from (groups.key(metre_class, tonic, one) for one in modes)
            else:
                yield from (groups.position(metre_class, at, one) for at in fitting for one in modes)

    def _fitting_metres(self, seed: int) -> list[int]:
        """Return the classes of metres whose bars can lie on the seed's bars."""
        return [place for place, one in enumerate(self._metres.tolist()) if metre.fit(int(self._bars[seed]), one)]

    def _tempi_for(self, seed: int, condition: Condition) -> Sequence[Interval]:
        tempo, rules = float(self._tempi[seed]), self.rules
        if condition not in TEMPO_FREE:
            if rules.fold_tempo:
                low, high = max(rules.min_speed, FOLDED[0]), min(rules.max_speed, FOLDED[1])
                return self._folded_tempi(tempo, low, high)
            return ((_least_tempo(tempo, rules.max_speed), _largest_tempo(tempo, rules.min_speed)),)
        if rules.mismatch == "literal":
            return _EVERY_TEMPO
        return _complement(self._folded_tempi(tempo, *_clash_bounds()))

    def _folded_tempi(self, tempo: float, low: float, high: float) -> list[Interval]:
        """Return the tempi whose folded speed lies from ``low`` to ``high``, ascending."""
        if low > high:
            return []
        slowest, fastest = self._tempo_range
        folds = range(math.frexp(tempo / fastest)[1] - 1, math.frexp(tempo / slowest)[1] + 1)
        return [
            (_least_tempo(tempo, high * 2.0**fold), _largest_tempo(tempo, low * 2.0**fold)) for fold in reversed(folds)
        ]


def _active(table: ClipTable, role: Role, rules: Rules) -> npt.NDArray[np.bool_]:
    """Return, for each row, whether it has a stem of a role that sounds for long enough to be drawn."""
    activity = table.activity_of(role)
    active: npt.NDArray[np.bool_] = (activity != LACKING) & (activity >= np.float32(rules.min_activity))
    return active


def _largest_tempo(tempo: float, speed: float) -> float:
    """Return the largest candidate tempo whose speed, as computed, is at least ``speed`` (bounds are inclusive)."""
    return _last(lambda own: tempo / own >= speed, tempo / speed, math.inf)


def _least_tempo(tempo: float, speed: float) -> float:
    """Return the least candidate tempo whose speed, as computed, is at most ``speed``."""
    return _last(lambda own: own > 0 and tempo / own <= speed, tempo / speed or math.nextafter(0.0, 1.0), 0.0)


@functools.cache
def _clash_bounds() -> Interval:
    """Return the least and the largest speed near 1 that do not clash, as computed."""
    least, largest = (_last(lambda speed: not tempi_clash(speed), LEAST_CLASH**sign, 1.0 + sign) for sign in (-1, 1))
    return least, largest


def _last(fits: Callable[[float], bool], near: float, towards: float) -> float:
    """Return the last number in a direction that fits; ``near`` is a few floating-point steps from it."""
    while not fits(near):
        near = math.nextafter(near, math.inf if towards < near else 0.0)
    while near != (further := math.nextafter(near, towards)) and fits(further):
        near = further
    return near


def _complement(intervals: Sequence[Interval]) -> list[Interval]:
    """Return the tempi outside the given intervals, which are ascending and do not overlap, as intervals."""
    found, above = [], 0.0
    for low, high in intervals:
        found.append((above, math.nextafter(low, 0.0)))
        above = math.nextafter(high, math.inf)
    return [*found, (above, math.inf)]


_indexes: weakref.WeakKeyDictionary[ClipTable, dict[Rules, CandidateIndex]] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def index_of(table: ClipTable, rules: Rules) -> CandidateIndex:
    """Return the index of a table. It is made only once for each table and rules, because it sorts all clips."""
    with _lock:
        indexes = _indexes.setdefault(table, {})
        if rules not in indexes:
            indexes[rules] = CandidateIndex(table, rules)
        return indexes[rules]
