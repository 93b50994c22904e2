"""MashupDB: make clips from sound files, and return the stems of a clip on request."""

from mashkit.catalog.adding import Adder, AddReport
from mashkit.catalog.catalog import Catalog, Failure
from mashkit.catalog.database import MashupDB

__all__ = ["AddReport", "Adder", "Catalog", "Failure", "MashupDB"]
