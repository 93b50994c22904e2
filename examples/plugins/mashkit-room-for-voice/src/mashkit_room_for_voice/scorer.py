"""The scorer: does the harmony leave room where the voice is?"""

from collections.abc import Sequence

import attrs
import numpy as np

import mashkit as mk
from mashkit.features.spectral import band_energies, spectrogram
from mashkit_room_for_voice import SCORER

VOICE_HZ = (0.0, 300.0, 3400.0)
"""Edges of what lies below a voice and of what telephones carry of it (ITU-T G.712: 300 to 3400 Hz)."""


@attrs.define(kw_only=True, eq=False)
class RoomForVoiceScorer(mk.Scorer):
    """Best is a vocal that stands above the harmonic layer in the voice's own band, while it sounds.

    Parameters
    ----------
    enough_db : float
        More decibels than this above the harmonic layer make a mashup no better.
    """

    info = SCORER

    enough_db: float = attrs.field(default=12.0, converter=float)

    def _score(self, mashups: Sequence[mk.Mashup]) -> list[mk.Score]:
        return [self._one(mashup) for mashup in mashups]

    def _one(self, mashup: mk.Mashup) -> mk.Score:
        if mk.Role.HARMONIC not in mashup.roles:
            return mk.Score(self.enough_db, parts={"above_db": self.enough_db})
        vocal, harmonic = (
            band_energies(spectrogram(mashup.stems[role]), VOICE_HZ)[1] for role in (mk.Role.VOCAL, mk.Role.HARMONIC)
        )
        sung = vocal > 0.01 * vocal.max()  # within 20 dB of its loudest moment: the rest is breath and bleed
        above = 10 * np.log10((vocal[sung].sum() + 1e-9) / (harmonic[sung].sum() + 1e-9))
        return mk.Score(min(float(above), self.enough_db), parts={"above_db": float(above)})
