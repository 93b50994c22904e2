"""Make the plans on which scorers are compared; all plans are fixed before the first one is scored.

There are two experiment protocols. In ``paper``, as in the paper's Table 1, positives are originals as they were
recorded, negatives are unmatched mashups, and unlabelled examples are matched mashups. Only the unlabelled examples are
stretched and shifted, so a scorer can do well by recognizing the stretcher.

In ``controlled``, all examples are processed alike. If a matched mashup needs a faster and higher backing, half of the
ratio and of the interval is applied to the vocal, in the opposite direction. Its positive is the same excerpt of the
same vocal with the vocal's own backing, which is played at the vocal's speed and shift. Its negatives are played as a
whole at this speed and shift. All examples have the same length, the same loudness of each role (not in ``paper``), and
one speed.

A contrast pair is two plans of the same vocal, an original and its twin, which are processed alike. The twin differs
from the original in one thing, which is wrong.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs
import numpy as np

from mashkit.conditions import KEY_FREE, LEAST_ACTIVITY, UNMATCHED, fifth_apart
from mashkit.errors import GenerationError
from mashkit.interfaces import Generator
from mashkit.pipeline import Kit
from mashkit.types import Clip, Condition, Layer, MashupPlan, Mixing, Role, as_tuple

PAPER_OPTIONS: Mapping[str, Any] = {"align": "speed", "match_loudness": False, "fades": False, "limit_db": 0.0}
"""Options with which the generator works as in the paper (docs/paper.md, rows 18 and 20): one speed, unit gains."""
CONTROLLED_OPTIONS: Mapping[str, Any] = {**PAPER_OPTIONS, "match_loudness": True}
LENGTH_S = 22.0
"""Length of all controlled plans, seconds: a mashup lasts at least 25 s, and is played up to a tenth faster here."""
SHORTEST_S = 18.0
"""Least length of a twin, seconds, because 3 % of 18 s is a beat at 110 BPM; shorter twins are left out."""
TWIN_SPEED = 0.95
"""Speed of the twins that are wrong in time; every second pair of vocals has the inverse of it."""

PROTOCOLS = ("paper", "controlled")
POSITIVE, UNLABELLED, NEGATIVE = CLASSES = ("positive", "unlabelled", "negative")
ORIGINAL, TWIN = SIDES = ("original", "twin")

HARMONIC_STEPS = (1, -1, 2, -2)
ORIGINAL_SEMITONES: Mapping[tuple[int, bool], float] = {
    (1, True): 1.0, (1, False): -2.0, (-1, True): 2.0, (-1, False): -1.0,
    (2, True): -1.0, (2, False): -1.0, (-2, True): 1.0, (-2, False): 1.0,
}  # fmt: skip
"""Step of a harmonic twin, and whether the vocal's number is even → semitones by which the original is shifted.

