"""The adapter to madmom."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import attrs
import numpy as np
import numpy.typing as npt

from mashkit.audio.files import resample
from mashkit.audio.silence import is_silent
from mashkit.components import ComponentInfo, whole
from mashkit.features.tuner import at_concert_pitch
from mashkit.interfaces import Analyzer
from mashkit.models import file_sha256
from mashkit.timing.beats import tempo_of_beats
from mashkit.types import Analysis, Audio, Key, Times
from mashkit_madmom import ANALYZER, backend, bars, networks

SAMPLE_RATE = 44_100
"""Sample rate at which the networks were trained, Hz."""

FRAME_RATE = 100
"""Frames per second of the beat network."""

MIN_SECONDS = 2.0
"""Shortest mix that is analysed, seconds. The key network halves its five frames per second three times, so it has no
frame left below 1.6 s; and a tempo needs four beats, which fit in two seconds only from 90 BPM on."""

LONGEST_TRACKED = 4
"""Longest bar that the bar model tracks together with the beats, beats: the networks were trained on such bars."""

HISTOGRAM_BPM = (40.0, 250.0)
"""Default range of the comb filter bank, BPM (madmom's); options make it wider. A narrower range of candidates is cut
out of its peaks, because at the ends of the bank there are peaks that mean nothing."""

CANDIDATES = 4
"""Number of tempo candidates kept, strongest first; the weaker peaks are noise."""


def _bar_lengths(value: int | Iterable[int]) -> tuple[int, ...]:
    return (value,) if isinstance(value, int) else tuple(value)


_IN_TEMPO_RANGE = attrs.validators.and_(attrs.validators.ge(20.0), attrs.validators.le(400.0))


@attrs.define(kw_only=True, eq=False)
class MadmomAnalyzer(Analyzer):
    """Key by a convolutional network, beats and downbeats by recurrent networks and a bar model, tempo from the beats.

    The mix is first made mono, 44.1 kHz and full scale, so its level does not matter. The confidence of the key is its
    probability. The confidence of beats and of downbeats is their mean probability at the places found. The confidence
    of the metre measures how clearly bars of that length show in these probabilities
    (:func:`mashkit_madmom.bars.confidence`). The tempo candidates are the peaks of a comb filter bank's response to the
    beat probability.

    Parameters
    ----------
    beats_per_bar : int or iterable of int
        Bar lengths to choose from, beats, each ≥ 2, because bars of one beat cannot be told from each other. The bar
        model tracks lengths of up to four together with the beats, as madmom does. A longer bar is chosen only if the
        probabilities at the beats found clearly repeat with its length, because the bar model itself would take four
        times as long as the rest of the analysis. If all given lengths are above four, the bar model tracks them.
    min_bpm, max_bpm : float
        Range of the beats' tempo, within 20–400 BPM. The defaults are those of madmom. Tempo candidates outside it by
        1 BPM or more are left out.
    refine : bool
        Place each beat at the top of a parabola through the logarithm of the beat probability around its frame. Without
        it a beat is on a frame, and frames are 10 ms apart.

    Raises
    ------
    ValueError
        If an option is out of its range, or ``min_bpm`` is not below ``max_bpm``.
    """

    info: ClassVar[ComponentInfo] = ANALYZER

    beats_per_bar: tuple[int, ...] = attrs.field(
        default=(3, 4, 5, 6, 7),
        converter=_bar_lengths,
        validator=[attrs.validators.min_len(1), attrs.validators.deep_iterable(whole(2))],
    )
    min_bpm: float = attrs.field(default=55.0, converter=float, validator=_IN_TEMPO_RANGE)
    max_bpm: float = attrs.field(default=215.0, converter=float, validator=_IN_TEMPO_RANGE)
    refine: bool = attrs.field(default=True, validator=attrs.validators.instance_of(bool))

    def __attrs_post_init__(self) -> None:
        if self.min_bpm >= self.max_bpm:
            raise ValueError(f"min_bpm is {self.min_bpm:g}, not below max_bpm, which is {self.max_bpm:g}")

    def weights(self) -> Mapping[str, str]:
        """Return file name → sha256 of the key network and the eight beat networks."""
        return {Path(path).name: file_sha256(Path(path)) for path in (*backend.KEY_CNN, *backend.DOWNBEATS_BLSTM)}

    @functools.cached_property
    def _key_network(self) -> Any:
        return networks.key_network()

    @functools.cached_property
    def _beat_network(self) -> Any:
        return networks.beat_network()

    @property
    def _tracked(self) -> tuple[int, ...]:
        """The bar lengths that the bar model chooses from."""
        return tuple(one for one in self.beats_per_bar if one <= LONGEST_TRACKED) or self.beats_per_bar

    @functools.cached_property
    def _bar_model(self) -> Any:
        return backend.DBNDownBeatTrackingProcessor(
            beats_per_bar=list(self._tracked), min_bpm=self.min_bpm, max_bpm=self.max_bpm, fps=FRAME_RATE
        )

    @functools.cached_property
    def _tempo_model(self) -> Any:
        slowest, fastest = min(self.min_bpm, HISTOGRAM_BPM[0]), max(self.max_bpm, HISTOGRAM_BPM[1])
        histogram = backend.CombFilterTempoHistogramProcessor(min_bpm=slowest, max_bpm=fastest, fps=FRAME_RATE)
        return backend.TempoEstimationProcessor(
            method=None, histogram_processor=histogram, fps=FRAME_RATE, interpolate=True
        )

    def _analyze(self, mix: Audio) -> Analysis:
        mono = resample(Audio(mix.mono()[None], mix.sample_rate), SAMPLE_RATE)
        if mono.duration < MIN_SECONDS or is_silent(mono):
            return Analysis()
        signal = as_signal(mono)

        tonal = at_concert_pitch(mono)
        key_probability = self._key_network(signal if tonal is mono else as_signal(tonal))[0]
        best = int(np.argmax(key_probability))
        key = Key.parse(backend.KEY_LABELS[best])
        confidence = {"key": _probability(key_probability[best])}

        probability = self._beat_network(signal)  # (frames, 2): of a beat that is not a downbeat, of a downbeat
        of_any_beat = probability.sum(axis=1)
        decoded = self._bar_model(probability)  # (beats, 2): seconds, position in the bar from 1
        if len(decoded) == 0:
            return Analysis(key=key, confidence=confidence)
        frames = np.round(decoded[:, 0] * FRAME_RATE).astype(np.intp)
        beats = (_peaks(probability.max(axis=1), frames) if self.refine else frames) / FRAME_RATE
        confidence["beats"] = _probability(of_any_beat[frames].mean())
        offered = [one for one in self.beats_per_bar if one not in self._tracked]
        first, confidence["metre"] = bars.chosen(probability[frames], decoded[:, 1].astype(np.intp), offered)
        if first.any():
            confidence["downbeats"] = _probability(probability[frames[first], 1].mean())
        tempo = tempo_of_beats(beats)
        peaks = () if tempo is None else self._tempo_model(of_any_beat)
        candidates = [one for one in peaks if self.min_bpm - 1 < one[0] < self.max_bpm + 1][:CANDIDATES]
        return Analysis(
            key=key,
            tempo=tempo,
            beats=beats,
            downbeats=beats[first] if first.any() else None,
            confidence=confidence,
            tempo_candidates=tuple((float(bpm), float(strength)) for bpm, strength in candidates if strength > 0),
        )


def as_signal(mono: Audio) -> Any:
    """Return mono sound at 44.1 kHz, not silent, as madmom's Signal."""
    # 16-bit integers, because madmom multiplies integers by a scaled window and keeps that window for the next call:
    # a processor must never get integers first and floats later. Full scale, because peaks above 1 would wrap around;
    # the spectra log(1 + magnitude) depend on level, and the networks were trained on music mastered to full scale.
    scaled = mono.samples[0] * (np.iinfo(np.int16).max / mono.peak)
    return backend.Signal(np.round(scaled).astype(np.int16), SAMPLE_RATE)


def _peaks(probability: npt.NDArray[np.floating], frames: npt.NDArray[np.intp]) -> Times:
    """Return the positions of the peaks at ``frames``, in fractions of frames.

    The logarithm of a bell curve is a parabola, so three values around the top give its exact place (J. O. Smith:
    Spectral Audio Signal Processing, "Quadratic interpolation of spectral peaks", 2011). A frame keeps its position if
    one of its neighbours is not lower.
    """
    height = np.log(np.maximum(probability, np.finfo(np.float32).tiny).astype(np.float64))
    inner = np.clip(frames, 1, max(len(height) - 2, 1))
    before, top, after = height[inner - 1], height[inner], height[inner + 1]
    peaked = (inner == frames) & (top > before) & (top > after)
    curvature = np.where(peaked, before - 2 * top + after, -1.0)
    shift: Times = np.where(peaked, 0.5 * (before - after) / curvature, 0.0)
    return frames + shift


def _probability(value: float) -> float:
    # Rounding may make a softmax slightly larger than 1.
    return min(float(value), 1.0)
