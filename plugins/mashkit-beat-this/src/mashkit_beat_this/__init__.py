"""mashkit analyzer on Beat This!: a transformer that finds beats and downbeats without a tempo model."""

from collections.abc import Iterable

from mashkit.components import ComponentInfo
from mashkit.hookspecs import hookimpl
from mashkit.models import WeightFile

ANALYZER = ComponentInfo(
    name="beat-this",
    target="mashkit_beat_this.analyzer:BeatThisAnalyzer",
    summary="Beat This!: beats, downbeats and tempo by a transformer; needs weights",
    provides={"tempo", "beats", "downbeats"},
    requires=("beat-this>=1.1,<2", "torch>=2.6"),
    install="pip install mashkit-beat-this",
    code_license="MIT",
    weights_license="MIT",
    citation="Foscarin, Schlüter, Widmer: Beat This! Accurate beat tracking without DBN postprocessing, ISMIR 2024, "
    "https://arxiv.org/abs/2407.21658",
    engine="Beat This!",
)

_FOLDER = "https://cloud.cp.jku.at/public.php/dav/files/7ik4RrBKTS273gp"

WEIGHTS = tuple(
    WeightFile(
        name=f"beat-this/{model}.ckpt",
        component="analyzer beat-this",
        model=model,
        sha256=sha256,
        size=size,
        licence="MIT",
        source="https://github.com/CPJKU/beat_this",
        url=f"{_FOLDER}/{model}.ckpt",
    )
    for model, size, sha256 in (
        ("final0", 81_058_141, "8c328b45f59d8dd3dff219253ff6a8d6482be57d0133a29140e2febbf8eb8331"),
        ("small0", 8_451_101, "6074be2c4d490c5f6101fcc374a1ec72ae93456e23bb6019783b849f5dc7d47b"),
    )
)
"""The released models of seed 0. The addresses are beat_this's own (``inference.CHECKPOINT_URL``). Its authors publish
no hashes; these are the ones by which other projects verify the files, nixpkgs (``beat-this``) among them."""


@hookimpl
def mashkit_register_analyzers() -> Iterable[ComponentInfo]:
    """Register the analyzer."""
    return [ANALYZER]


@hookimpl
def mashkit_register_weights() -> Iterable[WeightFile]:
    """Register the released weights."""
    return WEIGHTS
