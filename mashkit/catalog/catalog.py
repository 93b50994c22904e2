"""The catalog: songs in, clips out, stems on request; everything computed once and kept."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import platformdirs

from mashkit.catalog.excerpts import ExcerptPolicy
from mashkit.catalog.ingest import Ingested, Ingestor
from mashkit.catalog.songs import SongFile, describe_song, find_songs
from mashkit.catalog.store import SoundRef, Store
from mashkit.catalog.workers import WorkerSpec, ingest_all, spec_of
from mashkit.errors import AudioFileError, CatalogError, MashkitError
from mashkit.hookspecs import StageEvent
from mashkit.interfaces import Analyzer, Separator
from mashkit.recent import recent_audio
from mashkit.types import Audio, Clip, Role, by_id

CACHE_VARIABLE = "MASHKIT_CACHE"
"""Environment variable: folder of computed stems and analyses; default is the platform's cache folder."""
SAMPLE_RATE = 44_100
"""Rate of clips, Hz: what nearly all songs have, and what the separation models were trained at."""


def default_cache() -> Path:
    """Return the folder computed results are kept in."""
    named = os.environ.get(CACHE_VARIABLE)
    return Path(named) if named else Path(platformdirs.user_cache_dir("mashkit"))


@attrs.frozen
class Failure:
    """A song that gave no clips, and why."""

    path: Path
    error: MashkitError


