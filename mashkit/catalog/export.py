"""Export a database for training elsewhere, as an index and shards of stems and features.

:mod:`mashkit.catalog.exported` describes the layouts.

The same clips always give the same bytes, because shards contain no dates, users or machines. Each file is written
whole or not at all. Each finished shard is recorded in a journal, so that the next run continues after an interruption.
"""

from __future__ import annotations

import contextlib
import io
import json
import tarfile
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from mashkit.arguments import require_path
from mashkit.atomicfile import replacing, require_writable_folder, write_json, write_text
from mashkit.catalog.clips import ClipRecord
from mashkit.catalog.database import MashupDB
from mashkit.catalog.exported import (
    FEATURES,
    FIELDS,
    LAYOUTS,
    MANIFEST,
    Layout,
    Manifest,
    Shard,
    member,
    read_manifest,
    require_pyarrow,
    row_of_record,
    schema,
    shard_paths,
)
from mashkit.catalog.objects import encode
from mashkit.catalog.scanning import SYSTEM_FOLDERS
from mashkit.catalog.upkeep import content_digest
from mashkit.errors import CatalogError, OutputError, UsageError
from mashkit.hookspecs import StageEvent
from mashkit.paths import path_text
from mashkit.rendering.output import environment
from mashkit.types import Audio, Role

SHARD_CLIPS = 64
"""Clips in a shard: some 0.8 GB with three stems of 30 s, a size that suits readers of webdataset."""
JOURNAL = ".finished.jsonl"
"""Name of the journal of an unfinished export: one line on the kind of export, then one for each finished shard."""


