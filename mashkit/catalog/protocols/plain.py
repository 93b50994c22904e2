"""Collections without labels: any songs, and previews."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import attrs

from mashkit.catalog.adding import Unusable, usable
from mashkit.catalog.excerpts import ExcerptPolicy
from mashkit.catalog.protocols.base import Protocol
from mashkit.catalog.songs import Song, describe_song, find_songs

PREVIEW_S = 30.0
"""Length of a preview, seconds (docs/paper.md, row 2)."""


@attrs.frozen(kw_only=True)
class Songs(Protocol):
    """Sound files, each a song: excerpts spread over it, cut on downbeats."""

    name = "songs"
    summary = "sound files and folders of them; clips are cut on downbeats"

    def songs(self, paths: Sequence[Path]) -> list[Song | Unusable]:
        """Return the sound files; raises AudioFileError if there is none."""
        return usable(find_songs(paths), describe_song)


@attrs.frozen(kw_only=True)
class Preview(Songs):
    """Sound files, each a clip of 30 s as the shops' previews are: the paper's collection.

    A file of up to 30 s is its clip, whole; a longer one gives the 30 s in its middle. Nothing is cut on downbeats.
    """

    name = "preview"
    summary = "clips of 30 s, whole; of longer files the middle"

    def policy(self, asked: ExcerptPolicy) -> ExcerptPolicy:
        """Return one excerpt a song, of 30 s, whatever is asked."""
        return ExcerptPolicy(per_song=1, length_s=PREVIEW_S, whole_s=PREVIEW_S, on_downbeats=False)
