"""mashkit scorer: what somebody likes, learnt from preferences. Command: `mashkit train --preferences`."""

from collections.abc import Iterable

from mashkit.components import ComponentInfo
from mashkit.hookspecs import Command, hookimpl

TASTE = ComponentInfo(
    name="taste",
    target="mashkit_taste.scorer:TasteScorer",
    summary="What you like: a small model of your own answers on the scores of other scorers",
    provides={"log_odds"},
    code_license="MIT",
    citation=(
        "Bradley, R. A., Terry, M. E.: Rank Analysis of Incomplete Block Designs: I. The Method of Paired "
        "Comparisons, Biometrika 39, 1952"
    ),
    engine="Bradley-Terry",
    own_options=("model",),
)


@hookimpl
def mashkit_register_scorers() -> Iterable[ComponentInfo]:
    """Register the scorer."""
    return [TASTE]


@hookimpl
def mashkit_register_commands() -> Iterable[Command]:
    """Register `mashkit train --preferences`."""
    from mashkit_taste.command import COMMAND

    return [COMMAND]
