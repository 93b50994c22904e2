"""intervalnet and the rule it grew from: what turns a score, what does not, and what is refused."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from mashkit.errors import AnalysisError, PlanError
from mashkit.synthetic.source import SyntheticSource
from mashkit.testing import ScorerContract
from mashkit.testing.mashups import Shelf, mashup_of
from mashkit.types import Analysis, Audio, Clip, Key, Role
from mashkit_mashnet.checkpoint import Checkpoint, load, save
from mashkit_mashnet.f0chroma import F0ChromaScorer, rotations
from mashkit_mashnet.interval_scorer import IntervalNetScorer
from mashkit_mashnet.intervalnet import IntervalNet, IntervalPreset
from mashkit_mashnet.networks import margins

TINY = IntervalPreset(name="tiny", block_filters=8, features=8, templates=3, rhythm=6, gate=0.1)


def network(seed: int = 0) -> IntervalNet:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return IntervalNet(TINY).eval()


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("intervalnet") / "intervalnet.safetensors"
    save(path, Checkpoint.of(network(), variant="intervalnet"))
    return path


class TestIntervalNet(ScorerContract):
    component = "intervalnet"

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _checkpoint(cls, checkpoint: Path) -> None:
        cls.options = {"checkpoint": checkpoint}


class TestF0Chroma(ScorerContract):
    component = "f0chroma"


# --------------------------------------------------------------------------------------------------------- network
def inputs(beats: int = 16, examples: int = 3, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    positions = torch.nn.functional.one_hot(torch.arange(beats) % 4, 4).T.float()
    return {
        "pitches": torch.rand(examples, 7, 12, 2 * beats, generator=generator),
        "onsets": torch.rand(examples, 9, 12 * beats, generator=generator),
        "positions": positions.expand(examples, -1, -1),
        "roles": torch.ones(examples, 3, dtype=torch.bool),
    }


def test_transposing_both_stems_changes_nothing_and_one_of_them_does() -> None:
    given, net = inputs(), network()
    with torch.inference_mode():
        plain = margins(net(**given))
        both = margins(net(**given | {"pitches": given["pitches"].roll(5, dims=2)}))
        one = given["pitches"].clone()
        one[:, 4:] = one[:, 4:].roll(5, dims=2)
        apart = margins(net(**given | {"pitches": one}))
    torch.testing.assert_close(both, plain, atol=1e-5, rtol=0)
    assert (apart - plain).abs().min() > 3e-5


def test_a_permuted_batch_has_permuted_scores() -> None:
    given, net, order = inputs(examples=5), network(), torch.tensor([3, 0, 4, 1, 2])
    with torch.inference_mode():
        plain, permuted = net(**given), net(**{name: part[order] for name, part in given.items()})
    torch.testing.assert_close(permuted, plain[order], atol=1e-6, rtol=0)


@pytest.mark.parametrize("side", ["before", "after"])
def test_a_silent_bar_says_nothing(side: str) -> None:
    given, net = inputs(beats=32), network()
    for name, parts in (("pitches", 2), ("onsets", 12)):
        bars = given[name].unflatten(-1, (-1, 4 * parts))
        bars[..., 0, :] = bars[..., -1, :] = 0  # the padding of convolutions must not tell where the music ends
    silence = {
        "pitches": torch.zeros(3, 7, 12, 16), "onsets": torch.zeros(3, 9, 96), "positions": given["positions"][..., :8]
    }  # fmt: skip
    longer = given | {
        name: torch.cat([part, given[name]] if side == "before" else [given[name], part], dim=-1)
        for name, part in silence.items()
    }
    with torch.inference_mode():
        torch.testing.assert_close(net(**longer), net(**given), atol=1e-5, rtol=0)


@pytest.mark.parametrize("role", [0, 1, 2])
def test_a_role_that_is_left_out_is_not_heard(role: int) -> None:
    given, net = inputs(), network()
    given["roles"][:, role] = False
    other = inputs(seed=9)
    changed = {name: part.clone() for name, part in given.items()}
    for name, channels in (("pitches", ((0, 4), (4, 7), (7, 7))), ("onsets", ((0, 3), (3, 6), (6, 9)))):
        first, last = channels[role]
        changed[name][:, first:last] = other[name][:, first:last]
    with torch.inference_mode():
        torch.testing.assert_close(net(**changed), net(**given), atol=1e-6, rtol=0)


def test_roles_of_one_example_are_judged_as_examples_of_their_own() -> None:
    one = {name: part[:1] for name, part in inputs().items()}
    roles = torch.tensor([[True, True, True], [True, False, True], [False, True, True], [True, False, False]])
    repeated = {name: part.expand(len(roles), *part.shape[1:]) for name, part in one.items()} | {"roles": roles}
    with torch.inference_mode():
        assert torch.allclose(network()(**one | {"roles": roles}), network()(**repeated), atol=1e-5)


def test_it_fits_in_its_file_and_comes_back(checkpoint: Path) -> None:
    found = load(checkpoint)
    assert found.preset == TINY
    given = inputs()
    with torch.inference_mode():
        torch.testing.assert_close(found.network("cpu")(**given), network()(**given), atol=2e-2, rtol=0)


# --------------------------------------------------------------------------------------------------------- scorers
@pytest.fixture(scope="module")
def source() -> SyntheticSource:
    return SyntheticSource([(Key(0, "major"), 120.0), (Key(9, "minor"), 97.0), (Key(5, "major"), 120.0)], bars=8)


def test_nothing_is_rendered_and_a_stem_is_measured_once(checkpoint: Path) -> None:
    shelf = Shelf()
    synthetic = SyntheticSource([(Key(0, "major"), 120.0)], bars=8)
    clip = synthetic.clips[0]
    shelf.add(clip.id, {role: synthetic.stem(clip.id, role) for role in Role}, clip.analysis)
    scorer = IntervalNetScorer(checkpoint=checkpoint)
    # Its stretcher refuses to stretch: mashups with a layer at another speed are scored all the same.
    mashups = [
        mashup_of(shelf, shelf.clips[clip.id], percussion={"speed": speed}, harmonic={"semitones": shift})
        for speed in (0.9, 1.1)
        for shift in (-1.0, 0.0, 2.0)
    ]
    values = [score.value for score in scorer.score(mashups)]
    assert len(set(values)) == 6
    assert shelf.asked == 3


def test_parts_are_what_pairs_would_score(source: SyntheticSource, checkpoint: Path) -> None:
    scorer = IntervalNetScorer(checkpoint=checkpoint)
    clip = source.clips[0]
    (whole,) = scorer.score([mashup_of(source, clip)])
    for left_out, pair in (
        ("vocal", None),
        ("harmonic", "vocal-percussion"),
        ("percussion", "vocal-harmonic"),
    ):
        if pair is None:
            continue
        (alone,) = scorer.score([mashup_of(source, clip, **{left_out: None})])
        assert alone.value == pytest.approx(whole.parts[pair], abs=1e-6)


@pytest.mark.parametrize("index", [0, 1, 2])
@pytest.mark.parametrize("semitones", [-1, 1, 6])
def test_the_rule_prefers_an_original_to_itself_out_of_key(source: SyntheticSource, index: int, semitones: int) -> None:
    scorer = F0ChromaScorer()
    original, wrong = scorer.score(
        [mashup_of(source, source.clips[index], harmonic={"semitones": shift}) for shift in (0, semitones)]
    )
    assert original.value > wrong.value


def test_the_rule_does_not_mind_what_moves_together(source: SyntheticSource) -> None:
    plain, moved = F0ChromaScorer().score(
        [
            mashup_of(source, source.clips[0], vocal={"semitones": shift}, harmonic={"semitones": shift})
            for shift in (0, 3)
        ]
    )
    assert moved.value == pytest.approx(plain.value, abs=1e-5)


def test_rotations_are_agreements_of_a_lowered_backing() -> None:
    vocal, harmonic = np.zeros((12, 1), np.float32), np.zeros((12, 1), np.float32)
    vocal[4], harmonic[7] = 2, 3
    assert rotations(vocal, harmonic).argmax() == 3
    assert rotations(vocal, harmonic).max() == 6


def test_silence_is_scored(source: SyntheticSource, checkpoint: Path) -> None:
    clip = source.clips[0]
    shelf = Shelf()
    silent = Audio(np.zeros_like(source.stem(clip.id, Role.VOCAL).samples), clip.sample_rate)
    shelf.add("silent", dict.fromkeys(Role, silent), clip.analysis)
    mashup = mashup_of(shelf, shelf.clips["silent"])
    assert F0ChromaScorer().score([mashup])[0].value == 0
    assert 0 <= IntervalNetScorer(checkpoint=checkpoint).score([mashup])[0].value <= 1


def test_what_cannot_be_judged_is_named(source: SyntheticSource, checkpoint: Path) -> None:
    clip = source.clips[0]
    network = IntervalNetScorer(checkpoint=checkpoint)
    with pytest.raises(PlanError, match="no harmonic layer"):
        F0ChromaScorer().score([mashup_of(source, clip, harmonic=None)])
    with pytest.raises(PlanError, match="2 bars or more"):
        network.score([mashup_of(source, clip, duration_s=2.0)])
    shelf = Shelf()
    stems = {role: source.stem(clip.id, role) for role in Role}
    bare: Clip = shelf.add("bare", stems, Analysis(key=clip.analysis.key, tempo=clip.analysis.tempo))
    with pytest.raises(AnalysisError, match="beats"):
        network.score([mashup_of(shelf, bare)])


def test_downbeats_may_be_unknown(source: SyntheticSource, checkpoint: Path) -> None:
    clip = source.clips[0]
    shelf = Shelf()
    analysis = Analysis(key=clip.analysis.key, tempo=clip.analysis.tempo, beats=clip.analysis.beats)
    bare = shelf.add("bare", {role: source.stem(clip.id, role) for role in Role}, analysis)
    (score,) = IntervalNetScorer(checkpoint=checkpoint).score([mashup_of(shelf, bare)])
    assert math.isfinite(score.value)
