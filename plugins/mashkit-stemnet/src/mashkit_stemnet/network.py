"""The network: a small TFC-TDF U-Net on complex spectra, which is shown the mix and Spleeter's vocals.

Conventions: spectra are complex, shape (items, 2 channels, frames, :data:`BINS`), of Spleeter's frames (4096 samples,
hop 1024, 44.1 kHz) without the bin at 22.05 kHz, of a mix whose root mean square is :data:`LEVEL`.
"""

from __future__ import annotations

import itertools
from typing import cast

import attrs
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

BINS = 2048
"""Frequency bins the network sees, from 0 Hz up."""

LEVEL = 0.1
"""Root mean square that a mix is brought to before the network hears it."""

SOURCES = ("vocals", "drums", "bass")
"""What has a mask; "other" is what these leave of the mix."""

_EPSILON = 1e-4
"""Added to magnitudes, of up to about 400 at :data:`LEVEL`, before their root is taken: silence stays small."""


@attrs.frozen(kw_only=True)
class Size:
    """How large a network is.

    Parameters
    ----------
    bands : int
        Into how many the bins are split, each a channel of its own: 2048 bins are then 2048 / ``bands`` rows.
    channels : int
        At full resolution.
    growth : int
        Channels more at each halving of rows and frames.
    scales : int
        Resolutions, the full one counted.
    bottleneck : int
        By which the layers across all frequencies narrow down.
    """

    bands: int = 4
    channels: int = 32
    growth: int = 24
    scales: int = 4
    bottleneck: int = 8

    @property
    def stride(self) -> int:
        """Of how many frames there must be a multiple."""
        return 1 << (self.scales - 1)