def export(
    database: MashupDB,
    folder: Path | str,
    *,
    layout: Layout = "parquet",
    fields: Sequence[str] | None = None,
    shard_clips: int = SHARD_CLIPS,
    notify: Callable[[StageEvent], object] = lambda _: None,
) -> Manifest:
    """Write all clips of a database into a folder; finished shards of an interrupted run are kept.

    The order of the clips is independent of their songs, and the same from run to run.

    Parameters
    ----------
    database : MashupDB
        The database; it must not change during the export.
    folder : Path
        An empty folder, or a folder with an export of the same kind and content. Hidden files may be in it.
    layout : {"parquet", "webdataset"}
    fields : sequence of str, optional
        Fields from :data:`mashkit.catalog.exported.FIELDS`; by default all, but features only if every clip has them.
        The metadata of the clips are always exported.
    shard_clips : int
        Clips in a shard, ≥ 1.
    notify : callable
        Is called for each shard.

    Returns
    -------
    Manifest

    Raises
    ------
    UsageError
        If the arguments make no sense, or the folder holds another export or other files.
    CatalogError
        If there are no clips, a clip lacks a requested field or its files are damaged, or the database changes.
    OutputError
        If the folder cannot be written or the disk is full. Finished shards stay; a partial shard is removed.
    MashkitError
        If the layout is Parquet and pyarrow is not installed.
    """
    if layout not in LAYOUTS:
        raise UsageError(f"there is no layout {layout!r}", f"use one of {', '.join(LAYOUTS)}")
    if shard_clips < 1:
        raise UsageError(f"shard_clips is {shard_clips}", "give 1 or more")
    if layout == "parquet":
        require_pyarrow()
    numbers = [number for (number,) in database.rows("SELECT number FROM clips ORDER BY place, id")]
    if not numbers:
        raise CatalogError(f"{database.root} holds no clips", "add songs: mashkit db add")
    chosen = _chosen_fields(database, fields)
    folder = require_writable_folder(require_path("folder", folder))
    kind = _Kind(layout, chosen, shard_clips, content_digest(database))
    finished = _Finished(folder, kind)
    shards: list[Shard] = []
    total = -(-len(numbers) // shard_clips)
    for number in range(total):
        paths = shard_paths(layout, chosen, number)
        found = finished.find(paths.values())
        if found is None:
            records = map(database.record_of, numbers[number * shard_clips : (number + 1) * shard_clips])
            write = _write_parquet if layout == "parquet" else _write_webdataset
            made = write(database, records, folder, paths, chosen)
            finished.add(made)
        shards += found or made
        notify(StageEvent(stage="export", item=str(folder / next(iter(paths.values()))),
                          state="cached" if found else "done", done=number + 1, total=total))  # fmt: skip
    if content_digest(database) != kind.content_sha256:
        raise CatalogError(f"{database.root} changed while it was exported", "export it again, into another folder")
    manifest = _manifest(database, kind, shards)
    write_json(folder / MANIFEST, manifest.to_dict())
    finished.forget()
    return manifest


def _chosen_fields(database: MashupDB, fields: Sequence[str] | None) -> tuple[str, ...]:
    unknown = sorted(set(fields or ()) - set(FIELDS))
    if unknown or (fields is not None and not fields):
        raise UsageError(
            f"there is no field {', '.join(unknown)}" if unknown else "no field is named",
            f"name one or more of {', '.join(FIELDS)}",
        )
    ((lacking,),) = database.rows("SELECT count(*) FROM details WHERE features IS NULL")
    if fields is None:
        return tuple(field for field in FIELDS if field != FEATURES or not lacking)
    if FEATURES in fields and lacking:
        raise CatalogError(
            f"{lacking} clips of {database.root} have no features",
            "add their songs again with features, or export without features",
        )
    return tuple(field for field in FIELDS if field in fields)


def _manifest(database: MashupDB, kind: _Kind, shards: Sequence[Shard]) -> Manifest:
    licences = database.rows(
        "SELECT s.licence, count(*), sum(c.duration_s) FROM clips c JOIN songs s ON s.number = c.song"
        " GROUP BY s.licence ORDER BY s.licence"
    )
    ((songs,),) = database.rows("SELECT count(DISTINCT song) FROM clips")
    used = database.rows("SELECT separator FROM details UNION SELECT analyzer FROM details")
    return Manifest(
        layout=kind.layout,
        fields=kind.fields,
        shard_clips=kind.shard_clips,
        content_sha256=kind.content_sha256,
        clips=sum(clips for _, clips, _ in licences),
        songs=songs,
        duration_s=sum(duration for *_, duration in licences),
        licences={licence: clips for licence, clips, _ in licences},
        components={fingerprint: dict(database.component(fingerprint)) for (fingerprint,) in sorted(used)},
        environment=environment(),
        shards=shards,
    )


# -------------------------------------------------------------------------------------------------------- resuming
@attrs.frozen
class _Kind:
    """The kind and content of an export; two equal kinds give equal exports."""

    layout: Layout
    fields: tuple[str, ...]
    shard_clips: int
    content_sha256: str

    def line(self) -> str:
        """Return the kind as a line of the journal."""
        return json.dumps(attrs.asdict(self))


class _Finished:
    """The finished shards of an export."""

    def __init__(self, folder: Path, kind: _Kind) -> None:
        self._folder = folder
        self._journal = folder / JOURNAL
        self._known: dict[str, Shard] = {}
        if (folder / MANIFEST).exists():
            manifest = read_manifest(folder)
            there = _Kind(manifest.layout, manifest.fields, manifest.shard_clips, manifest.content_sha256).line()
            noted = list(manifest.shards)
        else:
            if not self._journal.exists():
                self._require_empty()
            there, *lines = self._lines() or [kind.line()]
            noted = [shard for line in lines if (shard := _noted(line)) is not None]
        if there != kind.line():
            raise UsageError(
                f"{folder} holds an export of another kind or content", "name another folder, or delete it"
            )
        # The journal is written anew, because a new line after an incomplete last line could not be read.
        write_text(self._journal, f"{kind.line()}\n")
        self.add(noted)

    def _require_empty(self) -> None:
        """Raise UsageError if there are files: without manifest and journal they are the user's, and may be replaced.

        Hidden files may be there, because a file manager makes them, and a kill leaves one while a journal is written.
        Folders that systems use for themselves may be there too, because a new disk has one.
        """
        names = (one.name for one in self._folder.iterdir())
        if any(not name.startswith(".") and name.lower() not in SYSTEM_FOLDERS for name in names):
            raise UsageError(
                f"{path_text(self._folder)} is not empty, and holds no export that this could continue",
                "name another folder",
            )

    def _lines(self) -> list[str]:
        try:
            return self._journal.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        except (OSError, UnicodeDecodeError) as error:
            raise CatalogError(
                f"{self._journal} cannot be read: {error}", "delete the folder and export again"
            ) from error

    def find(self, paths: Collection[str]) -> list[Shard] | None:
        """Return the shards of these paths if all files are complete and their hashes correct; else None."""
        found = []
        for path in paths:
            shard, file = self._known.get(path), self._folder / path
            if shard is None or not file.is_file() or Shard.of(path, file) != shard:
                return None
            found.append(shard)
        return found

    def add(self, shards: Sequence[Shard]) -> None:
        """Record finished shards in the journal.

        Raises
        ------
        OutputError
            If the journal cannot be written.
        """
        self._known |= {shard.path: shard for shard in shards}
        try:
            with self._journal.open("a", encoding="utf-8") as file:
                file.writelines(f"{json.dumps(attrs.asdict(shard))}\n" for shard in shards)
        except OSError as error:
            raise OutputError(
                f"cannot write {self._journal}: {error.strerror}", "free space, and run it again"
            ) from error

    def forget(self) -> None:
        """Delete the journal, because the manifest contains all of it."""
        self._journal.unlink(missing_ok=True)


def _noted(line: str) -> Shard | None:
    """Return the shard of a journal line; None if the line is incomplete, because its run was interrupted."""
    try:
        return Shard(**json.loads(line))
    except (ValueError, TypeError):
        return None


# -------------------------------------------------------------------------------------------------------- writing
class _Tar:
    """A tar that contains no trace of the date, the user or the machine."""

    def __init__(self, path: Path) -> None:
        self._tar = tarfile.TarFile(path, "w", format=tarfile.USTAR_FORMAT)

    def __enter__(self) -> _Tar:
        self._tar.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._tar.__exit__(*error)

    def add(self, name: str, data: bytes) -> tuple[int, int]:
        """Add a file; return the offset of its content in the tar and its size, bytes."""
        info = tarfile.TarInfo(name)  # time, user and group are 0
        info.size = len(data)
        offset = self._tar.offset + len(info.tobuf(tarfile.USTAR_FORMAT))
        self._tar.addfile(info, io.BytesIO(data))
        return offset, len(data)


def _write_webdataset(
    database: MashupDB, records: Iterable[ClipRecord], folder: Path, paths: Mapping[str, str], fields: Sequence[str]
) -> list[Shard]:
    (path,) = paths.values()
    with replacing(folder / path) as temporary:
        with _Tar(temporary) as tar:
            for record in records:
                clip_id = record.clip.id
                known = json.dumps(_known(record), sort_keys=True, ensure_ascii=False, allow_nan=False)
                tar.add(f"{clip_id}.json", known.encode())
                for field in fields:
                    tar.add(clip_id + member(field), _data(database, record, field))
        return [Shard.of(path, temporary)]


def _write_parquet(
    database: MashupDB, records: Iterable[ClipRecord], folder: Path, paths: Mapping[str, str], fields: Sequence[str]
) -> list[Shard]:
    import pyarrow
    import pyarrow.parquet

    with contextlib.ExitStack() as files:
        temporary = {name: files.enter_context(replacing(folder / path)) for name, path in paths.items()}
        rows = []
        with contextlib.ExitStack() as open_tars:
            tars = {field: open_tars.enter_context(_Tar(temporary[field])) for field in fields}
            for record in records:
                places = {
                    field: tar.add(record.clip.id + member(field), _data(database, record, field))
                    for field, tar in tars.items()
                }
                rows.append(row_of_record(_known(record), places))
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows, schema(fields)), temporary["index"])
        return [Shard.of(path, temporary[name]) for name, path in paths.items()]


