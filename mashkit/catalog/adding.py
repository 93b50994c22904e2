"""Add songs to the database.

Results that are stored are not computed again, an error of one song does not affect the others, and a killed run keeps
its finished songs. One process writes to the database. It computes the results itself, or gives the jobs to an
executor.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import attrs

from mashkit.arguments import require
from mashkit.audio.files import probe
from mashkit.catalog.clips import ClipRecord, clips_of
from mashkit.catalog.database import MashupDB, SongRow
from mashkit.catalog.excerpts import ExcerptPolicy, as_policy
from mashkit.catalog.ingest import (
    ANALYSIS,
    LABELS,
    SAMPLE_RATE,
    STEMS,
    TRUE_STEMS,
    TUNING,
    Computed,
    Ingestor,
    SongFacts,
    Soundprinted,
    Task,
    excerpts_of,
    soundprint_song,
    tuning,
)
from mashkit.catalog.objects import SoundRef
from mashkit.catalog.recordings import require_choice, told
from mashkit.catalog.scanning import Found
from mashkit.catalog.songs import Song, bytes_digest
from mashkit.catalog.soundprints import PassedOver, SoundprintStage
from mashkit.components import Component
from mashkit.errors import AudioFileError, CatalogError, MashkitError, OutputError, Unforeseen, contained, said_of
from mashkit.hookspecs import StageEvent
from mashkit.interfaces import Analyzer, Separator
from mashkit.interfaces.executor import Executor, Job, Work
from mashkit.paths import absolute, exists, path_text, without_links
from mashkit.registry import Registry
from mashkit.types import Clip, Role

SOUNDPRINT = "soundprint"
"""Name of the work, and of the stage, that computes soundprints (:mod:`mashkit.catalog.soundprints`)."""
PLAIN = "songs"
"""Name of the protocol that says nothing of a song but its title and licence."""
Unusable = tuple[Path, MashkitError]
"""A file or folder that cannot be used as a song, and the reason."""


@attrs.frozen
class Added:
    """The outcome for one song of a run.

    Parameters
    ----------
    path : Path
    records : tuple of ClipRecord
        The song's clips; empty if there is an error.
    error : MashkitError, optional
    cached : bool
        Whether all results were stored already.
    """

    path: Path
    records: tuple[ClipRecord, ...] = ()
    error: MashkitError | None = None
    cached: bool = False


@attrs.define
class AddReport:
    """Counts, failures and notes of a run.

    Attributes
    ----------
    songs, clips, cached : int
        Songs of the run that are in the database now, their clips, and the number of these songs that were stored
        already.
    failures : list of (Path, MashkitError)
    notes : list of str
        Notes for the user on songs that were used.
    passed_over : list of (Path, Path)
        Songs that were not used, each with the song of the same recording that is used instead.
    """

    songs: int = 0
    clips: int = 0
    cached: int = 0
    failures: list[Unusable] = attrs.field(factory=list)
    notes: list[str] = attrs.field(factory=list)
    passed_over: list[tuple[Path, Path]] = attrs.field(factory=list)


def of_song(error: Exception) -> MashkitError:
    """Return the MashkitError with which a song is listed, for any exception that the song raised."""
    return contained(error, "it could not be used", Unforeseen)


class Adder:
    """Adds songs to a database.

    Parameters
    ----------
    database : MashupDB
    separator, analyzer
        Components. With an executor they must come from the registry, so that each worker can make its own.
    policy : ExcerptPolicy, optional
    with_features : bool
        Whether to store features of the stems too.
    executor : Executor, optional
        Computes the results; by default this process does.
    notify : callable
        Is called when a song starts and ends.
    registry : Registry, optional
        Its plugins may decode files (hook ``mashkit_load_audio``), and the executor's workers load no other plugins.
    same_recording : str, optional
        "once": one of the songs that are the same recording is used (see :mod:`mashkit.catalog.recordings`).
        "separate": each is a separate song, in later runs over this database too. By default the choice of an earlier
        run, else "once".
    among_given : bool
        Whether to compare songs with the other songs of the run only, not with the rest of the database. For a database
        that is a cache.

    Raises
    ------
    UsageError
        If an argument is of another type, or ``same_recording`` is another value.
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
        registry: Registry | None = None,
        same_recording: str | None = None,
        among_given: bool = False,
    ) -> None:
        require("database", database, MashupDB, "open one: MashupDB(folder)")
        require("separator", separator, Separator, "give a component; Kit.catalog(songs) takes names")
        require("analyzer", analyzer, Analyzer, "give a component; Kit.catalog(songs) takes names")
        if executor is not None:
            require("executor", executor, Executor, "give a component; Kit.catalog(songs) takes names")
        if registry is not None:
            require("registry", registry, Registry, "give a mashkit.Registry")
        policy = as_policy(policy)
        self.report = AddReport()
        self._same_recording = require_choice(same_recording)
        self._among_given = among_given
        self._database = database
        self._ingestor = Ingestor(
            separator,
            analyzer,
            policy=policy,
            with_features=with_features,
            loader=None if registry is None else _loader(registry),
        )
        self._registry = registry
        self._executor = executor
        self._notify = notify
        self._taken: dict[str, Path] = {}  # sha256 of a song → the file from which this run added it

    def add(self, songs: Sequence[Song | Unusable], *, protocol: str = PLAIN) -> Iterator[Added]:
        """Add songs and yield the outcome of each song when it is finished; :attr:`report` is complete at the end.

        Parameters
        ----------
        songs : sequence of Song or (Path, MashkitError)
            The songs that a dataset layout found, and the unusable files, which are reported as failures.
        protocol : str
            Name of the dataset layout, for the record.

        Raises
        ------
        OutputError
            If the disk is full or the database cannot be written, or a stored file cannot be examined. The songs added
            before stay.
        CatalogError
            If the database is damaged.
        """
        self._database.objects.require_folder()
        keys = self._ingestor.keys
        if isinstance(songs, Found):
            self.report.notes += songs.notes
        tried = [one.path if isinstance(one, Song) else one[0] for one in songs]
        with self._database.transaction() as cursor:
            self._database.forget_failures(cursor, self._database.outdated_failures(tried))
            self._database.store_component(cursor, keys.separator, self._ingestor.separator)
            self._database.store_component(cursor, keys.analyzer, self._ingestor.analyzer)
            for stand_in, kind in ((TRUE_STEMS, "separator"), (LABELS, "analyzer")):
                self._database.store_stand_in(cursor, stand_in, kind)
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
        self._ended: list[Added] = []  # outcomes to yield next
        self._done = 0
        self._digests: dict[Path, str] = {}
        self._stays: dict[Path, tuple[Song, str]] = {}  # songs that stay as stored, with their protocols
        self._came: dict[Path, str] = {}  # sha256 of each song that was not stored at its path before
        self._headers: dict[Path, tuple[int, int, int] | None] = {}
        self._under_way: dict[Path, list[Task]] = {}  # unfinished tasks of each song
        self._passed: dict[Path, PassedOver] = {}  # songs left out as same recordings, not reported yet
        self._failed: set[Path] = set()
        self._decoded: dict[Path, SongFacts] = {}  # facts of the songs that were decoded in this run
        self._soundprints = SoundprintStage(
            self._database,
            [one for one in songs if isinstance(one, Song)],
            policy=self._ingestor.policy,
            protocol=protocol,
            choice=adder._same_recording,
            among_given=adder._among_given,
            tell=self._say_soundprint,
        )

    def go(self) -> Iterator[Added]:
        executor = self._adder._executor
        for outcome in self._computed_here() if executor is None else self._computed_by(executor):
            if outcome is not None:
                task, result = outcome
                if isinstance(task, Song):
                    self._soundprints.take_outcome(task, result)
                else:
                    self._finish(task.song, result)
            yield from self._flush()
        self._report.notes += self._replaced()
        yield from self._flush()

    def _computed_here(self) -> Iterator[tuple[Task | Song, Any] | None]:
        """Yield each task with its result or error; yield None before, so that songs without a task appear at once."""
        for task in self._jobs():
            assert task is not None  # noqa: S101 — without an executor no task is unfinished here
            yield None
            result: Soundprinted | Computed | MashkitError
            try:
                if isinstance(task, Song):
                    result = soundprint_song(task, self._ingestor.loader)
                else:
                    result = self._ingestor.compute(task)
            except Exception as error:  # noqa: BLE001 — an error of one song is listed, and the run goes on
                result = of_song(error)
            yield task, result

    def _computed_by(self, executor: Executor) -> Iterator[tuple[Task | Song, Any]]:
        """Yield each task with its result or error, as the executor returns them."""
        works = _works(self._ingestor, self._adder._registry or Registry())

        def jobs() -> Iterator[Job | None]:
            for task in self._jobs():
                if task is None:
                    yield None
                elif isinstance(task, Song):
                    yield Job(works[SOUNDPRINT], task, str(task.path))
                else:
                    work = works[STEMS if task.wanted != {ANALYSIS} else ANALYSIS]
                    yield Job(work, task, path_text(task.song.path))

        for ended in executor.run(jobs()):
            yield ended.job.item, ended.result if ended.error is None else ended.error

    def _flush(self) -> Iterator[Added]:
        ended, self._ended = self._ended, []
        yield from ended

    # --------------------------------------------------------------------------------------------------- tasks
    def _jobs(self) -> Iterator[Task | Song | None]:
        """Yield first the songs that need a soundprint, then the tasks; finish the songs that need no computation.

        A song with the same sound as a song under way waits until that song is stored. None is yielded while only such
        songs are left.
        """
        waiting: list[Song | Unusable] = yield from self._once()
        if not waiting:
            waiting = yield from self._instead()
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
                except Exception as error:  # noqa: BLE001 — as above
                    self._end(Added(song.path, error=of_song(error)))
                    continue
                if task is not None:
                    self._say(song.path, "started")
                    tasks = self._split(task)
                    self._under_way[song.path] = list(tasks)
                    yield from tasks
            if len(deferred) == len(waiting):
                yield None
            waiting = deferred or (yield from self._instead())

    def _once(self) -> Generator[Song | None, None, list[Song | Unusable]]:
        """Yield the songs that need a soundprint; return the given songs without those left out as same recordings."""
        yield from self._soundprints.songs_to_decode()
        self._decoded.update(self._soundprints.facts)
        self._passed = self._soundprints.passed_over()
        self._report.notes += self._soundprints.notes
        remaining: list[Song | Unusable] = []
        for one in self._songs:
            if not isinstance(one, Song):
                remaining.append(one)
            elif one.path in self._soundprints.errors:
                remaining.append((one.path, self._soundprints.errors[one.path]))
            elif one.path not in self._passed:
                remaining.append(one)
        return remaining

    def _instead(self) -> Generator[None, None, list[Song | Unusable]]:
        """Return the songs to use because the songs used instead of them have failed; report the others left out."""
        while self._passed and self._under_way:
            yield None
        left_out = self._passed
        again = {path for path, one in left_out.items() if one.used in self._failed}
        self._passed = self._soundprints.passed_over_again(again, self._failed) if again else {}
        songs = [one for one in self._songs if isinstance(one, Song) and one.path in left_out]
        chosen = [one for one in songs if one.path in again and one.path not in self._passed]
        for song in songs:
            if song.path not in again or not chosen:  # else another song may still be used instead of it
                self._pass_over(song.path, self._passed.get(song.path, left_out[song.path]))
        return list(chosen)

    def _pass_over(self, path: Path, one: PassedOver) -> None:
        """Report that a song is not used."""
        self._report.passed_over.append((path, one.used))
        self._report.notes.append(told(one.match, path, one.used))
        self._end_unused(path)

    def _may_be_under_way(self, song: Song) -> bool:
        """Return whether a song of the same sound is under way; only songs with equal headers are decoded for this."""
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
        """Return the task for a song; None if nothing is missing, or the run has added the same sound already."""
        digest = self._soundprints.digests.get(song.path) or bytes_digest(song)
        self._digests[song.path] = digest
        known = self._database.song_of_file(digest)
        header = self._headers[song.path]
        if known is None and header is not None and self._database.may_hold(*header):
            # The file's bytes are new, but the sound may be known, because only the tags may have changed.
            known = self._facts(song).sha256
        row = None if known is None else self._database.song(known)
        if row is None:
            return Task(song)
        # An older mashkit did not measure silence and level, so the song is decoded once more.
        facts = row.facts if row.facts.peak is not None else self._facts(song)
        if not self._take(song, facts):
            return None
        # Where songs are read for one command, the database is only a cache, so no notes about it are given.
        if not self._adder._among_given:
            before = row.song.path if self._database.has_clips(facts.sha256) else None
            song = song if before is None else self._as_stored(song, row)
            path = self._stored_as(song)[0].path
            if before is None or absolute(before) != absolute(path):
                self._came[absolute(path)] = facts.sha256
        keys = self._database.known_results(facts.sha256)
        wanted = self._ingestor.missing(song, facts, keys)
        if wanted:
            return Task(song, keys, wanted)
        self._store(song, facts, Computed(facts, {}, {}), cached=True)
        return None

    def _take(self, song: Song, facts: SongFacts) -> bool:
        """Return whether a song is the first of its sound in this run."""
        first = self._adder._taken.setdefault(facts.sha256, song.path)
        if first != song.path:
            used = self._stays[first][0].path if first in self._stays else first
            if without_links(used) != without_links(song.path):  # else the note on the first names this file
                self._report.notes.append(f"{path_text(song.path)}: the same sound as {path_text(used)}; used once")
            self._end_unused(song.path)
            return False
        return True

    def _as_stored(self, song: Song, row: SongRow) -> Song:
        """Return the song to compute: the given song, or the stored song at the given path, if that one stays.

        A stored song stays if it says more than a plain given song: labels, true stems, parts, roles. It keeps its path
        too if the file there still has its sound. So a copy changes neither titles nor ids of clips.
        """
        stored, name = row.song, path_text(song.path)
        elsewhere = without_links(stored.path) != without_links(song.path) and self._has_sound(stored, row.facts.sha256)
        if elsewhere:
            self._report.notes.append(
                f"{name}: the same sound as {path_text(stored.path)}, which the database already has"
            )
        said = _said_by(stored) if self._protocol == PLAIN and all(map(exists, stored.stems.values())) else []
        if _said_by(song) or not (elsewhere or said):
            return song
        if said:
            before = "it was added with" if row.protocol == PLAIN else f"--protocol {row.protocol} gave it"
            again = "" if row.protocol == PLAIN else f"; add it with --protocol {row.protocol} again to renew them"
            self._report.notes.append(
                f"{name}: keeps the {' and '.join(said)} that {before}{again}; `mashkit db edit` corrects its clips"
            )
        here = attrs.evolve(stored, path=song.path)
        self._stays[song.path] = (stored if elsewhere else here), row.protocol
        return here

    def _stored_as(self, song: Song) -> tuple[Song, str]:
        """Return the song and the protocol to store for the song that is computed."""
        return self._stays.get(song.path, (song, self._protocol))

    def _replaced(self) -> list[str]:
        """Return a note for the user on each file of the run that held another song when it was added before.

        It comes last, because the other song may have moved to another file of the run.
        """
        if not self._came:
            return []
        return [
            f"{path_text(path)}: held another song before, whose {clips} clips stay; `mashkit db verify` lists such"
            for path, songs in self._database.sharing_a_path().items()
            for row, clips in songs
            if clips and row.facts.sha256 != self._came.get(path, row.facts.sha256)
        ]

    def _has_sound(self, song: Song, sha256: str) -> bool:
        """Return whether a song's files still have the sound with this sha256."""
        try:
            return (self._database.song_of_file(bytes_digest(song)) or self._facts(song).sha256) == sha256
        except MashkitError:
            return False

    def _split(self, task: Task) -> list[Task]:
        """Return the task, split in two if the separator uses a GPU, because the analysis needs none."""
        if self._adder._executor is None or self._ingestor.separator.gpus == 0 or len(task.wanted) < 2:
            return [task]
        return [attrs.evolve(task, wanted=frozenset({kind})) for kind in sorted(task.wanted)]

    # ------------------------------------------------------------------------------------------------- outcomes
    def _finish(self, song: Song, outcome: Computed | MashkitError) -> None:
        if song.path not in self._under_way:
            return  # the song's other task has failed
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
        except (OutputError, CatalogError):
            raise
        except Exception as error:  # noqa: BLE001 — as above
            self._under_way.pop(song.path, None)
            self._end(Added(song.path, error=of_song(error)))

    def _store(self, song: Song, facts: SongFacts, computed: Computed, *, cached: bool, complete: bool = True) -> None:
        """Store results and, if the song is complete, its clips, in one transaction.

        Nothing is stored if another process has stored the same recording in the meantime.
        """
        sha256, keys, given = facts.sha256, self._ingestor.keys, song.path
        song, protocol = self._stored_as(song)
        facts = attrs.evolve(facts, recording=self._database.recording_of(sha256))
        records: list[ClipRecord] = []
        notes: list[str] = []
        with self._database.transaction() as cursor:
            passed = self._soundprints.meanwhile(cursor, sha256) if complete else None
            if passed is None:
                number = self._database.store_facts(cursor, song, facts, protocol, self._digests[given])
                self._database.store_results(cursor, sha256, computed.results, computed.objects)
            if complete and passed is None:
                excerpts = excerpts_of(song, facts, self._ingestor.policy)
                self._database.store_results(cursor, sha256, self._late_tunings(song, facts), {})
                notes += [
                    f"{path_text(song.path)}: the edit {field} {value} of its clip from {start:g} s no longer applies, "
                    "because the song is cut elsewhere; set it again with `mashkit db edit`"
                    for start, field, value in self._database.carry_edits(cursor, sha256, excerpts)
                ]
                records, of_clips = clips_of(
                    song,
                    facts,
                    excerpts,
                    keys,
                    self._database.results(sha256),
                    self._database.edits(sha256, keys.analysed_by(song)),
                )
                notes += of_clips
                self._database.store_clips(cursor, number, records)
        if complete:
            del self._digests[given]
        if passed is not None:
            self._pass_over(given, passed)
        elif complete:
            self._report.notes += [f"{path_text(song.path)}: {note}" for note in facts.notes]
            self._report.notes += [*notes, *_alone(song, records)]
            self._end(Added(given, tuple(records), cached=cached))

    def _late_tunings(self, song: Song, facts: SongFacts) -> dict[str, tuple[str, Any]]:
        """Return the tunings of stored stems from an older mashkit, which did not measure the tuning."""
        keys, results, late = self._ingestor.keys, self._database.results(facts.sha256), {}
        for excerpt in excerpts_of(song, facts, self._ingestor.policy):
            key = keys.tuning(song, facts, excerpt)
            part = results[keys.stems(song, facts, excerpt)].get(Role.HARMONIC)
            if key not in results and part is not None:
                frames = round(excerpt.duration * SAMPLE_RATE)
                stem = self._database.objects.audio(SoundRef(part["sha256"], part["halvings"], 0, frames))
                late[key] = (TUNING, tuning(stem))
        return late

    def _end_unused(self, path: Path) -> None:
        """Count a song that is not used, and report it."""
        self._done += 1
        self._say(path, "cached")

    def _end(self, added: Added) -> None:
        """Count a song's outcome and report it."""
        self._done += 1
        self._ended.append(added)
        if added.error is not None:
            self._failed.add(added.path)
            self._report.failures.append((added.path, added.error))
            self._database.fail(added.path, added.error)
            self._say(added.path, "failed", said_of(added.path, added.error))
            return
        self._report.songs += 1
        self._report.clips += len(added.records)
        self._report.cached += added.cached
        self._say(added.path, "cached" if added.cached else "done")

    def _say_soundprint(self, path: Path, done: int, total: int) -> None:
        self._adder._notify(StageEvent(stage=SOUNDPRINT, item=path_text(path), state="done", done=done, total=total))

    def _say(self, path: Path, state: str, message: str = "") -> None:
        self._adder._notify(
            StageEvent(
                stage="catalog",
                item=path_text(path),
                state=state,
                done=self._done,
                total=len(self._songs),
                message=message,
            )
        )


