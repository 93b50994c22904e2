"""Make time maps from detected beats: number the beats, smooth their times, and lay one clip's beats on another's.

Detected beats have errors of about 10 ms; some beats are missing, and some detected beats are wrong. A time map through
every detected beat would make the tempo unsteady; a map that ignores tempo drift would lose the phase. So the beats are
numbered, and smoothed as much as their own errors justify; beats that are too irregular are refused.

Conventions: times are seconds; a position is the number of a beat, an integer, counted from the first beat.
"""

from __future__ import annotations

import math

import attrs
import numpy as np
import numpy.typing as npt

from mashkit.errors import AnalysisError, TimeMapError
from mashkit.timing import metre
from mashkit.timing.beats import tempo_of_beats
from mashkit.types import Analysis, Times
from mashkit.types.timemap import MAP_SPEED_RANGE, TimeMap

Positions = npt.NDArray[np.intp]

GRID_VERSION = 3
"""Raise this number if :func:`beat_grid` returns a different grid for the same beats; stored grids are then remade."""
FEWEST_BEATS = 8
"""Least number of numbered beats in a grid: two bars, so that one wrong beat is outvoted."""
OFF_BEAT = 0.3
"""Largest distance of a detected beat from a whole number of beats, in beats: little more than half-way to the
off-beat. A detected beat further away is ignored."""
LEAST_COVERAGE = 0.6
"""Least share of the beats between the first and the last detected one that must be numbered (ours)."""
LONGEST_GAP = 16
"""Largest number of missing beats in a row, also at an end where beats were detected and none was numbered: four bars,
because the tempo can be continued for that long."""
MOST_JITTER = 0.05
"""Largest median distance of the detected beats from the smoothed ones, in beats; with more the beats keep no tempo
(ours)."""
LEAST_CONFIDENCE = 0.1
"""Least confidence of an analyzer in its beats, if it returns one (ours)."""
TOLERANCE_S = 0.005
"""Largest distance of a time map from the beats at knots that are left out, seconds: half the frame of a tracker.
So a steady tempo becomes a single speed, and a layer is stretched in no more pieces than needed."""

_STIFFNESS = 10.0 ** np.arange(0.0, 7.1, 0.5)
"""Candidate weights of the smoothness of the tempo. With the lowest, the curve follows a tempo swing of 3 % every 20
beats to within 1 %; with the highest, it is a straight line."""
_STANDARD_ERRORS = 0.5
"""How much larger than the least prediction error a steadier tempo's error may be, in standard errors of the least.

Measured on 260 tempo curves of the Harmonix Set and on swings of 0.5–3 %, with errors like a tracker's. This value,
with one neighbour on either side left out together with a beat, came nearest to the true beats: 1.7 ms RMS on steady
songs (2.4 with all neighbours), 4.5 on swings, 6.7 on drifts."""
_LARGEST_ERROR_S = 0.05
"""Larger prediction errors count as this one, seconds, because then the beat is wrong and not the tempo."""
_ROUNDS = 2
_HISTORY = 8
"""Number of beats that continue the tempo before the first beat and after the last one."""
_ADAPTATION = 0.3
"""Part of a beat's deviation by which the local period follows it during numbering.

This value, :data:`OFF_BEAT`, :data:`_MISSING` and :data:`_MOST_CHANGE` were chosen on 300 excerpts of 130 beats of the
Harmonix Set: as annotated, and with errors like a tracker's (3 % extra beats, 5 % missing, a stretch of off-beats in
30 % of the songs)."""
_MISFIT = 1.5
"""Cost of a beat at :data:`OFF_BEAT`; it is more than a beat scores, so that the nearest whole number wins."""
_MISSING = 0.5
"""Cost of a position without a beat, in beats that fit exactly."""
_MOST_CHANGE = 1.7
"""Largest ratio of the local period to that of the whole, either way; at 2 it would be half or double tempo."""
_LOOK_BACK = LONGEST_GAP + 4
"""Number of detected beats among which the one before is looked for: a stretch of off-beats, and some extra beats."""
_KEPT = 6
"""Number of ways to each beat that are followed."""


