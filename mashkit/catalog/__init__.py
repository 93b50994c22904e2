"""MashupDB: from sound files to clips, and their stems on request."""

from mashkit.catalog.adding import Adder, AddReport
from mashkit.catalog.catalog import Catalog, Failure
from mashkit.catalog.database import MashupDB

__all__ = ["AddReport", "Adder", "Catalog", "Failure", "MashupDB"]
