"""A lock on a run's folder, so that no two processes train in it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from mashkit.locks import held
from mashkit_mashnet_train.training.errors import TrainingError

LOCK = ".lock"
"""Stays in the folder, so that it is known that a run was begun there."""


def locked(folder: Path) -> AbstractContextManager[None]:
    """Keep other processes from training in the same folder at the same time."""
    taken = TrainingError(f"another process is training in {folder}", "wait for it, or choose another folder")
    # The lock is for this process alone, so its workers do not keep the lock if they live some seconds longer.
    return held(folder / LOCK, taken, forks=False)
