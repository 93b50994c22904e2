"""The paper's generator (docs/paper.md, rows 5–9, 11, 14 and 16–21).

The generator draws a vocal, the seed, and then one harmonic and one percussion stem from the candidates that the
condition accepts. A sorted index finds the candidates (:mod:`mashkit.builtin.candidates`). Each draw of a run has its
own random numbers, so that any process can make it.
"""

from __future__ import annotations

import itertools
import math
import threading
import weakref
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import ClassVar, Literal

import attrs
import numpy as np
from attrs import validators

from mashkit.builtin import PAPER_GENERATOR, causes
from mashkit.builtin.candidates import CandidateIndex, index_of
from mashkit.builtin.causes import Cause
from mashkit.builtin.placement import BeatsOfClips, ChosenStem, ClipBeats, Fades, Placed, Placer
from mashkit.cliptable import ClipTable
from mashkit.components import ComponentInfo, whole
from mashkit.conditions import (
    BACKING,
    DURATION_S,
    KEY_FREE,
    LEAST_ACTIVITY,
    MAX_OFFSET_S,
    MAX_SHIFT,
    SPEEDS,
    TEMPO_FREE,
    Rules,
    delays,
)
from mashkit.errors import GenerationError, OptionError
from mashkit.interfaces.generator import Draw, Drawer, DrawingGenerator
from mashkit.timing import metre
from mashkit.types import LABELS_TRUSTED, Clip, Condition, FrozenMapping, Layer, MashupPlan, Mixing, Role

LARGEST_GAIN_DB = 12.0
"""Largest gain of loudness matching, dB, because a stem that needs more is mostly separation residue (ours). If two
recordings differ by more than this as wholes, their difference is the limit."""

_NO_VOCAL = "no clip has a vocal that can be used"
_NO_STEM = "no {} stem of another song fits the drawn vocal"
_NO_METRE = "no {} stem of another song fits the drawn vocal and its bars"
_DOUBTFUL = "metre is doubtful"
_DOUBTFUL_VOCAL = f"the vocal's {_DOUBTFUL}"
_DOUBTFUL_FIX = "correct the bars with `mashkit db edit`, or use them as they are with generator.doubtful_metre=true"
_LENGTH = "the stems overlap for too short or too long a time"


def _unit_interval(instance: object, attribute: attrs.Attribute[float], value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"{attribute.name} is {value}, not a share from 0 to 1")


