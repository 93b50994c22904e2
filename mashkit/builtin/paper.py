"""The paper's generator ("Mashup Generation"; SPEC readings 7–13 where it leaves things open).

A vocal is drawn as seed, then one harmonic and one percussion stem; what fits is what the condition says. Candidate
tests are vectorised over all clips, so a draw costs the same for ten clips and for ten thousand.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

import attrs
import numpy as np
import numpy.typing as npt
from attrs import validators

from mashkit.builtin import PAPER_GENERATOR
from mashkit.builtin.placing import Fades, Placer
from mashkit.components import ComponentInfo
from mashkit.errors import GenerationError
from mashkit.interfaces import Generator
from mashkit.types import Clip, Condition, Layer, MashupPlan, Mixing, Role

TEMPO_CLASH = 0.04
"""Least relative tempo difference that `strict` mismatches accept: beats 4 % apart part by half a beat in 13."""
PATIENCE = 1000
"""Draws without a new plan after which the clips count as exhausted (a space of 100 plans is missed with p < 0.005)."""
LARGEST_GAIN_DB = 12.0
"""Bound of loudness matching: beyond it, what is raised is mostly separation residue."""

_NEEDS = {
    Condition.ORIGINAL: (),
    Condition.MATCHED: ("key", "tempo", "downbeats"),
    Condition.UNMATCHED_KEY: ("key", "tempo", "downbeats"),
    Condition.UNMATCHED_TEMPO: ("key", "tempo", "downbeats"),
    Condition.UNMATCHED_KEY_TEMPO: ("key", "tempo", "downbeats"),
}
_KEY_FREE = frozenset({Condition.UNMATCHED_KEY, Condition.UNMATCHED_KEY_TEMPO})
_TEMPO_FREE = frozenset({Condition.UNMATCHED_TEMPO, Condition.UNMATCHED_KEY_TEMPO})


def _unit_interval(instance: object, attribute: attrs.Attribute[float], value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"{attribute.name} is {value}, not a share from 0 to 1")


@attrs.define(kw_only=True, eq=False)
class PaperGenerator(Generator):
    """Draws mashups as the paper does.

    Parameters
    ----------
    max_shift : int
        Largest key distance of a harmonic candidate, semitones (paper: 3).
    min_speed, max_speed : float
        Inclusive range of seed tempo / candidate tempo, which is the speed applied (paper: 0.8, 1.2).
    mismatch : {"strict", "literal"}
        What *unmatched* demands. "strict": the harmonic stem at least a semitone away and/or both stems' tempi more
        than 4 % away (also from half and double), so that no negative fits by chance. "literal": what the paper says,
        no more than dropping the constraint.
    same_mode : bool
        Accept harmonic candidates of the seed's mode only; by default a minor key counts as its relative major.
    fold_tempo : bool
        Also accept candidates at about half or double the seed's tempo, played at the folded ratio.
    min_duration_s, max_duration_s : float
        Accepted length of a mashup, seconds (paper: 25 to 60).
    max_offset_s : float
        Bound of the downbeat offset of tempo-unmatched mashups, seconds (paper: 1).
    align : {"beats", "speed"}
        "beats": backing stems follow the vocal's beats all along, where the beats of both can be trusted (else at one
        speed; the plan's notes say so). "speed": one speed for the whole, as the paper.
    phrase_bars : int
        0: first downbeats meet, as in the paper. Otherwise each backing stem enters at any bar, drawn at random, that
        is a multiple of so many bars away; :meth:`variants` are all of them.
    match_loudness : bool
        Gain each backing stem to the loudness that role's stem has in the seed's own song (BS.1770), within 12 dB.
    fades : bool
        Fade in until the first bar line and out from the last.
    limit_db : float
        The most a limiter may take off single peaks, dB; what is above that, the whole mix is lowered by.
    duck_db : float
        How much the harmonic layer gives way while the vocal sounds, dB.
    min_activity : float
        Share of a clip in which a role's stem must sound to be drawn (ours; 0 turns it off): a silent vocal is no seed.
    """

    info: ClassVar[ComponentInfo] = PAPER_GENERATOR

    max_shift: int = attrs.field(default=3, validator=[validators.ge(0), validators.le(6)])
    min_speed: float = attrs.field(default=0.8, validator=validators.gt(0))
    max_speed: float = attrs.field(default=1.2, validator=validators.gt(0))
    mismatch: Literal["strict", "literal"] = attrs.field(
        default="strict", validator=validators.in_(("strict", "literal"))
    )
    same_mode: bool = attrs.field(default=False, validator=validators.instance_of(bool))
    fold_tempo: bool = attrs.field(default=False, validator=validators.instance_of(bool))
    min_duration_s: float = attrs.field(default=25.0, validator=validators.gt(0))
    max_duration_s: float = attrs.field(default=60.0, validator=validators.gt(0))
    max_offset_s: float = attrs.field(default=1.0, validator=validators.ge(0))
    align: Literal["beats", "speed"] = attrs.field(default="beats", validator=validators.in_(("beats", "speed")))
    phrase_bars: int = attrs.field(default=0, validator=[validators.instance_of(int), validators.ge(0)])
    match_loudness: bool = attrs.field(default=True, validator=validators.instance_of(bool))
    fades: bool = attrs.field(default=True, validator=validators.instance_of(bool))
    limit_db: float = attrs.field(default=3.0, validator=validators.ge(0))
    duck_db: float = attrs.field(default=0.0, validator=validators.ge(0))
    min_activity: float = attrs.field(default=0.25, validator=_unit_interval)

    def _plan(
        self, clips: Sequence[Clip], *, condition: Condition, count: int, seed: int, vocal: str | None
    ) -> Iterator[MashupPlan]:
        pool = _Pool(self, clips, condition)
        placer = Placer(min_duration_s=self.min_duration_s)
        record = self._record()
        seeds = pool.seeds(vocal)
        random = np.random.default_rng(seed)
        seen: set[tuple[int, int, int]] = set()
        rejected: Counter[str] = Counter()
        fruitless = 0
        while fruitless < PATIENCE:
            fruitless += 1
            chosen = self._draw(pool, seeds, condition, random, rejected)
            if chosen is None:
                continue
            vocal_clip, *backing = (pool.clips[index] for index in chosen)
            layers = self._layers(pool, chosen)
            bars = [
                int(random.choice(self._offsets(placer, vocal_clip, layer, clip, condition))) if self.phrase_bars else 0
                for layer, clip in zip(layers, backing, strict=True)
            ]
            late = self._late(condition, random)
            plan = self._placed(placer, condition, seed, record, vocal_clip, layers, backing, bars, late)
            if plan is None:
                rejected["the stems overlap for too short or too long a time"] += 1
            elif chosen not in seen:
                seen.add(chosen)
                fruitless = 0
                yield plan
        if not seen:
            raise pool.nothing_fits(rejected)

    def _variants(self, plan: MashupPlan, clips: Mapping[str, Clip]) -> Iterator[MashupPlan]:
        if self.phrase_bars == 0 or plan.condition is Condition.ORIGINAL or plan.condition in _TEMPO_FREE:
            yield plan
            return
        placer = Placer(min_duration_s=self.min_duration_s)
        record = self._record()
        vocal, *layers = (plan.layer(role) for role in Role)
        vocal_clip, *backing = (clips[layer.clip_id] for layer in (vocal, *layers))
        choices = [
            self._offsets(placer, vocal_clip, layer, clip, plan.condition)
            for layer, clip in zip(layers, backing, strict=True)
        ]
        for bars in itertools.product(*choices):
            placed = self._placed(placer, plan.condition, plan.seed, record, vocal_clip, layers, backing, bars, None)
            if placed is not None:
                yield placed

    def _draw(
        self,
        pool: _Pool,
        seeds: npt.NDArray[np.intp],
        condition: Condition,
        random: np.random.Generator,
        rejected: Counter[str],
    ) -> tuple[int, int, int] | None:
        """Draw a vocal, then a harmonic and a percussion candidate; None when the vocal has none."""
        seed = int(random.choice(seeds))
        if condition is Condition.ORIGINAL:
            return seed, seed, seed
        harmonic, percussion = pool.harmonic_candidates(seed), pool.percussion_candidates(seed)
        if len(harmonic) == 0:
            rejected["no harmonic stem of another song fits the drawn vocal"] += 1
            return None
        if len(percussion) == 0:
            rejected["no percussion stem of another song fits the drawn vocal"] += 1
            return None
        return seed, int(random.choice(harmonic)), int(random.choice(percussion))

    def _layers(self, pool: _Pool, chosen: tuple[int, int, int]) -> list[Layer]:
        """Return the backing layers of the chosen clips, fitted in key and tempo, not yet placed."""
        seed, condition = pool.clips[chosen[0]], pool.condition
        layers = []
        for role, index in zip((Role.HARMONIC, Role.PERCUSSION), chosen[1:], strict=True):
            clip = pool.clips[index]
            original = condition is Condition.ORIGINAL
            shifts = role is Role.HARMONIC and not original and condition not in _KEY_FREE
            layers.append(
                Layer(
                    role=role,
                    clip_id=clip.id,
                    speed=1.0 if original or condition in _TEMPO_FREE else float(pool.speeds(chosen[0])[index]),
                    semitones=float(pool.shifts(chosen[0])[index]) if shifts else 0.0,
                    gain_db=_loudness_gain(seed, clip, role) if self.match_loudness else 0.0,
                )
            )
        return layers

    def _offsets(self, placer: Placer, vocal: Clip, layer: Layer, clip: Clip, condition: Condition) -> Sequence[int]:
        phrases = 0 if condition is Condition.ORIGINAL or condition in _TEMPO_FREE else self.phrase_bars
        return placer.offsets(vocal, clip, speed=layer.speed, phrase_bars=phrases)

    def _late(self, condition: Condition, random: np.random.Generator) -> tuple[float, float, float] | None:
        """Draw by how much each layer is moved off its downbeat, seconds: one of them, where the tempo is free."""
        if condition not in _TEMPO_FREE:
            return None
        late = [0.0, 0.0, 0.0]
        late[int(random.integers(len(late)))] = float(random.uniform(-self.max_offset_s, self.max_offset_s))
        return late[0], late[1], late[2]

    def _placed(
        self,
        placer: Placer,
        condition: Condition,
        seed: int,
        record: Mapping[str, Any],
        vocal: Clip,
        layers: Sequence[Layer],
        clips: Sequence[Clip],
        bars: Sequence[int],
        late: tuple[float, float, float] | None,
    ) -> MashupPlan | None:
        """Return the plan of these layers on that vocal; None if it would be too short or too long."""
        sung = Layer(role=Role.VOCAL, clip_id=vocal.id)
        placed, notes = [sung], list[str]()
        for layer, clip, offset in zip(layers, clips, bars, strict=True):
            if condition is Condition.ORIGINAL:
                placed.append(layer)
                continue
            along = self.align == "beats" and condition not in _TEMPO_FREE
            one = placer.place(vocal, layer, clip, bars=offset, along_beats=along)
            placed.append(one.layer)
            notes += one.notes
        if late is not None:
            placed = [attrs.evolve(layer, offset_s=layer.offset_s + by) for layer, by in zip(placed, late, strict=True)]
        placed, duration = trimmed(placed, {clip.id: clip for clip in (vocal, *clips)})
        if not self.min_duration_s <= duration <= self.max_duration_s:
            return None
        start = float(placed[0].to_clip(0.0))
        fades = placer.fades(vocal, start_s=start, end_s=start + duration) if self.fades else Fades(0.0, 0.0)
        return MashupPlan(
            condition=condition,
            layers=placed,
            duration_s=duration,
            seed=seed,
            generator=record,
            mixing=Mixing(fade_in_s=fades.in_s, fade_out_s=fades.out_s, duck_db=self.duck_db, limit_db=self.limit_db),
            notes=notes,
        )

    def _record(self) -> dict[str, Any]:
        described = self.describe()
        return {key: described[key] for key in ("name", "distribution", "version", "options")}


class _Pool:
    """The clips as arrays, and which of them fit a given vocal under one condition."""

    def __init__(self, options: PaperGenerator, clips: Sequence[Clip], condition: Condition) -> None:
        self.options = options
        self.condition = condition
        self.all_clips = clips
        self.clips = [clip for clip in clips if _knows(clip, _NEEDS[condition])]
        songs = {song: index for index, song in enumerate(dict.fromkeys(clip.song for clip in self.clips))}
        self._songs = np.array([songs[clip.song] for clip in self.clips], dtype=np.intp)
        if condition is not Condition.ORIGINAL:
            self._tempi = np.array([clip.analysis.tempo for clip in self.clips], dtype=np.float64)
            keys = [clip.analysis.key for clip in self.clips if clip.analysis.key is not None]
            self._tonics = np.array([key.relative_major_tonic for key in keys], dtype=np.int64)
            self._minor = np.array([key.mode == "minor" for key in keys], dtype=np.bool_)
        self._active = {role: self._activity(role) >= options.min_activity for role in Role}

    def _activity(self, role: Role) -> npt.NDArray[np.float64]:
        # A clip whose activity nobody measured is taken at its word.
        return np.array([clip.activity.get(role, 1.0) for clip in self.clips], dtype=np.float64)

    def seeds(self, vocal: str | None) -> npt.NDArray[np.intp]:
        """Return the clips whose vocal may be drawn: the one that was named, or all that sing."""
        if vocal is not None:
            chosen = [index for index, clip in enumerate(self.clips) if clip.id == vocal]
        else:
            chosen = np.flatnonzero(self._active[Role.VOCAL]).tolist()
        if not chosen:
            raise self.nothing_fits(Counter({"no clip has a vocal that can be used": 1}))
        return np.array(chosen, dtype=np.intp)

    def shifts(self, seed: int) -> npt.NDArray[np.int64]:
        """Return the semitones, −6…+5, that bring every clip to the seed's key (as Key.semitones_to)."""
        shifts: npt.NDArray[np.int64] = (self._tonics[seed] - self._tonics + 6) % 12 - 6
        return shifts

    def speeds(self, seed: int) -> npt.NDArray[np.float64]:
        """Return the speed that brings every clip to the seed's tempo: seed tempo / candidate tempo."""
        ratios = self._tempi[seed] / self._tempi
        return _folded(ratios) if self.options.fold_tempo else ratios

    def _other_songs(self, seed: int) -> npt.NDArray[np.bool_]:
        others: npt.NDArray[np.bool_] = self._songs != self._songs[seed]
        return others

    def _tempo_fits(self, seed: int) -> npt.NDArray[np.bool_]:
        """Say which tempi the condition accepts, for the harmonic and the percussion stem alike."""
        if self.condition in _TEMPO_FREE:
            if self.options.mismatch == "literal":
                return np.ones(len(self.clips), dtype=np.bool_)
            # Half and double tempo share the beat: they do not clash.
            clash: npt.NDArray[np.bool_] = np.abs(_folded(self._tempi[seed] / self._tempi) - 1) > TEMPO_CLASH
            return clash
        speeds = self.speeds(seed)
        fits: npt.NDArray[np.bool_] = (speeds >= self.options.min_speed) & (speeds <= self.options.max_speed)
        return fits

    def _key_fits(self, seed: int) -> npt.NDArray[np.bool_]:
        distance = np.abs(self.shifts(seed))
        if self.condition in _KEY_FREE:
            return distance >= 1 if self.options.mismatch == "strict" else np.ones(len(self.clips), dtype=np.bool_)
        fits: npt.NDArray[np.bool_] = distance <= self.options.max_shift
        return fits & (self._minor == self._minor[seed]) if self.options.same_mode else fits

    def harmonic_candidates(self, seed: int) -> npt.NDArray[np.intp]:
        """Return the clips whose harmonic stem the condition accepts for this vocal."""
        return np.flatnonzero(
            self._other_songs(seed) & self._active[Role.HARMONIC] & self._key_fits(seed) & self._tempo_fits(seed)
        )

    def percussion_candidates(self, seed: int) -> npt.NDArray[np.intp]:
        """Return the clips whose percussion stem the condition accepts for this vocal."""
        return np.flatnonzero(self._other_songs(seed) & self._active[Role.PERCUSSION] & self._tempo_fits(seed))

    def nothing_fits(self, rejected: Counter[str]) -> GenerationError:
        """Return the error that says why there is no mashup, and what the clips are."""
        reason = rejected.most_common(1)[0][0] if rejected else "nothing fits"
        known = "; ".join(
            f"{clip.title}: {clip.analysis.key or 'no key'}, "
            + (f"{clip.analysis.tempo:.1f} BPM" if clip.analysis.tempo else "no tempo")
            for clip in self.all_clips[:8]
        )
        options = self.options
        return GenerationError(
            f"no {self.condition} mashup among {len(self.all_clips)} clips: {reason} [{known}]",
            f"add songs, or widen max_shift (now {options.max_shift}) and min_speed/max_speed "
            f"(now {options.min_speed}–{options.max_speed})",
        )


