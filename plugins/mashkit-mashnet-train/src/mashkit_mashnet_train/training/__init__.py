"""Training of any network that tells good mashups from bad: the loop, its settings, its state and its logs."""

from mashkit_mashnet_train.training.config import TrainingConfig
from mashkit_mashnet_train.training.errors import TrainingDiverged, TrainingError
from mashkit_mashnet_train.training.loop import TrainingResult, check, in_first_process, train
from mashkit_mashnet_train.training.validation import Predictions, metrics, predict

__all__ = [
    "Predictions",
    "TrainingConfig",
    "TrainingDiverged",
    "TrainingError",
    "TrainingResult",
    "check",
    "in_first_process",
    "metrics",
    "predict",
    "train",
]
