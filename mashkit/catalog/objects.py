"""Store stems (FLAC) and features (arrays) in files that are named by the sha256 of their bytes."""

from __future__ import annotations

import hashlib
import io
import os
import shlex
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
import soundfile

from mashkit.atomicfile import replacing
from mashkit.audio.files import sound_name
from mashkit.errors import CatalogError, OutputError
from mashkit.paths import exists, path_text, without_links
from mashkit.types import Audio

FLAC, ARRAYS = ".flac", ".npz"
"""Suffixes of stored files: sound, and named arrays."""


@attrs.frozen
class SoundRef:
    """A reference to a stored sound, or to a part of it.

    FLAC stores integers, so that it cannot store samples above 1. A sound whose peak is above 1 is divided by two
    ``halvings`` times before it is stored.

    Parameters
    ----------
    sha256 : str
        Name of the stored file.
    halvings : int
    first, frames : int
        First frame and number of frames of the part; the whole sound if ``frames`` is −1.
    """

    sha256: str
    halvings: int = 0
    first: int = 0
    frames: int = -1


def encode(audio: Audio) -> tuple[SoundRef, bytes]:
    """Return a reference to ``audio`` and the 24-bit FLAC file it refers to (quantisation below −144 dBFS)."""
    halvings = max(0, int(np.ceil(np.log2(audio.peak)))) if audio.peak > 1 else 0
    samples = audio.samples if halvings == 0 else audio.samples * np.float32(0.5**halvings)
    file = io.BytesIO()
    soundfile.write(file, samples.T, audio.sample_rate, format="FLAC", subtype="PCM_24")
    data = file.getvalue()
    return SoundRef(hashlib.sha256(data).hexdigest(), halvings), data


def objects_in(value: Mapping[str, Any]) -> set[str]:
    """Return the sha256 of the files to which a result refers: one for each role of stems, one for features."""
    parts = [value, *(part for part in value.values() if isinstance(part, dict))]
    return {part["sha256"] for part in parts if "sha256" in part}


def not_accessible(error: OSError) -> OutputError:
    """Return the error for a stored file or folder that cannot be examined or deleted, which is no sign of damage."""
    return OutputError(f"{path_text(error.filename)}: {reason(error)}", "check its permissions and its disk")


def reason(error: OSError | soundfile.LibsndfileError) -> str:
    """Return why a file cannot be read, without the file's name."""
    if isinstance(error, soundfile.LibsndfileError):
        return str(error.error_string)
    return error.strerror or str(error)


