"""MashupDB: store clips, their analyses and their stems in a folder.

The folder contains ``index.sqlite`` and ``objects/``, whose files are named by the sha256 of their bytes. The folder
can be moved, because the only outside paths in it are those of the songs' files. Each song's clips are stored in one
transaction, so that a killed process never leaves a part of a song's clips.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import math
import os
import shlex
import sqlite3
import stat
import threading
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from mashkit.arguments import require, require_path
from mashkit.atomicfile import closed_on_error, transaction
from mashkit.catalog.clips import ClipRecord
from mashkit.catalog.excerpts import Excerpt
from mashkit.catalog.filesystems import network_file_system
from mashkit.catalog.ingest import FEATURE, STEMS, SongFacts, identity_of
from mashkit.catalog.objects import ObjectStore, SoundRef, objects_in
from mashkit.catalog.schema import INDEX, OBJECTS, SCHEMA_VERSION, migrate
from mashkit.catalog.songs import Song
from mashkit.cliptable import LACKING, ClipTable, bar_column
from mashkit.components import Component, without_costs
from mashkit.errors import CatalogError, MashkitError, OutputError, Unforeseen, contained
from mashkit.features.soundprint import VERSION as PRINT_VERSION
from mashkit.features.soundprint import Soundprint, shelved
from mashkit.paths import absolute, encodable, exists, folded, path_of, path_text
from mashkit.rendering.cache import Recent
from mashkit.timing import metre
from mashkit.timing.beatmap import GRID_VERSION, BeatGrid, BeatsDistrusted, grid_or_doubt
from mashkit.types import STEM_NAMES, Analysis, Chords, Clip, Key, Melody, Role, Times

PATIENCE_S = 60.0
"""Longest time that a writer waits for another writer, seconds: many times the length of a transaction."""
MEND_INDEX = (
    f"move {INDEX} and the files {INDEX}-* beside it to another folder, because SQLite would write the changes in them"
    " into a restored copy; then restore the file from a copy, or add the songs again"
)
"""What to do about a damaged index."""
CARRIED = ("key", "tuning", "beats_per_bar")
"""Fields whose edits hold for an overlapping excerpt too."""
KEPT_CLIPS = 4096
"""Number of clips kept in memory with their beats, some 10 MB."""


class DamagedIndex(CatalogError):
    """The SQLite file of a database is damaged.

    Parameters
    ----------
    problem : str
    fix : str, optional
    """

    def __init__(self, problem: str, fix: str | None = MEND_INDEX) -> None:
        super().__init__(problem, fix)


class LockedIndex(CatalogError):
    """Another process locks the SQLite file of a database, and did not end in time."""


@attrs.frozen
class SongRow:
    """A song as it is stored in the database, with its row number."""

    number: int
    song: Song
    facts: SongFacts
    protocol: str


class MashupDB:
    """A database of clips.

    Parameters
    ----------
    root : Path
        Folder of the database; it is created if it is missing and ``write`` is set.
    write : bool
        Whether the database is opened for writing. Without it, a read-only folder can be opened too.

    Raises
    ------
    OutputError
        If the folder cannot be created or written.
    CatalogError
        If there is no database to read, or it is damaged or of a newer mashkit.

    Examples
    --------
    >>> import mashkit as mk
    >>> with mk.MashupDB("songs.mashdb") as database:  # then Kit().add(database, "my-songs")
    ...     len(database.table())
    0
    >>> mk.MashupDB("elsewhere", write=False)
    Traceback (most recent call last):
        ...
    mashkit.errors.CatalogError: elsewhere holds no database (make one: mashkit db add FOLDER --db elsewhere)
    """

    def __init__(self, root: Path | str, *, write: bool = True) -> None:
        self._named = require_path("root", root)
        self.root = absolute(self._named)  # because the process may change its folder later
        self.write = write
        self.objects = ObjectStore(self.root / OBJECTS)
        self.notes: list[str] = []
        self._lock = threading.RLock()
        with self._speaking():
            self._database = self._open()
            # An open connection keeps files open, so it is closed at the latest when this object is deleted.
            self._closed = weakref.finalize(self, self._database.close)
            (version,) = self._database.execute("PRAGMA user_version").fetchone()
            if version > SCHEMA_VERSION:
                raise CatalogError(
                    f"{self._named}: the database is of schema {version}, this mashkit reads {SCHEMA_VERSION}",
                    "update mashkit",
                )
            if version < SCHEMA_VERSION:
                if not write:
                    raise CatalogError(
                        f"{self._named}: the database is of schema {version}, this mashkit reads {SCHEMA_VERSION}",
                        "open it once for writing: `mashkit db add`, or any command that adds to it",
                    )
                migrate(self._database)

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy in another process is opened for reading, because only one process writes.
        return functools.partial(MashupDB, self.root, write=False), ()

    def __enter__(self) -> MashupDB:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the index."""
        self._closed()

    # --------------------------------------------------------------------------------------------------- opening
    def _open(self) -> sqlite3.Connection:
        path = self.root / INDEX
        if not self.write:
            return self._open_to_read(path)
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"cannot write to {self._named}: {error.strerror}", "name another folder with --db or --cache"
            ) from error
        with closed_on_error(_connect(path)) as database:
            self._configure(database)
        return database

    def _configure(self, database: sqlite3.Connection) -> None:
        network = network_file_system(self.root)
        if network:
            # SQLite's write-ahead log needs memory that its users share, and different machines share none.
            database.execute("PRAGMA locking_mode = EXCLUSIVE")
            database.execute("PRAGMA journal_mode = DELETE")
            self.notes.append(
                f"{self._named} is on a network file system ({network}): it is locked for this process alone, and "
                "slow; a local disk serves several"
            )
        else:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")  # commits survive a kill; a power cut may lose the last one
        database.execute("PRAGMA foreign_keys = ON")

    def _open_to_read(self, path: Path) -> sqlite3.Connection:
        require_database(self._named)
        # SQLite needs a new file in the folder to read the log, which is impossible in a read-only folder. Without a
        # log it needs no such file, so that the database can be opened as immutable.
        frozen = not os.access(self.root, os.W_OK) and not self._has_log()
        return _connect(f"{path.absolute().as_uri()}?{'immutable=1' if frozen else 'mode=ro'}", uri=True)

    def _has_log(self) -> bool:
        """Return whether there are changes in SQLite's log that are not in the index yet."""
        log = self.root / f"{INDEX}-wal"
        return exists(log) and log.stat().st_size > 0

    @contextlib.contextmanager
    def _speaking(self) -> Iterator[None]:
        """Convert SQLite's exceptions into errors that name the fix."""
        try:
            yield
        except sqlite3.Error as error:
            raise self._error_of(error) from error

    def _error_of(self, error: sqlite3.Error) -> MashkitError:
        """Return the error that says what to do about SQLite's error, by its primary code: the texts differ."""
        where = f"{self._named / INDEX}: {error}"
        if isinstance(error, (sqlite3.ProgrammingError, sqlite3.InterfaceError)):
            if "closed database" in str(error):
                return CatalogError(f"{self._named} is closed", "use it inside the with block, or open it again")
            # The call is wrong, which says nothing about the file.
            return contained(error, str(self._named / INDEX), Unforeseen)
        # Python itself has no code for its only such error, a text in the file that is no UTF-8.
        match getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF:
            case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
                return DamagedIndex(where)
            case sqlite3.SQLITE_FULL:
                return OutputError(where, "free space; the next run continues where this run stopped")
            case sqlite3.SQLITE_IOERR:  # of a full disk too, if it is SQLite's log that cannot grow
                return OutputError(where, "free space; if there is enough, check the disk")
            case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
                if not self.write and self._has_log():
                    return OutputError(
                        f"{where}: {INDEX}-wal holds changes that a program did not finish writing; SQLite can read"
                        " them only if the folder can be written to",
                        "copy the whole folder to a disk that can be written, and use the copy",
                    )
                return OutputError(where, "check its permissions, or name another folder")
            case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED | sqlite3.SQLITE_PROTOCOL:
                return LockedIndex(where, "another process is writing to it: try again when it has ended")
            case _:
                verify = f"mashkit db verify --db {shlex.quote(path_text(self._named))}"
                return Unforeseen(where, f"`{verify}` says whether it is damaged; if it is not, report it")

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Open a transaction and give its connection; all changes are stored together, or none.

        Raises
        ------
        OutputError
            If the disk is full or broken, or the database cannot be written.
        CatalogError
            If the database is damaged, or another process locks it for longer than a minute.
        """
        if not self.write:
            raise OutputError(f"{self._named} was opened only for reading", "open it with write=True")
        with self._lock, self._speaking(), transaction(self._database) as database:
            yield database

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a query.

        Raises
        ------
        OutputError
            If the index cannot be read, or the disk has no space for the file that SQLite needs for this.
        CatalogError
            If the index is damaged or locked.
        """
        with self._lock, self._speaking():
            return self._database.execute(query, values).fetchall()

    def stream(self, query: str) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a query one by one, because they may not fit in memory; raises as :meth:`rows` does."""
        with self._lock, self._speaking():
            yield from self._database.execute(query)

    # ----------------------------------------------------------------------------------------------------- songs
    def song_of_file(self, digest: str) -> str | None:
        """Return the song whose files have this digest (:mod:`mashkit.catalog.songs`), as the sha256 of its sound."""
        found = self.rows("SELECT song FROM files WHERE digest = ?", (digest,))
        return str(found[0][0]) if found else None

    def may_hold(self, sample_rate: int, channels: int, frames: int) -> bool:
        """Return whether a song with such a file header is stored; different sounds may have equal headers."""
        query = "SELECT 1 FROM songs WHERE frames = ? AND sample_rate = ? AND channels = ? LIMIT 1"
        return bool(self.rows(query, (frames, sample_rate, channels)))

    def song(self, sha256: str) -> SongRow | None:
        """Return the stored song with this sha256, or None."""
        found = self.rows(
            "SELECT number, path, title, licence, sample_rate, channels, frames, duration_s, notes, protocol, source,"
            " stems, excerpts, known, holds, sound, recording FROM songs WHERE sha256 = ?",
            (sha256,),
        )
        if not found:
            return None
        (number, path, title, licence, rate, channels, frames, duration, notes, protocol, source, stems, excerpts,
         known, holds, sound, recording) = found[0]  # fmt: skip
        song = Song(
            path=path_of(path),
            title=title,
            licence=licence,
            # A database may contain stems of other names; they have no role, so no clip contains their sound.
            stems={name: path_of(stem) for name, stem in json.loads(stems).items() if name in STEM_NAMES},
            excerpts=None if excerpts is None else tuple(Excerpt(*one) for one in json.loads(excerpts)),
            known=None if known is None else Analysis.from_dict(json.loads(known)),
            source=json.loads(source),
            holds=frozenset(Role) if holds is None else frozenset(map(Role, json.loads(holds))),
        )
        measured = {} if sound is None else json.loads(sound)
        silent = tuple((start, end) for start, end in measured.get("silent", ()))
        facts = SongFacts(
            sha256, rate, channels, frames, duration, tuple(json.loads(notes)), measured.get("peak"), silent, recording
        )
        return SongRow(number, song, facts, protocol)

    def song_of_clip(self, clip_id: str) -> SongRow:
        """Return the song of a clip; raises as :meth:`record` does."""
        query = "SELECT s.sha256 FROM songs s JOIN clips c ON c.song = s.number WHERE c.number = ?"
        ((sha256,),) = self.rows(query, (self._require_number(clip_id),))
        row = self.song(sha256)
        assert row is not None  # noqa: S101 — a clip's song is a foreign key
        return row

    def sharing_a_path(self) -> dict[Path, list[tuple[SongRow, int]]]:
        """Return the songs stored with one path, oldest first, with their numbers of clips; the file holds one of them.

        A file with new content is a new song, and the clips of the old one stay.
        """
        rows = self.rows(
            "SELECT s.sha256, count(c.number) FROM songs s LEFT JOIN clips c ON c.song = s.number WHERE s.path IN"
            " (SELECT path FROM songs GROUP BY path HAVING count(*) > 1) GROUP BY s.number ORDER BY s.path, s.number"
        )
        found: dict[Path, list[tuple[SongRow, int]]] = {}
        for sha256, clips in rows:
            row = self.song(sha256)
            assert row is not None  # noqa: S101 — it was read just now
            found.setdefault(row.song.path, []).append((row, clips))
        return found

    def known_results(self, song: str) -> frozenset[str]:
        """Return the keys of a song's results, without the results of which a file is missing or of another length.

        Raises
        ------
        OutputError
            If a file cannot be examined, so that nothing is known about it.
        """
        rows = self.rows("SELECT key, kind, value FROM results WHERE song = ?", (song,))
        named = {key: objects_in(json.loads(value)) for key, kind, value in rows if kind in (STEMS, FEATURE)}
        wanted = sorted(set().union(*named.values()))
        marks = ", ".join("?" * len(wanted))
        query = f"SELECT sha256, suffix, bytes FROM objects WHERE sha256 IN ({marks})"  # noqa: S608 — marks
        stored = {sha256 for sha256, suffix, size in self.rows(query, wanted) if self.objects.has(sha256, suffix, size)}
        return frozenset(key for key, _, _ in rows if named.get(key, set()) <= stored)

    def results(self, song: str) -> dict[str, Any]:
        """Return a song's results, key → value."""
        rows = self.rows("SELECT key, value FROM results WHERE song = ?", (song,))
        return {key: json.loads(value) for key, value in rows}

    def edits(self, song: str, analyzer: str) -> dict[float, dict[str, Any]]:
        """Return a person's corrections of a song that hold for this analyzer: excerpt start → field → value."""
        rows = self.rows(
            "SELECT excerpt_start_s, field, value FROM edits WHERE song = ? AND analyzer IN ('', ?)", (song, analyzer)
        )
        found: dict[float, dict[str, Any]] = {}
        for start, field, value in rows:
            found.setdefault(start, {})[field] = json.loads(value)
        return found

    def carry_edits(
        self, database: sqlite3.Connection, song: str, excerpts: Sequence[Excerpt]
    ) -> list[tuple[float, str, Any]]:
        """Move a song's edits from the excerpts of its clips to its new excerpts, inside a transaction.

        Key, tuning and beats in a bar hold for each new excerpt that shares more than half of the shorter of the two
        with the old excerpt. Tempo and downbeat place the beats of one excerpt, so they are not moved.

        Returns
        -------
        list of (float, str, value)
            The edits that no longer apply: start of the old excerpt, field and value. They are kept for that excerpt.
        """
        old = dict(
            database.execute(
                "SELECT d.excerpt_start_s, d.excerpt_s FROM details d JOIN clips c USING (number)"
                " JOIN songs s ON s.number = c.song WHERE s.sha256 = ?",
                (song,),
            ).fetchall()
        )
        lost, present = [], {one.start for one in excerpts}
        for start, field, value, analyzer in database.execute(
            "SELECT excerpt_start_s, field, value, analyzer FROM edits WHERE song = ? ORDER BY excerpt_start_s, field",
            (song,),
        ).fetchall():
            if start in present or start not in old:
                continue
            there = Excerpt(start, old[start])
            near = [one for one in excerpts if _share_most(one, there)] if field in CARRIED else []
            if not near:
                lost.append((start, field, json.loads(value)))
                continue
            database.executemany(
                "INSERT OR IGNORE INTO edits VALUES (?, ?, ?, ?, ?)",
                [(song, one.start, field, value, analyzer) for one in near],
            )
            database.execute(
                "DELETE FROM edits WHERE song = ? AND excerpt_start_s = ? AND field = ?", (song, start, field)
            )
        return lost

    def store_facts(
        self, database: sqlite3.Connection, song: Song, facts: SongFacts, protocol: str, digest: str
    ) -> int:
        """Store a song, inside a transaction; return its number."""
        values = {
            "sha256": facts.sha256,
            "path": path_text(absolute(song.path)),
            "title": song.title,
            "licence": song.licence,
            "sample_rate": facts.sample_rate,
            "channels": facts.channels,
            "frames": facts.frames,
            "duration_s": facts.duration_s,
            "notes": json.dumps(facts.notes),
            "protocol": protocol,
            "source": json.dumps(dict(song.source), sort_keys=True),
            "stems": json.dumps({name: path_text(absolute(path)) for name, path in song.stems.items()}, sort_keys=True),
            "excerpts": None if song.excerpts is None else json.dumps([attrs.astuple(one) for one in song.excerpts]),
            "known": None if song.known is None else json.dumps(song.known.to_dict()),
            "holds": None if song.holds == frozenset(Role) else json.dumps(sorted(song.holds)),
            "sound": None if facts.peak is None else json.dumps({"peak": facts.peak, "silent": facts.silent}),
        }
        (number,) = database.execute(f"{_upsert('songs', values, 'sha256')} RETURNING number", values).fetchone()
        self.store_file(database, facts.sha256, digest)
        return int(number)

    def store_file(self, database: sqlite3.Connection, song: str, digest: str) -> None:
        """Store the digest of the bytes of a song's files, inside a transaction."""
        database.execute("INSERT OR REPLACE INTO files VALUES (?, ?)", (digest, song))

    # ------------------------------------------------------------------------------------------------ recordings
    def has_print(self, song: str) -> bool:
        """Return whether a song's soundprint is stored."""
        return bool(self.rows("SELECT 1 FROM prints WHERE song = ? AND version = ?", (song, PRINT_VERSION)))

    def print_of(self, song: str) -> Soundprint:
        """Return a song's soundprint; raises CatalogError if it is not stored."""
        found = self.rows("SELECT shape FROM prints WHERE song = ?", (song,))
        sound = Soundprint.from_bytes(found[0][0]) if found else None
        if sound is None:
            raise CatalogError(
                f"{self._named} holds no fingerprint of the sound of song {song[:16]}", "add the song again"
            )
        return sound

    def store_print(self, database: sqlite3.Connection, song: str, sound: Soundprint) -> None:
        """Store a song's soundprint, inside a transaction."""
        database.execute(
            "INSERT OR REPLACE INTO prints VALUES (?, ?, ?, ?)",
            (song, PRINT_VERSION, shelved(sound).astype("<u2").tobytes(), sound.to_bytes()),
        )

    def songs_without_soundprint(self) -> list[str]:
        """Return the songs that have clips but no soundprint of the present version."""
        rows = self.rows(
            f"SELECT s.sha256 FROM songs s WHERE {HAS_CLIPS} AND NOT EXISTS"  # noqa: S608 — ours
            " (SELECT 1 FROM prints p WHERE p.song = s.sha256 AND p.version = ?) ORDER BY s.number",
            (PRINT_VERSION,),
        )
        return [song for (song,) in rows]

    def words(self, *, after: int = 0) -> list[tuple[str, npt.NDArray[np.uint16]]]:
        """Return the soundprint's words of each song with clips, in the order in which the songs were added.

        Parameters
        ----------
        after : int
            Only songs with a clip that was stored after :meth:`last_clip` returned this.
        """
        rows = self.rows(
            "SELECT s.sha256, p.words FROM songs s JOIN prints p ON p.song = s.sha256"
            " WHERE s.number IN (SELECT song FROM clips WHERE number > ?) AND p.version = ? ORDER BY s.number",
            (after, PRINT_VERSION),
        )
        return [(song, np.frombuffer(words, "<u2").astype(np.uint16)) for song, words in rows]

    def last_clip(self) -> int:
        """Return the number of the clip that was stored last; 0 if there are no clips."""
        return int(self.rows("SELECT coalesce(max(number), 0) FROM clips")[0][0])

    def total_of_recordings(self) -> tuple[int, float]:
        """Return the number of recordings with clips, and the seconds of their songs in total.

        Songs without clips are not counted: they are the same recording as another song, or unfinished.
        """
        ((recordings, seconds),) = self.rows(
            f"SELECT count(DISTINCT {RECORDING}), coalesce(sum(duration_s), 0) FROM songs s WHERE {HAS_CLIPS}"  # noqa: S608 — ours
        )
        return int(recordings), float(seconds)

    def has_clips(self, song: str) -> bool:
        """Return whether a song has clips."""
        return bool(self.rows(f"SELECT 1 FROM songs s WHERE s.sha256 = ? AND {HAS_CLIPS}", (song,)))  # noqa: S608 — ours

    def recording_of(self, song: str) -> str | None:
        """Return the song of which this song is the same recording; itself if a person chose so; None if unknown."""
        found = self.rows("SELECT recording FROM songs WHERE sha256 = ?", (song,))
        return found[0][0] if found else None

    def store_recording(self, database: sqlite3.Connection, song: str, recording: str | None) -> None:
        """Store of which song this song is the same recording, inside a transaction.

        Songs that refer to this song get the same new reference.
        """
        database.execute("UPDATE songs SET recording = ? WHERE sha256 = ?", (recording, song))
        if recording is not None and recording != song:
            database.execute("UPDATE songs SET recording = ? WHERE recording = ?", (recording, song))

    def same_recordings(self) -> list[tuple[Path, Path, bool]]:
        """Return each song that is the same recording as another, that other, and whether the song has own clips."""
        rows = self.rows(
            f"SELECT s.path, r.path, {HAS_CLIPS} FROM songs s JOIN songs r ON r.sha256 = s.recording"  # noqa: S608 — ours
            " WHERE r.number <> s.number ORDER BY s.path"
        )
        return [(Path(path), Path(other), bool(clips)) for path, other, clips in rows]

    def other_files_of_recording(self, song: str) -> list[Path]:
        """Return the files of the other songs that are the same recording as this song."""
        rows = self.rows(
            f"SELECT path FROM songs s WHERE sha256 <> ?1 AND (recording = ?1 OR {RECORDING} ="  # noqa: S608 — ours
            " (SELECT recording FROM songs WHERE sha256 = ?1)) ORDER BY path",
            (song,),
        )
        return [path_of(path) for (path,) in rows]

    def store_results(
        self,
        database: sqlite3.Connection,
        song: str,
        results: Mapping[str, tuple[str, Any]],
        objects: Mapping[tuple[str, str], bytes],
    ) -> None:
        """Store results and the files to which they refer, inside a transaction."""
        for (sha256, suffix), data in objects.items():
            self.objects.put(sha256, data, suffix)
            database.execute("INSERT OR IGNORE INTO objects VALUES (?, ?, ?)", (sha256, suffix, len(data)))
        rows = [(key, song, kind, json.dumps(value)) for key, (kind, value) in results.items()]
        database.executemany("INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?)", rows)

    def store_component(self, database: sqlite3.Connection, fingerprint: str, component: Component) -> None:
        """Store a component's description, inside a transaction."""
        self._store_description(database, fingerprint, without_costs(component.described()))

    def store_stand_in(self, database: sqlite3.Connection, name: str, kind: str) -> None:
        """Store the name that true stems or labels have in place of a component's fingerprint, inside a transaction."""
        self._store_description(database, name, {"kind": kind, "name": name})

    def _store_description(
        self, database: sqlite3.Connection, fingerprint: str, description: Mapping[str, Any]
    ) -> None:
        database.execute(
            "INSERT OR IGNORE INTO components VALUES (?, ?, ?)",
            (fingerprint, description["kind"], json.dumps(description, sort_keys=True)),
        )

    def store_clips(self, database: sqlite3.Connection, song: int, records: Sequence[ClipRecord]) -> None:
        """Store these clips as the clips of a song, inside a transaction; its other clips are deleted."""
        ids = [record.clip.id for record in records]
        marks = ", ".join("?" * len(ids))
        database.execute(f"DELETE FROM clips WHERE song = ? AND id NOT IN ({marks})", (song, *ids))  # noqa: S608 — marks
        for record in records:
            self._store_clip(database, song, record)

    def _store_clip(self, database: sqlite3.Connection, song: int, record: ClipRecord) -> None:
        clip, analysis = record.clip, record.clip.analysis
        key = analysis.key
        values = {
            "id": clip.id,
            "place": _place(clip.id),
            "song": song,
            "duration_s": clip.duration,
            "tonic": -1 if key is None else key.relative_major_tonic,
            "minor": key is not None and key.mode == "minor",
            "tempo": analysis.tempo,
            "tuning": analysis.tuning,
            "downbeats": 0 if analysis.downbeats is None else len(analysis.downbeats),
            **{str(role): LACKING if role in clip.lacks else clip.activity[role] for role in Role},
            "bar": bar_column(analysis),
            "doubtful": metre.doubt(analysis) is not None,
        }
        (number,) = database.execute(f"{_upsert('clips', values, 'id')} RETURNING number", values).fetchone()
        rest = {
            "confidence": dict(analysis.confidence),
            "tempo_candidates": [list(pair) for pair in analysis.tempo_candidates],
            "loudness": {str(role): value for role, value in clip.loudness.items() if math.isfinite(value)},
            "entry": {str(role): value for role, value in clip.entry.items()},
            **({} if analysis.chords is None else {"chords": analysis.chords.to_dict()}),
            **({} if analysis.melody is None else {"melody": analysis.melody.to_dict()}),
        }
        grid, facts = _stored_grid(analysis)
        details = {
            "number": number,
            "start_s": clip.start,
            "excerpt_start_s": record.excerpt.start,
            "excerpt_s": record.excerpt.duration,
            "on_downbeats": record.excerpt.on_downbeats,
            "sample_rate": clip.sample_rate,
            "label": clip.label,
            "beats": _blob(analysis.beats),
            "downbeats": _blob(analysis.downbeats),
            "grid": grid,
            "grid_facts": json.dumps(facts, sort_keys=True),
            "rest": json.dumps(rest, sort_keys=True),
            "edited": json.dumps(clip.edited),
            "features": record.features or None,
            "separator": record.separator,
            "analyzer": record.analyzer,
        }
        database.execute(_upsert("details", details, "number"), details)
        database.executemany(
            "INSERT OR REPLACE INTO stems VALUES (?, ?, ?, ?, ?, ?)",
            [
                (number, str(role), ref.sha256, ref.halvings, ref.first, ref.frames)
                for role, ref in record.stems.items()
            ],
        )

    def fail(self, path: Path, error: MashkitError) -> None:
        """Store that a song could not be used, and why."""
        with self.transaction() as database:
            database.execute(
                "INSERT OR REPLACE INTO failures VALUES (?, ?, ?)",
                (path_text(absolute(path)), error.problem, error.fix),
            )

    def failures(self) -> list[tuple[Path, MashkitError]]:
        """Return the songs that could not be used in the last attempt, with their errors."""
        rows = self.rows("SELECT path, error, fix FROM failures ORDER BY path")
        return [(path_of(path), CatalogError(error, fix)) for path, error, fix in rows]

    def outdated_failures(self, tried: Iterable[Path] | None = None) -> list[Path]:
        """Return the failures of files that are gone, and of ``tried``, the paths that a run tries again.

        A run reads no other folders than those of its paths, so only failures of files below these are included
        then. By default all are.
        """
        again = None if tried is None else set(map(absolute, tried))
        folders = None if again is None else {path.parent for path in again}
        return [
            path
            for path, _ in self.failures()
            if (again is not None and path in again)
            or (not exists(path) and (folders is None or not folders.isdisjoint(path.parents)))
        ]

    def forget_failures(self, database: sqlite3.Connection, paths: Iterable[Path]) -> None:
        """Delete the failures of these paths, inside a transaction."""
        database.executemany("DELETE FROM failures WHERE path = ?", [(path_text(path),) for path in paths])

    # ----------------------------------------------------------------------------------------------------- clips
    def record(self, clip_id: str) -> ClipRecord:
        """Return a clip with the references to its stems and features.

        Raises
        ------
        CatalogError
            If there is no clip of that id.
        UsageError
            If ``clip_id`` is not text.
        """
        return self.record_of(self._require_number(clip_id))

    def _require_number(self, clip_id: str) -> int:
        number = self.number_of(clip_id)
        if number is None:
            raise CatalogError(
                f"no clip {clip_id!r} in {self._named}",
                "see `mashkit db list`; the id is another after an edit, another analysis, or another name of the song",
            )
        return number

    def number_of(self, clip_id: str) -> int | None:
        """Return a clip's row number, or None if there is no clip of that id; raises UsageError if it is not text."""
        found = self.rows("SELECT number FROM clips WHERE id = ?", (_id_of(clip_id),))
        return int(found[0][0]) if found else None

    def record_of(self, number: int) -> ClipRecord:
        """Return the clip with this row number; raises CatalogError if it was deleted."""
        found = self.rows(
            "SELECT c.id, s.sha256, s.recording, s.title, s.path, s.licence, c.duration_s, c.tonic, c.minor,"
            " c.tempo, c.tuning, c.vocal, c.harmonic, c.percussion, d.start_s, d.excerpt_start_s, d.excerpt_s,"
            " d.on_downbeats, d.sample_rate, d.label, d.beats, d.downbeats, d.rest, d.edited, d.features, d.separator,"
            " d.analyzer"
            " FROM clips c JOIN songs s ON s.number = c.song JOIN details d USING (number) WHERE c.number = ?",
            (number,),
        )
        if not found:
            raise CatalogError(f"clip number {number} is no longer in {self._named}", "read the clips again")
        (clip_id, sha256, recording, title, path, licence, duration, tonic, minor, tempo, tuning, *active, start,
         excerpt_start, excerpt_s, on_downbeats, rate, label, beats, downbeats, rest_text, edited, features, separator,
         analyzer) = found[0]  # fmt: skip
        rest = json.loads(rest_text)
        analysis = Analysis(
            key=None if tonic < 0 else Key((tonic - 3) % 12, "minor") if minor else Key(tonic, "major"),
            tempo=tempo,
            beats=_times(beats),
            downbeats=_times(downbeats),
            confidence=rest["confidence"],
            tempo_candidates=tuple((bpm, strength) for bpm, strength in rest["tempo_candidates"]),
            tuning=tuning,
            chords=Chords.from_dict(rest["chords"]) if "chords" in rest else None,
            melody=Melody.from_dict(rest["melody"]) if "melody" in rest else None,
        )
        clip = Clip(
            id=clip_id,
            song=identity_of(sha256, recording),
            title=title,
            source=path,
            start=start,
            duration=duration,
            sample_rate=rate,
            analysis=analysis,
            licence=licence,
            loudness={
                role: rest["loudness"].get(str(role), -math.inf)
                for role, share in zip(Role, active, strict=True)
                if share != LACKING
            },
            activity={role: share for role, share in zip(Role, active, strict=True) if share != LACKING},
            entry={Role(role): at for role, at in rest["entry"].items()},
            label=label,
            edited=json.loads(edited),
            lacks=frozenset(role for role, share in zip(Role, active, strict=True) if share == LACKING),
        )
        stems = {
            Role(role): SoundRef(sha256, halvings, first, frames)
            for role, sha256, halvings, first, frames in self.rows(
                "SELECT role, object, halvings, first, frames FROM stems WHERE number = ?", (number,)
            )
        }
        excerpt = Excerpt(excerpt_start, excerpt_s, label, bool(on_downbeats))
        return ClipRecord(clip, stems, features or "", excerpt, separator, analyzer)

    def grid(self, clip_id: str) -> BeatGrid | BeatsDistrusted:
        """Return a clip's beat grid, or the error of :func:`mashkit.timing.beatmap.beat_grid` if its beats are not
        reliable.

        Raises
        ------
        CatalogError
            If there is no clip of that id.
        UsageError
            If ``clip_id`` is not text.
        """
        found = self.rows(
            "SELECT d.grid, d.grid_facts, c.number FROM clips c JOIN details d USING (number) WHERE c.id = ?",
            (_id_of(clip_id),),
        )
        if not found:
            raise CatalogError(f"no clip {clip_id!r} in {self._named}", "see `mashkit db list`")
        times, facts = _times(found[0][0]), json.loads(found[0][1])
        if facts.pop("version") != GRID_VERSION:  # another mashkit made the grid and smoothed it differently
            return grid_or_doubt(self.record_of(found[0][2]).clip.analysis)
        return BeatsDistrusted(facts["doubt"]) if times is None else BeatGrid(times, **facts)

    def component(self, fingerprint: str) -> Mapping[str, Any]:
        """Return a component's description; for true stems and labels, a description that contains only this name."""
        found = self.rows("SELECT description FROM components WHERE fingerprint = ?", (fingerprint,))
        description: Mapping[str, Any] = json.loads(found[0][0])
        return description

    def components_used(self) -> list[Mapping[str, Any]]:
        """Return the descriptions of the components that made clips of the database."""
        rows = self.rows(
            "SELECT description FROM components c"
            " WHERE EXISTS (SELECT 1 FROM details d WHERE c.fingerprint IN (d.separator, d.analyzer))"
        )
        return [json.loads(text) for (text,) in rows]

    def table(self) -> ClipTable:
        """Return all clips as a table, in an order that does not depend on when they were added.

        The table does not follow later changes of the database. Reading a million clips takes a second or two, and
        60 MB.
        """
        with self._lock, self._speaking():
            cursor = self._database.execute(
                "SELECT number, place, song, duration_s, tonic, minor, coalesce(tempo, -1), downbeats, vocal, harmonic,"
                " percussion, coalesce(tuning, -100), bar, doubtful FROM clips"
            )
            columns = np.fromiter(cursor, _COLUMNS)
        same: dict[int, int] = dict(self.rows(
            "SELECT s.number, r.number FROM songs s JOIN songs r ON r.sha256 = s.recording WHERE r.number <> s.number"
        ))  # fmt: skip
        if same:
            numbers, of = np.unique(columns["song"], return_inverse=True)
            columns["song"] = np.array([same.get(number, number) for number in numbers.tolist()], np.int64)[of]
        columns = columns[np.argsort(columns["place"], kind="stable")]
        rows = _Rows(self, columns["number"].copy())
        return ClipTable(
            songs=columns["song"].copy(),
            tonics=columns["tonic"].copy(),
            minor=columns["minor"].copy(),
            tempi=np.where(columns["tempo"] < 0, np.nan, columns["tempo"]),
            downbeats=columns["downbeats"] > 0,
            durations=columns["duration_s"].copy(),
            activity=np.stack([columns[str(role)] for role in Role], axis=1),
            tunings=np.where(columns["tuning"] < -50, np.nan, columns["tuning"]),
            bars=columns["bar"].copy(),
            doubtful=columns["doubtful"].copy(),
            fetch=rows.fetch,
            row_of=rows.row_of,
            grid_of=rows.grid_of,
        )

    def __len__(self) -> int:
        return int(self.rows("SELECT count(*) FROM clips")[0][0])


