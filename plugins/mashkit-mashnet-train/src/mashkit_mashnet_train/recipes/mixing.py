"""Mix the stems of a song."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mashkit.types import Audio
from mashkit_mashnet_train.store import StoreError


def mixed(stems: Sequence[Audio]) -> Audio:
    """Return the sum of stems, lowered if it would be clipped; shorter stems end in silence.

    Parameters
    ----------
    stems : sequence of Audio
        At least one, with one or as many channels as the others.

    Raises
    ------
    StoreError
        If the stems have several sample rates.
    """
    rate = stems[0].sample_rate
    channels = max(stem.channels for stem in stems)
    total = np.zeros((channels, max(stem.frames for stem in stems)), np.float32)
    for stem in stems:
        if stem.sample_rate != rate:
            raise StoreError(f"stems of {rate} and {stem.sample_rate} Hz in one song", "resample them to one rate")
        total[:, : stem.frames] += stem.samples
    peak = float(np.abs(total).max(initial=0.0))
    return Audio(total / np.float32(max(1.0, peak)), rate)
