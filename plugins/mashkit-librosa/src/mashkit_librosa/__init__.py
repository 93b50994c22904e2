"""mashkit separator, analyzer and stretcher on librosa."""

from collections.abc import Iterable

from mashkit.components import ComponentInfo
from mashkit.hookspecs import hookimpl

_REQUIRES = ("librosa>=0.11",)
_INSTALL = "pip install mashkit-librosa"

SEPARATOR = ComponentInfo(
    name="librosa",
    target="mashkit_librosa.separator:LibrosaSeparator",
    summary="median filters and nearest neighbours: the baseline of separators, without weights",
    provides={"vocals", "drums", "other"},
    requires=_REQUIRES,
    install=_INSTALL,
    code_license="ISC",
    citation=(
        "FitzGerald, D.: Harmonic/percussive separation using median filtering, DAFx 2010; Rafii, Z., Pardo, B.: "
        "Music/voice separation using the similarity matrix, ISMIR 2012"
    ),
    engine="librosa HPSS and REPET-SIM",
    thread_safe=True,
)

ANALYZER = ComponentInfo(
    name="librosa",
    target="mashkit_librosa.analyzer:LibrosaAnalyzer",
    summary="profile correlation and dynamic programming: the baseline of analyzers, no downbeats, without weights",
    provides={"key", "tempo", "beats"},
    requires=_REQUIRES,
    install=_INSTALL,
    code_license="ISC",
    citation=(
        "Krumhansl, C. L., Kessler, E. J.: Tracing the dynamic changes in perceived tonal organization in a spatial "
        "representation of musical keys, Psychological Review 89 (4), 1982; Ellis, D. P. W.: Beat tracking by dynamic "
        "programming, Journal of New Music Research 36 (1), 2007"
    ),
    engine="librosa chroma and beat_track",
    thread_safe=True,
)

STRETCHER = ComponentInfo(
    name="librosa",
    target="mashkit_librosa.stretcher:LibrosaStretcher",
    summary="a plain phase vocoder: the baseline of stretchers, softens attacks",
    provides={"speed", "semitones"},
    requires=_REQUIRES,
    install=_INSTALL,
    code_license="ISC",
    citation="Flanagan, J. L., Golden, R. M.: Phase vocoder, Bell System Technical Journal 45, 1966",
    engine="librosa phase vocoder",
    thread_safe=True,
)


@hookimpl
def mashkit_register_separators() -> Iterable[ComponentInfo]:
    """Register the separator."""
    return [SEPARATOR]


@hookimpl
def mashkit_register_analyzers() -> Iterable[ComponentInfo]:
    """Register the analyzer."""
    return [ANALYZER]


@hookimpl
def mashkit_register_stretchers() -> Iterable[ComponentInfo]:
    """Register the stretcher."""
    return [STRETCHER]
