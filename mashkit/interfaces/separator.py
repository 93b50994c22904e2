"""Separator: the interface of components that split a mix into stems."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import ClassVar

import attrs
import numpy as np

from mashkit.arguments import require_all, require_number
from mashkit.audio.buffers import shifted, weighted_sum
from mashkit.audio.levels import constant_offset, usual_gain
from mashkit.components import Component
from mashkit.errors import AudioError, ContractViolation, UsageError
from mashkit.types import Audio, StemSet, require_audio
from mashkit.types.stems import REST, STEM_NAMES


@attrs.define(kw_only=True, eq=False)
class Separator(Component):
    """Splits a mix into stems of the same sample rate, channels and frames, whose sum is about the mix.

    ``info.provides`` lists the stem names.

    Examples
    --------
    >>> import mashkit as mk
    >>> import numpy as np
    >>> from mashkit.testing import signals
    >>> class Thirds(mk.Separator):
    ...     # A third of the mix to each stem: the least a separator has to do.
    ...     info = mk.ComponentInfo(
    ...         name="thirds", target="thirds:Thirds", summary="A third each", code_license="MIT",
    ...         provides={"vocals", "drums", "other"},
    ...     )
    ...     def _separate(self, mix):
    ...         third = mk.Audio(mix.samples / np.float32(3), mix.sample_rate)
    ...         return mk.StemSet(dict.fromkeys(self.info.provides, third))
    >>> mix = signals.noise(1.0)
    >>> stems = Thirds().separate(mix)
    >>> sorted(stems.stems), round(stems.role(mk.Role.VOCAL).peak / mix.peak, 3)
    (['drums', 'other', 'vocals'], 0.333)
    >>> Thirds().separate(mix.excerpt(0, 0))
    Traceback (most recent call last):
        ...
    mashkit.errors.AudioError: the mix is empty: nothing to separate
    """

    kind: ClassVar[str] = "separator"
    abilities: ClassVar[frozenset[str] | None] = frozenset(STEM_NAMES)

    def separate(self, mix: Audio, *, peak: float | None = None, stems: Iterable[str] | None = None) -> StemSet:
        """Return the stems of ``mix``. Except for their scale, they do not depend on the level of the mix.

        A mix whose peak is far from the peaks of published music (:data:`mashkit.audio.levels.USUAL_PEAK`) is separated
        at a usual peak, and its stems are scaled back. The reason is that networks were trained on published music, and
        lose up to 6 dB of a vocal at a peak of −30 dB.

        A constant offset (:func:`mashkit.audio.levels.constant_offset`) is taken off the mix before and added to the
        stem "other" afterwards, because it makes no sound, but networks give it to bass and drums. Without a stem
        "other" it is in no stem.

        Parameters
        ----------
        mix : Audio
            Any sample rate, one or two channels, at least one frame; not altered.
        peak : float, optional
            Largest absolute sample of the recording from which the mix was cut. This peak is then used, so that a quiet
            part of a loud song keeps its level. By default the mix's own peak. Both count without the mix's offset.
        stems : iterable of str, optional
            Names of the stems to return; by default all. A separator that can leave out work for the others does so
            (:meth:`_separate_some`). Most compute all stems at once.

        Returns
        -------
        StemSet
            The stems that were asked for, by default those named in ``info.provides``, each with the mix's sample rate,
            channels and frames.

        Raises
        ------
        AudioError
            If the mix is empty or has more than two channels.
        UsageError
            If a stem is asked for that the separator does not provide, or none, or ``peak`` is not a number ≥ 0.
        ComponentFailed
            If the backend raises.
        ContractViolation
            If the backend's stems have other names, or another sample rate or shape than the mix.
        """
        require_audio(mix)
        if mix.frames == 0:
            raise AudioError("the mix is empty: nothing to separate")
        if mix.channels > 2:
            raise AudioError(f"the mix has {mix.channels} channels", "downmix it to stereo first")
        peak = None if peak is None else require_number("peak", peak, 0)
        wanted = None if stems is None else self.stems_asked(stems)
        offset = constant_offset(mix, peak)
        with self.backend_call("separate"):
            heard = shifted(mix, -offset)
            gain = usual_gain(heard.peak if peak is None else max(0.0, peak - float(np.abs(offset).max())))
            heard = heard if gain == 1 else weighted_sum([(gain, heard)])
            if wanted is None or wanted == self.info.provides:
                made = self._separate(heard)
            else:
                made = self._separate_some(heard, wanted)
        self.require_result(made, StemSet, "separate")
        due = self.info.provides if wanted is None else wanted  # some cards are complete only once a model is loaded
        if set(made.stems) != due:
            raise ContractViolation(
                f"separator {self.info.name!r} promises {sorted(due)}, but returned {sorted(made.stems)}"
            )
        for name, stem in made.stems.items():
            if (stem.sample_rate, *stem.samples.shape) != (mix.sample_rate, *mix.samples.shape):
                raise ContractViolation(
                    f"separator {self.info.name!r} returned {name} as {stem.samples.shape} at {stem.sample_rate} Hz "
                    f"for a mix of {mix.samples.shape} at {mix.sample_rate} Hz"
                )
        found = dict(made.stems)
        if gain != 1:
            found = {name: weighted_sum([(1 / gain, stem)]) for name, stem in found.items()}
        if REST in found:
            found[REST] = shifted(found[REST], offset)
        return StemSet(found)

    def stems_asked(self, stems: Iterable[str]) -> frozenset[str]:
        """Return the names of the stems that :meth:`separate` would return; raise UsageError if one is not provided."""
        provided = frozenset(self.info.provides)
        wanted = frozenset(require_all("stems", stems, str, "give names of stems"))
        if not wanted or not wanted <= provided:
            unknown = ", ".join(map(repr, sorted(wanted - provided)))
            raise UsageError(
                f"separator {self.info.name!r} has no stem {unknown}" if unknown else "no stem is asked for",
                f"ask for some of {', '.join(sorted(provided))}",
            )
        return wanted

    @abstractmethod
    def _separate(self, mix: Audio) -> StemSet:
        """Separate a non-empty mono or stereo mix of a usual level, without an offset."""

    def _separate_some(self, mix: Audio, stems: frozenset[str]) -> StemSet:
        """Separate as :meth:`_separate` does, and return only ``stems``, some of those that the separator provides.

        Override it if fewer stems are less work; the stems must be the same.
        """
        made = self._separate(mix)
        self.require_result(made, StemSet, "separate")
        return StemSet({name: stem for name, stem in made.stems.items() if name in stems})
