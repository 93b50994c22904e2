"""mashkit separator on audio-separator: RoFormer and MDX23C models."""

from collections.abc import Iterable

from mashkit.components import ComponentInfo
from mashkit.hookspecs import hookimpl

SEPARATOR = ComponentInfo(
    name="audio-separator",
    target="mashkit_audio_separator.separator:AudioSeparator",
    summary="RoFormer and MDX23C models of audio-separator, in an environment of its own; needs weights",
    provides={"vocals", "other"},
    requires=("audio-separator==0.47.0", "onnxruntime>=1.17", "torch>=2.6"),
    install="mashkit env create audio-separator",
    environment="audio-separator",
    code_license="MIT",
    weights_license="unknown",
    citation="Lu, Wang, Kong, Hung: Music source separation with band-split RoPE transformer, ICASSP 2024, "
    "https://arxiv.org/abs/2309.02612; Wang, Lu, Won: Mel-band RoFormer for music source separation, ISMIR 2023 "
    "(late-breaking), https://arxiv.org/abs/2310.01809; https://github.com/nomadkaraoke/python-audio-separator",
    engine="audio-separator",
    own_options=("model",),
)


@hookimpl
def mashkit_register_separators() -> Iterable[ComponentInfo]:
    """Register the separator."""
    return [SEPARATOR]
