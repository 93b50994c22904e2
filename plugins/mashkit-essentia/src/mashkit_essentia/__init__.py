"""mashkit analyzer on essentia."""

from collections.abc import Iterable

from mashkit.components import ComponentInfo
from mashkit.hookspecs import hookimpl

ANALYZER = ComponentInfo(
    name="essentia",
    target="mashkit_essentia.analyzer:EssentiaAnalyzer",
    summary="essentia's extractors: key, tempo and beats in a second a song, no downbeats, no weights",
    provides={"key", "tempo", "beats"},
    requires=("essentia>=2.1b6.dev1389",),
    install="pip install mashkit-essentia",
    code_license="AGPL-3.0-only",
    citation=(
        "Bogdanov et al.: Essentia, an audio analysis library for music information retrieval, ISMIR 2013; Faraldo, "
        "Gómez, Jordà, Herrera: Key estimation in electronic dance music, ECIR 2016; Zapata, Davies, Gómez: "
        "Multi-feature beat tracking, IEEE/ACM Transactions on Audio, Speech, and Language Processing 22 (4), 2014"
    ),
    engine="essentia",
    thread_safe=True,
)


@hookimpl
def mashkit_register_analyzers() -> Iterable[ComponentInfo]:
    """Register the analyzer."""
    return [ANALYZER]
