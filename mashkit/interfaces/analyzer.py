"""Analyzer: the interface of components that estimate key, tempo, beats, downbeats, chords and melody of a mix."""

from __future__ import annotations

import json
import math
from abc import abstractmethod
from typing import ClassVar

import attrs
import numpy as np

from mashkit.audio.buffers import shifted
from mashkit.audio.levels import channels_cancel, constant_offset, one_signal, usual_gain
from mashkit.audio.silence import is_silent
from mashkit.components import Component
from mashkit.errors import AnalysisError, AudioError, ContractViolation, raised
from mashkit.features.tuning import tuned
from mashkit.types import Analysis, Audio, Key, require_audio

ANALYSIS_FIELDS = frozenset({"key", "tempo", "beats", "downbeats", "chords", "melody"})
"""Fields that an analyzer can provide."""


@attrs.define(kw_only=True, eq=False)
class Analyzer(Component):
    """Analyzes a mix. ``info.provides`` names the fields that the analyzer sets; the other fields stay None.

    Examples
    --------
    >>> import mashkit as mk
    >>> import numpy as np
    >>> from mashkit.testing import signals
    >>> class Metronome(mk.Analyzer):
    ...     # Finds 120 BPM in everything.
    ...     info = mk.ComponentInfo(
    ...         name="metronome", target="metronome:Metronome", summary="120 BPM", code_license="MIT",
    ...         provides={"tempo", "beats"},
    ...     )
    ...     def _analyze(self, mix):
    ...         return mk.Analysis(tempo=120.0, beats=np.arange(0.5, mix.duration, 0.5))
    >>> found = Metronome().analyze(signals.chord_progression(seconds=3.0))
    >>> found.beats.tolist(), found.key, round(found.tuning)
    ([0.5, 1.0, 1.5, 2.0, 2.5], None, 0)
    """

    kind: ClassVar[str] = "analyzer"
    abilities: ClassVar[frozenset[str] | None] = ANALYSIS_FIELDS

    def analyze(self, mix: Audio) -> Analysis:
        """Return the analysis of ``mix``.

        Parameters
        ----------
        mix : Audio
            Any sample rate, one or two channels, at least one frame; not altered. If the phases of the channels are
            opposite, their difference is analysed. A constant offset is first taken off, and if the level is far from
            that of published music, it is changed to a usual level (:mod:`mashkit.audio.levels`).

        Returns
        -------
        Analysis
            Only fields in ``info.provides`` are set. A field is None if the music has no such property, because a guess
            must not look like a fact: silence has neither key nor beats. The tuning is always added
            (:func:`mashkit.features.tuner.tuning_of`, unless the analyzer sets it), and the key is adapted to the
            tuning.

        Raises
        ------
        AudioError
            If the mix is empty or has more than two channels.
        ComponentFailed
            If the backend raises.
        ContractViolation
            If a field is set that is not in ``info.provides``, or a time lies outside the mix.
        """
        require_audio(mix)
        if mix.frames == 0:
            raise AudioError("the mix is empty: nothing to analyze")
        if mix.channels > 2:
            raise AudioError(f"the mix has {mix.channels} channels", "downmix it to stereo first")
        heard = Audio(one_signal(mix)[None], mix.sample_rate) if channels_cancel(mix) else mix
        if is_silent(heard):  # at its own level: a noise floor that was raised would not be silent
            return Analysis()
        heard = _at_usual_level(shifted(heard, -constant_offset(heard)))
        with self.backend_call("analyze"):
            try:
                analysis = self._analyze(heard)
            except AnalysisError as error:
                raise ContractViolation(f"{self._failed_to('analyze')}: {error.problem}", error.fix) from error
        self.require_result(analysis, Analysis, "analyze")
        self._require_plain(analysis)
        for field in sorted(ANALYSIS_FIELDS - self.info.provides):
            if getattr(analysis, field) is not None:
                raise ContractViolation(f"analyzer {self.info.name!r} set {field}, which it does not provide")
        if analysis.beats is not None and len(analysis.beats) and analysis.beats[-1] > mix.duration:
            raise ContractViolation(
                f"analyzer {self.info.name!r} found a beat at {analysis.beats[-1]:.3f} s in {mix.duration:.3f} s"
            )
        for field, times in (("chord", analysis.chords), ("melody", analysis.melody)):
            if times is not None and times.times[-1] > mix.duration:
                raise ContractViolation(
                    f"analyzer {self.info.name!r} gave a {field} until {times.times[-1]:.3f} s in {mix.duration:.3f} s"
                )
        if analysis.tuning is not None:
            return analysis
        from mashkit.features.tuner import tuning_of  # imported here because it imports scipy, which few commands need

        return tuned(analysis, tuning_of(heard))

    def _require_plain(self, analysis: Analysis) -> None:
        """Raise ContractViolation at once if an analysis cannot be stored as JSON, because it is stored much later."""
        if analysis.key is not None:
            self.require_result(analysis.key, Key, "analyze")
        try:
            json.dumps(analysis.to_dict(), allow_nan=False)
        except (TypeError, ValueError, AttributeError) as error:
            raise ContractViolation(
                f"{self._failed_to('analyze')}: its analysis is not plain data: {raised(error)}",
                "give Python's own numbers, none of them NaN",
            ) from error

    @abstractmethod
    def _analyze(self, mix: Audio) -> Analysis:
        """Analyze a non-empty mono or stereo mix of a usual level, without an offset, that is not silent."""


def _at_usual_level(mix: Audio) -> Audio:
    """Return the mix at a usual level; the mix itself if it has one."""
    # The gain is a power of two, which scales float32 without rounding, so that only level-dependent results change.
    gain = 2.0 ** round(math.log2(usual_gain(mix.peak)))
    return mix if gain == 1 else Audio(mix.samples * np.float32(gain), mix.sample_rate)
