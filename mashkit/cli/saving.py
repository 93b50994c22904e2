"""Save mashups one after the other, and make their page."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from mashkit.cli.collection import named_database
from mashkit.cli.console import say
from mashkit.errors import MashkitError, OutputError, Unforeseen, contained, said_of
from mashkit.hookspecs import StageEvent
from mashkit.paths import path_text
from mashkit.pipeline import Kit, Ranked
from mashkit.products import OutputSet
from mashkit.rendering.output import mashup_files, write_mashup
from mashkit.types import Role


def saved_files(count: int, *, clicks: bool) -> list[str]:
    """Return the files that a run with ``count`` mashups of all roles writes."""
    own = mashup_files(Role, clicks=clicks)
    return [f"mashup-{number}/{name}" for number in range(1, count + 1) for name in own]


@attrs.define
class Saved:
    """The results of saving mashups."""

    ranked: list[Ranked] = attrs.field(factory=list)
    records: list[dict[str, Any]] = attrs.field(factory=list)
    cards: list[str] = attrs.field(factory=list)
    failures: list[dict[str, str]] = attrs.field(factory=list)


def save_mashups(kit: Kit, best: Sequence[Ranked], output: OutputSet, *, clicks: bool) -> Saved:
    """Save each mashup and make its part of the page in turn, so that each is rendered once.

    A mashup that fails is listed, and the others go on.

    Raises
    ------
    OutputError
        If the folder cannot be written, or the disk is full, because the other mashups would fail too.
    MashkitError
        The first mashup's error, if no mashup could be saved.
    """
    from mashkit.report import card

    saved = Saved()
    errors: list[MashkitError] = []
    for done, ranked in enumerate(best, 1):
        folder = f"mashup-{ranked.rank}"
        event = StageEvent(
            stage="save", item=path_text(output.folder / folder), state="done", done=done, total=len(best)
        )

        def write(ranked: Ranked = ranked, folder: str = folder) -> None:
            record = write_mashup(ranked.mashup, output.staging / folder, clicks=clicks)
            saved.cards.append(card(ranked, best))
            saved.records.append(_saved_record(ranked, record, output.folder / folder))
            saved.ranked.append(ranked)

        error = failure_of(write, output.staging / folder)
        if error is not None:
            errors.append(error)
            saved.failures.append({"plan": ranked.mashup.plan.id, "error": str(error)})
            said = said_of(f"mashup {ranked.rank} (plan {ranked.mashup.plan.id})", error)
            event = attrs.evolve(event, state="failed", message=said)
        for note in [*ranked.mashup.plan.notes, *saved.records[-1]["notes"]] if error is None else ():
            say(f"mashup {ranked.rank}: {note}")
        kit.registry.plugins.hook.mashkit_stage(event=event)
    if errors and not saved.ranked:
        raise errors[0]
    return saved


def failure_of(write: Callable[[], None], folder: Path) -> MashkitError | None:
    """Write one mashup with ``write``; if that fails, remove ``folder`` and return the error.

    An OutputError (a full disk, a folder that cannot be written) is raised, because the other mashups would fail too.
    """
    try:
        write()
    except OutputError:
        raise
    except Exception as error:  # noqa: BLE001 — the error of one mashup is listed, and the others go on
        shutil.rmtree(folder, ignore_errors=True)
        return contained(error, "it could not be rendered", Unforeseen)
    return None


def _saved_record(ranked: Ranked, record: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    return {
        "rank": ranked.rank,
        "folder": path_text(folder),
        "score": ranked.score.to_dict(),
        **{name: record[name] for name in ("plan", "gain_db", "limited_db", "notes", "key_distance", "licences")},
        "titles": {str(role): clip.title for role, clip in ranked.mashup.clips.items()},
    }


def page_of(
    saved: Saved,
    failures: Sequence[Mapping[str, str]],
    notes: Sequence[str],
    components: Mapping[str, Mapping[str, Any]],
    arguments: argparse.Namespace,
) -> str:
    """Return the page that plays the saved mashups.

    Parameters
    ----------
    saved : Saved
    failures : sequence of mapping
        Songs and plans that could not be used, each with the error.
    notes : sequence of str
        All notes of the run.
    components : mapping of str to mapping
        Kind → the description of the component of the run; those that made the clips are on the page in any case.
    arguments : Namespace
    """
    from mashkit.report import page

    folders = arguments.songs or [named_database(arguments.db)]
    return page(
        saved.ranked,
        title=f"Mashups of {', '.join(path_text(path.name or path) for path in folders)}",
        failures=[(one.get("path") or f"plan {one['plan']}", one["error"]) for one in failures],
        notes=notes,
        components=components,
        shown=saved.cards,
    )
