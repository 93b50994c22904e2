"""Whether two files hold the same recording: a coarse print that encoding, gain and 1 % of speed hardly change.

Ten times a second, the levels of 21 bands are compared with each other and with those of 0.2 s before: what remains is
where in the spectrum the sound grows and where it fades, whatever its level and its tone controls (after Haitsma and
Kalker, "A Highly Robust Audio Fingerprinting System", ISMIR 2002, who keep the signs of such differences; here they are
kept in four bits, because signs alone tell a recording at another speed less well from others). Bands are 2.6 semitones
wide, so a per cent of speed (0.17 semitones) moves little from one to the next.

Two prints are compared in pieces of 5 s, each of which must be found in the other where one line in time says. A
recording is the same if four fifths of its pieces are: so an instrumental stays a song of its own as soon as the voice
is heard in more than a fifth of it. Where a few chords go round, a piece is as much like another song of these as like
its own next round: so most pieces must also be more like the place where they lie than any other.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from mashkit.audio.files import resample
from mashkit.types import Audio, Samples

VERSION = 1
"""Counts up whenever prints come out differently: those of before are then made anew."""
RATE = 8_000
"""Rate at which sound is looked at, Hz: the lowest that people have."""
WINDOW = 4_096
"""Frames of :data:`RATE` that a spectrum is of: 0.5 s, long beside half a step, by which two prints may be apart."""
HOP = 800
STEPS_A_SECOND = RATE / HOP
BANDS = 21
LOWEST_HZ, HIGHEST_HZ = 150.0, 3_400.0
"""Below, small loudspeakers and phones leave out; above, recordings of 8 kHz have nothing (ours)."""
BACK = 2
"""Steps between the spectra that are compared."""
VALUES = BANDS - 1
FINEST = 7
"""Values go from −7 to 7: four bits."""
WIDEST = 3.0
"""What ±7 stands for, in medians of a print's absolute differences."""
STEADY = 0.1
"""That median is taken to be at least so much, nepers: in a steady tone there is nothing to be told (music: 0.3–1)."""
QUIET = 1e-4
"""Power beside a recording's loud parts (their 95th percentile) below which a step is silent: −40 dB (ours)."""
FLOOR = 1e-6
"""The same for a band: −60 dB is added to each, so that what a codec does to silence is not seen."""
CANCELLED = 0.1
"""A mono sum below this share of a channel is one of channels that cancel out: the loudest channel is taken."""

PIECE = 50
"""Steps of a piece that is compared as one: 5 s."""
MOST_PIECES = 64
"""Pieces of a recording that are compared, spread evenly over it."""
UNHEARD = -2.0
"""Stands for the correlation where there is nothing to compare."""
FEWEST_PIECES = 2
"""Pieces that must have sound in both, for anything to be said."""
SAME = 0.75
"""Correlation that four fifths of the pieces must reach: measured in ``benchmarks/duplicates.py``."""
TOLERATED = 0.2
"""Share of pieces that may be different: a fade, a clipped or a noisy passage."""
CLEARER = 0.05
"""By how much a piece must correlate better where it lies than elsewhere, to tell a recording from another one of the
same few chords (``benchmarks/duplicates.py``)."""
IDENTICAL = 0.97
"""Correlation from which on a piece tells without that, and one that comes again in its own recording, as a sampler's
loops do, says nothing against: two takes of one loop reach 0.955."""
TELLING = 0.4
"""Share of the pieces that must tell: of copies 0.8 and more do, 0.56 at the least where a whole song of loops is also
half a step late; of other takes of the same chords up to 0.3 (ours)."""
ELSEWHERE = 10
"""Steps from which on a place is another one: 1 s."""
COVERED = 0.5
"""Share of the shorter recording's pieces that must lie inside the longer."""
FASTEST = 0.02
"""Speeds are looked for up to 2 % apart: records and tapes are about one."""
COARSE = 0.0025
"""Step of the speeds that are tried first."""

