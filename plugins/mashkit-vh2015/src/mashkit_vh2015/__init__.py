"""mashkit scorer: the vertical mashability of Lee et al. 2015."""

from collections.abc import Iterable

from mashkit.components import ComponentInfo
from mashkit.hookspecs import hookimpl

VH2015 = ComponentInfo(
    name="vh2015",
    target="mashkit_vh2015.scorer:Vh2015Scorer",
    summary="Vertical mashability after Lee et al. 2015: chroma match, harmonic change balance, tempo closeness",
    provides={"chroma", "contrast", "tempo"},
    code_license="MIT",
    citation=(
        "Lee, C.-L., Lin, Y.-T., Yao, Z.-R., Lee, F.-Y., Wu, J.-L.: Automatic Mashup Creation by Considering both "
        "Vertical and Horizontal Mashabilities, ISMIR 2015"
    ),
    engine="vertical mashability",
    thread_safe=True,
)


@hookimpl
def mashkit_register_scorers() -> Iterable[ComponentInfo]:
    """Register the scorer."""
    return [VH2015]
