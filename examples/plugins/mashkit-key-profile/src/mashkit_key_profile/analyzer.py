"""The analyzer: correlate how much each pitch class sounds with what listeners expect of every key."""

import attrs
import numpy as np

import mashkit as mk
from mashkit.features.spectral import chromagram, spectrogram
from mashkit.features.tuner import at_concert_pitch
from mashkit_key_profile import ANALYZER

PROFILES = {
    "major": (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88),
    "minor": (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17),
}
"""How well listeners found each pitch class to fit a key, tonic first: Krumhansl and Kessler 1982, Psychological Review
89(4), figure 2."""


@attrs.define(kw_only=True, eq=False)
class KeyProfileAnalyzer(mk.Analyzer):
    """The key whose profile correlates best with the chroma; its confidence is the distance to the next best.

    Parameters
    ----------
    shortest_s : float
        Sound shorter than this gets no key, seconds.
    """

    info = ANALYZER

    shortest_s: float = attrs.field(default=1.0, validator=attrs.validators.ge(0))

    def _analyze(self, mix: mk.Audio) -> mk.Analysis:
        if mix.duration < max(self.shortest_s, 0.1):
            return mk.Analysis()
        chroma = chromagram(spectrogram(at_concert_pitch(mix))).mean(axis=1)  # half of all songs are off 440 Hz
        if np.ptp(chroma) == 0:  # silence
            return mk.Analysis()
        fits = {
            mk.Key(tonic, mode): float(np.corrcoef(chroma, np.roll(profile, tonic))[0, 1])
            for mode, profile in PROFILES.items()
            for tonic in range(12)
        }
        best, second = sorted(fits, key=lambda key: -fits[key])[:2]
        return mk.Analysis(key=best, confidence={"key": min(fits[best] - fits[second], 1.0)})
