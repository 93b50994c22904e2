"""The Signalsmith stretcher keeps its contract, and is as deterministic as its card says."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from mashkit.errors import OptionError
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


def test_the_largest_seed_is_used() -> None:
    audio = chord_progression(seconds=1.0)
    made = Registry().create("stretcher", "signalsmith", {"seed": 2**63 - 1})
    assert made.stretch(audio, speed=0.4).frames == round(audio.frames / 0.4)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"seed": -1}, "seed"),
        ({"seed": 2**63}, "seed"),
        ({"window_ms": 10}, "window_ms"),
        ({"cheaper": True, "window_ms": 150}, "window_ms has no effect together with cheaper"),
    ],
)
def test_wrong_options_are_refused(options: Mapping[str, Any], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        Registry().create("stretcher", "signalsmith", options)