The twin's harmonic layer is shifted by the step more. With a step of one, one of the two is shifted by one semitone and
the other by two: in half of the pairs the original is shifted less. With a step of two, both are shifted by one."""
LATE_BEATS = (0.25, 0.5)
TEMPO_PERCENT = (1, 2, 3, 5)
WRONG_SONG = "wrong song"
CONTROL = "raw against processed"


def harmonic_twin(semitones: int) -> str:
    """Return the name of the twin whose harmonic layer is wrong by this number of semitones."""
    return f"harmonic {semitones:+d} semitones"


def late_twin(beats: float) -> str:
    """Return the name of the twin whose percussion is late by a part of a beat."""
    return f"percussion {beats:g} beats late"


def tempo_twin(percent: float) -> str:
    """Return the name of the twin whose percussion is wrong by this percentage of the tempo."""
    return f"percussion {percent:g} % off tempo"


TWINS = (
    *map(harmonic_twin, HARMONIC_STEPS),
    *map(late_twin, LATE_BEATS),
    *map(tempo_twin, TEMPO_PERCENT),
    WRONG_SONG,
    CONTROL,
)


@attrs.frozen(kw_only=True)
class Example:
    """A plan, and the group and part to which it belongs.

    Parameters
    ----------
    plan : MashupPlan
    vocal : Clip
    group : str
        One of :data:`PROTOCOLS` or :data:`TWINS`.
    part : str
        One of :data:`CLASSES`, or of :data:`SIDES` for twins.
    draw : int
        In which draw of the plans, from 0 on.
    """

    plan: MashupPlan
    vocal: Clip
    group: str
    part: str
    draw: int = 0


@attrs.frozen
class NoExample:
    """The reason why a vocal has no example of a group and part.

    It gives no advice: the generator's options are those of the protocol, and the songs are those of the collection.
    """

    vocal: Clip
    group: str
    part: str
    reason: str


@attrs.frozen(kw_only=True)
class Counts:
    """The numbers of examples.

    Parameters
    ----------
    vocals : int
        Largest number of vocals.
    matched, negatives : int
        Numbers of matched and unmatched mashups of each vocal. Three negatives contain one of each condition.
    groups : tuple of str
        Some of :data:`PROTOCOLS` and :data:`TWINS`.
    """

    vocals: int
    matched: int
    negatives: int
    groups: tuple[str, ...] = attrs.field(converter=as_tuple)


def examples(clips: Sequence[Clip], counts: Counts, seed: int, draws: int = 1) -> Iterator[Example | NoExample]:
    """Yield every example. The examples of a vocal follow each other, so that their common layers are rendered once.

    Parameters
    ----------
    clips : sequence of Clip
        A clip is used only if its key, tempo, beats and downbeats are known.
    counts : Counts
    seed : int
    draws : int
        How often the plans of each vocal are drawn, ≥ 1, each time from another seed. The first draw does not depend on
        the others.
    """
    seeds = [seed, *(int(np.random.SeedSequence([seed, draw]).generate_state(1)[0]) for draw in range(1, draws))]
    makers = [_Maker(clips, counts, one) for one in seeds]
    for number, vocal in enumerate(chosen_vocals(clips, counts.vocals, seed)):
        for draw, maker in enumerate(makers):
            for found in maker.of_vocal(vocal, number):
                yield attrs.evolve(found, draw=draw) if isinstance(found, Example) and draw else found


def chosen_vocals(clips: Sequence[Clip], count: int, seed: int) -> list[Clip]:
    """Return the clips whose vocals are used, in the clips' order; they are of as many songs as possible."""
    usable = [clip for clip in clips if clip.activity.get(Role.VOCAL, 1.0) >= LEAST_ACTIVITY and _analysed(clip)]
    shuffled = [usable[index] for index in np.random.default_rng(seed).permutation(len(usable))]
    taken = {clip.id for clip in songs_in_turn(shuffled)[:count]}
    return [clip for clip in usable if clip.id in taken]


def songs_in_turn(clips: Iterable[Clip]) -> list[Clip]:
    """Return the first clip of each song, then the second of each, and so on; otherwise in the given order."""
    seen: Counter[str] = Counter()
    turns = []
    for clip in clips:
        seen[clip.song] += 1
        turns.append((seen[clip.song], clip))
    return [clip for _, clip in sorted(turns, key=lambda turn: turn[0])]


def _analysed(clip: Clip) -> bool:
    analysis = clip.analysis
    return (
        analysis.key is not None
        and analysis.tempo is not None
        and analysis.downbeats is not None
        and len(analysis.downbeats) > 0
    )


