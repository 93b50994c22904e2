"""The Signalsmith stretcher keeps its contract, and is as deterministic as its card says."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from mashkit.errors import OptionError, UsageError
from mashkit.registry import Registry
from mashkit.synthetic.signals import chord_progression
from mashkit.testing import StretcherContract
from mashkit.types import Audio, TimeMap


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


@pytest.mark.parametrize("options", [{}, {"window_ms": 20}, {"cheaper": True}])
@pytest.mark.parametrize("sample_rate", [1, 10, 25, 999])
def test_a_rate_at_which_a_window_has_no_frame_is_refused(options: Mapping[str, Any], sample_rate: int) -> None:
    stretcher = Registry().create("stretcher", "signalsmith", options)
    audio = Audio(np.zeros((1, 2_000), np.float32), sample_rate)
    for asked in ({"speed": 2}, {"semitones": 1}, {"time_map": TimeMap([0, 1, 2], [0, 1, 1.5])}):
        with pytest.raises(UsageError, match=rf"sample rate of {sample_rate} Hz \(resample it: 1,000 to 768,000 Hz"):
            stretcher.stretch(audio, **asked)
    lowest = Audio(np.zeros((1, 2_000), np.float32), 1_000)
    assert stretcher.stretch(lowest, speed=2).frames == 1_000


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