class Block(nn.Module):
    """TFC-TDF: convolutions over time and frequency around layers that see all frequencies of one moment.

    Parameters
    ----------
    channels_in, channels_out : int
    rows : int
    bottleneck : int
    """

    def __init__(self, channels_in: int, channels_out: int, rows: int, bottleneck: int) -> None:
        super().__init__()
        self.before = _convolution(channels_in, channels_out)
        self.across = nn.Sequential(
            nn.Linear(rows, rows // bottleneck, bias=False), nn.BatchNorm2d(channels_out), nn.ReLU(inplace=True),
            nn.Linear(rows // bottleneck, rows, bias=False), nn.BatchNorm2d(channels_out), nn.ReLU(inplace=True),
        )  # fmt: skip
        self.after = _convolution(channels_out, channels_out)

    def forward(self, x: Tensor) -> Tensor:
        """Return features of shape (items, channels_out, frames, rows)."""
        x = self.before(x)
        y: Tensor = x + self.after(x + self.across(x))
        return y


def _convolution(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    )


class StemNet(nn.Module):
    """Complex masks of vocals, drums and bass, from the spectra of a mix and of its vocals as Spleeter estimates them.

    A U-Net of TFC-TDF blocks [1]_ with channels added, not doubled, at each halving, as in KUIELab-MDX-Net [2]_; bands
    of the spectrum are channels [3]_, so that convolutions run over a quarter of the rows. Masks are complex and
    without bounds [4]_, those of the vocals relative to Spleeter's. Spectra are heard with the root of their magnitude
    (ours: soft sounds and high frequencies are no longer lost beside a kick drum).

    Parameters
    ----------
    size : Size

    References
    ----------
    .. [1] Choi, Kim, Chung, Lee and Jung: Investigating U-Nets with various intermediate blocks for spectrogram-based
       singing voice separation, ISMIR 2020.
    .. [2] Kim, Choi, Chung, Lee and Jung: KUIELab-MDX-Net: a two-stream neural network for music demixing, MDX 2021.
    .. [3] Liu, Xie, Wu and Yang: Channel-wise subband input for better voice and accompaniment separation on high
       resolution music, Interspeech 2020.
    .. [4] Williamson, Wang and Wang: Complex ratio masking for monaural speech separation, TASLP 24 (3), 2016.
    """

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.size = size
        widths = [size.channels + scale * size.growth for scale in range(size.scales)]
        rows = [BINS // size.bands // 2**scale for scale in range(size.scales)]
        self.first = nn.Conv2d(8 * size.bands, widths[0], 1)
        blocks = [Block(width, width, row, size.bottleneck) for width, row in zip(widths, rows, strict=True)]
        self.down = nn.ModuleList(blocks)
        self.narrow = nn.ModuleList(
            _step(nn.Conv2d(one, two, 2, stride=2, bias=False), two) for one, two in itertools.pairwise(widths)
        )
        self.widen = nn.ModuleList(
            _step(nn.ConvTranspose2d(two, one, 2, stride=2, bias=False), one) for one, two in itertools.pairwise(widths)
        )
        self.up = nn.ModuleList(
            Block(2 * width, width, row, size.bottleneck) for width, row in zip(widths[:-1], rows[:-1], strict=True)
        )
        self.last = nn.Conv2d(widths[0] + 8 * size.bands, 4 * len(SOURCES) * size.bands, 1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]

    def forward(self, mix: Tensor, vocals: Tensor) -> Tensor:
        """Return complex masks, shape (items, sources, 2, frames, BINS), of a multiple of stride frames."""
        items, _, frames, _ = mix.shape
        bands = self.size.bands
        heard = torch.cat([_rooted(mix), _rooted(vocals)], dim=1)
        # Bins k, k + 1, … of a band are rows; the bands are channels.
        x = heard.view(*heard.shape[:3], bands, BINS // bands).transpose(2, 3).flatten(1, 2)
        shown = x
        x = torch.relu_(self.first(x))
        joints = []
        for block, narrow in zip(self.down, self.narrow, strict=False):
            joints.append(block(x))
            x = narrow(joints[-1])
        x = self.down[-1](x)
        for block, widen in zip(reversed(self.up), reversed(self.widen), strict=True):
            x = block(torch.cat([joints.pop(), widen(x)], dim=1))
        x = self.last(torch.cat([x, shown], dim=1)).float()
        x = x.view(items, len(SOURCES), 2, 2, bands, frames, BINS // bands).transpose(4, 5).flatten(5, 6)
        return torch.complex(x[:, :, :, 0], x[:, :, :, 1])

    def separated(self, mix: Tensor, vocals: Tensor) -> Tensor:
        """Return the spectra of :data:`SOURCES`, shape (items, sources, 2, frames, BINS)."""
        found = self(mix, vocals) * mix[:, None]
        return torch.cat([found[:, :1] + vocals[:, None], found[:, 1:]], dim=1)


def _step(layer: nn.Module, channels: int) -> nn.Sequential:
    return nn.Sequential(layer, nn.BatchNorm2d(channels), nn.ReLU(inplace=True))


def _rooted(spectra: Tensor) -> Tensor:
    """Return real and imaginary parts as channels, shape (items, 4, frames, bins), of the root of their magnitude."""
    # From squares: the gradient of abs() has no value at zero.
    power = spectra.real.square() + spectra.imag.square()
    scale = (power + _EPSILON**2).pow(-0.25)
    return torch.cat([spectra.real * scale, spectra.imag * scale], dim=1)


def fused(network: StemNet) -> StemNet:
    """Return ``network``, changed in place: batch normalisation is part of the convolutions before it.

    What it computes stays the same but for rounding, and takes a seventh less time.
    """
    for module in network.modules():
        if isinstance(module, nn.Sequential) and isinstance(module[0], nn.Conv2d | nn.ConvTranspose2d):
            transposed = isinstance(module[0], nn.ConvTranspose2d)
            module[0] = fuse_conv_bn_eval(module[0], cast("nn.BatchNorm2d", module[1]), transpose=transposed)
            module[1] = nn.Identity()
    return network
