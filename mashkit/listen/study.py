"""A frozen study: a folder with its protocol, rules, texts, samples and pages, and one hash over all of it.

``study.json`` holds everything that is decided before the first rating, also the SHA-256 of each sound file in
``stimuli/``. The study's hash is the SHA-256 of that file's content without the hash itself, so it covers the sounds.
"""

from __future__ import annotations

import collections
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import attrs

from mashkit.arguments import require_path
from mashkit.atomicfile import write_json
from mashkit.errors import MashkitError, UsageError
from mashkit.listen.records import BOTTOM, QUESTIONS, RESULTS, TOP, Page, PageKind, Sample, to_dict
from mashkit.models import sha256_of
from mashkit.paths import path_text
from mashkit.types.mappings import as_tuple

FORMAT = 2
"""Version of ``study.json``. Format 1 had no plans; it is read, and such a study keeps its format and its hash."""
STUDY_FILE = "study.json"
STIMULI = "stimuli"
ORIGINAL, UNMATCHED = "original", "unmatched"
"""Systems of the two kinds of samples that no system chose: the vocal's own song, and the negative control."""
CHECK = "check"
"""The system of the tones that check a rater's level or headphones; no result is of them."""
GROUPS = ("", TOP, BOTTOM)
"""Groups of a system's samples, in the order of tables: none, or the end of its ranking that they are of."""
CONTROLS: Mapping[PageKind, int] = {PageKind.RATING: 3, PageKind.PREFERENCE: 5}
"""Pages with a negative control and its original that a rater sees, by what a study asks for (ours)."""
FEWEST_PAGES = 10
"""The least number of pages of each rater (paper, "Statistics of Subjects")."""


class StudyError(MashkitError):
    """A study that cannot be made, or that is not as it was frozen."""


@attrs.frozen(kw_only=True)
class Protocol:
    """What every rater does.

    Parameters
    ----------
    pages_per_rater : int
        Pages of results of each rater, if the study has so many; at least ten in the paper.
    raters_per_page : int
        Raters that each page of results needs; three in the paper.
    negatives_per_rater : int
        Pages with a negative control and its original, in addition (ours: with one control and one repeated page, the
        rules leave out a fifth of the attentive simulated raters; benchmarks/results/listening_simulation.md). Studies
        of preferences have five, because a choice tells less than ten ratings.
    repeats_per_rater : int
        Pages that a rater sees a second time, in addition, at most half of those that can be repeated (ours, as above).
    must_play_s : float
        Seconds of a sample that a rater must have heard before rating it (ours).
    headphones : bool
        Whether a rater must pass the headphone check (Woods et al. 2017): the quietest of three tones, six times.
    headphones_right : int
        Right answers that are needed of six; five in Woods et al. 2017.
    headphones_tries, level_tries : int
        How often a rater may try each check.
    level : bool
        Whether a rater must count quiet tones, which sets the level of the headphones (ours).
    hold_hours : float
        A rater who is away for longer no longer counts for the pages that they have not answered, nor for the others
        if a rule leaves them out.
    completion_code : str
        Shown to a rater who has finished, for a crowd platform; empty for none.
    """

    pages_per_rater: int = FEWEST_PAGES
    raters_per_page: int = 3
    negatives_per_rater: int = 3
    repeats_per_rater: int = 2
    must_play_s: float = 5.0
    headphones: bool = True
    headphones_right: int = 5
    headphones_tries: int = 2
    level: bool = True
    level_tries: int = 3
    hold_hours: float = 24.0
    completion_code: str = ""


