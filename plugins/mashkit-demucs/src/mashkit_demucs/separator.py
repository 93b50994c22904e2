"""The adapter to demucs: its options, and the conversion of any mix to the models' format and back."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import torch
from demucs.apply import BagOfModels

from mashkit.audio.buffers import resampled, stems_of
from mashkit.bench.musdb18 import TEST, TRAINING
from mashkit.components import ComponentInfo, whole
from mashkit.errors import ComponentUnavailable, OptionError
from mashkit.interfaces import Separator
from mashkit.models import licence_of, optional_path
from mashkit.networks.devices import DEVICE, OnDevice, inference, known_device
from mashkit.types import STEM_NAMES, Audio, StemSet
from mashkit_demucs import SEPARATOR
from mashkit_demucs.files import FILES, TRAINED_ON_TEST_SONGS, weight_files
from mashkit_demucs.segments import separate
from mashkit_demucs.weights import LEAST_SEGMENT_S, Recipe, find, load

_SEGMENT = attrs.validators.and_(attrs.validators.ge(LEAST_SEGMENT_S), attrs.validators.lt(math.inf))

SIX_STEMS = SEPARATOR.provides | {"guitar", "piano"}
"""The stems of htdemucs_6s."""


def _strings(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _sha256s(instance: object, attribute: attrs.Attribute[tuple[str, ...]], value: Sequence[Any]) -> None:
    for one in value:
        if not (isinstance(one, str) and len(one) == 64 and set(one) <= set("0123456789abcdef")):
            raise OptionError(f"trusted_sha256 holds {one!r}", "give sha256 sums: 64 hexadecimal digits, small letters")


@attrs.define(kw_only=True, eq=False)
class DemucsSeparator(OnDevice, Separator):
    """Demucs 4, with weights that are on this machine already.

    A mix of another sample rate is resampled to the model's (44.1 kHz), and the stems are resampled back; sound that
    this loses, above all sound above 22.05 kHz, is added to "other". A mono mix is separated as two equal channels.
    Memory for anything but mix and stems does not grow with the length, and stems of more than ten minutes are in
    temporary files (:mod:`mashkit.audio.buffers`).

    The models' stems are not changed otherwise: they sum to the mix only as exactly as the models were trained to.

    Parameters
    ----------
    model : str
        A pretrained model of demucs; with ``folder`` it may also have another name.
    folder : str or Path, optional
        A folder with checkpoints, and .yaml files for bags of checkpoints, as for ``demucs --repo``. By default the
        download folders of `mashkit models` and of demucs are searched. Nothing is downloaded here.
    trusted_sha256 : sequence of str
        Hashes of .th files that may be unpickled without restriction; files with weights only need no such trust.
    device : str
        "cpu", "cuda", "cuda:<number>" or "mps"; "auto" takes the first available of CUDA, MPS and CPU.
    shifts : int
        Passes at random shifts of up to half a second, ≥ 0, whose mean is the result; 0 is one pass without shift.
    seed : int
        Seed of the shifts.
    segment_s : float, optional
        Length of the model's input, seconds; by default the length it was trained with, which is the maximum for
        transformers.
    overlap : float
        Share of a segment that the next segment also covers, 0 ≤ overlap < 1.

    Raises
    ------
    ComponentUnavailable
        If the weights are not on this machine.
    """

    model: str = attrs.field(default="htdemucs", validator=attrs.validators.instance_of(str))
    folder: Path | None = attrs.field(default=None, converter=optional_path)
    trusted_sha256: tuple[str, ...] = attrs.field(default=(), converter=_strings, validator=_sha256s)
    device: str = attrs.field(default="cpu", converter=known_device, metadata=DEVICE)
    shifts: int = attrs.field(default=0, validator=whole(0))
    seed: int = attrs.field(default=0, validator=whole(0))
    segment_s: float | None = attrs.field(default=None, validator=attrs.validators.optional(_SEGMENT))
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
        """The component's card with the stems of this model; for a model in a folder, they are known after loading."""
        if self._bag is not None:
            return attrs.evolve(SEPARATOR, provides=self._bag.sources)
        return attrs.evolve(SEPARATOR, provides=SIX_STEMS) if self.model == "htdemucs_6s" else SEPARATOR

    def weights(self) -> Mapping[str, str]:
        """Return the files in use and their hashes."""
        return self._recipe.sha256()

    def weights_license(self) -> str:
        """Return the licence of the checkpoints: of those in a folder, "unknown" if one is not a released one."""
        if self.folder is None:
            # Caches have only released weights, among them .safetensors, whose hashes are not published.
            return self.info.weights_license
        return licence_of(self._recipe.sha256_of_checkpoints(), weight_files())

    def trained_on(self) -> tuple[str, ...]:
        """Return the songs of MUSDB18 that the released weights were trained on; empty for weights of your own.

        Most were trained on 800 more songs, of which no list was published.
        """
        in_use = {path.stem.partition("-")[0] for path in self._recipe.files}

        def uses_any(models: Iterable[str]) -> bool:
            return any(name.partition("-")[0] in in_use for model in models for name in FILES[model][1])

        if uses_any(TRAINED_ON_TEST_SONGS):
            return TRAINING + TEST
        return TRAINING if uses_any(FILES) else ()

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
        return StemSet(stems_of(mix, native, buffers))
