"""mashkit analyzer on SwiftF0: the melody of a voice by a small network."""

from collections.abc import Iterable

from mashkit.components import ComponentInfo
from mashkit.hookspecs import hookimpl
from mashkit.models import WeightFile

ANALYZER = ComponentInfo(
    name="swift-f0",
    target="mashkit_swift_f0.analyzer:SwiftF0Analyzer",
    summary="SwiftF0: the melody of one voice, 62 times a second, by a network of 135 kB; for vocal stems",
    provides={"melody"},
    requires=("swift-f0>=0.3,<0.4", "onnxruntime>=1.19"),
    install="pip install mashkit-swift-f0",
    code_license="MIT",
    weights_license="MIT",
    citation="Nieradzik: SwiftF0: Fast and Accurate Monophonic Pitch Detection, 2025, https://arxiv.org/abs/2508.18440",
    engine="SwiftF0",
    thread_safe=True,
)

MODEL = WeightFile(
    name="swift-f0/model.onnx",
    component="analyzer swift-f0",
    sha256="6385e8c2ebc3872e82c9ff5946228de44cd3be77a750ea53698b7dbfe94b0a22",
    size=135_090,
    licence="MIT",
    source="https://github.com/lars76/swift-f0",
    package="swift-f0",
    path="swift_f0/model.onnx",
)
"""The network in swift-f0 0.3.0."""


@hookimpl
def mashkit_register_analyzers() -> Iterable[ComponentInfo]:
    """Register the analyzer."""
    return [ANALYZER]


@hookimpl
def mashkit_register_weights() -> Iterable[WeightFile]:
    """Register the network."""
    return [MODEL]
