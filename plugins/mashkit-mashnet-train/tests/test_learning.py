"""A network learns from the examples of a store."""

import numpy as np
import torch

from mashkit_mashnet.intervalnet import IntervalNet, IntervalPreset
from mashkit_mashnet_train.interval_data import IntervalData
from mashkit_mashnet_train.losses import Objective, loss
from mashkit_mashnet_train.store import Store

TINY = IntervalPreset(name="tiny", block_filters=8, features=8, templates=3, rhythm=6)


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