HAS_CLIPS = "EXISTS (SELECT 1 FROM clips c WHERE c.song = s.number)"
"""SQL condition: the song `s` has clips."""
RECORDING = "coalesce(s.recording, s.sha256)"
"""SQL expression: the recording of the song `s`; equal for all songs of one recording."""

_COLUMNS = np.dtype([
    ("number", "i8"), ("place", "i8"), ("song", "i8"), ("duration_s", "f8"), ("tonic", "i1"), ("minor", "?"),
    ("tempo", "f8"), ("downbeats", "i4"), *((str(role), "f4") for role in Role), ("tuning", "f8"), ("bar", "i1"),
    ("doubtful", "?"),
])  # fmt: skip


class _Rows:
    """Reads the clips of a table by row, and keeps the clips used lately in memory."""

    def __init__(self, database: MashupDB, numbers: npt.NDArray[np.int64]) -> None:
        self._database = database
        self._numbers = numbers
        self._order = np.argsort(numbers)
        self._kept: Recent[Clip] = Recent(KEPT_CLIPS)

    def __reduce__(self) -> tuple[Any, ...]:
        return _Rows, (self._database, self._numbers)

    def fetch(self, row: int) -> Clip:
        number = int(self._numbers[row])
        return self._kept.get(number, lambda: self._database.record_of(number).clip)

    def grid_of(self, clip: Clip) -> BeatGrid | BeatsDistrusted:
        return self._database.grid(clip.id)

    def row_of(self, clip_id: str) -> int | None:
        number = self._database.number_of(clip_id)
        if number is None:
            return None
        at = int(np.searchsorted(self._numbers, number, sorter=self._order))
        known = at < len(self._numbers) and self._numbers[self._order[at]] == number
        return int(self._order[at]) if known else None


