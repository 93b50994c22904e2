"""The scorers keep their contract, say what their networks say, hear a layer once, and name what they cannot judge."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import soxr
import torch
from torch import nn

from mashkit.cli.kits import require_licences
from mashkit.errors import ComponentUnavailable, OptionError, PlanError, UsageError
from mashkit.mashup import Mashup
from mashkit.models import require, sha256_of
from mashkit.networks.checkpoints import CheckpointError
from mashkit.pipeline import Kit
from mashkit.registry import Registry
from mashkit.rendering.renderer import Renderer
from mashkit.synthetic.source import SyntheticSource
from mashkit.testing import ScorerContract
from mashkit.testing.mashups import Shelf, mashup_of
from mashkit.types import Analysis, Audio, Clip, Condition, Key, Mixing, Role
from mashkit_mashnet import SHIPPED, WEIGHTS, spectra
from mashkit_mashnet.checkpoint import VARIANTS, Calibration, Checkpoint, architecture, load, save
from mashkit_mashnet.frontend import FrontEnd
from mashkit_mashnet.networks import MixNet, MixPreset
from mashkit_mashnet.scorer import (
    WEIGHTS_FOLDER,
    LayerScorer,
    MixScorer,
    PostMixNetScorer,
    PreMixNetLsroScorer,
    PreMixNetScorer,
    shipped,
)
from mashkit_mashnet.spectra import Stage
from mashkit_mashnet.stem_features import ROLES

TINY = MixPreset(
    name="tiny",
    filters=(2, 2, 3, 3),
    block_filters=5,
    features=4,
    stride=2,
    front_end=FrontEnd(sample_rate=11_025, n_fft=1024, hop=512, bands=24, high_hz=65.406 * 2 ** (69 / 24)),
)
CALIBRATION = Calibration(temperature=0.5, bias=0.3)


def write(folder: Path, variant: str, seed: int = 2) -> Path:
    """A checkpoint of a small network that tells sounds apart: its norms have weights and statistics of their own."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = architecture(VARIANTS[variant])(TINY)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias, std=0.3)
                module.running_var.fill_(0.1)
        nn.init.uniform_(network.hidden.bias, 0.5, 1.0)  # nothing dies in the last ReLU
    path = folder / f"{variant}-{seed}.safetensors"
    save(path, Checkpoint.of(network, variant=variant, calibration=CALIBRATION))
    return path


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    folder = tmp_path_factory.mktemp("checkpoints")
    return lambda variant, seed=2: write(folder, variant, seed)


class OnASmallCheckpoint(ScorerContract):
    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _checkpoint(cls, checkpoint: Callable[..., Path]) -> None:
        cls.options = {"checkpoint": checkpoint(cls.component)}


class TestPreMixNet(OnASmallCheckpoint):
    component = "premixnet"


class TestPostMixNetLsro(OnASmallCheckpoint):
    component = "postmixnet-lsro"


for _component in SHIPPED:
    _name = f"TestShipped{_component.title().replace('-', '')}"
    globals()[_name] = type(_name, (ScorerContract,), {"component": _component})


def test_what_ships_is_what_its_table_says() -> None:
    for weights in WEIGHTS:
        path = require(weights)
        assert path.stat().st_size <= 8_000_000
        assert load(path).variant == path.stem
    assert {path.stem for path in WEIGHTS_FOLDER.glob("*")} == set(SHIPPED)


@pytest.mark.parametrize("variant", ["premixnet", "premixnet-lsro", "postmixnet", "postmixnet-lsro"])
def test_every_variant_has_a_scorer(source: SyntheticSource, checkpoint: Callable[..., Path], variant: str) -> None:
    scorer = Registry().create("scorer", variant, {"checkpoint": checkpoint(variant)})
    assert scorer.info == Registry().find("scorer", variant).info
    assert isinstance(scorer, LayerScorer if variant.startswith("pre") else MixScorer)


# --------------------------------------------------------------------------------------------------------- what is said
@pytest.fixture(scope="module")
def source() -> SyntheticSource:
    return SyntheticSource([(Key(0, "major"), 120.0), (Key(6, "major"), 97.0)], bars=6)


@pytest.fixture
def pre(checkpoint: Callable[..., Path]) -> PreMixNetScorer:
    return PreMixNetScorer(checkpoint=checkpoint("premixnet"))


