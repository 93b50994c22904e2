"""A study's data in one JSON file: what `mashkit listen simulate` writes and the reports read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from mashkit.atomicfile import write_text
from mashkit.errors import MashkitError
from mashkit.listen.exclusions import Rules
from mashkit.listen.records import HIGHEST, LOWEST, QUESTIONS, Answer, Page, PageKind, Sample, to_dict
from mashkit.paths import path_text

FORMAT = 1
KIND = "mashkit listening data"
TASKS = ("generation", "retrieval", "preference")
ORIGINAL, UNMATCHED = "original", "unmatched"
"""Values of ``Sample.system`` that are no scorer."""


class ListeningDataError(MashkitError):
    """Data of a listening test that cannot be read, or contradict themselves."""


@attrs.frozen(kw_only=True)
class StudyData:
    """A study with its answers.

    Parameters
    ----------
    title : str
    task : {"generation", "retrieval", "preference"}
    hash : str
        The hash of the frozen study; empty if it was never frozen.
    reference : str
        The system with which the others are compared (the paper's is PreMixNet + LSRO).
    simulated : bool
        Whether the answers are made up by a program.
    simulation : mapping
        What the simulated raters were like; empty for a real study.
    rules : Rules
    samples : tuple of Sample
    pages : tuple of Page
    answers : tuple of Answer

    Raises
    ------
    ListeningDataError
        If an answer names no page or sample of the study, is out of range, or is given twice.
    """

    title: str
    task: str
    hash: str = ""
    reference: str = ""
    simulated: bool = False
    simulation: Mapping[str, Any] = attrs.field(factory=dict)
    rules: Rules = attrs.field(factory=Rules)
    samples: tuple[Sample, ...] = attrs.field(converter=tuple)
    pages: tuple[Page, ...] = attrs.field(converter=tuple)
    answers: tuple[Answer, ...] = attrs.field(converter=tuple)

    def __attrs_post_init__(self) -> None:
        if self.task not in TASKS:
            raise ListeningDataError(f"no task is called {self.task!r}", f"use one of {', '.join(TASKS)}")
        samples, pages = {one.id for one in self.samples}, {one.id: one for one in self.pages}
        for page in self.pages:
            for name in (*page.samples, page.repeats):
                if name and name not in (pages if name == page.repeats else samples):
                    raise ListeningDataError(f"page {page.id!r} names {name!r}, which the study does not have",
                                             "give all samples and pages of the study")  # fmt: skip
        if self.reference and self.reference not in self.systems:
            raise ListeningDataError(f"the study has no system {self.reference!r}",
                                     f"use one of {', '.join(self.systems)}")  # fmt: skip
        seen = set()
        for one in self.answers:
            key = (one.rater, one.page, one.sample, one.question)
            if key in seen:
                raise ListeningDataError(f"{_named(one)} is given twice", "keep one of them")
            seen.add(key)
            _check(one, pages)

    @property
    def systems(self) -> tuple[str, ...]:
        """The scorers, in the order of their first sample, without "original" and "unmatched"."""
        found = dict.fromkeys(one.system for one in self.samples)
        return tuple(name for name in found if name not in (ORIGINAL, UNMATCHED))


def _named(one: Answer) -> str:
    return f"the answer of rater {one.rater!r} to {one.question!r}, page {one.page!r}, sample {one.sample!r}"


def _check(one: Answer, pages: Mapping[str, Page]) -> None:
    page = pages.get(one.page)
    if page is None or (one.sample and one.sample not in page.samples):
        raise ListeningDataError(f"{_named(one)} is of a page or sample that the study does not have",
                                 "give all samples and pages of the study")  # fmt: skip
    if page.kind in (PageKind.RATING, PageKind.PREFERENCE):
        low, high = (LOWEST, HIGHEST) if one.question in QUESTIONS else (0, 1)
        if not low <= one.value <= high:
            raise ListeningDataError(f"{_named(one)} is {one.value}", f"it must be from {low} to {high}")


def write_data(data: StudyData, path: Path) -> None:
    """Write a study's data as JSON.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    plain = {
        "kind": KIND,
        "format": FORMAT,
        # First, because nobody must take simulated answers for those of people.
        "simulated": data.simulated,
        **{name: getattr(data, name) for name in ("title", "task", "hash", "reference")},
        "simulation": dict(data.simulation),
        "rules": attrs.asdict(data.rules),
        **{name: [to_dict(one) for one in getattr(data, name)] for name in ("samples", "pages", "answers")},
    }
    write_text(path, json.dumps(plain, ensure_ascii=True, allow_nan=False) + "\n")


def read_data(path: Path) -> StudyData:
    """Read a study's data from JSON.

    Raises
    ------
    ListeningDataError
        If the file cannot be read, or is no such data.
    """
    fix = "give a file that `mashkit listen simulate` or `mashkit listen export --records` wrote"
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ListeningDataError(f"cannot read {path_text(path)}: {error}", fix) from error
    if not isinstance(plain, dict) or plain.get("kind") != KIND or plain.get("format") != FORMAT:
        raise ListeningDataError(f"{path_text(path)} is not data of a listening test, format {FORMAT}", fix)
    try:
        return StudyData(
            **{name: plain[name] for name in ("title", "task", "hash", "reference", "simulated", "simulation")},
            rules=Rules(**plain["rules"]),
            samples=tuple(Sample(**one) for one in plain["samples"]),
            pages=tuple(Page(**one) for one in plain["pages"]),
            answers=tuple(Answer(**one) for one in plain["answers"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ListeningDataError(f"{path_text(path)}: a record does not fit: {error}", fix) from error
    except ListeningDataError as error:
        raise ListeningDataError(f"{path_text(path)}: {error.problem}", error.fix) from error
