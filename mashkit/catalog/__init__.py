"""MashupDB: from sound files to clips, and their stems on request."""

from mashkit.catalog.catalog import Catalog, Failure

__all__ = ["Catalog", "Failure"]