@pytest.fixture
def post(checkpoint: Callable[..., Path]) -> PostMixNetScorer:
    return PostMixNetScorer(checkpoint=checkpoint("postmixnet"))


def crossed(source: SyntheticSource, **changes: Any) -> Mashup:
    """One band's vocal over the other's backing."""
    vocal, backing = source.clips
    layers = {role: {"clip_id": backing.id, **changes.pop(role, {})} for role in ("harmonic", "percussion")}
    return mashup_of(
        source, vocal, condition=Condition.UNMATCHED_KEY_TEMPO, duration_s=vocal.duration, **layers, **changes
    )


def probability(network: MixNet, stems: list[Audio], roles: list[bool] | None = None) -> float:
    x = torch.as_tensor(np.stack([network.preset.front_end.spectrum(stem) for stem in stems]))[None]
    mask = [] if roles is None else [torch.tensor([roles])]
    with torch.inference_mode():
        return CALIBRATION.probability(network(x, torch.tensor([x.shape[-1]]), *mask)).item()


@pytest.mark.parametrize("make", [lambda source: mashup_of(source, source.clips[0]), crossed])
def test_the_score_is_the_networks_and_the_parts_are_pairs_alone(
    source: SyntheticSource, pre: PreMixNetScorer, make: Callable[[SyntheticSource], Mashup]
) -> None:
    mashup = make(source)
    (score,) = pre.score([mashup])
    network = load(pre.checkpoint).network()
    stems = [mashup.layer_audio(role) for role in ROLES]
    assert score.scale == "probability"
    assert score.value == pytest.approx(probability(network, stems), abs=1e-5)
    assert len(score.parts) == 3
    for one, other in itertools.combinations(range(3), 2):
        roles = [index in (one, other) for index in range(3)]
        part = score.parts[f"{ROLES[one]}-{ROLES[other]}"]
        assert part == pytest.approx(probability(network, stems, roles), abs=1e-5)
    assert len({score.value, *score.parts.values()}) == 4


def test_postmixnet_hears_the_mix(source: SyntheticSource, post: PostMixNetScorer) -> None:
    mashup = crossed(source)
    (score,) = post.score([mashup])
    assert score.value == pytest.approx(probability(load(post.checkpoint).network(), [mashup.mix]), abs=1e-5)
    (quieter,) = post.score([crossed(source, percussion={"gain_db": -12.0})])
    assert abs(quieter.value - score.value) > 1e-4


def test_two_roles_are_a_pair(source: SyntheticSource, pre: PreMixNetScorer) -> None:
    whole, pair, alone = pre.score([
        mashup_of(source, source.clips[0]),
        mashup_of(source, source.clips[0], percussion=None),
        mashup_of(source, source.clips[0], percussion=None, harmonic=None),
    ])  # fmt: skip
    assert pair.value == pytest.approx(whole.parts["vocal-harmonic"], abs=1e-6)
    assert dict(pair.parts) == {"vocal-harmonic": pytest.approx(pair.value, abs=1e-12)}
    assert not alone.parts


def test_what_is_silent_is_heard_as_silence(source: SyntheticSource, pre: PreMixNetScorer) -> None:
    """Not as a role left out: it is there, and says nothing."""
    clip, shelf = source.clips[0], Shelf()
    stems = {role: source.stem(clip.id, role) for role in Role}
    stems[Role.PERCUSSION] = Audio(np.zeros_like(stems[Role.PERCUSSION].samples), clip.sample_rate)
    (score,) = pre.score([mashup_of(shelf, shelf.add("silent drums", stems, clip.analysis))])
    network = load(pre.checkpoint).network()
    assert score.value == pytest.approx(probability(network, [stems[role] for role in ROLES]), abs=1e-5)


# ---------------------------------------------------------------------------------------------------- what is not heard
@pytest.mark.parametrize("role", ["vocal", "harmonic", "percussion"])
def test_a_layers_gain_does_not_matter(source: SyntheticSource, pre: PreMixNetScorer, role: str) -> None:
    before, after = (
        PreMixNetScorer(checkpoint=pre.checkpoint).score([crossed(source, **{role: {"gain_db": gain}})])[0]
        for gain in (0.0, -9.0)
    )
    assert after.value == pytest.approx(before.value, abs=1e-4)


