"""Errors of a taste."""

from mashkit.errors import MashkitError


class TasteError(MashkitError):
    """Preferences from which no taste can be learnt, or a file that holds none."""
