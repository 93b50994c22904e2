"""Which training data a network learns from: what it is shown decides."""

from __future__ import annotations

from collections.abc import Sequence

from mashkit.errors import UsageError
from mashkit_mashnet.batches import TrainingData
from mashkit_mashnet.examples import Protocol
from mashkit_mashnet.networks import Preset
from mashkit_mashnet.store import Store


def training_data(
    stores: Sequence[Store], architecture: str, preset: Preset, protocol: Protocol, seed: int
) -> TrainingData:
    """Return the training data of an architecture, made of some stores.

    Parameters
    ----------
    stores : sequence of Store
    architecture : str
        A name in :data:`mashkit_mashnet.checkpoint.ARCHITECTURES`.
    preset : Preset
        What the network is shown is its front end's.
    protocol : {"controlled", "paper"}
        See :mod:`mashkit_mashnet.examples`.
    seed : int

    Raises
    ------
    UsageError
        If there are no data for such a network.
    """
    if architecture == "intervalnet":
        from mashkit_mashnet.interval_data import IntervalData

        return IntervalData(stores, protocol, seed)
    raise UsageError(f"there are no training data for a {architecture}", "train an intervalnet")
