"""The networks are the paper's, layer for layer, and a score depends on its example alone."""

from __future__ import annotations

import attrs
import pytest
import torch
from torch import Tensor, nn

from mashkit.errors import OptionError, UsageError
from mashkit_mashnet.frontend import FrontEnd
from mashkit_mashnet.networks import (
    COMPACT,
    GOOD,
    PAPER,
    RHYTHM,
    ConvBlock1D,
    MixNet,
    MixPreset,
    PostMixNet,
    PreMixNet,
    pair_means,
)

TINY = MixPreset(
    name="tiny",
    filters=(2, 2, 3, 3),
    block_filters=5,
    features=4,
    stride=2,
    front_end=FrontEnd(bands=12, high_hz=65.406 * 2 ** (11 / 24)),
)
TINY_UNSTRIDED = attrs.evolve(TINY, stride=1)
TINY_RHYTHM = attrs.evolve(TINY, time_stride=1)


def network(kind: type[MixNet], preset: MixPreset = TINY, seed: int = 0) -> MixNet:
    """A network whose every parameter matters: norms too have weights and statistics of their own."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = kind(preset)
        for module in made.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                for tensor in (module.weight, module.running_var):
                    nn.init.uniform_(tensor, 0.5, 1.5)
                for tensor in (module.bias, module.running_mean):
                    nn.init.normal_(tensor, std=0.3)
    return made.eval()


def spectra(examples: int, frames: int, *, sources: int = 3, bands: int = 12, seed: int = 1) -> Tensor:
    return torch.rand(examples, sources, bands, frames, generator=torch.Generator().manual_seed(seed))


def lengths(*values: int) -> Tensor:
    return torch.tensor(values, dtype=torch.int64)


def shapes_of(made: nn.Module, *arguments: Tensor) -> list[tuple[str, tuple[int, ...]]]:
    """Name and output shape (of one example) of every module with weights, in the order they run."""
    seen: list[tuple[str, tuple[int, ...]]] = []
    hooks = [
        module.register_forward_hook(lambda _, __, output, name=name: seen.append((name, tuple(output.shape[1:]))))
        for name, module in made.named_modules()
        if not list(module.children())
    ]
    with torch.inference_mode():
        made(*arguments)
    for hook in hooks:
        hook.remove()
    return seen


# -------------------------------------------------------------------------- layer for layer (docs/paper.md, rows 22–26)
def source_shapes(name: str, bands: int, frames: int) -> list[tuple[str, tuple[int, ...]]]:
    return [
        (f"{name}.block1.conv1", (64, bands, frames)),
        (f"{name}.block1.norm1", (64, bands, frames)),
        (f"{name}.block1.conv2", (64, bands, frames)),
        (f"{name}.block1.norm2", (64, bands, frames)),
        (f"{name}.block2.conv1", (128, bands, frames // 2)),
        (f"{name}.block2.norm1", (128, bands, frames // 2)),
        (f"{name}.block2.conv2", (128, bands, frames // 2)),
        (f"{name}.block2.norm2", (128, bands, frames // 2)),
    ]


# conv1 of the ConvBlock1D is run by its weights, one source at a time; its shape is that of norm1.
HEAD = [
    ("block.norm1", (256, 8)),
    ("block.conv2", (256, 8)),
    ("block.norm2", (256, 8)),
    ("hidden", (128,)),
    ("output", (2,)),
]


def test_every_layer_of_the_papers_premixnet() -> None:
    made = PreMixNet(PAPER).eval()
    due = [shape for source in range(3) for shape in source_shapes(f"source_nets.{source}", 128, 32)]
    assert shapes_of(made, spectra(1, 32, bands=128), lengths(32)) == due + HEAD
    assert made.block.conv1.weight.shape == (256, 3 * 128, 128, 3)
    assert convolution_weights(made) == 3 * SOURCE_NET + 256 * 3 * 128 * 128 * 3 + 256 * 256 * 3 == 38_721_216


def test_every_layer_of_the_papers_postmixnet() -> None:
    made = PostMixNet(PAPER).eval()
    due = source_shapes("source_nets.0", 128, 32)
    assert shapes_of(made, spectra(1, 32, sources=1, bands=128), lengths(32)) == due + HEAD
    assert made.block.conv1.weight.shape == (256, 128, 128, 3)
    assert convolution_weights(made) == SOURCE_NET + 256 * 128 * 128 * 3 + 256 * 256 * 3 == 13_038_144


SOURCE_NET = 9 * (64 + 64 * 64 + 64 * 128 + 128 * 128)


def convolution_weights(made: MixNet) -> int:
    return sum(module.weight.numel() for module in made.modules() if isinstance(module, nn.Conv1d | nn.Conv2d))


@pytest.mark.parametrize("kind", [PreMixNet, PostMixNet])
def test_compact_has_the_same_layers_in_less_than_three_million_parameters(kind: type[MixNet]) -> None:
    compact, paper = kind(COMPACT), kind(PAPER)
    assert [name for name, _ in compact.named_parameters()] == [name for name, _ in paper.named_parameters()]
    assert sum(parameter.numel() for parameter in compact.parameters()) < 3_000_000
    assert compact.block.conv1.kernel_size == (64, 3)
    assert compact.source_nets[0].block1.conv1.stride == (2, 2)


def rhythm_source_shapes(name: str, frames: int) -> list[tuple[str, tuple[int, ...]]]:
    return [
        (f"{name}.block1.conv1", (12, 64, frames)),
        (f"{name}.block1.norm1", (12, 64, frames)),
        (f"{name}.block1.conv2", (12, 64, frames)),
        (f"{name}.block1.norm2", (12, 64, frames)),
        (f"{name}.block2.conv1", (24, 64, frames // 2)),
        (f"{name}.block2.norm1", (24, 64, frames // 2)),
        (f"{name}.block2.conv2", (24, 64, frames // 2)),
        (f"{name}.block2.norm2", (24, 64, frames // 2)),
    ]


@pytest.mark.parametrize("kind", [PreMixNet, PostMixNet])
def test_every_layer_of_preset_rhythm(kind: type[MixNet]) -> None:
    made = kind(RHYTHM).eval()
    due = [shape for source in range(kind.sources) for shape in rhythm_source_shapes(f"source_nets.{source}", 32)]
    due += [
        ("block.norm1", (64, 8)),
        ("block.conv2", (64, 8)),
        ("block.norm2", (64, 8)),
        ("hidden", (128,)),
        ("output", (2,)),
    ]
    assert shapes_of(made, spectra(1, 32, sources=kind.sources, bands=128), lengths(32)) == due
    assert made.block.conv1.weight.shape == (64, kind.sources * 24, 64, 3)
    assert [name for name, _ in made.named_parameters()] == [name for name, _ in kind(PAPER).named_parameters()]


def test_in_rhythm_the_stems_meet_as_often_as_in_the_papers_network() -> None:
    assert PAPER.resolution_s == RHYTHM.resolution_s == pytest.approx(0.0929, abs=1e-4)
    assert COMPACT.resolution_s == pytest.approx(4 * RHYTHM.resolution_s)
    rhythm = PreMixNet(RHYTHM).eval()
    with torch.inference_mode():
        layer = rhythm.layer(0, spectra(1, 100, sources=1, bands=128)[:, 0], lengths(100))
    assert layer.shape[-1] == 100 // rhythm.reduction == 25


# ----------------------------------------------------------------------------------------------- layers that are shared
def written_out(layers: Tensor, shared: Tensor) -> Tensor:
    """The spectra of examples, from those of the distinct layers and which of them each example has."""
    return layers[shared]


@pytest.mark.parametrize("preset", [TINY, TINY_RHYTHM])
def test_shared_layers_give_the_gradients_of_the_examples_written_out(preset: MixPreset) -> None:
    """Each layer of a role plays in equally many examples, so batch normalisation has the same mean and variance."""
    layers = spectra(9, 32, sources=1)[:, 0].double()  # in float32 the order of a sum alone makes a millionth
    shared = torch.tensor([[i, 3 + (i + shift) % 3, 6 + (i + 2 * shift) % 3] for shift in range(2) for i in range(3)])
    ways = (
        {"spectra": layers, "lengths": torch.full((9,), 32), "layers": shared},
        {"spectra": written_out(layers, shared), "lengths": torch.full((6,), 32)},
    )
    gradients = []
    for given in ways:
        made = network(PreMixNet, preset).double().train()
        (made(**given) * torch.linspace(-1, 1, 12).view(6, 2)).sum().backward()
        gradients.append({name: weight.grad for name, weight in made.named_parameters()})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], atol=1e-9, rtol=1e-6)
        assert gradient.abs().max() > 1e-6, name


@torch.inference_mode()
def test_shared_layers_of_any_use_and_length_give_the_same_scores() -> None:
    made = network(PreMixNet)
    layers, own = spectra(7, 40, sources=1)[:, 0], lengths(40, 40, 33, 40, 33, 40, 33)
    shared = torch.tensor([[0, 1, 3], [0, 5, 3], [0, 1, 5], [2, 4, 6]])
    due = made(written_out(layers, shared), own[shared[:, 0]])
    torch.testing.assert_close(made(layers, own, layers=shared), due, atol=1e-6, rtol=1e-6)
    roles = torch.tensor([[True, True, False]] * 4)
    due = made(written_out(layers, shared), own[shared[:, 0]], roles)
    torch.testing.assert_close(made(layers, own, roles, layers=shared), due, atol=1e-6, rtol=1e-6)
    with pytest.raises(UsageError, match="spectra of 2 sources"):
        made(layers, own, layers=shared[:, :2])


def test_the_sources_share_no_weights() -> None:
    made = PreMixNet(TINY)
    parameters = [parameter.data_ptr() for parameter in made.parameters()]
    assert len(set(parameters)) == len(parameters)


def test_the_block_is_a_convolution_of_the_concatenation() -> None:
    """What is summed over sources is what the paper's concatenation along the filters gives."""
    torch.manual_seed(0)
    block = ConvBlock1D(3, 4, 6, 5)
    sources = torch.rand(2, 3, 4, 6, 9)
    together = block.conv1(sources.flatten(1, 2))
    assert together.shape == (2, 5, 1, 9)
    summed = sum(block.carried(share, sources[:, source]) for source, share in enumerate(block.shares))
    torch.testing.assert_close(summed, together[:, :, 0])


