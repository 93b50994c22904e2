"""Training examples: layers of clips of stores, chosen by the rules of the paper's generator, without rendering sound.

There are two protocols. ``controlled`` (ours): originals and all other examples are transposed and stretched alike, so
that only the match separates them. Features are transposed and stretched, not sound, so no stretcher leaves a trace.
``paper``: originals stay as recorded, the vocal is never changed, and the other layers are fitted to the vocal.

Conventions: time 0 of the mashup is the start of the vocal's excerpt; a layer maps mashup times to times of its clip.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from itertools import pairwise
from typing import Any, Literal, TypeAlias

import attrs
import numpy as np
import numpy.typing as npt

from mashkit.builtin.candidates import index_of
from mashkit.builtin.paper import PaperGenerator
from mashkit.cliptable import ClipTable
from mashkit.conditions import BACKING, KEY_FREE, TEMPO_FREE, delays
from mashkit.errors import UsageError
from mashkit.types import Clip, Condition, Role, Times
from mashkit_mashnet.stem_features import WIDE
from mashkit_mashnet_train.store import MIXED_WITH, Record, Store, numbered

Protocol: TypeAlias = Literal["controlled", "paper"]
Split: TypeAlias = Literal["training", "validation", "test"]
Random: TypeAlias = np.random.Generator

PROTOCOLS: tuple[Protocol, ...] = ("controlled", "paper")
TEST_SHARE = 0.15
"""Share of songs that neither training nor validation uses; they are for one final test."""
VALIDATION_SHARE = 0.2
"""Share of the other songs for validation: training and validation are 4 : 1 (docs/paper.md, row 29)."""
RULES = attrs.evolve(PaperGenerator().rules, fifths=False)
"""Rules by which other songs' stems are drawn: those of the paper's generator, but a key a fifth away is not a
negative, because it shares six of seven notes (docs/paper.md, row 12)."""
RULES_VERSION = 6
"""Version of the rules, part of the fingerprint of the data, so that no run is resumed under other rules."""
SHIFTS = (-2, 3)
"""Range of the transposition of all layers of a controlled example, semitones; the upper end is excluded."""
SPEEDS = (0.9, 1.1)
"""Range of the speeds of all layers of a controlled example."""
QUIET_SHARE = 0.35
"""Smallest share of an excerpt's beats on which its vocal must sound."""
LEAST_BEATS = 8
"""Fewest beats of an excerpt."""
ROOM = 0.75
"""A stem is drawn again if its clip has room for a smaller share of the excerpt than this (ours). An excerpt becomes as
short as the clip with the least room, so without this limit, one short clip would make many excerpts short."""
_TRIES, _REDRAWN = 200, 20
OFF_BEAT = (0.15, 0.85)
"""Range of the part of a beat by which a layer that is out of time is off: by less, it would be in time (ours)."""
OFF_TEMPO_PERCENT = (1.5, 6.0)
"""Range by which a layer that is out of tempo is faster or slower, % (ours)."""

HARMONIC, LATE, FAST = "harmonic-off", "percussion-late", "percussion-fast"
TWINS = (HARMONIC, LATE, FAST)


def _place(song: str) -> float:
    """Return a number from 0 to 1 that depends on the song's name alone."""
    return int.from_bytes(hashlib.sha256(song.encode()).digest()[:8]) / 2**64


def split_of(song: str) -> Split:
    """Return the split of a song; it depends on the hash of the song's name, so adding songs moves no other song."""
    place = _place(song)
    if place < TEST_SHARE:
        return "test"
    return "validation" if place < TEST_SHARE + (1 - TEST_SHARE) * VALIDATION_SHARE else "training"


@attrs.frozen
class Fold:
    """One of several ways to leave songs out, so that each song is judged by a network that never had it.

    Parameters
    ----------
    number, of : int
        Fold ``number``, from 1 on, of ``of`` folds.

    Raises
    ------
    UsageError
        If there is no such fold.
    """

    number: int
    of: int

    def __attrs_post_init__(self) -> None:
        if not 1 <= self.number <= self.of or self.of < 2:
            raise UsageError(f"fold {self}", "give one of two folds or more, such as 1/5")

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    @classmethod
    def parse(cls, text: str) -> Fold:
        """Read "2/5"; raise UsageError if the text is not a fold."""
        number, _, of = text.partition("/")
        if not (number.isdecimal() and of.isdecimal()):
            raise UsageError(f"fold {text!r}", "give its number and how many there are, such as 2/5")
        return cls(int(number), int(of))


