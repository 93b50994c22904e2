"""mashkit scorer: harmonic compatibility from tonal interval vectors."""

from collections.abc import Iterable

from mashkit.components import ComponentInfo
from mashkit.hookspecs import hookimpl

TIV = ComponentInfo(
    name="tiv",
    target="mashkit_tiv.scorer:TivScorer",
    summary="Tonal interval vectors: how related vocal and harmony are, and how consonant together",
    provides={"relatedness", "consonance"},
    code_license="MIT",
    citation=(
        "Bernardes, G., Cocharro, D., Caetano, M., Guedes, C., Davies, M. E. P.: A multi-level tonal interval space "
        "for modelling pitch relatedness and musical consonance, Journal of New Music Research 45(4), 2016; "
        "Bernardes, G., Davies, M. E. P., Guedes, C.: A Hierarchical Harmonic Mixing Method, CMMR 2017"
    ),
    engine="tonal interval space",
    thread_safe=True,
)


@hookimpl
def mashkit_register_scorers() -> Iterable[ComponentInfo]:
    """Register the scorer."""
    return [TIV]
