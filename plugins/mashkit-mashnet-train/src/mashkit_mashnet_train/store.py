"""A store: a folder of features, which is training data without sound.

Each clip is written to its own file as soon as it is made, so an interrupted recipe continues where it stopped. `close`
joins the clips into arrays, which are memory-mapped when a store is opened. The files are deleted after that, so the
folder needs room for the clips twice.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import attrs
import numpy as np
import numpy.typing as npt

from mashkit.atomicfile import allocate, replacing, require_possible_folder, require_writable_folder, write_json
from mashkit.errors import MashkitError, OutputError, UsageError
from mashkit.types import Analysis, Role
from mashkit_mashnet.frontend import FINE, LOG_FREQUENCY, FrontEnd
from mashkit_mashnet.stem_features import (
    ONSET_BANDS,
    ONSET_HOP,
    ONSET_N_FFT,
    ROLES,
    STRONGEST,
    WIDE,
    WIDE_FINE,
    Bytes,
    StemFeatures,
)

FORMAT = 1
INDEX, SPECTRA, ONSETS, PARTS, SOURCE = "index.json", "spectra.npy", "onsets.npy", "parts", "source.json"
FINE_SPECTRA = "spectra-fine.npy"

LICENCES = "licences"
"""The part of a source that has the licence of each thing that entries were made of. Entries do not depend on it, so a
run continues although it differs."""
MIXED_WITH = "mixed_with"
"""The fact of a clip that names the songs whose residue its stems may have, because they were separated from mixes."""


class StoreError(MashkitError):
    """A folder of features is missing, damaged, or made in another way."""


@attrs.frozen(kw_only=True)
class Record:
    """A clip of a store.

    Parameters
    ----------
    id : str
        Unique in the store; becomes a file name: letters, digits, and ``-_.``.
    song : str
        The song that the clip was cut from; clips of one song are never in training and validation both.
    duration : float
        Seconds.
    analysis : Analysis
        Key, tempo, beats and downbeats of the clip.
    facts : mapping
        Further facts, such as how the clip was made.
    """

    id: str
    song: str
    duration: float
    analysis: Analysis = attrs.field(repr=False)
    facts: Mapping[str, Any] = attrs.field(factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "id": self.id, "song": self.song, "duration": self.duration, "analysis": self.analysis.to_dict(),
            "facts": dict(self.facts),
        }  # fmt: skip

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Record:
        """Read the output of :meth:`to_dict`."""
        return cls(**{**data, "analysis": Analysis.from_dict(data["analysis"])})


def _how() -> dict[str, Any]:
    """Return the settings that features depend on; a store with other settings is refused."""
    return {
        "front_end": WIDE.to_dict(), "onset_n_fft": ONSET_N_FFT, "onset_hop": ONSET_HOP,
        "onset_bands": [list(band) for band in ONSET_BANDS], "onset_strongest": STRONGEST,
    }  # fmt: skip


# ---------------------------------------------------------------------------------------------------------- writing
@attrs.frozen
class PartWriter:
    """Writes each entry of a store to its own file, so that an interrupted recipe continues where it stopped.

    Only one run may write into a folder at a time: a recipe uses its writer in a block of
    :func:`mashkit.atomicfile.writing_alone`.

    Parameters
    ----------
    folder : Path
        Made if it does not exist.
    source : mapping
        Source of the entries, as JSON: recipe, its options, data sets and their licences; saved in the index.

    Raises
    ------
    StoreError, OutputError
        As for :meth:`require_possible`.
    """

    index: ClassVar[str]
    """The file that a finished store has."""

    folder: Path
    source: Mapping[str, Any]

    def __attrs_post_init__(self) -> None:
        self.require_possible(self.folder, self.source, whole=True)
        parts = require_writable_folder(self.folder / PARTS)
        if not any(parts.glob("*.npz")):
            write_json(parts / SOURCE, _plain(self.source))

    @classmethod
    def require_possible(cls, folder: Path, known: Mapping[str, Any], *, whole: bool) -> None:
        """Raise an error if a store cannot be begun, or gone on with, in a folder; nothing is written.

        Parameters
        ----------
        folder : Path
        known : mapping
            The source, or the part of it that is known before the work begins.
        whole : bool
            True if it is the whole source.

        Raises
        ------
        StoreError
            If the folder holds a finished store, or entries of another source.
        OutputError
            If the folder cannot be written to.
        """
        require_possible_folder(folder)
        cls._require_unfinished(folder)
        if not any((folder / PARTS).glob("*.npz")):
            return
        # The source must be the same, because clips of two seeds have the same names and would end up in one store.
        begun, now = cls.begun(folder), _plain(known)
        names = {*begun, *now} if whole else set(now)
        other = [name for name in sorted(names - {LICENCES}) if begun.get(name) != now.get(name)]
        if other:
            raise StoreError(
                f"{folder} holds clips of an unfinished store made otherwise: not the same {', '.join(other)}",
                "give the same input and options to go on with it, or another folder; or remove this one",
            )

    @classmethod
    def _require_unfinished(cls, folder: Path) -> None:
        if (folder / cls.index).exists():
            raise StoreError(f"{folder} holds a finished store", "give another folder, or remove this one")

    @classmethod
    def begun(cls, folder: Path) -> dict[str, Any]:
        """Return the source of the unfinished store in a folder; empty if there is none, StoreError if damaged."""
        return _begun(folder / PARTS / SOURCE) if any((folder / PARTS).glob("*.npz")) else {}

    def keep(self, entries: Mapping[str, Mapping[str, Any] | None]) -> None:
        """Remove entries of an interrupted run that no longer belong to the store.

        Its input may have been corrected since: an entry of other facts has other labels, and perhaps other features.

        Parameters
        ----------
        entries : mapping of str to mapping
            Id of each entry of the store → its record as JSON data; None for a record that is known only after the
            entry is made, and which depends on nothing but the source.
        """
        for path in self._parts():
            record = entries.get(path.stem)
            if path.stem not in entries or (record is not None and _record_of(path) != _plain(record)):
                path.unlink()

    def has(self, entry_id: str) -> bool:
        """Return whether an entry is written already."""
        return self._part(entry_id).exists()

    def _write(self, entry_id: str, record: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Write one whole entry, or no file."""
        text = np.frombuffer(json.dumps(record).encode(), np.uint8)
        try:
            with replacing(self._part(entry_id)) as path, path.open("wb") as file:
                np.savez(file, **{"record": text, **arrays})  # type: ignore[arg-type]
        except OSError as error:
            raise OutputError(f"cannot write {self._part(entry_id)}: {error}") from error

    def _join(
        self,
        shapes: Mapping[str, tuple[int, ...]],
        fill: Callable[[Mapping[str, npt.NDArray[np.uint8]]], None],
        index: Mapping[str, Any],
    ) -> None:
        """Write the arrays, then the index, which says that the store is whole, and remove the parts.

        Parameters
        ----------
        shapes : mapping of str to tuple of int
            File name of each array → its shape.
        fill : callable
            Writes into the arrays, which are of uint8, by file name.
        index : mapping
        """
        self._require_unfinished(self.folder)  # where folders cannot be locked, another run may have finished it
        for name in shapes:
            (self.folder / name).unlink(missing_ok=True)  # of a run that was interrupted between arrays and index
        # The arrays are made among the parts: what an interrupted run leaves of them is replaced, or removed with them.
        made = {name: self.folder / PARTS / name for name in shapes}
        try:
            arrays = self._mapped(made, shapes)
            fill(arrays)
            for array in arrays.values():
                array.flush()
            del arrays, array
            for name, path in made.items():
                path.replace(self.folder / name)
        finally:
            for path in made.values():
                path.unlink(missing_ok=True)
        write_json(self.folder / self.index, index)
        shutil.rmtree(self.folder / PARTS)

    def _mapped(
        self, paths: Mapping[str, Path], shapes: Mapping[str, tuple[int, ...]]
    ) -> dict[str, np.memmap[Any, np.dtype[np.uint8]]]:
        """Return new arrays for which there is room on the disk."""
        try:
            arrays = {
                name: np.lib.format.open_memmap(path, "w+", np.uint8, shapes[name]) for name, path in paths.items()
            }
            for path in paths.values():
                with path.open("rb+") as file:
                    allocate(file, path.stat().st_size)
        except OSError as error:
            megabytes = math.ceil(sum(map(math.prod, shapes.values())) / 1e6)
            raise OutputError(
                f"cannot join the parts of {self.folder}, which needs {megabytes} MB more: {error.strerror or error}",
                "make room there, and give the same command again: it goes on",
            ) from error
        return arrays

    def _parts(self) -> list[Path]:
        return sorted((self.folder / PARTS).glob("*.npz"))

    def _part(self, entry_id: str) -> Path:
        return self.folder / PARTS / f"{entry_id}.npz"