def splits(songs: Mapping[str, str | None] | Iterable[str], fold: Fold | None = None) -> dict[str, Split]:
    """Return the split of each song of a store; parameters and errors as for :func:`split_all`."""
    return split_all([songs if isinstance(songs, Mapping) else dict.fromkeys(songs)], fold)


def split_all(stores: Sequence[Mapping[str, str | None]], fold: Fold | None = None) -> dict[str, Split]:
    """Return the split of each song of some stores. A song that is in two stores has one split.

    Without a fold, it is :func:`split_of`. With a fold, every ``of``-th song of each store is for the test, so that
    folds have equally many songs, even of few; of the others a fifth, and two at least, are for validation. A song that
    is in several stores counts for the first of them. The order is that of the hashes of the songs' names, so a song
    may move when songs are added.

    Songs of one title are taken for one song, because they may be one recording in two files.

    Parameters
    ----------
    stores : sequence of mapping of str to str
        Song → its title, for each store; None, or an empty title, means that the title is unknown.
    fold : Fold, optional

    Raises
    ------
    UsageError
        If there are more folds than songs, so that a fold may leave none out.
    """
    leader = _leaders(stores)
    if fold is None:
        return {song: split_of(own) for song, own in leader.items()}
    count = len(set(leader.values()))
    if fold.of > count:
        raise UsageError(
            f"fold {fold} of {count} songs: some folds would leave no song out",
            f"give {count} folds at most" if count > 1 else "add songs",
        )
    parts: dict[str, Split] = {}
    for store in stores:
        names = sorted({leader[song] for song in store} - set(parts), key=_place)
        test = set(names[fold.number - 1 :: fold.of])
        rest = [song for song in names if song not in test]
        validation = set(rest[: max(2, round(VALIDATION_SHARE * len(rest)))])
        for song in names:
            parts[song] = "test" if song in test else "validation" if song in validation else "training"
    return {song: parts[own] for song, own in leader.items()}


def _leaders(stores: Sequence[Mapping[str, str | None]]) -> dict[str, str]:
    """Return for each song the first of all songs that share its title, by the order of :func:`_place`."""
    leader: dict[str, str] = {}
    by_title: dict[str, str] = {}
    pairs = {(song, title) for store in stores for song, title in store.items()}
    for song, title in sorted(pairs, key=lambda pair: (_place(pair[0]), pair[1] or "")):
        own = leader.setdefault(song, by_title.get(title, song) if title else song)
        if title:
            other = by_title.setdefault(title, own)
            if other != own:  # the song has another title in another store
                leader.update((name, other) for name, its in leader.items() if its == own)
                by_title.update((name, other) for name, its in by_title.items() if its == own)
    return leader


@attrs.frozen(eq=False)
class Layer:
    """A stem of a clip in an example.

    Parameters
    ----------
    clip : int
        Index of the clip in :class:`Clips`.
    semitones : float
    mashup, source : array of float64, shape (n,)
        Increasing times in the mashup, and the times of the clip that play at them. Between these points, and beyond
        both ends, the map is a straight line.
    """

    clip: int
    semitones: float
    mashup: Times = attrs.field(repr=False)
    source: Times = attrs.field(repr=False)

    def to_clip(self, times: Times) -> Times:
        """Return the times of the clip that play at ``times`` of the mashup."""
        inside = np.interp(times, self.mashup, self.source)
        first = (self.source[1] - self.source[0]) / (self.mashup[1] - self.mashup[0])
        last = (self.source[-1] - self.source[-2]) / (self.mashup[-1] - self.mashup[-2])
        before = np.minimum(times - self.mashup[0], 0) * first
        after = np.maximum(times - self.mashup[-1], 0) * last
        moments: Times = inside + before + after
        return moments

    def moved(self, seconds: float) -> Layer:
        """Return the layer, played ``seconds`` later."""
        return attrs.evolve(self, mashup=self.mashup + seconds)

    def faster(self, ratio: float) -> Layer:
        """Return the layer, played faster by ``ratio``; its first moment stays where it is."""
        return attrs.evolve(self, mashup=self.mashup[0] + (self.mashup - self.mashup[0]) / ratio)


