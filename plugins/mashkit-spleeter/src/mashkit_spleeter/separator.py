"""The adapter to Spleeter."""

from __future__ import annotations

import functools
import importlib.resources
import json
import logging
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import attrs

from mashkit.audio.buffers import resampled, stems_of
from mashkit.components import ComponentInfo
from mashkit.interfaces import Separator
from mashkit.models import licence_of, optional_path
from mashkit.types import Audio, StemSet
from mashkit_spleeter import SEPARATOR, WEIGHTS
from mashkit_spleeter.models import hashes, model_folder
from mashkit_spleeter.pieces import separate

SAMPLE_RATE = 44_100
"""Sample rate at which Spleeter was trained, Hz."""

STEMS: Mapping[int, tuple[str, ...]] = {
    2: ("vocals", "other"),
    4: ("vocals", "drums", "bass", "other"),
    5: ("vocals", "drums", "bass", "piano", "other"),
}
"""Number of stems → mashkit's names of the stems; with two stems, Spleeter calls "other" "accompaniment"."""


@attrs.define(kw_only=True, eq=False)
class SpleeterSeparator(Separator):
    """Spleeter, as Deezer released it.

    The model works at 44.1 kHz: a mix of another rate is resampled, the stems are resampled back, and sound above
    22.05 kHz is in "other". A mono mix is separated as two equal channels. Memory for anything but mix and stems does
    not grow with the length, because a mix of more than 71 s is separated in pieces. Stems of more than ten minutes are
    in temporary files (:mod:`mashkit.audio.buffers`).

    Parameters
    ----------
    stems : {2, 4, 5}
        Number of stems, which selects Spleeter's model. The card lists the two stems; five are vocals, drums, bass,
        piano and other.
    folder : str or Path, optional
        Folder with the models (``2stems/``, …), as Spleeter's MODEL_PATH. Without it, the 2-stem model that
        `mashkit env create spleeter` installs is used; nothing is ever downloaded.
    mwf : bool
        Refine the masks by multichannel Wiener filtering (norbert); slower.
    mask_extension : {"average", "zeros"}
        Masks above the networks' 11,025 Hz: the mean of the frame's mask below ("average"), or 0 as in Spleeter's
        released configurations ("zeros"). With "zeros" the stems do not sum to the mix above 11,025 Hz.
    """

    stems: Literal[2, 4, 5] = attrs.field(default=2, validator=attrs.validators.in_(tuple(STEMS)))
    folder: Path | None = attrs.field(default=None, converter=optional_path)
    mwf: bool = attrs.field(default=False, validator=attrs.validators.instance_of(bool))
    mask_extension: Literal["average", "zeros"] = attrs.field(
        default="average", validator=attrs.validators.in_(("average", "zeros"))
    )

    @property
    def info(self) -> ComponentInfo:  # type: ignore[override]  # what it provides depends on the model
        """The registered card, with the stems of the chosen model."""
        return attrs.evolve(SEPARATOR, provides=STEMS[self.stems])

    def weights(self) -> Mapping[str, str]:
        """Return the files of the model, with their hashes."""
        model = model_folder(f"{self.stems}stems", self.folder)
        return {f"{model.name}/{name}": digest for name, digest in hashes(model).items()}

    def weights_license(self) -> str:
        """Return the licence of the model: "unknown" for four and five stems, whose files are not registered."""
        return licence_of(self.weights(), WEIGHTS)

    def _separate(self, mix: Audio) -> StemSet:
        native = resampled(mix, SAMPLE_RATE)
        backend = _backend(
            f"{self.stems}stems", model_folder(f"{self.stems}stems", self.folder), self.mwf, self.mask_extension
        )
        theirs = {"accompaniment" if self.stems == 2 and name == "other" else name: name for name in STEMS[self.stems]}
        buffers = separate(backend, native, list(theirs))
        return StemSet(stems_of(mix, native, {ours: buffers.pop(name) for name, ours in theirs.items()}))


@functools.cache
def _backend(name: str, model: Path, mwf: bool, mask_extension: str) -> Any:
    """Return Spleeter with one model and configuration, made once per process."""
    hashes(model)
    # Set before the import, because TensorFlow otherwise prints every processor feature and missing GPU library.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow  # type: ignore[import-untyped]  # mypy runs where TensorFlow is not installed

    tensorflow.get_logger().setLevel(logging.ERROR)
    from spleeter import resources  # type: ignore[import-not-found]
    from spleeter.separator import Separator as Spleeter  # type: ignore[import-not-found]

    configuration = json.loads((importlib.resources.files(resources) / f"{name}.json").read_text(encoding="utf-8"))
    # Spleeter does not try to download a model only if the folder is absolute and exists.
    configuration |= {"model_dir": str(model), "mask_extension": mask_extension}
    with tempfile.TemporaryDirectory() as folder:
        descriptor = Path(folder) / f"{name}.json"
        descriptor.write_text(json.dumps(configuration), encoding="utf-8")
        return Spleeter(str(descriptor), MWF=mwf, multiprocess=False)
