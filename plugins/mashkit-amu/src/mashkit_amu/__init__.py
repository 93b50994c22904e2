"""mashkit scorers after AutoMashUpper."""

from collections.abc import Iterable

from mashkit.components import ComponentInfo
from mashkit.hookspecs import hookimpl

_CITATION = (
    "Davies, M. E. P., Hamel, P., Yoshii, K., Goto, M.: AutoMashUpper: Automatic Creation of Multi-Song Music Mashups, "
    "IEEE/ACM Transactions on Audio, Speech, and Language Processing 22(12), 2014"
)

AMU = ComponentInfo(
    name="amu",
    target="mashkit_amu.scorer:AmuScorer",
    summary="AutoMashUpper for stems: harmony, rhythm and spectral balance of the mashup as planned",
    provides={"harmony", "rhythm", "balance"},
    code_license="MIT",
    citation=_CITATION,
    engine="AutoMashUpper",
    thread_safe=True,
)

AMU_2021 = ComponentInfo(
    name="amu-2021",
    target="mashkit_amu.scorer:Amu2021Scorer",
    summary="The baseline of Huang et al. 2021: AutoMashUpper without rhythm, at its best key shift",
    provides={"harmony", "balance"},
    code_license="MIT",
    citation=_CITATION,
    engine="AutoMashUpper",
    thread_safe=True,
)

AMU_TUNED = ComponentInfo(
    name="amu-tuned",
    target="mashkit_amu.scorer:AmuTunedScorer",
    summary="AutoMashUpper with centred chroma and weights fitted on rendered songs: a probability",
    provides={"harmony", "rhythm", "balance"},
    code_license="MIT",
    weights_license="MIT",
    citation=_CITATION,
    engine="AutoMashUpper",
    thread_safe=True,
)


@hookimpl
def mashkit_register_scorers() -> Iterable[ComponentInfo]:
    """Register the scorers."""
    return [AMU, AMU_2021, AMU_TUNED]
