"""The adapter to madmom's chord recognition."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import ClassVar

import attrs
import numpy as np

from mashkit.audio.files import resample
from mashkit.audio.silence import is_silent
from mashkit.components import ComponentInfo
from mashkit.features.tuner import at_concert_pitch
from mashkit.interfaces import Analyzer
from mashkit.models import require
from mashkit.types import Analysis, Audio, Chords
from mashkit.types.chords import NO_CHORD, ROOT_NAMES
from mashkit_madmom import CHORD_WEIGHTS, CHORDS
from mashkit_madmom.analyzer import SAMPLE_RATE, as_signal
from mashkit_madmom.networks import ChordNetwork

FRAME_RATE = 10
"""Frames per second of the chord network."""
MIN_SECONDS = 1.0
"""Shortest mix that is analysed, seconds; the network averages over two."""
LABELS = (*(f"{ROOT_NAMES[(9 + step) % 12]}:{quality}" for quality in ("maj", "min") for step in range(12)), NO_CHORD)
"""Labels by madmom's number, which counts from A."""


@attrs.define(kw_only=True, eq=False)
class MadmomChords(Analyzer):
    """Major and minor chords by a convolutional network and a conditional random field.

    The mix is first made mono, 44.1 kHz, full scale and brought to A = 440 Hz, so neither its level nor its tuning
    matters. Sevenths, inversions and other colours are left out: the networks' classes are 24 chords and no chord.

    Examples
    --------
    >>> MadmomChords.info.provides == {"chords"}
    True
    """

    info: ClassVar[ComponentInfo] = CHORDS

    def weights(self) -> Mapping[str, str]:
        """Return file name → sha256 of the network and of the conditional random field."""
        return {require(one).name: one.sha256 for one in CHORD_WEIGHTS}

    @functools.cached_property
    def _network(self) -> ChordNetwork:
        return ChordNetwork()

    def _analyze(self, mix: Audio) -> Analysis:
        mono = resample(Audio(mix.mono()[None], mix.sample_rate), SAMPLE_RATE)
        if mono.duration < MIN_SECONDS or is_silent(mono):
            return Analysis()
        tonal = at_concert_pitch(mono)
        numbers = self._network(as_signal(tonal))
        # A frame is centred on its time. (madmom's own labels begin there, and are 50 ms late.) The sound at concert
        # pitch is longer or shorter than the mix, because it was resampled.
        begins = np.maximum(np.arange(len(numbers)) - 0.5, 0) / FRAME_RATE * (mono.duration / tonal.duration)
        inside = begins < mix.duration
        chords = Chords.joined([*begins[inside], mix.duration], [LABELS[number] for number in numbers[inside].tolist()])
        return Analysis(chords=chords)