@attrs.define(kw_only=True, eq=False)
class PaperGenerator(DrawingGenerator):
    """Draws mashups as the paper does.

    Parameters
    ----------
    max_shift : int
        Largest key distance of a harmonic candidate, whole semitones (paper: 3). The distance of songs that are not
        tuned to A = 440 Hz is measured between sounding pitches, and the shift then includes cents, so that the stems
        are in tune.
    min_speed, max_speed : float
        Inclusive range of seed tempo / candidate tempo, which is the speed applied (paper: 0.8, 1.2).
    mismatch : {"strict", "literal"}
        Requirement of *unmatched* conditions. "strict": the sounding pitch of the harmonic stem is at least a semitone
        away, and/or the tempi of both stems are 4 % or more away (also from half and double), so that no negative
        fits by chance. "literal": the paper's text, which only drops the constraint.
    same_mode : bool
        Accept harmonic candidates of the seed's mode only; by default a minor key counts as its relative major.
    fold_tempo : bool
        Also accept candidates at about half or double the seed's tempo, played at the folded ratio.
    min_duration_s, max_duration_s : float
        Accepted length of a mashup, seconds (paper: 25 to 60).
    max_offset_s : float
        Largest downbeat offset of tempo-unmatched mashups, seconds (paper: 1).
    align : {"beats", "speed"}
        "beats": backing stems follow each beat of the vocal if the beats of both are reliable; otherwise they are
        played at one speed, with a note in the plan. "speed": one speed for the whole stem, as in the paper.
    phrase_bars : int
        0: the first downbeats coincide, as in the paper. Otherwise each backing stem is moved by a random multiple of
        this number of bars; :meth:`variants` returns a plan for each multiple.
    match_loudness : bool
        Set the gain of each backing stem so that it is as loud as the stem of that role in the seed's own song
        (BS.1770), within 12 dB, or the difference of level of the two recordings if that is more.
    fades : bool
        Fade in until the first bar line and out from the last bar line.
    limit_db : float
        Largest reduction of single peaks by the limiter, dB. If this is not enough, the whole mix is lowered.
    duck_db : float
        Reduction of the harmonic layer while the vocal sounds, dB.
    doubtful_metre : bool
        Also use clips whose number of beats in a bar is doubtful (:func:`mashkit.timing.metre.doubt`), aligned by beats
        and not by bars; by default they are drawn for *original* only.
    mixed_metres : bool
        Also combine clips of different metres, such as three and four beats in a bar. By default only clips are
        combined whose bars have equally many beats, or twice as many.
    min_activity : float
        Share of a clip in which a role's stem must sound to be drawn (ours; 0 turns it off), because a silent vocal is
        no useful seed.
    """

    info: ClassVar[ComponentInfo] = PAPER_GENERATOR

    max_shift: int = attrs.field(default=MAX_SHIFT, validator=[validators.ge(0), validators.le(6)])
    min_speed: float = attrs.field(default=SPEEDS[0], validator=validators.gt(0))
    max_speed: float = attrs.field(default=SPEEDS[1], validator=validators.gt(0))
    mismatch: Literal["strict", "literal"] = attrs.field(
        default="strict", validator=validators.in_(("strict", "literal"))
    )
    same_mode: bool = attrs.field(default=False, validator=validators.instance_of(bool))
    fold_tempo: bool = attrs.field(default=False, validator=validators.instance_of(bool))
    min_duration_s: float = attrs.field(default=DURATION_S[0], validator=validators.gt(0))
    max_duration_s: float = attrs.field(default=DURATION_S[1], validator=validators.gt(0))
    max_offset_s: float = attrs.field(default=MAX_OFFSET_S, validator=validators.ge(0))
    align: Literal["beats", "speed"] = attrs.field(default="beats", validator=validators.in_(("beats", "speed")))
    phrase_bars: int = attrs.field(default=0, validator=whole(0))
    match_loudness: bool = attrs.field(default=True, validator=validators.instance_of(bool))
    fades: bool = attrs.field(default=True, validator=validators.instance_of(bool))
    limit_db: float = attrs.field(default=3.0, validator=validators.ge(0))
    duck_db: float = attrs.field(default=0.0, validator=validators.ge(0))
    doubtful_metre: bool = attrs.field(default=False, validator=validators.instance_of(bool))
    mixed_metres: bool = attrs.field(default=False, validator=validators.instance_of(bool))
    min_activity: float = attrs.field(default=LEAST_ACTIVITY, validator=_unit_interval)

    def __attrs_post_init__(self) -> None:
        for least, most in (("min_speed", "max_speed"), ("min_duration_s", "max_duration_s")):
            low, high = getattr(self, least), getattr(self, most)
            if low > high:
                raise OptionError(f"{least} is {low:g} and {most} {high:g}", f"give a {least} up to {most}")

    def drawer(self, clips: ClipTable, *, condition: Condition, seed: int, vocal: str | None) -> Drawer:
        """Return the object that makes the draws of a run."""
        return _Drawer(self, clips, condition, seed, vocal)

    def left_out(self, clips: ClipTable, condition: Condition) -> Mapping[str, int]:
        """Return the number of clips that are never drawn because their metre is doubtful, by this reason."""
        count = 0 if condition is Condition.ORIGINAL else self.index(clips).left_out()
        return {_DOUBTFUL: count} if count else {}

    def index(self, clips: Sequence[Clip]) -> CandidateIndex:
        """Return the index that finds the candidates of each vocal among these clips.

        The index of a :class:`ClipTable` is made only once. Raises UsageError if two clips have the same id.
        """
        return index_of(ClipTable.of(clips), self.rules)

    @property
    def rules(self) -> Rules:
        """The options that decide which stems a condition accepts."""
        return Rules(**{name: value for name, value in self.options().items() if name in attrs.fields_dict(Rules)})

    def _variants(self, plan: MashupPlan, clips: Mapping[str, Clip]) -> Iterator[MashupPlan]:
        if self.phrase_bars == 0 or not _bars_may_move(plan.condition):
            yield plan
            return
        maker, beats = _PlanMaker(self, plan.condition, plan.seed), BeatsOfClips()
        vocal = beats.of(clips[plan.layer(Role.VOCAL).clip_id])
        backing = [
            ChosenStem(layer.role, beats.of(clips[layer.clip_id]), layer.speed, layer.semitones, layer.gain_db)
            for layer in (plan.layer(role) for role in BACKING)
        ]
        for bars in itertools.product(*(maker.offsets(vocal, stem) for stem in backing)):
            made = maker.plan(vocal, backing, bars, (0.0, 0.0, 0.0))
            if isinstance(made, MashupPlan):
                yield made


def _bars_may_move(condition: str) -> bool:
    """Return whether backing may be moved by bars: an original is not changed, and other tempi have no common bars."""
    return condition is not Condition.ORIGINAL and condition not in TEMPO_FREE


