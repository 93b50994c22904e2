"""Define the layouts of exports of a database, and read exports with checks.

Clips lie in shards of equal numbers of clips. In layout "parquet", shard 0 consists of ``index/000000.parquet``, with
one row of metadata for each clip, and of one tar for each field, such as ``vocal/000000.tar``. The row contains the
byte of the tar at which the clip's member begins, so that one clip can be read alone. In layout "webdataset", shard 0
is ``clips/000000.tar``. In it, a clip's members follow each other and share the clip's id: ``ID.json``,
``ID.vocal.flac``. ``manifest.json`` lists the shards with their sha256.

Stems are 24-bit FLAC files of exactly the clip. A sound with a peak above 1 is divided by two ``halvings`` times.
Features are arrays of :mod:`mashkit.features.spectral` for the frames within the clip.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import attrs
import numpy as np
import numpy.typing as npt
import soundfile

from mashkit.arguments import require_path
from mashkit.catalog.objects import arrays_in
from mashkit.errors import AnalysisError, CatalogError, MashkitError, StemError, require_packages
from mashkit.models import sha256_of
from mashkit.paths import without_links
from mashkit.types import Audio, Clip, Role, as_role, as_tuple, frozen_mapping

FORMAT = 1
"""Version of the format. Add 1 when an older mashkit could no longer read new exports."""
MANIFEST = "manifest.json"
FEATURES = "features"
FIELDS = (*map(str, Role), FEATURES)
"""Fields that can be exported; the metadata of a clip are always exported."""
Layout: TypeAlias = Literal["parquet", "webdataset"]
LAYOUTS: tuple[Layout, ...] = get_args(Layout)

_FIX = "copy it again, or export again"
_CLIP_ID = re.compile(r"[a-z0-9-]{1,64}")


def require_pyarrow() -> None:
    """Raise MashkitError if Parquet cannot be written and read; called before anything is written."""
    fix = "pip install 'mashkit[export]', or use the layout webdataset"
    require_packages("Parquet needs", ["pyarrow"], fix, MashkitError)


def member(field: str) -> str:
    """Return the suffix of a field's files in a tar."""
    return f".{field}.npz" if field == FEATURES else f".{field}.flac"


def shard_paths(layout: Layout, fields: Sequence[str], number: int) -> dict[str, str]:
    """Return the files of a shard: content ("index", a field, "clips") → path relative to the export."""
    if layout == "webdataset":
        return {"clips": f"clips/{number:06}.tar"}
    return {"index": f"index/{number:06}.parquet", **{field: f"{field}/{number:06}.tar" for field in fields}}


@attrs.frozen
class Shard:
    """A file of an export.

    Parameters
    ----------
    path : str
        Relative to the export.
    bytes : int
    sha256 : str
    """

    path: str
    bytes: int
    sha256: str

    @classmethod
    def of(cls, path: str, file: Path) -> Shard:
        """Return the Shard of a file that lies, or will lie, at ``path`` of an export."""
        return cls(path, file.stat().st_size, sha256_of(file))


