"""madmom's networks, evaluated with few large matrix products in place of many small ones.

The weights are madmom's, and the results are equal except for rounding (tests compare them); only the order of the
computation differs. madmom convolves each pair of channels separately, and computes eight networks, two directions and
four gates one after the other, which takes most of the time of an analysis.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mashkit.models import require
from mashkit_madmom import CHORD_WEIGHTS, WEIGHTS
from mashkit_madmom.backend import (
    BatchNormLayer,
    CNNChordFeatureProcessor,
    CNNKeyRecognitionProcessor,
    ConvolutionalLayer,
    CRFChordRecognitionProcessor,
    NeuralNetwork,
    NeuralNetworkEnsemble,
    RNNDownBeatProcessor,
)

Floats = npt.NDArray[np.float32]

_GATES = ("input_gate", "forget_gate", "output_gate", "cell")


def _sigmoid(values: Floats) -> Floats:
    # tanh is used because the exponential of a large number would overflow float32.
    half = np.float32(0.5)
    result: Floats = half + half * np.tanh(half * values)
    return result


class BidirectionalEnsemble:
    """The mean of networks of bidirectional LSTM layers with peepholes [1]_ and a softmax layer on top.

    All networks and both directions compute each time step together.

    Parameters
    ----------
    networks : sequence of madmom.ml.nn.NeuralNetwork
        Networks of one architecture.

    References
    ----------
    .. [1] Gers, F. A.; Schmidhuber, J.: Recurrent nets that time and count, IJCNN 2000.
    """

    def __init__(self, networks: Sequence[NeuralNetwork]) -> None:
        *recurrent, top = zip(*(network.layers for network in networks), strict=True)
        self._layers = [_BidirectionalLayers(layers) for layers in recurrent]
        self._weights = np.array([layer.weights for layer in top], np.float32)
        self._bias = np.array([layer.bias for layer in top], np.float32)[:, None]

    def __call__(self, features: npt.NDArray[Any]) -> Floats:
        """Return the probability of each class, shape (frames, classes), for features of shape (frames, inputs)."""
        values = np.asarray(features, np.float32)[None]
        for layer in self._layers:
            values = layer(values)
        scores = values @ self._weights + self._bias
        odds = np.exp(scores - scores.max(axis=-1, keepdims=True))
        probabilities: Floats = (odds / odds.sum(axis=-1, keepdims=True)).mean(axis=0)
        return probabilities


class _BidirectionalLayers:
    """One bidirectional LSTM layer of each network; an axis called "cells" runs over networks × directions."""

    def __init__(self, layers: Sequence[Any]) -> None:
        directions = [direction for layer in layers for direction in (layer.fwd_layer, layer.bwd_layer)]

        def gates(name: str) -> Floats:
            return np.array([np.hstack([getattr(getattr(one, gate), name) for gate in _GATES]) for one in directions],
                            np.float32)  # fmt: skip

        def peepholes(*names: str) -> Floats:
            weights = [np.hstack([getattr(one, name).peephole_weights for name in names]) for one in directions]
            return np.array(weights, np.float32)[:, None]

        self._weights = gates("weights")  # (cells, inputs, 4 · hidden)
        self._bias = gates("bias")[:, None]
        self._recurrent = gates("recurrent_weights")
        self._peepholes_in_forget = peepholes("input_gate", "forget_gate")
        self._peepholes_out = peepholes("output_gate")

    def __call__(self, values: Floats) -> Floats:
        """Return outputs (networks, frames, 2 · hidden) for (networks or 1, frames, inputs)."""
        cells, hidden = self._recurrent.shape[:2]
        frames = values.shape[1]
        # The input is broadcast over networks that share it; the second direction reads it backwards.
        both = np.broadcast_to(values, (cells // 2, *values.shape[1:]))
        both = np.stack([both, both[:, ::-1]], axis=1).reshape(cells, frames, -1)
        driven = np.ascontiguousarray(np.swapaxes(both @ self._weights + self._bias, 0, 1))[:, :, None]
        output = np.empty((frames, cells, 1, hidden), np.float32)
        state = previous = np.zeros((cells, 1, hidden), np.float32)
        for frame in range(frames):
            drive = driven[frame] + previous @ self._recurrent
            seen = np.concatenate([state, state], axis=-1) * self._peepholes_in_forget
            opened = _sigmoid(drive[..., : 2 * hidden] + seen)
            entering = np.tanh(drive[..., 3 * hidden :])
            state = entering * opened[..., :hidden] + state * opened[..., hidden:]
            leaving = _sigmoid(drive[..., 2 * hidden : 3 * hidden] + state * self._peepholes_out)
            previous = output[frame] = np.tanh(state) * leaving
        paired = output.reshape(frames, cells // 2, 2, hidden).transpose(1, 2, 0, 3)
        return np.concatenate([paired[:, 0], paired[:, 1, ::-1]], axis=-1)


class MatrixConvolution:
    """A convolutional layer of madmom, computed for all channels in one product.

    Parameters
    ----------
    layer : madmom.ml.nn.layers.ConvolutionalLayer
        Without padding, stride or activation function.

    Raises
    ------
    ValueError
        If the layer has padding, a stride or an activation function.
    """

    def __init__(self, layer: ConvolutionalLayer) -> None:
        if layer.pad != "valid" or layer.stride != 1 or layer.activation_fn.__name__ != "linear":
            raise ValueError("the convolution has padding, a stride or an activation function")
        # The kernel is flipped, because a convolution reads it backwards and a product with a window does not.
        self._kernel = np.asarray(layer.weights, np.float32)[:, :, ::-1, ::-1].transpose(0, 2, 3, 1)
        self._bias = layer.bias

    def __call__(self, values: npt.NDArray[Any], **_: object) -> Floats:
        """Return (frames, bins, features) for (frames, bins) or (frames, bins, channels)."""
        values = np.asarray(values, np.float32)
        values = values.reshape(*values.shape[:2], -1)
        windows = np.lib.stride_tricks.sliding_window_view(values, self._kernel.shape[1:3], axis=(0, 1))
        convolved: Floats = np.tensordot(windows, self._kernel, axes=((2, 3, 4), (0, 1, 2))) + self._bias
        return convolved


def key_network() -> Any:
    """Return madmom's key recognition, from Signal to the probability of each key, with its convolutions replaced.

    Raises
    ------
    ModelError
        If the network's file is not the verified one; an unknown pickle is not read, because reading it can run code.
    """
    _require("key")
    processor = CNNKeyRecognitionProcessor()
    for network in processor.processors[_ensemble_of(processor)].processors[0].processors:
        network.layers = [
            MatrixConvolution(layer) if isinstance(layer, ConvolutionalLayer) else layer for layer in network.layers
        ]
    return processor


def beat_network() -> Any:
    """Return madmom's beat network, from Signal to P(beat), P(downbeat) per frame, with its ensemble replaced.

    Raises
    ------
    ModelError
        As :func:`key_network`.
    """
    _require("beats")
    processor = RNNDownBeatProcessor()
    position = _ensemble_of(processor)
    networks = processor.processors[position].processors[0].processors
    processor.processors[position] = BidirectionalEnsemble(networks)
    return processor


CHORD_BLOCK = 600
"""Frames of the chord network computed at a time, a minute: 80 MB for the windows of its widest layer (ours)."""
_CHORD_PADDING = 11
"""Frames of silence that madmom puts before the first frame and after the last (``features.chords._cnncfp_pad``)."""


class ChordNetwork:
    """madmom's chord recognition, from Signal to the number of the chord of each frame.

    It is computed in blocks, so that memory does not grow with the length, except for the spectrogram, 45 kB a minute.

    Raises
    ------
    ModelError
        As :func:`key_network`.
    """

    def __init__(self) -> None:
        _require("chords")
        signal, frames, stft, spectrogram, _, network, *_ = CNNChordFeatureProcessor().processors
        self._framing, self._spectrogram = (signal, frames), (stft, spectrogram)
        network.layers = [
            MatrixConvolution(layer) if isinstance(layer, ConvolutionalLayer) else layer for layer in network.layers
        ]
        for layer in network.layers:
            if isinstance(layer, BatchNormLayer):
                layer.activation_fn = _rectified
        self._network = network
        self._field = CRFChordRecognitionProcessor().processors[0]

    def features(self, sound: Any) -> Floats:
        """Return the features that the network has learned, shape (frames, 128)."""
        framed = _through(self._framing, sound)
        blocks = range(0, len(framed), CHORD_BLOCK)
        spectrum = np.concatenate(
            [_through(self._spectrogram, framed[start : start + CHORD_BLOCK]) for start in blocks]
        )
        padded = np.pad(np.asarray(spectrum, np.float32), ((_CHORD_PADDING, _CHORD_PADDING), (0, 0)))
        return np.concatenate(
            [self._block(padded[start : start + CHORD_BLOCK + 2 * _CHORD_PADDING]) for start in blocks]
        )

    def _block(self, padded: Floats) -> Floats:
        """Return the features of a block, shape (frames, 128), given with the frames that its edges depend on."""
        values = np.asarray(self._network(padded), np.float32).mean(axis=1)
        # Three successive frames are averaged, as madmom's superframes are.
        mean: Floats = (values[:-2] + values[1:-1] + values[2:]) / np.float32(3)
        return mean

    def __call__(self, sound: Any) -> npt.NDArray[np.intp]:
        """Return the chord of each frame: 0–11 major from A on, 12–23 minor from A on, 24 none."""
        return np.asarray(self._field(self.features(sound)), np.intp)


def _through(processors: Iterable[Any], values: Any) -> Any:
    """Return what madmom's processors make of values, one after the other."""
    for processor in processors:
        values = processor(values)
    return values


def _rectified(values: Floats, out: Floats) -> None:
    """Do what madmom's ``relu`` does, which calls numpy in a way that it warns of."""
    np.maximum(values, 0, out=out)


def _require(model: str) -> None:
    for weights in (*WEIGHTS, *CHORD_WEIGHTS):
        if weights.model == model:
            require(weights)


def _ensemble_of(processor: Any) -> int:
    kinds = [isinstance(step, NeuralNetworkEnsemble) for step in processor.processors]
    return kinds.index(True)