@attrs.frozen(kw_only=True)
class Rules:
    """Rules by which a rater's answers are left out of the results; None or False switches a rule off.

    They are written down before the first rating. :func:`mashkit.listen.exclusions.exclusions` applies them.

    Parameters
    ----------
    fewest_pages : int, optional
        "incomplete": fewer pages of results were answered. The paper's raters answered ten or more.
    fewest_seconds : float, optional
        "hurried": the median time of a page is shorter. The paper's raters needed 95 and 108 s (Table 2); 15 s is less
        than two samples of must_play_s and ten clicks need (ours).
    negatives : bool
        "negatives": on the pages with a negative control, the original is not better on average (ours).
    most_difference : float, optional
        "repeats": mean absolute difference of the ratings of a repeated page, of five steps. For random ratings its
        expectation is 1.6; with a test-retest deviation of 0.7 steps it is 0.8 (ours: a value between these two).
    same_rating : bool
        "same": every rating of every page is the same number (ours).
    most_missed : float, optional
        "missed", for studies of preferences: on the pages with a negative control, and where they are shown again, the
        control was preferred more often than this; "neither" counts 0.5. Pages of controls are then repeated in place
        of pages of results (ours: see :meth:`of`).
    """

    fewest_pages: int | None = FEWEST_PAGES
    fewest_seconds: float | None = 15.0
    negatives: bool = True
    most_difference: float | None = 1.25
    same_rating: bool = True
    most_missed: float | None = None

    @classmethod
    def of(cls, asks: PageKind, protocol: Protocol, controls: int | None = None) -> Rules:
        """Return the rules for a protocol.

        In studies of preferences a quarter of the showings of controls may be missed, or one (ours). Repeated pages of
        two systems tell too little of a rater, because attentive raters, too, change a close choice. Thresholds are
        compared in benchmarks/results/listening_simulation.md.

        Parameters
        ----------
        asks : PageKind
            What the study asks for.
        protocol : Protocol
        controls : int, optional
            Pages with a negative control that the study has; by default as many as a rater is to see.
        """
        if asks is not PageKind.PREFERENCE:
            return cls(fewest_pages=protocol.pages_per_rater)
        seen = protocol.negatives_per_rater if controls is None else min(protocol.negatives_per_rater, controls)
        showings = seen + min(protocol.repeats_per_rater, most_repeats(seen))
        return cls(fewest_pages=protocol.pages_per_rater, most_missed=max(1.0, showings / 4))


