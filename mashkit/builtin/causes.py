"""Explain why a run has no mashup: count the reasons, and name the most frequent reason together with a fix.

Conventions: a row is a clip's number in the table.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import attrs
import numpy as np
import numpy.typing as npt

from mashkit.builtin.candidates import CandidateIndex
from mashkit.cliptable import LACKING, ClipTable
from mashkit.conditions import KEY_FREE, TEMPO_FREE, whole_semitones
from mashkit.types import Condition, Role

MOST_SEEDS = 200
"""Largest number of vocals that are examined, and of clips for each of them. Of more, 200 are taken evenly."""

Cause = tuple[str, str]
"""The reason why there is no mashup, and the fix."""


def facts_missing(table: ClipTable, rows: npt.NDArray[np.intp]) -> Counter[str]:
    """Count how many of these clips lack "key", "tempo" or "downbeats", which all but originals need."""
    return Counter({
        "key": int(np.count_nonzero(table.tonics[rows] < 0)),
        "tempo": int(np.count_nonzero(~np.isfinite(table.tempi[rows]))),
        "downbeats": int(np.count_nonzero(~table.downbeats[rows])),
    })  # fmt: skip


def no_vocal(table: ClipTable, condition: Condition, min_activity: float) -> Cause:
    """Return the cause if no clip's vocal can be drawn."""
    every = np.arange(len(table))
    if len(every) == 0:
        return "there is no clip", "add songs"
    sung = table.activity_of(Role.VOCAL)
    silent = sung < np.float32(min_activity)
    if silent.all():
        return (
            f"no clip has a vocal that sounds {min_activity:.0%} of the time or more (most: {max(sung.max(), 0):.0%})",
            "add songs with singing, or lower generator.min_activity",
        )
    if condition is Condition.ORIGINAL:
        return (
            "the clips with a vocal lack harmony or percussion",
            "add whole songs, because an original mashup is a whole song",
        )
    return _unknown(table, np.flatnonzero(~silent), "clips with a vocal")


def named_vocal(table: ClipTable, row: int) -> Cause:
    """Return the cause if the requested clip's vocal cannot be used."""
    clip = table[row]
    if Role.VOCAL in clip.lacks:
        return f"{clip.title} ({clip.id}) has no vocal", "use another clip"
    missing = [name for name, count in facts_missing(table, np.array([row])).items() if count]
    if not missing:
        return (
            f"{clip.title} ({clip.id}) lacks {' and '.join(sorted(clip.lacks))}",
            "an original mashup is a whole song: use another clip or another condition",
        )
    options = {"key": "--vocal-key", "tempo": "--vocal-bpm", "downbeats": "--vocal-downbeat"}
    alone = clip.lacks >= {Role.HARMONIC, Role.PERCUSSION}
    reason = ": they cannot be found from a voice alone" if alone else ""
    fix = (
        f"give {', '.join(options[name] for name in missing)} with --vocal FILE, or, in a database, `mashkit db edit`"
        if alone
        else _analyzers(missing[-1])
    )
    return f"the {', '.join(missing)} of {clip.title} ({clip.id}) are not known{reason}", fix