# -------------------------------------------------------------------------------------------------- of its own example
@pytest.mark.parametrize("preset", [TINY, TINY_UNSTRIDED, TINY_RHYTHM])
@pytest.mark.parametrize("kind", [PreMixNet, PostMixNet])
@pytest.mark.parametrize("padding", [1, 2, 3, 8, 31])
@torch.inference_mode()
def test_padding_does_not_matter_whatever_is_in_it(kind: type[MixNet], preset: MixPreset, padding: int) -> None:
    made = network(kind, preset)
    for own in range(made.shortest, made.shortest + 18):
        x = spectra(2, own + padding, sources=kind.sources)
        due = made(x[..., :own], lengths(own, own))
        torch.testing.assert_close(made(x, lengths(own, own)), due, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("kind", [PreMixNet, PostMixNet])
@torch.inference_mode()
def test_the_rest_of_the_batch_does_not_matter(kind: type[MixNet]) -> None:
    made = network(kind)
    x, own = spectra(5, 60, sources=kind.sources), lengths(60, 15, 44, 33, 52)
    together = made(x, own)
    alone = torch.cat([made(x[i : i + 1, ..., : int(own[i])], own[i : i + 1]) for i in range(5)])
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=1e-6)
    order = torch.tensor([3, 1, 4, 0, 2])
    torch.testing.assert_close(made(x[order], own[order]), together[order], atol=1e-6, rtol=1e-6)
    assert len({round(value, 5) for value in together[:, GOOD].tolist()}) == 5


