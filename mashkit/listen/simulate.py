"""Listening tests with made-up raters, whose effects, biases, inattention and drop-out are known.

They show whether an analysis finds what is there and only that, and how many raters a study needs. All that is made
here is marked as simulated.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import attrs
import numpy as np
import numpy.typing as npt

from mashkit.errors import UsageError
from mashkit.listen.data import ORIGINAL, TASKS, UNMATCHED, StudyData
from mashkit.listen.records import HEARD, HIGHEST, LOWEST, PREFERRED, QUESTIONS, Answer, Page, PageKind, Sample

Values: TypeAlias = npt.NDArray[np.float64]

PAPER_SYSTEMS = ("premixnet-lsro", "premixnet", "postmixnet-lsro", "postmixnet", "amu")
"""The paper's five, its best first."""
PAPER_RATERS: Mapping[str, int] = {"generation": 28, "retrieval": 12, "preference": 28}
"""Numbers of subjects in the paper's Table 2; that of preferences is ours."""
RATERS_A_PAGE = 3
"""As in the paper."""
REPEATS = 2
"""Repeat items of each rater (ours)."""
TRIALS = 6
"""Headphone trials of each rater."""
RIGHT = "right"
"""Question of a headphone trial: 1 if the rater named the quietest tone, else 0."""


@attrs.frozen(kw_only=True)
class World:
    """What simulated raters and mashups are like; standard deviations in rating points unless stated otherwise (ours).

    The defaults give the agreement of the paper's Table 2 (Cronbach's alpha of questions 0.79 and 0.73).

    Parameters
    ----------
    effects : mapping of str to float
        How much better a system is: "system", "system/top", "system:harmony" or "system/top:harmony" → rating points.
        Those that fit a sample are added.
    middle : float
        Mean rating without effects.
    song, clip, aspect : float
        Spread of songs, of clips, and of a clip's aspects.
    bias : float
        Spread of raters' means.
    stretch : float
        Spread of the logarithm of how far a rater's values go from the middle.
    taste : float
        Spread of each rater's liking for each system, which other raters do not share.
    halo, noise : float
        Spread of a rating that its five questions share, and that they do not share.
    inattentive, leaving : float
        Share of raters who answer at random and fast, and of those who leave before the end.
    heard : float
        Chance that a rater has heard a vocal.
    familiar : float
        How much better an original sounds to one who has heard the vocal.
    indifference : float
        Preferences weaker than this are ties.
    """

    effects: Mapping[str, float] = attrs.field(factory=dict)
    middle: float = 3.0
    song: float = 0.4
    clip: float = 0.4
    aspect: float = 0.3
    bias: float = 0.4
    stretch: float = 0.2
    taste: float = 0.0
    halo: float = 0.4
    noise: float = 0.7
    inattentive: float = 0.08
    leaving: float = 0.1
    heard: float = 0.3
    familiar: float = 0.5
    indifference: float = 0.25

    def effect(self, sample: Sample, question: str) -> float:
        """Return how much better than others a sample is for a question."""
        names = {sample.system, f"{sample.system}/{sample.group}"}
        return sum(
            points
            for key, points in self.effects.items()
            if key.partition(":")[0] in names and key.partition(":")[2] in ("", question)
        )


def parse_effects(texts: Sequence[str], systems: Sequence[str]) -> dict[str, float]:
    """Read effects such as "premixnet=0.5", "premixnet/top=0.5" and "premixnet:harmony=-0.3".

    Raises
    ------
    UsageError
        If a text is no effect, or names a system or question that there is not.
    """
    found = {}
    for text in texts:
        match = re.fullmatch(r"([^=:/]+)(?:/(top|bottom))?(?::([a-z]+))?=([+-]?\d+(?:\.\d+)?)", text)
        if match is None:
            raise UsageError(f"--effect {text} is no effect", "write SYSTEM=POINTS, SYSTEM/top=POINTS or SYSTEM:harmony=POINTS")
        if match[1] not in (*systems, ORIGINAL, UNMATCHED):
            raise UsageError(f"--effect {text}: no system is called {match[1]!r}", f"use one of {', '.join(systems)}")
        if match[3] and match[3] not in QUESTIONS:
            raise UsageError(f"--effect {text}: no question is called {match[3]!r}", f"use one of {', '.join(QUESTIONS)}")
        found[text.rpartition("=")[0]] = float(match[4])
    return found