def _said_by(song: Song) -> list[str]:
    """Return what a protocol said of a song, in words."""
    said = {
        "labels": song.known is not None,
        "true stems": bool(song.stems),
        "parts": song.excerpts is not None,
        "roles": song.holds != frozenset(Role),
    }
    return [name for name, there in said.items() if there]


def _alone(song: Song, records: Sequence[ClipRecord]) -> list[str]:
    """Return a note for the user on a song in which a voice was found to be alone."""
    clips = [record.clip for record in records if set(record.stems) == {Role.VOCAL}]
    if not clips or song.holds != frozenset(Role):
        return []
    where = "" if len(clips) == len(records) else f" from {', '.join(f'{clip.start:.0f} s' for clip in clips)} on"
    unknown = [name for name in ("key", "tempo", "downbeats") if any(_lacks(clip, name) for clip in clips)]
    missing = f", and {', '.join(unknown)} cannot be found from a voice alone" if unknown else ""
    return [
        f"{path_text(song.path)}: a voice alone{where}: it is used as the vocal, without harmony and drums{missing}"
        + ("; give it with --vocal, --vocal-key, --vocal-bpm and --vocal-downbeat" if unknown else "")
    ]


def _lacks(clip: Clip, name: str) -> bool:
    value = getattr(clip.analysis, name)
    return value is None or (name == "downbeats" and len(value) == 0)


