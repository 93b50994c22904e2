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
    sung = table.activity[:, list(Role).index(Role.VOCAL)]
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
    column = table.activity[:, list(Role).index(role)]
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


def _none_sounding(
    table: ClipTable,
    index: CandidateIndex,
    looked_at: npt.NDArray[np.intp],
    role: Role,
    condition: Condition,
    sounds: npt.NDArray[np.bool_],
) -> Cause:
    """Return the cause if none of the stems that sound enough fits any of these vocals."""
    known = index.known & sounds
    if not known.any():
        return _unknown(table, np.flatnonzero(sounds), f"clips with a {role} stem")
    pairs = apart_in_key = apart_in_tempo = 0
    shifts: list[int] = []
    ratios: list[float] = []
    for seed in looked_at.tolist():
        others = np.flatnonzero(known & (table.songs != table.songs[seed]))
        others = others[np.linspace(0, len(others) - 1, min(len(others), MOST_SEEDS)).astype(np.intp)]
        pairs += len(others)
        for row in others.tolist():
            shift, speed = whole_semitones(index.key_distance(seed, row)), index.speed(seed, row)
            in_key = role is Role.PERCUSSION or shift <= index.rules.max_shift
            in_tempo = index.rules.min_speed <= speed <= index.rules.max_speed
            apart_in_key += not in_key
            apart_in_tempo += not in_tempo
            if in_tempo:
                shifts.append(shift)
            if in_key:
                ratios.append(speed)
    if pairs == 0:
        return f"only the vocal's own song has a {role} stem with known key, tempo and downbeats", "add songs"
    if condition in KEY_FREE or condition in TEMPO_FREE:
        axes = [name for name, free in (("key", KEY_FREE), ("tempo", TEMPO_FREE)) if condition in free]
        return (
            f"of {pairs} pairs with another song's {role} stem, none differs enough in {' and '.join(axes)} and "
            "fits in the rest",
            f"add songs of other {' and '.join('keys' if axis == 'key' else 'tempi' for axis in axes)}, or use "
            "generator.mismatch=literal",
        )
    if role is Role.HARMONIC and (apart_in_key > apart_in_tempo or not ratios) and shifts:
        return (
            f"of {pairs} pairs {apart_in_key} lie more than {index.rules.max_shift} semitones apart, "
            f"{apart_in_tempo} too far in tempo",
            f"add songs in other keys, or widen max_shift (now {index.rules.max_shift}; {min(shifts)} would do)",
        )
    nearest = min(ratios, key=lambda ratio: abs(np.log(ratio)), default=None)
    would = "" if nearest is None else f"; {nearest:.2f} would do"
    return (
        f"of {pairs} pairs {apart_in_tempo} are too far apart in tempo"
        + (f", {apart_in_key} in key" if role is Role.HARMONIC else ""),
        f"add songs of other tempi, or widen min_speed/max_speed (now {index.rules.min_speed}–{index.rules.max_speed}"
        f"{would})",
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
