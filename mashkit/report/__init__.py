"""The page on which mashups are heard, seen and judged."""

from mashkit.report.page import cards, page

__all__ = ["cards", "page"]