def require_database(root: Path) -> None:
    """Raise CatalogError if the folder holds no database, or cannot be read."""
    try:
        there = stat.S_ISREG((root / INDEX).stat().st_mode)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        there = False
    except OSError as error:
        raise CatalogError(f"{root} cannot be read: {error.strerror}", "check its permissions and its disk") from error
    if not there:
        raise CatalogError(f"{root} holds no database", f"make one: mashkit db add FOLDER --db {root}")


def _connect(target: Path | str, *, uri: bool = False) -> sqlite3.Connection:
    database = sqlite3.connect(target, timeout=PATIENCE_S, isolation_level=None, check_same_thread=False, uri=uri)
    database.create_function("folded", 1, folded, deterministic=True)  # SQLite's own lower() is for ASCII only
    return database


def _upsert(table: str, values: Mapping[str, Any], key: str) -> str:
    """Return the SQL statement that inserts a row, or updates the row with the same key."""
    names = ", ".join(values)
    marks = ", ".join(f":{name}" for name in values)
    changes = ", ".join(f"{name} = excluded.{name}" for name in values if name != key)
    return f"INSERT INTO {table} ({names}) VALUES ({marks}) ON CONFLICT ({key}) DO UPDATE SET {changes}"  # noqa: S608 — names of ours


def _share_most(one: Excerpt, other: Excerpt) -> bool:
    """Return whether two excerpts share more than half of the shorter one."""
    shared = min(one.start + one.duration, other.start + other.duration) - max(one.start, other.start)
    return shared > min(one.duration, other.duration) / 2


