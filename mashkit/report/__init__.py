"""The page on which mashups are heard, seen and judged."""

from mashkit.report.page import card, page

__all__ = ["card", "page"]
