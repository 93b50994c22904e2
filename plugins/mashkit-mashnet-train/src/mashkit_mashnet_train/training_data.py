"""Choice of the training data of a variant: examples of stores, in the form of the network's input."""

from __future__ import annotations

from collections.abc import Sequence

from mashkit.errors import UsageError
from mashkit_mashnet.checkpoint import VARIANTS
from mashkit_mashnet.frontend import LOG_FREQUENCY
from mashkit_mashnet.networks import Preset
from mashkit_mashnet_train.batches import TrainingData
from mashkit_mashnet_train.examples import Protocol
from mashkit_mashnet_train.store import Store


def training_data(
    stores: Sequence[Store], variant: str, preset: Preset, protocol: Protocol, seed: int, *, unlabelled: bool
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

    Raises
    ------
    UsageError
        If training or validation has fewer than two songs, or if no store holds the features of the network's input.
    """
    if VARIANTS[variant] == "intervalnet":
        from mashkit_mashnet_train.interval_data import IntervalData

        return IntervalData(stores, protocol, seed)
    if preset.front_end != LOG_FREQUENCY:
        raise UsageError(
            f"a network with a {preset.front_end.scale} front end cannot be trained from a store of features",
            "train one with the front end that stores are made for: mashkit_mashnet.frontend.LOG_FREQUENCY",
        )
    from mashkit_mashnet_train.spectra_data import SpectraData

    return SpectraData(stores, protocol, seed, mixed=VARIANTS[variant] == "postmixnet", unlabelled=unlabelled)
