"""A store of whole examples: spectra of mashups that were really stretched and mixed, of their layers and of the mix.

A store of clips (:mod:`mashkit_mashnet_train.store`) is transposed and stretched as features whenever an example is
drawn. Here the sound was separated, stretched and mixed before, so the spectra have the artefacts of these steps. Each
example is written to its own file as soon as it is made, so an interrupted recipe continues where it stopped.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from mashkit.errors import UsageError
from mashkit.types import as_tuple
from mashkit_mashnet.frontend import FrontEnd
from mashkit_mashnet.stem_features import ROLES, Bytes
from mashkit_mashnet_train.store import PARTS, PartWriter, StoreError

FORMAT = 1
INDEX = "examples.json"
SOUNDS = (*ROLES, "mix")
"""What each example has a spectrum of, in this order."""


@attrs.frozen(kw_only=True)
class ExampleRecord:
    """An example of a store.

    Parameters
    ----------
    id : str
        Unique in the store; becomes a file name.
    split : {"training", "validation", "test"}
        All songs of an example are of this split.
    kind : str
        The plan's condition.
    vocal : str
        Id of the vocal's clip.
    songs : tuple of str
        Songs of the three layers, in the order of :data:`ROLES`.
    titles : tuple of str
        Their titles.
    """

    id: str
    split: str
    kind: str
    vocal: str
    songs: tuple[str, ...] = attrs.field(converter=as_tuple)
    titles: tuple[str, ...] = attrs.field(converter=as_tuple)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {**attrs.asdict(self), "songs": list(self.songs), "titles": list(self.titles)}


class ExampleWriter(PartWriter):
    """Adds examples to a store; parameters and errors as for :class:`PartWriter`."""

    index = INDEX

    def add(self, record: ExampleRecord, spectra: Mapping[str, Bytes]) -> None:
        """Write one whole example, or no file.

        Parameters
        ----------
        record : ExampleRecord
        spectra : mapping of str to array of uint8, shape (frames, 4, bands)
            Name of a front end → spectra of :data:`SOUNDS`.

        Raises
        ------
        OutputError
            If the example cannot be written.
        """
        self._write(record.id, record.to_dict(), spectra)

    def close(self, front_ends: Mapping[str, FrontEnd]) -> ExampleStore:
        """Join the examples, in the order of their ids, and return the store.

        Raises
        ------
        StoreError
            If no example was added.
        """
        parts = self._parts()
        if not parts:
            raise StoreError(f"{self.folder} got no example", "see what the recipe said of each plan")
        records: list[dict[str, Any]] = []
        starts: dict[str, list[int]] = {name: [0] for name in front_ends}
        for path in parts:
            with np.load(path, allow_pickle=False) as arrays:
                records.append(json.loads(arrays["record"].tobytes()))
                for name, before in starts.items():
                    before.append(before[-1] + len(arrays[name]))

        def fill(joined: Mapping[str, Bytes]) -> None:
            for number, path in enumerate(parts):
                with np.load(path, allow_pickle=False) as arrays:
                    for name, own in starts.items():
                        joined[f"{name}.npy"][own[number] : own[number + 1]] = arrays[name]

        self._join(
            {f"{name}.npy": (starts[name][-1], len(SOUNDS), one.bands) for name, one in front_ends.items()},
            fill,
            {
                "format": FORMAT,
                "source": dict(self.source),
                "front_ends": {name: front_end.to_dict() for name, front_end in front_ends.items()},
                "starts": starts,
                "examples": records,
            },
        )
        return open_examples(self.folder)


@attrs.frozen(eq=False)
class ExampleStore:
    """Examples as spectra, by index.

    Parameters
    ----------
    folder : Path
    records : tuple of ExampleRecord
    source : mapping
    front_ends : mapping of str to FrontEnd
    starts : mapping of str to array of int64, shape (examples + 1,)
        First frame of each example, for each front end.
    """

    folder: Path
    records: tuple[ExampleRecord, ...] = attrs.field(repr=False)
    source: Mapping[str, Any]
    front_ends: Mapping[str, FrontEnd] = attrs.field(repr=False)
    starts: Mapping[str, npt.NDArray[np.int64]] = attrs.field(repr=False)
    _arrays: Mapping[str, npt.NDArray[np.uint8]] = attrs.field(repr=False)

    def __len__(self) -> int:
        return len(self.records)

    def name_of(self, front_end: FrontEnd) -> str:
        """Return the name of a front end; raise UsageError if the store has no spectra of it."""
        for name, own in self.front_ends.items():
            if own == front_end:
                return name
        raise UsageError(
            f"{self.folder} (recipe {self.source.get('recipe')!r}) has spectra of presets "
            f"{', '.join(self.front_ends)}, none of the {front_end.scale} front end of hop {front_end.hop}",
            "train one of these presets, or make the store again with --preset",
        )

    def spectra(self, example: int, name: str) -> Bytes:
        """Return the spectra of an example, shape (frames, 4, bands), not copied."""
        first, last = self.starts[name][example : example + 2]
        return self._arrays[name][first:last]

    @property
    def fingerprint(self) -> str:
        """Hex digits of the index and of a sample of the arrays."""
        digest = hashlib.sha256(json.dumps([record.to_dict() for record in self.records]).encode())
        for name in sorted(self._arrays):
            digest.update(np.ascontiguousarray(self._arrays[name][::997]).tobytes())
        return digest.hexdigest()[:16]


def is_example_store(folder: Path) -> bool:
    """Return whether a folder holds a finished store of examples."""
    return (folder / INDEX).exists()


def open_examples(folder: Path) -> ExampleStore:
    """Open a finished store.

    Raises
    ------
    StoreError
        If the store is missing or damaged, or another version made it.
    """
    if not is_example_store(folder):
        unfinished = (folder / PARTS).is_dir()
        raise StoreError(
            f"{folder} is {'an unfinished' if unfinished else 'no'} store of examples",
            "run its recipe again: it goes on" if unfinished else "make one with `mashkit features pipeline`",
        )
    try:
        data = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        if data["format"] != FORMAT:
            raise StoreError(f"{folder} holds examples made in another way", "make them again with this version")
        store = ExampleStore(
            folder=folder,
            records=tuple(ExampleRecord(**record) for record in data["examples"]),
            source=data["source"],
            front_ends={name: FrontEnd.from_dict(one) for name, one in data["front_ends"].items()},
            starts={name: np.array(starts, np.int64) for name, starts in data["starts"].items()},
            arrays={
                name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in data["front_ends"]
            },
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{folder} is damaged: {error!r}", "make it again with its recipe") from error
    for name, starts in store.starts.items():
        if len(starts) != len(store) + 1 or starts[-1] != len(store._arrays[name]):
            raise StoreError(f"{folder} is damaged: its arrays are not as long as its index says", "make it again")
    return store


def require_apart(stores: Sequence[ExampleStore]) -> None:
    """Raise UsageError if a song, or a title, is in two splits of some stores: a network would be judged by it."""
    seen: dict[str, tuple[str, Path]] = {}
    clashes: dict[str, str] = {}
    for store in stores:
        for record in store.records:
            for song, title in zip(record.songs, record.titles, strict=True):
                for name in filter(None, (f"song {song}", title and f"title {title}")):
                    split, folder = seen.setdefault(name, (record.split, store.folder))
                    if split != record.split:
                        clashes[title or song] = f"for {split} in {folder} and for {record.split} in {store.folder}"
    if clashes:
        (first, how), *others = clashes.items()
        more = f", as are {len(others)} more, such as {others[0][0]!r}" if others else ""
        raise UsageError(f"{first!r} is {how}{more}", "train on stores that part their songs alike, or on one of them")


def split_records(stores: Sequence[ExampleStore], split: str) -> list[tuple[int, int, ExampleRecord]]:
    """Return (store index, example index, record) for the examples of a split."""
    return [
        (number, index, record)
        for number, store in enumerate(stores)
        for index, record in enumerate(store.records)
        if record.split == split
    ]