@torch.inference_mode()
def test_layer_by_layer_is_the_whole() -> None:
    made = network(PreMixNet)
    x, own = spectra(4, 50), lengths(50, 30, 41, 50)
    layers = [made.layer(source, x[:, source], own) for source in range(3)]
    torch.testing.assert_close(made.judge(layers, own), made(x, own), atol=1e-5, rtol=0)


@torch.inference_mode()
def test_a_role_left_out_adds_nothing() -> None:
    made = network(PreMixNet)
    x, own = spectra(2, 50), lengths(50, 40)
    roles = torch.tensor([[True, True, False], [True, False, True]])
    masked = made(x, own, roles)
    other = torch.where(roles[:, :, None, None], x, spectra(2, 50, seed=2))
    torch.testing.assert_close(made(other, own, roles), masked, atol=0, rtol=0)
    first = made.judge([made.layer(source, x[:1, source], own[:1]) for source in (0, 1)], own[:1])
    torch.testing.assert_close(masked[:1], first, atol=1e-6, rtol=1e-6)
    assert not torch.allclose(masked, made(x, own), atol=1e-4)


# ------------------------------------------------------------------------------------------------------------ training
@pytest.mark.parametrize("kind", [PreMixNet, PostMixNet])
def test_every_parameter_learns(kind: type[MixNet]) -> None:
    made = network(kind).train()
    logits = made(spectra(6, 40, sources=kind.sources), torch.full((6,), 40))
    nn.functional.cross_entropy(logits, torch.tensor([0, 1, 0, 1, 1, 0])).backward()
    for name, parameter in made.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_it_learns_what_only_two_roles_together_tell() -> None:
    """Good where vocal and percussion sound at once: no single stem says so."""
    torch.manual_seed(0)
    made = PreMixNet(attrs.evolve(TINY, filters=(4, 4, 6, 6), block_filters=8)).train()
    optimizer = torch.optim.Adam(made.parameters(), lr=5e-3)
    generator = torch.Generator().manual_seed(3)

    def draw(examples: int) -> tuple[Tensor, Tensor]:
        halves = torch.rand(examples, 2, generator=generator) < 0.5
        x = 0.1 * torch.rand(examples, 3, 12, 32, generator=generator)
        for half, source in ((0, 0), (1, 2)):
            x[:, source, :, :16] += 0.8 * halves[:, half, None, None]
            x[:, source, :, 16:] += 0.8 * ~halves[:, half, None, None]
        return x, (halves[:, 0] == halves[:, 1]).long()

    for _ in range(150):
        x, good = draw(32)
        optimizer.zero_grad()
        nn.functional.cross_entropy(made(x, torch.full((32,), 32)), good).backward()
        optimizer.step()
    made.eval()
    x, good = draw(200)
    with torch.inference_mode():
        assert (made(x, torch.full((200,), 32)).argmax(1) == good).float().mean() > 0.95


