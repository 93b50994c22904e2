"""Decide whether two files hold one recording, by coarse prints that encoding, gain and 1 % of speed hardly change.

A print describes, ten times a second, in which parts of the spectrum the sound grows and in which it fades. For this,
the levels of 21 bands are compared with the levels of the neighbouring bands and with the levels 0.2 s before, so that
the level of the recording and its tone controls have no effect. The method follows Haitsma and Kalker, "A Highly Robust
Audio Fingerprinting System", ISMIR 2002. They store the signs of such differences. Here a difference has four bits,
because signs alone separate a recording at another speed less well from other recordings. Bands are 2.6 semitones wide,
so that one per cent of speed (0.17 semitones) moves little sound from a band to the next.

Two prints are compared in pieces of 5 s. All pieces must lie on one line: their times in the second recording are a
linear function of their times in the first. The recordings are the same if four fifths of the pieces match. So an
instrumental is a song of its own if the voice sounds in more than a fifth of the song. If a song repeats a few chords,
a piece is as similar to another song with these chords as to the next repetition in its own song. So most pieces must
also be more similar to the place on the line than to any other place.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from mashkit.audio.files import resample
from mashkit.audio.levels import one_signal
from mashkit.types import Audio

VERSION = 1
"""Version of the prints. It is raised if the computation changes; prints of other versions are then made again."""
RATE = 8_000
"""Sample rate at which prints are computed, Hz: the lowest rate of common recordings."""
WINDOW = 4_096
"""Frames of a spectrum at :data:`RATE`: 0.5 s, which is long compared with half a step, the largest offset between the
steps of two prints."""
HOP = 800
STEPS_A_SECOND = RATE / HOP
BANDS = 21
LOWEST_HZ, HIGHEST_HZ = 150.0, 3_400.0
"""Range of the bands: small loudspeakers and phones remove lower sound, and recordings at 8 kHz have no higher sound
(ours)."""
BACK = 2
"""Steps between the spectra that are compared."""
VALUES = BANDS - 1
FINEST = 7
"""Largest absolute value: −7 to 7 need four bits."""
WIDEST = 3.0
"""The difference that becomes ±7, as a multiple of the median of the print's absolute differences."""
STEADY = 0.1
"""Least value that is used for that median, nepers, because the differences of a steady tone contain no information
(music: 0.3–1)."""
QUIET = 1e-4
"""A step is silent if its power is less than this share of the 95th percentile of the recording: −40 dB (ours)."""
FLOOR = 1e-6
"""Power that is added to each band, as a share of the same percentile: −60 dB. It hides how a codec changes silence."""
PIECE = 50
"""Steps of a piece: 5 s. A piece is compared as a whole."""
MOST_PIECES = 64
"""Largest number of pieces of a recording; they are spread evenly over it."""
UNHEARD = -2.0
"""Value in place of a correlation that cannot be computed, because too few steps sound."""
FEWEST_PIECES = 2
"""Least number of pieces with sound in both recordings; with fewer pieces there is no result."""
SAME = 0.75
"""Correlation that four fifths of the pieces must reach: measured in ``benchmarks/duplicates.py``."""
TOLERATED = 0.2
"""Share of pieces that may differ, because of a fade, or a clipped or noisy passage."""
CLEARER = 0.05
"""A piece distinguishes this recording from another one with the same few chords if its correlation at its own place is
this much higher than at all other places (``benchmarks/duplicates.py``)."""
IDENTICAL = 0.97
"""With this correlation or more, a piece distinguishes the recordings even if other places are as similar; and a piece
that is repeated with this correlation in its own recording, as a sampler's loops are, counts as distinguishing, too.
Two takes of one loop reach 0.955."""
TELLING = 0.4
"""Least share of distinguishing pieces. Copies have 0.8 and more, or at least 0.56 if a song of loops is also half a
step late; other takes of the same chords have up to 0.3 (ours)."""
ELSEWHERE = 10
"""Least distance, in steps, of another place: 1 s."""
COVERED = 0.5
"""Least share of the shorter recording's pieces that must lie inside the longer recording."""
FASTEST = 0.02
"""Largest difference of speed that is tried, 2 %; records and tapes differ by about 1 %."""
COARSE = 0.0025
"""Step between the speeds of the coarse search."""

