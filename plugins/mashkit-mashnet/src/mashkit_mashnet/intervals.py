"""The input of intervalnet: the pitch classes of vocal and harmonic on each half beat, and the onsets in each beat.

No rendering is needed. A layer maps times of the mashup to times of its clip and has a transposition, so a stem's
features are measured once and then read at the vocal's beats.

Conventions: a grid holds the times of beats, seconds, B + 1 times around B beats. Pitches are float32 of shape
(7, 12, 2 B), onsets of shape (9, 12 B); time is the last axis.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import attrs
import numpy as np

from mashkit.features.spectral import transposed_chroma
from mashkit.rendering.cache import Recent
from mashkit.types import Role, Times
from mashkit_mashnet.pitches import FRAME_RATE, Floats, pitch_frames
from mashkit_mashnet.running_sum import RunningSum
from mashkit_mashnet.stem_features import ONSET_BANDS, ONSET_RATE, StemFeatures

if TYPE_CHECKING:
    from mashkit.mashup import Mashup

ToClip: TypeAlias = Callable[[Times], Times]

PITCH_PARTS = 2
"""Parts of a beat for pitches."""
ONSET_PARTS = 12
"""Parts of a beat for onsets: sixteenths and triplets fall on them, as in AutoMashUpper."""
ONSET_CHANNELS = len(ONSET_BANDS)
BAR = 4
"""Number of different beat positions in a bar; in a longer bar the positions repeat."""
_LITTLE_PITCH, _LITTLE_ONSET = 0.05, 0.02
"""Added to a level before division, so that a nearly silent stem stays quiet: a tenth of the level of a quiet stem."""


@attrs.frozen(eq=False)
class StemIntervals:
    """A stem's pitches and onsets as running sums, each at its own frame rate.

    Parameters
    ----------
    pitches : RunningSum of shape (frames, channels, 12)
        The melody is the first channel, for a vocal.
    onsets : RunningSum of shape (onset frames, 3)
    """

    pitches: RunningSum = attrs.field(repr=False)
    onsets: RunningSum = attrs.field(repr=False)

    @classmethod
    def of(cls, features: StemFeatures, role: Role) -> StemIntervals:
        """Return the pitches and onsets of a stem, measured as its role requires."""
        return cls(
            RunningSum.of(pitch_frames(features, role), FRAME_RATE), RunningSum.of(features.onsets / 255, ONSET_RATE)
        )

    def on(self, grid: Times, to_clip: ToClip, semitones: float) -> tuple[Floats, Floats]:
        """Return (pitches, onsets) on a grid, each scaled to a level of about 1 where the stem sounds.

        Parameters
        ----------
        grid : array of float64, shape (B + 1,)
            In mashup time.
        to_clip : callable
            Maps mashup time to clip time.
        semitones : float
            Transposition of the layer.
        """
        return self.at(to_clip(divided(grid, PITCH_PARTS)), to_clip(divided(grid, ONSET_PARTS)), semitones)

    def at(self, pitch_moments: Times, onset_moments: Times, semitones: float) -> tuple[Floats, Floats]:
        """Return (pitches, onsets) between moments of the clip; :meth:`on` computes these moments from a grid."""
        pitches = transposed_chroma(self.pitches.means(pitch_moments).transpose(1, 2, 0), semitones, axis=1)
        return levelled(pitches, self.onsets.means(onset_moments).T)


def measured_layer(mashup: Mashup, role: Role, stems: Recent[StemIntervals], grid: Times) -> tuple[Floats, Floats]:
    """Return (pitches, onsets) of a mashup's layer on a grid; the stem is measured if it is not in ``stems``."""
    layer = mashup.plan.layer(role)
    tuning = mashup.tuning(role)
    stem = stems.get(
        (mashup.stem_key(role), tuning),
        lambda: StemIntervals.of(StemFeatures.of(mashup.source_stem(role), tuning=tuning), role),
    )
    return stem.on(grid, layer.to_clip, mashup.transposition(role))


def levelled(pitches: Floats, onsets: Floats) -> tuple[Floats, Floats]:
    """Return pitches over each channel's level and onsets over theirs, because loudness must not affect a score.

    The level is the mean of half beats, and of beats for onsets, weighted by themselves (contraharmonic mean), so
    silence before, after or within a stem does not change it.
    """
    # The maximum with 0 is needed because differences of running sums may be slightly negative from rounding.
    pitches, onsets = np.maximum(pitches, 0), np.maximum(onsets, 0)
    if pitches.size:
        pitches = pitches / (_level(pitches.sum(axis=1)) + np.float32(_LITTLE_PITCH))[:, None, None]
    by_beat = onsets.reshape(len(onsets), -1, ONSET_PARTS).mean(axis=(0, 2))
    onsets = onsets / (_level(by_beat) + np.float32(_LITTLE_ONSET))
    # The square root reduces the weight of a few bright partials, because they do not make a stem more harmonic.
    return np.sqrt(pitches), np.sqrt(onsets)


def _level(values: Floats) -> Floats:
    """Return the contraharmonic mean along the last axis; 0 for silence."""
    sums = values.sum(axis=-1)
    level: Floats = np.square(values).sum(axis=-1) / np.maximum(sums, np.finfo(np.float32).tiny)
    return level


def positions(grid: Times, downbeats: Times) -> Floats:
    """Return the position in its bar of each beat of a grid, shape (4, B), one-hot; zeros without downbeats.

    Parameters
    ----------
    grid : array of float64, shape (B + 1,)
    downbeats : array of float64, shape (n,)
        Downbeats of the vocal, on the grid's time line; each belongs to the grid time nearest to it. Those more than
        half a beat before or after the grid are left out.
    """
    beats = len(grid) - 1
    places = np.zeros((BAR, beats), np.float32)
    # A downbeat outside the grid would count as one at its end, and so make bars seem shorter than they are.
    first_s, last_s = grid[0] - (grid[1] - grid[0]) / 2, grid[-1] + (grid[-1] - grid[-2]) / 2
    downbeats = downbeats[(downbeats >= first_s) & (downbeats <= last_s)]
    if len(downbeats):
        first = np.abs(grid[:, None] - downbeats).argmin(axis=0)
        since = (np.arange(beats)[:, None] - first).astype(np.float64)
        # Beats before the first downbeat are counted backwards from it, in bars as long as the others.
        bar = max(round(float(np.median(np.diff(first)))), 1) if len(first) > 1 else BAR
        count = np.where(since >= 0, since, np.inf).min(axis=1)
        count = np.where(np.isfinite(count), count, since.max(axis=1) % bar).astype(np.int64) % BAR
        places[count, np.arange(beats)] = 1
    return places


def divided(grid: Times, parts: int) -> Times:
    """Return the grid with each beat divided evenly, shape (parts · B + 1,)."""
    places = np.arange((len(grid) - 1) * parts + 1) / parts
    return np.interp(places, np.arange(len(grid)), grid)