# -------------------------------------------------------------------------------------------------------------- designs
def design(
    task: str,
    *,
    systems: Sequence[str] = PAPER_SYSTEMS,
    size: int | None = None,
    songs: int | None = None,
    seed: int = 0,
) -> StudyData:
    """Return a study without answers, of the paper's design or of the pairwise design.

    Parameters
    ----------
    task : {"generation", "retrieval", "preference"}
    systems : sequence of str
        The first is the reference.
    size : int, optional
        Generation: mashups at each end of a ranking, by default 20. Else: query vocals, by default 30.
    songs : int, optional
        Generation: number of songs from which each system's top, and each bottom, takes its vocals; by default each
        mashup has a song drawn from 912, the size of the Harmonix Set.
    seed : int

    Raises
    ------
    UsageError
        If there is no such task, or fewer than two systems.
    """
    if task not in TASKS:
        raise UsageError(f"no task is called {task!r}", f"use one of {', '.join(TASKS)}")
    if len(set(systems)) < 2 or len(set(systems)) < len(systems):
        raise UsageError(f"{len(systems)} systems, {len(set(systems))} of them different", "name two or more, each once")
    random = np.random.default_rng(seed)
    if task == "generation":
        samples, pages = _generation(systems, size or 20, songs, random)
    else:
        samples, pages = _queries(systems, size or 30, random, originals=task == "retrieval")
    return StudyData(title=f"Simulated {task} test", task=task, reference=systems[0], simulated=True,
                     samples=samples, pages=pages, answers=())  # fmt: skip


def _generation(
    systems: Sequence[str], size: int, songs: int | None, random: np.random.Generator
) -> tuple[list[Sample], list[Page]]:
    samples, pages = [], []
    for system in systems:
        for group in ("top", "bottom"):
            pool = random.choice(912, songs or 912, replace=False)
            for rank in range(1, size + 1):
                number = len(pages)
                named = {"vocal": f"vocal-{number}", "song": f"song-{random.choice(pool)}"}
                mashup = Sample(id=f"s{number}", system=system, group=group, rank=rank, **named)
                original = Sample(id=f"o{number}", system=ORIGINAL, **named)
                samples += [mashup, original]
                pages.append(_page(f"p{number}", [mashup, original], random, PageKind.RATING))
    return samples, pages


def _queries(
    systems: Sequence[str], size: int, random: np.random.Generator, *, originals: bool
) -> tuple[list[Sample], list[Page]]:
    versions = [*systems, ORIGINAL] if originals else list(systems)
    if len(versions) % 2:
        versions.append(UNMATCHED)  # because a page has two samples
    kind = PageKind.RATING if originals else PageKind.PREFERENCE
    samples, pages = [], []
    for query in range(size):
        these = [
            Sample(id=f"s{query}-{index}", system=system, vocal=f"vocal-{query}", song=f"song-{query}", rank=1)
            for index, system in enumerate(versions)
        ]
        samples += these
        order = random.permutation(len(these))
        pages += [
            _page(f"p{query}-{index}", [these[order[index]], these[order[index + 1]]], random, kind)
            for index in range(0, len(order), 2)
        ]
    return samples, pages


def _page(name: str, samples: Sequence[Sample], random: np.random.Generator, kind: PageKind) -> Page:
    order = random.permutation(len(samples))
    return Page(id=name, kind=kind, samples=tuple(samples[index].id for index in order))


# --------------------------------------------------------------------------------------------------------------- raters
def simulate(
    study: StudyData,
    world: World,
    *,
    raters: int | None = None,
    raters_a_page: int = RATERS_A_PAGE,
    seed: int = 0,
) -> StudyData:
    """Return a study with the answers of simulated raters instead of its own.

    Each page goes to the raters with the fewest pages so far, and each rater sees pages in random order.

    Parameters
    ----------
    study : StudyData
        Its pages of results are answered; repeat items and headphone trials are added.
    world : World
    raters : int, optional
        By default as many as in the paper.
    raters_a_page : int
    seed : int

    Raises
    ------
    UsageError
        If there are fewer raters than a page needs.
    """
    count = PAPER_RATERS[study.task] if raters is None else raters
    if count < raters_a_page or raters_a_page < 1:
        raise UsageError(f"{count} raters, and {raters_a_page} for each page", "give at least as many raters")
    random = np.random.default_rng(seed)
    pages = [one for one in study.pages if one.kind in (PageKind.RATING, PageKind.PREFERENCE) and not one.repeats]
    people = _People(world, count, study, random)
    repeats: dict[str, Page] = {}
    trials = [Page(id=f"headphones-{index}", kind=PageKind.HEADPHONES, samples=()) for index in range(TRIALS)]
    answers: list[Answer] = []
    for rater, todo in enumerate(_assigned(len(pages), count, raters_a_page, random)):
        name = f"simulated-{rater + 1:03d}"
        ok = random.random(TRIALS) < (0.6 if people.inattentive[rater] else 0.99)
        answers += [
            Answer(rater=name, page=page.id, question=RIGHT, value=int(right), order=index)
            for index, (page, right) in enumerate(zip(trials, ok, strict=True))
        ]
        shown = [pages[index] for index in random.permutation(todo)]
        for page in shown[: min(REPEATS, len(shown))]:
            again = Page(id=f"{page.id}-again", kind=page.kind, samples=page.samples, repeats=page.id)
            repeats[again.id] = again
            shown.append(again)
        last = len(shown) if random.random() >= world.leaving else int(random.integers(0, len(shown) + 1))
        answers += people.answers(rater, name, shown[:last])
    return attrs.evolve(
        study,
        simulated=True,
        simulation={"raters": count, "raters_a_page": raters_a_page, "seed": seed, **attrs.asdict(world)},
        pages=(*trials, *pages, *repeats.values()),
        answers=answers,
    )


