"""Training for the networks of mashkit-mashnet: the commands `mashkit features` and `mashkit train`."""

from collections.abc import Iterable

from mashkit.hookspecs import Command, hookimpl


@hookimpl
def mashkit_register_commands() -> Iterable[Command]:
    """Register `mashkit features` and `mashkit train`."""
    from mashkit_mashnet_train.features_command import FEATURES
    from mashkit_mashnet_train.train_command import TRAIN

    return [FEATURES, TRAIN]
