"""Read collections without labels: any songs, and previews."""

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
    """Sound files, each a song. Its excerpts are spread over the song, and clips are cut on downbeats."""

    name = "songs"
    summary = "sound files and folders of them; clips are cut on downbeats"

    def songs(self, paths: Sequence[Path]) -> list[Song | Unusable]:
        """Return the songs; raises AudioFileError if there is no sound file."""
        return usable(find_songs(paths), describe_song)


@attrs.frozen(kw_only=True)
class Preview(Songs):
    """Sound files, each a clip of 30 s, such as the previews of music shops: the paper's collection.

    A file of up to 30 s is one clip; of a longer file, the middle 30 s are the clip. Clips are not cut on downbeats.
    """

    name = "preview"
    summary = "clips of 30 s, whole; of longer files the middle"

    def policy(self, asked: ExcerptPolicy) -> ExcerptPolicy:
        """Return a policy of one 30 s excerpt for each song, independently of ``asked``."""
        return ExcerptPolicy(per_song=1, length_s=PREVIEW_S, whole_s=PREVIEW_S, on_downbeats=False)
