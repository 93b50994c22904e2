"""Maintain a database: store corrections by hand, find damage, and delete results and files that no clip needs."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import attrs
import soundfile

from mashkit.audio.files import sound_name
from mashkit.catalog.clips import ClipRecord, clips_of
from mashkit.catalog.database import HAS_CLIPS, MEND_INDEX, DamagedIndex, LockedIndex, MashupDB, SongRow
from mashkit.catalog.edits import BEATS_A_BAR, FIELDS, parsed
from mashkit.catalog.ingest import ANALYSIS, LABELS, Keys
from mashkit.catalog.objects import FLAC, not_accessible, objects_in, reason
from mashkit.catalog.schema import COLUMNS, INDEX, lacking
from mashkit.catalog.songs import bytes_digest
from mashkit.errors import CatalogError, MashkitError, OutputError, UsageError
from mashkit.paths import exists, is_folder, path_of, path_text

Notify = Callable[[int, int], object]
"""A function that is called with (number of files checked, number of all files)."""


# ------------------------------------------------------------------------------------------------------- edits
def edit(
    database: MashupDB, clip_id: str, values: Mapping[str, str], *, lock: bool = False, undo: bool = False
) -> ClipRecord:
    """Store a person's corrections of a clip's excerpt and make the clip anew, without separating or analysing again.

    Parameters
    ----------
    database : MashupDB
    clip_id : str
    values : mapping of str to str
        "key", "tempo", "tuning", "beats_per_bar" or "downbeat" → text for :func:`mashkit.catalog.edits.parsed`; a
        downbeat is in seconds of the song. If the mapping is empty and ``lock`` is set, the clip's present values are
        locked.
    lock : bool
        Whether the corrections hold for all analyzers. By default they hold for the clip's present analyzer only.
    undo : bool
        First delete all earlier corrections of the excerpt. With ``lock`` and without values, what is left is locked.

    Returns
    -------
    ClipRecord
        The clip after the edit. If its downbeats moved, it was cut anew and has another id.

    Raises
    ------
    CatalogError
        If there is no such clip, or the results from which it was made have been pruned.
    UsageError, AnalysisError
        If a value makes no sense.
    """
    if lock and undo and not values:
        return edit(database, edit(database, clip_id, {}, undo=True).clip.id, {}, lock=True)
    record = database.record(clip_id)
    said = {field: parsed(field, text) for field, text in values.items()}
    if lock and not said:
        said = _present(record)
    start, end = record.excerpt.start, record.excerpt.start + record.excerpt.duration
    if not start <= said.get("downbeat", start) < end:
        raise UsageError(
            f"downbeat {said['downbeat']:g}: clip {clip_id} was cut from {start:g} s to {end:g} s of its song",
            "give a time in seconds of the song, between these",
        )
    row = database.song_of_clip(clip_id)
    song = row.facts.sha256
    keys = Keys(record.separator, record.analyzer, estimates_beats=record.analyzer != LABELS)
    with database.transaction() as cursor:
        if undo:
            cursor.execute("DELETE FROM edits WHERE song = ? AND excerpt_start_s = ?", (song, start))
        cursor.executemany(
            "INSERT OR REPLACE INTO edits VALUES (?, ?, ?, ?, ?)",
            [(song, start, field, json.dumps(value), "" if lock else keys.analyzer) for field, value in said.items()],
        )
        others = [database.record(other) for other in _clips_of_song(cursor, row.number)]
        excerpts = sorted((one.excerpt for one in others), key=lambda one: one.start)
        try:
            edits = database.edits(song, keys.analyzer)
            records, _ = clips_of(row.song, row.facts, excerpts, keys, database.results(song), edits)
        except KeyError as error:
            raise CatalogError(
                f"the excerpt of which clip {clip_id!r} was cut is no longer in {database.root}", "add its song again"
            ) from error
        database.store_clips(cursor, row.number, records)
    return next(one for one in records if one.excerpt.start == start)


def _present(record: ClipRecord) -> dict[str, Any]:
    """Return the values of a clip's analysis as edits, without the tuning.

    The tuning is measured on the harmonic stem, so it does not depend on the analyzer.
    """
    analysis = record.clip.analysis
    present: dict[str, Any] = {}
    if analysis.key is not None:
        present["key"] = str(analysis.key)
    if analysis.tempo is not None:
        present["tempo"] = analysis.tempo
    if analysis.beats_per_bar not in (None, BEATS_A_BAR):
        present["beats_per_bar"] = analysis.beats_per_bar
    if analysis.downbeats is not None and len(analysis.downbeats):
        present["downbeat"] = record.clip.start + float(analysis.downbeats[0])
    if not present:
        raise UsageError(f"clip {record.clip.id} has nothing to lock", f"give one of {', '.join(FIELDS)}")
    return present


def _clips_of_song(cursor: sqlite3.Connection, number: int) -> list[str]:
    return [clip_id for (clip_id,) in cursor.execute("SELECT id FROM clips WHERE song = ?", (number,)).fetchall()]


# ------------------------------------------------------------------------------------------------------- damage
Fault = Literal["index", "reference", "missing", "damaged", "unreadable", "orphan", "unfinished", "song", "clip"]


@attrs.frozen
class Finding:
    """A fault that :func:`verify` found in a database.

    Parameters
    ----------
    fault : str
        "index": the SQLite file is damaged. "reference": a row refers to a row that does not exist. "missing",
        "damaged": state of a stored file. "unreadable": a file or a folder cannot be read, or no file is there at all;
        the files may be whole, for example on a disk that is not mounted. "clip": a clip's data are incomplete or
        contradict each other. "song": a song's own file is gone, or holds another song; its clips can still be used.
        "orphan", "unfinished": no row refers to the file, which does no harm.
    what : str
        The file or the clip.
    message : str
    clips : tuple of str
        Clips that cannot be used because of the fault.
    """

    fault: Fault
    what: str
    message: str
    clips: tuple[str, ...] = ()

    @property
    def harmless(self) -> bool:
        """Whether all clips can still be used."""
        return self.fault in ("orphan", "unfinished", "song")

    @property
    def repairable(self) -> bool:
        """Whether :func:`repair` mends the fault."""
        return self.fault in ("missing", "damaged", "clip")

    @property
    def of_index(self) -> bool:
        """Whether the index itself is damaged."""
        return self.fault in ("index", "reference")


def verify(database: MashupDB, *, thorough: bool = True, notify: Notify = lambda *_: None) -> Iterator[Finding]:
    """Check a database for damage, and yield each fault.

    Parameters
    ----------
    database : MashupDB
        The database; it is not changed.
    thorough : bool
        Whether to read each file and compare its hash. Otherwise only its size is compared.
    notify : callable
        Is called with the number of files checked and the number of all files.

    Raises
    ------
    OutputError
        If the index cannot be read, because the disk is full or broken, or permissions are missing. This is no damage.
    CatalogError
        If another process locks the index.
    """
    try:
        problems = [text for (text,) in database.rows("PRAGMA integrity_check(100)") if text != "ok"]
        problems += lacking(database.rows(COLUMNS))
        dangling = database.rows("PRAGMA foreign_key_check")
    except DamagedIndex as error:
        yield Finding("index", str(database.root / INDEX), error.problem)
        return
    for text in problems:
        yield Finding("index", str(database.root / INDEX), text)
    if problems:
        return  # a damaged index cannot be trusted about files
    for table, row, parent, _ in dangling:
        yield Finding("reference", f"{table} row {row}", f"refers to what {parent} does not hold")
    yield from _verify_clips(database)
    yield from _verify_objects(database, thorough, notify)
    yield from _verify_songs(database)


def _verify_clips(database: MashupDB) -> Iterator[Finding]:
    incomplete = database.rows(
        "SELECT c.id FROM clips c LEFT JOIN details d USING (number) LEFT JOIN stems s USING (number)"
        " GROUP BY c.number HAVING d.number IS NULL OR count(s.role) = 0"
    )
    for (clip_id,) in incomplete:
        yield Finding("clip", clip_id, "has no details or no stems", (clip_id,))
    whole = {clip_id for (clip_id,) in database.rows("SELECT id FROM clips")} - {one for (one,) in incomplete}
    for clip_id in sorted(whole):
        try:
            record = database.record(clip_id)
            clip = record.clip
            lengths = {ref.frames for ref in record.stems.values()}
            if lengths != {round(clip.duration * clip.sample_rate)}:
                yield Finding("clip", clip_id, f"lasts {clip.duration} s, its stems {lengths} frames", (clip_id,))
        except (OutputError, LockedIndex):
            raise  # the index cannot be read, which says nothing about the clip
        except Exception as error:  # noqa: BLE001 — the values of a damaged row can cause any exception
            yield Finding("clip", clip_id, f"cannot be read: {error}", (clip_id,))


def _verify_objects(database: MashupDB, thorough: bool, notify: Notify) -> Iterator[Finding]:
    known = {
        (sha256, suffix): size for sha256, suffix, size in database.rows("SELECT sha256, suffix, bytes FROM objects")
    }
    found: list[Finding] = []
    for done, ((sha256, suffix), size) in enumerate(known.items(), 1):
        path = database.objects.path(sha256, suffix)
        fault, message = _look(path, sha256, suffix, size, thorough)
        if fault is not None:
            found.append(Finding(fault, str(path), message, _needing(database, sha256)))
        notify(done, len(known))
    root = database.objects.root
    none_left = bool(known) and sum(one.fault == "missing" for one in found) == len(known)
    if none_left and (len(database) > 1 or not is_folder(root)):
        clips = tuple(clip_id for (clip_id,) in database.rows("SELECT id FROM clips ORDER BY id"))
        said = f"none of the {len(known)} files is there: mount the disk, or add the songs again if the files are lost"
        found = [Finding("unreadable", str(root), said, clips)]
    yield from found
    errors: list[OSError] = []
    others = list(database.objects.files(errors.append))
    for error in errors:
        yield Finding("unreadable", str(error.filename), reason(error))
    for path in others:
        name, suffix = path.name[: -len(path.suffix)], path.suffix
        if (name, suffix) not in known:
            unfinished = path.name.startswith(".") or ".part" in path.name
            yield Finding(
                "unfinished" if unfinished else "orphan",
                str(path),
                "a write that was cut off" if unfinished else "nothing refers to it",
            )


def _look(path: Path, sha256: str, suffix: str, size: int, thorough: bool) -> tuple[Fault | None, str]:
    try:
        if path.stat().st_size != size:
            return "damaged", f"has {path.stat().st_size} bytes, {size} were written"
        if not thorough:
            return None, ""
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != sha256:
            return "damaged", "its bytes are not those that were written"
        if suffix == FLAC:
            soundfile.info(sound_name(path))
        return None, ""
    except FileNotFoundError:
        return "missing", "is not there"
    except (OSError, soundfile.LibsndfileError) as error:
        return "unreadable", reason(error)


def _needing(database: MashupDB, sha256: str) -> tuple[str, ...]:
    rows = database.rows(
        "SELECT DISTINCT c.id FROM clips c JOIN stems s USING (number) WHERE s.object = ?"
        " UNION SELECT c.id FROM clips c JOIN details d USING (number) WHERE d.features = ? ORDER BY 1",
        (sha256, sha256),
    )
    return tuple(clip_id for (clip_id,) in rows)


def _verify_songs(database: MashupDB) -> Iterator[Finding]:
    for path, stems in database.rows(f"SELECT path, stems FROM songs s WHERE {HAS_CLIPS} ORDER BY path"):  # noqa: S608 — ours
        files = [path_of(path), *map(path_of, json.loads(stems).values())]
        gone = [path_text(file) for file in files if not exists(file)]
        if gone:
            yield Finding(
                "song", path, f"no longer there: {', '.join(gone)}; its clips can be used, but not made again"
            )
    for shared, songs in database.sharing_a_path().items():
        if exists(shared):
            there = _held(database, [row for row, _ in songs])
            for row, clips in songs:
                if clips and row not in there:
                    yield Finding(
                        "song",
                        path_text(shared),
                        f"holds another song now; the {clips} clips of {row.song.title!r} before it can be used, "
                        "but not made again",
                    )


def _held(database: MashupDB, rows: Sequence[SongRow]) -> list[SongRow]:
    """Return which of the songs stored with one path their files still hold; the last of them if that is unknown."""
    held = []
    for row in rows:
        with contextlib.suppress(MashkitError):
            if database.song_of_file(bytes_digest(row.song)) == row.facts.sha256:
                held.append(row)
    return held or [rows[-1]]


def repair(database: MashupDB, findings: list[Finding]) -> list[str]:
    """Delete the clips that damage has made useless, and the results from which they were made; return their ids.

    Adding their songs again computes the clips anew. Only findings that are ``repairable`` are mended: what cannot be
    read now may be whole, and damage of the index itself cannot be repaired in this way.

    Raises
    ------
    CatalogError
        If the index is damaged.
    OutputError
        If a damaged file cannot be deleted; nothing is changed in the index then.
    """
    if any(finding.of_index for finding in findings):
        raise CatalogError(f"{database.root / INDEX} itself is damaged", MEND_INDEX)
    mended = [finding for finding in findings if finding.repairable]
    lost = sorted({clip_id for finding in mended for clip_id in finding.clips})
    with database.transaction() as cursor:
        for clip_id in lost:
            cursor.execute(
                "DELETE FROM results WHERE song = (SELECT s.sha256 FROM songs s JOIN clips c ON c.song = s.number"
                " WHERE c.id = ?)",
                (clip_id,),
            )
            cursor.execute("DELETE FROM clips WHERE id = ?", (clip_id,))
        for finding in mended:
            if finding.fault in ("missing", "damaged"):
                sha256 = Path(finding.what).name[: -len(Path(finding.what).suffix)]
                # Results of excerpts without clips may refer to the damaged file: they are deleted too.
                cursor.execute("DELETE FROM results WHERE instr(value, ?) > 0", (sha256,))
                cursor.execute("UPDATE details SET features = NULL WHERE features = ?", (sha256,))
                cursor.execute("DELETE FROM objects WHERE sha256 = ?", (sha256,))
                _delete(Path(finding.what))
    return lost


def _delete(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise not_accessible(error) from error


# -------------------------------------------------------------------------------------------------------- pruning
@attrs.frozen
class Pruned:
    """Numbers of results, rows and files that :func:`prune` deleted or would delete, and bytes of the files."""

    results: int
    objects: int
    files: int
    bytes: int


def prune(database: MashupDB, *, dry_run: bool = False) -> Pruned:
    """Delete everything that no clip needs: results of other components and excerpts, and files without references.

    Failures of songs whose files are gone are deleted too.

    The transaction blocks other writers, so that a file which another process is adding is never deleted.

    Parameters
    ----------
    database : MashupDB
    dry_run : bool
        Whether to only count what would be deleted.

    Raises
    ------
    OutputError
        If a folder cannot be read, or a file cannot be deleted; the next call deletes what is left.
    CatalogError
        If the index is damaged or locked.
    """
    with database.transaction() as cursor:
        needed = _needed_results(database, cursor)
        results, referred = [], set[str]()
        for key, kind, value in cursor.execute("SELECT key, kind, value FROM results").fetchall():
            if key not in needed:
                results.append(key)
            elif kind != ANALYSIS:
                referred |= objects_in(json.loads(value))
        referred |= {sha256 for (sha256,) in cursor.execute("SELECT object FROM stems").fetchall()}
        referred |= {sha256 for (sha256,) in cursor.execute("SELECT features FROM details").fetchall()}
        known = cursor.execute("SELECT sha256, suffix FROM objects").fetchall()
        objects = [sha256 for sha256, _ in known if sha256 not in referred]
        kept = {database.objects.path(sha256, suffix) for sha256, suffix in known if sha256 in referred}
        files = [path for path in database.objects.files() if path not in kept]
        pruned = Pruned(len(results), len(objects), len(files), sum(map(_size, files)))
        if not dry_run:
            database.forget_failures(cursor, database.outdated_failures())
            cursor.executemany("DELETE FROM results WHERE key = ?", [(key,) for key in results])
            cursor.executemany("DELETE FROM objects WHERE sha256 = ?", [(sha256,) for sha256 in objects])
    if not dry_run:
        # Rows are deleted first and files after the commit. If the process ends in between, only files without
        # references are left, which the next prune deletes. A file is kept if a writer has added it again meanwhile.
        with database.transaction() as cursor:
            for path in files:
                sha256 = path.name[: -len(path.suffix)]
                if not cursor.execute("SELECT 1 FROM objects WHERE sha256 = ?", (sha256,)).fetchone():
                    _delete(path)
    return pruned


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError as error:
        raise not_accessible(error) from error


def _needed_results(database: MashupDB, cursor: sqlite3.Connection) -> set[str]:
    """Return the keys of the results from which the present clips were made."""
    needed: set[str] = set()
    rows = cursor.execute(
        "SELECT s.sha256, c.id FROM clips c JOIN songs s ON s.number = c.song ORDER BY s.number"
    ).fetchall()
    row = None
    for sha256, clip_id in rows:
        if row is None or row.facts.sha256 != sha256:
            row = database.song(sha256)
        record = database.record(clip_id)
        assert row is not None  # noqa: S101 — a clip's song is a foreign key
        keys = Keys(record.separator, record.analyzer, estimates_beats=record.analyzer != LABELS)
        needed.add(keys.stems(row.song, row.facts, record.excerpt))
        needed.add(keys.tuning(row.song, row.facts, record.excerpt))
        needed.add(keys.features(row.song, row.facts, record.excerpt))
        analysis = keys.analysis(row.song, row.facts, record.excerpt)
        if analysis is not None:
            needed.add(analysis)
    return needed


# --------------------------------------------------------------------------------------------------------- content
def content_digest(database: MashupDB) -> str:
    """Return a sha256 of a database's content. It does not depend on who computed the content, or in which order.

    Two databases of the same songs made by the same components have the same digest. The digest leaves out SQLite's row
    numbers, failures, songs that were only decoded for their soundprint, and the digests of files.
    """
    digest = hashlib.sha256()
    for query in (
        "SELECT sha256, path, title, licence, sample_rate, channels, frames, duration_s, notes, protocol, source,"  # noqa: S608 — ours
        f" stems, excerpts, known, recording FROM songs s WHERE recording IS NOT NULL OR {HAS_CLIPS} ORDER BY sha256",
        "SELECT * FROM objects ORDER BY sha256",
        "SELECT * FROM results ORDER BY key",
        "SELECT * FROM components ORDER BY fingerprint",
        "SELECT c.id, s.sha256, c.duration_s, c.tonic, c.minor, c.tempo, c.tuning, c.downbeats, c.vocal,"
        " c.harmonic,"
        " c.percussion, d.start_s, d.excerpt_start_s, d.excerpt_s, d.on_downbeats, d.sample_rate, d.label, d.beats,"
        " d.downbeats, d.grid, d.grid_facts, d.rest, d.edited, d.features, d.separator, d.analyzer"
        " FROM clips c JOIN songs s ON s.number = c.song JOIN details d USING (number) ORDER BY c.id",
        "SELECT c.id, s.role, s.object, s.halvings, s.first, s.frames FROM stems s JOIN clips c USING (number)"
        " ORDER BY 1, 2",
        "SELECT * FROM edits ORDER BY song, excerpt_start_s, field",
    ):
        for row in database.stream(query):
            digest.update(repr(row).encode())
    return digest.hexdigest()