class BeatsDistrusted(AnalysisError):
    """Beats that are too irregular for a time map; the problem contains the reason."""


@attrs.frozen(eq=False)
class BeatGrid:
    """The most likely true beats of a clip: numbered, without gaps, smoothed.

    Parameters
    ----------
    times : array of float64, shape (n,)
        Seconds at positions 0 … n − 1, strictly increasing.
    bar : int
        Beats per bar; 0 if fewer than two downbeats are known, or the metre is doubtful
        (:func:`mashkit.timing.metre.doubt`).
    downbeat : int
        Position of the first downbeat that is in phase with most other downbeats.
    jitter_s : float
        Median distance of the detected beats from ``times``, seconds.
    """

    times: Times = attrs.field(repr=False)
    bar: int
    downbeat: int
    jitter_s: float
    _periods: tuple[float, float] = attrs.field(init=False, repr=False)

    @_periods.default
    def _periods_at_the_ends(self) -> tuple[float, float]:
        times, most = self.times, min(_HISTORY, len(self.times) - 1)
        return float((times[most] - times[0]) / most), float((times[-1] - times[-1 - most]) / most)

    def time_at(self, positions: npt.ArrayLike) -> Times:
        """Return the times at positions, also between beats; outside the grid the tempo of its nearest end goes on."""
        at = np.asarray(positions, dtype=np.float64)
        before, after = self._periods
        last = len(self.times) - 1
        inside = np.interp(at, np.arange(len(self.times)), self.times)
        time: Times = inside + np.minimum(at, 0.0) * before + np.maximum(at - last, 0.0) * after
        return time

    def positions_within(self, start_s: float, end_s: float) -> tuple[int, int]:
        """Return the first and the last position from ``start_s`` to ``end_s``, also outside the detected beats."""
        before, after = self._periods
        opening, closing = float(self.times[0]), float(self.times[-1])
        first = int(self.times.searchsorted(start_s))
        if start_s <= opening:
            first = math.ceil((start_s - opening) / before)
        elif start_s > closing:
            first = len(self.times) - 1 + math.ceil((start_s - closing) / after)
        last = int(self.times.searchsorted(end_s, "right")) - 1
        if end_s < opening:
            last = math.floor((end_s - opening) / before)
        elif end_s >= closing:
            last = len(self.times) - 1 + math.floor((end_s - closing) / after)
        return first, last

    def over(self, duration_s: float) -> ClipGrid:
        """Return the beats of a clip of that length, also beats at its ends that were not detected."""
        first, last = self.positions_within(0.0, duration_s)
        before, after = self._periods
        # The same times as from time_at(), at a fifth of its cost, which counts because most clips are used once.
        most = len(self.times) - 1
        earlier = self.times[0] + np.arange(first, min(last + 1, 0)) * before
        later = self.times[-1] + np.arange(max(first - most, 1), last + 1 - most) * after
        times = np.concatenate([earlier, self.times[max(first, 0) : max(last + 1, 0)], later])
        return ClipGrid(self, duration_s, first, times)


@attrs.frozen(eq=False)
class ClipGrid:
    """All beats of a clip; it is made once per clip and used for many time maps.

    Parameters
    ----------
    grid : BeatGrid
    duration_s : float
        Length of the clip, seconds.
    first : int
        Position of the first beat in the clip.
    times : array of float64, shape (n,)
        Times of that beat and of each later beat in the clip, seconds.
    """

    grid: BeatGrid
    duration_s: float
    first: int
    times: Times = attrs.field(repr=False)

    @property
    def last(self) -> int:
        """Position of the last beat in the clip."""
        return self.first + len(self.times) - 1

    def bar_line(self, bar: int) -> int:
        """Return the position at which a bar begins, counted from the grid's first downbeat."""
        return self.grid.downbeat + bar * self.grid.bar

    def time_of(self, position: int) -> float:
        """Return the time of a beat, which may lie outside the clip."""
        index = position - self.first
        return float(self.times[index] if 0 <= index < len(self.times) else self.grid.time_at(position))

    def between(self, first: int, last: int) -> Times:
        """Return the times at the positions from ``first`` to ``last``, both included and within the clip."""
        return self.times[first - self.first : last + 1 - self.first]