def arrays_in(data: bytes) -> dict[str, npt.NDArray[Any]]:
    """Return the named arrays of an ``.npz`` file.

    Pickled and compressed arrays are refused, because a damaged or hostile file could run code or fill the memory.

    Raises
    ------
    ValueError
        If the bytes are not such a file, or its arrays are pickled or compressed.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
                raise ValueError("its arrays are compressed")
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return dict(arrays)
    except (zipfile.BadZipFile, OSError, EOFError, KeyError, NotImplementedError, MemoryError) as error:
        raise ValueError(str(error)) from error


class ObjectStore:
    """A folder of files named by the sha256 of their bytes. Writes are atomic; several processes may write at once.

    Parameters
    ----------
    root : Path
        The folder; the first write creates it.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, sha256: str, suffix: str = FLAC) -> Path:
        """Return the path of the file with that hash."""
        return self.root / sha256[:2] / f"{sha256}{suffix}"

    def put(self, sha256: str, data: bytes, suffix: str = FLAC) -> None:
        """Store bytes whose hash is ``sha256``. A file that holds other bytes is damaged, and replaced.

        Raises
        ------
        OutputError
            If the file cannot be written.
        """
        path = self.path(sha256, suffix)
        if not _holds(path, data):
            with replacing(path) as temporary:
                temporary.write_bytes(data)

    def has(self, sha256: str, suffix: str, size: int) -> bool:
        """Return whether a file is there and has this many bytes; raises OutputError if it cannot be examined."""
        try:
            return self.path(sha256, suffix).stat().st_size == size
        except FileNotFoundError:
            return False
        except OSError as error:
            raise not_accessible(error) from error

    def require_folder(self) -> None:
        """Raise OutputError if the folder is a link to nothing, as when its disk is not mounted.

        Otherwise the folder would be made at that place, and the files would be on another disk.
        """
        if self.root.is_symlink() and not exists(self.root):
            raise OutputError(
                f"{path_text(self.root)} is a link to {path_text(without_links(self.root))}, which is not there",
                "mount its disk, or correct the link",
            )

    def audio(self, ref: SoundRef) -> Audio:
        """Read the part of a sound to which ``ref`` refers.

        Raises
        ------
        CatalogError
            If the file is missing or cannot be decoded.
        """
        stored, sample_rate = self._read(ref, "float32")
        samples = np.ascontiguousarray(stored.T)
        if ref.halvings:
            samples *= np.float32(2.0**ref.halvings)
        samples.flags.writeable = False
        return Audio(samples, sample_rate)

    def cut(self, ref: SoundRef) -> bytes:
        """Return a FLAC file of the part of a sound to which ``ref`` refers, with the same integers as the stored file.

        Raises
        ------
        CatalogError
            If the file is missing or cannot be decoded.
        """
        stored, sample_rate = self._read(ref, "int32")
        file = io.BytesIO()
        soundfile.write(file, stored, sample_rate, format="FLAC", subtype="PCM_24")
        return file.getvalue()

    def _read(self, ref: SoundRef, dtype: str) -> tuple[npt.NDArray[Any], int]:
        path = self.path(ref.sha256)
        try:
            with path.open("rb"):  # because libsndfile does not say why it cannot open a file
                stored, sample_rate = soundfile.read(
                    sound_name(path), frames=ref.frames, start=ref.first, dtype=dtype, always_2d=True
                )
            if ref.frames not in (-1, len(stored)):
                raise OSError(f"{ref.frames - len(stored)} frames are missing at its end")
        except (OSError, soundfile.LibsndfileError) as error:
            raise self._unread(path, "a stored stem", error) from error
        return stored, sample_rate

    def _unread(self, path: Path, what: str, error: Exception) -> CatalogError:
        if isinstance(error, FileNotFoundError):
            return CatalogError(
                f"{path_text(path)}: {what} is missing",
                "give its song to `mashkit db add` or `mash` again: it is made anew",
            )
        why = reason(error) if isinstance(error, (OSError, soundfile.LibsndfileError)) else str(error)
        folder = shlex.quote(path_text(self.root.parent))
        return CatalogError(
            f"{path_text(path)}: {what} cannot be read: {why}",
            f"`mashkit db verify --db {folder}` lists what is damaged",
        )

    def arrays(self, sha256: str) -> dict[str, npt.NDArray[Any]]:
        """Read all named arrays of a file.

        Raises
        ------
        CatalogError
            If the file is missing or cannot be read.
        """
        path = self.path(sha256, ARRAYS)
        try:
            return arrays_in(path.read_bytes())
        except (OSError, ValueError) as error:
            raise self._unread(path, "a file of stored features", error) from error

    def files(self, failed: Callable[[OSError], object] | None = None) -> Iterator[Path]:
        """Yield every file in the store, unfinished files too, in no particular order.

        Folders inside the store's own folders are left alone: file servers put such folders there.

        Parameters
        ----------
        failed : callable, optional
            Is called with the error of each folder that cannot be read; the other folders are read all the same.

        Raises
        ------
        OutputError
            If a folder cannot be read, and there is no ``failed``.
        """
        for path, is_folder in _entries(self.root, failed):
            inside = _entries(path, failed) if is_folder else [(path, False)]
            yield from (one for one, is_folder in inside if not is_folder)


def _holds(path: Path, data: bytes) -> bool:
    """Return whether a file has these bytes. Reading them costs little beside the computation of ``data``."""
    try:
        return path.stat().st_size == len(data) and path.read_bytes() == data
    except OSError:
        return False


def _entries(folder: Path, failed: Callable[[OSError], object] | None) -> list[tuple[Path, bool]]:
    """Return what is in a folder, and whether it is a folder itself; nothing if the folder is missing."""
    try:
        with os.scandir(folder) as entries:
            return [(Path(entry.path), _is_folder(entry)) for entry in entries]
    except FileNotFoundError:
        return []
    except OSError as error:
        if failed is None:
            raise not_accessible(error) from error
        failed(error)
        return []


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that cannot be followed
        return False
