"""Why training cannot begin or continue."""

from mashkit.errors import MashkitError


class TrainingError(MashkitError):
    """Training cannot begin or continue: the data lack songs or a class, or the state belongs to another run."""


class TrainingDiverged(TrainingError):
    """The loss or a weight is NaN or infinite."""