def beat_grid(analysis: Analysis) -> BeatGrid:
    """Return the grid of an analysis' beats.

    Beats are numbered by counting intervals in units of the local period; a beat further than :data:`OFF_BEAT` from a
    whole number is left out. If many are left out in a row, the beats are distrusted. The numbered times are smoothed
    by penalised least squares on their second difference (Whittaker [1]_, weights by Tukey's biweight against single
    wrong beats). The amount of smoothing is the one that best predicts each beat from all beats except itself and its
    neighbours; among amounts about as good, the steadiest tempo is chosen.

    Raises
    ------
    BeatsDistrusted
        If there are too few beats, too many gaps or too much jitter, or the analyzer's confidence is too low.

    References
    ----------
    .. [1] Eilers, P. H. C.: A perfect smoother, Analytical Chemistry 75 (14), 2003.
    """
    if analysis.beats is None or len(analysis.beats) < FEWEST_BEATS:
        raise BeatsDistrusted(f"only {0 if analysis.beats is None else len(analysis.beats)} beats")
    confidence = analysis.confidence.get("beats", 1.0)
    if confidence < LEAST_CONFIDENCE:
        raise BeatsDistrusted(f"the analyzer's confidence in the beats is {confidence:.2f}")
    tempo = tempo_of_beats(analysis.beats)
    if tempo is None:
        raise BeatsDistrusted("the beats have no steady tempo")
    numbered, positions = _numbered(analysis.beats, 60.0 / tempo)
    found = analysis.beats[numbered]
    if len(positions) < FEWEST_BEATS:
        raise BeatsDistrusted(f"only {len(positions)} of {len(analysis.beats)} beats fit a steady tempo")
    before, after = _beats_beyond(analysis.beats, found, positions)
    spanned = before + int(positions[-1]) + 1 + after
    gap = max(before, int(np.diff(positions).max()) - 1, after)
    if len(positions) < LEAST_COVERAGE * spanned or gap > LONGEST_GAP:
        raise BeatsDistrusted(
            f"{spanned - len(positions)} of {spanned} beats are missing or off the beat, {gap} of them in a row"
        )
    times = _smoothed(found, positions)
    jitter = float(np.median(np.abs(found - times[positions])))
    if jitter > MOST_JITTER * 60.0 / tempo or (np.diff(times) <= 0).any():
        raise BeatsDistrusted(f"the beats scatter by {1000 * jitter:.0f} ms")
    bar, downbeat = _bars(analysis, times)
    return BeatGrid(times, bar, downbeat, jitter)


def grid_or_doubt(analysis: Analysis) -> BeatGrid | BeatsDistrusted:
    """Return the grid of an analysis' beats, or the error of :func:`beat_grid` that says why they are not reliable."""
    try:
        return beat_grid(analysis)
    except BeatsDistrusted as error:
        return error