class _PlanMaker:
    """Makes plans from chosen clips, for one run."""

    def __init__(self, options: PaperGenerator, condition: Condition, seed: int) -> None:
        self._options = options
        self._condition = condition
        self._seed = seed
        self._placer = Placer(min_duration_s=options.min_duration_s)
        self._record = options.record()  # all plans of the run share it

    def offsets(self, vocal: ClipBeats, stem: ChosenStem) -> Sequence[int]:
        """Return the offsets, in bars, by which the options allow a clip to be moved."""
        phrase_bars = self._options.phrase_bars if _bars_may_move(self._condition) else 0
        return self._placer.offsets(vocal, stem, phrase_bars=phrase_bars)

    def plan(
        self, vocal: ClipBeats, backing: Sequence[ChosenStem], bars: Sequence[int], late: Sequence[float]
    ) -> MashupPlan | float:
        """Return the plan of these clips on that vocal, or only its length, seconds, if it is too short or too long.

        Parameters
        ----------
        vocal : ClipBeats
        backing : sequence of ChosenStem
        bars : sequence of int
            Number of bars by which each backing clip is moved.
        late : sequence of float
            Delays of the vocal and of each backing clip against their downbeats, seconds.
        """
        options = self._options
        placed = [Placed(1.0, None, 0.0), *(self._place(vocal, *pair) for pair in zip(backing, bars, strict=True))]
        chosen = [ChosenStem(Role.VOCAL, vocal, 1.0, 0.0, 0.0), *backing]
        placed = [
            attrs.evolve(one, offset_s=one.offset_s + by) if by else one for one, by in zip(placed, late, strict=True)
        ]
        # The mashup is trimmed to the time in which all layers overlap (docs/paper.md, row 19).
        start = max(one.offset_s for one in placed)
        duration = min(one.end(stem.clip.duration) for one, stem in zip(placed, chosen, strict=True)) - start
        if not options.min_duration_s <= duration <= options.max_duration_s:
            return duration
        sung_from = start - placed[0].offset_s
        fades = Fades(0.0, 0.0)
        if options.fades:
            fades = self._placer.fades(vocal, start_s=sung_from, end_s=sung_from + duration)
        retuned = _retuning(chosen)
        return MashupPlan(
            condition=self._condition,
            layers=[
                Layer(
                    role=stem.role,
                    clip_id=stem.clip.id,
                    time_map=one.time_map,
                    speed=one.speed,
                    semitones=stem.semitones,
                    offset_s=one.offset_s - start,
                    gain_db=stem.gain_db,
                )
                for one, stem in zip(placed, chosen, strict=True)
            ],
            duration_s=duration,
            seed=self._seed,
            generator=FrozenMapping({**self._record, "tuning": retuned}) if retuned else self._record,
            mixing=Mixing(
                fade_in_s=fades.in_s, fade_out_s=fades.out_s, duck_db=options.duck_db, limit_db=options.limit_db
            ),
            notes=[*(note for one in placed for note in one.notes), *_retuning_notes(retuned), *_doubts(chosen)],
        )

    def _place(self, vocal: ClipBeats, stem: ChosenStem, bars: int) -> Placed:
        if self._condition is Condition.ORIGINAL:
            return Placed(1.0, None, 0.0)
        along = self._options.align == "beats" and self._condition not in TEMPO_FREE
        return self._placer.place(vocal, stem, bars=bars, along_beats=along)