def test_neither_do_fades(source: SyntheticSource, pre: PreMixNetScorer) -> None:
    mashup = crossed(source)
    faded = mashup.renderer.mashup(attrs.evolve(mashup.plan, mixing=Mixing(fade_in_s=3.0)))
    assert pre.score([mashup]) == pre.score([faded])


def shelved(source: SyntheticSource, change: Callable[[Audio], Audio]) -> tuple[Shelf, Clip]:
    clip, shelf = source.clips[0], Shelf()
    stems = {role: change(source.stem(clip.id, role)) for role in Role}
    return shelf, shelf.add("changed", stems, clip.analysis)


@pytest.mark.parametrize("kind", ["premixnet", "postmixnet"])
def test_mono_is_stereo_with_twice_the_same(source: SyntheticSource, checkpoint: Any, kind: str) -> None:
    values = []
    for channels in (1, 2):
        shelf, clip = shelved(
            source, lambda stem, channels=channels: Audio(np.tile(stem.mono(), (channels, 1)), stem.sample_rate)
        )
        values.append(
            Registry().create("scorer", kind, {"checkpoint": checkpoint(kind)}).score([mashup_of(shelf, clip)])[0].value
        )
    assert values[0] == pytest.approx(values[1], abs=1e-4)


@pytest.mark.parametrize("rate", [22_050, 48_000])
def test_another_sample_rate_is_the_same_music(source: SyntheticSource, pre: PreMixNetScorer, rate: int) -> None:
    shelf, clip = shelved(source, lambda stem: Audio(soxr.resample(stem.samples.T, stem.sample_rate, rate).T, rate))
    there, here, other = pre.score([mashup_of(shelf, clip), mashup_of(source, source.clips[0]), crossed(source)])
    assert there.value == pytest.approx(here.value, abs=1e-3)
    assert abs(here.value - other.value) > 3e-3


# ------------------------------------------------------------------------------------------------------- layer by layer
def placed(source: SyntheticSource, *, start: float, end: float, late: float = 0.0) -> Mashup:
    """One band's vocal over the other's backing, from ``start`` to ``end`` of the vocal's clip."""
    vocal, backing = source.clips
    return mashup_of(
        source, vocal, duration_s=end - start,
        vocal={"offset_s": -start},
        harmonic={"clip_id": backing.id, "offset_s": late - start},
        percussion={"clip_id": backing.id, "offset_s": 0.1 - start},
    )  # fmt: skip


def test_a_layer_lies_on_the_vocals_clip_wherever_the_mashup_begins(source: SyntheticSource) -> None:
    whole = placed(source, start=0.0, end=source.clips[0].duration, late=0.25)
    part = placed(source, start=1.5, end=9.0, late=0.25)
    one, other = Stage.of(whole), Stage.of(part)
    assert (one.start_s, one.end_s) == (0.0, source.clips[0].duration)
    assert (other.start_s, other.end_s) == (1.5, 9.0)
    first, last = (round(moment * 44_100) for moment in (1.5, 9.0))
    for role in Role:
        assert one.key(role) == other.key(role)
        heard = other.mashup.layer_audio(role).samples
        assert np.array_equal(heard, one.mashup.layer_audio(role).samples)
        assert np.array_equal(heard[:, first:last], part.layer_audio(role).samples)
    elsewhere = Stage.of(placed(source, start=1.5, end=9.0, late=0.5))
    assert [role for role in Role if elsewhere.key(role) != other.key(role)] == [Role.HARMONIC]


def test_frames_of_the_mashup() -> None:
    source = SyntheticSource([(Key(0, "major"), 120.0), (Key(0, "major"), 120.0)], bars=6)
    duration = source.clips[0].duration
    assert Stage.of(placed(source, start=0.0, end=duration)).frames(2.0, 25) == slice(0, 25)
    assert Stage.of(placed(source, start=1.5, end=9.0)).frames(2.0, 25) == slice(3, 18)
    assert Stage.of(placed(source, start=1.6, end=8.9)).frames(2.0, 25) == slice(4, 17)