@attrs.frozen(kw_only=True)
class Manifest:
    """The content list of an export.

    Parameters
    ----------
    layout : {"parquet", "webdataset"}
    fields : tuple of str
        Exported fields, from :data:`FIELDS`.
    shard_clips : int
        Clips in a shard; the last shard may have fewer.
    content_sha256 : str
        Digest of the exported database (:func:`mashkit.catalog.upkeep.content_digest`).
    clips, songs : int
        Numbers of clips and songs.
    duration_s : float
        Total length of all clips, seconds.
    licences : mapping of str to int
        Licence → number of clips under it. Each clip's own licence is among its metadata.
    components : mapping of str to mapping
        Fingerprint → description of the component.
    environment : mapping
        Versions of the software that wrote the export.
    shards : tuple of Shard
    """

    layout: Layout
    fields: tuple[str, ...] = attrs.field(converter=as_tuple)
    shard_clips: int
    content_sha256: str
    clips: int
    songs: int
    duration_s: float
    licences: Mapping[str, int] = attrs.field(converter=frozen_mapping)
    components: Mapping[str, Mapping[str, Any]] = attrs.field(converter=frozen_mapping)
    environment: Mapping[str, Any] = attrs.field(converter=frozen_mapping)
    shards: tuple[Shard, ...] = attrs.field(converter=as_tuple)

    def __attrs_post_init__(self) -> None:
        if self.layout not in LAYOUTS or not self.fields or not set(self.fields) <= set(FIELDS):
            raise ValueError(f"layout {self.layout!r} of {self.fields}")
        if self.shard_clips < 1 or self.clips < 1:
            raise ValueError(f"{self.clips} clips, {self.shard_clips} to a shard")
        count = -(-self.clips // self.shard_clips)
        paths = [path for number in range(count) for path in shard_paths(self.layout, self.fields, number).values()]
        if [shard.path for shard in self.shards] != paths:
            raise ValueError(f"its shards do not fit {self.clips} clips, {self.shard_clips} in each shard")

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "format": FORMAT,
            **{field.name: getattr(self, field.name) for field in attrs.fields(Manifest) if field.name != "shards"},
            "licences": dict(self.licences),
            "components": dict(self.components),
            "environment": dict(self.environment),
            "shards": [attrs.asdict(shard) for shard in self.shards],
        }


def read_manifest(folder: Path | str) -> Manifest:
    """Read the manifest of an export.

    Raises
    ------
    CatalogError
        If there is no finished export, or its manifest is damaged or of a newer mashkit.
    """
    folder = require_path("folder", folder)
    path = folder / MANIFEST
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(data, dict) or not isinstance(data.get("format"), int):
            raise ValueError("it names no format")
        if data["format"] > FORMAT:
            raise CatalogError(
                f"{path} has format {data['format']}, but this mashkit reads format {FORMAT}", "update mashkit"
            )
        shards = [Shard(**shard) for shard in data.pop("shards")]
        del data["format"]
        return Manifest(**data, shards=shards)
    except FileNotFoundError as error:
        raise CatalogError(
            f"{folder} holds no finished export",
            f"give the folder of a finished export; `mashkit db export -o {folder}` makes one",
        ) from error
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise CatalogError(f"{path} cannot be read: {error}", _FIX) from error


