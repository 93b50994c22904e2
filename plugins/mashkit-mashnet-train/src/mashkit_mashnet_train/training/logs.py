"""The logs of a run: tables (CSV) of losses and validations, and the same for TensorBoard."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mashkit.atomicfile import replacing
from mashkit.errors import OutputError
from mashkit_mashnet_train.training.state import Progress
from mashkit_mashnet_train.training.validation import Metrics

LOSS_LOG, VALIDATION_LOG, BOARD = "train.csv", "validation.csv", "tensorboard"
LOGS = (LOSS_LOG, VALIDATION_LOG, BOARD)
"""The logs in a run's folder."""
LOG_STEPS = 10
"""Number of steps in one row of the loss log; the row holds their mean losses."""
LOSS_COLUMNS = ("step", "loss", "classification", "ranking")


class Logs:
    """CSV and TensorBoard logs; a resumed run first writes them again from the rows in the state."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer: Any = None
        self._curve_columns: list[str] = []

    def begin(self, progress: Progress) -> None:
        """Write the rows that the state already holds."""
        from torch.utils.tensorboard import SummaryWriter

        board = self._folder / BOARD
        for old in board.glob("events.out.tfevents.*") if board.is_dir() else ():
            old.unlink()
        self._write(LOSS_LOG, LOSS_COLUMNS, progress.losses)
        self._curve_columns = list(progress.curve[0]) if progress.curve else []
        self._write(VALIDATION_LOG, self._curve_columns, [list(row.values()) for row in progress.curve])
        self._writer = SummaryWriter(str(board))
        for row in progress.losses:
            self._board_losses(row)
        for look in progress.curve:
            self._board_curve(look)

    def losses(self, row: list[float]) -> None:
        """Add a row of losses."""
        self._append(LOSS_LOG, row)
        self._board_losses(row)

    def curve(self, look: Metrics) -> None:
        """Add the row of a validation."""
        if not self._curve_columns:
            self._curve_columns = list(look)
            self._append(VALIDATION_LOG, self._curve_columns)
        self._append(VALIDATION_LOG, list(look.values()))
        self._board_curve(look)

    def close(self) -> None:
        """Close the TensorBoard file."""
        if self._writer is not None:
            self._writer.close()

    def _write(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        with replacing(self._folder / name) as temporary, temporary.open("w", newline="") as handle:
            csv.writer(handle).writerows([columns, *rows] if columns else [])

    def _append(self, name: str, row: Sequence[Any]) -> None:
        try:
            with (self._folder / name).open("a", newline="") as handle:
                csv.writer(handle).writerow(row)
        except OSError as error:
            raise OutputError(
                f"cannot write {self._folder / name}: {error.strerror}", "free space, then resume"
            ) from error

    def _board_losses(self, row: list[float]) -> None:
        for name, value in zip(LOSS_COLUMNS[1:], row[1:], strict=True):
            self._writer.add_scalar(f"training/{name}", value, int(row[0]))

    def _board_curve(self, look: Metrics) -> None:
        for name, value in look.items():
            if name != "step" and value is not None:
                self._writer.add_scalar(f"validation/{name}", value, int(look["step"] or 0))
