"""A study with its answers: what the reports read, from a study's folder or from one JSON file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from mashkit.arguments import named_json, require_path
from mashkit.atomicfile import write_text
from mashkit.errors import MashkitError, UsageError, suggestion
from mashkit.listen.exclusions import exclusions
from mashkit.listen.records import HIGHEST, LOWEST, QUESTIONS, RESULTS, Answer, PageKind, to_dict
from mashkit.listen.study import CHECK, ORIGINAL, UNMATCHED, Study, StudyError, read
from mashkit.paths import path_text
from mashkit.types.mappings import as_tuple

FORMAT = 1
KIND = "mashkit listening data"
KEYS = ("kind", "format", "simulated", "simulation", "reference", "hash", "study", "exclusions", "answers")
"""Keys of what :func:`write_data` writes."""


class ListeningDataError(MashkitError):
    """Data of a listening test that cannot be read, or contradict themselves."""


@attrs.frozen(kw_only=True)
class Answered:
    """A study with its answers.

    Parameters
    ----------
    study : Study
    answers : tuple of Answer
    exclusions : mapping of str to mapping of str to str
        Rater → rule → reason, for the raters whose answers are left out; by default as the study's rules say.
    reference : str
        The system with which the others are compared (the paper's is PreMixNet + LSRO); by default the study's first.
    simulation : mapping
        What the simulated raters were like; empty for the answers of people.

    Raises
    ------
    ListeningDataError
        If an answer names no page or sample of the study, is out of range, or is given twice; if the reference is no
        system of the study; if there is no system.
    """

    study: Study
    answers: tuple[Answer, ...] = attrs.field(converter=as_tuple)
    exclusions: Mapping[str, Mapping[str, str]] = attrs.field()
    reference: str = attrs.field()
    simulation: Mapping[str, Any] = attrs.field(factory=dict)

    @exclusions.default
    def _by_rules(self) -> Mapping[str, Mapping[str, str]]:
        self._check()
        return exclusions(self.study, self.answers)

    @reference.default
    def _first(self) -> str:
        return next(iter(self.systems), "")

    def __attrs_post_init__(self) -> None:
        self._check()
        if self.reference not in self.systems:
            fix = f"use one of {', '.join(self.systems)}" if self.systems else "give samples of a system"
            raise ListeningDataError(f"the study has no system {self.reference!r}", fix)

    def compared_with(self, reference: str | None) -> Answered:
        """Return the same answers with another reference; None changes nothing.

        Raises
        ------
        UsageError
            If the study has no such system.
        """
        if reference is None:
            return self
        if reference not in self.systems:
            raise UsageError(f"--reference {reference}: the study has no such system",
                             suggestion(reference, self.systems))  # fmt: skip
        return attrs.evolve(self, reference=reference)

    @property
    def simulated(self) -> bool:
        """Whether the answers are made up by a program."""
        return bool(self.simulation)

    @property
    def systems(self) -> tuple[str, ...]:
        """The scorers, in the study's order; without the original, the control and the tones of checks.

        Systems that the study has samples of but does not describe follow, in the order of their first sample.
        """
        sampled = dict.fromkeys(one.system for one in self.study.samples)
        ordered = [*(name for name in self.study.systems if name in sampled), *sampled]
        return tuple(name for name in dict.fromkeys(ordered) if name not in (ORIGINAL, UNMATCHED, CHECK))

    @property
    def task(self) -> str:
        """What the tests compare: "generation" if samples have groups, "preference", or "retrieval"."""
        if self.study.asks is PageKind.PREFERENCE:
            return "preference"
        return "generation" if any(one.group for one in self.study.samples) else "retrieval"

    def _check(self) -> None:
        seen = set()
        for one in self.answers:
            key = (one.rater, one.page, one.sample, one.question)
            if key in seen:
                raise ListeningDataError(f"{_named(one)} is given twice", "keep one of them")
            seen.add(key)
            page = self.study.page.get(one.page)
            if page is None or (one.sample and one.sample not in page.samples):
                raise ListeningDataError(f"{_named(one)} is of a page or sample that the study does not have",
                                         "give the study that was answered")  # fmt: skip
            low, high = (LOWEST, HIGHEST) if one.question in QUESTIONS else (0, 1)
            if type(one.value) is not int:  # JSON also has true, 3.5 and null
                raise ListeningDataError(f"{_named(one)} is {one.value!r}", "it must be a whole number")
            if page.kind in RESULTS and not low <= one.value <= high:
                raise ListeningDataError(f"{_named(one)} is {one.value}", f"it must be from {low} to {high}")


def _named(one: Answer) -> str:
    return f"the answer of rater {one.rater!r} to {one.question!r}, page {one.page!r}, sample {one.sample!r}"


def read_answered(path: Path | str, reference: str | None = None) -> Answered:
    """Read a study with its answers: from the study's folder, or from a file of :func:`write_data`.

    A study may be read while it is served; its answers are those of that moment.

    Parameters
    ----------
    path : Path or str
    reference : str, optional
        Instead of the default reference, or that of the file.

    Raises
    ------
    UsageError
        If there is no such study or file, ``path`` is not a path, or ``reference`` is no system of the study.
    ListeningDataError
        If there is no study with answers.
    StudyError
        If the study is not as it was frozen.
    """
    path = require_path("path", path)
    data = _of_folder(path) if path.is_dir() else read_data(path)
    return data.compared_with(reference)


def _of_folder(folder: Path) -> Answered:
    from mashkit.listen.answers import DATABASE, Store

    study = read(folder)
    if not (folder / DATABASE).is_file():
        raise ListeningDataError(f"{path_text(folder)} has no answers yet", "serve it: mashkit listen serve")
    store = Store(study, folder)
    try:
        return Answered(study=study, answers=tuple(store.answers()), exclusions=store.exclusions())
    finally:
        store.close()


def write_data(data: Answered, path: Path | str) -> None:
    """Write a study with its answers as JSON.

    Raises
    ------
    UsageError
        If ``path`` is not a path.
    OutputError
        If the file cannot be written.
    """
    path = require_path("path", path)
    plain = {
        "kind": KIND,
        "format": FORMAT,
        # Near the beginning, because nobody must take simulated answers for those of people.
        "simulated": data.simulated,
        "simulation": dict(data.simulation),
        "reference": data.reference,
        "hash": data.study.hash,
        "study": data.study.to_dict(),
        "exclusions": {rater: dict(rules) for rater, rules in data.exclusions.items()},
        "answers": [to_dict(one) for one in data.answers],
    }
    write_text(path, json.dumps(plain, ensure_ascii=True, allow_nan=False) + "\n")


def read_data(path: Path | str) -> Answered:
    """Read a study with its answers from JSON.

    Raises
    ------
    UsageError
        If the file cannot be read, or is not JSON, or ``path`` is not a path.
    ListeningDataError
        If it is no such data.
    """
    fix = "give a file that `mashkit listen simulate` or `mashkit listen export` wrote"
    path = require_path("path", path)
    plain = named_json(path, fix)
    if not isinstance(plain, dict) or plain.get("kind") != KIND or plain.get("format") != FORMAT:
        raise ListeningDataError(f"{path_text(path)} is not data of a listening test, format {FORMAT}", fix)
    try:
        study = Study.from_dict(plain["study"])
        if study.hash != plain["hash"]:
            raise ListeningDataError("the study does not have the hash that was written beside it")
        return Answered(
            study=study,
            answers=tuple(Answer(**one) for one in plain["answers"]),
            exclusions=plain["exclusions"],
            reference=plain["reference"],
            simulation=plain["simulation"],
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ListeningDataError(f"{path_text(path)}: a record does not fit: {error}", fix) from error
    except (ListeningDataError, StudyError) as error:
        raise ListeningDataError(f"{path_text(path)}: {error.problem}", error.fix or fix) from error
