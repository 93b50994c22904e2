"""PreMixNet and PostMixNet of "Modeling the Compatibility of Stem Tracks to Generate Music Mashups" (AAAI 2021).

Conventions: spectra come from :mod:`mashkit_mashnet.frontend`, float32 of shape (examples, sources, bands, frames)
in [0, 1]. Lengths, int64 of shape (examples,), give the number of real frames of each example; the remaining frames are
padding. Lengths may stay in CPU memory while spectra are in GPU memory, so that the CPU does not wait for the GPU. The
paper gives kernels and strides as (time, frequency); here they are (frequency, time), in the order of the axes.

A score depends on its own example alone: the frames beyond an example's end are set to zero before each convolution, so
the convolution reads the same values as at the end of an unpadded example. In training, batch normalisation counts
these zeros too, so train on crops of one length.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, TypeAlias, TypeVar

import attrs
import torch
from torch import Tensor, nn
from torch.nn import functional

from mashkit.errors import OptionError, UsageError
from mashkit_mashnet.frontend import FINE, LOG_FREQUENCY, MEL, FrontEnd
from mashkit_mashnet.stem_features import ROLES

BAD, GOOD = 0, 1
"""The classes of the logits: unmatched and original."""
Loss: TypeAlias = Literal["cross-entropy", "contrastive"]


def margins(logits: Tensor) -> Tensor:
    """Return the log odds of good, float32, shape (examples,), from logits of shape (examples, 2)."""
    values = logits.float()
    return values[:, GOOD] - values[:, BAD]


P = TypeVar("P", bound="Preset")


def _numbers(values: Any) -> tuple[int, ...]:
    return tuple(values)


def positive(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    """Validate a field of a preset: one or several whole numbers above 0."""
    numbers = value if isinstance(value, tuple) else (value,)
    if not all(type(number) is int and number > 0 for number in numbers):
        raise OptionError(f"a network's {attribute.name} is {value!r}", "give whole numbers above 0")


@attrs.frozen(kw_only=True)
class Preset:
    """The size of a network, and the front end that makes its input.

    Parameters
    ----------
    name : str
    block_filters : int
        Filters of the last convolutions along time, for example of a ConvBlock1D.
    features : int
        Width of the hidden fully connected layer.
    front_end : FrontEnd
    """

    name: str
    block_filters: int = attrs.field(validator=positive)
    features: int = attrs.field(validator=positive)
    front_end: FrontEnd

    @property
    def bar_frames(self) -> int | None:
        """Frames of one bar if the input is divided into bars of equal length; None if it is not."""
        return None

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return attrs.asdict(self, value_serializer=lambda _, __, value: list(value) if type(value) is tuple else value)

    @classmethod
    def from_dict(cls: type[P], data: Mapping[str, Any]) -> P:
        """Read the output of :meth:`to_dict`; raise TypeError for unknown fields."""
        return cls(**{**data, "front_end": FrontEnd.from_dict(data["front_end"])})


@attrs.frozen(kw_only=True)
class MixPreset(Preset):
    """The size of a PreMixNet or PostMixNet.

    Parameters
    ----------
    filters : tuple of 4 int
        Filters of the four convolutions of a SourceNet.
    stride : int
        Stride of each SourceNet's first convolution in frequency: 1 in the paper.
    time_stride : int, optional
        Its stride in time; by default the same. A stride of 2 in both divides the cost by 4.
    """

    filters: tuple[int, ...] = attrs.field(converter=_numbers, validator=positive)
    stride: int = attrs.field(default=1, validator=positive)
    time_stride: int | None = attrs.field(default=None, validator=attrs.validators.optional(positive))

    def __attrs_post_init__(self) -> None:
        if len(self.filters) != 4:
            raise OptionError(f"filters {self.filters}", "give four, one for each convolution of a SourceNet")

    @property
    def strides(self) -> tuple[int, int]:
        """Strides of the first convolution, in the order of the axes: frequency, time."""
        return self.stride, self.time_stride or self.stride

    @property
    def resolution_s(self) -> float:
        """Seconds from one value to the next where the stems first meet: after the strides and two pools of 2."""
        return 4 * self.strides[1] / self.front_end.frame_rate


PAPER = MixPreset(name="paper", filters=(64, 64, 128, 128), block_filters=256, features=128, front_end=MEL)
"""The paper's sizes ("Network Architectures", Figure 3; docs/paper.md, rows 22–26)."""
COMPACT = MixPreset(
    name="compact", filters=(16, 16, 32, 32), block_filters=96, features=128, stride=2, front_end=LOG_FREQUENCY
)
"""Ours: the same layers, narrow enough to score on a CPU. One value each 372 ms where the stems first meet."""
RHYTHM = MixPreset(
    name="rhythm", filters=(12, 12, 24, 24), block_filters=64, features=128, stride=2, time_stride=1, front_end=FINE
)
"""Ours: as narrow, but with one value each 93 ms where the stems first meet, as in the paper's preset. A quarter of a
beat at 120 BPM is 125 ms, so values that are 372 ms apart cannot tell it."""
PRESETS: Mapping[str, MixPreset] = {preset.name: preset for preset in (PAPER, COMPACT, RHYTHM)}


