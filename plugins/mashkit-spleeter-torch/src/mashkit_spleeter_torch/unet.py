"""The U-Net of Spleeter; Spleeter runs one for each instrument."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

FRAMES = 512
"""Frames of a segment, the fixed input length of the network (``T`` in Spleeter's 2stems configuration)."""

BINS = 1024
"""Frequency bins of the network's input, from 0 Hz up (``F`` in Spleeter's 2stems configuration)."""

_ENCODER = (2, 16, 32, 64, 128, 256, 512)
_DECODER = (256, 128, 64, 32, 16, 1)
_NORM_EPSILON = 1e-3  # Keras's default, with which Spleeter was trained
_SLOPE = 0.2  # slope of the encoder's leaky ReLU (Jansson et al.)


class Encode(nn.Module):
    """One encoder step: it halves frames and bins.

    Parameters
    ----------
    channels_in, channels_out : int
    """

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, kernel_size=5, stride=2)
        self.norm = nn.BatchNorm2d(channels_out, eps=_NORM_EPSILON)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the plain convolution, for the joint with the decoder, and the input of the next encoder step."""
        # TensorFlow's "same", for kernel 5, stride 2 and an even size, pads one frame before and two after.
        convolved = self.conv(functional.pad(x, (1, 2, 1, 2)))
        return convolved, functional.leaky_relu(self.norm(convolved), _SLOPE)


class Decode(nn.Module):
    """One decoder step: it doubles frames and bins.

    Parameters
    ----------
    channels_in, channels_out : int
    """

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(channels_in, channels_out, kernel_size=5, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(channels_out, eps=_NORM_EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """Return the output for ``x`` at twice the resolution."""
        # torch's padding of 1 crops one before and one after; TensorFlow's "same" crops one before and two after.
        normalised: Tensor = self.norm(functional.relu(self.conv(x)[..., :-1, :-1]))
        return normalised


class UNet(nn.Module):
    """Estimates one instrument's magnitude spectrogram from the mix's.

    Six strided convolutions, then six transposed convolutions, with a joint at each size, then a sigmoid mask on the
    input [1]_. Spleeter trained a variant [2]_: the joints take the convolutions before normalisation, and the decoder
    applies ReLU before normalisation. Dropout has no effect in inference and is left out.

    References
    ----------
    .. [1] Jansson et al.: Singing voice separation with deep U-Net convolutional networks, ISMIR 2017.
    .. [2] Hennequin et al.: Spleeter: a fast and efficient music source separation tool with pre-trained models,
       JOSS 5 (50), 2020, https://doi.org/10.21105/joss.02154.
    """

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList(Encode(*channels) for channels in itertools.pairwise(_ENCODER))
        joined = (_ENCODER[-1], *(2 * channels for channels in _DECODER[:-1]))
        self.up = nn.ModuleList(Decode(*channels) for channels in zip(joined, _DECODER, strict=True))
        self.mask = nn.Conv2d(1, 2, kernel_size=4, dilation=2, padding=3)

    def forward(self, magnitudes: Tensor) -> Tensor:
        """Return the estimate for ``magnitudes``, shape (segments, 2, FRAMES, BINS), in the same shape."""
        joints = []
        x = magnitudes
        for step in self.down:
            convolved, x = step(x)
            joints.append(convolved)
        # The activation of the last encoder step is not used, because the decoder begins with its plain convolution.
        x = self.up[0](joints.pop())
        for step in self.up[1:]:
            x = step(torch.cat([joints.pop(), x], dim=1))
        return magnitudes * torch.sigmoid(self.mask(x))