def test_a_network_hears_each_layer_once(source: SyntheticSource, pre: PreMixNetScorer) -> None:
    """Mashups of one vocal begin and end at different moments; what is heard of their layers is the same."""
    shelf = Shelf()
    clips = [
        shelf.add(clip.id, {role: source.stem(clip.id, role) for role in Role}, clip.analysis) for clip in source.clips
    ]
    pre.score([mashup_of(shelf, clips[0])])
    assert shelf.asked == 3
    pre.score([mashup_of(shelf, clips[0])])
    assert shelf.asked == 3
    for end in (9.0, 10.0, 11.0):
        mashup = mashup_of(shelf, clips[0], duration_s=end - 0.5, **{role.value: {"offset_s": -0.5} for role in Role})
        pre.score([mashup])
    assert shelf.asked == 3
    other = {"clip_id": clips[1].id}
    pre.score([mashup_of(shelf, clips[0], duration_s=9.0, harmonic=other)])
    assert shelf.asked == 4
    pre.score([mashup_of(shelf, clips[0], duration_s=9.0, harmonic=other, percussion=other)])
    assert shelf.asked == 5


def test_what_was_heard_before_changes_nothing(source: SyntheticSource, pre: PreMixNetScorer) -> None:
    mashups = [placed(source, start=start, end=end) for start, end in ((0.0, 12.0), (1.0, 8.0), (2.3, 10.0))]
    together = pre.score(mashups)
    for mashup, score in zip(mashups, together, strict=True):
        assert PreMixNetScorer(checkpoint=pre.checkpoint).score([mashup]) == [score]
    assert len({score.value for score in together}) == 3


