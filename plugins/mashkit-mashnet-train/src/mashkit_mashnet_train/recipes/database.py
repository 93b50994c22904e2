"""The recipe "database": features of the clips of any MashupDB."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from mashkit.atomicfile import require_writable_folder, writing_alone
from mashkit.catalog import Catalog
from mashkit.catalog.database import MashupDB
from mashkit.errors import MashkitError
from mashkit.types import Clip, Role
from mashkit_mashnet.stem_features import StemFeatures
from mashkit_mashnet_train.store import LICENCES, Record, Store, StoreError, StoreWriter


def from_database(
    folder: Path,
    database: Path,
    *,
    progress: Callable[[str, int, int], None] = lambda clip, done, total: None,
    failed: Callable[[str], None] = lambda message: None,
) -> Store:
    """Make a store of a database's clips; clips that an interrupted run has made already are kept.

    A clip whose analysis or title was corrected since is made again.

    Parameters
    ----------
    folder : Path
        Folder of the store.
    database : Path
        Folder of the MashupDB.
    progress : callable
        Called with (clip, done, total) after each clip, also one that is left out.
    failed : callable
        Called with the reason when a clip is left out; the run goes on with the next clip.

    Raises
    ------
    CatalogError
        If the database does not exist.
    StoreError
        If no clip could be used, or if ``folder`` holds other clips.
    OutputError
        If the folder cannot be written to, or another run is writing into it.
    """
    with MashupDB(database, write=False) as opened:
        catalog = Catalog(opened)
        clips = check(folder, catalog, database)
        with writing_alone(require_writable_folder(folder)):
            writer = StoreWriter(folder, _source(catalog))
            writer.keep({clip.id: _record(clip).to_dict() for clip in clips})
            for done, clip in enumerate(clips, 1):
                if not writer.has(clip.id):
                    try:
                        stems = _stems(catalog, clip)
                    except MashkitError as error:
                        failed(f"{clip.id}: {error}")
                    else:
                        writer.add(_record(clip), stems)
                progress(clip.id, done, len(clips))
            return writer.close()


def check(folder: Path, catalog: Catalog, database: Path) -> Sequence[Clip]:
    """Return the clips of a database that a store is to be made of. Nothing is written.

    Raises
    ------
    StoreError
        If the database has no clip, or if ``folder`` holds a finished store, or other clips.
    OutputError
        If the folder cannot be written to, or another run is writing into it.
    """
    if not catalog.clips:
        raise StoreError(f"{database} holds no clip", "add songs: mashkit db add FOLDER")
    with writing_alone(folder):
        StoreWriter.require_possible(folder, _source(catalog), whole=True)
    return catalog.clips


def _source(catalog: Catalog) -> dict[str, Any]:
    clips = catalog.clips
    return {
        "recipe": "database",
        "songs": sorted({clip.song for clip in clips}),
        "titles": {clip.song: clip.title for clip in sorted(clips, key=lambda clip: clip.song)},
        LICENCES: licences_of(clips),
        "components": list(catalog.provenance(clip.id for clip in clips)),
    }


def licences_of(clips: Iterable[Clip]) -> dict[str, str]:
    """Return the licence of each title; several songs of one title may have several."""
    found: dict[str, set[str]] = {}
    for clip in clips:
        found.setdefault(clip.title, set()).add(clip.licence)
    return {title: ", ".join(sorted(found[title])) for title in sorted(found)}


def _stems(catalog: Catalog, clip: Clip) -> dict[Role, StemFeatures]:
    tuning = clip.analysis.tuning or 0.0
    return {role: StemFeatures.of(catalog.stem(clip.id, role), tuning=tuning, fine=True) for role in Role}


def _record(clip: Clip) -> Record:
    return Record(
        id=clip.id, song=clip.song, duration=clip.duration, analysis=clip.analysis, facts={"title": clip.title}
    )
