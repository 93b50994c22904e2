"""A check of training data before a run begins: enough songs, and examples of both classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mashkit.numbers import number_of
from mashkit_mashnet_train.batches import Batch, TrainingData
from mashkit_mashnet_train.training.errors import TrainingError

CHECKED = 8
"""Number of training batches that are looked through for both classes."""


def check_data(data: TrainingData, validation: Sequence[Batch], steps: int) -> None:
    """Raise TrainingError if the data have too few songs, no validation examples, or only one class."""
    for part in ("training", "validation"):
        songs = _songs(data.summary.get(part))
        if songs is not None and songs < 2:
            raise TrainingError(
                f"the {part} part of the data has {number_of(songs, 'song')}",
                "add songs: a network that is trained on one song does not work for others",
            )
    if not validation or not sum(len(batch) for batch in validation):
        raise TrainingError("the data have no validation examples", "add songs")
    training = (data.batch(number) for number in range(min(CHECKED, steps)))
    fold = data.summary.get("fold")
    left_out = "" if fold is None else f" of fold {fold}"
    for part, batches in (("validation", iter(validation)), ("training", training)):
        missing = {1.0: "positive", 0.0: "negative"}
        while missing and (batch := next(batches, None)) is not None:
            missing = {value: name for value, name in missing.items() if not (batch.targets == value).any()}
        if missing:
            raise TrainingError(
                f"the {part} examples{left_out} have no {' and no '.join(missing.values())} one",
                "train on data with both classes" if fold is None else "give fewer folds, or add songs",
            )


def _songs(about: Any) -> int | None:
    """Return the number of songs in a summary, over all its sources; None if the summary does not contain it."""
    if not isinstance(about, Mapping):
        return None
    if isinstance(about.get("songs"), int):
        return int(about["songs"])
    found = [_songs(source) for source in about.values()]
    return None if None in found else sum(songs for songs in found if songs is not None)