class StoreWriter(PartWriter):
    """Adds clips to a store; parameters and errors as for :class:`PartWriter`."""

    index = INDEX

    def add(self, record: Record, stems: Mapping[Role, StemFeatures]) -> None:
        """Write one whole clip, or no file.

        Raises
        ------
        OutputError
            If the clip cannot be written.
        """
        arrays = {
            f"{role}-{name}": array
            for role in ROLES
            for name in ("spectrum", "onsets", "fine")
            if (array := getattr(stems[role], name)) is not None
        }
        self._write(record.id, record.to_dict(), arrays)

    def close(self) -> Store:
        """Join the clips, in the order of their ids, and return the store.

        Raises
        ------
        StoreError
            If no clip was added.
        """
        parts = self._parts()
        if not parts:
            raise StoreError(f"{self.folder} got no clip", "see what the recipe said of each song")
        lengths = np.zeros((len(parts), 3), np.int64)
        records = []
        fine = True
        for index, path in enumerate(parts):
            record, stems = _read(path)
            fine = fine and all(stems[role].fine is not None for role in ROLES)
            names = ("spectrum", "onsets", "fine") if fine else ("spectrum", "onsets")
            lengths[index, : len(names)] = [min(len(getattr(stems[role], name)) for role in ROLES) for name in names]
            records.append(record)
        starts = np.vstack([np.zeros((1, 3), np.int64), np.cumsum(lengths, axis=0)])
        files = {SPECTRA: ("spectrum", WIDE.bands), ONSETS: ("onsets", len(ONSET_BANDS))}
        if fine:
            files[FINE_SPECTRA] = ("fine", WIDE_FINE.bands)

        def fill(arrays: Mapping[str, Bytes]) -> None:
            for path, first, last in zip(parts, starts[:-1], starts[1:], strict=True):
                _, stems = _read(path)
                for (file, (name, _)), begin, end in zip(files.items(), first, last, strict=False):
                    for place, role in enumerate(ROLES):
                        arrays[file][begin:end, place] = getattr(stems[role], name)[: end - begin]

        self._join(
            {
                file: (int(end), len(ROLES), bands)
                for (file, (_, bands)), end in zip(files.items(), starts[-1], strict=False)
            },
            fill,
            {
                "format": FORMAT,
                "how": _how(),
                "source": dict(self.source),
                "starts": starts[:, :2].tolist(),
                "fine": {"front_end": WIDE_FINE.to_dict(), "starts": starts[:, 2].tolist()} if fine else None,
                "clips": [record.to_dict() for record in records],
            },
        )
        return open_store(self.folder)