def _numbered(beats: Times, period: float) -> tuple[Positions, Positions]:
    """Return the indices of the beats that lie in time, and their positions; the first position is 0.

    Of all ways to number some of the beats, the best is found by dynamic programming. A beat that follows another
    one by a whole number of local periods scores 1, less :data:`_MISFIT` times the square of its distance from the
    whole number, as a part of :data:`OFF_BEAT`; each position between the two that gets no beat costs
    :data:`_MISSING`. The local period follows the beats, so that a ritardando is counted as it is played. If a
    tracker moves to the off-beat for a while, these beats are left out, because no whole number of periods leads to
    them and back.
    """
    most = len(beats) * (_KEPT + 1)
    # A state is a beat, the way to it, and the local period there; each beat has its best ones, and one that begins.
    score, local = np.zeros(most), np.full(most, period)
    beat, count, previous = (np.zeros(most, np.intp) for _ in range(3))
    first_of: list[int] = []
    used = 0
    for index, time in enumerate(beats.tolist()):
        first_of.append(used)
        earlier = slice(first_of[max(0, index - _LOOK_BACK)], used)
        steps = (time - beats[beat[earlier]]) / local[earlier]
        counts = np.maximum(np.rint(steps), 1.0)
        off = np.abs(steps - counts)
        periods = local[earlier] * (1 + _ADAPTATION * (steps / counts - 1))
        scores = score[earlier] + 1 - _MISFIT * (off / OFF_BEAT) ** 2 - _MISSING * (counts - 1)
        fit = np.flatnonzero((off <= OFF_BEAT) & (np.abs(np.log(periods / period)) <= math.log(_MOST_CHANGE)))
        best = fit[np.argsort(-scores[fit], kind="stable")[:_KEPT]]
        own = slice(used, used + len(best))
        score[own], local[own], count[own] = scores[best], periods[best], counts[best]
        previous[own] = best + earlier.start
        used += len(best)
        beat[first_of[-1] : used + 1] = index
        previous[used] = -1
        used += 1
    state = int(np.argmax(score[:used]))
    indices, steps_to = [], []
    while state >= 0:
        indices.append(int(beat[state]))
        steps_to.append(int(count[state]))
        state = int(previous[state])
    return np.array(indices[::-1], np.intp), np.cumsum(np.array(steps_to[::-1], np.intp))


def _beats_beyond(beats: Times, found: Times, positions: Positions) -> tuple[int, int]:
    """Return how many beats there should be among detected ones before the first numbered beat, and after the last."""
    most = min(_HISTORY, len(found) - 1)
    first = float((found[most] - found[0]) / (positions[most] - positions[0]))
    last = float((found[-1] - found[-1 - most]) / (positions[-1] - positions[-1 - most]))
    return round(float(found[0] - beats[0]) / first), round(float(beats[-1] - found[-1]) / last)


def _smoothed(found: Times, positions: Positions) -> Times:
    """Return times at all positions up to the last, as smooth as the detected times justify."""
    weights = np.ones(len(found))
    chosen = found
    for _ in range(_ROUNDS):
        curves, inverses = _whittaker(found, positions, weights)
        alone = _unseen(found - curves[:, positions], positions, weights, inverses)
        size = weights * np.minimum(np.abs(alone), _LARGEST_ERROR_S) ** 2
        errors, spreads = size.mean(axis=1), size.std(axis=1) / math.sqrt(len(found))
        best = int(np.argmin(errors))
        bound = errors[best] + _STANDARD_ERRORS * spreads[best]
        chosen = curves[int(np.flatnonzero(errors <= bound)[-1])]
        residual = found - chosen[positions]
        # A standard deviation is 1.4826 medians; it is at least 3 ms, because a tracker's frames last about 10 ms.
        scale = max(1.4826 * float(np.median(np.abs(residual))), 0.003)
        weights = np.maximum(np.clip(1 - (residual / (4 * scale)) ** 2, 0, 1) ** 2, 1e-6)
    return chosen


