"""Several intervalnets in one checkpoint: their calibrated log odds are averaged, and nothing else changes."""

from __future__ import annotations

from pathlib import Path

import attrs
import numpy as np
import pytest
import torch
from scipy.special import expit, logit

from mashkit.errors import OptionError
from mashkit.synthetic.source import SyntheticSource
from mashkit.testing.mashups import mashup_of
from mashkit.types import Key
from mashkit_mashnet.checkpoint import Calibration, Checkpoint, load, save
from mashkit_mashnet.ensemble import joined
from mashkit_mashnet.interval_scorer import IntervalNetScorer
from mashkit_mashnet.intervalnet import MOST_MEMBERS, IntervalNet, IntervalPreset
from mashkit_mashnet.networks import MixPreset, PreMixNet
from mashkit_mashnet.stem_features import WIDE

TINY = IntervalPreset(name="tiny", block_filters=8, features=8, templates=3, rhythm=6, gate=0.1)
CALIBRATIONS = (Calibration(temperature=0.5, bias=1.25), Calibration(temperature=3.0, bias=-0.5), None)


def member(seed: int, calibration: Calibration | None = None, recordings: tuple[str, ...] = ()) -> Checkpoint:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = IntervalNet(TINY)
    record = {"config": {"seed": seed}, "data": {"recordings": list(recordings)}}
    return Checkpoint.of(network, variant="intervalnet", calibration=calibration, training=record)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("members")
    paths = [folder / f"{seed}.safetensors" for seed in range(len(CALIBRATIONS))]
    for seed, (path, calibration) in enumerate(zip(paths, CALIBRATIONS, strict=True)):
        save(path, member(seed, calibration))
    return paths


def test_an_ensemble_has_the_mean_of_its_members_log_odds(files: list[Path], tmp_path: Path) -> None:
    together = tmp_path / "together.safetensors"
    save(together, joined([load(path) for path in files]))
    source = SyntheticSource([(Key(0, "major"), 120.0), (Key(9, "minor"), 97.0)], bars=8)
    mashups = [mashup_of(source, clip, harmonic={"semitones": shift}) for clip in source.clips for shift in (0, 1)]

    def scores(path: Path) -> list[dict[str, float]]:
        scored = IntervalNetScorer(checkpoint=path).score(mashups)
        return [{"whole": score.value, **score.parts} for score in scored]

    alone = [scores(path) for path in files]
    for found, *members in zip(scores(together), *alone, strict=True):
        for name, value in found.items():
            assert value == pytest.approx(expit(np.mean([logit(one[name]) for one in members])), abs=2e-3)


def test_the_order_of_members_changes_nothing(files: list[Path]) -> None:
    members = [load(path) for path in files]
    generator = torch.Generator().manual_seed(0)
    given = (
        torch.rand(2, 7, 12, 32, generator=generator),
        torch.rand(2, 9, 192, generator=generator),
        torch.zeros(2, 4, 16),
        torch.ones(2, 3, dtype=torch.bool),
    )
    with torch.inference_mode():
        forwards, backwards = (joined(order).network()(*given) for order in (members, members[::-1]))
    torch.testing.assert_close(forwards, backwards, atol=1e-5, rtol=0)


def test_an_ensemble_of_one_network_twice_is_that_network() -> None:
    one = member(0, Calibration(temperature=0.5, bias=1.25))
    before = {name: tensor.clone() for name, tensor in one.weights.items()}
    twice = joined([one, one])
    given = (torch.rand(1, 7, 12, 32), torch.rand(1, 9, 192), torch.zeros(1, 4, 16), torch.ones(1, 3, dtype=torch.bool))
    with torch.inference_mode():
        expected = one.calibration.probability(one.network()(*given)) if one.calibration else None
        found = twice.calibration.probability(twice.network()(*given)) if twice.calibration else None
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)
    assert all(torch.equal(tensor, before[name]) for name, tensor in one.weights.items())


def test_its_record_has_what_every_member_learnt_from(tmp_path: Path) -> None:
    path = tmp_path / "intervalnet.safetensors"
    save(path, joined([member(1, recordings=("A - One",)), member(2, recordings=("B - Two", "A - One"))]))
    found = load(path)
    assert [record["config"]["seed"] for record in found.training["members"]] == [1, 2]
    assert IntervalNetScorer(checkpoint=path).trained_on() == ("A - One", "B - Two")
    assert (found.preset.name, found.preset.members) == ("tiny-2", 2)  # type: ignore[attr-defined]


def test_a_single_network_has_the_names_of_weights_that_earlier_files_have() -> None:
    assert not any(name.startswith("others") for name in IntervalNet(TINY).state_dict())
    earlier = {name: value for name, value in TINY.to_dict().items() if name != "members"}
    assert IntervalPreset.from_dict(earlier) == TINY


def test_only_single_intervalnets_of_one_preset_are_joined() -> None:
    wider = attrs.evolve(TINY, features=9)
    other = Checkpoint.of(IntervalNet(wider), variant="intervalnet")
    small = MixPreset(name="tiny", filters=(1, 1, 1, 1), block_filters=1, features=1, front_end=WIDE)
    premixnet = Checkpoint.of(PreMixNet(small), variant="premixnet")
    pair = joined([member(0), member(1)])
    with pytest.raises(OptionError, match="an ensemble of 1"):
        joined([member(0)])
    for members in ([member(0), other], [member(0), premixnet], [premixnet, premixnet], [pair, pair]):
        with pytest.raises(OptionError, match="give single intervalnets of one preset"):
            joined(members)
    for count in (0, True, MOST_MEMBERS + 1, 10**6):
        with pytest.raises(OptionError, match="members"):
            attrs.evolve(TINY, members=count)