WORD_BITS = 16
WORD_EVERY = 2
"""Steps between the words that are indexed. Of a song that is looked up, the words of all steps are used."""
BUCKET = 32
"""Offsets of equal words support the same alignment if they lie in one bucket of this many steps, or in two adjacent
ones."""
VOTING = 0.04
"""Least share of the shorter recording's words that must support one alignment. A copy that is clipped or one per cent
faster has 15 % and more; songs that only share a soundfont have up to 5 % (``benchmarks/duplicates.py``)."""
MOST_CANDIDATES = 8
BLOCK = 4_096
"""Number of steps that are looked up at a time: 7 minutes."""
COMMON = 16
"""A word that is this many times as frequent as the mean is ignored, because it occurs in too many recordings."""


def _bank() -> npt.NDArray[np.float32]:
    """Return the weights of triangular bands, evenly spaced in pitch, shape (bins, bands)."""
    edges = np.linspace(np.log(LOWEST_HZ), np.log(HIGHEST_HZ), BANDS + 2)
    bins = np.log(np.maximum(np.arange(WINDOW // 2 + 1) * RATE / WINDOW, 1e-9))[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)


@attrs.frozen(eq=False)
class Soundprint:
    """The print of a recording.

    Parameters
    ----------
    values : array of int8, shape (steps, 20), −7…7
        By how much more each band grew than the band below it; 0 for all in a silent step. Ten steps a second.
    """

    values: npt.NDArray[np.int8]

    @property
    def words(self) -> npt.NDArray[np.uint16]:
        """Signs of the first 16 values of every step, as one number; shape (steps,)."""
        weights = 1 << np.arange(WORD_BITS)
        return ((self.values[:, :WORD_BITS] > 0) @ weights).astype(np.uint16)

    @property
    def sounding(self) -> npt.NDArray[np.bool_]:
        """For each step, whether it has sound; shape (steps,)."""
        found: npt.NDArray[np.bool_] = (self.values != 0).any(axis=1)
        return found

    def to_bytes(self) -> bytes:
        """Return the print as bytes: a version, then two values a byte."""
        pairs = (self.values + 8).astype(np.uint8).reshape(-1, 2)
        return struct.pack("<B", VERSION) + (pairs[:, 0] | (pairs[:, 1] << 4)).astype(np.uint8).tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Soundprint | None:
        """Return the print that :meth:`to_bytes` packed; None if it has another version."""
        if not data or data[0] != VERSION:
            return None
        packed = np.frombuffer(data, np.uint8, offset=1)
        pairs = np.stack([packed & 15, packed >> 4], axis=1).astype(np.int8) - 8
        return cls(pairs.reshape(-1, VALUES).astype(np.int8))


def soundprint(audio: Audio) -> Soundprint:
    """Return the print of a recording; it is empty if there is less than 0.7 s of sound. A minute takes about 0.1 s."""
    import scipy.fft  # here: few commands need it

    mono = resample(Audio(one_signal(audio)[None], audio.sample_rate), RATE).samples[0]
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
        loud = float(loudest.max())  # less than a twentieth of the recording has sound
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


# ------------------------------------------------------------------------------------------------------- comparing
@attrs.frozen
class Likeness:
    """The similarity of two recordings at their best alignment.

    Parameters
    ----------
    agreement : float
        Correlation, −1…1, that four fifths of the compared pieces reach.
    telling : float
        Share, 0…1, of pieces that are more similar at their own place than elsewhere; 0 for different songs with the
        same few chords.
    of_first, of_second : float
        Share, 0…1, of each recording's length that lies inside the other.
    start_s : float
        Time in the second recording at which the first begins, seconds; negative if it begins before the second.
    speed : float
        Seconds of the second recording for each second of the first.
    """

    agreement: float
    telling: float
    of_first: float
    of_second: float
    start_s: float
    speed: float

    @property
    def same(self) -> bool:
        """Whether the two are the same recording, or one is a part of the other."""
        return self.agreement >= SAME and self.telling >= TELLING

    def reversed(self) -> Likeness:
        """Return the likeness with first and second recording exchanged."""
        return Likeness(
            self.agreement, self.telling, self.of_second, self.of_first, -self.start_s / self.speed, 1 / self.speed
        )


def likeness(first: Soundprint, second: Soundprint) -> Likeness | None:
    """Return the similarity of two recordings; None if one has too little sound, or if there is no alignment."""
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
    """Return the first steps of the pieces with sound, and the pieces, each a row; None if there are too few pieces."""
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
    """Return the correlation of each piece with each part of the other print, shape (pieces, first steps of the parts).

    Only steps that sound in both are used, because one recording may be padded where the other one continues. The
    result is :data:`UNHEARD` if these are less than half of the piece.
    """
    values = np.ascontiguousarray(other.values, np.float32)
    count = len(values) - PIECE + 1
    windows = np.lib.stride_tricks.sliding_window_view(values.ravel(), PIECE * VALUES)[::VALUES]
    table = np.empty((len(pieces), count), np.float32)
    for first in range(0, count, 2048):  # in parts, because the product copies the windows
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
    """Return offset (steps), speed, and the pieces' correlations, of the line on which their mean is highest."""
    count = table.shape[1]
    # Coarse search: all speeds, and offsets at a distance that the dilation of the table covers.
    reach = int(np.ceil(COARSE / 2 * steps)) + 1
    speeds = 1 + np.arange(-FASTEST, FASTEST + COARSE / 2, COARSE)
    found = _lines(starts, _dilated(table, reach), speeds, np.arange(-steps, count, reach), count)
    if found is None:
        return None
    # Fine search around the best line, to a step. Lines within ``turn`` have the same values in the dilated table.
    offset, speed, _ = found
    turn = COARSE + 2 * (reach + 1) / steps
    speeds = speed + np.arange(-turn, turn, 1 / steps)
    near = np.arange(int(offset) - 4 * reach, int(offset) + 4 * reach + 1)
    found = _lines(starts, _dilated(table, 1), speeds, near, count)
    return None if found is None else (*_fitted(starts, table, *found[:2]), found[2])


def _fitted(
    starts: npt.NDArray[np.int64], table: npt.NDArray[np.float32], offset: float, speed: float
) -> tuple[float, float]:
    """Return offset and speed of the line through the best step of each piece, at most one step from the given line.

    A dilated table has the same mean on many lines, so the first of these lines, the slowest, need not be the best.
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
    """Return the share of pieces, on the given line, that distinguish this recording from others of the same chords."""
    here, elsewhere = _here_and_elsewhere(table, np.rint(starts * speed + offset))
    heard = here > UNHEARD
    if not heard.any():
        return 0.0
    tells = (here >= elsewhere + CLEARER) | (here >= IDENTICAL)
    if (
        tells[heard].mean() < TELLING
    ):  # Perhaps loops repeat exactly. This is computed last, because it is seldom needed.
        tells |= _here_and_elsewhere(_correlations(pieces, first), starts)[1] >= IDENTICAL
    return float(tells[heard].mean())


def _here_and_elsewhere(
    table: npt.NDArray[np.float32], places: npt.NDArray[Any]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return for each piece the highest correlation at its place, and the highest at all other places."""
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
    """Return offset, speed and correlations of the best line; None if no line has enough pieces inside the table."""
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
    """An index of the words of many recordings. It finds the few recordings with which a print must be compared.

    Parameters
    ----------
    words : sequence of arrays of uint16
        The result of :func:`shelved` for each recording.
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
        """Return the numbers of the recordings that have the same words in the same order, the most similar first.

        There are at most :data:`MOST_CANDIDATES`; recordings with equal shares are in the order of the index.
        """
        words = print_.words
        shares = np.zeros(len(self._lengths))
        # The equal words of an hour would not fit into memory, so parts are looked up. A song may lie in two of them,
        # because the last part overlaps the part before it.
        for first in range(0, len(words), BLOCK):
            block = words[max(0, min(first, len(words) - BLOCK)) :][:BLOCK]
            shorter = np.minimum(self._lengths, len(block) / WORD_EVERY)
            shares = np.maximum(shares, self._votes(block) / np.maximum(shorter, 1))
        likely = np.flatnonzero(shares > VOTING)
        return [int(one) for one in likely[np.argsort(-shares[likely], kind="stable")][:MOST_CANDIDATES]]

    def _votes(self, words: npt.NDArray[np.uint16]) -> npt.NDArray[np.int64]:
        """Return for each recording the number of words that support its best alignment."""
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
    """Return the words of a recording that a :class:`Shelf` stores."""
    return print_.words[::WORD_EVERY]
