"""mashkit separator on Demucs 4: hybrid transformer, hybrid and waveform models."""

from collections.abc import Iterable

from mashkit.components import ComponentInfo
from mashkit.hookspecs import hookimpl
from mashkit.models import WeightFile
from mashkit_demucs.files import weight_files

SEPARATOR = ComponentInfo(
    name="demucs",
    target="mashkit_demucs.separator:DemucsSeparator",
    summary="Demucs 4: hybrid transformer, hybrid and waveform models of vocals, drums, bass and other; needs weights",
    provides={"vocals", "drums", "bass", "other"},
    requires=("demucs>=4.1,<5", "torch>=2.6"),
    install="pip install mashkit-demucs",
    code_license="MIT",
    weights_license="MIT",
    citation="Rouard, Massa, Défossez: Hybrid Transformers for Music Source Separation, ICASSP 2023, "
    "https://doi.org/10.1109/ICASSP49357.2023.10096956; Défossez: Hybrid Spectrogram and Waveform Source Separation, "
    "MDX workshop at ISMIR 2021",
    engine="Demucs",
)


@hookimpl
def mashkit_register_separators() -> Iterable[ComponentInfo]:
    """Register the separator."""
    return [SEPARATOR]


@hookimpl
def mashkit_register_weights() -> Iterable[WeightFile]:
    """Register the released weights."""
    return weight_files()