class Network(nn.Module):
    """A module that a checkpoint can hold: it is made from a preset and returns logits of shape (examples, 2).

    ``logits[:, 1] − logits[:, 0]`` is the log odds of good.
    """

    architecture: ClassVar[str]
    """Name of the network in :data:`mashkit_mashnet.checkpoint.ARCHITECTURES`."""
    preset_type: ClassVar[type[Preset]]
    presets: ClassVar[Mapping[str, Preset]]
    """The presets that have a name, by name."""
    loss: ClassVar[Loss] = "cross-entropy"
    """The loss that it is trained with."""

    def __init__(self, preset: Preset) -> None:
        super().__init__()
        self.preset = preset

    @property
    def shortest(self) -> int:
        """The smallest number of frames that an example may have."""
        return 1


def pair_means(x: Tensor) -> Tensor:
    """Return the means of pairs of frames, the last of four axes; an odd last frame is left out.

    Values and gradients are those of ``functional.avg_pool2d(x, (1, 2))``, to the bit. The backward pass of that
    function takes 1.7 times as long, measured on a CPU in bfloat16 with channels last in memory.
    """
    means: Tensor = _PairMeans.apply(x)  # type: ignore[no-untyped-call]
    return means


class _PairMeans(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.shape = x.shape
        last = x.is_contiguous(memory_format=torch.channels_last)
        ctx.order = torch.channels_last if last else torch.contiguous_format
        return functional.avg_pool2d(x, (1, 2))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        *rows, frames = ctx.shape[2:]
        half = (gradients[0] * 0.5).contiguous(memory_format=ctx.order)
        twice = functional.interpolate(half, (*rows, 2 * half.shape[-1]), mode="nearest")
        return functional.pad(twice, (0, frames - twice.shape[-1]))


class ConvBlock2D(nn.Module):
    """conv, batch norm, ReLU, conv, batch norm, ReLU, average pool: kernels (3, 3), 'same'; pool 2 in time only.

    The pool acts on time and leaves frequency as it is (docs/paper.md, rows 23 and 24).

    Parameters
    ----------
    channels_in, channels, channels_out : int
        Channels before, between and after the convolutions.
    strides : tuple of 2 int
        Strides of the first convolution, in frequency and in time.
    """

    def __init__(self, channels_in: int, channels: int, channels_out: int, strides: tuple[int, int] = (1, 1)) -> None:
        super().__init__()
        # The convolutions have no biases, because batch normalisation subtracts the mean and adds its own bias.
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride=strides, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels_out, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels_out)

    def forward(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        """Return shape (examples, channels_out, bands / stride, frames / time stride // 2); strides round up.

        Parameters
        ----------
        x : Tensor, shape (examples, channels_in, bands, frames)
            Must be zero beyond ``lengths``.
        lengths : Tensor or None
            Frames of ``x``; None if no example has padding.
        """
        lengths = _strided(lengths, self.conv1.stride[1])
        x = _masked(functional.relu(self.norm1(self.conv1(x)), inplace=True), lengths)
        x = functional.relu(self.norm2(self.conv2(x)), inplace=True)
        return _masked(pair_means(x), _pooled(lengths))


class SourceNet(nn.Module):
    """Two ConvBlock2D that extract patterns from a spectrum.

    Parameters
    ----------
    preset : MixPreset
    """

    def __init__(self, preset: MixPreset) -> None:
        super().__init__()
        first, second, third, fourth = preset.filters
        self.block1 = ConvBlock2D(1, first, second, preset.strides)
        self.block2 = ConvBlock2D(second, third, fourth)
        self.time_stride = preset.strides[1]

    def forward(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        """Return shape (examples, filters[3], bands / stride, frames / time stride // 4); ``x`` has one channel."""
        x = self.block1(x, lengths)
        output: Tensor = self.block2(x, _pooled(_strided(lengths, self.time_stride)))
        return output


class ConvBlock1D(nn.Module):
    """conv, batch norm, ReLU, conv, batch norm, ReLU, average pool, along time: kernels (3, bands) and (3, 1), pool 2.

    The first convolution acts on the outputs of all sources, concatenated along the filters. This convolution equals
    the sum of one convolution for each source with that source's part of the weights, so the outputs are never
    concatenated: :meth:`carried` computes the summand of one source.

    Parameters
    ----------
    sources : int
    channels : int
        Filters of each source's output.
    bands : int
        Bands of each source's output; the first kernel spans all of them.
    filters : int
    """

    def __init__(self, sources: int, channels: int, bands: int, filters: int) -> None:
        super().__init__()
        self.channels = channels
        self.conv1 = nn.Conv2d(sources * channels, filters, (bands, 3), padding=(0, 1), bias=False)
        self.norm1 = nn.BatchNorm1d(filters)
        self.conv2 = nn.Conv1d(filters, filters, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm1d(filters)

    @property
    def shares(self) -> tuple[Tensor, ...]:
        """Each source's part of the first convolution's weights.

        Training takes all of them from one call, because their gradients are then joined once.
        """
        return self.conv1.weight.tensor_split(self.conv1.in_channels // self.channels, dim=1)

    @staticmethod
    def carried(share: Tensor, x: Tensor) -> Tensor:
        """Return the summand of one source in the first convolution, shape (examples, filters, frames).

        Parameters
        ----------
        share : Tensor
            The source's part of the weights; see :attr:`shares`.
        x : Tensor, shape (examples, channels, bands, frames)
        """
        # A 2-D convolution whose kernel is as high as its input equals a convolution along time over all its rows.
        return functional.conv1d(x.flatten(1, 2), share.flatten(1, 2), padding=1)

    def forward(self, convolved: Tensor, lengths: Tensor | None) -> Tensor:
        """Return shape (examples, filters, frames // 2), for the sum of :meth:`carried` over the sources."""
        x = _masked(functional.relu(self.norm1(convolved)), lengths)
        x = functional.relu(self.norm2(self.conv2(x)), inplace=True)
        return _masked(functional.avg_pool1d(x, 2), _pooled(lengths))


class MixNet(Network):
    """SourceNets, a ConvBlock1D over all of them, pooling over time, two fully connected layers.

    The pooling adds each filter's mean and maximum over time (docs/paper.md, row 25).

    Parameters
    ----------
    preset : MixPreset
    """

    preset_type: ClassVar[type[Preset]] = MixPreset
    presets: ClassVar[Mapping[str, Preset]] = PRESETS
    preset: MixPreset
    sources: ClassVar[int]

    def __init__(self, preset: MixPreset) -> None:
        super().__init__(preset)
        self.source_nets = nn.ModuleList(SourceNet(preset) for _ in range(self.sources))
        bands = -(-preset.front_end.bands // preset.strides[0])
        self.block = ConvBlock1D(self.sources, preset.filters[3], bands, preset.block_filters)
        self.hidden = nn.Linear(preset.block_filters, preset.features)
        self.output = nn.Linear(preset.features, 2)

    @property
    def shortest(self) -> int:
        """The smallest number of frames that leaves one frame after the pools: 8 strided frames, the last partial."""
        return 7 * self.preset.strides[1] + 1

    @property
    def reduction(self) -> int:
        """Number of frames of a spectrum for one frame of :meth:`layer`."""
        return 4 * self.preset.strides[1]

    def layer(self, source: int, spectra: Tensor, lengths: Tensor) -> Tensor:
        """Return what one source adds to the block's first convolution: its SourceNet's output, convolved.

        Parameters
        ----------
        source : int
            Index of the source; for PreMixNet, index of the role in :data:`ROLES`.
        spectra : Tensor of float32, shape (examples, bands, frames)
        lengths : Tensor of int64, shape (examples,)
            Real frames of each example, at least :attr:`shortest`.

        Returns
        -------
        Tensor of shape (examples, block_filters, frames / time stride // 4)

        Raises
        ------
        UsageError
            If the number of bands differs from the front end's, or a length is out of range.
        """
        return self._layer(source, spectra, lengths, self.block.shares)

    def _layer(self, source: int, spectra: Tensor, lengths: Tensor, shares: Sequence[Tensor]) -> Tensor:
        _, bands, frames = spectra.shape
        if bands != self.preset.front_end.bands:
            raise UsageError(f"spectra of {bands} bands", f"give {self.preset.front_end.bands}, as the front end has")
        known = self._known(lengths, frames, self.shortest)
        x = self.source_nets[source](_masked(spectra[:, None], known), known)
        return self.block.carried(shares[source], x)

    def judge(self, layers: Sequence[Tensor], lengths: Tensor) -> Tensor:
        """Return logits of shape (examples, 2), class :data:`GOOD` last, from the layers that play together.

        Parameters
        ----------
        layers : sequence of Tensor, each of shape (examples, block_filters, frames / time stride // 4)
            Output of :meth:`layer` for each source; a role that is left out adds nothing.
        lengths : Tensor of int64, shape (examples,)
            Frames of the spectra.
        """
        convolved = torch.stack(tuple(layers)).sum(0) if len(layers) > 1 else layers[0]
        reduced = _pooled(_pooled(_strided(lengths, self.preset.strides[1])))
        x = self.block(convolved, self._known(reduced, convolved.shape[-1], 2))
        own = _pooled(reduced).to(x)[:, None]
        # Frames beyond an example's end are 0 and no frame is below 0, so they change neither sum nor maximum.
        x = x.sum(dim=2) / own + x.amax(dim=2)
        logits: Tensor = self.output(functional.relu(self.hidden(x)))
        return logits

    def _scores(self, spectra: Tensor, lengths: Tensor, roles: Tensor | None, shared: Tensor | None) -> Tensor:
        given = spectra.shape[1] if shared is None else shared.shape[1]
        if given != self.sources:
            raise UsageError(f"spectra of {given} sources", f"give {self.sources}")
        shares = self.block.shares
        if shared is None:
            layers = [self._layer(source, spectra[:, source], lengths, shares) for source in range(self.sources)]
        else:
            layers = []
            for source in range(self.sources):
                distinct, places = torch.unique(shared[:, source], return_inverse=True)
                own = lengths[distinct.to(lengths.device)]
                layers.append(self._layer(source, spectra[distinct], own, shares)[places])
            lengths = lengths[shared[:, 0].to(lengths.device)]
        if roles is not None:
            layers = [layer * roles[:, source, None, None] for source, layer in enumerate(layers)]
        return self.judge(layers, lengths)

    def _known(self, lengths: Tensor, frames: int, shortest: int) -> Tensor | None:
        """Return ``lengths``, or None if no example has padding, because then no frame has to be masked."""
        least, most = torch.stack(torch.aminmax(lengths)).tolist()
        if most > frames or least < shortest:
            raise UsageError(
                f"examples of {least} to {most} frames in spectra of {frames}",
                f"give {shortest} frames or more, and no more than there are",
            )
        return None if least == frames else lengths


class PreMixNet(MixNet):
    """Scores three stems before they are mixed: each role has a SourceNet with its own weights."""

    architecture = "premixnet"
    sources = len(ROLES)

    def forward(
        self, spectra: Tensor, lengths: Tensor, roles: Tensor | None = None, layers: Tensor | None = None
    ) -> Tensor:
        """Return logits of shape (examples, 2), class :data:`GOOD` last.

        With ``layers``, each distinct layer passes its SourceNet once, whatever number of examples it plays in. If each
        layer of a role plays in equally many examples, outputs and gradients are those of the examples written out,
        because batch normalisation then has the same mean and variance.

        Parameters
        ----------
        spectra : Tensor of float32, shape (examples, 3, bands, frames)
            Spectra of the roles in the order of :data:`ROLES`.
        lengths : Tensor of int64, shape (examples,)
            Real frames of each example, at least :attr:`shortest`.
        roles : Tensor of bool, shape (examples, 3), optional
            Which roles count; the other roles add nothing, as if their SourceNet returned zeros.
        layers : Tensor of int64, shape (examples, 3), optional
            Which layer each role of an example has. ``spectra`` then has shape (layers, bands, frames), and ``lengths``
            has shape (layers,) and is the same for all layers of an example.

        Raises
        ------
        UsageError
            If the number of sources or bands is wrong, or a length is out of range.
        """
        return self._scores(spectra, lengths, roles, layers)


class PostMixNet(MixNet):
    """Scores the mix with one SourceNet."""

    architecture = "postmixnet"
    sources = 1

    def forward(self, spectra: Tensor, lengths: Tensor) -> Tensor:
        """Return logits of shape (examples, 2), class :data:`GOOD` last.

        Parameters
        ----------
        spectra : Tensor of float32, shape (examples, 1, bands, frames)
        lengths : Tensor of int64, shape (examples,)
            Real frames of each example, at least :attr:`shortest`.

        Raises
        ------
        UsageError
            If the number of sources or bands is wrong, or a length is out of range.
        """
        return self._scores(spectra, lengths, None, None)


def _strided(lengths: Any, stride: int) -> Any:
    """Return the frames that each length has after a convolution of this stride with 'same' padding."""
    return None if lengths is None else (lengths + stride - 1) // stride


def _pooled(lengths: Any) -> Any:
    """Return the number of whole pairs of frames in each length."""
    return None if lengths is None else lengths // 2


def _masked(x: Tensor, lengths: Tensor | None) -> Tensor:
    """Return ``x`` with zeros beyond ``lengths``; frames are its last axis."""
    if lengths is None:
        return x
    own = torch.arange(x.shape[-1], device=x.device) < lengths.to(x.device)[:, None]
    return x * own.view(len(x), *([1] * (x.ndim - 2)), -1)