@attrs.frozen(eq=False)
class Example:
    """Three layers, and which of them are known to fit.

    Parameters
    ----------
    kind : str
        One of the paper's conditions and :data:`TWINS`.
    group : int
        Number of the group; the examples of a group share the vocal.
    grid : array of float64, shape (beats + 1,)
        Beats of the vocal, in mashup time.
    downbeats : array of float64, shape (n,)
        Downbeats of the vocal, in mashup time.
    layers : mapping of Role to Layer
    wrong : frozenset of Role
        Layers that do not fit the vocal.
    """

    kind: str
    group: int
    grid: Times = attrs.field(repr=False)
    downbeats: Times = attrs.field(repr=False)
    layers: Mapping[Role, Layer] = attrs.field(repr=False)
    wrong: frozenset[Role] = frozenset()

    def target(self, roles: Set[Role] = frozenset(Role)) -> float:
        """Return the label of the layers of ``roles`` alone: 1 if they fit, 0 if they do not, NaN if it is unknown.

        Harmonic and percussion of one song still fit each other when both are moved against the vocal.
        """
        if self.kind == Condition.ORIGINAL:
            return 1.0
        wrong = self.wrong & roles
        if self.kind in TWINS:
            return 0.0 if wrong and (Role.VOCAL in roles or self.kind != HARMONIC) else 1.0
        if wrong and (Role.VOCAL in roles or self.kind != Condition.UNMATCHED_KEY):
            return 0.0
        return float("nan")


@attrs.frozen(eq=False)
class Pool:
    """The clips of one store, among which all layers of an example are.

    If a vocal of one store could have a backing of another one, the network would learn that sounds of two stores, such
    as recordings and renderings, do not fit: no original has them.

    Parameters
    ----------
    rows : range
        Indices of the clips in :class:`Clips`.
    table : ClipTable
        The clips of ``rows``.
    """

    rows: range
    table: ClipTable = attrs.field(repr=False)


