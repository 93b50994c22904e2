"""The adapter to Beat This!."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import attrs
import numpy as np
import torch
from beat_this.model.postprocessor import Postprocessor  # type: ignore[import-untyped]

from mashkit.audio.buffers import resampled, settle
from mashkit.components import ComponentInfo
from mashkit.errors import ComponentUnavailable
from mashkit.interfaces import Analyzer
from mashkit.models import licence_of, optional_path
from mashkit.networks.devices import DEVICE, OnDevice, inference, known_device
from mashkit.timing.beats import tempo_of_beats
from mashkit.types import Analysis, Audio, Samples, Times
from mashkit_beat_this import ANALYZER
from mashkit_beat_this.spectrogram import BANDS, FRAME_RATE, SAMPLE_RATE, frame_count, log_mel
from mashkit_beat_this.weights import KNOWN, Checkpoint, find, load

CHUNK = 1500
"""Spectra that the network processes at once, 30 s: what it was trained on (beat_this's ``spect2frames``)."""
BORDER = 6
"""Spectra at each end of a chunk whose results are not used (same source)."""
MIN_SECONDS = 2.0
"""Shortest mix that is analysed, seconds; a shorter mix rarely has the four beats of a tempo."""

_NEVER = -1000.0  # the logit of a place that no chunk has reached, as in beat_this


@attrs.define(kw_only=True, eq=False)
class BeatThisAnalyzer(OnDevice, Analyzer):
    """Beats and downbeats by Beat This!, tempo from the beats.

    The mix is resampled to 22.05 kHz and made mono. The network processes 30 s at a time, so memory for anything but
    the mix does not grow with its length; a resampled mix of more than 20 minutes is in a temporary file
    (:mod:`mashkit.audio.buffers`). The confidence of beats and of downbeats is their mean probability at the places
    found.

    Parameters
    ----------
    model : str
        "final0", or "small0", which is a tenth of its size; with a folder also another name.
    folder : str or Path, optional
        Folder with ``<model>.ckpt``. By default the folder of `mashkit models` and beat_this's own cache are searched.
        Nothing is downloaded here.
    decoder : {"peaks", "dbn"}
        How beats are chosen: all peaks above a probability of one half, as its authors recommend; or by madmom's
        dynamic Bayesian network [1]_, which keeps a steady tempo of 55–215 BPM in bars of three or four beats. It needs
        `pip install mashkit-beat-this[dbn]`; only code of madmom is used, none of its weights.
    device : str
        "cpu", "cuda", "cuda:<number>" or "mps"; "auto" takes the first available of CUDA, MPS and CPU.

    Raises
    ------
    ComponentUnavailable
        If the weights are not on this machine, or the decoder is not installed.

    References
    ----------
    .. [1] Böck, Krebs, Widmer: Joint beat and downbeat tracking with recurrent neural networks, ISMIR 2016.

    Examples
    --------
    >>> BeatThisAnalyzer.info.provides == {"tempo", "beats", "downbeats"}
    True
    """

    info: ClassVar[ComponentInfo] = ANALYZER

    model: str = attrs.field(default="final0", validator=attrs.validators.matches_re(r"[\w.-]+"))
    folder: Path | None = attrs.field(default=None, converter=optional_path)
    decoder: Literal["peaks", "dbn"] = attrs.field(default="peaks", validator=attrs.validators.in_(("peaks", "dbn")))
    device: str = attrs.field(default="cpu", converter=known_device, metadata=DEVICE)
    _checkpoint: Checkpoint = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._checkpoint = find(self.model, self.folder)
        if self.decoder == "dbn":
            _import_madmom()

    def weights(self) -> Mapping[str, str]:
        """Return the file in use and its hash."""
        return self._checkpoint.hashes()

    def weights_license(self) -> str:
        """Return the licence of the file: "unknown" if it is not a released model."""
        return licence_of(self.weights(), KNOWN.values())

    @functools.cached_property
    def _network(self) -> Any:
        return load(self._checkpoint).to(self.device)

    @functools.cached_property
    def _decoded(self) -> Any:
        return Postprocessor(type="dbn" if self.decoder == "dbn" else "minimal", fps=round(FRAME_RATE))

    def _analyze(self, mix: Audio) -> Analysis:
        if mix.duration < MIN_SECONDS:
            return Analysis()
        heard = resampled(mix, SAMPLE_RATE)
        beat, downbeat = self._logits(heard.samples)
        beats, downbeats = (_inside(times, mix.duration) for times in self._decoded(beat, downbeat))
        if len(beats) == 0:
            return Analysis()
        confidence = {"beats": _probability(beat, beats)}
        if len(downbeats):
            confidence["downbeats"] = _probability(downbeat, downbeats)
        return Analysis(
            tempo=tempo_of_beats(beats, frame_s=1 / FRAME_RATE),
            beats=beats,
            downbeats=downbeats if len(downbeats) else None,
            confidence=confidence,
        )

    def _logits(self, samples: Samples) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the logits of a beat and of a downbeat for each spectrum, as beat_this joins them from chunks.

        Where two chunks overlap, the earlier one counts.
        """
        total = frame_count(samples.shape[1])
        logits = torch.full((2, total), _NEVER)
        reached = 0
        with inference():
            for start in _starts(total):
                first, last = max(start, 0), min(start + CHUNK, total)
                spectra = log_mel(samples, first, last)
                settle(samples)
                # Silence before the beginning and after the end, in place of the border.
                after = max(0, min(BORDER, start + CHUNK - total))
                chunk = torch.cat([spectra.new_zeros(first - start, BANDS), spectra, spectra.new_zeros(after, BANDS)])
                found = self._network(chunk[None].to(self.device))
                inner = torch.stack([found["beat"][0], found["downbeat"][0]])[:, BORDER:-BORDER].float().cpu()
                begin = start + BORDER
                logits[:, reached : begin + inner.shape[1]] = inner[:, reached - begin :]
                reached = begin + inner.shape[1]
        return logits[0], logits[1]


def _starts(total: int) -> list[int]:
    """Return the first spectrum of each chunk; the last chunk ends where the sound does, so that none is short."""
    starts = list(range(-BORDER, total - BORDER, CHUNK - 2 * BORDER))
    if total > CHUNK - 2 * BORDER:
        starts[-1] = total - (CHUNK - BORDER)
    return starts


def _inside(times: Times, duration: float) -> Times:
    """Return the times as an increasing array, without those that rounding put behind the end."""
    found = np.unique(np.asarray(times, np.float64))
    return found[found <= duration]


def _probability(logits: torch.Tensor, times: Times) -> float:
    frames = np.minimum(np.round(times * FRAME_RATE).astype(np.int64), len(logits) - 1)
    return float(torch.sigmoid(logits[torch.from_numpy(frames)]).mean())


def _import_madmom() -> None:
    # beat_this imports madmom when it makes the decoder. On current Python that import only succeeds as mashkit_madmom
    # does it, and afterwards the module is there.
    try:
        import mashkit_madmom.backend  # noqa: F401
    except ImportError as error:
        raise ComponentUnavailable(
            f"decoder 'dbn' of analyzer beat-this needs madmom: {error}", "pip install mashkit-beat-this[dbn]"
        ) from error