def _assigned(pages: int, raters: int, raters_a_page: int, random: np.random.Generator) -> list[list[int]]:
    found: list[list[int]] = [[] for _ in range(raters)]
    load = np.zeros(raters)
    for page in random.permutation(pages):
        for rater in np.lexsort((random.random(raters), load))[:raters_a_page]:
            found[rater].append(int(page))
            load[rater] += 1
    return found


class _People:
    """Raters, and the true quality of what they hear."""

    def __init__(self, world: World, count: int, study: StudyData, random: np.random.Generator) -> None:
        self.world, self.random = world, random
        self.place = {one.id: index for index, one in enumerate(study.samples)}
        self.samples = study.samples
        systems = list(dict.fromkeys(one.system for one in study.samples))
        self.system = np.array([systems.index(one.system) for one in study.samples])
        _, song = np.unique([one.song for one in study.samples], return_inverse=True)
        effects = {
            key: np.array([world.effect(Sample(id="", system=key[0], group=key[1], vocal="", song=""), question)
                           for question in QUESTIONS])
            for key in {(one.system, one.group) for one in study.samples}
        }  # fmt: skip
        self.quality = (
            np.array([effects[one.system, one.group] for one in study.samples])
            + random.normal(0, world.song, int(song.max()) + 1)[song][:, None]
            + random.normal(0, world.clip, (len(song), 1))
            + random.normal(0, world.aspect, (len(song), len(QUESTIONS)))
        )
        self.bias = random.normal(0, world.bias, count)
        self.stretch = np.exp(random.normal(0, world.stretch, count))
        self.taste = random.normal(0, world.taste, (count, len(systems)))
        self.inattentive = random.random(count) < world.inattentive

    def answers(self, rater: int, name: str, pages: Sequence[Page]) -> list[Answer]:
        """Return the answers of one rater to pages, in this order."""
        found: list[Answer] = []
        heard: dict[str, bool] = {}
        for order, page in enumerate(pages):
            middle = 25.0 if self.inattentive[rater] else 95.0
            seconds = round(float(middle * np.exp(self.random.normal(0, 0.35))), 1)
            facts: dict[str, Any] = {"rater": name, "page": page.id, "seconds": seconds, "order": order}
            vocal = self.samples[self.place[page.samples[0]]].vocal
            heard.setdefault(vocal, bool(self.random.random() < self.world.heard))
            found.append(Answer(question=HEARD, value=int(heard[vocal]), **facts))
            felt = self._felt(rater, page, heard[vocal])
            if page.kind == PageKind.PREFERENCE:
                found += [
                    Answer(sample=sample, question=PREFERRED, value=value, **facts)
                    for sample, value in zip(page.samples, self._preferred(rater, felt), strict=True)
                ]
                continue
            stretched = self.world.middle + self.stretch[rater] * felt + self.bias[rater]
            values = np.clip(np.rint(stretched), LOWEST, HIGHEST).astype(int)
            if self.inattentive[rater]:
                values = self.random.integers(LOWEST, HIGHEST + 1, values.shape)
            found += [
                Answer(sample=sample, question=question, value=value, **facts)
                for sample, row in zip(page.samples, values.tolist(), strict=True)
                for question, value in zip(QUESTIONS, row, strict=True)
            ]
        return found

    def _felt(self, rater: int, page: Page, heard: bool) -> Values:
        """Return what the rater feels about each sample and question, shape (samples, questions)."""
        places = [self.place[name] for name in page.samples]
        shape = (len(places), len(QUESTIONS))
        felt: Values = (
            self.quality[places]
            + self.taste[rater, self.system[places]][:, None]
            + self.random.normal(0, self.world.halo, (len(places), 1))
            + self.random.normal(0, self.world.noise, shape)
        )
        if heard:
            felt[[self.samples[place].system == ORIGINAL for place in places]] += self.world.familiar
        return felt

    def _preferred(self, rater: int, felt: Values) -> tuple[int, int]:
        if self.inattentive[rater]:
            first = bool(self.random.random() < 0.5)
            return int(first), int(not first)
        difference = float(felt[0, QUESTIONS.index("overall")] - felt[1, QUESTIONS.index("overall")])
        return int(difference > self.world.indifference), int(difference < -self.world.indifference)
