"""Analyzer: key, tempo, beats and downbeats of a mix."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import attrs

from mashkit.components import Component
from mashkit.errors import AudioError, ContractViolation
from mashkit.types import Analysis, Audio, require_audio

ANALYSIS_FIELDS = frozenset({"key", "tempo", "beats", "downbeats"})
"""What an analyzer can provide."""


@attrs.define(kw_only=True, eq=False)
class Analyzer(Component):
    """Finds out about a mix. ``info.provides`` names the fields it fills; the others it leaves None."""

    kind: ClassVar[str] = "analyzer"

    def analyze(self, mix: Audio) -> Analysis:
        """Return what can be known of ``mix``.

        Parameters
        ----------
        mix : Audio
            Any rate, one or two channels, at least one frame; not altered.

        Returns
        -------
        Analysis
            Only fields in ``info.provides`` are set, and one of those is None where the music has no answer
            (silence has neither key nor beats): never a guess dressed as a fact.

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
        with self.backend_call("analyze"):
            analysis = self._analyze(mix)
        for field in sorted(ANALYSIS_FIELDS - self.info.provides):
            if getattr(analysis, field) is not None:
                raise ContractViolation(f"analyzer {self.info.name!r} set {field}, which it does not provide")
        if analysis.beats is not None and len(analysis.beats) and analysis.beats[-1] > mix.duration:
            raise ContractViolation(
                f"analyzer {self.info.name!r} found a beat at {analysis.beats[-1]:.3f} s in {mix.duration:.3f} s"
            )
        return analysis

    @abstractmethod
    def _analyze(self, mix: Audio) -> Analysis:
        """Analyze a non-empty mono or stereo mix."""