def _plain(source: Mapping[str, Any]) -> dict[str, Any]:
    """Return a source as it is read from JSON."""
    plain: dict[str, Any] = json.loads(json.dumps(dict(source)))
    return plain


def _begun(path: Path) -> dict[str, Any]:
    """Return the source of an unfinished store."""
    try:
        begun = dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} is missing or damaged: {error}", f"remove {path.parent}") from error
    if isinstance(begun.get("files"), dict):  # a mapping of names to hashes says the same
        begun["files"] = [{"name": name, "sha256": sha256} for name, sha256 in begun["files"].items()]
    return begun


def _record_of(path: Path) -> dict[str, Any]:
    """Return the record of an entry's file."""
    with np.load(path, allow_pickle=False) as arrays:
        return dict(json.loads(arrays["record"].tobytes()))


def _read(path: Path) -> tuple[Record, dict[Role, StemFeatures]]:
    with np.load(path, allow_pickle=False) as arrays:
        record = Record.from_dict(json.loads(arrays["record"].tobytes()))
        stems = {
            role: StemFeatures(*(arrays.get(f"{role}-{name}") for name in ("spectrum", "onsets", "fine")))
            for role in ROLES
        }
    return record, stems


# ---------------------------------------------------------------------------------------------------------- reading
@attrs.frozen(eq=False)
class Store:
    """Clips as features, by index.

    Parameters
    ----------
    folder : Path
    records : tuple of Record
    source : mapping
    spectra : array of uint8, shape (all frames, roles, bands)
        Mapped into memory.
    onsets : array of uint8, shape (all onset frames, roles, onset bands)
    starts : array of int64, shape (clips + 1, 2)
        First frame and first onset frame of each clip.
    fine : array of uint8, shape (all fine frames, roles, bands), optional
        None if the store was made without fine spectra.
    fine_starts : array of int64, shape (clips + 1,), optional
        First fine frame of each clip.
    write : bool
        Whether what is measured from the features may be saved in the folder.
    """

    folder: Path
    records: tuple[Record, ...] = attrs.field(repr=False)
    source: Mapping[str, Any]
    spectra: npt.NDArray[np.uint8] = attrs.field(repr=False)
    onsets: npt.NDArray[np.uint8] = attrs.field(repr=False)
    starts: npt.NDArray[np.int64] = attrs.field(repr=False)
    fine: npt.NDArray[np.uint8] | None = attrs.field(default=None, repr=False)
    fine_starts: npt.NDArray[np.int64] | None = attrs.field(default=None, repr=False)
    write: bool = True

    def __len__(self) -> int:
        return len(self.records)

    def stem(self, clip: int, role: Role) -> StemFeatures:
        """Return the features of a clip's stem, not copied."""
        place = ROLES.index(role)
        (first, last), (begin, end) = self.starts[clip : clip + 2].T
        return StemFeatures(self.spectra[first:last, place], self.onsets[begin:end, place])

    def spectrum(self, clip: int, role: Role, front_end: FrontEnd) -> Bytes:
        """Return a stem's spectrum as a front end makes it, widened for transposition, not copied.

        Returns
        -------
        array of uint8, shape (frames, bands)

        Raises
        ------
        UsageError
            If the store has no spectra of this front end.
        """
        if front_end == LOG_FREQUENCY:
            return self.stem(clip, role).spectrum
        self.require(front_end)
        assert self.fine is not None  # noqa: S101 — require() has looked
        assert self.fine_starts is not None  # noqa: S101 — read together with the spectra
        first, last = self.fine_starts[clip : clip + 2]
        return self.fine[first:last, ROLES.index(role)]

    def require(self, front_end: FrontEnd) -> None:
        """Raise UsageError if the store has no spectra of a front end."""
        if front_end == LOG_FREQUENCY or (front_end == FINE and self.fine is not None):
            return
        asked = f"{front_end.scale} front end of hop {front_end.hop}"
        raise UsageError(
            f"{self.folder} (recipe {self.source.get('recipe')!r}) has no spectra of the {asked}",
            "make it again with this version: `mashkit features`"
            if front_end == FINE
            else "stores of clips have spectra of presets compact and rhythm; `mashkit features pipeline` makes others",
        )

    @property
    def fingerprint(self) -> str:
        """Hex digits of the index and of a sample of the arrays: fast, and different for every recipe."""
        digest = hashlib.sha256(json.dumps([record.to_dict() for record in self.records]).encode())
        digest.update(np.ascontiguousarray(self.spectra[::997]).tobytes())
        digest.update(np.ascontiguousarray(self.onsets[::997]).tobytes())
        return digest.hexdigest()[:16]


