"""What a protocol is: a way to read a collection as it lies on disk."""

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
    """A way to read a collection: which files are songs, and what is known of them.

    Options are keyword-only fields. A protocol reads labels and headers and decodes nothing.
    """

    name: ClassVar[str]
    summary: ClassVar[str]

    @abstractmethod
    def songs(self, paths: Sequence[Path]) -> list[Song | Unusable]:
        """Return the songs in files and folders, and what lies there but cannot be used, with the reason.

        A :class:`mashkit.catalog.scanning.Found` has notes of what was passed over; the user is told.

        Raises
        ------
        MashkitError
            If there is nothing to be used at all, or what speaks of all songs cannot be read.
        """

    def policy(self, asked: ExcerptPolicy) -> ExcerptPolicy:
        """Return how songs that name no excerpts are cut; by default as the user asks."""
        return asked


def label_source(**files: Path) -> dict[str, str]:
    """Return name and sha256 of label files, for a song's record."""
    record = {}
    for name, path in files.items():
        record[name], record[f"{name}_sha256"] = path_text(path.name), sha256_of(path)
    return record