def _whittaker(found: Times, positions: Positions, weights: Times) -> tuple[Times, Times]:
    """Fit smooth curves over all positions, one for each candidate stiffness.

    Returns
    -------
    curves : array of float64, shape (stiffnesses, positions)
    inverses : array of float64, shape (positions, reach + 2, stiffnesses)
        Elements near the diagonal of the inverses of the matrices W + stiffness · DᵀD of the normal equations, with D
        the second difference: element (i, i + k) is ``inverses[i, 1 + k]``, for k up to ``reach``, the largest number
        of positions from a detected beat to the next but one.
    """
    from scipy.linalg.lapack import dpbsv  # here: mashkit is imported faster without scipy

    count = int(positions[-1]) + 1
    # The pentadiagonal matrices and their Cholesky factors are stored as upper bands.
    bands = np.zeros((len(_STIFFNESS), 3, count))
    stiffness = _STIFFNESS[:, None]
    for shift, weight in ((0, 1.0), (1, 4.0), (2, 1.0)):
        bands[:, 2, shift : count - 2 + shift] += stiffness * weight
    bands[:, 1, 1:-1] -= 2 * stiffness
    bands[:, 1, 2:] -= 2 * stiffness
    bands[:, 0, 2:] += stiffness
    bands[:, 2, positions] += weights
    sides = np.zeros(count)
    sides[positions] = weights * found
    factors, curves = np.empty_like(bands), np.empty((len(_STIFFNESS), count))
    for number, band in enumerate(bands):
        factors[number], curves[number], failed = dpbsv(band, sides)
        assert failed == 0  # noqa: S101 — positive definite: two weights or more are above 0
    return curves, _near_diagonal(factors, int((positions[2:] - positions[:-2]).max()))


def _near_diagonal(factors: Times, reach: int) -> Times:
    """Return the elements near the diagonal of the inverses of matrices given by their Cholesky factors.

    Each row is computed from the two rows below it, from the last row upward (Takahashi et al. [1]_), for all matrices
    at once. The other elements are not needed, because only a beat's influence on itself and its neighbours is used.

    References
    ----------
    .. [1] Takahashi, K., Fagan, J., Chen, M.-S.: Formation of a sparse bus impedance matrix and its application to
       short circuit study, Proc. 8th PICA Conference, 1973. For smoothing: Hutchinson, M. F., de Hoog, F. R.:
       Smoothing noisy data with spline functions, Numerische Mathematik 47, 1985.
    """
    matrices, _, count = factors.shape
    diagonal = factors[:, 2].T
    one, two = np.zeros((count, matrices)), np.zeros((count, matrices))
    one[:-1] = -factors[:, 1, 1:].T / diagonal[:-1]
    two[:-2] = -factors[:, 0, 2:].T / diagonal[:-2]
    own = diagonal**-2
    # Row i holds the elements (i − 1, i), (i, i), (i, i + 1), … of the inverse.
    near = np.zeros((count + 2, reach + 2, matrices))
    for row in range(count - 1, -1, -1):
        here, below = near[row], near[row + 1]
        here[2:] = one[row] * below[1:-1] + two[row] * near[row + 2, :-2]
        here[1] = own[row] + one[row] * here[2] + two[row] * here[3]
        below[0] = here[2]
    return near[:count]


def _unseen(residuals: Times, positions: Positions, weights: Times, inverses: Times) -> Times:
    """Return each beat's residual from a fit without this beat and its neighbours; same shape as ``residuals``.

    The neighbours are left out because a tracker's errors come in runs (on songs of constant tempo up to 0.8 of an
    error is still there a beat later) and would count as tempo changes. The result is exact for a linear smoother: the
    residuals of a beat and its two neighbours are the solution of a system whose matrix is the identity minus their
    influence on each other (the inverse times their weights); Cramer's rule solves it.
    """
    # A neighbour that does not exist has no influence.
    r, w = np.pad(residuals, ((0, 0), (1, 1))), np.pad(weights, 1)
    itself = np.pad(inverses[positions, 1].T, ((0, 0), (1, 1)))
    next_one = np.pad(inverses[positions[:-1], 1 + np.diff(positions)].T, ((0, 0), (1, 1)))
    next_but_one = np.pad(inverses[positions[:-2], 1 + positions[2:] - positions[:-2]].T, ((0, 0), (1, 1)))
    a, b, c = (slice(None, -2), slice(1, -1), slice(2, None))
    before, after = next_one[:, :-1], next_one[:, 1:]
    m00, m11, m22 = (1 - itself[:, part] * w[part] for part in (a, b, c))
    m01, m21 = -before * w[b], -after * w[b]
    m10, m20 = -before * w[a], -next_but_one * w[a]
    m02, m12 = -next_but_one * w[c], -after * w[c]
    r0, r1, r2 = r[:, a], r[:, b], r[:, c]
    whole = m00 * (m11 * m22 - m12 * m21) - m01 * (m10 * m22 - m12 * m20) + m02 * (m10 * m21 - m11 * m20)
    unseen: Times = (m00 * (r1 * m22 - m12 * r2) - r0 * (m10 * m22 - m12 * m20) + m02 * (m10 * r2 - r1 * m20)) / whole
    return unseen


