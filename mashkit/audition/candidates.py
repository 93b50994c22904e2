"""Read the candidates of an audition: what `mashkit mash` wrote into a folder, or plans drawn from a database."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from mashkit.audio.files import load
from mashkit.audition.store import Store
from mashkit.errors import AudioFileError, CatalogError, MashkitError, UsageError
from mashkit.mashup import ClipSource
from mashkit.paths import path_text
from mashkit.rendering.output import PLAN
from mashkit.types import Audio, Clip, MashupPlan, Role, Score

SCORES = "scores.json"


@attrs.frozen(eq=False)
class Candidate:
    """A mashup that a person may judge.

    Parameters
    ----------
    plan : MashupPlan
    clips : mapping of Role to Clip
        The clips of the plan's layers that are known, by role.
    folder : Path, optional
        The folder with the rendered mix and stems; None if the candidate has to be rendered.
    parent : str
        Id of the plan from which a person made this one; empty for a plan that a generator drew.
    problem : str
        Why the candidate cannot be played; empty if nothing is known to be wrong.
    """

    plan: MashupPlan
    clips: Mapping[Role, Clip]
    folder: Path | None = None
    parent: str = ""
    problem: str = ""

    @property
    def id(self) -> str:
        """The plan's id."""
        return self.plan.id

    @property
    def roles(self) -> tuple[Role, ...]:
        """The roles of its layers, vocal first."""
        return self.plan.roles

    def stem_file(self, role: Role) -> Path | None:
        """Return the file of a rendered stem; None if the candidate has no rendered stems.

        Raises
        ------
        CatalogError
            If the file is missing or broken, or the folder's plan is another one now: edited, or of a later run.
        """
        if self.folder is None:
            return None
        if _plan_id(self.folder) != self.plan.id:
            raise CatalogError(
                f"the stems of {path_text(self.folder)} are not of plan {self.plan.id}",
                "render it again: mashkit render",
            )
        return whole(self.folder / "stems" / f"{role}.flac")

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that :meth:`from_dict` reads; the folder is left out, because it belongs to one machine."""
        return {
            "plan": self.plan.to_dict(),
            "clips": {str(role): clip.to_dict() for role, clip in self.clips.items()},
            "parent": self.parent,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], *, folder: Path | None = None) -> Candidate:
        """Return the candidate of :meth:`to_dict`, or of a plan.json of `mashkit mash`.

        Clips that cannot be read are left out, because an older mashkit described clips in another way; and clips that
        the plan does not have, because somebody may have edited it.

        Raises
        ------
        PlanError
            If the data contains no plan.
        """
        plan = MashupPlan.from_dict(data)
        clips: dict[Role, Clip] = {}
        used = {(layer.role, layer.clip_id) for layer in plan.layers}
        given = data.get("clips")
        for role, clip in (given if isinstance(given, Mapping) else {}).items():
            try:
                found = Clip.from_dict(clip)
                if (Role(role), found.id) in used:
                    clips[Role(role)] = found
            except (MashkitError, LookupError, TypeError, ValueError, AttributeError):
                continue
        return cls(plan, clips, folder, str(data.get("parent", "")))


def whole(path: Path) -> Path:
    """Return the path of a rendered sound; raises CatalogError if it is missing, cut short or no sound."""
    again = "render the plan again: mashkit render"
    if not path.is_file():
        raise CatalogError(f"{path_text(path)} is missing", again)
    try:
        load(path)  # because the header of a FLAC that is cut short is in order
    except AudioFileError as error:
        raise CatalogError(error.problem, again) from error
    return path


def _plan_id(folder: Path) -> str | None:
    """Return the id of the plan that was rendered into a folder; None if it cannot be read."""
    try:
        data = json.loads((folder / PLAN).read_text(encoding="utf-8"))
        recorded = data["plan"].get("id")
        return str(recorded) if recorded is not None else MashupPlan.from_dict(data).id
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError, MashkitError):
        return None


@attrs.frozen
class Broken:
    """A folder whose plan cannot be read.

    Parameters
    ----------
    name : str
        Name of the folder.
    problem : str
    """

    name: str
    problem: str


class Sources:
    """Several sources of clips in one: each clip comes from the first source that has it (a ``ClipSource``).

    Parameters
    ----------
    sources : sequence of ClipSource
    """

    def __init__(self, sources: Sequence[ClipSource]) -> None:
        self.sources = sources

    def of(self, clip_id: str) -> ClipSource:
        """Return the source that has a clip.

        Raises
        ------
        CatalogError
            If no source has it.
        """
        for source in self.sources:
            try:
                source.clip(clip_id)
            except CatalogError:
                continue
            return source
        raise CatalogError(
            f"clip {clip_id} is in no database that was opened", "name the database of the clips: --db or --cache"
        )

    def clip(self, clip_id: str) -> Clip:
        """Return the clip; raises CatalogError as :meth:`of` does."""
        return self.of(clip_id).clip(clip_id)

    def stem(self, clip_id: str, role: Role) -> Audio:
        """Return the clip's stem for ``role``; raises CatalogError as :meth:`of` does."""
        return self.of(clip_id).stem(clip_id, role)

    def provenance(self, clip_ids: Iterable[str]) -> Sequence[Mapping[str, Any]]:
        """Return the components that made the stems and analyses of these clips."""
        found: dict[str, Mapping[str, Any]] = {}
        for clip_id in clip_ids:
            for one in self.of(clip_id).provenance([clip_id]):
                found.setdefault(json.dumps(one, sort_keys=True, default=str), one)
        return list(found.values())

    def clips_of(self, plan: MashupPlan) -> dict[Role, Clip]:
        """Return the plan's clips that a source has, by role."""
        found = {}
        for layer in plan.layers:
            try:
                found[layer.role] = self.clip(layer.clip_id)
            except CatalogError:
                continue
        return found


