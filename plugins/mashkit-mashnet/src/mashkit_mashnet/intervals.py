"""What intervalnet is shown: who sings and plays which pitch class on each half beat, and what starts where in it.

Nothing of it needs a rendering. A layer says which moment of its clip sounds at which of the mashup's, and by how much
it is transposed: a stem's features are measured once, and looked up on the vocal's beats.

Conventions: a grid is the times of beats, seconds, B + 1 of them around B beats; pitches are float32 of shape
(7, 12, 2 B), onsets of shape (9, 12 B): time last.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import attrs
import numpy as np

from mashkit.recent import Recent
from mashkit.types import Role, Times
from mashkit_mashnet.pitches import FRAME_RATE, Floats, pitch_frames
from mashkit_mashnet.running import RunningSum
from mashkit_mashnet.stems import ONSET_BANDS, ONSET_RATE, StemFeatures

if TYPE_CHECKING:
    from mashkit.mashup import Mashup

ToClip: TypeAlias = Callable[[Times], Times]

PITCH_PARTS = 2
"""Parts of a beat in which pitches are heard."""
ONSET_PARTS = 12
"""Parts of a beat in which onsets are heard: sixteenths and triplets fall on them, as in AutoMashUpper."""
ONSET_CHANNELS = len(ONSET_BANDS)
BAR = 4
"""Beats of a bar whose places are told apart; of a longer bar they begin anew."""
_LITTLE_PITCH, _LITTLE_ONSET = 0.05, 0.02
"""Means below which a stem is not brought up to the level of the others: a tenth of what a quiet one has."""


@attrs.frozen(eq=False)
class StemIntervals:
    """A stem's pitches and onsets, at their own rates.

    Parameters
    ----------
    pitches : RunningSum of shape (frames, channels, 12)
        Melody first, where there is one.
    onsets : RunningSum of shape (onset frames, 3)
    """

    pitches: RunningSum = attrs.field(repr=False)
    onsets: RunningSum = attrs.field(repr=False)

    @classmethod
    def of(cls, features: StemFeatures, role: Role) -> StemIntervals:
        """Measure a stem for its role."""
        return cls(
            RunningSum.of(pitch_frames(features, role), FRAME_RATE), RunningSum.of(features.onsets / 255, ONSET_RATE)
        )

    def on(self, grid: Times, to_clip: ToClip, semitones: float) -> tuple[Floats, Floats]:
        """Return (pitches, onsets) on a grid, each brought to a mean of about 1.

        Parameters
        ----------
        grid : array of float64, shape (B + 1,)
            The mashup's time.
        to_clip : callable
            From the mashup's time to the clip's.
        semitones : float
            By which the layer is transposed.
        """
        return self.at(to_clip(divided(grid, PITCH_PARTS)), to_clip(divided(grid, ONSET_PARTS)), semitones)

    def at(self, pitch_moments: Times, onset_moments: Times, semitones: float) -> tuple[Floats, Floats]:
        """Return (pitches, onsets) between moments of the clip, which :meth:`on` finds on a grid."""
        pitches = transposed(self.pitches.means(pitch_moments).transpose(1, 2, 0), semitones)
        return levelled(pitches, self.onsets.means(onset_moments).T)


def heard(mashup: Mashup, role: Role, stems: Recent[StemIntervals], grid: Times) -> tuple[Floats, Floats]:
    """Return (pitches, onsets) of a mashup's layer on a grid, its stem measured unless it is in ``stems``."""
    layer = mashup.plan.layer(role)
    tuning = mashup.tuning(role)
    stem = stems.get(
        (layer.clip_id, role, tuning),
        lambda: StemIntervals.of(StemFeatures.of(mashup.source_stem(role), tuning=tuning), role),
    )
    return stem.on(grid, layer.to_clip, mashup.transposition(role))


def levelled(pitches: Floats, onsets: Floats) -> tuple[Floats, Floats]:
    """Return them over their means, of each channel of pitches and of all onsets: loud or soft is no match."""
    level = pitches.sum(axis=1).mean(axis=-1)[:, None, None] if pitches.size else 1.0
    quiet, still = np.float32(_LITTLE_PITCH), np.float32(_LITTLE_ONSET)
    # A stem with a few bright partials in it has not more harmony for it: roots even them out.
    # Differences of sums may come out a rounding below nothing.
    pitches, onsets = np.maximum(pitches, 0), np.maximum(onsets, 0)
    return np.sqrt(pitches / (level + quiet)), np.sqrt(onsets / (onsets.mean() + still))


def positions(grid: Times, downbeats: Times) -> Floats:
    """Return where in its bar each beat of a grid lies, shape (4, B): one of four, or none if no downbeat is known.

    Parameters
    ----------
    grid : array of float64, shape (B + 1,)
    downbeats : array of float64, shape (n,)
        Of the vocal, on the grid's time line; each counts for the beat it is nearest to.
    """
    beats = len(grid) - 1
    places = np.zeros((BAR, beats), np.float32)
    if len(downbeats):
        first = np.abs(grid[:, None] - downbeats).argmin(axis=0)
        since = (np.arange(beats)[:, None] - first).astype(np.float64)
        # Before its first downbeat a grid counts backwards from there.
        count = np.where(since >= 0, since, np.inf).min(axis=1)
        count = np.where(np.isfinite(count), count, since.max(axis=1)).astype(np.int64) % BAR
        places[count, np.arange(beats)] = 1
    return places


def divided(grid: Times, parts: int) -> Times:
    """Return the grid with each beat divided evenly, shape (parts · B + 1,)."""
    places = np.arange((len(grid) - 1) * parts + 1) / parts
    return np.interp(places, np.arange(len(grid)), grid)


def transposed(pitches: Floats, semitones: float) -> Floats:
    """Return pitches, shape (channels, 12, time), higher by ``semitones``: between two classes, shares of both."""
    whole = int(np.floor(semitones))
    share = np.float32(semitones - whole)
    up = np.roll(pitches, whole, axis=1)
    return up if share == 0 else (1 - share) * up + share * np.roll(up, 1, axis=1)
