"""mashkit separator on Open-Unmix: bidirectional LSTMs on spectrograms, then multichannel Wiener filtering."""

from collections.abc import Iterable

from mashkit.components import ComponentInfo
from mashkit.hookspecs import hookimpl
from mashkit.models import WeightFile
from mashkit_openunmix.files import weight_files

SEPARATOR = ComponentInfo(
    name="openunmix",
    target="mashkit_openunmix.separator:OpenUnmixSeparator",
    summary="Open-Unmix: spectrogram LSTMs and Wiener filtering; needs weights",
    provides={"vocals", "drums", "bass", "other"},
    requires=("openunmix>=1.3,<2", "torch>=2.6"),
    install="pip install mashkit-openunmix",
    code_license="MIT",
    weights_license="CC-BY-NC-SA-4.0",
    citation="Stöter, Uhlich, Liutkus, Mitsufuji: Open-Unmix: A Reference Implementation for Music Source Separation, "
    "JOSS 4 (41), 2019, https://doi.org/10.21105/joss.01667",
    engine="Open-Unmix",
)


@hookimpl
def mashkit_register_separators() -> Iterable[ComponentInfo]:
    """Register the separator."""
    return [SEPARATOR]


@hookimpl
def mashkit_register_weights() -> Iterable[WeightFile]:
    """Register the released weights."""
    return weight_files()
