"""Find the tasks and collections that mashkit and its plugins bring, by the hooks of :mod:`mashkit.hookspecs`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mashkit.components.fence import plugin_items
from mashkit.discovery import Discovery, imported
from mashkit.hookspecs import CollectionInfo, TaskInfo

if TYPE_CHECKING:
    from mashkit.bench.collections import Choice, Collection
    from mashkit.bench.labelled import Labels


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


def labels_of(card: CollectionInfo, data: Path | None) -> Iterable[Labels]:
    """Yield the labelled pieces of a collection; raise BrokenPlugin or ComponentFailed if it cannot be read."""
    read = _function(card, card.labels)
    return plugin_items(f"the labels of collection {card.name!r} cannot be read", lambda: read(data))


def _function(card: CollectionInfo, target: str) -> Any:
    return imported(target, f"collection {card.name!r}: importing {target} failed")
