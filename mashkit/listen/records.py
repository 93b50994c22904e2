"""The records of a listening test: samples, pages and answers, which the server writes and the analysis reads."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

import attrs

from mashkit.types.mappings import as_tuple

OVERALL = "overall"
"""The aspect that the tests and the preferences use first: how good a mashup is as a whole."""
QUESTIONS = ("harmony", "rhythm", "timbre", "innovation", OVERALL)
"""The five aspects that a rater judges (paper, "Questionnaire"), each from 1 to 5."""
LOWEST, HIGHEST = 1, 5
"""Awful to excellent (paper, "Questionnaire")."""
HEARD = "heard"
"""The question whether the rater has heard the vocal melody before (paper, "Questionnaire"): 0 or 1, once a page."""
PREFERRED = "preferred"
"""The question of a preference page, for each sample: 1 if the rater prefers it, 0 if not, and 0 for both in a tie."""
TOP, BOTTOM = "top", "bottom"
"""The groups of a system's samples in task "generation": the ends of its ranking."""


class PageKind(enum.StrEnum):
    """What a page asks for. Only the answers of rating and preference pages are results."""

    TRAINING = "training"
    HEADPHONES = "headphones"
    LEVEL = "level"
    RATING = "rating"
    PREFERENCE = "preference"


RESULTS = (PageKind.RATING, PageKind.PREFERENCE)
"""The kinds of pages whose answers are results."""


@attrs.frozen(kw_only=True)
class Sample:
    """One stimulus of a study.

    Parameters
    ----------
    id : str
        Opaque: it tells a rater nothing about the system.
    system : str
        The scorer that chose the mashup; "original" for the vocal's own song, "unmatched" for a negative control.
    group : str
        "top" or "bottom" of the system's ranking (task "generation"); else empty.
    rank : int
        Place in the system's ranking, 1 for the best; 0 for an original or a control.
    vocal, song : str
        The vocal's clip and its song. Samples of a page have the same vocal.
    file : str
        Path inside the study's folder.
    sha256 : str
        Hash of the file.
    plan : str
        Id of the mashup's plan; empty if it has none, as sounds of one's own.
    """

    id: str
    system: str
    group: str = ""
    rank: int = 0
    vocal: str
    song: str
    file: str = ""
    sha256: str = ""
    plan: str = ""


@attrs.frozen(kw_only=True)
class Page:
    """One page of a study.

    Parameters
    ----------
    id : str
    kind : PageKind
    samples : tuple of str
        Ids of its samples; two that share a vocal on a page of results.
    repeats : str
        The page that this page shows again to the same rater, as a check of the rater; else empty.
    """

    id: str
    kind: PageKind = attrs.field(converter=PageKind)
    samples: tuple[str, ...] = attrs.field(converter=as_tuple)
    repeats: str = ""


@attrs.frozen(kw_only=True)
class Answer:
    """One answer of one rater.

    Parameters
    ----------
    rater : str
        Pseudonym.
    page : str
    sample : str
        Empty for a question about the page.
    question : str
        One of :data:`QUESTIONS`, :data:`HEARD` or :data:`PREFERRED`.
    value : int
    seconds : float
        Time from the page's first display to its submission.
    order : int
        Place of the page in the rater's sequence, from 0.
    position : int
        Place of the sample on the page as this rater saw it, 0 or 1; −1 for a question about the page.
    """

    rater: str
    page: str
    sample: str = ""
    question: str
    value: int
    seconds: float = 0.0
    order: int = 0
    position: int = -1


def to_dict(record: Sample | Page | Answer) -> dict[str, Any]:
    """Return plain data for JSON; the classes are made from it by their keyword arguments."""
    data: Mapping[str, Any] = attrs.asdict(record)
    # Without an empty plan, because samples of studies of format 1 have no such entry, and it would change their hash.
    kept = {name: value for name, value in data.items() if name != "plan" or value}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in kept.items()}
