"""Listening tests with made-up raters, whose effects, biases, inattention and drop-out are known.

They show whether an analysis finds what is there and only that, and how many raters a study needs. All that is made
here is marked as simulated.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import attrs
import numpy as np

from mashkit.errors import UsageError, suggestion
from mashkit.listen import designs, sequences
from mashkit.listen.data import Answered
from mashkit.listen.designs import Candidate, Layout
from mashkit.listen.exclusions import exclusions
from mashkit.listen.records import (
    BOTTOM,
    HEARD,
    HIGHEST,
    LOWEST,
    OVERALL,
    PREFERRED,
    QUESTIONS,
    TOP,
    Answer,
    Page,
    PageKind,
    Sample,
)
from mashkit.listen.sequences import Step
from mashkit.listen.study import CONTROLS, ORIGINAL, UNMATCHED, Protocol, Rules, Study
from mashkit.statistics import Values

Effect: TypeAlias = tuple[str, str, str]
"""Of what an effect is: system, group ("top" or "bottom") and question; an empty group or question is any."""

TASKS = ("generation", "retrieval", "preference")
PAPER_SYSTEMS = ("premixnet-lsro", "premixnet", "postmixnet-lsro", "postmixnet", "amu")
"""The paper's five, its best first."""
PAPER_SIZE: Mapping[str, int] = {"generation": 20, "retrieval": 30, "preference": 30}
"""Mashups at each end of a ranking, or query vocals; that of preferences is ours."""
PAPER_RATERS: Mapping[str, int] = {"generation": 28, "retrieval": 12, "preference": 28}
"""Numbers of subjects in the paper's Table 2; that of preferences is ours."""
SONGS = 912
"""Songs of the Harmonix Set, from which the paper's generation task draws."""