class Clips:
    """The usable clips of some stores that belong to one split; a usable clip has beats, downbeats and a key.

    A store that has a single song in the split has no clips here, because each example has layers of one store.

    Parameters
    ----------
    stores : sequence of Store
    split : {"training", "validation", "test"}, optional
        None for all splits.
    fold : Fold, optional
        Songs that are left out for the test; see :func:`split_all`.
    without : collection of str
        Names of more songs that are left out, by default none.
    shares : sequence of float, optional
        How often vocals are drawn from each store, relative to the others; by default as often as it has clips.

    Raises
    ------
    UsageError
        If ``shares`` are not one number above 0 for each store, or if there are more folds than songs.
    """

    def __init__(
        self, stores: Sequence[Store], split: Split | None, fold: Fold | None = None, *, without: Collection[str] = (),
        shares: Sequence[float] | None = None,
    ) -> None:  # fmt: skip
        self.stores = tuple(stores)
        self.part = "all" if split is None else split if fold is None else f"{split} of fold {fold}"
        parts = parts_of(stores, fold)
        chosen = [
            (number, clip, record)
            for number, clip, record in numbered(stores)
            if (split is None or parts[record.song] == split) and record.song not in without and _usable(record)
        ]
        songs: dict[int, set[str]] = {}
        for number, _, record in chosen:
            songs.setdefault(number, set()).add(record.song)
        chosen = [one for one in chosen if len(songs[one[0]]) > 1]
        self.places = [(number, clip) for number, clip, _ in chosen]
        self.records: list[Record] = [record for _, _, record in chosen]
        self.songs = np.unique([record.song for record in self.records], return_inverse=True)[1]
        self.beats = [_required(record.analysis.beats) for record in self.records]
        self.tempi = np.array([60 / float(np.median(np.diff(beats))) for beats in self.beats])
        # Features of a store are measured in tune, so tunings do not count. Layers are placed by beats, so the tempo is
        # that of the beats.
        clips = [
            Clip(
                str(number), record.song, record.id, record.id, 0.0, record.duration, WIDE.sample_rate,
                attrs.evolve(record.analysis, tempo=tempo, tuning=None),
            )
            for number, (record, tempo) in enumerate(zip(self.records, self.tempi.tolist(), strict=True))
        ]  # fmt: skip
        self.table = ClipTable.of(clips)
        self.pools, self._chances = self._pooled(clips, required_shares(shares, stores))
        self.tonics = self.table.tonics
        self.downbeats = [
            np.flatnonzero(np.isin(beats, _required(record.analysis.downbeats)))
            for beats, record in zip(self.beats, self.records, strict=True)
        ]

    def __len__(self) -> int:
        return len(self.records)

    def _pooled(
        self, clips: Sequence[Clip], shares: Sequence[float] | None
    ) -> tuple[list[Pool], npt.NDArray[np.float64] | None]:
        """Return the pools, in the order of the stores, and the chance of each to give a vocal."""
        own = np.array([number for number, _ in self.places], dtype=np.intp)
        found, starts = np.unique(own, return_index=True)
        rows = [range(first, last) for first, last in pairwise([*starts.tolist(), len(own)])]
        pools = [Pool(one, ClipTable.of(clips[one.start : one.stop])) for one in rows]
        if shares is None:
            return pools, None
        chances = np.asarray(shares, dtype=np.float64)[found]
        return pools, chances / chances.sum()

    def pool_of(self, clip: int) -> Pool:
        """Return the pool of a clip."""
        return next(pool for pool in self.pools if clip in pool.rows)

    def draw(self, random: Random) -> int:
        """Return a clip: any, or if there are shares, any of the store that is drawn first."""
        if self._chances is None:
            return int(random.integers(len(self)))
        return self.draw_from(self.pools[int(random.choice(len(self.pools), p=self._chances))], random)

    @staticmethod
    def draw_from(pool: Pool, random: Random) -> int:
        """Return any clip of a pool."""
        return pool.rows[int(random.integers(len(pool.rows)))]

    def place(self, clip: int) -> tuple[Store, int]:
        """Return the store of a clip, and the clip's index in that store."""
        number, own = self.places[clip]
        return self.stores[number], own

    @property
    def song_count(self) -> int:
        """Number of songs that the clips come from."""
        return len(set(self.songs.tolist()))

    @property
    def recordings(self) -> set[str]:
        """Titles of the songs that are real recordings: a benchmark does not judge a network by these."""
        titles = [titles_of(store) for store in self.stores]
        found = (titles[number][one.song] for (number, _), one in zip(self.places, self.records, strict=True))
        return {title for title in found if title}

    def summary(self) -> dict[str, Any]:
        """Return the numbers of songs, clips and hours for each source."""
        sources: dict[str, list[int]] = {}
        for index, (number, _) in enumerate(self.places):
            sources.setdefault(str(self.stores[number].source.get("recipe", number)), []).append(index)
        return {
            name: {
                "songs": len({int(self.songs[index]) for index in indices}),
                "clips": len(indices),
                "hours": round(sum(self.records[index].duration for index in indices) / 3600, 2),
            }
            for name, indices in sources.items()
        }


def parts_of(stores: Sequence[Store], fold: Fold | None = None) -> dict[str, Split]:
    """Return the split of each song of some stores.

    Raises
    ------
    UsageError
        As for :func:`split_all`, and if a clip's stems may have residue of a song of another split.
    """
    parts = split_all([titles_of(store) for store in stores], fold)
    for store in stores:
        for record in store.records:
            for other in record.facts.get(MIXED_WITH, ()):
                if parts[other] != (own := parts[record.song]):
                    raise UsageError(
                        f"{store.folder}: the stems of {record.id} ({own}) were separated from mixes with {other} "
                        f"({parts[other]})",
                        "give no --fold with this store" if fold is not None else "leave out a store with these songs",
                    )
    return parts


def titles_of(store: Store) -> dict[str, str | None]:
    """Return the title of each song of a store; None for a song that was made for it."""
    titles = store.source.get("titles", {})
    return {record.song: titles.get(record.song) for record in store.records}


