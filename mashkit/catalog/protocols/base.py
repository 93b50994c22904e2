"""The base class of dataset layouts, called protocols in code: each reads one kind of collection from disk."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import attrs

from mashkit.catalog.adding import Unusable
from mashkit.catalog.excerpts import ExcerptPolicy
from mashkit.catalog.songs import Song
from mashkit.models import sha256_of
from mashkit.paths import path_text


@attrs.frozen(kw_only=True)
class Protocol(ABC):
    """A dataset layout: finds the songs of a collection with their stems and labels.

    Options are keyword-only fields. A dataset layout reads labels and headers only; it decodes no sound.
    """

    name: ClassVar[str]
    summary: ClassVar[str]

    @abstractmethod
    def songs(self, paths: Sequence[Path]) -> list[Song | Unusable]:
        """Return the songs in files and folders, and the files that cannot be used, with the reason.

        If the list is a :class:`mashkit.catalog.scanning.Found`, its notes on skipped files are shown to the user.

        Raises
        ------
        MashkitError
            If there are no songs at all, or a label file for all songs cannot be read.
        """

    def policy(self, asked: ExcerptPolicy) -> ExcerptPolicy:
        """Return the policy for songs without excerpts of their own; by default the policy that the user gave."""
        return asked


def label_source(**files: Path) -> dict[str, str]:
    """Return names and sha256 of label files, for :attr:`mashkit.catalog.songs.Song.source`."""
    record = {}
    for name, path in files.items():
        record[name], record[f"{name}_sha256"] = path_text(path.name), sha256_of(path)
    return record
