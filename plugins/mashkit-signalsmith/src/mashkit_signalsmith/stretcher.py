"""The adapter to python-stretch."""

from __future__ import annotations

from typing import ClassVar

import attrs
import numpy as np
import python_stretch

from mashkit.components import ComponentInfo
from mashkit.interfaces import Stretcher
from mashkit.types import Audio
from mashkit_signalsmith import STRETCHER


@attrs.define(kw_only=True, eq=False)
class SignalsmithStretcher(Stretcher):
    """Signalsmith Stretch.

    Parameters
    ----------
    seed : int
        Seed of the library's phase randomisation, ≥ 0; it randomises only for speeds below about 0.5.
    cheaper : bool
        The library's low-CPU preset.
    """

    info: ClassVar[ComponentInfo] = STRETCHER

    seed: int = attrs.field(default=0, validator=[attrs.validators.instance_of(int), attrs.validators.ge(0)])
    cheaper: bool = attrs.field(default=False, validator=attrs.validators.instance_of(bool))

    def _stretch(self, audio: Audio, *, speed: float, semitones: float, frames: int) -> Audio:
        # A processor of its own per call: the library's object keeps state, and this is what makes us thread-safe.
        processor = python_stretch.Signalsmith.Stretch(self.seed)
        processor.preset(audio.channels, audio.sample_rate, self.cheaper)
        processor.setTimeFactor(speed)
        processor.setTransposeSemitones(semitones)
        # The library needs a window of input even for a click: give it silence, and cut the result to what is due.
        tail = processor.blockSamples() + processor.intervalSamples()
        padded = np.pad(audio.samples, ((0, 0), (0, tail)))
        stretched = np.asarray(processor.process(padded))
        return Audio(stretched[:, :frames], audio.sample_rate)