def required_shares(shares: Sequence[float] | None, stores: Sequence[Any]) -> Sequence[float] | None:
    """Return shares; raises UsageError unless there is one finite number above 0 for each store."""
    if shares is not None:
        if len(shares) != len(stores):
            raise UsageError(f"{len(shares)} shares for {len(stores)} stores", "give one share for each store")
        if not all(math.isfinite(share) and share > 0 for share in shares):
            raise UsageError(f"shares {', '.join(f'{share:g}' for share in shares)}", "give numbers above 0")
    return shares


def _usable(record: Record) -> bool:
    analysis = record.analysis
    return (
        analysis.key is not None
        and analysis.beats is not None
        and analysis.downbeats is not None
        and len(analysis.downbeats) >= 3
        and len(analysis.beats) >= 16
    )


def _required(times: Times | None) -> Times:
    assert times is not None  # noqa: S101 — only usable records get here
    return times


def sounds(clips: Clips, clip: int, first: int, count: int) -> bool:
    """Return whether a clip's vocal sounds on enough of the ``count`` beats from beat ``first`` on."""
    store, own = clips.place(clip)
    spectrum = store.stem(own, Role.VOCAL).spectrum
    times = clips.beats[clip][first : first + count]
    frames = np.minimum((times * WIDE.frame_rate + 2).astype(np.int64), len(spectrum) - 1)
    # A beat counts if some band is less than 40 dB below the stem's loud frames.
    return bool((spectrum[frames].max(axis=1) > 128).mean() >= QUIET_SHARE)


# ------------------------------------------------------------------------------------------------------------ draws
@attrs.frozen
class _Stem:
    """A stem that was drawn, before it is placed: its clip, transposition, delay, and the beats that it has room for.

    The delay is in seconds; None if the stem's beats lie on the vocal's.
    """

    clip: int
    semitones: int
    late: float | None
    beats: int


@attrs.frozen
class _Draft:
    """What is drawn for an example before the length of its group's excerpt is known."""

    kind: str
    speed: float
    shift: int
    backing: Mapping[Role, _Stem] = attrs.field(factory=dict)