WORD_BITS = 16
WORD_EVERY = 2
"""Steps from one word that is indexed to the next: of a song that is looked up, every step has its word."""
BUCKET = 32
"""Steps that offsets of equal words may differ by and still speak for one alignment."""
VOTING = 0.04
"""Share of the shorter recording's words that must speak for one alignment: of the same recording 15 % and more do,
clipped or a per cent faster; of songs that only share a soundfont, up to 5 % (``benchmarks/duplicates.py``)."""
MOST_CANDIDATES = 8
BLOCK = 4_096
"""Steps that are looked up at once: 7 minutes."""
COMMON = 16
"""A word so many times as frequent as the mean says little, and is passed over."""


def _bank() -> npt.NDArray[np.float32]:
    """Return the weights of triangular bands, evenly spaced in pitch, shape (bins, bands)."""
    edges = np.linspace(np.log(LOWEST_HZ), np.log(HIGHEST_HZ), BANDS + 2)
    bins = np.log(np.maximum(np.arange(WINDOW // 2 + 1) * RATE / WINDOW, 1e-9))[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)


@attrs.frozen(eq=False)
class Soundprint:
    """What a recording sounds like, step by step.

    Parameters
    ----------
    values : array of int8, shape (steps, 20), −7…7
        How much more each band grew than the next one; all 0 in a step that is silent. Ten steps a second.
    """

    values: npt.NDArray[np.int8]

    @property
    def words(self) -> npt.NDArray[np.uint16]:
        """Signs of the first 16 values of every step, as one number; shape (steps,)."""
        weights = 1 << np.arange(WORD_BITS)
        return ((self.values[:, :WORD_BITS] > 0) @ weights).astype(np.uint16)

    @property
    def sounding(self) -> npt.NDArray[np.bool_]:
        """Whether there is sound in a step; shape (steps,)."""
        found: npt.NDArray[np.bool_] = (self.values != 0).any(axis=1)
        return found

    def to_bytes(self) -> bytes:
        """Return the print as bytes: a version, then two values a byte."""
        pairs = (self.values + 8).astype(np.uint8).reshape(-1, 2)
        return struct.pack("<B", VERSION) + (pairs[:, 0] | (pairs[:, 1] << 4)).astype(np.uint8).tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Soundprint | None:
        """Return what :meth:`to_bytes` gave; None if it is of another version."""
        if not data or data[0] != VERSION:
            return None
        packed = np.frombuffer(data, np.uint8, offset=1)
        pairs = np.stack([packed & 15, packed >> 4], axis=1).astype(np.int8) - 8
        return cls(pairs.reshape(-1, VALUES).astype(np.int8))


def soundprint(audio: Audio) -> Soundprint:
    """Return the print of a recording: some 0.1 s of work a minute; empty where there is less than 0.7 s of sound."""
    import scipy.fft  # here: few commands need it

    mono = resample(Audio(_mono(audio)[None], audio.sample_rate), RATE).samples[0]
    count = (len(mono) - WINDOW) // HOP + 1
    if count <= BACK:
        return Soundprint(np.zeros((0, VALUES), np.int8))
    windows = np.lib.stride_tricks.sliding_window_view(mono, WINDOW)[::HOP]
    taper, bank = np.hanning(WINDOW).astype(np.float32), _bank()
    power = np.empty((count, BANDS), np.float32)
    for first in range(0, count, 256):  # in parts, because all spectra of an hour are a gigabyte
        spectra = scipy.fft.rfft(windows[first : first + 256] * taper, axis=1)
        power[first : first + 256] = (spectra.real**2 + spectra.imag**2) @ bank
    loudest = power.max(axis=1)
    loud = float(np.percentile(loudest, 95))
    if loud <= 0:
        loud = float(loudest.max())  # sound in less than a twentieth of it
    if loud <= 0:
        return Soundprint(np.zeros((0, VALUES), np.int8))
    levels = np.log(power / loud + FLOOR)
    shape = np.diff(levels, axis=1)
    growth = shape[BACK:] - shape[:-BACK]
    sounding = loudest[BACK:] > QUIET * loud
    usual = max(STEADY, float(np.median(np.abs(growth[sounding])))) if sounding.any() else STEADY
    values = np.rint(np.clip(growth / (usual * WIDEST), -1, 1) * FINEST).astype(np.int8)
    values[~sounding] = 0
    return Soundprint(values)


def _mono(audio: Audio) -> Samples:
    """Return the mean of the channels; the loudest one where they cancel out."""
    channels: list[Samples] = list(audio.samples)
    if len(channels) == 1:
        return channels[0]
    mean: Samples = audio.samples.mean(axis=0, dtype=np.float32)
    powers = [float(np.mean(np.square(channel, dtype=np.float32))) for channel in channels]
    if float(np.mean(np.square(mean))) < CANCELLED**2 * max(powers):
        return channels[int(np.argmax(powers))]
    return mean


# ------------------------------------------------------------------------------------------------------- comparing
@attrs.frozen
class Likeness:
    """How alike two recordings are, where they fit best.

    Parameters
    ----------
    agreement : float
        Correlation, −1…1, that four fifths of the compared pieces reach.
    telling : float
        Share, 0…1, of pieces that are more alike where they lie than elsewhere: of songs of the same few chords, none.
    of_first, of_second : float
        Share, 0…1, of each recording's length that lies inside the other.
    start_s : float
        Where in the second the first begins, seconds; negative if before.
    speed : float
        Seconds of the second that a second of the first takes.
    """

    agreement: float
    telling: float
    of_first: float
    of_second: float
    start_s: float
    speed: float

    @property
    def same(self) -> bool:
        """Whether they are the same recording, or one is a part of the other."""
        return self.agreement >= SAME and self.telling >= TELLING

    def reversed(self) -> Likeness:
        """Return the same with first and second exchanged."""
        return Likeness(
            self.agreement, self.telling, self.of_second, self.of_first, -self.start_s / self.speed, 1 / self.speed
        )


def likeness(first: Soundprint, second: Soundprint) -> Likeness | None:
    """Return how alike two recordings are; None where either has too little sound to tell, or nothing fits."""
    if len(first.values) > len(second.values):
        turned = likeness(second, first)
        return None if turned is None else turned.reversed()
    found = _pieces(first)
    if found is None:
        return None
    starts, pieces = found
    table = _correlations(pieces, second)
    placed = _best_line(starts, table, len(first.values))
    if placed is None:
        return None
    offset, speed, agreements = placed
    steps = len(first.values)
    covered = min(offset + steps * speed, len(second.values)) - max(offset, 0.0)
    return Likeness(
        agreement=float(np.sort(agreements)[int(TOLERATED * len(agreements))]),
        telling=_telling(starts, pieces, table, offset, speed, first),
        of_first=min(1.0, covered / (steps * speed)),
        of_second=min(1.0, covered / len(second.values)),
        start_s=offset / STEPS_A_SECOND,
        speed=speed,
    )


def _pieces(print_: Soundprint) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]] | None:
    """Return where pieces that sound begin, and the pieces, each a row; None where there are too few."""
    steps = len(print_.values)
    if steps < PIECE * FEWEST_PIECES:
        return None
    count = min(-(-steps // PIECE), MOST_PIECES)
    starts = np.linspace(0, steps - PIECE, count).round().astype(np.int64)
    sounding = print_.sounding
    starts = starts[[bool(sounding[start : start + PIECE].mean() > 0.5) for start in starts]]
    if len(starts) < FEWEST_PIECES:
        return None
    rows = np.stack([print_.values[start : start + PIECE].ravel() for start in starts]).astype(np.float32)
    return starts, rows


def _correlations(pieces: npt.NDArray[np.float32], other: Soundprint) -> npt.NDArray[np.float32]:
    """Return the correlation of each piece with the other print from each of its steps on, shape (pieces, steps).

    It is taken over the steps that sound in both, because where one is padded the other may go on; :data:`UNHEARD`
    where that is less than half of the piece.
    """
    values = np.ascontiguousarray(other.values, np.float32)
    count = len(values) - PIECE + 1
    windows = np.lib.stride_tricks.sliding_window_view(values.ravel(), PIECE * VALUES)[::VALUES]
    table = np.empty((len(pieces), count), np.float32)
    for first in range(0, count, 2048):  # in parts: the product copies its windows
        table[:, first : first + 2048] = pieces @ np.ascontiguousarray(windows[first : first + 2048]).T
    own = np.square(pieces).reshape(len(pieces), PIECE, VALUES).sum(axis=2)
    theirs = np.lib.stride_tricks.sliding_window_view(np.square(values).sum(axis=1), PIECE)
    sounds, sound = (own > 0).astype(np.float32), (theirs > 0).astype(np.float32)
    table /= np.sqrt(np.maximum((sounds @ theirs.T) * (own @ sound.T), 1))
    table[sounds @ sound.T < PIECE / 2] = UNHEARD
    return table


def _best_line(
    starts: npt.NDArray[np.int64], table: npt.NDArray[np.float32], steps: int
) -> tuple[float, float, npt.NDArray[np.float32]] | None:
    """Return offset (steps), speed and the pieces' correlations on the line in time where their mean is highest."""
    count = table.shape[1]
    # Coarse: every speed, offsets so far apart that a dilated table still has what lies between.
    reach = int(np.ceil(COARSE / 2 * steps)) + 1
    speeds = 1 + np.arange(-FASTEST, FASTEST + COARSE / 2, COARSE)
    found = _lines(starts, _dilated(table, reach), speeds, np.arange(-steps, count, reach), count)
    if found is None:
        return None
    # Fine: around the best, to a step. Lines that a dilated table does not tell apart turn by so much.
    offset, speed, _ = found
    turn = COARSE + 2 * (reach + 1) / steps
    speeds = speed + np.arange(-turn, turn, 1 / steps)
    near = np.arange(int(offset) - 4 * reach, int(offset) + 4 * reach + 1)
    found = _lines(starts, _dilated(table, 1), speeds, near, count)
    return None if found is None else (*_fitted(starts, table, *found[:2]), found[2])


def _fitted(
    starts: npt.NDArray[np.int64], table: npt.NDArray[np.float32], offset: float, speed: float
) -> tuple[float, float]:
    """Return offset and speed of the line through the pieces' own best steps, each at most one step off the line given.

    A dilated table has the same mean on many lines, so that the first of them, the slowest, is not the likeliest.
    """
    around = np.rint(starts * speed).astype(np.int64)[:, None] + int(offset) + np.arange(-1, 2)
    inside = (around >= 0) & (around < table.shape[1])
    found = np.where(inside, np.take_along_axis(table, np.clip(around, 0, table.shape[1] - 1), axis=1), UNHEARD)
    heard = found.max(axis=1) > UNHEARD
    steps = around[np.arange(len(starts)), found.argmax(axis=1)][heard]
    if heard.sum() < FEWEST_PIECES:
        return offset, speed
    slope, begin = np.polyfit(starts[heard], steps, 1)
    return float(begin), float(slope)


def _telling(
    starts: npt.NDArray[np.int64],
    pieces: npt.NDArray[np.float32],
    table: npt.NDArray[np.float32],
    offset: float,
    speed: float,
    first: Soundprint,
) -> float:
    """Return the share of pieces that tell this recording from others of the same chords, on the line given."""
    here, elsewhere = _here_and_elsewhere(table, np.rint(starts * speed + offset))
    heard = here > UNHEARD
    if not heard.any():
        return 0.0
    tells = (here >= elsewhere + CLEARER) | (here >= IDENTICAL)
    if tells[heard].mean() < TELLING:  # it is seldom asked whether that is so because a loop repeats exactly
        tells |= _here_and_elsewhere(_correlations(pieces, first), starts)[1] >= IDENTICAL
    return float(tells[heard].mean())


def _here_and_elsewhere(
    table: npt.NDArray[np.float32], places: npt.NDArray[Any]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return of each piece the highest correlation at its place, and that at all others."""
    away = np.abs(np.arange(table.shape[1]) - places[:, None])
    here = np.where(away <= 1, table, UNHEARD).max(axis=1)
    return here, np.where(away >= ELSEWHERE, table, UNHEARD).max(axis=1)


def _dilated(table: npt.NDArray[np.float32], reach: int) -> npt.NDArray[np.float32]:
    import scipy.ndimage

    dilated: npt.NDArray[np.float32] = scipy.ndimage.maximum_filter1d(table, 2 * reach + 1, axis=1, mode="nearest")
    return dilated


def _lines(
    starts: npt.NDArray[np.int64],
    table: npt.NDArray[np.float32],
    speeds: npt.NDArray[np.float64],
    offsets: npt.NDArray[np.int64],
    count: int,
) -> tuple[float, float, npt.NDArray[np.float32]] | None:
    """Try each speed at each offset; None if at none enough pieces lie inside."""
    rows = np.arange(len(starts))[:, None]
    least = max(COVERED * len(starts), FEWEST_PIECES)
    best, line = -1.0, None
    for speed in speeds:
        at = np.rint(starts * speed).astype(np.int64)[:, None] + offsets
        found = table[rows, np.clip(at, 0, count - 1)]
        inside = (at >= 0) & (at < count) & (found > UNHEARD)
        numbers = inside.sum(axis=0)
        means = np.where(numbers >= least, np.where(inside, found, 0).sum(axis=0) / np.maximum(numbers, 1), -1)
        column = int(np.argmax(means))
        if means[column] > best:
            best = float(means[column])
            line = float(offsets[column]), float(speed), found[inside[:, column], column]
    return line


# ------------------------------------------------------------------------------------------------------- looking up
class Shelf:
    """Words of many recordings, to find the few that one may be the same as: prints are compared with those alone.

    Parameters
    ----------
    words : sequence of arrays of uint16
        Of each recording: :func:`shelved`.
    """

    def __init__(self, words: Sequence[npt.NDArray[np.uint16]]) -> None:
        lengths = np.array([len(one) for one in words], np.int64)
        self._lengths = lengths
        self._firsts = np.concatenate([[0], np.cumsum(lengths)])
        every = np.concatenate([*words, np.zeros(0, np.uint16)])
        self._order = np.argsort(every, kind="stable").astype(np.uint32)
        counts = np.bincount(every, minlength=1 << WORD_BITS)
        self._begins = np.concatenate([[0], np.cumsum(counts)])[:-1]
        counts[0] = 0  # silence
        self._counts = np.where(counts > max(COMMON, COMMON * counts.mean()), 0, counts)

    def candidates(self, print_: Soundprint) -> list[int]:
        """Return the numbers of recordings that share words with this one in the same order, the likeliest first.

        At most :data:`MOST_CANDIDATES`; among equals the first.
        """
        words = print_.words
        shares = np.zeros(len(self._lengths))
        # Of an hour all equal words at once would not fit: it is asked for in parts, and a song may lie in two of them.
        for first in range(0, len(words), BLOCK):
            block = words[max(0, min(first, len(words) - BLOCK)) :][:BLOCK]
            shorter = np.minimum(self._lengths, len(block) / WORD_EVERY)
            shares = np.maximum(shares, self._votes(block) / np.maximum(shorter, 1))
        likely = np.flatnonzero(shares > VOTING)
        return [int(one) for one in likely[np.argsort(-shares[likely], kind="stable")][:MOST_CANDIDATES]]

    def _votes(self, words: npt.NDArray[np.uint16]) -> npt.NDArray[np.int64]:
        """Return of each recording how many of its words speak for the best alignment."""
        best = np.zeros(len(self._lengths), np.int64)
        counts = self._counts[words]
        total = int(counts.sum())
        if not total:
            return best
        asked = np.repeat(np.arange(len(words)), counts)
        inside = np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)
        at = self._order[np.repeat(self._begins[words], counts) + inside].astype(np.int64)
        which = np.searchsorted(self._firsts, at, side="right") - 1
        offsets = (at - self._firsts[which]) * WORD_EVERY - asked + len(words)
        span = int(offsets.max()) // BUCKET + 2
        places, votes = np.unique(which * span + offsets // BUCKET, return_counts=True)
        # An alignment may lie across two buckets.
        following = np.zeros_like(votes)
        following[:-1][np.diff(places) == 1] = votes[1:][np.diff(places) == 1]
        np.maximum.at(best, places // span, votes + following)
        return best


def shelved(print_: Soundprint) -> npt.NDArray[np.uint16]:
    """Return the words of a recording that a :class:`Shelf` keeps."""
    return print_.words[::WORD_EVERY]