class _Maker:
    def __init__(self, clips: Sequence[Clip], counts: Counts, seed: int) -> None:
        self.clips = clips
        self.counts = counts
        self.seed = seed
        self.paper, self.controlled = (
            Kit(options={"generator": options}).generator for options in (PAPER_OPTIONS, CONTROLLED_OPTIONS)
        )

    def of_vocal(self, vocal: Clip, number: int) -> Iterator[Example | NoExample]:
        """Yield the examples of one vocal."""
        groups = self.counts.groups
        if "paper" in groups:
            yield from self._paper(vocal, number)
        try:
            matched = [split(plan, odd=number % 2) for plan in self._matched(self.controlled, vocal, number)]
        except GenerationError as error:
            if "controlled" in groups:
                yield from (NoExample(vocal, "controlled", part, error.problem) for part in CLASSES)
            matched = []
        if matched and "controlled" in groups:
            yield from self._controlled(vocal, number, matched)
        yield from self._twins(vocal, number, matched)

    # --------------------------------------------------------------------------------------------------- protocols
    def _matched(self, generator: Generator, vocal: Clip, number: int) -> list[MashupPlan]:
        return list(
            generator.plan(
                self.clips,
                condition=Condition.MATCHED,
                count=self.counts.matched,
                seed=self._seed(number, 0),
                vocal=vocal.id,
            )
        )

    def _seed(self, number: int, purpose: int) -> int:
        return int(np.random.SeedSequence([self.seed, number, purpose]).generate_state(1)[0])

    def _unmatched(self, generator: Generator, vocal: Clip, number: int) -> Iterator[MashupPlan | GenerationError]:
        """Yield negatives of the three unmatched conditions in turn; no controlled negative has a key a fifth away.

        Keys a fifth apart share six of seven notes, so such a negative would fit by chance (docs/paper.md, row 12).
        """
        kinds = [UNMATCHED[(number + turn) % len(UNMATCHED)] for turn in range(self.counts.negatives)]
        for kind in sorted(set(kinds), key=UNMATCHED.index):
            clips = self.clips
            if generator is self.controlled and kind in KEY_FREE:
                clips = [clip for clip in clips if clip.id == vocal.id or not _fifth_apart(vocal, clip)]
            try:
                yield from generator.plan(
                    clips,
                    condition=kind,
                    count=kinds.count(kind),
                    seed=self._seed(number, 1 + UNMATCHED.index(kind)),
                    vocal=vocal.id,
                )
            except GenerationError as error:
                yield error

    def _paper(self, vocal: Clip, number: int) -> Iterator[Example | NoExample]:
        def made(plan: MashupPlan, part: str) -> Example:
            return Example(plan=plan, vocal=vocal, group="paper", part=part)

        try:
            found = self.paper.plan(self.clips, condition=Condition.ORIGINAL, count=1, seed=self.seed, vocal=vocal.id)
            yield from (made(plan, POSITIVE) for plan in found)
        except GenerationError as error:
            yield NoExample(vocal, "paper", POSITIVE, error.problem)
        try:
            yield from (made(plan, UNLABELLED) for plan in self._matched(self.paper, vocal, number))
        except GenerationError as error:
            yield NoExample(vocal, "paper", UNLABELLED, error.problem)
        for plan in self._unmatched(self.paper, vocal, number):
            if isinstance(plan, MashupPlan):
                yield made(plan, NEGATIVE)
            else:
                yield NoExample(vocal, "paper", NEGATIVE, plan.problem)

    def _controlled(self, vocal: Clip, number: int, matched: Sequence[MashupPlan]) -> Iterator[Example | NoExample]:
        def made(plan: MashupPlan, part: str) -> Example:
            return Example(plan=cut(plan, LENGTH_S), vocal=vocal, group="controlled", part=part)

        yield made(originals_of(matched[0]), POSITIVE)
        yield from (made(plan, UNLABELLED) for plan in matched)
        processing = itertools.cycle([plan.layer(Role.VOCAL) for plan in matched])
        for plan in self._unmatched(self.controlled, vocal, number):
            if isinstance(plan, MashupPlan):
                # A speed or shift that fits the backing is split between backing and vocal. A speed or shift that does
                # not exist in this condition is taken from the vocal of a matched mashup, and is applied to all layers.
                fitted, other = split(plan, odd=number % 2).layer(Role.VOCAL), next(processing)
                speed = fitted.speed if plan.condition is Condition.UNMATCHED_KEY else other.speed
                semitones = fitted.semitones if plan.condition is Condition.UNMATCHED_TEMPO else other.semitones
                yield made(processed(plan, speed=speed, semitones=semitones), NEGATIVE)
            else:
                yield NoExample(vocal, "controlled", NEGATIVE, plan.problem)

    # ------------------------------------------------------------------------------------------------------- twins
    def _twins(self, vocal: Clip, number: int, matched: Sequence[MashupPlan]) -> Iterator[Example | NoExample]:
        wanted = [name for name in TWINS if name in self.counts.groups]
        if not wanted:
            return
        start = float(matched[0].layer(Role.VOCAL).to_clip(0.0)) if matched else 0.0
        tempo = vocal.analysis.tempo
        assert tempo is not None  # noqa: S101 — chosen_vocals asked
        beat = 60 / tempo
        # The excerpt starts at least a beat after the clip's start, so that late percussion does not begin in silence.
        excerpt = _Excerpt(vocal, max(start, beat))
        pairs = self._pairs(excerpt, beat, number)
        for name in wanted:
            if name == WRONG_SONG:
                yield from self._wrong_song(vocal, number)
                continue
            original, twin = pairs[name]
            length = min(LENGTH_S, *(excerpt.longest(pair) for pair in (original, twin)))
            if length < SHORTEST_S:
                reason = f"clip {vocal.id} has {length:.1f} s left, but {SHORTEST_S:g} s are needed"
                yield from (NoExample(vocal, name, part, reason) for part in SIDES)
                continue
            for layers, part in ((original, ORIGINAL), (twin, TWIN)):
                plan = MashupPlan(
                    condition=Condition.ORIGINAL, layers=layers, duration_s=length, seed=self.seed, mixing=Mixing()
                )
                yield Example(plan=plan, vocal=vocal, group=name, part=part)

    def _pairs(self, excerpt: _Excerpt, beat: float, number: int) -> dict[str, tuple[list[Layer], list[Layer]]]:
        """Return the layers of original and twin, by the twin's name.

        If a pair differs by an interval d, the original is at k and the twin at k + d. The values of k for steps up and
        down, and for even and odd vocals, balance each other, so that the amount of shifting or stretching does not
        show which of the two is the twin.
        """
        pairs = {}
        even = number % 2 == 0
        for step in HARMONIC_STEPS:
            own = ORIGINAL_SEMITONES[step, even]
            pairs[harmonic_twin(step)] = (
                excerpt.layers(semitones=own),
                excerpt.layers(semitones=own, harmonic=own + step),
            )
        speed = TWIN_SPEED if number // 2 % 2 == 0 else 1 / TWIN_SPEED
        for part in LATE_BEATS:
            late = excerpt.layers(speed=speed, late_s=part * beat / speed)
            pairs[late_twin(part)] = (excerpt.layers(speed=speed), late)
        for percent in TEMPO_PERCENT:
            slow, fast = speed, speed * (1 + percent / 100)
            right, wrong = (slow, fast) if even else (fast, slow)
            pairs[tempo_twin(percent)] = (excerpt.layers(speed=right), excerpt.layers(speed=right, percussion=wrong))
        pairs[CONTROL] = (excerpt.layers(), excerpt.layers(speed=speed, semitones=2 if even else -2))
        return pairs

    def _wrong_song(self, vocal: Clip, number: int) -> Iterator[Example | NoExample]:
        """Yield the vocal with its own backing, and with another song's backing in the vocal's key and tempo."""
        others = [clip for clip in self.clips if clip.song != vocal.song]
        order = np.random.default_rng(self._seed(number, 9)).permutation(len(others))
        reason = "there is no other song"
        for other in (others[index] for index in order):
            try:
                (found,) = self.controlled.plan(
                    [vocal, other], condition=Condition.MATCHED, count=1, seed=self.seed, vocal=vocal.id
                )
            except GenerationError as error:
                reason = error.problem
                continue
            twin = cut(split(found, odd=number % 2), LENGTH_S)
            yield Example(plan=originals_of(twin), vocal=vocal, group=WRONG_SONG, part=ORIGINAL)
            yield Example(plan=twin, vocal=vocal, group=WRONG_SONG, part=TWIN)
            return
        yield from (NoExample(vocal, WRONG_SONG, part, reason) for part in SIDES)