@attrs.define
class Pool:
    """All candidates of an audition.

    Attributes
    ----------
    candidates : dict of str to Candidate
        By the plan's id, in the order in which they are listed first.
    broken : list of Broken
        Folders that contain no readable plan.
    """

    candidates: dict[str, Candidate] = attrs.field(factory=dict)
    broken: list[Broken] = attrs.field(factory=list)

    def add(self, candidate: Candidate) -> Candidate:
        """Add a candidate unless its plan is here already; return the candidate of the plan."""
        return self.candidates.setdefault(candidate.id, candidate)


def read_output(folder: Path) -> Pool:
    """Return the candidates in a folder that `mashkit mash`, `mashkit render` or ``Mashup.save`` wrote.

    Raises
    ------
    UsageError
        If the folder does not exist.
    CatalogError
        If it contains no plan.
    """
    if not folder.is_dir():
        raise UsageError(f"{path_text(folder)} is no folder", "name the folder of `mashkit mash -o`")
    pool = Pool()
    files = sorted([*folder.glob(f"*/{PLAN}"), *folder.glob(PLAN)], key=_number)
    for path in files:
        if path.parent != folder and path.parent.name.startswith("."):  # of a run that was killed
            continue
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            pool.add(Candidate.from_dict(data, folder=path.parent))
        except (OSError, ValueError, RecursionError) as error:
            pool.broken.append(Broken(path.parent.name, f"{path_text(path)} cannot be read: {error}"))
        except MashkitError as error:
            pool.broken.append(Broken(path.parent.name, f"{path_text(path)}: {error}"))
    if not pool.candidates:
        reasons = "; ".join(one.problem for one in pool.broken) or "it contains no plan.json"
        raise CatalogError(
            f"{path_text(folder)} has no mashup to play: {reasons}", "make some: mashkit mash SONGS -o FOLDER"
        )
    return pool


def _number(path: Path) -> tuple[int, str]:
    """Sort mashup-10 after mashup-9."""
    digits = path.parent.name.rpartition("-")[2]
    return (int(digits) if digits.isascii() and digits.isdigit() else 0, path.parent.name)


def add_stored(pool: Pool, store: Store) -> None:
    """Add the candidates of earlier sessions that were judged or changed."""
    for data in store.candidates():
        try:
            pool.add(Candidate.from_dict(data))
        except MashkitError as error:
            pool.broken.append(Broken("audition.sqlite", str(error)))


def written_scores(folder: Path) -> tuple[str, dict[str, Score]]:
    """Return the scorer of the run that wrote a folder, and its scores by the plan's id; ("", {}) if there are none."""
    try:
        data = json.loads((folder / SCORES).read_text(encoding="utf-8"))
        name = data["components"]["scorer"]["name"]
        scores = {
            MashupPlan.from_dict(one["plan"]).id: Score(**one["score"])
            for one in data["mashups"]
            if isinstance(one.get("score"), dict)
        }
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError, MashkitError):
        return "", {}  # `mashkit render` writes no scores, and an older mashkit wrote them in another form
    return str(name), scores