def open_store(folder: Path, *, write: bool = True) -> Store:
    """Open a finished store.

    Parameters
    ----------
    folder : Path
    write : bool
        Whether what is measured from the features may be saved in the folder.

    Raises
    ------
    StoreError
        If there is no store, if it is unfinished, or if its features were made with other settings.
    """
    index = folder / INDEX
    if not index.exists():
        unfinished = (folder / PARTS).is_dir()
        raise StoreError(
            f"{folder} is {'an unfinished' if unfinished else 'no'} store of features",
            "run its recipe again: it goes on" if unfinished else "make one with `mashkit features`",
        )
    try:
        data = json.loads(index.read_text(encoding="utf-8"))
        if data["format"] != FORMAT or data["how"] != _how():
            raise StoreError(f"{folder} holds features made in another way", "make them again with this version")
        fine = data.get("fine")
        if fine is not None and fine["front_end"] != WIDE_FINE.to_dict():
            raise StoreError(f"{folder} holds features made in another way", "make them again with this version")
        store = Store(
            folder=folder,
            records=tuple(Record.from_dict(record) for record in data["clips"]),
            source=data["source"],
            spectra=np.load(folder / SPECTRA, mmap_mode="r", allow_pickle=False),
            onsets=np.load(folder / ONSETS, mmap_mode="r", allow_pickle=False),
            starts=np.array(data["starts"], np.int64),
            fine=None if fine is None else np.load(folder / FINE_SPECTRA, mmap_mode="r", allow_pickle=False),
            fine_starts=None if fine is None else np.array(fine["starts"], np.int64),
            write=write,
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{folder} is damaged: {error!r}", "make it again with its recipe") from error
    if tuple(store.starts[-1]) != (len(store.spectra), len(store.onsets)) or len(store.starts) != len(store) + 1:
        raise StoreError(f"{folder} is damaged: its arrays are not as long as its index says", "make it again")
    return store


def numbered(stores: Sequence[Store]) -> Iterator[tuple[int, int, Record]]:
    """Yield (store index, clip index, record) for all clips of some stores."""
    for number, store in enumerate(stores):
        for clip, record in enumerate(store.records):
            yield number, clip, record
