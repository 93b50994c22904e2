"""Songs into the database: nothing is computed twice, one bad song harms no other, a kill loses no finished one.

One process writes; what has to be computed goes to an executor, or is done here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import attrs

from mashkit.audiofile import probe
from mashkit.catalog.clips import ClipRecord, clips_of
from mashkit.catalog.database import MashupDB
from mashkit.catalog.excerpts import ExcerptPolicy
from mashkit.catalog.ingest import ANALYSIS, LABELS, STEMS, TRUE_STEMS, Computed, Ingestor, SongFacts, Task, excerpts_of
from mashkit.catalog.songs import Song, bytes_digest, stat_digest
from mashkit.components import Component
from mashkit.errors import AudioFileError, MashkitError, OutputError
from mashkit.hookspecs import StageEvent
from mashkit.interfaces import Analyzer, Separator
from mashkit.interfaces.executor import Executor, Job, Work

Unusable = tuple[Path, MashkitError]
"""A file that a protocol looked at, and why it is no song."""


@attrs.frozen
class Added:
    """What became of a song that was added.

    Parameters
    ----------
    path : Path
    records : tuple of ClipRecord
        Its clips; none beside an error.
    error : MashkitError, optional
    cached : bool
        Whether everything was known already.
    """

    path: Path
    records: tuple[ClipRecord, ...] = ()
    error: MashkitError | None = None
    cached: bool = False


@attrs.define
class AddReport:
    """How it went.

    Attributes
    ----------
    songs, clips, cached : int
        Songs that are in the database now, their clips, and how many of the songs were there already.
    failures : list of (Path, MashkitError)
    notes : list of str
        What the user should know of songs that were used.
    """

    songs: int = 0
    clips: int = 0
    cached: int = 0
    failures: list[Unusable] = attrs.field(factory=list)
    notes: list[str] = attrs.field(factory=list)


class Adder:
    """Adds songs to a database.

    Parameters
    ----------
    database : MashupDB
    separator, analyzer
        Components. With an executor they must come from the registry, so that each worker makes its own.
    policy : ExcerptPolicy, optional
    with_features : bool
        Also keep features of the stems.
    executor : Executor, optional
        Who computes; by default this process.
    notify : callable
        Hears of every song as it starts and ends.
    loader : callable, optional
        The hook ``mashkit_load_audio``.
    """

    def __init__(
        self,
        database: MashupDB,
        separator: Separator,
        analyzer: Analyzer,
        *,
        policy: ExcerptPolicy | None = None,
        with_features: bool = False,
        executor: Executor | None = None,
        notify: Callable[[StageEvent], object] = lambda _: None,
        loader: Callable[..., Any] | None = None,
    ) -> None:
        self.report = AddReport()
        self._database = database
        self._ingestor = Ingestor(
            separator, analyzer, policy=policy or ExcerptPolicy(), with_features=with_features, loader=loader
        )
        self._executor = executor
        self._notify = notify
        self._taken: dict[str, Path] = {}  # song → the file it was added as, in this run

    def add(self, songs: Sequence[Song | Unusable], *, protocol: str = "songs") -> Iterator[Added]:
        """Add songs and yield what becomes of each, as it does; :attr:`report` is complete at the end.

        Parameters
        ----------
        songs : sequence of Song or (Path, MashkitError)
            What a protocol found; what it found unusable is reported with the rest.
        protocol : str
            Its name, for the record.

        Raises
        ------
        OutputError
            If the disk is full or the database cannot be written: what was added stays.
        CatalogError
            If the database is damaged.
        """
        keys = self._ingestor.keys
        with self._database.transaction() as cursor:
            self._database.store_component(cursor, keys.separator, self._ingestor.separator)
            self._database.store_component(cursor, keys.analyzer, self._ingestor.analyzer)
            for stand_in, kind in ((TRUE_STEMS, "separator"), (LABELS, "analyzer")):
                cursor.execute(
                    "INSERT OR IGNORE INTO components VALUES (?, ?, ?)",
                    (stand_in, kind, f'{{"kind": "{kind}", "name": "{stand_in}"}}'),
                )
        yield from _Run(self, songs, protocol).go()


class _Run:
    """One call of :meth:`Adder.add`."""

    def __init__(self, adder: Adder, songs: Sequence[Song | Unusable], protocol: str) -> None:
        self._adder = adder
        self._database = adder._database
        self._ingestor = adder._ingestor
        self._report = adder.report
        self._songs = songs
        self._protocol = protocol
        self._ended: list[Added] = []  # waiting to be yielded
        self._done = 0
        self._digests: dict[Path, tuple[str, str]] = {}
        self._headers: dict[Path, tuple[int, int, int] | None] = {}
        self._under_way: dict[Path, list[Task]] = {}  # tasks of a song that are not back yet
        self._decoded: dict[Path, SongFacts] = {}  # of songs that had to be looked into

    def go(self) -> Iterator[Added]:
        if self._adder._executor is None:
            for task in self._jobs():
                assert task is not None  # noqa: S101 — nothing is under way when the next one is asked for
                yield from self._flush()
                try:
                    outcome: Computed | MashkitError = self._ingestor.compute(task)
                except MashkitError as error:
                    outcome = error
                self._finish(task.song, outcome)
                yield from self._flush()
        else:
            songs: dict[int, Song] = {}

            def jobs() -> Iterator[Job | None]:
                works = _works(self._ingestor)
                for task in self._jobs():
                    if task is None:
                        yield None
                        continue
                    work = works[STEMS if task.wanted != {ANALYSIS} else ANALYSIS]
                    job = Job(work, task, str(task.song.path))
                    songs[id(job)] = task.song
                    yield job

            for ended in self._adder._executor.run(jobs()):
                song = songs.pop(id(ended.job))
                self._finish(song, ended.result if ended.error is None else ended.error)
                yield from self._flush()
        yield from self._flush()

    def _flush(self) -> Iterator[Added]:
        ended, self._ended = self._ended, []
        yield from ended

    # ----------------------------------------------------------------------------------------- what is to be done
    def _jobs(self) -> Iterator[Task | None]:
        """Yield what has to be computed; what needs no computing is finished on the way.

        A song whose sound is that of one under way waits until that one is known, and None is yielded while only such
        songs are left.
        """
        waiting = list(self._songs)
        while waiting:
            deferred: list[Song | Unusable] = []
            for song in waiting:
                if not isinstance(song, Song):
                    self._end(Added(song[0], error=song[1]))
                    continue
                try:
                    if self._may_be_under_way(song):
                        deferred.append(song)
                        continue
                    task = self._task(song)
                except OutputError:
                    raise
                except MashkitError as error:
                    self._end(Added(song.path, error=error))
                    continue
                if task is not None:
                    self._say(song.path, "started")
                    tasks = self._split(task)
                    self._under_way[song.path] = list(tasks)
                    yield from tasks
            if len(deferred) == len(waiting):
                yield None
            waiting = deferred

    def _may_be_under_way(self, song: Song) -> bool:
        """Tell whether a song of the same sound is under way; only those of the same header are decoded to see."""
        header = self._headers.setdefault(song.path, _header(song))
        if header is None:
            return False
        alike = [tasks[0].song for path, tasks in self._under_way.items() if self._headers[path] == header]
        return bool(alike) and self._facts(song).sha256 in [self._facts(other).sha256 for other in alike]

    def _facts(self, song: Song) -> SongFacts:
        if song.path not in self._decoded:
            self._decoded[song.path] = self._ingestor.facts(song)
        return self._decoded[song.path]

    def _task(self, song: Song) -> Task | None:
        """Return what has to be computed of a song; None if that is nothing, or it is there under another name."""
        self._digests[song.path] = digests = (stat_digest(song), bytes_digest(song))
        known = next((one for one in map(self._database.song_of_file, digests) if one is not None), None)
        header = self._headers[song.path]
        if known is None and header is not None and self._database.may_hold(*header):
            # Other bytes, and perhaps the same sound: only its tags may have changed.
            known = self._facts(song).sha256
        row = None if known is None else self._database.song(known)
        if row is None:
            return Task(song)
        if not self._take(song, row.facts):
            return None
        keys = self._database.known_results(row.facts.sha256)
        wanted = self._ingestor.missing(song, row.facts, keys)
        if wanted:
            return Task(song, keys, wanted)
        self._store(song, row.facts, Computed(row.facts, {}, {}), cached=True)
        return None

    def _take(self, song: Song, facts: SongFacts) -> bool:
        """Tell whether a song is the first of its sound in this run; say so if not, and if it is known elsewhere."""
        first = self._adder._taken.setdefault(facts.sha256, song.path)
        if first != song.path:
            self._report.notes.append(f"{song.path}: the same sound as {first}; used once")
            self._end(None, song.path)
            return False
        row = self._database.song(facts.sha256)
        if row is not None and row.song.path.resolve() != song.path.resolve() and row.song.path.exists():
            self._report.notes.append(f"{song.path}: the same sound as {row.song.path}, which was there already")
        return True

    def _split(self, task: Task) -> list[Task]:
        """Return a task as it is, or in two where separation has a GPU and analysis has not."""
        if self._adder._executor is None or self._ingestor.separator.gpus == 0 or len(task.wanted) < 2:
            return [task]
        return [attrs.evolve(task, wanted=frozenset({kind})) for kind in sorted(task.wanted)]

    # ---------------------------------------------------------------------------------------------- what was done
    def _finish(self, song: Song, outcome: Computed | MashkitError) -> None:
        if song.path not in self._under_way:
            return  # its other half has failed
        if isinstance(outcome, MashkitError):
            del self._under_way[song.path]
            self._end(Added(song.path, error=outcome))
            return
        self._under_way[song.path].pop()
        last = not self._under_way[song.path]
        if last:
            del self._under_way[song.path]
        if last and not self._take(song, outcome.facts):
            return
        try:
            self._store(song, outcome.facts, outcome, cached=False, complete=last)
        except AudioFileError as error:
            self._end(Added(song.path, error=error))

    def _store(self, song: Song, facts: SongFacts, computed: Computed, *, cached: bool, complete: bool = True) -> None:
        """Store what was computed and, where that is all, the clips: in one transaction."""
        sha256, keys = facts.sha256, self._ingestor.keys
        records: list[ClipRecord] = []
        notes: list[str] = []
        with self._database.transaction() as cursor:
            number = self._database.store_facts(cursor, song, facts, self._protocol, self._digests[song.path])
            self._database.store_results(cursor, sha256, computed.results, computed.objects)
            if complete:
                records = clips_of(
                    song,
                    facts,
                    excerpts_of(song, facts.duration_s, self._ingestor.policy),
                    keys,
                    self._database.results(sha256),
                    self._database.edits(sha256, keys.analysed_by(song)),
                    notes,
                )
                self._database.store_clips(cursor, number, records)
        if complete:
            del self._digests[song.path]
            self._report.notes += [*facts.notes, *notes]
            self._end(Added(song.path, tuple(records), cached=cached))

    def _end(self, added: Added | None, path: Path | None = None) -> None:
        """Count what became of a song, and tell."""
        self._done += 1
        if added is None:
            self._say(cast("Path", path), "cached")
            return
        self._ended.append(added)
        if added.error is not None:
            self._report.failures.append((added.path, added.error))
            self._database.fail(added.path, added.error)
            self._say(added.path, "failed", str(added.error))
            return
        self._report.songs += 1
        self._report.clips += len(added.records)
        self._report.cached += added.cached
        self._say(added.path, "cached" if added.cached else "done")

    def _say(self, path: Path, state: str, message: str = "") -> None:
        self._adder._notify(
            StageEvent(
                stage="catalog",
                item=str(path),
                state=state,
                done=self._done,
                total=len(self._songs),
                message=message,
            )
        )


def _header(song: Song) -> tuple[int, int, int] | None:
    """Return rate, channels and frames of a song's first file; None if it cannot be read: decoding says why."""
    try:
        header = probe(song.files[0])
    except AudioFileError:
        return None
    return header.sample_rate, header.channels, header.frames


