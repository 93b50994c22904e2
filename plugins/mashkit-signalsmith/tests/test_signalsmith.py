"""The Signalsmith stretcher keeps its contract, and is as deterministic as its card says."""

import numpy as np
import pytest

from mashkit.registry import Registry
from mashkit.synthetic.signals import chord_progression
from mashkit.testing import StretcherContract


class TestSignalsmith(StretcherContract):
    component = "signalsmith"


@pytest.mark.slow
class TestSignalsmithCheaper(StretcherContract):
    component = "signalsmith"
    options = {"cheaper": True}  # noqa: RUF012 — the contract reads it, nobody writes it


def test_two_runs_give_the_same_samples() -> None:
    audio = chord_progression(seconds=4.0)
    first, second = (
        Registry().create("stretcher", "signalsmith").stretch(audio, speed=0.4, semitones=2.5) for _ in range(2)
    )
    assert np.array_equal(first.samples, second.samples)
