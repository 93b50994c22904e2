"""Separator: one mix in, its stems out."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import attrs

from mashkit.audiobuffer import weighted_sum
from mashkit.components import Component
from mashkit.errors import AudioError, ContractViolation
from mashkit.levels import usual_gain
from mashkit.types import Audio, StemSet, require_audio


@attrs.define(kw_only=True, eq=False)
class Separator(Component):
    """Splits a mix into stems of the same rate, channels and frames, which sum to about the mix.

    ``info.provides`` lists the stem names.
    """

    kind: ClassVar[str] = "separator"

    def separate(self, mix: Audio, *, peak: float | None = None) -> StemSet:
        """Return the stems of ``mix``, which do not depend on its level.

        A mix whose peak is far from what published music has (:data:`mashkit.levels.USUAL_PEAK`) is separated at a
        usual one, and the stems brought back: networks were trained on published music, and lose up to 6 dB of a vocal
        at a peak of −30 dB.

        Parameters
        ----------
        mix : Audio
            Any rate, one or two channels, at least one frame; not altered.
        peak : float, optional
            Largest absolute sample of the recording that the mix was cut from, which is then what counts: a quiet part
            of a loud song is left as it is. By default the mix's own.

        Returns
        -------
        StemSet
            The stems named in ``info.provides``, each with the mix's rate, channels and frames.

        Raises
        ------
        AudioError
            If the mix is empty or has more than two channels.
        ComponentFailed
            If the backend raises.
        ContractViolation
            If what the backend returns breaks the above.
        """
        require_audio(mix)
        if mix.frames == 0:
            raise AudioError("the mix is empty: nothing to separate")
        if mix.channels > 2:
            raise AudioError(f"the mix has {mix.channels} channels", "downmix it to stereo first")
        with self.backend_call("separate"):
            gain = usual_gain(mix.peak if peak is None else peak)
            stems = self._separate(mix if gain == 1 else weighted_sum([(gain, mix)]))
        self.require_result(stems, StemSet, "separate")
        if set(stems.stems) != self.info.provides:
            raise ContractViolation(
                f"separator {self.info.name!r} promises {sorted(self.info.provides)}, gave {sorted(stems.stems)}"
            )
        for name, stem in stems.stems.items():
            if (stem.sample_rate, *stem.samples.shape) != (mix.sample_rate, *mix.samples.shape):
                raise ContractViolation(
                    f"separator {self.info.name!r} gave {name} as {stem.samples.shape} at {stem.sample_rate} Hz "
                    f"for a mix of {mix.samples.shape} at {mix.sample_rate} Hz"
                )
        if gain == 1:
            return stems
        return StemSet({name: weighted_sum([(1 / gain, stem)]) for name, stem in stems.stems.items()})

    @abstractmethod
    def _separate(self, mix: Audio) -> StemSet:
        """Separate a non-empty mono or stereo mix of a usual level."""
