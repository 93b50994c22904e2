"""Export an audition: what was kept as sound and plans, all decisions as a table, and preferences to train a scorer."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import attrs

from mashkit.atomicfile import write_text
from mashkit.audition.candidates import Candidate, Pool, whole
from mashkit.audition.store import Decision, Store
from mashkit.errors import CatalogError, MashkitError, OutputError, Unforeseen, contained
from mashkit.mashup import Mashup
from mashkit.pages.exports import csv_text, one_line
from mashkit.preferences import Preference
from mashkit.products import OutputSet
from mashkit.rendering.output import MIX, PLAN, write_mashup
from mashkit.types import MashupPlan, Role, Score

TABLE, PREFERENCES = "decisions.csv", "preferences.jsonl"
MOST_OPPONENTS = 20
"""Most worse candidates that one candidate is compared with (ours): the pairs of a thousand decisions would otherwise
be half a million, and tell little more."""

Scores = Mapping[str, Mapping[str, Score]]


def judged(store: Store) -> list[tuple[Candidate, Decision]]:
    """Return the candidates that have a decision, in the order of their first decision."""
    decisions = store.decisions()
    found = []
    for data in store.candidates():
        try:
            candidate = Candidate.from_dict(data)
        except MashkitError:  # the page lists it among the broken ones
            continue
        decision = decisions.get(candidate.id, Decision())
        if decision.verdict or decision.stars or decision.note:
            found.append((candidate, decision))
    return found


def table(store: Store, scores: Scores) -> str:
    """Return all decisions as CSV, one row a candidate."""
    names = sorted(scores)
    rows: list[list[object]] = []
    head = ["plan", "verdict", "stars", "note", "when", "changed_from", *Role, "seconds", *names]
    for candidate, decision in judged(store):
        titles = [candidate.clips[role].title if role in candidate.clips else "" for role in Role]
        values = [scores[name][candidate.id].value if candidate.id in scores[name] else "" for name in names]
        rows.append([
            candidate.id, decision.verdict, decision.stars or "", decision.note, decision.at, candidate.parent,
            *titles, round(candidate.plan.duration_s, 3), *values,
        ])  # fmt: skip
    return csv_text(head, rows)


def preferences(store: Store, _: Scores | None = None) -> str:
    """Return the preferences that follow from the decisions (:mod:`mashkit.preferences`), one JSON object a line.

    Their strength is 1 for a kept candidate over a rejected one, else the difference of the stars; "when" is the later
    decision. Each candidate is compared with at most :data:`MOST_OPPONENTS` worse ones, those of the same vocal first,
    then the latest.
    """
    return "".join(f"{json.dumps(one.to_dict(), sort_keys=True)}\n" for one in _pairs(store))


def _pairs(store: Store) -> Iterator[Preference]:
    all_ = judged(store)
    for better, decision in all_:
        others = [(other, of) for other, of in all_ if other.plan.id != better.plan.id]
        worse = [(strength, other, of) for other, of in others if (strength := _strength(decision, of)) > 0]
        worse.sort(key=lambda one: one[2].at, reverse=True)
        worse.sort(key=lambda one: _vocal(one[1]) != _vocal(better))
        for strength, other, of in worse[:MOST_OPPONENTS]:
            yield Preference(
                better=better.plan,
                worse=other.plan,
                strength=strength,
                source="audition",
                rater="owner",
                song=one_line(_vocal(better)),
                worse_song=one_line(_vocal(other)),
                when=max(decision.at, of.at),
            )


def _strength(one: Decision, other: Decision) -> int:
    """Return by how much one decision is better than the other; 0 if it is not."""
    if one.verdict == "keep" and other.verdict == "reject":
        return 1
    if one.verdict == "reject" and other.verdict == "keep":
        return 0
    return max(one.stars - other.stars, 0) if one.stars and other.stars else 0


def _vocal(candidate: Candidate) -> str:
    clip = candidate.clips.get(Role.VOCAL)
    return candidate.plan.layer(Role.VOCAL).clip_id if clip is None else clip.song


FILES: Mapping[str, Callable[[Store, Scores], str]] = {TABLE: table, PREFERENCES: preferences}
"""Name → what makes the text of the file."""


@attrs.define
class Exported:
    """What an export wrote.

    Attributes
    ----------
    folders : list of Path
        One for each kept candidate.
    failures : list of dict
        "plan" and "error" of the kept candidates that could not be written.
    notes : list of dict
        "plan" and "note": the remarks on those that were rendered (:func:`mashkit.rendering.output.remarks`).
    """

    folders: list[Path] = attrs.field(factory=list)
    failures: list[dict[str, str]] = attrs.field(factory=list)
    notes: list[dict[str, str]] = attrs.field(factory=list)


def write(
    store: Store, pool: Pool, scores: Scores, folder: Path, *, mashup: Callable[[MashupPlan], Mashup]
) -> Exported:
    """Write what was kept into a folder: mix, stems and plan of each, the table and the preferences.

    Files that are rendered already are copied, the others are rendered. A candidate that fails is listed, and the
    others go on; what an earlier export wrote for it stays.

    Parameters
    ----------
    store : Store
    pool : Pool
        The candidates, to find rendered files.
    scores : mapping
        Scorer → plan's id → score.
    folder : Path
    mashup : callable
        Returns the mashup of a plan, to render it.

    Raises
    ------
    OutputError
        If the folder cannot be written.
    """
    done = Exported()
    kept = [candidate for candidate, decision in judged(store) if decision.verdict == "keep"]
    with OutputSet(folder, made_of="mashkit audition export", names=[TABLE, PREFERENCES]) as output:
        for candidate in kept:
            target = output.staging / candidate.id
            try:
                said = _write_one(pool.candidates.get(candidate.id, candidate), target, mashup)
                done.folders.append(folder / candidate.id)
                done.notes += [{"plan": candidate.id, "note": note} for note in said]
            except OutputError:
                raise
            except Exception as error:  # noqa: BLE001 — the error of one candidate is listed, and the others go on
                _remove(target)
                failed = contained(error, f"plan {candidate.id}", Unforeseen)
                stays = "; the files of an earlier export stay" if output.keep(candidate.id) else ""
                done.failures.append({"plan": candidate.id, "error": f"{failed}{stays}"})
        for name, text in FILES.items():
            write_text(output.staging / name, text(store, scores))
    return done


def _write_one(candidate: Candidate, target: Path, mashup: Callable[[MashupPlan], Mashup]) -> list[str]:
    """Write the files of a candidate; return the remarks on it if it is rendered."""
    if candidate.folder is not None:
        try:
            _copy(candidate, candidate.folder, target)
        except (CatalogError, OSError):
            _remove(target)  # a file is missing or broken, so all are rendered
        else:
            return []
    notes: list[str] = write_mashup(mashup(candidate.plan), target)["notes"]
    return notes


def _copy(candidate: Candidate, folder: Path, target: Path) -> None:
    files = {Path(MIX): whole(folder / MIX), Path(PLAN): folder / PLAN}
    for role in candidate.roles:
        path = candidate.stem_file(role)
        if path is not None:
            files[Path("stems") / path.name] = path
    for name, path in files.items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target / name)


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