def test_the_cache_is_bounded(source: SyntheticSource, pre: PreMixNetScorer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mashkit_mashnet.scorer._CACHED_BYTES", 1)
    small = PreMixNetScorer(checkpoint=pre.checkpoint)
    mashups = [mashup_of(source, clip) for clip in source.clips]
    assert small.score(mashups) == pre.score(mashups)
    assert len(small._layers._entries) == 1


def test_of_a_long_vocal_no_more_than_the_mashup_is_heard(
    source: SyntheticSource, pre: PreMixNetScorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    mashup = placed(source, start=2.0, end=10.0)
    around = pre.score([mashup])[0].value
    monkeypatch.setattr(spectra, "LONGEST_S", 10.0)
    alone = pre.score([mashup])[0].value
    stems = [mashup.layer_audio(role) for role in ROLES]
    assert alone == pytest.approx(probability(load(pre.checkpoint).network(), stems), abs=1e-5)
    assert around == pytest.approx(alone, abs=0.1)


def test_two_stretchers_are_told_apart(source: SyntheticSource, pre: PreMixNetScorer) -> None:
    plan = crossed(source, harmonic={"semitones": 2.0}, percussion={"speed": 1.1}).plan
    renderers = [Renderer(source, Registry().create("stretcher", name)) for name in ("signalsmith", "librosa")]
    stages = [Stage.of(renderer.mashup(plan)) for renderer in renderers]
    assert [role for role in Role if stages[0].key(role) == stages[1].key(role)] == [Role.VOCAL]


# ------------------------------------------------------------------------------------------------------ what is refused
@pytest.mark.parametrize("kind", ["premixnet", "postmixnet"])
def test_two_bars_are_enough_and_less_is_not(source: SyntheticSource, checkpoint: Any, kind: str) -> None:
    scorer = Registry().create("scorer", kind, {"checkpoint": checkpoint(kind)})
    two_bars = mashup_of(source, source.clips[0], duration_s=4.0)
    assert 0 < scorer.score([two_bars])[0].value < 1
    with pytest.raises(PlanError, match=f"'{kind}' judges 2 bars or more, 4.0 s here"):
        scorer.score([mashup_of(source, source.clips[0], duration_s=3.5)])


@pytest.mark.parametrize("kind", ["premixnet", "postmixnet"])
@pytest.mark.parametrize("tempo", [120.0, None])
def test_bars_that_nobody_counted(source: SyntheticSource, checkpoint: Any, kind: str, tempo: float | None) -> None:
    scorer = Registry().create("scorer", kind, {"checkpoint": checkpoint(kind)})
    clip, shelf = source.clips[0], Shelf()
    clip = shelf.add("?", {role: source.stem(clip.id, role) for role in Role}, Analysis(tempo=tempo))
    assert scorer.score([mashup_of(shelf, clip, duration_s=4.0)])
    with pytest.raises(PlanError, match="2 bars or more" if tempo else r"judges 0\.7 s or more"):
        scorer.score([mashup_of(shelf, clip, duration_s=0.5)])


def test_without_weights_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mashkit_mashnet.scorer.WEIGHTS_FOLDER", tmp_path)
    with pytest.raises(ComponentUnavailable, match="no weights of 'premixnet-lsro' come with") as caught:
        PreMixNetLsroScorer()
    assert caught.value.fix
    with pytest.raises(CheckpointError, match=r"none\.safetensors: no such file"):
        PreMixNetLsroScorer(checkpoint=tmp_path / "none.safetensors")


def test_a_checkpoint_says_which_recordings_it_was_trained_on(tmp_path: Path, checkpoint: Any) -> None:
    path = tmp_path / "of-a-fold.safetensors"
    training = {"data": {"recordings": ["Band - One", "Band - Two"]}}
    save(path, attrs.evolve(load(checkpoint("premixnet")), training=training))
    assert PreMixNetScorer(checkpoint=path).trained_on() == ("Band - One", "Band - Two")
    assert PreMixNetScorer().trained_on() == ()  # what ships was trained on rendered songs alone


def test_the_licence_is_that_of_the_file_and_not_of_its_name(tmp_path: Path, checkpoint: Any) -> None:
    mine = tmp_path / "premixnet.safetensors"
    mine.write_bytes(checkpoint("premixnet").read_bytes())
    assert PreMixNetScorer().described()["weights_license"] == "MIT"
    assert PreMixNetScorer(checkpoint=mine).described()["weights_license"] == "unknown"
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(shipped("premixnet").read_bytes())
    assert PreMixNetScorer(checkpoint=copy).described()["weights_license"] == "MIT"
    for scorer, file in (("premixnet", ""), ("cached:premixnet", "premixnet/"), ("premixnet+random", "premixnet/")):
        option = "premixnet.checkpoint" if "+" in scorer else "checkpoint"
        made = Registry().create("scorer", scorer, {option: mine})
        assert "unknown" in made.described()["weights_license"], scorer
        kit = Kit(scorer=scorer, options={"scorer": {option: mine}})
        with pytest.raises(UsageError, match=rf"weights {file}premixnet\.safetensors are under unknown, which"):
            require_licences(kit, argparse.Namespace(licences="permissive"), {"scorer": "--scorer"})


def test_what_ships_is_the_default(tmp_path: Path, checkpoint: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mashkit_mashnet.scorer.WEIGHTS_FOLDER", tmp_path)
    (tmp_path / "premixnet-lsro.safetensors").write_bytes(checkpoint("premixnet-lsro").read_bytes())
    assert PreMixNetLsroScorer().weights() == {"premixnet-lsro.safetensors": sha256_of(checkpoint("premixnet-lsro"))}


def test_a_network_of_another_architecture(source: SyntheticSource, checkpoint: Any) -> None:
    scorer = PreMixNetScorer(checkpoint=checkpoint("postmixnet-lsro"))
    with pytest.raises(CheckpointError, match="its architecture is postmixnet, not premixnet"):
        scorer.score([mashup_of(source, source.clips[0])])


def test_a_pickled_checkpoint(source: SyntheticSource, tmp_path: Path) -> None:
    torch.save({"state_dict": {}}, tmp_path / "model.ckpt")
    scorer = PreMixNetScorer(checkpoint=tmp_path / "model.ckpt")
    with pytest.raises(CheckpointError, match="pickled"):
        scorer.score([mashup_of(source, source.clips[0])])


@pytest.mark.parametrize("options", [{"device": "tpu"}, {"threads": 0}, {"weights": "x"}])
def test_options_that_are_none(checkpoint: Any, options: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        Registry().create("scorer", "premixnet", {"checkpoint": checkpoint("premixnet"), **options})


# ------------------------------------------------------------------------------------------------------------- recorded
def test_weights_are_part_of_what_it_is(checkpoint: Any, tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    path.write_bytes(checkpoint("premixnet").read_bytes())
    one = PreMixNetScorer(checkpoint=path)
    before = one.fingerprint()
    assert one.describe()["weights"] == {"mine.safetensors": sha256_of(path)}
    assert PreMixNetScorer(checkpoint=str(path), threads=2).fingerprint() == before
    path.write_bytes(checkpoint("premixnet", seed=1).read_bytes())
    assert PreMixNetScorer(checkpoint=path).fingerprint() != before