def _known(record: ClipRecord) -> dict[str, Any]:
    """Return the metadata of a clip as plain data."""
    return record.clip.to_dict() | {
        "separator": record.separator,
        "analyzer": record.analyzer,
        "halvings": {str(role): record.stems[role].halvings if role in record.stems else 0 for role in Role},
    }


def _data(database: MashupDB, record: ClipRecord, field: str) -> bytes:
    """Return the content of the file of a clip's field."""
    if field != FEATURES and Role(field) in record.clip.lacks:  # silence, because all clips must have the same files
        frames = next(iter(record.stems.values())).frames
        return encode(Audio(np.zeros((2, frames), np.float32), record.clip.sample_rate))[1]
    if field != FEATURES:
        return database.objects.cut(record.stems[Role(field)])
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **features_within(database.objects.arrays(record.features), record))
    return file.getvalue()


def features_within(arrays: Mapping[str, npt.NDArray[Any]], record: ClipRecord) -> dict[str, npt.NDArray[Any]]:
    """Return the frames of an excerpt's features whose centres lie in the clip, with times from the clip's start."""
    rate = record.clip.sample_rate
    first = next(iter(record.stems.values())).first / rate
    inside = (arrays["times"] >= first) & (arrays["times"] < first + record.clip.duration)
    return {name: values[inside] - first if name == "times" else values[..., inside] for name, values in arrays.items()}
