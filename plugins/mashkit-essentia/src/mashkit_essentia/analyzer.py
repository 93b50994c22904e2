"""The adapter to essentia."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import attrs
import numpy as np

from mashkit.audio.files import resample
from mashkit.audio.silence import is_silent
from mashkit.components import ComponentInfo, whole
from mashkit.features.tuner import at_concert_pitch
from mashkit.interfaces import Analyzer
from mashkit.timing.beats import tempo_of_beats
from mashkit.types import Analysis, Audio, Key
from mashkit_essentia import ANALYZER, backend

SAMPLE_RATE = 44_100
"""The only sample rate that essentia's beat trackers accept, Hz (its manual, RhythmExtractor2013)."""

MIN_SECONDS = 2.0
"""Shortest mix that is analysed, seconds; a shorter mix rarely has two chords or the four beats of a tempo."""

MOST_CONFIDENT = 5.32
"""Largest confidence of the multi-feature beat tracker (its manual, RhythmExtractor2013); it is scaled to 1."""

SAME_TEMPO = 0.04
"""Largest difference of two tempi that agree, as a ratio minus one (Gouyon et al.: An experimental comparison of audio
tempo induction algorithms, IEEE Transactions on Audio, Speech, and Language Processing 14 (5), 2006)."""

PERCIVAL_BPM = (50, 210)
"""Default range of essentia's PercivalBpmEstimator, BPM; options make it narrower."""

LEAST_RANGE = 20
"""Least difference of the ends of the range of tempi, BPM (essentia's manual, TempoTapDegara)."""

PROFILES = (
    "bgate", "braw", "diatonic", "edma", "edmm", "gomez", "krumhansl", "noland", "shaath", "temperley",
    "temperley2005", "thpcp", "tonictriad",
)  # fmt: skip
"""Key profiles that work on any music; essentia also lists faraldo, pentatonic and weichai, but raises for them."""


@attrs.define(kw_only=True, eq=False)
class EssentiaAnalyzer(Analyzer):
    """Key by profile matching, beats by onset functions, tempo from the beats.

    The mix is first made mono, 44.1 kHz and full scale, because essentia's thresholds are absolute. The confidence of
    the key is its correlation with the profile, which is high even for noise. The confidence of the beats, for method
    "multifeature" only, is the agreement of the beats of five onset functions. The strength of a tempo candidate is the
    share of three estimators that agree: the beats, the beats of method "degara", and Percival's tempo estimator;
    method "degara" has only two estimators. An estimator outside the range of the tempo, by 1 BPM or more, has no vote,
    except for the beats.

    Parameters
    ----------
    profile : str
        Key profile, one of :data:`PROFILES`.
    method : {"multifeature", "degara"}
        Beat tracker: with five onset functions, or with one, which takes a fraction of the time.
    min_bpm, max_bpm : int
        Range in which essentia looks for the tempo: 40–180 and 60–250 BPM, at least 20 apart (essentia's limits; the
        defaults are essentia's). It is a preference: where essentia finds no beats in the range, it may return beats of
        another tempo, and the tempo is theirs.

    Raises
    ------
    ValueError
        If an option is out of its range, or ``max_bpm`` is less than 20 above ``min_bpm``.

    Notes
    -----
    Beats are up to 22 ms early or late, as a median over a piece. It differs from piece to piece, also at one tempo, so
    nothing is corrected (the README has the figures).
    """

    info: ClassVar[ComponentInfo] = ANALYZER

    profile: str = attrs.field(default="bgate", validator=attrs.validators.in_(PROFILES))
    method: str = attrs.field(default="multifeature", validator=attrs.validators.in_(("multifeature", "degara")))
    min_bpm: int = attrs.field(default=40, validator=whole(40, 180))
    max_bpm: int = attrs.field(default=208, validator=whole(60, 250))

    def __attrs_post_init__(self) -> None:
        if self.min_bpm >= self.max_bpm:
            raise ValueError(f"min_bpm is {self.min_bpm}, not below max_bpm, which is {self.max_bpm}")
        if self.max_bpm - self.min_bpm < LEAST_RANGE:
            raise ValueError(f"min_bpm {self.min_bpm} and max_bpm {self.max_bpm} are less than {LEAST_RANGE} apart")

    def _analyze(self, mix: Audio) -> Analysis:
        heard = resample(Audio(mix.mono()[None], mix.sample_rate), SAMPLE_RATE)
        # Silence is left out, because essentia returns A minor and 738 BPM for it.
        if heard.duration < MIN_SECONDS or is_silent(heard):
            return Analysis()
        signal = heard.samples[0] / np.float32(heard.peak)
        tonal = at_concert_pitch(heard)
        with backend.quiet():
            key_extractor = backend.algorithm("KeyExtractor", profileType=self.profile, sampleRate=SAMPLE_RATE)
            tonic, mode, correlation = key_extractor(
                signal if tonal is heard else tonal.samples[0] / np.float32(tonal.peak)
            )
            _, ticks, agreement, _, _ = self._beat_tracker(self.method)(signal)
            other_ticks = [] if self.method == "degara" else [self._beat_tracker("degara")(signal)[1]]
            slowest, fastest = max(self.min_bpm, PERCIVAL_BPM[0]), min(self.max_bpm, PERCIVAL_BPM[1])
            percival = backend.algorithm("PercivalBpmEstimator", sampleRate=SAMPLE_RATE, minBPM=slowest, maxBPM=fastest)
            percival.reset()  # without it every call returns the first result
            percival_tempo = float(percival(signal))

        key = Key.parse(f"{tonic} {mode}")
        confidence = {"key": float(np.clip(correlation, 0.0, 1.0))}
        beats = ticks.astype(np.float64)
        if len(beats) == 0:
            return Analysis(key=key, confidence=confidence)
        if self.method == "multifeature":
            confidence["beats"] = float(np.clip(agreement / MOST_CONFIDENT, 0.0, 1.0))
        tempo = tempo_of_beats(beats)
        others = [*map(tempo_of_beats, other_ticks), percival_tempo]
        within = [other for other in others if other and self.min_bpm - 1 < other < self.max_bpm + 1]
        candidates = () if tempo is None else _votes([tempo, *within])
        return Analysis(key=key, tempo=tempo, beats=beats, confidence=confidence, tempo_candidates=candidates)

    def _beat_tracker(self, method: str) -> Any:
        return backend.algorithm("RhythmExtractor2013", method=method, minTempo=self.min_bpm, maxTempo=self.max_bpm)


def _votes(tempi: Sequence[float]) -> tuple[tuple[float, float], ...]:
    """Return each tempo that no earlier one agrees with, and the share that agree with it; largest share first."""
    voters: dict[float, int] = {}
    for tempo in tempi:
        agreed = next((kept for kept in voters if abs(tempo / kept - 1) <= SAME_TEMPO), tempo)
        voters[agreed] = voters.get(agreed, 0) + 1
    ranked = sorted(voters.items(), key=lambda item: -item[1])
    return tuple((tempo, count / len(tempi)) for tempo, count in ranked)
