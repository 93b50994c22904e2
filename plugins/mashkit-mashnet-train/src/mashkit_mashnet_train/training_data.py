"""Choice of the training data of a variant: examples of stores, in the form of the network's input."""

from __future__ import annotations

from collections.abc import Sequence

from mashkit.errors import UsageError
from mashkit_mashnet.checkpoint import VARIANTS
from mashkit_mashnet.networks import Preset
from mashkit_mashnet_train.batches import TrainingData
from mashkit_mashnet_train.examples import Protocol
from mashkit_mashnet_train.spectra_data import Drawn, SpectraData
from mashkit_mashnet_train.store import Store


def training_data(
    stores: Sequence[Store],
    variant: str,
    preset: Preset,
    protocol: Protocol,
    seed: int,
    *,
    unlabelled: bool,
    drawn: Drawn = "vocals",
) -> TrainingData:
    """Return the training data of a variant.

    Parameters
    ----------
    stores : sequence of Store
    variant : str
        One of :data:`mashkit_mashnet.checkpoint.VARIANTS`.
    preset : Preset
        Preset of the network.
    protocol : {"controlled", "paper"}
    seed : int
        Seed of all draws.
    unlabelled : bool
        True if unlabelled examples count.
    drawn : {"vocals", "families"}
        How training batches are drawn; families are for the paper's networks only.

    Raises
    ------
    UsageError
        If training or validation has fewer than two songs, or if a store does not hold the features of the network's
        input.
    """
    if VARIANTS[variant] == "intervalnet":
        from mashkit_mashnet_train.interval_data import IntervalData

        if drawn != "vocals":
            raise UsageError(f"batches of {drawn} for {variant}", "draw batches of vocals: its layers are no spectra")
        return IntervalData(stores, protocol, seed)
    return SpectraData(
        stores,
        protocol,
        seed,
        mixed=VARIANTS[variant] == "postmixnet",
        unlabelled=unlabelled,
        front_end=preset.front_end,
        drawn=drawn,
    )