def most_repeats(repeatable: int) -> int:
    """Return how many of a rater's repeatable pages may come again: half of them, because others come in between."""
    return min(repeatable, max(1, repeatable // 2))


@attrs.frozen(kw_only=True, slots=False)  # cached properties need no slots
class Study:
    """A study as it was frozen.

    Parameters
    ----------
    title : str
        Shown to raters.
    contact : str
        Whom raters may ask; shown to them.
    task : str
        "generation", "retrieval", "preference" or "custom".
    seed : int
    protocol : Protocol
    rules : Rules
    questions : tuple of str
    texts : mapping of str to mapping of str to str
        Language → name → text: all texts that a rater sees.
    systems : mapping of str to mapping
        Name of a system → what it is (:meth:`mashkit.components.Component.described`).
    samples : tuple of Sample
    pages : tuple of Page
    keys : mapping of str to int
        Right answers of the samples of checks.
    loudness_lufs : float, optional
        Integrated loudness of every sample (ITU-R BS.1770-4).
    notes : tuple of str
        What was left out, and why.
    plans : mapping of str to mapping
        Id → plan (:meth:`mashkit.types.MashupPlan.to_dict`) of the samples that are mashups; empty if none is, and for
        a study frozen before plans were kept.
    """

    title: str = ""
    contact: str = ""
    task: str
    seed: int = 0
    protocol: Protocol = attrs.field(factory=Protocol)
    rules: Rules = attrs.field(factory=Rules)
    questions: tuple[str, ...] = attrs.field(default=QUESTIONS, converter=as_tuple)
    texts: Mapping[str, Mapping[str, str]] = attrs.field(factory=dict)
    systems: Mapping[str, Any] = attrs.field(factory=dict)
    samples: tuple[Sample, ...] = attrs.field(converter=as_tuple)
    pages: tuple[Page, ...] = attrs.field(converter=as_tuple)
    keys: Mapping[str, int] = attrs.field(factory=dict)
    loudness_lufs: float | None = None
    notes: tuple[str, ...] = attrs.field(default=(), converter=as_tuple)
    plans: Mapping[str, Any] = attrs.field(factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON, without the hash."""
        return {
            "format": FORMAT if self.plans else 1,
            "title": self.title,
            "contact": self.contact,
            "task": self.task,
            "seed": self.seed,
            "protocol": attrs.asdict(self.protocol),
            # Without most_missed if it is off, because frozen studies that do not state it must keep their hash.
            "rules": attrs.asdict(
                self.rules, filter=lambda field, value: field.name != "most_missed" or value is not None
            ),
            "questions": list(self.questions),
            "texts": {language: dict(texts) for language, texts in self.texts.items()},
            "systems": dict(self.systems),
            "samples": [to_dict(one) for one in self.samples],
            "pages": [to_dict(one) for one in self.pages],
            "keys": dict(self.keys),
            "loudness_lufs": self.loudness_lufs,
            "notes": list(self.notes),
            **({"plans": {name: dict(plan) for name, plan in self.plans.items()}} if self.plans else {}),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Study:
        """Return the study that :meth:`to_dict` wrote.

        Raises
        ------
        StudyError
            If the data is not that of a study of this format.
        """
        if data.get("format") not in range(1, FORMAT + 1):
            raise StudyError(f"a study of format {data.get('format')!r}", f"this mashkit reads formats 1 to {FORMAT}")
        given = {name: value for name, value in data.items() if name not in ("format", "hash")}
        try:
            study = cls(
                **given
                | {
                    "protocol": Protocol(**given["protocol"]),
                    "rules": Rules(**given["rules"]),
                    "samples": [Sample(**one) for one in given["samples"]],
                    "pages": [Page(**one) for one in given["pages"]],
                }
            )
            # Both read every value, so that one of another type is found here and not far from the mistake.
            collections.deque(study.problems(), maxlen=0)
            _ = study.hash
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            what = f"it has no {error}" if isinstance(error, KeyError) else str(error)
            fix = "restore it from a copy, or make the study again: mashkit listen new"
            raise StudyError(f"not the data of a study: {what}", fix) from error
        return study

    @cached_property
    def hash(self) -> str:
        """SHA-256 of everything that was frozen, in hexadecimal digits."""
        text = json.dumps(self.to_dict(), sort_keys=True, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @cached_property
    def sample(self) -> Mapping[str, Sample]:
        """Id → sample."""
        return {one.id: one for one in self.samples}

    @cached_property
    def page(self) -> Mapping[str, Page]:
        """Id → page."""
        return {one.id: one for one in self.pages}

    @cached_property
    def asks(self) -> PageKind:
        """What its pages of results ask for: ratings or preferences."""
        preferences = any(page.kind is PageKind.PREFERENCE for page in self.pages)
        return PageKind.PREFERENCE if preferences else PageKind.RATING

    def of_kind(self, *kinds: PageKind) -> list[Page]:
        """Return the pages of these kinds, in order, without those that repeat another."""
        return [page for page in self.pages if page.kind in kinds and not page.repeats]

    def is_negative(self, page: Page) -> bool:
        """Return whether a page of results has a negative control and its original, and no system's sample."""
        systems = {self.sample[one].system for one in page.samples}
        return page.kind in RESULTS and systems == {ORIGINAL, UNMATCHED}

    @cached_property
    def results(self) -> tuple[Page, ...]:
        """Pages whose answers are results: neither negative controls nor repeated pages."""
        pages = self.of_kind(*RESULTS)
        return tuple(page for page in pages if not self.is_negative(page))

    @cached_property
    def negatives(self) -> tuple[Page, ...]:
        """Pages with a negative control and its original."""
        return tuple(page for page in self.of_kind(*RESULTS) if self.is_negative(page))

    def repeat_of(self, page: str) -> Page | None:
        """Return the page that shows this page again, if there is one."""
        return self._repeats.get(page)

    @cached_property
    def _repeats(self) -> Mapping[str, Page]:
        return {page.repeats: page for page in self.pages if page.repeats}

    def problems(self) -> Iterator[str]:
        """Yield what is inconsistent in the data, without reading a sound."""
        if len(self.sample) < len(self.samples) or len(self.page) < len(self.pages):
            yield "two samples or two pages have one id"
        for one in self.samples:
            if one.plan and one.plan not in self.plans:
                yield f"the plan {one.plan} of sample {one.id} is missing"
        for page in self.pages:
            unknown = [one for one in page.samples if one not in self.sample]
            if unknown:
                yield f"page {page.id} has unknown samples: {', '.join(unknown)}"
            elif page.kind in (*RESULTS, PageKind.TRAINING):
                if len(set(page.samples)) != 2:
                    yield f"page {page.id} has not two samples"
                elif len({self.sample[one].vocal for one in page.samples}) != 1:
                    yield f"the samples of page {page.id} do not share a vocal"
            if page.repeats and page.repeats not in self.page:
                yield f"page {page.id} repeats an unknown page"
        if not self.results:
            yield "it has no page of results"


def write(study: Study, folder: Path | str) -> None:
    """Write ``study.json``; the sounds are in the folder already."""
    write_json(require_path("folder", folder) / STUDY_FILE, {**study.to_dict(), "hash": study.hash})


def load(folder: Path | str) -> Study:
    """Read a study and check all of it, also that no sound was changed or removed.

    Raises
    ------
    UsageError
        If the folder has no study, or ``folder`` is not a path.
    StudyError
        If the study is not as it was frozen; the text lists every problem.
    """
    folder = require_path("folder", folder)
    study = read(folder)
    problems = list(changed_files(study, folder))
    if problems:
        raise StudyError(
            f"{path_text(folder)} is not as it was frozen: {'; '.join(problems)}",
            "restore the folder from a copy, or make a new study: answers to changed sounds cannot be compared",
        )
    return study


def read(folder: Path | str) -> Study:
    """Read a study and check its hash, without reading its sounds; errors are those of :func:`load`."""
    folder = require_path("folder", folder)
    path = folder / STUDY_FILE
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        what = f"is no study: it has no {STUDY_FILE}" if folder.is_dir() else "is no folder"
        raise UsageError(f"{path_text(folder)} {what}", "give the folder that mashkit listen new made") from error
    except (OSError, ValueError, RecursionError) as error:
        raise StudyError(f"{path_text(path)} cannot be read: {error}", "restore it from a copy") from error
    if not isinstance(data, dict):
        raise StudyError(f"{path_text(path)} holds no study", "make one: mashkit listen new")
    try:
        study = Study.from_dict(data)
    except StudyError as error:
        raise StudyError(f"{path_text(path)}: {error.problem}", error.fix) from error
    problems = list(study.problems())
    if study.hash != data.get("hash"):
        problems.insert(0, f"the content of {STUDY_FILE} does not have the hash that was written beside it")
    if problems:
        raise StudyError(
            f"{path_text(folder)} is not as it was frozen: {'; '.join(problems)}",
            f"restore {STUDY_FILE} from a copy, or make a new study",
        )
    return study


def sound_file(folder: Path, sample: Sample) -> Path | None:
    """Return a sample's file, or None if its name leads out of the study's sounds or there is no such file."""
    stimuli = (folder / STIMULI).resolve()
    path = folder / sample.file
    if not sample.file or path.is_symlink() or not path.resolve().is_relative_to(stimuli) or not path.is_file():
        return None
    return path


def changed_files(study: Study, folder: Path, samples: Sequence[Sample] | None = None) -> Iterator[str]:
    """Yield a text for each sound that is missing or was changed; of all samples by default."""
    known: dict[str, str] = {}
    for sample in study.samples if samples is None else samples:
        path = sound_file(folder, sample)
        if path is None:
            yield f"{sample.file!r} of sample {sample.id} is missing"
            continue
        if sample.file not in known:
            known[sample.file] = sha256_of(path)
        if known[sample.file] != sample.sha256:
            yield f"{sample.file} of sample {sample.id} was changed"
