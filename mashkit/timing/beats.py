"""Compute from beat times alone: their tempo, and the distances between two sets of beats.

Conventions: beats are seconds, strictly increasing; tempo is BPM.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mashkit.errors import AnalysisError
from mashkit.types import Times
from mashkit.types.arrays import times_fault

MIN_BEATS = 4
"""Least number of beats for a tempo: among three intervals the median ignores a wrong one, among two it cannot."""

TOLERANCE_RANGE = (0.06, 0.25)
"""Limits of the tolerance for an interval's distance from a whole number of beats, in beats.

The upper limit is half-way to the off-beat. The lower limit is above one frame of a tracker, about 10 ms, at 200 BPM,
because real beats are rarely rounded to less.
"""

_MOST_LAGS = 1000
"""Largest number of lags at which beats are paired. With more beats than this, an hour of music, the lags are spread
evenly, so that the work grows with the number of beats and not with its square."""


def _validated(beats: npt.ArrayLike, name: str) -> Times:
    times = np.asarray(beats, dtype=np.float64)
    if times.ndim != 1 or not np.isfinite(times).all() or (np.diff(times) <= 0).any():
        raise AnalysisError(f"{name} are not finite, strictly increasing seconds: {times_fault(times)}")
    return times


def tempo_of_beats(beats: npt.ArrayLike, *, frame_s: float = 0.0) -> float | None:
    """Return the tempo of beats, some of which may be missing, extra or displaced.

    Successive beats are counted in units of the median interval. If an interval is not a whole number of units, the
    count starts again, so that neither a wrong beat nor a tracker's move to the off-beat and back changes the result.
    The beat period is the slope of time over count: the median of the slopes between all pairs of beats of one count
    (Theil–Sen [1]_), each weighted with the number of beats it spans [2]_. So it is nearly as exact as least squares on
    clean beats, and, unlike 60 over the median interval, not rounded to the frames of the tracker.

    An interval counts as whole when it is within three standard deviations of a whole number, the deviation being
    estimated from the intervals themselves (1.4826 times the median distance [3]_), within :data:`TOLERANCE_RANGE`.

    Parameters
    ----------
    beats : array of float, shape (n,)
        Seconds, strictly increasing.
    frame_s : float
        Seconds between the places on which a tracker puts beats. Intervals that are rounded to such frames differ by
        one frame, so the tolerance is at least that. Give it for frames above 10 ms.

    Returns
    -------
    float or None
        BPM; None with fewer than :data:`MIN_BEATS` beats, or if at least half of the intervals are further than the
        largest tolerance from a whole number, because such beats keep no tempo. If the tempo drifts, the result is the
        tempo that fits all beats best.

    Raises
    ------
    AnalysisError
        If the beats are not finite, strictly increasing numbers.

    References
    ----------
    .. [1] Sen, P. K.: Estimates of the regression coefficient based on Kendall's tau, Journal of the American
       Statistical Association 63 (324), 1968.
    .. [2] Sievers, G. L.: Weighted rank statistics for simple linear regression, Journal of the American Statistical
       Association 73 (363), 1978.
    """
    times = _validated(beats, "beats")
    if len(times) < MIN_BEATS:
        return None
    intervals = np.diff(times)
    beat_s = np.median(intervals)
    steps = intervals / beat_s
    counts = np.round(steps)
    distances = np.abs(steps - counts)
    least, most = TOLERANCE_RANGE
    least = min(max(least, 1.01 * frame_s / beat_s), most)  # a hundredth more, because differences have rounding errors
    near = (counts >= 1) & (distances <= most)
    if np.count_nonzero(near) <= len(intervals) / 2:
        return None
    tolerance = np.clip(3 * 1.4826 * np.median(distances[near]), least, most)
    regular = near & (distances <= tolerance)
    count = np.concatenate([[0.0], np.cumsum(np.where(regular, counts, 0.0))])
    run = np.concatenate([[0], np.cumsum(~regular)])
    lags = np.unique(np.linspace(1, len(times) - 1, min(len(times) - 1, _MOST_LAGS)).astype(np.intp))
    first = np.concatenate([np.arange(len(times) - lag) for lag in lags])
    second = first + np.repeat(lags, len(times) - lags)
    together = run[first] == run[second]
    first, second = first[together], second[together]
    spans = count[second] - count[first]
    return 60.0 / _weighted_median((times[second] - times[first]) / spans, spans)


def _weighted_median(values: Times, weights: Times) -> float:
    """Return the value with half of the weight on either side; the mean of two values if half lies between them."""
    order = np.argsort(values)
    below = np.cumsum(weights[order])
    middle = [np.searchsorted(below, below[-1] / 2, side=side) for side in ("left", "right")]
    return float(np.mean(values[order][middle]))


def beat_error(reference: npt.ArrayLike, estimate: npt.ArrayLike) -> Times:
    """Return the distance of the nearest estimated beat from each reference beat.

    Parameters
    ----------
    reference, estimate : array of float, shape (n,) and (m,)
        Seconds, strictly increasing; at least one estimate.

    Returns
    -------
    array of float64, shape (n,)
        Seconds, positive if the estimate is late. Of two equally near beats the earlier counts.

    Raises
    ------
    AnalysisError
        If the beats are not finite, strictly increasing numbers, or there is no estimate.
    """
    expected, found = _validated(reference, "reference beats"), _validated(estimate, "estimated beats")
    if len(found) == 0:
        raise AnalysisError("there is no estimated beat from which to measure")
    after = np.searchsorted(found, expected).clip(1, max(len(found) - 1, 1))
    # With a single estimate, both neighbours are this estimate.
    late = found[np.minimum(after, len(found) - 1)] - expected
    early = found[after - 1] - expected
    nearest: Times = np.where(np.abs(early) <= np.abs(late), early, late)
    return nearest


def partner_error(reference: npt.ArrayLike, estimate: npt.ArrayLike) -> Times:
    """Return the distance of each reference beat's partner: the nearest estimated beat, if it is within half a beat.

    Parameters
    ----------
    reference, estimate : array of float, shape (n,) and (m,)
        Seconds, strictly increasing; at least one estimate. A beat lasts as long as the median reference interval.

    Returns
    -------
    array of float64, shape (n,)
        Seconds, positive if the estimate is late; NaN for a beat without a partner. A single reference beat has no
        length, so its nearest estimate counts at any distance.

    Raises
    ------
    AnalysisError
        As :func:`beat_error`.
    """
    errors = beat_error(reference, estimate)
    half = float(np.median(np.diff(np.asarray(reference)))) / 2 if len(errors) > 1 else np.inf
    return np.where(np.abs(errors) <= half, errors, np.nan)


def steady_beat(beats: npt.ArrayLike, at: float, tempo: float) -> float:
    """Return the time of the beat at ``at`` if all beats kept ``tempo``, that is, without this beat's own error.

    A detected beat has an error of about 10 ms; if two songs are aligned on one beat of each, both errors stay in the
    whole mashup. The result is ``at`` plus the median, over all beats, of the distance from the grid of that tempo
    through ``at``: then half of the beats are early and half are late.

    Parameters
    ----------
    beats : array of float, shape (n,)
        Seconds, strictly increasing.
    at : float
        One of the beats, seconds.
    tempo : float
        BPM, > 0.

    Returns
    -------
    float
        Seconds, within half a beat of ``at``.

    Raises
    ------
    AnalysisError
        If the beats are not finite, strictly increasing numbers.
    """
    period = 60.0 / tempo
    steps = (_validated(beats, "beats") - at) / period
    return at + period * float(np.median(steps - np.round(steps)))
