"""Change a plan as a person asks for it: move a layer by beats or bars, shift its key, set its gain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np

from mashkit.errors import MashkitError
from mashkit.listen.answers import Refused
from mashkit.numbers import number_of
from mashkit.timing.beatmap import BeatGrid, BeatsDistrusted, beat_grid
from mashkit.types import Clip, Layer, MashupPlan, Role
from mashkit.types.timemap import TimeMap, Times

MOST_BEATS = 256
"""Largest move of a layer, beats (ours): more beats than a minute of music has."""
MOST_SEMITONES = 12.0
"""Largest change of a layer's pitch, semitones (ours): an octave, beyond which no stretcher sounds natural."""
_TOLERANCE_S = 0.001
"""Largest distance of a moved map from the beats at knots that are left out, seconds: less than in a new map, because
those of several moves add up."""
GAIN_RANGE_DB = (-40.0, 12.0)
"""Gains of a layer that can be set, dB (ours): from inaudible to four times as loud."""


@attrs.frozen(kw_only=True)
class Change:
    """Changes of one layer; they add to what the plan has.

    Parameters
    ----------
    beats, bars : int
        Move the layer later by so many beats and bars of the vocal; negative values move it earlier.
    semitones : float
        Shift its pitch up.
    gain_db : float
        Raise its gain.
    """

    beats: int = 0
    bars: int = 0
    semitones: float = 0.0
    gain_db: float = 0.0

    def __str__(self) -> str:
        """Return the change in words: "2 beats later, +0.45 semitones"."""
        moves = [
            f"{number_of(abs(count), unit)} {'later' if count > 0 else 'earlier'}"
            for count, unit in ((self.bars, "bar"), (self.beats, "beat"))
            if count
        ]
        sums = [f"{value:+g} {unit}" for value, unit in ((self.semitones, "semitones"), (self.gain_db, "dB")) if value]
        return ", ".join([*moves, *sums])


def changes_of(given: object) -> dict[Role, Change]:
    """Return the changes that a page sent, by role.

    Raises
    ------
    Refused
        If they are not an object of objects of numbers in range.
    """
    if not isinstance(given, dict):
        raise Refused("invalid", "changes: an object is needed")
    found = {}
    for role, values in given.items():
        if role not in set(Role) or not isinstance(values, dict):
            raise Refused("invalid", f"changes: an object for each of {', '.join(Role)} is needed")
        for name, value in values.items():
            whole = name in ("beats", "bars")
            if name not in ("beats", "bars", "semitones", "gain_db"):
                raise Refused("invalid", "changes: beats, bars, semitones and gain_db are known")
            if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
                raise Refused("invalid", f"changes: {name} is a {'whole ' if whole else ''}number")
            if not abs(value) <= MOST_BEATS:  # true for NaN, too; changed() checks the sums
                raise Refused("invalid", f"changes: {name} is too large")
        change = Change(**values)
        if change != Change():
            found[Role(role)] = change
    return found


def changed(plan: MashupPlan, changes: Mapping[Role, Change], vocal: Clip | None) -> MashupPlan:
    """Return a plan with changes of its layers, and a note of each, because the notes before are of the drawn layers.

    Parameters
    ----------
    plan : MashupPlan
    changes : mapping of Role to Change
    vocal : Clip, optional
        The vocal's clip, whose beats are those by which layers move.

    Raises
    ------
    Refused
        If the plan has no such layer, the vocal is to be moved or shifted, the vocal's beats or bars are not known, or
        a sum is out of range.
    """
    layers, notes, generator = list(plan.layers), list(plan.notes), dict(plan.generator)
    for role, change in changes.items():
        place = next((index for index, layer in enumerate(layers) if layer.role is role), None)
        if place is None:
            raise Refused("invalid", f"this mashup has no {role} layer")
        if role is Role.VOCAL and (change.beats or change.bars or change.semitones):
            raise Refused("invalid", "the vocal keeps its place and pitch: change the other layers")
        layer = layers[place]
        semitones, gain = layer.semitones + change.semitones, layer.gain_db + change.gain_db
        if change.semitones and abs(semitones) > MOST_SEMITONES:
            raise Refused("range", f"the pitch changes by at most {MOST_SEMITONES:g} semitones")
        if change.gain_db and not GAIN_RANGE_DB[0] <= gain <= GAIN_RANGE_DB[1]:
            raise Refused("range", f"a gain lies between {GAIN_RANGE_DB[0]:g} and {GAIN_RANGE_DB[1]:g} dB")
        layer = attrs.evolve(layer, semitones=semitones, gain_db=gain)
        if change.beats or change.bars:
            grid = _grid(vocal)
            if change.bars and grid.bar == 0:
                raise Refused("beats", "the vocal's bars are not known: move the layer by beats")
            layer = moved(layer, plan.layer(Role.VOCAL), grid, change.beats + change.bars * grid.bar)
        layers[place] = layer
        if change != Change():
            notes.append(f"changed by hand: {role} {change}")
        retuned = generator.get("tuning")
        if change.semitones and isinstance(retuned, Mapping) and role in retuned:
            del generator["tuning"]  # the layer is not shifted by these cents any more
    try:
        return attrs.evolve(plan, layers=layers, notes=notes, generator=generator)
    except MashkitError as error:
        raise Refused("invalid", str(error)) from error


