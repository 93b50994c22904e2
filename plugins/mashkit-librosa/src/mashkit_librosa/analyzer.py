"""The analyzer: key by profile correlation, beats by dynamic programming."""

from __future__ import annotations

from typing import ClassVar, get_args

import attrs
import librosa
import numpy as np
import numpy.typing as npt
import soxr

from mashkit.audio.silence import is_silent
from mashkit.components import ComponentInfo
from mashkit.features.tuner import at_concert_pitch
from mashkit.interfaces import Analyzer
from mashkit.timing.beats import tempo_of_beats
from mashkit.types import Analysis, Audio, Key, Mode, Samples, Times
from mashkit_librosa import ANALYZER

SAMPLE_RATE = 22_050
"""Sample rate for which librosa's chroma and beat tracker were designed, Hz."""

MIN_SECONDS = 2.0
"""Shortest mix that is analysed, seconds; a shorter mix rarely has two chords or the four beats of a tempo."""

PROFILES: dict[Mode, tuple[float, ...]] = {
    "major": (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88),
    "minor": (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17),
}
"""How well each pitch class, from the tonic up, fits a key: probe-tone ratings of Krumhansl and Kessler [1]_."""

_N_FFT = 1024
_HOP_LENGTH = 256

LATENCY_S = 0.015
"""Delay of librosa's beats with these windows, seconds: 9 ms for clicks alone, and 17–20 ms for the demo songs, whose
beats are known exactly."""


def key_of_chroma(chroma: npt.ArrayLike) -> tuple[Key, float]:
    """Return the key whose profile correlates best with a chroma vector (Krumhansl–Schmuckler [2]_).

    Parameters
    ----------
    chroma : array of float, shape (12,)
        Strength of each pitch class from C up; not all equal.

    Returns
    -------
    key : Key
        Of equal keys the lowest major key wins, then the lowest minor key.
    correlation : float
        Pearson's correlation, −1…1.

    References
    ----------
    .. [1] Krumhansl, C. L., Kessler, E. J.: Tracing the dynamic changes in perceived tonal organization in a spatial
       representation of musical keys, Psychological Review 89 (4), 1982; the numbers are printed in [2]_, table 2.1.
    .. [2] Krumhansl, C. L.: Cognitive Foundations of Musical Pitch, Oxford University Press, 1990.
    """
    keys = [Key(tonic, mode) for mode in get_args(Mode) for tonic in range(12)]
    profiles = np.array([np.roll(PROFILES[key.mode], key.tonic) for key in keys])
    profiles -= profiles.mean(axis=1, keepdims=True)
    strength = np.asarray(chroma, dtype=np.float64)
    strength = strength - strength.mean()
    correlations = profiles @ strength / (np.linalg.norm(profiles, axis=1) * np.linalg.norm(strength))
    best = int(np.argmax(correlations))
    return keys[best], float(correlations[best])


@attrs.define(kw_only=True, eq=False)
class LibrosaAnalyzer(Analyzer):
    """Key from the mean constant-Q chroma, beats from the onset strength, tempo from the beats.

    The mix is first made mono, 22.05 kHz and full scale. The confidence of the key is its correlation with the profile:
    music usually has 0.4–0.9, drums and noise 0.2–0.4. Below 0.4 the key is only the best of 24 and may mean nothing.

    Parameters
    ----------
    start_bpm : float
        The most likely tempo for the tracker, BPM, 30–300.
    tightness : float
        How strictly the beats keep to that tempo, > 0 (librosa's default).
    """

    info: ClassVar[ComponentInfo] = ANALYZER

    start_bpm: float = attrs.field(
        default=120.0,
        validator=[attrs.validators.instance_of((int, float)), attrs.validators.ge(30), attrs.validators.le(300)],
    )
    tightness: float = attrs.field(
        default=100.0, validator=[attrs.validators.instance_of((int, float)), attrs.validators.gt(0)]
    )

    def _analyze(self, mix: Audio) -> Analysis:
        mono = mix.mono()
        if mix.sample_rate != SAMPLE_RATE:
            mono = soxr.resample(mono, mix.sample_rate, SAMPLE_RATE)
        heard = Audio(mono[None], SAMPLE_RATE)
        if heard.duration < MIN_SECONDS or is_silent(heard):
            return Analysis()
        signal = heard.samples[0] / np.float32(heard.peak)

        tonal = at_concert_pitch(heard)
        sound = signal if tonal is heard else tonal.samples[0] / np.float32(tonal.peak)
        key, correlation = key_of_chroma(librosa.feature.chroma_cqt(y=sound, sr=SAMPLE_RATE).mean(axis=1))
        beats = self._beats(signal)
        return Analysis(
            key=key,
            tempo=tempo_of_beats(beats),
            beats=beats if len(beats) else None,
            confidence={"key": max(correlation, 0.0)},
        )

    def _beats(self, signal: Samples) -> Times:
        strength = librosa.onset.onset_strength(y=signal, sr=SAMPLE_RATE, n_fft=_N_FFT, hop_length=_HOP_LENGTH)
        _, beats = librosa.beat.beat_track(
            onset_envelope=strength,
            sr=SAMPLE_RATE,
            hop_length=_HOP_LENGTH,
            start_bpm=self.start_bpm,
            tightness=self.tightness,
            units="time",
        )
        times: Times = np.maximum(np.asarray(beats, dtype=np.float64) - LATENCY_S, 0.0)
        return times
