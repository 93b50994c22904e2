"""A lock on a run's folder, so that no two processes train in it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from mashkit_mashnet_train.training.errors import TrainingError


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from training in the same folder at the same time."""
    import fcntl

    lock = os.open(folder / ".lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        try:
            # lockf locks for this process alone, so its workers do not keep the lock if they live some seconds longer.
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise TrainingError(
                f"another process is training in {folder}", "wait for it, or choose another folder"
            ) from error
        yield
    finally:
        os.close(lock)
