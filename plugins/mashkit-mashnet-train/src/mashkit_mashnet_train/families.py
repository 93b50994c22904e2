"""Batches in which each layer plays in several examples, so that a network computes few layers for many examples.

A batch has the songs of four families: of two keys that clash, in two tempi that clash. Songs are transposed and
stretched, within the ranges of the protocol ``controlled``, to the key and to the tempo of their family. Then any
layers of one family match, and layers of two families are unmatched in key, in tempo, or in both. Each layer plays in
one original, in one unmatched mashup and, if unlabelled examples count, in one matched mashup: no layer by itself tells
a good example from a bad one.

The rules that say what fits and what clashes are those of :mod:`mashkit_mashnet_train.examples`. What differs from
batches of vocals that are drawn one by one:

- a batch has twelve originals of as many songs, not two of each of six;
- its songs share two keys and two tempi;
- matched layers are moved as far as the protocol moves originals (2 semitones, 10 %), not up to 3 semitones and 20 %
  further;
- where the tempo is unmatched, harmonic and percussion agree with each other.

:func:`contrasts` adds originals in which one stem is out of time. The paper's negatives have no such: they differ from
an original in key or tempo, and the songs differ too. With contrasts, nothing but the timing differs.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np
import numpy.typing as npt

from mashkit.cliptable import ClipTable
from mashkit.conditions import MAX_OFFSET_S, UNMATCHED
from mashkit.errors import UsageError
from mashkit.types import Condition, Role, Times
from mashkit_mashnet.stem_features import ROLES
from mashkit_mashnet_train.examples import (
    OFF_BEAT,
    RULES,
    SHIFTS,
    SPEEDS,
    Clips,
    Layer,
    Pool,
    Random,
    off_tempo,
    sounds,
)

VERSION = 1
"""Version of how these batches are drawn; it is part of the fingerprint of the data."""
MEMBERS = 3
"""Songs in a family: the three layers of a matched mashup are of three songs."""
BAR = 4
"""Beats within which an excerpt begins after a downbeat."""
CONTRASTS_VERSION = 1
"""Version of how contrasts are drawn; it is part of the fingerprint of the data if there are some."""
_TRIES = 200


@attrs.frozen(eq=False)
class Member:
    """A song of a batch.

    Parameters
    ----------
    layer : Layer
        All its stems: moved to the key and the beats of its family.
    times : array of float64, shape (frames,)
        Mashup times at which its spectra are read, the same for all songs of one tempo.
    """

    layer: Layer
    times: Times = attrs.field(repr=False)


@attrs.frozen
class Mixed:
    """An example: the members whose vocal, harmonic and percussion play, and what kind of example that is."""

    kind: str
    members: tuple[int, int, int]


@attrs.frozen(eq=False)
class Contrast:
    """A layer that is out of time with all other layers of its song.

    Parameters
    ----------
    member : int
        Index of the song in the batch.
    role : Role
    layer : Layer
    """

    member: int
    role: Role
    layer: Layer = attrs.field(repr=False)


def members(clips: Clips, random: Random, frames: int, rate: float) -> list[Member]:
    """Return the songs of a batch: :data:`MEMBERS` of each family, in the order of (key, tempo).

    Parameters
    ----------
    clips : Clips
    random : numpy.random.Generator
    frames : int
        Length of an example.
    rate : float
        Frames per second.

    Raises
    ------
    UsageError
        If no four families can be found among the clips of any store.
    """
    for _ in range(_TRIES):
        found = _families(clips, random, frames, rate)
        if found is not None:
            return found
    raise UsageError(
        f"{clips.song_count} songs are too few to find {4 * MEMBERS} that share two keys and two tempi",
        "add songs, or draw batches of vocals: --batches vocals",
    )


def _families(clips: Clips, random: Random, frames: int, rate: float) -> list[Member] | None:
    table = clips.table
    first = clips.draw(random)
    pool = clips.pool_of(first)
    second = clips.draw_from(pool, random)
    keys = [int(table.tonics[clip]) + int(random.integers(*SHIFTS)) for clip in (first, second)]
    tempi = [float(clips.tempi[clip]) * float(random.uniform(*SPEEDS)) for clip in (first, second)]
    apart = float(_distance(keys[0], np.array(keys[1:]))[0])
    fits = RULES.key_fits(apart, Condition.UNMATCHED_KEY) and RULES.tempo_fits(
        tempi[0] / tempi[1], Condition.UNMATCHED_TEMPO
    )
    if not fits or table.bars[first] != table.bars[second]:
        return None
    read = []
    for tempo in tempi:
        start = float(random.uniform(0, BAR * 60 / tempo))
        read.append(start + np.arange(frames) / rate)
    made: list[Member] = []
    songs: set[int] = set()
    for key in keys:
        for tempo, times in zip(tempi, read, strict=True):
            own = _family(clips, pool, random, key, tempo, times, songs, int(table.bars[first]))
            if len(own) < MEMBERS:
                return None
            made += own
    return made


def _family(
    clips: Clips, pool: Pool, random: Random, key: int, tempo: float, times: Times, songs: set[int], bars: int
) -> list[Member]:
    """Return members of other songs than ``songs``, and add theirs to it; fewer than are due if there are no more."""
    own = slice(pool.rows.start, pool.rows.stop)
    speeds = tempo / clips.tempi[own]
    inside = (speeds >= SPEEDS[0]) & (speeds <= SPEEDS[1]) & _of(pool.table, bars)
    shifts = _distance(key, pool.table.tonics.astype(np.int64))
    inside &= (shifts >= SHIFTS[0]) & (shifts < SHIFTS[1])
    count = int(np.ceil((times[-1] + 1) * tempo / 60))
    grid = np.arange(count + 1) * 60 / tempo
    found: list[Member] = []
    for row in random.permutation(np.flatnonzero(inside)):
        clip = pool.rows[int(row)]
        song = int(clips.songs[clip])
        if song in songs:
            continue
        beats = clips.beats[clip]
        starts = [int(down) for down in clips.downbeats[clip] if down + count < len(beats)]
        starts = [start for start in random.permutation(starts) if sounds(clips, clip, int(start), count)]
        if not starts:
            continue
        begin = int(starts[0])
        found.append(Member(Layer(clip, float(shifts[row]), grid, beats[begin : begin + count + 1]), times))
        songs.add(song)
        if len(found) == MEMBERS:
            break
    return found


def _of(table: ClipTable, bars: int) -> npt.NDArray[np.bool_]:
    """Return which clips have bars of so many beats, without doubt, and a key."""
    usable: npt.NDArray[np.bool_] = (table.bars == bars) & ~table.doubtful & (table.tonics >= 0)
    return usable


def _distance(key: int, other: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return how many semitones a key lies above others, −6 to 5."""
    distance: npt.NDArray[np.int64] = (key - other + 6) % 12 - 6
    return distance