def no_stem(
    table: ClipTable,
    index: CandidateIndex,
    seeds: Sequence[int] | npt.NDArray[np.intp],
    role: Role,
    condition: Condition,
) -> Cause:
    """Return the cause if no clip's stem of a role fits any of these vocals."""
    column = table.activity_of(role)
    if len(np.unique(table.songs)) == 1:
        return "all clips are of one song", "add another song"
    sounds = column >= np.float32(index.rules.min_activity)
    if not sounds.any():
        return (
            f"no clip has a {role} stem that sounds {index.rules.min_activity:.0%} of the time or more",
            f"add songs with {'drums' if role is Role.PERCUSSION else 'harmony'}, or lower generator.min_activity",
        )
    looked_at = np.asarray(seeds)[np.linspace(0, len(seeds) - 1, min(len(seeds), MOST_SEEDS)).astype(np.intp)]
    problem, fix = _none_sounding(table, index, looked_at, role, condition, sounds)
    known = index.known & (column != LACKING)
    quiet = known & ~sounds
    if not quiet.any():
        return problem, fix
    left_out = (
        f"left out because they sound for less than {index.rules.min_activity:.0%} of the time: "
        f"{np.count_nonzero(quiet)} of {np.count_nonzero(known)} {role} stems"
    )
    every = CandidateIndex(table, attrs.evolve(index.rules, min_activity=0.0))
    fitting = np.unique(np.concatenate([every.candidates(seed, role, condition).rows() for seed in looked_at.tolist()]))
    fitting = fitting[quiet[fitting]]
    if len(fitting) == 0:
        return f"{problem}; {left_out}", f"{fix}, or lower generator.min_activity"
    would = math.floor(100 * column[fitting].max()) / 100
    lower = f"lower generator.min_activity (now {index.rules.min_activity:g}; {would:g} would do)"
    return f"{problem}; {left_out}, of which {len(fitting)} would fit", f"{lower}, or {fix}"


@attrs.define
class _Pairs:
    """Counts of the pairs of a vocal and another song's stem, and what pairs would need to fit.

    Attributes
    ----------
    count : int
    in_other_mode : int
        Pairs whose modes do not fit. The other counts and lists are of the rest.
    only_in_mode : int
        Those of them that fit in key and tempo.
    apart_in_key, apart_in_tempo : int
    shifts : list of int
        Distances of the keys of pairs that fit in tempo, whole semitones.
    speeds : list of float
        Speeds of pairs that fit in key.
    """

    count: int = 0
    in_other_mode: int = 0
    only_in_mode: int = 0
    apart_in_key: int = 0
    apart_in_tempo: int = 0
    shifts: list[int] = attrs.field(factory=list)
    speeds: list[float] = attrs.field(factory=list)


def _compare_pairs(
    table: ClipTable,
    index: CandidateIndex,
    looked_at: npt.NDArray[np.intp],
    role: Role,
    condition: Condition,
    known: npt.NDArray[np.bool_],
) -> _Pairs:
    """Compare each of these vocals with the known stems of other songs, or with some of them if there are many."""
    pairs, rules, drums = _Pairs(), index.rules, role is Role.PERCUSSION
    for seed in looked_at.tolist():
        others = np.flatnonzero(known & (table.songs != table.songs[seed]))
        others = others[np.linspace(0, len(others) - 1, min(len(others), MOST_SEEDS)).astype(np.intp)]
        pairs.count += len(others)
        for row in others.tolist():
            distance = index.key_distance(seed, row)
            in_key = drums or rules.key_fits(distance, condition)
            in_tempo = rules.tempo_fits(index.ratio(seed, row), condition)
            if not (drums or index.modes_fit(seed, row, condition)):
                pairs.in_other_mode += 1
                pairs.only_in_mode += in_key and in_tempo
                continue
            pairs.apart_in_key += not in_key
            pairs.apart_in_tempo += not in_tempo
            if in_tempo:
                pairs.shifts.append(whole_semitones(distance))
            if in_key:
                pairs.speeds.append(index.speed(seed, row))
    return pairs


