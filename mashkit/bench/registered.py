"""Find the tasks and collections that mashkit and its plugins bring, by the hooks of :mod:`mashkit.hookspecs`."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mashkit.components.fence import plugin_items
from mashkit.discovery import Discovery, imported
from mashkit.errors import MashkitError
from mashkit.hookspecs import CollectionInfo, TaskInfo

if TYPE_CHECKING:
    from mashkit.bench.collections import Choice, Collection
    from mashkit.bench.labelled import Labels


class CollectionMissing(MashkitError):
    """The collection is not here; the fix contains where to get it."""


@functools.cache
def installed() -> Discovery:
    """Return the plugins of this process. They are searched once, because each suite looks up its task."""
    return Discovery()


def tasks() -> dict[str, TaskInfo]:
    """Return the cards of all tasks by name, sorted."""
    return installed().tasks()


def collections() -> dict[str, CollectionInfo]:
    """Return the cards of all collections by name, sorted."""
    return installed().collections()


def labelled() -> dict[str, CollectionInfo]:
    """Return the collections that have labels."""
    return {name: one for name, one in collections().items() if one.labels}


def with_stems() -> dict[str, CollectionInfo]:
    """Return the collections that lie on disk as true stems."""
    return {name: one for name, one in collections().items() if one.stems}


def with_clips() -> dict[str, CollectionInfo]:
    """Return the collections that can be opened as clips."""
    return {name: one for name, one in collections().items() if one.clips}


def opener_of(card: CollectionInfo) -> Callable[[Choice], Collection]:
    """Return the function that opens a collection's clips; raise BrokenPlugin if there is none."""
    opener: Callable[[Choice], Collection] = _function(card, card.clips)
    return opener


def folder_of(card: CollectionInfo, data: Path | None) -> Path:
    """Return where a collection's files are; raise CollectionMissing, saying where to get it, if they are not."""
    places = [] if data is None else [data / card.folder]
    if card.beside and (spec := importlib.util.find_spec(card.beside)) is not None:
        places += [Path(place).parent / card.folder for place in spec.submodule_search_locations or ()]
    for place in places:
        if place.is_dir():
            return place
    # Not the whole path, because reasons are kept with results, which are passed on.
    reason = f"no folder {card.folder} in --data" if places else "no --data"
    raise CollectionMissing(f"collection {card.name!r} is not here: {reason}", card.where)


def labels_of(card: CollectionInfo, data: Path | None) -> Iterable[Labels]:
    """Return the labelled pieces of a collection, none if it is not here.

    Raises
    ------
    BrokenPlugin
        If what reads them cannot be imported.
    ComponentFailed
        If they cannot be read.
    """
    read = _function(card, card.labels)
    try:
        folder = folder_of(card, data)
    except CollectionMissing:
        return ()
    return plugin_items(f"the labels of collection {card.name!r} cannot be read", lambda: read(folder))


def _function(card: CollectionInfo, target: str) -> Any:
    return imported(target, f"collection {card.name!r}: importing {target} failed")