def _fifth_apart(one: Clip, other: Clip) -> bool:
    keys = one.analysis.key, other.analysis.key
    return keys[0] is not None and keys[1] is not None and fifth_apart(keys[0].semitones_to(keys[1]))


# -------------------------------------------------------------------------------------------------- plans from plans
def processed(plan: MashupPlan, *, speed: float, semitones: float) -> MashupPlan:
    """Return a plan (at one speed) whose layers are all played faster and higher; percussion keeps its pitch."""
    layers = [
        attrs.evolve(
            layer,
            speed=layer.speed * speed,
            offset_s=layer.offset_s / speed,
            semitones=layer.semitones + (0 if layer.role is Role.PERCUSSION else semitones),
        )
        for layer in plan.layers
    ]
    return attrs.evolve(plan, layers=layers, duration_s=plan.duration_s / speed)


def split(plan: MashupPlan, *, odd: int) -> MashupPlan:
    """Return a matched plan in which half of the stretching and shifting is applied to the vocal, inverted.

    Parameters
    ----------
    plan : MashupPlan
        A matched plan at one speed, with the vocal as recorded.
    odd : {0, 1}
        Chooses whether vocal or backing gets the larger half of an odd number of semitones.
    """
    logs = [math.log(layer.speed) for layer in plan.layers]
    shift = round(plan.layer(Role.HARMONIC).semitones)
    return processed(plan, speed=math.exp(-(max(logs) + min(logs)) / 2), semitones=-((shift + odd) // 2))


def originals_of(plan: MashupPlan) -> MashupPlan:
    """Return the same excerpt of the vocal with its own backing; speed and shift of both are those of the vocal."""
    sung = plan.layer(Role.VOCAL)
    layers = [
        attrs.evolve(sung, role=role, semitones=0.0 if role is Role.PERCUSSION else sung.semitones) for role in Role
    ]
    return attrs.evolve(plan, condition=Condition.ORIGINAL, layers=layers, notes=())


def cut(plan: MashupPlan, length_s: float) -> MashupPlan:
    """Return the plan, shortened to ``length_s`` seconds if it is longer."""
    return attrs.evolve(plan, duration_s=min(plan.duration_s, length_s))


@attrs.frozen
class _Excerpt:
    """A part of a clip from ``start`` (seconds) to its end, with all stems of the clip."""

    clip: Clip
    start: float

    def layers(
        self,
        *,
        speed: float = 1.0,
        semitones: float = 0.0,
        harmonic: float | None = None,
        percussion: float | None = None,
        late_s: float = 0.0,
    ) -> list[Layer]:
        """Return its layers at ``speed`` and ``semitones``, or at ``harmonic`` semitones and ``percussion`` speed."""
        layers = []
        for role in Role:
            own = percussion if role is Role.PERCUSSION and percussion is not None else speed
            shift = harmonic if role is Role.HARMONIC and harmonic is not None else semitones
            layers.append(
                Layer(
                    role=role,
                    clip_id=self.clip.id,
                    speed=own,
                    semitones=0.0 if role is Role.PERCUSSION else shift,
                    offset_s=-self.start / own + (late_s if role is Role.PERCUSSION else 0.0),
                )
            )
        return layers

    def longest(self, layers: Sequence[Layer]) -> float:
        """Return the time in which all layers sound, seconds."""
        return min(float(layer.to_mashup(self.clip.duration)) for layer in layers)