class _Drawer:
    """The draws of one run."""

    def __init__(
        self, options: PaperGenerator, clips: ClipTable, condition: Condition, seed: int, vocal: str | None
    ) -> None:
        self._options = options
        self._clips = clips
        self._condition = condition
        self._index = options.index(clips)
        self._maker = _PlanMaker(options, condition, seed)
        self._beats = _beats_of(clips)
        self._random = _RandomOfDraws(seed, condition)
        self._vocal = vocal
        self._vocals = self._index.seeds(condition) if vocal is None else self._named(vocal)
        if len(self._vocals) == 0:
            doubtful = vocal is not None and (row := clips.row_of(vocal)) is not None and self._index.doubtful(row)
            raise self.nothing_fits(Counter({_DOUBTFUL_VOCAL if doubtful else _NO_VOCAL: 1}))

    def _named(self, vocal: str) -> Sequence[int]:
        row = self._clips.row_of(vocal)
        return [row] if row is not None and self._index.is_eligible(row, self._condition) else []

    def draw(self, number: int, known: Container[int]) -> Draw:
        random = self._random.of(number)
        chosen = self._chosen(random)
        if isinstance(chosen, str):
            return Draw(number=number, rejected=chosen)
        vocal, backing = chosen
        choice = (vocal * len(self._clips) + backing[0]) * len(self._clips) + backing[1]
        if choice in known:
            return Draw(number=number, choice=choice)
        plan = self._plan(vocal, backing, random)
        if isinstance(plan, float):
            return Draw(number=number, choice=choice, rejected=_LENGTH)
        chance = self._index.chance_matches(vocal, backing[0], backing[1], self._condition)
        return Draw(number=number, choice=choice, plan=plan, chance=chance)

    def _chosen(self, random: np.random.Generator) -> tuple[int, list[int]] | str:
        """Return the rows of a vocal and its backing, or the reason why no backing fits."""
        vocal = int(self._vocals[int(random.integers(len(self._vocals)))])
        backing: list[int] = []
        for role in BACKING:
            if self._condition is Condition.ORIGINAL:
                backing.append(vocal)
                continue
            candidates = self._index.candidates(vocal, role, self._condition)
            if len(candidates) == 0:
                others = self._index.in_other_metres(vocal, role, self._condition)
                return (_NO_METRE if others else _NO_STEM).format(role)
            backing.append(candidates.row(int(random.integers(len(candidates)))))
        return vocal, backing

    def _plan(self, vocal_row: int, rows: Sequence[int], random: np.random.Generator) -> MashupPlan | float:
        vocal = self._beats.of(self._clips.fetch(vocal_row))
        backing = [self._fit(vocal, vocal_row, role, row) for role, row in zip(BACKING, rows, strict=True)]
        bars = [0] * len(backing)
        if self._options.phrase_bars:
            choices = [self._maker.offsets(vocal, stem) for stem in backing]
            bars = [one[int(random.integers(len(one)))] for one in choices]
        late = dict.fromkeys(Role, 0.0)
        if self._condition in TEMPO_FREE:
            late = delays(random, self._options.max_offset_s)
        return self._maker.plan(vocal, backing, bars, list(late.values()))

    def _fit(self, vocal: ClipBeats, vocal_row: int, role: Role, row: int) -> ChosenStem:
        condition = self._condition
        beats = vocal if row == vocal_row else self._beats.of(self._clips.fetch(row))
        original = condition is Condition.ORIGINAL
        shifts = role is Role.HARMONIC and not original and condition not in KEY_FREE
        return ChosenStem(
            role,
            beats,
            1.0 if original or condition in TEMPO_FREE else self._index.speed(vocal_row, row),
            self._index.shift(vocal_row, row) if shifts else 0.0,
            _loudness_gain(vocal.clip, beats.clip, role) if self._options.match_loudness else 0.0,
        )

    def nothing_fits(self, rejected: Counter[str]) -> GenerationError:
        reason = rejected.most_common(1)[0][0] if rejected else "nothing fits"
        why, fix = self._cause(reason)
        known = "; ".join(
            f"{clip.title}: {clip.analysis.key or 'no key'}, "
            + (f"{clip.analysis.tempo:.1f} BPM" if clip.analysis.tempo else "no tempo")
            + ("" if clip.analysis.has("downbeats") else ", no downbeats")
            for clip in self._clips[:8]
        )
        known += f"; and {len(self._clips) - 8} more" if len(self._clips) > 8 else ""
        left_out = 0 if self._condition is Condition.ORIGINAL else self._index.left_out()
        if left_out:
            clips = f"{left_out} clip{' is' if left_out == 1 else 's are'}"
            why += f"; {clips} left out, because the metre is doubtful"
            fix += "" if fix == _DOUBTFUL_FIX else f"; or {_DOUBTFUL_FIX}"
        listed = f" [{known}]" if known else ""
        return GenerationError(
            f"no {self._condition} mashup among {len(self._clips)} clips: {reason}: {why}{listed}", fix
        )

    def _lengths(self) -> list[float]:
        """Return the lengths, seconds, of the mashups of the first draws that are too short or too long."""
        found = []
        for number in range(causes.MOST_SEEDS):
            random = self._random.of(number)
            chosen = self._chosen(random)
            length = None if isinstance(chosen, str) else self._plan(*chosen, random)
            if isinstance(length, float):
                found.append(length)
        return found

    def _cause(self, reason: str) -> Cause:
        """Return the cause behind the reason for which draws were rejected, and the fix."""
        options = self._options
        if reason == _NO_VOCAL:
            row = None if self._vocal is None else self._clips.row_of(self._vocal)
            if row is not None:
                return causes.named_vocal(self._clips, row)
            return causes.no_vocal(self._clips, self._condition, options.min_activity)
        if reason == _LENGTH:
            return causes.wrong_length(self._lengths(), options.min_duration_s, options.max_duration_s)
        if reason == _DOUBTFUL_VOCAL:
            return "the analyzer found it with little confidence", _DOUBTFUL_FIX
        if reason in [_NO_METRE.format(role) for role in BACKING]:
            return (
                "the stems that fit in key and tempo have another number of beats in a bar",
                "add songs of the same metre, or allow other metres with generator.mixed_metres=true",
            )
        role = next((role for role in BACKING if reason == _NO_STEM.format(role)), Role.HARMONIC)
        return causes.no_stem(self._clips, self._index, self._vocals, role, self._condition)


