"""The state of a running audition: candidates, decisions, scores and sounds, and what the page may do with them."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import attrs
import numpy as np

from mashkit.audition.candidates import Candidate, Pool, Sources, written_scores
from mashkit.audition.changes import changed, changes_of, described
from mashkit.audition.scoring import Scoring
from mashkit.audition.sounds import Sounds, Span, span_around
from mashkit.audition.store import Decision, Store
from mashkit.catalog import Catalog
from mashkit.errors import CatalogError, MashkitError, Unforeseen, contained
from mashkit.listen.answers import Refused
from mashkit.numbers import column_format
from mashkit.paths import path_text
from mashkit.pipeline import Kit
from mashkit.types import Clip, Finish, MashupPlan, Role, Score

BACKINGS = 12
"""Other backings that are offered for a vocal (ours): what fits a screen."""
DRAWN_FOR_BACKINGS = 3 * BACKINGS
"""Plans that are drawn for them, because some have the same stems or clips of another separator."""


class Session:
    """What a running audition works with; threads may share it.

    Parameters
    ----------
    pool : Pool
    store : Store
    sources : Sources
        Where clips and stems come from.
    kit : callable
        Returns a kit with its own components; with the name of a scorer, with that scorer.
    folder : Path, optional
        What `mashkit mash` wrote; None for an audition of a database.
    title : str
        What the page is called.
    """

    def __init__(
        self,
        pool: Pool,
        store: Store,
        sources: Sources,
        kit: Callable[[str | None], Kit],
        *,
        folder: Path | None = None,
        title: str = "",
    ) -> None:
        self.pool, self.store, self.sources = pool, store, sources
        self.folder, self.title = folder, title
        home = shlex.quote(path_text(store.path.parent))
        self.where = f"--db {home}" if folder is None else home
        self._kit = kit(None)
        self.sounds = Sounds(sources, self._kit.stretcher)
        self.scoring = Scoring(
            kit,
            cast("Catalog", sources),
            store,
            lambda: [one.plan for one in list(pool.candidates.values())],
        )
        self._made: dict[str, Candidate] = {}
        self._written: tuple[str, Mapping[str, Score]] = ("", {}) if folder is None else written_scores(folder)

    def close(self) -> None:
        """End the background work and close the store."""
        self.scoring.close()
        self.store.close()

    # ------------------------------------------------------------------------------------------------- listing
    def candidate(self, plan: object) -> Candidate:
        """Return the candidate, or changed candidate, of a plan's id; raises Refused if there is none."""
        found = (self.pool.candidates.get(plan) or self._made.get(plan)) if isinstance(plan, str) else None
        if found is None:
            raise Refused("missing", "there is no such candidate", 404)
        return found

    def clips_of(self, candidate: Candidate) -> Mapping[Role, Clip]:
        """Return the clips of a candidate's layers that are known, from its record or from a database."""
        if len(candidate.clips) == len(candidate.plan.layers):
            return candidate.clips
        return {**self.sources.clips_of(candidate.plan), **candidate.clips}

    def scores(self) -> dict[str, dict[str, Score]]:
        """Return all scores: scorer → plan's id → score."""
        name, written = self._written
        found = {name: dict(written)} if written else {}
        for scorer, scores in self.store.scores().items():
            found[scorer] = {**found.get(scorer, {}), **scores}
        return found

    def listing(self) -> dict[str, Any]:
        """Return what the page shows at first: all candidates, and the status."""
        return {
            "title": self.title,
            "where": self.where,
            "candidates": [self.row(one) for one in list(self.pool.candidates.values())],
            "broken": [attrs.asdict(one) for one in self.pool.broken],
            **self.status(),
        }

    def status(self) -> dict[str, Any]:
        """Return what may change while the page is open."""
        scores = {name: {plan: one.value for plan, one in of.items()} for name, of in self.scores().items()}
        return {
            **self.pulse(),
            "can_undo": self.store.can_undo(),
            "can_redo": self.store.can_redo(),
            "decisions": {plan: attrs.asdict(one) for plan, one in self.store.decisions().items()},
            "scores": scores,
            "formats": {name: column_format(of.values(), 3) for name, of in scores.items()},
            "stored_scorers": self.store.scorers(),
        }

    def pulse(self) -> dict[str, Any]:
        """Return the little that a page asks for every few seconds, to see whether something has changed."""
        return {
            "revision": self.store.revision(),
            "count": len(self.pool.candidates),
            "jobs": self.scoring.jobs(),
        }

    def row(self, candidate: Candidate) -> dict[str, Any]:
        """Return what the list shows of a candidate."""
        clips = self.clips_of(candidate)
        plan = candidate.plan
        return {
            "plan": candidate.id,
            "parent": candidate.parent,
            "condition": str(plan.condition),
            "duration_s": plan.duration_s,
            "folder": "" if candidate.folder is None else path_text(candidate.folder.name),
            "rendered": candidate.folder is not None,
            "layers": [described(plan.layer(role), clips.get(role)) for role in candidate.roles],
            "notes": list(plan.notes),
            "problem": candidate.problem,
        }

    def opened(self, candidate: Candidate) -> dict[str, Any]:
        """Return what :meth:`shown` does, and prepare for changes of the candidate in the background."""
        self.sounds.warm(candidate.plan)
        return self.shown(candidate)

    def shown(self, candidate: Candidate) -> dict[str, Any]:
        """Return what the page shows of a candidate that is open: its row, and where its beats sound."""
        clips = self.clips_of(candidate)
        beats = {
            str(role): {
                name: _sounding(candidate.plan, role, getattr(clip.analysis, name)) for name in ("beats", "downbeats")
            }
            for role, clip in clips.items()
        }
        missing = [layer.clip_id for layer in candidate.plan.layers if not self._has(layer.clip_id)]
        return {
            **self.row(candidate),
            "beats": beats,
            "fixed": f"clip {', '.join(missing)} is in no database that was opened" if missing else "",
        }

    def _has(self, clip_id: str) -> bool:
        try:
            self.sources.of(clip_id)
        except CatalogError:
            return False
        return True

    # ------------------------------------------------------------------------------------------------ changing
    def change(self, plan: object, given: object) -> Candidate:
        """Return the candidate that a change makes of another one; it is listed from its first decision on.

        A change that leaves the plan as it is returns the same candidate.
        """
        candidate = self.candidate(plan)
        changes = changes_of(given)
        made = changed(candidate.plan, changes, self.clips_of(candidate).get(Role.VOCAL))
        if made.id == candidate.id:
            return candidate
        return self._remember(Candidate(made, self.clips_of(candidate), parent=candidate.parent or candidate.id))

    def _remember(self, candidate: Candidate) -> Candidate:
        known = self.pool.candidates.get(candidate.id)
        return known or self._made.setdefault(candidate.id, candidate)

    def backings(self, plan: object) -> list[Candidate]:
        """Return candidates of the same vocal with other backing stems, mixed as the candidate is.

        Raises
        ------
        Refused
            If the vocal's clip is in no database, or nothing fits it.
        """
        candidate = self.candidate(plan)
        vocal = candidate.plan.layer(Role.VOCAL).clip_id
        try:
            catalog = cast("Catalog", self.sources.of(vocal))
            separator = catalog.record(vocal).separator
            condition = candidate.plan.condition
            drawn = self._kit.generate(catalog, condition=condition, count=DRAWN_FOR_BACKINGS, vocal=vocal)
        except MashkitError as error:
            raise Refused("backings", str(error)) from error
        # Otherwise a person who compares two of them compares the mixing, too.
        plain = Finish(plain=True).of(candidate.plan) == candidate.plan
        finish = Finish(plain=plain, duck_db=candidate.plan.mixing.duck_db)
        seen = {_stems(candidate.plan)}
        found: list[Candidate] = []
        for mashup in drawn:
            other = finish.of(mashup.plan)
            if _stems(other) in seen or len(found) == BACKINGS:
                continue
            if any(catalog.record(layer.clip_id).separator != separator for layer in other.layers):
                continue
            seen.add(_stems(other))
            made = Candidate(other, dict(mashup.clips), parent=candidate.parent or candidate.id)
            found.append(self._remember(made))
        if not found:
            raise Refused("backings", "no other backing in the database fits this vocal")
        return found

    # ------------------------------------------------------------------------------------------------- hearing
    def stem_file(self, candidate: Candidate, role: str) -> Path | None:
        """Return the rendered stem of a candidate, checked; None if it has to be rendered.

        A stem that is missing or broken is rendered again from the clips, if a database has them.
        """
        if role not in {str(one) for one in candidate.roles}:
            raise Refused("missing", "there is no such layer", 404)
        if candidate.folder is None:
            return None
        try:
            path = candidate.stem_file(Role(role))
            if path is not None:
                return path
        except MashkitError:
            pass
        if all(self._has(layer.clip_id) for layer in candidate.plan.layers):
            return None
        raise Refused(
            "broken",
            f"stems/{role}.flac of {path_text(candidate.folder.name)} is missing, broken or of another plan",
            503,
        )

    def sound(self, candidate: Candidate, role: str, at: float | None) -> tuple[bytes, Span]:
        """Return a layer as WAV, and which part of the mashup it is: around ``at``, or the whole if it is None.

        Raises
        ------
        Refused
            If it cannot be rendered; the reason names the clip.
        """
        plan = candidate.plan
        span = Span(0.0, plan.duration_s) if at is None else span_around(at, plan.duration_s)
        try:
            made = self.sounds.whole(plan) if at is None else self.sounds.part(plan, span)
        except Exception as error:
            raise Refused("broken", str(contained(error, f"plan {plan.id}", Unforeseen)), 503) from error
        return made[Role(role)], span

    # ------------------------------------------------------------------------------------------------ deciding
    def decide(self, operation: str, candidate: Candidate, change: Mapping[str, Any]) -> Decision:
        """Save a change of the decision on a candidate; see :meth:`Store.decide`."""
        data = attrs.evolve(candidate, clips=self.clips_of(candidate)).to_dict()
        decision = self.store.decide(operation, candidate.id, change, data=data)
        self.pool.add(candidate)
        return decision


def _stems(plan: MashupPlan) -> frozenset[tuple[Role, str]]:
    return frozenset((layer.role, layer.clip_id) for layer in plan.layers)


def _sounding(plan: MashupPlan, role: Role, times: Any) -> list[float]:
    """Return where moments of a layer's clip sound in the mashup, seconds, rounded to milliseconds."""
    if times is None:
        return []
    carried = plan.layer(role).to_mashup(times)
    inside = carried[(carried >= 0) & (carried < plan.duration_s)]
    return [float(one) for one in np.round(inside, 3)]


def scorers(kit: Kit) -> Sequence[dict[str, str]]:
    """Return the names and summaries of the scorers that are installed."""
    return [
        {"name": one.info.name, "summary": one.info.summary}
        for one in kit.registry.components("scorer")
        if one.availability().ok
    ]
