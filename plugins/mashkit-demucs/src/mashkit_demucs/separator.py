"""The adapter: options, and the way from any mix to what the models hear and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import torch
from demucs.apply import BagOfModels

from mashkit.audiobuffer import resampled, weighted_sum
from mashkit.components import ComponentInfo
from mashkit.errors import ComponentUnavailable, OptionError
from mashkit.interfaces import Separator
from mashkit.models import optional_path
from mashkit.torch_devices import DEVICE, gpus_used, inference, known_device
from mashkit.types import STEM_NAMES, Audio, StemSet
from mashkit_demucs import SEPARATOR
from mashkit_demucs.files import FILES
from mashkit_demucs.segments import separate
from mashkit_demucs.weights import Recipe, find, load

SIX_STEMS = SEPARATOR.provides | {"guitar", "piano"}
"""Stems of htdemucs_6s."""


def _strings(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _sha256s(instance: object, attribute: attrs.Attribute[tuple[str, ...]], value: Sequence[Any]) -> None:
    for one in value:
        if not (isinstance(one, str) and len(one) == 64 and set(one) <= set("0123456789abcdef")):
            raise OptionError(f"trusted_sha256 holds {one!r}", "give sha256 sums: 64 hexadecimal digits, small letters")


def _whole(least: int) -> Any:
    return attrs.validators.and_(attrs.validators.instance_of(int), attrs.validators.ge(least))


@attrs.define(kw_only=True, eq=False)
class DemucsSeparator(Separator):
    """Demucs 4, with weights that are already on this machine.

    A mix of another rate is resampled to the model's (44.1 kHz) and the stems are brought back; what that loses, above
    all what lies beyond 22.05 kHz, goes into "other". A mono mix is heard as two equal channels. Beyond mix and stems,
    memory does not grow with the length, and stems of more than ten minutes lie in temporary files
    (:mod:`mashkit.audiobuffer`).

    The stems are otherwise what the models give: they sum to the mix as far as the models were trained to that.

    Parameters
    ----------
    model : str
        A pretrained model of demucs, or in ``folder`` also another name.
    folder : str or Path, optional
        A folder with checkpoints, and .yaml files for bags of them, as ``demucs --repo`` takes it. By default
        looked for where `mashkit models` and demucs itself put what they download. Nothing is downloaded here.
    trusted_sha256 : sequence of str
        Hashes of .th files that may be unpickled without restriction; what holds only weights needs no such trust.
    device : str
        "cpu", "cuda", "cuda:<number>" or "mps"; "auto" is the first there is of CUDA, MPS and CPU.
    shifts : int
        Passes at random shifts of up to half a second whose mean is taken, ≥ 0; 0 is one pass without shift.
    seed : int
        Of the shifts.
    segment_s : float, optional
        Length of what the model hears at once, seconds; by default what it was trained with, which transformers
        cannot exceed.
    overlap : float
        Share of a segment that the next one covers too, 0 ≤ overlap < 1.

    Raises
    ------
    ComponentUnavailable
        If the weights are not there.
    """

    model: str = attrs.field(default="htdemucs", validator=attrs.validators.instance_of(str))
    folder: Path | None = attrs.field(default=None, converter=optional_path)
    trusted_sha256: tuple[str, ...] = attrs.field(default=(), converter=_strings, validator=_sha256s)
    device: str = attrs.field(default="cpu", converter=known_device, metadata=DEVICE)
    shifts: int = attrs.field(default=0, validator=_whole(0))
    seed: int = attrs.field(default=0, validator=_whole(0))
    segment_s: float | None = attrs.field(default=None, validator=attrs.validators.optional(attrs.validators.ge(0.01)))
    overlap: float = attrs.field(
        default=0.25, validator=[attrs.validators.ge(0), attrs.validators.lt(1)]
    )  # demucs's own default
    _recipe: Recipe = attrs.field(init=False, repr=False)
    _bag: BagOfModels | None = attrs.field(default=None, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        if self.folder is None and self.model not in FILES:
            raise OptionError(f"model is {self.model!r}", f"use one of {', '.join(FILES)}, or give a folder")
        self._recipe = find(self.model, self.folder)

    @property
    def info(self) -> ComponentInfo:  # type: ignore[override]
        """The card, with the stems of this model: of one in a folder, once it was loaded."""
        if self._bag is not None:
            return attrs.evolve(SEPARATOR, provides=self._bag.sources)
        return attrs.evolve(SEPARATOR, provides=SIX_STEMS) if self.model == "htdemucs_6s" else SEPARATOR

    def weights(self) -> Mapping[str, str]:
        """Return the files in use and their hashes."""
        return self._recipe.sha256()

    def _loaded(self) -> BagOfModels:
        if self._bag is None:
            bag = load(self._recipe, self.trusted_sha256)
            unknown = sorted(set(bag.sources) - set(STEM_NAMES))
            if unknown:
                raise ComponentUnavailable(
                    f"demucs model {self.model!r} gives stems named {unknown}", f"use one that gives {STEM_NAMES}"
                )
            self._bag = bag.to(self.device)
        return self._bag

    @property
    def gpus(self) -> float:
        """One, where it computes on one."""
        return gpus_used(self.device)

    def _separate(self, mix: Audio) -> StemSet:
        bag = self._loaded()
        native = resampled(mix, bag.samplerate)
        with inference():
            buffers = separate(
                bag,
                native,
                shifts=self.shifts,
                seed=self.seed,
                segment_s=self.segment_s,
                overlap=self.overlap,
                device=torch.device(self.device),
            )
        stems = {}
        for name in bag.sources:
            stem = buffers.pop(name).audio(bag.samplerate)
            stems[name] = resampled(stem, mix.sample_rate, frames=mix.frames)
        if native is not mix and "other" in stems:
            heard = resampled(native, mix.sample_rate, frames=mix.frames)
            stems["other"] = weighted_sum([(1, stems["other"]), (1, mix), (-1, heard)])
        return StemSet(stems)