class Catalog:
    """Clips of songs, with their stems: what a generator draws from and a renderer reads.

    Build one with :meth:`build` (or :meth:`mashkit.Kit.catalog`).

    Attributes
    ----------
    clips : list of Clip
        In the order of the songs.
    failures : list of Failure
        The songs that gave none; the others are unaffected.
    notes : list of str
        What the user should know of songs that were used.
    """

    def __init__(self, store: Store, components: Mapping[str, Any], *, cache_bytes: int = 1 << 29) -> None:
        self.clips: list[Clip] = []
        self.failures: list[Failure] = []
        self.notes: list[str] = []
        self._store = store
        self._components = dict(components)
        self._refs: dict[tuple[str, Role], SoundRef] = {}
        self._clips: dict[str, Clip] = {}
        self._cache = recent_audio(cache_bytes)

    @classmethod
    def build(
        cls,
        paths: Iterable[Path | str],
        *,
        separator: Separator,
        analyzer: Analyzer,
        policy: ExcerptPolicy | None = None,
        cache: Path | None = None,
        jobs: int = 1,
        notify: Callable[[StageEvent], object] = lambda _: None,
        loader: Callable[..., Audio | None] | None = None,
    ) -> Catalog:
        """Make clips of every song in ``paths``; what the cache holds is not computed again.

        Parameters
        ----------
        paths : iterable of Path or str
            Sound files and folders.
        separator, analyzer
            Components; with ``jobs`` > 1 they must come from the registry, so that each process makes its own.
        policy : ExcerptPolicy, optional
        cache : Path, optional
            Folder of computed stems and analyses; default :func:`default_cache`.
        jobs : int
            Processes, ≥ 1.
        notify : callable
            Hears of every song as it starts and ends.
        loader : callable, optional
            The hook ``mashkit_load_audio``.

        Returns
        -------
        Catalog
            ``failures`` lists the songs that could not be used.

        Raises
        ------
        AudioFileError
            If the folders hold no sound file.
        CatalogError, OutputError
            If the cache cannot be used.
        """
        store = Store(cache or default_cache())
        catalog = cls(store, {"separator": separator.describe(), "analyzer": analyzer.describe()})
        ingestor = Ingestor(
            separator, analyzer, store.objects, policy=policy or ExcerptPolicy(), sample_rate=SAMPLE_RATE, loader=loader
        )
        outcomes: dict[Path, Ingested | MashkitError] = {}
        songs = catalog._distinct(find_songs(paths), outcomes)
        total = len(songs) + len(outcomes)

        def report(path: Path, state: str, message: str = "") -> None:
            notify(
                StageEvent(
                    stage="catalog", item=str(path), state=state, done=len(outcomes), total=total, message=message
                )
            )

        tasks = {song.path: (song, store.results_of(song.sha256)) for song in songs}
        for path, error in outcomes.items():
            report(path, "failed", str(error))
        for path, (song, known) in tasks.items():
            if ingestor.is_known(song, known):
                outcomes[path] = _attempt(ingestor, song, known)
                report(path, "cached")
        waiting = [task for path, task in tasks.items() if path not in outcomes]
        for song, outcome in _ingest(ingestor, waiting, jobs, lambda path: report(path, "started")):
            if isinstance(outcome, Ingested):
                store.add(song.sha256, outcome.results)
            outcomes[song.path] = outcome
            report(song.path, *(("failed", str(outcome)) if isinstance(outcome, MashkitError) else ("done",)))
        for song in songs:
            catalog._add(song.path, outcomes[song.path])
        return catalog

    def _distinct(self, paths: list[Path], outcomes: dict[Path, Ingested | MashkitError]) -> list[SongFile]:
        """Identify the files; one that cannot be read, or holds the bytes of another, is a failure."""
        songs: dict[str, SongFile] = {}
        for path in paths:
            try:
                song = describe_song(path)
            except AudioFileError as error:
                outcomes[path] = error
                self.failures.append(Failure(path, error))
                continue
            if song.sha256 in songs:
                self.notes.append(f"{path}: the same file as {songs[song.sha256].path}; used once")
            else:
                songs[song.sha256] = song
        return list(songs.values())

    def _add(self, path: Path, outcome: Ingested | MashkitError) -> None:
        if isinstance(outcome, MashkitError):
            self.failures.append(Failure(path, outcome))
            return
        self.clips += outcome.clips
        self._clips |= by_id(outcome.clips)
        self._refs |= outcome.stems
        self.notes += outcome.notes

    # ----------------------------------------------------------------------------------------------- ClipSource
    def clip(self, clip_id: str) -> Clip:
        """Return the clip.

        Raises
        ------
        CatalogError
            If there is none of that id.
        """
        if clip_id not in self._clips:
            raise CatalogError(
                f"no clip {clip_id!r} in this catalog", "give the songs and the separator the plan was made with"
            )
        return self._clips[clip_id]

    def stem(self, clip_id: str, role: Role) -> Audio:
        """Return the clip's stem for ``role``, as separated; raises CatalogError as :meth:`clip` does."""
        self.clip(clip_id)
        return self._cache.get((clip_id, role), lambda: self._store.objects.get(self._refs[clip_id, role]))

    def provenance(self) -> Mapping[str, Any]:
        """Return which separator and analyzer made the clips."""
        return dict(self._components)


def _attempt(ingestor: Ingestor, song: SongFile, known: Mapping[str, Any]) -> Ingested | MashkitError:
    try:
        return ingestor.ingest(song, known)
    except MashkitError as error:
        return error


def _ingest(
    ingestor: Ingestor, tasks: Sequence[tuple[SongFile, Mapping[str, Any]]], jobs: int, starting: Callable[[Path], None]
) -> Iterator[tuple[SongFile, Ingested | MashkitError]]:
    """Ingest in this process, or in several when there is more than one song and the components can be made anew."""
    separator, analyzer = spec_of(ingestor.separator), spec_of(ingestor.analyzer)
    jobs = min(jobs, len(tasks))
    if jobs <= 1 or separator is None or analyzer is None:
        for task in tasks:
            starting(task[0].path)
            yield task[0], _attempt(ingestor, *task)
        return
    # The processes share the cores; each computes with its part of them.
    threads = max(1, (os.cpu_count() or 1) // jobs)
    spec = WorkerSpec(separator, analyzer, ingestor.objects.root, ingestor.policy, ingestor.sample_rate, threads)
    yield from ingest_all(spec, tasks, jobs)
