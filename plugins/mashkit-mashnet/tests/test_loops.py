"""Neural Loop Combiner's networks: the published layers, pairs without order, the vocal's bars."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import attrs
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mashkit.errors import AnalysisError, PlanError, UsageError
from mashkit.registry import Registry
from mashkit.synthetic.source import SyntheticSource
from mashkit.testing import ScorerContract
from mashkit.testing.mashups import Shelf, mashup_of
from mashkit.types import Analysis, Key, Role
from mashkit_mashnet.checkpoint import Calibration, Checkpoint, load, save
from mashkit_mashnet.frontend import FrontEnd, unscaled
from mashkit_mashnet.loops import (
    COMPACT,
    MARGIN,
    PAPER,
    LoopCNN,
    LoopNet,
    LoopPreset,
    LoopSNN,
    bar_edges,
    bar_moments,
    logits,
)
from mashkit_mashnet.networks import margins
from mashkit_mashnet.stem_features import ROLES

TINY = LoopPreset(
    name="tiny", filters=3, block_filters=2, features=6, bottleneck=5, embedding=4, bar_frames=10,
    front_end=FrontEnd(sample_rate=11_025, n_fft=1024, hop=512, bands=24, high_hz=65.406 * 2 ** (69 / 24)),
)  # fmt: skip
BOTH = pytest.mark.parametrize("kind", [LoopCNN, LoopSNN])
VARIANTS = pytest.mark.parametrize("variant", ["nlc-cnn", "nlc-snn"])
CALIBRATION = Calibration(temperature=0.5, bias=0.3)


def network(kind: type[LoopNet], seed: int = 0) -> LoopNet:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return kind(TINY).eval()


def spectra(examples: int, bars: int, *, layers: int = 3, seed: int = 1) -> Tensor:
    return torch.rand(examples, layers, 24, bars * TINY.bar_frames, generator=torch.Generator().manual_seed(seed))


def lengths(*bars: int) -> Tensor:
    return torch.tensor(bars) * TINY.bar_frames


# ------------------------------------------------------------------------------------------------- layer for layer
TOWER = [
    (nn.Conv2d, (16, 128, 173)), (nn.Dropout, (16, 128, 173)), (nn.BatchNorm2d, (16, 128, 173)),
    (nn.PReLU, (16, 128, 173)),
    (nn.Conv2d, (4, 128, 173)), (nn.Dropout, (4, 128, 173)), (nn.BatchNorm2d, (4, 128, 173)), (nn.PReLU, (4, 128, 173)),
    (nn.Flatten, (4 * 128 * 173,)),
    (nn.Linear, (256,)), (nn.BatchNorm1d, (256,)), (nn.PReLU, (256,)),
    (nn.Linear, (128,)), (nn.BatchNorm1d, (128,)), (nn.PReLU, (128,)),
    (nn.Linear, (16,)),
]  # fmt: skip
TOWER_PARAMETERS = (
    (16 * 9 + 16) + 2 * 16 + 1 + (4 * 16 * 9 + 4) + 2 * 4 + 1
    + (4 * 128 * 173 * 256 + 256) + 2 * 256 + 1 + (256 * 128 + 128) + 2 * 128 + 1 + (128 * 16 + 16)
)  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "head", "parameters"),
    [(LoopCNN, [(nn.BatchNorm1d, (16,)), (nn.PReLU, (16,)), (nn.Linear, (1,))], 2 * 16 + 1 + 17), (LoopSNN, [], 0)],
)
def test_every_published_layer(kind: type[LoopNet], head: list[object], parameters: int) -> None:
    made, seen = kind(PAPER).eval(), []
    for module in made.modules():
        if not list(module.children()):
            module.register_forward_hook(lambda one, _, output: seen.append((type(one), tuple(output.shape[1:]))))
    with torch.inference_mode():
        assert made(torch.rand(1, 2, 128, 173), torch.tensor([173])).shape == (1, 2)
    assert seen == TOWER + head
    assert sum(weight.numel() for weight in made.parameters()) == TOWER_PARAMETERS + parameters
    kernels = [module.kernel_size for module in made.modules() if isinstance(module, nn.Conv2d)]
    assert kernels == [(3, 3), (3, 3)]
    assert {module.p for module in made.modules() if isinstance(module, nn.Dropout)} == {0.1}


@VARIANTS
def test_compact_has_the_same_layers_and_a_small_file(tmp_path: Path, variant: str) -> None:
    made = {"nlc-cnn": LoopCNN, "nlc-snn": LoopSNN}[variant](COMPACT)
    # A bar is published as 2 s: 43.07 frames apart, counted at both ends.
    assert 1 + int(2 * COMPACT.front_end.frame_rate) == COMPACT.bar_frames
    path = tmp_path / "compact.safetensors"
    save(path, Checkpoint.of(made, variant=variant))
    assert path.stat().st_size < 4_000_000
    assert load(path).preset == COMPACT


def test_initial_weights_are_drawn_as_published() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = LoopCNN(COMPACT).requires_grad_(False)
    first = next(module for module in made.modules() if isinstance(module, nn.Linear))
    assert float(first.weight.std()) == pytest.approx((2 / sum(first.weight.shape)) ** 0.5, rel=0.01)
    assert float(first.bias.std()) == pytest.approx(1, rel=0.2)
    norms = torch.cat([module.weight for module in made.modules() if isinstance(module, nn.BatchNorm1d)])
    assert float(norms.mean()) == pytest.approx(1, abs=0.01)
    assert float(norms.std()) == pytest.approx(0.02, rel=0.3)


# ----------------------------------------------------------------------------------------------------- what it hears
@BOTH
def test_the_order_of_a_pair_does_not_matter(kind: type[LoopNet]) -> None:
    given, net = spectra(3, 2), network(kind)
    with torch.inference_mode():
        for one, other in itertools.combinations(range(3), 2):
            there = net.pairs(given[:, [one, other]], lengths(2, 2, 2))
            torch.testing.assert_close(net.pairs(given[:, [other, one]], lengths(2, 2, 2)), there, atol=1e-6, rtol=0)
        reversed_ = net.pairs(given.flip(1), lengths(2, 2, 2))
        torch.testing.assert_close(reversed_.flip(1), net.pairs(given, lengths(2, 2, 2)), atol=1e-6, rtol=0)


@BOTH
def test_an_example_is_the_mean_over_its_pairs_and_its_bars(kind: type[LoopNet]) -> None:
    given, net = spectra(1, 3), network(kind)
    frames = TINY.bar_frames
    with torch.inference_mode():
        alone = [
            margins(net(given[:, list(pair), :, bar * frames : (bar + 1) * frames], lengths(1)))
            for pair in itertools.combinations(range(3), 2)
            for bar in range(3)
        ]
        torch.testing.assert_close(margins(net(given, lengths(3))), torch.stack(alone).mean(0))
    assert torch.stack(alone).std() > 1e-3


@BOTH
def test_a_score_depends_on_its_example_alone(kind: type[LoopNet]) -> None:
    given, net = spectra(3, 3), network(kind)
    with torch.inference_mode():
        together = net(given, lengths(3, 1, 2) + torch.tensor([0, 4, 9]))  # a part of a bar is not heard
        for index, bars in enumerate((3, 1, 2)):
            alone = net(given[index : index + 1, ..., : bars * TINY.bar_frames], lengths(bars))
            torch.testing.assert_close(together[index : index + 1], alone)


def test_equal_layers_are_as_near_as_can_be() -> None:
    given = spectra(2, 2)[:, :1].expand(-1, 3, -1, -1)
    with torch.inference_mode():
        found = margins(network(LoopSNN)(given, lengths(2, 2)))
    torch.testing.assert_close(found, torch.full((2,), MARGIN / 2 - 1e-9**0.5))
    with torch.inference_mode():
        assert margins(network(LoopSNN)(spectra(2, 2), lengths(2, 2))).max() < found.min()


def test_the_cnn_is_given_the_mean_of_two_powers() -> None:
    net, heard = network(LoopCNN), []
    net.tower.register_forward_pre_hook(lambda _, inputs: heard.append(inputs[0]))
    given = spectra(1, 1, layers=2).masked_fill(torch.rand(24, 10) < 0.2, 0.0)
    with torch.inference_mode():
        net(given, lengths(1))
    due = (unscaled(given[0, 0].numpy()) + unscaled(given[0, 1].numpy())) / 2
    np.testing.assert_allclose(unscaled(heard[0][0, 0].numpy()), due, rtol=1e-3, atol=2e-8)
    assert heard[0].min() >= 0


@BOTH
def test_every_weight_has_a_gradient(kind: type[LoopNet]) -> None:
    net = network(kind).train()
    margins(net(spectra(4, 2), lengths(2, 2, 2, 2))).square().sum().backward()
    for name, weight in net.named_parameters():
        assert weight.grad is not None, name
        # What lies before a norm has a bias that the norm takes away again.
        assert name.endswith("bias") or float(weight.grad.abs().max()) > 0, name


@BOTH
@pytest.mark.parametrize(
    ("given", "length", "said"),
    [
        (torch.zeros(1, 1, 24, 10), 10, "1 spectra of 24 bands"),
        (torch.zeros(1, 3, 23, 10), 10, "give two or more, of 24 bands"),
        (torch.zeros(1, 3, 24, 10), 9, "examples of 9 to 9 frames in spectra of 10"),
        (torch.zeros(1, 3, 24, 10), 11, "examples of 11 to 11 frames"),
    ],
)
def test_what_is_no_input(kind: type[LoopNet], given: Tensor, length: int, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        network(kind)(given, torch.tensor([length]))


def test_bars() -> None:
    beats = np.arange(9) * 0.5
    np.testing.assert_array_equal(bar_edges(beats, beats[1::4]), [0.5, 2.5])
    np.testing.assert_array_equal(bar_edges(beats, beats[:1]), [0.0, 2.0, 4.0])
    np.testing.assert_allclose(bar_moments(np.array([1.0, 3.0, 4.0]), 4), [1, 1.5, 2, 2.5, 3, 3.25, 3.5, 3.75])


# ----------------------------------------------------------------------------------------------------------- scorers
@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("loops")
    for variant, kind in (("nlc-cnn", LoopCNN), ("nlc-snn", LoopSNN)):
        made = Checkpoint.of(network(kind), variant=variant, calibration=CALIBRATION)
        save(folder / f"{variant}.safetensors", made)
    return lambda variant: folder / f"{variant}.safetensors"


class OnASmallCheckpoint(ScorerContract):
    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _checkpoint(cls, checkpoint: Callable[[str], Path]) -> None:
        cls.options = {"checkpoint": checkpoint(cls.component)}


class TestNlcCnn(OnASmallCheckpoint):
    component = "nlc-cnn"


class TestNlcSnn(OnASmallCheckpoint):
    component = "nlc-snn"


@pytest.fixture(scope="module")
def source() -> SyntheticSource:
    return SyntheticSource([(Key(0, "major"), 120.0), (Key(6, "major"), 97.0)], bars=6)


@pytest.fixture(params=["nlc-cnn", "nlc-snn"])
def scorer(request: pytest.FixtureRequest, checkpoint: Callable[[str], Path]) -> object:
    return Registry().create("scorer", request.param, {"checkpoint": checkpoint(request.param)})


def test_the_score_is_the_networks_on_the_vocals_bars(source: SyntheticSource, scorer: object) -> None:
    mashup = mashup_of(source, source.clips[0], harmonic={"clip_id": source.clips[1].id})
    (score,) = scorer.score([mashup])
    moments = bar_moments(mashup.downbeats(), TINY.bar_frames)
    frames = np.rint(moments * TINY.front_end.frame_rate).astype(int)
    heard = np.stack([TINY.front_end.spectrum(mashup.layer_audio(role))[:, frames] for role in ROLES])
    with torch.inference_mode():
        pairs = load(scorer.checkpoint).network().pairs(torch.as_tensor(heard)[None], torch.tensor([len(frames)]))[0]
    due = CALIBRATION.probability(logits(torch.cat([pairs.mean(0, keepdim=True), pairs]))).tolist()
    assert score.scale == "probability"
    assert score.value == pytest.approx(due[0], abs=1e-6)
    assert list(score.parts) == ["vocal-harmonic", "vocal-percussion", "harmonic-percussion"]
    assert list(score.parts.values()) == pytest.approx(due[1:], abs=1e-6)
    assert len(set(due)) == 4


def test_two_roles_are_one_pair_and_one_is_none(source: SyntheticSource, scorer: object) -> None:
    whole, pair = scorer.score([mashup_of(source, source.clips[0], **more) for more in ({}, {"percussion": None})])
    assert pair.value == pytest.approx(whole.parts["vocal-harmonic"], abs=1e-6)
    with pytest.raises(PlanError, match="has one layer"):
        scorer.score([mashup_of(source, source.clips[0], percussion=None, harmonic=None)])


def test_gains_do_not_count_and_a_layer_is_heard_once(source: SyntheticSource, scorer: object) -> None:
    shelf, clip = Shelf(), source.clips[0]
    clip = shelf.add(clip.id, {role: source.stem(clip.id, role) for role in Role}, clip.analysis)
    plain, quiet = (scorer.score([mashup_of(shelf, clip, harmonic={"gain_db": gain})])[0] for gain in (0.0, -9.0))
    assert quiet.value == pytest.approx(plain.value, abs=1e-4)
    assert shelf.asked == 3


def test_unknown_downbeats_are_every_fourth_beat(source: SyntheticSource, scorer: object) -> None:
    clip, stems = source.clips[0], {role: source.stem(source.clips[0].id, role) for role in Role}
    values = []
    for name, analysis in (("known", clip.analysis), ("beats", attrs.evolve(clip.analysis, downbeats=None))):
        shelf = Shelf()
        values.append(scorer.score([mashup_of(shelf, shelf.add(name, stems, analysis))])[0].value)
    assert values[0] == pytest.approx(values[1], abs=1e-6)
    shelf = Shelf()
    with pytest.raises(AnalysisError, match="rubato"):
        scorer.score([mashup_of(shelf, shelf.add("rubato", stems, Analysis()))])
    few = attrs.evolve(clip.analysis, tempo=None, beats=clip.analysis.beats[:3], downbeats=None)
    with pytest.raises(PlanError, match="a whole bar or more"):
        scorer.score([mashup_of(shelf, shelf.add("few", stems, few))])
