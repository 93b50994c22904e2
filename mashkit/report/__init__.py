"""The page on which mashups are heard, seen and judged."""

from mashkit.report.page import page

__all__ = ["page"]
