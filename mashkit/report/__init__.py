"""Write the HTML page on which users listen to mashups, see their figures and compare their scores."""

from mashkit.report.page import card, page

__all__ = ["card", "page"]