def mixed(step: int, *, unlabelled: bool) -> list[Mixed]:
    """Return the examples of a batch: an original, an unmatched and, if asked for, a matched one for each vocal.

    The three kinds of unmatched examples are equally frequent in each batch. Each layer plays in as many examples as
    any other.
    """
    families = [(key, tempo) for key in range(2) for tempo in range(2)]

    def place(key: int, tempo: int, member: int) -> int:
        return (2 * key + tempo) * MEMBERS + member % MEMBERS

    made = []
    for key, tempo in families:
        for member in range(MEMBERS):
            own = place(key, tempo, member)
            made.append(Mixed(Condition.ORIGINAL, (own, own, own)))
            kind = UNMATCHED[(step + member) % len(UNMATCHED)]
            other = key ^ (kind != Condition.UNMATCHED_TEMPO), tempo ^ (kind != Condition.UNMATCHED_KEY)
            made.append(Mixed(kind, (own, place(*other, member), place(*other, member + 1))))
            if unlabelled:
                backing = place(key, tempo, member + 1), place(key, tempo, member + 2)
                made.append(Mixed(Condition.MATCHED, (own, *backing)))
    return made


def targets(examples: Sequence[Mixed]) -> list[float]:
    """Return 1 for originals, 0 for unmatched, NaN for matched examples."""
    known = {Condition.ORIGINAL: 1.0, Condition.MATCHED: float("nan")}
    return [known.get(Condition(example.kind), 0.0) for example in examples]


def layers(examples: Sequence[Mixed], count: int) -> list[list[int]]:
    """Return the layer of each role of the examples, where ``count`` members' layers of one role follow each other."""
    return [
        [count * place + own for place, own in zip(range(len(ROLES)), one.members, strict=True)] for one in examples
    ]


def contrasts(found: Sequence[Member], random: Random) -> list[Contrast]:
    """Return two layers that are out of time for each family: one is early, one is faster or slower.

    An early layer may be early by whole beats too, up to :data:`mashkit.conditions.MAX_OFFSET_S`, by which the paper
    offsets a stem (docs/paper.md, row 14). No layer is late, because a late one begins before its excerpt, where its
    clip may be silent, and a network could recognise the example by this silence.

    Parameters
    ----------
    found : sequence of Member
        The members of a batch, in the order of :func:`members`.
    random : numpy.random.Generator
    """
    made = []
    for first in range(0, len(found), MEMBERS):
        early, other = (first + int(own) for own in random.permutation(MEMBERS)[:2])
        layer = found[early].layer
        beat = float(layer.mashup[1] - layer.mashup[0])
        parts = float(random.uniform(*OFF_BEAT)) + np.arange(max(1, int(MAX_OFFSET_S / beat)))
        made.append(Contrast(early, _role(random), layer.moved(-beat * float(random.choice(parts)))))
        played = found[other].layer.faster(off_tempo(random))
        made.append(Contrast(other, _role(random), played))
    return made


def _role(random: Random) -> Role:
    return ROLES[int(random.integers(len(ROLES)))]


def contrast_layers(made: Sequence[Contrast], count: int) -> list[list[int]]:
    """Return the layers of contrasts: those of :func:`layers`, and after them one more of each contrast."""
    return [
        [
            len(ROLES) * count + number if role is one.role else count * place + one.member
            for place, role in enumerate(ROLES)
        ]
        for number, one in enumerate(made)
    ]
