"""mashkit scorers that learn (PreMixNet, PostMixNet, and a network that hears harmony), and the command that trains."""

from collections.abc import Iterable

from mashkit.hookspecs import Command, hookimpl


@hookimpl
def mashkit_register_commands() -> Iterable[Command]:
    """Register `mashkit train`."""
    from mashkit_mashnet.command import TRAIN

    return [TRAIN]