def _bars(analysis: Analysis, times: Times) -> tuple[int, int]:
    """Return the beats per bar, and the position of the first downbeat that is in phase with most downbeats."""
    if analysis.downbeats is None or len(analysis.downbeats) == 0:
        return 0, 0
    at = np.interp(analysis.downbeats, times, np.arange(len(times)))
    downbeats = np.unique(np.round(at).astype(np.intp))
    if len(downbeats) < 2 or metre.doubt(analysis) is not None:
        return 0, int(downbeats[0])
    lengths, counts = np.unique(np.diff(downbeats), return_counts=True)
    bar = int(lengths[np.argmax(counts)])
    phases = np.bincount(downbeats % bar, minlength=bar)
    return bar, int(downbeats[downbeats % bar == np.argmax(phases)][0])


@attrs.frozen
class Placement:
    """A layer's placement on the vocal: its time map, and the time of its first frame in the vocal clip, seconds."""

    time_map: TimeMap
    offset_s: float


def beat_map(
    candidate: ClipGrid,
    vocal: ClipGrid,
    *,
    candidate_bar: int = 0,
    vocal_bar: int = 0,
    beats_per_beat: float = 1.0,
) -> Placement:
    """Return the map that lays a candidate's beats on the vocal's, bar on bar.

    Parameters
    ----------
    candidate, vocal : ClipGrid
    candidate_bar, vocal_bar : int
        The two bars that are laid on each other, each counted from its grid's first downbeat.
    beats_per_beat : float
        Number of the candidate's beats per beat of the vocal: 2 or ½ if the tempo is folded.

    Returns
    -------
    Placement

    Raises
    ------
    TimeMapError
        If the clips share fewer than two beats, or the map would need speeds outside 0.5–2.
    """
    at_vocal, at_candidate = vocal.bar_line(vocal_bar), candidate.bar_line(candidate_bar)
    # The range of the vocal's beats that have a beat of the candidate.
    first = max(vocal.first, at_vocal + math.ceil((candidate.first - at_candidate) / beats_per_beat))
    last = min(vocal.last, at_vocal + math.floor((candidate.last - at_candidate) / beats_per_beat))
    if last - first < 1:
        raise TimeMapError(f"the clips share {max(last - first + 1, 0)} beats", "align other bars")
    if beats_per_beat == 1:
        source = candidate.between(first - at_vocal + at_candidate, last - at_vocal + at_candidate)
    else:
        source = candidate.grid.time_at(at_candidate + (np.arange(first, last + 1) - at_vocal) * beats_per_beat)
    target = vocal.between(first, last)
    speeds = (source[1:] - source[:-1]) / (target[1:] - target[:-1])
    slowest, fastest = speeds.min(), speeds.max()
    low, high = MAP_SPEED_RANGE
    if slowest < low or fastest > high:
        raise TimeMapError(f"aligning the beats needs speeds from {slowest:.2f} to {fastest:.2f}")
    # A rounding error may place a beat at the end of the clip just outside it.
    inside = slice(source.searchsorted(0.0), source.searchsorted(candidate.duration_s, "right"))
    time_map, offset = TimeMap.through(
        source[inside], target[inside], duration_s=candidate.duration_s, tolerance_s=TOLERANCE_S
    )
    return Placement(time_map, offset)
