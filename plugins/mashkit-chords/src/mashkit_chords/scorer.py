"""The scorer: the backing's chords under the vocal, beat by beat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import attrs
import numpy as np
import numpy.typing as npt

from mashkit.components import ComponentInfo
from mashkit.features.spectral import StemChroma, weighted_mean
from mashkit.interfaces import Scorer
from mashkit.mashup import Mashup
from mashkit.rendering.stems import MeasuredStems
from mashkit.types import Role, Score, Times, chord_tones
from mashkit_chords import CHORDS

Values = npt.NDArray[np.float64]


@attrs.define(kw_only=True, eq=False)
class ChordsScorer(Scorer):
    """How well the backing's chords carry the vocal, value = (1 − a) · tones + a · agreement, 0–1.

    *tones* is the share of the vocal's chroma that lies on tones of the backing's chord at that beat. *agreement*
    compares that chord with the one that accompanied the vocal in its own song: the number of common tones over the
    number of all tones of both, 1 for the same chord, ½ for C major and A minor, 0 for C major and D minor. Both are
    means over the vocal's beats, weighted with the energy of the vocal's chroma, so that a beat counts as far as it
    is sung. Beats at which a chord that is needed is unknown, or at which there is none, do not count; without any beat
    that counts, a part is 0.

    The scorer and its weights are ours. Chords are read from the clips' analyses, and none is guessed: clips need an
    analyzer that provides chords. A layer's chords are raised by its shift, rounded to whole semitones. Nothing is
    rendered; gains and percussion do not change the score.

    Parameters
    ----------
    agreement : float
        The share a of agreement in the value, 0–1.

    Raises
    ------
    AnalysisError
        From :meth:`score`, if a clip has no beats or no chords.

    Examples
    --------
    >>> from mashkit.synthetic.source import SyntheticSource
    >>> from mashkit.testing.mashups import mashup_of
    >>> from mashkit.types import Key
    >>> songs = SyntheticSource([(Key(0, "major"), 120.0)], bars=4)
    >>> score = ChordsScorer().score([mashup_of(songs, songs.clips[0])])[0]
    >>> score.parts["agreement"]
    1.0
    """

    info: ClassVar[ComponentInfo] = CHORDS
    needs: ClassVar[tuple[Role, ...]] = (Role.HARMONIC,)

    agreement: float = attrs.field(
        default=0.5, converter=float, validator=[attrs.validators.ge(0.0), attrs.validators.le(1.0)]
    )

    _stems: MeasuredStems[StemChroma] = attrs.field(
        factory=lambda: MeasuredStems(StemChroma.of), init=False, repr=False
    )

    def _score(self, mashups: Sequence[Mashup]) -> Sequence[Score]:
        return [self._judge(mashup) for mashup in mashups]

    def _judge(self, mashup: Mashup) -> Score:
        beats = mashup.grid()
        vocal, backing = (_tones(mashup, role, beats) for role in (Role.VOCAL, Role.HARMONIC))
        chroma = self._sung(mashup, beats)
        energy = chroma.sum(axis=0)
        inside = (chroma * backing).sum(axis=0)
        on_chord = np.divide(inside, energy, out=np.zeros_like(inside), where=energy > 0)
        common, all_tones = (vocal & backing).sum(axis=0), (vocal | backing).sum(axis=0)
        has_chord = backing.any(axis=0)
        parts = {
            "tones": weighted_mean(on_chord, energy * has_chord),
            "agreement": weighted_mean(common / np.maximum(all_tones, 1), energy * (has_chord & vocal.any(axis=0))),
        }
        value = (1 - self.agreement) * parts["tones"] + self.agreement * parts["agreement"]
        return Score(value=value, scale="ordinal", parts=parts)

    def _sung(self, mashup: Mashup, beats: Times) -> Values:
        """Return the vocal's chroma between beats, shape (12, beats)."""
        chroma = self._stems.of(mashup, Role.VOCAL).by_beat(mashup.plan.layer(Role.VOCAL).to_clip(beats))
        turned = np.roll(chroma, round(mashup.transposition(Role.VOCAL)), axis=0)
        return turned.astype(np.float64)


def _tones(mashup: Mashup, role: Role, beats: Times) -> npt.NDArray[np.bool_]:
    """Return which pitch classes belong to the chord of a layer's song between beats, shape (12, beats)."""
    clip, layer = mashup.clips[role], mashup.plan.layer(role)
    clip.require("chords")
    middles = layer.to_clip((beats[:-1] + beats[1:]) / 2)
    tones = np.zeros((12, len(middles)), np.bool_)
    if clip.analysis.chords is not None:
        for place, label in enumerate(clip.analysis.chords.at(middles)):
            tones[list(chord_tones(label)), place] = True
    return np.roll(tones, round(mashup.transposition(role)), axis=0)