def _knows(clip: Clip, fields: Sequence[str]) -> bool:
    """Tell whether the clip's analysis has all of ``fields``, and at least one downbeat if that is among them."""
    values: list[Any] = [getattr(clip.analysis, field) for field in fields]
    return all(value is not None and (not isinstance(value, np.ndarray) or len(value) > 0) for value in values)


def _folded(ratios: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return tempo ratios brought within √½…√2 by halving or doubling."""
    folded: npt.NDArray[np.float64] = ratios * 2.0 ** -np.round(np.log2(ratios))
    return folded


def _loudness_gain(seed: Clip, clip: Clip, role: Role) -> float:
    """Return the gain, dB, that gives the clip's stem the loudness of the seed's own stem of that role."""
    gain = seed.loudness.get(role, -math.inf) - clip.loudness.get(role, -math.inf)
    # Silence on either side (−inf) says nothing about balance.
    return float(np.clip(gain, -LARGEST_GAIN_DB, LARGEST_GAIN_DB)) if math.isfinite(gain) else 0.0


def trimmed(layers: Sequence[Layer], clips: dict[str, Clip]) -> tuple[list[Layer], float]:
    """Trim to where all layers sound (SPEC reading 12): return them on that time line, and its length in seconds.

    The length is ≤ 0 when they do not overlap.
    """
    start = max(layer.offset_s for layer in layers)
    end = min(float(layer.to_mashup(clips[layer.clip_id].duration)) for layer in layers)
    return [attrs.evolve(layer, offset_s=layer.offset_s - start) for layer in layers], end - start