# ----------------------------------------------------------------------------------------------------------- bad input
@pytest.mark.parametrize(
    ("shape", "own", "message"),
    [
        ((1, 3, 11, 40), 40, "11 bands"),
        ((1, 2, 12, 40), 40, "2 sources"),
        ((1, 3, 12, 40), 41, "41 frames in spectra of 40"),
        ((1, 3, 12, 40), 14, "give 15 frames or more"),
    ],
)
def test_refused(shape: tuple[int, ...], own: int, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        network(PreMixNet)(torch.zeros(shape), lengths(own))


@pytest.mark.parametrize(
    "change", [{"filters": (1, 2, 3)}, {"filters": (1, 2, 3, 0)}, {"stride": 0}, {"time_stride": 0}, {"features": 1.5}]
)
def test_presets_that_make_no_network(change: dict[str, object]) -> None:
    with pytest.raises(OptionError):
        attrs.evolve(TINY, **change)


@pytest.mark.parametrize("preset", [PAPER, COMPACT, TINY])
def test_presets_are_data(preset: MixPreset) -> None:
    assert MixPreset.from_dict(preset.to_dict()) == preset


# ------------------------------------------------------------------------------------------------------------- pooling
@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("frames", [2, 9, 16])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_pooling_is_torchs_to_the_bit(order: torch.memory_format, frames: int, dtype: torch.dtype) -> None:
    source = torch.Generator().manual_seed(frames)
    x = torch.randn(3, 5, 4, frames, generator=source).to(dtype).contiguous(memory_format=order)
    ours, torchs = (x.clone(memory_format=torch.preserve_format).requires_grad_() for _ in range(2))
    pooled, expected = pair_means(ours), nn.functional.avg_pool2d(torchs, (1, 2))
    assert torch.equal(pooled, expected)
    upstream = torch.randn(expected.shape, generator=source).to(dtype)
    pooled.backward(upstream)
    expected.backward(upstream)
    assert ours.grad is not None
    assert torchs.grad is not None
    assert torch.equal(ours.grad, torchs.grad)
    assert ours.grad.is_contiguous(memory_format=order)