# ------------------------------------------------------------------------------------------------- in other processes
@attrs.frozen
class _Recipe:
    """What a worker needs to build an ingestor of its own: names, not live objects."""

    separator: tuple[str, Mapping[str, Any]]
    analyzer: tuple[str, Mapping[str, Any]]
    policy: ExcerptPolicy
    with_features: bool


def spec_of(component: Component) -> tuple[str, Mapping[str, Any]] | None:
    """Return (name, options) from which the registry makes an equal component; None for one made by hand."""
    return None if component.origin is None else (component.info.name, component.options())


def _works(ingestor: Ingestor) -> Mapping[str, Work]:
    """Return the work of analysing, and that of separating (and analysing, where both are wanted)."""
    separator, analyzer = spec_of(ingestor.separator), spec_of(ingestor.analyzer)
    assert separator is not None  # noqa: S101 — a component made by hand gets no executor
    assert analyzer is not None  # noqa: S101
    recipe = _Recipe(separator, analyzer, ingestor.policy, ingestor.with_features)
    return {
        ANALYSIS: Work(name="analyze", start=_ingestor, arguments=(recipe,), run=_compute),
        STEMS: Work(name="separate", start=_ingestor, arguments=(recipe,), run=_compute, gpus=ingestor.separator.gpus),
    }


def _ingestor(recipe: _Recipe) -> Ingestor:
    from mashkit.registry import Registry

    registry = Registry()
    return Ingestor(
        cast("Separator", registry.create("separator", *recipe.separator)),
        cast("Analyzer", registry.create("analyzer", *recipe.analyzer)),
        policy=recipe.policy,
        with_features=recipe.with_features,
        loader=registry.plugins.hook.mashkit_load_audio,
    )


def _compute(ingestor: Ingestor, task: Task) -> Computed:
    return ingestor.compute(task)


def can_travel(*components: Component) -> bool:
    """Tell whether other processes can make these components."""
    return all(spec_of(component) is not None for component in components)


def usable(paths: Iterable[Path], describe: Callable[[Path], Song]) -> list[Song | Unusable]:
    """Describe each file or folder; one that is no song is named with the reason, and the rest goes on."""
    found: list[Song | Unusable] = []
    for path in paths:
        try:
            found.append(describe(path))
        except MashkitError as error:
            found.append((path, error))
    return found
