"""The catalog: clips for generators, and their stems for renderers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from mashkit.arguments import default_cache, require, require_all, require_path, require_paths
from mashkit.catalog.adding import Adder, usable
from mashkit.catalog.clips import ClipRecord
from mashkit.catalog.database import MashupDB, require_clip_id
from mashkit.catalog.excerpts import ExcerptPolicy
from mashkit.catalog.ingest import LABELS, TRUE_STEMS
from mashkit.catalog.scanning import Found
from mashkit.catalog.songs import Song, describe_song, find_songs
from mashkit.errors import CatalogError, MashkitError
from mashkit.hookspecs import StageEvent
from mashkit.interfaces import Analyzer, Executor, Separator
from mashkit.paths import without_links
from mashkit.registry import Registry
from mashkit.rendering.cache import recent_audio
from mashkit.types import Audio, Clip, Role, as_role


@attrs.frozen
class Failure:
    """A song without clips, and the error that is the reason."""

    path: Path
    error: MashkitError


class Catalog:
    """Clips, from which generators draw, with their stems, which renderers read.

    Make a catalog from songs with :meth:`build` (or :meth:`mashkit.Kit.catalog`), or from a whole database.

    Parameters
    ----------
    database : MashupDB
        The database that stores the clips and stems.
    records : sequence of ClipRecord, optional
        The clips of the catalog; by default all clips of the database.
    cache_bytes : int
        Bytes of sound to keep in memory.

    Attributes
    ----------
    clips : sequence of Clip
        The clips in the order of the songs; for a whole database a :class:`mashkit.cliptable.ClipTable`.
    failures : list of Failure
        The songs without clips. They do not affect the other songs.
    passed_over : list of (Path, Path)
        Songs that were not used, each with the song of the same recording that is used instead.
    notes : list of str
        Notes for the user on songs that were used.

    Examples
    --------
    >>> import mashkit as mk
    >>> with mk.MashupDB("songs.mashdb") as database:
    ...     catalog = mk.Catalog(database)  # of all clips in it
    ...     len(catalog.clips)
    0
    >>> catalog.failures
    []
    """

    def __init__(
        self, database: MashupDB, records: Sequence[ClipRecord] | None = None, *, cache_bytes: int = 1 << 29
    ) -> None:
        require("database", database, MashupDB, "open one: MashupDB(folder); Kit.catalog(songs) makes it of songs")
        self.failures: list[Failure] = []
        self.passed_over: list[tuple[Path, Path]] = []
        self.notes: list[str] = []
        self._database = database
        self._cache_bytes = cache_bytes
        self._records = None if records is None else {record.clip.id: record for record in records}
        self.clips: Sequence[Clip] = database.table() if records is None else [record.clip for record in records]
        self._cache = recent_audio(cache_bytes)

    def __getstate__(self) -> dict[str, Any]:
        # The copy reads the sound again when it is needed.
        return {name: value for name, value in vars(self).items() if name != "_cache"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._cache = recent_audio(self._cache_bytes)

    @classmethod
    def build(
        cls,
        paths: Path | str | Iterable[Path | str],
        *,
        separator: Separator,
        analyzer: Analyzer,
        policy: ExcerptPolicy | None = None,
        cache: Path | str | None = None,
        executor: Executor | None = None,
        notify: Callable[[StageEvent], object] = lambda _: None,
        registry: Registry | None = None,
        described: Sequence[Song] = (),
        same_recording: str | None = None,
    ) -> Catalog:
        """Make clips of every song in ``paths``; results in the cache are not computed again.

        Parameters
        ----------
        paths : Path, str or iterable of them
            Sound files and folders. It may be empty if there are ``described`` songs.
        separator, analyzer
            Components. With an executor they must come from the registry, so that each worker can make its own.
        policy : ExcerptPolicy, optional
        cache : Path or str, optional
            Folder of a database; default :func:`mashkit.arguments.default_cache`.
        executor : Executor, optional
            Computes the results; by default this process does.
        notify : callable
            Is called when a song starts and ends.
        registry : Registry, optional
            Its plugins may decode files, and the executor's workers load no other plugins.
        described : sequence of Song
            Songs with more information than a path, such as a lone vocal. They come first, and the same files in
            ``paths`` are skipped.
        same_recording : str, optional
            "once", the default: one of the songs that are the same recording is used, with a note on the others (see
            :mod:`mashkit.catalog.recordings`). "separate": each is a separate song.

        Returns
        -------
        Catalog
            ``failures`` lists the songs that could not be used.

        Raises
        ------
        AudioFileError
            If the folders contain no sound file.
        CatalogError, OutputError
            If the cache cannot be used.
        UsageError
            If an argument is of a wrong type, or ``same_recording`` is another value.
        """
        named = require_paths("paths", paths)
        described = require_all("described", described, Song, "give what describe_song or describe_lone returns")
        database = MashupDB(default_cache() if cache is None else require_path("cache", cache))
        adder = Adder(
            database,
            separator,
            analyzer,
            policy=policy,
            executor=executor,
            notify=notify,
            registry=registry,
            same_recording=same_recording,
            among_given=True,
        )
        known = {without_links(song.path) for song in described}
        found = find_songs(named) if named or not described else Found[Path]()
        files = [path for path in found if without_links(path) not in known]
        songs = Found([*described, *usable(files, describe_song)], found.notes)
        added = {one.path: one for one in adder.add(songs)}
        in_order = [*(song.path for song in described), *files]
        records = [record for path in in_order if path in added for record in added[path].records]
        catalog = cls(database, records)
        catalog.failures = [Failure(path, error) for path, error in adder.report.failures]
        catalog.passed_over = adder.report.passed_over
        catalog.notes = [*database.notes, *adder.report.notes]
        return catalog

    def record(self, clip_id: str) -> ClipRecord:
        """Return a clip with the references to its stems and features.

        Raises
        ------
        CatalogError
            If there is no clip of that id.
        UsageError
            If ``clip_id`` is not text.
        """
        if self._records is None:
            return self._database.record(clip_id)
        if require_clip_id(clip_id) not in self._records:
            raise CatalogError(
                f"no clip {clip_id!r} in this catalog",
                "give the songs, with the names they had, the separator and the analyzer with which the plan was made",
            )
        return self._records[clip_id]

    # ----------------------------------------------------------------------------------------------- ClipSource
    def clip(self, clip_id: str) -> Clip:
        """Return the clip; raises CatalogError and UsageError as :meth:`record` does."""
        return self.record(clip_id).clip

    def stem(self, clip_id: str, role: Role | str) -> Audio:
        """Return the clip's stem for ``role``, as separated.

        Raises
        ------
        CatalogError
            If there is no clip of that id, or it has no such stem.
        StemError
            If there is no such role.
        UsageError
            If ``clip_id`` is not text.
        """
        role = as_role(role)
        stems = self.record(clip_id).stems
        if role not in stems:
            raise CatalogError(
                f"clip {clip_id!r} has no {role} stem, only {' and '.join(sorted(stems))}",
                "use another clip for this role",
            )
        ref = stems[role]
        return self._cache.get((clip_id, role), lambda: self._database.objects.audio(ref))

    def provenance(self, clip_ids: Iterable[str]) -> Sequence[Mapping[str, Any]]:
        """Return the descriptions of the components that made the stems and analyses of these clips."""
        records = [self.record(clip_id) for clip_id in clip_ids]
        fingerprints = dict.fromkeys([record.separator for record in records] + [record.analyzer for record in records])
        real = [fingerprint for fingerprint in fingerprints if fingerprint not in (TRUE_STEMS, LABELS)]
        return [self._database.component(fingerprint) for fingerprint in real]