class Drawer:
    """Draws examples around vocals.

    Parameters
    ----------
    clips : Clips
    protocol : {"controlled", "paper"}
    beats : tuple of int
        Range of an example's length in beats. It is shorter where a clip of one of its layers has no room for it.
    edge : float
        Seconds at both ends of each clip that no layer plays, for a network whose beats are moved after the draw.

    Raises
    ------
    UsageError
        If there are fewer than two songs.
    """

    def __init__(self, clips: Clips, protocol: Protocol, beats: tuple[int, int], edge: float = 0.0) -> None:
        if not len(clips):
            raise UsageError(
                f"no store has two songs with key and beats ({clips.part}): mashups need two or more",
                "add songs, or other data",
            )
        self.clips = clips
        self.protocol = protocol
        self.beats = beats
        self.edge = edge
        self._ends = [record.duration - edge for record in clips.records]

    def group(
        self, number: int, kinds: Sequence[str], random: Random, vocal: int | None = None, *, twins: bool = False
    ) -> Iterator[Example]:
        """Yield an example of each of ``kinds``; all have the same excerpt of the same vocal.

        The excerpt is so short that all layers of all kinds sound from its start to its end. A layer that leaves its
        clip is silent there, and a network would learn which kinds have such silence, and not which layers fit.

        A kind is left out if no other clip fits it. If the metre of the vocal's clip is doubtful, it has no kinds that
        need other clips (docs/paper.md, row 16). A vocal that was asked for gives nothing if its clip has no room for
        8 beats.

        Parameters
        ----------
        number : int
            Number of the group.
        kinds : sequence of str
        random : numpy.random.Generator
        vocal : int, optional
            Index of the vocal's clip; by default it is drawn.
        twins : bool
            True if the caller makes twins of the original itself: then the clip has room for them too.

        Raises
        ------
        UsageError
            If no vocal was asked for, and none sounds for 8 beats.
        """
        found = self._drafted(kinds, random, vocal, twins=twins or not set(TWINS).isdisjoint(kinds))
        if found is None:
            return
        clip, first, count, drafts = found
        beats = self.clips.beats[clip][first : first + count + 1]
        downs = self.clips.beats[clip][self.clips.downbeats[clip]]
        downs = downs[(downs >= beats[0]) & (downs <= beats[-1])]
        for draft in drafts:
            grid = (beats - beats[0]) / draft.speed
            sung = Layer(clip, draft.shift, grid[[0, -1]], beats[[0, -1]])
            layers, wrong = self._made(draft, sung, grid, random)
            made = {Role.VOCAL: sung, **layers}
            yield Example(draft.kind, number, grid, (downs - beats[0]) / draft.speed, made, wrong)

    def _drafted(
        self, kinds: Sequence[str], random: Random, vocal: int | None, *, twins: bool
    ) -> tuple[int, int, int, list[_Draft]] | None:
        """Return a clip, the beat on which its excerpt begins, its length in beats, and drafts that have room for it.

        A vocal that was asked for may be silent, if it sounds nowhere; None if its clip is too short.
        """
        for attempt in range(_TRIES):
            silent = vocal is not None and attempt == _TRIES - 1
            clip, first, count = self._excerpt(random, vocal, twins=twins)
            if count < LEAST_BEATS or not (silent or sounds(self.clips, clip, first, count)):
                continue
            beats = self.clips.beats[clip][first : first + count + 1]
            drafts = [draft for kind in kinds if (draft := self._draft(kind, clip, beats, random)) is not None]
            fewest = min([count, *(stem.beats for draft in drafts for stem in draft.backing.values())])
            if silent or fewest == count or sounds(self.clips, clip, first, fewest):
                return clip, first, fewest, drafts
        if vocal is None:
            raise UsageError("no clip has 8 beats in which its vocal sounds", "give clips with a vocal")
        return None

    def _excerpt(self, random: Random, vocal: int | None, *, twins: bool) -> tuple[int, int, int]:
        """Return a clip, the beat index of one of its downbeats, and the number of beats from this downbeat on.

        With ``twins``, a stem may be a beat late, or faster: then the clip goes on before and after the excerpt.
        """
        clip = self.clips.draw(random) if vocal is None else vocal
        wanted = int(random.integers(self.beats[0], self.beats[1] + 1))
        beats, fastest = self.clips.beats[clip], 1 + OFF_TEMPO_PERCENT[1] / 100 if twins else 1.0
        downs = self._downs(clip, float(np.diff(beats).max()) if twins else 0.0)
        ends = beats[downs] + (self._ends[clip] - beats[downs]) / fastest
        rooms = np.searchsorted(beats, ends, side="right") - 1 - downs
        if not len(rooms):
            return clip, 0, 0
        count = min(wanted, int(rooms.max()))
        starts = downs[rooms >= count]
        return clip, int(starts[random.integers(len(starts))]), count

    def _downs(self, clip: int, before: float = 0.0) -> npt.NDArray[np.intp]:
        """Return the beat indices of a clip's downbeats that have so many seconds of the clip before them."""
        downs = self.clips.downbeats[clip]
        found: npt.NDArray[np.intp] = downs[self.clips.beats[clip][downs] >= self.edge + before]
        return found

    def _draft(self, kind: str, clip: int, beats: Times, random: Random) -> _Draft | None:
        """Return what is drawn for an example of a vocal's ``beats``; None if no clip fits."""
        speed, shift = 1.0, 0
        if self.protocol == "controlled":
            speed, shift = float(random.uniform(*SPEEDS)), int(random.integers(*SHIFTS))
        draft = _Draft(kind, speed, shift)
        if kind == Condition.ORIGINAL or kind in TWINS:
            return draft
        backing = self._backing(Condition(kind), clip, (beats - beats[0]) / speed, shift, speed, random)
        return None if backing is None else attrs.evolve(draft, backing=backing)

    def _backing(
        self, condition: Condition, clip: int, grid: Times, shift: int, speed: float, random: Random
    ) -> dict[Role, _Stem] | None:
        """Return stems of other songs, matched to the vocal or unmatched as the condition requires."""
        pool = self.clips.pool_of(clip)
        index, vocal = index_of(pool.table, RULES), clip - pool.rows.start
        if not index.is_eligible(vocal, condition):
            return None
        late = delays(random) if condition in TEMPO_FREE else None
        found = {}
        for role in BACKING:
            candidates = index.candidates(vocal, role, condition)
            if not len(candidates):
                return None
            # The excerpt begins with the vocal. If the vocal is late, the others are early.
            own_late = None if late is None else late[role] - late[Role.VOCAL]
            row, beats = -1, -1
            for _ in range(_REDRAWN):
                drawn = candidates.row(int(random.integers(len(candidates))))
                room = self._room(pool.rows[drawn], own_late, grid, speed)
                if room > beats:
                    row, beats = drawn, room
                if beats >= ROOM * (len(grid) - 1):
                    break
            if beats < LEAST_BEATS:
                return None
            own_shift = 0 if role is Role.PERCUSSION else shift
            if role is Role.HARMONIC and condition not in KEY_FREE:
                own_shift += round(index.shift(vocal, row))
            found[role] = _Stem(pool.rows[row], own_shift, own_late, beats)
        return found

    def _room(self, clip: int, late: float | None, grid: Times, speed: float) -> int:
        """Return how many beats of a grid a stem can sound on: at the grid's beats, or so late and in its own tempo."""
        beats = self.clips.beats[clip]
        downs = self._downs(clip, max(late or 0.0, 0.0) * speed)
        if not len(downs):
            return 0
        if late is None:
            return int(np.searchsorted(beats, self._ends[clip], side="right")) - 1 - int(downs[0])
        seconds = (self._ends[clip] - beats[downs[0]]) / speed + late
        return int(np.searchsorted(grid, seconds, side="right")) - 1

    def _made(
        self, draft: _Draft, sung: Layer, grid: Times, random: Random
    ) -> tuple[dict[Role, Layer], frozenset[Role]]:
        """Return the layers of an example beside its vocal, and which of them do not fit."""
        own, kind = {Role.HARMONIC: sung, Role.PERCUSSION: sung}, draft.kind
        if kind == Condition.ORIGINAL:
            return own, frozenset()
        if kind == HARMONIC:
            steps = int(random.choice((-6, -4, -3, -2, -1, -1, -1, 1, 1, 1, 2, 3, 4)))
            off = attrs.evolve(sung, semitones=draft.shift + steps)
            return own | {Role.HARMONIC: off}, frozenset({Role.HARMONIC})
        if kind == LATE:
            beat = float(np.median(np.diff(grid)))
            late = float(random.choice((0.25, 0.25, 0.5, 0.5, 0.75, 1.0, 1.0, random.uniform(*OFF_BEAT)))) * beat
            return own | {Role.PERCUSSION: sung.moved(late)}, frozenset({Role.PERCUSSION})
        if kind == FAST:
            return own | {Role.PERCUSSION: sung.faster(off_tempo(random))}, frozenset({Role.PERCUSSION})
        layers = {role: self._placed(stem, grid, draft.speed, random) for role, stem in draft.backing.items()}
        if kind in TEMPO_FREE:
            return layers, frozenset(BACKING)
        return layers, frozenset({Role.HARMONIC} if kind in KEY_FREE else ())

    def _placed(self, stem: _Stem, grid: Times, speed: float, random: Random) -> Layer:
        """Return a layer that starts at one of the clip's downbeats: its beats on the grid's, or in its own tempo."""
        beats, end, length = self.clips.beats[stem.clip], self._ends[stem.clip], float(grid[-1])
        if stem.late is None:
            downs, count = self._downs(stem.clip), len(grid)
            downs = downs[downs + count <= np.searchsorted(beats, end, side="right")]
            first = int(downs[random.integers(len(downs))])
            return Layer(stem.clip, stem.semitones, grid, beats[first : first + count])
        downs = self._downs(stem.clip, max(stem.late, 0.0) * speed)
        downs = downs[(end - beats[downs]) / speed + stem.late >= length]
        start = beats[downs[random.integers(len(downs))]]
        played = Layer(stem.clip, stem.semitones, np.array([0.0, length]), np.array([start, start + length * speed]))
        return played.moved(stem.late)


def off_tempo(random: Random) -> float:
    """Return the speed of a layer that is out of tempo, relative to the other layers."""
    percent = float(random.uniform(*OFF_TEMPO_PERCENT)) * float(random.choice((-1, 1)))
    return 1 + percent / 100


def fingerprint(stores: Sequence[Store], **settings: Any) -> str:
    """Return hex digits that depend on some stores, and on the settings and the rules that draw examples from them."""
    made = [[store.fingerprint for store in stores], settings, RULES_VERSION]
    text = json.dumps(made, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
