"""What has been computed once: an index in SQLite, sound as content-addressed FLAC beside it."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import soundfile

from mashkit.audiofile import save
from mashkit.errors import CatalogError, OutputError
from mashkit.types import Audio

SCHEMA_VERSION = 1


@attrs.frozen
class SoundRef:
    """Where a sound lies in the store.

    FLAC holds integers: a sound that peaks above 1 is stored halved ``halvings`` times, which loses nothing.
    """

    sha256: str
    halvings: int = 0


class ObjectStore:
    """Sounds by the sha256 of their FLAC files, written whole or not at all; safe for several processes.

    Parameters
    ----------
    root : Path
        Folder; made on first write.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, sha256: str) -> Path:
        """Return where the object of that hash lies."""
        return self.root / sha256[:2] / f"{sha256}.flac"

    def put(self, audio: Audio) -> SoundRef:
        """Store ``audio`` as 24-bit FLAC (quantisation below −144 dBFS) and return its reference.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        halvings = max(0, int(np.ceil(np.log2(audio.peak)))) if audio.peak > 1 else 0
        scaled = audio if halvings == 0 else Audio(audio.samples * np.float32(0.5**halvings), audio.sample_rate)
        unnamed = self.root / f"incoming-{uuid.uuid4().hex}.flac"
        save(unnamed, scaled)
        with unnamed.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        target = self.path(sha256)
        target.parent.mkdir(exist_ok=True)
        unnamed.replace(target)
        return SoundRef(sha256, halvings)

    def get(self, ref: SoundRef) -> Audio:
        """Read a sound back.

        Raises
        ------
        CatalogError
            If it has gone or cannot be decoded.
        """
        path = self.path(ref.sha256)
        try:
            samples, sample_rate = soundfile.read(path, dtype="float32", always_2d=True)
        except (OSError, soundfile.LibsndfileError) as error:
            raise CatalogError(
                f"{path}: a stored stem cannot be read: {error}", "delete the cache folder to make it again"
            ) from error
        return Audio(np.ascontiguousarray(samples.T) * np.float32(2.0**ref.halvings), sample_rate)


class Store:
    """Results of separators and analyzers, by a key that changes with everything they depend on.

    Parameters
    ----------
    root : Path
        Folder of the index and the sounds; movable as a whole.

    Raises
    ------
    OutputError
        If the folder cannot be written.
    CatalogError
        If the index is damaged or of a newer mashkit.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.objects = ObjectStore(root / "objects")
        try:
            root.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(root / "index.sqlite", timeout=30)
            self._database.execute("PRAGMA journal_mode = WAL")
            self._migrate()
        except OSError as error:
            raise OutputError(
                f"cannot write to the cache {root}: {error.strerror}", "name another with --cache"
            ) from error
        except sqlite3.DatabaseError as error:
            raise CatalogError(
                f"{root / 'index.sqlite'}: {error}", "delete it, or name another with --cache"
            ) from error

    def _migrate(self) -> None:
        (version,) = self._database.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA_VERSION:
            raise CatalogError(
                f"{self.root}: the cache is of format {version}, this mashkit reads {SCHEMA_VERSION}", "update mashkit"
            )
        with self._database:
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS results"
                " (key TEXT PRIMARY KEY, song TEXT NOT NULL, kind TEXT NOT NULL, value TEXT NOT NULL) WITHOUT ROWID"
            )
            self._database.execute("CREATE INDEX IF NOT EXISTS results_of_song ON results (song)")
            self._database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def results_of(self, song: str) -> dict[str, Any]:
        """Return key → value of everything known of a song (the sha256 of its file)."""
        rows = self._database.execute("SELECT key, value FROM results WHERE song = ?", (song,))
        return {key: json.loads(value) for key, value in rows}

    def add(self, song: str, results: Mapping[str, tuple[str, Any]]) -> None:
        """Store key → (kind, value) of a song, all in one transaction."""
        rows = [(key, song, kind, json.dumps(value)) for key, (kind, value) in results.items()]
        with self._database:
            self._database.executemany("INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?)", rows)

    def close(self) -> None:
        """Close the index."""
        self._database.close()


def result_key(kind: str, parts: Iterable[Any]) -> str:
    """Return the key of a result: a sha256 over everything it depends on."""
    return hashlib.sha256(json.dumps([kind, *parts]).encode()).hexdigest()