@attrs.frozen(kw_only=True)
class ExportedClip:
    """A clip of an export, with its sound still encoded.

    Parameters
    ----------
    clip : Clip
        Equal to the clip in the database.
    separator, analyzer : str
        Fingerprints; the manifest's components contain their descriptions.
    halvings : mapping of Role to int
        How many times each stem was divided by two to fit into FLAC.
    members : mapping of str to bytes
        Field → content of its file.
    """

    clip: Clip
    separator: str
    analyzer: str
    halvings: Mapping[Role, int] = attrs.field(converter=frozen_mapping)
    members: Mapping[str, bytes] = attrs.field(converter=frozen_mapping, repr=False)

    def stem(self, role: Role) -> Audio:
        """Return the stem of a role, bit-equal to the stem in the database.

        Raises
        ------
        StemError
            If the stem was not exported, or there is no such role.
        CatalogError
            If the stem cannot be decoded, or its length is not the clip's.
        """
        role = as_role(role)
        if role not in self.members:
            raise StemError(f"the {role} stem of clip {self.clip.id} was not exported", f"export it: --field {role}")
        try:
            samples, sample_rate = soundfile.read(io.BytesIO(self.members[role]), dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise CatalogError(f"the {role} stem of clip {self.clip.id} cannot be decoded: {error}", _FIX) from error
        if len(samples) != round(self.clip.duration * self.clip.sample_rate):
            raise CatalogError(f"the {role} stem of clip {self.clip.id} is not as long as the clip", _FIX)
        samples = np.ascontiguousarray(samples.T)
        samples *= np.float32(2.0 ** self.halvings[role])
        samples.flags.writeable = False
        return Audio(samples, sample_rate)

    def features(self) -> dict[str, npt.NDArray[Any]]:
        """Return the features of the stems by name: "times", seconds from the clip's start, "vocal.chroma" and so on.

        Raises
        ------
        CatalogError
            If the features were not exported or cannot be read.
        """
        if FEATURES not in self.members:
            raise CatalogError(
                f"the features of clip {self.clip.id} were not exported", f"export them: --field {FEATURES}"
            )
        try:
            return arrays_in(self.members[FEATURES])
        except ValueError as error:
            raise CatalogError(f"the features of clip {self.clip.id} cannot be read: {error}", _FIX) from error


def read_export(folder: Path | str) -> Iterator[ExportedClip]:
    """Yield the clips of an export. Each shard is compared with its hash before its clips are read.

    Raises
    ------
    CatalogError
        If the export is unfinished, of a newer mashkit, or damaged. The clips yielded before are correct.
    MashkitError
        If the index is Parquet and pyarrow is not installed.
    """
    folder = require_path("folder", folder)
    manifest = read_manifest(folder)
    if manifest.layout == "parquet":
        require_pyarrow()
    shards = {shard.path: shard for shard in manifest.shards}
    read = _read_parquet if manifest.layout == "parquet" else _read_webdataset
    for number in range(-(-manifest.clips // manifest.shard_clips)):
        paths = shard_paths(manifest.layout, manifest.fields, number)
        files = {name: _checked(folder, shards[path]) for name, path in paths.items()}
        expected = min(manifest.shard_clips, manifest.clips - number * manifest.shard_clips)
        clips = 0
        try:
            for clip in read(files, manifest.fields):
                clips += 1
                yield clip
        except (tarfile.TarError, OSError, ValueError, KeyError, TypeError, AnalysisError) as error:
            where = ", ".join(map(str, files.values()))
            raise CatalogError(f"{where}: clip {clips + 1} cannot be read: {error}", _FIX) from error
        if clips != expected:
            raise CatalogError(f"{next(iter(files.values()))} holds {clips} clips, not {expected}", _FIX)


def _checked(folder: Path, shard: Shard) -> Path:
    """Return the path of a shard, if the shard lies inside the export and its hash is correct."""
    path = folder / shard.path
    if not without_links(path).is_relative_to(without_links(folder)):
        raise CatalogError(f"{path} is outside of the export", "copy the shards themselves, not links to them")
    try:
        found = Shard.of(shard.path, path)
    except OSError as error:
        raise CatalogError(f"{path}: cannot be read: {error.strerror}", _FIX) from error
    if found != shard:
        raise CatalogError(f"{path} is damaged: its bytes have changed since they were written", _FIX)
    return path


Files: TypeAlias = Mapping[str, Path]


def _read_webdataset(files: Files, fields: Sequence[str]) -> Iterator[ExportedClip]:
    suffixes = {"": ".json"} | {field: member(field) for field in fields}
    with tarfile.open(files["clips"], "r:") as tar:
        while (first := tar.next()) is not None:
            clip_id = first.name.removesuffix(".json")
            found = {
                field: _member(tar, first if field == "" else tar.next(), clip_id + suffix)
                for field, suffix in suffixes.items()
            }
            yield _clip(json.loads(found.pop("")), clip_id, found)


def _read_parquet(files: Files, fields: Sequence[str]) -> Iterator[ExportedClip]:
    import pyarrow
    import pyarrow.parquet

    try:
        rows = pyarrow.parquet.read_table(files["index"], partitioning=None).to_pylist()
    except pyarrow.ArrowException as error:
        raise ValueError(str(error)) from error
    with contextlib.ExitStack() as stack:
        tars = {field: stack.enter_context(tarfile.open(files[field], "r:")) for field in fields}
        for row in rows:
            found = {}
            for field, tar in tars.items():
                info = tar.next()
                found[field] = _member(tar, info, row["id"] + member(field))
                if info is None or (info.offset_data, info.size) != (row[field]["offset"], row[field]["bytes"]):
                    raise ValueError(f"{row['id']}{member(field)} is not at the place that the index gives")
            yield _clip(_record_of_row(row), row["id"], found)


def _member(tar: tarfile.TarFile, info: tarfile.TarInfo | None, name: str) -> bytes:
    if info is None or not info.isreg() or info.name != name:
        raise ValueError(f"{'nothing' if info is None else info.name!r} where {name!r} belongs")
    file = tar.extractfile(info)
    data = b"" if file is None else file.read()
    if len(data) != info.size:
        raise ValueError(f"{name!r} is shorter than it should be")
    return data


def _clip(record: Mapping[str, Any], clip_id: str, members: Mapping[str, bytes]) -> ExportedClip:
    if _CLIP_ID.fullmatch(clip_id) is None or record["id"] != clip_id:
        raise ValueError(f"{record['id']!r} is not the clip {clip_id!r}")
    halvings = {Role(role): value for role, value in record["halvings"].items()}
    if not set(members) - {FEATURES} <= set(halvings) or not all(value in range(64) for value in halvings.values()):
        raise ValueError(f"halvings is {halvings}")
    return ExportedClip(
        clip=Clip.from_dict(record),
        separator=record["separator"],
        analyzer=record["analyzer"],
        halvings=halvings,
        members=members,
    )


# ------------------------------------------------------------------------------------------------- rows of the index
_ANALYSIS = ("key", "tempo", "beats", "downbeats", "confidence", "tempo_candidates", "tuning", "chords", "melody")
_BY_ROLE = ("loudness_lufs", "activity", "entry_s")


def schema(fields: Sequence[str]) -> Any:
    """Return the columns of the index, a pyarrow schema."""
    import pyarrow as pa

    text, number, count = pa.string(), pa.float64(), pa.int64()
    by_role = pa.struct([(str(role), number) for role in Role])
    columns = {
        "id": text, "song": text, "title": text, "source": text, "licence": text, "label": text,
        "start_s": number, "duration_s": number, "sample_rate": pa.int32(),
        "key": text, "tempo": number, "beats": pa.list_(number), "downbeats": pa.list_(number),
        "confidence": pa.map_(text, number), "tempo_candidates": pa.list_(pa.list_(number)), "tuning": number,
        "chords": pa.struct([("times", pa.list_(number)), ("labels", pa.list_(text))]),
        "melody": pa.struct([("start_s", number), ("hop_s", number), ("f0", pa.list_(number)),
                             ("confidence", pa.list_(number))]),
        **dict.fromkeys(_BY_ROLE, by_role),
        "edited": pa.list_(text), "separator": text, "analyzer": text,
    }  # fmt: skip
    for field in fields:
        place = [("offset", count), ("bytes", count)]
        columns[field] = pa.struct(place if field == FEATURES else [*place, ("halvings", pa.int32())])
    return pa.schema(list(columns.items()))


def row_of_record(record: Mapping[str, Any], places: Mapping[str, tuple[int, int]]) -> dict[str, Any]:
    """Return a clip's row of the index; ``places`` are offset and size of each field's member, bytes."""
    row = {name: value for name, value in record.items() if name not in ("analysis", "halvings")}
    row |= record["analysis"]
    row["confidence"] = list(record["analysis"]["confidence"].items())
    for field, (offset, size) in places.items():
        row[field] = {"offset": offset, "bytes": size}
        if field != FEATURES:
            row[field]["halvings"] = record["halvings"][field]
    return row


def _record_of_row(row: Mapping[str, Any]) -> dict[str, Any]:
    record = {name: value for name, value in row.items() if name not in _ANALYSIS}
    record["analysis"] = {name: row.get(name) for name in _ANALYSIS} | {"confidence": dict(row["confidence"])}
    # None stands for a missing entry where a role never enters, and for the loudness −inf of a silent role.
    lacks = [role for role, share in row["activity"].items() if share is None]  # every stem has an activity
    for name in ("activity", "loudness_lufs"):
        record[name] = {role: value for role, value in row[name].items() if role not in lacks}
    record["lacks"] = lacks
    record["entry_s"] = {role: value for role, value in row["entry_s"].items() if value is not None}
    record["halvings"] = {role: row[role]["halvings"] for role in map(str, Role) if role in row}
    return record
