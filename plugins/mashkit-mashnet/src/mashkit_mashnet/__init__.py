"""mashkit scorers that learn (PreMixNet, PostMixNet, and a network that hears harmony), and the command that trains."""

from collections.abc import Iterable

from mashkit.components import ComponentInfo
from mashkit.hookspecs import hookimpl

F0CHROMA = ComponentInfo(
    name="f0chroma",
    target="mashkit_mashnet.f0chroma:F0ChromaScorer",
    summary="a rule: is what is sung among what is played?",
    provides={"harmony"},
    requires=("scipy>=1.16",),
    install="pip install mashkit-mashnet",
    code_license="MIT",
    citation="Hermes: Measurement of Pitch by Subharmonic Summation, JASA 83(1), 1988",
    engine="sub-harmonic summation",
    thread_safe=True,
)


@hookimpl
def mashkit_register_scorers() -> Iterable[ComponentInfo]:
    """Register the scorers."""
    return [F0CHROMA]