def _header(song: Song) -> tuple[int, int, int] | None:
    """Return rate, channels and frames of a song's first file; None if the header cannot be read.

    Decoding the file raises the error.
    """
    try:
        header = probe(song.files[0])
    except AudioFileError:
        return None
    return header.sample_rate, header.channels, header.frames


# ------------------------------------------------------------------------------------------------- in other processes
@attrs.frozen
class _Recipe:
    """Names and options from which a worker builds its own ingestor, with the plugins of the caller's registry."""

    registry: Registry
    separator: tuple[str, Mapping[str, Any]]
    analyzer: tuple[str, Mapping[str, Any]]
    policy: ExcerptPolicy
    with_features: bool


def spec_of(component: Component) -> tuple[str, Mapping[str, Any]] | None:
    """Return (name, options) from which the registry makes an equal component; None if it was made by hand."""
    return None if component.origin is None else (component.info.name, component.options())


def _works(ingestor: Ingestor, registry: Registry) -> Mapping[str, Work]:
    """Return the works: soundprints, analysis alone, and separation, which includes the analysis if it is requested."""
    separator, analyzer = spec_of(ingestor.separator), spec_of(ingestor.analyzer)
    assert separator is not None  # noqa: S101 — callers use no executor for components made by hand
    assert analyzer is not None  # noqa: S101
    recipe = _Recipe(registry, separator, analyzer, ingestor.policy, ingestor.with_features)
    return {
        SOUNDPRINT: Work(name=SOUNDPRINT, start=_loader, arguments=(registry,), run=_soundprint),
        ANALYSIS: Work(name="analyze", start=_ingestor, arguments=(recipe,), run=Ingestor.compute),
        STEMS: Work(
            name="separate", start=_ingestor, arguments=(recipe,), run=Ingestor.compute, gpus=ingestor.separator.gpus
        ),
    }


def _loader(registry: Registry) -> Callable[..., Any]:
    hook: Callable[..., Any] = registry.plugins.hook.mashkit_load_audio
    return hook


def _soundprint(loader: Callable[..., Any], song: Song) -> Soundprinted:
    return soundprint_song(song, loader)


def _ingestor(recipe: _Recipe) -> Ingestor:
    return Ingestor(
        cast("Separator", recipe.registry.create("separator", *recipe.separator)),
        cast("Analyzer", recipe.registry.create("analyzer", *recipe.analyzer)),
        policy=recipe.policy,
        with_features=recipe.with_features,
        loader=_loader(recipe.registry),
    )


def can_travel(*components: Component) -> bool:
    """Return whether other processes can make these components."""
    return all(spec_of(component) is not None for component in components)


def usable(paths: Iterable[Path], describe: Callable[[Path], Song]) -> Found[Song | Unusable]:
    """Return a Song for each file or folder; a file that cannot be used is returned with its error instead."""
    found: Found[Song | Unusable] = Found(notes=paths.notes if isinstance(paths, Found) else ())
    for path in paths:
        try:
            found.append(describe(path))
        except Exception as error:  # noqa: BLE001 — an error of one song must not affect the others
            found.append((path, of_song(error)))
    return found
