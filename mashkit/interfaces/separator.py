"""Separator: one mix in, its stems out."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import attrs

from mashkit.components import Component
from mashkit.errors import AudioError, ContractViolation
from mashkit.types import Audio, StemSet, require_audio


@attrs.define(kw_only=True, eq=False)
class Separator(Component):
    """Splits a mix into stems of the same rate, channels and frames, which sum to about the mix.

    ``info.provides`` lists the stem names.
    """

    kind: ClassVar[str] = "separator"

    def separate(self, mix: Audio) -> StemSet:
        """Return the stems of ``mix``.

        Parameters
        ----------
        mix : Audio
            Any rate, one or two channels, at least one frame; not altered.

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
            stems = self._separate(mix)
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
        return stems

    @abstractmethod
    def _separate(self, mix: Audio) -> StemSet:
        """Separate a non-empty mono or stereo mix."""
