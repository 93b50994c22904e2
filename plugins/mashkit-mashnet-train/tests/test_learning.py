"""A network learns from the examples of a store."""

from pathlib import Path

import attrs
import numpy as np
import pytest
import torch

from mashkit.hookspecs import StageEvent
from mashkit_mashnet import loops
from mashkit_mashnet.checkpoint import architecture
from mashkit_mashnet.intervalnet import IntervalNet, IntervalPreset
from mashkit_mashnet_train.interval_data import IntervalData
from mashkit_mashnet_train.losses import Objective, loss
from mashkit_mashnet_train.spectra_data import SpectraData
from mashkit_mashnet_train.store import Store
from mashkit_mashnet_train.training import TrainingConfig, train

TINY = IntervalPreset(name="tiny", block_filters=8, features=8, templates=3, rhythm=6, gate=0.1)


@pytest.mark.slow
def test_it_learns(store: Store) -> None:
    data = IntervalData([store], groups=4, validation_groups=4)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = IntervalNet(TINY)
    adam = torch.optim.Adam(net.parameters(), lr=3e-3)
    losses = []
    for step in range(50):
        batch = data.batch(step)
        found = loss(net(**batch.inputs), batch.targets, batch.groups, Objective(unlabelled="lsro", ranking=0.5)).total
        adam.zero_grad()
        found.backward()
        adam.step()
        losses.append(float(found.detach()))
    assert np.mean(losses[-10:]) < 0.85 * np.mean(losses[:5])


@pytest.mark.parametrize("variant", ["nlc-cnn", "nlc-snn"])
def test_networks_of_loops_learn_by_their_own_loss_and_go_on_to_the_bit(
    store: Store, tmp_path: Path, variant: str
) -> None:
    preset = attrs.evolve(
        loops.COMPACT, filters=3, block_filters=2, features=8, bottleneck=6, embedding=4, bar_frames=12
    )
    data = SpectraData(
        [store], mixed=False, unlabelled=False, groups=2, validation_groups=4, bar_frames=preset.bar_frames
    )

    def made() -> loops.LoopNet:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return architecture(variant)(preset)

    config = TrainingConfig(
        loss=made().loss,
        steps=40,
        validation_interval=20,
        checkpoint_steps=10,
        learning_rate=1e-2,
        threads=1,
        workers=0,
    )
    whole = train(made(), data, config, tmp_path / "whole")
    assert whole.curve[-1]["training_loss"] < whole.curve[0]["training_loss"]
    assert whole.record["config"]["loss"] == {"nlc-cnn": "cross-entropy", "nlc-snn": "contrastive"}[variant]

    def killed(event: StageEvent) -> None:
        if event.stage == "train" and event.done == 15:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(made(), data, config, tmp_path / "parts", killed)
    again = train(made(), data, config, tmp_path / "parts")
    assert again.curve == whole.curve
    assert all(torch.equal(again.weights[name], weight) for name, weight in whole.weights.items())