class _RandomOfDraws:
    """Random numbers for each draw of a run, independent of the other draws.

    Philox in counter mode (Salmon et al.: Parallel random numbers: as easy as 1, 2, 3, SC 2011): the key is made from
    the run, and the last word of the counter is the draw's number. Setting the counter takes a tenth of the time of
    seeding a generator.
    """

    def __init__(self, seed: int, condition: Condition) -> None:
        # The key includes the condition, because otherwise all conditions would draw the same vocals in the same order.
        key = np.random.SeedSequence((seed, list(Condition).index(condition))).generate_state(2, np.uint64)
        self._bits = np.random.Philox(key=key)
        self._start = self._bits.state
        self._generator = np.random.Generator(self._bits)

    def of(self, number: int) -> np.random.Generator:
        """Return the random generator of a draw; it is valid until the next call."""
        self._start["state"]["counter"][3] = number
        self._bits.state = self._start
        return self._generator


def _retuning(chosen: Sequence[ChosenStem]) -> dict[str, float]:
    """Return the tunings that a plan records, cents; empty if no layer is shifted by cents."""
    for stem in chosen:
        cents = 100 * (stem.semitones - round(stem.semitones))
        if cents:
            tunings = {str(one.role): one.clip.analysis.tuning or 0.0 for one in chosen}
            return {name: tunings[name] for name in (Role.VOCAL, str(stem.role))} | {"cents": round(cents, 2)}
    return {}


def _retuning_notes(retuned: Mapping[str, float]) -> Iterator[str]:
    if retuned:
        own, vocal = retuned[Role.HARMONIC], retuned[Role.VOCAL]
        yield (
            f"the harmonic layer is retuned by {retuned['cents']:+.1f} cents: its song's A lies "
            f"{own:+.1f} cents from 440 Hz, the vocal's {vocal:+.1f}"
        )


def _doubts(chosen: Sequence[ChosenStem]) -> Iterator[str]:
    """Yield notes for the user on the bars and labels of the chosen clips."""
    for clip_id in dict.fromkeys(stem.clip.id for stem in chosen):
        stems = [stem for stem in chosen if stem.clip.id == clip_id]
        roles, clip = " and ".join(stem.role for stem in stems), stems[0].clip
        reason = metre.doubt(clip.analysis)
        if reason is not None:
            yield f"{roles}: doubtful bars: {reason}"
        if LABELS_TRUSTED in clip.edited:
            yield f"{roles}: labels trusted, not checked"


def _loudness_gain(seed: Clip, clip: Clip, role: Role) -> float:
    """Return the gain, dB, that gives the clip's stem the loudness of the seed's own stem of that role.

    A lone vocal has no such stem. The gain is then the gain that gives the vocal of the clip the loudness of the
    seed's vocal, so that the balance of vocal and backing is that of the clip's song (ours).
    """
    compared = Role.VOCAL if role in seed.lacks else role
    gain = seed.loudness.get(compared, -math.inf) - clip.loudness.get(compared, -math.inf)
    if not math.isfinite(gain):
        return 0.0  # a silent stem (−inf) gives no balance to match
    level = _level(seed) - _level(clip)
    return min(max(gain, min(level, -LARGEST_GAIN_DB)), max(level, LARGEST_GAIN_DB))


def _level(clip: Clip) -> float:
    """Return the level of a recording, LUFS: the power of its stems together, of which one or more sound."""
    return 10 * math.log10(sum(10 ** (loudness / 10) for loudness in clip.loudness.values()))


_beats: weakref.WeakKeyDictionary[ClipTable, BeatsOfClips] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def _beats_of(table: ClipTable) -> BeatsOfClips:
    """Return the beats of a table's clips; all runs over the table share them."""
    with _lock:
        if table not in _beats:
            _beats[table] = BeatsOfClips(table.grid_of)
        return _beats[table]