def _grid(vocal: Clip | None) -> BeatGrid:
    if vocal is None:
        raise Refused("beats", "the vocal's beats are not known")
    try:
        return beat_grid(vocal.analysis)
    except BeatsDistrusted as error:
        raise Refused("beats", f"the vocal's beats are not reliable: {error.problem}") from error


def moved(layer: Layer, vocal: Layer, grid: BeatGrid, beats: int) -> Layer:
    """Return a layer that sounds later by ``beats`` beats of the vocal.

    A layer with a time map follows the vocal's beats after the move too: each of its knots, and what it plays at each
    beat of the vocal, moves to where the vocal is so many beats later. A layer at one speed moves by so many of the
    vocal's mean beats.

    Parameters
    ----------
    layer : Layer
    vocal : Layer
    grid : BeatGrid
        The beats of the vocal's clip.
    beats : int
        Negative to move it earlier.

    Raises
    ------
    Refused
        If the moved layer would need speeds that make no time map, or that no stretcher plays.
    """
    if layer.time_map is None:
        period = float(grid.times[-1] - grid.times[0]) / (len(grid.times) - 1)
        return attrs.evolve(layer, offset_s=layer.offset_s + beats * period / vocal.speed)
    knots = _with_beats(layer, layer.time_map, vocal, grid)
    sung = vocal.to_clip(layer.to_mashup(knots))
    later = vocal.to_mashup(grid.time_at(_positions(grid, sung) + beats))
    try:
        time_map, offset = TimeMap.through(knots, later, duration_s=float(knots[-1]), tolerance_s=_TOLERANCE_S)
        time_map.require_playable()
    except MashkitError as error:
        raise Refused("beats", f"the layer cannot follow the beats there: {error}") from error
    return attrs.evolve(layer, time_map=time_map, speed=time_map.mean_speed, offset_s=offset)


def _with_beats(layer: Layer, time_map: TimeMap, vocal: Layer, grid: BeatGrid) -> Times:
    """Return a map's knots, and between them the moments of the clip that play on the vocal's beats.

    A map has no knot where both clips were steady. After a move, the vocal may not be steady there.
    """
    knots = np.array(time_map.source)
    first, last = grid.positions_within(*vocal.to_clip(layer.to_mashup(knots[[0, -1]])).tolist())
    beats = layer.to_clip(vocal.to_mashup(grid.time_at(np.arange(first, last + 1))))
    # Beats that nearly coincide with a knot would make pieces of extreme speeds.
    near = np.abs(beats[:, None] - knots).min(axis=1) if len(beats) else beats
    least = float(np.median(np.diff(beats))) / 4 if len(beats) > 1 else np.inf
    return np.sort(np.concatenate([knots, beats[near > least]]))


def _positions(grid: BeatGrid, times: Times) -> Times:
    """Return at which positions, in beats, times of the clip lie: the inverse of :meth:`BeatGrid.time_at`."""
    first, last = grid.positions_within(float(times.min()), float(times.max()))
    around = np.arange(min(first, 0) - 1, max(last, len(grid.times) - 1) + 2)
    positions: Times = np.interp(times, grid.time_at(around), around.astype(np.float64))
    return positions


def described(layer: Layer, clip: Clip | None) -> dict[str, Any]:
    """Return what a page shows of a layer."""
    analysis = None if clip is None else clip.analysis
    return {
        "role": str(layer.role),
        "clip": layer.clip_id,
        "title": "" if clip is None else clip.title,
        "song": "" if clip is None else clip.song,
        "source": "" if clip is None else clip.source,
        "key": "" if analysis is None or analysis.key is None else str(analysis.key),
        "tempo": None if analysis is None else analysis.tempo,
        "speed": layer.speed,
        "semitones": layer.semitones,
        "gain_db": layer.gain_db,
        "offset_s": layer.offset_s,
    }
