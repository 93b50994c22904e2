"""Compute statistics of a database: clips by key and tempo, and numbers of candidates that fit its vocals."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from mashkit.builtin.candidates import CandidateIndex
from mashkit.builtin.paper import PaperGenerator
from mashkit.catalog.database import MashupDB
from mashkit.catalog.schema import INDEX
from mashkit.cliptable import ClipTable
from mashkit.conditions import BACKING, UNMATCHED
from mashkit.rendering.output import environment
from mashkit.types import TONIC_NAMES, Condition, Role, key_facts

FORMAT = 1
TEMPO_STEP = 10
"""Width of a column of the key and tempo map, BPM."""
TEMPO_RANGE = (40, 240)
"""Range of the columns of the map, BPM; slower or faster clips count in the first or last column."""
MOST_SEEDS = 5_000
"""Largest number of vocals whose candidates are counted. Of more vocals, 5,000 are taken evenly, which gives shares an
error of 0.015 at most."""
MOST_NAMED = 50
"""Largest number of vocals without candidates that are named."""
DECADES = (1, 10, 100, 1_000, 10_000)
"""Lower bounds of the classes of candidate counts; the class below the first bound is that of no candidates."""

Counts = npt.NDArray[np.int64]


def statistics(database: MashupDB, generator: PaperGenerator | None = None) -> dict[str, Any]:
    """Return statistics of a database as plain data for JSON and for :func:`mashkit.report.collection.page`.

    Parameters
    ----------
    database : MashupDB
    generator : PaperGenerator, optional
        Generator whose options decide which clips are candidates; by default with the options of the paper.

    Returns
    -------
    dict
        "totals"; "protocols", "licences" (clips, songs, seconds of each); "labels", "edited", "unknown" (clips of
        each); "components"; "map" (clips by tonic of the relative major, mode and tempo); "activity" (clips by the
        share of time in which a role sounds); "candidates" (for each condition and role: quantiles of the number of
        candidates of a vocal, and vocals by number of candidates); "chance" (for each unmatched condition: the share of
        chance matches among the mashups of ``mismatch="literal"``).
    """
    table = database.table()
    return {
        "format": FORMAT,
        "totals": _totals(database),
        "protocols": _grouped(database, "protocol"),
        "licences": _grouped(database, "licence"),
        "labels": _named_counts(database, "SELECT label, count(*) FROM details WHERE label <> '' GROUP BY label"),
        "edited": _edited(database),
        "unknown": _unknown(table),
        "components": _components(database),
        "map": _map(table),
        "activity": _activity(table),
        **_fits(table, generator or PaperGenerator()),
        "environment": environment(),
    }


def _totals(database: MashupDB) -> dict[str, Any]:
    songs, songs_s = database.total_of_recordings()
    ((clips, clips_s),) = database.rows("SELECT count(*), coalesce(sum(duration_s), 0) FROM clips")
    ((files, size),) = database.rows("SELECT count(*), coalesce(sum(bytes), 0) FROM objects")
    ((failed,),) = database.rows("SELECT count(*) FROM failures")
    return {
        "songs": songs,
        "songs_s": songs_s,
        "clips": clips,
        "clips_s": clips_s,
        "files": files,
        "files_bytes": size,
        "index_bytes": (database.root / INDEX).stat().st_size,
        "failed_songs": failed,
        "same_recordings": len(database.same_recordings()),
    }


def _grouped(database: MashupDB, column: str) -> list[dict[str, Any]]:
    rows = database.rows(
        f"SELECT s.{column}, count(c.number), count(DISTINCT s.number), coalesce(sum(c.duration_s), 0)"  # noqa: S608 — a name of ours
        f" FROM songs s JOIN clips c ON c.song = s.number GROUP BY s.{column} ORDER BY 2 DESC, 1"
    )
    return [{"name": name, "clips": clips, "songs": songs, "clips_s": clips_s} for name, clips, songs, clips_s in rows]


def _named_counts(database: MashupDB, query: str) -> dict[str, int]:
    return dict(sorted(database.rows(query), key=lambda row: (-row[1], row[0])))


def _edited(database: MashupDB) -> dict[str, int]:
    found = Counter[str]()
    for (fields,) in database.rows("SELECT edited FROM details WHERE edited <> '[]'"):
        found.update(json.loads(fields))
    return dict(sorted(found.items()))


def _unknown(table: ClipTable) -> dict[str, int]:
    return {
        "key": int((table.tonics < 0).sum()),
        "tempo": int(np.isnan(table.tempi).sum()),
        "downbeats": int((~table.downbeats).sum()),
    }


def _components(database: MashupDB) -> list[dict[str, Any]]:
    rows = database.rows(
        "SELECT p.kind, p.description, count(*) FROM details d JOIN components p ON p.fingerprint = d.separator"
        " GROUP BY d.separator UNION ALL"
        " SELECT p.kind, p.description, count(*) FROM details d JOIN components p ON p.fingerprint = d.analyzer"
        " GROUP BY d.analyzer"
    )
    found = [{"kind": kind, "clips": clips, "description": json.loads(text)} for kind, text, clips in rows]
    return sorted(found, key=lambda one: (one["kind"] != "separator", -one["clips"], one["description"]["name"]))


def _map(table: ClipTable) -> dict[str, Any]:
    """Return numbers of clips by relative major, mode and tempo, without the clips whose key or tempo is unknown."""
    known = (table.tonics >= 0) & np.isfinite(table.tempi)
    low, high = TEMPO_RANGE
    columns = np.clip((table.tempi[known] - low) // TEMPO_STEP, 0, (high - low) // TEMPO_STEP - 1).astype(np.int64)
    first, last = (int(columns.min()), int(columns.max())) if len(columns) else (0, 0)
    counts = np.zeros((2, 12, last - first + 1), np.int64)
    np.add.at(counts, (table.minor[known].astype(np.int64), table.tonics[known], columns - first), 1)
    return {
        "tonics": list(TONIC_NAMES),
        "tempo_edges": [low + TEMPO_STEP * column for column in range(first, last + 2)],
        "major": counts[0].tolist(),
        "minor": counts[1].tolist(),
    }


def _activity(table: ClipTable) -> dict[str, Any]:
    edges = np.linspace(0, 1, 11)
    return {
        "edges": np.round(edges, 3).tolist(),
        **{str(role): np.histogram(table.activity[:, index], edges)[0].tolist() for index, role in enumerate(Role)},
    }


# ------------------------------------------------------------------------------------------------------- candidates
def _fits(table: ClipTable, generator: PaperGenerator) -> dict[str, Any]:
    strict, literal = (attrs.evolve(generator, mismatch=mismatch).index(table) for mismatch in ("strict", "literal"))
    index = strict if generator.mismatch == "strict" else literal
    seeds = index.seeds(Condition.MATCHED)
    looked_at = seeds[np.linspace(0, len(seeds) - 1, min(len(seeds), MOST_SEEDS)).astype(np.intp)]
    conditions = (Condition.MATCHED, *UNMATCHED)
    counts = {
        (condition, role): _count(index, looked_at, role, condition) for condition in conditions for role in BACKING
    }
    return {
        "candidates": {
            "vocals": len(seeds),
            "looked_at": len(looked_at),
            "options": generator.options(),
            "rows": [
                {"condition": str(condition), "role": str(role), **_spread(values)}
                for (condition, role), values in counts.items()
            ],
            **_without(table, looked_at, counts),
        },
        "chance": {str(condition): _chance(strict, literal, looked_at, condition) for condition in UNMATCHED},
    }


def _count(index: CandidateIndex, seeds: Sequence[int] | Counts, role: Role, condition: Condition) -> Counts:
    return np.array([len(index.candidates(int(seed), role, condition)) for seed in seeds], dtype=np.int64)


def _spread(values: Counts) -> dict[str, Any]:
    classes = np.searchsorted(DECADES, values, "right")
    quantiles = np.quantile(values, (0, 0.25, 0.5, 0.75, 1)).tolist() if len(values) else [None] * 5
    return {
        **dict(zip(("least", "quartile", "median", "upper_quartile", "most"), quantiles, strict=True)),
        "by_decade": np.bincount(classes, minlength=len(DECADES) + 1).tolist(),
    }


def _without(table: ClipTable, seeds: Counts, counts: Mapping[tuple[Condition, Role], Counts]) -> dict[str, Any]:
    """Return the vocals without a mashup of a condition, and their number."""
    found = []
    for condition in dict.fromkeys(condition for condition, _ in counts):
        lacking = [counts[condition, role] == 0 for role in BACKING]
        for place in np.flatnonzero(np.logical_or.reduce(lacking)).tolist():
            roles = [str(role) for role, none in zip(BACKING, lacking, strict=True) if none[place]]
            found.append((place, str(condition), roles))
    named = []
    for place, condition_name, roles in sorted(found)[:MOST_NAMED]:
        clip = table[int(seeds[place])]
        key = None if clip.analysis.key is None else str(clip.analysis.key)
        named.append({"id": clip.id, "title": clip.title, "key": key, **key_facts(clip.analysis.key),
                      "tempo": clip.analysis.tempo, "condition": condition_name, "lacks": roles})  # fmt: skip
    return {"without": named, "without_count": len(found)}


def _chance(strict: CandidateIndex, literal: CandidateIndex, seeds: Counts, condition: Condition) -> float | None:
    """Return the share of `literal` negatives that `strict` would not draw; None if no negative can be drawn.

    A vocal's strict candidates are a part of its literal candidates, and harmonic and percussion stem are drawn
    independently. The share of negatives that are strict in both is therefore the product of the two shares. The result
    is a mean over vocals, because all vocals are drawn equally often.
    """
    kept = np.ones(len(seeds))
    drawn = np.ones(len(seeds), np.bool_)
    for role in BACKING:
        of = _count(literal, seeds, role, condition)
        drawn &= of > 0
        kept *= _count(strict, seeds, role, condition) / np.maximum(of, 1)
    share = float(np.mean(1 - kept[drawn])) if drawn.any() else math.nan
    return None if math.isnan(share) else share