@attrs.frozen(kw_only=True)
class World:
    """What simulated raters and mashups are like; standard deviations in rating points unless stated otherwise (ours).

    The defaults give about the agreement of the paper's Table 2 (Cronbach's alpha of the questions 0.79 and 0.73).

    Parameters
    ----------
    effects : mapping of (str, str, str) to float
        How much better a system is: system, group and question → rating points. An empty group or question is any.
        Those that fit a sample are added.
    middle : float
        Mean rating without effects.
    original, control : float
        How much better an original is than a mashup, and a negative control.
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

    effects: Mapping[Effect, float] = attrs.field(factory=dict)
    middle: float = 2.8
    original: float = 0.8
    control: float = -1.0
    song: float = 0.3
    clip: float = 0.35
    aspect: float = 0.35
    bias: float = 0.4
    stretch: float = 0.2
    taste: float = 0.0
    halo: float = 0.3
    noise: float = 0.65
    inattentive: float = 0.08
    leaving: float = 0.1
    heard: float = 0.3
    familiar: float = 0.5
    indifference: float = 0.25

    def effect(self, sample: Sample, question: str) -> float:
        """Return how much better than a system without effects a sample is for a question."""
        common = {ORIGINAL: self.original, UNMATCHED: self.control}.get(sample.system, 0.0)
        return common + sum(
            points
            for (system, group, asked), points in self.effects.items()
            if system == sample.system and group in ("", sample.group) and asked in ("", question)
        )


def parse_effects(texts: Sequence[str], systems: Sequence[str]) -> dict[Effect, float]:
    """Read effects such as "premixnet=0.5", "premixnet/top=0.5" and "premixnet:harmony=-0.3".

    Raises
    ------
    UsageError
        If a text is no effect, or names a system or question that there is not.
    """
    found = {}
    for text in texts:
        match = re.fullmatch(r"(.+)=([+-]?\d+(?:\.\d+)?)", text)
        if match is None:
            raise UsageError(
                f"--effect {text} is no effect", "write SYSTEM=POINTS, SYSTEM/top=POINTS or SYSTEM:harmony=1"
            )
        system, group, question = _effect(match[1], systems)
        if system not in systems:
            raise UsageError(f"--effect {text}: no system is called {system!r}", suggestion(system, systems))
        if question and question not in QUESTIONS:
            raise UsageError(f"--effect {text}: no question is called {question!r}", suggestion(question, QUESTIONS))
        found[system, group, question] = float(match[2])
    return found


def _effect(text: str, systems: Sequence[str]) -> Effect:
    """Return system, group and question of a text.

    The longest name of a system with which the text begins is taken, because names such as "cached:amu" contain colons,
    and names may also contain slashes. After it, only a group, a question, both or nothing may follow.
    """
    rest = rf"(?:/({TOP}|{BOTTOM}))?(?::([a-z]+))?"
    for system in sorted(systems, key=len, reverse=True):
        if match := re.fullmatch(re.escape(system) + rest, text):
            return system, match[1] or "", match[2] or ""
    match = re.fullmatch(rf"(.+?){rest}", text)
    assert match is not None  # noqa: S101 — the text is not empty
    return match[1], match[2] or "", match[3] or ""


def _name(effect: Effect) -> str:
    """Return an effect as it is given."""
    system, group, question = effect
    return f"{system}{group and f'/{group}'}{question and f':{question}'}"


# -------------------------------------------------------------------------------------------------------------- designs
def design(
    task: str,
    *,
    systems: Sequence[str] = PAPER_SYSTEMS,
    size: int | None = None,
    raters: int | None = None,
    songs: int | None = None,
    seed: int = 0,
) -> Study:
    """Return a study of the paper's design, or of the design of pairs, whose samples have no sound.

    Parameters
    ----------
    task : {"generation", "retrieval", "preference"}
    systems : sequence of str
    size : int, optional
        Generation: mashups at each end of a ranking. Else: query vocals. By default as in the paper.
    raters : int, optional
        They share the pages evenly; by default as many as in the paper.
    songs : int, optional
        Generation: number of songs from which each system's top, and each bottom, takes its vocals; by default the 912
        songs of the paper.
    seed : int

    Raises
    ------
    UsageError
        If there is no such task, fewer than two systems, or fewer raters than a page needs.
    """
    if task not in TASKS:
        raise UsageError(f"no task is called {task!r}", suggestion(task, TASKS))
    if len(set(systems)) < 2 or len(set(systems)) < len(systems):
        raise UsageError(
            f"{len(systems)} systems, {len(set(systems))} of them different", "name two or more, each once"
        )
    kind = PageKind.PREFERENCE if task == "preference" else PageKind.RATING
    protocol = Protocol(negatives_per_rater=CONTROLS[kind], headphones=False, level=False)
    each = protocol.raters_per_page
    count = PAPER_RATERS[task] if raters is None else raters
    if count < each:
        raise UsageError(f"{count} raters, and {each} for each page", "give at least as many raters")
    chance = random.Random(seed)  # noqa: S311 — a draw that can be repeated, no secret
    layout = Layout(chance)
    number = PAPER_SIZE[task] if size is None else size
    if task == "generation":
        spare = _generation(layout, systems, number, songs, chance)
    else:
        spare = _queries(layout, systems, number, kind)
    layout.with_repeats()
    designs.controls(layout, kind, _unmatched(spare), {one.vocal: one for one in spare})
    layout.with_repeats()  # again, for the controls; they come last, so that other pages are drawn without them
    study = Study(title=f"Simulated {task} test", task=task, seed=seed, protocol=protocol, samples=layout.samples,
                  pages=layout.pages)  # fmt: skip
    pages = -(-len(study.results) * each // count)
    return attrs.evolve(
        study,
        protocol=attrs.evolve(protocol, pages_per_rater=pages),
        rules=Rules.of(kind, attrs.evolve(protocol, pages_per_rater=min(10, pages))),
    )


def _generation(
    layout: Layout, systems: Sequence[str], size: int, songs: int | None, chance: random.Random
) -> list[Candidate]:
    """Add the samples and pages of a task in which each mashup has its own vocal; return originals for the controls."""
    originals: list[Candidate] = []
    rankings: dict[str, list[Candidate]] = {}
    for system in systems:
        rankings[system] = []
        for _ in (TOP, BOTTOM):
            pool = chance.sample(range(SONGS), songs or SONGS)
            for _ in range(size):
                number = len(originals)
                original = Candidate(
                    sound=f"original-{number}", vocal=f"vocal-{number}", song=f"song-{chance.choice(pool)}"
                )
                originals.append(original)
                rankings[system].append(attrs.evolve(original, sound=f"mashup-{number}"))
    designs.generation(layout, rankings, {one.vocal: one for one in originals}, each=size)
    # Controls have their own vocals.
    return [
        Candidate(sound=f"control-{index}", vocal=f"control-{index}", song=f"control-{index}")
        for index in range(CONTROLS[PageKind.RATING])
    ]


def _queries(layout: Layout, systems: Sequence[str], size: int, kind: PageKind) -> list[Candidate]:
    """Add the samples and pages of a task in which the systems share vocals; return originals for the controls."""
    vocals = [Candidate(sound=f"original-{index}", vocal=f"vocal-{index}", song=f"song-{index}")
              for index in range(size + CONTROLS[kind])]  # fmt: skip
    best = {one.vocal: {system: attrs.evolve(one, sound=f"{system}-{one.vocal}") for system in systems}
            for one in vocals[:size]}  # fmt: skip
    if kind is PageKind.PREFERENCE:
        designs.preference(layout, best)
    else:
        designs.retrieval(layout, best, {one.vocal: one for one in vocals}, _unmatched(vocals))
    return vocals[size:]


def _unmatched(originals: Sequence[Candidate]) -> dict[str, Candidate]:
    return {one.vocal: attrs.evolve(one, sound=f"unmatched-{one.vocal}") for one in originals}


# --------------------------------------------------------------------------------------------------------------- raters
def simulate(
    study: Study, world: World, *, raters: int | None = None, seed: int = 0, reference: str | None = None
) -> Answered:
    """Return a study with the answers of simulated raters, one after the other, each with the pages that fall to them.

    Parameters
    ----------
    study : Study
        Made by :func:`design` or `mashkit listen new`.
    world : World
    raters : int, optional
        By default as many as give each page the raters that the protocol asks for.
    seed : int
    reference : str, optional
        By default the study's first system.

    Raises
    ------
    UsageError
        If there are fewer than two raters, or the study has no such reference.
    """
    protocol = study.protocol
    needed = -(-len(study.results) * protocol.raters_per_page // protocol.pages_per_rater)
    count = max(needed, protocol.raters_per_page) if raters is None else raters
    if count < 2:
        raise UsageError(f"{count} raters", "give two or more")
    people = _People(world, count, study, np.random.default_rng(seed))
    # Not the numbers that drew the design of the same seed: the two draws must not depend on each other.
    chance = random.Random(f"raters {seed}")  # noqa: S311 — as above
    seen: Counter[str] = Counter()
    answers: list[Answer] = []
    for rater in range(count):
        steps = sequences.draw(study, seen, chance)
        if chance.random() < world.leaving:
            steps = steps[: chance.randrange(len(steps) + 1)]
        given = people.answers(rater, _rater(rater), steps)
        if not exclusions(study, given):  # the pages of the others are given to later raters, as by a server
            seen.update(step.page for step in steps)
        answers += given
    told = {
        "raters": count, "seed": seed, **attrs.asdict(world),
        "effects": {_name(effect): points for effect, points in world.effects.items()},
        "answer_at_random": [_rater(rater) for rater in np.flatnonzero(people.inattentive).tolist()],
    }  # fmt: skip
    data = Answered(study=study, answers=answers, simulation=told)
    return data.compared_with(reference)


def _rater(rater: int) -> str:
    return f"simulated-{rater + 1:03d}"


class _People:
    """Raters, and the true quality of what they hear."""

    def __init__(self, world: World, count: int, study: Study, chance: np.random.Generator) -> None:
        self.world, self.chance, self.study = world, chance, study
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
            + chance.normal(0, world.song, int(song.max()) + 1)[song][:, None]
            + chance.normal(0, world.clip, (len(song), 1))
            + chance.normal(0, world.aspect, (len(song), len(QUESTIONS)))
        )
        self.bias = chance.normal(0, world.bias, count)
        self.stretch = np.exp(chance.normal(0, world.stretch, count))
        self.taste = chance.normal(0, world.taste, (count, len(systems)))
        self.inattentive = chance.random(count) < world.inattentive

    def answers(self, rater: int, name: str, steps: Sequence[Step]) -> list[Answer]:
        """Return the answers of one rater to the pages of a sequence."""
        found: list[Answer] = []
        heard: dict[str, bool] = {}
        for order, step in enumerate(steps):
            page = self.study.page[step.page]
            middle = 25.0 if self.inattentive[rater] else 95.0
            seconds = round(float(middle * np.exp(self.chance.normal(0, 0.35))), 1)
            facts: dict[str, Any] = {"rater": name, "page": page.id, "seconds": seconds, "order": order}
            vocal = self.samples[self.place[page.samples[0]]].vocal
            heard.setdefault(vocal, bool(self.chance.random() < self.world.heard))
            found.append(Answer(question=HEARD, value=int(heard[vocal]), **facts))
            felt = self._felt(rater, page, heard[vocal])
            places = (1, 0) if step.swapped else (0, 1)
            if page.kind == PageKind.PREFERENCE:
                found += [
                    Answer(sample=sample, question=PREFERRED, value=value, position=place, **facts)
                    for place, sample, value in zip(places, page.samples, self._preferred(rater, felt), strict=True)
                ]
                continue
            stretched = self.world.middle + self.stretch[rater] * felt + self.bias[rater]
            values = np.clip(np.rint(stretched), LOWEST, HIGHEST).astype(int)
            if self.inattentive[rater]:
                values = self.chance.integers(LOWEST, HIGHEST + 1, values.shape)
            found += [
                Answer(sample=sample, question=question, value=value, position=place, **facts)
                for place, sample, row in zip(places, page.samples, values.tolist(), strict=True)
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
            + self.chance.normal(0, self.world.halo, (len(places), 1))
            + self.chance.normal(0, self.world.noise, shape)
        )
        if heard:
            felt[[self.samples[place].system == ORIGINAL for place in places]] += self.world.familiar
        return felt

    def _preferred(self, rater: int, felt: Values) -> tuple[int, int]:
        if self.inattentive[rater]:
            first = bool(self.chance.random() < 0.5)
            return int(first), int(not first)
        overall = felt[:, QUESTIONS.index(OVERALL)]
        difference = float(overall[0] - overall[1])
        return int(difference > self.world.indifference), int(difference < -self.world.indifference)
