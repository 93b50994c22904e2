"""Store stems (FLAC) and features (arrays) in files that are named by the sha256 of their bytes."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
import soundfile

from mashkit.atomicfile import replacing
from mashkit.audio.files import sound_name
from mashkit.errors import CatalogError
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
        """Store bytes whose hash is ``sha256``, unless they are stored already.

        Raises
        ------
        OutputError
            If the file cannot be written.
        """
        path = self.path(sha256, suffix)
        if not path.exists():
            with replacing(path) as temporary:
                temporary.write_bytes(data)

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
            stored, sample_rate = soundfile.read(
                sound_name(path), frames=ref.frames, start=ref.first, dtype=dtype, always_2d=True
            )
            if ref.frames not in (-1, len(stored)):
                raise OSError(f"{ref.frames - len(stored)} frames are missing at its end")
        except (OSError, soundfile.LibsndfileError) as error:
            raise CatalogError(
                f"{path}: a stored stem cannot be read: {error}",
                "`mashkit db verify --repair` lists what is damaged; add its song again",
            ) from error
        return stored, sample_rate

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
            raise CatalogError(
                f"{path}: stored features cannot be read: {error}",
                "`mashkit db verify --repair` lists what is damaged; add its song again",
            ) from error

    def files(self) -> Iterator[Path]:
        """Yield every file in the store, unfinished files too, in no particular order.

        Folders inside the store's own folders are left alone: file servers put such folders there.
        """
        if self.root.is_dir():
            for folder in self.root.iterdir():
                yield from (path for path in folder.iterdir() if not path.is_dir()) if folder.is_dir() else [folder]