def _none_sounding(
    table: ClipTable,
    index: CandidateIndex,
    looked_at: npt.NDArray[np.intp],
    role: Role,
    condition: Condition,
    sounds: npt.NDArray[np.bool_],
) -> Cause:
    """Return the cause if none of the stems that sound enough fits any of these vocals."""
    known, rules = index.known & sounds, index.rules
    if not known.any():
        return _unknown(table, np.flatnonzero(sounds), f"clips with a {role} stem")
    pairs = _compare_pairs(table, index, looked_at, role, condition, known)
    if pairs.count == 0:
        return f"only the vocal's own song has a {role} stem with known key, tempo and downbeats", "add songs"
    if pairs.only_in_mode or pairs.in_other_mode == pairs.count:
        fix = ", or use generator.same_mode=false" if pairs.only_in_mode else ""
        return (
            f"of {pairs.count} pairs {pairs.in_other_mode} are in another mode, and {pairs.only_in_mode} of these fit "
            "in the rest",
            f"add songs in the vocal's mode{fix}",
        )
    if condition in KEY_FREE or condition in TEMPO_FREE:
        axes = [name for name, free in (("key", KEY_FREE), ("tempo", TEMPO_FREE)) if condition in free]
        return (
            f"of {pairs.count} pairs with another song's {role} stem, none differs enough in {' and '.join(axes)} and "
            "fits in the rest",
            f"add songs of other {' and '.join('keys' if axis == 'key' else 'tempi' for axis in axes)}, or use "
            "generator.mismatch=literal",
        )
    modes = f", {pairs.in_other_mode} are in another mode" if pairs.in_other_mode else ""
    if role is Role.HARMONIC and (pairs.apart_in_key > pairs.apart_in_tempo or not pairs.speeds) and pairs.shifts:
        return (
            f"of {pairs.count} pairs {pairs.apart_in_key} lie more than {rules.max_shift} semitones apart, "
            f"{pairs.apart_in_tempo} too far in tempo{modes}",
            f"add songs in other keys, or widen max_shift (now {rules.max_shift}; {min(pairs.shifts)} would do)",
        )
    nearest = min(pairs.speeds, key=lambda speed: abs(np.log(speed)), default=None)
    would = "" if nearest is None else f"; {nearest:.2f} would do"
    return (
        f"of {pairs.count} pairs {pairs.apart_in_tempo} are too far apart in tempo"
        + (f", {pairs.apart_in_key} in key" if role is Role.HARMONIC else "")
        + modes,
        f"add songs of other tempi, or widen min_speed/max_speed (now {rules.min_speed}–{rules.max_speed}{would})",
    )


_LENGTH_OPTION = "--clip-length, in Python ExcerptPolicy(length_s=…)"


def wrong_length(lengths: Sequence[float], shortest_s: float, longest_s: float) -> Cause:
    """Return the cause if all mashups have refused lengths; ``lengths`` are some of these, seconds."""
    short = [length for length in lengths if length < shortest_s]
    if 2 * len(short) >= len(lengths):
        return (
            f"they overlap for {max(short, default=0.0):.1f} s at most, but a mashup needs {shortest_s:g} s",
            f"use longer clips ({_LENGTH_OPTION}), or lower generator.min_duration_s (now {shortest_s:g})",
        )
    return (
        f"they overlap for {min(lengths):.1f} s at least, but a mashup may last {longest_s:g} s",
        f"use shorter clips ({_LENGTH_OPTION}), or raise generator.max_duration_s (now {longest_s:g})",
    )


def _unknown(table: ClipTable, rows: npt.NDArray[np.intp], who: str) -> Cause:
    """Return the cause if each of these clips lacks a fact, or its metre is doubtful.

    The fix is for the fact that most clips lack.
    """
    missing = [(name, count) for name, count in facts_missing(table, rows).most_common() if count]
    if not missing:
        return f"the metre of all {len(rows)} {who} is doubtful", "add songs whose bars are clear"
    told = ", ".join(f"no {name} in {count}" for name, count in missing)
    complete = sum(not any(facts_missing(table, row).values()) for row in rows[:, None])
    if complete:
        return f"of {len(rows)} {who} none can be used: {told}, doubtful bars in {complete}", _analyzers(missing[0][0])
    return f"of {len(rows)} {who} none has key, tempo and downbeats: {told}", _analyzers(missing[0][0])


def _analyzers(field: str) -> str:
    """Return the fix for a missing fact: the analyzers that find it."""
    from mashkit.registry import Registry  # imported here because it searches all installed packages, which is slow

    names = [one.info.name for one in Registry().components() if one.kind == "analyzer" and field in one.info.provides]
    found = " or ".join(sorted(names))
    return (
        f"use an analyzer that finds {field}" + (f": --analyzer {found}" if found else "; see `mashkit plugins`")
        + f"; or set it with `mashkit db edit CLIP --{'downbeat' if field == 'downbeats' else field}`"
    )  # fmt: skip