def require_clip_id(clip_id: object) -> str:
    """Return a clip's id; raises UsageError if it is not text."""
    return require("clip_id", clip_id, str, "give the id of a clip: clip.id")


def _id_of(clip_id: object) -> str:
    """Return a clip's id as text that SQLite can store: it refuses surrogates."""
    return encodable(require_clip_id(clip_id))


def _place(clip_id: str) -> int:
    """Return a clip's place in the order of clips: a hash of its id, so that the order of adding has no effect."""
    return int.from_bytes(hashlib.sha256(clip_id.encode()).digest()[:8]) >> 1


def _stored_grid(analysis: Analysis) -> tuple[bytes | None, dict[str, Any]]:
    """Return a beat grid's times and its other values in the form in which they are stored."""
    grid = grid_or_doubt(analysis)
    if isinstance(grid, BeatsDistrusted):
        return None, {"version": GRID_VERSION, "doubt": grid.problem}
    facts = {"version": GRID_VERSION, "bar": grid.bar, "downbeat": grid.downbeat, "jitter_s": grid.jitter_s}
    return _blob(grid.times), facts


def _blob(times: Times | None) -> bytes | None:
    return None if times is None else times.astype("<f8").tobytes()


def _times(blob: bytes | None) -> Times | None:
    return None if blob is None else np.frombuffer(blob, "<f8")
